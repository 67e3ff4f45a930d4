/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/backend.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "base/mem.h"
#include "mtls/internal.h"

struct user {
	struct tip_backend b;
	SSL *ssl;
	uint64_t written, rekey;
	enum { NOTIFY_NONE, NOTIFY_BEGUN, NOTIFY_SAID } notify;
};

static struct user *user_of(struct tip_backend *b)
{
	return TIP_CONTAINER_OF(b, struct user, b);
}

static int trouble(struct user *u, int ret)
{
	int saved = errno;

	switch (SSL_get_error(u->ssl, ret)) {
	case SSL_ERROR_WANT_READ: return TIP_IO_WANT_READ;
	case SSL_ERROR_WANT_WRITE: return TIP_IO_WANT_WRITE;
	default: break;
	}
	u->b.cause =
		tip_open_cause(tip_ssl_cause(u->ssl, ret, saved, u->b.text, sizeof(u->b.text)));
	return TIP_IO_FAILED;
}

static ssize_t user_read(struct tip_backend *b, void *buf, size_t len)
{
	struct user *u = user_of(b);
	int n;

	ERR_clear_error();
	errno = 0;
	n = SSL_read(u->ssl, buf, len > INT_MAX ? INT_MAX : (int)len);
	if (n > 0)
		return n;
	if (SSL_get_error(u->ssl, n) == SSL_ERROR_ZERO_RETURN)
		return 0;
	return trouble(u, n);
}

static ssize_t user_write(struct tip_backend *b, const void *buf, size_t len)
{
	struct user *u = user_of(b);
	int n;

	ERR_clear_error();
	errno = 0;
	n = SSL_write(u->ssl, buf, len > INT_MAX ? INT_MAX : (int)len);
	if (n <= 0)
		return trouble(u, n);
	/* Partial writes are on: each call that succeeds is one record. */
	if (++u->written >= u->rekey && SSL_key_update(u->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
		u->written = 0;
	return n;
}

static int user_shutdown_write(struct tip_backend *b)
{
	struct user *u = user_of(b);
	int n;

	/* Once it is said, another SSL_shutdown would read the peer's data away. */
	if (u->notify == NOTIFY_SAID)
		return 0;
	ERR_clear_error();
	errno = 0;
	/* A KeyUpdate, ours or the peer's, that is under way comes first: OpenSSL insists. */
	if (u->notify == NOTIFY_NONE && SSL_in_init(u->ssl)) {
		n = SSL_do_handshake(u->ssl);
		if (n != 1)
			return trouble(u, n);
	}
	u->notify = NOTIFY_BEGUN;
	n = SSL_shutdown(u->ssl);
	if (n < 0)
		return trouble(u, n);
	u->notify = NOTIFY_SAID;
	if (shutdown(b->fd, SHUT_WR) < 0 && errno != ENOTCONN) {
		b->cause = TIP_MTLS_RESET;
		return TIP_IO_FAILED;
	}
	return 0;
}

static int user_look(struct tip_backend *b)
{
	char c;

	/* OpenSSL may have read ahead. */
	if (SSL_has_pending(user_of(b)->ssl))
		return tip_look_result(b, 1);
	return tip_look_result(b, recv(b->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT));
}

static uint64_t user_rec_seq(const struct tip_backend *b)
{
	return TIP_CONTAINER_OF(b, const struct user, b)->written;
}

static void user_close(struct tip_backend *b)
{
	struct user *u = user_of(b);

	SSL_free(u->ssl);
	free(u);
}

static const struct tip_backend_ops user_ops = {
	.name = "user",
	.read = user_read,
	.write = user_write,
	.shutdown_write = user_shutdown_write,
	.look = user_look,
	.rec_seq = user_rec_seq,
	.close = user_close,
};

struct tip_backend *tip_backend_user(SSL *ssl, const struct tip_records *records)
{
	struct user *u = tip_alloc(sizeof(*u));

	u->b.ops = &user_ops;
	u->b.fd = SSL_get_fd(ssl);
	u->ssl = ssl;
	u->rekey = records->rekey;
	/* A record's header and body in one system call; the keys stay here. */
	SSL_set_read_ahead(ssl, 1);
	return &u->b;
}
