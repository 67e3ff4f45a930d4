/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Legs: the connections to applications that the plaintext stop lets through. One is let through
 * until the application's end has closed, which the kernel side sees; a socket that it does not
 * watch (made outside of the scope) is looked for.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "intercept/internal.h"

struct tip_leg_entry *tip_legs_open(struct tip_intercept *ic, struct tip_netns *ns,
				    const struct tip_flow_key *key, const struct tip_leg *leg,
				    int *err)
{
	struct tip_leg_entry *l;

	*err = -ENOSPC;
	if (ns->legs >= ic->max_legs_per_netns) {
		ic->stats.limit_legs++;
		return NULL;
	}
	*err = ic->ops.leg_set(ic->ops.ctx, key, leg);
	if (*err < 0)
		return NULL;
	l = tip_alloc(sizeof(*l));
	l->key = *key;
	l->ns = ns;
	ns->legs++;
	TAILQ_INSERT_TAIL(&ic->legs, l, link);
	return l;
}

void tip_legs_forget(struct tip_intercept *ic, struct tip_leg_entry *l)
{
	ic->ops.leg_clear(ic->ops.ctx, &l->key);
	l->ns->legs--;
	TAILQ_REMOVE(&ic->legs, l, link);
	free(l);
}

/* Closing ones stand in front. */
void tip_legs_close(struct tip_intercept *ic, struct tip_leg_entry *l)
{
	l->closing = true;
	l->since = ic->ticks;
	TAILQ_REMOVE(&ic->legs, l, link);
	TAILQ_INSERT_HEAD(&ic->legs, l, link);
}

/*
 * Another leg may have the same ports by now: then both are over when that one is. Who reads slowly
 * keeps a leg for long, and is looked at ever less often.
 */
static bool is_over(const struct tip_intercept *ic, const struct tip_leg_entry *l)
{
	const unsigned int age = ic->ticks - l->since;
	struct tip_leg out;

	if (ic->ops.leg(ic->ops.ctx, &l->key, &out) == -ENOENT)
		return true;
	return age && !(age & (age - 1)) && !tip_diag_exists(ic, l->ns, &l->key);
}

void tip_legs_check(struct tip_intercept *ic)
{
	struct tip_leg_entry *l, *next;

	for (l = TAILQ_FIRST(&ic->legs); l && l->closing; l = next) {
		next = TAILQ_NEXT(l, link);
		if (is_over(ic, l))
			tip_legs_forget(ic, l);
	}
}

void tip_legs_drop(struct tip_intercept *ic, const struct tip_netns *ns)
{
	struct tip_leg_entry *l, *next;

	for (l = TAILQ_FIRST(&ic->legs); l; l = next) {
		next = TAILQ_NEXT(l, link);
		if (l->ns == ns)
			tip_legs_forget(ic, l);
	}
}
