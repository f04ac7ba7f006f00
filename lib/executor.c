/* SPDX-License-Identifier: ISC */
/*
 * executor: the contract between a job, its executor and its loop.
 *
 * A job that is out holds its loop's door, so that publishing its outcome is
 * safe however late it comes; the loop counts outcomes it was promised against
 * those it has run.  Nothing here allocates.
 */
#include <eddy/executor.h>

#include <errno.h>
#include <limits.h>

#include "executor_impl.h"
#include "loop_impl.h"
#include "sys.h"

/* The job this thread runs, and how to stop it. */
struct inside {
	struct eddy_job *job;
	void (*stop)(void *); /* guarded by the lock of its executor */
	void *arg;
};

static _Thread_local struct inside inside;

void
eddy_executor_init(
    struct eddy_executor *executor, const struct eddy_executor_ops *ops)
{
	pthread_mutexattr_t recursive; /* room may be made inside a submit */

	*executor = (struct eddy_executor){.ops = ops};
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&executor->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	list_init(&executor->waiters);
}

void
eddy_executor_fini(struct eddy_executor *executor)
{
	pthread_mutex_destroy(&executor->lock);
}

/* Submitting. */

int
eddy__job_prepare(struct eddy_executor *executor, struct eddy_job *job,
    struct eddy_loop *loop,
    void (*run)(struct eddy_loop *, struct eddy_ready *))
{
	uint32_t state = A_ACQUIRE(&job->state);

	/* With a loop it is out until its outcome was heard. */
	if (state != JOB_IDLE && (state != JOB_DONE || job->door != NULL))
		return -EBUSY;
	job->executor = executor;
	job->door = loop != NULL ? loop->door : NULL;
	job->ready.run = run;
	job->result = 0;
	job->outcome = EDDY_NONE;
	job->stop = 0;
	job->attempts = 0;
	job->flags &= (uint8_t)~JOB_WAITED;
	A_STORE(&job->state, JOB_QUEUED);
	if (loop == NULL)
		return 0;
	if (eddy__loop_inside(loop))
		loop->submitted++;
	else
		A_ADD(&loop->door->accepted, 1);
	return 0;
}

int
eddy__job_withdraw(struct eddy_job *job, int r)
{
	struct door *door = job->door;

	A_STORE(&job->state, JOB_IDLE);
	if (door == NULL)
		return r;
	if (eddy__loop_inside(door->loop)) {
		door->loop->submitted--;
		return r;
	}
	eddy__door_hold(door);
	A_SUB(&door->accepted, 1);
	/* Its loop may be about to sleep for this job; pairs with door_park. */
	A_FENCE(&door->parked);
	if (A_LOAD(&door->parked) != 0)
		eddy__ring(door->bell);
	eddy__door_drop(door);
	return r;
}

int
eddy__job_submit(struct eddy_job *job)
{
	struct eddy_executor *executor = job->executor;

	if (A_LOAD(&executor->waiting) != 0)
		return -EAGAIN;
	return executor->ops->submit(executor, job);
}

void
eddy__job_heard(struct eddy_loop *loop, struct eddy_job *job)
{
	loop->delivered++;
	A_STORE(&job->state, JOB_IDLE);
}

static void
deliver(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_job *job = job_of(ready);

	eddy__job_heard(loop, job);
	job->to.done(loop, job);
}

int
eddy_submit(struct eddy_executor *executor, struct eddy_job *job,
    struct eddy_loop *loop, eddy_job_done_fn *done)
{
	int r;

	if (job->fn == NULL || (loop == NULL) != (done == NULL))
		return -EINVAL;
	r = eddy__job_prepare(executor, job, loop, deliver);
	if (r < 0)
		return r;
	job->to.done = done;
	r = eddy__job_submit(job);
	return r < 0 ? eddy__job_withdraw(job, r) : 0;
}

/* A submit in here may make room itself: that is added up, not nested, or many
 * waiters would make a deep stack. */
void
eddy_executor_room(struct eddy_executor *executor, unsigned n)
{
	struct eddy_ready *ready;
	struct eddy_job *job;
	bool nested;
	int r;

	if (A_LOAD(&executor->waiting) == 0)
		return;
	pthread_mutex_lock(&executor->lock);
	nested = executor->room != 0;
	executor->room += n;
	while (!nested && executor->room != 0 &&
	       (ready = list_pop(&executor->waiters)) != NULL) {
		job = job_of(ready);
		A_STORE(&job->state, JOB_QUEUED);
		r = executor->ops->submit(executor, job);
		if (r == -EAGAIN) {
			A_STORE(&job->state, JOB_WAITING);
			list_push_front(&executor->waiters, ready);
			break;
		}
		A_STORE(&executor->waiting, executor->waiting - 1);
		if (r < 0)
			eddy_job_end(job, EDDY_LOST, r);
		else
			executor->room--;
	}
	if (!nested)
		executor->room = 0;
	pthread_mutex_unlock(&executor->lock);
}

/* Ending. */

bool
eddy_job_begin(struct eddy_job *job)
{
	uint32_t queued = JOB_QUEUED;

	if (!A_CAS(&job->state, &queued, JOB_RUNNING))
		return false;
	inside.job = job;
	return true;
}

static void
conclude(struct eddy_job *job, enum eddy_outcome outcome, int result)
{
	if (inside.job == job)
		eddy__job_enter(NULL);
	job->outcome = (uint8_t)outcome;
	job->result = result;
	/* Pairs with the acquires in eddy_job_wait and eddy__job_prepare. */
	A_RELEASE(&job->state, JOB_DONE);
}

void
eddy_job_end(struct eddy_job *job, enum eddy_outcome outcome, int result)
{
	struct door *door = job->door;
	uint32_t *word = &job->state;

	if (door == NULL) {
		conclude(job, outcome, result);
		/* An address only: the waiter may have freed the job by now. */
		eddy__futex_wake(word, INT_MAX, false);
		return;
	}
	eddy__door_hold(door); /* the loop may close as soon as it has heard */
	conclude(job, outcome, result);
	eddy__door_send(door, &job->ready);
	eddy__door_drop(door);
}

void
eddy__job_end_by(struct door **held, struct eddy_job *job,
    enum eddy_outcome outcome, int result)
{
	struct door *door = job->door;
	int cpu;

	if (door == NULL) {
		eddy_job_end(job, outcome, result);
		return;
	}
	if (door != *held) {
		if (*held != NULL)
			eddy__door_drop(*held);
		eddy__door_hold(door);
		*held = door;
	}
	conclude(job, outcome, result);
	cpu = eddy__cpu();
	if (A_LOAD(&door->cpu) != cpu)
		A_STORE(&door->cpu, cpu);
	eddy__door_send(door, &job->ready);
}

void
eddy__job_end_on(struct eddy_loop *loop, struct eddy_job *job,
    enum eddy_outcome outcome, int result)
{
	if (job->door != loop->door) {
		eddy_job_end(job, outcome, result);
		return;
	}
	conclude(job, outcome, result);
	if (outcome == EDDY_RETURNED)
		eddy__loop_push(loop, &job->ready);
	else /* who takes back and submits again must not starve others */
		list_push(&loop->pending, &job->ready);
}

int
eddy_job_rc(const struct eddy_job *job)
{
	switch ((enum eddy_outcome)job->outcome) {
	case EDDY_RETURNED:
	case EDDY_LOST:
		return job->result;
	case EDDY_CRASHED:
	case EDDY_EXITED:
		return -EOWNERDEAD;
	case EDDY_EXPIRED:
		return -ETIME;
	case EDDY_CANCELLED:
		return -ECANCELED;
	case EDDY_PROTOCOL:
		return -EPROTO;
	case EDDY_NONE:
		break;
	}
	return -EINPROGRESS;
}

/* Waiting and cancelling. */

int
eddy_job_wait(struct eddy_job *job, int64_t deadline)
{
	uint32_t state;

	if (job->door != NULL || A_LOAD(&job->state) == JOB_IDLE)
		return -EINVAL;
	if (inside.job != NULL && inside.job->executor == job->executor)
		return -EDEADLK;
	while ((state = A_ACQUIRE(&job->state)) != JOB_DONE) {
		int64_t left = eddy__left(deadline);

		if (left == 0)
			return -ETIME;
		eddy__futex_wait(&job->state, state, left, false);
	}
	return eddy_job_rc(job);
}

/* After job->stop was set: one of the two sides sees the other. */
static void
call_stop(struct eddy_executor *executor, struct eddy_job *job)
{
	pthread_mutex_lock(&executor->lock);
	if ((job->flags & JOB_HOOKED) != 0) {
		struct inside *in = (void *)job->ready.prev;

		job->flags &= (uint8_t)~JOB_HOOKED;
		in->stop(in->arg);
	}
	pthread_mutex_unlock(&executor->lock);
}

int
eddy__job_give_up(struct eddy_job *job, enum eddy_outcome outcome)
{
	struct eddy_executor *executor = job->executor;
	uint32_t state = A_ACQUIRE(&job->state);

	if (state == JOB_IDLE || state == JOB_DONE)
		return -EALREADY;
	/* It may be between WAITING and QUEUED: the lock awaits its submit. */
	pthread_mutex_lock(&executor->lock);
	state = A_LOAD(&job->state);
	if (state == JOB_WAITING) {
		list_remove(&job->ready);
		A_STORE(&executor->waiting, executor->waiting - 1);
	}
	pthread_mutex_unlock(&executor->lock);
	if (state == JOB_WAITING) {
		eddy_job_end(job, outcome, 0);
		return 0;
	}
	A_STORE(&job->stop, (uint8_t)outcome);
	call_stop(executor, job);
	return executor->ops->cancel(executor, job, outcome);
}

int
eddy_job_cancel(struct eddy_job *job)
{
	return eddy__job_give_up(job, EDDY_CANCELLED);
}

/* A job that runs is in no list, so its node can tell where. */
int
eddy_job_on_stop(void (*stop)(void *), void *arg)
{
	struct eddy_job *job = inside.job;
	int r = 0;

	if (job == NULL)
		return -EINVAL;
	pthread_mutex_lock(&job->executor->lock);
	if (A_LOAD(&job->stop) != EDDY_NONE && stop != NULL)
		r = -ECANCELED;
	else
		inside = (struct inside){job, stop, arg};
	job->flags &= (uint8_t)~JOB_HOOKED;
	job->flags |= r == 0 && stop != NULL ? JOB_HOOKED : 0;
	job->ready.prev = (void *)&inside;
	pthread_mutex_unlock(&job->executor->lock);
	return r;
}

void
eddy__job_stop(void (**ret_stop)(void *), void **ret_arg)
{
	*ret_stop = inside.stop;
	*ret_arg = inside.arg;
}

void
eddy__job_enter(struct eddy_job *job)
{
	if (inside.stop != NULL)
		eddy_job_on_stop(NULL, NULL);
	inside.job = job;
}

bool
eddy_job_stop_requested(void)
{
	return inside.job != NULL && A_LOAD(&inside.job->stop) != 0;
}

/* The rest. */

int
eddy_executor_close(struct eddy_executor *executor, int64_t duration)
{
	struct eddy_ready *ready;

	if (inside.job != NULL && inside.job->executor == executor)
		return -EDEADLK;
	pthread_mutex_lock(&executor->lock);
	executor->closing = true;
	while ((ready = list_pop(&executor->waiters)) != NULL)
		eddy_job_end(job_of(ready), EDDY_CANCELLED, 0);
	A_STORE(&executor->waiting, 0);
	pthread_mutex_unlock(&executor->lock);
	return executor->ops->close(executor, duration);
}

void
eddy_executor_stats(
    struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	executor->ops->describe(executor, ret_stats);
}

void
eddy__stats_count(
    struct eddy_executor_stats *stats, enum eddy_outcome outcome, uint64_t n)
{
	switch (outcome) {
	case EDDY_RETURNED:
		stats->returned += n;
		break;
	case EDDY_EXPIRED:
		stats->expired += n;
		break;
	case EDDY_CANCELLED:
		stats->cancelled += n;
		break;
	default:
		stats->failed += n;
		break;
	}
}
