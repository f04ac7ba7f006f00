#!/bin/sh
# SPDX-License-Identifier: ISC
# What tools find by reading lib/: cppcheck, gcc -fanalyzer, clang --analyze and
# some checks of clang-tidy.  Each that is not installed is skipped by name.
set -u

flags='-std=c11 -D_GNU_SOURCE -Iinclude -Ilib'
out=$(mktemp)
trap 'rm -f "$out"' EXIT
tools=0 found=0

# have TOOL: or say that it is missing.
have() { command -v "$1" >/dev/null 2>&1 || { echo "static: skipped, no $1"; false; }; }

# What a tool said, but for lines that match one of the patterns.
judge()
{
	grep -E 'warning:|error:' "$out" | grep -vE "$2" >"$out.left"
	if [ -s "$out.left" ]; then
		echo "static: $1"
		cat "$out.left"
	fi
	tools=$((tools + 1)) found=$((found + $(wc -l <"$out.left")))
	rm -f "$out.left"
}

if have cppcheck; then
	# It takes the labels that a coroutine resumes at for variables, and a
	# buffer that recvmsg fills for one that it reads.
	cppcheck --quiet --std=c11 --enable=warning,portability,performance \
	    -D_GNU_SOURCE -Iinclude -Ilib --suppress=missingIncludeSystem \
	    --suppress=uninitvar --suppress=ctuuninitvar lib >"$out" 2>&1
	judge cppcheck ' note:'
fi
if gcc --version >/dev/null 2>&1; then
	for file in lib/*.c; do
		gcc $flags -O2 -fanalyzer -c -o /dev/null "$file"
	done >"$out" 2>&1
	# It believes that CONTAINER_OF may be of NULL.
	judge 'gcc -fanalyzer' 'Wanalyzer-null-dereference'
fi
if have clang; then
	for file in lib/*.c; do
		clang --analyze $flags -Xclang -analyzer-output=text "$file"
	done >"$out" 2>&1
	# It believes that CONTAINER_OF may be of NULL, and that a pool's depth
	# may have become 0.
	judge 'clang --analyze' 'core.NullDereference|process_.*DivideZero'
fi
if have clang-tidy; then
	clang-tidy --quiet lib/*.c \
	    --checks='-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-assignment-in-if-condition,-bugprone-macro-parentheses,-bugprone-reserved-identifier,-bugprone-narrowing-conversions,-bugprone-implicit-widening-of-multiplication-result,-bugprone-sizeof-expression' \
	    -- $flags >"$out" 2>&1
	judge clang-tidy 'NONE'
fi
echo "static: tools=$tools files=$(ls lib/*.c | wc -l) found=$found"
[ "$found" -eq 0 ]
