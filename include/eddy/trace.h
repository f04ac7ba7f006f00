/* SPDX-License-Identifier: ISC */
/*
 * trace: what a loop and its jobs did when, for a viewer.
 *
 * While on, turns, callbacks, task resumes, jobs and stalls are recorded with
 * their times; the record is written in the JSON format that Perfetto and
 * chrome://tracing show.  See eddy-trace(3).
 */
#ifndef EDDY_TRACE_H
#define EDDY_TRACE_H

#include <eddy/loop.h>

EDDY_HEADER_BEGIN_

/* Record from now on, the latest n events (0: 65536) of 80 bytes each; a record
 * of before is dropped.  -EBUSY: it is on.  Loop thread. */
int eddy_trace_start(struct eddy_loop *loop, unsigned n);

/* Record no more.  What there is stays until the loop is closed.  0 also when
 * it was off.  Loop thread. */
int eddy_trace_stop(struct eddy_loop *loop);

/* Write the record to fd, in all or -errno.  -ENOENT: there is none.  Loop
 * thread; blocks it. */
int eddy_trace_write(struct eddy_loop *loop, int fd);

EDDY_HEADER_END_

#endif
