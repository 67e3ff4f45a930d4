/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/hosts.h"
#include "rows.h"

/* Names for addresses and ports. */

static void add(struct tip_hosts *h, const char *name, const char *address)
{
	struct tip_host_addr a;

	assert_true(tip_host_addr_parse(address, &a));
	tip_hosts_add(h, name, &a, 1);
}

static struct tip_hosts *some_hosts(void)
{
	struct tip_hosts *h = tip_hosts_new();

	add(h, "api.example.org", "10.0.0.1");
	add(h, "www.example.org", "10.0.0.1");
	add(h, "six.example.org", "2001:db8::1");
	return h;
}

static bool holds(const struct world *w, const char *condition, bool resolved)
{
	struct tip_matcher *m = tip_matcher_new();
	struct tip_load_result res;
	struct tip_rules *r = load_rule("", condition, "o", &res);
	int hits = 0;

	assert_non_null(r);
	if (resolved)
		tip_matcher_set_hosts(m, some_hosts());
	tip_rules_match(r, m, &w->in, true, count_hit, &hits);
	tip_matcher_free(m);
	tip_load_result_free(&res);
	tip_rules_free(r);
	return hits;
}

static void hosts_of_addresses(void **state)
{
	struct world w;

	world_init(&w);
	world_sock(&w, TIP_EV_CONNECT, AF_INET, "10.0.0.2", 4000, "10.0.0.1", 443, 0);
	assert_true(holds(&w, "fd.sip.name = api.example.org", true));
	assert_true(holds(&w, "fd.sip.name = www.example.org", true));
	assert_true(holds(&w, "fd.rip.name in (a, www.example.org, b, c, d, e)", true));
	assert_false(holds(&w, "fd.sip.name = six.example.org", true));
	assert_false(holds(&w, "fd.cip.name exists or fd.lip.name exists", true));
	assert_true(holds(&w, "not fd.cip.name in (api.example.org)", true));
	/* before anything was resolved */
	assert_false(holds(&w, "fd.sip.name exists", false));
	world_sock(&w, TIP_EV_ACCEPT, AF_INET6, "2001:db8::1", 80, "::ffff:10.0.0.1", 4000, 5);
	assert_true(
		holds(&w, "fd.sip.name = six.example.org and fd.cip.name = api.example.org", true));
	world_sock(&w, TIP_EV_CONNECT, AF_UNIX, "", 0, "/run/x", 0, 0);
	assert_false(holds(&w, "fd.sip.name exists", true));
}

static void what_is_to_be_resolved(void **state)
{
	struct tip_load_result res;
	struct tip_rules *r = load_text("- rule: a\n  desc: d\n  priority: INFO\n  output: o\n"
					"  condition: fd.sip.name in (x.org, y.org, x.org) or "
					"fd.cip.name = z.org or fd.name = n.org\n"
					"- rule: b\n  desc: d\n  priority: INFO\n  output: o\n"
					"  condition: fd.sip.name = off.org\n  enabled: false\n",
					&res);
	const char *const *names;
	size_t count;

	assert_non_null(r);
	names = tip_rules_hosts(r, &count);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++)
		assert_true(strlen(names[i]) == 5 && strchr("xyz", names[i][0]) &&
			    strcmp(names[i] + 1, ".org") == 0);
	assert_true(names[0][0] != names[1][0] && names[1][0] != names[2][0] &&
		    names[0][0] != names[2][0]);
	tip_load_result_free(&res);
	tip_rules_free(r);
}

static void hosts_are_kept(void **state)
{
	struct tip_hosts *old = some_hosts(), *fresh = tip_hosts_new();
	struct tip_host_addr a;
	const char *names[4];

	add(fresh, "api.example.org", "10.0.0.9");
	tip_hosts_keep(fresh, old, "api.example.org"); /* it has an answer */
	tip_hosts_keep(fresh, old, "www.example.org"); /* it has none */
	tip_hosts_keep(fresh, old, "never.example.org");
	tip_hosts_keep(fresh, NULL, "never.example.org");
	tip_hosts_free(old);
	assert_true(tip_host_addr_parse("10.0.0.1", &a));
	assert_int_equal(tip_hosts_of(fresh, &a, names, 4), 1);
	assert_string_equal(names[0], "www.example.org");
	assert_true(tip_host_addr_parse("::ffff:10.0.0.9", &a));
	assert_int_equal(tip_hosts_of(fresh, &a, names, 4), 1);
	assert_string_equal(names[0], "api.example.org");
	assert_false(tip_host_addr_parse("10.0.0", &a));
	tip_hosts_free(fresh);
}

static void services(void **state)
{
	static const struct row rows[] = {
		{"fd.sproto", "https", "\"https\""},
		{"fd.rproto", "https", "\"https\""},
		{"fd.cproto", "64999", "\"64999\""},
		{"fd.lproto", "64999", "\"64999\""},
		{"fd.proto", "(64999,https)", "[\"64999\",\"https\"]"},
	};
	static const struct row listens[] = {
		{"fd.proto", "ssh", "\"ssh\""},
		{"fd.sproto", "ssh", "\"ssh\""},
		{"fd.rproto", "<NA>", "null"},
	};
	static const char text[] = "bad line\nnone\n#http 1/tcp\nhttp 80/tcp www # web\n"
				   "other 80/tcp\nhttp 80/sctp\ndomain 53/udp\nhuge 99999/tcp\n";
	char path[] = "/tmp/tip-services-XXXXXX";
	int fd = mkstemp(path);
	struct tip_services *s = tip_services_new(path);
	struct world w;

	world_init(&w);
	world_sock(&w, TIP_EV_CONNECT, AF_INET, "10.0.0.2", 64999, "10.0.0.1", 443, 0);
	RUN(rows, &w);
	world_sock(&w, TIP_EV_LISTEN, AF_INET, "0.0.0.0", 22, "0.0.0.0", 0, 0);
	RUN(listens, &w);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_string_equal(tip_service_name(s, 80, false), "http");
	assert_null(tip_service_name(s, 80, true));
	assert_string_equal(tip_service_name(s, 53, true), "domain");
	assert_null(tip_service_name(s, 99999 & 0xffff, false));
	close(fd);
	unlink(path);
	tip_services_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_of_addresses), cmocka_unit_test(what_is_to_be_resolved),
		cmocka_unit_test(hosts_are_kept), cmocka_unit_test(services)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
