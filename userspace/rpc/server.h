/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_RPC_SERVER_H
#define TIP_RPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "base/buf.h"

/*
 * gRPC over HTTP/2 (nghttp2), server end, for any connected stream socket. Unary
 * and server-streaming methods; single-threaded on a libevent base. It knows no SPIFFE.
 *
 * Limits (all counted): streams and bytes per connection, request size, headers; a peer that resets
 * streams or pings too fast, or does not read, is closed.
 */

/* gRPC status codes (grpc.io, statuscodes). */
enum tip_grpc_status {
	TIP_GRPC_OK = 0,
	TIP_GRPC_CANCELLED = 1,
	TIP_GRPC_UNKNOWN = 2,
	TIP_GRPC_INVALID_ARGUMENT = 3,
	TIP_GRPC_DEADLINE_EXCEEDED = 4,
	TIP_GRPC_NOT_FOUND = 5,
	TIP_GRPC_PERMISSION_DENIED = 7,
	TIP_GRPC_RESOURCE_EXHAUSTED = 8,
	TIP_GRPC_FAILED_PRECONDITION = 9,
	TIP_GRPC_UNIMPLEMENTED = 12,
	TIP_GRPC_INTERNAL = 13,
	TIP_GRPC_UNAVAILABLE = 14,
	TIP_GRPC_UNAUTHENTICATED = 16,
};

struct tip_rpc_server;
struct tip_rpc_conn;
struct tip_rpc_call;

/* A method. `path` is "/Service/Method". */
struct tip_rpc_method {
	const char *path;
	/*
	 * Called once the whole request message is there (`req` without the 5-byte prefix, valid
	 * during the call). Answer now or later with tip_rpc_send() and tip_rpc_finish(). `call`
	 * lives until `closed` was called.
	 */
	void (*call)(void *ctx, struct tip_rpc_call *call, const uint8_t *req, size_t len);
	/* The call is over, by us or by the peer (may be NULL). tip_rpc_data() still works. Told
	 * only after `call`. */
	void (*closed)(void *ctx, struct tip_rpc_call *call);
	void *ctx;
};

struct tip_rpc_server_config {
	size_t max_connections; /* beyond it a new one is closed at once */
	size_t max_streams;     /* per connection */
	size_t max_request;     /* bytes of one message */
	size_t max_buffered;    /* bytes waiting for a peer that does not read; beyond it: closed */
	uint32_t idle_timeout_s; /* a connection without streams, 0: never */
};

struct tip_rpc_conn_ops {
	/*
	 * Every chunk read comes with the credentials of its writer (SCM_CREDENTIALS; -1 pid:
	 * none). False closes the connection without another byte. NULL: not asked for, read() is
	 * used.
	 */
	bool (*writer_ok)(void *ctx, struct tip_rpc_conn *conn, const struct ucred *cred);
	/* The connection is gone; frees ctx. May be NULL. */
	void (*closed)(void *ctx, struct tip_rpc_conn *conn);
};

/* `methods` are copied, their paths are not. NULL when a library refuses. */
struct tip_rpc_server *tip_rpc_server_new(struct event_base *base,
					  const struct tip_rpc_server_config *config,
					  const struct tip_rpc_method *methods, size_t count);
void tip_rpc_server_free(struct tip_rpc_server *s); /* closes its connections */

/* Adopts a connected, non-blocking socket (owned from now on). NULL when refused (limit): fd is
 * closed. */
struct tip_rpc_conn *tip_rpc_conn_add(struct tip_rpc_server *s, int fd,
				      const struct tip_rpc_conn_ops *ops, void *ctx);
void *tip_rpc_conn_ctx(const struct tip_rpc_conn *c);
/*
 * Closes at once: nothing more is written. From inside a callback it takes effect when the callback
 * returns; calls are told by `closed`.
 */
void tip_rpc_conn_close(struct tip_rpc_conn *c);

struct tip_rpc_conn *tip_rpc_call_conn(const struct tip_rpc_call *call);
/* A request header (lower-case name) or NULL; `*count` (may be NULL) says how many there are. First
 * value is returned. */
const char *tip_rpc_call_header(const struct tip_rpc_call *call, const char *name, size_t *count);
/* The caller's own pointer. */
void tip_rpc_set_data(struct tip_rpc_call *call, void *data);
void *tip_rpc_data(const struct tip_rpc_call *call);
/* Sends one message (copied). False when the call is closed already or the buffer limit closed the
 * connection. */
bool tip_rpc_send(struct tip_rpc_call *call, const void *msg, size_t len);
/* Bytes of this connection that the peer has not taken yet. */
size_t tip_rpc_buffered(const struct tip_rpc_conn *c);
/*
 * Ends with a status; a trailers-only answer when nothing was sent. `message` may be NULL (at most
 * 1024 bytes go out). With any status but OK, messages that did not begin to leave are dropped.
 */
void tip_rpc_finish(struct tip_rpc_call *call, enum tip_grpc_status status, const char *message);

struct tip_rpc_stats {
	size_t connections, streams;
	uint64_t accepted, refused, calls, protocol_errors, foreign_writers;
};
void tip_rpc_server_stats(const struct tip_rpc_server *s, struct tip_rpc_stats *out);

#endif
