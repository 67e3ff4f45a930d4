/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_ACTING_H
#define TIP_BPF_ACTING_H

/* Acts that several functions of the kernel know a part of: see `acting` in lib/maps.h. */

#include "lib/syscall.h"

#define IO_URING_F_NONBLOCK 0x80000000u
#define REQ_F_FIXED_FILE    1u

/* Begins an act of this thread. What an earlier one left behind is forgotten. */
static __always_inline struct tip_acting *act_begin(enum tip_act act)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_acting *a =
		bpf_task_storage_get(&acting, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!a) {
		count(TIP_CTR_ACTIVITY_DROPPED); /* no memory: it will not be told */
		return NULL;
	}
	a->act = act;
	a->fd = -1;
	a->sock = 0;
	a->addr_len = 0;
	a->addr.family = 0;
	a->told = false;
	a->has_how = false;
	a->uring = false;
	a->nonblock = false;
	return a;
}

/* What this thread has begun, NULL: nothing of that kind. */
static __always_inline struct tip_acting *act_find(enum tip_act act)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_acting *a = bpf_task_storage_get(&acting, task, NULL, 0);

	return a && a->act == act ? a : NULL;
}

/* Ends the act; false when it was told, or never begun. */
static __always_inline bool act_end(struct tip_acting *a)
{
	bool left = a && !a->told;

	if (a)
		a->act = TIP_ACT_NONE;
	return left;
}

/* The act is a request of io_uring. Which number it was given is known only until it is done. */
static __always_inline void act_uring(struct tip_acting *a, struct io_kiocb *req, __u32 issue)
{
	__u32 flags = 0;

	__builtin_memset(&a->ev, 0, sizeof(a->ev));
	bpf_core_read(&flags, sizeof(flags), &req->flags);
	a->ev.fd = flags & REQ_F_FIXED_FILE ? -1 : BPF_CORE_READ(req, cqe.fd);
	a->uring = true;
	a->nonblock = issue & IO_URING_F_NONBLOCK;
	a->opcode = BPF_CORE_READ(req, opcode);
}

/* A first try that io_uring repeats where it may wait: only what comes of that is told. */
static __always_inline bool act_repeated(const struct tip_acting *a, __s64 ret)
{
	return a->nonblock && ret == -EAGAIN;
}

/* An error where the kernel returns a pointer, 0: it is one. */
static __always_inline __s64 ptr_err(const void *ptr)
{
	__s64 value = (__s64)ptr;

	opaque(value);
	return value < 0 && value >= -4095 ? value : 0;
}

/* The system call that this thread is in. */
static __always_inline void call_now(struct tip_call *c, __s64 ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	call_init(c, regs, ret);
	c->ret = ret;
}

#endif
