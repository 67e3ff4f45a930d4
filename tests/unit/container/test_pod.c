/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "container/pod.h"
#include "facts.h"

#define HEX(c) c c c c c c c c c c c c c c c c
#define WEB    HEX("aaaa")
#define BEFORE HEX("bbbb")
#define INIT   HEX("cccc")
#define DEBUG  HEX("dddd")

/* Whoever waits: for one container, or for any. */
struct world {
	const char *wanted; /* NULL: any */
	size_t found;
	bool settled;
	char id[65];
	struct tip_buf facts;
};

static bool is_wanted(void *ctx, const char *id)
{
	const struct world *w = ctx;

	return !w->wanted || strcmp(w->wanted, id) == 0;
}

static void on_found(void *ctx, const char *id, const struct tip_buf *facts, bool settled)
{
	struct world *w = ctx;

	w->found++;
	w->settled = settled;
	snprintf(w->id, sizeof(w->id), "%s", id);
	tip_buf_reset(&w->facts);
	tip_buf_add(&w->facts, facts->data, facts->len);
}

static int ask(struct world *w, const char *wanted, const char *pod)
{
	struct tip_error err;

	w->wanted = wanted;
	w->found = 0;
	return tip_pod_read(pod, strlen(pod), &(struct tip_pod_ops){is_wanted, on_found, w}, &err);
}

static const char pod[] =
	"{\"metadata\":{\"name\":\"web-7d9\",\"namespace\":\"shop\",\"uid\":\"uid-1\","
	"\"labels\":{\"app\":\"web\",\"tier\":\"front\"}},"
	"\"spec\":{\"hostPID\":true,\"volumes\":[{\"name\":\"h\",\"hostPath\":{\"path\":\"/srv/"
	"data\"}},"
	"{\"name\":\"e\",\"emptyDir\":{}}],"
	"\"initContainers\":[{\"name\":\"setup\",\"image\":\"busybox\"}],"
	"\"ephemeralContainers\":[{\"name\":\"debug\",\"image\":\"alpine:3\"}],"
	"\"containers\":[{\"name\":\"sidecar\"},{\"name\":\"web\",\"image\":\"shop/web:1.2\","
	"\"securityContext\":{\"privileged\":true},"
	"\"livenessProbe\":{\"exec\":{\"command\":[\"/bin/true\",\"live\"]}},"
	"\"volumeMounts\":[{\"name\":\"h\",\"mountPath\":\"/data\",\"readOnly\":true,"
	"\"subPath\":\"x\",\"mountPropagation\":\"HostToContainer\"},"
	"{\"name\":\"e\",\"mountPath\":\"/tmp\"},{\"name\":\"h\",\"mountPath\":\"/all\"},"
	"{\"name\":\"h\",\"mountPath\":\"/y\",\"subPathExpr\":\"$(Y)\"}]}]},"
	"\"status\":{\"podIP\":\"10.1.2.3\","
	"\"containerStatuses\":[{\"name\":\"web\",\"containerID\":\"containerd://" WEB "\","
	"\"image\":\"docker.io/shop/web:1.2\",\"imageID\":\"docker.io/shop/web@sha256:12\","
	"\"state\":{\"running\":{\"startedAt\":\"2026-01-02T03:04:06Z\"}},"
	"\"lastState\":{\"terminated\":{\"containerID\":\"containerd://" BEFORE "\","
	"\"startedAt\":\"2026-01-02T03:04:05Z\"}}}],"
	"\"initContainerStatuses\":[{\"name\":\"setup\",\"containerID\":\"cri-o://" INIT "\","
	"\"imageID\":\"sha256:34\","
	"\"state\":{\"terminated\":{\"startedAt\":\"2026-01-02T03:04:04Z\"}}}],"
	"\"ephemeralContainerStatuses\":[{\"name\":\"debug\",\"containerID\":\"docker://" DEBUG
	"\","
	"\"imageID\":\"docker-pullable://alpine@sha256:56\",\"state\":{\"waiting\":{}}}]}}";

static void an_ordinary_container(void **state)
{
	struct world w = {0};

	assert_int_equal(ask(&w, WEB, pod), 0);
	assert_int_equal(w.found, 1);
	assert_string_equal(w.id, WEB);
	assert_true(w.settled);
	assert_string_equal(fact(&w.facts, TIP_FACT_TYPE), "containerd");
	assert_string_equal(fact(&w.facts, TIP_FACT_NAME), "web");
	assert_string_equal(fact(&w.facts, TIP_FACT_IMAGE), "shop/web:1.2");
	assert_string_equal(fact(&w.facts, TIP_FACT_IMAGE_TAG), "1.2");
	assert_string_equal(fact(&w.facts, TIP_FACT_IMAGE_DIGEST), "sha256:12");
	assert_null(fact(&w.facts, TIP_FACT_IMAGE_ID));
	assert_string_equal(fact(&w.facts, TIP_FACT_STARTED), "1767323046000000000");
	assert_string_equal(fact(&w.facts, TIP_FACT_PRIVILEGED), "true");
	assert_string_equal(fact(&w.facts, TIP_FACT_HOST_PID), "true");
	assert_string_equal(fact(&w.facts, TIP_FACT_HOST_NETWORK), "false");
	assert_string_equal(fact(&w.facts, TIP_FACT_HOST_IPC), "false");
	assert_string_equal(fact(&w.facts, TIP_FACT_IP), "10.1.2.3");
	assert_string_equal(fact(&w.facts, TIP_FACT_POD_IP), "10.1.2.3");
	assert_string_equal(fact(&w.facts, TIP_FACT_LIVENESS), "/bin/true live");
	assert_null(fact(&w.facts, TIP_FACT_READINESS));
	assert_string_equal(fact(&w.facts, TIP_FACT_POD_NAME), "web-7d9");
	assert_string_equal(fact(&w.facts, TIP_FACT_POD_UID), "uid-1");
	assert_string_equal(fact(&w.facts, TIP_FACT_NAMESPACE), "shop");
	assert_null(fact(&w.facts, TIP_FACT_POD_SANDBOX));
	assert_string_equal(nth(&w.facts, TIP_FACT_POD_LABEL, 1), "tier=front");
	assert_string_equal(fact(&w.facts, TIP_FACT_MOUNT), "/srv/data/x:/data::false:rslave");
	assert_string_equal(nth(&w.facts, TIP_FACT_MOUNT, 1), "/srv/data:/all::true:private");
	assert_null(nth(&w.facts, TIP_FACT_MOUNT, 2));
	tip_buf_free(&w.facts);
}

static void the_other_kinds(void **state)
{
	struct world w = {0};

	ask(&w, INIT, pod);
	assert_string_equal(fact(&w.facts, TIP_FACT_TYPE), "cri-o");
	assert_string_equal(fact(&w.facts, TIP_FACT_NAME), "setup");
	assert_string_equal(fact(&w.facts, TIP_FACT_IMAGE_ID), "34");
	assert_string_equal(fact(&w.facts, TIP_FACT_STARTED), "1767323044000000000");
	assert_string_equal(fact(&w.facts, TIP_FACT_PRIVILEGED), "false");
	assert_true(w.settled);
	ask(&w, DEBUG, pod);
	assert_string_equal(fact(&w.facts, TIP_FACT_TYPE), "docker");
	assert_string_equal(fact(&w.facts, TIP_FACT_IMAGE), "alpine:3");
	assert_string_equal(fact(&w.facts, TIP_FACT_IMAGE_DIGEST), "sha256:56");
	assert_null(fact(&w.facts, TIP_FACT_STARTED));
	assert_false(w.settled);
	ask(&w, NULL, pod);
	assert_int_equal(w.found, 4);
	tip_buf_free(&w.facts);
}

/* Its image is not known: the pod may have been given another one since. */
static void the_container_before(void **state)
{
	struct world w = {0};

	ask(&w, BEFORE, pod);
	assert_string_equal(fact(&w.facts, TIP_FACT_NAME), "web");
	assert_string_equal(fact(&w.facts, TIP_FACT_POD_NAME), "web-7d9");
	assert_string_equal(fact(&w.facts, TIP_FACT_STARTED), "1767323045000000000");
	assert_null(fact(&w.facts, TIP_FACT_IMAGE));
	assert_null(fact(&w.facts, TIP_FACT_IMAGE_DIGEST));
	tip_buf_free(&w.facts);
}

#define STATUS(more)                                                                               \
	"{\"status\":{\"containerStatuses\":[{\"containerID\":\"containerd://" WEB "\"" more

static void what_is_missing_is_left_out(void **state)
{
	struct world w = {0};

	/* A static pod of the host's network, without a specification of that container. */
	assert_int_equal(ask(&w, WEB,
			     STATUS(",\"name\":\"etcd\",\"image\":\"etcd:3\","
				    "\"state\":{\"running\":{\"startedAt\":"
				    "\"2026-01-02T03:04:06Z\"}}}],\"podIP\":\"192.0.2.1\"},"
				    "\"spec\":{\"hostNetwork\":true}}")),
			 0);
	assert_int_equal(w.found, 1);
	assert_true(w.settled);
	assert_string_equal(fact(&w.facts, TIP_FACT_IMAGE), "etcd:3");
	assert_string_equal(fact(&w.facts, TIP_FACT_HOST_NETWORK), "true");
	assert_null(fact(&w.facts, TIP_FACT_POD_IP));
	assert_null(fact(&w.facts, TIP_FACT_IP));
	assert_null(fact(&w.facts, TIP_FACT_PRIVILEGED));
	/* Only an ID. */
	assert_int_equal(ask(&w, WEB, STATUS("}]}}")), 0);
	assert_int_equal(w.found, 1);
	assert_false(w.settled);
	assert_null(fact(&w.facts, TIP_FACT_NAME));
	/* No status at all, and one that is not wanted: not even parsed. */
	assert_int_equal(ask(&w, NULL, "{\"metadata\":{\"name\":\"x\"}}"), 0);
	assert_int_equal(ask(&w, BEFORE, STATUS("")), 0);
	assert_int_equal(w.found, 0);
	tip_buf_free(&w.facts);
}

static void hostile(void **state)
{
	static const char *const refused[] = {
		STATUS(""),
		STATUS(",\"a\":1,\"a\":2}]}}"),
		STATUS(",\"name\":\"\xff\"}]}}"),
		"[\"containerd://" WEB "\"]",
		"\"containerd://" WEB "\"",
	};
	static const char *const nothing[] = {
		/* an ID where none belongs, of another form, or of another kind */
		"{\"metadata\":{\"annotations\":{\"a\":\"containerd://" WEB "\"}}}",
		"{\"status\":{\"containerStatuses\":{\"containerID\":\"containerd://" WEB "\"}}}",
		"{\"status\":{\"containerStatuses\":[[\"containerd://" WEB "\"]]}}",
		"{\"status\":{\"containerStatuses\":[{\"containerID\":[\"containerd://" WEB
		"\"]}]}}",
		"{\"status\":{\"containerStatuses\":[{\"containerID\":\"containerd://" WEB
		"0\"}]}}",
		"{\"status\":{\"containerStatuses\":[{\"containerID\":"
		"\"a-name-that-no-runtime-would-have-since-it-is-long://" WEB "\"}]}}",
	};
	struct world w = {0};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(ask(&w, WEB, refused[i]), -1);
		assert_int_equal(w.found, 0);
	}
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		assert_int_equal(ask(&w, WEB, nothing[i]), 0);
		assert_int_equal(w.found, 0);
	}
	/* Other kinds than wanted everywhere. */
	assert_int_equal(ask(&w, WEB,
			     STATUS(",\"name\":7,\"state\":[],\"lastState\":null,\"imageID\":{}}]},"
				    "\"spec\":{\"containers\":7,\"volumes\":{}},\"metadata\":[]}")),
			 0);
	assert_int_equal(w.found, 1);
	tip_buf_free(&w.facts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ordinary_container),
		cmocka_unit_test(the_other_kinds),
		cmocka_unit_test(the_container_before),
		cmocka_unit_test(what_is_missing_is_left_out),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
