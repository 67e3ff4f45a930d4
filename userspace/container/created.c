/* SPDX-License-Identifier: Apache-2.0 */
#include "container/created.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/map.h"
#include "base/mem.h"

struct box {
	TAILQ_ENTRY(box) link; /* the oldest first */
	char id[65];
	bool whole;
	uint64_t since_ns;
	size_t len;
	char facts[];
};

struct tip_created {
	struct tip_map *by_id;
	TAILQ_HEAD(, box) by_age;
	size_t bytes;
};

struct tip_created *tip_created_new(void)
{
	struct tip_created *c = tip_alloc(sizeof(*c));

	c->by_id = tip_map_new();
	TAILQ_INIT(&c->by_age);
	return c;
}

void tip_created_free(struct tip_created *c)
{
	if (!c)
		return;
	tip_map_free(c->by_id, free);
	free(c);
}

static void drop(struct tip_created *c, struct box *b)
{
	TAILQ_REMOVE(&c->by_age, b, link);
	tip_map_dels(c->by_id, b->id);
	c->bytes -= b->len;
	free(b);
}

/* Makes room for `len` bytes. */
static void forget_old(struct tip_created *c, size_t len, uint64_t now_ns)
{
	struct box *next;

	for (struct box *b = TAILQ_FIRST(&c->by_age); b; b = next) {
		bool full = tip_map_count(c->by_id) >= TIP_CREATED_MAX ||
			    c->bytes + len > TIP_CREATED_BYTES;

		if (!full && now_ns - b->since_ns <= TIP_CREATED_NS)
			return;
		next = TAILQ_NEXT(b, link);
		drop(c, b);
	}
}

void tip_created_put(struct tip_created *c, const char *id, const struct tip_buf *facts, bool whole,
		     uint64_t now_ns)
{
	struct box *b = tip_map_gets(c->by_id, id);

	if (b && b->whole && !whole)
		return;
	if (b)
		drop(c, b);
	if (facts->len > TIP_CREATED_BYTES)
		return;
	forget_old(c, facts->len, now_ns);
	b = tip_alloc(sizeof(*b) + facts->len);
	snprintf(b->id, sizeof(b->id), "%s", id);
	b->whole = whole;
	b->since_ns = now_ns;
	b->len = facts->len;
	if (facts->len)
		memcpy(b->facts, facts->data, facts->len);
	TAILQ_INSERT_TAIL(&c->by_age, b, link);
	tip_map_puts(c->by_id, b->id, b);
	c->bytes += b->len;
}

bool tip_created_get(struct tip_created *c, const char *id, uint64_t now_ns,
		     struct tip_created_box *out)
{
	const struct box *b = tip_map_gets(c->by_id, id);

	if (!b || now_ns - b->since_ns > TIP_CREATED_NS)
		return false;
	*out = (struct tip_created_box){b->facts, b->len, b->whole};
	return true;
}

void tip_created_del(struct tip_created *c, const char *id)
{
	struct box *b = tip_map_gets(c->by_id, id);

	if (b)
		drop(c, b);
}

size_t tip_created_count(const struct tip_created *c)
{
	return tip_map_count(c->by_id);
}
