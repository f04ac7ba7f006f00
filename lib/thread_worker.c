/* SPDX-License-Identifier: ISC */
/*
 * thread_worker: the threads of a pool: find, run, publish, rest.
 *
 * A worker counts as asleep before it publishes its outcome, so a lone job
 * costs one futex wait and one wake.  A wake goes to one sleeper, which wakes
 * the next if that pays: jobs are left, and they take longer than a wake, or
 * the loop that brought them sleeps.  Each worker that leaves joins the one
 * that left before it; close joins the last.
 */
#include "thread_pool_impl.h"

#include <errno.h>
#include <stdio.h>

enum {
	BATCH = 32,     /* amortises the lock; more gains nothing */
	AHEAD = 1,      /* slots whose jobs come from another CPU's cache */
	LONE = 64,      /* jobs in a row; a move costs some 10 us */
	PAIRED = 4,     /* looks in a row, one in UNTIMED batches */
	UNTIMED = 16,   /* batches for one whose time is taken */
	ELSEWHERE = -1, /* of outlet.cpu: it is about to move */
};
#define WAKE_TIME EDDY_US(20) /* what a wake costs: less work is not shared */
#define TICK      EDDY_MS(1)  /* between signals to a job that must stop */

/* Waking. */

/* Count on a sleeper, if no other is on its way, who would wake the next. */
bool
eddy__pool_claim_sleeper(struct pool *pool)
{
	int64_t each = A_LOAD(&pool->job_time);
	uint32_t jobs = unclaimed(pool);
	bool spins = pool->options.spin_duration >= 0;

	if (pool->asleep == 0 || pool->claims != 0 || jobs == 0)
		return false;
	if (!pool->eager && pool->asleep != pool->stats.workers && each != 0 &&
	    jobs * each < WAKE_TIME)
		return false;
	pool->asleep--;
	pool->claims++;
	if (spins)
		A_STORE(&pool->cpu, eddy__cpu());
	A_ADD(&pool->wakes, 1);
	/* Pairs with the fence in watch(): it sees wakes, or we its end. */
	A_FENCE_BEHIND(&pool->spinner);
	if (A_LOAD(&pool->spinner) != 0)
		return false;
	if (spins)
		A_STORE(&pool->rung_at, eddy_now());
	return true;
}

/* Running. */

uint64_t
eddy__worker_ended(const struct worker *worker)
{
	uint64_t n = 0;
	int outcome;

	for (outcome = EDDY_RETURNED; outcome <= EDDY_PROTOCOL; outcome++)
		n += A_LOAD(&worker->ended[outcome]);
	return n;
}

void
eddy__worker_add_stats(
    struct eddy_executor_stats *sum, const struct worker *worker)
{
	int outcome;

	for (outcome = EDDY_RETURNED; outcome <= EDDY_PROTOCOL; outcome++)
		eddy__stats_count(sum, (enum eddy_outcome)outcome,
		    A_LOAD(&worker->ended[outcome]));
}

static void
tick(void *arg)
{
	struct worker *worker = arg;

	eddy__ticker_set(worker->ticker, TICK);
}

/* One that is asked to stop, has a deadline, can be interrupted, or is noted:
 * so that others need no registers for that. */
__attribute__((noinline)) static enum eddy_outcome
run_specially(struct worker *worker, struct eddy_job *job, int *ret_result)
{
	bool ticks = (job_flags(job) & EDDY_JOB_INTERRUPT) != 0 &&
	             worker->ticker >= 0;
	bool noted = job_noted(job, job_flags(job));
	enum eddy_outcome outcome = EDDY_RETURNED;

	if (noted)
		eddy__job_note(job, JOB_BEGUN);
	if (A_LOAD(&job->stop) != EDDY_NONE ||
	    (ticks && eddy__job_interrupt(tick, worker) < 0))
		outcome = A_LOAD(&job->stop);
	else if (job_expired(job))
		outcome = EDDY_EXPIRED;
	else
		*ret_result = job->fn(job->arg);
	if (noted)
		eddy__job_note(job, JOB_OVER);
	if (ticks) { /* a signal on its way comes now, not in the next job */
		eddy__inside_leave(worker->inside);
		eddy__ticker_set(worker->ticker, 0);
	}
	return outcome;
}

/* Its outcome is published later. */
static inline void
run(struct worker *worker, struct eddy_job *job, unsigned flags)
{
	enum eddy_outcome outcome = EDDY_RETURNED;
	uint64_t *ended;
	int result = 0;

	A_STORE(&worker->stamp, job_kept_stamp(job));
	A_STORE(&worker->name, job_name(job));
	A_STORE(&job->state, JOB_RUNNING);
	if (executor_waited(&worker->pool->executor))
		eddy_executor_room(&worker->pool->executor, 1);
	worker->inside->job = job;
	if ((flags & EDDY_JOB_INTERRUPT) == 0 && !job_noted(job, flags) &&
	    A_LOAD(&job->stop) == EDDY_NONE && job->deadline == 0)
		result = job->fn(job->arg);
	else
		outcome = run_specially(worker, job, &result);
	if (result < LOWEST_RESULT)
		result = -EINVAL;
	eddy__inside_leave(worker->inside);
	job_settle(job, outcome, result);
	A_STORE(&worker->name, NULL);
	ended = &worker->ended[outcome];
	A_STORE(ended, *ended + 1);
}

/* The loop must know at once, or once rouse was called. */
static inline void
publish(struct worker *worker, struct eddy_job *job, unsigned flags, bool more)
{
	struct outlet *outlet = &worker->outlet;
	struct door *door = job->door;
	struct outbox *box;

	if ((flags & (JOB_HANDED | JOB_OWNED)) != 0 || door == NULL) {
		eddy__job_publish(outlet, job);
		return;
	}
	if (door != outlet->door)
		eddy__outlet_move(outlet, door);
	box = outlet->box;
	if (box == NULL && (more || A_LOAD(&door->boxes) != NULL))
		box = outlet->box = eddy__door_box(door);
	if (A_LOAD(&door->cpu) != outlet->cpu)
		A_STORE(&door->cpu, outlet->cpu);
	A_RELEASE(&job->state, JOB_DONE); /* pairs with prepare's acquire */
	if (box == NULL || !outbox_put(box, &job->ready))
		eddy__door_send(door, &job->ready);
}

/* behind: a read-modify-write.  Pairs with door_park: it sees what was put, or
 * we that it is asleep. */
static inline void
rouse(struct worker *worker, bool behind)
{
	struct door *door = worker->outlet.door;

	if (worker->outlet.box == NULL)
		return;
	if (behind)
		A_FENCE_BEHIND(&door->stack);
	else
		A_FENCE(&door->stack);
	if (door_rouse(door))
		eddy__door_ring(door);
}

/* Finding. */

/* With the lock, or before a job leaves its slot: or close would miss it. */
static void
count_begun(struct worker *worker, uint64_t n)
{
	A_STORE(&worker->begun, worker->begun + n);
}

/* The next job of what is left of its claim, of slots; NULL: all were taken. */
static inline struct eddy_job *
next_slot(struct worker *worker)
{
	const struct lane *lane = worker->lane;
	uint32_t from = A_LOAD(&worker->from), end = A_LOAD(&worker->end);
	struct eddy_job *job;

	count_begun(worker, 1);
	do {
		job = A_XCHG(lane_slot(lane, from), NULL);
		A_STORE(&worker->from, ++from);
	} while (job == NULL && from != end);
	list_prefetch((void *)A_LOAD(lane_slot(lane, from + AHEAD)));
	if (job == NULL)
		count_begun(worker, UINT64_MAX);
	return job;
}

/* With the lock: claim a share of the queue. */
static void
claim(struct pool *pool, struct worker *worker)
{
	struct lane *normal = &pool->lanes[NORMAL];
	struct lane *urgent = &pool->lanes[URGENT];
	bool others = normal->head != normal->tail;
	bool hurry = urgent->head != urgent->tail;
	uint32_t n = unclaimed(pool) / (2 * pool->stats.workers);

	n = n < 1 ? 1 : n > BATCH ? BATCH : n;
	worker->lane = normal;
	if (hurry && others)
		n = 1;
	if (hurry && !(others && pool->in_row >= URGENT_IN_ROW)) {
		worker->lane = urgent;
		n = n > URGENT_IN_ROW ? URGENT_IN_ROW : n;
		pool->in_row += n;
	} else {
		pool->in_row = 0;
	}
	A_STORE(&worker->from, worker->lane->head);
	A_STORE(&worker->end, worker->lane->head += n);
	eddy__pool_set_urgent(pool);
	if (unclaimed(pool) == 0)
		pool->eager = false;
}

struct eddy_job *
eddy__pool_steal(struct pool *pool, const struct worker *thief)
{
	struct eddy_job *job = NULL;
	struct worker *worker;

	for (worker = pool->all; worker != NULL && job == NULL;
	     worker = worker->next) {
		uint32_t i = worker->end;

		while (worker != thief && job == NULL &&
		       (int32_t)(i - A_LOAD(&worker->from)) > 0)
			job = lane_take(lane_slot(worker->lane, --i));
	}
	return job;
}

/* Between the jobs of a batch: one that goes before them. */
static struct eddy_job *
find_urgent(struct pool *pool, struct worker *worker)
{
	struct lane *urgent = &pool->lanes[URGENT];
	struct eddy_job *job = NULL;

	if (A_LOAD(&pool->urgent) == 0 || worker->lane == urgent ||
	    A_LOAD(&worker->from) == A_LOAD(&worker->end))
		return NULL;
	eddy__lock(&pool->lock);
	while (job == NULL && pool->in_row < URGENT_IN_ROW &&
	       urgent->head != urgent->tail)
		job = lane_take(lane_slot(urgent, urgent->head++));
	pool->in_row = job != NULL ? pool->in_row + 1 : 0;
	count_begun(worker, job != NULL);
	eddy__pool_set_urgent(pool);
	pthread_mutex_unlock(&pool->lock);
	return job;
}

/* With the lock: does another run where this one does, though each could have a
 * CPU?  Where a loop has the other, and sleeps for moments only, the scheduler
 * leaves it so.  Of two the one that is listed first moves. */
static bool
shares_cpu(const struct pool *pool, const struct worker *worker)
{
	const struct worker *other = worker->next;

	while (other != NULL &&
	       (A_LOAD(&other->outlet.cpu) != worker->outlet.cpu ||
		   A_LOAD(&other->from) == other->end))
		other = other->next;
	return other != NULL && pool->options.cpus == NULL &&
	       (int)pool->stats.workers <= worker->spin.cpus;
}

/* Gives the lock back.  Something to run; NULL: the caller counts as asleep. */
static struct eddy_job *
find(struct pool *pool, struct worker *worker, uint32_t *ret_wakes)
{
	struct eddy_job *job = NULL;
	bool claimed;

	while (job == NULL && unclaimed(pool) != 0) {
		claim(pool, worker);
		job = next_slot(worker);
	}
	if (worker->untimed % UNTIMED == 0)
		worker->paired = shares_cpu(pool, worker) ? worker->paired + 1
		                                          : 0;
	claimed = eddy__pool_claim_sleeper(pool);
	if (job == NULL) {
		job = eddy__pool_steal(pool, worker);
		count_begun(worker, job != NULL);
	}
	if (job == NULL) {
		pool->asleep++;
		/* The loop needs a CPU, and so does each that is awake. */
		worker->crowded = (int)(pool->stats.workers - pool->asleep) +
		                      1 >=
		                  worker->spin.cpus;
		worker->spare = pool->stats.workers > pool->options.workers_min;
	}
	/* While closing a value that is past, so that nobody falls asleep. */
	*ret_wakes = A_LOAD(&pool->wakes) - pool->closing;
	pthread_mutex_unlock(&pool->lock);
	pool_ring(pool, claimed);
	return job;
}

/* Resting. */

/* One job after another that we could wait for awake, but for the scheduler,
 * which has put us behind who brings them and leaves us there: move off.  With
 * more jobs about it knows better.  The loop hears of it before we go: asleep
 * when we come back to it, it would be pulled along. */
static bool
must_move(struct pool *pool, struct worker *worker)
{
	bool lone = worker->begun - worker->rested == 1;

	worker->rested = worker->begun;
	worker->lone = lone ? worker->lone + 1 : 0;
	if (worker->lone < LONE || worker->crowded || worker->spin.score == 0 ||
	    A_LOAD(&pool->cpu) != worker->outlet.cpu)
		return false;
	worker->lone = 0;
	return true;
}

/* Look for a while, if no other does and there is a CPU for it. */
static void
watch(struct pool *pool, struct worker *worker, uint32_t wakes)
{
	if (worker->crowded || worker->spin.duration == 0)
		return;
	if (worker->outlet.cpu == ELSEWHERE) {
		eddy__leave_cpu(eddy__cpu());
		A_STORE(&worker->outlet.cpu, eddy__cpu());
	}
	if (!spin_may(&worker->spin, A_LOAD(&pool->cpu)) ||
	    A_XCHG(&pool->spinner, 1) != 0)
		return;
	(void)SPIN(&worker->spin, A_LOAD(&pool->wakes) != wakes);
	A_STORE(&pool->spinner, 0);
	A_FENCE(&pool->wakes);
}

/* Sleep until somebody rings after the caller read wakes.  False: it is time to
 * leave.  Returns with the lock. */
static bool
rest(struct pool *pool, struct worker *worker, uint32_t wakes)
{
	bool claimed;
	int r = 0;

	watch(pool, worker, wakes);
	if (A_LOAD(&pool->wakes) == wakes) {
		r = eddy__futex_wait(&pool->wakes, wakes,
		    worker->spare ? pool->options.idle_duration : EDDY_FOREVER,
		    false);
		spin_slept(&worker->spin, A_LOAD(&pool->rung_at));
	}
	eddy__lock(&pool->lock);
	claimed = pool->claims != 0; /* one of us: it does not matter which */
	if (claimed)
		pool->claims--;
	else
		pool->asleep--;
	return unclaimed(pool) != 0 ||
	       (!pool->closing &&
		   (claimed || r != -ETIMEDOUT ||
		       pool->stats.workers <= pool->options.workers_min));
}

/* The lock is held, and given back with a job.  What is over is published once
 * this worker counts as asleep or has something to do. */
static struct eddy_job *
await_job(struct pool *pool, struct worker *worker, struct eddy_job *over)
{
	uint32_t wakes;
	struct eddy_job *job = find(pool, worker, &wakes);

	if (job == NULL && must_move(pool, worker))
		A_STORE(&worker->outlet.cpu, ELSEWHERE);
	if (over != NULL) {
		publish(worker, over, job_flags(over), false);
		rouse(worker, false);
	}
	if (job == NULL)
		eddy__outlet_move(&worker->outlet, NULL);
	while (job == NULL && rest(pool, worker, wakes))
		job = find(pool, worker, &wakes);
	return job;
}

/* job and those claimed with it.  The last, over but unpublished; or NULL. */
static struct eddy_job *
run_batch(struct pool *pool, struct worker *worker, struct eddy_job *job)
{
	uint32_t n = A_LOAD(&worker->end) - A_LOAD(&worker->from) + 1;
	bool timed = ++worker->untimed % UNTIMED == 0;
	int64_t began = timed ? eddy_now() : 0, each;

	if (worker->paired >= PAIRED) {
		worker->paired = 0;
		eddy__leave_cpu(worker->outlet.cpu);
	}
	A_STORE(&worker->outlet.cpu, eddy__cpu());
	while (job != NULL) {
		unsigned flags = job_flags(job);

		run(worker, job, flags);
		if (worker->from == worker->end)
			break;
		publish(worker, job, flags, true);
		job = find_urgent(pool, worker);
		if (job == NULL)
			job = next_slot(worker);
		rouse(worker, job != NULL);
	}
	if (timed) {
		each = (eddy_now() - began) / n;
		A_STORE(&pool->job_time,
		    (3 * A_LOAD(&pool->job_time) + each) / 4 + 1);
	}
	return job;
}

/* Coming and going. */

void
eddy__worker_join(struct worker *worker)
{
	if (worker == NULL)
		return;
	pthread_join(worker->thread, NULL);
	eddy__free(worker);
}

/* With the lock, which it gives back.  r: why it cannot stay, or 0. */
static void
leave(struct pool *pool, struct worker *worker, int r)
{
	void (*worker_close)(void *) = pool->options.worker_close;
	struct worker **link, *before;
	bool abandoned, last;

	for (link = &pool->all; *link != worker; link = &(*link)->next)
		;
	*link = worker->next;
	eddy__worker_add_stats(&pool->stats, worker);
	pool->taken += worker->begun;
	pool->stats.workers--;
	pool->leaving++;
	if (r < 0 && pool->stats.workers == 0 && unclaimed(pool) != 0) {
		/* Or those who wait would for ever. */
		eddy__pool_fail_queue(pool, EDDY_LOST, r);
		eddy_executor_room(&pool->executor, UINT32_MAX);
	} else {
		pthread_mutex_unlock(&pool->lock);
	}
	if (r == 0 && worker_close != NULL)
		worker_close(worker->state);
	eddy__lock(&pool->lock);
	pool->leaving--;
	before = pool->gone;
	abandoned = pool->abandoned;
	pool->gone = abandoned ? NULL : worker;
	last = deserted(pool);
	pthread_cond_signal(&pool->left);
	pthread_mutex_unlock(&pool->lock);
	if (worker->ticker >= 0)
		eddy__ticker_close(worker->ticker);
	eddy__worker_join(before);
	if (!abandoned)
		return;
	pthread_detach(pthread_self());
	eddy__free(worker);
	if (last)
		eddy__executor_drop(&pool->executor);
}

/* In its thread: what the options want of it. */
static int
start(struct worker *worker)
{
	const struct eddy_thread_pool_options *options = &worker->pool->options;
	char name[16]; /* what the kernel keeps */
	int r = 0;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	worker->thread = pthread_self();
	A_STORE(&worker->tid, eddy__gettid());
	snprintf(name, sizeof(name), "%.10s-%u",
	    options->name != NULL ? options->name : "eddy",
	    worker->number % 10000);
	pthread_setname_np(worker->thread, name);
	if (options->cpus != NULL)
		r = eddy__set_affinity(options->cpus, options->cpus_size);
	if (r == 0 && options->interrupt_signal != 0)
		r = eddy__ticker_open(
		    &worker->ticker, options->interrupt_signal);
	if (r == 0 && options->worker_open != NULL)
		r = options->worker_open(options->init, &worker->state);
	if (r < LOWEST_RESULT)
		r = -EINVAL;
	worker->inside = eddy__worker_enter(worker->state);
	return r < 0 ? r : 0;
}

static void *
work(void *arg)
{
	struct worker *worker = arg;
	struct pool *pool = worker->pool;
	struct eddy_job *job = NULL;
	int r = start(worker);

	eddy__lock(&pool->lock);
	pool->starting--;
	while (r == 0 && (job = await_job(pool, worker, job)) != NULL) {
		job = run_batch(pool, worker, job);
		eddy__lock(&pool->lock);
	}
	leave(pool, worker, r);
	return NULL;
}

int
eddy__pool_add_worker(struct pool *pool)
{
	struct worker *worker = eddy__alloc(sizeof(*worker));
	pthread_t thread;
	int r;

	if (worker == NULL)
		return -ENOMEM;
	worker->pool = pool;
	worker->ticker = -1;
	worker->number = ++pool->numbers;
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
