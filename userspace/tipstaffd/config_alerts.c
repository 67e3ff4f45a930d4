/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/config_read.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* The parts of `alerts` that are more than a single value. */

#define APPEND_MAX  64  /* entries of alerts.append, and fields of one of them */
#define FIELDS_MAX  64  /* alerts.fields */
#define COMMAND_MAX 256 /* words of a command */

typedef struct tip_config_reading reading;

static int want_list(const reading *r, const struct tip_yaml *n, const char *key, size_t most)
{
	if (n->kind != TIP_YAML_SEQUENCE)
		return tip_config_bad(r, n, key, "a list is wanted here: [a, b]");
	if (n->count > most)
		return tip_error_at(r->err, r->c->file, n->line, n->column,
				    "%s: at most %zu are possible", key, most);
	return 0;
}

static int want_map(const reading *r, const struct tip_yaml *n, const char *key)
{
	return n->kind == TIP_YAML_MAPPING
		       ? 0
		       : tip_config_bad(r, n, key, "keys and values are wanted here");
}

/* A list of texts, NULL-terminated. NULL with the error said. */
static const char **texts(const reading *r, const struct tip_yaml *n, const char *key, size_t most)
{
	const char **list;

	if (want_list(r, n, key, most) < 0)
		return NULL;
	list = tip_arena_alloc(r->c->arena, (n->count + 1) * sizeof(*list));
	for (size_t i = 0; i < n->count; i++) {
		if (tip_config_want_scalar(r, n->items[i], key) < 0)
			return NULL;
		list[i] = n->items[i]->text;
	}
	return list;
}

/* ---- append -------------------------------------------------------------------------------------
 */

static int read_match(const reading *r, const struct tip_yaml *n, struct tip_rule_append *a)
{
	static const char key[] = "alerts.append: match";

	if (want_map(r, n, key) < 0)
		return -1;
	for (size_t i = 0; i < n->count; i++) {
		const char *name = n->keys[i]->kind == TIP_YAML_SCALAR ? n->keys[i]->text : "";
		const struct tip_yaml *v = n->items[i];

		if (strcmp(name, "tags") == 0) {
			a->tags = texts(r, v, key, APPEND_MAX);
			a->ntags = v->count;
			if (!a->tags)
				return -1;
		} else if (strcmp(name, "rule") == 0 || strcmp(name, "source") == 0) {
			if (tip_config_want_scalar(r, v, key) < 0)
				return -1;
			*(name[0] == 'r' ? &a->rule : &a->source) = v->text;
		} else {
			return tip_config_bad(r, n->keys[i], key,
					      "there are rule, source and tags");
		}
	}
	return 0;
}

/* "evt.hostname", or {name: "%evt.hostname of %proc.name"} */
static int read_extra_field(const reading *r, const struct tip_yaml *n,
			    struct tip_rule_append_field *out)
{
	static const char key[] = "alerts.append: extra_fields";

	if (n->kind == TIP_YAML_SCALAR && tip_config_want_scalar(r, n, key) == 0) {
		*out = (struct tip_rule_append_field){n->text, NULL};
		return 0;
	}
	if (n->kind != TIP_YAML_MAPPING || n->count != 1 || n->keys[0]->kind != TIP_YAML_SCALAR)
		return tip_config_bad(r, n, key,
				      "a field is wanted here, or one name with a text: "
				      "{name: \"%proc.name\"}");
	if (tip_config_want_scalar(r, n->items[0], key) < 0)
		return -1;
	*out = (struct tip_rule_append_field){n->keys[0]->text, n->items[0]->text};
	return 0;
}

static int read_extra_fields(const reading *r, const struct tip_yaml *n, struct tip_rule_append *a)
{
	struct tip_rule_append_field *list;

	if (want_list(r, n, "alerts.append: extra_fields", APPEND_MAX) < 0)
		return -1;
	list = tip_arena_alloc(r->c->arena, (n->count + 1) * sizeof(*list));
	for (size_t i = 0; i < n->count; i++)
		if (read_extra_field(r, n->items[i], &list[i]) < 0)
			return -1;
	a->fields = list;
	a->nfields = n->count;
	return 0;
}

static int read_one_append(const reading *r, const struct tip_yaml *n, struct tip_rule_append *a)
{
	static const char key[] = "alerts.append";

	if (want_map(r, n, key) < 0)
		return -1;
	a->file = r->c->file;
	a->line = n->line;
	a->column = n->column;
	for (size_t i = 0; i < n->count; i++) {
		const char *name = n->keys[i]->kind == TIP_YAML_SCALAR ? n->keys[i]->text : "";
		const struct tip_yaml *v = n->items[i];
		int ret = 0;

		if (strcmp(name, "match") == 0) {
			ret = read_match(r, v, a);
		} else if (strcmp(name, "extra_output") == 0) {
			ret = tip_config_want_scalar(r, v, key);
			a->output = v->text;
		} else if (strcmp(name, "extra_fields") == 0) {
			ret = read_extra_fields(r, v, a);
		} else if (strcmp(name, "suggested_output") == 0) {
			if (tip_yaml_bool(v, &a->suggested) < 0)
				ret = tip_config_bad(r, v, key,
						     "suggested_output must be true or false");
		} else {
			ret = tip_config_bad(r, n->keys[i], key,
					     "there are match, extra_output, extra_fields and "
					     "suggested_output");
		}
		if (ret < 0)
			return -1;
	}
	return 0;
}

int tip_config_read_append(reading *r, const struct tip_yaml *n, const char *key)
{
	struct tip_rule_append *list;

	if (want_list(r, n, key, APPEND_MAX) < 0)
		return -1;
	list = tip_arena_alloc(r->c->arena, (n->count + 1) * sizeof(*list));
	for (size_t i = 0; i < n->count; i++)
		if (read_one_append(r, n->items[i], &list[i]) < 0)
			return -1;
	r->c->append = list;
	r->c->nappend = n->count;
	return 0;
}

/* ---- fields, command, facility ------------------------------------------------------------------
 */

int tip_config_read_fields(reading *r, const struct tip_yaml *n, const char *key)
{
	struct tip_alert_field *list;

	if (want_map(r, n, key) < 0)
		return -1;
	if (n->count > FIELDS_MAX)
		return tip_config_bad(r, n, key, "at most 64 fields are possible");
	list = tip_arena_alloc(r->c->arena, (n->count + 1) * sizeof(*list));
	for (size_t i = 0; i < n->count; i++) {
		if (n->keys[i]->kind != TIP_YAML_SCALAR || !*n->keys[i]->text)
			return tip_config_bad(r, n->keys[i], key, "a field needs a name");
		if (tip_config_want_scalar(r, n->items[i], key) < 0)
			return -1;
		list[i] = (struct tip_alert_field){n->keys[i]->text, n->items[i]->text};
	}
	r->c->alert_fields = list;
	r->c->nalert_fields = n->count;
	return 0;
}

int tip_config_read_command(reading *r, const struct tip_yaml *n, const char *key)
{
	const char **list = texts(r, n, key, COMMAND_MAX);

	if (!list)
		return -1;
	if (!list[0] || list[0][0] != '/')
		return tip_config_bad(r, n, key,
				      "the program with its arguments is wanted here, with its "
				      "absolute path: [/usr/bin/logger, -t, x]");
	r->c->program = list;
	r->c->nprogram = n->count;
	return 0;
}

int tip_config_read_facility(reading *r, const struct tip_yaml *n, const char *key)
{
	static const struct {
		const char *name;
		int facility;
	} facilities[] = {
		{"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV}, {"cron", LOG_CRON},
		{"daemon", LOG_DAEMON}, {"kern", LOG_KERN},         {"lpr", LOG_LPR},
		{"mail", LOG_MAIL},     {"news", LOG_NEWS},         {"syslog", LOG_SYSLOG},
		{"user", LOG_USER},     {"uucp", LOG_UUCP},         {"local0", LOG_LOCAL0},
		{"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2},     {"local3", LOG_LOCAL3},
		{"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5},     {"local6", LOG_LOCAL6},
		{"local7", LOG_LOCAL7},
	};

	if (tip_config_want_scalar(r, n, key) < 0)
		return -1;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(facilities); i++) {
		if (strcmp(n->text, facilities[i].name) == 0) {
			r->c->syslog_facility = facilities[i].facility;
			return 0;
		}
	}
	return tip_config_bad(r, n, key, "must be a facility of syslog: daemon, auth, local0, ...");
}

int tip_config_read_spooled(reading *r, const struct tip_yaml *n, const char *key)
{
	static const char *const sinks[] = {"stdout", "file", "syslog", "program", "http"};
	const char **list = texts(r, n, key, TIP_ARRAY_SIZE(sinks));

	for (size_t i = 0; list && i < n->count; i++) {
		size_t j = 0;

		while (j < TIP_ARRAY_SIZE(sinks) && strcmp(list[i], sinks[j]) != 0)
			j++;
		if (j == TIP_ARRAY_SIZE(sinks))
			return tip_config_bad(r, n->items[i], key,
					      "there are stdout, file, syslog, program and http");
	}
	if (!list)
		return -1;
	r->c->spooled = list;
	r->c->nspooled = n->count;
	return 0;
}

/* ---- lost events --------------------------------------------------------------------------------
 */

int tip_config_read_fraction(reading *r, const struct tip_yaml *n, const char *key, double min,
			     double max, double *out)
{
	char *end;
	double v;

	if (tip_config_want_scalar(r, n, key) < 0)
		return -1;
	v = strtod(n->text, &end);
	/* Written so that it refuses NaN too. */
	if (end == n->text || *end || !(v >= min && v <= max))
		return tip_error_at(r->err, r->c->file, n->line, n->column,
				    "%s: a number between %g and %g is wanted here", key, min, max);
	*out = v;
	return 0;
}

int tip_config_read_actions(reading *r, const struct tip_yaml *n, const char *key)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} actions[] = {
		{"log", TIP_DROPS_LOG},
		{"alert", TIP_DROPS_ALERT},
		{"exit", TIP_DROPS_EXIT},
		{"ignore", 0},
	};
	const char **list = texts(r, n, key, TIP_ARRAY_SIZE(actions));
	uint32_t bits = 0;
	bool ignore = false;

	if (!list)
		return -1;
	for (size_t i = 0; i < n->count; i++) {
		size_t j;

		for (j = 0; j < TIP_ARRAY_SIZE(actions); j++)
			if (strcmp(list[i], actions[j].name) == 0)
				break;
		if (j == TIP_ARRAY_SIZE(actions))
			return tip_config_bad(r, n->items[i], key,
					      "there are ignore, log, alert and exit");
		bits |= actions[j].bit;
		ignore |= !actions[j].bit;
	}
	if (ignore && bits)
		return tip_config_bad(r, n, key, "ignore goes with nothing else");
	r->c->drops_actions = bits;
	return 0;
}
