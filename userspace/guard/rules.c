/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "guard/internal.h"

/* From one rule set to the next. The kernel switches from one to the other in one piece. */

int tip_guard_apply_rules(struct tip_guard *g, const struct tip_rules *rules, struct tip_buf *notes,
			  struct tip_error *err)
{
	const struct tip_rule_image nothing = {0};
	struct rule_plan plan;
	uint32_t generation;
	int rc;

	if (tip_plan_make(g, rules, &plan, notes, err) != 0)
		return -1;
	rc = g->ops.rules_install(g->ops.ctx, g->tier == TIP_GUARD_OFF ? &nothing : &plan.image,
				  &generation);
	if (rc != 0) {
		tip_error_set(
			err,
			"the kernel refused the rules with an action: %s; those before stay in "
			"force%s",
			strerror(-rc),
			rc == -E2BIG || rc == -ENOSPC || rc == -ENOMEM
				? "; use fewer paths, addresses or identities in them"
				: "");
		tip_plan_free(&plan);
		return -1;
	}
	tip_plan_free(&g->plan);
	g->plan = plan;
	g->generation = generation;
	return 0;
}

void tip_guard_identity(struct tip_guard *g, uint32_t number, const char *spiffe_id)
{
	struct tip_rule_match match;
	int rc;

	if (!g->generation || g->tier == TIP_GUARD_OFF ||
	    !tip_plan_identity(&g->plan, spiffe_id, &match))
		return;
	rc = g->ops.rules_identity(g->ops.ctx, number, &match);
	if (rc != 0)
		tip_err("guard", "the rules with an action do not know %s: %s", spiffe_id,
			strerror(-rc));
}

bool tip_guard_rule_index(const struct tip_guard *g, uint32_t kernel_rule, uint32_t *index)
{
	const uint32_t place = kernel_rule - TIP_RULE_NUMBER(g->generation, 0);

	if (!g->generation || place >= g->plan.count)
		return false;
	*index = g->plan.places[place];
	return true;
}

enum tip_action tip_guard_does(const struct tip_guard *g, const struct tip_rule *rule)
{
	const struct tip_rule_info *info = tip_rule_info(rule);
	const struct tip_enforce_spec *spec = tip_rule_enforce_spec(rule);

	if (!spec || !info->enabled || g->tier == TIP_GUARD_OFF)
		return TIP_ACTION_NONE;
	/* Without LSM cgroup hooks refuse connects and binds, and can do no more. */
	if (g->tier == TIP_GUARD_KILL)
		return spec->acts & TIP_JUDGED_SOCKET ? TIP_ACTION_DENY : TIP_ACTION_KILL;
	return info->action;
}
