/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SPIFFE_INTERNAL_H
#define TIP_SPIFFE_INTERNAL_H

#include <sys/queue.h>

#include <event2/event_struct.h>

#include "base/map.h"
#include "spiffe/workload.h"

/*
 * workload.c: connections, and what the keeper and the store say about them.
 * stream.c: one call, from its header to its last message; stream_jwt.c: what JWT methods say.
 */
#define TIP_WORKLOAD_MAX_SVIDS 64 /* of one caller */
#define TIP_DIGEST_SIZE        32 /* SHA-256 */

enum tip_workload_kind {
	TIP_WORKLOAD_SVIDS,
	TIP_WORKLOAD_BUNDLES,
	TIP_WORKLOAD_JWT_SVIDS,
	TIP_WORKLOAD_JWT_BUNDLES,
	TIP_WORKLOAD_VALIDATION,
};

struct tip_jwt_ask;
struct tip_message;

struct tip_workload_stream {
	LIST_ENTRY(tip_workload_stream) link;
	struct tip_workload_conn *conn;
	struct tip_rpc_call *call;
	enum tip_workload_kind kind;
	struct tip_jwt_ask *ask_jwt; /* what was asked for; NULL: its request is empty */
	bool over;                   /* ended by us, waits for its `closed` */
	bool dirty;   /* what it may have may have changed; a check is to be asked for */
	uint32_t ask; /* the check that its next message waits for, 0: none */
	bool sent;
	uint8_t last[TIP_DIGEST_SIZE]; /* of the last message, if sent: keys are not kept */
	struct event pending;          /* runs while its exec is not resolved */
};

/* All connections of one exec, or of one uid. */
struct tip_workload_group {
	uint64_t key;
	size_t count;
	LIST_HEAD(, tip_workload_conn) conns;
};

struct tip_workload_conn {
	LIST_ENTRY(tip_workload_conn) link; /* in its exec's group */
	struct tip_workload *workload;
	struct tip_workload_peer peer;
	struct tip_rpc_conn *rpc;
	bool closing; /* no longer in its exec's group, waits for `closed` */
	uint32_t ask; /* the check under way, 0: none */
	LIST_HEAD(, tip_workload_stream) streams;
};

struct tip_workload {
	struct event_base *base;
	struct tip_workload_config config;
	char *trust_domain;
	struct tip_workload_ops ops;
	struct tip_rpc_server *rpc;
	struct tip_map *by_id;   /* u64 -> tip_workload_conn */
	struct tip_map *by_exec; /* u64 -> tip_workload_group */
	struct tip_map *by_uid;  /* u64 -> tip_workload_group, only counted */
	uint32_t last_ask;
	struct tip_workload_stats stats;
};

/* workload.c */
void tip_workload_conn_shut(struct tip_workload_conn *c);
/* Asks the keeper, if some stream waits for it and no other question is under way. */
void tip_workload_ask(struct tip_workload_conn *c);

/* stream.c */
/* The check it waited for came out well: looks, and sends or ends. */
void tip_workload_stream_serve(struct tip_workload_stream *s);
/* Sends `m` unless it says what the last one said. */
void tip_workload_stream_send(struct tip_workload_stream *s, const struct tip_message *m);
void tip_workload_stream_finish(struct tip_workload_stream *s, enum tip_grpc_status status,
				const char *text);
/* PermissionDenied: it has no identity, or not any more. */
void tip_workload_stream_deny(struct tip_workload_stream *s);
/* Its exec is not resolved: waits, at most config.pending_ms; and it is resolved. */
void tip_workload_stream_wait(struct tip_workload_stream *s);
void tip_workload_stream_settled(struct tip_workload_stream *s);
struct tip_rpc_server *tip_workload_rpc(struct tip_workload *w);

/* stream_jwt.c */
void tip_workload_stream_serve_jwt(struct tip_workload_stream *s);

#endif
