/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_TOLD_H
#define TIP_BPF_TOLD_H

#include "lib/identity.h"

/*
 * Who is refused may be in an attacker's hands, and must not drown everybody else's events by
 * trying again and again: so many are told in about a second, of one identity. All are counted.
 */
#define TOLD_A_SECOND 20
#define TOLD_SLOTS    64

static struct {
	__u64 second;
	__u32 told;
	__u32 zero;
} told[TOLD_SLOTS];

static __always_inline bool is_told(const struct tip_who *who)
{
	__u32 slot = (who_held(who) >= TIP_ID_FIRST ? who_held(who) : who_origin(who)) % TOLD_SLOTS;
	__u64 second = bpf_ktime_get_boot_ns() >> 30;

	if (told[slot].second != second) {
		told[slot].second = second;
		told[slot].told = 0;
	}
	return told[slot].told < TOLD_A_SECOND &&
	       __sync_fetch_and_add(&told[slot].told, 1) < TOLD_A_SECOND;
}

#endif
