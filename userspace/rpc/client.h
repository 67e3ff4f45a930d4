/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_RPC_CLIENT_H
#define TIP_RPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "base/error.h"
#include "rpc/server.h"

/*
 * gRPC client, one call at a time on one connected socket: blocking, for the CLI, and from an event
 * loop, for the answer to one. (The client for a SPIRE server comes with that room.)
 */
struct tip_rpc_client_call {
	const char *authority;      /* "localhost" */
	const char *path;           /* "/SpiffeWorkloadAPI/FetchX509SVID" */
	const char *const *headers; /* name, value, ..., NULL */
	const void *request;
	size_t request_len;
	int timeout_ms; /* for the whole call; 0 or less: none */
	/* Called for each message (wiped when it returns); false stops the stream with success. */
	bool (*message)(void *ctx, const uint8_t *msg, size_t len);
	void *ctx;
};

/*
 * 0: the call ended with OK or was stopped; > 0: the gRPC status, text in `err`; -1: transport
 * trouble in `err`. `fd` must be a connected stream socket; it stays the caller's.
 */
int tip_rpc_client_call(int fd, const struct tip_rpc_client_call *call, struct tip_error *err);

/*
 * The answer to a unary call on stream 1 that somebody else has made, whole, on a connection of
 * its own; from an event loop, and without writing anything. `result` is as above, with the text
 * in `err`; with 0 there is the answer, valid during the call of `done`. Called once, from the
 * loop; the tip_rpc_ask is gone behind it.
 */
struct tip_rpc_ask;
typedef void (*tip_rpc_done_fn)(void *ctx, int result, const uint8_t *msg, size_t len,
				const struct tip_error *err);
/*
 * Takes `fd`. An answer of more than `max_answer` bytes is refused. NULL with `err`, and fd closed,
 * when a library refuses.
 */
struct tip_rpc_ask *tip_rpc_read(struct event_base *base, int fd, int timeout_ms, size_t max_answer,
				 tip_rpc_done_fn done, void *ctx, struct tip_error *err);
/*
 * The same for a call whose answer is a stream: `message` is called for each one, valid during the
 * call, or NULL when one was longer than `max_message` and is left out; it may not cancel. There is
 * no timeout. `done` comes without an answer. Since nobody writes to the server, its window is used
 * up at some time: then it is over too, with -1, and somebody may call again.
 */
typedef void (*tip_rpc_message_fn)(void *ctx, const uint8_t *msg, size_t len);
struct tip_rpc_ask *tip_rpc_follow(struct event_base *base, int fd, size_t max_message,
				   tip_rpc_message_fn message, tip_rpc_done_fn done, void *ctx,
				   struct tip_error *err);
/* Gives up; `done` is not called. NULL is fine. */
void tip_rpc_ask_cancel(struct tip_rpc_ask *a);

#endif
