/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-svid SOCKET COUNT: a new connection and its first X.509-SVID, COUNT times, one after the
 * other. Prints the microseconds of each, one a line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../tests/attacks/attack.h"

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	const long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	if (count <= 0)
		die("usage: bench-svid SOCKET COUNT");
	for (long i = 0; i < count; i++) {
		const int64_t start = now();
		const int fd = dial(argv[1]);
		struct answer a;

		if (!ask(fd))
			die("call %ld: the connection was closed", i);
		a = hear(fd, 5000);
		if (!a.key)
			die("call %ld: no SVID came (%zu bytes, %s)", i, a.bytes,
			    a.closed ? "closed" : "ended or timed out");
		printf("%.1f\n", (double)(now() - start) / 1000);
		close(fd);
	}
	return 0;
}
