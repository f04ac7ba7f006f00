/* SPDX-License-Identifier: ISC */
/*
 * io_impl: operations that are tried again when a descriptor is ready.
 */
#ifndef EDDY_IO_IMPL_H
#define EDDY_IO_IMPL_H

#include "task_impl.h"

enum { READS = 1, WRITES = 2 }; /* sides 0 and 1, as a mask */

struct io_op {
	struct eddy_op op; /* its cancel is eddy__io_leave */
	/* The result, or EDDY_PENDING. */
	int (*attempt)(struct eddy_task *task, const struct io_op *op);
	unsigned sides;
	/* What more is; of COPY the descriptor that is written. */
	enum { FLAGS, VECTOR, ADDRESS, FULL, COPY } how;
};

/* Wait until an attempt does not say EDDY_PENDING; and no longer. */
EDDY_ASYNC eddy__io_park(struct eddy_task *self, const struct io_op *op);
int eddy__io_leave(struct eddy_task *task, int rc);

#endif
