/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inherit SOCKET [used]: a workload with an identity connects (and with "used" fetches its SVID
 * first), then its child, which never connected, asks on the inherited connection.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"

int main(int argc, char **argv)
{
	struct answer a;
	bool used;
	pid_t child;
	int fd;

	if (argc < 2)
		die("usage: inherit SOCKET [used]");
	used = argc > 2;
	fd = dial(argv[1]);
	if (used) {
		ask(fd);
		a = hear(fd, 5000);
		report("parent", &a);
	}
	child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (child == 0) {
		if (used)
			ask_again(fd, 3);
		else
			ask(fd);
		a = hear(fd, 3000);
		report("child", &a);
		return 0;
	}
	waitpid(child, NULL, 0);
	return 0;
}
