/* SPDX-License-Identifier: ISC */
/*
 * msan: tells the memory sanitizer what syscall(2) writes; make matrix puts it
 * between.
 */
#include <sanitizer/msan_interface.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

__attribute__((no_sanitize("memory"))) long
__wrap_syscall(long number, ...)
{
	va_list list;
	long a[6], r;
	int i;

	va_start(list, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	r = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (r > 0 &&
	    (number == SYS_epoll_pwait2 || number == SYS_epoll_pwait))
		__msan_unpoison((void *)a[1],
		    (unsigned long)r * sizeof(struct epoll_event));
	return r;
}
