#!/usr/bin/env python3
"""The table of scripts/try-jobs.sh: what each rescaler did, from its journal.

    scripts/try-jobs.py FOLDER JOB...

FOLDER/JOB holds the data of one rescaler. A job's row tells the parallelism of each operator over time and the newest reason; exit code 1
if an operator was narrowed that is not wide enough afterwards (widened again), which constant load never asks for.
"""

import json
import pathlib
import sys


def widths(snapshot):
    return {operator["name"]: operator["parallelism"] for operator in snapshot["operators"]}


def epochs(folder):
    for journal in sorted(folder.glob("**/decisions.jsonl")):
        for line in journal.read_text().splitlines():
            record = json.loads(line)
            if record.get("snapshot") and record.get("decision"):
                yield record


def main():
    folder, is_wrong = pathlib.Path(sys.argv[1]), False
    print("| job | decisions | changes | parallelism over time | narrowed and widened again | last reason |")
    print("|---|---|---|---|---|---|")
    for job in sys.argv[2:]:
        seen, changes, reason, count = {}, 0, "nothing", 0
        for record in epochs(folder / job):
            count += 1
            changes += record["decision"]["action"] == "rescale"
            reason = "; ".join(record["decision"]["reasons"])
            for name, width in widths(record["snapshot"]).items():
                history = seen.setdefault(name, [])
                if not history or history[-1] != width:
                    history.append(width)
        swings = [n for n, h in seen.items() if any(a > b < c for a, b, c in zip(h, h[1:], h[2:]))]
        is_wrong |= bool(swings) or not count
        over_time = ", ".join(f"{n} {' → '.join(map(str, h))}" for n, h in seen.items())
        print(f"| `{job}` | {count} | {changes} | {over_time} | {', '.join(swings) or 'no'} | {reason.replace('|', '/')} |")
    sys.exit(is_wrong)


main()
