/* SPDX-License-Identifier: ISC */
/*
 * sync: lists of tasks that wait.
 *
 * A waiting task is in one list by use.ready; use.user[2], the part of that
 * node which lists leave alone, is its item, where its item goes, or its mutex.
 * Who gives takes the first waiter out and unparks it with what it gave, so
 * nothing is ever free while somebody waits for it.
 */
#include <eddy/sync.h>

#include <errno.h>
#include <limits.h>

#include "ring.h"

/* The first in list, taken out; or NULL. */
static struct eddy_task *
next(struct eddy_ready *list)
{
	struct eddy_ready *node = list_pop(list);

	return node != NULL ? waiter_of(node) : NULL;
}

static const struct eddy_op event_op = {"event", waiter_leave};

void
eddy_event_init(struct eddy_event *event)
{
	event->set = false;
	list_init(&event->waiters);
	list_init(&event->followers);
}

static int
event_mine(const struct eddy_event *event)
{
	struct eddy_ready *node = event->followers.next;
	int r = waiters_mine(&event->waiters);

	if (r == 0 && node != &event->followers)
		r = eddy__loop_mine(eddy__task_that_follows(node)->loop);
	return r;
}

int
eddy_event_set(struct eddy_event *event)
{
	int r = event_mine(event);
	struct eddy_ready *node;

	if (r < 0)
		return r;
	event->set = true;
	waiters_wake(&event->waiters, 0);
	while ((node = list_pop(&event->followers)) != NULL)
		eddy__task_interrupt(eddy__task_that_follows(node), -ECANCELED);
	return 0;
}

void
eddy_event_clear(struct eddy_event *event)
{
	event->set = false;
}

EDDY_ASYNC
eddy_event_wait(struct eddy_task *self, struct eddy_event *event)
{
	int r = eddy_cancelled(self) ? -ECANCELED
	        : event->set         ? 0
	                             : event_mine(event);

	if (r < 0 || event->set)
		return eddy_complete(self, r);
	return waiter_park(self, &event->waiters, &event_op, NULL);
}

EDDY_ASYNC
eddy_until(struct eddy_task *self, struct eddy_event *event, eddy_async op)
{
	int r;

	if (op.rc != EDDY_PENDING || self->op == NULL)
		return op; /* complete, or about to be */
	r = event_mine(event);
	if (r == 0)
		r = eddy__task_follow(self, &event->followers);
	if (r == 0 && event->set) {
		list_pop(&event->followers); /* it may go before op is over */
		r = -ECANCELED;
	}
	if (r < 0)
		eddy__task_interrupt(self, r);
	return op;
}

/* Only who should not have begun this leaves without the mutex. */
static int
stay(struct eddy_task *task, int rc)
{
	return rc == -EINVAL ? waiter_leave(task, rc) : rc;
}

static const struct eddy_op acquire_op = {"semaphore", waiter_leave};
/* The end of a wait for a condition: not without the mutex; rc is kept. */
static const struct eddy_op reacquire_op = {"mutex of a condition", stay};

void
eddy_semaphore_init(struct eddy_semaphore *semaphore, unsigned count)
{
	semaphore->count = count;
	list_init(&semaphore->waiters);
}

int
eddy_semaphore_try_acquire(struct eddy_semaphore *semaphore)
{
	if (semaphore->count == 0)
		return -EAGAIN;
	semaphore->count--;
	return 0;
}

EDDY_ASYNC
eddy_semaphore_acquire(struct eddy_task *self, struct eddy_semaphore *semaphore)
{
	if (eddy_cancelled(self))
		return eddy_complete(self, -ECANCELED);
	if (eddy_semaphore_try_acquire(semaphore) == 0)
		return eddy_complete(self, 0);
	return waiter_park(self, &semaphore->waiters, &acquire_op, NULL);
}

int
eddy_semaphore_release(struct eddy_semaphore *semaphore)
{
	struct eddy_task *task;
	int r = waiters_mine(&semaphore->waiters);

	if (r < 0)
		return r;
	task = next(&semaphore->waiters);
	if (task != NULL)
		return eddy_unpark(
		    task, task->op == &reacquire_op ? task->use.so_far.rc : 0);
	if (semaphore->count == UINT_MAX)
		return -EOVERFLOW;
	semaphore->count++;
	return 0;
}

/* The wait is over with rc, as soon as the task has its mutex again. */
static int
reacquire(struct eddy_task *task, int rc)
{
	struct eddy_semaphore *mutex = task->use.user[2];

	list_remove(&task->use.ready);
	if (mutex == NULL || eddy_semaphore_try_acquire(mutex) == 0)
		return eddy_unpark(task, rc);
	task->op = &reacquire_op;
	list_push(&mutex->waiters, &task->use.ready);
	task->use.so_far.rc = rc;
	return 0;
}

static const struct eddy_op condition_op = {"condition", reacquire};

void
eddy_condition_init(struct eddy_condition *condition)
{
	list_init(&condition->waiters);
}

EDDY_ASYNC
eddy_condition_wait(struct eddy_task *self, struct eddy_condition *condition,
    struct eddy_semaphore *mutex)
{
	int r = eddy_cancelled(self) ? -ECANCELED
	                             : waiters_mine(&condition->waiters);

	if (r < 0)
		return eddy_complete(self, r);
	if (mutex != NULL)
		eddy_semaphore_release(mutex);
	return waiter_park(self, &condition->waiters, &condition_op, mutex);
}

int
eddy_condition_signal(struct eddy_condition *condition, unsigned n)
{
	unsigned woken = 0;
	int r = waiters_mine(&condition->waiters);

	if (r < 0)
		return r;
	for (; woken < n && !list_empty(&condition->waiters); woken++)
		reacquire(waiter_of(condition->waiters.next), 0);
	return (int)woken;
}

static const struct eddy_op push_op = {"push", waiter_leave};
static const struct eddy_op pop_op = {"pop", waiter_leave};

void
eddy_queue_init(struct eddy_queue *queue, void **slots, unsigned n)
{
	queue->ring = (struct eddy_ring){.slots = slots, .room = n};
	list_init(&queue->pushers);
	list_init(&queue->poppers);
}

int
eddy_queue_try_push(struct eddy_queue *queue, void *item)
{
	struct eddy_task *popper;
	int r = queue->ring.closed ? -EPIPE : waiters_mine(&queue->poppers);

	if (r < 0)
		return r;
	popper = next(&queue->poppers);
	if (popper == NULL)
		return ring_put(&queue->ring, item);
	*(void **)popper->use.user[2] = item;
	return eddy_unpark(popper, 0);
}

int
eddy_queue_try_pop(struct eddy_queue *queue, void **ret_item)
{
	struct eddy_task *pusher;
	int r = waiters_mine(&queue->pushers);

	if (r == 0)
		r = ring_take(&queue->ring, ret_item);
	if (r == -EPIPE || r == -EPERM)
		return r;
	pusher = next(&queue->pushers);
	if (pusher == NULL)
		return r;
	if (r == 0)
		ring_put(&queue->ring, pusher->use.user[2]);
	else
		*ret_item = pusher->use.user[2]; /* no slots: hand to hand */
	return eddy_unpark(pusher, 0);
}

EDDY_ASYNC
eddy_queue_push(struct eddy_task *self, struct eddy_queue *queue, void *item)
{
	int r = eddy_cancelled(self) ? -ECANCELED
	                             : eddy_queue_try_push(queue, item);

	if (r != -EAGAIN)
		return eddy_complete(self, r);
	return waiter_park(self, &queue->pushers, &push_op, item);
}

EDDY_ASYNC
eddy_queue_pop(
    struct eddy_task *self, struct eddy_queue *queue, void **ret_item)
{
	int r = eddy_cancelled(self) ? -ECANCELED
	                             : eddy_queue_try_pop(queue, ret_item);

	if (r != -EAGAIN)
		return eddy_complete(self, r);
	return waiter_park(self, &queue->poppers, &pop_op, ret_item);
}

int
eddy_queue_close(struct eddy_queue *queue)
{
	if (waiters_mine(&queue->pushers) < 0 ||
	    waiters_mine(&queue->poppers) < 0)
		return -EPERM;
	queue->ring.closed = true;
	waiters_wake(&queue->pushers, -EPIPE);
	waiters_wake(&queue->poppers, -EPIPE);
	return 0;
}
