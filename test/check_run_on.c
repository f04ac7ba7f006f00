/* SPDX-License-Identifier: ISC */
/*
 * run_on: threads and jobs that wait for a task of a loop, and what a job does
 * when it is asked to stop.
 *
 * The linker puts functions of ours before the library's: allocations are
 * counted, so each frame of EDDY_NEW must be freed once; a thread's futex wait
 * tells that its request is on its way; and door_send tells the moment from
 * which the loop may be closed.
 */
/* link: -Wl,--wrap=eddy__alloc,--wrap=eddy__realloc,--wrap=eddy__free */
/* link: -Wl,--wrap=eddy__futex_wait,--wrap=eddy__door_send */
/* link: -Wl,--wrap=eddy__job_call_stop */
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/process_pool.h>
#include <eddy/sync.h>
#include <eddy/thread_pool.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "counted.h"
#include "executor_impl.h"
#include "threads.h"
#include "sys.h"

/* Longer than any test. */
#define LONG EDDY_S(1000)

enum {
	SLOW = CENSUS_TSAN || CENSUS_ASAN,
	THREADS = 4,
	CALLS = SLOW ? 500 : 2500, /* of each thread */
	ROUNDS = SLOW ? 40 : 200,
	DUELS = SLOW ? 300 : 3000,
};

/* Ours. */

struct door;
int __real_eddy__futex_wait(
    uint32_t *word, uint32_t value, int64_t duration, bool shared);
int __wrap_eddy__futex_wait(
    uint32_t *word, uint32_t value, int64_t duration, bool shared);
void __real_eddy__door_send(struct door *door, struct eddy_ready *node);
void __wrap_eddy__door_send(struct door *door, struct eddy_ready *node);

static uint32_t sent; /* requests that went through the gate */
static sem_t asleep;  /* posted by each futex wait of a caller */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool calls, at_gate;

int
__wrap_eddy__futex_wait(
    uint32_t *word, uint32_t value, int64_t duration, bool shared)
{
	if (calls)
		sem_post(&asleep);
	return __real_eddy__futex_wait(word, value, duration, shared);
}

static void
leave_gate(void)
{
	if (at_gate)
		pthread_mutex_unlock(&gate);
	at_gate = false;
}

void
__wrap_eddy__door_send(struct door *door, struct eddy_ready *node)
{
	__real_eddy__door_send(door, node);
	A_ADD(&sent, at_gate);
	leave_gate();
}

static void
begin_sleeps(void)
{
	sem_init(&asleep, 0, 0);
}

/* What must be fresh for each test besides. */
static TCase *
a_case(Suite *suite, const char *name, double timeout)
{
	TCase *tcase = counted(suite, name, timeout);

	tcase_add_checked_fixture(tcase, begin_sleeps, NULL);
	return tcase;
}

/* A task that others run, and what is left of it. */
struct story {
	uint32_t begun, finals;
	sem_t here; /* it has begun */
};

struct visit {
	struct eddy_task task;
	struct story *story;
	int64_t duration;
	int result, rc;
};

/* clang-format off */

static eddy_step
visit(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct visit, f);
	A_ADD(&f->story->begun, 1);
	sem_post(&f->story->here);
	EDDY_TRY(eddy_sleep(self, f->duration));
	EDDY_RETURN(f->result);
	EDDY_FINALLY;
	EDDY_AWAIT(f->rc, eddy_yield(self));
	EDDY_AWAIT(f->rc, eddy_sleep(self, EDDY_US(1)));
	ck_assert_int_eq(f->rc, 0);
	A_ADD(&f->story->finals, 1);
	EDDY_END;
}

/* clang-format on */

static void
tell(struct story *story)
{
	*story = (struct story){0};
	sem_init(&story->here, 0, 0);
}

static void
check_story(struct story *story, unsigned begun)
{
	ck_assert_uint_eq(A_LOAD(&story->begun), begun);
	ck_assert_uint_eq(A_LOAD(&story->finals), begun);
}

/* A frame of the library, or of ours. */
static struct eddy_task *
frame(struct visit *ours, struct story *story, int64_t duration, int result)
{
	if (ours == NULL)
		return EDDY_NEW(visit, .story = story, .duration = duration,
		    .result = result);
	return EDDY_INIT(ours, visit, .story = story, .duration = duration,
	    .result = result);
}

/* A thread that runs a loop until it is told to quit. */
struct host {
	struct eddy_loop *loop;
	pthread_t thread;
	struct eddy_post post;
	sem_t up;
};

static void
on_up(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)loop;
	sem_post(
	    &((struct host *)((char *)post - offsetof(struct host, post)))->up);
}

static void
on_quit(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	eddy_loop_release(loop);
}

static void *
run_host(void *arg)
{
	eddy_loop_run(((struct host *)arg)->loop);
	return NULL;
}

static void
host_open(struct host *host)
{
	host->loop = census_loop();
	ck_assert_int_eq(eddy_loop_hold(host->loop), 0);
	sem_init(&host->up, 0, 0);
	eddy_post_init(&host->post, on_up);
	ck_assert_int_eq(eddy_post(host->loop, &host->post), 0);
	start_thread(&host->thread, run_host, host);
	wait_for(&host->up);
}

static void
host_close(struct host *host)
{
	eddy_post_init(&host->post, on_quit);
	ck_assert_int_eq(eddy_post(host->loop, &host->post), 0);
	join(host->thread);
	ck_assert_int_eq(eddy_loop_close(host->loop), 0);
}

/* A thread that makes one call. */
struct call {
	struct eddy_loop *loop;
	struct eddy_task *task;
	int64_t deadline;
	pthread_t thread;
	int rc;
};

static void *
make_call(void *arg)
{
	struct call *call = arg;

	calls = true;
	call->rc = eddy_run_on(call->loop, call->task, call->deadline);
	calls = false;
	return NULL;
}

static void
call(struct call *call, struct eddy_loop *loop, struct eddy_task *task,
    int64_t deadline)
{
	*call = (struct call){.loop = loop, .task = task, .deadline = deadline};
	start_thread(&call->thread, make_call, call);
}

static int
answer(struct call *call)
{
	join(call->thread);
	return call->rc;
}

/* Results.  Loop tests: with a frame of EDDY_NEW, and with one of ours. */

static struct visit ours;

START_TEST(the_result_is_that_of_the_task)
{
	static const int results[] = {0, 7, INT32_MAX, -1, -EIO, -4095};
	struct visit *own = _i ? &ours : NULL;
	struct story story;
	struct host host;
	size_t i;

	host_open(&host);
	tell(&story);
	for (i = 0; i < COUNT_OF(results); i++)
		ck_assert_int_eq(
		    eddy_run_on(host.loop, frame(own, &story, 0, results[i]),
			EDDY_FOREVER),
		    results[i]);
	ck_assert_int_eq(
	    eddy_run_on(host.loop, frame(own, &story, EDDY_US(100), 5),
		eddy_after(LONG)),
	    5);
	check_story(&story, COUNT_OF(results) + 1);
	host_close(&host);
}
END_TEST

START_TEST(no_frame_is_no_memory)
{
	struct host host;

	host_open(&host);
	ck_assert_int_eq(eddy_run_on(host.loop, NULL, EDDY_FOREVER), -ENOMEM);
	ck_assert_int_eq(eddy_run_on(host.loop, NULL, 0), -ENOMEM);
	host_close(&host);
}
END_TEST

START_TEST(a_used_frame_is_refused_and_left_alone)
{
	struct story story;
	struct visit before;
	struct host host;

	host_open(&host);
	tell(&story);
	frame(&ours, &story, 0, 7);
	ck_assert_int_eq(eddy_run_on(host.loop, &ours.task, EDDY_FOREVER), 7);
	before = ours;
	ck_assert_int_eq(
	    eddy_run_on(host.loop, &ours.task, EDDY_FOREVER), -EINVAL);
	ck_assert_mem_eq(&before, &ours, sizeof(ours));
	check_story(&story, 1);
	host_close(&host);
}
END_TEST

/* Deadlines. */

START_TEST(a_deadline_before_the_loop_takes_it_up_leaves_the_frame)
{
	struct eddy_loop *loop = census_loop();
	struct visit *own = _i & 1 ? &ours : NULL;
	int64_t deadline = eddy_after(EDDY_MS(2));
	struct story story;
	struct visit before;

	tell(&story);
	frame(&ours, &story, 0, 7);
	before = ours;
	ck_assert_int_eq(
	    eddy_run_on(loop, frame(own, &story, 0, 7), deadline), -ETIME);
	ck_assert_int_ge(eddy_now(), deadline);
	ck_assert_int_eq(
	    eddy_run_on(loop, frame(own, &story, 0, 7), 0), -ETIME);
	ck_assert_int_eq(
	    eddy_run_on(loop, frame(own, &story, 0, 7), INT64_MIN), -ETIME);
	ck_assert_mem_eq(&before, &ours, sizeof(ours));
	if (_i < 2) /* else what is left of the calls meets the close */
		ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	check_story(&story, 0);
}
END_TEST

START_TEST(a_deadline_while_it_runs_cancels_and_awaits_it)
{
	struct visit *own = _i ? &ours : NULL;
	struct story story;
	struct host host;
	int64_t deadline;

	host_open(&host);
	tell(&story);
	deadline = eddy_after(EDDY_MS(20));
	ck_assert_int_eq(
	    eddy_run_on(host.loop, frame(own, &story, LONG, 7), deadline),
	    -ETIME);
	check_story(&story, A_LOAD(&story.begun)); /* all but certainly 1 */
	ck_assert_int_ge(eddy_now(), deadline);
	host_close(&host);
}
END_TEST

/* clang-format off */

static eddy_step
deaf(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct visit, f);
	A_ADD(&f->story->begun, 1);
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	ck_assert_int_eq(f->rc, -ECANCELED);
	EDDY_RETURN(f->result);
	EDDY_END;
}

/* clang-format on */

START_TEST(a_result_of_its_own_wins_over_the_deadline)
{
	struct story story;
	struct host host;
	int r;

	host_open(&host);
	tell(&story);
	frame(&ours, &story, 0, 7);
	ours.task.fn = deaf;
	r = eddy_run_on(host.loop, &ours.task, eddy_after(EDDY_MS(20)));
	ck_assert_int_eq(r, story.begun != 0 ? 7 : -ETIME);
	host_close(&host);
}
END_TEST

/* Deadlines of about the time that a call takes. */
struct hasty {
	struct host *host;
	unsigned seed;
	int results, late, wrong;
};

static void *
call_in_haste(void *arg)
{
	struct hasty *hasty = arg;
	struct story story;
	struct visit v;
	int i;

	tell(&story);
	for (i = 0; i < CALLS; i++) {
		int64_t deadline = eddy_after(rand_r(&hasty->seed) % 100000);
		int r = eddy_run_on(hasty->host->loop,
		    frame(i % 2 != 0 ? &v : NULL, &story,
			rand_r(&hasty->seed) % 20000, 7),
		    deadline);

		hasty->results += r == 7;
		hasty->late += r == -ETIME && eddy_now() >= deadline;
		/* Whatever it was: it does not run any more. */
		hasty->wrong += A_LOAD(&story.begun) != A_LOAD(&story.finals);
	}
	return NULL;
}

START_TEST(a_deadline_may_come_at_any_moment)
{
	struct hasty hasty[THREADS];
	pthread_t threads[THREADS];
	struct host host;
	int i;

	host_open(&host);
	for (i = 0; i < THREADS; i++) {
		hasty[i] = (struct hasty){&host, (unsigned)i, 0, 0, 0};
		start_thread(&threads[i], call_in_haste, &hasty[i]);
	}
	for (i = 0; i < THREADS; i++) {
		join(threads[i]);
		ck_assert_int_eq(hasty[i].results + hasty[i].late, CALLS);
		ck_assert_int_eq(hasty[i].wrong, 0);
	}
	host_close(&host);
}
END_TEST

/* Inside the loop. */

static int from_inside;

static void
call_inside(struct eddy_loop *loop)
{
	struct story story;
	int i;

	tell(&story);
	for (i = 0; i < 2; i++)
		if (eddy_run_on(loop, frame(i ? &ours : NULL, &story, 0, 7),
			EDDY_FOREVER) == -EDEADLK)
			from_inside++;
	ck_assert_uint_eq(story.begun, 0);
}

/* clang-format off */

struct caller {
	struct eddy_task task;
	struct eddy_loop *other;
};

static eddy_step
caller(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct caller, f);
	call_inside(f->other != NULL ? f->other : self->loop);
	EDDY_TRY(eddy_yield(self));
	call_inside(f->other != NULL ? f->other : self->loop);
	EDDY_END;
}

/* Runs another loop, in which somebody calls this one. */
static eddy_step
nested(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct caller, f);
	EDDY_RETURN(eddy_run(EDDY_NEW(caller, .other = self->loop)));
	EDDY_END;
}

/* clang-format on */

START_TEST(in_a_task_of_the_loop_it_is_a_deadlock)
{
	ck_assert_int_eq(eddy_run(EDDY_NEW(caller)), 0);
	ck_assert_int_eq(from_inside, 4);
}
END_TEST

START_TEST(in_a_loop_inside_the_loop_it_is_a_deadlock)
{
	ck_assert_int_eq(
	    eddy_run(eddy_new_frame(sizeof(struct caller), nested, "nested")),
	    0);
	ck_assert_int_eq(from_inside, 4);
}
END_TEST

static void
on_call(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	call_inside(loop);
}

START_TEST(in_a_callback_of_the_loop_it_is_a_deadlock)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_post post;

	eddy_post_init(&post, on_call);
	ck_assert_int_eq(eddy_post(loop, &post), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(from_inside, 2);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* A loop that this thread owned, while another one begins to run it. */
struct relay {
	struct eddy_loop *loop;
	uint32_t turn; /* 1: the other thread's; 2: it is to give it back */
};

static void
wait_for_turn(struct relay *relay, uint32_t turn)
{
	int i;

	for (i = 0; A_ACQUIRE(&relay->turn) != turn; i++)
		if (i > 1000)
			sched_yield();
}

static void *
run_when_told(void *arg)
{
	struct relay *relay = arg;
	int i;

	for (i = 0; i < DUELS; i++) {
		wait_for_turn(relay, 1);
		while (A_ACQUIRE(&relay->turn) == 1)
			eddy_loop_step(relay->loop, 0);
		A_RELEASE(&relay->turn, 0);
	}
	return NULL;
}

START_TEST(a_loop_that_changes_threads_is_no_deadlock)
{
	struct relay relay = {.loop = census_loop()};
	struct story story;
	pthread_t thread;
	int i, r, delay;

	tell(&story);
	start_thread(&thread, run_when_told, &relay);
	for (i = 0; i < DUELS; i++) {
		ck_assert_int_ge(eddy_loop_step(relay.loop, 0), 0); /* ours */
		frame(&ours, &story, 0, 7);
		A_RELEASE(&relay.turn, 1);
		for (delay = i % 100; delay > 0; delay--)
			A_LOAD(&relay.turn);
		r = eddy_run_on(relay.loop, &ours.task, EDDY_FOREVER);
		A_RELEASE(&relay.turn, 2);
		wait_for_turn(&relay, 0);
		ck_assert_msg(r == 7, "%d in round %d", r, i);
	}
	join(thread);
	ck_assert_int_eq(eddy_loop_close(relay.loop), 0);
}
END_TEST

static int
call_in_child(void *arg)
{
	int before = A_LOAD(&live);
	struct story story;
	int r;

	tell(&story);
	r = eddy_run_on(
	    arg, frame(NULL, &story, 0, 7), eddy_after(EDDY_MS(50)));
	return A_LOAD(&live) == before ? r : -EIO;
}

START_TEST(in_a_forked_child_it_is_refused)
{
	struct eddy_loop *loop = census_loop();

	ck_assert_int_eq(census_child(call_in_child, loop), -ECHILD);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* The loop closes meanwhile. */

static void
on_nothing(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)loop;
	(void)post;
}

START_TEST(a_close_before_it_is_taken_up_cancels_it)
{
	struct eddy_loop *loop = census_loop();
	struct visit *own = _i & 1 ? &ours : NULL, before;
	struct eddy_post post;
	struct story story;
	struct call c;

	tell(&story);
	frame(&ours, &story, 0, 7);
	before = ours;
	call(&c, loop, frame(own, &story, 0, 7), EDDY_FOREVER);
	wait_for(&asleep);
	if (_i & 2) { /* the loop has looked into its door */
		eddy_post_init(&post, on_nothing);
		ck_assert_int_eq(eddy_post(loop, &post), 0);
		ck_assert_int_eq(eddy_post_cancel(loop, &post), 0);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(answer(&c), -ECANCELED);
	ck_assert_mem_eq(&before, &ours, sizeof(ours));
	check_story(&story, 0);
}
END_TEST

/* A main task that has a thread call its loop, and ends n turns after the task
 * of that has begun, or at once. */
struct brief {
	struct eddy_task task;
	struct story *story;
	struct visit *own;
	struct call *call;
	struct eddy_task *task_to_call; /* NULL: one that leaves */
	int wait, i;
};

/* clang-format off */

static eddy_step
brief(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct brief, f);
	call(f->call, self->loop, f->task_to_call != NULL ? f->task_to_call
	    : frame(f->own, f->story, LONG, 7), EDDY_FOREVER);
	wait_for(&asleep); /* in the way of the loop: it is not taken up yet */
	while (f->wait && A_LOAD(&f->story->begun) == 0)
		EDDY_TRY(eddy_yield(self));
	EDDY_RETURN(3);
	EDDY_END;
}

/* clang-format on */

START_TEST(the_end_of_eddy_run_cancels_it)
{
	struct visit *own = _i & 1 ? &ours : NULL;
	struct story story;
	struct call c;

	tell(&story);
	ck_assert_int_eq(eddy_run(EDDY_NEW(brief, .story = &story, .own = own,
			     .call = &c, .wait = _i & 2)),
	    3);
	ck_assert_int_eq(answer(&c), -ECANCELED);
	check_story(&story, A_LOAD(&story.begun));
	if (_i & 2)
		ck_assert_uint_eq(story.begun, 1);
}
END_TEST

/* clang-format off */

/* One that would not leave. */
static eddy_step
stubborn(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct visit, f);
	A_ADD(&f->story->begun, 1);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	EDDY_AWAIT(f->rc, eddy_sleep(self, LONG));
	EDDY_END;
}

static eddy_step
hopeless(struct eddy_task *self)
{
	static struct eddy_event never;

	EDDY_BEGIN(self, struct visit, f);
	A_ADD(&f->story->begun, 1);
	EDDY_TRY(eddy_sleep(self, LONG));
	EDDY_FINALLY;
	eddy_event_init(&never);
	EDDY_AWAIT(f->rc, eddy_event_wait(self, &never));
	EDDY_END;
}

/* clang-format on */

/* The loop is kept, so this is a process of its own. */
static int
end_with_a_stubborn_call(void *arg)
{
	/* What is hopeless is so at once. */
	struct eddy_loop_options options = {
	    .close_duration = arg != NULL ? EDDY_S(10) : EDDY_MS(1)};
	struct story story;
	struct brief f;
	struct call c;
	int r;

	tell(&story);
	ours = (struct visit){.story = &story};
	eddy_prepare(&ours.task, arg != NULL ? hopeless : stubborn, "stubborn");
	EDDY_INIT(&f, brief, .story = &story, .call = &c, .wait = 1);
	f.task_to_call = &ours.task;
	r = eddy_run_with(&options, &f.task);
	return answer(&c) == -ECANCELED ? r : 0;
}

START_TEST(the_end_of_eddy_run_leaves_a_stubborn_call)
{
	ck_assert_int_eq(census_child(end_with_a_stubborn_call, NULL), -ETIME);
	ck_assert_int_eq(
	    census_child(end_with_a_stubborn_call, &ours), -EDEADLK);
}
END_TEST

/* One that leaves a process pool open, which keeps its loop. */
struct careless {
	struct eddy_task task;
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	struct story story;
	struct call call;
};

static eddy_step
careless(struct eddy_task *self)
{
	struct eddy_process_pool_options options = {.workers = 1};

	EDDY_BEGIN(self, struct careless, f);
	f->loop = self->loop;
	ck_assert_int_eq(
	    eddy_process_pool_open(&f->pool, self->loop, &options), 0);
	call(&f->call, self->loop, frame(NULL, &f->story, LONG, 7),
	    EDDY_FOREVER);
	wait_for(&asleep);
	EDDY_END;
}

static int
leave_a_pool(void *arg)
{
	struct careless f;
	int r;

	(void)arg;
	tell(&f.story);
	r = eddy_run(EDDY_INIT(&f, careless));
	ck_assert_int_eq(answer(&f.call), -ECANCELED);
	ck_assert_int_eq(eddy_executor_close(f.pool, 0), 0);
	ck_assert_int_eq(eddy_loop_close(f.loop), 0);
	return r;
}

START_TEST(the_end_of_eddy_run_cancels_it_where_a_pool_is_left)
{
	ck_assert_int_eq(census_child(leave_a_pool, NULL), -EBUSY);
}
END_TEST

/* Threads call while loops come and go.  A call and a close exclude each other
 * only until the request is in the door. */
struct storm {
	struct eddy_loop *loop; /* guarded by gate; NULL: none is open */
	bool over;              /* guarded by gate */
	uint32_t results, cancelled, wrong;
};

struct storm_thread {
	struct storm *storm;
	struct story story;
	pthread_t thread;
};

static int
call_if_open(struct storm_thread *t, struct visit *v, int i)
{
	struct eddy_loop *loop;
	struct eddy_task *task;
	int r;

	pthread_mutex_lock(&gate);
	loop = t->storm->loop;
	if (t->storm->over || loop == NULL) {
		r = t->storm->over ? -ESHUTDOWN : -EAGAIN;
		pthread_mutex_unlock(&gate);
		return r;
	}
	at_gate = true;
	task = frame(i % 3 ? NULL : v, &t->story, i % 2 ? 0 : EDDY_US(20), 7);
	r = eddy_run_on(
	    loop, task, i % 5 ? EDDY_FOREVER : eddy_after(EDDY_US(30)));
	leave_gate();
	return r;
}

static void *
call_all_the_time(void *arg)
{
	struct storm_thread *t = arg;
	struct storm *storm = t->storm;
	struct visit v;
	int i, r;

	tell(&t->story);
	for (i = 0; (r = call_if_open(t, &v, i)) != -ESHUTDOWN; i++) {
		if (r == 7)
			A_ADD(&storm->results, 1);
		else if (r == -ECANCELED)
			A_ADD(&storm->cancelled, 1);
		else if (r == -EAGAIN)
			sched_yield();
		else if (r != -ETIME)
			A_ADD(&storm->wrong, 1);
		/* It does not run any more. */
		if (A_LOAD(&t->story.begun) != A_LOAD(&t->story.finals))
			A_ADD(&storm->wrong, 1);
	}
	return NULL;
}

static void
publish(struct storm *storm, struct eddy_loop *loop, bool over)
{
	pthread_mutex_lock(&gate);
	storm->loop = loop;
	storm->over = over;
	pthread_mutex_unlock(&gate);
}

/* clang-format off */

/* Until n more calls have come. */
struct eye {
	struct eddy_task task;
	struct storm *storm;
	uint32_t n;
};

static eddy_step
eye(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct eye, f);
	f->n += A_LOAD(&sent);
	publish(f->storm, self->loop, false);
	while (A_LOAD(&sent) < f->n)
		EDDY_TRY(eddy_yield(self));
	publish(f->storm, NULL, false);
	EDDY_END;
}

/* clang-format on */

/* A loop with a task, or one that only steps, or one that never runs. */
static void
loop_for_a_while(struct storm *storm, unsigned i)
{
	struct eddy_loop *loop;
	uint32_t until;

	if (i % 3 == 0) {
		ck_assert_int_eq(
		    eddy_run(EDDY_NEW(eye, .storm = storm, .n = i % 20)), 0);
		return;
	}
	loop = census_loop();
	until = A_LOAD(&sent) + (i % 3 == 1 ? i % 20 : i % THREADS);
	publish(storm, loop, false);
	while (A_LOAD(&sent) < until)
		if (i % 3 == 1)
			ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
		else
			sched_yield();
	publish(storm, NULL, false);
	while (eddy_loop_close(loop) == -EBUSY)
		ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

START_TEST(in_a_storm_of_calls_and_closes_nobody_hangs)
{
	struct storm_thread threads[THREADS];
	struct storm storm = {0};
	unsigned i;

	for (i = 0; i < THREADS; i++) {
		threads[i] = (struct storm_thread){.storm = &storm};
		start_thread(
		    &threads[i].thread, call_all_the_time, &threads[i]);
	}
	for (i = 0; i < ROUNDS; i++)
		loop_for_a_while(&storm, i);
	publish(&storm, NULL, true);
	for (i = 0; i < THREADS; i++)
		join(threads[i].thread);
	ck_assert_uint_eq(storm.wrong, 0);
	ck_assert_uint_gt(storm.results, 0);
	ck_assert_uint_gt(storm.cancelled, 0);
}
END_TEST

/* Many. */

static void *
call_often(void *arg)
{
	struct host *host = arg;
	struct story story;
	intptr_t right = 0;
	int i;

	tell(&story);
	for (i = 0; i < CALLS; i++)
		right += eddy_run_on(host->loop, frame(NULL, &story, i % 2, i),
			     EDDY_FOREVER) == i;
	right += A_LOAD(&story.finals) == CALLS;
	return (void *)right;
}

START_TEST(four_threads_make_thousands_of_calls)
{
	pthread_t threads[THREADS];
	struct host host;
	void *right;
	int i;

	host_open(&host);
	for (i = 0; i < THREADS; i++)
		start_thread(&threads[i], call_often, &host);
	for (i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &right), 0);
		ck_assert_int_eq((intptr_t)right, CALLS + 1);
	}
	host_close(&host);
}
END_TEST

/* Jobs that wait for a task. */

struct errand {
	struct eddy_job job;
	struct eddy_loop *loop;
	struct story story;
	sem_t called; /* and has its answer */
	int64_t duration, deadline;
	int rc, then;
	void (*after)(struct errand *); /* before the job returns then */
};

static int
go(void *arg)
{
	struct errand *errand = arg;

	errand->rc = eddy_run_on(errand->loop,
	    frame(NULL, &errand->story, errand->duration, 7), errand->deadline);
	if (errand->after != NULL)
		errand->after(errand);
	return errand->then;
}

static void
errand_init(struct errand *errand, struct eddy_loop *loop, int64_t duration)
{
	*errand = (struct errand){.loop = loop,
	    .duration = duration,
	    .deadline = EDDY_FOREVER,
	    .then = 5};
	tell(&errand->story);
	sem_init(&errand->called, 0, 0);
	errand->job.fn = go;
	errand->job.arg = errand;
}

/* A main task that sends a job on an errand to its own loop. */
struct sender {
	struct eddy_task task;
	struct errand *errand;
	int64_t limit;
	int rc;
};

/* clang-format off */

static eddy_step
sender(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct sender, f);
	f->errand->loop = self->loop;
	if (f->limit != 0)
		EDDY_AWAIT(f->rc, eddy_timeout(self, f->limit,
		    eddy_offload(self, NULL, go, f->errand)));
	else
		EDDY_AWAIT(f->rc, eddy_offload(self, NULL, go, f->errand));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

static eddy_step
canceller(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct sender, f);
	ck_assert_int_eq(eddy_spawn(self,
	    EDDY_NEW(sender, .errand = f->errand)), 0);
	while (A_LOAD(&f->errand->story.begun) == 0)
		EDDY_TRY(eddy_yield(self));
	eddy_cancel(self->kids);
	EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

/* clang-format on */

START_TEST(a_job_gets_the_result)
{
	struct errand errand;
	struct host host;

	host_open(&host);
	errand_init(&errand, host.loop, EDDY_US(10));
	ck_assert_int_eq(eddy_run(EDDY_NEW(sender, .errand = &errand)), 5);
	ck_assert_int_eq(errand.rc, 7);
	check_story(&errand.story, 1);
	host_close(&host);
}
END_TEST

START_TEST(a_timeout_of_the_job_cancels_the_task)
{
	struct errand errand;

	errand_init(&errand, NULL, LONG);
	errand.then = _i;
	/* The job's own result wins, as ever. */
	ck_assert_int_eq(
	    eddy_run(EDDY_NEW(sender, .errand = &errand, .limit = EDDY_MS(20))),
	    _i == -ECANCELED ? -ETIME : _i);
	if (A_LOAD(&errand.story.begun) != 0) /* the pool was fast enough */
		ck_assert_int_eq(errand.rc, -ECANCELED);
	check_story(&errand.story, errand.story.begun);
}
END_TEST

START_TEST(a_cancel_of_who_awaits_the_job_cancels_the_task)
{
	struct sender f = {.task = {.fn = canceller}};
	struct errand errand;

	errand_init(&errand, NULL, LONG);
	f.errand = &errand;
	ck_assert_int_eq(eddy_run(&f.task), 0);
	ck_assert_int_eq(errand.rc, -ECANCELED);
	check_story(&errand.story, 1);
}
END_TEST

static struct eddy_executor *
open_pool(void)
{
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, NULL), 0);
	return pool;
}

static void
close_pool(struct eddy_executor *pool)
{
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_FOREVER), 0);
}

/* It may have heard and ended before the answer is made. */
static void
ask(struct errand *errand)
{
	int r = eddy_job_cancel(&errand->job);

	ck_assert(r == 0 || r == -EALREADY);
	ck_assert_int_eq(eddy_job_wait(&errand->job, EDDY_FOREVER), 5);
}

static void
wait_for_stop(struct errand *errand)
{
	sem_post(&errand->called);
	while (!eddy_job_stop_requested())
		sched_yield();
}

/* Asked to stop while it waits: with what is left of it after that. */
START_TEST(a_cancel_of_the_job_cancels_the_task)
{
	struct eddy_executor *pool = open_pool();
	struct errand errand;
	struct host host;

	host_open(&host);
	errand_init(&errand, host.loop, LONG);
	ck_assert_int_eq(eddy_submit(pool, &errand.job, NULL, NULL), 0);
	wait_for(&errand.story.here);
	ask(&errand);
	ck_assert_int_eq(errand.rc, -ECANCELED);
	check_story(&errand.story, 1);
	close_pool(pool);
	host_close(&host);
}
END_TEST

static void
again(struct errand *errand)
{
	wait_for_stop(errand);
	errand->after = NULL;
	errand->duration = LONG;
	errand->rc = go(errand) == 5 ? errand->rc : 0;
}

START_TEST(a_job_that_was_asked_before_is_not_kept_waiting)
{
	struct eddy_executor *pool = open_pool();
	struct errand errand;
	struct host host;

	host_open(&host);
	errand_init(&errand, host.loop, 0);
	errand.after = again;
	ck_assert_int_eq(eddy_submit(pool, &errand.job, NULL, NULL), 0);
	wait_for(&errand.called);
	ask(&errand);
	ck_assert_int_eq(errand.rc, -ECANCELED);
	check_story(&errand.story, errand.story.begun);
	close_pool(pool);
	host_close(&host);
}
END_TEST

START_TEST(a_cancel_after_the_call_does_not_touch_it)
{
	struct eddy_executor *pool = open_pool();
	struct errand errand;
	struct host host;

	host_open(&host);
	errand_init(&errand, host.loop, _i ? LONG : 0);
	errand.deadline = _i ? eddy_after(EDDY_MS(5)) : EDDY_FOREVER;
	errand.after = wait_for_stop;
	ck_assert_int_eq(eddy_submit(pool, &errand.job, NULL, NULL), 0);
	wait_for(&errand.called);
	ask(&errand);
	ck_assert_int_eq(errand.rc, _i ? -ETIME : 7);
	close_pool(pool);
	host_close(&host);
}
END_TEST

START_TEST(a_cancel_of_the_job_may_come_at_any_moment)
{
	struct eddy_executor *pool = open_pool();
	struct errand errand;
	struct host host;
	int i;

	host_open(&host);
	for (i = 0; i < DUELS; i++) {
		errand_init(&errand, host.loop, i % 2 ? LONG : EDDY_US(i % 50));
		ck_assert_int_eq(eddy_submit(pool, &errand.job, NULL, NULL), 0);
		if (i % 4 > 1)
			while (A_LOAD(&errand.story.begun) == 0)
				sched_yield();
		eddy_job_cancel(&errand.job);
		eddy_job_wait(&errand.job, EDDY_FOREVER);
		if (errand.job.outcome != EDDY_RETURNED)
			continue;
		ck_assert(errand.rc == -ECANCELED || errand.rc == 7);
		check_story(&errand.story, errand.story.begun);
	}
	close_pool(pool);
	host_close(&host);
}
END_TEST

/* eddy_job_on_stop. */

/* A job with a hook; what it registers and when it ends is up to the test. */
struct hooked {
	struct eddy_job job;
	void (*body)(struct hooked *);
	pthread_t stopped_in;
	uint32_t stops;
	int rc, sockets[2];
	sem_t ready, go, stopping;
};

static int
run_hooked(void *arg)
{
	struct hooked *h = arg;

	h->body(h);
	return 5;
}

static void
on_stop(void *arg)
{
	struct hooked *h = arg;

	h->stopped_in = pthread_self();
	A_ADD(&h->stops, 1);
}

static void
not_this_one(void *arg)
{
	A_ADD(&((struct hooked *)arg)->stops, 100);
}

static void
hooked_init(struct hooked *h, void (*body)(struct hooked *))
{
	*h = (struct hooked){.body = body, .rc = 1};
	h->job.fn = run_hooked;
	h->job.arg = h;
	sem_init(&h->ready, 0, 0);
	sem_init(&h->go, 0, 0);
	sem_init(&h->stopping, 0, 0);
}

static void
submit(struct eddy_executor *pool, struct hooked *h)
{
	ck_assert_int_eq(eddy_submit(pool, &h->job, NULL, NULL), 0);
}

static void
wait_job(struct hooked *h)
{
	ck_assert_int_eq(eddy_job_wait(&h->job, EDDY_FOREVER), 5);
}

/* Begin, cancel when it is ready, let it go, end: how often was it stopped? */
static unsigned
cancelled(void (*body)(struct hooked *))
{
	struct eddy_executor *pool = open_pool();
	struct hooked h;

	hooked_init(&h, body);
	submit(pool, &h);
	wait_for(&h.ready);
	ck_assert_int_eq(eddy_job_cancel(&h.job), 0);
	ck_assert_int_eq(eddy_job_cancel(&h.job), 0);
	sem_post(&h.go);
	wait_job(&h);
	ck_assert_int_eq(eddy_job_cancel(&h.job), -EALREADY);
	ck_assert_int_eq(h.rc, 0);
	if (h.stops != 0)
		ck_assert(pthread_equal(h.stopped_in, pthread_self()));
	close_pool(pool);
	return h.stops;
}

static void
hook_and_wait(struct hooked *h)
{
	h->rc = eddy_job_on_stop(on_stop, h);
	sem_post(&h->ready);
	wait_for(&h->go);
}

START_TEST(stop_is_called_once_in_the_thread_that_asks)
{
	ck_assert_uint_eq(cancelled(hook_and_wait), 1);
}
END_TEST

static void
unhook_and_wait(struct hooked *h)
{
	ck_assert_int_eq(eddy_job_on_stop(on_stop, h), 0);
	h->rc = eddy_job_on_stop(NULL, NULL);
	sem_post(&h->ready);
	wait_for(&h->go);
}

START_TEST(null_takes_the_stop_back)
{
	ck_assert_uint_eq(cancelled(unhook_and_wait), 0);
}
END_TEST

static void
hook_twice_and_wait(struct hooked *h)
{
	ck_assert_int_eq(eddy_job_on_stop(not_this_one, h), 0);
	hook_and_wait(h);
}

START_TEST(a_second_stop_replaces_the_first)
{
	ck_assert_uint_eq(cancelled(hook_twice_and_wait), 1);
}
END_TEST

static void
hook_late(struct hooked *h)
{
	sem_post(&h->ready);
	wait_for(&h->go);
	ck_assert(eddy_job_stop_requested());
	ck_assert_int_eq(eddy_job_on_stop(on_stop, h), -ECANCELED);
	ck_assert_int_eq(eddy_job_on_stop(on_stop, h), -ECANCELED);
	h->rc = 0;
}

START_TEST(a_stop_that_comes_too_late_is_refused)
{
	ck_assert_uint_eq(cancelled(hook_late), 0);
}
END_TEST

static void
hook_again_when_stopped(struct hooked *h)
{
	hook_and_wait(h);
	ck_assert_int_eq(eddy_job_on_stop(not_this_one, h), -ECANCELED);
}

START_TEST(a_job_is_asked_only_once)
{
	ck_assert_uint_eq(cancelled(hook_again_when_stopped), 1);
}
END_TEST

static void
hook_only(struct hooked *h)
{
	h->rc = eddy_job_on_stop(on_stop, h);
}

static void
wait_only(struct hooked *h)
{
	h->rc = 0;
	sem_post(&h->ready);
	wait_for(&h->go);
}

START_TEST(a_job_leaves_no_stop_to_the_next)
{
	struct eddy_thread_pool_options options = {.workers_max = 1};
	struct eddy_executor *pool;
	struct hooked first, next;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	hooked_init(&first, hook_only);
	hooked_init(&next, wait_only);
	submit(pool, &first);
	wait_job(&first);
	submit(pool, &next);
	wait_for(&next.ready);
	ck_assert_int_eq(eddy_job_cancel(&first.job), -EALREADY);
	ck_assert_int_eq(eddy_job_cancel(&next.job), 0);
	sem_post(&next.go);
	wait_job(&next);
	ck_assert_uint_eq(first.stops + next.stops, 0);
	close_pool(pool);
}
END_TEST

static void
on_stop_wait(void *arg)
{
	struct hooked *h = arg;

	on_stop(h);
	sem_post(&h->stopping);
	wait_for(&h->go);
}

static void
hook_and_return(struct hooked *h)
{
	h->rc = eddy_job_on_stop(on_stop_wait, h);
	sem_post(&h->ready);
	wait_for(&h->stopping);
}

static void *
cancel_it(void *arg)
{
	struct hooked *h = arg;

	return (void *)(intptr_t)eddy_job_cancel(&h->job);
}

START_TEST(the_end_of_a_job_waits_for_stop_to_return)
{
	struct eddy_executor *pool = open_pool();
	struct hooked h;
	pthread_t thread;

	hooked_init(&h, hook_and_return);
	submit(pool, &h);
	wait_for(&h.ready);
	start_thread(&thread, cancel_it, &h);
	ck_assert_int_eq(
	    eddy_job_wait(&h.job, eddy_after(EDDY_MS(20))), -ETIME);
	sem_post(&h.go);
	wait_job(&h);
	join(thread);
	ck_assert_uint_eq(h.stops, 1);
	close_pool(pool);
}
END_TEST

START_TEST(outside_of_jobs_there_is_nothing_to_stop)
{
	ck_assert_int_eq(eddy_job_on_stop(on_stop, NULL), -EINVAL);
	ck_assert_int_eq(eddy_job_on_stop(NULL, NULL), -EINVAL);
}
END_TEST

static void
on_hooked(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	ck_assert_int_eq(eddy_job_on_stop(on_stop, job), -EINVAL);
}

START_TEST(in_its_callback_a_job_has_ended)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool = open_pool();
	struct hooked h;

	hooked_init(&h, hook_only);
	ck_assert_int_eq(eddy_submit(pool, &h.job, loop, on_hooked), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(h.job.result, 5);
	close_pool(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
shut(void *arg)
{
	struct hooked *h = arg;

	on_stop(h);
	shutdown(h->sockets[0], SHUT_RDWR);
}

static void
read_until_stopped(struct hooked *h)
{
	char byte;

	h->rc = eddy_job_on_stop(shut, h);
	sem_post(&h->ready);
	ck_assert_int_eq(read(h->sockets[0], &byte, 1), 0);
}

/* A task that reads in a job, with a timeout. */
struct reader {
	struct eddy_task task;
	struct eddy_executor *pool;
	struct hooked *h;
	int rc;
};

/* clang-format off */

static eddy_step
reader(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct reader, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(20),
	    eddy_job_run(self, f->pool, &f->h->job)));
	EDDY_RETURN(f->rc);
	EDDY_END;
}

/* clang-format on */

START_TEST(a_blocking_read_is_interrupted_by_a_shutdown)
{
	struct eddy_executor *pool = open_pool();
	struct hooked h;
	int r;

	hooked_init(&h, read_until_stopped);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, h.sockets), 0);
	r = eddy_run(EDDY_NEW(reader, .pool = pool, .h = &h));
	if (h.rc == 1) {
		ck_assert_int_eq(r, -ETIME); /* it never came to run */
	} else {
		ck_assert_int_eq(r, 5);
		ck_assert_uint_eq(h.stops, 1);
		ck_assert(pthread_equal(h.stopped_in, pthread_self()));
	}
	close(h.sockets[0]);
	close(h.sockets[1]);
	close_pool(pool);
}
END_TEST

/* A hook over memory that is gone when the job has ended. */
static void
hook_on_stack(struct hooked *h)
{
	struct hooked local = {.stops = 0};

	h->rc = eddy_job_on_stop(on_stop, &local);
	sem_post(&h->ready);
	if (h->rc == 0)
		eddy_job_on_stop(NULL, NULL);
	A_STORE(&h->stops, A_LOAD(&local.stops));
	local.stops = 1000;
}

START_TEST(a_stop_is_not_called_after_it_was_taken_back)
{
	struct eddy_executor *pool = open_pool();
	struct hooked h;
	int i;

	for (i = 0; i < DUELS; i++) {
		hooked_init(&h, hook_on_stack);
		submit(pool, &h);
		if (i % 2 != 0)
			wait_for(&h.ready);
		eddy_job_cancel(&h.job);
		eddy_job_wait(&h.job, EDDY_FOREVER);
		ck_assert_uint_le(h.stops, 1);
	}
	close_pool(pool);
}
END_TEST

/* A hook of the job's own, and a call that needs one, too. */
static struct host hook_host;

static int
hook_and_call(struct hooked *h, int64_t duration)
{
	struct story story;

	tell(&story);
	h->rc = eddy_job_on_stop(on_stop, h);
	if (duration != 0)
		sem_post(&h->ready);
	return eddy_run_on(
	    hook_host.loop, frame(NULL, &story, duration, 7), EDDY_FOREVER);
}

static void
asked_after_call(struct hooked *h)
{
	ck_assert_int_eq(hook_and_call(h, 0), 7);
	sem_post(&h->ready);
	wait_for(&h->go);
}

static void
asked_in_call(struct hooked *h)
{
	ck_assert_int_eq(hook_and_call(h, LONG), -ECANCELED);
	wait_for(&h->go);
}

START_TEST(a_call_leaves_the_stop_of_its_job_in_place)
{
	host_open(&hook_host);
	ck_assert_uint_eq(cancelled(_i ? asked_in_call : asked_after_call), 1);
	host_close(&hook_host);
}
END_TEST

/* A cancel that has asked the job, and is about to call what it has for that. */
void __real_eddy__job_call_stop(
    struct eddy_executor *executor, struct eddy_job *job);
void __wrap_eddy__job_call_stop(
    struct eddy_executor *executor, struct eddy_job *job);

static struct hooked *asked; /* by then */

void
__wrap_eddy__job_call_stop(struct eddy_executor *executor, struct eddy_job *job)
{
	if (asked != NULL && job == &asked->job) {
		sem_post(&asked->stopping);
		wait_for(&asked->go);
	}
	__real_eddy__job_call_stop(executor, job);
}

struct until_asked {
	struct eddy_task task;
	struct hooked *hooked;
};

static eddy_step
until_asked(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct until_asked, f);
	sem_post(&f->hooked->ready);
	wait_for(&f->hooked->stopping);
	EDDY_END;
}

static void
asked_at_the_end_of_call(struct hooked *h)
{
	struct until_asked f;
	struct hook hook;

	ck_assert_int_eq(eddy_job_on_stop(on_stop, h), 0);
	h->rc = eddy_run_on(hook_host.loop,
	    EDDY_INIT(&f, until_asked, .hooked = h), EDDY_FOREVER);
	ck_assert_int_eq(h->rc, 0);
	hook = eddy__job_stop();
	ck_assert(hook.fn == on_stop && hook.arg == h);
	sem_post(&h->go);
	while (A_LOAD(&h->stops) == 0)
		sched_yield();
}

START_TEST(a_call_that_ends_gives_the_stop_back_to_who_asks_meanwhile)
{
	struct eddy_executor *pool = open_pool();
	struct hooked h;

	host_open(&hook_host);
	hooked_init(&h, asked_at_the_end_of_call);
	asked = &h;
	submit(pool, &h);
	wait_for(&h.ready);
	ck_assert_int_eq(eddy_job_cancel(&h.job), 0);
	wait_job(&h);
	ck_assert_uint_eq(h.stops, 1);
	close_pool(pool);
	host_close(&hook_host);
}
END_TEST

static void
add_jobs(Suite *suite)
{
	TCase *tcase = a_case(suite, "job", 10);

	census_add(tcase, a_job_gets_the_result,
	    a_cancel_of_who_awaits_the_job_cancels_the_task,
	    a_cancel_of_the_job_cancels_the_task,
	    a_job_that_was_asked_before_is_not_kept_waiting,
	    a_cancel_of_the_job_may_come_at_any_moment);
	tcase_add_loop_test(tcase, a_timeout_of_the_job_cancels_the_task, 5, 6);
	tcase_add_loop_test(tcase, a_timeout_of_the_job_cancels_the_task,
	    -ECANCELED, -ECANCELED + 1);
	tcase_add_loop_test(
	    tcase, a_cancel_after_the_call_does_not_touch_it, 0, 2);
	tcase = a_case(suite, "stop", 10);
	census_add(tcase, stop_is_called_once_in_the_thread_that_asks,
	    null_takes_the_stop_back, a_second_stop_replaces_the_first,
	    a_stop_that_comes_too_late_is_refused, a_job_is_asked_only_once,
	    a_job_leaves_no_stop_to_the_next,
	    the_end_of_a_job_waits_for_stop_to_return,
	    outside_of_jobs_there_is_nothing_to_stop,
	    in_its_callback_a_job_has_ended,
	    a_blocking_read_is_interrupted_by_a_shutdown,
	    a_stop_is_not_called_after_it_was_taken_back,
	    a_call_that_ends_gives_the_stop_back_to_who_asks_meanwhile);
	tcase_add_loop_test(
	    tcase, a_call_leaves_the_stop_of_its_job_in_place, 0, 2);
}

int
main(void)
{
	Suite *suite = suite_create("run_on");
	TCase *tcase = a_case(suite, "result", 5);

	tcase_add_loop_test(tcase, the_result_is_that_of_the_task, 0, 2);
	census_add(tcase, no_frame_is_no_memory,
	    a_used_frame_is_refused_and_left_alone,
	    in_a_task_of_the_loop_it_is_a_deadlock,
	    in_a_loop_inside_the_loop_it_is_a_deadlock,
	    in_a_callback_of_the_loop_it_is_a_deadlock,
	    in_a_forked_child_it_is_refused);
	tcase = a_case(suite, "deadline", 10);
	tcase_add_loop_test(tcase,
	    a_deadline_before_the_loop_takes_it_up_leaves_the_frame, 0, 4);
	tcase_add_loop_test(
	    tcase, a_deadline_while_it_runs_cancels_and_awaits_it, 0, 2);
	census_add(tcase, a_result_of_its_own_wins_over_the_deadline,
	    a_deadline_may_come_at_any_moment);
	tcase = a_case(suite, "close", 20);
	tcase_add_loop_test(
	    tcase, a_close_before_it_is_taken_up_cancels_it, 0, 4);
	tcase_add_loop_test(tcase, the_end_of_eddy_run_cancels_it, 0, 4);
	census_add(tcase, the_end_of_eddy_run_leaves_a_stubborn_call,
	    the_end_of_eddy_run_cancels_it_where_a_pool_is_left,
	    in_a_storm_of_calls_and_closes_nobody_hangs);
	census_add(
	    a_case(suite, "many", 20), four_threads_make_thousands_of_calls);
	/* Each round is some turns of the scheduler, which may be far apart. */
	census_add(a_case(suite, "relay", 60),
	    a_loop_that_changes_threads_is_no_deadlock);
	add_jobs(suite);
	return suite_main(suite);
}
