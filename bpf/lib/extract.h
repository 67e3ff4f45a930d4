/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_EXTRACT_H
#define TIP_BPF_EXTRACT_H

/* Reading facts out of the kernel's structures. Writes nothing. */

#include "lib/base.h"
#include <bpf/bpf_endian.h>

/* ---- tasks ---- */

/* Kernel threads have no identity; io_uring workers are threads of their process and do. */
static __always_inline bool task_is_kernel(struct task_struct *task)
{
	return BPF_CORE_READ(task, flags) & PF_KTHREAD;
}

/* A process is named by its leader, whichever thread asks. */
static __always_inline void task_key(struct task_struct *task, struct tip_proc_key *key)
{
	struct task_struct *leader = task->group_leader;

	key->start_ns = leader->start_boottime;
	key->tgid = leader->tgid;
	key->zero = 0;
}

static __always_inline struct cgroup *task_cgroup(struct task_struct *task)
{
	return task->group_leader->cgroups->dfl_cgrp;
}

static __always_inline struct pid *task_pid_of(struct task_struct *task, enum pid_type type)
{
	struct pid *pid = NULL;
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	const void *at = (void *)signal + bpf_core_field_offset(struct signal_struct, pids);

	bpf_probe_read_kernel(&pid, sizeof(pid), at + type * sizeof(pid));
	return pid;
}

/* The number of `pid` in the namespace `level` deep, 0 if it has none there. */
static __always_inline __u32 pid_nr(struct pid *pid, __u32 level, struct pid_namespace **ns)
{
	struct upid upid = {};
	const void *at;

	if (!pid || level > BPF_CORE_READ(pid, level))
		return 0;
	at = (void *)pid + bpf_core_field_offset(struct pid, numbers);
	bpf_probe_read_kernel(&upid, sizeof(upid), at + level * bpf_core_type_size(struct upid));
	if (ns)
		*ns = upid.ns;
	return upid.nr;
}

/* As /proc/PID/stat shows it (new_encode_dev), 0: no terminal. */
static __always_inline __u32 task_tty(struct task_struct *task)
{
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
	__u32 major, minor;

	if (!tty)
		return 0;
	major = BPF_CORE_READ(tty, driver, major);
	minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
	return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

/* Inode number of its network namespace; 0 once it is on its way out. */
static __always_inline __u32 task_netns(struct task_struct *task)
{
	return BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
}

static __always_inline __u32 task_loginuid(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->loginuid))
		return (__u32)-1;
	return BPF_CORE_READ(task, loginuid.val);
}

struct tip_ids {
	__u32 uid, gid, euid, egid;
};

/* The objective credentials: `cred` may be overridden for a moment (overlayfs does). */
static __always_inline void task_ids(struct task_struct *task, struct tip_ids *ids)
{
	const struct cred *cred = task->real_cred;

	ids->uid = cred->uid.val;
	ids->gid = cred->gid.val;
	ids->euid = cred->euid.val;
	ids->egid = cred->egid.val;
}

/* ---- control groups ---- */

static __always_inline __u64 cgroup_id(struct cgroup *cgrp)
{
	return BPF_CORE_READ(cgrp, kn, id);
}

static __always_inline bool cgroup_in_scope(struct cgroup *cgrp, const struct tip_settings *st)
{
	__u32 level = BPF_CORE_READ(cgrp, level);
	const void *at = (void *)cgrp + bpf_core_field_offset(struct cgroup, ancestors);

	if (!st->nscope)
		return true;
	for (int i = 0; i < TIP_SCOPE_MAX; i++) {
		struct cgroup *ancestor = NULL;

		if (i >= st->nscope)
			break;
		if (st->scope[i].level > level)
			continue;
		bpf_probe_read_kernel(&ancestor, sizeof(ancestor),
				      at + (__u64)st->scope[i].level * sizeof(ancestor));
		if (cgroup_id(ancestor) == st->scope[i].cgroup_id)
			return true;
	}
	return false;
}

/* ---- files ---- */

/* The file behind a descriptor number of `task`, NULL if it is closed by now. */
static __always_inline struct file *task_file(struct task_struct *task, __s64 fd)
{
	struct fdtable *fdt = task->files->fdt;
	struct file **table = fdt->fd;
	struct file *file = NULL;

	if (fd < 0 || fd >= fdt->max_fds)
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), table + fd);
	return file;
}

static __always_inline struct mount *real_mount(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/*
 * Was this mount made with root's authority? True if it lies in a mount namespace of the initial
 * user namespace. Mounts of the kernel's own (memfd, pipes) have an error pointer there, which
 * nothing can be read from.
 */
static __always_inline bool mount_trusted(struct mount *mnt)
{
	struct user_namespace *owner = BPF_CORE_READ(mnt, mnt_ns, user_ns);

	return owner && BPF_CORE_READ(owner, level) == 0;
}

/* Is this a mount of the kernel's own, which no namespace shows? Its namespace is an error pointer.
 */
static __always_inline bool mount_internal(struct mount *mnt)
{
	return (unsigned long)BPF_CORE_READ(mnt, mnt_ns) >= (unsigned long)-4095;
}

/*
 * Was the name under which the file is open given by root? The file's mount decides, not the task's
 * namespace: a descriptor from elsewhere can be executed too.
 */
static __always_inline bool file_mount_trusted(struct file *file)
{
	return mount_trusted(real_mount(BPF_CORE_READ(file, f_path.mnt)));
}

static __always_inline __u64 inode_ctime_ns(struct inode *inode)
{
	struct inode___v67 *v67 = (void *)inode;
	struct inode___v61 *v61 = (void *)inode;

	/* Bit 31 of the nanoseconds marks a time that was asked for (multigrain, since 6.13). */
	if (bpf_core_field_exists(inode->i_ctime_sec))
		return BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ull +
		       (BPF_CORE_READ(inode, i_ctime_nsec) & 0x7fffffffu);
	if (bpf_core_field_exists(v67->__i_ctime))
		return BPF_CORE_READ(v67, __i_ctime.tv_sec) * 1000000000ull +
		       BPF_CORE_READ(v67, __i_ctime.tv_nsec);
	if (bpf_core_field_exists(v61->i_ctime))
		return BPF_CORE_READ(v61, i_ctime.tv_sec) * 1000000000ull +
		       BPF_CORE_READ(v61, i_ctime.tv_nsec);
	return 0;
}

static __always_inline __u64 inode_mtime_ns(struct inode *inode)
{
	struct inode___v67 *v67 = (void *)inode;
	struct inode___v61 *v61 = (void *)inode;

	if (bpf_core_field_exists(inode->i_mtime_sec))
		return BPF_CORE_READ(inode, i_mtime_sec) * 1000000000ull +
		       BPF_CORE_READ(inode, i_mtime_nsec);
	if (bpf_core_field_exists(v67->__i_mtime))
		return BPF_CORE_READ(v67, __i_mtime.tv_sec) * 1000000000ull +
		       BPF_CORE_READ(v67, __i_mtime.tv_nsec);
	if (bpf_core_field_exists(v61->i_mtime))
		return BPF_CORE_READ(v61, i_mtime.tv_sec) * 1000000000ull +
		       BPF_CORE_READ(v61, i_mtime.tv_nsec);
	return 0;
}

/* One of the names of an inode, NULL if none is remembered. */
static __always_inline struct dentry *inode_dentry(struct inode *inode)
{
	struct hlist_node *alias = BPF_CORE_READ(inode, i_dentry.first);
	struct dentry *probe = NULL;

	if (!alias || !bpf_core_field_exists(probe->d_u.d_alias))
		return NULL;
	return (void *)alias - bpf_core_field_offset(struct dentry, d_u.d_alias);
}

static __always_inline __u64 inode_ino(struct inode *inode)
{
	return BPF_CORE_READ(inode, i_ino);
}

static __always_inline __u32 inode_dev(struct inode *inode)
{
	return BPF_CORE_READ(inode, i_sb, s_dev);
}

enum tip_layer { LAYER_NONE, LAYER_UPPER, LAYER_LOWER };

/*
 * Where overlayfs has the file: in the layer that is written to, or in one below. Behind its
 * struct inode each file of it has the name in the upper layer, NULL while there is none (struct
 * ovl_inode). The type itself may be in a module that is loaded after us.
 */
static __always_inline enum tip_layer inode_layer(struct inode *inode)
{
	struct dentry *upper = NULL;

	if (BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return LAYER_NONE;
	bpf_probe_read_kernel(&upper, sizeof(upper),
			      (void *)inode + bpf_core_type_size(struct inode));
	return upper && BPF_CORE_READ(upper, d_inode) ? LAYER_UPPER : LAYER_LOWER;
}

/* A name whose last link is gone; a dentry that never had a name (memfd) is its own parent. */
static __always_inline bool dentry_unlinked(struct dentry *dentry)
{
	return !BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry;
}

static __always_inline bool dentry_is_memfd(struct dentry *dentry)
{
	static const char want[6] = "memfd:";
	char name[6] = {};

	if (BPF_CORE_READ(dentry, d_parent) != dentry)
		return false;
	bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	for (int i = 0; i < sizeof(name); i++)
		if (name[i] != want[i])
			return false;
	return true;
}

/* ---- sockets ---- */

/*
 * The socket behind a file, NULL if it is none. An O_PATH file of a socket's name has the mode but
 * no socket; the pointer back to the file settles it.
 */
static __always_inline struct socket *file_socket(struct file *file)
{
	struct socket *sock;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	sock = BPF_CORE_READ(file, private_data);
	if (!sock || BPF_CORE_READ(sock, file) != file)
		return NULL;
	return sock;
}

/* Inode number of the socket that `sk` belongs to, 0 when it is closed already. */
static __always_inline __u64 sk_ino(struct sock *sk)
{
	struct socket_alloc *alloc = (void *)BPF_CORE_READ(sk, sk_socket);

	return alloc ? BPF_CORE_READ(alloc, vfs_inode.i_ino) : 0;
}

/* Where a listening socket listens, as `listeners` has it, in network order. False: not for IP. */
static __always_inline bool sk_listens(struct sock *sk, __u32 *addr)
{
	__u32 word[4] = {};

	*addr = 0;
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		*addr = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		return true;
	}
	if (BPF_CORE_READ(sk, __sk_common.skc_family) != AF_INET6)
		return false;
	bpf_core_read(word, sizeof(word), &sk->__sk_common.skc_v6_rcv_saddr);
	if (word[0] || word[1] || (word[2] && word[2] != bpf_htonl(0xffff)) ||
	    (!word[2] && (word[3] || BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only))))
		*addr = TIP_LISTENS6;
	else
		*addr = word[3];
	return true;
}

/* The listeners that share its port with SO_REUSEPORT, itself counted. */
static __always_inline __u32 sk_group(struct sock *sk)
{
	struct sock_reuseport *group = BPF_CORE_READ(sk, sk_reuseport_cb);

	return group ? BPF_CORE_READ(group, num_socks) : 1;
}

static __always_inline struct net *sk_net(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net);
}

#endif
