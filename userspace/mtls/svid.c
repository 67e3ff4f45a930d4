/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/svid.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "base/mem.h"
#include "mtls/internal.h"
#include "mtls/trust.h"
#include "mtls/wire.h"

/* AES-128 first: the fastest where there is AES in the processor, and what kTLS takes everywhere.
 */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
#define GROUPS "X25519:P-256"
/* What SPIRE and the embedded authority issue first; RSA for peers whose authority has it. */
#define SIGNATURES                                                                                 \
	"ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ed25519:rsa_pss_rsae_sha256:"               \
	"rsa_pss_rsae_sha384:rsa_pkcs1_sha256:rsa_pkcs1_sha384"
/* Bytes of a peer's certificate message. */
#define CERTIFICATES_MAX 32768
#define SECURITY_LEVEL   2

struct tip_tls_svid {
	int refs;
	char *id;
	X509 *leaf;
	STACK_OF(X509) * rest;
	EVP_PKEY *key;
	SSL_CTX *ctx[2]; /* client, server */
};

static X509 *next_cert(const uint8_t **der, size_t *len)
{
	const unsigned char *p = *der;
	X509 *cert = *len && *len <= LONG_MAX ? d2i_X509(NULL, &p, (long)*len) : NULL;

	*len -= (size_t)(p - *der);
	*der = p;
	return cert;
}

static int read_chain(struct tip_tls_svid *s, const uint8_t *der, size_t len, struct tip_error *err)
{
	enum tip_mtls_cause cause;

	s->leaf = next_cert(&der, &len);
	s->rest = sk_X509_new_null();
	if (!s->leaf || !s->rest)
		return tip_error_set(err, "the SVID's certificate cannot be read");
	while (len) {
		X509 *cert = next_cert(&der, &len);

		if (cert && sk_X509_num(s->rest) < TIP_MTLS_CHAIN_MAX - 1 &&
		    sk_X509_push(s->rest, cert) > 0)
			continue;
		X509_free(cert);
		return tip_error_set(err, "the SVID's chain cannot be read");
	}
	cause = tip_leaf_id(s->leaf, &s->id);
	if (cause)
		return tip_error_set(err, "not an SVID: %s", tip_mtls_cause_name(cause));
	return 0;
}

static int read_key(struct tip_tls_svid *s, const uint8_t *der, size_t len, struct tip_error *err)
{
	PKCS8_PRIV_KEY_INFO *info = NULL;
	const unsigned char *p = der;

	if (len && len <= LONG_MAX)
		info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)len);
	if (info && p == der + len)
		s->key = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO_free(info);
	if (!s->key)
		return tip_error_set(err, "the SVID's key cannot be read");
	if (X509_check_private_key(s->leaf, s->key) != 1)
		return tip_error_set(err, "the key does not belong to the SVID's certificate");
	return 0;
}

struct tip_tls_svid *tip_tls_svid_new(const uint8_t *chain, size_t chain_len, const uint8_t *key,
				      size_t key_len, struct tip_error *err)
{
	struct tip_tls_svid *s = tip_alloc(sizeof(*s));

	s->refs = 1;
	if (!read_chain(s, chain, chain_len, err) && !read_key(s, key, key_len, err))
		return s;
	tip_tls_svid_put(s);
	return NULL;
}

struct tip_tls_svid *tip_tls_svid_ref(struct tip_tls_svid *s)
{
	s->refs++;
	return s;
}

void tip_tls_svid_put(struct tip_tls_svid *s)
{
	if (!s || --s->refs)
		return;
	SSL_CTX_free(s->ctx[0]);
	SSL_CTX_free(s->ctx[1]);
	X509_free(s->leaf);
	sk_X509_pop_free(s->rest, X509_free);
	EVP_PKEY_free(s->key);
	free(s->id);
	free(s);
}

const char *tip_tls_svid_id(const struct tip_tls_svid *s)
{
	return s->id;
}

/* Ours if it is offered; anything else is the application's affair and stays unanswered. */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned int in_len, void *arg)
{
	const unsigned int len = sizeof(TIP_MTLS_ALPN) - 1;

	for (unsigned int i = 0; i < in_len; i += in[i] + 1u) {
		if (in[i] != len || in_len - i <= len || memcmp(in + i + 1, TIP_MTLS_ALPN, len))
			continue;
		*out = in + i + 1;
		*out_len = (unsigned char)len;
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static bool set_protocol(SSL_CTX *ctx)
{
	/*
	 * NO_AUTO_CHAIN: OpenSSL would look for our own chain in every handshake. No AUTO_RETRY: a
	 * peer that sends nothing but KeyUpdates gets one a turn.
	 */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_max_cert_list(ctx, CERTIFICATES_MAX);
	SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_ciphersuites(ctx, SUITES) == 1 &&
	       SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 &&
	       SSL_CTX_set1_sigalgs_list(ctx, SIGNATURES) == 1 &&
	       /* Each ticket would use up one of the server's sequence numbers. */
	       SSL_CTX_set_num_tickets(ctx, 0) == 1;
}

static bool set_identity(const struct tip_tls_svid *s, SSL_CTX *ctx)
{
	return SSL_CTX_use_certificate(ctx, s->leaf) == 1 &&
	       SSL_CTX_set1_chain(ctx, s->rest) == 1 && SSL_CTX_use_PrivateKey(ctx, s->key) == 1;
}

SSL_CTX *tip_tls_svid_ctx(struct tip_tls_svid *s, bool server)
{
	static const unsigned char offer[] = "\x0a" TIP_MTLS_ALPN;
	SSL_CTX *ctx = s->ctx[server];

	_Static_assert(sizeof(TIP_MTLS_ALPN) - 1 == 0x0a, "the offer says its length");
	if (ctx)
		return ctx;
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (!ctx || !set_protocol(ctx) || !set_identity(s, ctx))
		goto fail;
	if (server)
		SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
	else if (SSL_CTX_set_alpn_protos(ctx, offer, sizeof(offer) - 1))
		goto fail;
	if (!server)
		SSL_CTX_set_cert_cb(ctx, tip_session_asked, NULL);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, tip_session_judge, NULL);
	s->ctx[server] = ctx;
	return ctx;
fail:
	SSL_CTX_free(ctx);
	return NULL;
}
