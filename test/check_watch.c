/* SPDX-License-Identifier: ISC */
#include <eddy/post.h>
#include <eddy/timer.h>
#include <eddy/watch.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "census.h"

/* A pipe whose reading end is watched; what its callbacks saw. */
struct tap {
	struct eddy_watch watch;
	int ends[2];
	int calls;
	uint32_t events;
	void (*act)(struct eddy_loop *loop, struct tap *self);
	struct tap *other;
};

static void
on_tap(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	struct tap *self = (struct tap *)watch;

	self->calls++;
	self->events = events;
	if (self->act != NULL)
		self->act(loop, self);
}

static void
tap_open(struct tap *tap, unsigned flags)
{
	*tap = (struct tap){.calls = 0};
	ck_assert_int_eq(pipe2(tap->ends, O_CLOEXEC | O_NONBLOCK), 0);
	eddy_watch_init(&tap->watch, tap->ends[0], on_tap, flags);
}

static void
tap_start(struct eddy_loop *loop, struct tap *tap, uint32_t events)
{
	ck_assert_int_eq(eddy_watch_start(loop, &tap->watch, events), 0);
}

static void
tap_write(struct tap *tap)
{
	ck_assert_int_eq(write(tap->ends[1], "x", 1), 1);
}

static void
tap_read(struct tap *tap)
{
	char c;

	ck_assert_int_eq(read(tap->ends[0], &c, 1), 1);
}

static void
tap_close(struct eddy_loop *loop, struct tap *tap)
{
	ck_assert_int_eq(eddy_watch_stop(loop, &tap->watch), 0);
	close(tap->ends[0]);
	close(tap->ends[1]);
}

static void
step(struct eddy_loop *loop)
{
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

static void
stop_self(struct eddy_loop *loop, struct tap *self)
{
	ck_assert_int_eq(eddy_watch_stop(loop, &self->watch), 0);
}

static void
stop_other(struct eddy_loop *loop, struct tap *self)
{
	ck_assert_int_eq(eddy_watch_stop(loop, &self->other->watch), 0);
}

START_TEST(a_watch_wakes_the_loop)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap;

	tap_open(&tap, 0);
	tap.act = stop_self;
	tap_start(loop, &tap, EPOLLIN);
	step(loop);
	ck_assert_int_eq(tap.calls, 0);
	tap_write(&tap);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(tap.calls, 1);
	ck_assert_uint_eq(tap.events, EPOLLIN);
	tap_close(loop, &tap);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

enum { MANY = 200 }; /* the loop looks at some only when others have run */

static int ran; /* callbacks of the turn */

static void
note_place(struct eddy_loop *loop, struct tap *self)
{
	self->calls = ++ran;
	if (self->other != NULL)
		stop_other(loop, self);
}

static void
on_late(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
	ran += 1000;
}

START_TEST(many_events_are_told_in_order_and_before_timers)
{
	struct eddy_loop *loop = census_loop();
	static struct tap taps[MANY];
	struct eddy_timer timer;
	int i;

	eddy_timer_init(&timer, on_late);
	for (i = 0; i < MANY; i++) {
		tap_open(&taps[i], 0);
		taps[i].act = note_place;
		tap_start(loop, &taps[i], EPOLLIN);
		tap_write(&taps[i]);
	}
	taps[0].other = &taps[MANY - 1];
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ran = 0;
	step(loop);
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(taps[i].calls, i < MANY - 1 ? i + 1 : 0);
	ck_assert_int_eq(ran, MANY - 1 + 1000);
	for (i = 0; i < MANY; i++)
		tap_close(loop, &taps[i]);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_level_is_told_each_turn)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap;

	tap_open(&tap, 0);
	tap_start(loop, &tap, EPOLLIN);
	tap_write(&tap);
	step(loop);
	step(loop);
	ck_assert_int_eq(tap.calls, 2);
	tap_read(&tap);
	step(loop);
	ck_assert_int_eq(tap.calls, 2);
	tap_close(loop, &tap);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(an_edge_is_told_once)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap;

	tap_open(&tap, 0);
	tap_start(loop, &tap, EPOLLIN | EPOLLET);
	tap_write(&tap);
	step(loop);
	step(loop);
	ck_assert_int_eq(tap.calls, 1);
	tap_write(&tap);
	step(loop);
	step(loop);
	ck_assert_int_eq(tap.calls, 2);
	tap_close(loop, &tap);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(one_shot_and_exclusive_are_refused)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap;

	tap_open(&tap, 0);
	ck_assert_int_eq(
	    eddy_watch_start(loop, &tap.watch, EPOLLIN | EPOLLONESHOT),
	    -EINVAL);
	ck_assert_int_eq(
	    eddy_watch_start(loop, &tap.watch, EPOLLIN | EPOLLEXCLUSIVE),
	    -EINVAL);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	tap_close(loop, &tap);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(hangup_comes_unasked)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap;

	tap_open(&tap, 0);
	tap_start(loop, &tap, 0);
	tap_write(&tap);
	step(loop);
	ck_assert_int_eq(tap.calls, 0);
	close(tap.ends[1]);
	step(loop);
	ck_assert_int_eq(tap.calls, 1);
	ck_assert_uint_eq(tap.events, EPOLLHUP);
	tap.ends[1] = -1;
	tap_close(loop, &tap);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(start_changes_what_a_watch_waits_for)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap;

	tap_open(&tap, 0);
	eddy_watch_init(&tap.watch, tap.ends[1], on_tap, 0);
	tap_start(loop, &tap, EPOLLIN);
	step(loop);
	ck_assert_int_eq(tap.calls, 0);
	tap_start(loop, &tap, EPOLLOUT);
	step(loop);
	ck_assert_int_eq(tap.calls, 1);
	ck_assert_uint_eq(tap.events, EPOLLOUT);
	tap_start(loop, &tap, 0);
	step(loop);
	ck_assert_int_eq(tap.calls, 1);
	tap_close(loop, &tap);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_stopped_watch_may_start_again)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap;

	tap_open(&tap, 0);
	ck_assert_int_eq(eddy_watch_stop(loop, &tap.watch), 0);
	tap_start(loop, &tap, EPOLLIN);
	tap_write(&tap);
	ck_assert_int_eq(eddy_watch_stop(loop, &tap.watch), 0);
	ck_assert_int_eq(eddy_watch_stop(loop, &tap.watch), 0);
	step(loop);
	ck_assert_int_eq(tap.calls, 0);
	tap_start(loop, &tap, EPOLLIN);
	step(loop);
	ck_assert_int_eq(tap.calls, 1);
	tap_close(loop, &tap);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_watch_stopped_by_its_batch_is_not_called)
{
	struct eddy_loop *loop = census_loop();
	struct tap one, two;

	tap_open(&one, 0);
	tap_open(&two, 0);
	one.act = two.act = stop_other;
	one.other = &two;
	two.other = &one;
	tap_start(loop, &one, EPOLLIN);
	tap_start(loop, &two, EPOLLIN);
	tap_write(&one);
	tap_write(&two);
	step(loop);
	ck_assert_int_eq(one.calls + two.calls, 1);
	tap_close(loop, &one);
	tap_close(loop, &two);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
restart_other(struct eddy_loop *loop, struct tap *self)
{
	stop_other(loop, self);
	tap_start(loop, self->other, EPOLLIN);
	self->act = self->other->act = NULL;
}

START_TEST(a_watch_restarted_by_its_batch_is_called_in_the_next)
{
	struct eddy_loop *loop = census_loop();
	struct tap one, two;

	tap_open(&one, 0);
	tap_open(&two, 0);
	one.act = two.act = restart_other;
	one.other = &two;
	two.other = &one;
	tap_start(loop, &one, EPOLLIN);
	tap_start(loop, &two, EPOLLIN);
	tap_write(&one);
	tap_write(&two);
	step(loop);
	ck_assert_int_eq(one.calls + two.calls, 1);
	step(loop);
	ck_assert_int_eq(one.calls + two.calls, 3);
	tap_close(loop, &one);
	tap_close(loop, &two);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
mute_other(struct eddy_loop *loop, struct tap *self)
{
	tap_start(loop, self->other, 0);
}

START_TEST(a_watch_changed_by_its_batch_gets_nothing_it_does_not_want)
{
	struct eddy_loop *loop = census_loop();
	struct tap one, two;

	tap_open(&one, 0);
	tap_open(&two, 0);
	one.act = two.act = mute_other;
	one.other = &two;
	two.other = &one;
	tap_start(loop, &one, EPOLLIN);
	tap_start(loop, &two, EPOLLIN);
	tap_write(&one);
	tap_write(&two);
	step(loop);
	ck_assert_int_eq(one.calls + two.calls, 1);
	tap_close(loop, &one);
	tap_close(loop, &two);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* The handles that a watch stops, collected behind it in the same batch. */
static struct eddy_timer due_timer;
static struct eddy_post due_post;
static int due_calls;

static void
on_due_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
	due_calls++;
}

static void
on_due_post(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)loop;
	(void)post;
	due_calls++;
}

static void
stop_due(struct eddy_loop *loop, struct tap *self)
{
	(void)self;
	ck_assert_int_eq(eddy_timer_stop(loop, &due_timer), 0);
	ck_assert_int_eq(eddy_post_cancel(loop, &due_post), 0);
}

START_TEST(a_watch_may_stop_what_its_batch_holds)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap;

	tap_open(&tap, 0);
	tap.act = stop_due;
	eddy_timer_init(&due_timer, on_due_timer);
	eddy_post_init(&due_post, on_due_post);
	tap_start(loop, &tap, EPOLLIN);
	tap_write(&tap);
	ck_assert_int_eq(eddy_timer_start(loop, &due_timer, 0), 0);
	ck_assert_int_eq(eddy_post(loop, &due_post), 0);
	step(loop);
	ck_assert_int_eq(tap.calls, 1);
	ck_assert_int_eq(due_calls, 0);
	tap_close(loop, &tap);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_int_eq(due_calls, 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_regular_file_is_refused)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_watch watch;
	struct tap tap;
	int file = memfd_create("regular", MFD_CLOEXEC);

	ck_assert_int_ge(file, 0);
	eddy_watch_init(&watch, file, on_tap, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), -EPERM);
	ck_assert_int_eq(eddy_watch_stop(loop, &watch), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	/* What it had taken is free for the next. */
	tap_open(&tap, 0);
	tap.act = stop_self;
	tap_start(loop, &tap, EPOLLIN);
	tap_write(&tap);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(tap.calls, 1);
	tap_close(loop, &tap);
	close(file);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_closed_descriptor_is_refused)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap;

	tap_open(&tap, 0);
	close(tap.ends[0]);
	close(tap.ends[1]);
	ck_assert_int_eq(eddy_watch_start(loop, &tap.watch, EPOLLIN), -EBADF);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static const int impossible[] = {-1, INT_MIN, 1 << 20, INT_MAX - 1, INT_MAX};

START_TEST(a_number_that_is_no_descriptor_is_refused)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_watch watch;

	eddy_watch_init(&watch, impossible[_i], on_tap, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), -EBADF);
	ck_assert_int_eq(eddy_watch_stop(loop, &watch), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_descriptor_has_one_watch_but_a_copy_has_its_own)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap;
	struct tap second = {.calls = 0};
	int copy;

	tap_open(&tap, 0);
	tap_start(loop, &tap, EPOLLIN);
	eddy_watch_init(&second.watch, tap.ends[0], on_tap, 0);
	ck_assert_int_eq(
	    eddy_watch_start(loop, &second.watch, EPOLLIN), -EEXIST);
	copy = fcntl(tap.ends[0], F_DUPFD_CLOEXEC, 0);
	eddy_watch_init(&second.watch, copy, on_tap, 0);
	tap_start(loop, &second, EPOLLIN);
	tap_write(&tap);
	step(loop);
	ck_assert_int_eq(tap.calls, 1);
	ck_assert_int_eq(second.calls, 1);
	ck_assert_int_eq(eddy_watch_stop(loop, &second.watch), 0);
	close(copy);
	tap_close(loop, &tap);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* A socket pair; both sides of one end are watched. */
struct sides {
	struct tap reader, writer;
	int ends[2];
};

static void
sides_open(struct eddy_loop *loop, struct sides *sides)
{
	*sides = (struct sides){.reader.calls = 0};
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		sides->ends),
	    0);
	eddy_watch_init(&sides->reader.watch, sides->ends[0], on_tap, 0);
	eddy_watch_init(&sides->writer.watch, sides->ends[0], on_tap, 0);
	tap_start(loop, &sides->reader, EPOLLIN);
	tap_start(loop, &sides->writer, EPOLLOUT);
}

static void
sides_close(struct eddy_loop *loop, struct sides *sides)
{
	ck_assert_int_eq(eddy_watch_stop(loop, &sides->reader.watch), 0);
	ck_assert_int_eq(eddy_watch_stop(loop, &sides->writer.watch), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	close(sides->ends[0]);
	close(sides->ends[1]);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}

START_TEST(a_reader_and_a_writer_share_a_descriptor)
{
	struct eddy_loop *loop = census_loop();
	struct sides sides;

	sides_open(loop, &sides);
	step(loop);
	ck_assert_int_eq(sides.reader.calls, 0);
	ck_assert_int_eq(sides.writer.calls, 1);
	ck_assert_uint_eq(sides.writer.events, EPOLLOUT);
	ck_assert_int_eq(write(sides.ends[1], "x", 1), 1);
	step(loop);
	ck_assert_int_eq(sides.reader.calls, 1);
	ck_assert_uint_eq(sides.reader.events, EPOLLIN);
	ck_assert_int_eq(sides.writer.calls, 2);
	/* The other goes on when one stops. */
	stop_self(loop, &sides.writer);
	step(loop);
	ck_assert_int_eq(sides.reader.calls, 2);
	ck_assert_int_eq(sides.writer.calls, 2);
	sides_close(loop, &sides);
}
END_TEST

START_TEST(each_side_has_one_waiter)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_watch third;
	struct sides sides;

	sides_open(loop, &sides);
	eddy_watch_init(&third, sides.ends[0], on_tap, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &third, EPOLLIN), -EEXIST);
	ck_assert_int_eq(eddy_watch_start(loop, &third, EPOLLOUT), -EEXIST);
	ck_assert_int_eq(eddy_watch_start(loop, &third, EPOLLRDHUP), -EEXIST);
	ck_assert_int_eq(
	    eddy_watch_start(loop, &sides.reader.watch, EPOLLIN | EPOLLOUT),
	    -EEXIST);
	/* Which it may take when it is free, and give back. */
	stop_self(loop, &sides.writer);
	tap_start(loop, &sides.reader, EPOLLIN | EPOLLOUT);
	step(loop);
	ck_assert_int_eq(sides.reader.calls, 1);
	ck_assert_int_eq(eddy_watch_start(loop, &third, EPOLLOUT), -EEXIST);
	tap_start(loop, &sides.reader, EPOLLIN);
	ck_assert_int_eq(eddy_watch_start(loop, &third, EPOLLOUT), 0);
	ck_assert_int_eq(eddy_watch_stop(loop, &third), 0);
	sides_close(loop, &sides);
}
END_TEST

START_TEST(a_hangup_is_told_to_both_sides)
{
	struct eddy_loop *loop = census_loop();
	struct sides sides;

	sides_open(loop, &sides);
	tap_start(loop, &sides.reader, 0);
	close(sides.ends[1]);
	step(loop);
	ck_assert_uint_eq(sides.reader.events, EPOLLHUP);
	ck_assert_uint_eq(sides.writer.events, EPOLLHUP | EPOLLOUT);
	sides.ends[1] = -1;
	sides_close(loop, &sides);
}
END_TEST

START_TEST(close_stops_watches_and_closes)
{
	struct eddy_loop *loop = census_loop();
	struct sides sides;

	sides_open(loop, &sides);
	ck_assert_int_eq(write(sides.ends[1], "x", 1), 1);
	ck_assert_int_eq(eddy_close(loop, sides.ends[0]), 0);
	ck_assert_int_eq(fcntl(sides.ends[0], F_GETFD), -1);
	ck_assert_int_eq(eddy_close(loop, sides.ends[0]), -EBADF);
	ck_assert_int_eq(eddy_close(loop, -1), -EBADF);
	step(loop);
	ck_assert_int_eq(sides.reader.calls + sides.writer.calls, 0);
	sides_close(loop, &sides);
}
END_TEST

START_TEST(forget_leaves_the_descriptor_open)
{
	struct eddy_loop *loop = census_loop();
	struct sides sides;

	sides_open(loop, &sides);
	ck_assert_int_eq(eddy_forget(loop, sides.ends[0]), 0);
	ck_assert_int_eq(eddy_forget(loop, sides.ends[0]), 0);
	ck_assert_int_eq(eddy_forget(loop, 1 << 20), 0);
	ck_assert_int_ge(fcntl(sides.ends[0], F_GETFD), 0);
	step(loop);
	ck_assert_int_eq(sides.reader.calls + sides.writer.calls, 0);
	/* And watches may start again. */
	tap_start(loop, &sides.writer, EPOLLOUT);
	step(loop);
	ck_assert_int_eq(sides.writer.calls, 1);
	sides_close(loop, &sides);
}
END_TEST

static void
close_other(struct eddy_loop *loop, struct tap *self)
{
	ck_assert_int_eq(eddy_close(loop, self->other->watch.fd), 0);
	self->other->watch.fd = -1;
}

START_TEST(a_watch_closed_by_its_batch_is_not_called)
{
	struct eddy_loop *loop = census_loop();
	struct tap one, two;

	tap_open(&one, 0);
	tap_open(&two, 0);
	one.act = two.act = close_other;
	one.other = &two;
	two.other = &one;
	tap_start(loop, &one, EPOLLIN);
	tap_start(loop, &two, EPOLLIN);
	tap_write(&one);
	tap_write(&two);
	step(loop);
	ck_assert_int_eq(one.calls + two.calls, 1);
	one.ends[0] = one.watch.fd;
	two.ends[0] = two.watch.fd;
	tap_close(loop, &one);
	tap_close(loop, &two);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* A child that keeps copies of all descriptors until it is killed. */
static pid_t
keeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	ck_assert_int_gt(pid, 0);
	return pid;
}

static void
dismiss(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(a_copy_of_a_closed_descriptor_sends_no_stale_event)
{
	struct eddy_loop *loop = census_loop();
	struct tap old, tap;
	pid_t pid;

	tap_open(&old, 0);
	tap_start(loop, &old, EPOLLIN);
	pid = keeper();
	/* Closed before the stop, so that epoll cannot forget it ... */
	close(old.ends[0]);
	ck_assert_int_eq(eddy_watch_stop(loop, &old.watch), 0);
	/* ... and its number and its place go to the next. */
	tap_open(&tap, 0);
	ck_assert_int_eq(tap.ends[0], old.ends[0]);
	tap_start(loop, &tap, EPOLLIN);
	tap_write(&old);
	step(loop);
	ck_assert_int_eq(old.calls, 0);
	ck_assert_int_eq(tap.calls, 0);
	tap_write(&tap);
	step(loop);
	ck_assert_int_eq(old.calls, 0);
	ck_assert_int_eq(tap.calls, 1);
	dismiss(pid);
	tap_close(loop, &tap);
	close(old.ends[1]);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_watch_stopped_before_the_close_leaves_nothing)
{
	struct eddy_loop *loop = census_loop();
	struct tap old, tap;
	int64_t began;
	pid_t pid;

	tap_open(&old, 0);
	tap_start(loop, &old, EPOLLIN);
	pid = keeper();
	ck_assert_int_eq(eddy_watch_stop(loop, &old.watch), 0);
	close(old.ends[0]);
	tap_open(&tap, 0);
	tap_start(loop, &tap, EPOLLIN);
	tap_write(&old);
	/* Nothing is ready: the step has to wait. */
	began = eddy_now();
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_MS(2)), 1);
	ck_assert_int_ge(eddy_now() - began, EDDY_MS(2));
	ck_assert_int_eq(old.calls + tap.calls, 0);
	dismiss(pid);
	tap_close(loop, &tap);
	close(old.ends[1]);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(close_leaves_nothing_behind_while_a_child_holds_a_copy)
{
	struct eddy_loop *loop = census_loop();
	struct tap old, tap;
	int64_t began;
	pid_t pid;

	tap_open(&old, 0);
	tap_start(loop, &old, EPOLLIN);
	pid = keeper();
	ck_assert_int_eq(eddy_close(loop, old.ends[0]), 0);
	tap_open(&tap, 0);
	ck_assert_int_eq(tap.ends[0], old.ends[0]);
	tap_start(loop, &tap, EPOLLIN);
	tap_write(&old);
	began = eddy_now();
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_MS(2)), 1);
	ck_assert_int_ge(eddy_now() - began, EDDY_MS(2));
	ck_assert_int_eq(old.calls + tap.calls, 0);
	tap_write(&tap);
	step(loop);
	ck_assert_int_eq(tap.calls, 1);
	dismiss(pid);
	tap_close(loop, &tap);
	close(old.ends[1]);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static struct eddy_loop *inherited;

static int
stop_in_child(void *watch)
{
	return eddy_watch_stop(inherited, watch);
}

static int
start_in_child(void *watch)
{
	return eddy_watch_start(inherited, watch, 0);
}

static int
close_in_child(void *watch)
{
	return eddy_close(inherited, ((struct eddy_watch *)watch)->fd);
}

/* The epoll is one and the same in both processes. */
START_TEST(a_forked_child_cannot_change_a_watch)
{
	struct tap tap;

	inherited = census_loop();
	tap_open(&tap, 0);
	tap_start(inherited, &tap, EPOLLIN);
	tap_write(&tap);
	ck_assert_int_eq(census_child(start_in_child, &tap.watch), -ECHILD);
	step(inherited);
	ck_assert_int_eq(tap.calls, 1);
	ck_assert_int_eq(census_child(stop_in_child, &tap.watch), -ECHILD);
	step(inherited);
	ck_assert_int_eq(tap.calls, 2);
	ck_assert_int_eq(census_child(close_in_child, &tap.watch), -ECHILD);
	step(inherited);
	ck_assert_int_eq(tap.calls, 3);
	tap_close(inherited, &tap);
	ck_assert_int_eq(eddy_loop_close(inherited), 0);
}
END_TEST

START_TEST(a_background_watch_does_not_keep_the_loop)
{
	struct eddy_loop *loop = census_loop();
	struct tap tap, front;

	tap_open(&tap, EDDY_WATCH_BACKGROUND);
	tap_start(loop, &tap, EPOLLIN);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	/* Served all the same while something else keeps it. */
	tap_open(&front, 0);
	front.act = stop_self;
	tap_start(loop, &front, EPOLLIN);
	tap_write(&tap);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_S(1)), 1);
	ck_assert_int_eq(tap.calls, 1);
	tap_start(loop, &tap, EPOLLIN | EPOLLET); /* still in the background */
	tap_write(&front);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(front.calls, 1);
	tap_close(loop, &tap);
	tap_close(loop, &front);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* More than a turn collects, more than the first table holds. */
static struct tap crowd[300];

static void
drain(struct eddy_loop *loop, struct tap *self)
{
	eventfd_t count;

	(void)loop;
	ck_assert_int_eq(eventfd_read(self->watch.fd, &count), 0);
}

START_TEST(hundreds_of_descriptors_are_each_called_once)
{
	struct eddy_loop *loop = census_loop();
	size_t i;

	for (i = 0; i < COUNT_OF(crowd); i++) {
		int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

		ck_assert_int_ge(fd, 0);
		eddy_watch_init(&crowd[i].watch, fd, on_tap, 0);
		crowd[i].act = drain;
		tap_start(loop, &crowd[i], EPOLLIN);
	}
	for (i = 0; i < 3; i++)
		step(loop);
	for (i = 0; i < COUNT_OF(crowd); i++) {
		ck_assert_int_eq(crowd[i].calls, 1);
		stop_self(loop, &crowd[i]);
		close(crowd[i].watch.fd);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* 10^4 random starts, changes, stops and writes; what is stopped or muted is
 * never called, what is ready and wanted is called each turn. */
START_TEST(random_calls_match_a_model)
{
	struct eddy_loop *loop = census_loop();
	bool started[8] = {false}, full[8] = {false}, mute[8] = {false};
	struct tap taps[8];
	unsigned seed = 1;
	int i, n;

	for (i = 0; i < 8; i++)
		tap_open(&taps[i], 0);
	for (n = 0; n < 10000; n++) {
		i = rand_r(&seed) % 8;
		switch (rand_r(&seed) % 6) {
		case 0:
		case 1:
			mute[i] = rand_r(&seed) % 4 == 0;
			tap_start(loop, &taps[i], mute[i] ? 0 : EPOLLIN);
			started[i] = true;
			break;
		case 2:
			stop_self(loop, &taps[i]);
			started[i] = false;
			break;
		case 3:
			if (full[i])
				tap_read(&taps[i]);
			else
				tap_write(&taps[i]);
			full[i] = !full[i];
			break;
		case 4: /* another pipe in its place */
			tap_close(loop, &taps[i]);
			tap_open(&taps[i], 0);
			started[i] = full[i] = false;
			break;
		default:
			for (i = 0; i < 8; i++)
				taps[i].calls = 0;
			step(loop);
			for (i = 0; i < 8; i++)
				ck_assert_int_eq(taps[i].calls,
				    started[i] && full[i] && !mute[i]);
		}
	}
	for (i = 0; i < 8; i++)
		tap_close(loop, &taps[i]);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("watch");
	int impossible_end = COUNT_OF(impossible);

	census_add(census_case(suite, "events", 2), a_watch_wakes_the_loop,
	    many_events_are_told_in_order_and_before_timers,
	    a_level_is_told_each_turn, an_edge_is_told_once,
	    one_shot_and_exclusive_are_refused, hangup_comes_unasked,
	    start_changes_what_a_watch_waits_for,
	    a_stopped_watch_may_start_again,
	    a_background_watch_does_not_keep_the_loop);
	census_add(census_case(suite, "batch", 2),
	    a_watch_stopped_by_its_batch_is_not_called,
	    a_watch_restarted_by_its_batch_is_called_in_the_next,
	    a_watch_changed_by_its_batch_gets_nothing_it_does_not_want,
	    a_watch_may_stop_what_its_batch_holds);
	census_add(census_case(suite, "descriptors", 2),
	    a_regular_file_is_refused, a_closed_descriptor_is_refused,
	    a_descriptor_has_one_watch_but_a_copy_has_its_own,
	    a_copy_of_a_closed_descriptor_sends_no_stale_event,
	    close_leaves_nothing_behind_while_a_child_holds_a_copy,
	    a_forked_child_cannot_change_a_watch,
	    a_watch_stopped_before_the_close_leaves_nothing);
	census_add(census_case(suite, "sides", 2),
	    a_reader_and_a_writer_share_a_descriptor, each_side_has_one_waiter,
	    a_hangup_is_told_to_both_sides, close_stops_watches_and_closes,
	    forget_leaves_the_descriptor_open,
	    a_watch_closed_by_its_batch_is_not_called);
	census_add(census_case(suite, "many", 20),
	    hundreds_of_descriptors_are_each_called_once,
	    random_calls_match_a_model);
	tcase_add_loop_test(census_case(suite, "numbers", 2),
	    a_number_that_is_no_descriptor_is_refused, 0, impossible_end);
	return suite_main(suite);
}
