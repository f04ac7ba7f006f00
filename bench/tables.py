#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The tables of a run of make bench, put into a page between its lines
.\\" TABLE name and .\\" END.  usage: tables.py DIR PAGE"""
import glob
import os
import re
import sys

directory, page = sys.argv[1:]
figures, bars, machine = {}, {}, ""
MEDIAN, INSTRUCTIONS = 0, 4  # of a case's figures
for path in sorted(glob.glob(directory + "/bench_*.tsv")):
    for line in open(path):
        field = line.rstrip("\n").split("\t")
        if field[0] == "case":
            name = re.sub(r"^(floor|raw):? ", "", field[2])
            cases = figures.setdefault(field[1], {})
            assert name not in cases, "two tables have %s, %s" % (field[1], name)
            cases[name] = [float(x) for x in field[3:]]
        elif field[0] == "bar":
            bars[field[1]] = field[1:]
        elif line.startswith("machine:"):
            machine = re.sub(r", load.*", "", line[9:].strip())


def number(x):
    if x is None or x == 0:
        return "\\-"
    if x < 100:
        return "%.1f" % x
    return "{:,.0f}".format(float("%.3g" % x))


def show(heads, rows):
    """rows: (name, numbers); a column is as wide as what is in it."""
    rows = [(name, [number(x) for x in cells]) for name, cells in rows if any(cells)]
    if not rows:
        return
    widths = [max(map(len, column)) for column in
              zip(heads, *(cells for _, cells in rows))]
    yield '.Bl -column "%s" %s' % (max((name for name, _ in rows), key=len),
                                   " ".join('"%s"' % ("0" * n) for n in widths))
    yield ".It \\& " + " ".join('Ta Em "%s"' % head for head in heads)
    for name, cells in rows:
        yield '.It "%s" ' % name + " ".join("Ta " + cell for cell in cells)
    yield ".El"


def table(heads, titles):
    """A column for each title of the run's tables, a row for each case."""
    names = []
    for title in titles:
        names += [n for n in figures.get(title, {}) if n not in names]
    return show(heads, [(n, [figures.get(t, {}).get(n, [None])[0] for t in titles])
                        for n in names])


def of_timers(n, column):
    who = ["eddy", "libev", "libuv", "libevent"]
    return show(who, [(op, [figures.get("%s, %d timers" % (op, n), {}).get(
        w, [None] * 6)[column] for w in who]) for op in
        ["add", "cancel", "churn", "reset", "busy reset", "fire"]])


def of_bars():
    met = sum(bar[3] == "met" for bar in bars.values())
    missed = [bar for bar in bars.values() if bar[3] == "missed"]
    yield "Of %d, %d were met; these were not:" % (met + len(missed), met)
    yield ".Bl -bullet -compact"
    for bar in missed:
        yield ".It"
        yield "%s: %s, limit %s" % tuple(bar[:3])
    yield ".El"

places = ["free", "two CPUs", "one CPU"]
tables = {
    "machine": lambda: [machine + "."],
    "lone": lambda: table(places, ["lone job, %s, 2 workers, time" % p
                                   for p in places]),
    "many": lambda: table(
        ["%d/%d" % (w, n) for w in (1, 2, 4) for n in (256, 4096)],
        ["window %d, %d workers, time" % (n, w)
         for w in (1, 2, 4) for n in (256, 4096)]),
    "sixteen": lambda: table(["1/16", "2/16", "4/16"], [
        "window 16, %d workers, time" % w for w in (1, 2, 4)]),
    "work": lambda: table(
        ["1 us", "10 us", "100 us", "mixed"],
        ["jobs of 1 us, time", "jobs of 10 us, time", "jobs of 100 us, time",
         "10 us beside 1 % of 10 ms, p99 of the short"]),
    "posts": lambda: table("124", ["post, %d posters" % n for n in (1, 2, 4)]),
    "io": lambda: table(
        ["100", "1000", "9900", "50", "CPU", "1000", "CPU"],
        ["100 pairs, 100 active", "1000 pairs, 100 active",
         "9900 pairs, 100 active", "echo, 50 connections",
         "echo, 50 connections, CPU of the server", "echo, 1000 connections",
         "echo, 1000 connections, CPU of the server"]),
    "timers": lambda: of_timers(100000, MEDIAN),
    "instructions": lambda: of_timers(100000, INSTRUCTIONS),
    "million": lambda: of_timers(1000000, MEDIAN),
    "tasks": lambda: table(
        ["10", "1,000", "1,000,000", "await", "call", "spawn"],
        ["yield, 10 tasks", "yield, 1000 tasks", "yield, 1000000 tasks",
         "await that is complete", "call and return", "spawn and finish"]),
    "processes": lambda: table(
        places + ["64 B", "4 KiB", "1 MiB"],
        ["lone job, " + p for p in places] +
        ["%d bytes each way" % n for n in (64, 4096, 1048576)]),
    "start": lambda: table(["ns"], ["open and close a loop"]),
    "bars": of_bars,
}
text, skipping = [], False
for line in open(page):
    if line.startswith('.\\" END'):
        skipping = False
    if not skipping:
        text.append(line)
    match = re.match(r'\.\\" TABLE (\w+)', line)
    if match:
        skipping = True
        text += [row + "\n" for row in tables[match[1]]()]
with open(page + ".new", "w") as out:
    out.writelines(text)
os.replace(page + ".new", page)
