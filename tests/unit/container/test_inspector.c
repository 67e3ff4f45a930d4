/* SPDX-License-Identifier: Apache-2.0 */
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

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* The keeper and the runtimes of these tests. */
struct world {
	struct event_base *base;
	struct tip_inspector *x;
	uint64_t dial; /* the last one */
	uint32_t number;
	enum tip_runtime_question question;
	size_t dials, known, unknown, parts;
	char name[64];
};

static void on_dial(void *ctx, uint64_t dial, uint32_t number, enum tip_runtime_question question,
		    const char *name)
{
	struct world *w = ctx;

	w->dial = dial;
	w->number = number;
	w->question = question;
	w->dials++;
}

static void on_answer(void *ctx, const char *id, enum tip_facts_kind kind, const void *facts,
		      size_t len)
{
	struct tip_buf b = {.data = (char *)facts, .len = len};
	struct world *w = ctx;

	if (kind == TIP_FACTS_NONE) {
		w->unknown++;
		return;
	}
	w->parts += kind == TIP_FACTS_PART;
	w->known += kind == TIP_FACTS_WHOLE;
	snprintf(w->name, sizeof(w->name), "%s", fact(&b, TIP_FACT_NAME));
}

static int begin(void **state)
{
	static struct world w;

	w = (struct world){.base = event_base_new()};
	w.x = tip_inspector_new(w.base, &(struct tip_inspector_ops){on_dial, on_answer, &w});
	*state = &w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	tip_inspector_free(w->x);
	event_base_free(w->base);
	return 0;
}

/* Answers the last dial with a runtime that says `text`. */
static void say(struct world *w, const char *text)
{
	char http[1000];
	int sv[2];
	size_t dials = w->dials, answers = w->known + w->unknown;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	snprintf(http, sizeof(http), "HTTP/1.1 %s", text);
	assert_int_equal(write(sv[1], http, strlen(http)), strlen(http));
	shutdown(sv[1], SHUT_WR);
	tip_inspector_dialled(w->x, w->dial, sv[0], 0);
	while (w->dials == dials && w->known + w->unknown == answers)
		event_base_loop(w->base, EVLOOP_ONCE);
	close(sv[1]);
}

#define STARTED ",\"State\":{\"StartedAt\":\"2026-01-02T03:04:05Z\"}"

static void each_runtime_is_asked_the_likely_one_first(void **state)
{
	struct world *w = *state;

	assert_true(tip_inspector_runtime(w->x, 0, TIP_RUNTIME_DOCKER, false));
	assert_true(tip_inspector_runtime(w->x, 1, TIP_RUNTIME_PODMAN, false));
	tip_inspector_ask(w->x, ID, TIP_RUNTIME_PODMAN);
	assert_int_equal(w->number, 1);
	say(w, "404 Not Found\r\n\r\n");
	assert_int_equal(w->number, 0);
	say(w, "200 OK\r\n\r\n{\"Id\":\"" ID "\",\"Name\":\"/x\"" STARTED "}");
	assert_int_equal(w->known, 1);
	assert_string_equal(w->name, "x");
}

static void a_runtime_that_is_not_there(void **state)
{
	struct world *w = *state;

	tip_inspector_runtime(w->x, 0, TIP_RUNTIME_DOCKER, false);
	tip_inspector_ask(w->x, ID, TIP_RUNTIME_ANY);
	tip_inspector_dialled(w->x, w->dial, -1, ENOENT);
	assert_int_equal(w->unknown, 1);
	/* a descriptor that nobody waits for is closed */
	tip_inspector_dialled(w->x, w->dial, dup(0), 0);
}

static void questions_are_merged_and_bounded(void **state)
{
	struct tip_inspector_stats s;
	struct world *w = *state;
	char id[65];

	tip_inspector_runtime(w->x, 0, TIP_RUNTIME_DOCKER, false);
	tip_inspector_ask(w->x, ID, TIP_RUNTIME_ANY);
	tip_inspector_ask(w->x, ID, TIP_RUNTIME_ANY);
	assert_int_equal(w->dials, 1);
	for (unsigned int i = 0; i < 2000; i++) {
		snprintf(id, sizeof(id), "%064x", i);
		tip_inspector_ask(w->x, id, TIP_RUNTIME_ANY);
	}
	tip_inspector_stats(w->x, &s);
	assert_int_equal(s.running, 16);
	assert_int_equal(s.running + s.waiting, 1024);
	assert_int_equal(s.refused, 2001 - 1024);
	assert_int_equal(w->unknown, 2001 - 1024);
}

static void without_a_runtime_the_answer_is_there_at_once(void **state)
{
	struct world *w = *state;
	char id[65];

	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(id, sizeof(id), "%064x", i);
		tip_inspector_ask(w->x, id, TIP_RUNTIME_DOCKER);
	}
	assert_int_equal(w->unknown, 5000);
	assert_false(tip_inspector_runtime(w->x, TIP_RUNTIMES_MAX, TIP_RUNTIME_DOCKER, false));
	assert_false(tip_inspector_runtime(w->x, 0, TIP_RUNTIME_ANY, false));
	assert_false(tip_inspector_runtime(w->x, 0, 77, false));
}

static void what_is_no_id_is_not_asked_about(void **state)
{
	struct world *w = *state;

	tip_inspector_runtime(w->x, 0, TIP_RUNTIME_DOCKER, false);
	tip_inspector_ask(w->x, "../x", TIP_RUNTIME_ANY);
	assert_int_equal(w->dials, 0);
	assert_int_equal(w->unknown, 1);
}

static void one_that_is_being_made_is_asked_about_again(void **state)
{
	struct world *w = *state;

	tip_inspector_runtime(w->x, 0, TIP_RUNTIME_DOCKER, false);
	tip_inspector_ask(w->x, ID, TIP_RUNTIME_ANY);
	say(w, "200 OK\r\n\r\n{\"Id\":\"" ID "\",\"Name\":\"/x\"}");
	assert_int_equal(w->known, 1);
	while (w->dials < 2)
		event_base_loop(w->base, EVLOOP_ONCE);
	say(w, "200 OK\r\n\r\n{\"Id\":\"" ID "\",\"Name\":\"/y\"}");
	assert_int_equal(w->known, 2);
	assert_string_equal(w->name, "y");
	/* twice is enough: it is forgotten, and a new question is one */
	tip_inspector_ask(w->x, ID, TIP_RUNTIME_ANY);
	assert_int_equal(w->dials, 3);
}

/* ---- events --------------------------------------------------------------------------------- */

/* Waits until somebody has to listen to a runtime; the runtime's end of the connection. */
static int listened_to(struct world *w)
{
	static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
	size_t dials = w->dials;
	int sv[2];

	while (w->dials == dials)
		event_base_loop(w->base, EVLOOP_ONCE);
	assert_int_equal(w->question, TIP_ASK_EVENTS);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	assert_int_equal(write(sv[1], head, sizeof(head) - 1), sizeof(head) - 1);
	tip_inspector_dialled(w->x, w->dial, sv[0], 0);
	return sv[1];
}

/* A container is made. */
static void tell(struct world *w, int fd)
{
	static const char event[] =
		"{\"Type\":\"container\",\"Action\":\"create\",\"Actor\":{\"ID\":\"" ID
		"\",\"Attributes\":{\"name\":\"event\"}}}\n";
	struct tip_inspector_stats before, now;

	tip_inspector_stats(w->x, &before);
	assert_int_equal(write(fd, event, sizeof(event) - 1), sizeof(event) - 1);
	do {
		event_base_loop(w->base, EVLOOP_ONCE);
		tip_inspector_stats(w->x, &now);
	} while (now.events == before.events);
}

static int begin_listening(struct world *w)
{
	assert_true(tip_inspector_runtime(w->x, 0, TIP_RUNTIME_DOCKER, true));
	assert_false(tip_inspector_runtime(w->x, 0, TIP_RUNTIME_DOCKER, true));
	return listened_to(w);
}

#define GONE "404 Not Found\r\n\r\n"

/* Answers a question that nobody is told the answer to. */
static void say_ahead(struct world *w, const char *text)
{
	struct tip_inspector_stats s;
	char http[1000];
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	snprintf(http, sizeof(http), "HTTP/1.1 %s", text);
	assert_int_equal(write(sv[1], http, strlen(http)), strlen(http));
	shutdown(sv[1], SHUT_WR);
	tip_inspector_dialled(w->x, w->dial, sv[0], 0);
	do {
		event_base_loop(w->base, EVLOOP_ONCE);
		tip_inspector_stats(w->x, &s);
	} while (s.running);
	close(sv[1]);
}

static void one_that_is_gone_is_what_its_event_said(void **state)
{
	struct tip_inspector_stats s;
	struct world *w = *state;
	int fd = begin_listening(w);

	tell(w, fd);
	assert_int_equal(w->question, TIP_ASK_CONTAINER); /* ahead */
	say_ahead(w, GONE);
	assert_int_equal(w->known + w->unknown + w->parts, 0);
	tip_inspector_ask(w->x, ID, TIP_RUNTIME_ANY);
	assert_int_equal(w->parts, 1); /* for who cannot wait */
	assert_string_equal(w->name, "event");
	say(w, GONE);
	assert_int_equal(w->known, 1);
	tip_inspector_stats(w->x, &s);
	assert_int_equal(s.by_event, 1);
	assert_int_equal(s.created, 0);
	assert_int_equal(s.streams, 1);
	close(fd);
}

static void what_was_asked_ahead_is_there_at_once(void **state)
{
	struct world *w = *state;
	int fd = begin_listening(w);
	size_t dials;

	tell(w, fd);
	say_ahead(w, "200 OK\r\n\r\n{\"Id\":\"" ID "\",\"Name\":\"/whole\"}");
	dials = w->dials;
	tip_inspector_ask(w->x, ID, TIP_RUNTIME_DOCKER);
	assert_int_equal(w->known, 1);
	assert_string_equal(w->name, "whole");
	assert_int_equal(w->dials, dials);
	/* it was not started then: once more, and what is known stays when it is gone by now */
	while (w->dials == dials)
		event_base_loop(w->base, EVLOOP_ONCE);
	say_ahead(w, GONE);
	assert_int_equal(w->known, 1);
	assert_int_equal(w->unknown, 0);
	close(fd);
}

static void who_asks_meanwhile_is_told(void **state)
{
	struct world *w = *state;
	int fd = begin_listening(w);
	size_t dials;

	tell(w, fd);
	dials = w->dials;
	tip_inspector_ask(w->x, ID, TIP_RUNTIME_DOCKER);
	assert_int_equal(w->parts, 1);
	assert_int_equal(w->dials, dials); /* it is being asked about */
	say(w, "200 OK\r\n\r\n{\"Id\":\"" ID "\",\"Name\":\"/whole\"}");
	assert_int_equal(w->known, 1);
	assert_string_equal(w->name, "whole");
	close(fd);
}

static void an_event_behind_the_end(void **state)
{
	struct tip_inspector_stats s;
	struct world *w = *state;
	int fd = begin_listening(w);

	tip_inspector_ask(w->x, ID, TIP_RUNTIME_DOCKER);
	say_ahead(w, GONE);
	assert_int_equal(w->known + w->unknown, 0); /* its event may come */
	tell(w, fd);
	assert_int_equal(w->known, 1);
	assert_string_equal(w->name, "event");
	tip_inspector_stats(w->x, &s);
	assert_int_equal(s.by_event, 1);
	close(fd);
}

static void an_event_that_does_not_come(void **state)
{
	struct world *w = *state;
	int fd = begin_listening(w);

	tip_inspector_ask(w->x, ID, TIP_RUNTIME_DOCKER);
	say_ahead(w, GONE);
	while (!w->unknown)
		event_base_loop(w->base, EVLOOP_ONCE);
	close(fd);
}

static void a_runtime_that_ends_is_listened_to_again(void **state)
{
	struct tip_inspector_stats s;
	struct world *w = *state;
	int fd = begin_listening(w);

	close(fd);
	fd = listened_to(w);
	tip_inspector_stats(w->x, &s);
	assert_int_equal(s.breaks, 1);
	assert_int_equal(s.streams, 1);
	tell(w, fd);
	close(fd);
}

static void a_runtime_that_comes_later_is_listened_to(void **state)
{
	struct world *w = *state;

	tip_inspector_runtime(w->x, 0, TIP_RUNTIME_PODMAN, true);
	while (!w->dials)
		event_base_loop(w->base, EVLOOP_ONCE);
	tip_inspector_dialled(w->x, w->dial, -1, ENOENT);
	close(listened_to(w));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(each_runtime_is_asked_the_likely_one_first),
		TEST(a_runtime_that_is_not_there),
		TEST(questions_are_merged_and_bounded),
		TEST(without_a_runtime_the_answer_is_there_at_once),
		TEST(what_is_no_id_is_not_asked_about),
		TEST(one_that_is_being_made_is_asked_about_again),
		TEST(one_that_is_gone_is_what_its_event_said),
		TEST(what_was_asked_ahead_is_there_at_once),
		TEST(who_asks_meanwhile_is_told),
		TEST(an_event_behind_the_end),
		TEST(an_event_that_does_not_come),
		TEST(a_runtime_that_ends_is_listened_to_again),
		TEST(a_runtime_that_comes_later_is_listened_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
