/* SPDX-License-Identifier: ISC */
/*
 * cluster_line: a connection to a Gearman server, with one job on it at most.
 */
#ifndef CLUSTER_LINE_H
#define CLUSTER_LINE_H

#include "cluster.h"

struct line {
	struct line *next; /* idle */
	struct eddy_loop *loop;
	int fd;
	struct eddy_watch watch;
	struct gearman_client_st *client;
	struct eddy_task *waiter; /* or NULL */
	uint32_t wanted;          /* EPOLL* bits, by the waiter */
	unsigned long long name;  /* no other line has it: at random */
	unsigned count;           /* of its jobs */
};

/* Takes fd, a connected socket, also on failure.  Loop thread. */
int line_open(struct eddy_loop *loop, int fd, struct line **ret_line);
void line_close(struct line *line);

/* From and to those that are idle; NULL: there is none that still works. */
struct line *line_take(struct line **idle);
void line_leave(struct line **idle, struct line *line);

/* A coroutine: send job away as name, wait for the answer.  0: outcome and result
 * are there, and the job's bytes; else close the line. */
struct exchange {
	struct eddy_task task;
	struct line *line;
	const char *name;
	struct eddy_job *job;
	struct gearman_task_st *request;
	enum eddy_outcome outcome; /* EDDY_NONE: no answer yet */
	int result;
};
eddy_step exchange(struct eddy_task *self);

#endif
