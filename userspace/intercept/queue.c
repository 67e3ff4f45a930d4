/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of a namespace, in which SYNs wait for their verdict. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>

#include "intercept/internal.h"

#define MESSAGE_MAX 4096 /* a SYN and what nfnetlink_queue says of it: some 300 bytes */
#define ROOM        (2 * 1024 * 1024)
#define PACKETS_MAX 64 /* taken before the loop gets its turn again */

struct message {
	char data[MESSAGE_MAX] __attribute__((aligned(8)));
};

static uint16_t queue_number(const struct tip_netns *ns)
{
	return ns->ic->netfilter.queue;
}

static void verdict(struct tip_netns *ns, uint32_t packet, int what, uint32_t mark)
{
	struct nlmsghdr *nl;
	struct message m;

	nl = nfq_nlmsg_put(m.data, NFQNL_MSG_VERDICT, queue_number(ns));
	nfq_nlmsg_verdict_put(nl, (int)packet, what);
	nfq_nlmsg_verdict_put_mark(nl, mark);
	/* It fails only for a packet that is gone; the answer to that is read and ignored. */
	mnl_socket_sendto(ns->queue, nl, nl->nlmsg_len);
}

void tip_queue_pass(struct tip_netns *ns, uint32_t packet, uint32_t mark)
{
	verdict(ns, packet, NF_ACCEPT, mark);
}

void tip_queue_drop(struct tip_netns *ns, uint32_t packet)
{
	verdict(ns, packet, NF_DROP, TIP_MARK_NONE);
}

static int on_message(const struct nlmsghdr *nl, void *ctx)
{
	struct nlattr *attr[NFQA_MAX + 1] = {0};
	const struct nfqnl_msg_packet_hdr *head;
	struct tip_netns *ns = ctx;
	struct tip_syn syn;
	uint32_t packet;

	if (nfq_nlmsg_parse(nl, attr) < 0 || !attr[NFQA_PACKET_HDR])
		return MNL_CB_OK;
	head = mnl_attr_get_payload(attr[NFQA_PACKET_HDR]);
	packet = ntohl(head->packet_id);
	/* It has another number by now, see take_over(). They come in order. */
	if (ns->taken_over && (int32_t)(packet - ns->stale) <= 0)
		return MNL_CB_OK;
	ns->taken_over = false;
	/* The kernel numbers each packet and drops those that find no room in our socket. */
	ns->ic->stats.queue_drops += packet - ns->last_packet - 1;
	ns->last_packet = packet;
	/*
	 * Nobody but our rule has business with this queue. What another rule sent here is dropped,
	 * and so is what comes before the namespace is served: it will be sent again.
	 */
	if (!ns->queued || !attr[NFQA_PAYLOAD] ||
	    tip_syn_parse(mnl_attr_get_payload(attr[NFQA_PAYLOAD]),
			  mnl_attr_get_payload_len(attr[NFQA_PAYLOAD]), &syn) < 0)
		tip_queue_drop(ns, packet);
	else
		tip_outbound_syn(ns->ic, ns, &syn, packet);
	return MNL_CB_OK;
}

/* Sends a request and waits for the kernel's answer, which is there when send() returns. */
static int ask(struct tip_netns *ns, struct nlmsghdr *nl)
{
	const unsigned int portid = mnl_socket_get_portid(ns->queue);
	const uint32_t seq = 1;
	struct message m;
	ssize_t n;
	int ret;

	nl->nlmsg_seq = seq;
	nl->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(ns->queue, nl, nl->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(ns->queue, m.data, sizeof(m.data));
		if (n < 0)
			return -errno;
		ret = mnl_cb_run(m.data, n, seq, portid, on_message, ns);
	} while (ret > MNL_CB_STOP);
	return ret < 0 ? -errno : 0;
}

/*
 * What an earlier daemon had in its hands is sent through the rules once more: it comes to the
 * queue again, with a new number. Nothing is read here, since what comes from now on is for
 * on_readable().
 */
static void take_over(struct tip_netns *ns, uint32_t last)
{
	struct nlmsghdr *nl;
	struct message m;

	ns->taken_over = true;
	ns->stale = ns->last_packet = last;
	nl = nfq_nlmsg_put(m.data, NFQNL_MSG_VERDICT_BATCH, queue_number(ns));
	nfq_nlmsg_verdict_put(nl, (int)last, NF_REPEAT);
	mnl_socket_sendto(ns->queue, nl, nl->nlmsg_len);
}

int tip_queue_open(struct tip_netns *ns)
{
	const int room = ROOM;
	struct nlmsghdr *nl;
	struct message m;
	uint32_t last;
	int ret;

	ns->taken_over = false;
	ns->queue = tip_inherited_queue(ns, &last);
	if (ns->queue) {
		take_over(ns, last);
		return 0;
	}
	ns->queue = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!ns->queue)
		return -errno;
	ns->last_packet = 0;
	setsockopt(mnl_socket_get_fd(ns->queue), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (mnl_socket_bind(ns->queue, 0, MNL_SOCKET_AUTOPID) < 0) {
		ret = -errno;
		goto fail;
	}
	nl = nfq_nlmsg_put(m.data, NFQNL_MSG_CONFIG, queue_number(ns));
	nfq_nlmsg_cfg_put_cmd(nl, AF_INET, NFQNL_CFG_CMD_BIND);
	nfq_nlmsg_cfg_put_params(nl, NFQNL_COPY_PACKET, TIP_SYN_MAX);
	/* Above our own limit, so that what is refused is refused by us. The flag FAIL_OPEN is not
	 * set: what finds no room is dropped, not let through. */
	nfq_nlmsg_cfg_put_qmaxlen(nl, (uint32_t)ns->ic->max_held + 1024);
	ret = ask(ns, nl);
	if (ret == 0)
		return 0;
fail:
	tip_queue_close(ns);
	return ret;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_netns *ns = ctx;
	struct message m;

	for (int i = 0; i < PACKETS_MAX; i++) {
		const ssize_t n = mnl_socket_recvfrom(ns->queue, m.data, sizeof(m.data));

		/* ENOBUFS tells of drops, which the numbers of the packets tell, too. */
		if (n < 0 && errno != ENOBUFS)
			return;
		if (n > 0)
			mnl_cb_run(m.data, n, 0, mnl_socket_get_portid(ns->queue), on_message, ns);
	}
}

void tip_queue_listen(struct tip_netns *ns)
{
	ns->queued = event_new(ns->ic->base, mnl_socket_get_fd(ns->queue), EV_READ | EV_PERSIST,
			       on_readable, ns);
	if (!ns->queued || (ns->ic->doors_open && event_add(ns->queued, NULL) < 0))
		abort();
}

void tip_queue_close(struct tip_netns *ns)
{
	if (ns->queued)
		event_free(ns->queued);
	ns->queued = NULL;
	if (ns->queue)
		mnl_socket_close(ns->queue);
	ns->queue = NULL;
}
