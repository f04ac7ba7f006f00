/* SPDX-License-Identifier: ISC */
#include <eddy/offload.h>
#include <eddy/signal.h>
#include <eddy/timer.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "census.h"
#include "threads.h"

enum { BOTH = EDDY_SIGNAL(SIGUSR1) | EDDY_SIGNAL(SIGUSR2) };

/* A signal and what its callback saw. */
struct ear {
	struct eddy_signal signal;
	int calls, number;
	struct eddy_signal *victim; /* stopped by the callback */
	uint64_t instead;           /* or has this set from then on */
};

static void
on_signal(struct eddy_loop *loop, struct eddy_signal *signal, int number)
{
	struct ear *ear = (struct ear *)signal;

	ear->calls++;
	ear->number = number;
	if (ear->instead != 0)
		ck_assert_int_eq(
		    eddy_signal_start(loop, ear->victim, ear->instead), 0);
	else if (ear->victim != NULL)
		ck_assert_int_eq(eddy_signal_stop(loop, ear->victim), 0);
}

static void
ear_start(struct eddy_loop *loop, struct ear *ear, uint64_t set)
{
	*ear = (struct ear){.calls = 0};
	eddy_signal_init(&ear->signal, on_signal);
	ck_assert_int_eq(eddy_signal_start(loop, &ear->signal, set), 0);
}

static void
ear_stop(struct eddy_loop *loop, struct ear *ear)
{
	ck_assert_int_eq(eddy_signal_stop(loop, &ear->signal), 0);
}

static void
send(int number)
{
	ck_assert_int_eq(kill(getpid(), number), 0);
}

static void
step(struct eddy_loop *loop)
{
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

static bool
blocked(int number)
{
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, number) == 1;
}

static void
block(int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void
close_loop(struct eddy_loop *loop)
{
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}

static volatile sig_atomic_t handled;

static void
on_old_handler(int number)
{
	handled = number;
}

/* Callbacks. */

START_TEST(a_callback_hears_of_its_signals)
{
	struct eddy_loop *loop = census_loop();
	struct ear ear;

	ear_start(loop, &ear, BOTH);
	step(loop);
	ck_assert_int_eq(ear.calls, 0);
	send(SIGUSR2);
	step(loop);
	ck_assert_int_eq(ear.number, SIGUSR2);
	send(SIGUSR1);
	send(SIGUSR2);
	step(loop);
	step(loop);
	ck_assert_int_eq(ear.calls, 3);
	ear_stop(loop, &ear);
	close_loop(loop);
}
END_TEST

START_TEST(of_two_loops_one_hears_of_a_signal)
{
	struct eddy_loop *one = census_loop(), *other = census_loop();
	struct ear ears[2];
	int i;

	ear_start(one, &ears[0], BOTH);
	ear_start(other, &ears[1], BOTH);
	send(SIGUSR1);
	for (i = 0; i < 2; i++) {
		step(one);
		step(other);
	}
	ck_assert_int_eq(ears[0].calls + ears[1].calls, 1);
	ear_stop(one, &ears[0]);
	ear_stop(other, &ears[1]);
	close_loop(one);
	close_loop(other);
}
END_TEST

START_TEST(all_who_started_a_signal_are_told)
{
	struct eddy_loop *loop = census_loop();
	struct ear ears[3];
	int i;

	for (i = 0; i < 3; i++)
		ear_start(loop, &ears[i], i == 2 ? EDDY_SIGNAL(SIGUSR2) : BOTH);
	send(SIGUSR1);
	step(loop);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(ears[i].calls, i != 2);
		ear_stop(loop, &ears[i]);
	}
	close_loop(loop);
}
END_TEST

START_TEST(one_that_is_stopped_in_the_batch_does_not_fire)
{
	struct eddy_loop *loop = census_loop();
	struct ear first, second;

	ear_start(loop, &first, BOTH);
	ear_start(loop, &second, BOTH);
	first.victim = &second.signal;
	send(SIGUSR1);
	step(loop);
	ck_assert_int_eq(first.calls, 1);
	ck_assert_int_eq(second.calls, 0);
	first.victim = &first.signal;
	send(SIGUSR2);
	ck_assert_int_eq(eddy_loop_run(loop), 0); /* nothing else is armed */
	ck_assert_int_eq(first.number, SIGUSR2);
	close_loop(loop);
}
END_TEST

START_TEST(a_started_signal_changes_its_set)
{
	struct eddy_loop *loop = census_loop();
	struct ear ear;

	ear_start(loop, &ear, EDDY_SIGNAL(SIGUSR1));
	ck_assert_int_eq(
	    eddy_signal_start(loop, &ear.signal, EDDY_SIGNAL(SIGUSR2)), 0);
	ck_assert(!blocked(SIGUSR1) && blocked(SIGUSR2));
	send(SIGUSR2);
	step(loop);
	ck_assert_int_eq(ear.number, SIGUSR2);
	/* A set that cannot be had changes nothing. */
	ck_assert_int_eq(
	    eddy_signal_start(loop, &ear.signal, EDDY_SIGNAL(SIGKILL)),
	    -EINVAL);
	ck_assert(blocked(SIGUSR2));
	ear_stop(loop, &ear);
	close_loop(loop);
}
END_TEST

/* What was there before. */

START_TEST(the_mask_is_restored_when_the_last_one_goes)
{
	struct eddy_loop *loop = census_loop();
	struct ear first, second;

	block(SIGUSR2);
	ear_start(loop, &first, BOTH);
	ear_start(loop, &second, BOTH);
	ck_assert(blocked(SIGUSR1) && blocked(SIGUSR2));
	ear_stop(loop, &first);
	ck_assert(blocked(SIGUSR1));
	ear_stop(loop, &second);
	ck_assert(!blocked(SIGUSR1));
	ck_assert(blocked(SIGUSR2)); /* as it was */
	ear_stop(loop, &second);     /* no error */
	ear_start(loop, &first, BOTH);
	close_loop(loop);
	ck_assert(!blocked(SIGUSR1));
	/* A loop that is closed has stopped them all. */
	loop = census_loop();
	ck_assert_int_eq(eddy_signal_start(loop, &first.signal, BOTH), 0);
	send(SIGUSR1);
	step(loop);
	ck_assert_int_eq(first.calls, 1);
	close_loop(loop);
}
END_TEST

START_TEST(dispositions_are_left_alone)
{
	struct eddy_loop *loop = census_loop();
	struct ear ear;

	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, on_old_handler);
	ear_start(loop, &ear, BOTH);
	send(SIGUSR1);
	step(loop);
	ck_assert_int_eq(ear.number, SIGUSR1); /* though it is ignored */
	send(SIGUSR2);
	ck_assert_int_eq(handled, 0);
	ear_stop(loop, &ear); /* nobody was told: the handler is */
	ck_assert_int_eq(handled, SIGUSR2);
	ck_assert_int_eq(ear.calls, 1);
	ck_assert_ptr_eq(signal(SIGUSR1, SIG_DFL), SIG_IGN);
	close_loop(loop);
}
END_TEST

/* Tasks. */

struct hear {
	struct eddy_task task;
	struct eddy_signal *signal;
	int times, got[2];
};

static eddy_step
hear(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct hear, f);
	while (f->times < 2 && (f->times == 0 || f->got[0] > 0)) {
		EDDY_AWAIT(
		    f->got[f->times], eddy_timeout(self, EDDY_S(30),
					  eddy_signal_wait(self, f->signal)));
		f->times++;
	}
	EDDY_END;
}

static void
hear_start(struct eddy_loop *loop, struct hear *f, struct eddy_signal *signal)
{
	ck_assert_int_eq(
	    eddy_loop_spawn(loop, EDDY_INIT(f, hear, .signal = signal), NULL),
	    0);
}

START_TEST(a_task_awaits_signals)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_signal signal;
	struct hear f, g;

	eddy_signal_init(&signal, NULL);
	ck_assert_int_eq(eddy_signal_start(loop, &signal, BOTH), 0);
	hear_start(loop, &f, &signal);
	hear_start(loop, &g, &signal);
	step(loop);
	send(SIGUSR2);
	step(loop);
	step(loop);
	send(SIGUSR1);
	ck_assert_int_ge(eddy_loop_step(loop, EDDY_S(10)), 0);
	step(loop);
	ck_assert_int_eq(f.got[0], SIGUSR2);
	ck_assert_int_eq(f.got[1], SIGUSR1);
	ck_assert_mem_eq(f.got, g.got, sizeof(f.got)); /* all are told */
	ck_assert_int_eq(eddy_signal_stop(loop, &signal), 0);
	close_loop(loop);
}
END_TEST

START_TEST(a_signal_that_came_before_the_await_is_not_lost)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_signal signal;
	struct hear f;

	eddy_signal_init(&signal, NULL);
	ck_assert_int_eq(eddy_signal_start(loop, &signal, BOTH), 0);
	send(SIGUSR2);
	send(SIGUSR1);
	step(loop);
	step(loop);
	hear_start(loop, &f, &signal);
	step(loop);
	ck_assert_int_eq(f.got[0], SIGUSR1); /* the lowest first */
	ck_assert_int_eq(f.got[1], SIGUSR2);
	ck_assert_int_eq(eddy_signal_stop(loop, &signal), 0);
	close_loop(loop);
}
END_TEST

START_TEST(what_came_goes_with_its_signal)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_signal signal;
	struct ear first, second;
	struct hear f;

	ear_start(loop, &first, BOTH);
	ear_start(loop, &second, BOTH);
	eddy_signal_init(&signal, NULL);
	ck_assert_int_eq(eddy_signal_start(loop, &signal, BOTH), 0);
	first.victim = &second.signal;
	first.instead = EDDY_SIGNAL(SIGUSR2);
	send(SIGUSR1);
	step(loop);
	ck_assert_int_eq(first.calls, 1);
	ck_assert_int_eq(second.calls, 0); /* not for what it wants no more */
	ck_assert_int_eq(
	    eddy_signal_start(loop, &signal, EDDY_SIGNAL(SIGUSR2)), 0);
	hear_start(loop, &f, &signal);
	step(loop);
	ck_assert_int_eq(f.times, 0);
	send(SIGUSR2);
	step(loop);
	ck_assert_int_eq(second.number, SIGUSR2);
	ck_assert_int_eq(f.got[0], SIGUSR2);
	ear_stop(loop, &first);
	ear_stop(loop, &second);
	ck_assert_int_eq(eddy_signal_stop(loop, &signal), 0);
	step(loop);
	close_loop(loop);
}
END_TEST

START_TEST(a_wait_can_be_given_up)
{
	struct eddy_loop *loop = census_loop(), *other = census_loop();
	struct eddy_signal signal;
	struct hear f, g;

	eddy_signal_init(&signal, NULL);
	hear_start(loop, &f, &signal);
	step(loop);
	ck_assert_int_eq(f.got[0], -EINVAL); /* not started */
	ck_assert_int_eq(eddy_signal_start(loop, &signal, BOTH), 0);
	hear_start(other, &f, &signal);
	step(other);
	ck_assert_int_eq(f.got[0], -EPERM);
	ck_assert_int_eq(eddy_loop_close(other), 0);
	hear_start(loop, &f, &signal);
	hear_start(loop, &g, &signal);
	step(loop);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	step(loop);
	ck_assert_int_eq(f.got[0], -ECANCELED);
	ck_assert(!eddy_done(&g.task));
	hear_start(loop, &f, &signal);
	ck_assert_int_eq(eddy_cancel(&f.task), 0); /* before it waits */
	step(loop);
	ck_assert_int_eq(f.got[0], -ECANCELED);
	ck_assert_int_eq(eddy_signal_stop(loop, &signal), 0);
	step(loop);
	ck_assert_int_eq(g.got[0], -ECANCELED);
	close_loop(loop);
}
END_TEST

START_TEST(a_signal_with_a_callback_cannot_be_awaited)
{
	struct eddy_loop *loop = census_loop();
	struct ear ear;
	struct hear f;

	ear_start(loop, &ear, BOTH);
	hear_start(loop, &f, &ear.signal);
	step(loop);
	ck_assert_int_eq(f.got[0], -EINVAL);
	ear_stop(loop, &ear);
	close_loop(loop);
}
END_TEST

/* Misuse, threads, fork. */

START_TEST(what_is_no_set_of_signals_is_refused)
{
	static const uint64_t sets[] = {0, EDDY_SIGNAL(SIGKILL),
	    EDDY_SIGNAL(SIGSTOP), EDDY_SIGNAL(32), BOTH | EDDY_SIGNAL(SIGKILL)};
	struct eddy_loop *loop = census_loop();
	struct eddy_signal signal;
	size_t i;

	eddy_signal_init(&signal, NULL);
	for (i = 0; i < COUNT_OF(sets); i++)
		ck_assert_int_eq(
		    eddy_signal_start(loop, &signal, sets[i]), -EINVAL);
	ck_assert(!blocked(SIGUSR1));
	close_loop(loop);
}
END_TEST

static struct threads {
	pthread_barrier_t ready, done;
	struct eddy_loop *loop;
	struct eddy_signal *signal;
	int start, stop;
} threads;

static void *
idle(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&threads.ready);
	pthread_barrier_wait(&threads.done);
	return NULL;
}

/* What a start answers beside a thread that began before it. */
static int
start_beside_a_thread(struct eddy_loop *loop, struct eddy_signal *signal)
{
	pthread_t thread;
	int r;

	pthread_barrier_init(&threads.ready, NULL, 2);
	pthread_barrier_init(&threads.done, NULL, 2);
	start_thread(&thread, idle, NULL);
	pthread_barrier_wait(&threads.ready);
	r = eddy_signal_start(loop, signal, BOTH);
	pthread_barrier_wait(&threads.done);
	join(thread);
	return r;
}

START_TEST(a_thread_that_has_not_blocked_it_is_told_of)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_signal signal;

	eddy_signal_init(&signal, NULL);
	block(SIGUSR1); /* one of two is not enough */
	ck_assert_int_eq(start_beside_a_thread(loop, &signal), -EBUSY);
	ck_assert(!blocked(SIGUSR2));
	block(SIGUSR2);
	ck_assert_int_eq(start_beside_a_thread(loop, &signal), 0);
	ck_assert_int_eq(eddy_signal_stop(loop, &signal), 0);
	close_loop(loop);
}
END_TEST

static int
give(void *arg)
{
	return *(int *)arg;
}

struct beside {
	struct eddy_task task;
	struct eddy_signal signal;
	int value, got;
};

static eddy_step
beside(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct beside, f);
	EDDY_TRY(eddy_offload(self, NULL, give, &f->value));
	eddy_signal_init(&f->signal, NULL);
	EDDY_TRY(eddy_complete(
	    self, eddy_signal_start(self->loop, &f->signal, BOTH)));
	send(SIGUSR1);
	EDDY_AWAIT(f->got, eddy_signal_wait(self, &f->signal));
	EDDY_FINALLY;
	eddy_signal_stop(self->loop, &f->signal);
	EDDY_END;
}

START_TEST(the_workers_of_a_pool_do_not_matter)
{
	struct beside f;

	ck_assert_int_eq(eddy_run(EDDY_INIT(&f, beside, .value = 1)), 0);
	ck_assert_int_eq(f.got, SIGUSR1);
	ck_assert(!blocked(SIGUSR1));
}
END_TEST

static void *
call_from_here(void *arg)
{
	(void)arg;
	threads.start = eddy_signal_start(threads.loop, threads.signal, BOTH);
	threads.stop = eddy_signal_stop(threads.loop, threads.signal);
	return NULL;
}

static int
call_in_child(void *arg)
{
	call_from_here(arg);
	if (threads.start != -ECHILD || threads.stop != -ECHILD)
		return -EPROTO;
	return eddy_loop_close(threads.loop);
}

START_TEST(it_belongs_to_the_loop_thread_and_process)
{
	struct eddy_loop *loop = census_loop();
	struct ear ear;
	pthread_t thread;

	ear_start(loop, &ear, BOTH);
	threads.loop = loop;
	threads.signal = &ear.signal;
	start_thread(&thread, call_from_here, NULL);
	join(thread);
	ck_assert_int_eq(threads.start, -EPERM);
	ck_assert_int_eq(threads.stop, -EPERM);
	ck_assert_int_eq(census_child(call_in_child, NULL), 0);
	send(SIGUSR1); /* all this has changed nothing */
	step(loop);
	ck_assert_int_eq(ear.calls, 1);
	ear_stop(loop, &ear);
	close_loop(loop);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("signal");

	census_add(census_case(suite, "callback", 10),
	    a_callback_hears_of_its_signals, of_two_loops_one_hears_of_a_signal,
	    all_who_started_a_signal_are_told,
	    one_that_is_stopped_in_the_batch_does_not_fire,
	    a_started_signal_changes_its_set);
	census_add(census_case(suite, "before", 10),
	    the_mask_is_restored_when_the_last_one_goes,
	    dispositions_are_left_alone);
	census_add(census_case(suite, "task", 10), a_task_awaits_signals,
	    a_signal_that_came_before_the_await_is_not_lost,
	    what_came_goes_with_its_signal, a_wait_can_be_given_up,
	    a_signal_with_a_callback_cannot_be_awaited);
	census_add(census_case(suite, "misuse", 10),
	    what_is_no_set_of_signals_is_refused,
	    a_thread_that_has_not_blocked_it_is_told_of,
	    the_workers_of_a_pool_do_not_matter,
	    it_belongs_to_the_loop_thread_and_process);
	return suite_main(suite);
}
