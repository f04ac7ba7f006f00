/* SPDX-License-Identifier: ISC */
/* expect: error eddy_async */
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
	f->n = eddy_sleep(self, 1);
#else
	EDDY_AWAIT(f->n, eddy_sleep(self, 1));
#endif
	EDDY_END;
}
