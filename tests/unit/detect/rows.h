/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_DETECT_ROWS_H
#define TIP_TEST_DETECT_ROWS_H

#include "world.h"

/* What each field says about each event, as text and as JSON. */

struct row {
	const char *field;
	const char *text;
	const char *json;
};

static inline void check(const struct world *w, const struct row *row)
{
	struct tip_matcher *m = tip_matcher_new();
	struct tip_buf output = {0}, text = {0}, json = {0}, want = {0};
	struct tip_load_result res;
	struct tip_rules *r;

	tip_buf_addf(&output, "'<%%%s>'", row->field);
	r = load_rule("", "evt.num >= 0", output.data, &res);
	if (!r) {
		print_messages(&res);
		fail_msg("does not load: %s", row->field);
	}
	tip_rule_render(tip_rules_get(r, 0), m, &w->in, &text, &json);
	tip_buf_addf(&want, "<%s>", row->text);
	assert_string_equal(text.data, want.data);
	tip_buf_reset(&want);
	tip_buf_addf(&want, "\"%s\":%s", row->field, row->json);
	if (strcmp(row->field, "evt.time") != 0)
		assert_string_equal(json.data, want.data);
	tip_buf_free(&output);
	tip_buf_free(&text);
	tip_buf_free(&json);
	tip_buf_free(&want);
	tip_load_result_free(&res);
	tip_rules_free(r);
	tip_matcher_free(m);
}

#define RUN(rows, w)                                                                               \
	for (size_t i_ = 0; i_ < TIP_ARRAY_SIZE(rows); i_++)                                       \
	check(w, &(rows)[i_])

#endif
