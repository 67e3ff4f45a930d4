/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_STORE_H
#define TIP_BPF_STORE_H

/* Writing: counters, settings, records and the two rings. */

#include "lib/maps.h"
#include "lib/extract.h"
#include "lib/path.h"

static __always_inline void count(enum tip_counter which)
{
	__u32 key = which;
	__u64 *n = bpf_map_lookup_elem(&counters, &key);

	/* Atomic: a program may be preempted by another on the same CPU. */
	if (n)
		__sync_fetch_and_add(n, 1);
}

/* The settings, or NULL while this generation of programs is not the active one. */
static __always_inline const struct tip_settings *active_settings(void)
{
	__u32 zero = 0;
	const struct tip_settings *st = bpf_map_lookup_elem(&settings, &zero);

	return st && st->build == tip_build ? st : NULL;
}

/* `set`: enum tip_scratch_set, or a number of the pool. */
static __always_inline struct tip_scratch *scratch_get(__u32 set)
{
	return bpf_map_lookup_elem(&scratch, &set);
}

/*
 * A set of the pool, NULL when all are in use on this CPU. fexit, fentry and LSM programs can be
 * preempted by each other anywhere, but stay on their CPU. Who takes one gives it back.
 */
static __always_inline struct tip_scratch *scratch_take(void)
{
	for (__u32 i = TIP_SCRATCH_POOL; i < TIP_SCRATCH_SETS; i++) {
		struct tip_scratch *s = scratch_get(i);

		if (s && __sync_val_compare_and_swap(&s->taken, 0, 1) == 0) {
			s->set = i;
			return s;
		}
	}
	return NULL;
}

static __always_inline void scratch_give(struct tip_scratch *s)
{
	s->taken = 0;
}

/* ---- who: the process that an event is about ---- */

struct tip_who {
	struct tip_proc_key key;
	struct tip_proc *proc;       /* NULL: no place in the table */
	struct tip_binding *binding; /* NULL: pending */
};

static __always_inline void who_find(struct tip_who *who, struct task_struct *task)
{
	task_key(task, &who->key);
	who->proc = bpf_map_lookup_elem(&procs, &who->key);
	who->binding = who->proc ? bpf_map_lookup_elem(&bindings, &who->proc->exec_id) : NULL;
}

/* What may be *allowed* by: the identity, if it was given to these credentials and this cgroup. */
static __always_inline __u32 who_current(const struct tip_who *who)
{
	if (!who->binding || !who->proc || who->binding->epoch != who->proc->epoch)
		return TIP_ID_PENDING;
	return who->binding->current;
}

/* What may be *denied* by: also an identity that waits for its re-evaluation. */
static __always_inline __u32 who_held(const struct tip_who *who)
{
	return who->binding ? who->binding->current : TIP_ID_PENDING;
}

static __always_inline __u32 who_origin(const struct tip_who *who)
{
	return who->binding ? who->binding->origin : TIP_ID_PENDING;
}

/* See scope.bpf.c. */
int tip_cgroup_in_scope(void);

/* As who_in_scope(), of the current task, for programs with many branches before it. */
static __always_inline bool who_acts_in_scope(const struct tip_who *who)
{
	return who->proc ? who->proc->flags & TIP_PROC_IN_SCOPE : tip_cgroup_in_scope();
}

static __always_inline bool who_in_scope(const struct tip_who *who, struct task_struct *task,
					 const struct tip_settings *st)
{
	if (who->proc)
		return who->proc->flags & TIP_PROC_IN_SCOPE;
	return cgroup_in_scope(task_cgroup(task), st);
}

/* ---- records ---- */

static __always_inline void hdr_fill(struct tip_hdr *hdr, enum tip_event_type type, __u32 len,
				     const struct tip_who *who, struct task_struct *task, __s64 ret)
{
	struct tip_ids ids;

	task_ids(task, &ids);
	hdr->type = type;
	hdr->flags = 0;
	hdr->len = len;
	hdr->time_ns = bpf_ktime_get_boot_ns();
	hdr->proc = who->key;
	hdr->exec_id = who->proc ? who->proc->exec_id : 0;
	hdr->cgroup_id = who->proc ? who->proc->cgroup_id : cgroup_id(task_cgroup(task));
	hdr->epoch = who->proc ? who->proc->epoch : 0;
	hdr->tid = task->pid;
	hdr->current = who_current(who);
	hdr->origin = who_origin(who);
	hdr->uid = ids.uid;
	hdr->gid = ids.gid;
	hdr->cpu = bpf_get_smp_processor_id();
	hdr->unmatched = 0;
	hdr->ret = ret;
	__builtin_memset(hdr->comm, 0, sizeof(hdr->comm));
	bpf_probe_read_kernel_str(hdr->comm, sizeof(hdr->comm), task->comm);
}

/*
 * How a record is handed over. The kernel wakes a reader that has caught up by an interrupt to its
 * own CPU, which on a virtual machine costs more than the record does.
 */
static __always_inline __u64 ring_flags(void)
{
	__u32 zero = 0;
	const __u32 *by_clock = bpf_map_lookup_elem(&paced, &zero);

	return by_clock && *by_clock ? BPF_RB_NO_WAKEUP : 0;
}

/*
 * Records of one size are reserved in place. The check for NULL stands once, right behind the
 * reservation: the verifier of 6.1 does not believe a second one and sees a record that leaks.
 */
static __always_inline void lifecycle_submit(void *rec)
{
	bpf_ringbuf_submit(rec, ring_flags());
	count(TIP_CTR_LIFECYCLE_SENT);
}

/*
 * A record with strings is put together in scratch memory, `text_pos` being where the next string
 * goes; every string has its NUL behind it. The position lives in the map: there the verifier knows
 * nothing about it, checks each use on its own and does not multiply the cases.
 */
static __always_inline void text_begin(struct tip_scratch *s, __u32 fixed)
{
	s->text_pos = fixed;
	s->text_truncated = 0;
}

/* The string that now ends at `pos + len` gets its NUL; `len` is at most TIP_PATH_MAX. */
static __always_inline __u16 text_end(struct tip_scratch *s, __u32 len)
{
	__u32 end = (s->text_pos & TIP_REC_MASK) + len;

	opaque(end);
	if (end >= sizeof(s->rec))
		return 0;
	s->rec[end] = 0;
	s->text_pos = end + 1;
	return len;
}

static __always_inline __u8 *text_at(struct tip_scratch *s)
{
	__u32 pos = s->text_pos;

	opaque(pos);
	return &s->rec[pos & TIP_REC_MASK];
}

/* A NUL-terminated string; `user` says whose memory it is in. "" when it cannot be read. */
static __always_inline __u16 text_str(struct tip_scratch *s, const void *from, bool user)
{
	long n = user ? bpf_probe_read_user_str(text_at(s), TIP_PATH_MAX, from)
		      : bpf_probe_read_kernel_str(text_at(s), TIP_PATH_MAX, from);

	if (n < 0) {
		s->text_truncated = 1;
		n = 1;
	}
	if (n == TIP_PATH_MAX)
		s->text_truncated =
			1; /* perhaps not: a string of exactly that length is flagged too */
	return text_end(s, (n - 1) & (TIP_PATH_MAX - 1));
}

/* `len` bytes of user memory, at most TIP_ARGS_MAX - 1 of them. */
static __always_inline __u16 text_user(struct tip_scratch *s, const void *from, __u64 len)
{
	if (len > TIP_ARGS_MAX - 1) {
		len = TIP_ARGS_MAX - 1;
		s->text_truncated = 1;
	}
	opaque(len);
	len &= TIP_ARGS_MAX - 1;
	if (bpf_probe_read_user(text_at(s), len, from)) {
		s->text_truncated = 1;
		len = 0;
	}
	return text_end(s, len & (TIP_ARGS_MAX - 1));
}

/* As text_user(), of what a record may do without: nothing, not even a NUL, where none fits. */
static __always_inline __u16 text_more(struct tip_scratch *s, const void *from, __u64 len)
{
	if (!len)
		return 0;
	if (s->text_pos > TIP_REC_MASK) {
		s->text_truncated = 1;
		return 0;
	}
	return text_user(s, from, len);
}

/* See text.bpf.c. */
int tip_text_path(struct tip_scratch *s, __u64 mnt, __u64 dentry);
/* See kind.bpf.c. `file`: a struct file. */
int tip_file_kind(__u64 file);

static __always_inline __u16 text_path(struct tip_scratch *s, struct vfsmount *mnt,
				       struct dentry *dentry)
{
	return tip_text_path(s, (unsigned long)mnt, (unsigned long)dentry);
}

static __always_inline __u16 text_file(struct tip_scratch *s, struct file *file)
{
	if (!file)
		return text_end(s, 0);
	return text_path(s, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry));
}

/* The path of a file under the oldest mount of its file system that root made, see text.bpf.c. */
int tip_text_host(struct tip_scratch *s, __u64 dentry);

static __always_inline __u16 text_cwd(struct tip_scratch *s, struct task_struct *task)
{
	struct fs_struct *fs = BPF_CORE_READ(task, fs);

	if (!fs)
		return text_end(s, 0);
	return text_path(s, BPF_CORE_READ(fs, pwd.mnt), BPF_CORE_READ(fs, pwd.dentry));
}

static __always_inline __u16 text_none(struct tip_scratch *s)
{
	return text_end(s, 0);
}

/* Length of the record, bounded in a way that the verifier follows. */
static __always_inline __u32 text_finish(struct tip_scratch *s, struct tip_hdr *hdr)
{
	__u32 len = s->text_pos;

	opaque(len);
	if (len > sizeof(s->rec))
		len = sizeof(s->rec);
	hdr->len = len;
	if (s->text_truncated)
		hdr->flags |= TIP_EVF_TRUNCATED;
	return len;
}

static __always_inline void lifecycle_send(struct tip_scratch *s, struct tip_hdr *hdr)
{
	__u32 len = text_finish(s, hdr);

	count(bpf_ringbuf_output(&lifecycle, s->rec, len, ring_flags()) ? TIP_CTR_LIFECYCLE_DROPPED
									: TIP_CTR_LIFECYCLE_SENT);
}

static __always_inline void activity_send(struct tip_scratch *s, struct tip_hdr *hdr)
{
	__u32 len = text_finish(s, hdr);

	count(bpf_ringbuf_output(&activity, s->rec, len, ring_flags()) ? TIP_CTR_ACTIVITY_DROPPED
								       : TIP_CTR_ACTIVITY_SENT);
}

#endif
