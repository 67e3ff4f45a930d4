/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * connect, bind, listen and accept, sensed in the kernel's own functions. The socket and the
 * address are those that the kernel used, whatever another thread puts into the memory or at the
 * number.
 *
 *   io_connect, ...                  begin, where it is io_uring
 *     security_socket_connect, ...   socket and address, before a cgroup hook can rewrite it
 *   __sys_connect, io_connect, ...   the result: told here
 *
 *   __sys_accept4, io_accept         begin
 *     get_unused_fd_flags            the number: kernel_open.bpf.c
 *     do_accept                      the new socket: told here
 */
#include "sensor/acting.h"
#include "sensor/socket.h"

/* The socket that this thread has at a number now. */
static __always_inline struct socket *fd_socket(__s32 fd)
{
	return file_socket(task_file(bpf_get_current_task_btf(), fd));
}

/* ---- begin ---- */

static __always_inline void uring_begin(enum tip_act act, struct io_kiocb *req, __u32 issue)
{
	struct tip_acting *a = act_begin(act);

	if (a)
		act_uring(a, req, issue);
}

SEC("fentry/io_connect")
int BPF_PROG(tip_uring_connect_enter, struct io_kiocb *req, unsigned int issue)
{
	struct tip_acting *a = act_begin(TIP_ACT_SOCKET);
	struct io_connect *connect = (void *)req;
	void *data = BPF_CORE_READ(req, async_data);
	__u32 len;

	if (!a)
		return 0;
	act_uring(a, req, issue);
	len = BPF_CORE_READ(connect, addr_len);
	/*
	 * For when the result of a connection under way is asked for without connecting again.
	 * Where the kernel keeps its copy differs from 6.10 on, by more than its types tell.
	 */
	if (bpf_core_type_exists(struct io_async_connect)) {
		if (!data)
			return 0;
		bpf_probe_read_kernel(
			&a->addr, sizeof(a->addr),
			data + bpf_core_field_offset(struct io_async_connect, address));
	} else {
		__builtin_memset(&a->addr, 0, sizeof(a->addr));
		user_addr(&a->addr, BPF_CORE_READ(connect, addr), len);
	}
	a->addr_len = len;
	return 0;
}

SEC("fentry/io_bind")
int BPF_PROG(tip_uring_bind_enter, struct io_kiocb *req, unsigned int issue)
{
	uring_begin(TIP_ACT_SOCKET, req, issue);
	return 0;
}

SEC("fentry/io_listen")
int BPF_PROG(tip_uring_listen_enter, struct io_kiocb *req, unsigned int issue)
{
	uring_begin(TIP_ACT_SOCKET, req, issue);
	return 0;
}

/* ---- the socket and the address ---- */

static __always_inline void note(struct socket *sock, const void *addr, int len)
{
	struct tip_acting *a = act_find(TIP_ACT_SOCKET);
	__s32 fd;

	if (!a || !a->uring)
		a = act_begin(TIP_ACT_SOCKET);
	if (!a)
		return;
	fd = a->ev.fd;
	__builtin_memset(&a->ev, 0, sizeof(a->ev));
	a->ev.fd = fd;
	a->sock = (unsigned long)sock;
	sock_fill(&a->ev, BPF_CORE_READ(sock, sk));
	__builtin_memset(&a->addr, 0, sizeof(a->addr));
	a->addr_len = 0;
	if (!addr || len < 0)
		return;
	if (len > sizeof(a->addr))
		len = sizeof(a->addr);
	a->addr_len = len;
	opaque(len);
	if (len <= sizeof(a->addr))
		bpf_probe_read_kernel(&a->addr, len, addr);
}

SEC("fentry/security_socket_connect")
int BPF_PROG(tip_connect_socket, struct socket *sock, void *addr, int len)
{
	note(sock, addr, len);
	return 0;
}

SEC("fentry/security_socket_bind")
int BPF_PROG(tip_bind_socket, struct socket *sock, void *addr, int len)
{
	note(sock, addr, len);
	return 0;
}

SEC("fentry/security_socket_listen")
int BPF_PROG(tip_listen_socket, struct socket *sock, int backlog)
{
	note(sock, NULL, 0);
	return 0;
}

/* ---- the result ---- */

/* How a connect, bind or listen ended. */
struct tip_sock_end {
	enum tip_event_type type;
	__s64 ret;
	__s32 fd; /* -1: io_uring's own table */
	__u32 backlog;
	struct socket *sock; /* that is there now */
	const void *uaddr;   /* what a system call was given */
	int ulen;
};

static __always_inline void sock_tell(struct tip_acting *a, const struct tip_settings *st,
				      const struct tip_sock_end *e)
{
	struct task_struct *task = bpf_get_current_task_btf();
	bool came = a && a->sock; /* as far as to the socket */
	struct socket *sock = e->sock;
	bool same = !came || (unsigned long)sock == a->sock;
	struct tip_sock_rec *rec;
	struct tip_scratch *s;
	struct tip_who who;
	struct tip_call c;
	union tip_sockaddr sa = {};
	struct sock *sk = NULL;
	__u32 len = e->ulen;

	if (!sock_wanted(task, e->type, st, &who))
		return;
	s = scratch_take();
	if (!s) {
		count(TIP_CTR_ACTIVITY_DROPPED);
		return;
	}
	rec = sock_begin(s, task, e->type, &who, e->ret);
	if (a && a->uring) {
		rec->hdr.flags = e->fd < 0 ? TIP_EVF_DIRECT : 0;
	} else {
		call_now(&c, e->ret);
		rec->hdr.flags = call_flags(&c);
	}
	if (came)
		__builtin_memcpy(&rec->ev, &a->ev, sizeof(rec->ev));
	/* A number that was given to another socket meanwhile says nothing about this one. */
	if (same && sock)
		sk = BPF_CORE_READ(sock, sk);
	sock_fill(&rec->ev, sk);
	rec->ev.fd = e->fd;
	rec->ev.backlog = e->backlog;
	if (a && (came || a->addr.family)) {
		sa = a->addr;
		len = a->addr_len;
	} else if (e->uaddr) {
		user_addr(&sa, e->uaddr, len);
	}
	if (e->type == TIP_EV_LISTEN) {
		rec->ev.path_len = rec->ev.family == AF_UNIX ? text_sk_path(s, sk) : text_none(s);
	} else {
		/* The socket forgets where it wanted to go when that fails. */
		if ((e->ret && !(e->type == TIP_EV_CONNECT && e->ret == -EINPROGRESS)) || !same)
			addr_fill(&rec->ev, &sa, e->type == TIP_EV_CONNECT);
		rec->ev.path_len = text_addr_path(s, &sa, len);
	}
	sock_send(s, st, rec);
	scratch_give(s);
}

SEC("fexit/__sys_connect")
int BPF_PROG(tip_connect_exit, int fd, void *addr, int len, int ret)
{
	const struct tip_settings *st = active_settings();
	struct tip_acting *a = act_find(TIP_ACT_SOCKET);
	struct tip_sock_end e = {
		.type = TIP_EV_CONNECT, .ret = ret, .fd = fd, .uaddr = addr, .ulen = len};
	struct socket *sock;
	struct sock *sk;

	act_end(a);
	if (!st)
		return 0;
	sock = fd_socket(fd);
	e.sock = sock;
	sk = sock ? BPF_CORE_READ(sock, sk) : NULL;
	if (!ret && a && a->sock == (unsigned long)sock && sk_is_stream_client(sk))
		peer_record(bpf_get_current_task_btf(), sk, st);
	sock_tell(a, st, &e);
	return 0;
}

SEC("fexit/__sys_bind")
int BPF_PROG(tip_bind_exit, int fd, void *addr, int len, int ret)
{
	const struct tip_settings *st = active_settings();
	struct tip_acting *a = act_find(TIP_ACT_SOCKET);
	struct tip_sock_end e = {
		.type = TIP_EV_BIND, .ret = ret, .fd = fd, .uaddr = addr, .ulen = len};

	act_end(a);
	if (!st)
		return 0;
	e.sock = fd_socket(fd);
	sock_tell(a, st, &e);
	return 0;
}

SEC("fexit/__sys_listen")
int BPF_PROG(tip_listen_exit, int fd, int backlog, int ret)
{
	const struct tip_settings *st = active_settings();
	struct tip_acting *a = act_find(TIP_ACT_SOCKET);
	struct tip_sock_end e = {.type = TIP_EV_LISTEN, .ret = ret, .fd = fd, .backlog = backlog};

	act_end(a);
	if (!st)
		return 0;
	e.sock = fd_socket(fd);
	sock_tell(a, st, &e);
	return 0;
}

/* A request that is done: `ret` 0. Otherwise it is tried again. */
static __always_inline void uring_end(enum tip_event_type type, struct io_kiocb *req, int ret,
				      __u32 backlog)
{
	const struct tip_settings *st = active_settings();
	struct tip_acting *a = act_find(TIP_ACT_SOCKET);
	struct tip_sock_end e = {.type = type, .backlog = backlog};

	act_end(a);
	if (!a || !st || ret)
		return;
	e.ret = BPF_CORE_READ(req, cqe.res);
	e.fd = a->ev.fd;
	e.sock = file_socket(BPF_CORE_READ(req, file));
	sock_tell(a, st, &e);
}

SEC("fexit/io_connect")
int BPF_PROG(tip_uring_connect_exit, struct io_kiocb *req, unsigned int issue, int ret)
{
	uring_end(TIP_EV_CONNECT, req, ret, 0);
	return 0;
}

SEC("fexit/io_bind")
int BPF_PROG(tip_uring_bind_exit, struct io_kiocb *req, unsigned int issue, int ret)
{
	uring_end(TIP_EV_BIND, req, ret, 0);
	return 0;
}

SEC("fexit/io_listen")
int BPF_PROG(tip_uring_listen_exit, struct io_kiocb *req, unsigned int issue, int ret)
{
	struct io_listen *listen = (void *)req;

	uring_end(TIP_EV_LISTEN, req, ret, BPF_CORE_READ(listen, backlog));
	return 0;
}

/* ---- accept ---- */

SEC("fentry/__sys_accept4")
int BPF_PROG(tip_accept_enter, int fd, void *addr, int *len, int flags)
{
	struct tip_acting *a = act_begin(TIP_ACT_ACCEPT);

	if (a)
		a->ev.fd = fd;
	return 0;
}

SEC("fentry/io_accept")
int BPF_PROG(tip_uring_accept_enter, struct io_kiocb *req, unsigned int issue)
{
	uring_begin(TIP_ACT_ACCEPT, req, issue);
	return 0;
}

/* Tells of a new socket, or of the listener that gave none. */
static __always_inline void accept_tell(struct tip_acting *a, const struct tip_settings *st,
					struct socket *sock, __s32 fd, __s64 ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sock *sk = sock ? BPF_CORE_READ(sock, sk) : NULL;
	struct tip_sock_rec *rec;
	struct tip_scratch *s;
	struct tip_who who;
	struct tip_call c;

	if (!sock_wanted(task, TIP_EV_ACCEPT, st, &who))
		return;
	s = scratch_take();
	if (!s) {
		count(TIP_CTR_ACTIVITY_DROPPED);
		return;
	}
	rec = sock_begin(s, task, TIP_EV_ACCEPT, &who, ret);
	if (a->uring) {
		rec->hdr.flags = fd < 0 ? TIP_EVF_DIRECT : 0;
	} else {
		call_now(&c, ret);
		rec->hdr.flags = call_flags(&c);
	}
	sock_fill(&rec->ev, sk);
	rec->ev.fd = fd;
	rec->ev.path_len = rec->ev.family == AF_UNIX ? text_sk_path(s, sk) : text_none(s);
	sock_send(s, st, rec);
	scratch_give(s);
}

/* The second argument is another one since 6.10; nobody needs it. */
SEC("fexit/do_accept")
int BPF_PROG(tip_accept_file, struct file *listener, void *arg, void *addr, void *len, int flags,
	     struct file *file)
{
	const struct tip_settings *st = active_settings();
	struct tip_acting *a = act_find(TIP_ACT_ACCEPT);
	__s64 err = ptr_err(file);
	struct socket *sock;

	if (!a || !st || act_repeated(a, err))
		return 0;
	a->told = true;
	sock = file_socket(err ? listener : file);
	if (!err && !a->uring && sock)
		accept_record(bpf_get_current_task_btf(), BPF_CORE_READ(sock, sk), a->fd, st);
	accept_tell(a, st, sock, err ? a->ev.fd : a->fd, err ?: (a->fd < 0 ? 0 : a->fd));
	return 0;
}

SEC("fexit/__sys_accept4")
int BPF_PROG(tip_accept_exit, int fd, void *addr, int *len, int flags, int ret)
{
	const struct tip_settings *st = active_settings();
	struct tip_acting *a = act_find(TIP_ACT_ACCEPT);

	if (act_end(a) && st)
		accept_tell(a, st, fd_socket(fd), fd, ret);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
