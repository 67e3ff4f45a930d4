/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "sensor/prefilter.h"

/*
 * Where rules come from: the configured files, then the sets that were added by CLI
 * (kept in state_dir/rules.d/NAME.yaml unless they are ephemeral).
 */
#define RULE_FILE_MAX (8u << 20)

static const char *const yaml_endings[] = {".yaml", ".yml", NULL};

struct sources {
	struct tip_rule_source *list;
	struct tip_buf *texts; /* owned text of files */
	char **names;
	size_t count;
	size_t nfiles;
};

static void add_source(struct sources *s, const char *name, const char *text, size_t len)
{
	s->list = tip_realloc(s->list, s->count + 1, sizeof(*s->list));
	s->names = tip_realloc(s->names, s->count + 1, sizeof(*s->names));
	s->names[s->count] = tip_strdup(name);
	s->list[s->count] = (struct tip_rule_source){s->names[s->count], text, len};
	s->count++;
}

static void sources_free(struct sources *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->names[i]);
	for (size_t i = 0; i < s->nfiles; i++)
		tip_buf_free(&s->texts[i]);
	free(s->names);
	free(s->texts);
	free(s->list);
}

static int add_files(struct sources *s, const char *path, struct tip_error *err)
{
	char **list;
	int n = tip_file_list(path, yaml_endings, &list, err);
	int ret = 0;

	for (int i = 0; i < n && ret == 0; i++) {
		struct tip_buf *b;

		s->texts = tip_realloc(s->texts, s->nfiles + 1, sizeof(*s->texts));
		b = &s->texts[s->nfiles];
		*b = (struct tip_buf){0};
		ret = tip_file_read(list[i], RULE_FILE_MAX, b, err);
		if (ret == 0) {
			s->nfiles++;
			add_source(s, list[i], b->data ? b->data : "", b->len);
		} else {
			tip_buf_free(b);
		}
	}
	if (n >= 0)
		tip_strings_free(list, (size_t)n);
	return n < 0 ? -1 : ret;
}

static void add_set(struct sources *s, const struct tip_set *set)
{
	char *name = tip_sprintf(TIP_SET_PLACE "%s", set->name);

	add_source(s, name, set->text, strlen(set->text));
	free(name);
}

/* Everything that would be loaded with `set` in and `without` out. */
static int gather(struct tip_keeper *k, const struct tip_set *set, const char *without,
		  struct sources *s, struct tip_error *err)
{
	const struct tip_set **sets = NULL;
	int nsets = tip_sets_plan(&k->rules.sets, set, without, &sets, err);
	int ret = nsets < 0 ? -1 : 0;

	for (size_t i = 0; i < k->config->nrules_files && ret == 0; i++)
		ret = add_files(s, k->config->rules_files[i], err);
	for (int i = 0; i < nsets && ret == 0; i++)
		add_set(s, sets[i]);
	free(sets);
	return ret;
}

/* Which files are in force, and what they hash to. */
static void keep_digests(struct tip_keeper *k, const struct sources *s)
{
	tip_strings_free(k->rules.files, k->rules.nfiles);
	free(k->rules.sha256);
	k->rules.nfiles = s->nfiles;
	k->rules.files = tip_calloc(s->nfiles + 1, sizeof(*k->rules.files));
	k->rules.sha256 = tip_calloc(s->nfiles + 1, sizeof(*k->rules.sha256));
	for (size_t i = 0; i < s->nfiles; i++) {
		k->rules.files[i] = tip_strdup(s->names[i]);
		tip_sha256_hex(s->list[i].text, s->list[i].len, k->rules.sha256[i]);
	}
}

static char *sets_folder(const struct tip_keeper *k)
{
	return tip_sprintf("%s/rules.d", k->config->state_dir);
}

static void add_wanted(struct tip_wanted *to, const struct tip_wanted *more)
{
	to->events |= more->events;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(to->calls); i++)
		to->calls[i] |= more->calls[i];
	to->wants |= more->wants;
}

/* What the kernel is to tell: all that rules of any of the two sets may match. NULL: no set. */
static int tell(struct tip_keeper *k, const struct tip_rules *a, const struct tip_rules *b,
		struct tip_error *err)
{
	const struct tip_rules *const sets[] = {a, b};
	struct tip_arena *arena = tip_arena_new();
	struct tip_prefilter *filter = NULL;
	struct tip_wanted wanted = {0};
	int ret = 0;

	if (k->config->prefilter) {
		filter = tip_arena_alloc(arena, sizeof(*filter));
		tip_rules_prefilter(sets, TIP_ARRAY_SIZE(sets), arena, filter);
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(sets); i++)
		if (sets[i])
			add_wanted(&wanted, tip_rules_wanted(sets[i]));
	ret = tip_sensor_set_wanted(k->sensor, &wanted, filter);
	if (ret < 0)
		tip_error_set(err, "cannot write the prefilter: %s", strerror(-ret));
	tip_arena_free(arena);
	return ret < 0 ? -1 : 0;
}

/*
 * From one set to the next without a gap: the probes of both are attached, the kernel tells what
 * either may match, and what it has told until then is held against the old set. What comes from
 * there on is for the new one.
 */
static int change_over(struct tip_keeper *k, const struct tip_rules *fresh, struct tip_error *err)
{
	if (tip_sensor_want(k->sensor, tip_rules_wanted(fresh), err) < 0)
		return -1;
	if (!k->rules.active)
		return 0;
	if (tell(k, k->rules.active, fresh, err) < 0)
		return -1;
	tip_sensor_settle(k->sensor);
	return 0;
}

/* Those of the configuration, then those of the CLI; to be freed. */
static struct tip_rule_switch *all_switches(const struct tip_keeper *k, size_t *count)
{
	size_t n = k->config->nswitches;
	struct tip_rule_switch *all = tip_calloc(n + k->rules.switches.count + 1, sizeof(*all));

	for (size_t i = 0; i < n; i++)
		all[i] = k->config->switches[i];
	for (size_t i = 0; i < k->rules.switches.count; i++)
		all[n++] = k->rules.switches.list[i].is;
	*count = n;
	return all;
}

int tip_rules_install(struct tip_keeper *k, const struct tip_set *set, const char *without,
		      struct tip_buf *notes, struct tip_error *err)
{
	struct tip_rules_options options = tip_stream_rules_options(k);
	struct tip_rule_switch *switches = all_switches(k, &options.nswitches);
	const char *changed = set ? set->name : without;
	struct tip_load_result result = {0};
	struct tip_rules *fresh = NULL;
	char *folder = sets_folder(k);
	struct tip_error shrink = {0};
	struct sources s = {0};
	char text[1200];
	int ret = -1;

	options.switches = switches;
	if (gather(k, set, without, &s, err) < 0)
		goto out;
	fresh = tip_rules_load_with(s.list, s.count, &options, &result);
	if (!fresh) {
		tip_error_set(err, "the rules cannot be loaded");
		for (size_t i = 0; i < result.count; i++) {
			if (result.messages[i].is_error) {
				*err = result.messages[i].at;
				break;
			}
		}
		goto out;
	}
	if (k->sensor && change_over(k, fresh, err) < 0)
		goto out;
	/*
	 * Disk first: if it fails, nothing has changed. But what the kernel refuses the next start
	 * shall not find there, so the file gets its name when the kernel enforces the rules. Then
	 * matching: between the two a killed act is still reported, by the old rules' words.
	 */
	if (changed && tip_set_stage(folder, changed, set, err) < 0)
		goto out;
	if (k->guard && tip_guard_apply_rules(k->guard, fresh, notes, err) < 0) {
		if (changed)
			tip_set_discard(folder, changed);
		goto out;
	}
	if (changed && tip_set_commit(folder, changed, set, &shrink) < 0)
		tip_err("rules", "a restart will not know that set %s was changed: %s", changed,
			tip_error_str(&shrink, text, sizeof(text)));
	k->rules.rates = tip_rates_carry(fresh, k->rules.active, k->rules.rates);
	tip_rules_free(k->rules.active);
	k->rules.active = fresh;
	tip_pipeline_rules_changed(k);
	keep_digests(k, &s);
	k->rules.uses_spiffe = tip_rules_use_field(fresh, "spiffe.");
	k->rules.uses_container = tip_rules_use_container(fresh);
	k->rules.loaded_ns = tip_clock_real();
	tip_load_result_free(&k->rules.last);
	k->rules.last = result;
	result = (struct tip_load_result){0};
	fresh = NULL;
	/* If it fails more is told than the rules need. */
	if (k->sensor && tell(k, k->rules.active, NULL, &shrink) < 0)
		tip_warn("rules", "%s", shrink.text);
	tip_hosts_ask(k);
	tip_digests_rules(k);
	if (set)
		tip_sets_put(&k->rules.sets, set);
	if (without)
		tip_sets_drop(&k->rules.sets, without);
	if (changed && tip_sets_keep_order(&k->rules.sets, folder, &shrink) < 0)
		tip_warn("rules", "after a restart sets may come in another order: %s",
			 shrink.text);
	ret = 0;
out:
	/* `fresh` was not taken over: the kernel need not tell what only it wants. */
	if (fresh && k->sensor && k->rules.active && tell(k, k->rules.active, NULL, &shrink) < 0)
		tip_warn("rules", "%s", shrink.text);
	tip_rules_free(fresh);
	tip_load_result_free(&result);
	sources_free(&s);
	free(switches);
	free(folder);
	return ret;
}

static char *switches_file(const struct tip_keeper *k)
{
	return tip_sprintf("%s/rules.select", k->config->state_dir);
}

int tip_rules_switch(struct tip_keeper *k, const struct tip_rule_switch *is, bool ephemeral,
		     struct tip_buf *notes, struct tip_error *err)
{
	struct tip_switches before = k->rules.switches, after;
	char *path = switches_file(k);
	struct tip_error late;
	char text[1200];
	int ret = -1;

	if (tip_switches_with(&before, is, ephemeral, &after, err) < 0)
		goto out;
	/* As a set: the disk shall not ask for what was refused. */
	if (tip_switches_stage(&after, path, err) < 0) {
		tip_switches_free(&after);
		goto out;
	}
	k->rules.switches = after;
	ret = tip_rules_install(k, NULL, NULL, notes, err);
	if (ret < 0) {
		tip_file_discard(path);
		k->rules.switches = before;
		tip_switches_free(&after);
		goto out;
	}
	tip_switches_free(&before);
	if (tip_file_commit(path, &late) < 0)
		tip_err("rules", "a restart will not know what was switched: %s",
			tip_error_str(&late, text, sizeof(text)));
out:
	free(path);
	return ret;
}

int tip_rules_restore_sets(struct tip_keeper *k, struct tip_error *err)
{
	char *folder = sets_folder(k), *file = switches_file(k);
	int ret = tip_sets_restore(&k->rules.sets, folder, RULE_FILE_MAX, err);

	if (ret == 0)
		ret = tip_switches_restore(&k->rules.switches, file, err);
	free(file);
	free(folder);
	return ret;
}

void tip_rules_clean(const struct tip_keeper *k)
{
	char *folder = sets_folder(k), *file = switches_file(k);

	tip_sets_clean(folder, "rules");
	if (tip_file_discard(file))
		tip_warn("rules",
			 "%s.tmp is removed: a change that was not in force yet when the daemon "
			 "died",
			 file);
	free(file);
	free(folder);
}

void tip_rules_files_free(struct tip_keeper *k)
{
	tip_sets_free(&k->rules.sets);
	tip_switches_free(&k->rules.switches);
	tip_strings_free(k->rules.files, k->rules.nfiles);
	free(k->rules.sha256);
	free(k->rules.rates);
	tip_rules_free(k->rules.active);
	tip_load_result_free(&k->rules.last);
}

void tip_rules_say_reloaded(struct tip_keeper *k, const char *by, const char *what, const char *set)
{
	const struct tip_alert_field extra[] = {{"tipstaff.by", by}, {"tipstaff.set", set}};
	char text[256];

	snprintf(text, sizeof(text), "Rules %s | set=%s by=%s rules=%zu", what, set ? set : "<NA>",
		 by, tip_rules_count(k->rules.active));
	tip_info("detect", "%s", text);
	tip_keeper_alert(k, "Rules reloaded", TIP_PRIO_NOTICE, NULL, extra, 2, text);
}

int tip_rules_reload(struct tip_keeper *k, const char *by, struct tip_error *err)
{
	struct tip_buf notes = {0};
	int ret = tip_rules_install(k, NULL, NULL, &notes, err);

	if (ret == 0) {
		tip_rules_say_reloaded(k, by, "reloaded", NULL);
		tip_log_notes("guard", &notes);
	}
	tip_buf_free(&notes);
	return ret;
}
