/* SPDX-License-Identifier: ISC */
/*
 * task_impl: what other modules need of tasks beyond the public header.
 */
#ifndef EDDY_TASK_IMPL_H
#define EDDY_TASK_IMPL_H

#include <eddy/task.h>

#include "loop_impl.h"

/* Free an EDDY_NEW frame that could not be started; answers r, or -ENOMEM for
 * NULL. */
int eddy__task_refuse(struct eddy_task *task, int r);

/* eddy_park for waits that the loop itself can end. */
EDDY_ASYNC eddy__park(struct eddy_task *self, const struct eddy_op *op);

/* eddy_unpark of one that waits, on the loop thread. */
int eddy__unpark(struct eddy_task *task, int rc);

/* eddy_timeout until an absolute time on either clock. */
EDDY_ASYNC eddy__limit(
    struct eddy_task *self, int64_t deadline, int way, eddy_async op);

/* End what a task waits for because of an event; with this -errno, or 0 for
 * -ECANCELED. */
void eddy__task_interrupt(struct eddy_task *task, int error);

/* The same once one of events (edges) is there, while this operation waits. */
int eddy__task_watch(struct eddy_task *task, int fd, uint32_t events);

/* A walk of the tree: the first below a task, what it calls before its children;
 * and who comes after it below the same parent.  NULL: nobody. */
struct eddy_task *eddy__task_below(const struct eddy_task *task);
struct eddy_task *eddy__task_after(const struct eddy_task *task);

/* task_dump.c: an error nobody reads, to the hook or stderr. */
void eddy__task_report(const struct eddy_task *task);

#endif
