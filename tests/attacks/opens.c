/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opens PATH TIMES [THREADS]: opens PATH so often in each thread, as fast as it can, by openat and
 * by nothing else. Prints {"pid":P,"opens":N}: how many there were.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

#define THREADS_MAX 64

static const char *path;
static unsigned long times;

static void *run(void *arg)
{
	unsigned long *made = arg;

	for (; *made < times; ++*made) {
		long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);

		if (fd < 0)
			die("%s: openat failed", path);
		syscall(SYS_close, fd);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long made[THREADS_MAX] = {0}, all = 0,
		      n = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
	pthread_t threads[THREADS_MAX];

	if (argc < 3 || n < 1 || n > THREADS_MAX)
		die("usage: opens PATH TIMES [THREADS]");
	path = argv[1];
	times = strtoul(argv[2], NULL, 10);
	for (unsigned long i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, run, &made[i]))
			die("pthread_create failed");
	for (unsigned long i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		all += made[i];
	}
	printf("{\"pid\":%d,\"opens\":%lu}\n", (int)getpid(), all);
	return 0;
}
