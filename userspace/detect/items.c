/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "detect/loader.h"

/* Items of a rule file other than rules, and what all items have in common. */

#define YAML_ERR "LOAD_ERR_YAML_VALIDATE"

/* ---- common parts
 * -------------------------------------------------------------------------------- */

void tip_load_unknown_keys(struct tip_loader *l, const struct tip_yaml *item,
			   const struct tip_key *keys, size_t count)
{
	for (size_t i = 0; i < item->count; i++) {
		const char *key = item->keys[i]->text;
		size_t k;

		for (k = 0; k < count && key; k++)
			if (strcmp(keys[k].name, key) == 0)
				break;
		if (k == count || !key)
			tip_load_say(l, "LOAD_UNKNOWN_KEY", item->keys[i],
				     "unknown key '%s' in a %s is ignored", key ? key : "",
				     l->item_type);
	}
}

enum tip_override tip_load_override(const struct tip_yaml *item, const char *key)
{
	const struct tip_yaml *o = tip_yaml_get(item, "override"), *v;

	if (!o)
		return tip_yaml_get(item, "append") ? TIP_OVERRIDE_APPEND : TIP_OVERRIDE_NONE;
	v = o->kind == TIP_YAML_MAPPING ? tip_yaml_get(o, key) : NULL;
	if (!v || v->kind != TIP_YAML_SCALAR)
		return TIP_OVERRIDE_NONE;
	return strcmp(v->text, "append") == 0 ? TIP_OVERRIDE_APPEND : TIP_OVERRIDE_REPLACE;
}

static const struct tip_key *find_key(const struct tip_key *keys, size_t count, const char *name)
{
	for (size_t i = 0; i < count && name; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static int check_override(struct tip_loader *l, const struct tip_yaml *item,
			  const struct tip_yaml *override, const struct tip_key *keys, size_t count)
{
	if (override->kind != TIP_YAML_MAPPING || !override->count)
		return tip_load_say(l, YAML_ERR, override,
				    "'override' must be a map of keys to append or replace");
	for (size_t i = 0; i < override->count; i++) {
		const struct tip_yaml *name = override->keys[i], *how = override->items[i];
		const struct tip_key *key = find_key(keys, count, name->text);
		bool append;

		if (!key || (!key->append && !key->replace))
			return tip_load_say(l, YAML_ERR, name, "key '%s' cannot be overridden",
					    name->text ? name->text : "");
		append = how->kind == TIP_YAML_SCALAR && strcmp(how->text, "append") == 0;
		if (!append && (how->kind != TIP_YAML_SCALAR || strcmp(how->text, "replace") != 0))
			return tip_load_say(l, YAML_ERR, how,
					    "an override is either 'append' or 'replace'");
		if (append ? !key->append : !key->replace)
			return tip_load_say(l, YAML_ERR, how, "key '%s' cannot be %s", name->text,
					    append ? "appended to" : "replaced");
		if (!tip_yaml_get(item, name->text))
			return tip_load_say(l, YAML_ERR, name,
					    "'override' names '%s', but the item has no such key",
					    name->text);
	}
	for (size_t i = 0; i < item->count; i++) {
		const struct tip_key *key = find_key(keys, count, item->keys[i]->text);

		if (key && (key->append || key->replace) && !tip_yaml_get(override, key->name))
			return tip_load_say(l, YAML_ERR, item->keys[i],
					    "key '%s' is given but not named in 'override'",
					    key->name);
	}
	return 0;
}

int tip_load_overrides(struct tip_loader *l, const struct tip_yaml *item,
		       const struct tip_key *keys, size_t count, bool *partial)
{
	const struct tip_yaml *override = tip_yaml_get(item, "override");
	const struct tip_yaml *append = tip_yaml_get(item, "append");
	bool on = false;

	*partial = false;
	if (append && tip_yaml_bool(append, &on) < 0)
		return tip_load_say(l, YAML_ERR, append, "'append' must be true or false");
	if (override && on)
		return tip_load_say(l, YAML_ERR, append,
				    "'append' and 'override' cannot be used together");
	if (append)
		tip_load_say(l, "LOAD_DEPRECATED_ITEM", append,
			     "'append' is deprecated: use 'override'");
	if (override && check_override(l, item, override, keys, count) < 0)
		return -1;
	*partial = override || on;
	return 0;
}

const struct tip_yaml *tip_load_text(struct tip_loader *l, const struct tip_yaml *item,
				     const char *key, bool required, bool *bad)
{
	const struct tip_yaml *n = tip_yaml_get(item, key);

	*bad = true;
	if (!n) {
		if (!required)
			*bad = false;
		else
			tip_load_say(l, YAML_ERR, item, "the %s has no key '%s'", l->item_type,
				     key);
		return NULL;
	}
	if (n->kind != TIP_YAML_SCALAR || tip_yaml_is_null(n) ||
	    !n->text[strspn(n->text, " \t\r\n")]) {
		tip_load_say(l, YAML_ERR, n, "'%s' must be a text that is not empty", key);
		return NULL;
	}
	*bad = false;
	return n;
}

const struct tip_yaml *tip_load_strings(struct tip_loader *l, const struct tip_yaml *item,
					const char *key)
{
	const struct tip_yaml *n = tip_yaml_get(item, key);

	if (!n) {
		tip_load_say(l, YAML_ERR, item, "the %s has no key '%s'", l->item_type, key);
		return NULL;
	}
	if (n->kind != TIP_YAML_SEQUENCE) {
		tip_load_say(l, YAML_ERR, n, "'%s' must be a list", key);
		return NULL;
	}
	for (size_t i = 0; i < n->count; i++) {
		if (n->items[i]->kind == TIP_YAML_SCALAR)
			continue;
		tip_load_say(l, YAML_ERR, n->items[i], "'%s' must be a list of texts or numbers",
			     key);
		return NULL;
	}
	return n;
}

/* ---- lists and macros
 * ------------------------------------------------------------------------------ */

static bool identifier(const char *s)
{
	if (!isalpha((unsigned char)*s))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '_')
			return false;
	return true;
}

static int load_list(struct tip_loader *l, const struct tip_yaml *item)
{
	static const struct tip_key keys[] = {{.name = "list"},
					      {.name = "items", .append = true, .replace = true},
					      {.name = "append"},
					      {.name = "override"}};
	const struct tip_yaml *items;
	struct tip_list_def *d;
	bool partial;

	tip_load_unknown_keys(l, item, keys, TIP_ARRAY_SIZE(keys));
	if (tip_load_overrides(l, item, keys, TIP_ARRAY_SIZE(keys), &partial) < 0)
		return -1;
	items = tip_load_strings(l, item, "items");
	if (!items)
		return -1;
	if (l->item_name[strcspn(l->item_name, " \t\r\n()\"'=,")])
		tip_load_say(l, "LOAD_INVALID_LIST_NAME", tip_yaml_get(item, "list"),
			     "list name '%s' cannot be used in a condition: it has a blank, a "
			     "parenthesis, a quote, '=' or ','",
			     l->item_name);
	if (partial && !tip_map_gets(l->defs->lists, l->item_name))
		return tip_load_say(l, "LOAD_ERR_VALIDATE", tip_yaml_get(item, "list"),
				    "there is no list '%s' to change", l->item_name);
	d = tip_defs_list(l->defs, l->item_name);
	l->defs->sequence++;
	if (!d->first)
		d->first = l->defs->sequence;
	d->last = l->defs->sequence;
	if (!partial || tip_load_override(item, "items") != TIP_OVERRIDE_APPEND) {
		d->place = (struct tip_def_place){l->source, tip_yaml_get(item, "list"), item};
		d->nitems = 0;
	}
	d->items = tip_realloc(d->items, d->nitems + items->count + 1, sizeof(*d->items));
	for (size_t i = 0; i < items->count; i++)
		d->items[d->nitems++] = items->items[i]->text;
	return 0;
}

static int load_macro(struct tip_loader *l, const struct tip_yaml *item)
{
	static const struct tip_key keys[] = {
		{.name = "macro"},
		{.name = "condition", .append = true, .replace = true},
		{.name = "append"},
		{.name = "override"}};
	const struct tip_yaml *condition;
	struct tip_macro_def *d;
	bool partial, bad;

	tip_load_unknown_keys(l, item, keys, TIP_ARRAY_SIZE(keys));
	if (tip_load_overrides(l, item, keys, TIP_ARRAY_SIZE(keys), &partial) < 0)
		return -1;
	condition = tip_load_text(l, item, "condition", true, &bad);
	if (!condition)
		return -1;
	if (!identifier(l->item_name))
		tip_load_say(l, "LOAD_INVALID_MACRO_NAME", tip_yaml_get(item, "macro"),
			     "macro name '%s' cannot be used in a condition: write a letter, then "
			     "letters, digits and '_'",
			     l->item_name);
	if (partial && !tip_map_gets(l->defs->macros, l->item_name))
		return tip_load_say(l, "LOAD_ERR_VALIDATE", tip_yaml_get(item, "macro"),
				    "there is no macro '%s' to change", l->item_name);
	d = tip_defs_macro(l->defs, l->item_name);
	l->defs->sequence++;
	if (!d->first)
		d->first = l->defs->sequence;
	d->last = l->defs->sequence;
	if (partial && tip_load_override(item, "condition") == TIP_OVERRIDE_APPEND) {
		tip_text_put(&d->condition, &d->condition, d->condition.buf.len, " ", 1);
	} else {
		d->place = (struct tip_def_place){l->source, tip_yaml_get(item, "macro"), item};
		tip_text_free(&d->condition);
	}
	tip_text_add_node(&d->condition, l->source, condition);
	return 0;
}

/* ---- what a file requires -----------------------------------------------------------------------
 */

/* "1.2.3" or "15" (= 0.15.0). 0, or -1. */
static int parse_version(const char *s, unsigned long v[3])
{
	size_t n = 0;

	v[0] = v[1] = v[2] = 0;
	for (;;) {
		char *end;

		if (!isdigit((unsigned char)*s) || n == 3)
			return -1;
		v[n++] = strtoul(s, &end, 10);
		s = end;
		if (!*s)
			break;
		/* pre-release and build parts do not count */
		if (n == 3 && (*s == '-' || *s == '+'))
			break;
		if (*s++ != '.')
			return -1;
	}
	if (n == 1) {
		v[1] = v[0];
		v[0] = 0;
	}
	return n == 2 ? -1 : 0;
}

static int compare_versions(const unsigned long a[3], const unsigned long b[3])
{
	for (int i = 0; i < 3; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return 0;
}

static int load_engine_version(struct tip_loader *l, const struct tip_yaml *v)
{
	unsigned long want[3], have[3];

	if (v->kind != TIP_YAML_SCALAR || parse_version(v->text, want) < 0)
		return tip_load_say(l, YAML_ERR, v,
				    "required_engine_version must be a version (0.57.0) or a "
				    "number");
	parse_version(TIP_ENGINE_VERSION, have);
	if (want[0] == have[0] && compare_versions(want, have) <= 0)
		return 0;
	return tip_load_say(l, "LOAD_ERR_VALIDATE", v,
			    "the file requires engine version %s, this is " TIP_ENGINE_VERSION,
			    v->text);
}

/* Built in: what rules may require as plugins. */
static const struct {
	const char *name, *version;
} plugins[] = {{"container", "0.7.1"}, {"k8smeta", "0.4.1"}};

/* 1: provided, 0: not (then it stands in `wanted`), -1 after an error. */
static int plugin_provided(struct tip_loader *l, const struct tip_yaml *p, struct tip_buf *wanted)
{
	const struct tip_yaml *name, *version;
	unsigned long want[3], have[3];
	bool bad;

	if (p->kind != TIP_YAML_MAPPING)
		return tip_load_say(l, YAML_ERR, p, "a plugin is a map with name and version");
	name = tip_load_text(l, p, "name", true, &bad);
	version = name ? tip_load_text(l, p, "version", true, &bad) : NULL;
	if (!version)
		return -1;
	if (parse_version(version->text, want) < 0)
		return tip_load_say(l, "LOAD_ERR_VALIDATE", p,
				    "'%s' is no version of plugin '%s': write it as 0.4.0",
				    version->text, name->text);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(plugins); i++) {
		if (strcmp(name->text, plugins[i].name) != 0)
			continue;
		parse_version(plugins[i].version, have);
		if (have[0] == want[0] && compare_versions(want, have) <= 0)
			return 1;
	}
	tip_buf_addf(wanted, "%s%s (>= %s)", wanted->len ? ", " : "", name->text, version->text);
	return 0;
}

/* One requirement, with what would do as well. */
static int require_plugin(struct tip_loader *l, const struct tip_yaml *p)
{
	const struct tip_yaml *alternatives = tip_yaml_get(p, "alternatives");
	struct tip_buf wanted = {0};
	int ok = plugin_provided(l, p, &wanted);

	if (ok >= 0 && alternatives && alternatives->kind != TIP_YAML_SEQUENCE)
		ok = tip_load_say(l, YAML_ERR, alternatives, "alternatives must be a list");
	/* each is looked at, so that a wrong one is told although another would do */
	for (size_t i = 0; ok >= 0 && alternatives && i < alternatives->count; i++) {
		int other = plugin_provided(l, alternatives->items[i], &wanted);

		ok = other < 0 ? -1 : ok | other;
	}
	if (ok == 0) {
		tip_load_say(l, "LOAD_ERR_VALIDATE", p,
			     "a plugin is required that is not built in, one of: %s", wanted.data);
		l->result->unmet = tip_arena_strdup(l->result->arena, wanted.data);
		ok = -1;
	}
	tip_buf_free(&wanted);
	return ok < 0 ? -1 : 0;
}

static int load_plugin_versions(struct tip_loader *l, const struct tip_yaml *v)
{
	if (v->kind != TIP_YAML_SEQUENCE)
		return tip_load_say(l, YAML_ERR, v, "required_plugin_versions must be a list");
	for (size_t i = 0; i < v->count; i++)
		if (require_plugin(l, v->items[i]) < 0)
			return -1;
	return 0;
}

/* ---- one item
 * ------------------------------------------------------------------------------------ */

int tip_load_item(struct tip_loader *l, const struct tip_yaml *item)
{
	static const struct {
		const char *key;
		int (*load)(struct tip_loader *, const struct tip_yaml *);
	} kinds[] = {{"rule", tip_load_rule}, {"macro", load_macro}, {"list", load_list}};
	static const struct tip_key engine_key = {.name = "required_engine_version"};
	static const struct tip_key plugins_key = {.name = "required_plugin_versions"};
	const struct tip_yaml *v;
	bool bad;

	l->item_type = "";
	l->item_name = "";
	l->item = item;
	l->exception = NULL;
	if (tip_yaml_is_null(item))
		return 0;
	if (item->kind != TIP_YAML_MAPPING)
		return tip_load_say(l, YAML_ERR, item,
				    "each item of a rule file must be a map of keys");
	v = tip_yaml_get(item, "required_engine_version");
	if (v) {
		l->item_type = "required_engine_version";
		tip_load_unknown_keys(l, item, &engine_key, 1);
		return load_engine_version(l, v);
	}
	v = tip_yaml_get(item, "required_plugin_versions");
	if (v) {
		l->item_type = "required_plugin_versions";
		tip_load_unknown_keys(l, item, &plugins_key, 1);
		return load_plugin_versions(l, v);
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(kinds); i++) {
		if (!tip_yaml_get(item, kinds[i].key))
			continue;
		l->item_type = kinds[i].key;
		v = tip_load_text(l, item, kinds[i].key, true, &bad);
		if (!v)
			return -1;
		if (strlen(v->text) > TIP_RULE_NAME_MAX)
			return tip_load_say(l, YAML_ERR, v, "a name has at most %d bytes",
					    TIP_RULE_NAME_MAX);
		l->item_name = v->text;
		return kinds[i].load(l, item);
	}
	tip_load_say(l, "LOAD_UNKNOWN_ITEM", item,
		     "an item that is neither rule, macro, list nor a required version is ignored");
	return 0;
}
