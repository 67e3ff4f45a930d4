/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_INTERNAL_H
#define TIP_MTLS_INTERNAL_H

#include <openssl/ssl.h>

#include "mtls/cause.h"

/* What the files of this room share. */

/* OpenSSL asks: does the peer's chain hold? The session is the SSL's application data. */
int tip_session_judge(X509_STORE_CTX *store, void *arg);
/* On a client: the server wants our certificate. */
int tip_session_asked(SSL *ssl, void *arg);

/* What went wrong in the call on `ssl` that returned `ret`, from OpenSSL's queue and errno. */
enum tip_mtls_cause tip_ssl_cause(const SSL *ssl, int ret, int saved_errno, char *text,
				  size_t size);

#endif
