/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * kill, ptrace, mount, modules and executable memory, in the functions of these system calls: who
 * does not call them pays nothing. The tables of 64-bit and of 32-bit calls have a function each.
 */
#include "sensor/acting.h"
#include "sensor/call.h"

/* Tells of s->called, if some rule may match it and it was in scope. */
static __always_inline void tell(struct tip_scratch *s, struct task_struct *task)
{
	const struct tip_settings *st = active_settings();
	struct tip_who who;

	if (st && called_needless(st, s))
		return;
	who_find(&who, task);
	if (who_acts_in_scope(&who))
		called_tell(s, &who, task);
	else
		count(TIP_CTR_FILTERED);
}

/* Begins to tell of the call that this thread is in. NULL: nobody asks for it. */
static __always_inline struct tip_scratch *begin(struct tip_call *c, long ret)
{
	const struct tip_settings *st = active_settings();
	struct tip_scratch *s;

	if (!st)
		return NULL;
	s = scratch_take();
	if (!s) {
		count(TIP_CTR_ACTIVITY_DROPPED);
		return NULL;
	}
	call_now(c, ret);
	if (called_begin(c, st, &s->called))
		return s;
	scratch_give(s);
	return NULL;
}

/* The call has ended. */
static __always_inline int ended(long ret)
{
	struct tip_scratch *s;
	struct tip_call c;

	s = begin(&c, ret);
	if (!s)
		return 0;
	called_args(&c, &s->called);
	called_more(&c, &s->called);
	tell(s, c.task);
	scratch_give(s);
	return 0;
}

/* The call has ended, and what an inner function told is not told again. */
static __always_inline int ended_untold(enum tip_act act, long ret)
{
	struct tip_acting *a = act_find(act);

	return !a || act_end(a) ? ended(ret) : 0;
}

#define ENDED(name, function)                                                                      \
	SEC("fexit/" #function)                                                                    \
	int BPF_PROG(name, struct pt_regs *regs, long ret)                                         \
	{                                                                                          \
		return ended(ret);                                                                 \
	}

ENDED(tip_kill, __x64_sys_kill)
ENDED(tip_kill32, __ia32_sys_kill)
ENDED(tip_tkill, __x64_sys_tkill)
ENDED(tip_tkill32, __ia32_sys_tkill)
ENDED(tip_tgkill, __x64_sys_tgkill)
ENDED(tip_tgkill32, __ia32_sys_tgkill)
ENDED(tip_ptrace, __x64_sys_ptrace)
ENDED(tip_ptrace32, __ia32_compat_sys_ptrace)
ENDED(tip_umount, __x64_sys_umount)
ENDED(tip_umount32, __ia32_sys_umount)
ENDED(tip_oldumount32, __ia32_sys_oldumount)
ENDED(tip_move_mount, __x64_sys_move_mount)
ENDED(tip_move_mount32, __ia32_sys_move_mount)
ENDED(tip_init_module, __x64_sys_init_module)
ENDED(tip_init_module32, __ia32_sys_init_module)
ENDED(tip_finit_module, __x64_sys_finit_module)
ENDED(tip_finit_module32, __ia32_sys_finit_module)

/* ---- executable memory: the file that was mapped, not what stands at that number now ---- */

SEC("fexit/vm_mmap_pgoff")
int BPF_PROG(tip_mmap_file, struct file *file, unsigned long addr, unsigned long len,
	     unsigned long prot, unsigned long flags, unsigned long offset, unsigned long ret)
{
	struct tip_scratch *s;
	struct tip_acting *a;
	struct tip_called *d;
	struct tip_call c;

	if (!(prot & PROT_EXEC))
		return 0;
	s = begin(&c, ret);
	if (!s)
		return 0;
	d = &s->called;
	/* exec maps by this function, too. */
	if (d->call != TIP_CALL_MMAP)
		goto out;
	a = act_begin(TIP_ACT_MMAP);
	if (!a)
		goto out;
	a->told = true;
	d->args[0] = addr;
	d->args[1] = len;
	d->args[2] = prot;
	d->args[3] = flags;
	d->args[4] = call_arg(&c, 4);
	d->args[5] = offset << 12;
	d->file = (unsigned long)file;
	tell(s, c.task);
out:
	scratch_give(s);
	return 0;
}

/* mmap(), mmap2() and the old mmap() meet here: what failed before that. */
SEC("fexit/ksys_mmap_pgoff")
int BPF_PROG(tip_mmap, unsigned long addr, unsigned long len, unsigned long prot,
	     unsigned long flags, unsigned long fd, unsigned long offset, unsigned long ret)
{
	return prot & PROT_EXEC ? ended_untold(TIP_ACT_MMAP, ret) : 0;
}

SEC("fexit/do_mprotect_pkey")
int BPF_PROG(tip_mprotect, unsigned long start, unsigned long len, unsigned long prot, int pkey,
	     int ret)
{
	return prot & PROT_EXEC ? ended(ret) : 0;
}

/* ---- mount: source and type as the kernel copied them ---- */

SEC("fexit/path_mount")
int BPF_PROG(tip_mount_path, const char *source, struct path *target, const char *type,
	     unsigned long flags, void *data, int ret)
{
	struct tip_scratch *s;
	struct tip_acting *a;
	struct tip_called *d;
	struct tip_call c;

	s = begin(&c, ret);
	if (!s)
		return 0;
	d = &s->called;
	if (d->call != TIP_CALL_MOUNT)
		goto out;
	a = act_begin(TIP_ACT_MOUNT);
	if (!a)
		goto out;
	a->told = true;
	called_args(&c, d);
	d->text[0] = (unsigned long)source;
	d->text[1] = d->args[1];
	d->text[2] = (unsigned long)type;
	d->in_kernel = 1u << 0 | 1u << 2;
	tell(s, c.task);
out:
	scratch_give(s);
	return 0;
}

/* What failed before that. */
SEC("fexit/__x64_sys_mount")
int BPF_PROG(tip_mount, struct pt_regs *regs, long ret)
{
	return ended_untold(TIP_ACT_MOUNT, ret);
}

SEC("fexit/__ia32_sys_mount")
int BPF_PROG(tip_mount32, struct pt_regs *regs, long ret)
{
	return ended_untold(TIP_ACT_MOUNT, ret);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
