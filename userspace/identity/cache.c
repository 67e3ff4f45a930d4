/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/cache.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/mem.h"
#include "identity/record.h"

#define RECORDS_MAX 100000
#define BYTES_MAX   (64u << 20)

static void record_free(void *p)
{
	struct tip_cache_record *r = p;

	if (!r)
		return;
	OPENSSL_cleanse(r->data, r->len);
	free(r->data);
	free(r->name);
	free(r);
}

int tip_cache_add(struct tip_cache *c, const char *name, const void *data, size_t len)
{
	struct tip_cache_record *r, *before;

	if (!c->records)
		c->records = tip_map_new();
	if (len > TIP_RECORD_MAX || c->bytes + len > BYTES_MAX ||
	    tip_map_count(c->records) >= RECORDS_MAX)
		return -1;
	r = tip_alloc(sizeof(*r));
	r->name = tip_strdup(name);
	r->data = tip_alloc(len + 1);
	r->len = len;
	if (len)
		memcpy(r->data, data, len);
	c->bytes += len;
	before = tip_map_puts(c->records, name, r);
	if (before)
		c->bytes -= before->len;
	record_free(before);
	return 0;
}

const struct tip_cache_record *tip_cache_get(const struct tip_cache *c, const char *name)
{
	return c->records ? tip_map_gets(c->records, name) : NULL;
}

void tip_cache_free(struct tip_cache *c)
{
	tip_map_free(c->records, record_free);
	*c = (struct tip_cache){0};
}
