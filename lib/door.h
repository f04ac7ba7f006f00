/* SPDX-License-Identifier: ISC */
/*
 * door: where other threads hand things to a loop.
 *
 * A stack that any thread pushes to and the loop empties at once, and an
 * eventfd that is written only when the loop sleeps and never read (edge-
 * triggered).  Sleeping is a node in the stack, put there only while that is
 * empty: whoever pushes onto it rings.  The door outlives its loop for as long
 * as somebody may still ring it: every accepted job holds a reference.
 */
#ifndef EDDY_DOOR_H
#define EDDY_DOOR_H

#include "atomics.h"
#include "list.h"

struct eddy_task;
struct observer;

struct door {
	struct eddy_ready *stack; /* any thread; newest first; or &asleep */
	struct eddy_ready asleep; /* never run */
	uint32_t refs;            /* any thread: the loop, and who rings */
	uint64_t accepted;        /* any thread: jobs ever, of other threads */
	struct eddy_loop *loop;   /* while it has jobs out, or is open */
	uint32_t closed;          /* any thread: the loop is gone */
	int cpu;                  /* any thread: where the last ringer ran */
	int64_t rung_at;          /* any thread: ns */
	/* Any thread: called with a node that was pushed too late, or the roots
	 * that will not go on.  Set before there can be any. */
	void (*orphan)(struct eddy_ready *, struct eddy_task *);
	struct observer *trace; /* any thread: of the loop, or NULL */
	int bell;               /* eventfd; constant */
	const uint32_t *ours;   /* 0 in a forked child; eddy__mark */
};

/* Any thread that has a hold on the door.  True: the caller has to ring. */
static inline bool
door_push(struct door *door, struct eddy_ready *node)
{
	struct eddy_ready *top = A_LOAD(&door->stack);

	do
		node->next = top != &door->asleep ? top : NULL;
	while (!A_CAS(&door->stack, &top, node));
	return top == &door->asleep; /* node is not ours any more */
}

/* The same without a hold: the loop may be gone as soon as node is in, so one is
 * taken before a push that would have to ring. */
static inline bool
door_post(struct door *door, struct eddy_ready *node, bool *ret_held)
{
	struct eddy_ready *top = A_LOAD(&door->stack);

	*ret_held = false;
	do {
		if (top == &door->asleep && !*ret_held) {
			A_ADD(&door->refs, 1);
			*ret_held = true;
		}
		node->next = top != &door->asleep ? top : NULL;
	} while (!A_CAS(&door->stack, &top, node));
	return top == &door->asleep;
}

/* Is there nothing in it?  Any thread. */
static inline bool
door_empty(const struct door *door)
{
	const struct eddy_ready *top = A_LOAD(&door->stack);

	return top == NULL || top == &door->asleep;
}

/* Loop thread.  False: something came in meanwhile, do not sleep. */
static inline bool
door_park(struct door *door)
{
	struct eddy_ready *nothing = NULL;

	return A_CAS(&door->stack, &nothing, &door->asleep);
}

/* Loop thread, awake again: what came in, oldest first, to the end of list. */
static inline void
door_collect(struct door *door, struct eddy_ready *list)
{
	struct eddy_ready *node, *older, *end = list->prev;

	if (A_LOAD(&door->stack) == NULL)
		return;
	/* Pairs with the release of the push: what its thread wrote is seen. */
	node = A_XCHG(&door->stack, NULL);
	for (; node != NULL && node != &door->asleep; node = older) {
		older = node->next;
		list_push_front(end, node);
	}
}

#endif
