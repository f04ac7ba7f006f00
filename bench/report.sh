#!/bin/sh
# SPDX-License-Identifier: ISC
# What the runs of all benches come to: plots where gnuplot is installed, what
# has moved since an earlier run, and the bars as the last table.
# usage: report.sh DIR [BASE]; both are directories of *.tsv
set -eu

dir=$1
base=${2:-}

# Cases whose title fits PATTERN, where N stands for a number: "x case median".
points()
{
	awk -F '\t' -v head="${2%%N*}" -v tail="${2#*N}" '
	$1 == "case" && index($2, head) == 1 {
		rest = substr($2, length(head) + 1)
		x = rest + 0
		sub(/^[0-9]+/, "", rest)
		if (rest == tail)
			print x "\t" $3 "\t" $4
	}' "$dir/$1.tsv" 2>/dev/null
}

# plot FILE TITLE XLABEL SUITE PATTERN
plot()
{
	points "$4" "$5" >"$dir/$1.points"
	[ -s "$dir/$1.points" ] || { rm -f "$dir/$1.points"; return 0; }
	cut -f 2 "$dir/$1.points" | sort -u | awk -v q="'" -v data="$dir/$1.points" '
	{
		lines = lines (NR > 1 ? ", " : "plot ") "\"< awk -F \\\"\\\\t\\\" " \
		    "\\" q "$2 == \\\"" $0 "\\\"\\" q " " data "\" using 1:3 " \
		    "with linespoints title \"" $0 "\""
	}
	END { print lines }' >"$dir/$1.lines"
	gnuplot <<-END
		set terminal svg size 720,440 dynamic background "white"
		set output "$dir/$1.svg"
		set datafile separator "\t"
		set logscale xy
		set title "$2"
		set xlabel "$3"
		set ylabel "ns"
		set key outside right
		set grid
		$(cat "$dir/$1.lines")
	END
	rm -f "$dir/$1.points" "$dir/$1.lines"
	echo "plot $dir/$1.svg"
}

if command -v gnuplot >/dev/null 2>&1; then
	plot window-1 "a job that does nothing, 1 worker" "jobs that are out" \
	    bench_pool "window N, 1 workers, time"
	plot window-2 "a job that does nothing, 2 workers" "jobs that are out" \
	    bench_pool "window N, 2 workers, time"
	plot workers-256 "a job that does nothing, 256 are out" workers \
	    bench_pool "window 256, N workers, time"
	for op in add cancel reset fire; do
		plot "timer-$op" "$op a timer" timers bench_timer "$op, N timers"
	done
	plot yield "yield" tasks bench_task "yield, N tasks"
	plot posts "a post" posters bench_post "post, N posters"
else
	echo "no plots: no gnuplot"
fi

if [ -n "$base" ]; then
	printf '\nmoved since %s by more than its noise:\n' "$base"
	for new in "$dir"/*.tsv; do
		old=$base/${new##*/}
		[ ! -e "$old" ] || awk -F '\t' '
		$1 != "case" { next }
		NR == FNR { median[$2, $3] = $4; spread[$2, $3] = $5; next }
		($2, $3) in median {
			was = median[$2, $3]
			away = $4 - was
			size = away < 0 ? -away : away
			# A median distance is two thirds of a deviation.
			if (size > 4.5 * (spread[$2, $3] + $5) && size > was / 20)
				printf "  %-60s %10.1f -> %10.1f  %+.0f %%\n",
				    $2 ", " $3, was, $4, 100 * away / was
		}' "$old" "$new"
	done
fi

echo
grep -h '^bar' "$dir"/*.tsv
