/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a packet of the queue: refused, or a SYN whose parts are where the headers say. */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "intercept/syn.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct tip_syn syn;
	struct tcphdr tcp;
	struct iphdr ip;

	if (tip_syn_parse(data, size, &syn) < 0)
		return 0;
	memcpy(&ip, data, sizeof(ip));
	memcpy(&tcp, data + ip.ihl * 4u, sizeof(tcp));
	if (ip.version != 4 || ip.protocol != IPPROTO_TCP || !tcp.syn || tcp.ack || tcp.rst ||
	    tcp.fin || ntohs(ip.frag_off) & (IP_MF | IP_OFFMASK))
		abort();
	if (ip.saddr != syn.saddr || ip.daddr != syn.daddr || ntohs(tcp.source) != syn.sport ||
	    ntohs(tcp.dest) != syn.dport || ntohl(tcp.seq) != syn.seq)
		abort();
	/* More of the packet changes nothing. */
	if (size > TIP_SYN_MAX && tip_syn_parse(data, TIP_SYN_MAX, &syn) < 0)
		abort();
	return 0;
}
