/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-count ACT COUNT [PATH]: does ACT (getppid, open, connect, exec) COUNT times and prints the
 * median of the time stamp counter's steps that one took. In a guest of `tools/vm --icount` these
 * are instructions, the kernel's included; the median leaves out the rounds into which a timer or
 * another process fell.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

static struct sockaddr_in address = {.sin_family = AF_INET};
static const char *path;
static char *self;

static int act_getppid(void)
{
	return (int)syscall(SYS_getppid);
}

static int act_open(void)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

/* The handshake happens on this processor, before connect() returns; nobody accepts. */
static int act_connect(void)
{
	const struct linger reset = {.l_onoff = 1};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	return close(fd);
}

static int act_exec(void)
{
	char *const child[] = {self, (char[]){"--end"}, NULL};
	int status;
	pid_t pid;

	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, child, NULL) ||
	    waitpid(pid, &status, 0) != pid)
		return -1;
	return status ? -1 : 0;
}

static int listen_here(int backlog)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) || listen(fd, backlog) ||
	    getsockname(fd, (struct sockaddr *)&address, &len))
		return -1;
	return fd;
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*act)(void);
	} acts[] = {
		{"getppid", act_getppid},
		{"open", act_open},
		{"connect", act_connect},
		{"exec", act_exec},
	};
	int (*act)(void) = NULL;
	uint64_t *took;
	long count;

	if (argc == 2 && !strcmp(argv[1], "--end"))
		return 0;
	for (size_t i = 0; argc >= 3 && i < sizeof(acts) / sizeof(*acts); i++)
		if (!strcmp(argv[1], acts[i].name))
			act = acts[i].act;
	count = argc >= 3 ? strtol(argv[2], NULL, 10) : 0;
	if (!act || count <= 0 || count > 100000) {
		fprintf(stderr, "usage: bench-count getppid|open|connect|exec COUNT [PATH]\n");
		return 2;
	}
	self = argv[0];
	path = argc > 3 ? argv[3] : "/dev/null";
	took = calloc((size_t)count, sizeof(*took));
	/* A listener for each connect(), since nobody accepts. */
	for (long i = 0; took && i < count; i++) {
		const int listener = act == act_connect ? listen_here(1) : -1;
		uint64_t start;

		if (act == act_connect && listener < 0) {
			fprintf(stderr, "listen: %s\n", strerror(errno));
			return 1;
		}
		start = __rdtsc();
		if (act() < 0) {
			fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
			return 1;
		}
		took[i] = __rdtsc() - start;
		if (listener >= 0)
			close(listener);
	}
	if (!took)
		return 1;
	qsort(took, (size_t)count, sizeof(*took), compare);
	printf("%llu\n", (unsigned long long)took[count / 2]);
	free(took);
	return 0;
}
