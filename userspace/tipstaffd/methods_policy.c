/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static const char unchanged[] = "nothing has changed: the policies that held before still hold";

/* Why policies are here and nothing is done about them. */
static const char *not_intercepted(const struct tip_keeper *k)
{
	return k->config->traffic
		       ? "this kernel has no cgroup2: nothing is intercepted, what policies cover "
			 "is not protected"
		       : "traffic.files is not in the configuration: nothing is intercepted";
}

static const struct tip_traffic_policies *active(const struct tip_keeper *k)
{
	return tip_traffic_set_policies(k->traffic.set);
}

/* {cidr, port}, as a policy has it. */
static json_t *destination(const struct tip_traffic_to *to)
{
	char cidr[TIP_CIDR_TEXT], port[16];

	if (to->port_min == to->port_max)
		snprintf(port, sizeof(port), "%u", to->port_min);
	else
		snprintf(port, sizeof(port), "%u-%u", to->port_min, to->port_max);
	return json_pack("{s:s, s:s}", "cidr", tip_cidr_str(&to->cidr, cidr), "port", port);
}

static json_t *peers(const struct tip_traffic_peer *list, size_t n)
{
	json_t *out = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, json_string(list[i].id));
	return out;
}

static json_t *policy(const struct tip_traffic_policy *p)
{
	json_t *to = json_array();

	for (size_t i = 0; i < p->nto; i++)
		json_array_append_new(to, destination(&p->to[i]));
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:i, s:s?}", "name", p->name, "mode",
			 tip_traffic_mode_str(p->mode), "to", to, "server",
			 peers(p->server, p->nserver), "clients", peers(p->clients, p->nclients),
			 "file", p->file, "line", p->line, "set", tip_set_of(p->file));
}

/* What is asked for and not had; `set` as in tip_traffic_remarks(). */
static json_t *notes(const struct tip_keeper *k, const char *set)
{
	struct tip_buf text = {0};
	json_t *list;

	if (!k->traffic.on)
		tip_buf_addf(&text, "%s\n", not_intercepted(k));
	tip_traffic_remarks(k, set, &text);
	list = tip_json_lines(&text);
	tip_buf_free(&text);
	return list;
}

TIP_METHOD(tip_method_policy_list)
{
	const struct tip_keeper *k = ctx;
	json_t *list = json_array();

	for (size_t i = 0; i < tip_traffic_policies_count(active(k)); i++)
		json_array_append_new(list, policy(tip_traffic_policies_get(active(k), i)));
	return json_pack("{s:o, s:I, s:o}", "policies", list, "generation",
			 (json_int_t)tip_traffic_set_generation(k->traffic.set), "notes",
			 notes(k, NULL));
}

/* ---- sets ------------------------------------------------------------------------------ */

static bool get_member(const void *ctx, size_t i, struct tip_set_member *out)
{
	const struct tip_traffic_policies *all = active(ctx);
	const struct tip_traffic_policy *p;

	if (i >= tip_traffic_policies_count(all))
		return false;
	p = tip_traffic_policies_get(all, i);
	*out = (struct tip_set_member){p->name, p->file, p->line};
	return true;
}

static const struct tip_set_kind policies = {
	.member = "policy",
	.set = "set of policies",
	.none_hint = "`tipstaff policy list` shows policies and sets",
	.file_hint = "remove it from the file, then send the daemon SIGHUP",
	.other_hint = "remove the whole set by its name, or apply the set again without the policy",
	.get = get_member,
};

static void say_changed(struct tip_keeper *k, struct tip_control_client *client, const char *what,
			const char *set)
{
	struct tip_alert_field extra[] = {
		{"tipstaff.by", tip_control_peer(client)},
		{"tipstaff.set", set},
	};
	char text[256];

	snprintf(text, sizeof(text), "Traffic policies %s | set=%s by=%s policies=%zu", what, set,
		 tip_control_peer(client), tip_traffic_policies_count(active(k)));
	tip_info("traffic", "%s", text);
	tip_keeper_alert(k, "Traffic policies changed", TIP_PRIO_NOTICE, NULL, extra, 2, text);
}

TIP_METHOD(tip_method_policy_apply)
{
	struct tip_keeper *k = ctx;
	struct tip_set set = {0};
	const char *name, *text;
	int ephemeral = 0;

	if (json_unpack(params, "{s:s, s:s, s?b}", "name", &name, "text", &text, "ephemeral",
			&ephemeral) < 0) {
		tip_error_set(err, "policy.apply wants name and text");
		return NULL;
	}
	if (!tip_set_name_ok(name)) {
		*hint = "give one with --name: 1 to 64 of [a-z0-9._-], not starting with a dot";
		tip_error_set(err, "\"%s\" cannot name a set of policies", name);
		return NULL;
	}
	set.name = (char *)name;
	set.text = (char *)text;
	set.ephemeral = ephemeral;
	if (tip_traffic_load(k, &set, NULL, err) < 0) {
		*hint = unchanged;
		return NULL;
	}
	say_changed(k, client, "applied", name);
	return json_pack("{s:s, s:o, s:o}", "set", name, "policies",
			 tip_set_members(&policies, k, name), "notes", notes(k, name));
}

TIP_METHOD(tip_method_policy_remove)
{
	struct tip_keeper *k = ctx;
	const char *name, *found;
	json_t *names, *result = NULL;
	char *set;

	if (json_unpack(params, "{s:s}", "name", &name) < 0) {
		tip_error_set(err, "policy.remove wants name");
		return NULL;
	}
	found = tip_set_meant(&policies, k, &k->traffic.sets, name, err, hint);
	if (!found)
		return NULL;
	set = tip_strdup(found);
	names = tip_set_members(&policies, k, set);
	if (tip_traffic_load(k, NULL, set, err) == 0) {
		say_changed(k, client, "removed", set);
		result = json_pack("{s:s, s:O}", "set", set, "policies", names);
	} else {
		*hint = unchanged;
	}
	json_decref(names);
	free(set);
	return result;
}

/* ---- explain --------------------------------------------------------------------------- */

static json_t *candidates(const struct tip_traffic_explanation *e)
{
	json_t *list = json_array();

	for (size_t i = 0; i < e->ncandidates && i < TIP_TRAFFIC_CANDIDATES_MAX; i++) {
		const struct tip_traffic_to *to = e->candidates[i];
		json_t *o = destination(to);

		json_object_set_new(o, "policy", json_string(to->policy->name));
		json_object_set_new(o, "mode", json_string(tip_traffic_mode_str(to->policy->mode)));
		json_object_set_new(o, "file", json_string(to->policy->file));
		json_object_set_new(o, "line", json_integer(to->line));
		json_array_append_new(list, o);
	}
	return list;
}

/* What keeps the decision from being the whole truth. */
static json_t *limits_of(const struct tip_keeper *k, const struct tip_traffic_explanation *e)
{
	json_t *list = json_array();

	if (!k->traffic.on)
		json_array_append_new(list, json_string(not_intercepted(k)));
	else if (e->flow.addr.family == 6 && e->decision.verdict != TIP_TRAFFIC_PLAIN)
		json_array_append_new(list, json_string("connections over IPv6 are not carried: "
							"connect() says EPERM whoever asks"));
	return list;
}

TIP_METHOD(tip_method_policy_explain)
{
	const struct tip_keeper *k = ctx;
	struct tip_traffic_explanation e;
	const struct tip_traffic_decision *d = &e.decision;
	struct tip_traffic_flow flow;
	struct tip_buf text = {0};
	const char *from, *to;
	json_t *result;

	if (json_unpack(params, "{s:s, s:s}", "from", &from, "to", &to) < 0) {
		tip_error_set(err, "policy.explain wants from and to");
		return NULL;
	}
	if (tip_traffic_flow_parse(from, to, &flow, err) < 0)
		return NULL;
	tip_traffic_explain(k->traffic.set, &flow, &e);
	tip_traffic_explain_write(&e, &text);
	result = json_pack("{s:s, s:s, s:s?, s:o, s:s?, s:i, s:o, s:o, s:I, s:o, s:s}", "verdict",
			   tip_traffic_verdict_str(d->verdict), "cause",
			   tip_traffic_cause_str(d->cause), "policy",
			   d->policy ? d->policy->name : NULL, "to",
			   d->to ? destination(d->to) : json_null(), "file",
			   d->policy ? d->policy->file : NULL, "line", d->line, "server",
			   d->policy ? peers(d->policy->server, d->policy->nserver) : json_array(),
			   "candidates", candidates(&e), "ncandidates", (json_int_t)e.ncandidates,
			   "notes", limits_of(k, &e), "text", text.data);
	tip_buf_free(&text);
	return result;
}
