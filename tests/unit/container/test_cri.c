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

/* What an event of that kind adds; its result. */
static int event(int kind, const char *id, struct tip_buf *b)
{
	Runtime__V1__ContainerEventResponse m = RUNTIME__V1__CONTAINER_EVENT_RESPONSE__INIT;
	Runtime__V1__ContainerStatus one = RUNTIME__V1__CONTAINER_STATUS__INIT, other = one;
	Runtime__V1__ContainerStatus *all[] = {&other, &one};
	Runtime__V1__PodSandboxStatus pod = RUNTIME__V1__POD_SANDBOX_STATUS__INIT;
	Runtime__V1__PodSandboxMetadata whose = RUNTIME__V1__POD_SANDBOX_METADATA__INIT;
	Runtime__V1__ContainerMetadata name = RUNTIME__V1__CONTAINER_METADATA__INIT, wrong = name;
	struct tip_error err;
	uint8_t out[1000];
	char seen[65] = "";
	int ret;

	name.name = (char *)"web";
	wrong.name = (char *)"sidecar";
	one.id = (char *)ID;
	one.metadata = &name;
	one.image_ref = (char *)"shop/web@sha256:ab";
	other.id = (char *)"f0";
	other.metadata = &wrong;
	whose.name = (char *)"web-7d9";
	pod.id = (char *)OTHER;
	pod.metadata = &whose;
	pod.created_at = 5;
	m.container_id = (char *)id;
	m.container_event_type = kind;
	m.pod_sandbox_status = &pod;
	m.containers_statuses = all;
	m.n_containers_statuses = 2;
	ret = tip_cri_event(out, pack(&m.base, out, sizeof(out)), seen, b, &err);
	assert_string_equal(seen, ret > 0 ? id : "");
	return ret;
}

static void events(void **state)
{
	struct tip_buf b = {0};

	assert_int_equal(event(2, ID, &b), 0);
	assert_int_equal(event(0, "../x", &b), -1);
	assert_int_equal(b.len, 0);
	assert_int_equal(event(0, ID, &b), 1);
	assert_string_equal(fact(&b, TIP_FACT_NAME), "web");
	assert_string_equal(fact(&b, TIP_FACT_IMAGE_DIGEST), "sha256:ab");
	assert_string_equal(fact(&b, TIP_FACT_POD_NAME), "web-7d9");
	assert_null(fact(&b, TIP_FACT_PRIVILEGED)); /* only a verbose status says it */
	assert_null(fact(&b, TIP_FACT_STARTED));
	tip_buf_reset(&b);
	/* the sandbox's own */
	assert_int_equal(event(1, OTHER, &b), 1);
	assert_string_equal(fact(&b, TIP_FACT_POD_SANDBOX), OTHER);
	assert_string_equal(fact(&b, TIP_FACT_STARTED), "5");
	assert_null(fact(&b, TIP_FACT_NAME));
	tip_buf_free(&b);
}

static void whose_events_are_shared(void **state)
{
	static const struct {
		const char *name, *version;
		bool shared;
	} all[] = {
		{"containerd", "v2.0.0", true}, {"containerd", "2.1.3-k3s1", true},
		{"containerd", "10.0", true},   {"containerd", "v1.7.24", false},
		{"containerd", "1.99", false},  {"containerd", "", false},
		{"containerd", "main", false},  {"cri-o", "1.28.0", true},
		{"cri-o", "1.27.9", false},     {"cri-o", "2.0", true},
		{"something", "v9.9.9", false}, {"containerd", "v", false},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		Runtime__V1__VersionResponse m = RUNTIME__V1__VERSION_RESPONSE__INIT;
		struct tip_cri_runtime runtime;
		struct tip_error err;
		uint8_t out[100];

		m.runtime_name = (char *)all[i].name;
		m.runtime_version = (char *)all[i].version;
		assert_int_equal(
			tip_cri_version(out, pack(&m.base, out, sizeof(out)), &runtime, &err), 0);
		assert_int_equal(runtime.shares_events, all[i].shared);
	}
}

static void what_is_no_answer(void **state)
{
	struct tip_buf b = {0};
	struct tip_cri_seen seen = {0};
	struct tip_error err;
	struct tip_cri_runtime runtime;
	char id[65];
	static const uint8_t empty[1], bad[] = {0x0a, 0xff};

	assert_int_equal(tip_cri_status(empty, 0, ID, &b, &seen, &err), -1);
	assert_int_equal(tip_cri_status(bad, 2, ID, &b, &seen, &err), -1);
	assert_int_equal(tip_cri_sandbox(empty, 0, ID, true, &b, &seen, &err), -1);
	assert_int_equal(tip_cri_sandbox(bad, 2, ID, true, &b, &seen, &err), -1);
	assert_int_equal(tip_cri_version(bad, 2, &runtime, &err), -1);
	assert_int_equal(b.len, 0);
	assert_int_equal(tip_cri_event(bad, 2, id, &b, &err), -1);
	assert_int_equal(b.len, 0);
	/* a long name is cut */
	assert_int_equal(
		tip_cri_version((const uint8_t *)"\x12\x28"
						 "0123456789012345678901234567890123456789",
				42, &runtime, &err),
		0);
	assert_string_equal(runtime.name, "0123456789012345678901234567890");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list),
		cmocka_unit_test(images),
		cmocka_unit_test(what_is_no_answer),
		cmocka_unit_test(events),
		cmocka_unit_test(whose_events_are_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
