#!/bin/sh
# SPDX-License-Identifier: ISC
# inject.sh BUILD_DIR [MOST]: static programs under strace, with the k-th call of
# each process and thread failing, k = 1 to MOST (4).  They must end, with 0 or an
# error of their own: no signal, no hang, no process left.  Last line: the sums.
set -u

build=$1/inject
most=${2:-4}
LIMIT=20 # seconds; the longest takes one
injections=0
failed=0

# Each call, and errors that the kernel gives it.  Not futex, where strace cannot
# tell a wait from a wake, nor other errors of write: an eventfd has none.
calls='clone:EAGAIN clone:ENOMEM clone3:EAGAIN fork:EAGAIN fork:ENOMEM
    epoll_create1:EMFILE eventfd2:EMFILE eventfd2:ENFILE timerfd_create:EMFILE
    signalfd4:EMFILE memfd_create:EMFILE memfd_create:ENOSYS ftruncate:ENOMEM
    socketpair:EMFILE socketpair:ENOMEM sendmsg:ENOMEM sendmsg:EPIPE
    recvmsg:ENOMEM recvmsg:EINTR poll:EINTR poll:ENOMEM epoll_wait:EINTR
    epoll_pwait2:EINTR epoll_pwait2:ENOSYS epoll_pwait2:EPERM epoll_ctl:ENOMEM
    epoll_ctl:ENOSPC mmap:ENOMEM mremap:ENOMEM
    madvise:EINVAL munmap:ENOMEM close:EINTR close:EIO close_range:ENOSYS
    close_range:ENOMEM pidfd_open:EMFILE pidfd_open:ENOSYS
    pidfd_send_signal:ESRCH pidfd_send_signal:ENOSYS kill:ESRCH
    waitid:ECHILD waitid:EINTR wait4:ECHILD wait4:EINTR openat:EMFILE
    openat:ENOENT openat:EACCES read:EINTR read:EIO write:EINTR
    fcntl:EMFILE fcntl:EPERM dup2:EINTR prctl:EINVAL setpgid:ESRCH
    getdents64:EIO newfstatat:ENOENT prlimit64:EPERM
    timer_create:EAGAIN sched_getaffinity:EINVAL getrandom:EAGAIN'

command -v strace >/dev/null || { echo 'inject: skipped, no strace'; exit; }
rm -rf "$build"
mkdir -p "$build/few"
awk '/^```c/ { on = 1; text = ""; next }
    /^```/ { if (on && text ~ /main\(/) { printf "%s", text; exit } on = 0 }
    on { text = text $0 "\n" }' README.md >"$build/readme.c"
cp include/eddy.h README.md "$build/few"
for program in readme:"$build/readme.c" demo:bench/demo.c; do
	${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -g -static -Iinclude \
	    -o "$build/${program%%:*}" "${program#*:}" "$1/libeddy.a" -pthread \
	    2>"$build/log" || {
		cat "$build/log"
		exit 1
	}
done

# Processes that run a program of ours.
left()
{
	for exe in /proc/[0-9]*/exe; do
		case $(readlink "$exe") in
		"$(pwd)/$build"/*)
			exe=${exe#/proc/}
			echo "${exe%/exe}"
			;;
		esac
	done 2>/dev/null
}

wrong()
{
	echo "inject: $*"
	failed=$((failed + 1))
}

# usage: inject PROGRAM CALL ERROR K; what the program says is in log.
inject()
{
	injections=$((injections + 1))
	again="strace -f -e inject=$2:error=$3:when=$4 $1"
	timeout -s KILL "$LIMIT" strace -f -qqq -o "$build/trace" -e trace="$2" \
	    -e inject="$2:error=$3:when=$4" $1 >"$build/log" 2>&1 </dev/null
	status=$?
	case $status in
	137) wrong "it hangs, or leaves a process: $again" ;;
	0 | 1 | 2) ;;
	*) wrong "exit status $status: $again" ;;
	esac
	for pid in $(left); do
		wrong "process $pid is left: $again"
		kill -9 "$pid"
	done
}

for program in "$build/readme" "$build/demo $build/few"; do
	strace -f -qqq -o "$build/trace" $program >"$build/log" 2>&1 </dev/null ||
	    wrong "exit status $?: $program"
	sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$build/trace" | sort | uniq -c \
	    >"$build/counts"
	for call in $calls; do
		name=${call%:*}
		n=$(awk -v call="$name" -v most="$most" '$2 == call {
			print ($1 < most + 0) ? $1 : most }' "$build/counts")
		k=1
		while [ "$k" -le "${n:-0}" ]; do
			inject "$program" "$name" "${call#*:}" "$k"
			k=$((k + 1))
		done
	done
done
echo "inject: programs=2 injections=$injections failed=$failed"
[ "$failed" -eq 0 ]
