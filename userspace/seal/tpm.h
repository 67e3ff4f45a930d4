/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SEAL_TPM_H
#define TIP_SEAL_TPM_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * A secret that only one TPM 2.0 can give back. It is a sealed data object below a primary key of
 * the owner hierarchy, which the TPM makes anew each time from its own seed. Its two halves, as
 * the TPM wrote them, are the blob:
 *
 *   "TIPTPM01" | length (2, little-endian) TPM2B_PUBLIC | length (2) TPM2B_PRIVATE
 */
#define TIP_TPM_SECRET   32
#define TIP_TPM_BLOB_MAX 4096

/* blob.c */
struct tip_tpm_blob {
	const uint8_t *public_part, *private_part; /* into the bytes that were read */
	size_t public_len, private_len;
};
/* Appends the blob. */
void tip_tpm_blob_write(const struct tip_tpm_blob *b, struct tip_buf *out);
/* 0, or -1 with `err`. What the parts say is left to the TPM. */
int tip_tpm_blob_read(struct tip_tpm_blob *b, const void *data, size_t len, struct tip_error *err);

/*
 * ask.c: the secret of `blob`, or with an empty `blob` a new one, which `blob` then holds. The work
 * is done by another process (`tipstaffd --tpm`): its libraries take half a megabyte, and a TPM
 * that does not answer cannot hang this one. Wipe `secret`. 0, or -1 with `err`.
 */
int tip_tpm_ask(const char *tcti, struct tip_buf *blob, uint8_t secret[TIP_TPM_SECRET],
		struct tip_error *err);

/* tpm.c: that other process. Exit status. */
int tip_tpm_main(int argc, char **argv);

#endif
