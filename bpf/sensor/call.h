/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_CALL_H
#define TIP_BPF_CALL_H

/* kill, ptrace, mount, modules, executable memory: calls whose arguments are nearly all there is to
 * tell. */

#include "lib/syscall.h"
#include "sensor/filter.h"

#define PROT_EXEC     4
#define MAP_ANONYMOUS 0x20

struct tip_call_rec {
	struct tip_hdr hdr;
	struct tip_ev_call ev;
};

/* Which call it is, and what kind of event. */
static __always_inline void called_which(const struct tip_call *c, struct tip_called *d)
{
	switch (c->nr) {
	case NR_KILL:
		d->type = TIP_EV_SIGNAL;
		d->call = TIP_CALL_KILL;
		break;
	case NR_TKILL:
		d->type = TIP_EV_SIGNAL;
		d->call = TIP_CALL_TKILL;
		break;
	case NR_TGKILL:
		d->type = TIP_EV_SIGNAL;
		d->call = TIP_CALL_TGKILL;
		break;
	case NR_PTRACE:
		d->type = TIP_EV_PTRACE;
		d->call = TIP_CALL_PTRACE;
		break;
	case NR_MOUNT:
		d->type = TIP_EV_MOUNT;
		d->call = TIP_CALL_MOUNT;
		break;
	case NR_UMOUNT2:
		d->type = TIP_EV_MOUNT;
		d->call = c->ia32 && (__u32)c->regs->orig_ax == NR32_UMOUNT ? TIP_CALL_UMOUNT
									    : TIP_CALL_UMOUNT2;
		break;
	case NR_MOVE_MOUNT:
		d->type = TIP_EV_MOUNT;
		d->call = TIP_CALL_MOVE_MOUNT;
		break;
	case NR_INIT_MODULE:
		d->type = TIP_EV_MODULE;
		d->call = TIP_CALL_INIT_MODULE;
		break;
	case NR_FINIT_MODULE:
		d->type = TIP_EV_MODULE;
		d->call = TIP_CALL_FINIT_MODULE;
		break;
	case NR_MMAP:
		d->type = TIP_EV_MMAP;
		d->call = TIP_CALL_MMAP;
		break;
	case NR_MPROTECT:
		d->type = TIP_EV_MMAP;
		d->call = TIP_CALL_MPROTECT;
		break;
	case NR_PKEY_MPROTECT:
		d->type = TIP_EV_MMAP;
		d->call = TIP_CALL_PKEY_MPROTECT;
		break;
	default: d->type = 0; break;
	}
}

/* What the arguments point at, and the file. */
static __always_inline void called_more(const struct tip_call *c, struct tip_called *d)
{
	switch (d->call) {
	case TIP_CALL_MOUNT:
		d->text[0] = d->args[0];
		d->text[1] = d->args[1];
		d->text[2] = d->args[2];
		break;
	case TIP_CALL_UMOUNT:
		d->args[1] = 0;
		d->text[0] = d->args[0];
		break;
	case TIP_CALL_UMOUNT2: d->text[0] = d->args[0]; break;
	case TIP_CALL_MOVE_MOUNT:
		d->text[0] = d->args[1];
		d->text[1] = d->args[3];
		break;
	case TIP_CALL_INIT_MODULE: d->text[0] = d->args[2]; break;
	case TIP_CALL_FINIT_MODULE:
		d->text[0] = d->args[1];
		d->file = (unsigned long)task_file(c->task, (__s32)d->args[0]);
		break;
	case TIP_CALL_MMAP:
		if (!(d->args[3] & MAP_ANONYMOUS))
			d->file = (unsigned long)task_file(c->task, (__s32)d->args[4]);
		break;
	default: break;
	}
	forget();
}

/* Begins with the call that has just ended. False: nobody asks for it. */
static __always_inline bool called_begin(const struct tip_call *c, const struct tip_settings *st,
					 struct tip_called *d)
{
	__builtin_memset(d, 0, sizeof(*d));
	called_which(c, d);
	forget(); /* which call it is: the cases of the rest are one from here on */
	if (!(st->event_mask & (1ull << (d->type & 63)))) {
		count(TIP_CTR_FILTERED);
		return false;
	}
	d->ret = c->ret;
	d->flags = call_flags(c);
	return true;
}

/* What the caller gave. */
static __always_inline void called_args(const struct tip_call *c, struct tip_called *d)
{
	for (int i = 0; i < 6; i++)
		d->args[i] = call_arg(c, i);
	if (c->ia32 && d->call == TIP_CALL_MMAP && !c->args_at)
		d->args[5] = (__u64)(__u32)d->args[5] << 12; /* mmap2() counts in pages */
}

static __always_inline __u16 called_text(struct tip_scratch *s, const struct tip_called *d, int i)
{
	return d->text[i] ? text_str(s, (void *)d->text[i], !(d->in_kernel & (1u << i)))
			  : text_none(s);
}

/* Does it say by its numbers already that no rule matches it, s->called? */
static __always_inline bool called_needless(const struct tip_settings *st,
					    const struct tip_scratch *s)
{
	if (!st->filter_generation || tip_filter_called(s->set, st->filter_generation))
		return false;
	count(TIP_CTR_PREFILTERED);
	return true;
}

/* Tells of s->called. */
static __always_inline void called_tell(struct tip_scratch *s, const struct tip_who *who,
					struct task_struct *task)
{
	struct tip_call_rec *rec = (void *)s->rec;
	const struct tip_called *d = &s->called;
	struct file *file = (void *)d->file;

	hdr_fill(&rec->hdr, d->type, 0, who, task, d->ret);
	rec->hdr.flags = d->flags;
	__builtin_memset(&rec->ev, 0, sizeof(rec->ev));
	__builtin_memcpy(rec->ev.args, d->args, sizeof(rec->ev.args));
	rec->ev.call = d->call;
	text_begin(s, sizeof(*rec));
	if (file) {
		struct inode *inode = BPF_CORE_READ(file, f_inode);

		rec->ev.ino = BPF_CORE_READ(inode, i_ino);
		rec->ev.dev = inode_dev(inode);
		rec->ev.file_mode = BPF_CORE_READ(inode, i_mode);
		rec->ev.file_kind = tip_file_kind((unsigned long)file);
	}
	rec->ev.text_len[0] = called_text(s, d, 0);
	rec->ev.text_len[1] = d->file ? text_file(s, (void *)d->file) : called_text(s, d, 1);
	rec->ev.text_len[2] = called_text(s, d, 2);
	for (int i = TIP_TEXT_DATA; i < TIP_CALL_TEXTS; i++)
		rec->ev.text_len[i] = text_none(s);
	activity_send(s, &rec->hdr);
}

#endif
