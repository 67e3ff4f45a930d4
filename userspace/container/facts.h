/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_FACTS_H
#define TIP_CONTAINER_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "tipstaff/facts.h"

/* A list of facts (tipstaff/facts.h) is made in a tip_buf. What does not fit is left out whole. */

/*
 * Adds a fact; NULL and "" are none. Invalid UTF-8 was refused by who parsed it; a text ends at its
 * first NUL. False when it did not fit.
 */
bool tip_facts_add(struct tip_buf *facts, enum tip_fact kind, const char *text);
void tip_facts_add_bool(struct tip_buf *facts, enum tip_fact kind, bool value);
void tip_facts_addf(struct tip_buf *facts, enum tip_fact kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Facts about an image from the name that it was asked for by: "host:5000/name:tag",
 * "name@sha256:...", "sha256:...". Where nobody said a tag it is "latest".
 */
void tip_facts_add_image(struct tip_buf *facts, const char *name);

/* Is it a container's id, as runtimes make them: 64 hex digits? */
bool tip_facts_is_id(const char *text);

/* "2026-01-02T03:04:05.678901234+02:00" to ns since the epoch; 0: it is no time after 1970. */
uint64_t tip_facts_time(const char *text);

#endif
