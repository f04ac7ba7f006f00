/* SPDX-License-Identifier: ISC */
/* expect: warning uninitialized */
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
	for (int i = 0; i < 3; i++)
		EDDY_TRY(eddy_yield(self));
#else
	for (f->n = 0; f->n < 3; f->n++)
		EDDY_TRY(eddy_yield(self));
#endif
	EDDY_END;
}
