/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_RPC_INTERNAL_H
#define TIP_RPC_INTERNAL_H

#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <nghttp2/nghttp2.h>

#include "rpc/frame.h"
#include "rpc/server.h"

/*
 * The server end in three layers: conn.c moves bytes between a socket and nghttp2 and decides when
 * a connection ends; session.c turns nghttp2's callbacks into calls; call.c is one call: its
 * request, its queue of messages, its end.
 *
 * Who may free what: nghttp2 and the rooms above hold pointers while their callbacks run, so a
 * connection is torn down only when no callback of it is on the stack (`busy`), and tip_rpc_send()
 * and tip_rpc_finish() never write to the socket themselves: they wake the connection's `kick`
 * event.
 */
#define TIP_RPC_READ_SIZE  16384
#define TIP_RPC_DATA_SIZE  16384 /* longest DATA frame that is sent */
#define TIP_RPC_WRITE_SIZE (2 * TIP_RPC_DATA_SIZE)

struct tip_rpc_message {
	STAILQ_ENTRY(tip_rpc_message) link;
	size_t len, sent; /* with the 5-byte prefix */
	uint8_t data[];
};

struct tip_rpc_call {
	LIST_ENTRY(tip_rpc_call) link;
	struct tip_rpc_conn *conn;
	const struct tip_rpc_method *method;
	bool running; /* the method was called */
	int32_t stream_id;
	uint64_t born; /* CLOCK_MONOTONIC */

	/* The request; headers and message are freed once the method was called. */
	struct tip_buf headers; /* name NUL value NUL ... */
	size_t header_list;     /* size as SETTINGS_MAX_HEADER_LIST_SIZE counts it */
	struct tip_grpc_reader reader;
	bool whole;         /* reader.msg is the request */
	bool too_many;      /* header_list went over its limit */
	bool remote_closed; /* the peer sent END_STREAM */

	/* The answer. */
	STAILQ_HEAD(, tip_rpc_message) queue;
	size_t queued;   /* bytes in it */
	size_t promised; /* of these, those whose DATA frame header nghttp2 has made already */
	bool answering;  /* HEADERS submitted */
	bool deferred;   /* nghttp2 waits for nghttp2_session_resume_data() */
	bool finished;
	bool trailers; /* submitted */
	enum tip_grpc_status status;
	char *message; /* percent-encoded */
	struct event timeout;
	bool has_timeout;

	void *data;
};

struct tip_rpc_conn {
	LIST_ENTRY(tip_rpc_conn) link;
	struct tip_rpc_server *server;
	struct tip_rpc_conn_ops ops;
	void *ctx;
	int fd; /* -1: dead, waits for its teardown */
	nghttp2_session *session;
	struct event rd, wr, kick;
	unsigned int busy; /* callbacks on the stack */
	bool going;        /* says goodbye: closed once the output is out */

	LIST_HEAD(, tip_rpc_call) calls;
	size_t ncalls, nrunning; /* in all, and those whose method was called */
	size_t queued;           /* bytes in the queues of all calls */

	/* Output that the socket did not take; exact size, wiped when it is out. */
	uint8_t *pend;
	size_t pend_len, pend_off;

	uint64_t active;  /* last time that a call ran, CLOCK_MONOTONIC */
	uint64_t blocked; /* since when the socket takes nothing; 0: it does */
	uint64_t tokens_at;
	uint32_t tokens; /* control frames that the peer may still send */
};

struct tip_rpc_server {
	struct event_base *base;
	struct tip_rpc_server_config config;
	struct tip_rpc_method *methods;
	size_t nmethods;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct event *sweep;
	LIST_HEAD(, tip_rpc_conn) conns;
	struct tip_rpc_stats stats;
	/* One connection at a time reads or writes, so they share these. */
	uint8_t in[TIP_RPC_READ_SIZE];
	uint8_t out[TIP_RPC_WRITE_SIZE];
	size_t out_len;
};

/* conn.c */
void tip_rpc_conn_kick(struct tip_rpc_conn *c);
void tip_rpc_conn_kill(struct tip_rpc_conn *c); /* close the socket now, tear down later */
void tip_rpc_conn_sweep(struct tip_rpc_conn *c, uint64_t now);

/* session.c */
nghttp2_session_callbacks *tip_rpc_session_callbacks(void);
nghttp2_option *tip_rpc_session_option(void);
int tip_rpc_session_new(struct tip_rpc_conn *c);

/* call.c */
struct tip_rpc_call *tip_rpc_call_new(struct tip_rpc_conn *c, int32_t stream_id);
void tip_rpc_call_free(struct tip_rpc_call *call); /* tells `closed` */
void tip_rpc_call_header_add(struct tip_rpc_call *call, const uint8_t *name, size_t namelen,
			     const uint8_t *value, size_t valuelen);
void tip_rpc_call_headers_done(struct tip_rpc_call *call);
void tip_rpc_call_body(struct tip_rpc_call *call, const uint8_t *data, size_t len);
void tip_rpc_call_end(struct tip_rpc_call *call);
/* Moves `len` bytes of the queue into `out`. */
void tip_rpc_call_take(struct tip_rpc_call *call, uint8_t *out, size_t len);
/* Bytes longest that the header list of a request may be (RFC 9113, section 6.5.2). */
#define TIP_RPC_HEADER_LIST 8192

#endif
