/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_RECORD_H
#define TIP_IDENTITY_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * The cache's record format: a magic word that carries the version, then fixed-width
 * little-endian numbers and byte strings with a 32-bit length in front, in an order that the
 * record's kind knows. Nothing may follow. Truth is checked by the reader of the fields; this
 * layer only keeps within the bytes.
 */
#define TIP_RECORD_MAX 60000 /* bytes of a record: it travels in one link message */

void tip_record_put_u32(struct tip_buf *out, uint32_t v);
void tip_record_put_u64(struct tip_buf *out, uint64_t v);
void tip_record_put_bytes(struct tip_buf *out, const void *data, size_t len);
/* Frees a buffer that held a key, and leaves none of it in memory. */
void tip_record_wipe(struct tip_buf *b);

/* A reader. Once anything was out of bounds `bad` stays set and all further reads are empty. */
struct tip_record_reader {
	const uint8_t *p;
	size_t left;
	bool bad;
};
uint32_t tip_record_get_u32(struct tip_record_reader *r);
uint64_t tip_record_get_u64(struct tip_record_reader *r);
/* Points into the record. */
const uint8_t *tip_record_get_bytes(struct tip_record_reader *r, size_t *len);
/* Reads a byte string and compares it with a text. False (and no other effect) when it differs. */
bool tip_record_get_equal(struct tip_record_reader *r, const char *text);
/* All was read and nothing was out of bounds. */
bool tip_record_done(const struct tip_record_reader *r);

#endif
