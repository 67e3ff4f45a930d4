/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The digest of what is executed, by the kernel's own IMA (bpf_ima_file_hash(), Linux 5.18): at the
 * one moment of an exec at which the file is known that becomes the process's executable, and
 * nobody may write to it any more. May sleep, for the file is read. Behind the point of no return:
 * what is left for tip_exec is that exec's and no other's.
 */
#include "lib/identity.h"
#include "tipstaff/filesystems.h"

#define HASH_ALGO_SHA256 4         /* enum hash_algo, linux/hash_info.h */
#define S_VERITY         (1 << 16) /* the file has fs-verity, so its content stays as it is */

/*
 * Longer than a tick of the clock that gives file times: 10 ms with CONFIG_HZ=100. A file that was
 * not changed for so long gets another ctime by its next change.
 */
#define SETTLED_NS (20ull * 1000 * 1000)

/* What a file hashed to. Never changed but replaced as a whole: readers need no lock. */
struct tip_hashed_file {
	__u64 ctime_ns, mtime_ns, size;
	__u64 seen_ns; /* when the file was first hashed in this state; boot time */
	__u32 verity;  /* its content is this for good, whatever its times say */
	__u32 settled; /* the digest may be used again */
	__u8 sha256[TIP_SHA256];
};

/* Goes with the inode: another file cannot come into its place, be it with all the same numbers. */
struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tip_hashed_file);
} hashed_files SEC(".maps");

static __always_inline void file_state(struct tip_hashed_file *f, struct inode *inode)
{
	f->ctime_ns = inode_ctime_ns(inode);
	f->mtime_ns = inode_mtime_ns(inode);
	f->size = inode->i_size;
	f->verity = (inode->i_flags & S_VERITY) != 0;
}

static __always_inline bool same_state(const struct tip_hashed_file *a,
				       const struct tip_hashed_file *b)
{
	return a->verity == b->verity &&
	       (a->verity ||
		(a->ctime_ns == b->ctime_ns && a->mtime_ns == b->mtime_ns && a->size == b->size));
}

/*
 * Is what is read of this file what is executed? The daemon's own hashing asks the same. The kernel
 * counts writers below zero while it denies writing; it did not in 6.11 and 6.12.0.
 */
static __always_inline bool file_fit(struct file *file, const struct tip_settings *st)
{
	struct inode *inode = file->f_inode;
	__u64 size = inode->i_size;

	return size && size <= st->digest_max && inode->i_writecount.counter < 0 &&
	       file_mount_trusted(file) && !dentry_is_memfd(BPF_CORE_READ(file, f_path.dentry)) &&
	       !tip_fs_is_foreign(BPF_CORE_READ(inode, i_sb, s_magic));
}

/*
 * Do this inode's times change with the file's content? Those of a file on top of another file
 * system (overlayfs) are copies, which writes through a mapping leave as they are.
 */
static __always_inline bool times_tell(struct inode *inode)
{
	return !BPF_CORE_READ(inode, i_sb, s_stack_depth) &&
	       !tip_fs_is_timeless(BPF_CORE_READ(inode, i_sb, s_magic));
}

/*
 * Notes the state of a file that is hashed for the first time, and the digest when it is hashed in
 * the same state again, some time later: then that state was old enough when the hashing began.
 * Asks no clock that could be set.
 */
static __always_inline void remember(struct inode *inode, struct tip_hashed_file *now,
				     const struct tip_hashed_file *last, const __u8 *sha256)
{
	const bool again = last && same_state(last, now);

	if (again && now->seen_ns - last->seen_ns < SETTLED_NS)
		return;
	now->settled = now->verity || again;
	__builtin_memcpy(now->sha256, sha256, sizeof(now->sha256));
	bpf_inode_storage_delete(&hashed_files, inode);
	bpf_inode_storage_get(&hashed_files, inode, now, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

SEC("lsm.s/bprm_committed_creds")
int BPF_PROG(tip_digest, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_digest *d = bpf_task_storage_get(&hashed, task, 0, 0);
	const struct tip_settings *st = active_settings();
	struct tip_hashed_file now = {}, *last;
	struct file *file = bprm->file;
	struct inode *inode = file->f_inode;
	struct tip_who who;

	if (d)
		d->known = 0;
	if (!st || !st->digest_max || task_is_kernel(task))
		return 0;
	who_find(&who, task);
	if (!who_in_scope(&who, task, st) || !file_fit(file, st))
		return 0;
	if (!d)
		d = bpf_task_storage_get(&hashed, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!d)
		return 0;
	file_state(&now, inode);
	last = bpf_inode_storage_get(&hashed_files, inode, 0, 0);
	if (last && last->settled && same_state(last, &now)) {
		__builtin_memcpy(d->sha256, last->sha256, sizeof(d->sha256));
		d->known = 1;
		count(TIP_CTR_DIGEST_REMEMBERED);
		return 0;
	}
	now.seen_ns = bpf_ktime_get_boot_ns();
	if (bpf_ima_file_hash(file, d->sha256, sizeof(d->sha256)) != HASH_ALGO_SHA256)
		return 0;
	d->known = 1;
	count(TIP_CTR_DIGEST_HASHED);
	if (now.verity || times_tell(inode))
		remember(inode, &now, last, d->sha256);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
