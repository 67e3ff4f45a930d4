/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_TRUST_H
#define TIP_MTLS_TRUST_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "base/error.h"
#include "mtls/cause.h"

/*
 * The trust bundles by trust domain, and the judgement of a peer's certificate. A peer is held
 * against the bundle of the trust domain that its own ID names, and no other. Chains that were
 * found good are remembered per bundle, until one of their certificates expires or the bundle is
 * replaced. One thread.
 */
struct tip_bundles;

/* Certificates in a peer's chain, the leaf among them. */
#define TIP_MTLS_CHAIN_MAX 8

struct tip_bundles *tip_bundles_new(void);
void tip_bundles_free(struct tip_bundles *b);

/*
 * Sets the bundle of a trust domain (concatenated DER), or replaces it. What in it is not the
 * certificate of an authority is left out; an empty bundle trusts nobody. 0, or -1 with `err` and
 * the former bundle as it was.
 */
int tip_bundles_set(struct tip_bundles *b, const char *trust_domain, const uint8_t *der, size_t len,
		    struct tip_error *err);
/* From now on nobody of that trust domain is trusted. */
void tip_bundles_remove(struct tip_bundles *b, const char *trust_domain);

struct tip_bundles_stats {
	size_t bundles;
	uint64_t verified;   /* chains that were walked, with whatever result */
	uint64_t remembered; /* chains that were found in the memory */
};
void tip_bundles_stats(const struct tip_bundles *b, struct tip_bundles_stats *out);

/*
 * The rules of a leaf: exactly one URI name, which is a SPIFFE ID with a path; no authority;
 * digitalSignature and neither keyCertSign nor cRLSign. TIP_MTLS_NONE and `*id` (the caller's), or
 * the rule that is broken and NULL.
 */
enum tip_mtls_cause tip_leaf_id(X509 *leaf, char **id);

/*
 * Judges what a peer sent: `leaf`, and `sent` with everything (the leaf may be among it).
 * TIP_MTLS_NONE when it is an X509-SVID that holds now. `*id` is the ID that the leaf claims (the
 * caller's) or NULL, also when it is not believed.
 */
enum tip_mtls_cause tip_bundles_judge(struct tip_bundles *b, X509 *leaf, STACK_OF(X509) * sent,
				      char **id);

#endif
