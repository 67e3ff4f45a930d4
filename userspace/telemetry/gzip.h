/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TELEMETRY_GZIP_H
#define TIP_TELEMETRY_GZIP_H

#include <stddef.h>

#include "base/buf.h"

/* Appends `data` as one member of gzip (RFC 1952). 0, or -1: zlib has no memory. */
int tip_gzip(const void *data, size_t len, struct tip_buf *out);

#endif
