/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tipstaffd/runtime_request.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void questions(void **state)
{
	struct tip_buf b = {0};

	assert_true(tip_runtime_request(TIP_RUNTIME_DOCKER, TIP_ASK_CONTAINER, ID, &b));
	assert_memory_equal(b.data, "GET /containers/" ID "/json HTTP/1.1\r\n", 95);
	tip_buf_reset(&b);
	assert_true(tip_runtime_request(TIP_RUNTIME_PODMAN, TIP_ASK_IMAGE, "sha256:" ID, &b));
	assert_memory_equal(b.data, "GET /images/sha256:" ID "/json", 88);
	tip_buf_reset(&b);
	assert_true(tip_runtime_request(TIP_RUNTIME_CRI, TIP_ASK_CRI_STATUS, ID, &b));
	assert_memory_equal(b.data, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	/* the last bytes: container_id and verbose */
	assert_memory_equal(b.data + b.len - 68, "\x0a\x40" ID "\x10\x01", 68);
	tip_buf_reset(&b);
	assert_true(tip_runtime_request(TIP_RUNTIME_PODMAN, TIP_ASK_EVENTS, "", &b));
	assert_memory_equal(b.data, "GET /events?filters=%7B%22type%22%3A%5B%22container%22%5D",
			    57);
	tip_buf_reset(&b);
	assert_true(tip_runtime_request(TIP_RUNTIME_CRI, TIP_ASK_CRI_EVENTS, "", &b));
	/* the windows are as wide as they can be: the stream's, then the connection's */
	assert_memory_equal(b.data + 24, "\0\0\6\4\0\0\0\0\0\0\4\x7f\xff\xff\xff", 15);
	assert_memory_equal(b.data + 48, "\0\0\4\x8\0\0\0\0\0\x7f\xff\0\0", 13);
	assert_true(tip_runtime_endless(TIP_ASK_EVENTS));
	assert_true(tip_runtime_endless(TIP_ASK_CRI_EVENTS));
	assert_false(tip_runtime_endless(TIP_ASK_CRI_VERSION));
	tip_buf_free(&b);
}

/* Nothing of what the front says gets into a request but an id. */
static void no_questions(void **state)
{
	static const struct {
		enum tip_runtime kind;
		uint32_t question;
		const char *name;
	} bad[] = {
		{TIP_RUNTIME_DOCKER, TIP_ASK_CONTAINER, ""},
		{TIP_RUNTIME_DOCKER, TIP_ASK_CONTAINER, "../images/x"},
		{TIP_RUNTIME_DOCKER, TIP_ASK_CONTAINER, ID "0"},
		{TIP_RUNTIME_DOCKER, TIP_ASK_CONTAINER, "x\r\nDELETE /"},
		{TIP_RUNTIME_DOCKER, TIP_ASK_IMAGE, ID},
		{TIP_RUNTIME_DOCKER, TIP_ASK_IMAGE, "sha256:ab/../x"},
		{TIP_RUNTIME_DOCKER, TIP_ASK_CRI_LIST, ID},
		{TIP_RUNTIME_DOCKER, 77, ID},
		{TIP_RUNTIME_CRI, TIP_ASK_CONTAINER, ID},
		{TIP_RUNTIME_CRI, TIP_ASK_CRI_LIST, "x"},
		{TIP_RUNTIME_CRI, 77, ID},
		{TIP_RUNTIME_CRI, TIP_ASK_EVENTS, ""},
		{TIP_RUNTIME_DOCKER, TIP_ASK_CRI_EVENTS, ""},
	};
	struct tip_buf b = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(tip_runtime_request(bad[i].kind, bad[i].question, bad[i].name, &b));
		assert_int_equal(b.len, 0);
	}
	tip_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions),
		cmocka_unit_test(no_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
