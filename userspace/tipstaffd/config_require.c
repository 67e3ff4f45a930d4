/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tipstaffd/config_read.h"

/* `require`: capabilities without which the daemon shall not start. */

int tip_config_read_require(struct tip_config_reading *r, const struct tip_yaml *n)
{
	struct tip_config *c = r->c;

	if (n->kind != TIP_YAML_SEQUENCE)
		return tip_config_bad(r, n, "require",
				      "a list of capabilities is wanted here: [btf, tp_btf]");
	for (size_t i = 0; i < n->count; i++) {
		const struct tip_yaml *item = n->items[i];
		enum tip_capability cap;

		if (tip_config_want_scalar(r, item, "require") < 0)
			return -1;
		for (cap = 0; cap < TIP_CAP_MAX; cap++)
			if (strcmp(tip_capability_name(cap), item->text) == 0)
				break;
		if (cap == TIP_CAP_MAX)
			return tip_error_at(
				r->err, c->file, item->line, item->column,
				"require: there is no capability \"%s\"; `tipstaff status` "
				"lists them",
				item->text);
		if (c->nrequire == TIP_CAP_MAX)
			return tip_config_bad(r, item, "require", "too many");
		c->require[c->nrequire++] = cap;
	}
	return 0;
}
