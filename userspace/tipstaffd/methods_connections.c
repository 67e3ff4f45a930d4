/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/relays.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

static const char *state_name(const struct tip_flow *f, const struct tip_relay_of_front *r)
{
	if (f->state == TIP_FLOW_HELD)
		return "held";
	return r && r->backend ? "open" : "handshake";
}

static const char *backend_name(const struct tip_relay_of_front *r)
{
	if (!r || !r->backend)
		return "";
	return r->backend == TIP_LINK_BACKEND_KERNEL ? "kernel" : "user";
}

static const char *address(const struct tip_end *e, char *buf, size_t size)
{
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &e->addr, ip, sizeof(ip));
	snprintf(buf, size, "%s:%u", ip, e->port);
	return buf;
}

static json_t *describe(struct tip_keeper *k, const struct tip_flow *f)
{
	const struct tip_relay_of_front *r = tip_map_getu(k->relays.relays, f->id);
	const struct tip_process *p = tip_process_by_exec_id(k->table, f->exec_id);
	const struct tip_traffic_policy *policy = tip_relays_policy_of(k, f);
	char local[32], remote[32];

	return json_pack(
		"{s:I, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "id",
		(json_int_t)f->id, "direction", f->inbound ? "inbound" : "outbound", "state",
		state_name(f, r), "own_id", r ? r->own_id : "", "peer_id", r ? r->peer_id : "",
		"pid", (json_int_t)(p ? p->key.tgid : f->proc.tgid), "process", p ? p->comm : "",
		"exe", p ? p->exe_path : "", "local", address(&f->local, local, sizeof(local)),
		"remote", address(&f->remote, remote, sizeof(remote)), "backend", backend_name(r),
		"sent", (json_int_t)(r ? r->sent : 0), "received",
		(json_int_t)(r ? r->received : 0), "age_ms",
		(json_int_t)((tip_clock_monotonic() - f->begun) / 1000000), "policy",
		policy ? policy->name : "");
}

json_t *tip_relays_stats(struct tip_keeper *k)
{
	const uint32_t *n = k->relays.stats.numbers;
	const uint64_t *c = k->relays.stats.counters;
	struct tip_intercept_stats s = {0};
	struct tip_peers_stats peers = {0};

	if (k->relays.intercept) {
		tip_intercept_stats(k->relays.intercept, &s);
		peers = tip_peers_stats(k->relays.peers);
	}
	return json_pack(
		"{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"on", k->relays.intercept != NULL, "namespaces", (json_int_t)s.namespaces, "veths",
		(json_int_t)s.veths, "held", (json_int_t)s.held, "relays", (json_int_t)s.flows,
		"handshakes", (json_int_t)n[0], "open", (json_int_t)n[1], "buffers_kb",
		(json_int_t)n[2], "buffers_peak_kb", (json_int_t)n[3], "begun", (json_int_t)c[0],
		"opened", (json_int_t)c[1], "chains_verified", (json_int_t)c[2],
		"chains_remembered", (json_int_t)c[3], "kernel", (json_int_t)c[5], "released",
		(json_int_t)s.released, "refused", (json_int_t)s.refused, "accepted",
		(json_int_t)s.accepted, "orphans", (json_int_t)s.orphans, "limit_held",
		(json_int_t)s.limit_held, "limit_relays", (json_int_t)s.limit_flows, "limit_legs",
		(json_int_t)s.limit_legs, "queue_drops", (json_int_t)s.queue_drops, "peers",
		(json_int_t)peers.pairs, "peers_forgotten", (json_int_t)peers.forgotten);
}

TIP_METHOD(tip_method_connections)
{
	struct tip_keeper *k = ctx;
	json_t *list = json_array();

	if (k->relays.intercept)
		for (const struct tip_flow *f = tip_intercept_next(k->relays.intercept, 0); f;
		     f = tip_intercept_next(k->relays.intercept, f->id))
			json_array_append_new(list, describe(k, f));
	return json_pack("{s:o, s:o, s:o}", "connections", list, "stats", tip_relays_stats(k),
			 "limits", tip_quota_json(k));
}
