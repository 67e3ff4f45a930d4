/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Opens, sensed in the kernel's own functions. The name is the copy that the kernel used, not what
 * user memory says afterwards; the file is what was opened, not what stands at that number now; and
 * io_uring comes by here too.
 *
 *   do_sys_openat2, io_openat2   begin
 *     get_unused_fd_flags        the number
 *     do_filp_open               name and file meet: told here
 *   do_sys_openat2, io_openat2   what failed before that: told here
 */
#include "sensor/acting.h"
#include "sensor/open.h"

#define IORING_OP_OPENAT 18
#define RESOLVE_CACHED   0x20

/* Fills in the arguments of an open in io_uring, whose request is the kernel's own memory. */
static __always_inline void uring_args(const struct tip_acting *a, __s32 dfd,
				       struct tip_ev_open *ev)
{
	ev->syscall = a->opcode == IORING_OP_OPENAT ? TIP_OPEN_OPENAT : TIP_OPEN_OPENAT2;
	ev->dirfd = dfd;
	ev->oflags = a->how.flags;
	ev->mode = a->how.mode;
	ev->resolve = a->how.resolve;
}

/* Tells of an open. `name` NULL: the one that the user passed, where there is one. */
static __always_inline void tell(struct tip_acting *a, __s64 ret, struct file *file, __s32 dfd,
				 const char *name)
{
	const struct tip_settings *st = active_settings();
	const void *given;
	struct tip_open_rec *rec;
	struct tip_scratch *s;
	struct tip_who who;
	struct tip_call c;

	a->told = true;
	if (!st)
		return;
	if (!open_wanted(st) && !open_judged(st, ret)) {
		count(TIP_CTR_FILTERED);
		return;
	}
	s = scratch_take();
	if (!s) {
		count(TIP_CTR_ACTIVITY_DROPPED);
		return;
	}
	/* Arguments first: see open.bpf.c. */
	call_now(&c, ret);
	rec = (void *)s->rec;
	s->opened.ret = ret;
	s->opened.file = (unsigned long)file;
	s->opened.name = (unsigned long)name;
	s->opened.name_user = 0;
	s->opened.flags = 0;
	if (a->uring) {
		uring_args(a, dfd, &rec->ev);
		if (ret >= 0 && a->fd < 0) {
			s->opened.flags = TIP_EVF_DIRECT;
			s->opened.ret = 0;
		}
	} else {
		given = open_args(&c, a->has_how ? &a->how : NULL, &rec->ev);
		s->opened.flags = call_flags(&c);
		if (!name) {
			s->opened.name = (unsigned long)given;
			s->opened.name_user = 1;
		}
	}
	s->opened.killed = 0;
	s->opened.rule = 0;
	if (!open_filter(s, st) && !open_judged(st, ret)) {
		count(TIP_CTR_PREFILTERED);
		goto out;
	}
	who_find(&who, c.task);
	if (!who_acts_in_scope(&who)) {
		count(TIP_CTR_FILTERED);
		goto out;
	}
	if (file)
		open_enforce(s, st, &who);
	open_tell(s, st, &who, c.task);
out:
	scratch_give(s);
}

SEC("fentry/do_sys_openat2")
int BPF_PROG(tip_open_enter, int dfd, const char *name, struct open_how *how)
{
	struct tip_acting *a = act_begin(TIP_ACT_OPEN);

	if (!a)
		return 0;
	bpf_probe_read_kernel(&a->how, sizeof(a->how), how);
	a->has_how = true;
	return 0;
}

SEC("fentry/io_openat2")
int BPF_PROG(tip_uring_open_enter, struct io_kiocb *req, unsigned int issue)
{
	struct tip_acting *a = act_begin(TIP_ACT_OPEN);
	struct io_open *open = (void *)req;

	if (!a)
		return 0;
	act_uring(a, req, issue);
	bpf_core_read(&a->how, sizeof(a->how), &open->how);
	return 0;
}

/*
 * The number is given out before the file is opened, and nobody else gets it meanwhile. A second
 * one is for something that the first needs.
 */
SEC("fexit/get_unused_fd_flags")
int BPF_PROG(tip_fd_reserved, unsigned int flags, int fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_acting *a = bpf_task_storage_get(&acting, task, NULL, 0);

	if (a && a->act && a->fd < 0)
		a->fd = fd;
	return 0;
}

SEC("fexit/__get_unused_fd_flags")
int BPF_PROG(tip_uring_fd_reserved, unsigned int flags, unsigned long max, int fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_acting *a = bpf_task_storage_get(&acting, task, NULL, 0);

	if (a && a->act && a->fd < 0)
		a->fd = fd;
	return 0;
}

/* do_file_open from 7.0 on: the loader chooses. */
SEC("fexit/do_filp_open")
int BPF_PROG(tip_open_file, int dfd, struct filename *name, void *flags, struct file *file)
{
	struct tip_acting *a = act_find(TIP_ACT_OPEN);
	__s64 err = ptr_err(file);

	/* A second one is the kernel's own, on the way to the first. */
	if (!a || a->told)
		return 0;
	if (act_repeated(a, err) && !(a->how.resolve & RESOLVE_CACHED))
		return 0;
	/* What goes into io_uring's own table has no number, and is no failure. */
	tell(a,
	     err
		     ?: a->uring && a->fd < 0 ? 0
					      : a->fd,
	     err ? NULL : file, dfd, BPF_CORE_READ(name, name));
	return 0;
}

SEC("fexit/do_sys_openat2")
int BPF_PROG(tip_open_exit, int dfd, const char *name, struct open_how *how, long ret)
{
	struct tip_acting *a = act_find(TIP_ACT_OPEN);

	if (act_end(a))
		tell(a, (__s32)ret, NULL, dfd, NULL);
	return 0;
}

SEC("fexit/io_openat2")
int BPF_PROG(tip_uring_open_exit, struct io_kiocb *req, unsigned int issue, int ret)
{
	struct tip_acting *a = act_find(TIP_ACT_OPEN);
	struct io_open *open = (void *)req;

	/* 0: the request has its result. Otherwise it comes again. */
	if (act_end(a) && !ret)
		tell(a, BPF_CORE_READ(req, cqe.res), NULL, BPF_CORE_READ(open, dfd), NULL);
	return 0;
}

SEC("fexit/do_handle_open")
int BPF_PROG(tip_open_handle, int mountfd, void *handle, int flags, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_acting *a = act_begin(TIP_ACT_NONE);

	if (a)
		tell(a, (__s32)ret, ret >= 0 ? task_file(task, ret) : NULL, mountfd, NULL);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
