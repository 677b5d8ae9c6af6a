"""The reference's side of the benchmark: makes the file, then times fetches on demand.

Usage: reference.py FILE NOW. Prints `ready` and versions; then for each line `POINTS REPETITIONS` the CPU time per fetch in nanoseconds.
"""
import importlib.metadata
import platform
import sys
import time

import whisper

path, now = sys.argv[1], int(sys.argv[2])
whisper.create(path, [(10, 8640), (60, 10080)], xFilesFactor=0.0)
whisper.update_many(path, [(now - 10 * k, float(k)) for k in range(8600)], now=now)
print("ready", f"{importlib.metadata.version('whisper')}, Python {platform.python_version()}", flush=True)
for line in sys.stdin:
    points, repetitions = map(int, line.split())
    begin = now - 10 * points
    before = time.process_time()
    for _ in range(repetitions):
        (_, values) = whisper.fetch(path, begin, now, now)
    spent = time.process_time() - before
    assert len(values) == points and values[-1] == 0.0
    print(spent / repetitions * 1e9, flush=True)
