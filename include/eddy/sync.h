/* SPDX-License-Identifier: ISC */
/*
 * sync: what tasks wait for among themselves.
 *
 * Event, semaphore, condition and queue belong to one loop thread.  Waiters are
 * served in FIFO order and what they are given is handed to them directly, so
 * nobody overtakes and a cancelled waiter loses nothing: either it has it and
 * the await says 0, or it never left the others' hands.  Where tasks wait, a
 * call from another thread is -EPERM.  Any thread may complete a future and
 * push to a mailbox.  All are the caller's storage.
 */
#ifndef EDDY_SYNC_H
#define EDDY_SYNC_H

#include <pthread.h>

#include <eddy/post.h>
#include <eddy/task.h>

EDDY_HEADER_BEGIN_

/* Event: once set, nobody waits any more. */

struct eddy_event {
	bool set;                    /* read only */
	struct eddy_ready waiters;   /* private */
	struct eddy_ready followers; /* private: operations to be ended */
};

void eddy_event_init(struct eddy_event *event);
int eddy_event_set(struct eddy_event *event);
void eddy_event_clear(struct eddy_event *event);
EDDY_ASYNC eddy_event_wait(struct eddy_task *self, struct eddy_event *event);

/* op, but -ECANCELED when event is set and it gave up.  One event for one
 * operation: -EINVAL.  The first one of a task may be -ENOMEM. */
EDDY_ASYNC eddy_until(
    struct eddy_task *self, struct eddy_event *event, eddy_async op);

/* Semaphore; a mutex is one of 1. */

struct eddy_semaphore {
	unsigned count;            /* free ones; read only */
	struct eddy_ready waiters; /* private */
};

void eddy_semaphore_init(struct eddy_semaphore *semaphore, unsigned count);
EDDY_ASYNC eddy_semaphore_acquire(
    struct eddy_task *self, struct eddy_semaphore *semaphore);
/* -EAGAIN: none is free. */
int eddy_semaphore_try_acquire(struct eddy_semaphore *semaphore);
/* To the first waiter, if there is one.  -EOVERFLOW. */
int eddy_semaphore_release(struct eddy_semaphore *semaphore);

/* Condition: waiters are woken when somebody says that something changed. */

struct eddy_condition {
	struct eddy_ready waiters; /* private */
};

void eddy_condition_init(struct eddy_condition *condition);
/* Release mutex, wait for a signal, and hold mutex again when this ends,
 * however it ends.  mutex may be NULL: between two awaits a task is alone. */
EDDY_ASYNC eddy_condition_wait(struct eddy_task *self,
    struct eddy_condition *condition, struct eddy_semaphore *mutex);
/* Wake at most n waiters.  How many there were. */
int eddy_condition_signal(struct eddy_condition *condition, unsigned n);

/* Queue of pointers, bounded by its storage; 0 slots: hand to hand. */

struct eddy_ring {
	void **slots; /* private, as all that follows; borrowed */
	unsigned room, first, count;
	bool closed;
};

struct eddy_queue {
	struct eddy_ring ring; /* private, as all that follows */
	struct eddy_ready pushers, poppers;
};

void eddy_queue_init(struct eddy_queue *queue, void **slots, unsigned n);
/* -EPIPE: closed; the item stays the caller's when the answer is not 0. */
EDDY_ASYNC eddy_queue_push(
    struct eddy_task *self, struct eddy_queue *queue, void *item);
/* -EPIPE: closed and empty. */
EDDY_ASYNC eddy_queue_pop(
    struct eddy_task *self, struct eddy_queue *queue, void **ret_item);
/* -EAGAIN: full, or empty. */
int eddy_queue_try_push(struct eddy_queue *queue, void *item);
int eddy_queue_try_pop(struct eddy_queue *queue, void **ret_item);
/* Wake all who wait; what is in the queue can still be popped. */
int eddy_queue_close(struct eddy_queue *queue);

/* Future: an int that any thread provides, once. */

struct eddy_future {
	struct eddy_post post; /* private, as all that follows */
	struct eddy_loop *loop;
	struct eddy_ready waiters;
	uint32_t state;
	int result;
};

void eddy_future_init(struct eddy_future *future, struct eddy_loop *loop);
/* Any thread, while loop is open.  result: 0 or more, or -errno.  -EALREADY:
 * it has one; -EINVAL: not a result. */
int eddy_future_complete(struct eddy_future *future, int result);
EDDY_ASYNC eddy_future_wait(struct eddy_task *self, struct eddy_future *future);
/* Before its memory goes: waiters are answered -ECANCELED, and so is who waits
 * later if nobody has completed it.  Loop thread. */
int eddy_future_close(struct eddy_future *future);

/* Mailbox: a bounded queue that any thread may push to. */

struct eddy_mailbox {
	pthread_mutex_t lock; /* private, as all that follows; guards ring */
	struct eddy_ring ring;
	struct eddy_loop *loop;
	struct eddy_post post;
	struct eddy_ready poppers; /* loop thread */
	uint32_t room;             /* futex of the threads that wait for room */
	uint32_t blocked;          /* how many; guarded by lock */
};

/* n slots, at least one. */
int eddy_mailbox_init(struct eddy_mailbox *mailbox, struct eddy_loop *loop,
    void **slots, unsigned n);
/* Any thread, while loop is open.  Waits for room until deadline (absolute ns,
 * real time; 0: not at all).  -EAGAIN: full; -ETIME: full until then; -EPIPE:
 * closed; -EDEADLK: the loop's own thread must not wait. */
int eddy_mailbox_push(
    struct eddy_mailbox *mailbox, void *item, int64_t deadline);
/* Loop thread.  -EPIPE: closed and empty. */
EDDY_ASYNC eddy_mailbox_pop(
    struct eddy_task *self, struct eddy_mailbox *mailbox, void **ret_item);
/* Loop thread.  Wake all who wait, in this thread and others. */
int eddy_mailbox_close(struct eddy_mailbox *mailbox);

EDDY_HEADER_END_

#endif
