/* SPDX-License-Identifier: ISC */
/*
 * trace: what happened in a test, in words, to be compared as a whole.
 */
#ifndef TRACE_H
#define TRACE_H

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char trace[512];

__attribute__((format(printf, 1, 2))) static inline void
say(const char *format, ...)
{
	size_t n = strlen(trace);
	va_list args;

	va_start(args, format);
	n += (size_t)vsnprintf(trace + n, sizeof(trace) - n, format, args);
	va_end(args);
	ck_assert_uint_lt(n + 1, sizeof(trace));
	trace[n] = ' ';
	trace[n + 1] = '\0';
}

#endif
