/* SPDX-License-Identifier: ISC */
/* expect: error expected expression */
#include <eddy/task.h>

struct frame {
	struct eddy_task task;
	int n;
};

eddy_step frame(struct eddy_task *self);

eddy_step
frame(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct frame, f);
#ifndef RIGHT
	f->n = EDDY_AWAIT(f->n, eddy_yield(self)) + 1;
#else
	EDDY_AWAIT(f->n, eddy_yield(self));
#endif
	EDDY_END;
}
