/* SPDX-License-Identifier: ISC */
/*
 * procs: calls to the pool of a rig, for suites about what processes do to each
 * other.  Failure fails the test.
 */
#ifndef PROCS_H
#define PROCS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "channel.h"
#include "rig.h"

/* How much slower processes are born and die here. */
enum { SLOW = CENSUS_TSAN || CENSUS_ASAN ? 5 : 1 };

/* A job that turns in to in * 2 + 1 and returns 7. */
struct call {
	struct eddy_job job;
	struct bytes {
		uint32_t number;
		int in, out;
	} bytes;
	int answers;
};

static inline int
twice(void *arg)
{
	struct bytes *bytes = arg;

	bytes->out = (int)((unsigned)bytes->in * 2 + 1);
	return 7;
}

static inline void
rig_ready(struct rig *rig, int workers)
{
	rig_until(rig, eddy_process_pool_pids(rig->pool, NULL, 0) == workers);
}

static inline void
on_call(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct call *)job)->answers++;
}

static inline int
call_try(struct rig *rig, struct call *call, eddy_job_fn *fn, uint32_t number,
    int64_t limit)
{
	*call = (struct call){.bytes = {number, (int)number, 0}};
	call->job = (struct eddy_job)EDDY_JOB(fn, &call->bytes);
	call->job.deadline = limit != 0 ? eddy_after(limit) : 0;
	return eddy_submit(rig->pool, &call->job, rig->loop, on_call);
}

static inline void
call_start(struct rig *rig, struct call *call, eddy_job_fn *fn, uint32_t number)
{
	ck_assert_int_eq(call_try(rig, call, fn, number, 0), 0);
}

static inline void
call_expect(
    struct rig *rig, struct call *call, enum eddy_outcome outcome, int result)
{
	rig_until(rig, call->answers != 0);
	ck_assert_int_eq(call->answers, 1);
	ck_assert_int_eq(call->job.outcome, outcome);
	if (outcome == EDDY_RETURNED || outcome == EDDY_CRASHED ||
	    outcome == EDDY_LOST)
		ck_assert_int_eq(call->job.result, result);
	if (outcome != EDDY_RETURNED) /* its bytes are untouched */
		ck_assert_int_eq(call->bytes.out, 0);
}

/* It is fit: n jobs, at the same time. */
static inline void
rig_fit(struct rig *rig, uint32_t n)
{
	struct call calls[64];
	uint32_t i;

	for (i = 0; i < n; i++)
		call_start(rig, &calls[i], twice, i);
	for (i = 0; i < n; i++) {
		call_expect(rig, &calls[i], EDDY_RETURNED, 7);
		ck_assert_int_eq(calls[i].bytes.out, (int)i * 2 + 1);
	}
	rig_step(rig);
	for (i = 0; i < n; i++)
		ck_assert_int_eq(calls[i].answers, 1);
}

static inline void
rig_close(struct rig *rig)
{
	rig_fit(rig, 20);
	ck_assert_int_eq(eddy_executor_close(rig->pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig->loop), 0);
}

/* In a process that will be killed: while it writes to Check's file, it would
 * leave half a message there, and Check reads no further. */
static inline void
leave_check(void)
{
	int fd, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct stat stat;

	for (fd = 3; fd < 64; fd++)
		if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode))
			dup2(null, fd);
}

/* Wait for its end; how long that took, in ms.  Takes the handle. */
static inline int
await_end(int pidfd)
{
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	int64_t began = eddy_now();

	if (pidfd < 0)
		return 0;
	ck_assert_int_eq(poll(&fd, 1, 30000), 1);
	close(pidfd);
	return (int)((eddy_now() - began) / EDDY_MS(1));
}

#endif
