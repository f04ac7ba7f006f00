/* SPDX-License-Identifier: ISC */
/*
 * The real lib/door.h under every interleaving: pushers against a loop that
 * collects and parks.  Then the same with a part of the door broken, which has
 * to be found, or the explorer proves nothing.
 */
#define EDDY_EXPLORE 1
#undef _FORTIFY_SOURCE /* its longjmp knows but one stack */

#include <stdio.h>

#include "census.h"
#include "door.h"

enum { PUSHERS = 3, PUSHES = 2, SPURIOUS = 1 };

/* What a variant may replace; the real ones unless it breaks them. */
struct parts {
	bool (*push)(struct door *, struct eddy_ready *);
	bool (*park)(struct door *);
	void (*collect)(struct door *, struct eddy_ready *);
};

static void
collect(struct door *d, struct eddy_ready *list)
{
	door_collect(d, list, false);
}

static void
collect_boxed(struct door *d, struct eddy_ready *list)
{
	door_collect(d, list, true);
}

static const struct parts real = {door_push, door_park, collect};

static struct parts parts;
static int pushers, pushes; /* of this program */

static struct door door;
static struct node {
	struct eddy_ready ready;
	int pusher, number;
} nodes[PUSHERS][PUSHES];
static int arrived[PUSHERS];
static int rings, rings_seen, spurious;
static struct outbox boxes[PUSHERS];

static void
reset(void)
{
	int i;

	memset(&door, 0, sizeof(door));
	for (i = 0; i < pushers; i++) {
		memset(boxes[i].slots, 0, PUSHES * sizeof(*boxes[i].slots));
		boxes[i].in = boxes[i].out = 0;
		boxes[i].next = door.boxes;
		door.boxes = &boxes[i];
	}
	memset(nodes, 0, sizeof(nodes));
	memset(arrived, 0, sizeof(arrived));
	rings = rings_seen = spurious = 0;
}

static void
push_all(int pusher)
{
	int i;

	for (i = 0; i < pushes; i++) {
		nodes[pusher][i].pusher = pusher;
		nodes[pusher][i].number = i;
		if (!parts.push(&door, &nodes[pusher][i].ready))
			continue;
		explore_point();
		rings++; /* the eventfd: each write is an edge */
	}
}

static void
pusher_0(void)
{
	push_all(0);
}

static void
pusher_1(void)
{
	push_all(1);
}

static void
pusher_2(void)
{
	push_all(2);
}

static bool
rung(void)
{
	return rings != rings_seen;
}

/* epoll_wait: until the bell, or a timer once in a while. */
static void
doze(void)
{
	if (spurious < SPURIOUS && explore_choose(2) == 1)
		spurious++;
	else
		explore_wait(rung);
}

/* As run_box() in lib/loop.c if it is a box. */
static int
receive(struct eddy_ready *ready)
{
	struct node *node = CONTAINER_OF(ready, struct node, ready);
	int i, n = 0;

	for (i = 0; i < pushers; i++) {
		if (ready != &boxes[i].ready)
			continue;
		while (boxes[i].out != boxes[i].end)
			n += receive(outbox_take(&boxes[i]));
		return n;
	}
	explore_expect(node->number == arrived[node->pusher],
	    "a node out of order, or twice");
	arrived[node->pusher]++;
	return 1;
}

static int
receive_all(struct eddy_ready *list)
{
	struct eddy_ready *ready;
	int n = 0;

	while ((ready = list_pop(list)) != NULL)
		n += receive(ready);
	return n;
}

/* As collect() in lib/loop.c. */
static void
loop(void)
{
	struct eddy_ready list;
	int left = pushers * pushes;

	list_init(&list);
	while (left > 0) {
		if (parts.park(&door))
			doze();
		rings_seen = rings; /* also by a poll that does not wait */
		parts.collect(&door, &list);
		left -= receive_all(&list);
	}
}

/* What is wrong with these parts, looked at with pushers x pushes nodes. */
static const char *
find(struct parts these, int n_pushers, int n_pushes, int bound, int delays)
{
	struct explore_program program = {
	    reset, {loop, pusher_0, pusher_1, pusher_2}};
	const char *bug;

	program.body[1 + n_pushers] = NULL;
	parts = these;
	pushers = n_pushers;
	pushes = n_pushes;
	bug = explore(&program, bound, delays);
	printf("door: %d x %d pushes, %d preemptions, %d late stores: "
	       "%lu schedules: %s\n",
	    pushers, pushes, bound, delays, explorer.schedules,
	    bug != NULL ? bug : "nothing wrong");
	return bug;
}

START_TEST(one_thread_loses_nothing)
{
	ck_assert_ptr_null(find(real, 1, 2, 5, 0));
	ck_assert_ptr_null(find(real, 1, 2, 3, 1));
}
END_TEST

START_TEST(two_threads_lose_nothing)
{
	ck_assert_ptr_null(find(real, 2, 1, 4, 0));
	ck_assert_ptr_null(find(real, 2, 2, 2, 0));
}
END_TEST

START_TEST(two_threads_lose_nothing_when_a_store_is_late)
{
	ck_assert_ptr_null(find(real, 2, 1, 2, 1));
	ck_assert_ptr_null(find(real, 2, 2, 2, 1));
}
END_TEST

START_TEST(three_threads_lose_nothing)
{
	ck_assert_ptr_null(find(real, 3, 1, 2, 0));
}
END_TEST

static struct outbox *
box_of(struct eddy_ready *ready)
{
	return &boxes[CONTAINER_OF(ready, struct node, ready)->pusher];
}

/* As publish() and rouse() in lib/thread_worker.c. */
static bool
put(struct door *d, struct eddy_ready *ready)
{
	outbox_put(box_of(ready), ready);
	A_FENCE(&d->stack);
	return door_rouse(d);
}

/* A post, then the outcome of the job that made it. */
static bool
put_or_push(struct door *d, struct eddy_ready *ready)
{
	return CONTAINER_OF(ready, struct node, ready)->number == 0
	           ? door_push(d, ready)
	           : put(d, ready);
}

static const struct parts boxed = {put, door_park, collect_boxed};

START_TEST(a_box_loses_nothing)
{
	const struct parts both = {put_or_push, door_park, collect_boxed};
	const struct parts emptied = {put_or_push, door_park, collect};

	ck_assert_ptr_null(find(emptied, 1, 2, 3, 1));
	ck_assert_ptr_null(find(boxed, 1, 2, 4, 0));
	ck_assert_ptr_null(find(boxed, 1, 2, 3, 1));
	ck_assert_ptr_null(find(both, 1, 2, 3, 1));
}
END_TEST

START_TEST(two_boxes_lose_nothing)
{
	ck_assert_ptr_null(find(boxed, 2, 1, 3, 0));
	ck_assert_ptr_null(find(boxed, 2, 1, 1, 1));
}
END_TEST

/* The broken ones. */

static bool
put_without_a_fence(struct door *d, struct eddy_ready *ready)
{
	outbox_put(box_of(ready), ready);
	return door_rouse(d);
}

START_TEST(a_box_without_a_fence_is_found)
{
	struct parts broken = boxed;

	broken.push = put_without_a_fence;
	ck_assert_ptr_nonnull(find(broken, 1, 1, 2, 1));
}
END_TEST

static bool
park_without_boxes(struct door *d)
{
	struct eddy_ready *nothing = NULL;

	return A_CAS(&d->stack, &nothing, &d->asleep);
}

START_TEST(a_park_that_misses_the_boxes_is_found)
{
	struct parts broken = boxed;

	broken.park = park_without_boxes;
	ck_assert_ptr_nonnull(find(broken, 1, 1, 2, 1));
}
END_TEST

static bool
park_over_nodes(struct door *d)
{
	A_STORE(&d->stack, &d->asleep);
	return true;
}

START_TEST(a_park_without_a_look_is_found)
{
	struct parts broken = real;

	broken.park = park_over_nodes;
	ck_assert_ptr_nonnull(find(broken, 1, 1, 2, 1));
}
END_TEST

static bool
look_before_parking(struct door *d)
{
	if (A_LOAD(&d->stack) != NULL)
		return false;
	A_STORE(&d->stack, &d->asleep);
	return true;
}

START_TEST(a_park_in_two_steps_is_found)
{
	struct parts broken = real;

	broken.park = look_before_parking;
	ck_assert_ptr_nonnull(find(broken, 1, 1, 2, 1));
}
END_TEST

static bool
look_before_pushing(struct door *d, struct eddy_ready *node)
{
	bool asleep = A_LOAD(&d->stack) == &d->asleep;

	door_push(d, node);
	return asleep;
}

START_TEST(a_look_before_pushing_is_found)
{
	struct parts broken = real;

	broken.push = look_before_pushing;
	ck_assert_ptr_nonnull(find(broken, 1, 1, 2, 1));
}
END_TEST

static bool
look_after_pushing(struct door *d, struct eddy_ready *node)
{
	door_push(d, node);
	return A_LOAD(&d->stack) == &d->asleep;
}

START_TEST(a_look_after_pushing_is_found)
{
	struct parts broken = real;

	broken.push = look_after_pushing;
	ck_assert_ptr_nonnull(find(broken, 1, 1, 2, 1));
}
END_TEST

/* A plain store where the compare-and-swap is. */
static bool
push_over_others(struct door *d, struct eddy_ready *node)
{
	struct eddy_ready *top = A_LOAD(&d->stack);

	node->next = top != &d->asleep ? top : NULL;
	A_STORE(&d->stack, node);
	return top == &d->asleep;
}

START_TEST(a_push_that_overwrites_is_found)
{
	struct parts broken = real;

	broken.push = push_over_others;
	ck_assert_ptr_nonnull(find(broken, 2, 1, 2, 1));
}
END_TEST

static void
collect_in_two_steps(struct door *d, struct eddy_ready *list)
{
	struct eddy_ready *node = A_LOAD(&d->stack), *older;
	struct eddy_ready *end = list->prev;

	A_STORE(&d->stack, NULL);
	for (; node != NULL && node != &d->asleep; node = older) {
		older = node->next;
		list_push_front(end, node);
	}
}

START_TEST(a_collect_in_two_steps_is_found)
{
	struct parts broken = real;

	broken.collect = collect_in_two_steps;
	ck_assert_ptr_nonnull(find(broken, 1, 2, 2, 1));
}
END_TEST

static void
collect_newest_first(struct door *d, struct eddy_ready *list)
{
	struct eddy_ready *node = A_XCHG(&d->stack, NULL), *older;

	for (; node != NULL && node != &d->asleep; node = older) {
		older = node->next;
		list_push(list, node);
	}
}

START_TEST(a_collect_in_the_wrong_order_is_found)
{
	struct parts broken = real;

	broken.collect = collect_newest_first;
	ck_assert_ptr_nonnull(find(broken, 1, 2, 2, 1));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("door");

	/* They cannot follow a change of stacks, and nothing is parallel here. */
	if (CENSUS_TSAN || CENSUS_ASAN) {
		printf("door: skipped under a sanitizer\n");
		return suite_main(suite);
	}
	census_add(census_case(suite, "every schedule", 20),
	    one_thread_loses_nothing, two_threads_lose_nothing,
	    two_threads_lose_nothing_when_a_store_is_late,
	    three_threads_lose_nothing, a_box_loses_nothing,
	    two_boxes_lose_nothing);
	census_add(census_case(suite, "broken doors", 5),
	    a_park_without_a_look_is_found, a_park_in_two_steps_is_found,
	    a_look_before_pushing_is_found, a_look_after_pushing_is_found,
	    a_push_that_overwrites_is_found, a_collect_in_two_steps_is_found,
	    a_collect_in_the_wrong_order_is_found,
	    a_box_without_a_fence_is_found,
	    a_park_that_misses_the_boxes_is_found);
	return suite_main(suite);
}
