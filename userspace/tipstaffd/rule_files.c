/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

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

static void add_set(struct sources *s, const struct tip_rule_set *set)
{
	char *name = tip_sprintf(TIP_RULE_SET_PLACE "%s", set->name);

	add_source(s, name, set->text, strlen(set->text));
	free(name);
}

/* Everything that would be loaded with `set` in and `without` out. */
static int gather(struct tip_keeper *k, const struct tip_rule_set *set, const char *without,
		  struct sources *s, struct tip_error *err)
{
	bool placed = false;

	for (size_t i = 0; i < k->config->nrules_files; i++)
		if (add_files(s, k->config->rules_files[i], err) < 0)
			return -1;
	for (size_t i = 0; i < k->rules.nsets; i++) {
		const struct tip_rule_set *have = &k->rules.sets[i];

		if (without && strcmp(have->name, without) == 0)
			continue;
		if (set && strcmp(have->name, set->name) == 0) {
			placed = true;
			add_set(s, set);
			continue;
		}
		add_set(s, have);
	}
	if (set && !placed)
		add_set(s, set);
	return 0;
}

static void set_free(struct tip_rule_set *set)
{
	free(set->name);
	free(set->text);
}

static struct tip_rule_set *find_set(struct tip_keeper *k, const char *name)
{
	for (size_t i = 0; i < k->rules.nsets; i++)
		if (strcmp(k->rules.sets[i].name, name) == 0)
			return &k->rules.sets[i];
	return NULL;
}

static char *set_path(const struct tip_keeper *k, const char *name)
{
	return tip_sprintf("%s/rules.d/%s.yaml", k->config->state_dir, name);
}

/* The set's file says what the list says: written unless ephemeral, removed otherwise. */
static int keep_set(struct tip_keeper *k, const char *name, const struct tip_rule_set *set,
		    struct tip_error *err)
{
	char *path = set_path(k, name);
	int ret = 0;

	if (set && !set->ephemeral)
		ret = tip_file_write(path, set->text, strlen(set->text), 0600, err);
	else if (unlink(path) < 0 && errno != ENOENT)
		ret = tip_error_at(err, path, 0, 0, "%s", strerror(errno));
	free(path);
	return ret;
}

static void remember_set(struct tip_keeper *k, const struct tip_rule_set *set)
{
	struct tip_rule_set *have = find_set(k, set->name);

	if (!have) {
		k->rules.sets =
			tip_realloc(k->rules.sets, k->rules.nsets + 1, sizeof(*k->rules.sets));
		have = &k->rules.sets[k->rules.nsets++];
	} else {
		set_free(have);
	}
	have->name = tip_strdup(set->name);
	have->text = tip_strdup(set->text);
	have->ephemeral = set->ephemeral;
}

static void forget_set(struct tip_keeper *k, const char *name)
{
	struct tip_rule_set *have = find_set(k, name);
	size_t i;

	if (!have)
		return;
	i = (size_t)(have - k->rules.sets);
	set_free(have);
	memmove(have, have + 1, (--k->rules.nsets - i) * sizeof(*have));
}

int tip_rules_install(struct tip_keeper *k, const struct tip_rule_set *set, const char *without,
		      struct tip_buf *notes, struct tip_error *err)
{
	struct tip_load_result result = {0};
	struct tip_rules *fresh = NULL;
	struct sources s = {0};
	int ret = -1;

	if (set && !find_set(k, set->name) && k->rules.nsets >= TIP_RULE_SETS_MAX) {
		tip_error_set(err, "there are %d rule sets already; remove one first",
			      TIP_RULE_SETS_MAX);
		goto out;
	}
	if (gather(k, set, without, &s, err) < 0)
		goto out;
	fresh = tip_rules_load(s.list, s.count, &result);
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
	/*
	 * Disk first: if it fails, nothing has changed. Then the kernel's kill rules, then
	 * matching: between the two a killed act is still reported, by the old rules' words.
	 */
	if ((set && keep_set(k, set->name, set, err) < 0) ||
	    (without && keep_set(k, without, NULL, err) < 0))
		goto out;
	if (k->guard && tip_guard_apply_rules(k->guard, fresh, notes, err) < 0)
		goto out;
	tip_rules_free(k->rules.active);
	k->rules.active = fresh;
	k->rules.nfiles = s.nfiles;
	k->rules.uses_spiffe = tip_rules_use_field(fresh, "spiffe.");
	tip_load_result_free(&k->rules.last);
	k->rules.last = result;
	result = (struct tip_load_result){0};
	fresh = NULL;
	if (k->sensor)
		tip_sensor_set_mask(k->sensor, tip_rules_event_mask(k->rules.active),
				    tip_rules_use_field(k->rules.active, "fd.path.real"));
	if (set)
		remember_set(k, set);
	if (without)
		forget_set(k, without);
	ret = 0;
out:
	tip_rules_free(fresh);
	tip_load_result_free(&result);
	sources_free(&s);
	return ret;
}

int tip_rules_restore_sets(struct tip_keeper *k, struct tip_error *err)
{
	char *dir = tip_sprintf("%s/rules.d", k->config->state_dir);
	char **list = NULL;
	int n = -1, ret = -1;

	if (tip_mkdir_p(dir, 0700, err) < 0)
		goto out;
	n = tip_file_list(dir, yaml_endings, &list, err);
	if (n < 0)
		goto out;
	for (int i = 0; i < n; i++) {
		struct tip_rule_set set = {0};
		struct tip_buf b = {0};
		char *name = strrchr(list[i], '/') + 1;

		if (tip_file_read(list[i], RULE_FILE_MAX, &b, err) < 0) {
			tip_buf_free(&b);
			goto out;
		}
		set.name = tip_strndup(name, strlen(name) - strlen(strrchr(name, '.')));
		set.text = b.data ? b.data : tip_strdup("");
		remember_set(k, &set);
		set_free(&set);
	}
	ret = 0;
out:
	if (n >= 0)
		tip_strings_free(list, (size_t)n);
	free(dir);
	return ret;
}

const char *tip_rules_set_of(const char *place)
{
	const size_t n = strlen(TIP_RULE_SET_PLACE);

	return strncmp(place, TIP_RULE_SET_PLACE, n) == 0 ? place + n : NULL;
}

void tip_rules_files_free(struct tip_keeper *k)
{
	for (size_t i = 0; i < k->rules.nsets; i++)
		set_free(&k->rules.sets[i]);
	free(k->rules.sets);
	tip_rules_free(k->rules.active);
	tip_load_result_free(&k->rules.last);
}
