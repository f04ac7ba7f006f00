/* SPDX-License-Identifier: ISC */
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/thread_pool.h>
#include <eddy/timer.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "threads.h"
#include "sys.h"

/* Threads and memory fail on demand. */
/* link: -Wl,--wrap=eddy__thread_create,--wrap=eddy__alloc */
int __real_eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg);
int __wrap_eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg);
void *__real_eddy__alloc(size_t size);
void *__wrap_eddy__alloc(size_t size);
static int threads_left = INT_MAX; /* that may yet be created */
static sem_t *start_held;          /* each new thread waits for it first */
static bool no_memory;

/* One thread whose start is held. */
static void *(*held_fn)(void *);

static void *
start_later(void *arg)
{
	while (sem_wait(start_held) < 0)
		;
	return held_fn(arg);
}

int
__wrap_eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg)
{
	if (threads_left-- <= 0)
		return -EAGAIN;
	if (start_held == NULL)
		return __real_eddy__thread_create(ret_thread, stack, fn, arg);
	held_fn = fn;
	return __real_eddy__thread_create(ret_thread, stack, start_later, arg);
}

void *
__wrap_eddy__alloc(size_t size)
{
	return no_memory ? NULL : __real_eddy__alloc(size);
}

static void
turn(struct eddy_loop *loop)
{
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

static struct eddy_executor *
open_pool(unsigned max, unsigned queue_limit)
{
	struct eddy_thread_pool_options options = {
	    .workers_max = max, .queue_limit = queue_limit};
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	return pool;
}

static struct eddy_executor_stats
stats_of(struct eddy_executor *pool)
{
	struct eddy_executor_stats stats;

	eddy_executor_stats(pool, &stats);
	ck_assert_uint_eq(stats.submitted, stats.returned + stats.failed +
					       stats.cancelled + stats.expired +
					       stats.queued + stats.running);
	return stats;
}

static void
close_pool(struct eddy_executor *pool)
{
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
}

static void
close_both(struct eddy_executor *pool, struct eddy_loop *loop)
{
	close_pool(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}

/* Jobs that stay until they are let go; they share two semaphores. */
static sem_t entered, leave;

struct work {
	struct eddy_job job;
	int value;    /* what it returns */
	int runs;     /* of the function */
	int outcomes; /* heard of */
	pthread_t ran_in, heard_in;
};

static struct work *
work_of(void *arg)
{
	return arg;
}

static int
quick(void *arg)
{
	work_of(arg)->runs++;
	work_of(arg)->ran_in = pthread_self();
	return work_of(arg)->value;
}

static int
stay(void *arg)
{
	sem_post(&entered);
	wait_for(&leave);
	return quick(arg);
}

/* Until it is asked to stop. */
static int
patient(void *arg)
{
	sem_post(&entered);
	while (!eddy_job_stop_requested())
		sched_yield();
	return quick(arg);
}

static void
on_work(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	work_of(job)->outcomes++;
	work_of(job)->heard_in = pthread_self();
}

static struct work *
work_init(struct work *work, eddy_job_fn *fn, int value)
{
	static bool ready;

	if (!ready) {
		sem_init(&entered, 0, 0);
		sem_init(&leave, 0, 0);
		ready = true;
	}
	*work = (struct work){.value = value};
	work->job.fn = fn;
	work->job.arg = work;
	return work;
}

static void
submit(struct eddy_executor *pool, struct work *work, struct eddy_loop *loop)
{
	ck_assert_int_eq(
	    eddy_submit(pool, &work->job, loop, loop != NULL ? on_work : NULL),
	    0);
}

/* A job that has been let in, with a worker to itself. */
static void
occupy(struct eddy_executor *pool, struct work *work, struct eddy_loop *loop)
{
	submit(pool, work_init(work, stay, 1), loop);
	wait_for(&entered);
}

static void
let_go(int n)
{
	while (n-- > 0)
		sem_post(&leave);
}

/* Submit and wait, without a loop. */
static int
run_on(struct eddy_executor *pool, eddy_job_fn *fn, void *arg)
{
	struct eddy_job job = {.fn = fn, .arg = arg};
	int r = eddy_submit(pool, &job, NULL, NULL);

	return r < 0 ? r : eddy_job_wait(&job, EDDY_FOREVER);
}

/* Workers. */

START_TEST(no_thread_starts_before_the_first_job)
{
	struct eddy_executor *pool;
	int threads = eddy__thread_count();

	errno = EDOM;
	ck_assert_int_eq(eddy_thread_pool_open(&pool, NULL), 0);
	ck_assert_int_eq(errno, EDOM); /* left alone */
	ck_assert_int_eq(eddy__thread_count(), threads);
	ck_assert_uint_eq(stats_of(pool).workers, 0);
	ck_assert_int_eq(eddy_executor_close(pool, 0), 0);
}
END_TEST

START_TEST(a_lone_stream_of_jobs_keeps_one_worker)
{
	struct eddy_executor *pool = open_pool(8, 0);
	struct eddy_loop *loop = census_loop();
	struct work work;
	pthread_t worker;
	int i;

	submit(pool, work_init(&work, quick, 0), loop);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	worker = work.ran_in;
	for (i = 0; i < 1000; i++) {
		submit(pool, work_init(&work, quick, i), loop);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		ck_assert_int_eq(work.job.result, i);
		ck_assert(pthread_equal(work.ran_in, worker));
	}
	for (i = 0; i < 1000; i++) {
		ck_assert_int_eq(run_on(pool, quick, &work), 999);
		ck_assert(pthread_equal(work.ran_in, worker));
	}
	ck_assert_uint_eq(stats_of(pool).workers, 1);
	ck_assert_uint_eq(stats_of(pool).returned, 2001);
	close_both(pool, loop);
}
END_TEST

START_TEST(as_many_workers_start_as_jobs_need)
{
	struct eddy_executor *pool = open_pool(8, 0);
	struct eddy_loop *loop = census_loop();
	struct work work[8];
	unsigned i, round;

	for (round = 1; round <= 3; round++) {
		for (i = 0; i < 2 * round; i++) {
			occupy(pool, &work[i], loop);
			ck_assert_uint_eq(stats_of(pool).running, i + 1);
		}
		ck_assert_uint_eq(stats_of(pool).workers, 2 * round);
		let_go((int)(2 * round));
		ck_assert_int_eq(eddy_loop_run(loop), 0);
	}
	/* Those there are serve the next as well. */
	for (i = 0; i < 6; i++)
		occupy(pool, &work[i], loop);
	ck_assert_uint_eq(stats_of(pool).workers, 6);
	let_go(6);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	close_both(pool, loop);
}
END_TEST

START_TEST(a_worker_that_is_starting_is_counted_on)
{
	struct eddy_executor *pool = open_pool(8, 0);
	struct work first, second, third, last;
	sem_t held;

	sem_init(&held, 0, 0);
	occupy(pool, &first, NULL);
	start_held = &held;
	submit(pool, work_init(&second, quick, 2), NULL);
	ck_assert_uint_eq(stats_of(pool).workers, 2);
	let_go(1);
	/* The first worker was faster than the second one's start. */
	ck_assert_int_eq(eddy_job_wait(&second.job, EDDY_FOREVER), 2);
	occupy(pool, &third, NULL);
	submit(pool, work_init(&last, quick, 4), NULL);
	ck_assert_uint_eq(stats_of(pool).workers, 2);
	sem_post(&held);
	sem_post(&held); /* for one too many */
	ck_assert_int_eq(eddy_job_wait(&last.job, EDDY_FOREVER), 4);
	let_go(1);
	close_pool(pool);
}
END_TEST

START_TEST(there_are_never_more_workers_than_max)
{
	struct eddy_executor *pool = open_pool(3, 0);
	struct eddy_loop *loop = census_loop();
	struct eddy_executor_stats stats;
	struct work work[10];
	int i;

	for (i = 0; i < 10; i++)
		submit(pool, work_init(&work[i], stay, i), loop);
	for (i = 0; i < 3; i++)
		wait_for(&entered);
	stats = stats_of(pool);
	ck_assert_uint_eq(stats.workers, 3);
	ck_assert_uint_eq(stats.running, 3);
	ck_assert_uint_eq(stats.queued, 7);
	let_go(10);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(work[i].job.result, i);
	ck_assert_uint_eq(stats_of(pool).workers, 3);
	close_both(pool, loop);
}
END_TEST

START_TEST(one_worker_runs_jobs_in_their_order)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct work work[20], first;
	struct eddy_loop *loop = census_loop();
	int i;

	occupy(pool, &first, loop);
	for (i = 0; i < 20; i++)
		submit(pool, work_init(&work[i], stay, i), loop);
	let_go(1);
	for (i = 0; i < 20; i++) {
		wait_for(&entered);
		ck_assert_uint_eq(stats_of(pool).queued, 19u - (unsigned)i);
		ck_assert_int_eq(eddy_job_cancel(&work[i].job), 0);
		let_go(1);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(work[i].runs, 1); /* it was the one running */
	close_both(pool, loop);
}
END_TEST

static void
wait_until_workers(struct eddy_executor *pool, unsigned n)
{
	while (stats_of(pool).workers != n)
		sched_yield();
}

START_TEST(idle_workers_leave_and_min_stay)
{
	struct eddy_thread_pool_options options = {
	    .workers_max = 4, .workers_min = 1, .idle_duration = EDDY_MS(20)};
	struct eddy_executor *pool, *clock;
	struct work work[4], late;
	int64_t began;
	int i, same = 0;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	options.workers_min = 0;
	ck_assert_int_eq(eddy_thread_pool_open(&clock, &options), 0);
	for (i = 0; i < 4; i++)
		occupy(pool, &work[i], NULL);
	began = eddy_now();
	let_go(4);
	for (i = 0; i < 4; i++)
		eddy_job_wait(&work[i].job, EDDY_FOREVER);
	wait_until_workers(pool, 1);
	ck_assert_int_ge(eddy_now() - began, EDDY_MS(20));
	/* Long enough for a worker of another pool to come, idle and go. */
	work_init(&late, quick, 1);
	ck_assert_int_eq(run_on(clock, quick, &late), 1);
	wait_until_workers(clock, 0);
	ck_assert_uint_eq(stats_of(pool).workers, 1);
	ck_assert_int_eq(run_on(pool, quick, &late), 1);
	for (i = 0; i < 4; i++)
		same += pthread_equal(late.ran_in, work[i].ran_in) != 0;
	ck_assert_int_eq(same, 1);
	/* And those that left come back. */
	ck_assert_int_eq(run_on(clock, quick, &late), 1);
	close_pool(pool);
	close_pool(clock);
}
END_TEST

START_TEST(min_may_exceed_max)
{
	struct eddy_thread_pool_options options = {
	    .workers_max = 1, .workers_min = 3};
	struct eddy_executor *pool;
	struct work work[3];
	int i;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	for (i = 0; i < 3; i++)
		occupy(pool, &work[i], NULL);
	let_go(3);
	close_pool(pool);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(eddy_job_wait(&work[i].job, 0), 1);
}
END_TEST

START_TEST(workers_that_must_not_be_idle_leave_at_once)
{
	struct eddy_thread_pool_options options = {.idle_duration = -1};
	struct eddy_executor *pool;
	struct work work;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	submit(pool, work_init(&work, quick, 1), NULL);
	ck_assert_int_eq(eddy_job_wait(&work.job, EDDY_FOREVER), 1);
	wait_until_workers(pool, 0);
	close_pool(pool);
}
END_TEST

START_TEST(workers_that_leave_lose_no_job)
{
	struct eddy_thread_pool_options options = {
	    .workers_max = 3, .idle_duration = 1};
	struct eddy_executor *pool;
	struct work work[3];
	int i, k;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	for (i = 0; i < 1500; i++) {
		for (k = 0; k <= i % 3; k++)
			submit(pool, work_init(&work[k], quick, k), NULL);
		for (k = 0; k <= i % 3; k++)
			ck_assert_int_eq(
			    eddy_job_wait(&work[k].job, EDDY_FOREVER), k);
	}
	wait_until_workers(pool, 0);
	close_pool(pool);
}
END_TEST

struct self {
	char name[16];
	size_t stack;
	int cancel_state;
	sigset_t mask;
};

static int
look_at_self(void *arg)
{
	struct self *self = arg;
	pthread_attr_t attr;

	pthread_getname_np(pthread_self(), self->name, sizeof(self->name));
	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return -EIO;
	pthread_attr_getstacksize(&attr, &self->stack);
	pthread_attr_destroy(&attr);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &self->cancel_state);
	pthread_sigmask(SIG_SETMASK, NULL, &self->mask);
	return 0;
}

START_TEST(name_and_stack_of_workers_are_options)
{
	struct eddy_thread_pool_options options = {.workers_max = 1,
	    .stack_size = 20 << 20,
	    .name = "fifteen-letters"};
	struct eddy_executor *pool;
	struct self self;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	ck_assert_int_eq(run_on(pool, look_at_self, &self), 0);
	ck_assert_str_eq(self.name, "fifteen-le-1");
	ck_assert_uint_ge(self.stack, 20 << 20);
	close_pool(pool);
	pool = open_pool(1, 0);
	ck_assert_int_eq(run_on(pool, look_at_self, &self), 0);
	ck_assert_str_eq(self.name, "eddy-1");
	ck_assert_int_eq(self.cancel_state, PTHREAD_CANCEL_DISABLE);
	close_pool(pool);
}
END_TEST

START_TEST(an_impossible_stack_is_told_by_submit)
{
	struct eddy_thread_pool_options options = {.stack_size = 1};
	struct eddy_executor *pool;
	struct work work;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	work_init(&work, quick, 1);
	ck_assert_int_eq(eddy_submit(pool, &work.job, NULL, NULL), -EINVAL);
	ck_assert_uint_eq(stats_of(pool).submitted, 0);
	close_pool(pool);
}
END_TEST

/* Where a quarter of all memory is too much. */
START_TEST(a_stack_that_is_not_to_be_had_leaves_errno_alone)
{
	struct eddy_thread_pool_options options = {.stack_size = SIZE_MAX / 4};
	struct eddy_executor *pool;
	struct work work;
	int r;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	work_init(&work, quick, 1);
	errno = EDOM;
	r = eddy_submit(pool, &work.job, NULL, NULL);
	ck_assert_int_eq(errno, EDOM);
	if (r == 0)
		eddy_job_wait(&work.job, EDDY_FOREVER);
	close_pool(pool);
}
END_TEST

START_TEST(a_queue_without_bounds_is_refused)
{
	struct eddy_thread_pool_options options = {.queue_limit = 1 << 29};
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), -EINVAL);
}
END_TEST

static uint32_t caught;

static void catch (int number)
{
	(void)number;
	A_ADD(&caught, 1);
}

START_TEST(no_worker_takes_a_signal_of_the_process)
{
	struct eddy_executor *pool = open_pool(2, 0);
	struct sigaction action = {.sa_handler = catch};
	sigset_t usr1, mask, pending;
	struct self self;
	struct work work;
	int i;

	sigaction(SIGUSR1, &action, NULL);
	ck_assert_int_eq(run_on(pool, look_at_self, &self), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	ck_assert_int_eq(sigismember(&mask, SIGUSR1), 0); /* as it was */
	for (i = 1; i < 32; i++)
		if (i == SIGSEGV || i == SIGBUS || i == SIGFPE || i == SIGILL)
			ck_assert_int_eq(sigismember(&self.mask, i), 0);
	ck_assert_int_eq(sigismember(&self.mask, SIGTERM), 1);
	ck_assert_int_eq(sigismember(&self.mask, SIGCHLD), 1);
	ck_assert_int_eq(sigismember(&self.mask, SIGALRM), 1);
	ck_assert_int_eq(sigismember(&self.mask, SIGPIPE), 1);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	occupy(pool, &work, NULL);
	ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
	let_go(1);
	ck_assert_int_eq(eddy_job_wait(&work.job, EDDY_FOREVER), 1);
	ck_assert_int_eq(run_on(pool, look_at_self, &self), 0);
	sigpending(&pending);
	ck_assert_int_eq(sigismember(&pending, SIGUSR1), 1);
	ck_assert_uint_eq(A_LOAD(&caught), 0);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	ck_assert_uint_eq(A_LOAD(&caught), 1);
	close_pool(pool);
}
END_TEST

/* The queue. */

START_TEST(a_full_queue_refuses)
{
	struct eddy_executor *pool = open_pool(1, 2);
	struct eddy_loop *loop = census_loop();
	struct work first, work[3];
	int i;

	occupy(pool, &first, loop);
	for (i = 0; i < 3; i++)
		work_init(&work[i], quick, i);
	submit(pool, &work[0], loop);
	submit(pool, &work[1], loop);
	ck_assert_int_eq(
	    eddy_submit(pool, &work[2].job, loop, on_work), -EAGAIN);
	ck_assert_int_eq(eddy_job_cancel(&work[0].job), 0);
	submit(pool, &work[2], loop);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(work[0].runs, 0);
	ck_assert_int_eq(work[1].runs, 1);
	ck_assert_int_eq(work[2].runs, 1);
	ck_assert_uint_eq(stats_of(pool).submitted, 4);
	close_both(pool, loop);
}
END_TEST

/* A task that runs one job. */
struct runner {
	struct eddy_task task;
	struct eddy_executor *pool;
	struct work work;
	int64_t timeout; /* 0: none */
	int rc;
};

static eddy_step
runner(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct runner, f);
	if (f->timeout != 0)
		EDDY_AWAIT(
		    f->rc, eddy_timeout(self, f->timeout,
			       eddy_job_run(self, f->pool, &f->work.job)));
	else
		EDDY_AWAIT(f->rc, eddy_job_run(self, f->pool, &f->work.job));
	f->work.outcomes++;
	f->work.heard_in = pthread_self();
	EDDY_END;
}

static void
start_runner(struct runner *runner_, struct eddy_loop *loop,
    struct eddy_executor *pool, eddy_job_fn *fn)
{
	eddy_prepare(&runner_->task, runner, "runner");
	work_init(&runner_->work, fn, 1);
	runner_->pool = pool;
	runner_->timeout = 0;
	runner_->rc = EDDY_PENDING;
	ck_assert_int_eq(eddy_loop_spawn(loop, &runner_->task, NULL), 0);
}

static void
step_until_done(struct eddy_loop *loop, const struct runner *r)
{
	while (!eddy_done(&r->task))
		ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), 1);
}

START_TEST(tasks_wait_for_room)
{
	struct eddy_executor *pool = open_pool(2, 1);
	struct eddy_loop *loop = census_loop();
	static struct runner r[200];
	size_t i;

	for (i = 0; i < COUNT_OF(r); i++)
		start_runner(&r[i], loop, pool, quick);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < COUNT_OF(r); i++) {
		ck_assert_int_eq(r[i].rc, 1);
		ck_assert_int_eq(r[i].work.runs, 1);
	}
	ck_assert_uint_eq(stats_of(pool).returned, COUNT_OF(r));
	close_both(pool, loop);
}
END_TEST

START_TEST(a_deadline_may_pass_while_waiting_for_room)
{
	struct eddy_executor *pool = open_pool(1, 1);
	struct eddy_loop *loop = census_loop();
	int64_t deadline = eddy_after(EDDY_MS(5));
	struct work first;
	struct runner a, b, c;

	occupy(pool, &first, loop);
	start_runner(&a, loop, pool, quick);
	start_runner(&b, loop, pool, quick);
	b.work.job.deadline = deadline;
	start_runner(&c, loop, pool, quick);
	step_until_done(loop, &b);
	ck_assert_int_ge(eddy_now(), deadline);
	ck_assert_int_eq(b.rc, -ETIME);
	ck_assert_int_eq(b.work.job.outcome, EDDY_EXPIRED);
	ck_assert_int_eq(a.rc, EDDY_PENDING);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(a.rc, 1);
	ck_assert_int_eq(c.rc, 1);
	ck_assert_int_eq(b.work.runs, 0);
	close_both(pool, loop);
}
END_TEST

START_TEST(a_task_may_be_cancelled_while_waiting_for_room)
{
	struct eddy_executor *pool = open_pool(1, 1);
	struct eddy_loop *loop = census_loop();
	struct work first;
	struct runner a, b, c;

	occupy(pool, &first, loop);
	start_runner(&a, loop, pool, quick);
	start_runner(&b, loop, pool, quick);
	start_runner(&c, loop, pool, quick);
	turn(loop);
	ck_assert_int_eq(eddy_cancel(&b.task), 0);
	step_until_done(loop, &b);
	ck_assert_int_eq(b.rc, -ECANCELED);
	ck_assert_int_eq(b.work.job.outcome, EDDY_CANCELLED);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(a.rc, 1);
	ck_assert_int_eq(c.rc, 1);
	ck_assert_int_eq(b.work.runs, 0);
	close_both(pool, loop);
}
END_TEST

/* Cancel and deadline. */

START_TEST(a_cancelled_queued_job_never_runs)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct eddy_loop *loop = census_loop();
	struct work first, work;

	occupy(pool, &first, loop);
	submit(pool, work_init(&work, quick, 1), loop);
	ck_assert_int_eq(eddy_job_cancel(&work.job), 0);
	ck_assert_int_eq(eddy_job_cancel(&work.job), -EALREADY);
	turn(loop); /* at once, while the worker is busy */
	ck_assert_int_eq(work.outcomes, 1);
	ck_assert_int_eq(work.job.outcome, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_job_rc(&work.job), -ECANCELED);
	ck_assert_uint_eq(stats_of(pool).cancelled, 1);
	ck_assert_uint_eq(stats_of(pool).queued, 0);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(work.runs, 0);
	close_both(pool, loop);
}
END_TEST

static int
nth(void *arg)
{
	static int n;

	quick(arg);
	return ++n;
}

/* More are cancelled than a queue of 2 has slots, which are used again. */
START_TEST(those_that_are_left_between_cancelled_ones_keep_their_order)
{
	struct eddy_executor *pool = open_pool(1, 2);
	struct eddy_loop *loop = census_loop();
	struct work first, older, newer, gone;
	int i;

	occupy(pool, &first, loop);
	for (i = 0; i < 16; i++) {
		submit(pool, work_init(&gone, quick, 0), loop);
		ck_assert_int_eq(eddy_job_cancel(&gone.job), 0);
		turn(loop);
		ck_assert_int_eq(gone.job.outcome, EDDY_CANCELLED);
		if (i == 2)
			submit(pool, work_init(&older, nth, 0), loop);
	}
	submit(pool, work_init(&newer, nth, 0), loop);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(older.job.result, 1);
	ck_assert_int_eq(newer.job.result, 2);
	close_both(pool, loop);
}
END_TEST

START_TEST(a_cancelled_running_job_is_asked_and_its_result_wins)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct eddy_loop *loop = census_loop();
	struct work work;

	submit(pool, work_init(&work, patient, 7), loop);
	wait_for(&entered);
	ck_assert_int_eq(eddy_job_cancel(&work.job), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(work.job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(work.job.result, 7);
	ck_assert_int_eq(eddy_job_cancel(&work.job), -EALREADY);
	ck_assert_uint_eq(stats_of(pool).returned, 1);
	ck_assert_uint_eq(stats_of(pool).cancelled, 0);
	/* The next run is not asked. */
	occupy(pool, &work, loop);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	close_both(pool, loop);
}
END_TEST

static int
was_asked(void *arg)
{
	(void)arg;
	return eddy_job_stop_requested();
}

START_TEST(a_cancel_is_for_one_run_only)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct work work;

	work_init(&work, patient, 7);
	submit(pool, &work, NULL);
	wait_for(&entered);
	ck_assert_int_eq(eddy_job_cancel(&work.job), 0);
	ck_assert_int_eq(eddy_job_wait(&work.job, EDDY_FOREVER), 7);
	work.job.fn = was_asked;
	submit(pool, &work, NULL);
	ck_assert_int_eq(eddy_job_wait(&work.job, EDDY_FOREVER), 0);
	close_pool(pool);
}
END_TEST

START_TEST(a_timeout_asks_and_a_result_wins)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct eddy_loop *loop = census_loop();
	static const int results[][2] = {
	    {5, 5}, {-EIO, -EIO}, {-ECANCELED, -ETIME}};
	struct runner r;
	size_t i;

	for (i = 0; i < COUNT_OF(results); i++) {
		start_runner(&r, loop, pool, patient);
		r.timeout = EDDY_MS(2);
		r.work.value = results[i][0];
		turn(loop);
		wait_for(&entered);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		ck_assert_int_eq(r.rc, results[i][1]);
		ck_assert_int_eq(r.work.job.outcome, EDDY_RETURNED);
		ck_assert_int_eq(r.work.job.result, results[i][0]);
	}
	close_both(pool, loop);
}
END_TEST

START_TEST(a_timeout_takes_a_queued_job_back)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct eddy_loop *loop = census_loop();
	struct work first;
	struct runner r;

	occupy(pool, &first, loop);
	start_runner(&r, loop, pool, quick);
	r.timeout = EDDY_MS(2);
	step_until_done(loop, &r);
	ck_assert_int_eq(r.rc, -ETIME);
	ck_assert_int_eq(r.work.job.outcome, EDDY_CANCELLED);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(r.work.runs, 0);
	close_both(pool, loop);
}
END_TEST

START_TEST(a_cancelled_task_awaits_its_running_job)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct eddy_loop *loop = census_loop();
	struct runner r;

	start_runner(&r, loop, pool, stay);
	turn(loop);
	wait_for(&entered);
	ck_assert_int_eq(eddy_cancel(&r.task), 0);
	turn(loop);
	ck_assert_int_eq(r.rc, EDDY_PENDING);
	ck_assert_int_eq(eddy_loop_close(loop), -EBUSY);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(r.rc, 1); /* its own result wins */
	ck_assert_int_eq(r.work.runs, 1);
	close_both(pool, loop);
}
END_TEST

START_TEST(a_job_may_expire_in_the_queue)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct eddy_loop *loop = census_loop();
	struct work first, late, early;

	occupy(pool, &first, loop);
	work_init(&late, quick, 1)->job.deadline = eddy_after(EDDY_MS(2));
	work_init(&early, quick, 1)->job.deadline = eddy_after(EDDY_S(600));
	submit(pool, &late, loop);
	submit(pool, &early, loop);
	while (eddy_now() <= late.job.deadline)
		sched_yield();
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(late.outcomes, 1);
	ck_assert_int_eq(late.runs, 0);
	ck_assert_int_eq(late.job.outcome, EDDY_EXPIRED);
	ck_assert_int_eq(eddy_job_rc(&late.job), -ETIME);
	ck_assert_int_eq(early.job.outcome, EDDY_RETURNED);
	ck_assert_uint_eq(stats_of(pool).expired, 1);
	ck_assert_uint_eq(stats_of(pool).returned, 2);
	close_both(pool, loop);
}
END_TEST

START_TEST(a_task_hears_of_an_expired_job_at_once)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct eddy_loop *loop = census_loop();
	struct work first;
	struct runner r;

	occupy(pool, &first, loop);
	start_runner(&r, loop, pool, quick);
	r.work.job.deadline = eddy_after(EDDY_MS(2));
	step_until_done(loop, &r); /* the worker is still busy */
	ck_assert_int_eq(r.rc, -ETIME);
	ck_assert_int_eq(r.work.job.outcome, EDDY_EXPIRED);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(r.work.runs, 0);
	close_both(pool, loop);
}
END_TEST

START_TEST(a_deadline_asks_a_running_job)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct eddy_loop *loop = census_loop();
	struct runner r;

	start_runner(&r, loop, pool, patient);
	r.work.value = -ECANCELED;
	r.work.job.deadline = eddy_after(EDDY_MS(20));
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_ge(eddy_now(), r.work.job.deadline);
	ck_assert_int_eq(r.rc, -ETIME);
	ck_assert_int_eq(r.work.runs <= 1, 1);
	close_both(pool, loop);
}
END_TEST

START_TEST(a_deadline_that_has_passed_runs_nothing)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct work work;

	work_init(&work, quick, 1)->job.deadline = 1;
	submit(pool, &work, NULL);
	ck_assert_int_eq(eddy_job_wait(&work.job, EDDY_FOREVER), -ETIME);
	ck_assert_int_eq(work.runs, 0);
	close_pool(pool);
}
END_TEST

START_TEST(a_result_that_cannot_be_is_einval)
{
	static const int results[][2] = {{-4095, -4095}, {-4096, -EINVAL},
	    {INT_MIN, -EINVAL}, {INT_MAX, INT_MAX}};
	struct eddy_executor *pool = open_pool(1, 0);
	struct work work;
	size_t i;

	for (i = 0; i < COUNT_OF(results); i++) {
		work_init(&work, quick, results[i][0]);
		submit(pool, &work, NULL);
		ck_assert_int_eq(
		    eddy_job_wait(&work.job, EDDY_FOREVER), results[i][1]);
		ck_assert_int_eq(work.job.outcome, EDDY_RETURNED);
	}
	close_pool(pool);
}
END_TEST

/* Threads, loops and pools. */

enum { SENDERS = 4, EACH = 200 };

static struct sender {
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	struct eddy_post sent;
	struct work work[EACH];
} senders[SENDERS];

static void
on_sent(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	ck_assert_int_eq(eddy_loop_release(loop), 0);
}

static void *
send_jobs(void *arg)
{
	struct sender *sender = arg;
	int i;

	for (i = 0; i < EACH; i++)
		submit(sender->pool, work_init(&sender->work[i], quick, i),
		    sender->loop);
	ck_assert_int_eq(eddy_post(sender->loop, &sender->sent), 0);
	return NULL;
}

static void
check_work(const struct work *work, int n, pthread_t loop_thread)
{
	int i;

	for (i = 0; i < n; i++) {
		ck_assert_int_eq(work[i].outcomes, 1);
		ck_assert_int_eq(work[i].runs, 1);
		ck_assert_int_eq(work[i].job.result, i);
		ck_assert(pthread_equal(work[i].heard_in, loop_thread));
	}
}

START_TEST(any_thread_may_submit)
{
	struct eddy_executor *pool = open_pool(3, 0);
	struct eddy_loop *loop = census_loop();
	pthread_t threads[SENDERS];
	int i;

	work_init(&senders[0].work[0], quick, 0);
	for (i = 0; i < SENDERS; i++) {
		senders[i].pool = pool;
		senders[i].loop = loop;
		eddy_post_init(&senders[i].sent, on_sent);
		ck_assert_int_eq(eddy_loop_hold(loop), 0);
		start_thread(&threads[i], send_jobs, &senders[i]);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < SENDERS; i++) {
		join(threads[i]);
		check_work(senders[i].work, EACH, pthread_self());
	}
	close_both(pool, loop);
}
END_TEST

static void *
run_a_loop(void *arg)
{
	struct sender *sender = arg;

	sender->loop = census_loop();
	ck_assert_int_eq(eddy_loop_hold(sender->loop), 0);
	eddy_post_init(&sender->sent, on_sent);
	send_jobs(sender);
	ck_assert_int_eq(eddy_loop_run(sender->loop), 0);
	check_work(sender->work, EACH, pthread_self());
	ck_assert_int_eq(eddy_loop_close(sender->loop), 0);
	return NULL;
}

START_TEST(loops_share_a_pool)
{
	struct eddy_executor *pool = open_pool(3, 0);
	pthread_t threads[SENDERS];
	int i;

	work_init(&senders[0].work[0], quick, 0);
	for (i = 0; i < SENDERS; i++) {
		senders[i].pool = pool;
		start_thread(&threads[i], run_a_loop, &senders[i]);
	}
	for (i = 0; i < SENDERS; i++)
		join(threads[i]);
	ck_assert_uint_eq(stats_of(pool).returned, SENDERS * EACH);
	close_pool(pool);
}
END_TEST

START_TEST(a_loop_uses_many_pools)
{
	struct eddy_executor *pools[3];
	struct eddy_loop *loop = census_loop();
	struct work work[30], stuck;
	int i;

	for (i = 0; i < 3; i++)
		pools[i] = open_pool(1, 0);
	occupy(pools[0], &stuck, loop);
	for (i = 0; i < 30; i++)
		submit(pools[1 + i % 2], work_init(&work[i], quick, i), loop);
	for (i = 0; i < 30; i++)
		while (work[i].outcomes == 0)
			ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), 1);
	check_work(work, 30, pthread_self());
	ck_assert_int_eq(stuck.outcomes, 0);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(stuck.outcomes, 1);
	for (i = 0; i < 3; i++)
		close_pool(pools[i]);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* A job that submits the next one. */
struct link {
	struct work work; /* first */
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	struct link *next; /* NULL: the last */
};

static int
submit_next(void *arg)
{
	struct link *link = arg;
	int r = quick(&link->work);

	if (link->next == NULL)
		return r;
	return eddy_submit(
	    link->pool, &link->next->work.job, link->loop, on_work);
}

START_TEST(a_job_may_submit_a_job)
{
	struct eddy_executor *pool = open_pool(2, 0);
	struct eddy_loop *loop = census_loop();
	struct link links[50];
	int i;

	for (i = 0; i < 50; i++) {
		work_init(&links[i].work, submit_next, 0);
		links[i].pool = pool;
		links[i].loop = loop;
		links[i].next = i < 49 ? &links[i + 1] : NULL;
	}
	submit(pool, &links[0].work, loop);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < 50; i++) {
		ck_assert_int_eq(links[i].work.outcomes, 1);
		ck_assert_int_eq(links[i].work.job.result, 0);
	}
	close_both(pool, loop);
}
END_TEST

struct page {
	unsigned char bytes[4096];
	unsigned char seed;
};

static int
fill(void *arg)
{
	struct page *page = arg;

	memset(page->bytes, page->seed, sizeof(page->bytes));
	return 0;
}

static void
on_page(struct eddy_loop *loop, struct eddy_job *job)
{
	struct page *page = job->arg;
	size_t i, wrong = 0;

	for (i = 0; i < sizeof(page->bytes); i++)
		wrong += page->bytes[i] != page->seed;
	ck_assert_uint_eq(wrong, 0);
	if (page->seed-- > 1)
		ck_assert_int_eq(
		    eddy_submit(job->executor, job, loop, on_page), 0);
}

START_TEST(what_a_job_wrote_is_seen_in_its_callback)
{
	struct eddy_executor *pool = open_pool(4, 0);
	struct eddy_loop *loop = census_loop();
	struct page pages[4];
	struct eddy_job jobs[4];
	int i;

	for (i = 0; i < 4; i++) {
		pages[i].seed = 100;
		jobs[i] = (struct eddy_job)EDDY_JOB(fill, &pages[i]);
		ck_assert_int_eq(eddy_submit(pool, &jobs[i], loop, on_page), 0);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	close_both(pool, loop);
}
END_TEST

START_TEST(a_loop_with_jobs_out_is_not_closed)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct eddy_loop *loop = census_loop();
	struct work running, queued;

	occupy(pool, &running, loop);
	submit(pool, work_init(&queued, quick, 1), loop);
	ck_assert_int_eq(eddy_loop_close(loop), -EBUSY);
	let_go(1);
	close_pool(pool); /* queued or not, both have their outcome now */
	ck_assert_int_eq(eddy_loop_close(loop), -EBUSY);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(running.outcomes, 1);
	ck_assert_int_eq(queued.outcomes, 1);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Closing. */

/* In a full pool with one more job: until it is being closed, submit says that
 * the queue is full.  Then what is queued is cancelled, a moment later. */
struct closing {
	struct eddy_executor *pool;
	struct work extra;
	int answer;
};

static int
poll_submit(struct closing *closing)
{
	struct eddy_executor_stats stats;
	int r;

	while ((r = eddy_submit(
		    closing->pool, &closing->extra.job, NULL, NULL)) == -EAGAIN)
		sched_yield();
	do
		eddy_executor_stats(closing->pool, &stats);
	while (stats.queued != 0);
	return r;
}

static void *
let_go_when_closing(void *arg)
{
	struct closing *closing = arg;

	closing->answer = poll_submit(closing);
	let_go(1);
	return NULL;
}

START_TEST(close_cancels_what_is_queued_and_awaits_what_runs)
{
	struct closing closing = {.pool = open_pool(1, 2)};
	struct eddy_loop *loop = census_loop();
	struct work running, queued[2];
	pthread_t thread;
	int i;

	occupy(closing.pool, &running, loop);
	for (i = 0; i < 2; i++)
		submit(closing.pool, work_init(&queued[i], quick, 1), loop);
	work_init(&closing.extra, quick, 1);
	start_thread(&thread, let_go_when_closing, &closing);
	close_pool(closing.pool);
	ck_assert_int_eq(running.runs, 1);
	join(thread);
	ck_assert_int_eq(closing.answer, -ESHUTDOWN);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(running.outcomes, 1);
	ck_assert_int_eq(eddy_job_rc(&running.job), 1);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(queued[i].outcomes, 1);
		ck_assert_int_eq(queued[i].runs, 0);
		ck_assert_int_eq(queued[i].job.outcome, EDDY_CANCELLED);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static int
submit_while_closing(void *arg)
{
	sem_post(&entered);
	wait_for(&leave);
	return poll_submit(arg);
}

START_TEST(a_job_cannot_submit_while_its_pool_is_closing)
{
	struct closing closing = {.pool = open_pool(1, 1)};
	struct eddy_job job = EDDY_JOB(submit_while_closing, &closing);
	struct work queued;

	work_init(&closing.extra, quick, 1);
	ck_assert_int_eq(eddy_submit(closing.pool, &job, NULL, NULL), 0);
	wait_for(&entered);
	submit(closing.pool, work_init(&queued, quick, 1), NULL);
	let_go(1);
	close_pool(closing.pool);
	ck_assert_int_eq(eddy_job_wait(&job, 0), -ESHUTDOWN);
	ck_assert_int_eq(eddy_job_wait(&queued.job, 0), -ECANCELED);
	ck_assert_int_eq(queued.runs + closing.extra.runs, 0);
}
END_TEST

static void *
close_in_thread(void *arg)
{
	close_pool(arg);
	return NULL;
}

START_TEST(a_task_that_waits_for_room_hears_of_close)
{
	struct closing closing = {.pool = open_pool(1, 1)};
	struct eddy_loop *loop = census_loop();
	struct runner queued, waiting, late;
	struct work running;
	pthread_t thread;

	occupy(closing.pool, &running, loop);
	start_runner(&queued, loop, closing.pool, quick);
	start_runner(&waiting, loop, closing.pool, quick);
	turn(loop);
	work_init(&closing.extra, quick, 1);
	start_thread(&thread, close_in_thread, closing.pool);
	ck_assert_int_eq(poll_submit(&closing), -ESHUTDOWN);
	start_runner(&late, loop, closing.pool, quick);
	step_until_done(loop, &queued);
	step_until_done(loop, &waiting);
	step_until_done(loop, &late);
	ck_assert_int_eq(queued.rc, -ECANCELED);
	ck_assert_int_eq(waiting.rc, -ECANCELED);
	ck_assert_int_eq(late.rc, -ESHUTDOWN);
	let_go(1);
	join(thread);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(running.outcomes, 1);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(close_gives_up_on_stuck_jobs_in_time)
{
	struct eddy_executor *pool = open_pool(4, 0);
	struct eddy_loop *loop = census_loop();
	struct work stuck[2], idle[2];
	int64_t deadline;
	int i;

	for (i = 0; i < 2; i++)
		occupy(pool, &idle[i], loop);
	for (i = 0; i < 2; i++)
		occupy(pool, &stuck[i], loop);
	let_go(2);
	while (idle[0].outcomes + idle[1].outcomes + stuck[0].outcomes +
		   stuck[1].outcomes <
	       2)
		ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), 1);
	deadline = eddy_after(EDDY_MS(5));
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_MS(5)), -ETIME);
	ck_assert_int_ge(eddy_now(), deadline);
	ck_assert_int_eq(eddy_loop_close(loop), -EBUSY);
	let_go(2); /* the last to leave frees the pool */
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(eddy_job_rc(&stuck[i].job), 1);
		ck_assert_int_eq(stuck[i].outcomes, 1);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* With a job that never ends; answers what close says. */
static int
close_on_a_stuck_job(void *arg)
{
	struct eddy_executor *pool = open_pool(2, 0);
	static struct work stuck, queued; /* outlive this frame */

	(void)arg;
	occupy(pool, &stuck, NULL);
	submit(pool, work_init(&queued, stay, 1), NULL);
	return eddy_executor_close(pool, EDDY_MS(2));
}

START_TEST(a_program_with_a_stuck_job_can_end)
{
	ck_assert_int_eq(census_child(close_on_a_stuck_job, NULL), -ETIME);
}
END_TEST

START_TEST(close_without_patience_is_not_late_for_idle_workers)
{
	struct work work[4];
	int i, k;

	for (i = 0; i < 200; i++) {
		struct eddy_executor *pool = open_pool(4, 0);

		for (k = 0; k < 4; k++)
			occupy(pool, &work[k], NULL);
		let_go(4);
		for (k = 0; k < 4; k++)
			eddy_job_wait(&work[k].job, EDDY_FOREVER);
		/* -ETIME would say that jobs still run. */
		ck_assert_int_eq(eddy_executor_close(pool, 0), 0);
	}
}
END_TEST

START_TEST(close_finds_every_job_in_some_state)
{
	struct eddy_loop *loop = census_loop();
	struct work work[8];
	int i, k;

	for (i = 0; i < 300; i++) {
		struct eddy_executor *pool = open_pool(2, 0);

		for (k = 0; k < 8; k++)
			submit(pool, work_init(&work[k], quick, 1), loop);
		close_pool(pool);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		for (k = 0; k < 8; k++) {
			int rc = eddy_job_rc(&work[k].job);

			ck_assert_int_eq(work[k].outcomes, 1);
			ck_assert_int_eq(rc, work[k].runs ? 1 : -ECANCELED);
		}
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Fork. */

static int
submit_in_child(void *arg)
{
	static struct work work;

	work_init(&work, quick, 1);
	return eddy_submit(arg, &work.job, NULL, NULL);
}

START_TEST(a_forked_child_has_no_workers)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct work work;

	ck_assert_int_eq(census_child(submit_in_child, pool), -ECHILD);
	work_init(&work, quick, 1);
	ck_assert_int_eq(run_on(pool, quick, &work), 1);
	ck_assert_int_eq(census_child(submit_in_child, pool), -ECHILD);
	ck_assert_int_eq(run_on(pool, quick, &work), 1);
	close_pool(pool);
}
END_TEST

START_TEST(a_forked_child_of_a_busy_pool_has_no_workers)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct work running, queued;

	occupy(pool, &running, NULL);
	ck_assert_int_eq(census_child(submit_in_child, pool), -ECHILD);
	submit(pool, work_init(&queued, quick, 1), NULL);
	ck_assert_int_eq(census_child(submit_in_child, pool), -ECHILD);
	let_go(1);
	ck_assert_int_eq(eddy_job_wait(&queued.job, EDDY_FOREVER), 1);
	close_pool(pool);
}
END_TEST

static int
close_in_child(void *arg)
{
	return eddy_executor_close(arg, EDDY_FOREVER);
}

START_TEST(a_forked_child_may_close_the_pool)
{
	struct eddy_executor *pool = open_pool(1, 0);
	struct work running, queued;

	occupy(pool, &running, NULL);
	submit(pool, work_init(&queued, quick, 1), NULL);
	ck_assert_int_eq(census_child(close_in_child, pool), 0);
	let_go(1);
	ck_assert_int_eq(eddy_job_wait(&running.job, EDDY_FOREVER), 1);
	ck_assert_int_eq(eddy_job_wait(&queued.job, EDDY_FOREVER), 1);
	close_pool(pool);
}
END_TEST

/* Jobs of the turn are not handed over yet. */
struct forker {
	struct eddy_timer timer;
	struct eddy_executor *pool;
	struct work work;
	pid_t pid;
};

static void
submit_and_fork(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct forker *f = (struct forker *)timer;

	submit(f->pool, work_init(&f->work, quick, 1), loop);
	f->pid = fork();
	ck_assert_int_ge(f->pid, 0);
}

START_TEST(a_child_forked_by_a_callback_leaves_its_jobs)
{
	struct eddy_loop *loop = census_loop();
	struct forker f = {.pool = open_pool(1, 0)};
	int status;

	work_init(&f.work, quick, 1);
	ck_assert_int_eq(run_on(f.pool, quick, &f.work), 1);
	eddy_timer_init(&f.timer, submit_and_fork);
	ck_assert_int_eq(eddy_timer_start(loop, &f.timer, 0), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	if (f.pid == 0)
		_exit(eddy_loop_close(loop) != 0 ||
		      eddy_executor_close(f.pool, 0) != 0);
	ck_assert_int_eq(waitpid(f.pid, &status, 0), f.pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.work.job.result, 1);
	close_both(f.pool, loop);
}
END_TEST

/* Faults. */

START_TEST(without_any_thread_submit_says_so)
{
	struct eddy_executor *pool = open_pool(4, 0);
	struct eddy_loop *loop = census_loop();
	struct work work;

	threads_left = 0;
	work_init(&work, quick, 1);
	ck_assert_int_lt(eddy_submit(pool, &work.job, loop, on_work), 0);
	ck_assert_uint_eq(stats_of(pool).submitted, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	threads_left = 1;
	ck_assert_int_eq(run_on(pool, quick, &work), 1);
	close_both(pool, loop);
}
END_TEST

START_TEST(without_any_thread_a_task_hears_of_it)
{
	struct eddy_executor *pool = open_pool(4, 0);
	struct eddy_loop *loop = census_loop();
	struct runner r;

	threads_left = 0;
	start_runner(&r, loop, pool, quick);
	turn(loop);
	turn(loop);
	/* There is nobody who could make room. */
	ck_assert(eddy_done(&r.task));
	ck_assert_int_lt(r.rc, 0);
	ck_assert_int_ne(r.rc, EDDY_PENDING);
	close_both(pool, loop);
}
END_TEST

START_TEST(with_one_thread_all_jobs_are_run)
{
	struct eddy_executor *pool = open_pool(4, 0);
	struct eddy_loop *loop = census_loop();
	struct work work[20];
	int i;

	threads_left = 1;
	for (i = 0; i < 20; i++)
		submit(pool, work_init(&work[i], quick, i), loop);
	ck_assert_uint_eq(stats_of(pool).workers, 1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	check_work(work, 20, pthread_self());
	close_both(pool, loop);
}
END_TEST

START_TEST(without_memory_open_and_submit_say_so)
{
	struct eddy_executor *pool = NULL;
	struct work work;

	no_memory = true;
	ck_assert_int_eq(eddy_thread_pool_open(&pool, NULL), -ENOMEM);
	ck_assert_ptr_null(pool);
	no_memory = false;
	pool = open_pool(4, 0);
	no_memory = true;
	work_init(&work, quick, 1);
	ck_assert_int_eq(eddy_submit(pool, &work.job, NULL, NULL), -ENOMEM);
	no_memory = false;
	ck_assert_int_eq(run_on(pool, quick, &work), 1);
	no_memory = true; /* the worker there is will do */
	ck_assert_int_eq(run_on(pool, quick, &work), 1);
	no_memory = false;
	close_pool(pool);
}
END_TEST

/* Stress: threads submit and cancel at random, one loop hears of it all. */

enum { SUBMITTERS = 4, JOBS = 50000, SLOTS = 64 };

struct slot {
	struct eddy_job job; /* first */
	uint32_t busy;       /* the submitter sets, the callback clears */
	uint32_t ran;        /* written by the job only */
	uint32_t serial;     /* of the job; written while it is not out */
	uint32_t heard;      /* outcomes, by the callback */
};

static struct submitter {
	struct slot slots[SLOTS];
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	struct eddy_post sent;
	unsigned seed;
	uint64_t accepted, refused;
} submitters[SUBMITTERS];

/* By the loop thread. */
static uint64_t ran_count, cancelled_count;

static int
run_slot(void *arg)
{
	struct slot *slot = arg;

	slot->ran = slot->serial;
	return (int)(slot->serial & 0xffff);
}

static void
on_slot(struct eddy_loop *loop, struct eddy_job *job)
{
	struct slot *slot = (struct slot *)job;
	bool ran = job->outcome == EDDY_RETURNED;

	(void)loop;
	slot->heard++;
	/* One check: each makes Check write to a file. */
	if (A_LOAD(&slot->busy) != 1 || slot->heard != slot->serial ||
	    ran != (slot->ran == slot->serial) ||
	    (ran && job->result != (int)(slot->serial & 0xffff)) ||
	    (!ran && job->outcome != EDDY_CANCELLED))
		ck_abort_msg("job %u: heard of %u, ran %u, outcome %d",
		    slot->serial, slot->heard, slot->ran, job->outcome);
	if (ran)
		ran_count++;
	else
		cancelled_count++;
	A_RELEASE(&slot->busy, 0);
}

/* Use a slot that is free; one that is not may have its job cancelled. */
static bool
use_slot(struct submitter *submitter, struct slot *slot, unsigned dice)
{
	int r;

	if (A_ACQUIRE(&slot->busy) != 0) {
		if (dice % 4 == 0)
			eddy_job_cancel(&slot->job);
		else if (dice % 4 == 1)
			sched_yield();
		return false;
	}
	slot->serial++;
	A_STORE(&slot->busy, 1);
	r = eddy_submit(submitter->pool, &slot->job, submitter->loop, on_slot);
	if (r == 0)
		return true;
	ck_assert_int_eq(r, -EAGAIN);
	slot->serial--;
	A_STORE(&slot->busy, 0);
	submitter->refused++;
	return false;
}

static void *
submit_many(void *arg)
{
	struct submitter *submitter = arg;

	while (submitter->accepted < JOBS) {
		unsigned dice = (unsigned)rand_r(&submitter->seed);
		struct slot *slot = &submitter->slots[dice % SLOTS];

		submitter->accepted += use_slot(submitter, slot, dice / SLOTS);
	}
	ck_assert_int_eq(eddy_post(submitter->loop, &submitter->sent), 0);
	return NULL;
}

static uint64_t
heard_by(const struct submitter *submitter)
{
	uint64_t heard = 0;
	int i;

	for (i = 0; i < SLOTS; i++) {
		ck_assert_uint_eq(
		    submitter->slots[i].heard, submitter->slots[i].serial);
		heard += submitter->slots[i].heard;
	}
	return heard;
}

static void
start_submitter(struct submitter *submitter, pthread_t *thread)
{
	int i;

	for (i = 0; i < SLOTS; i++)
		submitter->slots[i].job = (struct eddy_job)EDDY_JOB(
		    run_slot, &submitter->slots[i]);
	eddy_post_init(&submitter->sent, on_sent);
	ck_assert_int_eq(eddy_loop_hold(submitter->loop), 0);
	start_thread(thread, submit_many, submitter);
}

START_TEST(every_accepted_job_has_one_outcome)
{
	struct eddy_executor *pool = open_pool(3, 100);
	struct eddy_loop *loop = census_loop();
	struct eddy_executor_stats stats;
	pthread_t threads[SUBMITTERS];
	int i;

	for (i = 0; i < SUBMITTERS; i++) {
		submitters[i].pool = pool;
		submitters[i].loop = loop;
		submitters[i].seed = (unsigned)i + 1;
		start_submitter(&submitters[i], &threads[i]);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < SUBMITTERS; i++) {
		join(threads[i]);
		ck_assert_uint_eq(heard_by(&submitters[i]), JOBS);
	}
	stats = stats_of(pool);
	ck_assert_uint_eq(stats.submitted, SUBMITTERS * (uint64_t)JOBS);
	ck_assert_uint_eq(stats.returned, ran_count);
	ck_assert_uint_eq(stats.cancelled, cancelled_count);
	ck_assert_uint_gt(cancelled_count, 0);
	ck_assert_uint_eq(stats.queued + stats.running, 0);
	close_both(pool, loop);
}
END_TEST

/* Tasks of several loops in one short line, each with little patience. */
enum { LOOPS = 3, TASKS = 40, TURNS = 50 };

struct hasty {
	struct eddy_task task;
	struct eddy_executor *pool;
	struct work work;
	unsigned seed;
	int turn, returned, late;
	int rc;
};

static eddy_step
hasty(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct hasty, f);
	for (f->turn = 0; f->turn < TURNS; f->turn++) {
		EDDY_AWAIT(
		    f->rc, eddy_timeout(self, EDDY_US(rand_r(&f->seed) % 2000),
			       eddy_job_run(self, f->pool, &f->work.job)));
		f->returned += f->rc == 1;
		f->late += f->rc == -ETIME;
	}
	EDDY_END;
}

static void *
run_hasty(void *arg)
{
	struct hasty *tasks = calloc(TASKS, sizeof(*tasks));
	struct eddy_loop *loop = census_loop();
	int i;

	ck_assert_ptr_nonnull(tasks);
	for (i = 0; i < TASKS; i++) {
		eddy_prepare(&tasks[i].task, hasty, "hasty");
		tasks[i].pool = arg;
		tasks[i].seed = (unsigned)i;
		work_init(&tasks[i].work, quick, 1);
		ck_assert_int_eq(
		    eddy_loop_spawn(loop, &tasks[i].task, NULL), 0);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < TASKS; i++) {
		ck_assert_int_eq(tasks[i].returned, tasks[i].work.runs);
		ck_assert_int_eq(tasks[i].returned + tasks[i].late, TURNS);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	free(tasks);
	return NULL;
}

START_TEST(hasty_tasks_of_many_loops_share_a_short_queue)
{
	struct eddy_executor *pool = open_pool(2, 1);
	pthread_t threads[LOOPS];
	struct work unused;
	int i;

	work_init(&unused, quick, 1);
	for (i = 0; i < LOOPS; i++)
		start_thread(&threads[i], run_hasty, pool);
	for (i = 0; i < LOOPS; i++)
		join(threads[i]);
	ck_assert_uint_eq(stats_of(pool).queued, 0);
	ck_assert_uint_eq(stats_of(pool).running, 0);
	close_pool(pool);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("thread pool");

	census_add(census_case(suite, "workers", 4),
	    no_thread_starts_before_the_first_job,
	    a_lone_stream_of_jobs_keeps_one_worker,
	    as_many_workers_start_as_jobs_need,
	    a_worker_that_is_starting_is_counted_on,
	    there_are_never_more_workers_than_max,
	    one_worker_runs_jobs_in_their_order,
	    idle_workers_leave_and_min_stay, min_may_exceed_max,
	    workers_that_must_not_be_idle_leave_at_once,
	    workers_that_leave_lose_no_job,
	    name_and_stack_of_workers_are_options,
	    an_impossible_stack_is_told_by_submit,
	    a_stack_that_is_not_to_be_had_leaves_errno_alone,
	    a_queue_without_bounds_is_refused,
	    no_worker_takes_a_signal_of_the_process);
	census_add(census_case(suite, "queue", 4), a_full_queue_refuses,
	    tasks_wait_for_room, a_deadline_may_pass_while_waiting_for_room,
	    a_task_may_be_cancelled_while_waiting_for_room);
	census_add(census_case(suite, "cancel", 4),
	    a_cancelled_queued_job_never_runs,
	    those_that_are_left_between_cancelled_ones_keep_their_order,
	    a_cancelled_running_job_is_asked_and_its_result_wins,
	    a_cancel_is_for_one_run_only, a_timeout_asks_and_a_result_wins,
	    a_timeout_takes_a_queued_job_back,
	    a_cancelled_task_awaits_its_running_job,
	    a_job_may_expire_in_the_queue,
	    a_task_hears_of_an_expired_job_at_once,
	    a_deadline_asks_a_running_job,
	    a_deadline_that_has_passed_runs_nothing,
	    a_result_that_cannot_be_is_einval);
	census_add(census_case(suite, "threads", 4), any_thread_may_submit,
	    loops_share_a_pool, a_loop_uses_many_pools, a_job_may_submit_a_job,
	    what_a_job_wrote_is_seen_in_its_callback,
	    a_loop_with_jobs_out_is_not_closed);
	census_add(census_case(suite, "close", 4),
	    close_cancels_what_is_queued_and_awaits_what_runs,
	    a_job_cannot_submit_while_its_pool_is_closing,
	    a_task_that_waits_for_room_hears_of_close,
	    close_gives_up_on_stuck_jobs_in_time,
	    a_program_with_a_stuck_job_can_end,
	    close_without_patience_is_not_late_for_idle_workers,
	    close_finds_every_job_in_some_state);
	census_add(census_case(suite, "fork", 4), a_forked_child_has_no_workers,
	    a_forked_child_of_a_busy_pool_has_no_workers,
	    a_child_forked_by_a_callback_leaves_its_jobs,
	    a_forked_child_may_close_the_pool);
	census_add(census_case(suite, "faults", 4),
	    without_any_thread_submit_says_so,
	    without_any_thread_a_task_hears_of_it,
	    with_one_thread_all_jobs_are_run,
	    without_memory_open_and_submit_say_so);
	census_add(census_case(suite, "stress", 20),
	    every_accepted_job_has_one_outcome,
	    hasty_tasks_of_many_loops_share_a_short_queue);
	return suite_main(suite);
}
