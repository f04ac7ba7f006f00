/* SPDX-License-Identifier: ISC */
/*
 * The real thread pool, submit, cancel, steal, sleep and close, under every
 * interleaving of a few threads.  Then with one of its tools broken, which has
 * to be found, or the explorer proves nothing.
 */
#define EDDY_EXPLORE 1
#undef _FORTIFY_SOURCE /* its longjmp knows but one stack */

#include <errno.h>
#include <stdio.h>

#include <eddy/executor.h>

#include "census.h"

/* What its threads meet: locks, futexes and time of the explorer. */
#define eddy__lock           model_lock
#define pthread_mutex_unlock model_unlock
#define eddy__cond_wait      model_cond_wait
#define pthread_cond_signal  model_cond_signal
#define eddy__futex_wait     model_futex_wait
#define eddy__futex_wake     model_futex_wake
#define eddy_now             model_now
#define eddy__cpu            model_cpu
#define eddy_job_end         model_job_end

int64_t model_now(void);
void model_job_end(struct eddy_job *, enum eddy_outcome, int);
void model_lock(pthread_mutex_t *);
int model_unlock(pthread_mutex_t *);
int model_cond_signal(pthread_cond_t *);

#include "atomics.h"
#include "executor_impl.h"

/* Nobody waits for room, and there is no loop. */
#define executor_waited(executor) (false)
#define eddy__job_publish         model_job_publish
void model_job_publish(struct outlet *, struct eddy_job *);

#undef SPIN
#define SPIN(spin, condition) ((void)(spin), (condition))

enum { JOBS = 8, WORKERS = 2 };

static enum {
	NOTHING,
	EXCHANGE,      /* is a load and a store */
	FUTEX_COMPARE, /* is left out: sleeps on an old value */
	FUTEX_WAKE_,   /* gets lost */
} broken;

#undef A_XCHG
#define A_XCHG(p, v)                           \
	({                                     \
		__typeof__(*(p)) was_;         \
		if (broken == EXCHANGE) {      \
			was_ = A_LOAD(p);      \
			A_STORE(p, v);         \
		} else {                       \
			was_ = A_MODIFY(p, v); \
		}                              \
		was_;                          \
	})
#include "../lib/thread_pool.c"
#include "../lib/thread_worker.c"

static struct pool pool;
static struct worker crew[WORKERS];
static struct inside inside[WORKERS];
static struct eddy_job *slots[LANES][16];
static struct eddy_job jobs[JOBS];
static int runs[JOBS], outcomes[JOBS], cancelled[JOBS];
static unsigned sleepers[WORKERS + 2];
static uint32_t *waits_on[WORKERS + 2];
static pthread_mutex_t *wants[WORKERS + 2];
static bool spinning;

/* The tools. */

static int *
owner_of(pthread_mutex_t *lock)
{
	return (int *)(void *)lock; /* 0: nobody */
}

static bool
lock_is_free(void)
{
	return *owner_of(wants[explorer.current]) == 0;
}

static bool
free_0(void)
{
	return *owner_of(wants[0]) == 0;
}
static bool
free_1(void)
{
	return *owner_of(wants[1]) == 0;
}
static bool
free_2(void)
{
	return *owner_of(wants[2]) == 0;
}
static bool
free_3(void)
{
	return *owner_of(wants[3]) == 0;
}
static bool
up_0(void)
{
	return sleepers[0] == 0;
}
static bool
up_1(void)
{
	return sleepers[1] == 0;
}
static bool
up_2(void)
{
	return sleepers[2] == 0;
}
static bool
up_3(void)
{
	return sleepers[3] == 0;
}

void
model_lock(pthread_mutex_t *lock)
{
	static bool (*const ready[])(void) = {free_0, free_1, free_2, free_3};

	explore_point();
	explore_drain();
	wants[explorer.current] = lock;
	while (!lock_is_free())
		explore_wait(ready[explorer.current]);
	*owner_of(lock) = 1;
}

int
model_unlock(pthread_mutex_t *lock)
{
	explore_point();
	explore_drain();
	*owner_of(lock) = 0;
	return 0;
}

static void
sleep_on(uint32_t *word)
{
	static bool (*const ready[])(void) = {up_0, up_1, up_2, up_3};
	int i = explorer.current;

	sleepers[i] = 1;
	waits_on[i] = word;
	explore_wait(ready[i]);
}

static void
wake_from(uint32_t *word, int n)
{
	int i;

	for (i = 0; i < WORKERS + 2 && n > 0; i++)
		if (sleepers[i] != 0 && waits_on[i] == word) {
			sleepers[i] = 0;
			n--;
		}
}

int
model_futex_wait(uint32_t *word, uint32_t value, int64_t duration, bool shared)
{
	(void)duration, (void)shared;
	explore_point();
	explore_drain();
	if (broken != FUTEX_COMPARE && *word != value)
		return -EAGAIN;
	sleep_on(word);
	return 0;
}

void
model_futex_wake(uint32_t *word, int n, bool shared)
{
	(void)shared;
	explore_point();
	explore_drain();
	if (broken != FUTEX_WAKE_)
		wake_from(word, n);
}

int
model_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline)
{
	(void)deadline;
	explore_drain();
	*owner_of(lock) = 0;
	sleep_on((uint32_t *)(void *)cond);
	model_lock(lock);
	return 0;
}

int
model_cond_signal(pthread_cond_t *cond)
{
	wake_from((uint32_t *)(void *)cond, 1);
	return 0;
}

int64_t
model_now(void)
{
	return 1;
}

int
model_cpu(void)
{
	return explorer.current;
}

static void
hear(struct eddy_job *job, enum eddy_outcome outcome)
{
	int i = (int)(job - jobs);

	explore_expect(++outcomes[i] == 1, "two outcomes for a job");
	explore_expect((outcome == EDDY_RETURNED) == (runs[i] == 1),
	    "an outcome that is not what happened");
}

void
model_job_end(struct eddy_job *job, enum eddy_outcome outcome, int result)
{
	(void)result;
	hear(job, outcome);
}

void
model_job_publish(struct outlet *outlet, struct eddy_job *job)
{
	(void)outlet;
	hear(job, job->outcome);
}

/* The threads. */

static int
job_fn(void *arg)
{
	int i = (int)((struct eddy_job *)arg - jobs);

	explore_expect(++runs[i] == 1, "a job that runs twice");
	return 0;
}

static void
worker_body(struct worker *worker)
{
	struct eddy_job *job = NULL;

	model_lock(&pool.lock);
	while ((job = await_job(&pool, worker, job)) != NULL) {
		job = run_batch(&pool, worker, job);
		model_lock(&pool.lock);
	}
	/* As leave(), without the thread. */
	pool.stats.workers--;
	model_cond_signal(&pool.left);
	model_unlock(&pool.lock);
}

static void
worker_0(void)
{
	worker_body(&crew[0]);
}

static void
worker_1(void)
{
	worker_body(&crew[1]);
}

static int count;       /* of jobs in this program */
static bool there;      /* in the queue from the start: batches of two */
static bool with_close; /* before they are done */

static bool
all_heard(void)
{
	int i, n = 0;

	for (i = 0; i < count; i++)
		n += outcomes[i];
	return n == count;
}

static void
submitter(void)
{
	int i;

	for (i = 0; i < count && !there; i++) {
		jobs[i].state = JOB_QUEUED;
		explore_expect(put(&pool, &jobs[i]) == 0, "a refusal");
	}
	if (!with_close)
		explore_wait(all_heard);
	model_lock(&pool.lock);
	shut(&pool);
	eddy__pool_fail_queue(&pool, EDDY_CANCELLED, 0);
	model_futex_wake(&pool.wakes, INT_MAX, false);
	model_lock(&pool.lock);
	while (pool.stats.workers != 0)
		model_cond_wait(&pool.left, &pool.lock, EDDY_FOREVER);
	model_unlock(&pool.lock);
	for (i = 0; i < count; i++)
		explore_expect(outcomes[i] == 1, "a job without outcome");
}

static void
canceller(void)
{
	/* With batches of two: one that no lock guards. */
	struct eddy_job *job = &jobs[there ? 1 : 0];
	uint32_t state = A_LOAD(&job->state);

	if (state == JOB_LISTED || state == JOB_RUNNING)
		cancel(&pool.executor, job, EDDY_CANCELLED);
}

static void
reset(void)
{
	int i;

	memset(&pool, 0, sizeof(pool));
	memset(crew, 0, sizeof(crew));
	memset(slots, 0, sizeof(slots));
	memset(jobs, 0, sizeof(jobs));
	memset(runs, 0, sizeof(runs));
	memset(outcomes, 0, sizeof(outcomes));
	memset(cancelled, 0, sizeof(cancelled));
	memset(sleepers, 0, sizeof(sleepers));
	memset(wants, 0, sizeof(wants));
	for (i = 0; i < LANES; i++)
		pool.lanes[i] = (struct lane){.slots = slots[i], .mask = 15};
	pool.options.workers_max = pool.stats.workers = WORKERS;
	pool.options.queue_limit = 8;
	pool.options.idle_duration = EDDY_FOREVER;
	pool.cpu = -1;
	for (i = 0; i < WORKERS; i++) {
		crew[i].pool = &pool;
		crew[i].ticker = -1;
		crew[i].inside = &inside[i];
		crew[i].next = pool.all;
		crew[i].spin.duration = spinning ? 100 : 0;
		crew[i].spin.score = spinning ? SPIN_BEST : 0;
		crew[i].spin.cpus = 8;
		pool.all = &crew[i];
	}
	for (i = 0; i < JOBS; i++) {
		jobs[i].fn = job_fn;
		jobs[i].arg = &jobs[i];
	}
	for (i = 0; i < JOBS && there; i++) {
		slots[NORMAL][i] = &jobs[i];
		jobs[i].result = i; /* its place */
		jobs[i].state = JOB_LISTED;
		pool.lanes[NORMAL].tail++;
		pool.stats.submitted++;
	}
}

/* What is wrong with n jobs and these threads beside the workers. */
static const char *
find_bug(int n, bool close_early, bool with_cancel, int bound, int delays)
{
	struct explore_program program = {
	    reset, {submitter, worker_0, worker_1, canceller}};
	const char *bug;

	if (!with_cancel)
		program.body[3] = NULL;
	count = n;
	with_close = close_early;
	bug = explore(&program, bound, delays);
	printf("pool: %d jobs%s%s%s, %d preemptions, %d late stores: "
	       "%lu schedules: %s\n",
	    n, close_early ? ", closed" : "", with_cancel ? ", a cancel" : "",
	    spinning ? ", spinning" : "", bound, delays, explorer.schedules,
	    bug != NULL ? bug : "nothing wrong");
	return bug;
}

/* The same with all jobs in the queue from the start. */
static const char *
find_bug_there(bool close_early, bool with_cancel, int bound)
{
	const char *bug;

	there = true;
	bug = find_bug(JOBS, close_early, with_cancel, bound, 0);
	there = false;
	return bug;
}

START_TEST(a_batch_is_shared_out_once)
{
	ck_assert_ptr_null(find_bug_there(false, false, 2));
	ck_assert_ptr_null(find_bug_there(true, false, 1));
	ck_assert_ptr_null(find_bug_there(false, true, 1));
}
END_TEST

START_TEST(every_job_runs)
{
	ck_assert_ptr_null(find_bug(1, false, false, 2, 0));
	ck_assert_ptr_null(find_bug(2, false, false, 2, 0));
	ck_assert_ptr_null(find_bug(1, false, false, 0, 1));
}
END_TEST

START_TEST(every_job_runs_when_workers_spin)
{
	spinning = true;
	ck_assert_ptr_null(find_bug(1, false, false, 1, 0));
	ck_assert_ptr_null(find_bug(1, false, false, 0, 1));
	ck_assert_ptr_null(find_bug(2, false, false, 1, 0));
}
END_TEST

START_TEST(a_close_at_any_time_ends_every_job)
{
	ck_assert_ptr_null(find_bug(1, true, false, 2, 0));
	ck_assert_ptr_null(find_bug(2, true, false, 2, 0));
}
END_TEST

START_TEST(a_cancel_at_any_time_ends_its_job_once)
{
	ck_assert_ptr_null(find_bug(1, false, true, 1, 0));
	ck_assert_ptr_null(find_bug(1, true, true, 1, 0));
	ck_assert_ptr_null(find_bug(2, false, true, 1, 0));
}
END_TEST

/* check_schedules --deep. */
START_TEST(a_job_runs_whatever_three_preemptions_do)
{
	ck_assert_ptr_null(find_bug(1, false, false, 3, 0));
	ck_assert_ptr_null(find_bug(1, true, false, 3, 0));
}
END_TEST

/* Broken. */

static const char *
find_broken(int tool, int n, bool close_early, bool with_cancel, int bound)
{
	const char *bug;

	broken = tool;
	bug = find_bug(n, close_early, with_cancel, bound, 0);
	broken = NOTHING;
	return bug;
}

START_TEST(an_exchange_in_two_steps_is_found)
{
	broken = EXCHANGE;
	ck_assert_ptr_nonnull(find_bug_there(false, true, 1));
	ck_assert_ptr_nonnull(find_bug_there(true, false, 2));
}
END_TEST

START_TEST(a_sleep_without_a_second_look_is_found)
{
	ck_assert_ptr_nonnull(find_broken(FUTEX_COMPARE, 1, false, false, 2));
}
END_TEST

START_TEST(a_wake_that_gets_lost_is_found)
{
	ck_assert_ptr_nonnull(find_broken(FUTEX_WAKE_, 1, false, false, 1));
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *suite = suite_create("schedules");

	if (CENSUS_TSAN || CENSUS_ASAN) {
		printf("schedules: skipped under a sanitizer\n");
		return suite_main(suite);
	}
	if (argc == 2 && strcmp(argv[1], "--deep") == 0) {
		census_add(census_case(suite, "deep", 600),
		    a_job_runs_whatever_three_preemptions_do);
		return suite_main(suite);
	}
	census_add(census_case(suite, "every schedule", 200), every_job_runs,
	    every_job_runs_when_workers_spin,
	    a_close_at_any_time_ends_every_job, a_batch_is_shared_out_once);
	census_add(census_case(suite, "cancel", 200),
	    a_cancel_at_any_time_ends_its_job_once);
	census_add(census_case(suite, "broken tools", 20),
	    an_exchange_in_two_steps_is_found,
	    a_sleep_without_a_second_look_is_found,
	    a_wake_that_gets_lost_is_found);
	return suite_main(suite);
}
