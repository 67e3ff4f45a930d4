/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/spawn.h"

/* What a shell that is started so says on its standard output. */
static void said_by(const char *command, int third, char *said, size_t size)
{
	static const char *const env[] = {"PATH=/usr/bin:/bin", "MARK=here", NULL};
	const char *const argv[] = {"sh", "-c", command, NULL};
	struct tip_spawn child = {
		.path = "/bin/sh",
		.argv = argv,
		.env = env,
		.fds = {TIP_SPAWN_NULL, -1, TIP_SPAWN_SAME, third},
		.session = true,
	};
	int out[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	child.fds[1] = out[1];
	assert_int_equal(tip_spawn(&child, &pid), 0);
	close(out[1]);
	while ((n = read(out[0], said + len, size - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void nothing_of_ours_reaches_it(void **state)
{
	char said[4096];
	sigset_t blocked, before;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, &before), 0);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(setenv("OURS", "secret", 1), 0);
	/* The two that glibc keeps to itself, 32 and 33, it has ignored in a child. */
	said_by("grep -E '^SigBlk' /proc/self/status; "
		"grep -Eo '^SigIgn:.*[08]0{7}$' /proc/self/status | cut -c 1-6; "
		"env | grep -E 'MARK|OURS'; "
		"test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo leads; readlink /proc/$$/fd/0; "
		"test -e /proc/$$/fd/3 || echo no third",
		TIP_SPAWN_SAME, said, sizeof(said));
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_string_equal(said, "SigBlk:\t0000000000000000\nSigIgn\n"
				  "MARK=here\nleads\n/dev/null\nno third\n");
}

static void a_descriptor_keeps_its_place(void **state)
{
	char said[64];
	int in[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(write(in[1], "word\n", 5), 5);
	close(in[1]);
	said_by("cat <&3", in[0], said, sizeof(said));
	close(in[0]);
	assert_string_equal(said, "word\n");
}

static void what_is_not_there_is_said(void **state)
{
	static const char *const none[] = {NULL};
	const char *const argv[] = {"nothing", NULL};
	const struct tip_spawn child = {
		.path = "/nonexistent/program",
		.argv = argv,
		.env = none,
		.fds = {TIP_SPAWN_NULL, TIP_SPAWN_NULL, TIP_SPAWN_NULL, TIP_SPAWN_SAME},
	};
	pid_t pid = 1;

	assert_int_equal(tip_spawn(&child, &pid), ENOENT);
	assert_int_equal(pid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_of_ours_reaches_it),
		cmocka_unit_test(a_descriptor_keeps_its_place),
		cmocka_unit_test(what_is_not_there_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
