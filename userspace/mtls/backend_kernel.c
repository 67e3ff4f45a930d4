/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/backend.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/tls.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "mtls/internal.h"
#include "mtls/post.h"
#include "tipstaff/ktls.h"

/* Content types of RFC 8446. */
#define TYPE_ALERT     21
#define TYPE_HANDSHAKE 22
#define TYPE_DATA      23

#define RECORD_MAX 16384
/*
 * What one call may swallow without finding data: who sends more means no good. A call is made for
 * as little as one byte of a ticket, so each counts for some bytes besides its own.
 */
#define SWALLOW_MAX  131072
#define SWALLOW_CALL 64
#define UPDATES_MAX  32
/* Our own count of records is compared with the kernel's each so many. */
#define SAMPLE (1u << 20)

struct kernel {
	struct tip_backend b;
	unsigned int cipher;
	bool server, can_rekey;
	unsigned int updates;           /* of the peer, in one call */
	bool owes_update;               /* a KeyUpdate goes out before the next data */
	bool read_closed, write_closed; /* close_notify has come, has gone out */
	uint64_t rekey, budget;         /* as in struct tip_records */
	uint64_t written;               /* records under the current key, as far as we know */
	uint64_t sampled;               /* `written` when the kernel was asked */
	struct tip_post post;           /* what is being received besides data */
	struct tip_keys keys;           /* as long as they can change */
};

static struct kernel *kernel_of(struct tip_backend *b)
{
	return TIP_CONTAINER_OF(b, struct kernel, b);
}

static int failed(struct kernel *k, enum tip_mtls_cause cause, const char *text)
{
	k->b.cause = cause;
	(void)snprintf(k->b.text, sizeof(k->b.text), "%s", text);
	return TIP_IO_FAILED;
}

/* ---- records of another type than data ---- */

static ssize_t send_typed(int fd, uint8_t type, const void *data, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(type))];
	} control = {.bytes = ""};
	struct iovec iov = {(void *)data, len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(sizeof(type));
	memcpy(CMSG_DATA(c), &type, sizeof(type));
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * `*type` 0: nothing of a record came, the peer has ended. Without the buffer for the type a record
 * that is no data would be EIO.
 */
static ssize_t receive_typed(int fd, void *buf, size_t len, int flags, uint8_t *type)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(*type))];
	} control;
	struct iovec iov = {buf, len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, flags | MSG_DONTWAIT);
	const struct cmsghdr *c;

	*type = 0;
	if (n < 0)
		return n;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_TLS && c->cmsg_type == TLS_GET_RECORD_TYPE)
		memcpy(type, CMSG_DATA(c), sizeof(*type));
	return n;
}

/* A fatal alert, if there is room for it: the reset that follows says the rest. */
static int refuse(struct kernel *k, int alert, enum tip_mtls_cause cause, const char *text)
{
	const uint8_t say[2] = {SSL3_AL_FATAL, (uint8_t)alert};

	if (!k->write_closed)
		(void)send_typed(k->b.fd, TYPE_ALERT, say, sizeof(say));
	return failed(k, cause, text);
}

static int unexpected(struct kernel *k, const char *text)
{
	return refuse(k, SSL_AD_UNEXPECTED_MESSAGE, TIP_MTLS_BAD_RECORD, text);
}

/* ---- keys ---- */

static int renew(struct kernel *k, bool tx)
{
	if (tip_keys_next(&k->keys, tx) < 0 || tip_keys_install(&k->keys, k->b.fd, tx) < 0)
		return failed(k, TIP_MTLS_INTERNAL, "the kernel did not take a new key");
	if (tx)
		k->written = k->sampled = 0;
	return 0;
}

/* A KeyUpdate that asks for none. */
static int send_update(struct kernel *k)
{
	static const uint8_t update[] = {24, 0, 0, 1, 0};

	if (send_typed(k->b.fd, TYPE_HANDSHAKE, update, sizeof(update)) < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return TIP_IO_WANT_WRITE;
		return failed(k, tip_errno_cause(errno), strerror(errno));
	}
	k->owes_update = false;
	return renew(k, true);
}

static int on_update(struct kernel *k, bool asked)
{
	if (++k->updates > UPDATES_MAX)
		return unexpected(k, "nothing but KeyUpdates");
	if (!k->can_rekey)
		return refuse(k, SSL_AD_UNEXPECTED_MESSAGE, TIP_MTLS_KEY_UPDATE,
			      "kTLS can change keys from Linux 6.14 on");
	/* Due before our next data: RFC 8446, 4.6.3. */
	k->owes_update |= asked;
	return renew(k, false);
}

/* ---- reading ---- */

/* 0, or an enum tip_io. */
static int on_said(struct kernel *k, enum tip_post_said said)
{
	switch (said) {
	case TIP_POST_NOTHING: return 0;
	case TIP_POST_CLOSE: k->read_closed = true; return 0;
	case TIP_POST_ALERT:
		k->b.cause = tip_open_cause(
			tip_alert_cause(k->post.alert, k->b.text, sizeof(k->b.text)));
		return TIP_IO_FAILED;
	case TIP_POST_UPDATE: return on_update(k, false);
	case TIP_POST_UPDATE_ASKED: return on_update(k, true);
	case TIP_POST_BAD: break;
	}
	return unexpected(k, "a handshake message that has no place here");
}

static int read_trouble(struct kernel *k, int error)
{
	enum tip_mtls_cause cause = tip_errno_cause(error);

	if (error == EAGAIN)
		return TIP_IO_WANT_READ;
	/* From Linux 6.14 on: half of one has come, and no record is read before the new key. */
	if (error == EKEYEXPIRED)
		return unexpected(k, "a KeyUpdate in pieces");
	if (cause == TIP_MTLS_BAD_RECORD)
		return refuse(k, error == EMSGSIZE ? SSL_AD_RECORD_OVERFLOW : SSL_AD_BAD_RECORD_MAC,
			      cause, strerror(error));
	return failed(k, cause, strerror(error));
}

static ssize_t kernel_read(struct tip_backend *b, void *buf, size_t len)
{
	struct kernel *k = kernel_of(b);

	k->updates = 0;
	for (size_t swallowed = 0; swallowed < SWALLOW_MAX && !k->read_closed;) {
		uint8_t type;
		ssize_t n;
		int ret = 0;

		do {
			n = receive_typed(b->fd, buf, len, 0, &type);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return read_trouble(k, errno);
		if (type == TYPE_DATA && n)
			return n;
		/* Nor do records of length 0 end the data; the end has no type. */
		if (!type)
			return failed(k, TIP_MTLS_TRUNCATED, "");
		if (type == TYPE_ALERT && n)
			ret = on_said(k, tip_post_alert(&k->post, buf, (size_t)n));
		else if (type == TYPE_HANDSHAKE && n)
			ret = on_said(k, tip_post_handshake(&k->post, !k->server, buf, (size_t)n));
		else if (type != TYPE_DATA)
			ret = unexpected(k, "a record of a type that has no place here");
		if (ret)
			return ret;
		swallowed += (size_t)n + SWALLOW_CALL;
	}
	return k->read_closed ? 0 : unexpected(k, "too many records without data");
}

static int kernel_look(struct tip_backend *b)
{
	uint8_t type;
	char c;
	ssize_t n = receive_typed(b->fd, &c, 1, MSG_PEEK, &type);

	/* An empty record is a sign of life as well. */
	return tip_look_result(b, n || !type ? n : 1);
}

/* ---- writing ---- */

/* The kernel's own count, where it says. */
static uint64_t live_seq(const struct kernel *k)
{
	uint64_t seq;

	return tip_keys_seq(k->cipher, k->b.fd, &seq) < 0 ? k->written : seq;
}

static uint64_t kernel_rec_seq(const struct tip_backend *b)
{
	return live_seq(TIP_CONTAINER_OF(b, const struct kernel, b));
}

static bool has_budget(const struct kernel *k)
{
	return k->cipher != TLS_CIPHER_CHACHA20_POLY1305 && !k->can_rekey;
}

static void count(struct kernel *k, size_t bytes)
{
	uint64_t sample = k->budget / 16 < SAMPLE ? k->budget / 16 : SAMPLE;

	k->written += (bytes + RECORD_MAX - 1) / RECORD_MAX;
	if (has_budget(k) && k->written - k->sampled >= sample)
		k->written = k->sampled = live_seq(k);
	if (k->can_rekey && k->written >= k->rekey)
		k->owes_update = true;
}

static bool kernel_worn(const struct tip_backend *b)
{
	const struct kernel *k = TIP_CONTAINER_OF(b, const struct kernel, b);

	return has_budget(k) && k->written >= k->budget / 4 * 3;
}

static ssize_t kernel_write(struct tip_backend *b, const void *buf, size_t len)
{
	struct kernel *k = kernel_of(b);
	ssize_t n;
	int ret;

	if (has_budget(k) && k->written >= k->budget)
		return failed(k, TIP_MTLS_BUDGET, "");
	ret = k->owes_update ? send_update(k) : 0;
	if (ret)
		return ret;
	do {
		n = send(b->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return TIP_IO_WANT_WRITE;
	if (n < 0)
		return failed(k, tip_errno_cause(errno), strerror(errno));
	count(k, (size_t)n);
	return n;
}

/*
 * What TCP has no room for waits in the kernel's TLS, and is lost if FIN is put behind the rest.
 * The last record of the data can be there, never more. So close_notify, which pushes it, goes out
 * when a third of TCP's buffer is free; if even that is not enough, close_notify is lost as well
 * and the peer knows.
 */
static int kernel_shutdown_write(struct tip_backend *b)
{
	static const uint8_t notify[2] = {SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY};
	struct pollfd room = {.fd = b->fd, .events = POLLOUT};
	struct kernel *k = kernel_of(b);

	if (k->write_closed)
		return 0;
	if (poll(&room, 1, 0) == 0)
		return TIP_IO_WANT_WRITE;
	if (send_typed(b->fd, TYPE_ALERT, notify, sizeof(notify)) < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return TIP_IO_WANT_WRITE;
		return failed(k, tip_errno_cause(errno), strerror(errno));
	}
	k->write_closed = true;
	if (shutdown(b->fd, SHUT_WR) < 0 && errno != ENOTCONN)
		return failed(k, TIP_MTLS_RESET, strerror(errno));
	return 0;
}

static void kernel_close(struct tip_backend *b)
{
	struct kernel *k = kernel_of(b);

	tip_keys_wipe(&k->keys);
	free(k);
}

static const struct tip_backend_ops kernel_ops = {
	.name = "kernel",
	.read = kernel_read,
	.write = kernel_write,
	.shutdown_write = kernel_shutdown_write,
	.look = kernel_look,
	.rec_seq = kernel_rec_seq,
	.worn = kernel_worn,
	.close = kernel_close,
};

/* ---- arming ---- */

bool tip_backend_kernel_prepare(int fd)
{
	return !setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls") - 1);
}

static unsigned int bit_of(unsigned int cipher)
{
	switch (cipher) {
	case TLS_CIPHER_AES_GCM_128: return TIP_KTLS_AES_128_GCM;
	case TLS_CIPHER_AES_GCM_256: return TIP_KTLS_AES_256_GCM;
	case TLS_CIPHER_CHACHA20_POLY1305: return TIP_KTLS_CHACHA20_POLY1305;
	default: return 0;
	}
}

static struct tip_backend *lost(enum tip_mtls_cause *cause, char *text, const char *option)
{
	/* The probe has shown that the cipher works: the socket is in somebody's sockmap. */
	*cause = errno == EINVAL ? TIP_MTLS_SOCKMAP : TIP_MTLS_INTERNAL;
	(void)snprintf(text, TIP_BACKEND_TEXT, "%s: %s", option, strerror(errno));
	return NULL;
}

struct tip_backend *tip_backend_kernel(SSL *ssl, struct tip_keys *keys,
				       const struct tip_records *records,
				       enum tip_mtls_cause *cause, char *text)
{
	int fd = SSL_get_fd(ssl);
	struct kernel *k;

	*cause = TIP_MTLS_NONE;
	/* What OpenSSL has read already the kernel would never see. */
	if (!tip_keys_complete(keys, ssl) || !(records->kernel & bit_of(keys->cipher)) ||
	    SSL_has_pending(ssl))
		return NULL;
	if (tip_keys_install(keys, fd, true) < 0)
		return errno == EINVAL ? lost(cause, text, "TLS_TX") : NULL;
	if (tip_keys_install(keys, fd, false) < 0)
		return lost(cause, text, "TLS_RX");
	k = tip_alloc(sizeof(*k));
	k->b.ops = &kernel_ops;
	k->b.fd = fd;
	k->cipher = keys->cipher;
	k->server = SSL_is_server(ssl);
	k->can_rekey = records->kernel & TIP_KTLS_REKEY;
	k->rekey = records->rekey;
	k->budget = records->budget;
	if (k->can_rekey)
		k->keys = *keys;
	return &k->b;
}
