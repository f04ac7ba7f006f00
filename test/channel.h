/* SPDX-License-Identifier: ISC */
/*
 * channel: in a worker, what it shares with its host.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "process_channel.h"

static inline struct channel *
find_channel(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	void *start = NULL;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strstr(line, "rw-s") != NULL &&
		    strstr(line, "memfd:") != NULL)
			sscanf(line, "%p", &start);
	if (file != NULL)
		fclose(file);
	return start;
}

/* The only descriptor above 2. */
static inline int
bell(void)
{
	int fd = 3;

	while (fcntl(fd, F_GETFD) < 0)
		fd++;
	return fd;
}

static inline void
ring(int fd)
{
	uint64_t one = 1;

	/* Full: after 255, where an emulator takes our 1 for 2^56. */
	if (write(fd, &one, sizeof(one)) < 0)
		(void)!read(fd, &one, sizeof(one));
}

#endif
