/* SPDX-License-Identifier: ISC */
/*
 * cluster: an executor whose workers are behind Gearman job servers.
 *
 * A program's job functions have names, in one table that clients and workers
 * are built with; bytes travel by value.  eddy-executor(3) tells how an executor
 * is made, eddy-mixing(7) when to leave the machine.
 */
#ifndef CLUSTER_H
#define CLUSTER_H

#include <eddy.h>

struct cluster_function {
	const char *name; /* NULL: the end of the table */
	eddy_job_fn *fn;
	bool idempotent; /* runs again when its worker or server is lost */
};

struct cluster_options {
	const char *servers; /* "host:port,host:port"; borrowed by the open */
	const struct cluster_function *table; /* borrowed */
	unsigned at_once; /* jobs that are out, a connection each; 0: 16 */
	int64_t silence;  /* ns until a silent server counts as lost; 0: 30 s */
};

enum { CLUSTER_SERVERS = 8 }; /* at most */

struct cluster { /* private; of home's thread, but for what lock guards */
	struct eddy_executor executor;
	struct cluster_options options;
	struct eddy_loop *home;
	struct eddy_name servers[CLUSTER_SERVERS];
	unsigned count, good; /* good: the server that answered last */
	struct line *idle;
	struct eddy_semaphore places; /* for jobs that are out */
	bool closed;
	uint64_t ended[EDDY_PROTOCOL + 1]; /* by outcome */
	pthread_mutex_t lock;              /* guards all that follows */
	struct call *calls;
	unsigned queue; /* their number */
	uint64_t submitted;
};

/* What a worker sends before the bytes, in network order. */
struct cluster_answer {
	uint32_t outcome, result;
};

enum { CLUSTER_MOST = 1 << 20 }; /* bytes of a job */

/* Submit to &cluster->executor, in any thread.  -ENOENT: fn is not in the table;
 * -EMSGSIZE: over CLUSTER_MOST bytes.  A lost job's result: -ECONNREFUSED (no
 * server), -ECONNRESET (its server or its worker went away), -ETIMEDOUT
 * (silence), -ECANCELED (it was out: cancelled, or at the end of a close).
 * Progress is told in home's thread, whatever loop the job has.
 *
 * Open looks for a server and may block: -ECONNREFUSED, -EINVAL.  From then on
 * home does all the work and does not block.  The storage is the caller's until
 * home was closed.  Close and ask for stats in home's thread; a close turns home
 * while jobs are out, but for one in a callback, which cannot wait. */
int cluster_open(struct cluster *cluster, struct eddy_loop *home,
    const struct cluster_options *options);

/* Serve jobs of table for ever, each on a process, so that a crash costs one
 * job; before the first thread.  Answers only -errno. */
int cluster_serve(const char *servers, const struct cluster_function *table);

#endif
