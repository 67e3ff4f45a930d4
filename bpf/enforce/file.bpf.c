/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files, denied before the act: every open that gives a descriptor passes security_file_open(),
 * whether it came by a system call, by io_uring or through a handle, and before O_TRUNC has emptied
 * anything. The hooks run in whatever context the kernel opens for the process: an io_uring worker
 * is a thread of it.
 */
#include "enforce/judge.h"
#include "enforce/quarantine.h"
#include "enforce/told.h"

#define O_WRONLY 01

/* Who acts, on what, and what was decided. */
struct tip_file_act {
	struct tip_file file;
	struct tip_actor actor;
	struct tip_verdict v;
	__u32 oflags;
	__u32 zero;
};

/*
 * Puts the path into `to`, which has room for `room` bytes, a power of two, with a NUL behind it.
 * It is walked again: what was judged last may have been another name of the file. The length; with
 * TIP_EVF_TRUNCATED in `*flags` if there was more.
 */
static __always_inline __u32 tell_path(struct tip_judge *t, const struct tip_file *file, char *to,
				       __u32 room, __u16 *flags)
{
	__u32 off, len, lost = 0;

	off = path_walk(&t->path, real_mount((void *)file->mnt), (void *)file->dentry, &lost);
	len = TIP_WALK_SIZE - off;
	if (len > room - 1) {
		len = room - 1;
		lost = 1;
	}
	opaque(len);
	len &= room - 1; /* said again for the verifier of 6.1, which forgets what it has spilled */
	bpf_probe_read_kernel(to, len, &t->path.text[off & (TIP_WALK_SIZE - 1)]);
	opaque(len);
	len &= room - 1;
	to[len] = 0;
	if (lost)
		*flags |= TIP_EVF_TRUNCATED;
	return len;
}

/* `size`: of the memory behind `rec`. */
static __always_inline void tell(const void *rec, __u32 len, __u32 size)
{
	opaque(len);
	if (len > size)
		len = size;
	count(bpf_ringbuf_output(&activity, (void *)rec, len, 0) ? TIP_CTR_ACTIVITY_DROPPED
								 : TIP_CTR_ACTIVITY_SENT);
}

#define ROOM (TIP_PATH_MAX / 2) /* of a path in a record */

/* Tells of an open that was refused. What was asked for is not known here: its name is empty. */
static __noinline int tell_open(const struct tip_file_act *a)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_denied_file *rec;
	struct inode *inode;
	struct tip_judge *t;
	struct tip_who who;
	__u32 place, len;

	if (!a)
		return 0;
	who_find(&who, task);
	if (!is_told(&who))
		return 0;
	place = tip_judge_place();
	t = judge_at(place);
	if (!t)
		return 0;
	rec = &t->file;
	inode = (void *)a->file.inode;
	hdr_fill(&rec->hdr, TIP_EV_OPEN, 0, &who, task, -EPERM);
	rec->hdr.flags = TIP_EVF_DENIED | (a->v.kill ? TIP_EVF_KILLED : 0);
	__builtin_memset(&rec->ev, 0, sizeof(rec->ev));
	rec->ev.ino = inode_ino(inode);
	rec->ev.dev = inode_dev(inode);
	rec->ev.file_mode = BPF_CORE_READ(inode, i_mode);
	rec->ev.oflags = a->oflags;
	rec->ev.dirfd = AT_FDCWD;
	rec->ev.rule = a->v.rule;
	rec->path[0] = rec->path[1] = 0; /* name and base */
	len = tell_path(t, &a->file, &rec->path[2], ROOM, &rec->hdr.flags);
	rec->ev.real_len = len;
	len += offsetof(struct tip_denied_file, path) + 3;
	rec->hdr.len = len;
	tell(rec, len, sizeof(*rec));
	judge_leave(place);
	return 0;
}

/* Tells of an exec that was refused. `a->v.rule` 0: for a quarantine. */
static __noinline int tell_exec(const struct tip_file_act *a)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_denied_exec *rec;
	struct inode *inode;
	struct tip_judge *t;
	struct tip_who who;
	__u32 place, len, end;

	if (!a)
		return 0;
	who_find(&who, task);
	if (!is_told(&who))
		return 0;
	place = tip_judge_place();
	t = judge_at(place);
	if (!t)
		return 0;
	rec = &t->exec;
	inode = (void *)a->file.inode;
	hdr_fill(&rec->hdr, TIP_EV_DENIED_EXEC, 0, &who, task, -EPERM);
	rec->hdr.flags = (a->v.rule ? TIP_EVF_DENIED : 0) | (a->v.kill ? TIP_EVF_KILLED : 0);
	__builtin_memset(&rec->ev, 0, sizeof(rec->ev));
	rec->ev.exe_ino = inode_ino(inode);
	rec->ev.exe_dev = inode_dev(inode);
	rec->ev.exe_mode = BPF_CORE_READ(inode, i_mode);
	rec->ev.rule = a->v.rule;
	rec->path[0] = 0; /* what was passed to exec */
	len = tell_path(t, &a->file, &rec->path[1], ROOM, &rec->hdr.flags);
	rec->ev.exe_path_len = len;
	end = len;
	opaque(end);
	end &= ROOM - 1;
	rec->path[end + 2] = rec->path[end + 3] = 0; /* working directory, arguments */
	len += offsetof(struct tip_denied_exec, path) + 4;
	rec->hdr.len = len;
	tell(rec, len, sizeof(*rec));
	judge_leave(place);
	return 0;
}

/*
 * What a hook says: 0, or the error. `judged` as judge_file() says it; `exec`: of an exec, else of
 * an open.
 */
static __always_inline int file_refuse(int judged, const struct tip_file_act *a, bool exec)
{
	if (judged <= 0)
		return judged;
	count(TIP_CTR_DENIED);
	if (a->v.kill) {
		bpf_send_signal(SIGKILL);
		count(TIP_CTR_KILLS);
	}
	if (exec)
		tell_exec(a);
	else
		tell_open(a);
	return -EPERM;
}

/* Judges what `j` began with. `a->file` is filled in. */
static __always_inline int file_judge(struct tip_judgement *j, const struct tip_settings *st,
				      struct task_struct *task, struct tip_file_act *a, bool exec)
{
	struct tip_who who;

	who_find(&who, task);
	if (!who_in_scope(&who, task, st))
		return 0;
	actor_of(&a->actor, &who);
	return file_refuse(judge_file(j, &a->file, &a->actor, exec, &a->v), a, exec);
}

SEC("lsm/file_open")
int BPF_PROG(tip_lsm_file_open, struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct tip_settings *st = active_settings();
	struct tip_file_act a = {.oflags = file->f_flags};
	struct tip_judgement j;

	if (!st || task_is_kernel(task))
		return 0;
	if (a.oflags & FMODE_EXEC) {
		/* An exec has its own hook; but what overlayfs opens below itself comes only by
		 * here. */
		file_of(&a.file, file);
		if ((!a.file.below && !mount_internal(real_mount((void *)a.file.mnt))) ||
		    !judge_begin(&j, st, 1u << TIP_JUDGED_EXEC))
			return 0;
		return file_judge(&j, st, task, &a, true);
	}
	if (!open_begin(&j, st, file, a.oflags))
		return 0;
	file_of(&a.file, file);
	return file_judge(&j, st, task, &a, false);
}

/* truncate() by a name: as an open for writing. */
SEC("lsm/path_truncate")
int BPF_PROG(tip_lsm_path_truncate, const struct path *path)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct tip_settings *st = active_settings();
	struct tip_file_act a = {.oflags = O_WRONLY | O_TRUNC};
	struct tip_judgement j;

	if (!st || task_is_kernel(task) || !judge_begin(&j, st, TIP_ACCESS_WRITE))
		return 0;
	a.file.mnt = (__u64)BPF_CORE_READ(path, mnt);
	a.file.dentry = (__u64)BPF_CORE_READ(path, dentry);
	a.file.inode = (__u64)BPF_CORE_READ(path, dentry, d_inode);
	return file_judge(&j, st, task, &a, false);
}

/*
 * Once for each file on the way of an exec: the script, then its interpreter. The task still is
 * what it was.
 */
SEC("lsm/bprm_check_security")
int BPF_PROG(tip_lsm_exec, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct tip_settings *st = active_settings();
	struct tip_file_act a = {};
	struct tip_judgement j;
	struct tip_who who;

	if (!st || !st->enforce || task_is_kernel(task))
		return 0;
	file_of(&a.file, BPF_CORE_READ(bprm, file));
	who_find(&who, task);
	if (who_in_scope(&who, task, st) && who_quarantined(&who))
		return file_refuse(1, &a, true);
	if (!judge_begin(&j, st, 1u << TIP_JUDGED_EXEC))
		return 0;
	return file_judge(&j, st, task, &a, true);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
