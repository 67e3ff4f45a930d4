/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_TYPES_H
#define TIP_BPF_TYPES_H

/*
 * The kernel's structures, declared by hand with only the members that are read. The
 * compiler records every access and libbpf relocates it against the BTF of the
 * running kernel (CO-RE), so neither order nor padding matters here.
 */

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	unsigned int val;
} kuid_t;

typedef struct {
	unsigned int val;
} kgid_t;

struct list_head {
	struct list_head *next, *prev;
};

/* ---- tasks, credentials, namespaces ---- */

struct uid_gid_extent {
	__u32 first, lower_first, count;
};

#define UID_GID_MAP_MAX_BASE_EXTENTS 5
struct uid_gid_map {
	__u32 nr_extents;
	struct uid_gid_extent extent[UID_GID_MAP_MAX_BASE_EXTENTS];
};

struct user_namespace {
	struct uid_gid_map uid_map, gid_map;
	int level; /* 0: the initial one */
};

struct ns_common {
	unsigned int inum;
};

struct task_struct;

struct pid_namespace {
	struct task_struct *child_reaper; /* its first process */
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1]; /* a flexible array from 6.5 on */
};

enum pid_type { PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID };

struct tty_driver {
	int major;
	int minor_start;
};

struct tty_struct {
	struct tty_driver *driver;
	int index;
};

struct rlimit {
	unsigned long rlim_cur;
};

struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[4];
	struct tty_struct *tty;
	struct rlimit rlim[16];
};

/* Opaque 8 bytes, low word first: __u32 cap[2] before 6.3, u64 val since. */
struct kernel_cap {
	__u64 raw;
};

struct group_info {
	int ngroups;
	kgid_t gid[1]; /* a flexible array */
};

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kgid_t egid;
	kuid_t fsuid;
	kgid_t fsgid;
	struct user_namespace *user_ns;
	struct group_info *group_info;
	struct kernel_cap cap_inheritable;
	struct kernel_cap cap_permitted;
	struct kernel_cap cap_effective;
};

struct mnt_namespace {
	struct ns_common ns;
	struct user_namespace *user_ns;
};

struct net {
	struct ns_common ns;
	__u64 net_cookie;
	struct list_head dev_base_head;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
};

/* ---- control groups ---- */

struct kernfs_node {
	__u64 id;
	const char *name;
};

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup *ancestors[1];
};

struct css_set {
	struct cgroup *dfl_cgrp; /* its cgroup in the cgroup2 hierarchy */
};

/* ---- files ---- */

struct qstr {
	__u32 len;
	const unsigned char *name;
};

struct hlist_bl_node {
	struct hlist_bl_node *next, **pprev;
};

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

struct inode;

struct dentry {
	union {
		struct hlist_node d_alias;
	} d_u;
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_flags;
	unsigned long s_magic;
	int s_stack_depth; /* how many file systems lie below it: overlayfs */
	struct list_head s_mounts;
};

/* since 6.18 */
struct super_block___v618 {
	struct mount *s_mounts;
};

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
};

struct inode {
	struct hlist_head i_dentry;
	__u16 i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned int i_nlink;
	unsigned int i_flags;
	__s64 i_size;
	atomic_t i_writecount;
	__u32 i_generation;
	/* since 6.11 */
	__s64 i_mtime_sec;
	__s64 i_ctime_sec;
	__u32 i_mtime_nsec;
	__u32 i_ctime_nsec;
};

/* 6.7 to 6.10; 6.6 has only __i_ctime of it */
struct inode___v67 {
	struct timespec64 __i_mtime;
	struct timespec64 __i_ctime;
};

/* up to 6.5; 6.6 has only i_mtime of it */
struct inode___v61 {
	struct timespec64 i_mtime;
	struct timespec64 i_ctime;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
	struct list_head mnt_instance; /* in the list of its super block */
};

/* since 6.18 */
struct mount___v618 {
	struct mount *mnt_next_for_sb;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	unsigned int f_mode;
	unsigned int f_flags;
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
};

struct filename {
	const char *name; /* the kernel's copy */
};

struct open_how {
	__u64 flags;
	__u64 mode;
	__u64 resolve;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path pwd;
};

struct mm_struct {
	unsigned long total_vm; /* pages */
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
};

struct linux_binprm {
	struct file *file;
	const char *filename;
	const char *fdpath;
};

/* ---- the task ---- */

struct thread_info {
	__u32 status; /* x86: TS_* */
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	struct mm_struct *mm;
	int exit_code;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	unsigned long min_flt, maj_flt;
	const struct cred *real_cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	kuid_t loginuid; /* only with CONFIG_AUDIT */
	struct css_set *cgroups;
};

/* ---- sockets ---- */

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr_raw {
	__u8 bytes[16];
};

struct in_ifaddr {
	struct in_ifaddr *ifa_next;
	__u32 ifa_local, ifa_mask;
};

struct in_device {
	struct in_ifaddr *ifa_list;
};

struct inet6_ifaddr {
	struct in6_addr_raw addr;
	struct list_head if_list;
};

struct inet6_dev {
	struct list_head addr_list;
};

struct net_device {
	unsigned int flags;
	struct list_head dev_list;
	struct in_device *ip_ptr;
	struct inet6_dev *ip6_ptr;
};

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport; /* network order */
	__u16 skc_num;   /* host order */
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_ipv6only : 1;
	possible_net_t skc_net;
	struct in6_addr_raw skc_v6_daddr;
	struct in6_addr_raw skc_v6_rcv_saddr;
};

struct socket;

struct bpf_map {
	__u32 max_entries;
};

struct sock_reuseport {
	__u16 num_socks;
};

struct sock_cgroup_data {
	struct cgroup *cgroup; /* the one that the socket was made in */
};

struct msghdr {
	void *msg_name;
	int msg_namelen;
};

struct sock {
	struct sock_common __sk_common;
	struct sock_cgroup_data sk_cgrp_data;
	struct socket *sk_socket;
	__u16 sk_protocol;
	__u16 sk_type;
	__u8 sk_userlocks : 4;
	struct pid *sk_peer_pid;
	struct sock_reuseport *sk_reuseport_cb;
};

/* What a helper turns a TCP socket into; it begins with its struct sock. */
struct tcp_sock {
	__u32 segs_in;
};

struct socket {
	short type;
	struct file *file;
	struct sock *sk;
};

struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
};

struct sockaddr_un {
	unsigned short sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[1];
};

struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
	struct path path;
	struct sock *peer;
};

/* ---- io_uring ---- */

struct io_cqe {
	__s32 res; /* the result, once there is one */
	int fd;    /* until then: what the request was given */
};

struct io_kiocb {
	struct file *file; /* also where the request's own part begins */
	__u8 opcode;
	unsigned int flags; /* 64 bits since 6.9 */
	struct io_cqe cqe;
	void *async_data;
};

struct io_open {
	int dfd;
	struct filename *filename;
	struct open_how how;
};

struct io_unlink {
	int dfd;
	int flags;
	struct filename *filename;
};

struct io_mkdir {
	int dfd;
	unsigned short mode;
	struct filename *filename;
};

struct io_rename {
	int old_dfd;
	int new_dfd;
	struct filename *oldpath;
	struct filename *newpath;
	int flags;
};

struct io_link { /* and symlink */
	int old_dfd;
	int new_dfd;
	struct filename *oldpath;
	struct filename *newpath;
	int flags;
};

/* since 7.0 a name that may have been copied in another task */
struct delayed_filename {
	struct filename *__incomplete_filename;
};

struct io_open___v70 {
	struct delayed_filename filename;
};

struct io_unlink___v70 {
	struct delayed_filename filename;
};

struct io_mkdir___v70 {
	struct delayed_filename filename;
};

struct io_rename___v70 {
	struct delayed_filename oldpath;
	struct delayed_filename newpath;
};

struct io_link___v70 {
	struct delayed_filename oldpath;
	struct delayed_filename newpath;
};

struct io_rw {
	__u64 addr;
	__u32 len;
};

struct io_sr_msg {
	void *buf;
	int len;
	unsigned int msg_flags;
};

/* until the kernel copied it while it took the request */
struct io_sr_msg___addr {
	void *addr;
	__u16 addr_len;
};

struct io_close {
	int fd;
	__u32 file_slot; /* of the ring's own table, 0: none */
};

struct io_shutdown {
	int how;
};

struct io_ftrunc {
	__s64 len;
};

struct io_socket {
	int domain;
	int type;
	int protocol;
};

struct io_splice {
	__u64 len;
	int splice_fd_in;
	unsigned int flags;
};

struct io_connect {
	void *addr;
	int addr_len;
};

/* since 6.11 */
struct io_listen {
	int backlog;
};

struct sockaddr_storage {
	unsigned short ss_family;
};

/* before 6.10 */
struct io_async_connect {
	struct sockaddr_storage address;
};

struct io_async_msghdr {
	struct msghdr msg;
};

/* ---- contexts ---- */

/* x86-64. `orig_ax` is the syscall number, the arguments are di, si, dx, r10, r8, r9. */
struct pt_regs {
	unsigned long bp, bx;
	unsigned long r10, r9, r8;
	unsigned long cx, dx, si, di;
	unsigned long orig_ax;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

/* struct sockaddr of any family that is decoded, as the user passed it. */
union tip_sockaddr {
	__u16 family;
	struct {
		__u16 family, port;
		__u8 addr[4];
	} in;
	struct {
		__u16 family, port;
		__u32 flow;
		__u8 addr[16];
	} in6;
	struct {
		__u16 family;
		char path[108];
	} un;
};

#endif
