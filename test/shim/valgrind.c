/* SPDX-License-Identifier: ISC */
/*
 * For valgrind, which does not know pidfd_send_signal(2): by the number of the
 * process, which is not another's while its parent has not heard of its end.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "sys.h"

int __wrap_eddy__pidfd_kill(int pidfd, int signal);
int __wrap_eddy__pidfd_kill_group(int pidfd, int signal);

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
	int saved = errno;
	int r = pid == 0 || pid == -1   ? -ESRCH
	        : kill(pid, signal) < 0 ? -errno
	                                : 0;

	errno = saved;
	return r;
}

int
__wrap_eddy__pidfd_kill(int pidfd, int signal)
{
	return send_to(pid_of(pidfd), signal);
}

int
__wrap_eddy__pidfd_kill_group(int pidfd, int signal)
{
	return send_to(-pid_of(pidfd), signal);
}
