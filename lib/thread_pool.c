/* SPDX-License-Identifier: ISC */
/*
 * thread_pool: a bounded queue, one lock, workers on demand, work in batches.
 *
 * The jobs of a loop's turn come in one piece.  A worker takes several at once
 * into slots of its own, where a cancel or a worker without work may still take
 * them away: whoever empties a slot has the job.  A wake goes to one sleeper,
 * which wakes the next if jobs are left.  A worker counts as asleep before it
 * publishes its outcome, so a lone job costs one futex wait and one wake.  Each
 * worker that leaves joins the one that left before it; close joins the last.
 */
#include <eddy/thread_pool.h>

#include <errno.h>
#include <limits.h>
#include <time.h>

#include "executor_impl.h"
#include "sys.h"

enum {
	MORE_THAN_CPUS = 4, /* as CPython's executor */
	WORKERS_MAX = 32,
	BATCH = 32,  /* amortises the lock; more gains nothing */
	GRANT = 256, /* jobs that a turn may submit for one lock */
};
#define IDLE_DURATION EDDY_S(10)

struct worker {
	struct pool *pool;
	struct worker *next;           /* guarded by lock: pool->all */
	struct eddy_job *slots[BATCH]; /* any thread: XCHG or CAS to NULL */
	uint32_t left;                 /* any thread: slots not looked at yet */
	struct eddy_job *job;          /* any thread, never followed: runs */
	uint32_t taken;                /* slots that were filled */
	struct door *door;             /* held: of the last outcome */
	struct spin spin;
	bool crowded; /* no CPU to spare for waiting awake */
	uint64_t ended[EDDY_PROTOCOL + 1]; /* any thread: by outcome */
	pthread_t thread;
};

struct pool {
	struct eddy_executor executor;
	struct eddy_thread_pool_options options;
	const uint32_t *ours; /* 0 in a forked child */

	pthread_mutex_t lock; /* guards all that follows */
	pthread_cond_t left;  /* a worker has left, or a cork was drawn */
	uint32_t wakes;       /* futex: counts what sleepers must look at */
	uint32_t spinner;     /* any thread: 1 while one looks at wakes */
	int cpu;              /* any thread: where the last ringer ran */
	int64_t rung_at;      /* any thread: ns */
	unsigned asleep;      /* workers nobody counts on */
	unsigned claims;      /* workers that were woken and are on their way */
	unsigned starting;    /* workers that were added and are */
	unsigned queued;      /* in queue */
	unsigned granted;     /* to corks */
	struct eddy_ready queue;
	struct eddy_loop *corks; /* loops that hold jobs for us */
	struct worker *all;
	struct worker *gone; /* has left, is not joined yet */
	bool closing;
	bool abandoned; /* close gave up: who leaves last frees the pool */
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

/* With the lock: count on a sleeper, if no other is on its way, who would wake
 * the next.  True: the caller rings. */
static bool
claim_sleeper(struct pool *pool)
{
	if (pool->asleep == 0 || pool->claims != 0 || pool->queued == 0)
		return false;
	pool->asleep--;
	pool->claims++;
	A_STORE(&pool->cpu, eddy__cpu());
	A_ADD(&pool->wakes, 1);
	/* Pairs with the fence in watch(): it sees wakes, or we its end. */
	A_FENCE(&pool->spinner);
	if (A_LOAD(&pool->spinner) != 0)
		return false;
	A_STORE(&pool->rung_at, eddy_now());
	return true;
}

/* Without the lock, and perhaps without the pool: an address only. */
static void
ring(struct pool *pool, bool claimed)
{
	if (claimed)
		eddy__futex_wake(&pool->wakes, 1, false);
}

/* Workers. */

/* A job that has run; its outcome is published without the lock. */
struct over {
	struct eddy_job *job; /* NULL: none */
	enum eddy_outcome outcome;
	int result;
};

static void
add_stats(struct eddy_executor_stats *sum, const struct worker *worker)
{
	int outcome;

	for (outcome = EDDY_RETURNED; outcome <= EDDY_PROTOCOL; outcome++)
		eddy__stats_count(sum, (enum eddy_outcome)outcome,
		    A_LOAD(&worker->ended[outcome]));
}

static struct over
run(struct worker *worker, struct eddy_job *job)
{
	enum eddy_outcome stop;
	struct over over = {job, EDDY_RETURNED, 0};

	A_STORE(&worker->job, job);
	A_STORE(&job->state, JOB_RUNNING);
	eddy_executor_room(&worker->pool->executor, 1);
	stop = A_LOAD(&job->stop);
	if (stop != EDDY_NONE) {
		over.outcome = stop; /* before it was in the queue */
	} else if (job_expired(job)) {
		over.outcome = EDDY_EXPIRED;
	} else {
		eddy__job_enter(job);
		over.result = job->fn(job->arg);
		eddy__job_enter(NULL);
		if (over.result < LOWEST_RESULT)
			over.result = -EINVAL;
	}
	A_STORE(&worker->job, NULL);
	A_STORE(&worker->ended[over.outcome], worker->ended[over.outcome] + 1);
	return over;
}

/* The next job of one's own, unless somebody took it. */
static struct eddy_job *
next_slot(struct worker *worker)
{
	struct eddy_job *job = NULL;
	uint32_t left = A_LOAD(&worker->left);

	while (job == NULL && left != 0) {
		job = A_XCHG(&worker->slots[worker->taken - left], NULL);
		A_STORE(&worker->left, --left);
	}
	return job;
}

/* With the lock: fill the slots with a share of the queue. */
static void
take(struct pool *pool, struct worker *worker)
{
	unsigned i, n = pool->queued / (2 * pool->stats.workers);

	n = n < 1 ? 1 : n > BATCH ? BATCH : n;
	n = n > pool->queued ? pool->queued : n;
	for (i = 0; i < n; i++) {
		struct eddy_job *job = job_of(list_pop(&pool->queue));

		A_STORE(&job->state, JOB_HELD);
		A_STORE(&worker->slots[i], job);
	}
	pool->queued -= n;
	worker->taken = n;
	A_STORE(&worker->left, n);
}

/* With the lock: a job that another worker holds but has not begun. */
static struct eddy_job *
steal(struct pool *pool, struct worker *thief)
{
	struct worker *worker;
	unsigned i;

	for (worker = pool->all; worker != NULL; worker = worker->next) {
		if (worker == thief || A_LOAD(&worker->left) == 0)
			continue;
		for (i = BATCH; i-- > 0;) {
			struct eddy_job *job = A_LOAD(&worker->slots[i]);

			if (job != NULL && A_CAS(&worker->slots[i], &job, NULL))
				return job;
		}
	}
	return NULL;
}

/* With the lock, which it gives back: something to run; or NULL, and the caller
 * counts as asleep. */
static struct eddy_job *
find(struct pool *pool, struct worker *worker, uint32_t *ret_wakes)
{
	struct eddy_job *job = NULL;
	bool claimed;

	take(pool, worker);
	claimed = claim_sleeper(pool);
	job = next_slot(worker);
	if (job == NULL)
		job = steal(pool, worker);
	if (job == NULL) {
		pool->asleep++;
		/* The loop needs a CPU, and so does each that is awake. */
		worker->crowded = (int)(pool->stats.workers - pool->asleep) +
		                      1 >=
		                  worker->spin.cpus;
	}
	/* While closing a value that is past, so that nobody falls asleep. */
	*ret_wakes = A_LOAD(&pool->wakes) - pool->closing;
	pthread_mutex_unlock(&pool->lock);
	ring(pool, claimed);
	return job;
}

/* Look for a while, if no other does and there is a CPU for it. */
static void
watch(struct pool *pool, struct worker *worker, uint32_t wakes)
{
	if (worker->crowded || !spin_may(&worker->spin, A_LOAD(&pool->cpu)) ||
	    A_XCHG(&pool->spinner, 1) != 0)
		return;
	(void)SPIN(&worker->spin, A_LOAD(&pool->wakes) != wakes);
	A_STORE(&pool->spinner, 0);
	A_FENCE(&pool->wakes);
}

/* With the lock: awake.  True: somebody counted on one of us; which one does
 * not matter. */
static bool
arrive(struct pool *pool)
{
	bool claimed = pool->claims != 0;

	if (claimed)
		pool->claims--;
	else
		pool->asleep--;
	return claimed;
}

/* Sleep until somebody rings after the caller read wakes.  False: it is time to
 * leave.  Returns with the lock. */
static bool
rest(struct pool *pool, struct worker *worker, uint32_t wakes)
{
	bool in_vain;
	int r = 0;

	watch(pool, worker, wakes);
	if (A_LOAD(&pool->wakes) == wakes) {
		r = eddy__futex_wait(
		    &pool->wakes, wakes, pool->options.idle_duration, false);
		spin_slept(&worker->spin, A_LOAD(&pool->rung_at));
	}
	pthread_mutex_lock(&pool->lock);
	in_vain = !arrive(pool) && r == -ETIMEDOUT;
	return pool->queued != 0 ||
	       (!pool->closing && !(in_vain && pool->stats.workers >
						   pool->options.workers_min));
}

static void
publish(struct worker *worker, struct over *over)
{
	if (over->job != NULL)
		eddy__job_end_by(
		    &worker->door, over->job, over->outcome, over->result);
	over->job = NULL;
}

/* The lock is held, and given back with a job.  What is over is published once
 * this worker counts as asleep or has something to do. */
static struct eddy_job *
await_job(struct pool *pool, struct worker *worker, struct over *over)
{
	uint32_t wakes;
	struct eddy_job *job = find(pool, worker, &wakes);

	publish(worker, over);
	if (job == NULL && worker->door != NULL) {
		eddy__door_drop(worker->door);
		worker->door = NULL;
	}
	while (job == NULL && rest(pool, worker, wakes))
		job = find(pool, worker, &wakes);
	return job;
}

/* With the lock, which it gives back. */
static void
leave(struct pool *pool, struct worker *worker)
{
	struct worker **link, *before = pool->gone;
	bool abandoned = pool->abandoned, last;

	for (link = &pool->all; *link != worker; link = &(*link)->next)
		;
	*link = worker->next;
	add_stats(&pool->stats, worker);
	last = --pool->stats.workers == 0 && pool->corks == NULL;
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
	struct eddy_job *job;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	worker->thread = pthread_self();
	pthread_setname_np(worker->thread,
	    pool->options.name != NULL ? pool->options.name : "eddy");
	pthread_mutex_lock(&pool->lock);
	pool->starting--;
	while ((job = await_job(pool, worker, &over)) != NULL) {
		while (job != NULL) {
			publish(worker, &over);
			over = run(worker, job);
			job = next_slot(worker);
		}
		pthread_mutex_lock(&pool->lock);
	}
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
	spin_init(&worker->spin, pool->options.spin_duration);
	r = eddy__thread_create(
	    &thread, pool->options.stack_size, work, worker);
	if (r < 0) {
		eddy__free(worker);
		return r;
	}
	worker->next = pool->all;
	pool->all = worker;
	pool->stats.workers++;
	pool->starting++;
	return 0;
}

/* The table. */

static struct pool *
pool_of(struct eddy_executor *executor)
{
	return CONTAINER_OF(executor, struct pool, executor);
}

/* Workers that run something, and jobs that they hold but have not begun. */
static unsigned
running(struct pool *pool, unsigned *ret_held)
{
	struct worker *worker;
	unsigned i, n = 0;

	*ret_held = 0;
	for (worker = pool->all; worker != NULL; worker = worker->next) {
		n += A_LOAD(&worker->job) != NULL;
		for (i = 0; A_LOAD(&worker->left) != 0 && i < BATCH; i++)
			*ret_held += A_LOAD(&worker->slots[i]) != NULL;
	}
	return n;
}

/* With the lock: how many more jobs the queue may take. */
static unsigned
room(struct pool *pool)
{
	unsigned held, limit = pool->options.queue_limit;

	running(pool, &held);
	held += pool->queued + pool->granted;
	return held < limit ? limit - held : 0;
}

/* With the lock: enough workers for what is queued and more jobs. */
static int
grow(struct pool *pool, unsigned more)
{
	unsigned ready = pool->asleep + pool->claims + pool->starting;
	int r = 0;

	for (; r == 0 && ready < pool->queued + more &&
	       pool->stats.workers < pool->options.workers_max;
	     ready++)
		r = add_worker(pool);
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

static int
put(struct pool *pool, struct eddy_job *job)
{
	bool claimed = false;
	int r;

	pthread_mutex_lock(&pool->lock);
	r = admit(pool);
	if (r == 0) {
		A_STORE(&job->state, JOB_LISTED);
		list_push(&pool->queue, &job->ready);
		pool->queued++;
		pool->stats.submitted++;
		claimed = claim_sleeper(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	ring(pool, claimed);
	return r;
}

/* With the lock: the jobs of a cork to the queue, which keeps the pool alive. */
static void
draw(struct pool *pool, struct cork *cork)
{
	struct eddy_ready *ready;

	for (ready = cork->jobs.next; ready != &cork->jobs; ready = ready->next)
		A_STORE(&job_of(ready)->state, JOB_LISTED);
	list_splice(&pool->queue, &cork->jobs);
	pool->queued += cork->count;
	pool->stats.submitted += cork->count;
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
	pthread_cond_signal(&pool->left);
}

/* With the lock, which it gives back: end all that is queued. */
static void
fail_queue(struct pool *pool, enum eddy_outcome outcome, int result)
{
	struct eddy_ready all, *ready;
	struct eddy_job *job;

	list_init(&all);
	list_splice(&all, &pool->queue);
	pool->queued = 0;
	while ((job = steal(pool, NULL)) != NULL)
		list_push(&all, &job->ready);
	for (ready = all.next; ready != &all; ready = ready->next)
		eddy__stats_count(&pool->stats, outcome, 1);
	pthread_mutex_unlock(&pool->lock);
	while ((ready = list_pop(&all)) != NULL)
		eddy_job_end(job_of(ready), outcome, result);
}

/* The turn is over. */
static void
flush(struct eddy_loop *loop)
{
	struct pool *pool = pool_of(loop->cork.executor);
	unsigned unused = loop->cork.room - loop->cork.count;
	bool claimed, last;
	int r;

	if (A_LOAD(pool->ours) == 0) { /* forked by a callback */
		loop->cork.count = 0;
		return;
	}
	pthread_mutex_lock(&pool->lock);
	draw(pool, &loop->cork);
	r = grow(pool, 0);
	claimed = claim_sleeper(pool);
	if (pool->closing || r < 0) {
		fail_queue(pool, r < 0 ? EDDY_LOST : EDDY_CANCELLED, r);
		pthread_mutex_lock(&pool->lock);
	} else {
		pthread_mutex_unlock(&pool->lock);
		eddy_executor_room(&pool->executor, unused);
		pthread_mutex_lock(&pool->lock);
	}
	unlink_cork(pool, loop);
	last = pool->abandoned && pool->stats.workers == 0 &&
	       pool->corks == NULL;
	pthread_mutex_unlock(&pool->lock);
	ring(pool, claimed);
	if (last)
		destroy(pool);
}

/* Keep the jobs of a turn, or more of them.  -EAGAIN: room is short, or there is
 * nobody who would run them for certain. */
static int
grant(struct pool *pool, struct eddy_loop *loop)
{
	struct cork *cork = &loop->cork;
	int r = -EAGAIN;

	pthread_mutex_lock(&pool->lock);
	if (pool->closing) {
		r = -ESHUTDOWN;
	} else if (pool->stats.workers != 0 && room(pool) >= 2 * GRANT) {
		if (cork->count == 0) {
			cork->next = pool->corks;
			pool->corks = loop;
			cork->executor = &pool->executor;
			cork->flush = flush;
		}
		cork->room += GRANT;
		pool->granted += GRANT;
		r = 0;
	}
	pthread_mutex_unlock(&pool->lock);
	return r;
}

/* To the jobs of this turn.  -EAGAIN: not this one, it must be put itself. */
static int
cork(struct pool *pool, struct eddy_loop *loop, struct eddy_job *job)
{
	struct cork *cork = &loop->cork;
	int r = 0;

	if (cork->executor != &pool->executor)
		eddy__loop_flush(loop);
	if (cork->count == cork->room)
		r = grant(pool, loop);
	if (r < 0)
		return r;
	A_STORE(&job->state, JOB_CORKED);
	list_push(&cork->jobs, &job->ready);
	cork->count++;
	return 0;
}

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct pool *pool = pool_of(executor);
	struct door *door = job->door;
	int r;

	if (A_LOAD(pool->ours) == 0)
		return -ECHILD; /* its threads are not here */
	/* A flush takes other executors' locks, so not with one held. */
	if (door == NULL || (job->flags & JOB_WAITED) != 0 ||
	    !eddy__loop_inside(door->loop) || !door->loop->dispatching)
		return put(pool, job);
	r = cork(pool, door->loop, job);
	if (r != -EAGAIN)
		return r;
	eddy__loop_flush(door->loop); /* those came first */
	return put(pool, job);
}

/* With the lock: out of the queue, or of a worker's slots. */
static bool
unqueue(struct pool *pool, struct eddy_job *job)
{
	struct worker *worker;
	unsigned i;

	if (A_LOAD(&job->state) == JOB_LISTED) {
		list_remove(&job->ready);
		pool->queued--;
		return true;
	}
	for (worker = pool->all; worker != NULL; worker = worker->next)
		for (i = 0; i < BATCH; i++) {
			struct eddy_job *here = job;

			if (A_LOAD(&worker->slots[i]) == job &&
			    A_CAS(&worker->slots[i], &here, NULL))
				return true;
		}
	return false;
}

/* A job that runs, is corked or is just being submitted has stop set, which its
 * worker sees. */
static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	struct pool *pool = pool_of(executor);
	struct door *door = job->door;
	uint32_t state;
	bool ours;

	pthread_mutex_lock(&pool->lock);
	/* While it is corked and we have the lock, its loop is there. */
	if (A_LOAD(&job->state) == JOB_CORKED &&
	    eddy__loop_inside(door->loop)) {
		pthread_mutex_unlock(&pool->lock);
		flush(door->loop);
		pthread_mutex_lock(&pool->lock);
	}
	state = A_LOAD(&job->state);
	ours = (state == JOB_LISTED || state == JOB_HELD) && unqueue(pool, job);
	if (ours)
		eddy__stats_count(&pool->stats, outcome, 1);
	pthread_mutex_unlock(&pool->lock);
	if (ours) {
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

/* With the lock: wait until all workers have left and all corks are drawn.  Only
 * jobs and turns are late: workers that have none leave at once. */
static int
wait_for_leave(struct pool *pool, int64_t duration)
{
	int64_t deadline = eddy_after(duration);
	struct timespec until = timespec_of(deadline);
	unsigned held;
	int r = 0;

	while (pool->stats.workers != 0 || pool->corks != NULL) {
		bool late = running(pool, &held) != 0 || pool->corks != NULL;

		if (late && r == ETIMEDOUT)
			return -ETIME;
		if (!late || deadline == EDDY_FOREVER)
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
	struct eddy_loop *loop, *next;
	struct worker *gone;
	int r;

	if (A_LOAD(pool->ours) == 0) {
		eddy__unmap(pool->ours, sizeof(*pool->ours));
		eddy__free(pool); /* its lock may be held by nobody */
		return 0;
	}
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	for (loop = pool->corks; loop != NULL; loop = next) {
		next = loop->cork.next;
		if (eddy__loop_mine(loop) == 0) {
			draw(pool, &loop->cork);
			unlink_cork(pool, loop); /* or we wait for ourselves */
		}
	}
	A_ADD(&pool->wakes, 1);
	fail_queue(pool, EDDY_CANCELLED, 0);
	eddy__futex_wake(&pool->wakes, INT_MAX, false);
	pthread_mutex_lock(&pool->lock);
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
	struct worker *worker;
	unsigned held;

	pthread_mutex_lock(&pool->lock);
	*ret_stats = pool->stats;
	for (worker = pool->all; worker != NULL; worker = worker->next)
		add_stats(ret_stats, worker);
	ret_stats->running = running(pool, &held);
	ret_stats->queued = pool->queued + held;
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
	pool->cpu = -1;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->left, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*ret_executor = &pool->executor;
	return 0;
}
