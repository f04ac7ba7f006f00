/* SPDX-License-Identifier: ISC */
/*
 * task: coroutines, scopes, cancelling.  Most tests are scenes: a main task
 * with the result and the trace that eddy_run must come to.  All allocations
 * of the library are counted, so every frame of EDDY_NEW must be freed.
 *
 * link: -Wl,--wrap=eddy__alloc,--wrap=eddy__realloc,--wrap=eddy__free */
#include <eddy/sync.h>
#include <eddy/task.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "census.h"
#include "counted.h"
#include "trace.h"

/* Longer than any test: ends only by being cancelled. */
#define LONG EDDY_S(1000)

_Static_assert(sizeof(struct eddy_task) <= 192, "the header says so");

/* Scenes. */

/* A child that tells its story: +name, name when it has slept, -name. */
struct kid {
	struct eddy_task task;
	const char *name;
	int64_t duration;
	int result;
	struct eddy_task *scope; /* of another */
};

static eddy_step
kid(struct eddy_task *self)
{
	int rc;

	EDDY_BEGIN(self, struct kid, f);
	say("+%s", f->name);
	EDDY_TRY(eddy_sleep(self, f->duration));
	say("%s", f->name);
	EDDY_RETURN(f->result);
	EDDY_FINALLY;
	say("-%s", f->name);
	EDDY_AWAIT(rc, eddy_yield(self));
	ck_assert_int_eq(rc, 0);
	EDDY_END;
}

static struct eddy_task *
init_kid(struct kid *k, const char *name, int64_t duration, int result)
{
	return EDDY_INIT(
	    k, kid, .name = name, .duration = duration, .result = result);
}

static void
spawn_kid(struct eddy_task *scope, struct kid *k, const char *name,
    int64_t duration, int result)
{
	ck_assert_int_eq(
	    eddy_spawn(scope, init_kid(k, name, duration, result)), 0);
}

/* The frame of every main task, and of most helpers. */
struct scene {
	struct eddy_task task;
	struct kid a, b, c;
	struct eddy_task t, u, v; /* for EDDY_START */
	struct eddy_task *other, *winner;
	int64_t since;
	int i, n, rc;
};

static void
spawn_fn(struct eddy_task *scope, struct kid *k, eddy_task_fn *fn)
{
	memset(k, 0, sizeof(*k));
	eddy_prepare(&k->task, fn, "helper");
	k->scope = scope;
	ck_assert_int_eq(eddy_spawn(scope, &k->task), 0);
}

static int
run(eddy_task_fn *fn)
{
	struct scene f;

	memset(&f, 0, sizeof(f));
	eddy_prepare(&f.task, fn, "main");
	return eddy_run(&f.task);
}

#define SCENE(name, result, story)                        \
	static eddy_step name##_(struct eddy_task *self); \
	START_TEST(name)                                  \
	{                                                 \
		int r = run(name##_);                     \
		ck_assert_str_eq(trace, story);           \
		ck_assert_int_eq(r, result);              \
	}                                                 \
	END_TEST                                          \
	static eddy_step name##_(struct eddy_task *self)

/* An operation that only eddy_unpark ends. */
static const struct eddy_op waiting = {"waiting", eddy_unpark};

static EDDY_ASYNC
wait(struct eddy_task *self)
{
	if (eddy_cancelled(self))
		return eddy_complete(self, -ECANCELED);
	return eddy_park(self, &waiting);
}

/* clang-format off */

/* Scopes. */

SCENE(a_main_task_ends_with_its_result, 42, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_RETURN(42);
	EDDY_END;
}

SCENE(a_body_that_just_ends_has_result_zero, 0, "end ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_TRY(eddy_yield(self));
	say("end");
	EDDY_END;
}

SCENE(leaving_with_a_result_awaits_the_children, 3,
    "body +a +b a -a b -b finally ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, 0);
	spawn_kid(self, &f->b, "b", EDDY_MS(2), 7);
	say("body");
	EDDY_RETURN(3);
	EDDY_FINALLY;
	ck_assert(eddy_done(&f->a.task) && eddy_done(&f->b.task));
	say("finally");
	EDDY_END;
}

SCENE(leaving_with_an_error_cancels_the_children, -EPERM,
    "+a body -a finally ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", LONG, 0);
	EDDY_TRY(eddy_yield(self));
	say("body");
	EDDY_RETURN(-EPERM);
	EDDY_FINALLY;
	ck_assert_int_eq(f->a.task.result, -ECANCELED);
	say("finally");
	EDDY_END;
}

SCENE(leaving_while_cancelled_cancels_the_children, 1, "+a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", LONG, 0);
	EDDY_TRY(eddy_yield(self));
	eddy_cancel(self);
	EDDY_RETURN(1);
	EDDY_END;
}

SCENE(without_finally_a_scope_awaits_its_children_too, 0, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", EDDY_MS(1), 9);
	EDDY_END;
}

SCENE(the_first_failure_cancels_siblings_and_body, -EIO,
    "+s +b +s b -b -s -s body=cancelled finally ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "s", LONG, 0);
	spawn_kid(self, &f->b, "b", 0, -EIO);
	spawn_kid(self, &f->c, "s", LONG, 0);
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	while (!eddy_done(&f->a.task) || !eddy_done(&f->c.task))
		EDDY_AWAIT(f->rc, eddy_yield(self));
	say("body=%s", f->rc == -ECANCELED ? "cancelled" : "?");
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_RETURN(5); /* does not hide the failure */
	EDDY_FINALLY;
	ck_assert_int_eq(f->b.task.result, -EIO);
	ck_assert_int_eq(f->a.task.result, -ECANCELED);
	say("finally");
	EDDY_END;
}

SCENE(a_failure_cancels_what_the_body_calls, -EIO, "+a +b b -b -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->b, "b", EDDY_MS(1), -EIO);
	EDDY_TRY(eddy_call(self, init_kid(&f->a, "a", LONG, 0)));
	say("NOT reached");
	EDDY_END;
}

SCENE(a_failure_while_leaving_cancels_the_siblings, -EIO, "+a +b b -b -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", LONG, 0);
	spawn_kid(self, &f->b, "b", EDDY_MS(1), -EIO);
	EDDY_RETURN(3);
	EDDY_END;
}

SCENE(only_the_first_failure_counts, -EIO, "+a +b a -a b -b ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, -EIO);
	spawn_kid(self, &f->b, "b", 0, -ENOSPC);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_END;
}

SCENE(a_child_that_was_cancelled_is_no_failure, 4, "+a +b -a b -b ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", LONG, 0);
	spawn_kid(self, &f->b, "b", EDDY_MS(1), 0);
	EDDY_TRY(eddy_yield(self));
	ck_assert_int_eq(eddy_cancel(&f->a.task), 0);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_int_eq(f->a.task.result, -ECANCELED);
	EDDY_RETURN(4);
	EDDY_END;
}

SCENE(finally_may_keep_a_failure_to_itself, 0, "+a a -a finally ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, -EIO);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	say("finally");
	EDDY_RETURN(0);
	EDDY_END;
}

SCENE(children_of_finally_are_awaited, -EPERM, "finally +a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_RETURN(-EPERM);
	EDDY_FINALLY;
	say("finally");
	spawn_kid(self, &f->a, "a", EDDY_MS(1), 0);
	EDDY_END;
}

SCENE(a_failure_in_finally_is_the_result, -EIO, "+a +b a -a -b ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_RETURN(1);
	EDDY_FINALLY;
	spawn_kid(self, &f->a, "a", 0, -EIO);
	spawn_kid(self, &f->b, "b", LONG, 0);
	EDDY_END;
}

static eddy_step
guest(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	if (eddy_spawn(f->scope, EDDY_NEW(kid, .name = "x")) < 0)
		say("refused");
	EDDY_END;
}

SCENE(a_task_may_spawn_into_the_scope_of_another, 0, "+x x -x joined ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_fn(self, &f->a, guest);
	EDDY_TRY(eddy_join_all(self));
	say("joined");
	EDDY_END;
}

SCENE(an_operation_that_was_started_is_a_scope_too, 0, "+x 0 x -x joined ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_START(self, &f->t, eddy_yield(&f->t));
	spawn_kid(&f->t, &f->a, "x", EDDY_MS(5), 0);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(1)));
	say("%d", eddy_done(&f->t));
	EDDY_TRY(eddy_join(self, &f->t));
	say("joined");
	EDDY_END;
}

SCENE(a_scope_that_is_being_left_takes_no_child, 0, "refused ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_fn(self, &f->a, guest);
	EDDY_RETURN(0);
	EDDY_END;
}

static eddy_step
house(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	eddy_spawn(self, EDDY_NEW(kid, .name = "x"));
	EDDY_END;
}

/* Before the scope has heard of that end. */
SCENE(a_scope_whose_last_child_has_ended_takes_no_other, 0,
    "+x x -x refused 0 ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_fn(self, &f->a, house);
	do
		EDDY_TRY(eddy_yield(self));
	while (f->a.task.kid_count != 0);
	ck_assert(!eddy_done(&f->a.task));
	if (eddy_spawn(&f->a.task, EDDY_NEW(kid, .name = "y")) == -ECANCELED)
		say("refused");
	EDDY_TRY(eddy_join(self, &f->a.task));
	say("%d", (int)f->a.task.kid_count);
	EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

static const struct eddy_site enough = {.text = "enough"};
static struct kid heir;

static eddy_step
bounded_house(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	eddy_deadline_set(self, EDDY_FOREVER);
	eddy_cancel_at(self, &enough);
	spawn_kid(self, &heir, "x", LONG, 0);
	EDDY_END;
}

SCENE(a_child_outlives_where_its_scope_had_the_reason, 0, "+x -x ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_fn(self, &f->a, bounded_house);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_ptr_eq(heir.task.why, &enough);
	EDDY_END;
}

/* Joining. */

SCENE(join_delivers_the_result_of_one_child, 7, "+a +b a -a joined b -b ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, 7);
	spawn_kid(self, &f->b, "b", EDDY_MS(100), 0);
	EDDY_TRY(f->rc, eddy_join(self, &f->a.task));
	say("joined");
	EDDY_RETURN(f->rc);
	EDDY_END;
}

SCENE(join_delivers_also_when_the_child_has_ended, 7, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, 7);
	EDDY_TRY(eddy_join_all(self));
	for (f->i = 0; f->i < 3; f->i++)
		EDDY_TRY(f->rc, eddy_join(self, &f->a.task));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

SCENE(a_failure_that_join_waits_for_is_told_there, 0, "+a +b a -a EIO b -b ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, -EIO);
	spawn_kid(self, &f->b, "b", EDDY_MS(100), 0);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->a.task));
	if (f->rc == -EIO)
		say("EIO");
	EDDY_TRY(eddy_sleep(self, EDDY_US(1)));
	EDDY_END;
}

SCENE(join_of_oneself_is_a_deadlock, -EDEADLK, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_TRY(eddy_join(self, self));
	EDDY_END;
}

static eddy_step
parent_of_one(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "grandchild", EDDY_MS(1), 0);
	EDDY_END;
}

SCENE(join_of_a_stranger_is_refused, 0, "+grandchild grandchild -grandchild ")
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_prepare(&f->t, kid, "unstarted");
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, -EINVAL);
	f->other = eddy_new_frame(sizeof(*f), parent_of_one, "parent");
	ck_assert_int_eq(eddy_spawn(self, f->other), 0);
	EDDY_TRY(eddy_yield(self));
	EDDY_AWAIT(f->rc, eddy_join(self, &((struct scene *)f->other)->a.task));
	ck_assert_int_eq(f->rc, -EINVAL);
	EDDY_END;
}

SCENE(join_all_of_nobody_is_zero, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_AWAIT(f->rc, eddy_join_all(self));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

SCENE(join_all_tells_the_first_failure_once, 6,
    "+a +b b -b -a EIO +c c -c again=0 ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", LONG, 0);
	spawn_kid(self, &f->b, "b", 0, -EIO);
	EDDY_AWAIT(f->rc, eddy_join_all(self));
	if (f->rc == -EIO)
		say("EIO");
	ck_assert(!eddy_cancelled(self));
	spawn_kid(self, &f->c, "c", 0, 0);
	EDDY_AWAIT(f->rc, eddy_join_all(self));
	say("again=%d", f->rc);
	EDDY_RETURN(6);
	EDDY_END;
}

SCENE(join_all_tells_a_failure_from_before, -EIO, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, -EIO);
	while (!eddy_done(&f->a.task))
		EDDY_AWAIT(f->rc, eddy_yield(self));
	EDDY_AWAIT(f->rc, eddy_join_all(self));
	ck_assert_int_eq(f->rc, -EIO);
	ck_assert(!eddy_cancelled(self));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

SCENE(a_failure_that_is_no_errno_is_still_one, -65535, "+a a -a +b b -b ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, -65535);
	EDDY_AWAIT(f->rc, eddy_join_all(self));
	ck_assert_int_eq(f->rc, -65535);
	spawn_kid(self, &f->b, "b", 0, INT_MIN);
	EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

static int running, high;

struct worker {
	struct eddy_task task;
};

static eddy_step
worker(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct worker, f);
	if (++running > high)
		high = running;
	EDDY_TRY(eddy_yield(self));
	EDDY_TRY(eddy_yield(self));
	running--;
	EDDY_END;
}

struct foreman {
	struct eddy_task task;
	int i;
	unsigned limit;
};

static eddy_step
foreman(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct foreman, f);
	for (f->i = 0; f->i < 50; f->i++) {
		EDDY_TRY(eddy_throttle(self, f->limit));
		ck_assert_int_lt(running, (int)f->limit);
		ck_assert_int_eq(eddy_spawn(self, EDDY_NEW(worker)), 0);
	}
	EDDY_END;
}

START_TEST(throttle_bounds_concurrency_exactly)
{
	struct foreman f;

	ck_assert_int_eq(
	    eddy_run(EDDY_INIT(&f, foreman, .limit = (unsigned)_i)), 0);
	ck_assert_int_eq(high, _i);
	ck_assert_int_eq(running, 0);
}
END_TEST

SCENE(throttle_tells_a_failure_after_all_have_ended, 0, "+s +b +s b -b -s -s ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "s", LONG, 0);
	spawn_kid(self, &f->b, "b", 0, -EIO);
	spawn_kid(self, &f->c, "s", LONG, 0);
	EDDY_AWAIT(f->rc, eddy_throttle(self, 3));
	ck_assert_int_eq(f->rc, -EIO);
	ck_assert(eddy_done(&f->a.task) && eddy_done(&f->c.task));
	EDDY_END;
}

SCENE(throttle_to_nothing_is_refused, -EINVAL, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_TRY(eddy_throttle(self, 0));
	EDDY_END;
}

/* Racing. */

SCENE(race_names_the_winner_and_awaits_the_losers, 9,
    "+s +b +s b -b -s -s raced ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "s", LONG, 0);
	spawn_kid(self, &f->b, "b", 0, 9);
	spawn_kid(self, &f->c, "s", LONG, 0);
	EDDY_TRY(f->rc, eddy_race(self, &f->winner));
	say("raced");
	ck_assert_ptr_eq(f->winner, &f->b.task);
	ck_assert_int_eq(f->a.task.result, -ECANCELED);
	ck_assert_int_eq(f->c.task.result, -ECANCELED);
	EDDY_RETURN(f->rc);
	EDDY_END;
}

SCENE(race_of_nobody_is_refused, -ECHILD, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_TRY(eddy_race(self, &f->winner));
	EDDY_END;
}

SCENE(a_failing_winner_does_not_fail_the_scope, 0, "+a +b b -b -a EIO ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", LONG, 0);
	spawn_kid(self, &f->b, "b", 0, -EIO);
	EDDY_AWAIT(f->rc, eddy_race(self, NULL));
	if (f->rc == -EIO)
		say("EIO");
	EDDY_TRY(eddy_yield(self));
	EDDY_END;
}

SCENE(a_cancelled_child_does_not_win, 5, "+a +b -a b -b ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", LONG, 0);
	spawn_kid(self, &f->b, "b", EDDY_MS(1), 5);
	EDDY_TRY(eddy_yield(self));
	eddy_cancel(&f->a.task);
	EDDY_TRY(f->rc, eddy_race(self, &f->winner));
	ck_assert_ptr_eq(f->winner, &f->b.task);
	EDDY_RETURN(f->rc);
	EDDY_END;
}

SCENE(a_race_without_a_winner_is_cancelled, -ECANCELED, "+a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", LONG, 0);
	eddy_cancel(&f->a.task);
	EDDY_TRY(eddy_race(self, &f->winner));
	EDDY_FINALLY;
	ck_assert_ptr_null(f->winner);
	EDDY_END;
}

SCENE(operations_may_race, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(EDDY_START(self, &f->t, wait(&f->t)), 0);
	ck_assert_int_eq(
	    EDDY_START(self, &f->u, eddy_sleep(&f->u, EDDY_MS(1))), 0);
	ck_assert_int_eq(EDDY_START(self, &f->v, eddy_sleep(&f->v, LONG)), 0);
	EDDY_TRY(eddy_race(self, &f->winner));
	ck_assert_ptr_eq(f->winner, &f->u);
	ck_assert_int_eq(f->t.result, -ECANCELED);
	ck_assert_int_eq(f->v.result, -ECANCELED);
	EDDY_END;
}

/* Timeouts. */

static eddy_async
bounded(struct scene *f, int which)
{
	struct eddy_task *self = &f->task;

	switch (which) {
	case 0:
		return eddy_sleep(self, LONG);
	case 1:
		return wait(self);
	case 2:
		return eddy_call(self, init_kid(&f->a, "a", LONG, 0));
	}
	spawn_kid(self, &f->a, "a", LONG, 0);
	spawn_kid(self, &f->b, "b", LONG, 0);
	switch (which) {
	case 3:
		return eddy_join_all(self);
	case 4:
		return eddy_throttle(self, 2);
	case 5:
		return eddy_race(self, &f->winner);
	default:
		return eddy_join(self, &f->a.task);
	}
}

enum { BOUNDED = 7 };

static eddy_step
bounds(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	f->since = eddy_now();
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(2), bounded(f, f->n)));
	ck_assert_int_eq(f->rc, -ETIME);
	ck_assert_int_ge(eddy_now() - f->since, EDDY_MS(2));
	ck_assert(!eddy_cancelled(self));
	if (f->n > 1)
		ck_assert(eddy_done(&f->a.task));
	if (f->n > 2 && f->n < 6)
		ck_assert(eddy_done(&f->b.task));
	eddy_cancel(&f->b.task);
	/* The deadline is spent, not left behind for the next wait. */
	f->since = eddy_now();
	EDDY_TRY(eddy_sleep(self, EDDY_MS(4)));
	ck_assert_int_ge(eddy_now() - f->since, EDDY_MS(4));
	EDDY_END;
}

START_TEST(timeout_bounds_every_operation)
{
	struct scene f;

	memset(&f, 0, sizeof(f));
	eddy_prepare(&f.task, bounds, "bounds");
	f.n = _i;
	ck_assert_int_eq(eddy_run(&f.task), 0);
}
END_TEST

static eddy_step
bounds_in_finally(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_cancel(self);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(1), bounded(f, f->n)));
	ck_assert_int_eq(f->rc, -ETIME);
	eddy_cancel(&f->b.task);
	EDDY_RETURN(0);
	EDDY_END;
}

START_TEST(timeout_bounds_operations_of_finally)
{
	struct scene f;

	memset(&f, 0, sizeof(f));
	eddy_prepare(&f.task, bounds_in_finally, "bounds_in_finally");
	f.n = _i;
	ck_assert_int_eq(eddy_run(&f.task), 0);
}
END_TEST

SCENE(timeout_works_under_a_shield, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_shield(self, true);
	eddy_cancel(self);
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(1), wait(self)));
	ck_assert_int_eq(f->rc, -ETIME);
	EDDY_AWAIT(f->rc,
	    eddy_timeout(self, EDDY_MS(1), eddy_sleep(self, LONG)));
	ck_assert_int_eq(f->rc, -ETIME);
	EDDY_END;
}

SCENE(an_operation_in_time_keeps_its_result, 0, "+a a -a +b b -b ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, LONG,
	    eddy_call(self, init_kid(&f->a, "a", EDDY_MS(1), 7))));
	ck_assert_int_eq(f->rc, 7);
	EDDY_AWAIT(f->rc, eddy_timeout(self, LONG,
	    eddy_call(self, init_kid(&f->b, "b", 0, -EIO))));
	ck_assert_int_eq(f->rc, -EIO);
	f->since = eddy_now();
	EDDY_AWAIT(f->rc,
	    eddy_timeout(self, LONG, eddy_sleep(self, EDDY_MS(2))));
	ck_assert_int_eq(f->rc, 0);
	ck_assert_int_ge(eddy_now() - f->since, EDDY_MS(2));
	EDDY_AWAIT(f->rc, eddy_timeout(self, 0, eddy_yield(self)));
	ck_assert_int_eq(f->rc, 0);
	EDDY_AWAIT(f->rc, eddy_timeout(self, 0, eddy_complete(self, 3)));
	ck_assert_int_eq(f->rc, 3);
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_FOREVER,
	    eddy_sleep(self, EDDY_US(1))));
	ck_assert_int_eq(f->rc, 0);
	EDDY_END;
}

SCENE(timeouts_without_time_give_up_at_once, 0, "+a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, 0, wait(self)));
	ck_assert_int_eq(f->rc, -ETIME);
	EDDY_AWAIT(f->rc, eddy_timeout(self, -5, eddy_sleep(self, LONG)));
	ck_assert_int_eq(f->rc, -ETIME);
	EDDY_AWAIT(f->rc, eddy_timeout(self, INT64_MIN,
	    eddy_call(self, init_kid(&f->a, "a", LONG, 0))));
	ck_assert_int_eq(f->rc, -ETIME);
	EDDY_END;
}

SCENE(the_shorter_of_two_timeouts_counts, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, LONG,
	    eddy_timeout(self, EDDY_MS(1), wait(self))));
	ck_assert_int_eq(f->rc, -ETIME);
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(1),
	    eddy_timeout(self, LONG, wait(self))));
	ck_assert_int_eq(f->rc, -ETIME);
	EDDY_END;
}

struct nest {
	struct eddy_task task;
	struct kid k;
	int64_t limit;
	int rc;
};

static eddy_step
nest(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct nest, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, f->limit,
	    eddy_call(self, init_kid(&f->k, "k", LONG, 0))));
	say(f->rc == -ETIME ? "inner" : "cancelled");
	EDDY_RETURN(f->rc);
	EDDY_END;
}

struct outer {
	struct eddy_task task;
	struct nest n;
	int rc;
};

static eddy_step
outer(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct outer, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, LONG,
	    eddy_call(self, EDDY_INIT(&f->n, nest, .limit = EDDY_MS(1)))));
	ck_assert_int_eq(f->rc, -ETIME);
	ck_assert(!eddy_cancelled(self));
	say("passed on");
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(1),
	    eddy_call(self, EDDY_INIT(&f->n, nest, .limit = LONG))));
	ck_assert_int_eq(f->rc, -ETIME);
	say("outer");
	EDDY_END;
}

START_TEST(timeouts_nest_in_both_orders)
{
	struct outer f;

	ck_assert_int_eq(eddy_run(EDDY_INIT(&f, outer)), 0);
	ck_assert_str_eq(
	    trace, "+k -k inner passed on +k -k cancelled outer ");
}
END_TEST

static eddy_step
turns_cancel_into_a_result(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	EDDY_AWAIT(f->result, eddy_sleep(self, LONG));
	ck_assert_int_eq(f->result, -ECANCELED);
	EDDY_RETURN(11);
	EDDY_END;
}

SCENE(a_result_after_the_deadline_wins_too, 11, "")
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_prepare(&f->a.task, turns_cancel_into_a_result, "helper");
	EDDY_TRY(f->rc, eddy_timeout(self, EDDY_MS(1),
	    eddy_call(self, &f->a.task)));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

/* Something that happens to a task at the very deadline of its timeout, hence
 * in the same batch: just before it is due, or just after. */
struct nudge {
	struct eddy_timer timer;
	struct eddy_task *task;
	bool cancel;
	int answer;
};

static void
on_nudge(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct nudge *nudge = (struct nudge *)timer;

	(void)loop;
	nudge->answer = nudge->cancel ? eddy_cancel(nudge->task)
	                              : eddy_unpark(nudge->task, 7);
}

static int
nudge_at(struct nudge *nudge, struct eddy_task *task, int64_t offset)
{
	eddy_timer_init(&nudge->timer, on_nudge);
	nudge->task = task;
	nudge->answer = 1;
	return eddy_timer_start(
	    task->loop, &nudge->timer, task->alarm.deadline + offset);
}

struct victim {
	struct eddy_task task;
	struct nudge nudge;
	struct kid k;
	int call, rc;
};

static eddy_async
victims_wait(struct victim *f)
{
	if (f->call)
		return eddy_call(
		    &f->task, init_kid(&f->k, "k", LONG, 0));
	return wait(&f->task);
}

static eddy_step
victim(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct victim, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(1), victims_wait(f)));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

struct incident {
	struct eddy_task task;
	struct victim victim;
	int64_t offset;
	bool cancel, call;
};

static eddy_step
incident(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct incident, f);
	eddy_spawn(self, EDDY_INIT(&f->victim, victim, .call = f->call));
	EDDY_TRY(eddy_yield(self));
	f->victim.nudge.cancel = f->cancel;
	ck_assert_int_eq(
	    nudge_at(&f->victim.nudge, &f->victim.task, f->offset), 0);
	EDDY_AWAIT(f->victim.rc, eddy_join(self, &f->victim.task));
	ck_assert_int_ne(f->victim.nudge.answer, 1);
	EDDY_RETURN(f->victim.rc);
	EDDY_END;
}

static int
happen(struct incident *f)
{
	int r = eddy_run(EDDY_INIT(f, incident, .offset = f->offset,
	    .cancel = f->cancel, .call = f->call));

	ck_assert_int_eq(f->victim.task.result, r);
	return r;
}

START_TEST(a_result_in_the_batch_of_the_deadline_wins)
{
	struct incident f = { .offset = -1 };

	ck_assert_int_eq(happen(&f), 7);
	ck_assert_int_eq(f.victim.nudge.answer, 0);
}
END_TEST

START_TEST(a_result_behind_the_deadline_is_refused_to_its_giver)
{
	struct incident f = { .offset = 0 };

	ck_assert_int_eq(happen(&f), -ETIME);
	ck_assert_int_eq(f.victim.nudge.answer, -EALREADY);
}
END_TEST

START_TEST(a_cancel_before_the_deadline_of_its_batch_beats_it)
{
	struct incident f = { .offset = -1, .cancel = true, .call = _i };

	ck_assert_int_eq(happen(&f), -ECANCELED);
}
END_TEST

START_TEST(a_cancel_behind_the_deadline_of_its_batch_beats_it)
{
	struct incident f = { .offset = 0, .cancel = true, .call = _i };

	ck_assert_int_eq(happen(&f), -ECANCELED);
}
END_TEST

SCENE(a_sleep_without_memory_says_so, -ENOMEM, "")
{
	EDDY_BEGIN(self, struct scene, f);
	no_memory = true; /* the loop has no room for a timer yet */
	EDDY_TRY(eddy_sleep(self, EDDY_MS(1)));
	EDDY_FINALLY;
	no_memory = false;
	EDDY_END;
}

SCENE(a_deadline_without_memory_says_so, 0, "")
{
	struct eddy_task fresh;

	EDDY_BEGIN(self, struct scene, f);
	no_memory = true;
	ck_assert_int_eq(eddy_deadline_set(self, EDDY_FOREVER), -ENOMEM);
	no_memory = false;
	eddy_prepare(&fresh, kid, "fresh");
	ck_assert_int_eq(eddy_deadline_set(&fresh, EDDY_FOREVER), -EINVAL);
	EDDY_END;
}

static eddy_async
bounded_without_memory(struct scene *f)
{
	eddy_async op = bounded(f, f->n);

	no_memory = true;
	op = eddy_timeout(&f->task, EDDY_MS(1), op);
	no_memory = false;
	return op;
}

static eddy_step
starved(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_AWAIT(f->rc, bounded_without_memory(f));
	ck_assert_int_eq(f->rc, -ENOMEM);
	ck_assert(!eddy_cancelled(self));
	eddy_cancel(&f->a.task);
	eddy_cancel(&f->b.task);
	EDDY_END;
}

START_TEST(a_timeout_without_memory_says_so)
{
	struct scene f;

	memset(&f, 0, sizeof(f));
	eddy_prepare(&f.task, starved, "starved");
	f.n = _i;
	ck_assert_int_eq(eddy_run(&f.task), 0);
}
END_TEST

/* Cancelling. */

static int stubborn_left;

static eddy_step
stubborn(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_AWAIT(f->rc, wait(self));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_AWAIT(f->rc, eddy_sleep(self, 0));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_AWAIT(f->rc, eddy_yield(self));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_AWAIT(f->rc, eddy_join_all(self));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_AWAIT(f->rc, eddy_throttle(self, 5));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_AWAIT(f->rc, eddy_timeout(self, 0, eddy_sleep(self, LONG)));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_AWAIT(f->rc, eddy_timeout(self, 0, wait(self)));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_AWAIT(f->rc, eddy_call(self, init_kid(&f->a, "a", LONG, 0)));
	ck_assert_int_eq(f->rc, -ECANCELED);
	spawn_kid(self, &f->b, "b", LONG, 0);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->b.task));
	ck_assert_int_eq(f->rc, -ECANCELED);
	spawn_kid(self, &f->c, "c", LONG, 0);
	EDDY_AWAIT(f->rc, eddy_race(self, NULL));
	ck_assert_int_eq(f->rc, -ECANCELED);
	ck_assert_int_eq(EDDY_START(self, &f->t, eddy_sleep(&f->t, LONG)), 0);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, -ECANCELED);
	stubborn_left++;
	EDDY_RETURN(42);
	EDDY_END;
}

SCENE(every_await_of_a_cancelled_task_says_so, 42, "+a -a +b -b +c -c ")
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = eddy_new_frame(sizeof(*f), stubborn, "stubborn");
	ck_assert_int_eq(eddy_spawn(self, f->other), 0);
	EDDY_TRY(eddy_yield(self));
	ck_assert_int_eq(eddy_cancel(f->other), 0);
	ck_assert_int_eq(eddy_cancel(f->other), 0);
	EDDY_TRY(f->rc, eddy_join(self, f->other));
	ck_assert_int_eq(stubborn_left, 1);
	EDDY_RETURN(f->rc);
	EDDY_END;
}

SCENE(a_task_may_cancel_itself, -ECANCELED, "before after finally ")
{
	EDDY_BEGIN(self, struct scene, f);
	say("before");
	ck_assert(!eddy_cancelled(self));
	ck_assert_int_eq(eddy_cancel(self), 0);
	ck_assert(eddy_cancelled(self));
	say("after");
	EDDY_TRY(eddy_sleep(self, LONG));
	say("NOT reached");
	EDDY_FINALLY;
	ck_assert(!eddy_cancelled(self));
	say("finally");
	EDDY_END;
}

static eddy_step
cleans_up(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	say("finally");
	EDDY_AWAIT(f->rc, eddy_sleep(self, EDDY_MS(1)));
	ck_assert_int_eq(f->rc, 0);
	EDDY_AWAIT(f->rc, eddy_call(self, init_kid(&f->a, "a", 0, 1)));
	ck_assert_int_eq(f->rc, 1);
	spawn_kid(self, &f->b, "b", 0, 2);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->b.task));
	ck_assert_int_eq(f->rc, 2);
	EDDY_AWAIT(f->rc, wait(self));
	ck_assert_int_eq(f->rc, 8);
	say("clean");
	EDDY_END;
}

SCENE(awaits_in_finally_are_not_cancelled, 0,
    "finally +a a -a +b b -b again clean ")
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = eddy_new_frame(sizeof(*f), cleans_up, "cleans up");
	ck_assert_int_eq(eddy_spawn(self, f->other), 0);
	EDDY_TRY(eddy_yield(self));
	eddy_cancel(f->other);
	while (f->other->op != &waiting)
		EDDY_TRY(eddy_yield(self));
	say("again");
	ck_assert_int_eq(eddy_cancel(f->other), 0);
	EDDY_TRY(eddy_yield(self));
	ck_assert_int_eq(eddy_unpark(f->other, 8), 0);
	EDDY_END;
}

SCENE(a_cancel_during_finally_leaves_the_result, 0, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, 6);
	while (f->a.task.at == NULL || strcmp(trace, "+a a -a ") != 0)
		EDDY_TRY(eddy_yield(self));
	ck_assert(!eddy_done(&f->a.task));
	ck_assert_int_eq(eddy_cancel(&f->a.task), 0);
	EDDY_TRY(f->rc, eddy_join(self, &f->a.task));
	ck_assert_int_eq(f->rc, 6);
	EDDY_END;
}

SCENE(a_task_cancelled_before_its_first_step_starts_and_cleans_up, 0,
    "+a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", LONG, 0);
	ck_assert_int_eq(eddy_cancel(&f->a.task), 0);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_int_eq(f->a.task.result, -ECANCELED);
	EDDY_END;
}

SCENE(cancel_of_an_ended_task_leaves_its_result, 0, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, 5);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_int_eq(eddy_cancel(&f->a.task), -EALREADY);
	ck_assert_int_eq(f->a.task.result, 5);
	EDDY_TRY(f->rc, eddy_join(self, &f->a.task));
	ck_assert_int_eq(f->rc, 5);
	EDDY_END;
}

SCENE(cancel_of_an_unstarted_task_is_refused, 0, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	init_kid(&f->a, "a", 0, 3);
	ck_assert_int_eq(eddy_cancel(&f->a.task), -EINVAL);
	EDDY_TRY(f->rc, eddy_call(self, &f->a.task)); /* unharmed */
	ck_assert_int_eq(f->rc, 3);
	EDDY_END;
}

SCENE(a_result_that_is_there_wins_the_next_await_is_cancelled, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(EDDY_START(self, &f->t, wait(&f->t)), 0);
	ck_assert_int_eq(eddy_unpark(&f->t, 7), 0);
	ck_assert_int_eq(eddy_cancel(&f->t), 0);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, 7);
	EDDY_END;
}

static eddy_step
calls_and_spawns(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "s", LONG, 0);
	spawn_kid(self, &f->b, "s", LONG, 0);
	EDDY_TRY(eddy_call(self, init_kid(&f->c, "called", LONG, 0)));
	EDDY_FINALLY;
	say("all gone");
	EDDY_END;
}

SCENE(cancel_reaches_callees_and_descendants, 0,
    "+called +s +s cancel -called -s -s all gone ")
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = eddy_new_frame(sizeof(*f), calls_and_spawns, "parent");
	ck_assert_int_eq(eddy_spawn(self, f->other), 0);
	EDDY_TRY(eddy_yield(self));
	EDDY_TRY(eddy_yield(self));
	say("cancel");
	eddy_cancel(f->other);
	/* At once, not only as each of them leaves. */
	ck_assert(eddy_cancelled(&((struct scene *)f->other)->a.task));
	ck_assert(eddy_cancelled(&((struct scene *)f->other)->b.task));
	ck_assert(eddy_cancelled(&((struct scene *)f->other)->c.task));
	EDDY_AWAIT(f->rc, eddy_join(self, f->other));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_END;
}

SCENE(children_of_a_cancelled_task_are_born_cancelled, 0, "+a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_cancel(self);
	spawn_kid(self, &f->a, "a", LONG, 0);
	ck_assert(eddy_cancelled(&f->a.task));
	EDDY_FINALLY;
	ck_assert_int_eq(f->a.task.result, -ECANCELED);
	EDDY_RETURN(0);
	EDDY_END;
}

static eddy_step
commits(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_shield(self, true);
	EDDY_AWAIT(f->rc, wait(self));
	ck_assert_int_eq(f->rc, 1);
	ck_assert(!eddy_cancelled(self));
	EDDY_AWAIT(f->rc, eddy_sleep(self, EDDY_US(1)));
	ck_assert_int_eq(f->rc, 0);
	EDDY_AWAIT(f->rc, eddy_call(self, init_kid(&f->a, "a", 0, 4)));
	ck_assert_int_eq(f->rc, 4);
	say("committed");
	eddy_shield(self, false);
	ck_assert(eddy_cancelled(self));
	EDDY_TRY(eddy_sleep(self, LONG));
	say("NOT reached");
	EDDY_END;
}

SCENE(a_shield_defers_cancelling, 0, "+a a -a committed ")
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = eddy_new_frame(sizeof(*f), commits, "commits");
	ck_assert_int_eq(eddy_spawn(self, f->other), 0);
	EDDY_TRY(eddy_yield(self));
	eddy_cancel(f->other);
	ck_assert_int_eq(eddy_unpark(f->other, 1), 0);
	EDDY_AWAIT(f->rc, eddy_join(self, f->other));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_END;
}

static eddy_step
shielded_call(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_shield(self, true);
	EDDY_AWAIT(f->rc, eddy_call(self, init_kid(&f->a, "a", EDDY_MS(2), 4)));
	ck_assert_int_eq(f->rc, 4);
	EDDY_END;
}

SCENE(a_shield_covers_what_is_called_under_it, 0, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = eddy_new_frame(sizeof(*f), shielded_call, "shielded");
	ck_assert_int_eq(eddy_spawn(self, f->other), 0);
	EDDY_TRY(eddy_yield(self));
	eddy_cancel(f->other);
	EDDY_TRY(eddy_join(self, f->other));
	EDDY_END;
}

SCENE(children_of_a_shield_are_cancelled_as_the_scope_leaves, 2, "+a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_cancel(self);
	eddy_shield(self, true);
	spawn_kid(self, &f->a, "a", LONG, 0);
	ck_assert(!eddy_cancelled(&f->a.task));
	eddy_shield(self, false);
	EDDY_RETURN(2);
	EDDY_END;
}

SCENE(a_shield_defers_the_failure_of_a_child, -EIO, "+a a -a whole ")
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_shield(self, true);
	spawn_kid(self, &f->a, "a", 0, -EIO);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(100)));
	say("whole");
	eddy_shield(self, false);
	EDDY_TRY(eddy_sleep(self, LONG));
	say("NOT reached");
	EDDY_END;
}

/* Parking. */

SCENE(unpark_twice_is_refused, 1, "")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(eddy_unpark(self, 9), -EALREADY);
	ck_assert_int_eq(EDDY_START(self, &f->t, wait(&f->t)), 0);
	ck_assert_int_eq(eddy_unpark(&f->t, 1), 0);
	ck_assert_int_eq(eddy_unpark(&f->t, 2), -EALREADY);
	EDDY_TRY(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(eddy_unpark(&f->t, 3), -EALREADY);
	EDDY_RETURN(f->rc);
	EDDY_END;
}

/* A semaphore, made with what task.h offers: a FIFO linked through user[]. */
struct semaphore {
	int count;
	struct eddy_task *first;
};

static struct eddy_task **
follower(struct eddy_task *task)
{
	return (struct eddy_task **)&task->use.user[0];
}

static int
semaphore_leave(struct eddy_task *task, int rc)
{
	struct semaphore *s = task->use.user[1];
	struct eddy_task **p = &s->first;

	while (*p != task)
		p = follower(*p);
	*p = *follower(task);
	return eddy_unpark(task, rc);
}

static const struct eddy_op semaphore_op = { "semaphore", semaphore_leave };

static EDDY_ASYNC
semaphore_take(struct eddy_task *self, struct semaphore *s)
{
	struct eddy_task **p = &s->first;

	if (eddy_cancelled(self))
		return eddy_complete(self, -ECANCELED);
	if (s->count > 0)
		return eddy_complete(self, --s->count * 0);
	while (*p != NULL)
		p = follower(*p);
	*p = self;
	self->use.user[0] = NULL;
	self->use.user[1] = s;
	return eddy_park(self, &semaphore_op);
}

static void
semaphore_give(struct semaphore *s)
{
	struct eddy_task *task = s->first;

	if (task == NULL) {
		s->count++;
		return;
	}
	s->first = *follower(task);
	ck_assert_int_eq(eddy_unpark(task, 0), 0);
}

static struct semaphore semaphore;

SCENE(an_operation_of_ones_own_has_timeout_cancel_and_start, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_START(self, &f->t, semaphore_take(&f->t, &semaphore));
	EDDY_START(self, &f->u, eddy_timeout(&f->u, EDDY_MS(1),
	    semaphore_take(&f->u, &semaphore)));
	EDDY_START(self, &f->v, semaphore_take(&f->v, &semaphore));
	EDDY_AWAIT(f->rc, eddy_join(self, &f->u));
	ck_assert_int_eq(f->rc, -ETIME);
	eddy_cancel(&f->t);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, -ECANCELED);
	semaphore_give(&semaphore);
	semaphore_give(&semaphore);
	EDDY_TRY(eddy_join(self, &f->v));
	EDDY_TRY(semaphore_take(self, &semaphore));
	EDDY_AWAIT(f->rc, eddy_timeout(self, 0,
	    semaphore_take(self, &semaphore)));
	ck_assert_int_eq(f->rc, -ETIME);
	ck_assert_ptr_null(semaphore.first);
	EDDY_END;
}

/* An operation that cannot be given up at once. */
struct slow {
	struct eddy_timer timer;
	struct eddy_task *task;
	int rc, asked;
};

static void
slow_left(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct slow *slow = (struct slow *)timer;

	(void)loop;
	ck_assert_int_eq(eddy_unpark(slow->task, slow->rc), 0);
}

static int
slow_leave(struct eddy_task *task, int rc)
{
	struct slow *slow = task->use.user[0];

	slow->asked++;
	slow->rc = rc;
	return eddy_timer_start(
	    task->loop, &slow->timer, eddy_after(EDDY_MS(1)));
}

static const struct eddy_op slow_op = { "slow", slow_leave };
static struct slow slow;

static EDDY_ASYNC
slow_wait(struct eddy_task *self)
{
	eddy_timer_init(&slow.timer, slow_left);
	slow.task = self;
	slow.asked = 0;
	self->use.user[0] = &slow;
	return eddy_park(self, &slow_op);
}

SCENE(a_hook_may_give_up_later, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	f->since = eddy_now();
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(1), slow_wait(self)));
	ck_assert_int_eq(f->rc, -ETIME);
	ck_assert_int_ge(eddy_now() - f->since, EDDY_MS(2));
	EDDY_START(self, &f->t, slow_wait(&f->t));
	eddy_cancel(&f->t);
	ck_assert_int_ge(slow.asked, 1);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_END;
}

SCENE(a_result_while_giving_up_wins, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_START(self, &f->t, eddy_timeout(&f->t, 0, slow_wait(&f->t)));
	while (slow.asked == 0)
		EDDY_TRY(eddy_yield(self));
	ck_assert_int_eq(eddy_unpark(&f->t, 9), 0);
	eddy_timer_stop(self->loop, &slow.timer);
	EDDY_TRY(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, 9);
	EDDY_END;
}

SCENE(a_cancel_while_a_timeout_gives_up_beats_it, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_START(self, &f->t, eddy_timeout(&f->t, 0, slow_wait(&f->t)));
	while (slow.asked == 0)
		EDDY_TRY(eddy_yield(self));
	eddy_cancel(&f->t);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_END;
}

/* Many and deep. */

static uintptr_t lowest, highest;

__attribute__((noinline)) static void
measure(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (lowest == 0 || here < lowest)
		lowest = here;
	if (here > highest)
		highest = here;
}

static int ticks, sleeps;

static eddy_step
ticker(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	for (;; ticks++)
		EDDY_TRY(eddy_yield(self));
	EDDY_END;
}

static eddy_step
sleeper(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	for (;; sleeps++)
		EDDY_TRY(eddy_sleep(self, EDDY_US(10)));
	EDDY_END;
}

enum { MILLION = 1000000, DEEP = 100000, STACK = 4096 };

SCENE(a_million_complete_awaits_neither_recurse_nor_starve, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_fn(self, &f->a, ticker);
	spawn_fn(self, &f->b, sleeper);
	for (f->i = 0; f->i < MILLION; f->i++) {
		measure();
		EDDY_AWAIT(f->rc, eddy_throttle(self, 3));
		ck_assert(f->rc == 0);
	}
	ck_assert_uint_lt(highest - lowest, STACK);
	ck_assert_int_ge(ticks, MILLION / 1000);
	ck_assert_int_ge(sleeps, 3);
	eddy_cancel(&f->a.task);
	eddy_cancel(&f->b.task);
	EDDY_END;
}

static eddy_step
leaf(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	measure();
	EDDY_RETURN(1);
	EDDY_END;
}

SCENE(a_million_calls_neither_recurse_nor_starve, MILLION, "")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_fn(self, &f->a, ticker);
	spawn_fn(self, &f->b, sleeper);
	for (f->i = 0; f->i < MILLION; f->i++) {
		measure();
		eddy_prepare(&f->c.task, leaf, "leaf");
		EDDY_AWAIT(f->rc, eddy_call(self, &f->c.task));
		f->n += f->rc;
	}
	ck_assert_uint_lt(highest - lowest, STACK);
	ck_assert_int_ge(ticks, MILLION / 1000);
	ck_assert_int_ge(sleeps, 3);
	eddy_cancel(&f->a.task);
	eddy_cancel(&f->b.task);
	EDDY_RETURN(f->n);
	EDDY_END;
}

static eddy_step
spinner(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	do
		EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	while (f->rc == -ECANCELED && f->i++ < MILLION);
	say("spun");
	EDDY_END;
}

SCENE(a_task_deaf_to_cancelling_does_not_starve_others, 0, "+a a -a spun ")
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = eddy_new_frame(sizeof(*f), spinner, "spinner");
	eddy_spawn(self, f->other);
	eddy_cancel(f->other);
	spawn_kid(self, &f->a, "a", EDDY_US(1), 0);
	EDDY_END;
}

static struct eddy_task *deepest;
static int deep_finals;

static int
measured_leave(struct eddy_task *task, int rc)
{
	measure();
	return eddy_unpark(task, rc);
}

static const struct eddy_op measured_op = { "measured", measured_leave };

struct deep {
	struct eddy_task task;
	int n;
	enum { CALL, SPAWN_AND_JOIN, SPAWN_AND_SLEEP, SPAWN_AND_LEAVE } how;
};

static eddy_step
deep(struct eddy_task *self)
{
	int rc;

	EDDY_BEGIN(self, struct deep, f);
	measure();
	if (f->n == 0) {
		deepest = self;
		EDDY_AWAIT(rc, eddy_park(self, &measured_op));
		EDDY_RETURN(rc);
	}
	if (f->how == CALL) {
		EDDY_AWAIT(rc, eddy_call(self,
		    EDDY_NEW(deep, .n = f->n - 1, .how = f->how)));
		measure();
		EDDY_RETURN(rc < 0 ? rc : rc + 1);
	}
	ck_assert_int_eq(eddy_spawn(self,
	    EDDY_NEW(deep, .n = f->n - 1, .how = f->how)), 0);
	if (f->how == SPAWN_AND_SLEEP)
		EDDY_TRY(eddy_sleep(self, LONG));
	if (f->how == SPAWN_AND_JOIN)
		EDDY_TRY(eddy_join_all(self));
	EDDY_FINALLY;
	measure();
	deep_finals++;
	EDDY_END;
}

SCENE(a_call_chain_of_any_depth_needs_no_stack, DEEP, "")
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = EDDY_NEW(deep, .n = DEEP);
	ck_assert_int_eq(eddy_spawn(self, f->other), 0);
	while (deepest == NULL)
		EDDY_TRY(eddy_yield(self));
	ck_assert_int_ge(live, DEEP);
	eddy_unpark(deepest, 0);
	EDDY_TRY(f->rc, eddy_join(self, f->other));
	ck_assert_uint_lt(highest - lowest, STACK);
	ck_assert_int_lt(live, DEEP);
	EDDY_RETURN(f->rc);
	EDDY_END;
}

struct abyss {
	struct eddy_task task;
	int how, rc;
	struct eddy_task *top;
};

static eddy_step
abyss(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct abyss, f);
	f->top = EDDY_NEW(deep, .n = DEEP, .how = (unsigned)f->how);
	ck_assert_int_eq(eddy_spawn(self, f->top), 0);
	while (deepest == NULL)
		EDDY_TRY(eddy_yield(self));
	ck_assert_int_eq(eddy_cancel(f->top), 0);
	EDDY_AWAIT(f->rc, eddy_join(self, f->top));
	ck_assert_int_eq(f->rc, f->how == SPAWN_AND_LEAVE ? 0 : -ECANCELED);
	ck_assert_int_eq(deep_finals, DEEP + 1);
	ck_assert_uint_lt(highest - lowest, STACK);
	EDDY_END;
}

START_TEST(cancelling_a_chain_of_any_depth_does_not_recurse)
{
	struct abyss f;

	ck_assert_int_eq(eddy_run(EDDY_INIT(&f, abyss, .how = _i)), 0);
}
END_TEST

/* Frames. */

SCENE(no_frame_is_no_memory, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(eddy_spawn(self, NULL), -ENOMEM);
	ck_assert_int_eq(eddy_loop_spawn(self->loop, NULL, NULL), -ENOMEM);
	EDDY_AWAIT(f->rc, eddy_call(self, NULL));
	ck_assert_int_eq(f->rc, -ENOMEM);
	no_memory = true;
	ck_assert_ptr_null(eddy_new_frame(100, worker, "worker"));
	ck_assert_int_eq(eddy_spawn(self, EDDY_NEW(worker)), -ENOMEM);
	EDDY_AWAIT(f->rc, eddy_call(self, EDDY_NEW(worker)));
	ck_assert_int_eq(f->rc, -ENOMEM);
	no_memory = false;
	ck_assert_int_eq(eddy_run(NULL), -ENOMEM);
	EDDY_END;
}

SCENE(frames_of_new_are_freed_when_they_end, 0, "+x x -x +y y -y +z -z ")
{
	EDDY_BEGIN(self, struct scene, f);
	f->n = live;
	eddy_spawn(self, EDDY_NEW(kid, .name = "x"));
	EDDY_TRY(eddy_join_all(self));
	ck_assert_int_eq(live, f->n);
	EDDY_TRY(eddy_call(self, EDDY_NEW(kid, .name = "y")));
	ck_assert_int_eq(live, f->n);
	f->other = EDDY_NEW(kid, .name = "z", .duration = LONG);
	eddy_spawn(self, f->other);
	eddy_cancel(f->other);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_int_eq(live, f->n);
	EDDY_END;
}

SCENE(frames_that_were_refused_are_freed, 0, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	f->n = live;
	init_kid(&f->a, "a", 0, 0); /* as a scope: not started, then ended */
	ck_assert_int_eq(eddy_spawn(&f->a.task, EDDY_NEW(worker)), -EINVAL);
	EDDY_TRY(eddy_call(self, &f->a.task));
	ck_assert_int_eq(eddy_spawn(&f->a.task, EDDY_NEW(worker)), -ECANCELED);
	ck_assert_int_eq(live, f->n);
	EDDY_END;
}

SCENE(a_used_frame_is_refused_and_left_alone, 0, "+a +x a -a x -x ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", EDDY_MS(1), 4);
	f->other = EDDY_NEW(kid, .name = "x", .duration = EDDY_MS(2));
	ck_assert_int_eq(eddy_spawn(self, f->other), 0);
	f->n = live;
	ck_assert_int_eq(eddy_spawn(self, f->other), -EINVAL);
	ck_assert_int_eq(eddy_spawn(self, &f->a.task), -EINVAL);
	ck_assert_int_eq(
	    eddy_loop_spawn(self->loop, f->other, NULL), -EINVAL);
	EDDY_AWAIT(f->rc, eddy_call(self, f->other));
	ck_assert_int_eq(f->rc, -EINVAL);
	EDDY_AWAIT(f->rc, eddy_call(self, self));
	ck_assert_int_eq(f->rc, -EINVAL);
	ck_assert_int_eq(live, f->n);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_int_eq(eddy_spawn(self, &f->a.task), -EINVAL);
	ck_assert_int_eq(f->a.task.result, 4);
	EDDY_END;
}

SCENE(a_frame_may_be_used_again_after_init, 0, "+a a -a +a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	for (f->i = 0; f->i < 2; f->i++)
		EDDY_TRY(eddy_call(self, init_kid(&f->a, "a", 0, 0)));
	EDDY_END;
}

struct big {
	struct eddy_task task;
	char bytes[1 << 20];
};

static eddy_step
big(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct big, f);
	ck_assert(f->bytes[0] == 0 && f->bytes[sizeof(f->bytes) - 1] == 0);
	memset(f->bytes, 'x', sizeof(f->bytes));
	EDDY_TRY(eddy_yield(self));
	ck_assert_int_eq(f->bytes[sizeof(f->bytes) - 1], 'x');
	EDDY_END;
}

SCENE(big_frames_come_from_new_frame_zeroed, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = eddy_new_frame(sizeof(struct big), big, "big");
	ck_assert_str_eq(f->other->name, "big");
	EDDY_TRY(eddy_call(self, f->other));
	EDDY_END;
}

/* The loop thread only. */

struct intruder {
	struct eddy_task *scope, *running, *parked;
	struct kid a;
	int spawn, spawn_new, root, root_new, cancel, unpark, bound;
};

static void *
intrude(void *arg)
{
	struct intruder *in = arg;
	struct eddy_loop *loop = in->scope->loop;

	in->spawn = eddy_spawn(in->scope, init_kid(&in->a, "a", 0, 0));
	in->spawn_new = eddy_spawn(in->scope, EDDY_NEW(worker));
	in->root = eddy_loop_spawn(loop, init_kid(&in->a, "a", 0, 0), NULL);
	in->root_new = eddy_loop_spawn(loop, EDDY_NEW(worker), NULL);
	in->cancel = eddy_cancel(in->running);
	in->unpark = eddy_unpark(in->parked, 6);
	in->bound = eddy_deadline_set(in->running, EDDY_FOREVER);
	return NULL;
}

SCENE(calls_from_another_thread_are_refused, 0, "+b b -b ")
{
	static struct intruder in;
	pthread_t thread;

	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->b, "b", EDDY_MS(1), 0);
	EDDY_START(self, &f->t, wait(&f->t));
	EDDY_TRY(eddy_yield(self));
	in = (struct intruder){ .scope = self, .running = &f->b.task,
		.parked = &f->t };
	ck_assert_int_eq(pthread_create(&thread, NULL, intrude, &in), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(in.spawn, -EPERM);
	ck_assert_int_eq(in.spawn_new, -EPERM);
	ck_assert_int_eq(in.root, -EPERM);
	ck_assert_int_eq(in.root_new, -EPERM);
	ck_assert_int_eq(in.cancel, -EPERM);
	ck_assert_int_eq(in.unpark, -EPERM);
	ck_assert_int_eq(in.bound, -EPERM);
	ck_assert_ptr_null(f->b.task.why); /* nor has it one now */
	ck_assert_int_eq(eddy_unpark(&f->t, 5), 0);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, 5);
	EDDY_END;
}

/* eddy_run and roots. */

SCENE(a_main_task_that_nothing_can_wake_is_a_deadlock, -EDEADLK,
    "+a a -a finally ")
{
	static struct eddy_event never;

	EDDY_BEGIN(self, struct scene, f);
	eddy_event_init(&never);
	EDDY_START(self, &f->t, eddy_event_wait(&f->t, &never));
	EDDY_AWAIT(f->rc, eddy_event_wait(self, &never));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_RETURN(3);
	EDDY_FINALLY;
	EDDY_AWAIT(f->rc, eddy_call(self, init_kid(&f->a, "a", 0, 0)));
	say("finally");
	EDDY_END;
}

static eddy_step
hopeless(struct eddy_task *self)
{
	static struct eddy_event never;

	EDDY_BEGIN(self, struct scene, f);
	EDDY_FINALLY;
	eddy_event_init(&never);
	EDDY_AWAIT(f->rc, eddy_event_wait(self, &never));
	EDDY_END;
}

/* Its loop is kept, so this is a process of its own. */
static int
run_hopeless(void *arg)
{
	struct eddy_loop_options options = {.close_duration = LONG};
	struct scene f = {.rc = 0};

	(void)arg;
	eddy_prepare(&f.task, hopeless, "hopeless");
	return eddy_run_with(&options, &f.task);
}

START_TEST(who_cannot_be_woken_is_not_waited_for)
{
	ck_assert_int_eq(census_child(run_hopeless, NULL), -EDEADLK);
}
END_TEST

SCENE(a_timeout_without_an_end_wakes_nobody, -EDEADLK, "")
{
	static struct eddy_event never;

	EDDY_BEGIN(self, struct scene, f);
	eddy_event_init(&never);
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_FOREVER,
	    eddy_event_wait(self, &never)));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_END;
}

static void
said_done(struct eddy_loop *loop, struct eddy_task *task)
{
	ck_assert_ptr_eq(task->loop, loop);
	ck_assert(eddy_done(task));
	say("done=%d", task->result);
}

SCENE(other_roots_are_cancelled_at_the_end, 5, "+x main -x done=-125 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(eddy_loop_spawn(self->loop,
	    EDDY_NEW(kid, .name = "x", .duration = LONG), said_done), 0);
	ck_assert_int_eq(eddy_loop_spawn(self->loop,
	    eddy_new_frame(sizeof(struct kid), ticker, "ticker"), NULL), 0);
	EDDY_TRY(eddy_yield(self));
	say("main");
	EDDY_RETURN(5);
	EDDY_END;
}

static eddy_step
starts_another_root(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	eddy_loop_spawn(self->loop,
	    EDDY_NEW(kid, .name = "x", .duration = LONG), said_done);
	EDDY_END;
}

SCENE(a_root_that_starts_while_draining_is_cancelled_too, 0,
    "+x -x done=-125 ")
{
	static struct kid a;

	EDDY_BEGIN(self, struct scene, f);
	eddy_prepare(&a.task, starts_another_root, "root");
	ck_assert_int_eq(eddy_loop_spawn(self->loop, &a.task, NULL), 0);
	EDDY_TRY(eddy_yield(self));
	EDDY_END;
}

SCENE(a_stop_of_the_loop_cancels_the_main_task, 6, "+x -x left done=-125 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(eddy_loop_spawn(self->loop,
	    EDDY_NEW(kid, .name = "x", .duration = LONG), said_done), 0);
	EDDY_TRY(eddy_yield(self));
	ck_assert_int_eq(eddy_loop_stop(self->loop), 0);
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	ck_assert_int_eq(f->rc, -ECANCELED);
	say("left");
	EDDY_RETURN(6);
	EDDY_END;
}

START_TEST(run_takes_a_frame_of_new)
{
	ck_assert_int_eq(
	    eddy_run(EDDY_NEW(kid, .name = "m", .result = 8)), 8);
	ck_assert_str_eq(trace, "+m m -m ");
}
END_TEST

START_TEST(run_refuses_a_used_frame)
{
	struct kid k;

	ck_assert_int_eq(eddy_run(init_kid(&k, "a", 0, 8)), 8);
	ck_assert_int_eq(eddy_run(&k.task), -EINVAL);
	ck_assert_int_eq(k.task.result, 8);
	no_memory = true;
	ck_assert_int_eq(eddy_run(init_kid(&k, "a", 0, 8)), -ENOMEM);
	no_memory = false;
}
END_TEST

SCENE(run_may_be_called_in_a_task, 2, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	f->rc = eddy_run(init_kid(&f->a, "a", EDDY_US(1), 2));
	EDDY_TRY(eddy_yield(self));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

static void
free_frame(struct eddy_loop *loop, struct eddy_task *task)
{
	(void)loop;
	say("freed=%d", task->result);
	free(task);
}

START_TEST(done_of_a_root_may_free_its_frame)
{
	struct eddy_loop *loop = census_loop();
	struct kid *k = calloc(1, sizeof(*k));

	init_kid(k, "a", EDDY_US(1), 3);
	ck_assert_int_eq(eddy_loop_spawn(loop, &k->task, free_frame), 0);
	ck_assert_int_eq(eddy_loop_close(loop), -EBUSY);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "+a a -a freed=3 ");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
run_another(struct eddy_loop *loop, struct eddy_task *task)
{
	say("done=%d", task->result);
	if (task->result < 3)
		ck_assert_int_eq(eddy_loop_spawn(loop,
		    EDDY_NEW(kid, .name = "x", .result = task->result + 1),
		    run_another), 0);
}

START_TEST(done_of_a_root_may_start_another)
{
	struct eddy_loop *loop = census_loop();

	ck_assert_int_eq(eddy_loop_spawn(loop,
	    EDDY_NEW(kid, .name = "x", .result = 1), run_another), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(
	    trace, "+x x -x done=1 +x x -x done=2 +x x -x done=3 ");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_root_may_be_cancelled_from_outside)
{
	struct eddy_loop *loop = census_loop();
	struct kid k;

	init_kid(&k, "a", LONG, 3);
	ck_assert_int_eq(eddy_loop_spawn(loop, &k.task, said_done), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_int_eq(eddy_cancel(&k.task), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "+a -a done=-125 ");
	ck_assert_int_eq(eddy_cancel(&k.task), -EALREADY);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Standard error is a pipe whose reader has gone. */
static int
run_unheard(void *arg)
{
	struct eddy_task *task = EDDY_NEW(kid, .name = "a", .result = -ENOENT);
	struct eddy_loop *loop;
	int ends[2];

	(void)arg;
	if (pipe(ends) < 0 || dup2(ends[1], STDERR_FILENO) < 0 ||
	    close(ends[0]) < 0 || eddy_loop_open(&loop, NULL) < 0 ||
	    eddy_loop_spawn(loop, task, NULL) < 0)
		return -1;
	return eddy_loop_run(loop) < 0 ? -1 : run_hopeless(NULL);
}

START_TEST(a_line_that_nobody_reads_kills_nobody)
{
	ck_assert_int_eq(census_child(run_unheard, NULL), -EDEADLK);
}
END_TEST

START_TEST(an_error_that_nobody_reads_is_a_line_on_standard_error)
{
	int fd = memfd_create("stderr", MFD_CLOEXEC), saved = dup(2);
	struct eddy_loop *loop = census_loop();
	char line[200], expected[200];
	struct kid k;

	init_kid(&k, "a", 0, -ENOENT);
	ck_assert_int_eq(eddy_loop_spawn(loop, &k.task, NULL), 0);
	dup2(fd, 2);
	errno = EXDEV;
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(errno, EXDEV);
	dup2(saved, 2);
	close(saved);
	census_read(fd, line, sizeof(line));
	snprintf(expected, sizeof(expected),
	    "eddy: kid: nobody read its error: %s\n", strerror(ENOENT));
	ck_assert_str_eq(line, expected);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* EDDY_START. */

SCENE(start_looks_once_where_its_task_is, 0, "")
{
	static struct eddy_task three[3];
	static int n;

	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(EDDY_START(self, &three[n++],
	    eddy_sleep(&three[0], EDDY_MS(1))), 0);
	ck_assert_int_eq(n, 1);
	EDDY_TRY(f->rc, eddy_join(self, &three[0]));
	EDDY_END;
}

/* Without a warning by -Wshadow. */
SCENE(start_and_cancel_may_stand_inside_an_await, -ECANCELED, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_TRY(eddy_complete(
	    self, EDDY_START(self, &f->t, eddy_sleep(&f->t, LONG))));
	EDDY_TRY(eddy_complete(self, eddy_cancel(&f->t, "enough")));
	EDDY_TRY(eddy_join(self, &f->t));
	EDDY_END;
}

SCENE(start_makes_a_child_of_any_operation, 0, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_START(self, &f->t, eddy_complete(&f->t, 3));
	EDDY_START(self, &f->u,
	    eddy_call(&f->u, init_kid(&f->a, "a", EDDY_US(1), 4)));
	EDDY_START(self, &f->v,
	    eddy_timeout(&f->v, EDDY_MS(1), eddy_sleep(&f->v, LONG)));
	ck_assert(!eddy_done(&f->t));
	EDDY_AWAIT(f->rc, eddy_join(self, &f->v));
	ck_assert_int_eq(f->rc, -ETIME);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->u));
	ck_assert_int_eq(f->rc, 4);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, 3);
	EDDY_START(self, &f->t, eddy_yield(&f->t)); /* a slot again */
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, 0);
	EDDY_END;
}

SCENE(a_yield_started_below_a_cancelled_task_is_cancelled, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_cancel(self);
	EDDY_START(self, &f->t, eddy_yield(&f->t));
	EDDY_FINALLY;
	ck_assert_int_eq(f->t.result, -ECANCELED);
	EDDY_END;
}

SCENE(a_started_operation_that_fails_fails_the_scope, -EIO, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_START(self, &f->t, eddy_complete(&f->t, -EIO));
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_END;
}

SCENE(a_started_call_may_be_cancelled, 0, "+a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_START(self, &f->t,
	    eddy_call(&f->t, init_kid(&f->a, "a", LONG, 0)));
	eddy_cancel(&f->t); /* before the callee's first step */
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, -ECANCELED);
	ck_assert_int_eq(f->a.task.result, -ECANCELED);
	EDDY_END;
}

static eddy_step
starts_late(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	f->result = EDDY_START(f->scope, &((struct scene *)f->scope)->t,
	    (say("NOT evaluated"), eddy_yield(self)));
	ck_assert_int_eq(f->result, -ECANCELED);
	EDDY_END;
}

SCENE(start_in_a_scope_that_is_being_left_is_refused, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_fn(self, &f->a, starts_late);
	EDDY_END;
}

/* Told by start and by the slot's result; our own waits are not disturbed. */
static void
check_foreign(struct scene *f)
{
	ck_assert_int_eq(f->rc, -EINVAL);
	ck_assert_int_eq(f->t.result, -EINVAL);
}

SCENE(start_refuses_a_sleep_of_another_task, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	f->rc = EDDY_START(self, &f->t, eddy_sleep(self, EDDY_US(1)));
	EDDY_AWAIT(f->i, eddy_join(self, &f->t));
	check_foreign(f);
	f->since = eddy_now();
	EDDY_TRY(eddy_sleep(self, EDDY_MS(2)));
	ck_assert_int_ge(eddy_now() - f->since, EDDY_MS(2));
	EDDY_END;
}

SCENE(start_refuses_a_yield_of_another_task, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	f->rc = EDDY_START(self, &f->t, eddy_yield(self));
	EDDY_AWAIT(f->i, eddy_join(self, &f->t));
	check_foreign(f);
	f->since = eddy_now();
	EDDY_TRY(eddy_sleep(self, EDDY_MS(2)));
	ck_assert_int_ge(eddy_now() - f->since, EDDY_MS(2));
	EDDY_END;
}

SCENE(start_refuses_a_wait_of_another_task, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	f->rc = EDDY_START(self, &f->t, wait(self));
	EDDY_AWAIT(f->i, eddy_join(self, &f->t));
	check_foreign(f);
	EDDY_END;
}

SCENE(start_refuses_a_call_of_another_task, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	f->rc = EDDY_START(self, &f->t,
	    eddy_call(self, init_kid(&f->a, "a", 0, 0)));
	ck_assert_int_eq(f->rc, -EINVAL);
	EDDY_AWAIT(f->i, eddy_join(self, &f->t));
	check_foreign(f);
	EDDY_END;
}

SCENE(start_refuses_a_race_of_another_task, 0, "+a a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", 0, 0);
	f->rc = EDDY_START(self, &f->t, eddy_race(self, NULL));
	EDDY_AWAIT(f->i, eddy_join(self, &f->t));
	check_foreign(f);
	EDDY_END;
}

/* The language. */

#define TWICE(op) \
	EDDY_TRY(op); \
	EDDY_TRY(op)

SCENE(awaits_may_stand_in_switches_loops_and_two_on_a_line, 0,
    "0 0b 1 2 2 d line macro once ")
{
	EDDY_BEGIN(self, struct scene, f);
	for (f->i = 0; f->i < 4; f->i++) {
		switch (f->i) {
		case 0:
			say("0");
			EDDY_TRY(eddy_sleep(self, EDDY_US(1)));
			say("0b");
			break;
		case 1:
			do {
				EDDY_TRY(eddy_yield(self));
			} while (++f->n < 3);
			say("1");
			__attribute__((fallthrough));
		case 2:
			EDDY_TRY(eddy_sleep(self, EDDY_US(1)));
			say("2");
			continue;
		default:
			say("d");
		}
	}
	EDDY_TRY(eddy_yield(self)); EDDY_TRY(eddy_yield(self));
	say("line");
	TWICE(eddy_yield(self));
	say("macro");
	if (f->i == 4)
		EDDY_TRY(f->rc, eddy_yield(self));
	else
		EDDY_RETURN(-1);
	f->n = 0;
	EDDY_TRY(eddy_sleep(self, EDDY_US(f->n++)));
	EDDY_AWAIT(f->rc, (f->n++, eddy_sleep(self, EDDY_US(1))));
	if (f->n == 2)
		say("once");
	EDDY_END;
}

SCENE(try_leaves_with_a_negative_result_only, -EXDEV, "0 5 finally ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_TRY(f->rc, eddy_complete(self, 0));
	say("%d", f->rc);
	EDDY_TRY(f->rc, eddy_complete(self, 5));
	say("%d", f->rc);
	EDDY_TRY(f->rc, eddy_complete(self, -EXDEV));
	say("NOT reached");
	EDDY_FINALLY;
	ck_assert_int_eq(f->rc, -EXDEV);
	say("finally");
	EDDY_END;
}

SCENE(a_return_in_finally_replaces_the_result, 6, "finally ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_RETURN(-EIO);
	EDDY_FINALLY;
	say("finally");
	EDDY_RETURN(6);
	say("NOT reached");
	EDDY_END;
}

SCENE(a_waiting_task_tells_where, 0, "+a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn_kid(self, &f->a, "a", LONG, 0);
	EDDY_TRY(eddy_yield(self));
	ck_assert_str_eq(f->a.task.name, "kid");
	ck_assert_str_eq(f->a.task.at->func, "kid");
	ck_assert_str_eq(f->a.task.at->text, "eddy_sleep(self, f->duration)");
	ck_assert_ptr_nonnull(strstr(f->a.task.at->file, "check_task.c"));
	ck_assert_int_gt(f->a.task.at->line, 1);
	ck_assert_str_eq(f->a.task.op->name, "sleep");
	eddy_cancel(&f->a.task);
	EDDY_START(self, &f->t, wait(&f->t));
	ck_assert_str_eq(f->t.at->text, "wait(&f->t)");
	ck_assert_str_eq(f->t.op->name, "waiting");
	eddy_unpark(&f->t, 0);
	EDDY_END;
}

/* clang-format on */

/*
 * Fuzz: a tree of nodes that do random things to themselves and each other.
 * Each node that starts must run its FINALLY exactly once, after the children
 * of its body, and its frame must outlive all its children.
 */
struct node {
	struct eddy_task task;
	struct node *parent;
	struct eddy_task slot; /* for EDDY_START */
	int depth, left, children, slots, begun, finals, rc;
	int index;    /* in nodes[]; -1 before the first step */
	bool pending; /* in slot */
	int64_t since, duration;
};

enum { OPERATIONS = 100000, NODES = 4096 };

static struct node *nodes[NODES];
static int node_count, operations, ended;
static uint64_t seed;

static unsigned
dice(unsigned sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 32) % sides);
}

/* on_free: frames of EDDY_NEW are the only allocations of a node's size. */
static void
node_ends(struct node *n)
{
	ck_assert_int_eq(n->begun, 1);
	ck_assert_int_eq(n->finals, 1);
	ck_assert_int_eq(n->children, 0);
	ck_assert(n->slots == 0 || eddy_done(&n->slot));
	nodes[n->index] = nodes[--node_count];
	nodes[n->index]->index = n->index;
	if (n->parent != NULL)
		n->parent->children--;
	ended++;
}

static eddy_step node(struct eddy_task *self);

static void
fuzz_free(void *p)
{
	struct node *n = p;
	int i;

	for (i = 0; i < node_count; i++)
		if (nodes[i] == n) {
			node_ends(n);
			return;
		}
}

static struct eddy_task *
new_node(struct node *parent)
{
	struct eddy_task *task = EDDY_NEW(node, .parent = parent,
	    .depth = parent != NULL ? parent->depth + 1 : 0,
	    .left = (int)dice(12));
	struct node *n = (struct node *)task;

	ck_assert_ptr_nonnull(task);
	ck_assert_int_lt(node_count, NODES);
	n->index = node_count;
	nodes[node_count++] = n;
	if (parent != NULL)
		parent->children++;
	return task;
}

static bool
may_grow(const struct node *f)
{
	return f->depth < 12 && node_count < 200 && operations < OPERATIONS;
}

static void
grow(struct node *f)
{
	if (may_grow(f))
		ck_assert_int_eq(eddy_spawn(&f->task, new_node(f)), 0);
}

static void
start_slot(struct node *f)
{
	struct eddy_task *t = &f->slot;

	if (f->slots != 0 && !eddy_done(t))
		return;
	f->slots++;
	ck_assert_int_eq(
	    EDDY_START(&f->task, t, eddy_sleep(t, dice(50000))), 0);
}

static void
unpark_somebody(void)
{
	struct eddy_task *task = &nodes[dice((unsigned)node_count)]->task;

	if (task->op == &waiting)
		ck_assert_int_eq(eddy_unpark(task, 1), 0);
}

static eddy_async
some_wait(struct node *f)
{
	struct eddy_task *self = &f->task;

	switch (dice(9)) {
	case 0:
		return eddy_yield(self);
	case 1:
		return eddy_join_all(self);
	case 2:
		return eddy_throttle(self, 1 + dice(3));
	case 3:
		return eddy_race(self, NULL);
	case 4:
		return eddy_timeout(self, dice(20000), wait(self));
	case 5:
		if (f->slots != 0)
			return eddy_join(self, &f->slot);
		return eddy_complete(self, 0);
	case 6:
		if (may_grow(f))
			return eddy_call(self, new_node(f));
		return eddy_complete(self, 2);
	default:
		return eddy_sleep(self, dice(20000));
	}
}

static eddy_async
bounded_wait(struct node *f)
{
	eddy_async op = some_wait(f);

	if (dice(2) == 0)
		op = eddy_timeout(&f->task, dice(20000), op);
	if (dice(8) == 0)
		op = eddy_timeout(&f->task, dice(20000), op);
	return op;
}

/* Do something without waiting. */
static void
act(struct node *f)
{
	operations++;
	switch (dice(8)) {
	case 0:
		eddy_cancel(&nodes[dice((unsigned)node_count)]->task);
		break;
	case 1:
		eddy_shield(&f->task, dice(2));
		break;
	case 2:
		start_slot(f);
		break;
	case 3:
		unpark_somebody();
		break;
	default:
		grow(f);
	}
}

/* clang-format off */

static eddy_step
node(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct node, f);
	f->begun++;
	while (f->left-- > 0) {
		act(f);
		EDDY_AWAIT(f->rc, bounded_wait(f));
		ck_assert_int_ne(f->rc, EDDY_PENDING);
		f->duration = dice(5000);
		f->since = eddy_now();
		EDDY_AWAIT(f->rc, eddy_sleep(self, f->duration));
		ck_assert(f->rc == 0 || f->rc == -ECANCELED);
		if (f->rc == 0)
			ck_assert_int_ge(eddy_now() - f->since, f->duration);
		if (f->rc == -ECANCELED && dice(4) > 0)
			EDDY_RETURN(f->rc);
	}
	EDDY_RETURN(dice(10) == 0 ? -EIO : 0);
	EDDY_FINALLY;
	f->finals++;
	ck_assert_int_eq(f->children, 0);
	ck_assert(f->slots == 0 || eddy_done(&f->slot));
	ck_assert(!eddy_cancelled(self));
	if (dice(3) == 0)
		grow(f);
	EDDY_AWAIT(f->rc, eddy_sleep(self, dice(2000)));
	ck_assert_int_eq(f->rc, 0);
	if (dice(3) == 0)
		EDDY_AWAIT(f->rc, bounded_wait(f));
	ck_assert_int_ne(f->rc, EDDY_PENDING);
	EDDY_END;
}

struct forest {
	struct eddy_task task;
	int rc, trees;
};

static eddy_step
forest(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct forest, f);
	while (operations < OPERATIONS) {
		f->trees++;
		EDDY_AWAIT(f->rc, eddy_call(self, new_node(NULL)));
		ck_assert_int_eq(node_count, 0);
	}
	EDDY_RETURN(f->trees);
	EDDY_END;
}

/* clang-format on */

static void
ignore(struct eddy_loop *loop, const struct eddy_task *task, int error)
{
	(void)loop;
	(void)task;
	ck_assert_int_lt(error, 0);
}

START_TEST(random_trees_end_in_order)
{
	struct eddy_loop_options options = {.on_error = ignore};
	struct forest f;
	int trees;

	seed = 0x9e3779b97f4a7c15u * (uint64_t)(_i + 1);
	on_free = fuzz_free;
	trees = eddy_run_with(&options, EDDY_INIT(&f, forest));
	on_free = NULL;
	ck_assert_int_gt(trees, 0);
	ck_assert_int_ge(ended, trees);
	ck_assert_int_ge(operations, OPERATIONS);
}
END_TEST

static void
add_long(Suite *suite)
{
	TCase *tcase = counted(suite, "deep", 20);

	census_add(tcase, a_million_complete_awaits_neither_recurse_nor_starve,
	    a_million_calls_neither_recurse_nor_starve,
	    a_task_deaf_to_cancelling_does_not_starve_others,
	    a_call_chain_of_any_depth_needs_no_stack);
	tcase_add_loop_test(tcase,
	    cancelling_a_chain_of_any_depth_does_not_recurse, CALL,
	    SPAWN_AND_LEAVE + 1);
	tcase = counted(suite, "fuzz", 20);
	tcase_add_loop_test(tcase, random_trees_end_in_order, 0, 4);
}

static void
add_timeouts(Suite *suite)
{
	TCase *tcase = counted(suite, "timeout", 2);

	tcase_add_loop_test(tcase, timeout_bounds_every_operation, 0, BOUNDED);
	tcase_add_loop_test(
	    tcase, timeout_bounds_operations_of_finally, 0, BOUNDED);
	census_add(tcase, timeout_works_under_a_shield,
	    an_operation_in_time_keeps_its_result,
	    timeouts_without_time_give_up_at_once,
	    the_shorter_of_two_timeouts_counts, timeouts_nest_in_both_orders,
	    a_result_after_the_deadline_wins_too,
	    a_result_in_the_batch_of_the_deadline_wins,
	    a_result_behind_the_deadline_is_refused_to_its_giver,
	    a_sleep_without_memory_says_so, a_deadline_without_memory_says_so);
	/* From 1: the first makes a timer before. */
	tcase_add_loop_test(
	    tcase, a_timeout_without_memory_says_so, 1, BOUNDED);
	tcase_add_loop_test(
	    tcase, a_cancel_before_the_deadline_of_its_batch_beats_it, 0, 2);
	tcase_add_loop_test(
	    tcase, a_cancel_behind_the_deadline_of_its_batch_beats_it, 0, 2);
}

static void
add_scopes(Suite *suite)
{
	TCase *tcase = counted(suite, "scope", 2);

	census_add(tcase, a_main_task_ends_with_its_result,
	    a_body_that_just_ends_has_result_zero,
	    leaving_with_a_result_awaits_the_children,
	    leaving_with_an_error_cancels_the_children,
	    leaving_while_cancelled_cancels_the_children,
	    without_finally_a_scope_awaits_its_children_too,
	    the_first_failure_cancels_siblings_and_body,
	    a_failure_cancels_what_the_body_calls,
	    a_failure_while_leaving_cancels_the_siblings,
	    only_the_first_failure_counts,
	    a_child_that_was_cancelled_is_no_failure,
	    finally_may_keep_a_failure_to_itself,
	    children_of_finally_are_awaited, a_failure_in_finally_is_the_result,
	    a_task_may_spawn_into_the_scope_of_another,
	    an_operation_that_was_started_is_a_scope_too,
	    a_scope_that_is_being_left_takes_no_child,
	    a_scope_whose_last_child_has_ended_takes_no_other,
	    a_child_outlives_where_its_scope_had_the_reason);
	tcase = counted(suite, "join", 2);
	census_add(tcase, join_delivers_the_result_of_one_child,
	    join_delivers_also_when_the_child_has_ended,
	    a_failure_that_join_waits_for_is_told_there,
	    join_of_oneself_is_a_deadlock, join_of_a_stranger_is_refused,
	    join_all_of_nobody_is_zero, join_all_tells_the_first_failure_once,
	    join_all_tells_a_failure_from_before,
	    a_failure_that_is_no_errno_is_still_one,
	    throttle_tells_a_failure_after_all_have_ended,
	    throttle_to_nothing_is_refused);
	tcase_add_loop_test(tcase, throttle_bounds_concurrency_exactly, 1, 9);
	census_add(counted(suite, "race", 2),
	    race_names_the_winner_and_awaits_the_losers,
	    race_of_nobody_is_refused, a_failing_winner_does_not_fail_the_scope,
	    a_cancelled_child_does_not_win,
	    a_race_without_a_winner_is_cancelled, operations_may_race);
}

static void
add_cancel(Suite *suite)
{
	census_add(counted(suite, "cancel", 2),
	    every_await_of_a_cancelled_task_says_so, a_task_may_cancel_itself,
	    awaits_in_finally_are_not_cancelled,
	    a_cancel_during_finally_leaves_the_result,
	    a_task_cancelled_before_its_first_step_starts_and_cleans_up,
	    cancel_of_an_ended_task_leaves_its_result,
	    cancel_of_an_unstarted_task_is_refused,
	    a_result_that_is_there_wins_the_next_await_is_cancelled,
	    cancel_reaches_callees_and_descendants,
	    children_of_a_cancelled_task_are_born_cancelled,
	    children_of_a_shield_are_cancelled_as_the_scope_leaves,
	    a_shield_defers_cancelling, a_shield_covers_what_is_called_under_it,
	    a_shield_defers_the_failure_of_a_child);
	census_add(counted(suite, "park", 2), unpark_twice_is_refused,
	    an_operation_of_ones_own_has_timeout_cancel_and_start,
	    a_hook_may_give_up_later, a_result_while_giving_up_wins,
	    a_cancel_while_a_timeout_gives_up_beats_it);
}

static void
add_frames(Suite *suite)
{
	census_add(counted(suite, "frame", 2), no_frame_is_no_memory,
	    frames_of_new_are_freed_when_they_end,
	    frames_that_were_refused_are_freed,
	    a_used_frame_is_refused_and_left_alone,
	    a_frame_may_be_used_again_after_init,
	    big_frames_come_from_new_frame_zeroed,
	    calls_from_another_thread_are_refused);
	census_add(counted(suite, "run", 2),
	    a_main_task_that_nothing_can_wake_is_a_deadlock,
	    who_cannot_be_woken_is_not_waited_for,
	    a_timeout_without_an_end_wakes_nobody,
	    other_roots_are_cancelled_at_the_end,
	    a_root_that_starts_while_draining_is_cancelled_too,
	    a_stop_of_the_loop_cancels_the_main_task, run_takes_a_frame_of_new,
	    run_refuses_a_used_frame, run_may_be_called_in_a_task,
	    done_of_a_root_may_free_its_frame, done_of_a_root_may_start_another,
	    a_root_may_be_cancelled_from_outside,
	    a_line_that_nobody_reads_kills_nobody,
	    an_error_that_nobody_reads_is_a_line_on_standard_error);
}

static void
add_language(Suite *suite)
{
	census_add(counted(suite, "start", 2),
	    start_looks_once_where_its_task_is,
	    start_and_cancel_may_stand_inside_an_await,
	    start_makes_a_child_of_any_operation,
	    a_started_operation_that_fails_fails_the_scope,
	    a_yield_started_below_a_cancelled_task_is_cancelled,
	    a_started_call_may_be_cancelled,
	    start_in_a_scope_that_is_being_left_is_refused,
	    start_refuses_a_sleep_of_another_task,
	    start_refuses_a_yield_of_another_task,
	    start_refuses_a_wait_of_another_task,
	    start_refuses_a_call_of_another_task,
	    start_refuses_a_race_of_another_task);
	census_add(counted(suite, "language", 2),
	    awaits_may_stand_in_switches_loops_and_two_on_a_line,
	    try_leaves_with_a_negative_result_only,
	    a_return_in_finally_replaces_the_result,
	    a_waiting_task_tells_where);
}

int
main(void)
{
	Suite *suite = suite_create("task");

	add_scopes(suite);
	add_timeouts(suite);
	add_cancel(suite);
	add_frames(suite);
	add_language(suite);
	add_long(suite);
	return suite_main(suite);
}
