/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_LINK_LINK_H
#define TIP_LINK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "base/error.h"
#include "tipstaff/link.h"

/*
 * The channel between keeper and front, both ends: framing, limits, descriptors and a
 * bounded send queue. It knows what a message looks like and nothing of what it means.
 */

enum tip_link_side { TIP_LINK_KEEPER, TIP_LINK_FRONT };

/*
 * A decoded message. Every type fills only its members; strings are NUL-terminated copies inside
 * the link's own buffer, valid during the callback.
 */
struct tip_link_msg {
	enum tip_link_type type;
	uint64_t id; /* CONN, CHECK, CHECKED, CLOSED, DIAL, DIALLED, UNDIALLED, KUBELET_DIALLED; a
			relay's; TRAFFIC: its generation */
	uint64_t exec_id; /* EXEC, GONE, CONN, RESOLVED, REFUSED, OUTBOUND, INBOUND */
	uint32_t epoch;
	uint32_t pid, uid, gid;
	uint32_t ask;
	uint32_t kind;             /* enum tip_runtime: RUNTIME, INSPECT; the question: DIAL;
				      enum tip_facts_kind: FACTS */
	uint32_t flag;             /* ok of CHECKED, on of QUARANTINE, withheld of EXEC, events
				      of RUNTIME, first of HTTP_CA and KUBELET_CA */
	uint32_t cause;            /* enum tip_mtls_cause: CUT, ENDED */
	uint32_t error;            /* ENDED, UNDIALLED */
	struct tip_link_flow flow; /* OUTBOUND, INBOUND */
	uint32_t numbers[7];  /* CONFIG, STATS, LIMITS, RELAYS, INSPECTOR, STREAMS, HTTP: in the
				 order of the format */
	uint64_t counters[6]; /* STATS, ENDED, RELAYS, INSPECTOR, STREAMS, LISTS */
	const char *name; /* record name, spiffe_id, trust_domain, cause, path, peer_id, authority:
			     the first string */
	const char *text; /* the second string: cgroup, text, server_id, key, KUBELET's name */
	const void *data; /* RECORD, SAVE, MOVED, FACTS, HTTP_CA, HTTP_CLIENT, KUBELET_CA: bytes;
			     ENTRY, POLICY: yaml; EXEC: SHA-256 in hex; HTTP: head; KUBELET_DIALLED:
			     token (NUL-terminated too) */
	size_t data_len;
	int fd; /* CONN, OUTBOUND, INBOUND, JOIN, DIALLED, HTTP_SINK, KUBELET_DIALLED, else -1 */
};

/*
 * Decodes one packet sent by the *other* side than `receiver`. 0, or -1 with `err`: wrong version,
 * type, direction, length, limit, or a string with a NUL where none may be. Pure: for unit and fuzz
 * tests. Strings point into `scratch` (at least TIP_LINK_MAX + 16 bytes).
 */
int tip_link_decode(enum tip_link_side receiver, const void *packet, size_t len, size_t nfds,
		    char *scratch, struct tip_link_msg *out, struct tip_error *err);

/* Encodes into `out` (TIP_LINK_MAX bytes); length, or -1 with `err` when a limit is exceeded. Pure.
 */
long tip_link_encode(const struct tip_link_msg *msg, uint32_t seq, void *out,
		     struct tip_error *err);

struct tip_link;
struct tip_link_ops {
	/* A message. A descriptor in it is the callee's. Must not free the link. */
	void (*message)(void *ctx, const struct tip_link_msg *msg);
	/* The link ended: the other side is gone, broke the format, or does not read. Called once.
	 */
	void (*ended)(void *ctx, const char *why);
	void *ctx;
};

/* Takes `fd` (a connected SOCK_SEQPACKET socket). */
struct tip_link *tip_link_new(struct event_base *base, int fd, enum tip_link_side side,
			      const struct tip_link_ops *ops);
void tip_link_free(struct tip_link *l);
/*
 * Queues a message; a descriptor is duplicated, the caller keeps its own. 0; -1 when the link has
 * ended or the queue's bound (32 MiB) is reached: then it ends.
 */
int tip_link_send(struct tip_link *l, const struct tip_link_msg *msg);

#endif
