/* SPDX-License-Identifier: ISC */
/* expect: error task */
#include <eddy/task.h>

struct frame {
#ifndef RIGHT
	int n;
#else
	struct eddy_task task;
	int n;
#endif
};

eddy_step frame(struct eddy_task *self);

eddy_step
frame(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct frame, f);
	f->n = 1;
	EDDY_END;
}
