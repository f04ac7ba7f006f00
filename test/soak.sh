#!/bin/sh
# SPDX-License-Identifier: ISC
# soak.sh BUILD HOURS SEED: nemesis and simulate, each one process all along, and
# one storm after the other beside them, until the time is over.  Fails when one
# of them does, or when the memory, descriptors, threads or processes of the two
# had a higher peak in the last third of the time than in the first.
set -eu
build=$1
minutes=$(echo "$2" | awk '{ m = int($1 * 60); print (m > 0 ? m : 1) }')
seed=$3
log=$build/soak
end=$(($(date +%s) + minutes * 60))
storms=0
failed=0
mkdir -p "$log"
rm -f "$log"/*

CK_FORK=no "$build/check_nemesis" --minutes "$minutes" --seed "$seed" \
    >"$log/nemesis.log" 2>&1 &
nemesis=$!
CK_FORK=no "$build/check_simulate" --minutes "$minutes" --seed "$seed" \
    >"$log/simulate.log" 2>&1 &
simulate=$!

# How many processes are below this one.
below()
{
	n=0
	for kid in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		n=$((n + 1 + $(below "$kid")))
	done
	echo $n
}

# A line: RSS in KiB, descriptors, threads, processes.
sample()
{
	[ -r "/proc/$1/status" ] || return 0
	rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status")
	threads=$(sed -n 's/^Threads:[^0-9]*//p' "/proc/$1/status")
	fds=$(ls "/proc/$1/fd" 2>/dev/null | wc -l)
	[ -z "$rss" ] || echo "$rss $fds $threads $(below "$1")"
}

(
	while [ "$(date +%s)" -lt $end ]; do
		sample $nemesis >>"$log/nemesis" 2>/dev/null || :
		sample $simulate >>"$log/simulate" 2>/dev/null || :
		sleep 1
	done
) &

while [ "$(date +%s)" -lt $((end - 60)) ]; do
	"$build/check_storm" --storm >"$log/storm.log" 2>&1 || {
		cat "$log/storm.log"
		failed=1
	}
	storms=$((storms + 1))
done
wait $nemesis || failed=1
wait $simulate || failed=1
wait
[ $failed -eq 0 ] || cat "$log/nemesis.log" "$log/simulate.log"
grep -h '^nemesis: \|^simulate: ' "$log"/*.log || failed=1

# The peaks; a twentieth and a MiB more memory is chance, as are the few
# descriptors and processes of a bigger pool.
for who in nemesis simulate; do
	awk -v who=$who -v lines="$(wc -l <"$log/$who")" '
	    {
		for (i = 1; i <= 4; i++) {
			if (NR * 3 <= lines && $i > first[i]) first[i] = $i
			if (NR * 3 > lines * 2 && $i > last[i]) last[i] = $i
		}
	    }
	    END {
		grown = (last[1] > first[1] * 1.05 + 1024)
		grown += (last[2] > first[2] + 8)
		grown += (last[3] > first[3] + 1)
		grown += (last[4] > first[4] + 8)
		printf "soak: %s samples=%d rss_kib=%d..%d ", who, NR, first[1], last[1]
		printf "fds=%d..%d threads=%d..%d ", first[2], last[2], first[3], last[3]
		printf "processes=%d..%d grown=%d\n", first[4], last[4], grown
		exit (grown > 0)
	    }' "$log/$who" || failed=1
done
echo "soak: minutes=$minutes storms=$storms seed=$seed failed=$failed"
exit $failed
