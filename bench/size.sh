#!/bin/sh
# SPDX-License-Identifier: ISC
# How many bytes does the same static echo program have with each library, beyond
# a program that does nothing?  Those that are not installed are skipped by name.
# Fails above 40,000: something pulls in what a loop does not need.
# usage: CC=compiler size.sh BUILD_DIR
set -eu

[ $# -eq 1 ] || {
	echo 'usage: size.sh BUILD_DIR' >&2
	exit 2
}
out=$1/size
mkdir -p "$out"

# usage: text NAME SOURCE LIBRARY...: bytes of code and constants.
text()
{
	name=$1
	shift
	${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -static -ffunction-sections \
	    -Iinclude -Wl,--gc-sections "$@" -pthread -o "$out/$name" 2>"$out/log" &&
	    size "$out/$name" | awk 'NR == 2 { print $1 }'
}

echo 'int main(void) { return 0; }' >"$out/empty.c"
empty=$(text empty "$out/empty.c")
echo "size of a static echo program, bytes of text beyond $empty of an empty one"

# usage: compare NAME LIBRARY...
compare()
{
	peer=$1
	shift
	if bytes=$(text "$peer" "bench/peers/size_$peer.c" "$@"); then
		printf '  %-20s %8d\n' "$peer" $((bytes - empty))
	else
		echo "  $peer: not installed for ${CC:-cc}"
		false
	fi
}

# usage: bar SUBJECT MEASURED LIMIT
bar()
{
	printf 'bar\t%s\t%d\t%d\t%s\n' "$1" "$2" "$3" \
	    "$([ "$2" -le "$3" ] && echo met || echo missed)"
}

compare eddy "$1/libeddy.a"
eddy=$((bytes - empty))
compare tasks "$1/libeddy.a" # of eddy, too
tasks=$((bytes - empty))
libev=
! compare libev -lev -lm || libev=$((bytes - empty))
compare libevent -levent_core || :
compare libuv -luv_a || :
bar "static echo, bytes" "$eddy" 40000
bar "the same, of tasks" "$tasks" 40000
if [ -n "$libev" ]; then
	bar "static echo, beside libev" "$eddy" "$libev"
else
	printf 'bar\t%s\t-\t-\tskipped: no libev\n' 'static echo, beside libev'
fi
[ "$eddy" -le 40000 ] && [ "$tasks" -le 40000 ]
