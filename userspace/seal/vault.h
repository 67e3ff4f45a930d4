/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SEAL_VAULT_H
#define TIP_SEAL_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "seal/keys.h"

/*
 * The records that the front keeps: a file each in state_dir/cache, sealed when there is a key, and
 * state_dir/cache.manifest, which says what should be there. The vault understands no record.
 * Sealed, a record opens only under its own name and in its own instance, and only if it is the
 * last that was written; copying back the whole folder with its manifest goes unnoticed.
 */
struct tip_vault;

#define TIP_VAULT_RECORD_MAX  60000       /* bytes of a record */
#define TIP_VAULT_RECORDS_MAX 20000       /* records */
#define TIP_VAULT_BYTES_MAX   (64u << 20) /* bytes of all records */

/*
 * Records whose names begin so can be made anew at any time. One that does not open is deleted; of
 * others the file is set aside as NAME.bad.
 */
#define TIP_VAULT_DISPOSABLE "svid-"

/*
 * Looks at every record and seals what is not yet sealed with the first of `keys`, or writes it in
 * clear when nothing is to seal. Unsealed records are taken only if there never was a sealed one.
 * -1 as NULL with `err`, and nothing changed, when what is there was sealed with a key that is not
 * at hand, or the manifest does not open. `keys` are copied.
 */
struct tip_vault *tip_vault_open(const char *state_dir, const char *instance,
				 const struct tip_seal_keys *keys, struct tip_error *err);
/* Writes the manifest if need be. NULL is fine. */
void tip_vault_free(struct tip_vault *v);

/*
 * Keeps a record, on disk when this returns, under a name of [a-z0-9-]{1,64}. 0, or -1 with `err`:
 * beyond a limit, or it could not be written.
 */
int tip_vault_save(struct tip_vault *v, const char *name, const void *data, size_t len,
		   struct tip_error *err);
/* Deletes a record. A name that is not there is fine. 0, or -1 with `err`. */
int tip_vault_forget(struct tip_vault *v, const char *name, struct tip_error *err);
/* Gives every record that opens to `fn`; `data` lives for the call. */
void tip_vault_each(struct tip_vault *v,
		    void (*fn)(void *ctx, const char *name, const void *data, size_t len),
		    void *ctx);
/* Writes the manifest, if records changed since. To be called every second or so. */
void tip_vault_flush(struct tip_vault *v);

/*
 * Files that are not secret, but that nobody else may change: the manifest keeps their digests,
 * under a name of [a-z0-9-]{1,64}. Unsealed, only the file is written, and it may hold anything.
 */
/* Replaces the file with mode 0600. A crash leaves the old or the new one, both vouched for. */
int tip_vault_write_file(struct tip_vault *v, const char *name, const char *path, const void *data,
			 size_t len, struct tip_error *err);
/*
 * 0 when the file, which now holds `data`, holds what it should, or was never vouched for and is
 * from now on; -1 with `err` when somebody else changed it.
 */
int tip_vault_check_file(struct tip_vault *v, const char *name, const void *data, size_t len,
			 struct tip_error *err);

struct tip_vault_stats {
	enum tip_seal_by by;
	const char *why; /* by NONE: why; lives as long as the vault */
	size_t records, bytes;
	uint64_t bad;     /* did not open, or were older than the last one */
	uint64_t refused; /* beyond a limit */
	uint64_t failed;  /* could not be written */
};
void tip_vault_stats(const struct tip_vault *v, struct tip_vault_stats *out);

#endif
