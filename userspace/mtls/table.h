/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_TABLE_H
#define TIP_MTLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mtls/cause.h"

/*
 * The accounts of relayed connections: how many there are, and whether one more may be; how many
 * there were, and how they ended.
 */
struct tip_relay_table;

struct tip_relay_limits {
	size_t handshakes;              /* at a time */
	size_t handshakes_per_identity; /* for one ID of ours: the slow must not stop the others */
	size_t connections;             /* handshakes and open ones together */
	size_t per_identity;            /* of `connections`, for one ID of ours */
};

struct tip_relay_table *tip_relay_table_new(const struct tip_relay_limits *limits);
/* The relays must have ended. */
void tip_relay_table_free(struct tip_relay_table *t);

/* One connection's place in the accounts; a member of what its owner has of it. */
struct tip_relay {
	struct tip_relay_table *table;
	struct tip_relay_owner *owner;
	enum { TIP_RELAY_OUT, TIP_RELAY_SHAKING, TIP_RELAY_OPEN } place;
	enum tip_mtls_cause over; /* the limit it is beyond: it must not open */
};

/*
 * A handshake of that ID of ours begins, unless a limit stands against it, which is returned. With
 * `turn_away` only the limit of handshakes keeps it from beginning: beyond the others it is `over`,
 * so that the peer can be told. tip_relay_end() is due in any case.
 */
enum tip_mtls_cause tip_relay_begin(struct tip_relay_table *t, struct tip_relay *r,
				    const char *own_id, bool turn_away);
/* The handshake is done, the bytes may flow. */
void tip_relay_open(struct tip_relay *r);
/* It has ended, or has not begun; counted by cause. */
void tip_relay_end(struct tip_relay *r, enum tip_mtls_cause cause);

struct tip_relay_stats {
	size_t handshakes, open;
	uint64_t begun, opened;
	uint64_t ended[TIP_MTLS_CAUSES]; /* by cause; limits: also those that did not begin */
};
void tip_relay_stats(const struct tip_relay_table *t, struct tip_relay_stats *out);

#endif
