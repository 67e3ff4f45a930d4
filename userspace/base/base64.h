/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_BASE64_H
#define TIP_BASE_BASE64_H

#include <stddef.h>

#include "base/buf.h"

/*
 * Base64url without padding (RFC 7515, section 2; RFC 4648, section 5). There is one spelling for
 * every string of bytes: any other is refused, so that what was signed cannot be written anew.
 */

/* Appends the text of `len` bytes in the plain alphabet, with padding (RFC 4648, section 4). */
void tip_base64_encode(const void *data, size_t len, struct tip_buf *out);

/* Appends the text of `len` bytes. */
void tip_base64url_encode(const void *data, size_t len, struct tip_buf *out);

/*
 * Appends the bytes of a text. 0, or -1 with `out` as it was: a character outside the alphabet
 * (padding, white space and a NUL among them), an impossible length, or unused bits that are set.
 */
int tip_base64url_decode(const char *text, size_t len, struct tip_buf *out);

#endif
