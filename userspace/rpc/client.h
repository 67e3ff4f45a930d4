/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_RPC_CLIENT_H
#define TIP_RPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "rpc/server.h"

/*
 * gRPC client, blocking, one call at a time on one connected socket: enough for
 * the CLI. (The event-driven client for a SPIRE server comes with that room.)
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

#endif
