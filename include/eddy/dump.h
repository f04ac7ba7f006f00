/* SPDX-License-Identifier: ISC */
/*
 * dump: who waits for what, and what runs, as text for people.
 *
 * For a program that hangs, or is slow; see eddy-dump(3).
 */
#ifndef EDDY_DUMP_H
#define EDDY_DUMP_H

#include <eddy/executor.h>

EDDY_HEADER_BEGIN_

/* Write what loop has to fd: its tasks as a tree, timers, descriptors, jobs,
 * and the executor that it uses.  0 or -errno.  Loop thread. */
int eddy_loop_dump(struct eddy_loop *loop, int fd);

/* Write what executor has: counts, and each worker with its job.  0 or -errno.
 * Where eddy_executor_stats may be called. */
int eddy_executor_dump(struct eddy_executor *executor, int fd);

/* Is all in loop as it should be: the order of its timers, the links of its
 * lists and tasks, its watches and counts?  0; -EUCLEAN: a line to fd for each
 * thing that is wrong; or -errno.  Loop thread. */
int eddy_loop_verify(struct eddy_loop *loop, int fd);

/* From now on until the loop closes, dump it to stderr when the process gets
 * this signal (SIGUSR1, say).  Blocks it in this thread; does not keep the loop
 * from returning.  -EBUSY: another thread has not blocked it, or it was asked
 * for already.  Loop thread. */
int eddy_dump_on_signal(struct eddy_loop *loop, int number);

EDDY_HEADER_END_

#endif
