/* SPDX-License-Identifier: ISC */
/* expect: gcc warning return-type; clang error */
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
	if (f->n != 0)
		return;
#else
	if (f->n != 0)
		EDDY_RETURN(0);
#endif
	EDDY_END;
}
