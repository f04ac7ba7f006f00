/* SPDX-License-Identifier: ISC */
/*
 * scenario: what check_fault.c runs again and again while calls fail.
 *
 * A scenario answers the first error that it was told, or 0.  Whatever fails, it
 * ends, each job it submitted has one outcome, and nothing of it stays.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <eddy.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "fault.h"

enum { SLOW = CENSUS_TSAN || CENSUS_ASAN };

/* check_fault.c: to what is true whatever fails; else how to replay it. */
#define must(condition) ((condition) ? (void)0 : broken(#condition))
_Noreturn void broken(const char *what);

/* The first error of a run. */
static inline void
note(int *first, int r)
{
	if (r < 0 && *first == 0)
		*first = r;
}

/* On two workers of either kind. */
typedef int use_fn(struct eddy_loop *loop, struct eddy_executor *pool);

/* With one of the three. */
struct scenario {
	const char *name;
	int (*run)(void);
	use_fn *on_threads, *on_processes;
	bool forks; /* and the calls of its children fail, too */
};

/* loop.c */
int run_loop(void);
int run_embedded(void);
int run_stage(void);

/* tasks.c.  What has begun has left in order. */
extern int begun, left;
struct nap {
	struct eddy_task task;
	int64_t duration;
};
eddy_step nap(struct eddy_task *self);
int run_tasks(void);
int run_band(void);
int run_mail(void);
int run_visit(void);

/* io.c */
int run_talks(void);
int run_moves(void);
int run_server(void);

/* jobs.c */
struct call {
	struct eddy_job job;
	int in, answers;
	bool accepted;
};
eddy_job_fn give;            /* adds 1 to in */
eddy_job_fn hang;            /* until it is asked to stop */
eddy_job_done_fn on_call;    /* counts answers */
eddy_job_done_fn on_outcome; /* there is one */
int submit_by(struct eddy_executor *pool, struct eddy_loop *loop,
    struct call *call, eddy_job_fn *fn, int64_t deadline);
/* Nobody but the fault may keep it from running; if all fail, not for ever. */
int submit(struct eddy_executor *pool, struct eddy_loop *loop,
    struct call *call, eddy_job_fn *fn);
/* Jobs that had their time: one outcome each.  What those of fn were told. */
int answered(const struct call *calls, int n, eddy_job_fn *fn);
/* A loop, and a pool of threads or else of processes, while use has them. */
int with_pool(const struct eddy_thread_pool_options *threads,
    const struct eddy_process_pool_options *processes, use_fn *use);
/* n jobs; and n that are out when the pool is closed. */
int use_jobs(struct eddy_loop *loop, struct eddy_executor *pool, int n);
int run_one_on_threads(void);
int run_many_on_threads(void);
int run_mix(void);
int run_offload(void);
int run_waits(void);
use_fn use_strand, use_transforms, use_cancels, use_deadlines, use_interrupt;

/* processes.c; and its races, decided. */
int run_one_on_processes(void);
int run_many_on_processes(void);
int run_homeless(void);
int run_replaced(void);
use_fn use_nothing;
void add_races(Suite *suite);

/* system.c */
int run_guest(void);
int run_filter(void);
int run_files(void);
int run_names(void);

/* look.c */
use_fn use_looks, use_trace;
int run_stall(void);

#endif
