/* SPDX-License-Identifier: ISC */
/* expect: warning uninitialized */
#include <eddy/task.h>

void use(int n);

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
	int *p = &f->n;

	use(*p);
	EDDY_TRY(eddy_yield(self));
	use(*p);
#else
	EDDY_TRY(eddy_yield(self));
	use(f->n);
#endif
	EDDY_END;
}
