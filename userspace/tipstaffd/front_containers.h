/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_FRONT_CONTAINERS_H
#define TIP_TIPSTAFFD_FRONT_CONTAINERS_H

#include <stdbool.h>

#include <event2/event.h>

#include "link/link.h"

/* The front's side of asking container runtimes: the inspector, joined to the link. */
struct tip_front_containers;
struct tip_front_containers *tip_front_containers_new(struct event_base *base,
						      struct tip_link *link);
void tip_front_containers_free(struct tip_front_containers *c);
/* False when the message is for somebody else. */
bool tip_front_containers_message(struct tip_front_containers *c, const struct tip_link_msg *m);
void tip_front_containers_report(struct tip_front_containers *c);

#endif
