/* SPDX-License-Identifier: ISC */
/*
 * timer: a 4-ary heap by (deadline, sequence); its top bounds every wait.
 *
 * A restart to a later deadline only writes the timer: the heap still holds
 * the old one and is mended when that comes up, so pushing a timeout ahead
 * again and again costs two stores.
 */
#include <eddy/timer.h>

#include <errno.h>

#include "loop_impl.h"
#include "sys.h"

enum {
	WAYS = 4, /* four children share a cache line or two; half the depth */
	FIRST_ROOM = 64,
};

static bool
before(const struct heap_entry *a, const struct heap_entry *b)
{
	if (a->deadline != b->deadline)
		return a->deadline < b->deadline;
	return a->sequence < b->sequence;
}

static void
put(struct eddy_loop *loop, uint32_t i, struct heap_entry entry)
{
	loop->heap[i] = entry;
	entry.timer->index = i + 1;
}

/* Find the place for entry from the hole at i upwards. */
static void
sift_up(struct eddy_loop *loop, uint32_t i, struct heap_entry entry)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / WAYS;

		if (!before(&entry, &loop->heap[parent]))
			break;
		put(loop, i, loop->heap[parent]);
		i = parent;
	}
	put(loop, i, entry);
}

static uint32_t
first_child(const struct eddy_loop *loop, uint32_t i)
{
	uint32_t best = i * WAYS + 1, child = best + 1;
	uint32_t end = best + WAYS < loop->timers ? best + WAYS : loop->timers;

	for (; child < end; child++)
		if (before(&loop->heap[child], &loop->heap[best]))
			best = child;
	return best;
}

/* Find the place for entry from the hole at i downwards. */
static void
sift_down(struct eddy_loop *loop, uint32_t i, struct heap_entry entry)
{
	while (i * WAYS + 1 < loop->timers) {
		uint32_t child = first_child(loop, i);

		if (!before(&loop->heap[child], &entry))
			break;
		put(loop, i, loop->heap[child]);
		i = child;
	}
	put(loop, i, entry);
}

static void
settle(struct eddy_loop *loop, uint32_t i, struct heap_entry entry)
{
	if (i > 0 && before(&entry, &loop->heap[(i - 1) / WAYS]))
		sift_up(loop, i, entry);
	else
		sift_down(loop, i, entry);
}

static struct heap_entry
entry_of(struct eddy_timer *timer)
{
	return (struct heap_entry){timer->deadline, timer->sequence, timer};
}

static void
take_out(struct eddy_loop *loop, struct eddy_timer *timer)
{
	uint32_t i = timer->index - 1;

	timer->index = 0;
	if (i != --loop->timers)
		settle(loop, i, loop->heap[loop->timers]);
}

static int
make_room(struct eddy_loop *loop)
{
	uint32_t room = loop->heap_room != 0 ? loop->heap_room * 2 : FIRST_ROOM;
	struct heap_entry *heap;

	if (loop->timers < loop->heap_room)
		return 0;
	heap = eddy__realloc(loop->heap, room * sizeof(*heap));
	if (heap == NULL)
		return -ENOMEM;
	loop->heap = heap;
	loop->heap_room = room;
	return 0;
}

static void
fire(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_timer *timer = CONTAINER_OF(
	    ready, struct eddy_timer, ready);

	timer->fn(loop, timer);
}

void
eddy_timer_init(struct eddy_timer *timer, eddy_timer_fn *fn)
{
	*timer = (struct eddy_timer){.fn = fn};
}

bool
eddy_timer_active(const struct eddy_timer *timer)
{
	/* Due and waiting for its turn counts: it has not fired yet. */
	return timer->index != 0 ||
	       (timer->ready.next != NULL && timer->ready.run == fire);
}

int
eddy_timer_start(
    struct eddy_loop *loop, struct eddy_timer *timer, int64_t deadline)
{
	int r = eddy__loop_mine(loop);

	if (r == 0 && timer->index == 0)
		r = make_room(loop);
	if (r < 0)
		return r;
	timer->deadline = deadline;
	timer->sequence = loop->sequence++;
	if (timer->index == 0) {
		list_remove(&timer->ready);
		timer->ready.run = fire;
		sift_up(loop, loop->timers++, entry_of(timer));
	} else if (deadline < loop->heap[timer->index - 1].deadline) {
		sift_up(loop, timer->index - 1, entry_of(timer));
	}
	return 0;
}

int
eddy_timer_stop(struct eddy_loop *loop, struct eddy_timer *timer)
{
	int r = eddy__loop_mine(loop);

	if (r < 0)
		return r;
	if (timer->index != 0)
		take_out(loop, timer);
	else
		list_remove(&timer->ready);
	return 0;
}

/* The top of the heap with its own deadline, not one from before a restart. */
static struct heap_entry *
top(struct eddy_loop *loop)
{
	while (loop->timers != 0) {
		struct heap_entry *entry = &loop->heap[0];

		if (entry->sequence == entry->timer->sequence)
			return entry;
		sift_down(loop, 0, entry_of(entry->timer));
	}
	return NULL;
}

int64_t
eddy__timer_next(struct eddy_loop *loop)
{
	struct heap_entry *entry = top(loop);

	return entry != NULL ? entry->deadline : EDDY_FOREVER;
}

void
eddy__timer_collect(struct eddy_loop *loop)
{
	struct heap_entry *entry;

	while ((entry = top(loop)) != NULL && entry->deadline <= loop->now) {
		struct eddy_timer *timer = entry->timer;

		take_out(loop, timer);
		list_push(&loop->pending, &timer->ready);
	}
}
