/* SPDX-License-Identifier: ISC */
/* expect: warning incompatible-pointer-types */
#include <eddy/task.h>

struct frame {
	struct eddy_task task;
	int n;
};

eddy_step frame(struct eddy_task *self);
int make(struct eddy_task *self);

int
make(struct eddy_task *self)
{
#ifndef RIGHT
	return eddy_spawn(self, frame);
#else
	return eddy_spawn(self, EDDY_NEW(frame));
#endif
}
