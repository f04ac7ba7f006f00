/* SPDX-License-Identifier: ISC */
/*
 * processes: what only a process pool has; and its races, decided.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "scenario.h"

enum { PATIENT = 50 }; /* ms that a second job may take to start */

static int
crash(void *arg)
{
	(void)arg;
	return raise(SIGKILL);
}

static int
use_crash(struct eddy_loop *loop, struct eddy_executor *pool, int jobs)
{
	struct call calls[2];
	int first = 0;

	note(&first, submit(pool, loop, &calls[0], crash));
	note(&first, submit(pool, loop, &calls[1], give));
	must(eddy_loop_run(loop) == 0);
	note(&first, answered(calls, 2, give));
	note(&first, use_jobs(loop, pool, jobs));
	return first;
}

static int
use_one(struct eddy_loop *loop, struct eddy_executor *pool)
{
	return use_crash(loop, pool, 1);
}

static int
use_many(struct eddy_loop *loop, struct eddy_executor *pool)
{
	return use_crash(loop, pool, 8);
}

static int
run_with_zygote(struct eddy_process_pool_options options, use_fn *use)
{
	int first = eddy_zygote_open(&options.zygote, 0);

	if (first < 0)
		return first;
	first = with_pool(NULL, &options, use);
	must(eddy_zygote_close(options.zygote) == 0);
	return first;
}

int
run_one_on_processes(void)
{
	return run_with_zygote(
	    (struct eddy_process_pool_options){
		.workers = 1, .depth = 1, .slot_size = 64},
	    use_one);
}

int
run_many_on_processes(void)
{
	return run_with_zygote(
	    (struct eddy_process_pool_options){
		.workers = 2, .depth = 4, .slot_size = 64},
	    use_many);
}

int
use_nothing(struct eddy_loop *loop, struct eddy_executor *pool)
{
	(void)loop;
	(void)pool;
	return 0;
}

/* With a home of its own. */
int
run_homeless(void)
{
	/* In a forked test TSan has two threads of its own. */
	struct eddy_process_pool_options options = {
	    .workers = 1, .flags = CENSUS_TSAN ? EDDY_FORK_THREADED : 0};
	struct eddy_executor *pool;
	int first = eddy_process_pool_open(&pool, NULL, &options);

	if (first == 0)
		note(&first, eddy_executor_close(pool, EDDY_S(10)));
	return first;
}

/* What a worker has for itself, and what it is given and gives. */

static int
open_worker(void *init, void **ret_state)
{
	static int state;

	state = *(int *)init;
	*ret_state = &state;
	return 0;
}

static int
pass(void *arg)
{
	int *in = arg, *state = eddy_worker_state(), fd = eddy_job_fd(0);

	eddy_job_progress(1);
	if (state == NULL || fd < 0)
		return -EBADF;
	*in += *state;
	return eddy_job_return_fd(fd);
}

static void
on_progress(struct eddy_loop *loop, struct eddy_long_job *job)
{
	(void)loop;
	must(job->progress == 1);
}

static int
use_descriptors(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct eddy_descriptors fds = {.in_count = 1, .in = {STDERR_FILENO}};
	struct eddy_worker_report report;
	struct eddy_long_job job;
	int in = 7, first = 0;
	unsigned i;

	job = (struct eddy_long_job)EDDY_LONG_JOB(pass, &in, on_progress);
	job.fds = &fds;
	job.report = &report;
	if (fault->later)
		job.job.deadline = eddy_after(EDDY_MS(40 * (1 + SLOW * 4)));
	note(&first, eddy_submit(pool, &job.job, loop, on_outcome));
	must(eddy_loop_run(loop) == 0);
	if (first == 0) {
		note(&first, eddy_job_rc(&job.job));
		must(fds.out_count == (first == 0));
		must(in == 8 || first < 0);
	}
	for (i = 0; i < fds.out_count; i++)
		close(fds.out[i]);
	return first;
}

/* In memory of the channel; and its worker is replaced after it. */
static int
use_reserved(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call call = {.in = 7};
	int i, first = 0, r = -EAGAIN;

	call.job = (struct eddy_job)EDDY_JOB(give, &call.in);
	for (i = 0; i < 20 && r == -EAGAIN; i++) {
		must(eddy_loop_step(loop, EDDY_MS(5)) >= 0);
		r = eddy_job_reserve(pool, &call.job, sizeof(int));
	}
	if (r == -EAGAIN) /* a worker that a fault has cost */
		return 0;
	note(&first, r);
	if (first == 0) {
		*(int *)call.job.arg = 7;
		if (fault->later)
			call.job.deadline = eddy_after(EDDY_MS(40));
		note(&first, eddy_submit(pool, &call.job, loop, on_call));
		must(eddy_loop_run(loop) == 0);
		must(call.answers == (first == 0));
		note(&first, first == 0 ? eddy_job_rc(&call.job) : 0);
		must(first < 0 || *(int *)call.job.arg == 8);
		eddy_job_release(&call.job);
	}
	return first;
}

static int
use_both(struct eddy_loop *loop, struct eddy_executor *pool)
{
	int first = use_descriptors(loop, pool);

	note(&first, use_reserved(loop, pool));
	return first;
}

int
run_replaced(void)
{
	static const int one = 1;
	static const struct eddy_process_pool_options options = {.workers = 1,
	    .depth = 1,
	    .max_jobs = 1,
	    .worker_open = open_worker,
	    .init = &one,
	    .init_size = sizeof(one),
	    .flags = EDDY_PASS_DESCRIPTORS};

	return with_pool(NULL, &options, use_both);
}

/* Races, decided. */

static struct board {
	uint32_t gate;                      /* futex */
	uint32_t first, second, second_ran; /* of a_kill_that_comes_late */
	uint32_t armed, sleepy, go;         /* of a_worker_that_falls_asleep */
} * board;

/* Older than the zygote. */
static void
board_open(void)
{
	board = census_share(sizeof(*board));
	fault_begin(HOST, 0, false, 0);
}

/* A kill that comes late: the job it is meant for has ended, and its worker has
 * begun the next one, if it was let. */

static int
first_job(void *arg)
{
	A_ADD(&board->first, 1);
	while (A_ACQUIRE(&board->gate) == 0)
		syscall(SYS_futex, &board->gate, FUTEX_WAIT, 0, NULL);
	return give(arg);
}

static int
second_job(void *arg)
{
	A_ADD(&board->second, 1);
	usleep(1000 * PATIENT);
	A_ADD(&board->second_ran, 1);
	return give(arg);
}

static void
let_go(void)
{
	int i;

	A_RELEASE(&board->gate, 1);
	syscall(SYS_futex, &board->gate, FUTEX_WAKE, INT_MAX);
	for (i = 0; i < PATIENT && A_LOAD(&board->second) == 0; i++)
		usleep(1000);
}

START_TEST(a_kill_that_comes_late_hits_nobody_else)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct call first, second;
	struct eddy_executor *pool;
	struct eddy_loop *loop;

	board_open();
	loop = census_loop();
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	ck_assert_int_eq(submit(pool, loop, &first, first_job), 0);
	while (A_LOAD(&board->first) == 0)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	ck_assert_int_eq(submit(pool, loop, &second, second_job), 0);
	fault_before_kill = let_go;
	ck_assert_int_eq(eddy_job_cancel(&first.job), 0);
	fault_before_kill = NULL;
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	if (first.job.outcome != EDDY_RETURNED) /* it may have won */
		ck_assert_int_eq(first.job.outcome, EDDY_CANCELLED);
	ck_assert_int_eq(second.job.outcome, EDDY_RETURNED);
	ck_assert_uint_eq(board->second_ran, 1);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static int
arm(void *arg)
{
	A_STORE(&board->armed, 1);
	return give(arg);
}

/* In a worker that has looked for work and is about to sleep. */
static void
doze(void)
{
	if (A_LOAD(&board->armed) == 0)
		return;
	A_STORE(&board->sleepy, 1);
	while (A_LOAD(&board->go) == 0)
		usleep(1000);
}

/* The close has told the workers to quit, and waits for them. */
static void
rouse(void)
{
	A_STORE(&board->go, 1);
}

START_TEST(a_worker_that_falls_asleep_hears_of_the_close)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	struct call call;

	board_open();
	fault_before_sleep = doze;
	loop = census_loop();
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	while (eddy_process_pool_pids(pool, NULL, 0) == 0)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	ck_assert_int_eq(submit(pool, loop, &call, arm), 0);
	while (A_LOAD(&board->sleepy) == 0)
		usleep(1000);
	fault_before_poll = rouse;
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(5)), 0);
	fault_before_poll = NULL;
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

void
add_races(Suite *suite)
{
	census_add(census_case(suite, "races", 60),
	    a_kill_that_comes_late_hits_nobody_else,
	    a_worker_that_falls_asleep_hears_of_the_close);
}
