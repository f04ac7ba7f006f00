/* SPDX-License-Identifier: ISC */
/*
 * io_impl: operations that are tried again when a descriptor is ready.
 */
#ifndef EDDY_IO_IMPL_H
#define EDDY_IO_IMPL_H

#include "task_impl.h"

enum { READS = 1, WRITES = 2 }; /* sides 0 and 1, as a mask */

struct io_op {
	struct eddy_op op; /* its cancel leaves the watch, and unparks */
	/* The result, or EDDY_PENDING. */
	int (*attempt)(struct eddy_task *task, const struct io_op *op);
	unsigned sides;
	enum { FLAGS, VECTOR, ADDRESS, FULL } how; /* what more is */
};

/* The loop's wake, for tasks whose op is in a struct io_op. */
void eddy__io_wake(struct eddy_ready *ready, int rc);

#endif
