/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a ring of io_uring is asked to do, told when it is asked. By then the kernel has made the
 * request its own, names included, and the caller or the thread that polls the ring runs this: it
 * is the act of its process, whoever does it later. How it ends is seen nowhere: the tracepoint of
 * completions is passed by with IOSQE_CQE_SKIP_SUCCESS and where the ring is full, and the name is
 * gone by then. So it is told as if it succeeded (TIP_EVF_ASKED).
 */
#include "sensor/acting.h"
#include "sensor/open.h"
#include "sensor/other.h"

#define URING_OPS            64
#define SPLICE_F_FD_IN_FIXED (1u << 31)

/* Where a request keeps its arguments. */
enum tip_asked {
	ASKED_NONE,
	ASKED_OPEN,
	ASKED_CONNECT,
	ASKED_LISTEN,
	ASKED_UNLINK,
	ASKED_MKDIR,
	ASKED_RENAME,
	ASKED_LINK,
	ASKED_SYMLINK,
	ASKED_IO,  /* a buffer */
	ASKED_IOV, /* pieces */
	ASKED_MSG,
	ASKED_RECV,
	ASKED_SEND,
	ASKED_CLOSE,
	ASKED_SOCKET,
	ASKED_SPLICE,
	ASKED_SHUTDOWN,
	ASKED_TRUNCATE,
};

/* By IORING_OP_*: what it is, and the system call that does the same. */
static const struct {
	__u16 nr;
	__u16 how;
} asked[URING_OPS] = {
	[1] = {19, ASKED_IOV},       [2] = {20, ASKED_IOV},       [4] = {0, ASKED_IO},
	[5] = {1, ASKED_IO},         [9] = {46, ASKED_MSG},       [10] = {47, ASKED_MSG},
	[16] = {42, ASKED_CONNECT},  [18] = {257, ASKED_OPEN},    [19] = {3, ASKED_CLOSE},
	[22] = {0, ASKED_IO},        [23] = {1, ASKED_IO},        [26] = {44, ASKED_SEND},
	[27] = {45, ASKED_RECV},     [28] = {437, ASKED_OPEN},    [30] = {275, ASKED_SPLICE},
	[34] = {48, ASKED_SHUTDOWN}, [35] = {316, ASKED_RENAME},  [36] = {263, ASKED_UNLINK},
	[37] = {258, ASKED_MKDIR},   [38] = {266, ASKED_SYMLINK}, [39] = {265, ASKED_LINK},
	[45] = {41, ASKED_SOCKET},   [47] = {44, ASKED_SEND},     [48] = {46, ASKED_MSG},
	[49] = {0, ASKED_IO},        [55] = {77, ASKED_TRUNCATE}, [57] = {50, ASKED_LISTEN},
	[60] = {19, ASKED_IOV},      [61] = {20, ASKED_IOV},
};

/* Where the kernel's copy of a path stands in the request: a plain pointer before Linux 7.0. */
#define NAME_AT(type, name)                                                                        \
	(bpf_core_field_exists(((struct type##___v70 *)NULL)->name)                                \
		 ? bpf_core_field_offset(struct type##___v70, name)                                \
		 : bpf_core_field_offset(struct type, name))

/* The text of that copy, 0: there is none. */
static __always_inline __u64 asked_name(struct io_kiocb *req, __u32 at)
{
	struct filename *name = NULL;

	bpf_probe_read_kernel(&name, sizeof(name), (void *)req + at);
	return name ? (__u64)BPF_CORE_READ(name, name) : 0;
}

/* The number that the request was given, -1: that of the ring's own table. */
static __always_inline __s32 asked_fd(struct io_kiocb *req)
{
	__u32 flags = 0;

	bpf_core_read(&flags, sizeof(flags), &req->flags);
	return flags & REQ_F_FIXED_FILE ? -1 : BPF_CORE_READ(req, cqe.fd);
}

/* Where datagrams are to go, if that is said with them. */
static __always_inline void asked_to(struct io_kiocb *req, struct tip_called *d)
{
	struct io_async_msghdr *data = BPF_CORE_READ(req, async_data);
	struct io_sr_msg___addr *msg = (void *)req;

	if (bpf_core_field_exists(msg->addr)) {
		d->args[4] = (__u64)BPF_CORE_READ(msg, addr);
		d->args[5] = BPF_CORE_READ(msg, addr_len);
	} else if (data) {
		d->args[4] = (__u64)BPF_CORE_READ(data, msg.msg_name);
		d->args[5] = BPF_CORE_READ(data, msg.msg_namelen);
		d->in_kernel = 1u << 4;
	}
}

/*
 * How much is asked for, at least one: of a buffer that the ring chooses the length is not known,
 * and rules ask whether something was read.
 */
static __always_inline __s64 asked_size(const struct tip_call *c, __u32 how, const __u64 *a)
{
	struct tip_given g = {.size = (__u32)a[2]};

	if (how == ASKED_MSG)
		iovec_read(msghdr_read(a[1], other_narrow(c), &g), other_narrow(c), &g);
	else if (how == ASKED_IOV)
		iovec_read(a[1], other_narrow(c), &g);
	return g.size ?: 1;
}

/* Arguments in the order of the system call; marks those that are the kernel's own memory. */
static __always_inline void asked_args(struct io_kiocb *req, const struct tip_call *c, __u32 how,
				       struct tip_called *d)
{
	__u64 *a = d->args;

	__builtin_memset(d, 0, sizeof(*d));
	a[0] = asked_fd(req);
	switch (how) {
	case ASKED_UNLINK:
		a[0] = BPF_CORE_READ((struct io_unlink *)req, dfd);
		a[1] = asked_name(req, NAME_AT(io_unlink, filename));
		a[2] = BPF_CORE_READ((struct io_unlink *)req, flags);
		d->in_kernel = 1u << 1;
		break;
	case ASKED_MKDIR:
		a[0] = BPF_CORE_READ((struct io_mkdir *)req, dfd);
		a[1] = asked_name(req, NAME_AT(io_mkdir, filename));
		a[2] = BPF_CORE_READ((struct io_mkdir *)req, mode);
		d->in_kernel = 1u << 1;
		break;
	case ASKED_RENAME:
		a[0] = BPF_CORE_READ((struct io_rename *)req, old_dfd);
		a[1] = asked_name(req, NAME_AT(io_rename, oldpath));
		a[2] = BPF_CORE_READ((struct io_rename *)req, new_dfd);
		a[3] = asked_name(req, NAME_AT(io_rename, newpath));
		a[4] = BPF_CORE_READ((struct io_rename *)req, flags);
		d->in_kernel = 1u << 1 | 1u << 3;
		break;
	case ASKED_LINK:
		a[0] = BPF_CORE_READ((struct io_link *)req, old_dfd);
		a[1] = asked_name(req, NAME_AT(io_link, oldpath));
		a[2] = BPF_CORE_READ((struct io_link *)req, new_dfd);
		a[3] = asked_name(req, NAME_AT(io_link, newpath));
		a[4] = BPF_CORE_READ((struct io_link *)req, flags);
		d->in_kernel = 1u << 1 | 1u << 3;
		break;
	case ASKED_SYMLINK:
		a[0] = asked_name(req, NAME_AT(io_link, oldpath));
		a[1] = BPF_CORE_READ((struct io_link *)req, new_dfd);
		a[2] = asked_name(req, NAME_AT(io_link, newpath));
		d->in_kernel = 1u << 0 | 1u << 2;
		break;
	case ASKED_IO:
	case ASKED_IOV:
		a[1] = BPF_CORE_READ((struct io_rw *)req, addr);
		a[2] = BPF_CORE_READ((struct io_rw *)req, len);
		break;
	case ASKED_MSG:
		a[1] = (__u64)BPF_CORE_READ((struct io_sr_msg *)req, buf);
		a[2] = BPF_CORE_READ((struct io_sr_msg *)req, msg_flags);
		break;
	case ASKED_RECV:
	case ASKED_SEND:
		a[1] = (__u64)BPF_CORE_READ((struct io_sr_msg *)req, buf);
		a[2] = (__u32)BPF_CORE_READ((struct io_sr_msg *)req, len);
		a[3] = BPF_CORE_READ((struct io_sr_msg *)req, msg_flags);
		if (how == ASKED_SEND)
			asked_to(req, d);
		break;
	case ASKED_CLOSE:
		a[0] = BPF_CORE_READ((struct io_close *)req, fd);
		if (BPF_CORE_READ((struct io_close *)req, file_slot))
			a[0] = -1;
		break;
	case ASKED_SOCKET:
		a[0] = BPF_CORE_READ((struct io_socket *)req, domain);
		a[1] = BPF_CORE_READ((struct io_socket *)req, type);
		a[2] = BPF_CORE_READ((struct io_socket *)req, protocol);
		break;
	case ASKED_SPLICE:
		a[2] = a[0];
		a[0] = BPF_CORE_READ((struct io_splice *)req, splice_fd_in);
		if (BPF_CORE_READ((struct io_splice *)req, flags) & SPLICE_F_FD_IN_FIXED)
			a[0] = -1;
		a[4] = BPF_CORE_READ((struct io_splice *)req, len);
		break;
	case ASKED_SHUTDOWN: a[1] = BPF_CORE_READ((struct io_shutdown *)req, how); break;
	case ASKED_TRUNCATE: /* since 6.9 */
		if (bpf_core_type_exists(struct io_ftrunc))
			a[1] = BPF_CORE_READ((struct io_ftrunc *)req, len);
		break;
	default: break;
	}
	if (how >= ASKED_IO && how <= ASKED_SEND)
		d->ret = asked_size(c, how, a);
}

static __always_inline void asked_call(struct io_kiocb *req, const struct tip_settings *st,
				       struct tip_scratch *s, __u32 nr, __u32 how)
{
	struct tip_who who;
	struct tip_call c;

	if (!call_wanted(st, nr))
		return;
	call_now(&c, 0);
	c.nr = nr;
	c.args_at = 0;
	asked_args(req, &c, how, &s->called);
	s->called.call = nr;
	c.ret = s->called.ret;
	if (other_needless(st, s))
		return;
	who_find(&who, c.task);
	if (who_acts_in_scope(&who))
		other_tell(&c, st, s, &who, true);
	else
		count(TIP_CTR_FILTERED);
}

static __always_inline void asked_open(struct io_kiocb *req, const struct tip_settings *st,
				       struct tip_scratch *s, __u32 nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct io_open *open = (void *)req;
	struct tip_open_rec *rec = (void *)s->rec;
	struct tip_opened *o = &s->opened;
	struct open_how how = {};
	struct tip_who who;

	if (!open_wanted(st)) {
		count(TIP_CTR_FILTERED);
		return;
	}
	bpf_core_read(&how, sizeof(how), &open->how);
	rec->ev.syscall = nr == NR_OPENAT ? TIP_OPEN_OPENAT : TIP_OPEN_OPENAT2;
	rec->ev.dirfd = BPF_CORE_READ(open, dfd);
	rec->ev.oflags = how.flags;
	rec->ev.mode = how.mode;
	rec->ev.resolve = how.resolve;
	__builtin_memset(o, 0, sizeof(*o));
	o->name = asked_name(req, NAME_AT(io_open, filename));
	o->flags = TIP_EVF_ASKED;
	if (!open_filter(s, st)) {
		count(TIP_CTR_PREFILTERED);
		return;
	}
	who_find(&who, task);
	if (who_acts_in_scope(&who))
		open_tell(s, st, &who, task);
	else
		count(TIP_CTR_FILTERED);
}

static __always_inline void asked_socket(struct io_kiocb *req, const struct tip_settings *st,
					 struct tip_scratch *s, __u32 how)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const enum tip_event_type type = how == ASKED_CONNECT ? TIP_EV_CONNECT : TIP_EV_LISTEN;
	union tip_sockaddr sa = {};
	struct tip_sock_rec *rec;
	struct socket *sock;
	struct sock *sk = NULL;
	struct tip_who who;
	__u32 len = 0;
	__s32 fd;

	if (!sock_wanted(task, type, st, &who))
		return;
	fd = asked_fd(req);
	sock = file_socket(task_file(task, fd));
	if (sock)
		sk = BPF_CORE_READ(sock, sk);
	rec = sock_begin(s, task, type, &who, how == ASKED_CONNECT ? -EINPROGRESS : 0);
	rec->hdr.flags = TIP_EVF_ASKED | (fd < 0 ? TIP_EVF_DIRECT : 0);
	sock_fill(&rec->ev, sk);
	rec->ev.fd = fd;
	if (how == ASKED_LISTEN) {
		if (bpf_core_type_exists(struct io_listen))
			rec->ev.backlog = BPF_CORE_READ((struct io_listen *)req, backlog);
		rec->ev.path_len = rec->ev.family == AF_UNIX ? text_sk_path(s, sk) : text_none(s);
	} else {
		/* The kernel has just copied it from there. */
		len = BPF_CORE_READ((struct io_connect *)req, addr_len);
		user_addr(&sa, BPF_CORE_READ((struct io_connect *)req, addr), len);
		addr_fill(&rec->ev, &sa, true);
		rec->ev.path_len = text_addr_path(s, &sa, len);
	}
	sock_send(s, st, rec);
}

/* `all`: also what the programs in the kernel's own functions tell of with its result. */
static __always_inline int asked_tell(struct io_kiocb *req, bool all)
{
	const struct tip_settings *st = active_settings();
	__u32 op = BPF_CORE_READ(req, opcode), nr, how;
	struct tip_scratch *s;

	opaque(op);
	nr = asked[op & (URING_OPS - 1)].nr;
	how = asked[op & (URING_OPS - 1)].how;
	if (!st || op >= URING_OPS || how == ASKED_NONE || (!all && how <= ASKED_LISTEN))
		return 0;
	s = scratch_take();
	if (!s) {
		count(TIP_CTR_ACTIVITY_DROPPED);
		return 0;
	}
	if (how == ASKED_OPEN)
		asked_open(req, st, s, nr);
	else if (how <= ASKED_LISTEN)
		asked_socket(req, st, s, how);
	else
		asked_call(req, st, s, nr, how);
	scratch_give(s);
	return 0;
}

/* Where activity is sensed at the exit of system calls. (io_uring_submit_sqe before 6.4.) */
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(tip_uring_asked, struct io_kiocb *req)
{
	return asked_tell(req, true);
}

/* Where it is sensed in the kernel's own functions. */
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(tip_uring_calls, struct io_kiocb *req)
{
	return asked_tell(req, false);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
