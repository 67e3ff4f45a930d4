/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of the connections that a relay is measured with.
 *
 *   bench-relay serve ADDRESS PORT           says "listening", then serves until it is killed
 *   bench-relay ping ADDRESS PORT SIZE COUNT one connection, COUNT round trips of SIZE bytes
 *   bench-relay connect ADDRESS PORT COUNT   COUNT times: connect, one byte there and back, close
 *   bench-relay bulk ADDRESS PORT MIB        one stream to the server
 *   bench-relay idle ADDRESS PORT COUNT      opens COUNT connections, then holds them until killed
 *
 * What was measured is one line of JSON. The first byte of a connection tells the server what to do
 * with the rest: 'e' sends it back, 's' counts it and says at its end how much it was, so that a
 * bulk transfer is over when the last byte has arrived and not when it was written.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../tests/attacks/attack.h"

#define CHUNK 65536

static uint8_t chunk[CHUNK];

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static long number(const char *text, long max)
{
	char *end;
	const long n = strtol(text, &end, 10);

	if (*end || n <= 0 || n > max)
		die("%s: a number from 1 to %ld is expected", text, max);
	return n;
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)number(port, UINT16_MAX))};

	if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
		die("%s: no IPv4 address", host);
	return to;
}

static void no_delay(int fd)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
		die("TCP_NODELAY: %s", strerror(errno));
}

static void send_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		const ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0)
			die("send: %s", strerror(errno));
		p += n;
		len -= (size_t)n;
	}
}

static void receive_all(int fd, void *data, size_t len)
{
	uint8_t *p = data;

	while (len) {
		const ssize_t n = recv(fd, p, len, 0);

		if (n <= 0)
			die("recv: %s", n ? strerror(errno) : "the connection ended too early");
		p += n;
		len -= (size_t)n;
	}
}

static void many_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* ---- the server --------------------------------------------------------------------------- */

struct peer {
	int fd;
	char mode; /* 0: its first byte has not come */
	uint64_t bytes;
};

/* Serves what has come. False when the connection is over. */
static bool serve_one(struct peer *p)
{
	const ssize_t n = recv(p->fd, chunk, sizeof(chunk), 0);
	size_t skip = 0;

	if (n <= 0) {
		if (n == 0 && p->mode == 's')
			send(p->fd, &p->bytes, sizeof(p->bytes), MSG_NOSIGNAL);
		return false;
	}
	if (!p->mode) {
		p->mode = (char)chunk[0];
		skip = 1;
	}
	p->bytes += (size_t)n - skip;
	/* Blocks for a client that does not read: there are none but ours. A reset is its affair.
	 */
	for (size_t at = skip; p->mode == 'e' && at < (size_t)n;) {
		const ssize_t sent = send(p->fd, chunk + at, (size_t)n - at, MSG_NOSIGNAL);

		if (sent < 0)
			return false;
		at += (size_t)sent;
	}
	return true;
}

static void let_in(int loop, int listener)
{
	const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	struct peer *p;

	if (fd < 0)
		return;
	p = calloc(1, sizeof(*p));
	if (!p)
		die("out of memory");
	p->fd = fd;
	event.data.ptr = p;
	no_delay(fd);
	if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void serve(const struct sockaddr_in *at)
{
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int loop = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[64] = {{.events = EPOLLIN, .data.ptr = NULL}};

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(listener, (const struct sockaddr *)at, sizeof(*at)) < 0 ||
	    listen(listener, 1024) < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, events) < 0)
		die("listen: %s", strerror(errno));
	puts("listening");
	fflush(stdout);
	for (;;) {
		const int n = epoll_wait(loop, events, 64, -1);

		for (int i = 0; i < n; i++) {
			struct peer *p = events[i].data.ptr;

			if (!p) {
				let_in(loop, listener);
			} else if (!serve_one(p)) {
				close(p->fd);
				free(p);
			}
		}
	}
}

/* ---- the clients -------------------------------------------------------------------------- */

/* A connection whose server knows what to do. The byte is on its way when this returns. */
static int open_to(const struct sockaddr_in *to, const char *first, size_t len)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		die("connect: %s", strerror(errno));
	no_delay(fd);
	send_all(fd, first, len);
	return fd;
}

static int by_size(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Prints what `took`, nanoseconds each, amounts to, and how long it was in all. */
static void report_times(int64_t *took, long count, int64_t total)
{
	const long middle = count / 2, late = count * 99 / 100;

	qsort(took, (size_t)count, sizeof(*took), by_size);
	printf("{\"p50_us\": %.2f, \"p99_us\": %.2f, \"each_us\": %.2f}\n",
	       (double)took[middle] / 1000, (double)took[late] / 1000,
	       (double)total / 1000 / (double)count);
}

static int64_t *times(long count)
{
	int64_t *took = calloc((size_t)count, sizeof(*took));

	if (!took)
		die("out of memory");
	return took;
}

static void ping(const struct sockaddr_in *to, size_t size, long count)
{
	const int fd = open_to(to, "e", 1);
	int64_t *took = times(count), start = 0;

	/* A tenth more, before it counts, to warm up. */
	for (long i = -count / 10; i < count; i++) {
		const int64_t before = now();

		if (i == 0)
			start = before;
		send_all(fd, chunk, size);
		receive_all(fd, chunk, size);
		if (i >= 0)
			took[i] = now() - before;
	}
	report_times(took, count, now() - start);
	close(fd);
	free(took);
}

static void connect_often(const struct sockaddr_in *to, long count)
{
	int64_t *took = times(count);
	const int64_t start = now();

	for (long i = 0; i < count; i++) {
		const int64_t before = now();
		const int fd = open_to(to, "ex", 2);

		receive_all(fd, chunk, 1);
		took[i] = now() - before;
		close(fd);
	}
	report_times(took, count, now() - start);
	free(took);
}

static void bulk(const struct sockaddr_in *to, long mib)
{
	const int fd = open_to(to, "s", 1);
	const uint64_t bytes = (uint64_t)mib << 20;
	const int64_t start = now();
	uint64_t arrived;
	double seconds;

	for (uint64_t sent = 0; sent < bytes; sent += CHUNK)
		send_all(fd, chunk, CHUNK);
	if (shutdown(fd, SHUT_WR) < 0)
		die("shutdown: %s", strerror(errno));
	receive_all(fd, &arrived, sizeof(arrived));
	if (arrived != bytes)
		die("%llu bytes were sent and %llu arrived", (unsigned long long)bytes,
		    (unsigned long long)arrived);
	seconds = (double)(now() - start) / 1e9;
	printf("{\"bytes\": %llu, \"seconds\": %.4f, \"mb_s\": %.1f}\n", (unsigned long long)bytes,
	       seconds, (double)bytes / 1e6 / seconds);
	close(fd);
}

static void idle(const struct sockaddr_in *to, long count)
{
	for (long i = 0; i < count; i++)
		receive_all(open_to(to, "ex", 2), chunk, 1);
	printf("{\"open\": %ld}\n", count);
	fflush(stdout);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 3 ? argv[1] : "";
	const char *const arg = argc > 4 ? argv[4] : "";
	struct sockaddr_in at;

	if (argc < 4)
		die("usage: bench-relay serve|ping|connect|bulk|idle ADDRESS PORT ...");
	at = address(argv[2], argv[3]);
	many_descriptors();
	if (!strcmp(mode, "serve") && argc == 4)
		serve(&at);
	else if (!strcmp(mode, "ping") && argc == 6)
		ping(&at, (size_t)number(arg, CHUNK), number(argv[5], 10000000));
	else if (!strcmp(mode, "connect") && argc == 5)
		connect_often(&at, number(arg, 10000000));
	else if (!strcmp(mode, "bulk") && argc == 5)
		bulk(&at, number(arg, 1 << 20));
	else if (!strcmp(mode, "idle") && argc == 5)
		idle(&at, number(arg, 1000000));
	else
		die("bench-relay: %s: unknown, or with too few or too many arguments", mode);
	return 0;
}
