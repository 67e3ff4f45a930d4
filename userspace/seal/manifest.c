/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/manifest.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAGIC     0x31464d54u /* "TMF1" */
#define MIGRATING (1u << 0)

bool tip_manifest_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n >= 1 && n <= TIP_MANIFEST_NAME_MAX && name[n] == '\0';
}

void tip_manifest_init(struct tip_manifest *m)
{
	*m = (struct tip_manifest){.records = tip_map_new()};
}

void tip_manifest_clear(struct tip_manifest *m)
{
	tip_map_free(m->records, free);
	*m = (struct tip_manifest){0};
}

struct tip_manifest_record *tip_manifest_put(struct tip_manifest *m, const char *name)
{
	struct tip_manifest_record *r = tip_map_gets(m->records, name);

	if (r)
		return r;
	r = tip_alloc(sizeof(*r));
	memcpy(r->name, name, strlen(name) + 1);
	tip_map_puts(m->records, name, r);
	return r;
}

struct tip_manifest_file *tip_manifest_file(struct tip_manifest *m, const char *name, bool make)
{
	struct tip_manifest_file *f;

	for (size_t i = 0; i < m->nfiles; i++)
		if (!strcmp(m->files[i].name, name))
			return &m->files[i];
	if (!make || m->nfiles == TIP_MANIFEST_FILES)
		return NULL;
	f = &m->files[m->nfiles++];
	*f = (struct tip_manifest_file){0};
	memcpy(f->name, name, strlen(name) + 1);
	return f;
}

/* ---- bytes ------------------------------------------------------------------------------- */

static void put_u32(struct tip_buf *out, uint32_t v)
{
	v = htole32(v);
	tip_buf_add(out, &v, sizeof(v));
}

static void put_u64(struct tip_buf *out, uint64_t v)
{
	v = htole64(v);
	tip_buf_add(out, &v, sizeof(v));
}

static void put_name(struct tip_buf *out, const char *name)
{
	tip_buf_addc(out, (char)strlen(name));
	tip_buf_adds(out, name);
}

void tip_manifest_write(const struct tip_manifest *m, struct tip_buf *out)
{
	const struct tip_manifest_record *r;
	size_t it = 0;

	put_u32(out, MAGIC);
	put_u32(out, m->migrating ? MIGRATING : 0);
	put_u64(out, m->generation);
	put_u32(out, (uint32_t)tip_map_count(m->records));
	put_u32(out, (uint32_t)m->nfiles);
	while ((r = tip_map_next(m->records, &it))) {
		put_name(out, r->name);
		put_u64(out, r->generation);
		put_u32(out, r->size);
	}
	for (size_t i = 0; i < m->nfiles; i++) {
		const struct tip_manifest_file *f = &m->files[i];

		put_name(out, f->name);
		tip_buf_addc(out, (char)f->ndigests);
		tip_buf_add(out, f->digests, (size_t)f->ndigests * TIP_MANIFEST_DIGEST);
	}
}

/* Once anything was out of bounds `bad` stays set and nothing more is read. */
struct reader {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static bool take(struct reader *r, void *out, size_t len)
{
	if (r->bad || len > r->left) {
		r->bad = true;
		memset(out, 0, len);
		return false;
	}
	memcpy(out, r->p, len);
	r->p += len;
	r->left -= len;
	return true;
}

static uint32_t take_u32(struct reader *r)
{
	uint32_t v;

	take(r, &v, sizeof(v));
	return le32toh(v);
}

static uint64_t take_u64(struct reader *r)
{
	uint64_t v;

	take(r, &v, sizeof(v));
	return le64toh(v);
}

static void take_name(struct reader *r, char name[TIP_MANIFEST_NAME_MAX + 1])
{
	uint8_t len = 0;

	memset(name, 0, TIP_MANIFEST_NAME_MAX + 1);
	take(r, &len, 1);
	if (len > TIP_MANIFEST_NAME_MAX)
		r->bad = true;
	else
		take(r, name, len);
	if (strlen(name) != len || !tip_manifest_name_ok(name))
		r->bad = true;
}

static void read_record(struct tip_manifest *m, struct reader *r)
{
	char name[TIP_MANIFEST_NAME_MAX + 1];
	struct tip_manifest_record *made;
	uint64_t generation;
	uint32_t size;

	take_name(r, name);
	generation = take_u64(r);
	size = take_u32(r);
	if (r->bad || generation > m->generation || tip_map_gets(m->records, name)) {
		r->bad = true;
		return;
	}
	made = tip_manifest_put(m, name);
	made->generation = generation;
	made->size = size;
}

static void read_file(struct tip_manifest *m, struct reader *r)
{
	char name[TIP_MANIFEST_NAME_MAX + 1];
	struct tip_manifest_file *f;
	uint8_t n = 0;

	take_name(r, name);
	take(r, &n, 1);
	if (r->bad || n < 1 || n > 2 || tip_manifest_file(m, name, false)) {
		r->bad = true;
		return;
	}
	f = tip_manifest_file(m, name, true);
	if (!f) {
		r->bad = true;
		return;
	}
	f->ndigests = n;
	take(r, f->digests, (size_t)n * TIP_MANIFEST_DIGEST);
}

int tip_manifest_read(struct tip_manifest *m, const void *data, size_t len, size_t max_records,
		      struct tip_error *err)
{
	struct reader r = {.p = data, .left = len};
	uint32_t flags, records, files;

	r.bad = take_u32(&r) != MAGIC;
	flags = take_u32(&r);
	m->migrating = flags & MIGRATING;
	m->generation = take_u64(&r);
	records = take_u32(&r);
	files = take_u32(&r);
	if (flags & ~MIGRATING || records > max_records || files > TIP_MANIFEST_FILES)
		r.bad = true;
	for (uint32_t i = 0; i < records && !r.bad; i++)
		read_record(m, &r);
	for (uint32_t i = 0; i < files && !r.bad; i++)
		read_file(m, &r);
	if (!r.bad && !r.left)
		return 0;
	tip_manifest_clear(m);
	tip_manifest_init(m);
	return tip_error_set(err, "is not a manifest of this version, or damaged");
}
