/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* connect, accept, bind, listen at the exit of the system calls. */
#include "sensor/socket.h"

static __always_inline struct sock *call_sock(const struct tip_call *c, __s64 fd)
{
	struct socket *sock = file_socket(task_file(c->task, (__s32)fd));

	return sock ? BPF_CORE_READ(sock, sk) : NULL;
}

/* Starts a socket event, or returns NULL when nobody wants it. */
static __always_inline struct tip_sock_rec *call_begin(const struct tip_call *c,
						       enum tip_event_type type,
						       const struct tip_settings *st,
						       struct tip_scratch *s)
{
	struct tip_sock_rec *rec;
	struct tip_who who;

	if (!sock_wanted(c->task, type, st, &who))
		return NULL;
	s->set = TIP_SCRATCH_SYSCALL;
	rec = sock_begin(s, c->task, type, &who, c->ret);
	rec->hdr.flags = call_flags(c);
	return rec;
}

/* The address that connect() and bind() were given; returns how much of it there is. */
static __always_inline __u32 call_addr(const struct tip_call *c, union tip_sockaddr *sa)
{
	__u32 len = call_arg(c, 2);

	if (len > sizeof(*sa))
		len = sizeof(*sa);
	opaque(len);
	if (len <= sizeof(*sa))
		bpf_probe_read_user(sa, len, (void *)call_arg(c, 1));
	return len;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_connect, struct pt_regs *regs, long ret)
{
	struct tip_scratch *s = scratch_get(TIP_SCRATCH_SYSCALL);
	const struct tip_settings *st = active_settings();
	union tip_sockaddr sa = {};
	struct tip_sock_rec *rec;
	struct tip_call c;
	struct sock *sk;
	__u32 len;

	if (!st || !s)
		return 0;
	call_init(&c, regs, ret);
	sk = call_sock(&c, call_arg(&c, 0));
	if (!c.ret && sk_is_stream_client(sk))
		peer_record(c.task, sk, st);

	rec = call_begin(&c, TIP_EV_CONNECT, st, s);
	if (!rec)
		return 0;
	rec->ev.fd = call_arg(&c, 0);
	sock_fill(&rec->ev, sk);
	len = call_addr(&c, &sa);
	/* The socket forgets where it wanted to go when that fails. */
	if (c.ret && c.ret != -EINPROGRESS)
		addr_fill(&rec->ev, &sa, true);
	rec->ev.path_len = text_addr_path(s, &sa, len);
	sock_send(s, st, rec);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_accept, struct pt_regs *regs, long ret)
{
	struct tip_scratch *s = scratch_get(TIP_SCRATCH_SYSCALL);
	const struct tip_settings *st = active_settings();
	struct tip_sock_rec *rec;
	struct tip_call c;
	struct sock *sk;

	if (!st || !s)
		return 0;
	call_init(&c, regs, ret);
	/* A failed accept is told about the listener. */
	sk = call_sock(&c, c.ret >= 0 ? c.ret : call_arg(&c, 0));
	if (c.ret >= 0)
		accept_record(c.task, sk, c.ret, st);

	rec = call_begin(&c, TIP_EV_ACCEPT, st, s);
	if (!rec)
		return 0;
	rec->ev.fd = c.ret >= 0 ? c.ret : call_arg(&c, 0);
	sock_fill(&rec->ev, sk);
	rec->ev.path_len = rec->ev.family == AF_UNIX ? text_sk_path(s, sk) : text_none(s);
	sock_send(s, st, rec);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_bind, struct pt_regs *regs, long ret)
{
	struct tip_scratch *s = scratch_get(TIP_SCRATCH_SYSCALL);
	const struct tip_settings *st = active_settings();
	union tip_sockaddr sa = {};
	struct tip_sock_rec *rec;
	struct tip_call c;
	__u32 len;

	if (!st || !s)
		return 0;
	call_init(&c, regs, ret);
	rec = call_begin(&c, TIP_EV_BIND, st, s);
	if (!rec)
		return 0;
	rec->ev.fd = call_arg(&c, 0);
	sock_fill(&rec->ev, call_sock(&c, call_arg(&c, 0)));
	len = call_addr(&c, &sa);
	if (c.ret)
		addr_fill(&rec->ev, &sa, false);
	rec->ev.path_len = text_addr_path(s, &sa, len);
	sock_send(s, st, rec);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(tip_sys_listen, struct pt_regs *regs, long ret)
{
	struct tip_scratch *s = scratch_get(TIP_SCRATCH_SYSCALL);
	const struct tip_settings *st = active_settings();
	struct tip_sock_rec *rec;
	struct tip_call c;
	struct sock *sk;

	if (!st || !s)
		return 0;
	call_init(&c, regs, ret);
	rec = call_begin(&c, TIP_EV_LISTEN, st, s);
	if (!rec)
		return 0;
	sk = call_sock(&c, call_arg(&c, 0));
	rec->ev.fd = call_arg(&c, 0);
	rec->ev.backlog = call_arg(&c, 1);
	sock_fill(&rec->ev, sk);
	rec->ev.path_len = rec->ev.family == AF_UNIX ? text_sk_path(s, sk) : text_none(s);
	sock_send(s, st, rec);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
