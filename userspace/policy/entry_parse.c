/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/entry.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "policy/parse.h"
#include "policy/spiffe_id.h"

#define DNS_NAME_MAX  253
#define DNS_LABEL_MAX 63

struct parser {
	struct tip_parse in;
	struct tip_arena *arena;
	const char *trust_domain;
};

static int check_list(struct parser *p, const struct tip_yaml *n, size_t max)
{
	if (n->kind != TIP_YAML_SEQUENCE)
		return tip_parse_fail(&p->in, n, "a list is expected here");
	if (n->count > max)
		return tip_error_at(p->in.err, p->in.file, n->line, n->column,
				    "at most %zu items here", max);
	return 0;
}

static int parse_id(struct parser *p, const struct tip_yaml *n, struct tip_entry *e)
{
	const char *id = tip_parse_text(&p->in, n), *path;

	if (!id)
		return -1;
	if (tip_spiffe_id_check(id, true, p->in.err) < 0)
		return tip_parse_place(&p->in, n);
	if (!tip_spiffe_id_in(id, p->trust_domain))
		return tip_error_at(p->in.err, p->in.file, n->line, n->column,
				    "the trust domain of this daemon is %s: the ID has to start "
				    "with spiffe://%s/",
				    p->trust_domain, p->trust_domain);
	path = tip_spiffe_id_path(id);
	if (!strcmp(path, "/spire") || !strncmp(path, "/spire/", 7))
		return tip_parse_fail(&p->in, n, "IDs below /spire are reserved");
	e->spiffe_id = tip_arena_strdup(p->arena, id);
	return 0;
}

static bool same_selector(const struct tip_selector *a, const struct tip_selector *b)
{
	if (a->kind != b->kind || a->number != b->number)
		return false;
	return !a->path || !strcmp(a->path, b->path);
}

static int parse_selectors(struct parser *p, const struct tip_yaml *n, struct tip_entry *e)
{
	if (check_list(p, n, TIP_ENTRY_SELECTORS_MAX) < 0)
		return -1;
	if (!n->count)
		return tip_parse_fail(
			&p->in, n, "at least one selector: an entry without would be everybody's");
	e->selectors = tip_arena_alloc(p->arena, n->count * sizeof(*e->selectors));
	e->nselectors = n->count;
	for (size_t i = 0; i < n->count; i++) {
		const char *text = tip_parse_text(&p->in, n->items[i]);

		if (!text)
			return -1;
		if (tip_selector_parse(p->arena, text, &e->selectors[i], p->in.err) < 0)
			return tip_parse_place(&p->in, n->items[i]);
		for (size_t j = 0; j < i; j++)
			if (same_selector(&e->selectors[i], &e->selectors[j]))
				return tip_parse_fail(&p->in, n->items[i],
						      "this selector is there twice");
	}
	return 0;
}

/* `limits` says in words what TIP_ENTRY_TTL_MIN and `max` are. */
static int parse_ttl(struct parser *p, const struct tip_yaml *n, uint32_t max, const char *limits,
		     uint32_t *out)
{
	const char *text = tip_parse_text(&p->in, n);
	uint64_t ns;

	if (!text)
		return -1;
	if (tip_duration_parse(text, &ns) < 0)
		return tip_parse_fail(
			&p->in, n,
			"a duration is expected: \"90s\", \"1h\", or a number of seconds");
	if (ns % TIP_NSEC_PER_SEC)
		return tip_parse_fail(&p->in, n, "whole seconds only");
	if (ns < TIP_ENTRY_TTL_MIN * TIP_NSEC_PER_SEC || ns > max * TIP_NSEC_PER_SEC)
		return tip_parse_fail(&p->in, n, limits);
	*out = (uint32_t)(ns / TIP_NSEC_PER_SEC);
	return 0;
}

static int parse_x509_ttl(struct parser *p, const struct tip_yaml *n, struct tip_entry *e)
{
	return parse_ttl(p, n, TIP_ENTRY_X509_TTL_MAX, "x509_ttl is between 10 s and 366 days",
			 &e->x509_ttl);
}

static int parse_jwt_ttl(struct parser *p, const struct tip_yaml *n, struct tip_entry *e)
{
	return parse_ttl(p, n, TIP_ENTRY_JWT_TTL_MAX, "jwt_ttl is between 10 s and 24 h",
			 &e->jwt_ttl);
}

static int parse_hint(struct parser *p, const struct tip_yaml *n, struct tip_entry *e)
{
	const char *text = tip_parse_text(&p->in, n);

	if (!text)
		return -1;
	if (strlen(text) > TIP_ENTRY_HINT_MAX)
		return tip_parse_fail(&p->in, n, "a hint has at most 1024 bytes");
	e->hint = tip_arena_strdup(p->arena, text);
	return 0;
}

/* A host name of RFC 1123, or one with "*." in front. */
static bool dns_name_ok(const char *name)
{
	if (!strncmp(name, "*.", 2))
		name += 2;
	if (strlen(name) > DNS_NAME_MAX)
		return false;
	for (;;) {
		size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz"
					  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

		if (!len || len > DNS_LABEL_MAX || name[0] == '-' || name[len - 1] == '-')
			return false;
		if (!name[len])
			return true;
		if (name[len] != '.')
			return false;
		name += len + 1;
	}
}

static int parse_dns_names(struct parser *p, const struct tip_yaml *n, struct tip_entry *e)
{
	if (check_list(p, n, TIP_ENTRY_DNS_MAX) < 0)
		return -1;
	e->dns_names = tip_arena_alloc(p->arena, (n->count + 1) * sizeof(*e->dns_names));
	e->ndns_names = n->count;
	for (size_t i = 0; i < n->count; i++) {
		const char *text = tip_parse_text(&p->in, n->items[i]);

		if (!text)
			return -1;
		if (!dns_name_ok(text))
			return tip_parse_fail(&p->in, n->items[i], "not a DNS name");
		for (size_t j = 0; j < i; j++)
			if (!strcasecmp(text, e->dns_names[j]))
				return tip_parse_fail(&p->in, n->items[i],
						      "this DNS name is there twice");
		e->dns_names[i] = tip_arena_strdup(p->arena, text);
	}
	return 0;
}

static const struct {
	const char *key;
	bool needed;
	int (*parse)(struct parser *p, const struct tip_yaml *n, struct tip_entry *e);
} keys[] = {
	{"spiffe_id", true, parse_id},       {"selectors", true, parse_selectors},
	{"x509_ttl", false, parse_x509_ttl}, {"jwt_ttl", false, parse_jwt_ttl},
	{"hint", false, parse_hint},         {"dns_names", false, parse_dns_names},
};

static int parse_key(struct parser *p, const struct tip_yaml *map, size_t i, struct tip_entry *e)
{
	for (size_t k = 0; k < TIP_ARRAY_SIZE(keys); k++)
		if (!strcmp(map->keys[i]->text, keys[k].key))
			return keys[k].parse(p, map->items[i], e);
	return tip_error_at(p->in.err, p->in.file, map->keys[i]->line, map->keys[i]->column,
			    "unknown key \"%.60s\": an entry has spiffe_id, selectors, x509_ttl, "
			    "jwt_ttl, hint and dns_names",
			    map->keys[i]->text);
}

static int parse_entry(struct parser *p, const struct tip_yaml *map, struct tip_entry *e)
{
	struct tip_buf text = {0};
	char id[33];
	size_t len;

	if (map->kind != TIP_YAML_MAPPING)
		return tip_parse_fail(&p->in, map,
				      "an entry is expected: spiffe_id: ..., selectors: [...]");
	*e = (struct tip_entry){.hint = "", .file = p->in.file, .line = map->line};
	for (size_t i = 0; i < map->count; i++)
		if (parse_key(p, map, i, e) < 0)
			return -1;
	for (size_t k = 0; k < TIP_ARRAY_SIZE(keys); k++)
		if (keys[k].needed && !tip_yaml_get(map, keys[k].key))
			return tip_error_at(p->in.err, p->in.file, map->line, map->column,
					    "the entry has no %s", keys[k].key);
	tip_entry_write(e, &text);
	len = text.len;
	tip_buf_free(&text);
	if (len > TIP_ENTRY_TEXT_MAX)
		return tip_parse_fail(&p->in, map, "the entry is larger than 32 KiB");
	tip_entry_id(e, id);
	e->id = tip_arena_strdup(p->arena, id);
	return 0;
}

/* Parses one list of entries into the array. `seen`: ids so far -> node of the tree. */
static int parse_list(struct parser *p, const struct tip_yaml *list, struct tip_map *seen,
		      struct tip_entry **entries, size_t *count)
{
	if (list->kind != TIP_YAML_SEQUENCE)
		return tip_parse_fail(&p->in, list,
				      "an entries file is a list: \"- spiffe_id: ...\"");
	*entries = tip_realloc(*entries, *count + list->count + 1, sizeof(**entries));
	for (size_t i = 0; i < list->count; i++) {
		const struct tip_yaml *before;
		struct tip_entry *e = &(*entries)[*count];

		if (parse_entry(p, list->items[i], e) < 0)
			return -1;
		before = tip_map_puts(seen, e->id, list->items[i]);
		if (before)
			return tip_error_at(p->in.err, p->in.file, e->line, list->items[i]->column,
					    "the same SPIFFE ID with the same selectors is at "
					    "line %d already",
					    before->line);
		(*count)++;
	}
	return 0;
}

int tip_entries_parse(struct tip_arena *arena, const char *file, const char *text, size_t len,
		      const char *trust_domain, struct tip_entry **entries, size_t *count,
		      struct tip_error *err)
{
	struct parser p = {.in.err = err, .arena = arena, .trust_domain = trust_domain};
	struct tip_map *seen;
	struct tip_yaml **docs;
	size_t ndocs, had = *count;
	int ret = 0;

	p.in.file = tip_arena_strdup(arena, file ? file : "");
	if (tip_yaml_parse(arena, file, text, len, &docs, &ndocs, err) < 0)
		return -1;
	seen = tip_map_new();
	for (size_t i = 0; i < ndocs && !ret; i++)
		ret = parse_list(&p, docs[i], seen, entries, count);
	if (ret < 0)
		*count = had;
	tip_map_free(seen, NULL);
	return ret;
}
