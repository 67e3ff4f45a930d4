/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "process/table.h"

/*
 * Who holds an identity, as far as it takes to say whether what came out of a workload has outlived
 * it: how many processes do, and when the oldest of them started. A redeployment ends the old ones,
 * so that all who hold it then are younger than what they left behind.
 */

static struct proc_holders *holders_of(struct tip_process_table *t, uint32_t number)
{
	size_t i = number - TIP_ID_FIRST;

	if (i >= t->nholders) {
		t->holders = tip_realloc(t->holders, t->nnames, sizeof(*t->holders));
		memset(t->holders + t->nholders, 0,
		       (t->nnames - t->nholders) * sizeof(*t->holders));
		t->nholders = t->nnames;
	}
	return &t->holders[i];
}

/* While it is asked anew after a change of credentials, a process is what it was. */
static uint32_t holds(const struct proc_entry *e)
{
	if (e->p.exit_time_ns)
		return 0;
	if (e->p.current >= TIP_ID_FIRST)
		return e->p.current;
	return e->p.current == TIP_ID_PENDING && e->held >= TIP_ID_FIRST ? e->held : 0;
}

void tip_proc_hold(struct tip_process_table *t, struct proc_entry *e)
{
	uint64_t start = e->p.key.start_ns;
	uint32_t now = holds(e);
	struct proc_holders *h;

	if (now == e->holding)
		return;
	if (e->holding) {
		h = holders_of(t, e->holding);
		h->count--;
		if (h->oldest_ns == start)
			h->known = false;
	}
	if (now) {
		h = holders_of(t, now);
		if (!h->count++) {
			h->oldest_ns = start;
			h->known = true;
		} else if (h->known && start < h->oldest_ns) {
			h->oldest_ns = start;
		}
	}
	e->holding = now;
}

/* The oldest one ended: the next is looked for only when somebody asks. */
static uint64_t oldest(const struct tip_process_table *t, struct proc_holders *h, uint32_t number)
{
	if (h->known)
		return h->oldest_ns;
	h->oldest_ns = UINT64_MAX;
	for (const struct proc_entry *e = t->living.first; e; e = e->next)
		if (e->holding == number && e->p.key.start_ns < h->oldest_ns)
			h->oldest_ns = e->p.key.start_ns;
	h->known = true;
	return h->oldest_ns;
}

/* Who had an identity of its own is left by what comes of it; others hand on whom they left. */
uint64_t tip_proc_left(const struct proc_entry *from, const struct proc_entry *e)
{
	bool handed = from->base >= TIP_ID_FIRST && from->held < TIP_ID_FIRST;

	return handed ? from->left_ns : e->p.key.start_ns;
}

int tip_process_origin_replaced(struct tip_process_table *t, const struct tip_process *p)
{
	const struct proc_entry *e = (const struct proc_entry *)p;
	uint32_t number = p->origin >= TIP_ID_FIRST ? p->origin : p->current;
	uint64_t left = number == e->base ? e->left_ns : p->key.start_ns;
	struct proc_holders *h;

	if (!tip_process_identity_name(t, number))
		return -1;
	h = holders_of(t, number);
	if (!h->count)
		return -1;
	return oldest(t, h, number) > left;
}
