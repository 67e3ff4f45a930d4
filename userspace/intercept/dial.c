/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that the keeper makes inside a namespace. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "intercept/internal.h"

uint64_t tip_socket_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

void tip_socket_linger(int fd)
{
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

/*
 * A TCP socket in the flow's namespace, marked as ours: without the mark our own hooks would turn
 * its connect() to the worker.
 */
static int make(struct tip_intercept *ic, const struct tip_flow_entry *f, uint32_t kind)
{
	int fd, ret;

	ret = tip_netns_enter(f->ns->fd);
	if (ret < 0)
		return ret;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ret = fd < 0 ? -errno : 0;
	tip_netns_leave(ic->home);
	if (ret < 0)
		return ret;
	ret = ic->ops.ours(ic->ops.ctx, fd, kind);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	tip_socket_linger(fd);
	return fd;
}

static int bind_to(int fd, uint32_t addr)
{
	const struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = addr};

	return bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
}

static int local_end(int fd, struct tip_end *out)
{
	struct sockaddr_in sa = {0};
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return -errno;
	*out = (struct tip_end){.addr = sa.sin_addr.s_addr, .port = ntohs(sa.sin_port)};
	return 0;
}

static int begin_connect(int fd, const struct tip_end *to)
{
	const struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(to->port), .sin_addr.s_addr = to->addr};

	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EINPROGRESS)
		return -errno;
	return 0;
}

int tip_dial_wire(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	const int fd = make(ic, f, TIP_OURS_WIRE), one = 1;
	int ret = 0;

	if (fd < 0)
		return fd;
	/* The application bound its socket: the peer shall see that address. */
	if (f->key.saddr != htonl(INADDR_LOOPBACK)) {
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		ret = bind_to(fd, f->key.saddr);
	}
	if (ret == 0)
		ret = begin_connect(fd, &f->pub.remote);
	if (ret == 0)
		ret = local_end(fd, &f->pub.local);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	f->cookie[0] = tip_socket_cookie(fd);
	return fd;
}

int tip_dial_leg(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	const struct tip_leg leg = {.client_addr = f->pub.remote.addr,
				    .client_port = f->pub.remote.port};
	const int fd = make(ic, f, TIP_OURS_LEG);
	struct tip_end from = {0};
	int ret;

	if (fd < 0)
		return fd;
	/* From the dialled address to itself, so that a listener on that address alone is reached,
	 * too. The port is needed before the SYN leaves: the leg is let through by its 4-tuple. */
	ret = bind_to(fd, f->pub.local.addr);
	if (ret == 0)
		ret = local_end(fd, &from);
	if (ret < 0)
		goto fail;
	f->key = (struct tip_flow_key){
		.netns = f->ns->cookie,
		.saddr = from.addr,
		.daddr = f->pub.local.addr,
		.sport = from.port,
		.dport = f->pub.local.port,
	};
	ret = ic->ops.leg_set(ic->ops.ctx, &f->key, &leg);
	if (ret < 0)
		goto fail;
	f->has_leg = true;
	f->cookie[1] = tip_socket_cookie(fd);
	ret = begin_connect(fd, &f->pub.local);
	if (ret == 0)
		return fd;
fail:
	close(fd);
	return ret;
}
