/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The task iterator: tells every living process as an EXEC record marked as a snapshot, and makes
 * the entries of those that were there before us. Records leave through the iterator's file and not
 * through the ring, so that a thousand processes cannot overflow it.
 */
#include "lib/image.h"

static __always_inline bool process_lives(struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, live.counter) > 0;
}

/* Makes the entry of a process that has none. */
static __always_inline void adopt(struct tip_who *who, struct task_struct *task,
				  const struct tip_settings *st)
{
	struct task_struct *parent = task->real_parent;
	struct tip_binding binding = {};
	struct tip_proc proc = {};
	struct tip_who up;

	who_find(&up, parent);
	proc.exec_id = exec_id_next();
	proc.parent_exec_id = up.proc ? up.proc->exec_id : 0;
	proc.flags = TIP_PROC_PREEXISTING;
	proc_fill_place(&proc, task, st);
	proc_fill_exe(&proc, task);
	if (proc_store(&who->key, &proc, &binding, BPF_NOEXIST))
		return;
	/*
	 * It may have ended meanwhile, before its entry was there to be deleted. `live` falls to
	 * zero before the exit hook runs: whoever of the two comes second takes the entry away.
	 */
	if (!process_lives(task) && !bpf_map_delete_elem(&procs, &who->key))
		bpf_map_delete_elem(&bindings, &proc.exec_id);
	who_find(who, task);
}

SEC("iter/task")
int tip_tasks(struct bpf_iter__task *ctx)
{
	struct tip_scratch *s = scratch_get(TIP_SCRATCH_ITER);
	const struct tip_settings *st = active_settings();
	struct task_struct *task = ctx->task;
	struct tip_exec_rec *rec;
	struct tip_who who;
	__u32 len;

	if (!task || !s || !st || task_is_kernel(task) ||
	    BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid) || !process_lives(task))
		return 0;
	who_find(&who, task);
	if (!who.proc)
		adopt(&who, task, st);
	if (!who.proc)
		return 0;

	/* The scope may be another one than when the entry was made. */
	if (cgroup_in_scope(task_cgroup(task), st))
		who.proc->flags |= TIP_PROC_IN_SCOPE;
	else
		who.proc->flags &= ~TIP_PROC_IN_SCOPE;
	proc_sync_cgroup(&who, task, st);
	if (!(who.proc->flags & TIP_PROC_IN_SCOPE))
		return 0;

	rec = (void *)s->rec;
	image_fill(rec, &who, task);
	rec->hdr.flags = TIP_EVF_SNAPSHOT;
	rec->hdr.uid = who.proc->uid;
	rec->hdr.gid = who.proc->gid;
	text_begin(s, sizeof(*rec));
	/* Another process's memory cannot be read from here; the process room asks /proc. */
	rec->ev.filename_len = text_none(s);
	rec->ev.exe_path_len = text_file(s, BPF_CORE_READ(task, mm, exe_file));
	rec->ev.cwd_len = text_cwd(s, task);
	rec->ev.args_len = text_none(s);
	len = text_finish(s, &rec->hdr);
	/* Told to come back with an emptier buffer, the kernel shows this task again. */
	bpf_seq_write(ctx->meta->seq, s->rec, len);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
