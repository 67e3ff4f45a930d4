/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TESTS_GUARD_FAKE_H
#define TIP_TESTS_GUARD_FAKE_H

/* A kernel made of arrays, which decides as bpf/enforce/kill.h does, and rule sets made of
 * literals. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "guard/guard.h"

#define FAKE_MAX 128

static struct fake_kernel {
	struct {
		struct tip_kill_key k;
		struct tip_kill_value v;
	} keys[FAKE_MAX];
	struct tip_except_key excepts[FAKE_MAX];
	uint32_t quarantine[FAKE_MAX];
	char names[FAKE_MAX][64];
	size_t nkeys, nexcepts, nquarantine, nnames;
	size_t keys_max, names_max; /* 0: FAKE_MAX */
	int quarantine_error;       /* of set and clear */
	void (*changed)(void);      /* after each change of keys and exceptions */
} kernel;

static void told(void)
{
	if (kernel.changed)
		kernel.changed();
}

static inline int k_quarantine_set(void *ctx, uint32_t number, uint32_t flags)
{
	assert_int_equal(flags, TIP_QUARANTINE_CONNECT);
	if (kernel.quarantine_error)
		return kernel.quarantine_error;
	for (size_t i = 0; i < kernel.nquarantine; i++) {
		if (kernel.quarantine[i] == number)
			return 0;
	}
	kernel.quarantine[kernel.nquarantine++] = number;
	return 0;
}

static inline int k_quarantine_clear(void *ctx, uint32_t number)
{
	if (kernel.quarantine_error)
		return kernel.quarantine_error;
	for (size_t i = 0; i < kernel.nquarantine; i++) {
		if (kernel.quarantine[i] == number) {
			kernel.quarantine[i] = kernel.quarantine[--kernel.nquarantine];
			return 0;
		}
	}
	return -ENOENT;
}

static inline int k_quarantine_next(void *ctx, uint32_t prev, uint32_t *next)
{
	size_t i = 0;

	while (i < kernel.nquarantine && kernel.quarantine[i] != prev)
		i++;
	i = i == kernel.nquarantine ? 0 : i + 1; /* as a hash map: an unknown key starts anew */
	if (i >= kernel.nquarantine)
		return -1;
	*next = kernel.quarantine[i];
	return 0;
}

static size_t k_find(const struct tip_kill_key *k)
{
	size_t i = 0;

	while (i < kernel.nkeys && memcmp(&kernel.keys[i].k, k, sizeof(*k)) != 0)
		i++;
	return i;
}

static inline int k_kill_set(void *ctx, const struct tip_kill_key *k,
			     const struct tip_kill_value *v)
{
	size_t i = k_find(k);

	assert_true(k->prefixlen >= 32 && k->prefixlen <= 32 + 8 * TIP_KILL_PATH);
	if (i == kernel.nkeys) {
		if (kernel.nkeys >= (kernel.keys_max ? kernel.keys_max : FAKE_MAX))
			return -ENOSPC;
		kernel.nkeys++;
	}
	kernel.keys[i].k = *k;
	kernel.keys[i].v = *v;
	told();
	return 0;
}

static inline int k_kill_clear(void *ctx, const struct tip_kill_key *k)
{
	size_t i = k_find(k);

	if (i == kernel.nkeys)
		return -ENOENT;
	memmove(&kernel.keys[i], &kernel.keys[i + 1],
		(--kernel.nkeys - i) * sizeof(kernel.keys[0]));
	told();
	return 0;
}

static inline int k_kill_next(void *ctx, const struct tip_kill_key *prev, struct tip_kill_key *next)
{
	size_t i = prev ? k_find(prev) + 1 : 0;

	if (i >= kernel.nkeys)
		return -1;
	*next = kernel.keys[i].k;
	return 0;
}

static size_t k_find_except(const struct tip_except_key *k)
{
	size_t i = 0;

	while (i < kernel.nexcepts && memcmp(&kernel.excepts[i], k, sizeof(*k)) != 0)
		i++;
	return i;
}

static inline int k_except_set(void *ctx, const struct tip_except_key *k)
{
	if (k_find_except(k) == kernel.nexcepts)
		kernel.excepts[kernel.nexcepts++] = *k;
	told();
	return 0;
}

static inline int k_except_clear(void *ctx, const struct tip_except_key *k)
{
	size_t i = k_find_except(k);

	if (i == kernel.nexcepts)
		return -ENOENT;
	kernel.excepts[i] = kernel.excepts[--kernel.nexcepts];
	told();
	return 0;
}

static inline int k_except_next(void *ctx, const struct tip_except_key *prev,
				struct tip_except_key *next)
{
	size_t i = prev ? k_find_except(prev) + 1 : 0;

	if (i >= kernel.nexcepts)
		return -1;
	*next = kernel.excepts[i];
	return 0;
}

static inline uint32_t k_number(void *ctx, const char *id)
{
	size_t i = 0;

	while (i < kernel.nnames && strcmp(kernel.names[i], id) != 0)
		i++;
	if (i == kernel.nnames) {
		if (kernel.nnames >= (kernel.names_max ? kernel.names_max : FAKE_MAX))
			return 0;
		snprintf(kernel.names[kernel.nnames++], sizeof(kernel.names[0]), "%s", id);
	}
	return TIP_ID_FIRST + (uint32_t)i;
}

static const struct tip_guard_ops ops = {
	.quarantine_set = k_quarantine_set,
	.quarantine_clear = k_quarantine_clear,
	.quarantine_next = k_quarantine_next,
	.kill_set = k_kill_set,
	.kill_clear = k_kill_clear,
	.kill_next = k_kill_next,
	.except_set = k_except_set,
	.except_clear = k_except_clear,
	.except_next = k_except_next,
	.number = k_number,
};

/* Is this open killed? The rule as the kernel reports it, or -1. `id` NULL: no identity. */
static inline int64_t k_decide(const char *id, const char *path, uint32_t access)
{
	uint32_t me = id ? k_number(NULL, id) : TIP_ID_NONE, asks[] = {me, TIP_ID_ANY};

	for (size_t n = id ? 0 : 1; n < 2; n++) {
		for (size_t i = 0; i < kernel.nkeys; i++) {
			const struct tip_kill_key *k = &kernel.keys[i].k;
			const struct tip_kill_value *v = &kernel.keys[i].v;
			struct tip_except_key spare = {.rule = v->rule, .number = me};
			size_t bytes = (k->prefixlen - 32) / 8;

			if (k->number != asks[n] || bytes > strlen(path) + 1 ||
			    memcmp(k->path, path, bytes) != 0 || !(v->access & access))
				continue;
			if (asks[n] == TIP_ID_ANY && k_find_except(&spare) < kernel.nexcepts)
				continue;
			return v->rule;
		}
	}
	return -1;
}

/* ---- rules ---- */

#define RW (TIP_ACCESS_READ | TIP_ACCESS_WRITE)

struct tip_rule {
	struct tip_rule_info info;
	struct tip_kill_spec spec;
	const char *paths[20];
	bool prefix[20];
	const char *ids[4];
};

struct tip_rules {
	struct tip_rule rules[8];
	size_t count;
};

size_t tip_rules_count(const struct tip_rules *r)
{
	return r->count;
}

const struct tip_rule *tip_rules_get(const struct tip_rules *r, size_t i)
{
	return &r->rules[i];
}

const struct tip_rule_info *tip_rule_info(const struct tip_rule *rule)
{
	return &rule->info;
}

const struct tip_kill_spec *tip_rule_kill_spec(const struct tip_rule *rule)
{
	return rule->info.action == TIP_ACTION_NONE ? NULL : &rule->spec;
}

/* A path that ends with '*' is a prefix. */
static inline struct tip_rule *add_rule(struct tip_rules *r, const char *name, const char *path,
					uint32_t access, bool any, const char *id1, const char *id2)
{
	struct tip_rule *rule = &r->rules[r->count];
	static char copies[64][320];
	static size_t ncopies;
	char *copy = copies[ncopies++ % 64];

	memset(rule, 0, sizeof(*rule));
	snprintf(copy, sizeof(copies[0]), "%s", path);
	if (*copy && copy[strlen(copy) - 1] == '*') {
		copy[strlen(copy) - 1] = '\0';
		rule->prefix[0] = true;
	}
	rule->paths[0] = copy;
	rule->ids[0] = id1;
	rule->ids[1] = id2;
	rule->info = (struct tip_rule_info){
		.name = name,
		.file = "rules.yaml",
		.line = (int)r->count + 1,
		.action = TIP_ACTION_KILL,
		.enabled = true,
		.index = (uint32_t)r->count,
	};
	rule->spec = (struct tip_kill_spec){
		.paths = rule->paths,
		.prefix = rule->prefix,
		.npaths = 1,
		.access = access,
		.any = any,
		.ids = rule->ids,
		.nids = id2   ? 2
			: id1 ? 1
			      : 0,
	};
	r->count++;
	return rule;
}

#endif
