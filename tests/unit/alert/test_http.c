/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's half of the http sink; the front and the server are this test. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fake.h"

#include "alert/dial.h"
#include "base/clock.h"
#include "tipstaff/posting.h"

#define MS 1000000ULL

static int front;
static struct tip_out *out;

static bool in_time(void *ctx)
{
	return false;
}

static const struct tip_out_pace pace = {50 * MS, in_time, NULL};

static void begin(uint16_t port)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv), 0);
	front = sv[1];
	out = tip_out_http("127.0.0.1", port, "/bin/false", 2);
	out->ops->set_fd(out, sv[0]);
}

static void finish(void)
{
	out->ops->close(out, 0);
	close(front);
}

static struct tip_line *line(const char *text)
{
	return tip_line_new(text, strlen(text), 0);
}

/* One line; the errno of deliver(). */
static int deliver(const char *text)
{
	struct tip_line *l = line(text);
	size_t taken;
	int error = out->ops->deliver(out, &l, 1, &taken, &pace);

	assert_int_equal(taken, !error);
	tip_line_put(l);
	return error;
}

/* The front's next packet: its line, "" for a socket. */
static const char *asked(struct tip_posting_line *head)
{
	static char packet[sizeof(*head) + 1024];
	ssize_t n = recv(front, packet, sizeof(packet) - 1, MSG_CMSG_CLOEXEC);

	assert_true(n >= (ssize_t)sizeof(*head));
	memcpy(head, packet, sizeof(*head));
	assert_int_equal(n, sizeof(*head) + head->len);
	packet[n] = '\0';
	return packet + sizeof(*head);
}

static void say(uint64_t number, enum tip_posting_outcome outcome, uint32_t wait_s)
{
	const struct tip_posting_answer a = {number, outcome, wait_s};

	assert_int_equal(send(front, &a, sizeof(a), 0), sizeof(a));
}

static void the_answer_to_a_line_that_comes_again(void **state)
{
	struct tip_posting_line head;

	begin(9);
	assert_int_equal(deliver("one"), EAGAIN); /* no answer in time */
	assert_string_equal(asked(&head), "one");
	say(head.number, TIP_POSTING_TAKEN, 0);
	assert_int_equal(deliver("one"), 0); /* another copy, as out of a spool: not sent again */
	assert_int_equal(recv(front, &head, sizeof(head), 0), -1);

	/* Another line was given up: what is said of it is no news. */
	assert_int_equal(deliver("two"), EAGAIN);
	assert_string_equal(asked(&head), "two");
	say(head.number, TIP_POSTING_TAKEN, 0);
	assert_int_equal(deliver("three"), EAGAIN);
	assert_string_equal(asked(&head), "three");
	say(head.number, TIP_POSTING_REFUSED, 0);
	assert_int_equal(deliver("three"), EBADMSG);
	finish();
}

static void a_server_that_wants_to_be_left_alone(void **state)
{
	struct tip_posting_line head;
	uint64_t start;

	begin(9);
	assert_int_equal(deliver("one"), EAGAIN);
	asked(&head);
	say(head.number, TIP_POSTING_LATER, 1);
	start = tip_clock_monotonic();
	assert_int_equal(deliver("one"), EAGAIN);
	while (recv(front, &head, sizeof(head), 0) < 0)
		assert_int_equal(deliver("one"), EAGAIN);
	assert_true(tip_clock_monotonic() - start >= 1000 * MS);
	finish();
}

/* Three times silent for one line, where two are allowed; other failures count as none. */
static void a_server_that_is_silent_too_often(void **state)
{
	static const struct {
		enum tip_posting_outcome outcome;
		int error;
	} all[] = {
		{TIP_POSTING_TIMED_OUT, EAGAIN}, {TIP_POSTING_TIMED_OUT, EAGAIN},
		{TIP_POSTING_LATER, EAGAIN},     {TIP_POSTING_TIMED_OUT, EAGAIN},
		{TIP_POSTING_TIMED_OUT, EAGAIN}, {TIP_POSTING_TIMED_OUT, EBADMSG},
	};
	struct tip_posting_line head;

	begin(9);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		while (recv(front, &head, sizeof(head), 0) < 0)
			deliver("one");
		say(head.number, all[i].outcome, 0);
		assert_int_equal(deliver("one"), all[i].error);
	}
	finish();
}

static void without_a_front(void **state)
{
	struct tip_posting_line head;
	int sv[2];

	begin(9);
	assert_int_equal(deliver("one"), EAGAIN);
	close(front);
	assert_int_equal(deliver("one"), EAGAIN);
	assert_int_equal(deliver("one"), EAGAIN);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv), 0);
	front = sv[1];
	out->ops->set_fd(out, sv[0]);
	assert_int_equal(deliver("one"), EAGAIN);
	assert_string_equal(asked(&head), "one"); /* the line went with the former one */
	finish();
}

static void what_is_too_long(void **state)
{
	char *text = malloc(TIP_POSTING_MAX + 2);

	memset(text, 'x', TIP_POSTING_MAX + 1);
	text[TIP_POSTING_MAX + 1] = '\0';
	begin(9);
	assert_int_equal(deliver(text), EMSGSIZE);
	text[TIP_POSTING_MAX] = '\0';
	assert_int_equal(deliver(text), EAGAIN);
	free(text);
	finish();
}

/* A socket on loopback; its port. */
static int listen_on(struct sockaddr_in *sin)
{
	socklen_t len = sizeof(*sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*sin = (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)sin, sizeof(*sin)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)sin, &len), 0);
	return fd;
}

static void a_connection_when_it_is_asked_for(void **state)
{
	struct tip_posting_line head;
	struct sockaddr_in sin;
	int server = listen_on(&sin), peer;

	begin(ntohs(sin.sin_port));
	assert_int_equal(deliver("one"), EAGAIN);
	asked(&head);
	say(head.number, TIP_POSTING_DIAL, 0);
	assert_int_equal(deliver("one"), EAGAIN);
	peer = accept(server, NULL, NULL);
	assert_true(peer >= 0);
	assert_string_equal(asked(&head), "");
	close(peer);
	close(server);
	finish();
}

/* A front that was taken over: it does not get one connection after another. */
static void connections_for_one_line_are_few(void **state)
{
	struct tip_posting_line head;
	struct sockaddr_in sin;
	int server = listen_on(&sin);
	size_t sockets = 0;

	begin(ntohs(sin.sin_port));
	assert_int_equal(deliver("one"), EAGAIN);
	asked(&head);
	for (int i = 0; i < 5; i++) {
		say(head.number, TIP_POSTING_DIAL, 0);
		assert_int_equal(deliver("one"), EAGAIN);
		while (recv(front, &head, sizeof(head), 0) > 0)
			sockets += head.len == 0;
	}
	assert_int_equal(sockets, 2);
	close(server);
	finish();
}

static void names_are_resolved_by_another(void **state)
{
	char path[] = "/tmp/tip-unit-resolver-XXXXXX";
	struct sockaddr_in sin;
	int server = listen_on(&sin), fd = mkstemp(path), peer;
	/* An address that is none, and two; nobody listens on the first. */
	static const char script[] = "#!/bin/sh\n[ \"$1\" = --resolve ] || exit 1\n"
				     "echo \"$2 nonsense 127.0.0.9 127.0.0.1\"\n";
	struct tip_dialler *d;

	assert_int_equal(write(fd, script, sizeof(script) - 1), sizeof(script) - 1);
	assert_int_equal(fchmod(fd, 0755), 0);
	close(fd);
	d = tip_dialler_new("a.test", ntohs(sin.sin_port), path);
	fd = tip_dialler_connect(d, in_time, NULL);
	assert_true(fd >= 0);
	close(fd);
	tip_dialler_failed(d);
	fd = tip_dialler_connect(d, in_time, NULL);
	assert_true(fd >= 0);
	peer = accept(server, NULL, NULL);
	assert_true(peer >= 0);
	close(peer);
	close(fd);
	tip_dialler_free(d);
	unlink(path);

	d = tip_dialler_new("a.test", 1, "/bin/false"); /* that says nothing */
	assert_int_equal(tip_dialler_connect(d, in_time, NULL), -1);
	tip_dialler_free(d);
	close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_to_a_line_that_comes_again),
		cmocka_unit_test(a_server_that_wants_to_be_left_alone),
		cmocka_unit_test(a_server_that_is_silent_too_often),
		cmocka_unit_test(without_a_front),
		cmocka_unit_test(what_is_too_long),
		cmocka_unit_test(a_connection_when_it_is_asked_for),
		cmocka_unit_test(connections_for_one_line_are_few),
		cmocka_unit_test(names_are_resolved_by_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
