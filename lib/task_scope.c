/* SPDX-License-Identifier: ISC */
/*
 * task_scope: the tree: who starts and ends below whom, and who waits for that.
 *
 * Children unlink themselves as they end; the scope's own waits (join, race,
 * leaving) look at them in child_ended().
 */
#include <eddy/task.h>

#include <errno.h>

#include "task_impl.h"

const struct eddy_op eddy__call_op = {"call", eddy__cancel_callee};
static const struct eddy_op join_op = {"join", eddy__cancel_callee};
static const struct eddy_op join_all_op = {"join all", eddy__cancel_kids};
static const struct eddy_op race_op = {"race", eddy__cancel_kids};
static const struct eddy_op leave_op = {"leave", eddy__cancel_kids};

/* Reasons of our own, for the dump. */
static const struct eddy_site failed = {.text = "its scope failed"};
static const struct eddy_site leaving = {.text = "its scope is being left"};
static const struct eddy_site lost = {.text = "another won the race"};

static void
link_task(struct eddy_task **list, struct eddy_task *task)
{
	task->prev = NULL;
	task->next = *list;
	if (*list != NULL)
		(*list)->prev = task;
	*list = task;
}

static void
unlink_task(struct eddy_task **list, struct eddy_task *task)
{
	if (task->prev != NULL)
		task->prev->next = task->next;
	else
		*list = task->next;
	if (task->next != NULL)
		task->next->prev = task->prev;
}

/* Checks and marks common to every way of starting a task. */
static int
start(struct eddy_loop *loop, struct eddy_task *task, unsigned flags)
{
	if (task == NULL)
		return -ENOMEM;
	if (eddy__loop_mine(loop) < 0)
		return -EPERM;
	if ((task->flags & (TASK_STARTED | TASK_DONE)) != 0)
		return -EINVAL;
	task->flags |= TASK_STARTED | flags;
	task->loop = loop;
	return 0;
}

/* Who starts below a cancelled task is cancelled, too. */
static void
inherit(struct eddy_task *task, struct eddy_task *parent)
{
	task->up.parent = parent;
	if (!task_cancelled(parent))
		return;
	task->flags |= TASK_CANCELLED;
	task->why = eddy__task_cause(parent);
}

int
eddy__adopt(struct eddy_task *scope, struct eddy_task *child, unsigned flags)
{
	int r;

	if ((scope->flags & TASK_STARTED) == 0)
		return -EINVAL;
	if ((scope->flags & (TASK_LEAVING | TASK_DONE)) != 0)
		return -ECANCELED;
	r = start(scope->loop, child, flags);
	if (r < 0)
		return r;
	inherit(child, scope);
	link_task(&scope->kids, child);
	scope->kid_count++;
	return 0;
}

static int
spawn(struct eddy_task *scope, struct eddy_task *child, unsigned flags)
{
	int r = eddy__adopt(scope, child, flags);

	if (r < 0)
		return eddy__task_refuse(child, r);
	task_make_ready(child);
	return 0;
}

int
eddy_spawn(struct eddy_task *scope, struct eddy_task *child)
{
	return spawn(scope, child, 0);
}

int
eddy_spawn_supervised(struct eddy_task *scope, struct eddy_task *child)
{
	return spawn(scope, child, TASK_SUPERVISED);
}

int
eddy_loop_spawn(
    struct eddy_loop *loop, struct eddy_task *task, eddy_task_done_fn *done)
{
	unsigned flags = TASK_ROOT | (loop->draining ? TASK_CANCELLED : 0);
	int r = start(loop, task, flags);

	if (r < 0)
		return eddy__task_refuse(task, r);
	task->up.done = done;
	link_task(&loop->roots, task);
	task_make_ready(task);
	return 0;
}

EDDY_ASYNC
eddy_call(struct eddy_task *self, struct eddy_task *callee)
{
	int r = start(self->loop, callee, TASK_CALLED);

	if (r < 0)
		return eddy_complete(self, eddy__task_refuse(callee, r));
	inherit(callee, self);
	self->use.callee = callee;
	return (eddy_async){eddy__park(self, &eddy__call_op).rc, callee};
}

/* Waiting for children. */

/* No child is left: a failure among them is told once, instead of rc. */
static int
tell_failure(struct eddy_task *task, int rc)
{
	unsigned error = task->flags / TASK_ERROR;

	task->flags %= TASK_ERROR;
	return error != 0 ? -(int)error : rc;
}

static bool
giving_up(const struct eddy_task *task)
{
	return eddy_cancelled(task) || (task->flags & TASK_GIVES_UP) != 0;
}

static int
join_result(struct eddy_task *task)
{
	return tell_failure(task, giving_up(task) ? -ECANCELED : 0);
}

static bool
is_failure(int result)
{
	return result < 0 && result != -ECANCELED;
}

static void
race_step(struct eddy_task *task, struct eddy_task *kid)
{
	int *rc = &task->use.so_far.rc;

	if (*rc == EDDY_PENDING && kid->result != -ECANCELED) {
		*rc = kid->result;
		if (task->use.so_far.winner != NULL)
			*task->use.so_far.winner = kid;
		eddy__cancel_all(task, &lost);
	} else if (is_failure(kid->result)) {
		eddy__task_report(kid);
	}
	if (task->kids == NULL)
		eddy_unpark(task, *rc == EDDY_PENDING ? -ECANCELED : *rc);
}

/* The first failure nobody was waiting for stops the whole scope.  A scope that
 * is leaving with an error of its own keeps that. */
static void
fail_scope(struct eddy_task *task, const struct eddy_task *kid)
{
	bool deaf = (task->flags & (TASK_FINAL | TASK_SHIELD)) != 0;
	bool own = (task->flags & (TASK_FINAL | TASK_LEAVING)) != 0 &&
	           is_failure(task->result);
	unsigned error = 0U - (unsigned)(own ? task->result : kid->result);

	if (own)
		eddy__task_report(kid);
	if (error > UINT_MAX / TASK_ERROR) /* no errno is */
		error = UINT_MAX / TASK_ERROR;
	task->flags |= error * TASK_ERROR;
	eddy__cancel_all(task, &failed);
	if (task->op == &eddy__call_op && !deaf)
		eddy__cancel_tree(task->use.callee, &failed);
	else if (task->op != NULL && !task_waits_for_tasks(task) && !deaf)
		task->op->cancel(task, -ECANCELED);
}

static void
child_ended(struct eddy_task *task, struct eddy_task *kid)
{
	unlink_task(&task->kids, kid);
	task->kid_count--;
	if (task->op == &race_op)
		race_step(task, kid);
	else if (task->op == &join_op && task->use.callee == kid)
		eddy_unpark(task, kid->result);
	else if (!is_failure(kid->result))
		;
	else if ((kid->flags & TASK_SUPERVISED) != 0 ||
		 task->flags >= TASK_ERROR)
		eddy__task_report(kid);
	else
		fail_scope(task, kid);
	if (task->op == &leave_op && task->kids == NULL)
		eddy_unpark(task, 0);
	else if (task->op == &join_all_op &&
		 task->kid_count <= (giving_up(task) ? 0 : task->use.keep))
		eddy_unpark(task, join_result(task));
}

/* The end of a section.  True: suspend, children are still running.  Asked again
 * then; until that answer the scope takes no more of them. */
bool
eddy_leave_children_(struct eddy_task *self)
{
	if (self->kids != NULL) {
		self->flags |= TASK_LEAVING;
		(void)!eddy__park(self, &leave_op).rc;
		if ((self->flags & TASK_FINAL) == 0 &&
		    (self->result < 0 || eddy_cancelled(self)))
			eddy__cancel_all(self, &leaving);
		return true;
	}
	self->result = tell_failure(self, self->result);
	self->flags &= ~(unsigned)TASK_LEAVING;
	self->flags |= TASK_FINAL;
	return false;
}

EDDY_ASYNC
eddy_join(struct eddy_task *self, struct eddy_task *child)
{
	if ((child->flags & TASK_STARTED) == 0 || child == self ||
	    (child->flags & (TASK_CALLED | TASK_ROOT)) != 0 ||
	    child->up.parent != self)
		return eddy_complete(self, child == self ? -EDEADLK : -EINVAL);
	if ((child->flags & TASK_DONE) != 0)
		return eddy_complete(self, child->result);
	self->use.callee = child;
	if (eddy_cancelled(self))
		eddy__cancel_callee(self, -ECANCELED);
	return eddy__park(self, &join_op);
}

static eddy_async
join_down_to(struct eddy_task *self, uint32_t keep)
{
	if (eddy_cancelled(self)) {
		eddy__cancel_kids(self, -ECANCELED);
		keep = 0;
	}
	if (self->kid_count <= keep)
		return eddy_complete(self, join_result(self));
	self->use.keep = keep;
	return eddy__park(self, &join_all_op);
}

EDDY_ASYNC
eddy_join_all(struct eddy_task *self)
{
	return join_down_to(self, 0);
}

EDDY_ASYNC
eddy_throttle(struct eddy_task *self, unsigned limit)
{
	if (limit == 0)
		return eddy_complete(self, -EINVAL);
	return join_down_to(self, limit - 1);
}

EDDY_ASYNC
eddy_race(struct eddy_task *self, struct eddy_task **ret_winner)
{
	if (self->kids == NULL)
		return eddy_complete(self, -ECHILD);
	if (eddy_cancelled(self))
		eddy__cancel_kids(self, -ECANCELED);
	self->use.so_far.rc = EDDY_PENDING;
	self->use.so_far.winner = ret_winner;
	return eddy__park(self, &race_op);
}

eddy_step
eddy_end_(struct eddy_task *self)
{
	bool owned = (self->flags & TASK_OWNED) != 0;
	eddy_step step = {NULL};

	if ((self->flags & TASK_BOUNDED) != 0)
		eddy__task_unbound(self);
	self->flags |= TASK_DONE;
	HOOK(end(self));
	if ((self->flags & TASK_CALLED) != 0) {
		step.next = self->up.parent;
		task_settle(step.next, self->result);
	} else if ((self->flags & TASK_ROOT) != 0) {
		unlink_task(&self->loop->roots, self);
		if (self->up.done != NULL)
			self->up.done(self->loop, self);
		else if (is_failure(self->result))
			eddy__task_report(self);
	} else {
		child_ended(self->up.parent, self);
	}
	/* Who heard of the end may have released a frame that is not ours. */
	if (owned)
		eddy__free(self);
	return step;
}
