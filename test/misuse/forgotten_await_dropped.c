/* SPDX-License-Identifier: ISC */
/* expect: warning unused-result */
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
	eddy_sleep(self, f->n);
#else
	EDDY_TRY(eddy_sleep(self, f->n));
#endif
	EDDY_END;
}
