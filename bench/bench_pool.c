/* SPDX-License-Identifier: ISC */
/*
 * What does a job on a thread pool cost, at 1 to 4,096 jobs out at a time and 1
 * to 4 workers, beside libuv?  Each run is a process of its own, since libuv has
 * one pool for life: "bench_pool PEER WORKERS WINDOW JOBS WORK_NS" is one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <eddy.h>

#include "bench.h"
#include "peers/pool.h"

static const struct {
	const char *name;
	pool_run *run;
	long spin;
} peers[] = {{"eddy", pool_eddy, 0}, {"eddy, spinning off", pool_eddy, -1},
    {"libuv", pool_libuv, 0}};

enum { EDDY, EDDY_NO_SPIN, LIBUV, PEERS };

static const char *self;
static struct bench_case cases[PEERS + 1];
static struct pool_load load;
static double cpu[PEERS]; /* ns a job, of the last round */

static double
cpu_time(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

/* In the child: ns of time and of CPU, each job. */
static int
run_one(char **argv)
{
	int peer = atoi(argv[1]);
	double used;
	int64_t began;

	load = (struct pool_load){.workers = (unsigned)atoi(argv[2]),
	    .window = atol(argv[3]),
	    .work = atol(argv[5]),
	    .spin = peers[peer].spin};
	load.jobs = load.window * 4; /* workers start, pages are touched */
	peers[peer].run(&load, true);
	load.jobs = atol(argv[4]);
	used = cpu_time();
	began = eddy_now();
	peers[peer].run(&load, false);
	began = eddy_now() - began;
	printf("%f %f\n", (double)began / (double)load.jobs,
	    (cpu_time() - used) / (double)load.jobs);
	return 0;
}

static double
run_child(long n)
{
	int peer = (int)(bench_running - cases);
	double ns = 0;
	char command[512];
	FILE *child;

	snprintf(command, sizeof(command), "%s %d %u %ld %ld %ld", self, peer,
	    load.workers, load.window, n, load.work);
	child = popen(command, "r");
	if (child == NULL || fscanf(child, "%lf %lf", &ns, &cpu[peer]) != 2 ||
	    pclose(child) != 0)
		bench_check(-1, command);
	return ns;
}

static void
bar(const char *title, int mine, double limit)
{
	char subject[96];

	snprintf(subject, sizeof(subject), "%s, %s / libuv", title,
	    peers[mine].name);
	if (pool_libuv == NULL)
		bench_skip(subject, "libuv1-dev");
	else
		bench_bar(
		    subject, cases[mine].median / cases[LIBUV].median, limit);
}

static void
compare(unsigned workers, long window, long work, long jobs)
{
	char title[64];
	int i;

	for (i = 0; i < PEERS; i++)
		cases[i] = (struct bench_case){
		    peers[i].run != NULL ? peers[i].name : NULL, run_child, 0,
		    {0}};
	load = (struct pool_load){
	    .workers = workers, .window = window, .work = work};
	snprintf(title, sizeof(title), "%u workers, window %ld, %ld us",
	    workers, window, work / 1000);
	bench_compare(title, cases, jobs);
	if (work != 0)
		return;
	if (window == 1) {
		bar(title, EDDY, 0.1);
		bar(title, EDDY_NO_SPIN, 0.85);
		if (pool_libuv != NULL)
			bench_bar("CPU of a lone job, eddy / libuv",
			    cpu[EDDY] / cpu[LIBUV], 0.15);
	} else {
		bar(title, EDDY,
		    window == 16    ? 0.5
		    : window == 256 ? 0.45
				    : 0.15);
	}
}

int
main(int argc, char **argv)
{
	static const long windows[] = {1, 16, 256, 4096};
	static const long jobs[] = {30000, 100000, 500000, 1000000};
	unsigned workers;
	int i;

	self = argv[0];
	if (argc == 6)
		return run_one(argv);
	for (i = 0; i < 4; i++)
		for (workers = 1; workers <= 4; workers *= 2)
			compare(workers, windows[i], 0, jobs[i]);
	compare(2, 64, 1000, 300000);
	compare(2, 64, 10000, 50000);
	compare(2, 64, 100000, 5000);
	return 0;
}
