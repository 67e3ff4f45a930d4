/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "container/cri.h"
#include "facts.h"
#include "proto/cri.pb-c.h"

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static size_t pack(const ProtobufCMessage *m, uint8_t *out, size_t size)
{
	assert_true(protobuf_c_message_get_packed_size(m) <= size);
	return protobuf_c_message_pack(m, out);
}

static void a_list(void **state)
{
	Runtime__V1__Container a = RUNTIME__V1__CONTAINER__INIT, c = a, *all[] = {&a, &c};
	Runtime__V1__ListContainersResponse m = RUNTIME__V1__LIST_CONTAINERS_RESPONSE__INIT;
	struct tip_cri_seen seen;
	struct tip_error err;
	uint8_t out[500];
	size_t len;

	a.id = (char *)OTHER;
	a.pod_sandbox_id = (char *)OTHER;
	c.id = (char *)ID;
	c.pod_sandbox_id = (char *)"../x";
	m.containers = all;
	m.n_containers = 2;
	len = pack(&m.base, out, sizeof(out));
	assert_int_equal(tip_cri_list(out, len, ID, &seen, &err), 0);
	assert_string_equal(seen.sandbox, "");
	assert_int_equal(tip_cri_list(out, len, OTHER, &seen, &err), 0);
	assert_string_equal(seen.sandbox, OTHER);
	assert_int_equal(tip_cri_list((const uint8_t *)"\xff", 1, ID, &seen, &err), -1);
}

/* The facts about the image, when the runtime says of it what it says. */
static void image(const char *name, const char *ref, const char *info, struct tip_buf *facts)
{
	Runtime__V1__ContainerStatusResponse__InfoEntry
		e = RUNTIME__V1__CONTAINER_STATUS_RESPONSE__INFO_ENTRY__INIT,
		*entries[] = {&e};
	Runtime__V1__ContainerStatusResponse m = RUNTIME__V1__CONTAINER_STATUS_RESPONSE__INIT;
	Runtime__V1__ContainerStatus s = RUNTIME__V1__CONTAINER_STATUS__INIT;
	Runtime__V1__ImageSpec i = RUNTIME__V1__IMAGE_SPEC__INIT;
	struct tip_cri_seen seen = {0};
	struct tip_error err;
	uint8_t out[1000];

	s.id = (char *)ID;
	s.image = &i;
	i.image = (char *)name;
	s.image_ref = (char *)ref;
	m.status = &s;
	e.key = (char *)"info";
	e.value = (char *)info;
	m.info = entries;
	m.n_info = 1;
	*facts = (struct tip_buf){0};
	assert_int_equal(
		tip_cri_status(out, pack(&m.base, out, sizeof(out)), ID, facts, &seen, &err), 0);
	assert_int_equal(
		tip_cri_status(out, pack(&m.base, out, sizeof(out)), OTHER, facts, &seen, &err),
		-1);
}

static void images(void **state)
{
	struct tip_buf b;

	image("docker.io/a/b:1", "docker.io/a/b@sha256:ff", "", &b);
	assert_string_equal(fact(&b, TIP_FACT_IMAGE_REPOSITORY), "docker.io/a/b");
	assert_string_equal(fact(&b, TIP_FACT_IMAGE_DIGEST), "sha256:ff");
	assert_string_equal(fact(&b, TIP_FACT_PRIVILEGED), "false");
	tip_buf_free(&b);
	image("sha256:12", "sha256:ff",
	      "{\"runtimeSpec\":{\"annotations\":{\"io.kubernetes.cri-o.ImageName\":\"a/b:2\"}},"
	      "\"privileged\":true}",
	      &b);
	assert_string_equal(fact(&b, TIP_FACT_IMAGE), "a/b:2");
	assert_string_equal(fact(&b, TIP_FACT_IMAGE_TAG), "2");
	assert_string_equal(fact(&b, TIP_FACT_IMAGE_DIGEST), "sha256:ff");
	assert_string_equal(fact(&b, TIP_FACT_PRIVILEGED), "true");
	tip_buf_free(&b);
	image("", "", "no JSON", &b);
	assert_null(fact(&b, TIP_FACT_IMAGE));
	tip_buf_free(&b);
}

static void what_is_no_answer(void **state)
{
	struct tip_buf b = {0};
	struct tip_cri_seen seen = {0};
	struct tip_error err;
	char name[8];
	static const uint8_t empty[1], bad[] = {0x0a, 0xff};

	assert_int_equal(tip_cri_status(empty, 0, ID, &b, &seen, &err), -1);
	assert_int_equal(tip_cri_status(bad, 2, ID, &b, &seen, &err), -1);
	assert_int_equal(tip_cri_sandbox(empty, 0, ID, true, &b, &seen, &err), -1);
	assert_int_equal(tip_cri_sandbox(bad, 2, ID, true, &b, &seen, &err), -1);
	assert_int_equal(tip_cri_version(bad, 2, name, sizeof(name), &err), -1);
	assert_int_equal(b.len, 0);
	/* a long name is cut */
	assert_int_equal(tip_cri_version((const uint8_t *)"\x12\x0a"
							  "containerd",
					 12, name, sizeof(name), &err),
			 0);
	assert_string_equal(name, "contain");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list),
		cmocka_unit_test(images),
		cmocka_unit_test(what_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
