/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "process/table.h"

/*
 * Numbers are handed out in order and never taken back: a binding or a quarantine in the kernel may
 * still mean the old one. The kernel's own table of names is the bound, this one only a backstop.
 */
#define NAMES_MAX (1u << 20)

static void remember(struct tip_process_table *t, uint32_t number, const char *id)
{
	size_t i = number - TIP_ID_FIRST;

	if (i >= t->nnames) {
		t->names = tip_realloc(t->names, i + 1, sizeof(*t->names));
		memset(t->names + t->nnames, 0, (i + 1 - t->nnames) * sizeof(*t->names));
		t->nnames = i + 1;
	}
	t->names[i] = tip_strdup(id);
	tip_map_puts(t->numbers, id, (void *)(uintptr_t)number);
}

static void load_one(void *ctx, uint32_t number, const char *id)
{
	struct tip_process_table *t = ctx;

	if (number < TIP_ID_FIRST || number - TIP_ID_FIRST >= NAMES_MAX || !*id ||
	    tip_process_identity_name(t, number) || tip_map_gets(t->numbers, id))
		tip_warn("process",
			 "identity number %u (\"%s\") of an earlier daemon is not usable", number,
			 id);
	else
		remember(t, number, id);
}

void tip_proc_names_load(struct tip_process_table *t)
{
	t->numbers = tip_map_new();
	if (t->sensor)
		tip_sensor_names(t->sensor, load_one, t);
}

void tip_proc_names_free(struct tip_process_table *t)
{
	for (size_t i = 0; i < t->nnames; i++)
		free(t->names[i]);
	free(t->names);
	free(t->holders);
	tip_map_free(t->numbers, NULL);
}

const char *tip_process_identity_name(struct tip_process_table *t, uint32_t number)
{
	if (number < TIP_ID_FIRST || number - TIP_ID_FIRST >= t->nnames)
		return NULL;
	return t->names[number - TIP_ID_FIRST];
}

uint32_t tip_process_identity_number(struct tip_process_table *t, const char *spiffe_id)
{
	uint32_t number = (uint32_t)(uintptr_t)tip_map_gets(t->numbers, spiffe_id);
	size_t len = strlen(spiffe_id);

	if (number)
		return number;
	if (len == 0 || len > TIP_SPIFFE_ID_MAX || t->nnames >= NAMES_MAX)
		return 0;
	number = TIP_ID_FIRST + (uint32_t)t->nnames;
	/* The kernel's copy first: a number that is in use there must never be without a name. */
	if (t->sensor && tip_sensor_name_set(t->sensor, number, spiffe_id) != 0)
		return 0;
	remember(t, number, spiffe_id);
	if (t->ops.numbered)
		t->ops.numbered(t->ops.ctx, number, spiffe_id);
	return number;
}
