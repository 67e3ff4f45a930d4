/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_SYSCALL_H
#define TIP_BPF_SYSCALL_H

/*
 * A system call as it looks at its exit. The kernel has three tables on x86-64; a 32-bit
 * call must never be read with 64-bit numbers or registers:
 *   64-bit  numbers and registers as below
 *   x32     the same, with a bit set in the number
 *   ia32    its own numbers (nr_of() translates them), arguments in bx, cx, dx, si, di, bp
 */

#include "lib/store.h"

#define NR_OPEN              2
#define NR_MMAP              9
#define NR_MPROTECT          10
#define NR_CONNECT           42
#define NR_ACCEPT            43
#define NR_BIND              49
#define NR_LISTEN            50
#define NR_KILL              62
#define NR_CREAT             85
#define NR_PTRACE            101
#define NR_MOUNT             165
#define NR_UMOUNT2           166
#define NR_INIT_MODULE       175
#define NR_TKILL             200
#define NR_TGKILL            234
#define NR_OPENAT            257
#define NR_ACCEPT4           288
#define NR_OPEN_BY_HANDLE_AT 304
#define NR_FINIT_MODULE      313
#define NR_PKEY_MPROTECT     329
#define NR_MOVE_MOUNT        429
#define NR_OPENAT2           437

#define NR32_UMOUNT     22
#define NR32_OLD_MMAP   90
#define NR32_SOCKETCALL 102
#define NR32_MMAP2      192

/* The number in the 64-bit table of a call of any table; TIP_NO_SYSCALL: it is not there. */
static __always_inline __u32 nr_of(const struct task_struct *task, const struct pt_regs *regs)
{
	__u32 nr = regs->orig_ax, which;

	if (!(task->thread_info.status & TS_COMPAT))
		return nr & ~X32_BIT;
	/* The first argument of socketcall() says which call it is. */
	which = nr == NR32_SOCKETCALL ? regs->bx : nr;
	if (which >= (nr == NR32_SOCKETCALL ? TIP_SOCKETCALLS : TIP_SYSCALLS))
		return TIP_NO_SYSCALL;
	opaque(which);
	return nr == NR32_SOCKETCALL ? tip_socketcalls[which & (TIP_SOCKETCALLS - 1)]
				     : tip_ia32[which & (TIP_SYSCALLS - 1)];
}

/*
 * The settings, if some call of this number, in any of the tables, is handled at its exit;
 * otherwise NULL. It comes before anything else is looked at, the task too: nearly every call ends
 * here.
 */
static __always_inline const struct tip_settings *exit_settings(const struct pt_regs *regs)
{
	__u32 zero = 0, nr = regs->orig_ax;
	const struct tip_settings *st = bpf_map_lookup_elem(&settings, &zero);

	return st && st->handlers[nr & (TIP_SYSCALLS - 1)] ? st : NULL;
}

/* Does some rule want to hear of this call, if no other program tells of it? */
static __always_inline bool call_wanted(const struct tip_settings *st, __u32 nr)
{
	__u32 word = nr / 64;

	opaque(word);
	return nr < TIP_SYSCALLS && st->calls[word & (TIP_SYSCALLS / 64 - 1)] >> (nr & 63) & 1;
}

struct tip_call {
	struct task_struct *task;
	struct pt_regs *regs;
	__s64 ret;
	__u32 nr; /* in the 64-bit table */
	bool ia32;
	__u32 args_at; /* ia32: where in user memory the arguments are, 0: in registers */
};

static __always_inline void call_init(struct tip_call *c, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 nr = regs->orig_ax;

	c->task = task;
	c->regs = regs;
	c->ia32 = task->thread_info.status & TS_COMPAT;
	c->nr = nr_of(task, regs);
	c->args_at = 0;
	if (c->ia32 && nr == NR32_SOCKETCALL)
		c->args_at = regs->cx;
	if (c->ia32 && nr == NR32_OLD_MMAP)
		c->args_at = regs->bx;
	c->ret = c->ia32 ? (__s32)ret : ret;
}

/* TIP_EVF_COMPAT if the call did not come through the 64-bit table. */
static __always_inline __u16 call_flags(const struct tip_call *c)
{
	return c->ia32 || (c->regs->orig_ax & X32_BIT) ? TIP_EVF_COMPAT : 0;
}

/* An argument of a call that has them in registers in each table. */
static __always_inline __u64 reg_arg(const struct tip_call *c, int n)
{
	const struct pt_regs *r = c->regs;

	if (c->ia32) {
		switch (n) {
		case 0: return (__u32)r->bx;
		case 1: return (__u32)r->cx;
		case 2: return (__u32)r->dx;
		case 3: return (__u32)r->si;
		case 4: return (__u32)r->di;
		default: return (__u32)r->bp;
		}
	}
	switch (n) {
	case 0: return r->di;
	case 1: return r->si;
	case 2: return r->dx;
	case 3: return r->r10;
	case 4: return r->r8;
	default: return r->r9;
	}
}

/* An argument of a call that can have them in memory too: those on sockets, and mmap(). */
static __always_inline __u64 call_arg(const struct tip_call *c, int n)
{
	__u32 arg = 0;

	if (!c->args_at)
		return reg_arg(c, n);
	bpf_probe_read_user(&arg, sizeof(arg),
			    (void *)(unsigned long)(c->args_at + n * sizeof(arg)));
	return arg;
}

#endif
