/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TLS_CLIENT_H
#define TIP_TLS_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/error.h"

/*
 * The TLS of a client of one server (1.2 and later): whom it trusts, and what it shows of itself.
 * A server is known by its name or address and a chain to one of the authorities that were given
 * for it, or, when a SPIFFE ID is wanted of it, by its X509-SVID. There is no way not to check.
 */
struct tip_tls_client;

/*
 * `host`: the name or address that the certificate has to be for. `server_id`: the SPIFFE ID that
 * it has to have instead, "": none. Copied.
 */
struct tip_tls_client *tip_tls_client_new(const char *host, const char *server_id);
void tip_tls_client_free(struct tip_tls_client *t); /* NULL is fine */

/* Who may vouch for a server by name: PEM; replaces what was given before. 0, or -1 with `err`:
 * nobody may then. */
int tip_tls_client_authorities(struct tip_tls_client *t, const char *pem, size_t len,
			       struct tip_error *err);
/* The trust bundle (concatenated DER) of the server's trust domain. 0, or -1 with `err`. */
int tip_tls_client_bundle(struct tip_tls_client *t, const uint8_t *der, size_t len,
			  struct tip_error *err);
/*
 * What is shown to a server that asks: chain (DER, leaf first) and key (PKCS#8 DER). 1: it is
 * another than before; 0: the same; -1 with `err`, and what was shown before stays.
 */
int tip_tls_client_show(struct tip_tls_client *t, const uint8_t *chain, size_t chain_len,
			const uint8_t *key, size_t key_len, struct tip_error *err);
/*
 * The same from PEM: the chain (leaf first), and its key, without a passphrase. 0, or -1 with
 * `err`, and what was shown before stays.
 */
int tip_tls_client_show_pem(struct tip_tls_client *t, const char *chain, size_t chain_len,
			    const char *key, struct tip_error *err);

/* A connection over `fd`, which stays the caller's; SSL_connect() is next. NULL with `err`. */
SSL *tip_tls_client_begin(struct tip_tls_client *t, int fd, struct tip_error *err);
/* Why the server was not believed, for the log; NULL: it was not that. */
const char *tip_tls_client_why(const SSL *ssl);

#endif
