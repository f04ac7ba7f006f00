/* SPDX-License-Identifier: ISC */
#include <eddy/process_pool.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atomics.h"
#include "rig.h"

enum {
	/* ms that the death of a host may take to reach the last worker */
	LAST_WORKER = CENSUS_TSAN || CENSUS_ASAN ? 5000 : 1000,
};

/* Memory that the tests and their workers share. */
static struct board {
	uint32_t come; /* jobs that are in hold(), or about to be */
	uint32_t here; /* those whose pid is below */
	uint32_t gate; /* futex: they stay while it is 0 */
	int pids[16];  /* of those, in the order of their coming */
	int child;
} * board;

struct call {
	struct eddy_job job;
	int in, answers;
};

/* Jobs. */

static int
give(void *arg)
{
	return *(int *)arg;
}

static int
hold(void *arg)
{
	board->pids[A_ADD(&board->come, 1) % 16] = getpid();
	A_ADD(&board->here, 1);
	while (A_ACQUIRE(&board->gate) == 0)
		syscall(SYS_futex, &board->gate, FUTEX_WAIT, 0, NULL);
	return *(int *)arg;
}

/* Deaf to all but SIGKILL, and with a child. */
static int
hold_fast(void *arg)
{
	sigset_t all;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	board->child = pid;
	return hold(arg);
}

static int
crash(void *arg)
{
	(void)arg;
	return raise(SIGSEGV);
}

static int
leave(void *arg)
{
	exit(*(int *)arg);
}

static void
open_gate(void)
{
	A_RELEASE(&board->gate, 1);
	syscall(SYS_futex, &board->gate, FUTEX_WAKE, INT_MAX);
}

/* The rig. */

static void
board_open(void)
{
	board = census_share(sizeof(*board));
}

static void
on_call(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct call *)job)->answers++;
}

static int
call_try(struct rig *rig, struct call *call, eddy_job_fn *fn)
{
	*call = (struct call){.in = 7};
	call->job = (struct eddy_job)EDDY_JOB(fn, &call->in);
	return eddy_submit(rig->pool, &call->job, rig->loop, on_call);
}

static void
call_start(struct rig *rig, struct call *call, eddy_job_fn *fn)
{
	ck_assert_int_eq(call_try(rig, call, fn), 0);
}

static void
call_expect(
    struct rig *rig, struct call *call, enum eddy_outcome outcome, int result)
{
	rig_until(rig, call->answers != 0);
	ck_assert_int_eq(call->answers, 1);
	ck_assert_int_eq(call->job.outcome, outcome);
	if (outcome != EDDY_CANCELLED)
		ck_assert_int_eq(call->job.result, result);
}

static void
expect(struct rig *rig, eddy_job_fn *fn, enum eddy_outcome outcome, int result)
{
	struct call call;

	call_start(rig, &call, fn);
	call_expect(rig, &call, outcome, result);
}

static void
rig_close(struct rig *rig)
{
	int i;

	for (i = 0; i < 20; i++)
		expect(rig, give, EDDY_RETURNED, 7);
	ck_assert_int_eq(eddy_executor_close(rig->pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig->loop), 0);
}

static bool
gone(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

/* It ends, within ms. */
static void
await_end(int pidfd, int ms)
{
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};

	if (pidfd < 0)
		return;
	ck_assert_int_eq(poll(&fd, 1, ms), 1);
	close(pidfd);
}

/* The end of a zygote. */

static void
lose(struct rig *rig, pid_t victim)
{
	struct call busy[2], waiting[20], more;
	struct eddy_executor_stats stats;
	int i, pids[2], workers[2];

	for (i = 0; i < 2; i++)
		call_start(rig, &busy[i], hold);
	rig_until(rig, A_LOAD(&board->here) == 2);
	for (i = 0; i < 20; i++)
		call_start(rig, &waiting[i], give);
	ck_assert_int_eq(eddy_process_pool_pids(rig->pool, pids, 2), 2);
	for (i = 0; i < 2; i++)
		workers[i] = handle(pids[i]);
	ck_assert_int_eq(kill(victim, SIGKILL), 0);
	for (i = 0; i < 2; i++) {
		call_expect(rig, &busy[i], EDDY_LOST, -EPIPE);
		await_end(workers[i], 0);
	}
	for (i = 0; i < 20; i++)
		call_expect(rig, &waiting[i], EDDY_LOST, -EPIPE);
	ck_assert_int_eq(call_try(rig, &more, give), -EPIPE);
	eddy_executor_stats(rig->pool, &stats);
	ck_assert_uint_eq(stats.workers, 0);
	ck_assert_uint_eq(stats.running, 0);
	ck_assert_uint_eq(stats.queued, 0);
	ck_assert_uint_eq(stats.failed, 22);
	ck_assert_int_eq(eddy_process_pool_pids(rig->pool, NULL, 0), 0);
	ck_assert_int_eq(eddy_executor_close(rig->pool, EDDY_S(30)), 0);
}

START_TEST(without_its_zygote_a_pool_answers_every_job)
{
	struct rig rig;

	rig_open(&rig, .workers = 2);
	lose(&rig, child_of(getpid()));
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	rig_open(&rig, .workers = 2);
	rig_close(&rig);
}
END_TEST

/* Another may lower the limit of descriptors below what it waits for. */
START_TEST(a_zygote_that_cannot_wait_any_more_ends)
{
	struct rlimit none = {0, 0};
	struct call call;
	struct rig rig;
	pid_t zygote;
	int end;

	rig_open(&rig, .workers = 1);
	expect(&rig, give, EDDY_RETURNED, 7);
	zygote = child_of(child_of(getpid()));
	end = handle(zygote);
	ck_assert_int_eq(prlimit(zygote, RLIMIT_NOFILE, &none, NULL), 0);
	call_start(&rig, &call, crash);
	await_end(end, 10000);
	do
		rig_until(&rig, call.answers != 0);
	while (call_try(&rig, &call, give) == 0);
	ck_assert_int_eq(call_try(&rig, &call, give), -EPIPE);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

/* Each pool has one of its own, below the one that was opened. */
START_TEST(the_end_of_its_own_zygote_hits_one_pool)
{
	struct eddy_zygote *zygote;
	struct rig one, other;

	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), 0);
	rig_open(&other, .zygote = zygote, .workers = 1);
	expect(&other, give, EDDY_RETURNED, 7);
	rig_open(&one, .zygote = zygote, .workers = 2);
	expect(&one, give, EDDY_RETURNED, 7);
	lose(&one, child_of(child_of(getpid())));
	ck_assert_int_eq(eddy_loop_close(one.loop), 0);
	expect(&other, crash, EDDY_CRASHED, SIGSEGV);
	rig_close(&other);
	open_gate();
	rig_open(&one, .zygote = zygote, .workers = 1);
	rig_close(&one);
	ck_assert_int_eq(eddy_zygote_close(zygote), 0);
}
END_TEST

/* It dies before it has heard of the pool: no worker was ever started. */
START_TEST(a_zygote_that_dies_first_answers_too)
{
	struct eddy_executor_stats stats;
	struct eddy_job job = {.fn = give};
	struct eddy_zygote *zygote;
	struct call calls[5];
	struct rig rig;
	int i;

	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), 0);
	ck_assert_int_eq(kill(child_of(getpid()), SIGSTOP), 0);
	rig_open(&rig, .zygote = zygote, .workers = 8);
	for (i = 0; i < 5; i++)
		call_start(&rig, &calls[i], give);
	ck_assert_int_eq(kill(child_of(getpid()), SIGKILL), 0);
	for (i = 0; i < 5; i++)
		call_expect(&rig, &calls[i], EDDY_LOST, -EPIPE);
	eddy_executor_stats(rig.pool, &stats);
	ck_assert_uint_eq(stats.workers, 0);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &job, 8), -EPIPE);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	ck_assert_int_eq(eddy_zygote_close(zygote), 0);
}
END_TEST

START_TEST(a_dead_zygote_takes_no_pool)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool;
	int zygote;

	ck_assert_int_eq(eddy_zygote_open(&options.zygote, 0), 0);
	zygote = handle(child_of(getpid()));
	ck_assert_int_eq(kill(child_of(getpid()), SIGKILL), 0);
	await_end(zygote, 10000);
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), -EPIPE);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(eddy_zygote_close(options.zygote), 0);
}
END_TEST

/* Who submits has to look into it. */
START_TEST(a_dead_zygote_is_in_use_as_long_as_its_pool)
{
	struct eddy_zygote *zygote;
	struct call call;
	struct rig rig;

	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), 0);
	rig_open(&rig, .workers = 1, .zygote = zygote);
	ck_assert_int_eq(kill(child_of(getpid()), SIGKILL), 0);
	while (call_try(&rig, &call, give) == 0)
		rig_until(&rig, call.answers != 0);
	ck_assert_int_eq(eddy_zygote_close(zygote), -EBUSY);
	ck_assert_int_eq(call_try(&rig, &call, give), -EPIPE);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	ck_assert_int_eq(eddy_zygote_close(zygote), 0);
}
END_TEST

START_TEST(what_jobs_had_started_dies_with_the_zygote)
{
	struct call call;
	struct rig rig;
	int child;

	rig_open(&rig, .workers = 1);
	call_start(&rig, &call, hold_fast);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	child = handle(board->child);
	if (syscall(SYS_pidfd_send_signal, child, 0, NULL, 4) < 0)
		kill(board->child, SIGKILL); /* before Linux 6.9 they live on */
	ck_assert_int_eq(kill(child_of(getpid()), SIGKILL), 0);
	call_expect(&rig, &call, EDDY_LOST, -EPIPE);
	await_end(child, 10000);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

START_TEST(a_stopped_zygote_closes_all_the_same)
{
	int64_t start = eddy_now();
	struct eddy_zygote *zygote;

	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), 0);
	ck_assert_int_eq(kill(child_of(getpid()), SIGSTOP), 0);
	ck_assert_int_eq(eddy_zygote_close(zygote), 0);
	ck_assert_int_ge(eddy_now(), start + EDDY_S(5));
}
END_TEST

/* The end of a host.  What happens to it, once its workers are busy. */

enum end { KILLED, KILLED_IDLE, KILLED_WITH_SIBLING, EXITED, EXECUTED, ENDS };

static void
end_host(enum end end, int report)
{
	static char name[] = "sleep", time[] = "60";
	char *argv[] = {name, time, NULL};
	pid_t sibling;

	if (end == KILLED_WITH_SIBLING) {
		sibling = fork(); /* holds all descriptors of the host */
		if (sibling == 0) {
			while (A_ACQUIRE(&board->gate) == 0)
				syscall(SYS_futex, &board->gate, FUTEX_WAIT, 0,
				    NULL);
			_exit(0);
		}
	}
	(void)!write(report, "r", 1);
	if (end == EXITED)
		_exit(0);
	if (end == EXECUTED)
		execvp(argv[0], argv);
	for (;;)
		pause();
}

static void
host(enum end end, int report)
{
	struct call calls[2];
	struct rig rig;
	int i, pids[2];

	rig_open(&rig, .workers = 2);
	rig_until(&rig, eddy_process_pool_pids(rig.pool, pids, 2) == 2);
	for (i = 0; i < 2; i++)
		board->pids[i] = pids[i];
	board->pids[2] = child_of(getpid());
	board->pids[3] = child_of(board->pids[2]);
	if (end != KILLED_IDLE) {
		for (i = 0; i < 2; i++)
			call_start(&rig, &calls[i], hold_fast);
		rig_until(&rig, A_LOAD(&board->here) >= 2);
		board->pids[2] = child_of(getpid());
	}
	end_host(end, report);
}

START_TEST(workers_die_with_their_host)
{
	int i, report[2], handles[6];
	char c;
	pid_t pid;

	ck_assert_int_eq(pipe(report), 0);
	pid = fork();
	if (pid == 0) {
		host((enum end)_i, report[1]);
		_exit(1);
	}
	ck_assert_int_eq(read(report[0], &c, 1), 1);
	for (i = 0; i < 4; i++)
		handles[i] = handle(board->pids[i]);
	handles[4] = board->child != 0 ? handle(board->child) : -1;
	if (_i != EXITED && _i != EXECUTED)
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
	for (i = 0; i < 5; i++)
		await_end(handles[i], LAST_WORKER);
	open_gate();
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(report[0]);
	close(report[1]);
}
END_TEST

/* The pool of a job: its host is a worker. */
static int
pool_in_job(void *arg)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_loop *loop;
	struct eddy_executor *pool;
	struct eddy_job job = {.fn = hold, .arg = arg, .size = sizeof(int)};
	int r;

	r = eddy_loop_open(&loop, NULL);
	if (r == 0)
		r = eddy_process_pool_open(&pool, loop, &options);
	if (r == 0)
		r = eddy_submit(pool, &job, loop, on_call);
	if (r == 0)
		r = eddy_loop_run(loop);
	return r;
}

START_TEST(a_pool_in_a_job_dies_with_its_worker)
{
	struct call call;
	struct rig rig;
	int inner;

	rig_open(&rig, .workers = 1);
	call_start(&rig, &call, pool_in_job);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	inner = handle(board->pids[0]);
	ck_assert_int_ge(inner, 0);
	ck_assert_int_eq(eddy_job_cancel(&call.job), 0);
	call_expect(&rig, &call, EDDY_CANCELLED, 0);
	await_end(inner, 30000);
	rig_close(&rig);
}
END_TEST

/* Threads. */

struct thread {
	pthread_t id;
	pthread_mutex_t stay;
	struct eddy_zygote *zygote;
	struct rig *rig;
	int rc[2];
};

static void *
stay(void *arg)
{
	struct thread *thread = arg;

	pthread_mutex_lock(&thread->stay);
	pthread_mutex_unlock(&thread->stay);
	return NULL;
}

START_TEST(a_threaded_host_is_refused_unless_it_insists)
{
	struct thread thread = {.stay = PTHREAD_MUTEX_INITIALIZER};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool;
	struct eddy_zygote *zygote, *early;
	struct rig rig;

	ck_assert_int_eq(eddy_zygote_open(&early, 0), 0);
	pthread_mutex_lock(&thread.stay);
	ck_assert_int_eq(pthread_create(&thread.id, NULL, stay, &thread), 0);
	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), -EDEADLK);
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, NULL), -EDEADLK);
	rig_open(&rig, .workers = 1, .flags = EDDY_FORK_THREADED);
	rig_close(&rig);
	ck_assert_int_eq(eddy_zygote_open(&zygote, EDDY_FORK_THREADED), 0);
	rig_open(&rig, .workers = 1, .zygote = zygote);
	rig_close(&rig);
	rig_open(&rig, .workers = 1, .zygote = early);
	rig_close(&rig);
	pthread_mutex_unlock(&thread.stay);
	ck_assert_int_eq(pthread_join(thread.id, NULL), 0);
	ck_assert_int_eq(eddy_zygote_close(zygote), 0);
	ck_assert_int_eq(eddy_zygote_close(early), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void *
open_zygote(void *arg)
{
	struct thread *thread = arg;

	thread->rc[0] = eddy_zygote_open(&thread->zygote, EDDY_FORK_THREADED);
	return NULL;
}

START_TEST(a_zygote_outlives_the_thread_that_opened_it)
{
	struct thread thread = {.rc = {-1}};
	struct rig rig;

	ck_assert_int_eq(
	    pthread_create(&thread.id, NULL, open_zygote, &thread), 0);
	ck_assert_int_eq(pthread_join(thread.id, NULL), 0);
	ck_assert_int_eq(thread.rc[0], 0);
	rig_open(&rig, .workers = 1, .zygote = thread.zygote);
	expect(&rig, crash, EDDY_CRASHED, SIGSEGV);
	rig_close(&rig);
	ck_assert_int_eq(eddy_zygote_close(thread.zygote), 0);
}
END_TEST

static void *
misuse(void *arg)
{
	struct thread *thread = arg;
	struct eddy_process_pool_options options = {.zygote = thread->zygote};
	struct eddy_executor *pool;

	thread->rc[0] = eddy_executor_close(thread->rig->pool, 0);
	thread->rc[1] = eddy_process_pool_open(
	    &pool, thread->rig->loop, &options);
	return NULL;
}

START_TEST(only_the_home_thread_opens_and_closes)
{
	struct thread thread = {.rc = {0}};
	struct rig rig;

	ck_assert_int_eq(eddy_zygote_open(&thread.zygote, 0), 0);
	rig_open(&rig, .workers = 1, .zygote = thread.zygote);
	thread.rig = &rig;
	ck_assert_int_eq(pthread_create(&thread.id, NULL, misuse, &thread), 0);
	ck_assert_int_eq(pthread_join(thread.id, NULL), 0);
	ck_assert_int_eq(thread.rc[0], -EPERM);
	ck_assert_int_eq(thread.rc[1], -EPERM);
	rig_close(&rig);
	ck_assert_int_eq(eddy_zygote_close(thread.zygote), 0);
}
END_TEST

/* Sharing. */

START_TEST(a_zygote_in_use_does_not_close)
{
	struct eddy_zygote *zygote;
	struct rig rig;

	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), 0);
	rig_open(&rig, .workers = 1, .zygote = zygote);
	ck_assert_int_eq(eddy_zygote_close(zygote), -EBUSY);
	rig_close(&rig);
	ck_assert_int_eq(eddy_zygote_close(zygote), 0);
}
END_TEST

/* A child that goes on has copies of all descriptors. */
START_TEST(what_a_closed_pool_had_ends_before_a_forked_child)
{
	struct eddy_zygote *zygote;
	struct rig rig;
	pid_t child, server;

	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), 0);
	server = child_of(getpid());
	rig_open(&rig, .workers = 1, .zygote = zygote);
	rig_until(&rig, eddy_process_pool_pids(rig.pool, NULL, 0) == 1);
	child = fork();
	if (child == 0)
		for (;;)
			pause();
	rig_close(&rig);
	while (child_of(server) != 0)
		poll(NULL, 0, 1);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	ck_assert_int_eq(eddy_zygote_close(zygote), 0);
}
END_TEST

/* Numbers below 5: it has those. */
START_TEST(a_zygote_without_room_for_a_link_makes_no_server)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct rlimit all, few;
	struct eddy_zygote *zygote;
	struct call call;
	struct rig rig;
	pid_t server;
	int r;

	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), 0);
	server = child_of(getpid());
	ck_assert_int_eq(prlimit(server, RLIMIT_NOFILE, NULL, &all), 0);
	few = all;
	few.rlim_cur = 5;
	ck_assert_int_eq(prlimit(server, RLIMIT_NOFILE, &few, NULL), 0);
	options.zygote = zygote;
	rig.loop = census_loop();
	r = eddy_process_pool_open(&rig.pool, rig.loop, &options);
	if (r == 0) { /* it did not know yet */
		call_start(&rig, &call, give);
		call_expect(&rig, &call, EDDY_LOST, -EPIPE);
		ck_assert_int_eq(eddy_executor_close(rig.pool, 0), 0);
	} else {
		ck_assert_int_eq(r, -EPIPE);
	}
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	ck_assert_int_eq(child_of(server), 0);
	ck_assert_int_eq(prlimit(server, RLIMIT_NOFILE, &all, NULL), 0);
	rig_open(&rig, .workers = 1, .zygote = zygote);
	rig_close(&rig);
	ck_assert_int_eq(eddy_zygote_close(zygote), 0);
}
END_TEST

START_TEST(pools_share_a_zygote_and_nothing_else)
{
	struct eddy_zygote *zygote;
	struct call one, two;
	struct rig rigs[2];

	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), 0);
	rig_open(&rigs[0], .workers = 1, .zygote = zygote);
	rig_open(&rigs[1], .workers = 1, .zygote = zygote);
	call_start(&rigs[0], &one, crash);
	call_start(&rigs[1], &two, hold);
	call_expect(&rigs[0], &one, EDDY_CRASHED, SIGSEGV);
	rig_until(&rigs[1], A_LOAD(&board->here) == 1);
	rig_close(&rigs[0]);
	open_gate();
	call_expect(&rigs[1], &two, EDDY_RETURNED, 7);
	rig_close(&rigs[1]);
	ck_assert_int_eq(eddy_zygote_close(zygote), 0);
}
END_TEST

static int library[2]; /* descriptors, by number, of some other library */

static void
library_fork(void)
{
	close(library[0]);
	close(library[1]);
}

/* libuv closes its pipe for signals in every child. */
START_TEST(what_other_libraries_do_after_a_fork_does_no_harm)
{
	struct eddy_zygote *zygote;
	struct rig rig;

	ck_assert_int_eq(pipe(library), 0);
	ck_assert_int_eq(pthread_atfork(NULL, NULL, library_fork), 0);
	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), 0);
	rig_open(&rig, .workers = 2, .zygote = zygote);
	expect(&rig, crash, EDDY_CRASHED, SIGSEGV);
	rig_close(&rig);
	ck_assert_int_eq(eddy_zygote_close(zygote), 0);
	library_fork();
}
END_TEST

START_TEST(a_loop_may_have_several_pools)
{
	struct rig rigs[10];
	int i;

	rig_open(&rigs[0], .workers = 1);
	for (i = 1; i < 10; i++) {
		struct eddy_process_pool_options options = {.workers = 1};

		rigs[i].loop = rigs[0].loop;
		ck_assert_int_eq(eddy_process_pool_open(
				     &rigs[i].pool, rigs[0].loop, &options),
		    0);
	}
	for (i = 9; i >= 0; i--)
		expect(&rigs[i], give, EDDY_RETURNED, 7);
	for (i = 1; i < 10; i++)
		ck_assert_int_eq(
		    eddy_executor_close(rigs[i].pool, EDDY_S(30)), 0);
	rig_close(&rigs[0]);
}
END_TEST

/* More than the messages that the sockets between hold, in both directions. */
START_TEST(a_pool_may_have_many_workers)
{
	struct call calls[100];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 700, .slot_size = 64);
	for (i = 0; i < 100; i++)
		call_start(&rig, &calls[i], i % 2 == 0 ? give : crash);
	for (i = 0; i < 100; i += 2) {
		call_expect(&rig, &calls[i], EDDY_RETURNED, 7);
		call_expect(&rig, &calls[i + 1], EDDY_CRASHED, SIGSEGV);
	}
	rig_close(&rig);
}
END_TEST

START_TEST(a_host_that_dropped_privileges_needs_a_new_zygote)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool;
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (geteuid() != 0) {
		close(root);
		return;
	}
	ck_assert_int_eq(eddy_zygote_open(&options.zygote, 0), 0);
	ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), -EPERM);
	ck_assert_int_eq(seteuid(0), 0);
	if (chroot("/tmp") == 0) { /* where it may */
		ck_assert_int_eq(
		    eddy_process_pool_open(&pool, loop, &options), -EPERM);
		ck_assert_int_eq(fchdir(root), 0);
		ck_assert_int_eq(chroot("."), 0);
	}
	close(root);
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(eddy_zygote_close(options.zygote), 0);
}
END_TEST

/* With anything as 0, 1 and 2, also in a program that it executes. */
static int
talk(void *arg)
{
	int i, r = 7;

	for (i = 0; i < 3; i++)
		if (fcntl(i, F_GETFD) != 0)
			r = -EBADF;
	(void)!write(2, "", 1);
	return read(0, arg, 1) == 0 ? r : -EIO;
}

static int
live_in_a_hole(void *dir)
{
	struct eddy_zygote *zygote;
	struct rig rig;
	int i;

	if (chroot(dir) == 0) /* where it may */
		ck_assert_int_eq(chdir("/"), 0);
	for (i = 0; i < 3; i++)
		close(i);
	ck_assert_int_eq(eddy_zygote_open(&zygote, 0), 0);
	rig_open(&rig, .workers = 1, .zygote = zygote);
	for (i = 0; i < 2; i++)
		expect(&rig, talk, EDDY_RETURNED, 7);
	rig_close(&rig);
	return eddy_zygote_close(zygote);
}

START_TEST(a_host_without_any_file_makes_clean_workers)
{
	char dir[] = "/tmp/eddy-XXXXXX";

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(census_child(live_in_a_hole, dir), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(signals_for_the_hosts_group_do_not_reach_workers)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	call_start(&rig, &call, hold);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	ck_assert_int_eq(getpgid(board->pids[0]), board->pids[0]);
	ck_assert_int_ne(getpgid(child_of(getpid())), getpgid(0));
	open_gate();
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

/* A forked child of the host: 0, or which demand failed. */

struct heritage {
	struct rig *rig;
	struct eddy_zygote *zygote;
	struct eddy_job *runs, *reserved;
};

static int
use_in_child(void *arg)
{
	struct heritage *heritage = arg;
	struct rig *rig = heritage->rig;
	struct eddy_process_pool_options with = {.zygote = heritage->zygote},
					 without = {.workers = 1};
	struct eddy_loop *own = census_loop();
	struct eddy_executor *pool;
	struct call call;

	if (eddy_process_pool_open(&pool, own, &with) != -ECHILD)
		return -7;
	if (eddy_loop_close(own) != 0)
		return -8;
	if (call_try(rig, &call, give) != -ECHILD)
		return -1;
	if (eddy_job_reserve(rig->pool, &call.job, 8) != -ECHILD)
		return -9;
	eddy_job_release(heritage->reserved); /* of this copy only */
	if (eddy_job_cancel(heritage->runs) != -ECHILD)
		return -10;
	if (eddy_process_pool_open(&pool, rig->loop, &with) != -ECHILD)
		return -2;
	if (eddy_process_pool_open(&pool, rig->loop, &without) != -ECHILD)
		return -3;
	if (eddy_executor_close(rig->pool, EDDY_S(30)) != 0)
		return -4;
	if (eddy_loop_close(rig->loop) != 0)
		return -5;
	return eddy_zygote_close(heritage->zygote) != 0 ? -6 : 0;
}

START_TEST(a_forked_child_can_only_close_and_the_host_does_not_notice)
{
	struct heritage heritage;
	struct call call, more;
	struct eddy_job job = {.fn = give};
	struct rig rig;

	ck_assert_int_eq(eddy_zygote_open(&heritage.zygote, 0), 0);
	rig_open(&rig, .workers = 3, .zygote = heritage.zygote);
	heritage.rig = &rig;
	heritage.runs = &call.job;
	heritage.reserved = &job;
	call_start(&rig, &call, hold);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	rig_until(&rig, eddy_process_pool_pids(rig.pool, NULL, 0) == 3);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &job, 8), 0);
	ck_assert_int_eq(census_child(use_in_child, &heritage), 0);
	call_start(&rig, &more, give);
	call_expect(&rig, &more, EDDY_RETURNED, 7);
	open_gate();
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	eddy_job_release(&job);
	rig_close(&rig);
	ck_assert_int_eq(eddy_zygote_close(heritage.zygote), 0);
}
END_TEST

static int
open_in_child(void *loop)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_executor *pool;
	int r = eddy_process_pool_open(&pool, loop, &options);

	return eddy_loop_close(loop) != 0 ? -1 : r;
}

/* Nothing has told it yet whose it is. */
START_TEST(a_forked_child_opens_no_pool_on_a_loop_that_never_ran)
{
	struct eddy_loop *loop = census_loop();

	ck_assert_int_eq(census_child(open_in_child, loop), -ECHILD);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static int
own_pool(void *arg)
{
	struct rig rig;

	(void)arg;
	rig_open(&rig, .workers = 1);
	expect(&rig, crash, EDDY_CRASHED, SIGSEGV);
	rig_close(&rig);
	return 0;
}

START_TEST(a_forked_child_may_have_its_own_pool)
{
	struct rig rig;

	rig_open(&rig, .workers = 1);
	ck_assert_int_eq(census_child(own_pool, NULL), 0);
	rig_close(&rig);
}
END_TEST

/* Hosts with habits. */

static void
die_in_every_way(struct rig *rig)
{
	int i;

	for (i = 0; i < 10; i++) {
		expect(rig, crash, EDDY_CRASHED, SIGSEGV);
		expect(rig, give, EDDY_RETURNED, 7);
		expect(rig, leave, EDDY_EXITED, EXIT_CODE(7));
	}
}

START_TEST(a_host_that_ignores_its_children_gets_outcomes)
{
	struct sigaction action = {.sa_handler = SIG_DFL,
			     .sa_flags = SA_NOCLDWAIT},
			 old;
	struct rig rig;

	if (_i == 0)
		action = (struct sigaction){.sa_handler = SIG_IGN};
	ck_assert_int_eq(sigaction(SIGCHLD, &action, &old), 0);
	rig_open(&rig, .workers = 1);
	die_in_every_way(&rig);
	rig_close(&rig);
	ck_assert_int_eq(sigaction(SIGCHLD, &old, NULL), 0);
}
END_TEST

static void *
reap_all(void *arg)
{
	(void)arg;
	while (waitpid(-1, NULL, 0) >= 0 || errno == EINTR)
		;
	return NULL;
}

START_TEST(a_host_that_reaps_any_child_gets_outcomes)
{
	pthread_t thread;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, reap_all, NULL), 0);
	die_in_every_way(&rig);
	rig_close(&rig);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void
interrupt(int number)
{
	(void)number;
}

/* Without SA_RESTART, every millisecond. */
START_TEST(a_host_that_is_interrupted_all_the_time_gets_outcomes)
{
	struct sigaction action = {.sa_handler = interrupt};
	timer_t timer;
	struct sigevent event = {
	    .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec often = {{0, 300000}, {0, 300000}};
	struct rig rig;
	int i;

	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	ck_assert_int_eq(timer_settime(timer, 0, &often, NULL), 0);
	for (i = 0; i < 10; i++) {
		rig_open(&rig, .workers = 1);
		expect(&rig, crash, EDDY_CRASHED, SIGSEGV);
		rig_close(&rig);
	}
	timer_delete(timer);
}
END_TEST

START_TEST(a_host_on_one_cpu_gets_outcomes)
{
	cpu_set_t before, one;
	size_t cpu = 0;
	struct rig rig;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	rig_open(&rig, .workers = _i == 0 ? 0 : 4);
	rig_until(&rig,
	    eddy_process_pool_pids(rig.pool, NULL, 0) == (_i == 0 ? 1 : 4));
	die_in_every_way(&rig);
	rig_close(&rig);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(before), &before), 0);
}
END_TEST

static int
leave_stray(void *arg)
{
	if (fork() == 0) {
		setsid();
		for (;;)
			pause();
	}
	return crash(arg);
}

struct init {
	int namespaces;
	int (*fn)(void *init);
};

/* Process 1, which inherits whoever has lost his parent, and waits for nobody. */
static int
be_init(void *arg)
{
	bool own_proc = (((struct init *)arg)->namespaces & CLONE_NEWNS) != 0;
	siginfo_t info = {0};
	struct rig rig;

	if (own_proc &&
	    (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("proc", "/proc", "proc", 0, NULL) < 0))
		return 0; /* a container that lets nobody */
	ck_assert_int_eq(getpid(), 1);
	rig_open(&rig, .workers = 1);
	die_in_every_way(&rig);
	if (own_proc) /* else its zygote cannot find it */
		expect(&rig, leave_stray, EDDY_CRASHED, SIGSEGV);
	ck_assert_int_eq(
	    waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	ck_assert_int_eq(info.si_pid, 0);
	rig_close(&rig);
	while (waitpid(-1, NULL, 0) > 0) /* who was killed, and is not gone */
		;
	ck_assert_int_eq(errno, ECHILD);
	return 0;
}

/* A child with the number pid, or an error. */
static pid_t
fork_as(pid_t pid)
{
	struct clone_args args = {.exit_signal = SIGCHLD,
	    .set_tid = (uintptr_t)&pid,
	    .set_tid_size = 1};
	long r = syscall(SYS_clone3, &args, sizeof(args));

	while (r == 0)
		pause();
	return (pid_t)r;
}

/* With the procfs of outside, and a child of the number that the zygote of its
 * pool has there. */
static int
have_namesake(void *arg)
{
	char self[32] = "";
	struct rig rig;
	pid_t other;

	(void)arg;
	rig_open(&rig, .workers = 1);
	expect(&rig, give, EDDY_RETURNED, 7);
	ck_assert_int_gt(readlink("/proc/self", self, sizeof(self) - 1), 0);
	other = fork_as(child_of(child_of(atoi(self))));
	rig_close(&rig);
	if (other < 0)
		return 0; /* the number is taken */
	ck_assert_int_eq(waitpid(other, NULL, WNOHANG), 0);
	ck_assert_int_eq(kill(other, SIGKILL), 0);
	return waitpid(other, NULL, 0) == other ? 0 : -errno;
}

static const struct init inits[] = {
    {CLONE_NEWPID | CLONE_NEWNS, be_init},
    {CLONE_NEWPID, be_init},
    {CLONE_NEWPID, have_namesake},
};

static int
be_contained(void *arg)
{
	const struct init *init = arg;

	if (unshare(init->namespaces) < 0)
		return 0; /* for root only */
	return census_child(init->fn, arg);
}

START_TEST(a_host_that_is_process_1_gets_outcomes)
{
	struct init init = inits[_i];

	ck_assert_int_eq(census_child(be_contained, &init), 0);
}
END_TEST

/* Closing. */

START_TEST(close_waits_for_what_runs_and_cancels_what_waits)
{
	struct call running, queued[10];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 1, .depth = 1);
	call_start(&rig, &running, hold);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	for (i = 0; i < 10; i++)
		call_start(&rig, &queued[i], give);
	if (fork() == 0) { /* opens the gate once the close waits for it */
		poll(NULL, 0, 20);
		open_gate();
		_exit(0);
	}
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), -EBUSY);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	call_expect(&rig, &running, EDDY_RETURNED, 7);
	for (i = 0; i < 10; i++)
		call_expect(&rig, &queued[i], EDDY_CANCELLED, 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	ck_assert_int_gt(wait(NULL), 0);
}
END_TEST

/* Which may be any of them: cancelled or done, but each is answered. */
START_TEST(close_answers_what_is_prefetched)
{
	struct call calls[20];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 2, .depth = 8);
	for (i = 0; i < 20; i++)
		call_start(&rig, &calls[i], give);
	for (i = 0; i < _i; i++)
		rig_step(&rig);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(calls[i].answers, 1);
		if (calls[i].job.outcome != EDDY_CANCELLED)
			call_expect(&rig, &calls[i], EDDY_RETURNED, 7);
	}
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

/* Workers die and are replaced while it goes on. */
START_TEST(close_ends_a_storm_of_crashes)
{
	struct call calls[40];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 3, .depth = 2);
	for (i = 0; i < 40; i++)
		call_start(&rig, &calls[i], i % 8 == 7 ? give : crash);
	for (i = 0; i < _i; i++)
		rig_step(&rig);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	for (i = 0; i < 40; i++) {
		ck_assert_int_eq(calls[i].answers, 1);
		if (calls[i].job.outcome == EDDY_CANCELLED)
			continue;
		if (i % 8 == 7)
			call_expect(&rig, &calls[i], EDDY_RETURNED, 7);
		else
			call_expect(&rig, &calls[i], EDDY_CRASHED, SIGSEGV);
	}
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

START_TEST(close_kills_what_runs_too_long)
{
	struct call calls[4];
	int64_t start = eddy_now();
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 2, .depth = 2);
	for (i = 0; i < 4; i++)
		call_start(&rig, &calls[i], hold_fast);
	rig_until(&rig, A_LOAD(&board->here) == 2);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_MS(50)), -ETIME);
	ck_assert_int_ge(eddy_now(), start + EDDY_MS(50));
	for (i = 0; i < 2; i++)
		ck_assert(gone(board->pids[i]));
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	for (i = 0; i < 4; i++)
		call_expect(&rig, &calls[i], EDDY_CANCELLED, 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

/* "-ETIME: jobs still run", and none does. */
START_TEST(an_idle_pool_closes_in_no_time)
{
	struct rig rig;

	rig_open(&rig, .workers = 2);
	expect(&rig, give, EDDY_RETURNED, 7);
	ck_assert_int_eq(eddy_executor_close(rig.pool, 0), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

START_TEST(a_pool_may_be_closed_before_it_is_up)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 4);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	rig_open(&rig, .workers = 4);
	call_start(&rig, &call, give);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	call_expect(&rig, &call, EDDY_CANCELLED, 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

static struct eddy_executor *closes;
static int closed;

static void
on_close(struct eddy_loop *loop, struct eddy_job *job)
{
	on_call(loop, job);
	closed = eddy_executor_close(closes, EDDY_S(30));
}

START_TEST(a_callback_may_close_the_pool)
{
	struct call call = {.in = 7}, others[10];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 2);
	call.job = (struct eddy_job)EDDY_JOB(give, &call.in);
	closes = rig.pool;
	closed = -1;
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &call.job, rig.loop, on_close), 0);
	for (i = 0; i < 10; i++)
		call_start(&rig, &others[i], give);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(call.answers, 1);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(others[i].answers, 1);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

static int closed_again;

static void
on_close_twice(struct eddy_loop *loop, struct eddy_job *job)
{
	on_close(loop, job);
	closed_again = eddy_executor_close(closes, EDDY_S(30));
}

/* Its memory stays, for the last job was not heard. */
START_TEST(a_pool_is_closed_once)
{
	struct call call = {.in = 7}, last;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	call.job = (struct eddy_job)EDDY_JOB(give, &call.in);
	closes = rig.pool;
	closed = -1;
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &call.job, rig.loop, on_close_twice), 0);
	call_start(&rig, &last, give);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(closed_again, -EALREADY);
	ck_assert_int_eq(call.answers + last.answers, 2);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

/* Once the other close waits. */
static void *
close_again(void *arg)
{
	struct thread *thread = arg;
	int in = 7;

	do {
		struct eddy_job job = EDDY_JOB(give, &in);

		thread->rc[0] = eddy_submit(
		    thread->rig->pool, &job, NULL, NULL);
		if (thread->rc[0] == 0)
			eddy_job_wait(&job, EDDY_FOREVER);
	} while (thread->rc[0] == 0);
	thread->rc[1] = eddy_executor_close(thread->rig->pool, EDDY_S(30));
	open_gate();
	return NULL;
}

START_TEST(a_close_meanwhile_is_told_so)
{
	struct thread thread = {.rc = {0}};
	struct rig rig = {.loop = NULL};
	struct call call = {.in = 7};

	if (CENSUS_TSAN)
		return; /* it does not see the order that a process makes */
	ck_assert_int_eq(eddy_process_pool_open(&rig.pool, NULL,
			     &(struct eddy_process_pool_options){.workers = 2}),
	    0);
	thread.rig = &rig;
	call.job = (struct eddy_job)EDDY_JOB(hold, &call.in);
	ck_assert_int_eq(eddy_submit(rig.pool, &call.job, NULL, NULL), 0);
	while (A_LOAD(&board->here) == 0)
		poll(NULL, 0, 1);
	ck_assert_int_eq(
	    pthread_create(&thread.id, NULL, close_again, &thread), 0);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(pthread_join(thread.id, NULL), 0);
	ck_assert_int_eq(thread.rc[0], -ESHUTDOWN);
	ck_assert_int_eq(thread.rc[1], -EALREADY);
	ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
}
END_TEST

START_TEST(a_loop_with_a_pool_does_not_close)
{
	struct rig rig;

	rig_open(&rig, .workers = 1);
	ck_assert_int_eq(eddy_loop_close(rig.loop), -EBUSY);
	expect(&rig, give, EDDY_RETURNED, 7);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), -EBUSY);
	rig_close(&rig);
}
END_TEST

/* With a new board, older than any zygote. */
static TCase *
board_case(Suite *suite, const char *name)
{
	TCase *tcase = census_case(suite, name, 15);

	tcase_add_checked_fixture(tcase, board_open, NULL);
	return tcase;
}

int
main(void)
{
	Suite *suite = suite_create("zygote");
	TCase *tcase;

	census_add(board_case(suite, "end"),
	    without_its_zygote_a_pool_answers_every_job,
	    the_end_of_its_own_zygote_hits_one_pool,
	    a_zygote_that_cannot_wait_any_more_ends,
	    a_zygote_that_dies_first_answers_too, a_dead_zygote_takes_no_pool,
	    a_dead_zygote_is_in_use_as_long_as_its_pool,
	    what_jobs_had_started_dies_with_the_zygote,
	    a_stopped_zygote_closes_all_the_same);
	tcase = board_case(suite, "host");
	census_add(tcase, a_pool_in_a_job_dies_with_its_worker);
	tcase_add_loop_test(tcase, workers_die_with_their_host, 0, ENDS);
	census_add(board_case(suite, "threads"),
	    a_threaded_host_is_refused_unless_it_insists,
	    a_zygote_outlives_the_thread_that_opened_it,
	    only_the_home_thread_opens_and_closes);
	census_add(board_case(suite, "sharing"), a_zygote_in_use_does_not_close,
	    what_a_closed_pool_had_ends_before_a_forked_child,
	    a_zygote_without_room_for_a_link_makes_no_server,
	    pools_share_a_zygote_and_nothing_else,
	    what_other_libraries_do_after_a_fork_does_no_harm,
	    a_loop_may_have_several_pools, a_pool_may_have_many_workers,
	    a_host_that_dropped_privileges_needs_a_new_zygote,
	    a_host_without_any_file_makes_clean_workers,
	    signals_for_the_hosts_group_do_not_reach_workers,
	    a_forked_child_can_only_close_and_the_host_does_not_notice,
	    a_forked_child_opens_no_pool_on_a_loop_that_never_ran,
	    a_forked_child_may_have_its_own_pool);
	tcase = board_case(suite, "habits");
	census_add(tcase, a_host_that_reaps_any_child_gets_outcomes,
	    a_host_that_is_interrupted_all_the_time_gets_outcomes);
	tcase_add_loop_test(
	    tcase, a_host_that_ignores_its_children_gets_outcomes, 0, 2);
	tcase_add_loop_test(tcase, a_host_on_one_cpu_gets_outcomes, 0, 2);
	tcase_add_loop_test(tcase, a_host_that_is_process_1_gets_outcomes, 0,
	    (int)COUNT_OF(inits));
	tcase = board_case(suite, "close");
	census_add(tcase, close_waits_for_what_runs_and_cancels_what_waits,
	    close_kills_what_runs_too_long, an_idle_pool_closes_in_no_time,
	    a_pool_may_be_closed_before_it_is_up, a_callback_may_close_the_pool,
	    a_pool_is_closed_once, a_close_meanwhile_is_told_so,
	    a_loop_with_a_pool_does_not_close);
	tcase_add_loop_test(tcase, close_answers_what_is_prefetched, 0, 8);
	tcase_add_loop_test(tcase, close_ends_a_storm_of_crashes, 0, 12);
	return suite_main(suite);
}
