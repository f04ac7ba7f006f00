#!/bin/sh
# SPDX-License-Identifier: ISC
# Put manual pages into MANDIR, or take the same files out again: each page
# under its own name, and one of section 3 under each name of its NAME section.
# usage: pages.sh install|uninstall MANDIR PAGE...
set -eu

usage()
{
	echo 'usage: pages.sh install|uninstall MANDIR PAGE...' >&2
	exit 2
}

# What `man 3 name` has to find, one a line.
names()
{
	awk '/^\.Sh /{in_name = $2 == "NAME"} in_name && $1 == ".Nm"{print $2}' "$1"
}

install_page()
{
	install -d "$dir"
	install -m 644 "$page" "$dir/$file"
	for name in $links; do
		ln -sf "$file" "$dir/$name.3"
	done
}

uninstall_page()
{
	rm -f "$dir/$file"
	for name in $links; do
		rm -f "$dir/$name.3"
	done
}

[ $# -ge 2 ] || usage
verb=$1
mandir=$2
shift 2
case $verb in
install | uninstall) ;;
*) usage ;;
esac

for page; do
	file=${page##*/}
	dir=$mandir/man${file##*.}
	links=
	case $file in
	*.3) links=$(names "$page") ;;
	esac
	"${verb}_page"
done
