/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_ITEMS_H
#define TIP_CONTAINER_ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * The elements of the array "items" of a JSON object, one by one as its bytes come: lists of
 * Kubernetes are megabytes, of which one item at a time is in memory. Whoever takes an item parses
 * it; what stands around them is skipped unparsed. One that is too long is left out whole, and the
 * next one is an item again. Zero-initialise it and set `max`.
 */
struct tip_items {
	size_t max; /* bytes of one item */
	/* inside */
	struct tip_buf item;
	unsigned int depth;
	bool in_string, escaped;
	bool value;            /* behind a colon of the outermost object */
	bool found, inside;    /* the key was there; in its array */
	bool taking, skipping; /* in an item; which is too long */
	char key[8];           /* of the outermost object, as much of it as matters */
	size_t key_len;
};

enum tip_items_state {
	TIP_ITEMS_MORE,
	TIP_ITEMS_DONE, /* the object is over; what follows is not looked at */
	TIP_ITEMS_BAD,  /* no object, or without such an array */
};

/* An item, not terminated; NULL: one was too long. */
typedef void (*tip_items_fn)(void *ctx, const char *item, size_t len);

enum tip_items_state tip_items_feed(struct tip_items *t, const char *data, size_t len,
				    tip_items_fn take, void *ctx);
void tip_items_free(struct tip_items *t);

#endif
