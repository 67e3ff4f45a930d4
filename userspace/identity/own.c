/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's own SVID. It is not in the cache: a new front makes itself another. */
#include "identity/store_impl.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

void tip_store_own(struct tip_store *s, const char *spiffe_id)
{
	tip_store_forget_own(s);
	s->own_id = tip_strdup(spiffe_id);
}

void tip_store_forget_own(struct tip_store *s)
{
	tip_svid_clear(&s->own);
	free(s->own_id);
	s->own_id = NULL;
}

enum tip_fetch tip_store_fetch_own(struct tip_store *s, struct tip_svid *out)
{
	const struct tip_entry e = {.id = "own", .spiffe_id = s->own_id};
	const uint64_t now = now_of(s);
	struct tip_error err;
	bool holds;

	if (!s->own_id || tip_map_gets(s->quarantined, s->own_id))
		return TIP_FETCH_DENIED;
	if (!s->authority)
		return TIP_FETCH_PENDING;
	holds = tip_svid_holds(&s->own, now);
	if (!holds || s->own.renew_at <= now) {
		if (tip_svid_issue(&s->own, s->authority, &e, s->config.x509_ttl, now, &err) < 0) {
			tip_err(ROOM, "no SVID for %s: %s", s->own_id, err.text);
			if (!holds)
				return TIP_FETCH_ERROR;
		}
	}
	*out = (struct tip_svid){
		.spiffe_id = s->own_id,
		.chain = s->own.chain,
		.chain_len = s->own.chain_len,
		.key = s->own.key,
		.key_len = s->own.key_len,
		.hint = "",
	};
	return TIP_FETCH_OK;
}
