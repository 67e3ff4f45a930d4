/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_SHARE_H
#define TIP_BPF_SHARE_H

/* How much of a table somebody has: counted where entries are made and deleted. */

#include "lib/store.h"

static __always_inline __s64 share_of(__u32 table, __u64 netns, __u32 number)
{
	struct tip_share_key k = {.netns = netns, .number = number, .table = table};
	const __s64 *n = bpf_map_lookup_elem(&shares, &k);

	return n ? *n : 0;
}

static __always_inline void share_add(__u32 table, __u64 netns, __u32 number, __s64 by)
{
	struct tip_share_key k = {.netns = netns, .number = number, .table = table};
	__s64 none = 0, *n = bpf_map_lookup_elem(&shares, &k);

	if (!n && by > 0) {
		bpf_map_update_elem(&shares, &k, &none, BPF_NOEXIST);
		n = bpf_map_lookup_elem(&shares, &k);
	}
	if (n)
		__sync_fetch_and_add(n, by);
}

/*
 * Who is not known yet has the namespace's share alone. Connects that are between the hook and
 * their entry are not counted: a few more get through.
 */
static __always_inline bool redirects_full(const struct tip_settings *st, __u64 netns, __u32 number)
{
	const __s64 max = ((struct bpf_map *)&redirects)->max_entries;

	return share_of(TIP_SHARE_REDIRECTS, 0, 0) >= max ||
	       share_of(TIP_SHARE_REDIRECTS, netns, 0) >= st->redirects_per_netns ||
	       (number >= TIP_ID_FIRST &&
		share_of(TIP_SHARE_REDIRECTS, 0, number) >= st->redirects_per_identity);
}

/* One more entry, or (-1) one less. */
static __always_inline void redirects_count(__u64 netns, __u32 number, __s64 by)
{
	share_add(TIP_SHARE_REDIRECTS, 0, 0, by);
	share_add(TIP_SHARE_REDIRECTS, netns, 0, by);
	if (number >= TIP_ID_FIRST)
		share_add(TIP_SHARE_REDIRECTS, 0, number, by);
}

#endif
