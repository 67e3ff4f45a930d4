/* SPDX-License-Identifier: Apache-2.0 */
/* Who plays in an act: copies of this program under the names of others. */
#include "act.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tests/attacks/attack.h"

#define ARGS_MAX 16

/* ---- copies --------------------------------------------------------------------------------- */

void copy_to(const char *path)
{
	const int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	const int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	struct stat st;
	off_t at = 0;

	if (from < 0 || to < 0 || fstat(from, &st))
		fail("%s: %s", path, strerror(errno));
	while (at < st.st_size)
		if (sendfile(to, from, &at, (size_t)(st.st_size - at)) <= 0)
			fail("%s: %s", path, strerror(errno));
	close(from);
	if (close(to))
		fail("%s: %s", path, strerror(errno));
}

void become(const char *path, const char *verb, const char *arg, char *const argv[])
{
	setenv(STEP_VERB, verb, 1);
	setenv(STEP_ARG, arg, 1);
	execv(path, argv);
	fail("%s: %s", path, strerror(errno));
}

void await(pid_t pid)
{
	int status = 0;

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fail("waitpid: %s", strerror(errno));
	if (WIFSIGNALED(status))
		fail("process %d was ended by signal %d", pid, WTERMSIG(status));
	if (WEXITSTATUS(status) != DONE)
		_exit(WEXITSTATUS(status)); /* it has said why */
}

void run_at(const char *command, const char *verb, const char *arg)
{
	char words[PATH_MAX], path[PATH_MAX], *argv[ARGS_MAX] = {NULL}, *rest = words;
	pid_t pid;

	snprintf(words, sizeof(words), "%s", command);
	for (int n = 0; n < ARGS_MAX - 1 && rest; n++)
		argv[n] = strsep(&rest, " ");
	snprintf(path, sizeof(path), "%s", argv[0]);
	argv[0] = strrchr(argv[0], '/') + 1;
	pid = fork();
	if (pid == 0)
		become(path, verb, arg, argv);
	await(pid);
}

void run_as(const char *command, const char *verb, const char *arg)
{
	char whole[PATH_MAX], path[PATH_MAX];
	struct stat st;

	snprintf(whole, sizeof(whole), STAGE "/%s", command);
	snprintf(path, sizeof(path), STAGE "/%.*s", (int)strcspn(command, " "), command);
	if (stat(path, &st))
		copy_to(path);
	run_at(whole, verb, arg);
}

/* ---- what they do --------------------------------------------------------------------------- */

void touch(const char *path, int flags)
{
	const int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	close(fd);
}

static struct sockaddr_in tcp_address(const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	const char *colon = strchr(text, ':');
	char host[INET_ADDRSTRLEN];

	if (!colon)
		fail("%s is no address:port", text);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (inet_pton(AF_INET, host, &sin.sin_addr) != 1)
		fail("%s is no IPv4 address", host);
	sin.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return sin;
}

int connect_tcp(const char *to)
{
	const struct sockaddr_in sin = tcp_address(to);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		fail("socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&sin, sizeof(sin)) == 0)
		return fd;
	err = errno;
	close(fd);
	return -err;
}

int dial_tcp(const char *to)
{
	const int fd = connect_tcp(to);

	if (fd < 0)
		return -fd;
	close(fd);
	return 0;
}

void listen_tcp(const char *at)
{
	const struct sockaddr_in sin = tcp_address(at);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* It stays open until the act ends: its backlog answers those who connect. */
	if (fd < 0 || bind(fd, (const struct sockaddr *)&sin, sizeof(sin)) || listen(fd, 16))
		fail("a listener at %s: %s", at, strerror(errno));
}

pid_t victim(void)
{
	const pid_t pid = fork();

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void step_nothing(const char *arg)
{
}

static void step_read(const char *arg)
{
	touch(arg, O_RDONLY);
}

static void step_write(const char *arg)
{
	touch(arg, O_WRONLY);
}

static void step_create(const char *arg)
{
	touch(arg, O_WRONLY | O_CREAT);
}

static void step_empty(const char *arg)
{
	touch(arg, O_WRONLY | O_TRUNC);
}

static void step_connect(const char *arg)
{
	const int err = dial_tcp(arg);

	if (err)
		fail("connect %s: %s", arg, strerror(err));
}

void do_step(const char *verb, const char *arg)
{
	static const struct {
		const char *verb;
		void (*step)(const char *arg);
	} steps[] = {
		{"nothing", step_nothing}, {"read", step_read},   {"write", step_write},
		{"create", step_create},   {"empty", step_empty}, {"connect", step_connect},
	};
	const struct act *a = act_find(verb);

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (strcmp(steps[i].verb, verb) == 0) {
			steps[i].step(arg);
			return;
		}
	}
	if (!a || !a->step)
		fail("nobody knows how to %s", verb);
	a->step(arg);
}

/* ---- identity ------------------------------------------------------------------------------- */

void await_identity(void)
{
	static const char scheme[] = "unix://";
	const char *at = getenv("SPIFFE_ENDPOINT_SOCKET");
	const int64_t end = now_ms() + 10000;
	struct stat st;

	if (!at || strncmp(at, scheme, sizeof(scheme) - 1) != 0)
		at = "unix:///run/tipstaff/workload.sock";
	at += sizeof(scheme) - 1;
	if (stat(at, &st))
		skip("%s: %s: no Workload API", at, strerror(errno));
	for (;;) {
		const int fd = dial(at);
		struct answer a = {0};

		if (ask(fd))
			a = hear(fd, 5000);
		close(fd);
		if (a.key)
			return;
		if (now_ms() > end)
			skip("no SVID: register an entry with the selector unix:path:" STAGE
			     "/workload");
		sleep_ms(100);
	}
}
