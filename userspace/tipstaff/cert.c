/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/file.h"
#include "base/mem.h"
#include "tipstaff/cert.h"

int cert_chain_parse(const uint8_t *der, size_t len, struct cert_chain *out, struct tip_error *err)
{
	const uint8_t *end = der + len;

	memset(out, 0, sizeof(*out));
	while (der < end) {
		X509 *cert = d2i_X509(NULL, &der, end - der);

		if (!cert) {
			tip_error_set(err, "certificate %zu of the answer cannot be read",
				      out->count + 1);
			cert_chain_free(out);
			return -1;
		}
		out->certs = tip_realloc(out->certs, out->count + 1, sizeof(X509 *));
		out->certs[out->count++] = cert;
	}
	return out->count ? 0 : tip_error_set(err, "the answer lacks a certificate");
}

void cert_chain_free(struct cert_chain *c)
{
	for (size_t i = 0; i < c->count; i++)
		X509_free(c->certs[i]);
	free(c->certs);
	memset(c, 0, sizeof(*c));
}

/* What a memory BIO holds, as a string. */
static char *bio_text(BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	return tip_strndup(len > 0 ? data : "", len > 0 ? (size_t)len : 0);
}

char *cert_chain_pem(const struct cert_chain *c)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;

	for (size_t i = 0; i < c->count; i++)
		PEM_write_bio_X509(bio, c->certs[i]);
	text = bio_text(bio);
	BIO_free(bio);
	return text;
}

int cert_chain_write(const char *path, const struct cert_chain *c, struct tip_error *err)
{
	char *pem = cert_chain_pem(c);
	int ret = tip_file_write(path, pem, strlen(pem), 0644, err);

	free(pem);
	return ret;
}

int cert_key_write(const char *path, const uint8_t *der, size_t len, struct tip_error *err)
{
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &der, (long)len);
	BIO *bio = BIO_new(BIO_s_secmem());
	char *pem = NULL;
	int ret = -1;

	if (!key || !bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
		tip_error_set(err, "the private key of the answer cannot be read");
		goto out;
	}
	pem = bio_text(bio);
	ret = tip_file_write(path, pem, strlen(pem), 0600, err);
out:
	if (pem)
		OPENSSL_cleanse(pem, strlen(pem));
	free(pem);
	BIO_free(bio);
	EVP_PKEY_free(key);
	return ret;
}

static int64_t time_text(const ASN1_TIME *t, char text[32])
{
	struct tm tm = {0};

	strcpy(text, "?");
	if (!ASN1_TIME_to_tm(t, &tm))
		return 0;
	strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return timegm(&tm);
}

void cert_info(const struct cert_chain *c, size_t index, struct cert_info *out)
{
	X509 *cert = c->certs[index];
	EVP_PKEY *key = X509_get0_pubkey(cert);
	BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = serial ? BN_bn2hex(serial) : NULL;
	char group[40] = "";

	memset(out, 0, sizeof(*out));
	snprintf(out->serial, sizeof(out->serial), "%s", hex ? hex : "?");
	if (key && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
		snprintf(out->key, sizeof(out->key), "%s %s", EVP_PKEY_get0_type_name(key), group);
	else if (key)
		snprintf(out->key, sizeof(out->key), "%s %d", EVP_PKEY_get0_type_name(key),
			 EVP_PKEY_get_bits(key));
	time_text(X509_get0_notBefore(cert), out->not_before_text);
	out->not_after = time_text(X509_get0_notAfter(cert), out->not_after_text);
	OPENSSL_free(hex);
	BN_free(serial);
}
