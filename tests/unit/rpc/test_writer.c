/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <fcntl.h>
#include <sys/wait.h>

/* A connection belongs to the process that made it: bytes of another one end it before they are
 * looked at. */
#define HELLO   "\0\0\0\0\5hello"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"

struct owner {
	struct service t;
	pid_t pid, last;
	size_t asked;
};

static bool writer_ok(void *ctx, struct tip_rpc_conn *conn, const struct ucred *cred)
{
	struct owner *o = ctx;

	(void)conn;
	o->asked++;
	o->last = cred->pid;
	return cred->pid == o->pid;
}

static void conn_closed(void *ctx, struct tip_rpc_conn *conn)
{
	struct owner *o = ctx;

	service_conn_closed(&o->t, conn);
}

static const struct tip_rpc_conn_ops ops = {.writer_ok = writer_ok, .closed = conn_closed};

static int setup(void **state)
{
	struct owner *o = tip_alloc(sizeof(*o));

	service_start(&o->t, NULL);
	o->pid = getpid();
	*state = o;
	return 0;
}

static int teardown(void **state)
{
	struct owner *o = *state;

	service_stop(&o->t);
	free(o);
	return 0;
}

static void pair(int fds[2], bool passcred)
{
	int on = passcred;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
}

/* Runs `len` bytes through a child that holds the same socket. */
static void child_writes(int fd, const void *data, size_t len)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(write(fd, data, len) == (ssize_t)len ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void spin(struct owner *o)
{
	for (int i = 0; i < 5; i++)
		event_base_loop(o->t.base, EVLOOP_NONBLOCK);
}

static void test_own_bytes(void **state)
{
	struct owner *o = *state;
	struct peer p;
	int fds[2];

	pair(fds, true);
	assert_non_null(tip_rpc_conn_add(o->t.server, fds[0], &ops, o));
	peer_open(&p, o->t.base, fds[1], 0);
	assert_int_equal(peer_request(&p, "/t.T/Echo", HELLO, 10)->grpc, 0);
	assert_true(o->asked > 0);
	assert_int_equal(o->last, getpid());
	/* The end of the stream is written by nobody, and nobody is asked about it. */
	o->asked = 0;
	peer_close(&p);
	assert_int_equal(o->t.conns_closed, 1);
	assert_int_equal(o->asked, 0);
	assert_int_equal(service_stats(&o->t).foreign_writers, 0);
}

static void test_child_speaks_first(void **state)
{
	struct owner *o = *state;
	uint8_t in[256];
	int fds[2];

	pair(fds, true);
	assert_non_null(tip_rpc_conn_add(o->t.server, fds[0], &ops, o));
	child_writes(fds[1], PREFACE, sizeof(PREFACE) - 1);
	/* The server's own SETTINGS may be there; an answer to the child's must not. */
	spin(o);
	assert_int_equal(o->t.conns_closed, 1);
	assert_int_equal(service_stats(&o->t).foreign_writers, 1);
	assert_true(o->last > 0 && o->last != getpid());
	assert_int_equal(o->asked, 1);
	assert_true(recv(fds[1], in, sizeof(in), MSG_DONTWAIT) <= 9 + 12);
	assert_true(recv(fds[1], in, sizeof(in), MSG_DONTWAIT) <= 0);
	close(fds[1]);
}

/* In the middle of a good connection, with a message on its way. */
static void test_child_speaks_later(void **state)
{
	struct owner *o = *state;
	struct peer p;
	size_t before;
	int fds[2];

	pair(fds, true);
	assert_non_null(tip_rpc_conn_add(o->t.server, fds[0], &ops, o));
	peer_open(&p, o->t.base, fds[1], 0);
	peer_request(&p, "/t.T/Hold", HELLO, 10);
	assert_non_null(o->t.held);
	before = p.received;
	child_writes(fds[1],
		     "\0\0\10\6\0\0\0\0\0"
		     "12345678",
		     17);
	spin(o);
	assert_null(o->t.held);
	peer_pump(&p);
	assert_true(p.eof);
	assert_int_equal(p.received, before);
	assert_int_equal(service_stats(&o->t).foreign_writers, 1);
	peer_close(&p);
}

/* Own bytes, then foreign ones, both waiting: the kernel keeps them apart. */
static void test_chunks_are_not_merged(void **state)
{
	struct owner *o = *state;
	int fds[2];

	pair(fds, true);
	assert_non_null(tip_rpc_conn_add(o->t.server, fds[0], &ops, o));
	assert_int_equal(write(fds[1], PREFACE, sizeof(PREFACE) - 1), sizeof(PREFACE) - 1);
	child_writes(fds[1],
		     "\0\0\10\6\0\0\0\0\0"
		     "12345678",
		     17);
	spin(o);
	assert_int_equal(o->asked, 2);
	assert_int_equal(o->t.conns_closed, 1);
	assert_int_equal(service_stats(&o->t).foreign_writers, 1);
	close(fds[1]);
}

/* Written before anybody asked for credentials: from nobody, so foreign. */
static void test_bytes_without_writer(void **state)
{
	struct owner *o = *state;
	int fds[2];

	pair(fds, false);
	assert_int_equal(write(fds[1], PREFACE, sizeof(PREFACE) - 1), sizeof(PREFACE) - 1);
	assert_non_null(tip_rpc_conn_add(o->t.server, fds[0], &ops, o));
	spin(o);
	assert_int_equal(o->t.conns_closed, 1);
	assert_true(o->last <= 0);
	assert_int_equal(service_stats(&o->t).foreign_writers, 1);
	close(fds[1]);
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void send_with_fds(int fd, const void *data, size_t len, int nfds)
{
	char control[CMSG_SPACE(64 * sizeof(int))] = {0};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int))};
	struct cmsghdr *h = CMSG_FIRSTHDR(&msg);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
	for (int i = 0; i < nfds; i++)
		memcpy(CMSG_DATA(h) + (size_t)i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, 0), (ssize_t)len);
}

/* Descriptors are not taken, with credentials asked for or not. */
static void test_descriptors(void **state)
{
	struct owner *o = *state;

	for (int i = 0; i < 4; i++) {
		bool with_writer = i & 1;
		int fds[2], before;

		pair(fds, with_writer);
		assert_non_null(
			tip_rpc_conn_add(o->t.server, fds[0], with_writer ? &ops : NULL, o));
		before = count_fds();
		send_with_fds(fds[1], PREFACE, sizeof(PREFACE) - 1, i & 2 ? 50 : 1);
		spin(o);
		/* Only the server's end is gone. */
		assert_int_equal(count_fds(), before - 1);
		assert_int_equal(service_stats(&o->t).connections, 0);
		assert_int_equal(service_stats(&o->t).protocol_errors, i + 1);
		close(fds[1]);
	}
	assert_int_equal(service_stats(&o->t).foreign_writers, 0);
}

/* The owner is gone, a child still holds the socket: nothing of it is heard. */
static void test_closed_by_owner(void **state)
{
	struct owner *o = *state;
	struct tip_rpc_conn *c;
	int fds[2];
	char b;

	pair(fds, true);
	c = tip_rpc_conn_add(o->t.server, fds[0], &ops, o);
	assert_non_null(c);
	tip_rpc_conn_close(c);
	assert_int_equal(o->t.conns_closed, 1);
	assert_int_equal(recv(fds[1], &b, 1, MSG_DONTWAIT), 0);
	close(fds[1]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_own_bytes),
		T(test_child_speaks_first),
		T(test_child_speaks_later),
		T(test_chunks_are_not_merged),
		T(test_bytes_without_writer),
		T(test_descriptors),
		T(test_closed_by_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
