/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "policy/parse.h"
#include "policy/spiffe_glob.h"
#include "policy/spiffe_id.h"
#include "policy/traffic_impl.h"

#define PORT_HELP "a port is a number from 1 to 65535, or a range of them: \"8000-8099\""

struct parser {
	struct tip_parse in; /* its file is the set's own copy */
	struct tip_traffic_policies *all;
};

static int parse_name(struct parser *p, const struct tip_yaml *n, struct tip_traffic_policy *t)
{
	const char *name = tip_parse_text(&p->in, n);
	size_t len;

	if (!name)
		return -1;
	len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	if (!len || name[len] || len > TIP_TRAFFIC_NAME_MAX)
		return tip_error_at(p->in.err, p->in.file, n->line, n->column,
				    "a name is 1 to %d letters, digits, '.', '-' and '_'",
				    TIP_TRAFFIC_NAME_MAX);
	t->name = tip_traffic_intern(p->all, name);
	return 0;
}

/* Reads a port number from the front of `*s`: 1..65535, no zero in front. 0, or -1. */
static int read_port(const char **s, uint16_t *out)
{
	size_t len = strspn(*s, "0123456789");
	unsigned int n = 0;

	if (!len || len > 5 || **s == '0')
		return -1;
	for (; len; len--, (*s)++)
		n = n * 10 + (unsigned int)(**s - '0');
	if (n > UINT16_MAX)
		return -1;
	*out = (uint16_t)n;
	return 0;
}

static int parse_port(struct parser *p, const struct tip_yaml *n, struct tip_traffic_to *to)
{
	const char *s = tip_parse_text(&p->in, n);

	if (!s)
		return -1;
	if (read_port(&s, &to->port_min) < 0)
		return tip_parse_fail(&p->in, n, PORT_HELP);
	to->port_max = to->port_min;
	if (!*s)
		return 0;
	if (*s++ != '-' || read_port(&s, &to->port_max) < 0 || *s)
		return tip_parse_fail(&p->in, n, PORT_HELP);
	if (to->port_min > to->port_max)
		return tip_error_at(p->in.err, p->in.file, n->line, n->column,
				    "the range ends before it begins: write %u-%u", to->port_max,
				    to->port_min);
	/* An exact port goes before a range; this one would be neither. */
	if (to->port_min == to->port_max)
		return tip_error_at(p->in.err, p->in.file, n->line, n->column,
				    "the range is one port: write %u", to->port_min);
	return 0;
}

static int parse_cidr(struct parser *p, const struct tip_yaml *n, struct tip_traffic_to *to)
{
	const char *text = tip_parse_text(&p->in, n);

	if (!text)
		return -1;
	if (tip_cidr_parse(text, &to->cidr, p->in.err) < 0)
		return tip_parse_place(&p->in, n);
	return 0;
}

static int parse_destination(struct parser *p, const struct tip_yaml *map,
			     struct tip_traffic_to *to)
{
	const struct tip_yaml *cidr = tip_yaml_get(map, "cidr"), *port = tip_yaml_get(map, "port");

	if (map->kind != TIP_YAML_MAPPING)
		return tip_parse_fail(&p->in, map,
				      "a destination is expected: {cidr: 10.0.0.0/8, port: 443}");
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->keys[i]->text, "cidr") != 0 &&
		    strcmp(map->keys[i]->text, "port") != 0)
			return tip_error_at(
				p->in.err, p->in.file, map->keys[i]->line, map->keys[i]->column,
				"unknown key \"%.60s\": a destination has cidr and port",
				map->keys[i]->text);
	if (!cidr)
		return tip_parse_fail(&p->in, map, "the destination has no cidr");
	if (!port)
		return tip_parse_fail(&p->in, map,
				      "the destination has no port; every port is \"1-65535\"");
	to->line = map->line;
	to->column = map->column;
	return parse_cidr(p, cidr, to) < 0 ? -1 : parse_port(p, port, to);
}

static bool same_destination(const struct tip_traffic_to *a, const struct tip_traffic_to *b)
{
	return !memcmp(&a->cidr, &b->cidr, sizeof(a->cidr)) && a->port_min == b->port_min &&
	       a->port_max == b->port_max;
}

static int parse_to(struct parser *p, const struct tip_yaml *n, struct tip_traffic_policy *t)
{
	bool list = n->kind == TIP_YAML_SEQUENCE;
	size_t count = list ? n->count : 1;

	if (!count)
		return tip_parse_fail(&p->in, n, "at least one destination");
	if (count > TIP_TRAFFIC_TO_MAX)
		return tip_error_at(p->in.err, p->in.file, n->line, n->column,
				    "at most %d destinations in a policy", TIP_TRAFFIC_TO_MAX);
	t->to = tip_arena_alloc(p->all->arena, count * sizeof(*t->to));
	t->nto = count;
	for (size_t i = 0; i < count; i++) {
		const struct tip_yaml *item = list ? n->items[i] : n;

		t->to[i].policy = t;
		if (parse_destination(p, item, &t->to[i]) < 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (same_destination(&t->to[i], &t->to[j]))
				return tip_error_at(p->in.err, p->in.file, item->line, item->column,
						    "this destination is at line %d already",
						    t->to[j].line);
	}
	return 0;
}

static int check_server_id(const char *id, struct tip_error *err)
{
	if (strchr(id, '*'))
		return tip_error_set(err, "the ID of a server is never a pattern: a client pins "
					  "exactly these IDs");
	return tip_spiffe_id_check(id, true, err);
}

static int parse_peers(struct parser *p, const struct tip_yaml *n, size_t max,
		       int (*check)(const char *id, struct tip_error *err),
		       struct tip_traffic_peer **out, size_t *count)
{
	struct tip_traffic_peer *list;

	if (n->kind != TIP_YAML_SEQUENCE)
		return tip_parse_fail(&p->in, n, "a list of SPIFFE IDs is expected here");
	if (!n->count)
		return tip_parse_fail(
			&p->in, n,
			"at least one SPIFFE ID; an empty list could be read as nobody "
			"or as everybody");
	if (n->count > max)
		return tip_error_at(p->in.err, p->in.file, n->line, n->column,
				    "at most %zu IDs here", max);
	list = tip_arena_alloc(p->all->arena, n->count * sizeof(*list));
	for (size_t i = 0; i < n->count; i++) {
		const struct tip_yaml *item = n->items[i];
		const char *text = tip_parse_text(&p->in, item);

		if (!text)
			return -1;
		if (check(text, p->in.err) < 0)
			return tip_parse_place(&p->in, item);
		list[i] = (struct tip_traffic_peer){tip_traffic_intern(p->all, text), item->line,
						    item->column};
		/* Kept once each, so the same text is the same pointer. */
		for (size_t j = 0; j < i; j++)
			if (list[i].id == list[j].id)
				return tip_parse_fail(&p->in, item, "this ID is there twice");
	}
	*out = list;
	*count = n->count;
	return 0;
}

static int parse_server(struct parser *p, const struct tip_yaml *n, struct tip_traffic_policy *t)
{
	t->server_line = n->line;
	return parse_peers(p, n, TIP_TRAFFIC_SERVER_MAX, check_server_id, &t->server, &t->nserver);
}

static int parse_clients(struct parser *p, const struct tip_yaml *n, struct tip_traffic_policy *t)
{
	t->clients_line = n->line;
	return parse_peers(p, n, TIP_TRAFFIC_CLIENTS_MAX, tip_spiffe_glob_check, &t->clients,
			   &t->nclients);
}

static int parse_mode(struct parser *p, const struct tip_yaml *n, struct tip_traffic_policy *t)
{
	const char *mode = tip_parse_text(&p->in, n);

	if (!mode)
		return -1;
	t->mode_line = n->line;
	if (!strcmp(mode, "strict"))
		t->mode = TIP_TRAFFIC_STRICT;
	else if (!strcmp(mode, "disable"))
		t->mode = TIP_TRAFFIC_DISABLE;
	else
		return tip_error_at(p->in.err, p->in.file, n->line, n->column,
				    "unknown mode \"%.60s\": there are strict and disable", mode);
	return 0;
}

static const struct {
	const char *key;
	bool needed;        /* always */
	bool needed_strict; /* unless the policy disables */
	int (*parse)(struct parser *p, const struct tip_yaml *n, struct tip_traffic_policy *t);
} keys[] = {
	{"name", true, false, parse_name},     {"to", true, false, parse_to},
	{"server", false, true, parse_server}, {"clients", false, true, parse_clients},
	{"mode", false, false, parse_mode},
};

static int parse_key(struct parser *p, const struct tip_yaml *map, size_t i,
		     struct tip_traffic_policy *t)
{
	for (size_t k = 0; k < TIP_ARRAY_SIZE(keys); k++)
		if (!strcmp(map->keys[i]->text, keys[k].key))
			return keys[k].parse(p, map->items[i], t);
	return tip_error_at(p->in.err, p->in.file, map->keys[i]->line, map->keys[i]->column,
			    "unknown key \"%.60s\": a policy has name, to, server, clients and "
			    "mode",
			    map->keys[i]->text);
}

/* One policy as it stands, whatever the others say. */
static int parse_policy(struct parser *p, const struct tip_yaml *map, struct tip_traffic_policy *t)
{
	struct tip_buf text = {0};
	size_t len;

	if (map->kind != TIP_YAML_MAPPING)
		return tip_parse_fail(
			&p->in, map,
			"a policy is expected: name: ..., to: {cidr: ..., port: ...}, "
			"server: [...], clients: [...]");
	*t = (struct tip_traffic_policy){
		.file = p->in.file,
		.line = map->line,
		.column = map->column,
		.server_line = map->line,
		.clients_line = map->line,
		.mode_line = map->line,
	};
	for (size_t i = 0; i < map->count; i++)
		if (parse_key(p, map, i, t) < 0)
			return -1;
	for (size_t k = 0; k < TIP_ARRAY_SIZE(keys); k++) {
		bool strict = keys[k].needed_strict && t->mode == TIP_TRAFFIC_STRICT;

		if ((keys[k].needed || strict) && !tip_yaml_get(map, keys[k].key))
			return tip_error_at(p->in.err, p->in.file, map->line, map->column,
					    "the policy has no %s%s", keys[k].key,
					    strict ? ", which mode strict needs" : "");
	}
	tip_traffic_write(t, &text);
	len = text.len;
	tip_buf_free(&text);
	return len > TIP_TRAFFIC_TEXT_MAX
		       ? tip_parse_fail(&p->in, map, "the policy is larger than 32 KiB")
		       : 0;
}

/* Holds a policy that is in the set against those before it. */
static int check_others(struct parser *p, const struct tip_yaml *map, struct tip_traffic_policy *t)
{
	const struct tip_yaml *name = tip_yaml_get(map, "name");
	const struct tip_traffic_policy *first = tip_map_gets(p->all->names, t->name);

	if (first)
		return tip_error_at(p->in.err, p->in.file, name->line, name->column,
				    "there is a policy %s at %s:%d:%d already", t->name,
				    first->file, first->line, first->column);
	tip_map_puts(p->all->names, t->name, t);
	for (size_t i = 0; i < t->nto; i++) {
		const struct tip_traffic_to *to = &t->to[i];
		const struct tip_traffic_to *other = tip_traffic_claim(p->all, &t->to[i]);

		if (other != to && !tip_traffic_policy_same(t, other->policy))
			return tip_error_at(p->in.err, p->in.file, to->line, to->column,
					    "policy %s says something else of the same "
					    "destination, at %s:%d:%d",
					    other->policy->name, other->policy->file, other->line,
					    other->column);
	}
	return 0;
}

static int parse_list(struct parser *p, const struct tip_yaml *list)
{
	if (list->kind != TIP_YAML_SEQUENCE)
		return tip_parse_fail(&p->in, list,
				      "a traffic policy file is a list: \"- name: ...\"");
	for (size_t i = 0; i < list->count; i++) {
		const struct tip_yaml *map = list->items[i];
		struct tip_traffic_policy *t = tip_arena_alloc(p->all->arena, sizeof(*t));

		if (parse_policy(p, map, t) < 0)
			return -1;
		if (p->all->count == TIP_TRAFFIC_POLICIES_MAX)
			return tip_error_at(p->in.err, p->in.file, map->line, map->column,
					    "more than %d policies", TIP_TRAFFIC_POLICIES_MAX);
		tip_traffic_policies_push(p->all, t);
		if (p->all->ndestinations > TIP_TRAFFIC_DESTINATIONS_MAX)
			return tip_error_at(p->in.err, p->in.file, map->line, map->column,
					    "more than %d destinations in all policies",
					    TIP_TRAFFIC_DESTINATIONS_MAX);
		if (check_others(p, map, t) < 0)
			return -1;
	}
	return 0;
}

int tip_traffic_policies_parse(struct tip_traffic_policies *all, const char *file, const char *text,
			       size_t len, struct tip_error *err)
{
	/* The tree is many times the size of what is kept of it. */
	struct tip_arena *scratch = tip_arena_new();
	struct parser p = {.in = {tip_traffic_intern(all, file ? file : ""), err}, .all = all};
	struct tip_yaml **docs;
	size_t ndocs, had = all->count;
	int ret = tip_yaml_parse(scratch, file, text, len, &docs, &ndocs, err);

	for (size_t i = 0; !ret && i < ndocs; i++)
		ret = parse_list(&p, docs[i]);
	if (ret < 0)
		tip_traffic_policies_cut(all, had);
	tip_arena_free(scratch);
	return ret;
}
