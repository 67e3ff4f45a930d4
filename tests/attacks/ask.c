/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask SOCKET [HOLD-MS]: fetches an X.509-SVID the plain way and says what came. Installed under a
 * path that a registration entry names it is the honest client; anywhere else it is the stranger.
 * With HOLD-MS it stays (or until its input ends), as a process that has its identity.
 */
#include <stdlib.h>
#include <poll.h>

#include "attack.h"

int main(int argc, char **argv)
{
	struct answer a;
	int fd;

	if (argc < 2)
		die("usage: ask SOCKET [HOLD-MS]");
	fd = dial(argv[1]);
	ask(fd);
	a = hear(fd, 5000);
	report("ask", &a);
	if (argc > 2) {
		struct pollfd p = {.fd = 0, .events = POLLIN};

		poll(&p, 1, (int)strtol(argv[2], NULL, 10));
	}
	return a.key ? 0 : 1;
}
