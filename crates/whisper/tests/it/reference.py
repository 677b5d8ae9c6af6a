"""Random Whisper files and ranges, and what the reference implementation makes of them.

Usage: reference.py FOLDER FIRST COUNT. Writes FOLDER/N.wsp for N from FIRST on, and prints one line of JSON per range:
file, from, until, now, and what whisper.fetch answers (null, or from, until, step and the values as hexadecimal floats).
Seeded by N, so that a failure can be looked at again.
"""
import json
import os
import random
import sys

import whisper

STEPS = [1, 2, 5, 7, 10, 30, 60]
METHODS = ["average", "sum", "last", "max", "min", "avg_zero", "absmax", "absmin"]


def archives(draw):
    """One to four archives that whisper accepts: each coarser, longer, and a multiple of the one before."""
    found = [(draw.choice(STEPS), draw.randint(1, 80))]
    for _ in range(draw.randint(0, 3)):
        step, points = found[-1]
        factor = draw.randint(2, 6)
        if points < factor:
            break
        coarse = step * factor
        found.append((coarse, points * step // coarse + draw.randint(1, 40)))
    return found


def value(draw):
    return draw.choice([draw.uniform(-1e6, 1e6), draw.random() * 1e-300, 0.0, -0.0, float("inf"), float("nan"), 2.0**60])


def fill(draw, path, now, reach):
    """Nothing, single updates with gaps, or many at once; the coarser archives fill by whisper's own propagation."""
    style = draw.choice(["empty", "single", "single", "many", "many", "both"])
    if style in ("single", "both"):
        time = now - draw.randint(0, reach)
        while time <= now:
            if draw.random() < 0.8 and now - time < reach:
                whisper.file_update(open_file(path), value(draw), time, now)
            time += draw.choice([1, 1, 2, 5, 10, 60, 200])
            if draw.random() < 0.02:
                break
    if style in ("many", "both"):
        count = draw.randint(1, 150)
        whisper.update_many(path, [(now - draw.randint(0, reach), value(draw)) for _ in range(count)], now=now)


class Opened:
    """Keeps one file open, so that ten thousand files take a minute and not an hour."""
    file = None
    path = None


def open_file(path):
    if Opened.path != path:
        if Opened.file:
            Opened.file.close()
        Opened.file, Opened.path = open(path, "r+b", 0), path
    return Opened.file


def ranges(draw, now, layout):
    """Inside, across and outside of what the file keeps, and its very edges."""
    reach = layout[-1][0] * layout[-1][1]
    edges = [0, 1] + [retention + off for step, points in layout for retention in [step * points] for off in (-1, 0, 1)]
    edges += [step * k + off for step, _ in layout for k in (1, 2) for off in (-1, 0, 1)]
    for _ in range(6):
        pick = lambda: draw.choice(edges) if draw.random() < 0.4 else draw.randint(-20, reach + 20)
        begin, end = now - pick(), now - pick()
        if begin > end and draw.random() < 0.8:
            begin, end = end, begin
        yield begin, end, now + draw.choice([0, 0, 0, 1, layout[0][0], reach // 2])


def answer(path, begin, end, now):
    try:
        found = whisper.fetch(path, begin, end, now)
    except whisper.InvalidTimeInterval:
        return "invalid"
    if found is None:
        return None
    (begin, end, step), values = found
    return [begin, end, step, [None if v is None else float(v).hex() for v in values]]


def main():
    folder, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for number in range(first, first + count):
        draw = random.Random(number)
        path = os.path.join(folder, "%d.wsp" % number)
        layout = archives(draw)
        whisper.create(path, layout, xFilesFactor=draw.choice([0.0, 0.1, 0.5, 1.0]), aggregationMethod=draw.choice(METHODS))
        now = draw.randint(10**9, 2 * 10**9)
        reach = layout[-1][0] * layout[-1][1]
        rounds = draw.choice([1, 1, 2, 3])
        for _ in range(rounds):
            fill(draw, path, now, reach)
            now += draw.choice([0, 1, layout[0][0] * layout[0][1] // 2, reach, reach * 3]) if rounds > 1 else 0
        for begin, end, present in ranges(draw, now, layout):
            print(json.dumps([number, begin, end, present, answer(path, begin, end, present)]))


main()
