/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hosts that rules name: asked for when rules are loaded and then again and again, by a process
 * of their own (resolve.c), so that no event waits for a name server. A name that gets no answer
 * keeps the addresses that it had.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "detect/hosts.h"
#include "tipstaffd/keeper.h"

#define REFRESH_S     60
#define ANSWER_MAX    (1u << 20)
#define ADDRESSES_MAX 64

static bool is_host(const char *s)
{
	size_t len = strlen(s);

	/* a name that begins with '-' would be an option to somebody */
	return len && len < 256 && s[0] != '-' &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
		       len;
}

/* ---- the answer ---------------------------------------------------------------------------- */

/* "NAME ADDRESS ADDRESS": nothing without an address. */
static void take_line(struct tip_hosts *h, char *line)
{
	struct tip_host_addr addrs[ADDRESSES_MAX];
	char *save = NULL, *name = strtok_r(line, " ", &save), *word;
	size_t n = 0;

	if (!name)
		return;
	while (n < ADDRESSES_MAX && (word = strtok_r(NULL, " ", &save)))
		n += tip_host_addr_parse(word, &addrs[n]);
	if (n)
		tip_hosts_add(h, name, addrs, n);
}

static void take_answer(struct tip_keeper *k)
{
	struct tip_hosts *fresh = tip_hosts_new();
	char *rest = k->hosts.answer.data, *end, *line;
	const char *const *names;
	size_t count;

	/* a line that was cut is no answer */
	end = rest ? strrchr(rest, '\n') : NULL;
	if (end) {
		*end = '\0';
		while ((line = strsep(&rest, "\n")))
			take_line(fresh, line);
	}
	names = tip_rules_hosts(k->rules.active, &count);
	for (size_t i = 0; i < count; i++)
		tip_hosts_keep(fresh, tip_matcher_hosts(k->matcher), names[i]);
	tip_matcher_set_hosts(k->matcher, fresh);
}

static void stop(struct tip_keeper *k)
{
	/* Nobody else waits for it. It has said what it has to say, or is out of time. */
	if (k->hosts.pid > 0) {
		kill(k->hosts.pid, SIGKILL);
		waitpid(k->hosts.pid, NULL, 0);
	}
	k->hosts.pid = 0;
	if (k->hosts.readable) {
		close(event_get_fd(k->hosts.readable));
		event_free(k->hosts.readable);
		k->hosts.readable = NULL;
	}
	tip_buf_free(&k->hosts.answer);
}

static void on_answer(evutil_socket_t fd, short what, void *ctx)
{
	const struct timeval later = {REFRESH_S, 0};
	struct tip_keeper *k = ctx;
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0 && k->hosts.answer.len < ANSWER_MAX)
		tip_buf_add(&k->hosts.answer, buf, (size_t)n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	take_answer(k);
	stop(k);
	event_add(k->hosts.again, &later);
}

/* ---- the question -------------------------------------------------------------------------- */

static int spawn(struct tip_keeper *k, const char *const *argv, int answer)
{
	static const char *const env[] = {"TZ=UTC0", NULL};
	const struct tip_spawn child = {
		.path = "/proc/self/exe",
		.argv = argv,
		.env = env,
		.fds = {TIP_SPAWN_NULL, answer, TIP_SPAWN_SAME, TIP_SPAWN_SAME},
	};

	return tip_spawn(&child, &k->hosts.pid);
}

static void ask(struct tip_keeper *k)
{
	const struct timeval later = {REFRESH_S, 0};
	const char *const *names;
	const char **argv;
	int fds[2], ret;
	size_t count, n = 0;

	names = tip_rules_hosts(k->rules.active, &count);
	argv = tip_alloc((count + 3) * sizeof(*argv));
	argv[n++] = "tipstaffd";
	argv[n++] = "--resolve";
	for (size_t i = 0; i < count; i++)
		if (is_host(names[i]))
			argv[n++] = names[i];
	if (n == 2) {
		tip_matcher_set_hosts(k->matcher, NULL);
		goto out;
	}
	event_add(k->hosts.again, &later);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		goto out;
	ret = spawn(k, argv, fds[1]);
	close(fds[1]);
	if (ret) {
		close(fds[0]);
		tip_warn("detect", "the hosts that rules name are not resolved: posix_spawn: %s",
			 strerror(ret));
		goto out;
	}
	k->hosts.readable = event_new(k->base, fds[0], EV_READ | EV_PERSIST, on_answer, k);
	if (!k->hosts.readable)
		abort();
	event_add(k->hosts.readable, NULL);
out:
	free(argv);
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_keeper *k = ctx;

	stop(k);
	ask(k);
}

void tip_hosts_ask(struct tip_keeper *k)
{
	if (!k->base) /* --check */
		return;
	if (!k->hosts.again) {
		k->hosts.again = event_new(k->base, -1, 0, on_again, k);
		if (!k->hosts.again)
			abort();
	}
	event_del(k->hosts.again);
	stop(k);
	ask(k);
}

void tip_hosts_close(struct tip_keeper *k)
{
	stop(k);
	if (k->hosts.again)
		event_free(k->hosts.again);
	k->hosts.again = NULL;
}
