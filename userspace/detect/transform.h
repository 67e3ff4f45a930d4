/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_TRANSFORM_H
#define TIP_DETECT_TRANSFORM_H

#include "detect/program.h"

/*
 * What a transformer yields is a slot of its own beside the fields', which asks the slots of its
 * arguments: so it is computed at most once an event, and whatever reads slots reads it too.
 */
struct tip_transform_arg {
	uint32_t slot;
	enum tip_type type;
	bool list;
};

struct tip_transform {
	enum tip_fn fn;
	struct tip_transform_arg *args;
	size_t nargs;
	unsigned char option; /* getopt(...)[x], 0: none */
};

/* Extractors of such slots. */
void tip_transform_get(struct tip_extract *x, const struct tip_field_ref *ref,
		       struct tip_value *out);
void tip_literal_get(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out);

#endif
