/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_POLICY_ENTRY_H
#define TIP_POLICY_ENTRY_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/yaml.h"
#include "policy/selector.h"

/* A registration entry: who gets which SPIFFE ID. */
struct tip_entry {
	const char *id; /* stable, see tip_entry_id() */
	const char *spiffe_id;
	struct tip_selector *selectors;
	size_t nselectors; /* at least one */
	uint32_t x509_ttl; /* seconds, 0: the authority's default */
	uint32_t jwt_ttl;  /* the same for JWT-SVIDs */
	const char *hint;  /* "" none; at most 1024 bytes */
	const char **dns_names;
	size_t ndns_names;
	const char *file; /* where it was read */
	int line;
};

/* Limits: what exceeds them is refused with its place. */
#define TIP_ENTRY_TTL_MIN       10u /* seconds, of both lifetimes */
#define TIP_ENTRY_X509_TTL_MAX  (366u * 86400u)
#define TIP_ENTRY_JWT_TTL_MAX   86400u /* whoever sees a token has it: a day is long */
#define TIP_ENTRY_SELECTORS_MAX 32
#define TIP_ENTRY_DNS_MAX       16
#define TIP_ENTRY_HINT_MAX      1024
#define TIP_ENTRY_TEXT_MAX      32768 /* bytes of tip_entry_write(): it travels in one link message */

/*
 * Parses an entries file: a YAML list of {spiffe_id, selectors, x509_ttl, jwt_ttl, hint,
 * dns_names}. A lifetime is a duration ("1h", "90s") or a number of seconds, at least 10 s. IDs
 * must lie in `trust_domain` and have a path; /spire is reserved. Unknown keys and the same entry
 * twice in one file are refused. Appends to `*entries` (tip_realloc'ed array; strings in the
 * arena). 0, or -1 with `err` and nothing appended.
 */
int tip_entries_parse(struct tip_arena *arena, const char *file, const char *text, size_t len,
		      const char *trust_domain, struct tip_entry **entries, size_t *count,
		      struct tip_error *err);

/*
 * A stable id for an entry: 32 hex digits over the SPIFFE ID and the sorted selectors (not ttl,
 * hint and names), so that the same entry in another file or order is the same entry and keeps its
 * SVID.
 */
void tip_entry_id(const struct tip_entry *e, char out[33]);

/* Every selector matches. */
/* True when some selector asks for the executable's digest. */
bool tip_entry_wants_digest(const struct tip_entry *e);

int tip_entry_matches(const struct tip_entry *e, const struct tip_attested *a);

/* Appends the entry as one YAML list item that tip_entries_parse() reads back. */
void tip_entry_write(const struct tip_entry *e, struct tip_buf *out);

#endif
