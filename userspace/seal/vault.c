/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/vault_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

char *tip_vault_path(const struct tip_vault *v, const char *name)
{
	return tip_sprintf("%s/%s", v->dir, name);
}

const struct tip_box_key *tip_vault_key_of(const struct tip_vault *v, const void *data, size_t len)
{
	for (size_t i = 0; i < v->keys.count; i++)
		if (tip_box_is_of(data, len, &v->keys.keys[i]))
			return &v->keys.keys[i];
	return NULL;
}

/* ---- writing ----------------------------------------------------------------------------- */

static int write_sealed(struct tip_vault *v, const char *name, uint64_t generation,
			const void *data, size_t len, const char *path, struct tip_error *err)
{
	struct tip_box_label label = {v->instance, name};
	struct tip_buf b = {0};
	int ret = tip_box_seal(tip_vault_key(v), &label, generation, data, len, &b, err);

	if (ret == 0)
		ret = tip_file_write(path, b.data, b.len, 0600, err);
	tip_buf_free(&b);
	return ret;
}

int tip_vault_write(struct tip_vault *v, const char *name, const void *data, size_t len,
		    struct tip_error *err)
{
	/* Also of a write that fails: no two records ever have one generation. */
	uint64_t generation = ++v->manifest.generation;
	struct tip_manifest_record *r;
	char *path = tip_vault_path(v, name);
	int ret;

	if (tip_vault_key(v))
		ret = write_sealed(v, name, generation, data, len, path, err);
	else
		ret = tip_file_write(path, data, len, 0600, err);
	free(path);
	if (ret < 0)
		return -1;
	r = tip_manifest_put(&v->manifest, name);
	v->bytes += len - r->size;
	r->size = (uint32_t)len;
	r->generation = generation;
	v->dirty = true;
	return 0;
}

int tip_vault_write_manifest(struct tip_vault *v, struct tip_error *err)
{
	struct tip_buf b = {0};
	int ret = 0;

	if (tip_vault_key(v)) {
		tip_manifest_write(&v->manifest, &b);
		ret = write_sealed(v, TIP_VAULT_MANIFEST_LABEL, v->manifest.generation, b.data,
				   b.len, v->manifest_path, err);
	}
	tip_buf_free(&b);
	if (ret == 0)
		v->dirty = false;
	return ret;
}

void tip_vault_flush(struct tip_vault *v)
{
	struct tip_error err;
	char text[1200];

	if (!v->dirty || tip_vault_write_manifest(v, &err) == 0)
		return;
	v->failed++;
	tip_err(ROOM, "the cache's manifest cannot be written: %s",
		tip_error_str(&err, text, sizeof(text)));
}

static int check_limits(struct tip_vault *v, const char *name, const void *data, size_t len,
			struct tip_error *err)
{
	const struct tip_manifest_record *r;

	if (!tip_manifest_name_ok(name))
		return tip_error_set(err, "a record of a bad name");
	if (len > TIP_VAULT_RECORD_MAX)
		return tip_error_set(err, "%s has %zu bytes, more than %d", name, len,
				     TIP_VAULT_RECORD_MAX);
	/* In clear it would be taken for a sealed one, and stop the next start. */
	if (tip_box_is(data, len))
		return tip_error_set(err, "%s begins as a sealed record does", name);
	r = tip_map_gets(v->manifest.records, name);
	if (!r && tip_map_count(v->manifest.records) >= TIP_VAULT_RECORDS_MAX)
		return tip_error_set(err, "there are %d records already", TIP_VAULT_RECORDS_MAX);
	if (v->bytes - (r ? r->size : 0) + len > TIP_VAULT_BYTES_MAX)
		return tip_error_set(err, "there are %zu bytes of records already", v->bytes);
	return 0;
}

int tip_vault_save(struct tip_vault *v, const char *name, const void *data, size_t len,
		   struct tip_error *err)
{
	if (check_limits(v, name, data, len, err) < 0) {
		v->refused++;
		if (!v->told_refused)
			tip_warn(ROOM,
				 "a record is not kept, and further ones are only counted: %s",
				 err->text);
		v->told_refused = true;
		return -1;
	}
	if (tip_vault_write(v, name, data, len, err) == 0)
		return 0;
	v->failed++;
	return -1;
}

static void drop(struct tip_vault *v, const char *name)
{
	struct tip_manifest_record *r = tip_map_dels(v->manifest.records, name);

	if (!r)
		return;
	v->bytes -= r->size;
	v->dirty = true;
	free(r);
}

int tip_vault_forget(struct tip_vault *v, const char *name, struct tip_error *err)
{
	char *path;
	int ret = 0;

	if (!tip_manifest_name_ok(name))
		return tip_error_set(err, "a record of a bad name");
	path = tip_vault_path(v, name);
	if (unlink(path) < 0 && errno != ENOENT)
		ret = tip_error_at(err, path, 0, 0, "%s", strerror(errno));
	else
		drop(v, name);
	free(path);
	return ret;
}

/* ---- reading ----------------------------------------------------------------------------- */

void tip_vault_bad(struct tip_vault *v, const char *name, const char *why)
{
	char *path = tip_vault_path(v, name), *aside = tip_sprintf("%s.bad", path);
	bool disposable = !strncmp(name, TIP_VAULT_DISPOSABLE, strlen(TIP_VAULT_DISPOSABLE));

	v->bad++;
	if (disposable)
		tip_warn(ROOM, "cache: the record \"%s\" %s; it is made anew", name, why);
	else
		tip_err(ROOM, "cache: the record \"%s\" %s; it is set aside as %s", name, why,
			aside);
	if ((disposable ? unlink(path) : rename(path, aside)) < 0 && errno != ENOENT)
		tip_err(ROOM, "%s: %s", path, strerror(errno));
	drop(v, name);
	free(path);
	free(aside);
}

/*
 * While we live, nothing but the very record that we wrote is taken. 0; 1 with `err` when the file
 * cannot be read now; -1 with `err` when it is not what it should be.
 */
static int read_record(struct tip_vault *v, const struct tip_manifest_record *r,
		       struct tip_buf *file, struct tip_buf *plain, struct tip_error *err)
{
	struct tip_box_label label = {v->instance, r->name};
	char *path = tip_vault_path(v, r->name);
	uint64_t generation;
	int ret = 1;

	if (tip_file_read(path, TIP_VAULT_RECORD_MAX + TIP_BOX_OVERHEAD, file, err) < 0)
		goto out;
	ret = -1;
	if (!tip_vault_key(v)) {
		tip_buf_add(plain, file->data, file->len);
		ret = 0;
		goto out;
	}
	if (tip_box_open(tip_vault_key(v), &label, file->data, file->len, plain, &generation, err) <
	    0)
		goto out;
	ret = generation == r->generation
		      ? 0
		      : tip_error_set(err, "is not the one that was written last");
out:
	free(path);
	return ret;
}

void tip_vault_each(struct tip_vault *v,
		    void (*fn)(void *ctx, const char *name, const void *data, size_t len),
		    void *ctx)
{
	const struct tip_manifest_record *r;
	char name[TIP_MANIFEST_NAME_MAX + 1], text[1200];
	struct tip_buf file = {0}, plain = {0};
	struct tip_error err;
	size_t it = 0;
	int ret;

	/* All of it at once: a buffer that moves leaves a key behind. */
	tip_buf_reserve(&file, 2 * TIP_VAULT_RECORD_MAX);
	tip_buf_reserve(&plain, 2 * TIP_VAULT_RECORD_MAX);
	while ((r = tip_map_next(v->manifest.records, &it))) {
		tip_buf_reset(&file);
		tip_buf_reset(&plain);
		ret = read_record(v, r, &file, &plain, &err);
		if (ret == 0) {
			fn(ctx, r->name, plain.data, plain.len);
		} else if (ret > 0) {
			v->bad++;
			tip_warn(ROOM, "cache: %s", tip_error_str(&err, text, sizeof(text)));
		} else {
			memcpy(name, r->name, sizeof(name)); /* `r` goes with the record */
			tip_vault_bad(v, name, err.text);
		}
	}
	tip_box_wipe(&file);
	tip_box_wipe(&plain);
}

/* ---- life -------------------------------------------------------------------------------- */

struct tip_vault *tip_vault_open(const char *state_dir, const char *instance,
				 const struct tip_seal_keys *keys, struct tip_error *err)
{
	struct tip_vault *v = tip_alloc(sizeof(*v));

	v->dir = tip_sprintf("%s/cache", state_dir);
	v->manifest_path = tip_sprintf("%s/cache.manifest", state_dir);
	v->instance = tip_strdup(instance);
	v->keys = *keys;
	tip_manifest_init(&v->manifest);
	if (tip_mkdir_p(v->dir, 0700, err) == 0 && tip_vault_adopt(v, err) == 0)
		return v;
	v->dirty = false;
	tip_vault_free(v);
	return NULL;
}

void tip_vault_free(struct tip_vault *v)
{
	if (!v)
		return;
	tip_vault_flush(v);
	tip_manifest_clear(&v->manifest);
	tip_seal_keys_wipe(&v->keys);
	free(v->dir);
	free(v->manifest_path);
	free(v->instance);
	free(v);
}

void tip_vault_stats(const struct tip_vault *v, struct tip_vault_stats *out)
{
	*out = (struct tip_vault_stats){
		.by = v->keys.by,
		.why = v->keys.why,
		.records = tip_map_count(v->manifest.records),
		.bytes = v->bytes,
		.bad = v->bad,
		.refused = v->refused,
		.failed = v->failed,
	};
}
