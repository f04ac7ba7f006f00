#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""uncovered.py JSON LIST [--branches]: what gcovr counted, and LIST excuses.

An entry of LIST is "file function: text of the line", below a line of # that
says why.  Fails for a line that is neither covered nor there, and below the
bars.  --branches: also print each line with a branch that was never taken.
"""
import json
import sys

LINES, BRANCHES = 98, 92  # percent, at least


def share(counts):
    return 100 * sum(n > 0 for n in counts) / len(counts)


def places(found):
    """(where, entry) of each line of a file."""
    name = found["file"].split("/")[-1]
    starts = sorted((f["lineno"], f["name"]) for f in found["functions"])
    function = "?"
    with open(found["file"]) as file:
        text = [line.strip() for line in file]
    for entry in sorted(found["lines"], key=lambda e: e["line_number"]):
        number = entry["line_number"]
        while starts and starts[0][0] <= number:
            function = starts.pop(0)[1]
        if not entry.get("gcovr/noncode"):
            yield "%s %s: %s" % (name, function, text[number - 1]), entry


with open(sys.argv[1]) as file:
    lines = [p for found in json.load(file)["files"] for p in places(found)]
with open(sys.argv[2]) as file:
    listed = {line.strip() for line in file if line[0] not in "#\n"}

counts = [entry["count"] for _, entry in lines]
branches = [(w, b["count"]) for w, entry in lines for b in entry["branches"]]
new = [w for w, entry in lines if entry["count"] == 0 and w not in listed]
for where in sorted(listed - {where for where, _ in lines}):
    print("cov: listed, but gone:", where)
for where in new:
    print("cov: not covered:", where)
for where, count in branches:
    if count == 0 and "--branches" in sys.argv:
        print("cov: not taken:", where)
print("coverage: lines=%.2f of=%d branches=%.2f of=%d uncovered=%d unlisted=%d"
      % (share(counts), len(counts), share([n for _, n in branches]),
         len(branches), counts.count(0), len(new)))
sys.exit(bool(new) or share(counts) < LINES
         or share([n for _, n in branches]) < BRANCHES)
