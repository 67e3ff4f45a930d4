/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_IMAGE_H
#define TIP_BPF_IMAGE_H

/* The EXEC record, which exec and the task iterator both tell. */

#include "lib/identity.h"

struct tip_exec_rec {
	struct tip_hdr hdr;
	struct tip_ev_exec ev;
};

#define RLIMIT_NOFILE 7

/* How much it has: memory, page faults, the limit of descriptors. */
static __always_inline void image_fill_sizes(struct tip_ev_exec *ev, struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 limit = BPF_CORE_READ(task, signal, rlim[RLIMIT_NOFILE].rlim_cur);

	ev->vm_size = BPF_CORE_READ(mm, total_vm) * 4; /* x86-64: pages of 4 KiB */
	ev->pgft_maj = BPF_CORE_READ(task, maj_flt);
	ev->pgft_min = BPF_CORE_READ(task, min_flt);
	ev->fdlimit = limit > (__u32)-1 ? (__u32)-1 : limit;
}

/* Everything but the strings. `who->proc` must be set. */
static __always_inline void image_fill(struct tip_exec_rec *rec, const struct tip_who *who,
				       struct task_struct *task)
{
	struct task_struct *parent = task->real_parent;
	const struct cred *cred = BPF_CORE_READ(task, real_cred);
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct pid *group = task_pid_of(task, PIDTYPE_PGID);
	struct pid_namespace *ns = NULL;
	struct tip_ev_exec *ev = &rec->ev;
	__u32 level = BPF_CORE_READ(pid, level);

	hdr_fill(&rec->hdr, TIP_EV_EXEC, 0, who, task, 0);
	task_key(parent, &ev->parent);
	ev->old_exec_id = 0;
	ev->parent_exec_id = who->proc->parent_exec_id;
	ev->exe_ino = who->proc->exe_ino;
	ev->exe_dev = who->proc->exe_dev;
	ev->exe_ctime_ns = ev->exe_mtime_ns = 0;
	ev->exe_mode = 0;
	if (exe) {
		struct inode *inode = BPF_CORE_READ(exe, f_inode);

		ev->exe_ctime_ns = inode_ctime_ns(inode);
		ev->exe_mtime_ns = inode_mtime_ns(inode);
		ev->exe_mode = BPF_CORE_READ(inode, i_mode);
	}
	bpf_core_read(&ev->cap_permitted, sizeof(__u64), &cred->cap_permitted);
	bpf_core_read(&ev->cap_effective, sizeof(__u64), &cred->cap_effective);
	bpf_core_read(&ev->cap_inheritable, sizeof(__u64), &cred->cap_inheritable);
	ev->proc_flags = who->proc->flags;
	ev->euid = who->proc->euid;
	ev->egid = who->proc->egid;
	ev->loginuid = task_loginuid(task);
	ev->tty = task_tty(task);
	ev->sid = pid_nr(task_pid_of(task, PIDTYPE_SID), 0, NULL);
	ev->pgid = pid_nr(group, 0, NULL);
	ev->vpid = pid_nr(pid, level, &ns);
	ev->vpgid = pid_nr(group, level, NULL);
	ev->mntns = who->proc->mntns;
	ev->pidns = ns ? BPF_CORE_READ(ns, ns.inum) : 0;
	ev->pidns_init_ns = ns ? BPF_CORE_READ(ns, child_reaper, start_boottime) : 0;
	ev->netns = task_netns(task);
	ev->rule = 0;
	ev->syscall = 0;
	ev->env_len = 0;
	image_fill_sizes(ev, task);
}

#endif
