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
#include <poll.h>
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
	ATTEMPTS = 3,         /* of a worker that dies before it starts a job */
	FAILURES = 8,         /* boots in a row until waiting jobs are lost */
	IDLE_RINGS = 1000,    /* bells without progress: a broken worker */
};
#define BACK_OFF_FIRST EDDY_MS(10)
#define BACK_OFF_LAST  EDDY_S(1)
#define DEATH_DURATION EDDY_S(5) /* for SIGKILL to work */

enum worker_state { NONE, SPAWNING, BOOT, LIVE, DYING };

struct worker {
	struct eddy_watch bell;
	struct pool *pool;
	enum worker_state state;
	enum eddy_outcome why; /* DYING: of the job it runs; NONE: as it died */
	uint64_t generation;
	pid_t pid;
	int pidfd; /* -1: none yet */
	struct channel *channel;
	struct eddy_job *jobs[DEPTH_MAX]; /* by slot; NULL: taken back */
	uint32_t tail, head;              /* ours: what the channel says is
	                                     checked against them */
	unsigned idle_rings;
};

struct pool {
	struct eddy_executor executor;
	struct eddy_process_pool_options options;
	struct eddy_loop *home;
	pid_t pid;
	size_t channel_size;

	/* Any thread. */
	pthread_mutex_t lock;    /* guards inbox */
	struct eddy_ready inbox; /* submitted in another thread */
	struct eddy_post knock;  /* look at inbox, and at jobs to stop */
	uint32_t queued;         /* inbox and queue */

	/* Home thread. */
	struct eddy_zygote *zygote;
	int link; /* -1: the zygote is lost */
	struct eddy_watch link_watch;
	struct eddy_timer timer; /* the next deadline or retry */
	struct eddy_ready queue;
	struct worker *workers;
	uint64_t generation;
	unsigned failures;
	int error; /* the last that kept a worker from working */
	int64_t retry_at;
	bool closing;
	struct eddy_executor_stats stats;
};

static void dispatch(struct pool *pool);
static void on_bell(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events);

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
	eddy__stats_count(&pool->stats, outcome);
	eddy__job_end_on(pool->home, job, outcome, result);
}

/* Out of the queue, for a slot or an end. */
static void
unqueue(struct pool *pool, struct eddy_job *job)
{
	list_remove(&job->ready);
	A_SUB(&pool->queued, 1);
	eddy_executor_room(&pool->executor, 1);
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

static void
wake_at(struct pool *pool, int64_t when)
{
	if (when != 0 &&
	    (!eddy_timer_active(&pool->timer) || when < pool->timer.deadline))
		eddy_timer_start(pool->home, &pool->timer, when);
}

/* Workers come and go. */

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
	if (worker->state >= BOOT)
		pool->stats.workers--;
	*worker = (struct worker){ .pool = pool, .pidfd = -1, .bell.fd = -1 };
}

/* A worker could not be had: later, less often; at last say so to who waits. */
static void
back_off(struct pool *pool, int error)
{
	int64_t delay = BACK_OFF_FIRST << pool->failures;
	struct worker *worker;

	pool->error = error;
	pool->retry_at =
	    eddy_after(delay < BACK_OFF_LAST ? delay : BACK_OFF_LAST);
	if (++pool->failures < FAILURES)
		return;
	pool->failures = 0;
	for (EACH_WORKER(worker, pool))
		if (worker->state == LIVE)
			return;
	fail_queue(pool, EDDY_LOST, error);
}

static int
make_channel(struct pool *pool, struct worker *worker)
{
	const struct eddy_process_pool_options *options = &pool->options;
	int memfd = eddy__memfd("eddy-channel", pool->channel_size);
	void *memory;
	int r;

	if (memfd < 0)
		return memfd;
	r = eddy__map(&memory, memfd, pool->channel_size);
	if (r < 0) {
		eddy__close(memfd);
		return r;
	}
	worker->channel = memory;
	worker->channel->depth = options->depth;
	worker->channel->slot_size = options->slot_size;
	worker->channel->init = (uintptr_t)options->init;
	worker->channel->has_init = options->init_size != 0;
	if (options->init_size != 0)
		memcpy(channel_area(worker->channel, 0, 0), options->init_arg,
		    options->init_size);
	return memfd;
}

static int
order(struct pool *pool, struct worker *worker, int memfd)
{
	struct zygote_message message = { .op = Z_SPAWN,
		.index = (uint32_t)(worker - pool->workers),
		.generation = worker->generation,
		.size = pool->channel_size };
	int fds[2] = { memfd, eddy__eventfd() };
	int r = fds[1];

	if (r < 0)
		return r;
	eddy_watch_init(&worker->bell, fds[1], on_bell, EDDY_WATCH_BACKGROUND);
	/* Edge-triggered and never read, as the loop's own. */
	r = eddy_watch_start(pool->home, &worker->bell, EPOLLIN | EPOLLET);
	if (r < 0)
		return r;
	r = eddy__send(pool->link, &message, sizeof(message), fds, 2);
	return r < 0 ? r : 0;
}

static void
spawn(struct pool *pool, struct worker *worker)
{
	int memfd = make_channel(pool, worker);
	int r = memfd;

	worker->generation = ++pool->generation;
	if (r >= 0) {
		r = order(pool, worker, memfd);
		eddy__close(memfd);
	}
	if (r < 0) {
		release(pool, worker);
		back_off(pool, r);
		return;
	}
	worker->state = SPAWNING;
}

/* Replace who is gone; after a failure only for jobs that wait. */
static void
refill(struct pool *pool)
{
	bool wanted = pool->failures == 0 || !list_empty(&pool->queue);
	struct worker *worker;

	if (pool->closing || pool->link < 0 || !wanted)
		return;
	if (pool->retry_at > eddy_now()) {
		if (!list_empty(&pool->queue))
			wake_at(pool, pool->retry_at);
		return;
	}
	pool->retry_at = 0;
	for (EACH_WORKER(worker, pool))
		if (worker->state == NONE && pool->retry_at == 0)
			spawn(pool, worker);
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

static void
booted(struct pool *pool, struct worker *worker)
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
	struct slot *slot = &channel->slots[i];

	if (job->size != 0)
		memcpy(channel_area(channel, i, pool->options.slot_size),
		    job->arg, job->size);
	slot->fn = (uintptr_t)job->fn;
	A_STORE(&job->state, JOB_RUNNING);
	worker->jobs[i] = job;
	pool->stats.running++;
	A_RELEASE(&slot->state, SLOT_QUEUED);
	A_RELEASE(&channel->tail, ++worker->tail);
	/* Pairs with the fence in wait_for_tail: tail, then is it asleep? */
	A_FENCE(&channel->asleep);
	if (A_LOAD(&channel->asleep) != 0)
		eddy__futex_wake(&channel->tail, 1, true);
}

static struct eddy_job *
take_slot(struct pool *pool, struct worker *worker, uint32_t i)
{
	struct eddy_job *job = worker->jobs[i];

	worker->jobs[i] = NULL;
	if (job != NULL)
		pool->stats.running--;
	return job;
}

/* Get a job back that its worker has not started. */
static bool
reclaim(struct pool *pool, struct worker *worker, uint32_t i)
{
	uint32_t queued = SLOT_QUEUED;

	if (!A_CAS(&worker->channel->slots[i].state, &queued, SLOT_TAKEN))
		return false;
	take_slot(pool, worker, i);
	return true;
}

/* For an idle worker: the newest job of one that has more than it can run. */
static void
balance(struct pool *pool, struct worker *idle)
{
	struct worker *worker;

	for (EACH_WORKER(worker, pool)) {
		uint32_t i = (worker->tail - 1) % pool->options.depth;
		struct eddy_job *job = worker->jobs[i];

		if (worker->state == LIVE && job != NULL &&
		    worker->tail - worker->head > 1 &&
		    reclaim(pool, worker, i)) {
			put(pool, idle, job);
			return;
		}
	}
}

/* Idle workers first, then a second job for each, and so on. */
static void
dispatch(struct pool *pool)
{
	struct worker *worker;
	uint32_t level;

	for (level = 0; level < pool->options.depth; level++)
		for (EACH_WORKER(worker, pool)) {
			struct eddy_job *job = job_of(pool->queue.next);

			if (worker->state != LIVE ||
			    worker->tail - worker->head > level)
				continue;
			if (!list_empty(&pool->queue)) {
				unqueue(pool, job);
				put(pool, worker, job);
			} else if (level == 0) {
				balance(pool, worker);
			}
		}
}

/* What a worker says it has done.  False: it cannot be true. */
static bool
drain(struct pool *pool, struct worker *worker)
{
	uint32_t head = A_ACQUIRE(&worker->channel->head);
	bool idle = head == worker->head;

	if (head - worker->head > worker->tail - worker->head)
		return false;
	for (; worker->head != head; worker->head++) {
		uint32_t i = worker->head % pool->options.depth;
		struct slot *slot = &worker->channel->slots[i];
		struct eddy_job *job = worker->jobs[i];
		int result;

		if (job == NULL)
			continue; /* taken back */
		if (A_ACQUIRE(&slot->state) != SLOT_DONE)
			return false;
		result = A_LOAD(&slot->result); /* once: it may change */
		if (result < LOWEST_RESULT)
			return false;
		if (job->size != 0)
			memcpy(job->arg,
			    channel_area(
				worker->channel, i, pool->options.slot_size),
			    job->size);
		take_slot(pool, worker, i);
		end_job(pool, job, EDDY_RETURNED, result);
	}
	worker->idle_rings = idle ? worker->idle_rings + 1 : 0;
	return worker->idle_rings < IDLE_RINGS;
}

static void
drain_or_kill(struct pool *pool, struct worker *worker)
{
	if (worker->state == LIVE && !drain(pool, worker))
		kill_worker(worker, EDDY_PROTOCOL);
}

/* One job of a dead worker.  Only the oldest can have killed it. */
static void
settle_job(struct pool *pool, struct worker *worker, uint32_t i,
    const struct zygote_message *death)
{
	uint32_t state = A_ACQUIRE(&worker->channel->slots[i].state);
	struct eddy_job *job = take_slot(pool, worker, i);

	if (state == SLOT_QUEUED && pool->link >= 0 && !pool->closing &&
	    job->attempts < ATTEMPTS) {
		A_STORE(&job->state, JOB_QUEUED);
		A_ADD(&pool->queued, 1);
		list_push_front(&pool->queue, &job->ready);
	} else if (worker->why != EDDY_NONE) {
		end_job(pool, job, worker->why,
		    worker->why == EDDY_LOST ? -EPIPE : 0);
	} else if (state == SLOT_QUEUED) {
		end_job(pool, job, EDDY_LOST, -EPIPE);
	} else {
		end_job(pool, job,
		    death->code == CLD_EXITED ? EDDY_EXITED : EDDY_CRASHED,
		    death->status);
	}
}

/* The worker is certainly dead: each of its jobs gets what it deserves. */
static void
settle(struct pool *pool, struct worker *worker,
    const struct zygote_message *death)
{
	bool ready = A_ACQUIRE(&worker->channel->ready) != 0;
	int error = A_LOAD(&worker->channel->error);
	uint32_t at;

	if (worker->why != EDDY_PROTOCOL && !drain(pool, worker))
		worker->why = EDDY_PROTOCOL;
	at = worker->head % pool->options.depth;
	if (worker->head != worker->tail && worker->jobs[at] != NULL)
		worker->jobs[at]->attempts++;
	/* Newest first, so that those that go back stay in order. */
	for (at = worker->tail; at != worker->head; at--)
		if (worker->jobs[(at - 1) % pool->options.depth] != NULL)
			settle_job(pool, worker, (at - 1) % pool->options.depth,
			    death);
	release(pool, worker);
	if (!ready && !pool->closing)
		back_off(pool, error < 0 ? error : -ECHILD);
}

/* The zygote is gone and its workers with it; make sure, then settle. */
static void
lose_zygote(struct pool *pool)
{
	struct zygote_message death = { .code = CLD_KILLED, .status = SIGKILL };
	struct worker *worker;

	eddy_watch_stop(pool->home, &pool->link_watch);
	eddy__zygote_unlink(pool->zygote, pool->link);
	pool->link = -1;
	for (EACH_WORKER(worker, pool)) {
		struct pollfd fd = { .fd = worker->pidfd, .events = POLLIN };

		if (worker->state == NONE)
			continue;
		kill_worker(worker, EDDY_LOST);
		worker->why = EDDY_LOST;
		eddy__poll(&fd, worker->pidfd >= 0, DEATH_DURATION);
		settle(pool, worker, &death);
	}
	fail_queue(pool, EDDY_LOST, -EPIPE);
}

/* News. */

static void
hear(struct pool *pool, const struct zygote_message *news, int pidfd)
{
	struct worker *worker = &pool->workers[news->index];

	if (news->index >= pool->options.workers ||
	    worker->generation != news->generation) {
		if (pidfd >= 0)
			eddy__close(pidfd);
		return;
	}
	if (news->op == Z_SPAWNED) {
		worker->pid = news->pid;
		worker->pidfd = pidfd;
		pool->stats.workers++;
		if (worker->state == SPAWNING)
			worker->state = BOOT;
		else if (pidfd >= 0) /* killed meanwhile */
			eddy__pidfd_kill(pidfd, SIGKILL);
		booted(pool, worker); /* its bell may have come first */
	} else if (news->op == Z_FAILED) {
		release(pool, worker);
		back_off(pool, news->error);
	} else if (news->op == Z_EXITED) {
		settle(pool, worker, news);
	}
}

/* All messages there are.  Then the pool may have room or need workers. */
static void
hear_all(struct pool *pool)
{
	struct zygote_message news;
	int pidfd, r;

	while (pool->link >= 0) {
		r = eddy__recv(
		    pool->link, &news, sizeof(news), &pidfd, 1, MSG_DONTWAIT);
		if (r == -EAGAIN)
			break;
		if (r == (int)sizeof(news))
			hear(pool, &news, pidfd);
		else
			lose_zygote(pool);
	}
	refill(pool);
	dispatch(pool);
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

	(void)loop;
	(void)events;
	booted(worker->pool, worker);
	drain_or_kill(worker->pool, worker);
	dispatch(worker->pool);
}

/* Stop a job that is in a slot. */
static int
stop_in_slot(struct pool *pool, struct eddy_job *job, enum eddy_outcome outcome)
{
	struct worker *worker;
	uint32_t i;

	for (EACH_WORKER(worker, pool))
		for (i = 0; i < pool->options.depth; i++) {
			if (worker->jobs[i] != job)
				continue;
			if (worker->state == LIVE && reclaim(pool, worker, i)) {
				end_job(pool, job, outcome, 0);
				return 0;
			}
			/* What is done already wins over the kill. */
			drain_or_kill(pool, worker);
			if (worker->jobs[i] != job)
				return -EALREADY;
			kill_worker(worker, outcome);
			return 0;
		}
	return -EALREADY;
}

static int
stop_here(struct pool *pool, struct eddy_job *job, enum eddy_outcome outcome)
{
	if (A_LOAD(&job->state) == JOB_QUEUED) {
		unqueue(pool, job);
		end_job(pool, job, outcome, 0);
		return 0;
	}
	return stop_in_slot(pool, job, outcome);
}

/* Whoever ought to be stopped: asked to, or past the deadline. */
static void
check_job(struct pool *pool, struct eddy_job *job)
{
	if (A_LOAD(&job->stop) != 0)
		stop_here(pool, job, EDDY_CANCELLED);
	else if (job_expired(job))
		stop_here(pool, job, EDDY_EXPIRED);
	else
		wake_at(pool, job->deadline);
}

static void
check_jobs(struct pool *pool)
{
	struct eddy_ready *ready, *next;
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
	refill(pool);
	dispatch(pool);
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
	pthread_mutex_lock(&pool->lock);
	list_splice(&pool->queue, &pool->inbox);
	pthread_mutex_unlock(&pool->lock);
}

static void
on_knock(struct eddy_loop *loop, struct eddy_post *post)
{
	struct pool *pool = CONTAINER_OF(post, struct pool, knock);

	(void)loop;
	open_inbox(pool);
	if (pool->link < 0)
		fail_queue(pool, EDDY_LOST, -EPIPE);
	check_jobs(pool);
}

/* The table. */

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct pool *pool = pool_of(executor);

	if (pool->pid != eddy__getpid())
		return -ECHILD;
	if (job->size > pool->options.slot_size)
		return -EMSGSIZE;
	if (A_ADD(&pool->queued, 1) >= pool->options.queue_limit) {
		A_SUB(&pool->queued, 1);
		return -EAGAIN;
	}
	if (eddy__loop_mine(pool->home) < 0) {
		pthread_mutex_lock(&pool->lock);
		list_push(&pool->inbox, &job->ready);
		pthread_mutex_unlock(&pool->lock);
		eddy_post(pool->home, &pool->knock);
		return 0;
	}
	if (pool->closing || pool->link < 0) {
		A_SUB(&pool->queued, 1);
		return pool->closing ? -ESHUTDOWN : -EPIPE;
	}
	pool->stats.submitted++;
	wake_at(pool, job->deadline);
	list_push(&pool->queue, &job->ready);
	refill(pool);
	dispatch(pool);
	return 0;
}

static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	struct pool *pool = pool_of(executor);

	if (eddy__loop_mine(pool->home) < 0) {
		A_STORE(&job->stop, 1);
		eddy_post(pool->home, &pool->knock);
		return 0;
	}
	open_inbox(pool);
	return stop_here(pool, job, outcome);
}

static bool
any_worker(struct pool *pool)
{
	struct worker *worker;

	for (EACH_WORKER(worker, pool))
		if (worker->state != NONE)
			return true;
	return false;
}

/* Wait for the zygote's reports until no worker is left. */
static int
wait_for_workers(struct pool *pool, int64_t duration)
{
	int64_t deadline = eddy_after(duration);

	while (any_worker(pool)) {
		struct pollfd fd = { .fd = pool->link, .events = POLLIN };
		int64_t now = eddy_now();

		if (now >= deadline)
			return -ETIME;
		eddy__poll(&fd, 1,
		    deadline == EDDY_FOREVER ? deadline : deadline - now);
		hear_all(pool);
	}
	return 0;
}

static void
free_pool(struct pool *pool)
{
	pthread_mutex_destroy(&pool->lock);
	eddy_executor_fini(&pool->executor);
	eddy__free(pool->workers);
	eddy__free(pool);
}

/* In a forked child: nothing but what only this process has.  The epoll is the
 * parent's too, so nothing is stopped there. */
static int
forget(struct pool *pool)
{
	struct worker *worker;

	for (EACH_WORKER(worker, pool)) {
		eddy__close(worker->bell.fd);
		eddy__close(worker->pidfd);
		if (worker->channel != NULL)
			eddy__unmap(worker->channel, pool->channel_size);
	}
	eddy__close(pool->link);
	if (pool->options.zygote == NULL)
		eddy_zygote_close(pool->zygote);
	free_pool(pool);
	return 0;
}

static void
quit_workers(struct pool *pool)
{
	struct worker *worker;

	for (EACH_WORKER(worker, pool))
		if (worker->channel != NULL) {
			A_RELEASE(&worker->channel->quit, 1);
			eddy__futex_wake(&worker->channel->tail, 1, true);
		}
}

static int
close_pool(struct eddy_executor *executor, int64_t duration)
{
	struct pool *pool = pool_of(executor);
	struct worker *worker;
	int r;

	if (pool->pid != eddy__getpid())
		return forget(pool);
	r = eddy__loop_mine(pool->home);
	if (r < 0)
		return r;
	pool->closing = true;
	open_inbox(pool);
	fail_queue(pool, EDDY_CANCELLED, 0);
	quit_workers(pool);
	r = wait_for_workers(pool, duration);
	if (r < 0) {
		for (EACH_WORKER(worker, pool))
			if (worker->state != NONE)
				kill_worker(worker, EDDY_CANCELLED);
		wait_for_workers(pool, DEATH_DURATION);
	}
	for (EACH_WORKER(worker, pool))
		release(pool, worker);
	eddy_post_cancel(pool->home, &pool->knock);
	eddy_timer_stop(pool->home, &pool->timer);
	if (pool->link >= 0) {
		eddy_watch_stop(pool->home, &pool->link_watch);
		eddy__zygote_unlink(pool->zygote, pool->link);
	}
	if (pool->options.zygote == NULL)
		eddy_zygote_close(pool->zygote);
	pool->home->pools--;
	free_pool(pool);
	return r;
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

	if (options != NULL)
		*own = *options;
	if (own->workers == 0)
		own->workers = (unsigned)eddy__cpus();
	if (own->depth == 0)
		own->depth = DEPTH;
	if (own->queue_limit == 0)
		own->queue_limit = QUEUE_LIMIT;
	if (own->slot_size == 0)
		own->slot_size = SLOT_SIZE;
	own->slot_size = (own->slot_size + 63) & ~(size_t)63; /* a line */
	if (own->depth > DEPTH_MAX || own->init_size > own->slot_size ||
	    __builtin_mul_overflow(
		own->slot_size, own->depth, &pool->channel_size) ||
	    __builtin_add_overflow(
		pool->channel_size, CHANNEL_HEADER, &pool->channel_size))
		return -EINVAL;
	pool->workers = eddy__alloc(own->workers * sizeof(*pool->workers));
	return pool->workers != NULL ? 0 : -ENOMEM;
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
		goto fail_link;
	eddy_watch_init(
	    &pool->link_watch, pool->link, on_link, EDDY_WATCH_BACKGROUND);
	r = eddy_watch_start(pool->home, &pool->link_watch, EPOLLIN);
	if (r == 0)
		return 0;
	eddy__zygote_unlink(pool->zygote, pool->link);
fail_link:
	if (pool->options.zygote == NULL)
		eddy_zygote_close(pool->zygote);
	return r;
}

int
eddy_process_pool_open(struct eddy_executor **ret_executor,
    struct eddy_loop *home, const struct eddy_process_pool_options *options)
{
	static const struct eddy_executor_ops ops = { "processes", submit,
		cancel, close_pool, describe };
	struct worker *worker;
	struct pool *pool;
	int r = eddy__loop_mine(home);

	if (r < 0)
		return r;
	pool = eddy__alloc(sizeof(*pool));
	if (pool == NULL)
		return -ENOMEM;
	eddy_executor_init(&pool->executor, &ops);
	pthread_mutex_init(&pool->lock, NULL);
	list_init(&pool->inbox);
	list_init(&pool->queue);
	eddy_post_init(&pool->knock, on_knock);
	eddy_timer_init(&pool->timer, on_timer);
	pool->home = home;
	pool->pid = eddy__getpid();
	r = set_options(pool, options);
	if (r == 0)
		r = connect_zygote(pool);
	if (r < 0) {
		free_pool(pool);
		return r;
	}
	for (EACH_WORKER(worker, pool))
		*worker =
		    (struct worker){ .pool = pool, .pidfd = -1, .bell.fd = -1 };
	home->pools++;
	refill(pool);
	*ret_executor = &pool->executor;
	return 0;
}
