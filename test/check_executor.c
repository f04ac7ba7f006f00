/* SPDX-License-Identifier: ISC */
#include <eddy/executor.h>
#include <eddy/offload.h>
#include <eddy/strand.h>
#include <eddy/thread_pool.h>
#include <eddy/timer.h>

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "census.h"
#include "threads.h"
#include "executor_impl.h"
#include "loop_impl.h"
#include "sys.h"

/* Allocations fail on demand. */
/* link: -Wl,--wrap=eddy__alloc */
void *__real_eddy__alloc(size_t size);
void *__wrap_eddy__alloc(size_t size);
static bool no_memory;

void *
__wrap_eddy__alloc(size_t size)
{
	return no_memory ? NULL : __real_eddy__alloc(size);
}

/* A worker's job is over and its outcome not told until the test says so. */
/* link: -Wl,--wrap=eddy__job_publish */
void __real_eddy__job_publish(struct outlet *outlet, struct eddy_job *job);
void __wrap_eddy__job_publish(struct outlet *outlet, struct eddy_job *job);
static bool held_back;
static sem_t settled, tell;

void
__wrap_eddy__job_publish(struct outlet *outlet, struct eddy_job *job)
{
	if (held_back) {
		sem_post(&settled);
		wait_for(&tell);
	}
	__real_eddy__job_publish(outlet, job);
}

_Static_assert(sizeof(struct eddy_job) <= 96, "one and a half cache lines");

static char ran[32], heard[32]; /* letters of jobs, in their order */

static void
note(char *trace, char letter)
{
	size_t n = strlen(trace);

	ck_assert_uint_lt(n + 1, sizeof(ran));
	trace[n] = letter;
	trace[n + 1] = '\0';
}

static int
run_letter(void *arg)
{
	note(ran, *(char *)arg);
	return *(char *)arg;
}

static void
turn(struct eddy_loop *loop)
{
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

/* Executors of a user's, from the public table only. */

static int
no_cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	(void)executor, (void)job, (void)outcome;
	return -EALREADY;
}

static int
plain_close(struct eddy_executor *executor, int64_t duration)
{
	(void)duration;
	eddy_executor_fini(executor);
	return 0;
}

static void
describe_seven(struct eddy_executor *executor, struct eddy_executor_stats *ret)
{
	(void)executor;
	*ret = (struct eddy_executor_stats){.submitted = 7};
}

static int
run_at_once(struct eddy_executor *executor, struct eddy_job *job)
{
	(void)executor;
	ck_assert(eddy_job_begin(job));
	eddy_job_end(job, EDDY_RETURNED, job->fn(job->arg));
	return 0;
}

static const struct eddy_executor_ops inline_ops = {
    "inline", run_at_once, no_cancel, plain_close, describe_seven, NULL, NULL};

/* Gives every job the outcome that the test asks for. */
static enum eddy_outcome fate;
static int fate_result;

static int
end_at_once(struct eddy_executor *executor, struct eddy_job *job)
{
	(void)executor;
	eddy_job_end(job, fate, fate_result);
	return 0;
}

static const struct eddy_executor_ops fate_ops = {
    "fate", end_at_once, no_cancel, plain_close, describe_seven, NULL, NULL};

/* A bounded queue that runs nothing by itself: the test does. */
struct manual {
	struct eddy_executor executor;
	pthread_mutex_t lock; /* guards the rest */
	struct eddy_job *queue[8];
	unsigned limit, count;
	unsigned calls; /* of submit */
	int refusal;    /* what the next submit answers, unless 0 */
	bool closed;
	sem_t taken; /* posted for each job that came in */
	sem_t held;  /* posted when a submit waits for ... */
	sem_t *hold; /* ... this one, unless NULL */
};

static int
manual_submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct manual *m = (struct manual *)executor;
	int r;

	if (m->hold != NULL) {
		sem_post(&m->held);
		wait_for(m->hold);
	}
	pthread_mutex_lock(&m->lock);
	ck_assert(!m->closed);
	m->calls++;
	r = m->refusal;
	m->refusal = 0;
	if (r == 0 && m->count == m->limit)
		r = -EAGAIN;
	if (r == 0)
		m->queue[m->count++] = job;
	pthread_mutex_unlock(&m->lock);
	if (r == 0)
		sem_post(&m->taken);
	return r;
}

/* Job (NULL: the oldest) out of the queue, or NULL. */
static struct eddy_job *
take_out(struct manual *m, struct eddy_job *job)
{
	struct eddy_job *found = NULL;
	unsigned i;

	pthread_mutex_lock(&m->lock);
	for (i = 0; i < m->count; i++)
		if (found != NULL)
			m->queue[i - 1] = m->queue[i];
		else if (job == NULL || m->queue[i] == job)
			found = m->queue[i];
	m->count -= found != NULL;
	pthread_mutex_unlock(&m->lock);
	return found;
}

static int
manual_cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	if (take_out((struct manual *)executor, job) == NULL)
		return -EALREADY;
	eddy_job_end(job, outcome, 0);
	eddy_executor_room(executor, 1);
	return 0;
}

static int
manual_close(struct eddy_executor *executor, int64_t duration)
{
	struct manual *m = (struct manual *)executor;
	struct eddy_job *job;

	m->closed = true;
	while ((job = take_out(m, NULL)) != NULL)
		eddy_job_end(job, EDDY_CANCELLED, 0);
	return plain_close(executor, duration);
}

static void
manual_describe(struct eddy_executor *executor, struct eddy_executor_stats *ret)
{
	struct manual *m = (struct manual *)executor;

	*ret = (struct eddy_executor_stats){.queued = m->count};
}

static const struct eddy_executor_ops manual_ops = {"manual", manual_submit,
    manual_cancel, manual_close, manual_describe, NULL, NULL};

static void
manual_init(struct manual *m, unsigned limit)
{
	*m = (struct manual){.limit = limit};
	eddy_executor_init(&m->executor, &manual_ops);
	pthread_mutex_init(&m->lock, NULL);
	sem_init(&m->taken, 0, 0);
	sem_init(&m->held, 0, 0);
}

static void
run_one(struct manual *m)
{
	struct eddy_job *job = take_out(m, NULL);

	ck_assert_ptr_nonnull(job);
	ck_assert(eddy_job_begin(job));
	eddy_job_end(job, EDDY_RETURNED, job->fn(job->arg));
	eddy_executor_room(&m->executor, 1);
}

static void
close_both(struct manual *m, struct eddy_loop *loop)
{
	if (!m->closed)
		ck_assert_int_eq(eddy_executor_close(&m->executor, 0), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}

/* A job with a callback. */
struct call {
	struct eddy_job job;
	char letter;
	int times; /* heard of */
	int again; /* to be submitted in the callback */
};

static void
on_call(struct eddy_loop *loop, struct eddy_job *job)
{
	struct call *call = (struct call *)job;

	note(heard, call->letter);
	call->times++;
	if (call->again-- > 0)
		ck_assert_int_eq(
		    eddy_submit(job->executor, job, loop, on_call), 0);
}

static struct call *
call_init(struct call *call, char letter)
{
	*call = (struct call){.letter = letter};
	call->job = (struct eddy_job)EDDY_JOB(run_letter, &call->letter);
	return call;
}

START_TEST(a_users_table_is_an_executor)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_executor executor;
	struct eddy_executor_stats stats;
	struct call call;

	eddy_executor_init(&executor, &inline_ops);
	call_init(&call, 'a');
	ck_assert_int_eq(eddy_submit(&executor, &call.job, loop, on_call), 0);
	ck_assert_str_eq(ran, "a");
	ck_assert_str_eq(heard, ""); /* not from within submit */
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(heard, "a");
	ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(call.job.result, 'a');
	eddy_executor_stats(&executor, &stats);
	ck_assert_uint_eq(stats.submitted, 7);
	ck_assert_int_eq(eddy_executor_close(&executor, 0), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_loop_waits_awake_for_a_second_at_most)
{
	struct eddy_loop_options options = {.spin_duration = EDDY_S(100)};
	struct eddy_loop *loop;

	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	turn(loop);
	ck_assert_int_eq(loop->spin.duration, EDDY_S(1));
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(outcome_and_result_are_two_things)
{
	static const struct {
		enum eddy_outcome outcome;
		int result, rc;
	} all[] = {
	    {EDDY_RETURNED, 0, 0},
	    {EDDY_RETURNED, 12, 12},
	    {EDDY_RETURNED, -ETIMEDOUT, -ETIMEDOUT},
	    {EDDY_CRASHED, SIGSEGV, -EOWNERDEAD},
	    {EDDY_EXITED, 3, -EOWNERDEAD},
	    {EDDY_EXPIRED, 0, -ETIME},
	    {EDDY_CANCELLED, 0, -ECANCELED},
	    {EDDY_LOST, -ENOMEM, -ENOMEM},
	    {EDDY_PROTOCOL, 0, -EPROTO},
	};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor executor;
	struct call call;
	size_t i;

	eddy_executor_init(&executor, &fate_ops);
	call_init(&call, 'a');
	ck_assert_int_eq(eddy_job_rc(&call.job), -EINPROGRESS);
	for (i = 0; i < COUNT_OF(all); i++) {
		fate = all[i].outcome;
		fate_result = all[i].result;
		ck_assert_int_eq(
		    eddy_submit(&executor, &call.job, loop, on_call), 0);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		ck_assert_int_eq(call.job.outcome, all[i].outcome);
		ck_assert_int_eq(call.job.result, all[i].result);
		ck_assert_int_eq(eddy_job_rc(&call.job), all[i].rc);
	}
	ck_assert_int_eq(eddy_executor_close(&executor, 0), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(submit_checks_its_arguments)
{
	struct eddy_loop *loop = census_loop();
	struct manual m;
	struct call call;

	manual_init(&m, 8);
	call_init(&call, 'a');
	ck_assert_int_eq(
	    eddy_submit(&m.executor, &call.job, loop, NULL), -EINVAL);
	ck_assert_int_eq(
	    eddy_submit(&m.executor, &call.job, NULL, on_call), -EINVAL);
	call.job.fn = NULL;
	ck_assert_int_eq(
	    eddy_submit(&m.executor, &call.job, loop, on_call), -EINVAL);
	ck_assert_uint_eq(m.calls, 0);
	close_both(&m, loop);
}
END_TEST

START_TEST(a_job_that_is_out_is_busy)
{
	struct eddy_loop *loop = census_loop();
	struct manual m;
	struct call call;

	manual_init(&m, 8);
	call_init(&call, 'a');
	ck_assert_int_eq(eddy_submit(&m.executor, &call.job, loop, on_call), 0);
	ck_assert_int_eq(
	    eddy_submit(&m.executor, &call.job, loop, on_call), -EBUSY);
	ck_assert_int_eq(
	    eddy_submit(&m.executor, &call.job, NULL, NULL), -EBUSY);
	ck_assert_int_eq(eddy_loop_close(loop), -EBUSY);
	run_one(&m);
	ck_assert_int_eq(eddy_loop_close(loop), -EBUSY);
	turn(loop);
	ck_assert_int_eq(call.times, 1);
	close_both(&m, loop);
}
END_TEST

START_TEST(a_job_is_out_until_its_outcome_was_heard)
{
	struct eddy_loop *loop = census_loop();
	struct manual m;
	struct call call;

	manual_init(&m, 8);
	call_init(&call, 'a');
	ck_assert_int_eq(eddy_submit(&m.executor, &call.job, loop, on_call), 0);
	run_one(&m);
	ck_assert_int_eq(
	    eddy_submit(&m.executor, &call.job, loop, on_call), -EBUSY);
	turn(loop);
	ck_assert_int_eq(call.times, 1);
	ck_assert_int_eq(eddy_submit(&m.executor, &call.job, loop, on_call), 0);
	run_one(&m);
	turn(loop);
	ck_assert_int_eq(call.times, 2);
	close_both(&m, loop);
}
END_TEST

START_TEST(a_job_may_be_submitted_in_its_callback)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_executor executor;
	struct call call;

	eddy_executor_init(&executor, &inline_ops);
	call_init(&call, 'a')->again = 3;
	ck_assert_int_eq(eddy_submit(&executor, &call.job, loop, on_call), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(ran, "aaaa");
	ck_assert_str_eq(heard, "aaaa");
	ck_assert_int_eq(eddy_executor_close(&executor, 0), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_refused_job_is_the_callers_again)
{
	struct eddy_loop *loop = census_loop();
	struct manual m;
	struct call a, b;

	manual_init(&m, 1);
	call_init(&a, 'a');
	call_init(&b, 'b');
	ck_assert_int_eq(eddy_submit(&m.executor, &a.job, loop, on_call), 0);
	ck_assert_int_eq(
	    eddy_submit(&m.executor, &b.job, loop, on_call), -EAGAIN);
	ck_assert_int_eq(eddy_job_cancel(&b.job), -EALREADY);
	ck_assert_int_eq(eddy_submit(&m.executor, &b.job, NULL, NULL), -EAGAIN);
	ck_assert_int_eq(eddy_job_wait(&b.job, EDDY_FOREVER), -EINVAL);
	run_one(&m);
	ck_assert_int_eq(eddy_submit(&m.executor, &b.job, loop, on_call), 0);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(heard, "ab");
	close_both(&m, loop);
}
END_TEST

START_TEST(a_cancelled_job_never_runs)
{
	struct eddy_loop *loop = census_loop();
	struct manual m;
	struct call a, b;

	manual_init(&m, 8);
	call_init(&a, 'a');
	call_init(&b, 'b');
	ck_assert_int_eq(eddy_job_cancel(&a.job), -EALREADY); /* not out */
	ck_assert_int_eq(eddy_submit(&m.executor, &a.job, loop, on_call), 0);
	ck_assert_int_eq(eddy_submit(&m.executor, &b.job, loop, on_call), 0);
	ck_assert_int_eq(eddy_job_cancel(&a.job), 0);
	ck_assert(!eddy_job_begin(&a.job));
	ck_assert_int_eq(eddy_job_cancel(&a.job), -EALREADY);
	ck_assert_str_eq(heard, "");
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "b");
	ck_assert_str_eq(heard, "ab");
	ck_assert_int_eq(eddy_job_rc(&a.job), -ECANCELED);
	ck_assert_int_eq(eddy_job_cancel(&b.job), -EALREADY);
	ck_assert_int_eq(b.job.result, 'b');
	close_both(&m, loop);
}
END_TEST

START_TEST(begin_is_won_once)
{
	struct manual m;
	struct call call;

	manual_init(&m, 8);
	call_init(&call, 'a');
	ck_assert_int_eq(eddy_submit(&m.executor, &call.job, NULL, NULL), 0);
	ck_assert(eddy_job_begin(&call.job));
	ck_assert(!eddy_job_begin(&call.job));
	take_out(&m, NULL);
	eddy_job_end(&call.job, EDDY_RETURNED, 3);
	ck_assert_int_eq(eddy_job_wait(&call.job, 0), 3);
	ck_assert_int_eq(eddy_executor_close(&m.executor, 0), 0);
}
END_TEST

START_TEST(stop_is_asked_of_nobody_outside_a_job)
{
	ck_assert(!eddy_job_stop_requested());
}
END_TEST

/* A submit that takes its time to refuse, while the loop falls asleep. */
static sem_t refusing, refuse;
static uint32_t over;

static int
refuse_slowly(struct eddy_executor *executor, struct eddy_job *job)
{
	(void)executor, (void)job;
	sem_post(&refusing);
	wait_for(&refuse);
	return -EAGAIN;
}

static const struct eddy_executor_ops slow_ops = {
    "slow", refuse_slowly, no_cancel, plain_close, describe_seven, NULL, NULL};

struct refused {
	struct eddy_executor executor;
	struct eddy_loop *loop;
	struct call call;
};

static void *
be_refused(void *arg)
{
	struct refused *r = arg;

	ck_assert_int_eq(
	    eddy_submit(&r->executor, &r->call.job, r->loop, on_call), -EAGAIN);
	return NULL;
}

static void *
let_refuse(void *arg)
{
	struct eddy_loop *loop = arg;

	while (A_LOAD(&loop->door->stack) != &loop->door->asleep &&
	       A_LOAD(&over) == 0)
		sched_yield();
	sem_post(&refuse);
	return NULL;
}

/* It is on its way to being refused, in a thread of its own. */
static void
refused_begin(struct refused *r, pthread_t *thread)
{
	sem_init(&refusing, 0, 0);
	sem_init(&refuse, 0, 0);
	eddy_executor_init(&r->executor, &slow_ops);
	call_init(&r->call, 'a');
	start_thread(thread, be_refused, r);
	wait_for(&refusing);
}

static void
refused_end(struct refused *r)
{
	ck_assert_int_eq(eddy_executor_close(&r->executor, 0), 0);
	ck_assert_int_eq(eddy_loop_close(r->loop), 0);
}

START_TEST(a_refused_job_does_not_keep_the_loop_running)
{
	struct refused r = {.loop = census_loop()};
	pthread_t refused, refuser;

	refused_begin(&r, &refused);
	start_thread(&refuser, let_refuse, r.loop);
	ck_assert_int_eq(eddy_loop_run(r.loop), 0);
	A_STORE(&over, 1);
	join(refused);
	join(refuser);
	refused_end(&r);
}
END_TEST

/* The same just before the loop falls asleep, when it has looked at its jobs. */
static pthread_t refused_late;

static void
refuse_now(struct eddy_loop *loop, bool last)
{
	if (!last)
		return;
	loop->cork.executor = NULL;
	sem_post(&refuse);
	join(refused_late);
}

static void
on_time(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)timer;
	note(heard, 't');
	eddy_loop_stop(loop);
}

START_TEST(a_refused_job_does_not_hold_a_virtual_clock)
{
	struct eddy_clock clock = {.now = 1};
	struct eddy_loop_options options = {.clock = &clock};
	struct refused r;
	struct eddy_timer timer;

	ck_assert_int_eq(eddy_loop_open(&r.loop, &options), 0);
	refused_begin(&r, &refused_late);
	r.loop->cork.executor = &r.executor; /* has something to do by then */
	r.loop->cork.flush = refuse_now;
	eddy_timer_init(&timer, on_time);
	ck_assert_int_eq(eddy_timer_start(r.loop, &timer, EDDY_S(1000)), 0);
	ck_assert_int_eq(eddy_loop_run(r.loop), 0);
	ck_assert_str_eq(heard, "t");
	refused_end(&r);
}
END_TEST

/* An executor whose memory is the library's, as a pool's is. */
static struct {
	struct eddy_executor executor;
	struct call call;
	struct eddy_post post, end;
	struct eddy_executor *strand; /* in front of it; or NULL */
	uint32_t destroyed;           /* any thread */
} lent;

static void
destroy_lent(struct eddy_executor *executor)
{
	eddy_executor_fini(executor);
	A_RELEASE(&lent.destroyed, 1);
}

static void
submit_to_lent(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	ck_assert_int_eq(
	    eddy_submit(&lent.executor, &lent.call.job, loop, on_call), 0);
	eddy__executor_drop(&lent.executor); /* as its close would */
}

static void
let_end(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	ck_assert_int_eq(eddy_loop_release(loop), 0);
}

static void *
see_destroyed(void *arg)
{
	while (A_ACQUIRE(&lent.destroyed) == 0)
		sched_yield();
	sem_post(&refuse);
	eddy_post_init(&lent.end, let_end);
	eddy_post(arg, &lent.end);
	return NULL;
}

/* _i: it is let go when the loop sleeps, or between steps. */
START_TEST(a_refused_job_keeps_no_closed_executor)
{
	struct refused r = {.loop = census_loop()};
	pthread_t refused, other;

	refused_begin(&r, &refused);
	eddy_executor_init(&lent.executor, &fate_ops);
	lent.executor.destroy = destroy_lent;
	fate = EDDY_RETURNED;
	call_init(&lent.call, 'b');
	eddy_post_init(&lent.post, submit_to_lent);
	eddy_post(r.loop, &lent.post);
	if (_i == 0) {
		eddy_loop_hold(r.loop);
		start_thread(&other, see_destroyed, r.loop);
		ck_assert_int_eq(eddy_loop_run(r.loop), 0);
		join(other);
	} else {
		while (heard[0] == '\0')
			turn(r.loop);
		ck_assert_int_eq(A_LOAD(&lent.destroyed), 1);
		sem_post(&refuse);
	}
	join(refused);
	refused_end(&r);
}
END_TEST

/* Its last outcome: what its memory is used for now looks like one more. */
static void
reuse_lent(struct eddy_loop *loop, struct eddy_job *job)
{
	on_call(loop, job);
	if (lent.strand != NULL)
		ck_assert_int_eq(eddy_executor_close(lent.strand, 0), 0);
	lent.executor.destroy = destroy_lent;
}

static void
submit_to_own(struct eddy_loop *loop, struct eddy_post *post)
{
	struct eddy_executor *executor = lent.strand != NULL ? lent.strand
	                                                     : &lent.executor;

	(void)post;
	ck_assert_int_eq(
	    eddy_submit(executor, &lent.call.job, loop, reuse_lent), 0);
}

static struct eddy_executor another;

static void
submit_to_other(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	ck_assert_int_eq(
	    eddy_submit(&another, &lent.call.job, loop, on_call), 0);
}

/* _i: it is behind a strand. */
START_TEST(an_executor_of_a_user_may_go_with_its_last_outcome)
{
	struct refused r = {.loop = census_loop()};
	struct eddy_post post;
	pthread_t refused;

	refused_begin(&r, &refused);
	eddy_executor_init(&lent.executor, &fate_ops);
	if (_i == 1)
		ck_assert_int_eq(
		    eddy_strand_open(&lent.strand, &lent.executor, 0), 0);
	eddy_executor_init(&another, &fate_ops);
	fate = EDDY_RETURNED;
	call_init(&lent.call, 'b');
	eddy_post_init(&lent.post, submit_to_own);
	eddy_post(r.loop, &lent.post);
	while (heard[0] == '\0')
		turn(r.loop);
	eddy_post_init(&post, submit_to_other);
	eddy_post(r.loop, &post);
	while (heard[1] == '\0')
		turn(r.loop);
	ck_assert_int_eq(A_LOAD(&lent.destroyed), 0);
	eddy_executor_fini(&lent.executor);
	sem_post(&refuse);
	join(refused);
	ck_assert_int_eq(eddy_executor_close(&another, 0), 0);
	refused_end(&r);
}
END_TEST

/* Waiting for room. */

struct waiter {
	struct eddy_task task;
	struct eddy_executor *executor;
	struct eddy_job job;
	int64_t timeout; /* 0: none */
	pthread_t thread;
	int rc;
	char letter;
};

static eddy_step
waiter(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct waiter, f);
	if (f->timeout != 0)
		EDDY_AWAIT(
		    f->rc, eddy_timeout(self, f->timeout,
			       eddy_job_run(self, f->executor, &f->job)));
	else
		EDDY_AWAIT(f->rc, eddy_job_run(self, f->executor, &f->job));
	f->thread = pthread_self();
	note(heard, f->letter);
	EDDY_END;
}

static struct waiter *
waiter_init(struct waiter *w, struct manual *m, char letter)
{
	(void)EDDY_INIT(w, waiter, .executor = &m->executor, .letter = letter);
	w->job = (struct eddy_job)EDDY_JOB(run_letter, &w->letter);
	w->rc = EDDY_PENDING;
	return w;
}

/* Tasks a, b, c... run their jobs: as many as the limit are in the queue, the
 * others wait. */
static struct eddy_loop *
start_waiters(struct manual *m, unsigned limit, struct waiter *w, int n)
{
	struct eddy_loop *loop = census_loop();
	int i;

	manual_init(m, limit);
	for (i = 0; i < n; i++) {
		waiter_init(&w[i], m, (char)('a' + i));
		ck_assert_int_eq(eddy_loop_spawn(loop, &w[i].task, NULL), 0);
	}
	turn(loop);
	ck_assert_uint_eq(m->count, limit);
	return loop;
}

START_TEST(waiters_are_served_in_their_order)
{
	struct waiter w[6];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 6);
	int i;

	for (i = 0; i < 6; i++) {
		ck_assert_int_eq(w[i].rc, EDDY_PENDING);
		run_one(&m);
		turn(loop);
		ck_assert_int_eq(w[i].rc, 'a' + i);
	}
	ck_assert_str_eq(ran, "abcdef");
	ck_assert_str_eq(heard, "abcdef");
	close_both(&m, loop);
}
END_TEST

START_TEST(room_for_several_is_told_to_as_many)
{
	struct waiter w[6];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 6);
	int i;

	m.limit = 4;
	eddy_executor_room(&m.executor, 3);
	turn(loop);
	ck_assert_uint_eq(m.count, 4);
	for (i = 0; i < 4; i++)
		ck_assert_ptr_eq(m.queue[i], &w[i].job);
	for (i = 0; i < 6; i++) {
		run_one(&m);
		turn(loop);
	}
	ck_assert_str_eq(heard, "abcdef");
	close_both(&m, loop);
}
END_TEST

START_TEST(room_without_waiters_is_nothing)
{
	struct waiter w[2];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 1);

	eddy_executor_room(&m.executor, 5);
	waiter_init(&w[1], &m, 'b');
	ck_assert_int_eq(eddy_loop_spawn(loop, &w[1].task, NULL), 0);
	turn(loop);
	ck_assert_uint_eq(m.count, 1);
	run_one(&m);
	turn(loop);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(heard, "ab");
	close_both(&m, loop);
}
END_TEST

START_TEST(room_that_is_none_leaves_the_order_alone)
{
	struct waiter w[4];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 4);
	int i;

	eddy_executor_room(&m.executor, 2); /* a lie */
	turn(loop);
	ck_assert_uint_eq(m.count, 1);
	for (i = 0; i < 4; i++) {
		run_one(&m);
		turn(loop);
	}
	ck_assert_str_eq(heard, "abcd");
	close_both(&m, loop);
}
END_TEST

START_TEST(a_plain_submit_is_refused_while_others_wait)
{
	struct waiter w[2];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 2);
	struct call call;
	unsigned calls = m.calls;

	call_init(&call, 'x');
	m.limit = 3; /* there would be room */
	ck_assert_int_eq(
	    eddy_submit(&m.executor, &call.job, loop, on_call), -EAGAIN);
	ck_assert_uint_eq(m.calls, calls);
	eddy_executor_room(&m.executor, 1);
	turn(loop);
	ck_assert_int_eq(eddy_submit(&m.executor, &call.job, loop, on_call), 0);
	run_one(&m);
	run_one(&m);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "abx");
	close_both(&m, loop);
}
END_TEST

START_TEST(a_plain_submit_does_not_overtake_a_waiter_on_its_way)
{
	struct waiter w[2];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 2);
	struct call call;

	run_one(&m); /* there is room for b, which may not know yet */
	call_init(&call, 'x');
	ck_assert_int_eq(
	    eddy_submit(&m.executor, &call.job, loop, on_call), -EAGAIN);
	turn(loop);
	ck_assert_uint_eq(m.count, 1);
	ck_assert_ptr_eq(m.queue[0], &w[1].job);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(heard, "ab");
	close_both(&m, loop);
}
END_TEST

START_TEST(a_waiting_task_does_not_overtake_one_on_its_way)
{
	struct waiter w[3];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 2);

	waiter_init(&w[2], &m, 'c');
	ck_assert_int_eq(eddy_loop_spawn(loop, &w[2].task, NULL), 0);
	run_one(&m);
	turn(loop);
	run_one(&m);
	turn(loop);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "abc");
	close_both(&m, loop);
}
END_TEST

START_TEST(nowait_is_refused_at_once)
{
	struct waiter w[3];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 2);

	m.limit = 3; /* room, but b was first */
	waiter_init(&w[2], &m, 'c')->job.flags = EDDY_JOB_NOWAIT;
	ck_assert_int_eq(eddy_loop_spawn(loop, &w[2].task, NULL), 0);
	turn(loop);
	ck_assert_int_eq(w[2].rc, -EAGAIN);
	ck_assert_int_eq(w[2].job.outcome, EDDY_NONE);
	ck_assert(eddy_done(&w[2].task));
	run_one(&m);
	turn(loop);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "ab");
	close_both(&m, loop);
}
END_TEST

START_TEST(a_job_that_waits_for_room_is_busy)
{
	struct waiter w[2];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 2);

	ck_assert_int_eq(
	    eddy_submit(&m.executor, &w[1].job, loop, on_call), -EBUSY);
	ck_assert_int_eq(eddy_loop_close(loop), -EBUSY);
	run_one(&m);
	ck_assert_int_eq(
	    eddy_submit(&m.executor, &w[1].job, loop, on_call), -EBUSY);
	turn(loop);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(heard, "ab");
	close_both(&m, loop);
}
END_TEST

static void *
cancel_job(void *arg)
{
	ck_assert_int_eq(eddy_job_cancel(arg), 0);
	return NULL;
}

START_TEST(a_cancelled_waiter_never_runs)
{
	struct waiter w[5];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 5);
	pthread_t thread;

	ck_assert_int_eq(eddy_cancel(&w[1].task), 0);
	start_thread(&thread, cancel_job, &w[3].job);
	join(thread);
	turn(loop);
	ck_assert_int_eq(w[1].rc, -ECANCELED);
	ck_assert_int_eq(w[1].job.outcome, EDDY_CANCELLED);
	ck_assert_int_eq(w[3].rc, -ECANCELED);
	run_one(&m);
	turn(loop);
	run_one(&m);
	turn(loop);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "ace");
	ck_assert_str_eq(heard, "bdace");
	close_both(&m, loop);
}
END_TEST

START_TEST(a_waiter_cancelled_on_its_way_passes_the_room_on)
{
	struct waiter w[3];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 3);

	run_one(&m);
	ck_assert_int_eq(eddy_cancel(&w[1].task), 0);
	turn(loop);
	turn(loop);
	ck_assert_int_eq(w[1].rc, -ECANCELED);
	ck_assert_int_eq(w[1].job.outcome, EDDY_CANCELLED);
	ck_assert_uint_eq(m.count, 1); /* c, else nobody ever tells it */
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "ac");
	close_both(&m, loop);
}
END_TEST

START_TEST(a_waiter_refused_on_its_way_passes_the_room_on)
{
	struct waiter w[3];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 3);

	m.refusal = _i == 0 ? -ENOMEM : -ESHUTDOWN;
	run_one(&m);
	turn(loop);
	turn(loop);
	ck_assert_int_eq(w[1].rc, _i == 0 ? -ENOMEM : -ECANCELED);
	ck_assert_int_eq(
	    w[1].job.outcome, _i == 0 ? EDDY_LOST : EDDY_CANCELLED);
	ck_assert_int_eq(w[1].job.result, _i == 0 ? -ENOMEM : 0);
	ck_assert_uint_eq(m.count, 1);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "ac");
	close_both(&m, loop);
}
END_TEST

START_TEST(waiting_counts_against_the_deadline)
{
	int64_t began = eddy_now();
	struct waiter w[3], late;
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 2);

	waiter_init(&late, &m, 'z')->job.deadline = began + EDDY_MS(5);
	waiter_init(&w[2], &m, 'c');
	ck_assert_int_eq(eddy_loop_spawn(loop, &late.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_spawn(loop, &w[2].task, NULL), 0);
	while (!eddy_done(&late.task))
		ck_assert_int_eq(eddy_loop_step(loop, EDDY_S(1)), 1);
	ck_assert_int_ge(eddy_now(), began + EDDY_MS(5));
	ck_assert_int_eq(late.rc, -ETIME);
	ck_assert_int_eq(late.job.outcome, EDDY_EXPIRED);
	run_one(&m);
	turn(loop);
	run_one(&m);
	turn(loop);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "abc");
	close_both(&m, loop);
}
END_TEST

START_TEST(a_timeout_ends_the_wait_for_room)
{
	struct waiter w[1], late;
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 1);

	waiter_init(&late, &m, 'z')->timeout = EDDY_MS(1);
	ck_assert_int_eq(eddy_loop_spawn(loop, &late.task, NULL), 0);
	while (!eddy_done(&late.task))
		ck_assert_int_eq(eddy_loop_step(loop, EDDY_S(1)), 1);
	ck_assert_int_eq(late.rc, -ETIME);
	ck_assert_int_eq(late.job.outcome, EDDY_CANCELLED);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "a");
	close_both(&m, loop);
}
END_TEST

START_TEST(close_cancels_those_who_wait)
{
	struct waiter w[4];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 4);
	int i;

	ck_assert_int_eq(eddy_executor_close(&m.executor, 0), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(w[i].rc, -ECANCELED);
		ck_assert_int_eq(w[i].job.outcome, EDDY_CANCELLED);
	}
	ck_assert_str_eq(ran, "");
	close_both(&m, loop);
}
END_TEST

START_TEST(close_cancels_those_on_their_way)
{
	struct waiter w[3];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 3);

	run_one(&m);
	ck_assert_int_eq(eddy_executor_close(&m.executor, 0), 0);
	/* It was freed: whoever touches it now does so for the last time. */
	memset(&m.executor, 0xa5, sizeof(m.executor));
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(w[0].rc, 'a');
	ck_assert_int_eq(w[1].rc, -ECANCELED);
	ck_assert_int_eq(w[2].rc, -ECANCELED);
	ck_assert_str_eq(ran, "a");
	close_both(&m, loop);
}
END_TEST

/* An executor that is full, and takes its time to close. */
static sem_t closing, may_close;

static int
always_full(struct eddy_executor *executor, struct eddy_job *job)
{
	(void)executor, (void)job;
	return -EAGAIN;
}

static int
close_slowly(struct eddy_executor *executor, int64_t duration)
{
	sem_post(&closing);
	wait_for(&may_close);
	return plain_close(executor, duration);
}

static const struct eddy_executor_ops full_ops = {
    "full", always_full, no_cancel, close_slowly, describe_seven, NULL, NULL};

static void *
close_it(void *arg)
{
	ck_assert_int_eq(eddy_executor_close(arg, 0), 0);
	return NULL;
}

START_TEST(nobody_waits_for_room_that_is_being_closed)
{
	struct eddy_loop *loop = census_loop();
	struct manual m;
	struct waiter w;
	pthread_t thread;

	sem_init(&closing, 0, 0);
	sem_init(&may_close, 0, 0);
	manual_init(&m, 1);
	m.executor.ops = &full_ops;
	start_thread(&thread, close_it, &m.executor);
	wait_for(&closing);
	waiter_init(&w, &m, 'a');
	ck_assert_int_eq(eddy_loop_spawn(loop, &w.task, NULL), 0);
	turn(loop);
	ck_assert_int_eq(w.rc, -ESHUTDOWN);
	sem_post(&may_close);
	join(thread);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static struct eddy_loop *drains_on;

static void
on_drained(struct eddy_loop *loop, struct eddy_executor *executor, int r)
{
	(void)loop, (void)executor;
	ck_assert_int_eq(r, 0);
}

static int
drain_meanwhile(struct eddy_executor *executor, struct eddy_job *job)
{
	static int tries;

	(void)job;
	if (tries++ != 0) /* its second try is to be its last */
		ck_assert_int_eq(
		    eddy_executor_drain_then(executor, drains_on, on_drained),
		    0);
	return -EAGAIN;
}

static const struct eddy_executor_ops drained_ops = {"drained", drain_meanwhile,
    no_cancel, plain_close, describe_seven, eddy_executor_drained, NULL};

START_TEST(nobody_waits_for_room_that_is_being_drained)
{
	struct eddy_loop *loop = drains_on = census_loop();
	struct manual m;
	struct waiter w;

	manual_init(&m, 1);
	m.executor.ops = &drained_ops;
	waiter_init(&w, &m, 'a');
	ck_assert_int_eq(eddy_loop_spawn(loop, &w.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(w.rc, -ESHUTDOWN);
	ck_assert_int_eq(eddy_executor_close(&m.executor, 0), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* A second loop, in a thread of its own, whose task waits for room too. */
struct other_loop {
	struct waiter waiter;
	sem_t waiting;
	pthread_t thread;
};

static void *
wait_elsewhere(void *arg)
{
	struct other_loop *other = arg;
	struct eddy_loop *loop = census_loop();

	ck_assert_int_eq(eddy_loop_spawn(loop, &other->waiter.task, NULL), 0);
	turn(loop);
	sem_post(&other->waiting);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	return NULL;
}

START_TEST(waiters_of_two_loops_share_one_line)
{
	struct waiter w[1], last;
	struct other_loop other;
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 1);

	wait_for(&m.taken);
	sem_init(&other.waiting, 0, 0);
	waiter_init(&other.waiter, &m, 'b');
	start_thread(&other.thread, wait_elsewhere, &other);
	wait_for(&other.waiting);
	waiter_init(&last, &m, 'c');
	ck_assert_int_eq(eddy_loop_spawn(loop, &last.task, NULL), 0);
	turn(loop);
	run_one(&m);
	wait_for(&m.taken);
	run_one(&m);
	join(other.thread);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_S(1)), 1);
	wait_for(&m.taken);
	run_one(&m);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(ran, "abc");
	ck_assert(pthread_equal(other.waiter.thread, other.thread));
	ck_assert(pthread_equal(last.thread, pthread_self()));
	close_both(&m, loop);
}
END_TEST

static void *
run_one_there(void *arg)
{
	run_one(arg);
	return NULL;
}

static uint32_t cancelling;

static void *
say_and_cancel(void *arg)
{
	A_STORE(&cancelling, 1);
	return cancel_job(arg);
}

START_TEST(a_cancel_awaits_a_submit_on_behalf_of_its_job)
{
	struct waiter w[3];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 1, w, 3);
	pthread_t runner, canceller;
	sem_t hold;
	int i;

	sem_init(&hold, 0, 0);
	m.hold = &hold;
	start_thread(&runner, run_one_there, &m);
	wait_for(&m.held); /* b is neither waiting nor in the queue */
	start_thread(&canceller, say_and_cancel, &w[1].job);
	while (A_LOAD(&cancelling) == 0)
		sched_yield();
	for (i = 0; i < 100; i++) /* let it, if it does not wait */
		sched_yield();
	for (i = 0; i < 10; i++)
		sem_post(&hold);
	join(canceller);
	join(runner);
	turn(loop);
	ck_assert_int_eq(w[0].rc, 'a');
	ck_assert_int_eq(w[1].rc, -ECANCELED);
	ck_assert_uint_eq(m.count, 1);
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "ac");
	close_both(&m, loop);
}
END_TEST

/* A job with a stop function that cancels b, which is on its way meanwhile and
 * will not get in. */
static struct stopped {
	struct eddy_job job;
	struct waiter *other;
	sem_t *hold, ready;
} stopped;

static void
cancel_other(void *arg)
{
	(void)arg;
	sem_post(stopped.hold);
	eddy_job_cancel(&stopped.other->job);
}

static int
run_stopped(void *arg)
{
	(void)arg;
	ck_assert_int_eq(eddy_job_on_stop(cancel_other, NULL), 0);
	sem_post(&stopped.ready);
	while (!eddy_job_stop_requested())
		sched_yield();
	return 0;
}

static void *
make_room_there(void *arg)
{
	eddy_executor_room(arg, 1);
	return NULL;
}

START_TEST(a_stop_function_may_cancel_a_job_on_its_way)
{
	struct waiter w[2];
	struct manual m;
	struct eddy_loop *loop = start_waiters(&m, 0, w, 0);
	pthread_t runner, other;
	sem_t hold;
	int i;

	m.limit = 1;
	sem_init(&hold, 0, 0);
	sem_init(&stopped.ready, 0, 0);
	stopped.job.fn = run_stopped;
	stopped.other = &w[1];
	stopped.hold = &hold;
	ck_assert_int_eq(eddy_submit(&m.executor, &stopped.job, NULL, NULL), 0);
	start_thread(&runner, run_one_there, &m);
	wait_for(&stopped.ready);
	for (i = 0; i < 2; i++) {
		waiter_init(&w[i], &m, (char)('a' + i));
		ck_assert_int_eq(eddy_loop_spawn(loop, &w[i].task, NULL), 0);
	}
	turn(loop);
	m.hold = &hold;
	start_thread(&other, make_room_there, &m.executor);
	wait_for(&m.held); /* b is neither waiting nor in the queue */
	eddy_job_cancel(&stopped.job);
	join(other);
	join(runner);
	turn(loop);
	ck_assert_int_eq(w[1].rc, -ECANCELED);
	m.hold = NULL;
	run_one(&m);
	turn(loop);
	ck_assert_str_eq(ran, "a");
	close_both(&m, loop);
}
END_TEST

/* Every second waiter is cancelled by a thread, just when it gets room. */
enum { CROWD = 400 };

static struct member {
	struct waiter waiter;
	int runs;
} crowd[CROWD];

static int
count_run(void *arg)
{
	((struct member *)arg)->runs++;
	return 1;
}

static eddy_step
member(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct waiter, f);
	EDDY_AWAIT(f->rc, eddy_job_run(self, f->executor, &f->job));
	EDDY_END;
}

static void *
cancel_crowd(void *arg)
{
	int i, r;

	(void)arg;
	for (i = 1; i < CROWD; i += 2) {
		struct eddy_job *job = &crowd[i].waiter.job;

		while (A_LOAD(&job->state) == JOB_WAITING)
			sched_yield();
		r = eddy_job_cancel(job);
		ck_assert(r == 0 || r == -EALREADY);
	}
	return NULL;
}

static void
check_crowd(const struct eddy_executor_stats *stats)
{
	uint64_t returned = 0;
	int i;

	for (i = 0; i < CROWD; i++) {
		struct waiter *w = &crowd[i].waiter;

		ck_assert(eddy_done(&w->task));
		ck_assert(w->rc == 1 || (i % 2 != 0 && w->rc == -ECANCELED));
		ck_assert_int_eq(crowd[i].runs, w->rc == 1);
		returned += w->rc == 1;
	}
	ck_assert_uint_eq(stats->returned, returned);
	ck_assert_uint_eq(stats->queued + stats->running, 0);
}

START_TEST(a_cancel_may_meet_the_room)
{
	struct eddy_thread_pool_options options = {
	    .workers_max = 1, .queue_limit = 1};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor_stats stats;
	struct eddy_executor *pool;
	pthread_t thread;
	int i;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	for (i = 0; i < CROWD; i++) {
		struct waiter *w = &crowd[i].waiter;

		eddy_prepare(&w->task, member, "member");
		w->executor = pool;
		w->job = (struct eddy_job)EDDY_JOB(count_run, &crowd[i]);
		ck_assert_int_eq(eddy_loop_spawn(loop, &w->task, NULL), 0);
	}
	turn(loop); /* all jobs are out */
	start_thread(&thread, cancel_crowd, NULL);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	join(thread);
	eddy_executor_stats(pool, &stats);
	check_crowd(&stats);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Waiting without a loop. */

static sem_t entered, leave;

static int
stay(void *arg)
{
	sem_post(&entered);
	wait_for(&leave);
	return *(int *)arg;
}

static struct eddy_executor *
one_thread(void)
{
	struct eddy_thread_pool_options options = {.workers_max = 1};
	struct eddy_executor *pool;

	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	return pool;
}

static void
stop_nobody(void *arg)
{
	ck_assert_msg(arg == NULL, "called");
}

static int
run_another_inside(void *arg)
{
	struct eddy_job *outer = arg, job;
	struct eddy_executor executor;
	char letter = 'i';
	int r = eddy_job_on_stop(stop_nobody, outer);

	job = (struct eddy_job)EDDY_JOB(run_letter, &letter);
	eddy_executor_init(&executor, &inline_ops);
	if (r == 0)
		r = eddy_submit(&executor, &job, NULL, NULL);
	eddy_executor_fini(&executor);
	return r == 0 ? eddy_job_wait(&job, 0) : r;
}

/* Or a cancel would look for it at the end of that job, where it is not. */
START_TEST(a_job_that_ran_another_inside_has_no_hook)
{
	struct eddy_executor *pool = one_thread();
	struct eddy_job job = EDDY_JOB(run_another_inside, &job);

	ck_assert_int_eq(eddy_submit(pool, &job, NULL, NULL), 0);
	ck_assert_int_eq(eddy_job_wait(&job, EDDY_FOREVER), 'i');
	ck_assert_uint_eq(job_flags(&job) & JOB_HOOKED, 0);
	eddy__job_call_stop(pool, &job);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
}
END_TEST

START_TEST(a_thread_without_a_loop_waits_for_a_job)
{
	struct eddy_executor *pool = one_thread();
	int i, value = 5;
	struct eddy_job job = EDDY_JOB(stay, &value);

	for (i = 0; i < 100; i++) {
		value = i;
		sem_post(&leave);
		ck_assert_int_eq(eddy_submit(pool, &job, NULL, NULL), 0);
		ck_assert_int_eq(eddy_job_wait(&job, EDDY_FOREVER), i);
		ck_assert_int_eq(job.outcome, EDDY_RETURNED);
	}
	ck_assert_int_eq(eddy_job_wait(&job, 0), 99); /* and again */
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline_and_the_job_goes_on)
{
	struct eddy_executor *pool = one_thread();
	int value = 5;
	struct eddy_job job = EDDY_JOB(stay, &value);
	int64_t deadline;

	ck_assert_int_eq(eddy_submit(pool, &job, NULL, NULL), 0);
	wait_for(&entered);
	deadline = eddy_after(EDDY_MS(5));
	ck_assert_int_eq(eddy_job_wait(&job, deadline), -ETIME);
	ck_assert_int_ge(eddy_now(), deadline);
	ck_assert_int_eq(job.outcome, EDDY_NONE);
	ck_assert_int_eq(eddy_job_wait(&job, 0), -ETIME);
	ck_assert_int_eq(eddy_submit(pool, &job, NULL, NULL), -EBUSY);
	sem_post(&leave);
	ck_assert_int_eq(eddy_job_wait(&job, eddy_after(EDDY_S(60))), 5);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
}
END_TEST

START_TEST(a_job_that_is_over_is_out_until_that_was_told)
{
	struct eddy_executor *pool = one_thread();
	char letter = 'a';
	struct eddy_job job = EDDY_JOB(run_letter, &letter);

	sem_init(&settled, 0, 0);
	sem_init(&tell, 0, 0);
	held_back = true;
	ck_assert_int_eq(eddy_submit(pool, &job, NULL, NULL), 0);
	wait_for(&settled);
	ck_assert_int_eq(eddy_job_wait(&job, eddy_now()), -ETIME);
	ck_assert_int_eq(eddy_job_rc(&job), -EINPROGRESS);
	sem_post(&tell);
	ck_assert_int_eq(eddy_job_wait(&job, EDDY_FOREVER), 'a');
	ck_assert_int_eq(eddy_job_rc(&job), 'a');
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
}
END_TEST

START_TEST(a_cancel_ends_the_wait)
{
	struct eddy_executor *pool = one_thread();
	int value = 5;
	struct eddy_job first = EDDY_JOB(stay, &value);
	struct eddy_job job = EDDY_JOB(stay, &value);
	pthread_t thread;

	ck_assert_int_eq(eddy_submit(pool, &first, NULL, NULL), 0);
	ck_assert_int_eq(eddy_submit(pool, &job, NULL, NULL), 0);
	start_thread(&thread, cancel_job, &job);
	ck_assert_int_eq(eddy_job_wait(&job, EDDY_FOREVER), -ECANCELED);
	join(thread);
	sem_post(&leave);
	ck_assert_int_eq(eddy_job_wait(&first, EDDY_FOREVER), 5);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
}
END_TEST

START_TEST(only_a_job_without_a_loop_is_waited_for)
{
	struct eddy_loop *loop = census_loop();
	struct manual m;
	struct call call;

	manual_init(&m, 8);
	call_init(&call, 'a');
	ck_assert_int_eq(eddy_job_wait(&call.job, EDDY_FOREVER), -EINVAL);
	ck_assert_int_eq(eddy_submit(&m.executor, &call.job, loop, on_call), 0);
	ck_assert_int_eq(eddy_job_wait(&call.job, EDDY_FOREVER), -EINVAL);
	run_one(&m);
	turn(loop);
	ck_assert_int_eq(eddy_job_wait(&call.job, EDDY_FOREVER), -EINVAL);
	close_both(&m, loop);
}
END_TEST

/* A job that waits for another one. */
struct nested {
	struct eddy_executor *executor;
	struct eddy_job *job;
};

static int
wait_inside(void *arg)
{
	struct nested *nested = arg;
	int r = eddy_submit(nested->executor, nested->job, NULL, NULL);

	return r < 0 ? r : eddy_job_wait(nested->job, EDDY_FOREVER);
}

START_TEST(a_job_may_wait_for_another_executor_only)
{
	struct eddy_executor *pool = one_thread(), *other = one_thread();
	int value = 5;
	struct eddy_job inner = EDDY_JOB(stay, &value);
	struct nested nested = {pool, &inner};
	struct eddy_job outer = EDDY_JOB(wait_inside, &nested);

	sem_post(&leave);
	ck_assert_int_eq(eddy_submit(pool, &outer, NULL, NULL), 0);
	ck_assert_int_eq(eddy_job_wait(&outer, EDDY_FOREVER), -EDEADLK);
	ck_assert_int_eq(eddy_job_wait(&inner, EDDY_FOREVER), 5);
	nested.executor = other;
	sem_post(&leave);
	ck_assert_int_eq(eddy_submit(pool, &outer, NULL, NULL), 0);
	ck_assert_int_eq(eddy_job_wait(&outer, EDDY_FOREVER), 5);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
	ck_assert_int_eq(eddy_executor_close(other, EDDY_FOREVER), 0);
}
END_TEST

/* The copy executor. */

struct flat {
	uint32_t count, sum;
	unsigned char bytes[500];
};

static int
add_up(void *arg)
{
	struct flat *flat = arg;
	uint32_t i;

	for (i = 0; i < flat->count; i++) {
		flat->sum += flat->bytes[i];
		flat->bytes[i] = (unsigned char)flat->sum;
	}
	return flat->count < sizeof(flat->bytes) ? (int)flat->sum : -E2BIG;
}

static struct flat
flat(uint32_t count)
{
	struct flat flat = {.count = count};
	uint32_t i;

	for (i = 0; i < sizeof(flat.bytes); i++)
		flat.bytes[i] = (unsigned char)(i * 7);
	return flat;
}

static int
run_on(struct eddy_executor *executor, eddy_job_fn *fn, void *arg, size_t size)
{
	struct eddy_job job = {.fn = fn, .arg = arg, .size = (uint32_t)size};
	int r = eddy_submit(executor, &job, NULL, NULL);

	return r < 0 ? r : eddy_job_wait(&job, EDDY_FOREVER);
}

START_TEST(a_flat_job_does_the_same_on_a_copy)
{
	struct eddy_executor *pool = one_thread(), copy;
	uint32_t count;

	eddy_copy_executor(&copy);
	for (count = 0; count <= 500; count += 50) {
		struct flat a = flat(count), b = flat(count);

		ck_assert_int_eq(run_on(pool, add_up, &a, sizeof(a)),
		    run_on(&copy, add_up, &b, sizeof(b)));
		ck_assert_mem_eq(&a, &b, sizeof(a));
	}
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
	ck_assert_int_eq(eddy_executor_close(&copy, 0), 0);
}
END_TEST

struct hiding {
	int value;
	int *hidden; /* points into the struct */
};

static int
look_behind(void *arg)
{
	struct hiding *hiding = arg;

	hiding->value = 2;
	return *hiding->hidden;
}

START_TEST(a_copy_shows_a_hidden_pointer)
{
	struct hiding hiding = {.value = 1, .hidden = &hiding.value};
	struct eddy_executor *pool = one_thread(), copy;

	eddy_copy_executor(&copy);
	ck_assert_int_eq(run_on(pool, look_behind, &hiding, sizeof(hiding)), 2);
	/* 0xa5 four times is below -4095, hence what a process would say. */
	ck_assert_int_eq(
	    run_on(&copy, look_behind, &hiding, sizeof(hiding)), -EPROTO);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
	ck_assert_int_eq(eddy_executor_close(&copy, 0), 0);
}
END_TEST

struct pair {
	uint32_t in, out;
};

static int
square(void *arg)
{
	struct pair *pair = arg;

	pair->out = pair->in * pair->in;
	return 0;
}

/* -EIO: it went unnoticed. */
static int
run_with_wrong_size(void *arg)
{
	struct pair pair = {5, 0};
	struct eddy_executor copy;

	eddy_copy_executor(&copy);
	run_on(&copy, square, &pair, *(size_t *)arg);
	return pair.in == 5 && pair.out == 25 ? -EIO : 0;
}

START_TEST(a_copy_shows_a_wrong_size)
{
	size_t size = sizeof(struct pair);

	ck_assert_int_eq(census_child(run_with_wrong_size, &size), -EIO);
	size = sizeof(uint32_t);
#ifdef __SANITIZE_ADDRESS__
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	ck_assert_int_eq(census_child(run_with_wrong_size, &size), -1);
#else
	ck_assert_int_eq(census_child(run_with_wrong_size, &size), 0);
#endif
}
END_TEST

static int
give_back(void *arg)
{
	return *(int *)arg;
}

START_TEST(a_broken_result_on_a_copy_is_as_from_a_process)
{
	struct eddy_executor copy;
	int value = -4095;

	eddy_copy_executor(&copy);
	ck_assert_int_eq(
	    run_on(&copy, give_back, &value, sizeof(value)), -4095);
	ck_assert_int_eq(run_on(&copy, give_back, NULL, 1), -EINVAL);
	value = -4096;
	ck_assert_int_eq(
	    run_on(&copy, give_back, &value, sizeof(value)), -EPROTO);
	ck_assert_int_eq(value, -4096);
	ck_assert_int_eq(eddy_executor_close(&copy, 0), 0);
}
END_TEST

static int
answer(void *arg)
{
	return arg == NULL ? 42 : 0;
}

START_TEST(a_copy_of_nothing_is_fine)
{
	struct eddy_executor copy;

	eddy_copy_executor(&copy);
	ck_assert_int_eq(run_on(&copy, answer, &copy, 0), 42);
	ck_assert_int_eq(eddy_executor_close(&copy, 0), 0);
}
END_TEST

START_TEST(a_copy_without_memory_is_refused)
{
	struct pair pair = {3, 0};
	struct eddy_executor copy;

	eddy_copy_executor(&copy);
	no_memory = true;
	ck_assert_int_eq(run_on(&copy, square, &pair, sizeof(pair)), -ENOMEM);
	no_memory = false;
	ck_assert_uint_eq(pair.in, 3);
	ck_assert_int_eq(run_on(&copy, square, &pair, sizeof(pair)), 0);
	ck_assert_uint_eq(pair.out, 9);
	ck_assert_int_eq(eddy_executor_close(&copy, 0), 0);
}
END_TEST

struct relay {
	struct eddy_executor executor, copy;
	int told;
};

static int
relay_submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct relay *relay = (struct relay *)executor;

	relay->told = relay->copy.ops->submit(&relay->copy, job);
	return relay->told;
}

static const struct eddy_executor_ops relay_ops = {
    "relay", relay_submit, no_cancel, plain_close, describe_seven, NULL, NULL};

START_TEST(a_copy_answers_0_also_to_an_executor_in_front_of_it)
{
	struct relay relay = {.told = -1};

	eddy_copy_executor(&relay.copy);
	eddy_executor_init(&relay.executor, &relay_ops);
	ck_assert_int_eq(run_on(&relay.executor, answer, NULL, 0), 42);
	ck_assert_int_eq(relay.told, 0);
	ck_assert_int_eq(eddy_executor_close(&relay.executor, 0), 0);
	ck_assert_int_eq(eddy_executor_close(&relay.copy, 0), 0);
}
END_TEST

static struct eddy_job *own_job;

static int
cancel_itself(void *arg)
{
	(void)arg;
	return eddy_job_cancel(own_job);
}

START_TEST(on_a_copy_all_jobs_are_over)
{
	struct eddy_job job = {.fn = cancel_itself};
	struct eddy_executor_stats stats = {.submitted = 7};
	struct eddy_executor copy;

	own_job = &job;
	eddy_copy_executor(&copy);
	ck_assert_int_eq(eddy_submit(&copy, &job, NULL, NULL), 0);
	ck_assert_int_eq(eddy_job_wait(&job, EDDY_FOREVER), -EALREADY);
	eddy_executor_stats(&copy, &stats);
	ck_assert_uint_eq(stats.submitted, 0);
	ck_assert_int_eq(eddy_executor_close(&copy, 0), 0);
}
END_TEST

/* What runs within the submit of another job, and that. */

static struct eddy_executor *around_pool, *around_copy;

static void
count(void *n)
{
	++*(int *)n;
}

static int
within(void *arg)
{
	ck_assert(!eddy_job_stop_requested());
	ck_assert_int_eq(eddy_job_on_stop(count, arg), 0);
	ck_assert_int_eq(eddy_executor_close(around_copy, 0), -EDEADLK);
	ck_assert_int_eq(eddy_executor_close(around_pool, 0), -EDEADLK);
	return 3;
}

static int
around(void *asked)
{
	int never = 0;

	ck_assert_int_eq(eddy_job_on_stop(count, asked), 0);
	ck_assert_int_eq(run_on(around_copy, within, &never, sizeof(never)), 3);
	sem_post(&entered);
	wait_for(&leave);
	ck_assert(eddy_job_stop_requested());
	ck_assert_int_eq(eddy_job_on_stop(count, &never), -ECANCELED);
	ck_assert_int_eq(eddy_executor_close(around_pool, 0), -EDEADLK);
	ck_assert_int_eq(never, 0);
	return -ECANCELED;
}

START_TEST(what_submits_to_a_copy_is_still_inside_its_job)
{
	struct eddy_executor copy;
	int asked = 0;
	struct eddy_job job = EDDY_JOB(around, &asked);

	around_pool = one_thread();
	eddy_copy_executor(around_copy = &copy);
	ck_assert_int_eq(eddy_submit(around_pool, &job, NULL, NULL), 0);
	wait_for(&entered);
	ck_assert_int_eq(eddy_job_cancel(&job), 0);
	sem_post(&leave);
	ck_assert_int_eq(eddy_job_wait(&job, EDDY_FOREVER), -ECANCELED);
	ck_assert_int_eq(asked, 1);
	ck_assert_int_eq(eddy_executor_close(around_pool, EDDY_FOREVER), 0);
	ck_assert_int_eq(eddy_executor_close(&copy, 0), 0);
}
END_TEST

struct user {
	struct eddy_task task;
	struct eddy_executor *executor;
	struct pair pair;
	int rc;
};

static eddy_step
user(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	EDDY_AWAIT(f->rc, eddy_offload(self, f->executor, square, &f->pair));
	EDDY_END;
}

START_TEST(a_task_offloads_to_a_copy)
{
	struct eddy_executor copy;
	struct user f;

	eddy_copy_executor(&copy);
	ck_assert_int_eq(eddy_run(EDDY_INIT(&f, user, .executor = &copy,
			     .pair = {6, 0}, .rc = 1)),
	    0);
	ck_assert_int_eq(f.rc, 0);
	ck_assert_uint_eq(f.pair.out, 36);
	ck_assert_int_eq(eddy_executor_close(&copy, 0), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("executor");
	TCase *tcase;

	tcase = census_case(suite, "jobs", 4);
	census_add(tcase, a_users_table_is_an_executor,
	    a_loop_waits_awake_for_a_second_at_most,
	    outcome_and_result_are_two_things, submit_checks_its_arguments,
	    a_job_that_is_out_is_busy, a_job_is_out_until_its_outcome_was_heard,
	    a_job_may_be_submitted_in_its_callback,
	    a_refused_job_is_the_callers_again, a_cancelled_job_never_runs,
	    begin_is_won_once, stop_is_asked_of_nobody_outside_a_job,
	    a_refused_job_does_not_keep_the_loop_running,
	    a_refused_job_does_not_hold_a_virtual_clock);
	tcase_add_loop_test(
	    tcase, an_executor_of_a_user_may_go_with_its_last_outcome, 0, 2);
	tcase_add_loop_test(
	    tcase, a_refused_job_keeps_no_closed_executor, 0, 2);
	tcase = census_case(suite, "room", 4);
	tcase_add_loop_test(
	    tcase, a_waiter_refused_on_its_way_passes_the_room_on, 0, 2);
	census_add(tcase, waiters_are_served_in_their_order,
	    room_for_several_is_told_to_as_many,
	    room_without_waiters_is_nothing,
	    room_that_is_none_leaves_the_order_alone,
	    a_plain_submit_is_refused_while_others_wait,
	    a_plain_submit_does_not_overtake_a_waiter_on_its_way,
	    a_waiting_task_does_not_overtake_one_on_its_way,
	    nowait_is_refused_at_once, a_job_that_waits_for_room_is_busy,
	    a_cancelled_waiter_never_runs,
	    a_waiter_cancelled_on_its_way_passes_the_room_on,
	    waiting_counts_against_the_deadline,
	    a_timeout_ends_the_wait_for_room, close_cancels_those_who_wait,
	    close_cancels_those_on_their_way,
	    nobody_waits_for_room_that_is_being_closed,
	    nobody_waits_for_room_that_is_being_drained,
	    waiters_of_two_loops_share_one_line,
	    a_cancel_awaits_a_submit_on_behalf_of_its_job,
	    a_stop_function_may_cancel_a_job_on_its_way,
	    a_cancel_may_meet_the_room);
	census_add(census_case(suite, "wait", 4),
	    a_job_that_ran_another_inside_has_no_hook,
	    a_thread_without_a_loop_waits_for_a_job,
	    a_wait_ends_at_its_deadline_and_the_job_goes_on,
	    a_job_that_is_over_is_out_until_that_was_told,
	    a_cancel_ends_the_wait, only_a_job_without_a_loop_is_waited_for,
	    a_job_may_wait_for_another_executor_only);
	census_add(census_case(suite, "copy", 4),
	    a_flat_job_does_the_same_on_a_copy, a_copy_shows_a_hidden_pointer,
	    a_copy_shows_a_wrong_size,
	    a_broken_result_on_a_copy_is_as_from_a_process,
	    a_copy_of_nothing_is_fine, a_copy_without_memory_is_refused,
	    a_copy_answers_0_also_to_an_executor_in_front_of_it,
	    on_a_copy_all_jobs_are_over, a_task_offloads_to_a_copy,
	    what_submits_to_a_copy_is_still_inside_its_job);
	return suite_main(suite);
}
