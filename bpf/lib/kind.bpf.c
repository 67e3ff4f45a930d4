/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/store.h"

/* Eight letters of a name, as they stand in memory. */
#define NAME8(a, b, c, d, e, f, g, h)                                                              \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |   \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

/* Anonymous inodes share a file system, and some of them the inode: the name tells them apart. */
static __always_inline int anonymous_kind(struct dentry *dentry)
{
	__u64 name = 0;

	bpf_probe_read_kernel(&name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	switch (name) {
	case NAME8('[', 'e', 'v', 'e', 'n', 't', 'f', 'd'): return TIP_KIND_EVENTFD;
	case NAME8('[', 'e', 'v', 'e', 'n', 't', 'p', 'o'): return TIP_KIND_EPOLL;
	case NAME8('[', 's', 'i', 'g', 'n', 'a', 'l', 'f'): return TIP_KIND_SIGNALFD;
	case NAME8('[', 't', 'i', 'm', 'e', 'r', 'f', 'd'): return TIP_KIND_TIMERFD;
	case NAME8('[', 'i', 'o', '_', 'u', 'r', 'i', 'n'): return TIP_KIND_IO_URING;
	case NAME8('[', 'u', 's', 'e', 'r', 'f', 'a', 'u'): return TIP_KIND_USERFAULTFD;
	case NAME8('[', 'p', 'i', 'd', 'f', 'd', ']', 0): return TIP_KIND_PIDFD;
	case NAME8('i', 'n', 'o', 't', 'i', 'f', 'y', 0): return TIP_KIND_INOTIFY;
	default: break;
	}
	/* bpf-map, bpf-prog, bpf_link, bpf_iter */
	return (name & 0xffffff) == NAME8('b', 'p', 'f', 0, 0, 0, 0, 0) ? TIP_KIND_BPF
									: TIP_KIND_UNKNOWN;
}

/*
 * Which TIP_KIND_* the file is. A function of its own for the verifier, and for the stack: those
 * that ask have none left on 6.1.
 */
__noinline int tip_file_kind(__u64 file)
{
	struct file *f = (void *)file;
	struct dentry *dentry = BPF_CORE_READ(f, f_path.dentry);
	unsigned long magic = BPF_CORE_READ(f, f_inode, i_sb, s_magic);

	if ((BPF_CORE_READ(f, f_inode, i_mode) & S_IFMT) == S_IFIFO)
		return TIP_KIND_PIPE;
	if (magic == ANON_INODE_FS_MAGIC)
		return anonymous_kind(dentry);
	if (magic == PID_FS_MAGIC)
		return TIP_KIND_PIDFD;
	return dentry_is_memfd(dentry) ? TIP_KIND_MEMFD : TIP_KIND_FILE;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
