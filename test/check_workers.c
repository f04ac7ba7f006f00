/* SPDX-License-Identifier: ISC */
/* The workers themselves: their state, CPUs, names and number. */
#include <eddy/offload.h>
#include <eddy/process_pool.h>
#include <eddy/thread_pool.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "sys.h"
#include "text.h"
#include "threads.h"

/* Threads fail on demand; control groups are files of the test. */
/* link: -Wl,--wrap=eddy__thread_create,--wrap=eddy__open,--wrap=eddy__cpus */
/* link: -Wl,--wrap=eddy__cpu,--wrap=eddy__leave_cpu,--wrap=eddy__pidfd_kill */
/* link: -Wl,--wrap=eddy__send */
int __real_eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg);
int __wrap_eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg);
int __real_eddy__open(const char *path, int flags, mode_t mode);
int __wrap_eddy__open(const char *path, int flags, mode_t mode);
int __real_eddy__cpus(void);
int __wrap_eddy__cpus(void);
int __real_eddy__cpu(void);
int __wrap_eddy__cpu(void);
int __real_eddy__leave_cpu(int cpu);
int __wrap_eddy__leave_cpu(int cpu);
int __real_eddy__pidfd_kill(int pidfd, int signal);
int __wrap_eddy__pidfd_kill(int pidfd, int signal);
int __real_eddy__send(
    int fd, const void *data, size_t size, const int *fds, int n);
int __wrap_eddy__send(
    int fd, const void *data, size_t size, const int *fds, int n);

static int threads_left = INT_MAX; /* that may yet be created */
static char root[64];              /* instead of /, for control groups */
static int cpus;                   /* of this process; 0: as it is */
static bool together;              /* all threads are on CPU 0, and move: */
static uint32_t moves;

int
__wrap_eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg)
{
	if (A_SUB(&threads_left, 1) <= 0)
		return -EAGAIN;
	return __real_eddy__thread_create(ret_thread, stack, fn, arg);
}

int
__wrap_eddy__open(const char *path, int flags, mode_t mode)
{
	char moved[PATH_MAX];

	if (root[0] == '\0' || (strncmp(path, "/sys/fs/cgroup", 14) != 0 &&
				   strcmp(path, "/proc/self/cgroup") != 0))
		return __real_eddy__open(path, flags, mode);
	snprintf(moved, sizeof(moved), "%s%s", root, path);
	return __real_eddy__open(moved, flags, mode);
}

int
__wrap_eddy__cpus(void)
{
	return cpus != 0 ? cpus : __real_eddy__cpus();
}

int
__wrap_eddy__cpu(void)
{
	return A_LOAD(&together) ? 0 : __real_eddy__cpu();
}

int
__wrap_eddy__leave_cpu(int cpu)
{
	(void)cpu;
	A_ADD(&moves, 1);
	return 0;
}

enum { MANY = 64 };

/* Memory that the tests and their workers, of either kind, share. */
static struct board {
	sem_t entered, leave;
	uint32_t opens, closes; /* calls */
	uint32_t fails;         /* opens that are to fail */
	int error;              /* how; 0: -ENOKEY */
	uint32_t first_fails;   /* after so many that do not */
	uint32_t wrong;         /* states in the wrong worker */
	uint32_t ran;
	pid_t mute; /* all others can send nothing */
} * board;

enum where { PROCESSES, THREADS }; /* in this order: threads are not forked */

struct rig {
	enum where where;
	struct eddy_loop *loop;
	struct eddy_executor *pool;
};

/* A job and how often it was answered. */
static struct call {
	struct eddy_job job; /* first */
	int value, answers;
} calls[MANY];

static void
let_go(int n)
{
	while (n-- > 0)
		sem_post(&board->leave);
}

static pid_t
    stopped; /* goes on when it is to be killed, and as far as it can */

int
__wrap_eddy__pidfd_kill(int pidfd, int signal)
{
	int r, i, n = 0;

	if (stopped == 0)
		return __real_eddy__pidfd_kill(pidfd, signal);
	kill(stopped, SIGCONT);
	stopped = 0;
	for (i = 0; i < 300 && n == 0; i++) {
		poll(NULL, 0, 1);
		sem_getvalue(&board->entered, &n);
	}
	r = __real_eddy__pidfd_kill(pidfd, signal);
	let_go(1);
	return r;
}

int
__wrap_eddy__send(int fd, const void *data, size_t size, const int *fds, int n)
{
	return board->mute != 0 && board->mute != getpid()
	           ? -EBADF
	           : __real_eddy__send(fd, data, size, fds, n);
}

/* What a worker has: it knows whose it is. */
struct state {
	pthread_t thread;
	pid_t pid;
	int jobs;
};

static bool
mine(const struct state *state)
{
	return state != NULL && pthread_equal(state->thread, pthread_self()) &&
	       state->pid == getpid();
}

static int
worker_open(void *init, void **ret_state)
{
	struct state *state;
	uint32_t n = A_ADD(&board->opens, 1);

	if (n >= board->first_fails &&
	    n - board->first_fails < A_LOAD(&board->fails))
		return init != NULL        ? -*(int *)init
		       : board->error != 0 ? board->error
		                           : -ENOKEY;
	A_ADD(&board->wrong, eddy_worker_state() != NULL);
	state = calloc(1, sizeof(*state));
	if (state == NULL)
		return -ENOMEM;
	state->thread = pthread_self();
	state->pid = getpid();
	*ret_state = state;
	return 0;
}

static void
worker_close(void *arg)
{
	struct state *state = arg;

	A_ADD(&board->wrong, !mine(state));
	free(state);
	A_ADD(&board->closes, 1);
}

/* Jobs. */

static int
note(void *arg)
{
	(void)arg;
	return (int)A_ADD(&board->ran, 1);
}

static int
stay(void *arg)
{
	sem_post(&board->entered);
	wait_for(&board->leave);
	return note(arg);
}

/* How many jobs this worker has had. */
static int
use_state(void *arg)
{
	struct state *state = eddy_worker_state();

	note(arg);
	if (!mine(state))
		return -EBADF;
	return ++state->jobs;
}

static int
use_and_stay(void *arg)
{
	int r = use_state(arg);

	stay(arg);
	return mine(eddy_worker_state()) ? r : -EBADF;
}

static int
has_state(void *arg)
{
	(void)arg;
	return eddy_worker_state() != NULL;
}

static int
crash(void *arg)
{
	(void)arg;
	return raise(SIGKILL);
}

/* The rig. */

static void
begin(void)
{
	board = census_share(sizeof(*board));
	sem_init(&board->entered, 1, 0);
	sem_init(&board->leave, 1, 0);
}

static void
end(void)
{
	ck_assert_uint_eq(A_LOAD(&board->wrong), 0);
	munmap(board, sizeof(*board));
}

static void
wipe(void)
{
	A_STORE(&board->opens, 0);
	A_STORE(&board->closes, 0);
	A_STORE(&board->ran, 0);
	board->fails = board->first_fails = 0;
	while (sem_trywait(&board->leave) == 0)
		;
	while (sem_trywait(&board->entered) == 0)
		;
}

#define threads_open(rig, ...) \
	threads_open_with(rig, &(struct eddy_thread_pool_options){__VA_ARGS__})

static void
threads_open_with(
    struct rig *rig, const struct eddy_thread_pool_options *options)
{
	*rig = (struct rig){THREADS, census_loop(), NULL};
	ck_assert_int_eq(eddy_thread_pool_open(&rig->pool, options), 0);
}

/* With worker_open and worker_close. */
static void
rig_open(struct rig *rig, enum where where, unsigned workers, unsigned limit)
{
	struct eddy_process_pool_options options = {.workers = workers,
	    .depth = 1,
	    .queue_limit = limit,
	    .worker_open = worker_open,
	    .worker_close = worker_close};

	if (where == THREADS) {
		threads_open(rig, .workers_max = workers, .queue_limit = limit,
		    .worker_open = worker_open, .worker_close = worker_close);
		return;
	}
	*rig = (struct rig){PROCESSES, census_loop(), NULL};
	ck_assert_int_eq(
	    eddy_process_pool_open(&rig->pool, rig->loop, &options), 0);
}

static void
rig_close(struct rig *rig)
{
	ck_assert_int_eq(eddy_executor_close(rig->pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig->loop), 0);
}

static void
step(struct rig *rig)
{
	ck_assert_int_ge(eddy_loop_step(rig->loop, EDDY_MS(1)), 0);
}

#define until(rig, condition)        \
	do                           \
		while (!(condition)) \
			step(rig);   \
	while (0)

static void
run(struct rig *rig)
{
	ck_assert_int_eq(eddy_loop_run(rig->loop), 0);
}

static void
entered(struct rig *rig)
{
	until(rig, sem_trywait(&board->entered) == 0);
}

static struct eddy_executor_stats
stats_of(struct rig *rig)
{
	struct eddy_executor_stats stats;

	eddy_executor_stats(rig->pool, &stats);
	return stats;
}

static void
on_call(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct call *)job)->answers++;
}

static int
try_start(struct rig *rig, int i, eddy_job_fn *fn)
{
	calls[i] = (struct call){.job = {.fn = fn, .name = "call"}};
	return eddy_submit(rig->pool, &calls[i].job, rig->loop, on_call);
}

/* Calls [from, from + n). */
static void
start(struct rig *rig, int from, int n, eddy_job_fn *fn)
{
	for (; n-- > 0; from++)
		ck_assert_int_eq(try_start(rig, from, fn), 0);
}

static void
expect(int from, int n, enum eddy_outcome outcome)
{
	for (; n-- > 0; from++)
		if (calls[from].answers != 1 ||
		    calls[from].job.outcome != outcome)
			ck_abort_msg("job %d: %d answers, the last %d (%d)",
			    from, calls[from].answers, calls[from].job.outcome,
			    calls[from].job.result);
}

static void
expect_result(int from, int n, enum eddy_outcome outcome, int result)
{
	expect(from, n, outcome);
	for (; n-- > 0; from++)
		ck_assert_int_eq(calls[from].job.result, result);
}

/* A job alone; its result. */
static int
run_one(struct rig *rig, eddy_job_fn *fn)
{
	start(rig, 0, 1, fn);
	run(rig);
	return eddy_job_rc(&calls[0].job);
}

/* A task that awaits a job, and so waits for room. */
struct runner {
	struct eddy_task task;
	struct eddy_executor *pool;
	struct eddy_job job;
	int rc;
};

static eddy_step
runner(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct runner, f);
	EDDY_AWAIT(f->rc, eddy_job_run(self, f->pool, &f->job));
	EDDY_END;
}

static void
runner_start(struct rig *rig, struct runner *f, eddy_job_fn *fn)
{
	(void)EDDY_INIT(
	    f, runner, .pool = rig->pool, .job.fn = fn, .rc = EDDY_PENDING);
	ck_assert_int_eq(eddy_loop_spawn(rig->loop, &f->task, NULL), 0);
}

/* State. */

static void
check_state(enum where where)
{
	struct rig rig;
	int i;

	wipe();
	rig_open(&rig, where, 1, 0);
	for (i = 1; i <= 20; i++)
		ck_assert_int_eq(run_one(&rig, use_state), i);
	ck_assert_uint_eq(A_LOAD(&board->opens), 1);
	ck_assert_uint_eq(A_LOAD(&board->closes), 0);
	rig_close(&rig);
	ck_assert_uint_eq(A_LOAD(&board->opens), 1);
	ck_assert_uint_eq(A_LOAD(&board->closes), 1);
}

START_TEST(a_worker_keeps_its_state_from_job_to_job)
{
	check_state(PROCESSES);
	check_state(THREADS);
}
END_TEST

static void
check_states(enum where where)
{
	struct rig rig;
	int i;

	wipe();
	rig_open(&rig, where, 3, 0);
	start(&rig, 0, 3, use_and_stay);
	for (i = 0; i < 3; i++)
		entered(&rig);
	ck_assert_uint_eq(A_LOAD(&board->opens), 3);
	start(&rig, 3, 20, use_state);
	let_go(3);
	run(&rig);
	expect_result(0, 3, EDDY_RETURNED, 1);
	expect(3, 20, EDDY_RETURNED);
	for (i = 3; i < 23; i++)
		ck_assert_int_ge(calls[i].job.result, 2);
	ck_assert_uint_eq(A_LOAD(&board->opens), 3);
	ck_assert_uint_eq(A_LOAD(&board->closes), 0);
	rig_close(&rig);
	ck_assert_uint_eq(A_LOAD(&board->closes), 3);
}

START_TEST(each_worker_has_a_state_of_its_own)
{
	check_states(PROCESSES);
	check_states(THREADS);
}
END_TEST

START_TEST(without_worker_open_there_is_no_state)
{
	struct rig rig;

	rig = (struct rig){PROCESSES, census_loop(), NULL};
	ck_assert_int_eq(eddy_process_pool_open(&rig.pool, rig.loop, NULL), 0);
	ck_assert_int_eq(run_one(&rig, has_state), 0);
	rig_close(&rig);
	threads_open(&rig, .workers_max = 1);
	ck_assert_int_eq(run_one(&rig, has_state), 0);
	rig_close(&rig);
	ck_assert_ptr_null(eddy_worker_state());
}
END_TEST

START_TEST(no_worker_opens_before_the_first_job)
{
	struct rig rig;

	rig_open(&rig, THREADS, 4, 0);
	rig_close(&rig);
	ck_assert_uint_eq(A_LOAD(&board->opens), 0);
	ck_assert_uint_eq(A_LOAD(&board->closes), 0);
}
END_TEST

static int number = 17;

static int
see_init(void *init, void **ret_state)
{
	*ret_state = init;
	return 5; /* as good as 0 */
}

static int
tell_init(void *arg)
{
	(void)arg;
	return eddy_worker_state() == &number ? 1 : 0;
}

START_TEST(a_thread_gets_init_itself)
{
	struct rig rig;

	threads_open(
	    &rig, .workers_max = 1, .worker_open = see_init, .init = &number);
	ck_assert_int_eq(run_one(&rig, tell_init), 1);
	rig_close(&rig);
}
END_TEST

START_TEST(close_may_come_without_open)
{
	struct rig rig;

	threads_open(&rig, .workers_max = 1, .worker_open = see_init);
	ck_assert_int_eq(run_one(&rig, has_state), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(a_worker_that_idles_too_long_closes)
{
	struct rig rig;

	threads_open(&rig, .workers_max = 2, .worker_open = worker_open,
	    .worker_close = worker_close, .idle_duration = EDDY_MS(1));
	ck_assert_int_eq(run_one(&rig, use_state), 1);
	while (A_LOAD(&board->closes) != 1)
		sched_yield();
	while (stats_of(&rig).workers != 0)
		sched_yield();
	/* The next one has a state of its own. */
	ck_assert_int_eq(run_one(&rig, use_state), 1);
	ck_assert_uint_eq(A_LOAD(&board->opens), 2);
	rig_close(&rig);
	ck_assert_uint_eq(A_LOAD(&board->closes), 2);
}
END_TEST

START_TEST(workers_that_stay_do_not_close)
{
	struct rig rig;
	int i;

	threads_open(&rig, .workers_max = 3, .workers_min = 1,
	    .worker_open = worker_open, .worker_close = worker_close,
	    .idle_duration = EDDY_MS(1));
	start(&rig, 0, 3, stay);
	for (i = 0; i < 3; i++)
		entered(&rig);
	let_go(3);
	run(&rig);
	while (A_LOAD(&board->closes) != 2)
		sched_yield();
	ck_assert_uint_eq(stats_of(&rig).workers, 1);
	ck_assert_int_eq(run_one(&rig, use_state), 1);
	ck_assert_uint_eq(A_LOAD(&board->opens), 3);
	rig_close(&rig);
	ck_assert_uint_eq(A_LOAD(&board->closes), 3);
}
END_TEST

START_TEST(workers_that_come_and_go_open_and_close_alike)
{
	struct rig rig;
	int i;

	threads_open(&rig, .workers_max = 3, .worker_open = worker_open,
	    .worker_close = worker_close, .idle_duration = 1);
	for (i = 0; i < 300; i++) {
		start(&rig, 0, 1 + i % 3, use_state);
		run(&rig);
		expect(0, 1 + i % 3, EDDY_RETURNED);
	}
	rig_close(&rig);
	ck_assert_uint_ge(A_LOAD(&board->opens), 1);
	ck_assert_uint_eq(A_LOAD(&board->opens), A_LOAD(&board->closes));
}
END_TEST

START_TEST(a_killed_worker_does_not_close_and_its_heir_opens)
{
	struct rig rig;

	rig_open(&rig, PROCESSES, 1, 0);
	ck_assert_int_eq(run_one(&rig, use_state), 1);
	ck_assert_int_eq(run_one(&rig, crash), -EOWNERDEAD);
	ck_assert_int_eq(run_one(&rig, use_state), 1);
	ck_assert_uint_eq(A_LOAD(&board->opens), 2);
	rig_close(&rig);
	ck_assert_uint_eq(A_LOAD(&board->closes), 1);
}
END_TEST

/* A close that gives up: the thread closes when it leaves. */
START_TEST(a_thread_that_was_given_up_closes_when_it_leaves)
{
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	start(&rig, 0, 1, use_and_stay);
	entered(&rig);
	ck_assert_int_eq(eddy_executor_close(rig.pool, 0), -ETIME);
	ck_assert_uint_eq(A_LOAD(&board->closes), 0);
	let_go(1);
	run(&rig);
	expect_result(0, 1, EDDY_RETURNED, 1);
	while (A_LOAD(&board->closes) == 0)
		sched_yield();
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	ck_assert_uint_eq(A_LOAD(&board->opens), 1);
}
END_TEST

/* A pool's close comes back after those of its workers. */
static void
slow_close(void *state)
{
	usleep(20000);
	worker_close(state);
}

START_TEST(the_close_of_a_pool_awaits_those_of_its_workers)
{
	int64_t durations[] = {EDDY_FOREVER, 0}; /* for jobs only */
	struct rig rig;
	int i, k;

	for (k = 0; k < 2; k++) {
		wipe();
		threads_open(&rig, .workers_max = 3, .worker_open = worker_open,
		    .worker_close = slow_close);
		start(&rig, 0, 3, stay);
		for (i = 0; i < 3; i++)
			entered(&rig);
		let_go(3);
		run(&rig);
		ck_assert_int_eq(
		    eddy_executor_close(rig.pool, durations[k]), 0);
		ck_assert_uint_eq(A_LOAD(&board->closes), 3);
		ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	}
}
END_TEST

START_TEST(processes_are_told_to_leave_and_close)
{
	struct rig rig;
	int i;

	for (i = 0; i < 5; i++) {
		wipe();
		rig_open(&rig, PROCESSES, 3, 0);
		/* All are up. */
		until(&rig, eddy_process_pool_pids(rig.pool, NULL, 0) == 3);
		ck_assert_int_ge(run_one(&rig, use_state), 1);
		rig_close(&rig);
		ck_assert_uint_eq(A_LOAD(&board->opens), 3);
		ck_assert_uint_eq(A_LOAD(&board->closes), 3);
	}
}
END_TEST

/* It is late, for it was stopped where it had nothing to do but pass a job by. */
START_TEST(a_job_behind_one_that_was_taken_back_hits_no_kill)
{
	struct eddy_process_pool_options options = {.workers = 1, .depth = 2};
	struct rig rig = {PROCESSES, census_loop(), NULL};
	char path[32], text[64];

	ck_assert_int_eq(
	    eddy_process_pool_open(&rig.pool, rig.loop, &options), 0);
	until(&rig, eddy_process_pool_pids(rig.pool, &stopped, 1) == 1);
	ck_assert_int_eq(kill(stopped, SIGSTOP), 0);
	snprintf(path, sizeof(path), "/proc/%d/stat", stopped);
	do {
		eddy__slurp(path, text, sizeof(text));
	} while (strstr(text, ") T") == NULL);
	ck_assert_int_eq(try_start(&rig, 0, note), 0);
	ck_assert_int_eq(eddy_job_cancel(&calls[0].job), 0);
	ck_assert_int_eq(try_start(&rig, 1, stay), 0);
	run(&rig);
	ck_assert_int_eq(calls[0].job.outcome, EDDY_CANCELLED);
	ck_assert_int_eq(calls[1].job.outcome, EDDY_RETURNED);
	rig_close(&rig);
}
END_TEST

/* A worker that cannot be had. */

static void
check_lost(enum where where, int error, int told)
{
	struct rig rig;

	wipe();
	board->fails = UINT32_MAX;
	board->error = error;
	rig_open(&rig, where, 1, 0);
	start(&rig, 0, 10, note);
	run(&rig);
	expect_result(0, 10, EDDY_LOST, told);
	ck_assert_int_eq(eddy_job_rc(&calls[0].job), told);
	ck_assert_uint_eq(A_LOAD(&board->ran), 0);
	ck_assert_uint_eq(stats_of(&rig).failed, 10);
	ck_assert_uint_eq(stats_of(&rig).queued, 0);
	ck_assert_uint_ge(A_LOAD(&board->opens), 1);
	rig_close(&rig);
	ck_assert_uint_eq(A_LOAD(&board->closes), 0);
}

START_TEST(without_a_worker_jobs_are_lost_with_its_error)
{
	check_lost(PROCESSES, 0, -ENOKEY);
	check_lost(PROCESSES, INT_MIN, -EINVAL); /* what is no error */
	check_lost(THREADS, 0, -ENOKEY);
	check_lost(THREADS, INT_MIN, -EINVAL);
}
END_TEST

START_TEST(of_a_server_that_cannot_answer_jobs_are_lost)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct rig rig = {PROCESSES, census_loop(), NULL};

	ck_assert_int_eq(eddy_zygote_open(&options.zygote, 0), 0);
	board->mute = getpid();
	ck_assert_int_eq(
	    eddy_process_pool_open(&rig.pool, rig.loop, &options), 0);
	ck_assert_int_eq(run_one(&rig, note), -EPIPE);
	rig_close(&rig);
	ck_assert_int_eq(eddy_zygote_close(options.zygote), 0);
}
END_TEST

/* On threads; a process pool has tried eight times by then. */
START_TEST(later_jobs_try_again)
{
	struct rig rig;

	wipe();
	board->fails = UINT32_MAX;
	rig_open(&rig, PROCESSES, 1, 0);
	ck_assert_int_eq(run_one(&rig, use_state), -ENOKEY);
	A_STORE(&board->fails, 0);
	ck_assert_int_eq(try_start(&rig, 0, use_state), -ENOTRECOVERABLE);
	rig_close(&rig);
	wipe();
	board->fails = UINT32_MAX;
	rig_open(&rig, THREADS, 1, 0);
	ck_assert_int_eq(run_one(&rig, use_state), -ENOKEY);
	A_STORE(&board->fails, 0);
	ck_assert_int_eq(run_one(&rig, use_state), 1);
	ck_assert_int_eq(run_one(&rig, use_state), 2);
	rig_close(&rig);
	ck_assert_uint_eq(A_LOAD(&board->closes), 1);
}
END_TEST

static void
check_another(enum where where)
{
	struct rig rig;
	int i;

	wipe();
	board->first_fails = 1;
	board->fails = where == THREADS ? UINT32_MAX / 2 : 3;
	rig_open(&rig, where, 2, 0);
	start(&rig, 0, 1, stay);
	entered(&rig);
	start(&rig, 1, 20, use_state);
	until(&rig, A_LOAD(&board->opens) > 1);
	let_go(1);
	run(&rig);
	expect(0, 21, EDDY_RETURNED);
	for (i = 1; i < 21; i++)
		ck_assert_int_ge(calls[i].job.result, 1);
	rig_close(&rig);
}

START_TEST(a_pool_with_another_worker_goes_on)
{
	check_another(PROCESSES);
	check_another(THREADS);
}
END_TEST

/* The first fails while the second, which came later, is still opening. */
static sem_t second_may;

static int
open_in_turn(void *init, void **ret_state)
{
	uint32_t n = A_ADD(&board->opens, 1);

	(void)init;
	(void)ret_state;
	if (n == 0) {
		while (A_LOAD(&board->opens) < 2)
			sched_yield();
		return -ENOKEY;
	}
	wait_for(&second_may);
	return 0;
}

START_TEST(a_worker_that_is_still_opening_is_waited_for)
{
	struct rig rig;

	sem_init(&second_may, 0, 0);
	threads_open(&rig, .workers_max = 2, .worker_open = open_in_turn);
	start(&rig, 0, 2, note);
	while (stats_of(&rig).workers != 1)
		sched_yield();
	step(&rig);
	ck_assert_int_eq(calls[0].answers + calls[1].answers, 0);
	sem_post(&second_may);
	run(&rig);
	expect(0, 2, EDDY_RETURNED);
	rig_close(&rig);
}
END_TEST

static int
fail_together(void *init, void **ret_state)
{
	(void)init;
	(void)ret_state;
	A_ADD(&board->opens, 1);
	while (A_LOAD(&board->opens) < 3)
		sched_yield();
	return -ENOKEY;
}

START_TEST(the_last_worker_to_fail_loses_the_jobs)
{
	struct rig rig;
	int i;

	for (i = 0; i < 100; i++) {
		wipe();
		threads_open(
		    &rig, .workers_max = 3, .worker_open = fail_together);
		start(&rig, 0, 5, note);
		run(&rig);
		expect_result(0, 5, EDDY_LOST, -ENOKEY);
		rig_close(&rig);
	}
}
END_TEST

static void
check_lost_room(enum where where)
{
	struct runner f[4]; /* a process takes a second for each */
	struct rig rig;
	int i;

	wipe();
	board->fails = UINT32_MAX;
	rig_open(&rig, where, 1, 2);
	for (i = 0; i < 4; i++)
		runner_start(&rig, &f[i], note);
	run(&rig);
	for (i = 0; i < 4; i++) {
		ck_assert(eddy_done(&f[i].task));
		ck_assert_int_eq(f[i].rc,
		    where == PROCESSES && i >= 2
			? -ENOTRECOVERABLE /* the pool is broken by then */
			: -ENOKEY);
	}
	ck_assert_uint_eq(A_LOAD(&board->ran), 0);
	rig_close(&rig);
}

START_TEST(jobs_that_wait_for_room_are_lost_too)
{
	check_lost_room(PROCESSES);
	check_lost_room(THREADS);
}
END_TEST

/* Without a loop. */
START_TEST(a_job_after_a_lost_one_tries_again)
{
	struct eddy_job job = {.fn = use_state};
	struct rig rig;
	int i;

	for (i = 0; i < 200; i++) {
		wipe();
		board->fails = 1;
		rig_open(&rig, THREADS, 1, 0);
		ck_assert_int_eq(eddy_submit(rig.pool, &job, NULL, NULL), 0);
		ck_assert_int_eq(eddy_job_wait(&job, EDDY_FOREVER), -ENOKEY);
		ck_assert_int_eq(eddy_submit(rig.pool, &job, NULL, NULL), 0);
		ck_assert_int_eq(eddy_job_wait(&job, EDDY_FOREVER), 1);
		rig_close(&rig);
	}
}
END_TEST

/* One that fails may fail while the pool is closed. */
START_TEST(a_pool_may_be_closed_while_its_workers_fail)
{
	struct rig rig;
	int i, k;

	for (i = 0; i < 200; i++) {
		wipe();
		board->fails = UINT32_MAX;
		rig_open(&rig, THREADS, 3, 0);
		start(&rig, 0, 6, note);
		ck_assert_int_eq(
		    eddy_executor_close(rig.pool, EDDY_FOREVER), 0);
		run(&rig);
		for (k = 0; k < 6; k++) {
			ck_assert_int_eq(calls[k].answers, 1);
			ck_assert_int_ne(calls[k].job.outcome, EDDY_RETURNED);
		}
		ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	}
}
END_TEST

/* CPUs. */

static int
let_others(void *arg)
{
	(void)arg;
	return sched_yield();
}

/* Many rounds of many jobs for two workers on one CPU of n; until they move. */
static unsigned
moves_of(int n)
{
	struct rig rig;
	int i;

	cpus = n;
	A_STORE(&together, true);
	A_STORE(&moves, 0);
	threads_open(&rig, .workers_max = 2);
	for (i = 0; n > 1 ? A_LOAD(&moves) == 0 : i < 200; i++) {
		start(&rig, 0, MANY, let_others);
		run(&rig);
	}
	rig_close(&rig);
	A_STORE(&together, false);
	cpus = 0;
	return A_LOAD(&moves);
}

START_TEST(of_workers_on_one_cpu_of_two_one_moves)
{
	ck_assert_uint_eq(moves_of(2), 1);
}
END_TEST

START_TEST(workers_that_have_to_share_a_cpu_stay)
{
	ck_assert_uint_eq(moves_of(1), 0);
}
END_TEST

START_TEST(who_leaves_a_cpu_may_come_back)
{
	cpu_set_t before, after;
	int r;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	r = __real_eddy__leave_cpu(__real_eddy__cpu());
	ck_assert_int_eq(r, CPU_COUNT(&before) > 1 ? 0 : -EINVAL);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
	ck_assert(CPU_EQUAL(&before, &after));
}
END_TEST

/* Once of so often: it may have been moved back at once. */
START_TEST(who_leaves_a_cpu_is_on_another)
{
	cpu_set_t before, here;
	int cpu = sched_getcpu(), i, left = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	if (CPU_COUNT(&before) == 1)
		return;
	CPU_ZERO(&here);
	CPU_SET((size_t)cpu, &here);
	for (i = 0; i < 20 && left == 0; i++) {
		ck_assert_int_eq(sched_setaffinity(0, sizeof(here), &here), 0);
		ck_assert_int_eq(
		    sched_setaffinity(0, sizeof(before), &before), 0);
		ck_assert_int_eq(__real_eddy__leave_cpu(cpu), 0);
		left += sched_getcpu() != cpu;
	}
	ck_assert_int_ne(left, 0);
}
END_TEST

static cpu_set_t one_cpu;

static int
look_at_cpus(void *arg)
{
	cpu_set_t set;

	(void)arg;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	return CPU_EQUAL(&set, &one_cpu) &&
	       CPU_ISSET((size_t)sched_getcpu(), &one_cpu);
}

START_TEST(workers_run_on_their_cpus)
{
	cpu_set_t before, after;
	struct rig rig;
	size_t cpu;
	int i;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &before))
			continue;
		CPU_ZERO(&one_cpu);
		CPU_SET(cpu, &one_cpu);
		threads_open(&rig, .workers_max = 2, .cpus = &one_cpu,
		    .cpus_size = sizeof(one_cpu));
		start(&rig, 0, 10, look_at_cpus);
		run(&rig);
		for (i = 0; i < 10; i++)
			ck_assert_int_eq(eddy_job_rc(&calls[i].job), 1);
		rig_close(&rig);
	}
	ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
	ck_assert(CPU_EQUAL(&before, &after));
}
END_TEST

START_TEST(without_cpus_workers_run_anywhere)
{
	struct rig rig;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(one_cpu), &one_cpu), 0);
	threads_open(&rig, .workers_max = 1);
	ck_assert_int_eq(run_one(&rig, look_at_cpus), 1);
	rig_close(&rig);
}
END_TEST

/* A CPU that is not there, and none at all. */
START_TEST(on_impossible_cpus_jobs_are_lost)
{
	struct rig rig;
	int i;

	CPU_ZERO(&one_cpu);
	for (i = 0; i < 2; i++) {
		threads_open(&rig, .workers_max = 3, .cpus = &one_cpu,
		    .cpus_size = sizeof(one_cpu), .worker_open = worker_open);
		start(&rig, 0, 5, note);
		run(&rig);
		expect_result(0, 5, EDDY_LOST, -EINVAL);
		rig_close(&rig);
		CPU_SET(CPU_SETSIZE - 1, &one_cpu);
	}
	ck_assert_uint_eq(A_LOAD(&board->ran), 0);
	ck_assert_uint_eq(A_LOAD(&board->opens), 0);
}
END_TEST

/* Names. */

/* How many threads of this process have that name. */
static int
count_named(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	char path[300], comm[32];
	FILE *file;
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
		    entry->d_name);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fgets(comm, sizeof(comm), file) != NULL) {
			comm[strcspn(comm, "\n")] = '\0';
			n += strcmp(comm, name) == 0;
		}
		fclose(file);
	}
	closedir(dir);
	return n;
}

START_TEST(workers_are_named_and_numbered)
{
	struct rig rig;
	int i;

	threads_open(&rig, .workers_max = 3, .name = "hello");
	start(&rig, 0, 3, stay);
	for (i = 0; i < 3; i++)
		entered(&rig);
	ck_assert_int_eq(count_named("hello-1"), 1);
	ck_assert_int_eq(count_named("hello-2"), 1);
	ck_assert_int_eq(count_named("hello-3"), 1);
	ck_assert_int_eq(count_named("hello-4"), 0);
	let_go(3);
	run(&rig);
	rig_close(&rig);
}
END_TEST

/* Seen by the application that opens its state in the worker. */
static int
open_by_name(void *init, void **ret_state)
{
	static char name[16];

	(void)init;
	pthread_getname_np(pthread_self(), name, sizeof(name));
	*ret_state = name;
	return 0;
}

static int
has_name(void *arg)
{
	(void)arg;
	return strcmp(eddy_worker_state(), "eddy-1") == 0;
}

START_TEST(a_worker_has_its_name_before_it_opens)
{
	struct rig rig;

	threads_open(&rig, .workers_max = 1, .worker_open = open_by_name);
	ck_assert_int_eq(run_one(&rig, has_name), 1);
	rig_close(&rig);
}
END_TEST

/* How many. */

static void
make_parents(char *path)
{
	char *slash;

	for (slash = strchr(path + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) < 0)
			ck_assert_int_eq(errno, EEXIST);
		*slash = '/';
	}
}

static void
put(const char *path, const char *text)
{
	char moved[PATH_MAX];
	FILE *file;

	snprintf(moved, sizeof(moved), "%s%s", root, path);
	make_parents(moved);
	file = fopen(moved, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void
remove_tree(const char *path)
{
	char entry_path[PATH_MAX];
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(entry_path, sizeof(entry_path), "%s/%s", path,
		    entry->d_name);
		if (unlink(entry_path) < 0)
			remove_tree(entry_path);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

static void
groups_begin(void)
{
	strcpy(root, "/tmp/check_workers.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	cpus = 8;
}

static void
groups_end(void)
{
	remove_tree(root);
	root[0] = '\0';
	cpus = 0;
}

/* How many workers a pool has when there is enough to do. */
static unsigned
most_workers(void)
{
	struct eddy_executor_stats stats;
	struct rig rig;
	unsigned i;

	wipe();
	threads_open(&rig, .stack_size = 256 * 1024);
	start(&rig, 0, 40, stay);
	stats = stats_of(&rig);
	for (i = 0; i < stats.workers; i++)
		wait_for(&board->entered);
	ck_assert_uint_eq(stats_of(&rig).running, stats.workers);
	ck_assert_uint_eq(stats_of(&rig).queued, 40 - stats.workers);
	let_go(40);
	run(&rig);
	rig_close(&rig);
	return stats.workers;
}

START_TEST(without_groups_there_are_four_more_workers_than_cpus)
{
	ck_assert_uint_eq(most_workers(), 8 + 4);
	cpus = 1;
	ck_assert_uint_eq(most_workers(), 1 + 4);
}
END_TEST

START_TEST(there_are_at_most_32_workers)
{
	cpus = 28;
	ck_assert_uint_eq(most_workers(), 32);
	cpus = 29;
	ck_assert_uint_eq(most_workers(), 32);
	cpus = 1000;
	ck_assert_uint_eq(most_workers(), 32);
}
END_TEST

START_TEST(a_group_without_files_limits_nothing)
{
	put("/proc/self/cgroup", "0::/a/b\n");
	ck_assert_uint_eq(most_workers(), 8 + 4);
	put("/proc/self/cgroup", "");
	ck_assert_uint_eq(most_workers(), 8 + 4);
	put("/proc/self/cgroup", "nonsense\n::\n0\n\n");
	ck_assert_uint_eq(most_workers(), 8 + 4);
}
END_TEST

START_TEST(a_quota_counts_for_cpus)
{
	static const struct {
		const char *text;
		unsigned workers;
	} quotas[] = {{"200000 100000\n", 2 + 4}, {"50000 100000\n", 1 + 4},
	    {"150000 100000\n", 2 + 4}, {"300000 50000\n", 6 + 4},
	    {"1000 1000000\n", 1 + 4}, {"max 100000\n", 8 + 4},
	    {"900000 100000\n", 8 + 4}, {"", 8 + 4}, {"100000", 8 + 4},
	    {"0 100000\n", 8 + 4}, {"100000 0\n", 8 + 4}, {"\n", 8 + 4}};
	size_t i;

	put("/proc/self/cgroup", "0::/a\n");
	for (i = 0; i < COUNT_OF(quotas); i++) {
		put("/sys/fs/cgroup/a/cpu.max", quotas[i].text);
		ck_assert_uint_eq(most_workers(), quotas[i].workers);
	}
}
END_TEST

START_TEST(a_quota_above_counts_too)
{
	put("/proc/self/cgroup", "0::/a/b/c\n");
	put("/sys/fs/cgroup/a/b/c/cpu.max", "500000 100000\n");
	ck_assert_uint_eq(most_workers(), 5 + 4);
	put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
	ck_assert_uint_eq(most_workers(), 3 + 4);
	put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	ck_assert_uint_eq(most_workers(), 3 + 4);
	put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
	ck_assert_uint_eq(most_workers(), 2 + 4);
	put("/sys/fs/cgroup/a/b/c/cpu.max", "100000 100000\n");
	ck_assert_uint_eq(most_workers(), 1 + 4);
	/* Those at its side do not. */
	put("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
	put("/sys/fs/cgroup/a/b/d/cpu.max", "100000 100000\n");
	put("/sys/fs/cgroup/a/b/c/e/cpu.max", "100000 100000\n");
	ck_assert_uint_eq(most_workers(), 2 + 4);
}
END_TEST

/* As a container sees its own. */
START_TEST(a_quota_of_the_root_counts)
{
	put("/proc/self/cgroup", "0::/\n");
	put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
	ck_assert_uint_eq(most_workers(), 2 + 4);
}
END_TEST

START_TEST(a_quota_of_version_1_counts)
{
	put("/proc/self/cgroup", "12:memory:/m\n"
				 "4:cpu,cpuacct:/a/b\n"
				 "1:name=systemd:/a\n"
				 "0::/\n");
	ck_assert_uint_eq(most_workers(), 8 + 4);
	put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
	ck_assert_uint_eq(most_workers(), 8 + 4);
	put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "250000\n");
	ck_assert_uint_eq(most_workers(), 3 + 4);
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000\n");
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "50000\n");
	ck_assert_uint_eq(most_workers(), 2 + 4);
}
END_TEST

START_TEST(a_quota_of_version_1_without_its_period_is_none)
{
	put("/proc/self/cgroup", "4:cpu,cpuacct:/a\n");
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000\n");
	ck_assert_uint_eq(most_workers(), 8 + 4);
}
END_TEST

START_TEST(the_order_of_the_controllers_does_not_matter)
{
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000\n");
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
	put("/proc/self/cgroup", "4:cpu:/a\n");
	ck_assert_uint_eq(most_workers(), 1 + 4);
	put("/proc/self/cgroup", "4:cpuacct,cpu:/a\n");
	ck_assert_uint_eq(most_workers(), 1 + 4);
	put("/proc/self/cgroup", "4:memory,cpu:/a\n");
	ck_assert_uint_eq(most_workers(), 1 + 4);
}
END_TEST

/* cpuset is another hierarchy, with groups of its own. */
START_TEST(a_group_of_another_controller_does_not_count)
{
	put("/proc/self/cgroup", "5:cpuset:/other\n4:cpu,cpuacct:/mine\n");
	put("/sys/fs/cgroup/cpu/other/cpu.cfs_quota_us", "100000\n");
	put("/sys/fs/cgroup/cpu/other/cpu.cfs_period_us", "100000\n");
	put("/sys/fs/cgroup/cpu/mine/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu/mine/cpu.cfs_period_us", "100000\n");
	ck_assert_uint_eq(most_workers(), 8 + 4);
}
END_TEST

START_TEST(the_affinity_of_the_process_counts)
{
	cpu_set_t before;
	size_t cpu = 0;

	cpus = 0;
	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	if (CPU_COUNT(&before) <= 28)
		ck_assert_uint_eq(
		    most_workers(), (unsigned)CPU_COUNT(&before) + 4);
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one_cpu);
	CPU_SET(cpu, &one_cpu);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one_cpu), &one_cpu), 0);
	ck_assert_uint_eq(most_workers(), 1 + 4);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(before), &before), 0);
}
END_TEST

START_TEST(the_number_of_processes_obeys_the_quota)
{
	struct rig rig = {PROCESSES, NULL, NULL};

	put("/proc/self/cgroup", "0::/a\n");
	put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
	rig.loop = census_loop();
	ck_assert_int_eq(eddy_process_pool_open(&rig.pool, rig.loop, NULL), 0);
	until(&rig, eddy_process_pool_pids(rig.pool, NULL, 0) >= 3);
	step(&rig);
	ck_assert_int_eq(eddy_process_pool_pids(rig.pool, NULL, 0), 3);
	rig_close(&rig);
}
END_TEST

START_TEST(who_says_how_many_has_so_many)
{
	struct rig rig;
	int i;

	put("/proc/self/cgroup", "0::/a\n");
	put("/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
	threads_open(&rig, .workers_max = 35, .stack_size = 256 * 1024);
	start(&rig, 0, 40, stay);
	for (i = 0; i < 35; i++)
		wait_for(&board->entered);
	ck_assert_uint_eq(stats_of(&rig).workers, 35);
	let_go(40);
	run(&rig);
	rig_close(&rig);
}
END_TEST

/* Threads that cannot be had. */

START_TEST(with_as_many_threads_as_there_are_a_pool_goes_on)
{
	unsigned k, i;

	for (k = 1; k < 5; k++) {
		struct rig rig;

		threads_open(&rig, .workers_max = 5, .worker_open = worker_open,
		    .worker_close = worker_close);
		A_STORE(&threads_left, (int)k);
		wipe();
		start(&rig, 0, 10, stay);
		ck_assert_uint_eq(stats_of(&rig).workers, k);
		for (i = 0; i < k; i++)
			entered(&rig);
		ck_assert_uint_eq(stats_of(&rig).running, k);
		let_go(10);
		run(&rig);
		A_STORE(&threads_left, INT_MAX);
		expect(0, 10, EDDY_RETURNED);
		ck_assert_uint_eq(A_LOAD(&board->opens), k);
		/* The others come when they can be had. */
		start(&rig, 0, 5, stay);
		for (i = 0; i < 5; i++)
			entered(&rig);
		let_go(5);
		run(&rig);
		rig_close(&rig);
		ck_assert_uint_eq(
		    A_LOAD(&board->opens), A_LOAD(&board->closes));
	}
}
END_TEST

START_TEST(with_no_thread_a_pool_says_so)
{
	struct runner f;
	struct rig rig;

	threads_open(&rig, .workers_max = 5);
	A_STORE(&threads_left, 0);
	ck_assert_int_lt(try_start(&rig, 0, note), 0);
	run(&rig);
	ck_assert_int_eq(calls[0].answers, 0);
	runner_start(&rig, &f, note);
	run(&rig);
	ck_assert(eddy_done(&f.task));
	ck_assert_int_lt(f.rc, 0);
	ck_assert_uint_eq(stats_of(&rig).submitted, 0);
	ck_assert_uint_eq(stats_of(&rig).workers, 0);
	A_STORE(&threads_left, 1);
	ck_assert_int_eq(run_one(&rig, note), 0);
	rig_close(&rig);
}
END_TEST

/* All have left, and no other can be had. */
START_TEST(a_pool_whose_workers_left_says_so_too)
{
	struct rig rig;

	threads_open(&rig, .workers_max = 2, .idle_duration = 1);
	A_STORE(&threads_left, 1);
	ck_assert_int_eq(run_one(&rig, note), 0);
	while (stats_of(&rig).workers != 0)
		sched_yield();
	ck_assert_int_lt(try_start(&rig, 0, note), 0);
	A_STORE(&threads_left, 1);
	ck_assert_int_eq(run_one(&rig, note), 1);
	rig_close(&rig);
}
END_TEST

static TCase *
on_board(Suite *suite, const char *name, double timeout)
{
	TCase *tcase = census_case(suite, name, timeout);

	tcase_add_checked_fixture(tcase, begin, end);
	return tcase;
}

int
main(void)
{
	Suite *suite = suite_create("workers");
	TCase *groups = on_board(suite, "groups", 8);

	tcase_add_checked_fixture(groups, groups_begin, groups_end);
	census_add(groups, without_groups_there_are_four_more_workers_than_cpus,
	    there_are_at_most_32_workers, a_group_without_files_limits_nothing,
	    a_quota_counts_for_cpus, a_quota_above_counts_too,
	    a_quota_of_the_root_counts, a_quota_of_version_1_counts,
	    a_quota_of_version_1_without_its_period_is_none,
	    the_order_of_the_controllers_does_not_matter,
	    a_group_of_another_controller_does_not_count,
	    the_affinity_of_the_process_counts,
	    the_number_of_processes_obeys_the_quota,
	    who_says_how_many_has_so_many);
	census_add(on_board(suite, "state", 8),
	    a_worker_keeps_its_state_from_job_to_job,
	    each_worker_has_a_state_of_its_own,
	    without_worker_open_there_is_no_state,
	    no_worker_opens_before_the_first_job, a_thread_gets_init_itself,
	    close_may_come_without_open, a_worker_that_idles_too_long_closes,
	    workers_that_stay_do_not_close,
	    workers_that_come_and_go_open_and_close_alike,
	    a_killed_worker_does_not_close_and_its_heir_opens,
	    a_thread_that_was_given_up_closes_when_it_leaves,
	    the_close_of_a_pool_awaits_those_of_its_workers,
	    processes_are_told_to_leave_and_close,
	    a_job_behind_one_that_was_taken_back_hits_no_kill);
	census_add(on_board(suite, "lost", 30),
	    without_a_worker_jobs_are_lost_with_its_error,
	    of_a_server_that_cannot_answer_jobs_are_lost, later_jobs_try_again,
	    a_pool_with_another_worker_goes_on,
	    a_worker_that_is_still_opening_is_waited_for,
	    the_last_worker_to_fail_loses_the_jobs,
	    jobs_that_wait_for_room_are_lost_too,
	    a_job_after_a_lost_one_tries_again,
	    a_pool_may_be_closed_while_its_workers_fail);
	census_add(on_board(suite, "cpus", 30), workers_run_on_their_cpus,
	    without_cpus_workers_run_anywhere, on_impossible_cpus_jobs_are_lost,
	    of_workers_on_one_cpu_of_two_one_moves,
	    workers_that_have_to_share_a_cpu_stay,
	    who_leaves_a_cpu_may_come_back, who_leaves_a_cpu_is_on_another);
	census_add(on_board(suite, "names", 8), workers_are_named_and_numbered,
	    a_worker_has_its_name_before_it_opens);
	census_add(on_board(suite, "threads", 8),
	    with_as_many_threads_as_there_are_a_pool_goes_on,
	    with_no_thread_a_pool_says_so,
	    a_pool_whose_workers_left_says_so_too);
	return suite_main(suite);
}
