/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SEAL_KEYS_H
#define TIP_SEAL_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "seal/box.h"

/* How the configuration wants the cache sealed (`cache.seal`). */
enum tip_seal_mode { TIP_SEAL_AUTO, TIP_SEAL_CREDENTIAL, TIP_SEAL_TPM, TIP_SEAL_NONE };

/* What it is sealed by. */
enum tip_seal_by { TIP_SEAL_BY_NONE, TIP_SEAL_BY_CREDENTIAL, TIP_SEAL_BY_TPM };

/* Files in $CREDENTIALS_DIRECTORY: the key, and the one before it while it is being replaced. */
#define TIP_SEAL_CREDENTIAL_NAME     "tipstaffd.seal"
#define TIP_SEAL_OLD_CREDENTIAL_NAME "tipstaffd.seal-old"

struct tip_seal_config {
	enum tip_seal_mode mode;
	const char *tcti;        /* "": the kernel's resource manager, where there is a TPM */
	const char *state_dir;   /* cache.tpm is kept there */
	const char *credentials; /* $CREDENTIALS_DIRECTORY, NULL where there is none */
};

/*
 * The keys that are at hand. The first one seals, unless `by` is TIP_SEAL_BY_NONE; all of them
 * open, so that what another one has sealed can be sealed anew. Wipe it.
 */
struct tip_seal_keys {
	struct tip_box_key keys[3];
	size_t count;
	enum tip_seal_by by;
	char why[1024]; /* by NONE: why, and what to do about it */
};

/*
 * Finds the keys, and makes one in the TPM when it is to seal and never did. Before the sandbox:
 * starts a process, opens files anywhere. 0, or -1 with `err` when the one that is demanded, or
 * one that was used before, is not to be had.
 */
int tip_seal_keys_find(struct tip_seal_keys *keys, const struct tip_seal_config *c,
		       struct tip_error *err);
/*
 * Everything is sealed with the first key, or in clear: what was kept for another one goes. A TPM's
 * blob that lies there would stop later starts for nothing.
 */
void tip_seal_keys_settled(const struct tip_seal_keys *keys, const struct tip_seal_config *c);
void tip_seal_keys_wipe(struct tip_seal_keys *keys);

/* "credential", "tpm", "none". */
const char *tip_seal_by_name(enum tip_seal_by by);

#endif
