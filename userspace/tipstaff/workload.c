/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaff/workload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/client.h"

/* The Workload API's socket: said, or beside the control socket. The caller frees. */
static char *workload_path(void)
{
	const char *env = getenv("SPIFFE_ENDPOINT_SOCKET"), *slash = strrchr(cli.socket, '/');

	if (cli.workload_socket)
		return tip_strdup(cli.workload_socket);
	if (env && *env) {
		if (!strncmp(env, "unix:", 5))
			env += strncmp(env, "unix://", 7) ? 5 : 7;
		return tip_strdup(env);
	}
	if (!slash)
		return tip_strdup("workload.sock");
	return tip_sprintf("%.*s/workload.sock", (int)(slash - cli.socket), cli.socket);
}

static int dial(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		cli_usage(NULL, "%s: longer than a socket path can be", path);
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	cli_fail("is tipstaffd running? Name its socket with --workload-socket or"
		 " SPIFFE_ENDPOINT_SOCKET",
		 "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* What to do about a gRPC status. */
static const char *hint_for(int status)
{
	switch (status) {
	case TIP_GRPC_PERMISSION_DENIED:
		return "no registration entry matches this process, or its identity is"
		       " quarantined: see `tipstaff identity list` and `tipstaff quarantine list`";
	case TIP_GRPC_UNAVAILABLE:
		return "the daemon is starting or its front is being restarted: try again";
	case TIP_GRPC_RESOURCE_EXHAUSTED: return "this user has too many connections open";
	case TIP_GRPC_UNIMPLEMENTED:
		return "something else listens on that socket: see --workload-socket";
	default: return NULL;
	}
}

int workload_call(const struct workload_call *call)
{
	static const char *const headers[] = {"workload.spiffe.io", "true", NULL};
	char *rpc = tip_sprintf("/SpiffeWorkloadAPI/%s", call->method), *path = workload_path();
	const struct tip_rpc_client_call c = {
		.authority = "localhost",
		.path = rpc,
		.headers = headers,
		.request = call->request,
		.request_len = call->request_len,
		.timeout_ms = call->timeout_ms,
		.message = call->message,
		.ctx = call->ctx,
	};
	struct tip_error err = {0};
	int fd = dial(path), ret = CLI_FAIL, status;

	if (fd < 0)
		goto out;
	status = tip_rpc_client_call(fd, &c, &err);
	close(fd);
	ret = status ? cli_fail(hint_for(status), "Workload API: %s", err.text) : CLI_OK;
out:
	free(path);
	free(rpc);
	return ret;
}

int workload_timeout(const struct cli_args *args, int *ms)
{
	const char *text = cli_value(args, "timeout", "5s");
	uint64_t ns;

	if (tip_duration_parse(text, &ns) || ns == 0 || ns / 1000000 > INT32_MAX)
		return cli_usage("for example 5s or 1m", "--timeout wants a duration, not \"%s\"",
				 text);
	*ms = (int)(ns / 1000000);
	return CLI_OK;
}
