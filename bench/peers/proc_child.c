/* SPDX-License-Identifier: ISC */
/*
 * proc_child: one measured run, in a process of its own.
 */
#include "proc.h"

#include <eddy/base.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"
#include "floor.h"

struct proc_load proc_load;
struct proc_host proc_host;
static long left; /* jobs to submit again */

bool
proc_again(void)
{
	return left-- > 0;
}

char *
proc_fill(long mib)
{
	char *bytes = malloc((size_t)mib << 20);

	bench_check(bytes == NULL ? -1 : 0, "memory");
	memset(bytes, 1, (size_t)mib << 20);
	__asm__ volatile("" ::"r"(bytes) : "memory"); /* it is used */
	return bytes;
}

void
proc_workers(const int *pids)
{
	cpu_set_t set;
	long i;

	if (proc_load.place != TWO_CPUS)
		return;
	bench_pin(0);
	CPU_ZERO(&set);
	CPU_SET(1, &set);
	for (i = 0; i < proc_load.workers; i++)
		bench_check(sched_setaffinity(pids[i], sizeof(set), &set),
		    "affinity of a worker");
}

double
proc_fork(void)
{
	char *bytes = proc_fill(proc_host.mib);
	int64_t began, sum = 0;
	pid_t pid;
	long i;

	for (i = 0; i < proc_host.n; i++) {
		began = eddy_now();
		pid = fork();
		if (pid == 0)
			_exit(0);
		sum += eddy_now() - began;
		waitpid(pid, NULL, 0);
	}
	free(bytes);
	return (double)sum / (double)proc_host.n;
}

static double
run_jobs(void)
{
	void (*run)(bool) = proc_load.peer == SOCKET ? proc_socket : proc_eddy;
	int64_t began;

	if (proc_load.place == ONE_CPU)
		bench_pin(0);
	if (proc_load.peer == FLOOR && proc_load.place == TWO_CPUS)
		bench_pin(0);
	if (proc_load.peer == FLOOR)
		return floor_trips(
		    true, proc_load.place == TWO_CPUS, proc_load.jobs);
	left = proc_load.window * 3; /* workers start, pages are touched */
	run(true);
	left = proc_load.jobs - proc_load.window;
	began = eddy_now();
	run(false);
	return (double)(eddy_now() - began) / (double)proc_load.jobs;
}

int
proc_child(char **argv)
{
	static const struct {
		const char *name;
		double (*run)(void);
		long *fields;
	} runs[] = {{"jobs", run_jobs, &proc_load.peer},
	    {"crash", proc_crash, &proc_host.mib},
	    {"open", proc_open, &proc_host.mib},
	    {"write", proc_write, &proc_host.mib},
	    {"fork", proc_fork, &proc_host.mib},
	    {"beat", proc_beat, &proc_host.mib}};
	size_t i, k;

	for (i = 0; strcmp(runs[i].name, argv[1]) != 0; i++)
		if (i == sizeof(runs) / sizeof(runs[0]) - 1)
			return 1;
	for (k = 2; argv[k] != NULL; k++)
		runs[i].fields[k - 2] = atol(argv[k]);
	printf("%f\n", runs[i].run());
	return 0;
}
