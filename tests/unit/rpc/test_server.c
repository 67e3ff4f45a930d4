/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#define HELLO "\0\0\0\0\5hello"

struct fixture {
	struct service t;
	struct peer p;
};

static int setup(void **state)
{
	struct fixture *f = tip_alloc(sizeof(*f));

	service_start(&f->t, NULL);
	peer_open(&f->p, f->t.base, service_connect(&f->t), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	peer_close(&f->p);
	assert_int_equal(f->t.conns_closed, 1);
	assert_int_equal(f->t.calls_closed, f->t.calls);
	assert_int_equal(service_stats(&f->t).connections, 0);
	assert_int_equal(service_stats(&f->t).streams, 0);
	service_stop(&f->t);
	free(f);
	return 0;
}

static void test_unary(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = peer_request(&f->p, "/t.T/Echo", HELLO, 10);

	assert_int_equal(s->http, 200);
	assert_int_equal(s->grpc, 0);
	assert_true(s->closed);
	assert_int_equal(s->code, 0);
	assert_int_equal(s->len, 10);
	assert_memory_equal(s->data, HELLO, 10);
	assert_int_equal(service_stats(&f->t).calls, 1);
	assert_int_equal(service_stats(&f->t).protocol_errors, 0);
}

static void test_stream(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = peer_request(&f->p, "/t.T/Hold", HELLO, 10);
	const uint8_t *m;
	size_t len;

	assert_non_null(f->t.held);
	assert_int_equal(s->http, 0);
	assert_true(tip_rpc_send(f->t.held, "one", 3));
	peer_pump(&f->p);
	assert_int_equal(s->http, 200);
	m = peer_message(s, 0, &len);
	assert_non_null(m);
	assert_int_equal(len, 3);
	assert_memory_equal(m, "one", 3);
	assert_true(tip_rpc_send(f->t.held, "", 0));
	assert_true(tip_rpc_send(f->t.held, "three", 5));
	peer_pump(&f->p);
	assert_non_null(peer_message(s, 1, &len));
	assert_int_equal(len, 0);
	assert_non_null(peer_message(s, 2, &len));
	assert_false(s->closed);
	assert_int_equal(tip_rpc_buffered(f->t.conn), 0);
	tip_rpc_finish(f->t.held, TIP_GRPC_PERMISSION_DENIED, "100% g\xc3\xb6ne");
	assert_false(tip_rpc_send(f->t.held, "more", 4));
	peer_pump(&f->p);
	assert_true(s->closed);
	assert_int_equal(s->grpc, 7);
	assert_string_equal(s->message, "100%25 g%C3%B6ne");
	assert_null(f->t.held);
}

/* More than both windows hold: the peer's WINDOW_UPDATEs carry it. */
static void test_large_message(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = peer_request(&f->p, "/t.T/Hold", HELLO, 10);
	size_t size = 400000, len;
	uint8_t *big = tip_alloc(size);
	const uint8_t *m;

	for (size_t i = 0; i < size; i++)
		big[i] = (uint8_t)(i * 7 + i / 251);
	assert_true(tip_rpc_send(f->t.held, big, size));
	tip_rpc_finish(f->t.held, TIP_GRPC_OK, NULL);
	peer_pump(&f->p);
	m = peer_message(s, 0, &len);
	assert_non_null(m);
	assert_int_equal(len, size);
	assert_memory_equal(m, big, size);
	assert_int_equal(s->grpc, 0);
	assert_true(s->closed);
	free(big);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	static const uint8_t too_long[] = "\0\0\0\3\351";
	static const struct {
		const char *path, *body;
		size_t len;
		int grpc;
		const char *message;
	} cases[] = {
		{"/t.T/Nothing", HELLO, 10, 12, "unknown method /t.T/Nothing"},
		{"/t.T/Echo", "", 0, 12, "no request message"},
		{"/t.T/Echo", HELLO, 7, 13, "the request ends within a message"},
		{"/t.T/Echo", "\0\0", 2, 13, "the request ends within a message"},
		{"/t.T/Echo", HELLO "\0\0\0\0\0", 15, 12, "more than one request message"},
		{"/t.T/Echo", "\1\0\0\0\1x", 6, 12, "compressed messages are not supported"},
		{"/t.T/Echo", "\7\0\0\0\1x", 6, 13, "malformed message prefix"},
		{"/t.T/Echo", (const char *)too_long, 5, 8,
		 "request of 1001 bytes, at most 1000 are taken"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct peer_stream *s =
			peer_request(&f->p, cases[i].path, cases[i].body, cases[i].len);

		assert_true(s->closed);
		assert_int_equal(s->http, 200);
		assert_int_equal(s->grpc, cases[i].grpc);
		assert_string_equal(s->message, cases[i].message);
		assert_int_equal(s->len, 0);
	}
	assert_int_equal(f->t.calls, 0);
	/* The connection is none the worse for it. */
	assert_int_equal(peer_request(&f->p, "/t.T/Echo", HELLO, 10)->grpc, 0);
}

static void test_not_grpc(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *method, *type;
		int http;
	} cases[] = {
		{"GET", "application/grpc", 405},        {"POST", "application/json", 415},
		{"POST", "application/grpc-web", 415},   {"POST", "", 415},
		{"POST", "application/grpc+proto", 200}, {"POST", "application/grpc;v=1", 200},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		const char *const headers[] = {
			":method",      cases[i].method, ":scheme",    "http",
			":path",        "/t.T/Echo",     ":authority", "localhost",
			"content-type", cases[i].type,   NULL};
		struct peer_stream *s = peer_request_raw(&f->p, headers, HELLO, 10, false);

		peer_pump(&f->p);
		assert_int_equal(s->http, cases[i].http);
		assert_int_equal(s->grpc, cases[i].http == 200 ? 0 : -1);
		assert_true(s->closed);
	}
}

/* What C-core, grpc-go and others put there on a unix socket. */
static void test_authority(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"localhost", "run%2Ftipstaff%2Fworkload.sock",
					    "%2Ftmp%2Fw.sock", "127.0.0.1:8081"};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(names); i++) {
		const char *const headers[] = {
			":method",   "POST",       ":scheme", "http",         ":path",
			"/t.T/Echo", ":authority", names[i],  "content-type", "application/grpc",
			NULL};
		struct peer_stream *s = peer_request_raw(&f->p, headers, HELLO, 10, false);

		peer_pump(&f->p);
		assert_int_equal(s->grpc, 0);
	}
}

static void test_headers(void **state)
{
	struct fixture *f = *state;
	const char *const headers[] = {
		":method",   "POST",       ":scheme",   "http",         ":path",
		"/t.T/Echo", ":authority", "localhost", "content-type", "application/grpc",
		"x-one",     "first",      "x-one",     "second",       "x-two",
		"",          NULL};
	static const struct {
		const char *name, *value;
		size_t count;
	} cases[] = {{"x-one", "first", 2}, {"x-two", "", 1}, {"x-three", "(none)", 0}};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		f->t.header = cases[i].name;
		peer_request_raw(&f->p, headers, HELLO, 10, false);
		peer_pump(&f->p);
		assert_string_equal(f->t.value, cases[i].value);
		assert_int_equal(f->t.count, cases[i].count);
	}
}

static void test_deadline(void **state)
{
	struct fixture *f = *state;
	const char *headers[] = {
		":method",      "POST",       ":scheme",   "http",         ":path",
		"/t.T/Hold",    ":authority", "localhost", "content-type", "application/grpc",
		"grpc-timeout", "20m",        NULL};
	struct peer_stream *s = peer_request_raw(&f->p, headers, HELLO, 10, false);

	peer_pump(&f->p);
	assert_non_null(f->t.held);
	assert_true(peer_wait(&f->p, &s->closed, 2000));
	assert_int_equal(s->grpc, 4);
	assert_null(f->t.held);

	headers[11] = "soon";
	s = peer_request_raw(&f->p, headers, HELLO, 10, false);
	peer_pump(&f->p);
	assert_int_equal(s->grpc, 13);
	assert_null(f->t.held);

	/* One that is answered in time does not fire later. */
	headers[5] = "/t.T/Echo";
	headers[11] = "1H";
	s = peer_request_raw(&f->p, headers, HELLO, 10, false);
	peer_pump(&f->p);
	assert_int_equal(s->grpc, 0);
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = peer_request(&f->p, "/t.T/Hold", HELLO, 10);

	assert_non_null(f->t.held);
	assert_true(tip_rpc_send(f->t.held, "one", 3));
	nghttp2_submit_rst_stream(f->p.session, 0, s->id, NGHTTP2_CANCEL);
	peer_pump(&f->p);
	assert_null(f->t.held);
	assert_int_equal(f->t.calls_closed, 1);
	assert_int_equal(service_stats(&f->t).streams, 0);
	assert_int_equal(peer_request(&f->p, "/t.T/Echo", HELLO, 10)->grpc, 0);
}

/* Answered while the request is still open: the rest of it is waved off. */
static void test_early_answer(void **state)
{
	struct fixture *f = *state;
	const char *const headers[] = {
		":method",   "POST",       ":scheme",   "http",         ":path",
		"/t.T/None", ":authority", "localhost", "content-type", "application/grpc",
		NULL};
	struct peer_stream *s = peer_request_raw(&f->p, headers, HELLO, 10, true);

	peer_pump(&f->p);
	assert_int_equal(s->grpc, 12);
	assert_true(s->closed);
	assert_int_equal(s->code, NGHTTP2_NO_ERROR);
}

/* Nothing is called before the peer has ended its request. */
static void test_open_request(void **state)
{
	struct fixture *f = *state;
	const char *const headers[] = {
		":method",   "POST",       ":scheme",   "http",         ":path",
		"/t.T/Hold", ":authority", "localhost", "content-type", "application/grpc",
		NULL};
	struct peer_stream *s = peer_request_raw(&f->p, headers, HELLO, 10, true);

	peer_pump(&f->p);
	assert_null(f->t.held);
	f->p.body_open = false;
	nghttp2_session_resume_data(f->p.session, s->id);
	peer_pump(&f->p);
	assert_non_null(f->t.held);
}

static void test_close_inside_callback(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = peer_request(&f->p, "/t.T/Close", HELLO, 10);

	assert_true(f->p.eof);
	assert_int_equal(s->http, 0);
	assert_int_equal(s->len, 0);
	assert_int_equal(f->t.calls_closed, 1);
}

static void test_close_outside(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s = peer_request(&f->p, "/t.T/Hold", HELLO, 10);

	assert_true(tip_rpc_send(f->t.held, "secret", 6));
	tip_rpc_conn_close(f->t.conn);
	assert_int_equal(f->t.conns_closed, 1);
	assert_null(f->t.held);
	peer_pump(&f->p);
	assert_true(f->p.eof);
	assert_int_equal(s->len, 0);
}

/* The status of a call that is cut off overtakes what the peer's window holds back. */
static void test_finish_drops_unsent(void **state)
{
	struct fixture *f = *state;
	struct peer p;
	struct service t;
	struct peer_stream *s;
	uint8_t first[300], second[64];
	size_t len;

	(void)f;
	memset(first, 'a', sizeof(first));
	memset(second, 'k', sizeof(second));
	service_start(&t, NULL);
	peer_open(&p, t.base, service_connect(&t), 100);
	s = peer_request(&p, "/t.T/Hold", HELLO, 10);
	assert_true(tip_rpc_send(t.held, first, sizeof(first)));
	peer_pump(&p);
	assert_int_equal(s->len, 100);
	assert_true(tip_rpc_send(t.held, second, sizeof(second)));
	tip_rpc_finish(t.held, TIP_GRPC_PERMISSION_DENIED, "no identity issued");
	assert_int_equal(tip_rpc_buffered(t.conn), 205);
	nghttp2_submit_window_update(p.session, 0, s->id, 100000);
	peer_pump(&p);
	assert_true(s->closed);
	assert_int_equal(s->grpc, 7);
	assert_non_null(peer_message(s, 0, &len));
	assert_int_equal(s->len, 305);
	peer_close(&p);
	service_stop(&t);
}

static void test_many_streams(void **state)
{
	struct fixture *f = *state;
	struct peer_stream *s;

	for (int i = 0; i < 8; i++)
		peer_request(&f->p, "/t.T/Hold", HELLO, 10);
	assert_int_equal(service_stats(&f->t).streams, 8);
	/* nghttp2's client holds the ninth back: it knows the limit. */
	s = peer_request(&f->p, "/t.T/Echo", HELLO, 10);
	assert_int_equal(s->http, 0);
	tip_rpc_finish(f->t.held, TIP_GRPC_OK, NULL);
	peer_pump(&f->p);
	assert_int_equal(s->grpc, 0);
}

static void test_connection_limit(void **state)
{
	struct fixture *f = *state;
	int fds[5];
	char c;

	for (int i = 0; i < 5; i++)
		fds[i] = service_connect(&f->t);
	assert_null(f->t.conn);
	assert_int_equal(service_stats(&f->t).connections, 4);
	assert_int_equal(service_stats(&f->t).refused, 2);
	assert_int_equal(recv(fds[4], &c, 1, MSG_DONTWAIT), 0);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	peer_pump(&f->p);
	assert_int_equal(service_stats(&f->t).connections, 1);
	f->t.conns_closed -= 3;
}

static void test_idle(void **state)
{
	const struct tip_rpc_server_config config = {.max_connections = 4,
						     .max_streams = 8,
						     .max_request = 1000,
						     .max_buffered = 1 << 20,
						     .idle_timeout_s = 1};
	struct service t;
	struct peer p, silent;

	(void)state;
	service_start(&t, &config);
	peer_open(&silent, t.base, service_connect(&t), 0);
	peer_open(&p, t.base, service_connect(&t), 0);
	peer_request(&p, "/t.T/Hold", HELLO, 10);
	/* One with a stream stays, one that never said a word goes. */
	assert_true(peer_wait(&silent, &silent.eof, 5000));
	peer_pump(&p);
	assert_false(p.eof);
	tip_rpc_finish(t.held, TIP_GRPC_OK, NULL);
	assert_true(peer_wait(&p, &p.eof, 5000));
	assert_true(p.goaway);
	assert_int_equal(p.goaway_code, NGHTTP2_NO_ERROR);
	peer_close(&p);
	peer_close(&silent);
	service_stop(&t);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_unary),
		T(test_stream),
		T(test_large_message),
		T(test_refusals),
		T(test_not_grpc),
		T(test_authority),
		T(test_headers),
		T(test_deadline),
		T(test_cancel),
		T(test_early_answer),
		T(test_open_request),
		T(test_close_inside_callback),
		T(test_close_outside),
		T(test_finish_drops_unsent),
		T(test_many_streams),
		T(test_connection_limit),
		cmocka_unit_test(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
