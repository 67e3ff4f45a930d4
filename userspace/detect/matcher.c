/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/hosts.h"
#include "detect/program.h"

/*
 * Limits for one regex on one value: far above what a sane pattern needs on a path or a command
 * line, and still only milliseconds for one that backtracks without end.
 */
#define REGEX_MATCH_LIMIT 200000
#define REGEX_DEPTH_LIMIT 20000
#define REGEX_HEAP_KB     2048

struct cached {
	uint64_t event; /* of which event `value` is */
	struct tip_value value;
};

struct tip_matcher {
	struct tip_scratch scratch;
	struct tip_users *users;
	struct tip_services *services;
	struct tip_hosts *hosts;
	uint64_t first_ns, last_ns, this_ns; /* events: the first, the one before, this one */
	struct tip_test_env env;
	struct tip_extract x;
	const struct tip_rules *rules; /* whose slots these are; NULL: no event at hand */
	struct cached *slots;
	size_t nslots;
	uint64_t *answers; /* by test: the event it was asked for, times two, plus the answer */
	size_t nanswers;
	uint64_t *searched; /* by search: the event it was made for */
	size_t nsearched;
	uint64_t event;
};

struct tip_matcher *tip_matcher_new(void)
{
	struct tip_matcher *m = tip_alloc(sizeof(*m));

	m->users = tip_users_new("/etc/passwd", "/etc/group");
	m->services = tip_services_new("/etc/services");
	m->env.scratch = &m->scratch;
	m->env.match = pcre2_match_context_create(NULL);
	m->env.data = pcre2_match_data_create(1, NULL);
	if (!m->env.match || !m->env.data)
		abort();
	pcre2_set_match_limit(m->env.match, REGEX_MATCH_LIMIT);
	pcre2_set_depth_limit(m->env.match, REGEX_DEPTH_LIMIT);
	pcre2_set_heap_limit(m->env.match, REGEX_HEAP_KB);
	return m;
}

void tip_matcher_free(struct tip_matcher *m)
{
	if (!m)
		return;
	tip_scratch_free(&m->scratch);
	tip_users_free(m->users);
	tip_services_free(m->services);
	tip_hosts_free(m->hosts);
	pcre2_match_data_free(m->env.data);
	pcre2_match_context_free(m->env.match);
	free(m->slots);
	free(m->answers);
	free(m->searched);
	free(m);
}

const struct tip_hosts *tip_matcher_hosts(const struct tip_matcher *m)
{
	return m->hosts;
}

void tip_matcher_set_hosts(struct tip_matcher *m, struct tip_hosts *hosts)
{
	tip_hosts_free(m->hosts);
	m->hosts = hosts;
}

uint64_t tip_matcher_regex_limits(const struct tip_matcher *m)
{
	return m->env.regex_limits;
}

/* Enlarges an array whose new part is zero: of no event. */
static void *enlarge(void *array, size_t *have, size_t want, size_t size)
{
	if (want <= *have)
		return array;
	array = tip_realloc(array, want, size);
	memset((char *)array + *have * size, 0, (want - *have) * size);
	*have = want;
	return array;
}

void tip_matcher_begin(struct tip_matcher *m, const struct tip_rules *r,
		       const struct tip_match_input *in, enum tip_code code)
{
	m->slots = enlarge(m->slots, &m->nslots, r->nrefs, sizeof(*m->slots));
	m->answers = enlarge(m->answers, &m->nanswers, r->ntests, sizeof(*m->answers));
	m->searched = enlarge(m->searched, &m->nsearched, r->nsearches, sizeof(*m->searched));
	/* one number for an event makes all that is cached stale at once */
	m->event++;
	m->rules = r;
	m->x = (struct tip_extract){.matcher = m,
				    .in = in,
				    .code = code,
				    .scratch = &m->scratch,
				    .users = m->users,
				    .services = m->services,
				    .hosts = m->hosts,
				    .first_ns = m->first_ns,
				    .last_ns = m->last_ns};
	tip_scratch_reset(&m->scratch);
}

const struct tip_value *tip_matcher_value(struct tip_matcher *m, uint32_t slot)
{
	struct cached *c = &m->slots[slot];
	const struct tip_field_ref *ref = &m->rules->refs[slot];

	if (c->event == m->event)
		return &c->value;
	c->event = m->event;
	c->value = (struct tip_value){0};
	if (ref->field->get && (ref->field->codes & TIP_CODE_BIT(m->x.code)))
		ref->field->get(&m->x, ref, &c->value);
	return &c->value;
}

bool tip_matcher_holds(const struct tip_matcher *m, const struct tip_rules *r,
		       const struct tip_match_input *in)
{
	return m->rules == r && m->x.in == in;
}

/* Answers every test of the search that holds. */
static void search(struct tip_matcher *m, const struct tip_slot_search *s)
{
	const struct tip_value *v = tip_matcher_value(m, s->slot);
	uint64_t yes = m->event << 1 | 1;

	if (!v->set)
		return;
	if (!v->count && !v->items)
		tip_search_run(s->search, v->str.s, v->str.len, m->answers, yes);
	for (uint32_t i = 0; i < v->count; i++)
		if (v->items[i].set)
			tip_search_run(s->search, v->items[i].str.s, v->items[i].str.len,
				       m->answers, yes);
}

static bool ask(struct tip_matcher *m, uint32_t number)
{
	const struct tip_test *t = &m->rules->tests[number];
	uint64_t no = m->event << 1;
	bool yes = false;

	if (t->fields) {
		yes = tip_test_fields(t, tip_matcher_value(m, t->slot),
				      tip_matcher_value(m, t->right), &m->env);
	} else if (!t->search) {
		yes = tip_test_value(t, tip_matcher_value(m, t->slot), &m->env);
	} else if (m->searched[t->search - 1] != m->event) {
		m->searched[t->search - 1] = m->event;
		search(m, &m->rules->searches[t->search - 1]);
		yes = m->answers[number] == (no | 1);
	}
	m->answers[number] = no | yes;
	return yes;
}

static bool run(struct tip_matcher *m, uint32_t at)
{
	const struct tip_step *steps = m->rules->steps;

	while (at < TIP_GOTO_FAIL) {
		uint64_t answer = m->answers[steps[at].test];
		bool yes = answer >> 1 == m->event ? answer & 1 : ask(m, steps[at].test);

		at = yes ? steps[at].yes : steps[at].no;
	}
	return at == TIP_GOTO_MATCH;
}

int tip_rules_match(const struct tip_rules *r, struct tip_matcher *m,
		    const struct tip_match_input *in, bool all,
		    void (*hit)(void *ctx, const struct tip_rule *rule,
				const struct tip_match_input *in),
		    void *ctx)
{
	enum tip_code code = tip_event_code(in->ev);
	int hits = 0;

	if (code >= TIP_CODE_MAX || !r->nby_code[code])
		return 0;
	if (!m->first_ns)
		m->first_ns = m->this_ns = in->time_ns;
	m->last_ns = m->this_ns;
	m->this_ns = in->time_ns;
	tip_matcher_begin(m, r, in, code);
	for (size_t i = 0; i < r->nby_code[code]; i++) {
		const struct tip_entry *e = &r->by_code[code][i];
		const struct tip_rule *rule = &r->rules[e->rule];

		if (!run(m, e->step))
			continue;
		hits++;
		hit(ctx, rule, in);
		if (!all)
			break;
	}
	/* `in` is the caller's and may be gone or refilled when we are asked again */
	m->rules = NULL;
	return hits;
}
