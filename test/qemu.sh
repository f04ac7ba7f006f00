#!/bin/sh
# SPDX-License-Identifier: ISC
# The tests on other architectures, by qemu-user: static programs, with
# test/shim/check.h for Check.  usage: qemu.sh [SUITE...]; ARCHES="s390x ..."
set -eu

# qemu-user takes MADV_WIPEONFORK and forgets it, so no loop hears of a fork; and
# it has not what a zygote needs, so what runs processes is left out.
skip='a_forked_child_may_only_close a_child_forked_by_a_callback_may_close
    a_forked_child_cannot_ring_a_sleeping_loop in_a_forked_child_it_is_refused
    a_forked_child_cannot_change_a_watch a_forked_child_has_no_workers
    a_forked_child_of_a_busy_pool_has_no_workers
    a_forked_child_may_close_the_pool
    the_deadline_of_a_job_in_a_process_counts_real_time
    waiting_for_a_job_in_a_process_stops_the_clock'
suites=${*:-batch clock door embed executor fuzz loop offload post rules run_on
    sync task thread_pool timer watch}
failed=0

compiler()
{
	case $1 in
	aarch64 | riscv64 | s390x) echo "$1-linux-gnu-gcc" ;;
	arm) echo arm-linux-gnueabihf-gcc ;;
	i386) echo i686-linux-gnu-gcc ;;
	esac
}

for arch in ${ARCHES:-aarch64 arm i386 riscv64 s390x}; do
	cc=$(compiler "$arch")
	command -v "$cc" >/dev/null && command -v "qemu-$arch-static" >/dev/null || {
		echo "skip $arch: no $cc or no qemu-$arch-static"
		continue
	}
	for suite in $suites; do
		program=build/$cc/check_$suite
		make -s CC="$cc" LDFLAGS=-static PKG_CONFIG=false \
		    CPPFLAGS=-Itest/shim "$program" >/dev/null
		sum=$(SHIM_SKIP=$(echo $skip) CK_TIMEOUT_MULTIPLIER=20 \
		    "qemu-$arch-static" "$program" 2>&1) || failed=1
		echo "$sum" | sed -n "s/^\\(.*Checks: .*\\)/$arch $suite: \\1/p"
		echo "$sum" | grep -E ': (failed|took too long|[A-Z][a-z]+ )' || :
	done
done
exit $failed
