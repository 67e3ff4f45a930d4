/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

/* Peers that mean harm: every one of them ends its own connection, and the server goes on. */
#define HELLO   "\0\0\0\0\5hello"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

struct fixture {
	struct service t;
	struct peer p; /* raw: its nghttp2 session only listens */
	struct peer good;
};

static int setup(void **state)
{
	struct fixture *f = tip_alloc(sizeof(*f));

	service_start(&f->t, NULL);
	peer_open(&f->good, f->t.base, service_connect(&f->t), 0);
	peer_pump(&f->good);
	peer_open(&f->p, f->t.base, service_connect(&f->t), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	/* The neighbour has noticed nothing. */
	assert_int_equal(peer_request(&f->good, "/t.T/Echo", HELLO, 10)->grpc, 0);
	peer_close(&f->p);
	peer_close(&f->good);
	assert_int_equal(f->t.conns_closed, 2);
	assert_int_equal(f->t.calls_closed, f->t.calls);
	service_stop(&f->t);
	free(f);
	return 0;
}

/* HPACK without a table: literal, never indexed, names and values as they are. */
static size_t literal(uint8_t *out, const char *name, const char *value)
{
	size_t n = 0, nl = strlen(name), vl = strlen(value);

	assert_true(nl < 127 && vl < 127);
	out[n++] = 0x10;
	out[n++] = (uint8_t)nl;
	memcpy(out + n, name, nl);
	n += nl;
	out[n++] = (uint8_t)vl;
	memcpy(out + n, value, vl);
	return n + vl;
}

static size_t request_block(uint8_t *out, const char *path)
{
	size_t n = 0;

	n += literal(out + n, ":method", "POST");
	n += literal(out + n, ":scheme", "http");
	n += literal(out + n, ":path", path);
	n += literal(out + n, ":authority", "localhost");
	n += literal(out + n, "content-type", "application/grpc");
	return n;
}

/* The whole wire image of a connection with one request. */
static size_t whole_request(uint8_t *out, const char *path)
{
	uint8_t block[512];
	size_t n = sizeof(PREFACE) - 1;

	memcpy(out, PREFACE, n);
	n += raw_frame(out + n, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	n += raw_frame(out + n, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block,
		       request_block(block, path));
	n += raw_frame(out + n, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, HELLO, 10);
	return n;
}

static void greet(struct fixture *f)
{
	/* The peer's own session would say it too. */
	peer_pump(&f->p);
	assert_false(f->p.eof);
}

static void expect_closed(struct fixture *f)
{
	for (int i = 0; i < 50 && !f->p.eof; i++)
		peer_step(&f->p);
	assert_true(f->p.eof);
	assert_int_equal(f->t.conns_closed, 1);
	assert_true(service_stats(&f->t).protocol_errors > 0);
}

static void test_not_http2(void **state)
{
	struct fixture *f = *state;

	peer_write(&f->p, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
	event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	expect_closed(f);
	assert_int_equal(f->t.calls, 0);
}

static void test_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	uint8_t wire[1024], in[4096];
	size_t n = whole_request(wire, "/t.T/Echo");
	ssize_t got;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(f->t.calls, 0);
		assert_int_equal(write(f->p.fd, wire + i, 1), 1);
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	}
	event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	assert_int_equal(f->t.calls, 1);
	assert_int_equal(f->t.calls_closed, 1);
	got = recv(f->p.fd, in, sizeof(in), MSG_DONTWAIT);
	assert_true(got > 0);
	assert_non_null(memmem(in, (size_t)got, HELLO, 10));
	f->p.eof = true;
}

/* Cut anywhere, then the end: no call is made of half a request, and nothing is left. */
static void test_cut_anywhere(void **state)
{
	struct fixture *f = *state;
	uint8_t wire[1024];
	size_t n = whole_request(wire, "/t.T/Echo"), closed = f->t.conns_closed;

	for (size_t cut = 0; cut < n; cut++) {
		int fd = service_connect(&f->t);

		assert_int_equal(send(fd, wire, cut, 0), (ssize_t)cut);
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
		assert_int_equal(f->t.calls, 0);
		close(fd);
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
		assert_int_equal(f->t.conns_closed, ++closed);
	}
	f->t.conns_closed -= n;
}

static void test_reset_flood(void **state)
{
	struct fixture *f = *state;
	uint8_t block[512], cancel[4] = {0, 0, 0, NGHTTP2_CANCEL};
	size_t n = request_block(block, "/t.T/Hold");
	uint32_t id = 1;

	greet(f);
	for (; id < 2000 && f->t.conns_closed == 0; id += 2) {
		peer_raw_frame(&f->p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, block, n);
		peer_raw_frame(&f->p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, HELLO, 10);
		peer_raw_frame(&f->p, NGHTTP2_RST_STREAM, 0, id, cancel, 4);
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	}
	expect_closed(f);
	assert_true(f->t.calls <= 210);
}

static void flood(struct fixture *f, uint8_t type, uint8_t flags, uint32_t stream,
		  const void *payload, size_t len, int most)
{
	int sent = 0;

	greet(f);
	for (; sent < most && f->t.conns_closed == 0; sent++) {
		char answers[4096];

		peer_raw_frame(&f->p, type, flags, stream, payload, len);
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
		/* It reads what it gets: not for a full socket is it closed. */
		while (recv(f->p.fd, answers, sizeof(answers), MSG_DONTWAIT) > 0) {
		}
	}
	expect_closed(f);
	assert_true(sent < most);
}

static void test_ping_flood(void **state)
{
	flood(*state, NGHTTP2_PING, 0, 0, "12345678", 8, 5000);
}

static void test_settings_flood(void **state)
{
	flood(*state, NGHTTP2_SETTINGS, 0, 0, NULL, 0, 5000);
}

static void test_priority_flood(void **state)
{
	flood(*state, NGHTTP2_PRIORITY, 0, 3, "\0\0\0\1\1", 5, 5000);
}

static void test_large_settings(void **state)
{
	uint8_t many[6 * 64];

	for (size_t i = 0; i < sizeof(many); i += 6)
		memcpy(many + i, "\0\x7f\0\0\0\1", 6);
	flood(*state, NGHTTP2_SETTINGS, 0, 0, many, sizeof(many), 2);
}

/* The answers to a flood are not read either: what waits for the peer stays bounded. */
static void test_ping_flood_unread(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[17], burst[17 * 900];
	size_t n = raw_frame(frame, NGHTTP2_PING, 0, 0, "12345678", 8);

	greet(f);
	for (size_t i = 0; i < 900; i++)
		memcpy(burst + i * n, frame, n);
	for (int i = 0; i < 3; i++) {
		send(f->p.fd, burst, sizeof(burst), MSG_DONTWAIT | MSG_NOSIGNAL);
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	}
	expect_closed(f);
}

static void test_empty_data_flood(void **state)
{
	struct fixture *f = *state;
	uint8_t block[512];

	greet(f);
	peer_raw_frame(&f->p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block,
		       request_block(block, "/t.T/Echo"));
	flood(f, NGHTTP2_DATA, 0, 1, NULL, 0, 5000);
	assert_int_equal(f->t.calls, 0);
}

static void test_continuation_flood(void **state)
{
	struct fixture *f = *state;
	uint8_t block[512];
	size_t n = request_block(block, "/t.T/Echo");

	greet(f);
	peer_raw_frame(&f->p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, block, n);
	flood(f, NGHTTP2_CONTINUATION, 0, 1, block, literal(block, "x-y", "z"), 50);
	assert_int_equal(f->t.calls, 0);
}

/* Within the frame limits, but more text than we keep. */
static void test_large_headers(void **state)
{
	struct fixture *f = *state;
	char value[5000];
	const char *const headers[] = {
		":method",   "POST",       ":scheme",   "http",         ":path",
		"/t.T/Echo", ":authority", "localhost", "content-type", "application/grpc",
		"x-large",   value,        "x-more",    value,          NULL};
	struct peer_stream *s;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	s = peer_request_raw(&f->p, headers, HELLO, 10, false);
	peer_pump(&f->p);
	assert_int_equal(s->grpc, 8);
	assert_string_equal(s->message, "request headers are too large");
	assert_int_equal(f->t.calls, 0);
}

/* A bomb: one long header in the table, then indexed again and again. */
static void test_hpack_bomb(void **state)
{
	struct fixture *f = *state;
	uint8_t block[16000];
	size_t n = request_block(block, "/t.T/Echo");
	struct peer_stream s = {.id = 1, .grpc = -1};

	greet(f);
	block[n++] = 0x40; /* literal with incremental indexing, new name */
	block[n++] = 1;
	block[n++] = 'x';
	block[n++] = 0x7f; /* 127 + 2873 bytes */
	block[n++] = 0xb9;
	block[n++] = 0x16;
	memset(block + n, 'b', 3000);
	n += 3000;
	memset(block + n, 0x80 | 62, sizeof(block) - n); /* the newest entry */
	f->p.streams[f->p.nstreams++] = s;
	peer_raw_frame(&f->p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM,
		       1, block, sizeof(block));
	for (int i = 0; i < 10; i++)
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	assert_int_equal(f->t.calls, 0);
	f->p.eof = true;
}

static void test_stream_limit_ignored(void **state)
{
	struct fixture *f = *state;
	uint8_t block[512];
	size_t n = request_block(block, "/t.T/Hold");

	greet(f);
	for (uint32_t id = 1; id < 201; id += 2) {
		peer_raw_frame(&f->p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, block, n);
		peer_raw_frame(&f->p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, HELLO, 10);
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(f->t.calls, 8);
	f->p.eof = true;
}

/* Grants a window and never reads: the buffer limit ends it. */
static void test_slow_reader(void **state)
{
	struct fixture *f = *state;
	uint8_t big[60000];
	int sent = 0;

	memset(big, 'x', sizeof(big));
	peer_request(&f->p, "/t.T/Hold", HELLO, 10);
	assert_non_null(f->t.held);
	while (sent < 1000 && f->t.held && tip_rpc_send(f->t.held, big, sizeof(big))) {
		sent++;
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	}
	assert_true(sent > 10 && sent < 30);
	event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	assert_int_equal(f->t.conns_closed, 1);
	assert_null(f->t.held);
}

/* While its answers wait in a full socket, a peer's requests are not read. */
static void test_blocked_peer_is_not_read(void **state)
{
	struct fixture *f = *state;
	uint8_t block[512], big[60000];
	size_t n = request_block(block, "/t.T/Echo"), calls;
	int small = 4096;

	memset(big, 'x', sizeof(big));
	setsockopt(f->p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	peer_request(&f->p, "/t.T/Hold", HELLO, 10);
	peer_raw_frame(&f->p, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\x7f\0\0", 4);
	peer_raw_frame(&f->p, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\x7f\0\0", 4);
	event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	for (int i = 0; i < 12; i++)
		assert_true(tip_rpc_send(f->t.held, big, sizeof(big)));
	event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	calls = f->t.calls;
	for (uint32_t id = 3; id < 9; id += 2) {
		peer_raw_frame(&f->p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, block, n);
		peer_raw_frame(&f->p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, HELLO, 10);
		event_base_loop(f->t.base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(f->t.calls, calls);
	/* It reads: all is well again. */
	for (int i = 0; i < 200 && f->t.calls < calls + 3; i++)
		peer_step(&f->p);
	assert_int_equal(f->t.calls, calls + 3);
	assert_false(f->p.eof);
}

static void test_bad_frames(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint8_t type, flags;
		uint32_t stream;
		const char *payload;
		size_t len;
	} cases[] = {
		{NGHTTP2_DATA, 0, 1, HELLO, 10},              /* a stream that never was */
		{NGHTTP2_HEADERS, 4, 2, "", 0},               /* even: ours to open */
		{NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4}, /* by nothing */
		{NGHTTP2_SETTINGS, 0, 0, "\0\4\377\377\377\377", 6},
		{NGHTTP2_SETTINGS, 0, 0, "\0\1\0", 3},
		{NGHTTP2_PING, 0, 0, "123", 3},
		{NGHTTP2_PUSH_PROMISE, 4, 1, "\0\0\0\2", 4},
		{NGHTTP2_CONTINUATION, 4, 1, "", 0},
		{NGHTTP2_HEADERS, 4, 1, "\377\377\377\377\377\377",
		 6}, /* HPACK index out of range */
	};

	f->p.eof = true;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct peer p;
		uint64_t errors = service_stats(&f->t).protocol_errors;

		peer_open(&p, f->t.base, service_connect(&f->t), 0);
		peer_pump(&p);
		peer_raw_frame(&p, cases[i].type, cases[i].flags, cases[i].stream, cases[i].payload,
			       cases[i].len);
		for (int j = 0; j < 20 && !p.eof; j++)
			peer_step(&p);
		assert_true(p.eof);
		assert_true(service_stats(&f->t).protocol_errors > errors);
		peer_close(&p);
	}
	f->t.conns_closed -= TIP_ARRAY_SIZE(cases);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_not_http2),          T(test_byte_by_byte),
		T(test_cut_anywhere),       T(test_reset_flood),
		T(test_ping_flood),         T(test_settings_flood),
		T(test_priority_flood),     T(test_large_settings),
		T(test_ping_flood_unread),  T(test_empty_data_flood),
		T(test_continuation_flood), T(test_large_headers),
		T(test_hpack_bomb),         T(test_stream_limit_ignored),
		T(test_slow_reader),        T(test_blocked_peer_is_not_read),
		T(test_bad_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
