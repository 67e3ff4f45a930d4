/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_TABLE_H
#define TIP_MTLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "mtls/cause.h"
#include "mtls/pump.h"

/*
 * Every relayed connection of this node, from the first byte of its handshake to its end: what
 * `tipstaff connections` shows, where the limits are kept, and what quarantine and a new policy
 * cut.
 */
struct tip_relay_table;
struct tip_relay;

struct tip_relay_limits {
	size_t handshakes;   /* at a time */
	size_t connections;  /* handshakes and open ones together */
	size_t per_identity; /* of `connections`, for one ID of ours */
};

struct tip_relay_table *tip_relay_table_new(const struct tip_relay_limits *limits);
/* The relays must have ended. */
void tip_relay_table_free(struct tip_relay_table *t);

struct tip_relay_spec {
	bool inbound;
	const char *own_id;                    /* the workload here */
	uint64_t exec_id;                      /* its exec, fixed at connect() or listen() */
	struct sockaddr_storage local, remote; /* as the application sees them */
	/* End it with this cause; must lead to tip_relay_end(), at once or later. */
	void (*cut)(void *ctx, enum tip_mtls_cause cause);
	void *ctx;
};

/* A handshake begins. NULL: the limit `*why` does not let it, which is counted. */
struct tip_relay *tip_relay_begin(struct tip_relay_table *t, const struct tip_relay_spec *spec,
				  enum tip_mtls_cause *why);
/* The handshake is done; `pump` lives until tip_relay_end(). */
void tip_relay_open(struct tip_relay *r, const char *peer_id, struct tip_pump *pump);
/* It has ended, counted by cause. `pump` may be gone already. */
void tip_relay_end(struct tip_relay *r, enum tip_mtls_cause cause);

struct tip_relay_info {
	uint64_t id; /* unique in this table */
	bool inbound, open;
	const char *own_id, *peer_id; /* peer_id: "" during the handshake */
	uint64_t exec_id;
	const struct sockaddr_storage *local, *remote;
	const char *backend; /* "" during the handshake */
	uint64_t age;        /* ns */
	uint64_t sent, received;
};
/* The next relay after the one with this ID, oldest first; 0 begins. False: no more. */
bool tip_relay_next(const struct tip_relay_table *t, uint64_t after, struct tip_relay_info *out);

/* Cuts what has `spiffe_id` at either end. How many. */
size_t tip_relay_cut(struct tip_relay_table *t, const char *spiffe_id, enum tip_mtls_cause cause);

/* Policy has changed: cuts what `allowed` no longer allows (TIP_MTLS_DENIED). How many. */
size_t tip_relay_recheck(struct tip_relay_table *t,
			 bool (*allowed)(void *ctx, const struct tip_relay_info *relay), void *ctx);

struct tip_relay_stats {
	size_t handshakes, open;
	uint64_t begun, opened;
	uint64_t ended[TIP_MTLS_CAUSES]; /* by cause; limits: those that did not begin */
};
void tip_relay_stats(const struct tip_relay_table *t, struct tip_relay_stats *out);

#endif
