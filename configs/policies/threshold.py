#!/usr/bin/env python3
"""An example for policy "external": keeps the load of every operator between two thresholds. docs/own-policy.md explains it.

Reads the snapshot (docs/snapshot.md) from standard input, writes a plan to standard output. Try it:

    rescaler decide --policy external --program python3 --program configs/policies/threshold.py --snapshot FILE
"""

import json
import math
import sys

HIGH = 0.8  # above this load an operator is widened ...
LOW = 0.3  # ... and below this one it is narrowed ...
TARGET = 0.6  # ... so far that it has this load
STEP_MAX = 2  # but by no more than this factor at once, up or down


def load_of(operator):
    """What an operator has to do as a share of what it can do; None: unknown."""
    busy = operator.get("busy_ratio")  # absent and null both mean: not measured
    offered, done = operator.get("input_rate_per_s"), operator.get("throughput_per_s")
    if busy is None:
        # Without it, only that an operator falls behind can be told: then it does all that it can.
        return offered / done if offered and done and offered > done / HIGH else None
    # A busy operator may be offered more than it gets done.
    return busy * max(1.0, offered / done) if offered and done else busy


def wanted(operator, load, most):
    now = operator["parallelism"]
    if LOW <= load <= HIGH:
        return now
    new = math.ceil(now * load / TARGET)
    return min(max(new, math.ceil(now / STEP_MAX), 1), now * STEP_MAX, most)


def plan(snapshot):
    parallelism, reasons = {}, []
    for operator in snapshot["operators"]:
        load = load_of(operator)
        if load is None or operator["kind"] == "all-window":
            continue
        most = operator.get("max_parallelism") or snapshot["job"]["max_parallelism"]
        new = wanted(operator, load, most)
        if new != operator["parallelism"]:
            parallelism[operator["name"]] = new
            reasons.append(f"{operator['name']} has a load of {load:.2f}: {operator['parallelism']} -> {new}")
    return {"parallelism": parallelism, "reasons": reasons}


json.dump(plan(json.load(sys.stdin)), sys.stdout)
