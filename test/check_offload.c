/* SPDX-License-Identifier: ISC */
#include <eddy/offload.h>
#include <eddy/thread_pool.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>

#include "atomics.h"
#include "census.h"
#include "offload_impl.h"
#include "sys.h"
#include "threads.h"

/* What the library asks of the system is counted, and memory fails on demand;
 * the pools a loop opens for itself are counted too. */
/* link: -Wl,--wrap=eddy__alloc,--wrap=eddy__realloc */
/* link: -Wl,--wrap=eddy__futex_wait,--wrap=eddy__futex_wake */
/* link: -Wl,--wrap=eddy__ring,--wrap=eddy__epoll_wait,--wrap=eddy__getpid */
/* link: -Wl,--wrap=eddy_thread_pool_open,--wrap=eddy_executor_close */
void *__real_eddy__alloc(size_t size);
void *__wrap_eddy__alloc(size_t size);
void *__real_eddy__realloc(void *p, size_t size);
void *__wrap_eddy__realloc(void *p, size_t size);
int __real_eddy__futex_wait(
    uint32_t *word, uint32_t value, int64_t duration, bool shared);
int __wrap_eddy__futex_wait(
    uint32_t *word, uint32_t value, int64_t duration, bool shared);
void __real_eddy__futex_wake(uint32_t *word, int n, bool shared);
void __wrap_eddy__futex_wake(uint32_t *word, int n, bool shared);
int __real_eddy__ring(int eventfd);
int __wrap_eddy__ring(int eventfd);
int __real_eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse);
int __wrap_eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse);
pid_t __real_eddy__getpid(void);
pid_t __wrap_eddy__getpid(void);
int __real_eddy_thread_pool_open(struct eddy_executor **ret_executor,
    const struct eddy_thread_pool_options *options);
int __wrap_eddy_thread_pool_open(struct eddy_executor **ret_executor,
    const struct eddy_thread_pool_options *options);
int __real_eddy_executor_close(
    struct eddy_executor *executor, int64_t duration);
int __wrap_eddy_executor_close(
    struct eddy_executor *executor, int64_t duration);

static uint32_t allocations, calls, opened, closed; /* any thread */
static uint32_t memory_left = UINT32_MAX; /* allocations that succeed */
static bool first_is_late;                /* of what is closed */

void *
__wrap_eddy__alloc(size_t size)
{
	A_ADD(&allocations, 1);
	if (A_LOAD(&memory_left) != UINT32_MAX && A_SUB(&memory_left, 1) == 0) {
		A_STORE(&memory_left, 0);
		return NULL;
	}
	return __real_eddy__alloc(size);
}

void *
__wrap_eddy__realloc(void *p, size_t size)
{
	A_ADD(&allocations, 1);
	return A_LOAD(&memory_left) == 0 ? NULL : __real_eddy__realloc(p, size);
}

int
__wrap_eddy__futex_wait(
    uint32_t *word, uint32_t value, int64_t duration, bool shared)
{
	A_ADD(&calls, 1);
	return __real_eddy__futex_wait(word, value, duration, shared);
}

void
__wrap_eddy__futex_wake(uint32_t *word, int n, bool shared)
{
	A_ADD(&calls, 1);
	__real_eddy__futex_wake(word, n, shared);
}

int
__wrap_eddy__ring(int eventfd)
{
	A_ADD(&calls, 1);
	return __real_eddy__ring(eventfd);
}

int
__wrap_eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse)
{
	A_ADD(&calls, 1);
	return __real_eddy__epoll_wait(epoll, events, n, duration, coarse);
}

pid_t
__wrap_eddy__getpid(void)
{
	A_ADD(&calls, 1);
	return __real_eddy__getpid();
}

int
__wrap_eddy_thread_pool_open(struct eddy_executor **ret_executor,
    const struct eddy_thread_pool_options *options)
{
	A_ADD(&opened, 1);
	return __real_eddy_thread_pool_open(ret_executor, options);
}

int
__wrap_eddy_executor_close(struct eddy_executor *executor, int64_t duration)
{
	int r = __real_eddy_executor_close(executor, duration);

	return A_ADD(&closed, 1) == 0 && first_is_late ? -ETIME : r;
}

static void
turn(struct eddy_loop *loop)
{
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

static struct eddy_executor *
open_pool(unsigned max)
{
	struct eddy_thread_pool_options options = {.workers_max = max};
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	return pool;
}

static void
close_pool(struct eddy_executor *pool)
{
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
}

/* The bytes of all jobs here. */
struct data {
	int value; /* to be returned */
	int runs;
	void *self; /* where the function saw it */
	pthread_t thread;
};

static sem_t entered, leave;

static void
gates_init(void)
{
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
}

static int
quick(void *arg)
{
	struct data *data = arg;

	data->runs++;
	data->self = data;
	data->thread = pthread_self();
	return data->value;
}

static int
stay(void *arg)
{
	sem_post(&entered);
	wait_for(&leave);
	return quick(arg);
}

static int
patient(void *arg)
{
	sem_post(&entered);
	while (!eddy_job_stop_requested())
		sched_yield();
	return quick(arg);
}

/* A task that offloads once, or again and again. */
struct user {
	struct eddy_task task;
	struct eddy_executor *executor;
	eddy_job_fn *fn;
	struct data data;
	int64_t timeout; /* 0: none */
	int times;       /* at least one */
	int rc;          /* of the last */
};

static eddy_step
user(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	do {
		if (f->timeout != 0)
			EDDY_AWAIT(f->rc, eddy_timeout(self, f->timeout,
					      eddy_offload(self, f->executor,
						  f->fn, &f->data)));
		else
			EDDY_AWAIT(f->rc,
			    eddy_offload(self, f->executor, f->fn, &f->data));
	} while (--f->times > 0);
	EDDY_END;
}

static struct eddy_task *
user_init(struct user *f, struct eddy_executor *executor, eddy_job_fn *fn)
{
	return EDDY_INIT(
	    f, user, .executor = executor, .fn = fn, .rc = EDDY_PENDING);
}

static void
start(struct eddy_loop *loop, struct eddy_task *task)
{
	ck_assert_int_eq(eddy_loop_spawn(loop, task, NULL), 0);
}

/* The loop's own pool. */

START_TEST(the_loops_pool_is_opened_once_and_closed_by_run)
{
	struct user f;

	user_init(&f, NULL, quick);
	f.times = 10;
	f.data.value = 3;
	ck_assert_int_eq(eddy_run(&f.task), 0);
	ck_assert_int_eq(f.rc, 3);
	ck_assert_int_eq(f.data.runs, 10);
	ck_assert_ptr_eq(f.data.self, &f.data); /* in place */
	ck_assert(!pthread_equal(f.data.thread, pthread_self()));
	ck_assert_uint_eq(opened, 1);
	ck_assert_uint_eq(closed, 1);
}
END_TEST

static eddy_step
idler(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	EDDY_TRY(eddy_yield(self));
	EDDY_END;
}

START_TEST(a_loop_that_never_offloads_opens_no_pool)
{
	struct user f;

	eddy_prepare(&f.task, idler, "idler");
	ck_assert_int_eq(eddy_run(&f.task), 0);
	ck_assert_uint_eq(opened, 0);
}
END_TEST

START_TEST(the_loops_pool_is_closed_with_the_loop)
{
	struct eddy_loop *loop = census_loop();
	struct user f[2];

	start(loop, user_init(&f[0], NULL, quick));
	start(loop, user_init(&f[1], NULL, quick));
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_uint_eq(closed, 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_uint_eq(opened, 1);
	ck_assert_uint_eq(closed, 1);
}
END_TEST

/* As eddy_net_connect has one for names. */
START_TEST(of_two_pools_the_late_one_is_told)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *executor;

	ck_assert_int_eq(eddy__loop_pool(loop, POOL_OF_JOBS, &executor), 0);
	ck_assert_int_eq(eddy__loop_pool(loop, POOL_OF_NAMES, &executor), 0);
	first_is_late = true;
	ck_assert_int_eq(eddy_loop_close(loop), -ETIME);
	ck_assert_uint_eq(closed, 2);
}
END_TEST

START_TEST(the_executor_of_the_options_is_used_and_kept)
{
	struct eddy_executor *pool = open_pool(2);
	struct eddy_loop_options options = {.executor = pool};
	struct eddy_executor_stats stats;
	struct eddy_loop *loop;
	struct user f;

	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	start(loop, user_init(&f, NULL, quick));
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(f.rc, 0);
	ck_assert_uint_eq(opened, 1); /* by this test */
	ck_assert_uint_eq(closed, 0);
	eddy_executor_stats(pool, &stats);
	ck_assert_uint_eq(stats.returned, 1);
	close_pool(pool);
}
END_TEST

START_TEST(a_named_executor_goes_before_the_loops)
{
	struct eddy_executor *pool = open_pool(1), *other = open_pool(1);
	struct eddy_loop_options options = {.executor = other};
	struct eddy_executor_stats stats;
	struct eddy_loop *loop;
	struct user f;

	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	start(loop, user_init(&f, pool, quick));
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	eddy_executor_stats(pool, &stats);
	ck_assert_uint_eq(stats.returned, 1);
	eddy_executor_stats(other, &stats);
	ck_assert_uint_eq(stats.submitted, 0);
	close_pool(pool);
	close_pool(other);
}
END_TEST

static void *
run_elsewhere(void *arg)
{
	struct user *f = arg;

	ck_assert_int_eq(eddy_run(&f->task), 0);
	return NULL;
}

START_TEST(each_loop_has_a_pool_of_its_own)
{
	struct user f[2];
	pthread_t thread;

	gates_init();
	user_init(&f[0], NULL, stay);
	user_init(&f[1], NULL, stay);
	ck_assert_int_eq(
	    pthread_create(&thread, NULL, run_elsewhere, &f[0]), 0);
	wait_for(&entered);
	sem_post(&leave);
	sem_post(&leave);
	ck_assert_int_eq(eddy_run(&f[1].task), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(opened, 2);
	ck_assert_uint_eq(closed, 2);
}
END_TEST

/* Results. */

START_TEST(the_result_is_the_functions)
{
	static const int results[][2] = {{0, 0}, {1, 1}, {INT_MAX, INT_MAX},
	    {-EIO, -EIO}, {-4095, -4095}, {-4096, -EINVAL}, {INT_MIN, -EINVAL}};
	struct eddy_executor *pool = open_pool(1);
	size_t i;

	for (i = 0; i < COUNT_OF(results); i++) {
		struct user f;

		user_init(&f, pool, quick);
		f.data.value = results[i][0];
		ck_assert_int_eq(eddy_run(&f.task), 0);
		ck_assert_int_eq(f.rc, results[i][1]);
		ck_assert_int_eq(f.data.runs, 1);
	}
	close_pool(pool);
}
END_TEST

static eddy_step
too_big(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	EDDY_AWAIT(f->rc, eddy_offload_bytes(self, f->executor, quick, &f->data,
			      (size_t)UINT32_MAX + 1));
	EDDY_END;
}

START_TEST(bytes_beyond_4_gib_are_emsgsize)
{
	struct user f = {.rc = 0};

	if (SIZE_MAX == UINT32_MAX)
		return;
	eddy_prepare(&f.task, too_big, "too_big");
	ck_assert_int_eq(eddy_run(&f.task), 0);
	ck_assert_int_eq(f.rc, -EMSGSIZE);
	ck_assert_int_eq(f.data.runs, 0);
}
END_TEST

START_TEST(no_function_is_einval)
{
	struct eddy_executor *pool = open_pool(1);
	struct eddy_loop *loop = census_loop();
	uint32_t before;
	struct user f;

	start(loop, user_init(&f, pool, NULL));
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -EINVAL);
	before = A_LOAD(&allocations);
	user_init(&f, pool, NULL);
	f.times = 10;
	start(loop, &f.task);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_uint_eq(A_LOAD(&allocations), before);
	close_pool(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Storage. */

START_TEST(a_steady_state_allocates_nothing)
{
	struct eddy_executor *pool = open_pool(1);
	struct eddy_loop *loop = census_loop();
	uint32_t before;
	struct user f;

	start(loop, user_init(&f, pool, quick));
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	before = A_LOAD(&allocations);
	user_init(&f, pool, quick);
	f.times = 2000;
	start(loop, &f.task);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.data.runs, 2000);
	ck_assert_uint_eq(A_LOAD(&allocations), before);
	close_pool(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Many at a time, never more than a limit. */
enum { MANY = 300, LIMIT = 8 };

struct crowd {
	struct eddy_task task;
	struct eddy_executor *executor;
	struct user users[MANY];
	uint32_t spawned;
	int i, rc;
};

static uint32_t inside, most;

static int
count_inside(void *arg)
{
	uint32_t n = A_ADD(&inside, 1) + 1, seen = A_LOAD(&most);

	while (n > seen && !A_CAS(&most, &seen, n))
		;
	quick(arg);
	A_SUB(&inside, 1);
	return 0;
}

static eddy_step
crowd(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct crowd, f);
	for (f->i = 0; f->i < MANY; f->i++) {
		EDDY_TRY(eddy_throttle(self, LIMIT));
		user_init(&f->users[f->i], f->executor, count_inside);
		EDDY_TRY(eddy_complete(
		    self, eddy_spawn(self, &f->users[f->i].task)));
	}
	EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

START_TEST(many_offloads_run_at_a_time)
{
	static struct crowd f;
	struct eddy_executor *pool = open_pool(16);
	struct eddy_loop *loop = census_loop();
	uint32_t before = A_LOAD(&allocations);
	struct eddy_executor_stats stats;
	int i;

	eddy_prepare(&f.task, crowd, "crowd");
	f.executor = pool;
	start(loop, &f.task);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.task.result, 0);
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(f.users[i].rc, 0);
		ck_assert_int_eq(f.users[i].data.runs, 1);
	}
	ck_assert_uint_le(A_LOAD(&most), LIMIT);
	eddy_executor_stats(pool, &stats);
	ck_assert_uint_eq(stats.returned, MANY);
	ck_assert_uint_le(stats.workers, LIMIT);
	/* One storage for each that was out at a time, one for each worker, and
	 * the box for its outcomes. */
	ck_assert_uint_le(A_LOAD(&allocations) - before, 3 * LIMIT);
	close_pool(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* A pool with one worker, held by a task of loop. */
static struct eddy_executor *
busy_pool(struct eddy_loop *loop, struct user *holder)
{
	struct eddy_executor *pool = open_pool(1);

	gates_init();
	start(loop, user_init(holder, pool, stay));
	turn(loop);
	wait_for(&entered);
	return pool;
}

static void
step_until_done(struct eddy_loop *loop, const struct eddy_task *task)
{
	while (!eddy_done(task))
		ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), 1);
}

/* Let the holder go and close everything. */
static void
finish(struct eddy_loop *loop, struct eddy_executor *pool, struct user *holder)
{
	ck_assert_int_eq(holder->rc, EDDY_PENDING);
	sem_post(&leave);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(holder->rc, 0);
	close_pool(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}

START_TEST(as_much_storage_as_is_out_at_a_time)
{
	static struct user f[50];
	struct eddy_loop *loop = census_loop();
	struct user holder;
	struct eddy_executor *pool = busy_pool(loop, &holder);
	uint32_t before;
	int i, round;

	for (round = 0; round < 3; round++) {
		before = A_LOAD(&allocations);
		for (i = 0; i < 50; i++)
			start(loop, user_init(&f[i], pool, quick));
		turn(loop);
		ck_assert_uint_eq(
		    A_LOAD(&allocations) - before, round == 0 ? 50 : 0);
		for (i = 0; i < 50; i++)
			ck_assert_int_eq(eddy_cancel(&f[i].task), 0);
		for (i = 0; i < 50; i++) {
			step_until_done(loop, &f[i].task);
			ck_assert_int_eq(f[i].rc, -ECANCELED);
		}
	}
	finish(loop, pool, &holder);
}
END_TEST

START_TEST(without_memory_an_offload_is_enomem)
{
	struct eddy_loop *loop = census_loop();
	struct user f;
	uint32_t k;

	for (k = 0;; k++) {
		user_init(&f, NULL, quick);
		A_STORE(&memory_left, k);
		start(loop, &f.task);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		A_STORE(&memory_left, UINT32_MAX);
		if (f.rc == 0)
			break;
		ck_assert_int_eq(f.rc, -ENOMEM);
		ck_assert_int_eq(f.data.runs, 0);
	}
	/* What is short now was kept from the tries before. */
	ck_assert_uint_ge(k, 1);
	ck_assert_uint_le(k, 6);
	ck_assert_int_eq(f.data.runs, 1);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_uint_eq(closed, 1);
}
END_TEST

START_TEST(without_memory_for_its_timer_a_timeout_is_enomem)
{
	struct eddy_loop *loop = census_loop();
	struct user holder, f;
	struct eddy_executor *pool = busy_pool(loop, &holder);
	struct user warm;

	start(loop, user_init(&warm, pool, quick)); /* storage to spare */
	turn(loop);
	ck_assert_int_eq(eddy_cancel(&warm.task), 0);
	step_until_done(loop, &warm.task);
	user_init(&f, pool, quick);
	f.timeout = EDDY_S(600);
	A_STORE(&memory_left, 0);
	start(loop, &f.task);
	step_until_done(loop, &f.task);
	A_STORE(&memory_left, UINT32_MAX);
	ck_assert_int_eq(f.rc, -ENOMEM);
	ck_assert_int_eq(f.data.runs, 0);
	finish(loop, pool, &holder);
}
END_TEST

/* Cancel and timeout. */

START_TEST(a_queued_offload_is_taken_back)
{
	struct eddy_loop *loop = census_loop();
	struct user holder, f;
	struct eddy_executor *pool = busy_pool(loop, &holder);

	start(loop, user_init(&f, pool, quick));
	turn(loop);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	step_until_done(loop, &f.task);
	ck_assert_int_eq(f.rc, -ECANCELED);
	user_init(&f, pool, quick);
	f.timeout = EDDY_MS(2);
	start(loop, &f.task);
	step_until_done(loop, &f.task);
	ck_assert_int_eq(f.rc, -ETIME);
	finish(loop, pool, &holder);
	ck_assert_int_eq(f.data.runs, 0);
}
END_TEST

START_TEST(a_running_offload_is_asked_and_awaited)
{
	static const int results[][2] = {
	    {4, 4}, {-EIO, -EIO}, {-ECANCELED, -ECANCELED}};
	struct eddy_executor *pool = open_pool(1);
	struct eddy_loop *loop = census_loop();
	struct user f;
	size_t i;

	gates_init();
	for (i = 0; i < COUNT_OF(results); i++) {
		user_init(&f, pool, patient);
		f.data.value = results[i][0];
		start(loop, &f.task);
		turn(loop);
		wait_for(&entered);
		ck_assert_int_eq(eddy_cancel(&f.task), 0);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		ck_assert_int_eq(f.rc, results[i][1]);
		ck_assert_int_eq(f.data.runs, 1);
	}
	close_pool(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_timeout_is_etime_unless_there_is_a_result)
{
	static const int results[][2] = {
	    {4, 4}, {-ETIMEDOUT, -ETIMEDOUT}, {-ECANCELED, -ETIME}};
	struct eddy_executor *pool = open_pool(1);
	struct eddy_loop *loop = census_loop();
	size_t i;

	gates_init();
	for (i = 0; i < COUNT_OF(results); i++) {
		int64_t began = eddy_now();
		struct user f;

		user_init(&f, pool, patient);
		f.data.value = results[i][0];
		f.timeout = EDDY_MS(3);
		start(loop, &f.task);
		turn(loop);
		wait_for(&entered);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		ck_assert_int_ge(eddy_now() - began, EDDY_MS(3));
		ck_assert_int_eq(f.rc, results[i][1]);
		ck_assert_int_eq(f.data.runs, 1);
	}
	close_pool(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_timeout_that_is_not_reached_is_nothing)
{
	struct eddy_executor *pool = open_pool(1);
	struct user f;

	user_init(&f, pool, quick);
	f.timeout = EDDY_S(600);
	f.times = 100;
	f.data.value = 9;
	ck_assert_int_eq(eddy_run(&f.task), 0);
	ck_assert_int_eq(f.rc, 9);
	ck_assert_int_eq(f.data.runs, 100);
	close_pool(pool);
}
END_TEST

/* Body and FINALLY both offload. */
struct tidy {
	struct eddy_task task;
	struct eddy_executor *executor;
	struct data body, last;
	int body_rc, last_rc;
};

static eddy_step
tidy(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct tidy, f);
	EDDY_AWAIT(f->body_rc, eddy_sleep(self, EDDY_FOREVER));
	EDDY_AWAIT(
	    f->body_rc, eddy_offload(self, f->executor, quick, &f->body));
	EDDY_FINALLY;
	EDDY_AWAIT(
	    f->last_rc, eddy_offload(self, f->executor, quick, &f->last));
	EDDY_END;
}

START_TEST(a_cancelled_task_offloads_in_finally_only)
{
	struct eddy_loop *loop = census_loop();
	struct tidy f;

	start(loop, EDDY_INIT(&f, tidy, .last.value = 6));
	turn(loop);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.body_rc, -ECANCELED);
	ck_assert_int_eq(f.body.runs, 0);
	ck_assert_int_eq(f.last_rc, 6);
	ck_assert_int_eq(f.last.runs, 1);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Two offloads as children: the first to end wins. */
struct racer {
	struct eddy_task task, kids[2];
	struct eddy_task *winner;
	struct eddy_executor *executor;
	struct data data[2];
	int rc;
};

static eddy_step
racer(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct racer, f);
	f->rc = EDDY_START(self, &f->kids[0],
	    eddy_offload(&f->kids[0], f->executor, patient, &f->data[0]));
	ck_assert_int_eq(f->rc, 0);
	f->rc = EDDY_START(self, &f->kids[1],
	    eddy_offload(&f->kids[1], f->executor, quick, &f->data[1]));
	ck_assert_int_eq(f->rc, 0);
	EDDY_AWAIT(f->rc, eddy_race(self, &f->winner));
	EDDY_END;
}

START_TEST(offloads_race_as_any_operation)
{
	struct eddy_executor *pool = open_pool(2);
	struct racer f;

	gates_init();
	(void)EDDY_INIT(&f, racer, .executor = pool, .data[0].value = 1,
	    .data[1].value = 2);
	ck_assert_int_eq(eddy_run(&f.task), 0);
	ck_assert_int_eq(f.rc, 2);
	ck_assert_ptr_eq(f.winner, &f.kids[1]);
	/* The loser had a worker and was asked, or never ran. */
	ck_assert_int_le(f.data[0].runs, 1);
	close_pool(pool);
}
END_TEST

/* The price. */

START_TEST(a_lone_round_trip_makes_at_most_five_system_calls)
{
	enum { ROUNDS = 2000 };
	struct eddy_executor *pool = open_pool(4);
	struct eddy_loop *loop = census_loop();
	uint32_t before;
	struct user f;

	start(loop, user_init(&f, pool, quick));
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	before = A_LOAD(&calls);
	user_init(&f, pool, quick);
	f.times = ROUNDS;
	start(loop, &f.task);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.data.runs, ROUNDS);
	/* 10: opening and ending the run. */
	ck_assert_uint_le(A_LOAD(&calls) - before, 5 * ROUNDS + 10);
	close_pool(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("offload");

	census_add(census_case(suite, "pool", 4),
	    the_loops_pool_is_opened_once_and_closed_by_run,
	    a_loop_that_never_offloads_opens_no_pool,
	    the_loops_pool_is_closed_with_the_loop,
	    of_two_pools_the_late_one_is_told,
	    the_executor_of_the_options_is_used_and_kept,
	    a_named_executor_goes_before_the_loops,
	    each_loop_has_a_pool_of_its_own);
	census_add(census_case(suite, "results", 4),
	    the_result_is_the_functions, bytes_beyond_4_gib_are_emsgsize,
	    no_function_is_einval);
	census_add(census_case(suite, "storage", 4),
	    a_steady_state_allocates_nothing, many_offloads_run_at_a_time,
	    as_much_storage_as_is_out_at_a_time,
	    without_memory_an_offload_is_enomem,
	    without_memory_for_its_timer_a_timeout_is_enomem);
	census_add(census_case(suite, "cancel", 4),
	    a_queued_offload_is_taken_back,
	    a_running_offload_is_asked_and_awaited,
	    a_timeout_is_etime_unless_there_is_a_result,
	    a_timeout_that_is_not_reached_is_nothing,
	    a_cancelled_task_offloads_in_finally_only,
	    offloads_race_as_any_operation);
	census_add(census_case(suite, "price", 4),
	    a_lone_round_trip_makes_at_most_five_system_calls);
	return suite_main(suite);
}
