/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/store_impl.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

/*
 * Minted tokens are handed out again until half of their life is over: a workload that asks for
 * each request of its own costs a look-up. Where they would take more than this, all are dropped.
 */
#define TOKENS_BYTES_MAX (8u << 20)

/* A minted token, under its entry and the set of its audiences. */
struct token {
	uint64_t issued, renew_at; /* ns */
	char text[];
};

void tip_store_forget_tokens(struct tip_store *s)
{
	tip_map_free(s->tokens, free);
	s->tokens = NULL;
	s->token_bytes = 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Appends what every entry's key ends with: the audiences, sorted. */
static void add_audiences(const struct tip_jwt_query *q, struct tip_buf *out)
{
	const char **sorted = tip_calloc(q->naudiences, sizeof(*sorted));

	memcpy(sorted, q->audiences, q->naudiences * sizeof(*sorted));
	qsort(sorted, q->naudiences, sizeof(*sorted), by_text);
	for (size_t i = 0; i < q->naudiences; i++)
		tip_buf_add(out, sorted[i], strlen(sorted[i]) + 1);
	free(sorted);
}

/* The token of an entry; the store's. NULL: signing failed. */
static const char *token_of(struct tip_store *s, const struct tip_reg_entry *e,
			    const struct tip_jwt_query *q, const struct tip_buf *audiences,
			    uint64_t now)
{
	const struct tip_jwt_request req = {
		.spiffe_id = e->entry.spiffe_id,
		.audiences = q->audiences,
		.naudiences = q->naudiences,
		.ttl = e->entry.jwt_ttl ? e->entry.jwt_ttl : s->config.jwt_ttl,
		.now = now,
	};
	struct tip_buf key = {0}, text = {0};
	struct tip_error err;
	struct token *t;
	uint64_t expires;

	tip_buf_adds(&key, e->entry.id);
	tip_buf_add(&key, audiences->data, audiences->len);
	t = tip_map_get(s->tokens, key.data, key.len);
	if (t && t->issued <= now && now < t->renew_at)
		goto out;
	t = NULL;
	if (s->authority->ops->sign_jwt(s->authority, &req, &text, &expires, &err) < 0) {
		tip_err(ROOM, "no JWT-SVID for %s: %s", e->entry.spiffe_id, err.text);
		goto out;
	}
	t = tip_alloc(sizeof(*t) + text.len + 1);
	t->issued = now;
	t->renew_at = now + (expires > now ? expires - now : 0) / 2;
	memcpy(t->text, text.data, text.len + 1);
	s->token_bytes += sizeof(*t) + key.len + text.len;
	s->stats.jwt_issued++;
	free(tip_map_put(s->tokens, key.data, key.len, t));
out:
	tip_buf_free(&key);
	tip_buf_free(&text);
	return t ? t->text : NULL;
}

enum tip_fetch tip_store_fetch_jwt(struct tip_store *s, uint64_t exec_id,
				   const struct tip_jwt_query *q, struct tip_jwt_svid *out,
				   size_t max, size_t *count)
{
	const struct exec *x = tip_map_getu(s->execs, exec_id);
	enum tip_fetch ret = TIP_FETCH_DENIED;
	struct tip_buf audiences = {0};

	*count = 0;
	switch (tip_store_standing(s, exec_id)) {
	case TIP_STANDING_PENDING: return TIP_FETCH_PENDING;
	case TIP_STANDING_NONE:
	case TIP_STANDING_WITHHELD: return TIP_FETCH_DENIED;
	case TIP_STANDING_HOLDS: break;
	}
	/* Before, not in between: what has been handed out of the map lives until the next call. */
	if (s->token_bytes > TOKENS_BYTES_MAX)
		tip_store_forget_tokens(s);
	if (!s->tokens)
		s->tokens = tip_map_new();
	add_audiences(q, &audiences);
	for (size_t i = 0; i < x->count && *count < max; i++) {
		const struct tip_reg_entry *e = x->matches[i];
		const char *text;

		if (is_quarantined(s, e))
			continue;
		if (q->spiffe_id && strcmp(q->spiffe_id, e->entry.spiffe_id) != 0)
			continue;
		text = token_of(s, e, q, &audiences, now_of(s));
		if (!text) {
			*count = 0;
			ret = TIP_FETCH_ERROR;
			break;
		}
		out[(*count)++] = (struct tip_jwt_svid){e->entry.spiffe_id, text, e->entry.hint};
		ret = TIP_FETCH_OK;
	}
	tip_buf_free(&audiences);
	return ret;
}

const char *tip_store_jwks(struct tip_store *s, size_t *len)
{
	*len = s->jwks_text.len;
	return s->jwks_text.data;
}

int tip_store_validate_jwt(struct tip_store *s, const char *audience, const char *token,
			   struct tip_jwt *out, struct tip_error *err)
{
	return tip_jwt_verify(token, strlen(token), audience, s->trust_domain, &s->jwks, now_of(s),
			      out, err);
}

void tip_store_update_jwks(struct tip_store *s)
{
	struct tip_error err;

	tip_buf_reset(&s->jwks_text);
	tip_jwks_clear(&s->jwks);
	/* Read back as any verifier reads it: whoever made it, we hold tokens against that. */
	if (s->authority->ops->jwks(s->authority, &s->jwks_text, &err) < 0 ||
	    tip_jwks_parse(s->jwks_text.data, s->jwks_text.len, TIP_JWKS_PLAIN, &s->jwks, &err) <
		    0) {
		tip_err(ROOM, "the JWT keys cannot be used: %s", err.text);
		tip_buf_reset(&s->jwks_text);
	}
}
