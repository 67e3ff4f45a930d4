/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* open, openat, openat2, creat: what was asked for, and what was really opened. */
#include "lib/syscall.h"
#include "enforce/kill.h"

struct tip_open_rec {
	struct tip_hdr hdr;
	struct tip_ev_open ev;
};

struct tip_open_how {
	__u64 flags, mode, resolve;
};

/* The arguments of the four calls; returns the user's pointer to the name. */
static __always_inline const void *open_args(const struct tip_call *c, struct tip_ev_open *ev)
{
	struct tip_open_how how = {};

	ev->resolve = 0;
	ev->dirfd = AT_FDCWD;
	switch (c->nr) {
	case NR_OPEN:
		ev->syscall = TIP_OPEN_OPEN;
		ev->oflags = call_arg(c, 1);
		ev->mode = call_arg(c, 2);
		return (void *)call_arg(c, 0);
	case NR_CREAT:
		ev->syscall = TIP_OPEN_CREAT;
		ev->oflags = 01101; /* O_CREAT | O_WRONLY | O_TRUNC */
		ev->mode = call_arg(c, 1);
		return (void *)call_arg(c, 0);
	case NR_OPENAT:
		ev->syscall = TIP_OPEN_OPENAT;
		ev->oflags = call_arg(c, 2);
		ev->mode = call_arg(c, 3);
		break;
	default:
		ev->syscall = TIP_OPEN_OPENAT2;
		bpf_probe_read_user(&how, sizeof(how), (void *)call_arg(c, 2));
		ev->oflags = how.flags;
		ev->mode = how.mode;
		ev->resolve = how.resolve;
		break;
	}
	ev->dirfd = call_arg(c, 0);
	return (void *)call_arg(c, 1);
}

/* The folder that a relative name starts from. */
static __always_inline __u16 open_base(struct tip_scratch *s, const struct tip_call *c, __s32 dirfd,
				       bool absolute)
{
	struct task_struct *task = c->task;

	if (absolute)
		return text_none(s);
	if (dirfd != AT_FDCWD)
		return text_file(s, task_file(task, dirfd));
	return text_cwd(s, task);
}

/* Is this an open that a kill rule ends? */
static __always_inline bool open_judge(struct tip_scratch *s, const struct tip_who *who,
				       struct file *file, __u32 oflags, __u32 *rule)
{
	struct vfsmount *vfsmnt = BPF_CORE_READ(file, f_path.mnt);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	__u32 mode = BPF_CORE_READ(file, f_mode);
	__u32 access = 0, lost = 0;
	struct mount *mnt;

	if (mode & FMODE_READ)
		access |= TIP_ACCESS_READ;
	/* O_TRUNC destroys content also through a descriptor that only reads. */
	if ((mode & FMODE_WRITE) || (oflags & O_TRUNC))
		access |= TIP_ACCESS_WRITE;
	if (!access)
		return false;
	mnt = real_mount(vfsmnt);
	if (kill_decide(s, path_walk(s, mnt, dentry, &lost), access, who, rule))
		return true;
	/* Reached through a mount that the process may have made itself: also by its proper name.
	 */
	if (mount_trusted(mnt))
		return false;
	mnt = trusted_mount(dentry);
	return mnt && kill_decide(s, path_walk(s, mnt, dentry, &lost), access, who, rule);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_open, struct pt_regs *regs, long ret)
{
	const struct tip_settings *st = active_settings();
	struct tip_scratch *s = scratch_get(TIP_SCRATCH_SYSCALL);
	bool wanted, judged, killed = false;
	__u32 rule = 0;
	struct tip_open_rec *rec;
	struct file *file = NULL;
	const void *name;
	struct tip_who who;
	struct tip_call c;

	if (!st || !s)
		return 0;
	call_init(&c, regs, ret);
	wanted = st->event_mask & (1ull << TIP_EV_OPEN);
	judged = st->enforce && st->open_kill_count && c.ret >= 0;
	if (!wanted && !judged) {
		count(TIP_CTR_FILTERED);
		return 0;
	}
	who_find(&who, c.task);
	if (!who_in_scope(&who, c.task, st)) {
		count(TIP_CTR_FILTERED);
		return 0;
	}
	rec = (void *)s->rec;
	name = open_args(&c, &rec->ev);
	if (c.ret >= 0)
		file = task_file(c.task, c.ret);
	if (file && judged)
		killed = open_judge(s, &who, file, rec->ev.oflags, &rule);
	if (killed) {
		bpf_send_signal(SIGKILL);
		count(TIP_CTR_KILLS);
	} else if (!wanted) {
		count(TIP_CTR_FILTERED);
		return 0;
	}

	hdr_fill(&rec->hdr, TIP_EV_OPEN, 0, &who, c.task, c.ret);
	rec->hdr.flags = call_flags(&c) | (killed ? TIP_EVF_KILLED : 0);
	rec->ev.rule = rule;
	rec->ev.ino = 0;
	rec->ev.dev = 0;
	rec->ev.file_mode = 0;
	if (file) {
		struct inode *inode = BPF_CORE_READ(file, f_inode);

		rec->ev.ino = BPF_CORE_READ(inode, i_ino);
		rec->ev.dev = inode_dev(inode);
		rec->ev.file_mode = BPF_CORE_READ(inode, i_mode);
	}
	text_begin(s, sizeof(*rec));
	rec->ev.name_len = text_str(s, name, true);
	rec->ev.base_len =
		open_base(s, &c, rec->ev.dirfd, s->rec[sizeof(struct tip_open_rec)] == '/');
	rec->ev.real_len =
		file && (killed || st->want_real_path) ? text_file(s, file) : text_none(s);
	activity_send(s, &rec->hdr);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
