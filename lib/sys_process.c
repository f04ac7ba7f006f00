/* SPDX-License-Identifier: ISC */
/*
 * sys_process: the calls of sys.h on signals and children.
 */
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* C libraries begin theirs with the kernel's: longs, the first signals first.
 * -EINVAL: there is one that the C library keeps for itself. */
static int
to_set(uint64_t bits, sigset_t *ret_set)
{
	uint64_t kept = (UINT64_C(1) << (SIGRTMIN - 1)) - (UINT64_C(1) << 31);
	unsigned long set[] = {
	    (unsigned long)bits, (unsigned long)(bits >> 32)};

	sigemptyset(ret_set);
	memcpy(ret_set, set, sizeof(bits));
	return (bits & kept) != 0 ? -EINVAL : 0;
}

int
eddy__signals_block(uint64_t bits, bool block, uint64_t *ret_changed)
{
	unsigned long words[2] = {0};
	sigset_t set, old;
	uint64_t before;
	int r = to_set(bits, &set);

	if (r < 0)
		return r;
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, &old);
	memcpy(words, &old, sizeof(before));
	before = words[0] | (uint64_t)words[1] << 32;
	*ret_changed = bits & (block ? ~before : before);
	return 0;
}

int
eddy__signalfd(int fd, uint64_t bits)
{
	sigset_t set;
	int saved = errno, r = to_set(bits, &set);

	return r < 0
	           ? r
	           : eddy__result(
			 signalfd(fd, &set, SFD_CLOEXEC | SFD_NONBLOCK), saved);
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
	int saved = errno;
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	long own = syscall(SYS_gettid);
	bool found = false;

	while (tasks != NULL && !found && (task = readdir(tasks)) != NULL)
		if (task->d_name[0] != '.' && atol(task->d_name) != own)
			found = (bits & ~blocked_by(task->d_name)) != 0;
	if (tasks != NULL)
		closedir(tasks);
	errno = saved;
	return found;
}

int
eddy__spawn(pid_t *ret_pid, const struct spawn *how)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int saved = errno, i, r = 0;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(
	    &attr, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
			   (how->group ? POSIX_SPAWN_SETPGROUP : 0)));
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&actions);
	if (how->directory != NULL)
		r = posix_spawn_file_actions_addchdir_np(
		    &actions, how->directory);
	for (i = 0; i < 3 && r == 0; i++)
		if (how->fds[i] >= 0)
			r = posix_spawn_file_actions_adddup2(
			    &actions, how->fds[i], i);
	if (r == 0)
		r = posix_spawnp(ret_pid, how->argv[0], &actions, &attr,
		    how->argv, how->env != NULL ? how->env : environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	errno = saved;
	return -r;
}
