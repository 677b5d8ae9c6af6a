#!/usr/bin/env python3
"""An example for policy "external": doubles every operator that is nearly always busy.

Reads the snapshot (docs/snapshot.md) from standard input, writes a plan to standard output. Try it:

    rescaler decide --policy external --program python3 --program configs/policies/double.py --snapshot FILE
"""

import json
import sys

BUSY = 0.9


def main():
    snapshot = json.load(sys.stdin)
    parallelism, reasons = {}, []
    for operator in snapshot["operators"]:
        busy = operator.get("busy_ratio")  # absent or null: unknown
        if busy is None or busy < BUSY or operator["kind"] == "all-window":
            continue
        most = operator.get("max_parallelism") or snapshot["job"]["max_parallelism"]
        parallelism[operator["name"]] = min(2 * operator["parallelism"], most)
        reasons.append(f"{operator['name']} is busy {busy * 100:.0f} % of its time")
    json.dump({"parallelism": parallelism, "reasons": reasons}, sys.stdout)


main()
