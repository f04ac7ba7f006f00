/* SPDX-License-Identifier: ISC */
/*
 * strand: one job at a time, in order, on another executor.
 *
 * The oldest job is handed to the inner executor, which treats it as any other;
 * when it has ended, in whatever thread, the next one goes.  A strand is busy
 * from the first hand-over until it finds its queue empty; only then may it be
 * freed, so nothing touches it after its job was handed on.
 */
#include <eddy/strand.h>

#include <errno.h>

#include "executor_impl.h"
#include "sys.h"

struct strand {
	struct eddy_executor executor; /* whose lock guards what follows */
	struct eddy_ready queue;
	unsigned queued, limit;
	unsigned ending;  /* taken back by a cancel, without an outcome yet */
	bool busy;        /* so long its memory stays */
	const char *name; /* of the job that the inner executor has; or NULL */
	bool holds; /* inner; else that is the caller's, and may be gone */
	pthread_cond_t idle;
	struct eddy_executor_stats stats;
};

/* What this thread hands over just now: an executor that runs jobs within its
 * submit must not make the stack as deep as the queue is long. */
struct handing {
	struct strand *strand;
	bool ended; /* already: the next one, please */
	struct handing *outer;
};

static _Thread_local struct handing *handing;

static struct strand *
strand_of(struct eddy_executor *executor)
{
	return CONTAINER_OF(executor, struct strand, executor);
}

static void
destroy(struct eddy_executor *executor)
{
	struct strand *strand = strand_of(executor);

	if (strand->holds)
		eddy__executor_drop(executor->inner);
	pthread_cond_destroy(&strand->idle);
	eddy_executor_fini(&strand->executor);
	eddy__free(strand);
}

/* With the lock: to be handed to the inner executor. */
static void
mark(struct strand *strand, struct eddy_job *job)
{
	job_set_flag(job, JOB_HANDED, true);
	strand->name = job_name(job);
}

/* With the lock: is no job left? */
static void
tell_drain(struct strand *strand)
{
	if (!strand->busy && strand->ending == 0 &&
	    A_LOAD(&strand->executor.drains) != 0 &&
	    strand->executor.waiting == 0)
		eddy_executor_drained(&strand->executor);
}

/* With the lock: out of the queue, for its turn or its end.  Its node is no sign
 * of that: it may be on its way through a door by then. */
static struct eddy_job *
unqueue(struct strand *strand, struct eddy_job *job)
{
	A_STORE(&job->state, JOB_QUEUED);
	list_remove(&job->ready);
	strand->queued--;
	return job;
}

/* With the lock: the next job, or NULL. */
static struct eddy_job *
pop(struct strand *strand)
{
	struct eddy_job *job;

	if (list_empty(&strand->queue))
		return NULL;
	job = unqueue(strand, job_of(strand->queue.next));
	mark(strand, job);
	return job;
}

/* The next job; or NULL, and the strand is idle, and perhaps gone. */
static struct eddy_job *
take_next(struct strand *strand)
{
	struct eddy_job *job;

	pthread_mutex_lock(&strand->executor.lock);
	job = pop(strand);
	if (job == NULL) {
		strand->busy = false;
		tell_drain(strand);
		pthread_cond_signal(&strand->idle);
	}
	pthread_mutex_unlock(&strand->executor.lock);
	if (job == NULL)
		eddy__executor_drop(&strand->executor);
	return job;
}

/* job was handed over in vain: it ends. */
static void
refuse(struct strand *strand, struct eddy_job *job, int r)
{
	enum eddy_outcome why = A_LOAD(&job->stop);

	if (why == EDDY_NONE)
		why = r == -ESHUTDOWN ? EDDY_CANCELLED : EDDY_LOST;
	pthread_mutex_lock(&strand->executor.lock);
	job_set_flag(job, JOB_HANDED, false);
	eddy__stats_count(&strand->stats, why, 1);
	strand->name = NULL;
	pthread_mutex_unlock(&strand->executor.lock);
	eddy_job_end(job, why, r);
}

/* 0, -errno, or 1: it has ended, and nobody has taken the next one. */
static int
hand_over(struct strand *strand, struct eddy_job *job)
{
	struct handing here = {strand, false, handing};
	int r;

	handing = &here;
	r = eddy__job_enqueue(strand->executor.inner, job);
	handing = here.outer;
	return r == 0 && here.ended ? 1 : r;
}

/* From job on (NULL: there is none), until one is on its way. */
static void
hand_on(struct eddy_executor *executor, struct eddy_job *job)
{
	struct strand *strand = strand_of(executor);
	int r = 1;

	while (r != 0 && (job != NULL || (job = take_next(strand)) != NULL)) {
		eddy_executor_room(executor, 1);
		r = hand_over(strand, job);
		if (r < 0)
			refuse(strand, job, r);
		job = NULL;
	}
}

static bool
ended(struct eddy_executor *executor, enum eddy_outcome outcome,
    struct eddy_job **ret_next)
{
	struct strand *strand = strand_of(executor);
	struct handing *here = handing;

	pthread_mutex_lock(&executor->lock);
	eddy__stats_count(&strand->stats, outcome, 1);
	strand->name = NULL;
	while (here != NULL && here->strand != strand)
		here = here->outer;
	*ret_next = here == NULL ? pop(strand) : NULL;
	if (here != NULL)
		here->ended = true;
	pthread_mutex_unlock(&executor->lock);
	return here == NULL;
}

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct strand *strand = strand_of(executor);
	bool first = false;
	int r = 0;

	pthread_mutex_lock(&executor->lock);
	if (executor_refuses(executor, job)) {
		r = -ESHUTDOWN;
	} else if (!strand->busy) {
		strand->busy = first = true;
		eddy__executor_hold(executor);
		mark(strand, job);
	} else if (strand->queued < strand->limit) {
		A_STORE(&job->state, JOB_LISTED);
		list_push(&strand->queue, &job->ready);
		strand->queued++;
	} else {
		r = -EAGAIN;
	}
	strand->stats.submitted += r == 0;
	pthread_mutex_unlock(&executor->lock);
	if (first)
		r = hand_over(strand, job);
	if (r < 0 && first) {
		pthread_mutex_lock(&executor->lock);
		job_set_flag(job, JOB_HANDED, false);
		strand->name = NULL;
		strand->stats.submitted--;
		pthread_mutex_unlock(&executor->lock);
	}
	if (r != 0 && first) /* with those that came meanwhile */
		hand_on(executor, NULL);
	return r < 0 ? r : 0;
}

static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	struct strand *strand = strand_of(executor);
	struct eddy_executor *inner = executor->inner;
	bool handed, ours;

	pthread_mutex_lock(&executor->lock);
	handed = (job_flags(job) & JOB_HANDED) != 0;
	ours = !handed && A_LOAD(&job->state) == JOB_LISTED;
	if (ours) {
		unqueue(strand, job);
		eddy__stats_count(&strand->stats, outcome, 1);
		strand->ending++;
		eddy__executor_hold(executor);
	}
	pthread_mutex_unlock(&executor->lock);
	if (handed)
		return inner->ops->cancel(inner, job, outcome);
	if (!ours)
		return 0; /* it is on its way; stop is set */
	eddy_executor_room(executor, 1);
	eddy_job_end(job, outcome, 0);
	pthread_mutex_lock(&executor->lock);
	strand->ending--;
	tell_drain(strand);
	pthread_cond_signal(&strand->idle);
	pthread_mutex_unlock(&executor->lock);
	eddy__executor_drop(executor);
	return 0;
}

static int
close_strand(struct eddy_executor *executor, int64_t duration)
{
	struct strand *strand = strand_of(executor);
	int64_t deadline = eddy_after(duration);
	struct eddy_loop *home;
	struct eddy_job *job;
	int r = 0;

	if (!executor_ours(executor)) {
		eddy__free(strand); /* who had it is not here */
		return 0;
	}
	home = executor->inner->home;
	if (home != NULL && eddy__loop_here(home))
		deadline = 0; /* it cannot end while we wait here */
	pthread_mutex_lock(&executor->lock);
	while (!list_empty(&strand->queue)) {
		job = unqueue(strand, job_of(strand->queue.next));
		pthread_mutex_unlock(&executor->lock);
		eddy_job_end(job, EDDY_CANCELLED, 0);
		pthread_mutex_lock(&executor->lock);
	}
	/* Only a job is late: what comes after it, or the cancel of another
	 * thread, does not take long. */
	while ((strand->busy || strand->ending != 0) &&
	       (strand->name == NULL || (deadline != 0 && r != -ETIMEDOUT)))
		r = eddy__cond_wait(&strand->idle, &executor->lock,
		    strand->name != NULL ? deadline : EDDY_FOREVER);
	if (strand->busy && executor->names != 0)
		executor->ret_names[0] = strand->name;
	r = strand->busy ? -ETIME : 0;
	pthread_mutex_unlock(&executor->lock);
	eddy__executor_drop(executor);
	return r;
}

static void
describe(struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	struct strand *strand = strand_of(executor);

	pthread_mutex_lock(&executor->lock);
	*ret_stats = strand->stats;
	ret_stats->queued = strand->queued;
	ret_stats->running = strand->name != NULL;
	pthread_mutex_unlock(&executor->lock);
}

static unsigned
list_workers(
    struct eddy_executor *executor, struct eddy_worker *ret_workers, unsigned n)
{
	struct strand *strand = strand_of(executor);

	pthread_mutex_lock(&executor->lock);
	n = eddy__list_jobs(&strand->queue, ret_workers, 0, n);
	pthread_mutex_unlock(&executor->lock);
	return n;
}

static void
drain(struct eddy_executor *executor)
{
	struct strand *strand = strand_of(executor);

	pthread_mutex_lock(&executor->lock);
	tell_drain(strand);
	pthread_mutex_unlock(&executor->lock);
}

int
eddy_strand_open(struct eddy_executor **ret_executor,
    struct eddy_executor *inner, unsigned queue_limit)
{
	static const struct eddy_executor_ops ops = {"strand", submit, cancel,
	    close_strand, describe, drain, list_workers};
	struct strand *strand;

	if (inner->inner != NULL)
		return -EINVAL; /* in order already */
	strand = eddy__alloc(sizeof(*strand));
	if (strand == NULL)
		return -ENOMEM;
	eddy_executor_init(&strand->executor, &ops);
	strand->executor.inner = inner;
	strand->executor.destroy = destroy;
	eddy__executor_hold(inner);
	strand->holds = inner->destroy != NULL;
	strand->executor.ours = inner->ours;
	strand->executor.elsewhere = inner->elsewhere;
	strand->executor.ended = ended;
	strand->executor.hand_on = hand_on;
	strand->limit = queue_limit != 0 ? queue_limit : QUEUE_LIMIT;
	list_init(&strand->queue);
	eddy__cond_init(&strand->idle);
	*ret_executor = &strand->executor;
	return 0;
}
