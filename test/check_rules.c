/* SPDX-License-Identifier: ISC */
/*
 * rules: what loop and tasks promise, a test for each sentence.  Most are
 * scenes on a virtual clock: a main task with the result and the trace that it
 * must come to.  Errors that nobody reads go to the trace.  All allocations are
 * counted, so what is made for a task is freed with it.
 */
/* link: -Wl,--wrap=eddy__alloc,--wrap=eddy__realloc,--wrap=eddy__free */
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/process_pool.h>
#include <eddy/sync.h>
#include <eddy/watch.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "census.h"
#include "counted.h"
#include "trace.h"

/* Ends only by being cancelled. */
#define LONG EDDY_S(1000)
#define MS   EDDY_MS

enum { MILLION = 1000000, DEEP = 100000, STACK = 4096 };

/* Scenes. */

/* A child, which says -name as it ends, lag ns after it began to leave. */
struct kid {
	struct eddy_task task;
	const char *name;
	int64_t duration;
	int result;
	int64_t lag;
	int64_t deadline;
	int rc;
};

/* clang-format off */

static eddy_step
kid(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct kid, f);
	self->name = f->name;
	if (f->deadline != 0)
		ck_assert_int_eq(eddy_deadline_set(self, f->deadline), 0);
	EDDY_TRY(eddy_sleep(self, f->duration));
	EDDY_RETURN(f->result);
	EDDY_FINALLY;
	f->rc = 0;
	if (f->lag != 0)
		EDDY_AWAIT(f->rc, eddy_sleep(self, f->lag));
	ck_assert_int_eq(f->rc, 0);
	say("-%s", f->name);
	EDDY_END;
}

#define KID(ptr, name_, duration_, ...) \
	EDDY_INIT(ptr, kid, .name = name_, .duration = duration_, __VA_ARGS__)
#define NEW_KID(name_, duration_, ...) \
	EDDY_NEW(kid, .name = name_, .duration = duration_, __VA_ARGS__)

/* clang-format on */

static void
spawn(struct eddy_task *scope, struct eddy_task *child)
{
	ck_assert_int_eq(eddy_spawn(scope, child), 0);
}

struct scene {
	struct eddy_task task;
	struct kid a, b, c;
	struct eddy_task t;
	struct eddy_task *other;
	int64_t began;
	int i, n, rc;
};

static struct eddy_clock virtual = {EDDY_S(9)};

static void
note(struct eddy_loop *loop, const struct eddy_task *task, int error)
{
	ck_assert_ptr_eq(task->loop, loop);
	say("%s:%d", task->name, error);
}

static const struct eddy_loop_options options = {
    .clock = &virtual, .on_error = note};

static struct scene *
scene_init(struct scene *f, eddy_task_fn *fn, const char *name)
{
	memset(f, 0, sizeof(*f));
	eddy_prepare(&f->task, fn, name);
	f->began = virtual.now;
	return f;
}

static int
run(eddy_task_fn *fn)
{
	struct scene f;

	return eddy_run_with(&options, &scene_init(&f, fn, "main")->task);
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

static struct eddy_task *
new_scene(eddy_task_fn *fn, const char *name)
{
	struct eddy_task *task = eddy_new_frame(sizeof(struct scene), fn, name);

	((struct scene *)task)->began = virtual.now;
	return task;
}

/* ms since the scene began */
static int
at(const struct scene *f)
{
	return (int)((virtual.now - f->began) / MS(1));
}

/* A loop on the same clock. */
static struct eddy_loop *
open_loop(void)
{
	struct eddy_loop *loop;

	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	return loop;
}

static void
close_loop(struct eddy_loop *loop)
{
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}

/* Fairness: whoever requeues himself, a descriptor gets its turn. */

enum { STARVED = 100000 }; /* times; it must not come to that */

static struct requeue {
	struct eddy_post post;
	struct eddy_timer timer;
	struct eddy_job first, job;
	struct eddy_executor *pool;
	int times;
	bool stop;
} requeue;

static bool
once_more(void)
{
	ck_assert_int_lt(requeue.times++, STARVED);
	return !requeue.stop;
}

static void
post_again(struct eddy_loop *loop, struct eddy_post *post)
{
	if (once_more())
		ck_assert_int_eq(eddy_post(loop, post), 0);
}

static void
start_again(struct eddy_loop *loop, struct eddy_timer *timer)
{
	if (once_more())
		ck_assert_int_eq(eddy_timer_start(loop, timer, 0), 0);
}

/* clang-format off */

static eddy_step
yield_again(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	while (once_more())
		EDDY_TRY(eddy_yield(self));
	EDDY_END;
}

static eddy_step
complete_again(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	for (; !requeue.stop; once_more())
		EDDY_TRY(eddy_complete(self, 0));
	EDDY_END;
}

static eddy_step
nothing(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_END;
}

static eddy_step
spawn_again(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	if (once_more())
		ck_assert_int_eq(eddy_loop_spawn(self->loop,
		    new_scene(spawn_again, "again"), NULL), 0);
	EDDY_END;
}

static eddy_step
call_again(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	for (; !requeue.stop; once_more())
		EDDY_TRY(eddy_call(self, new_scene(nothing, "nothing")));
	EDDY_END;
}

/* clang-format on */

static void
respawn(struct eddy_loop *loop, struct eddy_task *task)
{
	(void)task;
	if (once_more())
		ck_assert_int_eq(
		    eddy_loop_spawn(loop, new_scene(nothing, "root"), respawn),
		    0);
}

static void
begin_post(struct eddy_loop *loop)
{
	eddy_post_init(&requeue.post, post_again);
	ck_assert_int_eq(eddy_post(loop, &requeue.post), 0);
}

static void
begin_timer(struct eddy_loop *loop)
{
	eddy_timer_init(&requeue.timer, start_again);
	ck_assert_int_eq(eddy_timer_start(loop, &requeue.timer, 0), 0);
}

static void
begin_root(struct eddy_loop *loop)
{
	ck_assert_int_eq(
	    eddy_loop_spawn(loop, new_scene(nothing, "root"), respawn), 0);
}

#define TASK(fn)                                                            \
	static void begin_##fn(struct eddy_loop *loop)                      \
	{                                                                   \
		ck_assert_int_eq(                                           \
		    eddy_loop_spawn(loop, new_scene(fn, "task"), NULL), 0); \
	}
TASK(yield_again)
TASK(complete_again)
TASK(spawn_again)
TASK(call_again)

/* A job that is taken back at once, and submitted again where that is told. */
static void
submit_again(struct eddy_loop *loop, struct eddy_job *job)
{
	if (requeue.stop || !once_more())
		return;
	ck_assert_int_eq(eddy_submit(requeue.pool, job, loop, submit_again), 0);
	ck_assert_int_eq(eddy_job_cancel(job), 0);
}

static int
never(void *arg)
{
	(void)arg;
	return 0;
}

static int
occupy(void *arg)
{
	(void)arg;
	return pause();
}

static void
on_occupied(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	(void)job;
}

static void
begin_job(struct eddy_loop *loop)
{
	struct eddy_process_pool_options pool = {.workers = 1, .depth = 1};

	/* Its worker has something to do while all this goes on. */
	ck_assert_int_eq(eddy_process_pool_open(&requeue.pool, loop, &pool), 0);
	requeue.first.fn = occupy;
	ck_assert_int_eq(
	    eddy_submit(requeue.pool, &requeue.first, loop, on_occupied), 0);
	requeue.job.fn = never;
	submit_again(loop, &requeue.job);
}

static void (*const begins[])(struct eddy_loop *) = {begin_post, begin_timer,
    begin_root, begin_yield_again, begin_complete_again, begin_spawn_again,
    begin_call_again, begin_job};

static void
on_readable(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	say("readable");
	eddy_watch_stop(loop, watch);
}

/* A step looks at descriptors each time, a run at least each other time. */
START_TEST(fairness)
{
	int64_t wait = _i % 2 == 0 ? 0 : EDDY_FOREVER;
	struct eddy_loop *loop = open_loop();
	struct eddy_watch watch;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	begins[_i / 2](loop);
	ck_assert_int_eq(eddy_loop_step(loop, wait), 1);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	eddy_watch_init(&watch, fds[0], on_readable, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), 0);
	ck_assert_int_eq(eddy_loop_step(loop, wait), 1);
	ck_assert_int_eq(eddy_loop_step(loop, wait), 1);
	ck_assert_str_eq(trace, "readable ");
	ck_assert_int_gt(requeue.times, 1);
	requeue.stop = true;
	if (requeue.pool != NULL) {
		ck_assert_int_eq(eddy_job_cancel(&requeue.first), 0);
		ck_assert_int_eq(
		    eddy_executor_close(requeue.pool, EDDY_S(30)), 0);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	close_loop(loop);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* Order. */

struct named {
	struct eddy_timer timer;
	const char *name;
};

static void
on_named(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	say("%s", ((struct named *)timer)->name);
}

/* Timers and tasks alike; a restart, whether moved or not, is a new start. */
START_TEST(equal_deadlines_fire_in_creation_order)
{
	static const char *names[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
	struct eddy_loop *loop = open_loop();
	int64_t deadline = virtual.now + MS(5);
	struct named t[8];
	struct kid k[2];
	int i;

	for (i = 0; i < 2; i++)
		ck_assert_int_eq(
		    eddy_loop_spawn(loop,
			KID(&k[i], i ? "k1" : "k0", MS(5), .result = 0), NULL),
		    0);
	for (i = 0; i < 8; i++) {
		eddy_timer_init(&t[i].timer, on_named);
		t[i].name = names[i];
		eddy_timer_start(loop, &t[i].timer, deadline - (i == 2) * 3);
		if (i == 3) /* the tasks go to sleep here */
			ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	}
	eddy_timer_start(loop, &t[5].timer, deadline); /* not moved at all */
	eddy_timer_start(loop, &t[2].timer, deadline); /* from before */
	eddy_timer_stop(loop, &t[1].timer);
	eddy_timer_start(loop, &t[1].timer, deadline);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "0 3 -k0 -k1 4 6 7 5 2 1 ");
	close_loop(loop);
}
END_TEST

/* One of each kind; the first to fire stops all others of its batch. */
static struct batch {
	struct eddy_watch watches[2];
	struct eddy_post posts[2];
	struct eddy_timer timers[2];
	int fired;
} batch;

static void
stop_all(struct eddy_loop *loop)
{
	int i;

	batch.fired++;
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(eddy_watch_stop(loop, &batch.watches[i]), 0);
		eddy_post_cancel(loop, &batch.posts[i]);
		ck_assert_int_eq(eddy_timer_stop(loop, &batch.timers[i]), 0);
	}
}

static void
watch_stops(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	stop_all(loop);
}

static void
post_stops(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	stop_all(loop);
}

static void
timer_stops(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)timer;
	stop_all(loop);
}

/* The first is a post, then a watch with no post behind it, then with one. */
START_TEST(a_handle_stopped_by_an_earlier_callback_of_the_batch_does_not_fire)
{
	struct eddy_loop *loop = open_loop();
	int fds[2][2], i;

	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(pipe(fds[i]), 0);
		ck_assert_int_eq(write(fds[i][1], "x", 1), 1);
		eddy_watch_init(&batch.watches[i], fds[i][0], watch_stops, 0);
		eddy_post_init(&batch.posts[i], post_stops);
		eddy_timer_init(&batch.timers[i], timer_stops);
		if (_i > 0)
			eddy_watch_start(loop, &batch.watches[i], EPOLLIN);
		if (_i != 1)
			ck_assert_int_eq(eddy_post(loop, &batch.posts[i]), 0);
		eddy_timer_start(loop, &batch.timers[i], virtual.now);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(batch.fired, 1);
	close_loop(loop);
	for (i = 0; i < 4; i++)
		close(fds[i / 2][i % 2]);
}
END_TEST

/* One batch.  A victim waits until 10 ms; what happens to it comes by a timer
 * of the same time that was started before or behind its own. */

static const struct eddy_op waiting = {"waiting", eddy_unpark};

static EDDY_ASYNC
wait(struct eddy_task *self)
{
	if (eddy_cancelled(self))
		return eddy_complete(self, -ECANCELED);
	return eddy_park(self, &waiting);
}

enum { BY_TIMEOUT, BY_DEADLINE };
enum { FIRST, LAST, BY_POST };

struct victim {
	struct eddy_task task;
	struct eddy_timer event;
	struct eddy_post post;
	int how, when;
	bool cancel; /* else a result of 7 */
	int rc;
};

static void
happen(struct victim *f)
{
	int r = f->cancel ? eddy_cancel(&f->task) : eddy_unpark(&f->task, 7);

	say("%s", r == 0 ? "event" : "refused");
}

static void
on_event(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	happen(
	    (struct victim *)((char *)timer - offsetof(struct victim, event)));
}

static void
on_post_event(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)loop;
	happen((struct victim *)((char *)post - offsetof(struct victim, post)));
}

/* clang-format off */

static eddy_async
victims_wait(struct victim *f)
{
	eddy_async op = wait(&f->task);

	if (f->how == BY_TIMEOUT)
		op = eddy_timeout(&f->task, MS(10), op);
	else
		ck_assert_int_eq(eddy_deadline_set(&f->task,
		    virtual.now + MS(10)), 0);
	return op;
}

static void
arrange(struct victim *f, int when)
{
	if (when == f->when)
		ck_assert_int_eq(eddy_timer_start(f->task.loop, &f->event,
		    virtual.now + MS(10)), 0);
}

/* The event is arranged before or behind the bound of the wait. */
static eddy_async
victims_moment(struct victim *f)
{
	eddy_async op;

	eddy_timer_init(&f->event, on_event);
	arrange(f, FIRST);
	op = victims_wait(f);
	arrange(f, LAST);
	return op;
}

static eddy_step
victim(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct victim, f);
	EDDY_AWAIT(f->rc, victims_moment(f));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

/* clang-format on */

static int
befall(int how, int when, bool cancel)
{
	struct eddy_loop *loop = open_loop();
	struct victim f;

	trace[0] = '\0';
	EDDY_INIT(&f, victim, .how = how, .when = when, .cancel = cancel);
	eddy_post_init(&f.post, on_post_event);
	ck_assert_int_eq(eddy_loop_spawn(loop, &f.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	if (when == BY_POST) { /* it comes when time has just passed */
		virtual.now += MS(10);
		ck_assert_int_eq(eddy_post(loop, &f.post), 0);
		ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	close_loop(loop);
	return f.task.result;
}

START_TEST(result_and_deadline_in_one_batch_the_result_wins)
{
	ck_assert_int_eq(befall(_i, BY_POST, false), 7);
	ck_assert_str_eq(trace, "event ");
	ck_assert_int_eq(befall(_i, FIRST, false), 7);
	ck_assert_str_eq(trace, "event ");
	/* Behind the deadline it is none: its giver is told. */
	ck_assert_int_eq(befall(_i, LAST, false), -ETIME);
	ck_assert_str_eq(trace, "refused victim:-62 ");
}
END_TEST

START_TEST(a_cancel_from_outside_beats_a_deadline)
{
	int when;

	for (when = FIRST; when <= BY_POST; when++) {
		ck_assert_int_eq(befall(_i, when, true), -ECANCELED);
		ck_assert_str_eq(trace, "event ");
	}
}
END_TEST

/* Scopes. */

/* clang-format off */

SCENE(the_first_failure_cancels_siblings_and_all_are_awaited, -EIO,
    "-bad -a -b cancelled finally=8 ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn(self, KID(&f->a, "a", LONG, .lag = MS(3)));
	spawn(self, KID(&f->b, "b", LONG, .lag = MS(5)));
	spawn(self, KID(&f->c, "bad", MS(3), .result = -EIO));
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	ck_assert_int_eq(at(f), 3);
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_RETURN(9);
	EDDY_FINALLY;
	ck_assert_int_eq(f->a.task.result, -ECANCELED);
	ck_assert_int_eq(f->b.task.result, -ECANCELED);
	say("cancelled");
	say("finally=%d", at(f));
	EDDY_END;
}

/* Depth and number.  No exact bounds under sanitizers. */

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

static void
check_stack(void)
{
	if (!CENSUS_ASAN && !CENSUS_TSAN)
		ck_assert_uint_lt(highest - lowest, STACK);
}

SCENE(a_million_immediate_awaits_move_the_stack_by_less_than_4_KB, 0, "")
{
	EDDY_BEGIN(self, struct scene, f);
	for (f->i = 0; f->i < MILLION; f->i++) {
		measure();
		EDDY_AWAIT(f->rc, eddy_complete(self, f->i & 7));
		f->n += f->rc == (f->i & 7); /* an assertion costs 1 us */
	}
	ck_assert_int_eq(f->n, MILLION);
	check_stack();
	EDDY_END;
}

struct deep {
	struct eddy_task task;
	int n;
	struct eddy_task **deepest;
	int rc;
};

static eddy_step
deep(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct deep, f);
	measure();
	if (f->n == 0) {
		*f->deepest = self;
		EDDY_TRY(f->rc, wait(self));
	} else {
		EDDY_TRY(f->rc, eddy_call(self,
		    EDDY_NEW(deep, .n = f->n - 1, .deepest = f->deepest)));
	}
	measure();
	EDDY_RETURN(f->rc + 1);
	EDDY_FINALLY;
	measure();
	EDDY_END;
}

/* It returns, or is cancelled from above. */
static eddy_step
dive(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	for (f->i = 0; f->i < 2; f->i++) {
		f->other = EDDY_NEW(deep, .n = DEEP, .deepest = &f->a.task.prev);
		spawn(self, f->other);
		for (f->a.task.prev = NULL; f->a.task.prev == NULL;)
			EDDY_TRY(eddy_yield(self));
		if (f->i == 0)
			eddy_unpark(f->a.task.prev, 0);
		else
			eddy_cancel(f->other);
		EDDY_AWAIT(f->rc, eddy_join(self, f->other));
		ck_assert_int_eq(f->rc, f->i == 0 ? DEEP + 1 : -ECANCELED);
	}
	check_stack();
	EDDY_END;
}

/* clang-format on */

START_TEST(a_call_chain_of_100000_moves_the_stack_by_less_than_4_KB)
{
	ck_assert_int_eq(run(dive), 0);
}
END_TEST

static int64_t
resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long long size, pages;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%lld %lld", &size, &pages), 2);
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

/* clang-format off */

struct bare {
	struct eddy_task task;
};

static eddy_step
bare(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct bare, f);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_END;
}

struct loaded {
	struct eddy_task task;
	char fields[72];
};

static eddy_step
loaded(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct loaded, f);
	memset(f->fields, 'x', sizeof(f->fields));
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_END;
}

/* How a million of them come to be. */
enum { ALLOCATED, EMBEDDED, WITH_FIELDS, WAYS };

struct crowd {
	struct eddy_task task;
	int way, i, refused;
	struct bare *array;
	int64_t before;
};

static struct eddy_task *
member(struct crowd *f)
{
	switch (f->way) {
	case ALLOCATED:
		return EDDY_NEW(bare);
	case EMBEDDED:
		return EDDY_INIT(&f->array[f->i], bare);
	default:
		return EDDY_NEW(loaded);
	}
}

static int64_t
each(const struct crowd *f)
{
	int64_t bytes = (resident() - f->before) / MILLION;

	return f->way == WITH_FIELDS ? bytes - (int)sizeof(((struct loaded *)
	    NULL)->fields) : bytes;
}

static eddy_step
crowd(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct crowd, f);
	f->before = resident();
	if (f->way == EMBEDDED)
		f->array = calloc(MILLION, sizeof(*f->array));
	for (f->i = 0; f->i < MILLION; f->i++)
		f->refused += eddy_spawn(self, member(f)) < 0;
	ck_assert_int_eq(f->refused, 0);
	EDDY_TRY(eddy_sleep(self, 1));
	ck_assert_int_le(each(f), 220);
	EDDY_RETURN(-ECANCELED); /* and so shall they */
	EDDY_FINALLY;
	free(f->array);
	EDDY_END;
}

/* clang-format on */

START_TEST(a_million_sleeping_tasks_cost_at_most_220_resident_bytes_each)
{
	struct crowd f;

	if (CENSUS_ASAN || CENSUS_TSAN)
		return;
	ck_assert_int_eq(
	    eddy_run_with(&options, EDDY_INIT(&f, crowd, .way = _i)),
	    -ECANCELED);
}
END_TEST

/* eddy_deadline_set. */

/* clang-format off */

static int
bound(struct scene *f, int ms)
{
	return eddy_deadline_set(&f->task, f->began + MS(ms));
}

SCENE(a_deadline_bounds_the_body, -ETIME, "finally=10 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 10), 0);
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	ck_assert_int_eq(f->rc, -ECANCELED);
	ck_assert(eddy_cancelled(self));
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	say("finally=%d", at(f));
	EDDY_END;
}

SCENE(a_deadline_bounds_children_and_callees, -ETIME, "-a -b -c at=12 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 10), 0);
	spawn(self, KID(&f->a, "a", LONG, .lag = 0));
	spawn(self, KID(&f->b, "b", LONG, .lag = MS(1)));
	EDDY_TRY(eddy_call(self, KID(&f->c, "c", LONG, .lag = MS(2))));
	EDDY_FINALLY;
	ck_assert_int_eq(f->a.task.result, -ECANCELED);
	ck_assert_int_eq(f->b.task.result, -ECANCELED);
	ck_assert_int_eq(f->c.task.result, -ECANCELED);
	say("at=%d", at(f));
	EDDY_END;
}

/* However it waits for them; a race reads every error, so it comes last. */
static eddy_async
wait_for_kids(struct scene *f)
{
	spawn(&f->task, KID(&f->c, "w", LONG, .lag = 0));
	switch (f->n) {
	case 0:
		return eddy_join(&f->task, &f->c.task);
	case 1:
		return eddy_join_all(&f->task);
	case 2:
		return eddy_throttle(&f->task, 1);
	default:
		return eddy_race(&f->task, NULL);
	}
}

static eddy_step
bounded_wait(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 10), 0);
	EDDY_TRY(wait_for_kids(f));
	EDDY_END;
}

START_TEST(a_deadline_bounds_waits_for_children)
{
	struct scene f;

	scene_init(&f, bounded_wait, "main")->n = _i;
	ck_assert_int_eq(eddy_run_with(&options, &f.task), -ETIME);
	ck_assert_int_eq(at(&f), 10);
}
END_TEST

SCENE(a_deadline_behind_the_body_leaves_its_result, 3, "-c at=10 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 10), 0);
	spawn(self, KID(&f->c, "c", LONG, .lag = 0));
	EDDY_RETURN(3);
	EDDY_FINALLY;
	ck_assert_int_eq(f->c.task.result, -ECANCELED);
	say("at=%d", at(f));
	EDDY_END;
}

SCENE(a_deadline_moves, -ETIME, "at=25 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 10), 0);
	ck_assert_int_eq(bound(f, 30), 0);
	EDDY_TRY(eddy_sleep(self, MS(20)));
	ck_assert_int_eq(bound(f, 25), 0);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	say("at=%d", at(f));
	EDDY_END;
}

SCENE(forever_lifts_a_deadline, 4, "")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(eddy_deadline_set(self, EDDY_FOREVER), 0);
	ck_assert_int_eq(bound(f, 10), 0);
	ck_assert_int_eq(eddy_deadline_set(self, EDDY_FOREVER), 0);
	EDDY_TRY(eddy_sleep(self, MS(20)));
	EDDY_RETURN(4);
	EDDY_END;
}

SCENE(a_deadline_in_the_past_is_now, -ETIME, "at=0 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(eddy_deadline_set(self, INT64_MIN), 0);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	say("at=%d", at(f));
	EDDY_END;
}

/* A deadline that has passed replaces -ECANCELED and nothing else. */
static eddy_step
ends_with(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 1), 0);
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	EDDY_RETURN(f->n);
	EDDY_END;
}

START_TEST(a_deadline_replaces_only_ecanceled)
{
	static const int results[] = {0, 7, -EIO, -ETIME, -ECANCELED};
	struct scene f;

	scene_init(&f, ends_with, "main")->n = results[_i];
	ck_assert_int_eq(eddy_run_with(&options, &f.task),
	    results[_i] == -ECANCELED ? -ETIME : results[_i]);
}
END_TEST

SCENE(a_deadline_that_comes_too_late_changes_nothing, -ECANCELED, "at=15 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 10), 0);
	eddy_cancel(self);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	EDDY_AWAIT(f->rc, eddy_sleep(self, MS(15)));
	ck_assert_int_eq(f->rc, 0);
	say("at=%d", at(f));
	EDDY_END;
}

SCENE(a_deadline_does_not_cut_finally, 3, "-a at=20 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 10), 0);
	EDDY_RETURN(3);
	EDDY_FINALLY;
	EDDY_AWAIT(f->rc, eddy_sleep(self, MS(12)));
	ck_assert_int_eq(f->rc, 0);
	EDDY_AWAIT(f->rc, eddy_call(self, KID(&f->a, "a", MS(8), .result = 2)));
	ck_assert_int_eq(f->rc, 2);
	say("at=%d", at(f));
	EDDY_END;
}

SCENE(a_deadline_does_not_cut_a_shield, -ETIME, "at=20 at=20 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 10), 0);
	eddy_shield(self, true);
	EDDY_AWAIT(f->rc, eddy_sleep(self, MS(20)));
	ck_assert_int_eq(f->rc, 0);
	say("at=%d", at(f));
	eddy_shield(self, false);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	say("at=%d", at(f));
	EDDY_END;
}

/* Moved when it has passed, it passes again: still a deadline. */
SCENE(a_deadline_that_passes_twice_is_one, -ETIME, "at=20 ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 5), 0);
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	ck_assert_int_eq(f->rc, -ECANCELED);
	ck_assert_int_eq(bound(f, 10), 0);
	eddy_shield(self, true);
	EDDY_AWAIT(f->rc, eddy_sleep(self, MS(15)));
	eddy_shield(self, false);
	EDDY_RETURN(-ECANCELED);
	EDDY_FINALLY;
	say("at=%d", at(f));
	EDDY_END;
}

SCENE(the_deadline_of_a_callee_is_an_error_of_the_call, 6, "-a -b ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_AWAIT(f->rc, eddy_call(self,
	    KID(&f->a, "a", LONG, .deadline = f->began + MS(5))));
	ck_assert_int_eq(f->rc, -ETIME);
	ck_assert(!eddy_cancelled(self));
	/* The outer one is sooner. */
	EDDY_AWAIT(f->rc, eddy_timeout(self, MS(1), eddy_call(self,
	    KID(&f->b, "b", LONG, .deadline = f->began + MS(9)))));
	ck_assert_int_eq(f->rc, -ETIME);
	ck_assert_int_eq(f->b.task.result, -ECANCELED);
	ck_assert_int_eq(at(f), 6);
	EDDY_RETURN(at(f));
	EDDY_END;
}

SCENE(the_deadline_of_a_child_is_its_failure, -ETIME, "-late -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn(self, KID(&f->a, "a", LONG, .lag = MS(1)));
	spawn(self, KID(&f->b, "late", LONG, .deadline = f->began + MS(5)));
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	ck_assert_int_eq(at(f), 5);
	EDDY_END;
}

SCENE(of_two_deadlines_in_one_batch_each_counts_for_its_own, -ETIME, "-a ")
{
	EDDY_BEGIN(self, struct scene, f);
	ck_assert_int_eq(bound(f, 5), 0);
	spawn(self, KID(&f->a, "a", LONG, .deadline = f->began + MS(5)));
	EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

/* Freed with the task: never passed, passed, lifted, of each kind of frame. */
SCENE(a_deadline_is_freed_with_its_task, 0, "-a -b -b=-62 ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_TRY(eddy_sleep(self, 1)); /* the heap has its memory now */
	f->n = live;
	EDDY_TRY(eddy_call(self,
	    KID(&f->a, "a", MS(1), .deadline = virtual.now + LONG)));
	ck_assert_int_eq(live, f->n);
	EDDY_AWAIT(f->rc, eddy_call(self,
	    NEW_KID("b", LONG, .deadline = virtual.now + MS(1))));
	say("-b=%d", f->rc);
	ck_assert_int_eq(live, f->n);
	/* And its timer does not come back. */
	EDDY_TRY(eddy_sleep(self, 2 * LONG));
	EDDY_END;
}

/* The error hook. */

SCENE(an_unread_error_of_a_root_is_reported, 0, "-x x:-5 -y -z ")
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_loop_spawn(self->loop, NEW_KID("x", MS(1), .result = -EIO), NULL);
	eddy_loop_spawn(self->loop, KID(&f->a, "y", MS(2), .result = 3), NULL);
	eddy_loop_spawn(self->loop, KID(&f->b, "z", LONG, .lag = 0), NULL);
	EDDY_TRY(eddy_sleep(self, MS(5)));
	eddy_cancel(&f->b.task); /* -ECANCELED is no failure */
	EDDY_TRY(eddy_sleep(self, MS(5)));
	EDDY_END;
}

static void
on_done(struct eddy_loop *loop, struct eddy_task *task)
{
	(void)loop;
	say("done=%d", task->result);
}

SCENE(a_root_with_done_is_read, 0, "-x done=-5 ")
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_loop_spawn(
	    self->loop, NEW_KID("x", MS(1), .result = -EIO), on_done);
	EDDY_TRY(eddy_sleep(self, MS(5)));
	EDDY_END;
}

SCENE(a_failing_main_task_is_read, -EIO, "")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_RETURN(-EIO);
	EDDY_END;
}

static int
supervise(struct eddy_task *scope, struct eddy_task *child)
{
	return eddy_spawn_supervised(scope, child);
}

SCENE(a_failing_supervised_child_is_reported_and_its_siblings_live, 8,
    "-a a:-5 -b b:-62 -c ")
{
	EDDY_BEGIN(self, struct scene, f);
	supervise(self, KID(&f->a, "a", MS(1), .result = -EIO));
	supervise(self, NEW_KID("b", LONG, .deadline = f->began + MS(2)));
	spawn(self, KID(&f->c, "c", MS(5), .result = 9));
	EDDY_TRY(eddy_join_all(self));
	ck_assert_int_eq(f->c.task.result, 9);
	ck_assert_int_eq(at(f), 5);
	ck_assert_int_eq(supervise(self, &f->a.task), -EINVAL);
	ck_assert_int_eq(supervise(self, NULL), -ENOMEM);
	EDDY_RETURN(8);
	EDDY_END;
}

SCENE(a_supervised_child_may_be_joined_and_is_read_then, 0, "-a -b b:-5 ")
{
	EDDY_BEGIN(self, struct scene, f);
	supervise(self, KID(&f->a, "a", MS(1), .result = -EIO));
	EDDY_AWAIT(f->rc, eddy_join(self, &f->a.task));
	ck_assert_int_eq(f->rc, -EIO);
	/* Too late to read it, but the result is there. */
	supervise(self, KID(&f->b, "b", MS(1), .result = -EIO));
	EDDY_TRY(eddy_sleep(self, MS(2)));
	EDDY_AWAIT(f->rc, eddy_join(self, &f->b.task));
	ck_assert_int_eq(f->rc, -EIO);
	EDDY_END;
}

SCENE(supervised_children_are_cancelled_with_their_scope, -EPERM, "-a ")
{
	EDDY_BEGIN(self, struct scene, f);
	supervise(self, KID(&f->a, "a", LONG, .lag = MS(1)));
	EDDY_TRY(eddy_yield(self));
	EDDY_RETURN(-EPERM);
	EDDY_END;
}

SCENE(the_second_sibling_to_fail_is_reported, -EIO, "-a -b b:-28 -c c:-13 ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn(self, KID(&f->a, "a", 0, .result = -EIO));
	spawn(self, KID(&f->b, "b", 0, .result = -ENOSPC));
	spawn(self, NEW_KID("c", 0, .result = -EACCES));
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_END;
}

SCENE(a_failing_loser_of_a_race_is_reported, 5, "-a -b b:-5 -c ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn(self, KID(&f->a, "a", 0, .result = 5));
	spawn(self, KID(&f->b, "b", 0, .result = -EIO));
	spawn(self, KID(&f->c, "c", LONG, .lag = 0));
	EDDY_TRY(f->rc, eddy_race(self, NULL));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

/* Fails when it is told to leave. */
static eddy_step
sore(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	EDDY_RETURN(-EIO);
	EDDY_END;
}

SCENE(a_child_that_fails_as_its_scope_leaves_in_error_is_reported, -EPERM,
    "sore:-5 sore:-5 ")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn(self, new_scene(sore, "sore"));
	spawn(self, new_scene(sore, "sore"));
	EDDY_TRY(eddy_yield(self));
	EDDY_RETURN(-EPERM);
	EDDY_END;
}

SCENE(a_child_that_fails_in_finally_after_an_error_is_reported, -EPERM,
    "-a a:-5 ")
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_RETURN(-EPERM);
	EDDY_FINALLY;
	spawn(self, KID(&f->a, "a", MS(1), .result = -EIO));
	EDDY_END;
}

SCENE(a_child_that_fails_as_its_scope_leaves_is_its_failure, -EIO, "")
{
	EDDY_BEGIN(self, struct scene, f);
	spawn(self, new_scene(sore, "sore"));
	EDDY_TRY(eddy_yield(self));
	eddy_cancel(self);
	EDDY_RETURN(1);
	EDDY_END;
}

/* A hook may act on what it hears. */
static struct eddy_task *to_cancel;

static void
cancel_all(struct eddy_loop *loop, const struct eddy_task *task, int error)
{
	note(loop, task, error);
	ck_assert_int_eq(eddy_cancel(to_cancel), 0);
}

static eddy_step
serves(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	to_cancel = self;
	supervise(self, KID(&f->a, "a", LONG, .lag = MS(1)));
	supervise(self, KID(&f->b, "b", MS(1), .result = -EIO));
	supervise(self, NEW_KID("c", LONG, .lag = MS(2)));
	EDDY_TRY(wait_for_kids(f));
	EDDY_END;
}

/* clang-format on */

START_TEST(the_hook_may_cancel_the_scope)
{
	struct eddy_loop_options strict = options;
	struct scene f;

	strict.on_error = cancel_all;
	scene_init(&f, serves, "main")->n = _i;
	ck_assert_int_eq(eddy_run_with(&strict, &f.task), -ECANCELED);
	ck_assert_str_eq(trace, "-b b:-5 -w -a -c ");
	ck_assert_int_eq(at(&f), 3);
}
END_TEST

/* clang-format off */

/* By each way of reading. */
SCENE(errors_that_are_read_are_not_reported, 0, "-a -a -a -a -a ")
{
	EDDY_BEGIN(self, struct scene, f);
	for (f->i = 0; f->i < 5; f->i++) {
		KID(&f->a, "a", 0, .result = -EIO);
		if (f->i < 4)
			spawn(self, &f->a.task);
		if (f->i == 0)
			EDDY_AWAIT(f->rc, eddy_join(self, &f->a.task));
		else if (f->i == 1)
			EDDY_AWAIT(f->rc, eddy_join_all(self));
		else if (f->i == 2)
			EDDY_AWAIT(f->rc, eddy_race(self, NULL));
		else if (f->i == 3)
			EDDY_AWAIT(f->rc, eddy_throttle(self, 1));
		else
			EDDY_AWAIT(f->rc, eddy_call(self, &f->a.task));
		ck_assert_int_eq(f->rc, -EIO);
	}
	EDDY_END;
}

/* clang-format on */

/* What is printed.  A memfd takes the place of stderr. */

static char printed[4096];

static int
sheet(void)
{
	int fd = memfd_create("sheet", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static const char *
read_sheet(int fd)
{
	ssize_t n = pread(fd, printed, sizeof(printed) - 1, 0);

	ck_assert_int_ge(n, 0);
	printed[n] = '\0';
	close(fd);
	return printed;
}

static int
run_printed(eddy_task_fn *fn)
{
	struct eddy_loop_options plain = {.clock = &virtual};
	int paper = sheet(), saved = dup(STDERR_FILENO), r;
	struct scene f;

	ck_assert_int_ge(dup2(paper, STDERR_FILENO), 0);
	r = eddy_run_with(&plain, &scene_init(&f, fn, "main")->task);
	ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
	close(saved);
	read_sheet(paper);
	return r;
}

static int
lines(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static void
must_say(const char *what)
{
	ck_assert_msg(
	    strstr(printed, what) != NULL, "no '%s' in:\n%s", what, printed);
}

/* The source line, as a dump shows it. */
static const char *
place(int line)
{
	static char text[64];

	snprintf(text, sizeof(text), "check_rules.c:%d", line);
	return text;
}

/* clang-format off */

static eddy_step
two_errors(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_loop_spawn(self->loop, NEW_KID("first", 0, .result = -EIO), NULL);
	supervise(self, NEW_KID("second", 0, .result = -ENOSPC));
	EDDY_TRY(eddy_sleep(self, MS(1)));
	EDDY_END;
}

/* clang-format on */

START_TEST(without_a_hook_an_error_is_one_line_on_stderr)
{
	ck_assert_int_eq(run_printed(two_errors), 0);
	ck_assert_int_eq(lines(printed), 2);
	must_say("first");
	must_say(strerror(EIO));
	must_say("second");
	must_say(strerror(ENOSPC));
}
END_TEST

/* clang-format off */

static int cancel_line, kid_line, main_line;

static eddy_step
sleeps_here(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	kid_line = __LINE__; EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	EDDY_AWAIT(f->rc, eddy_sleep(self, MS(0 * 17)));
	EDDY_FINALLY;
	eddy_deadline_set(self, EDDY_FOREVER); /* does not hide the reason */
	EDDY_AWAIT(f->rc, eddy_sleep(self, MS(4)));
	EDDY_END;
}

static void
dump(struct eddy_loop *loop)
{
	int fd = sheet();

	eddy_dump_tasks(loop, fd);
	read_sheet(fd);
}

SCENE(a_dump_shows_name_place_and_operation, 0, "-called ")
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = new_scene(sleeps_here, "by name");
	spawn(self, f->other);
	main_line = __LINE__; EDDY_TRY(eddy_yield(self));
	dump(self->loop);
	ck_assert_int_eq(lines(printed), 2);
	must_say("main: ");
	must_say(place(main_line));
	must_say("\n  by name: sleep, ");
	must_say(place(kid_line));
	must_say("sleeps_here");
	must_say("eddy_sleep(self, LONG)");
	ck_assert_ptr_null(strstr(printed, "cancel"));
	eddy_cancel(f->other);
	EDDY_START(self, &f->t, eddy_call(&f->t,
	    KID(&f->a, "called", MS(1), .result = 0)));
	EDDY_TRY(eddy_sleep(self, 1));
	dump(self->loop);
	must_say("\n    called: sleep, "); /* below who calls it */
	EDDY_END;
}

static eddy_step
cancels(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = new_scene(sleeps_here, "victim");
	spawn(self, f->other);
	EDDY_TRY(eddy_yield(self));
	if (f->n != 0) {
		cancel_line = __LINE__; eddy_cancel(f->other, "no time for this");
	} else {
		cancel_line = __LINE__; eddy_cancel(f->other);
	}
	dump(self->loop); /* before it has left the await */
	must_say(place(kid_line));
	EDDY_TRY(eddy_sleep(self, MS(1)));
	eddy_cancel(f->other, "again"); /* the first is what counts */
	dump(self->loop); /* in FINALLY */
	must_say("eddy_sleep(self, MS(4))");
	EDDY_END;
}

/* clang-format on */

START_TEST(a_dump_shows_who_cancelled_and_why)
{
	struct scene f;

	scene_init(&f, cancels, "main")->n = _i;
	ck_assert_int_eq(eddy_run_with(&options, &f.task), 0);
	must_say("victim: sleep");
	must_say(_i ? "no time for this" : "cancel");
	must_say(place(cancel_line));
	must_say("cancels");
	ck_assert_ptr_null(strstr(printed, "again"));
}
END_TEST

/* clang-format off */

static eddy_step
dumps_the_deep(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	f->other = EDDY_NEW(deep, .n = DEEP, .deepest = &f->a.task.prev);
	spawn(self, f->other);
	while (f->a.task.prev == NULL)
		EDDY_TRY(eddy_yield(self));
	f->n = open("/dev/null", O_WRONLY | O_CLOEXEC);
	eddy_dump_tasks(self->loop, f->n);
	close(f->n);
	eddy_cancel(f->other);
	eddy_dump_tasks(self->loop, f->n = open("/dev/null", O_WRONLY));
	close(f->n);
	EDDY_END;
}

/* clang-format on */

static void *
run_deep(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)run(dumps_the_deep);
}

/* On a stack of 2 bytes a level. */
START_TEST(a_dump_of_a_deep_chain_does_not_recurse)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *result;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 2 * DEEP / 4096 * 4096);
	ck_assert_int_eq(pthread_create(&thread, &attr, run_deep, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_null(result);
	pthread_attr_destroy(&attr);
}
END_TEST

/* clang-format off */

static struct eddy_event never_set;

static eddy_step
waits_for_event(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	EDDY_TRY(eddy_event_wait(self, &never_set));
	EDDY_END;
}

static eddy_step
deadlocks(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct scene, f);
	eddy_event_init(&never_set);
	spawn(self, new_scene(waits_for_event, "child"));
	main_line = __LINE__; EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

/* clang-format on */

START_TEST(a_deadlock_prints_who_waits_for_what)
{
	ck_assert_int_eq(run_printed(deadlocks), -EDEADLK);
	ck_assert_int_eq(lines(printed), 3);
	must_say("deadlock");
	must_say("\nmain: join all");
	must_say(place(main_line));
	must_say("\n  child: ");
	must_say("eddy_event_wait(self, &never_set)");
}
END_TEST

static void
add_deadlines(Suite *suite)
{
	TCase *tcase = counted(suite, "deadline", 2);

	census_add(tcase, a_deadline_bounds_the_body,
	    a_deadline_bounds_children_and_callees,
	    a_deadline_behind_the_body_leaves_its_result, a_deadline_moves,
	    forever_lifts_a_deadline, a_deadline_in_the_past_is_now,
	    a_deadline_that_comes_too_late_changes_nothing,
	    a_deadline_does_not_cut_finally, a_deadline_does_not_cut_a_shield,
	    a_deadline_that_passes_twice_is_one,
	    the_deadline_of_a_callee_is_an_error_of_the_call,
	    the_deadline_of_a_child_is_its_failure,
	    of_two_deadlines_in_one_batch_each_counts_for_its_own,
	    a_deadline_is_freed_with_its_task);
	tcase_add_loop_test(tcase, a_deadline_bounds_waits_for_children, 0, 4);
	tcase_add_loop_test(tcase, a_deadline_replaces_only_ecanceled, 0, 5);
}

static void
add_errors(Suite *suite)
{
	TCase *tcase = counted(suite, "error", 2);

	census_add(tcase, an_unread_error_of_a_root_is_reported,
	    a_root_with_done_is_read, a_failing_main_task_is_read,
	    a_failing_supervised_child_is_reported_and_its_siblings_live,
	    a_supervised_child_may_be_joined_and_is_read_then,
	    supervised_children_are_cancelled_with_their_scope,
	    the_second_sibling_to_fail_is_reported,
	    a_failing_loser_of_a_race_is_reported,
	    a_child_that_fails_as_its_scope_leaves_in_error_is_reported,
	    a_child_that_fails_in_finally_after_an_error_is_reported,
	    a_child_that_fails_as_its_scope_leaves_is_its_failure,
	    errors_that_are_read_are_not_reported,
	    without_a_hook_an_error_is_one_line_on_stderr);
	tcase_add_loop_test(tcase, the_hook_may_cancel_the_scope, 0, 3);
}

int
main(void)
{
	Suite *suite = suite_create("rules");
	TCase *tcase = counted(suite, "batch", 5);

	tcase_add_loop_test(tcase, fairness, 0, 2 * COUNT_OF(begins));
	census_add(tcase, equal_deadlines_fire_in_creation_order,
	    the_first_failure_cancels_siblings_and_all_are_awaited);
	tcase_add_loop_test(tcase,
	    a_handle_stopped_by_an_earlier_callback_of_the_batch_does_not_fire,
	    0, 3);
	tcase_add_loop_test(
	    tcase, result_and_deadline_in_one_batch_the_result_wins, 0, 2);
	tcase_add_loop_test(
	    tcase, a_cancel_from_outside_beats_a_deadline, 0, 2);
	tcase = counted(suite, "many", 30);
	census_add(tcase,
	    a_million_immediate_awaits_move_the_stack_by_less_than_4_KB,
	    a_call_chain_of_100000_moves_the_stack_by_less_than_4_KB,
	    a_dump_of_a_deep_chain_does_not_recurse);
	tcase_add_loop_test(tcase,
	    a_million_sleeping_tasks_cost_at_most_220_resident_bytes_each, 0,
	    WAYS);
	add_deadlines(suite);
	add_errors(suite);
	tcase = counted(suite, "dump", 2);
	census_add(tcase, a_dump_shows_name_place_and_operation,
	    a_deadlock_prints_who_waits_for_what);
	tcase_add_loop_test(tcase, a_dump_shows_who_cancelled_and_why, 0, 2);
	return suite_main(suite);
}
