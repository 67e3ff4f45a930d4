/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_STORE_H
#define TIP_IDENTITY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "identity/jwt.h"
#include "policy/entry.h"

/*
 * The SVID store (front): registration entries, the processes that hold them, one key and
 * certificate per entry, renewed at half-life, kept in the cache. It does no I/O of its own:
 * records go out and come back through struct tip_store_ops (the link, in the daemon).
 */
struct tip_store;

struct tip_store_ops {
	/* Keep / forget a record of the cache (name: [a-z0-9-]{1,64}; at most 60,000 bytes). */
	void (*save)(void *ctx, const char *name, const void *data, size_t len);
	void (*forget)(void *ctx, const char *name);
	/* The identity of an exec is known: "" for none. */
	void (*resolved)(void *ctx, uint64_t exec_id, uint32_t epoch, const char *spiffe_id);
	/* What `exec_id` may have has changed (rotation, entries, quarantine): streams look
	 * again. */
	void (*changed)(void *ctx, uint64_t exec_id);
	/* The bundle changed, or the JWT keys: streams of everybody look again, `changed` is not
	 * called for it. */
	void (*bundle_changed)(void *ctx);
	void *ctx;
};

struct tip_store_config {
	const char *trust_domain;
	uint32_t x509_ttl; /* seconds, default of entries */
	uint32_t jwt_ttl;  /* the same for JWT-SVIDs */
	uint32_t ca_ttl;   /* seconds, lifetime of the embedded authority's keys */
	size_t max_execs;  /* bound on known execs */
	uint64_t (*now)(
		void); /* CLOCK_REALTIME, ns; NULL: tip_clock_real() (tests bring their own) */
};

struct tip_store *tip_store_new(const struct tip_store_config *config,
				const struct tip_store_ops *ops);
void tip_store_free(struct tip_store *s);

/* A record from the cache, before tip_store_start(). A bad one is logged, counted and ignored. */
void tip_store_record(struct tip_store *s, const char *name, const void *data, size_t len);

/* All records are in: loads or makes the authority. 0, or -1 with `err`. */
int tip_store_start(struct tip_store *s, struct tip_error *err);

/* Replaces all entries; execs are matched again, SVIDs of entries that are gone are forgotten. */
void tip_store_set_entries(struct tip_store *s, const struct tip_entry *entries, size_t count);

/* What the keeper says of an exec. Matching happens at once; ops.resolved is called. */
struct tip_exec_facts {
	uint64_t exec_id;
	uint32_t epoch;
	uint32_t pid;
	/* Its origin is quarantined: whatever it matches, it gets nothing. The keeper knows
	 * lineages. */
	bool withheld;
	struct tip_attested attested;
};
void tip_store_exec(struct tip_store *s, const struct tip_exec_facts *facts);
void tip_store_exec_gone(struct tip_store *s, uint64_t exec_id);

/*
 * Quarantine of a SPIFFE ID begins or ends. Its SVIDs are wiped and forgotten when it begins (a
 * release makes new ones); execs whose default identity it is are denied altogether. ops.resolved
 * goes on naming it.
 */
void tip_store_quarantine(struct tip_store *s, const char *spiffe_id, bool on);

/* One SVID as the Workload API wants it. Pointers live until the next call into the store. */
struct tip_svid {
	const char *spiffe_id;
	const uint8_t *chain; /* DER, leaf first, concatenated */
	size_t chain_len;
	const uint8_t *key; /* PKCS#8 DER */
	size_t key_len;
	const char *hint;
};

enum tip_fetch {
	TIP_FETCH_OK,      /* at least one SVID */
	TIP_FETCH_DENIED,  /* no identity, or quarantined */
	TIP_FETCH_PENDING, /* that exec is not known yet: wait for ops.changed */
	TIP_FETCH_ERROR,   /* signing failed: Unavailable */
};
/*
 * The SVIDs of an exec, issued on first use, at most `max`, default identity first (most selectors,
 * then order of entries). `*count` set.
 */
enum tip_fetch tip_store_fetch(struct tip_store *s, uint64_t exec_id, struct tip_svid *out,
			       size_t max, size_t *count);

/*
 * The daemon has an SVID of its own too, which no entry gives and no process can be matched to.
 * tip_store_fetch_own(): issued on first use, renewed when half of its life is over; the pointers
 * live until the next call.
 */
void tip_store_own(struct tip_store *s, const char *spiffe_id);
enum tip_fetch tip_store_fetch_own(struct tip_store *s, struct tip_svid *out);

/* What an exec may ask for at all. */
enum tip_standing {
	TIP_STANDING_PENDING,  /* it is not known yet: wait for ops.changed */
	TIP_STANDING_NONE,     /* no entry is its */
	TIP_STANDING_WITHHELD, /* its default identity is quarantined, or its origin */
	TIP_STANDING_HOLDS,    /* it has an identity */
};
enum tip_standing tip_store_standing(const struct tip_store *s, uint64_t exec_id);

struct tip_jwt_query {
	const char *const *audiences; /* at least one; UTF-8 */
	size_t naudiences;
	const char *spiffe_id; /* only this identity; NULL: all */
};

/* One JWT-SVID. Pointers live until the next call into the store. */
struct tip_jwt_svid {
	const char *spiffe_id;
	const char *token;
	const char *hint;
};
/*
 * The JWT-SVIDs of an exec, at most `max`, in the order of tip_store_fetch(). A token is handed out
 * again until half of its life is over. `*count` set.
 */
enum tip_fetch tip_store_fetch_jwt(struct tip_store *s, uint64_t exec_id,
				   const struct tip_jwt_query *query, struct tip_jwt_svid *out,
				   size_t max, size_t *count);

/*
 * The JWT keys of our domain: a plain JWKS, "" when there is none. Lives until the next call.
 */
const char *tip_store_jwks(struct tip_store *s, size_t *len);

/* As tip_jwt_verify(), with the keys of our domain. */
int tip_store_validate_jwt(struct tip_store *s, const char *audience, const char *token,
			   struct tip_jwt *out, struct tip_error *err);

/* The trust bundle of our domain: concatenated DER. Lives until the next call. */
const uint8_t *tip_store_bundle(struct tip_store *s, size_t *len);

/*
 * Renews what is due, a bounded number at a time; returns ns until it wants to be called again (1
 * ms to 2 s: certificates follow a clock that can jump, timers do not). Time is CLOCK_REALTIME.
 */
uint64_t tip_store_tick(struct tip_store *s, uint64_t now_real_ns);

struct tip_store_stats {
	size_t entries, execs, svids;
	uint64_t issued, renewed, jwt_issued, bad_records, execs_refused;
};
void tip_store_stats(const struct tip_store *s, struct tip_store_stats *out);

#endif
