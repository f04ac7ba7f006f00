/* SPDX-License-Identifier: ISC */
/* expect: error expected expression */
#include <eddy/task.h>

void use(int n);

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
	use(EDDY_AWAIT(f->n, eddy_yield(self)));
#else
	EDDY_AWAIT(f->n, eddy_yield(self));
	use(f->n);
#endif
	EDDY_END;
}
