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
	int n;

	EDDY_TRY(n, eddy_yield(self));
	EDDY_TRY(eddy_yield(self));
	use(n);
#else
	EDDY_TRY(f->n, eddy_yield(self));
	EDDY_TRY(eddy_yield(self));
	use(f->n);
#endif
	EDDY_END;
}
