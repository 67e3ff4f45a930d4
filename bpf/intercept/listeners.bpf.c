/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The iterator over all open files: tells every TCP listener with a process that holds it. For
 * listeners that were there before the hooks, and for those whose first owner is gone.
 */
#include "lib/store.h"

SEC("iter/task_file")
int tip_listeners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tip_listener_rec rec = {};
	struct socket *socket;
	struct tip_who who;
	struct sock *sk;
	__u16 protocol;

	if (!task || !file || !active_settings())
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || sk->__sk_common.skc_state != BPF_TCP_LISTEN)
		return 0;
	protocol = sk->sk_protocol;
	if ((protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP) ||
	    !sk_listens4(sk, &rec.key.addr))
		return 0;
	who_find(&who, task);
	if (!who.proc)
		return 0;
	rec.key.netns = sk->__sk_common.skc_net.net->net_cookie;
	rec.key.port = sk->__sk_common.skc_num;
	rec.by.proc = who.key;
	rec.by.exec_id = who.proc->exec_id;
	rec.by.sk_cookie = bpf_get_socket_cookie(sk);
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
