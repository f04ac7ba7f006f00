/* SPDX-License-Identifier: ISC */
/* expect: error eddy_me_ */
#include <eddy/task.h>

int plain(struct eddy_task *self);

int
plain(struct eddy_task *self)
{
	int n = self->rc;

#ifndef RIGHT
	EDDY_AWAIT(n, eddy_yield(self));
#endif
	return n;
}
