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

#include <libmnl/libmnl.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "intercept/internal.h"

#define RETRY_SHIFTS 6 /* failures double the time between tries: a minute at last */
#define RESTORE_NS   (10 * TIP_NSEC_PER_SEC)
/*
 * The tool did not end in time: the machine is busy, or the tables are too large for it. Each try
 * keeps the loop for as long as it may take, so they become rare: five minutes at last.
 */
#define LATE_NS (5 * TIP_NSEC_PER_SEC)

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

/* Has this user as many of them as one may have? */
static bool owns_too_many(struct tip_intercept *ic, uid_t owner)
{
	const struct tip_netns *ns;
	size_t it = 0, count = 0;

	while (owner && (ns = tip_map_next(ic->spaces, &it)))
		count += ns->owner == owner;
	if (count < TIP_NETNS_OWNED_MAX)
		return false;
	if (!ic->owned_told)
		tip_warn("intercept",
			 "user %u owns more than %d network namespaces: in the others, connections "
			 "that a policy covers are refused",
			 (unsigned int)owner, TIP_NETNS_OWNED_MAX);
	ic->owned_told = true;
	return true;
}

struct tip_netns *tip_netns_add(struct tip_intercept *ic, uint32_t inode, uid_t owner)
{
	struct tip_netns *ns;

	if (owns_too_many(ic, owner))
		return NULL;
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
	ns->owner = owner;
	ns->fd = ns->listener = -1;
	ns->nsid = -1;
	memset(ns->inherited, 0xff, sizeof(ns->inherited));
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
	tip_inherited_close(ns);
	free(ns->name);
	free(ns);
}

/* Its descriptors are for a successor, or no longer. */
static void keep(const struct tip_netns *ns, bool on)
{
	const struct tip_intercept *ic = ns->ic;

	ic->ops.keep(ic->ops.ctx, TIP_KEPT_WORKER, ns->cookie, on ? ns->listener : -1);
	ic->ops.keep(ic->ops.ctx, TIP_KEPT_QUEUE, ns->cookie,
		     on ? mnl_socket_get_fd(ns->queue) : -1);
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
	const bool inherits = ns->inherited[TIP_KEPT_WORKER] >= 0;
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
	ns->inherited_at = inherits ? tip_clock_monotonic() : 0;
	tip_listener_listen(ns);
	tip_queue_listen(ns);
	ret = ic->ops.worker_set(ic->ops.ctx, ns->cookie, ns->listener);
	if (ret < 0)
		return tip_error_set(err, "the kernel does not take its listener: %s",
				     strerror(-ret));
	keep(ns, true);
	return 0;
}

/* A namespace with a name is root's doing, whoever owns it. False: it is forgotten. */
static bool check_owner(struct tip_intercept *ic, struct tip_netns *ns)
{
	const uid_t owner = ns->owner || ns->name ? 0 : tip_netns_owner(ns->fd);

	if (!owner)
		return true;
	if (owns_too_many(ic, owner)) {
		tip_map_delu(ic->spaces, ns->inode);
		keep(ns, false);
		tip_netns_free(ns);
		return false;
	}
	ns->owner = owner;
	return true;
}

static void serve(struct tip_intercept *ic, struct tip_netns *ns)
{
	struct tip_error err;
	int ret;

	ns->retry_at = tip_clock_monotonic() + TIP_NSEC_PER_SEC;
	if (ns->name)
		ns->fd = tip_netns_named(ns->name, ns->inode);
	if (ns->fd < 0 && ns->witness)
		ns->fd = tip_netns_of(ns->witness, ns->inode);
	if (ns->fd < 0)
		ns->fd = tip_inherited_namespace(ns);
	if (ns->fd < 0) {
		/* That process is gone or elsewhere. There may be another one. */
		ns->witness = 0;
		ns->looks = 2;
		return;
	}
	if (!check_owner(ic, ns))
		return;
	ret = open_up(ic, ns, &err);
	if (ret == 0) {
		tip_info("intercept", "network namespace %u is served", ns->inode);
		ns->failures = 0;
		ns->retry_at = 0;
		ic->stats.namespaces++;
		tip_veths_schedule(ic);
		return;
	}
	close_all(ns);
	keep(ns, false);
	/* It may be gone when it is tried again. */
	ns->looks = 2;
	ns->retry_at += (TIP_NSEC_PER_SEC << ns->failures) - TIP_NSEC_PER_SEC;
	if (ret == -ETIMEDOUT)
		ns->retry_at += LATE_NS << ns->failures;
	if (ns->failures < RETRY_SHIFTS)
		ns->failures++;
	tip_warn("intercept",
		 "network namespace %u is not served, connections that a policy covers are "
		 "refused in it: %s",
		 ns->inode, err.text);
}

static void restore(struct tip_intercept *ic, struct tip_netns *ns)
{
	struct tip_error err;
	int ret;

	ns->retry_at = tip_clock_monotonic() + RESTORE_NS;
	if (tip_netns_enter(ns->fd) < 0)
		return;
	ret = tip_netfilter_apply(&ic->netfilter, &err);
	tip_netns_leave(ic->home);
	ns->bypassed = false;
	if (ret == -ETIMEDOUT)
		ns->retry_at += LATE_NS << RETRY_SHIFTS;
	tip_warn("intercept", "network namespace %u: somebody removed our rules; %s", ns->inode,
		 ret == 0 ? "they are back" : err.text);
}

/* Root's come first: what a user makes by the hundred keeps no pod waiting. */
static struct tip_netns *next_due(const struct tip_intercept *ic)
{
	const uint64_t now = tip_clock_monotonic();
	struct tip_netns *ns, *due = NULL;
	size_t it = 0;

	while ((ns = tip_map_next(ic->spaces, &it))) {
		if ((ns->fd < 0 ? !ic->enabled : !ns->bypassed) || ns->retry_at > now)
			continue;
		if (!ns->owner)
			return ns;
		if (!due)
			due = ns;
	}
	return due;
}

void tip_netns_schedule(struct tip_intercept *ic)
{
	const struct timeval soon = {0};

	if (!event_pending(ic->serve_more, EV_TIMEOUT, NULL))
		event_add(ic->serve_more, &soon);
}

void tip_netns_serve_due(struct tip_intercept *ic)
{
	struct tip_netns *ns = next_due(ic);

	if (!ns)
		return;
	if (ns->fd < 0)
		serve(ic, ns);
	else
		restore(ic, ns);
	tip_netns_schedule(ic);
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
		tip_legs_drop(ic, ns);
		tip_veths_drop(ic, ns);
		ic->ops.worker_clear(ic->ops.ctx, ns->cookie);
		ic->ops.detach(ic->ops.ctx, ns->cookie);
		ic->stats.namespaces--;
		tip_info("intercept", "network namespace %u is no longer served", ns->inode);
	}
	keep(ns, false);
	tip_netns_free(ns);
}
