/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_SVID_H
#define TIP_IDENTITY_SVID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "identity/authority.h"
#include "identity/x509.h"
#include "policy/entry.h"

/* The X509-SVID of one entry: all zero when there is none. */
struct tip_x509_svid {
	uint8_t *chain; /* DER, leaf first; NULL: none */
	size_t chain_len;
	uint8_t *key; /* PKCS#8 DER, wiped when freed */
	size_t key_len;
	uint32_t ttl; /* seconds that were asked for */
	uint64_t issued, not_before, not_after;
	uint64_t renew_at; /* half of its life, +-10 %, drawn once */
};

/* Frees and wipes, and leaves an empty one. */
void tip_svid_clear(struct tip_x509_svid *s);

/* Replaces `*s` by a new one with a new key. 0, or -1 with `err` and `*s` as it was. */
int tip_svid_issue(struct tip_x509_svid *s, struct tip_authority *a, const struct tip_entry *e,
		   uint32_t ttl, uint64_t now, struct tip_error *err);

/* It is there and holds at `now`. */
bool tip_svid_holds(const struct tip_x509_svid *s, uint64_t now);

/* Appends the record for the cache, with the key: wipe the buffer. */
void tip_svid_record(const struct tip_x509_svid *s, const struct tip_entry *e,
		     const char *trust_domain, struct tip_buf *out);

/*
 * Fills an empty `*s` from a record: 0; 1 when it is sound but made for the entry as it was before
 * (other lifetime or names); -1 with `err` when it is truncated, of another trust domain or entry,
 * expired, not signed by one of `trust`, or its key is another's.
 */
int tip_svid_load(struct tip_x509_svid *s, const void *data, size_t len, const struct tip_entry *e,
		  const char *trust_domain, uint32_t ttl, struct tip_trust *trust, uint64_t now,
		  struct tip_error *err);

#endif
