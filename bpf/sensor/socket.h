/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_SOCKET_H
#define TIP_BPF_SOCKET_H

/* What both tiers of sensing do about sockets; and who is at the other end of a Workload API
 * connection. */

#include "lib/syscall.h"
#include "lib/identity.h"
#include "intercept/flow.h"
#include "sensor/filter.h"

struct tip_sock_rec {
	struct tip_hdr hdr;
	struct tip_ev_sock ev;
};

/*
 * A redirected connection leads to the worker. Its remote end is what was dialled, as it is for
 * getpeername(); the local one stays what it is, by which the keeper finds the connection.
 */
static __always_inline void sock_dialled(struct tip_ev_sock *ev, struct sock *sk)
{
	__u32 own = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	__u32 peer = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	const struct tip_redirect *to;
	struct tip_flow_key k;

	/* Of a socket for both families these are the IPv4 connection's, too. */
	if (peer != LOOPBACK4)
		return;
	flow_set(&k, ev->netns_cookie, own, ev->lport, peer, ev->rport);
	to = bpf_map_lookup_elem(&redirects, &k);
	if (!to)
		return;
	__builtin_memcpy(ev->raddr + (ev->family == AF_INET ? 0 : 12), &to->daddr, 4);
	ev->rport = to->dport;
}

/* Facts of the socket itself, addresses included. */
static __always_inline void sock_fill(struct tip_ev_sock *ev, struct sock *sk)
{
	struct net *net;

	if (!sk)
		return;
	ev->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	ev->sock_type = BPF_CORE_READ(sk, sk_type);
	ev->protocol = BPF_CORE_READ(sk, sk_protocol);
	ev->sock_ino = sk_ino(sk);
	net = sk_net(sk);
	ev->netns = BPF_CORE_READ(net, ns.inum);
	ev->netns_cookie = BPF_CORE_READ(net, net_cookie);
	if (ev->family == AF_INET) {
		bpf_core_read(ev->laddr, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(ev->raddr, 4, &sk->__sk_common.skc_daddr);
	} else if (ev->family == AF_INET6) {
		bpf_core_read(ev->laddr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(ev->raddr, 16, &sk->__sk_common.skc_v6_daddr);
	} else {
		return;
	}
	ev->lport = BPF_CORE_READ(sk, __sk_common.skc_num);
	ev->rport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	sock_dialled(ev, sk);
}

/* An address that the caller gave, into the remote (connect) or the local end (bind). */
static __always_inline void addr_fill(struct tip_ev_sock *ev, const union tip_sockaddr *sa,
				      bool remote)
{
	__u8 *addr = remote ? ev->raddr : ev->laddr;
	__u16 port = bpf_ntohs(sa->in.port);

	if (sa->family == AF_INET) {
		__builtin_memset(addr, 0, 16);
		__builtin_memcpy(addr, sa->in.addr, 4);
	} else if (sa->family == AF_INET6) {
		__builtin_memcpy(addr, sa->in6.addr, 16);
	} else {
		return;
	}
	ev->family = sa->family;
	if (remote)
		ev->rport = port;
	else
		ev->lport = port;
}

/* An address in the caller's memory, `len` bytes of it. */
static __always_inline void user_addr(union tip_sockaddr *sa, const void *from, __u32 len)
{
	if (len > sizeof(*sa))
		len = sizeof(*sa);
	opaque(len);
	if (len <= sizeof(*sa))
		bpf_probe_read_user(sa, len, from);
}

/* `len` bytes of a sun_path at the record's end: a name in the file system, or '@' and an abstract
 * one. */
static __always_inline __u16 text_sun_path(struct tip_scratch *s, const char *path, __u32 len)
{
	char name[108 + 1] = {};

	if (len > 108)
		len = 108;
	opaque(len);
	if (len > 108)
		return text_none(s);
	bpf_probe_read_kernel(name, len, path);
	if (!len || name[0])
		return text_str(s, name, false);
	/* Abstract names may hold NULs; what follows one is not shown. */
	name[0] = '@';
	return text_str(s, name, false);
}

static __always_inline __u16 text_sk_path(struct tip_scratch *s, struct sock *sk)
{
	struct unix_address *addr = sk ? BPF_CORE_READ((struct unix_sock *)sk, addr) : NULL;
	const char *path;

	if (!addr)
		return text_none(s);
	path = (const char *)addr + bpf_core_field_offset(struct unix_address, name) +
	       bpf_core_field_offset(struct sockaddr_un, sun_path);
	return text_sun_path(s, path, BPF_CORE_READ(addr, len) - sizeof(__u16));
}

/* Does anybody want to hear of it? If so, says who did it. */
static __always_inline bool sock_wanted(struct task_struct *task, enum tip_event_type type,
					const struct tip_settings *st, struct tip_who *who)
{
	if (st->event_mask & (1ull << type)) {
		who_find(who, task);
		if (who_acts_in_scope(who))
			return true;
	}
	count(TIP_CTR_FILTERED);
	return false;
}

static __always_inline struct tip_sock_rec *sock_begin(struct tip_scratch *s,
						       struct task_struct *task,
						       enum tip_event_type type,
						       const struct tip_who *who, __s64 ret)
{
	struct tip_sock_rec *rec = (void *)s->rec;

	__builtin_memset(&rec->ev, 0, sizeof(rec->ev));
	hdr_fill(&rec->hdr, type, 0, who, task, ret);
	text_begin(s, sizeof(*rec));
	return rec;
}

/* Sends the record, if a rule may match it. */
static __always_inline void sock_send(struct tip_scratch *s, const struct tip_settings *st,
				      struct tip_sock_rec *rec)
{
	if (st->filter_generation && !tip_filter_sock(s->set, st->filter_generation))
		count(TIP_CTR_PREFILTERED);
	else
		activity_send(s, &rec->hdr);
}

/* ---- the Workload API ---- */

/* Is `sk` an end of the Workload API socket that a server holds? Its path is that of the listener.
 */
static __always_inline bool sk_is_workload(struct sock *sk, const struct tip_settings *st)
{
	struct dentry *dentry = BPF_CORE_READ((struct unix_sock *)sk, path.dentry);
	struct inode *inode;

	if (!dentry || !st->workload_ino)
		return false;
	inode = BPF_CORE_READ(dentry, d_inode);
	return BPF_CORE_READ(inode, i_ino) == st->workload_ino &&
	       inode_dev(inode) == st->workload_dev;
}

/*
 * Records who connected. The key is the address of the server's end, which is found again when the
 * keeper accepts it. Addresses are reused, so a record is only believed if the client's sock *and*
 * its socket inode agree: inode numbers of sockets come from one counter, so the three together do
 * not repeat before it has gone round (2^32 sockets) while the old record still sits in a map of
 * 16384.
 *
 * Another thread may have put a different socket at that number since connect() returned. The
 * kernel noted the connecting process at the server's end: only if that is this process is anything
 * recorded.
 */
static __always_inline void peer_record(struct task_struct *task, struct sock *sk,
					const struct tip_settings *st)
{
	struct sock *server = BPF_CORE_READ((struct unix_sock *)sk, peer);
	struct tip_unix_peer peer = {};
	__u64 key = (unsigned long)server;
	struct tip_who who;

	if (!server || !sk_is_workload(server, st) ||
	    BPF_CORE_READ(server, sk_peer_pid) != task_pid_of(task, PIDTYPE_TGID))
		return;
	who_find(&who, task);
	if (!who.proc)
		return; /* unknown even to the kernel: no record, so the keeper refuses */
	proc_sync_creds(&who, task);
	peer.proc = who.key;
	peer.exec_id = who.proc->exec_id;
	peer.epoch = who.proc->epoch;
	peer.uid = BPF_CORE_READ(task, real_cred, euid.val);
	peer.gid = BPF_CORE_READ(task, real_cred, egid.val);
	peer.client_sk = (unsigned long)sk;
	peer.client_ino = sk_ino(sk);
	if (bpf_map_update_elem(&unix_peers, &key, &peer, BPF_ANY))
		count(TIP_CTR_PEERS_FULL);
}

/* Is this a connect() that may be one to the Workload API? */
static __always_inline bool sk_is_stream_client(struct sock *sk)
{
	return sk && BPF_CORE_READ(sk, __sk_common.skc_family) == AF_UNIX &&
	       BPF_CORE_READ(sk, sk_type) == SOCK_STREAM;
}

/* What the keeper's accept() returned. */
static __always_inline void accept_record(struct task_struct *task, struct sock *sk, __u32 fd,
					  const struct tip_settings *st)
{
	struct tip_accepted got = {};
	struct sock *client;

	if (!sk || BPF_CORE_READ(task, tgid) != st->keeper_tgid ||
	    BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX || !sk_is_workload(sk, st))
		return;
	got.server_sk = (unsigned long)sk;
	client = BPF_CORE_READ((struct unix_sock *)sk, peer);
	if (client) {
		got.client_sk = (unsigned long)client;
		got.client_ino =
			sk_ino(client); /* 0 when it is closed already: agrees with no record */
	}
	/* Also without a client: an older entry under this number must not stay. */
	if (bpf_map_update_elem(&accepted, &fd, &got, BPF_ANY))
		count(TIP_CTR_PEERS_FULL);
}

/* The path of an address that the caller gave, of `len` bytes. */
static __always_inline __u16 text_addr_path(struct tip_scratch *s, const union tip_sockaddr *sa,
					    __u32 len)
{
	if (sa->family == AF_UNIX && len >= sizeof(__u16))
		return text_sun_path(s, sa->un.path, len - sizeof(__u16));
	return text_none(s);
}

#endif
