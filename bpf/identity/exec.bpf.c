/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * exec: a process becomes another program. Runs before the first instruction of the new
 * image, in the thread that is the leader by now, whichever thread called.
 */
#include "lib/image.h"

SEC("tp_btf/sched_process_exec")
int BPF_PROG(tip_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	const struct tip_settings *st = active_settings();
	struct tip_scratch *s = scratch_get(TIP_SCRATCH_EXEC);
	struct tip_binding next = {};
	struct tip_proc proc = {};
	struct tip_exec_rec *rec;
	struct tip_who who;
	struct mm_struct *mm;
	__u64 old_exec_id = 0;
	__u64 start, end;

	if (!st || !s || task_is_kernel(task))
		return 0;
	who_find(&who, task);
	if (who.proc) {
		old_exec_id = who.proc->exec_id;
		proc.parent_exec_id = who.proc->parent_exec_id;
		proc.epoch = 0;
	}
	proc.exec_id = exec_id_next();
	next.origin = origin_after(who.binding);
	proc_fill_place(&proc, task, st);
	proc_fill_exe(&proc, task);
	if (proc_store(&who.key, &proc, &next, BPF_ANY)) {
		/* No place: what was known about the process before is no longer true either. */
		bpf_map_delete_elem(&procs, &who.key);
		who.proc = &proc;
		who.binding = NULL;
	} else {
		who.proc = bpf_map_lookup_elem(&procs, &who.key);
		who.binding = bpf_map_lookup_elem(&bindings, &proc.exec_id);
		if (!who.proc)
			who.proc = &proc;
	}
	if (old_exec_id)
		bpf_map_delete_elem(&bindings, &old_exec_id);

	if (proc.flags & TIP_PROC_IN_SCOPE) {
		rec = (void *)s->rec;
		image_fill(rec, &who, task);
		rec->ev.old_exec_id = old_exec_id;
		/*
		 * The number in the registers is that of execve by now, whatever was called. A path
		 * made up from a descriptor is what only execveat has.
		 */
		rec->ev.syscall = BPF_CORE_READ(bprm, fdpath) != NULL;

		text_begin(s, sizeof(*rec));
		mm = BPF_CORE_READ(task, mm);
		rec->ev.filename_len = text_str(s, BPF_CORE_READ(bprm, filename), false);
		rec->ev.exe_path_len = text_file(s, BPF_CORE_READ(mm, exe_file));
		rec->ev.cwd_len = text_cwd(s, task);
		start = BPF_CORE_READ(mm, arg_start);
		end = BPF_CORE_READ(mm, arg_end);
		rec->ev.args_len = text_user(s, (void *)start, end > start ? end - start : 0);
		lifecycle_send(s, &rec->hdr);
	}
	if (who.proc != &proc)
		proc_sync_cgroup(&who, task, st);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
