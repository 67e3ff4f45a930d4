/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_RELAYS_H
#define TIP_TIPSTAFFD_RELAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "mtls/cause.h"
#include "tipstaffd/keeper.h"
#include "tipstaffd/peers.h"
#include "tipstaffd/quota.h"

/* Relayed connections in the keeper: between the files relays*.c and methods_connections.c. */

/* What the front is told, and tells, of a flow beside what the intercept room knows. */
struct tip_relay_of_front {
	char *own_id;             /* of the workload here, "" if it has none */
	char *peer_id;            /* "" until it is known */
	struct tip_peers_met met; /* of a connection that goes out, once the peer is known */
	uint64_t sent, received;
	uint32_t backend; /* TIP_LINK_BACKEND_*, 0: no bytes can flow yet */
};

/* TIP_KTLS_*: what the front may leave to the kernel; 0: it makes all records itself. */
unsigned int tip_relays_ktls(const struct tip_keeper *k);

/* ---- relays_alert.c ---- */

/* A flow ended for a cause that somebody should hear of. `text` is a sentence about it. */
void tip_relays_tell(struct tip_keeper *k, const struct tip_flow *f, enum tip_mtls_cause cause,
		     const char *own_id, const char *peer_id, const char *text);
/* A held connect() was refused before anything was dialled. */
void tip_relays_tell_refused(struct tip_keeper *k, const struct tip_flow *f, int err,
			     const char *why);

/* ---- methods_connections.c ---- */

json_t *tip_relays_stats(struct tip_keeper *k); /* a new reference */

/* ---- relays_peer.c ---- */

void tip_relays_peer_open(struct tip_keeper *k);
void tip_relays_peer_close(struct tip_keeper *k);
/* A relay is over; events about it may not have been read yet. */
void tip_relays_peer_ended(struct tip_keeper *k, const struct tip_flow *f,
			   const struct tip_relay_of_front *r);

/* ---- relays_policy.c ---- */

int tip_relays_policy_open(struct tip_keeper *k);
void tip_relays_policy_close(struct tip_keeper *k);
void tip_relays_policy_feed(struct tip_keeper *k);
/* The policy that a flow is held to, NULL: it is gone. */
const struct tip_traffic_policy *tip_relays_policy_of(const struct tip_keeper *k,
						      const struct tip_flow *f);
void tip_relays_end_plain(struct tip_keeper *k);

#endif
