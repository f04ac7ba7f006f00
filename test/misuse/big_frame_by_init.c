/* SPDX-License-Identifier: ISC */
/* expect: error frame over 16 KiB */
#include <eddy/task.h>

struct frame {
	struct eddy_task task;
#ifndef RIGHT
	char bytes[16384];
#else
	char bytes[4096];
#endif
};

eddy_step frame(struct eddy_task *self);
struct eddy_task *make(struct frame *f);

struct eddy_task *
make(struct frame *f)
{
	return EDDY_INIT(f, frame);
}
