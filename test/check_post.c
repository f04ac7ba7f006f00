/* SPDX-License-Identifier: ISC */
#include <eddy/post.h>
#include <eddy/timer.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "threads.h"
#include "loop_impl.h"

/* What the tests' threads share goes through A_LOAD and A_STORE: relaxed, so
 * that nothing but the post itself orders the data (TSan would tell). */

static char trace[64];

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
	size_t n = strlen(trace);

	ck_assert_uint_lt(n + 1, sizeof(trace));
	trace[n] = self->name;
	trace[n + 1] = '\0';
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

START_TEST(posts_arrive_in_their_order)
{
	struct eddy_loop *loop = census_loop();
	struct letter letters[26];
	int i;

	for (i = 0; i < 26; i++) {
		letters[i] = letter((char)('a' + i), NULL);
		ck_assert_int_eq(eddy_post(loop, &letters[i].post), 0);
	}
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_str_eq(trace, "abcdefghijklmnopqrstuvwxyz");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_pending_post_coalesces)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL);

	ck_assert_int_eq(eddy_post(loop, &a.post), 0);
	ck_assert_int_eq(eddy_post(loop, &a.post), -EALREADY);
	ck_assert_int_eq(eddy_post(loop, &a.post), -EALREADY);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(eddy_post(loop, &a.post), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "aa");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
post_other(struct eddy_loop *loop, struct letter *self)
{
	ck_assert_int_eq(eddy_post(loop, &self->other->post), -EALREADY);
}

START_TEST(a_post_of_the_batch_at_hand_is_still_pending)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', post_other), b = letter('b', NULL);

	a.other = &b;
	ck_assert_int_eq(eddy_post(loop, &a.post), 0);
	ck_assert_int_eq(eddy_post(loop, &b.post), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "ab");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(cancel_takes_a_pending_post_back)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL), b = letter('b', NULL);
	struct letter c = letter('c', NULL);

	ck_assert_int_eq(eddy_post_cancel(loop, &b.post), -EALREADY);
	ck_assert_int_eq(eddy_post(loop, &a.post), 0);
	ck_assert_int_eq(eddy_post(loop, &b.post), 0);
	ck_assert_int_eq(eddy_post_cancel(loop, &b.post), 0);
	ck_assert_int_eq(eddy_post_cancel(loop, &b.post), -EALREADY);
	ck_assert_int_eq(eddy_post(loop, &c.post), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "ac");
	/* What was cancelled may be posted again, behind the others. */
	ck_assert_int_eq(eddy_post(loop, &b.post), 0);
	ck_assert_int_eq(eddy_post(loop, &a.post), 0);
	ck_assert_int_eq(eddy_post_cancel(loop, &b.post), 0);
	ck_assert_int_eq(eddy_post(loop, &b.post), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "acab");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
cancel_other(struct eddy_loop *loop, struct letter *self)
{
	ck_assert_int_eq(eddy_post_cancel(loop, &self->post), -EALREADY);
	ck_assert_int_eq(eddy_post_cancel(loop, &self->other->post), 0);
}

START_TEST(a_post_cancelled_by_its_batch_does_not_run)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', cancel_other), b = letter('b', NULL);

	a.other = &b;
	ck_assert_int_eq(eddy_post(loop, &a.post), 0);
	ck_assert_int_eq(eddy_post(loop, &b.post), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
post_and_cancel(struct eddy_loop *loop, struct letter *self)
{
	struct letter *other = self->other;

	ck_assert_int_eq(eddy_post(loop, &other->post), 0);
	ck_assert_int_eq(eddy_post(loop, &other->other->post), 0);
	ck_assert_int_eq(eddy_post_cancel(loop, &other->other->post), 0);
}

START_TEST(cancel_brings_no_post_forward)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', post_and_cancel), b = letter('b', NULL);
	struct letter c = letter('c', NULL), d = letter('d', NULL);

	a.other = &b;
	b.other = &c;
	ck_assert_int_eq(eddy_post(loop, &a.post), 0);
	ck_assert_int_eq(eddy_post(loop, &d.post), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_str_eq(trace, "ad");
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_str_eq(trace, "adb");
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(the_last_cancel_ends_the_run)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL);

	ck_assert_int_eq(eddy_post(loop, &a.post), 0);
	ck_assert_int_eq(eddy_post_cancel(loop, &a.post), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* The loop and a thread that takes turns with it. */
static struct pair {
	struct eddy_loop *loop;
	struct letter letter;
	int phase; /* A_LOAD, A_STORE */
	int data;  /* plain on purpose */
	int r;
} pair;

static void
wait_for_phase(int phase)
{
	while (A_LOAD(&pair.phase) != phase)
		sched_yield();
}

static void
read_data(struct eddy_loop *loop, struct letter *self)
{
	(void)self;
	ck_assert_int_eq(pair.data, 42);
	ck_assert_int_eq(eddy_loop_release(loop), 0);
}

static void *
write_and_post(void *arg)
{
	(void)arg;
	wait_for_phase(1);
	pair.data = 42;
	pair.r = eddy_post(pair.loop, &pair.letter.post);
	A_STORE(&pair.phase, 2);
	return NULL;
}

START_TEST(what_was_written_before_a_post_is_visible)
{
	pthread_t thread;

	pair.loop = census_loop();
	pair.letter = letter('a', read_data);
	start_thread(&thread, write_and_post, NULL);
	ck_assert_int_eq(eddy_loop_hold(pair.loop), 0);
	A_STORE(&pair.phase, 1);
	ck_assert_int_eq(eddy_loop_run(pair.loop), 0);
	ck_assert_str_eq(trace, "a");
	join(thread);
	ck_assert_int_eq(pair.r, 0);
	ck_assert_int_eq(eddy_loop_close(pair.loop), 0);
}
END_TEST

static void
let_thread_post(struct eddy_loop *loop, struct letter *self)
{
	ck_assert_int_eq(eddy_post(loop, &self->other->post), 0);
	A_STORE(&pair.phase, 1);
	wait_for_phase(2);
}

START_TEST(what_was_written_before_a_coalesced_post_is_visible)
{
	struct letter a = letter('a', let_thread_post);
	pthread_t thread;

	pair.loop = census_loop();
	pair.letter = letter('b', read_data);
	a.other = &pair.letter;
	start_thread(&thread, write_and_post, NULL);
	ck_assert_int_eq(eddy_loop_hold(pair.loop), 0);
	ck_assert_int_eq(eddy_post(pair.loop, &a.post), 0);
	ck_assert_int_eq(eddy_loop_run(pair.loop), 0);
	ck_assert_str_eq(trace, "ab");
	join(thread);
	ck_assert_int_eq(pair.r, -EALREADY);
	ck_assert_int_eq(eddy_loop_close(pair.loop), 0);
}
END_TEST

static struct eddy_loop *signalled_loop;
static struct letter signalled;

static void
on_signal(int signal)
{
	(void)signal;
	eddy_post(signalled_loop, &signalled.post);
}

static void catch (int signal)
{
	struct sigaction action = {.sa_handler = on_signal};

	ck_assert_int_eq(sigaction(signal, &action, NULL), 0);
}

static void
raise_once(struct eddy_loop *loop, struct letter *self)
{
	(void)loop;
	(void)self;
	errno = EXDEV;
	raise(SIGUSR1);
	raise(SIGUSR1);
	ck_assert_int_eq(errno, EXDEV);
}

START_TEST(a_signal_handler_may_post)
{
	struct letter a = letter('a', raise_once), b = letter('b', NULL);

	signalled_loop = census_loop();
	signalled = letter('s', NULL);
	catch (SIGUSR1);
	ck_assert_int_eq(eddy_post(signalled_loop, &a.post), 0);
	ck_assert_int_eq(eddy_post(signalled_loop, &b.post), 0);
	ck_assert_int_eq(eddy_loop_run(signalled_loop), 0);
	ck_assert_str_eq(trace, "abs");
	ck_assert_int_eq(eddy_loop_close(signalled_loop), 0);
}
END_TEST

static bool
parked(struct eddy_loop *loop)
{
	return A_LOAD(&loop->door->stack) == &loop->door->asleep;
}

static void
wait_until_parked(struct eddy_loop *loop)
{
	while (!parked(loop))
		sched_yield();
}

static void *
signal_when_parked(void *arg)
{
	wait_until_parked(signalled_loop);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void
release(struct eddy_loop *loop, struct letter *self)
{
	(void)self;
	ck_assert_int_eq(eddy_loop_release(loop), 0);
}

START_TEST(a_signal_handler_wakes_the_loop_it_interrupts)
{
	pthread_t thread, self = pthread_self();

	signalled_loop = census_loop();
	signalled = letter('s', release);
	catch (SIGUSR1);
	ck_assert_int_eq(eddy_loop_hold(signalled_loop), 0);
	start_thread(&thread, signal_when_parked, &self);
	ck_assert_int_eq(eddy_loop_run(signalled_loop), 0);
	ck_assert_str_eq(trace, "s");
	join(thread);
	ck_assert_int_eq(eddy_loop_close(signalled_loop), 0);
}
END_TEST

/* Every wake-up of the loop is a signal's post, at any instruction of it. */
enum { SIGNALS = 2000 };

static int signals_seen;

static void
count_signals(struct eddy_loop *loop, struct letter *self)
{
	(void)self;
	trace[0] = '\0';
	if (++signals_seen == SIGNALS)
		ck_assert_int_eq(eddy_loop_release(loop), 0);
}

START_TEST(signals_at_any_moment_lose_no_post)
{
	struct itimerval often = {{0, 100}, {0, 100}}, never = {0};
	struct letter busy = letter('b', NULL);

	signalled_loop = census_loop();
	signalled = letter('s', count_signals);
	catch (SIGALRM);
	ck_assert_int_eq(eddy_loop_hold(signalled_loop), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	while (signals_seen < SIGNALS) {
		eddy_post(signalled_loop, &busy.post);
		ck_assert_int_ge(eddy_loop_step(signalled_loop, 0), 0);
		trace[0] = '\0';
		ck_assert_int_ge(
		    eddy_loop_step(signalled_loop, EDDY_FOREVER), 0);
	}
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	while (eddy_loop_step(signalled_loop, 0) != 0)
		;
	ck_assert_int_eq(eddy_loop_close(signalled_loop), 0);
}
END_TEST

static void *
post_when_parked(void *arg)
{
	(void)arg;
	wait_until_parked(pair.loop);
	pair.r = eddy_post(pair.loop, &pair.letter.post);
	return NULL;
}

START_TEST(a_saturated_bell_still_wakes)
{
	pthread_t thread;

	pair.loop = census_loop();
	pair.letter = letter('a', release);
	ck_assert_int_eq(
	    eventfd_write(pair.loop->door->bell, UINT64_MAX - 1), 0);
	/* The edge of that write is gone before the loop parks. */
	ck_assert_int_eq(eddy_loop_step(pair.loop, 0), 0);
	ck_assert_int_eq(eddy_loop_hold(pair.loop), 0);
	start_thread(&thread, post_when_parked, NULL);
	ck_assert_int_eq(eddy_loop_run(pair.loop), 0);
	ck_assert_str_eq(trace, "a");
	join(thread);
	ck_assert_int_eq(pair.r, 0);
	ck_assert_int_eq(eddy_loop_close(pair.loop), 0);
}
END_TEST

START_TEST(a_busy_loop_is_not_rung)
{
	struct eddy_loop *loop = census_loop();
	struct letter a = letter('a', NULL), b = letter('b', NULL);
	eventfd_t count;

	/* Asleep once, and awake again. */
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_US(1)), 0);
	ck_assert_int_eq(eddy_post(loop, &a.post), 0);
	ck_assert_int_eq(eddy_post(loop, &b.post), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eventfd_read(loop->door->bell, &count), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_loop_that_was_rung_sleeps_again)
{
	int64_t began;
	pthread_t thread;

	pair.loop = census_loop();
	pair.letter = letter('a', release);
	ck_assert_int_eq(eddy_loop_hold(pair.loop), 0);
	start_thread(&thread, post_when_parked, NULL);
	ck_assert_int_eq(eddy_loop_run(pair.loop), 0);
	join(thread);
	/* At most one ring is left from before: none for the second step. */
	eddy_loop_step(pair.loop, 0);
	began = eddy_now();
	ck_assert_int_eq(eddy_loop_step(pair.loop, EDDY_MS(2)), 0);
	ck_assert_int_ge(eddy_now() - began, EDDY_MS(2));
	ck_assert_int_eq(eddy_loop_close(pair.loop), 0);
}
END_TEST

/* Many posts of many threads: each once, each thread's in its order. */
enum { THREADS = 4, POSTS = 100000 };

static struct poster {
	struct eddy_loop *loop;
	struct numbered {
		struct eddy_post post;
		struct poster *poster;
		int number; /* written before the post, by its thread */
	} * posts;
	int arrived;
	int refused;
} posters[THREADS];

static void
on_numbered(struct eddy_loop *loop, struct eddy_post *post)
{
	struct numbered *numbered = (struct numbered *)post;

	ck_assert_int_eq(numbered->number, numbered->poster->arrived);
	if (++numbered->poster->arrived == POSTS)
		ck_assert_int_eq(eddy_loop_release(loop), 0);
}

static void *
post_many(void *arg)
{
	struct poster *poster = arg;
	int i;

	for (i = 0; i < POSTS; i++) {
		struct numbered *numbered = &poster->posts[i];

		eddy_post_init(&numbered->post, on_numbered);
		numbered->poster = poster;
		numbered->number = i;
		if (eddy_post(poster->loop, &numbered->post) != 0)
			poster->refused++;
	}
	return NULL;
}

START_TEST(posts_of_many_threads_arrive_once_and_in_order)
{
	struct eddy_loop *loop = census_loop();
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++) {
		posters[i].loop = loop;
		posters[i].posts = calloc(POSTS, sizeof(struct numbered));
		ck_assert_ptr_nonnull(posters[i].posts);
		ck_assert_int_eq(eddy_loop_hold(loop), 0);
		start_thread(&threads[i], post_many, &posters[i]);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < THREADS; i++) {
		join(threads[i]);
		ck_assert_int_eq(posters[i].arrived, POSTS);
		ck_assert_int_eq(posters[i].refused, 0);
		free(posters[i].posts);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/*
 * One post shared by threads.  Each writes its number, posts, and waits until
 * a callback has seen that number: a lost wake-up, a lost post or data that a
 * coalesced post did not carry would hang it.
 */
enum { ROUNDS = 20000 };

static struct eddy_post shared;
static struct sharer {
	struct eddy_loop *loop;
	int written, seen; /* A_LOAD, A_STORE */
	int coalesced;
} sharers[2];

static void
on_shared(struct eddy_loop *loop, struct eddy_post *post)
{
	size_t i;

	(void)post;
	for (i = 0; i < COUNT_OF(sharers); i++) {
		int written = A_LOAD(&sharers[i].written);

		if (written == A_LOAD(&sharers[i].seen))
			continue;
		A_STORE(&sharers[i].seen, written);
		if (written == ROUNDS)
			ck_assert_int_eq(eddy_loop_release(loop), 0);
	}
}

static void *
share(void *arg)
{
	struct sharer *self = arg;
	int i, spin;

	for (i = 1; i <= ROUNDS; i++) {
		A_STORE(&self->written, i);
		if (eddy_post(self->loop, &shared) == -EALREADY)
			self->coalesced++;
		for (spin = 0; A_LOAD(&self->seen) != i; spin++)
			if (spin > 1000)
				sched_yield();
	}
	return NULL;
}

START_TEST(no_wakeup_and_no_coalesced_post_is_lost)
{
	struct eddy_loop *loop = census_loop();
	pthread_t threads[COUNT_OF(sharers)];
	size_t i;

	eddy_post_init(&shared, on_shared);
	for (i = 0; i < COUNT_OF(sharers); i++) {
		sharers[i].loop = loop;
		ck_assert_int_eq(eddy_loop_hold(loop), 0);
		start_thread(&threads[i], share, &sharers[i]);
	}
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < COUNT_OF(sharers); i++) {
		join(threads[i]);
		ck_assert_int_eq(sharers[i].seen, ROUNDS);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* A post goes round loops that each sleep until it comes. */
enum { LOOPS = 3, LAPS = 3000 };

static struct ring {
	struct eddy_loop *loop;
	pthread_t thread;
	int r;
} ring[LOOPS];

static struct eddy_post baton;
static int passes; /* travels with the baton */

static void
on_baton(struct eddy_loop *loop, struct eddy_post *post)
{
	struct eddy_loop *next = ring[(passes + 1) % LOOPS].loop;

	ck_assert_ptr_eq(loop, ring[passes % LOOPS].loop);
	/* The last lap lets the loops go, each after it has passed it on. */
	if (passes >= LOOPS * (LAPS - 1))
		ck_assert_int_eq(eddy_loop_release(loop), 0);
	if (++passes < LOOPS * LAPS)
		ck_assert_int_eq(eddy_post(next, post), 0);
}

static void *
run_loop(void *arg)
{
	struct ring *self = arg;

	self->r = eddy_loop_run(self->loop);
	return NULL;
}

START_TEST(a_post_goes_round_the_loops_of_many_threads)
{
	int i;

	eddy_post_init(&baton, on_baton);
	for (i = 0; i < LOOPS; i++) {
		ring[i].loop = census_loop();
		ck_assert_int_eq(eddy_loop_hold(ring[i].loop), 0);
	}
	for (i = 0; i < LOOPS; i++)
		start_thread(&ring[i].thread, run_loop, &ring[i]);
	ck_assert_int_eq(eddy_post(ring[0].loop, &baton), 0);
	for (i = 0; i < LOOPS; i++) {
		join(ring[i].thread);
		ck_assert_int_eq(ring[i].r, 0);
	}
	ck_assert_int_eq(passes, LOOPS * LAPS);
	for (i = 0; i < LOOPS; i++) {
		/* The step makes it ours. */
		ck_assert_int_eq(eddy_loop_step(ring[i].loop, 0), 0);
		ck_assert_int_eq(eddy_loop_close(ring[i].loop), 0);
	}
}
END_TEST

/* Cancel on the loop while a thread posts: each accepted post is either run or
 * taken back, never both, never neither. */
static struct eddy_post tug;
static int tug_accepted, tug_run, tug_taken;

static void
on_tug(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)loop;
	(void)post;
	tug_run++;
}

static void *
post_tug(void *loop)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		tug_accepted += eddy_post(loop, &tug) == 0;
		if (i % 8 == 0)
			sched_yield();
	}
	A_RELEASE(&pair.phase, 1);
	return NULL;
}

START_TEST(a_post_is_either_run_or_cancelled)
{
	struct eddy_loop *loop = census_loop();
	pthread_t thread;
	int i, r;

	eddy_post_init(&tug, on_tug);
	start_thread(&thread, post_tug, loop);
	for (i = 0; A_ACQUIRE(&pair.phase) == 0; i++) {
		r = eddy_post_cancel(loop, &tug);
		ck_assert(r == 0 || r == -EALREADY);
		tug_taken += r == 0;
		if (i % 4 == 0)
			ck_assert_int_ge(
			    eddy_loop_step(loop, EDDY_US(i % 3)), 0);
	}
	join(thread);
	while (eddy_loop_step(loop, 0) != 0)
		;
	ck_assert_int_eq(tug_run + tug_taken, tug_accepted);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static int
post_in_child(void *loop)
{
	struct letter a = letter('a', NULL);

	return eddy_post(loop, &a.post);
}

static void *
fork_when_parked(void *arg)
{
	wait_until_parked(pair.loop);
	*(int *)arg = census_child(post_in_child, pair.loop);
	eddy_post(pair.loop, &pair.letter.post);
	return NULL;
}

START_TEST(a_forked_child_cannot_ring_a_sleeping_loop)
{
	pthread_t thread;
	int r = 1;

	pair.loop = census_loop();
	pair.letter = letter('a', release);
	ck_assert_int_eq(eddy_loop_hold(pair.loop), 0);
	start_thread(&thread, fork_when_parked, &r);
	ck_assert_int_eq(eddy_loop_run(pair.loop), 0);
	join(thread);
	ck_assert_int_eq(r, -ECHILD);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(eddy_loop_close(pair.loop), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("post");

	census_add(census_case(suite, "order", 2), posts_arrive_in_their_order,
	    a_pending_post_coalesces,
	    a_post_of_the_batch_at_hand_is_still_pending,
	    cancel_takes_a_pending_post_back,
	    a_post_cancelled_by_its_batch_does_not_run,
	    cancel_brings_no_post_forward, the_last_cancel_ends_the_run);
	census_add(census_case(suite, "threads", 2),
	    what_was_written_before_a_post_is_visible,
	    what_was_written_before_a_coalesced_post_is_visible,
	    a_saturated_bell_still_wakes, a_busy_loop_is_not_rung,
	    a_loop_that_was_rung_sleeps_again,
	    a_forked_child_cannot_ring_a_sleeping_loop);
	census_add(census_case(suite, "signals", 2), a_signal_handler_may_post,
	    a_signal_handler_wakes_the_loop_it_interrupts,
	    signals_at_any_moment_lose_no_post);
	census_add(census_case(suite, "stress", 20),
	    posts_of_many_threads_arrive_once_and_in_order,
	    no_wakeup_and_no_coalesced_post_is_lost,
	    a_post_goes_round_the_loops_of_many_threads,
	    a_post_is_either_run_or_cancelled);
	return suite_main(suite);
}
