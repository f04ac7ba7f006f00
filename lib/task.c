/* SPDX-License-Identifier: ISC */
/*
 * task: the trampoline, the tree and cancellation.
 *
 * A task is ready (its node in a list of the loop), waits (op set), runs, or
 * has ended.  Whoever wakes one takes it out of everything else first, so at
 * most one thing can resume it.  Children unlink themselves as they end; the
 * scope's own waits (join, race, leaving) look at them in child_ended().
 */
#include <eddy/task.h>
#include <eddy/watch.h>

#include <errno.h>
#include <string.h>

#include "sys.h"
#include "task_impl.h"

enum {
	STARTED = 1,    /* spawned, called or a root */
	DONE = 2,       /* ended; result is final */
	CALLED = 4,     /* up.parent awaits it */
	ROOT = 8,       /* up.done, in loop->roots */
	OWNED = 16,     /* from EDDY_NEW: freed at the end */
	CANCELLED = 32, /* every await says -ECANCELED */
	FAILED = 64,    /* a child did; as CANCELLED until that is read */
	LEAVING = 128,  /* between the end of a section and its children's */
	FINAL = 256,    /* in FINALLY: not cancelled any more */
	SHIELD = 512,
	TIMED = 1024,   /* the timer is eddy_timeout's, not eddy_sleep's */
	WATCHES = 2048, /* its limit may end the wait */
	FOREIGN = 8192, /* somebody outside will end the wait: loop->foreign */
	SUPERVISED = 16384, /* its failure is no failure of the scope */
	BOUNDED = 262144,   /* why is in a struct limit */
	OVERDUE = 32768,    /* cancelled by its own deadline */
	/* From here on: the errno of an operation that gives up; or 0. */
	ERROR = 1048576,

	BUDGET = 256, /* awaits of one step that complete at once */
};

_Static_assert(sizeof(struct eddy_task) <= 144, "of 192 for a frame");

static int cancel_callee(struct eddy_task *task, int rc);
static int cancel_kids(struct eddy_task *task, int rc);

static const struct eddy_op call_op = {"call", cancel_callee};
static const struct eddy_op join_op = {"join", cancel_callee};
static const struct eddy_op join_all_op = {"join all", cancel_kids};
static const struct eddy_op race_op = {"race", cancel_kids};
static const struct eddy_op leave_op = {"leave", cancel_kids};
static const struct eddy_op sleep_op = {"sleep", eddy_unpark};

/* Reasons of our own, for the dump. */
static const struct eddy_site failed = {.text = "its scope failed"};
static const struct eddy_site leaving = {.text = "its scope is being left"};
static const struct eddy_site lost = {.text = "another won the race"};
static const struct eddy_site overdue = {.text = "its deadline passed"};
static const struct eddy_site given_up = {.text = "its caller gave it up"};

/* Running. */

bool
eddy_cancelled(const struct eddy_task *self)
{
	bool told = (self->flags & (CANCELLED | FAILED)) != 0;

	return __builtin_expect(told, false) &&
	       (self->flags & (FINAL | SHIELD)) == 0;
}

/* As the task itself says, in its step. */
static void
again(struct eddy_task *task)
{
	task->use.ready.run = eddy__task_resume;
	list_push(&task->loop->pending, &task->use.ready);
}

static void
make_ready(struct eddy_task *task)
{
	task->use.ready.run = eddy__task_resume;
	eddy__loop_push(task->loop, &task->use.ready);
}

/* A timeout, say, gave up.  Its own outcome wins; and as this is decided only
 * when the task resumes, a cancel in the same batch beats the deadline. */
static void
expire(struct eddy_task *task)
{
	if (task->rc == -ECANCELED && !eddy_cancelled(task))
		task->rc = -(int)(task->flags / ERROR);
	task->flags %= ERROR;
}

/* The trampoline: calls and returns are steps of the same loop. */
void
eddy__task_resume(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_task *task = CONTAINER_OF(
	    ready, struct eddy_task, use.ready);

	loop->budget = BUDGET;
	do { /* laid out for one that waits or yields again */
		if (__builtin_expect(task->flags >= ERROR, false))
			expire(task);
		loop->current = task;
		task->resumes++;
		task = task->fn(task).next;
	} while (__builtin_expect(task != NULL, false) && --loop->budget > 0);
	if (task != NULL)
		again(task); /* others first */
	loop->current = NULL;
}

/* The bound of a whole scope: takes the place of why, which it holds. */
struct limit {
	struct eddy_site why;
	struct eddy_timer timer;
	struct eddy_watch watch;    /* of one operation */
	struct eddy_ready follower; /* of an event, the same */
	struct eddy_task *task;
};

static struct limit *
limit_of(const struct eddy_task *task)
{
	return (task->flags & BOUNDED) != 0
	           ? CONTAINER_OF(task->why, struct limit, why)
	           : NULL;
}

/* Without a system call: edges for nobody do no harm. */
static void
unwatch(struct eddy_task *task)
{
	struct eddy_watch *watch = &limit_of(task)->watch;

	list_remove(&limit_of(task)->follower);
	list_remove(&watch->ready);
	if (watch->started) /* not closed meanwhile */
		eddy__watch_leave(task->loop, watch->fd, 0);
	watch->started = false;
	task->flags &= ~(unsigned)WATCHES;
}

/* The operation is over. */
static void
settle(struct eddy_task *task, int rc)
{
	if (task->alarm.index != 0)
		eddy__alarm_stop(task->loop, &task->alarm);
	task->loop->foreign -= (task->flags & FOREIGN) != 0;
	if ((task->flags & WATCHES) != 0)
		unwatch(task);
	task->flags &= ~(unsigned)(TIMED | FOREIGN);
	task->op = NULL;
	task->rc = rc;
}

int
eddy__unpark(struct eddy_task *task, int rc)
{
	settle(task, rc);
	make_ready(task);
	return 0;
}

int
eddy_unpark(struct eddy_task *task, int rc)
{
	int r = task->loop != NULL ? eddy__loop_mine(task->loop) : 0;

	HOOK(alive(task));
	if (r < 0)
		return r;
	return task->op != NULL ? eddy__unpark(task, rc) : -EALREADY;
}

EDDY_ASYNC
eddy__park(struct eddy_task *self, const struct eddy_op *op)
{
	HOOK(park(self));
	self->op = op;
	self->alarm.deadline = self->loop->now; /* since when, for the dump */
	return (eddy_async){EDDY_PENDING, NULL};
}

EDDY_ASYNC
eddy_park(struct eddy_task *self, const struct eddy_op *op)
{
	self->flags |= FOREIGN;
	self->loop->foreign++;
	return eddy__park(self, op);
}

EDDY_ASYNC
eddy_complete(struct eddy_task *self, int rc)
{
	if (--self->loop->budget > 0)
		return (eddy_async){rc, NULL};
	self->rc = rc;
	again(self);
	return (eddy_async){EDDY_PENDING, NULL};
}

/* The first error counts, and a sleep or limit that is due comes before it. */
void
eddy__task_interrupt(struct eddy_task *task, int error)
{
	if (task->alarm.index >= DUE)
		return;
	if (task->flags < ERROR)
		task->flags |= (unsigned)-error * ERROR;
	task->op->cancel(task, -ECANCELED);
}

/* The alarm of a sleep or a timeout. */
void
eddy__task_ring(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_task *task = task_of_alarm(due_of(ready)->alarm);

	task->alarm.index = 0;
	if ((task->flags & TIMED) != 0) {
		eddy__task_interrupt(task, -ETIME);
		return;
	}
	settle(task, 0); /* a sleep */
	eddy__task_resume(loop, &task->use.ready);
}

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
	task->rc = task->result = task->failure = 0;
	task->flags = task->kid_count = task->resumes = 0;
}

struct eddy_task *
eddy_new_frame(size_t size, eddy_task_fn *fn, const char *name)
{
	struct eddy_task *task = eddy__alloc(
	    size > sizeof(*task) ? size : sizeof(*task));

	if (task == NULL)
		return NULL;
	eddy_prepare(task, fn, name);
	task->flags = OWNED;
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

/* The tree. */

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
	if ((task->flags & (STARTED | DONE)) != 0)
		return -EINVAL;
	task->flags |= STARTED | flags;
	task->loop = loop;
	return 0;
}

/* Who starts below a cancelled task is cancelled, too. */
static void
inherit(struct eddy_task *task, struct eddy_task *parent)
{
	task->up.parent = parent;
	if (!eddy_cancelled(parent))
		return;
	task->flags |= CANCELLED;
	task->why = parent->why;
}

static int
adopt(struct eddy_task *scope, struct eddy_task *child, unsigned flags)
{
	int r;

	if ((scope->flags & STARTED) == 0)
		return -EINVAL;
	if ((scope->flags & (LEAVING | DONE)) != 0)
		return -ECANCELED;
	r = start(scope->loop, child, flags);
	if (r < 0)
		return r;
	inherit(child, scope);
	link_task(&scope->kids, child);
	scope->kid_count++;
	return 0;
}

int
eddy__task_refuse(struct eddy_task *task, int r)
{
	if (task == NULL)
		return -ENOMEM;
	if ((task->flags & (STARTED | OWNED)) == OWNED)
		eddy__free(task);
	return r;
}

static int
spawn(struct eddy_task *scope, struct eddy_task *child, unsigned flags)
{
	int r = adopt(scope, child, flags);

	if (r < 0)
		return eddy__task_refuse(child, r);
	make_ready(child);
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
	return spawn(scope, child, SUPERVISED);
}

int
eddy_loop_spawn(
    struct eddy_loop *loop, struct eddy_task *task, eddy_task_done_fn *done)
{
	unsigned flags = loop->draining ? ROOT | CANCELLED : ROOT;
	int r = start(loop, task, flags);

	if (r < 0)
		return eddy__task_refuse(task, r);
	task->up.done = done;
	link_task(&loop->roots, task);
	make_ready(task);
	return 0;
}

EDDY_ASYNC
eddy_call(struct eddy_task *self, struct eddy_task *callee)
{
	int r = start(self->loop, callee, CALLED);

	if (r < 0)
		return eddy_complete(self, eddy__task_refuse(callee, r));
	inherit(callee, self);
	self->use.callee = callee;
	return (eddy_async){eddy__park(self, &call_op).rc, callee};
}

/* The coroutine of EDDY_START: its one await is over. */
static eddy_step
relay(struct eddy_task *self)
{
	self->result = self->rc;
	return eddy_end_(self);
}

int
eddy_slot_(
    struct eddy_task *scope, struct eddy_task *t, const struct eddy_site *site)
{
	eddy_prepare(t, relay, site->text);
	t->at = site;
	return adopt(scope, t, 0);
}

static bool
waits_for_tasks(const struct eddy_task *task)
{
	return task->op->cancel == cancel_callee ||
	       task->op->cancel == cancel_kids;
}

/* Did it just become ready, in its own step? */
static bool
yields(const struct eddy_task *task)
{
	return task->loop->pending.prev == &task->use.ready ||
	       task->loop->batch.prev == &task->use.ready;
}

static bool
pending(const struct eddy_task *task)
{
	return task->op != NULL || yields(task);
}

/* Take back what a running task began but does not await. */
static void
withdraw(struct eddy_task *task)
{
	struct eddy_task *callee = task->use.callee;
	int waits = 2;

	if (task->op == &call_op) {
		settle(task, 0);
		callee->flags &= ~(unsigned)(STARTED | CALLED);
		eddy__task_refuse(callee, 0);
	} else if (task->op != NULL && !waits_for_tasks(task)) {
		/* A condition's, and then its mutex's. */
		for (; task->op != NULL && waits > 0; waits--)
			task->op->cancel(task, -EINVAL);
	}
	if (task->op != NULL)
		settle(task, 0);
	if (yields(task))
		list_remove(&task->use.ready);
}

int
eddy_started_(struct eddy_task *t, eddy_async op)
{
	struct eddy_task *other = t->loop->current;

	eddy__loop_stir(t->loop); /* also for one that yields */
	if (op.rc == EDDY_PENDING && !pending(t)) {
		if (other != NULL && pending(other))
			withdraw(other);
		t->rc = -EINVAL; /* the operation is not this task's */
		make_ready(t);
		return -EINVAL;
	}
	if (op.next != NULL) {
		make_ready(op.next); /* a call: its first step is due */
	} else if (op.rc != EDDY_PENDING) {
		t->rc = op.rc;
		make_ready(t);
	}
	return 0;
}

/* Cancelling. */

struct eddy_task *
eddy__task_below(const struct eddy_task *task)
{
	return task->op == &call_op ? task->use.callee : task->kids;
}

struct eddy_task *
eddy__task_after(
    const struct eddy_task *root, const struct eddy_task *task, int *depth)
{
	struct eddy_task *next = NULL;

	for (; next == NULL && task != root; task = task->up.parent, --*depth)
		/* After a callee come its caller's children. */
		next = (task->flags & CALLED) != 0 ? task->up.parent->kids
		                                   : task->next;
	*depth += next != NULL; /* beside the last */
	return next;
}

/* Mark one task and end its wait.  The first task below it, or NULL. */
static struct eddy_task *
give_up(struct eddy_task *task, const struct eddy_site *why)
{
	if ((task->flags & FINAL) == 0)
		task->flags &= ~(unsigned)OVERDUE; /* this beats it */
	/* One that was told before tells those below it itself. */
	if ((task->flags & (FINAL | DONE | CANCELLED)) != 0)
		return NULL;
	task->flags |= CANCELLED;
	if ((task->flags & BOUNDED) != 0)
		limit_of(task)->why = *why;
	else
		task->why = why;
	if ((task->flags & SHIELD) != 0 || task->op == NULL)
		return task->kids;
	if (task->op == &call_op)
		return task->use.callee;
	if (!waits_for_tasks(task))
		task->op->cancel(task, -ECANCELED);
	return task->kids;
}

/* Everything from root down, without recursion: trees may be deep.  No hook
 * runs a task, so the tree stands still meanwhile. */
static void
cancel_tree(struct eddy_task *root, const struct eddy_site *why)
{
	struct eddy_task *task = root, *next;
	int depth = 0;

	for (; task != NULL; task = next) {
		next = give_up(task, why);
		if (next == NULL)
			next = eddy__task_after(root, task, &depth);
	}
}

static int
cancel_callee(struct eddy_task *task, int rc)
{
	cancel_tree(task->use.callee, &given_up);
	return rc;
}

static void
cancel_all(struct eddy_task *task, const struct eddy_site *why)
{
	struct eddy_task *kid;

	for (kid = task->kids; kid != NULL; kid = kid->next)
		cancel_tree(kid, why);
}

static int
cancel_kids(struct eddy_task *task, int rc)
{
	cancel_all(task, &given_up);
	return rc;
}

int
eddy_cancel_at(struct eddy_task *task, const struct eddy_site *why)
{
	int r;

	HOOK(alive(task));
	if ((task->flags & DONE) != 0)
		return -EALREADY;
	if ((task->flags & STARTED) == 0)
		return -EINVAL;
	r = eddy__loop_mine(task->loop);
	if (r == 0)
		cancel_tree(task, why);
	return r;
}

void
eddy_shield(struct eddy_task *self, bool on)
{
	self->flags = (self->flags & ~(unsigned)SHIELD) | (on ? SHIELD : 0);
}

bool
eddy_done(const struct eddy_task *task)
{
	HOOK(alive(task));
	return (task->flags & DONE) != 0;
}

/* Waiting for children. */

/* No child is left: a failure among them is told once, instead of rc. */
static int
tell_failure(struct eddy_task *task, int rc)
{
	if ((task->flags & FAILED) == 0)
		return rc;
	task->flags &= ~(unsigned)FAILED;
	return task->failure;
}

static bool
giving_up(const struct eddy_task *task)
{
	return eddy_cancelled(task) || task->flags >= ERROR;
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
	if (task->rc == EDDY_PENDING && kid->result != -ECANCELED) {
		task->rc = kid->result;
		if (task->use.winner != NULL)
			*task->use.winner = kid;
		cancel_all(task, &lost);
	} else if (is_failure(kid->result)) {
		eddy__task_report(kid);
	}
	if (task->kids == NULL)
		eddy_unpark(
		    task, task->rc == EDDY_PENDING ? -ECANCELED : task->rc);
}

/* The first failure nobody was waiting for stops the whole scope.  A scope that
 * is leaving with an error of its own keeps that. */
static void
fail_scope(struct eddy_task *task, const struct eddy_task *kid)
{
	bool deaf = (task->flags & (FINAL | SHIELD)) != 0;
	bool own = (task->flags & (FINAL | LEAVING)) != 0 &&
	           is_failure(task->result);

	if (own)
		eddy__task_report(kid);
	task->failure = own ? task->result : kid->result;
	task->flags |= FAILED;
	cancel_all(task, &failed);
	if (task->op == &call_op && !deaf)
		cancel_tree(task->use.callee, &failed);
	else if (task->op != NULL && !waits_for_tasks(task) && !deaf)
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
	else if ((kid->flags & SUPERVISED) != 0 || (task->flags & FAILED) != 0)
		eddy__task_report(kid);
	else
		fail_scope(task, kid);
	if (task->op == &leave_op && task->kids == NULL) {
		eddy_leave_children_(task);
		eddy_unpark(task, 0);
	} else if (task->op == &join_all_op &&
		   task->kid_count <= (giving_up(task) ? 0 : task->use.keep)) {
		eddy_unpark(task, join_result(task));
	}
}

/* The end of a section.  True: suspend, children are still running. */
bool
eddy_leave_children_(struct eddy_task *self)
{
	if (self->kids != NULL) {
		self->flags |= LEAVING;
		(void)!eddy__park(self, &leave_op).rc;
		if ((self->flags & FINAL) == 0 &&
		    (self->result < 0 || eddy_cancelled(self)))
			cancel_all(self, &leaving);
		return true;
	}
	self->result = tell_failure(self, self->result);
	self->flags &= ~(unsigned)LEAVING;
	self->flags |= FINAL;
	return false;
}

EDDY_ASYNC
eddy_join(struct eddy_task *self, struct eddy_task *child)
{
	if ((child->flags & STARTED) == 0 || child == self ||
	    (child->flags & (CALLED | ROOT)) != 0 || child->up.parent != self)
		return eddy_complete(self, child == self ? -EDEADLK : -EINVAL);
	if ((child->flags & DONE) != 0)
		return eddy_complete(self, child->result);
	if (eddy_cancelled(self))
		cancel_tree(child, &given_up);
	self->use.callee = child;
	return eddy__park(self, &join_op);
}

static eddy_async
join_down_to(struct eddy_task *self, uint32_t keep)
{
	if (eddy_cancelled(self)) {
		cancel_kids(self, -ECANCELED);
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
		cancel_kids(self, -ECANCELED);
	self->rc = EDDY_PENDING;
	self->use.winner = ret_winner;
	return eddy__park(self, &race_op);
}

static void
on_limit(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct eddy_task *task = CONTAINER_OF(timer, struct limit, timer)->task;

	(void)loop;
	if ((task->flags & (CANCELLED | FINAL)) != 0)
		return;
	cancel_tree(task, &overdue);
	task->flags |= OVERDUE;
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
		limit->why = *task->why;
	task->why = &limit->why;
	task->flags |= BOUNDED;
	return limit;
}

int
eddy_deadline_set(struct eddy_task *self, int64_t deadline)
{
	struct limit *limit;

	if ((self->flags & (STARTED | DONE)) != STARTED)
		return -EINVAL;
	limit = need_limit(self);
	if (limit == NULL)
		return -ENOMEM;
	if (deadline == EDDY_FOREVER)
		return eddy_timer_stop(self->loop, &limit->timer);
	return eddy_timer_start(self->loop, &limit->timer, deadline);
}

static void
end_limit(struct eddy_task *self)
{
	struct limit *limit = limit_of(self);

	if (limit == NULL)
		return;
	eddy_timer_stop(self->loop, &limit->timer);
	eddy__free(limit);
	self->why = NULL;
	if ((self->flags & OVERDUE) != 0 && self->result == -ECANCELED)
		self->result = -ETIME;
}

/* Ending. */

static void
root_ended(struct eddy_task *task)
{
	struct eddy_loop *loop = task->loop;

	unlink_task(&loop->roots, task);
	if (task->up.done != NULL)
		task->up.done(loop, task);
	else if (is_failure(task->result))
		eddy__task_report(task);
}

eddy_step
eddy_end_(struct eddy_task *self)
{
	bool owned = (self->flags & OWNED) != 0;
	eddy_step step = {NULL};

	end_limit(self);
	self->flags |= DONE;
	HOOK(end(self));
	if ((self->flags & CALLED) != 0) {
		step.next = self->up.parent;
		settle(step.next, self->result);
	} else if ((self->flags & ROOT) != 0) {
		root_ended(self);
	} else {
		child_ended(self->up.parent, self);
	}
	/* Who heard of the end may have released a frame that is not ours. */
	if (owned)
		eddy__free(self);
	return step;
}

/* Time. */

EDDY_ASYNC
eddy_yield(struct eddy_task *self)
{
	self->rc = eddy_cancelled(self) ? -ECANCELED : 0;
	again(self);
	return (eddy_async){EDDY_PENDING, NULL};
}

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

EDDY_ASYNC
eddy__limit(struct eddy_task *self, int64_t deadline, int way, eddy_async op)
{
	struct eddy_alarm *alarm = &self->alarm;
	int r;

	if (op.rc != EDDY_PENDING || self->op == NULL)
		return op; /* complete, or about to be */
	/* An inner limit, or the sleep's end, is sooner; or, under a virtual
	 * clock, on time that passes while this one stands still. */
	if (alarm->index != 0 &&
	    (alarm->deadline <= deadline || alarm->index >= FIRST_OF_REAL))
		return op;
	r = eddy__alarm_start(self->loop, alarm, deadline, way | OF_TASK);
	if (r < 0)
		eddy__task_interrupt(self, r);
	else
		self->flags |= TIMED;
	return op;
}

EDDY_ASYNC
eddy_timeout(struct eddy_task *self, int64_t duration, eddy_async op)
{
	return eddy__limit(
	    self, eddy_loop_after(self->loop, duration), LOOP_TIME, op);
}

int
eddy__task_follow(struct eddy_task *task, struct eddy_ready *followers)
{
	struct limit *limit = need_limit(task);

	if (limit == NULL || limit->follower.next != NULL)
		return limit == NULL ? -ENOMEM : -EINVAL;
	list_push(followers, &limit->follower);
	task->flags |= WATCHES;
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
	(void)loop, (void)events;
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
		task->flags |= WATCHES;
	return r;
}
