/* SPDX-License-Identifier: ISC */
#include <eddy/loop.h>
#include <eddy/post.h>
#include <eddy/timer.h>
#include <eddy/watch.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "loop_impl.h"
#include "spin.h"

/* What ran, one letter each. */
static char trace[64];

static void
note(char c)
{
	size_t n = strlen(trace);

	ck_assert_uint_lt(n + 1, sizeof(trace));
	trace[n] = c;
	trace[n + 1] = '\0';
}

/* A post with a letter, which may do something when it runs. */
struct letter {
	struct eddy_post post;
	char name;
	void (*act)(struct eddy_loop *loop, struct letter *self);
	struct letter *other;
};

static void
on_letter(struct eddy_loop *loop, struct eddy_post *post)
{
	struct letter *self = (struct letter *)post;

	note(self->name);
	if (self->act != NULL)
		self->act(loop, self);
}

static struct letter
letter(char name, void (*act)(struct eddy_loop *, struct letter *))
{
	struct letter letter = {.name = name, .act = act};

	eddy_post_init(&letter.post, on_letter);
	return letter;
}

static void
post(struct eddy_loop *loop, struct letter *letter)
{
	ck_assert_int_eq(eddy_post(loop, &letter->post), 0);
}

static void
on_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
	note('t');
}

static void
on_watch(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	eventfd_t count;

	(void)loop;
	ck_assert_uint_eq(events, EPOLLIN);
	ck_assert_int_eq(eventfd_read(watch->fd, &count), 0);
	note('w');
}

/* An eventfd that is watched for input. */
static struct eddy_watch
watched(int count)
{
	struct eddy_watch watch;
	int fd = eventfd((unsigned)count, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	eddy_watch_init(&watch, fd, on_watch, 0);
	return watch;
}

static void
unwatch(struct eddy_loop *loop, struct eddy_watch *watch)
{
	ck_assert_int_eq(eddy_watch_stop(loop, watch), 0);
	ck_assert_int_eq(close(watch->fd), 0);
}

/* The answers of fn in a thread of its own. */
static void
in_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, fn, arg), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(open_refuses_another_version)
{
	struct eddy_loop *loop = NULL;

	ck_assert_int_eq(
	    eddy_loop_open_version(&loop, NULL, EDDY_VERSION_NUMBER + 1),
	    -EPROTO);
	ck_assert_int_eq(eddy_loop_open_version(&loop, NULL, 0), -EPROTO);
	ck_assert_ptr_null(loop);
	ck_assert_str_eq(eddy_version(), EDDY_VERSION);
}
END_TEST

START_TEST(run_returns_when_nothing_is_left)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL);

	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	post(loop, &a);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Writes the descriptor, starts a due timer and posts another letter. */
static struct eddy_watch queued_watch;
static struct eddy_timer queued_timer;

static void
queue_everything(struct eddy_loop *loop, struct letter *self)
{
	ck_assert_int_eq(eventfd_write(queued_watch.fd, 1), 0);
	ck_assert_int_eq(eddy_timer_start(loop, &queued_timer, 0), 0);
	post(loop, self->other);
}

START_TEST(what_a_batch_queues_waits_for_the_next_turn)
{
	struct eddy_loop *loop = census_loop();
	struct letter b = letter('b', NULL), c = letter('c', NULL);
	struct letter a = letter('a', queue_everything);

	a.other = &c;
	queued_watch = watched(0);
	eddy_timer_init(&queued_timer, on_timer);
	ck_assert_int_eq(eddy_watch_start(loop, &queued_watch, EPOLLIN), 0);
	post(loop, &a);
	post(loop, &b);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_str_eq(trace, "ab");

	/* The next turn polled before it ran what the batch had queued. */
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_uint_eq(strlen(trace), 5);
	ck_assert_ptr_nonnull(strchr(trace, 'w'));
	ck_assert_ptr_nonnull(strchr(trace, 'c'));
	ck_assert_ptr_nonnull(strchr(trace, 't'));
	unwatch(loop, &queued_watch);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
post_again(struct eddy_loop *loop, struct letter *self)
{
	post(loop, self);
	if (strchr(trace, 'w') != NULL || strlen(trace) > 10)
		ck_assert_int_eq(eddy_loop_stop(loop), 0);
}

START_TEST(a_callback_that_posts_itself_starves_no_descriptor)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', post_again);
	struct eddy_watch watch = watched(1);

	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), 0);
	post(loop, &a);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_ptr_nonnull(strchr(trace, 'w'));
	ck_assert_int_le(strchr(trace, 'w') - trace, 2);
	unwatch(loop, &watch);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
on_restless(struct eddy_loop *loop, struct eddy_timer *timer)
{
	note('t');
	ck_assert_int_eq(eddy_timer_start(loop, timer, 0), 0);
	if (strchr(trace, 'w') != NULL || strlen(trace) > 10)
		ck_assert_int_eq(eddy_loop_stop(loop), 0);
}

START_TEST(a_timer_that_restarts_itself_starves_no_descriptor)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_timer timer = {.fn = on_restless};
	struct eddy_watch watch = watched(1);

	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), 0);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_ptr_nonnull(strchr(trace, 'w'));
	ck_assert_int_le(strchr(trace, 'w') - trace, 2);
	unwatch(loop, &watch);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
stop_and_post(struct eddy_loop *loop, struct letter *self)
{
	ck_assert_int_eq(eddy_loop_stop(loop), 0);
	post(loop, self->other);
}

static void
post_other(struct eddy_loop *loop, struct letter *self)
{
	post(loop, self->other);
}

START_TEST(stop_finishes_the_batch)
{
	struct eddy_loop *loop = census_loop();
	struct letter b = letter('b', NULL), c = letter('c', NULL);
	struct letter d = letter('d', NULL), a = letter('a', stop_and_post);
	struct letter e = letter('e', NULL);

	a.other = &d;
	d.other = &e;
	post(loop, &a);
	post(loop, &b);
	post(loop, &c);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "abc");
	/* The next run does not remember: it takes two turns. */
	d.act = post_other;
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "abcde");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(stop_before_run_ends_it_after_one_batch)
{
	struct eddy_loop *loop = census_loop();
	struct letter b = letter('b', NULL), a = letter('a', queue_everything);

	a.other = &b;
	queued_watch = watched(0);
	eddy_timer_init(&queued_timer, on_timer);
	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	post(loop, &a);
	ck_assert_int_eq(eddy_loop_stop(loop), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(eddy_loop_release(loop), 0);
	ck_assert_int_eq(close(queued_watch.fd), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(stop_before_run_does_not_wait)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_timer timer = {.fn = on_timer};

	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, EDDY_FOREVER), 0);
	ck_assert_int_eq(eddy_loop_stop(loop), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_stop(loop), 0);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), 1);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
run_inside(struct eddy_loop *loop, struct letter *self)
{
	(void)self;
	ck_assert_int_eq(eddy_loop_run(loop), -EBUSY);
	ck_assert_int_eq(eddy_loop_step(loop, 0), -EBUSY);
	ck_assert_int_eq(eddy_loop_close(loop), -EBUSY);
}

START_TEST(a_running_loop_is_busy_for_its_callbacks)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', run_inside), b = letter('b', run_inside);

	post(loop, &a);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	post(loop, &b);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_str_eq(trace, "ab");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Answers of a thread; it does not assert, the test does. */
struct answers {
	struct eddy_loop *loop;
	int r[12];
};

static void *
run_step_close(void *arg)
{
	struct answers *answers = arg;

	answers->r[0] = eddy_loop_run(answers->loop);
	answers->r[1] = eddy_loop_step(answers->loop, 0);
	answers->r[2] = eddy_loop_close(answers->loop);
	return NULL;
}

static void
run_elsewhere(struct eddy_loop *loop, struct letter *self)
{
	struct answers answers = {.loop = loop};
	int i;

	(void)self;
	in_thread(run_step_close, &answers);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(answers.r[i], -EBUSY);
	/* And it is still ours. */
	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	ck_assert_int_eq(eddy_loop_release(loop), 0);
}

START_TEST(a_running_loop_is_busy_for_other_threads)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', run_elsewhere);

	post(loop, &a);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Every loop-only call. */
static void *
call_all(void *arg)
{
	struct answers *answers = arg;
	struct eddy_loop *loop = answers->loop;
	struct eddy_timer timer = {.fn = on_timer};
	struct eddy_watch watch;
	struct letter a = letter('a', NULL);
	int *r = answers->r;

	eddy_watch_init(&watch, 0, on_watch, 0);
	r[0] = eddy_loop_stop(loop);
	r[1] = eddy_loop_hold(loop);
	r[2] = eddy_loop_release(loop);
	r[3] = eddy_timer_start(loop, &timer, 0);
	r[4] = eddy_timer_stop(loop, &timer);
	r[5] = eddy_watch_start(loop, &watch, EPOLLIN);
	r[6] = eddy_watch_stop(loop, &watch);
	r[7] = eddy_post_cancel(loop, &a.post);
	r[8] = eddy_close(loop, 0);
	r[9] = eddy_forget(loop, 0);
	r[10] = eddy_timer_active(&timer);
	return NULL;
}

static void *
close_only(void *arg)
{
	struct answers *answers = arg;

	answers->r[0] = eddy_loop_close(answers->loop);
	return NULL;
}

static void
call_all_elsewhere(struct eddy_loop *loop, struct letter *self)
{
	struct answers answers = {.loop = loop};
	int i;

	in_thread(call_all, &answers);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(answers.r[i], -EPERM);
	ck_assert_int_eq(answers.r[10], 0);
	if (self != NULL) { /* it runs */
		in_thread(close_only, &answers);
		ck_assert_int_eq(answers.r[0], -EBUSY);
	}
}

START_TEST(loop_calls_from_another_thread_are_refused)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', call_all_elsewhere);
	struct answers answers = {.loop = loop};

	call_all_elsewhere(loop, NULL); /* before it ever ran */
	post(loop, &a);
	ck_assert_int_eq(eddy_loop_run(loop), 0); /* while it runs */
	call_all_elsewhere(loop, NULL);           /* and after */
	ck_assert_str_eq(trace, "a");
	in_thread(close_only, &answers); /* which any thread may */
	ck_assert_int_eq(answers.r[0], 0);
}
END_TEST

static void *
run_hold_close(void *arg)
{
	struct answers *answers = arg;

	answers->r[0] = eddy_loop_run(answers->loop);
	answers->r[1] = eddy_loop_hold(answers->loop);
	answers->r[2] = eddy_loop_release(answers->loop);
	answers->r[3] = eddy_loop_close(answers->loop);
	return NULL;
}

START_TEST(a_loop_opened_here_runs_and_closes_in_another_thread)
{
	struct answers answers = {.loop = census_loop()};
	struct letter a = letter('a', NULL);
	struct eddy_timer timer = {.fn = on_timer};
	int i;

	post(answers.loop, &a);
	ck_assert_int_eq(eddy_timer_start(answers.loop, &timer, 0), 0);
	in_thread(run_hold_close, &answers);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(answers.r[i], 0);
	ck_assert_str_eq(trace, "at");
}
END_TEST

static void *
run_only(void *arg)
{
	struct answers *answers = arg;

	answers->r[0] = eddy_loop_run(answers->loop);
	return NULL;
}

START_TEST(a_loop_belongs_to_whom_ran_it_last)
{
	struct answers answers = {.loop = census_loop()};
	pthread_t thread;
	int held;

	ck_assert_int_eq(pthread_create(&thread, NULL, run_only, &answers), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(answers.r[0], 0);
	held = eddy_loop_hold(answers.loop);
	ck_assert_int_eq(held, -EPERM);
	/* A step makes it ours again. */
	ck_assert_int_eq(eddy_loop_step(answers.loop, 0), 0);
	ck_assert_int_eq(eddy_loop_hold(answers.loop), 0);
	ck_assert_int_eq(eddy_loop_release(answers.loop), 0);
	ck_assert_int_eq(eddy_loop_close(answers.loop), 0);
}
END_TEST

static uint32_t in_it; /* any thread: a callback has run */

static void
tell_in_it(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
	A_STORE(&in_it, 1);
}

/* TSan is the witness that close sees all that the thread has done. */
START_TEST(a_loop_may_be_closed_once_its_thread_has_left_it)
{
	struct answers answers = {.loop = census_loop()};
	struct eddy_timer timer = {.fn = tell_in_it};
	pthread_t thread;
	int r;

	ck_assert_int_eq(eddy_timer_start(answers.loop, &timer, 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_only, &answers), 0);
	while (A_LOAD(&in_it) == 0)
		sched_yield();
	while ((r = eddy_loop_close(answers.loop)) == -EBUSY)
		sched_yield();
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(answers.r[0], 0);
}
END_TEST

static int
run_in_child(void *loop)
{
	return eddy_loop_run(loop);
}

static int
step_in_child(void *loop)
{
	return eddy_loop_step(loop, 0);
}

static int
close_in_child(void *loop)
{
	return eddy_loop_close(loop);
}

START_TEST(a_forked_child_may_only_close)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_watch watch = watched(0);
	struct eddy_timer timer = {.fn = on_timer};
	struct letter a = letter('a', NULL);

	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), 0);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	post(loop, &a);
	ck_assert_int_eq(census_child(run_in_child, loop), -ECHILD);
	ck_assert_int_eq(census_child(step_in_child, loop), -ECHILD);
	ck_assert_int_eq(census_child(close_in_child, loop), 0);

	/* Nothing of that was felt here. */
	ck_assert_int_eq(eventfd_write(watch.fd, 1), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_uint_eq(strlen(trace), 3);
	unwatch(loop, &watch);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
fork_inside(struct eddy_loop *loop, struct letter *self)
{
	(void)self;
	ck_assert_int_eq(census_child(run_in_child, loop), -ECHILD);
	ck_assert_int_eq(census_child(step_in_child, loop), -ECHILD);
	ck_assert_int_eq(census_child(close_in_child, loop), 0);
}

START_TEST(a_child_forked_by_a_callback_may_close)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', fork_inside), b = letter('b', NULL);

	post(loop, &a);
	post(loop, &b);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "ab");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void *
post_one(void *arg)
{
	struct letter *letter = arg;

	return (void *)(intptr_t)eddy_post(
	    (struct eddy_loop *)letter->other, &letter->post);
}

static void
release_one(struct eddy_loop *loop, struct letter *self)
{
	(void)self;
	ck_assert_int_eq(eddy_loop_release(loop), 0);
}

START_TEST(a_held_loop_waits_for_a_post)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', release_one);
	pthread_t thread;
	void *r;

	a.other = (struct letter *)loop;
	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, post_one, &a), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(pthread_join(thread, &r), 0);
	ck_assert_ptr_null(r);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
on_tick(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)timer;
	note('t');
	ck_assert_int_eq(eddy_loop_release(loop), 0);
}

START_TEST(holds_count)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', release_one), b = letter('b', NULL);
	struct eddy_timer timer = {.fn = on_tick};

	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	post(loop, &a);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	post(loop, &b);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_uint_eq(strlen(trace), 3);
	ck_assert_int_eq(eddy_loop_release(loop), -EINVAL);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(step_tells_whether_something_is_left)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_timer timer = {.fn = on_timer};
	struct eddy_watch watch = watched(0);
	struct letter a = letter('a', NULL);

	ck_assert_int_eq(eddy_timer_start(loop, &timer, EDDY_FOREVER), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_int_eq(eddy_timer_stop(loop, &timer), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	unwatch(loop, &watch);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_int_eq(eddy_loop_release(loop), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	post(loop, &a);
	ck_assert_int_eq(eddy_loop_step(loop, -1), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(step_waits_as_long_as_it_may)
{
	struct eddy_loop *loop = census_loop();
	int64_t began = eddy_now();

	ck_assert_int_eq(eddy_loop_step(loop, EDDY_US(3500)), 0);
	ck_assert_int_ge(eddy_now() - began, EDDY_US(3500));
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(close_forgets_what_is_armed)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_timer timer = {.fn = on_timer};
	struct eddy_watch watch = watched(1);
	struct letter a = letter('a', NULL);

	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), 0);
	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	post(loop, &a);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(close(watch.fd), 0);
}
END_TEST

static int
close_late(struct eddy_loop *loop, struct attachment *a)
{
	(void)loop;
	(void)a;
	return -ETIME;
}

static int
close_well(struct eddy_loop *loop, struct attachment *a)
{
	(void)loop;
	(void)a;
	return 0;
}

START_TEST(close_tells_of_what_was_late_also_before_what_was_not)
{
	struct eddy_loop *loop = census_loop();
	size_t size = sizeof(struct attachment);

	ck_assert_ptr_nonnull(eddy__loop_attached(loop, close_well, size));
	ck_assert_ptr_nonnull(eddy__loop_attached(loop, close_late, size));
	ck_assert_int_eq(eddy_loop_close(loop), -ETIME);
}
END_TEST

static int64_t batch_time;

static void
compare_time(struct eddy_loop *loop, struct letter *self)
{
	(void)self;
	if (batch_time == 0)
		batch_time = eddy_loop_now(loop);
	while (eddy_now() == batch_time)
		;
	ck_assert_int_eq(eddy_loop_now(loop), batch_time);
}

START_TEST(a_batch_has_one_time)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', compare_time);
	struct letter b = letter('b', compare_time);
	int64_t began = eddy_now();

	post(loop, &a);
	post(loop, &b);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_str_eq(trace, "ab");
	ck_assert_int_ge(batch_time, began);
	ck_assert_int_lt(batch_time, eddy_now());
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(errno_is_left_alone)
{
	struct eddy_loop *loop;
	struct eddy_watch watch;
	int file = memfd_create("regular", MFD_CLOEXEC);

	eddy_watch_init(&watch, file, on_watch, 0);
	errno = EXDEV;
	ck_assert_int_eq(eddy_loop_open(&loop, NULL), 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), -EPERM);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_US(1)), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(errno, EXDEV);
	ck_assert_int_eq(close(file), 0);
}
END_TEST

/* A wait that was short enough is worth half of one that was not. */
START_TEST(a_wait_awake_that_does_not_pay_is_given_up)
{
	struct spin spin = {0};
	int i;

	spin_init(&spin, -1);
	ck_assert(!spin_may(&spin, -1));
	ck_assert_int_eq(spin.since, 0);
	spin_init(&spin, INT64_MAX);
	ck_assert_int_eq(spin.duration, SPIN_LONGEST);
	ck_assert(!spin_may(&spin, -1));
	ck_assert_int_ne(spin.since, 0); /* to see whether it would have paid */
	for (i = 0; i < 2 * SPIN_BEST; i++)
		spin_note(&spin, true);
	for (i = 0; i < SPIN_BEST / 2 - 1; i++)
		spin_note(&spin, false);
	spin_note(&spin, true);
	ck_assert_int_eq(spin.score, 3);
	spin_note(&spin, false);
	ck_assert(spin_may(&spin, -1));
	spin_note(&spin, false);
	ck_assert(!spin_may(&spin, -1));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("loop");

	census_add(census_case(suite, "turn", 2), open_refuses_another_version,
	    run_returns_when_nothing_is_left,
	    what_a_batch_queues_waits_for_the_next_turn,
	    a_callback_that_posts_itself_starves_no_descriptor,
	    a_timer_that_restarts_itself_starves_no_descriptor,
	    stop_finishes_the_batch, stop_before_run_ends_it_after_one_batch,
	    stop_before_run_does_not_wait, a_held_loop_waits_for_a_post,
	    holds_count, step_tells_whether_something_is_left,
	    step_waits_as_long_as_it_may, close_forgets_what_is_armed,
	    close_tells_of_what_was_late_also_before_what_was_not,
	    a_batch_has_one_time, errno_is_left_alone,
	    a_wait_awake_that_does_not_pay_is_given_up);
	census_add(census_case(suite, "owner", 2),
	    a_running_loop_is_busy_for_its_callbacks,
	    a_running_loop_is_busy_for_other_threads,
	    loop_calls_from_another_thread_are_refused,
	    a_loop_opened_here_runs_and_closes_in_another_thread,
	    a_loop_may_be_closed_once_its_thread_has_left_it,
	    a_loop_belongs_to_whom_ran_it_last, a_forked_child_may_only_close,
	    a_child_forked_by_a_callback_may_close);
	return suite_main(suite);
}
