/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIPSTAFF_LINK_H
#define TIPSTAFF_LINK_H

#include <linux/types.h>

/*
 * The messages between keeper and front: one SOCK_SEQPACKET packet each, this
 * header, then a payload of fixed-width members and length-prefixed strings (u32 length, bytes, no
 * NUL), in the order given beside each type. Both ends check version, type, direction, length and
 * every string against its limit; anything wrong ends the link. Little-endian, since both ends are
 * one machine.
 */
#define TIP_LINK_VERSION 1
#define TIP_LINK_MAX     65536 /* bytes of one message, header included */

struct tip_link_hdr {
	__u16 version;
	__u16 type; /* enum tip_link_type */
	__u32 len;  /* whole message */
	__u32 seq;  /* +1 a message and direction, from 0: a gap ends the link */
	__u32 nfds; /* descriptors that come with it */
};

/* The addresses of a relayed connection as the application sees them: IPv4, network order. */
struct tip_link_flow {
	__u32 local, remote;           /* outbound: remote is what was dialled; inbound: local is */
	__u16 local_port, remote_port; /* host order */
};

/* One element of MOVED: what an open connection has carried so far. */
struct tip_link_moved {
	__u64 id;
	__u64 sent, received; /* plaintext bytes to the wire, from the wire */
	__u32 backend;        /* TIP_LINK_BACKEND_* */
	__u32 zero;
};
#define TIP_LINK_BACKEND_USER   1
#define TIP_LINK_BACKEND_KERNEL 2
#define TIP_LINK_MOVED_MAX      1500 /* elements of one message */

/* In the payload's order; s: string, u32, u64. Limits of the strings stand in link/codec.c. */
enum tip_link_type {
	/* keeper -> front */

	/*
	 * s trust_domain; u32 x509_ttl, ca_ttl, max_execs, max_connections, max_per_uid, log_level,
	 * jwt_ttl
	 */
	TIP_LINK_CONFIG = 1,
	/* s name, s data: a record of the cache, before START */
	TIP_LINK_RECORD = 2,
	/* empty: a new set of entries begins */
	TIP_LINK_ENTRIES = 3,
	/* s yaml: one entry, as tip_entry_write() puts it */
	TIP_LINK_ENTRY = 4,
	/* empty: the set is whole, use it */
	TIP_LINK_ENTRIES_END = 5,
	/* empty: records, entries and quarantine are all there, serve */
	TIP_LINK_START = 6,
	/* u32 on, s spiffe_id */
	TIP_LINK_QUARANTINE = 7,
	/*
	 * u64 exec_id, u32 epoch, u32 pid, u32 uid, u32 gid, u32 withheld (its origin is
	 * quarantined), s path, s cgroup, s sha256 (of the executable in hex, "": not known)
	 */
	TIP_LINK_EXEC = 8,
	/* u64 exec_id */
	TIP_LINK_GONE = 9,
	/* u64 id, u64 exec_id, u32 epoch, u32 pid, u32 uid, u32 gid; with one descriptor */
	TIP_LINK_CONN = 10,
	/* u64 id, u32 ask, u32 ok */
	TIP_LINK_CHECKED = 11,
	/*
	 * u32 numbers: handshakes, connections, connections of one identity, KB of buffers,
	 * TIP_KTLS_* that may be used, handshakes of one identity
	 */
	TIP_LINK_LIMITS = 12,
	/* u64 id: a new set of traffic policies begins, of this generation */
	TIP_LINK_TRAFFIC = 13,
	/* s yaml: one policy, as tip_traffic_write() puts it */
	TIP_LINK_POLICY = 14,
	/* empty: the set is whole, use it, and cut what it no longer allows */
	TIP_LINK_TRAFFIC_END = 15,
	/*
	 * u64 id, u64 exec_id, flow, s spiffe_id (of that exec, at its connect()); with a socket
	 * that is connecting to flow.remote: authenticate the peer, then say WANTED or ENDED
	 */
	TIP_LINK_OUTBOUND = 16,
	/*
	 * u64 id, u64 exec_id (the listener's), flow, s spiffe_id ("": it has none); with the
	 * accepted socket: authenticate the client, then say WANTED or ENDED
	 */
	TIP_LINK_INBOUND = 17,
	/*
	 * u64 id; with the application's leg. Outbound: connected. Inbound: connecting. Move bytes,
	 * then say ENDED
	 */
	TIP_LINK_JOIN = 18,
	/* u64 id, u32 cause: end it, say ENDED */
	TIP_LINK_CUT = 19,
	/*
	 * u32 ask (its number), u32 kind (enum tip_runtime), u32 flag (listen to its events), s
	 * path: a runtime that may be asked
	 */
	TIP_LINK_RUNTIME = 20,
	/* u32 kind (what the cgroup's name tells), s container id: what is it? */
	TIP_LINK_INSPECT = 21,
	/* u64 id; with a socket from which the runtime's answer to that DIAL can be read */
	TIP_LINK_DIALLED = 22,
	/* u64 id, u32 error: that runtime cannot be reached */
	TIP_LINK_UNDIALLED = 23,
	/*
	 * u32 numbers: tls, gzip, keep_alive, milliseconds of one request, echo; s host (what the
	 * server's certificate has to name), s server_id (the SPIFFE ID that it has to have
	 * instead, ""), s head (of a request, without what depends on its body): where alerts are
	 * posted
	 */
	TIP_LINK_HTTP = 24,
	/* s spiffe_id: the identity that the daemon shows to that server */
	TIP_LINK_HTTP_SVID = 25,
	/* u32 first, s data: PEM, who may vouch for that server; more of it when not first */
	TIP_LINK_HTTP_CA = 26,
	/* empty; with a socket that speaks tipstaff/posting.h: alerts for that server */
	TIP_LINK_HTTP_SINK = 27,
	/*
	 * s key, s data: PEM, what the daemon shows to that server and is no SVID: a private key,
	 * and certificates, its own first; both empty: they cannot be had
	 */
	TIP_LINK_HTTP_CLIENT = 28,
	/*
	 * s authority (what Host says), s name (whom its certificate has to be for, "": no TLS):
	 * the kubelet may be asked. It is by DIAL, whose answer is KUBELET_DIALLED or UNDIALLED
	 */
	TIP_LINK_KUBELET = 29,
	/* u32 first, s data: PEM, who may vouch for it; more of it when not first */
	TIP_LINK_KUBELET_CA = 30,
	/* u64 id, s token (""); with a socket that is connecting to the kubelet */
	TIP_LINK_KUBELET_DIALLED = 31,

	/* front -> keeper */

	/* empty: serving */
	TIP_LINK_READY = 32,
	/* u64 exec_id, u32 epoch, s spiffe_id */
	TIP_LINK_RESOLVED = 33,
	/* s name, s data: keep this record */
	TIP_LINK_SAVE = 34,
	/* s name */
	TIP_LINK_FORGET = 35,
	/* u64 id, u32 ask: is that connection's process still the same? */
	TIP_LINK_CHECK = 36,
	/* u64 id: that connection is over */
	TIP_LINK_CLOSED = 37,
	/* u64 exec_id, u32 pid, s cause: a connection was cut for cause */
	TIP_LINK_REFUSED = 38,
	/*
	 * u32 entries, execs, svids, connections, streams, bad_records; u64 issued, renewed,
	 * calls, denied, foreign_writers, errors
	 */
	TIP_LINK_STATS = 39,
	/* u64 id, s peer_id: it is good; outbound: let the application in; inbound: dial it */
	TIP_LINK_WANTED = 40,
	/*
	 * u64 id, u32 cause, u32 error (errno of the dial, 0: it was not that), s peer_id ("":
	 * unknown), s text, u64 counters: sent, received
	 */
	TIP_LINK_ENDED = 41,
	/* s data: array of struct tip_link_moved: connections that are new, or carried bytes */
	TIP_LINK_MOVED = 42,
	/*
	 * u32 handshakes, open, buffers in KB, buffers' peak in KB; u64 begun, opened, chains
	 * verified, chains remembered, waits for a buffer, opened with records by the kernel
	 */
	TIP_LINK_RELAYS = 43,
	/*
	 * u64 id, u32 ask (number of the runtime), u32 kind (enum tip_runtime_question), s what it
	 * is about: ask it that, say DIALLED or UNDIALLED
	 */
	TIP_LINK_DIAL = 44,
	/*
	 * u32 kind (enum tip_facts_kind), s container id, s data: facts (tipstaff/facts.h). May
	 * come again, with more
	 */
	TIP_LINK_FACTS = 45,
	/* u32 numbers: questions in flight, waiting; u64 counters: asked, known, unknown, late,
	   refused */
	TIP_LINK_INSPECTOR = 46,
	/*
	 * u32 numbers: runtimes that are listened to, containers made and not asked about; u64
	 * counters: events, bad ones, connections that ended, answers that are an event's
	 */
	TIP_LINK_STREAMS = 47,
	/*
	 * u64 counters: lists that the kubelet was asked for, those that were not to be had, pods
	 * that could not be read, answers from its lists
	 */
	TIP_LINK_LISTS = 48,
	TIP_LINK_TYPE_MAX
};

#endif
