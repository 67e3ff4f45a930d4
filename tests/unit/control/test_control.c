/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/version.h"
#include "control/control.h"

/*
 * The control server over a real socket: the loop runs on a thread of its own, the tests are its
 * clients, polite and hostile.
 */

struct fixture {
	char dir[64], path[96];
	struct event_base *base;
	struct tip_control *control;
	struct event *stop, *tick;
	int stop_pipe[2];
	pthread_t thread;
	bool deny;    /* peer_ok says no */
	size_t flood; /* bytes that each tick sends to the stream */
	struct tip_control_client *stream;
	int closed;
};

static json_t *method_echo(void *ctx, struct tip_control_client *client, json_t *params,
			   struct tip_error *err, const char **hint)
{
	return json_pack("{s:O, s:s}", "params", params, "peer", tip_control_peer(client));
}

static json_t *method_fail(void *ctx, struct tip_control_client *client, json_t *params,
			   struct tip_error *err, const char **hint)
{
	*hint = "do it otherwise";
	tip_error_at(err, "rules.yaml", 7, 3, "unknown field");
	return NULL;
}

/* An answer far larger than a socket's buffer. */
static json_t *method_large(void *ctx, struct tip_control_client *client, json_t *params,
			    struct tip_error *err, const char **hint)
{
	json_t *list = json_array();

	for (int i = 0; i < 200000; i++)
		json_array_append_new(list, json_sprintf("entry number %d of many", i));
	return json_pack("{s:o}", "list", list);
}

static void stream_closed(void *ctx)
{
	struct fixture *f = ctx;

	f->stream = NULL;
	__atomic_add_fetch(&f->closed, 1, __ATOMIC_SEQ_CST);
}

static json_t *method_follow(void *ctx, struct tip_control_client *client, json_t *params,
			     struct tip_error *err, const char **hint)
{
	struct fixture *f = ctx;
	long long replay = json_integer_value(json_object_get(params, "replay"));

	f->flood = (size_t)json_integer_value(json_object_get(params, "flood"));
	tip_control_stream(client, stream_closed, f);
	for (long long i = 0; i < replay; i++) {
		char text[64];
		int n = snprintf(text, sizeof(text), "{\"replay\":%lld}", i);

		tip_control_send(client, text, (size_t)n);
	}
	f->stream = client;
	return NULL;
}

static const struct tip_control_method methods[] = {
	{"echo", method_echo},
	{"fail", method_fail},
	{"large", method_large},
	{"follow", method_follow},
};

static bool peer_ok(void *ctx, int fd, char *why, size_t size)
{
	struct fixture *f = ctx;

	if (f->deny)
		snprintf(why, size, "it lives in a container");
	return !f->deny;
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(arg);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct fixture *f = arg;
	char *json;

	if (!f->stream)
		return;
	if (!f->flood) {
		tip_control_send(f->stream, "{\"tick\":1}", 10);
		return;
	}
	json = malloc(f->flood + 2);
	memset(json, 'x', f->flood + 2);
	json[0] = json[f->flood + 1] = '"';
	tip_control_send(f->stream, json, f->flood + 2);
	free(json);
}

static void *run_loop(void *arg)
{
	struct fixture *f = arg;

	event_base_dispatch(f->base);
	return NULL;
}

static void start(struct fixture *f)
{
	const struct tip_control_ops ops = {.peer_ok = peer_ok, .ctx = f};
	const struct timeval often = {.tv_usec = 5000};
	struct tip_error err = {0};

	f->control =
		tip_control_new(f->base, f->path, -1, methods, TIP_ARRAY_SIZE(methods), &ops, &err);
	if (!f->control)
		fail_msg("%s: %s", err.file, err.text);
	assert_int_equal(pipe(f->stop_pipe), 0);
	f->stop = event_new(f->base, f->stop_pipe[0], EV_READ, on_stop, f->base);
	event_add(f->stop, NULL);
	f->tick = event_new(f->base, -1, EV_PERSIST, on_tick, f);
	event_add(f->tick, &often);
	assert_int_equal(pthread_create(&f->thread, NULL, run_loop, f), 0);
}

static int setup(void **state)
{
	struct fixture *f = tip_alloc(sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/tipstaff-control-XXXXXX");
	if (!mkdtemp(f->dir) || chmod(f->dir, 0755))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/control.sock", f->dir);
	f->base = event_base_new();
	*state = f;
	start(f);
	return 0;
}

static void stop(struct fixture *f)
{
	assert_int_equal(write(f->stop_pipe[1], "x", 1), 1);
	pthread_join(f->thread, NULL);
	tip_control_free(f->control, false);
	event_free(f->stop);
	event_free(f->tick);
	close(f->stop_pipe[0]);
	close(f->stop_pipe[1]);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	stop(f);
	assert_int_equal(access(f->path, F_OK), -1); /* the socket file went with the server */
	event_base_free(f->base);
	rmdir(f->dir);
	free(f);
	return 0;
}

#define LINE(method) "{\"version\":\"" TIP_VERSION "\",\"method\":\"" method "\"}\n"

/* ---- a client without manners ------------------------------------------------------------ */

static int dial(const struct fixture *f)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = 20};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

/* Everything until the server closes; the caller frees. */
static char *drain(int fd)
{
	size_t len = 0, cap = 4096;
	char *text = tip_realloc(NULL, cap, 1);
	ssize_t n;

	while ((n = recv(fd, text + len, cap - len - 1, 0)) > 0) {
		len += (size_t)n;
		if (cap - len < 2048)
			text = tip_realloc(text, cap *= 2, 1);
	}
	text[len] = '\0';
	return text;
}

static void expect(const struct fixture *f, const char *request, size_t len, const char *says)
{
	int fd = dial(f);
	char *answer;

	(void)!send(fd, request, len, MSG_NOSIGNAL);
	answer = drain(fd);
	if (!strstr(answer, says))
		fail_msg("answer %.200s lacks %s", answer, says);
	free(answer);
	close(fd);
}

static bool works(const struct fixture *f)
{
	struct tip_error err = {0};
	char *hint = NULL;
	json_t *result = tip_control_call(f->path, "echo", NULL, &err, &hint);
	bool ok = result != NULL;

	json_decref(result);
	free(hint);
	return ok;
}

/* ---- tests -------------------------------------------------------------------------------- */

static void test_call(void **state)
{
	struct fixture *f = *state;
	json_t *params = json_pack("{s:s}", "key", "väl\nue"), *result;
	struct tip_error err = {0};
	char *hint = NULL, peer[64];
	struct stat st;

	result = tip_control_call(f->path, "echo", params, &err, &hint);
	assert_non_null(result);
	assert_true(json_equal(json_object_get(result, "params"), params));
	snprintf(peer, sizeof(peer), "uid=0 pid=%d", getpid());
	assert_string_equal(json_string_value(json_object_get(result, "peer")), peer);
	assert_null(hint);
	json_decref(result);
	json_decref(params);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_error(void **state)
{
	struct fixture *f = *state;
	struct tip_error err = {0};
	char *hint = NULL;

	assert_null(tip_control_call(f->path, "fail", NULL, &err, &hint));
	assert_string_equal(err.file, "rules.yaml");
	assert_int_equal(err.line, 7);
	assert_int_equal(err.column, 3);
	assert_string_equal(err.text, "unknown field");
	assert_string_equal(hint, "do it otherwise");
	free(hint);
	assert_null(tip_control_call(f->path, "nope", NULL, &err, &hint));
	assert_non_null(strstr(err.text, "unknown method \"nope\""));
	free(hint);
}

static void test_nobody(void **state)
{
	struct fixture *f = *state;
	struct tip_error err = {0};
	char path[128], *hint = NULL;

	snprintf(path, sizeof(path), "%s/other.sock", f->dir);
	assert_null(tip_control_call(path, "echo", NULL, &err, &hint));
	assert_non_null(strstr(err.text, "no daemon listens on"));
	assert_non_null(hint);
	free(hint);
	assert_int_equal(tip_control_probe(path), 0);
	assert_int_equal(tip_control_probe(f->path), 1);
}

static void test_large_answer(void **state)
{
	struct fixture *f = *state;
	struct tip_error err = {0};
	char *hint = NULL;
	json_t *result = tip_control_call(f->path, "large", NULL, &err, &hint);

	assert_non_null(result);
	assert_int_equal(json_array_size(json_object_get(result, "list")), 200000);
	json_decref(result);
}

static void test_malformed(void **state)
{
	struct fixture *f = *state;
	static const char garbage[] = "GET / HTTP/1.1\r\n\r\n";
	static const char twice[] = "{\"version\":\"0\",\"method\":\"a\",\"method\":\"b\"}\n";

	expect(f, garbage, strlen(garbage), "not a JSON document");
	expect(f, twice, strlen(twice), "duplicate");
	expect(f, "\n", 1, "not a JSON document");
	assert_true(works(f));
}

static void test_version(void **state)
{
	struct fixture *f = *state;
	static const char line[] = "{\"version\":\"9.9.9\",\"method\":\"echo\"}\n";

	expect(f, line, strlen(line),
	       "the daemon is version " TIP_VERSION ", the client is version 9.9.9");
}

/* A request without its newline is cut off: it must not be carried out. */
static void test_cut_off(void **state)
{
	struct fixture *f = *state;
	static const char line[] = "{\"version\":\"" TIP_VERSION "\",\"method\":\"echo\"}";
	int fd = dial(f);
	char *answer;

	assert_int_equal(send(fd, line, strlen(line), 0), (ssize_t)strlen(line));
	shutdown(fd, SHUT_WR);
	answer = drain(fd);
	assert_non_null(strstr(answer, "newline"));
	free(answer);
	close(fd);
}

/* A client that closes its sending side still gets its answer. */
static void test_half_closed(void **state)
{
	struct fixture *f = *state;
	static const char line[] = LINE("large");
	int fd = dial(f);
	char *answer;

	assert_int_equal(send(fd, line, strlen(line), 0), (ssize_t)strlen(line));
	shutdown(fd, SHUT_WR);
	answer = drain(fd);
	assert_non_null(strstr(answer, "number 199999 of many\"]}}\n"));
	free(answer);
	close(fd);
}

static void test_oversize(void **state)
{
	struct fixture *f = *state;
	size_t len = TIP_CONTROL_MAX_REQUEST + (1 << 20);
	char *line = malloc(len);

	memset(line, ' ', len);
	expect(f, line, len, "larger than");
	/* The largest that is allowed does arrive. */
	line[TIP_CONTROL_MAX_REQUEST] = '\n';
	memcpy(line, LINE("echo"), strlen(LINE("echo")) - 1);
	expect(f, line, TIP_CONTROL_MAX_REQUEST + 1, "\"result\"");
	free(line);
	assert_true(works(f));
}

/* Slow writers wait alone; beyond the limit the next is told so; and their places come back. */
static void test_slow_writers(void **state)
{
	struct fixture *f = *state;
	static const char echo[] = LINE("echo");
	int fds[TIP_CONTROL_MAX_CLIENTS];
	char *answer;
	int fd;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(fds) - 1; i++) {
		fds[i] = dial(f);
		assert_int_equal(send(fds[i], "{", 1, 0), 1);
	}
	/* This reads until the server has closed, so that its place is free again. */
	expect(f, echo, strlen(echo), "\"result\"");
	fds[TIP_ARRAY_SIZE(fds) - 1] = dial(f);
	fd = dial(f);
	answer = drain(fd);
	if (!strstr(answer, "too many control connections"))
		fail_msg("not turned away but: %.200s", answer);
	free(answer);
	close(fd);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(fds); i++)
		close(fds[i]);
	for (int i = 0; !works(f); i++) {
		assert_true(i < 100);
		usleep(10000);
	}
}

static void test_idle(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	char *answer = drain(fd);

	assert_non_null(strstr(answer, "no whole request within"));
	free(answer);
	close(fd);
}

static void test_not_root(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	/* Root opens the way to the socket, so that the check behind the file's mode is what
	 * refuses. */
	assert_int_equal(chmod(f->path, 0666), 0);
	pid = fork();
	if (pid == 0) {
		struct tip_error err = {0};
		char *hint = NULL;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		if (tip_control_call(f->path, "echo", NULL, &err, &hint))
			_exit(3);
		_exit(strstr(err.text, "only root") && hint ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_peer_ok(void **state)
{
	struct fixture *f = *state;
	struct tip_error err = {0};
	char *hint = NULL;

	f->deny = true;
	assert_null(tip_control_call(f->path, "echo", NULL, &err, &hint));
	assert_string_equal(err.text, "it lives in a container");
	free(hint);
	f->deny = false;
	assert_true(works(f));
}

struct follower {
	int replayed, ticks;
};

static bool on_event(void *ctx, json_t *ev)
{
	struct follower *w = ctx;
	json_t *replay = json_object_get(ev, "replay");

	if (replay) {
		assert_int_equal(json_integer_value(replay), w->replayed);
		w->replayed++;
	} else {
		w->ticks++;
	}
	return w->ticks < 3;
}

static void wait_closed(struct fixture *f, int count)
{
	for (int i = 0; __atomic_load_n(&f->closed, __ATOMIC_SEQ_CST) < count; i++) {
		assert_true(i < 1000);
		usleep(10000);
	}
}

/* A replay larger than the limit is the method's business; then events come; then the client
 * leaves. */
static void test_stream(void **state)
{
	struct fixture *f = *state;
	json_t *params = json_pack("{s:i}", "replay", 100000);
	struct tip_error err = {0};
	struct follower w = {0};
	char *hint = NULL;

	assert_int_equal(tip_control_follow(f->path, "follow", params, on_event, &w, &err, &hint),
			 0);
	assert_int_equal(w.replayed, 100000);
	assert_int_equal(w.ticks, 3);
	json_decref(params);
	wait_closed(f, 1);
	assert_true(works(f));
}

/* A stream whose client does not read is closed before it costs more than the limit. */
static void test_slow_reader(void **state)
{
	struct fixture *f = *state;
	static const char line[] = "{\"version\":\"" TIP_VERSION
				   "\",\"method\":\"follow\",\"params\":{\"flood\":100000}}\n";
	int fd = dial(f);
	char *got;

	assert_int_equal(send(fd, line, strlen(line), 0), (ssize_t)strlen(line));
	wait_closed(f, 1);
	assert_true(works(f));
	got = drain(fd);
	assert_non_null(strstr(got, "\"stream\":true"));
	assert_true(strlen(got) < 2 * TIP_CONTROL_MAX_BEHIND);
	free(got);
	close(fd);
}

/* The server going away ends a stream and says so. */
static void test_stream_server_ends(void **state)
{
	struct fixture *f = *state;
	static const char line[] = LINE("follow");
	int fd = dial(f);
	char first[8];
	char *got;

	assert_int_equal(send(fd, line, strlen(line), 0), (ssize_t)strlen(line));
	assert_int_equal(recv(fd, first, 1, 0), 1);
	stop(f);
	assert_int_equal(f->closed, 1);
	got = drain(fd); /* ends only because the server closed */
	free(got);
	close(fd);
	start(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_call),        TEST(test_error),
		TEST(test_nobody),      TEST(test_large_answer),
		TEST(test_malformed),   TEST(test_version),
		TEST(test_cut_off),     TEST(test_half_closed),
		TEST(test_oversize),    TEST(test_slow_writers),
		TEST(test_idle),        TEST(test_not_root),
		TEST(test_peer_ok),     TEST(test_stream),
		TEST(test_slow_reader), TEST(test_stream_server_ends),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
