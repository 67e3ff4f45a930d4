/* SPDX-License-Identifier: Apache-2.0 */
/*
 * victim SOCKET: an honest program with an identity. It fetches its SVID and then waits for the end
 * of its input. victim --sleep: only waits. victim --exec SOCKET PROGRAM ARGS...: fetches, leaves
 * the connection open as descriptor 3 and becomes PROGRAM. victim --thread-exec PROGRAM ARGS...:
 * becomes PROGRAM from a thread that is not the leader.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "attack.h"

static void linger(void)
{
	struct pollfd p = {.fd = 0, .events = POLLIN};

	poll(&p, 1, 30000);
}

static void *become(void *args)
{
	char *const *argv = args;

	execv(argv[0], argv);
	die("exec %s: %s", argv[0], strerror(errno));
}

static void fetch(const char *path, int keep_as)
{
	const int fd = dial(path);
	struct answer a;

	ask(fd);
	a = hear(fd, 5000);
	report("victim", &a);
	if (keep_as >= 0 && fd != keep_as && dup2(fd, keep_as) < 0)
		die("dup2: %s", strerror(errno));
	if (keep_as >= 0)
		fcntl(keep_as, F_SETFD, 0);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage: victim SOCKET | --sleep | --exec SOCKET PROGRAM... | --thread-exec "
		    "PROGRAM...");
	if (!strcmp(argv[1], "--sleep")) {
		/* Whoever started us may have left us no input: do not end at once. */
		poll(NULL, 0, 6000);
		return 0;
	}
	if (!strcmp(argv[1], "--exec") && argc > 3) {
		fetch(argv[2], 3);
		become(argv + 3);
	}
	if (!strcmp(argv[1], "--thread-exec") && argc > 2) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, become, argv + 2))
			die("pthread_create failed");
		for (;;)
			pause();
	}
	fetch(argv[1], -1);
	linger();
	return 0;
}
