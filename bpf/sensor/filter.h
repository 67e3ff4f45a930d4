/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_FILTER_H
#define TIP_BPF_FILTER_H

/* The prefilter: may a rule match what has happened? See `struct tip_filter` in abi.h. */

#include "lib/store.h"

struct tip_open_rec {
	struct tip_hdr hdr;
	struct tip_ev_open ev;
};

/* Puts the name of s->opened into the record, as its first string. */
static __always_inline void open_name(struct tip_scratch *s)
{
	struct tip_open_rec *rec = (void *)s->rec;
	struct tip_opened *o = &s->opened;

	text_begin(s, sizeof(*rec));
	rec->ev.name_len = o->name ? text_str(s, (void *)o->name, o->name_user) : text_none(s);
	o->named = 1;
}

/*
 * See filter.bpf.c. `set`: of scratch memory; `generation`: settings.filter_generation, not 0. What
 * tip_filter_call_begin() drops by its numbers alone is not gathered; tip_filter_call() looks at
 * the rest.
 */
int tip_filter_open(__u32 set, __u32 generation);
int tip_filter_sock(__u32 set, __u32 generation);
int tip_filter_call_begin(__u32 set, __u32 generation);
int tip_filter_call(__u32 set, __u32 generation);
/*
 * What it says where the second path may decide; that begins at `path` in the record, and is held
 * against the same generation, whichever is in force by then.
 */
#define TIP_FILTER_ASK_SECOND 2
int tip_filter_second(__u32 set, __u32 path);
/* Of s->called by its numbers, before any of its texts is read. */
int tip_filter_called(__u32 set, __u32 generation);
/* `path`: where the path of the executable begins in the record. */
int tip_filter_exec(__u32 set, __u32 generation, __u32 path);

#endif
