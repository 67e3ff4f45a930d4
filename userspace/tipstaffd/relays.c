/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/relays.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sensor/intercept.h"

/*
 * Joins the intercept room (namespaces, held connects, sockets) with the front (TLS) and the
 * process table (who that is). The keeper decides whether somebody may try; the front, whether the
 * peer is good.
 */
#define SCAN_NS TIP_NSEC_PER_SEC

static struct tip_relay_of_front *relay_of(const struct tip_keeper *k, uint64_t id)
{
	return tip_map_getu(k->relays.relays, id);
}

static void free_relay(void *relay)
{
	struct tip_relay_of_front *r = relay;

	if (!r)
		return;
	free(r->own_id);
	free(r->peer_id);
	free(r);
}

/* The front must know of an exec before it is asked to act for it. */
static void introduce(struct tip_keeper *k, struct tip_process *p)
{
	if (p->reported)
		return;
	p->reported = true;
	tip_front_send_exec(k, p);
}

static struct tip_link_flow ends_of(const struct tip_flow *f)
{
	return (struct tip_link_flow){
		.local = f->local.addr,
		.remote = f->remote.addr,
		.local_port = f->local.port,
		.remote_port = f->remote.port,
	};
}

/* Gives a flow of that workload ("": it has no identity), and its socket, to the front. */
static void hand_over(struct tip_keeper *k, enum tip_link_type type, const struct tip_flow *f,
		      const char *own_id, int fd)
{
	struct tip_relay_of_front *r = tip_alloc(sizeof(*r));

	r->own_id = tip_strdup(own_id);
	r->peer_id = tip_strdup("");
	tip_map_putu(k->relays.relays, f->id, r);
	tip_front_send(k, &(struct tip_link_msg){.type = type,
						 .id = f->id,
						 .exec_id = f->exec_id,
						 .flow = ends_of(f),
						 .name = own_id,
						 .fd = fd});
}

/* ---- intercept -> process table and front ---------------------------------- */

/* Who holds this connect() up: the identity it had at the hook, or the one it has got since. */
static const char *client_id(struct tip_keeper *k, const struct tip_flow *f,
			     const struct tip_process *p)
{
	return f->current >= TIP_ID_FIRST ? tip_process_identity_name(k->table, f->current)
					  : p->spiffe_id;
}

static enum tip_held_answer op_held(void *ctx, const struct tip_flow *f)
{
	const struct tip_traffic_policy *policy;
	struct tip_keeper *k = ctx;
	const char *id;
	struct tip_process *p;

	tip_sensor_poll_lifecycle(k->sensor);
	p = tip_process_by_exec_id(k->table, f->exec_id);
	if (!p)
		return TIP_HELD_NO;
	introduce(k, p);
	if (!k->front.ready || (f->current == TIP_ID_PENDING && p->current == TIP_ID_PENDING))
		return TIP_HELD_WAIT;
	id = client_id(k, f, p);
	policy = tip_relays_policy_of(k, f);
	if (!id || !policy || policy->mode != TIP_TRAFFIC_STRICT ||
	    tip_guard_quarantined(k->guard, id) || !tip_traffic_policy_client(policy, id))
		return TIP_HELD_NO;
	return TIP_HELD_GO;
}

static void op_outbound(void *ctx, const struct tip_flow *f, int fd)
{
	struct tip_keeper *k = ctx;
	const struct tip_process *p = tip_process_by_exec_id(k->table, f->exec_id);
	const char *id = p ? client_id(k, f, p) : NULL;

	hand_over(k, TIP_LINK_OUTBOUND, f, id ? id : "", fd);
}

static bool op_inbound(void *ctx, const struct tip_flow *f, int fd)
{
	struct tip_keeper *k = ctx;
	struct tip_process *p;
	const char *id;

	if (!k->front.ready)
		return false;
	tip_sensor_poll_lifecycle(k->sensor);
	p = tip_process_by_exec_id(k->table, f->exec_id);
	id = p ? p->spiffe_id : NULL;
	if (p)
		introduce(k, p);
	hand_over(k, TIP_LINK_INBOUND, f, id ? id : "", fd);
	/* If the link ended in there, so did every flow. */
	return true;
}

static void op_joined(void *ctx, const struct tip_flow *f, int fd)
{
	tip_front_send(ctx, &(struct tip_link_msg){.type = TIP_LINK_JOIN, .id = f->id, .fd = fd});
}

static enum tip_mtls_cause cause_of(int err)
{
	switch (err) {
	case 0:
	case ECONNABORTED: return TIP_MTLS_APP_RESET;
	case ECONNREFUSED: return TIP_MTLS_REFUSED;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case ENOSPC:
	case EADDRNOTAVAIL:
	case EADDRINUSE: return TIP_MTLS_LIMIT_CONNECTIONS;
	default: return TIP_MTLS_UNREACHABLE;
	}
}

static void op_cut(void *ctx, const struct tip_flow *f, int err)
{
	struct tip_keeper *k = ctx;

	tip_front_send(k, &(struct tip_link_msg){
				  .type = TIP_LINK_CUT, .id = f->id, .cause = cause_of(err)});
}

static void op_refused(void *ctx, const struct tip_flow *f, int err, const char *why)
{
	/* What the network says is nobody's news. */
	if (why && *why)
		tip_relays_tell_refused(ctx, f, err, why);
}

static void op_limited(void *ctx, const struct tip_flow *f, enum tip_limit limit)
{
	static const enum tip_quota quotas[] = {
		[TIP_LIMIT_HELD] = TIP_QUOTA_HELD,
		[TIP_LIMIT_HELD_IDENTITY] = TIP_QUOTA_HELD_IDENTITY,
		[TIP_LIMIT_FLOWS] = TIP_QUOTA_RELAYS,
	};
	struct tip_keeper *k = ctx;
	const struct tip_process *p = tip_process_by_exec_id(k->table, f->exec_id);

	tip_quota_reached(k, quotas[limit], p ? client_id(k, f, p) : NULL, f->netns);
}

/* ---- intercept -> sensor ---- */

static int op_attach(void *ctx, int netns_fd, uint64_t cookie)
{
	return tip_sensor_netns_attach(((struct tip_keeper *)ctx)->sensor, netns_fd, cookie);
}

static int op_detach(void *ctx, uint64_t cookie)
{
	return tip_sensor_netns_detach(((struct tip_keeper *)ctx)->sensor, cookie);
}

static int op_veth_attach(void *ctx, uint32_t ifindex, int32_t nsid, uint64_t cookie)
{
	return tip_sensor_veth_attach(((struct tip_keeper *)ctx)->sensor, ifindex, nsid, cookie);
}

static void op_veth_detach(void *ctx, uint32_t ifindex)
{
	tip_sensor_veth_detach(((struct tip_keeper *)ctx)->sensor, ifindex);
}

static int op_worker_set(void *ctx, uint64_t cookie, int listener_fd)
{
	return tip_sensor_worker_set(((struct tip_keeper *)ctx)->sensor, cookie, listener_fd);
}

static int op_worker_clear(void *ctx, uint64_t cookie)
{
	return tip_sensor_worker_clear(((struct tip_keeper *)ctx)->sensor, cookie);
}

static int op_ours(void *ctx, int fd, uint32_t kind)
{
	return tip_sensor_ours(((struct tip_keeper *)ctx)->sensor, fd, kind);
}

static int op_redirect(void *ctx, const struct tip_flow_key *key, struct tip_redirect *out)
{
	return tip_sensor_redirect(((struct tip_keeper *)ctx)->sensor, key, out);
}

static int op_redirect_show(void *ctx, const struct tip_flow_key *key, uint32_t addr, uint16_t port)
{
	return tip_sensor_redirect_show(((struct tip_keeper *)ctx)->sensor, key, addr, port);
}

static int op_leg_set(void *ctx, const struct tip_flow_key *key, const struct tip_leg *leg)
{
	return tip_sensor_leg_set(((struct tip_keeper *)ctx)->sensor, key, leg);
}

static int op_leg(void *ctx, const struct tip_flow_key *key, struct tip_leg *out)
{
	return tip_sensor_leg(((struct tip_keeper *)ctx)->sensor, key, out);
}

static int op_leg_clear(void *ctx, const struct tip_flow_key *key)
{
	return tip_sensor_leg_clear(((struct tip_keeper *)ctx)->sensor, key);
}

static const char *const kept_names[TIP_KEPT_KINDS] = {
	[TIP_KEPT_WORKER] = TIP_FD_WORKER,
	[TIP_KEPT_QUEUE] = TIP_FD_QUEUE,
};

static void op_keep(void *ctx, enum tip_kept what, uint64_t cookie, int fd)
{
	struct tip_keeper *k = ctx;
	char name[40];

	snprintf(name, sizeof(name), "%s%" PRIu64, kept_names[what], cookie);
	if (fd >= 0)
		tip_fdstore_keep(k->fds, name, fd);
	else
		tip_fdstore_forget(k->fds, name);
}

/* What an earlier daemon has left: the namespaces in it are served before any process acts. */
static void inherit(struct tip_keeper *k)
{
	char name[64];
	int fd;

	for (int i = 0; i < TIP_KEPT_KINDS; i++)
		while ((fd = tip_fdstore_take_next(k->fds, kept_names[i], name, sizeof(name))) >= 0)
			if (!tip_intercept_inherit(k->relays.intercept, i, fd))
				tip_fdstore_forget(k->fds, name);
}

/* Is the one who called listen() still that exec? */
static bool owner_lives(struct tip_keeper *k, const struct tip_listener *l)
{
	const struct tip_process *p = tip_process_by_exec_id(k->table, l->exec_id);

	return p && !p->exit_time_ns;
}

/*
 * Whoever has a listener now is found in the descriptors of all processes: a walk that strangers
 * must not order at will.
 */
static bool may_scan(struct tip_keeper *k)
{
	const uint64_t now = tip_clock_monotonic();

	if (now - k->relays.scanned_ns < SCAN_NS)
		return false;
	k->relays.scanned_ns = now;
	return true;
}

/* A connect() found a listener that nobody is known to have. */
static void look_for_listeners(struct tip_keeper *k)
{
	k->relays.scan_wanted = !may_scan(k);
	if (!k->relays.scan_wanted && tip_sensor_listeners_scan(k->sensor) < 0)
		tip_warn("traffic", "cannot look for listeners");
}

static int op_listener(void *ctx, uint64_t cookie, uint32_t addr, uint16_t port,
		       struct tip_listener *out)
{
	struct tip_keeper *k = ctx;

	tip_sensor_poll_lifecycle(k->sensor);
	if (tip_sensor_listener(k->sensor, cookie, addr, port, out) == 0 && owner_lives(k, out))
		return 0;
	/* It was there before us, or it was inherited from a process that is gone. */
	if (!may_scan(k))
		return -ENOENT;
	if (tip_sensor_listener_search(k->sensor, cookie, addr, port, out) < 0)
		return -ENOENT;
	return owner_lives(k, out) ? 0 : -ENOENT;
}

/* ---- front -> intercept ---------------------------------------------------- */

/* What connect() says when the front gave up a flow whose SYN is still held. */
static int errno_of(enum tip_mtls_cause cause, uint32_t dial_error)
{
	/* What the network said of the dial, if connect() says such things too. */
	switch (dial_error) {
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ETIMEDOUT: return (int)dial_error;
	default: break;
	}
	switch (cause) {
	case TIP_MTLS_UNREACHABLE:
	case TIP_MTLS_TIMEOUT:
	case TIP_MTLS_LIMIT_HANDSHAKES:
	case TIP_MTLS_LIMIT_CONNECTIONS:
	case TIP_MTLS_LIMIT_IDENTITY:
	case TIP_MTLS_SOCKMAP:
	case TIP_MTLS_INTERNAL: return EHOSTUNREACH;
	default: return ECONNREFUSED;
	}
}

static void on_wanted(struct tip_keeper *k, const struct tip_link_msg *m)
{
	struct tip_relay_of_front *r = relay_of(k, m->id);
	const struct tip_flow *f;

	if (!r)
		return;
	free(r->peer_id);
	r->peer_id = tip_strdup(m->name);
	f = tip_intercept_flow(k->relays.intercept, m->id);
	if (f && !f->inbound && *r->own_id && *r->peer_id)
		r->met = tip_peers_meet(k->relays.peers, r->own_id, r->peer_id, tip_clock_real());
	tip_intercept_wanted(k->relays.intercept, m->id);
}

/* Was it turned away by a limit? Those are told together. */
static bool count_limit(struct tip_keeper *k, const struct tip_flow *f, enum tip_mtls_cause cause,
			const char *own_id)
{
	enum tip_quota quota;

	switch (cause) {
	case TIP_MTLS_LIMIT_HANDSHAKES: quota = TIP_QUOTA_HANDSHAKES; break;
	case TIP_MTLS_LIMIT_CONNECTIONS: quota = TIP_QUOTA_RELAYS; break;
	case TIP_MTLS_LIMIT_IDENTITY: quota = TIP_QUOTA_RELAYS_IDENTITY; break;
	default: return false;
	}
	tip_quota_reached(k, quota, own_id, f->netns);
	return true;
}

static void on_ended(struct tip_keeper *k, const struct tip_link_msg *m)
{
	const enum tip_mtls_cause cause =
		m->cause < TIP_MTLS_CAUSES ? (enum tip_mtls_cause)m->cause : TIP_MTLS_INTERNAL;
	struct tip_relay_of_front *r = tip_map_delu(k->relays.relays, m->id);
	const struct tip_flow *f = tip_intercept_flow(k->relays.intercept, m->id);

	if (f && r)
		tip_relays_peer_ended(k, f, r);
	if (f && r && !count_limit(k, f, cause, r->own_id))
		tip_relays_tell(k, f, cause, r->own_id, m->name, m->text);
	free_relay(r);
	tip_intercept_ended(k->relays.intercept, m->id, errno_of(cause, m->error));
}

static void on_moved(struct tip_keeper *k, const struct tip_link_msg *m)
{
	const char *at = m->data;

	for (size_t left = m->data_len; left >= sizeof(struct tip_link_moved);
	     left -= sizeof(struct tip_link_moved), at += sizeof(struct tip_link_moved)) {
		struct tip_relay_of_front *r;
		struct tip_link_moved moved;

		memcpy(&moved, at, sizeof(moved));
		r = relay_of(k, moved.id);
		if (!r)
			continue;
		r->sent = moved.sent;
		r->received = moved.received;
		r->backend = moved.backend;
	}
}

bool tip_relays_message(struct tip_keeper *k, const struct tip_link_msg *m)
{
	if (!k->relays.intercept)
		return false;
	switch (m->type) {
	case TIP_LINK_WANTED: on_wanted(k, m); return true;
	case TIP_LINK_ENDED: on_ended(k, m); return true;
	case TIP_LINK_MOVED: on_moved(k, m); return true;
	case TIP_LINK_RELAYS:
		memcpy(k->relays.stats.numbers, m->numbers, sizeof(m->numbers));
		memcpy(k->relays.stats.counters, m->counters, sizeof(m->counters));
		return true;
	default: return false;
	}
}

unsigned int tip_relays_ktls(const struct tip_keeper *k)
{
	const struct tip_capability_result *ktls = &k->caps[TIP_CAP_KTLS];

	return k->config->records != TIP_RECORDS_USER && ktls->works ? ktls->bits : 0;
}

void tip_relays_feed(struct tip_keeper *k)
{
	const struct tip_config *c = k->config;
	uint32_t fit;

	if (!k->relays.intercept)
		return;
	/* Each has two descriptors there, beside those of the Workload API and its own. */
	fit = tip_front_fit("limits.relays", c->max_relays, 2, c->max_connections + 64, 16);
	tip_front_send(
		k, &(struct tip_link_msg){
			   .type = TIP_LINK_LIMITS,
			   .numbers = {c->max_handshakes, fit,
				       c->max_relays_per_identity < fit ? c->max_relays_per_identity
									: fit,
				       c->relay_buffers_mib * 1024, tip_relays_ktls(k),
				       c->max_handshakes_per_identity},
		   });
	tip_relays_policy_feed(k);
}

void tip_relays_serving(struct tip_keeper *k)
{
	if (!k->relays.intercept)
		return;
	tip_intercept_open_doors(k->relays.intercept);
	tip_intercept_retry(k->relays.intercept, 0);
}

void tip_relays_front_gone(struct tip_keeper *k)
{
	if (!k->relays.intercept)
		return;
	tip_map_free(k->relays.relays, free_relay);
	k->relays.relays = tip_map_new();
	k->relays.stats = (struct tip_link_msg){.type = TIP_LINK_RELAYS};
	tip_intercept_front_gone(k->relays.intercept);
}

/* ---- events, time ---------------------------------------------------------- */

void tip_relays_resolved(struct tip_keeper *k, uint64_t exec_id)
{
	if (k->relays.intercept)
		tip_intercept_retry(k->relays.intercept, exec_id);
}

void tip_relays_event(struct tip_keeper *k, const struct tip_event *ev, const struct tip_process *p)
{
	struct tip_intercept *ic = k->relays.intercept;

	if (!ic)
		return;
	switch (ev->hdr->type) {
	case TIP_EV_EXEC:
		if (ev->exec.data->proc_flags & TIP_PROC_IN_SCOPE)
			tip_intercept_process(ic, (pid_t)ev->hdr->proc.tgid, ev->exec.data->netns);
		break;
	case TIP_EV_FORK:
		if (ev->fork->child_flags & TIP_PROC_IN_SCOPE)
			tip_intercept_process(ic, (pid_t)ev->fork->child.tgid,
					      ev->fork->child_netns);
		break;
	case TIP_EV_CGROUP:
		if (p && (ev->cgroup->proc_flags & TIP_PROC_IN_SCOPE))
			tip_intercept_process(ic, (pid_t)ev->hdr->proc.tgid, p->netns);
		break;
	case TIP_EV_NETNS:
		tip_intercept_process(ic, (pid_t)ev->hdr->proc.tgid, ev->netns->netns);
		break;
	case TIP_EV_LISTENER: look_for_listeners(k); break;
	case TIP_EV_EXIT:
		if (p)
			tip_intercept_left(ic, p->netns);
		break;
	default: break;
	}
}

void tip_relays_tick(struct tip_keeper *k)
{
	if (!k->relays.intercept)
		return;
	tip_sensor_heartbeat(k->sensor, 0);
	tip_intercept_tick(k->relays.intercept);
	if (k->relays.scan_wanted)
		look_for_listeners(k);
	tip_relays_end_plain(k);
	tip_peers_tick(k->relays.peers);
}

/* ---- life ------------------------------------------------------------------ */

int tip_relays_open(struct tip_keeper *k, struct tip_error *err)
{
	const struct tip_config *c = k->config;
	const struct tip_intercept_ops ops = {
		.held = op_held,
		.outbound = op_outbound,
		.inbound = op_inbound,
		.joined = op_joined,
		.cut = op_cut,
		.refused = op_refused,
		.limited = op_limited,
		.attach = op_attach,
		.detach = op_detach,
		.veth_attach = op_veth_attach,
		.veth_detach = op_veth_detach,
		.worker_set = op_worker_set,
		.worker_clear = op_worker_clear,
		.ours = op_ours,
		.redirect = op_redirect,
		.redirect_show = op_redirect_show,
		.leg_set = op_leg_set,
		.leg = op_leg,
		.leg_clear = op_leg_clear,
		.listener = op_listener,
		.keep = op_keep,
		.ctx = k,
	};
	const struct tip_intercept_config ic = {
		.instance = c->instance,
		.run_dir = c->run_dir,
		.port = (uint16_t)c->traffic_port,
		.host = c->traffic_host,
		.veth_stop = c->traffic_veth_stop,
		.names = c->traffic_namespaces,
		.nnames = c->ntraffic_namespaces,
		.max_held = c->max_held_connects,
		.max_held_per_identity = c->max_held_per_identity,
		.max_flows = c->max_relays,
		.max_legs_per_netns = c->max_redirects_per_namespace,
	};

	if (!k->traffic.on)
		return 0;
	if (tip_relays_policy_open(k) < 0)
		return tip_error_set(err, "traffic: out of memory");
	k->relays.relays = tip_map_new();
	tip_relays_peer_open(k);
	k->relays.intercept = tip_intercept_new(k->base, &ic, &ops, err);
	if (!k->relays.intercept)
		return -1;
	inherit(k);
	if (tip_sensor_set_worker_port(k->sensor, ic.port) < 0 ||
	    tip_sensor_legs_wipe(k->sensor) < 0 || tip_sensor_netns_prune(k->sensor) < 0 ||
	    tip_sensor_heartbeat(k->sensor, 0) < 0)
		return tip_error_set(err, "traffic: the kernel's maps cannot be written: %s",
				     strerror(errno));
	tip_sensor_veth_prune(k->sensor);
	return 0;
}

void tip_relays_close(struct tip_keeper *k)
{
	/* Who connects now waits for the next daemon, as long as its descriptors are kept. */
	if (k->relays.intercept && tip_fdstore_kept(k->fds))
		tip_sensor_heartbeat(k->sensor, TIP_HANDOVER_MS);
	if (k->relays.intercept)
		tip_intercept_free(k->relays.intercept);
	k->relays.intercept = NULL;
	tip_relays_policy_close(k);
	if (k->relays.relays)
		tip_map_free(k->relays.relays, free_relay);
	k->relays.relays = NULL;
	tip_relays_peer_close(k);
}
