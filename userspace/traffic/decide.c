/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic/decide.h"

#include "base/mem.h"
#include "policy/spiffe_id.h"

/* Up to so many patterns are walked faster than an ID is hashed. */
#define FEW_CLIENTS 4

static void deny(struct tip_traffic_decision *d, enum tip_traffic_cause cause, int line)
{
	d->verdict = TIP_TRAFFIC_DENY;
	d->cause = cause;
	d->line = line;
}

/* The client comes first: who may not ask is not told who would have answered. */
static void decide_strict(const struct tip_traffic_set *s, struct tip_traffic_cache *cache,
			  const struct tip_traffic_flow *flow, struct tip_traffic_decision *d)
{
	const struct tip_traffic_policy *p = d->policy;
	struct tip_error err;

	if (!flow->client) {
		deny(d, TIP_TRAFFIC_NO_IDENTITY, p->mode_line);
		return;
	}
	/* Patterns are matched by segment: only what is made of segments may be held to them. */
	if (tip_spiffe_id_check(flow->client, true, &err) < 0) {
		deny(d, TIP_TRAFFIC_BAD_IDENTITY, p->clients_line);
		return;
	}
	if (cache && p->nclients > FEW_CLIENTS)
		d->client = tip_traffic_cache_client(cache, tip_traffic_set_generation(s), p,
						     flow->client);
	else
		d->client = tip_traffic_policy_client(p, flow->client);
	if (!d->client) {
		deny(d, TIP_TRAFFIC_CLIENT_UNLISTED, p->clients_line);
		return;
	}
	if (flow->server && !tip_traffic_policy_server(p, flow->server)) {
		d->client = NULL;
		deny(d, TIP_TRAFFIC_WRONG_SERVER, p->server_line);
		return;
	}
	d->verdict = TIP_TRAFFIC_MTLS;
	d->cause = TIP_TRAFFIC_ALLOWED;
	d->line = d->client->line;
}

void tip_traffic_decide(const struct tip_traffic_set *s, struct tip_traffic_cache *cache,
			const struct tip_traffic_flow *flow, struct tip_traffic_decision *out)
{
	*out = (struct tip_traffic_decision){
		.verdict = TIP_TRAFFIC_PLAIN,
		.cause = TIP_TRAFFIC_UNCOVERED,
		.generation = tip_traffic_set_generation(s),
		.to = tip_traffic_lookup(s, &flow->addr, flow->port),
	};
	if (!out->to)
		return;
	out->policy = out->to->policy;
	if (out->policy->mode == TIP_TRAFFIC_STRICT) {
		decide_strict(s, cache, flow, out);
		return;
	}
	out->cause = TIP_TRAFFIC_DISABLED;
	out->line = out->policy->mode_line;
}

const char *tip_traffic_mode_str(enum tip_traffic_mode mode)
{
	return mode == TIP_TRAFFIC_STRICT ? "strict" : "disable";
}

const char *tip_traffic_verdict_str(enum tip_traffic_verdict verdict)
{
	static const char *const words[] = {
		[TIP_TRAFFIC_PLAIN] = "plain",
		[TIP_TRAFFIC_MTLS] = "mtls",
		[TIP_TRAFFIC_DENY] = "deny",
	};

	return words[verdict];
}

const char *tip_traffic_cause_str(enum tip_traffic_cause cause)
{
	static const char *const words[] = {
		[TIP_TRAFFIC_UNCOVERED] = "uncovered",
		[TIP_TRAFFIC_DISABLED] = "disabled",
		[TIP_TRAFFIC_ALLOWED] = "allowed",
		[TIP_TRAFFIC_NO_IDENTITY] = "no-identity",
		[TIP_TRAFFIC_BAD_IDENTITY] = "bad-identity",
		[TIP_TRAFFIC_CLIENT_UNLISTED] = "client-unlisted",
		[TIP_TRAFFIC_WRONG_SERVER] = "wrong-server",
	};

	return words[cause];
}
