/* SPDX-License-Identifier: ISC */
/*
 * transform: a job whose output has a size that nobody knows beforehand.
 *
 * Runs on threads and processes alike; the caller embeds or owns the struct,
 * and gives the output back.  See eddy-transform(3).
 */
#ifndef EDDY_TRANSFORM_H
#define EDDY_TRANSFORM_H

#include <eddy/executor.h>

EDDY_HEADER_BEGIN_

struct eddy_span {
	const void *data;
	size_t size;
};

/* Where a transform writes.  Private. */
struct eddy_output {
	char *data;
	size_t size, room;
	int (*grow)(struct eddy_output *output, size_t room);
	int fd;
};

/* 0 or more, or -errno; in is to be read only. */
typedef int eddy_transform_fn(struct eddy_span in, struct eddy_output *output);

struct eddy_transform {
	struct eddy_long_job long_job; /* submit long_job.job */
	eddy_transform_fn *fn;
	struct eddy_span in;  /* borrowed */
	struct eddy_span out; /* once it returned, until it is released */
	size_t mapped;        /* private: bytes; 0: allocated */
};

void eddy_transform_init(struct eddy_transform *transform,
    eddy_transform_fn *fn, const void *data, size_t size);
/* Free out, which may be read only until then.  Again is nothing. */
void eddy_transform_release(struct eddy_transform *transform);

/* In a transform: room for size bytes behind those that are committed.  What
 * was there before may move.  -ENOMEM; -EMSGSIZE: its pool passes none that
 * do not fit in a slot. */
int eddy_output_reserve(
    struct eddy_output *output, size_t size, void **ret_data);
/* So many of them are written: -EINVAL if that is more than were reserved. */
int eddy_output_commit(struct eddy_output *output, size_t size);

EDDY_HEADER_END_

#endif
