/* SPDX-License-Identifier: ISC */
/*
 * job: the contract between a job, its executor and its loop.
 *
 * A job that is out holds its loop's door, so that publishing its outcome is
 * safe however late it comes; the loop counts outcomes it was promised against
 * those it has run.  Nothing here allocates.
 */
#include <eddy/executor.h>

#include <errno.h>
#include <limits.h>

#include "executor_impl.h"
#include "sys.h"

enum { SAMPLE = 64 };     /* jobs, of which one is timed, */
#define SHORT EDDY_US(10) /* if it came back within that */

/* Progress, on the side of the loop. */

static void
fire_progress(struct eddy_loop *loop, struct eddy_post *post)
{
	struct eddy_long_job *job = CONTAINER_OF(
	    post, struct eddy_long_job, post);

	job->progress = A_ACQUIRE(&job->latest);
	job->on_progress(loop, job);
}

static void
prepare_progress(struct eddy_job *job)
{
	struct eddy_long_job *long_job = long_job_of(job);

	long_job->progress = 0;
	if (long_job->fds != NULL)
		long_job->fds->out_count = 0;
	eddy_post_init(&long_job->post, fire_progress);
}

void
eddy__job_report(struct eddy_loop *loop, struct eddy_job *job, int64_t value)
{
	struct eddy_long_job *long_job = long_job_of(job);
	struct door *door = job->door;

	A_RELEASE(&long_job->latest, value);
	if (door != NULL && door != loop->door) {
		eddy_post(door->loop, &long_job->post);
	} else if (door != NULL && A_XCHG(&long_job->post.state, 1) == 0) {
		eddy__loop_stir(loop);
		/* Also if a task has asked: the outcome may come next. */
		list_push(loop->dispatching ? &loop->batch : &loop->pending,
		    &long_job->post.ready);
	}
}

void
eddy__job_note(const struct eddy_job *job, enum loop_note what)
{
	struct door *door = job->door;
	struct observer *trace = A_ACQUIRE(&door->trace);
	bool timed = A_LOAD(&door->timed) == job;

	if (timed && (what == JOB_BEGUN || what == JOB_AHEAD))
		A_STORE(&door->begun, eddy_now());
	else if (timed && what == JOB_OVER)
		A_STORE(&door->over, eddy_now());
	if (trace != NULL && what != JOB_AHEAD)
		trace->note(trace, what, 0, job);
}

/* Submitting. */

/* A cancel in the thread of its loop may come at any time before that has heard
 * the outcome, so until then the executor's memory stays.  Other threads take a
 * hold for each job; a loop one for all its own on one executor, and lets go of
 * it and of theirs when more were heard than its own, and it has to or rests.
 * Memory that is the caller's may go before that: such a one is not held. */
static void
let_go(struct eddy_loop *loop)
{
	do
		eddy__executor_drop(loop->held);
	while (loop->held_jobs++ < 0);
	loop->held = NULL;
}

/* It is its loop's now, and one that is timed if it is time for one. */
static void
count_own(struct eddy_loop *loop, struct eddy_job *job)
{
	struct door *door = loop->door;

	if (loop->held == job->executor) {
		loop->held_jobs++;
	} else {
		if (loop->held != NULL && loop->held_jobs <= 0)
			let_go(loop);
		if (loop->held == NULL && job->executor->destroy != NULL) {
			loop->held = job->executor;
			loop->held_jobs = 1;
			loop->let_go = let_go;
		}
		eddy__executor_hold(job->executor);
	}
	if (++loop->submitted < loop->sample_at ||
	    (job_flags(job) & JOB_OWNED) != 0)
		return;
	loop->sample_at = UINT64_MAX;
	loop->timed_at = eddy_now();
	A_STORE(&door->begun, 0);
	A_STORE(&door->over, 0);
	A_STORE(&door->timed, job);
}

/* The loop does not wait for it any more. */
static inline void
count_heard(struct eddy_loop *loop, struct eddy_executor *executor)
{
	if (loop->held == executor)
		loop->held_jobs--;
	else
		eddy__executor_drop(executor);
	if (loop->held_jobs <= 0 && loop->held != NULL &&
	    !eddy__loop_jobs(loop))
		let_go(loop);
}

/* The job that is timed has come back. */
static void
note_times(struct eddy_loop *loop)
{
	struct door *door = loop->door;
	int64_t now = eddy_now(), duration = now - loop->timed_at;
	int64_t begun = A_LOAD(&door->begun), over = A_LOAD(&door->over);

	histogram_add(&loop->stats.job, duration);
	if (begun != 0) {
		histogram_add(&loop->stats.queue, begun - loop->timed_at);
		histogram_add(
		    &loop->stats.run, (over != 0 ? over : now) - begun);
	}
	A_STORE(&door->timed, NULL);
	loop->sample_at = loop->submitted + (duration < SHORT ? SAMPLE : 1);
}

/* It was refused. */
static int
withdraw(struct eddy_job *job, int r)
{
	struct door *door = job->door;

	job_note(job, JOB_HEARD);
	A_STORE(&job->state, JOB_IDLE);
	if (door == NULL)
		return r;
	if (eddy__loop_inside(door->loop)) {
		door->loop->submitted--;
		if (A_LOAD(&door->timed) == job) {
			A_STORE(&door->timed, NULL);
			door->loop->sample_at = 0;
		}
		count_heard(door->loop, job->executor);
		return r;
	}
	eddy__executor_drop(job->executor);
	eddy__door_hold(door);
	A_SUB(&door->accepted, 1);
	/* Its loop may be about to sleep for this job; pairs with collect(). */
	A_FENCE(&door->stack);
	if (A_LOAD(&door->stack) == &door->asleep)
		eddy__ring(door->bell);
	eddy__door_drop(door);
	return r;
}

/* A job that is prepared.  Not inlined: the usual way saves no registers. */
__attribute__((noinline)) static int
submit(struct eddy_executor *executor, struct eddy_job *job,
    struct eddy_loop *loop, loop_run_fn *run)
{
	bool own = loop != NULL && eddy__loop_inside(loop);
	int r;

	A_RELEASE(&job->state, JOB_QUEUED); /* from now on it has executor */
	if ((job_flags(job) & EDDY_JOB_LONG) != 0)
		prepare_progress(job);
	if (own) {
		A_STORE(&job->result, loop->stamp);
		count_own(loop, job);
	} else {
		A_STORE(&job->result, job_stamp(eddy__now_coarse()));
		if (loop != NULL) {
			A_ADD(&loop->door->accepted, 1);
			eddy__executor_hold(executor);
		}
	}
	job_note(job, JOB_OUT);
	r = executor_check(executor);
	if (r == 0)
		r = eddy__executor_submit(executor, job);
	if (r == -EAGAIN && run != eddy__job_deliver &&
	    (job_flags(job) & EDDY_JOB_NOWAIT) == 0) {
		eddy__loop_flush(loop, true); /* those came first */
		r = eddy__job_enqueue(executor, job);
	}
	return r < 0 ? withdraw(job, r) : 0;
}

/* This and what comes back from it are called for each of many jobs: so they
 * are short, and what is seldom needed is apart. */
int
eddy__job_submit(struct eddy_executor *executor, struct eddy_job *job,
    struct eddy_loop *loop, loop_run_fn *run, union eddy_job_to to)
{
	unsigned flags = job_flags(job) & ~(unsigned)(JOB_HANDED | JOB_HOOKED);

	if (job_is_out(job))
		return -EBUSY;
	job->executor = executor;
	job->door = loop != NULL ? loop->door : NULL;
	job->to = to;
	job->ready.run = run;
	job->ready.next = NULL;
	job->outcome = EDDY_NONE;
	job->stop = 0;
	job->attempts = 0;
	A_STORE(&job->flags, (uint8_t)flags);
	if (loop == NULL || !eddy__loop_inside(loop) ||
	    !cork_fits(&loop->cork, executor) || loop->held != executor ||
	    loop->submitted + 1 >= loop->sample_at || loop->trace != NULL ||
	    (flags & EDDY_JOB_LONG) != 0 || executor_check(executor) < 0)
		return submit(executor, job, loop, run);
	loop->held_jobs++;
	loop->submitted++;
	cork_put(&loop->cork, job, loop->stamp);
	return 0;
}

/* What a job without a loop needs besides its executor, which may be gone when
 * somebody waits for it: that its home loop goes on, or (then with 1 added) a
 * worker of what a strand is in front of. */
static uintptr_t
needs_of(const struct eddy_executor *executor)
{
	const struct eddy_executor *inner = executor->inner;

	if (inner == NULL || inner->home != NULL)
		return (uintptr_t)(inner != NULL ? inner : executor)->home;
	return (uintptr_t)inner + 1;
}

int
eddy_submit(struct eddy_executor *executor, struct eddy_job *job,
    struct eddy_loop *loop, eddy_job_done_fn *done)
{
	union eddy_job_to to = {.done = done};

	if (job->fn == NULL || (loop == NULL) != (done == NULL))
		return -EINVAL;
	if (loop == NULL)
		to.needs = needs_of(executor);
	return eddy__job_submit(executor, job, loop, eddy__job_deliver, to);
}

void
eddy__job_forgotten(struct eddy_loop *loop, struct eddy_executor *executor)
{
	loop->delivered++;
	count_heard(loop, executor);
}

void
eddy__job_heard(struct eddy_loop *loop, struct eddy_job *job)
{
	job_note(job, JOB_HEARD);
	loop->delivered++;
	if (A_LOAD(&loop->door->timed) == job)
		note_times(loop);
	count_heard(loop, job->executor);
	A_STORE(&job->state, JOB_IDLE);
}

__attribute__((noinline)) static void
deliver(struct eddy_loop *loop, struct eddy_job *job)
{
	eddy__job_heard(loop, job);
	job->to.done(loop, job);
}

/* The same in fewer steps, unless one more is needed. */
void
eddy__job_deliver(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_job *job = job_of(ready);

	if (loop->trace != NULL || A_LOAD(&loop->door->timed) == job ||
	    loop->held != job->executor || eddy__loop_jobs(loop) == 1) {
		deliver(loop, job);
		return;
	}
	loop->held_jobs--;
	loop->delivered++;
	A_STORE(&job->state, JOB_IDLE);
	job->to.done(loop, job);
}

/* Ending. */

/* Of the strand that job went through, or NULL. */
static struct eddy_executor *
strand_of(const struct eddy_job *job)
{
	return (job_flags(job) & JOB_HANDED) != 0 ? job->executor : NULL;
}

void
eddy__outlet_move(struct outlet *outlet, struct door *door)
{
	if (outlet->box != NULL)
		A_RELEASE(&outlet->box->taken, 0);
	outlet->box = NULL;
	eddy__door_drop(outlet->door);
	outlet->door = door;
	if (door != NULL)
		eddy__door_hold(door); /* it may close once it heard */
}

void
eddy__job_publish(struct outlet *outlet, struct eddy_job *job)
{
	struct eddy_executor *strand = strand_of(job);
	bool owned = (job_flags(job) & JOB_OWNED) != 0;
	enum eddy_outcome outcome = job->outcome;
	bool heard = !owned || owned_of(job)->settle(job);
	struct eddy_job *next;
	bool more = strand != NULL && strand->ended(strand, outcome, &next);
	struct door *door = heard ? job->door : NULL;
	struct eddy_loop *loop = outlet->loop;

	if (loop != NULL && door != loop->door)
		loop = NULL;
	if (loop == NULL && door != NULL && door != outlet->door)
		eddy__outlet_move(outlet, door);
	/* Pairs with eddy_job_wait's acquire, and prepare's. */
	if (heard)
		A_RELEASE(&job->state, JOB_DONE);
	if (loop != NULL) {
		eddy__loop_stir(loop);
		/* Who takes back and submits again must not starve others. */
		list_push(outcome == EDDY_RETURNED ? eddy__loop_list(loop)
						   : &loop->pending,
		    &job->ready);
	} else if (door != NULL) {
		A_STORE(&door->cpu, outlet->cpu);
		eddy__door_send(door, &job->ready);
	} else if (heard) {
		/* An address only: the job may be gone by now. */
		eddy__futex_wake(&job->state, INT_MAX, false);
	}
	if (more)
		strand->hand_on(strand, next);
}

void
eddy__job_end_on(struct eddy_loop *loop, struct eddy_job *job,
    enum eddy_outcome outcome, int result)
{
	struct outlet outlet = {.loop = loop, .cpu = eddy__cpu()};

	eddy__job_leave(job);
	job_settle(job, outcome, result);
	eddy__job_publish(&outlet, job);
	eddy__outlet_move(&outlet, NULL);
}

void
eddy_job_end(struct eddy_job *job, enum eddy_outcome outcome, int result)
{
	eddy__job_end_on(NULL, job, outcome, result);
}

int
eddy_job_rc(const struct eddy_job *job)
{
	uint32_t state = A_ACQUIRE(&job->state);

	if (state != JOB_IDLE && state != JOB_DONE)
		return -EINPROGRESS; /* it may have ended, but is out still */
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

/* Does it only move while this thread does something else?  Its executor may be
 * gone: a close gave up, and the job ends just now. */
static bool
waits_for_us(const struct eddy_job *job)
{
	uintptr_t needs = job->to.needs;

	if (eddy__job_runs_on(job->executor))
		return true;
	if (needs % 2 != 0)
		return eddy__job_runs_on((void *)(needs - 1));
	return needs != 0 && eddy__loop_here((void *)needs);
}

int
eddy_job_wait(struct eddy_job *job, int64_t deadline)
{
	uint32_t state = A_ACQUIRE(&job->state);

	if (job->door != NULL || state == JOB_IDLE)
		return -EINVAL;
	if (state != JOB_DONE && waits_for_us(job))
		return -EDEADLK;
	for (; state != JOB_DONE; state = A_ACQUIRE(&job->state)) {
		int64_t left = eddy__left(deadline);

		if (left == 0)
			return -ETIME;
		eddy__futex_wait(&job->state, state, left, false);
	}
	return eddy_job_rc(job);
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
	struct eddy_executor *executor, *place;
	uint32_t state = A_ACQUIRE(&job->state); /* pairs with submit's */

	if (state == JOB_IDLE || state == JOB_DONE)
		return -EALREADY;
	executor = job->executor;
	if (!executor_ours(executor))
		return -ECHILD; /* nor is its lock of use here */
	place = lock_place(job);
	/* Not from within a stop function: that has the lock all the time. */
	while (place->admitting == job && place->stopping == 0 &&
	       A_LOAD(&job->state) == JOB_QUEUED) {
		pthread_mutex_unlock(&place->lock); /* a moment */
		eddy__yield();
		place = lock_place(job);
	}
	state = A_LOAD(&job->state);
	if (state == JOB_WAITING) {
		A_STORE(&job->state, JOB_QUEUED); /* for other cancels */
		list_remove(&job->ready);
	} else {
		/* If it must wait yet, whoever makes it wait will see. */
		A_STORE(&job->stop, (uint8_t)outcome);
	}
	pthread_mutex_unlock(&place->lock);
	if (state == JOB_WAITING) {
		eddy__executor_end_waiter(place, job, outcome);
		return 0;
	}
	eddy__job_call_stop(executor, job);
	return executor->ops->cancel(executor, job, outcome);
}

int
eddy_job_cancel(struct eddy_job *job)
{
	return eddy__job_give_up(job, EDDY_CANCELLED);
}
