#!/bin/sh
# SPDX-License-Identifier: ISC
# Every suite in every way to build: compilers, levels, libraries, sanitizers,
# valgrind; other architectures by qemu-user.  usage: matrix.sh WAY...;
# SUITES="loop task" for fewer suites, JOBS=2 for two at a time.  The last line of
# each way is a sum; the last of all, theirs.
set -eu

out=build/matrix
mkdir -p "$out"
suites=${SUITES:-$(ls test/check_*.c | sed 's/.*check_\(.*\)\.c/\1/')}
kernel="-idirafter /usr/include -idirafter /usr/include/$(cc -print-multiarch)"
shim="-Itest/shim $kernel"

# Left out, and why:
#   cluster: libgearman is not to be had for musl and other architectures, and
#     not instrumented, nor a C library when static
#   door, schedules: musl has no getcontext; clang's sanitizers lose track of
#     stacks that change; an emulator needs half an hour
#   fault: it has a syscall(2) of its own, as shim/msan.c; and its archive is one
#     object, in which nothing stands between the library and an emulator's thread
#   batch, fault, nemesis: valgrind takes too long; kernels: their filters refuse
#     calls of its own; misuse, server: what is tried is another program
#   child, ... zygote (old): valgrind before 3.24 does not know pidfd_open(2)
#   kernels, misuse, nemesis, server: an emulator has no seccomp(2), no
#     subreapers and no execve(2) of its programs, and runs no compiler
#   batch, fault, offload, run_on, workers: the linker's --wrap does not reach a
#     call within what was optimized as a whole
#   simulate: shim/msan.c has the syscall(2) that it wraps; and with 64 bits of
#     time on 32 the C library's calls have other names, which it does not wrap
skip_cross=cluster
skip_lto='batch fault offload run_on workers'
skip_musl='cluster door schedules'
skip_memory='cluster door schedules fault simulate'
skip_time64='cluster simulate'
skip_memcheck='cluster door schedules batch fault nemesis kernels misuse server'
skip_old='child edges hostile jobs process_pool storm strand transform workers
    zygote'
skip_qemu='door schedules fault kernels misuse nemesis server'
# Single tests, the same; name:7 is a round of a loop:
#   a_copy_shows_...: musl ends who writes past an allocation
#   a_million_...: resident bytes are musl's, the sanitizer's and the emulator's
#   without_pwait2_...: they count calls that valgrind does not have
#   accept_without_...: where descriptors are few, valgrind accepts first, then
#     closes what it got; nor does it refuse a job's when they are
#   a_pool_opens_if_...: its socketpair(2) without room for two closes them and
#     tells no error
#   a_host_without_...: shim/valgrind.c needs /proc
#   what_cannot_start_...: its vfork(2) is a fork(2); only_a_real_...: it keeps a
#     signal for itself; a_host_that_is_...: it cannot load what it needs there;
#     a_sandbox_...: it makes calls of its own; few_descriptors_...: it keeps the
#     hard limit
#   a_process_pool_... to another_process_... (old): as above
tests_musl='a_copy_shows_a_wrong_size
    a_million_sleeping_tasks_cost_at_most_220_resident_bytes_each'
tests_memory=$tests_musl
tests_memcheck="$tests_musl without_pwait2_no_timer_is_early
    without_pwait2_a_wait_ends_once without_pwait2_a_storm_does_not_postpone
    accept_without_descriptors_says_so_and_loses_nobody
    a_job_whose_descriptors_do_not_fit_is_lost what_cannot_start_leaves_nothing
    a_pool_opens_if_there_is_room_for_one_worker
    a_host_without_any_file_makes_clean_workers
    only_a_real_time_signal_interrupts a_host_that_is_process_1_gets_outcomes
    a_sandbox_holds_and_lets_jobs_run few_descriptors_will_do:1"
tests_old='a_process_pool_tells_its_processes
    a_job_in_a_process_is_a_span_and_a_flow queue_and_run_time_are_apart:1
    the_deadline_of_a_job_in_a_process_counts_real_time
    waiting_for_a_job_in_a_process_stops_the_clock fairness:14 fairness:15
    another_process_is_no_place_for_files'
# qemu-user 7.2 takes MADV_WIPEONFORK and MADV_REMOVE and forgets them: no loop
# hears of a fork, no memory is given back; it has no seccomp(2) and no
# PR_SET_CHILD_SUBREAPER; its vfork(2) is a fork(2), so posix_spawn(3) tells no
# error and does not wait for the child; it keeps two more signals for itself; it
# does not know SIOCOUTQNSD; of more descriptors than a message has room for it
# leaves some open; a process 1 of a namespace hangs in it; without
# process_vm_readv(2) a stall has no name; and system calls in procfs, and
# locales, are of this machine's.
tests_qemu='a_forked_child_may_only_close a_child_forked_by_a_callback_may_close
    a_forked_child_cannot_ring_a_sleeping_loop in_a_forked_child_it_is_refused
    a_forked_child_cannot_change_a_watch a_forked_child_has_no_workers
    a_forked_child_leaves_the_epoll_alone
    a_forked_child_of_a_busy_pool_has_no_workers
    a_forked_child_may_close_the_pool
    a_forked_child_may_close_a_pool_without_a_home
    a_forked_child_can_only_close_and_the_host_does_not_notice
    a_host_that_is_process_1_gets_outcomes
    a_host_survives_workers_that_do_anything
    what_was_found_before_is_not_found_again
    descriptors_that_nobody_asked_for_do_not_stay
    a_child_forked_by_a_callback_leaves_its_jobs a_forked_child_has_no_strand
    a_forked_child_of_a_busy_strand_has_none a_forked_child_may_close_the_strand
    a_forked_child_may_close_the_strand_last
    the_memory_of_a_large_job_is_given_back
    the_memory_of_a_large_reserved_job_is_given_back
    a_sandbox_holds_and_lets_jobs_run
    what_jobs_left_behind_ends_with_the_pool
    nothing_is_left_of_a_host_that_dies_at_a_step
    nothing_is_left_of_a_host_that_was_killed
    workers_die_with_their_host:0 workers_die_with_their_host:2
    workers_die_with_their_host:3 workers_die_with_their_host:4
    it_may_lead_a_group the_last_bytes_of_a_file_do_not_wait_in_tcp
    what_cannot_start_leaves_nothing no_signal_is_blocked_or_ignored
    what_a_job_changes_around_it_stays_in_its_worker
    a_stall_is_told_while_it_lasts_and_when_it_is_over
    what_the_thread_waits_in_is_told a_call_without_a_name_has_its_number
    a_task_is_told_by_name_and_place a_task_that_is_gone_does_no_harm
    many_callbacks_make_a_stall_together'
# In 32 bits, it tells readdir(3) positions of 64.
tests_readdir='files_are_made_read_and_removed
    a_directory_has_any_number_of_names'
export MSAN_OPTIONS=allocator_may_return_null=1
export CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-4}

hardened='-D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection'

# The compiler of another architecture.
cross()
{
	case ${1%-time64} in
	aarch64 | riscv64 | s390x) echo "$1-linux-gnu-gcc" ;;
	arm) echo arm-linux-gnueabihf-gcc ;;
	i386) echo i686-linux-gnu-gcc ;;
	esac
}

# build WAY SUITE: make's arguments are the way.
build()
{
	case $1 in
	gcc-lto) set -- "$2" CFLAGS='-O2 -flto=auto' ;;
	gcc-static) set -- "$2" LDFLAGS=-static ;;
	hardened) set -- "$2" CFLAGS="-O2 -g -fPIE $hardened" \
	    LDFLAGS='-pie -Wl,-z,relro,-z,now' ;;
	debug) set -- "$2" DEBUG=1 ;;
	gcc-*) set -- "$2" CFLAGS="-g -${1#gcc-}" ;;
	clang-*) set -- "$2" CC=clang CFLAGS="-g -${1#clang-}" ;;
	musl-static) set -- "$2" CC=musl-gcc LDFLAGS=-static PKG_CONFIG=false \
	    CPPFLAGS="$shim" ;;
	memory) set -- "$2" CC=clang SAN=memory PKG_CONFIG=false \
	    CPPFLAGS=-Itest/shim LDFLAGS="$(echo -D_GNU_SOURCE -Ilib -Iinclude \
	        test/shim/msan.c -Wl,--wrap=syscall)" ;;
	memcheck) set -- "$2" PKG_CONFIG=false CPPFLAGS=-Itest/shim \
	    CFLAGS='-O1 -g' LDFLAGS="$(echo -D_GNU_SOURCE -Ilib -Iinclude \
	        test/shim/valgrind.c -Wl,--wrap=syscall)" ;;
	aarch64 | arm* | i386* | riscv64 | s390x) set -- "$2" CC="$cc" \
	    PKG_CONFIG=false CPPFLAGS="-Itest/shim $times" \
	    LDFLAGS="-static $(echo ${emulator:+-D_GNU_SOURCE -Ilib -Iinclude
	        test/shim/qemu.c -Wl,--wrap=eddy__thread_count})" ;;
	*) set -- "$2" SAN="$1" ;;
	esac
	suite=$1
	shift
	# What tests wrap is not part of the whole.
	[ "$way" != gcc-lto ] || make -s CFLAGS=-O2 B="$out/$way" \
	    $(for f in lib/sys*.c lib/process_zygote.c lib/job.c lib/job_inside.c; do
	        echo "$out/$way/${f%c}o"
	    done) >/dev/null
	make -s "$@" B="$out/$way" "$out/$way/check_$suite" \
	    >"$out/$way.log" 2>&1
}

# An x86-64 runs programs of i386 by itself.
emulator()
{
	case $way in
	i386*) [ "$(uname -m)" = x86_64 ] || echo qemu-i386-static ;;
	*) [ -z "$cc" ] || echo "qemu-${way%-time64}-static" ;;
	esac
}

run()
{
	if [ "$way" = memcheck ]; then
		# One thread at a time runs in it: each has its turn.
		CK_TIMEOUT_MULTIPLIER=20 valgrind -q --fair-sched=yes \
		    --error-exitcode=99 "$1"
	elif [ -n "$emulator" ]; then
		"$emulator" "$1"
	else
		"$1"
	fi
}

# try SUITE: a line of $sums, and in its log what it says.
try()
{
	log=$out/$way-$1.log status=0
	run "$out/$way/check_$1" >"$log" 2>&1 || {
		status=$?
		grep -E '^[^ ]+:[0-9]+:[FE]:|:[0-9]+: (failed|took|[A-Z][a-z])|^==|ERROR: |: [A-Za-z]*Sanitizer' \
		    "$log" | head -20
	}
	sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' \
	    "$log" | tail -1 | awk -v bad="$((status != 0))" '
		{ print $1, ($2 + $3 > bad ? $2 + $3 : bad) }
		END { if (NR == 0) print 1, 1 }' >>"$sums"
}

# Whoever takes a suite's name off the list runs it.
lane()
{
	for suite in $built; do
		! rm "$out/$way-$suite.todo" 2>/dev/null || try "$suite"
	done
}

total=0 bad=0
for way in "$@"; do
	cc=$(cross "$way") times=
	case $way in *-time64) times='-D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64' ;; esac
	emulator=$(emulator)
	for tool in $cc $emulator; do
		command -v "$tool" >/dev/null || {
			echo "skip $way: no $tool"
			continue 2
		}
	done
	sums=$out/$way.sums
	: >"$sums"
	case $way in
	musl*) skip=$skip_musl tests=$tests_musl ;;
	memory) skip=$skip_memory tests=$tests_memory ;;
	memcheck)
		skip=$skip_memcheck tests=$tests_memcheck
		case $(valgrind --version) in valgrind-3.1?.* | valgrind-3.2[0-3].*)
			skip="$skip $skip_old" tests="$tests $tests_old"
			;;
		esac
		;;
	gcc-lto) skip=$skip_lto tests= ;;
	gcc-static) skip=$skip_cross tests= ;;
	*-time64) skip=$skip_time64 tests= ;;
	arm) skip=$skip_cross tests=$tests_readdir ;;
	*) skip=${cc:+$skip_cross} tests= ;;
	esac
	[ -z "$emulator" ] || skip="$skip $skip_qemu" tests="$tests $tests_qemu"
	SHIM_SKIP=$(echo $tests)
	export SHIM_SKIP
	skipped=0 built=
	for suite in $suites; do
		case " $(echo $skip) " in *" $suite "*)
			skipped=$((skipped + 1))
			continue
			;;
		esac
		if ! build "$way" "$suite"; then
			cat "$out/$way.log"
			echo "$way $suite: does not build"
			echo 1 1 >>"$sums"
			continue
		fi
		: >"$out/$way-$suite.todo"
		built="$built $suite"
	done
	lanes=
	for job in $(seq "${JOBS:-1}"); do
		lane &
		lanes="$lanes $!"
	done
	wait $lanes
	tests=$(for suite in $built; do
		sed -n 's/^skipped: //p' "$out/$way-$suite.log"
	done | awk '{ n += $1 } END { print n + 0 }')
	read -r n f <<-END
	$(awk '{ n += $1; f += $2 } END { print n + 0, f + 0 }' "$sums")
	END
	echo "matrix $way: suites=$(wc -l <"$sums") checks=$n failed=$f" \
	    "skipped: suites=$skipped tests=$tests"
	total=$((total + n)) bad=$((bad + f))
done
echo "matrix: checks=$total failed=$bad"
[ "$bad" -eq 0 ]
