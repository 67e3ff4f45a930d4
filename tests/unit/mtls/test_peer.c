/* SPDX-License-Identifier: Apache-2.0 */
/* An open connection whose peer is no Tipstaff: what it may do to the records, and may not. */
#include "stage.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#define TAG 16
#define KEY 16
#define IV  12

static void test_truncation(void **state)
{
	struct stage g;

	stage_open(&g, *state);
	assert_int_equal(SSL_write(g.ssl, "half an ans", 11), 11);
	app_gets(&g, "half an ans");
	tip_leg_close(g.fd, true);
	g.fd = -1;
	app_is_reset(&g, TIP_MTLS_TRUNCATED);
	stage_close(&g);
}

/* The end of the record itself is missing. */
static void test_cut_record(void **state)
{
	struct stage g;

	stage_open(&g, *state);
	assert_int_equal(send(g.fd, "\x17\x03\x03\x00\x20zz", 7, 0), 7);
	stage_run(&g, 20);
	assert_non_null(g.hop.pump);
	shutdown(g.fd, SHUT_WR);
	app_is_reset(&g, TIP_MTLS_TRUNCATED);
	stage_close(&g);
}

static void test_close_notify(void **state)
{
	struct stage g;
	char c;

	stage_open(&g, *state);
	assert_int_equal(SSL_shutdown(g.ssl), 0);
	stage_run(&g, 20);
	assert_int_equal(recv(g.app, &c, 1, MSG_DONTWAIT), 0);
	/* The other half lives. */
	assert_int_equal(send(g.app, "z", 1, 0), 1);
	stage_run(&g, 20);
	assert_int_equal(SSL_read(g.ssl, &c, 1), 1);
	shutdown(g.app, SHUT_WR);
	stage_run(&g, 1000);
	assert_int_equal(g.hop.cause, TIP_MTLS_CLEAN);
	assert_int_equal(SSL_read(g.ssl, &c, 1), 0);
	assert_int_equal(SSL_get_error(g.ssl, 0), SSL_ERROR_ZERO_RETURN);
	stage_close(&g);
}

static void test_key_update(void **state)
{
	struct stage g;
	char got[8];

	if (!can_rekey()) {
		stage_open(&g, *state);
		assert_int_equal(SSL_key_update(g.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_write(g.ssl, "after", 5), 5);
		app_is_reset(&g, TIP_MTLS_KEY_UPDATE);
		/* It is told that, before the reset. */
		ERR_clear_error();
		assert_true(SSL_read(g.ssl, got, sizeof(got)) <= 0);
		assert_int_equal(ERR_GET_REASON(ERR_peek_error()),
				 SSL_AD_REASON_OFFSET + SSL_AD_UNEXPECTED_MESSAGE);
		stage_close(&g);
		return;
	}
	stage_open(&g, *state);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(SSL_key_update(g.ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED
							     : SSL_KEY_UPDATE_NOT_REQUESTED),
				 1);
		assert_int_equal(SSL_write(g.ssl, "after", 5), 5);
		app_gets(&g, "after");
		assert_int_equal(send(g.app, "back", 4, 0), 4);
		stage_run(&g, 20);
		/* Our own KeyUpdate, where one was asked for, comes first. */
		while (SSL_read(g.ssl, got, sizeof(got)) != 4)
			stage_run(&g, 2);
		assert_memory_equal(got, "back", 4);
	}
	assert_int_equal(SSL_shutdown(g.ssl), 0);
	shutdown(g.app, SHUT_WR);
	stage_run(&g, 1000);
	assert_int_equal(g.hop.cause, TIP_MTLS_CLEAN);
	stage_close(&g);
}

static void test_garbage(void **state)
{
	static const char *const bytes[] = {
		"GET / HTTP/1.0\r\n\r\n and more",
		"\x17\x03\x03\x01\x01not what the key says",
	};
	struct stage g;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(bytes); i++) {
		char rest[512] = "";

		stage_open(&g, *state);
		assert_true(send(g.fd, bytes[i], strlen(bytes[i]), 0) > 0);
		assert_true(send(g.fd, rest, sizeof(rest), 0) > 0);
		app_is_reset(&g, TIP_MTLS_BAD_RECORD);
		stage_close(&g);
	}
}

static void expand(const uint8_t secret[32], const char *label, uint8_t *out, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, 32),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, (char[]){"tls13 "}, 6),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (void *)label,
						  strlen(label)),
		OSSL_PARAM_construct_end(),
	};

	assert_int_equal(EVP_KDF_derive(ctx, out, len, params), 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

/* Writes one record by hand under the client's first key: content, its type, padding. */
static void forge(struct stage *g, uint8_t seq, uint8_t type, const char *content, size_t len,
		  size_t padding)
{
	size_t inner = len + 1 + padding;
	uint8_t key[KEY], iv[IV], record[512] = {0x17, 3, 3}, plain[256] = {0};
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	expand(g->secret, "key", key, sizeof(key));
	expand(g->secret, "iv", iv, sizeof(iv));
	iv[IV - 1] ^= seq;
	memcpy(plain, content, len);
	plain[len] = type;
	record[3] = (uint8_t)((inner + TAG) >> 8);
	record[4] = (uint8_t)(inner + TAG);
	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, iv), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, record, 5), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, record + 5, &n, plain, (int)inner), 1);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, record + 5 + inner, &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, record + 5 + inner),
			 1);
	EVP_CIPHER_CTX_free(ctx);
	assert_int_equal(send(g->fd, record, 5 + inner + TAG, 0), 5 + inner + TAG);
}

/* Records of length 0 and padding are legal, and are not the end. */
static void test_empty_records(void **state)
{
	struct stage g;

	stage_open(&g, *state);
	forge(&g, 0, 23, "one", 3, 0);
	forge(&g, 1, 23, "", 0, 0);
	forge(&g, 2, 23, "", 0, 50);
	forge(&g, 3, 23, "two", 3, 40);
	app_gets(&g, "onetwo");
	/*
	 * Half a KeyUpdate holds nobody's data up once the rest is here. The kernel takes a record
	 * that begins like one for a whole one; where keys can be replaced it waits for the next.
	 */
	if (over_kernel()) {
		forge(&g, 4, 22, "\x18\x00", 2, 0);
		stage_run(&g, 10);
		if (!can_rekey())
			forge(&g, 5, 22, "\x00\x01\x00", 3, 0);
		app_is_reset(&g, can_rekey() ? TIP_MTLS_BAD_RECORD : TIP_MTLS_KEY_UPDATE);
		stage_close(&g);
		return;
	}
	forge(&g, 4, 22, "\x18\x00", 2, 0);
	stage_run(&g, 10);
	assert_int_equal(send(g.app, "held", 4, 0), 4);
	stage_run(&g, 10);
	assert_non_null(g.hop.pump);
	forge(&g, 5, 22, "\x00\x01\x00", 3, 0);
	stage_run(&g, 20);
	assert_int_equal(SSL_read(g.ssl, (char[8]){0}, 8), 4);
	stage_close(&g);
}

/* A fatal alert is no clean end, nor is a handshake message that has no place here. */
static void test_alert(void **state)
{
	struct stage g;

	stage_open(&g, *state);
	forge(&g, 0, 21, "\x02\x50", 2, 0);
	app_is_reset(&g, TIP_MTLS_PEER_ALERT);
	stage_close(&g);
	stage_open(&g, *state);
	forge(&g, 0, 22, "\x01\x00\x00\x00", 4, 0);
	app_is_reset(&g, TIP_MTLS_BAD_RECORD);
	stage_close(&g);
}

/* Our own new keys, after so many records, on both sides of a conversation. */
static void test_own_rekey(void **state)
{
	const struct tip_records often = {.rekey = 3};
	struct world *w = *state;
	SSL *ssl[2];
	struct tip_backend *b[2];
	int ends[2], done = 0;
	char got[8];

	tcp_pair(ends);
	for (int i = 0; i < 2; i++) {
		SSL_CTX *ctx = SSL_CTX_new(i ? TLS_server_method() : TLS_client_method());

		SSL_CTX_use_certificate(ctx, w->server.cert);
		SSL_CTX_use_PrivateKey(ctx, w->server.key);
		SSL_CTX_set_num_tickets(ctx, 0);
		SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
		assert_int_equal(fcntl(ends[i], F_SETFL, O_NONBLOCK), 0);
		ssl[i] = SSL_new(ctx);
		SSL_set_fd(ssl[i], ends[i]);
		SSL_CTX_free(ctx);
	}
	while (done != 2)
		done = (SSL_connect(ssl[0]) == 1) + (SSL_accept(ssl[1]) == 1);
	b[0] = tip_backend_user(ssl[0], &often);
	b[1] = tip_backend_user(ssl[1], &often);
	for (int i = 0; i < 40; i++) {
		ssize_t n;

		assert_int_equal(b[i % 2]->ops->write(b[i % 2], "abc", 3), 3);
		assert_true(b[i % 2]->ops->rec_seq(b[i % 2]) < 3);
		while ((n = b[!(i % 2)]->ops->read(b[!(i % 2)], got, sizeof(got))) < 0)
			assert_int_equal(n, TIP_IO_WANT_READ);
		assert_int_equal(n, 3);
	}
	/* Also right after a key was asked for, which has to go out first. */
	while (b[0]->ops->rec_seq(b[0]) != 0)
		assert_int_equal(b[0]->ops->write(b[0], "abc", 3), 3);
	assert_int_equal(b[0]->ops->shutdown_write(b[0]), 0);
	for (ssize_t n = 1; n; n = b[1]->ops->read(b[1], got, sizeof(got)))
		assert_true(n > 0 || n == TIP_IO_WANT_READ);
	for (int i = 0; i < 2; i++) {
		b[i]->ops->close(b[i]);
		close(ends[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncation),   cmocka_unit_test(test_cut_record),
		cmocka_unit_test(test_close_notify), cmocka_unit_test(test_key_update),
		cmocka_unit_test(test_garbage),      cmocka_unit_test(test_empty_records),
		cmocka_unit_test(test_alert),        cmocka_unit_test(test_own_rekey),
	};

	return run_over_backends(tests, world_set_up, world_tear_down);
}
