/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_KILL_H
#define TIP_BPF_KILL_H

/*
 * Kill rules: which opens end the process. The tier without LSM: the file is open when this is
 * decided, but the process never returns to user mode with it.
 */

#include "lib/identity.h"

struct tip_kill_query {
	struct tip_scratch *s;
	__u32 prefixlen; /* of the whole path */
	__u32 access;
	__u32 current; /* the identity that an exception can spare */
	__u32 rule;    /* out */
};

/* Does a rule for `number` end this open? The path is in the scratch key already. */
static __always_inline bool kill_by(struct tip_kill_query *q, __u32 number)
{
	struct tip_kill_key *key = &q->s->key;

	key->number = number;
	key->prefixlen = q->prefixlen;
	for (int i = 0; i < TIP_KILL_NESTED; i++) {
		const struct tip_kill_value *v = bpf_map_lookup_elem(&open_kill, key);
		struct tip_except_key except;

		if (!v)
			return false;
		except.rule = v->rule;
		except.number = q->current;
		if ((v->access & q->access) &&
		    !(number == TIP_ID_ANY && bpf_map_lookup_elem(&kill_except, &except))) {
			q->rule = v->rule;
			return true;
		}
		/* A trie answers with the longest match only: ask again above it. */
		if (v->prefixlen <= 32)
			return false;
		key->prefixlen = v->prefixlen - 1;
	}
	return false;
}

/*
 * Decides about the path in s->walk from `off`. A held identity that waits for its re-evaluation
 * counts as one that is concerned, and is not spared by an exception.
 */
static __always_inline bool kill_decide(struct tip_scratch *s, __u32 off, __u32 access,
					const struct tip_who *who, __u32 *rule)
{
	__u32 len = TIP_WALK_SIZE - off;
	struct tip_kill_query q = {
		.s = s,
		.access = access,
		.current = who_current(who),
	};
	__u32 held = who_held(who), origin = who_origin(who);

	if (len > TIP_KILL_PATH - 1)
		len = TIP_KILL_PATH; /* no exact path is that long: only prefixes can match */
	opaque(len);
	__builtin_memset(s->key.path, 0, sizeof(s->key.path));
	if (len <= TIP_KILL_PATH)
		bpf_probe_read_kernel(s->key.path, len, &s->walk[off & (TIP_WALK_SIZE - 1)]);
	if (len < TIP_KILL_PATH)
		len++; /* the NUL, which makes an exact path exact */
	q.prefixlen = 32 + 8 * len;

	if ((held >= TIP_ID_FIRST && kill_by(&q, held)) ||
	    (origin >= TIP_ID_FIRST && origin != held && kill_by(&q, origin)) ||
	    kill_by(&q, TIP_ID_ANY)) {
		*rule = q.rule;
		return true;
	}
	return false;
}

#endif
