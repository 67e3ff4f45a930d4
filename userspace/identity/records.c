/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/store_impl.h"

#include <stdio.h>

#include "base/log.h"
#include "identity/record.h"
#include "identity/svid.h"

#define RECORD_AUTHORITY "authority"
#define RECORD_JWT_KEYS  "jwt-keys"
#define RECORD_SVID      "svid-"
#define RECORD_NAME_SIZE 64
#define ID_LEN           32

static const char *record_name(const struct tip_entry *e, char name[RECORD_NAME_SIZE])
{
	snprintf(name, RECORD_NAME_SIZE, RECORD_SVID "%s", e->id);
	return name;
}

void tip_store_save_svid(struct tip_store *s, const struct tip_reg_entry *e)
{
	char name[RECORD_NAME_SIZE];
	struct tip_buf b = {0};

	tip_svid_record(&e->svid, &e->entry, s->trust_domain, &b);
	if (b.len <= TIP_RECORD_MAX)
		s->ops.save(s->ops.ctx, record_name(&e->entry, name), b.data, b.len);
	else
		tip_warn(ROOM, "the SVID of %s is too large for the cache", e->entry.spiffe_id);
	tip_record_wipe(&b);
}

void tip_store_forget_svid(struct tip_store *s, struct tip_reg_entry *e)
{
	char name[RECORD_NAME_SIZE];

	if (!e->svid.chain)
		return;
	tip_svid_clear(&e->svid);
	s->ops.forget(s->ops.ctx, record_name(&e->entry, name));
}

void tip_store_save_authority(struct tip_store *s, enum tip_authority_record which)
{
	const char *name = which == TIP_AUTHORITY_JWT ? RECORD_JWT_KEYS : RECORD_AUTHORITY;
	struct tip_buf b = {0};
	struct tip_error err;

	if (s->authority->ops->record(s->authority, which, &b, &err) < 0)
		tip_err(ROOM, "the authority is not kept: %s", err.text);
	else
		s->ops.save(s->ops.ctx, name, b.data, b.len);
	tip_record_wipe(&b);
}

static void bad_record(struct tip_store *s, const char *name, const char *why)
{
	s->stats.bad_records++;
	tip_warn(ROOM, "cache: the record \"%s\" is ignored: %s", name, why);
}

/* What is the authority's, and no entry's. */
static bool is_authority(const char *name)
{
	return !strcmp(name, RECORD_AUTHORITY) || !strcmp(name, RECORD_JWT_KEYS);
}

/* "authority", "jwt-keys", or "svid-" and an entry's id. */
static bool known_name(const char *name)
{
	const char *id = name + strlen(RECORD_SVID);

	if (is_authority(name))
		return true;
	return !strncmp(name, RECORD_SVID, strlen(RECORD_SVID)) && strlen(id) == ID_LEN &&
	       strspn(id, "0123456789abcdef") == ID_LEN;
}

void tip_store_record(struct tip_store *s, const char *name, const void *data, size_t len)
{
	if (s->authority)
		bad_record(s, name, "it came after the start");
	else if (!known_name(name))
		bad_record(s, name, "nothing of this name is kept there");
	else if (tip_cache_add(&s->cache, name, data, len) < 0)
		bad_record(s, name, "too large, or too many");
}

/* Takes over the record of one entry, or forgets it. */
static void load_svid(struct tip_store *s, struct tip_reg_entry *e,
		      const struct tip_cache_record *r, struct tip_trust *trust, uint64_t now)
{
	struct tip_error err;
	int ret;

	if (is_quarantined(s, e)) {
		s->ops.forget(s->ops.ctx, r->name);
		return;
	}
	ret = tip_svid_load(&e->svid, r->data, r->len, &e->entry, s->trust_domain,
			    ttl_of(s, &e->entry), trust, now, &err);
	if (!ret)
		return;
	if (ret < 0)
		bad_record(s, r->name, err.text);
	s->ops.forget(s->ops.ctx, r->name);
}

void tip_store_load_svids(struct tip_store *s, uint64_t now)
{
	const struct tip_cache_record *r;
	struct tip_trust *trust;
	struct tip_error err;
	size_t it = 0;

	if (!s->cache.records)
		return;
	trust = tip_trust_new((const uint8_t *)s->bundle.data, s->bundle.len, &err);
	if (!trust) {
		tip_err(ROOM, "the cache is not used: %s", err.text);
		return;
	}
	while ((r = tip_map_next(s->cache.records, &it))) {
		struct tip_reg_entry *e;

		if (is_authority(r->name))
			continue;
		e = tip_registry_by_id(s->registry, r->name + strlen(RECORD_SVID));
		if (e)
			load_svid(s, e, r, trust, now);
		else /* the entry was removed while nobody looked */
			s->ops.forget(s->ops.ctx, r->name);
	}
	tip_trust_free(trust);
}

static void load_authority(struct tip_store *s, enum tip_authority_record which, const char *name,
			   uint64_t now)
{
	const struct tip_cache_record *r = tip_cache_get(&s->cache, name);
	struct tip_error err;

	if (r && tip_authority_embedded_load(s->authority, which, r->data, r->len, now, &err) < 0)
		bad_record(s, r->name, err.text);
}

void tip_store_load_authority(struct tip_store *s, uint64_t now)
{
	load_authority(s, TIP_AUTHORITY_X509, RECORD_AUTHORITY, now);
	load_authority(s, TIP_AUTHORITY_JWT, RECORD_JWT_KEYS, now);
}
