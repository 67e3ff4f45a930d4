/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer says after the handshake besides data, in whole records and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "mtls/post.h"

#define SAID(said, bytes) {said, (const uint8_t *)(bytes), sizeof(bytes) - 1}

struct record {
	enum tip_post_said said;
	const uint8_t *bytes;
	size_t len;
};

/* The last word counts: what comes before it is nothing. */
static enum tip_post_said in_pieces(bool alert, bool server, const struct record *r, size_t piece)
{
	enum tip_post_said said = TIP_POST_NOTHING;
	struct tip_post p = {0};

	for (size_t at = 0; at < r->len && !said; at += piece) {
		size_t n = r->len - at < piece ? r->len - at : piece;

		said = alert ? tip_post_alert(&p, r->bytes + at, n)
			     : tip_post_handshake(&p, server, r->bytes + at, n);
	}
	return said;
}

static void test_alerts(void **state)
{
	static const struct record alerts[] = {
		SAID(TIP_POST_CLOSE, "\x01\x00"),   SAID(TIP_POST_CLOSE, "\x02\x00"),
		SAID(TIP_POST_NOTHING, "\x01\x5a"), SAID(TIP_POST_CLOSE, "\x01\x5a\x01\x00"),
		SAID(TIP_POST_ALERT, "\x02\x50"),   SAID(TIP_POST_ALERT, "\x01\x50"),
		SAID(TIP_POST_NOTHING, "\x01"),
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(alerts); i++)
		for (size_t piece = 1; piece < 3; piece++)
			assert_int_equal(in_pieces(true, true, &alerts[i], piece), alerts[i].said);
}

static void test_messages(void **state)
{
	static const struct record messages[] = {
		SAID(TIP_POST_NOTHING, "\x04\x00\x00\x03xyz"),
		SAID(TIP_POST_NOTHING, "\x04\x00\x00\x00\x04\x00\x00\x01x"),
		SAID(TIP_POST_UPDATE, "\x18\x00\x00\x01\x00"),
		SAID(TIP_POST_UPDATE_ASKED, "\x18\x00\x00\x01\x01"),
		SAID(TIP_POST_UPDATE, "\x04\x00\x00\x02xy\x18\x00\x00\x01\x00"),
		SAID(TIP_POST_BAD, "\x18\x00\x00\x01\x02"),
		SAID(TIP_POST_BAD, "\x18\x00\x00\x02\x00\x00"),
		SAID(TIP_POST_BAD, "\x18\x00\x00\x00"),
		SAID(TIP_POST_BAD, "\x01\x00\x00\x00"),
		SAID(TIP_POST_BAD, "\x0d\x00\x00\x00"),
		SAID(TIP_POST_NOTHING, "\x18\x00\x00"),
	};
	static const struct record behind = SAID(TIP_POST_BAD, "\x18\x00\x00\x01\x00\x04");
	static const struct record ticket = SAID(TIP_POST_BAD, "\x04\x00\x00\x03xyz");

	for (size_t i = 0; i < TIP_ARRAY_SIZE(messages); i++)
		for (size_t piece = 1; piece < 12; piece++)
			assert_int_equal(in_pieces(false, true, &messages[i], piece),
					 messages[i].said);
	/* Nothing may follow in the record of a KeyUpdate; and no client gives tickets. */
	assert_int_equal(in_pieces(false, true, &behind, 6), TIP_POST_BAD);
	assert_int_equal(in_pieces(false, false, &ticket, 7), TIP_POST_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alerts),
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
