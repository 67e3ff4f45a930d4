/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "container/docker.h"
#include "facts.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void images(void **state)
{
	static const struct {
		const char *name, *repository, *tag, *digest;
	} all[] = {
		{"nginx", "nginx", "latest", NULL},
		{"nginx:1.2", "nginx", "1.2", NULL},
		{"host:5000/a/b", "host:5000/a/b", "latest", NULL},
		{"host:5000/a/b:c", "host:5000/a/b", "c", NULL},
		{"a/b@sha256:12", "a/b", NULL, "sha256:12"},
		{"host:5000/a/b:c@sha256:12", "host:5000/a/b", "c", "sha256:12"},
		{"sha256:1234", NULL, NULL, NULL},
		{":", NULL, NULL, NULL},
		{"@", NULL, NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct tip_buf b = {0};
		const char *want[] = {all[i].name, all[i].repository, all[i].tag, all[i].digest};
		static const enum tip_fact kinds[] = {TIP_FACT_IMAGE, TIP_FACT_IMAGE_REPOSITORY,
						      TIP_FACT_IMAGE_TAG, TIP_FACT_IMAGE_DIGEST};

		tip_facts_add_image(&b, all[i].name);
		for (size_t k = 0; k < 4; k++) {
			if (want[k])
				assert_string_equal(fact(&b, kinds[k]), want[k]);
			else
				assert_null(fact(&b, kinds[k]));
		}
		tip_buf_free(&b);
	}
}

static void moments(void **state)
{
	assert_int_equal(tip_facts_time("1970-01-01T00:00:01Z"), 1000000000);
	assert_int_equal(tip_facts_time("2026-01-02T03:04:05.5Z"), 1767323045500000000);
	assert_int_equal(tip_facts_time("2026-01-02T03:04:05.1234567891+02:00"),
			 1767315845123456789);
	assert_int_equal(tip_facts_time("2026-01-02T03:04:05-00:30"), 1767324845000000000);
	assert_int_equal(tip_facts_time("0001-01-01T00:00:00Z"), 0);
	assert_int_equal(tip_facts_time("9999-01-01T00:00:00Z"), 0);
	assert_int_equal(tip_facts_time("yesterday"), 0);
	assert_int_equal(tip_facts_time(NULL), 0);
}

static int parse(const char *text, struct tip_buf *b, struct tip_docker_seen *seen)
{
	struct tip_error err;

	*b = (struct tip_buf){0};
	return tip_docker_container(text, strlen(text), ID, b, seen, &err);
}

static void a_container(void **state)
{
	struct tip_docker_seen seen;
	struct tip_buf b;

	assert_int_equal(parse("{\"Id\":\"" ID "\",\"Name\":\"/x\",\"Image\":\"sha256:ab\","
			       "\"HostConfig\":{\"Privileged\":true,\"PidMode\":\"host\"},"
			       "\"State\":{\"StartedAt\":\"0001-01-01T00:00:00Z\"},"
			       "\"NetworkSettings\":{\"Networks\":{\"a\":{\"IPAddress\":\"\"},"
			       "\"b\":{\"IPAddress\":\"10.0.0.1\"}}},"
			       "\"Config\":{\"Labels\":{\"k\":\"v\",\"n\":5},"
			       "\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"curl x\"]}},"
			       "\"Mounts\":[{\"Source\":\"/a\",\"RW\":true},5,{}]}",
			       &b, &seen),
			 0);
	assert_string_equal(fact(&b, TIP_FACT_NAME), "x");
	assert_string_equal(fact(&b, TIP_FACT_PRIVILEGED), "true");
	assert_string_equal(fact(&b, TIP_FACT_HOST_PID), "true");
	assert_string_equal(fact(&b, TIP_FACT_HOST_NETWORK), "false");
	assert_string_equal(fact(&b, TIP_FACT_IP), "10.0.0.1");
	assert_string_equal(fact(&b, TIP_FACT_LABEL), "k=v");
	assert_null(nth(&b, TIP_FACT_LABEL, 1));
	assert_string_equal(fact(&b, TIP_FACT_HEALTHCHECK), "/bin/sh -c curl x");
	assert_string_equal(fact(&b, TIP_FACT_MOUNT), "/a:::true:");
	assert_string_equal(nth(&b, TIP_FACT_MOUNT, 2), ":::false:");
	assert_null(fact(&b, TIP_FACT_STARTED));
	assert_false(seen.settled);
	assert_string_equal(seen.image, "sha256:ab");
	tip_buf_free(&b);
}

static void nothing_but_a_digest_goes_into_a_path(void **state)
{
	static const char *const bad[] = {"sha256:../x", "sha256:ab c", "nginx", "sha256:AB",
					  "../x"};
	struct tip_docker_seen seen;
	struct tip_buf b;
	char text[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(text, sizeof(text), "{\"Id\":\"" ID "\",\"Image\":\"%s\"}", bad[i]);
		assert_int_equal(parse(text, &b, &seen), 0);
		assert_string_equal(seen.image, "");
		tip_buf_free(&b);
	}
}

static void probes_of_a_pod(void **state)
{
	struct tip_docker_seen seen;
	struct tip_buf b;

	assert_int_equal(
		parse("{\"Id\":\"" ID "\",\"Config\":{\"Labels\":{"
		      "\"io.kubernetes.pod.uid\":\"u\","
		      "\"io.kubernetes.container.last-applied-config\":\"{\\\"spec\\\":{"
		      "\\\"containers\\\":[{\\\"livenessProbe\\\":{\\\"exec\\\":{\\\"command\\\":"
		      "[\\\"cat\\\",\\\"/tmp/x\\\"]}}}]}}\"}}}",
		      &b, &seen),
		0);
	assert_string_equal(fact(&b, TIP_FACT_POD_UID), "u");
	assert_string_equal(fact(&b, TIP_FACT_LIVENESS), "cat /tmp/x");
	assert_null(fact(&b, TIP_FACT_READINESS));
	tip_buf_free(&b);
}

static void what_is_no_answer(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"Id\":5}",
		"{\"Id\":\"x\"}",
		"{\"Id\":\"" ID "\",\"Id\":\"" ID "\"}",
		"{\"Id\":\"" ID "\"",
	};
	struct tip_docker_seen seen;
	struct tip_buf b;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(parse(bad[i], &b, &seen), -1);
		assert_int_equal(b.len, 0);
		tip_buf_free(&b);
	}
}

static void an_image(void **state)
{
	static const char text[] = "{\"RepoTags\":[\"a/b:1\",\"c:2\"],"
				   "\"RepoDigests\":[\"a/b@sha256:ff\"]}";
	struct tip_error err;
	struct tip_buf b = {0};

	assert_int_equal(tip_docker_image(text, strlen(text), &b, &err), 0);
	assert_string_equal(fact(&b, TIP_FACT_IMAGE_REPOSITORY), "a/b");
	assert_string_equal(fact(&b, TIP_FACT_IMAGE_DIGEST), "sha256:ff");
	assert_int_equal(tip_docker_image("5", 1, &b, &err), -1);
	tip_buf_free(&b);
}

/* However much is said, what alerts are about fits. */
static void labels_leave_room(void **state)
{
	char text[TIP_FACT_TEXT_MAX + 1];
	struct tip_buf b = {0};
	size_t n = 0;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	while (tip_facts_add(&b, TIP_FACT_LABEL, text))
		n++;
	assert_in_range(n, 1, TIP_FACTS_MAX / TIP_FACT_TEXT_MAX);
	assert_true(tip_facts_add(&b, TIP_FACT_CNI_JSON, text));
	assert_true(tip_facts_add(&b, TIP_FACT_NAME, "name"));
	assert_true(b.len <= TIP_FACTS_MAX);
	tip_buf_free(&b);
}

#define ACTOR(id) "\"Actor\":{\"ID\":\"" id "\",\"Attributes\":"

static int event(const char *text, struct tip_buf *b)
{
	struct tip_error err;
	char id[65] = "";
	int ret = tip_docker_event(text, strlen(text), id, b, &err);

	assert_string_equal(id, ret > 0 ? ID : "");
	return ret;
}

static void an_event(void **state)
{
	struct tip_buf b = {0};

	assert_int_equal(
		event("{\"Type\":\"container\",\"Action\":\"create\"," ACTOR(
			      ID) "{\"name\":\"web\",\"image\":\"shop/web:1\",\"app\":\"x\","
				  "\"containerExitCode\":\"0\",\"n\":1,"
				  "\"io.kubernetes.pod.name\":\"p\"}}}",
		      &b),
		1);
	assert_string_equal(fact(&b, TIP_FACT_NAME), "web");
	assert_string_equal(fact(&b, TIP_FACT_IMAGE_REPOSITORY), "shop/web");
	assert_string_equal(fact(&b, TIP_FACT_POD_NAME), "p");
	assert_string_equal(nth(&b, TIP_FACT_LABEL, 0), "app=x");
	assert_string_equal(nth(&b, TIP_FACT_LABEL, 1), "io.kubernetes.pod.name=p");
	assert_null(nth(&b, TIP_FACT_LABEL, 2));
	tip_buf_reset(&b);
	/* nothing but an id is said: it is one all the same */
	assert_int_equal(event("{\"Type\":\"container\",\"Action\":\"init\"," ACTOR(ID) "[]}}", &b),
			 1);
	assert_int_equal(b.len, 0);
	tip_buf_free(&b);
}

static void what_is_no_event(void **state)
{
	static const struct {
		const char *text;
		int ret;
	} all[] = {
		{"{}", 0},
		{"{\"Type\":\"container\",\"Action\":7," ACTOR(ID) "{}}}", 0},
		{"{\"Type\":\"container\",\"Action\":\"die\"," ACTOR(ID) "{}}}", 0},
		{"{\"Type\":\"image\",\"Action\":\"create\"," ACTOR(ID) "{}}}", 0},
		{"{\"Type\":\"container\",\"Action\":\"create\"}", -1},
		{"{\"Type\":\"container\",\"Action\":\"create\"," ACTOR("../x") "{}}}", -1},
		{"{\"Type\":\"container\",\"Action\":\"create\"," ACTOR(ID "0") "{}}}", -1},
		{"", -1},
		{"[]", -1},
		{"{", -1},
	};
	struct tip_buf b = {0};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		assert_int_equal(event(all[i].text, &b), all[i].ret);
		assert_int_equal(b.len, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images),
		cmocka_unit_test(moments),
		cmocka_unit_test(a_container),
		cmocka_unit_test(nothing_but_a_digest_goes_into_a_path),
		cmocka_unit_test(probes_of_a_pod),
		cmocka_unit_test(what_is_no_answer),
		cmocka_unit_test(an_image),
		cmocka_unit_test(labels_leave_room),
		cmocka_unit_test(an_event),
		cmocka_unit_test(what_is_no_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
