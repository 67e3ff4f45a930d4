/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The veths that lead from our own network namespace to served ones. The kernel tells of a veth in
 * which namespace its other end lies, by a number that our namespace has for it. Whenever an
 * interface changes all of them are looked at again.
 */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>

#include <libmnl/libmnl.h>

#include "base/log.h"
#include "base/mem.h"
#include "intercept/internal.h"

#define MESSAGE_MAX 32768 /* libmnl's advice for dumps */
#define LOOK_USEC   20000 /* changes come in crowds */
#define RECEIVE_S   1

/* The host's end of a veth that has our filters. */
struct end {
	uint32_t ifindex;
	struct tip_netns *ns; /* behind it */
	bool found;           /* by the look that is going on */
};

/* A look at all interfaces. */
struct look {
	struct tip_intercept *ic;
	struct tip_map *by_nsid; /* number + 1 -> struct tip_netns */
};

/* ---- one request ---- */

static int request(struct nlmsghdr *nl, mnl_cb_t fn, void *arg)
{
	const struct timeval patience = {.tv_sec = RECEIVE_S};
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	char *buf = tip_alloc(MESSAGE_MAX);
	ssize_t got;
	int ret = -1;

	nl->nlmsg_seq = 1;
	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) <
		    0 ||
	    mnl_socket_sendto(s, nl, nl->nlmsg_len) < 0)
		goto out;
	do {
		got = mnl_socket_recvfrom(s, buf, MESSAGE_MAX);
		ret = got < 0 ? -1
			      : mnl_cb_run(buf, (size_t)got, 1, mnl_socket_get_portid(s), fn, arg);
	} while (ret > MNL_CB_STOP);
out:
	ret = ret < 0 ? -errno : 0;
	free(buf);
	if (s)
		mnl_socket_close(s);
	return ret;
}

static int on_nsid(const struct nlmsghdr *nl, void *arg)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nl,
			  sizeof(struct rtgenmsg)) if (mnl_attr_get_type(a) == NETNSA_NSID &&
						       mnl_attr_validate(a, MNL_TYPE_U32) >= 0) *
		(int32_t *)arg = (int32_t)mnl_attr_get_u32(a);
	return MNL_CB_STOP;
}

/* The number that our namespace has for that one; -1: it has none, so no veth leads there. */
static int32_t nsid_of(int netns_fd)
{
	char buf[256] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *nl = mnl_nlmsg_put_header(buf);
	struct rtgenmsg *rt;
	int32_t nsid = -1;

	nl->nlmsg_type = RTM_GETNSID;
	nl->nlmsg_flags = NLM_F_REQUEST;
	rt = mnl_nlmsg_put_extra_header(nl, sizeof(*rt));
	rt->rtgen_family = AF_UNSPEC;
	mnl_attr_put_u32(nl, NETNSA_FD, (uint32_t)netns_fd);
	return request(nl, on_nsid, &nsid) < 0 ? -1 : nsid;
}

/* ---- the look ---- */

/* What is read of an interface. */
struct link_facts {
	int32_t nsid; /* of the other end, -1: it is in our own namespace, or there is none */
	bool veth;
};

static void read_info(const struct nlattr *info, struct link_facts *out)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, info) if (mnl_attr_get_type(a) == IFLA_INFO_KIND &&
					      mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
		out->veth = !strcmp(mnl_attr_get_str(a), "veth");
}

static struct link_facts facts_of(const struct nlmsghdr *nl)
{
	struct link_facts f = {.nsid = -1};
	const struct nlattr *a;

	mnl_attr_for_each(a, nl, sizeof(struct ifinfomsg))
	{
		switch (mnl_attr_get_type(a)) {
		case IFLA_LINK_NETNSID:
			if (mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
				f.nsid = (int32_t)mnl_attr_get_u32(a);
			break;
		case IFLA_LINKINFO: read_info(a, &f); break;
		default: break;
		}
	}
	return f;
}

static void attach(struct tip_intercept *ic, uint32_t ifindex, struct tip_netns *ns)
{
	const int ret = ic->ops.veth_attach(ic->ops.ctx, ifindex, ns->nsid, ns->cookie);
	struct end *e;

	if (ret < 0) {
		/* It may have gone meanwhile, which is one more change. */
		if (ret != -ENODEV)
			tip_warn("intercept",
				 "interface %u, behind which network namespace %u lies, has no "
				 "plaintext stop: %s",
				 ifindex, ns->inode, strerror(-ret));
		return;
	}
	e = tip_map_getu(ic->veths, ifindex);
	if (!e) {
		e = tip_alloc(sizeof(*e));
		tip_map_putu(ic->veths, ifindex, e);
		tip_debug("intercept", "interface %u leads to network namespace %u", ifindex,
			  ns->inode);
	}
	*e = (struct end){.ifindex = ifindex, .ns = ns, .found = true};
}

static int on_link(const struct nlmsghdr *nl, void *arg)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nl);
	const struct link_facts f = facts_of(nl);
	struct look *look = arg;
	struct tip_netns *ns;
	struct end *e;

	if (nl->nlmsg_type != RTM_NEWLINK || !f.veth || f.nsid < 0 || info->ifi_index <= 0)
		return MNL_CB_OK;
	ns = tip_map_getu(look->by_nsid, (uint64_t)f.nsid + 1);
	if (!ns)
		return MNL_CB_OK;
	e = tip_map_getu(look->ic->veths, (uint64_t)info->ifi_index);
	if (e && e->ns == ns)
		e->found = true;
	else
		attach(look->ic, (uint32_t)info->ifi_index, ns);
	return MNL_CB_OK;
}

static int dump_links(struct look *look)
{
	char buf[256] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *nl = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *info;

	nl->nlmsg_type = RTM_GETLINK;
	nl->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(nl, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	return request(nl, on_link, look);
}

/* Takes the filters off what leads to `ns`; NULL: off what has not been found. */
static void forget(struct tip_intercept *ic, const struct tip_netns *ns)
{
	struct end *e;
	size_t it = 0;

	while ((e = tip_map_next(ic->veths, &it))) {
		if (ns ? e->ns != ns : e->found)
			continue;
		ic->ops.veth_detach(ic->ops.ctx, e->ifindex);
		tip_map_delu(ic->veths, e->ifindex);
		free(e);
		it = 0;
	}
	ic->stats.veths = tip_map_count(ic->veths);
}

static void look_at_all(struct tip_intercept *ic)
{
	struct look look = {.ic = ic, .by_nsid = tip_map_new()};
	struct tip_netns *ns;
	struct end *e;
	size_t it = 0;

	while ((ns = tip_map_next(ic->spaces, &it))) {
		ns->nsid = ns->fd < 0 ? -1 : nsid_of(ns->fd);
		if (ns->nsid >= 0)
			tip_map_putu(look.by_nsid, (uint64_t)ns->nsid + 1, ns);
	}
	it = 0;
	while ((e = tip_map_next(ic->veths, &it)))
		e->found = false;
	/* What could not be looked at stays as it is. */
	if (dump_links(&look) == 0)
		forget(ic, NULL);
	tip_map_free(look.by_nsid, NULL);
}

/* ---- changes ---- */

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	look_at_all(ctx);
}

/* What they say is of no interest: that there are some is. */
static void on_change(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_intercept *ic = ctx;
	char buf[MESSAGE_MAX];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0 || errno == ENOBUFS || errno == EINTR)
		;
	tip_veths_schedule(ic);
}

void tip_veths_schedule(struct tip_intercept *ic)
{
	const struct timeval soon = {.tv_usec = LOOK_USEC};

	if (ic->links && !event_pending(ic->look_at_links, EV_TIMEOUT, NULL))
		event_add(ic->look_at_links, &soon);
}

int tip_veths_open(struct tip_intercept *ic)
{
	ic->veths = tip_map_new();
	ic->links = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!ic->links || mnl_socket_bind(ic->links, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	ic->look_at_links = event_new(ic->base, -1, 0, on_look, ic);
	ic->link_changed = event_new(ic->base, mnl_socket_get_fd(ic->links), EV_READ | EV_PERSIST,
				     on_change, ic);
	if (!ic->look_at_links || !ic->link_changed || event_add(ic->link_changed, NULL) < 0)
		abort();
	return 0;
}

void tip_veths_close(struct tip_intercept *ic)
{
	if (ic->link_changed)
		event_free(ic->link_changed);
	if (ic->look_at_links)
		event_free(ic->look_at_links);
	if (ic->links)
		mnl_socket_close(ic->links);
	if (ic->veths)
		tip_map_free(ic->veths, free);
	ic->link_changed = ic->look_at_links = NULL;
	ic->links = NULL;
	ic->veths = NULL;
}

void tip_veths_drop(struct tip_intercept *ic, const struct tip_netns *ns)
{
	if (ic->veths)
		forget(ic, ns);
}
