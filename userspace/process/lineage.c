/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "process/table.h"

/*
 * An answer may come after its image is left: a shell that forks and execs at once is three images
 * in a millisecond. So each image knows the one that it came from, as long as that is kept, and an
 * answer is handed on to what came of it, until an image stands between that has an identity of its
 * own.
 */

static bool real(uint32_t number)
{
	return number >= TIP_ID_FIRST;
}

void tip_proc_link(struct proc_entry *e, struct proc_entry *from, enum proc_link link)
{
	e->from = from;
	e->link = link;
	e->from_epoch = from->p.epoch;
	e->sibling = from->derived;
	if (e->sibling)
		e->sibling->sibling_link = &e->sibling;
	e->sibling_link = &from->derived;
	from->derived = e;
}

static void detach(struct proc_entry *e)
{
	if (!e->from)
		return;
	*e->sibling_link = e->sibling;
	if (e->sibling)
		e->sibling->sibling_link = e->sibling_link;
	e->from = NULL;
	e->link = LINK_NONE;
}

/* What `d` <- `m` <- `m->from` becomes without `m`. */
static enum proc_link splice(const struct proc_entry *m, const struct proc_entry *d)
{
	bool fork = d->link == LINK_FORK || (d->link == LINK_AWAIT && d->from_epoch != m->p.epoch);

	if (!m->from)
		return LINK_NONE;
	if (real(m->p.current) || real(m->held)) {
		if (d->link == LINK_EXEC)
			return LINK_NONE; /* m's identity stands between */
		fork = true;
	}
	if (m->link == LINK_EXEC)
		return LINK_EXEC;
	if (m->link == LINK_AWAIT && !fork)
		return d->link;
	return LINK_FORK;
}

void tip_proc_unlink(struct proc_entry *e)
{
	struct proc_entry *d;

	while ((d = e->derived)) {
		enum proc_link link = splice(e, d);

		detach(d);
		if (link == LINK_NONE)
			continue;
		tip_proc_link(d, e->from, link);
		d->from_epoch = e->from_epoch;
	}
	detach(e);
}

static bool sticky(const struct tip_process_table *t, uint32_t number)
{
	return real(number) && t->ops.sticky && t->ops.sticky(t->ops.ctx, number);
}

static uint32_t origin_of(const struct tip_process_table *t, const struct proc_entry *e)
{
	uint32_t before = real(e->p.current) ? e->held_before : e->held;

	if (real(before) && !sticky(t, e->base))
		return before;
	return real(e->base) ? e->base : TIP_ID_NONE;
}

uint32_t tip_proc_last(const struct tip_process_table *t, const struct proc_entry *e)
{
	uint32_t origin = origin_of(t, e);

	return real(e->p.current) && !sticky(t, origin) ? e->p.current : origin;
}

void tip_proc_publish(struct tip_process_table *t, struct proc_entry *e)
{
	e->p.origin = origin_of(t, e);
	e->p.spiffe_id = tip_process_identity_name(t, e->p.current);
	e->p.origin_id = tip_process_identity_name(t, e->p.origin);
	tip_proc_hold(t, e);
}

void tip_proc_bind(struct tip_process_table *t, const struct proc_entry *e)
{
	struct tip_binding b = {
		.current = e->p.current,
		.origin = e->p.origin,
		.epoch = e->p.epoch,
	};

	if (t->sensor && !e->p.exit_time_ns)
		(void)tip_sensor_bind(t->sensor, e->p.exec_id,
				      &b); /* -ENOENT: it is gone already */
}

bool tip_proc_new_epoch(struct tip_process_table *t, struct proc_entry *e, uint32_t epoch,
			uint64_t time_ns)
{
	/* The table may be ahead of the ring, when it has asked the kernel. */
	if (epoch == e->p.epoch || (epoch < e->p.epoch && time_ns < e->state_ns))
		return false;
	e->p.epoch = epoch;
	e->state_ns = time_ns;
	e->p.current = TIP_ID_PENDING;
	e->p.reported = false;
	tip_proc_publish(t, e);
	return true;
}

void tip_proc_ask(struct tip_process_table *t, struct proc_entry *e)
{
	if (e->p.reported || e->p.exit_time_ns)
		return;
	e->p.reported = true;
	if (t->ops.unresolved)
		t->ops.unresolved(t->ops.ctx, &e->p);
}

static void note_held(const struct tip_process_table *t, struct proc_entry *e, uint32_t number)
{
	if (!real(number) || number == e->held)
		return;
	if (!sticky(t, e->held_before))
		e->held_before = e->held;
	e->held = number;
}

/* Takes over what the image before `d` learned. True when those behind `d` may have to learn it
 * too. */
static bool inherit(struct tip_process_table *t, struct proc_entry *d)
{
	uint32_t base = d->base, held = d->held, before = d->held_before, origin = d->p.origin;
	const struct proc_entry *f = d->from;
	bool same_epoch = f->p.epoch == d->from_epoch;

	switch (d->link) {
	case LINK_EXEC:
		if (same_epoch)
			d->base = tip_proc_last(t, f);
		break;
	case LINK_AWAIT:
		d->base = f->base;
		if (!same_epoch)
			break;
		if (!real(d->p.current))
			note_held(t, d, f->held);
		else if (real(f->held) && f->held != d->p.current && !sticky(t, d->held_before))
			d->held_before = f->held;
		break;
	case LINK_FORK: d->base = f->base; break;
	case LINK_NONE: break;
	}
	if (d->base == base && d->held == held && d->held_before == before)
		return false;
	if (d->base != base)
		d->left_ns = d->link == LINK_EXEC ? d->p.key.start_ns : f->left_ns;
	tip_proc_publish(t, d);
	if (d->p.origin != origin)
		tip_proc_bind(t, d);
	return true;
}

/* Depth first, without a stack: a chain may be as long as the table. */
static void hand_on(struct tip_process_table *t, struct proc_entry *root)
{
	struct proc_entry *e = root->derived;

	while (e) {
		if (inherit(t, e) && e->derived) {
			e = e->derived;
			continue;
		}
		while (e != root && !e->sibling)
			e = e->from;
		e = e == root ? NULL : e->sibling;
	}
}

struct tip_process *tip_process_resolve(struct tip_process_table *t, uint64_t exec_id,
					uint32_t epoch, const char *spiffe_id)
{
	struct proc_entry *e = tip_proc_find(t, exec_id), *next;
	uint32_t number = TIP_ID_NONE;

	if (!e || epoch != e->p.epoch)
		return NULL;
	if (spiffe_id && *spiffe_id) {
		number = tip_process_identity_number(t, spiffe_id);
		if (!number) {
			tip_err("process",
				"no identity number is left for %s: pid %u stays without an "
				"identity; "
				"detach and start again to begin with an empty table",
				spiffe_id, e->p.key.tgid);
			number = TIP_ID_NONE;
		}
	}
	note_held(t, e, number);
	e->p.current = number;
	tip_proc_publish(t, e);
	tip_proc_bind(t, e);
	hand_on(t, e);

	/*
	 * What waited for this answer has it. An answer to a later question is not about those that
	 * left before; only a repair of this image's own origin still is, while it has no identity
	 * itself.
	 */
	for (struct proc_entry *d = e->derived; d; d = next) {
		next = d->sibling;
		if (d->link == LINK_EXEC && real(number))
			detach(d);
		else if (d->link == LINK_AWAIT || !e->p.exit_time_ns)
			d->link = LINK_FORK;
	}
	return &e->p;
}

static void ask_again(void *ctx, struct tip_process *p)
{
	p->reported = false;
	tip_proc_ask(ctx, (struct proc_entry *)p);
}

void tip_process_reresolve(struct tip_process_table *t)
{
	tip_process_each(t, ask_again, t);
}
