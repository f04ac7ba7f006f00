/* SPDX-License-Identifier: ISC */
/*
 * rig: a loop with a process pool, and how to find its processes.  Failure fails
 * the test.
 */
#ifndef RIG_H
#define RIG_H

#include <eddy/process_pool.h>

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "census.h"

struct rig {
	struct eddy_loop *loop;
	struct eddy_executor *pool;
};

#define rig_open(rig, ...) \
	rig_open_with(rig, &(struct eddy_process_pool_options){__VA_ARGS__})

static inline void
rig_open_with(struct rig *rig, const struct eddy_process_pool_options *options)
{
	rig->loop = census_loop();
	ck_assert_int_eq(
	    eddy_process_pool_open(&rig->pool, rig->loop, options), 0);
}

static inline void
rig_step(struct rig *rig)
{
	ck_assert_int_ge(eddy_loop_step(rig->loop, EDDY_MS(1)), 0);
}

#define rig_until(rig, condition)      \
	do                             \
		while (!(condition))   \
			rig_step(rig); \
	while (0)

/* Workers that are stopped keep their jobs until then. */
static inline void
rig_go_on(struct rig *rig)
{
	enum { MOST = 16 };
	int pids[MOST];
	int n = eddy_process_pool_pids(rig->pool, pids, MOST);

	for (n = n < MOST ? n : MOST; n-- > 0;)
		kill(pids[n], SIGCONT);
}

/* A handle of a process, whoever its parent is; -1: it has ended. */
static inline int
handle(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* The last child of a process, or 0. */
static inline pid_t
child_of(pid_t parent)
{
	char path[64];
	int pid = 0;
	FILE *file;

	snprintf(
	    path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while (fscanf(file, "%d", &pid) == 1)
		;
	fclose(file);
	return pid;
}

#endif
