/* SPDX-License-Identifier: ISC */
/*
 * What do tasks cost: a yield through the loop, an await that completes at
 * once, a call, a spawn?  Beside them callbacks from a list, the floor, and
 * C++20 coroutines on the same loop.
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
	struct bench_case cases[5] = {{.name = "eddy", .run = eddy}};
	char subject[64];
	int count = 1;

	if (theirs != NULL)
		cases[count++] = (struct bench_case){
		    .name = "C++20", .run = theirs};
	if (floor != NULL) {
		cases[count++] = (struct bench_case){
		    .name = "floor: bare callbacks", .run = floor};
		cases[count] = (struct bench_case){
		    .name = "as far apart as tasks",
		    .run = task_floor_yield_apart};
	}
	bench_count_with(20000, 120000);
	bench_compare(what, cases, 4000000);
	snprintf(subject, sizeof(subject), "%s, eddy / C++20", what);
	if (limit != 0 && theirs != NULL)
		bench_bar(subject, cases[0].median / cases[1].median, limit);
	else if (limit != 0)
		bench_skip(subject, "g++");
	if (eddy == task_eddy.complete && cases[0].instructions > 0)
		bench_bar("instructions, await that is complete",
		    cases[0].instructions, 50);
}

int
main(void)
{
	static const long counts[] = {10, 1000, 1000000};
	static const struct task_peer none;
	const struct task_peer *eddy = &task_eddy, *cpp20 = &task_cpp20;
	char title[32];
	int i;

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
	return 0;
}
