/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/store_impl.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "identity/x509.h"

/* Entries that one exec can hold: the best ones. */
#define MATCHES_MAX 64

/* ---- telling others ------------------------------------------------------------ */

static void add_note(struct tip_store_notes *n, uint64_t exec_id, bool resolved, bool changed)
{
	if (!resolved && !changed)
		return;
	if (n->count == n->cap) {
		n->cap = n->cap ? 2 * n->cap : 16;
		n->list = tip_realloc(n->list, n->cap, sizeof(*n->list));
	}
	n->list[n->count++] = (struct tip_store_note){exec_id, resolved, changed};
}

void tip_store_tell(struct tip_store *s, struct tip_store_notes *n)
{
	for (size_t i = 0; i < n->count; i++) {
		const struct tip_store_note *note = &n->list[i];
		const struct exec *x = tip_map_getu(s->execs, note->exec_id);

		if (x && note->resolved)
			s->ops.resolved(s->ops.ctx, x->id, x->epoch,
					x->count ? x->matches[0]->entry.spiffe_id : "");
		if (note->changed && tip_map_getu(s->execs, note->exec_id))
			s->ops.changed(s->ops.ctx, note->exec_id);
	}
	free(n->list);
	*n = (struct tip_store_notes){0};
}

static bool holds_entry(const struct exec *x,
			bool (*is)(const struct tip_reg_entry *e, const void *arg), const void *arg)
{
	for (size_t i = 0; i < x->count; i++)
		if (is(x->matches[i], arg))
			return true;
	return false;
}

void tip_store_note_holders(struct tip_store *s, struct tip_store_notes *n,
			    bool (*is)(const struct tip_reg_entry *e, const void *arg),
			    const void *arg)
{
	struct exec *x;
	size_t it = 0;

	while ((x = tip_map_next(s->execs, &it)))
		if (holds_entry(x, is, arg))
			add_note(n, x->id, false, true);
}

/* ---- execs and entries ----------------------------------------------------------- */

static void exec_free(void *p)
{
	struct exec *x = p;

	free(x->path);
	free(x->cgroup);
	free(x->sha256);
	free(x->matches);
	free(x);
}

static void release_matches(struct exec *x)
{
	for (size_t i = 0; i < x->count; i++)
		x->matches[i]->users--;
	free(x->matches);
	x->matches = NULL;
	x->count = 0;
}

/* Matches an exec anew. What it held before may lie in another registry, which still exists. */
static void rematch(struct tip_store *s, struct exec *x, bool *identity_differs, bool *differs)
{
	struct tip_reg_entry *found[MATCHES_MAX];
	size_t n = tip_registry_match(s->registry, &x->attested, found, MATCHES_MAX);

	*identity_differs = !n != !x->count || (n && strcmp(found[0]->entry.spiffe_id,
							    x->matches[0]->entry.spiffe_id));
	*differs = n != x->count;
	for (size_t i = 0; i < n && !*differs; i++)
		*differs = found[i]->edited || strcmp(found[i]->entry.id, x->matches[i]->entry.id);
	release_matches(x);
	for (size_t i = 0; i < n; i++)
		found[i]->users++;
	x->matches = tip_calloc(n + 1, sizeof(struct tip_reg_entry *));
	memcpy(x->matches, found, n * sizeof(struct tip_reg_entry *));
	x->count = n;
}

static bool same_names(const struct tip_entry *a, const struct tip_entry *b)
{
	if (a->ndns_names != b->ndns_names)
		return false;
	for (size_t i = 0; i < a->ndns_names; i++)
		if (strcmp(a->dns_names[i], b->dns_names[i]))
			return false;
	return true;
}

/* Hands the SVID of an entry on to the same entry of the new set. */
static void hand_on(struct tip_store *s, struct tip_reg_entry *from, struct tip_reg_entry *to)
{
	bool certified;

	if (!to) {
		tip_store_forget_svid(s, from);
		return;
	}
	certified = ttl_of(s, &from->entry) == ttl_of(s, &to->entry) &&
		    same_names(&from->entry, &to->entry);
	to->edited = !certified || strcmp(from->entry.hint, to->entry.hint);
	if (!certified)
		tip_store_forget_svid(s, from);
	to->svid = from->svid;
	from->svid = (struct tip_x509_svid){0};
}

void tip_store_set_entries(struct tip_store *s, const struct tip_entry *entries, size_t count)
{
	struct tip_registry *old = s->registry;
	struct tip_store_notes notes = {0};
	struct exec *x;
	size_t it = 0;

	s->registry = tip_registry_new(entries, count);
	tip_store_forget_tokens(s);
	for (size_t i = 0; i < tip_registry_count(old); i++) {
		struct tip_reg_entry *from = tip_registry_get(old, i);

		hand_on(s, from, tip_registry_by_id(s->registry, from->entry.id));
	}
	while ((x = tip_map_next(s->execs, &it))) {
		bool identity_differs, differs;

		rematch(s, x, &identity_differs, &differs);
		add_note(&notes, x->id, identity_differs, differs);
	}
	for (size_t i = 0; i < tip_registry_count(s->registry); i++)
		tip_registry_get(s->registry, i)->edited = false;
	tip_registry_free(old);
	tip_store_tell(s, &notes);
}

static struct exec *new_exec(struct tip_store *s, uint64_t exec_id)
{
	struct exec *x;

	if (tip_map_count(s->execs) >= s->config.max_execs) {
		s->stats.execs_refused++;
		if (!s->full)
			tip_warn(ROOM,
				 "%zu processes are known, no more fit: new ones stay "
				 "pending. Raise max_processes",
				 s->config.max_execs);
		s->full = true;
		return NULL;
	}
	x = tip_alloc(sizeof(*x));
	x->id = exec_id;
	tip_map_putu(s->execs, exec_id, x);
	return x;
}

void tip_store_exec(struct tip_store *s, const struct tip_exec_facts *facts)
{
	struct exec *x = tip_map_getu(s->execs, facts->exec_id);
	bool known = x != NULL, identity_differs, differs;
	struct tip_store_notes notes = {0};

	if (!x)
		x = new_exec(s, facts->exec_id);
	if (!x || (known && (int32_t)(facts->epoch - x->epoch) < 0))
		return; /* no room, or older than what is known */
	x->epoch = facts->epoch;
	free(x->path);
	free(x->cgroup);
	free(x->sha256);
	x->sha256 = tip_strdup(facts->attested.sha256 ? facts->attested.sha256 : "");
	x->path = tip_strdup(facts->attested.path ? facts->attested.path : "");
	x->cgroup = tip_strdup(facts->attested.cgroup ? facts->attested.cgroup : "");
	x->attested = facts->attested;
	x->attested.path = x->path;
	x->attested.cgroup = x->cgroup;
	x->attested.sha256 = x->sha256;
	rematch(s, x, &identity_differs, &differs);
	differs = differs || x->withheld != facts->withheld;
	x->withheld = facts->withheld;
	/* Every {exec, epoch} is answered, even when the answer is the old one. */
	add_note(&notes, x->id, true, !known || differs);
	tip_store_tell(s, &notes);
}

void tip_store_exec_gone(struct tip_store *s, uint64_t exec_id)
{
	struct exec *x = tip_map_delu(s->execs, exec_id);

	if (!x)
		return;
	release_matches(x);
	exec_free(x);
	s->full = false;
}

static bool has_spiffe_id(const struct tip_reg_entry *e, const void *spiffe_id)
{
	return !strcmp(e->entry.spiffe_id, spiffe_id);
}

void tip_store_quarantine(struct tip_store *s, const char *spiffe_id, bool on)
{
	struct tip_store_notes notes = {0};

	if (on == (tip_map_gets(s->quarantined, spiffe_id) != NULL))
		return;
	if (on)
		tip_map_puts(s->quarantined, spiffe_id, s);
	else
		tip_map_dels(s->quarantined, spiffe_id);
	if (on)
		tip_store_forget_tokens(s);
	/* A released workload gets a new key: the old one was in the hands of whoever it was about.
	 */
	for (size_t i = 0; on && i < tip_registry_count(s->registry); i++) {
		struct tip_reg_entry *e = tip_registry_get(s->registry, i);

		if (!strcmp(e->entry.spiffe_id, spiffe_id))
			tip_store_forget_svid(s, e);
	}
	tip_store_note_holders(s, &notes, has_spiffe_id, spiffe_id);
	tip_store_tell(s, &notes);
}

/* ---- life --------------------------------------------------------------------------- */

int tip_store_start(struct tip_store *s, struct tip_error *err)
{
	struct tip_store_notes notes = {0};
	uint64_t now = now_of(s);
	struct exec *x;
	size_t it = 0;

	s->authority = tip_authority_embedded_new(s->trust_domain, s->config.ca_ttl);
	tip_store_load_authority(s, now);
	if (tip_store_tick_authority(s, now, err) < 0) {
		s->authority->ops->free(s->authority);
		s->authority = NULL;
		return -1;
	}
	tip_store_load_svids(s, now);
	tip_cache_free(&s->cache);
	s->last_tick = now;
	s->next_svid = now; /* the first tick looks through what was loaded */
	while ((x = tip_map_next(s->execs, &it)))
		add_note(&notes, x->id, false, true);
	tip_store_tell(s, &notes);
	return 0;
}

struct tip_store *tip_store_new(const struct tip_store_config *config,
				const struct tip_store_ops *ops)
{
	struct tip_store *s = tip_alloc(sizeof(*s));

	tip_x509_init();
	s->config = *config;
	s->ops = *ops;
	s->trust_domain = tip_strdup(config->trust_domain);
	s->registry = tip_registry_new(NULL, 0);
	s->execs = tip_map_new();
	s->quarantined = tip_map_new();
	s->next_svid = UINT64_MAX;
	return s;
}

void tip_store_free(struct tip_store *s)
{
	if (!s)
		return;
	tip_map_free(s->execs, exec_free);
	tip_map_free(s->quarantined, NULL);
	tip_registry_free(s->registry);
	tip_cache_free(&s->cache);
	if (s->authority)
		s->authority->ops->free(s->authority);
	tip_buf_free(&s->bundle);
	tip_buf_free(&s->jwks_text);
	tip_jwks_clear(&s->jwks);
	tip_store_forget_tokens(s);
	tip_store_forget_own(s);
	free(s->trust_domain);
	free(s);
}

void tip_store_stats(const struct tip_store *s, struct tip_store_stats *out)
{
	*out = s->stats;
	out->entries = tip_registry_count(s->registry);
	out->execs = tip_map_count(s->execs);
	out->svids = 0;
	for (size_t i = 0; i < out->entries; i++)
		out->svids += tip_registry_get(s->registry, i)->svid.chain != NULL;
}
