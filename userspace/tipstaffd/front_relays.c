/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/front_relays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "mtls/worker.h"
#include "traffic/decide.h"

#define SVIDS_MAX   64   /* of one exec */
#define CACHE_SLOTS 4096 /* of the traffic cache */

/* An SVID as handshakes want it, kept as long as the store has the same certificate. */
struct ready_svid {
	struct tip_tls_svid *svid;
	uint8_t *chain;
	size_t chain_len;
};

struct tip_front_relays {
	struct event_base *base;
	struct tip_link *link;
	struct tip_store *store;
	char trust_domain[256];
	struct tip_worker *worker; /* NULL before LIMITS */
	struct tip_bundles *bundles;
	struct tip_map *svids;       /* own id -> struct ready_svid */
	struct tip_map *quarantined; /* id -> itself */
	struct tip_traffic_set *set; /* NULL: none yet */
	struct tip_traffic_cache *cache;
	struct tip_traffic_policies *coming; /* the set that is coming in */
	uint64_t coming_generation;
	struct tip_link_moved moved[TIP_LINK_MOVED_MAX];
	size_t nmoved;
};

/* ---- worker -> store and policies ------------------------------------------ */

static void free_svid(void *svid)
{
	struct ready_svid *s = svid;

	if (!s)
		return;
	tip_tls_svid_put(s->svid);
	free(s->chain);
	free(s);
}

static struct ready_svid *make_svid(struct tip_front_relays *r, const struct tip_svid *from)
{
	struct ready_svid *s;
	struct tip_tls_svid *svid;
	struct tip_error err;

	svid = tip_tls_svid_new(from->chain, from->chain_len, from->key, from->key_len, &err);
	if (!svid) {
		tip_err("mtls", "the SVID of %s cannot be used: %s", from->spiffe_id, err.text);
		return NULL;
	}
	s = tip_alloc(sizeof(*s));
	s->svid = svid;
	s->chain = tip_alloc(from->chain_len);
	memcpy(s->chain, from->chain, from->chain_len);
	s->chain_len = from->chain_len;
	free_svid(tip_map_dels(r->svids, from->spiffe_id));
	tip_map_puts(r->svids, from->spiffe_id, s);
	return s;
}

static struct tip_tls_svid *op_svid(void *ctx, uint64_t exec_id, const char *own_id,
				    enum tip_mtls_cause *why)
{
	struct tip_front_relays *r = ctx;
	struct tip_svid list[SVIDS_MAX];
	const struct ready_svid *s;
	size_t count = 0;

	*why = TIP_MTLS_NO_IDENTITY;
	if (tip_map_gets(r->quarantined, own_id)) {
		*why = TIP_MTLS_QUARANTINED;
		return NULL;
	}
	/* Asked each time: only the store knows whether that exec may still have it. */
	if (tip_store_fetch(r->store, exec_id, list, SVIDS_MAX, &count) != TIP_FETCH_OK)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].spiffe_id, own_id) != 0)
			continue;
		s = tip_map_gets(r->svids, own_id);
		if (!s || s->chain_len != list[i].chain_len ||
		    memcmp(s->chain, list[i].chain, s->chain_len) != 0)
			s = make_svid(r, &list[i]);
		if (!s)
			*why = TIP_MTLS_INTERNAL;
		return s ? tip_tls_svid_ref(s->svid) : NULL;
	}
	return NULL;
}

static size_t op_expected(void *ctx, const struct tip_worker_flow *f, const char **out, size_t max)
{
	const struct tip_front_relays *r = ctx;
	const struct tip_traffic_flow flow = {
		.client = f->own_id, .addr = tip_ip4(&f->remote), .port = f->remote_port};
	struct tip_traffic_decision d;
	size_t n = 0;

	if (!r->set)
		return 0;
	tip_traffic_decide(r->set, r->cache, &flow, &d);
	if (d.verdict != TIP_TRAFFIC_MTLS)
		return 0;
	for (size_t i = 0; i < d.policy->nserver && n < max; i++)
		if (!tip_map_gets(r->quarantined, d.policy->server[i].id))
			out[n++] = d.policy->server[i].id;
	return n;
}

static enum tip_verdict op_authorise(void *ctx, const struct tip_worker_flow *f,
				     const char *peer_id, uint16_t *reason)
{
	const struct tip_front_relays *r = ctx;
	const struct tip_traffic_flow flow = {.client = peer_id,
					      .server = f->own_id,
					      .addr = tip_ip4(&f->local),
					      .port = f->local_port};
	struct tip_traffic_decision d;

	*reason = TIP_REASON_NO_RULE;
	if (tip_map_gets(r->quarantined, peer_id) || tip_map_gets(r->quarantined, f->own_id))
		return TIP_VERDICT_QUARANTINED;
	if (!r->set)
		return TIP_VERDICT_DENIED;
	tip_traffic_decide(r->set, r->cache, &flow, &d);
	if (d.verdict != TIP_TRAFFIC_MTLS)
		return TIP_VERDICT_DENIED;
	*reason = TIP_REASON_NONE;
	return TIP_VERDICT_OK;
}

/*
 * A connection that was authorised goes on where nothing asks for mutual TLS any more: it is no
 * less than what a new one there would be.
 */
static enum tip_mtls_cause op_keeps(void *ctx, const struct tip_worker_flow *f, const char *peer_id,
				    bool inbound)
{
	const struct tip_front_relays *r = ctx;
	const struct tip_traffic_flow flow = {
		.client = inbound ? peer_id : f->own_id,
		.server = inbound ? f->own_id : peer_id,
		.addr = tip_ip4(inbound ? &f->local : &f->remote),
		.port = inbound ? f->local_port : f->remote_port,
	};
	struct tip_traffic_decision d;

	if (tip_map_gets(r->quarantined, peer_id) || tip_map_gets(r->quarantined, f->own_id))
		return TIP_MTLS_QUARANTINED;
	if (!r->set)
		return TIP_MTLS_DENIED;
	tip_traffic_decide(r->set, r->cache, &flow, &d);
	return d.verdict == TIP_TRAFFIC_DENY ? TIP_MTLS_DENIED : TIP_MTLS_NONE;
}

/* ---- worker -> link -------------------------------------------------------- */

static void op_wanted(void *ctx, uint64_t id, const char *peer_id)
{
	tip_link_send(((struct tip_front_relays *)ctx)->link,
		      &(struct tip_link_msg){.type = TIP_LINK_WANTED, .id = id, .name = peer_id});
}

static void op_ended(void *ctx, const struct tip_worker_end *end)
{
	tip_link_send(((struct tip_front_relays *)ctx)->link,
		      &(struct tip_link_msg){
			      .type = TIP_LINK_ENDED,
			      .id = end->id,
			      .cause = (uint32_t)end->cause,
			      .error = (uint32_t)end->error,
			      .name = end->peer_id,
			      .text = end->text,
			      .counters = {end->sent, end->received},
		      });
}

static void send_moved(struct tip_front_relays *r)
{
	if (!r->nmoved)
		return;
	tip_link_send(r->link, &(struct tip_link_msg){.type = TIP_LINK_MOVED,
						      .data = r->moved,
						      .data_len = r->nmoved * sizeof(r->moved[0])});
	r->nmoved = 0;
}

static void add_moved(void *ctx, uint64_t id, const char *backend, uint64_t sent, uint64_t received)
{
	uint32_t number =
		strcmp(backend, "kernel") ? TIP_LINK_BACKEND_USER : TIP_LINK_BACKEND_KERNEL;
	struct tip_front_relays *r = ctx;

	r->moved[r->nmoved++] = (struct tip_link_moved){id, sent, received, number, 0};
	if (r->nmoved == TIP_LINK_MOVED_MAX)
		send_moved(r);
}

void tip_front_relays_report(struct tip_front_relays *r)
{
	struct tip_bundles_stats bundles;
	struct tip_worker_stats s;

	if (!r->worker)
		return;
	tip_worker_moved(r->worker, add_moved, r);
	send_moved(r);
	tip_worker_stats(r->worker, &s);
	tip_bundles_stats(r->bundles, &bundles);
	tip_link_send(r->link,
		      &(struct tip_link_msg){
			      .type = TIP_LINK_RELAYS,
			      .numbers = {(uint32_t)s.relays.handshakes, (uint32_t)s.relays.open,
					  (uint32_t)(s.pumps.buffers / 1024),
					  (uint32_t)(s.pumps.buffers_peak / 1024)},
			      .counters = {s.relays.begun, s.relays.opened, bundles.verified,
					   bundles.remembered, s.pumps.waits, s.kernel},
		      });
}

/* ---- link -> worker -------------------------------------------------------- */

static int on_limits(struct tip_front_relays *r, const struct tip_link_msg *m,
		     struct tip_error *err)
{
	const struct tip_worker_limits limits = {
		.relays = {.handshakes = m->numbers[0],
			   .handshakes_per_identity = m->numbers[5],
			   .connections = m->numbers[1],
			   .per_identity = m->numbers[2]},
		.buffers = (size_t)m->numbers[3] * 1024,
		.records = {.kernel = m->numbers[4],
			    .rekey = TIP_RECORDS_REKEY,
			    .budget = TIP_RECORDS_BUDGET},
	};
	const struct tip_worker_ops ops = {
		op_svid, op_expected, op_authorise, op_keeps, op_wanted, op_ended, r};

	if (r->worker)
		return tip_error_set(err, "the keeper set the limits twice");
	r->worker = tip_worker_new(r->base, r->bundles, &limits, &ops);
	return 0;
}

static int on_policy(struct tip_front_relays *r, const struct tip_link_msg *m,
		     struct tip_error *err)
{
	if (!r->coming)
		return tip_error_set(err, "a traffic policy came outside a set");
	/* The keeper has parsed it once; what does not parse here is a bug, not input. */
	return tip_traffic_policies_parse(r->coming, "link", m->data, m->data_len, err);
}

static int on_policies_end(struct tip_front_relays *r, struct tip_error *err)
{
	struct tip_traffic_set *former = r->set;
	size_t cut;

	if (!r->coming || !r->worker)
		return tip_error_set(err, "a set of traffic policies ended that had not begun");
	r->set = tip_traffic_set_new(r->coming, r->coming_generation);
	r->coming = NULL;
	cut = tip_worker_recheck(r->worker);
	if (cut)
		tip_info("mtls", "%zu connections were cut: the policies no longer allow them",
			 cut);
	tip_traffic_set_free(former);
	return 0;
}

static struct tip_worker_flow flow_of(const struct tip_link_msg *m)
{
	return (struct tip_worker_flow){
		.id = m->id,
		.exec_id = m->exec_id,
		.own_id = m->name,
		.local = m->flow.local,
		.remote = m->flow.remote,
		.local_port = m->flow.local_port,
		.remote_port = m->flow.remote_port,
	};
}

static int on_socket(struct tip_front_relays *r, const struct tip_link_msg *m,
		     struct tip_error *err)
{
	const struct tip_worker_flow f = flow_of(m);

	if (!r->worker) {
		close(m->fd);
		return tip_error_set(err, "a connection came before the limits");
	}
	if (m->type == TIP_LINK_OUTBOUND)
		tip_worker_outbound(r->worker, &f, m->fd);
	else if (m->type == TIP_LINK_INBOUND)
		tip_worker_inbound(r->worker, &f, m->fd);
	else
		tip_worker_join(r->worker, m->id, m->fd);
	return 0;
}

int tip_front_relays_message(struct tip_front_relays *r, const struct tip_link_msg *m,
			     struct tip_error *err)
{
	int ret = 0;

	switch (m->type) {
	case TIP_LINK_LIMITS: ret = on_limits(r, m, err); break;
	case TIP_LINK_TRAFFIC:
		tip_traffic_policies_free(r->coming);
		r->coming = tip_traffic_policies_new();
		r->coming_generation = m->id;
		break;
	case TIP_LINK_POLICY: ret = on_policy(r, m, err); break;
	case TIP_LINK_TRAFFIC_END: ret = on_policies_end(r, err); break;
	case TIP_LINK_OUTBOUND:
	case TIP_LINK_INBOUND:
	case TIP_LINK_JOIN: ret = on_socket(r, m, err); break;
	case TIP_LINK_CUT:
		if (r->worker)
			tip_worker_cut(r->worker, m->id,
				       m->cause < TIP_MTLS_CAUSES ? (enum tip_mtls_cause)m->cause
								  : TIP_MTLS_INTERNAL);
		break;
	default: return 0;
	}
	return ret < 0 ? -1 : 1;
}

/* ---- what changes ---------------------------------------------------------- */

void tip_front_relays_quarantine(struct tip_front_relays *r, const char *spiffe_id, bool on)
{
	free(tip_map_dels(r->quarantined, spiffe_id));
	free_svid(tip_map_dels(r->svids, spiffe_id));
	if (!on)
		return;
	tip_map_puts(r->quarantined, spiffe_id, tip_strdup(spiffe_id));
	if (r->worker)
		tip_worker_quarantine(r->worker, spiffe_id);
}

void tip_front_relays_bundle(struct tip_front_relays *r)
{
	struct tip_error err;
	const uint8_t *der;
	size_t len;

	der = tip_store_bundle(r->store, &len);
	if (tip_bundles_set(r->bundles, r->trust_domain, der, len, &err) < 0)
		tip_err("mtls", "the trust bundle cannot be used: %s", err.text);
}

void tip_front_relays_forget(struct tip_front_relays *r)
{
	tip_map_free(r->svids, free_svid);
	r->svids = tip_map_new();
}

struct tip_front_relays *tip_front_relays_new(struct event_base *base, struct tip_link *link,
					      struct tip_store *store, const char *trust_domain)
{
	struct tip_front_relays *r = tip_alloc(sizeof(*r));

	r->base = base;
	r->link = link;
	r->store = store;
	snprintf(r->trust_domain, sizeof(r->trust_domain), "%s", trust_domain);
	r->bundles = tip_bundles_new();
	r->svids = tip_map_new();
	r->quarantined = tip_map_new();
	r->cache = tip_traffic_cache_new(CACHE_SLOTS);
	return r;
}

void tip_front_relays_free(struct tip_front_relays *r)
{
	if (!r)
		return;
	if (r->worker)
		tip_worker_free(r->worker);
	tip_traffic_set_free(r->set);
	tip_traffic_policies_free(r->coming);
	tip_traffic_cache_free(r->cache);
	tip_map_free(r->svids, free_svid);
	tip_map_free(r->quarantined, free);
	tip_bundles_free(r->bundles);
	free(r);
}
