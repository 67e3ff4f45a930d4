/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_INTERCEPT_SYN_H
#define TIP_INTERCEPT_SYN_H

#include <stddef.h>
#include <stdint.h>

/* The first packet of a TCP connection over IPv4. Addresses in network, the rest in host order. */
struct tip_syn {
	uint32_t saddr, daddr;
	uint16_t sport, dport;
	uint32_t seq; /* tells a retransmission from a new connection on the same ports */
};

/* As much of a packet as tip_syn_parse() can need: two headers of the longest kind. */
#define TIP_SYN_MAX 120

/*
 * Reads the start of an IP packet, which anybody with a raw socket can have written. 0, or -1 if it
 * is no unfragmented IPv4 packet with a SYN that opens a connection.
 */
int tip_syn_parse(const uint8_t *data, size_t len, struct tip_syn *out);

#endif
