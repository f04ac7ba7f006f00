/* SPDX-License-Identifier: ISC */
/* expect: warning incompatible-pointer-types */
#include <eddy/task.h>

struct frame {
	struct eddy_task task;
	int n;
};

int make(struct eddy_task *self, struct frame *f);

int
make(struct eddy_task *self, struct frame *f)
{
#ifndef RIGHT
	return eddy_spawn(self, f);
#else
	return eddy_spawn(self, &f->task);
#endif
}
