#!/bin/sh
# SPDX-License-Identifier: ISC
# Compile and run the programs that readers will copy: those in the EXAMPLES of
# every page, and the complete ones in README.md.  Runs in the root of the
# repository.  usage: CC=compiler examples.sh BUILD_DIR
set -eu

LIMIT=10 # seconds; a page promises one, sanitizers and slow machines get more

[ $# -eq 1 ] || {
	echo 'usage: examples.sh BUILD_DIR' >&2
	exit 2
}
build=$1
out=$build/examples
failed=0
count=0

# Literal blocks of EXAMPLES that hold a main function: out/STEM-N.c each.
lift_page()
{
	awk -v stem="$out/$2" '
	/^\.Sh /             { examples = $2 == "EXAMPLES" }
	!examples            { next }
	/^\.Ed/ && block     { block = 0; if (text ~ /main\(/) save() }
	block                { text = text plain($0) "\n" }
	/^\.Bd -literal/     { block = 1; text = "" }
	function plain(line) {
		gsub(/\\&/, "", line)
		gsub(/\\\(aq/, "\047", line)
		gsub(/\\e/, "\\", line)
		return line
	}
	function save() {
		file = stem "-" ++n ".c"
		printf "%s", text >file
		close(file)
	}' "$1"
}

# The same for blocks that are fenced with ```c.
lift_readme()
{
	awk -v stem="$out/$2" '
	/^```/ && block { block = 0; if (text ~ /main\(/) save(); next }
	block           { text = text $0 "\n" }
	/^```c$/        { block = 1; text = "" }
	function save() {
		file = stem "-" ++n ".c"
		printf "%s", text >file
		close(file)
	}' "$1"
}

fail()
{
	echo "FAIL $1"
	sed 's/^/	/' "$2"
	failed=$((failed + 1))
}

# usage: try SOURCE NAME COMPILER...
try()
{
	source=$1
	name=$2
	program=$out/$name
	log=$out/$name.log
	count=$((count + 1))
	shift 2
	# Unquoted: a compiler and its flags may be several words.
	if ! "$@" -Wall -Wextra -Werror -Iinclude ${CFLAGS:-} \
	    -o "$program" "$source" "$build/libeddy.a" ${LDFLAGS:-} -pthread \
	    >"$log" 2>&1; then
		fail "$name: does not compile" "$log"
		return
	fi
	status=0
	timeout "$LIMIT" "$program" >"$log" 2>&1 </dev/null || status=$?
	if [ "$status" -ne 0 ]; then
		fail "$name: exit status $status" "$log"
	elif [ ! -s "$log" ]; then
		fail "$name: printed nothing" "$log"
	else
		echo "ok   $name: $(tail -n 1 "$log")"
	fi
}

rm -rf "$out"
mkdir -p "$out"
for page in man/*.[37]; do
	stem=$(basename "$page" | tr . _)
	lift_page "$page" "$stem"
	[ -e "$out/$stem-1.c" ] || {
		echo "FAIL $page: no program in EXAMPLES"
		failed=$((failed + 1))
	}
done
[ ! -e README.md ] || lift_readme README.md README
for source in "$out"/*.c; do
	[ ! -e "$source" ] || try "$source" "$(basename "$source" .c)" ${CC:-cc} -std=c11
done
# In C++ too, where there is a compiler for it.
for cxx in g++ clang++; do
	case ${CC:-cc}:${CFLAGS:-}:$cxx in
	*musl* | *clang*:*sanitize*:g++ | *cc:*sanitize*:clang++) continue ;;
	esac
	! command -v $cxx >/dev/null 2>&1 ||
		try test/cxx/example.cc "example-$cxx" $cxx -std=c++17 -pedantic
done

echo "$count examples, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
