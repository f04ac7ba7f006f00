/* SPDX-License-Identifier: ISC */
/*
 * strand: an executor in front of another that runs its jobs one at a time, in
 * their order, on whatever worker is free: the lock for a library that is not
 * thread-safe, without a thread of its own.  Over processes it only orders.
 */
#ifndef EDDY_STRAND_H
#define EDDY_STRAND_H

#include <eddy/executor.h>

EDDY_HEADER_BEGIN_

/* Open a strand over inner, which outlives it and is no strand (-EINVAL).
 * queue_limit: jobs that wait here; 0: 65536.  Order goes before
 * EDDY_JOB_URGENT.  What inner refuses a job for after its turn came is the
 * job's outcome: lost, with that result; or cancelled, if inner is closing. */
int eddy_strand_open(struct eddy_executor **ret_executor,
    struct eddy_executor *inner, unsigned queue_limit);

EDDY_HEADER_END_

#endif
