/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that come in, go out and are kept; the service manager is played by the test. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tipstaffd/fdstore.h"

struct manager {
	char dir[32], path[64];
	int fd;
};

static void manager_open(struct manager *m)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	strcpy(m->dir, "/tmp/tip-fds-XXXXXX");
	assert_non_null(mkdtemp(m->dir));
	snprintf(m->path, sizeof(m->path), "%s/notify", m->dir);
	strcpy(sa.sun_path, m->path);
	m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(m->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	setenv("NOTIFY_SOCKET", m->path, 1);
}

static void manager_close(struct manager *m)
{
	close(m->fd);
	unlink(m->path);
	rmdir(m->dir);
}

/* The next message; its descriptor, or -1. */
static int heard(struct manager *m, char text[256])
{
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {text, 255};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.data,
			     .msg_controllen = sizeof(control.data)};
	const ssize_t n = recvmsg(m->fd, &msg, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
	int fd = -1;

	text[n < 0 ? 0 : n] = '\0';
	if (c)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static bool same(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

static void keeps_and_forgets(void **state)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct tip_fdstore *s;
	struct manager m;
	char text[256];
	int got;

	manager_open(&m);
	s = tip_fdstore_new();
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_true(tip_fdstore_managed(s) && tip_fdstore_kept(s));
	assert_false(tip_fdstore_inherited(s));
	tip_fdstore_keep(s, "worker-7", fd);
	heard(&m, text);
	assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=worker-7\n");
	got = heard(&m, text);
	assert_string_equal(text, "FDSTORE=1\nFDNAME=worker-7\nFDPOLL=0\n");
	assert_true(same(got, fd));
	close(got);
	/* It is there: nothing to be said. */
	tip_fdstore_keep(s, "worker-7", fd);
	heard(&m, text);
	assert_string_equal(text, "");
	tip_fdstore_notify(s, "READY=1");
	heard(&m, text);
	assert_string_equal(text, "READY=1");
	tip_fdstore_forget_all(s);
	heard(&m, text);
	assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=worker-7\n");
	tip_fdstore_forget_all(s);
	heard(&m, text);
	assert_string_equal(text, "");
	tip_fdstore_free(s);
	assert_int_not_equal(fcntl(fd, F_GETFD), -1);
	close(fd);
	manager_close(&m);
}

/* Four descriptors at 3 and on, as the manager would pass them. */
static void pass(const char *names, const char *pid)
{
	char number[16];

	for (int fd = 3; fd < 7; fd++) {
		const int made = socket(AF_UNIX, SOCK_STREAM, 0);

		assert_true(made >= 0);
		if (made != fd) {
			dup2(made, fd);
			close(made);
		}
	}
	snprintf(number, sizeof(number), "%d", getpid());
	setenv("LISTEN_PID", pid ? pid : number, 1);
	setenv("LISTEN_FDS", "4", 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

static void comes_in(void **state)
{
	struct tip_fdstore *s;
	char name[64];

	pass("workload:worker-1:Not A Name:workload", NULL);
	s = tip_fdstore_new();
	assert_null(getenv("LISTEN_FDS"));
	assert_true(tip_fdstore_inherited(s));
	assert_int_equal(tip_fdstore_take(s, "workload"), 3);
	assert_int_equal(fcntl(3, F_GETFD), FD_CLOEXEC);
	assert_int_equal(tip_fdstore_take(s, "workload"), -1);
	assert_int_equal(tip_fdstore_take(s, "control"), -1);
	/* Another one of that name, and one of none. */
	assert_int_equal(fcntl(5, F_GETFD), -1);
	assert_int_equal(fcntl(6, F_GETFD), -1);
	assert_int_equal(tip_fdstore_take_next(s, TIP_FD_QUEUE, name, sizeof(name)), -1);
	assert_int_equal(tip_fdstore_take_next(s, TIP_FD_WORKER, name, sizeof(name)), 4);
	assert_string_equal(name, "worker-1");
	assert_int_equal(tip_fdstore_take_next(s, TIP_FD_WORKER, name, sizeof(name)), -1);
	tip_fdstore_free(s);
	close(3);
	close(4);
}

static void not_for_this_process(void **state)
{
	struct tip_fdstore *s;

	pass("a:b:c:d", "1");
	s = tip_fdstore_new();
	assert_false(tip_fdstore_inherited(s));
	tip_fdstore_free(s);
	for (int fd = 3; fd < 7; fd++)
		assert_int_equal(close(fd), 0);
}

static void nobody_took_it(void **state)
{
	struct tip_fdstore *s;
	struct manager m;
	char text[256];

	pass("worker-1:worker-2:queue-1:queue-2", NULL);
	manager_open(&m);
	s = tip_fdstore_new();
	tip_fdstore_settle(s);
	for (int i = 0; i < 4; i++) {
		heard(&m, text);
		assert_memory_equal(text, "FDSTOREREMOVE=1\n", 16);
	}
	assert_false(tip_fdstore_inherited(s));
	for (int fd = 3; fd < 7; fd++)
		assert_int_equal(fcntl(fd, F_GETFD), -1);
	tip_fdstore_free(s);
	manager_close(&m);
}

static void from_daemon_to_daemon(void **state)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct tip_fdstore *old = tip_fdstore_new(), *new = tip_fdstore_new();
	struct tip_error err = {0};
	struct manager m;
	char path[80];
	int inbox, got;

	if (geteuid() != 0)
		skip(); /* what does not come from root is not taken */
	manager_open(&m);
	unsetenv("NOTIFY_SOCKET");
	snprintf(path, sizeof(path), "%s/inbox", m.dir);
	assert_false(tip_fdstore_kept(old));
	tip_fdstore_keep(old, TIP_FD_WORKLOAD, fd);
	assert_int_equal(tip_fdstore_give(old, path, &err), -1);
	assert_false(tip_fdstore_kept(old));
	inbox = tip_fdstore_inbox(path, &err);
	assert_true(inbox >= 0);
	assert_int_equal(tip_fdstore_give(old, path, &err), 0);
	assert_true(tip_fdstore_kept(old));
	assert_int_equal(tip_fdstore_receive(new, inbox, &err), 0);
	got = tip_fdstore_take(new, TIP_FD_WORKLOAD);
	assert_true(same(got, fd));
	close(got);
	close(inbox);
	close(fd);
	unlink(path);
	tip_fdstore_free(old);
	tip_fdstore_free(new);
	manager_close(&m);
}

static void messages(void **state)
{
	char name[16];

	assert_int_equal(tip_fdstore_parse("FDSTORE=1\nFDNAME=queue-12\nFDPOLL=0\n", name, 16), 1);
	assert_string_equal(name, "queue-12");
	assert_int_equal(tip_fdstore_parse("STOPPING=1\n", name, 16), -1);
	assert_int_equal(tip_fdstore_parse("", name, 16), 0);
	assert_int_equal(tip_fdstore_parse("FDSTORE=1\nFDNAME=\n", name, 16), 0);
	assert_int_equal(tip_fdstore_parse("FDSTORE=1\nFDNAME=a/b\n", name, 16), 0);
	assert_int_equal(tip_fdstore_parse("FDSTORE=1\nFDNAME=0123456789012345\n", name, 16), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_and_forgets),     cmocka_unit_test(comes_in),
		cmocka_unit_test(not_for_this_process),  cmocka_unit_test(nobody_took_it),
		cmocka_unit_test(from_daemon_to_daemon), cmocka_unit_test(messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
