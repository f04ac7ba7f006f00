/* SPDX-License-Identifier: ISC */
/* expect: error */
#include <eddy/task.h>

struct frame {
	struct eddy_task task;
	int n;
};

eddy_step frame(struct eddy_task *self);
struct eddy_task *make(struct frame *f);

struct eddy_task *
make(struct frame *f)
{
#ifndef RIGHT
	(void)f;
	return EDDY_NEW(frame, .m = 1);
#else
	(void)f;
	return EDDY_NEW(frame, .n = 1);
#endif
}
