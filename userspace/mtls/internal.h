/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_INTERNAL_H
#define TIP_MTLS_INTERNAL_H

#include <openssl/ssl.h>

#include "mtls/backend.h"
#include "mtls/cause.h"

/* What the files of this room share. */

/* OpenSSL asks: does the peer's chain hold? The session is the SSL's application data. */
int tip_session_judge(X509_STORE_CTX *store, void *arg);
/* On a client: the server wants our certificate. */
int tip_session_asked(SSL *ssl, void *arg);
/* OpenSSL tells the secrets of a session whose records the kernel may make. */
void tip_session_keylog(const SSL *ssl, const char *line);

/* What went wrong in the call on `ssl` that returned `ret`, from OpenSSL's queue and errno. */
enum tip_mtls_cause tip_ssl_cause(const SSL *ssl, int ret, int saved_errno, char *text,
				  size_t size);

/* What an alert of the peer means, other than close_notify. */
enum tip_mtls_cause tip_alert_cause(int alert, char *text, size_t size);

/* What an open connection calls what the handshake calls otherwise. */
enum tip_mtls_cause tip_open_cause(enum tip_mtls_cause cause);
/* What errno of a call on the socket means. */
enum tip_mtls_cause tip_errno_cause(int error);

/* For `look` of the backends: what receiving one byte with MSG_PEEK has returned. */
int tip_look_result(struct tip_backend *b, ssize_t n);

#endif
