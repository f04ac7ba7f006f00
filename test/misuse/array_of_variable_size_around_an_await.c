/* SPDX-License-Identifier: ISC */
/* expect: gcc warning maybe-uninitialized; clang error */
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
	char bytes[get()];

	bytes[0] = 1;
	EDDY_TRY(eddy_yield(self));
	use(bytes[0]);
#else
	char byte = 1;

	use(byte);
	EDDY_TRY(eddy_yield(self));
#endif
	EDDY_END;
}
