/* SPDX-License-Identifier: ISC */
/*
 * process_pool: the host's side of the workers.
 *
 * A job is in the inbox, in the queue, in one slot of one worker, or over.  The
 * table of slots is the host's own; a channel only tells what became of them.
 * Worker: NONE -> SPAWNING -> BOOT -> LIVE -> DYING (we killed it, why says for
 * what) -> NONE when the zygote reports its death.  Only then are its jobs
 * settled: DONE is delivered, RUNNING has failed, QUEUED goes back in front.
 */
#include <eddy/process_pool.h>

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <eddy/post.h>
#include <eddy/timer.h>
#include <eddy/watch.h>

#include "executor_impl.h"
#include "loop_impl.h"
#include "process_channel.h"
#include "sys.h"

enum {
	DEPTH = 2,            /* hides the hand-over; more helps only no-ops */
	SLOT_SIZE = 64 << 10, /* fits most requests; touched pages only */
	ATTEMPTS = 3,         /* workers that die before they start a job */
	FAILURES = 8,         /* boots in a row until waiting jobs are lost */
	IDLE_RINGS = 1000,    /* bells without progress: a broken worker */
	SPAWN_AHEAD = 64,     /* orders that the zygote's socket must hold */
};
#define BACK_OFF_FIRST EDDY_MS(10)
#define BACK_OFF_LAST  EDDY_S(1)
#define DEATH_DURATION EDDY_S(5) /* for SIGKILL to work */

enum worker_state { NONE, SPAWNING, BOOT, LIVE, DYING };

struct worker {
	struct eddy_watch bell;
	struct pool *pool;
	enum worker_state state;
	enum eddy_outcome why; /* of what it runs; EDDY_NONE: as it dies */
	uint64_t generation;
	pid_t pid;
	int pidfd; /* -1: none yet */
	struct channel *channel;
	struct eddy_job *jobs[DEPTH_MAX]; /* by slot; NULL: taken back */
	uint32_t tail, head; /* what the channel says is checked by these */
	uint32_t reports[DEPTH_MAX]; /* by slot: progress that was told */
	unsigned idle_rings;
};

struct pool {
	struct eddy_executor executor;
	struct eddy_process_pool_options options;
	struct eddy_loop *home;
	pid_t pid;
	size_t channel_size;

	/* Any thread. */
	pthread_mutex_t lock; /* guards inbox, changes of closing, draining */
	struct eddy_ready inbox; /* submitted in another thread */
	struct eddy_post knock;  /* look at inbox, and at jobs to stop */
	uint32_t queued;         /* inbox and queue */
	bool closing;
	uint32_t draining;

	/* Home thread. */
	struct eddy_zygote *zygote;
	int link; /* -1: the zygote is lost */
	struct eddy_watch link_watch;
	struct eddy_timer timer; /* the next deadline or retry */
	struct eddy_ready queue;
	struct eddy_job *last_urgent; /* in queue, where they go first */
	unsigned in_row;              /* urgent ones since another */
	struct worker *workers;
	uint64_t generation;
	unsigned spawning; /* orders that the zygote has not answered */
	unsigned failures; /* boots in a row */
	int64_t retry_at;
	bool inside; /* in the middle of something: no dispatch now */
	bool more;   /* jobs came meanwhile */
	struct eddy_executor_stats stats;
};

static void on_bell(struct eddy_loop *, struct eddy_watch *, uint32_t);

static struct pool *
pool_of(struct eddy_executor *executor)
{
	return CONTAINER_OF(executor, struct pool, executor);
}

#define EACH_WORKER(worker, pool)                             \
	(worker) = (pool)->workers;                           \
	(worker) < (pool)->workers + (pool)->options.workers; \
	(worker)++

static void
end_job(struct pool *pool, struct eddy_job *job, enum eddy_outcome outcome,
    int result)
{
	eddy__stats_count(&pool->stats, outcome, 1);
	eddy__job_end_on(pool->home, job, outcome, result);
	if (pool->stats.running == 0 && list_empty(&pool->queue))
		eddy_timer_stop(pool->home, &pool->timer);
}

/* Among the urgent ones, which come first, or the others: last, or first. */
static void
enqueue(struct pool *pool, struct eddy_job *job, bool first)
{
	struct eddy_job *last = pool->last_urgent;
	bool urgent = (job_flags(job) & EDDY_JOB_URGENT) != 0;

	if (urgent && (last == NULL || !first))
		pool->last_urgent = job;
	if (!urgent && !first)
		list_push(&pool->queue, &job->ready);
	else if (last == NULL || (urgent && first))
		list_push_front(&pool->queue, &job->ready);
	else
		list_push_front(&last->ready, &job->ready);
}

/* Out of the queue, for a slot or an end. */
static void
unqueue(struct pool *pool, struct eddy_job *job)
{
	struct eddy_ready *before = job->ready.prev;

	if (job == pool->last_urgent)
		pool->last_urgent = before != &pool->queue ? job_of(before)
		                                           : NULL;
	list_remove(&job->ready);
	A_SUB(&pool->queued, 1);
}

static void
fail_queue(struct pool *pool, enum eddy_outcome outcome, int result)
{
	while (!list_empty(&pool->queue)) {
		struct eddy_job *job = job_of(pool->queue.next);

		unqueue(pool, job);
		end_job(pool, job, outcome, result);
	}
}

/* Was it asked to stop, or is it past its deadline? */
static enum eddy_outcome
must_stop(const struct eddy_job *job)
{
	enum eddy_outcome why = A_LOAD(&job->stop);

	return why == EDDY_NONE && job_expired(job) ? EDDY_EXPIRED : why;
}

/* -ENOMEM only when the timer is not started. */
static int
wake_at(struct pool *pool, int64_t when)
{
	if (when == 0 || when == EDDY_FOREVER ||
	    (eddy_timer_active(&pool->timer) &&
		pool->timer.alarm.deadline <= when))
		return 0;
	return eddy__alarm_start(
	    pool->home, &pool->timer.alarm, when, REAL_TIME);
}

/* Workers come and go. */

static void
clear(struct pool *pool, struct worker *worker)
{
	*worker = (struct worker){.pool = pool, .pidfd = -1, .bell.fd = -1};
}

static void
release(struct pool *pool, struct worker *worker)
{
	eddy_watch_stop(pool->home, &worker->bell);
	if (worker->bell.fd >= 0)
		eddy__close(worker->bell.fd);
	if (worker->pidfd >= 0)
		eddy__close(worker->pidfd);
	if (worker->channel != NULL)
		eddy__unmap(worker->channel, pool->channel_size);
	pool->stats.workers -= worker->pid != 0;
	clear(pool, worker);
}

/* A worker could not be had: later, less often; at last say so to who waits. */
static void
back_off(struct pool *pool, int error)
{
	int64_t delay = BACK_OFF_FIRST << pool->failures;
	struct worker *worker;

	pool->retry_at = eddy_after(
	    delay < BACK_OFF_LAST ? delay : BACK_OFF_LAST);
	if (++pool->failures < FAILURES)
		return;
	pool->failures = 0;
	for (EACH_WORKER(worker, pool))
		if (worker->state == LIVE)
			return;
	fail_queue(pool, EDDY_LOST, error);
}

/* The memory of a new worker: a descriptor that the caller closes. */
static int
make_channel(struct pool *pool, struct worker *worker)
{
	const struct eddy_process_pool_options *options = &pool->options;
	int memfd = eddy__memfd("eddy-channel", pool->channel_size);
	void *memory = NULL;
	int r = memfd < 0 ? memfd
	                  : eddy__map(&memory, memfd, pool->channel_size);

	if (r < 0) {
		if (memfd >= 0)
			eddy__close(memfd);
		return r;
	}
	worker->channel = memory;
	worker->channel->depth = options->depth;
	worker->channel->slot_size = options->slot_size;
	worker->channel->open = (uintptr_t)options->worker_open;
	worker->channel->close = (uintptr_t)options->worker_close;
	worker->channel->has_init = options->init_size != 0;
	if (options->init_size != 0)
		memcpy(channel_area(worker->channel, 0, 0), options->init,
		    options->init_size);
	return memfd;
}

static void
spawn(struct pool *pool, struct worker *worker)
{
	struct zygote_message order = {.op = Z_SPAWN,
	    .index = (uint32_t)(worker - pool->workers),
	    .generation = ++pool->generation,
	    .size = pool->channel_size};
	int fds[2] = {make_channel(pool, worker), eddy__eventfd()};
	int r = fds[0] < 0 ? fds[0] : fds[1];

	eddy_watch_init(&worker->bell, fds[1], on_bell, EDDY_WATCH_BACKGROUND);
	/* Edge-triggered and never read, as the loop's own. */
	if (r >= 0)
		r = eddy_watch_start(
		    pool->home, &worker->bell, EPOLLIN | EPOLLET);
	if (r >= 0)
		r = eddy__send(pool->link, &order, sizeof(order), fds, 2);
	if (fds[0] >= 0)
		eddy__close(fds[0]);
	worker->state = SPAWNING;
	worker->generation = pool->generation;
	pool->spawning += r >= 0;
	if (r < 0) {
		release(pool, worker);
		back_off(pool, r);
	}
}

/* Replace who is gone; after a failure only for jobs that wait. */
static void
refill(struct pool *pool)
{
	bool jobs_wait = !list_empty(&pool->queue);
	struct worker *worker;

	if (pool->closing || pool->link < 0 ||
	    (pool->failures != 0 && !jobs_wait))
		return;
	if (pool->retry_at <= eddy_now())
		pool->retry_at = 0;
	for (EACH_WORKER(worker, pool))
		if (worker->state == NONE && pool->retry_at == 0 &&
		    pool->spawning < SPAWN_AHEAD)
			spawn(pool, worker);
	if (!list_empty(&pool->queue) && wake_at(pool, pool->retry_at) < 0)
		fail_queue(pool, EDDY_LOST, -ENOMEM);
}

static void
kill_worker(struct worker *worker, enum eddy_outcome why)
{
	if (worker->state == DYING)
		return;
	worker->why = why;
	worker->state = DYING;
	if (worker->pidfd >= 0)
		eddy__pidfd_kill(worker->pidfd, SIGKILL);
}

/* After a change of tail or quit: wake it if it sleeps or is about to. */
static void
wake(struct channel *channel)
{
	A_ADD(&channel->wakes, 1);
	/* Pairs with the fence in wait_for_tail. */
	A_FENCE(&channel->asleep);
	if (A_LOAD(&channel->asleep) != 0)
		eddy__futex_wake(&channel->wakes, 1, true);
}

static void
quit(struct worker *worker)
{
	A_RELEASE(&worker->channel->quit, 1);
	wake(worker->channel);
}

static void
check_boot(struct pool *pool, struct worker *worker)
{
	if (worker->state == BOOT && A_ACQUIRE(&worker->channel->ready) != 0) {
		worker->state = LIVE;
		pool->failures = 0;
	}
}

/* Jobs come and go. */

static void
put(struct pool *pool, struct worker *worker, struct eddy_job *job)
{
	uint32_t i = worker->tail % pool->options.depth;
	struct channel *channel = worker->channel;

	if (job->size != 0)
		memcpy(channel_area(channel, i, pool->options.slot_size),
		    job->arg, job->size);
	channel->slots[i].fn = (uintptr_t)job->fn;
	channel->slots[i].reports = (job_flags(job) & EDDY_JOB_LONG) != 0 &&
	                            job->door != NULL;
	A_STORE(&channel->slots[i].report.count, 0);
	worker->reports[i] = 0;
	A_STORE(&job->state, JOB_RUNNING);
	worker->jobs[i] = job;
	pool->stats.running++;
	A_RELEASE(&channel->slots[i].state, SLOT_QUEUED);
	A_RELEASE(&channel->tail, ++worker->tail);
	wake(channel);
}

static void
clear_slot(struct pool *pool, struct worker *worker, uint32_t i)
{
	worker->jobs[i] = NULL;
	pool->stats.running--;
}

/* Get a job back that its worker has not started. */
static bool
reclaim(struct pool *pool, struct worker *worker, uint32_t i)
{
	uint32_t queued = SLOT_QUEUED;

	if (!A_CAS(&worker->channel->slots[i].state, &queued, SLOT_TAKEN))
		return false;
	clear_slot(pool, worker, i);
	return true;
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
			if (job != NULL && reclaim(pool, worker, i)) {
				put(pool, idle, job);
				return;
			}
		}
}

/* The oldest job that may still run, or NULL. */
static struct eddy_job *
next_job(struct pool *pool)
{
	while (!list_empty(&pool->queue)) {
		struct eddy_job *job = job_of(pool->queue.next);
		struct eddy_job *last = pool->last_urgent;
		enum eddy_outcome why;

		if (last == NULL) {
			pool->in_row = 0;
		} else if (pool->in_row++ >= URGENT_IN_ROW) {
			pool->in_row = 0;
			if (last->ready.next != &pool->queue)
				job = job_of(last->ready.next);
		}
		why = must_stop(job);
		unqueue(pool, job);
		if (why == EDDY_NONE)
			return job;
		end_job(pool, job, why, 0);
	}
	return NULL;
}

/* Idle workers first, then a second job for each, and so on. */
static void
dispatch(struct pool *pool)
{
	struct worker *worker;
	uint32_t level;

	for (level = 0; level < pool->options.depth; level++)
		for (EACH_WORKER(worker, pool)) {
			struct eddy_job *job;

			if (worker->state != LIVE ||
			    worker->tail - worker->head > level)
				continue;
			job = next_job(pool);
			if (job != NULL)
				put(pool, worker, job);
			else if (level == 0)
				balance(pool, worker);
		}
}

static void
check_drained(struct pool *pool)
{
	if (A_LOAD(&pool->draining) != 0 && pool->stats.running == 0 &&
	    A_LOAD(&pool->queued) == 0)
		eddy_executor_drained(&pool->executor);
}

/* The end of a job may submit the next one of a strand, in the middle of what we
 * do: that one is dispatched when we are done. */
static bool
enter(struct pool *pool)
{
	bool first = !pool->inside;

	pool->inside = true;
	return first;
}

static void
leave(struct pool *pool, bool first)
{
	pool->more = true;
	if (!first)
		return;
	refill(pool);
	while (pool->more) {
		pool->more = false;
		dispatch(pool);
	}
	pool->inside = false;
	check_drained(pool);
	eddy_executor_room(&pool->executor, UINT_MAX);
}

/* What a job says of its progress, before its outcome. */
static void
hear_report(struct pool *pool, struct worker *worker, uint32_t i)
{
	struct report *report = &worker->channel->slots[i].report;
	struct eddy_job *job = worker->jobs[i];
	uint32_t count;

	if (job == NULL || (job_flags(job) & EDDY_JOB_LONG) == 0)
		return;
	count = A_ACQUIRE(&report->count);
	if (count == worker->reports[i])
		return;
	worker->reports[i] = count;
	worker->idle_rings = 0;
	eddy__job_report(pool->home, job, A_LOAD(&report->value));
}

/* A job that its worker has done.  False: it cannot be true. */
static bool
deliver(struct pool *pool, struct worker *worker, uint32_t i)
{
	struct eddy_job *job = worker->jobs[i];
	/* Once: it may change any time. */
	int result = A_LOAD(&worker->channel->slots[i].result);

	if (result < LOWEST_RESULT)
		return false;
	hear_report(pool, worker, i);
	if (job->size != 0)
		memcpy(job->arg,
		    channel_area(worker->channel, i, pool->options.slot_size),
		    job->size);
	clear_slot(pool, worker, i);
	end_job(pool, job, EDDY_RETURNED, result);
	return true;
}

static bool
is_done(const struct worker *worker, uint32_t i)
{
	return A_ACQUIRE(&worker->channel->slots[i].state) == SLOT_DONE;
}

/* All that a worker says it has done.  False: it cannot be true. */
static bool
drain(struct pool *pool, struct worker *worker)
{
	uint32_t i, head = A_ACQUIRE(&worker->channel->head);

	if (head - worker->head > worker->tail - worker->head)
		return false;
	if (head != worker->head)
		worker->idle_rings = 0;
	for (; worker->head != head; worker->head++) {
		i = worker->head % pool->options.depth;
		if (worker->jobs[i] != NULL && /* not taken back */
		    (!is_done(worker, i) || !deliver(pool, worker, i)))
			return false;
	}
	return worker->idle_rings++ < IDLE_RINGS;
}

static void
drain_or_kill(struct pool *pool, struct worker *worker)
{
	uint32_t i;

	for (i = 0; worker->state == LIVE && i < pool->options.depth; i++)
		hear_report(pool, worker, i);
	if (worker->state == LIVE && !drain(pool, worker))
		kill_worker(worker, EDDY_PROTOCOL);
}

/* Back to the front of the queue: it has not started. */
static void
requeue(struct pool *pool, struct eddy_job *job)
{
	A_STORE(&job->state, JOB_QUEUED);
	A_ADD(&pool->queued, 1);
	enqueue(pool, job, true);
}

/* One job of a dead worker. */
static void
settle_job(struct pool *pool, struct worker *worker, uint32_t i,
    const struct zygote_message *death)
{
	struct eddy_job *job = worker->jobs[i];
	bool fresh = A_LOAD(&worker->channel->slots[i].state) == SLOT_QUEUED;

	hear_report(pool, worker, i);
	/* Done, but it died before it could say so. */
	if (worker->why != EDDY_PROTOCOL && is_done(worker, i) &&
	    deliver(pool, worker, i))
		return;
	clear_slot(pool, worker, i);
	if (fresh && pool->link >= 0 && !pool->closing &&
	    job->attempts < ATTEMPTS)
		requeue(pool, job);
	else if (worker->why != EDDY_NONE)
		end_job(pool, job, worker->why, -EPIPE);
	else if (fresh)
		end_job(pool, job, pool->closing ? EDDY_CANCELLED : EDDY_LOST,
		    -EPIPE);
	else
		end_job(pool, job,
		    death->code == CLD_EXITED ? EDDY_EXITED : EDDY_CRASHED,
		    death->status);
}

/* The worker is certainly dead: each of its jobs gets what it deserves. */
static void
settle(struct pool *pool, struct worker *worker,
    const struct zygote_message *death)
{
	bool ready = A_ACQUIRE(&worker->channel->ready) != 0;
	int error = A_LOAD(&worker->channel->error);
	uint32_t depth = pool->options.depth, n;

	if (worker->why != EDDY_PROTOCOL && !drain(pool, worker))
		worker->why = EDDY_PROTOCOL;
	/* Only the oldest can have killed it. */
	if (worker->head != worker->tail &&
	    worker->jobs[worker->head % depth] != NULL)
		worker->jobs[worker->head % depth]->attempts++;
	/* Newest first, so that those that go back stay in order. */
	for (n = worker->tail; n != worker->head; n--)
		if (worker->jobs[(n - 1) % depth] != NULL)
			settle_job(pool, worker, (n - 1) % depth, death);
	release(pool, worker);
	if (!ready && !pool->closing && pool->link >= 0)
		back_off(pool, error < 0 ? error : -ECHILD);
}

/* The zygote is gone and its workers with it; make sure, then settle. */
static void
lose_zygote(struct pool *pool)
{
	struct zygote_message death = {0};
	struct worker *worker;

	eddy_watch_stop(pool->home, &pool->link_watch);
	eddy__zygote_unlink(pool->zygote, pool->link);
	pool->link = -1;
	for (EACH_WORKER(worker, pool)) {
		struct pollfd fd = {.fd = worker->pidfd, .events = POLLIN};

		if (worker->state == NONE)
			continue;
		kill_worker(worker, EDDY_LOST);
		worker->why = EDDY_LOST;
		if (worker->pidfd >= 0)
			eddy__poll(&fd, 1, DEATH_DURATION);
		settle(pool, worker, &death);
	}
	fail_queue(pool, EDDY_LOST, -EPIPE);
}

/* News. */

static void
hear(struct pool *pool, const struct zygote_message *news, int pidfd)
{
	struct worker *worker = &pool->workers[news->index];

	pool->spawning -= news->op != Z_EXITED;
	if (news->op == Z_SPAWNED) {
		worker->pid = news->pid;
		worker->pidfd = pidfd;
		pool->stats.workers++;
		if (worker->state == DYING) /* killed meanwhile */
			eddy__pidfd_kill(pidfd, SIGKILL);
		else
			worker->state = pidfd >= 0 ? BOOT : DYING;
		if (pidfd < 0) /* lost on the way: it must not get jobs */
			quit(worker);
		check_boot(pool, worker); /* its bell may have come first */
	} else if (news->op == Z_FAILED) {
		release(pool, worker);
		back_off(pool, news->error);
	} else {
		settle(pool, worker, news);
	}
}

/* All messages there are; then workers may be missing, or free. */
static void
hear_all(struct pool *pool)
{
	bool first = enter(pool);
	struct zygote_message news;
	int fds[2], r;

	while (pool->link >= 0) {
		r = eddy__recv(
		    pool->link, &news, sizeof(news), fds, MSG_DONTWAIT);
		if (r == -EAGAIN)
			break;
		if (r == (int)sizeof(news))
			hear(pool, &news, fds[0]);
		else
			lose_zygote(pool);
	}
	leave(pool, first);
}

static void
on_link(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)loop;
	(void)events;
	hear_all(CONTAINER_OF(watch, struct pool, link_watch));
}

static void
on_bell(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	struct worker *worker = CONTAINER_OF(watch, struct worker, bell);
	struct pool *pool = worker->pool;
	bool first = enter(pool);

	(void)loop;
	(void)events;
	check_boot(pool, worker);
	drain_or_kill(pool, worker);
	leave(pool, first);
}

/* Back to the queue with what a worker has not started. */
static void
take_back(struct pool *pool, struct worker *worker)
{
	uint32_t n, i;

	for (n = worker->tail; n != worker->head; n--) {
		struct eddy_job *job;

		i = (n - 1) % pool->options.depth;
		job = worker->jobs[i];
		if (job != NULL && reclaim(pool, worker, i))
			requeue(pool, job);
	}
}

/* Kill the worker of a job that runs, and nobody else's: the jobs behind it are
 * taken back first, and if it is done meanwhile that wins. */
static int
stop_running(struct pool *pool, struct worker *worker, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	uint32_t i, depth = pool->options.depth;

	take_back(pool, worker);
	drain_or_kill(pool, worker);
	for (i = 0; i < depth && worker->jobs[i] != job; i++)
		;
	if (i == depth)
		return -EALREADY;
	kill_worker(worker, outcome);
	return 0;
}

/* Stop a job of ours, wherever it is. */
static int
stop(struct pool *pool, struct eddy_job *job, enum eddy_outcome outcome)
{
	struct worker *worker;
	uint32_t i;

	if (A_LOAD(&job->state) == JOB_QUEUED) {
		if (job->ready.next == NULL)
			return 0; /* on its way; stop is set */
		unqueue(pool, job);
		end_job(pool, job, outcome, 0);
		return 0;
	}
	for (EACH_WORKER(worker, pool))
		for (i = 0; i < pool->options.depth; i++) {
			if (worker->jobs[i] != job)
				continue;
			if (!reclaim(pool, worker, i))
				return stop_running(pool, worker, job, outcome);
			end_job(pool, job, outcome, -ENOMEM);
			return 0;
		}
	return -EALREADY;
}

static void
check_job(struct pool *pool, struct eddy_job *job)
{
	enum eddy_outcome why = must_stop(job);

	if (why == EDDY_NONE && wake_at(pool, job->deadline) < 0)
		why = EDDY_LOST;
	if (why != EDDY_NONE)
		stop(pool, job, why);
}

/* Stop whoever was asked to, or is past the deadline. */
static void
check_jobs(struct pool *pool)
{
	struct eddy_ready *ready, *next;
	bool first = enter(pool);
	struct worker *worker;
	uint32_t i;

	for (ready = pool->queue.next; ready != &pool->queue; ready = next) {
		next = ready->next;
		check_job(pool, job_of(ready));
	}
	for (EACH_WORKER(worker, pool))
		for (i = 0; i < pool->options.depth; i++)
			if (worker->jobs[i] != NULL)
				check_job(pool, worker->jobs[i]);
	leave(pool, first);
}

static void
on_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	check_jobs(CONTAINER_OF(timer, struct pool, timer));
}

static void
open_inbox(struct pool *pool)
{
	struct eddy_ready *ready;

	pthread_mutex_lock(&pool->lock);
	while ((ready = list_pop(&pool->inbox)) != NULL)
		enqueue(pool, job_of(ready), false);
	pthread_mutex_unlock(&pool->lock);
}

static void
on_knock(struct eddy_loop *loop, struct eddy_post *post)
{
	struct pool *pool = CONTAINER_OF(post, struct pool, knock);
	bool first = enter(pool);

	(void)loop;
	open_inbox(pool);
	if (pool->link < 0)
		fail_queue(pool, EDDY_LOST, -EPIPE);
	check_jobs(pool);
	leave(pool, first);
}

/* The table. */

/* A job that was counted is refused: a drain may have seen it. */
static void
take_back_place(struct pool *pool)
{
	A_SUB(&pool->queued, 1);
	if (A_LOAD(&pool->draining) != 0)
		eddy_post(pool->home, &pool->knock);
}

static int
submit_by_post(struct pool *pool, struct eddy_job *job)
{
	bool closing;

	pthread_mutex_lock(&pool->lock);
	closing = pool->closing || A_LOAD(&pool->draining) != 0;
	if (!closing)
		list_push(&pool->inbox, &job->ready);
	pthread_mutex_unlock(&pool->lock);
	if (closing) {
		take_back_place(pool);
		return -ESHUTDOWN;
	}
	A_ADD(&pool->stats.submitted, 1);
	eddy_post(pool->home, &pool->knock);
	return 0;
}

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct pool *pool = pool_of(executor);
	bool home = eddy__loop_mine(pool->home) == 0;

	if (job->size > pool->options.slot_size)
		return -EMSGSIZE;
	if (home && (pool->closing || A_LOAD(&pool->draining) != 0))
		return -ESHUTDOWN;
	if (home && pool->link < 0)
		return -EPIPE;
	if (A_ADD(&pool->queued, 1) >= pool->options.queue_limit) {
		take_back_place(pool);
		return -EAGAIN;
	}
	if (!home)
		return submit_by_post(pool, job);
	if (wake_at(pool, job->deadline) < 0) {
		take_back_place(pool);
		return -ENOMEM;
	}
	A_ADD(&pool->stats.submitted, 1);
	enqueue(pool, job, false);
	leave(pool, enter(pool));
	return 0;
}

static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	struct pool *pool = pool_of(executor);
	bool first;
	int r;

	if (A_LOAD(&pool->closing))
		return 0; /* its outcome is on its way, home may be gone */
	if (eddy__loop_mine(pool->home) < 0) {
		eddy_post(pool->home, &pool->knock);
		return 0;
	}
	first = enter(pool);
	open_inbox(pool);
	r = stop(pool, job, outcome);
	leave(pool, first);
	return r;
}

/* Hear the zygote until no worker is left, or it is time. */
static void
wait_for_workers(struct pool *pool, int64_t duration)
{
	int64_t left, deadline = eddy_after(duration);
	struct worker *worker = pool->workers;

	while (worker < pool->workers + pool->options.workers) {
		struct pollfd fd = {.fd = pool->link, .events = POLLIN};

		if (worker->state == NONE) {
			worker++;
			continue;
		}
		left = eddy__left(deadline);
		if (left == 0)
			return;
		eddy__poll(&fd, 1, left);
		hear_all(pool);
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
	bool orderly = pool->options.worker_close != NULL;
	struct zygote_message death = {0};
	struct worker *worker;
	int r;

	pthread_mutex_lock(&pool->lock);
	A_STORE(&pool->closing, true);
	pthread_mutex_unlock(&pool->lock);
	enter(pool); /* for good */
	open_inbox(pool);
	for (EACH_WORKER(worker, pool))
		take_back(pool, worker);
	fail_queue(pool, EDDY_CANCELLED, 0);
	for (EACH_WORKER(worker, pool))
		if (worker->state != NONE && worker->head == worker->tail &&
		    !orderly)
			kill_worker(worker, EDDY_NONE); /* idle */
		else if (worker->state != NONE)
			quit(worker);
	if (pool->stats.running != 0 || orderly)
		wait_for_workers(pool, duration);
	r = pool->stats.running != 0 ? -ETIME : 0;
	name_jobs(pool);
	for (EACH_WORKER(worker, pool))
		if (worker->state != NONE)
			kill_worker(worker, EDDY_CANCELLED);
	wait_for_workers(pool, DEATH_DURATION);
	for (EACH_WORKER(worker, pool))
		if (worker->state != NONE) /* it will not die */
			settle(pool, worker, &death);
	eddy_post_cancel(pool->home, &pool->knock);
	eddy_timer_stop(pool->home, &pool->timer);
	eddy_watch_stop(pool->home, &pool->link_watch);
	pool->home->pools--;
	return r;
}

static void
destroy(struct eddy_executor *executor)
{
	struct pool *pool = pool_of(executor);

	pthread_mutex_destroy(&pool->lock);
	eddy_executor_fini(&pool->executor);
	eddy__free(pool->workers);
	eddy__free(pool);
}

static void
disconnect_zygote(struct pool *pool)
{
	if (pool->link >= 0)
		eddy__zygote_unlink(pool->zygote, pool->link);
	if (pool->options.zygote == NULL && pool->zygote != NULL)
		eddy_zygote_close(pool->zygote);
}

static int
close_pool(struct eddy_executor *executor, int64_t duration)
{
	struct pool *pool = pool_of(executor);
	bool child = pool->pid != eddy__getpid();
	struct worker *worker;
	int r = child ? 0 : end_workers(pool, duration);

	for (EACH_WORKER(worker, pool)) {
		if (child)
			worker->bell
			    .started = false; /* the epoll is the parent's */
		release(pool, worker);
	}
	disconnect_zygote(pool);
	if (child)
		destroy(executor);
	else
		eddy__executor_drop(executor);
	return r;
}

static void
start_draining(struct eddy_executor *executor)
{
	struct pool *pool = pool_of(executor);

	pthread_mutex_lock(&pool->lock);
	A_STORE(&pool->draining, 1);
	pthread_mutex_unlock(&pool->lock);
	eddy_post(pool->home, &pool->knock);
}

static void
describe(struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	struct pool *pool = pool_of(executor);

	*ret_stats = pool->stats;
	ret_stats->queued = A_LOAD(&pool->queued);
}

int
eddy_process_pool_pids(
    struct eddy_executor *executor, int *ret_pids, unsigned n)
{
	struct pool *pool = pool_of(executor);
	struct worker *worker;
	int count = 0;

	for (EACH_WORKER(worker, pool))
		if (worker->state == LIVE && (unsigned)count++ < n)
			ret_pids[count - 1] = worker->pid;
	return count;
}

/* Opening. */

static int
set_options(struct pool *pool, const struct eddy_process_pool_options *options)
{
	struct eddy_process_pool_options *own = &pool->options;
	struct worker *worker;

	if (options != NULL)
		*own = *options;
	if (own->workers == 0)
		own->workers = eddy__quota((unsigned)eddy__cpus());
	if (own->depth == 0)
		own->depth = DEPTH;
	if (own->queue_limit == 0)
		own->queue_limit = QUEUE_LIMIT;
	if (own->slot_size == 0)
		own->slot_size = SLOT_SIZE;
	if (own->slot_size > UINT32_MAX) /* jobs have no more */
		return -EINVAL;
	own->slot_size = (own->slot_size + 63) & ~(size_t)63; /* a line */
	if (own->depth > DEPTH_MAX || own->init_size > own->slot_size ||
	    __builtin_mul_overflow(
		own->slot_size, own->depth, &pool->channel_size) ||
	    __builtin_add_overflow(
		pool->channel_size, CHANNEL_HEADER, &pool->channel_size))
		return -EINVAL;
	pool->workers = eddy__alloc(own->workers * sizeof(*pool->workers));
	if (pool->workers == NULL)
		return -ENOMEM;
	for (EACH_WORKER(worker, pool))
		clear(pool, worker);
	return 0;
}

static int
connect_zygote(struct pool *pool)
{
	int r = 0;

	pool->zygote = pool->options.zygote;
	if (pool->zygote == NULL)
		r = eddy_zygote_open(&pool->zygote, pool->options.flags);
	if (r < 0)
		return r;
	r = pool->link = eddy__zygote_link(pool->zygote);
	if (r < 0)
		return r;
	eddy_watch_init(
	    &pool->link_watch, pool->link, on_link, EDDY_WATCH_BACKGROUND);
	return eddy_watch_start(pool->home, &pool->link_watch, EPOLLIN);
}

int
eddy_process_pool_open(struct eddy_executor **ret_executor,
    struct eddy_loop *home, const struct eddy_process_pool_options *options)
{
	static const struct eddy_executor_ops ops = {
	    "processes", submit, cancel, close_pool, describe, start_draining};
	int r = eddy__loop_mine(home);
	struct pool *pool = r == 0 ? eddy__alloc(sizeof(*pool)) : NULL;

	if (pool == NULL)
		return r == 0 ? -ENOMEM : r;
	eddy_executor_init(&pool->executor, &ops);
	pthread_mutex_init(&pool->lock, NULL);
	list_init(&pool->inbox);
	list_init(&pool->queue);
	eddy_post_init(&pool->knock, on_knock);
	eddy_timer_init(&pool->timer, on_timer);
	pool->link = -1;
	pool->home = pool->executor.home = home;
	pool->executor.ours = home->door->ours;
	pool->executor.destroy = destroy;
	pool->pid = eddy__getpid();
	r = set_options(pool, options);
	if (r == 0)
		r = connect_zygote(pool);
	if (r < 0) {
		disconnect_zygote(pool);
		destroy(&pool->executor);
		return r;
	}
	home->pools++;
	refill(pool);
	*ret_executor = &pool->executor;
	return 0;
}
