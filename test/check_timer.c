/* SPDX-License-Identifier: ISC */
#include <eddy/timer.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "census.h"
#include "loop_impl.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/* A timer with a letter, which may do something when it fires. */
struct letter {
	struct eddy_timer timer;
	char name;
	void (*act)(struct eddy_loop *loop, struct letter *self);
	struct letter *other;
	int left; /* restarts */
};

static char trace[64];

static void
on_letter(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct letter *self = (struct letter *)timer;
	size_t n = strlen(trace);

	ck_assert_uint_lt(n + 1, sizeof(trace));
	trace[n] = self->name;
	trace[n + 1] = '\0';
	ck_assert_int_ge(eddy_now(), timer->alarm.deadline);
	ck_assert_int_ge(eddy_loop_now(loop), timer->alarm.deadline);
	ck_assert(!eddy_timer_active(timer));
	if (self->act != NULL)
		self->act(loop, self);
}

static struct letter
letter(char name, void (*act)(struct eddy_loop *, struct letter *))
{
	struct letter letter = {.name = name, .act = act};

	eddy_timer_init(&letter.timer, on_letter);
	return letter;
}

static void
start(struct eddy_loop *loop, struct letter *letter, int64_t deadline)
{
	ck_assert_int_eq(eddy_timer_start(loop, &letter->timer, deadline), 0);
	ck_assert(eddy_timer_active(&letter->timer));
	ck_assert_int_eq(letter->timer.alarm.deadline, deadline);
}

static void
stop(struct eddy_loop *loop, struct letter *letter)
{
	ck_assert_int_eq(eddy_timer_stop(loop, &letter->timer), 0);
	ck_assert(!eddy_timer_active(&letter->timer));
}

/* Run the loop to its end and close it: what fired? */
static const char *
finish(struct eddy_loop *loop)
{
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	return trace;
}

START_TEST(timers_fire_by_deadline)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL), b = letter('b', NULL);
	struct letter c = letter('c', NULL);
	int64_t soon = eddy_after(EDDY_MS(1));

	start(loop, &c, soon + 2);
	start(loop, &a, soon);
	start(loop, &b, soon + 1);
	ck_assert_str_eq(finish(loop), "abc");
}
END_TEST

START_TEST(equal_deadlines_fire_in_order_of_start)
{
	struct eddy_loop *loop = census_loop();
	struct letter letters[26];
	int64_t soon = eddy_after(EDDY_US(100));
	int i;

	for (i = 0; i < 26; i++) {
		letters[i] = letter((char)('a' + i), NULL);
		start(loop, &letters[i], soon);
	}
	ck_assert_str_eq(finish(loop), "abcdefghijklmnopqrstuvwxyz");
}
END_TEST

START_TEST(a_restart_goes_behind_equal_deadlines)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL), b = letter('b', NULL);
	struct letter c = letter('c', NULL), d = letter('d', NULL);
	int64_t soon = eddy_after(EDDY_MS(1));

	start(loop, &a, soon - 500);
	start(loop, &b, soon);
	start(loop, &c, soon + 500);
	start(loop, &d, soon);
	start(loop, &a, soon); /* from before */
	start(loop, &b, soon); /* from the same */
	start(loop, &c, soon); /* from behind */
	ck_assert_str_eq(finish(loop), "dabc");
}
END_TEST

START_TEST(rearm_moves_deadline)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL), b = letter('b', NULL);
	int64_t now = eddy_now();

	start(loop, &a, now - 2);
	start(loop, &b, now + EDDY_S(1000));
	start(loop, &a, now + EDDY_S(1000));
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_str_eq(trace, "");
	start(loop, &b, now - 1);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_str_eq(trace, "b");
	start(loop, &a, now + EDDY_S(2000)); /* later, later, then at once */
	start(loop, &a, now + EDDY_S(1500));
	start(loop, &a, now);
	ck_assert_str_eq(finish(loop), "ba");
}
END_TEST

START_TEST(a_lazy_restart_does_not_wake_the_loop_for_good)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL);
	int64_t deadline = eddy_after(EDDY_MS(3));

	/* The heap still holds the old deadline, which must not fire it. */
	start(loop, &a, eddy_after(EDDY_US(500)));
	start(loop, &a, deadline);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_S(1)), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_ge(eddy_now(), deadline);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
stop_other(struct eddy_loop *loop, struct letter *self)
{
	ck_assert(eddy_timer_active(&self->other->timer));
	stop(loop, self->other);
}

START_TEST(a_due_timer_stopped_by_its_batch_does_not_fire)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', stop_other), b = letter('b', stop_other);

	a.other = &b;
	b.other = &a;
	start(loop, &a, 0);
	start(loop, &b, 0);
	ck_assert_str_eq(finish(loop), "a");
}
END_TEST

static void
move_other(struct eddy_loop *loop, struct letter *self)
{
	start(loop, self->other, eddy_after(EDDY_MS(2)));
}

START_TEST(a_due_timer_restarted_by_its_batch_fires_later)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', move_other), b = letter('b', NULL);
	struct letter c = letter('c', NULL);

	a.other = &b;
	start(loop, &a, 0);
	start(loop, &b, 0);
	start(loop, &c, 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_str_eq(trace, "ac");
	ck_assert_str_eq(finish(loop), "acb");
}
END_TEST

static void
again(struct eddy_loop *loop, struct letter *self)
{
	if (self->left-- > 0)
		start(loop, self, self->timer.alarm.deadline + EDDY_US(200));
}

START_TEST(a_timer_may_restart_itself)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', again);

	a.left = 4;
	start(loop, &a, eddy_after(0));
	ck_assert_str_eq(finish(loop), "aaaaa");
}
END_TEST

static void
expect_one(struct eddy_loop *loop, struct letter *self)
{
	(void)loop;
	ck_assert(eddy_timer_active(&self->other->timer));
}

START_TEST(a_timer_is_active_until_it_fires)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', expect_one), b = letter('b', NULL);

	ck_assert(!eddy_timer_active(&b.timer));
	a.other = &b;
	start(loop, &a, 0);
	start(loop, &b, 0);
	ck_assert_str_eq(finish(loop), "ab");
	ck_assert(!eddy_timer_active(&a.timer));
	ck_assert(!eddy_timer_active(&b.timer));
}
END_TEST

START_TEST(a_stopped_timer_may_be_stopped)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL);

	stop(loop, &a);
	start(loop, &a, 0);
	stop(loop, &a);
	stop(loop, &a);
	ck_assert_str_eq(finish(loop), "");
}
END_TEST

START_TEST(zeroed_memory_is_a_stopped_timer)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = {.timer.fn = on_letter, .name = 'a'};

	ck_assert(!eddy_timer_active(&a.timer));
	stop(loop, &a);
	start(loop, &a, 0);
	ck_assert_str_eq(finish(loop), "a");
}
END_TEST

START_TEST(forever_keeps_the_loop_and_never_fires)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL), b = letter('b', stop_other);

	start(loop, &a, EDDY_FOREVER);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_US(10)), 1);
	b.other = &a;
	start(loop, &b, eddy_after(EDDY_MS(1)));
	ck_assert_str_eq(finish(loop), "b");
}
END_TEST

START_TEST(any_deadline_will_do)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL), b = letter('b', NULL);
	struct letter c = letter('c', NULL), d = letter('d', NULL);

	start(loop, &d, EDDY_FOREVER - 1);
	start(loop, &c, 1);
	start(loop, &b, -1);
	start(loop, &a, INT64_MIN);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), 1);
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_US(10)), 1);
	stop(loop, &d);
	ck_assert_str_eq(finish(loop), "abc");
}
END_TEST

START_TEST(after_saturates)
{
	int64_t before = eddy_now(), after;

	ck_assert_int_eq(eddy_after(EDDY_FOREVER), EDDY_FOREVER);
	ck_assert_int_eq(eddy_after(EDDY_FOREVER - 1), EDDY_FOREVER);
	ck_assert_int_lt(eddy_after(EDDY_S(1)), EDDY_FOREVER);
	ck_assert_int_ge(eddy_after(EDDY_S(1)), before + EDDY_S(1));
	after = eddy_after(-EDDY_S(5));
	ck_assert_int_ge(after, before);
	ck_assert_int_le(after, eddy_now());
	after = eddy_after(INT64_MIN);
	ck_assert_int_ge(after, before);
	ck_assert_int_le(after, eddy_now());
}
END_TEST

/*
 * The model: an array in which the next to fire is searched for.  What is due
 * is exactly known, since the loop says when it collected the batch.
 */
enum { MODELS = 120, STEPS = 100000 }; /* a turn fires them all */

static struct model {
	struct eddy_timer timer;
	int64_t deadline;
	long sequence; /* of the last start; 0: not started */
} models[MODELS];

static long model_sequence, turn_sequence;
static unsigned long model_fired, model_stopped_due;
static unsigned int seed = 1;

static int
dice(int sides)
{
	return (int)((unsigned)rand_r(&seed) % (unsigned)sides);
}

static bool
model_due(const struct model *model, int64_t now)
{
	return model->sequence != 0 && model->sequence <= turn_sequence &&
	       model->deadline <= now;
}

static struct model *
model_next(int64_t now)
{
	struct model *best = NULL, *m;

	for (m = models; m < models + MODELS; m++)
		if (model_due(m, now) &&
		    (best == NULL || m->deadline < best->deadline ||
			(m->deadline == best->deadline &&
			    m->sequence < best->sequence)))
			best = m;
	return best;
}

static void
change_one(struct eddy_loop *loop)
{
	struct model *model = &models[dice(MODELS)];

	ck_assert_int_eq(
	    eddy_timer_active(&model->timer), model->sequence != 0);
	if (dice(3) == 0) {
		model_stopped_due += model_due(model, eddy_loop_now(loop));
		ck_assert_int_eq(eddy_timer_stop(loop, &model->timer), 0);
		model->sequence = 0;
		return;
	}
	/* Coarse, so that many are equal; some are due at once. */
	model->deadline = (eddy_now() / EDDY_US(50) + dice(64) - 4) *
	                  EDDY_US(50);
	model->sequence = ++model_sequence;
	ck_assert_int_eq(
	    eddy_timer_start(loop, &model->timer, model->deadline), 0);
}

static void
on_model(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct model *model = (struct model *)timer;

	ck_assert_ptr_eq(model, model_next(eddy_loop_now(loop)));
	model->sequence = 0;
	model_fired++;
	if (dice(2) == 0)
		change_one(loop);
}

START_TEST(a_hundred_thousand_random_calls_match_a_model)
{
	struct eddy_loop *loop = census_loop();
	int i, n;

	for (i = 0; i < MODELS; i++)
		eddy_timer_init(&models[i].timer, on_model);
	for (i = 0; i < STEPS;) {
		for (n = dice(40); n > 0; n--, i++)
			change_one(loop);
		turn_sequence = model_sequence;
		ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
		ck_assert_ptr_null(model_next(eddy_loop_now(loop)));
	}
	ck_assert_uint_gt(model_fired, STEPS / 100);
	ck_assert_uint_gt(model_stopped_due, 0);
	for (i = 0; i < MODELS; i++)
		eddy_timer_stop(loop, &models[i].timer);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static struct eddy_timer shuffled[5000];
static int64_t last_deadline;

static void
on_shuffled(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	ck_assert_int_ge(timer->alarm.deadline, last_deadline);
	last_deadline = timer->alarm.deadline;
	model_fired++;
}

START_TEST(thousands_of_timers_fire_in_order)
{
	struct eddy_loop *loop = census_loop();
	size_t i;

	for (i = 0; i < COUNT_OF(shuffled); i++) {
		eddy_timer_init(&shuffled[i], on_shuffled);
		ck_assert_int_eq(
		    eddy_timer_start(loop, &shuffled[i], 1 + dice(1000)), 0);
	}
	finish(loop);
	ck_assert_uint_eq(model_fired, COUNT_OF(shuffled));
}
END_TEST

START_TEST(timers_that_stop_make_room_and_keep_the_order)
{
	struct eddy_loop *loop = census_loop();
	size_t i;
	int n;

	for (i = 0; i < 40; i++)
		eddy_timer_init(&shuffled[i], on_shuffled);
	for (n = 0; n < 100000; n++) {
		i = (size_t)dice(n < 99000 ? 40 : 20);
		if (dice(2) == 0)
			eddy_timer_stop(loop, &shuffled[i]);
		else
			ck_assert_int_eq(eddy_timer_start(loop, &shuffled[i],
					     1 + dice(1000)),
			    0);
	}
	ck_assert_uint_le(loop->heaps[LOOP_TIME].room, 64);
	for (i = 0; i < 40; i++)
		n -= eddy_timer_active(&shuffled[i]);
	finish(loop);
	ck_assert_uint_eq(model_fired, (unsigned)(100000 - n));
}
END_TEST

static void
random_again(struct eddy_loop *loop, struct letter *self)
{
	if (self->left-- > 0)
		start(loop, self, eddy_after(EDDY_US(dice(400)) + dice(1000)));
}

/* on_letter asserts that none is early. */
static void
fire_at_random(struct eddy_loop *loop)
{
	struct letter a = letter('a', random_again);
	struct letter b = letter('b', random_again);

	a.left = b.left = 20;
	start(loop, &a, eddy_after(0));
	start(loop, &b, eddy_after(0));
	ck_assert_uint_eq(strlen(finish(loop)), 42);
}

START_TEST(no_timer_is_early)
{
	fire_at_random(census_loop());
}
END_TEST

START_TEST(a_wait_ends_once_at_its_deadline)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL);

	start(loop, &a, eddy_after(EDDY_US(1234)));
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static volatile sig_atomic_t signals;

static void
on_signal(int signal)
{
	(void)signal;
	signals++;
}

/* A signal each 200 us, far more often than the timer is due. */
static void
storm(bool on)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct itimerval interval = {{0, on ? 200 : 0}, {0, on ? 200 : 0}};

	if (on)
		ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &interval, NULL), 0);
}

/* On a machine that is starved there may have been one or two. */
static void
until_it_is_a_storm(struct eddy_loop *loop, struct letter *self)
{
	if (signals <= 2)
		start(loop, self, eddy_after(EDDY_MS(40)));
}

static void
weather_a_storm(struct eddy_loop *loop)
{
	struct letter a = letter('a', until_it_is_a_storm);

	storm(true);
	start(loop, &a, eddy_after(EDDY_MS(40)));
	ck_assert_int_eq(finish(loop)[0], 'a');
	storm(false);
}

START_TEST(a_storm_of_signals_does_not_postpone)
{
	weather_a_storm(census_loop());
}
END_TEST

/* From here on the kernel refuses epoll_pwait2, for the life of the test. */
static void
refuse_pwait2(int error)
{
	struct sock_filter code[] = {
	    BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {COUNT_OF(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return; /* an emulator: no filters */
	ck_assert_int_eq(
	    syscall(SYS_epoll_pwait2, -1, NULL, 1, NULL, NULL, 0), -1);
	ck_assert_int_eq(errno, error);
}

static const int refusals[] = {ENOSYS, EPERM};

START_TEST(without_pwait2_no_timer_is_early)
{
	struct eddy_loop *loop = census_loop();

	refuse_pwait2(refusals[_i]);
	errno = EXDEV;
	fire_at_random(loop);
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

START_TEST(without_pwait2_a_wait_ends_once)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL), b = letter('b', NULL);

	refuse_pwait2(refusals[_i]);
	start(loop, &a, eddy_after(EDDY_US(1234)));
	start(loop, &b, eddy_after(EDDY_S(40 * 86400))); /* over INT_MAX ms */
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_FOREVER), 1);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_US(1)), 1);
	stop(loop, &b);
	ck_assert_str_eq(finish(loop), "a");
}
END_TEST

START_TEST(without_pwait2_a_storm_does_not_postpone)
{
	struct eddy_loop *loop = census_loop();

	refuse_pwait2(refusals[_i]);
	weather_a_storm(loop);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("timer");
	int refusals_end = COUNT_OF(refusals);
	TCase *tcase;

	census_add(census_case(suite, "order", 2), timers_fire_by_deadline,
	    equal_deadlines_fire_in_order_of_start,
	    a_restart_goes_behind_equal_deadlines, rearm_moves_deadline,
	    a_lazy_restart_does_not_wake_the_loop_for_good,
	    a_due_timer_stopped_by_its_batch_does_not_fire,
	    a_due_timer_restarted_by_its_batch_fires_later,
	    a_timer_may_restart_itself, a_timer_is_active_until_it_fires,
	    a_stopped_timer_may_be_stopped, zeroed_memory_is_a_stopped_timer);
	census_add(census_case(suite, "time", 2),
	    forever_keeps_the_loop_and_never_fires, any_deadline_will_do,
	    after_saturates, no_timer_is_early,
	    a_wait_ends_once_at_its_deadline,
	    a_storm_of_signals_does_not_postpone);
	census_add(census_case(suite, "many", 20),
	    a_hundred_thousand_random_calls_match_a_model,
	    thousands_of_timers_fire_in_order,
	    timers_that_stop_make_room_and_keep_the_order);
	tcase = census_case(suite, "without pwait2", 2);
	tcase_add_loop_test(
	    tcase, without_pwait2_no_timer_is_early, 0, refusals_end);
	tcase_add_loop_test(
	    tcase, without_pwait2_a_wait_ends_once, 0, refusals_end);
	tcase_add_loop_test(
	    tcase, without_pwait2_a_storm_does_not_postpone, 0, refusals_end);
	return suite_main(suite);
}
