/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

/* What most cases have nothing to say about. */
#define IDS "  server: [spiffe://td/s]\n  clients: [spiffe://td/c]\n"

static struct tip_traffic_policies *all;

static int setup(void **state)
{
	all = tip_traffic_policies_new();
	return 0;
}

static int teardown(void **state)
{
	tip_traffic_policies_free(all);
	return 0;
}

static void parse(const char *file, const char *text)
{
	struct tip_error err = {0};
	char place[1200];

	if (tip_traffic_policies_parse(all, file, text, strlen(text), &err) < 0)
		fail_msg("%s\n%s", tip_error_str(&err, place, sizeof(place)), text);
}

static void refuse(const char *text, int line, int column, const char *part)
{
	struct tip_error err = {0};
	size_t before = tip_traffic_policies_count(all);

	if (!tip_traffic_policies_parse(all, "t.yaml", text, strlen(text), &err))
		fail_msg("accepted:\n%s", text);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" lacks \"%s\":\n%s", err.text, part, text);
	assert_string_equal(err.file, "t.yaml");
	if (err.line != line || err.column != column)
		fail_msg("\"%s\" is at %d:%d, not %d:%d:\n%s", err.text, err.line, err.column, line,
			 column, text);
	assert_int_equal(tip_traffic_policies_count(all), before);
}

static void whole(void **state)
{
	const struct tip_traffic_policy *p;
	char cidr[TIP_CIDR_TEXT];

	parse("a.yaml", "# what the shop needs\n"
			"- name: orders\n"
			"  to:\n"
			"    - {cidr: 10.0.2.0/24, port: 8080}\n"
			"    - {cidr: \"fd00:2::/64\", port: 8000-8099}\n"
			"  server:\n"
			"    - spiffe://td/orders\n"
			"    - spiffe://td/orders-canary\n"
			"  clients: [\"spiffe://td/*\", spiffe://other.org/ns/*/sa/**]\n"
			"  mode: strict\n"
			"---\n"
			"- {name: metrics, to: {cidr: 10.0.2.7, port: \"9100\"}, mode: disable}\n");
	parse("b.yaml", "# nothing\n");
	parse("c.yaml", "- name: db\n  to: {cidr: \"::1/128\", port: 5432}\n" IDS);
	assert_int_equal(tip_traffic_policies_count(all), 3);

	p = tip_traffic_policies_get(all, 0);
	assert_string_equal(p->name, "orders");
	assert_int_equal(p->mode, TIP_TRAFFIC_STRICT);
	assert_int_equal(p->nto, 2);
	assert_string_equal(tip_cidr_str(&p->to[0].cidr, cidr), "10.0.2.0/24");
	assert_int_equal(p->to[0].port_min, 8080);
	assert_int_equal(p->to[0].port_max, 8080);
	assert_int_equal(p->to[0].line, 4);
	assert_ptr_equal(p->to[0].policy, p);
	assert_string_equal(tip_cidr_str(&p->to[1].cidr, cidr), "fd00:2::/64");
	assert_int_equal(p->to[1].port_min, 8000);
	assert_int_equal(p->to[1].port_max, 8099);
	assert_int_equal(p->nserver, 2);
	assert_string_equal(p->server[1].id, "spiffe://td/orders-canary");
	assert_int_equal(p->server[1].line, 8);
	assert_int_equal(p->nclients, 2);
	assert_string_equal(p->clients[1].id, "spiffe://other.org/ns/*/sa/**");
	assert_int_equal(p->clients[1].column, 30);
	assert_string_equal(p->file, "a.yaml");
	assert_int_equal(p->line, 2);
	assert_int_equal(p->mode_line, 10);
	assert_non_null(tip_traffic_policy_client(p, "spiffe://td/x"));
	assert_null(tip_traffic_policy_client(p, "spiffe://td/x/y"));
	assert_ptr_equal(tip_traffic_policy_server(p, "spiffe://td/orders"), &p->server[0]);
	assert_null(tip_traffic_policy_server(p, "spiffe://td/order"));

	p = tip_traffic_policies_by_name(all, "metrics");
	assert_int_equal(p->mode, TIP_TRAFFIC_DISABLE);
	assert_int_equal(p->order, 1);
	assert_int_equal(p->nserver, 0);
	p = tip_traffic_policies_by_name(all, "db");
	assert_int_equal(p->mode, TIP_TRAFFIC_STRICT);
	assert_string_equal(p->file, "c.yaml");
	assert_null(tip_traffic_policies_by_name(all, "nobody"));
}

static void mistakes(void **state)
{
	static const struct {
		const char *text;
		int line, column;
		const char *part;
	} bad[] = {
		{"name: x", 1, 1, "a list"},
		{"- x", 1, 3, "a policy is expected"},
		{"- {name: [\n", 2, 1, "did not find"},
		{"- name: x\n  too: 1\n", 2, 3,
		 "unknown key \"too\": a policy has name, to, server"},
		{"- name: x\n  name: y\n", 2, 3, "name"},
		{"- to: {cidr: 10.0.0.0/8, port: 1}\n" IDS, 1, 3, "no name"},
		{"- name: x\n" IDS, 1, 3, "no to"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 1}\n", 1, 3, "no server, which mode"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 1}\n  server: [spiffe://td/s]\n", 1, 3,
		 "no clients"},
		{"- name: a b\n" IDS, 1, 9, "a name is"},
		{"- name:\n" IDS, 1, 8, "a text"},
		{"- name: [x]\n" IDS, 1, 9, "a text"},
		{"- name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 1,
		 9, "1 to 64"},
		{"- name: x\n  to: 10.0.0.0/8:80\n", 2, 7, "a destination is expected"},
		{"- name: x\n  to: []\n", 2, 7, "at least one destination"},
		{"- name: x\n  to: [{cidr: 10.0.0.0/8, port: 1}, 7]\n", 2, 37,
		 "destination is expected"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, ports: 1}\n", 2, 26,
		 "unknown key \"ports\": a destination has cidr and port"},
		{"- name: x\n  to: {port: 1}\n", 2, 7, "no cidr"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8}\n", 2, 7, "no port"},
		{"- name: x\n  to: {cidr: 10.0.0.1/8, port: 1}\n", 2, 14, "network is 10.0.0.0/8"},
		{"- name: x\n  to: {cidr: ~, port: 1}\n", 2, 14, "a text"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 0}\n", 2, 32, "a port is"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 65536}\n", 2, 32, "a port is"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 080}\n", 2, 32, "a port is"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: http}\n", 2, 32, "a port is"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: -1}\n", 2, 32, "a port is"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 1-}\n", 2, 32, "a port is"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 1-2-3}\n", 2, 32, "a port is"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 1 - 2}\n", 2, 32, "a port is"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 1-70000}\n", 2, 32, "a port is"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 9-1}\n", 2, 32, "write 1-9"},
		{"- name: x\n  to: {cidr: 10.0.0.0/8, port: 9-9}\n", 2, 32, "write 9"},
		{"- name: x\n  to:\n    - {cidr: 10.0.0.1, port: 1}\n    - {cidr: 10.0.0.1/32, "
		 "port: 1}\n",
		 4, 7, "at line 3 already"},
		{"- name: x\n  server: spiffe://td/s\n", 2, 11, "a list of SPIFFE IDs"},
		{"- name: x\n  server: []\n", 2, 11, "at least one"},
		{"- name: x\n  server:\n", 2, 10, "a list of SPIFFE IDs"},
		{"- name: x\n  server: [spiffe://td/*]\n", 2, 12, "never a pattern"},
		{"- name: x\n  server: [spiffe://td]\n", 2, 12, "a path is missing"},
		{"- name: x\n  server: [spiffe://td/a, spiffe://td/a]\n", 2, 27, "twice"},
		{"- name: x\n  server: [spiffe://td/a, {}]\n", 2, 27, "a text"},
		{"- name: x\n  clients: [spiffe://*/a]\n", 2, 13, "trust domain"},
		{"- name: x\n  clients: [\"*\"]\n", 2, 13, "starts with"},
		{"- name: x\n  clients: [spiffe://td/**/a]\n", 2, 13, "last"},
		{"- name: x\n  mode: permissive\n", 2, 9, "strict and disable"},
		{"- name: x\n  mode: [strict]\n", 2, 9, "a text"},
		/* Lists that are not needed are held to the same. */
		{"- name: x\n  mode: disable\n  clients: [x]\n", 3, 13, "starts with"},
	};

	parse("first.yaml", "- {name: here, to: {cidr: 10.9.9.9, port: 9}, mode: disable}\n");
	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++)
		refuse(bad[i].text, bad[i].line, bad[i].column, bad[i].part);
}

static void names(void **state)
{
	parse("a.yaml", "- {name: x, to: {cidr: 10.0.0.1, port: 1}, mode: disable}\n");
	refuse("- {name: y, to: {cidr: 10.0.0.2, port: 1}, mode: disable}\n"
	       "- {name: x, to: {cidr: 10.0.0.3, port: 1}, mode: disable}\n",
	       2, 10, "a policy x at a.yaml:1:3 already");
	/* What a refused file held is forgotten: its names, its destinations. */
	parse("b.yaml", "- {name: y, to: {cidr: 10.0.0.3, port: 1}, mode: disable}\n"
			"- name: z\n  to: {cidr: 10.0.0.2, port: 1}\n" IDS);
	assert_int_equal(tip_traffic_policies_count(all), 3);
	/* And what the earlier ones hold is not. */
	refuse("- {name: x, to: {cidr: 10.0.0.9, port: 1}, mode: disable}\n", 1, 10, "a.yaml:1:3");
}

static void contradictions(void **state)
{
	parse("a.yaml", "- name: a\n"
			"  to: [{cidr: 10.0.0.0/8, port: 1}, {cidr: 10.0.0.0/8, port: 2-3}]\n"
			"  server: [spiffe://td/s, spiffe://td/t]\n"
			"  clients: [spiffe://td/c, spiffe://td/d]\n");
	/* The same said again, in another order, is no contradiction; nor is an overlap. */
	parse("b.yaml", "- name: b\n"
			"  to: {cidr: 10.0.0.0/8, port: 1}\n"
			"  server: [spiffe://td/t, spiffe://td/s]\n"
			"  clients: [spiffe://td/d, spiffe://td/c]\n"
			"- name: c\n"
			"  to: [{cidr: 10.0.0.0/9, port: 1}, {cidr: 10.0.0.0/8, port: 2},\n"
			"       {cidr: 10.0.0.0/8, port: 2-4}]\n" IDS);
	refuse("- name: d\n  to: [{cidr: 10.0.0.0/10, port: 1}, {cidr: 10.0.0.0/8, port: 1}]\n" IDS,
	       2, 38, "policy a says something else of the same destination, at a.yaml:2:8");
	refuse("- name: d\n  to: {cidr: 10.0.0.0/8, port: 2-3}\n  mode: disable\n", 2, 7,
	       "a.yaml:2:37");
	refuse("- name: d\n  to: {cidr: 10.0.0.0/8, port: 1}\n"
	       "  server: [spiffe://td/t, spiffe://td/s]\n"
	       "  clients: [spiffe://td/d, spiffe://td/e]\n",
	       2, 7, "a.yaml:2:8");
	/* What d claimed before it was refused is free again. */
	parse("e.yaml", "- {name: e, to: {cidr: 10.0.0.0/10, port: 1}, mode: disable}\n");
	/* Of two that are disabled the lists do not count. */
	parse("f.yaml", "- name: f\n  to: {cidr: 10.0.0.0/10, port: 1}\n  mode: disable\n" IDS);
	assert_int_equal(tip_traffic_policies_count(all), 5);
}

static void many_of(struct tip_buf *b, const char *key, const char *what, size_t n)
{
	tip_buf_addf(b, "  %s:\n", key);
	for (size_t i = 0; i < n; i++) {
		tip_buf_adds(b, "    - ");
		tip_buf_addf(b,
			     what[0] == '{' ? "{cidr: 10.0.0.0/8, port: %zu}\n"
					    : "spiffe://td/%0120zu\n",
			     i + 1);
	}
}

static void limits(void **state)
{
	struct tip_buf b = {0};

	tip_buf_adds(&b, "- name: x\n");
	many_of(&b, "to", "{", TIP_TRAFFIC_TO_MAX + 1);
	refuse(b.data, 3, 5, "at most 64");
	tip_buf_reset(&b);
	tip_buf_adds(&b, "- name: x\n");
	many_of(&b, "server", "id", TIP_TRAFFIC_SERVER_MAX + 1);
	refuse(b.data, 3, 5, "at most 32");
	tip_buf_reset(&b);
	tip_buf_adds(&b, "- name: x\n");
	many_of(&b, "clients", "id", TIP_TRAFFIC_CLIENTS_MAX + 1);
	refuse(b.data, 3, 5, "at most 256");
	tip_buf_reset(&b);
	tip_buf_adds(&b, "- name: x\n  server: [spiffe://td/s]\n");
	many_of(&b, "to", "{", TIP_TRAFFIC_TO_MAX);
	many_of(&b, "clients", "id", TIP_TRAFFIC_CLIENTS_MAX);
	refuse(b.data, 1, 3, "larger than 32 KiB");
	tip_buf_free(&b);
}

static void limits_of_all(void **state)
{
	struct tip_buf b = {0};

	for (size_t i = 0; i <= TIP_TRAFFIC_POLICIES_MAX; i++)
		tip_buf_addf(&b, "- {name: p%zu, to: {cidr: 10.0.0.0/8, port: 1}, mode: disable}\n",
			     i);
	refuse(b.data, TIP_TRAFFIC_POLICIES_MAX + 1, 3, "more than 16384 policies");
	tip_buf_reset(&b);
	for (size_t i = 0; i <= TIP_TRAFFIC_DESTINATIONS_MAX / 50; i++) {
		tip_buf_addf(&b, "- {name: p%zu, mode: disable, to: [", i);
		for (size_t j = 0; j < 50; j++)
			tip_buf_addf(&b, "{cidr: 10.0.0.0/8, port: %zu},", j + 1);
		tip_buf_adds(&b, "]}\n");
	}
	refuse(b.data, TIP_TRAFFIC_DESTINATIONS_MAX / 50 + 1, 3, "more than 65536 destinations");
	tip_buf_free(&b);
}

static void written(void **state)
{
	struct tip_traffic_policies *again = tip_traffic_policies_new();
	const struct tip_traffic_policy *p, *q;
	struct tip_buf b = {0}, c = {0};
	struct tip_error err;

	parse("a.yaml", "- name: null.1\n"
			"  to: [{cidr: \"::/0\", port: 1-65535}, {cidr: 10.0.0.0/8, port: 80}]\n"
			"  server: [spiffe://td/s]\n"
			"  clients: [spiffe://td/*/b, spiffe://td/**]\n");
	p = tip_traffic_policies_get(all, 0);
	tip_traffic_write(p, &b);
	assert_int_equal(tip_traffic_policies_parse(again, "again", b.data, b.len, &err), 0);
	q = tip_traffic_policies_by_name(again, "null.1");
	assert_non_null(q);
	assert_true(tip_traffic_policy_same(p, q));
	assert_int_equal(q->nto, 2);
	tip_traffic_to_write(&q->to[0], &c);
	assert_string_equal(c.data, "::/0 ports 1-65535");
	tip_buf_reset(&c);
	tip_traffic_to_write(&q->to[1], &c);
	assert_string_equal(c.data, "10.0.0.0/8 port 80");
	tip_traffic_policies_free(again);
	tip_buf_free(&b);
	tip_buf_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole, setup, teardown),
		cmocka_unit_test_setup_teardown(mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(names, setup, teardown),
		cmocka_unit_test_setup_teardown(contradictions, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_of_all, setup, teardown),
		cmocka_unit_test_setup_teardown(written, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
