/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_FRONT_POSTS_H
#define TIP_TIPSTAFFD_FRONT_POSTS_H

#include <stdbool.h>

#include <event2/event.h>

#include "identity/store.h"
#include "link/link.h"

/* The front's side of the http sink: the poster, joined to the link and to the SVID store. */
struct tip_front_posts;
/* `ended`: the keeper will send no more alerts. */
struct tip_front_posts *tip_front_posts_new(struct event_base *base, struct tip_store *store,
					    void (*ended)(void *ctx), void *ctx);
void tip_front_posts_free(struct tip_front_posts *p); /* NULL is fine */
/* False when the message is for somebody else. */
bool tip_front_posts_message(struct tip_front_posts *p, const struct tip_link_msg *m);
bool tip_front_posts_busy(const struct tip_front_posts *p); /* alerts may still come */

#endif
