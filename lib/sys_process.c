/* SPDX-License-Identifier: ISC */
/*
 * sys_process: the calls of sys.h on signals and children.
 */
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIGNALS = 64 };

/* -EINVAL: there is one that the C library keeps for itself. */
static int
to_set(uint64_t bits, sigset_t *ret_set)
{
	int saved = errno, i, r = 0;

	sigemptyset(ret_set);
	for (i = 0; i < SIGNALS; i++)
		if ((bits >> i & 1) != 0 && sigaddset(ret_set, i + 1) < 0)
			r = -EINVAL;
	errno = saved;
	return r;
}

int
eddy__signals_block(uint64_t bits, bool block, uint64_t *ret_changed)
{
	sigset_t set, old;
	int i, r = to_set(bits, &set);

	if (r < 0)
		return r;
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, &old);
	*ret_changed = bits;
	for (i = 0; i < SIGNALS; i++)
		if ((bits >> i & 1) != 0 && sigismember(&old, i + 1) == block)
			*ret_changed &= ~(UINT64_C(1) << i);
	return 0;
}

int
eddy__signals_open(int fd, uint64_t bits)
{
	sigset_t set;
	int r = to_set(bits, &set);

	return r < 0 ? r : eddy__signalfd(fd, &set);
}

/* All, when the thread is gone. */
static uint64_t
blocked_by(const char *task)
{
	uint64_t bits = UINT64_MAX;
	char text[256];
	FILE *file;

	snprintf(text, sizeof(text), "/proc/self/task/%.20s/status", task);
	file = fopen(text, "re");
	if (file == NULL)
		return bits;
	while (fgets(text, sizeof(text), file) != NULL &&
	       sscanf(text, "SigBlk: %" SCNx64, &bits) != 1)
		;
	fclose(file);
	return bits;
}

bool
eddy__signals_elsewhere(uint64_t bits)
{
	DIR *tasks;
	struct dirent *task;
	int saved = errno;
	long own = syscall(SYS_gettid);
	bool found = false;

	tasks = opendir("/proc/self/task");
	while (tasks != NULL && !found && (task = readdir(tasks)) != NULL)
		if (task->d_name[0] != '.' && atol(task->d_name) != own)
			found = (bits & ~blocked_by(task->d_name)) != 0;
	if (tasks != NULL)
		closedir(tasks);
	errno = saved;
	return found;
}
