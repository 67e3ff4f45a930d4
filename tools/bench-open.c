/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-open PATH COUNT: opens and closes PATH, COUNT times. Prints ns per pair, by the clock
 * and of CPU time, one a line. The file exists and is cached: what is left is the system calls and
 * what hangs at them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	const long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	int64_t start, cpu;

	if (count <= 0) {
		fprintf(stderr, "usage: bench-open PATH COUNT\n");
		return 2;
	}
	start = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	for (long i = 0; i < count; i++) {
		const int fd = open(argv[1], O_RDONLY | O_CLOEXEC);

		if (fd < 0) {
			fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
			return 1;
		}
		close(fd);
	}
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%.1f\n%.1f\n", (double)(now(CLOCK_MONOTONIC) - start) / (double)count,
	       (double)cpu / (double)count);
	return 0;
}
