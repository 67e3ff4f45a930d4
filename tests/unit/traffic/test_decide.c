/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define IDS "  server: [spiffe://td/s]\n  clients: [spiffe://td/c]\n"

static struct tip_traffic_set *compile(const char *text, uint64_t generation)
{
	struct tip_traffic_policies *all = tip_traffic_policies_new();
	struct tip_error err = {0};
	char place[1200];

	if (tip_traffic_policies_parse(all, "t.yaml", text, strlen(text), &err) < 0)
		fail_msg("%s\n%s", tip_error_str(&err, place, sizeof(place)), text);
	return tip_traffic_set_new(all, generation);
}

static struct tip_traffic_flow flow(const char *from, const char *to)
{
	struct tip_traffic_flow f;
	struct tip_error err = {0};

	if (tip_traffic_flow_parse(from, to, &f, &err) < 0)
		fail_msg("%s", err.text);
	return f;
}

/* Who decides where destinations overlap. */
static void precedence(void **state)
{
	static const struct {
		const char *to, *policy; /* NULL: none */
	} cases[] = {
		{"10.1.2.3:443", "host"},
		{"10.1.2.3:80", "exact"},     /* the host's policy has another port */
		{"10.1.2.3:81", "range-one"}, /* of two ranges the first */
		{"10.1.2.3:90", "range-two"}, /* which ends before the second */
		{"10.1.2.3:79", "wide"},
		{"10.1.2.4:443", "wide"},
		{"10.1.2.4:70", "wide"},
		{"10.2.0.1:1", "wide"},
		{"10.2.0.1:65535", "wide"},
		{"11.0.0.1:80", NULL},
		{"9.255.255.255:80", NULL},
		{"[::ffff:10.1.2.3]:443", "host"},
		{"[fd00::1]:443", "six-host"},
		{"[fd00::1]:444", "six"},
		{"[fd00::2]:443", "six"},
		{"[::1]:443", NULL}, /* six has a prefix of 8 */
	};
	struct tip_traffic_set *s = compile(
		"- name: wide\n  to: {cidr: 10.0.0.0/8, port: 1-65535}\n" IDS
		"- name: range-one\n  to: {cidr: 10.1.2.0/24, port: 80-85}\n" IDS
		"- name: range-two\n  to: {cidr: 10.1.2.0/24, port: 80-90}\n  mode: disable\n"
		"- name: exact\n  to: {cidr: 10.1.2.0/24, port: 80}\n" IDS
		"- name: host\n  to: {cidr: 10.1.2.3, port: 443}\n" IDS
		"- name: six\n  to: {cidr: \"fd00::/8\", port: 1-65535}\n" IDS
		"- name: six-host\n  to: {cidr: \"fd00::1\", port: 443}\n" IDS,
		1);

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct tip_traffic_flow f = flow("none", cases[i].to);
		const struct tip_traffic_to *to = tip_traffic_lookup(s, &f.addr, f.port);

		if (!to != !cases[i].policy ||
		    (to && strcmp(to->policy->name, cases[i].policy) != 0))
			fail_msg("%s: %s", cases[i].to, to ? to->policy->name : "none");
	}
	tip_traffic_set_free(s);
}

static const char policies[] = "- name: orders\n"
			       "  to: {cidr: 10.0.2.0/24, port: 8080}\n"
			       "  server:\n"
			       "    - spiffe://td/orders\n"
			       "    - spiffe://td/orders-canary\n"
			       "  clients:\n"
			       "    - spiffe://td/frontend\n"
			       "    - spiffe://td/batch/*\n"
			       "- name: metrics\n"
			       "  to: {cidr: 10.0.2.0/24, port: 9100}\n"
			       "  mode: disable\n"
			       "- name: wide\n"
			       "  to: {cidr: 0.0.0.0/0, port: 8080}\n"
			       "  server: [spiffe://td/any]\n"
			       "  clients: [spiffe://td/**]\n";

static void decisions(void **state)
{
	static const struct {
		const char *client, *server, *to;
		enum tip_traffic_verdict verdict;
		enum tip_traffic_cause cause;
		int line;
		const char *matched;
	} cases[] = {
		{"spiffe://td/frontend", NULL, "10.0.2.7:8080", TIP_TRAFFIC_MTLS,
		 TIP_TRAFFIC_ALLOWED, 7, "spiffe://td/frontend"},
		{"spiffe://td/batch/7", NULL, "10.0.2.7:8080", TIP_TRAFFIC_MTLS,
		 TIP_TRAFFIC_ALLOWED, 8, "spiffe://td/batch/*"},
		{"spiffe://td/frontend", "spiffe://td/orders-canary", "10.0.2.7:8080",
		 TIP_TRAFFIC_MTLS, TIP_TRAFFIC_ALLOWED, 7, "spiffe://td/frontend"},
		{"spiffe://td/frontend", "spiffe://td/order", "10.0.2.7:8080", TIP_TRAFFIC_DENY,
		 TIP_TRAFFIC_WRONG_SERVER, 4, NULL},
		{"spiffe://td/frontend", "", "10.0.2.7:8080", TIP_TRAFFIC_DENY,
		 TIP_TRAFFIC_WRONG_SERVER, 4, NULL},
		/* Listed by `wide`, but the more specific policy alone decides. */
		{"spiffe://td/rogue", NULL, "10.0.2.7:8080", TIP_TRAFFIC_DENY,
		 TIP_TRAFFIC_CLIENT_UNLISTED, 7, NULL},
		{"spiffe://td/batch", NULL, "10.0.2.7:8080", TIP_TRAFFIC_DENY,
		 TIP_TRAFFIC_CLIENT_UNLISTED, 7, NULL},
		{"spiffe://td/rogue", "spiffe://td/impostor", "10.0.2.7:8080", TIP_TRAFFIC_DENY,
		 TIP_TRAFFIC_CLIENT_UNLISTED, 7, NULL},
		{NULL, NULL, "10.0.2.7:8080", TIP_TRAFFIC_DENY, TIP_TRAFFIC_NO_IDENTITY, 1, NULL},
		{"", NULL, "10.0.3.7:8080", TIP_TRAFFIC_DENY, TIP_TRAFFIC_BAD_IDENTITY, 15, NULL},
		{"spiffe://td/../x", NULL, "10.0.3.7:8080", TIP_TRAFFIC_DENY,
		 TIP_TRAFFIC_BAD_IDENTITY, 15, NULL},
		{"spiffe://td", NULL, "10.0.3.7:8080", TIP_TRAFFIC_DENY, TIP_TRAFFIC_BAD_IDENTITY,
		 15, NULL},
		{"spiffe://td//", NULL, "10.0.3.7:8080", TIP_TRAFFIC_DENY, TIP_TRAFFIC_BAD_IDENTITY,
		 15, NULL},
		{"spiffe://td/rogue", NULL, "10.0.3.7:8080", TIP_TRAFFIC_MTLS, TIP_TRAFFIC_ALLOWED,
		 15, "spiffe://td/**"},
		{"spiffe://other/rogue", NULL, "10.0.3.7:8080", TIP_TRAFFIC_DENY,
		 TIP_TRAFFIC_CLIENT_UNLISTED, 15, NULL},
		{NULL, NULL, "10.0.2.7:9100", TIP_TRAFFIC_PLAIN, TIP_TRAFFIC_DISABLED, 11, NULL},
		{"x", "y", "10.0.2.7:9100", TIP_TRAFFIC_PLAIN, TIP_TRAFFIC_DISABLED, 11, NULL},
		{NULL, NULL, "10.0.2.7:22", TIP_TRAFFIC_PLAIN, TIP_TRAFFIC_UNCOVERED, 0, NULL},
		{NULL, NULL, "[fd00::1]:8080", TIP_TRAFFIC_PLAIN, TIP_TRAFFIC_UNCOVERED, 0, NULL},
	};
	struct tip_traffic_cache *cache = tip_traffic_cache_new(3);
	struct tip_traffic_set *s = compile(policies, 7);

	/* Without a cache, with a cold one, with a warm one. */
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
			struct tip_traffic_flow f = flow("none", cases[i].to);
			struct tip_traffic_decision d;

			f.client = cases[i].client;
			f.server = cases[i].server;
			tip_traffic_decide(s, round ? cache : NULL, &f, &d);
			if (d.verdict != cases[i].verdict || d.cause != cases[i].cause ||
			    d.line != cases[i].line)
				fail_msg("case %zu: %s, %s, line %d", i,
					 tip_traffic_verdict_str(d.verdict),
					 tip_traffic_cause_str(d.cause), d.line);
			assert_int_equal(d.generation, 7);
			assert_int_equal(!d.to, d.cause == TIP_TRAFFIC_UNCOVERED);
			assert_ptr_equal(d.policy, d.to ? d.to->policy : NULL);
			assert_int_equal(!d.client, !cases[i].matched);
			if (d.client)
				assert_string_equal(d.client->id, cases[i].matched);
		}
	}
	tip_traffic_set_free(s);
	tip_traffic_cache_free(cache);
}

static void words(void **state)
{
	assert_string_equal(tip_traffic_mode_str(TIP_TRAFFIC_DISABLE), "disable");
	assert_string_equal(tip_traffic_verdict_str(TIP_TRAFFIC_MTLS), "mtls");
	assert_string_equal(tip_traffic_cause_str(TIP_TRAFFIC_UNCOVERED), "uncovered");
	assert_string_equal(tip_traffic_cause_str(TIP_TRAFFIC_WRONG_SERVER), "wrong-server");
}

static void empty(void **state)
{
	struct tip_traffic_set *s = compile("", 1);
	struct tip_traffic_flow f = flow("none", "10.0.0.1:80");
	struct tip_traffic_decision d;

	tip_traffic_decide(s, NULL, &f, &d);
	assert_int_equal(d.cause, TIP_TRAFFIC_UNCOVERED);
	assert_int_equal(tip_traffic_set_generation(s), 1);
	tip_traffic_set_free(s);
}

static void explained(void **state)
{
	static const struct {
		const char *from, *server, *to, *text;
	} cases[] = {
		{"spiffe://td/batch/7", NULL, "10.0.2.7:8080",
		 "\"spiffe://td/batch/7\" to 10.0.2.7:8080: allowed over mutual TLS: the client "
		 "matches spiffe://td/batch/* (t.yaml:8)\n"
		 "  decided by  orders: 10.0.2.0/24 port 8080, mode strict (t.yaml:2)\n"
		 "  goes before wide: 0.0.0.0/0 port 8080, mode strict (t.yaml:13)\n"
		 "  the server is spiffe://td/orders or spiffe://td/orders-canary\n"},
		{"spiffe://td/x", NULL, "10.0.2.7:8080",
		 "\"spiffe://td/x\" to 10.0.2.7:8080: denied: the client matches no line of "
		 "clients (t.yaml:7)\n"
		 "  decided by  orders: 10.0.2.0/24 port 8080, mode strict (t.yaml:2)\n"
		 "  goes before wide: 0.0.0.0/0 port 8080, mode strict (t.yaml:13)\n"},
		{"none", NULL, "10.1.2.7:8080",
		 "no identity to 10.1.2.7:8080: denied: the client has no identity, and the mode "
		 "is strict (t.yaml:12)\n"
		 "  decided by  wide: 0.0.0.0/0 port 8080, mode strict (t.yaml:13)\n"},
		{"none", NULL, "10.0.2.7:9100",
		 "no identity to 10.0.2.7:9100: plain: the policy's mode is disable (t.yaml:11)\n"
		 "  decided by  metrics: 10.0.2.0/24 port 9100, mode disable (t.yaml:10)\n"},
		{"none", NULL, "[fd00::1]:443",
		 "no identity to [fd00::1]:443: plain: no policy covers this destination\n"},
		{"spiffe://td/frontend", "forged\n\"x\"", "10.0.2.7:8080",
		 "\"spiffe://td/frontend\" to 10.0.2.7:8080: denied: \"forged\\n\\\"x\\\"\" is "
		 "none "
		 "of the policy's server IDs (t.yaml:4)\n"
		 "  decided by  orders: 10.0.2.0/24 port 8080, mode strict (t.yaml:2)\n"
		 "  goes before wide: 0.0.0.0/0 port 8080, mode strict (t.yaml:13)\n"},
	};
	struct tip_traffic_set *s = compile(policies, 1);

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct tip_traffic_flow f = flow(cases[i].from, cases[i].to);
		struct tip_traffic_explanation e;
		struct tip_buf b = {0};

		f.server = cases[i].server;
		tip_traffic_explain(s, &f, &e);
		tip_traffic_explain_write(&e, &b);
		assert_string_equal(b.data, cases[i].text);
		tip_buf_free(&b);
	}
	tip_traffic_set_free(s);
}

/* More candidates than the explanation has room for: the best are kept, in order. */
static void many_candidates(void **state)
{
	struct tip_traffic_explanation e;
	struct tip_traffic_flow f = flow("none", "10.0.0.0:80");
	struct tip_traffic_set *s;
	struct tip_buf b = {0};

	for (size_t i = 0; i < 20; i++)
		tip_buf_addf(&b,
			     "- {name: p%zu, to: [{cidr: 10.0.0.0/%zu, port: 80-90}, "
			     "{cidr: 10.0.0.0/%zu, port: 80}], mode: disable}\n",
			     i, 8 + (i * 7) % 20, 8 + (i * 7) % 20);
	s = compile(b.data, 1);
	tip_traffic_explain(s, &f, &e);
	assert_int_equal(e.ncandidates, 40);
	for (size_t i = 0; i < TIP_TRAFFIC_CANDIDATES_MAX; i++) {
		assert_int_equal(e.candidates[i]->cidr.bits, 27 - i / 2);
		assert_int_equal(e.candidates[i]->port_max, i % 2 ? 90 : 80);
	}
	assert_ptr_equal(e.candidates[0], e.decision.to);
	tip_buf_reset(&b);
	tip_traffic_explain_write(&e, &b);
	assert_non_null(strstr(b.data, "  and 24 more\n"));
	tip_buf_free(&b);
	tip_traffic_set_free(s);
}

static void flows(void **state)
{
	static const struct {
		const char *from, *to, *part;
	} bad[] = {
		{"frontend", "10.0.0.1:80", "starts with"},
		{"spiffe://td", "10.0.0.1:80", "path is missing"},
		{"none", "", "no destination"},
		{"none", "10.0.0.1", "no destination"},
		{"none", ":80", "no destination"},
		{"none", "10.0.0.1:", "no destination"},
		{"none", "10.0.0.1:0", "no destination"},
		{"none", "10.0.0.1:080", "no destination"},
		{"none", "10.0.0.1:65536", "no destination"},
		{"none", "10.0.0.1:100000", "no destination"},
		{"none", "10.0.0.1:80x", "no destination"},
		{"none", "[10.0.0.1]:80", "\"[10.0.0.1]:80\" is no destination"},
		{"none", "fd00::1:80", "no destination"},
		{"none", "[fd00::1]", "no destination"},
		{"none", "[]:80", "no destination"},
		{"none", "[fd00::1:80", "no destination"},
		{"none", "host:80", "no destination"},
		{"none", "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80",
		 "no destination"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++) {
		struct tip_error err = {0};
		struct tip_traffic_flow f;

		if (!tip_traffic_flow_parse(bad[i].from, bad[i].to, &f, &err))
			fail_msg("%s to %s was accepted", bad[i].from, bad[i].to);
		if (!strstr(err.text, bad[i].part))
			fail_msg("\"%s\" lacks \"%s\"", err.text, bad[i].part);
	}
	assert_int_equal(flow("spiffe://td/a", "[fd00::1]:65535").addr.family, 6);
	assert_int_equal(flow("none", "[::ffff:10.0.0.1]:1").addr.family, 4);
	assert_null(flow("none", "10.0.0.1:1").client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(precedence), cmocka_unit_test(decisions),
		cmocka_unit_test(words),      cmocka_unit_test(empty),
		cmocka_unit_test(explained),  cmocka_unit_test(many_candidates),
		cmocka_unit_test(flows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
