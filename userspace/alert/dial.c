/* SPDX-License-Identifier: Apache-2.0 */
#include "alert/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/spawn.h"

#define ADDRESSES_MAX 16
#define ANSWER_MAX    2048
#define RESOLVE_NS    (5 * TIP_NSEC_PER_SEC)
#define FRESH_NS      (60 * TIP_NSEC_PER_SEC) /* for which an answer is not asked for again */
#define COMPLAIN_NS   (60 * TIP_NSEC_PER_SEC)
#define POLL_MS       100

struct tip_dialler {
	char *host, *resolver;
	uint16_t port;
	bool literal; /* the host is an address itself */
	union tip_address list[ADDRESSES_MAX];
	size_t count, next;
	uint64_t resolved_ns, complained_ns;
};

static void complain(struct tip_dialler *d, const char *what, const char *why)
{
	uint64_t now = tip_clock_monotonic();

	if (d->complained_ns && now - d->complained_ns < COMPLAIN_NS)
		return;
	d->complained_ns = now;
	tip_warn("alert", "http: %s %s: %s", d->host, what, why);
}

/* ---- the resolver --------------------------------------------------------------------------- */

static int spawn(const struct tip_dialler *d, int answer, pid_t *pid)
{
	static const char *const env[] = {"TZ=UTC0", NULL};
	const char *const argv[] = {"tipstaffd", "--resolve", d->host, NULL};
	const struct tip_spawn child = {
		.path = d->resolver,
		.argv = argv,
		.env = env,
		.fds = {TIP_SPAWN_NULL, answer, TIP_SPAWN_SAME, TIP_SPAWN_SAME},
	};

	return tip_spawn(&child, pid);
}

/* Reads what it says, until its end, the time is over, or `late`. */
static size_t hear(int fd, char *buf, size_t size, bool (*late)(void *ctx), void *ctx)
{
	const uint64_t end = tip_clock_monotonic() + RESOLVE_NS;
	size_t len = 0;

	while (len < size - 1 && tip_clock_monotonic() < end && !late(ctx)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, POLL_MS) <= 0)
			continue;
		n = read(fd, buf + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return len;
}

/* "NAME ADDRESS ADDRESS\n" */
static void take_answer(struct tip_dialler *d, char *line)
{
	char *save = NULL, *word = strtok_r(line, " \n", &save);

	d->count = d->next = 0;
	while (word && d->count < ADDRESSES_MAX && (word = strtok_r(NULL, " \n", &save)))
		d->count += tip_address_parse(word, d->port, &d->list[d->count]);
}

static void resolve(struct tip_dialler *d, bool (*late)(void *ctx), void *ctx)
{
	char answer[ANSWER_MAX];
	int fds[2], error;
	pid_t pid;

	d->count = 0;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		complain(d, "cannot be resolved", strerror(errno));
		return;
	}
	error = spawn(d, fds[1], &pid);
	close(fds[1]);
	if (error) {
		complain(d, "cannot be resolved", strerror(error));
	} else {
		hear(fds[0], answer, sizeof(answer), late, ctx);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		take_answer(d, answer);
		if (!d->count)
			complain(d, "has no address", "its name was not resolved");
	}
	close(fds[0]);
	d->resolved_ns = tip_clock_monotonic();
}

/* ---- connections -------------------------------------------------------------------------------
 */

int tip_dialler_connect(struct tip_dialler *d, bool (*late)(void *ctx), void *ctx)
{
	const int one = 1;
	int fd;

	if (!d->literal && (!d->count || tip_clock_monotonic() - d->resolved_ns > FRESH_NS))
		resolve(d, late, ctx);
	if (!d->count)
		return -1;
	fd = tip_address_connect(&d->list[d->next]);
	if (fd >= 0) {
		/* A request is written at once; what is left of it must not wait for an ACK. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		return fd;
	}
	complain(d, "cannot be reached", strerror(errno));
	tip_dialler_failed(d);
	return -1;
}

void tip_dialler_failed(struct tip_dialler *d)
{
	if (d->next + 1 < d->count) {
		d->next++;
		return;
	}
	d->next = 0;
	if (!d->literal)
		d->count = 0;
}

struct tip_dialler *tip_dialler_new(const char *host, uint16_t port, const char *resolver)
{
	struct tip_dialler *d = tip_alloc(sizeof(*d));

	d->host = tip_strdup(host);
	d->resolver = tip_strdup(resolver);
	d->port = port;
	d->literal = tip_address_parse(host, port, &d->list[0]);
	d->count = d->literal;
	return d;
}

void tip_dialler_free(struct tip_dialler *d)
{
	free(d->host);
	free(d->resolver);
	free(d);
}
