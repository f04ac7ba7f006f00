/* SPDX-License-Identifier: ISC */
/*
 * door: where other threads hand things to a loop.
 *
 * A stack that any thread pushes to and the loop empties at once, a box for
 * each thread that has many, and an eventfd that is written only when the loop
 * sleeps and never read (edge-triggered).  Sleeping is a node in the stack, put
 * there only while all is empty: who pushes onto it or takes it out rings.  The
 * door outlives its loop for as long as somebody may still ring it.
 */
#ifndef EDDY_DOOR_H
#define EDDY_DOOR_H

#include "atomics.h"
#include "list.h"
#include "sys.h"

struct eddy_job;
struct eddy_task;
struct observer;

enum {
	OUTBOX = 4096,    /* nodes; beyond that they go to the stack */
	OUTBOX_AHEAD = 8, /* they come from another CPU's cache */
};

/* From one thread, its owner, to the loop.  A slot is the owner's while it is
 * NULL, else the loop's. */
struct outbox {
	struct outbox *next;              /* constant */
	struct eddy_ready ready;          /* of the loop: runs what is in it, */
	uint32_t end;                     /* up to this slot */
	uint32_t out;                     /* of the loop: the next slot */
	struct eddy_ready *slots[OUTBOX]; /* any thread */
	uint32_t in;     /* any thread: its owner's next slot */
	uint32_t taken;  /* any thread: its owner has it */
	uintptr_t owner; /* any thread: the last one */
};

/* The loop always looks at the first line; who rings writes the second. */
struct door {
	struct eddy_ready *stack; /* any thread; newest first; or &asleep */
	struct outbox *boxes;     /* any thread; they stay */
	uint64_t accepted;        /* any thread: jobs ever, of other threads */
	struct eddy_loop *loop;   /* while it has jobs out, or is open */
	uint32_t closed;          /* any thread: the loop is gone */
	int cpu;                  /* any thread: where the last ringer ran */
	int64_t rung_at;          /* any thread: ns */
	struct observer *trace;   /* any thread: of the loop, or NULL */
	const struct eddy_job *timed; /* any thread: is a sample; or NULL */

	_Alignas(64) uint32_t refs; /* any thread: the loop, and who rings */
	struct eddy_ready asleep;   /* never run */
	/* Any thread: called with a node that was pushed too late, or the roots
	 * that will not go on.  Set before there can be any. */
	void (*orphan)(struct eddy_ready *, struct eddy_task *);
	uint32_t spins; /* any thread: the loop may, and asks for rung_at */
	int bell;       /* eventfd; constant */
	pid_t pid;      /* of the loop's process; constant */
	const uint32_t *ours; /* any thread: eddy__mark, once it has run */
	int64_t begun, over;  /* any thread: of timed, ns; begun or 0 */
};

/* Any thread.  False: this is a forked child. */
static inline bool
door_ours(const struct door *door)
{
	const uint32_t *mark = A_ACQUIRE(&door->ours);

	return mark != NULL ? A_LOAD(mark) != 0 : door->pid == eddy__getpid();
}

/* Any thread.  The loop may be gone as soon as node is in, so unless *held the
 * door is held before a push that has to ring.  True: the caller has to. */
static inline bool
door_post(struct door *door, struct eddy_ready *node, bool *held)
{
	struct eddy_ready *top = A_LOAD(&door->stack);

	do {
		if (top == &door->asleep && !*held) {
			A_ADD(&door->refs, 1);
			*held = true;
		}
		node->next = top != &door->asleep ? top : NULL;
	} while (!A_CAS(&door->stack, &top, node));
	return top == &door->asleep; /* node is not ours any more */
}

/* Any thread that has a hold on the door. */
static inline bool
door_push(struct door *door, struct eddy_ready *node)
{
	bool held = true;

	return door_post(door, node, &held);
}

/* The owner.  False: it is full. */
static inline bool
outbox_put(struct outbox *box, struct eddy_ready *node)
{
	struct eddy_ready **slot = &box->slots[box->in % OUTBOX];

	if (A_LOAD(slot) != NULL)
		return false;
	A_STORE(slot, node);
	A_RELEASE(&box->in, box->in + 1);
	return true;
}

/* The owner, after a fence that comes after its puts: pairs with that of
 * door_park.  True: the caller has to ring. */
static inline bool
door_rouse(struct door *door)
{
	struct eddy_ready *asleep = &door->asleep;

	return A_LOAD(&door->stack) == asleep &&
	       A_CAS(&door->stack, &asleep, NULL);
}

/* Loop thread, as all that follows: is there nothing in it? */
static inline bool
door_empty(const struct door *door)
{
	const struct eddy_ready *top = A_LOAD(&door->stack);
	const struct outbox *box = A_ACQUIRE(&door->boxes);

	while (box != NULL && A_LOAD(&box->in) == box->out)
		box = box->next;
	return box == NULL && (top == NULL || top == &door->asleep);
}

/* False: something came in meanwhile, do not sleep. */
static inline bool
door_park(struct door *door)
{
	if (!A_SWAP(&door->stack, NULL, &door->asleep))
		return false;
	A_FENCE_BEHIND(&door->boxes);
	return door_empty(door) || !door_rouse(door);
}

/* The next of those up to end. */
static inline struct eddy_ready *
outbox_take(struct outbox *box)
{
	struct eddy_ready **slot = &box->slots[box->out % OUTBOX];
	struct eddy_ready *node = A_LOAD(slot);

	list_prefetch(A_LOAD(&box->slots[(box->out + OUTBOX_AHEAD) % OUTBOX]));
	A_STORE(slot, NULL);
	box->out++;
	return node;
}

/* Any thread: what is in the stack, behind end. */
static inline void
door_unstack(struct door *door, struct eddy_ready *end)
{
	struct eddy_ready *node, *older;

	if (A_LOAD(&door->stack) == NULL)
		return;
	/* Pairs with the release of the push: what its thread wrote is seen. */
	node = A_XCHG(&door->stack, NULL);
	for (; node != NULL && node != &door->asleep; node = older) {
		older = node->next;
		list_push_front(end, node);
	}
}

/* Awake again: what came in, to the end of list; if boxed, boxes as they are.
 * The stack comes first: what was pushed before a put is seen with that. */
static inline void
door_collect(struct door *door, struct eddy_ready *list, bool boxed)
{
	struct eddy_ready *end = list->prev;
	struct outbox *box = A_ACQUIRE(&door->boxes);

	for (; box != NULL; box = box->next) {
		box->end = A_ACQUIRE(&box->in); /* pairs with outbox_put */
		if (boxed && box->out != box->end)
			list_push(list, &box->ready);
		while (!boxed && box->out != box->end)
			list_push(list, outbox_take(box));
	}
	door_unstack(door, end);
}

#endif
