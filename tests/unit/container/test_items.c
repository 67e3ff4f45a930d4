/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "container/items.h"

#define LONGEST 16

static void on_item(void *ctx, const char *item, size_t len)
{
	struct tip_buf *all = ctx;

	tip_buf_addf(all, "%.*s;", item ? (int)len : 4, item ? item : "LONG");
}

/* Feeds `text` in parts of that size; what came of it. */
static enum tip_items_state feed(const char *text, size_t part, struct tip_buf *all)
{
	struct tip_items t = {.max = LONGEST};
	enum tip_items_state state = TIP_ITEMS_MORE;
	size_t len = strlen(text);

	tip_buf_reset(all);
	for (size_t at = 0; at < len && state == TIP_ITEMS_MORE; at += part)
		state = tip_items_feed(&t, text + at, len - at < part ? len - at : part, on_item,
				       all);
	tip_items_free(&t);
	return state;
}

static void lists(void **state)
{
	static const struct {
		const char *text, *items;
		enum tip_items_state state;
	} all[] = {
		{"{\"kind\":\"PodList\",\"items\":[{\"a\":1},{\"b\":[2]}]}\n",
		 "{\"a\":1};{\"b\":[2]};", TIP_ITEMS_DONE},
		{" {\"items\" : [ {} , [] ] , \"x\":1}", "{};[];", TIP_ITEMS_DONE},
		{"{\"items\":null}", "", TIP_ITEMS_DONE},
		{"{\"items\":[]}", "", TIP_ITEMS_DONE},
		/* what is in strings, or elsewhere, is none of it */
		{"{\"a\":\"items\",\"b\":[{}],\"items\":[{}]}", "{};", TIP_ITEMS_DONE},
		{"{\"a\":{\"items\":[{}]},\"items\":[]}", "", TIP_ITEMS_DONE},
		{"{\"x\":\"\\\"}]\",\"items\":[{\"}\":\"]\\\\\"}]}", "{\"}\":\"]\\\\\"};",
		 TIP_ITEMS_DONE},
		/* one that is too long is left out, and the next one is there */
		{"{\"items\":[{\"a\":\"0123456789abcdef\"},{}]}", "LONG;{};", TIP_ITEMS_DONE},
		{"{\"items\":[1,\"{\",true,{}]}", "{};", TIP_ITEMS_DONE},
		{"{\"items\":[{}]} junk", "{};", TIP_ITEMS_DONE},
		{"{\"items\":[{}", "{};", TIP_ITEMS_MORE},
		{"{\"items\":[{", "", TIP_ITEMS_MORE},
		{"{\"Items\":[{}]}", "", TIP_ITEMS_BAD},
		{"{\"itemsx\":[{}]}", "", TIP_ITEMS_BAD},
		{"{\"item\\u0073\":[{}]}", "", TIP_ITEMS_BAD},
		{"{\"items\":[{}],\"items\":[{}]}", "{};", TIP_ITEMS_BAD},
		{"{\"items\":[{}}", "{};", TIP_ITEMS_BAD},
		{"{\"items\":[]]", "", TIP_ITEMS_BAD},
		{"[{\"items\":[{}]}]", "", TIP_ITEMS_BAD},
		{"\"items\"", "", TIP_ITEMS_BAD},
		{"Unauthorized", "", TIP_ITEMS_BAD},
		{"{}", "", TIP_ITEMS_BAD},
		{"}", "", TIP_ITEMS_BAD},
	};
	struct tip_buf got = {0};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (size_t part = 1; part < 60; part += 7) {
			assert_int_equal(feed(all[i].text, part, &got), all[i].state);
			assert_string_equal(got.len ? got.data : "", all[i].items);
		}
	}
	tip_buf_free(&got);
}

static void depth_is_bounded(void **state)
{
	struct tip_buf deep = {0}, got = {0};

	tip_buf_adds(&deep, "{\"items\":");
	for (int i = 0; i < 100000; i++)
		tip_buf_addc(&deep, '[');
	assert_int_equal(feed(deep.data, 4096, &got), TIP_ITEMS_BAD);
	tip_buf_free(&deep);
	tip_buf_free(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
