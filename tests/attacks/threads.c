/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads open PATH: a thread that is not the leader opens PATH. threads connect HOST PORT: it
 * connects. Prints {"pid":P,"tid":T,"result":N}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

static char **args;

static void *act(void *unused)
{
	int result = -1;

	(void)unused;
	if (!strcmp(args[1], "open")) {
		result = open(args[2], O_RDONLY | O_CLOEXEC);
	} else {
		struct sockaddr_in to = {.sin_family = AF_INET,
					 .sin_port = htons((uint16_t)strtoul(args[3], NULL, 10))};
		const int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (inet_pton(AF_INET, args[2], &to.sin_addr) != 1)
			die("%s: no address", args[2]);
		result = connect(fd, (struct sockaddr *)&to, sizeof(to));
	}
	printf("{\"pid\":%d,\"tid\":%ld,\"result\":%d}\n", getpid(), syscall(SYS_gettid),
	       result < 0 ? -errno : 0);
	fflush(stdout);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 3 || (!strcmp(argv[1], "connect") && argc < 4))
		die("usage: threads open PATH | connect HOST PORT");
	args = argv;
	if (pthread_create(&thread, NULL, act, NULL))
		die("pthread_create failed");
	pthread_join(thread, NULL);
	return 0;
}
