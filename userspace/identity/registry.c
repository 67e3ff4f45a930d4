/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

/* The longest selector: a path of 4095 bytes after "cgroup:path:". */
#define SELECTOR_TEXT_MAX 4128

/* The entries that hang on one selector. */
struct bucket {
	size_t wanted; /* entries that have the selector at all */
	struct tip_reg_entry **entries;
	size_t count;
};

struct tip_registry {
	struct tip_arena *arena;
	struct tip_reg_entry *entries;
	size_t count;
	struct tip_map *by_id;
	struct tip_map *buckets; /* selector's text -> struct bucket, in the arena */
	size_t cgroup_max; /* longest path of a cgroup selector: no longer prefix is looked up */
};

static void copy_entry(struct tip_arena *arena, const struct tip_entry *from, struct tip_entry *to)
{
	*to = *from;
	to->id = tip_arena_strdup(arena, from->id);
	to->spiffe_id = tip_arena_strdup(arena, from->spiffe_id);
	to->hint = tip_arena_strdup(arena, from->hint);
	to->file = tip_arena_strdup(arena, from->file ? from->file : "");
	to->selectors = tip_arena_alloc(arena, (from->nselectors + 1) * sizeof(*to->selectors));
	for (size_t i = 0; i < from->nselectors; i++) {
		to->selectors[i] = from->selectors[i];
		if (from->selectors[i].path)
			to->selectors[i].path = tip_arena_strdup(arena, from->selectors[i].path);
	}
	to->dns_names = tip_arena_alloc(arena, (from->ndns_names + 1) * sizeof(*to->dns_names));
	for (size_t i = 0; i < from->ndns_names; i++)
		to->dns_names[i] = tip_arena_strdup(arena, from->dns_names[i]);
}

static void count_selectors(struct tip_registry *r, const struct tip_entry *e)
{
	char text[SELECTOR_TEXT_MAX];

	for (size_t i = 0; i < e->nselectors; i++) {
		const struct tip_selector *s = &e->selectors[i];
		struct bucket *b;

		tip_selector_str(s, text, sizeof(text));
		b = tip_map_gets(r->buckets, text);
		if (!b) {
			b = tip_arena_alloc(r->arena, sizeof(*b));
			tip_map_puts(r->buckets, text, b);
		}
		b->wanted++;
		if (s->kind == TIP_SEL_CGROUP_PATH && strlen(s->path) > r->cgroup_max)
			r->cgroup_max = strlen(s->path);
	}
}

/* Hangs the entry on its rarest selector. */
static void hang(struct tip_registry *r, struct tip_reg_entry *e)
{
	char text[SELECTOR_TEXT_MAX];
	struct bucket *rarest = NULL;

	for (size_t i = 0; i < e->entry.nselectors; i++) {
		struct bucket *b;

		tip_selector_str(&e->entry.selectors[i], text, sizeof(text));
		b = tip_map_gets(r->buckets, text);
		if (!rarest || b->wanted < rarest->wanted)
			rarest = b;
	}
	if (!rarest)
		return;
	if (!rarest->entries)
		rarest->entries =
			tip_arena_alloc(r->arena, rarest->wanted * sizeof(*rarest->entries));
	rarest->entries[rarest->count++] = e;
}

struct tip_registry *tip_registry_new(const struct tip_entry *entries, size_t count)
{
	struct tip_registry *r = tip_alloc(sizeof(*r));

	r->arena = tip_arena_new();
	r->by_id = tip_map_new();
	r->buckets = tip_map_new();
	r->entries = tip_calloc(count + 1, sizeof(*r->entries));
	for (size_t i = 0; i < count; i++) {
		struct tip_reg_entry *e = &r->entries[r->count];

		if (tip_map_gets(r->by_id, entries[i].id)) {
			tip_warn("identity",
				 "%s:%d: %s with the same selectors is there already: ignored",
				 entries[i].file ? entries[i].file : "", entries[i].line,
				 entries[i].spiffe_id);
			continue;
		}
		copy_entry(r->arena, &entries[i], &e->entry);
		e->order = r->count++;
		tip_map_puts(r->by_id, e->entry.id, e);
		count_selectors(r, &e->entry);
	}
	for (size_t i = 0; i < r->count; i++)
		hang(r, &r->entries[i]);
	return r;
}

void tip_registry_free(struct tip_registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		tip_svid_clear(&r->entries[i].svid);
	free(r->entries);
	tip_map_free(r->by_id, NULL);
	tip_map_free(r->buckets, NULL);
	tip_arena_free(r->arena);
	free(r);
}

size_t tip_registry_count(const struct tip_registry *r)
{
	return r->count;
}

struct tip_reg_entry *tip_registry_get(struct tip_registry *r, size_t i)
{
	return &r->entries[i];
}

struct tip_reg_entry *tip_registry_by_id(struct tip_registry *r, const char *id)
{
	return tip_map_gets(r->by_id, id);
}

static bool better(const struct tip_reg_entry *a, const struct tip_reg_entry *b)
{
	if (a->entry.nselectors != b->entry.nselectors)
		return a->entry.nselectors > b->entry.nselectors;
	return a->order < b->order;
}

/* The best matches so far, in order. */
struct matches {
	const struct tip_attested *attested;
	struct tip_reg_entry **out;
	size_t count, max;
};

static void insert(struct matches *m, struct tip_reg_entry *e)
{
	size_t i;

	if (m->count == m->max) {
		if (!m->max || !better(e, m->out[m->count - 1]))
			return;
		m->count--;
	}
	for (i = m->count; i > 0 && better(e, m->out[i - 1]); i--)
		m->out[i] = m->out[i - 1];
	m->out[i] = e;
	m->count++;
}

static void look(struct tip_registry *r, const struct tip_selector *s, struct matches *m)
{
	char text[SELECTOR_TEXT_MAX];
	const struct bucket *b;

	b = tip_map_gets(r->buckets, tip_selector_str(s, text, sizeof(text)));
	for (size_t i = 0; b && i < b->count; i++)
		if (tip_entry_matches(&b->entries[i]->entry, m->attested))
			insert(m, b->entries[i]);
}

/* "/", "/a", "/a/b": every cgroup that the process is in or below. */
static void look_cgroups(struct tip_registry *r, const char *cgroup, struct matches *m)
{
	struct tip_selector s = {.kind = TIP_SEL_CGROUP_PATH};
	char path[SELECTOR_TEXT_MAX];

	if (cgroup[0] != '/' || !r->cgroup_max)
		return;
	s.path = "/";
	look(r, &s, m);
	s.path = path;
	for (size_t i = 1; cgroup[1] && i <= r->cgroup_max; i++) {
		if (cgroup[i] && cgroup[i] != '/')
			continue;
		snprintf(path, sizeof(path), "%.*s", (int)i, cgroup);
		look(r, &s, m);
		if (!cgroup[i])
			break;
	}
}

size_t tip_registry_match(struct tip_registry *r, const struct tip_attested *a,
			  struct tip_reg_entry **out, size_t max)
{
	struct matches m = {.attested = a, .out = out, .max = max};
	struct tip_selector s = {.kind = TIP_SEL_UNIX_UID, .number = a->uid};

	look(r, &s, &m);
	s = (struct tip_selector){.kind = TIP_SEL_UNIX_GID, .number = a->gid};
	look(r, &s, &m);
	if (a->path[0]) {
		s = (struct tip_selector){.kind = TIP_SEL_UNIX_PATH, .path = a->path};
		look(r, &s, &m);
	}
	if (a->sha256 && a->sha256[0]) {
		s = (struct tip_selector){.kind = TIP_SEL_UNIX_SHA256, .path = a->sha256};
		look(r, &s, &m);
	}
	look_cgroups(r, a->cgroup, &m);
	return m.count;
}
