/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>

#include "mtls/internal.h"

/* OpenSSL turns alert N of the peer into the reason SSL_AD_REASON_OFFSET + N. */
static enum tip_mtls_cause of_reason(int reason)
{
	switch (reason) {
	case SSL_R_UNEXPECTED_EOF_WHILE_READING: return TIP_MTLS_CLOSED;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_WRONG_SSL_VERSION:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_AD_REASON_OFFSET + SSL_AD_PROTOCOL_VERSION: return TIP_MTLS_TLS_VERSION;
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST: return TIP_MTLS_PLAINTEXT;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SHARED_GROUPS:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SUITABLE_GROUPS:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS: return TIP_MTLS_NO_COMMON;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return TIP_MTLS_NO_CERTIFICATE;
	case SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL: return TIP_MTLS_ALPN_REFUSED;
	default: return reason > SSL_AD_REASON_OFFSET ? TIP_MTLS_PEER_ALERT : TIP_MTLS_PROTOCOL;
	}
}

static void describe_alert(int alert, char *text, size_t size)
{
	(void)snprintf(text, size, "alert %d, %s", alert, SSL_alert_desc_string_long(alert));
}

enum tip_mtls_cause tip_alert_cause(int alert, char *text, size_t size)
{
	describe_alert(alert, text, size);
	return of_reason(SSL_AD_REASON_OFFSET + alert);
}

enum tip_mtls_cause tip_ssl_cause(const SSL *ssl, int ret, int saved_errno, char *text, size_t size)
{
	unsigned long error = ERR_peek_error();
	int reason = ERR_GET_REASON(error);

	if (SSL_get_error(ssl, ret) == SSL_ERROR_SYSCALL || ERR_SYSTEM_ERROR(error)) {
		if (!saved_errno)
			return TIP_MTLS_CLOSED;
		if (text)
			(void)snprintf(text, size, "%s", strerror(saved_errno));
		return tip_errno_cause(saved_errno);
	}
	/* A certificate or key that cannot be decoded is the peer's doing as well. */
	if (ERR_GET_LIB(error) != ERR_LIB_SSL)
		reason = 0;
	if (text) {
		const char *said = ERR_reason_error_string(error);

		if (reason > SSL_AD_REASON_OFFSET)
			describe_alert(reason - SSL_AD_REASON_OFFSET, text, size);
		else
			(void)snprintf(text, size, "%s", said ? said : "no reason given");
	}
	return of_reason(reason);
}
