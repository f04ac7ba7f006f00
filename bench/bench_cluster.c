/* SPDX-License-Identifier: ISC */
/*
 * What does it cost to send a job of a millisecond to a Gearman server with two
 * workers on this machine, beside a process pool with two?  cluster.sh starts
 * server and workers and calls this again.
 */
#include "cluster.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"

enum { JOBS = 2000, WINDOW = 8, WORKERS = 2 };

struct unit {
	struct eddy_job job;
	char byte[1];
};

static struct eddy_zygote *zygote;
static struct eddy_executor *executor;
static const char *servers;
static double loop_cpu; /* us a job behind servers, the last round */
static long left, out;

static int
burn(void *arg)
{
	int64_t until = eddy_after(EDDY_MS(1));

	(void)arg;
	while (eddy_now() < until)
		;
	return 0;
}

static const struct cluster_function table[] = {
    {"burn", burn, true}, {NULL, NULL, false}};

static void
on_done(struct eddy_loop *loop, struct eddy_job *job)
{
	bench_check(eddy_job_rc(job), "job");
	if (left-- > 0)
		bench_check(
		    eddy_submit(executor, job, loop, on_done), "submit");
	else if (--out == 0)
		eddy_loop_stop(loop);
}

/* By all threads: the loop's is the only one that works. */
static double
used(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return 1e6 * (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static double
run_jobs(struct eddy_loop *loop, long n)
{
	struct unit units[WINDOW];
	double before = used();
	int64_t began = eddy_now();

	left = n - WINDOW;
	for (out = 0; out < WINDOW; out++) {
		units[out].job = (struct eddy_job)EDDY_JOB(
		    burn, &units[out].byte);
		bench_check(
		    eddy_submit(executor, &units[out].job, loop, on_done),
		    "submit");
	}
	bench_check(eddy_loop_run(loop), "run");
	loop_cpu = (used() - before) / (double)n;
	return (double)(eddy_now() - began) / (double)n;
}

static double
run(long n)
{
	bool remote = bench_running->name[5] == 'c';
	struct eddy_process_pool_options options = {
	    .zygote = zygote, .workers = WORKERS};
	struct cluster cluster;
	struct eddy_loop *loop;
	double ns;

	n = n < 2 * WINDOW ? 2 * WINDOW : n;
	bench_check(eddy_loop_open(&loop, NULL), "loop");
	if (remote)
		bench_check(cluster_open(&cluster, loop,
				&(struct cluster_options){
				    .servers = servers, .table = table}),
		    servers);
	else
		bench_check(
		    eddy_process_pool_open(&executor, loop, &options), "pool");
	if (remote)
		executor = &cluster.executor;
	run_jobs(loop, 2 * WINDOW); /* all have started */
	ns = run_jobs(loop, n);
	bench_check(eddy_executor_close(executor, EDDY_S(5)), "close");
	while (eddy_loop_step(loop, 0) > 0)
		;
	bench_check(eddy_loop_close(loop), "loop");
	return ns;
}

int
main(int argc, char **argv)
{
	struct bench_case cases[] = {{.name = "eddy processes", .run = run},
	    {.name = "eddy cluster", .run = run}, {.name = NULL}};

	if (argc == 3 && strcmp(argv[1], "--worker") == 0)
		bench_check(cluster_serve(argv[2], table), argv[2]);
	if (argc < 3) {
		execl("bench/cluster.sh", "cluster.sh", argv[0], (char *)NULL);
		bench_check(-1, "bench/cluster.sh");
	}
	servers = argv[2];
	bench_check(eddy_zygote_open(&zygote, 0), "zygote");
	bench_compare("a job of 1 ms, 2 workers", cases, JOBS);
	bench_bar("1 ms jobs, cluster / process pool",
	    cases[1].median / cases[0].median, 1 / 0.9);
	bench_bar("us of the loop's CPU a remote job", loop_cpu, 30);
	eddy_zygote_close(zygote);
	return 0;
}
