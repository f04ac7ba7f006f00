/* SPDX-License-Identifier: ISC */
/*
 * proc: what bench_proc asks of a process pool: keep window jobs out until all
 * have run.  Each sends size bytes there and back, and changes one a line.
 */
#ifndef BENCH_PEERS_PROC_H
#define BENCH_PEERS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Who runs; SOCKET is a worker at a plain stream socket, FLOOR has no pool. */
enum { EDDY, NO_SPIN, SOCKET, FLOOR, CPYTHON, PROC_PEERS };

/* Where processes may run: anywhere; the host on CPU 0 and its workers on CPU
 * 1; all on CPU 0. */
enum { FREE, TWO_CPUS, ONE_CPU };

struct proc_load {
	long peer, workers, depth, window, jobs, size, place;
};

/* A host with mib of memory, and a zygote from before or after that. */
struct proc_host {
	long mib, late, n;
};

extern struct proc_load proc_load;
extern struct proc_host proc_host;

void proc_eddy(bool first); /* first: open the pool, which then stays */
void proc_socket(bool first);

/* ns, on average over n. */
double proc_crash(void); /* from a crash to the end of the job behind it */
double proc_open(void);  /* the loop stands still */
double proc_write(void); /* the same, and then writes to 64 MiB */
double proc_fork(void);
/* How late a beat each ms is, beside n results of 8 MiB: the 99th percentile.
 * late: 0 copied, 1 read in place, 2 outputs that are mapped. */
double proc_beat(void);

/* Take memory and touch it. */
char *proc_fill(long mib);

/* The workers, so that they can be put to their place. */
void proc_workers(const int *pids);

/* A job has come back.  False: do not submit it again. */
bool proc_again(void);

static inline void
proc_work(char *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i += 64)
		bytes[i]++;
}

/* Run what argv says and print what it cost; answers as main. */
int proc_child(char **argv);

#endif
