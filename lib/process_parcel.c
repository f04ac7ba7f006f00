/* SPDX-License-Identifier: ISC */
/*
 * process_parcel: what goes along with a job, there and back: its bytes, the
 * input and output of a transform, descriptors.
 *
 * What a worker sends back may be anything: numbers are fetched once and
 * checked, and an output is mapped only if nobody can change it any more.
 */
#include <errno.h>
#include <string.h>

#include "process_impl.h"

static struct eddy_transform *
transform_of(struct eddy_job *job)
{
	return job->fn == eddy__transform_run
	           ? CONTAINER_OF(job, struct eddy_transform, long_job.job)
	           : NULL;
}

size_t
eddy__process_size_of(struct eddy_job *job)
{
	struct eddy_transform *transform = transform_of(job);

	return transform != NULL ? transform->in.size : job->size;
}

static uintptr_t
function_of(struct eddy_job *job)
{
	struct eddy_transform *transform = transform_of(job);

	return transform != NULL ? (uintptr_t)transform->fn
	                         : (uintptr_t)job->fn;
}

int
eddy__process_may_send(const struct pool *pool, struct eddy_job *job)
{
	const struct eddy_long_job *part = long_part(job);
	const struct eddy_descriptors *fds = part->fds;

	if (!eddy__zygote_has(pool->zygote, function_of(job)))
		return -EFAULT;
	if (eddy__process_size_of(job) > pool->options.slot_size)
		return -EMSGSIZE;
	if (fds != NULL && (pool->options.flags & EDDY_PASS_DESCRIPTORS) == 0)
		return -ENOTSUP;
	if ((fds != NULL && fds->in_count > EDDY_DESCRIPTORS) ||
	    part->in_only > job->size || part->out_only > job->size ||
	    (job->arg == NULL && job->size != 0))
		return -EINVAL;
	return 0;
}

void *
eddy__process_area(const struct worker *worker, uint32_t i)
{
	return channel_area(
	    worker->channel, i, worker->pool->options.slot_size);
}

/* Are its bytes in the memory of the worker anyway? */
static bool
in_place(const struct worker *worker, const struct eddy_job *job)
{
	return worker->reserved == job &&
	       job->arg == eddy__process_area(worker, worker->area);
}

bool
eddy__process_copy_back(
    struct worker *worker, uint32_t i, struct eddy_job *job, size_t limit)
{
	size_t from = long_part(job)->in_only + worker->copied;
	size_t left = job->size - from, n = left < limit ? left : limit;

	if (n == 0 || in_place(worker, job))
		return true;
	memcpy((char *)job->arg + from,
	    (char *)eddy__process_area(worker, i) + from, n);
	worker->copied += n;
	return n == left;
}

int
eddy__process_pack(struct worker *worker, uint32_t i, struct eddy_job *job)
{
	struct slot *slot = &worker->channel->slots[i];
	struct eddy_transform *transform = transform_of(job);
	struct eddy_descriptors *fds = long_part(job)->fds;
	struct eddy_span bytes = {
	    job->arg, job->size - long_part(job)->out_only};
	int r = 0;

	if (transform != NULL)
		bytes = transform->in;
	if (bytes.size != 0 && !in_place(worker, job))
		memcpy(eddy__process_area(worker, i), bytes.data, bytes.size);
	slot->fn = function_of(job);
	slot->area = in_place(worker, job) ? worker->area : i;
	slot->is_transform = transform != NULL;
	slot->in_size = eddy__process_size_of(job);
	slot->passes = fds != NULL;
	slot->fds_in = fds != NULL ? fds->in_count : 0;
	slot->fds_out = slot->big = 0;
	if (slot->passes && fds->in_count != 0)
		r = eddy__send(
		    worker->mail, "", 1, fds->in, (int)fds->in_count);
	return r == -ECONNRESET ? -EPIPE : r < 0 ? r : 0;
}

/* An output of that size: in the slot it is copied, or it could change yet. */
static int
take_output(struct worker *worker, uint32_t i, struct eddy_transform *transform,
    size_t size, int memfd)
{
	size_t offset = transform_offset(transform->in.size);
	size_t slot_size = worker->pool->options.slot_size;
	void *data = NULL;
	int r = 0;

	if (size != 0 && memfd >= 0) {
		r = eddy__memfd_check(memfd, size);
		if (r == 0)
			r = eddy__view(&data, memfd, size);
	} else if (size != 0) {
		if (offset > slot_size || size > slot_size - offset)
			return -EPROTO;
		data = eddy__alloc(size);
		if (data == NULL)
			return -ENOMEM;
		memcpy(
		    data, (char *)eddy__process_area(worker, i) + offset, size);
	}
	if (r == 0) {
		transform->out = (struct eddy_span){data, size};
		transform->mapped = memfd >= 0 ? size : 0;
	}
	return r;
}

/* The n descriptors that the worker says it sent. */
static int
receive(struct worker *worker, int *fds, uint32_t n)
{
	char byte;
	int r;

	if (n == 0)
		return 0;
	r = eddy__recv(worker->mail, &byte, 1, fds, (int)n);
	/* It died with mail of ours unread; said once, before its own mail. */
	if (r == -ECONNRESET)
		r = eddy__recv(worker->mail, &byte, 1, fds, (int)n);
	if (r != 1)
		return -EPROTO;
	return fds[n - 1] >= 0 ? 0 : fds[n - 1] == -EMFILE ? -EMFILE : -EPROTO;
}

int
eddy__process_unpack(struct worker *worker, uint32_t i, struct eddy_job *job)
{
	struct slot *slot = &worker->channel->slots[i];
	struct eddy_transform *transform = transform_of(job);
	struct eddy_descriptors *theirs = long_part(job)->fds;
	uint32_t n = A_LOAD(&slot->fds_out), k, given = 0;
	bool big = transform != NULL && A_LOAD(&slot->big) != 0 && n != 0;
	int r, fds[FDS_MAX];

	if (n > FDS_MAX || n - big > EDDY_DESCRIPTORS)
		return -EPROTO;
	for (k = 0; k < n; k++)
		fds[k] = -1;
	r = receive(worker, fds, n);
	if (r == 0 && transform != NULL)
		r = take_output(worker, i, transform,
		    (size_t)A_LOAD(&slot->out_size), big ? fds[n - 1] : -1);
	if (r == 0 && theirs != NULL) {
		given = theirs->out_count = n - big;
		memcpy(theirs->out, fds, given * sizeof(*fds));
	}
	for (k = given; k < n; k++)
		eddy__close(fds[k]);
	return r;
}
