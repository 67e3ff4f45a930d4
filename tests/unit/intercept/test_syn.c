/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "base/mem.h"
#include "intercept/syn.h"

#define LEN 40

/* 10.1.2.3:40000 to 127.0.0.1:15049, as the queue shows it. */
static const uint8_t syn[LEN] = {
	0x45, 0,    0,    40,   0,    1,    0x40, 0,    64, 6, 0, 0, 10,   1,
	2,    3,    127,  0,    0,    1,                                      /* IP */
	0x9c, 0x40, 0x3a, 0xc9, 0x12, 0x34, 0x56, 0x78, 0,  0, 0, 0, 0x50, 2, /* TCP */
};

static void reads_a_syn(void **state)
{
	struct tip_syn out;

	assert_int_equal(tip_syn_parse(syn, sizeof(syn), &out), 0);
	assert_int_equal(out.saddr, htonl(0x0a010203));
	assert_int_equal(out.daddr, htonl(INADDR_LOOPBACK));
	assert_int_equal(out.sport, 40000);
	assert_int_equal(out.dport, 15049);
	assert_int_equal(out.seq, 0x12345678);
}

static void reads_past_ip_options(void **state)
{
	uint8_t with[LEN + 8] = {0};
	struct tip_syn out;

	memcpy(with, syn, 20);
	memcpy(with + 28, syn + 20, 20);
	with[0] = 0x47;
	assert_int_equal(tip_syn_parse(with, sizeof(with), &out), 0);
	assert_int_equal(out.sport, 40000);
	assert_int_equal(tip_syn_parse(with, sizeof(with) - 1, &out), -1);
}

static void refuses_what_is_cut_short(void **state)
{
	struct tip_syn out;

	for (size_t len = 0; len < sizeof(syn); len++) {
		/* On the heap's end, so that the sanitizer sees a read too many. */
		uint8_t *copy = tip_alloc(len + 1);

		memmove(copy + 1, syn, len);
		assert_int_equal(tip_syn_parse(copy + 1, len, &out), -1);
		free(copy);
	}
}

static void refuses_other_packets(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} changes[] = {
		{0, 0x65},  /* IPv6 */
		{0, 0x44},  /* a header that is too short */
		{0, 0x4f},  /* and one that is longer than the packet */
		{6, 0x20},  /* more fragments */
		{7, 0x01},  /* a later fragment */
		{9, 17},    /* UDP */
		{32, 0x40}, /* a TCP header that is too short */
		{33, 0x12}, /* SYN and ACK */
		{33, 0x10}, /* ACK */
		{33, 0x06}, /* SYN and RST */
		{33, 0x03}, /* SYN and FIN */
		{33, 0},
	};
	struct tip_syn out;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(changes); i++) {
		uint8_t p[LEN];

		memcpy(p, syn, sizeof(p));
		p[changes[i].at] = changes[i].value;
		assert_int_equal(tip_syn_parse(p, sizeof(p), &out), -1);
	}
}

static void takes_other_flags(void **state)
{
	struct tip_syn out;
	uint8_t p[LEN];

	/* ECN: ECE and CWR are set in a SYN that offers it. */
	memcpy(p, syn, sizeof(p));
	p[33] = 0xc2;
	assert_int_equal(tip_syn_parse(p, sizeof(p), &out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_syn),
		cmocka_unit_test(reads_past_ip_options),
		cmocka_unit_test(refuses_what_is_cut_short),
		cmocka_unit_test(refuses_other_packets),
		cmocka_unit_test(takes_other_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
