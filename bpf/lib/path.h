/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_PATH_H
#define TIP_BPF_PATH_H

/*
 * Paths by hand: bpf_d_path() is refused in these programs. The walk goes from the name up to the
 * root of the mount namespace and writes towards the front of `text`, whose last byte is at
 * TIP_WALK_SIZE - 1; the 256 bytes behind it only satisfy the verifier.
 */

#include "lib/maps.h"
#include "lib/extract.h"

/* Names on the way up, mount points included: deeper than any path that open() takes whole. */
#define TIP_WALK_STEPS 65536

struct tip_walk {
	struct tip_path_buf *buf;
	struct dentry *dentry;
	struct mount *mnt;
	struct dentry *mnt_root;
};

/*
 * Puts "/name" before what is there. The offset lives in the map and not on the stack: a verifier
 * that follows its value from step to step (6.7 and later) would not come to an end.
 */
static __always_inline void walk_prepend(struct tip_path_buf *b, struct dentry *dentry)
{
	__u32 len = BPF_CORE_READ(dentry, d_name.len) & TIP_NAME_MAX;
	__u32 off = b->off;

	if (off < TIP_NAME_MAX + 2) {
		/*
		 * Longer than PATH_MAX. The front of a path decides which rule it falls under, and
		 * it is still to come: keep the nearest 256 bytes of it and give up the tail.
		 */
		bpf_probe_read_kernel(&b->text[TIP_WALK_SIZE - 256], 256,
				      &b->text[off & (TIP_WALK_SIZE - 1)]);
		off = TIP_WALK_SIZE - 256;
		b->truncated = 1;
	}
	off -= len + 1;
	b->off = off;
	opaque(off);
	b->text[off & (TIP_WALK_SIZE - 1)] = '/';
	bpf_probe_read_kernel(&b->text[(off + 1) & (TIP_WALK_SIZE - 1)], len,
			      BPF_CORE_READ(dentry, d_name.name));
}

static long walk_step(__u32 i, struct tip_walk *w)
{
	struct dentry *dentry = w->dentry, *parent;
	struct mount *mnt = w->mnt;

	if (dentry == w->mnt_root) {
		struct mount *up = BPF_CORE_READ(mnt, mnt_parent);

		if (up == mnt)
			return 1; /* the root of the mount namespace */
		w->dentry = BPF_CORE_READ(mnt, mnt_mountpoint);
		w->mnt = up;
		w->mnt_root = BPF_CORE_READ(up, mnt.mnt_root);
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (!parent)
		return 1;
	if (parent == dentry) {
		/*
		 * A root that is not where the file is mounted: a memfd, a pipe, a socket
		 * (their name is the whole path), or a folder moved out of its bind mount.
		 */
		if (w->buf->off == TIP_WALK_SIZE)
			walk_prepend(w->buf, dentry);
		return 1;
	}
	walk_prepend(w->buf, dentry);
	w->dentry = parent;
	return 0;
}

/* ---- the path as the administrator sees it ---- */

#define TIP_SB_MOUNTS 16384

struct tip_mount_search {
	struct mount *at; /* the next one to look at */
	void *list_end;   /* before 6.18: the list's head */
	struct mount *found;
};

static long mount_step(__u32 i, struct tip_mount_search *q)
{
	struct mount *mnt = q->at;
	struct mount___v618 *v618 = (void *)mnt;

	if (bpf_core_field_exists(v618->mnt_next_for_sb)) {
		/* Newest first: the last one that fits is the oldest. */
		if (!mnt)
			return 1;
		if (mount_trusted(mnt))
			q->found = mnt;
		q->at = BPF_CORE_READ(v618, mnt_next_for_sb);
		return 0;
	}
	/* Oldest first. */
	if ((void *)mnt + bpf_core_field_offset(struct mount, mnt_instance) == q->list_end)
		return 1;
	if (mount_trusted(mnt)) {
		q->found = mnt;
		return 1;
	}
	q->at = (void *)BPF_CORE_READ(mnt, mnt_instance.next) -
		bpf_core_field_offset(struct mount, mnt_instance);
	return 0;
}

/*
 * Whoever has a user namespace can bind a file to any place in a mount namespace of their own, and
 * so give it any path there. This is the oldest mount of the file's file system that only the
 * initial user namespace could make: where the system itself mounted it. NULL if there is none.
 */
static __always_inline struct mount *trusted_mount(struct dentry *dentry)
{
	struct super_block *sb = BPF_CORE_READ(dentry, d_sb);
	struct super_block___v618 *v618 = (void *)sb;
	struct tip_mount_search q = {};
	struct mount___v618 *probe = NULL;

	if (bpf_core_field_exists(probe->mnt_next_for_sb)) {
		q.at = BPF_CORE_READ(v618, s_mounts);
	} else {
		q.list_end = (void *)sb + bpf_core_field_offset(struct super_block, s_mounts);
		q.at = (void *)BPF_CORE_READ(sb, s_mounts.next) -
		       bpf_core_field_offset(struct mount, mnt_instance);
	}
	bpf_loop(TIP_SB_MOUNTS, mount_step, &q, 0);
	return q.found;
}

/*
 * Writes the path of {mnt, dentry} into b->text. Returns where it begins; it ends at TIP_WALK_SIZE
 * and has 1 to 4095 bytes. `*truncated` is set to 1 when the text is not all of it.
 */
static __always_inline __u32 path_walk(struct tip_path_buf *b, struct mount *mnt,
				       struct dentry *dentry, __u32 *truncated)
{
	struct tip_walk w = {
		.buf = b,
		.dentry = dentry,
		.mnt = mnt,
		.mnt_root = BPF_CORE_READ(mnt, mnt.mnt_root),
	};

	b->off = TIP_WALK_SIZE;
	b->truncated = 0;
	if (bpf_loop(TIP_WALK_STEPS, walk_step, &w, 0) >= TIP_WALK_STEPS)
		b->truncated = 1;
	if (b->off == TIP_WALK_SIZE) {
		b->off = TIP_WALK_SIZE - 1;
		b->text[TIP_WALK_SIZE - 1] = '/';
	}
	if (b->truncated)
		*truncated = 1;
	return b->off;
}

#endif
