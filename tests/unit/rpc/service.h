/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_RPC_SERVICE_H
#define TIP_TEST_RPC_SERVICE_H

#include "peer.h"

/* A server with three methods: /t.T/Echo answers, /t.T/Hold leaves the call to the test, /t.T/Close
 * hangs up. */
struct service {
	struct event_base *base;
	struct tip_rpc_server *server;
	struct tip_rpc_conn *conn;
	struct tip_rpc_call *held;
	size_t calls, calls_closed, conns_closed;
	const char *header; /* read by every call, into `value` and `count` */
	char value[512];
	size_t count;
};

static inline void service_note(struct service *t, struct tip_rpc_call *call)
{
	const char *value = tip_rpc_call_header(call, t->header ? t->header : ":path", &t->count);

	snprintf(t->value, sizeof(t->value), "%s", value ? value : "(none)");
	t->calls++;
}

static inline void service_echo(void *ctx, struct tip_rpc_call *call, const uint8_t *req,
				size_t len)
{
	service_note(ctx, call);
	tip_rpc_send(call, req, len);
	tip_rpc_finish(call, TIP_GRPC_OK, NULL);
}

static inline void service_hold(void *ctx, struct tip_rpc_call *call, const uint8_t *req,
				size_t len)
{
	struct service *t = ctx;

	(void)req;
	(void)len;
	service_note(t, call);
	t->held = call;
	tip_rpc_set_data(call, t);
}

static inline void service_close(void *ctx, struct tip_rpc_call *call, const uint8_t *req,
				 size_t len)
{
	(void)req;
	(void)len;
	service_note(ctx, call);
	tip_rpc_send(call, "never", 5);
	tip_rpc_conn_close(tip_rpc_call_conn(call));
	assert_false(tip_rpc_send(call, "never", 5));
}

static inline void service_call_closed(void *ctx, struct tip_rpc_call *call)
{
	struct service *t = ctx;

	t->calls_closed++;
	if (t->held == call) {
		assert_ptr_equal(tip_rpc_data(call), t);
		t->held = NULL;
	}
	assert_false(tip_rpc_send(call, "late", 4));
}

static inline void service_conn_closed(void *ctx, struct tip_rpc_conn *conn)
{
	struct service *t = ctx;

	t->conns_closed++;
	if (t->conn == conn)
		t->conn = NULL;
}

static inline void service_start(struct service *t, const struct tip_rpc_server_config *config)
{
	const struct tip_rpc_method methods[] = {
		{"/t.T/Echo", service_echo, service_call_closed, t},
		{"/t.T/Hold", service_hold, service_call_closed, t},
		{"/t.T/Close", service_close, service_call_closed, t},
	};
	static const struct tip_rpc_server_config usual = {
		.max_connections = 4,
		.max_streams = 8,
		.max_request = 1000,
		.max_buffered = 1 << 20,
	};

	memset(t, 0, sizeof(*t));
	t->base = event_base_new();
	t->server = tip_rpc_server_new(t->base, config ? config : &usual, methods,
				       TIP_ARRAY_SIZE(methods));
	assert_non_null(t->server);
}

/* One end goes to the server; returns the other one. */
static inline int service_connect(struct service *t)
{
	static const struct tip_rpc_conn_ops ops = {.closed = service_conn_closed};
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	t->conn = tip_rpc_conn_add(t->server, fds[0], &ops, t);
	return fds[1];
}

static inline void service_stop(struct service *t)
{
	tip_rpc_server_free(t->server);
	event_base_free(t->base);
}

static inline struct tip_rpc_stats service_stats(const struct service *t)
{
	struct tip_rpc_stats s;

	tip_rpc_server_stats(t->server, &s);
	return s;
}

#endif
