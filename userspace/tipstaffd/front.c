/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/front.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "identity/store.h"
#include "link/link.h"
#include "spiffe/workload.h"
#include "tipstaffd/front_containers.h"
#include "tipstaffd/front_posts.h"
#include "tipstaffd/front_relays.h"
#include "tipstaffd/sandbox.h"

#define LINK_FD    3
#define STATS_SEC  1
#define LAST_SEC   3    /* how long alerts are posted after the link's end, at most */
#define PENDING_MS 5000 /* how long a Workload API call waits for its exec to be resolved */

struct front {
	struct event_base *base;
	struct tip_link *link;
	struct tip_store *store;
	struct tip_workload *workload;
	struct tip_front_relays *relays;
	struct tip_front_containers *containers;
	struct tip_front_posts *posts;
	struct event *renew, *stats;
	bool ending; /* the keeper's link is closed */
	/* the set of entries that is coming in */
	struct tip_arena *arena;
	struct tip_entry *entries;
	size_t nentries;
	char trust_domain[256];
	bool started;
	int exit_code;
};

/* ---- store -> link and Workload API ---------------------------------------------------- */

static void store_save(void *ctx, const char *name, const void *data, size_t len)
{
	tip_link_send(((struct front *)ctx)->link,
		      &(struct tip_link_msg){
			      .type = TIP_LINK_SAVE, .name = name, .data = data, .data_len = len});
}

static void store_forget(void *ctx, const char *name)
{
	tip_link_send(((struct front *)ctx)->link,
		      &(struct tip_link_msg){.type = TIP_LINK_FORGET, .name = name});
}

static void store_resolved(void *ctx, uint64_t exec_id, uint32_t epoch, const char *spiffe_id)
{
	tip_link_send(((struct front *)ctx)->link, &(struct tip_link_msg){.type = TIP_LINK_RESOLVED,
									  .exec_id = exec_id,
									  .epoch = epoch,
									  .name = spiffe_id});
}

static void store_changed(void *ctx, uint64_t exec_id)
{
	struct front *f = ctx;

	if (f->workload)
		tip_workload_changed(f->workload, exec_id);
}

static void store_bundle_changed(void *ctx)
{
	struct front *f = ctx;

	if (f->workload)
		tip_workload_bundle_changed(f->workload);
	if (f->relays)
		tip_front_relays_bundle(f->relays);
}

/* ---- Workload API -> store and link ------------------------------------------------------- */

static enum tip_fetch workload_fetch(void *ctx, uint64_t exec_id, struct tip_svid *out, size_t max,
				     size_t *count)
{
	return tip_store_fetch(((struct front *)ctx)->store, exec_id, out, max, count);
}

static const uint8_t *workload_bundle(void *ctx, size_t *len)
{
	return tip_store_bundle(((struct front *)ctx)->store, len);
}

static enum tip_standing workload_standing(void *ctx, uint64_t exec_id)
{
	return tip_store_standing(((struct front *)ctx)->store, exec_id);
}

static enum tip_fetch workload_fetch_jwt(void *ctx, uint64_t exec_id,
					 const struct tip_jwt_query *query,
					 struct tip_jwt_svid *out, size_t max, size_t *count)
{
	return tip_store_fetch_jwt(((struct front *)ctx)->store, exec_id, query, out, max, count);
}

static const char *workload_jwks(void *ctx, size_t *len)
{
	return tip_store_jwks(((struct front *)ctx)->store, len);
}

static int workload_validate_jwt(void *ctx, const char *audience, const char *token,
				 struct tip_jwt *out, struct tip_error *err)
{
	return tip_store_validate_jwt(((struct front *)ctx)->store, audience, token, out, err);
}

static void workload_check(void *ctx, uint64_t id, uint32_t ask)
{
	tip_link_send(((struct front *)ctx)->link,
		      &(struct tip_link_msg){.type = TIP_LINK_CHECK, .id = id, .ask = ask});
}

static void workload_refused(void *ctx, uint64_t exec_id, uint32_t pid, const char *cause)
{
	tip_link_send(((struct front *)ctx)->link, &(struct tip_link_msg){.type = TIP_LINK_REFUSED,
									  .exec_id = exec_id,
									  .pid = pid,
									  .name = cause});
}

static void workload_closed(void *ctx, uint64_t id)
{
	tip_link_send(((struct front *)ctx)->link,
		      &(struct tip_link_msg){.type = TIP_LINK_CLOSED, .id = id});
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void on_renew(evutil_socket_t fd, short what, void *ctx)
{
	struct front *f = ctx;
	uint64_t ns = tip_store_tick(f->store, tip_clock_real());
	struct timeval tv = {(time_t)(ns / TIP_NSEC_PER_SEC),
			     (suseconds_t)(ns % TIP_NSEC_PER_SEC / 1000)};

	event_add(f->renew, &tv);
}

static void on_stats(evutil_socket_t fd, short what, void *ctx)
{
	struct front *f = ctx;
	struct tip_workload_stats w;
	struct tip_store_stats s;

	tip_store_stats(f->store, &s);
	tip_workload_stats(f->workload, &w);
	tip_link_send(f->link, &(struct tip_link_msg){
				       .type = TIP_LINK_STATS,
				       .numbers = {(uint32_t)s.entries, (uint32_t)s.execs,
						   (uint32_t)s.svids, (uint32_t)w.connections,
						   (uint32_t)w.streams, (uint32_t)s.bad_records},
				       .counters = {s.issued, s.renewed, w.calls, w.denied,
						    w.foreign_writers, w.errors},
			       });
	tip_front_relays_report(f->relays);
	tip_front_containers_report(f->containers);
}

/* ---- link -> store and Workload API
 * -------------------------------------------------------------- */

static void fail(struct front *f, const char *why)
{
	tip_err("front", "%s", why);
	f->exit_code = 1;
	event_base_loopbreak(f->base);
}

static void posts_ended(void *ctx)
{
	struct front *f = ctx;

	if (f->ending)
		event_base_loopbreak(f->base);
}

static void on_config(struct front *f, const struct tip_link_msg *m)
{
	struct tip_store_config sc = {
		.trust_domain = f->trust_domain,
		.x509_ttl = m->numbers[0],
		.jwt_ttl = m->numbers[6],
		.ca_ttl = m->numbers[1],
		.max_execs = m->numbers[2],
	};
	struct tip_store_ops sops = {store_save,    store_forget,         store_resolved,
				     store_changed, store_bundle_changed, f};
	struct tip_workload_config wc = {
		.trust_domain = f->trust_domain,
		.max_connections = m->numbers[3],
		.max_connections_per_uid = m->numbers[4],
		.pending_ms = PENDING_MS,
	};
	const struct tip_workload_ops wops = {
		.fetch = workload_fetch,
		.bundle = workload_bundle,
		.standing = workload_standing,
		.fetch_jwt = workload_fetch_jwt,
		.jwks = workload_jwks,
		.validate_jwt = workload_validate_jwt,
		.check = workload_check,
		.refused = workload_refused,
		.closed = workload_closed,
		.ctx = f,
	};

	if (f->store) {
		fail(f, "the keeper configured twice");
		return;
	}
	tip_log_init("front", m->numbers[5] <= TIP_LOG_DEBUG ? (enum tip_log_level)m->numbers[5]
							     : TIP_LOG_INFO);
	snprintf(f->trust_domain, sizeof(f->trust_domain), "%s", m->name);
	f->store = tip_store_new(&sc, &sops);
	f->workload = tip_workload_new(f->base, &wc, &wops);
	f->relays = tip_front_relays_new(f->base, f->link, f->store, f->trust_domain);
	f->containers = tip_front_containers_new(f->base, f->link);
	f->posts = tip_front_posts_new(f->base, f->store, posts_ended, f);
}

static void entries_begin(struct front *f)
{
	free(f->entries);
	f->entries = NULL;
	f->nentries = 0;
	tip_arena_free(f->arena);
	f->arena = tip_arena_new();
}

static void entries_add(struct front *f, const struct tip_link_msg *m)
{
	struct tip_error err;

	if (!f->arena) {
		fail(f, "an entry came outside a set");
		return;
	}
	/* The keeper has parsed it once; what does not parse here is a bug, not input. */
	if (tip_entries_parse(f->arena, "link", m->data, m->data_len, f->trust_domain, &f->entries,
			      &f->nentries, &err) < 0)
		fail(f, err.text);
}

static void on_start(struct front *f)
{
	struct timeval second = {STATS_SEC, 0};
	struct tip_error err;

	if (f->started) {
		fail(f, "the keeper started twice");
		return;
	}
	if (tip_store_start(f->store, &err) < 0) {
		fail(f, err.text);
		return;
	}
	tip_front_relays_bundle(f->relays);
	f->started = true;
	on_renew(-1, 0, f);
	event_add(f->stats, &second);
	tip_link_send(f->link, &(struct tip_link_msg){.type = TIP_LINK_READY});
	tip_mem_give_back();
}

static void on_exec(struct front *f, const struct tip_link_msg *m)
{
	struct tip_exec_facts facts = {
		.exec_id = m->exec_id,
		.epoch = m->epoch,
		.pid = m->pid,
		.withheld = m->flag,
		.attested = {.uid = m->uid,
			     .gid = m->gid,
			     .path = m->name,
			     .cgroup = m->text,
			     .sha256 = m->data},
	};

	tip_store_exec(f->store, &facts);
}

static void on_conn(struct front *f, const struct tip_link_msg *m)
{
	struct tip_workload_peer peer = {
		.id = m->id,
		.exec_id = m->exec_id,
		.epoch = m->epoch,
		.pid = m->pid,
		.uid = m->uid,
		.gid = m->gid,
	};

	tip_workload_conn(f->workload, m->fd, &peer);
}

static void on_message(void *ctx, const struct tip_link_msg *m)
{
	struct front *f = ctx;
	struct tip_error err;

	if (!f->store && m->type != TIP_LINK_CONFIG) {
		if (m->fd >= 0)
			close(m->fd);
		fail(f, "the keeper did not configure first");
		return;
	}
	switch (m->type) {
	case TIP_LINK_CONFIG: on_config(f, m); break;
	case TIP_LINK_RECORD: tip_store_record(f->store, m->name, m->data, m->data_len); break;
	case TIP_LINK_ENTRIES: entries_begin(f); break;
	case TIP_LINK_ENTRY: entries_add(f, m); break;
	case TIP_LINK_ENTRIES_END:
		tip_store_set_entries(f->store, f->entries, f->nentries);
		tip_front_relays_forget(f->relays);
		break;
	case TIP_LINK_START: on_start(f); break;
	case TIP_LINK_QUARANTINE:
		tip_store_quarantine(f->store, m->name, m->flag);
		tip_front_relays_quarantine(f->relays, m->name, m->flag);
		break;
	case TIP_LINK_EXEC: on_exec(f, m); break;
	case TIP_LINK_GONE:
		tip_workload_exec_gone(f->workload, m->exec_id);
		tip_store_exec_gone(f->store, m->exec_id);
		break;
	case TIP_LINK_CONN: on_conn(f, m); break;
	case TIP_LINK_CHECKED:
		tip_workload_checked(f->workload, m->id, m->ask, (int)m->flag);
		break;
	default:
		if (!tip_front_containers_message(f->containers, m) &&
		    !tip_front_posts_message(f->posts, m) &&
		    tip_front_relays_message(f->relays, m, &err) < 0)
			fail(f, err.text);
		break;
	}
}

/* Nobody is served any more. */
static void stop_serving(struct front *f)
{
	tip_front_relays_free(f->relays);
	tip_front_containers_free(f->containers);
	if (f->workload)
		tip_workload_free(f->workload);
	f->relays = NULL;
	f->containers = NULL;
	f->workload = NULL;
}

static void on_ended(void *ctx, const char *why)
{
	const struct timeval last = {LAST_SEC, 0};
	struct front *f = ctx;

	tip_info("front", "the keeper is gone: exiting");
	if (!tip_front_posts_busy(f->posts)) {
		event_base_loopbreak(f->base);
		return;
	}
	/* A keeper that ends in good order still has alerts, which come another way. */
	f->ending = true;
	event_del(f->stats);
	stop_serving(f);
	event_base_loopexit(f->base, &last);
}

/* ---- life
 * ------------------------------------------------------------------------------------------ */

int tip_front_run(uid_t uid, gid_t gid, const char *mount_point)
{
	struct event_config *config;
	struct front f = {0};
	struct tip_error err;

	tip_log_init("front", TIP_LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	/* No configuration file, no engines, no error strings: there is no file system in a moment.
	 */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	if (tip_sandbox_front(uid, gid, mount_point, &err) < 0) {
		tip_err("front", "%s", err.text);
		return 1;
	}
	config = event_config_new();
	f.base = config ? event_base_new_with_config(config) : NULL;
	if (!f.base)
		abort();
	event_config_free(config);
	f.link = tip_link_new(f.base, LINK_FD, TIP_LINK_FRONT,
			      &(struct tip_link_ops){on_message, on_ended, &f});
	f.renew = event_new(f.base, -1, 0, on_renew, &f);
	f.stats = event_new(f.base, -1, EV_PERSIST, on_stats, &f);
	if (!f.renew || !f.stats)
		abort();
	event_base_dispatch(f.base);

	stop_serving(&f);
	tip_front_posts_free(f.posts);
	if (f.store)
		tip_store_free(f.store);
	event_free(f.renew);
	event_free(f.stats);
	tip_link_free(f.link);
	free(f.entries);
	tip_arena_free(f.arena);
	event_base_free(f.base);
	return f.exit_code;
}
