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
	if (eddy_sleep(self, 1) < 0)
		EDDY_RETURN(-1);
#else
	EDDY_TRY(eddy_sleep(self, 1));
#endif
	EDDY_END;
}
