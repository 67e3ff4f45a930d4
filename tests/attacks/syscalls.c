/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscalls KIND...: does one act by exactly one system call, so that a test knows what the sensor
 * must have seen. open|openat|openat2|creat PATH    connect HOST PORT    serve PORT (socket, bind,
 * listen, connect to itself, accept) setuid UID    setgid GID Prints {"pid":P,"result":N}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)strtoul(port, NULL, 10))};

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		die("%s: no address", host);
	return a;
}

static long serve(const char *port)
{
	const struct sockaddr_in a = address("127.0.0.1", port);
	const int server = socket(AF_INET, SOCK_STREAM, 0),
		  client = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(server, (const struct sockaddr *)&a, sizeof(a)) || listen(server, 7) ||
	    connect(client, (const struct sockaddr *)&a, sizeof(a)))
		return -1;
	return accept(server, NULL, NULL);
}

int main(int argc, char **argv)
{
	const char *kind = argc > 2 ? argv[1] : "";
	long result = -1;

	errno = EINVAL;
	if (!strcmp(kind, "open")) {
		result = syscall(SYS_open, argv[2], O_RDONLY, 0);
	} else if (!strcmp(kind, "openat")) {
		result = syscall(SYS_openat, AT_FDCWD, argv[2], O_RDONLY, 0);
	} else if (!strcmp(kind, "openat2")) {
		struct open_how how = {.flags = O_RDONLY};

		result = syscall(SYS_openat2, AT_FDCWD, argv[2], &how, sizeof(how));
	} else if (!strcmp(kind, "creat")) {
		result = syscall(SYS_creat, argv[2], 0600);
	} else if (!strcmp(kind, "connect") && argc > 3) {
		const struct sockaddr_in a = address(argv[2], argv[3]);

		result = connect(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&a,
				 sizeof(a));
	} else if (!strcmp(kind, "serve")) {
		result = serve(argv[2]);
	} else if (!strcmp(kind, "setuid")) {
		result = setuid((uid_t)strtoul(argv[2], NULL, 10));
	} else if (!strcmp(kind, "setgid")) {
		result = setgid((gid_t)strtoul(argv[2], NULL, 10));
	} else {
		die("usage: syscalls open|openat|openat2|creat PATH | connect HOST PORT | serve "
		    "PORT | setuid UID | setgid GID");
	}
	printf("{\"pid\":%d,\"result\":%ld}\n", getpid(), result < 0 ? -(long)errno : 0L);
	return 0;
}
