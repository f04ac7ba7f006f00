#!/bin/sh
# SPDX-License-Identifier: ISC
# calls.sh BUILD_DIR: each function that libeddy.a calls is one that test/fault.c
# makes fail, or is in test/infallible.txt; neither names more.  Prints what is
# wrong.  Without BUILD_DIR: those of test/fault.c.
set -u

wrapped()
{
	sed -n -e 's/^[A-Z]*(\([A-Za-z0-9_]*\), .*/\1/p' \
	    -e 's/^__wrap_\([A-Za-z0-9_]*\)(.*/\1/p' test/fault.c | sort -u
}

[ $# -gt 0 ] || { wrapped; exit; }

nm -u "$1/libeddy.a" | awk 'NF == 2 { print $2 }' | sort -u |
    grep -vE '^eddy_|^_GLOBAL_OFFSET_TABLE_$|^__[a-z]*san_' >"$1/calls"
sed -n 's/^\([A-Za-z0-9_]*\) .*/\1/p' test/infallible.txt | sort -u >"$1/infallible"
wrapped >"$1/wrapped"
{
	sort "$1/wrapped" "$1/infallible" | uniq -d | sed 's/$/ is in both/'
	sort -u "$1/wrapped" "$1/infallible" | comm -3 "$1/calls" - |
	    sed -e 's/^\t\(.*\)/\1 is not called any more/' \
		-e '/ /!s/$/ is called, but never fails/'
} | sed 's/^/calls: /' | grep . && exit 1
exit 0
