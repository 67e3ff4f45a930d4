/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_YAML_H
#define TIP_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

/*
 * A YAML document as a tree whose nodes know their place (libyaml underneath).
 * Bounded: at most 64 levels, TIP_YAML_MAX_NODES nodes after aliases are
 * expanded, 16 MiB of text. Everything lives in the caller's arena.
 */
#define TIP_YAML_MAX_NODES 500000

enum tip_yaml_kind { TIP_YAML_SCALAR, TIP_YAML_SEQUENCE, TIP_YAML_MAPPING };

struct tip_yaml {
	enum tip_yaml_kind kind;
	int line; /* one-based place of the node's first character */
	int column;
	size_t offset;           /* its zero-based byte offset */
	const char *text;        /* scalars: the value, NUL-terminated (a NUL inside is refused) */
	bool plain;              /* scalars: not quoted, so `null`, `true`, `7` have a meaning */
	bool block;              /* scalars: | or > style */
	size_t count;            /* sequences: items; mappings: pairs */
	struct tip_yaml **keys;  /* mappings */
	struct tip_yaml **items; /* sequences: items; mappings: values */
};

/*
 * Parses all documents of `text`. `file` only names the input in errors.
 * Duplicate keys of one mapping are an error. On success `*docs` is an
 * array of `*ndocs` roots (an empty document is skipped). 0, or -1 with `err`.
 */
int tip_yaml_parse(struct tip_arena *arena, const char *file, const char *text, size_t len,
		   struct tip_yaml ***docs, size_t *ndocs, struct tip_error *err);

/* The value under `key` of a mapping, or NULL. */
struct tip_yaml *tip_yaml_get(const struct tip_yaml *map, const char *key);

/*
 * Typed views of a scalar: 0, or -1 when the node is something else. A bool is
 * true|false|yes|no|on|off in any case, unquoted; an integer is decimal, unquoted.
 */
int tip_yaml_bool(const struct tip_yaml *n, bool *out);
int tip_yaml_int(const struct tip_yaml *n, int64_t *out);
bool tip_yaml_is_null(const struct tip_yaml *n);

#endif
