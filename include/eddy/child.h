/* SPDX-License-Identifier: ISC */
/*
 * child: programs as child processes, known by a pidfd.
 *
 * The caller owns the struct and closes it.  SIGCHLD is not used, and no child
 * is waited for but these.  One thread at a time.
 */
#ifndef EDDY_CHILD_H
#define EDDY_CHILD_H

#include <sys/resource.h>
#include <sys/types.h>

#include <eddy/task.h>
#include <eddy/watch.h>

EDDY_HEADER_BEGIN_

/* What a child has as its 0, 1 or 2: what we have, one of our descriptors
 * (above 0, borrowed), /dev/null, or one end of a new pipe. */
#define EDDY_CHILD_INHERIT 0
#define EDDY_CHILD_NULL    (-1)
#define EDDY_CHILD_PIPE    (-2)

#define EDDY_CHILD_GROUP   1u /* it leads a process group of its own */

struct eddy_child_options {
	char *const *argv;     /* borrowed, as all; argv[0] is sought in PATH */
	char *const *env;      /* NULL: ours */
	const char *directory; /* to start in; NULL: ours */
	int in, out, err;      /* EDDY_CHILD_INHERIT ... */
	unsigned flags;        /* EDDY_CHILD_GROUP */
};

struct eddy_child {
	pid_t pid;
	int pidfd;           /* readable when it has ended */
	int in, out, err;    /* our ends, non-blocking, the caller's; or -1 */
	int result;          /* eddy_child_reap's */
	int signal;          /* that ended it, or 0 */
	struct rusage usage; /* when it has ended; getrusage(2) */
	struct eddy_loop *loop;  /* private, as all that follows */
	struct eddy_watch watch; /* while a task waits */
	struct eddy_ready waiters;
};

/* Start a program with no signal blocked and none ignored.  Blocks until it was
 * executed.  -ENOENT and the like: it could not be. */
int eddy_child_spawn(
    struct eddy_child *child, const struct eddy_child_options *options);

/* Await its end: the exit code (0 to 255), or -EOWNERDEAD when a signal ended
 * it.  -ECHILD: somebody else has had its status, which is unknown.  Any number
 * of tasks of one loop; when one gives up, the child goes on. */
EDDY_ASYNC eddy_child_wait(struct eddy_task *self, struct eddy_child *child);

/* The same answer now; -EBUSY: it runs. */
int eddy_child_reap(struct eddy_child *child);

/* Send a signal; never to another process.  -ESRCH: it has ended and was
 * reaped. */
int eddy_child_kill(struct eddy_child *child, int signal);

/* Give back the pidfd; the pipes stay.  -EBUSY: it runs, or a task waits. */
int eddy_child_close(struct eddy_child *child);

EDDY_HEADER_END_

#endif
