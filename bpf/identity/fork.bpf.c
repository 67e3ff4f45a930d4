/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fork: a new process with its parent's image and identity. It has not run yet. */
#include "lib/identity.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(tip_fork, struct task_struct *parent, struct task_struct *child)
{
	const struct tip_settings *st = active_settings();
	struct tip_binding binding = {};
	struct tip_proc proc = {};
	struct tip_who who, born;
	struct pid *pid;
	struct {
		struct tip_hdr hdr;
		struct tip_ev_fork ev;
	} *rec;

	/* A thread is no process; kernel threads have no identity (user mode helpers do). */
	if (!st || task_is_kernel(child) || BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0;
	who_find(&who, parent);
	who_find(&born, child);
	if (born.proc)
		return 0;

	proc.exec_id = exec_id_next();
	proc.flags = TIP_PROC_FORKED;
	proc_fill_place(&proc, child, st);
	if (who.proc) {
		proc.parent_exec_id = who.proc->exec_id;
		proc.exe_ino = who.proc->exe_ino;
		proc.exe_dev = who.proc->exe_dev;
		proc.flags |= who.proc->flags & TIP_PROC_IMAGE;
	} else {
		proc_fill_exe(&proc, child);
	}
	/*
	 * Identity is inherited if it holds for the child as it holds for the parent. A child in
	 * another cgroup (CLONE_INTO_CGROUP) or of a thread with other credentials waits for its
	 * own.
	 */
	if (who.binding) {
		if (who.binding->epoch == who.proc->epoch &&
		    proc.cgroup_id == who.proc->cgroup_id && proc.uid == who.proc->uid &&
		    proc.gid == who.proc->gid && proc.euid == who.proc->euid &&
		    proc.egid == who.proc->egid && proc.mntns == who.proc->mntns) {
			binding.current = who.binding->current;
			binding.origin = who.binding->origin;
		} else {
			binding.origin = origin_after(who.binding);
		}
	}
	if (!proc_store(&born.key, &proc, &binding, BPF_NOEXIST)) {
		if (st->digest_max)
			digest_inherit(proc.parent_exec_id, proc.exec_id);
		born.proc = bpf_map_lookup_elem(&procs, &born.key);
		proc_sync_cgroup(&born, child, st);
	}

	if (!who_in_scope(&who, parent, st) && !(proc.flags & TIP_PROC_IN_SCOPE))
		return 0;
	rec = bpf_ringbuf_reserve(&lifecycle, sizeof(*rec), 0);
	if (!rec) {
		count(TIP_CTR_LIFECYCLE_DROPPED);
		return 0;
	}
	hdr_fill(&rec->hdr, TIP_EV_FORK, sizeof(*rec), &who, parent, BPF_CORE_READ(child, pid));
	pid = BPF_CORE_READ(child, thread_pid);
	rec->ev.child = born.key;
	rec->ev.child_exec_id = proc.exec_id;
	rec->ev.child_pid_in_ns = pid_nr(pid, BPF_CORE_READ(pid, level), NULL);
	rec->ev.child_flags = proc.flags;
	rec->ev.child_cgroup_id = proc.cgroup_id;
	rec->ev.child_current = binding.current;
	rec->ev.child_origin = binding.origin;
	rec->ev.child_netns = task_netns(child);
	rec->ev.zero = 0;
	lifecycle_submit(rec);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
