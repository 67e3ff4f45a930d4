/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/keys.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/tls.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/mem.h"

#define KEY_MAX 32
#define IV_LEN  12

/* ---- secrets ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The bytes of a line's last word; how many, 0 for anything else than 1 to 48 bytes in hex. */
static size_t last_word(const char *line, uint8_t out[TIP_SECRET_MAX])
{
	const char *at = strrchr(line, ' ');
	size_t n = 0;

	for (at = at ? at + 1 : ""; *at; at += 2) {
		int high = hex_digit(at[0]);
		int low = high < 0 ? -1 : hex_digit(at[1]);

		if (low < 0 || n == TIP_SECRET_MAX)
			return 0;
		out[n++] = (uint8_t)(high << 4 | low);
	}
	return n;
}

void tip_keys_log(struct tip_keys *k, bool server, const char *line)
{
	static const char of_client[] = "CLIENT_TRAFFIC_SECRET_0 ";
	static const char of_server[] = "SERVER_TRAFFIC_SECRET_0 ";
	const char *own = server ? of_server : of_client;
	const char *peer = server ? of_client : of_server;

	if (!strncmp(line, own, sizeof(of_client) - 1))
		k->own_len = last_word(line, k->own);
	else if (!strncmp(line, peer, sizeof(of_client) - 1))
		k->peer_len = last_word(line, k->peer);
}

bool tip_keys_complete(struct tip_keys *k, const SSL *ssl)
{
	static const struct {
		uint16_t suite;
		unsigned int cipher;
		size_t len;
		const char *digest;
	} suites[] = {
		{0x1301, TLS_CIPHER_AES_GCM_128, 32, "SHA256"},
		{0x1302, TLS_CIPHER_AES_GCM_256, 48, "SHA384"},
		{0x1303, TLS_CIPHER_CHACHA20_POLY1305, 32, "SHA256"},
	};
	uint16_t suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl));

	for (size_t i = 0; i < TIP_ARRAY_SIZE(suites); i++) {
		if (suites[i].suite != suite)
			continue;
		k->cipher = suites[i].cipher;
		k->digest = suites[i].digest;
		k->len = suites[i].len;
	}
	return k->cipher && k->own_len == k->len && k->peer_len == k->len;
}

void tip_keys_wipe(struct tip_keys *k)
{
	explicit_bzero(k, sizeof(*k));
}

/* HKDF-Expand-Label with an empty context. */
static int expand(const struct tip_keys *k, const uint8_t *secret, const char *label, uint8_t *out,
		  size_t len)
{
	static char prefix[] = "tls13 ";
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)k->digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, k->len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix,
						  sizeof(prefix) - 1),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (void *)label,
						  strlen(label)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int ret = ctx && EVP_KDF_derive(ctx, out, len, params) == 1 ? 0 : -1;

	/* Clears what it was given. */
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ret;
}

int tip_keys_next(struct tip_keys *k, bool tx)
{
	uint8_t *secret = tx ? k->own : k->peer;
	uint8_t next[TIP_SECRET_MAX];
	int ret = expand(k, secret, "traffic upd", next, k->len);

	if (!ret)
		memcpy(secret, next, k->len);
	explicit_bzero(next, sizeof(next));
	return ret;
}

/* ---- the kernel ---- */

union crypto {
	struct tls_crypto_info info;
	struct tls12_crypto_info_aes_gcm_128 aes128;
	struct tls12_crypto_info_aes_gcm_256 aes256;
	struct tls12_crypto_info_chacha20_poly1305 chacha;
};
_Static_assert(TLS_CIPHER_AES_GCM_128_SALT_SIZE + TLS_CIPHER_AES_GCM_128_IV_SIZE == IV_LEN &&
		       TLS_CIPHER_AES_GCM_256_SALT_SIZE + TLS_CIPHER_AES_GCM_256_IV_SIZE == IV_LEN,
	       "what the kernel calls salt is the first part of RFC 8446's IV");

/* The record's number of a cipher, big-endian, and the length of its structure. */
static unsigned char *seq_of(union crypto *c, unsigned int cipher, socklen_t *len)
{
	switch (cipher) {
	case TLS_CIPHER_AES_GCM_128: *len = sizeof(c->aes128); return c->aes128.rec_seq;
	case TLS_CIPHER_AES_GCM_256: *len = sizeof(c->aes256); return c->aes256.rec_seq;
	default: *len = sizeof(c->chacha); return c->chacha.rec_seq;
	}
}

/* The length of what was filled in. */
static socklen_t fill(union crypto *c, const uint8_t *key, const uint8_t *iv)
{
	switch (c->info.cipher_type) {
	case TLS_CIPHER_AES_GCM_128:
		memcpy(c->aes128.key, key, sizeof(c->aes128.key));
		memcpy(c->aes128.salt, iv, sizeof(c->aes128.salt));
		memcpy(c->aes128.iv, iv + sizeof(c->aes128.salt), sizeof(c->aes128.iv));
		return sizeof(c->aes128);
	case TLS_CIPHER_AES_GCM_256:
		memcpy(c->aes256.key, key, sizeof(c->aes256.key));
		memcpy(c->aes256.salt, iv, sizeof(c->aes256.salt));
		memcpy(c->aes256.iv, iv + sizeof(c->aes256.salt), sizeof(c->aes256.iv));
		return sizeof(c->aes256);
	default:
		memcpy(c->chacha.key, key, sizeof(c->chacha.key));
		memcpy(c->chacha.iv, iv, sizeof(c->chacha.iv));
		return sizeof(c->chacha);
	}
}

int tip_keys_install(const struct tip_keys *k, int fd, bool tx)
{
	const uint8_t *secret = tx ? k->own : k->peer;
	size_t key_len = k->cipher == TLS_CIPHER_AES_GCM_128 ? 16 : 32;
	union crypto c = {.info = {.version = TLS_1_3_VERSION, .cipher_type = (uint16_t)k->cipher}};
	uint8_t key[KEY_MAX], iv[IV_LEN];
	int ret = -1, saved = ENOMEM;

	if (!expand(k, secret, "key", key, key_len) && !expand(k, secret, "iv", iv, IV_LEN)) {
		ret = setsockopt(fd, SOL_TLS, tx ? TLS_TX : TLS_RX, &c, fill(&c, key, iv));
		saved = errno;
	}
	explicit_bzero(key, sizeof(key));
	explicit_bzero(iv, sizeof(iv));
	explicit_bzero(&c, sizeof(c));
	errno = saved;
	return ret;
}

int tip_keys_seq(unsigned int cipher, int fd, uint64_t *seq)
{
	union crypto c = {0};
	socklen_t len;
	const unsigned char *at = seq_of(&c, cipher, &len);
	int ret = getsockopt(fd, SOL_TLS, TLS_TX, &c, &len);

	*seq = 0;
	for (int i = 0; i < 8; i++)
		*seq = *seq << 8 | at[i];
	/* The key came with it. */
	explicit_bzero(&c, sizeof(c));
	return ret;
}
