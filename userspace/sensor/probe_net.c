/* SPDX-License-Identifier: Apache-2.0 */
/* Probes that are about sockets. Each runs in a child, in a network namespace that goes away with
 * it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/mem.h"
#include "sensor/probe.h"

int tip_probe_own_netns(struct tip_capability_result *r)
{
	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	tip_probe_fails(r, errno, "cannot make a network namespace for the trial");
	return -1;
}

int tip_probe_loopback_up(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = "lo"};
	int ret;

	if (fd < 0)
		return -1;
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	ret = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return ret;
}

void tip_probe_nfqueue(struct tip_capability_result *r)
{
	struct {
		struct nlmsghdr nl;
		struct nfgenmsg nf;
		struct nlattr attr;
		struct nfqnl_msg_config_cmd cmd;
	} ask = {
		.nl = {.nlmsg_len = sizeof(ask),
		       .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.nf = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0},
		.attr = {.nla_len = sizeof(ask.attr) + sizeof(ask.cmd), .nla_type = NFQA_CFG_CMD},
		.cmd = {.command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_INET)},
	};
	const struct timeval wait = {.tv_sec = 2};
	struct {
		struct nlmsghdr nl;
		struct nlmsgerr err;
		char rest[512];
	} answer = {0};
	ssize_t n;
	int fd;

	if (tip_probe_own_netns(r))
		return;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0) {
		tip_probe_fails(r, errno, "cannot open a netfilter socket");
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	n = send(fd, &ask, sizeof(ask), 0);
	if (n == (ssize_t)sizeof(ask))
		n = recv(fd, &answer, sizeof(answer), 0);
	if (n < (ssize_t)(sizeof(answer.nl) + sizeof(answer.err)))
		tip_probe_fails(r, n < 0 ? errno : 0, "no answer from the queue subsystem");
	else if (answer.nl.nlmsg_type != NLMSG_ERROR || answer.err.error)
		tip_probe_fails(r, -answer.err.error, "cannot bind a queue");
	else
		tip_probe_works(r, "bound a queue in a network namespace of its own");
	close(fd);
}

void tip_probe_sk_lookup(struct tip_capability_result *r)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = SK_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_SK_LOOKUP);
	int prog, netns, link = -1;

	if (tip_probe_own_netns(r))
		return;
	prog = bpf_prog_load(BPF_PROG_TYPE_SK_LOOKUP, "tip_probe", "Dual BSD/GPL", insns,
			     TIP_ARRAY_SIZE(insns), &opts);
	if (prog < 0) {
		tip_probe_fails(r, errno, "the program does not load");
		return;
	}
	netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns >= 0)
		link = bpf_link_create(prog, netns, BPF_SK_LOOKUP, NULL);
	if (link < 0) {
		tip_probe_fails(r, errno, "cannot attach to a network namespace");
	} else {
		tip_probe_works(r, "attached in a network namespace of its own");
		close(link);
	}
	if (netns >= 0)
		close(netns);
	close(prog);
}
