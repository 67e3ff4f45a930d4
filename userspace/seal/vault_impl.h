/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SEAL_VAULT_IMPL_H
#define TIP_SEAL_VAULT_IMPL_H

/* The inside of the vault, shared by its files: vault.c, adopt.c and vouch.c. */

#include "seal/manifest.h"
#include "seal/vault.h"

#define ROOM "seal"

/* The manifest's name where a record has its own: no record's holds a dot. */
#define TIP_VAULT_MANIFEST_LABEL ".manifest"

struct tip_vault {
	char *dir, *manifest_path, *instance;
	struct tip_seal_keys keys;
	/* In force; without a key to seal, it only counts and is not written. */
	struct tip_manifest manifest;
	bool dirty; /* the manifest on disk is older */
	size_t bytes;
	uint64_t bad, refused, failed;
	bool told_refused; /* said in the log */
};

static inline const struct tip_box_key *tip_vault_key(const struct tip_vault *v)
{
	return v->keys.by == TIP_SEAL_BY_NONE ? NULL : &v->keys.keys[0];
}

/* The key that a sealed record names, NULL if it is not at hand. */
const struct tip_box_key *tip_vault_key_of(const struct tip_vault *v, const void *data, size_t len);

/* Seals if there is a key, and writes the file of a record. 0, or -1 with `err`. */
int tip_vault_write(struct tip_vault *v, const char *name, const void *data, size_t len,
		    struct tip_error *err);
/* The manifest to disk, now. 0, or -1 with `err`. */
int tip_vault_write_manifest(struct tip_vault *v, struct tip_error *err);
/* A record that is not taken: counted, told, deleted or set aside. */
void tip_vault_bad(struct tip_vault *v, const char *name, const char *why);
char *tip_vault_path(const struct tip_vault *v, const char *name);

/* adopt.c: what an earlier daemon left, into v->manifest. 0, or -1 with `err`. */
int tip_vault_adopt(struct tip_vault *v, struct tip_error *err);

#endif
