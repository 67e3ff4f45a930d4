/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

/* The sensor's side, made of arrays. */
#define PAIRS 64
static struct {
	struct {
		uint32_t policy, number;
	} pairs[PAIRS];
	size_t npairs, room;
	struct tip_traffic_prefix prefixes[32];
	struct tip_traffic_ports ports[32];
	struct tip_traffic_image image; /* in the arrays above */
	size_t installs;
	int install_error;
	size_t pairs_at_install;
	const char *names[8]; /* their index + TIP_ID_FIRST is the number */
	size_t nnames;
} kernel;

static int k_install(void *ctx, const struct tip_traffic_image *image)
{
	if (kernel.install_error)
		return kernel.install_error;
	assert_true(image->nprefixes <= TIP_ARRAY_SIZE(kernel.prefixes) &&
		    image->nports <= TIP_ARRAY_SIZE(kernel.ports));
	for (size_t i = 0; i < image->nprefixes; i++)
		kernel.prefixes[i] = image->prefixes[i];
	for (size_t i = 0; i < image->nports; i++)
		kernel.ports[i] = image->ports[i];
	kernel.image = (struct tip_traffic_image){kernel.prefixes, image->nprefixes, kernel.ports,
						  image->nports};
	kernel.installs++;
	kernel.pairs_at_install = kernel.npairs;
	return 0;
}

static int k_add(void *ctx, const struct tip_traffic_prefix *prefix)
{
	assert_true(kernel.image.nprefixes < TIP_ARRAY_SIZE(kernel.prefixes));
	kernel.prefixes[kernel.image.nprefixes++] = *prefix;
	return 0;
}

static bool listed(uint32_t policy, uint32_t number)
{
	for (size_t i = 0; i < kernel.npairs; i++)
		if (kernel.pairs[i].policy == policy && kernel.pairs[i].number == number)
			return true;
	return false;
}

static int k_allow(void *ctx, uint32_t policy, uint32_t number)
{
	if (listed(policy, number))
		return 0;
	if (kernel.npairs == (kernel.room ? kernel.room : PAIRS))
		return -E2BIG;
	kernel.pairs[kernel.npairs].policy = policy;
	kernel.pairs[kernel.npairs++].number = number;
	return 0;
}

static int k_prune(void *ctx, uint32_t first)
{
	size_t kept = 0;

	for (size_t i = 0; i < kernel.npairs; i++)
		if (kernel.pairs[i].policy >= first)
			kernel.pairs[kept++] = kernel.pairs[i];
	kernel.npairs = kept;
	return 0;
}

static void k_names(void *ctx, void (*fn)(void *arg, uint32_t number, const char *id), void *arg)
{
	for (size_t i = 0; i < kernel.nnames; i++)
		fn(arg, TIP_ID_FIRST + (uint32_t)i, kernel.names[i]);
}

static uint32_t k_last(void *ctx)
{
	uint32_t last = 0;

	for (size_t i = 0; i < kernel.npairs; i++)
		if (kernel.pairs[i].policy > last)
			last = kernel.pairs[i].policy;
	return last;
}

static const struct tip_guard_traffic_ops ops = {
	.install = k_install,
	.allow = k_allow,
	.add = k_add,
	.prune = k_prune,
	.names = k_names,
	.last = k_last,
};

/* What the hook says of an identity (its index in `names`; -1: none): the policy's name. */
static const char *dial(const struct tip_guard_traffic *g, int who, const char *ip, uint16_t port)
{
	static char said[80];
	struct tip_ip addr = address(ip);
	uint32_t number = k_lookup(&kernel.image, TIP_TRAFFIC_DIALLED, &addr, port);
	const struct tip_traffic_policy *p = tip_guard_traffic_policy(g, number);

	if (!number)
		return "plain";
	assert_non_null(p);
	snprintf(said, sizeof(said), "%s by %s",
		 who >= 0 && listed(number, TIP_ID_FIRST + (uint32_t)who) ? "let in" : "refused",
		 p->name);
	return said;
}

/* What the hook says of one that dials a server (both by index) where no policy covers the address.
 */
static const char *dial_inside(const struct tip_guard_traffic *g, int who, uint32_t server,
			       uint16_t port)
{
	uint8_t bytes[16] = {0};
	static char said[80];
	struct tip_ip addr;
	uint32_t number;

	server += TIP_ID_FIRST;
	memcpy(bytes, &server, sizeof(server));
	addr = tip_ip6(bytes);
	number = k_lookup(&kernel.image, TIP_TRAFFIC_SERVER, &addr, port);
	if (!number)
		return "plain";
	assert_non_null(tip_guard_traffic_policy(g, number));
	snprintf(said, sizeof(said), "%s by %s",
		 listed(number, TIP_ID_FIRST + (uint32_t)who) ? "let in" : "refused",
		 tip_guard_traffic_policy(g, number)->name);
	return said;
}

static int begin(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.names[0] = "spiffe://td/a";
	kernel.names[1] = "spiffe://td/b/c";
	kernel.nnames = 2;
	return 0;
}

#define SERVER "  server: [spiffe://td/s]\n"
static const char two[] = "- name: one\n  to: {cidr: 10.0.0.0/8, port: 80}\n" SERVER
			  "  clients: [spiffe://td/a, spiffe://td/*]\n"
			  "- name: two\n  to: {cidr: 10.0.0.0/8, port: 81}\n" SERVER
			  "  clients: [\"spiffe://td/b/**\"]\n"
			  "- name: off\n  to: {cidr: 10.1.0.0/16, port: 80}\n" SERVER
			  "  clients: [\"spiffe://td/**\"]\n  mode: disable\n";
static const char one[] = "- name: three\n  to: {cidr: 10.0.0.0/8, port: 81}\n" SERVER
			  "  clients: [spiffe://td/late]\n";

static void clients_may_dial_before_the_policy_holds(void **state)
{
	struct tip_guard_traffic *g = tip_guard_traffic_new(&ops);
	struct tip_traffic_policies *all = parse(two);
	struct tip_error err;

	assert_int_equal(tip_guard_traffic_apply(g, all, &err), 0);
	assert_int_equal(kernel.pairs_at_install, 2);
	assert_string_equal(dial(g, 0, "10.0.0.1", 80), "let in by one");
	assert_string_equal(dial(g, 1, "10.0.0.1", 80), "refused by one");
	assert_string_equal(dial(g, 1, "10.0.0.1", 81), "let in by two");
	assert_string_equal(dial(g, 0, "10.0.0.1", 81), "refused by two");
	assert_string_equal(dial(g, -1, "10.0.0.1", 81), "refused by two");
	assert_string_equal(dial(g, 0, "10.1.0.1", 80), "plain");
	assert_string_equal(dial(g, 0, "10.0.0.1", 82), "plain");
	/* Policies that are off have no clients in the kernel. */
	assert_int_equal(kernel.npairs, 2);
	tip_guard_traffic_free(g);
	tip_traffic_policies_free(all);
}

static void who_comes_later_is_entered_too(void **state)
{
	struct tip_guard_traffic *g = tip_guard_traffic_new(&ops);
	struct tip_traffic_policies *all = parse(two);
	struct tip_error err;

	tip_guard_traffic_identity(g, TIP_ID_FIRST + 5, "spiffe://td/early");
	assert_int_equal(kernel.npairs, 0);
	assert_int_equal(tip_guard_traffic_apply(g, all, &err), 0);
	tip_guard_traffic_identity(g, TIP_ID_FIRST + 2, "spiffe://td/later");
	assert_string_equal(dial(g, 2, "10.0.0.1", 80), "let in by one");
	assert_string_equal(dial(g, 2, "10.0.0.1", 81), "refused by two");
	/* Segments of nothing match nothing. */
	tip_guard_traffic_identity(g, TIP_ID_FIRST + 3, "spiffe://td/b//x");
	assert_string_equal(dial(g, 3, "10.0.0.1", 81), "refused by two");
	tip_guard_traffic_free(g);
	tip_traffic_policies_free(all);
}

static void a_new_set_has_new_numbers(void **state)
{
	struct tip_guard_traffic *g = tip_guard_traffic_new(&ops);
	struct tip_traffic_policies *first = parse(two), *second = parse(one);
	const struct tip_ip ip = address("10.0.0.1");
	struct tip_error err;
	uint32_t before;

	assert_int_equal(tip_guard_traffic_apply(g, first, &err), 0);
	before = k_lookup(&kernel.image, TIP_TRAFFIC_DIALLED, &ip, 81);
	assert_string_equal(tip_guard_traffic_policy(g, before)->name, "two");
	assert_int_equal(tip_guard_traffic_apply(g, second, &err), 0);
	tip_traffic_policies_free(first);
	assert_null(tip_guard_traffic_policy(g, before));
	assert_null(tip_guard_traffic_policy(g, 0));
	assert_int_equal(kernel.npairs, 0);
	assert_string_equal(dial(g, 1, "10.0.0.1", 81), "refused by three");
	assert_string_equal(dial(g, 0, "10.0.0.1", 80), "plain");
	tip_guard_traffic_identity(g, TIP_ID_FIRST + 2, "spiffe://td/late");
	assert_string_equal(dial(g, 2, "10.0.0.1", 81), "let in by three");
	tip_guard_traffic_free(g);
	tip_traffic_policies_free(second);
}

static void what_fails_changes_nothing(void **state)
{
	struct tip_guard_traffic *g = tip_guard_traffic_new(&ops);
	struct tip_traffic_policies *first = parse(two), *second = parse(one);
	struct tip_error err;

	assert_int_equal(tip_guard_traffic_apply(g, first, &err), 0);
	kernel.names[kernel.nnames++] = "spiffe://td/late";
	kernel.install_error = -ENOSPC;
	assert_int_equal(tip_guard_traffic_apply(g, second, &err), -1);
	assert_non_null(strstr(err.text, "no place"));
	assert_string_equal(dial(g, 1, "10.0.0.1", 81), "let in by two");
	assert_string_equal(dial(g, 2, "10.0.0.1", 81), "refused by two");
	kernel.install_error = -EPERM;
	assert_int_equal(tip_guard_traffic_apply(g, second, &err), -1);
	tip_guard_traffic_identity(g, TIP_ID_FIRST + 2, "spiffe://td/x");
	assert_string_equal(dial(g, 2, "10.0.0.1", 80), "let in by one");
	/* The numbers that the failed ones were given are not given again. */
	kernel.install_error = 0;
	assert_int_equal(tip_guard_traffic_apply(g, first, &err), 0);
	assert_string_equal(dial(g, 2, "10.0.0.1", 81), "refused by two");
	assert_int_equal(kernel.npairs, 3); /* a and late by `one`, b/c by `two` */
	tip_guard_traffic_free(g);
	tip_traffic_policies_free(first);
	tip_traffic_policies_free(second);
}

static void who_finds_no_place_is_refused(void **state)
{
	struct tip_guard_traffic *g = tip_guard_traffic_new(&ops);
	struct tip_traffic_policies *all = parse(two);
	struct tip_error err;

	kernel.room = 1;
	assert_int_equal(tip_guard_traffic_apply(g, all, &err), 0);
	assert_string_equal(dial(g, 0, "10.0.0.1", 80), "let in by one");
	assert_string_equal(dial(g, 1, "10.0.0.1", 81), "refused by two");
	tip_guard_traffic_free(g);
	tip_traffic_policies_free(all);
}

/* What a former daemon entered must not let anybody in through a policy of this one. */
static void a_restart_does_not_count_anew(void **state)
{
	struct tip_guard_traffic *g = tip_guard_traffic_new(&ops);
	struct tip_traffic_policies *all = parse(two);
	struct tip_error err;
	uint32_t last;

	assert_int_equal(tip_guard_traffic_apply(g, all, &err), 0);
	last = k_last(NULL);
	tip_guard_traffic_free(g);
	tip_traffic_policies_free(all);
	all = parse(one);
	g = tip_guard_traffic_new(&ops);
	assert_int_equal(tip_guard_traffic_apply(g, all, &err), 0);
	assert_true(kernel.image.nports && kernel.ports[0].policy > last);
	assert_string_equal(dial(g, 0, "10.0.0.1", 81), "refused by three");
	assert_string_equal(dial(g, 1, "10.0.0.1", 81), "refused by three");
	tip_guard_traffic_free(g);
	tip_traffic_policies_free(all);
}

#define SERVES(name, ip, ports, ids, clients)                                                      \
	"- name: " name "\n  to: {cidr: " ip ", port: " ports "}\n  server: [" ids                 \
	"]\n  clients: [" clients "]\n"

/* Inside a namespace the server counts, and where several policies name it their clients together.
 */
static void servers_are_known_by_themselves(void **state)
{
	static const char text[] = SERVES("low", "10.0.0.1", "80-90", "spiffe://td/s",
					  "spiffe://td/a")
		SERVES("high", "10.0.0.2", "85-100", "\"spiffe://td/s\", \"spiffe://td/t\"",
		       "\"spiffe://td/b/**\"") "- name: again\n  to: [{cidr: 10.0.0.3, port: "
					       "90-92}, {cidr: 10.0.0.4, port: 92}]\n"
					       "  server: [spiffe://td/s]\n  clients: "
					       "[spiffe://td/c]\n"
					       "- name: off\n  to: {cidr: 10.0.0.5, port: 70}\n  "
					       "server: [spiffe://td/s]\n"
					       "  clients: [spiffe://td/a]\n  mode: disable\n";
	static const struct {
		uint16_t port;
		const char *a, *b;
	} cases[] = {
		{79, "plain", "plain"},
		{80, "let in by low", "refused by low"},
		{85, "let in by low", "let in by low"},
		{90, "let in by low", "let in by low"},
		{91, "refused by high", "let in by high"},
		{93, "refused by high", "let in by high"},
		{100, "refused by high", "let in by high"},
		{101, "plain", "plain"},
		{70, "plain", "plain"},
	};
	struct tip_guard_traffic *g = tip_guard_traffic_new(&ops);
	struct tip_traffic_policies *all = parse(text);
	struct tip_error err;
	uint32_t last;

	kernel.names[kernel.nnames++] = "spiffe://td/s";
	assert_int_equal(tip_guard_traffic_apply(g, all, &err), 0);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		assert_string_equal(dial_inside(g, 0, 2, cases[i].port), cases[i].a);
		assert_string_equal(dial_inside(g, 1, 2, cases[i].port), cases[i].b);
	}
	/* A client, and a server, that come later. */
	assert_string_equal(dial_inside(g, 1, 4, 90), "plain");
	tip_guard_traffic_identity(g, TIP_ID_FIRST + 3, "spiffe://td/c");
	tip_guard_traffic_identity(g, TIP_ID_FIRST + 4, "spiffe://td/t");
	assert_string_equal(dial_inside(g, 3, 2, 90), "let in by low");
	assert_string_equal(dial_inside(g, 3, 2, 92), "let in by high");
	assert_string_equal(dial_inside(g, 3, 2, 93), "refused by high");
	assert_string_equal(dial_inside(g, 1, 4, 90), "let in by high");
	assert_string_equal(dial_inside(g, 0, 4, 90), "refused by high");
	/* Groups have numbers like policies, and those do not come again either. */
	last = k_last(NULL);
	assert_int_equal(tip_guard_traffic_apply(g, all, &err), 0);
	assert_true(kernel.pairs[0].policy > last);
	tip_guard_traffic_free(g);
	tip_traffic_policies_free(all);
}

static void a_disabled_address_is_open_inside_too(void **state)
{
	static const char text[] = SERVES(
		"s", "10.0.0.1", "80-90", "spiffe://td/s",
		"spiffe://td/a") "- name: off\n  to: {cidr: 127.0.0.0/8, port: 85}\n  mode: "
				 "disable\n"
				 "- name: off6\n  to: {cidr: \"::1\", port: 86}\n  mode: disable\n";
	struct tip_guard_traffic *g = tip_guard_traffic_new(&ops);
	struct tip_traffic_policies *all = parse(text);
	struct tip_ip four = address("127.0.0.1"), six = address("::1");
	struct tip_error err;

	assert_int_equal(tip_guard_traffic_apply(g, all, &err), 0);
	for (uint16_t port = 79; port <= 91; port++) {
		const bool served = port >= 80 && port <= 90;

		assert_int_equal(!!k_lookup(&kernel.image, TIP_TRAFFIC_LOCAL, &four, port),
				 served && port != 85);
		assert_int_equal(!!k_lookup(&kernel.image, TIP_TRAFFIC_LOCAL, &six, port),
				 served && port != 86);
	}
	tip_guard_traffic_free(g);
	tip_traffic_policies_free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(clients_may_dial_before_the_policy_holds, begin),
		cmocka_unit_test_setup(who_comes_later_is_entered_too, begin),
		cmocka_unit_test_setup(a_new_set_has_new_numbers, begin),
		cmocka_unit_test_setup(what_fails_changes_nothing, begin),
		cmocka_unit_test_setup(who_finds_no_place_is_refused, begin),
		cmocka_unit_test_setup(a_restart_does_not_count_anew, begin),
		cmocka_unit_test_setup(servers_are_known_by_themselves, begin),
		cmocka_unit_test_setup(a_disabled_address_is_open_inside_too, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
