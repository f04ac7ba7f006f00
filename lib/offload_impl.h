/* SPDX-License-Identifier: ISC */
/*
 * offload_impl: the loop's own pools, and jobs for calls of the C library.
 */
#ifndef EDDY_OFFLOAD_IMPL_H
#define EDDY_OFFLOAD_IMPL_H

#include <eddy/offload.h>

/* Thread pools that the loop opens on first use and closes. */
enum own_pool { POOL_OF_JOBS, POOL_OF_NAMES, OWN_POOLS };
int eddy__loop_pool(struct eddy_loop *loop, enum own_pool which,
    struct eddy_executor **ret_executor);

/* eddy_offload of fn, which gets CALL_ARGS arguments that need not outlive the
 * await, on the loop's executor.  -EXDEV: that has another address space. */
enum { CALL_ARGS = 4 };
union call_arg {
	void *pointer;
	int64_t number;
};
EDDY_ASYNC eddy__offload_call(
    struct eddy_task *self, eddy_job_fn *fn, const union call_arg *args);

#endif
