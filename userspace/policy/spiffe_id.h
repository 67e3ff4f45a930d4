/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_POLICY_SPIFFE_ID_H
#define TIP_POLICY_SPIFFE_ID_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * Checks a SPIFFE ID against the SPIFFE-ID standard: scheme, trust domain of [a-z0-9.-_] (1..255
 * bytes), path of non-empty segments [a-zA-Z0-9.-_] without "." and "..", no trailing slash, 2048
 * bytes in all. With `need_path` a bare trust domain is refused too. 0, or -1 with `err` naming the
 * offending part.
 */
int tip_spiffe_id_check(const char *id, bool need_path, struct tip_error *err);

/* Checks a bare trust domain name. */
int tip_trust_domain_check(const char *name, struct tip_error *err);

/* True when `id` (already checked) belongs to `trust_domain`. */
bool tip_spiffe_id_in(const char *id, const char *trust_domain);

/* The trust domain inside a checked id: start and length. */
const char *tip_spiffe_id_domain(const char *id, size_t *len);
/* The path of a checked id, from its first slash; "" for a bare trust domain. */
const char *tip_spiffe_id_path(const char *id);

#endif
