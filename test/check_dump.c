/* SPDX-License-Identifier: ISC */
/* link: -Wl,--wrap=eddy__alloc,--wrap=eddy__realloc,--wrap=eddy__free */
#include <eddy/dump.h>
#include <eddy/offload.h>
#include <eddy/process_pool.h>
#include <eddy/signal.h>
#include <eddy/strand.h>
#include <eddy/thread_pool.h>
#include <eddy/watch.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "counted.h"
#include "text.h"

static char text[65536]; /* the last dump */

static void
dump_loop(struct eddy_loop *loop)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);

	ck_assert_int_eq(eddy_loop_dump(loop, fd), 0);
	census_read(fd, text, sizeof(text));
}

static void
dump_executor(struct eddy_executor *executor)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);

	ck_assert_int_eq(eddy_executor_dump(executor, fd), 0);
	census_read(fd, text, sizeof(text));
}

#define has(what)   ck_assert_msg(strstr(text, what) != NULL, "%s", text)
#define lacks(what) ck_assert_msg(strstr(text, what) == NULL, "%s", text)

/* Jobs that wait until the test lets them go. */

static int gate[2];

static int
wait_at_gate(void *arg)
{
	while (*(char *)arg != 0)
		pause(); /* until it is killed */
	return read(gate[0], &(char){0}, 1) == 1 ? 0 : -EIO;
}

static void
open_gate(int n)
{
	while (n-- > 0)
		ck_assert_int_eq(write(gate[1], "x", 1), 1);
}

struct waiter {
	struct eddy_task task;
	struct eddy_executor *executor;
	char arg;
};

static eddy_step
waiter(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct waiter, f);
	EDDY_TRY(eddy_offload(self, f->executor, wait_at_gate, &f->arg));
	EDDY_END;
}

struct app {
	struct eddy_task task;
	struct waiter kids[3];
	struct eddy_executor *executor;
	char hang;
	int i;
};

static eddy_step
app(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct app, f);
	ck_assert_int_eq(eddy_deadline_set(self, EDDY_FOREVER), 0);
	for (f->i = 0; f->i < 3; f->i++)
		eddy_spawn(self, EDDY_INIT(&f->kids[f->i], waiter,
				     .executor = f->executor, .arg = f->hang));
	EDDY_TRY(eddy_timeout(self, EDDY_S(1000), eddy_join_all(self)));
	EDDY_END;
}

static void
open_app(struct eddy_loop *loop, struct app *f, struct eddy_executor *executor,
    bool hang)
{
	ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
	EDDY_INIT(f, app, .executor = executor, .hang = hang);
	ck_assert_int_eq(eddy_loop_spawn(loop, &f->task, NULL), 0);
}

/* Until so many jobs run. */
static void
await_running(
    struct eddy_loop *loop, struct eddy_executor *executor, unsigned n)
{
	struct eddy_executor_stats stats = {.running = ~0u};

	while (stats.running != n) {
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
		eddy_executor_stats(executor, &stats);
	}
}

static void
close_all(struct eddy_loop *loop, struct eddy_executor *pool)
{
	open_gate(3);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(5)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	close(gate[0]);
	close(gate[1]);
}

START_TEST(tasks_tell_their_job_and_what_is_left)
{
	struct eddy_thread_pool_options options = {.workers_max = 2};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool;
	struct app frame;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	open_app(loop, &frame, pool, false);
	await_running(loop, pool, 2);
	do /* a job counts as running a moment before it says so */
		dump_loop(loop);
	while (strstr(text, " running, for ") == NULL ||
	       strstr(strstr(text, " running, for ") + 1, " running, for ") ==
		   NULL);
	has("1 timers, 0 holds, 3 jobs out\n");
	has("\napp: join all, ");
	lacks("cancelled: ");
	has(" s left, ");
	has("\n  waiter: job waiter on threads, running, for ");
	has("\n  waiter: job waiter on threads, queued, for ");
	has("waiter: eddy_offload(self, f->executor, wait_at_gate, &f->arg)\n");
	has("\nthreads: 1 queued, 2 running, 2 workers; submitted 3, ");
	has(": waiter, submitted 0.");
	has("\n  queued: waiter, submitted 0.");
	lacks("  worker 0: ");
	close_all(loop, pool);
}
END_TEST

struct sleeper {
	struct eddy_task task;
};

static eddy_step
sleeper(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct sleeper, f);
	EDDY_TRY(eddy_sleep(self, EDDY_FOREVER));
	EDDY_END;
}

START_TEST(what_is_left_may_be_more_than_for_ever)
{
	struct eddy_clock clock = {.now = -EDDY_S(1)};
	struct eddy_loop_options options = {.clock = &clock};
	struct eddy_loop *loop;
	struct sleeper frame;

	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	EDDY_INIT(&frame, sleeper);
	ck_assert_int_eq(eddy_loop_spawn(loop, &frame.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	dump_loop(loop);
	has("\nsleeper: sleep, 9223372037.855 s left, ");
	ck_assert_int_eq(eddy_cancel(&frame.task), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
check_workers(struct eddy_executor *executor, const char *job, const char *name)
{
	struct eddy_worker workers[4] = {{.id = 0}};
	unsigned i;
	char path[64];

	ck_assert_uint_eq(executor->ops->workers(executor, NULL, 0), 2);
	do /* a job counts as running a moment before it says so */
		ck_assert_uint_eq(
		    executor->ops->workers(executor, workers, 4), 3);
	while (workers[0].job == NULL || workers[1].job == NULL);
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), name, workers[i].id);
		ck_assert_int_eq(access(path, F_OK), 0);
		ck_assert_str_eq(workers[i].job, job);
	}
	ck_assert_int_eq(workers[2].id, 0);
	ck_assert_str_eq(workers[2].job, job);
}

START_TEST(a_thread_pool_tells_its_threads)
{
	struct eddy_thread_pool_options options = {.workers_max = 2};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool;
	struct app frame;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	open_app(loop, &frame, pool, false);
	await_running(loop, pool, 2);
	check_workers(pool, "waiter", "/proc/self/task/%d");
	close_all(loop, pool);
}
END_TEST

START_TEST(a_process_pool_tells_its_processes)
{
	struct eddy_process_pool_options options = {.workers = 2, .depth = 1};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool;
	struct app frame;

	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	open_app(loop, &frame, pool, true);
	while (eddy_process_pool_pids(pool, NULL, 0) != 2)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	await_running(loop, pool, 2);
	dump_executor(pool);
	has("processes: 1 queued, 2 running, 2 workers; ");
	has(": waiter, submitted ");
	has("\n  queued: waiter, submitted ");
	check_workers(pool, "waiter", "/proc/%d");
	eddy_cancel(&frame.task);
	close_all(loop, pool);
}
END_TEST

START_TEST(a_strand_tells_what_it_stands_on)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool, *strand;
	struct app frame;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, NULL), 0);
	ck_assert_int_eq(eddy_strand_open(&strand, pool, 0), 0);
	open_app(loop, &frame, strand, false);
	await_running(loop, pool, 1);
	dump_executor(strand);
	has("strand: 2 queued, 1 running, 0 workers; submitted 3, ");
	has("\n  queued: waiter, submitted ");
	has("\nthreads: 0 queued, 1 running, 1 workers; submitted 1, ");
	open_gate(3);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_executor_close(strand, EDDY_S(5)), 0);
	close_all(loop, pool);
}
END_TEST

START_TEST(the_executors_of_a_loop_are_dumped)
{
	struct eddy_loop_options options = {.executor = NULL};
	struct eddy_executor *pool, *own;
	struct eddy_loop *loop;
	struct app frame;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, NULL), 0);
	ck_assert_int_eq(eddy_strand_open(&own, pool, 0), 0);
	options.executor = own;
	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	open_app(loop, &frame, NULL, false);
	await_running(loop, pool, 1);
	dump_loop(loop);
	has("\nstrand: 2 queued, 1 running, ");
	ck_assert_ptr_null(
	    strstr(strstr(text, "\nstrand: ") + 1, "\nstrand: "));
	open_gate(3);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_executor_close(own, EDDY_S(5)), 0);
	close_all(loop, pool);
}
END_TEST

/* A loop that has a job on a pool of another loop, or on one that is closed by
 * now. */
static struct visit {
	struct eddy_executor *pool;
	struct eddy_post post;
	struct eddy_job job;
	int number;
	bool closes;
	uint32_t over; /* any thread */
} visit;

static int
nothing(void *arg)
{
	return *(int *)arg;
}

static void
on_job(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	ck_assert_int_ne(job->outcome, EDDY_NONE);
}

static void
on_visit(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	visit.job = (struct eddy_job)EDDY_JOB(nothing, &visit.number);
	ck_assert_int_eq(eddy_submit(visit.pool, &visit.job, loop, on_job), 0);
	if (visit.closes)
		eddy_executor_close(visit.pool, EDDY_S(5));
	dump_loop(loop);
}

static void *
visit_pool(void *arg)
{
	struct eddy_loop *loop = census_loop();

	eddy_post_init(&visit.post, on_visit);
	ck_assert_int_eq(eddy_post(loop, &visit.post), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	A_STORE(&visit.over, 1);
	return arg;
}

START_TEST(a_process_pool_of_another_loop_is_only_named)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_loop *loop = census_loop();
	pthread_t thread;

	ck_assert_int_eq(
	    eddy_process_pool_open(&visit.pool, loop, &options), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, visit_pool, NULL), 0);
	while (A_LOAD(&visit.over) == 0)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	has("\nprocesses: of another loop\n");
	ck_assert_int_eq(eddy_executor_close(visit.pool, EDDY_S(5)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_process_pool_that_is_closed_has_nothing)
{
	struct eddy_process_pool_options options = {.workers = 1};

	ck_assert_int_eq(
	    eddy_process_pool_open(&visit.pool, NULL, &options), 0);
	visit.closes = true;
	visit_pool(NULL);
	has("\nprocesses: 0 queued, 0 running, 0 workers; submitted 1, ");
}
END_TEST

/* A loop that has a job on a pool that another thread is just closing: by whoever
 * asks why that takes so long. */
static struct eddy_job cancelled;
static uint32_t was_cancelled;

static void
on_cancelled(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	ck_assert_int_eq(job->outcome, EDDY_CANCELLED);
	was_cancelled = 1;
}

static uint32_t *began; /* shared with the worker */

static int
say_and_linger(void *arg)
{
	(void)arg;
	A_STORE(began, 1);
	pause(); /* until it is killed */
	return 0;
}

static void
on_long_visit(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	visit.job = (struct eddy_job)EDDY_JOB(say_and_linger, NULL);
	cancelled = visit.job;
	ck_assert_int_eq(eddy_submit(visit.pool, &visit.job, loop, on_job), 0);
	ck_assert_int_eq(
	    eddy_submit(visit.pool, &cancelled, loop, on_cancelled), 0);
}

static void *
close_pool(void *pool)
{
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
	A_STORE(&visit.over, 1);
	return NULL;
}

START_TEST(a_process_pool_that_is_being_closed_is_dumped)
{
	struct eddy_process_pool_options options = {.workers = 1, .depth = 1};
	struct eddy_loop *loop;
	pthread_t thread;
	int pid;

	began = census_share(sizeof(*began));
	ck_assert_int_eq(
	    eddy_process_pool_open(&visit.pool, NULL, &options), 0);
	loop = census_loop();
	eddy_post_init(&visit.post, on_long_visit);
	ck_assert_int_eq(eddy_post(loop, &visit.post), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	while (A_LOAD(began) == 0)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	ck_assert_int_eq(eddy_process_pool_pids(visit.pool, &pid, 1), 1);
	ck_assert_int_eq(
	    pthread_create(&thread, NULL, close_pool, visit.pool), 0);
	while (was_cancelled == 0) /* in the thread of the pool, by the close */
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	dump_loop(loop);
	has("\nprocesses: 0 queued, 0 running, 0 workers; submitted 0, ");
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	while (A_LOAD(&visit.over) == 0) /* and goes meanwhile */
		dump_loop(loop);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	dump_loop(loop);
	has("\nprocesses: 0 queued, 0 running, 0 workers; submitted 2, ");
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
on_watch(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)loop;
	(void)watch;
	(void)events;
}

START_TEST(watched_descriptors_are_listed)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_watch in, out;
	char line[64];
	int ends[2], saved = dup(0);

	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	if (_i == 1) {
		dup2(ends[0], 0);
		close(ends[0]);
		ends[0] = 0;
	}
	eddy_watch_init(&in, ends[0], on_watch, 0);
	eddy_watch_init(&out, ends[0], on_watch, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &in, EPOLLIN), 0);
	dump_loop(loop);
	snprintf(line, sizeof(line), "\ndescriptor %d, socket:[", ends[0]);
	has(line);
	has("]: read\n");
	ck_assert_int_eq(eddy_watch_start(loop, &out, EPOLLOUT), 0);
	dump_loop(loop);
	has("]: read, write\n");
	ck_assert_int_eq(eddy_watch_stop(loop, &in), 0);
	dump_loop(loop);
	has("]: write\n");
	ck_assert_int_eq(eddy_watch_stop(loop, &out), 0);
	dump_loop(loop);
	lacks("descriptor");
	close(ends[0]);
	close(ends[1]);
	dup2(saved, 0);
	close(saved);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* On a signal. */

START_TEST(a_signal_dumps_and_does_not_hold_the_loop)
{
	struct eddy_loop *loop = census_loop();
	int fd = memfd_create("stderr", MFD_CLOEXEC), saved = dup(2);
	sigset_t before, after;
	int i;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	ck_assert_int_eq(eddy_dump_on_signal(loop, SIGUSR1), 0);
	ck_assert_int_eq(eddy_dump_on_signal(loop, SIGUSR2), -EBUSY);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	dup2(fd, 2);
	for (i = 0; i < 2; i++) {
		kill(getpid(), SIGUSR1);
		ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	}
	dup2(saved, 2);
	close(saved);
	census_read(fd, text, sizeof(text));
	has("loop: ");
	ck_assert_ptr_nonnull(strstr(strstr(text, "loop: ") + 1, "loop: "));
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	ck_assert_int_eq(
	    sigismember(&before, SIGUSR1), sigismember(&after, SIGUSR1));
}
END_TEST

static void
on_own(struct eddy_loop *loop, struct eddy_signal *signal, int number)
{
	ck_assert_int_eq(number, SIGUSR1);
	ck_assert_int_eq(eddy_signal_stop(loop, signal), 0);
}

/* Which was started first, and is left when the loop closes, is all the same. */
START_TEST(a_signal_that_dumps_may_be_told_to_others)
{
	struct eddy_loop *loop = census_loop();
	int fd = memfd_create("stderr", MFD_CLOEXEC), saved = dup(2);
	struct eddy_signal own, left;

	eddy_signal_init(&own, on_own);
	eddy_signal_init(&left, on_own);
	if (_i == 0)
		ck_assert_int_eq(eddy_dump_on_signal(loop, SIGUSR1), 0);
	ck_assert_int_eq(
	    eddy_signal_start(loop, &own, EDDY_SIGNAL(SIGUSR1)), 0);
	if (_i == 1)
		ck_assert_int_eq(eddy_dump_on_signal(loop, SIGUSR1), 0);
	dup2(fd, 2);
	kill(getpid(), SIGUSR1);
	ck_assert_int_eq(eddy_loop_run(loop), 0); /* until own was told */
	dup2(saved, 2);
	close(saved);
	census_read(fd, text, sizeof(text));
	has("loop: ");
	ck_assert_int_eq(
	    eddy_signal_start(loop, &left, EDDY_SIGNAL(SIGUSR2)), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1); /* it holds the loop */
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static pthread_barrier_t runs;

static void *
wait_with_signals(void *arg)
{
	pthread_barrier_wait(&runs);
	wait_at_gate(arg);
	return NULL;
}

START_TEST(a_thread_that_would_take_the_signal_is_told_of)
{
	struct eddy_loop *loop = census_loop();
	pthread_t thread;
	char arg = 0;
	sigset_t set;

	ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
	pthread_barrier_init(&runs, NULL, 2);
	ck_assert_int_eq(
	    pthread_create(&thread, NULL, wait_with_signals, &arg), 0);
	pthread_barrier_wait(&runs);
	ck_assert_int_eq(eddy_dump_on_signal(loop, SIGUSR1), -EBUSY);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	ck_assert(!sigismember(&set, SIGUSR1));
	open_gate(1);
	pthread_join(thread, NULL);
	close(gate[0]);
	close(gate[1]);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void *
dump_elsewhere(void *loop)
{
	ck_assert_int_eq(eddy_loop_dump(loop, 2), -EPERM);
	ck_assert_int_eq(eddy_dump_on_signal(loop, SIGUSR1), -EPERM);
	ck_assert_int_eq(
	    eddy_loop_executor(loop, &(struct eddy_executor *){0}), -EPERM);
	return NULL;
}

START_TEST(what_is_wrong_is_refused)
{
	struct eddy_loop *loop = census_loop();
	pthread_t thread;

	ck_assert_int_eq(
	    pthread_create(&thread, NULL, dump_elsewhere, loop), 0);
	pthread_join(thread, NULL);
	errno = EXDEV;
	ck_assert_int_eq(eddy_loop_dump(loop, -1), -EBADF);
	ck_assert_int_eq(eddy_dump_on_signal(loop, 0), -EINVAL);
	ck_assert_int_eq(eddy_dump_on_signal(loop, 65), -EINVAL);
	no_memory = true;
	ck_assert_int_eq(eddy_dump_on_signal(loop, SIGUSR1), -ENOMEM);
	no_memory = false;
	ck_assert_int_eq(errno, EXDEV);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(what_procfs_says_is_cut_to_the_room)
{
	int fd = memfd_create("numbers", MFD_CLOEXEC);
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[32], at[8];

	ck_assert_int_eq(write(fd, "0123456789", 10), 10);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(at, 'x', sizeof(at));
	ck_assert_int_eq(eddy__slurp(path, at, 4), 3);
	ck_assert_mem_eq(at, "012\0xxxx", 8);
	ck_assert_int_eq(eddy__path_of((unsigned)fd, at, 4), 3);
	ck_assert_mem_eq(at, "/me\0xxxx", 8);
	ck_assert_int_eq(ftruncate(fd, 1), 0);
	ck_assert_int_eq(eddy__slurp(path, at, 4), 1);
	ck_assert_str_eq(at, "0");
	ck_assert_int_eq(eddy__path_of((unsigned)root, at, 4), 1);
	ck_assert_str_eq(at, "/");
	close(fd);
	close(root);
	ck_assert_int_lt(eddy__slurp("/nowhere", at, 4), 0);
	ck_assert_str_eq(at, "");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("dump");

	census_add(counted(suite, "dump", 10),
	    tasks_tell_their_job_and_what_is_left,
	    what_is_left_may_be_more_than_for_ever,
	    a_thread_pool_tells_its_threads, a_process_pool_tells_its_processes,
	    a_strand_tells_what_it_stands_on,
	    the_executors_of_a_loop_are_dumped,
	    a_process_pool_of_another_loop_is_only_named,
	    a_process_pool_that_is_closed_has_nothing,
	    a_process_pool_that_is_being_closed_is_dumped,
	    a_signal_dumps_and_does_not_hold_the_loop,
	    a_thread_that_would_take_the_signal_is_told_of,
	    what_procfs_says_is_cut_to_the_room, what_is_wrong_is_refused);
	tcase_add_loop_test(counted(suite, "descriptors", 10),
	    watched_descriptors_are_listed, 0, 2);
	tcase_add_loop_test(counted(suite, "shared", 10),
	    a_signal_that_dumps_may_be_told_to_others, 0, 2);
	return suite_main(suite);
}
