#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""trace.py TRACE.json PICTURE.svg: what eddy_trace_write wrote, by gnuplot."""
import json
import subprocess
import sys

COLOURS = {"loop": "#d0d0d0", "task": "#3060c0", "job": "#30a050",
           "stall": "#d02020", "other": "#c08020"}

def read(path):
    """Bars (lane, begin, end, category), in ms."""
    with open(path, encoding="utf-8") as file:
        events = [e for e in json.load(file)["traceEvents"] if "ts" in e]
    events.sort(key=lambda e: e["ts"])
    begun, out, rows, bars = {}, {}, [], []
    for e in events:
        at, kind, key = (e["ts"] - events[0]["ts"]) / 1e3, e["cat"], e.get("id")
        if e["ph"] in "Xi":
            bars.append(("loop", at, at + e.get("dur", 1000) / 1e3, kind))
        elif e["ph"] == "B":
            begun[e["tid"]] = at
            out.pop(key, None)  # jobs in processes have no slice
        elif e["ph"] == "E" and e["tid"] in begun:
            bars.append((f"thread {e['tid']}", begun.pop(e["tid"]), at, kind))
        elif e["ph"] == "b":
            out[key] = at
        elif e["ph"] == "e" and key in out:
            began = out.pop(key)
            row = next((i for i, end in enumerate(rows) if end <= began), len(rows))
            rows[row:row + 1] = [at]
            bars.append((f"job {row + 1}", began, at, kind))
    return bars


def main():
    """A lane for each thread; for jobs in processes as many as were out at a time."""
    bars = read(sys.argv[1])
    lanes = sorted({b[0] for b in bars}, key=lambda n: ("ltj".index(n[0]), n))
    tics = ", ".join(f'"{name}" {-i}' for i, name in enumerate(lanes))
    script = f"""set terminal svg size 1200,{120 + 28 * len(lanes)}
set output "{sys.argv[2]}"
set ytics ({tics})
set yrange [{-len(lanes)}:1]; set xlabel "ms"
set style fill solid noborder
set key outside top horizontal
"""
    plots, data = [], ""
    for kind, colour in COLOURS.items():
        plots.append(f"'-' using 1:2:3:4:5:6 with boxxyerror lc rgb '{colour}' title '{kind}'")
        for lane, begin, end, what in bars:
            y = -lanes.index(lane)
            if (what if what in COLOURS else "other") == kind:
                data += f"{begin} {y} {begin} {end} {y - .4} {y + .4}\n"
        data += "NaN NaN NaN NaN NaN NaN\ne\n"
    script += "plot " + ", ".join(plots) + "\n" + data
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


main()
