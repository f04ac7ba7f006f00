/* SPDX-License-Identifier: ISC */
#include <eddy/io.h>
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/sync.h>
#include <eddy/thread_pool.h>
#include <eddy/timer.h>
#include <eddy/watch.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "census.h"

enum { LONG = 20000 }; /* ms: a test that waits so long has failed */

static struct eddy_loop *loop;
static int fd;
static int fired;

static bool
readable(int ms)
{
	struct pollfd look = {.fd = fd, .events = POLLIN};

	return poll(&look, 1, ms) == 1;
}

/* What a host does: wait for the descriptor, step, until there is nothing. */
static void
drive(void)
{
	while (readable(0))
		ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

static void
drive_until(int count)
{
	while (fired < count) {
		ck_assert(readable(LONG));
		ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	}
}

static void
begin(void)
{
	census_begin();
	loop = census_loop();
	fd = eddy_loop_fd(loop);
	fired = 0;
	ck_assert_int_ge(fd, 0);
	drive();
}

static void
end(void)
{
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	census_end();
}

static void
on_post(struct eddy_loop *l, struct eddy_post *post)
{
	(void)l;
	(void)post;
	fired++;
}

static void
on_timer(struct eddy_loop *l, struct eddy_timer *timer)
{
	ck_assert_int_ge(eddy_now(), timer->alarm.deadline);
	(void)l;
	fired++;
}

START_TEST(the_descriptor_is_quiet_while_there_is_nothing_to_do)
{
	ck_assert(!readable(0));
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert(!readable(0));
	ck_assert_int_eq(eddy_loop_deadline(loop), EDDY_FOREVER);
}
END_TEST

START_TEST(a_loop_has_one_descriptor)
{
	ck_assert_int_eq(eddy_loop_fd(loop), fd);
}
END_TEST

static void *
ask(void *arg)
{
	*(int *)arg = eddy_loop_fd(loop);
	return NULL;
}

static void *
post_it(void *arg)
{
	ck_assert_int_eq(eddy_post(loop, arg), 0);
	return NULL;
}

static void
in_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, fn, arg), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(only_the_loop_thread_may_ask_for_it)
{
	int r = 0;

	in_thread(ask, &r);
	ck_assert_int_eq(r, -EPERM);
}
END_TEST

static int
ask_in_child(void *arg)
{
	return eddy_loop_fd(arg);
}

START_TEST(a_forked_child_leaves_the_epoll_alone)
{
	struct eddy_loop *other = census_loop();

	ck_assert_int_eq(census_child(ask_in_child, other), -ECHILD);
	ck_assert_int_eq(census_child(ask_in_child, loop), -ECHILD);
	ck_assert_int_eq(eddy_loop_close(other), 0);
}
END_TEST

START_TEST(a_post_is_work_at_once_for_a_host_with_a_timeout)
{
	struct eddy_post one;

	eddy_post_init(&one, on_post);
	ck_assert_int_eq(eddy_post(loop, &one), 0);
	ck_assert_int_eq(eddy_loop_deadline(loop), 0);
	drive();
	ck_assert_int_eq(fired, 1);
	ck_assert_int_eq(eddy_loop_deadline(loop), EDDY_FOREVER);
}
END_TEST

START_TEST(a_post_makes_it_readable)
{
	struct eddy_post one, other;

	eddy_post_init(&one, on_post);
	eddy_post_init(&other, on_post);
	in_thread(post_it, &one);
	ck_assert(readable(0));
	ck_assert_int_eq(eddy_post(loop, &other), 0); /* from the host */
	drive();
	ck_assert_int_eq(fired, 2);
	ck_assert(!readable(0));
}
END_TEST

START_TEST(a_cancelled_post_leaves_the_others_to_be_heard)
{
	struct eddy_post one, other;

	eddy_post_init(&one, on_post);
	eddy_post_init(&other, on_post);
	ck_assert_int_eq(eddy_post(loop, &one), 0);
	ck_assert_int_eq(eddy_post(loop, &other), 0);
	ck_assert_int_eq(eddy_post_cancel(loop, &one), 0);
	drive();
	ck_assert_int_eq(fired, 1);
	in_thread(post_it, &one);
	drive();
	ck_assert_int_eq(fired, 2);
}
END_TEST

START_TEST(a_timer_started_between_steps_makes_it_readable_in_time)
{
	struct eddy_timer timer;

	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(
	    eddy_timer_start(loop, &timer, eddy_after(EDDY_MS(2))), 0);
	ck_assert_int_eq(eddy_loop_deadline(loop), timer.alarm.deadline);
	drive_until(1);
	ck_assert(!readable(0));
}
END_TEST

START_TEST(a_deadline_before_time_began_makes_it_readable)
{
	struct eddy_timer timer;

	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(
	    eddy_timer_start(loop, &timer, _i < 2 ? _i - 1 : INT64_MIN), 0);
	ck_assert_int_eq(eddy_loop_deadline(loop), 0);
	drive_until(1);
}
END_TEST

/* In 2^32 s, which 32 bits have as now. */
START_TEST(a_timer_in_ages_leaves_it_quiet)
{
	struct eddy_timer timer;

	drive();
	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer,
			     eddy_after(EDDY_S(INT64_C(1) << 32))),
	    0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert(!readable(20));
	ck_assert_int_eq(eddy_timer_stop(loop, &timer), 0);
}
END_TEST

START_TEST(a_timer_moved_sooner_between_steps_is_in_time)
{
	struct eddy_timer timer;

	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(
	    eddy_timer_start(loop, &timer, eddy_after(EDDY_S(3600))), 0);
	drive();
	ck_assert_int_eq(fired, 0);
	ck_assert_int_eq(
	    eddy_timer_start(loop, &timer, eddy_after(EDDY_MS(1))), 0);
	drive_until(1);
}
END_TEST

START_TEST(a_timer_moved_later_does_not_keep_it_readable)
{
	struct eddy_timer timer;

	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(
	    eddy_timer_start(loop, &timer, eddy_after(EDDY_MS(300))), 0);
	drive();
	ck_assert_int_eq(
	    eddy_timer_start(loop, &timer, eddy_after(EDDY_S(3600))), 0);
	ck_assert(readable(LONG)); /* for the old time, once */
	drive();
	ck_assert(!readable(0));
	ck_assert_int_eq(fired, 0);
	ck_assert_int_eq(eddy_timer_stop(loop, &timer), 0);
}
END_TEST

START_TEST(equal_deadlines_one_after_another_are_all_heard)
{
	struct eddy_timer timer;
	int64_t past = eddy_now() - 1;
	int i;

	eddy_timer_init(&timer, on_timer);
	for (i = 1; i <= 3; i++) {
		ck_assert_int_eq(eddy_timer_start(loop, &timer, past), 0);
		drive_until(i);
	}
}
END_TEST

static int
add_one(void *arg)
{
	return ++*(int *)arg;
}

static void
on_done(struct eddy_loop *l, struct eddy_job *job)
{
	(void)l;
	ck_assert_int_eq(job->result, 1);
	fired++;
}

START_TEST(a_job_submitted_between_steps_is_done_and_heard)
{
	struct eddy_executor *pool;
	int n = 0;
	struct eddy_job job = EDDY_JOB(add_one, &n);

	ck_assert_int_eq(eddy_thread_pool_open(&pool, NULL), 0);
	ck_assert_int_eq(eddy_submit(pool, &job, loop, on_done), 0);
	drive_until(1);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
}
END_TEST

struct sleeper {
	struct eddy_task task;
	struct eddy_event *event;
	int n; /* the job's while it runs */
	bool offloaded;
};

static eddy_step
sleeper(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct sleeper, f);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(1)));
	EDDY_TRY(eddy_offload(self, NULL, add_one, &f->n));
	f->offloaded = true;
	EDDY_TRY(eddy_event_wait(self, f->event));
	fired += f->n;
	EDDY_END;
}

START_TEST(a_task_spawned_between_steps_runs_to_its_end)
{
	struct eddy_event event;
	struct sleeper f;

	eddy_event_init(&event);
	ck_assert_int_eq(eddy_loop_spawn(loop,
			     EDDY_INIT(&f, sleeper, .event = &event), NULL),
	    0);
	while (!f.offloaded) {
		ck_assert(readable(LONG));
		ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	}
	drive();
	ck_assert_int_eq(eddy_event_set(&event), 0); /* from the host */
	drive_until(1);
	ck_assert(!readable(0));
}
END_TEST

struct restless {
	struct eddy_task task;
	int left;
};

static eddy_step
restless(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct restless, f);
	while (f->left-- > 0)
		EDDY_TRY(eddy_yield(self));
	EDDY_END;
}

struct scope {
	struct eddy_task task, kid;
	struct eddy_event *event;
};

static eddy_step
scope(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scope, f);
	EDDY_TRY(eddy_event_wait(self, f->event));
	EDDY_END;
}

static void
open_scope(struct scope *f, struct eddy_event *event)
{
	eddy_event_init(event);
	EDDY_INIT(f, scope, .event = event);
	ck_assert_int_eq(eddy_loop_spawn(loop, &f->task, NULL), 0);
	drive();
}

static void
close_scope(struct scope *f)
{
	ck_assert_int_eq(eddy_event_set(f->event), 0);
	drive();
	ck_assert(eddy_done(&f->task));
}

START_TEST(a_yield_started_between_steps_makes_it_readable)
{
	struct eddy_event event;
	struct scope f;

	open_scope(&f, &event);
	ck_assert_int_eq(EDDY_START(&f.task, &f.kid, eddy_yield(&f.kid)), 0);
	ck_assert(readable(0));
	drive();
	ck_assert(eddy_done(&f.kid));
	close_scope(&f);
}
END_TEST

static void
step_till_done(struct eddy_task *task)
{
	while (!eddy_done(task)) {
		ck_assert(readable(LONG));
		ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	}
}

/* The number is another pipe's, untold, when the second read starts. */
START_TEST(a_reused_number_is_found_though_nothing_else_happens)
{
	struct eddy_event event;
	struct scope f;
	int ends[2], other[2];
	char c = '\0';

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(pipe2(other, O_CLOEXEC | O_NONBLOCK), 0);
	open_scope(&f, &event);
	EDDY_START(&f.task, &f.kid, eddy_read(&f.kid, ends[0], &c, 1));
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	step_till_done(&f.kid);
	while (eddy_loop_deadline(loop) != EDDY_FOREVER) {
		ck_assert(readable(LONG));
		ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	}
	ck_assert_int_eq(dup3(other[0], ends[0], O_CLOEXEC), ends[0]);
	EDDY_START(&f.task, &f.kid, eddy_read(&f.kid, ends[0], &c, 1));
	ck_assert_int_eq(write(other[1], "y", 1), 1);
	step_till_done(&f.kid);
	ck_assert_int_eq(c, 'y');
	close_scope(&f);
	close(ends[0]);
	close(ends[1]);
	close(other[0]);
	close(other[1]);
}
END_TEST

START_TEST(it_stays_readable_while_work_is_left)
{
	struct restless f;
	int steps = 0;

	ck_assert_int_eq(
	    eddy_loop_spawn(loop, EDDY_INIT(&f, restless, .left = 5), NULL), 0);
	for (; readable(0); steps++) {
		if (f.left > 0)
			ck_assert_int_eq(eddy_loop_deadline(loop), 0);
		ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	}
	ck_assert_int_ge(steps, 5);
	ck_assert_int_eq(f.left, -1);
}
END_TEST

static void
on_pipe(struct eddy_loop *l, struct eddy_watch *watch, uint32_t events)
{
	char c;

	ck_assert_uint_eq(events, EPOLLIN);
	ck_assert_int_eq(read(watch->fd, &c, 1), 1);
	(void)l;
	fired++;
}

START_TEST(a_watched_descriptor_makes_it_readable)
{
	struct eddy_watch watch;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	eddy_watch_init(&watch, ends[0], on_pipe, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), 0);
	drive();
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ck_assert(readable(0));
	drive();
	ck_assert_int_eq(fired, 1);
	ck_assert_int_eq(eddy_watch_stop(loop, &watch), 0);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* The host is another loop of this library. */
static void
on_inner(struct eddy_loop *host, struct eddy_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	if (fired == 2)
		eddy_loop_stop(host);
}

START_TEST(a_loop_in_a_loop_hears_its_timers_and_posts)
{
	struct eddy_loop *host = census_loop();
	struct eddy_watch watch;
	struct eddy_timer timer;
	struct eddy_post post;

	eddy_watch_init(&watch, fd, on_inner, 0);
	ck_assert_int_eq(eddy_watch_start(host, &watch, EPOLLIN), 0);
	eddy_timer_init(&timer, on_timer);
	eddy_post_init(&post, on_post);
	ck_assert_int_eq(
	    eddy_timer_start(loop, &timer, eddy_after(EDDY_MS(2))), 0);
	in_thread(post_it, &post);
	ck_assert_int_eq(eddy_loop_run(host), 0);
	ck_assert_int_eq(fired, 2);
	ck_assert_int_eq(eddy_watch_stop(host, &watch), 0);
	ck_assert_int_eq(eddy_loop_close(host), 0);
}
END_TEST

/* More of them than one turn takes. */
START_TEST(a_clock_moved_by_hand_is_work_at_once)
{
	static struct eddy_timer timers[500];
	struct eddy_clock clock = {0};
	struct eddy_loop_options options = {.clock = &clock};
	int i;

	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	fd = eddy_loop_fd(loop);
	ck_assert_int_ge(fd, 0);
	for (i = 0; i < 500; i++) {
		eddy_timer_init(&timers[i], on_timer);
		ck_assert_int_eq(eddy_timer_start(loop, &timers[i], 5), 0);
	}
	drive();
	ck_assert_int_eq(fired, 0);
	ck_assert_int_eq(eddy_loop_deadline(loop), EDDY_FOREVER);
	clock.now = 6;
	ck_assert_int_eq(eddy_loop_deadline(loop), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	drive();
	ck_assert_int_eq(fired, 500);
}
END_TEST

START_TEST(an_embedded_loop_can_still_wait)
{
	struct eddy_timer timer;
	int steps = 0;

	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(
	    eddy_timer_start(loop, &timer, eddy_after(EDDY_MS(20))), 0);
	for (; fired == 0; steps++)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(LONG)), 0);
	ck_assert_int_le(steps, 3); /* one for the bell */
}
END_TEST

START_TEST(an_embedded_loop_can_still_be_run)
{
	struct eddy_timer timer;
	struct eddy_post post;

	eddy_timer_init(&timer, on_timer);
	eddy_post_init(&post, on_post);
	ck_assert_int_eq(
	    eddy_timer_start(loop, &timer, eddy_after(EDDY_MS(1))), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(fired, 1);
	in_thread(post_it, &post);
	drive_until(2);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("embed");
	TCase *tcase = tcase_create("descriptor");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_set_timeout(tcase, 60);
	census_add(tcase, the_descriptor_is_quiet_while_there_is_nothing_to_do,
	    a_loop_has_one_descriptor, only_the_loop_thread_may_ask_for_it,
	    a_forked_child_leaves_the_epoll_alone,
	    a_post_is_work_at_once_for_a_host_with_a_timeout,
	    a_post_makes_it_readable,
	    a_cancelled_post_leaves_the_others_to_be_heard,
	    a_timer_started_between_steps_makes_it_readable_in_time,
	    a_timer_in_ages_leaves_it_quiet,
	    a_timer_moved_sooner_between_steps_is_in_time,
	    a_timer_moved_later_does_not_keep_it_readable,
	    equal_deadlines_one_after_another_are_all_heard,
	    a_job_submitted_between_steps_is_done_and_heard,
	    a_task_spawned_between_steps_runs_to_its_end,
	    a_yield_started_between_steps_makes_it_readable,
	    a_reused_number_is_found_though_nothing_else_happens,
	    it_stays_readable_while_work_is_left,
	    a_watched_descriptor_makes_it_readable,
	    a_loop_in_a_loop_hears_its_timers_and_posts,
	    a_clock_moved_by_hand_is_work_at_once,
	    an_embedded_loop_can_still_wait, an_embedded_loop_can_still_be_run);
	tcase_add_loop_test(
	    tcase, a_deadline_before_time_began_makes_it_readable, 0, 3);
	suite_add_tcase(suite, tcase);
	return suite_main(suite);
}
