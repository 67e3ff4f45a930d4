/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's listener of a namespace. What arrives on its own address is the application's end of
 * a released connect(); everything else sk_lookup has steered here from an enforced port.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "intercept/internal.h"

#define BACKLOG    4096 /* a released SYN that finds it full costs its connect() a second */
#define ACCEPT_MAX 32   /* connections taken before the loop gets its turn again */
#define PAUSE_USEC 100000
#define EARLIER_NS (10 * TIP_NSEC_PER_SEC)

int tip_listener_open(struct tip_netns *ns)
{
	const struct sockaddr_in sa = {.sin_family = AF_INET,
				       .sin_port = htons(ns->ic->port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = tip_inherited_listener(ns), ret;
	const int one = 1;

	if (fd >= 0) {
		/* To the maps of another layout it is a stranger. */
		ret = ns->ic->ops.ours(ns->ic->ops.ctx, fd, TIP_OURS_LISTENER);
		if (ret < 0)
			close(fd);
		else
			ns->listener = fd;
		return ret;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/*
	 * REUSEADDR: what an earlier worker accepted may not be over. Nobody can sit there as well:
	 * two listeners need SO_REUSEPORT on both. FREEBIND: the loopback of a young namespace is
	 * down and has no address yet. What is accepted inherits mark and linger: a reset, unless
	 * somebody closes it well.
	 */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
	tip_socket_linger(fd);
	if (setsockopt(fd, IPPROTO_TCP, TCP_SAVE_SYN, &one, sizeof(one)) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	ret = ns->ic->ops.ours(ns->ic->ops.ctx, fd, TIP_OURS_LISTENER);
	if (ret == 0 &&
	    (bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, BACKLOG) < 0))
		ret = -errno;
	if (ret < 0) {
		close(fd);
		return ret;
	}
	ns->listener = fd;
	return 0;
}

static void orphan(struct tip_netns *ns, int fd)
{
	ns->ic->stats.orphans++;
	tip_socket_linger(fd);
	close(fd);
}

/*
 * Is this the connection whose SYN was judged? An application that closes its socket after the
 * release leaves its ports to others. Its entry in `redirects` does not tell: who connects, writes
 * and closes at once has none by now, and what it wrote is to arrive.
 */
static bool began_with(int fd, uint32_t seq)
{
	uint8_t saved[TIP_SYN_MAX];
	socklen_t len = sizeof(saved);
	struct tip_syn syn;

	return getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, saved, &len) == 0 &&
	       tip_syn_parse(saved, len, &syn) == 0 && syn.seq == seq;
}

static void accept_outbound(struct tip_netns *ns, int fd, const struct sockaddr_in *local,
			    const struct sockaddr_in *peer)
{
	const struct tip_flow_key key = {
		.netns = ns->cookie,
		.saddr = peer->sin_addr.s_addr,
		.daddr = local->sin_addr.s_addr,
		.sport = ntohs(peer->sin_port),
		.dport = ntohs(local->sin_port),
	};
	struct tip_intercept *ic = ns->ic;
	struct tip_flow_entry *f = tip_flow_by_key(ic, &key);
	struct tip_redirect r;

	if (!f || f->pub.state != TIP_FLOW_JOINING || !began_with(fd, f->seq)) {
		/*
		 * A redirected connect() that never was in the queue: there is no rule any more.
		 * Or it was released by an earlier daemon, whose listener this was.
		 */
		if (!f &&
		    (!ns->inherited_at || tip_clock_monotonic() - ns->inherited_at > EARLIER_NS) &&
		    ic->ops.redirect(ic->ops.ctx, &key, &r) == 0)
			ns->bypassed = true;
		if (f)
			tip_flow_cut(ic, f, ECONNABORTED);
		orphan(ns, fd);
		return;
	}
	ic->stats.accepted++;
	f->deadline = 0;
	f->cookie[1] = tip_socket_cookie(fd);
	tip_flow_move(ic, f, TIP_FLOW_JOINED);
	ic->ops.joined(ic->ops.ctx, &f->pub, fd);
	close(fd);
}

static void accept_inbound(struct tip_netns *ns, int fd, const struct sockaddr_in *local,
			   const struct sockaddr_in *peer)
{
	struct tip_intercept *ic = ns->ic;
	struct tip_listener server;
	struct tip_flow_entry *f;
	uint64_t id;

	if (ic->stats.flows >= ic->max_flows) {
		ic->stats.limit_flows++;
		ic->ops.limited(ic->ops.ctx,
				&(struct tip_flow){.inbound = true, .netns = ns->cookie},
				TIP_LIMIT_FLOWS);
		tip_socket_linger(fd);
		close(fd);
		return;
	}
	f = tip_flow_begin(ic, ns, true, TIP_ID_PENDING);
	f->pub.local = (struct tip_end){local->sin_addr.s_addr, ntohs(local->sin_port)};
	f->pub.remote = (struct tip_end){peer->sin_addr.s_addr, ntohs(peer->sin_port)};
	f->cookie[0] = tip_socket_cookie(fd);
	if (ic->ops.listener(ic->ops.ctx, ns->cookie, f->pub.local.addr, f->pub.local.port,
			     &server) == 0) {
		f->pub.exec_id = server.exec_id;
		f->pub.proc = server.proc;
	}
	ic->stats.accepted++;
	id = f->pub.id;
	/* Not taken: nobody will say that it has ended. It may have, in there. */
	if (!ic->ops.inbound(ic->ops.ctx, &f->pub, fd)) {
		tip_socket_linger(fd);
		f = tip_flow_find(ic, id);
		if (f)
			tip_flow_end(ic, f);
	}
	close(fd);
}

static void on_resume(evutil_socket_t fd, short what, void *ctx)
{
	const struct tip_netns *ns = ctx;

	event_add(ns->readable, NULL);
}

/* True if it makes sense to try the next one at once. */
static bool accept_one(struct tip_netns *ns)
{
	const struct timeval pause = {.tv_usec = PAUSE_USEC};
	struct sockaddr_in local = {0}, peer = {0};
	socklen_t llen = sizeof(local), plen = sizeof(peer);
	const int fd = accept4(ns->listener, (struct sockaddr *)&peer, &plen,
			       SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* It stays readable: look again when something has been closed. */
			event_del(ns->readable);
			event_add(ns->resume, &pause);
			return false;
		}
		return errno != EAGAIN;
	}
	if (getsockname(fd, (struct sockaddr *)&local, &llen) < 0)
		close(fd);
	else if (local.sin_addr.s_addr == htonl(INADDR_LOOPBACK) &&
		 local.sin_port == htons(ns->ic->port))
		accept_outbound(ns, fd, &local, &peer);
	else
		accept_inbound(ns, fd, &local, &peer);
	return true;
}

static void on_acceptable(evutil_socket_t fd, short what, void *ctx)
{
	for (int i = 0; i < ACCEPT_MAX && accept_one(ctx); i++)
		;
}

void tip_listener_listen(struct tip_netns *ns)
{
	ns->readable =
		event_new(ns->ic->base, ns->listener, EV_READ | EV_PERSIST, on_acceptable, ns);
	ns->resume = event_new(ns->ic->base, -1, 0, on_resume, ns);
	if (!ns->readable || !ns->resume ||
	    (ns->ic->doors_open && event_add(ns->readable, NULL) < 0))
		abort();
}

void tip_listener_close(struct tip_netns *ns)
{
	if (ns->readable)
		event_free(ns->readable);
	if (ns->resume)
		event_free(ns->resume);
	ns->readable = ns->resume = NULL;
	if (ns->listener >= 0)
		close(ns->listener);
	ns->listener = -1;
}

void tip_inbound_wanted(struct tip_intercept *ic, struct tip_flow_entry *f)
{
	int fd;

	if (f->pub.state != TIP_FLOW_SHAKING)
		return;
	fd = tip_dial_leg(ic, f);
	if (fd < 0) {
		tip_flow_cut(ic, f, -fd);
		return;
	}
	tip_flow_move(ic, f, TIP_FLOW_JOINED);
	ic->ops.joined(ic->ops.ctx, &f->pub, fd);
	close(fd);
}
