/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TESTS_GUARD_FAKE_H
#define TIP_TESTS_GUARD_FAKE_H

/* A kernel made of arrays, which decides as bpf/enforce/judge.bpf.c does, and rule sets made of
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
	struct tip_rule_image image; /* copied */
	uint32_t generation;
	int rules_error; /* of an install */
	uint32_t quarantine[FAKE_MAX];
	char names[FAKE_MAX][64];
	size_t nquarantine, nnames;
	size_t names_max;     /* 0: FAKE_MAX */
	int quarantine_error; /* of set and clear */
} kernel;

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

static void *k_copy(const void *from, size_t size)
{
	return size ? memcpy(malloc(size), from, size) : NULL;
}

static inline void k_forget(void)
{
	free(kernel.image.values);
	free(kernel.image.texts);
	free(kernel.image.nets);
	memset(&kernel, 0, sizeof(kernel));
}

static inline int k_rules_install(void *ctx, const struct tip_rule_image *image,
				  uint32_t *generation)
{
	struct tip_rule_image *have = &kernel.image;

	if (kernel.rules_error)
		return kernel.rules_error;
	free(have->values);
	free(have->texts);
	free(have->nets);
	*have = *image;
	have->values = k_copy(image->values, image->nvalues * sizeof(*image->values));
	have->texts = k_copy(image->texts, image->ntexts * sizeof(*image->texts));
	have->nets = k_copy(image->nets, image->nnets * sizeof(*image->nets));
	*generation = ++kernel.generation;
	return 0;
}

static inline int k_rules_identity(void *ctx, uint32_t number, const struct tip_rule_match *match)
{
	struct tip_rule_image *have = &kernel.image;

	have->values = realloc(have->values, (have->nvalues + 1) * sizeof(*have->values));
	have->values[have->nvalues++] =
		(struct tip_rule_value){.value = number, .dim = TIP_DIM_IDENTITY, .match = *match};
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

static inline void k_names(void *ctx, void (*fn)(void *arg, uint32_t number, const char *id),
			   void *arg)
{
	for (size_t i = 0; i < kernel.nnames; i++)
		fn(arg, TIP_ID_FIRST + (uint32_t)i, kernel.names[i]);
}

static const struct tip_guard_ops ops = {
	.quarantine_set = k_quarantine_set,
	.quarantine_clear = k_quarantine_clear,
	.quarantine_next = k_quarantine_next,
	.rules_install = k_rules_install,
	.rules_identity = k_rules_identity,
	.names = k_names,
	.number = k_number,
};

/* ---- rules ---- */

#define VALUES_MAX 4
#define TERMS_MAX  6

struct tip_rule {
	struct tip_rule_info info;
	struct tip_enforce_spec spec;
	struct tip_enforce_term terms[TERMS_MAX];
	struct tip_enforce_value values[TERMS_MAX][VALUES_MAX];
};

struct tip_rules {
	struct tip_rule rules[300];
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

const struct tip_enforce_spec *tip_rule_enforce_spec(const struct tip_rule *rule)
{
	return rule->info.action == TIP_ACTION_NONE ? NULL : &rule->spec;
}

static inline struct tip_rule *add_rule(struct tip_rules *r, const char *name, uint32_t acts)
{
	struct tip_rule *rule = &r->rules[r->count];

	memset(rule, 0, sizeof(*rule));
	rule->info = (struct tip_rule_info){
		.name = name,
		.file = "rules.yaml",
		.line = (int)r->count + 1,
		.action = TIP_ACTION_DENY,
		.enabled = true,
		.index = (uint32_t)r->count,
	};
	rule->spec.acts = acts;
	rule->spec.terms = rule->terms;
	r->count++;
	return rule;
}

/* A term without values yet. */
static inline struct tip_enforce_term *add_term(struct tip_rule *rule, enum tip_rule_dim dim,
						bool spares)
{
	struct tip_enforce_term *t = &rule->terms[rule->spec.nterms];

	*t = (struct tip_enforce_term){
		.dim = dim, .spares = spares, .values = rule->values[rule->spec.nterms]};
	rule->spec.nterms++;
	return t;
}

/* A text that ends with '*' is a prefix; one with a '?' in it a pattern. */
static inline void add_text(struct tip_enforce_term *t, const char *text)
{
	static char copies[4096][64];
	static size_t ncopies;
	char *copy = copies[ncopies++ % 4096];
	struct tip_enforce_value *v = &t->values[t->nvalues++];

	snprintf(copy, sizeof(copies[0]), "%s", text);
	v->text = copy;
	v->how = strchr(text, '?') ? TIP_ENFORCE_GLOB : TIP_ENFORCE_EXACT;
	if (v->how == TIP_ENFORCE_EXACT && *copy && copy[strlen(copy) - 1] == '*') {
		copy[strlen(copy) - 1] = '\0';
		v->how = TIP_ENFORCE_PREFIX;
	}
}

#endif
