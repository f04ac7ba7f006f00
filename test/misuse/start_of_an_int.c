/* SPDX-License-Identifier: ISC */
/* expect: error eddy_started_ */
#include <eddy/task.h>

int get(void);

struct frame {
	struct eddy_task task, slot;
};

eddy_step frame(struct eddy_task *self);

eddy_step
frame(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct frame, f);
#ifndef RIGHT
	EDDY_START(self, &f->slot, get());
#else
	EDDY_START(self, &f->slot, eddy_yield(&f->slot));
#endif
	EDDY_END;
}
