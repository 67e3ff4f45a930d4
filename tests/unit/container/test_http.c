/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "container/http.h"

#define OK "HTTP/1.1 200 OK\r\n"

/* Reads `text` in pieces of `step` bytes, then its end. */
static enum tip_http_state read_in(struct tip_http_reader *r, const char *text, size_t step)
{
	enum tip_http_state res = TIP_HTTP_MORE;
	size_t len = strlen(text);

	*r = (struct tip_http_reader){.body_max = 100};
	for (size_t at = 0; at < len && res == TIP_HTTP_MORE; at += step)
		res = tip_http_feed(r, text + at, len - at < step ? len - at : step);
	return res == TIP_HTTP_MORE ? tip_http_end(r) : res;
}

static void good_answers(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *body;
	} all[] = {
		{OK "Content-Length: 5\r\n\r\nhello", 200, "hello"},
		{OK "content-LENGTH:5 \r\nX: y\r\n\r\nhello", 200, "hello"},
		{OK "Content-Length: 0\r\n\r\n", 200, ""},
		{OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", 200, "ab"},
		{OK "\r\nto the end", 200, "to the end"},
		{"HTTP/1.0 404 Not Found\n\nno", 404, "no"},
		{"HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
		{"HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\nx", 200, "x"},
		{OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: "
		    "u\r\n\r\n",
		 200, "abc0123456789"},
		{OK "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, ""},
		{OK "Content-Length: 2\r\n\r\nabcd", 200, "ab"}, /* what follows is not looked at */
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		for (size_t step = 1; step < 40; step++) {
			struct tip_http_reader r;

			assert_int_equal(read_in(&r, all[i].text, step), TIP_HTTP_DONE);
			assert_int_equal(r.status, all[i].status);
			assert_int_equal(r.body.len, strlen(all[i].body));
			assert_memory_equal(r.body.len ? r.body.data : "", all[i].body, r.body.len);
			tip_http_reader_free(&r);
		}
	}
}

static void bad_answers(void **state)
{
	static const struct {
		const char *text;
		enum tip_http_state how;
	} all[] = {
		{"", TIP_HTTP_BAD},
		{"HTTP/2 200\r\n\r\n", TIP_HTTP_BAD},
		{"SSH-2.0-x\r\n\r\n", TIP_HTTP_BAD},
		{"HTTP/1.1 20x OK\r\n\r\n", TIP_HTTP_BAD},
		{"HTTP/1.1 2000 OK\r\n\r\n", TIP_HTTP_BAD},
		{"HTTP/1.1 099 OK\r\n\r\n", TIP_HTTP_BAD},
		{OK "Content-Length: 5\r\n\r\nhell", TIP_HTTP_BAD},
		{OK "Content-Length: -1\r\n\r\n", TIP_HTTP_BAD},
		{OK "Content-Length: 0x5\r\n\r\n", TIP_HTTP_BAD},
		{OK "Content-Length: 5 5\r\n\r\n", TIP_HTTP_BAD},
		{OK "Content-Length:\r\n\r\n", TIP_HTTP_BAD},
		{OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", TIP_HTTP_BAD},
		{OK "Content-Length: 99999999999999999999\r\n\r\n", TIP_HTTP_BAD},
		{OK "Content-Length: 101\r\n\r\n", TIP_HTTP_TOO_LONG},
		{OK "Transfer-Encoding: gzip\r\n\r\n", TIP_HTTP_BAD},
		{OK "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", TIP_HTTP_BAD},
		{OK "Content-Encoding: gzip\r\n\r\n", TIP_HTTP_BAD},
		{OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n", TIP_HTTP_BAD},
		{OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", TIP_HTTP_BAD},
		{OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", TIP_HTTP_BAD},
		{OK "Transfer-Encoding: chunked\r\n\r\n65\r\n", TIP_HTTP_TOO_LONG},
		{OK "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", TIP_HTTP_BAD},
		{OK "X: y", TIP_HTTP_BAD},
	};
	struct tip_http_reader r;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		for (size_t step = 1; step < 40; step += 13) {
			assert_int_equal(read_in(&r, all[i].text, step), all[i].how);
			tip_http_reader_free(&r);
		}
	}
	r = (struct tip_http_reader){.body_max = 100};
	assert_int_equal(tip_http_feed(&r, "HTTP/1.1 200 OK\r\nX\0: y\r\n", 24), TIP_HTTP_BAD);
	tip_http_reader_free(&r);
}

static void an_endless_answer_ends(void **state)
{
	struct tip_http_reader r = {.body_max = 100};
	enum tip_http_state res = tip_http_feed(&r, OK, strlen(OK));
	size_t n = 0;

	while (res == TIP_HTTP_MORE && n++ < TIP_HTTP_HEAD_MAX)
		res = tip_http_feed(&r, "X: y\r\n", 6);
	assert_int_equal(res, TIP_HTTP_TOO_LONG);
	tip_http_reader_free(&r);

	r = (struct tip_http_reader){.body_max = 100};
	assert_int_equal(tip_http_feed(&r, OK "\r\n", strlen(OK) + 2), TIP_HTTP_MORE);
	for (n = 0, res = TIP_HTTP_MORE; res == TIP_HTTP_MORE && n < 200; n++)
		res = tip_http_feed(&r, "x", 1);
	assert_int_equal(res, TIP_HTTP_TOO_LONG);
	assert_int_equal(r.body.len, 100);
	tip_http_reader_free(&r);
}

/* ---- an exchange over a socket -------------------------------------------------------------- */

struct got {
	struct event_base *base;
	int status, calls;
	char body[100], why[100];
};

static void on_done(void *ctx, int status, const char *body, size_t len, const char *why)
{
	struct got *g = ctx;

	g->calls++;
	g->status = status;
	snprintf(g->body, sizeof(g->body), "%.*s", (int)len, body);
	snprintf(g->why, sizeof(g->why), "%s", why ? why : "");
	event_base_loopbreak(g->base);
}

static struct got ask(const char *answer, unsigned int ms)
{
	struct got g = {.base = event_base_new()};
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	assert_non_null(tip_http_read(g.base, sv[0], ms, 100, on_done, &g));
	if (answer) {
		assert_int_equal(write(sv[1], answer, strlen(answer)), strlen(answer));
		shutdown(sv[1], SHUT_WR);
	}
	while (!g.calls)
		event_base_loop(g.base, EVLOOP_ONCE);
	assert_int_equal(g.calls, 1);
	close(sv[1]);
	event_base_free(g.base);
	return g;
}

static void exchanges(void **state)
{
	struct got g = ask(OK "\r\nhello", 10000);

	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, "hello");
	g = ask("garbage\r\n", 10000);
	assert_int_equal(g.status, 0);
	assert_string_equal(g.why, "the answer is not HTTP, or is cut short");
	g = ask(NULL, 10);
	assert_int_equal(g.status, 0);
	assert_string_equal(g.why, "no answer in time");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_answers),
		cmocka_unit_test(bad_answers),
		cmocka_unit_test(an_endless_answer_ends),
		cmocka_unit_test(exchanges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
