/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SEAL_BOX_H
#define TIP_SEAL_BOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * One sealed record: AES-256-GCM with a random nonce.
 *
 *   "TIPSEAL1" | key id (8) | generation (8, little-endian) | nonce (12) | ciphertext | tag (16)
 *
 * What stands before the nonce is authenticated, and so are the instance and the record's name: a
 * record that was renamed, that changed places with another or that comes from another instance
 * does not open. The key id only says which key to try.
 */
#define TIP_BOX_SECRET_MIN 32 /* bytes of what a key is derived from */
#define TIP_BOX_KEY_ID     8
#define TIP_BOX_OVERHEAD   52

struct tip_box_key {
	uint8_t id[TIP_BOX_KEY_ID];
	uint8_t key[32];
};

/* Whose record it is. */
struct tip_box_label {
	const char *instance;
	const char *name;
};

/*
 * Derives a key from a secret of at least TIP_BOX_SECRET_MIN bytes (HKDF-SHA-256), and from the
 * same secret always the same key. 0, or -1 with `err`. Wipe the key after use.
 */
int tip_box_key(struct tip_box_key *key, const void *secret, size_t len, struct tip_error *err);

/* True when the bytes begin as a sealed record does. */
bool tip_box_is(const void *data, size_t len);
/* True when `key` is the one that a sealed record names. */
bool tip_box_is_of(const void *data, size_t len, const struct tip_box_key *key);

/* Appends the sealed record. 0, or -1 with `err` and `out` as it was. */
int tip_box_seal(const struct tip_box_key *key, const struct tip_box_label *label,
		 uint64_t generation, const void *data, size_t len, struct tip_buf *out,
		 struct tip_error *err);

/*
 * Appends what was sealed and sets `generation`. 0, or -1 with `err` and `out` as it was, when a
 * single bit is another than it was, or label or key are. Wipe `out` after use.
 */
int tip_box_open(const struct tip_box_key *key, const struct tip_box_label *label, const void *data,
		 size_t len, struct tip_buf *out, uint64_t *generation, struct tip_error *err);

/* Frees a buffer and leaves nothing of it in memory. */
void tip_box_wipe(struct tip_buf *b);

#endif
