/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TESTS_GUARD_TRAFFIC_H
#define TIP_TESTS_GUARD_TRAFFIC_H

/* A kernel that looks into an image as the programs of bpf/intercept do, and policies from text. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "guard/traffic.h"

/* An address as the kernel's key has it. */
static inline void k_address(const struct tip_ip *ip, uint8_t out[16])
{
	memset(out, 0, 16);
	if (ip->family == 6) {
		memcpy(out, ip->bytes, 16);
		return;
	}
	out[10] = out[11] = 0xff;
	memcpy(out + 12, ip->bytes, 4);
}

static inline bool k_matches(const struct tip_traffic_prefix *p, const uint8_t addr[16])
{
	for (uint32_t i = 0; i < p->bits; i++)
		if ((p->addr[i / 8] ^ addr[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

/* The policy's number: the longest prefix, then a binary search. 0: left alone. */
static inline uint32_t k_lookup(const struct tip_traffic_image *image, uint32_t table,
				const struct tip_ip *ip, uint16_t port)
{
	const struct tip_traffic_prefix *best = NULL;
	uint32_t low, high;
	uint8_t addr[16];

	k_address(ip, addr);
	for (size_t i = 0; i < image->nprefixes; i++) {
		const struct tip_traffic_prefix *p = &image->prefixes[i];

		if (p->table == table && k_matches(p, addr) && (!best || p->bits > best->bits))
			best = p;
	}
	if (!best)
		return 0;
	low = best->slice.first;
	high = low + best->slice.count;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (port < image->ports[mid].low)
			high = mid;
		else if (port > image->ports[mid].high)
			low = mid + 1;
		else
			return image->ports[mid].policy;
	}
	return 0;
}

static inline void check_image(const struct tip_traffic_image *image)
{
	assert_true(image->nports <= TIP_TRAFFIC_PORTS_MAX / 2);
	for (size_t i = 0; i < image->nprefixes; i++) {
		const struct tip_traffic_prefix *p = &image->prefixes[i];
		const struct tip_traffic_slice *s = &p->slice;

		assert_true(p->table < TIP_TRAFFIC_SERVER && p->bits <= 128);
		assert_true((size_t)s->first + s->count <= image->nports);
		for (uint32_t k = s->first; k < s->first + s->count; k++) {
			assert_true(image->ports[k].low <= image->ports[k].high);
			if (k > s->first)
				assert_true(image->ports[k - 1].high < image->ports[k].low);
		}
		for (size_t j = 0; j < i && image->nprefixes < 1000; j++)
			assert_false(image->prefixes[j].table == p->table &&
				     image->prefixes[j].bits == p->bits &&
				     !memcmp(image->prefixes[j].addr, p->addr, 16));
	}
}

static inline struct tip_traffic_policies *parse(const char *text)
{
	struct tip_traffic_policies *all = tip_traffic_policies_new();
	struct tip_error err = {0};

	if (tip_traffic_policies_parse(all, "t.yaml", text, strlen(text), &err) < 0)
		fail_msg("%d:%d %s", err.line, err.column, err.text);
	return all;
}

static inline struct tip_ip address(const char *text)
{
	struct tip_ip ip;

	assert_int_equal(tip_ip_parse(text, &ip), 0);
	return ip;
}

#endif
