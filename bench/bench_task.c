/* SPDX-License-Identifier: ISC */
/*
 * What do tasks cost: a yield through the loop, an await that completes at
 * once, a call, a spawn?  Beside them callbacks from a list, the floor, and
 * C++20 coroutines on the same loop.  "bench_task awaits N" only makes N awaits
 * that complete at once, for valgrind.
 */
#include <eddy.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "loop_impl.h"
#include "peers/task.h"

typedef double operation(long n);

long task_count;

struct eddy_ready *
task_queue(struct eddy_loop *loop)
{
	return &loop->pending;
}

/* limit is of eddy's time / theirs; 0: no bar. */
static void
compare(const char *what, operation *floor, operation *eddy, operation *theirs,
    double limit)
{
	struct bench_case cases[4] = {{"eddy", eddy, 0, {0}}};
	char subject[64];
	int count = 1;

	if (theirs != NULL)
		cases[count++] = (struct bench_case){"C++20", theirs, 0, {0}};
	if (floor != NULL)
		cases[count] = (struct bench_case){
		    "floor: bare callbacks", floor, 0, {0}};
	bench_compare(what, cases, 4000000);
	snprintf(subject, sizeof(subject), "%s, eddy / C++20", what);
	if (limit != 0 && theirs != NULL)
		bench_bar(subject, cases[0].median / cases[1].median, limit);
	else if (limit != 0)
		bench_skip(subject, "g++");
}

static void
count_instructions(const char *self)
{
	static const char subject[] = "instructions, await that is complete";
	char command[256];
	double count;

	snprintf(command, sizeof(command), "%s awaits %%ld", self);
	count = bench_instructions(command, 1000, 101000);
	if (count >= 0)
		bench_bar(subject, count, 50);
	else
		bench_skip(subject, "valgrind");
}

int
main(int argc, char **argv)
{
	static const long counts[] = {10, 1000, 1000000};
	static const struct task_peer none;
	const struct task_peer *eddy = &task_eddy, *cpp20 = &task_cpp20;
	char title[32];
	int i;

	if (argc == 3 && strcmp(argv[1], "awaits") == 0)
		return eddy->complete(atol(argv[2])) < 0;
	if (cpp20 == NULL)
		cpp20 = &none;
	for (i = 0; i < 3; i++) {
		task_count = counts[i];
		snprintf(title, sizeof(title), "yield, %ld tasks", task_count);
		compare(
		    title, task_floor.yield, eddy->yield, cpp20->yield, 1.5);
	}
	task_count = 0;
	compare(
	    "await that is complete", NULL, eddy->complete, cpp20->complete, 0);
	compare("call and return", NULL, eddy->call, cpp20->call, 0);
	compare("spawn and finish", NULL, eddy->spawn, cpp20->spawn, 1.0);
	compare("prepare, spawn and finish", NULL, task_eddy_spawn_prepared,
	    cpp20->spawn, 1.0);
	count_instructions(argv[0]);
	return 0;
}
