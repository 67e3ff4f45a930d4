/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFF_SOURCES_H
#define TIP_TIPSTAFF_SOURCES_H

#include <jansson.h>

#include "base/buf.h"
#include "detect/detect.h"

/* Rule files that are read here, without a daemon. */
struct cli_sources {
	struct tip_rule_source *list;
	struct tip_buf *texts;
	char **names;
	size_t count;
};

/*
 * Reads files, and of folders the .yaml and .yml files by name. 0, or -1 with `err`, when the last
 * of `names` is what could not be read. Free it in both cases.
 */
int cli_sources_read(struct cli_sources *s, char *const *paths, int count, struct tip_error *err);
void cli_sources_free(struct cli_sources *s);

/* A JSON string of any bytes: what is no UTF-8 becomes U+FFFD. */
json_t *cli_text_json(const char *s);

#endif
