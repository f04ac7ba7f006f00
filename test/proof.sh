#!/bin/sh
# SPDX-License-Identifier: ISC
# proof.sh DIR: what the logs of make's targets in DIR say, as one table: the
# target, how it ended, when, and its figures (its lines "name: ...", the sums of
# Check).  make proof makes the logs that are missing or older than the sources.
set -eu

dir=$1
printf 'eddy %s, %s, %s\n' "$(git describe --always --dirty 2>/dev/null ||
    sed -n 's/.*EDDY_VERSION *"\(.*\)"/\1/p' include/eddy/base.h)" \
    "$(uname -srm)" "$(gcc --version | head -1)"
failed=0
for log in "$dir"/*.log; do
	target=$(basename "$log" .log)
	code=$(sed -n 's/^make exit //p' "$log")
	[ "$code" = 0 ] || failed=1
	printf '\n%-13s %-9s %s\n' "$target" \
	    "$([ "$code" = 0 ] && echo passed || echo "failed: $code")" \
	    "$(date -r "$log" '+%Y-%m-%d %H:%M')"
	grep -E '^[a-z][a-z-]*( [^ :]+){0,2}: .*[0-9]|^[0-9]+%: Checks|^skip|^lines: |^branches: ' \
	    "$log" | grep -vE '^(eddy|make): ' | tail -20 | sed 's/^/    /'
done
exit $failed
