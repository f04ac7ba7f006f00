/* SPDX-License-Identifier: ISC */
/*
 * thread_pool: the table: a bounded queue, one lock, workers on demand.
 *
 * The jobs of a loop's turn come in one piece, and wake a worker if none is
 * awake; a loop about to sleep wakes whoever else could help.  A cork, the
 * loop's side of that, keeps the pool's memory until it is drawn.  Workers are
 * in thread_worker.c, the slots that jobs wait in, in lane.h.
 */
#include "thread_pool_impl.h"

#include <errno.h>
#include <limits.h>

enum {
	MORE_THAN_CPUS = 4, /* as CPython's executor */
	WORKERS_MAX = 32,
	LIMIT_MAX = 1 << 28,
};
#define IDLE_DURATION EDDY_S(10)

static struct pool *
pool_of(struct eddy_executor *executor)
{
	return CONTAINER_OF(executor, struct pool, executor);
}

/* Also of one half made, or in a forked child, where a lock may stay locked. */
static void
free_pool(struct pool *pool)
{
	eddy__free(pool->lanes[NORMAL].slots);
	eddy__free(pool->lanes[URGENT].slots);
	eddy__free(pool);
}

static void
destroy(struct eddy_executor *executor)
{
	struct pool *pool = pool_of(executor);

	pthread_cond_destroy(&pool->left);
	pthread_mutex_destroy(&pool->lock);
	eddy_executor_fini(&pool->executor);
	free_pool(pool);
}

/* With the lock: jobs that nobody has begun. */
static unsigned
queued(const struct pool *pool)
{
	uint64_t gone = pool->taken;
	const struct worker *worker;

	for (worker = pool->all; worker != NULL; worker = worker->next)
		gone += A_LOAD(&worker->begun);
	/* A worker counts one before it knows whether it gets that. */
	if (gone > pool->stats.submitted)
		return 0;
	return (unsigned)(pool->stats.submitted - gone);
}

/* With the lock: workers that run something; up to n names of it. */
static unsigned
running(const struct pool *pool, const char **ret_names, unsigned n)
{
	const struct worker *worker;
	unsigned count = 0;

	for (worker = pool->all; worker != NULL; worker = worker->next) {
		const char *name = A_LOAD(&worker->name);

		if (A_LOAD(&worker->begun) != eddy__worker_ended(worker) &&
		    count++ < n)
			ret_names[count - 1] = name != NULL ? name : "job";
	}
	return count;
}

/* With the lock: how many more jobs the queue may take. */
static unsigned
room(const struct pool *pool)
{
	unsigned used = queued(pool) + pool->granted;
	unsigned limit = pool->options.queue_limit;

	return used < limit ? limit - used : 0;
}

/* With the lock: enough workers for what is queued and more jobs. */
static int
grow(struct pool *pool, unsigned more)
{
	unsigned ready = pool->asleep + pool->claims + pool->starting;
	int r = 0;

	for (; r == 0 && ready < unclaimed(pool) + more &&
	       pool->stats.workers < pool->options.workers_max;
	     ready++)
		r = eddy__pool_add_worker(pool);
	return pool->stats.workers != 0 ? 0 : r; /* those there are will do */
}

/* With the lock: room in the queue and somebody to serve it. */
static int
admit(struct pool *pool)
{
	int r;

	if (pool->closing)
		return -ESHUTDOWN;
	if (room(pool) == 0)
		return -EAGAIN;
	r = grow(pool, 1);
	return r == -EAGAIN ? -ENOMEM : r; /* not a queue that is full */
}

/* With the lock: n jobs to the queue. */
static void
list(struct pool *pool, struct eddy_job *const *jobs, unsigned n)
{
	pool->stats.submitted += n;
	for (; n != 0; n--, jobs++) {
		struct eddy_job *job = *jobs;
		bool urgent = (job_flags(job) & EDDY_JOB_URGENT) != 0;

		A_STORE(&job->state, JOB_LISTED);
		lane_put(&pool->lanes[urgent ? URGENT : NORMAL], job);
	}
	eddy__pool_set_urgent(pool);
}

static int
put(struct pool *pool, struct eddy_job *job)
{
	bool claimed = false;
	int r;

	eddy__lock(&pool->lock);
	r = admit(pool);
	if (r == 0) {
		job_keep_stamp(job, job->result);
		list(pool, &job, 1);
		pool->eager = true;
		claimed = eddy__pool_claim_sleeper(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	pool_ring(pool, claimed);
	return r;
}

void
eddy__pool_fail_queue(struct pool *pool, enum eddy_outcome outcome, int result)
{
	struct eddy_ready all, *ready;
	struct lane *lane = pool->lanes;
	struct eddy_job *job;

	list_init(&all);
	for (; lane < pool->lanes + LANES; lane++)
		while (lane->head != lane->tail) {
			job = lane_take(lane_slot(lane, lane->head++));
			if (job != NULL)
				list_push(&all, &job->ready);
		}
	while ((job = eddy__pool_steal(pool, NULL)) != NULL)
		list_push(&all, &job->ready);
	eddy__pool_set_urgent(pool);
	for (ready = all.next; ready != &all; ready = ready->next) {
		/* In no slot any more: a cancel comes too late. */
		A_STORE(&job_of(ready)->state, JOB_QUEUED);
		eddy__stats_count(&pool->stats, outcome, 1);
		pool->taken++;
	}
	pthread_mutex_unlock(&pool->lock);
	while ((ready = list_pop(&all)) != NULL)
		eddy_job_end(job_of(ready), outcome, result);
}

/* Corks. */

/* With the lock: the jobs of a cork to the queue. */
static void
draw(struct pool *pool, struct cork *cork)
{
	list(pool, cork->jobs, cork->count);
	pool->granted -= cork->room;
	cork->count = cork->room = 0;
}

/* With the lock: the cork lets go of the pool. */
static void
unlink_cork(struct pool *pool, struct eddy_loop *loop)
{
	struct eddy_loop **link = &pool->corks;

	while (*link != loop)
		link = &(*link)->cork.next;
	*link = loop->cork.next;
	loop->cork.executor = NULL;
	pthread_cond_signal(&pool->left);
}

/* The turn is over (the cork may stay, for a nudge), or the loop is about to
 * sleep or to turn elsewhere. */
static void
flush(struct eddy_loop *loop, bool last)
{
	struct pool *pool = pool_of(loop->cork.executor);
	unsigned unused = loop->cork.room - loop->cork.count;
	bool claimed, over;
	int r;

	if (A_LOAD(pool->executor.ours) == 0) { /* forked by a callback */
		loop->cork.executor = NULL;
		return;
	}
	eddy__lock(&pool->lock);
	draw(pool, &loop->cork);
	r = grow(pool, 0);
	pool->eager = pool->eager || last;
	claimed = eddy__pool_claim_sleeper(pool);
	if (unclaimed(pool) == 0 || (claimed && pool->eager) ||
	    pool->asleep == 0)
		last = true; /* nobody to nudge */
	if (r < 0 || A_LOAD(&pool->executor.closed)) {
		eddy__pool_fail_queue(
		    pool, r < 0 ? EDDY_LOST : EDDY_CANCELLED, r);
		eddy__lock(&pool->lock);
		last = true;
	} else if (unused != 0 && A_LOAD(&pool->executor.waiting) != 0) {
		/* Who counts as waiting meanwhile tries with the lock. */
		pthread_mutex_unlock(&pool->lock);
		eddy_executor_room(&pool->executor, unused);
		eddy__lock(&pool->lock);
	}
	if (last && loop->cork.executor != NULL) /* a drain may be faster */
		unlink_cork(pool, loop);
	over = deserted(pool) && pool->abandoned;
	pthread_mutex_unlock(&pool->lock);
	pool_ring(pool, claimed);
	if (over)
		eddy__executor_drop(&pool->executor);
}

/* Keep jobs of this turn.  -EAGAIN: room is short, or nobody may run them. */
static int
grant(struct pool *pool, struct eddy_loop *loop)
{
	struct cork *cork = &loop->cork;
	int r = -EAGAIN;

	eddy__lock(&pool->lock);
	draw(pool, cork); /* who is awake may begin */
	if (pool->closing) {
		r = -ESHUTDOWN;
	} else if (pool->stats.workers != 0 && room(pool) >= 2 * CORK) {
		if (cork->executor == NULL) {
			cork->next = pool->corks;
			pool->corks = loop;
			cork->executor = &pool->executor;
			cork->flush = flush;
		}
		cork->room = CORK;
		pool->granted += CORK;
		r = 0;
	}
	pthread_mutex_unlock(&pool->lock);
	return r;
}

/* The table. */

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct pool *pool = pool_of(executor);
	struct door *door = job->door;
	struct eddy_loop *loop;
	int r = 0;

	if (door == NULL || (job_flags(job) & JOB_HANDED) != 0 ||
	    !eddy__loop_inside(door->loop))
		return put(pool, job);
	loop = door->loop;
	if (!cork_fits(&loop->cork, executor)) {
		/* One that waited for room may come from within a flush. */
		if (A_LOAD(&executor->waiting) != 0 || !loop->dispatching)
			return put(pool, job);
		if (loop->cork.executor != executor)
			eddy__loop_flush(loop, true);
		r = grant(pool, loop);
	}
	if (r == 0)
		cork_put(&loop->cork, job, job->result);
	if (r != -EAGAIN)
		return r;
	eddy__loop_flush(loop, true); /* those came first */
	return put(pool, job);
}

/* With the lock: out of its slot, unless somebody was faster. */
static bool
unlist(struct pool *pool, struct eddy_job *job)
{
	uint32_t place = (uint32_t)A_LOAD(&job->result);
	struct lane *lane = &pool->lanes[place >> LANE_SHIFT & URGENT];

	return A_CAS(lane_slot(lane, place), &job, NULL);
}

/* One that runs, is corked or on its way has stop set; its worker sees that. */
static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	struct pool *pool = pool_of(executor);
	struct door *door = job->door;
	bool ours, over;

	eddy__lock(&pool->lock);
	/* While it is corked and we have the lock, its loop is there. */
	if (A_LOAD(&job->state) == JOB_CORKED &&
	    eddy__loop_inside(door->loop)) {
		pthread_mutex_unlock(&pool->lock);
		eddy__loop_flush(door->loop, true);
		eddy__lock(&pool->lock);
	}
	ours = A_LOAD(&job->state) == JOB_LISTED && unlist(pool, job);
	if (ours) {
		eddy__stats_count(&pool->stats, outcome, 1);
		pool->taken++;
		pool->leaving++; /* or a drain were told before its outcome */
	}
	pthread_mutex_unlock(&pool->lock);
	if (!ours)
		return 0;
	eddy_executor_room(executor, 1);
	eddy_job_end(job, outcome, 0);
	eddy__lock(&pool->lock);
	pool->leaving--;
	over = deserted(pool) && pool->abandoned;
	pthread_cond_signal(&pool->left);
	pthread_mutex_unlock(&pool->lock);
	if (over)
		eddy__executor_drop(executor);
	return 0;
}

/* With the lock: wait until all workers have left and all corks are drawn.
 * Only jobs and turns are late: workers that have none leave at once. */
static int
wait_for_leave(struct pool *pool, int64_t duration)
{
	int64_t deadline = eddy_after(duration);
	int r = 0;

	while (!deserted(pool)) {
		bool late = running(pool, NULL, 0) != 0 ||
		            pool->corks != NULL ||
		            (pool->starting != 0 &&
				pool->options.worker_open != NULL);

		if (late && r == -ETIMEDOUT)
			return -ETIME;
		r = eddy__cond_wait(
		    &pool->left, &pool->lock, late ? deadline : EDDY_FOREVER);
	}
	return 0;
}

/* With the lock: workers leave when they find nothing more to do. */
static void
shut(struct pool *pool)
{
	struct eddy_loop *loop, *next;

	pool->closing = true;
	for (loop = pool->corks; loop != NULL; loop = next) {
		next = loop->cork.next;
		if (eddy__loop_here(loop)) {
			draw(pool, &loop->cork);
			unlink_cork(pool, loop); /* or we wait for ourselves */
		}
	}
	A_ADD(&pool->wakes, 1);
}

static int
close_pool(struct eddy_executor *executor, int64_t duration)
{
	struct pool *pool = pool_of(executor);
	struct worker *gone;
	int r;

	if (A_LOAD(pool->executor.ours) == 0) {
		free_pool(pool);
		return 0;
	}
	eddy__lock(&pool->lock);
	shut(pool);
	eddy__pool_fail_queue(pool, EDDY_CANCELLED, 0);
	eddy__futex_wake(&pool->wakes, INT_MAX, false);
	eddy__lock(&pool->lock);
	r = wait_for_leave(pool, duration);
	gone = pool->gone;
	pool->gone = NULL;
	pool->abandoned = r < 0;
	if (r < 0)
		running(pool, executor->ret_names, executor->names);
	pthread_mutex_unlock(&pool->lock);
	eddy__worker_join(gone);
	if (r == 0)
		eddy__executor_drop(executor);
	return r;
}

static void
drain(struct eddy_executor *executor)
{
	struct pool *pool = pool_of(executor);

	eddy__lock(&pool->lock);
	shut(pool);
	grow(pool, 0);
	deserted(pool);
	eddy__futex_wake(&pool->wakes, INT_MAX, false);
	pthread_mutex_unlock(&pool->lock);
}

static void
describe(struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	struct pool *pool = pool_of(executor);
	struct worker *worker;
	uint64_t ended;

	eddy__lock(&pool->lock);
	*ret_stats = pool->stats;
	for (worker = pool->all; worker != NULL; worker = worker->next)
		eddy__worker_add_stats(ret_stats, worker);
	ended = ret_stats->returned + ret_stats->failed + ret_stats->cancelled +
	        ret_stats->expired;
	ret_stats->queued = queued(pool);
	/* What is neither: so that it adds up while jobs come and go. */
	ended += ret_stats->queued;
	if (ret_stats->submitted > ended)
		ret_stats->running = (unsigned)(ret_stats->submitted - ended);
	pthread_mutex_unlock(&pool->lock);
}

/* With the lock: behind count workers the jobs of a lane.  Each is taken out
 * meanwhile, so that no worker that is late has it. */
static unsigned
list_jobs(const struct lane *lane, struct eddy_worker *ret_workers,
    unsigned count, unsigned n)
{
	uint32_t i;

	for (i = lane->head; i != lane->tail && count < n; i++) {
		struct eddy_job *job = lane_take(lane_slot(lane, i));

		if (job == NULL)
			continue;
		ret_workers[count++] = (struct eddy_worker){
		    0, job_name(job), eddy__job_since(job_kept_stamp(job))};
		A_RELEASE(lane_slot(lane, i), job);
	}
	return count;
}

static unsigned
list_workers(
    struct eddy_executor *executor, struct eddy_worker *ret_workers, unsigned n)
{
	struct pool *pool = pool_of(executor);
	struct worker *worker;
	unsigned count = 0;

	eddy__lock(&pool->lock);
	for (worker = pool->all; worker != NULL; worker = worker->next)
		if (count++ < n)
			ret_workers[count - 1] = (struct eddy_worker){
			    A_LOAD(&worker->tid), A_LOAD(&worker->name),
			    eddy__job_since(A_LOAD(&worker->stamp))};
	count = list_jobs(&pool->lanes[URGENT], ret_workers, count, n);
	count = list_jobs(&pool->lanes[NORMAL], ret_workers, count, n);
	pthread_mutex_unlock(&pool->lock);
	return count;
}

static int
set_options(struct pool *pool, const struct eddy_thread_pool_options *options)
{
	struct eddy_thread_pool_options *own = &pool->options;

	if (options != NULL)
		*own = *options;
	if (own->workers_max == 0) {
		own->workers_max = eddy__quota((unsigned)eddy__cpus()) +
		                   MORE_THAN_CPUS;
		if (own->workers_max > WORKERS_MAX)
			own->workers_max = WORKERS_MAX;
	}
	if (own->workers_min > own->workers_max)
		own->workers_max = own->workers_min;
	if (own->queue_limit == 0)
		own->queue_limit = QUEUE_LIMIT;
	if (own->idle_duration == 0)
		own->idle_duration = IDLE_DURATION;
	if (own->idle_duration < 0) /* as none; futex(2) would refuse it */
		own->idle_duration = 0;
	if (own->queue_limit > LIMIT_MAX)
		return -EINVAL;
	return own->interrupt_signal != 0
	           ? eddy__catch_signal(own->interrupt_signal, NULL)
	           : 0;
}

/* Twice the limit, in memory that is touched when it is used. */
static int
make_lanes(struct pool *pool)
{
	uint32_t slots = 2;
	int i;

	while (slots < 2 * pool->options.queue_limit)
		slots *= 2;
	for (i = 0; i < LANES; i++) {
		pool->lanes[i].mask = slots - 1;
		pool->lanes[i].tag = (uint32_t)i << LANE_SHIFT;
		pool->lanes[i].slots = eddy__alloc(slots * sizeof(void *));
		if (pool->lanes[i].slots == NULL)
			return -ENOMEM;
	}
	return 0;
}

int
eddy_thread_pool_open(struct eddy_executor **ret_executor,
    const struct eddy_thread_pool_options *options)
{
	static const struct eddy_executor_ops ops = {"threads", submit, cancel,
	    close_pool, describe, drain, list_workers};
	struct pool *pool = eddy__alloc(sizeof(*pool));
	int r = pool != NULL ? set_options(pool, options) : -ENOMEM;
	const uint32_t *ours = NULL;

	if (r == 0)
		r = make_lanes(pool);
	if (r == 0)
		r = eddy__mark(&ours);
	if (r < 0) {
		if (pool != NULL)
			free_pool(pool);
		return r;
	}
	eddy_executor_init(&pool->executor, &ops);
	pool->executor.ours = ours;
	pool->executor.destroy = destroy;
	pool->cpu = -1;
	pthread_mutex_init(&pool->lock, NULL);
	eddy__cond_init(&pool->left);
	*ret_executor = &pool->executor;
	return 0;
}
