/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is special about an executable, as TIP_PROC_EXE_* flags. */
#include "lib/identity.h"

#define MAY_WRITE        2
#define SB_RDONLY        1
#define S_IMMUTABLE      8
#define CAP_DAC_OVERRIDE 1
#define NGROUPS_STEPS    17 /* halvings of the most groups that there can be, 65536 */

/* Is it one of the supplementary groups? The kernel keeps them sorted. */
static __always_inline bool in_groups(const struct cred *cred, __u32 gid)
{
	struct group_info *info = BPF_CORE_READ(cred, group_info);
	const void *at = (void *)info + bpf_core_field_offset(struct group_info, gid);
	__u32 low = 0, high = BPF_CORE_READ(info, ngroups);

	for (int i = 0; i < NGROUPS_STEPS && low < high; i++) {
		__u32 middle = (low + high) / 2, value = 0;

		bpf_probe_read_kernel(&value, sizeof(value), at + (__u64)middle * sizeof(value));
		if (value == gid)
			return true;
		if (value < gid)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Has this ID of the initial namespace a name in the namespace of `map`? */
static __always_inline bool is_mapped(struct uid_gid_map *map, __u32 id)
{
	__u32 count = BPF_CORE_READ(map, nr_extents);

	/* More of them are kept elsewhere and sorted; who has so many maps whole ranges of IDs. */
	if (count > UID_GID_MAP_MAX_BASE_EXTENTS)
		return true;
	for (int i = 0; i < UID_GID_MAP_MAX_BASE_EXTENTS; i++) {
		struct uid_gid_extent e = {};

		if (i >= count)
			break;
		bpf_core_read(&e, sizeof(e), &map->extent[i]);
		if (id >= e.lower_first && id - e.lower_first < e.count)
			return true;
	}
	return false;
}

/* A capability counts for a file only where its owner and group have names. */
static __always_inline bool overrides(const struct cred *cred, __u32 uid, __u32 gid)
{
	struct user_namespace *ns = BPF_CORE_READ(cred, user_ns);
	__u64 caps = 0;

	bpf_core_read(&caps, sizeof(caps), &cred->cap_effective);
	if (!(caps & 1ull << CAP_DAC_OVERRIDE))
		return false;
	return !BPF_CORE_READ(ns, level) ||
	       (is_mapped(&ns->uid_map, uid) && is_mapped(&ns->gid_map, gid));
}

/* As inode_permission(MAY_WRITE) judges; access control lists are not looked at. */
static __always_inline bool writable(struct inode *inode, const struct cred *cred)
{
	__u32 uid = BPF_CORE_READ(inode, i_uid.val), gid = BPF_CORE_READ(inode, i_gid.val);
	__u32 mode = BPF_CORE_READ(inode, i_mode);

	if ((BPF_CORE_READ(inode, i_sb, s_flags) & SB_RDONLY) ||
	    (BPF_CORE_READ(inode, i_flags) & S_IMMUTABLE))
		return false;
	if (BPF_CORE_READ(cred, fsuid.val) == uid)
		mode >>= 6;
	else if (BPF_CORE_READ(cred, fsgid.val) == gid || in_groups(cred, gid))
		mode >>= 3;
	return (mode & MAY_WRITE) || overrides(cred, uid, gid);
}

/* TIP_PROC_EXE_* of a struct file, for who has these credentials. One program for the verifier. */
__noinline int tip_exe_flags(__u64 exe, __u64 credentials)
{
	struct file *file = (void *)exe;
	const struct cred *cred = (void *)credentials;
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	int flags = 0;

	if (file_mount_trusted(file))
		flags |= TIP_PROC_EXE_INIT_MNT;
	if (dentry_is_memfd(dentry))
		flags |= TIP_PROC_EXE_MEMFD;
	else if (dentry_unlinked(dentry))
		flags |= TIP_PROC_EXE_DELETED;
	switch (inode_layer(inode)) {
	case LAYER_UPPER: flags |= TIP_PROC_EXE_UPPER; break;
	case LAYER_LOWER: flags |= TIP_PROC_EXE_LOWER; break;
	default: break;
	}
	if (writable(inode, cred))
		flags |= TIP_PROC_EXE_WRITABLE;
	return flags;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
