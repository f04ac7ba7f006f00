/* SPDX-License-Identifier: ISC */
/* expect: error array_without_ampersand */
#include <eddy/offload.h>

struct frame {
	struct eddy_task task;
	char path[100];
};

EDDY_ASYNC load(struct frame *f, eddy_job_fn *fn);

EDDY_ASYNC
load(struct frame *f, eddy_job_fn *fn)
{
#ifndef RIGHT
	return eddy_offload(&f->task, NULL, fn, f->path);
#else
	return eddy_offload(&f->task, NULL, fn, &f->path);
#endif
}
