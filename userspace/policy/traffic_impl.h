/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_POLICY_TRAFFIC_IMPL_H
#define TIP_POLICY_TRAFFIC_IMPL_H

#include "base/map.h"
#include "base/mem.h"
#include "policy/traffic.h"

/* Between traffic.c and traffic_parse.c. */
struct tip_traffic_policies {
	struct tip_arena *arena;
	struct tip_traffic_policy **list; /* in the arena, each */
	size_t count;
	size_t ndestinations;
	struct tip_map *names; /* name -> policy */
	struct tip_map
		*destinations; /* network and ports -> the first tip_traffic_to that has them */
	struct tip_map *texts; /* IDs and file names, each kept once however often it stands */
};

/* Takes `p` (in the arena) into the set, without looking at what it says. */
void tip_traffic_policies_push(struct tip_traffic_policies *all, struct tip_traffic_policy *p);
/* Forgets all policies from `count` on. */
void tip_traffic_policies_cut(struct tip_traffic_policies *all, size_t count);

/* The set's own copy of a text. */
const char *tip_traffic_intern(struct tip_traffic_policies *all, const char *text);

/* The first destination with the same network and ports; if there is none, `to` becomes it. */
const struct tip_traffic_to *tip_traffic_claim(struct tip_traffic_policies *all,
					       struct tip_traffic_to *to);

#endif
