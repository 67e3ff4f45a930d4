/* SPDX-License-Identifier: Apache-2.0 */
#include "intercept/syn.h"

#include <netinet/in.h>
#include <string.h>

/* Offsets of RFC 791 and RFC 9293. */
#define IP_MIN      20
#define IP_FRAGMENT 6
#define IP_PROTOCOL 9
#define IP_SOURCE   12
#define IP_DEST     16
#define TCP_MIN     20
#define TCP_SEQ     4
#define TCP_OFFSET  12
#define TCP_FLAGS   13

#define MORE_FRAGMENTS 0x2000
#define FRAGMENT_MASK  0x1fff

#define FLAG_FIN 0x01
#define FLAG_SYN 0x02
#define FLAG_RST 0x04
#define FLAG_ACK 0x10

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

int tip_syn_parse(const uint8_t *data, size_t len, struct tip_syn *out)
{
	const uint8_t *tcp;
	size_t ip_len;

	if (len < IP_MIN || data[0] >> 4 != 4)
		return -1;
	ip_len = (size_t)(data[0] & 15) * 4;
	if (ip_len < IP_MIN || len < ip_len + TCP_MIN || data[IP_PROTOCOL] != IPPROTO_TCP ||
	    get16(data + IP_FRAGMENT) & (MORE_FRAGMENTS | FRAGMENT_MASK))
		return -1;
	tcp = data + ip_len;
	if ((size_t)(tcp[TCP_OFFSET] >> 4) * 4 < TCP_MIN ||
	    (tcp[TCP_FLAGS] & (FLAG_FIN | FLAG_SYN | FLAG_RST | FLAG_ACK)) != FLAG_SYN)
		return -1;
	memcpy(&out->saddr, data + IP_SOURCE, sizeof(out->saddr));
	memcpy(&out->daddr, data + IP_DEST, sizeof(out->daddr));
	out->sport = get16(tcp);
	out->dport = get16(tcp + 2);
	out->seq = get32(tcp + TCP_SEQ);
	return 0;
}
