/* SPDX-License-Identifier: Apache-2.0 */
/* Serving a network namespace, and letting it go. */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "intercept/internal.h"

#define SERVE_MAX    4 /* some ten milliseconds each, most of it iptables */
#define RETRY_SHIFTS 6 /* failures double the time between tries: a minute at last */

int tip_netns_enter(int fd)
{
	return setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

void tip_netns_leave(int home)
{
	if (setns(home, CLONE_NEWNET) == 0)
		return;
	tip_err("intercept", "cannot get back into the own network namespace: %s", strerror(errno));
	abort();
}

struct tip_netns *tip_netns_add(struct tip_intercept *ic, uint32_t inode)
{
	struct tip_netns *ns;

	if (tip_map_count(ic->spaces) >= TIP_NETNS_MAX) {
		if (!ic->full_told)
			tip_warn("intercept",
				 "more than %d network namespaces: in the others, connections "
				 "that a policy covers are refused",
				 TIP_NETNS_MAX);
		ic->full_told = true;
		return NULL;
	}
	ns = tip_alloc(sizeof(*ns));
	ns->ic = ic;
	ns->inode = inode;
	ns->fd = ns->listener = -1;
	tip_map_putu(ic->spaces, inode, ns);
	return ns;
}

static void close_all(struct tip_netns *ns)
{
	tip_listener_close(ns);
	tip_queue_close(ns);
	if (ns->fd >= 0)
		close(ns->fd);
	ns->fd = -1;
}

void tip_netns_free(struct tip_netns *ns)
{
	close_all(ns);
	free(ns->name);
	free(ns);
}

/* What only a socket inside can tell. */
static int inspect(struct tip_netns *ns, bool *lo_down)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = {.ifr_name = "lo"};
	socklen_t len = sizeof(ns->cookie);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &ns->cookie, &len) < 0)
		ret = -errno;
	*lo_down = ioctl(fd, SIOCGIFFLAGS, &lo) == 0 && !(lo.ifr_flags & IFF_UP);
	close(fd);
	return ret;
}

/* Inside: the listener, the queue, then the rules that need both. */
static int furnish(struct tip_netns *ns, bool *lo_down, struct tip_error *err)
{
	const struct tip_intercept *ic = ns->ic;
	int ret;

	ret = inspect(ns, lo_down);
	if (ret < 0)
		return tip_error_set(err, "no socket in it: %s", strerror(-ret));
	ret = tip_listener_open(ns);
	if (ret < 0)
		return tip_error_set(err, "no listener on 127.0.0.1:%u: %s", (unsigned int)ic->port,
				     strerror(-ret));
	ret = tip_queue_open(ns);
	if (ret < 0)
		return tip_error_set(err, "queue %u: %s", (unsigned int)ic->netfilter.queue,
				     ret == -EPERM || ret == -EBUSY ? "somebody else holds it"
								    : strerror(-ret));
	return tip_netfilter_apply(&ic->netfilter, err);
}

/*
 * The kernel side gets the listener last: until then, connects that a policy covers are refused,
 * and nothing can come past the queue.
 */
static int open_up(struct tip_intercept *ic, struct tip_netns *ns, struct tip_error *err)
{
	bool lo_down = false;
	int ret;

	ret = tip_netns_enter(ns->fd);
	if (ret < 0)
		return tip_error_set(err, "it cannot be entered: %s", strerror(-ret));
	ret = furnish(ns, &lo_down, err);
	tip_netns_leave(ic->home);
	if (ret < 0)
		return ret;
	/* Before its first process the loopback of a namespace is always down. */
	if (lo_down && ns->witness)
		tip_warn("intercept",
			 "network namespace %u: its loopback is down: connections that a policy "
			 "covers fail in it",
			 ns->inode);
	ret = ic->ops.attach(ic->ops.ctx, ns->fd, ns->cookie);
	if (ret < 0)
		return tip_error_set(err, "sk_lookup: %s", strerror(-ret));
	tip_listener_listen(ns);
	tip_queue_listen(ns);
	ret = ic->ops.worker_set(ic->ops.ctx, ns->cookie, ns->listener);
	if (ret < 0)
		return tip_error_set(err, "the kernel does not take its listener: %s",
				     strerror(-ret));
	return 0;
}

void tip_netns_serve(struct tip_intercept *ic, struct tip_netns *ns)
{
	struct tip_error err;

	ns->retry_at = tip_clock_monotonic() + TIP_NSEC_PER_SEC;
	if (ns->name)
		ns->fd = tip_netns_named(ns->name, ns->inode);
	if (ns->fd < 0 && ns->witness)
		ns->fd = tip_netns_of(ns->witness, ns->inode);
	if (ns->fd < 0) {
		/* That process is gone or elsewhere. There may be another one. */
		ns->witness = 0;
		ns->looks = 2;
		return;
	}
	if (open_up(ic, ns, &err) == 0) {
		tip_info("intercept", "network namespace %u is served", ns->inode);
		ns->failures = 0;
		ns->retry_at = 0;
		ic->stats.namespaces++;
		return;
	}
	close_all(ns);
	/* It may be gone when it is tried again. */
	ns->looks = 2;
	ns->retry_at += (TIP_NSEC_PER_SEC << ns->failures) - TIP_NSEC_PER_SEC;
	if (ns->failures < RETRY_SHIFTS)
		ns->failures++;
	tip_warn("intercept",
		 "network namespace %u is not served, connections that a policy covers are "
		 "refused in it: %s",
		 ns->inode, err.text);
}

void tip_netns_serve_due(struct tip_intercept *ic)
{
	const struct timeval soon = {0};
	const uint64_t now = tip_clock_monotonic();
	struct tip_netns *ns;
	int served = 0;
	size_t it = 0;

	while (ic->enabled && (ns = tip_map_next(ic->spaces, &it))) {
		if (ns->fd >= 0 || ns->retry_at > now)
			continue;
		if (served++ == SERVE_MAX) {
			event_add(ic->serve_more, &soon);
			return;
		}
		tip_netns_serve(ic, ns);
	}
}

void tip_netns_restore(struct tip_intercept *ic, struct tip_netns *ns)
{
	const uint64_t now = tip_clock_monotonic();
	struct tip_error err;
	int ret;

	if (ns->fd < 0 || ns->retry_at > now || tip_netns_enter(ns->fd) < 0)
		return;
	ret = tip_netfilter_apply(&ic->netfilter, &err);
	tip_netns_leave(ic->home);
	ns->bypassed = false;
	ns->retry_at = now + 10 * TIP_NSEC_PER_SEC;
	tip_warn("intercept", "network namespace %u: somebody removed our rules; %s", ns->inode,
		 ret == 0 ? "they are back" : err.text);
}

void tip_netns_release(struct tip_intercept *ic, struct tip_netns *ns)
{
	struct tip_flow_entry *f;

	tip_map_delu(ic->spaces, ns->inode);
	if (ns->fd >= 0) {
		for (uint64_t id = 0; (f = tip_flow_after(ic, id));) {
			id = f->pub.id;
			if (f->ns == ns)
				tip_flow_cut(ic, f, ENETDOWN);
		}
		ic->ops.worker_clear(ic->ops.ctx, ns->cookie);
		ic->ops.detach(ic->ops.ctx, ns->cookie);
		ic->stats.namespaces--;
		tip_info("intercept", "network namespace %u is no longer served", ns->inode);
	}
	tip_netns_free(ns);
}
