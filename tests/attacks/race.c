/* SPDX-License-Identifier: Apache-2.0 */
/*
 * race name FIFO DECOY: a thread opens the FIFO and waits in the kernel; meanwhile the name in its
 * memory becomes DECOY's. By the time the call ends, nobody can read there what was opened. race
 * dup FILE DECOY N: opens FILE N times, while another thread puts DECOY at the number that each
 * open returns. race connect SOCKET: a thread waits in connect(); meanwhile another socket is put
 * at its number. Prints {"pid":P,"result":N}: of the last act.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "attack.h"

static char name[4096];
static struct sockaddr_un to;
static int number, result;
static volatile pid_t tid;
static volatile bool over;

/* Waits until the other thread sleeps in its call. */
static void wait_asleep(void)
{
	char stat[64], state = 0;

	for (int64_t end = now_ms() + 10000; state != 'S';) {
		FILE *f;

		if (now_ms() > end)
			die("the other thread does not wait");
		sleep_ms(5);
		snprintf(stat, sizeof(stat), "/proc/self/task/%d/stat", (int)tid);
		f = tid ? fopen(stat, "r") : NULL;
		if (!f)
			continue;
		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		fclose(f);
	}
}

static void *opener(void *unused)
{
	(void)unused;
	tid = (pid_t)syscall(SYS_gettid);
	result = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY, 0);
	if (result < 0)
		result = -errno;
	return NULL;
}

static void race_name(const char *fifo, const char *decoy)
{
	pthread_t thread;

	strcpy(name, fifo);
	if (pthread_create(&thread, NULL, opener, NULL))
		die("pthread_create failed");
	wait_asleep();
	strcpy(name, decoy);
	if (open(fifo, O_WRONLY) < 0)
		die("%s: %s", fifo, strerror(errno));
	pthread_join(thread, NULL);
}

static void *replacer(void *decoy)
{
	const int fd = *(int *)decoy;

	while (!over)
		dup2(fd, number);
	return NULL;
}

static void race_dup(const char *file, const char *decoy, int times)
{
	int fd = open(decoy, O_RDONLY);
	pthread_t thread;

	if (fd < 0)
		die("%s: %s", decoy, strerror(errno));
	number = open(decoy, O_RDONLY); /* the number that each open will find free */
	if (pthread_create(&thread, NULL, replacer, &fd))
		die("pthread_create failed");
	for (int i = 0; i < times; i++) {
		close(number);
		result = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY, 0);
		if (result >= 0 && result != number)
			close(result);
	}
	over = true;
	pthread_join(thread, NULL);
}

static void *connecter(void *unused)
{
	(void)unused;
	tid = (pid_t)syscall(SYS_gettid);
	result = connect(number, (struct sockaddr *)&to, sizeof(to)) ? -errno : 0;
	return NULL;
}

static void race_connect(const char *path)
{
	const int server = socket(AF_UNIX, SOCK_STREAM, 0), first = socket(AF_UNIX, SOCK_STREAM, 0),
		  other = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;

	to.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(to.sun_path))
		die("%s: too long for a socket's name", path);
	strcpy(to.sun_path, path);
	number = socket(AF_UNIX, SOCK_STREAM, 0);
	/* A second one finds no place until the first is accepted. */
	if (bind(server, (struct sockaddr *)&to, sizeof(to)) || listen(server, 0) ||
	    connect(first, (struct sockaddr *)&to, sizeof(to)))
		die("%s: %s", path, strerror(errno));
	if (pthread_create(&thread, NULL, connecter, NULL))
		die("pthread_create failed");
	wait_asleep();
	if (dup2(other, number) < 0 || accept(server, NULL, NULL) < 0)
		die("%s", strerror(errno));
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "name"))
		race_name(argv[2], argv[3]);
	else if (argc == 5 && !strcmp(argv[1], "dup"))
		race_dup(argv[2], argv[3], atoi(argv[4]));
	else if (argc == 3 && !strcmp(argv[1], "connect"))
		race_connect(argv[2]);
	else
		die("usage: race name FIFO DECOY | dup FILE DECOY N | connect SOCKET");
	printf("{\"pid\":%d,\"result\":%d}\n", getpid(), result < 0 ? result : 0);
	return 0;
}
