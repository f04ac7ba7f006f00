/* SPDX-License-Identifier: ISC */
/*
 * verify: whether all in a loop is as its owners believe; and what make DEBUG=1
 * has to say.  A walk ends at the first link that does not lead back.
 */
#include <eddy/dump.h>
#include <eddy/watch.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "debug.h"
#include "stall_impl.h"
#include "task_impl.h"

/* A program that does not link it has none to look at. */
#pragma weak eddy__job_deliver

enum {
	WAYS = 4,     /* of a heap, as in timer.c */
	FREED = 0xdb, /* each byte */
	OFTEN = 64,   /* turns */
};

struct check {
	struct text text;
	unsigned wrong;
	int64_t jobs; /* that were seen */
};

static bool
expect(struct check *c, bool good, const char *what, const char *name,
    const void *at)
{
	if (!good)
		eddy__print(&c->text, "eddy: %s %p %s\n",
		    name != NULL ? name : "(unnamed)", at, what);
	c->wrong += !good;
	return good;
}

static void
check_list(struct check *c, const struct eddy_ready *head)
{
	const struct eddy_ready *node, *last = head;

	for (node = head->next; node != head; last = node, node = node->next) {
		if (node == NULL || node->prev != last)
			break;
		expect(c, node->run != NULL, "cannot be run", "callback", node);
		c->jobs += node->run == eddy__job_deliver && node->run != NULL;
	}
	expect(c, node == head && head->prev == last,
	    "is followed by what does not link back", "callback", last);
}

/* Both up to date, and in the wrong order; see timer.c. */
static bool
unfair(const struct heap_entry *a, const struct heap_entry *above)
{
	return a->deadline == above->deadline &&
	       a->alarm->deadline == a->deadline &&
	       above->alarm->deadline == above->deadline &&
	       (int32_t)(a->alarm->sequence - above->alarm->sequence) < 0;
}

static void
check_heap(struct check *c, const struct heap *heap)
{
	const struct heap_entry *entry, *above;
	uint32_t i, gone = 0;

	expect(c, heap->used <= heap->room, "are too many", "timers", heap);
	for (i = 0; i < heap->used; i++) {
		const struct eddy_alarm *alarm;

		entry = &heap->entries[i];
		above = &heap->entries[i != 0 ? (i - 1) / WAYS : 0];
		alarm = entry->alarm;
		gone += alarm == &heap->nobody;
		if (alarm == &heap->nobody)
			continue;
		expect(c, alarm->index == heap->first + i,
		    "is not where its index says", "timer", alarm);
		expect(c, alarm->deadline >= entry->deadline,
		    "comes up after its deadline", "timer", alarm);
		expect(c, entry->deadline >= above->deadline,
		    "is sooner than the one above it", "timer", alarm);
		expect(c,
		    above->alarm == &heap->nobody || !unfair(entry, above),
		    "was started before its equal above it", "timer", alarm);
	}
	expect(c, gone == heap->gone, "that stopped are miscounted", "timers",
	    heap);
}

static void
check_watches(struct check *c, const struct eddy_loop *loop)
{
	const struct eddy_watch *watch;
	unsigned count = 0, i;

	for (i = 0; i < 2 * loop->watched_room; i++) {
		struct eddy_ready *const *both = loop->watched[i / 2].waiters;
		struct eddy_ready *waiter = both[i % 2];

		if (waiter == NULL)
			continue;
		if ((uintptr_t)waiter % 2 != 0) {
			count++; /* a task, on this side */
			continue;
		}
		if (i % 2 == 1 && waiter == both[0])
			continue;
		watch = CONTAINER_OF(waiter, struct eddy_watch, ready);
		count += (watch->flags & EDDY_WATCH_BACKGROUND) == 0;
		expect(c, watch->started && watch->fd == (int)(i / 2),
		    "is not the one its descriptor has", "watch", watch);
	}
	expect(c, count == loop->watching, "are miscounted", "watches", loop);
}

/* False: there is no way to go on below it. */
static bool
check_task(
    struct check *c, const struct eddy_loop *loop, const struct eddy_task *task)
{
	const struct eddy_task *below = eddy__task_below(task), *kid;
	const struct eddy_task *last = NULL;
	uint32_t n = 0;

	expect(c, task->loop == loop, "is of another loop", task->name, task);
	expect(c, !eddy_done(task), "has ended", task->name, task);
	expect(c,
	    task->op != NULL || task == loop->current ||
		(task->use.ready.run == eddy__task_resume &&
		    task->use.ready.next != NULL),
	    "waits for nothing", task->name, task);
	for (kid = task->kids; kid != NULL; last = kid, kid = kid->next, n++)
		if (kid->up.parent != task || kid->prev != last)
			break;
	expect(c, kid != NULL || n == task->kid_count,
	    "has miscounted its children", task->name, task);
	return expect(c,
	    kid == NULL && (below == task->kids || below->up.parent == task),
	    "is above one that is not its own", task->name, task);
}

static void
check_tree(
    struct check *c, const struct eddy_loop *loop, const struct eddy_task *root)
{
	const struct eddy_task *task = root;
	int depth = 0;

	while (task != NULL && check_task(c, loop, task))
		task = eddy__task_next(
		    root, task, eddy__task_below(task), &depth);
}

int
eddy_loop_verify(struct eddy_loop *loop, int fd)
{
	struct check c = {.text = {.fd = fd}, .jobs = loop->cork.count};
	const struct eddy_task *root, *last = NULL;
	int r = eddy__loop_mine(loop);

	if (r < 0)
		return r;
	check_list(&c, &loop->pending);
	check_list(&c, &loop->batch);
	check_heap(&c, &loop->heaps[LOOP_TIME]);
	check_heap(&c, &loop->heaps[REAL_TIME]);
	check_watches(&c, loop);
	for (root = loop->roots; root != NULL; last = root, root = root->next) {
		if (!expect(&c, root->prev == last, "does not link back",
			root->name, root))
			break;
		check_tree(&c, loop, root);
	}
	expect(&c, (int64_t)eddy__loop_jobs(loop) >= c.jobs, "are miscounted",
	    "jobs", loop);
	r = eddy__print_end(&c.text);
	return c.wrong != 0 ? -EUCLEAN : r;
}

/* make DEBUG=1. */

/* Where task waits, or the call came from; and what the loop runs. */
static void
tell(const char *what, const struct eddy_task *task, const void *from,
    const struct eddy_loop *loop)
{
	struct text text = {.fd = STDERR_FILENO};
	struct watcher w;

	memset(&w, 0, sizeof(w));
	w.loop = (struct eddy_loop *)(uintptr_t)loop; /* is only read */
	eddy__print(&text, "eddy: %s: ", what);
	if (from != NULL)
		eddy__stall_locate(&text, (uintptr_t)from);
	if (task != NULL && task->at != NULL)
		eddy__print(&text, "task %s, %s:%d %s: %s", task->name,
		    task->at->file, task->at->line, task->at->func,
		    task->at->text);
	if (loop != NULL) {
		eddy__stall_identify(&w);
		eddy__print(&text, "; its loop runs ");
		eddy__stall_who(&text, &w.stall);
	}
	eddy__print(&text, "\n");
	eddy__print_end(&text);
}

void
eddy__debug_turn(struct eddy_loop *loop)
{
	uint32_t turns = A_LOAD(&loop->turns);

	if ((turns < OFTEN || turns % OFTEN == 0) &&
	    eddy_loop_verify(loop, STDERR_FILENO) == -EUCLEAN)
		abort();
}

void
eddy__debug_thread(const struct eddy_loop *loop, const void *from)
{
	tell("wrong thread", NULL, from, loop);
}

void
eddy__debug_park(const struct eddy_task *task)
{
	if (task->op == NULL)
		return;
	tell("double await", task, NULL, task->loop);
	abort();
}

static eddy_step
ended(struct eddy_task *task)
{
	tell("resumed after its end", task, NULL, task->loop);
	abort();
}

void
eddy__debug_end(struct eddy_task *task)
{
	task->fn = ended;
}

void
eddy__debug_poison(void *p)
{
	if (p != NULL)
		memset(p, FREED, malloc_usable_size(p));
}

void
eddy__debug_alive(const struct eddy_task *task)
{
	unsigned poison;

	memset(&poison, FREED, sizeof(poison));
	if (task->flags != poison)
		return;
	tell("used after its end, a task from EDDY_NEW", NULL, task, NULL);
	abort();
}
