#!/bin/sh
# SPDX-License-Identifier: ISC
# Compile and run the programs that readers will copy: those in the EXAMPLES of
# every page, and the complete ones in README.md.  Where "It prints:" and a block
# follow, they have to print that; where it "prints something like", other digits
# will do.  Runs in the root of the repository.  usage: CC=compiler examples.sh BUILD_DIR
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

# Literal blocks of EXAMPLES that hold a main function: out/STEM-N.c each; what
# they print: STEM-N.out, or STEM-N.like.  In README.md blocks are fenced.
lift()
{
	awk -v stem="$out/$2" '
	/^\.Sh /                  { examples = $2 == "EXAMPLES" }
	FILENAME == "README.md"   { examples = 1 }
	!examples                 { next }
	block && /^(\.Ed|```)/    { block = 0; save(); said = ""; next }
	block                     { text = text plain($0) "\n"; next }
	/^(\.Bd -literal|```)/    { block = 1; text = ""; next }
	!/^\.Pp|^$/               { said = $0 }
	function plain(line) {
		if (FILENAME == "README.md")
			return line
		gsub(/\\&/, "", line)
		gsub(/\\-/, "-", line)
		gsub(/\\\(aq/, "\047", line)
		gsub(/\\e/, "\\", line)
		return line
	}
	function save(    file) {
		if (text ~ /main\(/)
			file = stem "-" ++n ".c"
		else if (said ~ /prints:$/)
			file = stem "-" n ".out"
		else if (said ~ /prints something like/)
			file = stem "-" n ".like"
		else
			return
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
	elif prints_other "$out/$name" "$log" >"$log.diff"; then
		fail "$name: prints something else" "$log.diff"
	else
		echo "ok   $name: $(tail -n 1 "$log")"
	fi
}

prints_other()
{
	if [ -e "$1.out" ]; then
		! diff -u "$1.out" "$2"
	elif [ -e "$1.like" ]; then
		sed 's/[0-9][0-9]*/N/g' "$2" >"$2.like"
		! sed 's/[0-9][0-9]*/N/g' "$1.like" | diff -u - "$2.like"
	else
		false
	fi
}

rm -rf "$out"
mkdir -p "$out"
for page in man/*.[37]; do
	stem=$(basename "$page" | tr . _)
	lift "$page" "$stem"
	[ -e "$out/$stem-1.c" ] || {
		echo "FAIL $page: no program in EXAMPLES"
		failed=$((failed + 1))
	}
done
[ ! -e README.md ] || lift README.md README
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

# Which public names does no program use?
used=$(cat "$out"/*.c test/cxx/*.cc | tr -cs 'A-Za-z0-9_' '\n' | sort -u)
unused=$(awk '/^\.Sh /{ on = $2 == "NAME" } on && $1 == ".Nm"{ print $2 }' man/*.3 |
    grep -vxF "$used" | tr '\n' ' ')
echo "in no example: ${unused:-none}"

echo "$count examples, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
