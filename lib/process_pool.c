/* SPDX-License-Identifier: ISC */
/*
 * process_pool: the table of functions; opening and closing.
 *
 * Submit and cancel come from any thread and go to the home thread by post; all
 * that is not marked otherwise in struct pool belongs to that one.
 */
#include <eddy/process_pool.h>

#include <errno.h>
#include <sys/epoll.h>

#include "process_impl.h"

enum {
	DEPTH = 2,            /* hides the hand-over; more helps only no-ops */
	SLOT_SIZE = 64 << 10, /* fits most requests; touched pages only */
};
#define LOOK EDDY_MS(10) /* between looks at jobs, while closing */

static struct pool *
pool_of(struct eddy_executor *executor)
{
	return CONTAINER_OF(executor, struct pool, executor);
}

/* Never more than there may be, for a moment either: who sees the queue full
 * waits for room, and this job would make none. */
static bool
take_place(struct pool *pool)
{
	unsigned queued = A_LOAD(&pool->queued);

	while (queued < pool->options.queue_limit)
		if (A_CAS(&pool->queued, &queued, queued + 1))
			return true;
	return false;
}

static int
submit_by_post(struct pool *pool, struct eddy_job *job)
{
	struct eddy_executor *executor = &pool->executor;
	bool refuse;

	pthread_mutex_lock(&executor->lock);
	refuse = executor_refuses(executor, job);
	if (refuse) {
		A_SUB(&pool->queued, 1);
	} else {
		A_ADD(&pool->submitted, 1);
		list_push(&pool->inbox, &job->ready);
	}
	if (!is_closing(pool)) /* also if refused: a drain may have seen it */
		eddy_post(pool->home, &pool->knock);
	pthread_mutex_unlock(&executor->lock);
	return refuse ? -ESHUTDOWN : 0;
}

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct pool *pool = pool_of(executor);
	struct eddy_worker_report *report = long_part(job)->report;
	int r = eddy__process_may_send(pool, job);
	struct worker *worker;

	if (r < 0)
		return r;
	if (A_LOAD(&pool->broken) != 0)
		return A_LOAD(&pool->broken);
	if (!take_place(pool))
		return -EAGAIN;
	if (report != NULL)
		*report = (struct eddy_worker_report){0};
	if (!eddy__loop_here(pool->home))
		return submit_by_post(pool, job);
	pool->inside++;
	eddy__process_wake_at(pool, job->deadline);
	A_ADD(&pool->submitted, 1);
	worker = eddy__process_reserver(pool, job);
	if (worker != NULL && worker->state == LIVE) {
		A_SUB(&pool->queued, 1);
		eddy__process_put(worker, job); /* or it is queued by that */
	} else {
		eddy__process_enqueue(pool, job, false);
	}
	eddy__process_leave(pool);
	return 0;
}

static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	struct pool *pool = pool_of(executor);
	bool here;
	int r;

	/* With the lock: once it closes, home may go. */
	pthread_mutex_lock(&executor->lock);
	here = !is_closing(pool) && eddy__loop_here(pool->home);
	if (!is_closing(pool) && !here)
		eddy_post(pool->home, &pool->knock);
	pthread_mutex_unlock(&executor->lock);
	if (!here)
		return 0; /* its outcome comes */
	pool->inside++;
	eddy__process_open_inbox(pool);
	r = eddy__process_stop(pool, job, outcome);
	eddy__process_leave(pool);
	return r;
}

/* Hear zygote and clock until no worker is left, or it is time. */
static void
wait_for_workers(struct pool *pool, int64_t duration)
{
	int64_t left, deadline = eddy_after(duration);
	struct worker *worker;

	for (EACH_WORKER(worker, pool))
		while (is_alive(worker)) {
			struct pollfd fd = {.fd = pool->link, .events = POLLIN};

			if (worker->held == 0 &&
			    pool->options.worker_close == NULL)
				eddy__process_kill(worker, EDDY_NONE);
			left = eddy__left(deadline);
			if (left == 0)
				return;
			/* Is it time for one, or has a cancel asked one to stop?
			 * Those of other threads do not wake us here. */
			eddy__process_on_clock(pool->home, &pool->clock, 0);
			eddy__poll(&fd, 1, left < LOOK ? left : LOOK);
			eddy__process_hear(pool);
		}
}

/* The jobs that workers have, for who closes. */
static void
name_jobs(struct pool *pool)
{
	struct worker *worker;
	unsigned count = 0;
	uint32_t i;

	for (EACH_WORKER(worker, pool))
		for (i = 0; i < pool->options.depth; i++)
			if (worker->jobs[i] != NULL &&
			    count < pool->executor.names)
				pool->executor.ret_names[count++] = job_name(
				    worker->jobs[i]);
}

static int
end_workers(struct pool *pool, int64_t duration)
{
	struct worker *worker;
	int r;

	pool->inside++; /* for good */
	eddy__process_open_inbox(pool);
	for (EACH_WORKER(worker, pool))
		eddy__process_take_back(worker);
	eddy__process_fail_queue(pool, EDDY_CANCELLED, 0);
	/* What was asked to stop just before. */
	eddy__process_on_clock(pool->home, &pool->clock, 0);
	for (EACH_WORKER(worker, pool))
		if (is_alive(worker))
			eddy__process_quit(worker);
	if (pool->stats.running != 0 || pool->options.worker_close != NULL)
		wait_for_workers(pool, duration);
	r = pool->stats.running != 0 ? -ETIME : 0;
	name_jobs(pool);
	for (EACH_WORKER(worker, pool))
		if (is_alive(worker))
			eddy__process_kill(worker, EDDY_CANCELLED);
	wait_for_workers(pool, EDDY_FOREVER); /* none is dying for long */
	eddy_post_cancel(pool->home, &pool->knock);
	pool->home->pools--;
	return r;
}

static void
destroy(struct eddy_executor *executor)
{
	struct pool *pool = pool_of(executor);

	eddy_executor_fini(&pool->executor);
	eddy__free(pool->workers);
	eddy__free(pool);
}

/* In a forked child no watch is stopped: the epoll is the parent's. */
static void
disconnect(struct pool *pool)
{
	struct worker *worker;

	for (EACH_WORKER(worker, pool)) {
		worker->reserved = NULL;
		eddy__process_release(worker);
	}
	eddy_watch_stop(pool->home, &pool->link_watch);
	eddy_watch_stop(pool->home, &pool->clock);
	eddy__close(pool->clock.fd);
	if (pool->link >= 0 || A_LOAD(&pool->broken) == -EPIPE) /* lost */
		eddy__zygote_unlink(pool->zygote, pool->link);
	if (pool->options.zygote == NULL && pool->zygote != NULL)
		eddy_zygote_close(pool->zygote);
}

static void
close_at_home(struct errand *errand)
{
	struct pool *pool = errand->pool;

	errand->result = end_workers(pool, errand->duration);
	disconnect(pool);
	if (pool->own_home)
		eddy_loop_stop(pool->home);
}

static int
close_pool(struct eddy_executor *executor, int64_t duration)
{
	struct errand errand = {
	    .fn = close_at_home, .closes = true, .duration = duration};
	struct pool *pool = pool_of(executor);
	bool own = pool->own_home;

	if (!executor_ours(executor)) {
		disconnect(pool);
		if (own)
			eddy_loop_close(pool->home);
		destroy(executor);
		return 0;
	}
	eddy__process_at_home(pool, &errand);
	if (own)
		pthread_join(pool->thread, NULL);
	/* Who has a job that was not heard yet may look on; nobody is home. */
	pthread_mutex_lock(&executor->lock);
	pool->own_home = false;
	A_RELEASE(&executor->home, NULL);
	pthread_mutex_unlock(&executor->lock);
	if (own)
		eddy_loop_close(pool->home);
	eddy__executor_drop(executor);
	return errand.result;
}

static void
start_draining(struct eddy_executor *executor)
{
	struct pool *pool = pool_of(executor);

	pthread_mutex_lock(&executor->lock); /* as cancel */
	if (!is_closing(pool))
		eddy_post(pool->home, &pool->knock);
	pthread_mutex_unlock(&executor->lock);
}

static void
describe_at_home(struct errand *errand)
{
	*errand->stats = errand->pool->stats;
	errand->stats->submitted = A_LOAD(&errand->pool->submitted);
	errand->stats->queued = A_LOAD(&errand->pool->queued);
}

static void
describe(struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	struct errand errand = {.fn = describe_at_home, .stats = ret_stats};

	*ret_stats = (struct eddy_executor_stats){0};
	eddy__process_at_home(pool_of(executor), &errand);
}

static void
workers_at_home(struct errand *errand)
{
	struct pool *pool = errand->pool;
	const struct eddy_job *job;
	struct worker *worker;
	int i;

	for (EACH_WORKER(worker, pool)) {
		if (worker->pid <= 0 || (unsigned)errand->result++ >= errand->n)
			continue;
		job = oldest_job(worker);
		errand->workers[errand->result - 1] = (struct eddy_worker){
		    worker->pid, job != NULL ? job_name(job) : NULL,
		    job != NULL ? eddy__job_since(job->result) : 0};
	}
	for (i = 0; i < LANE_COUNT; i++)
		errand->result = (int)eddy__list_jobs(&pool->lanes[i],
		    errand->workers, (unsigned)errand->result, errand->n);
}

static unsigned
list_workers(
    struct eddy_executor *executor, struct eddy_worker *ret_workers, unsigned n)
{
	struct errand errand = {
	    .fn = workers_at_home, .workers = ret_workers, .n = n};

	eddy__process_at_home(pool_of(executor), &errand);
	return (unsigned)errand.result;
}

static void
list_at_home(struct errand *errand)
{
	struct pool *pool = errand->pool;
	struct worker *worker;

	for (EACH_WORKER(worker, pool))
		if ((worker->state == LIVE || worker->state == ASKED) &&
		    (unsigned)errand->result++ < errand->n)
			errand->pids[errand->result - 1] = worker->pid;
}

int
eddy_process_pool_pids(
    struct eddy_executor *executor, int *ret_pids, unsigned n)
{
	struct errand errand = {.fn = list_at_home, .pids = ret_pids, .n = n};

	eddy__process_at_home(pool_of(executor), &errand);
	return errand.result;
}

static int
set_options(struct pool *pool, const struct eddy_process_pool_options *options)
{
	struct eddy_process_pool_options own = {0};
	struct worker *worker;
	size_t size;

	if (options != NULL)
		own = *options;
	if (own.workers == 0)
		own.workers = eddy__quota((unsigned)eddy__cpus());
	if (own.depth == 0)
		own.depth = DEPTH;
	if (own.queue_limit == 0)
		own.queue_limit = QUEUE_LIMIT;
	if (own.slot_size == 0)
		own.slot_size = SLOT_SIZE;
	if (own.slot_size > UINT32_MAX - 63) /* jobs have no more */
		return -EINVAL;
	own.slot_size = (own.slot_size + 63) & ~(size_t)63; /* a line */
	if (own.depth > DEPTH_MAX || own.init_size > own.slot_size ||
	    __builtin_mul_overflow(
		own.slot_size, own.depth, &pool->channel_size) ||
	    __builtin_add_overflow(
		pool->channel_size, CHANNEL_HEADER, &pool->channel_size))
		return -EINVAL;
	if (!__builtin_mul_overflow(own.workers, sizeof(*worker), &size))
		pool->workers = eddy__alloc(size);
	if (pool->workers == NULL)
		return -ENOMEM;
	pool->options = own;
	for (EACH_WORKER(worker, pool))
		eddy__process_clear(pool, worker);
	return 0;
}

static void
on_link(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)loop;
	(void)events;
	eddy__process_hear(CONTAINER_OF(watch, struct pool, link_watch));
}

static int
connect(struct pool *pool)
{
	const struct eddy_process_pool_options *o = &pool->options;
	int r = 0;

	pool->zygote = o->zygote;
	if (pool->zygote == NULL)
		r = eddy_zygote_open(&pool->zygote, o->flags);
	if (r < 0)
		return r;
	if (!eddy__zygote_has(pool->zygote, (uintptr_t)o->worker_open) ||
	    !eddy__zygote_has(pool->zygote, (uintptr_t)o->worker_close) ||
	    !eddy__zygote_has(pool->zygote, (uintptr_t)o->worker_sandbox))
		return -EFAULT;
	r = pool->link = eddy__zygote_link(pool->zygote);
	if (r >= 0)
		r = pool->clock.fd = eddy__timerfd();
	if (r < 0)
		return r;
	eddy_watch_init(
	    &pool->link_watch, pool->link, on_link, EDDY_WATCH_BACKGROUND);
	eddy_watch_init(&pool->clock, pool->clock.fd, eddy__process_on_clock,
	    EDDY_WATCH_BACKGROUND);
	r = eddy_watch_start(pool->home, &pool->link_watch, EPOLLIN);
	if (r == 0)
		r = eddy_watch_start(
		    pool->home, &pool->clock, EPOLLIN | EPOLLET);
	return r;
}

static int
open_pool(struct eddy_executor **ret_executor, struct eddy_loop *home,
    const struct eddy_process_pool_options *options)
{
	static const struct eddy_executor_ops ops = {"processes", submit,
	    cancel, close_pool, describe, start_draining, list_workers};
	int r = eddy__loop_ours(home);
	struct pool *pool = r == 0 ? eddy__alloc(sizeof(*pool)) : NULL;
	const uint32_t *ours;

	if (r == 0)
		r = pool != NULL ? eddy__mark(&ours) : -ENOMEM;
	if (r < 0) {
		eddy__free(pool);
		return r;
	}
	eddy_executor_init(&pool->executor, &ops);
	list_init(&pool->inbox);
	list_init(&pool->lanes[URGENT_LANE]);
	list_init(&pool->lanes[NORMAL_LANE]);
	eddy_post_init(&pool->knock, eddy__process_on_knock);
	pool->link = pool->clock.fd = -1;
	pool->home = pool->executor.home = home;
	pool->executor.ours = ours; /* home may go before a strand */
	pool->executor.destroy = destroy;
	pool->executor.elsewhere = true;
	r = set_options(pool, options);
	if (r == 0)
		r = connect(pool);
	if (r == 0)
		r = eddy__process_refill(pool);
	if (r < 0 && pool->spawning == 0) {
		disconnect(pool);
		destroy(&pool->executor);
		return r;
	}
	home->pools++;
	*ret_executor = &pool->executor;
	return 0;
}

int
eddy_process_pool_open(struct eddy_executor **ret_executor,
    struct eddy_loop *home, const struct eddy_process_pool_options *options)
{
	struct eddy_executor *executor;
	struct eddy_loop *own;
	int r;

	if (home != NULL)
		return open_pool(ret_executor, home, options);
	r = eddy_loop_open(&own, NULL);
	if (r < 0)
		return r;
	r = open_pool(&executor, own, options);
	if (r < 0)
		goto fail_pool;
	r = eddy__process_home_open(pool_of(executor));
	if (r < 0)
		goto fail_thread;
	*ret_executor = executor;
	return 0;

fail_thread:
	close_pool(executor, 0);
fail_pool:
	eddy_loop_close(own);
	return r;
}
