/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_STORE_IMPL_H
#define TIP_IDENTITY_STORE_IMPL_H

/* The inside of the store, shared by its files: store.c, records.c and serve.c. */

#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "identity/authority.h"
#include "identity/cache.h"
#include "identity/registry.h"
#include "identity/store.h"
#include "identity/svid.h"

#define ROOM "identity"

/* What the keeper told of an exec, and the entries that match it, best first. */
struct exec {
	uint64_t id;
	uint32_t epoch;
	bool withheld;
	struct tip_attested attested;
	char *path, *cgroup, *sha256; /* behind `attested` */
	struct tip_reg_entry **matches;
	size_t count;
};

struct tip_store {
	struct tip_store_config config;
	struct tip_store_ops ops;
	char *trust_domain;
	struct tip_authority *authority; /* NULL until started */
	struct tip_buf bundle, jwks_text;
	struct tip_jwks jwks;   /* `jwks_text`, read */
	struct tip_map *tokens; /* minted JWT-SVIDs: serve_jwt.c; NULL: none */
	size_t token_bytes;
	struct tip_registry *registry;
	struct tip_map *execs;       /* exec id -> struct exec */
	struct tip_map *quarantined; /* SPIFFE ID -> anything */
	struct tip_cache cache;      /* records until started */
	char *own_id;                /* of the daemon itself; NULL: it has none */
	struct tip_x509_svid own;
	uint64_t next_authority, next_svid, last_tick;
	struct tip_store_stats stats; /* counters only */
	bool full;                    /* said in the log */
	bool any_renewed;             /* some entry's `renewed` is set */
};

static inline uint64_t now_of(const struct tip_store *s)
{
	return s->config.now ? s->config.now() : tip_clock_real();
}

static inline bool is_quarantined(const struct tip_store *s, const struct tip_reg_entry *e)
{
	return tip_map_gets(s->quarantined, e->entry.spiffe_id) != NULL;
}

static inline uint32_t ttl_of(const struct tip_store *s, const struct tip_entry *e)
{
	return e->x509_ttl ? e->x509_ttl : s->config.x509_ttl;
}

/* records.c: what goes to the cache and comes from it. */
void tip_store_save_svid(struct tip_store *s, const struct tip_reg_entry *e);
void tip_store_save_authority(struct tip_store *s, enum tip_authority_record which);
/* Wipes an entry's SVID and its record, if there is one. */
void tip_store_forget_svid(struct tip_store *s, struct tip_reg_entry *e);
/* Takes the authority over from the records, if one is there and sound. */
void tip_store_load_authority(struct tip_store *s, uint64_t now);
/* Takes the SVIDs over; those of removed and quarantined entries are forgotten. */
void tip_store_load_svids(struct tip_store *s, uint64_t now);

/*
 * store.c: callbacks come back into the store (a stream that is told of a change fetches), so what
 * there is to say is collected first and said when the state is whole again.
 */
struct tip_store_notes {
	struct tip_store_note {
		uint64_t exec_id;
		bool resolved, changed;
	} *list;
	size_t count, cap;
};
/* Notes every exec that holds an entry of which `is` is true. */
void tip_store_note_holders(struct tip_store *s, struct tip_store_notes *n,
			    bool (*is)(const struct tip_reg_entry *e, const void *arg),
			    const void *arg);
/* Says it, and empties the notes. */
void tip_store_tell(struct tip_store *s, struct tip_store_notes *n);

/* own.c */
void tip_store_forget_own(struct tip_store *s);

/* serve_jwt.c */
/* Drops what was minted: it is made anew when somebody asks for it. */
void tip_store_forget_tokens(struct tip_store *s);
/* The authority's JWT keys changed. */
void tip_store_update_jwks(struct tip_store *s);

/* serve.c: what the authority has to do now. 0, or -1 with `err`: there is none. */
int tip_store_tick_authority(struct tip_store *s, uint64_t now, struct tip_error *err);

#endif
