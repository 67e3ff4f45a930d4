/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * exec: a process becomes another program. Runs before the first instruction of the new
 * image, in the thread that is the leader by now, whichever thread called.
 */
#include "lib/image.h"
#include "enforce/judge.h"
#include "sensor/filter.h"

/* What a decision needs: on the stack there is no room for it beside that of its steps. */
struct tip_exec_judging {
	struct tip_judgement j;
	struct tip_actor actor;
	struct tip_file file;
	struct tip_verdict v;
};

/*
 * Without BPF LSM a rule ends the process before the first instruction of what it may not execute.
 * Who acts is what it was before. The number of the rule, 0: none. Uses s->rec.
 */
static __always_inline __u32 exec_judge(struct tip_scratch *s, const struct tip_settings *st,
					const struct tip_who *who, struct task_struct *task)
{
	struct tip_exec_judging *x = (void *)s->rec;

	if (tip_lsm || !st->rule_count || !who_in_scope(who, task, st) ||
	    !judge_begin(&x->j, st, 1u << TIP_JUDGED_EXEC))
		return 0;
	actor_of(&x->actor, who);
	file_of(&x->file, BPF_CORE_READ(task, mm, exe_file));
	return judge_file(&x->j, &x->file, &x->actor, true, &x->v) == 1 ? x->v.rule : 0;
}

/*
 * Who an exec like this was before, if that is remembered; otherwise leaves its key for the answer
 * that will come. The path is the one in the record, at `path`. Only what root mounted: elsewhere a
 * path is worth what the keeper's own namespace says.
 */
static __always_inline __u32 remembered(struct tip_scratch *s, const struct tip_settings *st,
					const struct tip_proc *p, const struct tip_exec_rec *rec,
					__u32 path)
{
	const struct file *exe =
		BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), mm, exe_file);
	struct tip_exec_cache_key *key = &s->exec;
	__u32 len = rec->ev.exe_path_len;
	const __u32 *number;

	if (!st->remember_execs || !len || len >= TIP_EXEC_CACHE_PATH ||
	    (p->flags & TIP_PROC_EXE_FLAGS) != TIP_PROC_EXE_INIT_MNT)
		return TIP_ID_PENDING;
	key->exe_ino = p->exe_ino;
	key->exe_ctime_ns = rec->ev.exe_ctime_ns;
	key->cgroup_id = p->cgroup_id;
	key->exe_dev = p->exe_dev;
	key->exe_generation = BPF_CORE_READ(exe, f_inode, i_generation);
	key->euid = p->euid;
	key->egid = p->egid;
	key->mntns = p->mntns;
	key->entries = st->entries;
	__builtin_memset(key->path, 0, sizeof(key->path));
	opaque(len);
	if (len >= TIP_EXEC_CACHE_PATH)
		return TIP_ID_PENDING;
	opaque(path);
	bpf_probe_read_kernel(key->path, len, &s->rec[path & TIP_REC_MASK]);
	number = bpf_map_lookup_elem(&exec_cache, key);
	if (number)
		return *number;
	bpf_map_update_elem(&exec_keys, &p->exec_id, key, BPF_ANY);
	return TIP_ID_PENDING;
}

/* The prefilter that says that no rule can match the exec in the record, 0: one may. */
static __always_inline __u32 exec_unmatched(const struct tip_settings *st,
					    const struct tip_exec_rec *rec, __u32 path)
{
	const __u32 generation = st->filter_generation;

	/* What a rule did is told with the exec. */
	if (!generation || !(st->event_mask >> TIP_EV_EXEC & 1) || rec->hdr.flags)
		return 0;
	return tip_filter_exec(TIP_SCRATCH_EXEC, generation, path) ? 0 : generation;
}

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
	__u32 killer;
	__u64 old_exec_id = 0;
	__u64 start, end;
	__u32 path;

	if (!st || !s || task_is_kernel(task))
		return 0;
	who_find(&who, task);
	if (who.proc) {
		old_exec_id = who.proc->exec_id;
		proc.parent_exec_id = who.proc->parent_exec_id;
		proc.epoch = 0;
	}
	killer = exec_judge(s, st, &who, task);
	if (killer) {
		bpf_send_signal(SIGKILL);
		count(TIP_CTR_KILLS);
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
		digest_keep(task, proc.exec_id);
	}
	if (old_exec_id) {
		bpf_map_delete_elem(&bindings, &old_exec_id);
		bpf_map_delete_elem(&digests, &old_exec_id);
	}

	if (proc.flags & TIP_PROC_IN_SCOPE) {
		rec = (void *)s->rec;
		image_fill(rec, &who, task);
		rec->hdr.flags = killer ? TIP_EVF_KILLED : 0;
		rec->ev.rule = killer;
		rec->ev.old_exec_id = old_exec_id;
		/*
		 * The number in the registers is that of execve by now, whatever was called. A path
		 * made up from a descriptor is what only execveat has.
		 */
		rec->ev.syscall = BPF_CORE_READ(bprm, fdpath) != NULL;

		text_begin(s, sizeof(*rec));
		mm = BPF_CORE_READ(task, mm);
		rec->ev.filename_len = text_str(s, BPF_CORE_READ(bprm, filename), false);
		path = s->text_pos;
		rec->ev.exe_path_len = text_file(s, BPF_CORE_READ(mm, exe_file));
		rec->hdr.unmatched = exec_unmatched(st, rec, path);
		next.current = remembered(s, st, &proc, rec, path);
		if (next.current != TIP_ID_PENDING && who.binding &&
		    !bpf_map_update_elem(&bindings, &proc.exec_id, &next, BPF_EXIST)) {
			rec->hdr.current = next.current;
			count(TIP_CTR_EXEC_CACHED);
		}
		rec->ev.cwd_len = text_cwd(s, task);
		start = BPF_CORE_READ(mm, arg_start);
		end = BPF_CORE_READ(mm, arg_end);
		rec->ev.args_len = text_user(s, (void *)start, end > start ? end - start : 0);
		if (st->wants & TIP_WANT_ENV) {
			start = BPF_CORE_READ(mm, env_start);
			end = BPF_CORE_READ(mm, env_end);
			rec->ev.env_len =
				text_more(s, (void *)start, end > start ? end - start : 0);
		}
		lifecycle_send(s, &rec->hdr);
	}
	if (who.proc != &proc)
		proc_sync_cgroup(&who, task, st);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
