/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends of a TCP connection that know nothing of TLS, and every way to make one.
 *
 *   talk [OPTION...] dial ADDRESS PORT [STEP...]    one connect(), then the steps
 *   talk [OPTION...] serve ADDRESS PORT [STEP...]   each accepted connection takes the steps
 *
 * Of dial, how:   --nonblock, --mapped (an IPv6 socket, ::ffff:ADDRESS), --tfo (MSG_FASTOPEN),
 * --mptcp,
 *                 --udp, --sendto (UDP without connect())
 *         with:   --mark N, --bind ADDRESS, --fd N (that socket), --cgroup FILE (moves there once
 * the socket is made), --first ADDRESS PORT (connects there before, then AF_UNSPEC) when:   --wait
 * (for a line on stdin, with the socket made), --retry MS (until it works) Of serve:       --one
 * (itself, no child for each connection)
 *
 * Steps, done in order; the first that fails is the last:
 *   send N    N bytes of a pattern           recv N    as many, each compared with it
 *   echo N    both at once                   mirror    everything back until the end, then shut
 *   say TEXT  those bytes                    hear N    at most N bytes, shown as text
 *   drain     reads to the end               shut      no more from here (FIN)
 *   reset     ends it with RST               pause     waits for a line on stdin
 * Each prints one line of JSON: what was done, and how the other end behaved.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attack.h"

#define CHUNK 65536

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct options {
	bool nonblock, mapped, udp, sendto, tfo, mptcp, one, wait_here;
	int mark, fd, retry_ms;
	const char *bind_to, *cgroup;
	const char *first[2];
};

/* A connection and how far each direction of the pattern has come. */
struct talk {
	int fd;
	uint64_t sent, received;
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static uint64_t number(const char *text)
{
	char *end;
	const uint64_t n = strtoull(text, &end, 0);

	if (end == text || *end)
		die("%s: no number", text);
	return n;
}

static socklen_t parse(union address *a, const char *text, uint16_t port)
{
	*a = (union address){0};
	if (inet_pton(AF_INET, text, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
		return sizeof(a->in);
	}
	if (inet_pton(AF_INET6, text, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(port);
		return sizeof(a->in6);
	}
	die("%s: no address", text);
}

static const char *show(const union address *a, char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";

	if (a->sa.sa_family == AF_INET)
		snprintf(out, size, "%s:%u",
			 inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host)),
			 ntohs(a->in.sin_port));
	else if (a->sa.sa_family == AF_INET6)
		snprintf(out, size, "%s:%u",
			 inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host)),
			 ntohs(a->in6.sin6_port));
	else
		snprintf(out, size, "-");
	return out;
}

static const char *own_end(int fd, char *out, size_t size)
{
	union address a = {0};
	socklen_t len = sizeof(a);

	return getsockname(fd, &a.sa, &len) ? "-" : show(&a, out, size);
}

static const char *far_end(int fd, char *out, size_t size)
{
	union address a = {0};
	socklen_t len = sizeof(a);

	return getpeername(fd, &a.sa, &len) ? "-" : show(&a, out, size);
}

static const char *error_name(int err)
{
	return err ? strerrorname_np(err) : "ok";
}

static void wait_line(void)
{
	char c;

	while (read(0, &c, 1) == 1 && c != '\n')
		;
}

/* ---- the pattern ---------------------------------------------------------- */

/* Byte `at` of a stream in which no two stretches are alike (splitmix64 of each eight bytes). */
static void pattern(uint64_t at, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint64_t z = ((at + i) / 8 + 1) * 0x9e3779b97f4a7c15u;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		z ^= z >> 31;
		do
			out[i] = (uint8_t)(z >> 8 * ((at + i) % 8));
		while (++i < n && (at + i) % 8);
	}
}

/* How many bytes are as they should be at that place of the stream. */
static size_t matching(uint64_t at, const uint8_t *got, size_t n)
{
	uint8_t want[CHUNK];
	size_t i = 0;

	pattern(at, want, n);
	while (i < n && got[i] == want[i])
		i++;
	return i;
}

/* ---- steps ---------------------------------------------------------------- */

/* Both directions at once, so that neither end waits for the other to read. */
static int exchange(struct talk *t, uint64_t to_send, uint64_t to_receive, bool *wrong)
{
	uint8_t out[CHUNK], in[CHUNK];

	while (to_send || to_receive) {
		struct pollfd p = {t->fd,
				   (short)((to_send ? POLLOUT : 0) | (to_receive ? POLLIN : 0)), 0};

		if (poll(&p, 1, -1) < 0)
			return errno;
		if (to_receive && p.revents & (POLLIN | POLLHUP | POLLERR)) {
			const ssize_t n = recv(t->fd, in, to_receive < CHUNK ? to_receive : CHUNK,
					       MSG_DONTWAIT);

			if (n == 0)
				return ENODATA; /* the end, before all of it */
			if (n < 0 && errno != EAGAIN)
				return errno;
			if (n > 0 && matching(t->received, in, (size_t)n) < (size_t)n) {
				*wrong = true;
				return EBADMSG;
			}
			if (n > 0) {
				t->received += (uint64_t)n;
				to_receive -= (uint64_t)n;
			}
		}
		if (to_send && p.revents & (POLLOUT | POLLHUP | POLLERR)) {
			const size_t want = to_send < CHUNK ? to_send : CHUNK;
			ssize_t n;

			pattern(t->sent, out, want);
			n = send(t->fd, out, want, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				return errno;
			if (n > 0) {
				t->sent += (uint64_t)n;
				to_send -= (uint64_t)n;
			}
		}
	}
	return 0;
}

static int mirror(const struct talk *t, uint64_t *bytes)
{
	char buf[CHUNK];

	for (;;) {
		ssize_t n = recv(t->fd, buf, sizeof(buf), 0);

		if (n < 0)
			return errno;
		if (n == 0)
			return shutdown(t->fd, SHUT_WR) ? errno : 0;
		for (ssize_t done = 0; done < n;) {
			const ssize_t m = send(t->fd, buf + done, (size_t)(n - done), MSG_NOSIGNAL);

			if (m < 0)
				return errno;
			done += m;
			*bytes += (uint64_t)m;
		}
	}
}

static int drain(struct talk *t, uint64_t *bytes)
{
	char buf[CHUNK];
	ssize_t n;

	while ((n = recv(t->fd, buf, sizeof(buf), 0)) > 0)
		*bytes += (uint64_t)n;
	return n ? errno : 0;
}

static int hear_text(const struct talk *t, size_t most, uint64_t *bytes, char *text, size_t size)
{
	char buf[4096];
	const ssize_t n = recv(t->fd, buf, most < sizeof(buf) ? most : sizeof(buf), 0);
	size_t at = 0;

	if (n < 0)
		return errno;
	for (ssize_t i = 0; i < n && at + 8 < size; i++) {
		if (buf[i] >= ' ' && buf[i] <= '~' && buf[i] != '"' && buf[i] != '\\')
			text[at++] = buf[i];
		else
			at += (size_t)snprintf(text + at, size - at, "\\u%04x", (uint8_t)buf[i]);
	}
	text[at] = '\0';
	*bytes = (uint64_t)n;
	return 0;
}

static int reset(int fd)
{
	const struct linger now = {1, 0};

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) || close(fd))
		return errno;
	return 0;
}

static int end_of(int fd)
{
	return shutdown(fd, SHUT_WR) ? errno : 0;
}

static int say(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* True if the step went well. */
static bool step(struct talk *t, const char *verb, const char *argument)
{
	const double begun = now_us();
	const uint64_t sent = t->sent, received = t->received;
	uint64_t bytes = 0;
	bool wrong = false;
	char text[8192] = "";
	int err;

	if (!strcmp(verb, "send"))
		err = exchange(t, number(argument), 0, &wrong);
	else if (!strcmp(verb, "recv"))
		err = exchange(t, 0, number(argument), &wrong);
	else if (!strcmp(verb, "echo"))
		err = exchange(t, number(argument), number(argument), &wrong);
	else if (!strcmp(verb, "say"))
		err = say(t->fd, argument);
	else if (!strcmp(verb, "hear"))
		err = hear_text(t, number(argument), &bytes, text, sizeof(text));
	else if (!strcmp(verb, "mirror"))
		err = mirror(t, &bytes);
	else if (!strcmp(verb, "drain"))
		err = drain(t, &bytes);
	else if (!strcmp(verb, "shut"))
		err = end_of(t->fd);
	else if (!strcmp(verb, "reset"))
		err = reset(t->fd);
	else if (!strcmp(verb, "pause"))
		wait_line(), err = 0;
	else
		die("%s: no step", verb);
	printf("{\"step\":\"%s\",\"errno\":\"%s\",\"sent\":%llu,\"received\":%llu,\"bytes\":%llu,"
	       "\"wrong\":%s,\"text\":\"%s\",\"ms\":%.3f}\n",
	       verb, error_name(err), (unsigned long long)(t->sent - sent),
	       (unsigned long long)(t->received - received), (unsigned long long)bytes,
	       wrong ? "true" : "false", text, (now_us() - begun) / 1e3);
	fflush(stdout);
	return !err;
}

static bool has_argument(const char *verb)
{
	static const char *const with[] = {"send", "recv", "echo", "say", "hear"};

	for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++)
		if (!strcmp(verb, with[i]))
			return true;
	return false;
}

static int steps(int fd, char **argv)
{
	struct talk t = {.fd = fd};

	while (*argv) {
		const char *verb = *argv++;

		if (has_argument(verb) && !*argv)
			die("%s: of what?", verb);
		if (!step(&t, verb, has_argument(verb) ? *argv++ : NULL))
			return 1;
	}
	return 0;
}

/* ---- dial ------------------------------------------------------------------ */

static int made_socket(const struct options *o, int family)
{
	const int fd = o->fd >= 0 ? o->fd
				  : socket(family, o->udp ? SOCK_DGRAM : SOCK_STREAM,
					   o->mptcp ? IPPROTO_MPTCP : 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (o->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &o->mark, sizeof(o->mark)))
		die("SO_MARK: %s", strerror(errno));
	if (o->bind_to) {
		union address a;
		const socklen_t len = parse(&a, o->bind_to, 0);

		if (bind(fd, &a.sa, len))
			die("bind to %s: %s", o->bind_to, strerror(errno));
	}
	if (o->nonblock && fcntl(fd, F_SETFL, O_NONBLOCK))
		die("O_NONBLOCK: %s", strerror(errno));
	return fd;
}

/*
 * How a connect() that does not block ended. An ICMP error wakes poll() a moment before SO_ERROR
 * has it (Linux 5.10 and up queue it first): whoever is told of no error and has no peer asks
 * again.
 */
static int wait_connected(int fd)
{
	union address peer;
	int err = 0;

	do {
		struct pollfd p = {fd, POLLOUT, 0};
		socklen_t size = sizeof(err), len = sizeof(peer);

		if (poll(&p, 1, -1) < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size))
			die("waiting for connect: %s", strerror(errno));
		if (!err && !getpeername(fd, &peer.sa, &len))
			return 0;
	} while (!err);
	return err;
}

/* An errno; `first`: what connect() itself said where it does not block. */
static int try_connect(const struct options *o, int fd, const union address *to, socklen_t len,
		       int *first)
{
	int err = 0;

	if (o->tfo)
		err = sendto(fd, "early", 5, MSG_FASTOPEN | MSG_NOSIGNAL, &to->sa, len) < 0 ? errno
											    : 0;
	else if (o->sendto)
		err = sendto(fd, "datagram", 8, MSG_NOSIGNAL, &to->sa, len) < 0 ? errno : 0;
	else
		err = connect(fd, &to->sa, len) ? errno : 0;
	*first = err;
	if (err == EINPROGRESS)
		err = wait_connected(fd);
	if (!err && o->udp && !o->sendto && send(fd, "datagram", 8, MSG_NOSIGNAL) < 0)
		err = errno;
	return err;
}

static void move_to(const char *cgroup)
{
	const int fd = open(cgroup, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		die("%s: %s", cgroup, strerror(errno));
	close(fd);
}

static void connect_before(const struct options *o, int fd)
{
	const union address nowhere = {.sa.sa_family = AF_UNSPEC};
	union address to;
	const socklen_t len = parse(&to, o->first[0], (uint16_t)number(o->first[1]));
	int first;
	const int err = try_connect(o, fd, &to, len, &first);

	printf("{\"before\":\"%s\"}\n", error_name(err));
	if (connect(fd, &nowhere.sa, sizeof(nowhere)))
		die("AF_UNSPEC: %s", strerror(errno));
}

static int dial_out(const struct options *o, const char *host, const char *port, char **rest)
{
	char mapped[64], local[64], remote[64];
	double begun, since;
	union address to;
	socklen_t len;
	int fd, err, first, tries = 1;

	if (o->mapped)
		snprintf(mapped, sizeof(mapped), "::ffff:%s", host);
	len = parse(&to, o->mapped ? mapped : host, (uint16_t)number(port));
	fd = made_socket(o, to.sa.sa_family);
	if (o->cgroup)
		move_to(o->cgroup);
	if (o->wait_here) {
		printf("{\"ready\":%d}\n", getpid());
		fflush(stdout);
		wait_line();
	}
	if (o->first[0])
		connect_before(o, fd);
	since = begun = now_us();
	while ((err = try_connect(o, fd, &to, len, &first)) &&
	       now_us() - since < o->retry_ms * 1e3) {
		close(fd);
		sleep_ms(1);
		fd = made_socket(o, to.sa.sa_family);
		begun = now_us();
		tries++;
	}
	printf("{\"pid\":%d,\"errno\":\"%s\",\"at_once\":\"%s\",\"ms\":%.3f,\"all_ms\":%.3f,"
	       "\"tries\":%d,"
	       "\"local\":\"%s\",\"peer\":\"%s\"}\n",
	       getpid(), error_name(err), error_name(first), (now_us() - begun) / 1e3,
	       (now_us() - since) / 1e3, tries, own_end(fd, local, sizeof(local)),
	       far_end(fd, remote, sizeof(remote)));
	fflush(stdout);
	if (err)
		return 1;
	if (fcntl(fd, F_SETFL, 0))
		die("blocking again: %s", strerror(errno));
	return steps(fd, rest);
}

/* ---- serve ----------------------------------------------------------------- */

static int serve(const struct options *o, const char *host, const char *port, char **rest)
{
	char shown[64], local[64], remote[64];
	const int yes = 1;
	union address a;
	const socklen_t len = parse(&a, host, (uint16_t)number(port));
	const int fd = socket(a.sa.sa_family, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
	    bind(fd, &a.sa, len) || listen(fd, 512)) {
		printf("{\"listening\":false,\"errno\":\"%s\"}\n", error_name(errno));
		return 1;
	}
	signal(SIGCHLD, SIG_IGN);
	printf("{\"listening\":true}\n");
	fflush(stdout);
	for (;;) {
		union address from = {0};
		socklen_t size = sizeof(from);
		const int c = accept(fd, &from.sa, &size);

		if (c < 0)
			continue;
		printf("{\"accepted\":\"%s\",\"peer\":\"%s\",\"local\":\"%s\"}\n",
		       show(&from, shown, sizeof(shown)), far_end(c, remote, sizeof(remote)),
		       own_end(c, local, sizeof(local)));
		fflush(stdout);
		if (o->one) {
			steps(c, rest);
		} else if (fork() == 0) {
			close(fd);
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(steps(c, rest));
		}
		close(c);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.fd = -1};

	for (argv++; *argv && !strncmp(*argv, "--", 2); argv++) {
		const char *name = *argv + 2;

		if (!strcmp(name, "nonblock"))
			o.nonblock = true;
		else if (!strcmp(name, "mapped"))
			o.mapped = true;
		else if (!strcmp(name, "udp"))
			o.udp = true;
		else if (!strcmp(name, "sendto"))
			o.udp = o.sendto = true;
		else if (!strcmp(name, "mptcp"))
			o.mptcp = true;
		else if (!strcmp(name, "tfo"))
			o.tfo = true;
		else if (!strcmp(name, "one"))
			o.one = true;
		else if (!strcmp(name, "wait"))
			o.wait_here = true;
		else if (!argv[1])
			die("--%s: unknown, or without its value", name);
		else if (!strcmp(name, "mark"))
			o.mark = (int)number(*++argv);
		else if (!strcmp(name, "fd"))
			o.fd = (int)number(*++argv);
		else if (!strcmp(name, "retry"))
			o.retry_ms = (int)number(*++argv);
		else if (!strcmp(name, "bind"))
			o.bind_to = *++argv;
		else if (!strcmp(name, "cgroup"))
			o.cgroup = *++argv;
		else if (!strcmp(name, "first") && argv[2])
			o.first[0] = argv[1], o.first[1] = argv[2], argv += 2;
		else
			die("--%s: unknown", name);
	}
	if (!argv[0] || !argv[1] || !argv[2])
		die("usage: talk [OPTION...] dial|serve ADDRESS PORT [STEP...]");
	if (!strcmp(argv[0], "dial"))
		return dial_out(&o, argv[1], argv[2], argv + 3);
	if (!strcmp(argv[0], "serve"))
		return serve(&o, argv[1], argv[2], argv + 3);
	die("%s: neither dial nor serve", argv[0]);
}
