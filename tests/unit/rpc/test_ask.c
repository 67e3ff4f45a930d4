/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include "rpc/client.h"

/* The answer to a call that somebody else has made. */
struct got {
	int result, calls;
	char msg[64], text[sizeof(((struct tip_error *)0)->text)];
	char seen[64]; /* of a stream: its messages in brackets */
	size_t len;
};

static void on_done(void *ctx, int result, const uint8_t *msg, size_t len,
		    const struct tip_error *err)
{
	struct got *g = ctx;

	g->calls++;
	g->result = result;
	g->len = len;
	snprintf(g->msg, sizeof(g->msg), "%.*s", (int)(len < 60 ? len : 60), (const char *)msg);
	snprintf(g->text, sizeof(g->text), "%s", result ? err->text : "");
}

/* What becomes of a server's bytes, with or without their end. */
static struct got read_in(const void *bytes, size_t len, bool end)
{
	struct event_base *base = event_base_new();
	struct got g = {0};
	struct tip_error err;
	char back[10];
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	assert_non_null(tip_rpc_read(base, sv[0], 50, 500, on_done, &g, &err));
	assert_int_equal(write(sv[1], bytes, len), (ssize_t)len);
	if (end)
		shutdown(sv[1], SHUT_WR);
	while (!g.calls)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(g.calls, 1);
	/* It has said nothing. */
	assert_true(read(sv[1], back, sizeof(back)) <= 0);
	close(sv[1]);
	event_base_free(base);
	return g;
}

/* SETTINGS, HEADERS with :status 200, DATA, and HEADERS with that grpc-status. */
static size_t answer(uint8_t *out, const void *data, size_t len, const char *status)
{
	uint8_t trailer[64] = {0, 11};
	size_t n = raw_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);

	memcpy(trailer + 2, "grpc-status", 11);
	trailer[13] = (uint8_t)strlen(status);
	memcpy(trailer + 14, status, strlen(status));
	n += raw_frame(out + n, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\x88", 1);
	if (len)
		n += raw_frame(out + n, NGHTTP2_DATA, 0, 1, data, len);
	return n + raw_frame(out + n, NGHTTP2_HEADERS,
			     NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, trailer,
			     14 + strlen(status));
}

static void answers(void **state)
{
	uint8_t out[1000];
	struct got g;

	g = read_in(out, answer(out, "\0\0\0\0\5hello", 10, "0"), false);
	assert_int_equal(g.result, 0);
	assert_string_equal(g.msg, "hello");
	g = read_in(out, answer(out, "\0\0\0\0\0", 5, "0"), true);
	assert_int_equal(g.result, 0);
	assert_int_equal(g.len, 0);
}

static void no_answers(void **state)
{
	uint8_t out[1000];
	struct got g;

	g = read_in(out, answer(out, NULL, 0, "5"), true);
	assert_int_equal(g.result, TIP_GRPC_NOT_FOUND);
	g = read_in(out, answer(out, NULL, 0, "0"), true);
	assert_int_equal(g.result, -1); /* OK, and no message */
	g = read_in(out, answer(out, "\0\0\0\0\1a\0\0\0\0\1b", 12, "0"), true);
	assert_int_equal(g.result, -1);
	g = read_in(out, answer(out, "\0\0\0\x20\0", 5, "0"), true);
	assert_int_equal(g.result, -1);
	assert_string_equal(g.text, "the server sent a message that is too long");
	g = read_in(out, raw_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0), true);
	assert_int_equal(g.result, -1);
	g = read_in(out, raw_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0), false);
	assert_int_equal(g.result, TIP_GRPC_DEADLINE_EXCEEDED);
	assert_string_equal(g.text, "no answer within 50 ms");
	g = read_in("HTTP/1.1 400 Bad Request\r\n\r\n", 28, false);
	assert_int_equal(g.result, -1);
}

static void given_up(void **state)
{
	struct event_base *base = event_base_new();
	struct got g = {0};
	struct tip_error err;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	tip_rpc_ask_cancel(tip_rpc_read(base, sv[0], 50, 500, on_done, &g, &err));
	tip_rpc_ask_cancel(NULL);
	assert_int_equal(g.calls, 0);
	close(sv[1]);
	event_base_free(base);
}

static void on_message(void *ctx, const uint8_t *msg, size_t len)
{
	struct got *g = ctx;
	size_t at = strlen(g->seen);

	snprintf(g->seen + at, sizeof(g->seen) - at, "[%.*s]", msg ? (int)len : 1,
		 msg ? (const char *)msg : "!");
}

/* Each message of a stream, as it comes; one that is too long does not hide the next. */
static void followed(void **state)
{
	static const char data[] = "\0\0\0\0\1a\0\0\0\0\10too long\0\0\0\0\2bc";
	struct event_base *base = event_base_new();
	struct got g = {0};
	struct tip_error err;
	uint8_t out[1000];
	size_t len = answer(out, data, 6 + 13 + 7, "14");
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	assert_non_null(tip_rpc_follow(base, sv[0], 4, on_message, on_done, &g, &err));
	for (size_t i = 0; i < len && !g.calls; i++) {
		assert_int_equal(write(sv[1], out + i, 1), 1);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(g.calls, 1);
	assert_int_equal(g.result, TIP_GRPC_UNAVAILABLE);
	assert_string_equal(g.seen, "[a][!][bc]");
	close(sv[1]);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(no_answers),
		cmocka_unit_test(given_up),
		cmocka_unit_test(followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
