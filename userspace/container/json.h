/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_JSON_H
#define TIP_CONTAINER_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"
#include "container/facts.h"

/* Answers as trees. Whatever is missing, or is of another kind than wanted, is not there. */

/* An object, a new reference, or NULL with `err`. A key that comes twice is refused. */
json_t *tip_answer_parse(const char *text, size_t len, struct tip_error *err);
/* The value under "a.b.c", NULL: none. */
json_t *tip_answer_at(json_t *root, const char *path);
const char *tip_answer_text(json_t *root, const char *path);
bool tip_answer_true(json_t *root, const char *path);
/* The words of an array from `first` on, joined by blanks, as a fact. */
void tip_answer_words(struct tip_buf *facts, enum tip_fact kind, json_t *array, size_t first);
/* The members of an object as facts "key=value", as many as fit. */
void tip_answer_labels(struct tip_buf *facts, enum tip_fact kind, json_t *object);
/* Commands of the probes of a container in a pod's specification. */
void tip_answer_probe_commands(struct tip_buf *facts, json_t *container);
/*
 * Commands of the probes of a container in a pod as kubectl applied it (`text`: JSON), which a
 * label or an annotation repeats: of the one called `name`, NULL: of the first.
 */
void tip_answer_probes(struct tip_buf *facts, const char *text, const char *name);

#endif
