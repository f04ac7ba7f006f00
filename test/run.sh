#!/bin/sh
# SPDX-License-Identifier: ISC
# run.sh BUILD_DIR BINARY...: run every suite; what failed is said once more at
# the end, where a log cut short still has it, and the last line sums them all.
# A suite that dies, or fails without saying so, is one more error.

build=$1
shift
log=$build/check.log
sums=$build/check.sums
failed=$build/check.failed
: >"$sums"
: >"$failed"

for suite in "$@"; do
	{
		"$suite" 2>&1
		echo "exit $?"
	} | tee "$log" | grep --line-buffered -v '^exit [0-9]*$'
	grep '^test/.*:[FE]:' "$log" >>"$failed"
	awk -v suite="$suite" -v failed="$failed" '
		/^[0-9]+%: Checks: / { n = $3; f = $5; e = $7 }
		/^exit [0-9]+$/ { code = $2 }
		END {
			if (n == "" || (code != 0 && f + e == 0)) {
				print suite ": exit " code >>failed
				n++
				e++
			}
			print n + 0, f + 0, e + 0
		}' "$log" >>"$sums"
done

cat "$failed"
awk '
	{ n += $1; f += $2; e += $3 }
	END {
		ok = n > 0 ? int(100 * (n - f - e) / n) : 100
		printf "%d%%: Checks: %d, Failures: %d, Errors: %d\n",
		    ok, n, f, e
		exit f + e > 0
	}' "$sums"
