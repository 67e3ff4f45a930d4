/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel finds in an image against what traffic/decide.h says of the same policies, and
 * for IPv6 against a walk over all of them.
 */
#include "traffic.h"

#include "traffic/decide.h"

#define SETS     200
#define POLICIES 30
#define FLOWS    500

static uint64_t seed;

static unsigned int pick(unsigned int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)((seed >> 11) % n);
}

/* Addresses lie close together, so that networks lie inside each other. */
static struct tip_ip random_address(void)
{
	uint8_t bytes[16] = {0};

	if (pick(3)) {
		bytes[0] = pick(10) ? 10 : 11;
		bytes[3] = (uint8_t)pick(16);
		return tip_ip4(bytes);
	}
	/* Also neighbours of ::ffff:a.b.c.d, where IPv4 has its place in the kernel. */
	if (pick(2))
		bytes[0] = 0xfd;
	else
		bytes[9] = (uint8_t)pick(2);
	bytes[15] = (uint8_t)pick(16);
	return tip_ip6(bytes);
}

static void random_to(struct tip_buf *b)
{
	static const unsigned int bits4[] = {0, 8, 24, 28, 29, 30, 31, 32};
	static const unsigned int bits6[] = {0, 8, 64, 80, 95, 124, 126, 128};
	struct tip_ip ip = random_address();
	struct tip_cidr c = {.bits = (uint8_t)(ip.family == 4 ? bits4 : bits6)[pick(8)]};
	unsigned int port = 1 + pick(12);
	char text[TIP_CIDR_TEXT];

	c.ip = tip_ip_mask(&ip, c.bits);
	tip_buf_addf(b, "  - {cidr: \"%s\", port: ", tip_cidr_str(&c, text));
	if (!pick(15))
		tip_buf_adds(b, "1-65535}\n");
	else if (!pick(15))
		tip_buf_addf(b, "%u-65535}\n", port);
	else if (pick(2))
		tip_buf_addf(b, "%u}\n", port);
	else
		tip_buf_addf(b, "%u-%u}\n", port, port + 1 + pick(6));
}

static struct tip_traffic_policies *random_policies(void)
{
	struct tip_traffic_policies *all = tip_traffic_policies_new();

	for (size_t i = 0; i < POLICIES; i++) {
		unsigned int nto = 1 + pick(3);
		struct tip_buf b = {0};
		struct tip_error err;

		tip_buf_addf(&b, "- name: p%zu\n  to:\n", i);
		for (unsigned int j = 0; j < nto; j++)
			random_to(&b);
		tip_buf_addf(
			&b, "  server: [spiffe://td/s]\n  clients: [spiffe://td/c%u]\n  mode: %s\n",
			pick(3), pick(3) ? "strict" : "disable");
		/* What contradicts an earlier one is refused, and not missed. */
		(void)tip_traffic_policies_parse(all, "t", b.data, b.len, &err);
		tip_buf_free(&b);
	}
	return all;
}

/* Whether some IPv4 network enforces the port, by the rules of docs/traffic.md. */
static bool enforced4(const struct tip_traffic_policies *all, uint16_t port)
{
	for (size_t i = 0; i < tip_traffic_policies_count(all); i++) {
		const struct tip_traffic_policy *p = tip_traffic_policies_get(all, i);

		for (size_t j = 0; j < p->nto; j++) {
			const struct tip_traffic_to *best = NULL;

			if (p->to[j].cidr.ip.family != 4)
				continue;
			for (size_t k = 0; k < tip_traffic_policies_count(all); k++) {
				const struct tip_traffic_policy *q =
					tip_traffic_policies_get(all, k);

				for (size_t l = 0; l < q->nto; l++) {
					const struct tip_traffic_to *t = &q->to[l];

					if (memcmp(&t->cidr, &p->to[j].cidr, sizeof(t->cidr)) ||
					    port < t->port_min || port > t->port_max)
						continue;
					if (!best || (t->port_min == t->port_max &&
						      best->port_min != best->port_max))
						best = t;
				}
			}
			if (best && best->policy->mode == TIP_TRAFFIC_STRICT)
				return true;
		}
	}
	return false;
}

static size_t seen_plain, seen_disabled, seen_strict, seen_closed6;

static void check_dialled(const struct tip_traffic_image *image, const struct tip_traffic_set *s,
			  uint32_t first, const struct tip_ip *ip, uint16_t port)
{
	struct tip_traffic_flow f = {.client = "spiffe://td/c0", .addr = *ip, .port = port};
	uint32_t number = k_lookup(image, TIP_TRAFFIC_DIALLED, ip, port);
	struct tip_traffic_decision d;

	tip_traffic_decide(s, NULL, &f, &d);
	if (d.verdict == TIP_TRAFFIC_PLAIN) {
		assert_int_equal(number, 0);
		*(d.cause == TIP_TRAFFIC_DISABLED ? &seen_disabled : &seen_plain) += 1;
		return;
	}
	assert_int_equal(number, first + d.policy->order);
	seen_strict++;
}

static void check_inet6(const struct tip_traffic_image *image, const struct tip_traffic_set *s,
			uint32_t first, const struct tip_ip *ip, uint16_t port)
{
	const struct tip_traffic_policies *all = tip_traffic_set_policies(s);
	const struct tip_traffic_to *to = tip_traffic_lookup(s, ip, port);
	uint32_t number = k_lookup(image, TIP_TRAFFIC_INET6, ip, port);

	if (to && to->policy->mode == TIP_TRAFFIC_DISABLE) {
		assert_int_equal(number, 0);
	} else if (to) {
		assert_int_equal(number, first + to->policy->order);
	} else {
		assert_int_equal(number != 0, enforced4(all, port));
		seen_closed6 += number != 0;
	}
}

static void compile(const struct tip_traffic_policies *all, uint32_t first,
		    struct tip_traffic_image *image)
{
	struct tip_traffic_servers servers;
	struct tip_error err;

	assert_int_equal(tip_traffic_image_make(all, first, image, &servers, &err), 0);
	tip_traffic_servers_free(&servers);
}

static void the_kernel_decides_as_the_front_does(void **state)
{
	for (unsigned int set = 1; set <= SETS; set++) {
		struct tip_traffic_image image;
		struct tip_traffic_set *s;
		uint32_t first = 1 + 1000 * set;

		seed = 0x9e3779b97f4a7c15ULL * set;
		s = tip_traffic_set_new(random_policies(), set);
		compile(tip_traffic_set_policies(s), first, &image);
		check_image(&image);
		for (size_t i = 0; i < FLOWS; i++) {
			uint16_t port = pick(30) ? (uint16_t)(1 + pick(20)) : 65535;
			struct tip_ip ip = random_address();

			check_dialled(&image, s, first, &ip, port);
			if (ip.family == 6)
				check_inet6(&image, s, first, &ip, port);
		}
		tip_traffic_image_free(&image);
		tip_traffic_set_free(s);
	}
	/* The world was such that everything happened, and often. */
	assert_true(seen_plain > 1000 && seen_disabled > 1000 && seen_strict > 1000 &&
		    seen_closed6 > 1000);
}

#define REST "  server: [spiffe://td/s]\n  clients: [spiffe://td/c]\n"

static void make(const char *text, struct tip_traffic_image *image)
{
	struct tip_traffic_policies *all = parse(text);

	compile(all, 7, image);
	check_image(image);
	tip_traffic_policies_free(all);
}

static uint32_t at(const struct tip_traffic_image *image, uint32_t table, const char *ip,
		   uint16_t port)
{
	struct tip_ip addr = address(ip);

	return k_lookup(image, table, &addr, port);
}

static void nothing_strict_is_an_empty_image(void **state)
{
	struct tip_traffic_image image;

	make("[]", &image);
	assert_int_equal(image.nprefixes + image.nports, 0);
	make("- name: a\n  to: {cidr: 10.0.0.0/8, port: 80}\n  mode: disable\n", &image);
	assert_int_equal(image.nprefixes + image.nports, 0);
}

static void ports_of_ipv4_are_closed_over_ipv6(void **state)
{
	struct tip_traffic_image image;

	make("- name: a\n  to: {cidr: 10.0.0.0/8, port: 80-90}\n" REST
	     "- name: b\n  to: {cidr: 10.1.0.0/16, port: 85}\n  mode: disable\n"
	     "- name: c\n  to: {cidr: \"fd00::/8\", port: 80}\n  mode: disable\n"
	     "- name: d\n  to: {cidr: \"fd00:1::/32\", port: 99}\n" REST,
	     &image);
	assert_int_equal(at(&image, TIP_TRAFFIC_INET6, "2001:db8::1", 80), 7);
	assert_int_equal(at(&image, TIP_TRAFFIC_INET6, "2001:db8::1", 91), 0);
	/* Left alone in one IPv4 network, and enforced in another. */
	assert_int_equal(at(&image, TIP_TRAFFIC_INET6, "2001:db8::1", 85), 7);
	/* A policy for IPv6 has the last word for its ports, and only for those. */
	assert_int_equal(at(&image, TIP_TRAFFIC_INET6, "fd00::1", 80), 0);
	assert_int_equal(at(&image, TIP_TRAFFIC_INET6, "fd00::1", 81), 7);
	assert_int_equal(at(&image, TIP_TRAFFIC_INET6, "fd00:1::1", 80), 0);
	assert_int_equal(at(&image, TIP_TRAFFIC_INET6, "fd00:1::1", 99), 10);
	/* Who dials over IPv6 is asked only what is said of IPv6. */
	assert_int_equal(at(&image, TIP_TRAFFIC_DIALLED, "2001:db8::1", 80), 0);
	assert_int_equal(at(&image, TIP_TRAFFIC_DIALLED, "fd00:1::1", 99), 10);
	tip_traffic_image_free(&image);
}

/* Whatever a policy for all of IPv6 says: who listens at any address listens for IPv4 too. */
static void served_are_the_ports_of_all_networks(void **state)
{
	struct tip_traffic_image image;

	make("- name: a\n  to: {cidr: 10.0.0.0/8, port: 80-90}\n" REST
	     "- name: b\n  to: {cidr: \"::/0\", port: 1-65535}\n  mode: disable\n"
	     "- name: c\n  to: {cidr: \"fd00::/8\", port: 99}\n" REST,
	     &image);
	assert_int_equal(at(&image, TIP_TRAFFIC_SERVED, "::", 79), 0);
	assert_int_equal(at(&image, TIP_TRAFFIC_SERVED, "::", 80), 7);
	assert_int_equal(at(&image, TIP_TRAFFIC_SERVED, "::", 90), 7);
	assert_int_equal(at(&image, TIP_TRAFFIC_SERVED, "::", 99), 9);
	assert_int_equal(at(&image, TIP_TRAFFIC_SERVED, "::", 100), 0);
	tip_traffic_image_free(&image);
}

static void ipv4_is_not_inside_of_ipv6(void **state)
{
	struct tip_traffic_image image;

	make("- name: a\n  to: {cidr: \"::/0\", port: 1-65535}\n" REST, &image);
	assert_int_equal(at(&image, TIP_TRAFFIC_DIALLED, "::1", 80), 7);
	assert_int_equal(at(&image, TIP_TRAFFIC_DIALLED, "10.0.0.1", 80), 0);
	tip_traffic_image_free(&image);
}

/* A policy for many networks has its ports in the kernel once. */
static void equal_networks_share_a_slice(void **state)
{
	struct tip_traffic_image image;
	struct tip_buf b = {0};

	tip_buf_adds(&b, "- name: a\n  to:\n");
	for (int i = 0; i < 60; i++)
		tip_buf_addf(&b, "  - {cidr: 10.0.%d.0/24, port: 80}\n", i);
	tip_buf_adds(&b, REST);
	make(b.data, &image);
	/* One for IPv4, one for what is closed over IPv6, one for the server. */
	assert_int_equal(image.nports, 3);
	assert_int_equal(at(&image, TIP_TRAFFIC_DIALLED, "10.0.59.1", 80), 7);
	tip_traffic_image_free(&image);
	tip_buf_free(&b);
}

static void what_the_kernel_cannot_hold_is_refused(void **state)
{
	struct tip_traffic_servers servers;
	struct tip_traffic_image image;
	struct tip_traffic_policies *all;
	struct tip_buf b = {0};
	struct tip_error err;

	/* Every other port, so that nothing can be joined, in so many networks. */
	for (unsigned int i = 0; i < 1024; i++) {
		tip_buf_addf(&b, "- name: p%u\n  to:\n", i);
		for (unsigned int j = 0; j < 32; j++)
			tip_buf_addf(&b, "  - {cidr: 10.%u.0.0/16, port: %u}\n", i / 32,
				     1 + 2 * (i % 32 * 32 + j));
		tip_buf_adds(&b, REST);
	}
	all = parse(b.data);
	assert_int_equal(tip_traffic_image_make(all, 1, &image, &servers, &err), -1);
	assert_non_null(strstr(err.text, "join neighbouring ports"));
	assert_int_equal(image.nprefixes, 0);
	tip_traffic_policies_free(all);
	tip_buf_free(&b);
}

static void many_policies(void **state)
{
	struct tip_traffic_image image;
	struct tip_traffic_set *s;
	struct tip_buf b = {0};

	for (unsigned int i = 0; i < 10000; i++)
		tip_buf_addf(&b,
			     "- name: p%u\n  to:\n"
			     "  - {cidr: 10.%u.%u.0/24, port: 8080}\n"
			     "  - {cidr: 10.%u.%u.%u/32, port: 9000-9010}\n" REST,
			     i, i / 256, i % 256, i / 256, i % 256, i % 250);
	s = tip_traffic_set_new(parse(b.data), 1);
	compile(tip_traffic_set_policies(s), 1, &image);
	check_image(&image);
	seed = 1;
	for (int i = 0; i < 200; i++) {
		uint8_t bytes[4] = {10, (uint8_t)pick(40), (uint8_t)pick(256), (uint8_t)pick(250)};
		struct tip_ip ip;

		if (pick(2))
			bytes[3] = (uint8_t)((bytes[1] * 256 + bytes[2]) % 250);
		ip = tip_ip4(bytes);
		check_dialled(&image, s, 1, &ip, pick(2) ? 8080 : 9005);
	}
	tip_traffic_image_free(&image);
	tip_traffic_set_free(s);
	tip_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_decides_as_the_front_does),
		cmocka_unit_test(nothing_strict_is_an_empty_image),
		cmocka_unit_test(ports_of_ipv4_are_closed_over_ipv6),
		cmocka_unit_test(served_are_the_ports_of_all_networks),
		cmocka_unit_test(ipv4_is_not_inside_of_ipv6),
		cmocka_unit_test(equal_networks_share_a_slice),
		cmocka_unit_test(what_the_kernel_cannot_hold_is_refused),
		cmocka_unit_test(many_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
