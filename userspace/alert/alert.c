/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "alert/alert.h"
#include "alert/format.h"
#include "alert/sink.h"
#include "base/clock.h"
#include "base/mem.h"

#define QUEUE_DEFAULT  4096
#define RECENT_DEFAULT 256
#define DRAIN_NS       (2 * TIP_NSEC_PER_SEC)

struct subscriber {
	int id; /* 0: left, to be swept */
	void (*fn)(void *ctx, const char *json, size_t len);
	void *ctx;
};

struct tip_alerts {
	char *hostname, *path;
	bool stdout_json, file_json, message;
	struct tip_sink *out, *file; /* NULL: none */

	struct tip_line **recent; /* a ring */
	size_t nrecent, recent_head, recent_count;

	struct subscriber *subs;
	size_t nsubs;
	int next_id;
	int publishing; /* depth: while it is above 0 the list of subscribers only grows */

	uint64_t total, by_priority[TIP_PRIO_DEBUG + 1];

	struct tip_buf text, fields, line; /* scratch */
};

struct tip_alerts *tip_alerts_new(const struct tip_alerts_config *config, struct tip_error *err)
{
	size_t queue = config->queue ? config->queue : QUEUE_DEFAULT;
	struct tip_alerts *a = tip_alloc(sizeof(*a));
	struct utsname uts;
	int fd;

	if (config->hostname && *config->hostname)
		a->hostname = tip_strdup(config->hostname);
	else
		a->hostname = tip_strdup(uname(&uts) == 0 ? uts.nodename : "");
	a->stdout_json = config->stdout_json;
	a->file_json = config->file_json;
	a->message = config->message;
	a->nrecent = config->recent ? config->recent : RECENT_DEFAULT;
	a->recent = tip_calloc(a->nrecent, sizeof(*a->recent));
	a->next_id = 1;
	if (config->file && *config->file) {
		fd = tip_sink_open(config->file, err);
		if (fd < 0) {
			tip_alerts_free(a);
			return NULL;
		}
		a->path = tip_strdup(config->file);
		a->file = tip_sink_new(a->path, fd, true, queue);
	}
	if (config->stdout_enabled)
		a->out = tip_sink_new("stdout", STDOUT_FILENO, false, queue);
	return a;
}

size_t tip_alerts_waiting(struct tip_alerts *a)
{
	const size_t out = a->out ? tip_sink_waiting(a->out) : 0;
	const size_t file = a->file ? tip_sink_waiting(a->file) : 0;

	return out > file ? out : file;
}

void tip_alerts_free(struct tip_alerts *a)
{
	uint64_t deadline = tip_clock_monotonic() + DRAIN_NS;

	if (!a)
		return;
	if (a->out) /* both at once, so that both have the whole time */
		tip_sink_stop(a->out, deadline);
	if (a->file)
		tip_sink_stop(a->file, deadline);
	if (a->out)
		tip_sink_free(a->out);
	if (a->file)
		tip_sink_free(a->file);
	for (size_t i = 0; i < a->nrecent; i++)
		tip_line_put(a->recent[i]);
	free(a->recent);
	free(a->subs);
	tip_buf_free(&a->text);
	tip_buf_free(&a->fields);
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
	fd = tip_sink_open(a->path, err);
	if (fd < 0)
		return -1;
	tip_sink_set_fd(a->file, fd);
	return 0;
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

static void publish(struct tip_alerts *a, const struct tip_alert *alert)
{
	struct tip_line *json, *text = NULL;
	size_t nsubs = a->nsubs;

	a->total++;
	a->by_priority[alert->priority]++;
	tip_buf_reset(&a->line);
	tip_alert_json(alert, a->message, &a->line);
	json = tip_line_new(a->line.data, a->line.len);
	if ((a->out && !a->stdout_json) || (a->file && !a->file_json)) {
		tip_buf_reset(&a->line);
		tip_alert_text(alert, &a->line);
		text = tip_line_new(a->line.data, a->line.len);
	}
	if (a->out)
		tip_sink_put(a->out, a->stdout_json ? json : text);
	if (a->file)
		tip_sink_put(a->file, a->file_json ? json : text);
	remember(a, json);

	a->publishing++;
	for (size_t i = 0; i < nsubs; i++)
		tell(a, i, json);
	a->publishing--;
	sweep_subscribers(a);
	tip_line_put(json);
	tip_line_put(text);
}

static void add_time(struct tip_alerts *a, uint64_t time_ns)
{
	char number[24];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)time_ns);
	tip_alert_member(&a->fields, "evt.time", number);
}

static void add_text_member(struct tip_alerts *a, const char *name, const char *value)
{
	struct tip_buf json = {0};

	if (value)
		tip_buf_add_json_string(&json, value, strlen(value));
	else
		tip_buf_adds(&json, "null");
	tip_alert_member(&a->fields, name, json.data);
	tip_buf_free(&json);
}

void tip_alert_rule(struct tip_alerts *a, const struct tip_rule *rule, struct tip_matcher *m,
		    const struct tip_match_input *in, const char *action_done)
{
	const struct tip_rule_info *info = tip_rule_info(rule);
	struct tip_alert alert = {
		.hostname = a->hostname,
		.rule = info->name,
		.source = info->source,
		.priority = info->priority,
		.tags = info->tags,
		.ntags = info->ntags,
		.time_ns = in->time_ns,
	};

	tip_buf_reset(&a->text);
	tip_buf_reset(&a->fields);
	tip_rule_render(rule, m, in, &a->text, &a->fields);
	add_time(a, in->time_ns);
	if (action_done) {
		add_text_member(a, "tipstaff.action", action_done);
		if (in->ev && in->ev->hdr->ret == -EPERM)
			add_text_member(a, "evt.res", "EPERM");
	}
	alert.message = a->text.data ? a->text.data : "";
	alert.message_len = a->text.len;
	alert.fields = a->fields.data;
	alert.fields_len = a->fields.len;
	publish(a, &alert);
}

void tip_alert_own(struct tip_alerts *a, const char *rule, enum tip_priority priority,
		   const struct tip_alert_field *fields, size_t nfields, const char *fmt, ...)
{
	struct tip_alert alert = {
		.hostname = a->hostname,
		.rule = rule,
		.source = "tipstaff",
		.priority = priority,
		.time_ns = tip_clock_real(),
	};
	va_list ap;

	tip_buf_reset(&a->text);
	tip_buf_reset(&a->fields);
	va_start(ap, fmt);
	tip_buf_addv(&a->text, fmt, ap);
	va_end(ap);
	add_time(a, alert.time_ns);
	for (size_t i = 0; i < nfields; i++)
		add_text_member(a, fields[i].name, fields[i].value);
	alert.message = a->text.data ? a->text.data : "";
	alert.message_len = a->text.len;
	alert.fields = a->fields.data;
	alert.fields_len = a->fields.len;
	publish(a, &alert);
}

void tip_alerts_stats(struct tip_alerts *a, struct tip_alerts_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->total = a->total;
	memcpy(out->by_priority, a->by_priority, sizeof(out->by_priority));
	if (a->out)
		tip_sink_stats(a->out, &out->written_stdout, &out->dropped_stdout);
	if (a->file)
		tip_sink_stats(a->file, &out->written_file, &out->dropped_file);
}
