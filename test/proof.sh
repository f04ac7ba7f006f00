#!/bin/sh
# SPDX-License-Identifier: ISC
# proof.sh DIR TARGET...: what the logs of make's targets in DIR say, as one table:
# the target, how it ended, when, of which tree, and its figures (its lines
# "name: ...", tables, the sums of Check).  make proof makes the logs that are
# missing or older than the sources.
set -eu

dir=$1
shift
printf 'eddy %s, %s, %s\n' "$(git describe --always --dirty 2>/dev/null ||
    sed -n 's/.*EDDY_VERSION *"\(.*\)"/\1/p' include/eddy/base.h)" \
    "$(uname -srm)" "$(gcc --version | head -1)"
failed=0
for target; do
	log=$dir/$target.log
	if [ ! -e "$log" ]; then
		printf '\n%-24s not run\n' "$target"
		failed=1
		continue
	fi
	code=$(sed -n 's/^make exit //p' "$log")
	[ "$code" = 0 ] || failed=1
	printf '\n%-24s %-9s %s\n' "$target" \
	    "$([ "$code" = 0 ] && echo passed || echo "failed: $code")" \
	    "$(sed -n '1s/^of //p' "$log")"
	awk '/^(eddy|make|matrix): / || /^[a-z_]+ [0-9]+%: / { next }
	    /^[0-9]+%: Checks/ { sum = $0; next }
	    /^[a-z0-9][a-z0-9-]*( [^ :]+)?( [^ :]+)?: .*[0-9]/ || /^skip/ ||
	    /^[a-z ]+\t[0-9]/ { print }
	    END { if (sum != "") print sum }' "$log" | tail -20 | sed 's/^/    /'
done
exit $failed
