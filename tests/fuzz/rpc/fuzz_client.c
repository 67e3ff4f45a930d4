/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/client.h"

/* What a server may answer to the blocking client. */
static bool on_message(void *ctx, const uint8_t *msg, size_t len)
{
	size_t *sum = ctx;

	for (size_t i = 0; i < len; i++)
		*sum += msg[i];
	return *sum < 10000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_error err = {0};
	size_t sum = 0;
	const struct tip_rpc_client_call call = {
		.authority = "localhost",
		.path = "/t.T/Echo",
		.request = "hello",
		.request_len = 5,
		.timeout_ms = 1000,
		.message = on_message,
		.ctx = &sum,
	};
	int fds[2], res;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return 0;
	if (send(fds[1], data, size, MSG_DONTWAIT) == (ssize_t)size) {
		shutdown(fds[1], SHUT_WR);
		res = tip_rpc_client_call(fds[0], &call, &err);
		if (res && !err.text[0])
			abort();
	}
	close(fds[0]);
	close(fds[1]);
	return 0;
}
