/* SPDX-License-Identifier: ISC */
/* expect: error eddy_section_ */
#include <eddy/task.h>

int plain(struct eddy_task *self);

int
plain(struct eddy_task *self)
{
	int n = self->rc;

#ifndef RIGHT
	EDDY_TRY(n, eddy_yield(self));
#endif
	return n;
}
