/* SPDX-License-Identifier: ISC */
/* expect: error eddy_async */
#include <eddy/task.h>

int get(void);

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
	EDDY_TRY(eddy_timeout(self, 1, get()));
#else
	EDDY_TRY(eddy_timeout(self, 1, eddy_yield(self)));
#endif
	EDDY_END;
}
