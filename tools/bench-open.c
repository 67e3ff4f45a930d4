/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-open PATH COUNT [RATE]: opens and closes PATH, COUNT times, RATE a second at most. Prints
 * ns per pair, by the clock and of CPU time, one a line. The file exists and is cached: what is
 * left is the system calls and what hangs at them. If it does not exist each open fails, and there
 * is nothing to close: as many as can be had.
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

/* Sleeps until the next may come: in steps of a millisecond, since a shorter sleep is none. */
static void keep_pace(int64_t start, long done, long rate)
{
	const int64_t early = start + done * 1000000000 / rate - now(CLOCK_MONOTONIC);
	const struct timespec ts = {.tv_nsec = 1000000};

	if (early > 1000000)
		nanosleep(&ts, NULL);
}

int main(int argc, char **argv)
{
	const long count = argc >= 3 ? strtol(argv[2], NULL, 10) : 0;
	const long rate = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
	int64_t start, cpu;

	if (count <= 0 || rate < 0 || argc > 4) {
		fprintf(stderr, "usage: bench-open PATH COUNT [RATE]\n");
		return 2;
	}
	start = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	for (long i = 0; i < count; i++) {
		const int fd = open(argv[1], O_RDONLY | O_CLOEXEC);

		if (fd < 0 && errno != ENOENT) {
			fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
			return 1;
		}
		if (fd >= 0)
			close(fd);
		if (rate)
			keep_pace(start, i, rate);
	}
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%.1f\n%.1f\n", (double)(now(CLOCK_MONOTONIC) - start) / (double)count,
	       (double)cpu / (double)count);
	return 0;
}
