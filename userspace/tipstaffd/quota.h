/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_QUOTA_H
#define TIP_TIPSTAFFD_QUOTA_H

#include <stdint.h>

#include <jansson.h>

struct tip_keeper;

/*
 * Whom limits have turned away: counted by limit and by identity (by network namespace where no
 * identity is known), shown by `status`, and told once a minute each.
 */
enum tip_quota {
	TIP_QUOTA_HELD,
	TIP_QUOTA_HELD_IDENTITY,
	TIP_QUOTA_HANDSHAKES,
	TIP_QUOTA_RELAYS,
	TIP_QUOTA_RELAYS_IDENTITY,
	TIP_QUOTA_REDIRECTS,
	TIP_QUOTA_CONNECTIONS,
	TIP_QUOTAS,
};

/* One more was turned away. `spiffe_id`: NULL or "" if none is known; `netns`: a cookie, 0:
 * unknown.
 */
void tip_quota_reached(struct tip_keeper *k, enum tip_quota quota, const char *spiffe_id,
		       uint64_t netns);
/* [{limit, spiffe_id or netns, refused}], those with the most first: a new reference. */
json_t *tip_quota_json(const struct tip_keeper *k);
void tip_quota_free(struct tip_keeper *k);

#endif
