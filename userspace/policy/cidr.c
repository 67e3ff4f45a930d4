/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/cidr.h"

#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

#define MAPPED_BITS 96 /* of ::ffff:0:0/96 */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static unsigned int width(const struct tip_ip *ip)
{
	return ip->family == 4 ? 32 : 128;
}

struct tip_ip tip_ip4(const void *bytes)
{
	struct tip_ip ip = {.family = 4};

	memcpy(ip.bytes, bytes, 4);
	return ip;
}

struct tip_ip tip_ip6(const void *bytes)
{
	struct tip_ip ip = {.family = 6};

	if (!memcmp(bytes, mapped, sizeof(mapped)))
		return tip_ip4((const uint8_t *)bytes + sizeof(mapped));
	memcpy(ip.bytes, bytes, 16);
	return ip;
}

int tip_ip_parse(const char *text, struct tip_ip *out)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		*out = tip_ip4(bytes);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*out = tip_ip6(bytes);
	else
		return -1;
	return 0;
}

const char *tip_ip_str(const struct tip_ip *ip, char buf[TIP_IP_TEXT])
{
	inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->bytes, buf, TIP_IP_TEXT);
	return buf;
}

struct tip_ip tip_ip_mask(const struct tip_ip *ip, unsigned int bits)
{
	struct tip_ip out = {.family = ip->family};

	memcpy(out.bytes, ip->bytes, bits / 8);
	if (bits % 8)
		out.bytes[bits / 8] = ip->bytes[bits / 8] & (uint8_t)(0xff00 >> bits % 8);
	return out;
}

/* The number after the slash: -1 when it is none, or larger than `max`. */
static int parse_bits(const char *s, unsigned int max)
{
	size_t len = strlen(s);
	int n = 0;

	if (!len || len > 3 || strspn(s, "0123456789") != len || (s[0] == '0' && len > 1))
		return -1;
	for (; *s; s++)
		n = n * 10 + (*s - '0');
	return n <= (int)max ? n : -1;
}

/* ::ffff:10.0.0.0/104 is 10.0.0.0/8 in a form that no connection is ever looked up by. */
static int refuse_mapped(const char *text, const struct tip_ip *ip, int bits, struct tip_error *err)
{
	struct tip_cidr c = {.ip = *ip};
	char buf[TIP_CIDR_TEXT];

	if (bits < MAPPED_BITS)
		return tip_error_set(err, "\"%.60s\" has host bits set", text);
	c.bits = (uint8_t)(bits - MAPPED_BITS);
	c.ip = tip_ip_mask(ip, c.bits);
	return tip_error_set(err, "\"%.60s\" is an IPv4 network: write %s", text,
			     tip_cidr_str(&c, buf));
}

int tip_cidr_parse(const char *text, struct tip_cidr *out, struct tip_error *err)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char addr[TIP_IP_TEXT], buf[TIP_CIDR_TEXT];
	struct tip_ip ip;
	bool six;
	int bits;

	if (len >= sizeof(addr))
		goto bad;
	memcpy(addr, text, len);
	addr[len] = '\0';
	if (tip_ip_parse(addr, &ip) < 0)
		goto bad;
	six = strchr(addr, ':');
	bits = slash ? parse_bits(slash + 1, six ? 128 : 32) : (int)width(&ip);
	if (bits < 0)
		return tip_error_set(err, "\"%.60s\": the prefix length is a number from 0 to %d",
				     text, six ? 128 : 32);
	if (six && ip.family == 4)
		return refuse_mapped(text, &ip, slash ? bits : 128, err);
	*out = (struct tip_cidr){.ip = tip_ip_mask(&ip, (unsigned int)bits), .bits = (uint8_t)bits};
	if (memcmp(&out->ip, &ip, sizeof(ip)) != 0)
		return tip_error_set(err, "\"%.60s\" has host bits set: the network is %s", text,
				     tip_cidr_str(out, buf));
	return 0;
bad:
	return tip_error_set(err,
			     "\"%.60s\" is neither an IPv4 nor an IPv6 network: \"10.0.0.0/8\", "
			     "\"fd00::/8\" or one address",
			     text);
}

const char *tip_cidr_str(const struct tip_cidr *c, char buf[TIP_CIDR_TEXT])
{
	char ip[TIP_IP_TEXT];

	snprintf(buf, TIP_CIDR_TEXT, "%s/%u", tip_ip_str(&c->ip, ip), c->bits);
	return buf;
}

bool tip_cidr_contains(const struct tip_cidr *c, const struct tip_ip *ip)
{
	struct tip_ip net;

	if (ip->family != c->ip.family)
		return false;
	net = tip_ip_mask(ip, c->bits);
	return !memcmp(net.bytes, c->ip.bytes, sizeof(net.bytes));
}
