/* SPDX-License-Identifier: ISC */
/*
 * executor: what every executor has: jobs that wait for room, an end, stats.
 *
 * A job counts as waiting before it tries once more, so whoever makes room
 * afterwards finds it.  One thread at a time hands room out, in the order of
 * the line and without the lock; a cancel in between awaits that.
 */
#include <eddy/executor.h>

#include <errno.h>
#include <string.h>

#include "executor_impl.h"
#include "sys.h"

void
eddy_executor_init(
    struct eddy_executor *executor, const struct eddy_executor_ops *ops)
{
	pthread_mutexattr_t recursive; /* a stop function may cancel others */

	*executor = (struct eddy_executor){.ops = ops, .refs = 1};
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&executor->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	list_init(&executor->waiters);
}

void
eddy__executor_hold(struct eddy_executor *executor)
{
	if (executor->destroy != NULL)
		A_ADD(&executor->refs, 1);
}

void
eddy__executor_drop(struct eddy_executor *executor)
{
	if (executor->destroy != NULL && A_SUB(&executor->refs, 1) == 1)
		executor->destroy(executor);
}

void
eddy_executor_fini(struct eddy_executor *executor)
{
	const uint32_t *ours = executor->inner == NULL ? executor->ours : NULL;

	pthread_mutex_destroy(&executor->lock);
	/* In a forked child a strand in front may look at it yet. */
	if (ours != NULL && A_LOAD(ours) != 0)
		eddy__unmap(ours, sizeof(*ours));
}

/* One that waited is on its way, or has ended: a drain is told behind that. */
static void
unwait(struct eddy_executor *executor)
{
	bool drain;

	pthread_mutex_lock(&executor->lock);
	A_RELEASE(&executor->waiting, A_LOAD(&executor->waiting) - 1);
	drain = A_LOAD(&executor->waiting) == 0 &&
	        A_LOAD(&executor->drains) != 0;
	pthread_mutex_unlock(&executor->lock);
	if (drain)
		executor->ops->drain(executor);
}

void
eddy__executor_end_waiter(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	eddy__executor_hold(executor);
	eddy_job_end(job, outcome, 0);
	unwait(executor);
	eddy__executor_drop(executor);
}

int
eddy__job_enqueue(struct eddy_executor *executor, struct eddy_job *job)
{
	int r = executor_check(executor);
	enum eddy_outcome stop;

	if (r == 0)
		r = eddy__executor_submit(executor, job);
	if (r != -EAGAIN)
		return r;
	pthread_mutex_lock(&executor->lock);
	stop = A_LOAD(&job->stop);
	r = executor->closing ? -ESHUTDOWN : 0;
	if (r == 0)
		A_STORE(&executor->waiting, A_LOAD(&executor->waiting) + 1);
	if (r == 0 && stop == EDDY_NONE) {
		A_STORE(&job->state, JOB_WAITING);
		list_push(&executor->waiters, &job->ready);
	}
	pthread_mutex_unlock(&executor->lock);
	if (r == 0 && stop != EDDY_NONE)
		eddy__executor_end_waiter(executor, job, stop);
	eddy_executor_room(executor, 1);
	return r;
}

/* With the lock, which it gives back meanwhile: submit one.  The room that is
 * left; 0 also when it has to go on waiting. */
static uint64_t
admit(struct eddy_executor *executor, struct eddy_job *job, uint64_t room)
{
	enum eddy_outcome stop;
	int r;

	A_STORE(&job->state, JOB_QUEUED);
	executor->admitting = job;
	pthread_mutex_unlock(&executor->lock);
	r = eddy__executor_submit(executor, job);
	pthread_mutex_lock(&executor->lock);
	executor->admitting = NULL;
	stop = r == -EAGAIN ? A_LOAD(&job->stop) : EDDY_NONE;
	if (r == -EAGAIN && stop == EDDY_NONE && !executor->closed) {
		A_STORE(&job->state, JOB_WAITING);
		list_push_front(&executor->waiters, &job->ready);
		return executor->room - room; /* made meanwhile */
	}
	pthread_mutex_unlock(&executor->lock);
	if (r == -EAGAIN || r == -ESHUTDOWN)
		eddy_job_end(job, stop != EDDY_NONE ? stop : EDDY_CANCELLED, 0);
	else if (r < 0)
		eddy_job_end(job, EDDY_LOST, r);
	unwait(executor);
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

	if (!executor_waited(executor))
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

/* In the thread of drain_loop: that drain is over. */
static void
end_drain(struct eddy_executor *executor)
{
	pthread_mutex_lock(&executor->lock);
	executor->drain_loop->holds--;
	executor->drain_loop = NULL;
	pthread_mutex_unlock(&executor->lock);
}

static void
tell_drained(struct eddy_loop *loop, struct eddy_post *post)
{
	struct eddy_executor *executor = CONTAINER_OF(
	    post, struct eddy_executor, drained);

	end_drain(executor);
	executor->on_drained(loop, executor, 0);
}

/* Outcomes that came by a box are older, but not seen before: they go first. */
static void
follow_outcomes(struct eddy_loop *loop, struct eddy_post *post)
{
	door_collect(loop->door, &loop->pending, false);
	post->fn = tell_drained;
	eddy_post(loop, post);
}

int
eddy_executor_drain_then(struct eddy_executor *executor, struct eddy_loop *loop,
    eddy_drained_fn *done)
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
	if (executor->drain_loop != NULL || executor->closed)
		r = -EBUSY;
	now = r == 0 && A_LOAD(&executor->waiting) == 0;
	if (r == 0) {
		loop->holds++;
		executor->drain_loop = loop;
		executor->on_drained = done;
		eddy_post_init(&executor->drained, follow_outcomes);
		A_STORE(&executor->closing, true);
		A_RELEASE(&executor->drains, 1);
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
	if (A_XCHG(&executor->drains, 0) == 0)
		while (eddy_post_cancel(
			   executor->drain_loop, &executor->drained) < 0)
			eddy__yield();
	end_drain(executor);
}

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
	struct eddy_loop *loop;
	int r = 0;

	if (!executor_ours(executor))
		return executor->ops->close(executor, 0); /* no lock is safe */
	if (eddy__job_runs_on(executor) ||
	    (executor->inner != NULL && eddy__job_runs_on(executor->inner)))
		return -EDEADLK;
	pthread_mutex_lock(&executor->lock);
	loop = executor->drain_loop;
	if (executor->closed)
		r = -EALREADY;
	else if ((loop != NULL && eddy__loop_mine(loop) < 0) ||
		 (executor->home != NULL &&
		     eddy__loop_mine(executor->home) < 0))
		r = -EPERM;
	if (r == 0) {
		A_STORE(&executor->closed, true);
		A_STORE(&executor->closing, true);
	}
	pthread_mutex_unlock(&executor->lock);
	if (r < 0)
		return r;
	if (loop != NULL) {
		eddy__executor_undrain(executor);
		executor->on_drained(loop, executor, -ESHUTDOWN);
	}
	pthread_mutex_lock(&executor->lock);
	while ((ready = list_pop(&executor->waiters)) != NULL) {
		A_STORE(&job_of(ready)->state, JOB_QUEUED);
		pthread_mutex_unlock(&executor->lock);
		eddy__executor_end_waiter(
		    executor, job_of(ready), EDDY_CANCELLED);
		pthread_mutex_lock(&executor->lock);
	}
	pthread_mutex_unlock(&executor->lock);
	if (n != 0)
		memset(ret_names, 0, n * sizeof(*ret_names));
	executor->ret_names = ret_names;
	executor->names = n;
	return executor->ops->close(executor, duration);
}

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
	if (outcome == EDDY_RETURNED)
		stats->returned += n;
	else if (outcome == EDDY_EXPIRED)
		stats->expired += n;
	else if (outcome == EDDY_CANCELLED)
		stats->cancelled += n;
	else
		stats->failed += n;
}

int64_t
eddy__job_since(int stamp)
{
	int64_t now = eddy_now();
	uint32_t age = (uint32_t)job_stamp(now) - (uint32_t)stamp;

	return stamp != 0 ? now - ((int64_t)age << STAMP_SHIFT) : 0;
}

unsigned
eddy__list_jobs(const struct eddy_ready *queue, struct eddy_worker *ret_workers,
    unsigned count, unsigned n)
{
	struct eddy_ready *ready = queue->next;

	for (; ready != queue && count < n; ready = ready->next)
		ret_workers[count++] = (struct eddy_worker){0,
		    job_name(job_of(ready)),
		    eddy__job_since(job_of(ready)->result)};
	return count;
}
