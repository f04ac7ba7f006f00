#!/bin/sh
# SPDX-License-Identifier: ISC
# Build and run the programs in test/hosts, each where its library is there.
# usage: CC=compiler CFLAGS=flags hosts.sh BUILD_DIR
set -eu

case ${CC:-cc}:${CFLAGS:-} in
*musl* | *sanitize*)
	echo "skip hosts: their libraries are for the plain build"
	exit 0
	;;
esac
build=$1
out=$build/hosts
failed=0
mkdir -p "$out"

for source in test/hosts/*.c; do
	name=$(basename "$source" .c)
	pkg=$(sed -n 's/.*pkg: \([a-z0-9.-]*\).*/\1/p' "$source")
	libs=$(sed -n 's/.*libs: \([a-z -]*[a-z]\).*/\1/p' "$source")
	flags=
	if [ -n "$pkg" ]; then
		flags=$(pkg-config --cflags "$pkg" 2>/dev/null | sed 's/-I/-isystem /g') || :
		libs=$(pkg-config --libs "$pkg" 2>/dev/null) || :
	fi
	header=$(sed -n 's/^#include <\([a-z0-9-]*\.h\)>.*/\1/p' "$source" | head -1)
	if ! echo "#include <$header>" | ${CC:-cc} $flags -E - >/dev/null 2>&1; then
		echo "skip $name: no $header"
		continue
	fi
	if ${CC:-cc} -std=gnu11 -Wall -Wextra -Iinclude $flags ${CFLAGS:-} \
	    -o "$out/$name" "$source" "$build/libeddy.a" $libs -pthread &&
	    timeout 60 "$out/$name" >"$out/$name.log" 2>&1; then
		sed "s/^/ok   /" "$out/$name.log"
	else
		echo "FAIL $name"
		sed 's/^/	/' "$out/$name.log" || :
		failed=1
	fi
done
exit $failed
