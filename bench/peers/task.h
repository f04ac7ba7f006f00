/* SPDX-License-Identifier: ISC */
/*
 * task: what bench_task asks of a kind of coroutine.
 *
 * All kinds are resumed by eddy's loop, from its queue for the next turn; so a
 * turn polls once, whoever filled the queue.
 */
#ifndef BENCH_PEERS_TASK_H
#define BENCH_PEERS_TASK_H

#include <eddy/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TASK_BATCH = 1000 }; /* so many are spawned, then joined */

/* Each: ns an operation, over n of them. */
struct task_peer {
	double (*yield)(long n);    /* by task_count tasks in turn */
	double (*complete)(long n); /* await what is complete */
	double (*call)(long n);     /* and return */
	double (*spawn)(long n);    /* and finish, through the queue */
};

extern long task_count;
struct eddy_ready *task_queue(struct eddy_loop *loop); /* of the next turn */

extern const struct task_peer task_floor; /* only yields; no loop */
extern const struct task_peer task_eddy;
double task_eddy_spawn_prepared(long n); /* without EDDY_INIT */
extern const size_t task_eddy_size;      /* of one that yields */
double task_floor_yield_apart(long n);   /* so far from each other */
/* Weak: NULL where no C++20 compiler built it. */
extern const struct task_peer task_cpp20 __attribute__((weak));

#ifdef __cplusplus
}
#endif

#endif
