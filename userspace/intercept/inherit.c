/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners and queues of an earlier daemon, which somebody has kept: connects that came meanwhile
 * have waited in them. They come from outside, so each is checked: what it is, where it is bound,
 * in which namespace.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/netfilter.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "base/log.h"
#include "intercept/internal.h"

static int option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

/* 0: it cannot be told. */
static uint64_t cookie_of(int fd)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}

static bool in_namespace(int fd, const struct tip_netns *ns)
{
	return cookie_of(fd) == ns->cookie;
}

/* ---- taken in ---- */

/* The network namespace that a socket belongs to; its inode number. -1: it is no socket. */
static int namespace_of(int socket_fd, uint32_t *inode)
{
	const int fd = ioctl(socket_fd, SIOCGSKNS);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*inode = (uint32_t)st.st_ino;
	return fd;
}

bool tip_intercept_inherit(struct tip_intercept *ic, enum tip_kept what, int fd)
{
	struct tip_netns *ns = NULL;
	uint32_t inode = 0;
	const int in = namespace_of(fd, &inode);

	/* Served only while the configuration says so. */
	if (in >= 0 && (inode != ic->initial || ic->host)) {
		ns = tip_map_getu(ic->spaces, inode);
		if (!ns)
			ns = tip_netns_add(ic, inode, 0);
	}
	if (in >= 0)
		close(in);
	if (!ns || ns->inherited[what] >= 0) {
		close(fd);
		return false;
	}
	ns->inherited[what] = fd;
	ns->cookie = cookie_of(fd);
	/* Perhaps nobody is in it any more. */
	ns->looks = 1;
	return true;
}

int tip_inherited_namespace(const struct tip_netns *ns)
{
	uint32_t inode;
	int fd = -1;

	for (int i = 0; fd < 0 && i < TIP_KEPT_KINDS; i++)
		if (ns->inherited[i] >= 0)
			fd = namespace_of(ns->inherited[i], &inode);
	return fd;
}

void tip_inherited_close(struct tip_netns *ns)
{
	for (int i = 0; i < TIP_KEPT_KINDS; i++) {
		if (ns->inherited[i] >= 0)
			close(ns->inherited[i]);
		ns->inherited[i] = -1;
	}
}

static int take(struct tip_netns *ns, enum tip_kept what)
{
	const int fd = ns->inherited[what];

	ns->inherited[what] = -1;
	return fd;
}

static void tell_wrong(const struct tip_netns *ns, enum tip_kept what)
{
	static const char *const names[] = {
		[TIP_KEPT_WORKER] = "listener", [TIP_KEPT_QUEUE] = "queue"};

	tip_warn("intercept",
		 "network namespace %u: closed a descriptor that was passed as its %s, and is not",
		 ns->inode, names[what]);
	ns->ic->ops.keep(ns->ic->ops.ctx, what, ns->cookie, -1);
}

/* ---- the listener ---- */

static bool is_listener(const struct tip_netns *ns, int fd)
{
	struct sockaddr_in sa = {0};
	socklen_t len = sizeof(sa);

	return option(fd, SO_DOMAIN) == AF_INET && option(fd, SO_PROTOCOL) == IPPROTO_TCP &&
	       option(fd, SO_ACCEPTCONN) == 1 && in_namespace(fd, ns) &&
	       getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
	       sa.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && sa.sin_port == htons(ns->ic->port);
}

int tip_inherited_listener(struct tip_netns *ns)
{
	const int fd = take(ns, TIP_KEPT_WORKER);

	if (fd < 0 || is_listener(ns, fd))
		return fd;
	tell_wrong(ns, TIP_KEPT_WORKER);
	close(fd);
	return -1;
}

/* ---- the queue ---- */

/*
 * The last packet's number of the queue, if the netlink port `owner` holds it. From here, where the
 * calling thread is: in the namespace.
 */
static bool queue_state(uint16_t queue, uint32_t owner, uint32_t *last)
{
	FILE *f = fopen("/proc/thread-self/net/netfilter/nfnetlink_queue", "re");
	bool found = false;
	char line[128];

	while (f && !found && fgets(line, sizeof(line), f)) {
		unsigned long number, port, sequence;

		/* queue, owner, length, copy mode and range, two counts of drops, sequence */
		found = sscanf(line, "%lu %lu %*u %*u %*u %*u %*u %lu", &number, &port,
			       &sequence) == 3 &&
			number == queue && port == owner;
		if (found)
			*last = (uint32_t)sequence;
	}
	if (f)
		fclose(f);
	return found;
}

struct mnl_socket *tip_inherited_queue(struct tip_netns *ns, uint32_t *last)
{
	const int fd = take(ns, TIP_KEPT_QUEUE);
	struct mnl_socket *nl = NULL;

	if (fd < 0)
		return NULL;
	if (option(fd, SO_DOMAIN) == AF_NETLINK && option(fd, SO_PROTOCOL) == NETLINK_NETFILTER &&
	    in_namespace(fd, ns))
		nl = mnl_socket_fdopen(fd);
	if (nl && queue_state(ns->ic->netfilter.queue, mnl_socket_get_portid(nl), last))
		return nl;
	tell_wrong(ns, TIP_KEPT_QUEUE);
	if (nl)
		mnl_socket_close(nl);
	else
		close(fd);
	return NULL;
}
