/* SPDX-License-Identifier: Apache-2.0 */
/* A client's TLS against servers, good and bad, at the other end of a pair of sockets. */
#include "../mtls/pki.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "tls/tcp.h"
#include "tls/client.h"

#define TD        "example.org"
#define SERVER_ID "spiffe://" TD "/collector"
#define OWN_ID    "spiffe://" TD "/tipstaff"

static struct pki td, stranger; /* authorities */

static int make_authorities(void **state)
{
	td = pki_ca(TD);
	stranger = pki_ca(TD);
	return 0;
}

static int free_authorities(void **state)
{
	pki_free(&td);
	pki_free(&stranger);
	return 0;
}

static struct pki leaf_for(const struct pki *ca, const char *names)
{
	return pki_make(&(struct pki_spec){.names = names,
					   .usage = PKI_LEAF_USAGE,
					   .from = -60,
					   .to = PKI_HOUR,
					   .issuer = ca});
}

static void trust_by_name(struct tip_tls_client *t, const struct pki *ca)
{
	BIO *bio = BIO_new(BIO_s_mem());
	struct tip_error err;
	char *pem;
	long len;

	PEM_write_bio_X509(bio, ca->cert);
	len = BIO_get_mem_data(bio, &pem);
	assert_int_equal(tip_tls_client_authorities(t, pem, (size_t)len, &err), 0);
	BIO_free(bio);
}

static void trust_by_id(struct tip_tls_client *t, const struct pki *ca)
{
	struct tip_buf der = {0};
	struct tip_error err;

	pki_der(ca->cert, &der);
	assert_int_equal(tip_tls_client_bundle(t, (const uint8_t *)der.data, der.len, &err), 0);
	tip_buf_free(&der);
}

static int show(struct tip_tls_client *t, const struct pki *leaf, const struct pki *key)
{
	struct tip_buf chain = {0};
	unsigned char *der = NULL;
	size_t len = pki_key_der(key->key, &der);
	struct tip_error err;
	int ret;

	pki_der(leaf->cert, &chain);
	ret = tip_tls_client_show(t, (const uint8_t *)chain.data, chain.len, der, len, &err);
	tip_buf_free(&chain);
	OPENSSL_free(der);
	return ret;
}

static int accept_any(X509_STORE_CTX *ctx, void *arg)
{
	return 1;
}

/* A server with that leaf and `max` for its last version of TLS, 0: any. */
static SSL *serve(const struct pki *leaf, int fd, int max)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	assert_int_equal(SSL_CTX_use_certificate(ctx, leaf->cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, leaf->key), 1);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, 0);
	SSL_CTX_set_max_proto_version(ctx, max);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(ssl, fd);
	SSL_set_accept_state(ssl);
	return ssl;
}

struct meeting {
	struct tip_tcp client;
	SSL *server;
	int fd; /* the server's */
	struct tip_error err;
};

/* Lets the two meet: what becomes of the client's part. */
static enum tip_tcp_wants meet(struct meeting *m, struct tip_tls_client *t, const struct pki *leaf,
			       int max)
{
	enum tip_tcp_wants wants = TIP_TCP_READ;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	m->fd = sv[1];
	m->server = serve(leaf, m->fd, max);
	assert_int_equal(tip_tcp_open(&m->client, sv[0], t, &m->err), 0);
	for (int i = 0; i < 20 && (wants == TIP_TCP_READ || wants == TIP_TCP_WRITE); i++) {
		wants = tip_tcp_begin(&m->client, &m->err);
		SSL_do_handshake(m->server);
		ERR_clear_error();
	}
	return wants;
}

static void part(struct meeting *m)
{
	tip_tcp_close(&m->client);
	SSL_free(m->server);
	close(m->fd);
}

static void a_server_is_known_by_its_name(void **state)
{
	static const struct {
		const char *host, *names;
		bool good;
	} all[] = {
		{"collector.test", "DNS:collector.test", true},
		{"c.example.test", "DNS:a.test,DNS:*.example.test", true},
		{"c1.example.test", "DNS:c*.example.test", false},
		{"collector.test", "DNS:a.collector.test", false},
		{"collector.test", "URI:" SERVER_ID, false},
		{"collector.test", "IP:127.0.0.1", false},
		{"127.0.0.1", "IP:127.0.0.1", true},
		{"127.0.0.1", "IP:127.0.0.2", false},
		{"127.0.0.1", "DNS:127.0.0.1", false},
		{"fd77::1", "IP:fd77::1", true},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(all); i++) {
		struct tip_tls_client *t = tip_tls_client_new(all[i].host, "");
		struct pki leaf = leaf_for(&td, all[i].names);
		struct meeting m;

		trust_by_name(t, &td);
		assert_int_equal(meet(&m, t, &leaf, 0),
				 all[i].good ? TIP_TCP_DONE : TIP_TCP_FAILED);
		if (!all[i].good)
			assert_non_null(strstr(m.err.text, "not believed"));
		part(&m);
		pki_free(&leaf);
		tip_tls_client_free(t);
	}
}

static void nobody_is_trusted_without_an_authority(void **state)
{
	struct tip_tls_client *t = tip_tls_client_new("collector.test", "");
	struct pki leaf = leaf_for(&td, "DNS:collector.test");
	struct tip_error err;
	struct meeting m;

	assert_int_equal(meet(&m, t, &leaf, 0), TIP_TCP_FAILED);
	part(&m);
	trust_by_name(t, &stranger);
	assert_int_equal(meet(&m, t, &leaf, 0), TIP_TCP_FAILED);
	part(&m);
	trust_by_name(t, &td);
	assert_int_equal(meet(&m, t, &leaf, 0), TIP_TCP_DONE);
	part(&m);
	/* A file that holds none is nobody, and not whoever was trusted before. */
	assert_int_equal(tip_tls_client_authorities(t, "nothing", 7, &err), -1);
	assert_int_equal(meet(&m, t, &leaf, 0), TIP_TCP_FAILED);
	part(&m);
	assert_int_equal(tip_tls_client_authorities(t, NULL, 0, &err), -1);
	pki_free(&leaf);
	tip_tls_client_free(t);
}

static void a_server_is_known_by_its_spiffe_id(void **state)
{
	static const struct {
		const char *names;
		const struct pki *ca;
		enum tip_tcp_wants wants;
		const char *why;
	} all[] = {
		{"URI:" SERVER_ID, &td, TIP_TCP_DONE, NULL},
		{"URI:" SERVER_ID "/x", &td, TIP_TCP_FAILED, "its SPIFFE ID is another"},
		{"URI:" SERVER_ID, &stranger, TIP_TCP_FAILED, "no X509-SVID"},
		{"URI:" SERVER_ID ",URI:spiffe://" TD "/x", &td, TIP_TCP_FAILED, "no X509-SVID"},
		{"DNS:collector.test", &td, TIP_TCP_FAILED, "no X509-SVID"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(all); i++) {
		/* The name of the URL is no matter then. */
		struct tip_tls_client *t = tip_tls_client_new("localhost", SERVER_ID);
		struct pki leaf = leaf_for(all[i].ca, all[i].names);
		struct meeting m;

		trust_by_id(t, &td);
		assert_int_equal(meet(&m, t, &leaf, 0), all[i].wants);
		if (all[i].why)
			assert_non_null(strstr(m.err.text, all[i].why));
		part(&m);
		pki_free(&leaf);
		tip_tls_client_free(t);
	}
}

static void what_is_shown(void **state)
{
	struct tip_tls_client *t = tip_tls_client_new("localhost", SERVER_ID);
	struct pki server = pki_leaf(&td, SERVER_ID), own = pki_leaf(&td, OWN_ID),
		   next = pki_leaf(&td, OWN_ID);
	const struct pki *const shown[] = {NULL, &own, &next};
	struct meeting m;
	X509 *seen;

	trust_by_id(t, &td);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(shown); i++) {
		if (shown[i]) {
			assert_int_equal(show(t, shown[i], shown[i]), 1);
			assert_int_equal(show(t, shown[i], shown[i]), 0);
		}
		assert_int_equal(meet(&m, t, &server, 0), TIP_TCP_DONE);
		seen = SSL_get1_peer_certificate(m.server);
		assert_int_equal(seen != NULL, shown[i] != NULL);
		if (seen)
			assert_int_equal(X509_cmp(seen, shown[i]->cert), 0);
		X509_free(seen);
		part(&m);
	}
	assert_int_equal(show(t, &own, &next), -1); /* somebody else's key */
	pki_free(&server);
	pki_free(&own);
	pki_free(&next);
	tip_tls_client_free(t);
}

/* `leaf`, `via` (NULL: none) and `key` as files would have them; what comes behind the chain. */
static int show_pem(struct tip_tls_client *t, const struct pki *leaf, const struct pki *via,
		    const struct pki *key, const char *more)
{
	BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
	char *chain_text, *key_text;
	struct tip_error err;
	long len;
	int ret;

	PEM_write_bio_X509(chain, leaf->cert);
	if (via)
		PEM_write_bio_X509(chain, via->cert);
	BIO_puts(chain, more);
	PEM_write_bio_PrivateKey(secret, key->key, NULL, NULL, 0, NULL, NULL);
	BIO_write(secret, "", 1);
	len = BIO_get_mem_data(chain, &chain_text);
	BIO_get_mem_data(secret, &key_text);
	ret = tip_tls_client_show_pem(t, chain_text, (size_t)len, key_text, &err);
	BIO_free(chain);
	BIO_free(secret);
	return ret;
}

static void what_is_shown_from_files(void **state)
{
	static const char locked[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n"
				     "-----END ENCRYPTED PRIVATE KEY-----\n";
	struct tip_tls_client *t = tip_tls_client_new("localhost", SERVER_ID);
	struct pki server = pki_leaf(&td, SERVER_ID), own = pki_leaf(&td, OWN_ID),
		   next = pki_leaf(&td, OWN_ID);
	struct tip_error err;
	struct meeting m;
	X509 *seen;

	trust_by_id(t, &td);
	assert_int_equal(show_pem(t, &own, &td, &own, "text between\n"), 0);
	/* What cannot be read, or does not belong together, leaves it as it is. */
	assert_int_equal(show_pem(t, &next, NULL, &own, ""), -1);
	assert_int_equal(show_pem(t, &next, NULL, &next,
				  "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
			 -1);
	assert_int_equal(tip_tls_client_show_pem(t, "", 0, "", &err), -1);
	assert_int_equal(tip_tls_client_show_pem(t, locked, sizeof(locked) - 1, locked, &err), -1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(meet(&m, t, &server, 0), TIP_TCP_DONE);
		seen = SSL_get1_peer_certificate(m.server);
		assert_int_equal(X509_cmp(seen, i ? next.cert : own.cert), 0);
		X509_free(seen);
		assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(m.server)), i ? 0 : 1);
		part(&m);
		assert_int_equal(show_pem(t, &next, NULL, &next, ""), 0);
	}
	pki_free(&server);
	pki_free(&own);
	pki_free(&next);
	tip_tls_client_free(t);
}

static void versions(void **state)
{
	static const struct {
		int max;
		enum tip_tcp_wants wants;
	} all[] = {
		{TLS1_3_VERSION, TIP_TCP_DONE},
		{TLS1_2_VERSION, TIP_TCP_DONE},
		{TLS1_1_VERSION, TIP_TCP_FAILED},
	};
	struct tip_tls_client *t = tip_tls_client_new("localhost", SERVER_ID);
	struct pki server = pki_leaf(&td, SERVER_ID);

	trust_by_id(t, &td);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(all); i++) {
		struct meeting m;

		assert_int_equal(meet(&m, t, &server, all[i].max), all[i].wants);
		part(&m);
	}
	pki_free(&server);
	tip_tls_client_free(t);
}

static void bytes_and_the_end(void **state)
{
	struct tip_tls_client *t = tip_tls_client_new("localhost", SERVER_ID);
	struct pki server = pki_leaf(&td, SERVER_ID);
	struct meeting m;
	char buf[16];
	size_t n;

	trust_by_id(t, &td);
	for (int politely = 0; politely < 2; politely++) {
		assert_int_equal(meet(&m, t, &server, 0), TIP_TCP_DONE);
		assert_int_equal(tip_tcp_write(&m.client, "ask", 3, &n, &m.err), TIP_TCP_DONE);
		assert_int_equal(n, 3);
		assert_int_equal(SSL_read(m.server, buf, sizeof(buf)), 3);
		/* Tickets of the server's are none of our bytes. */
		assert_int_equal(tip_tcp_read(&m.client, buf, sizeof(buf), &n, &m.err),
				 TIP_TCP_READ);
		assert_int_equal(SSL_write(m.server, "told", 4), 4);
		assert_int_equal(tip_tcp_read(&m.client, buf, sizeof(buf), &n, &m.err),
				 TIP_TCP_DONE);
		assert_int_equal(n, 4);
		assert_memory_equal(buf, "told", 4);
		if (politely)
			SSL_shutdown(m.server);
		else
			shutdown(m.fd, SHUT_WR);
		assert_int_equal(tip_tcp_read(&m.client, buf, sizeof(buf), &n, &m.err),
				 TIP_TCP_ENDED);
		part(&m);
	}
	pki_free(&server);
	tip_tls_client_free(t);
}

static void who_speaks_no_tls(void **state)
{
	struct tip_tls_client *t = tip_tls_client_new("localhost", SERVER_ID);
	enum tip_tcp_wants wants = TIP_TCP_READ;
	struct tip_error err;
	struct tip_tcp tcp;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	assert_int_equal(tip_tcp_open(&tcp, sv[0], t, &err), 0);
	assert_int_equal(tip_tcp_begin(&tcp, &err), TIP_TCP_READ);
	assert_int_equal(write(sv[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28), 28);
	for (int i = 0; i < 5 && wants == TIP_TCP_READ; i++)
		wants = tip_tcp_begin(&tcp, &err);
	assert_int_equal(wants, TIP_TCP_FAILED);
	assert_non_null(strstr(err.text, "TLS: "));
	tip_tcp_close(&tcp);
	close(sv[1]);
	tip_tls_client_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_is_known_by_its_name),
		cmocka_unit_test(nobody_is_trusted_without_an_authority),
		cmocka_unit_test(a_server_is_known_by_its_spiffe_id),
		cmocka_unit_test(what_is_shown),
		cmocka_unit_test(what_is_shown_from_files),
		cmocka_unit_test(versions),
		cmocka_unit_test(bytes_and_the_end),
		cmocka_unit_test(who_speaks_no_tls),
	};

	return cmocka_run_group_tests(tests, make_authorities, free_authorities);
}
