/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_GUARD_TRAFFIC_BUILD_H
#define TIP_GUARD_TRAFFIC_BUILD_H

/* Between the two files that make images: the ports of one that grows. */

#include "base/map.h"
#include "guard/traffic.h"

#define TIP_TRAFFIC_IMAGE_PORTS (TIP_TRAFFIC_PORTS_MAX / 2)

struct tip_traffic_builder {
	uint32_t first; /* number of the first policy */
	struct tip_traffic_prefix *prefixes;
	size_t nprefixes, prefixes_cap;
	struct tip_traffic_ports *ports; /* room for TIP_TRAFFIC_IMAGE_PORTS */
	size_t nports;
	struct tip_map *slices; /* what a slice is made of -> the slice */
	struct tip_error *err;
};

/*
 * Appends low..high to the slice that begins at `first`; `policy` 0 and empty ranges are left out.
 * 0, or -1: there is no room.
 */
int tip_traffic_add_ports(struct tip_traffic_builder *b, uint32_t first, uint32_t low,
			  uint32_t high, uint32_t policy);

/*
 * Fills `out` with the servers of strict policies, and the image with their ports. 0, or -1 with
 * `b->err` and what was made so far, to be freed.
 */
int tip_traffic_servers_make(struct tip_traffic_builder *b,
			     const struct tip_traffic_policies *policies,
			     struct tip_traffic_servers *out);

#endif
