/* SPDX-License-Identifier: Apache-2.0 */
/* The front's half of the http sink, between a keeper and a server that this test is. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "telemetry/gzip.h"
#include "telemetry/poster.h"
#include "tipstaff/posting.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static struct {
	struct event_base *base;
	struct tip_poster *poster;
	int keeper; /* our end of the channel */
	int server; /* our end of the connection, -1: none */
	int ready;  /* what prepare() says */
	int ended;
	uint64_t number;
} w;

static int prepare(void *ctx)
{
	return w.ready;
}

static void on_ended(void *ctx)
{
	w.ended++;
}

static void turn(void)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(w.base, EVLOOP_NONBLOCK);
}

static bool echo; /* of the posters that begin */

static void begin(bool gzip, bool keep_alive)
{
	int sv[2];

	memset(&w, 0, sizeof(w));
	w.server = -1;
	w.base = event_base_new();
	w.poster = tip_poster_new(w.base,
				  &(struct tip_poster_config){.head = "POST / HTTP/1.1\r\n",
							      .gzip = gzip,
							      .keep_alive = keep_alive,
							      .echo = echo,
							      .timeout_ms = 200},
				  &(struct tip_poster_ops){prepare, on_ended, NULL});
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv), 0);
	w.keeper = sv[0];
	tip_poster_channel(w.poster, sv[1]);
}

static void finish(void)
{
	tip_poster_free(w.poster);
	event_base_free(w.base);
	close(w.keeper);
	if (w.server >= 0)
		close(w.server);
}

static void hand_over(const char *text)
{
	char packet[1024];
	struct tip_posting_line head = {.number = ++w.number, .len = (uint32_t)strlen(text)};

	memcpy(packet, &head, sizeof(head));
	memcpy(packet + sizeof(head), text, head.len);
	assert_int_equal(send(w.keeper, packet, sizeof(head) + head.len, 0),
			 sizeof(head) + head.len);
	turn();
}

/* A connection for line `number`; its other end is w.server. */
static void dial(uint64_t number)
{
	struct tip_posting_line head = {.number = number};
	struct iovec iov = {&head, sizeof(head)};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.buf,
			    .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
	int sv[2];

	if (w.server >= 0)
		close(w.server);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	w.server = sv[0];
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &sv[1], sizeof(int));
	assert_int_equal(sendmsg(w.keeper, &mh, 0), sizeof(head));
	close(sv[1]);
	turn();
}

/* What the keeper is told; `outcome` 0: nothing. */
static struct tip_posting_answer told(uint32_t outcome)
{
	struct tip_posting_answer a = {0};
	ssize_t n;

	turn();
	n = recv(w.keeper, &a, sizeof(a), 0);
	assert_int_equal(n, outcome ? (ssize_t)sizeof(a) : -1);
	assert_int_equal(a.outcome, outcome);
	assert_int_equal(a.number, outcome ? w.number : 0);
	return a;
}

/* What the server gets. */
static const char *heard(void)
{
	static char buf[65536];
	ssize_t n;

	turn();
	n = recv(w.server, buf, sizeof(buf) - 1, 0);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void answer(const char *text)
{
	assert_int_equal(send(w.server, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn();
}

static bool hung_up(void)
{
	char c;

	turn();
	return recv(w.server, &c, 1, MSG_PEEK) == 0;
}

/* The first line, with a connection of its own. */
static void post_first(const char *text)
{
	hand_over(text);
	told(TIP_POSTING_DIAL);
	dial(w.number);
}

static void one_connection_for_all(void **state)
{
	begin(false, true);
	post_first("{\"a\":1}");
	assert_string_equal(heard(), "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
	told(0);
	answer(OK);
	told(TIP_POSTING_TAKEN);
	hand_over("{}");
	assert_string_equal(heard(), "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}");
	/* The next line waits in the channel until there is an answer. */
	hand_over("{\"c\":1}");
	w.number--;
	told(0);
	assert_string_equal(heard(), "");
	answer("HTTP/1.1 202 x\r\nContent-Le");
	told(0);
	answer("ngth: 3\r\n\r\nabc");
	told(TIP_POSTING_TAKEN);
	assert_string_equal(heard(), "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\"c\":1}");
	assert_false(hung_up());
	finish();
}

static void a_connection_for_each(void **state)
{
	begin(false, false);
	post_first("{}");
	assert_string_equal(heard(),
			    "POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
	answer(OK);
	told(TIP_POSTING_TAKEN);
	assert_true(hung_up());
	post_first("{}");
	finish();
}

static void statuses(void **state)
{
	static const struct {
		const char *text;
		enum tip_posting_outcome outcome;
		uint32_t wait_s;
		bool hangs_up;
	} all[] = {
		{"HTTP/1.1 204 x\r\n\r\n", TIP_POSTING_TAKEN, 0, false},
		{"HTTP/1.1 299 x\r\nContent-Length: 0\r\n\r\n", TIP_POSTING_TAKEN, 0, false},
		{"HTTP/1.0 200 x\r\nContent-Length: 0\r\n\r\n", TIP_POSTING_TAKEN, 0, true},
		{OK "x", TIP_POSTING_TAKEN, 0, true},
		{"HTTP/1.1 200 x\r\nContent-Length: 70000\r\n\r\n", TIP_POSTING_TAKEN, 0, true},
		{"HTTP/1.1 301 x\r\nContent-Length: 0\r\nLocation: http://a/\r\n\r\n",
		 TIP_POSTING_REFUSED, 0, false},
		{"HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n", TIP_POSTING_REFUSED, 0, false},
		{"HTTP/1.1 413 x\r\nConnection: close\r\n\r\n", TIP_POSTING_REFUSED, 0, true},
		{"HTTP/1.1 408 x\r\nContent-Length: 0\r\n\r\n", TIP_POSTING_LATER, 0, false},
		{"HTTP/1.1 429 x\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n", TIP_POSTING_LATER,
		 7, false},
		{"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", TIP_POSTING_LATER, 0, false},
		{"junk\r\n", TIP_POSTING_LATER, 0, true},
		{"HTTP/1.1 200 x\r\nContent-Length: x\r\n\r\n", TIP_POSTING_LATER, 0, true},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct tip_posting_answer a;

		begin(false, true);
		post_first("{}");
		answer(all[i].text);
		if (strstr(all[i].text, "close")) /* its body goes on to the end */
			shutdown(w.server, SHUT_WR);
		a = told(all[i].outcome);
		assert_int_equal(a.wait_s, all[i].wait_s);
		heard();
		assert_int_equal(hung_up(), all[i].hangs_up);
		finish();
	}
}

/* Closed between two requests, before or while the second is written: not the alert's fault. */
static void a_stale_connection(void **state)
{
	begin(false, true);
	post_first("{}");
	answer(OK);
	told(TIP_POSTING_TAKEN);
	close(w.server);
	w.server = -1;
	post_first("{\"b\":1}");
	answer(OK);
	told(TIP_POSTING_TAKEN);
	heard();
	hand_over("{\"c\":1}");
	assert_non_null(strstr(heard(), "{\"c\":1}"));
	close(w.server);
	w.server = -1;
	told(TIP_POSTING_DIAL);
	dial(w.number);
	assert_non_null(strstr(heard(), "{\"c\":1}"));
	/* A new one that ends so is a failure. */
	close(w.server);
	w.server = -1;
	told(TIP_POSTING_LATER);
	finish();
}

static void what_comes_unasked_ends_the_connection(void **state)
{
	begin(false, true);
	post_first("{}");
	answer(OK);
	told(TIP_POSTING_TAKEN);
	heard();
	answer("HTTP/1.1 408 Request Timeout\r\n\r\n");
	assert_true(hung_up());
	told(0);
	finish();
}

static void silence_ends(void **state)
{
	static const struct {
		const char *says;
		enum tip_posting_outcome outcome;
	} all[] = {
		{"", TIP_POSTING_TIMED_OUT},
		{"HTTP/1.1 200 OK\r\nX: ", TIP_POSTING_TIMED_OUT},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", TIP_POSTING_TAKEN},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct pollfd p;

		begin(false, true);
		post_first("{}");
		answer(all[i].says);
		p = (struct pollfd){.fd = w.keeper, .events = POLLIN};
		while (poll(&p, 1, 5) == 0)
			turn();
		told(all[i].outcome);
		heard();
		assert_true(hung_up());
		finish();
	}
}

/* The keeper gave a line up: it sends another, and a connection for the first is too late. */
static void a_line_that_was_given_up(void **state)
{
	begin(false, true);
	hand_over("{\"old\":1}");
	told(TIP_POSTING_DIAL);
	hand_over("{\"new\":1}");
	told(TIP_POSTING_DIAL);
	dial(w.number - 1);
	assert_true(hung_up());
	dial(w.number);
	assert_non_null(strstr(heard(), "new"));
	answer(OK);
	told(TIP_POSTING_TAKEN);
	finish();
}

static void what_is_shown_changes(void **state)
{
	begin(false, true);
	w.ready = -1;
	hand_over("{}");
	told(TIP_POSTING_LATER);
	w.ready = 0;
	post_first("{}");
	answer(OK);
	told(TIP_POSTING_TAKEN);
	heard();
	w.ready = 1; /* somebody else from now on: on a connection of its own */
	post_first("{}");
	finish();
}

/* What goes to the log while `answers` answers of that body come. */
static const char *logged(const char *body, int answers)
{
	static char log[65536];
	char text[8192];
	int pipes[2], err = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
	dup2(pipes[1], STDERR_FILENO);
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(body), body);
	begin(false, true);
	for (int i = 0; i < answers; i++) {
		hand_over("{}");
		if (w.server < 0) {
			told(TIP_POSTING_DIAL);
			dial(w.number);
		}
		heard();
		answer(text);
		told(TIP_POSTING_TAKEN);
	}
	finish();
	dup2(err, STDERR_FILENO);
	close(err);
	n = read(pipes[0], log, sizeof(log) - 1);
	log[n > 0 ? n : 0] = '\0';
	close(pipes[0]);
	close(pipes[1]);
	return log;
}

static void answers_are_echoed(void **state)
{
	char body[2048];
	const char *log;
	size_t lines = 0;

	assert_string_equal(logged("hello", 1), "");
	echo = true;
	assert_non_null(strstr(logged("taken:\x1b[2J\n \xe2\x98\x83 1", 1),
			       " http: the server answers 200: taken:\\x1b[2J\\x0a "
			       "\\xe2\\x98\\x83 1\n"));
	assert_non_null(strstr(logged("", 1), " http: the server answers 200: \n"));
	memset(body, 'a', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	log = logged(body, 1);
	assert_non_null(strstr(log, "aaa ...\n"));
	assert_true(strlen(log) < 700);
	/* However many there are: so many a second, and it may take two. */
	for (log = logged("x", 200); (log = strchr(log, '\n')); log++)
		lines++;
	assert_in_range(lines, 20, 100);
	echo = false;
}

static void the_keeper_leaves(void **state)
{
	begin(false, true);
	assert_true(tip_poster_open(w.poster));
	shutdown(w.keeper, SHUT_RDWR);
	turn();
	assert_int_equal(w.ended, 1);
	assert_false(tip_poster_open(w.poster));
	finish();
}

static void compressed(void **state)
{
	char text[600], back[1000];
	z_stream z = {0};
	const char *got;
	char *body;
	size_t len;

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	begin(true, true);
	post_first(text);
	got = heard();
	assert_non_null(strstr(got, "Content-Encoding: gzip\r\nContent-Length: "));
	len = strtoul(strstr(got, "Length: ") + 8, NULL, 10);
	assert_in_range(len, 18, 60);
	body = strstr(got, "\r\n\r\n") + 4;
	z.next_in = (unsigned char *)body;
	z.avail_in = (unsigned int)len;
	z.next_out = (unsigned char *)back;
	z.avail_out = sizeof(back);
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, strlen(text));
	assert_memory_equal(back, text, strlen(text));
	inflateEnd(&z);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_connection_for_all),
		cmocka_unit_test(a_connection_for_each),
		cmocka_unit_test(statuses),
		cmocka_unit_test(a_stale_connection),
		cmocka_unit_test(what_comes_unasked_ends_the_connection),
		cmocka_unit_test(silence_ends),
		cmocka_unit_test(a_line_that_was_given_up),
		cmocka_unit_test(what_is_shown_changes),
		cmocka_unit_test(answers_are_echoed),
		cmocka_unit_test(the_keeper_leaves),
		cmocka_unit_test(compressed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
