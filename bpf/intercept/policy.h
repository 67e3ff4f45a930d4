/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_POLICY_H
#define TIP_BPF_POLICY_H

/* Which strict policy covers an address and port. */

#include "intercept/flow.h"

/* Steps of the binary search: 2^15 elements of one generation need 16. */
#define POLICY_STEPS 16
_Static_assert(TIP_TRAFFIC_PORTS_MAX / 2 <= 1 << (POLICY_STEPS - 1), "the search ends too early");

/* A slice that points outside the table: covered by a policy whose client nobody is. */
#define POLICY_BROKEN 0xffffffffu

/* The number of the strict policy that covers it, 0: none. `port` in host order. */
static __noinline __u32 policy_of(__u32 generation, __u32 table, const struct tip_addr *addr,
				  __u16 port)
{
	struct tip_traffic_key key = {
		.prefixlen = 8 * (sizeof(key) - sizeof(key.prefixlen)),
		.generation = generation,
		.table = table,
	};
	const struct tip_traffic_slice *slice;
	__u32 low, high;

	if (!addr)
		return POLICY_BROKEN;
	__builtin_memcpy(key.addr, addr, sizeof(key.addr));
	slice = bpf_map_lookup_elem(&traffic, &key);
	if (!slice)
		return 0;
	low = slice->first;
	high = low + slice->count;
	for (int i = 0; i < POLICY_STEPS; i++) {
		const struct tip_traffic_ports *ports;
		__u32 middle = low + (high - low) / 2;

		if (low >= high)
			return 0;
		ports = bpf_map_lookup_elem(&traffic_ports, &middle);
		if (!ports)
			return POLICY_BROKEN;
		if (port < ports->low)
			high = middle;
		else if (port > ports->high)
			low = middle + 1;
		else
			return ports->policy;
	}
	return 0;
}

/*
 * Could a policy cover what is dialled at a listener of that address (as `listeners` has it) and
 * port? At a loopback address only its neighbours can: they are held to what it is elsewhere.
 */
static __always_inline bool listener_concerns(const struct tip_settings *st, __u32 where,
					      __u16 port)
{
	struct tip_addr addr = {};
	__u32 table = TIP_TRAFFIC_SERVED;

	if (!st->traffic_generation)
		return false;
	if (where && where != TIP_LISTENS6 && !is_loopback4(where)) {
		addr_set4(&addr, where);
		table = TIP_TRAFFIC_DIALLED;
	}
	return policy_of(st->traffic_generation, table, &addr, port);
}

#endif
