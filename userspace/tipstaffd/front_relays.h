/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_FRONT_RELAYS_H
#define TIP_TIPSTAFFD_FRONT_RELAYS_H

#include <event2/event.h>

#include "identity/store.h"
#include "link/link.h"

/*
 * Relayed connections in the front: joins the link and the SVID store with the worker that does
 * TLS, and holds the traffic policies that peers are judged by.
 */
struct tip_front_relays;

struct tip_front_relays *tip_front_relays_new(struct event_base *base, struct tip_link *link,
					      struct tip_store *store, const char *trust_domain);
void tip_front_relays_free(struct tip_front_relays *r);

/* LIMITS, TRAFFIC, POLICY, TRAFFIC_END, OUTBOUND, INBOUND, JOIN, CUT: true when it was one of
 * them. -1 with `err`: the keeper said something impossible. A descriptor in it is taken. */
int tip_front_relays_message(struct tip_front_relays *r, const struct tip_link_msg *m,
			     struct tip_error *err);

/* A SPIFFE ID is quarantined, or no longer: what it has open is cut. */
void tip_front_relays_quarantine(struct tip_front_relays *r, const char *spiffe_id, bool on);
/* The trust bundle has changed. */
void tip_front_relays_bundle(struct tip_front_relays *r);
/* SVIDs that are held for handshakes are looked up anew. */
void tip_front_relays_forget(struct tip_front_relays *r);
/* Each second: figures for the keeper. */
void tip_front_relays_report(struct tip_front_relays *r);

#endif
