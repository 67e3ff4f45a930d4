/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-exec COUNT: fork, exec (of itself, which ends at once) and wait, COUNT times. Prints ns per
 * round, by the clock and of CPU time (children included), one a line.
 */
#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static int64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t cpu_of(int who)
{
	struct rusage ru;

	getrusage(who, &ru);
	return ((int64_t)ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000000 +
	       ((int64_t)ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000;
}

int main(int argc, char **argv)
{
	const long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	char *const child[] = {argv[0], (char[]){"--end"}, NULL};
	int64_t start, cpu;

	if (argc == 2 && !strcmp(argv[1], "--end"))
		return 0;
	if (count <= 0) {
		fprintf(stderr, "usage: bench-exec COUNT\n");
		return 2;
	}
	start = now(CLOCK_MONOTONIC);
	cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);
	for (long i = 0; i < count; i++) {
		pid_t pid;
		int status;

		if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, child, NULL) ||
		    waitpid(pid, &status, 0) != pid || status) {
			fprintf(stderr, "fork, exec or wait failed: %s\n", strerror(errno));
			return 1;
		}
	}
	cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN) - cpu;
	printf("%.1f\n%.1f\n", (double)(now(CLOCK_MONOTONIC) - start) / (double)count,
	       (double)cpu / (double)count);
	return 0;
}
