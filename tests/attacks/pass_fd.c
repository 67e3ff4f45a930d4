/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pass_fd give SOCKET RENDEZVOUS: a workload with an identity connects, asks once (or not, with
 * "unused" as fourth argument) and passes the connection to whoever comes to RENDEZVOUS. pass_fd
 * take RENDEZVOUS [again]: the stranger takes it and asks on it.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <stdio.h>

#include "attack.h"

static int rendezvous(const char *path, bool wait_here)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd;

	if (!wait_here)
		return dial(path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (strlen(path) >= sizeof(sa.sun_path))
		die("%s: too long for a socket's name", path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || chmod(path, 0666) ||
	    listen(fd, 1))
		die("%s: %s", path, strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	struct answer a;
	int fd, sock;

	if (argc >= 4 && !strcmp(argv[1], "give")) {
		struct pollfd p = {.fd = 0, .events = POLLIN};
		const bool unused = argc > 4;

		fd = dial(argv[2]);
		if (!unused) {
			ask(fd);
			a = hear(fd, 5000);
			report("give", &a);
		}
		sock = rendezvous(argv[3], true);
		printf("{\"who\":\"waiting\"}\n");
		fflush(stdout);
		sock = accept(sock, NULL, NULL);
		if (sock < 0)
			die("accept: %s", strerror(errno));
		fd_send(sock, fd);
		poll(&p, 1, 10000); /* the owner lives on: only the writer is wrong */
		return 0;
	}
	if (argc >= 3 && !strcmp(argv[1], "take")) {
		sock = rendezvous(argv[2], false);
		fd = fd_take(sock);
		if (fd < 0)
			die("no descriptor came");
		if (argc > 3)
			ask_again(fd, 3);
		else
			ask(fd);
		a = hear(fd, 3000);
		report("take", &a);
		return 0;
	}
	die("usage: pass_fd give SOCKET RENDEZVOUS [unused] | pass_fd take RENDEZVOUS [again]");
}
