/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that the keeper makes inside a namespace. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "intercept/internal.h"

#define DIAL_TRIES 3
#define PORT_TRIES 16
/* net.ipv4.ip_local_port_range, until the kernel has chosen one. */
#define PORTS_LOW  32768
#define PORTS_HIGH 60999

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

static int bind_to(int fd, uint32_t addr, uint16_t port)
{
	const struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = addr};

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
		ret = bind_to(fd, f->key.saddr, 0);
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

/* One of the ports that legs in this namespace have had, or might have. */
static uint16_t some_port(const struct tip_netns *ns)
{
	const uint16_t low = ns->leg_ports.low ? ns->leg_ports.low : PORTS_LOW;
	const uint16_t high = ns->leg_ports.high ? ns->leg_ports.high : PORTS_HIGH;

	return (uint16_t)(low + arc4random_uniform(high - low + 1u));
}

static void note_port(struct tip_netns *ns, uint16_t port)
{
	if (!ns->leg_ports.low || port < ns->leg_ports.low)
		ns->leg_ports.low = port;
	if (port > ns->leg_ports.high)
		ns->leg_ports.high = port;
}

/*
 * Binds a leg to the dialled address, so that it comes from the address that it goes to and reaches
 * a listener on that address alone, too. The port is needed before the SYN leaves: the leg is let
 * through by its 4-tuple, `key`.
 */
static int bind_leg(struct tip_intercept *ic, struct tip_flow_entry *f, int fd,
		    struct tip_flow_key *key)
{
	const int one = 1;
	struct tip_leg there;
	struct tip_end from = {0};
	int ret;

	*key = (struct tip_flow_key){
		.netns = f->ns->cookie,
		.saddr = f->pub.local.addr,
		.daddr = f->pub.local.addr,
		.dport = f->pub.local.port,
	};
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ret = bind_to(fd, key->saddr, 0);
	if (ret == 0)
		ret = local_end(fd, &from);
	if (ret == 0) {
		key->sport = from.port;
		note_port(f->ns, from.port);
	}
	/*
	 * The kernel chooses no port that is in TIME_WAIT, so that many short connections use all
	 * of them up. By its number such a port can be had, but that of a living leg, too.
	 */
	for (int i = 0; ret == -EADDRINUSE && i < PORT_TRIES; i++) {
		key->sport = some_port(f->ns);
		if (ic->ops.leg(ic->ops.ctx, key, &there) == -ENOENT)
			ret = bind_to(fd, key->saddr, key->sport);
	}
	return ret;
}

static int dial_leg(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	const struct tip_leg leg = {.client_addr = f->pub.remote.addr,
				    .client_port = f->pub.remote.port};
	const int fd = make(ic, f, TIP_OURS_LEG);
	int ret;

	if (fd < 0)
		return fd;
	ret = bind_leg(ic, f, fd, &f->key);
	if (ret < 0)
		goto fail;
	f->leg = tip_legs_open(ic, f->ns, &f->key, &leg, &ret);
	if (!f->leg)
		goto fail;
	f->cookie[1] = tip_socket_cookie(fd);
	ret = begin_connect(fd, &f->pub.local);
	if (ret == 0)
		return fd;
	tip_legs_forget(ic, f->leg);
	f->leg = NULL;
fail:
	close(fd);
	return ret;
}

int tip_dial_leg(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	int ret = -EADDRNOTAVAIL;

	/* The port was somebody's after all: another one. */
	for (int i = 0; ret == -EADDRNOTAVAIL && i < DIAL_TRIES; i++)
		ret = dial_leg(ic, f);
	return ret;
}
