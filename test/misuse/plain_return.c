/* SPDX-License-Identifier: ISC */
/* expect: error eddy_step */
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
		return 0;
#else
	if (f->n != 0)
		EDDY_RETURN(0);
#endif
	EDDY_END;
}
