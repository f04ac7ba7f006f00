/* SPDX-License-Identifier: ISC */
/*
 * timer: a 4-ary heap by (deadline, sequence); its top bounds every wait.
 *
 * An entry may be out of date: a restart to a later deadline only writes the
 * alarm, a stop only leaves the entry to the heap's nobody.  Such entries are
 * mended or dropped when they come up or stand in the way; until then they
 * count as before all others of their deadline, which keeps those in order.  A
 * loop with a virtual clock has a second heap, for what is due in real time.
 */
#include <eddy/timer.h>

#include <errno.h>
#include <limits.h>

#include "loop_impl.h"
#include "sys.h"

#pragma weak eddy__task_ring /* only tasks need it */

enum {
	WAYS = 4,  /* half the depth of two, and four children fill a line */
	LINE = 64, /* bytes of cache; a guess costs only time */
	FIRST_ROOM = 64,
	CHUNK = DUE_MOST / 2, /* of a heap */
	/* malloc's big blocks begin 16 bytes into a page: with these unused,
	 * the children of one parent begin at a line. */
	UNUSED = 2,
};

static inline struct heap *
heap_of(struct eddy_loop *loop, const struct eddy_alarm *alarm)
{
	return &loop->heaps[alarm->index >= FIRST_OF_REAL];
}

static bool
is_current(const struct heap_entry *entry)
{
	return entry->alarm->deadline == entry->deadline;
}

/* Equal deadlines by the numbers of their starts, which may wrap: those of two
 * alarms that wait for the same nanosecond are never 2^31 apart. */
static bool
tie_before(const struct heap_entry *a, const struct heap_entry *b)
{
	if (!is_current(a) || !is_current(b))
		return is_current(b);
	return (int32_t)(a->alarm->sequence - b->alarm->sequence) < 0;
}

static inline bool
before(const struct heap_entry *a, const struct heap_entry *b)
{
	if (__builtin_expect(a->deadline == b->deadline, false))
		return tie_before(a, b);
	return a->deadline < b->deadline;
}

static inline void
put(struct heap *heap, uint32_t i, struct heap_entry entry)
{
	heap->entries[i] = entry;
	entry.alarm->index = heap->first + i;
}

/* Up from the hole at i: the place of entry, the last start of its deadline. */
static void
sift_up(struct heap *heap, uint32_t i, struct heap_entry entry)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / WAYS;

		if (entry.deadline >= heap->entries[parent].deadline)
			break;
		put(heap, i, heap->entries[parent]);
		i = parent;
	}
	put(heap, i, entry);
}

/* Which comes first is anybody's guess, so there is no branch to be guessed. */
static uint32_t
first_child(const struct heap *heap, uint32_t i)
{
	const struct heap_entry *child = &heap->entries[i * WAYS + 1];
	uint32_t n = heap->used - (i * WAYS + 1), a, b;

	if (n < WAYS) {
		for (a = 0, b = 1; b < n; b++)
			a = before(&child[b], &child[a]) ? b : a;
		return i * WAYS + 1 + a;
	}
	a = before(&child[1], &child[0]);
	b = 2 + before(&child[3], &child[2]);
	return i * WAYS + 1 + (before(&child[b], &child[a]) ? b : a);
}

/* The children of all children of i lie side by side: a line for each of these,
 * which is on its way while they are compared. */
static void
prefetch(const struct heap *heap, uint32_t i)
{
	uintptr_t line = (uintptr_t)heap->entries +
	                 ((uintptr_t)i * WAYS * WAYS + WAYS + 1) *
	                     sizeof(*heap->entries);
	int child;

	for (child = 0; child < WAYS; child++)
		__builtin_prefetch((void *)(line + (uintptr_t)child * LINE));
}

/* Find the place for entry from the hole at i downwards. */
static void
sift_down(struct heap *heap, uint32_t i, struct heap_entry entry)
{
	while (i * WAYS + 1 < heap->used) {
		uint32_t child;

		prefetch(heap, i);
		child = first_child(heap, i);

		if (!before(&heap->entries[child], &entry))
			break;
		put(heap, i, heap->entries[child]);
		i = child;
	}
	put(heap, i, entry);
}

/* With the last alarm goes all that is nobody's. */
static void
take_top(struct heap *heap)
{
	heap->gone -= heap->entries[0].alarm == &heap->nobody;
	if (--heap->used != heap->gone)
		sift_down(heap, 0, heap->entries[heap->used]);
	else
		heap->used = heap->gone = 0;
}

/* If most entries are nobody's, build the heap anew of the others: a few steps
 * for each stop since the last time. */
static bool
sweep(struct heap *heap)
{
	uint32_t i, end = heap->used;

	if (heap->gone < end / 2)
		return false;
	heap->used = heap->gone = 0;
	for (i = 0; i < end; i++)
		if (heap->entries[i].alarm != &heap->nobody)
			put(heap, heap->used++, heap->entries[i]);
	for (i = heap->used / WAYS + 1; i-- > 0;)
		sift_down(heap, i, heap->entries[i]);
	return true;
}

__attribute__((noinline, cold)) static int
make_room(struct eddy_loop *loop, struct heap *heap)
{
	uint32_t room = heap->room != 0 ? heap->room * 2 : FIRST_ROOM;
	struct heap_entry *block = heap->block;

	if (room != FIRST_ROOM && sweep(heap))
		return 0;
	block = eddy__realloc(block, (room + UNUSED) * sizeof(*block));
	if (block == NULL)
		return -ENOMEM;
	heap->block = block;
	heap->entries = block + UNUSED;
	heap->room = room;
	heap->first = heap == &loop->heaps[LOOP_TIME] ? 1 : FIRST_OF_REAL;
	heap->nobody.deadline = EDDY_FOREVER; /* where order does not matter */
	return 0;
}

static void
note_start(
    struct eddy_loop *loop, struct eddy_alarm *alarm, int64_t deadline, int way)
{
	alarm->deadline = deadline;
	alarm->sequence = (loop->sequence += 2) + (way >= OF_TASK);
}

static void
leave_due(struct eddy_loop *loop, const struct eddy_alarm *alarm)
{
	if (alarm->index >= DUE)
		list_remove(&loop->due[alarm->index - DUE].ready);
}

static bool
in_heap(const struct eddy_alarm *alarm)
{
	return alarm->index != 0 && alarm->index < DUE;
}

/* All but the pushing ahead of a timeout. */
__attribute__((noinline)) static int
place(
    struct eddy_loop *loop, struct eddy_alarm *alarm, int64_t deadline, int way)
{
	struct heap *heap = heap_of(loop, alarm);
	bool fresh = !in_heap(alarm);
	uint32_t i = alarm->index - heap->first;

	if (loop->parked && deadline < loop->alarm_at)
		eddy__loop_stir(loop);
	if (fresh) {
		heap = &loop->heaps[loop->options.clock != NULL ? way & 1 : 0];
		if (heap->used == heap->room && make_room(loop, heap) < 0)
			return -ENOMEM;
		leave_due(loop, alarm);
		i = heap->used++;
	}
	note_start(loop, alarm, deadline, way);
	if (fresh || deadline < heap->entries[i].deadline)
		sift_up(heap, i, (struct heap_entry){deadline, alarm});
	else if (deadline == heap->entries[i].deadline) /* behind its equals */
		sift_down(heap, i, (struct heap_entry){deadline, alarm});
	return 0;
}

int
eddy__alarm_start(
    struct eddy_loop *loop, struct eddy_alarm *alarm, int64_t deadline, int way)
{
	int r = eddy__loop_mine(loop);

	if (r < 0)
		return r;
	if (!in_heap(alarm) || deadline <= alarm->deadline)
		return place(loop, alarm, deadline, way);
	note_start(loop, alarm, deadline, way);
	return 0;
}

void
eddy__alarm_stop(struct eddy_loop *loop, struct eddy_alarm *alarm)
{
	struct heap *heap = heap_of(loop, alarm);

	leave_due(loop, alarm);
	if (in_heap(alarm)) {
		heap->entries[alarm->index - heap->first].alarm = &heap->nobody;
		if (++heap->gone == heap->used)
			heap->used = heap->gone = 0;
	}
	alarm->index = 0;
}

/* The top of a heap, up to date. */
static struct heap_entry *
top(struct heap *heap)
{
	struct heap_entry *entry = heap->entries;

	while (heap->used != 0) {
		if (entry->alarm != &heap->nobody) {
			if (is_current(entry))
				return entry;
			entry->deadline = entry->alarm->deadline;
			sift_down(heap, 0, *entry);
		} else if (!sweep(heap)) {
			take_top(heap);
		}
	}
	return NULL;
}

int64_t
eddy__alarm_next(struct heap *heap)
{
	struct heap_entry *entry = top(heap);

	return entry != NULL ? entry->deadline : EDDY_FOREVER;
}

void
eddy__timer_fire(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_timer *timer = CONTAINER_OF(
	    due_of(ready)->alarm, struct eddy_timer, alarm);

	timer->alarm.index = 0;
	timer->fn(loop, timer);
}

void
eddy__alarm_collect(struct eddy_loop *loop, struct heap *heap, int64_t now)
{
	struct heap_entry *entry;
	uint32_t n = 0, next;

	while (n++ < CHUNK && (entry = top(heap)) != NULL &&
	       entry->deadline <= now) {
		struct eddy_alarm *alarm = entry->alarm;
		struct eddy_timer *timer = CONTAINER_OF(
		    alarm, struct eddy_timer, alarm);
		struct due *due = &loop->due[loop->due_count];
		bool of_task = alarm->sequence % 2 != 0;

		take_top(heap);
		for (next = 1; next <= WAYS && next < heap->used; next++)
			__builtin_prefetch(heap->entries[next].alarm);
		alarm->index = DUE + loop->due_count++;
		due->alarm = alarm;
		due->fn = of_task ? NULL : timer->fn;
		due->ready.run = of_task ? eddy__task_ring : eddy__timer_fire;
		list_push(&loop->pending, &due->ready);
	}
}

void
eddy_timer_init(struct eddy_timer *timer, eddy_timer_fn *fn)
{
	*timer = (struct eddy_timer){.fn = fn};
}

bool
eddy_timer_active(const struct eddy_timer *timer)
{
	return timer->alarm.index != 0; /* also when it is due */
}

int
eddy_timer_start(
    struct eddy_loop *loop, struct eddy_timer *timer, int64_t deadline)
{
	return eddy__alarm_start(loop, &timer->alarm, deadline, LOOP_TIME);
}

/* The roundest time in the slack: with the most zero bits at its end. */
int
eddy_timer_start_slack(struct eddy_loop *loop, struct eddy_timer *timer,
    int64_t deadline, int64_t slack)
{
	int64_t last;
	int bits;

	if (slack > 0 && !__builtin_add_overflow(deadline, slack, &last)) {
		bits = 63 - __builtin_clzll(
				(uint64_t)last ^ ((uint64_t)deadline - 1));
		deadline = (int64_t)((uint64_t)last >> bits << bits);
	}
	return eddy_timer_start(loop, timer, deadline);
}

int
eddy_timer_repeat(
    struct eddy_loop *loop, struct eddy_timer *timer, int64_t period)
{
	int64_t now = eddy_loop_after(loop, 0);
	int64_t base = timer->alarm.deadline;
	uint64_t late = now > base ? (uint64_t)now - (uint64_t)base : 0;
	uint64_t missed;
	int r;

	if (period <= 0)
		return -EINVAL;
	missed = late / (uint64_t)period;
	/* What is left of late fits, however long ago base was. */
	if (late != 0)
		base = now - (int64_t)(late % (uint64_t)period);
	r = eddy_timer_start(loop, timer, eddy__later(base, period));
	return r < 0 ? r : missed < INT_MAX ? (int)missed + 1 : INT_MAX;
}

int
eddy_timer_stop(struct eddy_loop *loop, struct eddy_timer *timer)
{
	int r = eddy__loop_mine(loop);

	if (r == 0)
		eddy__alarm_stop(loop, &timer->alarm);
	return r;
}
