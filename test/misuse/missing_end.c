/* SPDX-License-Identifier: ISC */
/* expect: error */
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
	EDDY_TRY(eddy_yield(self));
#ifdef RIGHT
	EDDY_END;
#endif
}
