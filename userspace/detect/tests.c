/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/program.h"

/*
 * The tests of a set, each different one once. Macros put the same test into dozens of rules; as
 * one test it is compiled once and asked once.
 */

static void key_number(struct tip_buf *b, uint64_t n)
{
	tip_buf_add(b, &n, sizeof(n));
}

static uint32_t add(struct tip_rules *r, const struct tip_test *t, const struct tip_buf *key)
{
	r->tests = tip_realloc(r->tests, r->ntests + 1, sizeof(*r->tests));
	r->tests[r->ntests] = *t;
	tip_map_put(r->test_numbers, key->data, key->len, (void *)(intptr_t)(r->ntests + 1));
	return (uint32_t)r->ntests++;
}

int64_t tip_rules_test(struct tip_rules *r, const struct tip_test *head,
		       const struct tip_ast *check, struct tip_cond_error *err)
{
	struct tip_test t = *head;
	struct tip_buf key = {0};
	int64_t number;

	tip_buf_addc(&key, 'c');
	key_number(&key, (uint64_t)head->op << 32 | head->slot);
	key_number(&key, (uint64_t)head->modifier << 2 | (uint64_t)head->every << 1 | head->fields);
	key_number(&key, head->right);
	for (size_t i = 0; i < check->nvalues; i++) {
		key_number(&key, check->values[i].len);
		tip_buf_add(&key, check->values[i].s, check->values[i].len);
	}
	number = (intptr_t)tip_map_get(r->test_numbers, key.data, key.len) - 1;
	if (number < 0) {
		if (tip_test_compile(&t, check, r->arena, err) == 0)
			number = add(r, &t, &key);
		else
			tip_test_free(&t);
	}
	tip_buf_free(&key);
	return number;
}

unsigned int tip_test_kind(const struct tip_test *t)
{
	if (t->names || t->fields || t->every || t->modifier != TIP_MOD_ANY)
		return 0;
	switch (t->op) {
	case TIP_OP_EQ:
	case TIP_OP_IN:
	case TIP_OP_INTERSECTS: return TIP_OP_IN;
	case TIP_OP_CONTAINS:
	case TIP_OP_STARTSWITH:
	case TIP_OP_ENDSWITH:
	case TIP_OP_PMATCH: return (unsigned int)t->op;
	default: return 0;
	}
}

uint32_t tip_rules_test_any(struct tip_rules *r, const uint32_t *tests, size_t count)
{
	struct tip_test t = r->tests[tests[0]];
	struct tip_buf key = {0};
	intptr_t number;
	size_t n = 0;

	if (count == 1)
		return tests[0];
	tip_buf_addc(&key, 'a');
	for (size_t i = 0; i < count; i++) {
		key_number(&key, tests[i]);
		n += r->tests[tests[i]].nvalues;
	}
	number = (intptr_t)tip_map_get(r->test_numbers, key.data, key.len);
	if (!number) {
		t.op = tip_test_kind(&t);
		t.values = tip_arena_alloc(r->arena, n * sizeof(*t.values) + 1);
		t.nvalues = 0;
		for (size_t i = 0; i < count; i++) {
			const struct tip_test *one = &r->tests[tests[i]];

			memcpy(t.values + t.nvalues, one->values, one->nvalues * sizeof(*t.values));
			t.nvalues += one->nvalues;
		}
		number = add(r, &t, &key) + 1;
	}
	tip_buf_free(&key);
	return (uint32_t)(number - 1);
}

void tip_rules_tests_free(struct tip_rules *r)
{
	for (size_t i = 0; i < r->ntests; i++)
		tip_test_free(&r->tests[i]);
	free(r->tests);
	tip_map_free(r->test_numbers, NULL);
}
