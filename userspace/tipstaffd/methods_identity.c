/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/spiffe_id.h"

/* ---- registration entries ------------------------------------------------------------------ */

struct tally {
	const char *spiffe_id;
	json_int_t count;
};

static void tally_current(void *ctx, struct tip_process *p)
{
	struct tally *t = ctx;

	t->count += p->spiffe_id && strcmp(p->spiffe_id, t->spiffe_id) == 0;
}

/* Processes that hold `spiffe_id` now. */
static json_int_t holders(struct tip_keeper *k, const char *spiffe_id)
{
	struct tally t = {spiffe_id, 0};

	tip_process_each(k->table, tally_current, &t);
	return t.count;
}

static json_t *entry_json(struct tip_keeper *k, size_t i)
{
	const struct tip_keeper_entries *all = &k->entries;
	const struct tip_entry *e = &all->list[i];
	json_t *selectors = json_array(), *names = json_array();
	const char *from = i < all->nfile               ? "file"
			   : i < all->nfile + all->ncli ? "cli"
							: "ephemeral";
	char text[4400];

	for (size_t s = 0; s < e->nselectors; s++)
		json_array_append_new(selectors, json_string(tip_selector_str(&e->selectors[s],
									      text, sizeof(text))));
	for (size_t n = 0; n < e->ndns_names; n++)
		json_array_append_new(names, json_string(e->dns_names[n]));
	return json_pack("{s:s, s:s, s:o, s:I, s:I, s:s, s:o, s:s, s:i, s:s, s:I, s:b}", "id",
			 e->id, "spiffe_id", e->spiffe_id, "selectors", selectors, "x509_ttl",
			 (json_int_t)(e->x509_ttl ? e->x509_ttl : k->config->x509_ttl), "jwt_ttl",
			 (json_int_t)(e->jwt_ttl ? e->jwt_ttl : k->config->jwt_ttl), "hint",
			 e->hint, "dns_names", names, "file", e->file, "line", e->line, "from",
			 from, "processes", holders(k, e->spiffe_id), "quarantined",
			 tip_guard_quarantined(k->guard, e->spiffe_id) != NULL);
}

TIP_METHOD(tip_method_identity_list)
{
	struct tip_keeper *k = ctx;
	json_t *list = json_array();

	tip_sensor_poll_lifecycle(k->sensor);
	for (size_t i = 0; i < k->entries.count; i++)
		json_array_append_new(list, entry_json(k, i));
	return json_pack("{s:o}", "entries", list);
}

/* A lifetime comes as seconds or as a duration, within the limits of entries files. */
static int read_ttl(json_t *params, const char *key, uint32_t max, uint32_t *out,
		    struct tip_error *err)
{
	const json_t *v = json_object_get(params, key);
	uint64_t ns;

	*out = 0;
	if (!v || json_is_null(v))
		return 0;
	if (json_is_integer(v) && json_integer_value(v) >= TIP_ENTRY_TTL_MIN &&
	    json_integer_value(v) <= max) {
		*out = (uint32_t)json_integer_value(v);
		return 0;
	}
	if (json_is_string(v) && tip_duration_parse(json_string_value(v), &ns) == 0 &&
	    ns >= TIP_ENTRY_TTL_MIN * TIP_NSEC_PER_SEC && ns <= max * TIP_NSEC_PER_SEC) {
		*out = (uint32_t)(ns / TIP_NSEC_PER_SEC);
		return 0;
	}
	return tip_error_set(err, "%s must be a duration between %us and %uh", key,
			     TIP_ENTRY_TTL_MIN, max / 3600);
}

static int read_strings(struct tip_arena *a, json_t *v, const char *what, size_t max,
			const char ***out, size_t *count, struct tip_error *err)
{
	size_t n = json_array_size(v), i;
	json_t *item;

	*count = 0;
	if (v && !json_is_array(v) && !json_is_null(v))
		return tip_error_set(err, "%s must be a list of strings", what);
	if (n > max)
		return tip_error_set(err, "%s: at most %zu", what, max);
	*out = tip_arena_alloc(a, (n + 1) * sizeof(**out));
	json_array_foreach (v, i, item) {
		if (!json_is_string(item))
			return tip_error_set(err, "%s must be a list of strings", what);
		(*out)[(*count)++] = tip_arena_strdup(a, json_string_value(item));
	}
	return 0;
}

static int read_entry(struct tip_arena *a, json_t *params, struct tip_entry *e,
		      struct tip_error *err)
{
	const char *id = json_string_value(json_object_get(params, "spiffe_id"));
	const char *hint = json_string_value(json_object_get(params, "hint"));
	const char **selectors;
	size_t count;

	*e = (struct tip_entry){.hint = tip_arena_strdup(a, hint ? hint : ""), .file = "cli"};
	if (!id)
		return tip_error_set(err, "identity.add wants spiffe_id");
	if (tip_spiffe_id_check(id, true, err) < 0)
		return -1;
	e->spiffe_id = tip_arena_strdup(a, id);
	if (read_ttl(params, "x509_ttl", TIP_ENTRY_X509_TTL_MAX, &e->x509_ttl, err) < 0 ||
	    read_ttl(params, "jwt_ttl", TIP_ENTRY_JWT_TTL_MAX, &e->jwt_ttl, err) < 0 ||
	    read_strings(a, json_object_get(params, "dns_names"), "dns_names", TIP_ENTRY_DNS_MAX,
			 &e->dns_names, &e->ndns_names, err) < 0 ||
	    read_strings(a, json_object_get(params, "selectors"), "selectors",
			 TIP_ENTRY_SELECTORS_MAX, &selectors, &count, err) < 0)
		return -1;
	if (count == 0)
		return tip_error_set(err, "an entry needs at least one selector");
	e->selectors = tip_arena_alloc(a, count * sizeof(*e->selectors));
	for (size_t i = 0; i < count; i++)
		if (tip_selector_parse(a, selectors[i], &e->selectors[e->nselectors++], err) < 0)
			return -1;
	return 0;
}

TIP_METHOD(tip_method_identity_add)
{
	struct tip_keeper *k = ctx;
	struct tip_arena *a = tip_arena_new();
	bool ephemeral = json_is_true(json_object_get(params, "ephemeral"));
	json_t *result = NULL;
	struct tip_entry e;
	char id[33];

	if (read_entry(a, params, &e, err) == 0 && tip_entries_add(k, &e, ephemeral, err) == 0) {
		tip_entry_id(&e, id);
		tip_info("identity", "entry %s (%s) added by %s", id, e.spiffe_id,
			 tip_control_peer(client));
		result = json_pack("{s:s, s:I}", "id", id, "processes", holders(k, e.spiffe_id));
	}
	tip_arena_free(a);
	return result;
}

TIP_METHOD(tip_method_identity_remove)
{
	struct tip_keeper *k = ctx;
	const char *id;
	int removed;

	if (json_unpack(params, "{s:s}", "id", &id) < 0) {
		tip_error_set(err, "identity.remove wants id");
		return NULL;
	}
	removed = tip_entries_remove(k, id, err);
	if (removed < 0)
		return NULL;
	tip_info("identity", "%d entries of %s removed by %s", removed, id,
		 tip_control_peer(client));
	return json_pack("{s:i}", "removed", removed);
}

/* ---- quarantine ------------------------------------------------------------ */

struct touched {
	struct tip_keeper *k;
	const char *spiffe_id;
	json_int_t count; /* processes that hold it, or come from one that did */
};

static void touch(void *ctx, struct tip_process *p)
{
	struct touched *t = ctx;
	bool descends = p->origin_id && strcmp(p->origin_id, t->spiffe_id) == 0;

	t->count += descends || (p->spiffe_id && strcmp(p->spiffe_id, t->spiffe_id) == 0);
	/* The front knows no lineage: tell it anew of those that another identity shields. */
	if (descends && p->reported)
		tip_front_send_exec(t->k, p);
}

/* The front withholds, or gives again, what `id` and its descendants had. Processes concerned. */
static json_int_t tell_front(struct tip_keeper *k, const char *id, bool on)
{
	struct touched t = {k, id, 0};

	tip_front_send(k,
		       &(struct tip_link_msg){.type = TIP_LINK_QUARANTINE, .flag = on, .name = id});
	tip_sensor_poll_lifecycle(k->sensor);
	tip_process_each(k->table, touch, &t);
	return t.count;
}

static const char *spiffe_param(json_t *params, struct tip_error *err)
{
	const char *id = json_string_value(json_object_get(params, "spiffe_id"));

	if (!id) {
		tip_error_set(err, "spiffe_id is missing");
		return NULL;
	}
	return tip_spiffe_id_check(id, true, err) < 0 ? NULL : id;
}

TIP_METHOD(tip_method_quarantine_add)
{
	struct tip_keeper *k = ctx;
	const char *reason = json_string_value(json_object_get(params, "reason"));
	const char *id = spiffe_param(params, err);
	char by[128], text[512];
	struct tip_alert_field extra[] = {
		{"spiffe.id", id}, {"tipstaff.reason", reason}, {"tipstaff.by", by}};
	json_int_t processes;
	int ret;

	if (!id)
		return NULL;
	if (!reason || !*reason) {
		*hint = "say why with --reason: it is kept in the journal and in the alert";
		tip_error_set(err, "a quarantine needs a reason");
		return NULL;
	}
	if (!k->config->enforcement) {
		*hint = "set enforcement: on in the configuration and restart";
		tip_error_set(err, "enforcement is off: nothing would be refused in the kernel");
		return NULL;
	}
	snprintf(by, sizeof(by), "cli %s", tip_control_peer(client));
	/* Kernel first (in the guard), then the streams. */
	ret = tip_guard_quarantine(k->guard, id, reason, by, err);
	if (ret < 0)
		return NULL;
	processes = tell_front(k, id, true);
	snprintf(text, sizeof(text), "Workload quarantined | id=%s reason=%s by=%s", id, reason,
		 by);
	if (ret == 0)
		tip_keeper_alert(k, "Workload quarantined", TIP_PRIO_CRITICAL, NULL, extra, 3,
				 text);
	return json_pack(
		"{s:s, s:I, s:b, s:[s, s]}", "spiffe_id", id, "processes", processes, "already",
		ret == 1, "effects",
		"its SVIDs are withheld, its Workload API streams end, its mTLS connections are "
		"cut",
		*k->cgroup2 || k->caps[TIP_CAP_LSM].works
			? "new connections of its processes and of what they exec are refused in "
			  "the kernel (EPERM)"
			: "no new connection is refused: this kernel has neither BPF LSM nor "
			  "cgroup2, where that is done");
}

TIP_METHOD(tip_method_quarantine_list)
{
	const struct tip_keeper *k = ctx;
	json_t *list = json_array();
	char since[40];

	for (size_t i = 0; i < tip_guard_quarantine_count(k->guard); i++) {
		const struct tip_quarantine *q = tip_guard_quarantine_get(k->guard, i);

		tip_clock_iso8601(q->since_ns, since, sizeof(since));
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s}", "spiffe_id", q->spiffe_id,
						"reason", q->reason, "by", q->by, "since", since));
	}
	return json_pack("{s:o}", "quarantined", list);
}

TIP_METHOD(tip_method_quarantine_release)
{
	struct tip_keeper *k = ctx;
	const char *id = spiffe_param(params, err);
	char by[128], text[512];
	struct tip_alert_field extra[] = {{"spiffe.id", id}, {"tipstaff.by", by}};

	if (!id)
		return NULL;
	if (tip_guard_release(k->guard, id, err) < 0)
		return NULL;
	snprintf(by, sizeof(by), "cli %s", tip_control_peer(client));
	tell_front(k, id, false);
	snprintf(text, sizeof(text), "Workload released | id=%s by=%s", id, by);
	tip_keeper_alert(k, "Workload released", TIP_PRIO_NOTICE, NULL, extra, 2, text);
	return json_pack("{s:s}", "spiffe_id", id);
}
