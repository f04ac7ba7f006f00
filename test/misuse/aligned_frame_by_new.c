/* SPDX-License-Identifier: ISC */
/* expect: error frame aligned beyond */
#include <eddy/task.h>

struct frame {
	struct eddy_task task;
#ifndef RIGHT
	_Alignas(32) char bytes[32];
#else
	_Alignas(8) char bytes[32];
#endif
};

eddy_step frame(struct eddy_task *self);
struct eddy_task *make(void);

struct eddy_task *
make(void)
{
	return EDDY_NEW(frame);
}
