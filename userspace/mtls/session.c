/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mtls/internal.h"
#include "mtls/socket.h"
#include "policy/spiffe_id.h"

#define TEXT_MAX 384

enum state {
	HELLO, /* client: the ClientHello is not out yet */
	SNIFF, /* the peer's first bytes are not judged yet */
	SHAKE,
	JUDGED,
	VERDICT_OUT,
	VERDICT_IN,
	BYE, /* the bad news is out: close_notify */
	DONE,
	FAILED,
};

struct tip_session {
	int fd;
	SSL *ssl;                    /* until there is a backend */
	struct tip_backend *backend; /* from the end of the handshake until it is taken */
	const struct tip_records *records;
	struct tip_keys keys; /* while the kernel may be given them */
	bool kernel;          /* the socket can be given keys */
	struct tip_tls_svid *svid;
	struct tip_bundles *bundles;
	bool server;
	bool lowat; /* SO_RCVLOWAT is raised */
	bool told;  /* the peer was told why: close without a reset */
	bool has_alpn;
	bool asked; /* client: the server wanted our certificate */
	enum state state;
	char **expected;
	size_t nexpected;
	tip_authorise_fn authorise;
	void *ctx;
	uint64_t deadline;
	char *peer_id;
	enum tip_mtls_cause judged; /* of the peer's certificate */
	enum tip_mtls_cause cause;
	char text[TEXT_MAX];
	enum tip_verdict verdict;
	uint16_t reason;
	uint8_t record[TIP_VERDICT_LEN];
	size_t record_len;
};

struct tip_session *tip_session_new(int fd, const struct tip_session_config *config,
				    struct tip_error *err)
{
	SSL_CTX *ctx = tip_tls_svid_ctx(config->svid, config->server);
	struct tip_session *s;
	SSL *ssl;

	if (!config->server && !config->nexpected) {
		tip_error_set(err, "no server is expected, so none could be the right one");
		return NULL;
	}
	ssl = ctx ? SSL_new(ctx) : NULL;
	if (!ssl || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		tip_error_set(err, "OpenSSL: out of memory");
		return NULL;
	}
	if (tip_leg_prepare(fd) < 0) {
		SSL_free(ssl);
		tip_error_set(err, "cannot prepare the socket: %s", strerror(errno));
		return NULL;
	}
	tip_leg_watch_peer(fd);
	s = tip_alloc(sizeof(*s));
	s->records = config->records ? config->records : &tip_records_user;
	s->kernel = s->records->kernel && tip_backend_kernel_prepare(fd);
	if (s->kernel)
		SSL_CTX_set_keylog_callback(ctx, tip_session_keylog);
	s->fd = fd;
	s->ssl = ssl;
	s->svid = tip_tls_svid_ref(config->svid);
	s->bundles = config->bundles;
	s->server = config->server;
	s->state = s->server ? SNIFF : HELLO;
	s->expected = tip_calloc(config->nexpected + 1, sizeof(*s->expected));
	for (; s->nexpected < config->nexpected; s->nexpected++)
		s->expected[s->nexpected] = tip_strdup(config->expected[s->nexpected]);
	s->authorise = config->authorise;
	s->ctx = config->ctx;
	s->deadline = tip_clock_monotonic() + config->timeout_ns;
	SSL_set_app_data(ssl, s);
	if (s->server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return s;
}

void tip_session_free(struct tip_session *s)
{
	if (!s)
		return;
	SSL_free(s->ssl);
	if (s->backend)
		s->backend->ops->close(s->backend);
	tip_keys_wipe(&s->keys);
	if (s->fd >= 0)
		tip_leg_close(s->fd, s->told);
	for (size_t i = 0; i < s->nexpected; i++)
		free(s->expected[i]);
	free(s->expected);
	free(s->peer_id);
	tip_tls_svid_put(s->svid);
	free(s);
}

/* ---- failing ---- */

static enum tip_step fail(struct tip_session *s, enum tip_mtls_cause cause, const char *detail)
{
	s->state = FAILED;
	s->cause = cause;
	(void)snprintf(s->text, sizeof(s->text), "%s%s%s%s%s", tip_mtls_cause_text(cause),
		       s->peer_id ? ": " : "", s->peer_id ? s->peer_id : "",
		       detail && *detail ? ": " : "", detail ? detail : "");
	return TIP_STEP_FAILED;
}

static enum tip_mtls_cause cause_of(enum tip_verdict verdict)
{
	switch (verdict) {
	case TIP_VERDICT_OK: return TIP_MTLS_NONE;
	case TIP_VERDICT_REFUSED: return TIP_MTLS_REFUSED;
	case TIP_VERDICT_UNREACHABLE: return TIP_MTLS_UNREACHABLE;
	case TIP_VERDICT_DENIED: return TIP_MTLS_DENIED;
	case TIP_VERDICT_QUARANTINED: return TIP_MTLS_QUARANTINED;
	}
	return TIP_MTLS_BAD_VERDICT;
}

static enum tip_step fail_tls(struct tip_session *s, enum tip_mtls_cause cause, const char *detail)
{
	/* Where TLS itself was wrong, an alert has been sent: a reset could overtake it. */
	s->told = cause != TIP_MTLS_RESET && cause != TIP_MTLS_CLOSED && cause != TIP_MTLS_INTERNAL;
	if (s->judged)
		return fail(s, s->judged, NULL);
	/* We have decided. That the client did not wait for all of it is its own affair. */
	if (s->server && s->verdict > TIP_VERDICT_OK)
		return fail(s, cause_of(s->verdict), NULL);
	return fail(s, cause, detail);
}

/* OpenSSL returned `ret`. Waits, or fails. */
static enum tip_step trouble(struct tip_session *s, int ret)
{
	enum tip_mtls_cause cause;
	char detail[160] = "";
	int saved = errno;

	switch (SSL_get_error(s->ssl, ret)) {
	case SSL_ERROR_WANT_READ: return TIP_STEP_WANT_READ;
	case SSL_ERROR_WANT_WRITE: return TIP_STEP_WANT_WRITE;
	default: break;
	}
	cause = tip_ssl_cause(s->ssl, ret, saved, detail, sizeof(detail));
	return fail_tls(s, cause, detail);
}

/* The backend returned `n`. The same. */
static enum tip_step backend_trouble(struct tip_session *s, ssize_t n)
{
	enum tip_mtls_cause cause = s->backend->cause;

	if (n == TIP_IO_WANT_READ)
		return TIP_STEP_WANT_READ;
	if (n == TIP_IO_WANT_WRITE)
		return TIP_STEP_WANT_WRITE;
	/* The connection is not open yet. */
	if (cause == TIP_MTLS_TRUNCATED)
		cause = TIP_MTLS_CLOSED;
	else if (cause == TIP_MTLS_BAD_RECORD)
		cause = TIP_MTLS_PROTOCOL;
	return fail_tls(s, cause, s->backend->text);
}

/* ---- the first bytes ---- */

/* Nothing will come after what is here. */
static bool has_ended(const struct tip_session *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

static enum tip_step want_more(struct tip_session *s, int bytes)
{
	/* Readable means from now on that there is enough, so that nobody spins on half a header.
	 */
	if (setsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)) < 0)
		return fail(s, TIP_MTLS_INTERNAL, "SO_RCVLOWAT");
	s->lowat = bytes > 1;
	return TIP_STEP_WANT_READ;
}

static enum tip_step sniff(struct tip_session *s)
{
	uint8_t first[TIP_SNIFF_MAX];
	enum tip_sniff what;
	ssize_t n;

	n = recv(s->fd, first, sizeof(first), MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return TIP_STEP_WANT_READ;
	if (n < 0)
		return fail(s, errno == ETIMEDOUT ? TIP_MTLS_TIMEOUT : TIP_MTLS_RESET,
			    strerror(errno));
	if (!n)
		return fail(s, TIP_MTLS_CLOSED, NULL);
	what = s->server ? tip_sniff_client(first, (size_t)n) : tip_sniff_server(first, (size_t)n);
	if (what == TIP_SNIFF_OTHER)
		return fail(s, TIP_MTLS_PLAINTEXT, NULL);
	if (what == TIP_SNIFF_MORE) {
		if (has_ended(s))
			return fail(s, TIP_MTLS_CLOSED, NULL);
		return want_more(s, TIP_SNIFF_MAX);
	}
	if (s->lowat && want_more(s, 1) == TIP_STEP_FAILED)
		return TIP_STEP_FAILED;
	s->state = SHAKE;
	return TIP_STEP_ON;
}

/* ---- the handshake ---- */

static bool is_expected(const struct tip_session *s)
{
	for (size_t i = 0; i < s->nexpected; i++)
		if (!strcmp(s->expected[i], s->peer_id))
			return true;
	return false;
}

/* The alert that suits the cause is OpenSSL's choice by this error. */
static int verify_error(enum tip_mtls_cause cause)
{
	switch (cause) {
	case TIP_MTLS_NONE: return X509_V_OK;
	case TIP_MTLS_EXPIRED: return X509_V_ERR_CERT_HAS_EXPIRED;
	case TIP_MTLS_NOT_YET_VALID: return X509_V_ERR_CERT_NOT_YET_VALID;
	case TIP_MTLS_TRUST_DOMAIN:
	case TIP_MTLS_UNTRUSTED: return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
	default: return X509_V_ERR_CERT_REJECTED;
	}
}

int tip_session_judge(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tip_session *s = SSL_get_app_data(ssl);

	free(s->peer_id);
	s->judged = tip_bundles_judge(s->bundles, X509_STORE_CTX_get0_cert(store),
				      X509_STORE_CTX_get0_untrusted(store), &s->peer_id);
	if (!s->judged && !s->server && !is_expected(s))
		s->judged = TIP_MTLS_NOT_PINNED;
	X509_STORE_CTX_set_error(store, verify_error(s->judged));
	return s->judged == TIP_MTLS_NONE;
}

int tip_session_asked(SSL *ssl, void *arg)
{
	struct tip_session *s = SSL_get_app_data(ssl);

	s->asked = true;
	return 1;
}

void tip_session_keylog(const SSL *ssl, const char *line)
{
	struct tip_session *s = SSL_get_app_data(ssl);

	if (s && s->kernel)
		tip_keys_log(&s->keys, s->server, line);
}

/*
 * The records from here on, the verdict's too, are made by the backend: under keys that the kernel
 * gets before anything was said with them all sequence numbers begin at 0.
 */
static enum tip_step arm(struct tip_session *s)
{
	enum tip_mtls_cause cause = TIP_MTLS_NONE;
	char text[TIP_BACKEND_TEXT] = "";

	SSL_set_app_data(s->ssl, NULL);
	if (s->kernel)
		s->backend = tip_backend_kernel(s->ssl, &s->keys, s->records, &cause, text);
	tip_keys_wipe(&s->keys);
	if (cause)
		return fail(s, cause, text);
	if (s->backend)
		SSL_free(s->ssl);
	else
		s->backend = tip_backend_user(s->ssl, s->records);
	s->ssl = NULL;
	return TIP_STEP_ON;
}

/* The server has decided. */
static enum tip_step decide(struct tip_session *s, enum tip_verdict verdict, uint16_t reason)
{
	s->verdict = verdict;
	s->reason = reason;
	if (s->has_alpn) {
		tip_verdict_encode(verdict, reason, s->record);
		s->state = VERDICT_OUT;
		return TIP_STEP_ON;
	}
	if (verdict != TIP_VERDICT_OK)
		return fail(s, cause_of(verdict), NULL);
	s->state = DONE;
	return TIP_STEP_DONE;
}

static enum tip_step finished(struct tip_session *s)
{
	const unsigned char *alpn;
	enum tip_verdict verdict;
	uint16_t reason = TIP_REASON_NONE;
	unsigned int len;

	/* Nothing is resumed, so the peer was judged in this very handshake. */
	if (!s->peer_id || s->judged || SSL_get_verify_result(s->ssl) != X509_V_OK)
		return fail(s, TIP_MTLS_INTERNAL, "the peer was not judged");
	if (!s->server && !s->asked)
		return fail(s, TIP_MTLS_NO_REQUEST, NULL);
	SSL_get0_alpn_selected(s->ssl, &alpn, &len);
	s->has_alpn = len == sizeof(TIP_MTLS_ALPN) - 1 && !memcmp(alpn, TIP_MTLS_ALPN, len);
	if (arm(s) == TIP_STEP_FAILED)
		return TIP_STEP_FAILED;
	if (!s->server) {
		s->state = s->has_alpn ? VERDICT_IN : DONE;
		return s->has_alpn ? TIP_STEP_ON : TIP_STEP_DONE;
	}
	/* Asked only now: a certificate is public, its key has just been proved. */
	verdict = s->authorise ? s->authorise(s->ctx, s->peer_id, &reason) : TIP_VERDICT_DENIED;
	if (verdict != TIP_VERDICT_OK)
		return decide(s, verdict, reason);
	s->state = JUDGED;
	return TIP_STEP_JUDGED;
}

static enum tip_step shake(struct tip_session *s)
{
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_do_handshake(s->ssl);
	if (ret == 1)
		return finished(s);
	if (s->state == HELLO && SSL_get_error(s->ssl, ret) == SSL_ERROR_WANT_READ) {
		s->state = SNIFF;
		return TIP_STEP_ON;
	}
	return trouble(s, ret);
}

/* ---- the verdict ---- */

/* Between steps: has the peer gone? */
static enum tip_step is_still_there(struct tip_session *s, enum tip_step step)
{
	return s->backend->ops->look(s->backend) ? backend_trouble(s, TIP_IO_FAILED) : step;
}

void tip_session_verdict(struct tip_session *s, enum tip_verdict verdict, uint16_t reason)
{
	if (s->state == JUDGED)
		(void)decide(s, verdict, reason);
}

static enum tip_step send_verdict(struct tip_session *s)
{
	/* One record of four bytes: all or nothing. */
	ssize_t n = s->backend->ops->write(s->backend, s->record, sizeof(s->record));

	if (n <= 0)
		return backend_trouble(s, n);
	s->state = s->verdict == TIP_VERDICT_OK ? DONE : BYE;
	return s->state == DONE ? TIP_STEP_DONE : TIP_STEP_ON;
}

static enum tip_step say_bye(struct tip_session *s)
{
	int ret = s->backend->ops->shutdown_write(s->backend);

	if (ret)
		return backend_trouble(s, ret);
	s->told = true;
	return fail(s, cause_of(s->verdict), NULL);
}

static enum tip_step read_verdict(struct tip_session *s)
{
	char detail[32];
	ssize_t n;

	n = s->backend->ops->read(s->backend, s->record + s->record_len,
				  sizeof(s->record) - s->record_len);
	if (!n)
		return fail(s, TIP_MTLS_CLOSED, "before its verdict");
	if (n < 0)
		return backend_trouble(s, n);
	s->record_len += (size_t)n;
	if (s->record_len < sizeof(s->record))
		return TIP_STEP_ON;
	if (tip_verdict_decode(s->record, sizeof(s->record), &s->verdict, &s->reason) < 0)
		return fail(s, TIP_MTLS_BAD_VERDICT, NULL);
	if (s->verdict != TIP_VERDICT_OK) {
		(void)snprintf(detail, sizeof(detail), "reason %u", s->reason);
		return fail(s, cause_of(s->verdict), detail);
	}
	s->state = DONE;
	return TIP_STEP_DONE;
}

/* ---- steps ---- */

static enum tip_step one(struct tip_session *s)
{
	switch (s->state) {
	case HELLO:
	case SHAKE: return shake(s);
	case SNIFF: return sniff(s);
	case JUDGED: return is_still_there(s, TIP_STEP_JUDGED);
	case VERDICT_OUT: return send_verdict(s);
	case VERDICT_IN: return read_verdict(s);
	case BYE: return say_bye(s);
	case DONE: return is_still_there(s, TIP_STEP_DONE);
	case FAILED: break;
	}
	return TIP_STEP_FAILED;
}

enum tip_step tip_session_step(struct tip_session *s)
{
	enum tip_step step;

	if (s->state < DONE && tip_clock_monotonic() >= s->deadline)
		return fail(s, TIP_MTLS_TIMEOUT, NULL);
	do {
		step = one(s);
	} while (step == TIP_STEP_ON);
	return step;
}

uint64_t tip_session_deadline(const struct tip_session *s)
{
	return s->deadline;
}

int tip_session_fd(const struct tip_session *s)
{
	return s->fd;
}

enum tip_mtls_cause tip_session_cause(const struct tip_session *s)
{
	return s->cause;
}

const char *tip_session_text(const struct tip_session *s)
{
	return s->text;
}

const char *tip_session_peer_id(const struct tip_session *s)
{
	return s->peer_id;
}

bool tip_session_has_verdict(const struct tip_session *s)
{
	return s->has_alpn;
}

uint16_t tip_session_reason(const struct tip_session *s)
{
	return s->reason;
}

struct tip_backend *tip_session_take(struct tip_session *s)
{
	struct tip_backend *b = s->backend;

	if (s->state != DONE || !b)
		return NULL;
	s->backend = NULL;
	s->fd = -1;
	return b;
}
