/* SPDX-License-Identifier: ISC */
/*
 * task_cancel: what ends a wait before its time: a cancel, a deadline of the
 * scope, an event.
 *
 * A cancelled task is marked and its wait ended; it resumes from the loop.
 */
#include <eddy/task.h>
#include <eddy/watch.h>

#include <errno.h>

#include "sys.h"
#include "task_impl.h"

/* Reasons of our own, for the dump. */
static const struct eddy_site overdue = {.text = "its deadline passed"};
static const struct eddy_site given_up = {.text = "its caller gave it up"};

/* The bound of a whole scope: takes the place of why, which it holds. */
struct limit {
	struct eddy_site why;
	struct eddy_timer timer;
	struct eddy_watch watch;    /* of one operation */
	struct eddy_ready follower; /* of an event, the same */
	struct eddy_task *task;
	const struct eddy_site *cause; /* that why is a copy of */
};

static struct limit *
limit_of(const struct eddy_task *task)
{
	return (task->flags & TASK_BOUNDED) != 0
	           ? CONTAINER_OF(task->why, struct limit, why)
	           : NULL;
}

const struct eddy_site *
eddy__task_cause(const struct eddy_task *task)
{
	const struct limit *limit = limit_of(task);

	return limit != NULL ? limit->cause : task->why;
}

struct eddy_task *
eddy__task_below(const struct eddy_task *task)
{
	return task->op == &eddy__call_op ? task->use.callee : task->kids;
}

struct eddy_task *
eddy__task_next(const struct eddy_task *root, const struct eddy_task *task,
    struct eddy_task *next, int *depth)
{
	for (; next == NULL && task != root; task = task->up.parent, --*depth)
		/* After a callee come its caller's children. */
		next = (task->flags & TASK_CALLED) != 0 ? task->up.parent->kids
		                                        : task->next;
	*depth += next != NULL; /* below, or beside the last */
	return next;
}

/* Mark one task and end its wait.  The first task below it, or NULL. */
static struct eddy_task *
give_up(struct eddy_task *task, const struct eddy_site *why)
{
	struct limit *limit = limit_of(task);

	if ((task->flags & TASK_FINAL) == 0)
		task->flags &= ~(unsigned)TASK_OVERDUE; /* this beats it */
	/* One that was told before tells those below it itself. */
	if ((task->flags & (TASK_FINAL | TASK_DONE | TASK_CANCELLED)) != 0)
		return NULL;
	task->flags |= TASK_CANCELLED;
	if (limit != NULL)
		limit->why = *(limit->cause = why);
	else
		task->why = why;
	if ((task->flags & TASK_SHIELD) != 0 || task->op == NULL)
		return task->kids;
	if (task->op == &eddy__call_op)
		return task->use.callee;
	if (!task_waits_for_tasks(task))
		task->op->cancel(task, -ECANCELED);
	return task->kids;
}

/* Everything from root down, without recursion: trees may be deep.  No hook
 * runs a task, so the tree stands still meanwhile. */
void
eddy__cancel_tree(struct eddy_task *root, const struct eddy_site *why)
{
	struct eddy_task *task = root;
	int depth = 0;

	while (task != NULL)
		task = eddy__task_next(root, task, give_up(task, why), &depth);
}

int
eddy__cancel_callee(struct eddy_task *task, int rc)
{
	eddy__cancel_tree(task->use.callee, &given_up);
	return rc;
}

void
eddy__cancel_all(struct eddy_task *task, const struct eddy_site *why)
{
	struct eddy_task *kid;

	for (kid = task->kids; kid != NULL; kid = kid->next)
		eddy__cancel_tree(kid, why);
}

int
eddy__cancel_kids(struct eddy_task *task, int rc)
{
	eddy__cancel_all(task, &given_up);
	return rc;
}

int
eddy_cancel_at(struct eddy_task *task, const struct eddy_site *why)
{
	int r;

	HOOK(alive(task));
	if ((task->flags & TASK_DONE) != 0)
		return -EALREADY;
	if ((task->flags & TASK_STARTED) == 0)
		return -EINVAL;
	r = eddy__loop_mine(task->loop);
	if (r == 0)
		eddy__cancel_tree(task, why);
	return r;
}

static void
on_limit(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct eddy_task *task = CONTAINER_OF(timer, struct limit, timer)->task;

	(void)loop;
	if ((task->flags & (TASK_CANCELLED | TASK_FINAL)) != 0)
		return;
	eddy__cancel_tree(task, &overdue);
	task->flags |= TASK_OVERDUE;
}

/* Made when there is none yet; NULL: no memory. */
static struct limit *
need_limit(struct eddy_task *task)
{
	struct limit *limit = limit_of(task);

	if (limit != NULL)
		return limit;
	limit = eddy__alloc(sizeof(*limit));
	if (limit == NULL)
		return NULL;
	limit->task = task;
	limit->timer.fn = on_limit;
	if (task->why != NULL)
		limit->why = *(limit->cause = task->why);
	task->why = &limit->why;
	task->flags |= TASK_BOUNDED;
	return limit;
}

int
eddy_deadline_set(struct eddy_task *self, int64_t deadline)
{
	struct limit *limit;
	int r;

	if ((self->flags & (TASK_STARTED | TASK_DONE)) != TASK_STARTED)
		return -EINVAL;
	r = eddy__loop_mine(self->loop);
	limit = r == 0 ? need_limit(self) : NULL;
	if (limit == NULL)
		return r < 0 ? r : -ENOMEM;
	if (deadline == EDDY_FOREVER)
		return eddy_timer_stop(self->loop, &limit->timer);
	return eddy_timer_start(self->loop, &limit->timer, deadline);
}

void
eddy__task_unbound(struct eddy_task *self)
{
	struct limit *limit = limit_of(self);

	eddy_timer_stop(self->loop, &limit->timer);
	eddy__free(limit);
	self->why = NULL;
	if ((self->flags & TASK_OVERDUE) != 0 && self->result == -ECANCELED)
		self->result = -ETIME;
}

int
eddy__task_follow(struct eddy_task *task, struct eddy_ready *followers)
{
	struct limit *limit = need_limit(task);

	if (limit == NULL || limit->follower.next != NULL)
		return limit == NULL ? -ENOMEM : -EINVAL;
	list_push(followers, &limit->follower);
	task->flags |= TASK_WATCHES;
	return 0;
}

struct eddy_task *
eddy__task_that_follows(struct eddy_ready *follower)
{
	return CONTAINER_OF(follower, struct limit, follower)->task;
}

static void
on_watch(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	/* Once: beside a writer's level it would be told each turn. */
	eddy__watch_leave(loop, watch->fd, 0);
	watch->started = false;
	eddy__task_interrupt(
	    CONTAINER_OF(watch, struct limit, watch)->task, -ECANCELED);
}

int
eddy__task_watch(struct eddy_task *task, int fd, uint32_t events)
{
	struct limit *limit = need_limit(task);
	int r;

	if (limit == NULL || limit->watch.started)
		return limit == NULL ? -ENOMEM : -EINVAL;
	eddy_watch_init(&limit->watch, fd, on_watch, 0);
	r = eddy_watch_start(task->loop, &limit->watch, events);
	if (r == 0)
		task->flags |= TASK_WATCHES;
	return r;
}

/* Without a system call: edges for nobody do no harm. */
void
eddy__task_unwatch(struct eddy_task *task)
{
	struct eddy_watch *watch = &limit_of(task)->watch;

	list_remove(&limit_of(task)->follower);
	list_remove(&watch->ready);
	if (watch->started) /* not closed meanwhile */
		eddy__watch_leave(task->loop, watch->fd, 0);
	watch->started = false;
	task->flags &= ~(unsigned)TASK_WATCHES;
}
