/* SPDX-License-Identifier: Apache-2.0 */
/* The inspector and the kubelet, at the other end of a pair of sockets and in the clear. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "container/inspector.h"
#include "facts.h"

#define HEX(c) c c c c c c c c c c c c c c c c
#define ONE    HEX("1111")
#define TWO    HEX("2222")
#define OK     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define POD(name, id)                                                                              \
	"{\"metadata\":{\"name\":\"" name "\"},\"status\":{\"podIP\":\"10.0.0.1\","                \
	"\"containerStatuses\":[{\"name\":\"c\",\"containerID\":\"containerd://" id "\","          \
	"\"state\":{\"running\":{\"startedAt\":\"2026-01-02T03:04:05Z\"}}}]}}"

/* The keeper and the kubelet of these tests. */
struct world {
	struct event_base *base;
	struct tip_inspector *x;
	uint64_t dial; /* the last one */
	enum tip_runtime_question question;
	size_t dials, known, unknown;
	int kubelet; /* its end of the last connection, -1: none */
	char pod[64];
};

static void on_dial(void *ctx, uint64_t dial, uint32_t number, enum tip_runtime_question question,
		    const char *name)
{
	struct world *w = ctx;

	w->dial = dial;
	w->question = question;
	w->dials++;
}

static void on_answer(void *ctx, const char *id, enum tip_facts_kind kind, const void *facts,
		      size_t len)
{
	struct tip_buf b = {.data = (char *)facts, .len = len};
	struct world *w = ctx;

	w->known += kind == TIP_FACTS_WHOLE;
	w->unknown += kind == TIP_FACTS_NONE;
	if (kind == TIP_FACTS_WHOLE)
		snprintf(w->pod, sizeof(w->pod), "%s", fact(&b, TIP_FACT_POD_NAME));
}

static int begin(void **state)
{
	static struct world w;

	w = (struct world){.base = event_base_new(), .kubelet = -1};
	w.x = tip_inspector_new(w.base, &(struct tip_inspector_ops){on_dial, on_answer, &w});
	tip_inspector_kubelet(w.x, "127.0.0.1:10255", NULL);
	*state = &w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	if (w->kubelet >= 0)
		close(w->kubelet);
	tip_inspector_free(w->x);
	event_base_free(w->base);
	return 0;
}

/* Until the kubelet is to be asked for list `n`. */
static void until_dial(struct world *w, size_t n)
{
	while (w->dials < n)
		event_base_loop(w->base, EVLOOP_ONCE);
	assert_int_equal(w->question, TIP_ASK_PODS);
}

static void connect_it(struct world *w, const char *token)
{
	int sv[2];

	if (w->kubelet >= 0)
		close(w->kubelet);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	w->kubelet = sv[1];
	tip_inspector_kubelet_dialled(w->x, w->dial, sv[0], token);
	event_base_loop(w->base, EVLOOP_NONBLOCK);
}

static void say(struct world *w, const char *text)
{
	assert_int_equal(write(w->kubelet, text, strlen(text)), strlen(text));
	for (int i = 0; i < 10; i++)
		event_base_loop(w->base, EVLOOP_NONBLOCK);
}

static struct tip_inspector_stats stats(const struct world *w)
{
	struct tip_inspector_stats s;

	tip_inspector_stats(w->x, &s);
	return s;
}

static void one_list_answers_all(void **state)
{
	struct world *w = *state;
	char request[1000] = "";

	tip_inspector_ask(w->x, ONE, TIP_RUNTIME_CRI);
	tip_inspector_ask(w->x, TWO, TIP_RUNTIME_ANY);
	until_dial(w, 1);
	connect_it(w, "ey.J-x");
	assert_true(read(w->kubelet, request, sizeof(request) - 1) > 0);
	assert_ptr_equal(strstr(request, "GET /pods HTTP/1.1\r\nHost: 127.0.0.1:10255\r\n"),
			 request);
	assert_non_null(strstr(request, "\r\nAuthorization: Bearer ey.J-x\r\n"));
	assert_non_null(strstr(request, "\r\n\r\n"));
	say(w, OK "{\"items\":[" POD("first", ONE));
	/* each is answered when its pod has come */
	assert_int_equal(w->known, 1);
	assert_string_equal(w->pod, "first");
	say(w, "," POD("second", TWO) "]}");
	assert_int_equal(w->known, 2);
	assert_string_equal(w->pod, "second");
	assert_int_equal(w->dials, 1);
	assert_int_equal(stats(w).by_kubelet, 2);
	assert_int_equal(stats(w).running + stats(w).waiting, 0);
}

static void without_a_token_none_is_sent(void **state)
{
	struct world *w = *state;
	char request[1000] = "";

	tip_inspector_ask(w->x, ONE, TIP_RUNTIME_CRI);
	until_dial(w, 1);
	connect_it(w, "");
	assert_true(read(w->kubelet, request, sizeof(request) - 1) > 0);
	assert_null(strstr(request, "Authorization"));
}

/* It is asked last, and about nothing that somebody else knows, or that is podman's. */
static void runtimes_come_first(void **state)
{
	struct world *w = *state;

	tip_inspector_runtime(w->x, 0, TIP_RUNTIME_DOCKER, false);
	tip_inspector_ask(w->x, ONE, TIP_RUNTIME_CRI);
	assert_int_equal(w->dials, 1);
	assert_int_equal(w->question, TIP_ASK_CONTAINER);
	tip_inspector_dialled(w->x, w->dial, -1, ENOENT);
	until_dial(w, 2);
	tip_inspector_ask(w->x, TWO, TIP_RUNTIME_PODMAN);
	assert_int_equal(w->question, TIP_ASK_CONTAINER);
	tip_inspector_dialled(w->x, w->dial, -1, ENOENT);
	assert_int_equal(w->unknown, 1);
}

/* The kubelet tells of a container only a moment after it has been made. */
static void one_that_is_not_listed_yet(void **state)
{
	struct world *w = *state;

	tip_inspector_ask(w->x, ONE, TIP_RUNTIME_CRI);
	until_dial(w, 1);
	connect_it(w, "");
	/* one more, which comes while the list does, is for the next one */
	tip_inspector_ask(w->x, TWO, TIP_RUNTIME_CRI);
	say(w, OK "{\"items\":null}");
	assert_int_equal(w->known + w->unknown, 0);
	until_dial(w, 2);
	connect_it(w, "");
	say(w, OK "{\"items\":[" POD("late", ONE) "," POD("second", TWO) "]}");
	while (w->known < 2) { /* the first may be in the one behind it */
		until_dial(w, 3);
		connect_it(w, "");
		say(w, OK "{\"items\":[" POD("late", ONE) "," POD("second", TWO) "]}");
	}
	assert_int_equal(w->unknown, 0);
}

static void one_that_is_never_listed(void **state)
{
	struct world *w = *state;

	tip_inspector_ask(w->x, ONE, TIP_RUNTIME_CRI);
	for (size_t n = 1; n <= 3; n++) {
		assert_int_equal(w->unknown, 0);
		until_dial(w, n);
		connect_it(w, "");
		say(w, OK "{\"items\":[" POD("other", TWO) "]}");
	}
	assert_int_equal(w->unknown, 1);
	assert_int_equal(w->known, 0);
}

static void bad_answers(void **state)
{
	static const char *const bad[] = {
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\nUnauthorized",
		"HTTP/1.1 403 Forbidden\r\n\r\n",
		"HTTP/1.1 307 Over there\r\nLocation: http://192.0.2.1/\r\n\r\n",
		"HTTP/1.1 500 Oh\r\n\r\n",
		"HTTP/1.1 204 Nothing\r\n\r\n",
		(OK "{\"kind\":\"Status\"}"),
		(OK "<html>"),
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"SSH-2.0-x\r\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct world *w = *state;

		tip_inspector_ask(w->x, ONE, TIP_RUNTIME_CRI);
		until_dial(w, 1);
		connect_it(w, "");
		say(w, bad[i]);
		assert_int_equal(w->unknown, 1);
		/* it is left alone for a while, and nobody waits for that */
		tip_inspector_ask(w->x, TWO, TIP_RUNTIME_CRI);
		assert_int_equal(w->unknown, 2);
		assert_int_equal(w->dials, 1);
		assert_int_equal(stats(w).kubelet.failed, 1);
		end(state);
		begin(state);
	}
}

static void no_connection(void **state)
{
	struct world *w = *state;

	tip_inspector_ask(w->x, ONE, TIP_RUNTIME_CRI);
	until_dial(w, 1);
	tip_inspector_dialled(w->x, w->dial, -1, 0);
	assert_int_equal(w->unknown, 1);
	/* one that comes for nobody is closed */
	tip_inspector_kubelet_dialled(w->x, w->dial, dup(0), "");
}

static void one_that_hangs_up(void **state)
{
	struct world *w = *state;

	tip_inspector_ask(w->x, ONE, TIP_RUNTIME_CRI);
	until_dial(w, 1);
	connect_it(w, "");
	say(w, OK "{\"items\":[" POD("other", TWO));
	close(w->kubelet);
	w->kubelet = -1;
	while (!w->unknown)
		event_base_loop(w->base, EVLOOP_ONCE);
	assert_int_equal(w->known, 0);
}

/* One pod is too long, one is broken: the others are read. */
static void bad_pods(void **state)
{
	struct world *w = *state;
	char junk[4097];

	memset(junk, ' ', sizeof(junk) - 1);
	junk[sizeof(junk) - 1] = '\0';
	tip_inspector_ask(w->x, ONE, TIP_RUNTIME_CRI);
	until_dial(w, 1);
	connect_it(w, "");
	say(w, OK "{\"items\":[{\"x\":\"containerd://" ONE "\",},{");
	for (int i = 0; i < 300; i++)
		say(w, junk);
	say(w, "}," POD("good", ONE) "]}");
	assert_int_equal(w->known, 1);
	assert_string_equal(w->pod, "good");
	assert_int_equal(stats(w).kubelet.bad, 2);
}

static void an_endless_list(void **state)
{
	struct world *w = *state;
	char junk[65537];

	memset(junk, ' ', sizeof(junk) - 1);
	junk[sizeof(junk) - 1] = '\0';
	tip_inspector_ask(w->x, ONE, TIP_RUNTIME_CRI);
	until_dial(w, 1);
	connect_it(w, "");
	say(w, OK "{\"items\":[");
	for (int i = 0; i < 1000 && !w->unknown; i++)
		say(w, junk);
	assert_int_equal(w->unknown, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_list_answers_all, begin, end),
		cmocka_unit_test_setup_teardown(without_a_token_none_is_sent, begin, end),
		cmocka_unit_test_setup_teardown(runtimes_come_first, begin, end),
		cmocka_unit_test_setup_teardown(one_that_is_not_listed_yet, begin, end),
		cmocka_unit_test_setup_teardown(one_that_is_never_listed, begin, end),
		cmocka_unit_test_setup_teardown(bad_answers, begin, end),
		cmocka_unit_test_setup_teardown(no_connection, begin, end),
		cmocka_unit_test_setup_teardown(one_that_hangs_up, begin, end),
		cmocka_unit_test_setup_teardown(bad_pods, begin, end),
		cmocka_unit_test_setup_teardown(an_endless_list, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
