/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <pthread.h>

#include "rpc/client.h"

/* The blocking client runs in a thread, the server in the test's own. */
struct job {
	struct tip_rpc_client_call call;
	int fd;
	int result;
	struct tip_error err;
	bool done;
	size_t messages, stop_after;
	bool cut; /* with the first message: nothing more can be written */
	char got[4][64];
	size_t lens[4];
};

static bool on_message(void *ctx, const uint8_t *msg, size_t len)
{
	struct job *j = ctx;

	if (j->messages < 4) {
		snprintf(j->got[j->messages], sizeof(j->got[0]), "%.*s", (int)(len < 60 ? len : 60),
			 (const char *)msg);
		j->lens[j->messages] = len;
	}
	if (j->cut)
		assert_int_equal(shutdown(j->fd, SHUT_WR), 0);
	j->messages++;
	return j->messages != j->stop_after;
}

static void *run_job(void *arg)
{
	struct job *j = arg;

	j->result = tip_rpc_client_call(j->fd, &j->call, &j->err);
	__atomic_store_n(&j->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static const char *const extra[] = {"workload.spiffe.io", "true", NULL};

static void job_init(struct job *j, int fd, const char *path)
{
	memset(j, 0, sizeof(*j));
	j->fd = fd;
	j->call = (struct tip_rpc_client_call){
		.authority = "localhost",
		.path = path,
		.headers = extra,
		.request = "hello",
		.request_len = 5,
		.timeout_ms = 10000,
		.message = on_message,
		.ctx = j,
	};
}

static void spin(struct event_base *base)
{
	struct timespec ts = {.tv_nsec = 1000000};

	event_base_loop(base, EVLOOP_NONBLOCK);
	nanosleep(&ts, NULL);
}

/* Runs the call against the service; `act` is called with each held call. */
static void job_run(struct job *j, struct service *t, void (*act)(struct tip_rpc_call *))
{
	pthread_t thread;
	struct tip_rpc_call *seen = NULL;

	assert_int_equal(pthread_create(&thread, NULL, run_job, j), 0);
	while (!__atomic_load_n(&j->done, __ATOMIC_ACQUIRE)) {
		spin(t->base);
		if (t->held && t->held != seen) {
			seen = t->held;
			if (act)
				act(seen);
		}
	}
	pthread_join(thread, NULL);
	close(j->fd);
	spin(t->base);
	spin(t->base);
}

static void test_unary(void **state)
{
	struct service t;
	struct job j;

	(void)state;
	service_start(&t, NULL);
	t.header = "workload.spiffe.io";
	job_init(&j, service_connect(&t), "/t.T/Echo");
	job_run(&j, &t, NULL);
	assert_int_equal(j.result, 0);
	assert_int_equal(j.messages, 1);
	assert_string_equal(j.got[0], "hello");
	assert_string_equal(t.value, "true");
	assert_int_equal(t.conns_closed, 1);
	service_stop(&t);
}

static void answer_three(struct tip_rpc_call *call)
{
	static uint8_t big[300000];

	tip_rpc_send(call, "one", 3);
	tip_rpc_send(call, "", 0);
	tip_rpc_send(call, big, sizeof(big));
	tip_rpc_finish(call, TIP_GRPC_OK, NULL);
}

static void test_stream(void **state)
{
	struct service t;
	struct job j;

	(void)state;
	service_start(&t, NULL);
	job_init(&j, service_connect(&t), "/t.T/Hold");
	job_run(&j, &t, answer_three);
	assert_int_equal(j.result, 0);
	assert_int_equal(j.messages, 3);
	assert_int_equal(j.lens[1], 0);
	assert_int_equal(j.lens[2], 300000);
	service_stop(&t);
}

static void answer_one(struct tip_rpc_call *call)
{
	tip_rpc_send(call, "one", 3);
}

static void test_stop(void **state)
{
	struct service t;
	struct job j;

	(void)state;
	service_start(&t, NULL);
	job_init(&j, service_connect(&t), "/t.T/Hold");
	j.stop_after = 1;
	job_run(&j, &t, answer_one);
	assert_int_equal(j.result, 0);
	assert_int_equal(j.messages, 1);
	assert_int_equal(t.calls_closed, 1);
	service_stop(&t);
}

/* A daemon that is restarted goes when it has answered: the reset of the stream reaches nobody. */
static void test_stop_of_a_server_that_is_gone(void **state)
{
	struct service t;
	struct job j;

	(void)state;
	service_start(&t, NULL);
	job_init(&j, service_connect(&t), "/t.T/Hold");
	j.stop_after = 1;
	j.cut = true;
	job_run(&j, &t, answer_one);
	assert_int_equal(j.result, 0);
	assert_string_equal(j.got[0], "one");
	service_stop(&t);
}

static void answer_denied(struct tip_rpc_call *call)
{
	tip_rpc_send(call, "one", 3);
	tip_rpc_finish(call, TIP_GRPC_PERMISSION_DENIED, "no \x1b identity %");
}

static void test_status(void **state)
{
	struct service t;
	struct job j;

	(void)state;
	service_start(&t, NULL);
	job_init(&j, service_connect(&t), "/t.T/Hold");
	job_run(&j, &t, answer_denied);
	assert_int_equal(j.result, TIP_GRPC_PERMISSION_DENIED);
	assert_string_equal(j.err.text, "no ? identity %");
	service_stop(&t);

	service_start(&t, NULL);
	job_init(&j, service_connect(&t), "/t.T/Missing");
	job_run(&j, &t, NULL);
	assert_int_equal(j.result, TIP_GRPC_UNIMPLEMENTED);
	assert_int_equal(j.messages, 0);
	service_stop(&t);
}

static void test_timeout(void **state)
{
	struct service t;
	struct job j;

	(void)state;
	service_start(&t, NULL);
	job_init(&j, service_connect(&t), "/t.T/Hold");
	j.call.timeout_ms = 50;
	job_run(&j, &t, NULL);
	assert_int_equal(j.result, TIP_GRPC_DEADLINE_EXCEEDED);
	service_stop(&t);
}

static void test_server_closes(void **state)
{
	struct service t;
	struct job j;

	(void)state;
	service_start(&t, NULL);
	job_init(&j, service_connect(&t), "/t.T/Close");
	job_run(&j, &t, NULL);
	assert_int_equal(j.result, -1);
	assert_non_null(strstr(j.err.text, "closed the connection"));
	service_stop(&t);
}

/* A server that is none: fixed bytes, then the end. */
static void against(const void *bytes, size_t len, struct job *j)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(write(fds[1], bytes, len), (ssize_t)len);
	shutdown(fds[1], SHUT_WR);
	job_init(j, fds[0], "/t.T/Echo");
	j->result = tip_rpc_client_call(fds[0], &j->call, &j->err);
	close(fds[0]);
	close(fds[1]);
}

static size_t answer(uint8_t *out, const void *block, size_t block_len, uint8_t flags,
		     const void *data, size_t len)
{
	size_t n = raw_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);

	n += raw_frame(out + n, NGHTTP2_HEADERS, (uint8_t)(NGHTTP2_FLAG_END_HEADERS | flags), 1,
		       block, block_len);
	if (len)
		n += raw_frame(out + n, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, data, len);
	return n;
}

static void test_bad_servers(void **state)
{
	uint8_t out[1024];
	struct job j;
	size_t n;

	(void)state;
	against("HTTP/1.1 400 Bad Request\r\n\r\n", 28, &j);
	assert_int_equal(j.result, -1);
	assert_true(j.err.text[0]);

	against("", 0, &j);
	assert_int_equal(j.result, -1);

	/* 0x88 is ":status: 200" of the static table, 0x8d ":status: 404". */
	n = answer(out, "\x8d", 1, NGHTTP2_FLAG_END_STREAM, NULL, 0);
	against(out, n, &j);
	assert_int_equal(j.result, -1);
	assert_non_null(strstr(j.err.text, "404"));

	n = answer(out, "\x88", 1, 0, "\0\0\0\0\1x", 6);
	against(out, n, &j);
	assert_int_equal(j.result, -1);
	assert_int_equal(j.messages, 1);
	assert_non_null(strstr(j.err.text, "no gRPC status"));

	n = answer(out, "\x88", 1, 0, "\1\0\0\0\1x", 6);
	against(out, n, &j);
	assert_int_equal(j.result, -1);
	assert_non_null(strstr(j.err.text, "compressed"));

	n = answer(out, "\x88", 1, 0, "\0\377\0\0\1x", 6);
	against(out, n, &j);
	assert_int_equal(j.result, -1);
	assert_non_null(strstr(j.err.text, "too long"));

	/* A status that is no number is not OK. */
	n = answer(out, "\x88\x10\x0bgrpc-status\x02ok", 17, NGHTTP2_FLAG_END_STREAM, NULL, 0);
	against(out, n, &j);
	assert_int_equal(j.result, TIP_GRPC_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unary),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_server_closes),
		cmocka_unit_test(test_bad_servers),
		cmocka_unit_test(test_stop_of_a_server_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
