/* SPDX-License-Identifier: ISC */
/*
 * run_on: a thread waits for a task of a loop.
 *
 * The request goes through the loop's door.  WAITING -> TAKEN by the loop, or
 * DROPPED by the thread when it is too late, or DONE when the loop closes;
 * TAKEN -> DONE when the task has ended.  The thread, and each node that is in
 * the door, hold the request; whoever is last frees it.
 */
#include <errno.h>

#include "executor_impl.h"
#include "sys.h"
#include "task_impl.h"

enum { WAITING, TAKEN, DROPPED, DONE };

struct request {
	struct eddy_task task; /* calls the one to be run */
	struct eddy_task *callee;
	struct eddy_ready begin, abort; /* in the door */
	uint32_t refs;
	uint32_t state;
	uint32_t wakes;   /* futex: state or stop may have changed */
	uint32_t stop;    /* the job that waits was asked to */
	struct hook next; /* what the job had for that */
	int result;
};

static void
drop(struct request *request)
{
	if (A_SUB(&request->refs, 1) == 1)
		eddy__free(request);
}

static void
wake(struct request *request)
{
	A_ADD(&request->wakes, 1);
	eddy__futex_wake(&request->wakes, 1, false);
}

static void
conclude(struct request *request, int result)
{
	request->result = result;
	A_RELEASE(&request->state, DONE);
	wake(request);
	drop(request);
}

/* Loop thread. */

static eddy_step
call(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct request, f);
	EDDY_TRY(self->result, eddy_call(self, f->callee));
	EDDY_END;
}

static void
ended(struct eddy_loop *loop, struct eddy_task *task)
{
	(void)loop;
	conclude(CONTAINER_OF(task, struct request, task), task->result);
}

static bool
leave_waiting(struct request *request, uint32_t state)
{
	return A_SWAP(&request->state, WAITING, state);
}

static void
begin(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct request *request = CONTAINER_OF(ready, struct request, begin);

	if (!leave_waiting(request, TAKEN)) {
		drop(request);
		return;
	}
	eddy_prepare(&request->task, call, "eddy_run_on");
	eddy_loop_spawn(loop, &request->task, ended);
}

static void
stop(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct request *request = CONTAINER_OF(ready, struct request, abort);

	(void)loop;
	eddy_cancel(&request->task, "its thread gave up");
	drop(request);
}

/* Any thread: the loop is gone. */
static void
orphan(struct eddy_ready *ready, struct eddy_task *roots)
{
	struct eddy_task *next;

	if (ready == NULL) {
		for (; roots != NULL; roots = next) {
			next = roots->next;
			if (roots->fn == call)
				conclude(
				    CONTAINER_OF(roots, struct request, task),
				    -ECANCELED);
		}
	} else if (ready->run == stop) {
		drop(CONTAINER_OF(ready, struct request, abort));
	} else if (ready->run == begin) {
		struct request *request = CONTAINER_OF(
		    ready, struct request, begin);

		if (leave_waiting(request, TAKEN)) {
			eddy__task_refuse(request->callee, 0);
			conclude(request, -ECANCELED);
		} else {
			drop(request);
		}
	}
}

/* The waiting thread. */

static void
send(struct door *door, struct eddy_ready *node)
{
	struct eddy_ready late;

	A_STORE(&door->orphan, orphan);
	eddy__door_send(door, node);
	/* Pairs with the fence in eddy__loop_abandon; behind the push. */
	A_FENCE_BEHIND(&door->closed);
	if (A_LOAD(&door->closed) == 0)
		return;
	list_init(&late);
	eddy__door_clear(door, &late);
}

static void
on_stop(void *arg)
{
	struct request *request = arg;

	if (request->next.fn != NULL)
		request->next.fn(request->next.arg);
	A_STORE(&request->stop, 1);
	wake(request);
}

/* Until it is done or dropped; asks for a stop when it is time. */
static void
wait(struct request *request, struct door *door, int64_t deadline)
{
	bool asked = false;

	while (A_ACQUIRE(&request->state) != DONE) {
		uint32_t wakes = A_ACQUIRE(&request->wakes);
		int64_t left;

		if (!asked &&
		    (A_LOAD(&request->stop) != 0 || deadline <= eddy_now())) {
			if (leave_waiting(request, DROPPED))
				return;
			asked = true;
			A_ADD(&request->refs, 1);
			send(door, &request->abort);
		}
		left = asked ? EDDY_FOREVER : eddy__left(deadline);
		if (A_ACQUIRE(&request->state) != DONE && left > 0)
			eddy__futex_wait(&request->wakes, wakes, left, false);
	}
}

int
eddy_run_on(struct eddy_loop *loop, struct eddy_task *task, int64_t deadline)
{
	struct door *door = loop->door;
	struct request *request;
	int r = 0;

	if (eddy__loop_inside(loop))
		r = -EDEADLK;
	else if (!door_ours(door))
		r = -ECHILD;
	request = r == 0 && task != NULL ? eddy__alloc(sizeof(*request)) : NULL;
	if (request == NULL)
		return eddy__task_refuse(task, r < 0 ? r : -ENOMEM);
	request->callee = task;
	request->begin.run = begin;
	request->abort.run = stop;
	request->refs = 2;
	request->next = eddy__job_stop();
	if (eddy_job_on_stop(on_stop, request) == -ECANCELED)
		A_STORE(&request->stop, 1);
	eddy__door_hold(door);
	send(door, &request->begin);
	wait(request, door, deadline);
	eddy__door_drop(door);
	/* Also where somebody is about to call ours. */
	eddy__job_set_stop(request->next, false);
	if (A_ACQUIRE(&request->state) == DROPPED)
		r = eddy__task_refuse(task, -ECANCELED);
	else
		r = request->result;
	if (r == -ECANCELED && A_LOAD(&request->stop) == 0 &&
	    deadline <= eddy_now())
		r = -ETIME;
	drop(request);
	return r;
}
