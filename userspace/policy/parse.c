/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/parse.h"

#include <string.h>

int tip_parse_fail(const struct tip_parse *p, const struct tip_yaml *at, const char *text)
{
	return tip_error_at(p->err, p->file, at->line, at->column, "%s", text);
}

int tip_parse_place(const struct tip_parse *p, const struct tip_yaml *at)
{
	char text[sizeof(p->err->text)];

	memcpy(text, p->err->text, sizeof(text));
	return tip_parse_fail(p, at, text);
}

const char *tip_parse_text(const struct tip_parse *p, const struct tip_yaml *n)
{
	if (n->kind == TIP_YAML_SCALAR && !tip_yaml_is_null(n))
		return n->text;
	tip_parse_fail(p, n, "a text is expected here");
	return NULL;
}
