/* SPDX-License-Identifier: ISC */
/*
 * process_host: the life of the workers, as the host sees it.
 *
 * NONE -> BOOT -> LIVE -> NONE when the zygote reports a death.  We end it by
 * RETIRING (it is told to leave), ASKED (a job is told to stop) and DYING
 * (SIGKILL), each for a limited time, then the next; after that it is STUCK.
 * Only the dead are settled: what was DONE is delivered, RUNNING has failed,
 * QUEUED goes back in front.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "process_impl.h"

enum {
	FAILURES = 8,      /* rounds of boots until waiting jobs are lost */
	BELLS = 1000,      /* for nothing: a broken worker */
	SPAWN_AHEAD = 64,  /* orders that the zygote's socket must hold */
	SLICE = 256 << 10, /* bytes of a result in one turn: 30 us */
};
#define BACK_OFF_FIRST EDDY_MS(10)
#define BACK_OFF_LAST  EDDY_S(1)

static void on_bell(struct eddy_loop *, struct eddy_watch *, uint32_t);

/* limit: ns until eddy__process_check does something about it; 0: none. */
static void
become(struct worker *worker, enum worker_state state, int64_t limit)
{
	worker->state = state;
	worker->due = limit != 0 ? eddy_after(limit) : 0;
	eddy__process_wake_at(worker->pool, worker->due);
}

void
eddy__process_clear(struct pool *pool, struct worker *worker)
{
	*worker = (struct worker){
	    .pool = pool, .pidfd = -1, .mail = -1, .bell.fd = -1};
}

void
eddy__process_release(struct worker *worker)
{
	struct worker last = *worker;
	struct pool *pool = worker->pool;

	eddy_watch_stop(pool->home, &worker->bell);
	eddy__close(worker->bell.fd);
	eddy__close(worker->pidfd);
	eddy__close(worker->mail);
	pool->stats.workers -= worker->pid != 0;
	eddy__process_clear(pool, worker);
	if (last.reserved != NULL) {
		worker->state = KEPT;
		worker->channel = last.channel;
		worker->reserved = last.reserved;
		worker->area = last.area;
	} else if (last.channel != NULL) {
		eddy__unmap(last.channel, pool->channel_size);
	}
}

/* A worker of that generation could not be had: later, less often; at last say
 * so to who waits.  Those that were ordered meanwhile count as one. */
static void
back_off(struct pool *pool, uint64_t generation, int error, bool init)
{
	int64_t delay = BACK_OFF_FIRST << pool->failures;
	struct worker *worker;

	if (generation <= pool->failed)
		return;
	pool->failed = pool->generation;
	pool->retry_at = eddy_after(
	    delay < BACK_OFF_LAST ? delay : BACK_OFF_LAST);
	if (++pool->failures < FAILURES)
		return;
	pool->failures = FAILURES - 1; /* the next one is the last again */
	pool->wanted = false;
	for (EACH_WORKER(worker, pool))
		if (worker->state == LIVE || worker->state == ASKED)
			return;
	if (init)
		A_STORE(&pool->broken, -ENOTRECOVERABLE);
	eddy__process_fail_queue(pool, EDDY_LOST, error);
}

/* The memory of a new worker: a descriptor that the caller closes. */
static int
make_channel(struct pool *pool, struct worker *worker)
{
	const struct eddy_process_pool_options *options = &pool->options;
	int memfd = eddy__memfd_open("eddy-channel"), r = memfd;
	struct rlimit files;
	void *memory = NULL;

	getrlimit(RLIMIT_FSIZE, &files); /* beyond that, SIGXFSZ ends us */
	if (r >= 0 && files.rlim_cur < pool->channel_size)
		r = -EFBIG;
	if (r >= 0)
		r = eddy__memfd_seal(memfd, pool->channel_size, false);
	if (r == 0)
		r = eddy__map(&memory, memfd, pool->channel_size);
	if (r < 0) {
		eddy__close(memfd);
		return r;
	}
	worker->channel = memory;
	worker->channel->options = *options;
	if (options->init_size != 0)
		memcpy(channel_area(worker->channel, 0, 0), options->init,
		    options->init_size);
	return memfd;
}

static int
spawn(struct pool *pool, struct worker *worker)
{
	struct zygote_message order = {.op = Z_SPAWN,
	    .index = (uint32_t)(worker - pool->workers),
	    .fds = 2,
	    .size = pool->channel_size};
	int mails[2] = {-1, -1};
	int fds[FD_COUNT] = {make_channel(pool, worker), eddy__eventfd()};
	int r = fds[FD_CHANNEL] < 0 ? fds[FD_CHANNEL] : fds[FD_BELL];

	if (r >= 0 && (pool->options.flags & EDDY_PASS_DESCRIPTORS) != 0) {
		r = eddy__socketpair(mails);
		worker->mail = mails[0];
		fds[FD_MAIL] = mails[1];
		order.fds = FD_COUNT;
	}
	eddy_watch_init(
	    &worker->bell, fds[FD_BELL], on_bell, EDDY_WATCH_BACKGROUND);
	/* Edge-triggered and never read, as the loop's own. */
	if (r >= 0)
		r = eddy_watch_start(
		    pool->home, &worker->bell, EPOLLIN | EPOLLET);
	if (r >= 0)
		r = eddy__send(
		    pool->link, &order, sizeof(order), fds, (int)order.fds);
	eddy__close(fds[FD_CHANNEL]);
	eddy__close(mails[1]);
	worker->generation = ++pool->generation;
	if (r < 0) {
		eddy__process_release(worker);
		back_off(pool, pool->generation, r, false);
		return r;
	}
	pool->spawning++;
	become(worker, BOOT, pool->options.boot_limit);
	return 0;
}

/* Replace who is gone; after a failure only for those who wait. */
int
eddy__process_refill(struct pool *pool)
{
	bool wanted = pool->wanted || A_LOAD(&pool->queued) != 0;
	struct worker *worker;
	int r = 0;

	if (is_closing(pool) || A_LOAD(&pool->broken) != 0 ||
	    (pool->failures != 0 && !wanted))
		return 0;
	if (pool->retry_at <= eddy_now())
		pool->retry_at = 0;
	for (EACH_WORKER(worker, pool))
		if (worker->state == NONE && pool->retry_at == 0 &&
		    pool->spawning < SPAWN_AHEAD)
			r = spawn(pool, worker);
	if (wanted)
		eddy__process_wake_at(pool, pool->retry_at);
	return r;
}

void
eddy__process_kill(struct worker *worker, enum eddy_outcome why)
{
	if (worker->state >= DYING)
		return;
	if (worker->state != ASKED || why == EDDY_PROTOCOL)
		worker->why = why;
	become(worker, DYING, DEATH_DURATION);
	eddy_watch_stop(worker->pool->home, &worker->bell);
	if (worker->pidfd >= 0)
		eddy__pidfd_kill(worker->pidfd, SIGKILL);
}

void
eddy__process_quit(struct worker *worker)
{
	A_RELEASE(&worker->channel->quit, 1);
	eddy__process_wake(worker->channel);
}

void
eddy__process_retire(struct worker *worker)
{
	eddy__process_quit(worker);
	become(worker, RETIRING, DEATH_DURATION);
}

/* The worker has told something. */
static void
listen_to(struct worker *worker)
{
	struct pool *pool = worker->pool;

	if (worker->state == BOOT && worker->pid != 0 &&
	    A_ACQUIRE(&worker->channel->ready) != 0) {
		become(worker, LIVE, 0);
		worker->born = eddy_now();
		pool->failures = 0;
		pool->wanted = false;
	}
	if (worker->state != LIVE && worker->state != ASKED)
		return;
	if (!eddy__process_drain(worker, SLICE)) {
		eddy__process_kill(worker, EDDY_PROTOCOL);
	} else if (worker->state == ASKED &&
		   worker->held == (worker->copied != 0)) {
		worker->why = EDDY_NONE; /* it has obeyed */
		become(worker, LIVE, 0);
	}
}

int
eddy__process_interrupt(
    struct worker *worker, uint32_t i, enum eddy_outcome why)
{
	int64_t grace = worker->pool->options.grace;
	struct eddy_job *job = worker->jobs[i];

	eddy__process_take_back(worker);
	listen_to(worker); /* if it is done meanwhile, that wins */
	if (worker->jobs[i] != job || is_copied(worker, i))
		return -EALREADY;
	if (worker->state == LIVE && grace != 0) {
		A_STORE(&worker->channel->slots[i].report.stop, 1);
		worker->why = why;
		become(worker, ASKED, grace);
	} else if (worker->state != ASKED) {
		eddy__process_kill(worker, why);
	}
	return 0;
}

static void
on_bell(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	struct worker *worker = CONTAINER_OF(watch, struct worker, bell);

	(void)loop;
	(void)events;
	worker->pool->inside++;
	worker->bells++;
	listen_to(worker);
	if (worker->bells > BELLS)
		eddy__process_kill(worker, EDDY_PROTOCOL);
	eddy__process_leave(worker->pool);
}

/* One job of a worker that is no more. */
static void
settle_job(
    struct worker *worker, uint32_t i, const struct zygote_message *death)
{
	struct pool *pool = worker->pool;
	struct eddy_job *job = worker->jobs[i];
	struct eddy_worker_report *report = long_part(job)->report;
	enum eddy_outcome why = worker->why;
	bool fresh = eddy__process_reclaim(worker, i);

	/* Done, but it died before it could say so. */
	if (!fresh && why != EDDY_PROTOCOL &&
	    eddy__process_deliver(worker, i, SIZE_MAX) > 0)
		return;
	if (!fresh)
		eddy__process_take(worker, i);
	if (fresh && pool->link >= 0 && !is_closing(pool) &&
	    job->attempts < ATTEMPTS) {
		eddy__process_requeue(pool, job);
		return;
	}
	if (report != NULL)
		*report = (struct eddy_worker_report){.pid = worker->pid,
		    .code = death->code,
		    .status = death->status,
		    .why = why,
		    .stuck = death->op != Z_EXITED,
		    .usage = death->usage};
	if (why == EDDY_NONE && fresh)
		why = is_closing(pool) ? EDDY_CANCELLED : EDDY_LOST;
	if (why != EDDY_NONE)
		eddy__process_end_job(pool, job, why, -EPIPE);
	else
		eddy__process_end_job(pool, job,
		    death->code == CLD_EXITED ? EDDY_EXITED : EDDY_CRASHED,
		    death->status);
}

/* The worker is dead, or as good as dead: each of its jobs gets its due. */
static void
settle(struct worker *worker, const struct zygote_message *death)
{
	struct pool *pool = worker->pool;
	bool ready = worker->born != 0 ||
	             A_ACQUIRE(&worker->channel->ready) != 0;
	bool late = worker->state == DYING && worker->why == EDDY_EXPIRED;
	int error = A_LOAD(&worker->channel->error);
	uint64_t generation = worker->generation;
	uint32_t depth = pool->options.depth, n;

	if (error < LOWEST_RESULT)
		error = -EINVAL;
	if (worker->state == ASKED) /* its own end is what counts */
		worker->why = EDDY_NONE;
	if (worker->copied != 0) { /* the rest of it */
		eddy__process_deliver(worker, oldest_slot(worker), SIZE_MAX);
		worker->head++;
	}
	if (worker->why != EDDY_PROTOCOL &&
	    !eddy__process_drain(worker, SIZE_MAX))
		worker->why = EDDY_PROTOCOL;
	/* Only the oldest can have killed it. */
	if (oldest_job(worker) != NULL)
		oldest_job(worker)->attempts++;
	/* Newest first, so that those that go back stay in order. */
	for (n = worker->tail; n != worker->head; n--)
		if (worker->jobs[(n - 1) % depth] != NULL)
			settle_job(worker, (n - 1) % depth, death);
	eddy__process_release(worker);
	if (!ready && !is_closing(pool) && pool->link >= 0)
		back_off(pool, generation,
		    error < 0 ? error
		    : late    ? -ETIME
			      : -ECHILD,
		    true);
}

void
eddy__process_check(struct worker *worker)
{
	if (worker->due != 0 && worker->due <= eddy_now()) {
		if (worker->state == LIVE) /* it may go on just now */
			eddy__process_take_back(worker);
		listen_to(worker); /* it is in time, and we are late? */
	}
	if (worker->due == 0 || worker->due > eddy_now()) {
		eddy__process_wake_at(worker->pool, worker->due);
		return;
	}
	if (worker->state != DYING) {
		eddy__process_kill(worker,
		    worker->state == RETIRING ? EDDY_NONE : EDDY_EXPIRED);
		return;
	}
	/* Its jobs need not wait for its death, but its place must. */
	settle(worker, &(struct zygote_message){.op = Z_SPAWNED});
	worker->state = STUCK;
}

/* The zygote is gone and its workers with it; make sure, then settle. */
static void
lose_zygote(struct pool *pool)
{
	struct worker *worker;

	eddy_watch_stop(pool->home, &pool->link_watch);
	eddy__close(pool->link);
	pool->link = -1;
	A_STORE(&pool->broken, -EPIPE);
	for (EACH_WORKER(worker, pool)) {
		struct pollfd fd = {.fd = worker->pidfd, .events = POLLIN};

		if (!is_alive(worker))
			continue;
		eddy__process_kill(worker, EDDY_LOST);
		worker->why = EDDY_LOST;
		if (worker->pidfd >= 0) {
			eddy__poll(&fd, 1, DEATH_DURATION);
			/* What its jobs had started: the handle keeps the id
			 * of their group from being used again. */
			eddy__pidfd_kill_group(worker->pidfd, SIGKILL);
		}
		settle(worker, &(struct zygote_message){.op = Z_EXITED});
	}
	eddy__process_fail_queue(pool, EDDY_LOST, -EPIPE);
}

static void
hear(struct pool *pool, const struct zygote_message *news, int pidfd)
{
	struct worker *worker = &pool->workers[news->index];

	pool->spawning -= news->op != Z_EXITED;
	if (news->op == Z_SPAWNED) {
		worker->pid = news->pid;
		worker->pidfd = pidfd;
		pool->stats.workers++;
		if (pidfd < 0 && worker->channel != NULL) {
			/* Lost on the way: it must not get jobs. */
			eddy__process_retire(worker);
		} else if (worker->state == BOOT) {
			listen_to(worker); /* its bell may have come first */
		} else {                   /* killed meanwhile */
			eddy__pidfd_kill(pidfd, SIGKILL);
		}
	} else if (news->op == Z_FAILED) {
		uint64_t generation = worker->generation;

		eddy__process_release(worker);
		back_off(pool, generation, news->error, false);
	} else if (worker->state == STUCK) {
		eddy__process_release(worker);
	} else {
		settle(worker, news);
	}
}

void
eddy__process_hear(struct pool *pool)
{
	struct zygote_message news;
	int pidfd, r;

	pool->inside++;
	while (pool->link >= 0) {
		r = eddy__recv(pool->link, &news, sizeof(news), &pidfd, 1);
		if (r == -EAGAIN)
			break;
		if (r == (int)sizeof(news))
			hear(pool, &news, pidfd);
		else
			lose_zygote(pool);
	}
	eddy__process_leave(pool);
}
