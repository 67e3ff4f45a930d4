/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-exec COUNT: fork, exec (of itself, which ends at once) and wait, COUNT times. Prints ns per
 * round.
 */
#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	const long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	char *const child[] = {argv[0], (char[]){"--end"}, NULL};
	int64_t start;

	if (argc == 2 && !strcmp(argv[1], "--end"))
		return 0;
	if (count <= 0) {
		fprintf(stderr, "usage: bench-exec COUNT\n");
		return 2;
	}
	start = now();
	for (long i = 0; i < count; i++) {
		pid_t pid;
		int status;

		if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, child, NULL) ||
		    waitpid(pid, &status, 0) != pid || status) {
			fprintf(stderr, "fork, exec or wait failed: %s\n", strerror(errno));
			return 1;
		}
	}
	printf("%.1f\n", (double)(now() - start) / (double)count);
	return 0;
}
