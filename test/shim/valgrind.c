/* SPDX-License-Identifier: ISC */
/*
 * For valgrind, which does not know pidfd_send_signal(2): by the number of the
 * process, which is not another's while its parent has not heard of its end.
 * Weak: a test may have a syscall(2) of its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

enum { GROUP = 4 }; /* PIDFD_SIGNAL_PROCESS_GROUP */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static int
pid_of(int pidfd)
{
	char path[64], line[64];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "Pid: %d", &pid);
	if (file != NULL)
		fclose(file);
	return pid;
}

static int
send_to(int pid, int signal)
{
	if (pid != 0 && pid != -1)
		return kill(pid, signal);
	errno = ESRCH;
	return -1;
}

__attribute__((weak)) long
__wrap_syscall(long number, ...)
{
	va_list list;
	long a[6];
	int i;

	va_start(list, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number != SYS_pidfd_send_signal)
		return __real_syscall(
		    number, a[0], a[1], a[2], a[3], a[4], a[5]);
	i = pid_of((int)a[0]);
	return send_to((a[3] & GROUP) != 0 ? -i : i, (int)a[1]);
}
