/* SPDX-License-Identifier: ISC */
/*
 * stats: how late a loop is, and how long its turns and jobs take.
 *
 * Always counted, in histograms by powers of two; see eddy-stats(3).
 */
#ifndef EDDY_STATS_H
#define EDDY_STATS_H

#include <eddy/loop.h>

EDDY_HEADER_BEGIN_

/* Durations in ns; all zero is an empty one.  One thread adds, any may read. */
struct eddy_histogram {
	uint64_t counts[64]; /* [i]: of those below 2^i and not below 2^(i-1) */
	int64_t max;
};

void eddy_histogram_add(struct eddy_histogram *histogram, int64_t duration);
/* Add what is in from, to which another thread may be adding. */
void eddy_histogram_merge(
    struct eddy_histogram *histogram, const struct eddy_histogram *from);
/* What so many percent do not exceed: max, or one less than a power of two, and
 * less than twice the least that would do; 0 when it is empty. */
int64_t eddy_histogram_percentile(
    const struct eddy_histogram *histogram, double percent);

struct eddy_loop_stats {
	struct eddy_histogram lag; /* of a turn's first timer behind its time */
	struct eddy_histogram
	    turn; /* from the poll's end to the last callback's */
	/* Of a sample of the jobs: from submit to outcome, */
	struct eddy_histogram job;
	struct eddy_histogram queue; /* from submit to start, if it ran, */
	struct eddy_histogram run;   /* from there to its end */
};

/* Add what loop has counted to stats.  Any thread, while it is open. */
void eddy_loop_stats(
    const struct eddy_loop *loop, struct eddy_loop_stats *stats);
/* Count from zero.  Loop thread. */
int eddy_loop_stats_reset(struct eddy_loop *loop);
/* Write to fd, a line for each histogram: count, p50, p99, p99.9 and max.  0 or
 * -errno.  Any thread. */
int eddy_loop_stats_print(const struct eddy_loop_stats *stats, int fd);

EDDY_HEADER_END_

#endif
