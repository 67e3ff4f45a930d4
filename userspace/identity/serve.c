/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/store_impl.h"

#include "base/log.h"
#include "identity/svid.h"

/*
 * tip_store_tick() asks to be called this often although most calls find nothing: a timer runs on
 * another clock than certificates do, and that one can be set, or jump over a suspended night.
 */
#define TICK_MAX (2 * TIP_NSEC_PER_SEC)
/* SVIDs renewed by one tick: the event loop has others to serve. */
#define RENEWALS_PER_TICK 64
#define RETRY             (10 * TIP_NSEC_PER_SEC)

static int issue(struct tip_store *s, struct tip_reg_entry *e, uint64_t now)
{
	bool renewal = e->svid.chain != NULL;
	struct tip_error err;

	if (tip_svid_issue(&e->svid, s->authority, &e->entry, ttl_of(s, &e->entry), now, &err) <
	    0) {
		tip_err(ROOM, "no SVID for %s: %s", e->entry.spiffe_id, err.text);
		return -1;
	}
	s->stats.issued++;
	s->stats.renewed += renewal;
	if (renewal)
		e->renewed = s->any_renewed = true;
	tip_store_save_svid(s, e);
	return 0;
}

/* Hints are unique within an answer: a later SVID with the same one is left out, as SPIRE does. */
static bool hint_taken(const struct tip_svid *out, size_t count, const char *hint)
{
	for (size_t i = 0; hint[0] && i < count; i++)
		if (!strcmp(out[i].hint, hint))
			return true;
	return false;
}

enum tip_standing tip_store_standing(const struct tip_store *s, uint64_t exec_id)
{
	const struct exec *x = tip_map_getu(s->execs, exec_id);

	if (!x || !s->authority)
		return TIP_STANDING_PENDING;
	/* Whose default identity is in quarantine has no other to fall back on. */
	if (x->withheld || (x->count && is_quarantined(s, x->matches[0])))
		return TIP_STANDING_WITHHELD;
	return x->count ? TIP_STANDING_HOLDS : TIP_STANDING_NONE;
}

enum tip_fetch tip_store_fetch(struct tip_store *s, uint64_t exec_id, struct tip_svid *out,
			       size_t max, size_t *count)
{
	const struct exec *x = tip_map_getu(s->execs, exec_id);
	uint64_t now = now_of(s);

	*count = 0;
	switch (tip_store_standing(s, exec_id)) {
	case TIP_STANDING_PENDING: return TIP_FETCH_PENDING;
	case TIP_STANDING_NONE:
	case TIP_STANDING_WITHHELD: return TIP_FETCH_DENIED;
	case TIP_STANDING_HOLDS: break;
	}
	for (size_t i = 0; i < x->count && *count < max; i++) {
		struct tip_reg_entry *e = x->matches[i];

		if (is_quarantined(s, e) || hint_taken(out, *count, e->entry.hint))
			continue;
		/* What is only due for renewal is tick's: it tells everybody who holds it. */
		if (!tip_svid_holds(&e->svid, now) && issue(s, e, now) < 0) {
			*count = 0;
			return TIP_FETCH_ERROR;
		}
		if (e->svid.renew_at < s->next_svid)
			s->next_svid = e->svid.renew_at;
		out[(*count)++] = (struct tip_svid){
			.spiffe_id = e->entry.spiffe_id,
			.chain = e->svid.chain,
			.chain_len = e->svid.chain_len,
			.key = e->svid.key,
			.key_len = e->svid.key_len,
			.hint = e->entry.hint,
		};
	}
	return TIP_FETCH_OK;
}

const uint8_t *tip_store_bundle(struct tip_store *s, size_t *len)
{
	*len = s->bundle.len;
	return (const uint8_t *)s->bundle.data;
}

int tip_store_tick_authority(struct tip_store *s, uint64_t now, struct tip_error *err)
{
	uint64_t next = now + RETRY;
	int changes = s->authority->ops->tick(s->authority, now, &next, err);
	bool news = false;

	s->next_authority = next;
	if (changes < 0)
		return -1;
	if (changes & TIP_AUTHORITY_RECORD)
		tip_store_save_authority(s, TIP_AUTHORITY_X509);
	if (changes & TIP_AUTHORITY_JWT_RECORD)
		tip_store_save_authority(s, TIP_AUTHORITY_JWT);
	if (changes & TIP_AUTHORITY_BUNDLE || !s->bundle.len) {
		tip_buf_reset(&s->bundle);
		s->authority->ops->bundle(s->authority, &s->bundle);
		news = true;
	}
	if (changes & TIP_AUTHORITY_JWT_BUNDLE || !s->jwks_text.len) {
		tip_store_update_jwks(s);
		news = true;
	}
	if (news)
		s->ops.bundle_changed(s->ops.ctx);
	return 0;
}

/* Renews what somebody uses, drops what has expired unused, notes when something is due next. */
static void tick_svids(struct tip_store *s, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	int left = RENEWALS_PER_TICK;

	for (size_t i = 0; i < tip_registry_count(s->registry); i++) {
		struct tip_reg_entry *e = tip_registry_get(s->registry, i);
		bool holds = tip_svid_holds(&e->svid, now);

		if (!e->svid.chain)
			continue;
		if (!e->users && !holds) {
			tip_store_forget_svid(s, e);
			continue;
		}
		if (e->users && (!holds || e->svid.renew_at <= now)) {
			if (left-- <= 0) {
				next = now;
				break;
			}
			if (issue(s, e, now) < 0)
				e->svid.renew_at = now + RETRY;
		}
		/* An unused one that is due waits for its end, or for a user. */
		if (!e->users && e->svid.not_after < next)
			next = e->svid.not_after;
		else if (e->users && e->svid.renew_at < next)
			next = e->svid.renew_at;
	}
	s->next_svid = next;
}

static bool was_renewed(const struct tip_reg_entry *e, const void *unused)
{
	return e->renewed;
}

static void note_renewed(struct tip_store *s, struct tip_store_notes *notes)
{
	tip_store_note_holders(s, notes, was_renewed, NULL);
	for (size_t i = 0; i < tip_registry_count(s->registry); i++)
		tip_registry_get(s->registry, i)->renewed = false;
	s->any_renewed = false;
}

uint64_t tip_store_tick(struct tip_store *s, uint64_t now)
{
	bool went_back = now < s->last_tick;
	struct tip_store_notes notes = {0};
	struct tip_error err;
	uint64_t next;

	if (!s->authority)
		return TICK_MAX;
	s->last_tick = now;
	if ((went_back || now >= s->next_authority) && tip_store_tick_authority(s, now, &err) < 0)
		tip_err(ROOM, "authority: %s; trying again in 10 s", err.text);
	if (went_back || now >= s->next_svid)
		tick_svids(s, now);
	if (s->any_renewed)
		note_renewed(s, &notes);
	tip_store_tell(s, &notes);
	next = s->next_authority < s->next_svid ? s->next_authority : s->next_svid;
	if (next <= now)
		return TIP_NSEC_PER_SEC / 1000;
	return next - now < TICK_MAX ? next - now : TICK_MAX;
}
