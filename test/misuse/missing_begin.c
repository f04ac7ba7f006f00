/* SPDX-License-Identifier: ISC */
/* expect: error eddy_section_ */
#include <eddy/task.h>

struct frame {
	struct eddy_task task;
	int n;
};

eddy_step frame(struct eddy_task *self);

eddy_step
frame(struct eddy_task *self)
{
#ifdef RIGHT
	EDDY_BEGIN(self, struct frame, f);
#endif
	EDDY_TRY(eddy_yield(self));
	EDDY_END;
}
