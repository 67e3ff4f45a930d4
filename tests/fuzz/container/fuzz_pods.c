/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kubelet lists, whole and byte by byte: the same items, none longer than it may be, and
 * of each the facts about any container that it names have the form.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "container/facts.h"
#include "container/items.h"
#include "container/pod.h"

#define LONGEST 4096

static bool is_wanted(void *ctx, const char *id)
{
	if (!tip_facts_is_id(id))
		abort();
	return true;
}

static void on_found(void *ctx, const char *id, const struct tip_buf *facts, bool settled)
{
	size_t at = 0;

	if (!tip_facts_is_id(id) || facts->len > TIP_FACTS_MAX)
		abort();
	while (at < facts->len) {
		unsigned char kind = (unsigned char)facts->data[at];
		size_t len = strnlen(facts->data + at + 1, facts->len - at - 1);

		if (!kind || kind >= TIP_FACT_MAX || !len || len > TIP_FACT_TEXT_MAX ||
		    at + len + 2 > facts->len)
			abort();
		at += len + 2;
	}
}

static void on_item(void *ctx, const char *item, size_t len)
{
	struct tip_error err;
	struct tip_buf *all = ctx;

	if (len > LONGEST)
		abort();
	tip_buf_addf(all, "%d %zu:", item != NULL, len);
	if (!item)
		return;
	tip_buf_add(all, item, len);
	tip_pod_read(item, len, &(struct tip_pod_ops){is_wanted, on_found, NULL}, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_items a = {.max = LONGEST}, b = {.max = LONGEST};
	enum tip_items_state whole, parts = TIP_ITEMS_MORE;
	struct tip_buf x = {0}, y = {0};

	whole = tip_items_feed(&a, (const char *)data, size, on_item, &x);
	for (size_t i = 0; i < size && parts == TIP_ITEMS_MORE; i++)
		parts = tip_items_feed(&b, (const char *)data + i, 1, on_item, &y);
	if (whole != parts || x.len != y.len || (x.len && memcmp(x.data, y.data, x.len) != 0))
		abort();
	tip_items_free(&a);
	tip_items_free(&b);
	tip_buf_free(&x);
	tip_buf_free(&y);
	return 0;
}
