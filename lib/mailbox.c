/* SPDX-License-Identifier: ISC */
/*
 * mailbox: futures and queues that other threads fill.
 *
 * A thread leaves its word or item and posts; the callback in the loop thread
 * serves those who wait, in FIFO order.  A task that waits here counts as
 * something that may still happen, so its loop goes on.
 */
#include <eddy/sync.h>

#include <errno.h>
#include <limits.h>

#include "executor_impl.h"
#include "ring.h"
#include "sys.h"

/* EMPTY -> TAKEN by who completes or closes it -> HEARD in the loop thread. */

enum { EMPTY, TAKEN, HEARD };

static const struct eddy_op future_op = {"future", waiter_leave};

static void
on_completed(struct eddy_loop *loop, struct eddy_post *post)
{
	struct eddy_future *future = CONTAINER_OF(
	    post, struct eddy_future, post);

	(void)loop;
	A_STORE(&future->state, HEARD);
	waiters_wake(&future->waiters, future->result);
}

void
eddy_future_init(struct eddy_future *future, struct eddy_loop *loop)
{
	*future = (struct eddy_future){.loop = loop};
	eddy_post_init(&future->post, on_completed);
	list_init(&future->waiters);
}

int
eddy_future_complete(struct eddy_future *future, int result)
{
	if (result < LOWEST_RESULT)
		return -EINVAL;
	if (!A_SWAP(&future->state, EMPTY, TAKEN))
		return -EALREADY;
	future->result = result;
	return eddy_post(future->loop, &future->post);
}

EDDY_ASYNC
eddy_future_wait(struct eddy_task *self, struct eddy_future *future)
{
	int r = eddy_cancelled(self) ? -ECANCELED
	                             : eddy__loop_mine(future->loop);

	if (r < 0 || A_LOAD(&future->state) == HEARD)
		return eddy_complete(self, r < 0 ? r : future->result);
	list_push(&future->waiters, &self->use.ready);
	return eddy_park(self, &future_op);
}

int
eddy_future_close(struct eddy_future *future)
{
	int r = eddy_post_cancel(future->loop, &future->post);

	if (r < 0 && r != -EALREADY)
		return r;
	if (A_SWAP(&future->state, EMPTY, TAKEN))
		future->result = -ECANCELED;
	A_STORE(&future->state, HEARD);
	waiters_wake(&future->waiters, -ECANCELED);
	return 0;
}

static const struct eddy_op mail_op = {"mailbox", waiter_leave};

/* Take one, and tell a thread that waits for the room. */
static int
take(struct eddy_mailbox *mailbox, void **ret_item)
{
	bool blocked;
	int r;

	pthread_mutex_lock(&mailbox->lock);
	r = ring_take(&mailbox->ring, ret_item);
	blocked = r == 0 && mailbox->blocked != 0;
	mailbox->room += blocked;
	pthread_mutex_unlock(&mailbox->lock);
	if (blocked)
		eddy__futex_wake(&mailbox->room, 1, false);
	return r;
}

/* Hand out what there is; when it is closed, the others get the news. */
static void
serve(struct eddy_loop *loop, struct eddy_post *post)
{
	struct eddy_mailbox *mailbox = CONTAINER_OF(
	    post, struct eddy_mailbox, post);

	(void)loop;
	while (!list_empty(&mailbox->poppers)) {
		struct eddy_task *task = waiter_of(mailbox->poppers.next);
		int r = take(mailbox, task->use.user[2]);

		if (r == -EAGAIN)
			break;
		waiter_leave(task, r);
	}
}

int
eddy_mailbox_init(struct eddy_mailbox *mailbox, struct eddy_loop *loop,
    void **slots, unsigned n)
{
	if (n == 0)
		return -EINVAL;
	*mailbox = (struct eddy_mailbox){
	    .ring = {.slots = slots, .room = n}, .loop = loop};
	pthread_mutex_init(&mailbox->lock, NULL);
	eddy_post_init(&mailbox->post, serve);
	list_init(&mailbox->poppers);
	return 0;
}

/* With the lock: wait until there may be room. */
static int
wait_for_room(struct eddy_mailbox *mailbox, int64_t deadline)
{
	uint32_t room = mailbox->room;
	int64_t left = eddy__left(deadline);

	if (deadline == 0)
		return -EAGAIN;
	if (eddy__loop_here(mailbox->loop))
		return -EDEADLK;
	if (left == 0)
		return -ETIME;
	mailbox->blocked++;
	pthread_mutex_unlock(&mailbox->lock);
	eddy__futex_wait(&mailbox->room, room, left, false);
	pthread_mutex_lock(&mailbox->lock);
	mailbox->blocked--;
	return 0;
}

int
eddy_mailbox_push(struct eddy_mailbox *mailbox, void *item, int64_t deadline)
{
	int r = 0;

	pthread_mutex_lock(&mailbox->lock);
	while (r == 0 && !mailbox->ring.closed &&
	       mailbox->ring.count == mailbox->ring.room)
		r = wait_for_room(mailbox, deadline);
	if (r == 0)
		r = mailbox->ring.closed ? -EPIPE
		                         : ring_put(&mailbox->ring, item);
	/* With the lock: after close nobody rings, so the loop may go then. */
	if (r == 0)
		eddy_post(mailbox->loop, &mailbox->post);
	pthread_mutex_unlock(&mailbox->lock);
	return r;
}

EDDY_ASYNC
eddy_mailbox_pop(
    struct eddy_task *self, struct eddy_mailbox *mailbox, void **ret_item)
{
	int r = eddy_cancelled(self) ? -ECANCELED
	                             : eddy__loop_mine(mailbox->loop);

	if (r == 0)
		r = list_empty(&mailbox->poppers) ? take(mailbox, ret_item)
		                                  : -EAGAIN;
	if (r != -EAGAIN)
		return eddy_complete(self, r);
	list_push(&mailbox->poppers, &self->use.ready);
	self->use.user[2] = ret_item;
	return eddy_park(self, &mail_op);
}

int
eddy_mailbox_close(struct eddy_mailbox *mailbox)
{
	int r = eddy__loop_mine(mailbox->loop);

	if (r < 0)
		return r;
	pthread_mutex_lock(&mailbox->lock);
	mailbox->ring.closed = true;
	mailbox->room++;
	pthread_mutex_unlock(&mailbox->lock);
	eddy__futex_wake(&mailbox->room, INT_MAX, false);
	eddy_post_cancel(mailbox->loop, &mailbox->post);
	serve(mailbox->loop, &mailbox->post);
	return 0;
}
