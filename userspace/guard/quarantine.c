/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "guard/internal.h"

static bool journal_has_number(const struct tip_guard *g, uint32_t number)
{
	for (size_t i = 0; i < g->journal.count; i++) {
		if (g->journal.entries[i].number == number)
			return true;
	}
	return false;
}

/* Puts the journal's identities into force and lifts what it does not know. */
static int reconcile(struct tip_guard *g, struct tip_error *err)
{
	uint32_t *stale = NULL, number = 0;
	size_t count = 0;
	int rc;

	for (size_t i = 0; i < g->journal.count; i++) {
		struct tip_quarantine *q = &g->journal.entries[i];

		q->number = g->ops.number(g->ops.ctx, q->spiffe_id);
		if (!q->number)
			return tip_error_set(err,
					     "no identity number is left for the quarantined %s",
					     q->spiffe_id);
		rc = g->ops.quarantine_set(g->ops.ctx, q->number, TIP_QUARANTINE_CONNECT);
		if (rc != 0)
			return tip_error_set(err, "the kernel refused to quarantine %s again: %s",
					     q->spiffe_id, strerror(-rc));
	}
	/* Deleting the key just returned would start the walk anew: collect first. */
	for (uint32_t prev = 0; g->ops.quarantine_next(g->ops.ctx, prev, &number) == 0;
	     prev = number) {
		if (journal_has_number(g, number))
			continue;
		stale = tip_realloc(stale, count + 1, sizeof(*stale));
		stale[count++] = number;
	}
	for (size_t i = 0; i < count; i++) {
		rc = g->ops.quarantine_clear(g->ops.ctx, stale[i]);
		if (rc != 0 && rc != -ENOENT)
			tip_warn("guard",
				 "a quarantine that no journal knows (number %u) stays: %s",
				 stale[i], strerror(-rc));
		else
			tip_warn("guard",
				 "lifted a quarantine that the journal does not know "
				 "(number %u)",
				 stale[i]);
	}
	free(stale);
	return 0;
}

struct tip_guard *tip_guard_new(const char *journal, enum tip_guard_tier tier,
				const struct tip_guard_ops *ops, struct tip_error *err)
{
	struct tip_guard *g = tip_alloc(sizeof(*g));

	g->journal_path = tip_strdup(journal);
	g->tier = tier;
	g->ops = *ops;
	if (tip_journal_load(journal, &g->journal, err) != 0 || reconcile(g, err) != 0) {
		tip_guard_free(g);
		return NULL;
	}
	return g;
}

void tip_guard_free(struct tip_guard *g)
{
	if (!g)
		return;
	tip_journal_free(&g->journal);
	tip_plan_free(&g->plan);
	free(g->journal_path);
	free(g);
}

int tip_guard_quarantine(struct tip_guard *g, const char *spiffe_id, const char *reason,
			 const char *by, struct tip_error *err)
{
	struct tip_quarantine *q, dropped;
	uint32_t number;
	int rc;

	if (!reason)
		reason = "";
	if (!by)
		by = "";
	if (tip_journal_check(spiffe_id, reason, by, err) != 0)
		return -1;
	if (tip_journal_find(&g->journal, spiffe_id) < g->journal.count)
		return 1;
	if (g->journal.count >= TIP_JOURNAL_MAX_ENTRIES)
		return tip_error_set(err,
				     "%d identities are quarantined, which is the limit; "
				     "release some",
				     TIP_JOURNAL_MAX_ENTRIES);
	number = g->ops.number(g->ops.ctx, spiffe_id);
	if (!number)
		return tip_error_set(err, "no identity number is left for %s", spiffe_id);
	rc = g->ops.quarantine_set(g->ops.ctx, number, TIP_QUARANTINE_CONNECT);
	if (rc != 0)
		return tip_error_set(err, "the kernel refused to quarantine %s: %s", spiffe_id,
				     strerror(-rc));
	q = tip_journal_add(&g->journal, spiffe_id, reason, by, tip_clock_real());
	q->number = number;
	if (tip_journal_save(g->journal_path, &g->journal, err) != 0) {
		/* It would be forgotten at the next start: then better said now. */
		(void)g->ops.quarantine_clear(g->ops.ctx, number);
		dropped = tip_journal_take(&g->journal, g->journal.count - 1);
		tip_journal_entry_free(&dropped);
		return -1;
	}
	return 0;
}

int tip_guard_release(struct tip_guard *g, const char *spiffe_id, struct tip_error *err)
{
	size_t i = tip_journal_find(&g->journal, spiffe_id);
	struct tip_error again;
	struct tip_quarantine q;
	int rc;

	if (i == g->journal.count)
		return tip_error_set(err,
				     "%s is not quarantined; `tipstaff quarantine list` shows "
				     "what is",
				     spiffe_id);
	q = tip_journal_take(&g->journal, i);
	if (tip_journal_save(g->journal_path, &g->journal, err) != 0) {
		tip_journal_put_back(&g->journal, i, q);
		return -1;
	}
	rc = g->ops.quarantine_clear(g->ops.ctx, q.number);
	if (rc != 0 && rc != -ENOENT) {
		tip_journal_put_back(&g->journal, i, q);
		if (tip_journal_save(g->journal_path, &g->journal, &again) != 0)
			tip_err("guard", "%s is still quarantined, but the journal has lost it: %s",
				spiffe_id, again.text);
		return tip_error_set(err, "the kernel refused to release %s: %s", spiffe_id,
				     strerror(-rc));
	}
	tip_journal_entry_free(&q);
	return 0;
}

const struct tip_quarantine *tip_guard_quarantined(const struct tip_guard *g, const char *spiffe_id)
{
	size_t i = tip_journal_find(&g->journal, spiffe_id);

	return i < g->journal.count ? &g->journal.entries[i] : NULL;
}

size_t tip_guard_quarantine_count(const struct tip_guard *g)
{
	return g->journal.count;
}

const struct tip_quarantine *tip_guard_quarantine_get(const struct tip_guard *g, size_t i)
{
	return i < g->journal.count ? &g->journal.entries[i] : NULL;
}
