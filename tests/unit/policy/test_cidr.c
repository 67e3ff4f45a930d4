/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/cidr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void accepted(void **state)
{
	static const struct {
		const char *text, *shown;
		int family, bits;
	} good[] = {
		{"10.0.0.0/8", "10.0.0.0/8", 4, 8},
		{"0.0.0.0/0", "0.0.0.0/0", 4, 0},
		{"10.1.2.3", "10.1.2.3/32", 4, 32},
		{"10.1.2.2/31", "10.1.2.2/31", 4, 31},
		{"10.128.0.0/9", "10.128.0.0/9", 4, 9},
		{"255.255.255.255/32", "255.255.255.255/32", 4, 32},
		{"fd00::/8", "fd00::/8", 6, 8},
		{"::/0", "::/0", 6, 0},
		{"::1", "::1/128", 6, 128},
		{"FD00:0:0::1/128", "fd00::1/128", 6, 128},
		{"2001:db8:8000::/33", "2001:db8:8000::/33", 6, 33},
		{"::fffe:0:0/95", "::fffe:0:0/95", 6, 95}, /* more than IPv4 */
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(good); i++) {
		char buf[TIP_CIDR_TEXT];
		struct tip_error err = {0};
		struct tip_cidr c;

		if (tip_cidr_parse(good[i].text, &c, &err) < 0)
			fail_msg("%s: %s", good[i].text, err.text);
		assert_int_equal(c.ip.family, good[i].family);
		assert_int_equal(c.bits, good[i].bits);
		assert_string_equal(tip_cidr_str(&c, buf), good[i].shown);
	}
}

static void refused(void **state)
{
	static const struct {
		const char *text, *part;
	} bad[] = {
		{"", "neither"},
		{"/8", "neither"},
		{"ten", "neither"},
		{"10.0.0/8", "neither"},
		{"010.0.0.0/8", "neither"},
		{"10.0.0.256", "neither"},
		{"10.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0/8", "neither"},
		{"fe80::1%lo/64", "neither"},
		{"localhost", "neither"},
		{"10.0.0.0/", "from 0 to 32"},
		{"10.0.0.0/33", "from 0 to 32"},
		{"10.0.0.0/08", "from 0 to 32"},
		{"10.0.0.0/-1", "from 0 to 32"},
		{"10.0.0.0/8/8", "from 0 to 32"},
		{"10.0.0.0/255.0.0.0", "from 0 to 32"},
		{"::/129", "from 0 to 128"},
		{"10.0.2.7/24", "the network is 10.0.2.0/24"},
		{"10.0.0.1/0", "the network is 0.0.0.0/0"},
		{"10.129.0.0/9", "the network is 10.128.0.0/9"},
		{"fd00::1/64", "the network is fd00::/64"},
		{"2001:db8:c000::/33", "the network is 2001:db8:8000::/33"},
		{"::ffff:10.0.0.0/104", "write 10.0.0.0/8"},
		{"::ffff:10.1.2.3", "write 10.1.2.3/32"},
		{"::ffff:0:0/96", "write 0.0.0.0/0"},
		{"::ffff:10.0.0.0/64", "host bits"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++) {
		struct tip_error err = {0};
		struct tip_cidr c;

		if (!tip_cidr_parse(bad[i].text, &c, &err))
			fail_msg("%s was accepted", bad[i].text);
		if (!strstr(err.text, bad[i].part))
			fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].text, err.text, bad[i].part);
	}
}

static void contains(void **state)
{
	static const struct {
		const char *net, *ip;
		bool in;
	} cases[] = {
		{"10.0.0.0/8", "10.255.255.255", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.2.128/25", "10.0.2.128", true},
		{"10.0.2.128/25", "10.0.2.127", false},
		{"10.0.0.0/8", "::ffff:10.1.2.3", true},
		{"10.1.2.3/32", "10.1.2.3", true},
		{"10.1.2.3/32", "10.1.2.2", false},
		{"0.0.0.0/0", "192.0.2.1", true},
		{"0.0.0.0/0", "::1", false},
		{"::/0", "::1", true},
		{"::/0", "10.0.0.1", false},
		{"::/0", "::ffff:10.0.0.1", false},
		{"fd00::/8", "fdff::1", true},
		{"fd00::/8", "fe00::1", false},
		{"fd00::4/127", "fd00::5", true},
		{"fd00::4/127", "fd00::6", false},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct tip_error err;
		struct tip_cidr c;
		struct tip_ip ip;

		assert_int_equal(tip_cidr_parse(cases[i].net, &c, &err), 0);
		assert_int_equal(tip_ip_parse(cases[i].ip, &ip), 0);
		if (tip_cidr_contains(&c, &ip) != cases[i].in)
			fail_msg("%s in %s", cases[i].ip, cases[i].net);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(refused),
		cmocka_unit_test(contains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
