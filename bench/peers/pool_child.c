/* SPDX-License-Identifier: ISC */
/*
 * pool_child: one measured run, in a process of its own.
 */
#include "pool.h"

#include <eddy.h>

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../bench.h"

pool_run *const pool_peers[POOL_PEERS] = {[EDDY] = pool_eddy,
    [NO_SPIN] = pool_eddy,
    [LIBUV] = pool_libuv,
    [ASIO] = pool_asio,
    [GLIB] = pool_glib,
    [DIRECT] = pool_direct,
    [RAW] = pool_raw,
    [RING] = pool_ring};

struct pool_state pool_state;

static struct pool_load load;
static int64_t *latencies; /* of the short jobs */
static long count;

void
pool_burn(long ns)
{
	int64_t until = eddy_now() + ns;

	while (eddy_now() < until)
		;
}

/* The same jobs are long for every peer. */
void
pool_draw(struct pool_unit *unit)
{
	static uint64_t x = 88172645463325252u; /* xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	unit->work = x % 100 == 0 ? load.seldom : load.work;
	unit->since = eddy_now();
}

void
pool_note(const struct pool_unit *unit)
{
	if (unit->work == load.work)
		latencies[count++] = eddy_now() - unit->since;
}

static int
ascending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

int64_t
pool_cpu(clockid_t clock)
{
	struct timespec used;

	clock_gettime(clock, &used);
	return EDDY_S(used.tv_sec) + used.tv_nsec;
}

/* The loop, in this thread, to one CPU and all other threads to the next. */
static void
part(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	cpu_set_t set;
	pid_t tid;

	while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
		tid = atoi(entry->d_name); /* 0: not one */
		CPU_ZERO(&set);
		CPU_SET(tid != getpid(), &set);
		if (tid != 0)
			sched_setaffinity(tid, sizeof(set), &set);
	}
	if (tasks != NULL)
		closedir(tasks);
}

static void
run(long jobs, bool first)
{
	load.jobs = jobs < load.window ? load.window : jobs;
	count = 0;
	pool_state.out = load.window;
	pool_state.left = load.jobs - load.window;
	pool_peers[load.peer](&load, first);
}

int
pool_child(char **argv)
{
	struct pool_cost cost = {0, 0, 0, 0};
	int64_t began, used;
	long i, jobs, *fields = &load.peer;

	for (i = 0; argv[i + 1] != NULL; i++)
		fields[i] = atol(argv[i + 1]);
	jobs = load.jobs;
	if (load.place == ONE_CPU)
		bench_pin(0);
	pool_state.mixed = load.seldom != 0;
	latencies = calloc((size_t)(jobs + 5 * load.window), sizeof(int64_t));
	run(load.window * 4, true); /* workers start, pages are touched */
	if (load.place == TWO_CPUS)
		part();
	used = pool_cpu(CLOCK_PROCESS_CPUTIME_ID);
	began = eddy_now();
	run(jobs, false);
	began = eddy_now() - began;
	used = pool_cpu(CLOCK_PROCESS_CPUTIME_ID) - used;
	qsort(latencies, (size_t)count, sizeof(int64_t), ascending);
	if (load.idle)
		pool_eddy_idle(&cost);
	else
		cost = (struct pool_cost){(double)began / (double)load.jobs,
		    (double)used / (double)load.jobs,
		    count != 0 ? (double)latencies[count * 99 / 100] : 0, 0};
	printf("%f %f %f %f\n", cost.time, cost.cpu, cost.p99, cost.wakes);
	return 0;
}
