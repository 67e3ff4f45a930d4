/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/tcp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

int tip_tcp_open(struct tip_tcp *s, int fd, struct tip_tls_client *tls, struct tip_error *err)
{
	*s = (struct tip_tcp){.fd = fd};
	if (tls)
		s->ssl = tip_tls_client_begin(tls, fd, err);
	if (!tls || s->ssl)
		return 0;
	tip_tcp_close(s);
	return -1;
}

void tip_tcp_close(struct tip_tcp *s)
{
	if (s->ssl && s->up) /* close_notify, if it goes out at once */
		SSL_shutdown(s->ssl);
	SSL_free(s->ssl);
	ERR_clear_error();
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct tip_tcp){.fd = -1};
}

/* What a call of OpenSSL's says that did not do it. */
static enum tip_tcp_wants tls_result(struct tip_tcp *s, int ret, struct tip_error *err)
{
	const int error = errno;
	const char *why;

	switch (SSL_get_error(s->ssl, ret)) {
	case SSL_ERROR_WANT_READ: return TIP_TCP_READ;
	case SSL_ERROR_WANT_WRITE: return TIP_TCP_WRITE;
	case SSL_ERROR_ZERO_RETURN: return TIP_TCP_ENDED;
	case SSL_ERROR_SYSCALL:
		s->up = false; /* nothing more may be said on it */
		if (!error)
			return TIP_TCP_ENDED;
		tip_error_set(err, "%s", strerror(error));
		return TIP_TCP_FAILED;
	default: break;
	}
	s->up = false;
	if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		ERR_clear_error();
		return TIP_TCP_ENDED;
	}
	why = tip_tls_client_why(s->ssl);
	if (why)
		tip_error_set(err, "the server is not believed: %s", why);
	else
		tip_error_set(err, "TLS: %s", ERR_reason_error_string(ERR_peek_error()));
	ERR_clear_error();
	return TIP_TCP_FAILED;
}

static enum tip_tcp_wants connected(struct tip_tcp *s, struct tip_error *err)
{
	socklen_t len = sizeof(int);
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	int error = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		tip_error_set(err, "%s", strerror(error));
		return TIP_TCP_FAILED;
	}
	/* No error and no peer: it is still connecting. */
	if (getpeername(s->fd, (struct sockaddr *)&peer, &peer_len) < 0)
		return TIP_TCP_WRITE;
	s->connected = true;
	return TIP_TCP_DONE;
}

enum tip_tcp_wants tip_tcp_begin(struct tip_tcp *s, struct tip_error *err)
{
	enum tip_tcp_wants wants = s->connected ? TIP_TCP_DONE : connected(s, err);
	int ret;

	if (wants == TIP_TCP_DONE && s->ssl) {
		ERR_clear_error();
		errno = 0;
		ret = SSL_connect(s->ssl);
		if (ret != 1)
			return tls_result(s, ret, err);
	}
	s->up = wants == TIP_TCP_DONE;
	return wants;
}

static enum tip_tcp_wants plain_result(ssize_t ret, enum tip_tcp_wants later, size_t *n,
				       struct tip_error *err)
{
	if (ret > 0) {
		*n = (size_t)ret;
		return TIP_TCP_DONE;
	}
	if (ret == 0)
		return TIP_TCP_ENDED;
	if (errno == EAGAIN || errno == EINTR)
		return later;
	tip_error_set(err, "%s", strerror(errno));
	return TIP_TCP_FAILED;
}

enum tip_tcp_wants tip_tcp_read(struct tip_tcp *s, void *buf, size_t len, size_t *n,
				struct tip_error *err)
{
	int ret;

	*n = 0;
	if (!s->ssl)
		return plain_result(recv(s->fd, buf, len, MSG_DONTWAIT), TIP_TCP_READ, n, err);
	ERR_clear_error();
	errno = 0;
	ret = SSL_read_ex(s->ssl, buf, len, n);
	return ret == 1 ? TIP_TCP_DONE : tls_result(s, ret, err);
}

enum tip_tcp_wants tip_tcp_write(struct tip_tcp *s, const void *buf, size_t len, size_t *n,
				 struct tip_error *err)
{
	int ret;

	*n = 0;
	if (!s->ssl)
		return plain_result(send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL),
				    TIP_TCP_WRITE, n, err);
	ERR_clear_error();
	errno = 0;
	ret = SSL_write_ex(s->ssl, buf, len, n);
	return ret == 1 ? TIP_TCP_DONE : tls_result(s, ret, err);
}
