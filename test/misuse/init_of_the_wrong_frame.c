/* SPDX-License-Identifier: ISC */
/* expect: error */
#include <eddy/task.h>

struct frame {
	struct eddy_task task;
	int n;
};

struct other {
	struct eddy_task task;
	int n;
};

eddy_step other(struct eddy_task *self);

eddy_step frame(struct eddy_task *self);
struct eddy_task *make(struct frame *f);

struct eddy_task *
make(struct frame *f)
{
#ifndef RIGHT
	return EDDY_INIT(f, other, .n = 1);
#else
	return EDDY_INIT(f, frame, .n = 1);
#endif
}
