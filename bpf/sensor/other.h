/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_OTHER_H
#define TIP_BPF_OTHER_H

/*
 * System calls that have no program of their own. What they take is in a table, so that one program
 * tells of all: of those that some rule names.
 */

#include "lib/syscall.h"
#include "sensor/call.h"
#include "sensor/filter.h"
#include "sensor/socket.h"

/* Where the data of a call stands, and the address that it gives. */
struct tip_given {
	__u64 data, size; /* user memory; 0: none */
	__u64 addr;
	__u32 addr_len;
	bool addr_in_kernel;
};

/* An argument as a shape names it. */
static __always_inline __u64 other_arg(const struct tip_called *d, __u8 which)
{
	return which ? d->args[(which - 1) & 7] : 0;
}

/* Has the caller pointers of 32 bits in its memory? */
static __always_inline bool other_narrow(const struct tip_call *c)
{
	return c->ia32 || (c->regs->orig_ax & X32_BIT);
}

/* send() and recv() of socketcall(): sendto() and recvfrom() without an address. */
static __always_inline bool call_is_short(const struct tip_call *c)
{
	return (__u32)c->regs->bx == 9 || (__u32)c->regs->bx == 10;
}

/* The first piece of an array of iovec. */
static __always_inline void iovec_read(__u64 at, bool narrow, struct tip_given *g)
{
	__u32 small[2] = {};
	__u64 wide[2] = {};

	if (narrow) {
		bpf_probe_read_user(small, sizeof(small), (void *)at);
		g->data = small[0];
		g->size = small[1];
	} else {
		bpf_probe_read_user(wide, sizeof(wide), (void *)at);
		g->data = wide[0];
		g->size = wide[1];
	}
}

/* A msghdr: its address, and where its array of iovec stands. */
static __always_inline __u64 msghdr_read(__u64 at, bool narrow, struct tip_given *g)
{
	struct {
		__u32 name, namelen, iov;
	} small = {};
	struct {
		__u64 name;
		__u32 namelen, zero;
		__u64 iov;
	} wide = {};

	if (narrow) {
		bpf_probe_read_user(&small, sizeof(small), (void *)at);
		g->addr = small.name;
		g->addr_len = small.namelen;
		return small.iov;
	}
	bpf_probe_read_user(&wide, sizeof(wide), (void *)at);
	g->addr = wide.name;
	g->addr_len = wide.namelen;
	return wide.iov;
}

static __always_inline void other_given(const struct tip_call *c, const struct tip_called *d,
					struct tip_shape shape, struct tip_given *g)
{
	__u64 at = other_arg(d, shape.data);

	g->data = g->size = g->addr = 0;
	g->addr_len = 0;
	g->addr_in_kernel = false;
	if (shape.flags & TIP_SHAPE_MSG)
		at = msghdr_read(at, other_narrow(c), g);
	if (shape.flags & (TIP_SHAPE_MSG | TIP_SHAPE_IOV)) {
		iovec_read(at, other_narrow(c), g);
	} else {
		g->data = at;
		g->size = shape.flags & TIP_SHAPE_FIXED ? shape.addr : other_arg(d, shape.data + 1);
		if (shape.flags & TIP_SHAPE_ARRAY)
			g->size *= shape.addr;
	}
	if (shape.flags & TIP_SHAPE_IN) {
		if (d->ret < 0)
			g->size = 0;
		else if (g->size > d->ret && !(shape.flags & TIP_SHAPE_FIXED))
			g->size = d->ret;
	}
	if (!shape.addr || (shape.flags & (TIP_SHAPE_FIXED | TIP_SHAPE_ARRAY)) ||
	    (c->args_at && call_is_short(c)))
		return;
	g->addr = other_arg(d, shape.addr);
	g->addr_len = other_arg(d, shape.addr + 1);
	g->addr_in_kernel = d->in_kernel & 1u << (shape.addr - 1);
	/* What receives is told where to put the length. */
	if (g->addr && (shape.flags & TIP_SHAPE_IN))
		bpf_probe_read_user(&g->addr_len, sizeof(g->addr_len),
				    (void *)other_arg(d, shape.addr + 1));
}

/* The socket, or the file, behind the descriptor; returns its name in the file system. */
static __always_inline __u16 other_file(struct tip_scratch *s, struct file *file,
					const struct tip_given *g)
{
	struct tip_call_rec *rec = (void *)s->rec;
	struct socket *sock = file_socket(file);
	union tip_sockaddr sa = {};
	struct inode *inode;
	struct sock *sk;
	__u32 len;

	if (!file)
		return text_none(s);
	inode = BPF_CORE_READ(file, f_inode);
	rec->ev.ino = BPF_CORE_READ(inode, i_ino);
	rec->ev.dev = inode_dev(inode);
	rec->ev.file_mode = BPF_CORE_READ(inode, i_mode);
	if (!sock) {
		rec->ev.file_kind = tip_file_kind((unsigned long)file);
		return text_file(s, file);
	}
	sk = BPF_CORE_READ(sock, sk);
	sock_fill(&rec->ev.sock, sk);
	rec->ev.sock.fd = rec->ev.fd;
	if (rec->ev.sock.family == AF_UNIX) {
		struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);

		return text_sk_path(s, BPF_CORE_READ((struct unix_sock *)sk, addr) ? sk : peer);
	}
	len = g->addr_len;
	if (g->addr && len) {
		if (len > sizeof(sa))
			len = sizeof(sa);
		opaque(len);
		if (len > sizeof(sa))
			return text_none(s);
		if (g->addr_in_kernel)
			bpf_probe_read_kernel(&sa, len, (void *)g->addr);
		else
			bpf_probe_read_user(&sa, len, (void *)g->addr);
		/* A socket of the one family can send to the other as far as it is mapped. */
		addr_fill(&rec->ev.sock, &sa, true);
	}
	return text_none(s);
}

/* The descriptor that the call is about, -1: none. `asked`: its result is not known. */
static __always_inline void other_fd(struct tip_call_rec *rec, const struct tip_called *d, __u8 fd,
				     bool asked)
{
	rec->ev.fd = -1;
	if (!fd || (asked && fd >= TIP_SHAPE_RESULT))
		return;
	if (fd < TIP_SHAPE_RESULT)
		rec->ev.fd = other_arg(d, fd);
	else if (fd == TIP_SHAPE_RESULT)
		rec->ev.fd = d->ret;
	else if (d->ret >= 0)
		bpf_probe_read_user(&rec->ev.fd, sizeof(rec->ev.fd),
				    (void *)other_arg(d, fd - TIP_SHAPE_PAIR(0)));
}

/* The folder that a path starts from. `dir` is what the shape says. */
static __always_inline __u16 other_base(struct tip_scratch *s, struct task_struct *task, __u8 dir)
{
	__s32 fd = dir ? (__s32)other_arg(&s->called, dir) : AT_FDCWD;

	if (fd == AT_FDCWD)
		return text_cwd(s, task);
	return text_file(s, task_file(task, fd));
}

static __always_inline __u16 other_path(struct tip_scratch *s, __u8 path, bool user)
{
	__u64 at = other_arg(&s->called, path);

	return at ? text_str(s, (void *)at, user) : text_none(s);
}

static __always_inline __u16 other_data(struct tip_scratch *s, const struct tip_settings *st,
					const struct tip_given *g)
{
	__u64 len = g->size < TIP_DATA_MAX ? g->size : TIP_DATA_MAX;

	return (st->wants & TIP_WANT_DATA) && g->data && len ? text_user(s, (void *)g->data, len)
							     : text_none(s);
}

/* Tells of the call that has just ended, or of what io_uring is `asked` to do in its place. */
static __always_inline void other_tell(const struct tip_call *c, const struct tip_settings *st,
				       struct tip_scratch *s, const struct tip_who *who, bool asked)
{
	struct tip_call_rec *rec = (void *)s->rec;
	struct tip_called *d = &s->called;
	struct tip_shape shape;
	struct tip_given given;
	__u32 nr = c->nr, path2;
	int told;

	/* The verifier of 6.1 has forgotten by now that the number was compared. */
	opaque(nr);
	shape = tip_shapes[nr & (TIP_SYSCALLS - 1)];
	__builtin_memset(&rec->ev, 0, sizeof(rec->ev));
	hdr_fill(&rec->hdr, TIP_EV_CALL, 0, who, c->task, c->ret);
	rec->hdr.flags = asked ? TIP_EVF_ASKED : call_flags(c);
	__builtin_memcpy(rec->ev.args, d->args, sizeof(rec->ev.args));
	for (int i = 0; asked && i < ARRAY_SIZE(rec->ev.args); i++)
		if (d->in_kernel & 1u << i)
			rec->ev.args[i] = 0; /* the kernel's addresses stay there */
	rec->ev.call = TIP_CALL_SYSCALL;
	rec->ev.nr = c->nr;
	other_fd(rec, d, shape.fd, asked);
	forget();
	text_begin(s, sizeof(*rec));
	other_given(c, d, shape, &given);
	if (asked && (shape.flags & TIP_SHAPE_IN))
		given.size = 0; /* nothing has come yet */
	rec->ev.text_len[TIP_TEXT_PATH] = other_path(s, shape.path[0], !asked);
	rec->ev.text_len[TIP_TEXT_FILE] = other_file(s, task_file(c->task, rec->ev.fd), &given);
	told = st->filter_generation ? tip_filter_call(s->set, st->filter_generation) : 1;
	path2 = s->text_pos;
	rec->ev.text_len[TIP_TEXT_PATH2] = told ? other_path(s, shape.path[1], !asked) : 0;
	if (told == TIP_FILTER_ASK_SECOND)
		told = tip_filter_second(s->set, path2);
	if (!told) {
		count(TIP_CTR_PREFILTERED);
		return;
	}
	rec->ev.text_len[TIP_TEXT_DATA] = other_data(s, st, &given);
	rec->ev.text_len[TIP_TEXT_BASE] = shape.path[0] && !(shape.flags & TIP_SHAPE_LINK)
						  ? other_base(s, c->task, shape.dir[0])
						  : text_none(s);
	rec->ev.text_len[TIP_TEXT_BASE2] =
		shape.path[1] ? other_base(s, c->task, shape.dir[1]) : text_none(s);
	activity_send(s, &rec->hdr);
}

/* Do the numbers of the call, s->called, say already that no rule matches it? */
static __always_inline bool other_needless(const struct tip_settings *st, struct tip_scratch *s)
{
	if (!st->filter_generation || tip_filter_call_begin(s->set, st->filter_generation))
		return false;
	count(TIP_CTR_PREFILTERED);
	return true;
}

/* The exit of a call. */
static __always_inline int other_exit(struct pt_regs *regs, long ret)
{
	struct tip_scratch *s = scratch_get(TIP_SCRATCH_SYSCALL);
	const struct tip_settings *st = active_settings();
	struct tip_who who;
	struct tip_call c;

	if (!st || !s)
		return 0;
	call_init(&c, regs, ret);
	if (!call_wanted(st, c.nr))
		return 0;
	s->set = TIP_SCRATCH_SYSCALL;
	s->called.call = c.nr;
	s->called.ret = c.ret;
	for (int i = 0; i < 6; i++)
		s->called.args[i] = call_arg(&c, i);
	if (other_needless(st, s))
		return 0;
	who_find(&who, c.task);
	if (!who_acts_in_scope(&who)) {
		count(TIP_CTR_FILTERED);
		return 0;
	}
	other_tell(&c, st, s, &who, false);
	return 0;
}

#endif
