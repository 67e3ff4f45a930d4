/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_GUARD_TRAFFIC_H
#define TIP_GUARD_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "policy/traffic.h"
#include "sensor/intercept.h"

/*
 * Traffic policies -> kernel maps: which destinations are strict, and which identities may dial
 * them. The kernel decides exactly as traffic/decide.h does for a client whose server is not known
 * yet; a test holds the two against each other.
 */
struct tip_guard_traffic;

struct tip_guard_traffic_ops {
	int (*install)(void *ctx, const struct tip_traffic_image *image);
	int (*allow)(void *ctx, uint32_t policy, uint32_t number);
	/* Adds one prefix to the image that is installed. */
	int (*add)(void *ctx, const struct tip_traffic_prefix *prefix);
	int (*prune)(void *ctx, uint32_t first);
	/* Calls `fn` for every identity that has a number. */
	void (*names)(void *ctx, void (*fn)(void *arg, uint32_t number, const char *id), void *arg);
	/*
	 * The highest policy number that the kernel knows: a former daemon's numbers must not come
	 * to mean other policies. NULL or 0: none.
	 */
	uint32_t (*last)(void *ctx);
	void *ctx;
};

struct tip_guard_traffic *tip_guard_traffic_new(const struct tip_guard_traffic_ops *ops);
void tip_guard_traffic_free(struct tip_guard_traffic *g);

/*
 * Puts `policies` (kept by the caller as long as they are in force) into force: first who may dial,
 * then where, and who serves. 0, or -1 with `err` and the former set in force. An identity that no
 * longer fits into the kernel's table is refused there, and said in the log.
 *
 * A policy has another number in every set, so that who was let in by an old one is never let in by
 * its namesake, and an event that is still on its way never names a wrong one.
 */
int tip_guard_traffic_apply(struct tip_guard_traffic *g,
			    const struct tip_traffic_policies *policies, struct tip_error *err);

/*
 * An identity got a number: it may dial where the policies in force list it, and who dials it
 * inside its namespace is held to them. Before it is bound.
 */
void tip_guard_traffic_identity(struct tip_guard_traffic *g, uint32_t number, const char *id);

/*
 * The policy in force that has this number in kernel events, of a group the first one; NULL: it is
 * gone.
 */
const struct tip_traffic_policy *tip_guard_traffic_policy(const struct tip_guard_traffic *g,
							  uint32_t number);

/* Policies that name one server on the same ports: a number for all of them. */
struct tip_traffic_group {
	uint32_t number; /* behind those of the policies */
	size_t count;
	uint32_t orders[]; /* of the policies */
};

/* Who serves where, whatever the address: connections inside a namespace are judged by it. */
struct tip_traffic_servers {
	struct tip_map *slices;     /* SPIFFE ID -> its struct tip_traffic_slice of the image */
	struct tip_map *by_members; /* orders -> struct tip_traffic_group */
};

/*
 * Compiles without installing; policy numbers begin at `first`, those of groups behind them. An
 * image without prefixes: nothing is strict. `*out` and `*servers` are to be freed. 0, or -1 with
 * `err`: more port ranges than the kernel holds.
 */
int tip_traffic_image_make(const struct tip_traffic_policies *policies, uint32_t first,
			   struct tip_traffic_image *out, struct tip_traffic_servers *servers,
			   struct tip_error *err);
void tip_traffic_image_free(struct tip_traffic_image *image);
void tip_traffic_servers_free(struct tip_traffic_servers *s);

/* What makes the kernel know the server with that number. */
struct tip_traffic_prefix tip_traffic_server_prefix(uint32_t number,
						    const struct tip_traffic_slice *slice);

#endif
