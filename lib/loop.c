/* SPDX-License-Identifier: ISC */
/*
 * loop: epoll, a pending list and a door.
 *
 * A turn polls, moves everything that is ready to the pending list, makes that
 * list the batch and runs it.  Whatever is stopped leaves the list it is in, so
 * a stale callback cannot happen.  The loop sleeps only after door_park.
 */
#include <eddy/loop.h>

#include <errno.h>
#include <sys/epoll.h>

#include "atomics.h"
#include "loop_impl.h"
#include "sys.h"

enum { AHEAD = 8 }; /* nodes: none of 4, 12, 16, 24 is better on Zen 2 */

#define CLOSE_DURATION EDDY_S(5) /* as the grace of init systems, halved */

static int
door_open(struct door **ret_door)
{
	struct door *door = eddy__alloc(sizeof(*door));
	int r;

	if (door == NULL)
		return -ENOMEM;
	r = door->bell = eddy__eventfd();
	if (r < 0) {
		eddy__free(door);
		return r;
	}
	door->refs = 1;
	door->pid = eddy__getpid();
	door->cpu = -1;
	*ret_door = door;
	return 0;
}

void
eddy__door_hold(struct door *door)
{
	A_ADD(&door->refs, 1);
}

void
eddy__door_drop(struct door *door)
{
	struct outbox *box, *next;

	if (door == NULL || A_SUB(&door->refs, 1) != 1)
		return;
	for (box = door->boxes; box != NULL; box = next) {
		next = box->next;
		eddy__free(box);
	}
	eddy__close(door->bell);
	if (door->ours != NULL)
		eddy__unmap(door->ours, sizeof(*door->ours));
	eddy__free(door);
}

/* Take a box that was ours, or is empty: outcomes of a thread stay in order. */
static bool
take_box(struct outbox *box, bool ours)
{
	if (ours != (A_LOAD(&box->owner) == eddy__self()) ||
	    !A_SWAP(&box->taken, 0, 1))
		return false;
	if (!ours && A_LOAD(&box->slots[(box->in - 1) % OUTBOX]) != NULL) {
		A_RELEASE(&box->taken, 0);
		return false;
	}
	A_STORE(&box->owner, eddy__self());
	return true;
}

/* A callback may empty it meanwhile; what comes meanwhile waits for a poll. */
static void
run_box(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct outbox *box = CONTAINER_OF(ready, struct outbox, ready);

	while (box->out != box->end) {
		loop->called = ready = outbox_take(box);
		ready->run(loop, ready);
	}
}

struct outbox *
eddy__door_box(struct door *door)
{
	struct outbox *all = A_ACQUIRE(&door->boxes), *box;

	for (box = all; box != NULL; box = box->next)
		if (take_box(box, true))
			return box;
	for (box = all; box != NULL; box = box->next)
		if (take_box(box, false))
			return box;
	box = eddy__alloc(sizeof(*box));
	if (box == NULL)
		return NULL;
	box->taken = 1;
	box->ready.run = run_box;
	box->owner = eddy__self();
	box->next = A_LOAD(&door->boxes);
	while (!A_CAS(&door->boxes, &box->next, box))
		;
	return box;
}

void
eddy__door_ring(struct door *door)
{
	if (A_LOAD(&door->spins) != 0)
		A_STORE(&door->rung_at, eddy_now());
	eddy__ring(door->bell);
}

void
eddy__door_send(struct door *door, struct eddy_ready *node)
{
	if (door_push(door, node))
		eddy__door_ring(door);
}

/* Nobody will run what is in here: tell those who wait for it.  The loop does
 * this after it closed the door, a thread when it finds it closed after a push,
 * so one of the two finds each node.  Boxes have nothing that is waited for. */
void
eddy__door_clear(struct door *door, struct eddy_ready *list)
{
	void (*orphan)(struct eddy_ready *, struct eddy_task *);
	struct eddy_ready *node;

	door_unstack(door, list->prev);
	orphan = A_LOAD(&door->orphan);
	while ((node = list_pop(list)) != NULL)
		if (orphan != NULL)
			orphan(node, NULL);
}

void
eddy__loop_abandon(struct eddy_loop *loop)
{
	void (*orphan)(struct eddy_ready *, struct eddy_task *);
	struct door *door = loop->door;

	if (loop->stall != NULL)
		loop->stall->leave(loop->stall, door_ours(door));
	if (loop->trace != NULL)
		loop->trace->leave(loop->trace, door_ours(door));
	A_STORE(&door->closed, 1);
	/* Pairs with the fence of who looks at closed after a push. */
	A_FENCE(&door->closed);
	eddy__door_clear(door, &loop->pending);
	orphan = A_LOAD(&door->orphan);
	if (loop->roots != NULL && orphan != NULL)
		orphan(NULL, loop->roots);
}

static int64_t
loop_time(const struct eddy_loop *loop)
{
	struct eddy_clock *clock = loop->options.clock;

	return clock != NULL ? clock->now : eddy_now();
}

int
eddy_loop_open_version(struct eddy_loop **ret_loop,
    const struct eddy_loop_options *options, unsigned version)
{
	struct eddy_loop *loop;
	int r;

	if (version != EDDY_VERSION_NUMBER)
		return -EPROTO;
	loop = eddy__alloc(sizeof(*loop));
	r = loop != NULL ? door_open(&loop->door) : -ENOMEM;
	if (r < 0)
		goto fail_door;
	r = loop->epoll = eddy__epoll_open();
	if (r < 0)
		goto fail_epoll;
	/* Edge-triggered and never read: each ring is one event. */
	r = eddy__epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->door->bell,
	    EPOLLIN | EPOLLET, BELL);
	if (r < 0)
		goto fail_add;
	list_init(&loop->pending);
	list_init(&loop->batch);
	list_init(&loop->spare_jobs);
	loop->door->loop = loop;
	loop->owner = eddy__self();
	if (options != NULL)
		loop->options = *options;
	if (loop->options.close_duration == 0)
		loop->options.close_duration = CLOSE_DURATION;
	loop->now = loop_time(loop);
	loop->verify_at = EDDY_FOREVER;
	loop->more.run = eddy__watch_collect;
	*ret_loop = loop;
	return 0;

fail_add:
	eddy__close(loop->epoll);
fail_epoll:
	eddy__door_drop(loop->door);
fail_door:
	eddy__free(loop);
	return r;
}

void *
eddy__loop_attached(struct eddy_loop *loop, loop_close_fn *close, size_t size)
{
	struct attachment *a = loop->attached;

	while (a != NULL && a->close != close)
		a = a->next;
	if (a != NULL)
		return a;
	a = eddy__alloc(size);
	if (a == NULL)
		return NULL;
	a->close = close;
	a->next = loop->attached;
	loop->attached = a;
	return a;
}

int
eddy_loop_close(struct eddy_loop *loop)
{
	bool ours = door_ours(loop->door);
	struct attachment *attached, *next;
	struct eddy_ready *spare;
	int r = 0, r2;

	if (ours && (A_ACQUIRE(&loop->running) || loop->roots != NULL ||
			loop->pools != 0 || eddy__loop_jobs(loop)))
		return -EBUSY;
	for (attached = loop->attached; attached != NULL; attached = next) {
		next = attached->next;
		r2 = attached->close(loop, attached);
		r = r2 < 0 ? r2 : r;
		eddy__free(attached);
	}
	if (!ours)
		A_STORE(&loop->door->refs, 1); /* who held it is not here */
	eddy__loop_abandon(loop);
	while ((spare = list_pop(&loop->spare_jobs)) != NULL)
		eddy__free(spare);
	if (loop->park != NULL)
		eddy__close(loop->alarm);
	eddy__close(loop->epoll);
	eddy__door_drop(loop->door);
	eddy__free(loop->heaps[LOOP_TIME].block);
	eddy__free(loop->heaps[REAL_TIME].block);
	eddy__free(loop->watched);
	eddy__free(loop);
	return r;
}

bool
eddy__loop_alive(const struct eddy_loop *loop)
{
	return !list_empty(&loop->pending) || loop->heaps[0].used != 0 ||
	       loop->watching != 0 || loop->holds != 0 || loop->foreign != 0 ||
	       loop->heaps[1].used != 0 || eddy__loop_jobs(loop) ||
	       !door_empty(loop->door);
}

/* A virtual clock stands still while somebody outside is at work. */
static bool
may_jump(struct eddy_loop *loop)
{
	return loop->options.clock != NULL && loop->holds == 0 &&
	       !eddy__loop_jobs(loop) &&
	       eddy__alarm_next(&loop->heaps[LOOP_TIME]) != EDDY_FOREVER;
}

int64_t
eddy__loop_next(struct eddy_loop *loop)
{
	const struct eddy_clock *clock = loop->options.clock;
	int64_t next = eddy__alarm_next(&loop->heaps[LOOP_TIME]);

	if (clock != NULL && next <= clock->now)
		return 0; /* moved by hand */
	if (clock != NULL)
		next = eddy__alarm_next(&loop->heaps[REAL_TIME]);
	return next < loop->verify_at ? next : loop->verify_at;
}

/* The last batch is over by now: told by whoever reads the clock next. */
static void
note_turn(struct eddy_loop *loop, int64_t now)
{
	if (loop->began != 0)
		histogram_add(&loop->stats.turn, now - loop->began);
	loop->began = 0;
}

/* How long this turn may sleep. */
static int64_t
patience(struct eddy_loop *loop, int64_t duration)
{
	int64_t next, now;

	if (loop->stopping || !list_empty(&loop->pending) || may_jump(loop))
		return 0;
	next = eddy__loop_next(loop);
	if (next == EDDY_FOREVER || duration == 0)
		return duration;
	/* From the deadline anew each turn: no storm of EINTR postpones it. */
	now = eddy_now();
	note_turn(loop, now);
	if (next <= now)
		return 0;
	return next - now < duration ? next - now : duration;
}

/* With many jobs for each CPU, who waits awake keeps one of them from who
 * works: worth it only while outcomes come fast.  Asked before each wait, of
 * what the one before has brought. */
static bool
crowded(struct eddy_loop *loop)
{
	uint64_t n = loop->delivered - loop->counted;

	loop->counted = loop->delivered;
	if (n != 0)
		loop->pace = (3 * loop->pace + loop->waited / (int64_t)n) / 4;
	return loop->pace > SPIN_CROWDED &&
	       eddy__loop_jobs(loop) >= SPIN_MANY * (uint64_t)loop->spin.cpus;
}

/* Outcomes and posts may come soon: wait awake.  What is left to sleep. */
static int64_t
spin(struct eddy_loop *loop, int64_t duration)
{
	int64_t wait = patience(loop, duration);
	bool may;

	if (wait != 0 && loop->began != 0)
		note_turn(loop, eddy_now());
	if (wait <= loop->spin.duration ||
	    !(loop->heard || eddy__loop_jobs(loop)))
		return wait;
	may = spin_may(&loop->spin, A_LOAD(&loop->door->cpu));
	if (crowded(loop))
		eddy__yield();
	else if (!may)
		return wait;
	else
		(void)SPIN(&loop->spin, !door_empty(loop->door));
	return door_empty(loop->door) ? patience(loop, duration) : 0;
}

/* For a while: an executor that is closed need not wait for its next job. */
static void
rest(struct eddy_loop *loop)
{
	if (loop->held != NULL && loop->held_jobs <= 0)
		loop->let_go(loop);
}

/* Nothing was ready: to the next deadline, but not beyond duration. */
static void
jump(struct eddy_loop *loop, int64_t duration)
{
	int64_t next = eddy__alarm_next(&loop->heaps[LOOP_TIME]);
	int64_t limit = eddy__later(loop->options.clock->now, duration);

	if (next < limit)
		limit = next;
	if (limit > loop->options.clock->now)
		loop->options.clock->now = limit;
}

/* Woken for an outcome while who works needs every CPU: let those who were here
 * go on, or each outcome would come alone. */
static void
make_room(const struct eddy_loop *loop)
{
	if (loop->spin.duration != 0 && /* one CPU has no such queue */
	    A_LOAD(&loop->door->refs) > (uint32_t)loop->spin.cpus)
		eddy__yield();
}

static void
note_lag(struct eddy_loop *loop)
{
	int64_t next = eddy__alarm_next(&loop->heaps[LOOP_TIME]), lag;

	/* Any deadline will do, also one before time began. */
	if (next <= loop->now && !__builtin_sub_overflow(loop->now, next, &lag))
		histogram_add(&loop->stats.lag, lag);
}

/* Sleep until something happens, then put what is ready in the pending list:
 * descriptors, posts and outcomes, timers. */
static int
collect(struct eddy_loop *loop, int64_t duration)
{
	int64_t wait, real, since;
	bool quiet = loop->cork.count == 0;
	int n = 0;

	if (loop->spin.duration != 0) /* who waits awake has them now */
		eddy__loop_flush(loop, false);
	wait = spin(loop, duration);
	/* A loop that never rests must not keep those back that nobody was
	 * woken for; a turn without new ones is enough. */
	eddy__loop_flush(loop, wait != 0 || quiet);
	if (wait != 0 && door_park(loop->door)) {
		/* A job that was refused meanwhile, after the fence in
		 * withdraw, may have been all we waited for. */
		A_FENCE_BEHIND(&loop->door->accepted);
		rest(loop);
		if (may_jump(loop) ||
		    (wait == EDDY_FOREVER && !eddy__loop_alive(loop)))
			wait = 0;
	} else {
		wait = 0;
	}
	/* To ask takes longer than many a job, so a run that has a lone outcome
	 * or posts does without, but not twice. */
	loop->polled = wait != 0 || duration != EDDY_FOREVER || !loop->polled ||
	               eddy__loop_jobs(loop) > 1 || door_empty(loop->door);
	if (loop->polled)
		n = eddy__epoll_wait(
		    loop->epoll, loop->events, ARRIVALS, wait, &loop->coarse);
	since = loop->spin.since;
	spin_slept(&loop->spin, A_LOAD(&loop->door->rung_at));
	if (wait != 0 && n == 1 && loop->events[0].data.u64 == BELL)
		make_room(loop);
	if (n < 0 && n != -EINTR)
		return n;
	loop->event = loop->events;
	loop->end = loop->events + (n > 0 ? n : 0);
	eddy__watch_collect(loop, &loop->more);
	loop->heard = !door_empty(loop->door);
	door_collect(loop->door, &loop->pending, loop->trace == NULL);
	if (wait != 0 && loop->stall != NULL)
		loop->stall->look(loop->stall);
	if (list_empty(&loop->pending) && !loop->stopping && may_jump(loop))
		jump(loop, duration);
	real = loop->now = loop_time(loop);
	if (loop->options.clock != NULL)
		real = eddy_now();
	else
		note_lag(loop);
	loop->waited = since != 0 ? real - since : 0;
	loop->stamp = job_stamp(real);
	note_turn(loop, real);
	if (loop->verify_at <= real)
		eddy__watch_verify(loop);
	loop->due_count = 0; /* they were run */
	eddy__alarm_collect(loop, &loop->heaps[LOOP_TIME], loop->now);
	eddy__alarm_collect(loop, &loop->heaps[REAL_TIME], real);
	return 0;
}

static void
run_batch(struct eddy_loop *loop)
{
	struct eddy_ready *ready;
	uintptr_t ahead, step, last_step = 0;

	while ((ready = list_pop(&loop->batch)) != NULL) {
		/* Of one far behind if they lie in a row, else of the one after
		 * next: its node, what a task has beside it, and its own. */
		step = (uintptr_t)loop->batch.next - (uintptr_t)ready;
		ahead = (uintptr_t)ready + AHEAD * step;
		if (__builtin_expect(step != last_step, false))
			ahead = (uintptr_t)loop->batch.next->next;
		last_step = step;
		__builtin_prefetch((void *)(ahead - 24));
		__builtin_prefetch((void *)(ahead + 40));
		__builtin_prefetch((void *)(ahead + 56));
		loop->called = ready;
		ready->run(loop, ready);
	}
}

static int
turn(struct eddy_loop *loop, int64_t duration)
{
	int r = collect(loop, duration);

	if (r < 0)
		return r;
	if (!list_empty(&loop->pending) && loop->options.clock == NULL)
		loop->began = loop->now;
	list_splice(&loop->batch, &loop->pending);
	loop->dispatching = true;
	A_STORE(&loop->turns, A_LOAD(&loop->turns) + 1);
	if (loop->trace != NULL)
		loop->trace->look(loop->trace);
	else
		run_batch(loop);
	loop->dispatching = false;
	HOOK(turn(loop));
	return 0;
}

/* Become the loop thread. */
static int
enter(struct eddy_loop *loop)
{
	const uint32_t *ours;

	if (!door_ours(loop->door))
		return -ECHILD;
	if (!A_SWAP(&loop->running, 0, eddy__self()))
		return -EBUSY;
	if (loop->spin.cpus == 0) { /* what a loop that never runs can spare */
		spin_init(&loop->spin, loop->options.spin_duration);
		A_STORE(&loop->door->spins, loop->spin.duration != 0);
		if (eddy__mark(&ours) == 0) /* if not, getpid tells */
			A_RELEASE(&loop->door->ours, ours);
	}
	A_STORE(&loop->owner, eddy__self());
	if (loop->park != NULL)
		(void)door_rouse(loop->door); /* or it could not sleep */
	loop->parked = false;
	if (loop->stall != NULL)
		loop->stall->look(loop->stall);
	return 0;
}

static int
leave(struct eddy_loop *loop, int r)
{
	loop->stopping = false;
	if (loop->began != 0)
		note_turn(loop, eddy_now());
	eddy__loop_flush(loop, true);
	rest(loop);
	if (loop->park != NULL)
		loop->park(loop);
	A_RELEASE(&loop->running, 0);
	return r;
}

int
eddy_loop_run(struct eddy_loop *loop)
{
	int r = enter(loop);

	if (r < 0)
		return r;
	while (r == 0 && (loop->stopping || eddy__loop_alive(loop))) {
		r = turn(loop, EDDY_FOREVER);
		if (loop->stopping)
			break;
	}
	return leave(loop, r);
}

int
eddy_loop_step(struct eddy_loop *loop, int64_t duration)
{
	int r = enter(loop);

	if (r < 0)
		return r;
	r = turn(loop, duration > 0 ? duration : 0);
	return leave(loop, r == 0 ? eddy__loop_alive(loop) : r);
}

int
eddy_loop_stop(struct eddy_loop *loop)
{
	int r = eddy__loop_mine(loop);

	if (r == 0)
		loop->stopping = true;
	return r;
}

int
eddy_loop_hold(struct eddy_loop *loop)
{
	int r = eddy__loop_mine(loop);

	if (r == 0)
		loop->holds++;
	return r;
}

int
eddy_loop_release(struct eddy_loop *loop)
{
	int r = eddy__loop_mine(loop);

	if (r == 0 && loop->holds == 0)
		r = -EINVAL;
	if (r == 0)
		loop->holds--;
	return r;
}

int64_t
eddy_loop_now(const struct eddy_loop *loop)
{
	return loop->now;
}

int64_t
eddy_loop_after(const struct eddy_loop *loop, int64_t duration)
{
	return eddy__later(loop_time(loop), duration);
}
