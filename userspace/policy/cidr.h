/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_POLICY_CIDR_H
#define TIP_POLICY_CIDR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * An address. IPv4 fills the first four bytes, the rest is zero, so that addresses can be compared
 * and hashed as bytes. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is always kept as the IPv4
 * address: it is the same peer, and must not meet another policy.
 */
struct tip_ip {
	uint8_t family; /* 4 or 6 */
	uint8_t bytes[16];
};

/* A network: the bits of `ip` beyond `bits` are zero. */
struct tip_cidr {
	struct tip_ip ip;
	uint8_t bits; /* 0..32 or 0..128 */
};

/* Enough for the text of any address, and of any network. */
#define TIP_IP_TEXT   46
#define TIP_CIDR_TEXT (TIP_IP_TEXT + 4)

/* From 4 or 16 bytes in network order. */
struct tip_ip tip_ip4(const void *bytes);
struct tip_ip tip_ip6(const void *bytes);

/* Parses "10.0.0.1", "fd00::1". 0, or -1. */
int tip_ip_parse(const char *text, struct tip_ip *out);
const char *tip_ip_str(const struct tip_ip *ip, char buf[TIP_IP_TEXT]);

/* The address with all but its first `bits` bits zero. */
struct tip_ip tip_ip_mask(const struct tip_ip *ip, unsigned int bits);

/*
 * Parses "10.0.0.0/8", "fd00::/8" or a single address. Host bits that are set, and IPv4 networks
 * written as IPv6, are refused with the network that was probably meant. 0, or -1 with `err`
 * (without a place).
 */
int tip_cidr_parse(const char *text, struct tip_cidr *out, struct tip_error *err);
const char *tip_cidr_str(const struct tip_cidr *c, char buf[TIP_CIDR_TEXT]);
bool tip_cidr_contains(const struct tip_cidr *c, const struct tip_ip *ip);

#endif
