/* SPDX-License-Identifier: ISC */
/* Jobs that travel together: corks of loops, slots of workers, chained wakes. */
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/thread_pool.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "loop_impl.h"
#include "threads.h"
#include "sys.h"
#include "thread_pool_impl.h"

/* link: -Wl,--wrap=eddy__thread_create,--wrap=eddy__free,--wrap=eddy_job_end */
int __real_eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg);
int __wrap_eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg);
void __real_eddy__free(void *p);
void __wrap_eddy__free(void *p);
void __real_eddy_job_end(
    struct eddy_job *job, enum eddy_outcome outcome, int result);
void __wrap_eddy_job_end(
    struct eddy_job *job, enum eddy_outcome outcome, int result);

static int threads_left = INT_MAX; /* that may yet be created */
static void *precious;             /* not to be freed while */
static bool slow_end;              /* an outcome takes its time */

int
__wrap_eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg)
{
	if (A_SUB(&threads_left, 1) <= 0)
		return -EAGAIN;
	return __real_eddy__thread_create(ret_thread, stack, fn, arg);
}

void
__wrap_eddy__free(void *p)
{
	void *that = p;

	if (p != NULL)
		A_CAS(&precious, &that, NULL);
	__real_eddy__free(p);
}

void
__wrap_eddy_job_end(struct eddy_job *job, enum eddy_outcome outcome, int result)
{
	struct eddy_executor *executor = job->executor;

	if (!A_LOAD(&slow_end)) {
		__real_eddy_job_end(job, outcome, result);
		return;
	}
	A_STORE(&precious, executor);
	__real_eddy_job_end(job, outcome, result);
	usleep(30000);
	if (A_LOAD(&precious) == NULL)
		ck_abort_msg("the pool was freed under who ends its jobs");
}

struct work {
	struct eddy_job job; /* first */
	int runs, outcomes, order;
};

static struct eddy_executor *pools[2];
static struct work works[2 * CORK + 1];
static sem_t entered, leave;
static int heard; /* outcomes of works */

static int
quick(void *arg)
{
	A_ADD(&((struct work *)arg)->runs, 1);
	return 1;
}

static int
stay(void *arg)
{
	sem_post(&entered);
	wait_for(&leave);
	return quick(arg);
}

static void
on_work(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct work *)job)->outcomes++;
	((struct work *)job)->order = heard++;
}

static int
try_submit(
    struct eddy_executor *pool, int i, eddy_job_fn *fn, struct eddy_loop *loop)
{
	works[i] = (struct work){.job = {.fn = fn, .arg = &works[i]}};
	return eddy_submit(pool, &works[i].job, loop, on_work);
}

static void
submit(struct eddy_executor *pool, int from, int n, eddy_job_fn *fn,
    struct eddy_loop *loop)
{
	for (; n-- > 0; from++)
		ck_assert_int_eq(try_submit(pool, from, fn, loop), 0);
}

/* Jobs [from, from + n) were heard once each, with that outcome. */
static void
expect(int from, int n, enum eddy_outcome outcome)
{
	for (; n-- > 0; from++)
		if (works[from].outcomes != 1 ||
		    works[from].job.outcome != outcome ||
		    works[from].runs != (outcome == EDDY_RETURNED))
			ck_abort_msg("job %d: %d outcomes, the last %d, ran %d",
			    from, works[from].outcomes, works[from].job.outcome,
			    works[from].runs);
}

static struct eddy_executor *
open_pool(unsigned max, unsigned limit, int64_t spin, int64_t idle)
{
	struct eddy_thread_pool_options options = {.workers_max = max,
	    .queue_limit = limit,
	    .spin_duration = spin,
	    .idle_duration = idle};
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	heard = 0;
	return pool;
}

static struct eddy_executor_stats
stats_of(struct eddy_executor *pool)
{
	struct eddy_executor_stats stats;

	eddy_executor_stats(pool, &stats);
	return stats;
}

static void
close_both(struct eddy_executor *pool, struct eddy_loop *loop)
{
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}

/* A worker that is there, so that a turn's jobs are corked. */
static void
warm(struct eddy_executor *pool)
{
	struct work work = {.job = {.fn = quick, .arg = &work}};

	ck_assert_int_eq(eddy_submit(pool, &work.job, NULL, NULL), 0);
	ck_assert_int_eq(eddy_job_wait(&work.job, EDDY_FOREVER), 1);
}

static void
occupy(struct eddy_executor *pool, int i, struct eddy_loop *loop)
{
	submit(pool, i, 1, stay, loop);
	wait_for(&entered);
}

static void
let_go(int n)
{
	while (n-- > 0)
		sem_post(&leave);
}

/* fn inside a turn of its own. */
static void
in_turn(struct eddy_loop *loop, eddy_post_fn *fn)
{
	struct eddy_post post;

	eddy_post_init(&post, fn);
	ck_assert_int_eq(eddy_post(loop, &post), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

static void
step_until(struct eddy_loop *loop, int n)
{
	while (heard < n)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_FOREVER), 0);
}

static pthread_t
thread_of(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	start_thread(&thread, fn, arg);
	return thread;
}

/* Corks. */

static void
submit_ten(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	submit(pools[0], 0, 10, quick, loop);
}

static void
submit_ten_and_stop(struct eddy_loop *loop, struct eddy_post *post)
{
	submit_ten(loop, post);
	ck_assert_int_eq(eddy_loop_stop(loop), 0);
}

START_TEST(a_turn_keeps_no_job_beyond_its_end)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_post post;

	pools[0] = open_pool(2, 0, 0, 0);
	warm(pools[0]);
	in_turn(loop, submit_ten);
	ck_assert_uint_eq(stats_of(pools[0]).submitted, 11);
	step_until(loop, 10);
	eddy_post_init(&post, submit_ten_and_stop);
	ck_assert_int_eq(eddy_post(loop, &post), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_uint_eq(stats_of(pools[0]).submitted, 21);
	step_until(loop, 20);
	expect(0, 10, EDDY_RETURNED);
	close_both(pools[0], loop);
}
END_TEST

static void
cancel_own(struct eddy_loop *loop, struct eddy_post *post)
{
	int i;

	(void)post;
	submit(pools[0], 1, 20, quick, loop);
	for (i = 2; i <= 20; i += 2)
		ck_assert_int_eq(eddy_job_cancel(&works[i].job), 0);
}

static void *
cancel_even(void *arg)
{
	int i;

	(void)arg;
	for (i = 2; i <= 20; i += 2)
		ck_assert_int_eq(eddy_job_cancel(&works[i].job), 0);
	return NULL;
}

static void
cancel_foreign(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	submit(pools[0], 1, 20, quick, loop);
	join(thread_of(cancel_even, NULL));
}

static void
check_cancel(eddy_post_fn *fn)
{
	struct eddy_loop *loop = census_loop();
	int i;

	pools[0] = open_pool(1, 0, 0, 0);
	occupy(pools[0], 0, loop);
	in_turn(loop, fn);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 1; i <= 20; i++)
		expect(i, 1, i % 2 == 0 ? EDDY_CANCELLED : EDDY_RETURNED);
	ck_assert_int_eq(heard, 21);
	ck_assert_uint_eq(stats_of(pools[0]).cancelled, 10);
	close_both(pools[0], loop);
}

START_TEST(a_loop_may_cancel_what_its_turn_keeps)
{
	check_cancel(cancel_own);
}
END_TEST

START_TEST(a_thread_may_cancel_what_a_turn_keeps)
{
	check_cancel(cancel_foreign);
}
END_TEST

static void
alternate(struct eddy_loop *loop, struct eddy_post *post)
{
	int i;

	(void)post;
	for (i = 0; i < 60; i++) /* two and one */
		submit(pools[i % 3 == 2], i, 1, quick, loop);
}

START_TEST(a_turn_may_serve_two_pools)
{
	struct eddy_loop *loop = census_loop();
	int i, before[2] = {-1, -1};

	pools[0] = open_pool(1, 0, 0, 0);
	pools[1] = open_pool(1, 0, 0, 0);
	warm(pools[0]);
	warm(pools[1]);
	in_turn(loop, alternate);
	ck_assert_uint_eq(stats_of(pools[0]).submitted, 41);
	ck_assert_uint_eq(stats_of(pools[1]).submitted, 21);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(0, 60, EDDY_RETURNED);
	for (i = 0; i < 60; i++) {
		ck_assert_int_gt(works[i].order, before[i % 3 == 2]);
		before[i % 3 == 2] = works[i].order;
	}
	ck_assert_int_eq(eddy_executor_close(pools[1], 0), 0);
	close_both(pools[0], loop);
}
END_TEST

static void
fill(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	submit(pools[0], 1, 5, quick, loop);
	ck_assert_int_eq(try_submit(pools[0], 6, quick, loop), -EAGAIN);
	ck_assert_int_eq(eddy_job_cancel(&works[5].job), 0);
	submit(pools[0], 6, 1, quick, loop);
	ck_assert_int_eq(try_submit(pools[0], 7, quick, loop), -EAGAIN);
}

static void
fill_the_rest(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	submit(pools[0], 4, 2, quick, loop);
	ck_assert_int_eq(try_submit(pools[0], 6, quick, loop), -EAGAIN);
}

START_TEST(a_turn_keeps_to_the_limit_of_the_queue)
{
	struct eddy_loop *loop = census_loop();

	pools[0] = open_pool(1, 5, 0, 0);
	occupy(pools[0], 0, loop);
	in_turn(loop, fill);
	ck_assert_uint_eq(stats_of(pools[0]).queued, 5);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(1, 4, EDDY_RETURNED);
	expect(5, 1, EDDY_CANCELLED);
	expect(6, 1, EDDY_RETURNED);
	occupy(pools[0], 0, loop);
	submit(pools[0], 1, 3, quick, loop);
	in_turn(loop, fill_the_rest);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(0, 6, EDDY_RETURNED);
	close_both(pools[0], loop);
}
END_TEST

static void *
submit_three(void *arg)
{
	submit(pools[0], 10, 3, quick, arg);
	return NULL;
}

static void
fill_with_a_thread(struct eddy_loop *loop, struct eddy_post *post)
{
	int i, accepted = 0;

	(void)post;
	submit(pools[0], 1, 1, quick, loop);
	join(thread_of(submit_three, loop));
	for (i = 2; i < 6; i++)
		accepted += try_submit(pools[0], i, quick, loop) == 0;
	ck_assert_int_eq(accepted, 1);
}

START_TEST(a_turn_and_a_thread_share_the_limit_of_the_queue)
{
	struct eddy_loop *loop = census_loop();

	pools[0] = open_pool(1, 5, 0, 0);
	occupy(pools[0], 0, loop);
	in_turn(loop, fill_with_a_thread);
	ck_assert_uint_le(stats_of(pools[0]).queued, 5);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	close_both(pools[0], loop);
}
END_TEST

static void
submit_and_close(struct eddy_loop *loop, struct eddy_post *post)
{
	submit_ten(loop, post);
	ck_assert_int_eq(eddy_executor_close(pools[0], EDDY_FOREVER), 0);
	/* Another, perhaps in the same place. */
	pools[0] = open_pool(1, 0, 0, 0);
	warm(pools[0]);
	submit(pools[0], 10, 10, quick, loop);
}

START_TEST(a_turn_may_submit_and_close)
{
	struct eddy_loop *loop = census_loop();

	pools[0] = open_pool(1, 0, 0, 0);
	warm(pools[0]);
	in_turn(loop, submit_and_close);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(0, 10, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_job_rc(&works[0].job), -ECANCELED);
	expect(10, 10, EDDY_RETURNED);
	close_both(pools[0], loop);
}
END_TEST

static void
submit_and_nap(struct eddy_loop *loop, struct eddy_post *post)
{
	submit_ten(loop, post);
	while (stats_of(pools[0]).workers != 0)
		usleep(1000);
}

START_TEST(workers_may_leave_during_a_turn)
{
	struct eddy_loop *loop = census_loop();

	pools[0] = open_pool(4, 0, 0, EDDY_MS(50));
	warm(pools[0]);
	in_turn(loop, submit_and_nap);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(0, 10, EDDY_RETURNED);
	warm(pools[0]);
	threads_left = 0;
	in_turn(loop, submit_and_nap);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(0, 10, EDDY_LOST);
	ck_assert_int_lt(eddy_job_rc(&works[0].job), 0);
	threads_left = INT_MAX;
	warm(pools[0]);
	close_both(pools[0], loop);
}
END_TEST

/* A close in another thread. */

static int64_t close_duration;
static int close_rc;
static uint32_t closing;

static void *
close_it(void *arg)
{
	A_STORE(&closing, 1);
	A_STORE(&close_rc, eddy_executor_close(arg, close_duration));
	return NULL;
}

static pthread_t closer;

static void
submit_while_it_closes(struct eddy_loop *loop, struct eddy_post *post)
{
	submit_ten(loop, post);
	closer = thread_of(close_it, pools[0]);
	usleep(20000);
	ck_assert_int_eq(try_submit(pools[0], 10, quick, loop), -ESHUTDOWN);
}

START_TEST(close_waits_for_the_turn_of_another_loop)
{
	struct eddy_loop *loop = census_loop();

	pools[0] = open_pool(2, 0, 0, 0);
	close_duration = EDDY_FOREVER;
	warm(pools[0]);
	in_turn(loop, submit_while_it_closes);
	join(closer);
	ck_assert_int_eq(close_rc, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(0, 10, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
submit_and_await_close(struct eddy_loop *loop, struct eddy_post *post)
{
	submit_ten(loop, post);
	join(thread_of(close_it, pools[0]));
	ck_assert_int_eq(close_rc, -ETIME);
	if (works[10].job.arg == NULL)
		return;
	let_go(1); /* the worker leaves before the turn ends */
	usleep(20000);
}

START_TEST(close_gives_up_on_a_turn_in_time)
{
	struct eddy_loop *loop = census_loop();
	int i;

	close_duration = EDDY_MS(5);
	for (i = 0; i < 3; i++) {
		works[10] = (struct work){0};
		pools[0] = open_pool(2, 0, 0, 0);
		warm(pools[0]);
		if (i > 0)
			occupy(pools[0], 10, loop);
		in_turn(loop, submit_and_await_close);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		expect(0, 10, EDDY_CANCELLED);
		expect(10, i > 0, EDDY_RETURNED);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
submit_one_as_it_closes(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	submit(pools[0], 0, 1, quick, loop);
	closer = thread_of(close_it, pools[0]);
	usleep(20000); /* no worker is left, only this turn is late */
	A_STORE(&slow_end, true);
}

START_TEST(a_turn_that_ends_keeps_a_closing_pool_alive)
{
	struct eddy_loop *loop = census_loop();

	pools[0] = open_pool(1, 0, 0, 0);
	close_duration = EDDY_MS(25); /* looks again meanwhile */
	warm(pools[0]);
	in_turn(loop, submit_one_as_it_closes);
	join(closer);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(0, 1, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
let_go_as_it_ends(struct eddy_loop *loop, struct eddy_post *post)
{
	submit_and_await_close(loop, post);
	A_STORE(&slow_end, true);
}

static void *
let_go_later(void *arg)
{
	(void)arg;
	while (!A_LOAD(&slow_end))
		usleep(100);
	usleep(10000);
	let_go(1);
	return NULL;
}

START_TEST(a_turn_that_ends_keeps_an_abandoned_pool_alive)
{
	struct eddy_loop *loop = census_loop();
	pthread_t thread;

	pools[0] = open_pool(1, 0, 0, 0);
	close_duration = EDDY_MS(5);
	occupy(pools[0], 11, loop);
	works[10] = (struct work){0};
	thread = thread_of(let_go_later, NULL);
	in_turn(loop, let_go_as_it_ends);
	join(thread);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(0, 10, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static unsigned dice;

static unsigned
roll(void)
{
	return (unsigned)rand_r(&dice);
}

static int accepted; /* in that turn */

static void
submit_as_it_closes(struct eddy_loop *loop, struct eddy_post *post)
{
	unsigned pause = roll() % 300;
	int n = (int)(roll() % 10) + 1, r = 0;

	(void)post;
	submit(pools[0], 0, 1, quick, loop); /* keeps the pool alive */
	closer = thread_of(close_it, pools[0]);
	while (!A_LOAD(&closing))
		;
	for (accepted = 1; r == 0 && accepted < n; accepted += r == 0) {
		usleep(pause / 10);
		r = try_submit(pools[0], accepted, quick, loop);
	}
	ck_assert(r == 0 || r == -ESHUTDOWN);
}

START_TEST(a_close_at_any_time_loses_no_job_of_a_turn)
{
	struct eddy_loop *loop = census_loop();
	int i, j, rounds = CENSUS_ASAN || CENSUS_TSAN ? 300 : 1000;

	for (i = 0; i < rounds; i++) {
		pools[0] = open_pool(1 + roll() % 3, 0, 0, 0);
		close_duration = i % 2 == 0 ? EDDY_FOREVER : EDDY_US(20);
		A_STORE(&closing, 0);
		warm(pools[0]);
		submit(pools[0], 20, 1, quick, loop);
		in_turn(loop, submit_as_it_closes);
		join(closer);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		for (j = 0; j < accepted; j++)
			if (works[j].outcomes != 1)
				ck_abort_msg("%d of %d was lost", j, accepted);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Slots: worker 1 of 1 runs work 1 and holds about half of the n others. */

static void
hold(struct eddy_loop *loop, unsigned limit, int n)
{
	pools[0] = open_pool(1, limit, 0, 0);
	occupy(pools[0], 0, loop);
	submit(pools[0], 1, 1, stay, loop);
	submit(pools[0], 2, n, quick, loop);
	let_go(1);
	wait_for(&entered);
	step_until(loop, 1);
}

START_TEST(a_held_job_may_be_cancelled)
{
	struct eddy_loop *loop = census_loop();
	int i;

	hold(loop, 0, 63);
	for (i = 3; i < 65; i += 3)
		ck_assert_int_eq(eddy_job_cancel(&works[i].job), 0);
	step_until(loop, 22);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 1; i < 65; i++)
		expect(i, 1, i % 3 == 0 ? EDDY_CANCELLED : EDDY_RETURNED);
	close_both(pools[0], loop);
}
END_TEST

START_TEST(held_jobs_count_as_queued)
{
	struct eddy_loop *loop = census_loop();

	hold(loop, 64, 63);
	ck_assert_uint_eq(stats_of(pools[0]).queued, 63);
	ck_assert_uint_eq(stats_of(pools[0]).running, 1);
	submit(pools[0], 65, 1, quick, loop);
	ck_assert_int_eq(try_submit(pools[0], 66, quick, loop), -EAGAIN);
	ck_assert_int_eq(eddy_job_cancel(&works[2].job), 0);
	ck_assert_uint_eq(stats_of(pools[0]).queued, 63);
	submit(pools[0], 66, 1, quick, loop);
	ck_assert_int_eq(try_submit(pools[0], 67, quick, loop), -EAGAIN);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(2, 1, EDDY_CANCELLED);
	expect(3, 64, EDDY_RETURNED);
	close_both(pools[0], loop);
}
END_TEST

START_TEST(close_cancels_held_jobs)
{
	struct eddy_loop *loop = census_loop();
	pthread_t thread;

	hold(loop, 0, 63);
	close_duration = EDDY_FOREVER;
	thread = thread_of(close_it, pools[0]);
	step_until(loop, 64);
	let_go(1);
	join(thread);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(1, 1, EDDY_RETURNED);
	expect(2, 63, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(jobs_held_behind_a_long_one_are_stolen)
{
	struct eddy_loop *loop = census_loop();
	int round;

	for (round = 0; round < 100; round++) {
		pools[0] = open_pool(2, 0, round % 2 - 1, 0);
		occupy(pools[0], 0, loop);
		occupy(pools[0], 1, loop);
		submit(pools[0], 2, round % 5, quick, loop);
		submit(pools[0], 2 + round % 5, 1, stay, loop);
		submit(pools[0], 3 + round % 5, 200, quick, loop);
		let_go(2);
		wait_for(&entered);
		step_until(loop, 202 + round % 5);
		let_go(1);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		expect(0, 203 + round % 5, EDDY_RETURNED);
		ck_assert_int_eq(
		    eddy_executor_close(pools[0], EDDY_FOREVER), 0);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

struct runner {
	struct eddy_task task;
	struct work work;
	int rc;
};

static eddy_step
runner(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct runner, f);
	EDDY_AWAIT(f->rc, eddy_job_run(self, pools[0], &f->work.job));
	EDDY_END;
}

static struct runner runners[60];

static void
start_runners(struct eddy_loop *loop, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		runners[i] = (struct runner){.rc = EDDY_PENDING};
		eddy_prepare(&runners[i].task, runner, "runner");
		runners[i].work.job.fn = quick;
		runners[i].work.job.arg = &runners[i].work;
		ck_assert_int_eq(
		    eddy_loop_spawn(loop, &runners[i].task, NULL), 0);
	}
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
}

static void
check_runners(void)
{
	size_t i;

	for (i = 0; i < COUNT_OF(runners); i++) {
		ck_assert_int_eq(runners[i].rc, 1);
		ck_assert_int_eq(runners[i].work.runs, 1);
	}
}

START_TEST(who_waits_for_room_gets_that_of_cancelled_held_jobs)
{
	struct eddy_loop *loop = census_loop();
	int i;

	hold(loop, 40, 39);
	start_runners(loop, COUNT_OF(runners));
	for (i = 2; i < 41; i++)
		ck_assert_int_eq(eddy_job_cancel(&works[i].job), 0);
	ck_assert_uint_eq(stats_of(pools[0]).queued, 40);
	step_until(loop, 40);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	check_runners();
	expect(2, 39, EDDY_CANCELLED);
	close_both(pools[0], loop);
}
END_TEST

START_TEST(who_waits_for_room_gets_that_of_stolen_jobs)
{
	struct eddy_loop *loop = census_loop();

	pools[0] = open_pool(2, 40, 0, 0);
	occupy(pools[0], 0, loop);
	occupy(pools[0], 1, loop);
	submit(pools[0], 2, 1, stay, loop);
	submit(pools[0], 3, 39, quick, loop);
	start_runners(loop, COUNT_OF(runners));
	let_go(2);
	wait_for(&entered);
	while (!eddy_done(&runners[COUNT_OF(runners) - 1].task))
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_FOREVER), 0);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	check_runners();
	expect(0, 42, EDDY_RETURNED);
	close_both(pools[0], loop);
}
END_TEST

static pthread_t waiter;
static sem_t waits;
static int used;    /* of its CORK places, by a turn */
static int drained; /* EDDY_PENDING: it is to be */

static void
on_drained(struct eddy_loop *loop, struct eddy_executor *executor, int result)
{
	(void)loop, (void)executor;
	drained = result;
}

/* In a loop of its own, behind all that the turn of the other has left. */
static void *
wait_for_room(void *arg)
{
	struct eddy_loop *loop = census_loop();

	submit(pools[0], 1 + used, CORK, quick, arg);
	ck_assert_int_eq(
	    try_submit(pools[0], 1 + used + CORK, quick, arg), -EAGAIN);
	start_runners(loop, 1);
	if (drained == EDDY_PENDING)
		ck_assert_int_eq(
		    eddy_executor_drain_then(pools[0], loop, on_drained), 0);
	sem_post(&waits);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	return NULL;
}

static void
submit_some_of_many(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	submit(pools[0], 1, used, quick, loop);
	waiter = thread_of(wait_for_room, loop);
	wait_for(&waits);
}

START_TEST(who_waits_for_room_gets_what_a_turn_did_not_use)
{
	struct eddy_loop *loop = census_loop();

	used = _i == 1 ? CORK - 1 : 1;
	drained = _i == 2 ? EDDY_PENDING : 0;
	sem_init(&waits, 0, 0);
	pools[0] = open_pool(1, 2 * CORK, 0, 0);
	occupy(pools[0], 0, loop);
	in_turn(loop, submit_some_of_many);
	while (stats_of(pools[0]).queued != (unsigned)used + CORK + 1)
		sched_yield();
	let_go(1);
	join(waiter);
	ck_assert_int_eq(runners[0].rc, 1);
	ck_assert_int_eq(drained, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(0, 1 + used + CORK, EDDY_RETURNED);
	close_both(pools[0], loop);
}
END_TEST

/* Wakes: jobs that all have to run at once. */

enum { CROWD = 8 };
static pthread_barrier_t barrier;

static int
meet(void *arg)
{
	pthread_barrier_wait(&barrier);
	return quick(arg);
}

static void
submit_crowd(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	submit(pools[0], 0, CROWD, meet, loop);
}

static void *
submit_crowd_from_afar(void *arg)
{
	submit(pools[0], 0, CROWD, meet, arg);
	return NULL;
}

static void
check_crowd(int64_t spin, int rounds)
{
	struct eddy_loop_options options = {.spin_duration = spin};
	struct eddy_loop *loop;
	int i;

	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	pools[0] = open_pool(CROWD, 0, spin, 0);
	pthread_barrier_init(&barrier, NULL, CROWD);
	for (i = 0; i < rounds; i++) {
		if (i % 10 == 0)
			usleep(i % 20 == 0 ? 8000 : 100);
		heard = 0;
		if (i % 3 == 0)
			join(thread_of(submit_crowd_from_afar, loop));
		else if (i % 3 == 1)
			in_turn(loop, submit_crowd);
		else
			submit_crowd(loop, NULL);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		expect(0, CROWD, EDDY_RETURNED);
	}
	pthread_barrier_destroy(&barrier);
	close_both(pools[0], loop);
}

START_TEST(each_wake_leads_to_the_next)
{
	check_crowd(0, 1500);
}
END_TEST

START_TEST(each_wake_leads_to_the_next_without_spin)
{
	check_crowd(-1, 1500);
}
END_TEST

START_TEST(each_wake_leads_to_the_next_with_long_spin)
{
	check_crowd(EDDY_MS(5), 150);
}
END_TEST

/* A task that keeps its loop busy until its job has begun. */
static eddy_step
restless(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct runner, f);
	submit(pools[0], 2, 1, quick, self->loop);
	while (A_LOAD(&works[2].runs) == 0)
		EDDY_TRY(eddy_yield(self));
	let_go(1);
	EDDY_END;
}

/* Jobs that were short so far are not worth a wake while a worker is awake; but
 * that one may stay. */
static void
check_restless(int64_t spin)
{
	struct eddy_loop_options options = {.spin_duration = spin};
	struct pool *pool;
	struct eddy_loop *loop;
	bool asleep = false;

	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	pools[0] = open_pool(2, 0, -1, EDDY_S(60));
	pool = (struct pool *)pools[0];
	occupy(pools[0], 0, loop);
	occupy(pools[0], 1, loop);
	let_go(1);
	while (!asleep) {
		pthread_mutex_lock(&pool->lock);
		asleep = pool->asleep == 1;
		A_STORE(&pool->job_time, 1);
		pool->eager = false;
		pthread_mutex_unlock(&pool->lock);
	}
	runners[0] = (struct runner){.rc = EDDY_PENDING};
	eddy_prepare(&runners[0].task, restless, "restless");
	ck_assert_int_eq(eddy_loop_spawn(loop, &runners[0].task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(0, 3, EDDY_RETURNED);
	close_both(pools[0], loop);
}

START_TEST(a_loop_that_never_rests_has_its_jobs_run)
{
	check_restless(0);
	check_restless(-1);
}
END_TEST

START_TEST(an_idle_program_uses_no_cpu)
{
	static const int64_t spins[] = {0, -1, EDDY_MS(5)};
	struct rusage before, after;
	size_t i;

	for (i = 0; i < COUNT_OF(spins); i++) {
		struct eddy_loop_options options = {.spin_duration = spins[i]};
		struct eddy_loop *loop;
		int64_t us;
		int j;

		ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
		pools[0] = open_pool(4, 0, spins[i], 0);
		for (j = 0; j < 100; j++)
			in_turn(loop, submit_ten),
			    step_until(loop, 10 * j + 10);
		ck_assert_int_eq(eddy_loop_hold(loop), 0);
		usleep(20000);
		getrusage(RUSAGE_SELF, &before);
		ck_assert_int_eq(eddy_loop_step(loop, EDDY_MS(50)), 1);
		getrusage(RUSAGE_SELF, &after);
		us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec +
			 after.ru_stime.tv_sec - before.ru_stime.tv_sec) *
		         1000000 +
		     after.ru_utime.tv_usec - before.ru_utime.tv_usec +
		     after.ru_stime.tv_usec - before.ru_stime.tv_usec;
		ck_assert_int_lt(us, 10000);
		ck_assert_int_eq(eddy_loop_release(loop), 0);
		close_both(pools[0], loop);
	}
}
END_TEST

/* The storm: loops that submit and cancel in their callbacks, and threads that
 * do so for them. */

enum { LOOPS = 3, AFAR = 2, SLOTS = 48 };

struct slot {
	struct eddy_job job; /* first */
	struct party *party;
	uint32_t busy;
	int serial, ran, heard;
};

static struct party {
	struct slot slots[SLOTS];
	struct eddy_loop *loop;
	struct eddy_post post;
	unsigned seed;
	int budget, out;
	bool afar;
} parties[LOOPS + AFAR];

static int
run_slot(void *arg)
{
	struct slot *slot = arg;

	slot->ran = slot->serial;
	return slot->serial;
}

static void on_slot(struct eddy_loop *loop, struct eddy_job *job);

/* One throw: a slot that is free is used, another's job perhaps cancelled. */
static void throw(struct party * party)
{
	unsigned n = (unsigned)rand_r(&party->seed);
	struct slot *slot = &party->slots[n % SLOTS];
	int r;

	if (A_ACQUIRE(&slot->busy) != 0) {
		if (n / SLOTS % 4 == 0)
			eddy_job_cancel(&slot->job);
		return;
	}
	slot->serial++;
	A_STORE(&slot->busy, 1);
	r = eddy_submit(pools[0], &slot->job, party->loop, on_slot);
	if (r == 0) {
		party->budget--;
		party->out++;
		return;
	}
	if (r != -EAGAIN)
		ck_abort_msg("submit: %d", r);
	slot->serial--;
	A_STORE(&slot->busy, 0);
}

static void
on_slot(struct eddy_loop *loop, struct eddy_job *job)
{
	struct slot *slot = (struct slot *)job;
	struct party *party = slot->party;
	bool ran = job->outcome == EDDY_RETURNED;
	int i;

	if (++slot->heard != slot->serial ||
	    ran != (slot->ran == slot->serial) ||
	    (ran ? job->result != slot->serial
		 : job->outcome != EDDY_CANCELLED))
		ck_abort_msg("job %d: heard of %d, ran %d, outcome %d",
		    slot->serial, slot->heard, slot->ran, job->outcome);
	A_RELEASE(&slot->busy, 0);
	if (party->afar)
		return;
	party->out--;
	for (i = 0; i < 3 && party->budget > 0; i++)
		throw(party);
	if (party->out == 0 && party->budget > 0)
		eddy_post(loop, &party->post);
}

static void
on_kick(struct eddy_loop *loop, struct eddy_post *post)
{
	struct party *party = (struct party *)((char *)post -
					       offsetof(struct party, post));
	int i;

	if (party->afar) {
		ck_assert_int_eq(eddy_loop_release(loop), 0);
		return;
	}
	for (i = 0; i < SLOTS && party->budget > 0; i++)
		throw(party);
	if (party->out == 0 && party->budget > 0)
		eddy_post(loop, post);
}

static void *
throw_from_afar(void *arg)
{
	struct party *party = arg;

	while (party->budget > 0)
		throw(party);
	ck_assert_int_eq(eddy_post(party->loop, &party->post), 0);
	return NULL;
}

static void *
run_loop(void *arg)
{
	ck_assert_int_eq(eddy_loop_run(arg), 0);
	return NULL;
}

static void
check_storm(int64_t spin, unsigned seed)
{
	struct eddy_loop_options options = {.spin_duration = spin};
	struct eddy_executor_stats stats;
	pthread_t threads[LOOPS + AFAR];
	int i, j, budget = CENSUS_ASAN || CENSUS_TSAN ? 4000 : 20000;
	uint64_t sum = 0;

	pools[0] = open_pool(3, 20, spin, EDDY_US(300));
	for (i = 0; i < LOOPS + AFAR; i++) {
		struct party *party = &parties[i];

		*party = (struct party){.seed = seed + (unsigned)i,
		    .budget = budget,
		    .afar = i >= LOOPS};
		for (j = 0; j < SLOTS; j++)
			party->slots[j] = (struct slot){.party = party,
			    .job = {.fn = run_slot, .arg = &party->slots[j]}};
		eddy_post_init(&party->post, on_kick);
		if (party->afar) {
			party->loop = parties[i - LOOPS].loop;
			ck_assert_int_eq(eddy_loop_hold(party->loop), 0);
			continue;
		}
		ck_assert_int_eq(eddy_loop_open(&party->loop, &options), 0);
		ck_assert_int_eq(eddy_post(party->loop, &party->post), 0);
	}
	for (i = 0; i < LOOPS + AFAR; i++)
		threads[i] = i < LOOPS
		                 ? thread_of(run_loop, parties[i].loop)
		                 : thread_of(throw_from_afar, &parties[i]);
	for (i = 0; i < LOOPS + AFAR; i++)
		join(threads[i]);
	for (i = 0; i < LOOPS + AFAR; i++)
		for (j = 0; j < SLOTS; j++) {
			struct slot *slot = &parties[i].slots[j];

			if (slot->heard != slot->serial)
				ck_abort_msg("job %d was lost", slot->serial);
			sum += (uint64_t)slot->heard;
		}
	stats = stats_of(pools[0]);
	ck_assert_uint_eq(sum, (LOOPS + AFAR) * (uint64_t)budget);
	ck_assert_uint_eq(stats.submitted, sum);
	ck_assert_uint_eq(stats.returned + stats.cancelled, sum);
	ck_assert_uint_eq(stats.queued + stats.running, 0);
	ck_assert_int_eq(eddy_executor_close(pools[0], EDDY_FOREVER), 0);
	for (i = 0; i < LOOPS; i++)
		ck_assert_int_eq(eddy_loop_close(parties[i].loop), 0);
}

START_TEST(a_storm_has_one_outcome_per_job)
{
	check_storm(0, 1);
	check_storm(0, 2);
}
END_TEST

START_TEST(a_storm_without_spin_has_one_outcome_per_job)
{
	check_storm(-1, 1);
	check_storm(-1, 2);
}
END_TEST

START_TEST(a_storm_with_long_spin_has_one_outcome_per_job)
{
	check_storm(EDDY_MS(1), 1);
}
END_TEST

/* Doors. */

START_TEST(a_loop_may_close_right_after_the_last_outcome)
{
	int i;

	pools[0] = open_pool(2, 0, 0, 0);
	for (i = 0; i < 5000; i++) {
		struct eddy_loop *loop = census_loop();

		heard = 0;
		if (i % 2 == 0)
			submit(pools[0], 0, 1 + i % 7, quick, loop);
		else
			in_turn(loop, submit_ten);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		ck_assert_int_eq(heard, i % 2 == 0 ? 1 + i % 7 : 10);
		ck_assert_int_eq(eddy_loop_close(loop), 0);
	}
	ck_assert_int_eq(eddy_executor_close(pools[0], EDDY_FOREVER), 0);
}
END_TEST

static struct slot victim;
static uint32_t wanted; /* back, by the main thread */

static void
on_victim(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	(void)job;
	heard++;
}

static void *
cancel_victim(void *arg)
{
	while (A_ACQUIRE(&victim.busy) != 2) {
		uint32_t out = 1;

		if (A_LOAD(&wanted) != 0 || !A_CAS(&victim.busy, &out, 3)) {
			sched_yield();
			continue;
		}
		eddy_job_cancel(&victim.job);
		A_RELEASE(&victim.busy, 1);
	}
	return arg;
}

static void
submit_victim(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	ck_assert_int_eq(
	    eddy_submit(pools[0], &victim.job, loop, on_victim), 0);
	A_RELEASE(&victim.busy, 1);
}

START_TEST(a_cancel_may_come_when_the_loop_is_gone)
{
	int i;
	pthread_t thread;
	uint32_t out;

	pools[0] = open_pool(2, 0, 0, 0);
	warm(pools[0]);
	heard = 0;
	victim.job = (struct eddy_job){.fn = run_slot, .arg = &victim};
	victim.busy = 0;
	thread = thread_of(cancel_victim, NULL);
	for (i = 0; i < 5000; i++) {
		struct eddy_loop *loop = census_loop();

		in_turn(loop, submit_victim);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		ck_assert_int_eq(heard, i + 1);
		ck_assert_int_eq(eddy_loop_close(loop), 0);
		A_STORE(&wanted, 1);
		for (out = 1; !A_CAS(&victim.busy, &out, 0); out = 1)
			sched_yield();
		A_STORE(&wanted, 0);
	}
	A_RELEASE(&victim.busy, 2);
	join(thread);
	ck_assert_int_eq(eddy_executor_close(pools[0], EDDY_FOREVER), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("batch");
	TCase *idle = census_case(suite, "idle", 4);
	TCase *slot = census_case(suite, "slot", 4);

	census_add(census_case(suite, "cork", 60),
	    a_turn_keeps_no_job_beyond_its_end,
	    a_loop_may_cancel_what_its_turn_keeps,
	    a_thread_may_cancel_what_a_turn_keeps, a_turn_may_serve_two_pools,
	    a_turn_keeps_to_the_limit_of_the_queue,
	    a_turn_and_a_thread_share_the_limit_of_the_queue,
	    a_turn_may_submit_and_close, workers_may_leave_during_a_turn,
	    close_waits_for_the_turn_of_another_loop,
	    close_gives_up_on_a_turn_in_time,
	    a_turn_that_ends_keeps_a_closing_pool_alive,
	    a_turn_that_ends_keeps_an_abandoned_pool_alive,
	    a_close_at_any_time_loses_no_job_of_a_turn);
	census_add(slot, a_held_job_may_be_cancelled, held_jobs_count_as_queued,
	    close_cancels_held_jobs, jobs_held_behind_a_long_one_are_stolen,
	    who_waits_for_room_gets_that_of_cancelled_held_jobs,
	    who_waits_for_room_gets_that_of_stolen_jobs);
	tcase_add_loop_test(
	    slot, who_waits_for_room_gets_what_a_turn_did_not_use, 0, 3);
	census_add(census_case(suite, "wake", 6), each_wake_leads_to_the_next,
	    each_wake_leads_to_the_next_without_spin,
	    each_wake_leads_to_the_next_with_long_spin,
	    a_loop_that_never_rests_has_its_jobs_run);
	if (!CENSUS_ASAN && !CENSUS_TSAN)
		census_add(idle, an_idle_program_uses_no_cpu);
	census_add(census_case(suite, "storm", 10),
	    a_storm_has_one_outcome_per_job,
	    a_storm_without_spin_has_one_outcome_per_job,
	    a_storm_with_long_spin_has_one_outcome_per_job);
	census_add(census_case(suite, "door", 10),
	    a_loop_may_close_right_after_the_last_outcome,
	    a_cancel_may_come_when_the_loop_is_gone);
	return suite_main(suite);
}
