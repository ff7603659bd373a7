/* SPDX-License-Identifier: Apache-2.0
 * Intrusive doubly linked list. A list_node that is in no list points to itself. */
#ifndef STRIA_BASE_LIST_H
#define STRIA_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
	struct list_node *next, *prev;
};
/* The head of a list; empty when it points to itself. */
struct list {
	struct list_node head;
};

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void list_init(struct list *list)
{
	list->head.next = list->head.prev = &list->head;
}
static inline void list_node_init(struct list_node *node)
{
	node->next = node->prev = node;
}
static inline bool list_is_empty(const struct list *list)
{
	return list->head.next == &list->head;
}
static inline bool list_node_is_linked(const struct list_node *node)
{
	return node->next != node;
}
static inline void list_insert_before(struct list_node *at, struct list_node *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}
static inline void list_push_back(struct list *list, struct list_node *node)
{
	list_insert_before(&list->head, node);
}
static inline void list_push_front(struct list *list, struct list_node *node)
{
	list_insert_before(list->head.next, node);
}
/* Safe on a node that is in no list. */
static inline void list_remove(struct list_node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_node_init(node);
}
/* The first node, unlinked, or NULL. */
static inline struct list_node *list_pop_front(struct list *list)
{
	struct list_node *node = list->head.next;
	if (node == &list->head)
		return NULL;
	list_remove(node);
	return node;
}
static inline struct list_node *list_first(struct list *list)
{
	return list->head.next == &list->head ? NULL : list->head.next;
}
/* Moves all of `from` to the end of `to`. */
static inline void list_splice_back(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	struct list_node *first = from->head.next, *last = from->head.prev;
	first->prev = to->head.prev;
	to->head.prev->next = first;
	last->next = &to->head;
	to->head.prev = last;
	list_init(from);
}

#define list_for_each(node, list) \
	for (struct list_node *node = (list)->head.next; node != &(list)->head; node = node->next)
/* `node` may be removed in the body; no other node may. */
#define list_for_each_safe(node, tmp, list)                                                        \
	for (struct list_node *node = (list)->head.next, *tmp = node->next; node != &(list)->head; \
	     node = tmp, tmp = tmp->next)

#endif
