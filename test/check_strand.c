/* SPDX-License-Identifier: ISC */
/*
 * strand: one job at a time on somebody else's workers; and the two ways to
 * end any executor, drain and close.  All allocations are counted.
 */
/* link: -Wl,--wrap=eddy__alloc,--wrap=eddy__realloc,--wrap=eddy__free */
/* link: -Wl,--wrap=eddy__job_call_stop,--wrap=eddy__job_leave */
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/process_pool.h>
#include <eddy/strand.h>
#include <eddy/sync.h>
#include <eddy/thread_pool.h>

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "census.h"
#include "counted.h"
#include "threads.h"

enum { SLOW = CENSUS_TSAN || CENSUS_ASAN };

/* What the tests, their threads and their worker processes share. */
static struct board {
	sem_t entered, leave; /* of jobs that stay until they are let go */
	uint32_t current;     /* the number of who was the last to begin */
	uint32_t last;        /* and to end */
	uint32_t begun;
	uint32_t seen; /* a stop, by a job */
} * board;

static void
board_open(void)
{
	board = census_share(sizeof(*board));
	sem_init(&board->entered, 1, 0);
	sem_init(&board->leave, 1, 0);
}

static void
board_close(void)
{
	munmap(board, sizeof(*board));
}

static void
turn(struct eddy_loop *loop)
{
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

/* A turn that may wait, but not for ever: what is waited for may come by
 * another way than the loop. */
static void
wait_turn(struct eddy_loop *loop)
{
	if (loop == NULL || eddy_loop_step(loop, EDDY_MS(1)) == 0)
		sched_yield();
}

/* Jobs. */

struct work {
	struct eddy_job job; /* first */
	struct bytes {
		int value; /* what it returns */
		int runs;
		pthread_t ran_in;
	} bytes;
	int outcomes, order;
	pthread_t heard_in;
	struct eddy_loop *heard_on;
};

static int heard; /* outcomes of works, by the main thread */

static int
quick(void *arg)
{
	struct bytes *bytes = arg;

	A_ADD(&board->begun, 1);
	bytes->runs++;
	bytes->ran_in = pthread_self();
	return bytes->value;
}

static int
stay(void *arg)
{
	sem_post(&board->entered);
	while (sem_wait(&board->leave) < 0)
		;
	return quick(arg);
}

/* Until it is asked to stop. */
static int
patient(void *arg)
{
	sem_post(&board->entered);
	while (!eddy_job_stop_requested())
		sched_yield();
	return quick(arg);
}

/* Notes whether it was asked to stop. */
static int
look(void *arg)
{
	A_ADD(&board->seen, eddy_job_stop_requested());
	return quick(arg);
}

static void
on_work(struct eddy_loop *loop, struct eddy_job *job)
{
	struct work *work = (struct work *)job;

	work->outcomes++;
	work->order = heard++;
	work->heard_in = pthread_self();
	work->heard_on = loop;
}

/* For a job that is no work. */
static void
on_other(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	(void)job;
}

static struct work *
work_init(struct work *work, eddy_job_fn *fn, int value)
{
	*work = (struct work){.bytes = {.value = value}};
	work->job = (struct eddy_job)EDDY_JOB(fn, &work->bytes);
	return work;
}

static int
try_submit(
    struct eddy_executor *executor, struct work *work, struct eddy_loop *loop)
{
	return eddy_submit(
	    executor, &work->job, loop, loop != NULL ? on_work : NULL);
}

static void
submit(
    struct eddy_executor *executor, struct work *work, struct eddy_loop *loop)
{
	ck_assert_int_eq(try_submit(executor, work, loop), 0);
}

static void
start(struct eddy_executor *executor, struct work *work, eddy_job_fn *fn,
    struct eddy_loop *loop)
{
	submit(executor, work_init(work, fn, 1), loop);
}

static void
start_many(struct eddy_executor *executor, struct work *works, int n,
    struct eddy_loop *loop)
{
	while (n-- > 0)
		start(executor, works++, quick, loop);
}

/* A job has come to where it stays. */
static void
until_entered(struct eddy_loop *loop)
{
	while (sem_trywait(&board->entered) < 0)
		wait_turn(loop);
}

static void
occupy(
    struct eddy_executor *executor, struct work *work, struct eddy_loop *loop)
{
	start(executor, work, stay, loop);
	until_entered(loop);
}

static void
let_go(int n)
{
	while (n-- > 0)
		sem_post(&board->leave);
}

static void
until_heard(struct eddy_loop *loop, struct work *work)
{
	while (work->outcomes == 0)
		wait_turn(loop);
}

/* n works were heard once each, with that outcome. */
static void
expect_many(const struct work *works, int n, enum eddy_outcome outcome)
{
	int i;

	for (i = 0; i < n; i++)
		if (works[i].outcomes != 1 || works[i].job.outcome != outcome ||
		    works[i].bytes.runs != (outcome == EDDY_RETURNED))
			ck_abort_msg("job %d: %d outcomes, the last %d, ran %d",
			    i, works[i].outcomes, works[i].job.outcome,
			    works[i].bytes.runs);
}

static void
expect(const struct work *work, enum eddy_outcome outcome)
{
	expect_many(work, 1, outcome);
}

/* A task that runs one job. */
struct runner {
	struct eddy_task task;
	struct eddy_executor *executor;
	struct work work;
	int64_t timeout; /* 0: none */
	int rc, order;
};

static eddy_step
runner(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct runner, f);
	if (f->timeout != 0)
		EDDY_AWAIT(
		    f->rc, eddy_timeout(self, f->timeout,
			       eddy_job_run(self, f->executor, &f->work.job)));
	else
		EDDY_AWAIT(
		    f->rc, eddy_job_run(self, f->executor, &f->work.job));
	f->order = heard++;
	EDDY_END;
}

static void
runner_init(struct runner *frame, struct eddy_executor *executor,
    eddy_job_fn *fn, int64_t timeout)
{
	EDDY_INIT(frame, runner, .executor = executor, .timeout = timeout,
	    .rc = EDDY_PENDING);
	work_init(&frame->work, fn, 1);
}

static void
spawn(struct eddy_loop *loop, struct eddy_task *task)
{
	ck_assert_int_eq(eddy_loop_spawn(loop, task, NULL), 0);
}

static void
start_runner(struct runner *frame, struct eddy_loop *loop,
    struct eddy_executor *executor, eddy_job_fn *fn)
{
	runner_init(frame, executor, fn, 0);
	spawn(loop, &frame->task);
}

static void
until_done(struct eddy_loop *loop, const struct eddy_task *task)
{
	while (!eddy_done(task))
		wait_turn(loop);
}

/* Places to run jobs at. */

enum kind {
	THREADS,
	STRAND,
	PROCESSES,
	PROCESS_STRAND,
	COPY,
	COPY_STRAND,
};

struct place {
	struct eddy_loop *loop;
	struct eddy_executor *executor; /* what is tested */
	struct eddy_executor *inner;    /* of a strand, or NULL */
	struct eddy_executor copy;
};

static struct eddy_executor *
open_threads(unsigned max, unsigned queue_limit)
{
	struct eddy_thread_pool_options options = {
	    .workers_max = max, .queue_limit = queue_limit};
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	return pool;
}

static struct eddy_executor *
open_processes(struct eddy_loop *loop, unsigned workers, unsigned queue_limit)
{
	struct eddy_process_pool_options options = {.workers = workers,
	    .depth = workers == 1 ? 1 : 0,
	    .queue_limit = queue_limit};
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	return pool;
}

static struct eddy_executor *
open_strand(struct eddy_executor *inner, unsigned queue_limit)
{
	struct eddy_executor *strand;

	ck_assert_int_eq(eddy_strand_open(&strand, inner, queue_limit), 0);
	return strand;
}

/* The limit is that of what is tested. */
static void
place_open(
    struct place *place, enum kind kind, unsigned workers, unsigned queue_limit)
{
	bool strand = kind % 2 != 0;
	unsigned limit = strand ? 0 : queue_limit;

	place->inner = NULL;
	place->loop = census_loop();
	if (kind >= COPY)
		eddy_copy_executor(place->executor = &place->copy);
	else if (kind >= PROCESSES)
		place->executor = open_processes(place->loop, workers, limit);
	else
		place->executor = open_threads(workers, limit);
	if (strand) {
		place->inner = place->executor;
		place->executor = open_strand(place->inner, queue_limit);
	}
	heard = 0;
}

static void
close_executor(struct eddy_executor *executor)
{
	ck_assert_int_eq(eddy_executor_close(executor, EDDY_FOREVER), 0);
}

/* Without what is tested: that is closed. */
static void
place_leave(struct place *place)
{
	if (place->inner != NULL)
		close_executor(place->inner);
	ck_assert_int_eq(eddy_loop_run(place->loop), 0);
	ck_assert_int_eq(eddy_loop_close(place->loop), 0);
}

static void
run_out(struct place *place)
{
	ck_assert_int_eq(eddy_loop_run(place->loop), 0);
}

/* A strand counts a job that was heard a moment later. */
static struct eddy_executor_stats
stats_at_rest(struct eddy_executor *executor)
{
	struct eddy_executor_stats stats;

	do {
		sched_yield();
		eddy_executor_stats(executor, &stats);
	} while (stats.running != 0 || stats.queued != 0);
	ck_assert_uint_eq(stats.submitted,
	    stats.returned + stats.failed + stats.cancelled + stats.expired);
	return stats;
}

static void
place_close(struct place *place)
{
	run_out(place);
	if (place->executor != &place->copy)
		stats_at_rest(place->executor);
	close_executor(place->executor);
	place_leave(place);
}

/* Order. */

/* Jobs of a strand share this without locks: TSan is a witness. */
enum { SUBMITTERS = 8 };

static struct line {
	int inside, runs;
	int last[SUBMITTERS];
} line;

struct ticket {
	struct line *line;
	int who, number; /* 1 for the first of who */
};

static int
in_line(void *arg)
{
	struct ticket *ticket = arg;
	struct line *that = ticket->line;
	int others = that->inside++;

	that->runs++;
	if (ticket->number % 8 == 0)
		sched_yield();
	others += --that->inside;
	if (others != 0 || that->last[ticket->who] != ticket->number - 1)
		return -EBUSY;
	that->last[ticket->who]++;
	return ticket->number;
}

struct booking {
	struct eddy_job job; /* first */
	struct ticket ticket;
	struct sender *sender;
	uint32_t busy; /* any thread */
};

enum { WINDOW = 32, EACH = SLOW ? 2000 : 10000 };

/* A thread that submits EACH jobs. */
struct sender {
	struct booking bookings[WINDOW];
	struct eddy_executor *strand;
	struct eddy_loop *loop; /* that hears */
	pthread_t home;         /* of that loop */
	struct eddy_post post;
	bool here; /* in the thread of the loop */
	int who, sent, heard;
};

static void
send_next(struct sender *sender, struct booking *booking,
    struct eddy_loop *loop, eddy_job_done_fn *done)
{
	booking->sender = sender;
	booking->ticket = (struct ticket){&line, sender->who, ++sender->sent};
	booking->job = (struct eddy_job)EDDY_JOB(in_line, &booking->ticket);
	A_STORE(&booking->busy, 1);
	ck_assert_int_eq(
	    eddy_submit(sender->strand, &booking->job, loop, done), 0);
}

static void
on_booking(struct eddy_loop *loop, struct eddy_job *job)
{
	struct booking *booking = (struct booking *)job;
	struct sender *sender = booking->sender;

	/* One check: each makes Check write to a file. */
	if (job->outcome != EDDY_RETURNED || job->result != ++sender->heard ||
	    job->result != booking->ticket.number || loop != sender->loop ||
	    !pthread_equal(pthread_self(), sender->home))
		ck_abort_msg("sender %d, job %d: %d, outcome %d", sender->who,
		    booking->ticket.number, job->result, job->outcome);
	A_RELEASE(&booking->busy, 0);
	if (sender->here && sender->sent < EACH)
		send_next(sender, booking, loop, on_booking);
}

static void
send_first(struct eddy_loop *loop, struct eddy_post *post)
{
	struct sender *sender = (struct sender *)((char *)post -
						  offsetof(
						      struct sender, post));
	int i;

	for (i = 0; i < WINDOW; i++)
		send_next(sender, &sender->bookings[i], loop, on_booking);
}

/* In its own loop. */
static void *
send_here(void *arg)
{
	struct sender *sender = arg;

	sender->here = true;
	sender->loop = census_loop();
	sender->home = pthread_self();
	eddy_post_init(&sender->post, send_first);
	ck_assert_int_eq(eddy_post(sender->loop, &sender->post), 0);
	ck_assert_int_eq(eddy_loop_run(sender->loop), 0);
	ck_assert_int_eq(eddy_loop_close(sender->loop), 0);
	return NULL;
}

static void
on_all_sent(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	ck_assert_int_eq(eddy_loop_release(loop), 0);
}

/* To the loop of another thread. */
static void *
send_from_afar(void *arg)
{
	struct sender *sender = arg;
	int i;

	for (i = 0; i < EACH; i++) {
		struct booking *booking = &sender->bookings[i % WINDOW];

		while (A_ACQUIRE(&booking->busy) != 0)
			sched_yield();
		send_next(sender, booking, sender->loop, on_booking);
	}
	eddy_post_init(&sender->post, on_all_sent);
	ck_assert_int_eq(eddy_post(sender->loop, &sender->post), 0);
	return NULL;
}

/* Without a loop. */
static void *
send_and_wait(void *arg)
{
	struct sender *sender = arg;

	while (sender->sent < EACH) {
		struct booking *booking = &sender->bookings[0];

		send_next(sender, booking, NULL, NULL);
		if (eddy_job_wait(&booking->job, EDDY_FOREVER) !=
		    ++sender->heard)
			ck_abort_msg(
			    "job %d: %d", sender->sent, booking->job.result);
	}
	return NULL;
}

START_TEST(jobs_of_many_threads_and_loops_run_one_at_a_time_in_order)
{
	static void *(*const ways[])(void *) = {send_here, send_here,
	    send_from_afar, send_from_afar, send_and_wait};
	static struct sender senders[COUNT_OF(ways)];
	pthread_t threads[COUNT_OF(ways)];
	struct place place;
	int i, n = COUNT_OF(ways);

	place_open(&place, STRAND, 4, 0);
	for (i = 0; i < n; i++) {
		senders[i] = (struct sender){.strand = place.executor,
		    .loop = place.loop,
		    .home = pthread_self(),
		    .who = i};
		if (ways[i] == send_from_afar)
			ck_assert_int_eq(eddy_loop_hold(place.loop), 0);
		start_thread(&threads[i], ways[i], &senders[i]);
	}
	run_out(&place);
	for (i = 0; i < n; i++) {
		join(threads[i]);
		ck_assert_int_eq(senders[i].heard, EACH);
	}
	ck_assert_uint_eq(
	    stats_at_rest(place.executor).returned, (unsigned)(n * EACH));
	ck_assert_int_eq(line.runs, n * EACH);
	place_close(&place);
}
END_TEST

START_TEST(other_users_of_the_pool_go_on_meanwhile)
{
	struct work running, queued[5], others[20];
	struct place place;
	int i;

	place_open(&place, STRAND, 2, 0);
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, queued, 5, place.loop);
	start_many(place.inner, others, 20, place.loop);
	for (i = 0; i < 20; i++)
		until_heard(place.loop, &others[i]);
	ck_assert_int_eq(heard, 20);
	let_go(1);
	run_out(&place);
	expect_many(others, 20, EDDY_RETURNED);
	expect_many(queued, 5, EDDY_RETURNED);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(queued[i].order, 21 + i);
	place_close(&place);
}
END_TEST

/* Each waits for the other. */
static int
meet(void *arg)
{
	sem_t *sems = *(sem_t **)arg;

	sem_post(&sems[0]);
	wait_for(&sems[1]);
	return 0;
}

static int
meet_too(void *arg)
{
	sem_t *sems = *(sem_t **)arg;

	sem_post(&sems[1]);
	wait_for(&sems[0]);
	return 0;
}

START_TEST(two_strands_of_a_pool_run_in_parallel)
{
	struct eddy_executor *other;
	struct place place;
	sem_t sems[2], *both = sems;
	struct eddy_job a = EDDY_JOB(meet, &both);
	struct eddy_job b = EDDY_JOB(meet_too, &both);
	int i;

	for (i = 0; i < 2; i++)
		sem_init(&sems[i], 0, 0);
	place_open(&place, STRAND, 2, 0);
	other = open_strand(place.inner, 0);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(
		    eddy_submit(place.executor, &a, NULL, NULL), 0);
		ck_assert_int_eq(eddy_submit(other, &b, NULL, NULL), 0);
		ck_assert_int_eq(eddy_job_wait(&a, EDDY_FOREVER), 0);
		ck_assert_int_eq(eddy_job_wait(&b, EDDY_FOREVER), 0);
	}
	close_executor(other);
	place_close(&place);
}
END_TEST

START_TEST(a_strand_runs_on_whatever_worker_is_free)
{
	struct work first, second, jobs[2];
	struct place place;

	place_open(&place, STRAND, 2, 0);
	start(place.inner, &first, patient, place.loop);
	until_entered(place.loop);
	start(place.executor, &jobs[0], quick, place.loop);
	until_heard(place.loop, &jobs[0]);
	occupy(place.inner, &second, place.loop); /* where the strand was */
	ck_assert_int_eq(eddy_job_cancel(&first.job), 0);
	start(place.executor, &jobs[1], quick, place.loop);
	until_heard(place.loop, &jobs[1]);
	ck_assert(!pthread_equal(jobs[0].bytes.ran_in, jobs[1].bytes.ran_in));
	let_go(1);
	place_close(&place);
}
END_TEST

/* For worker processes, too. */
static int
in_turn(void *arg)
{
	struct ticket *ticket = arg;
	uint32_t number = (uint32_t)ticket->number;

	if (A_XCHG(&board->current, number) >= number)
		return -EALREADY;
	if (A_LOAD(&board->last) != number - 1)
		return -ERANGE;
	sched_yield();
	if (A_LOAD(&board->current) != number)
		return -EBUSY;
	A_STORE(&board->last, number);
	return getpid();
}

START_TEST(over_processes_a_strand_orders)
{
	enum { JOBS = SLOW ? 200 : 1000 };
	static struct booking bookings[JOBS];
	struct place place;
	int i;

	place_open(&place, PROCESS_STRAND, 2, 0);
	for (i = 0; i < JOBS; i++) {
		bookings[i].ticket.number = i + 1;
		bookings[i].job = (struct eddy_job)EDDY_JOB(
		    in_turn, &bookings[i].ticket);
		ck_assert_int_eq(eddy_submit(place.executor, &bookings[i].job,
				     place.loop, on_other),
		    0);
	}
	run_out(&place);
	for (i = 0; i < JOBS; i++) {
		ck_assert_int_gt(eddy_job_rc(&bookings[i].job), 0);
		ck_assert_int_ne(bookings[i].job.result, getpid());
	}
	place_close(&place);
}
END_TEST

START_TEST(over_a_copy_a_strand_works_on_copies)
{
	struct place place;
	struct runner frame;
	struct work work;

	place_open(&place, COPY_STRAND, 0, 0);
	submit(place.executor, work_init(&work, quick, 5), place.loop);
	ck_assert_int_eq(work.outcomes, 0); /* that comes by the loop */
	start_runner(&frame, place.loop, place.executor, quick);
	run_out(&place);
	expect(&work, EDDY_RETURNED);
	ck_assert_int_eq(work.job.result, 5);
	ck_assert_int_eq(frame.rc, 1);
	place_close(&place);
}
END_TEST

/* Jobs that submit others to their own strand. */
struct chain {
	struct eddy_executor *strand;
	struct eddy_loop *loop;
	struct link {
		struct eddy_job job; /* first */
		int heard;
	} * links;
	int n, count, inside;
};

static struct chain chain; /* its jobs have no bytes */

static void
on_link(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct link *)job)->heard += job->outcome == EDDY_RETURNED;
}

static void
add_link(eddy_job_fn *fn)
{
	struct link *that = &chain.links[chain.count++];

	that->job = (struct eddy_job){.fn = fn};
	if (eddy_submit(chain.strand, &that->job, chain.loop, on_link) != 0)
		ck_abort_msg("link %d was refused", chain.count);
}

static int
go_on(void *arg)
{
	int others = chain.inside++;

	(void)arg;
	if (chain.count < chain.n)
		add_link(go_on);
	chain.inside--;
	return others;
}

static int
do_nothing(void *arg)
{
	(void)arg;
	return chain.inside;
}

/* All in one. */
static int
fill_up(void *arg)
{
	(void)arg;
	chain.inside++;
	while (chain.count < chain.n)
		add_link(do_nothing);
	chain.inside--;
	return 0;
}

static void
check_chain(enum kind kind, eddy_job_fn *fn, int n)
{
	struct place place;
	int i;

	place_open(&place, kind, 3, 0);
	chain = (struct chain){
	    .strand = place.executor, .loop = place.loop, .n = n};
	chain.links = calloc((size_t)n, sizeof(*chain.links));
	ck_assert_ptr_nonnull(chain.links);
	ck_assert_int_eq(eddy_loop_hold(place.loop), 0);
	add_link(fn);
	for (i = 0; i < n; i++) {
		while (chain.links[i].heard == 0)
			wait_turn(place.loop);
		if (chain.links[i].job.result != 0)
			ck_abort_msg("link %d had company", i);
	}
	ck_assert_int_eq(eddy_loop_release(place.loop), 0);
	place_close(&place);
	for (i = 0; i < n; i++)
		if (chain.links[i].heard != 1)
			ck_abort_msg("link %d was heard twice", i);
	free(chain.links);
}

START_TEST(a_job_may_submit_to_its_own_strand)
{
	check_chain(STRAND, go_on, 1000);
	check_chain(COPY_STRAND, go_on, 1000);
}
END_TEST

START_TEST(a_job_may_fill_its_own_strand)
{
	check_chain(STRAND, fill_up, 50000);
}
END_TEST

START_TEST(a_job_may_fill_its_own_strand_over_a_copy)
{
	check_chain(COPY_STRAND, fill_up, 50000);
}
END_TEST

START_TEST(a_strand_over_a_strand_is_einval)
{
	struct eddy_executor *other = NULL;
	struct place place;

	place_open(&place, STRAND, 1, 0);
	ck_assert_int_eq(eddy_strand_open(&other, place.executor, 0), -EINVAL);
	ck_assert_ptr_null(other);
	place_close(&place);
}
END_TEST

START_TEST(order_goes_before_urgency)
{
	struct work running, queued[6];
	struct place place;
	int i;

	place_open(&place, STRAND, 2, 0);
	occupy(place.executor, &running, place.loop);
	for (i = 0; i < 6; i++) {
		work_init(&queued[i], quick, 1);
		queued[i].job.flags = i % 2 != 0 ? EDDY_JOB_URGENT : 0;
		submit(place.executor, &queued[i], place.loop);
	}
	let_go(1);
	run_out(&place);
	for (i = 0; i < 6; i++)
		ck_assert_int_eq(queued[i].order, 1 + i);
	place_close(&place);
}
END_TEST

/* What goes with a job goes through a strand. */

struct mapper {
	struct eddy_task task;
	struct eddy_executor *executor;
	struct ticket tickets[50];
	int rc;
};

static eddy_step
mapper(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct mapper, f);
	EDDY_AWAIT(f->rc, eddy_map(self, f->executor, in_turn, f->tickets,
			      COUNT_OF(f->tickets), sizeof(f->tickets[0]), 8));
	EDDY_END;
}

START_TEST(a_map_over_a_strand_runs_one_at_a_time)
{
	struct mapper frame;
	struct place place;
	size_t i;

	place_open(&place, STRAND, 4, 0);
	EDDY_INIT(&frame, mapper, .executor = place.executor);
	for (i = 0; i < COUNT_OF(frame.tickets); i++)
		frame.tickets[i].number = (int)i + 1;
	spawn(place.loop, &frame.task);
	run_out(&place);
	ck_assert_int_eq(frame.rc, 0);
	ck_assert_uint_eq(board->last, COUNT_OF(frame.tickets));
	place_close(&place);
}
END_TEST

/* A transaction of three jobs.  The strand is not held in between; a semaphore
 * of 1 is. */

static char log_of_steps[8];

static int
step(void *arg)
{
	strncat(log_of_steps, arg, 1);
	return 0;
}

struct three {
	struct eddy_task task;
	struct eddy_executor *executor;
	struct eddy_semaphore *held; /* or NULL */
	char steps[4];
	int i;
};

static eddy_step
three(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct three, f);
	if (f->held != NULL)
		EDDY_TRY(eddy_semaphore_acquire(self, f->held));
	for (f->i = 0; f->i < 3; f->i++)
		EDDY_TRY(
		    eddy_offload(self, f->executor, step, &f->steps[f->i]));
	EDDY_FINALLY;
	if (f->held != NULL)
		eddy_semaphore_release(f->held);
	EDDY_END;
}

START_TEST(a_strand_does_not_hold_across_awaits)
{
	struct eddy_semaphore mutex;
	struct three frames[2];
	struct place place;
	int held, i;

	place_open(&place, STRAND, 1, 0);
	eddy_semaphore_init(&mutex, 1);
	for (held = 0; held < 2; held++) {
		log_of_steps[0] = '\0';
		for (i = 0; i < 2; i++) {
			EDDY_INIT(&frames[i], three, .executor = place.executor,
			    .steps = "buc", .held = held != 0 ? &mutex : NULL);
			spawn(place.loop, &frames[i].task);
		}
		run_out(&place);
		ck_assert_str_eq(log_of_steps, held != 0 ? "bucbuc" : "bbuucc");
	}
	place_close(&place);
}
END_TEST

struct plain {
	struct eddy_task task;
	struct ticket tickets[50];
	struct eddy_task kids[50];
	int i, rc;
};

static eddy_step
plain(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct plain, f);
	for (f->i = 0; f->i < 50; f->i++) {
		struct eddy_task *kid = &f->kids[f->i];

		f->tickets[f->i].number = f->i + 1;
		f->rc = EDDY_START(self, kid,
		    eddy_offload(kid, NULL, in_turn, &f->tickets[f->i]));
		ck_assert_int_eq(f->rc, 0);
	}
	EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

START_TEST(a_strand_may_stand_for_null)
{
	struct eddy_loop_options options = {0};
	struct plain frame;
	struct place place;

	place_open(&place, STRAND, 4, 0);
	options.executor = place.executor;
	EDDY_INIT(&frame, plain, .i = 0);
	ck_assert_int_eq(eddy_run_with(&options, &frame.task), 0);
	ck_assert_uint_eq(board->last, COUNT_OF(frame.tickets));
	place_close(&place); /* it is open */
}
END_TEST

static int64_t progress;

static void
on_progress(struct eddy_loop *loop, struct eddy_long_job *long_job)
{
	(void)loop;
	progress = long_job->progress;
}

static int
tell(void *arg)
{
	return eddy_job_progress(7) < 0 ? -EIO : stay(arg);
}

static void
check_progress(enum kind kind)
{
	struct bytes bytes = {.value = 3};
	struct eddy_long_job job = {
	    .job = EDDY_JOB(tell, &bytes), .on_progress = on_progress};
	struct place place;

	place_open(&place, kind, 1, 0);
	job.job.flags = EDDY_JOB_LONG;
	progress = 0;
	ck_assert_int_eq(
	    eddy_submit(place.executor, &job.job, place.loop, on_other), 0);
	while (progress != 7)
		wait_turn(place.loop);
	let_go(1);
	run_out(&place);
	ck_assert_int_eq(job.job.result, 3);
	place_close(&place);
}

START_TEST(a_job_of_a_strand_may_tell_its_progress)
{
	check_progress(PROCESS_STRAND);
	check_progress(STRAND);
}
END_TEST

START_TEST(without_memory_open_says_so)
{
	struct eddy_executor *strand = NULL;
	struct place place;

	place_open(&place, THREADS, 1, 0);
	no_memory = true;
	ck_assert_int_eq(eddy_strand_open(&strand, place.executor, 0), -ENOMEM);
	no_memory = false;
	ck_assert_ptr_null(strand);
	place_close(&place);
}
END_TEST

/* The queue. */

START_TEST(a_full_strand_refuses)
{
	struct work running, queued[3];
	struct place place;
	int i;

	place_open(&place, STRAND, 2, 2);
	occupy(place.executor, &running, place.loop);
	for (i = 0; i < 3; i++)
		work_init(&queued[i], quick, 1);
	submit(place.executor, &queued[0], place.loop);
	submit(place.executor, &queued[1], place.loop);
	ck_assert_int_eq(
	    try_submit(place.executor, &queued[2], place.loop), -EAGAIN);
	ck_assert_int_eq(eddy_job_cancel(&queued[0].job), 0);
	submit(place.executor, &queued[2], place.loop);
	let_go(1);
	run_out(&place);
	expect(&queued[0], EDDY_CANCELLED);
	expect_many(&queued[1], 2, EDDY_RETURNED);
	ck_assert_uint_eq(stats_at_rest(place.executor).submitted, 4);
	place_close(&place);
}
END_TEST

static void
check_line_for_room(enum kind kind)
{
	struct runner frames[20];
	struct work running, late;
	struct place place;
	int i;

	place_open(&place, kind, 1, 2);
	occupy(place.executor, &running, place.loop);
	for (i = 0; i < 20; i++)
		start_runner(&frames[i], place.loop, place.executor, quick);
	turn(place.loop);
	work_init(&late, quick, 1);
	ck_assert_int_eq(
	    try_submit(place.executor, &late, place.loop), -EAGAIN);
	let_go(1);
	run_out(&place);
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(frames[i].rc, 1);
		ck_assert_int_eq(frames[i].order, 1 + i);
		ck_assert_int_eq(frames[i].work.bytes.runs, 1);
	}
	place_close(&place);
}

START_TEST(tasks_wait_for_room_in_their_order)
{
	check_line_for_room(PROCESS_STRAND);
	check_line_for_room(STRAND);
}
END_TEST

START_TEST(nowait_is_refused_at_once)
{
	struct work running, queued;
	struct runner frame;
	struct place place;

	place_open(&place, STRAND, 2, 1);
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, &queued, 1, place.loop);
	runner_init(&frame, place.executor, quick, 0);
	frame.work.job.flags = EDDY_JOB_NOWAIT;
	spawn(place.loop, &frame.task);
	until_done(place.loop, &frame.task);
	ck_assert_int_eq(frame.rc, -EAGAIN);
	ck_assert_int_eq(running.outcomes, 0);
	let_go(1);
	place_close(&place);
}
END_TEST

/* A strand over a pool with one worker, which is busy, and a full queue. */
struct jam {
	struct eddy_loop *loop;
	struct eddy_executor *pool, *strand;
	struct work running, queued;
};

static void
jam_open(struct jam *jam)
{
	jam->loop = census_loop();
	jam->pool = open_threads(1, 1);
	jam->strand = open_strand(jam->pool, 0);
	occupy(jam->pool, &jam->running, jam->loop);
	start(jam->pool, &jam->queued, quick, jam->loop);
	heard = 0;
}

/* Give way and demand all that is ours. */
static void
jam_close(struct jam *jam)
{
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(jam->loop), 0);
	expect(&jam->running, EDDY_RETURNED);
	expect(&jam->queued, EDDY_RETURNED);
	stats_at_rest(jam->strand);
	close_executor(jam->strand);
	close_executor(jam->pool);
	ck_assert_int_eq(eddy_loop_close(jam->loop), 0);
}

START_TEST(a_strand_waits_for_room_in_its_pool)
{
	struct work jobs[4], other;
	struct runner frame;
	struct jam jam;
	int i;

	jam_open(&jam);
	for (i = 0; i < 4; i++) {
		work_init(&jobs[i], quick, 1);
		jobs[i].job.flags = EDDY_JOB_NOWAIT;
		submit(jam.strand, &jobs[i], jam.loop);
	}
	work_init(&other, quick, 1); /* the strand was first in line */
	ck_assert_int_eq(try_submit(jam.pool, &other, jam.loop), -EAGAIN);
	start_runner(&frame, jam.loop, jam.pool, quick);
	turn(jam.loop);
	ck_assert_int_eq(heard, 0);
	jam_close(&jam);
	expect_many(jobs, 4, EDDY_RETURNED);
	ck_assert_int_eq(frame.rc, 1);
	for (i = 0; i < 3; i++)
		ck_assert_int_lt(jobs[i].order, jobs[i + 1].order);
	ck_assert_int_lt(jobs[0].order, frame.order);
}
END_TEST

/* An executor of the user's that accepts nothing but one job, if that. */
struct picky {
	struct eddy_executor executor;
	struct eddy_job *job; /* accepted, until the test ends it */
	int answer;           /* to the others */
	uint32_t drains;
};

static int
picky_submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct picky *picky = (struct picky *)executor;

	if (picky->answer != 0)
		return picky->answer;
	picky->job = job;
	return 0;
}

static int
picky_cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	(void)executor, (void)job, (void)outcome;
	return 0;
}

static int
picky_close(struct eddy_executor *executor, int64_t duration)
{
	(void)duration;
	eddy_executor_fini(executor);
	return 0;
}

static void
picky_describe(
    struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	(void)executor;
	*ret_stats = (struct eddy_executor_stats){0};
}

static void
picky_drain(struct eddy_executor *executor)
{
	A_ADD(&((struct picky *)executor)->drains, 1);
}

static const struct eddy_executor_ops picky_ops = {"picky", picky_submit,
    picky_cancel, picky_close, picky_describe, picky_drain, NULL};
static const struct eddy_executor_ops no_drain_ops = {"picky", picky_submit,
    picky_cancel, picky_close, picky_describe, NULL, NULL};

static void
picky_init(struct picky *picky, const struct eddy_executor_ops *ops)
{
	memset(picky, 0, sizeof(*picky));
	eddy_executor_init(&picky->executor, ops);
}

static void
picky_run(struct picky *picky)
{
	ck_assert(eddy_job_begin(picky->job));
	eddy_job_end(
	    picky->job, EDDY_RETURNED, picky->job->fn(picky->job->arg));
}

START_TEST(what_is_refused_at_its_turn_is_lost)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *strand;
	struct work works[6];
	struct picky picky;
	int i;

	picky_init(&picky, &picky_ops);
	strand = open_strand(&picky.executor, 0);
	picky.answer = -EXDEV; /* at once: no outcome */
	work_init(&works[0], quick, 1);
	ck_assert_int_eq(try_submit(strand, &works[0], loop), -EXDEV);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	picky.answer = 0;
	submit(strand, &works[0], loop);
	start_many(strand, &works[1], 5, loop);
	picky.answer = -EXDEV;
	picky_run(&picky);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(&works[0], EDDY_RETURNED);
	expect_many(&works[1], 5, EDDY_LOST);
	for (i = 1; i < 6; i++) {
		ck_assert_int_eq(works[i].job.result, -EXDEV);
		ck_assert_int_lt(works[i - 1].order, works[i].order);
	}
	picky.answer = 0; /* and the strand is fit */
	submit(strand, work_init(&works[0], quick, 1), loop);
	picky_run(&picky);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(&works[0], EDDY_RETURNED);
	ck_assert_uint_eq(stats_at_rest(strand).failed, 5);
	close_executor(strand);
	close_executor(&picky.executor);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_job_that_is_too_big_at_its_turn_costs_nobody_else)
{
	static char big[100000];
	struct eddy_job job = EDDY_JOB(quick, &big);
	struct work works[3];
	struct place place;

	place_open(&place, PROCESS_STRAND, 1, 0);
	ck_assert_int_eq(
	    eddy_submit(place.executor, &job, place.loop, on_other), -EMSGSIZE);
	occupy(place.executor, &works[0], place.loop);
	start(place.executor, &works[1], quick, place.loop);
	ck_assert_int_eq(
	    eddy_submit(place.executor, &job, place.loop, on_other), 0);
	start(place.executor, &works[2], quick, place.loop);
	let_go(1);
	run_out(&place);
	expect_many(works, 3, EDDY_RETURNED);
	ck_assert_int_eq(job.outcome, EDDY_LOST);
	ck_assert_int_eq(eddy_job_rc(&job), -EMSGSIZE);
	place_close(&place);
}
END_TEST

/* Cancel. */

START_TEST(a_job_queued_in_a_strand_may_be_cancelled)
{
	struct work running, queued[3];
	struct place place;

	place_open(&place, STRAND, 2, 0);
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, queued, 3, place.loop);
	ck_assert_int_eq(eddy_job_cancel(&queued[1].job), 0);
	ck_assert_int_eq(eddy_job_cancel(&queued[1].job), -EALREADY);
	turn(place.loop); /* at once */
	expect(&queued[1], EDDY_CANCELLED);
	ck_assert_int_eq(eddy_job_rc(&queued[1].job), -ECANCELED);
	let_go(1);
	run_out(&place);
	expect(&running, EDDY_RETURNED);
	expect(&queued[0], EDDY_RETURNED);
	expect(&queued[1], EDDY_CANCELLED);
	expect(&queued[2], EDDY_RETURNED);
	ck_assert_int_eq(eddy_job_cancel(&queued[2].job), -EALREADY);
	place_close(&place);
}
END_TEST

START_TEST(one_that_waits_for_room_at_a_strand_may_be_cancelled)
{
	struct runner frames[4];
	struct work running;
	struct place place;
	int i;

	place_open(&place, STRAND, 2, 1);
	occupy(place.executor, &running, place.loop);
	for (i = 0; i < 4; i++)
		start_runner(&frames[i], place.loop, place.executor, quick);
	turn(place.loop);
	ck_assert_int_eq(eddy_cancel(&frames[2].task), 0);
	until_done(place.loop, &frames[2].task);
	ck_assert_int_eq(frames[2].work.job.outcome, EDDY_CANCELLED);
	ck_assert_int_eq(running.outcomes, 0);
	let_go(1);
	run_out(&place);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(frames[i].rc, i == 2 ? -ECANCELED : 1);
	ck_assert_int_eq(frames[2].work.bytes.runs, 0);
	place_close(&place);
}
END_TEST

/* Not begun, though the strand gave it to the pool: so the next one comes to be
 * there, and the pool's own lose nothing. */
static void
check_cancel_handed(struct jam *jam)
{
	struct work jobs[4];
	int i;

	start_many(jam->strand, jobs, 4, jam->loop);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(eddy_job_cancel(&jobs[i].job), 0);
		turn(jam->loop);
		expect_many(jobs, i + 1, EDDY_CANCELLED);
		ck_assert_int_eq(eddy_job_cancel(&jobs[i].job), -EALREADY);
	}
	jam_close(jam);
	expect(&jobs[3], EDDY_RETURNED);
}

START_TEST(one_that_waits_for_room_in_the_pool_may_be_cancelled)
{
	struct jam jam;

	jam_open(&jam);
	check_cancel_handed(&jam);
}
END_TEST

START_TEST(one_that_the_pool_has_not_begun_may_be_cancelled)
{
	struct jam jam = {.loop = census_loop()};

	jam.pool = open_threads(1, 0);
	jam.strand = open_strand(jam.pool, 0);
	occupy(jam.pool, &jam.running, jam.loop);
	start(jam.pool, &jam.queued, quick, jam.loop);
	check_cancel_handed(&jam);
}
END_TEST

static uint32_t hooks; /* any thread */

static void
call_off(void *arg)
{
	A_ADD(&hooks, 1);
	sem_post(arg);
}

/* Until its hook is called. */
static int
hooked(void *arg)
{
	int r = eddy_job_on_stop(call_off, &board->leave);

	sem_post(&board->entered);
	while (sem_wait(&board->leave) < 0)
		;
	return r == 0 && eddy_job_stop_requested() ? quick(arg) : -EIO;
}

static int
hook_and_look(void *arg)
{
	int r = eddy_job_on_stop(call_off, &board->leave);

	return r < 0 ? r : look(arg);
}

START_TEST(a_running_job_is_asked_and_the_next_is_not)
{
	struct work asked, next;
	struct place place;
	int i;

	place_open(&place, STRAND, 2, 0);
	for (i = 0; i < 100; i++) {
		bool hook = i % 2 != 0;

		start(place.executor, &asked, hook ? hooked : patient,
		    place.loop);
		until_entered(place.loop);
		start(place.executor, &next, hook_and_look, place.loop);
		eddy_job_cancel(&asked.job); /* it may be over by then */
		run_out(&place);
		expect(&asked, EDDY_RETURNED);
		expect(&next, EDDY_RETURNED);
		ck_assert_int_eq(eddy_job_rc(&asked.job), 1);
		ck_assert_int_eq(eddy_job_rc(&next.job), 1);
		ck_assert_uint_eq(A_LOAD(&hooks), ((unsigned)i + 1) / 2);
	}
	ck_assert_uint_eq(board->seen, 0);
	place_close(&place);
}
END_TEST

START_TEST(a_cancelled_running_job_keeps_its_strand)
{
	struct work running, next, others[10];
	struct place place;

	place_open(&place, STRAND, 2, 0);
	occupy(place.executor, &running, place.loop);
	start(place.executor, &next, quick, place.loop);
	ck_assert_int_eq(eddy_job_cancel(&running.job), 0);
	start_many(place.inner, others, 10, place.loop);
	until_heard(place.loop, &others[9]);
	ck_assert_int_eq(running.outcomes + next.outcomes, 0);
	ck_assert_uint_eq(A_LOAD(&board->begun), 10);
	let_go(1);
	run_out(&place);
	ck_assert_int_lt(running.order, next.order);
	expect(&next, EDDY_RETURNED);
	place_close(&place);
}
END_TEST

START_TEST(over_processes_a_cancel_kills_and_the_next_runs)
{
	struct work killed, next;
	struct place place;
	int i;

	place_open(&place, PROCESS_STRAND, 1, 0);
	for (i = 0; i < 5; i++) {
		occupy(place.executor, &killed, place.loop);
		start(place.executor, &next, quick, place.loop);
		ck_assert_int_eq(eddy_job_cancel(&killed.job), 0);
		run_out(&place);
		expect(&killed, EDDY_CANCELLED);
		expect(&next, EDDY_RETURNED);
	}
	place_close(&place);
}
END_TEST

static int
wait_for_signal(void *arg)
{
	(void)arg;
	sem_post(&board->entered);
	return pause() < 0 ? -errno : 0;
}

START_TEST(the_signal_of_the_pool_reaches_a_job_of_a_strand)
{
	struct eddy_thread_pool_options options = {
	    .workers_max = 2, .interrupt_signal = SIGRTMIN};
	struct eddy_executor *pool, *strand;
	struct eddy_loop *loop = census_loop();
	struct work work, next;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, &options), 0);
	strand = open_strand(pool, 0);
	work_init(&work, wait_for_signal, 0);
	work.job.flags = EDDY_JOB_INTERRUPT;
	submit(strand, &work, loop);
	until_entered(loop);
	start(strand, &next, look, loop);
	ck_assert_int_eq(eddy_job_cancel(&work.job), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_job_rc(&work.job), -EINTR);
	expect(&next, EDDY_RETURNED);
	ck_assert_uint_eq(board->seen, 0);
	stats_at_rest(strand);
	close_executor(strand);
	close_executor(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Deadlines. */

static void
pass_time_until(int64_t deadline)
{
	while (eddy_now() < deadline)
		sched_yield();
}

START_TEST(a_job_may_expire_in_its_strand)
{
	struct work running, late, next;
	struct place place;

	place_open(&place, STRAND, 2, 0);
	occupy(place.executor, &running, place.loop);
	work_init(&late, quick, 1);
	late.job.deadline = eddy_after(EDDY_MS(2));
	submit(place.executor, &late, place.loop);
	start(place.executor, &next, quick, place.loop);
	pass_time_until(late.job.deadline);
	let_go(1);
	run_out(&place);
	expect(&running, EDDY_RETURNED);
	expect(&late, EDDY_EXPIRED);
	expect(&next, EDDY_RETURNED);
	ck_assert_int_eq(eddy_job_rc(&late.job), -ETIME);
	ck_assert_uint_eq(stats_at_rest(place.executor).expired, 1);
	place_close(&place);
}
END_TEST

/* The last of n jobs has little time, and cannot begin. */
static void
check_late(struct eddy_loop *loop, struct eddy_executor *executor,
    struct runner *frames, int n)
{
	struct runner *late = &frames[n - 1];
	int i;

	for (i = 0; i < n; i++) {
		runner_init(&frames[i], executor, quick, 0);
		if (&frames[i] == late)
			late->work.job.deadline = eddy_after(EDDY_MS(3));
		spawn(loop, &frames[i].task);
	}
	until_done(loop, &late->task);
	ck_assert_int_ge(eddy_now(), late->work.job.deadline);
	ck_assert_int_eq(late->rc, -ETIME);
	ck_assert_int_eq(late->work.job.outcome, EDDY_EXPIRED);
	ck_assert_int_eq(late->work.bytes.runs, 0);
	for (i = 0; i < n - 1; i++)
		ck_assert_int_eq(frames[i].rc, EDDY_PENDING);
}

START_TEST(a_task_hears_of_a_job_that_expires_in_its_strand_at_once)
{
	struct runner frames[6];
	struct work running;
	struct place place;
	int i;

	for (i = 0; i < 2; i++) { /* queued, or waiting for room */
		place_open(&place, STRAND, 2, i == 0 ? 0 : 2);
		occupy(place.executor, &running, place.loop);
		check_late(place.loop, place.executor, frames, 6);
		let_go(1);
		place_close(&place);
	}
}
END_TEST

START_TEST(a_task_hears_of_a_job_that_expires_in_the_pool_at_once)
{
	struct runner frames[2];
	struct jam jam;

	jam_open(&jam); /* no room */
	check_late(jam.loop, jam.strand, frames, 1);
	check_late(jam.loop, jam.strand, frames, 2);
	jam_close(&jam);
	ck_assert_int_eq(frames[0].rc, 1);
}
END_TEST

START_TEST(a_deadline_asks_a_running_job_of_a_strand)
{
	struct runner frame, next;
	struct place place;

	place_open(&place, STRAND, 2, 0);
	runner_init(&frame, place.executor, patient, 0);
	frame.work.job.deadline = eddy_after(EDDY_MS(20));
	spawn(place.loop, &frame.task);
	start_runner(&next, place.loop, place.executor, look);
	run_out(&place);
	if (frame.work.bytes.runs != 0) { /* else it was slow to begin */
		ck_assert_int_eq(frame.rc, 1);
		ck_assert_int_ge(eddy_now(), frame.work.job.deadline);
	}
	ck_assert_int_eq(next.rc, 1);
	ck_assert_uint_eq(board->seen, 0);
	place_close(&place);
}
END_TEST

/* A job that an expired one is ahead of must not be lost when its end makes the
 * strand submit the next at that very moment. */
START_TEST(a_job_of_a_strand_that_expires_takes_nobody_along)
{
	struct work running, others[4], strands[2];
	struct place place;
	int i;

	place_open(&place, PROCESS_STRAND, 1, 0);
	occupy(place.inner, &running, place.loop);
	for (i = 0; i < 2; i++)
		work_init(&strands[i], quick, 1);
	strands[0].job.deadline = eddy_after(EDDY_MS(5));
	for (i = 0; i < 2; i++)
		submit(place.executor, &strands[i], place.loop);
	start_many(place.inner, others, 4, place.loop);
	let_go(1);
	while (A_LOAD(&board->begun) == 0) /* it has ended, all but heard */
		sched_yield();
	pass_time_until(strands[0].job.deadline);
	run_out(&place);
	expect(&running, EDDY_RETURNED);
	expect(&strands[0], EDDY_EXPIRED);
	expect(&strands[1], EDDY_RETURNED);
	expect_many(others, 4, EDDY_RETURNED);
	place_close(&place);
}
END_TEST

struct crowd {
	struct place place;
	struct work strands[2], others[4];
};

static void *
submit_crowd(void *arg)
{
	struct crowd *crowd = arg;
	struct place *place = &crowd->place;
	int i;

	for (i = 0; i < 2; i++)
		submit(place->executor, &crowd->strands[i], place->loop);
	start_many(place->inner, crowd->others, 4, place->loop);
	return NULL;
}

START_TEST(one_that_expires_on_its_way_home_takes_nobody_along)
{
	struct crowd crowd;
	struct work first;
	pthread_t thread;
	int i;

	place_open(&crowd.place, PROCESS_STRAND, 1, 0);
	start(crowd.place.inner, &first, quick, crowd.place.loop);
	until_heard(crowd.place.loop, &first);
	for (i = 0; i < 2; i++)
		work_init(&crowd.strands[i], quick, 1);
	crowd.strands[0].job.deadline = eddy_now();
	start_thread(&thread, submit_crowd, &crowd);
	join(thread);
	run_out(&crowd.place);
	expect(&crowd.strands[0], EDDY_EXPIRED);
	expect(&crowd.strands[1], EDDY_RETURNED);
	expect_many(crowd.others, 4, EDDY_RETURNED);
	place_close(&crowd.place);
}
END_TEST

/* A task that offloads with a timeout. */
struct offloader {
	struct eddy_task task;
	struct eddy_executor *executor;
	eddy_job_fn *fn;
	struct bytes bytes;
	int64_t timeout;
	int rc;
};

static eddy_step
offloader(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct offloader, f);
	EDDY_AWAIT(
	    f->rc, eddy_timeout(self, f->timeout,
		       eddy_offload(self, f->executor, f->fn, &f->bytes)));
	EDDY_END;
}

static void
start_offloader(struct offloader *frame, struct place *place, eddy_job_fn *fn,
    int64_t timeout)
{
	EDDY_INIT(frame, offloader, .executor = place->executor, .fn = fn,
	    .timeout = timeout, .bytes = {.value = 4}, .rc = EDDY_PENDING);
	spawn(place->loop, &frame->task);
}

START_TEST(a_timeout_takes_back_what_is_queued_in_a_strand)
{
	struct offloader late, patient_one;
	struct work running;
	struct place place;

	place_open(&place, STRAND, 2, 0);
	occupy(place.executor, &running, place.loop);
	start_offloader(&late, &place, quick, EDDY_MS(2));
	start_offloader(&patient_one, &place, quick, EDDY_S(100));
	until_done(place.loop, &late.task);
	ck_assert_int_eq(late.rc, -ETIME);
	ck_assert_int_eq(running.outcomes, 0);
	let_go(1);
	run_out(&place);
	ck_assert_int_eq(late.bytes.runs, 0);
	ck_assert_int_eq(patient_one.rc, 4);
	place_close(&place);
}
END_TEST

START_TEST(a_timeout_asks_what_runs_in_a_strand)
{
	struct offloader late, next;
	struct place place;

	place_open(&place, STRAND, 2, 0);
	start_offloader(&late, &place, patient, EDDY_MS(20));
	start_offloader(&next, &place, look, EDDY_S(100));
	run_out(&place);
	if (late.bytes.runs != 0) /* else it was slow to begin */
		ck_assert_int_eq(late.rc, 4);
	ck_assert_int_eq(next.rc, 4);
	ck_assert_uint_eq(board->seen, 0);
	place_close(&place);
}
END_TEST

START_TEST(a_timeout_kills_what_runs_in_a_strand_over_processes)
{
	struct offloader late, next;
	struct place place;

	place_open(&place, PROCESS_STRAND, 1, 0);
	start_offloader(&late, &place, stay, EDDY_MS(20));
	start_offloader(&next, &place, quick, EDDY_S(100));
	run_out(&place);
	ck_assert_int_eq(late.rc, -ETIME);
	ck_assert_int_eq(late.bytes.runs, 0);
	ck_assert_int_eq(next.rc, 4);
	place_close(&place);
}
END_TEST

/* Bytes that go with the job. */
static uint32_t drops; /* any thread */

static void
drop(void *bytes)
{
	A_ADD(&drops, 1);
	free(bytes);
}

struct owner {
	struct eddy_task task;
	struct eddy_executor *executor;
	struct bytes *bytes;
	int rc;
};

static eddy_step
owner(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct owner, f);
	EDDY_AWAIT(f->rc,
	    eddy_offload_owned(self, f->executor, stay, &f->bytes, drop));
	EDDY_END;
}

START_TEST(a_job_that_was_given_up_keeps_its_strand_until_it_ends)
{
	struct eddy_executor_stats stats;
	struct owner frame;
	struct place place;
	struct work next;

	place_open(&place, STRAND, 2, 0);
	EDDY_INIT(&frame, owner, .executor = place.executor,
	    .bytes = calloc(1, sizeof(struct bytes)));
	spawn(place.loop, &frame.task);
	until_entered(place.loop);
	ck_assert_int_eq(eddy_cancel(&frame.task), 0);
	run_out(&place); /* it does not wait */
	ck_assert_int_eq(frame.rc, -ECANCELED);
	ck_assert_ptr_null(frame.bytes);
	start(place.executor, &next, quick, place.loop);
	eddy_executor_stats(place.executor, &stats);
	ck_assert_uint_eq(stats.abandoned, 1);
	ck_assert_uint_eq(A_LOAD(&drops), 0);
	ck_assert_int_eq(next.outcomes, 0);
	let_go(1);
	run_out(&place);
	expect(&next, EDDY_RETURNED);
	ck_assert_uint_eq(A_LOAD(&drops), 1);
	ck_assert_uint_eq(stats_at_rest(place.executor).abandoned, 0);
	place_close(&place);
}
END_TEST

/* Waiting in a thread. */

START_TEST(a_thread_waits_for_a_job_of_a_strand)
{
	struct work running, queued, cancelled;
	struct place place;

	place_open(&place, STRAND, 2, 0);
	occupy(place.executor, &running, NULL);
	start(place.executor, &queued, quick, NULL);
	start(place.executor, &cancelled, quick, NULL);
	ck_assert_int_eq(
	    eddy_job_wait(&queued.job, eddy_after(EDDY_MS(2))), -ETIME);
	ck_assert_int_eq(queued.job.outcome, EDDY_NONE);
	ck_assert_int_eq(eddy_job_cancel(&cancelled.job), 0);
	ck_assert_int_eq(
	    eddy_job_wait(&cancelled.job, EDDY_FOREVER), -ECANCELED);
	let_go(1);
	ck_assert_int_eq(eddy_job_wait(&queued.job, EDDY_FOREVER), 1);
	ck_assert_int_eq(eddy_job_wait(&running.job, 0), 1);
	place_close(&place);
}
END_TEST

/* Who would wait for itself. */
struct selfish {
	struct eddy_executor *executor; /* to be closed, or NULL */
	struct eddy_job *job;           /* to be waited for, or NULL */
	sem_t asked;
};

static int
wait_or_close(void *arg)
{
	struct selfish *selfish = arg;

	wait_for(&selfish->asked);
	if (selfish->job != NULL)
		return eddy_job_wait(selfish->job, eddy_after(EDDY_MS(100)));
	return eddy_executor_close(selfish->executor, EDDY_MS(100));
}

/* A job at here closes executor. */
static int
close_inside(struct eddy_executor *here, struct eddy_executor *executor)
{
	struct selfish selfish = {.executor = executor};
	struct eddy_job job = EDDY_JOB(wait_or_close, &selfish);

	sem_init(&selfish.asked, 0, 1);
	ck_assert_int_eq(eddy_submit(here, &job, NULL, NULL), 0);
	return eddy_job_wait(&job, EDDY_FOREVER);
}

/* A job at here waits for one at there, which is not over. */
static int
wait_inside(struct eddy_executor *here, struct eddy_executor *there)
{
	struct work work;
	struct selfish selfish = {.job = &work.job};
	struct eddy_job job = EDDY_JOB(wait_or_close, &selfish);
	int rc;

	sem_init(&selfish.asked, 0, 0);
	ck_assert_int_eq(eddy_submit(here, &job, NULL, NULL), 0);
	start(there, &work, stay, NULL);
	sem_post(&selfish.asked);
	rc = eddy_job_wait(&job, EDDY_FOREVER);
	let_go(1);
	ck_assert_int_eq(eddy_job_wait(&work.job, EDDY_FOREVER), 1);
	return rc;
}

START_TEST(a_job_cannot_wait_for_another_of_its_strand_or_pool)
{
	struct eddy_executor *other, *places[3];
	struct place place;
	int i;

	place_open(&place, STRAND, 4, 0);
	places[0] = place.executor;
	places[1] = place.inner;
	places[2] = open_strand(place.inner, 0);
	for (i = 0; i < 9; i++)
		ck_assert_int_eq(
		    wait_inside(places[i % 3], places[i / 3]), -EDEADLK);
	other = open_threads(1, 0);
	for (i = 0; i < 3; i++) { /* of another it may */
		ck_assert_int_eq(wait_inside(places[i], other), -ETIME);
		ck_assert_int_eq(wait_inside(other, places[i]), -ETIME);
	}
	close_executor(other);
	stats_at_rest(places[2]);
	close_executor(places[2]);
	place_close(&place);
}
END_TEST

START_TEST(a_job_of_a_strand_cannot_close_it_or_its_pool)
{
	struct place place;
	struct work work;

	place_open(&place, STRAND, 3, 0);
	ck_assert_int_eq(
	    close_inside(place.executor, place.executor), -EDEADLK);
	ck_assert_int_eq(close_inside(place.executor, place.inner), -EDEADLK);
	ck_assert_int_eq(close_inside(place.inner, place.inner), -EDEADLK);
	start(place.executor, &work, quick, place.loop); /* both are open */
	place_close(&place);
	expect(&work, EDDY_RETURNED);
}
END_TEST

/* It has the worker that the strand's jobs wait for. */
START_TEST(a_job_of_a_pool_does_not_wait_for_itself_to_close_a_strand)
{
	struct selfish selfish;
	struct eddy_job job = EDDY_JOB(wait_or_close, &selfish);
	struct work works[3];
	struct place place;
	int rc;

	place_open(&place, STRAND, 1, 0);
	selfish = (struct selfish){.executor = place.executor};
	sem_init(&selfish.asked, 0, 0);
	ck_assert_int_eq(eddy_submit(place.inner, &job, NULL, NULL), 0);
	start_many(place.executor, works, 3, place.loop);
	sem_post(&selfish.asked);
	rc = eddy_job_wait(&job, EDDY_FOREVER);
	ck_assert_msg(rc == 0 || rc == -EDEADLK, "close said %d", rc);
	run_out(&place);
	expect_many(works, 3, rc == 0 ? EDDY_CANCELLED : EDDY_RETURNED);
	if (rc != 0)
		close_executor(place.executor);
	place_leave(&place);
}
END_TEST

/* Counting. */

START_TEST(stats_tell_what_became_of_jobs)
{
	struct eddy_executor_stats stats;
	struct work running, queued[3], late;
	struct place place;

	place_open(&place, STRAND, 2, 0);
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, queued, 3, place.loop);
	work_init(&late, quick, 1);
	late.job.deadline = eddy_now();
	submit(place.executor, &late, place.loop);
	eddy_executor_stats(place.executor, &stats);
	ck_assert_uint_eq(stats.submitted, 5);
	ck_assert_uint_eq(stats.running, 1);
	ck_assert_uint_eq(stats.queued, 4);
	ck_assert_int_eq(eddy_job_cancel(&queued[1].job), 0);
	eddy_executor_stats(place.executor, &stats);
	ck_assert_uint_eq(stats.queued, 3);
	ck_assert_uint_eq(stats.cancelled, 1);
	ck_assert_uint_eq(stats.returned, 0);
	let_go(1);
	run_out(&place);
	stats = stats_at_rest(place.executor);
	ck_assert_uint_eq(stats.submitted, 5);
	ck_assert_uint_eq(stats.returned, 3);
	ck_assert_uint_eq(stats.cancelled, 1);
	ck_assert_uint_eq(stats.expired, 1);
	ck_assert_uint_eq(stats.failed + stats.abandoned, 0);
	place_close(&place);
}
END_TEST

static int
crash(void *arg)
{
	(void)arg;
	return kill(getpid(), SIGKILL);
}

START_TEST(stats_tell_of_crashes_of_processes)
{
	struct eddy_executor_stats stats;
	struct work works[3];
	struct place place;
	int i;

	place_open(&place, PROCESS_STRAND, 1, 0);
	for (i = 0; i < 3; i++)
		start(place.executor, &works[i], i == 1 ? crash : quick,
		    place.loop);
	run_out(&place);
	expect(&works[0], EDDY_RETURNED);
	expect(&works[1], EDDY_CRASHED);
	expect(&works[2], EDDY_RETURNED);
	stats = stats_at_rest(place.executor);
	ck_assert_uint_eq(stats.returned, 2);
	ck_assert_uint_eq(stats.failed, 1);
	place_close(&place);
}
END_TEST

/* Closing. */

/* Where the queue is full with one more job: until it is being closed, submit
 * says so.  Then what is queued is cancelled, a moment later. */
struct closing {
	struct eddy_executor *executor;
	struct work extra;
	int answer;
};

static int
poll_submit(struct closing *closing)
{
	struct eddy_executor_stats stats;
	int r;

	while ((r = try_submit(closing->executor, &closing->extra, NULL)) ==
	       -EAGAIN)
		sched_yield();
	do
		eddy_executor_stats(closing->executor, &stats);
	while (stats.queued != 0);
	return r;
}

static void *
let_go_when_closing(void *arg)
{
	struct closing *closing = arg;

	closing->answer = poll_submit(closing);
	let_go(1);
	return NULL;
}

/* However long: 2^32 s from now, too, which 32 bits have as now. */
START_TEST(close_cancels_what_is_queued_and_awaits_what_runs)
{
	int64_t duration = _i == 0 ? EDDY_FOREVER : EDDY_S(INT64_C(1) << 32);
	struct closing closing;
	struct work running, queued[2];
	struct place place;
	pthread_t thread;

	place_open(&place, STRAND, 2, 2);
	closing.executor = place.executor;
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, queued, 2, place.loop);
	work_init(&closing.extra, quick, 1);
	start_thread(&thread, let_go_when_closing, &closing);
	ck_assert_int_eq(eddy_executor_close(place.executor, duration), 0);
	ck_assert_int_eq(running.bytes.runs, 1);
	join(thread);
	ck_assert_int_eq(closing.answer, -ESHUTDOWN);
	run_out(&place);
	expect(&running, EDDY_RETURNED);
	expect_many(queued, 2, EDDY_CANCELLED);
	place_leave(&place);
}
END_TEST

/* The pool has one of the strand, though it has not begun: that is awaited. */
static void
check_close_handed(struct jam *jam)
{
	const char *names[2] = {"", ""};
	struct work jobs[3];

	start_many(jam->strand, jobs, 3, jam->loop);
	jobs[0].job.name = "first";
	ck_assert_int_eq(
	    eddy_executor_close_naming(jam->strand, EDDY_MS(2), names, 2),
	    -ETIME);
	ck_assert_ptr_nonnull(names[0]);
	ck_assert_ptr_null(names[1]);
	turn(jam->loop);
	expect_many(&jobs[1], 2, EDDY_CANCELLED);
	ck_assert_uint_eq(A_LOAD(&board->begun), 0);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(jam->loop), 0);
	expect(&jam->running, EDDY_RETURNED);
	expect(&jam->queued, EDDY_RETURNED);
	expect(&jobs[0], EDDY_RETURNED);
	close_executor(jam->pool);
	ck_assert_int_eq(eddy_loop_close(jam->loop), 0);
}

START_TEST(close_awaits_what_the_pool_has_not_begun)
{
	struct jam jam = {.loop = census_loop()};

	jam.pool = open_threads(1, 0);
	jam.strand = open_strand(jam.pool, 0);
	occupy(jam.pool, &jam.running, jam.loop);
	start(jam.pool, &jam.queued, quick, jam.loop);
	check_close_handed(&jam);
}
END_TEST

START_TEST(close_awaits_what_waits_for_room_in_the_pool)
{
	struct jam jam;

	jam_open(&jam);
	check_close_handed(&jam);
}
END_TEST

static int
submit_while_closing(void *arg)
{
	sem_post(&board->entered);
	wait_for(&board->leave);
	return poll_submit(*(struct closing **)arg);
}

START_TEST(a_job_cannot_submit_while_its_strand_is_closing)
{
	struct closing closing, *bytes = &closing;
	struct eddy_job job = EDDY_JOB(submit_while_closing, &bytes);
	struct work queued;
	struct place place;

	place_open(&place, STRAND, 2, 1);
	closing.executor = place.executor;
	work_init(&closing.extra, quick, 1);
	ck_assert_int_eq(eddy_submit(place.executor, &job, NULL, NULL), 0);
	wait_for(&board->entered);
	start(place.executor, &queued, quick, NULL);
	let_go(1);
	close_executor(place.executor);
	ck_assert_int_eq(eddy_job_wait(&job, 0), -ESHUTDOWN);
	ck_assert_int_eq(eddy_job_wait(&queued.job, 0), -ECANCELED);
	place_leave(&place);
}
END_TEST

static void *
close_in_thread(void *arg)
{
	close_executor(arg);
	return NULL;
}

START_TEST(a_task_that_waits_for_room_at_a_strand_hears_of_close)
{
	struct closing closing;
	struct runner queued, waiting, late;
	struct work running;
	struct place place;
	pthread_t thread;

	place_open(&place, STRAND, 2, 1);
	closing.executor = place.executor;
	occupy(place.executor, &running, place.loop);
	start_runner(&queued, place.loop, place.executor, quick);
	start_runner(&waiting, place.loop, place.executor, quick);
	turn(place.loop);
	work_init(&closing.extra, quick, 1);
	start_thread(&thread, close_in_thread, place.executor);
	ck_assert_int_eq(poll_submit(&closing), -ESHUTDOWN);
	start_runner(&late, place.loop, place.executor, quick);
	until_done(place.loop, &queued.task);
	until_done(place.loop, &waiting.task);
	until_done(place.loop, &late.task);
	ck_assert_int_eq(queued.rc, -ECANCELED);
	ck_assert_int_eq(waiting.rc, -ECANCELED);
	ck_assert_int_eq(late.rc, -ESHUTDOWN);
	let_go(1);
	join(thread);
	run_out(&place);
	expect(&running, EDDY_RETURNED);
	place_leave(&place);
}
END_TEST

START_TEST(close_gives_up_on_a_stuck_job_and_names_it)
{
	const char *names[3] = {"", "", ""};
	struct work stuck, queued[2], other;
	struct place place;
	int64_t deadline;

	place_open(&place, STRAND, 2, 0);
	work_init(&stuck, stay, 1);
	stuck.job.name = "the stuck one";
	submit(place.executor, &stuck, place.loop);
	until_entered(place.loop);
	start_many(place.executor, queued, 2, place.loop);
	deadline = eddy_after(EDDY_MS(5));
	ck_assert_int_eq(
	    eddy_executor_close_naming(place.executor, EDDY_MS(5), names, 3),
	    -ETIME);
	ck_assert_int_ge(eddy_now(), deadline);
	ck_assert_str_eq(names[0], "the stuck one");
	ck_assert_ptr_null(names[1]);
	ck_assert_ptr_null(names[2]);
	/* The program goes on, and so does the pool. */
	start(place.inner, &other, quick, place.loop);
	until_heard(place.loop, &other);
	until_heard(place.loop, &queued[1]);
	expect_many(queued, 2, EDDY_CANCELLED);
	ck_assert_int_eq(stuck.outcomes, 0);
	ck_assert_int_eq(eddy_loop_close(place.loop), -EBUSY);
	let_go(1);
	run_out(&place);
	expect(&stuck, EDDY_RETURNED);
	place_leave(&place); /* the memory was freed: it is counted */
}
END_TEST

/* With a job that never ends; answers what close says. */
static int
close_on_a_stuck_job(void *arg)
{
	struct eddy_executor *pool = open_threads(2, 0), *strand;
	static struct work stuck, queued; /* outlive this frame */

	(void)arg;
	strand = open_strand(pool, 0);
	occupy(strand, &stuck, NULL);
	start(strand, &queued, stay, NULL);
	if (eddy_executor_close(strand, EDDY_MS(2)) != -ETIME)
		return -EIO;
	return eddy_executor_close(pool, EDDY_MS(2));
}

START_TEST(a_program_with_a_stuck_strand_can_end)
{
	ck_assert_int_eq(census_child(close_on_a_stuck_job, NULL), -ETIME);
}
END_TEST

/* -ETIME would say that jobs still run. */
START_TEST(close_without_patience_is_not_late_when_all_was_heard)
{
	struct eddy_executor *strand;
	struct work works[3];
	struct place place;
	int i, late = 0;

	place_open(&place, THREADS, 2, 0);
	for (i = 0; i < 2000; i++) {
		strand = open_strand(place.executor, 0);
		start_many(strand, works, 3, i % 2 != 0 ? place.loop : NULL);
		if (i % 2 != 0)
			run_out(&place);
		else
			eddy_job_wait(&works[2].job, EDDY_FOREVER);
		late += eddy_executor_close(strand, 0) != 0;
	}
	ck_assert_int_eq(late, 0);
	place_close(&place);
}
END_TEST

START_TEST(close_finds_every_job_of_a_strand_in_some_state)
{
	struct eddy_executor *strand;
	struct work works[8];
	struct place place;
	int i, k;

	place_open(&place, THREADS, 2, 0);
	for (i = 0; i < 1000; i++) {
		strand = open_strand(place.executor, 0);
		start_many(strand, works, 8, place.loop);
		for (k = 0; k < i % 4; k++)
			sched_yield();
		close_executor(strand);
		run_out(&place);
		for (k = 0; k < 8; k++)
			expect(&works[k], works[k].bytes.runs != 0
					      ? EDDY_RETURNED
					      : EDDY_CANCELLED);
	}
	place_close(&place);
}
END_TEST

/* Home cannot wait for what it would itself have to hear of. */
START_TEST(a_strand_over_processes_may_be_closed_while_it_is_busy)
{
	const char *names[2] = {"", ""};
	struct work running, queued[2], next;
	struct place place;

	place_open(&place, PROCESS_STRAND, 2, 0);
	occupy(place.executor, &running, place.loop);
	running.job.name = "a process";
	start_many(place.executor, queued, 2, place.loop);
	ck_assert_int_eq(
	    eddy_executor_close_naming(place.executor, EDDY_MS(1), names, 2),
	    -ETIME);
	ck_assert_ptr_nonnull(names[0]);
	ck_assert_ptr_null(names[1]);
	start(place.inner, &next, quick, place.loop);
	until_heard(place.loop, &next);
	let_go(1);
	run_out(&place);
	expect(&running, EDDY_RETURNED);
	expect_many(queued, 2, EDDY_CANCELLED);
	expect(&next, EDDY_RETURNED);
	place_leave(&place);
}
END_TEST

START_TEST(a_pool_that_is_closed_first_leaves_no_job_of_a_strand)
{
	struct work running, keeper, queued[5], late;
	struct place place;

	place_open(&place, STRAND, 2, 0);
	start(place.inner, &keeper, patient, place.loop); /* of the memory */
	until_entered(place.loop);
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, queued, 5, place.loop);
	ck_assert_int_eq(eddy_executor_close(place.inner, 0), -ETIME);
	start(place.executor, &late, quick, place.loop); /* it is open */
	ck_assert_int_eq(eddy_job_cancel(&queued[2].job), 0);
	turn(place.loop);
	expect(&queued[2], EDDY_CANCELLED);
	ck_assert_int_eq(running.outcomes, 0);
	let_go(1);
	until_heard(place.loop, &late);
	expect(&running, EDDY_RETURNED);
	expect_many(queued, 5, EDDY_CANCELLED);
	expect(&late, EDDY_CANCELLED);
	stats_at_rest(place.executor);
	close_executor(place.executor);
	ck_assert_int_eq(eddy_job_cancel(&keeper.job), 0);
	place.inner = NULL;
	place_leave(&place);
	while (A_LOAD(&live) != 0) /* its last worker frees it */
		sched_yield();
}
END_TEST

/* Not the right order, but then the strand refuses what comes. */
START_TEST(a_strand_outlives_the_home_of_its_pool)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool, *strand;
	struct work work;

	ck_assert_int_eq(eddy_process_pool_open(&pool, _i ? loop : NULL,
			     &(struct eddy_process_pool_options){.workers = 1}),
	    0);
	strand = open_strand(pool, 0);
	close_executor(pool);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	work_init(&work, quick, 1);
	ck_assert_int_eq(try_submit(strand, &work, NULL), -ESHUTDOWN);
	close_executor(strand);
}
END_TEST

START_TEST(a_strand_may_be_closed_while_its_pool_is)
{
	struct work running, queued[5];
	struct place place;
	pthread_t thread;
	struct closing closing;

	place_open(&place, STRAND, 1, 0);
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, queued, 5, place.loop);
	closing.executor = place.inner;
	work_init(&closing.extra, quick, 1);
	start_thread(&thread, close_in_thread, place.inner);
	while (try_submit(place.inner, &closing.extra, NULL) == 0) {
		eddy_job_cancel(&closing.extra.job);
		eddy_job_wait(&closing.extra.job, EDDY_FOREVER);
	}
	ck_assert_int_eq(eddy_executor_close(place.executor, 0), -ETIME);
	let_go(1);
	join(thread);
	place.inner = NULL;
	run_out(&place);
	expect(&running, EDDY_RETURNED);
	expect_many(queued, 5, EDDY_CANCELLED);
	place_leave(&place);
}
END_TEST

/* A pool that closes while a job of a strand waits for room in it. */
START_TEST(a_job_of_a_strand_that_waits_for_room_hears_of_the_pools_close)
{
	struct work jobs[4];
	struct jam jam;

	jam_open(&jam);
	start_many(jam.strand, jobs, 4, jam.loop);
	ck_assert_int_eq(eddy_executor_close(jam.pool, 0), -ETIME);
	turn(jam.loop); /* at once: nothing of it runs */
	expect_many(jobs, 4, EDDY_CANCELLED);
	stats_at_rest(jam.strand);
	close_executor(jam.strand);
	let_go(1);
	ck_assert_int_eq(eddy_loop_run(jam.loop), 0);
	expect(&jam.running, EDDY_RETURNED);
	expect(&jam.queued, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_loop_close(jam.loop), 0);
	while (A_LOAD(&live) != 0)
		sched_yield();
}
END_TEST

/* Another thread closes a strand while a cancel is half done: it knows that the
 * job has no outcome yet, and has not looked where it is. */
void __real_eddy__job_call_stop(
    struct eddy_executor *executor, struct eddy_job *job);
void __wrap_eddy__job_call_stop(
    struct eddy_executor *executor, struct eddy_job *job);

static struct eddy_executor *closed_meanwhile;

static void *
give_up_in_thread(void *arg)
{
	ck_assert_int_eq(eddy_executor_close(arg, 0), -ETIME);
	return NULL;
}

void
__wrap_eddy__job_call_stop(struct eddy_executor *executor, struct eddy_job *job)
{
	pthread_t thread;

	if (executor == closed_meanwhile) {
		closed_meanwhile = NULL;
		start_thread(&thread, give_up_in_thread, executor);
		join(thread);
	}
	__real_eddy__job_call_stop(executor, job);
}

START_TEST(a_cancel_may_meet_the_close_of_its_strand)
{
	struct work running, queued[3];
	struct place place;

	place_open(&place, STRAND, 1, 0);
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, queued, 3, place.loop);
	closed_meanwhile = place.executor;
	ck_assert_int_eq(eddy_job_cancel(&queued[2].job), 0);
	ck_assert_ptr_null(closed_meanwhile);
	let_go(1);
	run_out(&place);
	expect(&running, EDDY_RETURNED);
	expect_many(queued, 3, EDDY_CANCELLED);
	place_leave(&place);
}
END_TEST

/* Names. */

static bool
among(const char *name, const char *const *names, int n)
{
	while (n-- > 0)
		if (names[n] != NULL && strcmp(name, names[n]) == 0)
			return true;
	return false;
}

static void
start_named(struct place *place, struct work *work, const char *name)
{
	work_init(work, stay, 1);
	work->job.name = name;
	submit(place->executor, work, place->loop);
}

/* Three run and one more is queued; room names are asked for. */
static void
check_names(enum kind kind, int room)
{
	static const char *const given[] = {"amy", "bob", "cat"};
	const char *names[6] = {"", "", "", "", "", ""};
	struct work works[4];
	struct place place;
	int i;

	place_open(&place, kind, 3, 0);
	for (i = 0; i < 3; i++)
		start_named(&place, &works[i], given[i]);
	for (i = 0; i < 3; i++)
		until_entered(place.loop);
	start_named(&place, &works[3], "queued");
	ck_assert_int_eq(eddy_executor_close_naming(place.executor, EDDY_MS(2),
			     room != 0 ? names : NULL, (unsigned)room),
	    -ETIME);
	for (i = 0; i < room && i < 3; i++) {
		ck_assert(among(names[i], given, 3));
		ck_assert(!among(names[i], names, i));
	}
	for (; i < room; i++)
		ck_assert_ptr_null(names[i]);
	for (; i < 6; i++)
		ck_assert_str_eq(names[i], "");
	let_go(kind == THREADS ? 3 : 0); /* the others were killed */
	place_leave(&place);
	expect(&works[3], EDDY_CANCELLED);
	expect_many(works, 3, kind == THREADS ? EDDY_RETURNED : EDDY_CANCELLED);
	while (A_LOAD(&live) != 0)
		sched_yield();
}

START_TEST(close_names_stuck_threads)
{
	check_names(THREADS, 6);
	check_names(THREADS, 3);
	check_names(THREADS, 2);
	check_names(THREADS, 0);
}
END_TEST

START_TEST(close_names_stuck_processes_with_room)
{
	check_names(PROCESSES, 6);
}
END_TEST

START_TEST(close_names_stuck_processes_without_room)
{
	check_names(PROCESSES, 2);
	check_names(PROCESSES, 0);
}
END_TEST

static void
check_nameless(enum kind kind)
{
	const char *names[2];
	struct work running;
	struct place place;

	place_open(&place, kind, 1, 0);
	start_named(&place, &running, NULL);
	until_entered(place.loop);
	ck_assert_int_eq(
	    eddy_executor_close_naming(place.executor, 0, names, 2), -ETIME);
	ck_assert_str_eq(names[0], "job");
	ck_assert_ptr_null(names[1]);
	let_go(kind == PROCESSES ? 0 : 1); /* that was killed */
	place_leave(&place);
	expect(&running, kind == PROCESSES ? EDDY_CANCELLED : EDDY_RETURNED);
	while (A_LOAD(&live) != 0)
		sched_yield();
}

START_TEST(close_calls_a_thread_without_a_name_job)
{
	check_nameless(THREADS);
}
END_TEST

START_TEST(close_calls_a_process_without_a_name_job)
{
	check_nameless(PROCESSES);
}
END_TEST

/* Fork. */

static int
submit_in_child(void *arg)
{
	static struct work work;

	work_init(&work, quick, 1);
	return try_submit(arg, &work, NULL);
}

START_TEST(a_forked_child_has_no_strand)
{
	struct work running;
	struct place place;

	place_open(&place, STRAND, 2, 0);
	ck_assert_int_eq(
	    census_child(submit_in_child, place.executor), -ECHILD);
	occupy(place.executor, &running, place.loop);
	let_go(1);
	run_out(&place);
	stats_at_rest(place.executor);
	ck_assert_int_eq(
	    census_child(submit_in_child, place.executor), -ECHILD);
	place_close(&place);
}
END_TEST

START_TEST(a_forked_child_of_a_busy_strand_has_none)
{
	struct work running;
	struct place place;

	place_open(&place, STRAND, 2, 0);
	occupy(place.executor, &running, place.loop);
	ck_assert_int_eq(
	    census_child(submit_in_child, place.executor), -ECHILD);
	let_go(1);
	place_close(&place);
}
END_TEST

static int
close_in_child(void *arg)
{
	alarm(2); /* it must not wait for threads that are not here */
	return eddy_executor_close(arg, EDDY_FOREVER);
}

/* Not the right order either. */
static int
close_pool_first(void *arg)
{
	struct place *place = arg;

	ck_assert_int_eq(eddy_executor_close(place->inner, EDDY_FOREVER), 0);
	return eddy_executor_close(place->executor, EDDY_FOREVER);
}

START_TEST(a_forked_child_may_close_the_strand_last)
{
	struct place place;

	place_open(&place, _i ? STRAND : PROCESS_STRAND, 1, 0);
	ck_assert_int_eq(census_child(close_pool_first, &place), 0);
	place_close(&place);
}
END_TEST

START_TEST(a_forked_child_may_close_the_strand)
{
	struct work running, queued;
	struct place place;

	place_open(&place, STRAND, 2, 0);
	ck_assert_int_eq(census_child(close_in_child, place.executor), 0);
	occupy(place.executor, &running, place.loop);
	start(place.executor, &queued, quick, place.loop);
	ck_assert_int_eq(census_child(close_in_child, place.executor), 0);
	let_go(1);
	place_close(&place);
	expect(&running, EDDY_RETURNED);
	expect(&queued, EDDY_RETURNED);
}
END_TEST

/* Draining. */

static const enum kind all_kinds[] = {
    PROCESSES, PROCESS_STRAND, THREADS, STRAND, COPY, COPY_STRAND};
enum { ALL_KINDS = 6, KINDS = 4 }; /* the first have queues */

struct drainer {
	struct eddy_task task;
	struct eddy_executor *executor;
	int64_t duration;
	int rc, order;
};

static eddy_step
drainer(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct drainer, f);
	EDDY_AWAIT(f->rc, eddy_executor_drain(self, f->executor, f->duration));
	f->order = heard;
	EDDY_END;
}

static void
start_drainer(struct drainer *frame, struct place *place, int64_t duration)
{
	EDDY_INIT(frame, drainer, .executor = place->executor,
	    .duration = duration, .rc = EDDY_PENDING);
	spawn(place->loop, &frame->task);
}

/* Drain, and wait for that. */
static int
drain(struct place *place, int64_t duration)
{
	struct drainer frame;

	start_drainer(&frame, place, duration);
	until_done(place->loop, &frame.task);
	return frame.rc;
}

static void
expect_shut(struct place *place)
{
	struct runner frame;
	struct work work;

	work_init(&work, quick, 1);
	ck_assert_int_eq(
	    try_submit(place->executor, &work, place->loop), -ESHUTDOWN);
	ck_assert_int_eq(try_submit(place->executor, &work, NULL), -ESHUTDOWN);
	start_runner(&frame, place->loop, place->executor, quick);
	until_done(place->loop, &frame.task);
	ck_assert_int_eq(frame.rc, -ESHUTDOWN);
	heard--;
}

/* Full: one that runs, three queued (a thread waits for one of them), four
 * that wait for room. */
struct full {
	struct place place;
	struct work running, queued[2], afar;
	struct runner waiting[4];
};

static void
full_open(struct full *full, enum kind kind)
{
	struct place *place = &full->place;
	int i;

	place_open(place, kind, 1, 3);
	occupy(place->executor, &full->running, place->loop);
	start_many(place->executor, full->queued, 2, place->loop);
	start(place->executor, &full->afar, quick, NULL);
	for (i = 0; i < 4; i++)
		start_runner(
		    &full->waiting[i], place->loop, place->executor, quick);
	turn(place->loop);
	ck_assert_int_eq(heard, 0);
}

/* All have run. */
static void
full_expect(struct full *full)
{
	int i;

	expect(&full->running, EDDY_RETURNED);
	expect_many(full->queued, 2, EDDY_RETURNED);
	ck_assert_int_eq(eddy_job_wait(&full->afar.job, 0), 1);
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(full->waiting[i].rc, 1);
		ck_assert_int_eq(full->waiting[i].work.bytes.runs, 1);
	}
}

START_TEST(a_drain_awaits_all_that_was_accepted)
{
	enum kind kind = all_kinds[_i];
	struct drainer frame;
	struct full full;

	full_open(&full, kind);
	start_drainer(&frame, &full.place, EDDY_FOREVER);
	turn(full.place.loop);
	expect_shut(&full.place);
	ck_assert_int_eq(frame.rc, EDDY_PENDING);
	let_go(1);
	until_done(full.place.loop, &frame.task);
	ck_assert_int_eq(frame.rc, 0);
	ck_assert_int_eq(frame.order, 3 + 4); /* they were heard before */
	full_expect(&full);
	expect_shut(&full.place);
	place_close(&full.place);
}
END_TEST

START_TEST(what_is_drained_is_so_again_at_once)
{
	struct place place;

	place_open(&place, all_kinds[_i], 1, 3);
	ck_assert_int_eq(drain(&place, EDDY_FOREVER), 0);
	ck_assert_int_eq(drain(&place, 0), 0);
	place_close(&place);
}
END_TEST

/* A task that drains in the turn in which it submits. */
struct rusher {
	struct eddy_task task;
	struct place *place;
	struct work works[100];
	int rc, order;
};

static eddy_step
rusher(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct rusher, f);
	start_many(
	    f->place->executor, f->works, COUNT_OF(f->works), f->place->loop);
	EDDY_AWAIT(
	    f->rc, eddy_executor_drain(self, f->place->executor, EDDY_FOREVER));
	f->order = heard;
	EDDY_END;
}

START_TEST(a_drain_awaits_what_was_submitted_in_its_turn)
{
	enum kind kind = all_kinds[_i];
	static struct rusher frame;
	struct place place;
	struct work first;

	place_open(&place, kind, 2, 0);
	start(place.executor, &first, quick, place.loop);
	until_heard(place.loop, &first); /* there is a worker */
	heard = 0;
	eddy_prepare(&frame.task, rusher, "rusher");
	frame.place = &place;
	spawn(place.loop, &frame.task);
	run_out(&place);
	ck_assert_int_eq(frame.rc, 0);
	expect_many(frame.works, COUNT_OF(frame.works), EDDY_RETURNED);
	ck_assert_int_eq(frame.order, COUNT_OF(frame.works));
	place_close(&place);
}
END_TEST

/* A loop in the middle of a turn, whose jobs are accepted and nowhere yet. */
struct slow_turn {
	struct eddy_post post; /* first */
	struct eddy_executor *executor;
	struct work works[10];
	sem_t submitted, go_on;
};

static void
submit_and_stay(struct eddy_loop *loop, struct eddy_post *post)
{
	struct slow_turn *slow = (struct slow_turn *)post;
	size_t i;

	for (i = 0; i < COUNT_OF(slow->works); i++) {
		work_init(&slow->works[i], quick, 1);
		ck_assert_int_eq(eddy_submit(slow->executor,
				     &slow->works[i].job, loop, on_other),
		    0);
	}
	sem_post(&slow->submitted);
	wait_for(&slow->go_on);
}

static void *
run_slow_turn(void *arg)
{
	struct slow_turn *slow = arg;
	struct eddy_loop *loop = census_loop();

	eddy_post_init(&slow->post, submit_and_stay);
	ck_assert_int_eq(eddy_post(loop, &slow->post), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	return NULL;
}

START_TEST(a_drain_awaits_the_turn_of_another_loop)
{
	enum kind kind = _i == 0 ? THREADS : STRAND;
	static struct slow_turn slow;
	struct place place;
	struct work first;
	pthread_t thread;
	size_t i;

	place_open(&place, kind, 2, 0);
	start(place.executor, &first, quick, place.loop);
	run_out(&place);
	sem_init(&slow.submitted, 0, 0);
	sem_init(&slow.go_on, 0, 0);
	slow.executor = place.executor;
	start_thread(&thread, run_slow_turn, &slow);
	wait_for(&slow.submitted);
	if (kind == THREADS) /* a strand has no part in turns */
		ck_assert_int_eq(drain(&place, EDDY_MS(5)), -ETIME);
	sem_post(&slow.go_on);
	ck_assert_int_eq(drain(&place, EDDY_FOREVER), 0);
	for (i = 0; i < COUNT_OF(slow.works); i++)
		ck_assert_int_eq(eddy_job_rc(&slow.works[i].job), 1);
	join(thread);
	place_close(&place);
}
END_TEST

START_TEST(what_never_had_a_job_is_drained_at_once)
{
	struct place place;

	place_open(&place, all_kinds[_i], 1, 0);
	ck_assert_int_eq(drain(&place, EDDY_FOREVER), 0);
	expect_shut(&place);
	place_close(&place);
}
END_TEST

START_TEST(a_cancelled_task_drains_nothing)
{
	struct drainer frame;
	struct place place;
	struct work work;

	place_open(&place, all_kinds[_i], 1, 0);
	start_drainer(&frame, &place, EDDY_FOREVER);
	ck_assert_int_eq(eddy_cancel(&frame.task), 0);
	until_done(place.loop, &frame.task);
	ck_assert_int_eq(frame.rc, -ECANCELED);
	start(place.executor, &work, quick, place.loop);
	run_out(&place);
	expect(&work, EDDY_RETURNED);
	place_close(&place);
}
END_TEST

START_TEST(what_is_drained_may_be_drained_again)
{
	struct place place;
	struct work work;

	place_open(&place, all_kinds[_i], 1, 0);
	start(place.executor, &work, quick, place.loop);
	ck_assert_int_eq(drain(&place, EDDY_FOREVER), 0);
	expect(&work, EDDY_RETURNED);
	ck_assert_int_eq(drain(&place, EDDY_FOREVER), 0);
	ck_assert_int_eq(drain(&place, EDDY_FOREVER), 0);
	expect_shut(&place);
	place_close(&place);
}
END_TEST

START_TEST(a_drain_that_was_late_may_be_asked_for_again)
{
	struct drainer frame;
	struct full full;
	int64_t began;
	int i;

	full_open(&full, all_kinds[_i]);
	for (i = 0; i < 3; i++) {
		began = eddy_now();
		ck_assert_int_eq(drain(&full.place, EDDY_MS(i)), -ETIME);
		ck_assert_int_ge(eddy_now() - began, EDDY_MS(i));
		expect_shut(&full.place); /* from then on */
	}
	start_drainer(&frame, &full.place, EDDY_FOREVER);
	turn(full.place.loop);
	ck_assert_int_eq(frame.rc, EDDY_PENDING);
	let_go(1);
	until_done(full.place.loop, &frame.task);
	ck_assert_int_eq(frame.rc, 0);
	ck_assert_int_eq(frame.order, 3 + 4);
	full_expect(&full);
	place_close(&full.place);
}
END_TEST

/* Nobody drains any more, but what was accepted was accepted. */
START_TEST(a_drain_that_was_late_costs_no_job)
{
	struct full full;

	full_open(&full, all_kinds[_i]);
	ck_assert_int_eq(drain(&full.place, EDDY_MS(1)), -ETIME);
	let_go(1);
	run_out(&full.place);
	full_expect(&full);
	ck_assert_int_eq(drain(&full.place, EDDY_FOREVER), 0);
	place_close(&full.place);
}
END_TEST

START_TEST(a_cancelled_drain_costs_no_job)
{
	struct drainer frame;
	struct full full;

	full_open(&full, all_kinds[_i]);
	start_drainer(&frame, &full.place, EDDY_FOREVER);
	turn(full.place.loop);
	ck_assert_int_eq(eddy_cancel(&frame.task), 0);
	until_done(full.place.loop, &frame.task);
	ck_assert_int_eq(frame.rc, -ECANCELED);
	ck_assert_int_eq(full.running.outcomes, 0);
	expect_shut(&full.place);
	let_go(1);
	ck_assert_int_eq(drain(&full.place, EDDY_FOREVER), 0);
	full_expect(&full);
	place_close(&full.place);
}
END_TEST

START_TEST(a_drain_counts_real_time)
{
	struct eddy_clock clock = {.now = EDDY_S(5)};
	struct eddy_loop_options options = {.clock = &clock};
	struct place place;
	struct work running;
	int64_t began;

	place_open(&place, _i == 0 ? THREADS : STRAND, 1, 0);
	ck_assert_int_eq(eddy_loop_close(place.loop), 0);
	ck_assert_int_eq(eddy_loop_open(&place.loop, &options), 0);
	occupy(place.executor, &running, place.loop);
	began = eddy_now();
	ck_assert_int_eq(drain(&place, EDDY_MS(5)), -ETIME);
	ck_assert_int_ge(eddy_now() - began, EDDY_MS(5));
	ck_assert_int_eq(clock.now, EDDY_S(5));
	let_go(1);
	ck_assert_int_eq(drain(&place, EDDY_FOREVER), 0);
	place_close(&place);
}
END_TEST

/* Of drains that are not asked for by a task. */
static int done_calls, done_result;

static void
on_drained(struct eddy_loop *loop, struct eddy_executor *executor, int result)
{
	(void)loop;
	(void)executor;
	done_calls++;
	done_result = result;
}

static void
close_when_drained(
    struct eddy_loop *loop, struct eddy_executor *executor, int result)
{
	on_drained(loop, executor, result);
	close_executor(executor);
}

static int
drain_then(struct place *place)
{
	return eddy_executor_drain_then(
	    place->executor, place->loop, on_drained);
}

static void
start_drain(struct place *place, eddy_drained_fn *done)
{
	done_calls = 0;
	done_result = 1;
	ck_assert_int_eq(
	    eddy_executor_drain_then(place->executor, place->loop, done), 0);
}

static void
expect_done(int result)
{
	ck_assert_int_eq(done_calls, 1);
	ck_assert_int_eq(done_result, result);
}

static void *
drain_elsewhere(void *arg)
{
	struct place place = {
	    .executor = ((struct place *)arg)->executor, .loop = census_loop()};
	int rc = drain(&place, EDDY_FOREVER);

	ck_assert_int_eq(eddy_loop_close(place.loop), 0);
	return (void *)(intptr_t)rc;
}

START_TEST(one_drain_at_a_time)
{
	struct drainer frame;
	struct place place;
	struct work running;
	pthread_t thread;
	void *rc;

	place_open(&place, all_kinds[_i], 1, 0);
	occupy(place.executor, &running, place.loop);
	start_drainer(&frame, &place, EDDY_FOREVER);
	turn(place.loop);
	ck_assert_int_eq(drain(&place, EDDY_FOREVER), -EBUSY);
	ck_assert_int_eq(drain_then(&place), -EBUSY);
	start_thread(&thread, drain_elsewhere, &place);
	ck_assert_int_eq(pthread_join(thread, &rc), 0);
	ck_assert_int_eq((intptr_t)rc, -EBUSY);
	ck_assert_int_eq(frame.rc, EDDY_PENDING);
	let_go(1);
	until_done(place.loop, &frame.task);
	ck_assert_int_eq(frame.rc, 0);
	place_close(&place);
}
END_TEST

START_TEST(a_drain_keeps_the_loop_alive)
{
	struct place place;
	struct work running;

	place_open(&place, all_kinds[_i], 1, 0);
	start(place.executor, &running, stay, NULL); /* no job of the loop */
	until_entered(place.loop);
	start_drain(&place, on_drained);
	ck_assert_int_eq(eddy_loop_step(place.loop, 0), 1);
	ck_assert_int_eq(eddy_loop_step(place.loop, EDDY_MS(1)), 1);
	ck_assert_int_eq(done_calls, 0);
	let_go(1);
	run_out(&place);
	expect_done(0);
	ck_assert_int_eq(eddy_job_wait(&running.job, 0), 1);
	ck_assert_int_eq(eddy_loop_step(place.loop, 0), 0);
	place_close(&place);
	expect_done(0);
}
END_TEST

START_TEST(what_is_drained_may_be_closed_at_once)
{
	enum kind kind = all_kinds[_i];
	int i, rounds = kind < PROCESSES ? 100 : 3;
	struct work works[3];
	struct place place;

	for (i = 0; i < rounds; i++) {
		place_open(&place, kind, 2, 0);
		start_many(place.executor, works, 3, place.loop);
		start_drain(&place, close_when_drained);
		ck_assert_int_eq(done_calls, 0); /* not from within */
		run_out(&place);
		expect_done(0);
		expect_many(works, 3, EDDY_RETURNED);
		place_leave(&place);
	}
}
END_TEST

/* A close ends the drain: what it waited for is not awaited any more. */

START_TEST(a_task_that_drains_hears_of_the_close)
{
	enum kind kind = all_kinds[_i];
	struct drainer frame;
	struct work running, queued[2];
	struct place place;

	place_open(&place, kind, 1, 0);
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, queued, 2, place.loop);
	start_drainer(&frame, &place, EDDY_S(100));
	turn(place.loop);
	ck_assert_int_eq(eddy_executor_close(place.executor, 0), -ETIME);
	until_done(place.loop, &frame.task);
	ck_assert_int_eq(frame.rc, -ESHUTDOWN);
	let_go(1);
	run_out(&place);
	expect(&running, kind == PROCESSES ? EDDY_CANCELLED : EDDY_RETURNED);
	expect_many(queued, 2, EDDY_CANCELLED);
	place_leave(&place);
	while (A_LOAD(&live) != 0)
		sched_yield();
}
END_TEST

START_TEST(a_callback_of_a_drain_hears_of_the_close)
{
	enum kind kind = all_kinds[_i];
	struct work running, queued[2];
	struct place place;

	place_open(&place, kind, 1, 0);
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, queued, 2, place.loop);
	start_drain(&place, on_drained);
	turn(place.loop);
	ck_assert_int_eq(eddy_executor_close(place.executor, 0), -ETIME);
	let_go(1);
	run_out(&place); /* which is not held any more */
	expect_done(-ESHUTDOWN);
	expect(&running, kind == PROCESSES ? EDDY_CANCELLED : EDDY_RETURNED);
	expect_many(queued, 2, EDDY_CANCELLED);
	place_leave(&place);
	while (A_LOAD(&live) != 0)
		sched_yield();
}
END_TEST

/* The end of the jobs and the close at once. */
START_TEST(a_close_may_meet_the_end_of_a_drain)
{
	enum kind kind = _i == 0 ? THREADS : STRAND;
	struct work works[3];
	struct place place;
	int i, k;

	for (i = 0; i < 500; i++) {
		place_open(&place, kind, 2, 0);
		start_many(place.executor, works, 3, place.loop);
		start_drain(&place, on_drained);
		for (k = 0; k < i % 8; k++)
			sched_yield();
		close_executor(place.executor);
		place_leave(&place);
		expect_done(done_result == 0 ? 0 : -ESHUTDOWN);
		for (k = 0; k < 3; k++)
			expect(&works[k], works[k].bytes.runs != 0
					      ? EDDY_RETURNED
					      : EDDY_CANCELLED);
	}
}
END_TEST

/* Tables of the user's. */

START_TEST(a_table_without_drain_is_enotsup)
{
	struct picky picky;
	struct place place = {.loop = census_loop()};
	struct work work;

	picky_init(&picky, &no_drain_ops);
	place.executor = &picky.executor;
	ck_assert_int_eq(drain(&place, EDDY_FOREVER), -ENOTSUP);
	ck_assert_int_eq(drain_then(&place), -ENOTSUP);
	start(place.executor, &work, quick, place.loop); /* it is open */
	picky_run(&picky);
	place_close(&place);
	expect(&work, EDDY_RETURNED);
}
END_TEST

static void *
say_drained(void *arg)
{
	eddy_executor_drained(arg);
	return NULL;
}

START_TEST(a_table_is_asked_to_drain_when_nobody_waits_for_room)
{
	struct place place = {.loop = census_loop()};
	struct runner frames[3];
	struct drainer frame;
	struct picky picky;
	pthread_t thread;
	int i;

	picky_init(&picky, &picky_ops);
	place.executor = &picky.executor;
	picky.answer = -EAGAIN;
	for (i = 0; i < 3; i++)
		start_runner(&frames[i], place.loop, place.executor, quick);
	turn(place.loop);
	start_drainer(&frame, &place, EDDY_FOREVER);
	turn(place.loop);
	ck_assert_uint_eq(picky.drains, 0);
	picky.answer = 0;
	eddy_executor_room(place.executor, 1);
	picky_run(&picky);
	until_done(place.loop, &frames[0].task);
	ck_assert_int_eq(eddy_cancel(&frames[2].task), 0);
	ck_assert_uint_eq(picky.drains, 0);
	eddy_executor_room(place.executor, 1);
	ck_assert_uint_eq(picky.drains, 1);
	ck_assert_int_eq(frame.rc, EDDY_PENDING);
	picky_run(&picky);
	start_thread(&thread, say_drained, place.executor);
	join(thread);
	until_done(place.loop, &frame.task);
	ck_assert_int_eq(frame.rc, 0);
	ck_assert_uint_eq(picky.drains, 1);
	ck_assert_int_eq(frames[0].rc, 1);
	ck_assert_int_eq(frames[1].rc, 1);
	ck_assert_int_eq(frames[2].rc, -ECANCELED);
	close_executor(place.executor);
	place_leave(&place);
}
END_TEST

/* The last of those who wait gives up: then it is time, too. */
START_TEST(a_table_is_asked_to_drain_when_the_last_gives_up)
{
	struct place place = {.loop = census_loop()};
	struct runner waiting;
	struct drainer frame;
	struct picky picky;

	picky_init(&picky, &picky_ops);
	place.executor = &picky.executor;
	picky.answer = -EAGAIN;
	start_runner(&waiting, place.loop, place.executor, quick);
	turn(place.loop);
	start_drainer(&frame, &place, EDDY_FOREVER);
	turn(place.loop);
	ck_assert_uint_eq(picky.drains, 0);
	ck_assert_int_eq(eddy_cancel(&waiting.task), 0);
	ck_assert_uint_eq(picky.drains, 1);
	eddy_executor_drained(place.executor);
	until_done(place.loop, &frame.task);
	ck_assert_int_eq(frame.rc, 0);
	ck_assert_int_eq(waiting.rc, -ECANCELED);
	close_executor(place.executor);
	place_leave(&place);
}
END_TEST

static void *
drain_for_another(void *arg)
{
	return (void *)(intptr_t)drain_then(arg);
}

START_TEST(a_drain_for_a_loop_of_another_thread_is_eperm)
{
	struct place place;
	struct work work;
	pthread_t thread;
	void *rc;

	place_open(&place, all_kinds[_i], 1, 0);
	start_thread(&thread, drain_for_another, &place);
	ck_assert_int_eq(pthread_join(thread, &rc), 0);
	ck_assert_int_eq((intptr_t)rc, -EPERM);
	start(place.executor, &work, quick, place.loop); /* it is open */
	run_out(&place);
	expect(&work, EDDY_RETURNED);
	place_close(&place);
}
END_TEST

/* A pool that is drained under a strand. */

START_TEST(a_pool_that_is_drained_first_leaves_no_job_of_a_strand)
{
	struct place place, pool;
	struct drainer frame;
	struct work running, queued[4];

	place_open(&place, STRAND, 1, 0);
	pool = place;
	pool.executor = place.inner;
	occupy(place.executor, &running, place.loop);
	start_many(place.executor, queued, 4, place.loop);
	start_drainer(&frame, &pool, EDDY_FOREVER);
	turn(place.loop);
	ck_assert_int_eq(frame.rc, EDDY_PENDING);
	let_go(1);
	run_out(&place);
	ck_assert_int_eq(frame.rc, 0);
	expect(&running, EDDY_RETURNED);
	expect_many(queued, 4, EDDY_CANCELLED);
	place_close(&place);
}
END_TEST

START_TEST(a_drain_of_a_pool_runs_what_a_strand_has_waiting_for_room)
{
	struct place pool;
	struct drainer frame;
	struct work jobs[2];
	struct jam jam;

	jam_open(&jam);
	start_many(jam.strand, jobs, 2, jam.loop);
	pool.executor = jam.pool;
	pool.loop = jam.loop;
	start_drainer(&frame, &pool, EDDY_FOREVER);
	turn(jam.loop);
	ck_assert_int_eq(frame.rc, EDDY_PENDING);
	jam_close(&jam);
	ck_assert_int_eq(frame.rc, 0);
	expect(&jobs[0], EDDY_RETURNED);
	expect(&jobs[1], EDDY_CANCELLED);
}
END_TEST

/* Drains without patience, again and again until one is in time. */
struct nagger {
	struct eddy_task task;
	struct eddy_executor *executor;
	unsigned seed;
	int rc, times, total; /* jobs that must be heard */
};

static eddy_step
nagger(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct nagger, f);
	do {
		EDDY_AWAIT(f->rc, eddy_executor_drain(self, f->executor,
				      rand_r(&f->seed) % 20000));
		f->times++;
	} while (f->rc == -ETIME);
	if (f->rc == 0 && heard != f->total)
		ck_abort_msg("%d of %d jobs were heard", heard, f->total);
	EDDY_END;
}

START_TEST(a_drain_may_meet_its_end)
{
	enum { JOBS = 6, ROUNDS = SLOW ? 100 : 1000 };
	enum kind kind = _i == 0 ? THREADS : STRAND;
	struct runner frames[JOBS];
	struct nagger frame;
	struct place place;
	int i, k;

	for (i = 0; i < ROUNDS; i++) {
		place_open(&place, kind, 2, 2);
		for (k = 0; k < JOBS; k++)
			start_runner(
			    &frames[k], place.loop, place.executor, quick);
		turn(place.loop);
		EDDY_INIT(&frame, nagger, .executor = place.executor,
		    .seed = (unsigned)i, .total = JOBS);
		spawn(place.loop, &frame.task);
		run_out(&place);
		ck_assert_int_eq(frame.rc, 0);
		for (k = 0; k < JOBS; k++)
			ck_assert_int_eq(frames[k].rc, 1);
		place_close(&place);
	}
}
END_TEST

/* Threads that submit until they are told to stop. */
struct pusher {
	struct eddy_executor *executor;
	unsigned accepted, returned;
	uint32_t finished; /* any thread */
};

static void *
push(void *arg)
{
	struct pusher *pusher = arg;
	struct work work;
	int r;

	work_init(&work, quick, 1);
	while ((r = try_submit(pusher->executor, &work, NULL)) != -ESHUTDOWN) {
		if (r != 0 && r != -EAGAIN)
			ck_abort_msg("submit: %d", r);
		pusher->accepted += r == 0;
		if (r == 0)
			pusher->returned += eddy_job_wait(
						&work.job, EDDY_FOREVER) == 1;
	}
	A_RELEASE(&pusher->finished, 1);
	return NULL;
}

enum { PUSHERS = 3 };

/* Drain it under the hands of the pushers.  How many jobs it has accepted. */
static uint64_t
drain_and_join(struct place *place, struct pusher *pushers, pthread_t *threads)
{
	struct eddy_executor_stats stats;
	int i;

	ck_assert_int_eq(drain(place, EDDY_FOREVER), 0);
	eddy_executor_stats(place->executor, &stats);
	for (i = 0; i < PUSHERS; i++) {
		while (A_ACQUIRE(&pushers[i].finished) == 0)
			wait_turn(place->loop);
		join(threads[i]);
	}
	return stats.submitted;
}

START_TEST(nothing_is_accepted_after_a_drain_at_any_time)
{
	enum kind kind = all_kinds[_i];
	int i, k, rounds = kind >= PROCESSES ? 20 : 200;
	struct pusher pushers[PUSHERS];
	pthread_t threads[PUSHERS];
	struct place place;
	uint64_t submitted, accepted;

	if (CENSUS_TSAN && kind >= PROCESSES)
		rounds = 1; /* its own thread is in the way of a fork */
	for (k = 0; k < rounds; k++) {
		place_open(&place, kind, 2, 2);
		for (i = 0; i < PUSHERS; i++) {
			pushers[i] = (struct pusher){
			    .executor = place.executor};
			start_thread(&threads[i], push, &pushers[i]);
		}
		while (A_LOAD(&board->begun) < (unsigned)k)
			turn(place.loop);
		submitted = drain_and_join(&place, pushers, threads);
		accepted = 0;
		for (i = 0; i < PUSHERS; i++) {
			ck_assert_uint_eq(
			    pushers[i].returned, pushers[i].accepted);
			accepted += pushers[i].accepted;
		}
		ck_assert_uint_eq(
		    stats_at_rest(place.executor).returned, accepted);
		ck_assert_uint_eq(submitted, accepted);
		place_close(&place);
		A_STORE(&board->begun, 0);
	}
}
END_TEST

/* Storms. */

/* Tasks of several loops on two strands of one pool and the pool itself, with
 * short queues and little patience. */
enum { LOOPS = 3, TASKS = 24, TURNS = SLOW ? 40 : 120, PLACES = 3 };

struct hasty {
	struct eddy_task task;
	struct eddy_executor **places;
	struct work work;
	unsigned seed;
	int turn, returned, late, refused;
	int rc;
};

static struct line lines[PLACES];

/* Those of a strand are alone. */
static int
alone(void *arg)
{
	struct work *work = arg;
	struct line *that = &lines[work->bytes.value];
	int others, i;

	if (that == &lines[PLACES - 1]) /* the pool itself */
		return quick(&work->bytes);
	others = that->inside++;
	for (i = 0; i < 20 && !eddy_job_stop_requested(); i++)
		sched_yield();
	quick(&work->bytes);
	return --that->inside + others == 0 ? work->bytes.value : -EBUSY;
}

static struct eddy_executor *
roll(struct hasty *f)
{
	unsigned dice = (unsigned)rand_r(&f->seed);
	int place = (int)(dice % PLACES);

	f->work.job = (struct eddy_job){.fn = alone, .arg = &f->work};
	f->work.bytes.value = place;
	dice /= PLACES;
	if (dice % 4 == 0)
		f->work.job.flags = EDDY_JOB_NOWAIT;
	dice /= 4;
	if (dice % 4 == 0)
		f->work.job.deadline = eddy_after(EDDY_US(dice % 500));
	return f->places[place];
}

static eddy_step
hasty(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct hasty, f);
	for (f->turn = 0; f->turn < TURNS; f->turn++) {
		EDDY_AWAIT(
		    f->rc, eddy_timeout(self, EDDY_US(rand_r(&f->seed) % 3000),
			       eddy_job_run(self, roll(f), &f->work.job)));
		f->returned += f->rc == f->work.bytes.value;
		f->late += f->rc == -ETIME;
		f->refused += f->rc == -EAGAIN;
	}
	EDDY_END;
}

static void *
run_hasty(void *arg)
{
	struct hasty *tasks = calloc(TASKS, sizeof(*tasks));
	struct eddy_loop *loop = census_loop();
	int i;

	ck_assert_ptr_nonnull(tasks);
	for (i = 0; i < TASKS; i++) {
		eddy_prepare(&tasks[i].task, hasty, "hasty");
		tasks[i].places = arg;
		tasks[i].seed = (unsigned)i;
		spawn(loop, &tasks[i].task);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < TASKS; i++) {
		ck_assert_int_eq(tasks[i].returned, tasks[i].work.bytes.runs);
		ck_assert_int_eq(
		    tasks[i].returned + tasks[i].late + tasks[i].refused,
		    TURNS);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	free(tasks);
	return NULL;
}

START_TEST(hasty_tasks_of_many_loops_share_two_strands_and_their_pool)
{
	struct eddy_executor *places[PLACES];
	pthread_t threads[LOOPS];
	int i;

	places[PLACES - 1] = open_threads(3, 4);
	for (i = 0; i < PLACES - 1; i++)
		places[i] = open_strand(places[PLACES - 1], 5);
	for (i = 0; i < LOOPS; i++)
		start_thread(&threads[i], run_hasty, places);
	for (i = 0; i < LOOPS; i++)
		join(threads[i]);
	for (i = 0; i < PLACES; i++) {
		stats_at_rest(places[i]);
		ck_assert_int_eq(lines[i].inside, 0);
	}
	for (i = 0; i < PLACES; i++)
		close_executor(places[i]);
}
END_TEST

/* Tasks with little patience on a strand over processes, which are killed. */
struct killer {
	struct eddy_task task;
	struct eddy_executor *executor;
	uint32_t number;
	unsigned seed;
	int turn, returned, late, rc;
};

static uint32_t last_number;

static int
undisturbed(void *arg)
{
	uint32_t number = *(uint32_t *)arg;
	int i;

	A_STORE(&board->current, number);
	for (i = 0; i < 50; i++)
		sched_yield();
	return A_LOAD(&board->current) == number ? 1 : -EBUSY;
}

static uint32_t *
next_number(struct killer *f)
{
	f->number = ++last_number;
	return &f->number;
}

static eddy_step
killer(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct killer, f);
	for (f->turn = 0; f->turn < TURNS / 4; f->turn++) {
		EDDY_AWAIT(
		    f->rc, eddy_timeout(self, EDDY_US(rand_r(&f->seed) % 3000),
			       eddy_offload(self, f->executor, undisturbed,
				   next_number(f))));
		f->returned += f->rc == 1;
		f->late += f->rc == -ETIME;
	}
	EDDY_END;
}

START_TEST(a_storm_of_kills_disturbs_no_job_of_a_strand)
{
	static struct killer frames[16];
	struct place place;
	struct work last;
	size_t i;

	place_open(&place, PROCESS_STRAND, 2, 0);
	for (i = 0; i < COUNT_OF(frames); i++) {
		EDDY_INIT(&frames[i], killer, .executor = place.executor,
		    .seed = (unsigned)i);
		spawn(place.loop, &frames[i].task);
	}
	run_out(&place);
	for (i = 0; i < COUNT_OF(frames); i++)
		ck_assert_int_eq(
		    frames[i].returned + frames[i].late, TURNS / 4);
	start(place.executor, &last, quick, place.loop);
	run_out(&place);
	expect(&last, EDDY_RETURNED);
	place_close(&place);
}
END_TEST

/* Threads submit, cancel and set deadlines at random, two loops hear, and
 * strands are closed with what they have and opened anew. */
enum {
	GUESTS = 4,
	SEATS = 32, /* jobs of a guest at a time */
	TABLES = 3, /* strands */
	VISITS = SLOW ? 3000 : 20000,
	CLOSES = SLOW ? 100 : 500,
};

static struct table {
	pthread_rwlock_t lock; /* held by who uses executor */
	struct eddy_executor *executor;
	uint32_t generation;
} tables[TABLES + 1]; /* the last is the pool */

struct guest;

struct seat {
	struct eddy_job job; /* first */
	struct guest *guest;
	uint32_t busy; /* the guest sets, the callback clears */
	uint32_t serial, ran, heard;
	int table;
	uint32_t generation;
	bool limited;
};

static struct guest {
	struct seat seats[SEATS];
	struct eddy_loop *loop;
	struct eddy_post post;
	unsigned seed;
	int visits;
} guests[GUESTS];

static uint32_t served, ends[EDDY_PROTOCOL + 1]; /* any thread */
static uint32_t closes_left;                     /* any thread */

static int
sit(void *arg)
{
	struct seat *seat = arg;
	int i;

	for (i = 0; i < (int)(seat->serial % 16); i++)
		if (!eddy_job_stop_requested())
			sched_yield();
	seat->ran = seat->serial;
	return (int)(seat->serial & 0xffff);
}

static void
on_seat(struct eddy_loop *loop, struct eddy_job *job)
{
	struct seat *seat = (struct seat *)job;
	bool ran = job->outcome == EDDY_RETURNED;

	if (A_LOAD(&seat->busy) != 1 || ++seat->heard != seat->serial ||
	    loop != seat->guest->loop || ran != (seat->ran == seat->serial) ||
	    (ran && job->result != (int)(seat->serial & 0xffff)) ||
	    (!ran && job->outcome != EDDY_CANCELLED &&
		(job->outcome != EDDY_EXPIRED || !seat->limited)))
		ck_abort_msg("job %u: heard of %u, ran %u, outcome %d",
		    seat->serial, seat->heard, seat->ran, job->outcome);
	A_ADD(&ends[job->outcome], 1);
	A_ADD(&served, 1);
	A_RELEASE(&seat->busy, 0);
}

/* Its strand may be closed, and its job all but heard. */
static void
leave_seat(struct seat *seat)
{
	struct table *table = &tables[seat->table];

	pthread_rwlock_rdlock(&table->lock);
	if (table->generation == seat->generation)
		eddy_job_cancel(&seat->job);
	pthread_rwlock_unlock(&table->lock);
}

static bool
take_seat(struct guest *guest, struct seat *seat, unsigned dice)
{
	struct table *table = &tables[dice % (TABLES + 1)];
	int r;

	seat->job = (struct eddy_job)EDDY_JOB(sit, seat);
	seat->guest = guest;
	seat->table = (int)(table - tables);
	dice /= TABLES + 1;
	seat->limited = dice % 4 == 0;
	if (seat->limited)
		seat->job.deadline = eddy_after(EDDY_US(dice % 300));
	seat->serial++;
	A_STORE(&seat->busy, 1);
	pthread_rwlock_rdlock(&table->lock);
	seat->generation = table->generation;
	r = eddy_submit(table->executor, &seat->job, guest->loop, on_seat);
	pthread_rwlock_unlock(&table->lock);
	if (r == 0)
		return true;
	if (r != -EAGAIN)
		ck_abort_msg("submit: %d", r);
	seat->serial--;
	A_STORE(&seat->busy, 0);
	return false;
}

static void *
visit(void *arg)
{
	struct guest *guest = arg;

	while (guest->visits < VISITS || A_LOAD(&closes_left) != 0) {
		unsigned dice = (unsigned)rand_r(&guest->seed);
		struct seat *seat = &guest->seats[dice % SEATS];

		dice /= SEATS;
		if (A_ACQUIRE(&seat->busy) == 0)
			guest->visits += take_seat(guest, seat, dice);
		else if (dice % 4 == 0)
			leave_seat(seat);
		else
			sched_yield();
	}
	eddy_post_init(&guest->post, on_all_sent);
	ck_assert_int_eq(eddy_post(guest->loop, &guest->post), 0);
	return NULL;
}

static void *
run_loop(void *arg)
{
	ck_assert_int_eq(eddy_loop_run(arg), 0);
	return NULL;
}

/* The last one that waits for room gives up in the thread of its loop, so its
 * pool could be drained; but it is closed before that thread can say so. */
void __real_eddy__job_leave(const struct eddy_job *job);
void __wrap_eddy__job_leave(const struct eddy_job *job);

static struct meeting {
	const struct eddy_job *job;
	sem_t gave_up, closed;
} meeting;

void
__wrap_eddy__job_leave(const struct eddy_job *job)
{
	if (job == meeting.job) {
		meeting.job = NULL;
		sem_post(&meeting.gave_up);
		wait_for(&meeting.closed);
	}
	__real_eddy__job_leave(job);
}

static void
spoil(void *p)
{
	memset(p, 0xdb, malloc_usable_size(p));
}

static void
on_no_drain(struct eddy_loop *loop, struct eddy_executor *executor, int result)
{
	(void)loop;
	(void)executor;
	ck_assert_int_eq(result, -ESHUTDOWN);
}

START_TEST(a_drain_may_meet_a_close_and_who_gives_up)
{
	struct eddy_process_pool_options options = {
	    .workers = 1, .depth = 1, .queue_limit = 1};
	struct eddy_loop *loop = census_loop(), *other = census_loop();
	struct work running, queued;
	struct eddy_executor *pool;
	struct runner waiting;
	pthread_t thread;

	sem_init(&meeting.gave_up, 0, 0);
	sem_init(&meeting.closed, 0, 0);
	ck_assert_int_eq(eddy_process_pool_open(&pool, NULL, &options), 0);
	occupy(pool, &running, loop);
	start(pool, &queued, quick, loop);
	runner_init(&waiting, pool, quick, EDDY_MS(20));
	spawn(other, &waiting.task);
	turn(other);
	ck_assert_int_eq(eddy_executor_drain_then(pool, loop, on_no_drain), 0);
	meeting.job = &waiting.work.job;
	on_free = spoil;
	start_thread(&thread, run_loop, other);
	wait_for(&meeting.gave_up);
	ck_assert_int_eq(eddy_executor_close(pool, 0), -ETIME);
	sem_post(&meeting.closed);
	join(thread);
	on_free = NULL;
	ck_assert_int_eq(waiting.rc, -ETIME);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(&running, EDDY_CANCELLED);
	expect(&queued, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(eddy_loop_close(other), 0);
}
END_TEST

/* Another thread takes a job back, and has not published its outcome yet. */
static void *
cancel_in_thread(void *job)
{
	ck_assert_int_eq(eddy_job_cancel(job), 0);
	return NULL;
}

static void
begin_cancel(pthread_t *ret_thread, struct eddy_job *job)
{
	sem_init(&meeting.gave_up, 0, 0);
	sem_init(&meeting.closed, 0, 0);
	meeting.job = job;
	start_thread(ret_thread, cancel_in_thread, job);
	wait_for(&meeting.gave_up);
}

/* No job is left but the one that is taken back: the drain waits for it. */
static void
expect_patience(struct place *place, pthread_t thread, struct work *last)
{
	turn(place->loop);
	turn(place->loop);
	ck_assert_int_eq(done_calls, 0);
	sem_post(&meeting.closed);
	join(thread);
	while (done_calls == 0)
		wait_turn(place->loop);
	expect_done(0);
	expect(last, EDDY_CANCELLED);
}

START_TEST(a_drain_awaits_what_a_cancel_takes_out_of_a_pool)
{
	struct eddy_executor_stats stats;
	struct work running, queued;
	struct place place;
	pthread_t thread;

	place_open(&place, THREADS, 1, 0);
	occupy(place.executor, &running, place.loop);
	start(place.executor, &queued, quick, place.loop);
	begin_cancel(&thread, &queued.job);
	start_drain(&place, on_drained);
	let_go(1);
	do {
		sched_yield();
		eddy_executor_stats(place.executor, &stats);
	} while (stats.workers != 0);
	expect_patience(&place, thread, &queued);
	expect(&running, EDDY_RETURNED);
	place_close(&place);
}
END_TEST

static void *
close_in_time(void *executor)
{
	ck_assert_int_eq(eddy_executor_close(executor, EDDY_FOREVER), 0);
	sem_post(&board->entered);
	return NULL;
}

/* Its workers; its memory stays while an outcome was not heard. */
static void
until_left(struct eddy_executor *pool)
{
	struct eddy_executor_stats stats;

	do {
		sched_yield();
		eddy_executor_stats(pool, &stats);
	} while (stats.workers != 0);
}

/* A loop may cancel its job while another thread closes. */
START_TEST(a_close_awaits_what_a_cancel_takes_out_of_a_pool)
{
	struct eddy_executor *pool = open_threads(1, 0);
	struct eddy_loop *loop = census_loop();
	pthread_t canceller, closer;
	struct work running, queued;

	occupy(pool, &running, loop);
	start(pool, &queued, quick, loop);
	begin_cancel(&canceller, &queued.job);
	start_thread(&closer, close_in_time, pool);
	let_go(1);
	until_heard(loop, &running);
	until_left(pool);
	ck_assert_int_lt(sem_trywait(&board->entered), 0);
	sem_post(&meeting.closed);
	join(canceller);
	join(closer);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(&running, EDDY_RETURNED);
	expect(&queued, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void *
let_end_when_closed(void *arg)
{
	struct eddy_executor *executor = arg;

	while (!A_LOAD(&executor->closed))
		sched_yield();
	poll(NULL, 0, 20);
	sem_post(&meeting.closed);
	return NULL;
}

/* So it has its outcome then. */
START_TEST(a_close_awaits_what_a_cancel_takes_out_of_a_strand)
{
	struct eddy_executor *strand;
	struct work running, queued;
	pthread_t canceller, helper;
	struct picky picky;

	picky_init(&picky, &picky_ops);
	strand = open_strand(&picky.executor, 0);
	start(strand, &running, quick, NULL);
	start(strand, &queued, quick, NULL);
	begin_cancel(&canceller, &queued.job);
	picky_run(&picky);
	start_thread(&helper, let_end_when_closed, strand);
	close_executor(strand);
	ck_assert_int_eq(eddy_job_wait(&queued.job, 0), -ECANCELED);
	ck_assert_int_eq(eddy_job_wait(&running.job, 0), 1);
	join(canceller);
	join(helper);
	close_executor(&picky.executor);
}
END_TEST

/* The close has given up on a job that runs: the cancel is the last to leave. */
START_TEST(a_cancel_keeps_a_pool_that_was_given_up)
{
	struct eddy_executor *pool = open_threads(1, 0);
	struct eddy_loop *loop = census_loop();
	pthread_t canceller;
	struct work running, queued;

	occupy(pool, &running, loop);
	start(pool, &queued, quick, loop);
	begin_cancel(&canceller, &queued.job);
	ck_assert_int_eq(eddy_executor_close(pool, 0), -ETIME);
	let_go(1);
	until_heard(loop, &running);
	until_left(pool);
	sem_post(&meeting.closed);
	join(canceller);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	expect(&running, EDDY_RETURNED);
	expect(&queued, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_drain_awaits_what_a_cancel_takes_out_of_a_strand)
{
	struct place place = {.loop = census_loop()};
	struct work running, queued;
	struct picky picky;
	pthread_t thread;

	picky_init(&picky, &picky_ops);
	place.inner = &picky.executor;
	place.executor = open_strand(place.inner, 0);
	start(place.executor, &running, quick, place.loop);
	start(place.executor, &queued, quick, place.loop);
	begin_cancel(&thread, &queued.job);
	start_drain(&place, on_drained);
	picky_run(&picky);
	expect_patience(&place, thread, &queued);
	expect(&running, EDDY_RETURNED);
	place_close(&place);
}
END_TEST

START_TEST(a_drain_awaits_who_gives_up_waiting_for_room)
{
	struct place place = {.loop = census_loop()};
	struct runner waiting;
	struct picky picky;
	pthread_t thread;

	picky_init(&picky, &picky_ops);
	place.executor = &picky.executor;
	picky.answer = -EAGAIN;
	start_runner(&waiting, place.loop, place.executor, quick);
	turn(place.loop);
	begin_cancel(&thread, &waiting.work.job);
	start_drain(&place, on_drained);
	ck_assert_uint_eq(picky.drains, 0);
	sem_post(&meeting.closed);
	join(thread);
	ck_assert_uint_eq(picky.drains, 1);
	eddy_executor_drained(place.executor);
	run_out(&place);
	expect_done(0);
	ck_assert_int_eq(waiting.rc, -ECANCELED);
	place_close(&place);
}
END_TEST

/* The first cancel has it; what the second one does is up to the table. */
START_TEST(two_cancels_at_once_end_a_job_that_waits_once)
{
	struct place place = {.loop = census_loop()};
	struct runner waiting;
	struct picky picky;
	struct work work;
	pthread_t thread;

	picky_init(&picky, &picky_ops);
	place.executor = &picky.executor;
	picky.answer = -EAGAIN;
	start_runner(&waiting, place.loop, place.executor, quick);
	turn(place.loop);
	begin_cancel(&thread, &waiting.work.job);
	ck_assert_int_eq(eddy_job_cancel(&waiting.work.job), 0);
	turn(place.loop);
	ck_assert_int_eq(waiting.rc, EDDY_PENDING);
	sem_post(&meeting.closed);
	join(thread);
	run_out(&place);
	ck_assert_int_eq(waiting.rc, -ECANCELED);
	picky.answer = 0;
	start(place.executor, &work, quick, place.loop); /* nobody waits */
	picky_run(&picky);
	place_close(&place);
	expect(&work, EDDY_RETURNED);
}
END_TEST

/* A strand makes room for another. */
static void
replace(struct table *table, int64_t patience)
{
	struct eddy_executor *old = table->executor;
	int r;

	pthread_rwlock_wrlock(&table->lock);
	table->executor = open_strand(tables[TABLES].executor, 6);
	table->generation++;
	pthread_rwlock_unlock(&table->lock);
	r = eddy_executor_close(old, patience);
	if (r != 0 && (patience != 0 || r != -ETIME))
		ck_abort_msg("close: %d", r);
}

/* A close now and then. */
static void
close_and_open(unsigned seed)
{
	while (A_LOAD(&closes_left) != 0) {
		unsigned dice = (unsigned)rand_r(&seed);
		uint32_t until = A_LOAD(&served) + dice % 64;

		while ((int32_t)(until - A_LOAD(&served)) > 0)
			sched_yield();
		dice /= 64;
		replace(&tables[dice % TABLES],
		    dice / TABLES % 2 != 0 ? 0 : EDDY_FOREVER);
		A_SUB(&closes_left, 1);
	}
}

static void
check_seats(void)
{
	uint64_t sum = 0;
	int i, k;

	for (i = 0; i < GUESTS; i++)
		for (k = 0; k < SEATS; k++) {
			if (guests[i].seats[k].heard !=
			    guests[i].seats[k].serial)
				ck_abort_msg("guest %d lost job %d", i, k);
			sum += guests[i].seats[k].heard;
		}
	for (i = 0; i < GUESTS; i++)
		sum -= (unsigned)guests[i].visits;
	ck_assert_uint_eq(sum, 0);
	ck_assert_uint_gt(ends[EDDY_RETURNED], 0);
	ck_assert_uint_gt(ends[EDDY_CANCELLED], 0);
	ck_assert_uint_gt(ends[EDDY_EXPIRED], 0);
}

START_TEST(a_storm_of_cancels_and_closes_has_one_outcome_per_job)
{
	pthread_t threads[GUESTS], homes[2];
	struct eddy_loop *loops[2];
	int i;

	tables[TABLES].executor = open_threads(3, 4);
	for (i = 0; i <= TABLES; i++)
		pthread_rwlock_init(&tables[i].lock, NULL);
	for (i = 0; i < TABLES; i++)
		tables[i].executor = open_strand(tables[TABLES].executor, 6);
	closes_left = CLOSES;
	for (i = 0; i < 2; i++)
		loops[i] = census_loop();
	for (i = 0; i < GUESTS; i++) {
		guests[i].loop = loops[i % 2];
		guests[i].seed = (unsigned)(10 * _i + i);
		ck_assert_int_eq(eddy_loop_hold(guests[i].loop), 0);
	}
	for (i = 0; i < 2; i++)
		start_thread(&homes[i], run_loop, loops[i]);
	for (i = 0; i < GUESTS; i++)
		start_thread(&threads[i], visit, &guests[i]);
	close_and_open((unsigned)_i);
	for (i = 0; i < GUESTS; i++)
		join(threads[i]);
	for (i = 0; i < TABLES; i++)
		close_executor(tables[i].executor);
	close_executor(tables[TABLES].executor);
	for (i = 0; i < 2; i++) {
		join(homes[i]);
		ck_assert_int_eq(eddy_loop_close(loops[i]), 0);
	}
	check_seats();
}
END_TEST

/* A case whose tests have a board and free all they allocate. */
static TCase *
case_of(Suite *suite, const char *name, double timeout)
{
	TCase *tcase = counted(suite, name, timeout);

	tcase_add_checked_fixture(tcase, board_open, board_close);
	return tcase;
}

/* The same, each n times. */
#define add_loop(tcase, n, ...) \
	add_loop_list(tcase, n, (const TTest *const[]){__VA_ARGS__, NULL})

static void
add_loop_list(TCase *tcase, int n, const TTest *const *tests)
{
	for (; *tests != NULL; tests++)
		tcase_add_loop_test(tcase, *tests, 0, n);
}

int
main(void)
{
	Suite *suite = suite_create("strand");
	TCase *tcase;
	TCase *drains = case_of(suite, "drain", 15);
	TCase *storm = case_of(suite, "storm", 30);

	census_add(case_of(suite, "order", 10),
	    jobs_of_many_threads_and_loops_run_one_at_a_time_in_order,
	    other_users_of_the_pool_go_on_meanwhile,
	    two_strands_of_a_pool_run_in_parallel,
	    a_strand_runs_on_whatever_worker_is_free,
	    over_processes_a_strand_orders,
	    over_a_copy_a_strand_works_on_copies,
	    a_job_may_submit_to_its_own_strand, a_job_may_fill_its_own_strand,
	    a_job_may_fill_its_own_strand_over_a_copy,
	    a_strand_over_a_strand_is_einval, order_goes_before_urgency,
	    a_strand_does_not_hold_across_awaits,
	    a_map_over_a_strand_runs_one_at_a_time, a_strand_may_stand_for_null,
	    a_job_of_a_strand_may_tell_its_progress,
	    without_memory_open_says_so);
	census_add(case_of(suite, "queue", 4), a_full_strand_refuses,
	    tasks_wait_for_room_in_their_order, nowait_is_refused_at_once,
	    a_strand_waits_for_room_in_its_pool,
	    what_is_refused_at_its_turn_is_lost,
	    a_job_that_is_too_big_at_its_turn_costs_nobody_else);
	census_add(case_of(suite, "cancel", 4),
	    a_job_queued_in_a_strand_may_be_cancelled,
	    one_that_waits_for_room_at_a_strand_may_be_cancelled,
	    one_that_waits_for_room_in_the_pool_may_be_cancelled,
	    one_that_the_pool_has_not_begun_may_be_cancelled,
	    a_running_job_is_asked_and_the_next_is_not,
	    a_cancelled_running_job_keeps_its_strand,
	    over_processes_a_cancel_kills_and_the_next_runs,
	    the_signal_of_the_pool_reaches_a_job_of_a_strand,
	    a_job_may_expire_in_its_strand,
	    a_task_hears_of_a_job_that_expires_in_its_strand_at_once,
	    a_task_hears_of_a_job_that_expires_in_the_pool_at_once,
	    a_deadline_asks_a_running_job_of_a_strand,
	    a_job_of_a_strand_that_expires_takes_nobody_along,
	    one_that_expires_on_its_way_home_takes_nobody_along,
	    a_timeout_takes_back_what_is_queued_in_a_strand,
	    a_timeout_asks_what_runs_in_a_strand,
	    a_timeout_kills_what_runs_in_a_strand_over_processes,
	    a_job_that_was_given_up_keeps_its_strand_until_it_ends);
	census_add(case_of(suite, "wait", 4),
	    a_thread_waits_for_a_job_of_a_strand,
	    a_job_cannot_wait_for_another_of_its_strand_or_pool,
	    a_job_of_a_strand_cannot_close_it_or_its_pool,
	    a_job_of_a_pool_does_not_wait_for_itself_to_close_a_strand);
	census_add(case_of(suite, "stats", 4), stats_tell_what_became_of_jobs,
	    stats_tell_of_crashes_of_processes);
	tcase = case_of(suite, "close", 4);
	tcase_add_loop_test(
	    tcase, close_cancels_what_is_queued_and_awaits_what_runs, 0, 2);
	census_add(tcase, close_awaits_what_the_pool_has_not_begun,
	    close_awaits_what_waits_for_room_in_the_pool,
	    a_job_cannot_submit_while_its_strand_is_closing,
	    a_task_that_waits_for_room_at_a_strand_hears_of_close,
	    close_gives_up_on_a_stuck_job_and_names_it,
	    a_program_with_a_stuck_strand_can_end,
	    close_without_patience_is_not_late_when_all_was_heard,
	    close_finds_every_job_of_a_strand_in_some_state,
	    a_strand_over_processes_may_be_closed_while_it_is_busy,
	    a_pool_that_is_closed_first_leaves_no_job_of_a_strand,
	    a_strand_may_be_closed_while_its_pool_is,
	    a_job_of_a_strand_that_waits_for_room_hears_of_the_pools_close,
	    a_cancel_may_meet_the_close_of_its_strand,
	    close_names_stuck_threads, close_names_stuck_processes_with_room,
	    close_names_stuck_processes_without_room,
	    close_calls_a_thread_without_a_name_job,
	    close_calls_a_process_without_a_name_job);
	add_loop(case_of(suite, "late", 4), 2,
	    a_strand_outlives_the_home_of_its_pool);
	census_add(case_of(suite, "fork", 4), a_forked_child_has_no_strand,
	    a_forked_child_of_a_busy_strand_has_none,
	    a_forked_child_may_close_the_strand);
	add_loop(case_of(suite, "fork late", 4), 2,
	    a_forked_child_may_close_the_strand_last);
	add_loop(drains, KINDS, a_drain_awaits_all_that_was_accepted,
	    a_drain_that_was_late_may_be_asked_for_again,
	    a_drain_that_was_late_costs_no_job, a_cancelled_drain_costs_no_job,
	    one_drain_at_a_time, a_drain_keeps_the_loop_alive,
	    a_task_that_drains_hears_of_the_close,
	    a_callback_of_a_drain_hears_of_the_close,
	    nothing_is_accepted_after_a_drain_at_any_time);
	add_loop(drains, ALL_KINDS,
	    a_drain_awaits_what_was_submitted_in_its_turn,
	    what_never_had_a_job_is_drained_at_once,
	    a_cancelled_task_drains_nothing,
	    what_is_drained_may_be_drained_again,
	    what_is_drained_is_so_again_at_once,
	    what_is_drained_may_be_closed_at_once,
	    a_drain_for_a_loop_of_another_thread_is_eperm);
	add_loop(drains, 2, a_drain_awaits_the_turn_of_another_loop,
	    a_drain_counts_real_time, a_close_may_meet_the_end_of_a_drain,
	    a_drain_may_meet_its_end);
	census_add(drains, a_table_without_drain_is_enotsup,
	    a_table_is_asked_to_drain_when_nobody_waits_for_room,
	    a_table_is_asked_to_drain_when_the_last_gives_up,
	    a_pool_that_is_drained_first_leaves_no_job_of_a_strand,
	    a_drain_of_a_pool_runs_what_a_strand_has_waiting_for_room,
	    a_drain_may_meet_a_close_and_who_gives_up,
	    a_drain_awaits_what_a_cancel_takes_out_of_a_pool,
	    a_close_awaits_what_a_cancel_takes_out_of_a_pool,
	    a_close_awaits_what_a_cancel_takes_out_of_a_strand,
	    a_cancel_keeps_a_pool_that_was_given_up,
	    a_drain_awaits_what_a_cancel_takes_out_of_a_strand,
	    a_drain_awaits_who_gives_up_waiting_for_room,
	    two_cancels_at_once_end_a_job_that_waits_once);
	census_add(storm,
	    hasty_tasks_of_many_loops_share_two_strands_and_their_pool,
	    a_storm_of_kills_disturbs_no_job_of_a_strand);
	add_loop(
	    storm, 2, a_storm_of_cancels_and_closes_has_one_outcome_per_job);
	return suite_main(suite);
}
