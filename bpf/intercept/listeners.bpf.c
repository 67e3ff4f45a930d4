/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The iterator over all open files: tells every TCP listener that a policy could cover, with a
 * process that holds it. For listeners that were there before the hooks or the policy, and for
 * those whose first owner is gone.
 */
#include "intercept/policy.h"

SEC("iter/task_file")
int tip_listeners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	const struct tip_settings *st = active_settings();
	struct tip_listener_rec rec = {};
	struct socket *socket;
	struct tip_who who;
	struct sock *sk;
	__u16 protocol;

	if (!task || !file || !st)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || sk->__sk_common.skc_state != BPF_TCP_LISTEN)
		return 0;
	protocol = sk->sk_protocol;
	if ((protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP) ||
	    !sk_listens(sk, &rec.key.addr))
		return 0;
	rec.key.port = sk->__sk_common.skc_num;
	if (rec.key.port == st->worker_port || !listener_concerns(st, rec.key.addr, rec.key.port))
		return 0;
	who_find(&who, task);
	if (!who.proc)
		return 0;
	rec.key.netns = sk->__sk_common.skc_net.net->net_cookie;
	rec.by.proc = who.key;
	rec.by.exec_id = who.proc->exec_id;
	rec.by.sk_cookie = bpf_get_socket_cookie(sk);
	rec.group = sk_group(sk);
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
