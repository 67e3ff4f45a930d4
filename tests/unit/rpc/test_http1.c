/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/http1.h"

#define OK "HTTP/1.1 200 OK\r\n"

/* What tests/unit/container/test_http.c does not ask: is the connection of use behind it? */
static void what_follows_an_answer(void **state)
{
	static const struct {
		const char *text;
		bool last;
		uint32_t retry_after;
	} all[] = {
		{OK "Content-Length: 0\r\n\r\n", false, 0},
		{OK "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n", false, 0},
		{OK "Content-Length: 0\r\nConnection: close\r\n\r\n", true, 0},
		{OK "Content-Length: 0\r\nConnection: x , Close\r\n\r\n", true, 0},
		{OK "Content-Length: 0\r\nConnection: close, x\r\n\r\n", true, 0},
		{OK "Content-Length: 0\r\nConnection: closed\r\n\r\n", false, 0},
		{OK "Content-Length: 0\r\nConnection: \r\n\r\n", false, 0},
		{"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true, 0},
		{OK "Content-Length: 0\r\n\r\nmore", true, 0},
		{OK "\r\nto the end", true, 0},
		{OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, 0},
		{"HTTP/1.0 100 Continue\r\nRetry-After: 9\r\n\r\n" OK "Content-Length: 0\r\n\r\n",
		 false, 0},
		{"HTTP/1.1 503 x\r\nContent-Length: 0\r\nretry-after: 12 \r\n\r\n", false, 12},
		{"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: 99999999999\r\n\r\n", false,
		 UINT32_MAX},
		{"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: -1\r\n\r\n", false, 0},
		{"HTTP/1.1 503 x\r\nContent-Length: 0\r\n"
		 "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n",
		 false, 0},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct tip_http_reader r = {.body_max = 100};

		tip_http_feed(&r, all[i].text, strlen(all[i].text));
		assert_int_equal(tip_http_end(&r), TIP_HTTP_DONE);
		assert_true(r.headed);
		assert_int_equal(r.last, all[i].last);
		assert_int_equal(r.retry_after, all[i].retry_after);
		tip_http_reader_free(&r);
	}
}

/* A status counts when all headers are there, whatever comes of the body. */
static void a_head_without_its_body(void **state)
{
	static const struct {
		const char *text;
		bool headed;
	} all[] = {
		{"HTTP/1.1 200 OK\r\nX: y\r\n", false},
		{OK "Content-Length: 5\r\n\r\nshor", true},
		{OK "Content-Length: 500\r\n\r\n", true},
		{OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n", true},
		{OK "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", false},
		{"HTTP/1.1 100 Continue\r\n\r\n", false},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct tip_http_reader r = {.body_max = 100};

		assert_int_not_equal(tip_http_feed(&r, all[i].text, strlen(all[i].text)),
				     TIP_HTTP_DONE);
		assert_int_equal(r.headed, all[i].headed);
		tip_http_reader_free(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_follows_an_answer),
		cmocka_unit_test(a_head_without_its_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
