/* SPDX-License-Identifier: ISC */
/*
 * task_impl: what other modules need of tasks beyond the public header.
 */
#ifndef EDDY_TASK_IMPL_H
#define EDDY_TASK_IMPL_H

#include <eddy/task.h>

#include "loop_impl.h"

static inline struct eddy_task *
task_of_alarm(struct eddy_alarm *alarm)
{
	return CONTAINER_OF(alarm, struct eddy_task, alarm);
}

/* A task as it waits for a descriptor.  Its node holds what the operation needs
 * then, so the address is odd, which tells it from a watch's. */
static inline struct eddy_ready *
waiter_of_task(struct eddy_task *task)
{
	return (struct eddy_ready *)(void *)((char *)task + 1);
}

static inline struct eddy_task *
task_of_waiter(struct eddy_ready *waiter)
{
	return (struct eddy_task *)(void *)((char *)waiter - 1);
}

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

/* End what a task waits for with this -errno, unless it has one already. */
void eddy__task_interrupt(struct eddy_task *task, int error);

/* The same once one of events (edges) is there, while this operation waits. */
int eddy__task_watch(struct eddy_task *task, int fd, uint32_t events);

/* Add this wait to those that an event will end.  -EINVAL: one does already. */
int eddy__task_follow(struct eddy_task *task, struct eddy_ready *followers);
struct eddy_task *eddy__task_that_follows(struct eddy_ready *follower);

/* A walk of the tree: the first below a task, what it calls before its
 * children; and who comes after all below it, how deep below root; or NULL. */
struct eddy_task *eddy__task_below(const struct eddy_task *task);
struct eddy_task *eddy__task_after(
    const struct eddy_task *root, const struct eddy_task *task, int *depth);

/* task_dump.c: an error nobody reads, to the hook or stderr. */
void eddy__task_report(const struct eddy_task *task);

#endif
