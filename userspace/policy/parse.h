/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_POLICY_PARSE_H
#define TIP_POLICY_PARSE_H

#include "base/error.h"
#include "base/yaml.h"

/* What is being read, for errors with a place: between the parsers of this room. */
struct tip_parse {
	const char *file;
	struct tip_error *err;
};

/* Sets the error, at a node's place. Always -1. */
int tip_parse_fail(const struct tip_parse *p, const struct tip_yaml *at, const char *text);
/* Gives an error that came without one its place. Always -1. */
int tip_parse_place(const struct tip_parse *p, const struct tip_yaml *at);
/* The text of a value that must be there, or NULL with the error set. */
const char *tip_parse_text(const struct tip_parse *p, const struct tip_yaml *n);

#endif
