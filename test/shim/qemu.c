/* SPDX-License-Identifier: ISC */
/*
 * qemu: qemu-user has a thread of its own, which a zygote would take for one of
 * the program's.
 */
#include "sys.h"

int __real_eddy__thread_count(void);
int __wrap_eddy__thread_count(void);

int
__wrap_eddy__thread_count(void)
{
	int n = __real_eddy__thread_count();

	return n > 1 ? n - 1 : n;
}
