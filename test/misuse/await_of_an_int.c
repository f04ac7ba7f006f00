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
	EDDY_TRY(get());
#else
	f->n = get();
#endif
	EDDY_END;
}
