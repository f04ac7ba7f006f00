/* SPDX-License-Identifier: ISC */
/*
 * process_maps: what a zygote has that a job may call.
 *
 * Code that is mapped later does not exist in its workers, where calling it
 * would be a crash that tells nobody why.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "process_channel.h"
#include "sys.h"

/* All of a file of unknown size as text; the caller frees it. */
static int
slurp(const char *path, char **ret_text)
{
	int fd = eddy__open(path, O_RDONLY), n = 1;
	size_t size = 0, room = 0;
	char *text = NULL, *more;

	for (; fd >= 0 && n > 0; size += (size_t)(n > 0 ? n : 0)) {
		if (room - size < 2) {
			room = room * 2 + (16 << 10);
			more = eddy__realloc(text, room);
			n = more != NULL ? n : -ENOMEM;
			text = more != NULL ? more : text;
		}
		if (n > 0)
			n = eddy__read(fd, text + size, room - size - 1);
	}
	if (fd >= 0)
		eddy__close(fd);
	if (fd < 0 || n < 0) {
		eddy__free(text);
		return fd < 0 ? fd : n;
	}
	text[size] = '\0';
	*ret_text = text;
	return 0;
}

/* The ranges take the place of the lines that were read, which are longer. */
int
eddy__executable(struct range **ret_ranges)
{
	unsigned long from, to;
	struct range *ranges;
	char *text, *line, *rest, execute;
	int n = 0, r = slurp("/proc/self/maps", &text);

	if (r < 0)
		return r;
	ranges = (void *)text;
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
		if (sscanf(line, "%lx-%lx %*2c%c", &from, &to, &execute) == 3 &&
		    execute == 'x')
			ranges[n++] = (struct range){from, to};
	*ret_ranges = ranges;
	return n;
}
