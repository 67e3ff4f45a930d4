/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "rpc/server.h"

/*
 * HTTP/2 bytes into a server session. The first byte of the input: bit 7 puts the client preface
 * and an empty SETTINGS in front, the rest is the size of the pieces that the input is written in.
 */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

static void echo(void *ctx, struct tip_rpc_call *call, const uint8_t *req, size_t len)
{
	(void)ctx;
	tip_rpc_call_header(call, "workload.spiffe.io", NULL);
	tip_rpc_send(call, req, len);
	tip_rpc_finish(call, TIP_GRPC_OK, NULL);
}

/* Ends what the one before left open. */
static void hold(void *ctx, struct tip_rpc_call *call, const uint8_t *req, size_t len)
{
	struct tip_rpc_call **held = ctx;

	if (*held)
		tip_rpc_finish(*held, TIP_GRPC_PERMISSION_DENIED, "100%");
	*held = call;
	tip_rpc_send(call, req, len);
}

static void hold_closed(void *ctx, struct tip_rpc_call *call)
{
	struct tip_rpc_call **held = ctx;

	if (*held == call)
		*held = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tip_rpc_server_config config = {
		.max_connections = 2, .max_streams = 4, .max_request = 300, .max_buffered = 20000};
	static struct tip_rpc_call *held;
	static struct event_base *base;
	static struct tip_rpc_server *server;
	const struct tip_rpc_method methods[] = {
		{"/t.T/Echo", echo, NULL, NULL},
		{"/t.T/Hold", hold, hold_closed, &held},
	};
	struct tip_rpc_stats stats;
	char sink[4096];
	size_t piece;
	int fds[2];

	if (!base) {
		tip_log_init("fuzz", TIP_LOG_ERROR);
		base = event_base_new();
		server = tip_rpc_server_new(base, &config, methods, TIP_ARRAY_SIZE(methods));
	}
	if (size < 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return 0;
	piece = (data[0] & 0x7f) + 1;
	tip_rpc_conn_add(server, fds[0], NULL, NULL);
	if ((data[0] & 0x80) && write(fds[1], preface, sizeof(preface) - 1) < 0)
		abort();
	data++;
	size--;
	while (size) {
		size_t n = size < piece ? size : piece;

		if (send(fds[1], data, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
			break;
		data += n;
		size -= n;
		event_base_loop(base, EVLOOP_NONBLOCK);
		while (recv(fds[1], sink, sizeof(sink), MSG_DONTWAIT) > 0) {
		}
	}
	close(fds[1]);
	for (int i = 0; i < 20; i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		tip_rpc_server_stats(server, &stats);
		if (!stats.connections)
			break;
	}
	/* Whatever was said, a closed peer leaves nothing behind. */
	if (stats.connections || stats.streams || held)
		abort();
	return 0;
}
