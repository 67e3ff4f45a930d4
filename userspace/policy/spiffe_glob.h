/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_POLICY_SPIFFE_GLOB_H
#define TIP_POLICY_SPIFFE_GLOB_H

#include <stdbool.h>

#include "base/error.h"

/*
 * A pattern over SPIFFE IDs: an ID in which the path segment `*` stands for exactly one segment,
 * and `**` as the last one for the one or more that are left. The trust domain is always literal,
 * and `*` is never a part of a segment.
 */

/* Checks a pattern: 0, or -1 with `err` (without a place). A plain ID with a path is one too. */
int tip_spiffe_glob_check(const char *pattern, struct tip_error *err);

/* Whether the checked `id` matches the checked `pattern`. */
bool tip_spiffe_glob_match(const char *pattern, const char *id);

#endif
