/* SPDX-License-Identifier: Apache-2.0 */
/* Any text: a tree within the limits whose nodes know their place, or an error with a text. */
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

static size_t nodes;

static void walk(const struct tip_yaml *n, size_t len, int level)
{
	int64_t i;
	bool b;

	CHECK(level <= 64 && ++nodes <= TIP_YAML_MAX_NODES);
	CHECK(n->line > 0 && n->column > 0 && n->offset <= len);
	tip_yaml_is_null(n);
	if (!tip_yaml_bool(n, &b) || !tip_yaml_int(n, &i))
		CHECK(n->kind == TIP_YAML_SCALAR && n->plain);
	if (n->kind == TIP_YAML_SCALAR) {
		CHECK(n->text);
		return;
	}
	for (size_t k = 0; k < n->count; k++) {
		if (n->kind == TIP_YAML_MAPPING) {
			CHECK(n->keys[k]->kind == TIP_YAML_SCALAR);
			walk(n->keys[k], len, level + 1);
			if (n->count < 100)
				CHECK(tip_yaml_get(n, n->keys[k]->text) == n->items[k]);
		}
		walk(n->items[k], len, level + 1);
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct tip_arena *arena = tip_arena_new();
	struct tip_error err = {0};
	struct tip_yaml **docs;
	size_t n;

	nodes = 0;
	if (tip_yaml_parse(arena, "fuzz", (const char *)data, size, &docs, &n, &err) < 0)
		CHECK(err.text[0]);
	else
		for (size_t i = 0; i < n; i++)
			walk(docs[i], size, 0);
	tip_arena_free(arena);
	return 0;
}
