/* SPDX-License-Identifier: ISC */
/*
 * sync: events, semaphores, conditions, queues, futures, mailboxes.  Most tests
 * are scenes: a main task, the trace its users leave and the result of the run,
 * on a virtual clock.  The objects are global; each test has its own process.
 */
#include <eddy/sync.h>
#include <eddy/task.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "trace.h"
#include "loop_impl.h"

/* Longer than any test. */
#define LONG EDDY_S(1000)
#define ITEM ((void *)item_bytes)

static char item_bytes[16];

static struct eddy_event event, stop;
static struct eddy_semaphore semaphore, mutex;
static struct eddy_condition condition;
static struct eddy_queue queue; /* hand to hand, unless a test says else */
static struct eddy_future future;
static struct eddy_mailbox mailbox;
static void *slots[64], *letters[64], *got;

static const char *
word(int rc)
{
	switch (rc) {
	case -ECANCELED:
		return "canceled";
	case -ETIME:
		return "late";
	case -EPIPE:
		return "closed";
	default:
		return rc == 0 ? "ok" : strerror(abs(rc));
	}
}

/* ck_assert writes a mark to a file each time: not for what runs a million
 * times. */
#define MUST(expr)                                      \
	do {                                            \
		if (!(expr))                            \
			ck_abort_msg("not: %s", #expr); \
	} while (0)

/* A user waits once, for what it is told, and says how that ended. */

enum what {
	EVENT,
	SEMAPHORE,
	CONDITION,
	LOCKED, /* a condition, with mutex */
	PUSH,
	POP,
	PARK,
	CALL,
	JOIN,
	RACE,
	AT_ONCE, /* serve() ends these within the batch; not these: */
	JOIN_ALL = AT_ONCE,
	THROTTLE,
	FUTURE,
	MAIL,
	SLEEP,
	KINDS,
};

struct kid {
	struct eddy_task task;
	int rc;
};

struct user {
	struct eddy_task task;
	const char *name;
	enum what what;
	bool inside; /* until in timeout instead of timeout in until */
	int64_t limit;
	struct eddy_event *until, *until_too;
	struct kid kid;
	struct eddy_task kids[2];
	void *item;
	int rc;
	bool waits, cancelled;
};

static const struct eddy_op parked_op = {"parked", eddy_unpark};

static EDDY_ASYNC
park(struct eddy_task *self)
{
	if (eddy_cancelled(self))
		return eddy_complete(self, -ECANCELED);
	return eddy_park(self, &parked_op);
}

/* clang-format off */

static eddy_step
kid(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	EDDY_TRY(f->rc, park(self));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

/* clang-format on */

static eddy_async
operation_on_kids(struct user *f)
{
	struct eddy_task *self = &f->task, *t = f->kids;

	EDDY_START(self, &t[0], park(&t[0]));
	if (f->what != JOIN)
		EDDY_START(self, &t[1], park(&t[1]));
	switch (f->what) {
	case JOIN:
		return eddy_join(self, &t[0]);
	case RACE:
		return eddy_race(self, NULL);
	case JOIN_ALL:
		return eddy_join_all(self);
	default:
		return eddy_throttle(self, 2);
	}
}

static eddy_async
operation(struct user *f)
{
	struct eddy_task *self = &f->task;

	switch (f->what) {
	case EVENT:
		return eddy_event_wait(self, &event);
	case SEMAPHORE:
		return eddy_semaphore_acquire(self, &semaphore);
	case CONDITION:
		return eddy_condition_wait(self, &condition, NULL);
	case LOCKED:
		return eddy_condition_wait(self, &condition, &mutex);
	case PUSH:
		return eddy_queue_push(self, &queue, f->item);
	case POP:
		return eddy_queue_pop(self, &queue, &f->item);
	case PARK:
		return park(self);
	case CALL:
		return eddy_call(self, EDDY_INIT(&f->kid, kid));
	case FUTURE:
		return eddy_future_wait(self, &future);
	case MAIL:
		return eddy_mailbox_pop(self, &mailbox, &f->item);
	case SLEEP:
		return eddy_sleep(self, EDDY_S(1));
	default:
		return operation_on_kids(f);
	}
}

static eddy_async
bounded(struct user *f)
{
	struct eddy_task *self = &f->task;
	eddy_async op = operation(f);

	f->waits = true;
	if (f->limit != 0 && !f->inside)
		op = eddy_timeout(self, f->limit, op);
	if (f->until != NULL)
		op = eddy_until(self, f->until, op);
	if (f->until_too != NULL)
		op = eddy_until(self, f->until_too, op);
	if (f->limit != 0 && f->inside)
		op = eddy_timeout(self, f->limit, op);
	return op;
}

static struct user *owner; /* of mutex */

static void
own(struct user *f)
{
	MUST(mutex.count == 0);
	MUST(owner == NULL);
	owner = f;
}

static void
disown(struct user *f)
{
	MUST(owner == f);
	owner = NULL;
}

/* clang-format off */

static eddy_step
user(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	if (f->what == LOCKED) {
		EDDY_TRY(eddy_semaphore_acquire(self, &mutex));
		own(f);
		disown(f);
	}
	EDDY_AWAIT(f->rc, bounded(f));
	f->waits = false;
	f->cancelled = eddy_cancelled(self);
	say("%s:%s", f->name, word(f->rc));
	if (f->what == LOCKED) {
		own(f);
		disown(f);
		ck_assert_int_eq(eddy_semaphore_release(&mutex), 0);
	}
	eddy_cancel(&f->kids[0]);
	eddy_cancel(&f->kids[1]);
	EDDY_END;
}

/* clang-format on */

/* End what a user waits for.  Was that taken? */
static bool
serve(struct user *f)
{
	struct eddy_task *t = f->kids;

	switch (f->what) {
	case EVENT:
		eddy_event_set(&event);
		return false;
	case SEMAPHORE:
		eddy_semaphore_release(&semaphore);
		return semaphore.count == 0;
	case CONDITION:
	case LOCKED:
		return eddy_condition_signal(&condition, 1) == 1;
	case PUSH:
		return eddy_queue_try_pop(&queue, &got) == 0 && got == ITEM;
	case POP:
		return eddy_queue_try_push(&queue, ITEM) == 0;
	case PARK:
		return eddy_unpark(&f->task, 0) == 0;
	case CALL:
		return eddy_unpark(&f->kid.task, 0) == 0;
	case JOIN_ALL:
		return (eddy_unpark(&t[1], 0) | eddy_unpark(&t[0], 0)) == 0;
	case FUTURE:
		return eddy_future_complete(&future, 0) == 0;
	case MAIL:
		return eddy_mailbox_push(&mailbox, ITEM, 0) == 0;
	case SLEEP:
		return true; /* time will do it */
	default:
		return eddy_unpark(&t[0], 0) == 0;
	}
}

/* How a wait may end otherwise. */
enum how { SERVED, CANCELLED, EXPIRED, ENDED, HOWS };

static const int outcome[] = {0, -ECANCELED, -ETIME, -ECANCELED};

/* Scenes. */

struct scene {
	struct eddy_task task;
	union {
		struct {
			struct user a, b, c, d;
		};
		struct user all[4];
	};
	struct user *one;
	struct eddy_task t;
	enum what what;
	enum how how;
	struct eddy_event *until;
	int i, n, rc;
};

static struct eddy_clock clock_;
static struct eddy_loop *loop_; /* of the scene, for its threads */

static struct user *
init_user(struct user *u, const char *name, enum what what)
{
	EDDY_INIT(u, user, .name = name, .what = what, .item = ITEM);
	if (what == POP || what == MAIL)
		u->item = NULL;
	return u;
}

static struct user *
go(struct scene *f, struct user *u, const char *name, enum what what)
{
	init_user(u, name, what);
	ck_assert_int_eq(eddy_spawn(&f->task, &u->task), 0);
	return u;
}

static void
go_all(struct scene *f, enum what what)
{
	static const char *const names[] = {"a", "b", "c", "d"};
	int i;

	for (i = 0; i < 4; i++)
		go(f, &f->all[i], names[i], what);
}

/* Now, but for EXPIRED, which needs a limit that passes. */
static void
end(struct user *u, enum how how)
{
	if (how == SERVED)
		serve(u);
	else if (how == CANCELLED)
		ck_assert_int_eq(eddy_cancel(&u->task), 0);
	else if (how == ENDED)
		eddy_event_set(u->until);
}

static void
init_objects(struct eddy_loop *loop)
{
	loop_ = loop;
	eddy_event_init(&event);
	eddy_event_init(&stop);
	eddy_semaphore_init(&semaphore, 0);
	eddy_semaphore_init(&mutex, 1);
	eddy_condition_init(&condition);
	eddy_queue_init(&queue, NULL, 0);
	eddy_future_init(&future, loop);
	ck_assert_int_eq(
	    eddy_mailbox_init(&mailbox, loop, letters, COUNT_OF(letters)), 0);
}

static int
run_scene(struct scene *f, eddy_task_fn *fn)
{
	struct eddy_loop_options options = {.clock = &clock_};

	eddy_prepare(&f->task, fn, "scene");
	return eddy_run_with(&options, &f->task);
}

static int
run(eddy_task_fn *fn, int i)
{
	struct scene f = {.i = i};

	f.what = (enum what)(i % KINDS);
	f.how = (enum how)(i / KINDS % HOWS);
	return run_scene(&f, fn);
}

static void
check_story(const char *story)
{
	if (story != NULL)
		ck_assert_str_eq(trace, story);
}

/* EDDY_BEGIN of a main task. */
#define SCENE_BEGIN                        \
	EDDY_BEGIN(self, struct scene, f); \
	init_objects(self->loop)

#define SCENE(name, story)                                \
	static eddy_step name##_(struct eddy_task *self); \
	START_TEST(name)                                  \
	{                                                 \
		int r = run(name##_, _i);                 \
		check_story(story);                       \
		ck_assert_int_eq(r, 0);                   \
	}                                                 \
	END_TEST                                          \
	static eddy_step name##_(struct eddy_task *self)

#define ANY NULL /* story */

/* The others take their turns: enough for what hangs on what. */
#define OTHERS()                                    \
	do {                                        \
		for (f->n = 0; f->n < 5; f->n++)    \
			EDDY_TRY(eddy_yield(self)); \
	} while (0)

#define EXPECT(result, op)                       \
	do {                                     \
		EDDY_AWAIT(f->rc, op);           \
		ck_assert_int_eq(f->rc, result); \
	} while (0)

static void
check_pop(void *item)
{
	ck_assert_int_eq(eddy_queue_try_pop(&queue, &got), 0);
	ck_assert_ptr_eq(got, item);
}

/* clang-format off */

/* Events. */

SCENE(an_event_that_is_set_ends_waits_at_once, "a:ok ")
{
	SCENE_BEGIN;
	ck_assert(!event.set);
	eddy_event_set(&event);
	eddy_event_set(&event);
	ck_assert(event.set);
	EDDY_TRY(eddy_event_wait(self, &event));
	EDDY_TRY(eddy_timeout(self, 0, eddy_event_wait(self, &event)));
	go(f, &f->a, "a", EVENT);
	EDDY_END;
}

SCENE(set_wakes_all_in_their_order, "set a:ok b:ok c:ok d:ok ")
{
	SCENE_BEGIN;
	go_all(f, EVENT);
	OTHERS();
	say("set");
	eddy_event_set(&event);
	eddy_event_clear(&event); /* takes nothing back */
	EDDY_END;
}

SCENE(a_cleared_event_makes_wait_again, "a:ok ")
{
	SCENE_BEGIN;
	eddy_event_set(&event);
	eddy_event_clear(&event);
	ck_assert(!event.set);
	go(f, &f->a, "a", EVENT);
	EXPECT(-ETIME, eddy_timeout(self, EDDY_MS(1),
	    eddy_event_wait(self, &event)));
	ck_assert(f->a.waits);
	eddy_event_set(&event);
	EDDY_END;
}

SCENE(waits_given_up_leave_the_others_in_order,
    "a:canceled c:late b:ok d:ok ")
{
	SCENE_BEGIN;
	go_all(f, EVENT);
	f->c.limit = EDDY_MS(1);
	OTHERS();
	eddy_cancel(&f->a.task);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(2)));
	eddy_event_set(&event);
	EDDY_END;
}

/* Every way that every operation can end, with an event to follow and a limit.
 * What is followed goes as soon as the follower has ended. */

static void
bound(struct scene *f, struct user *u)
{
	f->until = malloc(sizeof(*f->until));
	ck_assert_ptr_nonnull(f->until);
	eddy_event_init(f->until);
	u->until = f->until;
	u->limit = f->how == EXPIRED ? EDDY_MS(1) : LONG;
	u->inside = f->i / (KINDS * HOWS);
}

SCENE(until_and_timeout_bound_every_operation, ANY)
{
	SCENE_BEGIN;
	bound(f, go(f, &f->a, "a", f->what));
	OTHERS();
	ck_assert(f->a.waits);
	end(&f->a, f->how);
	EDDY_TRY(eddy_join(self, &f->a.task));
	free(f->until);
	ck_assert_int_eq(f->a.rc, outcome[f->how]);
	ck_assert_int_eq(f->a.cancelled, f->how == CANCELLED);
	/* Whatever is served now is another's. */
	serve(&f->a);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(2)));
	EDDY_END;
}

SCENE(until_a_set_event_every_operation_gives_up, ANY)
{
	SCENE_BEGIN;
	bound(f, go(f, &f->a, "a", f->what));
	eddy_event_set(f->until);
	EDDY_TRY(eddy_join(self, &f->a.task));
	ck_assert_int_eq(f->a.rc, -ECANCELED);
	ck_assert(!f->a.cancelled);
	ck_assert(f->what >= FUTURE || !serve(&f->a));
	free(f->until);
	EDDY_END;
}

SCENE(two_events_for_one_operation_are_refused, ANY)
{
	SCENE_BEGIN;
	bound(f, go(f, &f->a, "a", f->what));
	f->a.until_too = f->i / KINDS == 0 ? f->until : &stop;
	if (f->i / KINDS == 2)
		eddy_event_set(&stop);
	EDDY_TRY(eddy_timeout(self, EDDY_US(1),
	    eddy_join(self, &f->a.task)));
	free(f->until);
	ck_assert_int_eq(f->a.rc, -EINVAL);
	ck_assert(!f->a.cancelled);
	eddy_event_set(&stop);
	EDDY_END;
}

SCENE(what_ended_one_operation_is_forgotten_by_the_next, "")
{
	SCENE_BEGIN;
	EXPECT(-EINVAL, eddy_until(self, &stop, eddy_until(self, &event,
	    eddy_semaphore_acquire(self, &semaphore))));
	eddy_event_set(&stop);
	EXPECT(-ECANCELED, eddy_until(self, &stop,
	    eddy_semaphore_acquire(self, &semaphore)));
	EXPECT(-ETIME, eddy_timeout(self, EDDY_MS(1),
	    eddy_semaphore_acquire(self, &semaphore)));
	for (f->i = 0; f->i < 2; f->i++) {
		EDDY_START(self, &f->t, eddy_yield(&f->t));
		EXPECT(0, eddy_join_all(self));
	}
	EDDY_START(self, &f->t, park(&f->t));
	EXPECT(-ECANCELED, eddy_until(self, &stop, eddy_join_all(self)));
	EDDY_END;
}

/* Served and given up within one batch, in either order: who is served has it,
 * and what nobody took is still there. */
SCENE(a_result_and_its_giving_up_in_one_batch_lose_nothing, ANY)
{
	SCENE_BEGIN;
	if (f->what >= AT_ONCE || f->how == SERVED)
		EDDY_RETURN(0);
	bound(f, go(f, &f->a, "a", f->what));
	f->a.limit = EDDY_MS(1);
	if (f->how != EXPIRED || f->a.inside)
		EDDY_TRY(eddy_yield(self)); /* its limit is due before us */
	EDDY_TRY(eddy_sleep(self, EDDY_MS(f->how == EXPIRED)));
	ck_assert(f->a.waits);
	if (!f->a.inside) {
		ck_assert(serve(&f->a) || f->what == EVENT);
		end(&f->a, f->how);
		f->rc = 0;
	} else {
		end(&f->a, f->how);
		ck_assert(!serve(&f->a));
		f->rc = outcome[f->how];
	}
	EDDY_TRY(eddy_join(self, &f->a.task));
	ck_assert_int_eq(f->a.rc, f->rc);
	ck_assert_uint_eq(semaphore.count, f->what == SEMAPHORE && f->rc != 0);
	ck_assert(f->what != POP || (f->a.item == ITEM) == (f->rc == 0));
	ck_assert_uint_eq(mutex.count, 1);
	free(f->until);
	EDDY_END;
}

SCENE(a_sleep_that_is_due_in_the_batch_of_the_event_is_over, "a:ok ")
{
	SCENE_BEGIN;
	go(f, &f->a, "a", SLEEP)->until = &stop;
	EDDY_TRY(eddy_sleep(self, EDDY_S(1))); /* began, so ends, before a's */
	ck_assert(f->a.waits);
	eddy_event_set(&stop);
	EDDY_END;
}

SCENE(one_event_ends_many_operations_in_their_order,
    "a:canceled b:canceled c:canceled d:canceled ")
{
	SCENE_BEGIN;
	go_all(f, SEMAPHORE);
	f->b.what = PUSH;
	f->c.what = FUTURE;
	for (f->i = 0; f->i < 4; f->i++)
		f->all[f->i].until = &stop;
	OTHERS();
	eddy_event_set(&stop);
	EDDY_END;
}

SCENE(a_wait_for_the_event_that_also_ends_it_has_its_result, "a:ok ")
{
	SCENE_BEGIN;
	go(f, &f->a, "a", EVENT)->until = &event;
	OTHERS();
	eddy_event_set(&event);
	EDDY_END;
}

SCENE(until_keeps_results_that_are_there_at_once, "")
{
	SCENE_BEGIN;
	eddy_event_set(&stop);
	eddy_semaphore_init(&semaphore, 1000);
	for (f->i = 0; f->i < 1000; f->i++) {
		EXPECT(0, eddy_until(self, &stop,
		    eddy_semaphore_acquire(self, &semaphore)));
	}
	EXPECT(-EIO, eddy_until(self, &stop, eddy_complete(self, -EIO)));
	EXPECT(0, eddy_until(self, &stop, eddy_yield(self)));
	EDDY_END;
}

SCENE(until_works_in_finally_and_under_a_shield, "")
{
	SCENE_BEGIN;
	eddy_event_set(&stop);
	eddy_cancel(self);
	eddy_shield(self, true);
	EXPECT(-ECANCELED, eddy_until(self, &stop, park(self)));
	EXPECT(0, eddy_semaphore_acquire(self, &mutex));
	eddy_shield(self, false);
	EDDY_TRY(eddy_yield(self));
	EDDY_FINALLY;
	EXPECT(-ECANCELED, eddy_until(self, &stop,
	    eddy_call(self, EDDY_INIT(&f->a.kid, kid))));
	EXPECT(-ECANCELED, eddy_until(self, &stop,
	    eddy_semaphore_acquire(self, &semaphore)));
	EDDY_RETURN(0);
	EDDY_END;
}

SCENE(caller_and_callee_may_follow_the_same_event, "a:canceled ")
{
	SCENE_BEGIN;
	init_user(&f->a, "a", SEMAPHORE)->until = &stop;
	EDDY_START(self, &f->t,
	    eddy_until(&f->t, &stop, eddy_call(&f->t, &f->a.task)));
	OTHERS();
	eddy_event_set(&stop);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, 0); /* the callee took it for an answer */
	EDDY_END;
}

static eddy_step
answers_when_cancelled(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	EDDY_AWAIT(f->rc, park(self));
	EDDY_RETURN(f->rc == -ECANCELED ? 11 : -EIO);
	EDDY_END;
}

SCENE(a_callee_that_answers_the_event_keeps_its_answer, "")
{
	SCENE_BEGIN;
	eddy_event_set(&stop);
	eddy_prepare(&f->a.kid.task, answers_when_cancelled, "callee");
	EXPECT(11, eddy_until(self, &stop, eddy_call(self, &f->a.kid.task)));
	ck_assert(!eddy_cancelled(self));
	EDDY_END;
}

static eddy_step
lingers(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	EDDY_TRY(park(self));
	EDDY_FINALLY;
	EDDY_AWAIT(f->rc, eddy_sleep(self, EDDY_MS(9)));
	EDDY_END;
}

/* It calls what lingers until the event is set, or for so long. */
static eddy_async
call_lingering(struct eddy_task *self, struct kid *kid,
    struct eddy_event *until, int64_t limit, bool inside)
{
	eddy_async op;

	eddy_prepare(&kid->task, lingers, "lingers");
	op = eddy_call(self, &kid->task);
	if (inside)
		op = eddy_until(self, until, op);
	op = eddy_timeout(self, limit, op);
	return inside ? op : eddy_until(self, until, op);
}

SCENE(of_event_and_deadline_the_first_is_the_answer, "")
{
	SCENE_BEGIN;
	for (f->i = 0; f->i < 4; f->i++) {
		eddy_event_clear(&stop);
		EDDY_START(self, &f->t,
		    call_lingering(&f->t, &f->a.kid, &stop, EDDY_MS(2),
			f->i / 2 != 0));
		EDDY_TRY(eddy_sleep(self, EDDY_MS(f->i % 2 != 0 ? 1 : 3)));
		eddy_event_set(&stop);
		EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
		ck_assert_int_eq(f->rc, f->i % 2 != 0 ? -ECANCELED : -ETIME);
	}
	EDDY_END;
}

SCENE(an_event_that_is_set_may_go_before_what_it_ends, "")
{
	SCENE_BEGIN;
	f->until = malloc(sizeof(*f->until));
	eddy_event_init(f->until);
	eddy_event_set(f->until);
	EDDY_START(self, &f->t,
	    call_lingering(&f->t, &f->a.kid, f->until, EDDY_S(1), true));
	ck_assert(f->until->followers.next == &f->until->followers);
	free(f->until);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->t));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_END;
}

/* Semaphores. */

SCENE(a_semaphore_gives_what_it_counts, "")
{
	SCENE_BEGIN;
	eddy_semaphore_init(&semaphore, 3);
	EDDY_TRY(eddy_semaphore_acquire(self, &semaphore));
	ck_assert_uint_eq(semaphore.count, 2);
	ck_assert_int_eq(eddy_semaphore_try_acquire(&semaphore), 0);
	EDDY_TRY(eddy_timeout(self, 0,
	    eddy_semaphore_acquire(self, &semaphore)));
	ck_assert_int_eq(eddy_semaphore_try_acquire(&semaphore), -EAGAIN);
	EXPECT(-ETIME, eddy_timeout(self, 0,
	    eddy_semaphore_acquire(self, &semaphore)));
	ck_assert_int_eq(eddy_semaphore_release(&semaphore), 0);
	ck_assert_uint_eq(semaphore.count, 1);
	EDDY_TRY(eddy_semaphore_acquire(self, &semaphore));
	EDDY_END;
}

SCENE(permits_go_to_waiters_in_their_order, "1 a:ok 2 b:ok c:ok 3 d:ok ")
{
	SCENE_BEGIN;
	go_all(f, SEMAPHORE);
	OTHERS();
	for (f->i = 1; f->i <= 3; f->i++) {
		say("%d", f->i);
		ck_assert_int_eq(eddy_semaphore_release(&semaphore), 0);
		if (f->i == 2)
			eddy_semaphore_release(&semaphore);
		OTHERS();
	}
	ck_assert_uint_eq(semaphore.count, 0);
	EDDY_END;
}

SCENE(nobody_overtakes_a_waiter, "a:ok b:ok ")
{
	SCENE_BEGIN;
	go(f, &f->a, "a", SEMAPHORE);
	OTHERS();
	eddy_semaphore_release(&semaphore);
	ck_assert_uint_eq(semaphore.count, 0); /* it is a's already */
	ck_assert_int_eq(eddy_semaphore_try_acquire(&semaphore), -EAGAIN);
	go(f, &f->b, "b", SEMAPHORE);
	EXPECT(-ETIME, eddy_timeout(self, 0,
	    eddy_semaphore_acquire(self, &semaphore)));
	eddy_semaphore_release(&semaphore);
	ck_assert_int_eq(eddy_semaphore_try_acquire(&semaphore), -EAGAIN);
	EDDY_END;
}

SCENE(a_cancelled_lock_waiter_keeps_the_order_of_the_rest, ANY)
{
	static char expected[64];

	SCENE_BEGIN;
	f->how = (enum how)(CANCELLED + f->i / 4);
	f->one = &f->all[f->i % 4];
	go_all(f, SEMAPHORE);
	f->one->until = &stop;
	f->one->limit = f->how == EXPIRED ? EDDY_MS(1) : LONG;
	OTHERS();
	end(f->one, f->how);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(2)));
	ck_assert_int_eq(f->one->rc, outcome[f->how]);
	strcpy(expected, trace);
	for (f->i = 0; f->i < 4; f->i++) {
		if (&f->all[f->i] == f->one)
			continue;
		strcat(expected, f->all[f->i].name);
		strcat(expected, ":ok ");
		eddy_semaphore_release(&semaphore);
		EDDY_TRY(eddy_yield(self));
	}
	EDDY_TRY(eddy_join_all(self));
	ck_assert_str_eq(trace, expected);
	ck_assert_uint_eq(semaphore.count, 0);
	EDDY_END;
}

SCENE(more_permits_than_a_semaphore_can_count_are_refused, "a:ok ")
{
	SCENE_BEGIN;
	eddy_semaphore_init(&semaphore, UINT_MAX);
	ck_assert_int_eq(eddy_semaphore_release(&semaphore), -EOVERFLOW);
	ck_assert_uint_eq(semaphore.count, UINT_MAX);
	ck_assert_int_eq(eddy_semaphore_try_acquire(&semaphore), 0);
	ck_assert_int_eq(eddy_semaphore_release(&semaphore), 0);
	ck_assert_int_eq(eddy_semaphore_release(&semaphore), -EOVERFLOW);
	go(f, &f->a, "a", SEMAPHORE);
	EDDY_END;
}

SCENE(a_cancelled_task_takes_no_permit_signal_or_item, "")
{
	SCENE_BEGIN;
	eddy_queue_init(&queue, slots, 2);
	eddy_queue_try_push(&queue, ITEM);
	eddy_event_set(&event);
	eddy_cancel(self);
	EXPECT(-ECANCELED, eddy_event_wait(self, &event));
	EXPECT(-ECANCELED, eddy_semaphore_acquire(self, &mutex));
	ck_assert_int_eq(eddy_semaphore_try_acquire(&mutex), 0);
	EXPECT(-ECANCELED, eddy_condition_wait(self, &condition, &mutex));
	ck_assert_uint_eq(mutex.count, 0);
	EXPECT(-ECANCELED, eddy_queue_push(self, &queue, slots));
	EXPECT(-ECANCELED, eddy_queue_pop(self, &queue, &got));
	ck_assert_ptr_null(got);
	check_pop(ITEM);
	ck_assert_int_eq(eddy_queue_try_pop(&queue, &got), -EAGAIN);
	eddy_future_complete(&future, 1);
	EXPECT(-ECANCELED, eddy_future_wait(self, &future));
	eddy_mailbox_push(&mailbox, ITEM, 0);
	EXPECT(-ECANCELED, eddy_mailbox_pop(self, &mailbox, &got));
	EDDY_FINALLY;
	EXPECT(0, eddy_mailbox_pop(self, &mailbox, &got));
	EDDY_RETURN(0);
	EDDY_END;
}

/* Conditions. */

SCENE(signal_wakes_as_many_as_it_says_in_their_order,
    "a:ok | b:ok c:ok | d:ok ")
{
	SCENE_BEGIN;
	go_all(f, f->i == 0 ? CONDITION : LOCKED);
	OTHERS();
	ck_assert_int_eq(eddy_condition_signal(&condition, 0), 0);
	ck_assert_int_eq(eddy_condition_signal(&condition, 1), 1);
	OTHERS();
	say("|");
	ck_assert_int_eq(eddy_condition_signal(&condition, 2), 2);
	OTHERS();
	say("|");
	ck_assert_int_eq(eddy_condition_signal(&condition, UINT_MAX), 1);
	EDDY_END;
}

SCENE(a_signal_that_nobody_waits_for_is_forgotten, "")
{
	SCENE_BEGIN;
	ck_assert_int_eq(eddy_condition_signal(&condition, 5), 0);
	EXPECT(-ETIME, eddy_timeout(self, EDDY_MS(1),
	    eddy_condition_wait(self, &condition, NULL)));
	ck_assert_int_eq(eddy_condition_signal(&condition, 5), 0);
	EDDY_END;
}

SCENE(who_waits_for_a_condition_lets_others_have_the_mutex, "a:ok | b:ok ")
{
	SCENE_BEGIN;
	go(f, &f->a, "a", LOCKED);
	OTHERS();
	EDDY_TRY(eddy_semaphore_acquire(self, &mutex));
	go(f, &f->b, "b", LOCKED);
	OTHERS();
	ck_assert(!f->b.waits); /* for the mutex first */
	ck_assert_int_eq(eddy_condition_signal(&condition, 9), 1);
	OTHERS();
	eddy_semaphore_release(&mutex); /* to b, which hands it to a */
	OTHERS();
	say("|");
	ck_assert_int_eq(eddy_condition_signal(&condition, 9), 1);
	EDDY_END;
}

/* While the mutex is free, and while it is not. */
SCENE(the_mutex_is_held_again_however_the_wait_ends, ANY)
{
	SCENE_BEGIN;
	f->how = (enum how)(f->i / 2);
	bound(f, go(f, &f->a, "a", LOCKED));
	OTHERS();
	if (f->i % 2 != 0)
		EDDY_TRY(eddy_semaphore_acquire(self, &mutex));
	end(&f->a, f->how);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(2)));
	if (f->i % 2 != 0) {
		OTHERS();
		ck_assert(f->a.waits);
		ck_assert_int_eq(eddy_condition_signal(&condition, 1), 0);
		eddy_semaphore_release(&mutex);
	}
	EDDY_TRY(eddy_join(self, &f->a.task));
	ck_assert_int_eq(f->a.rc, outcome[f->how]);
	ck_assert_uint_eq(mutex.count, 1);
	free(f->until);
	EDDY_END;
}

/* By what comes first, though the mutex is not free yet; only a cancel beats a
 * deadline still.  When an event and then the deadline end it, it may say so of
 * either. */
SCENE(the_end_of_a_wait_for_a_condition_is_decided_once, ANY)
{
	SCENE_BEGIN;
	f->how = (enum how)(f->i / HOWS);
	f->i %= HOWS;
	bound(f, go(f, &f->a, "a", LOCKED));
	if (f->i == EXPIRED)
		f->a.limit = EDDY_MS(1);
	OTHERS();
	EDDY_TRY(eddy_semaphore_acquire(self, &mutex));
	end(&f->a, f->how);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(2)));
	end(&f->a, (enum how)f->i);
	OTHERS();
	ck_assert(f->a.waits);
	eddy_semaphore_release(&mutex);
	EDDY_TRY(eddy_join(self, &f->a.task));
	f->rc = f->how == EXPIRED && f->i == CANCELLED ? -ECANCELED
	                                               : outcome[f->how];
	if (f->how != ENDED || f->i != EXPIRED || f->a.rc != -ETIME)
		ck_assert_int_eq(f->a.rc, f->rc);
	ck_assert_uint_eq(mutex.count, 1);
	free(f->until);
	EDDY_END;
}

SCENE(the_mutex_comes_back_in_the_order_of_the_signals,
    "a:ok b:ok c:canceled d:ok ")
{
	SCENE_BEGIN;
	go_all(f, LOCKED);
	OTHERS();
	EDDY_TRY(eddy_semaphore_acquire(self, &mutex));
	ck_assert_int_eq(eddy_condition_signal(&condition, 2), 2);
	eddy_cancel(&f->c.task);
	eddy_cancel(&f->b.task); /* too late: it has its signal */
	ck_assert_int_eq(eddy_condition_signal(&condition, 2), 1);
	OTHERS();
	ck_assert_str_eq(trace, "");
	eddy_semaphore_release(&mutex);
	EDDY_TRY(eddy_join_all(self));
	ck_assert(f->b.cancelled);
	EDDY_END;
}

SCENE(start_refuses_a_condition_of_another_task, "")
{
	SCENE_BEGIN;
	EDDY_TRY(eddy_semaphore_acquire(self, &mutex));
	EDDY_START(self, f->a.kids,
	    eddy_semaphore_acquire(f->a.kids, &mutex));
	f->rc = EDDY_START(self, &f->t,
	    eddy_condition_wait(self, &condition, &mutex)); /* not t's */
	ck_assert_int_eq(f->rc, -EINVAL);
	EXPECT(-EINVAL, eddy_join(self, &f->t));
	EDDY_TRY(eddy_join(self, f->a.kids)); /* has the mutex now */
	ck_assert_int_eq(eddy_semaphore_release(&mutex), 0);
	if (mutex.count == 0) /* it came back to us */
		ck_assert_int_eq(eddy_semaphore_release(&mutex), 0);
	ck_assert_uint_eq(mutex.count, 1);
	EDDY_END;
}

/* Queues. */

SCENE(a_queue_holds_as_many_as_it_has_slots, "")
{
	SCENE_BEGIN;
	eddy_queue_init(&queue, slots, 3);
	ck_assert_int_eq(eddy_queue_try_pop(&queue, &got), -EAGAIN);
	ck_assert_ptr_null(got);
	for (f->i = 0; f->i < 50; f->i++) { /* round and round */
		EDDY_TRY(eddy_queue_push(self, &queue, &letters[f->i]));
		ck_assert_int_eq(
		    eddy_queue_try_push(&queue, &letters[f->i + 1]), 0);
		EDDY_TRY(eddy_queue_push(self, &queue, NULL));
		ck_assert_int_eq(eddy_queue_try_push(&queue, ITEM), -EAGAIN);
		EXPECT(-ETIME, eddy_timeout(self, 0,
		    eddy_queue_push(self, &queue, ITEM)));
		EDDY_TRY(eddy_queue_pop(self, &queue, &got));
		ck_assert_ptr_eq(got, &letters[f->i]);
		EDDY_TRY(eddy_queue_pop(self, &queue, &got));
		ck_assert_ptr_eq(got, &letters[f->i + 1]);
		check_pop(NULL);
		EXPECT(-ETIME, eddy_timeout(self, 0,
		    eddy_queue_pop(self, &queue, &got)));
	}
	EDDY_END;
}

SCENE(pushers_are_served_in_their_order, "a:ok b:ok c:ok d:ok ")
{
	SCENE_BEGIN;
	eddy_queue_init(&queue, slots, (unsigned)f->i);
	go_all(f, PUSH);
	for (f->n = 0; f->n < 4; f->n++)
		f->all[f->n].item = &letters[f->n];
	EDDY_TRY(eddy_yield(self));
	/* As many are done as there are slots. */
	ck_assert_uint_eq(strlen(trace), 5 * (unsigned)f->i);
	for (f->n = 0; f->n < 4; f->n++) {
		EDDY_TRY(eddy_queue_pop(self, &queue, &got));
		ck_assert_ptr_eq(got, &letters[f->n]);
		EDDY_TRY(eddy_yield(self));
	}
	ck_assert_int_eq(eddy_queue_try_pop(&queue, &got), -EAGAIN);
	EDDY_END;
}

SCENE(poppers_are_served_in_their_order, "a:ok b:ok c:ok d:ok ")
{
	SCENE_BEGIN;
	eddy_queue_init(&queue, slots, (unsigned)f->i);
	go_all(f, POP);
	OTHERS();
	for (f->n = 0; f->n < 4; f->n++)
		EDDY_TRY(eddy_queue_push(self, &queue, &letters[f->n]));
	ck_assert_int_eq(eddy_queue_try_pop(&queue, &got), -EAGAIN);
	EDDY_TRY(eddy_join_all(self));
	for (f->n = 0; f->n < 4; f->n++)
		ck_assert_ptr_eq(f->all[f->n].item, &letters[f->n]);
	EDDY_END;
}

SCENE(without_slots_an_item_goes_from_hand_to_hand, "a:ok b:ok ")
{
	SCENE_BEGIN;
	ck_assert_int_eq(eddy_queue_try_push(&queue, ITEM), -EAGAIN);
	ck_assert_int_eq(eddy_queue_try_pop(&queue, &got), -EAGAIN);
	go(f, &f->a, "a", PUSH);
	OTHERS();
	ck_assert_str_eq(trace, "");
	check_pop(ITEM);
	OTHERS();
	ck_assert_int_eq(eddy_queue_try_pop(&queue, &got), -EAGAIN);
	go(f, &f->b, "b", POP);
	OTHERS();
	ck_assert_int_eq(eddy_queue_try_push(&queue, &got), 0);
	ck_assert_int_eq(eddy_queue_try_push(&queue, &got), -EAGAIN);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_ptr_eq(f->b.item, &got);
	EDDY_END;
}

SCENE(a_pusher_that_gives_up_keeps_its_item, "b:canceled a:ok c:ok ")
{
	SCENE_BEGIN;
	eddy_queue_init(&queue, slots, (unsigned)f->i);
	for (f->n = 0; f->n < f->i; f->n++)
		ck_assert_int_eq(eddy_queue_try_push(&queue, NULL), 0);
	go(f, &f->a, "a", PUSH)->item = &letters[0];
	go(f, &f->b, "b", PUSH)->item = &letters[1];
	go(f, &f->c, "c", PUSH)->item = &letters[2];
	OTHERS();
	eddy_cancel(&f->b.task);
	OTHERS();
	for (f->n = 0; f->n < f->i; f->n++)
		ck_assert_int_eq(eddy_queue_try_pop(&queue, &got), 0);
	check_pop(&letters[0]);
	check_pop(&letters[2]);
	ck_assert_int_eq(eddy_queue_try_pop(&queue, &got), -EAGAIN);
	EDDY_END;
}

SCENE(close_wakes_all_who_wait_for_a_queue,
    "a:closed b:closed c:closed d:closed ")
{
	SCENE_BEGIN;
	go_all(f, f->i == 0 ? PUSH : POP);
	OTHERS();
	eddy_queue_close(&queue);
	eddy_queue_close(&queue);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_ptr_eq(f->a.item, f->i == 0 ? ITEM : NULL);
	EDDY_END;
}

SCENE(what_is_in_a_closed_queue_can_still_be_popped, "a:closed ")
{
	SCENE_BEGIN;
	eddy_queue_init(&queue, slots, 2);
	ck_assert_int_eq(eddy_queue_try_push(&queue, &letters[0]), 0);
	ck_assert_int_eq(eddy_queue_try_push(&queue, &letters[1]), 0);
	go(f, &f->a, "a", PUSH);
	OTHERS();
	eddy_queue_close(&queue);
	ck_assert_int_eq(eddy_queue_try_push(&queue, ITEM), -EPIPE);
	EDDY_TRY(eddy_queue_pop(self, &queue, &got));
	ck_assert_ptr_eq(got, &letters[0]);
	EXPECT(-EPIPE, eddy_queue_push(self, &queue, ITEM)); /* has room */
	check_pop(&letters[1]);
	ck_assert_int_eq(eddy_queue_try_pop(&queue, &got), -EPIPE);
	EXPECT(-EPIPE, eddy_queue_pop(self, &queue, &got));
	ck_assert_ptr_eq(got, &letters[1]);
	EDDY_END;
}

SCENE(who_was_served_before_the_close_has_it, "a:ok ")
{
	SCENE_BEGIN;
	go(f, &f->a, "a", f->i == 0 ? PUSH : POP);
	OTHERS();
	ck_assert(serve(&f->a));
	eddy_queue_close(&queue);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_ptr_eq(f->a.item, ITEM);
	EDDY_END;
}

/* clang-format on */

/* Threads. */

static struct outsider {
	pthread_t thread;
	int (*fn)(int number);
	int number, r;
} outsiders[4];

static void *
outside(void *arg)
{
	struct outsider *o = arg;

	o->r = o->fn(o->number);
	return NULL;
}

static void
start_thread(struct outsider *o)
{
	ck_assert_int_eq(pthread_create(&o->thread, NULL, outside, o), 0);
}

static void
start_threads(unsigned n, int (*fn)(int number))
{
	unsigned i;

	for (i = 0; i < n; i++) {
		outsiders[i] = (struct outsider){.fn = fn, .number = (int)i};
		start_thread(&outsiders[i]);
	}
}

/* The sum of what they answered. */
static int
join_threads(unsigned n)
{
	unsigned i;
	int sum = 0;

	for (i = 0; i < n; i++) {
		ck_assert_int_eq(pthread_join(outsiders[i].thread, NULL), 0);
		sum += outsiders[i].r;
	}
	return sum;
}

/* What fn answers in a thread of its own. */
static int
ask_outsider(int (*fn)(int number), int number)
{
	outsiders[0] = (struct outsider){.fn = fn, .number = number};
	start_thread(&outsiders[0]);
	return join_threads(1);
}

static int
in_a_thread(int (*fn)(int number))
{
	return ask_outsider(fn, 0);
}

static void
wait_until_parked(void)
{
	while (A_LOAD(&loop_->door->stack) != &loop_->door->asleep)
		sched_yield();
}

/* What belongs to the loop's thread. */

enum { STOP = POP + 1, CLOSE, INTRUSIONS = CLOSE + 2 };

static int
intrude(int what)
{
	switch (what) {
	case EVENT:
		return eddy_event_set(&event);
	case SEMAPHORE:
		return eddy_semaphore_release(&semaphore);
	case CONDITION:
	case LOCKED:
		return eddy_condition_signal(&condition, 1);
	case PUSH:
		return eddy_queue_try_pop(&queue, &got);
	case POP:
		return eddy_queue_try_push(&queue, NULL);
	case STOP:
		return eddy_event_set(&stop);
	default:
		return eddy_queue_close(&queue);
	}
}

/* clang-format off */

SCENE(where_a_task_waits_other_threads_are_refused, "a:ok ")
{
	SCENE_BEGIN;
	f->what = (enum what)(f->i < CLOSE ? f->i % STOP : PUSH + f->i - CLOSE);
	go(f, &f->a, "a", f->what)->until = &stop;
	OTHERS();
	ck_assert_int_eq(ask_outsider(intrude, f->i), -EPERM);
	OTHERS();
	ck_assert(f->a.waits && !event.set && !stop.set);
	ck_assert_ptr_null(got);
	ck_assert(serve(&f->a) || f->what == EVENT);
	EDDY_END;
}

static eddy_step
stranger(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	EDDY_TRY(f->rc, eddy_timeout(self, EDDY_S(1), operation(f)));
	EDDY_END;
}

static int
run_alone(eddy_task_fn *fn, int what)
{
	struct user f = {.what = (enum what)what};

	eddy_prepare(&f.task, fn, "stranger");
	return eddy_run(&f.task);
}

static int
wait_on_a_loop_of_its_own(int what)
{
	return run_alone(stranger, what);
}

SCENE(where_a_task_waits_tasks_of_other_threads_are_refused, "a:canceled ")
{
	static const enum what of[] = {
	    EVENT, SEMAPHORE, CONDITION, PUSH, POP, FUTURE, MAIL};

	SCENE_BEGIN;
	go(f, &f->a, "a", of[f->i]);
	OTHERS();
	ck_assert_int_eq(
	    ask_outsider(wait_on_a_loop_of_its_own, (int)of[f->i]), -EPERM);
	eddy_cancel(&f->a.task);
	EDDY_END;
}

static eddy_step
strange_follower(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	if (f->what == EVENT)
		EDDY_TRY(eddy_event_wait(self, &stop));
	EDDY_TRY(eddy_until(self, &stop, eddy_sleep(self, EDDY_S(1))));
	EDDY_END;
}

static int
follow_on_a_loop_of_its_own(int what)
{
	return run_alone(strange_follower, what);
}

/* Or would wait for the same event. */
SCENE(where_a_task_follows_tasks_of_other_threads_are_refused, "a:canceled ")
{
	SCENE_BEGIN;
	go(f, &f->a, "a", SLEEP)->until = &stop;
	OTHERS();
	ck_assert_int_eq(ask_outsider(follow_on_a_loop_of_its_own,
			     f->i == 0 ? SLEEP : EVENT),
	    -EPERM);
	eddy_cancel(&f->a.task);
	EDDY_END;
}

/* clang-format on */

/* Futures. */

static int
complete(int number)
{
	return eddy_future_complete(&future, 42 + number);
}

static int
complete_when_parked(int number)
{
	wait_until_parked();
	return complete(number);
}

static int
close_future(int number)
{
	return number + eddy_future_close(&future);
}

/* clang-format off */

SCENE(a_future_completed_before_the_wait_has_its_result, "")
{
	SCENE_BEGIN;
	ck_assert_int_eq(in_a_thread(complete), 0);
	for (f->i = 0; f->i < 3; f->i++) {
		EXPECT(42, eddy_future_wait(self, &future));
	}
	ck_assert_int_eq(eddy_future_close(&future), 0);
	EDDY_END;
}

SCENE(a_wait_for_a_future_keeps_the_loop_running, "")
{
	SCENE_BEGIN;
	start_threads(1, complete_when_parked);
	EXPECT(42, eddy_future_wait(self, &future));
	ck_assert_int_eq(join_threads(1), 0);
	EDDY_END;
}

SCENE(all_who_wait_for_a_future_hear_in_their_order, "a:ok b:ok c:ok d:ok ")
{
	SCENE_BEGIN;
	go_all(f, FUTURE);
	OTHERS();
	ck_assert_int_eq(eddy_future_complete(&future, 0), 0);
	EDDY_TRY(eddy_future_wait(self, &future)); /* the last one */
	ck_assert(f->d.task.op == NULL);
	EDDY_END;
}

SCENE(a_future_is_completed_once, "")
{
	SCENE_BEGIN;
	start_threads(4, complete);
	EDDY_AWAIT(f->rc, eddy_future_wait(self, &future));
	ck_assert_int_eq(join_threads(4), 3 * -EALREADY);
	ck_assert_int_ge(f->rc, 42);
	ck_assert_int_le(f->rc, 45);
	ck_assert_int_eq(outsiders[f->rc - 42].r, 0);
	ck_assert_int_eq(eddy_future_complete(&future, 1), -EALREADY);
	EDDY_AWAIT(f->n, eddy_future_wait(self, &future));
	ck_assert_int_eq(f->n, f->rc);
	EDDY_END;
}

SCENE(what_is_no_result_is_refused, "")
{
	SCENE_BEGIN;
	ck_assert_int_eq(eddy_future_complete(&future, -4096), -EINVAL);
	ck_assert_int_eq(eddy_future_complete(&future, EDDY_PENDING), -EINVAL);
	ck_assert_int_eq(eddy_future_complete(&future, -4095), 0);
	EXPECT(-4095, eddy_future_wait(self, &future));
	eddy_future_init(&future, self->loop);
	ck_assert_int_eq(eddy_future_complete(&future, INT_MAX), 0);
	EXPECT(INT_MAX, eddy_future_wait(self, &future));
	EDDY_END;
}

SCENE(close_of_a_future_answers_who_waits, "a:canceled b:canceled c:canceled "
    "d:canceled ")
{
	SCENE_BEGIN;
	go_all(f, FUTURE);
	OTHERS();
	ck_assert_int_eq(in_a_thread(close_future), -EPERM);
	ck_assert_int_eq(eddy_future_close(&future), 0);
	ck_assert_int_eq(eddy_future_close(&future), 0);
	EXPECT(-ECANCELED, eddy_future_wait(self, &future));
	ck_assert_int_eq(in_a_thread(complete), -EALREADY);
	memset(&future, 0xee, sizeof(future)); /* its memory goes */
	EDDY_TRY(eddy_join_all(self));
	ck_assert(!f->a.cancelled);
	EDDY_END;
}

SCENE(a_future_may_go_before_its_result_was_heard, "a:canceled ")
{
	SCENE_BEGIN;
	go(f, &f->a, "a", FUTURE);
	OTHERS();
	ck_assert_int_eq(in_a_thread(complete), 0);
	ck_assert_int_eq(eddy_future_close(&future), 0);
	EXPECT(42, eddy_future_wait(self, &future));
	memset(&future, 0xee, sizeof(future));
	OTHERS();
	EDDY_END;
}

SCENE(who_gives_up_a_future_leaves_it_to_the_others,
    "a:canceled b:late c:canceled d:ok ")
{
	SCENE_BEGIN;
	go_all(f, FUTURE);
	f->b.limit = EDDY_MS(1);
	f->c.until = &stop;
	OTHERS();
	eddy_cancel(&f->a.task);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(2)));
	eddy_event_set(&stop);
	OTHERS();
	ck_assert_int_eq(eddy_future_complete(&future, 0), 0);
	EDDY_END;
}

/* clang-format on */

/* Mailboxes. */

static void
small_mailbox(unsigned n, unsigned full)
{
	ck_assert_int_eq(eddy_mailbox_init(&mailbox, loop_, letters, n), 0);
	while (full-- > 0)
		ck_assert_int_eq(eddy_mailbox_push(&mailbox, NULL, 0), 0);
}

static unsigned
blocked(void)
{
	unsigned n;

	pthread_mutex_lock(&mailbox.lock);
	n = mailbox.blocked;
	pthread_mutex_unlock(&mailbox.lock);
	return n;
}

static void
wait_until_blocked(unsigned n)
{
	while (blocked() != n)
		sched_yield();
}

static int
push_and_wait(int number)
{
	return eddy_mailbox_push(&mailbox, &slots[number], EDDY_FOREVER);
}

static int
push_at_once(int number)
{
	return eddy_mailbox_push(&mailbox, &slots[number], 0);
}

static int
push_when_parked(int number)
{
	wait_until_parked();
	return push_at_once(number);
}

static int
push_for_a_while(int number)
{
	int64_t deadline = eddy_after(EDDY_MS(2));
	int r = eddy_mailbox_push(&mailbox, &slots[number], deadline);

	return eddy_now() >= deadline ? r : 1;
}

static int
push_too_late(int number)
{
	static const int64_t past[] = {1, -1, -EDDY_S(1), -LONG};

	return eddy_mailbox_push(&mailbox, ITEM, past[number]);
}

static int
push_in_no_time(int number)
{
	return number + eddy_mailbox_push(&mailbox, ITEM, INT64_MIN);
}

static int
close_mailbox(int number)
{
	return number + eddy_mailbox_close(&mailbox);
}

/* clang-format off */

SCENE(a_mailbox_without_slots_is_refused, "")
{
	SCENE_BEGIN;
	ck_assert_int_eq(
	    eddy_mailbox_init(&mailbox, self->loop, NULL, 0), -EINVAL);
	EDDY_END;
}

SCENE(a_wait_for_mail_keeps_the_loop_running, "")
{
	SCENE_BEGIN;
	start_threads(1, push_when_parked);
	EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
	ck_assert_ptr_eq(got, &slots[0]);
	ck_assert_int_eq(join_threads(1), 0);
	EDDY_END;
}

SCENE(mail_goes_to_poppers_in_their_order, "c:canceled d:late a:ok b:ok ")
{
	SCENE_BEGIN;
	go_all(f, MAIL);
	f->d.limit = EDDY_MS(1);
	OTHERS();
	eddy_cancel(&f->c.task);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(2)));
	for (f->i = 0; f->i < 3; f->i++)
		ck_assert_int_eq(push_at_once(f->i), 0);
	/* They come before us, although it is there. */
	EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
	ck_assert_ptr_eq(got, &slots[2]);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_ptr_eq(f->a.item, &slots[0]);
	ck_assert_ptr_eq(f->b.item, &slots[1]);
	ck_assert_ptr_null(f->c.item);
	EDDY_END;
}

SCENE(mail_for_a_popper_that_gives_up_stays, "a:canceled ")
{
	SCENE_BEGIN;
	go(f, &f->a, "a", MAIL);
	OTHERS();
	ck_assert_int_eq(in_a_thread(push_at_once), 0);
	eddy_cancel(&f->a.task);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_ptr_null(f->a.item);
	EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
	ck_assert_ptr_eq(got, &slots[0]);
	EDDY_END;
}

SCENE(a_full_mailbox_says_so, "")
{
	SCENE_BEGIN;
	small_mailbox(2, 2);
	ck_assert_int_eq(in_a_thread(push_at_once), -EAGAIN);
	ck_assert_int_eq(push_at_once(0), -EAGAIN);
	ck_assert_int_eq(in_a_thread(push_for_a_while), -ETIME);
	/* The loop's own thread must not wait. */
	ck_assert_int_eq(push_and_wait(0), -EDEADLK);
	ck_assert_int_eq(eddy_mailbox_push(&mailbox, ITEM,
	    eddy_after(EDDY_S(1))), -EDEADLK);
	EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
	ck_assert_int_eq(push_and_wait(1), 0); /* it need not */
	EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
	EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
	ck_assert_ptr_eq(got, &slots[1]);
	EDDY_END;
}

SCENE(a_deadline_that_is_past_does_not_wait, "")
{
	SCENE_BEGIN;
	small_mailbox(5, 5);
	start_threads(4, push_too_late);
	ck_assert_int_eq(join_threads(4), 4 * -ETIME);
	for (f->i = 0; f->i < 4; f->i++)
		EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
	start_threads(4, push_too_late); /* with room */
	ck_assert_int_eq(join_threads(4), 0);
	EDDY_END;
}

SCENE(the_oldest_deadline_of_all_is_past, "")
{
	SCENE_BEGIN;
	small_mailbox(2, 2);
	ck_assert_int_eq(in_a_thread(push_in_no_time), -ETIME);
	EDDY_END;
}

SCENE(a_thread_waits_for_room, "")
{
	SCENE_BEGIN;
	small_mailbox(1, 1);
	start_threads(4, push_and_wait);
	for (f->i = 4; f->i >= 0; f->i--) {
		wait_until_blocked((unsigned)f->i);
		EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
		ck_assert(f->i == 4 ? got == NULL : got != NULL);
	}
	ck_assert_int_eq(join_threads(4), 0);
	EDDY_END;
}

SCENE(close_of_a_mailbox_wakes_the_threads_that_wait, "")
{
	SCENE_BEGIN;
	small_mailbox(1, 1);
	start_threads(4, push_and_wait);
	wait_until_blocked(4);
	ck_assert_int_eq(eddy_mailbox_close(&mailbox), 0);
	ck_assert_int_eq(join_threads(4), 4 * -EPIPE);
	EDDY_END;
}

SCENE(close_of_a_mailbox_wakes_the_tasks_that_wait,
    "a:closed b:closed c:closed d:closed ")
{
	SCENE_BEGIN;
	go_all(f, MAIL);
	OTHERS();
	ck_assert_int_eq(in_a_thread(close_mailbox), -EPERM);
	ck_assert_int_eq(eddy_mailbox_close(&mailbox), 0);
	ck_assert_int_eq(eddy_mailbox_close(&mailbox), 0);
	memset(&mailbox, 0xee, sizeof(mailbox)); /* its memory goes */
	EDDY_END;
}

SCENE(what_is_in_a_closed_mailbox_can_still_be_popped, "a:ok b:ok c:closed ")
{
	SCENE_BEGIN;
	go(f, &f->a, "a", MAIL);
	go(f, &f->b, "b", MAIL);
	go(f, &f->c, "c", MAIL);
	OTHERS();
	ck_assert_int_eq(in_a_thread(push_at_once), 0);
	ck_assert_int_eq(push_at_once(1), 0);
	ck_assert_int_eq(eddy_mailbox_close(&mailbox), 0);
	ck_assert_int_eq(push_at_once(2), -EPIPE);
	ck_assert_int_eq(push_and_wait(2), -EPIPE);
	ck_assert_int_eq(in_a_thread(push_and_wait), -EPIPE);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_ptr_eq(f->a.item, &slots[0]);
	EXPECT(-EPIPE, eddy_mailbox_pop(self, &mailbox, &got));
	/* Without anybody who waits. */
	small_mailbox(2, 2);
	ck_assert_int_eq(eddy_mailbox_close(&mailbox), 0);
	EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
	EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
	EXPECT(-EPIPE, eddy_mailbox_pop(self, &mailbox, &got));
	EDDY_END;
}

SCENE(a_mailbox_may_go_when_it_is_closed, "")
{
	SCENE_BEGIN;
	ck_assert_int_eq(in_a_thread(push_at_once), 0);
	ck_assert_int_eq(eddy_mailbox_close(&mailbox), 0);
	memset(&mailbox, 0xee, sizeof(mailbox));
	OTHERS();
	EDDY_END;
}

/* clang-format on */

/* Deadlocks. */

static char told[4096]; /* on stderr */

static int
run_and_listen(eddy_task_fn *fn, int i)
{
	int copy = dup(STDERR_FILENO), fd = memfd_create("told", 0), r;

	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	r = run(fn, i);
	ck_assert_int_ge(pread(fd, told, sizeof(told) - 1, 0), 0);
	dup2(copy, STDERR_FILENO);
	close(copy);
	close(fd);
	return r;
}

static void
check_told_deadlock(int r)
{
	ck_assert_int_eq(r, -EDEADLK);
	ck_assert_ptr_nonnull(strstr(told, "scene: "));
	ck_assert_ptr_nonnull(strstr(told, "  user: "));
	ck_assert_ptr_nonnull(strstr(told, "check_sync.c:"));
	ck_assert_ptr_nonnull(strstr(told, "bounded(f)"));
}

/* clang-format off */

static eddy_step
holds_mutex(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	EDDY_TRY(eddy_semaphore_acquire(self, &mutex));
	EDDY_TRY(bounded(f));
	EDDY_FINALLY;
	eddy_semaphore_release(&mutex);
	EDDY_END;
}

static eddy_step
waits_for_its_like(struct eddy_task *self)
{
	SCENE_BEGIN;
	go(f, &f->a, "a", f->what);
	OTHERS();
	go(f, &f->b, "b", EVENT)->task.fn = holds_mutex;
	OTHERS();
	if (f->how != SERVED)
		eddy_condition_signal(&condition, 1); /* has its mutex too */
	EDDY_END;
}

static eddy_step
waits_for_something_else(struct eddy_task *self)
{
	SCENE_BEGIN;
	go(f, &f->a, "a", f->how == SERVED ? FUTURE : MAIL);
	go(f, &f->b, "b", f->what);
	start_threads(1,
	    f->how == SERVED ? complete_when_parked : push_when_parked);
	EDDY_TRY(eddy_join(self, &f->a.task));
	ck_assert_int_eq(join_threads(1), 0);
	if (f->i < KINDS * HOWS)
		serve(&f->b);
	EDDY_END;
}

static eddy_step
waited_for_something_else(struct eddy_task *self)
{
	static const enum what what[] = { FUTURE, MAIL, PARK, CALL, JOIN_ALL };

	SCENE_BEGIN;
	f->what = what[f->i % 5];
	f->how = (enum how)(f->i / 5);
	f->i = 0;
	bound(f, go(f, &f->a, "a", f->what));
	OTHERS();
	end(&f->a, f->how);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(2)));
	ck_assert(eddy_done(&f->a.task));
	free(f->until);
	go(f, &f->b, "b", EVENT);
	EDDY_END;
}

/* clang-format on */

START_TEST(tasks_that_wait_only_for_each_other_are_a_deadlock)
{
	check_told_deadlock(run_and_listen(waits_for_its_like, _i));
}
END_TEST

START_TEST(a_task_that_waits_for_a_signalled_mutex_is_a_deadlock)
{
	check_told_deadlock(run_and_listen(waits_for_its_like, LOCKED + KINDS));
}
END_TEST

START_TEST(a_future_or_mailbox_among_the_waits_is_no_deadlock)
{
	int r = run_and_listen(
	    waits_for_something_else, _i % 6 + _i / 6 * KINDS);

	ck_assert_str_eq(told, "");
	ck_assert_int_eq(r, 0);
}
END_TEST

START_TEST(when_the_future_or_the_mail_has_come_the_rest_is_a_deadlock)
{
	int i = _i % 6 + _i / 6 * KINDS + KINDS * HOWS;

	check_told_deadlock(run_and_listen(waits_for_something_else, i));
}
END_TEST

START_TEST(a_wait_that_has_ended_wakes_nobody)
{
	check_told_deadlock(run_and_listen(waited_for_something_else, _i));
}
END_TEST

/* Many futures and letters from other threads. */

enum {
	FUTURES = 20000,
	THREADS = 4,
	LETTERS = 10000,
	HANDS = 100000,
	BOXES = 100000
};

static struct eddy_future *futures;

static int
complete_many(int number)
{
	int i, sum = 0;

	for (i = number; i < FUTURES; i += 2)
		sum += eddy_future_complete(&futures[i], i);
	return sum;
}

/* clang-format off */

SCENE(of_many_futures_none_is_lost, "")
{
	SCENE_BEGIN;
	futures = calloc(FUTURES, sizeof(*futures));
	ck_assert_ptr_nonnull(futures);
	for (f->i = 0; f->i < FUTURES; f->i++)
		eddy_future_init(&futures[f->i], self->loop);
	start_threads(2, complete_many);
	for (f->i = 0; f->i < FUTURES; f->i++) {
		EDDY_AWAIT(f->rc, eddy_future_wait(self, &futures[f->i]));
		MUST(f->rc == f->i);
	}
	ck_assert_int_eq(join_threads(2), 0);
	free(futures);
	EDDY_END;
}

/* clang-format on */

static char mail[THREADS][LETTERS]; /* how often each has come */
static int upcoming[THREADS], poppers, ends;

/* All three ways to wait for room. */
static int
push_many(int number)
{
	int i = 0, r = 0;

	while (i <= LETTERS) { /* what was refused once has patience */
		int64_t deadline = i % 3 == 0 || r != 0 ? EDDY_FOREVER
		                   : i % 3 == 1         ? 0
		                                : eddy_after(EDDY_US(20));
		void *item = i < LETTERS ? &mail[number][i] : NULL;

		r = eddy_mailbox_push(&mailbox, item, deadline);
		if (r != -EAGAIN && r != -ETIME && r != 0)
			return r;
		i += r == 0;
	}
	return 0;
}

static int
push_on_and_on(int number)
{
	int i, r = number;

	for (i = 0; r == 0 && i < HANDS; i++)
		r = push_and_wait(0);
	return r;
}

static struct eddy_mailbox *boxes; /* full ones */
static int pushing;                /* the number of one; A_LOAD, A_STORE */

static int
push_into_each(int number)
{
	int i, sum = number;

	for (i = 0; i < BOXES; i++) {
		A_STORE(&pushing, i);
		sum += eddy_mailbox_push(&boxes[i], ITEM, EDDY_FOREVER);
	}
	return sum;
}

/* Just now, or a little later. */
static void
wait_until_pushing(int i)
{
	int n;

	while (A_LOAD(&pushing) != i)
		sched_yield();
	for (n = i % 1000; n > 0; n--)
		A_LOAD(&pushing);
}

static void
receive(const char *letter)
{
	ptrdiff_t n;

	if (letter == NULL) { /* the last of its thread */
		if (++ends == THREADS)
			MUST(eddy_mailbox_close(&mailbox) == 0);
		return;
	}
	n = letter - mail[0];
	MUST(mail[n / LETTERS][n % LETTERS]++ == 0);
	if (poppers == 1)
		MUST(upcoming[n / LETTERS]++ == n % LETTERS);
}

/* clang-format off */

/* It sleeps through none of the moments when there is room. */
SCENE(a_thread_that_fills_a_mailbox_is_always_woken, "")
{
	SCENE_BEGIN;
	small_mailbox(1, 0);
	start_threads(1, push_on_and_on);
	for (f->i = 0; f->i < HANDS; f->i++)
		EDDY_TRY(eddy_mailbox_pop(self, &mailbox, &got));
	ck_assert_int_eq(join_threads(1), 0);
	EDDY_END;
}

SCENE(a_close_at_any_moment_wakes_the_thread_that_waits, "")
{
	SCENE_BEGIN;
	boxes = calloc(BOXES, sizeof(*boxes));
	ck_assert_ptr_nonnull(boxes);
	for (f->i = 0; f->i < BOXES; f->i++) {
		eddy_mailbox_init(&boxes[f->i], self->loop, slots, 1);
		MUST(eddy_mailbox_push(&boxes[f->i], ITEM, 0) == 0);
	}
	pushing = -1;
	start_threads(1, push_into_each);
	for (f->i = 0; f->i < BOXES; f->i++) {
		wait_until_pushing(f->i);
		MUST(eddy_mailbox_close(&boxes[f->i]) == 0);
	}
	ck_assert_int_eq(join_threads(1), BOXES * -EPIPE);
	free(boxes);
	EDDY_END;
}

static eddy_step
popper(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	for (;;) {
		EDDY_AWAIT(f->rc, bounded(f));
		if (f->rc == 0)
			receive(f->item);
		else if (f->rc != -ETIME)
			break;
	}
	ck_assert_int_eq(f->rc, -EPIPE);
	EDDY_END;
}

static eddy_step
post_office(struct eddy_task *self)
{
	SCENE_BEGIN;
	small_mailbox(f->i % 2 == 0 ? 1 : COUNT_OF(letters), 0);
	poppers = f->i / 2 == 0 ? 1 : 3;
	for (f->i = 0; f->i < poppers; f->i++) {
		f->one = init_user(&f->all[f->i], "popper", MAIL);
		f->one->task.fn = popper;
		f->one->limit = f->i == 2 ? EDDY_US(10) : 0;
		eddy_spawn(self, &f->one->task);
	}
	start_threads(THREADS, push_many);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_int_eq(join_threads(THREADS), 0);
	EDDY_END;
}

/* clang-format on */

START_TEST(letters_of_many_threads_arrive_once_and_in_order)
{
	struct scene f = {.i = _i};

	eddy_prepare(&f.task, post_office, "post office");
	ck_assert_int_eq(eddy_run(&f.task), 0); /* in real time */
	ck_assert_ptr_null(memchr(mail, 0, sizeof(mail)));
}
END_TEST

/*
 * Chaos: users come, wait, hold what they got for a while and go; whoever still
 * waits may be cancelled, be told by its event or be late.
 */
enum { USERS = 48, PERMITS = 3, GIVEN_UP = 100000, GOODS = 1000000 };

static struct user users[USERS];
static struct eddy_event stops[USERS];
static struct good {
	bool pushed, popped, refused;
} goods[GOODS];
static int held, given_up, served, signalled, heard, next_good;
static uint64_t seed;

static int
dice(int sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (int)((seed >> 32) % (uint64_t)sides);
}

static void
count(struct user *f)
{
	f->waits = false;
	served += f->rc == 0;
	given_up += f->rc != 0;
	if (f->rc != 0)
		MUST(f->rc == -ECANCELED || f->rc == -ETIME);
	MUST(f->rc != -ETIME || f->limit != 0);
}

/* clang-format off */

static eddy_step
take_and_hold(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct user, f);
	EDDY_AWAIT(f->rc, bounded(f));
	count(f);
	if (f->rc != 0)
		EDDY_RETURN(0);
	MUST(++held <= PERMITS);
	EDDY_AWAIT(f->rc, eddy_sleep(self, EDDY_US(dice(4))));
	held--;
	MUST(eddy_semaphore_release(&semaphore) == 0);
	EDDY_END;
}

static eddy_step
trade(struct eddy_task *self)
{
	struct good *good;

	EDDY_BEGIN(self, struct user, f);
	MUST(next_good < GOODS);
	if (f->what == PUSH)
		f->item = &goods[next_good++];
	EDDY_AWAIT(f->rc, bounded(f));
	count(f);
	MUST((f->item != NULL) == (f->what == PUSH || f->rc == 0));
	good = f->item;
	if (f->what == PUSH) {
		good->pushed = f->rc == 0;
		good->refused = f->rc != 0;
	} else if (good != NULL) {
		MUST(!good->popped && !good->refused);
		good->popped = true;
	}
	EDDY_END;
}

static eddy_step
watch(struct eddy_task *self)
{
	int rc;

	EDDY_BEGIN(self, struct user, f);
	EDDY_TRY(eddy_semaphore_acquire(self, &mutex));
	own(f);
	EDDY_AWAIT(rc, eddy_yield(self));
	disown(f);
	EDDY_AWAIT(f->rc, bounded(f));
	own(f);
	count(f);
	heard += f->rc == 0;
	EDDY_AWAIT(rc, eddy_yield(self));
	(void)rc;
	disown(f);
	MUST(eddy_semaphore_release(&mutex) == 0);
	EDDY_END;
}

/* clang-format on */

static bool
waiting(const struct user *u, enum what what)
{
	return u->what == what && u->waits && u->task.op != NULL;
}

/* Nobody waits for what is there. */
static void
check_waiters(void)
{
	const struct eddy_ring *ring = &queue.ring;
	int i, n[KINDS] = {0};

	for (i = 0; i < USERS; i++)
		n[users[i].what] += waiting(&users[i], users[i].what);
	MUST(n[SEMAPHORE] == 0 || semaphore.count == 0);
	MUST(n[PUSH] == 0 || (ring->count == ring->room && n[POP] == 0));
	MUST(n[POP] == 0 || ring->count == 0);
	MUST(owner == NULL || mutex.count == 0);
}

static struct game {
	eddy_task_fn *fn;
	enum what one, other;
} games[] = {
    {take_and_hold, SEMAPHORE, SEMAPHORE},
    {trade, PUSH, POP},
    {watch, LOCKED, LOCKED},
};

static void
enter(struct scene *f, int i, const struct game *game)
{
	struct user *u = init_user(
	    &users[i], "u", dice(2) == 0 ? game->one : game->other);

	eddy_event_init(&stops[i]);
	u->task.fn = game->fn;
	u->until = dice(2) == 0 ? &stops[i] : NULL;
	u->limit = dice(3) == 0 ? EDDY_US(dice(4)) : 0;
	u->inside = dice(2);
	MUST(eddy_spawn(&f->task, &u->task) == 0);
}

static void
disturb(struct scene *f, const struct game *game)
{
	int i = dice(USERS);

	if (users[i].task.fn == NULL || eddy_done(&users[i].task))
		enter(f, i, game);
	else if (dice(3) == 0)
		eddy_cancel(&users[i].task);
	else if (dice(2) == 0)
		eddy_event_set(&stops[i]);
	else
		signalled += eddy_condition_signal(
		    &condition, (unsigned)dice(3));
	check_waiters();
}

/* clang-format off */

static eddy_step
chaos(struct eddy_task *self)
{
	SCENE_BEGIN;
	eddy_semaphore_init(&semaphore, PERMITS);
	eddy_queue_init(&queue, slots, (unsigned)f->n);
	while (given_up < GIVEN_UP) {
		disturb(f, &games[f->i]);
		if (dice(8) == 0)
			EDDY_TRY(eddy_sleep(self, EDDY_US(dice(4))));
	}
	ck_assert_int_gt(served, GIVEN_UP / 10);
	/* Permits come by themselves, goods and signals do not. */
	for (f->n = 0; games[f->i].one != SEMAPHORE && f->n < USERS; f->n++)
		eddy_cancel(&users[f->n].task);
	EDDY_TRY(eddy_join_all(self));
	ck_assert_uint_eq(semaphore.count, PERMITS);
	ck_assert_uint_eq(mutex.count, 1);
	ck_assert_int_eq(signalled, heard);
	EDDY_END;
}

/* clang-format on */

static void
run_chaos(int game, int n, int i)
{
	struct scene f = {.i = game, .n = n};

	seed = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1);
	ck_assert_int_eq(run_scene(&f, chaos), 0);
}

START_TEST(random_cancels_lose_no_permit)
{
	run_chaos(0, 0, _i);
}
END_TEST

START_TEST(random_cancels_lose_no_item)
{
	void *left;
	int i;

	run_chaos(1, _i, _i);
	while (eddy_queue_try_pop(&queue, &left) == 0) {
		MUST(!((struct good *)left)->popped);
		((struct good *)left)->popped = true;
	}
	for (i = 0; i < next_good; i++)
		MUST(goods[i].popped == goods[i].pushed &&
		     goods[i].refused != goods[i].pushed);
}
END_TEST

START_TEST(random_cancels_lose_no_signal_and_no_mutex)
{
	run_chaos(2, 0, _i);
}
END_TEST

static void
add_loops(TCase *tcase, const TTest *test, int n)
{
	tcase_add_loop_test(tcase, test, 0, n);
}

static void
add_local(Suite *suite)
{
	TCase *tcase = census_case(suite, "event", 5);

	census_add(tcase, an_event_that_is_set_ends_waits_at_once,
	    set_wakes_all_in_their_order, a_cleared_event_makes_wait_again,
	    waits_given_up_leave_the_others_in_order);
	tcase = census_case(suite, "until", 5);
	add_loops(
	    tcase, until_and_timeout_bound_every_operation, KINDS * HOWS * 2);
	add_loops(tcase, until_a_set_event_every_operation_gives_up, KINDS);
	add_loops(tcase, two_events_for_one_operation_are_refused, KINDS * 3);
	add_loops(tcase, a_result_and_its_giving_up_in_one_batch_lose_nothing,
	    KINDS * HOWS * 2);
	census_add(tcase, what_ended_one_operation_is_forgotten_by_the_next,
	    a_sleep_that_is_due_in_the_batch_of_the_event_is_over,
	    one_event_ends_many_operations_in_their_order,
	    a_wait_for_the_event_that_also_ends_it_has_its_result,
	    until_keeps_results_that_are_there_at_once,
	    until_works_in_finally_and_under_a_shield,
	    caller_and_callee_may_follow_the_same_event,
	    a_callee_that_answers_the_event_keeps_its_answer,
	    of_event_and_deadline_the_first_is_the_answer,
	    an_event_that_is_set_may_go_before_what_it_ends);
	tcase = census_case(suite, "semaphore", 5);
	add_loops(tcase, a_cancelled_lock_waiter_keeps_the_order_of_the_rest,
	    4 * (HOWS - CANCELLED));
	census_add(tcase, a_semaphore_gives_what_it_counts,
	    permits_go_to_waiters_in_their_order, nobody_overtakes_a_waiter,
	    more_permits_than_a_semaphore_can_count_are_refused,
	    a_cancelled_task_takes_no_permit_signal_or_item);
	tcase = census_case(suite, "condition", 5);
	add_loops(tcase, signal_wakes_as_many_as_it_says_in_their_order, 2);
	add_loops(
	    tcase, the_mutex_is_held_again_however_the_wait_ends, HOWS * 2);
	add_loops(tcase, the_end_of_a_wait_for_a_condition_is_decided_once,
	    HOWS * HOWS);
	census_add(tcase, a_signal_that_nobody_waits_for_is_forgotten,
	    start_refuses_a_condition_of_another_task,
	    who_waits_for_a_condition_lets_others_have_the_mutex,
	    the_mutex_comes_back_in_the_order_of_the_signals);
	tcase = census_case(suite, "queue", 5);
	add_loops(tcase, pushers_are_served_in_their_order, 5);
	add_loops(tcase, poppers_are_served_in_their_order, 3);
	add_loops(tcase, a_pusher_that_gives_up_keeps_its_item, 3);
	add_loops(tcase, close_wakes_all_who_wait_for_a_queue, 2);
	add_loops(tcase, who_was_served_before_the_close_has_it, 2);
	census_add(tcase, a_queue_holds_as_many_as_it_has_slots,
	    without_slots_an_item_goes_from_hand_to_hand,
	    what_is_in_a_closed_queue_can_still_be_popped);
}

static void
add_threads(Suite *suite)
{
	TCase *tcase = census_case(suite, "thread", 5);

	add_loops(
	    tcase, where_a_task_waits_other_threads_are_refused, INTRUSIONS);
	add_loops(
	    tcase, where_a_task_waits_tasks_of_other_threads_are_refused, 7);
	add_loops(
	    tcase, where_a_task_follows_tasks_of_other_threads_are_refused, 2);
	census_add(census_case(suite, "future", 5),
	    a_future_completed_before_the_wait_has_its_result,
	    a_wait_for_a_future_keeps_the_loop_running,
	    all_who_wait_for_a_future_hear_in_their_order,
	    a_future_is_completed_once, what_is_no_result_is_refused,
	    close_of_a_future_answers_who_waits,
	    a_future_may_go_before_its_result_was_heard,
	    who_gives_up_a_future_leaves_it_to_the_others);
	census_add(census_case(suite, "mailbox", 5),
	    a_mailbox_without_slots_is_refused,
	    a_wait_for_mail_keeps_the_loop_running,
	    mail_goes_to_poppers_in_their_order,
	    mail_for_a_popper_that_gives_up_stays, a_full_mailbox_says_so,
	    a_deadline_that_is_past_does_not_wait,
	    the_oldest_deadline_of_all_is_past, a_thread_waits_for_room,
	    close_of_a_mailbox_wakes_the_threads_that_wait,
	    close_of_a_mailbox_wakes_the_tasks_that_wait,
	    what_is_in_a_closed_mailbox_can_still_be_popped,
	    a_mailbox_may_go_when_it_is_closed);
}

static void
add_rest(Suite *suite)
{
	TCase *tcase = census_case(suite, "deadlock", 10);

	add_loops(
	    tcase, tasks_that_wait_only_for_each_other_are_a_deadlock, POP + 1);
	add_loops(tcase, a_future_or_mailbox_among_the_waits_is_no_deadlock,
	    2 * (POP + 1));
	add_loops(tcase,
	    when_the_future_or_the_mail_has_come_the_rest_is_a_deadlock,
	    2 * (POP + 1));
	add_loops(tcase, a_wait_that_has_ended_wakes_nobody, 5 * HOWS);
	census_add(
	    tcase, a_task_that_waits_for_a_signalled_mutex_is_a_deadlock);
	tcase = census_case(suite, "stress", 20);
	census_add(tcase, of_many_futures_none_is_lost,
	    a_thread_that_fills_a_mailbox_is_always_woken,
	    a_close_at_any_moment_wakes_the_thread_that_waits);
	add_loops(tcase, letters_of_many_threads_arrive_once_and_in_order, 4);
	add_loops(tcase, random_cancels_lose_no_permit, 2);
	add_loops(tcase, random_cancels_lose_no_item, 3);
	add_loops(tcase, random_cancels_lose_no_signal_and_no_mutex, 2);
}

int
main(void)
{
	Suite *suite = suite_create("sync");

	add_local(suite);
	add_threads(suite);
	add_rest(suite);
	return suite_main(suite);
}
