/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/store.h"

/*
 * The path of {struct vfsmount, struct dentry} at the record's end, "" without them. A function of
 * its own for the verifier, which looks at the walk once, and not in every state in which one of
 * the paths of a record could be asked for.
 */
__noinline int tip_text_path(struct tip_scratch *s, __u64 mnt, __u64 dentry)
{
	__u32 off, len;

	if (!s)
		return 0;
	if (!mnt || !dentry)
		return text_none(s);
	off = path_walk(&s->path, real_mount((void *)mnt), (void *)dentry, &s->text_truncated);
	len = (TIP_WALK_SIZE - off) & (TIP_PATH_MAX - 1);
	opaque(len);
	len &= TIP_PATH_MAX - 1;
	bpf_probe_read_kernel(text_at(s), len, &s->path.text[off & (TIP_WALK_SIZE - 1)]);
	return text_end(s, len);
}

/*
 * The path of a dentry under the oldest mount of its file system that only root could make: where
 * the system itself has it, whatever was mounted over what since. Nothing, not even a NUL, if there
 * is no such mount.
 */
__noinline int tip_text_host(struct tip_scratch *s, __u64 dentry)
{
	struct mount *mnt;

	if (!s || !dentry)
		return 0;
	mnt = trusted_mount((void *)dentry);
	if (!mnt)
		return 0;
	return tip_text_path(s, (unsigned long)mnt + bpf_core_field_offset(struct mount, mnt),
			     dentry);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
