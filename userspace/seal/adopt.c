/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/vault_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

/*
 * A start: what is in the folder is held against the manifest, and written anew where it is not as
 * it should be. Every step leaves a folder that the next start can take over, be it after a crash.
 */
#define MANIFEST_MAX (4u << 20)
#define FILE_MAX     (TIP_VAULT_RECORD_MAX + TIP_BOX_OVERHEAD)

struct adoption {
	struct tip_vault *v;
	bool have;    /* there is a manifest: */
	bool settled; /* ... sealed with the key that is to seal */
	struct tip_manifest old;
	char **files; /* all that are there */
	size_t nfiles;
	const char **paths; /* of them, the records */
	size_t count;
	bool plain_ok; /* records in clear are taken */
	size_t sealed, unsealed, resealed;
};

static const char *name_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

static bool is_disposable(const char *name)
{
	return !strncmp(name, TIP_VAULT_DISPOSABLE, strlen(TIP_VAULT_DISPOSABLE));
}

/* ---- looking ----------------------------------------------------------------------------- */

static int foreign(const struct tip_vault *v, const char *path, struct tip_error *err)
{
	return tip_error_at(err, path, 0, 0,
			    "is sealed with a key that is not at hand. Bring the key back (the "
			    "credential, as " TIP_SEAL_CREDENTIAL_NAME
			    " or " TIP_SEAL_OLD_CREDENTIAL_NAME
			    ", or the TPM); if it is lost, remove %s and %s: a new authority is "
			    "made then",
			    v->dir, v->manifest_path);
}

static int open_manifest(struct adoption *a, const struct tip_buf *file, struct tip_error *err)
{
	struct tip_vault *v = a->v;
	const struct tip_box_key *key = tip_vault_key_of(v, file->data, file->len);
	struct tip_box_label label = {v->instance, TIP_VAULT_MANIFEST_LABEL};
	struct tip_buf plain = {0};
	struct tip_error why;
	uint64_t generation;
	int ret = -1;

	if (!key && tip_box_is(file->data, file->len))
		return foreign(v, v->manifest_path, err);
	if (!key)
		tip_error_set(&why, "is damaged");
	else if (tip_box_open(key, &label, file->data, file->len, &plain, &generation, &why) == 0)
		ret = tip_manifest_read(&a->old, plain.data, plain.len, TIP_VAULT_RECORDS_MAX,
					&why);
	a->settled = key == tip_vault_key(v) && !a->old.migrating;
	tip_buf_free(&plain);
	if (ret < 0)
		tip_error_at(err, v->manifest_path, 0, 0,
			     "%s. Is `instance` what it was? To go on without the manifest remove "
			     "it: the authority is kept, SVIDs are made anew, and nothing tells "
			     "whether the records are the last ones",
			     why.text);
	return ret;
}

static int read_manifest(struct adoption *a, struct tip_error *err)
{
	struct tip_buf file = {0};
	struct stat st;
	int ret = 0;

	a->have = stat(a->v->manifest_path, &st) == 0 || errno != ENOENT;
	if (a->have) {
		ret = tip_file_read(a->v->manifest_path, MANIFEST_MAX, &file, err);
		if (ret == 0)
			ret = open_manifest(a, &file, err);
	}
	tip_buf_free(&file);
	return ret;
}

/* The files with names of records; the rest is not ours. */
static int list_records(struct adoption *a, struct tip_error *err)
{
	int n = tip_file_list(a->v->dir, NULL, &a->files, err);

	if (n < 0)
		return -1;
	a->nfiles = (size_t)n;
	a->paths = tip_calloc(a->nfiles + 1, sizeof(*a->paths));
	for (size_t i = 0; i < a->nfiles && a->count < TIP_VAULT_RECORDS_MAX; i++)
		if (tip_manifest_name_ok(name_of(a->files[i])))
			a->paths[a->count++] = a->files[i];
	return 0;
}

/* How each file begins, before anything is touched. */
static int survey(struct adoption *a, struct tip_error *err)
{
	struct tip_buf file = {0};
	int ret = 0;

	tip_buf_reserve(&file, 2 * FILE_MAX);
	for (size_t i = 0; i < a->count && ret == 0; i++) {
		tip_buf_reset(&file);
		/* What cannot be read is met again when it is taken. */
		if (tip_file_read(a->paths[i], FILE_MAX, &file, err) < 0)
			continue;
		if (!tip_box_is(file.data, file.len))
			a->unsealed++;
		else if (tip_vault_key_of(a->v, file.data, file.len) || a->have)
			a->sealed++;
		else
			ret = foreign(a->v, a->paths[i], err);
	}
	tip_box_wipe(&file);
	return ret;
}

/* ---- taking ------------------------------------------------------------------------------ */

/* Is it the last one of its name, as far as the manifest knows? */
static int check_generation(const struct adoption *a, const char *name, uint64_t generation,
			    struct tip_error *err)
{
	const struct tip_manifest_record *r = tip_map_gets(a->old.records, name);

	if (!a->have)
		return is_disposable(name) ? tip_error_set(err, "is not vouched for by a manifest")
					   : 0;
	if (r && generation < r->generation)
		return tip_error_set(err, "is older than the one that was written last");
	if (!r && generation <= a->old.generation)
		return tip_error_set(err, "was deleted, and is there again");
	return 0;
}

static int open_record(const struct adoption *a, const char *name, const struct tip_buf *file,
		       struct tip_buf *plain, uint64_t *generation, struct tip_error *err)
{
	const struct tip_box_key *key = tip_vault_key_of(a->v, file->data, file->len);
	struct tip_box_label label = {a->v->instance, name};

	*generation = 0;
	if (!tip_box_is(file->data, file->len)) {
		if (!a->plain_ok)
			return tip_error_set(err, "is not sealed, and others are");
		tip_buf_add(plain, file->data, file->len);
		return 0;
	}
	if (!key)
		return tip_error_set(err, "is sealed with another key");
	if (tip_box_open(key, &label, file->data, file->len, plain, generation, err) < 0)
		return -1;
	return check_generation(a, name, *generation, err);
}

/* As it should be on disk already? */
static bool is_settled(const struct tip_vault *v, const struct tip_buf *file)
{
	const struct tip_box_key *key = tip_vault_key(v);

	return key ? tip_box_is_of(file->data, file->len, key) : !tip_box_is(file->data, file->len);
}

static void count_in(struct tip_vault *v, const char *name, size_t len, uint64_t generation)
{
	struct tip_manifest_record *r = tip_manifest_put(&v->manifest, name);

	r->generation = generation;
	r->size = (uint32_t)len;
	v->bytes += len;
	if (v->manifest.generation < generation)
		v->manifest.generation = generation;
}

static int take(struct adoption *a, const char *path, struct tip_buf *file, struct tip_buf *plain,
		struct tip_error *err)
{
	const char *name = name_of(path);
	struct tip_vault *v = a->v;
	struct tip_error why;
	uint64_t generation;
	char text[1200];

	if (tip_file_read(path, FILE_MAX, file, &why) < 0) {
		tip_warn(ROOM, "cache: %s", tip_error_str(&why, text, sizeof(text)));
		v->bad++;
		return 0;
	}
	if (open_record(a, name, file, plain, &generation, &why) < 0) {
		tip_vault_bad(v, name, why.text);
		return 0;
	}
	if (plain->len > TIP_VAULT_RECORD_MAX || v->bytes + plain->len > TIP_VAULT_BYTES_MAX) {
		tip_vault_bad(v, name, "is beyond the limits of the cache");
		return 0;
	}
	count_in(v, name, plain->len, generation);
	if (is_settled(v, file))
		return 0;
	a->resealed++;
	return tip_vault_write(v, name, plain->data, plain->len, err);
}

static int take_all(struct adoption *a, struct tip_error *err)
{
	struct tip_buf file = {0}, plain = {0};
	int ret = 0;

	/* All of it at once: a buffer that moves leaves a key behind. */
	tip_buf_reserve(&file, 2 * FILE_MAX);
	tip_buf_reserve(&plain, 2 * FILE_MAX);
	for (size_t i = 0; i < a->count && ret == 0; i++) {
		tip_buf_reset(&file);
		tip_buf_reset(&plain);
		ret = take(a, a->paths[i], &file, &plain, err);
	}
	tip_box_wipe(&file);
	tip_box_wipe(&plain);
	return ret;
}

/* ---- the way ----------------------------------------------------------------------------- */

/*
 * Before the first record is sealed the manifest says that others may still be in clear; after the
 * last one it says that none is. Whoever puts one there later is not believed.
 */
static int begin(struct adoption *a, struct tip_error *err)
{
	struct tip_vault *v = a->v;

	v->manifest.generation = a->old.generation;
	memcpy(v->manifest.files, a->old.files, sizeof(a->old.files));
	v->manifest.nfiles = a->old.nfiles;
	a->plain_ok = !tip_vault_key(v) || a->old.migrating || (!a->have && !a->sealed);
	if (!a->have && a->sealed)
		tip_warn(ROOM,
			 "%s is missing: SVIDs are made anew, and nothing tells whether the other "
			 "records are the last ones",
			 v->manifest_path);
	if (!tip_vault_key(v) || a->have || !a->plain_ok)
		return 0;
	v->manifest.migrating = true;
	return tip_vault_write_manifest(v, err);
}

/* Does the manifest on disk say the same? Generations only grow. */
static bool is_same(const struct adoption *a)
{
	const struct tip_manifest *m = &a->v->manifest;

	return a->settled && m->generation == a->old.generation &&
	       tip_map_count(m->records) == tip_map_count(a->old.records);
}

static int finish(struct adoption *a, struct tip_error *err)
{
	struct tip_vault *v = a->v;

	v->manifest.migrating = false;
	if (a->resealed)
		tip_info(ROOM, "%zu records of the cache were written anew, %s", a->resealed,
			 tip_vault_key(v) ? "sealed" : "in clear");
	if (tip_vault_key(v))
		return is_same(a) ? 0 : tip_vault_write_manifest(v, err);
	if (unlink(v->manifest_path) < 0 && errno != ENOENT)
		return tip_error_at(err, v->manifest_path, 0, 0, "%s", strerror(errno));
	return 0;
}

int tip_vault_adopt(struct tip_vault *v, struct tip_error *err)
{
	struct adoption a = {.v = v};
	int ret = -1;

	tip_manifest_init(&a.old);
	if (read_manifest(&a, err) == 0 && list_records(&a, err) == 0 && survey(&a, err) == 0 &&
	    begin(&a, err) == 0 && take_all(&a, err) == 0)
		ret = finish(&a, err);
	tip_strings_free(a.files, a.nfiles);
	free(a.paths);
	tip_manifest_clear(&a.old);
	return ret;
}
