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
#include <sched.h>
#include <string.h>

#include "executor_impl.h"
#include "loop_impl.h"
#include "sys.h"

/* The job this thread runs, and how to stop it. */
struct inside {
	struct eddy_job *job;
	void (*stop)(void *); /* guarded by the lock of its executor */
	void *arg;
	void *state;           /* of this worker */
	struct report *report; /* in a worker process */
	int bell;
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

static void
fire_progress(struct eddy_loop *loop, struct eddy_post *post)
{
	struct eddy_long_job *job = CONTAINER_OF(
	    post, struct eddy_long_job, post);

	job->progress = A_LOAD(&job->latest);
	job->on_progress(loop, job);
}

static void
prepare_progress(struct eddy_job *job)
{
	struct eddy_long_job *long_job = long_job_of(job);

	long_job->progress = 0;
	eddy_post_init(&long_job->post, fire_progress);
}

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
	job->ready.next = NULL;
	job->result = 0;
	job->outcome = EDDY_NONE;
	job->stop = 0;
	job->attempts = 0;
	job->flags &= (uint8_t) ~(JOB_HANDED | JOB_HOOKED);
	if ((job->flags & EDDY_JOB_LONG) != 0)
		prepare_progress(job);
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
eddy__job_submit(struct eddy_executor *executor, struct eddy_job *job)
{
	if (A_LOAD(&executor->closing))
		return -ESHUTDOWN;
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
	r = eddy__job_submit(executor, job);
	return r < 0 ? eddy__job_withdraw(job, r) : 0;
}

/* Waiting for room. */

/* With the lock: it is on its way, or will never be.  True: the last one of an
 * executor that is to be drained. */
static bool
stop_waiting(struct eddy_executor *executor)
{
	A_STORE(&executor->waiting, executor->waiting - 1);
	return executor->waiting == 0 && executor->drain_loop != NULL;
}

/* It counts as a waiter before it tries once more, so whoever makes room
 * afterwards comes to the lock and finds it. */
static int
queue_up(struct eddy_executor *executor, struct eddy_job *job)
{
	enum eddy_outcome stop;
	int r = 0;

	pthread_mutex_lock(&executor->lock);
	stop = A_LOAD(&job->stop);
	if (executor->closing) {
		r = -ESHUTDOWN;
	} else if (stop == EDDY_NONE) {
		A_STORE(&executor->waiting, executor->waiting + 1);
		A_STORE(&job->state, JOB_WAITING);
		list_push(&executor->waiters, &job->ready);
	}
	pthread_mutex_unlock(&executor->lock);
	if (r == 0 && stop != EDDY_NONE)
		eddy_job_end(job, stop, 0);
	eddy_executor_room(executor, 1);
	return r;
}

int
eddy__job_enqueue(struct eddy_executor *executor, struct eddy_job *job)
{
	int r = eddy__job_submit(executor, job);

	return r == -EAGAIN ? queue_up(executor, job) : r;
}

/* With the lock, which it gives back meanwhile: submit one.  The room that is
 * left; 0 also when it has to go on waiting. */
static uint64_t
admit(struct eddy_executor *executor, struct eddy_job *job, uint64_t room)
{
	enum eddy_outcome stop;
	bool drain, refused;
	int r;

	A_STORE(&job->state, JOB_QUEUED);
	executor->admitting = job;
	pthread_mutex_unlock(&executor->lock);
	r = executor->ops->submit(executor, job);
	pthread_mutex_lock(&executor->lock);
	executor->admitting = NULL;
	stop = r == -EAGAIN ? A_LOAD(&job->stop) : EDDY_NONE;
	refused = executor->closing && executor->drain_loop == NULL;
	if (r == -EAGAIN && stop == EDDY_NONE && !refused) {
		A_STORE(&job->state, JOB_WAITING);
		list_push_front(&executor->waiters, &job->ready);
		return executor->room - room; /* made meanwhile */
	}
	drain = stop_waiting(executor);
	pthread_mutex_unlock(&executor->lock);
	if (r == -EAGAIN || r == -ESHUTDOWN)
		eddy_job_end(job, stop != EDDY_NONE ? stop : EDDY_CANCELLED, 0);
	else if (r < 0)
		eddy_job_end(job, EDDY_LOST, r);
	if (drain)
		executor->ops->drain(executor);
	pthread_mutex_lock(&executor->lock);
	return executor->room - (r == 0);
}

/* One thread hands out at a time, so that waiters stay in order; who comes
 * meanwhile leaves word, as does a submit that makes room itself. */
void
eddy_executor_room(struct eddy_executor *executor, unsigned n)
{
	struct eddy_ready *ready;
	bool mine;

	if (A_LOAD(&executor->waiting) == 0)
		return;
	pthread_mutex_lock(&executor->lock);
	mine = executor->room == 0;
	executor->room += n;
	while (mine && executor->room != 0 &&
	       (ready = list_pop(&executor->waiters)) != NULL)
		executor->room = admit(executor, job_of(ready), executor->room);
	if (mine)
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

/* False: nobody wants to hear of it. */
static bool
settle(struct eddy_job *job, enum eddy_outcome outcome, int result)
{
	if (inside.job == job)
		eddy__job_enter(NULL);
	job->outcome = (uint8_t)outcome;
	job->result = result;
	return (job->flags & JOB_OWNED) == 0 || owned_of(job)->settle(job);
}

/* Of the strand that job went through, or NULL. */
static struct eddy_executor *
strand_of(const struct eddy_job *job)
{
	return (job->flags & JOB_HANDED) != 0 ? job->executor : NULL;
}

void
eddy_job_end(struct eddy_job *job, enum eddy_outcome outcome, int result)
{
	struct eddy_executor *strand = strand_of(job);
	struct door *door = job->door;
	uint32_t *word = &job->state;

	if (settle(job, outcome, result)) {
		if (door != NULL) /* the loop may close once it has heard */
			eddy__door_hold(door);
		/* Pairs with eddy_job_wait's acquire, and prepare's. */
		A_RELEASE(word, JOB_DONE);
		if (door == NULL) {
			/* An address only: the job may be gone by now. */
			eddy__futex_wake(word, INT_MAX, false);
		} else {
			eddy__door_send(door, &job->ready);
			eddy__door_drop(door);
		}
	}
	if (strand != NULL)
		strand->ended(strand, outcome);
}

void
eddy__job_end_by(struct door **held, int cpu, struct eddy_job *job,
    enum eddy_outcome outcome, int result)
{
	struct door *door = job->door;

	if (door == NULL || (job->flags & (JOB_HANDED | JOB_OWNED)) != 0) {
		eddy_job_end(job, outcome, result);
		return;
	}
	if (door != *held) {
		if (*held != NULL)
			eddy__door_drop(*held);
		eddy__door_hold(door);
		*held = door;
	}
	settle(job, outcome, result);
	A_RELEASE(&job->state, JOB_DONE);
	if (A_LOAD(&door->cpu) != cpu)
		A_STORE(&door->cpu, cpu);
	eddy__door_send(door, &job->ready);
}

void
eddy__job_end_on(struct eddy_loop *loop, struct eddy_job *job,
    enum eddy_outcome outcome, int result)
{
	struct eddy_executor *strand = strand_of(job);

	if (job->door != loop->door || (job->flags & JOB_OWNED) != 0) {
		eddy_job_end(job, outcome, result);
		return;
	}
	settle(job, outcome, result);
	A_RELEASE(&job->state, JOB_DONE);
	if (outcome == EDDY_RETURNED)
		eddy__loop_push(loop, &job->ready);
	else /* who takes back and submits again must not starve others */
		list_push(&loop->pending, &job->ready);
	if (strand != NULL)
		strand->ended(strand, outcome);
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

/* Does this thread run a job of executor, or of a strand in front of it? */
static bool
runs_on(const struct eddy_executor *executor)
{
	const struct eddy_executor *here;

	here = inside.job != NULL ? inside.job->executor : NULL;
	return here != NULL && (here == executor || here->inner == executor);
}

int
eddy_job_wait(struct eddy_job *job, int64_t deadline)
{
	uint32_t state;

	if (job->door != NULL || A_LOAD(&job->state) == JOB_IDLE)
		return -EINVAL;
	if (runs_on(job->executor) ||
	    (job->executor->inner != NULL && runs_on(job->executor->inner)))
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
		struct inside *in = (void *)job->ready.next;

		job->flags &= (uint8_t)~JOB_HOOKED;
		in->stop(in->arg);
	}
	pthread_mutex_unlock(&executor->lock);
}

/* The executor whose lock guards how it waits: that of a strand's job is the
 * inner one once the strand has handed it on. */
static struct eddy_executor *
lock_place(const struct eddy_job *job)
{
	struct eddy_executor *outer = job->executor, *place;

	for (;;) {
		place = strand_of(job) != NULL ? outer->inner : outer;
		pthread_mutex_lock(&place->lock);
		if (place == (strand_of(job) != NULL ? outer->inner : outer))
			return place;
		pthread_mutex_unlock(&place->lock);
	}
}

int
eddy__job_give_up(struct eddy_job *job, enum eddy_outcome outcome)
{
	struct eddy_executor *executor = job->executor, *place;
	uint32_t state = A_ACQUIRE(&job->state);
	bool drain = false;

	if (state == JOB_IDLE || state == JOB_DONE)
		return -EALREADY;
	place = lock_place(job);
	while (place->admitting == job && A_LOAD(&job->state) == JOB_QUEUED) {
		pthread_mutex_unlock(&place->lock); /* a moment */
		sched_yield();
		place = lock_place(job);
	}
	state = A_LOAD(&job->state);
	if (state == JOB_WAITING) {
		list_remove(&job->ready);
		drain = stop_waiting(place);
	} else {
		/* If it must wait yet, whoever makes it wait will see. */
		A_STORE(&job->stop, (uint8_t)outcome);
	}
	pthread_mutex_unlock(&place->lock);
	if (state == JOB_WAITING) {
		eddy_job_end(job, outcome, 0);
		if (drain)
			place->ops->drain(place);
		return 0;
	}
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
		inside.stop = stop, inside.arg = arg;
	job->flags &= (uint8_t)~JOB_HOOKED;
	job->flags |= r == 0 && stop != NULL ? JOB_HOOKED : 0;
	job->ready.next = (void *)&inside;
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

/* A worker. */

void
eddy__worker_enter(void *state, struct report *report, int bell)
{
	inside.state = state;
	inside.report = report;
	inside.bell = bell;
}

void *
eddy_worker_state(void)
{
	return inside.state;
}

int
eddy_job_progress(int64_t value)
{
	struct eddy_job *job = inside.job;

	if (inside.report != NULL) {
		A_STORE(&inside.report->value, value);
		A_RELEASE(&inside.report->count, inside.report->count + 1);
		return eddy__ring(inside.bell) < 0 ? -EPIPE : 0;
	}
	if (job == NULL || (job->flags & EDDY_JOB_LONG) == 0 ||
	    job->door == NULL)
		return -EINVAL;
	A_STORE(&long_job_of(job)->latest, value);
	eddy_post(((struct door *)job->door)->loop, &long_job_of(job)->post);
	return 0;
}

/* Draining. */

static void
tell_drained(struct eddy_loop *loop, struct eddy_post *post)
{
	struct eddy_executor *executor = CONTAINER_OF(
	    post, struct eddy_executor, drained);

	loop->holds--;
	executor->drain_loop = NULL;
	executor->on_drained(loop, executor);
}

int
eddy_executor_drain_then(struct eddy_executor *executor, struct eddy_loop *loop,
    void (*done)(struct eddy_loop *, struct eddy_executor *))
{
	int r = eddy__loop_mine(loop);
	bool now;

	if (r == 0 && executor->ops->drain == NULL)
		r = -ENOTSUP;
	if (r < 0)
		return r;
	eddy__loop_flush(loop, true); /* those came before */
	pthread_mutex_lock(&executor->lock);
	/* Again is fine, after the first time has come to nothing. */
	if (executor->drain_loop != NULL ||
	    (executor->closing && executor->on_drained == NULL))
		r = -EBUSY;
	now = r == 0 && executor->waiting == 0;
	if (r == 0) {
		loop->holds++;
		executor->drain_loop = loop;
		executor->on_drained = done;
		executor->drains = 1;
		eddy_post_init(&executor->drained, tell_drained);
		A_STORE(&executor->closing, true);
	}
	pthread_mutex_unlock(&executor->lock);
	if (now)
		executor->ops->drain(executor);
	return r;
}

void
eddy_executor_drained(struct eddy_executor *executor)
{
	if (A_XCHG(&executor->drains, 0) != 0)
		eddy_post(executor->drain_loop, &executor->drained);
}

/* In the thread of drain_loop: whoever found drains set is just posting. */
void
eddy__executor_undrain(struct eddy_executor *executor)
{
	struct eddy_loop *loop = executor->drain_loop;

	if (A_XCHG(&executor->drains, 0) == 0)
		while (eddy_post_cancel(loop, &executor->drained) < 0)
			sched_yield();
	executor->drain_loop = NULL;
	loop->holds--;
}

void
eddy__job_report(struct eddy_loop *loop, struct eddy_job *job, int64_t value)
{
	struct eddy_long_job *long_job = long_job_of(job);
	struct door *door = job->door;

	A_STORE(&long_job->latest, value);
	if (door != NULL && door != loop->door)
		eddy_post(door->loop, &long_job->post);
	else if (door != NULL && A_XCHG(&long_job->post.state, 1) == 0)
		eddy__loop_push(loop, &long_job->post.ready);
}

/* Closing. */

int
eddy_executor_close(struct eddy_executor *executor, int64_t duration)
{
	return eddy_executor_close_naming(executor, duration, NULL, 0);
}

int
eddy_executor_close_naming(struct eddy_executor *executor, int64_t duration,
    const char **ret_names, unsigned n)
{
	struct eddy_ready *ready;

	struct eddy_loop *loop = executor->drain_loop;

	if (loop != NULL && eddy__loop_mine(loop) < 0)
		return -EPERM;
	if (executor->home != NULL && eddy__loop_mine(executor->home) < 0)
		return -EPERM;
	if (runs_on(executor))
		return -EDEADLK;
	if (loop != NULL)
		eddy__executor_undrain(executor);
	pthread_mutex_lock(&executor->lock);
	A_STORE(&executor->closing, true);
	while ((ready = list_pop(&executor->waiters)) != NULL) {
		A_STORE(&job_of(ready)->state, JOB_QUEUED);
		stop_waiting(executor);
		pthread_mutex_unlock(&executor->lock);
		eddy_job_end(job_of(ready), EDDY_CANCELLED, 0);
		pthread_mutex_lock(&executor->lock);
	}
	pthread_mutex_unlock(&executor->lock);
	if (n != 0)
		memset(ret_names, 0, n * sizeof(*ret_names));
	executor->ret_names = ret_names;
	executor->names = n;
	return executor->ops->close(executor, duration);
}

/* The rest. */

void
eddy_executor_stats(
    struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	executor->ops->describe(executor, ret_stats);
	ret_stats->abandoned = A_LOAD(&executor->abandoned);
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
