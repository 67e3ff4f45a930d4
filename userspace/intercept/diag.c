/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends plaintext connections that were there before the policy which covers them: all TCP sockets
 * of a namespace are listed, and those are destroyed that a strict policy covers and that are not
 * ours.
 *
 * Ours are known by socket cookie, which is the kernel's, never reused and noted when a socket is
 * made: a cgroup says nothing, since applications may share the keeper's. The application's end of
 * a leg is none of our sockets; it is known by the leg's addresses. A socket that no process holds
 * is left alone: it may be ours, on its way out with the last bytes of a clean end, or not accepted
 * yet; if it is not ours, the plaintext stop lets nothing of it through.
 *
 * IPv6 proper is not looked at: what a policy covers there is refused by the plaintext stop.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>

#include "base/log.h"
#include "intercept/internal.h"

#define MESSAGE_MAX 16384

struct message {
	char data[MESSAGE_MAX] __attribute__((aligned(8)));
};

#define STATES                                                                                     \
	(1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 |  \
	 1u << TCP_CLOSE_WAIT | 1u << TCP_CLOSING | 1u << TCP_LAST_ACK)

struct sweep {
	const struct tip_intercept *ic;
	const struct tip_netns *ns;
	struct tip_map *ours; /* cookies, and how the applications' ends of legs see them */
	bool (*covered)(void *ctx, uint32_t addr, uint16_t port);
	void *ctx;
	struct mnl_socket *list, *kill;
	size_t ended;
	int err; /* of the last one that could not be ended */
};

/* Our sockets by cookie, and the far ends of our legs. */
static struct tip_map *note_ours(const struct tip_intercept *ic)
{
	struct tip_map *ours = tip_map_new();
	struct tip_flow_entry *f;
	struct tip_leg_entry *l;

	TAILQ_FOREACH(f, &ic->flows, link)
	{
		for (size_t i = 0; i < 2; i++) {
			if (f->cookie[i])
				tip_map_putu(ours, f->cookie[i], f);
		}
	}
	TAILQ_FOREACH(l, &ic->legs, link)
	{
		const struct tip_flow_key far = {
			.netns = l->key.netns,
			.saddr = l->key.daddr,
			.daddr = l->key.saddr,
			.sport = l->key.dport,
			.dport = l->key.sport,
		};

		tip_map_put(ours, &far, sizeof(far), l);
	}
	return ours;
}

/* An IPv4 address, which an IPv6 socket shows as a mapped one. */
static bool ipv4(const struct inet_diag_msg *d, const __be32 *addr, uint32_t *out)
{
	if (d->idiag_family == AF_INET) {
		*out = addr[0];
		return true;
	}
	*out = addr[3];
	return addr[0] == 0 && addr[1] == 0 && addr[2] == htonl(0xffff);
}

static bool is_worker(const struct sweep *s, uint32_t addr, uint16_t port)
{
	return addr == htonl(INADDR_LOOPBACK) && port == s->ic->port;
}

static bool is_plain(const struct sweep *s, const struct inet_diag_msg *d)
{
	const uint64_t cookie = d->id.idiag_cookie[0] | (uint64_t)d->id.idiag_cookie[1] << 32;
	struct tip_flow_key k = {
		.netns = s->ns->cookie,
		.sport = ntohs(d->id.idiag_sport),
		.dport = ntohs(d->id.idiag_dport),
	};

	if (!ipv4(d, d->id.idiag_src, &k.saddr) || !ipv4(d, d->id.idiag_dst, &k.daddr))
		return false;
	/* Either end of what the application has with us. */
	if (is_worker(s, k.saddr, k.sport) || is_worker(s, k.daddr, k.dport))
		return false;
	if (d->idiag_inode == 0 || tip_map_getu(s->ours, cookie) ||
	    tip_map_get(s->ours, &k, sizeof(k)))
		return false;
	return s->covered(s->ctx, k.daddr, k.dport) || s->covered(s->ctx, k.saddr, k.sport);
}

/* A request about TCP sockets of that family, begun in `m`. */
static struct inet_diag_req_v2 *begin(struct message *m, uint16_t type, uint16_t flags,
				      uint8_t family)
{
	struct nlmsghdr *nl = mnl_nlmsg_put_header(m->data);
	struct inet_diag_req_v2 *req;

	nl->nlmsg_type = type;
	nl->nlmsg_flags = NLM_F_REQUEST | flags;
	req = mnl_nlmsg_put_extra_header(nl, sizeof(*req));
	req->sdiag_family = family;
	req->sdiag_protocol = IPPROTO_TCP;
	return req;
}

static ssize_t send_message(const struct mnl_socket *to, const struct message *m)
{
	return mnl_socket_sendto(to, m->data, ((const struct nlmsghdr *)m->data)->nlmsg_len);
}

static void destroy(struct sweep *s, const struct inet_diag_msg *d)
{
	struct message m;
	ssize_t n;

	begin(&m, SOCK_DESTROY, NLM_F_ACK, d->idiag_family)->id = d->id;
	if (send_message(s->kill, &m) < 0 ||
	    (n = mnl_socket_recvfrom(s->kill, m.data, sizeof(m.data))) < 0 ||
	    mnl_cb_run(m.data, n, 0, mnl_socket_get_portid(s->kill), NULL, NULL) < 0) {
		/* ENOENT: it has ended by itself meanwhile. */
		if (errno != ENOENT)
			s->err = errno;
		return;
	}
	s->ended++;
}

static int on_socket(const struct nlmsghdr *nl, void *ctx)
{
	const struct inet_diag_msg *d = mnl_nlmsg_get_payload(nl);
	struct sweep *s = ctx;

	if (mnl_nlmsg_get_payload_len(nl) >= sizeof(*d) && is_plain(s, d))
		destroy(s, d);
	return MNL_CB_OK;
}

static int list_family(struct sweep *s, uint8_t family)
{
	struct message m;
	ssize_t n;
	int ret;

	begin(&m, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family)->idiag_states = STATES;
	if (send_message(s->list, &m) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(s->list, m.data, sizeof(m.data));
		if (n < 0)
			return -errno;
		ret = mnl_cb_run(m.data, n, 0, mnl_socket_get_portid(s->list), on_socket, s);
	} while (ret > MNL_CB_STOP);
	return ret < 0 ? -errno : 0;
}

/* In the namespace that this thread is in. NULL with errno. */
static struct mnl_socket *open_diag(void)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	int err;

	if (!sock || mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) == 0)
		return sock;
	err = errno;
	mnl_socket_close(sock);
	errno = err;
	return NULL;
}

static int open_inside(struct sweep *s)
{
	int ret = tip_netns_enter(s->ns->fd);

	if (ret < 0)
		return ret;
	s->list = open_diag();
	s->kill = s->list ? open_diag() : NULL;
	if (!s->kill)
		ret = -errno;
	tip_netns_leave(s->ic->home);
	return ret;
}

static void sweep_one(struct sweep *s)
{
	int ret = open_inside(s);

	s->err = 0;
	if (ret == 0)
		ret = list_family(s, AF_INET);
	/* -ENOENT: a kernel without IPv6. */
	if (ret == 0 && (ret = list_family(s, AF_INET6)) == -ENOENT)
		ret = 0;
	if (ret == 0)
		ret = -s->err;
	if (ret < 0)
		tip_warn("intercept",
			 "network namespace %u: connections from before the policy cannot all be "
			 "ended: %s",
			 s->ns->inode, strerror(-ret));
	if (s->list)
		mnl_socket_close(s->list);
	if (s->kill)
		mnl_socket_close(s->kill);
	s->list = s->kill = NULL;
}

static int ask_for(struct mnl_socket *sock, const struct tip_flow_key *key)
{
	struct inet_diag_req_v2 *req;
	struct message m;
	ssize_t n;

	req = begin(&m, SOCK_DIAG_BY_FAMILY, 0, AF_INET);
	req->idiag_states = ~0u;
	req->id.idiag_src[0] = key->saddr;
	req->id.idiag_dst[0] = key->daddr;
	req->id.idiag_sport = htons(key->sport);
	req->id.idiag_dport = htons(key->dport);
	req->id.idiag_cookie[0] = req->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (send_message(sock, &m) < 0)
		return -errno;
	n = mnl_socket_recvfrom(sock, m.data, sizeof(m.data));
	if (n < 0 || mnl_cb_run(m.data, n, 0, mnl_socket_get_portid(sock), NULL, NULL) < 0)
		return -errno;
	return 0;
}

bool tip_diag_exists(const struct tip_intercept *ic, const struct tip_netns *ns,
		     const struct tip_flow_key *key)
{
	struct mnl_socket *sock;
	int ret = -EAGAIN;

	if (tip_netns_enter(ns->fd) < 0)
		return true;
	sock = open_diag();
	tip_netns_leave(ic->home);
	if (sock)
		ret = ask_for(sock, key);
	if (sock)
		mnl_socket_close(sock);
	return ret != -ENOENT;
}

size_t tip_intercept_end_plain(struct tip_intercept *ic,
			       bool (*covered)(void *ctx, uint32_t addr, uint16_t port), void *ctx)
{
	struct sweep s = {.ic = ic, .ours = note_ours(ic), .covered = covered, .ctx = ctx};
	size_t it = 0;

	while ((s.ns = tip_map_next(ic->spaces, &it))) {
		if (s.ns->fd >= 0)
			sweep_one(&s);
	}
	tip_map_free(s.ours, NULL);
	return s.ended;
}
