/* SPDX-License-Identifier: ISC */
/*
 * timer: a 4-ary heap by (deadline, sequence); its top bounds every wait.
 *
 * A restart to a later deadline only writes the alarm: the heap still holds
 * the old one and is mended when that comes up, so pushing a timeout ahead
 * again and again costs two stores.  A loop with a virtual clock has a second
 * heap, for what must happen in real time.
 */
#include <eddy/timer.h>

#include <errno.h>
#include <limits.h>

#include "loop_impl.h"
#include "sys.h"

enum {
	WAYS = 4,  /* half the depth of two, and four children fill a line */
	LINE = 64, /* bytes of cache; a guess costs only time */
	FIRST_ROOM = 64,
	CHUNK = 256, /* due ones a turn, so that the cache holds them */
	/* malloc's big blocks begin 16 bytes into a page: with these unused,
	 * the children of one parent begin at a line. */
	UNUSED = 2,
};

/* Equal deadlines by the numbers of their starts, which may wrap: those of two
 * alarms that wait for the same nanosecond are never 2^31 apart. */
static bool
before(const struct heap_entry *a, const struct heap_entry *b)
{
	if (a->deadline != b->deadline)
		return a->deadline < b->deadline;
	return (int32_t)(a->alarm->order - b->alarm->order) < 0;
}

static void
put(struct heap *heap, uint32_t i, struct heap_entry entry)
{
	heap->entries[i] = entry;
	entry.alarm->index = i + 1;
}

/* Find the place for entry from the hole at i upwards. */
static void
sift_up(struct heap *heap, uint32_t i, struct heap_entry entry)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / WAYS;

		if (!before(&entry, &heap->entries[parent]))
			break;
		put(heap, i, heap->entries[parent]);
		i = parent;
	}
	put(heap, i, entry);
}

static uint32_t
first_child(const struct heap *heap, uint32_t i)
{
	uint32_t best = i * WAYS + 1, child = best + 1;
	uint32_t end = best + WAYS < heap->count ? best + WAYS : heap->count;

	for (; child < end; child++)
		if (before(&heap->entries[child], &heap->entries[best]))
			best = child;
	return best;
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
	while (i * WAYS + 1 < heap->count) {
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

static void
settle(struct heap *heap, uint32_t i, struct heap_entry entry)
{
	if (i > 0 && before(&entry, &heap->entries[(i - 1) / WAYS]))
		sift_up(heap, i, entry);
	else
		sift_down(heap, i, entry);
}

/* The entry that alarm should have now. */
static struct heap_entry
entry_of(struct eddy_alarm *alarm)
{
	alarm->order = alarm->sequence;
	return (struct heap_entry){alarm->deadline, alarm};
}

static void
take_out(struct heap *heap, struct eddy_alarm *alarm)
{
	uint32_t i = alarm->index - 1;

	if (i != --heap->count)
		settle(heap, i, heap->entries[heap->count]);
}

__attribute__((noinline, cold)) static int
make_room(struct heap *heap)
{
	uint32_t room = heap->room != 0 ? heap->room * 2 : FIRST_ROOM;
	struct heap_entry *block = heap->block;

	block = eddy__realloc(block, (room + UNUSED) * sizeof(*block));
	if (block == NULL)
		return -ENOMEM;
	heap->block = block;
	heap->entries = block + UNUSED;
	heap->room = room;
	return 0;
}

static int
insert(struct eddy_loop *loop, struct heap *heap, struct eddy_alarm *alarm,
    int64_t deadline)
{
	int r = heap->count == heap->room ? make_room(heap) : 0;

	if (r < 0)
		return r;
	if (alarm->index == DUE)
		list_remove(&alarm->ready);
	alarm->heap = heap != &loop->heaps[LOOP_TIME];
	alarm->deadline = deadline;
	alarm->sequence = loop->sequence++;
	sift_up(heap, heap->count++, entry_of(alarm));
	return 0;
}

/* In the heap: later is only written, sooner moves it. */
static int
move(struct eddy_loop *loop, struct eddy_alarm *alarm, int64_t deadline)
{
	struct heap *heap = &loop->heaps[alarm->heap];
	bool sooner = deadline < alarm->deadline;

	alarm->deadline = deadline;
	alarm->sequence = loop->sequence++;
	if (sooner && deadline < heap->entries[alarm->index - 1].deadline)
		sift_up(heap, alarm->index - 1, entry_of(alarm));
	return 0;
}

int
eddy__alarm_start(
    struct eddy_loop *loop, struct eddy_alarm *alarm, int64_t deadline, int way)
{
	bool virtual = loop->options.clock != NULL;
	int r = eddy__loop_mine(loop);

	if (r < 0)
		return r;
	if (loop->parked && deadline < loop->alarm_at)
		eddy__loop_stir(loop);
	if (alarm->index != 0 && alarm->index != DUE)
		return move(loop, alarm, deadline);
	return insert(
	    loop, &loop->heaps[virtual ? way : LOOP_TIME], alarm, deadline);
}

void
eddy__alarm_stop(struct eddy_loop *loop, struct eddy_alarm *alarm)
{
	if (alarm->index == 0)
		return;
	if (alarm->index != DUE)
		take_out(&loop->heaps[alarm->heap], alarm);
	else
		list_remove(&alarm->ready);
	alarm->index = 0;
}

/* The top of a heap with its own deadline, not one from before a restart. */
static struct heap_entry *
top(struct heap *heap)
{
	while (heap->count != 0) {
		struct heap_entry *entry = &heap->entries[0];

		if (entry->alarm->order == entry->alarm->sequence)
			return entry;
		sift_down(heap, 0, entry_of(entry->alarm));
	}
	return NULL;
}

int64_t
eddy__alarm_next(struct heap *heap)
{
	struct heap_entry *entry = top(heap);

	return entry != NULL ? entry->deadline : EDDY_FOREVER;
}

/* Of a timer, which has no other. */
void
eddy__timer_fire(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_timer *timer = CONTAINER_OF(
	    ready, struct eddy_timer, alarm.ready);

	timer->alarm.index = 0;
	timer->fn(loop, timer);
}

void
eddy__alarm_collect(struct eddy_loop *loop, struct heap *heap, int64_t now)
{
	struct heap_entry *entry;
	int n = 0;

	while (n++ < CHUNK && (entry = top(heap)) != NULL &&
	       entry->deadline <= now) {
		struct eddy_alarm *alarm = entry->alarm;

		take_out(heap, alarm);
		alarm->index = DUE;
		if (alarm->ready.run == NULL)
			alarm->ready.run = eddy__timer_fire;
		list_remove(&alarm->ready); /* a task that follows an event */
		list_push(&loop->pending, &alarm->ready);
	}
}

/* Timers. */

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
	int64_t base = timer->alarm.deadline, deadline;
	uint64_t late = now > base ? (uint64_t)now - (uint64_t)base : 0;
	uint64_t missed;
	int r;

	if (period <= 0)
		return -EINVAL;
	missed = late / (uint64_t)period;
	/* What is left of late fits, however long ago base was. */
	if (late != 0)
		base = now - (int64_t)(late % (uint64_t)period);
	if (__builtin_add_overflow(base, period, &deadline))
		deadline = EDDY_FOREVER;
	r = eddy_timer_start(loop, timer, deadline);
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
