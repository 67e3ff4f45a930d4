/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_POLICY_TRAFFIC_SEGMENT_H
#define TIP_POLICY_TRAFFIC_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "policy/traffic.h"

/* Ports of one network, both ends included, and the destination that decides there. */
struct tip_traffic_segment {
	uint16_t min, max;
	const struct tip_traffic_to *to;
};

/*
 * Cuts the ports of one network into segments, by port, that do not overlap: a destination that
 * names the port goes before a range, then the earlier one before the later. `to`: the `n` > 0
 * destinations with that network, in order. Room for 2 * n in `out`; how many there are.
 */
size_t tip_traffic_segments(const struct tip_traffic_to *const *to, size_t n,
			    struct tip_traffic_segment *out);

#endif
