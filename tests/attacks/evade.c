/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evade KIND ARGUMENTS...: ways not to be recognised by who opens a file.
 *   renamed NAME PATH   takes NAME as its own, writes it over its arguments, then opens PATH
 *   heir NAME PATH      the same; a child that it makes after that opens PATH
 *   worker NAME PATH    a thread of that name makes the child that opens PATH
 *   gone PATH           deletes its own program, then opens PATH
 *   brief N PATH        N children one after the other: each opens PATH-I and ends
 * Prints {"pid":P,"result":N}: of who opened, or of itself; N is 0 or -errno, of "brief" the life
 * of the shortest child in ns.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attack.h"

static const char *own, *path;

static long open_path(const char *name)
{
	return syscall(SYS_openat, AT_FDCWD, name, O_RDONLY, 0) < 0 ? -(long)errno : 0;
}

static void report_act(pid_t pid, long result)
{
	printf("{\"pid\":%d,\"result\":%ld}\n", (int)pid, result);
	fflush(stdout);
}

/* A child opens the path. */
static void child_opens(void)
{
	const pid_t pid = fork();

	if (pid == 0) {
		report_act(getpid(), open_path(path));
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("fork: %s", strerror(errno));
}

/* Every name of a program that stands in its own hands. */
static void rename_to(char **argv, const char *name)
{
	if (prctl(PR_SET_NAME, name, 0, 0, 0))
		die("prctl: %s", strerror(errno));
	for (int i = 0; argv[i]; i++)
		memset(argv[i], 'x', strlen(argv[i]));
	snprintf(argv[0], strlen(argv[0]) + 1, "%s", name);
}

static void *worker(void *unused)
{
	(void)unused;
	if (prctl(PR_SET_NAME, own, 0, 0, 0))
		die("prctl: %s", strerror(errno));
	child_opens();
	return NULL;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* How long a child lived that did no more than open the file. */
static int64_t life_of_child(const char *name)
{
	const int64_t begin = now_ns();
	const pid_t pid = fork();

	if (pid == 0) {
		syscall(SYS_openat, AT_FDCWD, name, O_RDONLY, 0);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("fork: %s", strerror(errno));
	return now_ns() - begin;
}

static long brief(int n, const char *prefix)
{
	int64_t shortest = INT64_MAX;
	char name[4096];

	for (int i = 0; i < n; i++) {
		int64_t life;

		snprintf(name, sizeof(name), "%s-%d", prefix, i);
		life = life_of_child(name);
		if (life < shortest)
			shortest = life;
	}
	return (long)shortest;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	pthread_t thread;

	path = argc > 2 ? strdup(argv[argc - 1]) : NULL;
	own = argc > 3 ? strdup(argv[2]) : NULL;
	if (!strcmp(kind, "renamed") && own) {
		rename_to(argv, own);
		report_act(getpid(), open_path(path));
	} else if (!strcmp(kind, "heir") && own) {
		rename_to(argv, own);
		child_opens();
	} else if (!strcmp(kind, "worker") && own) {
		if (pthread_create(&thread, NULL, worker, NULL))
			die("pthread_create failed");
		pthread_join(thread, NULL);
	} else if (!strcmp(kind, "gone") && path) {
		if (unlink(argv[0]))
			die("%s: %s", argv[0], strerror(errno));
		report_act(getpid(), open_path(path));
	} else if (!strcmp(kind, "brief") && own) {
		report_act(getpid(), brief(atoi(own), path));
	} else {
		die("usage: evade renamed|heir|worker NAME PATH | gone PATH | brief N PATH");
	}
	return 0;
}
