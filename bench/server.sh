#!/bin/sh
# SPDX-License-Identifier: ISC
# What does /hash, which computes in another process, cost those who ask the server
# for an echo?  Pairs of an idle run and one beside clients that hash all the time;
# the bar is the median of the pairs' ratios of the 99th percentile.
# wrk adds the requests that a stall kept it from sending, so 1 % of them is 1 % of
# the time, and a stall of its own thread counts as one of the server's.
# usage: [QUICK=1] server.sh BUILD_DIR
set -eu

[ $# -eq 1 ] || {
	echo 'usage: server.sh BUILD_DIR' >&2
	exit 2
}
subject='p99 of /echo, beside /hash / idle'
command -v wrk >/dev/null || {
	printf 'bar\t%s\t-\t-\tskipped: wrk\n' "$subject"
	exit 0
}
pairs=9 seconds=2
[ "${QUICK:-0}" = 0 ] || pairs=1 seconds=1

dir=$(mktemp -d)
"$1/server" 127.0.0.1 0 "$dir" >"$dir/port" &
server=$!
trap 'kill $server; wait; rm -r "$dir"' EXIT
until [ -s "$dir/port" ]; do sleep 0.05; done
read -r _ port <"$dir/port"
printf 'wrk.method = "POST"\nwrk.body = string.rep("x", 64)\n' >"$dir/echo.lua"

# usage: load SECONDS CLIENTS PATH [OPTION...]: requests a second, and the p99 in us.
load()
{
	time=$1 clients=$2 url=http://127.0.0.1:$port$3
	shift 3
	wrk -t1 -c"$clients" -d"${time}s" --latency "$@" "$url" | awk '
		$1 == "99%" { us = $2 * ($2 ~ /us/ ? 1 : $2 ~ /ms/ ? 1e3 : 1e6) }
		$1 == "Requests/sec:" { rate = $2 }
		/Non-2xx|Socket errors/ { print >"/dev/stderr"; bad = 1 }
		END { print rate, us; exit bad || us == 0 }'
}
echo_load() { load $seconds 20 /echo -s "$dir/echo.lua"; }

printf '%-12s %9s %9s %9s %9s %9s %7s\n' 'echo beside' 'idle/s' 'p99 us' \
	'hash: /s' 'p99 us' 'hashes/s' ratio
[ "${QUICK:-0}" != 0 ] || echo_load >/dev/null
for pair in $(seq $pairs); do
	idle=$(echo_load)
	load $((seconds + 1)) 4 /hash >"$dir/hashes" &
	hashing=$!
	sleep 0.5
	busy=$(echo_load)
	wait $hashing
	printf '%s %s %s\n' "$idle" "$busy" "$(cat "$dir/hashes")"
done | tee "$dir/runs" | awk '{
	printf "%-12s %9d %9d %9d %9d %9d %7.2f\n", "pair " NR, $1, $2, $3, $4, $5,
	    $4 / $2; fflush() }'
awk '{ print $4 / $2 }' "$dir/runs" | sort -n |
    awk -v subject="$subject" -v pairs=$pairs '
	{ ratio[NR] = $1 }
	END { if (NR != pairs) exit 1 # one went wrong, as was said
	    median = ratio[int((NR + 1) / 2)]
	    printf "\nbar\t%s\t%.2f\t%.2f\t%s\n", subject, median, 2,
		median <= 2 ? "met" : "missed" }'
