/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_TEXT_H
#define TIP_DETECT_TEXT_H

#include "base/buf.h"
#include "base/yaml.h"
#include "detect/detect.h"

/*
 * A condition, an output or any other text of a rule, made of pieces: what stood in one YAML
 * scalar, what an append brought from another file, what a list expanded to. It can say for each of
 * its bytes where that came from.
 */
struct tip_text_piece {
	size_t start; /* of the piece, in the whole text */
	const struct tip_rule_source *source;
	const struct tip_yaml *node;
	size_t from; /* offset in the node's value of the piece's first byte */
	bool fixed;  /* every byte of the piece stands for that one place */
};

struct tip_text {
	struct tip_buf buf;
	struct tip_text_piece *pieces;
	size_t count;
};

void tip_text_free(struct tip_text *t);
/* Appends `len` bytes of `s`, which is (a part of) the value of `node`, from offset `from` on. */
void tip_text_add(struct tip_text *t, const struct tip_rule_source *source,
		  const struct tip_yaml *node, size_t from, bool fixed, const char *s, size_t len);
/* Appends the whole value of a scalar. */
void tip_text_add_node(struct tip_text *t, const struct tip_rule_source *source,
		       const struct tip_yaml *node);
/* Appends bytes [start, start + len) of `from`, with their places. */
void tip_text_copy(struct tip_text *t, const struct tip_text *from, size_t start, size_t len);
/* Appends made-up bytes that stand for the place of byte `at` of `from`. */
void tip_text_put(struct tip_text *t, const struct tip_text *from, size_t at, const char *s,
		  size_t len);

/* Where byte `pos` of the text (its length: the end) comes from: fills file, line and column. */
void tip_text_place(const struct tip_text *t, size_t pos, struct tip_error *err);

/* The same for byte `pos` of one scalar's value. */
void tip_scalar_place(const struct tip_rule_source *source, const struct tip_yaml *node, size_t pos,
		      int *line, int *column);

#endif
