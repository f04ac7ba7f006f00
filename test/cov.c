/* SPDX-License-Identifier: ISC */
/*
 * cov: make cov links it into all.  What gcov counts is shared with every child,
 * so that those which are killed, sandboxed or leave by _exit count, too; the
 * process that began writes it down.
 */
#include <sys/mman.h>
#include <unistd.h>

extern char cov_begin[], cov_end[]; /* test/cov.ld */

void __real___gcov_exit(void);
void __wrap___gcov_exit(void);

static pid_t first;

__attribute__((constructor(101))) static void
share(void)
{
	first = getpid();
	if (mmap(cov_begin, (size_t)(cov_end - cov_begin),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
		-1, 0) == MAP_FAILED)
		_exit(99);
}

void
__wrap___gcov_exit(void)
{
	if (getpid() == first)
		__real___gcov_exit();
}
