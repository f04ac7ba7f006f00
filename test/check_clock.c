/* SPDX-License-Identifier: ISC */
/*
 * clock: the virtual clock, periods and slack.  What happens is traced with the
 * time of the loop's clock: "t@10 " is t at 10 ms after the start.  The linker
 * puts a counter before each wait of a loop, and a thread that must not act
 * before the loop sleeps waits for it.
 */
/* link: -Wl,--wrap=eddy__epoll_wait */
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/process_pool.h>
#include <eddy/thread_pool.h>
#include <eddy/watch.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "sys.h"
#include "threads.h"

#define START  EDDY_S(5)
#define MINUTE EDDY_S(60)
#define DAY    (24 * 60 * MINUTE)

static struct eddy_clock virtual = {START};

static uint32_t waits;   /* calls of epoll_wait */
static int no_wait;      /* what they answer, unless 0 */
static bool watch_sleep; /* post asleep before each that may sleep */
static sem_t asleep;

int __real_eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse);
int __wrap_eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse);

int
__wrap_eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse)
{
	A_ADD(&waits, 1);
	if (watch_sleep && duration != 0)
		sem_post(&asleep);
	if (no_wait != 0)
		return no_wait;
	return __real_eddy__epoll_wait(epoll, events, n, duration, coarse);
}

/* The trace. */

static char trace[512];

static void
say(const char *name)
{
	size_t n = strlen(trace);
	int64_t us = (virtual.now - START) / EDDY_US(1);

	n += (size_t)snprintf(trace + n, sizeof(trace) - n,
	    us % 1000 != 0 ? "%s@%lld.%03lld " : "%s@%lld ", name,
	    (long long)us / 1000, (long long)us % 1000);
	ck_assert_uint_lt(n, sizeof(trace));
}

/* Loops. */

static struct eddy_loop *
virtual_loop(void)
{
	struct eddy_loop_options options = {.clock = &virtual};
	struct eddy_loop *loop;

	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	return loop;
}

static void
close_loop(struct eddy_loop *loop)
{
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}

static const char *
finish(struct eddy_loop *loop)
{
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	close_loop(loop);
	return trace;
}

/* The loop outlives a post from thread. */
static const char *
finish_after(struct eddy_loop *loop, pthread_t thread)
{
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	close_loop(loop);
	return trace;
}

static int
run(struct eddy_task *task)
{
	struct eddy_loop_options options = {.clock = &virtual};

	return eddy_run_with(&options, task);
}

/* A timer with a name, which may do something when it fires. */
struct bell {
	struct eddy_timer timer;
	const char *name;
	void (*act)(struct eddy_loop *loop, struct bell *self);
	int64_t period, count;
	int left;
};

static void
on_bell(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct bell *self = (struct bell *)timer;

	ck_assert_int_ge(eddy_loop_after(loop, 0), timer->alarm.deadline);
	ck_assert_int_ge(eddy_loop_now(loop), timer->alarm.deadline);
	say(self->name);
	if (self->act != NULL)
		self->act(loop, self);
}

static void
start(struct eddy_loop *loop, struct bell *bell, int64_t deadline)
{
	bell->timer.fn = on_bell;
	ck_assert_int_eq(eddy_timer_start(loop, &bell->timer, deadline), 0);
}

static void
start_ms(struct eddy_loop *loop, struct bell *bell, int ms)
{
	start(loop, bell, START + EDDY_MS(ms));
}

/* The clock. */

START_TEST(timers_fire_at_the_very_time)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell a = {.name = "a"}, b = a, c = a, d = a;

	b.name = "b", c.name = "c", d.name = "d";
	start_ms(loop, &c, 30);
	start_ms(loop, &a, 10);
	start_ms(loop, &d, 86400000);
	start(loop, &b, START + EDDY_MS(10) + EDDY_US(1));
	ck_assert_str_eq(finish(loop), "a@10 b@10.001 c@30 d@86400000 ");
}
END_TEST

START_TEST(now_and_after_are_on_the_clock)
{
	struct eddy_loop *loop = virtual_loop();

	ck_assert_int_eq(eddy_loop_now(loop), START);
	ck_assert_int_eq(eddy_loop_after(loop, 7), START + 7);
	ck_assert_int_eq(eddy_loop_after(loop, 0), START);
	ck_assert_int_eq(eddy_loop_after(loop, INT64_MIN), START);
	ck_assert_int_eq(eddy_loop_after(loop, EDDY_FOREVER), EDDY_FOREVER);
	ck_assert_int_eq(
	    eddy_loop_after(loop, EDDY_FOREVER - START + 1), EDDY_FOREVER);
	virtual.now += DAY;
	ck_assert_int_eq(eddy_loop_after(loop, 7), START + DAY + 7);
	ck_assert_int_eq(eddy_loop_now(loop), START); /* of the last batch */
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_int_eq(eddy_loop_now(loop), START + DAY);
	close_loop(loop);
}
END_TEST

/* Two hundred tasks that sleep, time out, set deadlines and call. */
struct walker {
	struct eddy_task task;
	uint64_t *hash;
	uint64_t seed;
	int64_t since, nap;
	int rc;
};

static int64_t
dice(uint64_t *seed, int64_t sides)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)((*seed >> 16) % (uint64_t)sides);
}

static void
mix(uint64_t *hash, int64_t value)
{
	*hash = (*hash ^ (uint64_t)value) * 0x100000001b3u;
}

/* clang-format off */

struct napper {
	struct eddy_task task;
	int64_t nap;
};

static eddy_step
napper(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct napper, f);
	ck_assert_int_eq(eddy_deadline_set(self,
	    eddy_loop_after(self->loop, f->nap)), 0);
	EDDY_TRY(eddy_sleep(self, f->nap * 2));
	EDDY_END;
}

static eddy_step
walker(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct walker, f);
	while (virtual.now < START + DAY) {
		f->since = virtual.now;
		f->nap = 1 + dice(&f->seed, 10 * MINUTE);
		switch (dice(&f->seed, 3)) {
		case 0:
			EDDY_AWAIT(f->rc, eddy_sleep(self, f->nap));
			ck_assert_int_eq(f->rc, 0);
			break;
		case 1:
			EDDY_AWAIT(f->rc, eddy_timeout(self, f->nap,
			    eddy_sleep(self, f->nap + 1)));
			ck_assert_int_eq(f->rc, -ETIME);
			break;
		default:
			EDDY_AWAIT(f->rc, eddy_call(self,
			    EDDY_NEW(napper, .nap = f->nap)));
			ck_assert_int_eq(f->rc, -ETIME);
		}
		ck_assert_int_eq(virtual.now - f->since, f->nap);
		mix(f->hash, virtual.now);
		mix(f->hash, f->rc);
	}
	EDDY_END;
}

struct crowd {
	struct eddy_task task;
	uint64_t *hash;
	unsigned i;
};

static eddy_step
crowd(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct crowd, f);
	for (f->i = 0; f->i < 200; f->i++)
		ck_assert_int_eq(eddy_spawn(self, EDDY_NEW(walker,
		    .seed = f->i, .hash = f->hash)), 0);
	EDDY_END;
}

/* clang-format on */

static uint64_t
a_day(void)
{
	uint64_t hash = 0xcbf29ce484222325u;

	virtual.now = START;
	ck_assert_int_eq(run(EDDY_NEW(crowd, .hash = &hash)), 0);
	ck_assert_int_ge(virtual.now, START + DAY);
	return hash;
}

START_TEST(a_day_of_timeouts_is_the_same_each_time)
{
	ck_assert_uint_eq(a_day(), a_day());
}
END_TEST

/* What is ready goes first, and who stops the clock. */

static void
on_readable(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	say("readable");
	eddy_watch_stop(loop, watch);
}

static void
on_post(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)loop;
	(void)post;
	say("post");
}

static void
make_pipe(int fds[2], bool readable)
{
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], "x", readable), readable);
}

static void
close_pipe(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

START_TEST(what_is_ready_is_served_before_the_jump)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell bell = {.name = "t"};
	struct eddy_watch watch;
	struct eddy_post post;
	int fds[2];

	make_pipe(fds, true);
	start_ms(loop, &bell, 10);
	eddy_watch_init(&watch, fds[0], on_readable, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), 0);
	eddy_post_init(&post, on_post);
	ck_assert_int_eq(eddy_post(loop, &post), 0);
	ck_assert_str_eq(finish(loop), "readable@0 post@0 t@10 ");
	close_pipe(fds);
}
END_TEST

START_TEST(a_watched_descriptor_does_not_stop_the_clock)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell bell = {.name = "t"};
	struct eddy_watch watch;
	int fds[2];

	make_pipe(fds, false);
	start_ms(loop, &bell, 10);
	eddy_watch_init(&watch, fds[0], on_readable, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), 0);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), 1);
	ck_assert_str_eq(trace, "t@10 ");
	close_loop(loop);
	close_pipe(fds);
}
END_TEST

/* A post that posts itself n times, and a task that yields as often. */
struct again {
	struct eddy_post post;
	int left;
};

static void
post_again(struct eddy_loop *loop, struct eddy_post *post)
{
	if (--((struct again *)post)->left > 0)
		ck_assert_int_eq(eddy_post(loop, post), 0);
	else
		say("posted");
}

/* clang-format off */

struct yields {
	struct eddy_task task;
	int i;
};

static eddy_step
yields(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct yields, f);
	for (f->i = 0; f->i < 2000; f->i++)
		EDDY_TRY(eddy_yield(self));
	say("yielded");
	EDDY_END;
}

/* clang-format on */

START_TEST(the_clock_stands_still_while_anything_requeues_itself)
{
	struct eddy_loop *loop = virtual_loop();
	struct again again = {.left = 1000};
	struct bell bell = {.name = "t"};

	start_ms(loop, &bell, 1);
	eddy_post_init(&again.post, post_again);
	ck_assert_int_eq(eddy_post(loop, &again.post), 0);
	ck_assert_int_eq(eddy_loop_spawn(loop, EDDY_NEW(yields), NULL), 0);
	ck_assert_str_eq(finish(loop), "posted@0 yielded@0 t@1 ");
}
END_TEST

static void
on_release(struct eddy_loop *loop, struct eddy_post *post)
{
	on_post(loop, post);
	ck_assert_int_eq(eddy_loop_release(loop), 0);
}

struct caller {
	struct eddy_loop *loop;
	struct eddy_post post;
};

/* Another thread: as soon as the loop sleeps. */
static void *
post_when_asleep(void *arg)
{
	struct caller *caller = arg;

	wait_for(&asleep);
	eddy_post(caller->loop, &caller->post);
	return NULL;
}

static void
caller_init(struct caller *caller, struct eddy_loop *loop, eddy_post_fn *fn)
{
	sem_init(&asleep, 0, 0);
	watch_sleep = true;
	caller->loop = loop;
	eddy_post_init(&caller->post, fn);
}

static pthread_t
call_when_asleep(
    struct eddy_loop *loop, struct caller *caller, eddy_post_fn *fn)
{
	pthread_t thread;

	caller_init(caller, loop, fn);
	ck_assert_int_eq(
	    pthread_create(&thread, NULL, post_when_asleep, caller), 0);
	return thread;
}

START_TEST(a_hold_stops_the_clock)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell bell = {.name = "t"};
	struct caller caller;
	pthread_t thread;

	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	start_ms(loop, &bell, 10);
	thread = call_when_asleep(loop, &caller, on_release);
	ck_assert_str_eq(finish_after(loop, thread), "post@0 t@10 ");
}
END_TEST

static void
on_move(struct eddy_loop *loop, struct eddy_post *post)
{
	on_release(loop, post);
	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	virtual.now += EDDY_MS(15);
}

static void
release(struct eddy_loop *loop, struct bell *self)
{
	(void)self;
	ck_assert_int_eq(eddy_loop_release(loop), 0);
}

START_TEST(under_a_hold_it_is_moved_by_hand)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell a = {.name = "a", .act = release}, b = {.name = "b"};
	struct caller caller;
	pthread_t thread;

	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	start_ms(loop, &a, 10);
	start_ms(loop, &b, 20);
	thread = call_when_asleep(loop, &caller, on_move);
	ck_assert_str_eq(finish_after(loop, thread), "post@0 a@15 b@20 ");
}
END_TEST

static void
leap(struct eddy_loop *loop, struct bell *self)
{
	(void)loop;
	virtual.now += self->period;
}

START_TEST(moved_by_hand_it_fires_in_order_and_late)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell a = {.name = "a", .act = leap, .period = EDDY_MS(20)};
	struct bell b = {.name = "b"}, c = {.name = "c"}, d = {.name = "d"};

	start_ms(loop, &d, 100);
	start_ms(loop, &c, 25);
	start_ms(loop, &b, 12);
	start_ms(loop, &a, 10);
	virtual.now += EDDY_MS(11);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_str_eq(trace, "a@11 "); /* b and c are due now */
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_str_eq(finish(loop), "a@11 b@31 c@31 d@100 ");
}
END_TEST

START_TEST(a_step_goes_at_most_its_duration)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell a = {.name = "a"}, b = {.name = "b"};

	start_ms(loop, &a, 10);
	start_ms(loop, &b, 10);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_MS(3)), 1);
	ck_assert_int_eq(virtual.now, START + EDDY_MS(3));
	ck_assert_int_eq(eddy_loop_now(loop), START + EDDY_MS(3));
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_MS(7) - 1), 1);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_int_eq(eddy_loop_step(loop, INT64_MIN), 1);
	ck_assert_int_eq(virtual.now, START + EDDY_MS(10) - 1);
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER - 1), 0);
	ck_assert_str_eq(trace, "a@10 b@10 ");
	start_ms(loop, &a, 20);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_MS(10)), 0);
	ck_assert_str_eq(finish(loop), "a@10 b@10 a@20 ");
}
END_TEST

static void
stop_loop(struct eddy_loop *loop, struct bell *self)
{
	(void)self;
	eddy_loop_stop(loop);
}

START_TEST(a_stop_leaves_the_clock_where_it_is)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell a = {.name = "a", .act = stop_loop}, b = {.name = "b"};

	start_ms(loop, &a, 10);
	start_ms(loop, &b, 20);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(virtual.now, START + EDDY_MS(10));
	ck_assert_int_eq(eddy_loop_stop(loop), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0); /* stopped before */
	ck_assert_int_eq(virtual.now, START + EDDY_MS(10));
	ck_assert_str_eq(finish(loop), "a@10 b@20 ");
}
END_TEST

static void
stop_forever(struct eddy_loop *loop, struct eddy_post *post)
{
	on_post(loop, post);
	eddy_loop_stop(loop);
}

START_TEST(timers_at_forever_do_not_spin)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell never = {.name = "never"}, bell = {.name = "t"};
	struct caller caller;
	pthread_t thread;

	start(loop, &never, EDDY_FOREVER);
	start_ms(loop, &bell, 10);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), 1);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_US(10)), 1);
	ck_assert_int_eq(virtual.now, START + EDDY_MS(10));
	A_STORE(&waits, 0);
	thread = call_when_asleep(loop, &caller, stop_forever);
	ck_assert_str_eq(finish_after(loop, thread), "t@10 post@10 ");
	ck_assert_uint_le(A_LOAD(&waits), 3);
}
END_TEST

/* Jobs. */

static int
echo(void *arg)
{
	return *(int *)arg;
}

static int
when_asleep(void *arg)
{
	wait_for(&asleep);
	return echo(arg);
}

/* Until it is asked to stop, which is no reason to fail. */
static int
patient(void *arg)
{
	while (!eddy_job_stop_requested())
		sched_yield();
	return echo(arg);
}

static void
on_job(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	ck_assert_int_eq(eddy_job_rc(job), 77);
	say("job");
}

START_TEST(a_job_on_a_thread_stops_the_clock)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell bell = {.name = "t"};
	struct eddy_executor *pool;
	int value = 77;
	struct eddy_job job = EDDY_JOB(when_asleep, &value);

	sem_init(&asleep, 0, 0);
	watch_sleep = true;
	ck_assert_int_eq(eddy_thread_pool_open(&pool, NULL), 0);
	start_ms(loop, &bell, 10);
	ck_assert_int_eq(eddy_submit(pool, &job, loop, on_job), 0);
	ck_assert_str_eq(finish(loop), "job@0 t@10 ");
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
}
END_TEST

/* A task that runs one job, bounded on either clock or both. */
struct user {
	struct eddy_task task;
	struct eddy_executor *executor;
	struct eddy_job job;
	struct caller caller;
	int value, rc;
	int64_t since;
};

#define USER(fn_) (&(struct user){.task = {.fn = fn_}, .value = 77}.task)

/* clang-format off */

static eddy_step
offloads(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	sem_init(&asleep, 0, 0);
	watch_sleep = true;
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(1),
	    eddy_offload(self, NULL, when_asleep, &f->value)));
	ck_assert_int_eq(f->rc, 77);
	say("job");
	EDDY_TRY(eddy_sleep(self, EDDY_MS(1)));
	say("slept");
	EDDY_END;
}

START_TEST(a_timeout_of_a_thread_job_waits_for_it)
{
	ck_assert_int_eq(run(USER(offloads)), 0);
	ck_assert_str_eq(trace, "job@0 slept@1 ");
}
END_TEST

static void
on_later(struct eddy_loop *loop, struct eddy_post *post)
{
	on_post(loop, post);
	virtual.now += EDDY_MS(2);
}

static int
post_and_be_patient(void *arg)
{
	int value = 77;

	post_when_asleep(arg);
	return patient(&value);
}

static eddy_step
moved_past_a_job(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	caller_init(&f->caller, self->loop, on_later);
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(1),
	    eddy_offload(self, NULL, post_and_be_patient, &f->caller)));
	say("job");
	ck_assert_int_eq(f->rc, 77);
	EDDY_END;
}

START_TEST(moved_by_hand_a_timeout_asks_the_job_to_stop)
{
	ck_assert_int_eq(run(USER(moved_past_a_job)), 0);
	ck_assert_str_eq(trace, "post@0 job@2 ");
}
END_TEST

/* A job with a deadline of 50 ms of real time, and a timer at 10 ms of the
 * clock, which must come after it.  A timeout of a day must not be in its way.
 * A job that runs, and would for ever, says -ETIME when it is asked to stop. */
static eddy_step
bounded_job(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	f->since = eddy_now();
	f->job.deadline = eddy_after(EDDY_MS(50));
	EDDY_AWAIT(f->rc, eddy_timeout(self, DAY,
	    eddy_job_run(self, f->executor, &f->job)));
	ck_assert_int_eq(f->rc, -ETIME);
	ck_assert_int_ge(eddy_now() - f->since, EDDY_MS(50));
	say("job");
	EDDY_END;
}

/* clang-format on */

static void
run_bounded(
    struct eddy_loop *loop, struct eddy_executor *executor, eddy_job_fn *fn)
{
	struct user user = {.task = {.fn = bounded_job}, .value = -ETIME};
	struct bell bell = {.name = "t"};

	user.executor = executor;
	user.job = (struct eddy_job)EDDY_JOB(NULL, &user.value);
	user.job.fn = fn;
	start_ms(loop, &bell, 10);
	ck_assert_int_eq(eddy_loop_spawn(loop, &user.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "job@0 t@10 ");
}

static void
close_both(struct eddy_executor *pool, struct eddy_loop *loop)
{
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
	close_loop(loop);
}

static struct eddy_executor *
one_thread(void)
{
	struct eddy_thread_pool_options options = {.workers_max = 1};
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	return pool;
}

START_TEST(the_deadline_of_a_job_on_a_thread_counts_real_time)
{
	struct eddy_loop *loop = virtual_loop();
	struct eddy_executor *pool = one_thread();

	run_bounded(loop, pool, patient);
	close_both(pool, loop);
}
END_TEST

static eddy_step
timely_job(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	f->job.deadline = eddy_after(EDDY_S(600));
	EDDY_AWAIT(f->rc, eddy_job_run(self, f->executor, &f->job));
	ck_assert_int_eq(f->rc, 78);
	EDDY_END;
}

START_TEST(the_deadline_of_a_job_in_time_is_stopped)
{
	struct eddy_loop *loop = virtual_loop();
	struct user user = {.task = {.fn = timely_job}, .value = 78};

	user.executor = one_thread();
	user.job = (struct eddy_job)EDDY_JOB(echo, &user.value);
	ck_assert_int_eq(eddy_loop_spawn(loop, &user.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	close_both(user.executor, loop);
}
END_TEST

START_TEST(the_deadline_of_a_queued_job_counts_real_time)
{
	struct eddy_loop *loop = virtual_loop();
	struct eddy_executor *pool = one_thread();
	int value = 78;
	struct eddy_job before = EDDY_JOB(when_asleep, &value);

	sem_init(&asleep, 0, 0);
	ck_assert_int_eq(eddy_submit(pool, &before, NULL, NULL), 0);
	run_bounded(loop, pool, patient);
	sem_post(&asleep);
	ck_assert_int_eq(eddy_job_wait(&before, EDDY_FOREVER), 78);
	close_both(pool, loop);
}
END_TEST

static int __attribute__((noreturn)) spin(void *arg)
{
	for (;;)
		A_ADD((int *)arg, 1);
}

START_TEST(the_deadline_of_a_job_in_a_process_counts_real_time)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_loop *loop = virtual_loop();
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	run_bounded(loop, pool, spin);
	close_both(pool, loop);
}
END_TEST

START_TEST(waiting_for_a_job_in_a_process_stops_the_clock)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_loop *loop = virtual_loop();
	struct bell bell = {.name = "t"};
	struct eddy_executor *pool;
	int value = 77;
	struct eddy_job job = EDDY_JOB(echo, &value);

	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	start_ms(loop, &bell, 10);
	ck_assert_int_eq(eddy_submit(pool, &job, loop, on_job), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "job@0 t@10 ");
	close_both(pool, loop);
}
END_TEST

/* Bounds of tasks. */

/* clang-format off */

static eddy_step
bounds(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(3),
	    eddy_sleep(self, DAY)));
	ck_assert_int_eq(f->rc, -ETIME);
	say("timeout");
	ck_assert_int_eq(eddy_deadline_set(self, START + EDDY_MS(10)), 0);
	ck_assert_int_eq(eddy_deadline_set(self, START + EDDY_MS(20)), 0);
	EDDY_AWAIT(f->rc, eddy_timeout(self, DAY,
	    eddy_sleep(self, EDDY_FOREVER)));
	ck_assert_int_eq(f->rc, -ECANCELED);
	say("deadline");
	EDDY_RETURN(f->rc);
	EDDY_FINALLY;
	EDDY_AWAIT(f->rc, eddy_sleep(self, EDDY_MS(1)));
	say("finally");
	EDDY_END;
}

/* clang-format on */

START_TEST(bounds_of_tasks_are_on_the_clock)
{
	ck_assert_int_eq(run(USER(bounds)), -ETIME);
	ck_assert_str_eq(trace, "timeout@3 deadline@20 finally@21 ");
}
END_TEST

/* Periods. */

static void
repeat(struct eddy_loop *loop, struct bell *self)
{
	int64_t before = eddy_loop_after(loop, 0);
	int n = eddy_timer_repeat(loop, &self->timer, self->period);

	ck_assert_int_ge(n, 1);
	ck_assert_int_gt(self->timer.alarm.deadline, before);
	self->count += n;
	if (--self->left == 0)
		ck_assert_int_eq(eddy_timer_stop(loop, &self->timer), 0);
}

START_TEST(a_period_repeats_until_it_is_stopped_in_its_callback)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell bell = {.name = "t", .act = repeat, .left = 4};

	bell.period = EDDY_MS(10);
	start_ms(loop, &bell, 7);
	ck_assert_str_eq(finish(loop), "t@7 t@17 t@27 t@37 ");
	ck_assert_int_eq(bell.count, 4);
}
END_TEST

/* Called 3 periods and lateness after the deadline. */
static void
repeat_late(struct eddy_loop *loop, struct bell *self)
{
	virtual.now += self->left == 3 ? EDDY_MS(30) : 0;
	repeat(loop, self);
}

static void
check_late(int64_t lateness, const char *story)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell bell = {.name = "t", .act = repeat_late, .left = 3};

	bell.period = EDDY_MS(10);
	start_ms(loop, &bell, 5);
	virtual.now += EDDY_MS(5) + lateness;
	ck_assert_str_eq(finish(loop), story);
	/* The first says 4: 3 are lost, and one is to come. */
	ck_assert_int_eq(bell.count, 4 + 1 + 1);
}

START_TEST(after_a_delay_a_period_fires_once_and_keeps_its_phase)
{
	check_late(EDDY_MS(9), "t@14 t@45 t@55 ");
}
END_TEST

START_TEST(a_time_that_is_now_is_not_still_to_come)
{
	check_late(0, "t@5 t@45 t@55 ");
}
END_TEST

START_TEST(a_period_in_real_time_is_never_early_and_fires_once)
{
	struct eddy_loop *loop = census_loop();
	struct bell bell = {.name = "t", .act = repeat, .left = 3};
	int64_t since = eddy_after(0) - EDDY_MS(10);

	bell.period = EDDY_MS(2);
	start(loop, &bell, since);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_ge(bell.count, 6 + 1 + 1);
	ck_assert_int_eq(
	    bell.timer.alarm.deadline, since + bell.count * EDDY_MS(2));
	ck_assert_int_ge(eddy_now(), bell.timer.alarm.deadline - EDDY_MS(2));
	close_loop(loop);
}
END_TEST

static void
repeat_badly(struct eddy_loop *loop, struct bell *self)
{
	struct eddy_timer *timer = &self->timer;

	ck_assert_int_eq(eddy_timer_repeat(loop, timer, 0), -EINVAL);
	ck_assert_int_eq(eddy_timer_repeat(loop, timer, -1), -EINVAL);
	ck_assert_int_eq(eddy_timer_repeat(loop, timer, INT64_MIN), -EINVAL);
	ck_assert(!eddy_timer_active(timer));
}

START_TEST(a_period_that_is_not_positive_is_refused)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell bell = {.name = "t", .act = repeat_badly};

	start_ms(loop, &bell, 1);
	ck_assert_str_eq(finish(loop), "t@1 ");
}
END_TEST

static void
repeat_to_forever(struct eddy_loop *loop, struct bell *self)
{
	int64_t deadline = self->timer.alarm.deadline;

	ck_assert_int_eq(
	    eddy_timer_repeat(loop, &self->timer, self->period), 1);
	ck_assert_int_eq(self->timer.alarm.deadline, EDDY_FOREVER);
	self->timer.alarm.deadline = deadline;
	ck_assert_int_eq(eddy_timer_stop(loop, &self->timer), 0);
}

START_TEST(a_period_beyond_the_end_of_time_is_for_ever)
{
	static const int64_t periods[] = {
	    EDDY_FOREVER, EDDY_FOREVER - 1, EDDY_FOREVER - START};
	struct bell bell = {.name = "t", .act = repeat_to_forever};
	size_t i;

	for (i = 0; i < COUNT_OF(periods); i++) {
		struct eddy_loop *loop = virtual_loop();

		bell.period = periods[i];
		start(loop, &bell, virtual.now);
		finish(loop);
	}
	ck_assert_str_eq(trace, "t@0 t@0 t@0 ");
}
END_TEST

START_TEST(a_period_from_the_beginning_of_time_is_no_burst)
{
	static const int64_t beginnings[] = {
	    INT64_MIN, INT64_MIN + 1, INT64_MIN / 2, -EDDY_S(1), 0};
	struct bell bell = {.name = "t", .act = repeat, .left = 2};
	size_t i;

	for (i = 0; i < COUNT_OF(beginnings); i++) {
		struct eddy_loop *loop = virtual_loop();

		virtual.now = START;
		bell.left = 2;
		bell.period = EDDY_S(10);
		start(loop, &bell, beginnings[i]);
		finish(loop);
		ck_assert_int_le(virtual.now, START + EDDY_S(10));
	}
}
END_TEST

/* Slack. */

static void
check_slack(struct eddy_loop *loop, struct bell *self)
{
	int64_t late = virtual.now - self->period; /* its deadline */

	(void)loop;
	trace[0] = '\0';
	ck_assert_int_ge(late, 0);
	ck_assert_int_le(late, self->left);
	self->count++;
}

static void
start_slack(
    struct eddy_loop *loop, struct bell *bell, int64_t deadline, int64_t slack)
{
	bell->timer.fn = on_bell;
	ck_assert_int_eq(
	    eddy_timer_start_slack(loop, &bell->timer, deadline, slack), 0);
}

START_TEST(a_timer_with_slack_fires_within_it)
{
	enum { BELLS = 5000 };
	struct eddy_loop *loop = virtual_loop();
	struct bell *bells = calloc(BELLS, sizeof(*bells));
	uint64_t seed = 7;
	int i;

	for (i = 0; i < BELLS; i++) {
		struct bell *bell = &bells[i];

		bell->name = "s";
		bell->act = check_slack;
		bell->left = (int)dice(&seed, 1 << dice(&seed, 30));
		bell->period = START + dice(&seed, EDDY_S(2));
		start_slack(loop, bell, bell->period, bell->left);
		ck_assert_int_ge(bell->timer.alarm.deadline, bell->period);
		ck_assert_int_le(
		    bell->timer.alarm.deadline, bell->period + bell->left);
	}
	finish(loop);
	for (i = 0; i < BELLS; i++)
		ck_assert_int_eq(bells[i].count, 1);
	free(bells);
}
END_TEST

/* A hundred timers in 10 ms, with a slack of 100: how many wake-ups? */
static int
wake_ups(int64_t slack)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell bells[100];
	int64_t last = 0;
	int i, n = 0;

	for (i = 0; i < 100; i++) {
		bells[i] = (struct bell){.name = "", .act = check_slack};
		bells[i].period = virtual.now + i * EDDY_US(100) + EDDY_MS(1);
		bells[i].left = (int)slack;
		start_slack(loop, &bells[i], bells[i].period, slack);
	}
	while (eddy_loop_step(loop, EDDY_FOREVER) == 1) {
		n += virtual.now != last;
		last = virtual.now;
	}
	close_loop(loop);
	return n + (virtual.now != last);
}

START_TEST(timers_with_slack_fire_together)
{
	int i;

	ck_assert_int_eq(wake_ups(0), 100);
	/* Wherever it begins: what all windows share has one roundest time,
	 * and a rounder one may lie in some on either side. */
	for (i = 0; i < 200; i++, virtual.now += EDDY_US(12345 * i))
		ck_assert_int_le(wake_ups(EDDY_MS(100)), 3);
}
END_TEST

START_TEST(no_slack_or_less_is_the_very_deadline)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};
	int64_t deadline = START + EDDY_MS(10) + EDDY_US(1);

	start_slack(loop, &a, deadline, 0);
	start_slack(loop, &b, deadline, -EDDY_MS(5));
	start_slack(loop, &c, deadline, INT64_MIN);
	ck_assert_str_eq(finish(loop), "a@10.001 b@10.001 c@10.001 ");
}
END_TEST

/* Windows from anywhere to anywhere, also beyond the end of time. */
static const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, -EDDY_S(1), -3, -1, 0,
    1, 3, START, EDDY_FOREVER - EDDY_S(1), EDDY_FOREVER - 3, EDDY_FOREVER - 1,
    EDDY_FOREVER};

START_TEST(slack_works_anywhere_in_time)
{
	int64_t deadline = ends[_i], late;
	struct bell bell = {.name = "t"};
	size_t i;

	for (i = 0; i < COUNT_OF(ends); i++) {
		struct eddy_loop *loop = virtual_loop();

		start_slack(loop, &bell, deadline, ends[i]);
		late = bell.timer.alarm.deadline;
		ck_assert_int_ge(late, deadline);
		if (deadline != EDDY_FOREVER)
			ck_assert_int_lt(late, EDDY_FOREVER);
		if (ends[i] <= 0)
			ck_assert_int_eq(late, deadline);
		else if (deadline <= EDDY_FOREVER - ends[i])
			ck_assert_int_le(late, deadline + ends[i]);
		ck_assert_int_eq(eddy_timer_stop(loop, &bell.timer), 0);
		close_loop(loop);
	}
}
END_TEST

START_TEST(slack_at_the_end_of_time_still_fires)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell a = {.name = "", .act = stop_loop};

	start_slack(loop, &a, EDDY_FOREVER - 10, EDDY_S(1));
	finish(loop);
	ck_assert_int_ge(virtual.now, EDDY_FOREVER - 10);
}
END_TEST

START_TEST(slack_in_the_past_fires_at_once)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};

	start_slack(loop, &a, START - EDDY_S(1), EDDY_MS(1));
	start_slack(loop, &b, -EDDY_S(1), EDDY_MS(1));
	start_slack(loop, &c, INT64_MIN, INT64_MAX);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	finish(loop);
	ck_assert_uint_eq(strlen(trace), strlen("a@0 b@0 c@0 "));
}
END_TEST

START_TEST(a_started_timer_may_be_moved_to_and_from_slack)
{
	struct eddy_loop *loop = virtual_loop();
	struct bell a = {.name = "a"}, b = {.name = "b"};

	start_ms(loop, &a, 10);
	start_slack(loop, &a, START + EDDY_MS(20), EDDY_MS(9));
	start_slack(loop, &b, START + EDDY_MS(5), EDDY_MS(50));
	start_ms(loop, &b, 3);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_MS(19)), 1);
	ck_assert_str_eq(trace, "b@3 ");
	finish(loop);
	ck_assert_int_ge(virtual.now, START + EDDY_MS(20));
	ck_assert_int_le(virtual.now, START + EDDY_MS(29));
}
END_TEST

/*
 * A hundred timers that are started, moved, repeated and stopped at random, by
 * steps of random length: each that is started fires once, in its window.
 */
struct window {
	struct eddy_timer timer;
	int64_t first, last;
	bool started;
};

static struct window windows[100];
static uint64_t window_seed = 11;
static int window_fires;

static void
open_window(struct eddy_loop *loop, struct window *w)
{
	int64_t slack = 0;

	w->first = virtual.now + dice(&window_seed, EDDY_MS(50)) - EDDY_MS(1);
	if (dice(&window_seed, 2) == 0) {
		slack = dice(&window_seed, 1 << dice(&window_seed, 27));
		eddy_timer_start_slack(loop, &w->timer, w->first, slack);
	} else {
		eddy_timer_start(loop, &w->timer, w->first);
	}
	w->last = w->first + slack > virtual.now ? w->first + slack
	                                         : virtual.now;
	w->started = true;
}

static void
on_window(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct window *w = (struct window *)timer;
	int64_t period = 1 + dice(&window_seed, EDDY_MS(20)), n;

	ck_assert(w->started);
	ck_assert_int_ge(virtual.now, w->first);
	ck_assert_int_le(virtual.now, w->last);
	window_fires++;
	w->started = dice(&window_seed, 3) == 0;
	if (!w->started)
		return;
	w->first = timer->alarm.deadline;
	n = eddy_timer_repeat(loop, timer, period);
	ck_assert_int_ge(n, 1);
	w->first = w->last = w->first + n * period;
	ck_assert_int_gt(w->first, virtual.now);
	ck_assert_int_le(w->first - period, virtual.now);
}

static void
change_window(struct eddy_loop *loop)
{
	struct window *w = &windows[dice(&window_seed, COUNT_OF(windows))];

	ck_assert_int_eq(eddy_timer_active(&w->timer), w->started);
	if (dice(&window_seed, 4) > 0) {
		open_window(loop, w);
		return;
	}
	ck_assert_int_eq(eddy_timer_stop(loop, &w->timer), 0);
	w->started = false;
}

START_TEST(random_windows_match_a_model)
{
	struct eddy_loop *loop = virtual_loop();
	size_t i, n;

	for (i = 0; i < COUNT_OF(windows); i++)
		eddy_timer_init(&windows[i].timer, on_window);
	for (n = 0; n < 20000; n++) {
		change_window(loop);
		eddy_loop_step(loop, dice(&window_seed, EDDY_MS(1)));
		/* Nobody has been forgotten. */
		for (i = 0; i < COUNT_OF(windows); i++)
			if (windows[i].started && windows[i].last < virtual.now)
				ck_abort_msg("timer %zu at step %zu", i, n);
	}
	ck_assert_int_gt(window_fires, 5000);
	close_loop(loop);
}
END_TEST

START_TEST(a_wait_that_fails_ends_the_run)
{
	struct eddy_loop *loop = census_loop();

	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	no_wait = -EBADF;
	ck_assert_int_eq(eddy_loop_run(loop), -EBADF);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), -EBADF);
	no_wait = 0;
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_int_eq(eddy_loop_release(loop), 0);
	close_loop(loop);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("clock");
	TCase *tcase;

	census_add(census_case(suite, "clock", 5), timers_fire_at_the_very_time,
	    now_and_after_are_on_the_clock,
	    a_day_of_timeouts_is_the_same_each_time,
	    what_is_ready_is_served_before_the_jump,
	    a_watched_descriptor_does_not_stop_the_clock,
	    the_clock_stands_still_while_anything_requeues_itself,
	    a_hold_stops_the_clock, under_a_hold_it_is_moved_by_hand,
	    moved_by_hand_it_fires_in_order_and_late,
	    a_step_goes_at_most_its_duration,
	    a_stop_leaves_the_clock_where_it_is, timers_at_forever_do_not_spin,
	    bounds_of_tasks_are_on_the_clock, a_wait_that_fails_ends_the_run);
	census_add(census_case(suite, "jobs", 5),
	    a_job_on_a_thread_stops_the_clock,
	    a_timeout_of_a_thread_job_waits_for_it,
	    moved_by_hand_a_timeout_asks_the_job_to_stop,
	    the_deadline_of_a_job_on_a_thread_counts_real_time,
	    the_deadline_of_a_job_in_time_is_stopped,
	    the_deadline_of_a_queued_job_counts_real_time,
	    the_deadline_of_a_job_in_a_process_counts_real_time,
	    waiting_for_a_job_in_a_process_stops_the_clock);
	census_add(census_case(suite, "period", 2),
	    a_period_repeats_until_it_is_stopped_in_its_callback,
	    after_a_delay_a_period_fires_once_and_keeps_its_phase,
	    a_time_that_is_now_is_not_still_to_come,
	    a_period_in_real_time_is_never_early_and_fires_once,
	    a_period_that_is_not_positive_is_refused,
	    a_period_beyond_the_end_of_time_is_for_ever,
	    a_period_from_the_beginning_of_time_is_no_burst);
	tcase = census_case(suite, "slack", 5);
	census_add(tcase, a_timer_with_slack_fires_within_it,
	    timers_with_slack_fire_together,
	    no_slack_or_less_is_the_very_deadline,
	    slack_at_the_end_of_time_still_fires,
	    slack_in_the_past_fires_at_once,
	    a_started_timer_may_be_moved_to_and_from_slack,
	    random_windows_match_a_model);
	tcase_add_loop_test(
	    tcase, slack_works_anywhere_in_time, 0, COUNT_OF(ends));
	return suite_main(suite);
}
