/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_RPC_STRUCT_H
#define TIP_RPC_STRUCT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"

/* google.protobuf.Struct: a JSON object as a protobuf message. */

#define TIP_STRUCT_DEPTH 32 /* objects and lists within each other */

/*
 * Appends a JSON object as a Struct. Numbers become doubles, as it has no others. 0, or -1 with
 * `out` as it was: not an object, deeper than TIP_STRUCT_DEPTH, or a text with a NUL in it.
 */
int tip_struct_pack(const json_t *object, struct tip_buf *out);

/*
 * Reads a Struct. A new reference, or NULL: not a message, deeper than TIP_STRUCT_DEPTH, a member
 * twice, text that is not UTF-8, a number that JSON does not have, or a value of no kind.
 */
json_t *tip_struct_unpack(const uint8_t *data, size_t len);

#endif
