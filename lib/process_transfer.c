/* SPDX-License-Identifier: ISC */
/*
 * process_transfer: jobs into the slots of a worker, and what comes of them.
 *
 * Whatever the worker can write is fetched once and checked; which job a slot
 * has, and how far the ring is, is only believed to the host's own table.
 */
#include <errno.h>

#include "process_impl.h"

enum { LARGE = 256 << 10 };     /* bytes; the pages of less are left */
#define TRIM_AFTER    EDDY_S(1) /* with no large job; faulting: 1 ms a MiB */
#define PASS_DURATION EDDY_S(1) /* for a worker to see what was taken back */

/* After a change of tail or quit: wake it if it sleeps or is about to. */
void
eddy__process_wake(struct channel *channel)
{
	A_ADD(&channel->wakes, 1);
	/* Pairs with the fence in wait_for_tail. */
	A_FENCE(&channel->asleep);
	if (A_LOAD(&channel->asleep) != 0)
		eddy__futex_wake(&channel->wakes, 1, true);
}

/* The oldest job may run now. */
static void
start_clock(struct worker *worker)
{
	struct eddy_job *job = oldest_job(worker);
	int64_t limit = long_part(job)->run_limit;

	if (job != NULL)
		job_note(job, JOB_AHEAD);
	worker->limit = limit > 0 ? eddy_after(limit) : 0;
	eddy__process_wake_at(worker->pool, worker->limit);
}

static void
note_size(struct worker *worker, size_t size)
{
	if (size < LARGE)
		return;
	worker->large_at = eddy_now();
	eddy__process_wake_at(worker->pool, worker->large_at + TRIM_AFTER);
}

void
eddy__process_trim(struct worker *worker)
{
	struct pool *pool = worker->pool;
	int64_t when = worker->large_at + TRIM_AFTER;

	if (worker->large_at == 0 || worker->reserved != NULL)
		return;
	if (when > eddy_now()) {
		eddy__process_wake_at(pool, when);
	} else if (worker->held != 0) {
		note_size(worker, LARGE); /* look again */
	} else {
		eddy__trim(eddy__process_area(worker, 0),
		    pool->options.slot_size * pool->options.depth);
		worker->large_at = 0;
	}
}

void
eddy__process_put(struct worker *worker, struct eddy_job *job)
{
	struct pool *pool = worker->pool;
	uint32_t i = worker->tail % pool->options.depth;
	struct slot *slot = &worker->channel->slots[i];
	int r = eddy__process_pack(worker, i, job);

	worker->deaf = r == -EPIPE;
	if (r == -EPIPE && job->attempts++ < ATTEMPTS) {
		eddy__process_requeue(pool, job);
		eddy__process_takes_more(worker, 0); /* no: it is to leave */
		return;
	}
	if (r < 0) {
		eddy__process_end_job(pool, job, EDDY_LOST, r);
		return;
	}
	note_size(worker, eddy__process_size_of(job));
	A_STORE(&slot->report.wanted,
	    long_part(job)->on_progress != NULL && job->door != NULL);
	A_STORE(&slot->report.count, 0);
	A_STORE(&slot->report.stop, 0);
	worker->reports[i] = 0;
	A_STORE(&job->state, JOB_RUNNING);
	worker->jobs[i] = job;
	worker->held++;
	pool->stats.running++;
	A_RELEASE(&slot->state, SLOT_QUEUED);
	if (worker->tail == worker->head)
		start_clock(worker);
	A_RELEASE(&worker->channel->tail, ++worker->tail);
	eddy__process_wake(worker->channel);
}

/* The job of a slot is somewhere else from now on. */
void
eddy__process_take(struct worker *worker, uint32_t i)
{
	worker->jobs[i] = NULL;
	worker->held--;
	worker->pool->stats.running--;
}

bool
eddy__process_reclaim(struct worker *worker, uint32_t i)
{
	if (is_copied(worker, i) ||
	    !A_SWAP(&worker->channel->slots[i].state, SLOT_QUEUED, SLOT_TAKEN))
		return false;
	eddy__process_take(worker, i);
	/* It passes that by at once, or it is stopped, or a liar. */
	if (worker->state == LIVE && i == oldest_slot(worker)) {
		worker->due = eddy_after(PASS_DURATION);
		eddy__process_wake_at(worker->pool, worker->due);
	}
	return true;
}

/* Newest first, so that they stay in order. */
void
eddy__process_take_back(struct worker *worker)
{
	uint32_t n;

	for (n = worker->tail; n != worker->head; n--) {
		uint32_t i = (n - 1) % worker->pool->options.depth;
		struct eddy_job *job = worker->jobs[i];

		if (job != NULL && eddy__process_reclaim(worker, i))
			eddy__process_requeue(worker->pool, job);
	}
}

/* Each job, and each word of one on its way, explains one bell. */
static void
explain(struct worker *worker, uint32_t bells)
{
	worker->bells -= bells < worker->bells ? bells : worker->bells;
}

/* What a job says of its progress, before its outcome. */
static void
hear_report(struct worker *worker, uint32_t i)
{
	struct report *report = &worker->channel->slots[i].report;
	struct eddy_job *job = worker->jobs[i];
	uint32_t count;

	if (long_part(job)->on_progress == NULL)
		return;
	count = A_ACQUIRE(&report->count);
	if (count == worker->reports[i])
		return;
	explain(worker, count - worker->reports[i]);
	worker->reports[i] = count;
	eddy__job_report(worker->pool->home, job, A_LOAD(&report->value));
}

int
eddy__process_deliver(struct worker *worker, uint32_t i, size_t limit)
{
	struct slot *slot = &worker->channel->slots[i];
	struct eddy_job *job = worker->jobs[i];
	int r = 0;

	if (worker->copied == 0) {
		if (A_ACQUIRE(&slot->state) != SLOT_DONE)
			return -EPROTO;
		worker->result = A_LOAD(&slot->result);
		if (worker->result < LOWEST_RESULT)
			return -EPROTO;
		hear_report(worker, i);
		r = eddy__process_unpack(worker, i, job);
		if (r == -EPROTO)
			return r;
	}
	if (r == 0 && !eddy__process_copy_back(worker, i, job, limit))
		return 0;
	worker->copied = 0;
	eddy__process_take(worker, i);
	eddy__process_end_job(worker->pool, job,
	    r < 0 ? EDDY_LOST : EDDY_RETURNED, r < 0 ? r : worker->result);
	return 1;
}

bool
eddy__process_drain(struct worker *worker, size_t limit)
{
	uint32_t head = A_ACQUIRE(&worker->channel->head), i;
	int r = 1;

	for (i = 0; i < worker->pool->options.depth; i++)
		hear_report(worker, i);
	if (head - worker->head > worker->tail - worker->head)
		return false;
	if (head == worker->head)
		return true;
	explain(worker, head - worker->head);
	if (worker->state == LIVE)
		worker->due = 0;
	for (; worker->head != head; worker->head++) {
		if (oldest_job(worker) != NULL) /* not taken back */
			r = eddy__process_deliver(
			    worker, oldest_slot(worker), limit);
		if (r < 0)
			return false;
		if (r == 0) { /* others have their turn first */
			eddy__ring(worker->bell.fd);
			return true;
		}
	}
	start_clock(worker);
	return true;
}

struct worker *
eddy__process_reserver(struct pool *pool, const struct eddy_job *job)
{
	struct worker *worker;

	if (pool->reserved != 0)
		for (EACH_WORKER(worker, pool))
			if (worker->reserved == job)
				return worker;
	return NULL;
}

int
eddy_job_reserve(
    struct eddy_executor *executor, struct eddy_job *job, uint32_t size)
{
	struct pool *pool = CONTAINER_OF(executor, struct pool, executor);
	int r = eddy__loop_ours(pool->home);
	struct worker *worker;

	if (r < 0)
		return r;
	if (job_is_out(job) || eddy__process_reserver(pool, job) != NULL)
		return -EBUSY;
	if (job->fn == eddy__transform_run)
		return -EINVAL;
	if (size > pool->options.slot_size)
		return -EMSGSIZE;
	if (A_LOAD(&pool->broken) != 0)
		return A_LOAD(&pool->broken);
	for (EACH_WORKER(worker, pool)) {
		if (!eddy__process_takes_more(worker, 0))
			continue;
		worker->reserved = job;
		pool->reserved++;
		job->executor = executor;
		job->size = size;
		worker->area = worker->tail % pool->options.depth;
		job->arg = eddy__process_area(worker, worker->area);
		return 0;
	}
	pool->wanted = pool->failures != 0;
	eddy__process_refill(pool);
	return -EAGAIN;
}

void
eddy_job_release(struct eddy_job *job)
{
	/* Of the strand that it was submitted to. */
	struct eddy_executor *inner = job->executor->inner;
	struct pool *pool = CONTAINER_OF(
	    inner != NULL ? inner : job->executor, struct pool, executor);
	struct worker *worker = eddy__process_reserver(pool, job);

	job->arg = NULL;
	if (worker == NULL || !executor_ours(&pool->executor))
		return;
	worker->reserved = NULL;
	pool->reserved--;
	note_size(worker, job->size);
	if (worker->state == KEPT)
		eddy__process_release(worker);
	pool->inside++;
	eddy__process_leave(pool);
}
