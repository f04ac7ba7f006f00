/* SPDX-License-Identifier: ISC */
/*
 * process_maps: what a zygote has that a job may call.
 *
 * Code that is mapped later does not exist in its workers, where calling it
 * would be a crash that tells nobody why.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "process_channel.h"
#include "sys.h"

int
eddy__executable(struct range **ret_ranges)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	struct range *ranges = NULL, *more;
	unsigned long from, to;
	char line[256], execute;
	int n = 0, saved = errno;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %*2c%c", &from, &to, &execute) != 3 ||
		    execute != 'x')
			continue; /* the rest of a long line, too */
		more = eddy__realloc(ranges, (size_t)(n + 1) * sizeof(*ranges));
		if (more != NULL) {
			ranges = more;
			ranges[n++] = (struct range){from, to};
			continue;
		}
		eddy__free(ranges); /* half of them would be a lie */
		ranges = NULL;
		n = 0;
		break;
	}
	if (maps != NULL)
		fclose(maps);
	errno = saved;
	*ret_ranges = ranges;
	return n;
}
