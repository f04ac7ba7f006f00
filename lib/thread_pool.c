/* SPDX-License-Identifier: ISC */
/*
 * thread_pool: a bounded queue, one lock, workers on demand.
 *
 * A submit claims a sleeping worker, and adds one when more jobs wait than
 * workers will look.  A worker counts as asleep before it publishes its outcome
 * and needs no lock to fall asleep after it, so a lone job costs one futex wait
 * and one wake.  Each worker that leaves joins the one that left before it;
 * close joins the last.
 */
#include <eddy/thread_pool.h>

#include <errno.h>
#include <limits.h>
#include <time.h>

#include "executor_impl.h"
#include "sys.h"

enum { MORE_THAN_CPUS = 4, WORKERS_MAX = 32 }; /* as CPython's executor */
#define IDLE_DURATION EDDY_S(10)

struct worker {
	struct pool *pool;
	struct worker *next;  /* guarded by lock: pool->all */
	struct eddy_job *job; /* guarded by lock: what it runs */
	pthread_t thread;
};

struct pool {
	struct eddy_executor executor;
	struct eddy_thread_pool_options options;
	const uint32_t *ours; /* 0 in a forked child */

	pthread_mutex_t lock; /* guards all that follows */
	pthread_cond_t left;  /* a worker has left */
	uint32_t wakes;       /* futex: counts what sleepers must look at */
	unsigned asleep;      /* workers nobody counts on */
	unsigned claims;      /* workers that a submit woke */
	struct eddy_ready queue;
	struct worker *all;
	struct worker *gone; /* has left, is not joined yet */
	bool closing;
	bool abandoned; /* close gave up: the last worker frees the pool */
	struct eddy_executor_stats stats;
};

static void
destroy(struct pool *pool)
{
	pthread_cond_destroy(&pool->left);
	pthread_mutex_destroy(&pool->lock);
	eddy_executor_fini(&pool->executor);
	eddy__unmap(pool->ours, sizeof(*pool->ours));
	eddy__free(pool);
}

static void
join(struct worker *worker)
{
	if (worker == NULL)
		return;
	pthread_join(worker->thread, NULL);
	eddy__free(worker);
}

/* Workers. */

/* A job that has run; its outcome is published without the lock. */
struct over {
	struct eddy_job *job; /* NULL: none */
	enum eddy_outcome outcome;
	int result;
};

static struct over
run(struct eddy_job *job)
{
	struct over over = {job, EDDY_EXPIRED, 0};

	if (job_expired(job))
		return over;
	over.outcome = EDDY_RETURNED;
	eddy__job_enter(job);
	over.result = job->fn(job->arg);
	eddy__job_enter(NULL);
	if (over.result < LOWEST_RESULT)
		over.result = -EINVAL;
	return over;
}

/* The oldest job; or NULL, and the caller counts as asleep.  With the lock. */
static struct eddy_job *
take(struct pool *pool, struct worker *worker)
{
	struct eddy_ready *ready = list_pop(&pool->queue);

	if (ready == NULL) {
		pool->asleep++;
		return NULL;
	}
	worker->job = job_of(ready);
	A_STORE(&worker->job->state, JOB_RUNNING);
	pool->stats.queued--;
	pool->stats.running++;
	return worker->job;
}

/* Sleep until a submit or close rings after the caller read wakes.  True: in
 * vain.  Returns with the lock. */
static bool
rest(struct pool *pool, uint32_t wakes)
{
	int r = eddy__futex_wait(
	    &pool->wakes, wakes, pool->options.idle_duration, false);

	pthread_mutex_lock(&pool->lock);
	if (pool->claims != 0) {
		pool->claims--; /* a submit counted on one of us */
		return false;
	}
	pool->asleep--;
	return r == -ETIMEDOUT;
}

/* One round: run a job and report it, or sleep.  False: it is time to leave.
 * Called and returns with the lock held. */
static bool
serve(struct pool *pool, struct worker *worker, struct over *over)
{
	struct eddy_job *job = take(pool, worker);
	/* While closing a value that is past, so that nobody falls asleep. */
	uint32_t wakes = A_LOAD(&pool->wakes) - pool->closing;

	pthread_mutex_unlock(&pool->lock);
	if (over->job != NULL)
		eddy_job_end(over->job, over->outcome, over->result);
	over->job = NULL;
	if (job == NULL)
		return !rest(pool, wakes) || !list_empty(&pool->queue) ||
		       pool->stats.workers <= pool->options.workers_min;
	eddy_executor_room(&pool->executor, 1);
	*over = run(job);
	pthread_mutex_lock(&pool->lock);
	worker->job = NULL;
	pool->stats.running--;
	eddy__stats_count(&pool->stats, over->outcome);
	return true;
}

static void
leave(struct pool *pool, struct worker *worker)
{
	struct worker **link, *before = pool->gone;
	bool abandoned = pool->abandoned, last;

	for (link = &pool->all; *link != worker; link = &(*link)->next)
		;
	*link = worker->next;
	last = --pool->stats.workers == 0;
	pool->gone = abandoned ? NULL : worker;
	pthread_cond_signal(&pool->left);
	pthread_mutex_unlock(&pool->lock);
	join(before);
	if (!abandoned)
		return; /* the pool may be gone by now */
	pthread_detach(pthread_self());
	eddy__free(worker);
	if (last)
		destroy(pool);
}

static void *
work(void *arg)
{
	struct worker *worker = arg;
	struct pool *pool = worker->pool;
	struct over over = {0};

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	worker->thread = pthread_self();
	pthread_setname_np(worker->thread,
	    pool->options.name != NULL ? pool->options.name : "eddy");
	pthread_mutex_lock(&pool->lock);
	do
		if (!serve(pool, worker, &over))
			break;
	while (over.job != NULL || !pool->closing || !list_empty(&pool->queue));
	leave(pool, worker);
	return NULL;
}

/* With the lock held, which keeps the new worker from leaving too early. */
static int
add_worker(struct pool *pool)
{
	struct worker *worker = eddy__alloc(sizeof(*worker));
	pthread_t thread;
	int r;

	if (worker == NULL)
		return -ENOMEM;
	worker->pool = pool;
	r = eddy__thread_create(
	    &thread, pool->options.stack_size, work, worker);
	if (r < 0) {
		eddy__free(worker);
		return r;
	}
	worker->next = pool->all;
	pool->all = worker;
	pool->stats.workers++;
	return 0;
}

/* The table. */

static struct pool *
pool_of(struct eddy_executor *executor)
{
	return CONTAINER_OF(executor, struct pool, executor);
}

/* Room in the queue and somebody to serve it; with the lock held. */
static int
admit(struct pool *pool)
{
	struct eddy_executor_stats *stats = &pool->stats;
	int r;

	if (pool->closing)
		return -ESHUTDOWN;
	if (stats->queued >= pool->options.queue_limit)
		return -EAGAIN;
	if (stats->workers - stats->running > stats->queued ||
	    stats->workers >= pool->options.workers_max)
		return 0;
	r = add_worker(pool);
	if (stats->workers != 0)
		return 0;                  /* those there are will do */
	return r == -EAGAIN ? -ENOMEM : r; /* not a queue that is full */
}

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct pool *pool = pool_of(executor);
	bool wake = false;
	int r;

	if (A_LOAD(pool->ours) == 0)
		return -ECHILD; /* its threads are not here */
	pthread_mutex_lock(&pool->lock);
	r = admit(pool);
	if (r == 0) {
		list_push(&pool->queue, &job->ready);
		pool->stats.queued++;
		pool->stats.submitted++;
		wake = pool->asleep != 0;
	}
	if (wake) {
		pool->asleep--;
		pool->claims++;
		A_ADD(&pool->wakes, 1);
	}
	pthread_mutex_unlock(&pool->lock);
	if (wake)
		eddy__futex_wake(&pool->wakes, 1, false);
	return r;
}

static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	struct pool *pool = pool_of(executor);
	uint32_t state;

	pthread_mutex_lock(&pool->lock);
	state = A_LOAD(&job->state);
	if (state == JOB_QUEUED) {
		list_remove(&job->ready);
		pool->stats.queued--;
		eddy__stats_count(&pool->stats, outcome);
	}
	pthread_mutex_unlock(&pool->lock);
	if (state == JOB_QUEUED) {
		eddy_job_end(job, outcome, 0);
		eddy_executor_room(executor, 1);
	}
	return state == JOB_DONE ? -EALREADY : 0;
}

static struct timespec
timespec_of(int64_t deadline)
{
	return (struct timespec){.tv_sec = (time_t)(deadline / EDDY_S(1)),
	    .tv_nsec = (long)(deadline % EDDY_S(1))};
}

/* Wait until all workers have left; with the lock held.  Only jobs are late:
 * workers that have none leave at once. */
static int
wait_for_leave(struct pool *pool, int64_t duration)
{
	int64_t deadline = eddy_after(duration);
	struct timespec until = timespec_of(deadline);
	int r = 0;

	while (pool->stats.workers != 0) {
		if (pool->stats.running != 0 && r == ETIMEDOUT)
			return -ETIME;
		if (pool->stats.running == 0 || deadline == EDDY_FOREVER)
			pthread_cond_wait(&pool->left, &pool->lock);
		else
			r = pthread_cond_timedwait(
			    &pool->left, &pool->lock, &until);
	}
	return 0;
}

static int
close_pool(struct eddy_executor *executor, int64_t duration)
{
	struct pool *pool = pool_of(executor);
	struct eddy_ready *ready;
	struct worker *gone;
	int r;

	if (A_LOAD(pool->ours) == 0) {
		eddy__unmap(pool->ours, sizeof(*pool->ours));
		eddy__free(pool); /* its lock may be held by nobody */
		return 0;
	}
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	while ((ready = list_pop(&pool->queue)) != NULL) {
		pool->stats.queued--;
		eddy_job_end(job_of(ready), EDDY_CANCELLED, 0);
	}
	A_ADD(&pool->wakes, 1);
	eddy__futex_wake(&pool->wakes, INT_MAX, false);
	r = wait_for_leave(pool, duration);
	gone = pool->gone;
	pool->gone = NULL;
	pool->abandoned = r < 0;
	pthread_mutex_unlock(&pool->lock);
	join(gone);
	if (r == 0)
		destroy(pool);
	return r;
}

static void
describe(struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	struct pool *pool = pool_of(executor);

	pthread_mutex_lock(&pool->lock);
	*ret_stats = pool->stats;
	pthread_mutex_unlock(&pool->lock);
}

static void
set_defaults(struct eddy_thread_pool_options *options)
{
	unsigned cpus = (unsigned)eddy__cpus();

	if (options->workers_max == 0)
		options->workers_max = cpus + MORE_THAN_CPUS < WORKERS_MAX
		                           ? cpus + MORE_THAN_CPUS
		                           : WORKERS_MAX;
	if (options->workers_min > options->workers_max)
		options->workers_max = options->workers_min;
	if (options->queue_limit == 0)
		options->queue_limit = QUEUE_LIMIT;
	if (options->idle_duration == 0)
		options->idle_duration = IDLE_DURATION;
}

int
eddy_thread_pool_open(struct eddy_executor **ret_executor,
    const struct eddy_thread_pool_options *options)
{
	static const struct eddy_executor_ops ops = {
	    "threads", submit, cancel, close_pool, describe};
	struct pool *pool = eddy__alloc(sizeof(*pool));
	pthread_condattr_t monotonic;
	int r = pool != NULL ? eddy__mark(&pool->ours) : -ENOMEM;

	if (r < 0) {
		eddy__free(pool);
		return r;
	}
	if (options != NULL)
		pool->options = *options;
	set_defaults(&pool->options);
	eddy_executor_init(&pool->executor, &ops);
	list_init(&pool->queue);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->left, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*ret_executor = &pool->executor;
	return 0;
}
