/* SPDX-License-Identifier: ISC */
/*
 * task_impl: what other modules need of tasks beyond the public header.
 */
#ifndef EDDY_TASK_IMPL_H
#define EDDY_TASK_IMPL_H

#include <eddy/task.h>

#include "loop_impl.h"

enum {
	TASK_STARTED = 1,   /* spawned, called or a root */
	TASK_DONE = 2,      /* ended; result is final */
	TASK_CALLED = 4,    /* up.parent awaits it */
	TASK_ROOT = 8,      /* up.done, in loop->roots */
	TASK_OWNED = 16,    /* from EDDY_NEW: freed at the end */
	TASK_GIVES_UP = 32, /* its wait; -ECANCELED from that means rc */
	TASK_BOUNDED = 64,  /* why is in a struct limit */
	TASK_LEAVING = 128, /* a section has ended, children of it not */
	TASK_FINAL = 256,   /* in FINALLY: not cancelled any more */
	TASK_SHIELD = 512,
	TASK_TIMED = 1024,   /* the timer is eddy_timeout's, not eddy_sleep's */
	TASK_WATCHES = 2048, /* its limit may end the wait */
	TASK_FOREIGN = 4096, /* others will end it: loop->foreign */
	TASK_SUPERVISED = 8192, /* its failure is no failure of the scope */
	TASK_OVERDUE = 16384,   /* cancelled by its own deadline */
	/* From here on: every await says -ECANCELED. */
	TASK_CANCELLED = 32768,
	TASK_ERROR = 65536, /* times the errno of a child, until that is read */
};

/* task_cancel.c: one and all below it, or all that it spawned. */
void eddy__cancel_tree(struct eddy_task *root, const struct eddy_site *why);
void eddy__cancel_all(struct eddy_task *task, const struct eddy_site *why);
/* How who waits for tasks gives up: they are told, and awaited. */
int eddy__cancel_callee(struct eddy_task *task, int rc);
int eddy__cancel_kids(struct eddy_task *task, int rc);
/* Why it was cancelled, in memory that stays when the task has ended. */
const struct eddy_site *eddy__task_cause(const struct eddy_task *task);
/* The end of the bound of a scope, and of what it watches for one operation. */
void eddy__task_unbound(struct eddy_task *self);
void eddy__task_unwatch(struct eddy_task *task);

/* task_scope.c: into a scope, which does not run it yet. */
int eddy__adopt(
    struct eddy_task *scope, struct eddy_task *child, unsigned flags);
extern const struct eddy_op eddy__call_op;

static inline bool
task_cancelled(const struct eddy_task *task)
{
	return __builtin_expect(task->flags >= TASK_CANCELLED, false) &&
	       (task->flags & (TASK_FINAL | TASK_SHIELD)) == 0;
}

static inline void
task_make_ready(struct eddy_task *task)
{
	task->use.ready.run = eddy__task_resume;
	eddy__loop_push(task->loop, &task->use.ready);
}

/* The operation is over. */
static inline void
task_settle(struct eddy_task *task, int rc)
{
	unsigned over = TASK_TIMED | TASK_FOREIGN;

	if (task->alarm.index != 0)
		eddy__alarm_stop(task->loop, &task->alarm);
	task->loop->foreign -= (task->flags & TASK_FOREIGN) != 0;
	if ((task->flags & TASK_WATCHES) != 0)
		eddy__task_unwatch(task);
	if (rc != -ECANCELED || (task->flags & TASK_GIVES_UP) == 0) {
		task->rc = rc; /* its own outcome wins */
		over |= TASK_GIVES_UP;
	}
	task->flags &= ~over;
	task->op = NULL;
}

/* eddy_unpark of one that waits, on the loop thread. */
static inline int
task_unpark(struct eddy_task *task, int rc)
{
	task_settle(task, rc);
	task_make_ready(task);
	return 0;
}

/* eddy_park for waits that the loop itself can end. */
static inline EDDY_ASYNC
eddy__park(struct eddy_task *self, const struct eddy_op *op)
{
	HOOK(park(self));
	self->op = op;
	self->alarm.deadline = self->loop->now; /* since when, for the dump */
	return (eddy_async){EDDY_PENDING, NULL};
}

static inline bool
task_waits_for_tasks(const struct eddy_task *task)
{
	return task->op->cancel == eddy__cancel_callee ||
	       task->op->cancel == eddy__cancel_kids;
}

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

/* Free an EDDY_NEW frame that could not be started.  r; of NULL -ENOMEM. */
int eddy__task_refuse(struct eddy_task *task, int r);

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
 * children; and who comes next, how deep below root: below, or, where that is
 * NULL, who comes after all below task; or NULL. */
struct eddy_task *eddy__task_below(const struct eddy_task *task);
struct eddy_task *eddy__task_next(const struct eddy_task *root,
    const struct eddy_task *task, struct eddy_task *below, int *depth);

/* task_dump.c: an error nobody reads, to the hook or stderr. */
void eddy__task_report(const struct eddy_task *task);

#endif
