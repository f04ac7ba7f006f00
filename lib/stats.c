/* SPDX-License-Identifier: ISC */
/*
 * stats: histograms that one thread adds to and any may read, word by word.
 */
#include <eddy/stats.h>

#include <inttypes.h>

#include "loop_impl.h"
#include "text.h"

enum { COUNTS = 64 };

void
eddy_histogram_add(struct eddy_histogram *histogram, int64_t duration)
{
	histogram_add(histogram, duration);
}

void
eddy_histogram_merge(
    struct eddy_histogram *histogram, const struct eddy_histogram *from)
{
	int64_t max = A_LOAD(&from->max);
	int i;

	for (i = 0; i < COUNTS; i++)
		histogram->counts[i] += A_LOAD(&from->counts[i]);
	if (max > histogram->max)
		histogram->max = max;
}

static uint64_t
sum(const struct eddy_histogram *histogram)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < COUNTS; i++)
		n += histogram->counts[i];
	return n;
}

int64_t
eddy_histogram_percentile(
    const struct eddy_histogram *histogram, double percent)
{
	double left = (double)sum(histogram) * (100 - percent) / 100;
	uint64_t above = 0;
	int64_t bound;
	int i = COUNTS - 1;

	while (i > 0 && (double)(above + histogram->counts[i]) <= left)
		above += histogram->counts[i--];
	bound = (int64_t)((UINT64_C(1) << i) - 1);
	return bound < histogram->max ? bound : histogram->max;
}

void
eddy_loop_stats(const struct eddy_loop *loop, struct eddy_loop_stats *stats)
{
	eddy_histogram_merge(&stats->lag, &loop->stats.lag);
	eddy_histogram_merge(&stats->turn, &loop->stats.turn);
	eddy_histogram_merge(&stats->job, &loop->stats.job);
	eddy_histogram_merge(&stats->queue, &loop->stats.queue);
	eddy_histogram_merge(&stats->run, &loop->stats.run);
}

int
eddy_loop_stats_reset(struct eddy_loop *loop)
{
	uint64_t *word = (void *)&loop->stats; /* of nothing else */
	int r = eddy__loop_mine(loop);

	for (; r == 0 && word != (void *)(&loop->stats + 1); word++)
		A_STORE(word, 0);
	return r;
}

static void
print(struct text *text, const char *name, const struct eddy_histogram *h)
{
	eddy__print(text,
	    "%-5s %10" PRIu64 " times, us: p50 %.1f, p99 %.1f, p99.9 %.1f, "
	    "max %.1f\n",
	    name, sum(h), (double)eddy_histogram_percentile(h, 50) / 1e3,
	    (double)eddy_histogram_percentile(h, 99) / 1e3,
	    (double)eddy_histogram_percentile(h, 99.9) / 1e3,
	    (double)h->max / 1e3);
}

int
eddy_loop_stats_print(const struct eddy_loop_stats *stats, int fd)
{
	struct text text = {.fd = fd};

	print(&text, "lag", &stats->lag);
	print(&text, "turn", &stats->turn);
	print(&text, "job", &stats->job);
	print(&text, "queue", &stats->queue);
	print(&text, "run", &stats->run);
	return eddy__print_end(&text);
}
