/* SPDX-License-Identifier: ISC */
/* expect: warning uninitialized */
#include <eddy/task.h>

int get(void);
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
	int n = get();

	EDDY_TRY(eddy_yield(self));
	use(n);
#else
	f->n = get();
	EDDY_TRY(eddy_yield(self));
	use(f->n);
#endif
	EDDY_END;
}
