/* SPDX-License-Identifier: ISC */
/*
 * counted: cases whose tests must free all they allocate, and use nothing that is
 * freed.  The suite links with --wrap=eddy__alloc, eddy__realloc and eddy__free.
 */
#ifndef COUNTED_H
#define COUNTED_H

#include <malloc.h>
#include <string.h>

#include "atomics.h"
#include "census.h"

void *__real_eddy__alloc(size_t size);
void *__real_eddy__realloc(void *p, size_t size);
void __real_eddy__free(void *p);
void *__wrap_eddy__alloc(size_t size);
void *__wrap_eddy__realloc(void *p, size_t size);
void __wrap_eddy__free(void *p);

static int live;                 /* any thread: allocations not freed yet */
static bool no_memory;           /* all further ones fail */
static void (*on_free)(void *p); /* told first */

void *
__wrap_eddy__alloc(size_t size)
{
	void *p = no_memory ? NULL : __real_eddy__alloc(size);

	A_ADD(&live, p != NULL);
	return p;
}

void *
__wrap_eddy__realloc(void *p, size_t size)
{
	void *q = no_memory ? NULL : __real_eddy__realloc(p, size);

	A_ADD(&live, p == NULL && q != NULL);
	return q;
}

void
__wrap_eddy__free(void *p)
{
	A_SUB(&live, p != NULL);
	if (p != NULL && on_free != NULL)
		on_free(p);
	if (p != NULL)
		memset(p, 0xdb, malloc_usable_size(p));
	__real_eddy__free(p);
}

static void
begin_count(void)
{
	A_STORE(&live, 0);
}

static void
end_count(void)
{
	ck_assert_int_eq(A_LOAD(&live), 0);
}

static TCase *
counted(Suite *suite, const char *name, double timeout)
{
	TCase *tcase = census_case(suite, name, timeout);

	tcase_add_checked_fixture(tcase, begin_count, end_count);
	return tcase;
}

#endif
