/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/client.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/address.h"
#include "base/mem.h"
#include "mtls/trust.h"
#include "policy/spiffe_id.h"

/* 112 bits: no SHA-1, no RSA below 2048. */
#define SECURITY_LEVEL   2
#define CERTIFICATES_MAX 32768 /* bytes of a server's certificate message */
#define CHAIN_MAX        8     /* certificates of ours */

/* What is shown of ourselves. */
struct own {
	X509 *leaf; /* NULL: nothing */
	STACK_OF(X509) * rest;
	EVP_PKEY *key;
};

struct tip_tls_client {
	char *host, *server_id, *domain;
	bool address; /* the host is one */
	SSL_CTX *ctx; /* NULL: made when it is needed next */
	X509_STORE *authorities;
	struct tip_bundles *bundles;
	struct own own;
	uint8_t *shown; /* its chain as it was given in DER */
	size_t shown_len;
};

struct tip_tls_client *tip_tls_client_new(const char *host, const char *server_id)
{
	struct tip_tls_client *t = tip_alloc(sizeof(*t));
	union tip_address address;
	const char *domain;
	size_t len;

	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	t->host = tip_strdup(host);
	t->address = tip_address_parse(host, 0, &address);
	t->server_id = tip_strdup(server_id);
	t->bundles = tip_bundles_new();
	if (*server_id) {
		domain = tip_spiffe_id_domain(server_id, &len);
		t->domain = tip_strndup(domain, len);
	}
	return t;
}

/* The next connection is made with what is known then. */
static void renew(struct tip_tls_client *t)
{
	SSL_CTX_free(t->ctx);
	t->ctx = NULL;
}

static void own_free(struct own *o)
{
	X509_free(o->leaf);
	sk_X509_pop_free(o->rest, X509_free);
	EVP_PKEY_free(o->key);
	*o = (struct own){0};
}

static void forget_shown(struct tip_tls_client *t)
{
	own_free(&t->own);
	free(t->shown);
	t->shown = NULL;
	t->shown_len = 0;
}

void tip_tls_client_free(struct tip_tls_client *t)
{
	if (!t)
		return;
	renew(t);
	forget_shown(t);
	X509_STORE_free(t->authorities);
	tip_bundles_free(t->bundles);
	free(t->host);
	free(t->server_id);
	free(t->domain);
	free(t);
}

/* ---- whom it trusts ------------------------------------------------------------------------- */

int tip_tls_client_authorities(struct tip_tls_client *t, const char *pem, size_t len,
			       struct tip_error *err)
{
	BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	X509_STORE *store = X509_STORE_new();
	X509 *cert;
	int n = 0;

	X509_STORE_free(t->authorities);
	t->authorities = NULL;
	renew(t);
	while (bio && store && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		n += X509_STORE_add_cert(store, cert) == 1;
		X509_free(cert);
	}
	BIO_free(bio);
	if (!n) {
		X509_STORE_free(store);
		return tip_error_set(err, "there is no certificate (PEM) in it");
	}
	t->authorities = store;
	return 0;
}

int tip_tls_client_bundle(struct tip_tls_client *t, const uint8_t *der, size_t len,
			  struct tip_error *err)
{
	return t->domain ? tip_bundles_set(t->bundles, t->domain, der, len, err) : 0;
}

/* The server has to be who was named: its X509-SVID is judged as that of any peer. */
static int judge(X509_STORE_CTX *chain, void *arg)
{
	struct tip_tls_client *t = arg;
	enum tip_mtls_cause cause;
	char *id = NULL;
	int ok;

	cause = tip_bundles_judge(t->bundles, X509_STORE_CTX_get0_cert(chain),
				  X509_STORE_CTX_get0_untrusted(chain), &id);
	ok = cause == TIP_MTLS_NONE && strcmp(id, t->server_id) == 0;
	if (!ok)
		X509_STORE_CTX_set_error(chain, cause == TIP_MTLS_NONE
							? X509_V_ERR_SUBJECT_ISSUER_MISMATCH
							: X509_V_ERR_CERT_UNTRUSTED);
	free(id);
	return ok;
}

const char *tip_tls_client_why(const SSL *ssl)
{
	const long error = SSL_get_verify_result(ssl);

	switch (error) {
	case X509_V_OK: return NULL;
	case X509_V_ERR_SUBJECT_ISSUER_MISMATCH: return "its SPIFFE ID is another";
	case X509_V_ERR_CERT_UNTRUSTED: return "it has no X509-SVID of its trust domain";
	default: return X509_verify_cert_error_string(error);
	}
}

/* ---- what it shows -------------------------------------------------------------------------- */

static X509 *next_cert(const uint8_t **der, size_t *len)
{
	const unsigned char *p = *der;
	X509 *cert = *len && *len <= LONG_MAX ? d2i_X509(NULL, &p, (long)*len) : NULL;

	*len -= (size_t)(p - *der);
	*der = p;
	return cert;
}

/* Takes `cert`, the next of the chain. */
static bool add_cert(struct own *o, X509 *cert)
{
	if (!o->leaf) {
		o->leaf = cert;
		o->rest = sk_X509_new_null();
		return o->rest != NULL;
	}
	if (sk_X509_num(o->rest) < CHAIN_MAX && sk_X509_push(o->rest, cert) > 0)
		return true;
	X509_free(cert);
	return false;
}

static bool read_chain(struct own *o, const uint8_t *der, size_t len)
{
	do {
		X509 *cert = next_cert(&der, &len);

		if (!cert || !add_cert(o, cert))
			return false;
	} while (len);
	return true;
}

static EVP_PKEY *read_key(const uint8_t *der, size_t len)
{
	const unsigned char *p = der;
	PKCS8_PRIV_KEY_INFO *info = NULL;
	EVP_PKEY *key;

	if (len && len <= LONG_MAX)
		info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)len);
	key = info ? EVP_PKCS82PKEY(info) : NULL;
	PKCS8_PRIV_KEY_INFO_free(info);
	return key;
}

/* Shows `o` from now on, and takes it over. False, and nothing has changed: it has no key of its
 * own. */
static bool show(struct tip_tls_client *t, struct own *o)
{
	if (!o->key || X509_check_private_key(o->leaf, o->key) != 1)
		return false;
	forget_shown(t);
	renew(t);
	t->own = *o;
	*o = (struct own){0};
	return true;
}

int tip_tls_client_show(struct tip_tls_client *t, const uint8_t *chain, size_t chain_len,
			const uint8_t *key, size_t key_len, struct tip_error *err)
{
	struct own next = {0};
	bool shows;

	if (t->shown_len == chain_len && !memcmp(t->shown, chain, chain_len))
		return 0;
	if (read_chain(&next, chain, chain_len))
		next.key = read_key(key, key_len);
	shows = show(t, &next);
	own_free(&next);
	if (!shows)
		return tip_error_set(err, "the daemon's SVID cannot be read");
	t->shown = tip_alloc(chain_len);
	memcpy(t->shown, chain, chain_len);
	t->shown_len = chain_len;
	return 1;
}

/* There is nobody to ask; OpenSSL would look for a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
	return -1;
}

static bool read_chain_pem(struct own *o, const char *pem, size_t len)
{
	BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	bool good = bio;
	X509 *cert;

	while (good && (cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)))
		good = add_cert(o, cert);
	BIO_free(bio);
	/* The end, or something that is no certificate? */
	return good && o->leaf && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static EVP_PKEY *read_key_pem(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	return key;
}

int tip_tls_client_show_pem(struct tip_tls_client *t, const char *chain, size_t chain_len,
			    const char *key, struct tip_error *err)
{
	struct own next = {0};
	int ret = 0;

	ERR_clear_error();
	if (!read_chain_pem(&next, chain, chain_len))
		ret = tip_error_set(err, "the certificates cannot be read, or are more than nine");
	else if (!(next.key = read_key_pem(key)))
		ret = tip_error_set(err, "the key cannot be read");
	else if (!show(t, &next))
		ret = tip_error_set(err, "the key is not that of the first certificate");
	own_free(&next);
	ERR_clear_error();
	return ret;
}

/* ---- connections ------------------------------------------------------------------------------
 */

static SSL_CTX *context(struct tip_tls_client *t)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	/* A session would go on with what was shown when it began. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx,
			    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_max_cert_list(ctx, CERTIFICATES_MAX);
	SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (t->domain)
		SSL_CTX_set_cert_verify_callback(ctx, judge, t);
	else if (t->authorities)
		SSL_CTX_set1_cert_store(ctx, t->authorities);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    (t->own.leaf && (SSL_CTX_use_certificate(ctx, t->own.leaf) != 1 ||
			     SSL_CTX_set1_chain(ctx, t->own.rest) != 1 ||
			     SSL_CTX_use_PrivateKey(ctx, t->own.key) != 1))) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* Whom the certificate has to be for. */
static bool name_server(const struct tip_tls_client *t, SSL *ssl)
{
	static const unsigned char http1[] = "\x08http/1.1";

	if (SSL_set_alpn_protos(ssl, http1, sizeof(http1) - 1) != 0)
		return false;
	if (t->address)
		return t->domain ||
		       X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), t->host) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, t->host) == 1 &&
	       (t->domain || SSL_set1_host(ssl, t->host) == 1);
}

SSL *tip_tls_client_begin(struct tip_tls_client *t, int fd, struct tip_error *err)
{
	SSL *ssl;

	if (!t->ctx)
		t->ctx = context(t);
	ssl = t->ctx ? SSL_new(t->ctx) : NULL;
	if (ssl && name_server(t, ssl) && SSL_set_fd(ssl, fd) == 1)
		return ssl;
	SSL_free(ssl);
	tip_error_set(err, "TLS cannot be prepared");
	return NULL;
}
