/* SPDX-License-Identifier: Apache-2.0 */
/* What a front that was taken over finds that it can do: each try in a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tipstaffd/sandbox.h"

#define NOBODY 65534

static int pair[2];
static const struct sockaddr_in somewhere = {.sin_family = AF_INET};

/* Raw calls: a library's own detours are not the question. 0: it was let through and did its work.
 */

static long try_send(void)
{
	return syscall(SYS_sendto, pair[0], "x", 1, MSG_NOSIGNAL, NULL, 0) == 1 ? 0 : 1;
}

static long try_sendmsg(void)
{
	char byte = 'x';
	struct iovec iov = {&byte, 1};
	const struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	return syscall(SYS_sendmsg, pair[0], &m, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : 1;
}

static long try_open(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY, 0) < 0 && errno == ENOENT ? 0 : 1;
}

static long try_fastopen(void)
{
	return syscall(SYS_sendto, pair[0], "x", 1, MSG_FASTOPEN, &somewhere, sizeof(somewhere));
}

static long try_fastopen_msg(void)
{
	const struct msghdr m = {.msg_name = (void *)&somewhere, .msg_namelen = sizeof(somewhere)};

	return syscall(SYS_sendmsg, pair[0], &m, MSG_FASTOPEN | MSG_NOSIGNAL);
}

static long try_connect(void)
{
	return syscall(SYS_connect, pair[0], &somewhere, sizeof(somewhere));
}

static long try_socket(void)
{
	return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static long try_accept(void)
{
	return syscall(SYS_accept4, pair[0], NULL, NULL, 0);
}

static long try_bind(void)
{
	return syscall(SYS_bind, pair[0], &somewhere, sizeof(somewhere));
}

static long try_exec_memory(void)
{
	return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
}

static long try_execve(void)
{
	return syscall(SYS_execve, "/", NULL, NULL);
}

static long try_setns(void)
{
	return syscall(SYS_setns, pair[0], 0);
}

/* How the process ended that tried it behind the front's walls. */
static int ends(long (*act)(void))
{
	char dir[] = "/tmp/tip-sandbox-XXXXXX";
	struct tip_error err;
	int status;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (tip_sandbox_front(NOBODY, NOBODY, dir, &err) < 0) {
			fprintf(stderr, "%s\n", err.text);
			syscall(SYS_exit_group, 99);
		}
		syscall(SYS_exit_group, act() == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pair[0]);
	close(pair[1]);
	rmdir(dir);
	return status;
}

static void only_root(void)
{
	if (geteuid() != 0) {
		fprintf(stderr, "skipped: the walls can only be put up by root\n");
		skip();
	}
}

static void what_it_lives_on(void **state)
{
	long (*const acts[])(void) = {try_send, try_sendmsg, try_open};

	only_root();
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		int status = ends(acts[i]);

		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static void what_ends_it(void **state)
{
	long (*const acts[])(void) = {try_fastopen,    try_fastopen_msg, try_connect,
				      try_socket,      try_accept,       try_bind,
				      try_exec_memory, try_execve,       try_setns};

	only_root();
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		int status = ends(acts[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_lives_on),
		cmocka_unit_test(what_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
