/* SPDX-License-Identifier: ISC */
#include <eddy/process_pool.h>
#include <eddy/stats.h>
#include <eddy/thread_pool.h>
#include <eddy/timer.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "census.h"

static const struct {
	int64_t duration;
	int bucket;
} buckets[] = {{INT64_MIN, 0}, {-1, 0}, {0, 0}, {1, 1}, {2, 2}, {3, 2}, {4, 3},
    {1023, 10}, {1024, 11}, {INT64_MAX, 63}};

START_TEST(a_duration_goes_to_its_power_of_two)
{
	struct eddy_histogram h = {{0}, 0};
	int64_t duration = buckets[_i].duration;

	eddy_histogram_add(&h, duration);
	ck_assert_uint_eq(h.counts[buckets[_i].bucket], 1);
	ck_assert_int_eq(h.max, duration > 0 ? duration : 0);
	ck_assert_int_eq(
	    eddy_histogram_percentile(&h, 50), duration > 0 ? duration : 0);
}
END_TEST

static int
ascending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* The answer is at least the true one and below twice that. */
START_TEST(percentiles_match_a_sorted_list)
{
	static const double percents[] = {
	    0.1, 1, 25, 50, 75, 90, 99, 99.9, 100};
	static int64_t all[1000];
	struct eddy_histogram h = {{0}, 0};
	unsigned seed = 1;
	size_t i, rank;

	for (i = 0; i < COUNT_OF(all); i++) {
		all[i] = (int64_t)rand_r(&seed) >> (rand_r(&seed) % 30);
		eddy_histogram_add(&h, all[i]);
	}
	qsort(all, COUNT_OF(all), sizeof(all[0]), ascending);
	for (i = 0; i < COUNT_OF(percents); i++) {
		int64_t got = eddy_histogram_percentile(&h, percents[i]);

		rank = (size_t)(percents[i] / 100 * COUNT_OF(all) + 0.5);
		ck_assert_int_ge(got, all[rank - 1]);
		ck_assert_int_le(got, 2 * all[rank - 1]);
	}
	ck_assert_int_eq(eddy_histogram_percentile(&h, 100), all[999]);
}
END_TEST

START_TEST(an_empty_histogram_answers_0)
{
	struct eddy_histogram h = {{0}, 0};

	ck_assert_int_eq(eddy_histogram_percentile(&h, 50), 0);
	ck_assert_int_eq(eddy_histogram_percentile(&h, 100), 0);
	eddy_histogram_add(&h, 5); /* nothing is below the least */
	ck_assert_int_eq(eddy_histogram_percentile(&h, 0), 0);
}
END_TEST

START_TEST(merged_histograms_add_up)
{
	struct eddy_histogram one = {{0}, 0}, two = {{0}, 0};

	eddy_histogram_add(&one, 5);
	eddy_histogram_add(&two, 0);
	eddy_histogram_add(&two, 6);
	eddy_histogram_add(&two, 1000);
	eddy_histogram_add(&two, INT64_MAX);
	eddy_histogram_merge(&one, &two);
	ck_assert_uint_eq(one.counts[0], 1);
	ck_assert_uint_eq(one.counts[3], 2);
	ck_assert_uint_eq(one.counts[10], 1);
	ck_assert_uint_eq(one.counts[63], 1);
	ck_assert_int_eq(one.max, INT64_MAX);
}
END_TEST

/* A loop. */

static uint64_t
sum(const struct eddy_histogram *h)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < COUNT_OF(h->counts); i++)
		n += h->counts[i];
	return n;
}

static void
on_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
	usleep(2000);
}

static void
fire(struct eddy_loop *loop, int64_t late)
{
	struct eddy_timer timer;

	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, eddy_now() - late), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
}

START_TEST(lag_and_turns_are_counted)
{
	struct eddy_loop *loop = census_loop(), *other = census_loop();
	struct eddy_loop_stats stats = {.lag = {{0}, 0}};

	fire(loop, EDDY_MS(50));
	fire(loop, 0);
	fire(other, EDDY_S(100));
	eddy_loop_stats(loop, &stats);
	ck_assert_uint_eq(sum(&stats.lag), 2);
	ck_assert_uint_eq(sum(&stats.turn), 2);
	ck_assert_int_ge(stats.lag.max, EDDY_MS(50));
	ck_assert_int_lt(stats.lag.max, EDDY_S(50));
	ck_assert_int_ge(stats.turn.max, EDDY_MS(2));
	eddy_loop_stats(other, &stats);
	ck_assert_uint_eq(sum(&stats.lag), 3);
	ck_assert_int_ge(stats.lag.max, EDDY_S(100));
	ck_assert_int_eq(eddy_loop_stats_reset(loop), 0);
	memset(&stats, 0, sizeof(stats));
	eddy_loop_stats(loop, &stats);
	ck_assert_uint_eq(sum(&stats.lag) + sum(&stats.turn), 0);
	ck_assert_int_eq(stats.turn.max, 0);
	ck_assert_int_eq(eddy_loop_close(other), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static int
job(void *arg)
{
	(void)arg;
	return 0;
}

static struct eddy_executor executor;
static int jobs_left;

static void
on_done(struct eddy_loop *loop, struct eddy_job *done)
{
	if (--jobs_left > 0)
		ck_assert_int_eq(
		    eddy_submit(&executor, done, loop, on_done), 0);
}

static void
on_start(struct eddy_loop *loop, struct eddy_timer *timer)
{
	static char arg;
	static struct eddy_job one = EDDY_JOB(job, &arg);

	(void)timer;
	ck_assert_int_eq(eddy_submit(&executor, &one, loop, on_done), 0);
}

START_TEST(of_64_short_jobs_at_least_one_is_timed)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_loop_stats stats = {.lag = {{0}, 0}};
	struct eddy_timer timer;

	eddy_copy_executor(&executor);
	jobs_left = 640;
	eddy_timer_init(&timer, on_start);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	eddy_loop_stats(loop, &stats);
	ck_assert_uint_ge(sum(&stats.job), 10);
	ck_assert_uint_eq(sum(&stats.queue), sum(&stats.job));
	ck_assert_uint_eq(sum(&stats.run), sum(&stats.job));
	ck_assert_int_eq(eddy_loop_stats_reset(loop), 0);
	memset(&stats, 0, sizeof(stats));
	eddy_loop_stats(loop, &stats);
	ck_assert_uint_eq(
	    sum(&stats.job) + sum(&stats.queue) + sum(&stats.run), 0);
	eddy_executor_fini(&executor);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Queue and run apart: a job that naps, behind one that waits for a gate. */

static int gate[2];
static struct eddy_executor *pool;

static int
wait_for_gate(void *arg)
{
	(void)arg;
	return read(eddy_job_fd(0), &(char){0}, 1) == 1 ? 0 : -EIO;
}

static int
nap(void *arg)
{
	(void)arg;
	usleep(30000);
	return 0;
}

static void
on_returned(struct eddy_loop *loop, struct eddy_job *done)
{
	(void)loop;
	ck_assert_int_eq(eddy_job_rc(done), 0);
}

static void
open_gate(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
	ck_assert_int_eq(write(gate[1], "", 1), 1);
}

static void
on_queue(struct eddy_loop *loop, struct eddy_timer *timer)
{
	static char arg;
	static struct eddy_job behind = EDDY_JOB(nap, &arg);

	ck_assert_int_eq(eddy_submit(pool, &behind, loop, on_returned), 0);
	eddy_timer_init(timer, open_gate);
	ck_assert_int_eq(
	    eddy_timer_start(loop, timer, eddy_after(EDDY_MS(20))), 0);
}

static void
open_pool(struct eddy_loop *loop, bool processes)
{
	struct eddy_thread_pool_options threads = {.workers_max = 1};
	struct eddy_process_pool_options options = {
	    .workers = 1, .flags = EDDY_PASS_DESCRIPTORS};

	ck_assert_int_eq(processes
			     ? eddy_process_pool_open(&pool, loop, &options)
			     : eddy_thread_pool_open(&pool, &threads),
	    0);
}

START_TEST(queue_and_run_time_are_apart)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_loop_stats stats = {.lag = {{0}, 0}};
	struct eddy_descriptors fds = {.in_count = 1};
	static char arg;
	struct eddy_long_job first = EDDY_LONG_JOB(wait_for_gate, &arg, NULL);
	struct eddy_timer timer;

	ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
	fds.in[0] = gate[0];
	first.fds = &fds;
	open_pool(loop, _i != 0);
	/* Outside of a callback, so that is not timed. */
	ck_assert_int_eq(eddy_submit(pool, &first.job, loop, on_returned), 0);
	eddy_timer_init(&timer, on_queue);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	eddy_loop_stats(loop, &stats);
	ck_assert_uint_eq(sum(&stats.job), 1);
	ck_assert_int_ge(stats.queue.max, EDDY_MS(20));
	if (_i == 0) /* of a process's job the loop hears later that it began */
		ck_assert_int_ge(stats.run.max, EDDY_MS(30));
	ck_assert_int_ge(stats.queue.max + stats.run.max, EDDY_MS(50));
	ck_assert_int_ge(stats.job.max, stats.queue.max + stats.run.max);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(10)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	close(gate[0]);
	close(gate[1]);
}
END_TEST

static void
on_cancelled(struct eddy_loop *loop, struct eddy_job *done)
{
	(void)loop;
	ck_assert_int_eq(eddy_job_rc(done), -ECANCELED);
}

/* Says that it has begun, and waits to be let go. */
static int
stay(void *arg)
{
	const int *fds = *(int **)arg;
	char c = 'x';

	return write(fds[1], &c, 1) == 1 && read(fds[2], &c, 1) == 1 ? 0 : -EIO;
}

static void
on_change_of_mind(struct eddy_loop *loop, struct eddy_timer *timer)
{
	static char arg;
	static struct eddy_job never = EDDY_JOB(nap, &arg);

	(void)timer;
	ck_assert_int_eq(eddy_submit(pool, &never, loop, on_cancelled), 0);
	ck_assert_int_eq(eddy_job_cancel(&never), 0);
}

START_TEST(a_job_that_never_ran_has_no_queue_or_run_time)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_loop_stats stats = {.lag = {{0}, 0}};
	struct eddy_timer timer;
	int fds[4], *all = fds;
	struct eddy_job busy = EDDY_JOB(stay, &all); /* the only worker is */
	char c;

	open_pool(loop, false);
	ck_assert_int_eq(pipe(fds) + pipe(fds + 2), 0);
	ck_assert_int_eq(eddy_submit(pool, &busy, NULL, NULL), 0);
	ck_assert_int_eq(read(fds[0], &c, 1), 1);
	eddy_timer_init(&timer, on_change_of_mind);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(write(fds[3], "x", 1), 1);
	ck_assert_int_eq(eddy_job_wait(&busy, EDDY_FOREVER), 0);
	eddy_loop_stats(loop, &stats);
	ck_assert_uint_eq(sum(&stats.job), 1);
	ck_assert_uint_eq(sum(&stats.queue) + sum(&stats.run), 0);
	while (all < fds + 4)
		close(*all++);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(10)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_virtual_clock_counts_nothing)
{
	struct eddy_clock clock = {.now = 0};
	struct eddy_loop_options options = {.clock = &clock};
	struct eddy_loop_stats stats = {.lag = {{0}, 0}};
	struct eddy_timer timer;
	struct eddy_loop *loop;

	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, EDDY_S(5)), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	eddy_loop_stats(loop, &stats);
	ck_assert_uint_eq(sum(&stats.lag) + sum(&stats.turn), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(the_printed_form_has_a_line_each)
{
	struct eddy_loop_stats stats = {.lag = {{0}, 0}};
	int fd = memfd_create("stats", MFD_CLOEXEC);
	char text[1024];
	ssize_t n;

	eddy_histogram_add(&stats.lag, 1500);
	ck_assert_int_eq(eddy_loop_stats_print(&stats, -1), -EBADF);
	ck_assert_int_eq(eddy_loop_stats_print(&stats, fd), 0);
	n = pread(fd, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_ptr_eq(
	    strstr(text, "lag            1 times, us: p50 1.5, p99 "
			 "1.5, p99.9 1.5, max 1.5\nturn "),
	    text);
	ck_assert_ptr_nonnull(strstr(text, "\njob "));
	ck_assert_ptr_nonnull(strstr(text, "\nqueue "));
	ck_assert_ptr_nonnull(strstr(text, "\nrun "));
	close(fd);
}
END_TEST

/* While the loop counts. */
static uint32_t stop_reading;

static void *
read_stats(void *loop)
{
	struct eddy_loop_stats stats = {.lag = {{0}, 0}};

	while (__atomic_load_n(&stop_reading, __ATOMIC_RELAXED) == 0) {
		memset(&stats, 0, sizeof(stats));
		eddy_loop_stats(loop, &stats);
	}
	return (void *)(uintptr_t)sum(&stats.turn);
}

START_TEST(any_thread_may_read)
{
	struct eddy_loop *loop = census_loop();
	pthread_t thread;
	int i;

	ck_assert_int_eq(pthread_create(&thread, NULL, read_stats, loop), 0);
	for (i = 0; i < 20; i++)
		fire(loop, 0);
	__atomic_store_n(&stop_reading, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void *
reset_elsewhere(void *loop)
{
	ck_assert_int_eq(eddy_loop_stats_reset(loop), -EPERM);
	return NULL;
}

START_TEST(only_the_loop_thread_may_reset)
{
	struct eddy_loop *loop = census_loop();
	pthread_t thread;

	ck_assert_int_eq(
	    pthread_create(&thread, NULL, reset_elsewhere, loop), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("stats");
	TCase *histograms = census_case(suite, "histograms", 5);
	TCase *loop = census_case(suite, "loop", 10);

	tcase_add_loop_test(histograms, a_duration_goes_to_its_power_of_two, 0,
	    COUNT_OF(buckets));
	census_add(histograms, percentiles_match_a_sorted_list,
	    an_empty_histogram_answers_0, merged_histograms_add_up);
	tcase_add_loop_test(loop, queue_and_run_time_are_apart, 0, 2);
	census_add(loop, lag_and_turns_are_counted,
	    of_64_short_jobs_at_least_one_is_timed,
	    a_job_that_never_ran_has_no_queue_or_run_time,
	    a_virtual_clock_counts_nothing, the_printed_form_has_a_line_each,
	    any_thread_may_read, only_the_loop_thread_may_reset);
	return suite_main(suite);
}
