/* SPDX-License-Identifier: ISC */
/*
 * stall: a thread that looks at a loop from time to time.
 *
 * A loop that runs and does not sleep is busy, with the batch that it numbers.
 * When a look finds it busy with the same one as for a whole threshold, that is
 * a stall.  A look that comes late counts for no more than a quarter of it, so
 * a process that was stopped has none.  When the loop has been idle for a
 * threshold, the thread sleeps until the loop begins or wakes.
 */
#include "stall_impl.h"

#include <unistd.h>

#include "sys.h"

enum {
	LOOKS = 8,  /* within a threshold */
	LATE = 4,   /* of it: what one look counts for at most */
	BURST = 10, /* reports at once; then one each */
};
#define INTERVAL    EDDY_S(1)
#define THRESHOLD   EDDY_MS(100) /* where people begin to notice */
#define PAUSE_LEAST EDDY_MS(1)
#define PAUSE_MOST  EDDY_MS(4)

static void
ring(struct watcher *w)
{
	A_ADD(&w->bell, 1);
	eddy__futex_wake(&w->bell, 1, false);
}

/* In the loop thread, right behind a read-modify-write: it began or woke. */
static void
begun(struct observer *observer)
{
	struct watcher *w = CONTAINER_OF(observer, struct watcher, observer);

	if (w->owner != w->loop->owner) {
		w->owner = w->loop->owner;
		A_STORE(&w->tid, (uint32_t)eddy__gettid());
	}
	/* Either this sees parked, or park() that we are busy. */
	A_FENCE_BEHIND(&w->parked);
	if (A_LOAD(&w->parked) != 0) {
		A_STORE(&w->parked, 0);
		ring(w);
	}
}

static bool
is_busy(const struct eddy_loop *loop)
{
	return A_LOAD(&loop->running) != 0 &&
	       A_LOAD(&loop->door->stack) != &loop->door->asleep;
}

/* Is it as it was at the last look? */
static bool
same(const struct watcher *w)
{
	return A_LOAD(&w->loop->turns) == w->turn &&
	       is_busy(w->loop) == w->busy;
}

static void
tell(struct watcher *w)
{
	if (w->watch->fn != NULL)
		w->watch->fn(&w->stall);
	else
		eddy_stall_print(&w->stall, STDERR_FILENO);
}

/* May one more report be made?  Each is worth an interval. */
static bool
afford(struct watcher *w)
{
	int64_t oldest = w->looked - BURST * INTERVAL;

	if (w->told_until < oldest)
		w->told_until = oldest;
	if (w->told_until + INTERVAL > w->looked)
		return false;
	w->told_until += INTERVAL;
	return true;
}

/* The threshold has passed. */
static void
begin(struct watcher *w)
{
	int state = eddy__stall_inspect(w);
	struct observer *trace;

	if (state == 'T' || state == 't') { /* stopped, by a debugger say */
		w->lasted = 0;
		return;
	}
	eddy__stall_identify(w);
	w->noticed = true;
	if (!same(w))
		return; /* it has just ended: that may be half of two things */
	trace = A_ACQUIRE(&w->loop->door->trace);
	if (trace != NULL)
		trace->note(trace, STALLED, (int)A_LOAD(&w->tid), NULL);
	w->told = afford(w);
	w->unreported += !w->told;
	if (!w->told)
		return;
	w->stall.unreported = w->unreported;
	w->unreported = 0;
	eddy__stall_ask(w); /* last: it may end what the thread waits in */
	tell(w);
}

static void
end(struct watcher *w, int64_t passed)
{
	w->noticed = false;
	if (!w->told)
		return;
	w->told = false;
	w->stall.over = true;
	w->stall.duration = w->lasted + passed;
	eddy__stall_times(w);
	tell(w);
}

/* Sleep until the loop is busy, unless it is. */
static int64_t
park(struct watcher *w)
{
	A_STORE(&w->parked, 1);
	A_FENCE(&w->parked);
	return same(w) ? EDDY_FOREVER : w->pause;
}

/* ns until the next look. */
static int64_t
look(struct watcher *w)
{
	int64_t now = eddy_now(), passed = now - w->looked, left;

	if (passed > w->threshold / LATE && passed > 2 * w->pause)
		passed = w->threshold / LATE;
	w->looked = now;
	if (!same(w)) {
		end(w, passed);
		w->busy = is_busy(w->loop);
		w->turn = A_LOAD(&w->loop->turns);
		w->lasted = 0;
		return w->pause;
	}
	/* A second look at a batch: most do not live to see it. */
	if (w->lasted == 0 && w->busy)
		eddy__stall_begins(w);
	w->lasted += passed;
	left = w->threshold - w->lasted;
	if (left > 0)
		return left < w->pause ? left : w->pause;
	if (!w->busy)
		return park(w);
	if (!w->noticed)
		begin(w);
	return w->pause;
}

static void *
watch_loop(void *arg)
{
	struct watcher *w = arg;
	uint32_t bell, stopping;
	int64_t pause;

	do {
		bell = A_LOAD(&w->bell);
		stopping = A_ACQUIRE(&w->stopping);
		pause = look(w); /* also a last time */
		if (stopping == 0)
			eddy__futex_wait(&w->bell, bell, pause, false);
	} while (stopping == 0);
	return NULL;
}

/* In a forked child there is no thread. */
static void
leave(struct observer *observer, bool here)
{
	struct watcher *w = CONTAINER_OF(observer, struct watcher, observer);

	w->loop->stall = NULL;
	w->watch->state = NULL;
	if (here) {
		A_RELEASE(&w->stopping, 1);
		ring(w);
		pthread_join(w->thread, NULL);
	}
	eddy__free(w);
}

int
eddy_stall_start(struct eddy_loop *loop, struct eddy_stall_watch *watch)
{
	struct watcher *w;
	int r = eddy__loop_ours(loop);

	if (r == 0 && (watch->state != NULL || loop->stall != NULL))
		r = -EBUSY;
	if (r == 0 && watch->threshold < 0)
		r = -EINVAL;
	if (r < 0)
		return r;
	w = eddy__alloc(sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->observer = (struct observer){begun, leave, NULL};
	w->loop = loop;
	w->watch = watch;
	w->threshold = watch->threshold != 0 ? watch->threshold : THRESHOLD;
	w->pause = w->threshold / LOOKS;
	if (w->pause > PAUSE_MOST) /* told soon after the threshold */
		w->pause = PAUSE_MOST;
	else if (w->pause < PAUSE_LEAST)
		w->pause = PAUSE_LEAST;
	r = eddy__stall_prepare(w);
	if (r == 0)
		r = eddy__thread_create(&w->thread, 0, watch_loop, w);
	if (r < 0) {
		eddy__free(w);
		return r;
	}
	watch->state = w;
	loop->stall = &w->observer;
	begun(loop->stall);
	return 0;
}

int
eddy_stall_stop(struct eddy_loop *loop, struct eddy_stall_watch *watch)
{
	int r = eddy__loop_mine(loop);

	if (r == 0 && loop->stall != NULL && loop->stall == watch->state)
		leave(loop->stall, door_ours(loop->door));
	return r;
}
