/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-syscall COUNT: calls getppid(), which does next to nothing, COUNT times. Prints ns per
 * call, by the clock and of CPU time, one a line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
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
	const long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	int64_t start, cpu;

	if (count <= 0) {
		fprintf(stderr, "usage: bench-syscall COUNT\n");
		return 2;
	}
	start = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	for (long i = 0; i < count; i++)
		syscall(SYS_getppid);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%.2f\n%.2f\n", (double)(now(CLOCK_MONOTONIC) - start) / (double)count,
	       (double)cpu / (double)count);
	return 0;
}
