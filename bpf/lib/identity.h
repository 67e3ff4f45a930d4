/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_IDENTITY_H
#define TIP_BPF_IDENTITY_H

/* Processes and their bindings: how facts are gathered, how identity is handed on. */

#include "lib/store.h"

/* 0 is never given out: it means "none" in every record. */
static __always_inline __u64 exec_id_next(void)
{
	__u32 zero = 0;
	__u64 *seq = bpf_map_lookup_elem(&sequence, &zero);

	return seq ? __sync_fetch_and_add(seq, 1) + 1 : 0;
}

/*
 * The origin of what comes after `old`: the last identity that the lineage held. A quarantined
 * origin stays for good: otherwise two execs would wash it off.
 */
static __always_inline __u32 origin_after(const struct tip_binding *old)
{
	__u32 origin;

	if (!old)
		return 0;
	origin = old->origin;
	if (origin >= TIP_ID_FIRST && bpf_map_lookup_elem(&quarantine, &origin))
		return origin;
	return old->current >= TIP_ID_FIRST ? old->current : origin;
}

/* Facts that can differ between a process and its forks. */
static __always_inline void proc_fill_place(struct tip_proc *p, struct task_struct *task,
					    const struct tip_settings *st)
{
	struct cgroup *cgrp = task_cgroup(task);
	struct tip_ids ids;

	task_ids(task, &ids);
	p->uid = ids.uid;
	p->gid = ids.gid;
	p->euid = ids.euid;
	p->egid = ids.egid;
	p->cgroup_id = cgroup_id(cgrp);
	p->mntns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	if (cgroup_in_scope(cgrp, st))
		p->flags |= TIP_PROC_IN_SCOPE;
}

/* See exe.bpf.c. */
int tip_exe_flags(__u64 exe, __u64 credentials);

/* Facts of the image. */
static __always_inline void proc_fill_exe(struct tip_proc *p, struct task_struct *task)
{
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);
	struct inode *inode;

	if (!exe)
		return;
	inode = BPF_CORE_READ(exe, f_inode);
	p->exe_ino = BPF_CORE_READ(inode, i_ino);
	p->exe_dev = inode_dev(inode);
	p->flags |=
		tip_exe_flags((unsigned long)exe, (unsigned long)BPF_CORE_READ(task, real_cred));
}

/* Puts a binding and a process in place, the binding first: nobody sees one without the other. */
static __always_inline int proc_store(const struct tip_proc_key *key, const struct tip_proc *p,
				      const struct tip_binding *b, __u64 flags)
{
	if (bpf_map_update_elem(&bindings, &p->exec_id, b, BPF_ANY)) {
		count(TIP_CTR_PROCS_FULL);
		return -1;
	}
	if (bpf_map_update_elem(&procs, key, p, flags)) {
		bpf_map_delete_elem(&bindings, &p->exec_id);
		count(TIP_CTR_PROCS_FULL);
		return -1;
	}
	return 0;
}

/* What the kernel has hashed during the exec that made this exec id. */
static __always_inline void digest_keep(struct task_struct *task, __u64 exec_id)
{
	struct tip_digest *d = bpf_task_storage_get(&hashed, task, 0, 0);

	if (!d || !d->known)
		return;
	bpf_map_update_elem(&digests, &exec_id, d, BPF_ANY);
	d->known = 0;
}

/* A fork runs its parent's image. */
static __always_inline void digest_inherit(__u64 from, __u64 to)
{
	struct tip_digest *d = bpf_map_lookup_elem(&digests, &from);

	if (d)
		bpf_map_update_elem(&digests, &to, d, BPF_ANY);
}

/*
 * The members are written before the epoch and read after it, so whoever sees a new epoch
 * sees what made it. Safe to run on several CPUs at once: at worst one epoch is skipped.
 */
static __always_inline void proc_new_epoch(struct tip_proc *p)
{
	__sync_fetch_and_add(&p->epoch, 1);
}

/* ---- credentials ---- */

/*
 * Brings the entry in line with the credentials of the thread at hand. setuid() of glibc changes
 * every thread; the raw system call changes one, and then the process has several: each time
 * another one acts, the epoch moves and with it the binding waits for a new answer.
 */
static __always_inline void proc_sync_creds(struct tip_who *who, struct task_struct *task)
{
	struct tip_proc *p = who->proc;
	struct tip_ids ids;
	__u32 old_uid, old_gid;
	struct {
		struct tip_hdr hdr;
		struct tip_ev_cred ev;
	} *rec;

	if (!p)
		return;
	task_ids(task, &ids);
	if (ids.uid == p->uid && ids.gid == p->gid && ids.euid == p->euid && ids.egid == p->egid)
		return;
	old_uid = p->uid;
	old_gid = p->gid;
	p->uid = ids.uid;
	p->gid = ids.gid;
	p->euid = ids.euid;
	p->egid = ids.egid;
	proc_new_epoch(p);

	if (!(p->flags & TIP_PROC_IN_SCOPE))
		return;
	rec = bpf_ringbuf_reserve(&lifecycle, sizeof(*rec), 0);
	if (!rec) {
		count(TIP_CTR_LIFECYCLE_DROPPED);
		return;
	}
	hdr_fill(&rec->hdr, TIP_EV_CRED, sizeof(*rec), who, task, 0);
	rec->ev.euid = ids.euid;
	rec->ev.egid = ids.egid;
	rec->ev.old_uid = old_uid;
	rec->ev.old_gid = old_gid;
	lifecycle_submit(rec);
}

/* ---- control groups ---- */

/*
 * Brings the entry in line with the cgroup that the process is in. Compares states rather than
 * trusting the event: it also runs after an entry was made, in case the process moved while that
 * was going on.
 */
static __always_inline void proc_sync_cgroup(struct tip_who *who, struct task_struct *task,
					     const struct tip_settings *st)
{
	struct cgroup *cgrp = task_cgroup(task);
	__u64 now = cgroup_id(cgrp), old;
	struct tip_proc *p = who->proc;
	bool was, is;
	struct {
		struct tip_hdr hdr;
		struct tip_ev_cgroup ev;
	} *rec;

	if (!p || p->cgroup_id == now)
		return;
	old = p->cgroup_id;
	was = p->flags & TIP_PROC_IN_SCOPE;
	is = cgroup_in_scope(cgrp, st);
	p->cgroup_id = now;
	if (is)
		p->flags |= TIP_PROC_IN_SCOPE;
	else
		p->flags &= ~TIP_PROC_IN_SCOPE;
	proc_new_epoch(p);

	if (!was && !is)
		return;
	rec = bpf_ringbuf_reserve(&lifecycle, sizeof(*rec), 0);
	if (!rec) {
		count(TIP_CTR_LIFECYCLE_DROPPED);
		return;
	}
	hdr_fill(&rec->hdr, TIP_EV_CGROUP, sizeof(*rec), who, task, 0);
	rec->ev.old_cgroup_id = old;
	rec->ev.proc_flags = p->flags;
	rec->ev.zero = 0;
	lifecycle_submit(rec);
}

#endif
