/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_SHARE_H
#define TIP_BPF_SHARE_H

/* How much of `redirects` a network namespace may have: whoever lives in one must not fill it. */

#include "lib/store.h"

#define ALL_NETNS 0 /* no namespace has that cookie */

static __always_inline __s64 redirects_of(__u64 netns)
{
	const __s64 *n = bpf_map_lookup_elem(&redirect_counts, &netns);

	return n ? *n : 0;
}

/* Connects that are between the hook and their entry are not counted: a few more get through. */
static __always_inline bool redirects_full(__u64 netns)
{
	const __s64 max = ((struct bpf_map *)&redirects)->max_entries;

	return redirects_of(ALL_NETNS) >= max || redirects_of(netns) >= max / TIP_REDIRECTS_SHARE;
}

static __always_inline void redirects_add(__u64 netns, __s64 by)
{
	__s64 none = 0, *n = bpf_map_lookup_elem(&redirect_counts, &netns);

	if (!n && by > 0) {
		bpf_map_update_elem(&redirect_counts, &netns, &none, BPF_NOEXIST);
		n = bpf_map_lookup_elem(&redirect_counts, &netns);
	}
	if (n)
		__sync_fetch_and_add(n, by);
}

/* One more entry, or (-1) one less. */
static __always_inline void redirects_count(__u64 netns, __s64 by)
{
	redirects_add(netns, by);
	redirects_add(ALL_NETNS, by);
}

#endif
