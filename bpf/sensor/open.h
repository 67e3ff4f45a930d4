/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_OPEN_H
#define TIP_BPF_OPEN_H

/* What both tiers of sensing do about an open. */

#include "lib/syscall.h"
#include "enforce/judge.h"
#include "sensor/filter.h"

/*
 * The arguments of the calls that open; returns the user's pointer to the name. Those of openat2
 * that are in user memory come from `how`, where the caller has the kernel's copy of them.
 */
static __always_inline const void *open_args(const struct tip_call *c, const struct open_how *how,
					     struct tip_ev_open *ev)
{
	struct open_how copy = {};

	ev->resolve = 0;
	ev->dirfd = AT_FDCWD;
	switch (c->nr) {
	case NR_OPEN:
		ev->syscall = TIP_OPEN_OPEN;
		ev->oflags = reg_arg(c, 1);
		ev->mode = reg_arg(c, 2);
		return (void *)reg_arg(c, 0);
	case NR_CREAT:
		ev->syscall = TIP_OPEN_CREAT;
		ev->oflags = 01101; /* O_CREAT | O_WRONLY | O_TRUNC */
		ev->mode = reg_arg(c, 1);
		return (void *)reg_arg(c, 0);
	case NR_OPENAT:
		ev->syscall = TIP_OPEN_OPENAT;
		ev->oflags = reg_arg(c, 2);
		ev->mode = reg_arg(c, 3);
		break;
	case NR_OPEN_BY_HANDLE_AT:
		ev->syscall = TIP_OPEN_BY_HANDLE;
		ev->oflags = reg_arg(c, 2);
		ev->mode = 0;
		ev->dirfd = reg_arg(c, 0);
		return NULL;
	default:
		ev->syscall = TIP_OPEN_OPENAT2;
		if (how)
			bpf_probe_read_kernel(&copy, sizeof(copy), how);
		else
			bpf_probe_read_user(&copy, sizeof(copy), (void *)reg_arg(c, 2));
		ev->oflags = copy.flags;
		ev->mode = copy.mode;
		ev->resolve = copy.resolve;
		break;
	}
	ev->dirfd = reg_arg(c, 0);
	return (void *)reg_arg(c, 1);
}

/* The folder that a relative name starts from. */
static __always_inline __u16 open_base(struct tip_scratch *s, struct task_struct *task, __s32 dirfd,
				       bool absolute)
{
	if (absolute)
		return text_none(s);
	if (dirfd != AT_FDCWD)
		return text_file(s, task_file(task, dirfd));
	return text_cwd(s, task);
}

static __always_inline __u16 file_flags(struct file *file, struct inode *inode)
{
	enum tip_layer layer = inode_layer(inode);

	return (BPF_CORE_READ(file, f_mode) & FMODE_CREATED ? TIP_FILE_CREATED : 0) |
	       (layer == LAYER_UPPER   ? TIP_FILE_UPPER
		: layer == LAYER_LOWER ? TIP_FILE_LOWER
				       : 0);
}

/* Is this an open that a rule ends? What cannot be judged has happened already. */
static __always_inline bool open_judge(const struct tip_settings *st, const struct tip_who *who,
				       struct file *file, __u32 oflags, struct tip_verdict *v)
{
	struct tip_judgement j;
	struct tip_actor actor;
	struct tip_file f;

	if (!open_begin(&j, st, file, oflags))
		return false;
	actor_of(&actor, who);
	file_of(&f, file);
	return judge_file(&j, &f, &actor, false, v) == 1;
}

static __always_inline bool open_wanted(const struct tip_settings *st)
{
	return st->event_mask & (1ull << TIP_EV_OPEN);
}

/* Decides whether s->opened, with its arguments in the record, is to be told. */
static __always_inline bool open_filter(struct tip_scratch *s, const struct tip_settings *st)
{
	struct tip_opened *o = &s->opened;

	o->named = 0;
	o->wanted = open_wanted(st) &&
		    (!st->filter_generation || tip_filter_open(s->set, st->filter_generation));
	return o->wanted;
}

static __always_inline bool open_judged(const struct tip_settings *st, __s64 ret)
{
	return !tip_lsm && st->enforce && st->rule_count && ret >= 0;
}

/* Ends the process if a rule says so, where nothing denied the open before it was done. */
static __always_inline void open_enforce(struct tip_scratch *s, const struct tip_settings *st,
					 const struct tip_who *who)
{
	const struct tip_open_rec *rec = (void *)s->rec;
	struct tip_opened *o = &s->opened;
	struct file *file = (void *)o->file;
	struct tip_verdict verdict = {};

	o->killed = 0;
	if (file && open_judged(st, o->ret) &&
	    open_judge(st, who, file, rec->ev.oflags, &verdict)) {
		bpf_send_signal(SIGKILL);
		count(TIP_CTR_KILLS);
		o->killed = 1;
	}
	o->rule = verdict.rule;
}

/*
 * Tells of an open: s->opened, and the arguments that are in the record already (syscall, dirfd,
 * oflags, mode, resolve).
 */
static __always_inline void open_tell(struct tip_scratch *s, const struct tip_settings *st,
				      const struct tip_who *who, struct task_struct *task)
{
	struct tip_open_rec *rec = (void *)s->rec;
	struct tip_opened *o = &s->opened;
	struct file *file = (void *)o->file;

	if (!o->killed && !o->wanted) {
		count(open_wanted(st) ? TIP_CTR_PREFILTERED : TIP_CTR_FILTERED);
		return;
	}

	hdr_fill(&rec->hdr, TIP_EV_OPEN, 0, who, task, o->ret);
	rec->hdr.flags = o->flags | (o->killed ? TIP_EVF_KILLED : 0);
	rec->ev.rule = o->rule;
	rec->ev.ino = 0;
	rec->ev.dev = 0;
	rec->ev.file_mode = 0;
	rec->ev.file_flags = 0;
	rec->ev.host_len = 0;
	__builtin_memset(rec->ev.zero, 0, sizeof(rec->ev.zero));
	if (file) {
		struct inode *inode = BPF_CORE_READ(file, f_inode);

		rec->ev.ino = BPF_CORE_READ(inode, i_ino);
		rec->ev.dev = inode_dev(inode);
		rec->ev.file_mode = BPF_CORE_READ(inode, i_mode);
		rec->ev.file_flags = file_flags(file, inode);
	}
	if (!o->named)
		open_name(s);
	rec->ev.base_len = o->name ? open_base(s, task, rec->ev.dirfd,
					       s->rec[sizeof(struct tip_open_rec)] == '/')
				   : text_none(s);
	/* A handle is no name: what it opened is all there is to be shown. */
	if (o->file && (o->killed || (st->wants & TIP_WANT_REAL_PATH) ||
			rec->ev.syscall == TIP_OPEN_BY_HANDLE))
		rec->ev.real_len = text_file(s, (void *)o->file);
	else
		rec->ev.real_len = text_none(s);
	if (o->file && (st->wants & TIP_WANT_HOST_PATH))
		rec->ev.host_len =
			tip_text_host(s, (unsigned long)BPF_CORE_READ(file, f_path.dentry));
	activity_send(s, &rec->hdr);
}

#endif
