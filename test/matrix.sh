#!/bin/sh
# SPDX-License-Identifier: ISC
# Every suite in every way to build: compilers, levels, libraries, sanitizers,
# valgrind.  usage: matrix.sh [WAY...]; SUITES="loop task" for fewer suites.
# The last line of each way is a sum; the last of all, theirs.
set -eu

out=build/matrix
mkdir -p "$out"
suites=${SUITES:-$(ls test/check_*.c | sed 's/.*check_\(.*\)\.c/\1/')}
kernel="-idirafter /usr/include -idirafter /usr/include/$(cc -print-multiarch)"
shim="-Itest/shim $kernel"

# Left out, and why:
#   cluster: libgearman is not to be had for musl, and not instrumented
#   door, schedules: musl has no getcontext; clang's sanitizers lose track of
#     stacks that change
#   fault: it has a syscall(2) of its own, as shim/msan.c
#   memcheck: valgrind 3.19 does not know pidfd_open(2), so there is no zygote
skip_musl='cluster door schedules'
skip_memory='cluster door schedules fault'
skip_memcheck='cluster door schedules child process_pool zygote edges hostile
    kernels storm transform server fault blocking misuse batch stats dump trace
    jobs strand executor offload watch copy run_on clock rules workers'
# Single tests, the same:
#   a_copy_shows_...: musl ends who writes past an allocation
#   a_million_...: resident bytes are musl's and the sanitizer's, too
#   without_pwait2_...: they count calls that valgrind does not have
SHIM_SKIP=$(echo 'a_copy_shows_a_wrong_size
    a_million_sleeping_tasks_cost_at_most_220_resident_bytes_each
    without_pwait2_no_timer_is_early
    without_pwait2_a_wait_ends_once without_pwait2_a_storm_does_not_postpone')
export SHIM_SKIP CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-4}

ways='gcc-O0 gcc-O2 gcc-O3 gcc-Os gcc-lto debug clang-O2 clang-O0 gcc-static
    musl-static address,undefined thread memory memcheck'

# build WAY SUITE: make's arguments are the way.
build()
{
	case $1 in
	gcc-lto) set -- "$2" CFLAGS='-O2 -flto=auto' ;;
	gcc-static) set -- "$2" LDFLAGS=-static ;;
	debug) set -- "$2" DEBUG=1 ;;
	gcc-*) set -- "$2" CFLAGS="-g -${1#gcc-}" ;;
	clang-*) set -- "$2" CC=clang CFLAGS="-g -${1#clang-}" ;;
	musl-static) set -- "$2" CC=musl-gcc LDFLAGS=-static PKG_CONFIG=false \
	    CPPFLAGS="$shim" ;;
	memory) set -- "$2" CC=clang SAN=memory PKG_CONFIG=false \
	    CPPFLAGS=-Itest/shim LDFLAGS="$(echo -D_GNU_SOURCE -Ilib -Iinclude \
	        test/shim/msan.c -Wl,--wrap=syscall)" ;;
	memcheck) set -- "$2" PKG_CONFIG=false CPPFLAGS=-Itest/shim \
	    CFLAGS='-O1 -g' ;;
	*) set -- "$2" SAN="$1" ;;
	esac
	suite=$1
	shift
	make -s "$@" B="$out/$way" "$out/$way/check_$suite" \
	    >"$out/$way.log" 2>&1
}

run()
{
	if [ "$way" = memcheck ]; then
		CK_TIMEOUT_MULTIPLIER=20 valgrind -q --error-exitcode=99 "$1"
	else
		"$1"
	fi
}

total=0 bad=0
for way in ${*:-$ways}; do
	sums=$out/$way.sums
	: >"$sums"
	for suite in $suites; do
		case $way in
		musl*) skip=$skip_musl ;;
		memory) skip=$skip_memory ;;
		memcheck) skip=$skip_memcheck ;;
		*) skip= ;;
		esac
		case " $(echo $skip) " in *" $suite "*) continue ;; esac
		if ! build "$way" "$suite"; then
			cat "$out/$way.log"
			echo "$way $suite: does not build"
			echo 1 1 >>"$sums"
			continue
		fi
		run "$out/$way/check_$suite" >"$out/$way-$suite.log" 2>&1 ||
			grep -E '^[^ ]+:[0-9]+:[FE]:|: (failed|took)|^==|ERROR: |: [A-Za-z]*Sanitizer' \
			    "$out/$way-$suite.log" | head -20
		sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' \
		    "$out/$way-$suite.log" | tail -1 |
			awk '{ print $1, $2 + $3 } END { if (NR == 0) print 1, 1 }' \
			>>"$sums"
	done
	read -r n f <<-END
	$(awk '{ n += $1; f += $2 } END { print n + 0, f + 0 }' "$sums")
	END
	echo "matrix $way: $n checks, $f failed"
	total=$((total + n)) bad=$((bad + f))
done
echo "matrix: checks=$total failed=$bad"
[ "$bad" -eq 0 ]
