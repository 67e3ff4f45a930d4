/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include "rpc/client.h"

/* A question from an event loop, to a server in the same loop. */
struct got {
	int result, calls;
	char msg[64], text[sizeof(((struct tip_error *)0)->text)];
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

static struct tip_rpc_ask *begin(struct service *t, int fd, const char *path, const char *request,
				 struct got *g)
{
	struct tip_rpc_client_call call = {
		.authority = "localhost",
		.path = path,
		.request = request,
		.request_len = strlen(request),
		.timeout_ms = 10000,
	};
	struct tip_error err;
	struct tip_rpc_ask *a;

	if (strcmp(path, "/t.T/Hold") == 0)
		call.timeout_ms = 50;
	*g = (struct got){0};
	a = tip_rpc_ask(t->base, fd, &call, 500, on_done, g, &err);
	assert_non_null(a);
	return a;
}

static struct got ask(struct service *t, const char *path, const char *request)
{
	struct got g;

	begin(t, service_connect(t), path, request, &g);
	while (!g.calls)
		event_base_loop(t->base, EVLOOP_ONCE);
	assert_int_equal(g.calls, 1);
	return g;
}

static void answers(void **state)
{
	struct service t;
	struct got g;

	service_start(&t, NULL);
	g = ask(&t, "/t.T/Echo", "hello");
	assert_int_equal(g.result, 0);
	assert_string_equal(g.msg, "hello");
	g = ask(&t, "/t.T/Echo", ""); /* a message of no bytes is one */
	assert_int_equal(g.result, 0);
	assert_int_equal(g.len, 0);
	service_stop(&t);
}

static void no_answers(void **state)
{
	char longer[600];
	struct service t;
	struct got g;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	service_start(&t, NULL);
	g = ask(&t, "/t.T/None", "x");
	assert_int_equal(g.result, TIP_GRPC_UNIMPLEMENTED);
	g = ask(&t, "/t.T/Hold", "x");
	assert_int_equal(g.result, TIP_GRPC_DEADLINE_EXCEEDED);
	assert_string_equal(g.text, "no answer within 50 ms");
	g = ask(&t, "/t.T/Close", "x");
	assert_int_equal(g.result, -1);
	g = ask(&t, "/t.T/Echo", longer);
	assert_int_equal(g.result, -1);
	assert_string_equal(g.text, "the server sent a message that is too long");
	service_stop(&t);
}

static void what_is_no_grpc(void **state)
{
	struct service t;
	struct got g;
	int sv[2];

	service_start(&t, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	begin(&t, sv[0], "/t.T/Echo", "x", &g);
	assert_int_equal(write(sv[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28), 28);
	while (!g.calls)
		event_base_loop(t.base, EVLOOP_ONCE);
	assert_int_equal(g.result, -1);
	close(sv[1]);
	service_stop(&t);
}

static void given_up(void **state)
{
	struct service t;
	struct got g;

	service_start(&t, NULL);
	tip_rpc_ask_cancel(begin(&t, service_connect(&t), "/t.T/Hold", "x", &g));
	tip_rpc_ask_cancel(NULL);
	assert_int_equal(g.calls, 0);
	service_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(no_answers),
		cmocka_unit_test(what_is_no_grpc),
		cmocka_unit_test(given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
