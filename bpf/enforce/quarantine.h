/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_QUARANTINE_H
#define TIP_BPF_QUARANTINE_H

#include "lib/identity.h"

static __always_inline bool quarantined(__u32 number)
{
	const __u32 *flags;

	if (number < TIP_ID_FIRST)
		return false;
	flags = bpf_map_lookup_elem(&quarantine, &number);
	return flags && (*flags & TIP_QUARANTINE_CONNECT);
}

static long stop_at_first(void *map, const void *key, void *value, void *ctx)
{
	return 1;
}

/*
 * Is this process cut off: by its identity, or by the last one of its lineage? A process that found
 * no place in `procs` has no lineage: whoever fills the table could shed a quarantine by one more
 * fork. So such processes are refused while anything is quarantined.
 */
static __always_inline bool who_quarantined(const struct tip_who *who)
{
	if (!who->proc)
		return bpf_for_each_map_elem(&quarantine, stop_at_first, NULL, 0) > 0;
	return quarantined(who_held(who)) || quarantined(who_origin(who));
}

#endif
