/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies against a reference that knows nothing of the code under test: it compares
 * addresses bit by bit, asks fnmatch(3) about patterns and walks every destination. The world is
 * small, so that nearly everything overlaps.
 */
#include "traffic/decide.h"

#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define SETS     150
#define POLICIES 40
#define FLOWS    400
#define TO       3

static const char *const patterns[] = {
	"spiffe://td/a",     "spiffe://td/*",   "spiffe://td/**",     "spiffe://td/a/*",
	"spiffe://td/*/b",   "spiffe://td/*/*", "spiffe://td/a/**",   "spiffe://td/*/**",
	"spiffe://td/*/a/*", "spiffe://td2/**", "spiffe://td/ab/a/b", "spiffe://td/a/*/**",
};
static const char *const ids[] = {
	"spiffe://td/a",       "spiffe://td/b",   "spiffe://td/ab",    "spiffe://td/a/a",
	"spiffe://td/a/b",     "spiffe://td/b/b", "spiffe://td/b/a/b", "spiffe://td/ab/a/b",
	"spiffe://td/a/b/a",   "spiffe://td2/a",  "spiffe://td2/a/b",  "spiffe://t/a",
	"spiffe://td/a/a/a/a", "spiffe://td3/a",
};
static const char *const servers[] = {"spiffe://td/s", "spiffe://td/t", "spiffe://td2/s"};

struct to {
	unsigned char addr[16];
	unsigned int family, bits, min, max;
};

struct policy {
	struct to to[TO];
	unsigned int nto;
	unsigned int clients, servers; /* bits into the pools */
	bool strict;
};

static uint64_t seed;

static unsigned int pick(unsigned int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)((seed >> 11) % n);
}

static unsigned int bit(const unsigned char *addr, unsigned int i)
{
	return addr[i / 8] >> (7 - i % 8) & 1;
}

/* One of 16 addresses of a family. */
static void random_address(unsigned int family, unsigned char addr[16])
{
	memset(addr, 0, 16);
	addr[0] = family == 4 ? 10 : 0xfd;
	addr[family == 4 ? 3 : 15] = (unsigned char)pick(16);
}

static void random_to(struct to *t)
{
	static const unsigned int bits4[] = {0, 8, 24, 28, 29, 30, 31, 32};
	static const unsigned int bits6[] = {0, 8, 64, 124, 125, 126, 127, 128};

	*t = (struct to){.family = pick(3) ? 4 : 6};
	t->bits = t->family == 4 ? bits4[pick(8)] : bits6[pick(8)];
	random_address(t->family, t->addr);
	for (unsigned int i = t->bits; i < 128; i++)
		t->addr[i / 8] &= (unsigned char)~(0x80 >> i % 8);
	t->min = t->max = 1 + pick(12);
	if (!pick(2))
		t->max += 1 + pick(6);
	if (!pick(20)) {
		t->min = 1;
		t->max = 65535;
	}
}

/* `before`: some earlier policy or NULL. Sometimes the new one says the same, or of the same. */
static void random_policy(struct policy *p, const struct policy *before)
{
	bool repeat = before && !pick(3);

	p->nto = 1 + pick(TO);
	for (unsigned int i = 0; i < p->nto; i++)
		random_to(&p->to[i]);
	p->strict = pick(4);
	p->clients = 1 + pick((1u << TIP_ARRAY_SIZE(patterns)) - 1);
	if (pick(2))
		p->clients = 1u << pick(TIP_ARRAY_SIZE(patterns));
	p->servers = 1 + pick((1u << TIP_ARRAY_SIZE(servers)) - 1);
	if (!repeat)
		return;
	if (pick(3)) {
		p->strict = before->strict;
		p->clients = before->clients;
		p->servers = before->servers;
	}
	p->to[0] = before->to[pick(before->nto)];
}

static void write_list(struct tip_buf *b, const char *key, const char *const *pool, size_t n,
		       unsigned int mask)
{
	tip_buf_addf(b, "  %s: [", key);
	for (size_t i = 0; i < n; i++)
		if (mask >> i & 1)
			tip_buf_addf(b, "\"%s\", ", pool[i]);
	tip_buf_adds(b, "]\n");
}

static void write_policy(struct tip_buf *b, const struct policy *p, size_t number)
{
	char ip[TIP_IP_TEXT];

	tip_buf_addf(b, "- name: p%zu\n  to:\n", number);
	for (unsigned int i = 0; i < p->nto; i++) {
		const struct to *t = &p->to[i];
		struct tip_ip addr = t->family == 4 ? tip_ip4(t->addr) : tip_ip6(t->addr);

		tip_buf_addf(b, "  - {cidr: \"%s/%u\", port: %u", tip_ip_str(&addr, ip), t->bits,
			     t->min);
		if (t->max != t->min)
			tip_buf_addf(b, "-%u", t->max);
		tip_buf_adds(b, "}\n");
	}
	write_list(b, "server", servers, TIP_ARRAY_SIZE(servers), p->servers);
	write_list(b, "clients", patterns, TIP_ARRAY_SIZE(patterns), p->clients);
	tip_buf_addf(b, "  mode: %s\n", p->strict ? "strict" : "disable");
}

/* ---- the reference --------------------------------------------------------------- */

static bool ref_same(const struct to *a, const struct to *b)
{
	if (a->family != b->family || a->bits != b->bits || a->min != b->min || a->max != b->max)
		return false;
	for (unsigned int i = 0; i < a->bits; i++)
		if (bit(a->addr, i) != bit(b->addr, i))
			return false;
	return true;
}

/* Whether `p` cannot stand beside the `n` before it. */
static bool ref_refused(const struct policy *all, size_t n, const struct policy *p)
{
	for (unsigned int i = 0; i < p->nto; i++) {
		for (unsigned int j = 0; j < i; j++)
			if (ref_same(&p->to[i], &p->to[j]))
				return true;
		for (size_t k = 0; k < n; k++) {
			const struct policy *q = &all[k];
			bool differ = p->strict != q->strict ||
				      (p->strict &&
				       (p->clients != q->clients || p->servers != q->servers));

			for (unsigned int j = 0; j < q->nto && differ; j++)
				if (ref_same(&p->to[i], &q->to[j]))
					return true;
		}
	}
	return false;
}

static bool ref_covers(const struct to *t, unsigned int family, const unsigned char *addr,
		       unsigned int port)
{
	if (t->family != family || port < t->min || port > t->max)
		return false;
	for (unsigned int i = 0; i < t->bits; i++)
		if (bit(t->addr, i) != bit(addr, i))
			return false;
	return true;
}

static bool ref_pattern(const char *pattern, const char *id)
{
	size_t len = strlen(pattern);
	char tried[128];

	if (strcmp(pattern + len - 3, "/**") != 0)
		return !fnmatch(pattern, id, FNM_PATHNAME);
	/* The rest is one segment, or two, or ... */
	snprintf(tried, sizeof(tried), "%.*s", (int)(len - 3), pattern);
	for (int i = 0; i < 8; i++) {
		strcat(tried, "/*");
		if (!fnmatch(tried, id, FNM_PATHNAME))
			return true;
	}
	return false;
}

struct expected {
	int policy; /* -1: none */
	unsigned int to;
	enum tip_traffic_cause cause;
};

static struct expected ref_decide(const struct policy *all, size_t n, unsigned int family,
				  const unsigned char *addr, unsigned int port, const char *client,
				  const char *server)
{
	struct expected e = {.policy = -1, .cause = TIP_TRAFFIC_UNCOVERED};
	const struct to *best = NULL;
	bool listed = false, right = false;

	for (size_t i = 0; i < n; i++) {
		for (unsigned int j = 0; j < all[i].nto; j++) {
			const struct to *t = &all[i].to[j];

			if (!ref_covers(t, family, addr, port))
				continue;
			if (best && t->bits < best->bits)
				continue;
			if (best && t->bits == best->bits &&
			    (t->min != t->max || best->min == best->max))
				continue;
			best = t;
			e.policy = (int)i;
			e.to = j;
		}
	}
	if (!best)
		return e;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(patterns); i++)
		if (client && (all[e.policy].clients >> i & 1) && ref_pattern(patterns[i], client))
			listed = true;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(servers); i++)
		if (server && (all[e.policy].servers >> i & 1) && !strcmp(servers[i], server))
			right = true;
	if (!all[e.policy].strict)
		e.cause = TIP_TRAFFIC_DISABLED;
	else if (!client)
		e.cause = TIP_TRAFFIC_NO_IDENTITY;
	else if (!listed)
		e.cause = TIP_TRAFFIC_CLIENT_UNLISTED;
	else if (server && !right)
		e.cause = TIP_TRAFFIC_WRONG_SERVER;
	else
		e.cause = TIP_TRAFFIC_ALLOWED;
	return e;
}

/* ---------------------------------------------------------------------------------- */

static size_t seen[TIP_TRAFFIC_WRONG_SERVER + 1];
static size_t refusals;

static void check_flow(const struct tip_traffic_set *s, struct tip_traffic_cache *cache,
		       const struct policy *all, size_t n)
{
	unsigned int family = pick(3) ? 4 : 6, port = pick(40) ? 1 + pick(20) : 65535;
	struct tip_traffic_flow f = {.port = (uint16_t)port};
	struct tip_traffic_explanation why;
	struct tip_traffic_decision d, cached;
	unsigned char addr[16];
	struct expected e;

	random_address(family, addr);
	if (!pick(10))
		addr[0]++;
	f.addr = family == 4 ? tip_ip4(addr) : tip_ip6(addr);
	f.client = pick(12) ? ids[pick(TIP_ARRAY_SIZE(ids))] : NULL;
	f.server = pick(2) ? servers[pick(TIP_ARRAY_SIZE(servers))] : NULL;
	e = ref_decide(all, n, family, addr, port, f.client, f.server);
	seen[e.cause]++;

	tip_traffic_decide(s, NULL, &f, &d);
	if (d.cause != e.cause || !d.policy != (e.policy < 0))
		fail_msg("%s, not %s", tip_traffic_cause_str(d.cause),
			 tip_traffic_cause_str(e.cause));
	if (d.policy) {
		assert_int_equal(d.policy->order, e.policy);
		assert_ptr_equal(d.to, &d.policy->to[e.to]);
	}
	tip_traffic_decide(s, cache, &f, &cached);
	assert_int_equal(cached.cause, d.cause);
	assert_ptr_equal(cached.to, d.to);
	assert_ptr_equal(cached.client, d.client);
	assert_int_equal(cached.line, d.line);
	tip_traffic_explain(s, &f, &why);
	assert_ptr_equal(why.ncandidates ? why.candidates[0] : NULL, d.to);
}

static void against_reference(void **state)
{
	/* Fewer slots than IDs: they collide all the time. */
	struct tip_traffic_cache *cache = tip_traffic_cache_new(5);

	for (unsigned int set = 1; set <= SETS; set++) {
		struct tip_traffic_policies *parsed = tip_traffic_policies_new();
		struct tip_traffic_set *s;
		struct policy all[POLICIES];
		size_t n = 0;

		seed = 0x9e3779b97f4a7c15ULL * set;
		for (size_t i = 0; i < POLICIES; i++) {
			struct tip_error err = {0};
			struct tip_buf b = {0};
			int ret;

			random_policy(&all[n], n ? &all[pick((unsigned int)n)] : NULL);
			write_policy(&b, &all[n], n);
			ret = tip_traffic_policies_parse(parsed, "t", b.data, b.len, &err);
			if (ret != (ref_refused(all, n, &all[n]) ? -1 : 0))
				fail_msg("set %u: %s\n%s", set, ret ? err.text : "accepted",
					 b.data);
			refusals += ret < 0;
			n += !ret;
			tip_buf_free(&b);
		}
		s = tip_traffic_set_new(parsed, set);
		for (size_t i = 0; i < FLOWS; i++)
			check_flow(s, cache, all, n);
		tip_traffic_set_free(s);
	}
	tip_traffic_cache_free(cache);
	/* The world was such that everything happened, and often. */
	for (size_t i = 0; i < TIP_ARRAY_SIZE(seen); i++)
		if (i != TIP_TRAFFIC_BAD_IDENTITY && seen[i] < 500)
			fail_msg("%s only %zu times", tip_traffic_cause_str((int)i), seen[i]);
	assert_true(refusals > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
