/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

json_t *tip_json_lines(struct tip_buf *text)
{
	json_t *list = json_array();
	char *save = NULL;

	if (text->len)
		for (char *l = strtok_r(text->data, "\n", &save); l;
		     l = strtok_r(NULL, "\n", &save))
			json_array_append_new(list, json_string(l));
	return list;
}

/* ---- alerts ------------------------------------------------------------------------------ */

/* A follower: the subscription that feeds one client. */
struct follower {
	struct tip_keeper *k;
	struct tip_control_client *client;
	int id;
};

static void follow_one(void *ctx, const char *json, size_t len)
{
	struct follower *f = ctx;

	tip_control_send(f->client, json, len);
}

static void follow_end(void *ctx)
{
	struct follower *f = ctx;

	tip_alerts_unsubscribe(f->k->alerts, f->id);
	free(f);
}

static TIP_METHOD(alerts_follow)
{
	struct follower *f = tip_alloc(sizeof(*f));
	json_int_t recent = json_integer_value(json_object_get(params, "recent"));

	f->k = ctx;
	f->client = client;
	err->text[0] = '\0';
	tip_control_stream(client, follow_end, f);
	f->id = tip_alerts_subscribe(f->k->alerts, recent > 0 ? (size_t)recent : 0, follow_one, f);
	return NULL;
}

static void collect(void *ctx, const char *json, size_t len)
{
	json_t *alert = json_loadb(json, len, 0, NULL);

	if (alert)
		json_array_append_new(ctx, alert);
}

static TIP_METHOD(alerts_recent)
{
	struct tip_keeper *k = ctx;
	json_t *wanted = json_object_get(params, "count"), *list = json_array();
	json_int_t count = wanted ? json_integer_value(wanted) : 20;
	int id = tip_alerts_subscribe(k->alerts, count > 0 ? (size_t)count : 0, collect, list);

	tip_alerts_unsubscribe(k->alerts, id);
	return json_pack("{s:o}", "alerts", list);
}

/* ---- detach ------------------------------------------------------------------------------- */

static void on_detached(evutil_socket_t fd, short what, void *ctx)
{
	event_base_loopbreak(((struct tip_keeper *)ctx)->base);
}

static TIP_METHOD(detach)
{
	struct tip_keeper *k = ctx;
	struct timeval soon = {0, 100000};
	struct tip_alert_field extra[] = {{"tipstaff.by", tip_control_peer(client)}};
	int removed;

	if (!json_is_true(json_object_get(params, "all"))) {
		*hint = "say `tipstaff detach --all`: everything of this instance leaves the "
			"kernel";
		tip_error_set(err, "detach wants all: true");
		return NULL;
	}
	removed = tip_sensor_detach(k->config->instance, err);
	if (removed < 0)
		return NULL;
	removed += tip_intercept_remove_rules(k->config->instance);
	k->detached = true;
	tip_warn("keeper", "detached by %s: %d pins removed, nothing is enforced any more",
		 tip_control_peer(client), removed);
	tip_keeper_alert(k, "Tipstaff detached", TIP_PRIO_CRITICAL, NULL, extra, 1,
			 "All programs of Tipstaff were detached; nothing is enforced any more");
	/* After the answer is out, stop: without programs there is nothing left to do. */
	event_base_once(k->base, -1, EV_TIMEOUT, on_detached, k, &soon);
	return json_pack("{s:i}", "removed", removed);
}

const struct tip_control_method *tip_methods(size_t *count)
{
	static const struct tip_control_method methods[] = {
		{"status", tip_method_status},
		{"processes.list", tip_method_processes},
		{"connections.list", tip_method_connections},
		{"alerts.recent", alerts_recent},
		{"alerts.follow", alerts_follow},
		{"rules.list", tip_method_rules_list},
		{"rules.explain", tip_method_rules_explain},
		{"rules.switch", tip_method_rules_switch},
		{"rules.add", tip_method_rules_add},
		{"rules.remove", tip_method_rules_remove},
		{"rules.reload", tip_method_rules_reload},
		{"policy.list", tip_method_policy_list},
		{"policy.apply", tip_method_policy_apply},
		{"policy.remove", tip_method_policy_remove},
		{"policy.explain", tip_method_policy_explain},
		{"identity.list", tip_method_identity_list},
		{"identity.add", tip_method_identity_add},
		{"identity.remove", tip_method_identity_remove},
		{"quarantine.add", tip_method_quarantine_add},
		{"quarantine.list", tip_method_quarantine_list},
		{"quarantine.release", tip_method_quarantine_release},
		{"detach", detach},
		{TIP_CONTROL_HANDOVER, tip_method_handover},
	};

	*count = TIP_ARRAY_SIZE(methods);
	return methods;
}
