/* SPDX-License-Identifier: ISC */
/*
 * job_transform: jobs with an output that grows.
 *
 * To any executor a transform is a job without bytes whose function runs the
 * transform on memory of this process.  Process pools know that function, and
 * do otherwise (process_parcel.c, process_worker.c).
 */
#include <eddy/transform.h>

#include <errno.h>

#include "executor_impl.h"
#include "sys.h"

enum { FIRST_ROOM = 4096 }; /* then twice as much each time */

int
eddy_output_reserve(struct eddy_output *output, size_t size, void **ret_data)
{
	size_t need, room = output->room * 2;
	int r;

	if (__builtin_add_overflow(output->size, size, &need) ||
	    need > PTRDIFF_MAX)
		return -ENOMEM;
	if (output->room < need) {
		room = room > FIRST_ROOM ? room : FIRST_ROOM;
		r = output->grow(output, room > need ? room : need);
		if (r < 0)
			return r;
	}
	*ret_data = (void *)((uintptr_t)output->data + output->size);
	return 0;
}

int
eddy_output_commit(struct eddy_output *output, size_t size)
{
	if (size > output->room - output->size)
		return -EINVAL;
	output->size += size;
	return 0;
}

static int
grow(struct eddy_output *output, size_t room)
{
	char *data = eddy__realloc(output->data, room);

	if (data == NULL)
		return -ENOMEM;
	output->data = data;
	output->room = room;
	return 0;
}

int
eddy__transform_run(void *arg)
{
	struct eddy_output output = {.grow = grow};
	struct eddy_transform *transform = arg;
	int r = transform->fn(transform->in, &output);

	transform->out = (struct eddy_span){output.data, output.size};
	return r;
}

void
eddy_transform_init(struct eddy_transform *transform, eddy_transform_fn *fn,
    const void *data, size_t size)
{
	*transform = (struct eddy_transform){
	    .long_job.job = {.fn = eddy__transform_run,
		.arg = transform,
		.name = "transform",
		.flags = EDDY_JOB_LONG},
	    .fn = fn,
	    .in = {data, size}};
}

void
eddy_transform_release(struct eddy_transform *transform)
{
	void *data = (void *)(uintptr_t)transform->out.data;

	if (transform->mapped != 0)
		eddy__unmap(data, transform->mapped);
	else
		eddy__free(data);
	transform->out = (struct eddy_span){NULL, 0};
	transform->mapped = 0;
}
