/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TRAFFIC_SET_H
#define TIP_TRAFFIC_SET_H

#include <stddef.h>
#include <stdint.h>

#include "policy/traffic.h"

/*
 * Policies compiled for lookup. Never changes once made: a reload makes another one. What a lookup
 * returns is valid as long as the set.
 *
 * One destination decides: of those that cover address and port the one with the longest prefix,
 * then one that names the port before a range, then the first in order. A policy that refuses is
 * not tried again further down.
 */
struct tip_traffic_set;

/* Takes `policies` over. `generation` is another number for every set that a process makes. */
struct tip_traffic_set *tip_traffic_set_new(struct tip_traffic_policies *policies,
					    uint64_t generation);
void tip_traffic_set_free(struct tip_traffic_set *s); /* NULL is fine */

uint64_t tip_traffic_set_generation(const struct tip_traffic_set *s);
const struct tip_traffic_policies *tip_traffic_set_policies(const struct tip_traffic_set *s);

/* The destination that decides, or NULL when no policy covers the address and port. */
const struct tip_traffic_to *tip_traffic_lookup(const struct tip_traffic_set *s,
						const struct tip_ip *ip, uint16_t port);

#endif
