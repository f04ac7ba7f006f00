/* SPDX-License-Identifier: ISC */
/* What a job can be besides plain: urgent, one of a map, owner of its bytes,
 * long, stopped by a hook or by a signal.  On threads and on processes. */
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/process_pool.h>
#include <eddy/strand.h>
#include <eddy/sync.h>
#include <eddy/thread_pool.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "sys.h"
#include "threads.h"

/* Memory is counted and fails on demand. */
/* link: -Wl,--wrap=eddy__alloc,--wrap=eddy__realloc,--wrap=eddy__free */
void *__real_eddy__alloc(size_t size);
void *__real_eddy__realloc(void *p, size_t size);
void __real_eddy__free(void *p);
void *__wrap_eddy__alloc(size_t size);
void *__wrap_eddy__realloc(void *p, size_t size);
void __wrap_eddy__free(void *p);

static int live;                          /* any thread: not freed yet */
static uint32_t memory_left = UINT32_MAX; /* allocations that may succeed */

static bool
may_allocate(void)
{
	return A_LOAD(&memory_left) == UINT32_MAX ||
	       (int32_t)A_SUB(&memory_left, 1) > 0;
}

void *
__wrap_eddy__alloc(size_t size)
{
	void *p = may_allocate() ? __real_eddy__alloc(size) : NULL;

	A_ADD(&live, p != NULL);
	return p;
}

void *
__wrap_eddy__realloc(void *p, size_t size)
{
	void *q = may_allocate() ? __real_eddy__realloc(p, size) : NULL;

	A_ADD(&live, p == NULL && q != NULL);
	return q;
}

void
__wrap_eddy__free(void *p)
{
	A_SUB(&live, p != NULL);
	__real_eddy__free(p);
}

enum {
	SLOW = CENSUS_TSAN || CENSUS_ASAN,
	MANY = 256, /* calls, elements */
};

/* Memory that the tests and their workers, of either kind, share. */
static struct board {
	sem_t entered, leave;
	uint32_t ran;        /* jobs that came to note() */
	int order[MANY];     /* their numbers */
	uint32_t runs[MANY]; /* by number */
	uint32_t inside, most;
	pthread_t thread; /* of the last that came to stay() */
} * board;

enum where { PROCESSES, THREADS }; /* in this order: threads are not forked */

/* A loop and a pool. */
struct rig {
	enum where where;
	struct eddy_loop *loop;
	struct eddy_executor *pool;
};

struct bytes {
	int number, value, out;
};

/* A job, its bytes and how often it was answered. */
static struct call {
	struct eddy_job job; /* first */
	struct bytes bytes;
	int answers;
} calls[MANY];

static void
let_go(int n)
{
	while (n-- > 0)
		sem_post(&board->leave);
}

/* Jobs. */

static int
note(void *arg)
{
	struct bytes *bytes = arg;

	board->order[A_ADD(&board->ran, 1) % MANY] = bytes->number;
	A_ADD(&board->runs[bytes->number], 1);
	bytes->out = bytes->number + 1;
	return bytes->value;
}

static int
stay(void *arg)
{
	A_STORE(&board->thread, pthread_self());
	sem_post(&board->entered);
	wait_for(&board->leave);
	return note(arg);
}

/* Until it is asked to stop. */
static int
patient(void *arg)
{
	sem_post(&board->entered);
	while (!eddy_job_stop_requested())
		sched_yield();
	return note(arg);
}

/* Counted while it stays. */
static int
meet(void *arg)
{
	uint32_t n = A_ADD(&board->inside, 1) + 1, seen = A_LOAD(&board->most);

	while (n > seen && !A_CAS(&board->most, &seen, n))
		;
	wait_for(&board->leave);
	A_SUB(&board->inside, 1);
	return note(arg);
}

/* The rig. */

static void
begin(void)
{
	board = census_share(sizeof(*board));
	sem_init(&board->entered, 1, 0);
	sem_init(&board->leave, 1, 0);
	A_STORE(&live, 0);
}

/* Workers that were given up on free what they have a little later. */
static void
end(void)
{
	int64_t deadline = eddy_after(EDDY_S(2));

	while (A_LOAD(&live) != 0 && eddy_now() < deadline)
		sched_yield();
	ck_assert_int_eq(A_LOAD(&live), 0);
	munmap(board, sizeof(*board));
}

/* With what was noted so far forgotten. */
static void
wipe(void)
{
	A_STORE(&board->ran, 0);
	memset(board->order, 0, sizeof(board->order));
	memset(board->runs, 0, sizeof(board->runs));
	A_STORE(&board->most, 0);
	while (sem_trywait(&board->leave) == 0)
		;
	while (sem_trywait(&board->entered) == 0)
		;
}

static void
rig_open(struct rig *rig, enum where where, unsigned workers, unsigned limit)
{
	struct eddy_process_pool_options processes = {
	    .workers = workers, .depth = 1, .queue_limit = limit};
	struct eddy_thread_pool_options threads = {
	    .workers_max = workers, .queue_limit = limit};

	wipe();
	rig->where = where;
	rig->loop = census_loop();
	if (where == THREADS)
		ck_assert_int_eq(
		    eddy_thread_pool_open(&rig->pool, &threads), 0);
	else
		ck_assert_int_eq(
		    eddy_process_pool_open(&rig->pool, rig->loop, &processes),
		    0);
}

static void
step(struct rig *rig)
{
	ck_assert_int_ge(eddy_loop_step(rig->loop, EDDY_MS(1)), 0);
}

#define until(rig, condition)        \
	do                           \
		while (!(condition)) \
			step(rig);   \
	while (0)

static void
run(struct rig *rig)
{
	ck_assert_int_eq(eddy_loop_run(rig->loop), 0);
}

static struct eddy_executor_stats
stats_of(struct rig *rig)
{
	struct eddy_executor_stats stats;

	eddy_executor_stats(rig->pool, &stats);
	return stats;
}

static void
rig_close(struct rig *rig)
{
	ck_assert_int_eq(eddy_executor_close(rig->pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig->loop), 0);
}

static void
on_call(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct call *)job)->answers++;
}

static struct call *
call_init(int number, eddy_job_fn *fn, unsigned flags)
{
	struct call *call = &calls[number];

	*call = (struct call){.bytes = {.number = number, .value = 7}};
	call->job = (struct eddy_job)EDDY_JOB(fn, &call->bytes);
	call->job.flags = (uint8_t)flags;
	return call;
}

static int
try_start(struct rig *rig, int number, eddy_job_fn *fn, unsigned flags)
{
	struct call *call = call_init(number, fn, flags);

	return eddy_submit(rig->pool, &call->job, rig->loop, on_call);
}

/* Calls [from, from + n). */
static void
start(struct rig *rig, int from, int n, eddy_job_fn *fn, unsigned flags)
{
	for (; n-- > 0; from++)
		ck_assert_int_eq(try_start(rig, from, fn, flags), 0);
}

static void
entered(struct rig *rig)
{
	until(rig, sem_trywait(&board->entered) == 0);
}

/* A job that has a worker to itself. */
static void
occupy(struct rig *rig, int number)
{
	start(rig, number, 1, stay, 0);
	entered(rig);
}

/* Calls [from, from + n) were answered once each, with that outcome. */
static void
expect(int from, int n, enum eddy_outcome outcome)
{
	for (; n-- > 0; from++)
		if (calls[from].answers != 1 ||
		    calls[from].job.outcome != outcome ||
		    A_LOAD(&board->runs[from]) != (outcome == EDDY_RETURNED))
			ck_abort_msg("job %d: %d answers, the last %d, ran %u",
			    from, calls[from].answers, calls[from].job.outcome,
			    board->runs[from]);
}

static void
expect_order(const int *order, uint32_t n)
{
	uint32_t i;

	ck_assert_uint_eq(A_LOAD(&board->ran), n);
	for (i = 0; i < n; i++)
		if (board->order[i] != order[i])
			ck_abort_msg("job %d ran as number %u instead of %d",
			    board->order[i], i, order[i]);
}

/* fn inside a turn of its own. */
static struct rig *turning;

static void
in_turn(struct rig *rig, eddy_post_fn *fn)
{
	struct eddy_post post;

	turning = rig;
	eddy_post_init(&post, fn);
	ck_assert_int_eq(eddy_post(rig->loop, &post), 0);
	ck_assert_int_ge(eddy_loop_step(rig->loop, 0), 0);
}

/* A task that awaits a job of its own. */
struct runner {
	struct eddy_task task;
	struct eddy_executor *pool;
	struct eddy_job *job;
	int64_t timeout; /* 0: none */
	int rc;
};

static eddy_step
runner(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct runner, f);
	if (f->timeout != 0)
		EDDY_AWAIT(f->rc, eddy_timeout(self, f->timeout,
				      eddy_job_run(self, f->pool, f->job)));
	else
		EDDY_AWAIT(f->rc, eddy_job_run(self, f->pool, f->job));
	EDDY_END;
}

static void
spawn(struct rig *rig, struct eddy_task *task)
{
	ck_assert_int_eq(eddy_loop_spawn(rig->loop, task, NULL), 0);
}

static void
runner_start(struct rig *rig, struct runner *f, struct eddy_job *job)
{
	(void)EDDY_INIT(
	    f, runner, .pool = rig->pool, .job = job, .rc = EDDY_PENDING);
	spawn(rig, &f->task);
}

/* Urgent jobs. */

static void
check_urgent_first(enum where where)
{
	static const int order[] = {0, 10, 11, 12, 1, 2, 3, 4, 5};
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	occupy(&rig, 0);
	start(&rig, 1, 5, note, 0);
	start(&rig, 10, 3, note, EDDY_JOB_URGENT);
	ck_assert_uint_eq(stats_of(&rig).queued, 8);
	let_go(1);
	run(&rig);
	expect_order(order, COUNT_OF(order));
	expect(0, 6, EDDY_RETURNED);
	expect(10, 3, EDDY_RETURNED);
	rig_close(&rig);
}

START_TEST(urgent_jobs_go_before_others)
{
	check_urgent_first(PROCESSES);
	check_urgent_first(THREADS);
}
END_TEST

/* Both lanes full: seven urgent ones, then one that is not. */
static void
check_share(enum where where)
{
	int i, between = 0, others = 0;
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	occupy(&rig, 0);
	start(&rig, 100, 16, note, 0);
	start(&rig, 1, 64, note, EDDY_JOB_URGENT);
	let_go(1);
	run(&rig);
	ck_assert_uint_eq(A_LOAD(&board->ran), 81);
	for (i = 1; others < 9; i++) {
		bool urgent = board->order[i] < 100;

		ck_assert_int_eq(
		    board->order[i], urgent ? i - others : 100 + others);
		if (!urgent) {
			ck_assert_int_eq(between, 7);
			others++;
		}
		between = urgent ? between + 1 : 0;
	}
	rig_close(&rig);
}

START_TEST(one_job_in_eight_is_not_urgent)
{
	check_share(PROCESSES);
	check_share(THREADS);
}
END_TEST

static int others_left; /* that have no outcome yet */

static void
on_other(struct eddy_loop *loop, struct eddy_job *job)
{
	on_call(loop, job);
	others_left--;
}

/* For ever, as far as the others can see. */
static void
on_urgent(struct eddy_loop *loop, struct eddy_job *job)
{
	on_call(loop, job);
	if (others_left != 0)
		ck_assert_int_eq(
		    eddy_submit(job->executor, job, loop, on_urgent), 0);
}

static void
check_stream(enum where where, unsigned workers)
{
	uint32_t urgent = 0;
	struct rig rig;
	int i;

	rig_open(&rig, where, workers, 0);
	others_left = 10;
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(eddy_submit(rig.pool,
				     &call_init(i, note, EDDY_JOB_URGENT)->job,
				     rig.loop, on_urgent),
		    0);
	for (i = 100; i < 110; i++)
		ck_assert_int_eq(
		    eddy_submit(rig.pool, &call_init(i, note, 0)->job, rig.loop,
			on_other),
		    0);
	run(&rig);
	expect(100, 10, EDDY_RETURNED);
	for (i = 0; i < 20; i++)
		urgent += A_LOAD(&board->runs[i]);
	/* Seven for each, those before it, those after, and what is late. */
	ck_assert_uint_le(urgent, 10 * 7 + 3 * 20);
	rig_close(&rig);
}

START_TEST(a_stream_of_urgent_jobs_starves_nobody)
{
	check_stream(PROCESSES, 1);
	check_stream(PROCESSES, 2);
	check_stream(THREADS, 1);
	check_stream(THREADS, 2);
}
END_TEST

START_TEST(urgent_jobs_go_before_those_that_a_worker_has_taken)
{
	static const int order[] = {0, 1, 40, 41, 42, 2, 3, 4, 5, 6, 7, 8, 9};
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	occupy(&rig, 0);
	start(&rig, 1, 1, stay, 0);
	start(&rig, 2, 8, note, 0);
	let_go(1);
	wait_for(&board->entered); /* the worker has a batch now */
	start(&rig, 40, 3, note, EDDY_JOB_URGENT);
	let_go(1);
	run(&rig);
	expect_order(order, COUNT_OF(order));
	rig_close(&rig);
}
END_TEST

START_TEST(urgent_jobs_that_a_worker_has_taken_leave_others_their_share)
{
	struct rig rig;
	int i;

	rig_open(&rig, THREADS, 1, 0);
	occupy(&rig, 0);
	start(&rig, 1, 1, stay, EDDY_JOB_URGENT);
	start(&rig, 2, 63, note, EDDY_JOB_URGENT);
	let_go(1);
	wait_for(&board->entered); /* the worker has a batch of them */
	start(&rig, 100, 2, note, 0);
	let_go(1);
	run(&rig);
	for (i = 0; board->order[i] < 100; i++)
		;
	ck_assert_int_le(i, 2 + 7);
	for (i++; board->order[i] < 100; i++)
		;
	ck_assert_int_le(i, 2 + 7 + 8);
	rig_close(&rig);
}
END_TEST

/* A worker process keeps the one it has been given. */
START_TEST(at_most_what_a_worker_process_holds_goes_before_urgent_jobs)
{
	struct eddy_process_pool_options options = {.workers = 1, .depth = 2};
	struct rig rig = {PROCESSES, census_loop(), NULL};
	int i;

	ck_assert_int_eq(
	    eddy_process_pool_open(&rig.pool, rig.loop, &options), 0);
	occupy(&rig, 0);
	start(&rig, 1, 5, note, 0);
	start(&rig, 10, 3, note, EDDY_JOB_URGENT);
	let_go(1);
	run(&rig);
	for (i = 1; board->order[i] != 12; i++)
		;
	ck_assert_int_le(i, 1 + 3);
	expect(1, 5, EDDY_RETURNED);
	rig_close(&rig);
}
END_TEST

static void
submit_both(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)loop;
	(void)post;
	start(turning, 1, 5, note, 0);
	start(turning, 10, 3, note, EDDY_JOB_URGENT);
}

static void
check_turn(enum where where)
{
	static const int order[] = {0, 10, 11, 12, 1, 2, 3, 4, 5};
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	occupy(&rig, 0);
	in_turn(&rig, submit_both);
	ck_assert_uint_eq(stats_of(&rig).queued, 8);
	let_go(1);
	run(&rig);
	expect_order(order, COUNT_OF(order));
	rig_close(&rig);
}

START_TEST(urgent_jobs_of_a_turn_go_before_its_others)
{
	check_turn(PROCESSES);
	check_turn(THREADS);
}
END_TEST

static void
cancel_some(struct eddy_loop *loop, struct eddy_post *post)
{
	submit_both(loop, post);
	ck_assert_int_eq(eddy_job_cancel(&calls[11].job), 0);
	ck_assert_int_eq(eddy_job_cancel(&calls[2].job), 0);
}

static void
check_cancel_in_turn(enum where where)
{
	static const int order[] = {0, 10, 12, 1, 3, 4, 5};
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	occupy(&rig, 0);
	in_turn(&rig, cancel_some);
	let_go(1);
	run(&rig);
	expect_order(order, COUNT_OF(order));
	expect(11, 1, EDDY_CANCELLED);
	expect(2, 1, EDDY_CANCELLED);
	rig_close(&rig);
}

START_TEST(an_urgent_job_of_a_turn_may_be_cancelled_in_it)
{
	check_cancel_in_turn(PROCESSES);
	check_cancel_in_turn(THREADS);
}
END_TEST

static void
check_cancel(enum where where)
{
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	occupy(&rig, 0);
	start(&rig, 1, 3, note, EDDY_JOB_URGENT);
	call_init(4, note, EDDY_JOB_URGENT)->job.deadline = eddy_after(1);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &calls[4].job, rig.loop, on_call), 0);
	ck_assert_int_eq(eddy_job_cancel(&calls[2].job), 0);
	ck_assert_int_eq(eddy_job_cancel(&calls[2].job), -EALREADY);
	until(&rig, calls[2].answers != 0); /* while the worker is busy */
	expect(2, 1, EDDY_CANCELLED);
	let_go(1);
	run(&rig);
	expect(0, 2, EDDY_RETURNED);
	expect(3, 1, EDDY_RETURNED);
	expect(4, 1, EDDY_EXPIRED);
	ck_assert_uint_eq(stats_of(&rig).cancelled, 1);
	ck_assert_uint_eq(stats_of(&rig).expired, 1);
	ck_assert_uint_eq(stats_of(&rig).queued, 0);
	rig_close(&rig);
}

START_TEST(an_urgent_job_may_be_cancelled_and_may_expire)
{
	check_cancel(PROCESSES);
	check_cancel(THREADS);
}
END_TEST

static void
check_close(enum where where)
{
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	occupy(&rig, 0);
	start(&rig, 1, 3, note, 0);
	start(&rig, 10, 3, note, EDDY_JOB_URGENT);
	ck_assert_int_eq(eddy_executor_close(rig.pool, 0), -ETIME);
	let_go(where == THREADS);
	run(&rig);
	expect(0, 1, where == THREADS ? EDDY_RETURNED : EDDY_CANCELLED);
	expect(1, 3, EDDY_CANCELLED);
	expect(10, 3, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}

START_TEST(close_cancels_urgent_jobs_too)
{
	check_close(PROCESSES);
	check_close(THREADS);
}
END_TEST

static void
check_room(enum where where)
{
	struct runner waiting, cancelled;
	struct rig rig;

	rig_open(&rig, where, 1, 2);
	occupy(&rig, 0);
	start(&rig, 1, 2, note, 0);
	ck_assert_int_eq(try_start(&rig, 3, note, EDDY_JOB_URGENT), -EAGAIN);
	runner_start(&rig, &waiting, &call_init(4, note, EDDY_JOB_URGENT)->job);
	runner_start(
	    &rig, &cancelled, &call_init(5, note, EDDY_JOB_URGENT)->job);
	step(&rig);
	ck_assert(!eddy_done(&waiting.task));
	ck_assert_int_eq(eddy_cancel(&cancelled.task), 0);
	until(&rig, eddy_done(&cancelled.task));
	ck_assert_int_eq(cancelled.rc, -ECANCELED);
	let_go(1);
	run(&rig);
	ck_assert_int_eq(waiting.rc, 7);
	expect(0, 3, EDDY_RETURNED);
	ck_assert_uint_eq(A_LOAD(&board->runs[4]), 1);
	ck_assert_uint_eq(A_LOAD(&board->runs[5]), 0);
	ck_assert_uint_eq(A_LOAD(&board->ran), 4);
	rig_close(&rig);
}

START_TEST(an_urgent_job_waits_for_room_as_any)
{
	check_room(PROCESSES);
	check_room(THREADS);
}
END_TEST

START_TEST(an_urgent_job_that_will_not_wait_is_told)
{
	struct runner f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 1);
	occupy(&rig, 0);
	start(&rig, 1, 1, note, EDDY_JOB_URGENT);
	runner_start(&rig, &f,
	    &call_init(2, note, EDDY_JOB_URGENT | EDDY_JOB_NOWAIT)->job);
	step(&rig);
	ck_assert(eddy_done(&f.task));
	ck_assert_int_eq(f.rc, -EAGAIN);
	let_go(1);
	run(&rig);
	rig_close(&rig);
}
END_TEST

START_TEST(the_order_of_a_strand_goes_before_urgency)
{
	static const int order[] = {0, 1, 2, 10, 3};
	struct rig rig, strand;

	rig_open(&rig, THREADS, 2, 0);
	strand = rig;
	ck_assert_int_eq(eddy_strand_open(&strand.pool, rig.pool, 0), 0);
	occupy(&strand, 0);
	start(&strand, 1, 2, note, 0);
	start(&strand, 10, 1, note, EDDY_JOB_URGENT);
	start(&strand, 3, 1, note, 0);
	let_go(1);
	run(&rig);
	expect_order(order, COUNT_OF(order));
	ck_assert_int_eq(eddy_executor_close(strand.pool, EDDY_FOREVER), 0);
	rig_close(&rig);
}
END_TEST

/* Submitted and cancelled at random, in both lanes. */
enum { ROUNDS = SLOW ? 200 : 2000, WAVE = 64 };

static void
submit_wave(struct rig *rig, unsigned *seed)
{
	int i;

	for (i = 0; i < WAVE; i++) {
		calls[i].job.flags = rand_r(seed) % 2 ? EDDY_JOB_URGENT : 0;
		ck_assert_int_eq(
		    eddy_submit(rig->pool, &calls[i].job, rig->loop, on_call),
		    0);
	}
	for (i = 0; i < WAVE; i++)
		(void)eddy_job_cancel(
		    &calls[(unsigned)rand_r(seed) % WAVE].job);
}

START_TEST(jobs_of_both_lanes_have_one_outcome)
{
	unsigned seed = 7;
	struct rig rig;
	int i, round;

	rig_open(&rig, THREADS, 3, 0);
	for (i = 0; i < WAVE; i++)
		call_init(i, note, 0);
	for (round = 1; round <= ROUNDS; round++) {
		submit_wave(&rig, &seed);
		run(&rig);
		for (i = 0; i < WAVE; i++)
			if (calls[i].answers != round)
				ck_abort_msg("job %d: %d answers in %d rounds",
				    i, calls[i].answers, round);
	}
	ck_assert_uint_eq(stats_of(&rig).returned, A_LOAD(&board->ran));
	ck_assert_uint_eq(
	    stats_of(&rig).returned + stats_of(&rig).cancelled, ROUNDS * WAVE);
	rig_close(&rig);
}
END_TEST

/* Maps. */

static struct bytes elements[MANY];

struct mapper {
	struct eddy_task task;
	struct eddy_executor *pool;
	eddy_job_fn *fn;
	size_t n, size;
	unsigned at_most;
	int64_t timeout; /* 0: none */
	int rc;
};

static EDDY_ASYNC
map_all(struct mapper *f)
{
	return eddy_map(
	    &f->task, f->pool, f->fn, elements, f->n, f->size, f->at_most);
}

static eddy_step
mapper(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct mapper, f);
	if (f->timeout != 0)
		EDDY_AWAIT(f->rc, eddy_timeout(self, f->timeout, map_all(f)));
	else
		EDDY_AWAIT(f->rc, map_all(f));
	EDDY_END;
}

static void
map_init(struct mapper *f, struct eddy_executor *pool, eddy_job_fn *fn,
    size_t n, unsigned at_most)
{
	int i;

	for (i = 0; i < MANY; i++)
		elements[i] = (struct bytes){.number = i};
	(void)EDDY_INIT(f, mapper, .pool = pool, .fn = fn, .n = n,
	    .size = sizeof(elements[0]), .at_most = at_most,
	    .rc = EDDY_PENDING);
}

static void
map_start(struct rig *rig, struct mapper *f, eddy_job_fn *fn, size_t n,
    unsigned at_most)
{
	map_init(f, rig->pool, fn, n, at_most);
	spawn(rig, &f->task);
}

/* The first n elements ran once each, the others did not. */
static void
expect_ran(uint32_t n)
{
	uint32_t i;

	ck_assert_uint_eq(A_LOAD(&board->ran), n);
	for (i = 0; i < MANY; i++)
		if (A_LOAD(&board->runs[i]) != (i < n) ||
		    elements[i].out != (i < n ? (int)i + 1 : 0))
			ck_abort_msg("element %u ran %u times, out %d", i,
			    board->runs[i], elements[i].out);
}

static void
check_map(enum where where, size_t n, unsigned at_most, unsigned limit)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, where, 2, limit);
	map_start(&rig, &f, note, n, at_most);
	run(&rig);
	ck_assert_int_eq(f.rc, 0);
	expect_ran((uint32_t)n);
	ck_assert_uint_eq(stats_of(&rig).submitted, n);
	rig_close(&rig);
}

START_TEST(a_map_runs_each_element_once)
{
	check_map(PROCESSES, 100, 4, 0);
	check_map(PROCESSES, 100, 1, 0);
	check_map(THREADS, 100, 4, 0);
	check_map(THREADS, 100, 1, 0);
}
END_TEST

START_TEST(a_map_may_be_smaller_than_its_limit)
{
	check_map(PROCESSES, 3, 8, 0);
	check_map(THREADS, 3, 8, 0);
	check_map(THREADS, 1, UINT_MAX, 0);
}
END_TEST

START_TEST(a_map_waits_for_room)
{
	check_map(PROCESSES, 100, 16, 1);
	check_map(THREADS, 100, 16, 1);
}
END_TEST

START_TEST(a_map_runs_on_the_executor_of_the_loop)
{
	struct mapper f;

	map_init(&f, NULL, note, 100, 3);
	ck_assert_int_eq(eddy_run(&f.task), 0);
	ck_assert_int_eq(f.rc, 0);
	expect_ran(100);
}
END_TEST

START_TEST(a_map_of_nothing_is_done)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	map_start(&rig, &f, note, 0, 3);
	step(&rig);
	ck_assert(eddy_done(&f.task));
	ck_assert_int_eq(f.rc, 0);
	expect_ran(0);
	ck_assert_uint_eq(stats_of(&rig).submitted, 0);
	rig_close(&rig);
}
END_TEST

START_TEST(a_map_checks_its_arguments)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	map_start(&rig, &f, note, 3, 0);
	run(&rig);
	ck_assert_int_eq(f.rc, -EINVAL);
	map_start(&rig, &f, NULL, 3, 1);
	run(&rig);
	ck_assert_int_eq(f.rc, -EINVAL);
	if (SIZE_MAX > UINT32_MAX) {
		map_init(&f, rig.pool, note, 3, 1);
		f.size = (size_t)UINT32_MAX + 1;
		spawn(&rig, &f.task);
		run(&rig);
		ck_assert_int_eq(f.rc, -EMSGSIZE);
	}
	expect_ran(0);
	rig_close(&rig);
}
END_TEST

static void
check_at_most(enum where where)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, where, 5, 0);
	map_start(&rig, &f, meet, 20, 3);
	until(&rig, A_LOAD(&board->inside) == 3);
	step(&rig);
	ck_assert_uint_eq(stats_of(&rig).queued, 0);
	let_go(20);
	run(&rig);
	ck_assert_int_eq(f.rc, 0);
	ck_assert_uint_eq(A_LOAD(&board->most), 3);
	expect_ran(20);
	rig_close(&rig);
}

START_TEST(a_map_runs_so_many_at_a_time)
{
	check_at_most(PROCESSES);
	check_at_most(THREADS);
}
END_TEST

/* When its last job has come back nobody else keeps the pool. */
START_TEST(a_pool_may_be_closed_between_two_jobs_of_a_map)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	map_start(&rig, &f, stay, 3, 1);
	entered(&rig);
	let_go(1);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_FOREVER), 0);
	ck_assert_int_eq(f.rc, EDDY_PENDING);
	run(&rig);
	ck_assert_int_eq(f.rc, -ESHUTDOWN);
	expect_ran(1);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

/* Every result but one is more than 0; number 4 fails. */
static int
fail_at_four(void *arg)
{
	struct bytes *bytes = arg;

	note(bytes);
	return bytes->number == 4 ? -EIO : bytes->number + 1;
}

static void
check_failure(enum where where)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, where, 3, 0);
	map_start(&rig, &f, fail_at_four, 4, 2);
	run(&rig);
	ck_assert_int_eq(f.rc, 0);
	wipe();
	map_start(&rig, &f, fail_at_four, 100, 1);
	run(&rig);
	ck_assert_int_eq(f.rc, -EIO);
	expect_ran(5);
	rig_close(&rig);
}

START_TEST(the_first_failure_ends_a_map)
{
	check_failure(PROCESSES);
	check_failure(THREADS);
}
END_TEST

/* The second fails while the first goes on, to fail later. */
static int
fail_first(void *arg)
{
	struct bytes *bytes = arg;

	if (bytes->number == 0) {
		A_STORE(&board->inside, 1);
		stay(arg);
		return -EBADF;
	}
	while (A_LOAD(&board->inside) == 0)
		sched_yield();
	note(arg);
	return -EIO;
}

START_TEST(a_failed_map_awaits_those_that_run)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 2, 0);
	map_start(&rig, &f, fail_first, 10, 2);
	entered(&rig);
	until(&rig, stats_of(&rig).returned == 1);
	step(&rig);
	ck_assert_int_eq(f.rc, EDDY_PENDING);
	let_go(1);
	run(&rig);
	ck_assert_int_eq(f.rc, -EIO);
	expect_ran(2);
	rig_close(&rig);
}
END_TEST

/* Those that run are asked to stop when another fails. */
static int
fail_others(void *arg)
{
	struct bytes *bytes = arg;

	if (bytes->number != 2)
		return patient(arg);
	wait_for(&board->entered);
	wait_for(&board->entered);
	note(arg);
	return -EIO;
}

START_TEST(a_failed_map_asks_those_that_run_to_stop)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 3, 0);
	map_start(&rig, &f, fail_others, 10, 3);
	run(&rig);
	ck_assert_int_eq(f.rc, -EIO);
	expect_ran(3);
	rig_close(&rig);
}
END_TEST

static int
crash_at_two(void *arg)
{
	if (((struct bytes *)arg)->number == 2)
		raise(SIGKILL);
	return note(arg);
}

START_TEST(a_crash_ends_a_map)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, PROCESSES, 1, 0);
	map_start(&rig, &f, crash_at_two, 10, 1);
	run(&rig);
	ck_assert_int_eq(f.rc, -EOWNERDEAD);
	expect_ran(2);
	rig_close(&rig);
}
END_TEST

START_TEST(a_cancelled_map_awaits_its_threads)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 2, 0);
	map_start(&rig, &f, stay, 10, 2);
	entered(&rig);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	step(&rig);
	ck_assert_int_eq(f.rc, EDDY_PENDING);
	ck_assert_int_eq(eddy_loop_close(rig.loop), -EBUSY);
	let_go(10);
	run(&rig);
	ck_assert_int_eq(f.rc, -ECANCELED);
	expect_ran(2);
	rig_close(&rig);
}
END_TEST

START_TEST(a_cancelled_map_ends_its_processes)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, PROCESSES, 2, 0);
	map_start(&rig, &f, stay, 10, 2);
	entered(&rig);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	run(&rig);
	ck_assert_int_eq(f.rc, -ECANCELED);
	expect_ran(0);
	rig_close(&rig);
}
END_TEST

/* Some run, some are queued, some wait for room. */
START_TEST(a_cancelled_map_takes_back_what_waits)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 2);
	map_start(&rig, &f, stay, 20, 8);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	let_go(20);
	run(&rig);
	ck_assert_int_eq(f.rc, -ECANCELED);
	expect_ran(1);
	rig_close(&rig);
}
END_TEST

static void
check_map_timeout(enum where where, eddy_job_fn *fn, uint32_t ran)
{
	int64_t began = eddy_now();
	struct mapper f;
	struct rig rig;

	rig_open(&rig, where, 2, 0);
	map_init(&f, rig.pool, fn, 10, 2);
	f.timeout = EDDY_MS(20);
	spawn(&rig, &f.task);
	run(&rig);
	ck_assert_int_ge(eddy_now() - began, EDDY_MS(20));
	ck_assert_int_eq(f.rc, -ETIME);
	ck_assert_uint_le(A_LOAD(&board->ran), ran);
	rig_close(&rig);
}

START_TEST(a_map_may_time_out)
{
	check_map_timeout(PROCESSES, stay, 0);
	check_map_timeout(THREADS, patient, 2);
}
END_TEST

START_TEST(a_timeout_that_a_map_does_not_need_is_nothing)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 2, 0);
	map_init(&f, rig.pool, note, 50, 2);
	f.timeout = EDDY_S(600);
	spawn(&rig, &f.task);
	run(&rig);
	ck_assert_int_eq(f.rc, 0);
	expect_ran(50);
	rig_close(&rig);
}
END_TEST

/* An operation's own outcome wins: section 11 of the design. */
START_TEST(a_cancel_that_comes_after_the_last_element_is_late)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 2, 0);
	map_start(&rig, &f, stay, 2, 2);
	entered(&rig);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	let_go(2);
	run(&rig);
	expect_ran(2);
	ck_assert_int_eq(f.rc, 0);
	rig_close(&rig);
}
END_TEST

START_TEST(a_cancelled_task_maps_nothing)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 2, 0);
	map_start(&rig, &f, note, 10, 2);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	run(&rig);
	ck_assert_int_eq(f.rc, -ECANCELED);
	expect_ran(0);
	map_start(&rig, &f, note, 0, 2); /* not even nothing */
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	run(&rig);
	ck_assert_int_eq(f.rc, -ECANCELED);
	rig_close(&rig);
}
END_TEST

static void
check_map_close(enum where where)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, where, 1, 2);
	map_start(&rig, &f, stay, 20, 8);
	entered(&rig);
	ck_assert_int_eq(eddy_executor_close(rig.pool, 0), -ETIME);
	let_go(20);
	run(&rig);
	ck_assert(f.rc == -ECANCELED || f.rc == -ESHUTDOWN);
	expect_ran(where == THREADS);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}

START_TEST(close_ends_a_map)
{
	check_map_close(PROCESSES);
	check_map_close(THREADS);
}
END_TEST

START_TEST(without_memory_a_map_is_enomem)
{
	struct mapper f;
	uint32_t k;

	for (k = 0;; k++) {
		struct rig rig = {THREADS, census_loop(), NULL};

		wipe();
		map_start(&rig, &f, note, 40, 3);
		A_STORE(&memory_left, k);
		run(&rig);
		A_STORE(&memory_left, UINT32_MAX);
		ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
		if (f.rc == 0)
			break;
		ck_assert_int_eq(f.rc, -ENOMEM);
		ck_assert_uint_lt(A_LOAD(&board->ran), 40);
	}
	ck_assert_uint_ge(k, 2);
	expect_ran(40);
}
END_TEST

START_TEST(a_map_with_room_needs_memory_once)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 2, 0);
	map_start(&rig, &f, note, 10, 2);
	run(&rig);
	wipe();
	map_start(&rig, &f, note, 200, 4);
	A_STORE(&memory_left, 2); /* its own, and perhaps a worker's */
	run(&rig);
	A_STORE(&memory_left, UINT32_MAX);
	ck_assert_int_eq(f.rc, 0);
	expect_ran(200);
	rig_close(&rig);
}
END_TEST

/* Writes nothing that another map of the same elements may, too. */
static int
tick(void *arg)
{
	A_ADD(&board->runs[((struct bytes *)arg)->number], 1);
	return 0;
}

/* Several maps, each of another task, share a short queue. */
START_TEST(maps_share_a_pool)
{
	static struct mapper f[8];
	struct rig rig;
	size_t i;

	rig_open(&rig, THREADS, 2, 3);
	for (i = 0; i < COUNT_OF(f); i++)
		map_start(&rig, &f[i], tick, 50, (unsigned)i + 1);
	run(&rig);
	for (i = 0; i < COUNT_OF(f); i++)
		ck_assert_int_eq(f[i].rc, 0);
	for (i = 0; i < 50; i++)
		ck_assert_uint_eq(A_LOAD(&board->runs[i]), COUNT_OF(f));
	rig_close(&rig);
}
END_TEST

/* A map and something else: the first to end wins. */
struct map_race {
	struct eddy_task task, kid;
	struct eddy_task *winner;
	struct mapper map;
	int rc;
};

static eddy_step
map_race(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct map_race, f);
	EDDY_TRY(eddy_complete(self, eddy_spawn(self, &f->map.task)));
	f->rc = EDDY_START(self, &f->kid, eddy_sleep(&f->kid, EDDY_MS(5)));
	ck_assert_int_eq(f->rc, 0);
	EDDY_AWAIT(f->rc, eddy_race(self, &f->winner));
	EDDY_END;
}

START_TEST(a_map_may_lose_a_race)
{
	static struct map_race f;
	struct rig rig;

	rig_open(&rig, THREADS, 2, 0);
	(void)EDDY_INIT(&f, map_race, .rc = 1);
	map_init(&f.map, rig.pool, patient, 10, 2);
	spawn(&rig, &f.task);
	run(&rig);
	ck_assert_int_eq(f.rc, 0);
	ck_assert_ptr_eq(f.winner, &f.kid);
	ck_assert_int_eq(f.map.rc, -ECANCELED);
	rig_close(&rig);
}
END_TEST

/* Given up at any moment. */
START_TEST(a_map_may_be_given_up_at_any_time)
{
	enum { TRIES = SLOW ? 300 : 3000 };
	int64_t timeouts[] = {1, EDDY_US(10), EDDY_US(30), EDDY_US(100)};
	struct mapper f;
	struct rig rig;
	int i;

	rig_open(&rig, THREADS, 3, 2);
	for (i = 0; i < TRIES; i++) {
		wipe();
		map_init(&f, rig.pool, note, 30, 8);
		f.timeout = timeouts[(size_t)i % COUNT_OF(timeouts)];
		spawn(&rig, &f.task);
		run(&rig);
		ck_assert(f.rc == 0 || f.rc == -ETIME);
		if (f.rc == 0)
			ck_assert_uint_eq(A_LOAD(&board->ran), 30);
	}
	ck_assert_uint_eq(stats_of(&rig).queued, 0);
	ck_assert_uint_eq(stats_of(&rig).running, 0);
	rig_close(&rig);
}
END_TEST

/* Bytes that go with their job. */

static uint32_t dropped;     /* how many bytes */
static pthread_t dropped_in; /* the last */

static void
drop(void *p)
{
	A_STORE(&dropped_in, pthread_self());
	free(p);
	A_ADD(&dropped, 1);
}

static void
await_drops(uint32_t n)
{
	while (A_ACQUIRE(&dropped) < n)
		sched_yield();
	ck_assert_uint_eq(A_ACQUIRE(&dropped), n);
}

struct owner {
	struct eddy_task task;
	struct eddy_executor *pool;
	eddy_job_fn *fn;
	void (*drop)(void *);
	struct bytes *bytes, *given;
	size_t size;
	int64_t timeout; /* 0: none */
	int rc;
};

static EDDY_ASYNC
hand_over(struct owner *f)
{
	return eddy_offload_owned_bytes(
	    &f->task, f->pool, f->fn, &f->bytes, f->size, f->drop);
}

static eddy_step
owner(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct owner, f);
	if (f->timeout != 0)
		EDDY_AWAIT(f->rc, eddy_timeout(self, f->timeout, hand_over(f)));
	else if (f->size != sizeof(*f->bytes))
		EDDY_AWAIT(f->rc, hand_over(f));
	else
		EDDY_AWAIT(f->rc, eddy_offload_owned(self, f->pool, f->fn,
				      &f->bytes, f->drop));
	EDDY_END;
}

static void
owner_init(struct owner *f, struct eddy_executor *pool, eddy_job_fn *fn)
{
	(void)EDDY_INIT(f, owner, .pool = pool, .fn = fn, .drop = drop,
	    .bytes = malloc(sizeof(*f->bytes)), .size = sizeof(*f->bytes),
	    .rc = EDDY_PENDING);
	ck_assert_ptr_nonnull(f->bytes);
	*f->bytes = (struct bytes){.number = 3, .value = 7};
	f->given = f->bytes;
}

static void
owner_start(struct rig *rig, struct owner *f, eddy_job_fn *fn)
{
	owner_init(f, rig->pool, fn);
	spawn(rig, &f->task);
}

/* With that result; the bytes are the caller's again. */
static void
expect_kept(struct owner *f, int rc, int out)
{
	ck_assert(eddy_done(&f->task));
	ck_assert_int_eq(f->rc, rc);
	ck_assert_ptr_eq(f->bytes, f->given);
	ck_assert_int_eq(f->bytes->out, out);
	ck_assert_uint_eq(A_ACQUIRE(&dropped), 0);
	free(f->bytes);
}

static void
expect_gone(struct owner *f, int rc)
{
	ck_assert(eddy_done(&f->task));
	ck_assert_int_eq(f->rc, rc);
	ck_assert_ptr_null(f->bytes);
}

/* It never ran: somebody has the bytes, and only one. */
static void
expect_never_ran(struct owner *f, int rc)
{
	ck_assert(eddy_done(&f->task));
	ck_assert_int_eq(f->rc, rc);
	ck_assert_uint_eq(A_LOAD(&board->runs[3]), 0);
	if (f->bytes == NULL) {
		await_drops(1);
	} else {
		ck_assert_ptr_eq(f->bytes, f->given);
		ck_assert_uint_eq(A_ACQUIRE(&dropped), 0);
		free(f->bytes);
	}
	A_STORE(&dropped, 0);
}

static void
check_owned_result(struct eddy_executor *pool, struct eddy_loop *loop)
{
	struct owner f;

	owner_init(&f, pool, note);
	ck_assert_int_eq(eddy_loop_spawn(loop, &f.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect_kept(&f, 7, 4);
	owner_init(&f, pool, note);
	f.timeout = EDDY_S(600);
	f.bytes->value = -ECANCELED; /* its own */
	ck_assert_int_eq(eddy_loop_spawn(loop, &f.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect_kept(&f, -ECANCELED, 4);
}

START_TEST(a_result_leaves_the_bytes_with_the_caller)
{
	struct eddy_executor copy, *strand;
	struct rig rig;

	rig_open(&rig, PROCESSES, 1, 0);
	check_owned_result(rig.pool, rig.loop);
	rig_close(&rig);
	rig_open(&rig, THREADS, 1, 0);
	check_owned_result(rig.pool, rig.loop);
	check_owned_result(NULL, rig.loop);
	ck_assert_int_eq(eddy_strand_open(&strand, rig.pool, 0), 0);
	check_owned_result(strand, rig.loop);
	ck_assert_int_eq(eddy_executor_close(strand, EDDY_FOREVER), 0);
	eddy_copy_executor(&copy);
	check_owned_result(&copy, rig.loop);
	eddy_executor_fini(&copy);
	rig_close(&rig);
}
END_TEST

START_TEST(a_cancelled_owner_returns_at_once_and_the_worker_drops)
{
	struct owner f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	owner_start(&rig, &f, stay);
	entered(&rig);
	ck_assert_uint_eq(stats_of(&rig).abandoned, 0);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	run(&rig); /* nothing is left for the loop */
	expect_gone(&f, -ECANCELED);
	ck_assert_uint_eq(A_ACQUIRE(&dropped), 0);
	ck_assert_uint_eq(stats_of(&rig).abandoned, 1);
	let_go(1);
	await_drops(1);
	ck_assert(pthread_equal(dropped_in, board->thread));
	ck_assert(!pthread_equal(dropped_in, pthread_self()));
	while (stats_of(&rig).abandoned != 0)
		sched_yield();
	ck_assert_uint_eq(A_LOAD(&board->runs[3]), 1);
	rig_close(&rig);
	ck_assert_uint_eq(A_ACQUIRE(&dropped), 1);
}
END_TEST

/* One whose job runs before its timeout; when it was started. */
static int64_t
start_hasty(struct rig *rig, struct owner *f)
{
	int64_t began, timeout = EDDY_MS(10);

	for (;; timeout *= 2) {
		bool came = false;

		owner_init(f, rig->pool, stay);
		f->timeout = timeout;
		began = eddy_now();
		spawn(rig, &f->task);
		until(rig, (came = sem_trywait(&board->entered) == 0) ||
			       eddy_done(&f->task));
		if (came)
			return began;
		expect_never_ran(f, -ETIME);
	}
}

START_TEST(a_timeout_of_an_owner_returns_at_once_and_the_worker_drops)
{
	struct owner f;
	struct rig rig;
	int64_t began;

	rig_open(&rig, THREADS, 1, 0);
	began = start_hasty(&rig, &f);
	run(&rig);
	ck_assert_int_ge(eddy_now() - began, f.timeout);
	expect_gone(&f, -ETIME);
	ck_assert_uint_eq(stats_of(&rig).abandoned, 1);
	let_go(1);
	await_drops(1);
	ck_assert(pthread_equal(dropped_in, board->thread));
	rig_close(&rig);
}
END_TEST

START_TEST(an_abandoned_job_is_asked_to_stop)
{
	struct owner f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	owner_start(&rig, &f, patient);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	run(&rig);
	expect_gone(&f, -ECANCELED);
	await_drops(1);
	rig_close(&rig);
}
END_TEST

START_TEST(many_abandoned_jobs_are_counted)
{
	struct owner f[4];
	struct rig rig;
	int i;

	rig_open(&rig, THREADS, 4, 0);
	for (i = 0; i < 4; i++) {
		owner_start(&rig, &f[i], stay);
		entered(&rig);
	}
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(eddy_cancel(&f[i].task), 0);
		until(&rig, eddy_done(&f[i].task));
		ck_assert_uint_eq(stats_of(&rig).abandoned, (unsigned)i + 1);
	}
	let_go(2);
	await_drops(2);
	while (stats_of(&rig).abandoned != 2)
		sched_yield();
	let_go(2);
	rig_close(&rig);
	ck_assert_uint_eq(A_ACQUIRE(&dropped), 4);
}
END_TEST

static void
check_owned_queued(enum where where)
{
	struct owner f;
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	occupy(&rig, 0);
	owner_start(&rig, &f, note);
	step(&rig);
	ck_assert_uint_eq(stats_of(&rig).queued, 1);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	until(&rig, eddy_done(&f.task)); /* while the worker is busy */
	expect_never_ran(&f, -ECANCELED);
	ck_assert_uint_eq(stats_of(&rig).queued, 0);
	ck_assert_uint_eq(stats_of(&rig).abandoned, 0);
	owner_init(&f, rig.pool, note);
	f.timeout = EDDY_MS(1);
	spawn(&rig, &f.task);
	until(&rig, eddy_done(&f.task));
	expect_never_ran(&f, -ETIME);
	let_go(1);
	run(&rig);
	expect(0, 1, EDDY_RETURNED);
	ck_assert_uint_eq(A_LOAD(&board->runs[3]), 0);
	ck_assert_uint_eq(stats_of(&rig).cancelled, 2);
	rig_close(&rig);
}

START_TEST(an_owned_job_that_is_queued_is_taken_back)
{
	check_owned_queued(PROCESSES);
	check_owned_queued(THREADS);
}
END_TEST

static void
check_owned_room(enum where where)
{
	struct owner f, other;
	struct rig rig;

	rig_open(&rig, where, 1, 1);
	occupy(&rig, 0);
	start(&rig, 1, 1, note, 0);
	owner_start(&rig, &f, note);
	step(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	until(&rig, eddy_done(&f.task));
	expect_never_ran(&f, -ECANCELED);
	ck_assert_uint_eq(stats_of(&rig).abandoned, 0);
	owner_start(&rig, &other, note);
	step(&rig);
	let_go(1);
	run(&rig);
	expect_kept(&other, 7, 4);
	rig_close(&rig);
}

START_TEST(an_owned_job_waits_for_room_as_any)
{
	check_owned_room(PROCESSES);
	check_owned_room(THREADS);
}
END_TEST

START_TEST(an_owner_that_is_cancelled_before_hands_nothing_over)
{
	struct owner f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	owner_start(&rig, &f, note);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	run(&rig);
	expect_kept(&f, -ECANCELED, 0);
	ck_assert_uint_eq(stats_of(&rig).submitted, 0);
	rig_close(&rig);
}
END_TEST

START_TEST(what_is_refused_stays_with_the_caller)
{
	struct owner f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	owner_init(&f, rig.pool, note);
	f.drop = NULL;
	spawn(&rig, &f.task);
	run(&rig);
	expect_kept(&f, -EINVAL, 0);
	owner_start(&rig, &f, NULL);
	run(&rig);
	expect_kept(&f, -EINVAL, 0);
	owner_start(&rig, &f, note);
	A_STORE(&memory_left, 0);
	run(&rig);
	A_STORE(&memory_left, UINT32_MAX);
	expect_kept(&f, -ENOMEM, 0);
#if SIZE_MAX > UINT32_MAX
	owner_init(&f, rig.pool, note);
	f.size = SIZE_MAX;
	spawn(&rig, &f.task);
	run(&rig);
	expect_kept(&f, -EMSGSIZE, 0);
#endif
	rig_close(&rig);
}
END_TEST

static void
on_drained(struct eddy_loop *loop, struct eddy_executor *executor, int rc)
{
	(void)loop;
	(void)executor;
	(void)rc;
}

START_TEST(what_a_pool_refuses_stays_with_the_caller)
{
	struct owner f;
	struct rig rig;

	rig_open(&rig, PROCESSES, 1, 0);
	owner_init(&f, rig.pool, note);
	f.size = 1 << 20; /* more than a slot */
	spawn(&rig, &f.task);
	run(&rig);
	expect_kept(&f, -EMSGSIZE, 0);
	rig_close(&rig);
	rig_open(&rig, THREADS, 1, 0);
	ck_assert_int_eq(
	    eddy_executor_drain_then(rig.pool, rig.loop, on_drained), 0);
	owner_start(&rig, &f, note);
	run(&rig);
	expect_kept(&f, -ESHUTDOWN, 0);
	rig_close(&rig);
}
END_TEST

static int
crash(void *arg)
{
	(void)arg;
	return raise(SIGKILL);
}

START_TEST(a_crash_leaves_the_bytes_with_the_caller)
{
	struct owner f;
	struct rig rig;

	rig_open(&rig, PROCESSES, 1, 0);
	owner_start(&rig, &f, crash);
	run(&rig);
	expect_kept(&f, -EOWNERDEAD, 0);
	rig_close(&rig);
}
END_TEST

static void
check_owned_process(bool timeout)
{
	struct owner f, next;
	struct rig rig;

	rig_open(&rig, PROCESSES, 1, 0);
	if (timeout) {
		start_hasty(&rig, &f);
	} else {
		owner_start(&rig, &f, stay);
		entered(&rig);
		ck_assert_int_eq(eddy_cancel(&f.task), 0);
	}
	until(&rig, eddy_done(&f.task));
	expect_gone(&f, timeout ? -ETIME : -ECANCELED);
	until(&rig, A_ACQUIRE(&dropped) != 0);
	step(&rig);
	await_drops(1);
	ck_assert_uint_eq(stats_of(&rig).abandoned, 0);
	ck_assert_uint_eq(A_LOAD(&board->runs[3]), 0);
	A_STORE(&dropped, 0);
	owner_start(&rig, &next, note);
	run(&rig);
	expect_kept(&next, 7, 4);
	rig_close(&rig);
}

START_TEST(an_owned_job_in_a_process_is_killed_and_dropped)
{
	check_owned_process(false);
	check_owned_process(true);
}
END_TEST

START_TEST(a_pool_of_processes_may_close_with_abandoned_jobs)
{
	struct owner f;
	struct rig rig;

	rig_open(&rig, PROCESSES, 1, 0);
	owner_start(&rig, &f, stay);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	/* Not a step: the pool has not heard of the worker's death. */
	(void)eddy_executor_close(rig.pool, 0);
	run(&rig);
	ck_assert_int_eq(f.rc, -ECANCELED);
	ck_assert_ptr_null(f.bytes);
	ck_assert_uint_eq(A_ACQUIRE(&dropped), 1);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

START_TEST(a_loop_may_go_while_an_abandoned_job_runs)
{
	struct owner f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	owner_start(&rig, &f, stay);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	run(&rig);
	expect_gone(&f, -ECANCELED);
	memset(&f, 0x5a, sizeof(f)); /* the frame goes as well */
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	ck_assert_uint_eq(A_ACQUIRE(&dropped), 0);
	let_go(1);
	await_drops(1);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_FOREVER), 0);
}
END_TEST

START_TEST(a_run_may_end_while_an_abandoned_job_runs)
{
	struct owner *f = malloc(sizeof(*f));
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	owner_init(f, rig.pool, stay);
	f->timeout = EDDY_MS(5);
	ck_assert_int_eq(eddy_run(&f->task), 0);
	/* Perhaps it was taken back before it ran. */
	ck_assert_int_eq(f->rc, -ETIME);
	if (f->bytes != NULL)
		drop(f->bytes);
	free(f);
	let_go(1);
	await_drops(1);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_FOREVER), 0);
}
END_TEST

START_TEST(a_strand_goes_on_after_its_abandoned_job)
{
	struct rig rig, strand;
	struct owner f;

	rig_open(&rig, THREADS, 3, 0);
	strand = rig;
	ck_assert_int_eq(eddy_strand_open(&strand.pool, rig.pool, 0), 0);
	owner_start(&strand, &f, stay);
	entered(&rig);
	start(&strand, 20, 3, note, 0);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	until(&rig, eddy_done(&f.task));
	expect_gone(&f, -ECANCELED);
	ck_assert_uint_eq(stats_of(&strand).abandoned, 1);
	step(&rig);
	ck_assert_uint_eq(A_LOAD(&board->ran), 0);
	let_go(1);
	run(&rig);
	expect(20, 3, EDDY_RETURNED);
	await_drops(1);
	ck_assert(pthread_equal(dropped_in, board->thread));
	ck_assert_int_eq(board->order[0], 3);
	ck_assert_uint_eq(stats_of(&strand).abandoned, 0);
	ck_assert_int_eq(eddy_executor_close(strand.pool, EDDY_FOREVER), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(an_owned_job_in_the_line_of_a_strand_is_taken_back)
{
	struct rig rig, strand;
	struct owner f;

	rig_open(&rig, THREADS, 2, 0);
	strand = rig;
	ck_assert_int_eq(eddy_strand_open(&strand.pool, rig.pool, 0), 0);
	occupy(&strand, 0);
	owner_start(&strand, &f, note);
	step(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	until(&rig, eddy_done(&f.task));
	expect_never_ran(&f, -ECANCELED);
	let_go(1);
	run(&rig);
	ck_assert_uint_eq(A_LOAD(&board->runs[3]), 0);
	ck_assert_int_eq(eddy_executor_close(strand.pool, EDDY_FOREVER), 0);
	rig_close(&rig);
}
END_TEST

/* Only when one that stays is running. */
static int
note_behind(void *arg)
{
	wait_for(&board->entered);
	return note(arg);
}

/* An owned job that hangs against one that does not. */
struct owner_race {
	struct eddy_task task;
	struct eddy_task *winner;
	struct owner slow, fast;
	int rc;
};

static eddy_step
owner_race(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct owner_race, f);
	EDDY_TRY(eddy_complete(self, eddy_spawn(self, &f->slow.task)));
	EDDY_TRY(eddy_complete(self, eddy_spawn(self, &f->fast.task)));
	EDDY_AWAIT(f->rc, eddy_race(self, &f->winner));
	EDDY_END;
}

START_TEST(a_race_does_not_wait_for_an_owned_job)
{
	static struct owner_race f;
	struct rig rig;

	rig_open(&rig, THREADS, 2, 0);
	(void)EDDY_INIT(&f, owner_race, .rc = 1);
	owner_init(&f.slow, rig.pool, stay);
	owner_init(&f.fast, rig.pool, note_behind);
	f.fast.bytes->number = 5;
	spawn(&rig, &f.task);
	run(&rig);
	ck_assert_ptr_eq(f.winner, &f.fast.task);
	ck_assert_int_eq(f.slow.rc, -ECANCELED);
	expect_kept(&f.fast, 7, 6);
	let_go(1);
	await_drops(1);
	rig_close(&rig);
}
END_TEST

START_TEST(close_gives_up_on_abandoned_jobs_in_time)
{
	struct rig rig;
	const char *names[2];
	struct owner f;

	rig_open(&rig, THREADS, 1, 0);
	owner_start(&rig, &f, stay);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	run(&rig);
	expect_gone(&f, -ECANCELED);
	ck_assert_int_eq(
	    eddy_executor_close_naming(rig.pool, EDDY_MS(5), names, 2), -ETIME);
	ck_assert_ptr_nonnull(names[0]);
	ck_assert_str_eq(names[0], "owner");
	ck_assert_ptr_null(names[1]);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	ck_assert_uint_eq(A_ACQUIRE(&dropped), 0);
	let_go(1);
	await_drops(1);
}
END_TEST

static void *
let_go_later(void *arg)
{
	(void)arg;
	usleep(10000);
	let_go(1);
	return NULL;
}

START_TEST(close_awaits_abandoned_jobs)
{
	pthread_t thread;
	struct owner f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	owner_start(&rig, &f, stay);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	run(&rig);
	start_thread(&thread, let_go_later, NULL);
	rig_close(&rig);
	ck_assert_uint_eq(A_ACQUIRE(&dropped), 1);
	join(thread);
}
END_TEST

START_TEST(close_answers_an_owner)
{
	struct owner running, queued;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	owner_start(&rig, &running, stay);
	entered(&rig);
	owner_start(&rig, &queued, note);
	queued.bytes->number = 5;
	step(&rig);
	ck_assert_int_eq(eddy_executor_close(rig.pool, 0), -ETIME);
	let_go(1);
	run(&rig);
	expect_kept(&running, 7, 4);
	expect_kept(&queued, -ECANCELED, 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

/* Outcome against cancel and timeout: the bytes have one owner at the end. */
static void
check_owned_storm(struct rig *rig, struct eddy_executor *pool)
{
	enum { TRIES = SLOW ? 1500 : 20000 };
	uint32_t gone = 0, kept = 0;
	unsigned seed = 5;
	struct owner f;
	int i;

	A_STORE(&dropped, 0);
	for (i = 0; i < TRIES; i++) {
		unsigned turns = (unsigned)rand_r(&seed) % 8;

		owner_init(&f, pool, note);
		if (i % 2 == 0)
			f.timeout = 1 + rand_r(&seed) % EDDY_US(60);
		spawn(rig, &f.task);
		for (; turns > 0 && !eddy_done(&f.task); turns--)
			ck_assert_int_ge(eddy_loop_step(rig->loop, 0), 0);
		if (i % 2 == 1 && !eddy_done(&f.task))
			ck_assert_int_eq(eddy_cancel(&f.task), 0);
		run(rig);
		if (f.bytes != NULL && (f.rc == 7 || f.rc == -ECANCELED))
			kept++;
		else if (f.rc != (i % 2 == 0 ? -ETIME : -ECANCELED))
			ck_abort_msg(
			    "try %d: %d, bytes %p", i, f.rc, (void *)f.bytes);
		gone += f.bytes == NULL;
		ck_assert(f.rc != 7 || f.bytes == f.given);
		free(f.bytes);
	}
	ck_assert_uint_gt(gone, 0);
	ck_assert_uint_gt(kept, 0);
	await_drops(gone);
	while (stats_of(rig).abandoned != 0)
		sched_yield();
}

START_TEST(bytes_have_one_owner_whoever_is_first)
{
	struct eddy_executor *strand;
	struct rig rig;

	rig_open(&rig, THREADS, 2, 0);
	check_owned_storm(&rig, rig.pool);
	ck_assert_int_eq(eddy_strand_open(&strand, rig.pool, 0), 0);
	check_owned_storm(&rig, strand);
	ck_assert_int_eq(eddy_executor_close(strand, EDDY_FOREVER), 0);
	rig_close(&rig);
}
END_TEST

/* Its pool is gone when the job ends: at any moment of the cancel. */
START_TEST(a_job_may_be_cancelled_after_its_pool_was_given_up)
{
	enum { TRIES = SLOW ? 1000 : 3000 };
	unsigned seed = 3, pause;
	int i;

	for (i = 0; i < TRIES; i++) {
		struct rig rig;

		rig_open(&rig, THREADS, 1, 4);
		occupy(&rig, 0);
		ck_assert_int_eq(eddy_executor_close(rig.pool, 0), -ETIME);
		let_go(1);
		for (pause = (unsigned)rand_r(&seed) % 60000; pause > 0;
		     pause--)
			__asm__ volatile("");
		(void)eddy_job_cancel(&calls[0].job);
		run(&rig);
		expect(0, 1, EDDY_RETURNED);
		ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	}
}
END_TEST

/* Ever seen.  Of one worker: a job that is over and not told yet, one that it
 * has claimed behind that, and one that is queued and just being given up. */
static unsigned most_abandoned;
enum { MOST_ABANDONED = 3 };

static void *
watch_abandoned(void *arg)
{
	struct rig *rig = arg;

	while (A_LOAD(&rig->where) == THREADS) {
		unsigned n = stats_of(rig).abandoned;

		if (n > most_abandoned)
			most_abandoned = n;
	}
	return NULL;
}

START_TEST(no_more_jobs_are_abandoned_than_there_are)
{
	enum { TRIES = SLOW ? 2000 : 20000 };
	pthread_t thread;
	uint32_t gone = 0;
	struct owner f;
	struct rig rig;
	int i;

	rig_open(&rig, THREADS, 1, 0);
	start_thread(&thread, watch_abandoned, &rig);
	for (i = 0; i < TRIES; i++) {
		owner_start(&rig, &f, note);
		ck_assert_int_ge(eddy_loop_step(rig.loop, 0), 0);
		if (!eddy_done(&f.task))
			ck_assert_int_eq(eddy_cancel(&f.task), 0);
		run(&rig);
		gone += f.bytes == NULL;
		free(f.bytes);
	}
	A_STORE(&rig.where, PROCESSES);
	join(thread);
	await_drops(gone);
	ck_assert_uint_le(most_abandoned, MOST_ABANDONED);
	rig_close(&rig);
}
END_TEST

/* Progress. */

/* A long job, and what was heard of it. */
static struct tale {
	struct eddy_long_job long_job; /* first */
	struct bytes bytes;
	int from, reports; /* from + 1 to from + reports are told */
	int calls, answers;
	int64_t last;
	int *log; /* of threads: what the job wrote before each report */
	pthread_t heard_in;
} tales[16];

static void
on_progress(struct eddy_loop *loop, struct eddy_long_job *long_job)
{
	struct tale *tale = (struct tale *)long_job;
	int64_t value = long_job->progress;

	(void)loop;
	if (tale->answers != 0 || value < tale->last ||
	    value > tale->from + tale->reports)
		ck_abort_msg("progress %lld after %lld, answers %d",
		    (long long)value, (long long)tale->last, tale->answers);
	if (tale->log != NULL)
		ck_assert_int_eq(tale->log[value], (int)value * 3);
	tale->calls++;
	tale->last = value;
	tale->heard_in = pthread_self();
}

static void
on_tale(struct eddy_loop *loop, struct eddy_job *job)
{
	struct tale *tale = (struct tale *)job;

	(void)loop;
	tale->answers++;
	tale->heard_in = pthread_self();
}

/* Report number + 1 to number + value. */
static int
tell(void *arg)
{
	struct bytes *bytes = arg;
	int i, r = 0;

	for (i = 1; i <= bytes->value && r == 0; i++)
		r = eddy_job_progress(bytes->number + i);
	return r;
}

static int
tell_and_stay(void *arg)
{
	int r = tell(arg);

	sem_post(&board->entered);
	wait_for(&board->leave);
	return r;
}

static int
tell_after(void *arg)
{
	sem_post(&board->entered);
	wait_for(&board->leave);
	return tell(arg);
}

static struct tale *
tale_init(int i, eddy_job_fn *fn, int reports)
{
	struct tale *tale = &tales[i];

	*tale = (struct tale){.bytes = {.value = reports}, .reports = reports};
	tale->long_job.job = (struct eddy_job)EDDY_JOB(fn, &tale->bytes);
	tale->long_job.job.flags = EDDY_JOB_LONG;
	tale->long_job.on_progress = on_progress;
	return tale;
}

static void
tale_submit(struct rig *rig, struct tale *tale)
{
	ck_assert_int_eq(
	    eddy_submit(rig->pool, &tale->long_job.job, rig->loop, on_tale), 0);
}

/* All that it had to tell was heard before its outcome. */
static void
expect_told(const struct tale *tale)
{
	const struct eddy_job *job = &tale->long_job.job;

	if (tale->answers != 1 || job->outcome != EDDY_RETURNED ||
	    job->result != 0 || tale->calls == 0 ||
	    tale->calls > tale->reports ||
	    tale->last != tale->from + tale->reports)
		ck_abort_msg("%d answers, outcome %d, result %d; %d calls of "
			     "%d, the last %lld",
		    tale->answers, job->outcome, job->result, tale->calls,
		    tale->reports, (long long)tale->last);
}

static void
check_told(enum where where)
{
	struct rig rig;
	int i;

	rig_open(&rig, where, 2, 0);
	for (i = 0; i < 8; i++)
		tale_submit(&rig, tale_init(i, tell, 1 + 100 * i));
	run(&rig);
	for (i = 0; i < 8; i++) {
		expect_told(&tales[i]);
		ck_assert(pthread_equal(tales[i].heard_in, pthread_self()));
	}
	rig_close(&rig);
}

START_TEST(the_last_report_comes_before_the_outcome)
{
	check_told(PROCESSES);
	check_told(THREADS);
}
END_TEST

/* Bells of the reports and of the end come close to each other. */
static void
check_last(enum where where, int rounds)
{
	struct rig rig;
	int i;

	rig_open(&rig, where, 1, 0);
	for (i = 0; i < rounds; i++) {
		tale_submit(&rig, tale_init(0, tell, 1 + i % 60));
		run(&rig);
		expect_told(&tales[0]);
	}
	rig_close(&rig);
}

START_TEST(the_last_report_is_not_lost_to_the_outcome)
{
	check_last(PROCESSES, SLOW ? 600 : 6000);
	check_last(THREADS, SLOW ? 600 : 6000);
}
END_TEST

static void
check_live(enum where where)
{
	struct tale *tale;
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	tale = tale_init(0, tell_and_stay, 5);
	tale_submit(&rig, tale);
	until(&rig, tale->last == 5);
	ck_assert_int_eq(tale->answers, 0);
	ck_assert_int_eq(tale->long_job.progress, 5);
	let_go(1);
	run(&rig);
	expect_told(tale);
	rig_close(&rig);
}

START_TEST(a_report_comes_while_the_job_runs)
{
	check_live(PROCESSES);
	check_live(THREADS);
}
END_TEST

START_TEST(many_reports_between_two_turns_are_few_calls)
{
	struct tale *tale;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	tale = tale_init(0, tell_after, 10000);
	tale_submit(&rig, tale);
	entered(&rig);
	let_go(1);
	while (stats_of(&rig).returned == 0)
		sched_yield();
	run(&rig); /* the loop turns only now */
	expect_told(tale);
	ck_assert_int_le(tale->calls, 2);
	rig_close(&rig);
}
END_TEST

/* Reports while the loop looks away; then it hears the latest only. */
static void
check_latest(enum where where)
{
	struct tale *tale;
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	tale = tale_init(0, tell_and_stay, 10000);
	tale_submit(&rig, tale);
	if (where == PROCESSES) /* a worker that is up takes it at once */
		until(&rig, stats_of(&rig).running == 1);
	else
		ck_assert_int_ge(eddy_loop_step(rig.loop, 0), 0);
	wait_for(&board->entered);
	tale->calls = 0;
	until(&rig, tale->last == 10000);
	step(&rig);
	ck_assert_int_le(tale->calls, 2);
	let_go(1);
	run(&rig);
	ck_assert_int_eq(tale->answers, 1);
	ck_assert_int_eq(tale->last, 10000);
	rig_close(&rig);
}

START_TEST(the_latest_report_is_heard)
{
	check_latest(PROCESSES);
	check_latest(THREADS);
}
END_TEST

static int story[2001];

/* Each line is written before its number is told. */
static int
write_story(void *arg)
{
	int i, r = 0;

	(void)arg;
	for (i = 1; i <= 2000 && r == 0; i++) {
		story[i] = 3 * i;
		r = eddy_job_progress(i);
	}
	return r;
}

START_TEST(what_was_written_before_a_report_is_seen)
{
	struct tale *tale;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	tale = tale_init(0, write_story, 2000);
	tale->log = story;
	tale_submit(&rig, tale);
	run(&rig);
	expect_told(tale);
	rig_close(&rig);
}
END_TEST

static void
check_awaited(enum where where)
{
	struct tale *tale;
	struct runner f;
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	tale = tale_init(0, tell_and_stay, 9);
	runner_start(&rig, &f, &tale->long_job.job);
	until(&rig, tale->last == 9);
	ck_assert_int_eq(f.rc, EDDY_PENDING);
	let_go(1);
	run(&rig);
	ck_assert_int_eq(f.rc, 0);
	ck_assert_int_eq(tale->last, 9);
	rig_close(&rig);
}

START_TEST(a_task_may_await_a_long_job)
{
	check_awaited(PROCESSES);
	check_awaited(THREADS);
}
END_TEST

/* Another loop in another thread. */
struct teller {
	struct rig rig;
	struct tale *tales;
	int n;
	uint32_t over;
};

static void *
run_tales(void *arg)
{
	struct teller *teller = arg;
	int i;

	teller->rig.loop = census_loop();
	for (i = 0; i < teller->n; i++)
		tale_submit(&teller->rig, &teller->tales[i]);
	run(&teller->rig);
	for (i = 0; i < teller->n; i++) {
		expect_told(&teller->tales[i]);
		ck_assert(
		    pthread_equal(teller->tales[i].heard_in, pthread_self()));
	}
	ck_assert_int_eq(eddy_loop_close(teller->rig.loop), 0);
	A_RELEASE(&teller->over, 1);
	return NULL;
}

static void
check_other_loops(enum where where)
{
	struct teller tellers[2];
	pthread_t threads[2];
	struct rig rig;
	int i, k;

	rig_open(&rig, where, 2, 0);
	for (i = 0; i < 2; i++) {
		tellers[i] = (struct teller){rig, &tales[8 * i], 8, 0};
		for (k = 0; k < 8; k++)
			tale_init(8 * i + k, tell, 1 + 300 * k);
		start_thread(&threads[i], run_tales, &tellers[i]);
	}
	until(&rig, A_ACQUIRE(&tellers[0].over) && A_ACQUIRE(&tellers[1].over));
	for (i = 0; i < 2; i++)
		join(threads[i]);
	rig_close(&rig);
}

START_TEST(progress_is_heard_on_the_loop_of_the_job)
{
	check_other_loops(PROCESSES);
	check_other_loops(THREADS);
}
END_TEST

static void
check_again(enum where where, int rounds)
{
	struct tale *tale;
	struct rig rig;
	int i;

	rig_open(&rig, where, 1, 0);
	tale = tale_init(0, tell, 3);
	for (i = 0; i < rounds; i++) {
		tale->from = tale->bytes.number = 10 * i;
		tale->last = 10 * i + 1; /* nothing of the last time */
		tale->calls = tale->answers = 0;
		tale_submit(&rig, tale);
		run(&rig);
		expect_told(tale);
	}
	rig_close(&rig);
}

START_TEST(a_long_job_may_be_submitted_again)
{
	check_again(PROCESSES, SLOW ? 500 : 5000);
	check_again(THREADS, SLOW ? 2000 : 20000);
}
END_TEST

/* In its own callback. */
static void
on_tale_again(struct eddy_loop *loop, struct eddy_job *job)
{
	struct tale *tale = (struct tale *)job;

	ck_assert_int_eq(tale->last, tale->from + tale->reports);
	tale->bytes.number += 10;
	tale->from = tale->bytes.number;
	tale->last = tale->bytes.number + 1;
	if (tale->bytes.number < 5000)
		ck_assert_int_eq(
		    eddy_submit(job->executor, job, loop, on_tale_again), 0);
}

START_TEST(a_long_job_may_be_submitted_in_its_callback)
{
	struct tale *tale;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	tale = tale_init(0, tell, 2);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &tale->long_job.job, rig.loop, on_tale_again),
	    0);
	run(&rig);
	ck_assert_int_eq(tale->bytes.number, 5000);
	rig_close(&rig);
}
END_TEST

/* Who may not report. */

static int
report_five(void *arg)
{
	(void)arg;
	return eddy_job_progress(5);
}

static void
check_plain(enum where where)
{
	struct rig rig;
	int i;

	rig_open(&rig, where, 1, 0);
	/* Whether before or after one that may. */
	for (i = 0; i < 3; i++) {
		tale_submit(&rig, tale_init(0, tell, 2));
		start(&rig, i, 1, report_five, 0);
		run(&rig);
		expect_told(&tales[0]);
		ck_assert_int_eq(calls[i].job.outcome, EDDY_RETURNED);
		ck_assert_int_eq(calls[i].job.result, -EINVAL);
	}
	rig_close(&rig);
}

START_TEST(a_plain_job_has_no_progress)
{
	check_plain(PROCESSES);
	check_plain(THREADS);
}
END_TEST

START_TEST(outside_of_jobs_there_is_no_progress)
{
	ck_assert_int_eq(eddy_job_progress(1), -EINVAL);
}
END_TEST

/* Not without a loop: refused, or its reports are. */
START_TEST(without_a_loop_there_is_no_progress)
{
	struct tale *tale;
	struct rig rig;
	int r;

	rig_open(&rig, THREADS, 1, 0);
	tale = tale_init(0, report_five, 1);
	r = eddy_submit(rig.pool, &tale->long_job.job, NULL, NULL);
	if (r == 0)
		r = eddy_job_wait(&tale->long_job.job, EDDY_FOREVER);
	ck_assert_int_eq(r, -EINVAL);
	ck_assert_int_eq(tale->calls, 0);
	rig_close(&rig);
}
END_TEST

/* In another thread, since home must run. */
static void *
wait_without_loop(void *arg)
{
	struct teller *teller = arg;
	struct eddy_job *job = &teller->tales->long_job.job;

	teller->n = eddy_submit(teller->rig.pool, job, NULL, NULL);
	if (teller->n == 0)
		teller->n = eddy_job_wait(job, EDDY_FOREVER);
	A_RELEASE(&teller->over, 1);
	return NULL;
}

START_TEST(without_a_loop_a_process_has_no_progress_either)
{
	struct teller teller;
	pthread_t thread;
	struct rig rig;

	rig_open(&rig, PROCESSES, 1, 0);
	teller = (struct teller){
	    .rig = rig, .tales = tale_init(0, report_five, 1)};
	start_thread(&thread, wait_without_loop, &teller);
	until(&rig, A_ACQUIRE(&teller.over));
	join(thread);
	ck_assert_int_eq(teller.n, -EINVAL);
	ck_assert_int_eq(tales[0].calls, 0);
	rig_close(&rig);
}
END_TEST

/* Ends of long jobs other than a return. */

static void
check_no_word(enum where where)
{
	struct tale *tale;
	struct rig rig;

	rig_open(&rig, where, 1, 0);
	occupy(&rig, 0);
	tale = tale_init(0, tell, 3);
	tale_submit(&rig, tale);
	ck_assert_int_eq(eddy_job_cancel(&tale->long_job.job), 0);
	until(&rig, tale->answers != 0);
	ck_assert_int_eq(tale->long_job.job.outcome, EDDY_CANCELLED);
	let_go(1);
	run(&rig);
	ck_assert_int_eq(tale->calls, 0);
	ck_assert_int_eq(tale->answers, 1);
	rig_close(&rig);
}

START_TEST(a_long_job_that_never_ran_reports_nothing)
{
	check_no_word(PROCESSES);
	check_no_word(THREADS);
}
END_TEST

static int
tell_and_crash(void *arg)
{
	tell(arg);
	return raise(SIGKILL);
}

static int
tell_for_ever(void *arg)
{
	int64_t i;

	sem_post(&board->entered);
	for (i = 0; !eddy_job_stop_requested(); i++)
		(void)eddy_job_progress(i % ((struct bytes *)arg)->value);
	return 0;
}

START_TEST(a_worker_that_dies_reports_nothing_after_its_outcome)
{
	struct tale *tale;
	struct rig rig;
	int i;

	rig_open(&rig, PROCESSES, 1, 0);
	for (i = 0; i < 20; i++) {
		tale = tale_init(0, tell_and_crash, 1 + i);
		tale_submit(&rig, tale);
		run(&rig);
		ck_assert_int_eq(tale->long_job.job.outcome, EDDY_CRASHED);
		ck_assert_int_eq(tale->answers, 1);
	}
	rig_close(&rig);
}
END_TEST

/* For a job whose values go up and down. */
static void
on_any_progress(struct eddy_loop *loop, struct eddy_long_job *long_job)
{
	struct tale *tale = (struct tale *)long_job;

	(void)loop;
	ck_assert_int_eq(tale->answers, 0);
	tale->calls++;
}

static void
check_talkative(enum where where)
{
	struct tale *tale;
	struct rig rig;
	int i;

	rig_open(&rig, where, 1, 0);
	for (i = 0; i < (SLOW ? 10 : 50); i++) {
		tale = tale_init(0, tell_for_ever, 1000);
		tale->long_job.on_progress = on_any_progress;
		tale_submit(&rig, tale);
		entered(&rig);
		until(&rig, tale->calls > i % 5);
		/* It may see that before the call returns, and be over. */
		(void)eddy_job_cancel(&tale->long_job.job);
		run(&rig);
		ck_assert_int_eq(tale->answers, 1);
		ck_assert_int_eq(tale->long_job.job.outcome,
		    where == THREADS ? EDDY_RETURNED : EDDY_CANCELLED);
	}
	rig_close(&rig);
}

START_TEST(a_job_that_reports_all_the_time_can_be_stopped)
{
	check_talkative(PROCESSES);
	check_talkative(THREADS);
}
END_TEST

START_TEST(a_long_job_may_go_through_a_strand)
{
	struct rig rig, strand;
	int i;

	rig_open(&rig, THREADS, 2, 0);
	strand = rig;
	ck_assert_int_eq(eddy_strand_open(&strand.pool, rig.pool, 0), 0);
	for (i = 0; i < 4; i++)
		tale_submit(&strand, tale_init(i, tell, 10 + i));
	run(&rig);
	for (i = 0; i < 4; i++)
		expect_told(&tales[i]);
	ck_assert_int_eq(eddy_executor_close(strand.pool, EDDY_FOREVER), 0);
	rig_close(&rig);
}
END_TEST

/* Hooks.  Much of eddy_job_on_stop is in check_run_on.c. */

/* A connection in the manner of sqlite3_interrupt: one of each worker. */
struct connection {
	int interrupted; /* any thread: the number of the query that was */
};

static struct connection connection;

struct query {
	struct eddy_job job; /* first */
	struct connection *on;
	int number, spins;
	uint32_t stops; /* any thread */
	int foreign;    /* interrupts that were for another */
	bool take_away, waits;
};

static void
interrupt(void *arg)
{
	struct query *query = arg;

	A_ADD(&query->stops, 1);
	A_RELEASE(&query->on->interrupted, query->number);
}

static int
interrupted(struct query *query)
{
	int number = A_ACQUIRE(&query->on->interrupted);

	query->foreign += number != 0 && number != query->number;
	return number;
}

static int
ask(void *arg)
{
	struct query *query = arg;
	int i, r;

	if (query->take_away) /* whoever was before has tidied up */
		query->foreign += A_LOAD(&query->on->interrupted) != 0;
	else
		A_STORE(&query->on->interrupted, 0);
	r = eddy_job_on_stop(interrupt, query);
	if (query->waits) {
		sem_post(&board->entered);
		wait_for(&board->leave);
	}
	for (i = 0; r == 0 && i < query->spins; i++)
		if (interrupted(query) != 0)
			r = -EINTR;
	if (query->take_away) {
		eddy_job_on_stop(NULL, NULL);
		A_STORE(&query->on->interrupted, 0);
	}
	return r;
}

static void
on_query(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	(void)job;
}

/* Each query is cancelled about when it ends, with another behind it. */
static void
check_interrupts(bool take_away)
{
	enum { TRIES = SLOW ? 1000 : 10000 };
	struct query queries[2];
	uint32_t stops = 0;
	unsigned seed = 11;
	struct rig rig;
	int i, k, pause;

	connection = (struct connection){0};
	rig_open(&rig, THREADS, 1, 0);
	for (i = 1; i <= TRIES; i++) {
		for (k = 0; k < 2; k++) {
			queries[k] = (struct query){.job = {.fn = ask},
			    .on = &connection,
			    .number = 2 * i + k,
			    .spins = rand_r(&seed) % 2000,
			    .take_away = take_away,
			    .waits = k == 0};
			queries[k].job.arg = &queries[k];
			ck_assert_int_eq(eddy_submit(rig.pool, &queries[k].job,
					     rig.loop, on_query),
			    0);
		}
		wait_for(&board->entered);
		let_go(1);
		for (pause = rand_r(&seed) % 60000; pause > 0; pause--)
			__asm__ volatile("");
		(void)eddy_job_cancel(&queries[0].job);
		run(&rig);
		if (queries[0].foreign + queries[1].foreign != 0 ||
		    queries[0].stops > 1 || queries[1].stops != 0 ||
		    queries[1].job.result != 0)
			ck_abort_msg("query %d saw an interrupt of another",
			    queries[0].number);
		stops += queries[0].stops;
	}
	ck_assert_uint_gt(stops, 0);
	rig_close(&rig);
}

START_TEST(no_job_is_interrupted_for_the_one_before)
{
	check_interrupts(true);
	check_interrupts(false);
}
END_TEST

static uint32_t hooks; /* any thread */

static void
count_hook(void *arg)
{
	(void)arg;
	A_ADD(&hooks, 1);
}

static int
stay_hooked(void *arg)
{
	int r = eddy_job_on_stop(count_hook, NULL);

	sem_post(&board->entered);
	wait_for(&board->leave);
	note(arg);
	return r;
}

START_TEST(an_abandoned_job_is_stopped_by_its_hook)
{
	struct owner f;
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	owner_start(&rig, &f, stay_hooked);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	run(&rig);
	expect_gone(&f, -ECANCELED);
	ck_assert_uint_eq(A_LOAD(&hooks), 1);
	let_go(1);
	await_drops(1);
	rig_close(&rig);
	ck_assert_uint_eq(A_LOAD(&hooks), 1);
}
END_TEST

START_TEST(the_elements_of_a_failed_map_are_stopped_by_their_hooks)
{
	struct mapper f;
	struct rig rig;

	rig_open(&rig, THREADS, 3, 0);
	map_start(&rig, &f, stay_hooked, 9, 3);
	entered(&rig);
	entered(&rig);
	entered(&rig);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	step(&rig);
	ck_assert_uint_eq(A_LOAD(&hooks), 3);
	let_go(3);
	run(&rig);
	ck_assert_int_eq(f.rc, -ECANCELED);
	rig_close(&rig);
	ck_assert_uint_eq(A_LOAD(&hooks), 3);
}
END_TEST

START_TEST(the_hook_of_a_job_on_a_strand_is_called)
{
	struct rig rig, strand;

	rig_open(&rig, THREADS, 1, 0);
	strand = rig;
	ck_assert_int_eq(eddy_strand_open(&strand.pool, rig.pool, 0), 0);
	start(&strand, 0, 2, stay_hooked, 0);
	entered(&rig);
	ck_assert_int_eq(eddy_job_cancel(&calls[0].job), 0);
	ck_assert_uint_eq(A_LOAD(&hooks), 1);
	let_go(2);
	run(&rig);
	expect(0, 2, EDDY_RETURNED);
	ck_assert_uint_eq(A_LOAD(&hooks), 1);
	ck_assert_int_eq(eddy_executor_close(strand.pool, EDDY_FOREVER), 0);
	rig_close(&rig);
}
END_TEST

static int
hook_in_process(void *arg)
{
	note(arg);
	return eddy_job_on_stop(count_hook, NULL);
}

START_TEST(a_process_has_no_hooks)
{
	struct rig rig;

	rig_open(&rig, PROCESSES, 1, 0);
	start(&rig, 0, 1, hook_in_process, 0);
	run(&rig);
	expect(0, 1, EDDY_RETURNED);
	ck_assert_int_eq(calls[0].job.result, -EINVAL);
	rig_close(&rig);
}
END_TEST

/* Signals for jobs that block. */

enum {
	CROWD = 32,                  /* jobs at a time */
	READS = SLOW ? 1024 : 10016, /* of them in all: 10,000 */
	NAPS = SLOW ? 1000 : 5000,
	PATIENCE = 50 * (SLOW ? 4 : 1), /* ms from cancel to the end */
};

static int quiet[2]; /* a pipe in which nothing is written */

/* A job that reads from it. */
static struct reader {
	struct eddy_job job; /* first */
	int64_t asked, over; /* ns */
	bool heard;
	int hint; /* us of a nap */
} readers[CROWD];

static int
read_quiet(void *arg)
{
	struct reader *reader = arg;
	ssize_t n;
	char c;

	n = read(quiet[0], &c, 1);
	reader->over = eddy_now();
	return n < 0 ? -errno : (int)n;
}

static int
enter_and_read(void *arg)
{
	sem_post(&board->entered);
	return read_quiet(arg);
}

/* Blocks only after it was asked to stop. */
static int
ask_and_read(void *arg)
{
	sem_post(&board->entered);
	while (!eddy_job_stop_requested())
		sched_yield();
	return read_quiet(arg);
}

static void
on_reader(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct reader *)job)->heard = true;
}

static void
quiet_open(void)
{
	ck_assert_int_eq(pipe2(quiet, O_CLOEXEC), 0);
}

static void
quiet_close(void)
{
	close(quiet[0]);
	close(quiet[1]);
}

static void
interrupting_rig(struct rig *rig, unsigned workers)
{
	struct eddy_thread_pool_options options = {
	    .workers_max = workers, .interrupt_signal = SIGRTMIN + 1};

	wipe();
	*rig = (struct rig){THREADS, census_loop(), NULL};
	ck_assert_int_eq(eddy_thread_pool_open(&rig->pool, &options), 0);
	quiet_open();
}

static void
interrupting_close(struct rig *rig)
{
	rig_close(rig);
	quiet_close();
}

/* Between a worker's look whether a job must stop and its hook. */
/* link: -Wl,--wrap=eddy__job_interrupt */
int __real_eddy__job_interrupt(void (*fn)(void *), void *worker);
int __wrap_eddy__job_interrupt(void (*fn)(void *), void *worker);
static struct eddy_job *cancelled_there;

int
__wrap_eddy__job_interrupt(void (*fn)(void *), void *worker)
{
	if (cancelled_there != NULL)
		(void)eddy_job_cancel(cancelled_there);
	return __real_eddy__job_interrupt(fn, worker);
}

static struct reader *
reader_start(struct rig *rig, int i, eddy_job_fn *fn, unsigned flags)
{
	struct reader *reader = &readers[i];

	reader->job = (struct eddy_job)EDDY_JOB(fn, reader);
	reader->job.flags = (uint8_t)flags;
	reader->heard = false;
	ck_assert_int_eq(
	    eddy_submit(rig->pool, &reader->job, rig->loop, on_reader), 0);
	return reader;
}

/* ns; more where the whole suite is given more time. */
static int64_t
patience(void)
{
	const char *times = getenv("CK_TIMEOUT_MULTIPLIER");

	return EDDY_MS(PATIENCE) * (times != NULL ? atoi(times) : 1);
}

/* A crowd of readers, cancelled; how many were late. */
static int
interrupt_crowd(struct rig *rig, eddy_job_fn *fn, bool at_once)
{
	int i, late = 0;

	for (i = 0; i < CROWD; i++) {
		reader_start(rig, i, fn, EDDY_JOB_INTERRUPT);
		if (at_once) {
			wait_for(&board->entered);
			readers[i].asked = eddy_now();
			(void)eddy_job_cancel(&readers[i].job);
		}
	}
	for (i = 0; i < CROWD && !at_once; i++)
		wait_for(&board->entered);
	for (i = 0; i < CROWD && !at_once; i++) {
		readers[i].asked = eddy_now();
		(void)eddy_job_cancel(&readers[i].job);
	}
	run(rig);
	for (i = 0; i < CROWD; i++) {
		struct reader *reader = &readers[i];

		if (reader->job.outcome != EDDY_RETURNED ||
		    reader->job.result != -EINTR)
			ck_abort_msg("reader %d: outcome %d, result %d", i,
			    reader->job.outcome, reader->job.result);
		late += reader->over - reader->asked > patience();
	}
	return late;
}

START_TEST(a_read_is_interrupted_each_time)
{
	int i, late = 0;
	struct rig rig;

	interrupting_rig(&rig, CROWD);
	for (i = 0; i < READS / CROWD; i++)
		late += interrupt_crowd(&rig, enter_and_read, false);
	ck_assert_int_eq(late, 0);
	interrupting_close(&rig);
}
END_TEST

START_TEST(a_read_that_is_about_to_begin_is_interrupted_each_time)
{
	int i, late = 0;
	struct rig rig;

	interrupting_rig(&rig, CROWD);
	for (i = 0; i < READS / CROWD / 4; i++) {
		late += interrupt_crowd(&rig, enter_and_read, true);
		late += interrupt_crowd(&rig, ask_and_read, i % 2 == 0);
	}
	ck_assert_int_eq(late, 0);
	interrupting_close(&rig);
}
END_TEST

/* Reads again and again until it has been interrupted so many times. */
static int
read_thrice(void *arg)
{
	int i, r = 0;

	sem_post(&board->entered);
	for (i = 0; i < 3; i++) {
		r = read_quiet(arg);
		if (r != -EINTR)
			return r;
	}
	return r;
}

/* The outcome came of the cancel, so it did not come first. */
START_TEST(a_cancel_that_ends_a_job_answers_0)
{
	struct rig rig;
	int i;

	interrupting_rig(&rig, 1);
	for (i = 0; i < READS / 10; i++) {
		reader_start(&rig, 0, enter_and_read, EDDY_JOB_INTERRUPT);
		wait_for(&board->entered);
		ck_assert_int_eq(eddy_job_cancel(&readers[0].job), 0);
		run(&rig);
		ck_assert_int_eq(readers[0].job.result, -EINTR);
	}
	interrupting_close(&rig);
}
END_TEST

START_TEST(the_signal_repeats_until_the_job_has_left)
{
	struct rig rig;

	interrupting_rig(&rig, 1);
	reader_start(&rig, 0, read_thrice, EDDY_JOB_INTERRUPT);
	wait_for(&board->entered);
	(void)eddy_job_cancel(&readers[0].job);
	run(&rig);
	ck_assert_int_eq(readers[0].job.result, -EINTR);
	interrupting_close(&rig);
}
END_TEST

/* A short sleep: 0, or -EINTR. */
static int
nap(void *arg)
{
	struct timespec us = {.tv_nsec = 1000 * ((struct reader *)arg)->hint};

	return nanosleep(&us, NULL) < 0 ? -errno : 0;
}

/* One that is cancelled about when it ends, then one that is not. */
static void
check_next(unsigned flags)
{
	unsigned seed = 9;
	struct rig rig;
	int i, pause, interrupted = 0;

	interrupting_rig(&rig, 1);
	for (i = 0; i < NAPS; i++) {
		readers[0].hint = rand_r(&seed) % 60;
		readers[1].hint = 100;
		reader_start(&rig, 0, nap, EDDY_JOB_INTERRUPT);
		reader_start(&rig, 1, nap, flags);
		for (pause = rand_r(&seed) % 40000; pause > 0; pause--)
			__asm__ volatile("");
		(void)eddy_job_cancel(&readers[0].job);
		run(&rig);
		if (readers[1].job.result != 0)
			ck_abort_msg("nap %d: %d", i, readers[1].job.result);
		interrupted += readers[0].job.outcome == EDDY_RETURNED &&
		               readers[0].job.result == -EINTR;
	}
	ck_assert_int_gt(interrupted, 0);
	interrupting_close(&rig);
}

START_TEST(the_next_job_is_never_interrupted)
{
	check_next(0);
	check_next(EDDY_JOB_INTERRUPT);
}
END_TEST

/* Long enough for many signals. */
static int
nap_when_asked(void *arg)
{
	sem_post(&board->entered);
	while (!eddy_job_stop_requested())
		sched_yield();
	return nap(arg);
}

static void
check_uninterrupted(struct rig *rig, unsigned flags)
{
	readers[0].hint = 20000;
	reader_start(rig, 0, nap_when_asked, flags);
	wait_for(&board->entered);
	(void)eddy_job_cancel(&readers[0].job);
	run(rig);
	ck_assert_int_eq(readers[0].job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(readers[0].job.result, 0);
}

START_TEST(a_job_that_did_not_ask_for_it_is_not_interrupted)
{
	struct rig rig;

	interrupting_rig(&rig, 1);
	check_uninterrupted(&rig, 0);
	interrupting_close(&rig);
}
END_TEST

START_TEST(a_pool_without_a_signal_interrupts_nobody)
{
	struct rig rig;

	rig_open(&rig, THREADS, 1, 0);
	check_uninterrupted(&rig, EDDY_JOB_INTERRUPT);
	rig_close(&rig);
}
END_TEST

START_TEST(a_job_that_nobody_cancels_is_not_interrupted)
{
	struct rig rig;

	interrupting_rig(&rig, 1);
	readers[0].hint = 20000;
	reader_start(&rig, 0, nap, EDDY_JOB_INTERRUPT);
	run(&rig);
	ck_assert_int_eq(readers[0].job.result, 0);
	interrupting_close(&rig);
}
END_TEST

/* With a hook of its own the job is asked in both ways. */
static int
hook_and_read(void *arg)
{
	int r = eddy_job_on_stop(count_hook, NULL);

	return r < 0 ? r : enter_and_read(arg);
}

/* One that would wait for ever otherwise is fed, and fails the test. */
static void
feed(struct rig *rig, struct reader *reader)
{
	int64_t deadline = eddy_after(EDDY_S(2));

	until(rig, reader->heard || eddy_now() > deadline);
	if (!reader->heard)
		ck_assert_int_eq(write(quiet[1], "", 1), 1);
	run(rig);
}

START_TEST(a_job_with_a_hook_is_interrupted_too)
{
	struct rig rig;

	interrupting_rig(&rig, 1);
	reader_start(&rig, 0, hook_and_read, EDDY_JOB_INTERRUPT);
	wait_for(&board->entered);
	(void)eddy_job_cancel(&readers[0].job);
	feed(&rig, &readers[0]);
	ck_assert_uint_eq(A_LOAD(&hooks), 1);
	ck_assert_int_eq(readers[0].job.result, -EINTR);
	interrupting_close(&rig);
}
END_TEST

START_TEST(a_cancel_just_before_the_hook_is_not_lost)
{
	struct rig rig;

	interrupting_rig(&rig, 1);
	cancelled_there = &readers[0].job;
	reader_start(&rig, 0, read_quiet, EDDY_JOB_INTERRUPT);
	run(&rig);
	ck_assert_int_eq(readers[0].job.outcome, EDDY_CANCELLED);
	interrupting_close(&rig);
}
END_TEST

static int
unhook_and_read(void *arg)
{
	int r = eddy_job_on_stop(count_hook, NULL);

	if (r == 0)
		r = eddy_job_on_stop(NULL, NULL);
	return r < 0 ? r : enter_and_read(arg);
}

START_TEST(a_job_that_takes_its_hook_away_is_interrupted)
{
	struct rig rig;

	interrupting_rig(&rig, 1);
	reader_start(&rig, 0, unhook_and_read, EDDY_JOB_INTERRUPT);
	wait_for(&board->entered);
	(void)eddy_job_cancel(&readers[0].job);
	feed(&rig, &readers[0]);
	ck_assert_uint_eq(A_LOAD(&hooks), 0);
	ck_assert_int_eq(readers[0].job.result, -EINTR);
	interrupting_close(&rig);
}
END_TEST

/* As tasks see it. */
START_TEST(a_timeout_interrupts)
{
	struct runner f;
	struct rig rig;

	interrupting_rig(&rig, 1);
	readers[0].job = (struct eddy_job)EDDY_JOB(read_quiet, &readers[0]);
	readers[0].job.flags = EDDY_JOB_INTERRUPT;
	(void)EDDY_INIT(&f, runner, .pool = rig.pool, .job = &readers[0].job,
	    .timeout = EDDY_MS(5));
	spawn(&rig, &f.task);
	run(&rig);
	/* Its own result wins; or it never ran. */
	ck_assert(f.rc == -EINTR || f.rc == -ETIME);
	interrupting_close(&rig);
}
END_TEST

START_TEST(a_job_on_a_strand_is_interrupted)
{
	struct rig rig, strand;

	interrupting_rig(&rig, 2);
	strand = rig;
	ck_assert_int_eq(eddy_strand_open(&strand.pool, rig.pool, 0), 0);
	reader_start(&strand, 0, enter_and_read, EDDY_JOB_INTERRUPT);
	wait_for(&board->entered);
	(void)eddy_job_cancel(&readers[0].job);
	run(&rig);
	ck_assert_int_eq(readers[0].job.result, -EINTR);
	ck_assert_int_eq(eddy_executor_close(strand.pool, EDDY_FOREVER), 0);
	interrupting_close(&rig);
}
END_TEST

START_TEST(only_a_real_time_signal_interrupts)
{
	int i, signals[] = {-1, 1, SIGUSR1, SIGRTMIN - 1, SIGRTMAX + 1};
	struct eddy_executor *pool = NULL;

	for (i = 0; i < (int)COUNT_OF(signals); i++) {
		struct eddy_thread_pool_options options = {
		    .interrupt_signal = signals[i]};

		ck_assert_int_eq(
		    eddy_thread_pool_open(&pool, &options), -EINVAL);
		ck_assert_ptr_null(pool);
	}
	for (i = 0; i < 2; i++) {
		struct eddy_thread_pool_options options = {
		    .interrupt_signal = i == 0 ? SIGRTMIN : SIGRTMAX};

		ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
		ck_assert_int_eq(eddy_executor_close(pool, 0), 0);
	}
}
END_TEST

/* MAIN */
static TCase *
on_board(Suite *suite, const char *name, double timeout)
{
	TCase *tcase = census_case(suite, name, timeout);

	tcase_add_checked_fixture(tcase, begin, end);
	return tcase;
}

int
main(void)
{
	Suite *suite = suite_create("jobs");

	census_add(on_board(suite, "urgent", 8), urgent_jobs_go_before_others,
	    one_job_in_eight_is_not_urgent,
	    a_stream_of_urgent_jobs_starves_nobody,
	    urgent_jobs_go_before_those_that_a_worker_has_taken,
	    urgent_jobs_that_a_worker_has_taken_leave_others_their_share,
	    at_most_what_a_worker_process_holds_goes_before_urgent_jobs,
	    urgent_jobs_of_a_turn_go_before_its_others,
	    an_urgent_job_of_a_turn_may_be_cancelled_in_it,
	    an_urgent_job_may_be_cancelled_and_may_expire,
	    close_cancels_urgent_jobs_too, an_urgent_job_waits_for_room_as_any,
	    an_urgent_job_that_will_not_wait_is_told,
	    the_order_of_a_strand_goes_before_urgency,
	    jobs_of_both_lanes_have_one_outcome);
	census_add(on_board(suite, "maps", 8), a_map_runs_each_element_once,
	    a_map_may_be_smaller_than_its_limit, a_map_waits_for_room,
	    a_map_runs_on_the_executor_of_the_loop, a_map_of_nothing_is_done,
	    a_map_checks_its_arguments, a_map_runs_so_many_at_a_time,
	    a_pool_may_be_closed_between_two_jobs_of_a_map,
	    the_first_failure_ends_a_map, a_failed_map_awaits_those_that_run,
	    a_failed_map_asks_those_that_run_to_stop, a_crash_ends_a_map,
	    a_cancelled_map_awaits_its_threads,
	    a_cancelled_map_ends_its_processes,
	    a_cancelled_map_takes_back_what_waits, a_map_may_time_out,
	    a_timeout_that_a_map_does_not_need_is_nothing,
	    a_cancel_that_comes_after_the_last_element_is_late,
	    a_cancelled_task_maps_nothing, close_ends_a_map,
	    without_memory_a_map_is_enomem, a_map_with_room_needs_memory_once,
	    maps_share_a_pool, a_map_may_lose_a_race,
	    a_map_may_be_given_up_at_any_time);
	census_add(on_board(suite, "owned", 40),
	    a_result_leaves_the_bytes_with_the_caller,
	    a_cancelled_owner_returns_at_once_and_the_worker_drops,
	    a_timeout_of_an_owner_returns_at_once_and_the_worker_drops,
	    an_abandoned_job_is_asked_to_stop, many_abandoned_jobs_are_counted,
	    an_owned_job_that_is_queued_is_taken_back,
	    an_owned_job_waits_for_room_as_any,
	    an_owner_that_is_cancelled_before_hands_nothing_over,
	    what_is_refused_stays_with_the_caller,
	    what_a_pool_refuses_stays_with_the_caller,
	    a_crash_leaves_the_bytes_with_the_caller,
	    an_owned_job_in_a_process_is_killed_and_dropped,
	    a_pool_of_processes_may_close_with_abandoned_jobs,
	    a_loop_may_go_while_an_abandoned_job_runs,
	    a_run_may_end_while_an_abandoned_job_runs,
	    a_strand_goes_on_after_its_abandoned_job,
	    an_owned_job_in_the_line_of_a_strand_is_taken_back,
	    a_race_does_not_wait_for_an_owned_job,
	    close_gives_up_on_abandoned_jobs_in_time,
	    close_awaits_abandoned_jobs, close_answers_an_owner,
	    bytes_have_one_owner_whoever_is_first,
	    a_job_may_be_cancelled_after_its_pool_was_given_up,
	    no_more_jobs_are_abandoned_than_there_are);
	census_add(on_board(suite, "progress", 12),
	    the_last_report_comes_before_the_outcome,
	    the_last_report_is_not_lost_to_the_outcome,
	    a_report_comes_while_the_job_runs,
	    many_reports_between_two_turns_are_few_calls,
	    the_latest_report_is_heard,
	    what_was_written_before_a_report_is_seen,
	    a_task_may_await_a_long_job,
	    progress_is_heard_on_the_loop_of_the_job,
	    a_long_job_may_be_submitted_again,
	    a_long_job_may_be_submitted_in_its_callback,
	    a_plain_job_has_no_progress, outside_of_jobs_there_is_no_progress,
	    without_a_loop_there_is_no_progress,
	    without_a_loop_a_process_has_no_progress_either,
	    a_long_job_that_never_ran_reports_nothing,
	    a_worker_that_dies_reports_nothing_after_its_outcome,
	    a_job_that_reports_all_the_time_can_be_stopped,
	    a_long_job_may_go_through_a_strand);
	census_add(on_board(suite, "stops", 60),
	    no_job_is_interrupted_for_the_one_before,
	    an_abandoned_job_is_stopped_by_its_hook,
	    the_elements_of_a_failed_map_are_stopped_by_their_hooks,
	    the_hook_of_a_job_on_a_strand_is_called, a_process_has_no_hooks);
	census_add(on_board(suite, "interrupts", 30),
	    a_read_is_interrupted_each_time,
	    a_read_that_is_about_to_begin_is_interrupted_each_time,
	    a_cancel_that_ends_a_job_answers_0,
	    the_signal_repeats_until_the_job_has_left,
	    the_next_job_is_never_interrupted,
	    a_cancel_just_before_the_hook_is_not_lost,
	    a_job_that_did_not_ask_for_it_is_not_interrupted,
	    a_pool_without_a_signal_interrupts_nobody,
	    a_job_that_nobody_cancels_is_not_interrupted,
	    a_job_with_a_hook_is_interrupted_too,
	    a_job_that_takes_its_hook_away_is_interrupted, a_timeout_interrupts,
	    a_job_on_a_strand_is_interrupted,
	    only_a_real_time_signal_interrupts);
	return suite_main(suite);
}
