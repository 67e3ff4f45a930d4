/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

bool tip_set_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");

	return n >= 1 && n <= 64 && name[n] == '\0' && name[0] != '.';
}

const char *tip_set_of(const char *place)
{
	const size_t n = strlen(TIP_SET_PLACE);

	return strncmp(place, TIP_SET_PLACE, n) == 0 ? place + n : NULL;
}

static struct tip_set *find(const struct tip_sets *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->list[i].name, name) == 0)
			return &s->list[i];
	return NULL;
}

const struct tip_set *tip_sets_find(const struct tip_sets *s, const char *name)
{
	return find(s, name);
}

static void set_free(struct tip_set *set)
{
	free(set->name);
	free(set->text);
}

void tip_sets_put(struct tip_sets *s, const struct tip_set *set)
{
	struct tip_set *have = find(s, set->name);

	if (!have) {
		s->list = tip_realloc(s->list, s->count + 1, sizeof(*s->list));
		have = &s->list[s->count++];
	} else {
		set_free(have);
	}
	have->name = tip_strdup(set->name);
	have->text = tip_strdup(set->text);
	have->ephemeral = set->ephemeral;
}

void tip_sets_drop(struct tip_sets *s, const char *name)
{
	struct tip_set *have = find(s, name);
	size_t i;

	if (!have)
		return;
	i = (size_t)(have - s->list);
	set_free(have);
	memmove(have, have + 1, (--s->count - i) * sizeof(*have));
}

void tip_sets_free(struct tip_sets *s)
{
	for (size_t i = 0; i < s->count; i++)
		set_free(&s->list[i]);
	free(s->list);
	*s = (struct tip_sets){0};
}

int tip_sets_plan(const struct tip_sets *s, const struct tip_set *set, const char *without,
		  const struct tip_set ***out, struct tip_error *err)
{
	const struct tip_set **list;
	bool placed = !set;
	int n = 0;

	if (set && s->count >= TIP_SETS_MAX && !find(s, set->name))
		return tip_error_set(err, "there are %d sets already; remove one first",
				     TIP_SETS_MAX);
	list = tip_calloc(s->count + 1, sizeof(const struct tip_set *));
	for (size_t i = 0; i < s->count; i++) {
		const struct tip_set *have = &s->list[i];

		if (without && strcmp(have->name, without) == 0)
			continue;
		if (set && strcmp(have->name, set->name) == 0) {
			have = set;
			placed = true;
		}
		list[n++] = have;
	}
	if (!placed)
		list[n++] = set;
	*out = list;
	return n;
}

/* ---- members ---- */

static bool is_of(const struct tip_set_member *m, const char *set)
{
	const char *of = tip_set_of(m->file);

	return of && strcmp(of, set) == 0;
}

json_t *tip_set_members(const struct tip_set_kind *kind, const void *ctx, const char *set)
{
	json_t *list = json_array();
	struct tip_set_member m;

	for (size_t i = 0; kind->get(ctx, i, &m); i++)
		if (is_of(&m, set))
			json_array_append_new(list, json_string(m.name));
	return list;
}

const char *tip_set_meant(const struct tip_set_kind *kind, const void *ctx,
			  const struct tip_sets *s, const char *name, struct tip_error *err,
			  const char **hint)
{
	const struct tip_set *named = find(s, name);
	struct tip_set_member m, found = {0};
	const char *set;
	size_t others = 0;

	if (named)
		return named->name;
	for (size_t i = 0; kind->get(ctx, i, &m); i++)
		if (strcmp(m.name, name) == 0)
			found = m;
	if (!found.name) {
		*hint = kind->none_hint;
		tip_error_set(err, "there is no %s and no %s \"%s\"", kind->member, kind->set,
			      name);
		return NULL;
	}
	set = tip_set_of(found.file);
	if (!set) {
		*hint = kind->file_hint;
		tip_error_at(err, found.file, found.line, 0, "%s \"%s\" comes from a file",
			     kind->member, name);
		return NULL;
	}
	for (size_t i = 0; kind->get(ctx, i, &m); i++)
		others += is_of(&m, set) && strcmp(m.name, name) != 0;
	if (others) {
		*hint = kind->other_hint;
		tip_error_set(err, "%s \"%s\" is in set \"%s\" with %zu others", kind->member, name,
			      set, others);
		return NULL;
	}
	return set;
}

/* ---- on disk ---- */

#define ORDER_FILE "order" /* a name a line */
#define ORDER_MAX  (TIP_SETS_MAX * 80)

static int restore_one(struct tip_sets *s, const char *path, size_t max, struct tip_error *err)
{
	const char *name = strrchr(path, '/') + 1;
	struct tip_set set = {0};
	struct tip_buf b = {0};
	int ret = tip_file_read(path, max, &b, err);

	if (ret == 0) {
		set.name = tip_strndup(name, (size_t)(strrchr(name, '.') - name));
		set.text = b.data ? b.data : (char[]){""};
		tip_sets_put(s, &set);
		free(set.name);
	}
	tip_buf_free(&b);
	return ret;
}

static bool is_file_of(const char *path, const char *name)
{
	const char *file = strrchr(path, '/') + 1;
	size_t n = strlen(name);

	return strncmp(file, name, n) == 0 && strrchr(file, '.') == file + n;
}

/* Moves the files of the names in the order file to the front of `list`, in that order. */
static int put_in_order(const char *folder, char **list, int n, struct tip_error *err)
{
	char *path = tip_sprintf("%s/" ORDER_FILE, folder), *name, *rest;
	struct tip_buf b = {0};
	int ret = 0, done = 0;

	if (access(path, F_OK) == 0)
		ret = tip_file_read(path, ORDER_MAX, &b, err);
	rest = ret == 0 ? b.data : NULL;
	while ((name = strsep(&rest, "\n"))) {
		for (int i = done; *name && i < n; i++) {
			char *found = list[i];

			if (!is_file_of(found, name))
				continue;
			memmove(&list[done + 1], &list[done], (size_t)(i - done) * sizeof(*list));
			list[done++] = found;
			break;
		}
	}
	tip_buf_free(&b);
	free(path);
	return ret;
}

int tip_sets_keep_order(const struct tip_sets *s, const char *folder, struct tip_error *err)
{
	char *path = tip_sprintf("%s/" ORDER_FILE, folder);
	struct tip_buf b = {0};
	int ret;

	tip_buf_adds(&b, "");
	for (size_t i = 0; i < s->count; i++)
		if (!s->list[i].ephemeral)
			tip_buf_addf(&b, "%s\n", s->list[i].name);
	ret = tip_mkdir_p(folder, 0700, err) < 0 ? -1
						 : tip_file_write(path, b.data, b.len, 0600, err);
	tip_buf_free(&b);
	free(path);
	return ret;
}

int tip_sets_restore(struct tip_sets *s, const char *folder, size_t max, struct tip_error *err)
{
	static const char *const endings[] = {".yaml", ".yml", NULL};
	char **list;
	int n, ret = 0;

	if (access(folder, F_OK) < 0 && errno == ENOENT)
		return 0;
	n = tip_file_list(folder, endings, &list, err);
	if (n < 0)
		return -1;
	ret = put_in_order(folder, list, n, err);
	for (int i = 0; i < n && ret == 0; i++)
		ret = restore_one(s, list[i], max, err);
	tip_strings_free(list, (size_t)n);
	return ret;
}

static char *file_of(const char *folder, const char *name)
{
	return tip_sprintf("%s/%s.yaml", folder, name);
}

int tip_set_stage(const char *folder, const char *name, const struct tip_set *set,
		  struct tip_error *err)
{
	char *path = file_of(folder, name);
	int ret = 0;

	if (set && !set->ephemeral)
		ret = tip_mkdir_p(folder, 0700, err) < 0
			      ? -1
			      : tip_file_stage(path, set->text, strlen(set->text), 0600, err);
	else if (access(path, F_OK) == 0 && access(folder, W_OK) < 0)
		ret = tip_error_at(err, path, 0, 0, "%s", strerror(errno));
	free(path);
	return ret;
}

int tip_set_commit(const char *folder, const char *name, const struct tip_set *set,
		   struct tip_error *err)
{
	char *path = file_of(folder, name);
	int ret = 0;

	if (set && !set->ephemeral)
		ret = tip_file_commit(path, err);
	else if (unlink(path) < 0 && errno != ENOENT)
		ret = tip_error_at(err, path, 0, 0, "%s", strerror(errno));
	free(path);
	return ret;
}

void tip_set_discard(const char *folder, const char *name)
{
	char *path = file_of(folder, name);

	tip_file_discard(path);
	free(path);
}

void tip_sets_clean(const char *folder, const char *room)
{
	static const char *const endings[] = {".tmp", NULL};
	struct tip_error err;
	char **list;
	int n;

	if (access(folder, F_OK) < 0)
		return;
	n = tip_file_list(folder, endings, &list, &err);
	for (int i = 0; i < n; i++)
		if (unlink(list[i]) == 0)
			tip_warn(room,
				 "%s is removed: a change that was not in force yet when the "
				 "daemon died",
				 list[i]);
	if (n >= 0)
		tip_strings_free(list, (size_t)n);
}
