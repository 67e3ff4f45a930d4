/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_JUDGE_H
#define TIP_BPF_JUDGE_H

/*
 * The decision: which enforcing rule, if any, is about this act. It begins with the rules that
 * concern acts of its kind, and each dimension that is asked takes away those whose condition is
 * not met. Cheap dimensions come first, and one that no rule left has a condition in is not asked:
 * most acts are decided before anybody walks a path. See abi.h.
 *
 * The steps are global functions of judge.bpf.c: the verifier looks at each of them once, and not
 * in every state in which it could be called. So their arguments are plain memory without pointers
 * that it would have to know.
 */

#include "lib/identity.h"

struct tip_judgement {
	struct tip_rule_bits left; /* rules that can still hold */
	__u32 generation;
	__u32 zero;
};

/* Who acts. */
struct tip_actor {
	__u64 exe_ino; /* what was executed; 0: not known */
	__u32 exe_dev;
	__u32 flags; /* TIP_PROC_* */
	__u32 held, origin, current;
	__u32 zero;
};

/* A file as it was reached; addresses in the kernel. */
struct tip_file {
	__u64 mnt;    /* struct vfsmount */
	__u64 dentry; /* struct dentry */
	__u64 inode;  /* what a stacked file system really opened, not what dentry says */
	__u64 below;  /* a dentry of that inode, where it is another than `dentry` says; else 0 */
};

/* An address, in network order, or a port in the first two bytes; the rest is zero. */
struct tip_net {
	__u8 bytes[16];
};

struct tip_verdict {
	__u32 rule; /* TIP_RULE_NUMBER */
	__u32 kill;
};

/* Each says whether rules are left; the first begins with those about `acts` (1 << TIP_JUDGED_*).
 */
int tip_judge_begin(struct tip_judgement *j, __u32 generation, __u32 acts);
int tip_judge_actor(struct tip_judgement *j, const struct tip_actor *who);
int tip_judge_value(struct tip_judgement *j, __u32 dim, __u64 value);
int tip_judge_path(struct tip_judgement *j, __u32 place, const struct tip_file *file);
int tip_judge_exe(struct tip_judgement *j, __u32 place, const struct tip_actor *who);
int tip_judge_cgroup(struct tip_judgement *j, __u32 place);
int tip_judge_net(struct tip_judgement *j, __u32 dim, __u32 table, const struct tip_net *net);

/* The first rule that is left. */
int tip_judge_verdict(const struct tip_judgement *j, struct tip_verdict *v);

/* The number of a place to judge in, to be given back with judge_leave(). -1: all are taken. */
int tip_judge_place(void);

static __always_inline struct tip_judge *judge_at(__u32 place)
{
	return bpf_map_lookup_elem(&judges, &place);
}

static __always_inline void judge_leave(__u32 place)
{
	struct tip_judge *t = judge_at(place);

	if (t)
		*(volatile __u32 *)&t->busy = 0;
}

static __always_inline bool judge_begin(struct tip_judgement *j, const struct tip_settings *st,
					__u32 acts)
{
	__builtin_memset(j, 0, sizeof(*j));
	return st->enforce && st->rule_generation && tip_judge_begin(j, st->rule_generation, acts);
}

static __always_inline void actor_of(struct tip_actor *a, const struct tip_who *who)
{
	__builtin_memset(a, 0, sizeof(*a));
	a->held = who_held(who);
	a->origin = who_origin(who);
	a->current = who_current(who);
	if (!who->proc)
		return;
	a->exe_ino = who->proc->exe_ino;
	a->exe_dev = who->proc->exe_dev;
	a->flags = who->proc->flags;
}

static __always_inline void file_of(struct tip_file *f, struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	f->mnt = (__u64)BPF_CORE_READ(file, f_path.mnt);
	f->dentry = (__u64)dentry;
	f->inode = (__u64)inode;
	f->below = 0;
	/* Before Linux 6.5 overlayfs opens what lies below it under its own path. */
	if (BPF_CORE_READ(dentry, d_inode) != inode)
		f->below = (__u64)inode_dentry(inode);
}

/*
 * Does a rule that is left hold for this file and who acts on it? `exec`: the file is what becomes
 * the executable. 1: yes, 0: no, -EAGAIN: nobody can say.
 */
static __always_inline int judge_file(struct tip_judgement *j, const struct tip_file *file,
				      const struct tip_actor *who, bool exec, struct tip_verdict *v)
{
	struct inode *inode = (void *)file->inode;
	int place, holds;

	if (!tip_judge_actor(j, who) || !tip_judge_value(j, TIP_DIM_INO, inode_ino(inode)) ||
	    !tip_judge_value(j, TIP_DIM_DEV, inode_dev(inode)))
		return 0;
	place = tip_judge_place();
	if (place < 0)
		return -EAGAIN;
	holds = tip_judge_cgroup(j, place) && (exec || tip_judge_exe(j, place, who)) &&
		tip_judge_path(j, place, file);
	judge_leave(place);
	if (!holds)
		return 0;
	tip_judge_verdict(j, v);
	return 1;
}

/*
 * As judge_begin(), for an open. `oflags` as the caller gave them: O_TRUNC destroys content also
 * through a descriptor that only reads.
 */
static __always_inline bool open_begin(struct tip_judgement *j, const struct tip_settings *st,
				       struct file *file, __u32 oflags)
{
	__u32 mode = BPF_CORE_READ(file, f_mode), acts = 0;

	if (mode & FMODE_READ)
		acts |= TIP_ACCESS_READ;
	if ((mode & FMODE_WRITE) || (oflags & O_TRUNC))
		acts |= TIP_ACCESS_WRITE;
	return judge_begin(j, st, acts);
}

#endif
