/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The steps of a decision, see judge.h. */
#include "enforce/judge.h"

#define BITS_WORDS (TIP_RULES_MAX / 64)

/* ---- sets of bits ---- */

static __always_inline int bits_any(const struct tip_rule_bits *b)
{
	return (b->word[0] | b->word[1] | b->word[2] | b->word[3]) != 0;
}

static __always_inline const struct tip_rule_set *set_of(const struct tip_judgement *j)
{
	__u32 at = j->generation & 1;

	return bpf_map_lookup_elem(&rule_sets, &at);
}

/* Has a rule that is left a condition in this dimension? */
static __always_inline bool asks(const struct tip_judgement *j, const struct tip_rule_set *set,
				 __u32 dim)
{
	const struct tip_rule_bits *needs = &set->needs[dim], *spares = &set->spares[dim];
	__u64 any = 0;

	for (int i = 0; i < BITS_WORDS; i++)
		any |= j->left.word[i] & (needs->word[i] | spares->word[i]);
	return any;
}

static __always_inline void meets(struct tip_rule_match *m, const struct tip_rule_match *found)
{
	for (int i = 0; found && i < BITS_WORDS; i++)
		m->meets.word[i] |= found->meets.word[i];
}

static __always_inline void spared(struct tip_rule_match *m, const struct tip_rule_match *found)
{
	for (int i = 0; found && i < BITS_WORDS; i++)
		m->spared.word[i] |= found->spared.word[i];
}

/* Takes away what `m` says that does not hold. */
static __always_inline int narrow(struct tip_judgement *j, const struct tip_rule_set *set,
				  __u32 dim, const struct tip_rule_match *m)
{
	const struct tip_rule_bits *needs = &set->needs[dim];

	for (int i = 0; i < BITS_WORDS; i++)
		j->left.word[i] &= (m->meets.word[i] | ~needs->word[i]) & ~m->spared.word[i];
	return bits_any(&j->left);
}

static __always_inline const struct tip_rule_match *value_match(const struct tip_judgement *j,
								__u32 dim, __u64 value)
{
	struct tip_rule_value_key key = {value, j->generation, dim};

	return bpf_map_lookup_elem(&rule_values, &key);
}

__noinline int tip_judge_begin(struct tip_judgement *j, __u32 generation, __u32 acts)
{
	const struct tip_rule_set *set;

	if (!j)
		return 0;
	j->generation = generation;
	set = set_of(j);
	if (!set)
		return 0;
	for (int i = 0; i < BITS_WORDS; i++) {
		__u64 word = 0;

		for (int act = 0; act < TIP_JUDGED_MAX; act++)
			if (acts & 1u << act)
				word |= set->acts[act].word[i];
		j->left.word[i] = word;
	}
	return bits_any(&j->left);
}

/* A set that is not there leaves nothing to hold anybody to. */
__noinline int tip_judge_value(struct tip_judgement *j, __u32 dim, __u64 value)
{
	const struct tip_rule_match *found;
	const struct tip_rule_set *set;
	struct tip_rule_match m = {};

	if (!j || dim >= TIP_DIM_MAX)
		return 0;
	set = set_of(j);
	if (!set)
		return 0;
	if (!asks(j, set, dim))
		return 1;
	found = value_match(j, dim, value);
	meets(&m, found);
	spared(&m, found);
	return narrow(j, set, dim, &m);
}

/*
 * A rule is about whoever holds the identity or came out of it, and a held one that waits for its
 * re-evaluation counts. Only the present identity, given to these credentials and this cgroup,
 * spares.
 */
static __always_inline int judge_identity(struct tip_judgement *j, const struct tip_actor *who)
{
	const struct tip_rule_match *found;
	const struct tip_rule_set *set = set_of(j);
	struct tip_rule_match m = {};

	if (!set)
		return 0;
	if (!asks(j, set, TIP_DIM_IDENTITY))
		return 1;
	if (who->held >= TIP_ID_FIRST) {
		found = value_match(j, TIP_DIM_IDENTITY, who->held);
		meets(&m, found);
		if (who->current == who->held)
			spared(&m, found);
	}
	if (who->origin >= TIP_ID_FIRST && who->origin != who->held)
		meets(&m, value_match(j, TIP_DIM_IDENTITY, who->origin));
	return narrow(j, set, TIP_DIM_IDENTITY, &m);
}

__noinline int tip_judge_actor(struct tip_judgement *j, const struct tip_actor *who)
{
	if (!j || !who || !judge_identity(j, who))
		return 0;
	return tip_judge_value(j, TIP_DIM_EXE_INO, who->exe_ino);
}

/* ---- texts ---- */

/* Looks up what stands in t->path from its offset on. */
static __always_inline const struct tip_rule_match *path_match(const struct tip_judgement *j,
							       struct tip_judge *t, __u32 dim)
{
	__u32 off = t->path.off, len = TIP_WALK_SIZE - off;

	if (len > TIP_RULE_TEXT - 1)
		len = TIP_RULE_TEXT; /* no exact text is that long: only prefixes can match */
	opaque(len);
	__builtin_memset(t->key.text, 0, sizeof(t->key.text));
	if (len <= TIP_RULE_TEXT)
		bpf_probe_read_kernel(t->key.text, len, &t->path.text[off & (TIP_WALK_SIZE - 1)]);
	if (len < TIP_RULE_TEXT)
		len++; /* the NUL, which makes an exact text exact */
	t->key.generation = j->generation;
	t->key.dim = dim;
	t->key.prefixlen = 64 + 8 * len;
	return bpf_map_lookup_elem(&rule_texts, &t->key);
}

/*
 * What the name of a file says: the path through the mount that was used, and if the process may
 * have made that mount itself, the path through the oldest one that only root could make. Either
 * can meet a condition; only the name that root gave can spare. The kernel's own mounts, through
 * which overlayfs opens the files below it, have no place in any namespace: there only the proper
 * name counts.
 */
static __always_inline void file_match(const struct tip_judgement *j, struct tip_judge *t,
				       struct vfsmount *vfsmnt, struct dentry *dentry, bool below,
				       __u32 dim, struct tip_rule_match *m)
{
	struct mount *mnt = real_mount(vfsmnt);
	const struct tip_rule_match *found;
	bool trusted = !below && mount_trusted(mnt);
	__u32 lost = 0;

	/* Twice at most: the walk stands here once, for the verifier's sake. */
	for (int i = 0; i < 2; i++) {
		if (i == 1) {
			mnt = trusted ? NULL : trusted_mount(dentry);
			trusted = true;
		} else if (below || mount_internal(mnt)) {
			continue;
		}
		if (!mnt)
			break;
		path_walk(&t->path, mnt, dentry, &lost);
		found = path_match(j, t, dim);
		meets(m, found);
		if (trusted)
			spared(m, found);
	}
}

__noinline int tip_judge_path(struct tip_judgement *j, __u32 place, const struct tip_file *file)
{
	struct tip_judge *t = judge_at(place);
	const struct tip_rule_set *set;
	struct tip_rule_match m = {};

	if (!j || !t || !file)
		return 0;
	set = set_of(j);
	if (!set)
		return 0;
	if (!asks(j, set, TIP_DIM_PATH))
		return 1;
	file_match(j, t, (void *)file->mnt, (void *)(file->below ?: file->dentry), file->below,
		   TIP_DIM_PATH, &m);
	return narrow(j, set, TIP_DIM_PATH, &m);
}

/*
 * The executable of who acts. Root of a user namespace can exchange what /proc/self/exe points to
 * (PR_SET_MM_EXE_FILE): if it is not what was executed, it is not known what was. Then every
 * condition counts as met, and nobody as spared.
 */
__noinline int tip_judge_exe(struct tip_judgement *j, __u32 place, const struct tip_actor *who)
{
	struct tip_judge *t = judge_at(place);
	struct task_struct *task = bpf_get_current_task_btf();
	const struct tip_rule_set *set;
	struct tip_rule_match m = {};
	struct inode *inode;
	struct file *exe;

	if (!j || !t || !who)
		return 0;
	set = set_of(j);
	if (!set)
		return 0;
	if (!asks(j, set, TIP_DIM_EXE))
		return 1;
	exe = BPF_CORE_READ(task, mm, exe_file);
	inode = BPF_CORE_READ(exe, f_inode);
	if (!exe || who->exe_ino != inode_ino(inode) || who->exe_dev != inode_dev(inode)) {
		for (int i = 0; i < BITS_WORDS; i++)
			m.meets.word[i] = set->needs[TIP_DIM_EXE].word[i];
	} else {
		file_match(j, t, BPF_CORE_READ(exe, f_path.mnt), BPF_CORE_READ(exe, f_path.dentry),
			   false, TIP_DIM_EXE, &m);
		/* What these had was no name that somebody gave them. */
		if (who->flags & (TIP_PROC_EXE_MEMFD | TIP_PROC_EXE_DELETED))
			__builtin_memset(&m.spared, 0, sizeof(m.spared));
	}
	return narrow(j, set, TIP_DIM_EXE, &m);
}

/* Folders of a cgroup's path that are looked at; TIP_RULE_TEXT bytes hold no more. */
#define CGROUP_LEVELS (TIP_RULE_TEXT / 2)

struct tip_cgroup_walk {
	struct tip_judge *t;
	struct cgroup *cgrp;
	__u32 off;
	__u32 level;
};

static long cgroup_step(__u32 i, struct tip_cgroup_walk *w)
{
	struct cgroup *at = NULL, *cgrp = w->cgrp;
	const void *ancestors = (void *)cgrp + bpf_core_field_offset(struct cgroup, ancestors);
	__u32 off = w->off;
	long n;

	if (i >= w->level || off >= TIP_RULE_TEXT)
		return 1;
	bpf_probe_read_kernel(&at, sizeof(at), ancestors + (i + 1ull) * sizeof(at));
	w->t->key.text[off] = '/';
	/* The slack behind the text takes what does not fit. */
	n = bpf_probe_read_kernel_str(&w->t->key.text[off + 1], TIP_NAME_MAX,
				      BPF_CORE_READ(at, kn, name));
	w->off = off + (n > 0 ? n : 1);
	return 0;
}

/* The cgroup as cgroup2 names it, from its root down. */
__noinline int tip_judge_cgroup(struct tip_judgement *j, __u32 place)
{
	struct cgroup *cgrp = task_cgroup(bpf_get_current_task_btf());
	struct tip_judge *t = judge_at(place);
	struct tip_cgroup_walk w = {.t = t, .cgrp = cgrp};
	const struct tip_rule_match *found;
	const struct tip_rule_set *set;
	struct tip_rule_match m = {};
	__u32 len;

	if (!j || !t)
		return 0;
	set = set_of(j);
	if (!set)
		return 0;
	if (!asks(j, set, TIP_DIM_CGROUP))
		return 1;
	__builtin_memset(t->key.text, 0, sizeof(t->key.text));
	w.level = BPF_CORE_READ(cgrp, level);
	if (!w.level) {
		t->key.text[0] = '/';
		w.off = 1;
	}
	bpf_loop(CGROUP_LEVELS, cgroup_step, &w, 0);
	len = w.off + 1; /* with its NUL */
	if (len > TIP_RULE_TEXT)
		len = TIP_RULE_TEXT;
	t->key.generation = j->generation;
	t->key.dim = TIP_DIM_CGROUP;
	t->key.prefixlen = 64 + 8 * len;
	found = bpf_map_lookup_elem(&rule_texts, &t->key);
	meets(&m, found);
	spared(&m, found);
	return narrow(j, set, TIP_DIM_CGROUP, &m);
}

/* ---- addresses and ports ---- */

__noinline int tip_judge_net(struct tip_judgement *j, __u32 dim, __u32 table,
			     const struct tip_net *net)
{
	struct tip_rule_net_key key = {.prefixlen = 64 + 128, .table = table};
	const struct tip_rule_match *found;
	const struct tip_rule_set *set;
	struct tip_rule_match m = {};

	if (!j || !net || dim >= TIP_DIM_MAX)
		return 0;
	set = set_of(j);
	if (!set)
		return 0;
	if (!asks(j, set, dim))
		return 1;
	key.generation = j->generation;
	__builtin_memcpy(key.addr, net->bytes, sizeof(key.addr));
	found = bpf_map_lookup_elem(&rule_nets, &key);
	meets(&m, found);
	spared(&m, found);
	return narrow(j, set, dim, &m);
}

/* ---- memory, and the verdict ---- */

/* Places that are tried; what cannot be judged after that is refused. */
#define JUDGE_TRIES 64

struct tip_place_search {
	__u32 at;
	int found;
};

static long place_step(__u32 i, struct tip_place_search *s)
{
	__u32 key = (s->at + i) & (tip_judges - 1);
	struct tip_judge *t = bpf_map_lookup_elem(&judges, &key);

	if (!t || __sync_lock_test_and_set(&t->busy, 1))
		return 0;
	s->found = key;
	return 1;
}

__noinline int tip_judge_place(void)
{
	struct tip_place_search s = {
		.at = bpf_get_smp_processor_id() * TIP_JUDGES_CPU,
		.found = -1,
	};

	bpf_loop(JUDGE_TRIES, place_step, &s, 0);
	if (s.found < 0)
		count(TIP_CTR_JUDGES_BUSY);
	return s.found;
}

__noinline int tip_judge_verdict(const struct tip_judgement *j, struct tip_verdict *v)
{
	const struct tip_rule_set *set;
	__u32 place = 0;

	if (!j || !v)
		return 0;
	for (int i = BITS_WORDS - 1; i >= 0; i--)
		if (j->left.word[i])
			place = 64 * i + __builtin_ctzll(j->left.word[i]);
	v->rule = TIP_RULE_NUMBER(j->generation, place);
	set = set_of(j);
	v->kill = set && set->kill.word[(place >> 6) & (BITS_WORDS - 1)] >> (place & 63) & 1;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
