/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What sockets become. A redirected connect() is entered under its connection to the worker before
 * its SYN leaves, for the source port is known only then; a listener under its address; both go
 * when their socket closes, and so does a leg's entry with the application's end.
 */
#include "intercept/policy.h"
#include "intercept/share.h"

#define REMOTE_PORT(ctx) ((__u16)bpf_ntohl((ctx)->remote_port))

static __always_inline void watch_state(struct bpf_sock_ops *ctx)
{
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/*
 * The connection of a redirected socket; false: it is none, or it was connected anew since.
 * remote_ip4 and local_ip4 are those of the IPv4 connection also where the socket is AF_INET6.
 */
static __always_inline bool redirect_of(struct bpf_sock_ops *ctx, const struct tip_settings *st,
					const struct tip_redirect **to, struct tip_flow_key *k)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk)
		return false;
	*to = bpf_sk_storage_get(&redirected, sk, NULL, 0);
	if (!*to || !is_worker(st, ctx->remote_ip4, REMOTE_PORT(ctx)))
		return false;
	flow_set(k, bpf_get_netns_cookie(ctx), ctx->local_ip4, ctx->local_port, ctx->remote_ip4,
		 REMOTE_PORT(ctx));
	return true;
}

static __always_inline void on_connect(struct bpf_sock_ops *ctx, const struct tip_settings *st)
{
	const struct tip_redirect *to;
	struct tip_redirect copy;
	struct tip_flow_key k;
	long err;

	if (!redirect_of(ctx, st, &to, &k))
		return;
	copy = *to;
	copy.sk_cookie = bpf_get_socket_cookie(ctx);
	err = bpf_map_update_elem(&redirects, &k, &copy, BPF_NOEXIST);
	if (!err)
		redirects_count(k.netns, copy.current, 1);
	else if (err == -EEXIST)
		err = bpf_map_update_elem(&redirects, &k, &copy, BPF_ANY);
	/* Unknown to the keeper, it will be reset. */
	if (err)
		count(TIP_CTR_REDIRECTS_FULL);
	else
		watch_state(ctx);
}

/* Where it listens, as `listeners` has it. False: not for IP. */
static __always_inline bool listener_of(struct bpf_sock_ops *ctx, struct tip_listener_key *k)
{
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tp;
	struct sock *kernel;

	if (!sk)
		return false;
	k->netns = bpf_get_netns_cookie(ctx);
	k->port = ctx->local_port;
	k->zero = 0;
	if (ctx->family == AF_INET) {
		k->addr = ctx->local_ip4;
		return true;
	}
	tp = bpf_skc_to_tcp_sock(sk);
	if (ctx->family != AF_INET6 || !tp)
		return false;
	kernel = (struct sock *)tp;
	return sk_listens(kernel, &k->addr);
}

static __always_inline bool is_alone(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;

	return tp && sk_group((struct sock *)tp) == 1;
}

/* Whoever gets a connection of theirs, it is the same identity. */
static __always_inline bool same_server(const struct tip_listener *there, const struct tip_who *who)
{
	const struct tip_binding *its;

	if (!there || !there->exec_id || !who->proc)
		return false;
	if (there->exec_id == who->proc->exec_id)
		return true;
	its = bpf_map_lookup_elem(&bindings, &there->exec_id);
	return its && its->current >= TIP_ID_FIRST && its->current == who_current(who);
}

/*
 * 0 or an error: -EEXIST where somebody is there. Who has no place is not known: the keeper looks
 * for itself.
 */
static __always_inline long listener_enter(const struct tip_settings *st,
					   const struct tip_listener_key *k,
					   const struct tip_listener *by, __u64 how)
{
	const bool there = bpf_map_lookup_elem(&listeners, k);
	long err;

	if (!there && share_of(TIP_SHARE_LISTENERS, k->netns, 0) >= st->listeners_per_netns) {
		count(TIP_CTR_LISTENERS_FULL);
		return 0;
	}
	err = bpf_map_update_elem(&listeners, k, by, how);
	if (!err && !there)
		share_add(TIP_SHARE_LISTENERS, k->netns, 0, 1);
	return err;
}

static __always_inline void on_listen(struct bpf_sock_ops *ctx, const struct tip_settings *st)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tip_listener_key k;
	struct tip_listener by = {};
	struct tip_who who;
	long err = -EEXIST;

	if (task_is_kernel(task) || !listener_of(ctx, &k) || k.port == st->worker_port)
		return;
	/* Also what no policy covers yet: when one does, the keeper enters it, and its close
	 * counts. */
	watch_state(ctx);
	if (!listener_concerns(st, k.addr, k.port))
		return;
	who_find(&who, task);
	by.proc = who.key;
	by.exec_id = who.proc ? who.proc->exec_id : 0;
	by.sk_cookie = bpf_get_socket_cookie(ctx);
	if (is_alone(ctx))
		err = listener_enter(st, &k, &by, BPF_NOEXIST);
	/*
	 * SO_REUSEPORT: the kernel gives a connection to either. If they are not known to be one
	 * identity, it is served for nobody, until the keeper has looked who is still there.
	 */
	if (err == -EEXIST) {
		if (!same_server(bpf_map_lookup_elem(&listeners, &k), &who))
			by.exec_id = 0;
		listener_enter(st, &k, &by, BPF_ANY);
	}
}

/* The leg whose application's end this socket would be. */
static __always_inline void leg_of(struct bpf_sock_ops *ctx, struct tip_flow_key *k)
{
	/* One after the other: the kernel refuses one load of the two that stand side by side. */
	__u32 remote = ctx->remote_ip4, local;

	barrier_var(remote);
	local = ctx->local_ip4;
	flow_set(k, bpf_get_netns_cookie(ctx), remote, REMOTE_PORT(ctx), local, ctx->local_port);
}

static __always_inline void on_accept(struct bpf_sock_ops *ctx)
{
	struct tip_flow_key k;

	leg_of(ctx, &k);
	if (bpf_map_lookup_elem(&legs, &k))
		watch_state(ctx);
}

static __always_inline void on_close(struct bpf_sock_ops *ctx, const struct tip_settings *st)
{
	const struct tip_listener *by;
	const struct tip_redirect *to;
	struct tip_listener_key lk;
	struct tip_flow_key k;
	__u32 number;

	/* What a listener accepts has its flags, and ends here too. */
	if (ctx->args[0] != BPF_TCP_LISTEN) {
		if (redirect_of(ctx, st, &to, &k)) {
			number = to->current;
			if (!bpf_map_delete_elem(&redirects, &k))
				redirects_count(k.netns, number, -1);
		} else {
			leg_of(ctx, &k);
			bpf_map_delete_elem(&legs, &k);
		}
		return;
	}
	if (!listener_of(ctx, &lk))
		return;
	by = bpf_map_lookup_elem(&listeners, &lk);
	if (by && by->sk_cookie == bpf_get_socket_cookie(ctx) &&
	    !bpf_map_delete_elem(&listeners, &lk))
		share_add(TIP_SHARE_LISTENERS, lk.netns, 0, -1);
}

SEC("sockops")
int tip_sockops(struct bpf_sock_ops *ctx)
{
	const struct tip_settings *st = active_settings();

	if (!st || !st->worker_port)
		return 1;
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB: on_connect(ctx, st); break;
	case BPF_SOCK_OPS_TCP_LISTEN_CB: on_listen(ctx, st); break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB: on_accept(ctx); break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ctx->args[1] == BPF_TCP_CLOSE)
			on_close(ctx, st);
		break;
	default: break;
	}
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
