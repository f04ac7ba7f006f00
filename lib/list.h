/* SPDX-License-Identifier: ISC */
/*
 * list: the circular list of struct eddy_ready behind every queue of the
 * library.  A head links to itself when empty; a node in no list has a NULL
 * next.  To take one out needs no head: a handle is stopped wherever it waits.
 */
#ifndef EDDY_LIST_H
#define EDDY_LIST_H

#include <eddy/loop.h>

#define CONTAINER_OF(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void
list_init(struct eddy_ready *head)
{
	head->next = head->prev = head;
}

static inline bool
list_empty(const struct eddy_ready *head)
{
	return head->next == head;
}

static inline void
list_push(struct eddy_ready *head, struct eddy_ready *node)
{
	node->next = head;
	node->prev = head->prev;
	head->prev->next = node;
	head->prev = node;
}

/* To the front is behind the head: the head of a circle is its own tail. */
static inline void
list_push_front(struct eddy_ready *head, struct eddy_ready *node)
{
	list_push(head->next, node);
}

static inline void
list_remove(struct eddy_ready *node)
{
	if (node->next == NULL)
		return;
	node->next->prev = node->prev;
	node->prev->next = node->next;
	node->next = node->prev = NULL;
}

/* The oldest node, or NULL. */
static inline struct eddy_ready *
list_pop(struct eddy_ready *head)
{
	struct eddy_ready *node = head->next;

	if (node == head)
		return NULL;
	head->next = node->next;
	node->next->prev = head;
	node->next = node->prev = NULL;
	return node;
}

/* It is needed soon, with what is behind it; may be gone: only an address. */
static inline void
list_prefetch(const struct eddy_ready *node)
{
	__builtin_prefetch(node, 1);
	__builtin_prefetch((const void *)((uintptr_t)node + 64), 1);
}

/* Move all of from behind what is in to. */
static inline void
list_splice(struct eddy_ready *to, struct eddy_ready *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#endif
