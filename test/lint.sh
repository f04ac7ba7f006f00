#!/bin/sh
# SPDX-License-Identifier: ISC
# lint BUILD_DIR: what the compiler does not check.  Prints what is wrong.
set -u
build=$1
bad=0
CC=${CC:-cc}
CLANG_FORMAT=${CLANG_FORMAT:-clang-format}

wrong() { echo "lint: $*"; bad=1; }
have() { command -v "$1" >/dev/null 2>&1 || { echo "lint: skipped, no $1"; false; }; }

# The layer of a file: it may include what is no higher.
layer() {
	case $(basename "$1") in
	base.* | sys* | quota.c | text.* | atomics.h | spin.h | debug.h) echo 0 ;;
	loop* | stats.* | embed.c | timer.* | post.* | watch.* | door.h | list.h) echo 1 ;;
	task* | run.c | run_on.c | executor* | job* | transform.h | copy_executor.c) echo 2 ;;
	sync.* | mailbox.c | ring.h | signal.* | child.* | io.* | io_impl.h | copy.c) echo 3 ;;
	thread_* | lane.h | strand.* | process_*) echo 4 ;;
	offload* | blocking.* | net.* | map.c | dump* | verify.c | stall* | trace.* | kind.c | eddy.h) echo 5 ;;
	*) echo 9; wrong "$1 has no layer in test/lint.sh" ;;
	esac
}
for file in include/eddy/*.h lib/*.[ch]; do
	own=$(layer "$file")
	for inc in $(sed -n 's/^#include \(<eddy\/\|"\)\([a-z_]*\.h\)[>"].*/\2/p' "$file"); do
		[ -f "include/eddy/$inc" ] || [ -f "lib/$inc" ] || continue
		[ "$(layer "$inc")" -le "$own" ] || wrong "$file includes $inc, a layer above"
		case $file:$inc in
		*thread_pool*:process* | *process*:thread_pool*) wrong "$file includes $inc" ;;
		esac
	done
	grep -Hn '#include <eddy.h>' "$file" && wrong "$file: eddy.h is for users"
done
grep -l '#include "' include/eddy/*.h && wrong "public headers include private ones"

# Each public header alone, in each language.
for h in include/eddy.h include/eddy/*.h; do
	for std in c99 c11; do
		echo "#include <${h#include/}>" | $CC -x c -std=$std -D_POSIX_C_SOURCE=200809L \
		    -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only - || wrong "$h as $std"
	done
	[ "$h" != include/eddy/executor.h ] || echo "#include <eddy/executor.h>
	    int f(void *), n; struct eddy_job a = EDDY_JOB(f, &n), b = EDDY_JOB(f, NULL);" |
	    $CC -x c -std=c99 -pedantic -Wall -Wextra -Wno-unknown-warning-option \
		-Wduplicated-branches -Werror -Iinclude -fsyntax-only - || wrong "EDDY_JOB as C99"
	command -v g++ >/dev/null 2>&1 || continue
	echo "#include <${h#include/}>" | g++ -x c++ -std=c++17 -pedantic -Wall -Wextra \
	    -Werror -Iinclude -fsyntax-only - || wrong "$h as C++17"
done

# The prefix is the namespace, and the list of public names is a decision.
nm -g --defined-only "$build/libeddy.a" 2>/dev/null |
    awk 'NF == 3 && $2 ~ /[TDBRVW]/ { print $3 }' | sort -u >"$build/symbols"
grep -v '^eddy_' "$build/symbols" && wrong "names without the prefix"
grep -v '^eddy__' "$build/symbols" | diff -u test/symbols.txt - || wrong "test/symbols.txt differs"
# The job of this thread, what it hands over, who asks for frames, and a worker's mark of forked copies.
nm "$build/libeddy.a" | awk 'NF == 3 && $2 ~ /[BbC]/ { print $3 }' |
    grep -vx 'inside\|forked\|handing\|asking' && wrong "state outside of objects"

# What the library calls can be made to fail.
sh test/calls.sh "$build" || wrong "test/fault.c and test/infallible.txt"

# All as one file: names that clash beyond what test/amalgamate.sh mends.
sh test/amalgamate.sh "$build/one" && $CC -std=c11 -Wall -Wextra -Werror \
    -fsyntax-only "$build/one/eddy.c" || wrong "the amalgamation"

# Files.
for file in $(git ls-files 2>/dev/null | grep -E '\.([ch]|sh|in|[37])$|Makefile|run$'); do
	case $file in *.pc.in) continue ;; esac
	head -2 "$file" | grep -q 'SPDX-License-Identifier: ISC' || wrong "$file has no SPDX line"
done
awk 'FNR == 1 { open = 0 } /^\{/ { open = FNR }
    /^\}/ { if (open && FNR - open > 60) print FILENAME ":" open ": over 60 lines"; open = 0 }' \
    lib/*.c bench/*.c | grep . && wrong "long functions"
grep -nE '(^|[^:"])//' lib/*.[ch] include/eddy/*.h include/eddy.h && wrong "// comments"
grep -nE '__atomic_|stdatomic' lib/*.[ch] | grep -v '^lib/atomics.h' && wrong "atomics outside of atomics.h"
echo "lint: lib/ has $(cat lib/*.[ch] | wc -l) lines"

# Pages.
version=$(sed -n 's/.define EDDY_VERSION *"\(.*\)"/\1/p' include/eddy/base.h)
for page in man/*.[37]; do
	grep -q "^\.Os eddy $version" "$page" || wrong "$page is not of version $version"
	if have mandoc; then
		mandoc -Tlint -Wwarning "$page" >"$build/page" 2>&1
		grep . "$build/page" && wrong "$page"
	fi
	if have groff; then
		groff -mdoc -ww -Tutf8 "$page" 2>&1 >/dev/null | grep . && wrong "$page"
	fi
done
awk -f test/names.awk include/eddy/*.h man/*.[37] | sort | grep . && wrong "pages"
# Nd, Fo: macros of mdoc.
if have codespell; then
	codespell -L nd,fo,statics,failer $(git ls-files 2>/dev/null) | grep . && wrong "spelling"
fi

# Format; task.h keeps its macros by hand.
if have "$CLANG_FORMAT"; then
	$CLANG_FORMAT -n -Werror $(ls include/eddy.h include/eddy/*.h lib/*.[ch] \
	    test/*.[ch] test/fault/*.[ch] test/fuzz/*.[ch] test/simulate/*.[ch] test/hosts/*.[ch] bench/*.[ch] | grep -v task.h) 2>&1 | head -20 | grep . && wrong "format"
fi
exit $bad
