/* SPDX-License-Identifier: ISC */
/*
 * process_queue: which job goes where, and when it has to stop.
 *
 * Urgent jobs first, but one in eight is another; idle workers first, then a
 * second job for each, and so on.  A worker that idles gets the newest job that
 * waits in another.  One timerfd has the next deadline of all.
 */
#include <limits.h>

#include "process_impl.h"

void
eddy__process_end_job(struct pool *pool, struct eddy_job *job,
    enum eddy_outcome outcome, int result)
{
	eddy__stats_count(&pool->stats, outcome, 1);
	eddy__job_end_on(pool->home, job, outcome, result);
}

void
eddy__process_enqueue(struct pool *pool, struct eddy_job *job, bool first)
{
	bool urgent = (job_flags(job) & EDDY_JOB_URGENT) != 0;
	struct eddy_ready *lane = pool->lanes;

	lane += urgent ? URGENT_LANE : NORMAL_LANE;
	A_STORE(&job->state, JOB_LISTED);
	if (first)
		list_push_front(lane, &job->ready);
	else
		list_push(lane, &job->ready);
}

/* Out of the queue, for a slot or an end. */
static void
unqueue(struct pool *pool, struct eddy_job *job)
{
	list_remove(&job->ready);
	A_STORE(&job->state, JOB_QUEUED);
	A_SUB(&pool->queued, 1);
}

/* The next one out of the queue, or NULL. */
static struct eddy_job *
unqueue_next(struct pool *pool)
{
	struct eddy_ready *lane = &pool->lanes[URGENT_LANE];
	struct eddy_job *job;

	if (list_empty(lane) || pool->in_row++ >= URGENT_IN_ROW) {
		pool->in_row = 0;
		if (!list_empty(&pool->lanes[NORMAL_LANE]))
			lane = &pool->lanes[NORMAL_LANE];
	}
	job = list_empty(lane) ? NULL : job_of(lane->next);
	if (job != NULL)
		unqueue(pool, job);
	return job;
}

void
eddy__process_fail_queue(
    struct pool *pool, enum eddy_outcome outcome, int result)
{
	struct eddy_job *job;

	while ((job = unqueue_next(pool)) != NULL)
		eddy__process_end_job(pool, job, outcome, result);
}

/* Was it asked to stop, or is it past its deadline? */
static enum eddy_outcome
must_stop(const struct eddy_job *job)
{
	enum eddy_outcome why = A_LOAD(&job->stop);

	return why == EDDY_NONE && job_expired(job) ? EDDY_EXPIRED : why;
}

void
eddy__process_wake_at(struct pool *pool, int64_t when)
{
	if (when == 0 || when == EDDY_FOREVER ||
	    (pool->wake_at != 0 && pool->wake_at <= when))
		return;
	pool->wake_at = when;
	eddy__timerfd_set(pool->clock.fd, when);
}

void
eddy__process_requeue(struct pool *pool, struct eddy_job *job)
{
	A_ADD(&pool->queued, 1);
	eddy__process_enqueue(pool, job, true);
}

/* Is it time for another worker in its place? */
static bool
tired(const struct worker *worker)
{
	const struct eddy_process_pool_options *o = &worker->pool->options;

	if (worker->deaf)
		return true;
	if (worker->tail == 0) /* one job at least, or none would ever run */
		return false;
	return worker->tail > INT32_MAX || /* it must not wrap: % depth */
	       (o->max_jobs != 0 && worker->tail >= o->max_jobs) ||
	       (o->lifetime != 0 && eddy_now() - worker->born >= o->lifetime) ||
	       (o->max_rss != 0 &&
		   A_LOAD(&worker->channel->rss) > o->max_rss >> 10);
}

bool
eddy__process_takes_more(struct worker *worker, uint32_t level)
{
	uint32_t n = worker->tail - worker->head;

	if (worker->state != LIVE || n > level || worker->reserved != NULL)
		return false;
	if (!tired(worker))
		return true;
	if (n == 0)
		eddy__process_retire(worker);
	return false;
}

/* For an idle worker: the newest job of one that has more than it can run. */
static void
balance(struct pool *pool, struct worker *idle)
{
	struct worker *worker;
	uint32_t n, i;

	for (EACH_WORKER(worker, pool))
		for (n = worker->tail;
		     worker->state == LIVE && n - worker->head > 1; n--) {
			struct eddy_job *job;

			i = (n - 1) % pool->options.depth;
			job = worker->jobs[i];
			if (job != NULL && eddy__process_reclaim(worker, i)) {
				eddy__process_put(idle, job);
				return;
			}
		}
}

/* The oldest job that may still run, or NULL. */
static struct eddy_job *
next_job(struct pool *pool)
{
	enum eddy_outcome why;
	struct eddy_job *job;

	while ((job = unqueue_next(pool)) != NULL &&
	       (why = must_stop(job)) != EDDY_NONE)
		eddy__process_end_job(pool, job, why, 0);
	return job;
}

static void
dispatch(struct pool *pool)
{
	struct worker *worker;
	uint32_t level;

	for (level = 0; level < pool->options.depth; level++)
		for (EACH_WORKER(worker, pool)) {
			struct eddy_job *job;

			if (!eddy__process_takes_more(worker, level))
				continue;
			job = next_job(pool);
			if (job != NULL)
				eddy__process_put(worker, job);
			else if (level == 0)
				balance(pool, worker);
		}
}

void
eddy__process_leave(struct pool *pool)
{
	pool->more = true;
	if (pool->inside > 1) {
		pool->inside--;
		return;
	}
	eddy__process_refill(pool);
	while (pool->more) {
		pool->more = false;
		dispatch(pool);
	}
	pool->inside = 0;
	/* In this order: what was accepted, or waits no more, is counted. */
	if (A_ACQUIRE(&pool->executor.drains) != 0 &&
	    A_ACQUIRE(&pool->executor.waiting) == 0 &&
	    pool->stats.running == 0 && A_LOAD(&pool->queued) == 0)
		eddy_executor_drained(&pool->executor);
	eddy_executor_room(&pool->executor, UINT_MAX);
}

/* The job in a slot: it is taken back, or its worker interrupted. */
static int
stop_in(struct worker *worker, uint32_t i, enum eddy_outcome outcome)
{
	struct eddy_job *job = worker->jobs[i];

	if (!eddy__process_reclaim(worker, i))
		return eddy__process_interrupt(worker, i, outcome);
	eddy__process_end_job(worker->pool, job, outcome, 0);
	return 0;
}

int
eddy__process_stop(
    struct pool *pool, struct eddy_job *job, enum eddy_outcome outcome)
{
	struct worker *worker;
	uint32_t i;

	if (A_LOAD(&job->state) == JOB_QUEUED)
		return 0; /* on its way; stop is set */
	if (A_LOAD(&job->state) == JOB_LISTED) {
		unqueue(pool, job);
		eddy__process_end_job(pool, job, outcome, 0);
		return 0;
	}
	for (EACH_WORKER(worker, pool))
		for (i = 0; i < pool->options.depth; i++)
			if (worker->jobs[i] == job)
				return stop_in(worker, i, outcome);
	return -EALREADY;
}

static void
check_job(struct pool *pool, struct eddy_job *job)
{
	enum eddy_outcome why = must_stop(job);

	if (why == EDDY_NONE)
		eddy__process_wake_at(pool, job->deadline);
	else
		eddy__process_stop(pool, job, why);
}

static void
check_worker(struct pool *pool, struct worker *worker)
{
	uint32_t i;

	for (i = 0; i < pool->options.depth; i++)
		if (worker->jobs[i] != NULL)
			check_job(pool, worker->jobs[i]);
	if (worker->limit > eddy_now())
		eddy__process_wake_at(pool, worker->limit);
	else if (worker->limit != 0 && oldest_job(worker) != NULL)
		stop_in(worker, oldest_slot(worker), EDDY_EXPIRED);
	eddy__process_check(worker);
	eddy__process_trim(worker);
}

/* Stop whoever was asked to, or is past its time. */
static void
check_all(struct pool *pool)
{
	struct eddy_ready *lane, *ready, *next;
	struct worker *worker;

	pool->inside++;
	for (lane = pool->lanes; lane < pool->lanes + LANE_COUNT; lane++)
		for (ready = lane->next; ready != lane; ready = next) {
			next = ready->next;
			check_job(pool, job_of(ready));
		}
	for (EACH_WORKER(worker, pool))
		check_worker(pool, worker);
	eddy__process_leave(pool);
}

void
eddy__process_on_clock(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	struct pool *pool = CONTAINER_OF(watch, struct pool, clock);

	(void)loop;
	(void)events;
	pool->wake_at = 0;
	check_all(pool);
}

void
eddy__process_open_inbox(struct pool *pool)
{
	struct eddy_ready *ready;

	pthread_mutex_lock(&pool->executor.lock);
	while ((ready = list_pop(&pool->inbox)) != NULL)
		eddy__process_enqueue(pool, job_of(ready), false);
	pthread_mutex_unlock(&pool->executor.lock);
}

void
eddy__process_on_knock(struct eddy_loop *loop, struct eddy_post *post)
{
	struct pool *pool = CONTAINER_OF(post, struct pool, knock);

	(void)loop;
	eddy__process_open_inbox(pool);
	if (A_LOAD(&pool->broken) != 0)
		eddy__process_fail_queue(
		    pool, EDDY_LOST, A_LOAD(&pool->broken));
	check_all(pool);
}
