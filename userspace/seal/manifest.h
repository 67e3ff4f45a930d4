/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SEAL_MANIFEST_H
#define TIP_SEAL_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/map.h"

/*
 * What the sealed folder should hold: the generation of each record, so that an older copy of one
 * is told from the last, and the digests of files that are not secret but must not be changed
 * behind the daemon's back. Little-endian:
 *
 *   "TMF1" | flags (4) | generation (8) | records (4) | files (4)
 *   each record: length of name (1), name, generation (8), size (4)
 *   each file:   length of name (1), name, digests (1), 32 bytes for each
 */
#define TIP_MANIFEST_NAME_MAX 64
#define TIP_MANIFEST_FILES    8
#define TIP_MANIFEST_DIGEST   32

struct tip_manifest_record {
	char name[TIP_MANIFEST_NAME_MAX + 1];
	uint64_t generation;
	uint32_t size; /* bytes of what was sealed */
};

/* A file may have two contents while it is being replaced: the first is the newer one. */
struct tip_manifest_file {
	char name[TIP_MANIFEST_NAME_MAX + 1];
	uint8_t digests[2][TIP_MANIFEST_DIGEST];
	uint8_t ndigests; /* 1 or 2 */
};

struct tip_manifest {
	/* Records that are not sealed are still taken: the folder is on its way from there. */
	bool migrating;
	uint64_t generation;     /* of the last record that was sealed */
	struct tip_map *records; /* name -> struct tip_manifest_record */
	struct tip_manifest_file files[TIP_MANIFEST_FILES];
	size_t nfiles;
};

/* [a-z0-9-]{1,64}: a name that can be a file's. */
bool tip_manifest_name_ok(const char *name);

void tip_manifest_init(struct tip_manifest *m);
void tip_manifest_clear(struct tip_manifest *m);

/* The record's place in the manifest, made if there is none. */
struct tip_manifest_record *tip_manifest_put(struct tip_manifest *m, const char *name);
/* The file's place, NULL if there is none, or with `make` when there are too many. */
struct tip_manifest_file *tip_manifest_file(struct tip_manifest *m, const char *name, bool make);

/* Appends the bytes. */
void tip_manifest_write(const struct tip_manifest *m, struct tip_buf *out);
/* Fills an initialised, empty manifest. 0, or -1 with `err` and the manifest empty. */
int tip_manifest_read(struct tip_manifest *m, const void *data, size_t len, size_t max_records,
		      struct tip_error *err);

#endif
