/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_SVID_H
#define TIP_MTLS_SVID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/error.h"

/*
 * One X509-SVID of ours, ready for handshakes: certificate, chain and key are read and checked
 * once, and each role's SSL_CTX is made once, on first use. Whoever owns an identity keeps the
 * current one and makes another when it is renewed; sessions hold what they began with. Counted
 * references; one thread.
 */
struct tip_tls_svid;

/* `chain`: DER, leaf first; `key`: PKCS#8 DER. Copied. NULL with `err`. */
struct tip_tls_svid *tip_tls_svid_new(const uint8_t *chain, size_t chain_len, const uint8_t *key,
				      size_t key_len, struct tip_error *err);
struct tip_tls_svid *tip_tls_svid_ref(struct tip_tls_svid *s);
/* Lets go; NULL is fine. */
void tip_tls_svid_put(struct tip_tls_svid *s);

const char *tip_tls_svid_id(const struct tip_tls_svid *s);

/* The context of a role, borrowed. NULL when OpenSSL has no memory. */
SSL_CTX *tip_tls_svid_ctx(struct tip_tls_svid *s, bool server);

#endif
