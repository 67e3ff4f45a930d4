/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTROL_REQUEST_H
#define TIP_CONTROL_REQUEST_H

#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

/* The lines of the control protocol, without any socket: for server, unit and fuzz tests. */

struct tip_control_request {
	const char *version; /* strings and `params` belong to `root` */
	const char *method;
	json_t *params; /* an object, never NULL */
	json_t *root;
};

/*
 * Parses one request line (without its newline). Unknown and duplicate members are refused, as is
 * anything that is not exactly one object. 0, or -1 with `err` (column of the JSON error where
 * there is one). On success tip_control_request_free() ends it.
 */
int tip_control_request_parse(const char *line, size_t len, struct tip_control_request *out,
			      struct tip_error *err);
void tip_control_request_free(struct tip_control_request *r);

/* Appends an answer line with its newline. `result` is borrowed. */
void tip_control_write_result(struct tip_buf *out, json_t *result);
void tip_control_write_error(struct tip_buf *out, const struct tip_error *err, const char *hint);
void tip_control_write_stream(struct tip_buf *out);
void tip_control_write_event(struct tip_buf *out, const char *json, size_t len);

#endif
