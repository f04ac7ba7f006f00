/* SPDX-License-Identifier: ISC */
/*
 * The model: arrays that are searched, one time for each wait, no lists through
 * objects, no flags that stand for two things.  It knows the contract, and of the
 * kernel only levels: no edges, no interrupts, no tables.
 */
#include "simulate.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { PENDING = INT32_MIN, BUDGET = 256, FULL_TRIES = 16 };

enum op {
	NONE,
	ASLEEP,
	EVENT,
	SEMAPHORE,
	PUSHES,
	POPS,
	PARKED,
	IO,
	/* Those that wait for tasks. */
	CALLS,
	JOINS,
	JOINS_ALL,
	RACES,
	LEAVES,
};

enum phase { BORN, BODY, LEFT, FINAL, LEFT_FINAL, OVER };

/* When something is due: a task's wait, a task's bound or a timer. */
struct alarm {
	bool armed;
	int64_t deadline;
	unsigned sequence;
};

/* What runs in a batch: the wait of a task is over, or its alarm rings... */
enum node { RESUME = 1, RING, BOUND_RING, TIMER_RING };

struct queue {
	int count, nodes[8 * TASKS];
};

struct sync {
	bool set;
	unsigned free;
	int count, items[SLOTS];
	struct queue waiters, followers, holders, pushers, poppers;
};

struct task {
	bool started, root, called, supervised, done;
	bool cancelled, failed, leaving, final, shield, overdue, timed;
	enum phase phase;
	enum op op;
	int parent, kids[TASKS], kid_count; /* the last one is the youngest */
	int callee, keep, winner, error, failure, rc, result;
	struct alarm alarm, bound;
	unsigned n;
	struct step step;
	int item;
	/* Of input and output. */
	size_t done_bytes;
	unsigned char data[BYTES];
};

static struct world {
	const struct program *program;
	struct history *history;
	struct kernel kernel;
	int64_t clock; /* if it is virtual */
	struct queue pending, batch, *into;
	unsigned sequence, budget, used;
	bool over, again; /* who gave up trying tries in the next turn */
	struct task tasks[TASKS];
	struct timer {
		struct alarm alarm;
		unsigned fired;
	} timers[TIMERS];
	struct sync syncs[EVENTS];
	int waiters[FDS][2]; /* tasks, or -1 */
} w;

static int64_t
now(void)
{
	return w.program->is_virtual ? w.clock : w.kernel.now;
}

static void
happen(enum what what, unsigned id, unsigned n, int result, uint64_t data)
{
	struct history *h = w.history;

	if (h->count == TRACE)
		abort();
	h->all[h->count++] = (struct happening){
	    now(), what, id, n, result, data};
}

static void
work(unsigned id, unsigned n)
{
	int64_t ns = work_of(w.program, id, n);

	if (w.program->is_virtual)
		w.clock += ns;
	else
		w.kernel.now += ns;
}

/* Queues. */

static void
put(struct queue *q, int node)
{
	q->nodes[q->count++] = node;
}

static bool
take_out(struct queue *q, int node)
{
	int i;

	for (i = 0; i < q->count && q->nodes[i] != node; i++)
		;
	if (i == q->count)
		return false;
	q->count--;
	memmove(&q->nodes[i], &q->nodes[i + 1],
	    (size_t)(q->count - i) * sizeof(q->nodes[0]));
	return true;
}

static int
get(struct queue *q)
{
	int node = q->count != 0 ? q->nodes[0] : -1;

	if (node >= 0)
		take_out(q, node);
	return node;
}

#define NODE(kind, id) ((kind)*1000 + (id))

static void
unqueue(int node)
{
	if (!take_out(&w.pending, node))
		take_out(&w.batch, node);
}

/* Alarms. */

static void
arm(struct alarm *alarm, int node, int64_t deadline)
{
	unqueue(node);
	*alarm = (struct alarm){true, deadline, w.sequence++};
}

static void
disarm(struct alarm *alarm, int node)
{
	unqueue(node);
	alarm->armed = false;
}

static bool
sooner(const struct alarm *a, const struct alarm *b)
{
	if (a->deadline != b->deadline)
		return a->deadline < b->deadline;
	return a->sequence < b->sequence;
}

/* The first alarm that nobody heard yet. */
static struct alarm *
first_alarm(int *ret_node)
{
	struct alarm *best = NULL;
	unsigned i, k;

	for (i = 0; i < w.used + TIMERS; i++) {
		for (k = 0; k < 2; k++) {
			struct alarm *a = i < TIMERS ? &w.timers[i].alarm
			                  : k == 0 ? &w.tasks[i - TIMERS].alarm
			                           : &w.tasks[i - TIMERS].bound;

			if (!a->armed || (best != NULL && !sooner(a, best)))
				continue;
			best = a;
			*ret_node = i < TIMERS
			                ? NODE(TIMER_RING, (int)i)
			                : NODE(k == 0 ? RING : BOUND_RING,
					      (int)(i - TIMERS));
		}
	}
	return best;
}

/* Tasks. */

static void cancel_tree(int id);

static struct task *
task(int id)
{
	return &w.tasks[id];
}

static int
id_of(const struct task *t)
{
	return (int)(t - w.tasks);
}

static bool
is_cancelled(const struct task *t)
{
	return (t->cancelled || t->failed) && !t->final && !t->shield;
}

static bool
waits_for_tasks(const struct task *t)
{
	return t->op >= CALLS;
}

static bool
is_failure(int result)
{
	return result < 0 && result != -ECANCELED;
}

static void
ready(struct task *t)
{
	put(w.into, NODE(RESUME, id_of(t)));
}

/* The wait is over. */
static void
settle(struct task *t, int rc)
{
	int id = id_of(t), s, fd;

	disarm(&t->alarm, NODE(RING, id));
	unqueue(NODE(RESUME, id));
	for (s = 0; s < EVENTS; s++) {
		take_out(&w.syncs[s].waiters, id);
		take_out(&w.syncs[s].followers, id);
		take_out(&w.syncs[s].holders, id);
		take_out(&w.syncs[s].pushers, id);
		take_out(&w.syncs[s].poppers, id);
	}
	for (fd = 0; fd < FDS; fd++)
		for (s = 0; s < 2; s++)
			if (w.waiters[fd][s] == id)
				w.waiters[fd][s] = -1;
	t->timed = false;
	t->op = NONE;
	t->rc = rc;
}

static int
unpark(struct task *t, int rc)
{
	if (t->op == NONE)
		return -EALREADY;
	settle(t, rc);
	ready(t);
	return 0;
}

static void
cancel_kids(struct task *t)
{
	int i;

	for (i = t->kid_count; i-- > 0;)
		cancel_tree(t->kids[i]);
}

/* End what it waits for. */
static void
give_up(struct task *t, int error)
{
	if (t->error == 0)
		t->error = error;
	if (t->op == CALLS || t->op == JOINS)
		cancel_tree(t->callee);
	else if (waits_for_tasks(t))
		cancel_kids(t);
	else
		unpark(t, -ECANCELED);
}

static void
interrupt(struct task *t)
{
	give_up(t, -ECANCELED);
}

static void
cancel_tree(int id)
{
	struct task *t = task(id);

	if (!t->final)
		t->overdue = false;
	if (t->final || t->done || t->cancelled)
		return;
	t->cancelled = true;
	if (!t->shield && t->op == CALLS)
		cancel_tree(t->callee);
	else if (!t->shield && t->op != NONE && !waits_for_tasks(t))
		unpark(t, -ECANCELED);
	cancel_kids(t);
}

static int
cancel(int id)
{
	if (task(id)->done)
		return -EALREADY;
	if (!task(id)->started)
		return -EINVAL;
	cancel_tree(id);
	return 0;
}

static int
complete(struct task *t, int rc)
{
	if (--w.budget > 0)
		return rc;
	t->rc = rc;
	ready(t);
	return PENDING;
}

/* A new task, or -1. */
static int
new_task(void)
{
	return w.used < TASKS && !w.over ? (int)w.used++ : -1;
}

static int
spawn_root(void)
{
	int id = new_task();

	if (id < 0)
		return -ENOMEM;
	task(id)->started = task(id)->root = true;
	ready(task(id));
	return id;
}

static void
inherit(struct task *t, const struct task *parent)
{
	t->started = true;
	t->parent = id_of(parent);
	t->cancelled = is_cancelled(parent);
}

static int
spawn(struct task *scope, bool supervised)
{
	int id = new_task();

	if (id < 0)
		return -ENOMEM;
	inherit(task(id), scope);
	task(id)->supervised = supervised;
	scope->kids[scope->kid_count++] = id;
	ready(task(id));
	return id;
}

static int
tell_failure(struct task *t, int rc)
{
	if (!t->failed)
		return rc;
	t->failed = false;
	return t->failure;
}

static bool
giving_up(const struct task *t)
{
	return is_cancelled(t) || t->error != 0;
}

static void
report(const struct task *t)
{
	happen(REPORTED, (unsigned)id_of(t), 0, t->result, 0);
}

static void
race_step(struct task *t, const struct task *kid)
{
	if (t->rc == PENDING && kid->result != -ECANCELED) {
		t->rc = kid->result;
		t->winner = id_of(kid);
		cancel_kids(t);
	} else if (is_failure(kid->result)) {
		report(kid);
	}
	if (t->kid_count == 0)
		unpark(t, t->rc == PENDING ? -ECANCELED : t->rc);
}

static void
fail_scope(struct task *t, const struct task *kid)
{
	bool deaf = t->final || t->shield;
	bool own = (t->final || t->leaving) && is_failure(t->result);

	if (own)
		report(kid);
	t->failure = own ? t->result : kid->result;
	t->failed = true;
	cancel_kids(t);
	if (t->op == CALLS && !deaf)
		cancel_tree(t->callee);
	else if (t->op != NONE && !waits_for_tasks(t) && !deaf)
		unpark(t, -ECANCELED);
}

/* The end of a section: does it wait for children? */
static bool
leave_children(struct task *t)
{
	if (t->kid_count != 0) {
		t->leaving = true;
		t->op = LEAVES;
		if (!t->final && (t->result < 0 || is_cancelled(t)))
			cancel_kids(t);
		return true;
	}
	t->result = tell_failure(t, t->result);
	t->leaving = false;
	t->final = true;
	return false;
}

static void
child_ended(struct task *t, struct task *kid)
{
	int i = 0;

	while (t->kids[i] != id_of(kid))
		i++;
	for (t->kid_count--; i < t->kid_count; i++)
		t->kids[i] = t->kids[i + 1];
	if (t->op == RACES) {
		race_step(t, kid);
		return;
	}
	if (t->op == JOINS && t->callee == id_of(kid)) {
		unpark(t, kid->result);
		return;
	}
	if (is_failure(kid->result) && (kid->supervised || t->failed))
		report(kid);
	else if (is_failure(kid->result))
		fail_scope(t, kid);
	if (t->op == LEAVES && t->kid_count == 0)
		unpark(t, 0);
	else if (t->op == JOINS_ALL &&
		 t->kid_count <= (giving_up(t) ? 0 : t->keep))
		unpark(t, tell_failure(t, giving_up(t) ? -ECANCELED : 0));
}

/* Who runs next, or -1. */
static int
end(struct task *t)
{
	disarm(&t->bound, NODE(BOUND_RING, id_of(t)));
	if (t->overdue && t->result == -ECANCELED)
		t->result = -ETIME;
	t->done = true;
	t->phase = OVER;
	if (t->called) {
		settle(task(t->parent), t->result);
		return t->parent;
	}
	if (!t->root)
		child_ended(task(t->parent), t);
	else if (id_of(t) % 2 == 0)
		happen(ENDED, (unsigned)id_of(t), 0, t->result, 0);
	else if (is_failure(t->result))
		report(t);
	return -1;
}

/* What tasks share. */

static void
set(struct sync *s)
{
	int id;

	s->set = true;
	while ((id = get(&s->waiters)) >= 0)
		unpark(task(id), 0);
	while ((id = get(&s->followers)) >= 0)
		interrupt(task(id));
}

static void
release(struct sync *s)
{
	int id = get(&s->holders);

	if (id >= 0)
		unpark(task(id), 0);
	else
		s->free++;
}

static int
room_of(const struct sync *s)
{
	int slots = SLOTS - (int)(s - w.syncs);

	return slots > 0 ? slots : 0;
}

static int
try_push(struct sync *s, int item)
{
	int id = get(&s->poppers);

	if (id >= 0) {
		task(id)->item = item;
		return unpark(task(id), 0);
	}
	if (s->count == room_of(s))
		return -EAGAIN;
	s->items[s->count++] = item;
	return 0;
}

static int
try_pop(struct sync *s, int *ret_item)
{
	int had = s->count, id, i;

	if (had != 0) {
		*ret_item = s->items[0];
		for (s->count--, i = 0; i < s->count; i++)
			s->items[i] = s->items[i + 1];
	}
	id = get(&s->pushers);
	if (id < 0)
		return had != 0 ? 0 : -EAGAIN;
	if (had != 0)
		s->items[s->count++] = task(id)->item;
	else
		*ret_item = task(id)->item;
	return unpark(task(id), 0);
}

/* Input and output. */

static bool
is_full(const struct task *t)
{
	return t->step.verb == READ_FULL || t->step.verb == WRITE_FULL;
}

static bool
writes(const struct task *t)
{
	return t->step.verb == WRITE || t->step.verb == WRITE_FULL;
}

static short
poll_events(const struct step *step)
{
	return step->size % 3 == 0   ? POLLIN
	       : step->size % 3 == 1 ? POLLOUT
	                             : POLLIN | POLLOUT;
}

static int
attempt(struct task *t)
{
	int fd = (int)t->step.which % FDS, r, tries;
	size_t left;

	if (t->step.verb == POLL) {
		r = (int)kernel_level(&w.kernel, fd) &
		    (poll_events(&t->step) | POLLERR | POLLHUP);
		return r != 0 ? r : PENDING;
	}
	for (tries = 0; tries < (is_full(t) ? FULL_TRIES : 1); tries++) {
		left = t->step.size - t->done_bytes;
		r = writes(t) ? kernel_write(&w.kernel, fd,
				    t->data + t->done_bytes, left)
		              : kernel_read(&w.kernel, fd,
				    t->data + t->done_bytes, left);
		if (r == -EAGAIN)
			return PENDING;
		if (r < 0 || !is_full(t))
			return r;
		t->done_bytes += (size_t)r;
		if (t->done_bytes == t->step.size)
			return (int)t->step.size;
		if (r == 0)
			return t->done_bytes == 0 ? 0 : -EPIPE;
	}
	w.again = true;
	return PENDING;
}

static int
begin_io(struct task *t)
{
	int fd = (int)t->step.which % FDS, r = -ECANCELED, side;
	int events = t->step.verb == POLL ? poll_events(&t->step)
	             : writes(t)          ? POLLOUT
	                                  : POLLIN;
	unsigned char i;

	t->done_bytes = 0;
	for (i = 0; writes(t) && i < BYTES; i++)
		t->data[i] = (unsigned char)(id_of(t) + (int)t->n + i);
	if (!is_cancelled(t))
		r = attempt(t);
	if (r != PENDING)
		return complete(t, r);
	for (side = 0; side < 2; side++)
		if ((events & (side == 0 ? POLLIN : POLLOUT)) != 0 &&
		    w.waiters[fd][side] >= 0)
			return complete(t, -EEXIST);
	for (side = 0; side < 2; side++)
		if ((events & (side == 0 ? POLLIN : POLLOUT)) != 0)
			w.waiters[fd][side] = id_of(t);
	t->op = IO;
	return PENDING;
}

static void
close_fd(int fd)
{
	int side;

	for (side = 0; side < 2; side++)
		if (w.waiters[fd][side] >= 0)
			unpark(task(w.waiters[fd][side]), -ECANCELED);
	kernel_close(&w.kernel, fd);
}

/* Steps. */

/* What a timer may do, too. */
static int
act(const struct step *step, int item)
{
	struct sync *s = &w.syncs[step->which % EVENTS];
	unsigned n = step->which % TIMERS;
	struct timer *timer = &w.timers[n];
	int other = (int)(step->other % w.used), got = 0, r;

	switch (step->verb) {
	case CANCEL:
		return cancel(other);
	case SET:
		return set(s), 0;
	case CLEAR:
		return s->set = false, 0;
	case RELEASE:
		return release(s), 0;
	case TRY_PUSH:
		return try_push(s, item);
	case TRY_POP:
		r = try_pop(s, &got);
		return r == 0 ? got : r;
	case UNPARK:
		return task(other)->op == PARKED
		           ? unpark(task(other), (int)step->size)
		           : -EALREADY;
	case CLOSE:
		return close_fd((int)step->which % FDS), 0;
	case START:
		if (n != 0 && !w.over)
			arm(&timer->alarm, NODE(TIMER_RING, (int)n),
			    now() + step->duration);
		return 0;
	case STOP:
		if (n != 0)
			disarm(&timer->alarm, NODE(TIMER_RING, (int)n));
		return 0;
	default:
		return spawn_root();
	}
}

static int
wait_in(struct task *t, struct queue *q, enum op op)
{
	put(q, id_of(t));
	t->op = op;
	return PENDING;
}

static int
join_down_to(struct task *t, int keep)
{
	if (is_cancelled(t)) {
		cancel_kids(t);
		keep = 0;
	}
	if (t->kid_count <= keep)
		return complete(
		    t, tell_failure(t, giving_up(t) ? -ECANCELED : 0));
	t->keep = keep;
	t->op = JOINS_ALL;
	return PENDING;
}

static int
join(struct task *t, int other)
{
	struct task *kid = task(other);

	if (!kid->started || kid == t || kid->called || kid->root ||
	    kid->parent != id_of(t))
		return complete(t, kid == t ? -EDEADLK : -EINVAL);
	if (kid->done)
		return complete(t, kid->result);
	if (is_cancelled(t))
		cancel_tree(other);
	t->callee = other;
	t->op = JOINS;
	return PENDING;
}

static int
yield(struct task *t)
{
	t->rc = is_cancelled(t) ? -ECANCELED : 0;
	ready(t);
	return PENDING;
}

static int
push_or_pop(struct task *t, struct sync *s)
{
	bool pushes = t->step.verb == PUSH;
	int r = -ECANCELED;

	if (pushes)
		t->item = id_of(t) * 100 + (int)t->n;
	if (!is_cancelled(t))
		r = pushes ? try_push(s, t->item) : try_pop(s, &t->item);
	if (r != -EAGAIN)
		return complete(t, r);
	return wait_in(
	    t, pushes ? &s->pushers : &s->poppers, pushes ? PUSHES : POPS);
}

/* PENDING, or the result; *ret_next: whom to run now. */
static int
wait_for(struct task *t, int *ret_next)
{
	struct sync *s = &w.syncs[t->step.which % EVENTS];
	const struct step *step = &t->step;
	int id;

	switch (step->verb) {
	case SLEEP:
		if (is_cancelled(t))
			return complete(t, -ECANCELED);
		if (step->duration <= 0)
			return yield(t);
		arm(&t->alarm, NODE(RING, id_of(t)), now() + step->duration);
		t->op = ASLEEP;
		return PENDING;
	case WAIT:
		if (is_cancelled(t) || s->set)
			return complete(t, is_cancelled(t) ? -ECANCELED : 0);
		return wait_in(t, &s->waiters, EVENT);
	case ACQUIRE:
		if (is_cancelled(t))
			return complete(t, -ECANCELED);
		if (s->free != 0)
			return s->free--, complete(t, 0);
		return wait_in(t, &s->holders, SEMAPHORE);
	case PUSH:
	case POP:
		return push_or_pop(t, s);
	case PARK:
		if (is_cancelled(t))
			return complete(t, -ECANCELED);
		t->op = PARKED;
		return PENDING;
	case READ:
	case READ_FULL:
	case WRITE:
	case WRITE_FULL:
	case POLL:
		return begin_io(t);
	case JOIN:
		return join(t, (int)(step->other % w.used));
	case JOIN_ALL:
		return join_down_to(t, 0);
	case THROTTLE:
		return step->which % 4 == 0
		           ? complete(t, -EINVAL)
		           : join_down_to(t, (int)step->which % 4 - 1);
	case RACE:
		t->winner = -1;
		if (t->kid_count == 0)
			return complete(t, -ECHILD);
		if (is_cancelled(t))
			cancel_kids(t);
		t->rc = PENDING;
		t->op = RACES;
		return PENDING;
	default:
		id = new_task();
		if (id < 0)
			return complete(t, -ENOMEM);
		inherit(task(id), t);
		task(id)->called = true;
		t->op = CALLS;
		t->callee = id;
		*ret_next = id;
		return PENDING;
	}
}

static int
perform(struct task *t, int *ret_next)
{
	struct alarm *alarm = &t->alarm;
	struct sync *s = &w.syncs[t->step.until >= 0 ? t->step.until : 0];
	int64_t deadline = now() + t->step.limit;
	int r;

	if (t->step.verb == YIELD)
		return yield(t);
	if (t->step.verb >= ACTS)
		return complete(t, act(&t->step, id_of(t) * 100 + (int)t->n));
	if (t->step.verb == BOUND)
		return arm(&t->bound, NODE(BOUND_RING, id_of(t)),
			   now() + t->step.duration),
		       complete(t, 0);
	if (t->step.verb == SPAWN || t->step.verb == SPAWN_SUPERVISED)
		return complete(t, spawn(t, t->step.verb == SPAWN_SUPERVISED));
	r = wait_for(t, ret_next);
	if (r != PENDING || t->op == NONE)
		return r;
	if (t->step.until >= 0) {
		if (s->set)
			interrupt(t);
		else
			put(&s->followers, id_of(t));
	}
	if (t->step.limit < 0 || t->op == NONE)
		return r;
	if (alarm->armed && alarm->deadline <= deadline)
		return r; /* the sleep ends before */
	arm(alarm, NODE(RING, id_of(t)), deadline);
	t->timed = true;
	return r;
}

static void
heard(const struct task *t)
{
	uint64_t data = (uint64_t)(unsigned)t->item;
	size_t i;

	if (t->step.verb == RACE)
		data = (uint64_t)(unsigned)t->winner;
	for (i = 0; i < BYTES; i++)
		data = data * 131 + t->data[i];
	happen(STEPPED, (unsigned)id_of(t), t->n, t->rc, data);
	work((unsigned)id_of(t), t->n);
}

/* Run it until it waits or ends: whom to run next, or -1. */
static int
run_task(struct task *t)
{
	int next = -1, r;

	switch (t->phase) {
	case BORN:
		break;
	case BODY:
		goto awaited;
	case LEFT:
		goto left;
	case FINAL:
		goto awaited_last;
	default:
		goto left_final;
	}
	for (t->phase = BODY, t->n = 0; !w.over; t->n++) {
		t->step = step_of(w.program, (unsigned)id_of(t), t->n);
		t->result = t->step.verb == LEAVE ? t->step.result : 0;
		if (t->step.verb == LEAVE)
			break;
		t->shield = t->step.shield;
		r = perform(t, &next);
		if (r == PENDING)
			return next;
		t->rc = r;
	awaited:
		t->shield = false;
		heard(t);
		if (t->rc < 0 && t->step.gives_up) {
			t->result = t->rc;
			break;
		}
	}
	t->phase = LEFT;
left:
	if (leave_children(t))
		return -1;
	t->phase = FINAL;
	t->n = STEPS + 1;
	t->step = last_step_of(w.program, (unsigned)id_of(t));
	r = perform(t, &next);
	if (r == PENDING)
		return next;
	t->rc = r;
awaited_last:
	heard(t);
	t->phase = LEFT_FINAL;
left_final:
	if (leave_children(t))
		return -1;
	return end(t);
}

static void
resume(int id)
{
	w.budget = BUDGET;
	w.into = &w.pending;
	do {
		struct task *t = task(id);

		if (t->error != 0 && t->rc == -ECANCELED && !is_cancelled(t))
			t->rc = t->error;
		t->error = 0;
		id = run_task(t);
	} while (id >= 0 && --w.budget > 0);
	if (id >= 0)
		ready(task(id));
	w.into = &w.batch;
}

static void
ring(int id)
{
	struct task *t = task(id);

	t->alarm.armed = false;
	if (t->timed) {
		give_up(t, -ETIME);
		return;
	}
	t->op = NONE;
	t->rc = 0;
	resume(id);
}

static void
bound_rings(int id)
{
	if (task(id)->cancelled || task(id)->final)
		return;
	cancel_tree(id);
	task(id)->overdue = true;
}

static bool
all_done(void)
{
	unsigned i;

	for (i = 0; i < w.used; i++)
		if (w.tasks[i].started && !w.tasks[i].done)
			return false;
	return true;
}

/* Timer 0: the end. */
static int
finish(void)
{
	unsigned i;

	w.over = true;
	for (i = 1; i < TIMERS; i++)
		disarm(&w.timers[i].alarm, NODE(TIMER_RING, (int)i));
	for (i = 0; i < w.used; i++)
		if (w.tasks[i].root)
			cancel((int)i);
	if (!all_done())
		arm(&w.timers[0].alarm, NODE(TIMER_RING, 0),
		    now() + 10 * w.program->unit);
	return 0;
}

static void
timer_rings(int id)
{
	struct timer *timer = &w.timers[id];
	int64_t was = timer->alarm.deadline, period;
	struct step step = timer_step_of(w.program, (unsigned)id, timer->fired);
	int r = 0;

	timer->alarm.armed = false;
	if (id == 0) {
		r = finish();
	} else if (step.verb != REPEAT) {
		r = act(&step, -id);
	} else if (!w.over) {
		period = 1 + step.duration;
		r = (int)((now() - was) / period) + 1;
		arm(&timer->alarm, NODE(TIMER_RING, id), was + r * period);
	}
	happen(FIRED, (unsigned)id, timer->fired, r, 0);
	work(1000 + (unsigned)id, timer->fired++);
}

/* Turns. */

static void
collect_io(void)
{
	int i, side, r;

	for (i = 0; i < FDS; i++) {
		int fd = kernel_order(&w.kernel, i);

		for (side = 0; side < 2; side++) {
			int id = w.waiters[fd][side];

			r = id >= 0 ? attempt(task(id)) : PENDING;
			if (r != PENDING)
				unpark(task(id), r);
		}
	}
}

/* Until the next alarm, or something happens to what a task waits for. */
static void
sleep_on(int64_t until)
{
	int fd;

	for (fd = 0; fd < FDS; fd++)
		if ((w.waiters[fd][0] >= 0 || w.waiters[fd][1] >= 0) &&
		    kernel_next(&w.kernel, fd) < until)
			until = kernel_next(&w.kernel, fd);
	if (until > w.kernel.now)
		w.kernel.now = kernel_ceil(&w.kernel, until);
}

static bool
turn(void)
{
	struct alarm *alarm;
	int node, s;

	w.into = &w.pending;
	alarm = first_alarm(&node);
	if (w.program->is_virtual && w.clock > w.kernel.now)
		w.kernel.now = w.clock;
	if (alarm == NULL && w.pending.count == 0)
		return false;
	if (!w.program->is_virtual && w.pending.count == 0 && !w.again)
		sleep_on(alarm->deadline);
	kernel_advance(&w.kernel);
	w.again = false;
	collect_io();
	if (w.program->is_virtual && w.pending.count == 0 &&
	    alarm->deadline > w.clock)
		w.clock = alarm->deadline;
	while (
	    (alarm = first_alarm(&node)) != NULL && alarm->deadline <= now()) {
		alarm->armed = false;
		if (node / 1000 == RING) /* it follows no event any more */
			for (s = 0; s < EVENTS; s++)
				take_out(&w.syncs[s].followers, node % 1000);
		put(&w.pending, node);
	}
	w.batch = w.pending;
	w.pending.count = 0;
	w.into = &w.batch;
	while ((node = get(&w.batch)) >= 0) {
		int id = node % 1000;

		if (node / 1000 == RESUME)
			resume(id);
		else if (node / 1000 == RING)
			ring(id);
		else if (node / 1000 == BOUND_RING)
			bound_rings(id);
		else
			timer_rings(id);
	}
	return true;
}

void
model_run(const struct program *program, struct history *history)
{
	int i;

	memset(&w, 0, sizeof(w));
	w.program = program;
	w.history = history;
	history->count = 0;
	kernel_open(&w.kernel, program);
	w.clock = w.kernel.now;
	w.into = &w.pending;
	memset(w.waiters, -1, sizeof(w.waiters));
	arm(&w.timers[0].alarm, NODE(TIMER_RING, 0),
	    now() + LENGTH * program->unit);
	for (i = 1; i < TIMERS; i++)
		arm(&w.timers[i].alarm, NODE(TIMER_RING, i),
		    now() + i * program->unit);
	for (i = 0; i < ROOTS; i++)
		spawn_root();
	while (turn())
		;
	history->tasks = w.used;
	for (i = 0; i < (int)w.used; i++)
		history->results[i] = w.tasks[i].result;
	history->end = now();
	history->written = 0;
	for (i = 0; i < FDS; i++)
		history->written = history->written * 31 +
		                   w.kernel.streams[i].hash;
}
