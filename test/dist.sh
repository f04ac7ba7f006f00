#!/bin/sh
# SPDX-License-Identifier: ISC
# Write build/eddy-VERSION.tar.gz: the same bytes from the same files, wherever
# and whenever.  In an unpacked tarball, without git, that is the tarball again.
# usage: dist.sh VERSION; SOURCE_DATE_EPOCH=seconds
set -eu

[ $# -eq 1 ] || {
	echo 'usage: dist.sh VERSION' >&2
	exit 2
}
name=eddy-$1

if git ls-files --error-unmatch Makefile >/dev/null 2>&1; then
	list='git ls-files'
	date=$(git log -1 --format=%ct)
else
	list='find . ( -path ./build -o -path ./.git ) -prune -o ! -type d -print'
	date=$(stat -c %Y Makefile)
fi
mkdir -p build
$list | sed 's|^\./||' | LC_ALL=C sort |
    tar -cf - --no-recursion --files-from=- --transform="s|^|$name/|" \
    --format=ustar --mtime="@${SOURCE_DATE_EPOCH:-$date}" --owner=0 --group=0 \
    --numeric-owner --mode=u+rwX,go+rX,go-w |
    gzip -9n >"build/$name.tar.gz"
sha256sum "build/$name.tar.gz"
