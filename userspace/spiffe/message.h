/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SPIFFE_MESSAGE_H
#define TIP_SPIFFE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "identity/store.h"

/* The Workload API's messages, packed. */
struct tip_message {
	uint8_t *data; /* may hold keys: free with tip_message_free() */
	size_t len;
};

void tip_message_free(struct tip_message *m); /* wiped first */

/* Whether `req` is an X509SVIDRequest or X509BundlesRequest (both empty; unknown fields are fine).
 */
bool tip_message_request_ok(const uint8_t *req, size_t len);

/*
 * X509SVIDResponse: `svids` in their order with `bundle`. Hints are unique in a response: of
 * several with one hint the first stays. False (nothing to free) when an SVID is not fit to be
 * sent; `why` then says so.
 */
bool tip_message_svids(const struct tip_svid *svids, size_t count, const uint8_t *bundle,
		       size_t bundle_len, struct tip_message *out, const char **why);

/* X509BundlesResponse: the one bundle of `trust_domain` (bare name). */
void tip_message_bundles(const char *trust_domain, const uint8_t *bundle, size_t bundle_len,
			 struct tip_message *out);

#endif
