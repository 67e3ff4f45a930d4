/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "alert/alert.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"

#define QUEUE_DEFAULT   4096
#define RECENT_DEFAULT  256
#define TIMEOUT_DEFAULT (2 * TIP_NSEC_PER_SEC)
#define DRAIN_NS        (2 * TIP_NSEC_PER_SEC)
#define EXTRA_MOST      2 /* members that publish() adds */

struct subscriber {
	int id; /* 0: left, to be swept */
	void (*fn)(void *ctx, const char *json, size_t len);
	void *ctx;
};

struct rule_count {
	uint64_t alerts;
	char name[];
};

struct tip_alerts {
	char *hostname, *path;
	bool json, common; /* common: what sinks get is what the control socket gets */
	struct tip_alert_form form;
	struct tip_alert_member *fixed; /* of every alert, finished JSON; sorted */
	size_t nfixed;

	struct {
		const char *name;
		struct tip_sink *sink;
	} sinks[TIP_SINKS_MAX];
	size_t nsinks;
	struct tip_sink *file, *http; /* two of them, NULL: none */

	struct tip_line **recent; /* a ring */
	size_t nrecent, recent_head, recent_count;

	struct subscriber *subs;
	size_t nsubs;
	int next_id;
	int publishing; /* depth: while it is above 0 the list of subscribers only grows */

	uint64_t total, rules, by_priority[TIP_PRIO_DEBUG + 1];
	struct tip_map *by_rule; /* name -> struct rule_count */

	struct tip_buf text, fields, merged, line; /* scratch */
};

static char *json_string(const char *s)
{
	struct tip_buf b = {0};

	tip_buf_add_json_string(&b, s, strlen(s));
	return b.data;
}

static void keep_fixed(struct tip_alerts *a, const struct tip_alerts_config *config)
{
	a->fixed = tip_calloc(config->nfields + 1, sizeof(*a->fixed));
	for (size_t i = 0; i < config->nfields; i++)
		a->fixed[i] = (struct tip_alert_member){
			json_string(config->fields[i].name),
			config->fields[i].value ? json_string(config->fields[i].value)
						: tip_strdup("null")};
	a->nfixed = config->nfields;
	tip_alert_members_sort(a->fixed, a->nfixed);
}

/* The spool of a sink; NULL: it has none, or -1 in `*ret`. */
static struct tip_spool *spool_of(const struct tip_alerts_config *config, const char *name,
				  int *ret, struct tip_error *err)
{
	struct tip_spool *spool;
	char *folder;

	for (size_t i = 0; i < config->nspooled; i++) {
		if (strcmp(config->spooled[i], name) != 0)
			continue;
		folder = tip_sprintf("%s/%s", config->spool, name);
		spool = tip_spool_open(folder, config->spool_max, err);
		*ret = spool ? 0 : -1;
		free(folder);
		return spool;
	}
	*ret = 0;
	return NULL;
}

/* Takes `out`. 0, or -1 with `err`. */
static int add_sink(struct tip_alerts *a, const struct tip_alerts_config *config, const char *name,
		    struct tip_out *out, struct tip_error *err)
{
	struct tip_sink_config c = {
		.queue = config->queue ? config->queue : QUEUE_DEFAULT,
		.timeout_ns = config->timeout_ns ? config->timeout_ns : TIMEOUT_DEFAULT,
		.buffered = config->buffered,
	};
	int ret;

	c.spool = spool_of(config, name, &ret, err);
	if (ret < 0) {
		out->ops->close(out, 0);
		return -1;
	}
	a->sinks[a->nsinks].name = name;
	a->sinks[a->nsinks++].sink = tip_sink_new(name, out, &c);
	return 0;
}

static int add_file(struct tip_alerts *a, const struct tip_alerts_config *config,
		    struct tip_error *err)
{
	int fd = tip_out_open_file(config->file, err);

	if (fd < 0 || add_sink(a, config, "file", tip_out_fd(fd, true), err) < 0)
		return -1;
	a->path = tip_strdup(config->file);
	a->file = a->sinks[a->nsinks - 1].sink;
	return 0;
}

static int add_http(struct tip_alerts *a, const struct tip_alerts_config *config,
		    struct tip_error *err)
{
	if (add_sink(a, config, "http",
		     tip_out_http(config->http_host, config->http_port, config->resolver,
				  config->http_max_timeouts),
		     err) < 0)
		return -1;
	a->http = a->sinks[a->nsinks - 1].sink;
	return 0;
}

struct tip_alerts *tip_alerts_new(const struct tip_alerts_config *config, struct tip_error *err)
{
	const struct tip_alert_form *f = &config->form;
	struct tip_alerts *a = tip_alloc(sizeof(*a));
	struct utsname uts;

	if (config->hostname && *config->hostname)
		a->hostname = tip_strdup(config->hostname);
	else
		a->hostname = tip_strdup(uname(&uts) == 0 ? uts.nodename : "");
	a->json = config->json;
	a->form = *f;
	a->common = a->json && !f->no_output && !f->no_fields && !f->no_tags && !f->message;
	keep_fixed(a, config);
	a->nrecent = config->recent ? config->recent : RECENT_DEFAULT;
	a->recent = tip_calloc(a->nrecent, sizeof(*a->recent));
	a->next_id = 1;
	a->by_rule = tip_map_new();
	if ((config->file && *config->file && add_file(a, config, err) < 0) ||
	    (config->stdout_enabled &&
	     add_sink(a, config, "stdout", tip_out_fd(STDOUT_FILENO, false), err) < 0) ||
	    (config->syslog && *config->syslog &&
	     add_sink(a, config, "syslog", tip_out_syslog(config->syslog, config->facility), err) <
		     0) ||
	    (config->program &&
	     add_sink(a, config, "program",
		      tip_out_program(config->program, config->program_keep_alive), err) < 0) ||
	    (config->http_host && add_http(a, config, err) < 0)) {
		tip_alerts_free(a);
		return NULL;
	}
	return a;
}

size_t tip_alerts_waiting(struct tip_alerts *a)
{
	size_t most = 0;

	for (size_t i = 0; i < a->nsinks; i++) {
		const size_t n = tip_sink_waiting(a->sinks[i].sink);

		most = n > most ? n : most;
	}
	return most;
}

void tip_alerts_free(struct tip_alerts *a)
{
	uint64_t deadline = tip_clock_monotonic() + DRAIN_NS;

	if (!a)
		return;
	for (size_t i = 0; i < a->nsinks; i++) /* all at once: each has the whole time */
		tip_sink_stop(a->sinks[i].sink, deadline);
	for (size_t i = 0; i < a->nsinks; i++)
		tip_sink_free(a->sinks[i].sink);
	for (size_t i = 0; i < a->nrecent; i++)
		tip_line_put(a->recent[i]);
	for (size_t i = 0; i < a->nfixed; i++) {
		free((char *)a->fixed[i].key);
		free((char *)a->fixed[i].value);
	}
	free(a->fixed);
	tip_map_free(a->by_rule, free);
	free(a->recent);
	free(a->subs);
	tip_buf_free(&a->text);
	tip_buf_free(&a->fields);
	tip_buf_free(&a->merged);
	tip_buf_free(&a->line);
	free(a->hostname);
	free(a->path);
	free(a);
}

int tip_alerts_reopen(struct tip_alerts *a, struct tip_error *err)
{
	int fd;

	if (!a->file)
		return 0;
	fd = tip_out_open_file(a->path, err);
	if (fd < 0)
		return -1;
	tip_sink_set_fd(a->file, fd);
	return 0;
}

void tip_alerts_set_http(struct tip_alerts *a, int fd)
{
	tip_sink_set_fd(a->http, fd);
}

/* ---- subscribers ---------------------------------------------------------- */

static void sweep_subscribers(struct tip_alerts *a)
{
	size_t n = 0;

	if (a->publishing)
		return;
	for (size_t i = 0; i < a->nsubs; i++) {
		if (a->subs[i].id)
			a->subs[n++] = a->subs[i];
	}
	a->nsubs = n;
}

/* By index and with a copy: `fn` may subscribe and unsubscribe, itself or others. */
static void tell(struct tip_alerts *a, size_t i, const struct tip_line *json)
{
	struct subscriber s = a->subs[i];

	if (s.id)
		s.fn(s.ctx, json->text, json->len - 1);
}

int tip_alerts_subscribe(struct tip_alerts *a, size_t recent,
			 void (*fn)(void *ctx, const char *json, size_t len), void *ctx)
{
	size_t mine = a->nsubs;
	int id = a->next_id++;

	a->subs = tip_realloc(a->subs, a->nsubs + 1, sizeof(*a->subs));
	a->subs[a->nsubs++] = (struct subscriber){.id = id, .fn = fn, .ctx = ctx};
	if (recent > a->recent_count)
		recent = a->recent_count;
	a->publishing++;
	for (size_t left = recent; left; left--) {
		size_t at = (a->recent_head + a->nrecent - left) % a->nrecent;

		tell(a, mine, a->recent[at]);
	}
	a->publishing--;
	sweep_subscribers(a);
	return id;
}

void tip_alerts_unsubscribe(struct tip_alerts *a, int id)
{
	for (size_t i = 0; i < a->nsubs; i++) {
		if (a->subs[i].id == id)
			a->subs[i].id = 0;
	}
	sweep_subscribers(a);
}

/* ---- the way out ------------------------------------------------------------- */

static void remember(struct tip_alerts *a, struct tip_line *json)
{
	tip_line_put(a->recent[a->recent_head]);
	a->recent[a->recent_head] = tip_line_ref(json);
	a->recent_head = (a->recent_head + 1) % a->nrecent;
	if (a->recent_count < a->nrecent)
		a->recent_count++;
}

/* Finishes and hands out an alert whose message and fields are in the scratch buffers; `extra` are
 * its own members, room for `nextra` + EXTRA_MOST. */
static void publish(struct tip_alerts *a, struct tip_alert *alert, struct tip_alert_member *extra,
		    size_t nextra)
{
	struct tip_line *full, *line = NULL;
	size_t nsubs = a->nsubs;
	char number[24], stamp[40], iso[48];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)alert->time_ns);
	extra[nextra++] = (struct tip_alert_member){"\"evt.time\"", number};
	if (a->form.iso8601) {
		snprintf(iso, sizeof(iso), "\"%s\"",
			 tip_alert_iso8601(alert->time_ns, stamp, sizeof(stamp)));
		extra[nextra++] = (struct tip_alert_member){"\"evt.time.iso8601\"", iso};
	}
	tip_alert_members_sort(extra, nextra);
	tip_alert_merge(&a->fields, extra, nextra, &a->merged);
	if (a->nfixed) {
		struct tip_buf swap = a->fields;

		a->fields = a->merged;
		a->merged = swap;
		tip_alert_merge(&a->fields, a->fixed, a->nfixed, &a->merged);
	}
	alert->hostname = a->hostname;
	alert->message = a->text.data ? a->text.data : "";
	alert->message_len = a->text.len;
	alert->fields = a->merged.data;
	alert->fields_len = a->merged.len;

	a->total++;
	a->by_priority[alert->priority]++;
	tip_buf_reset(&a->line);
	tip_alert_json(alert, &(struct tip_alert_form){.iso8601 = a->form.iso8601}, &a->line);
	full = tip_line_new(a->line.data, a->line.len, (uint8_t)alert->priority);
	if (a->nsinks && !a->common) {
		tip_buf_reset(&a->line);
		if (a->json)
			tip_alert_json(alert, &a->form, &a->line);
		else
			tip_alert_text(alert, a->form.iso8601, &a->line);
		line = tip_line_new(a->line.data, a->line.len, (uint8_t)alert->priority);
	}
	for (size_t i = 0; i < a->nsinks; i++) {
		/* What a server is told to be JSON has to be JSON. */
		const bool plain = !line || (a->sinks[i].sink == a->http && !a->json);

		tip_sink_put(a->sinks[i].sink, plain ? full : line);
	}
	remember(a, full);

	a->publishing++;
	for (size_t i = 0; i < nsubs; i++)
		tell(a, i, full);
	a->publishing--;
	sweep_subscribers(a);
	tip_line_put(full);
	tip_line_put(line);
}

static void count_rule(struct tip_alerts *a, const char *name)
{
	struct rule_count *c = tip_map_gets(a->by_rule, name);

	a->rules++;
	if (!c) {
		if (tip_map_count(a->by_rule) >= TIP_RULES_COUNTED)
			return;
		c = tip_alloc(sizeof(*c) + strlen(name) + 1);
		memcpy(c->name, name, strlen(name));
		tip_map_puts(a->by_rule, name, c);
	}
	c->alerts++;
}

void tip_alert_rule(struct tip_alerts *a, const struct tip_rule *rule, struct tip_matcher *m,
		    const struct tip_match_input *in, const char *action_done, uint64_t untold)
{
	const struct tip_rule_info *info = tip_rule_info(rule);
	struct tip_alert_member extra[3 + EXTRA_MOST];
	struct tip_alert alert = {
		.rule = info->name,
		.source = info->source,
		.priority = info->priority,
		.tags = info->tags,
		.ntags = info->ntags,
		.time_ns = in->time_ns,
	};
	char action[40], more[24];
	size_t n = 0;

	count_rule(a, info->name);
	tip_buf_reset(&a->text);
	tip_buf_reset(&a->fields);
	tip_rule_render(rule, m, in, &a->text, &a->fields);
	if (action_done) {
		snprintf(action, sizeof(action), "\"%s\"", action_done);
		extra[n++] = (struct tip_alert_member){"\"tipstaff.action\"", action};
	}
	if (action_done && in->ev && in->ev->hdr->ret == -EPERM)
		extra[n++] = (struct tip_alert_member){"\"evt.res\"", "\"EPERM\""};
	/* a string, as in our own alerts */
	if (untold) {
		snprintf(more, sizeof(more), "\"%llu\"", (unsigned long long)untold);
		extra[n++] = (struct tip_alert_member){"\"tipstaff.untold\"", more};
	}
	publish(a, &alert, extra, n);
}

/* An alert whose fields are texts. */
static void publish_texts(struct tip_alerts *a, struct tip_alert *alert,
			  const struct tip_alert_field *fields, size_t nfields)
{
	struct tip_alert_member *list = tip_calloc(nfields + 1, sizeof(*list));
	struct tip_alert_member extra[EXTRA_MOST];

	for (size_t i = 0; i < nfields; i++)
		list[i] = (struct tip_alert_member){json_string(fields[i].name),
						    fields[i].value ? json_string(fields[i].value)
								    : tip_strdup("null")};
	tip_alert_members_sort(list, nfields);
	tip_buf_reset(&a->merged);
	tip_alert_merge(&a->merged, list, nfields, &a->fields);
	publish(a, alert, extra, 0);
	for (size_t i = 0; i < nfields; i++) {
		free((char *)list[i].key);
		free((char *)list[i].value);
	}
	free(list);
}

void tip_alert_own(struct tip_alerts *a, const char *rule, enum tip_priority priority,
		   const struct tip_alert_field *fields, size_t nfields, const char *fmt, ...)
{
	struct tip_alert alert = {
		.rule = rule,
		.source = "tipstaff",
		.priority = priority,
		.time_ns = tip_clock_real(),
	};
	va_list ap;

	tip_buf_reset(&a->text);
	va_start(ap, fmt);
	tip_buf_addv(&a->text, fmt, ap);
	va_end(ap);
	publish_texts(a, &alert, fields, nfields);
}

void tip_alert_internal(struct tip_alerts *a, const char *rule, enum tip_priority priority,
			struct tip_alert_member *fields, size_t nfields, const char *fmt, ...)
{
	struct tip_alert alert = {
		.rule = rule,
		.source = "internal",
		.untagged = true,
		.priority = priority,
		.time_ns = tip_clock_real(),
	};
	struct tip_alert_member extra[EXTRA_MOST];
	va_list ap;

	tip_buf_reset(&a->text);
	va_start(ap, fmt);
	tip_buf_addv(&a->text, fmt, ap);
	va_end(ap);
	tip_alert_members_sort(fields, nfields);
	tip_buf_reset(&a->merged);
	tip_alert_merge(&a->merged, fields, nfields, &a->fields);
	publish(a, &alert, extra, 0);
}

void tip_alerts_each_rule(struct tip_alerts *a,
			  void (*fn)(void *ctx, const char *rule, uint64_t alerts), void *ctx)
{
	const struct rule_count *c;
	size_t it = 0;

	while ((c = tip_map_next(a->by_rule, &it)))
		fn(ctx, c->name, c->alerts);
}

void tip_alerts_stats(struct tip_alerts *a, struct tip_alerts_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->total = a->total;
	out->rules = a->rules;
	memcpy(out->by_priority, a->by_priority, sizeof(out->by_priority));
	out->nsinks = a->nsinks;
	for (size_t i = 0; i < a->nsinks; i++) {
		out->sinks[i].name = a->sinks[i].name;
		tip_sink_stats(a->sinks[i].sink, &out->sinks[i].stats);
	}
}
