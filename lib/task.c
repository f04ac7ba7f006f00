/* SPDX-License-Identifier: ISC */
/*
 * task: frames, the trampoline, waits.
 *
 * A task is ready (its node in a list of the loop), waits (op set), runs, or
 * has ended.  Whoever wakes one takes it out of everything else first, so at
 * most one thing can resume it.
 */
#include <eddy/task.h>

#include <errno.h>
#include <string.h>

#include "sys.h"
#include "task_impl.h"

enum { BUDGET = 256 }; /* awaits of one step that complete at once */

_Static_assert(sizeof(struct eddy_task) <= 136, "of 192 for a frame");

/* Frames. */

void
eddy_prepare(struct eddy_task *task, eddy_task_fn *fn, const char *name)
{
	/* Not as a whole: compilers make `rep stos` of that, 10 ns. */
	task->alarm.index = 0;
	task->fn = fn;
	task->name = name;
	task->at = task->why = NULL;
	task->loop = NULL;
	task->kids = NULL;
	task->op = NULL;
	task->rc = task->result = 0;
	task->flags = task->kid_count = 0;
}

struct eddy_task *
eddy_new_frame(size_t size, eddy_task_fn *fn, const char *name)
{
	struct eddy_task *task = eddy__alloc(
	    size > sizeof(*task) ? size : sizeof(*task));

	if (task == NULL)
		return NULL;
	eddy_prepare(task, fn, name);
	task->flags = TASK_OWNED;
	return task;
}

struct eddy_task *
eddy_new_(const void *literal, size_t size, eddy_task_fn *fn, const char *name)
{
	struct eddy_task *task = eddy_new_frame(size, fn, name);

	if (task != NULL)
		memcpy(task + 1, (const struct eddy_task *)literal + 1,
		    size - sizeof(*task));
	return task;
}

/* Not inlined: of a frame in another one gcc 12 takes the free for real. */
__attribute__((noinline)) int
eddy__task_refuse(struct eddy_task *task, int r)
{
	if (task == NULL)
		return -ENOMEM;
	if ((task->flags & (TASK_STARTED | TASK_OWNED)) == TASK_OWNED)
		eddy__free(task);
	return r;
}

bool
eddy_done(const struct eddy_task *task)
{
	HOOK(alive(task));
	return (task->flags & TASK_DONE) != 0;
}

/* Running. */

bool
eddy_cancelled(const struct eddy_task *self)
{
	return task_cancelled(self);
}

/* As the task itself says, in its step. */
static void
again(struct eddy_loop *loop, struct eddy_task *task)
{
	task->use.ready.run = eddy__task_resume;
	list_push(&loop->pending, &task->use.ready);
}

/* The trampoline: calls and returns are steps of the same loop. */
void
eddy__task_resume(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_task *task = CONTAINER_OF(
	    ready, struct eddy_task, use.ready);

	loop->budget = BUDGET;
	do { /* laid out for one that waits or yields again */
		if (__builtin_expect(task->flags & TASK_GIVES_UP, false)) {
			task->flags &= ~(unsigned)TASK_GIVES_UP;
			if (task_cancelled(task)) /* beats a deadline */
				task->rc = -ECANCELED;
		}
		loop->current = task;
		task = task->fn(task).next;
		if (task == NULL)
			break;
		if (__builtin_expect(task == loop->current, true)) {
			task->rc = task_cancelled(task) ? -ECANCELED : 0;
			break;
		}
	} while (--loop->budget > 0);
	if (task != NULL)
		again(loop, task); /* others first */
	loop->current = NULL;
}

int
eddy_unpark(struct eddy_task *task, int rc)
{
	int r = task->loop != NULL ? eddy__loop_mine(task->loop) : 0;

	HOOK(alive(task));
	if (r < 0)
		return r;
	return task->op != NULL ? task_unpark(task, rc) : -EALREADY;
}

EDDY_ASYNC
eddy_park(struct eddy_task *self, const struct eddy_op *op)
{
	self->flags |= TASK_FOREIGN;
	self->loop->foreign++;
	return eddy__park(self, op);
}

EDDY_ASYNC
eddy_complete(struct eddy_task *self, int rc)
{
	if (--self->loop->budget > 0)
		return (eddy_async){rc, NULL};
	self->rc = rc;
	again(self->loop, self);
	return (eddy_async){EDDY_PENDING, NULL};
}

/* The first error counts, and a sleep or limit that is due comes before it. */
void
eddy__task_interrupt(struct eddy_task *task, int error)
{
	if (task->alarm.index >= DUE)
		return;
	if ((task->flags & TASK_GIVES_UP) == 0)
		task->rc = error;
	task->flags |= TASK_GIVES_UP;
	task->op->cancel(task, -ECANCELED);
}

void
eddy_shield(struct eddy_task *self, bool on)
{
	self->flags = (self->flags & ~(unsigned)TASK_SHIELD) |
	              (on ? TASK_SHIELD : 0);
}

static const struct eddy_op sleep_op = {"sleep", eddy_unpark};

EDDY_ASYNC
eddy_sleep(struct eddy_task *self, int64_t duration)
{
	int r;

	if (eddy_cancelled(self))
		return eddy_complete(self, -ECANCELED);
	if (duration <= 0)
		return eddy_yield(self);
	r = eddy__alarm_start(self->loop, &self->alarm,
	    eddy_loop_after(self->loop, duration), LOOP_TIME | OF_TASK);
	if (r < 0)
		return eddy_complete(self, r);
	HOOK(park(self));
	self->op = &sleep_op;
	return (eddy_async){EDDY_PENDING, NULL};
}

/* The alarm of a sleep or a timeout. */
void
eddy__task_ring(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_task *task = task_of_alarm(due_of(ready)->alarm);

	task->alarm.index = 0;
	if ((task->flags & TASK_TIMED) != 0) {
		eddy__task_interrupt(task, -ETIME);
		return;
	}
	task_settle(task, 0); /* a sleep */
	eddy__task_resume(loop, &task->use.ready);
}

EDDY_ASYNC
eddy__limit(struct eddy_task *self, int64_t deadline, int way, eddy_async op)
{
	struct eddy_alarm *alarm = &self->alarm;
	int r;

	if (op.rc != EDDY_PENDING || self->op == NULL)
		return op; /* complete, or about to be */
	if (deadline == EDDY_FOREVER)
		return op; /* no alarm, which would hide a deadlock */
	/* An inner limit, or the sleep's end, is sooner; or, under a virtual
	 * clock, on time that passes while this one stands still. */
	if (alarm->index != 0 &&
	    (alarm->deadline <= deadline || alarm->index >= FIRST_OF_REAL))
		return op;
	r = eddy__alarm_start(self->loop, alarm, deadline, way | OF_TASK);
	if (r < 0)
		eddy__task_interrupt(self, r);
	else
		self->flags |= TASK_TIMED;
	return op;
}

EDDY_ASYNC
eddy_timeout(struct eddy_task *self, int64_t duration, eddy_async op)
{
	return eddy__limit(
	    self, eddy_loop_after(self->loop, duration), LOOP_TIME, op);
}

/* Of EDDY_START: its one await is over.  Others may have spawned into it. */
static eddy_step
relay(struct eddy_task *self)
{
	if ((self->flags & TASK_LEAVING) == 0)
		self->result = self->rc;
	if (eddy_leave_children_(self))
		return (eddy_step){NULL};
	return eddy_end_(self);
}

int
eddy_slot_(
    struct eddy_task *scope, struct eddy_task *t, const struct eddy_site *site)
{
	eddy_prepare(t, relay, site->text);
	t->at = site;
	return eddy__adopt(scope, t, 0);
}

/* Does it wait, or did it just become ready, in its own step? */
static bool
pending(const struct eddy_task *task)
{
	return task->op != NULL ||
	       task->loop->pending.prev == &task->use.ready ||
	       task->loop->batch.prev == &task->use.ready;
}

/* Take back what a running task began but does not await. */
static void
withdraw(struct eddy_task *task)
{
	struct eddy_task *callee = task->use.callee;
	int waits = 2;

	if (task->op == &eddy__call_op) {
		task_settle(task, 0);
		callee->flags &= ~(unsigned)(TASK_STARTED | TASK_CALLED);
		eddy__task_refuse(callee, 0);
	} else if (task->op != NULL && !task_waits_for_tasks(task)) {
		/* A condition's, and then its mutex's. */
		for (; task->op != NULL && waits > 0; waits--)
			task->op->cancel(task, -EINVAL);
	}
	if (task->op != NULL)
		task_settle(task, 0);
	if (pending(task))
		list_remove(&task->use.ready);
}

int
eddy_started_(struct eddy_task *t, eddy_async op)
{
	struct eddy_task *other = t->loop->current;

	eddy__loop_stir(t->loop); /* also for one out of budget */
	if (op.rc == EDDY_PENDING && op.next != t && !pending(t)) {
		if (other != NULL && pending(other))
			withdraw(other);
		t->rc = -EINVAL; /* the operation is not this task's */
		task_make_ready(t);
		return -EINVAL;
	}
	if (op.next == t)
		t->rc = task_cancelled(t) ? -ECANCELED : 0;
	if (op.next != NULL) {
		task_make_ready(op.next); /* a call or yield: a step is due */
	} else if (op.rc != EDDY_PENDING) {
		t->rc = op.rc;
		task_make_ready(t);
	}
	return 0;
}
