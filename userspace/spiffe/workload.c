/* SPDX-License-Identifier: Apache-2.0 */
#include "spiffe/workload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "spiffe/internal.h"

static struct tip_workload_group *group_add(struct tip_map *map, uint64_t key)
{
	struct tip_workload_group *g = tip_map_getu(map, key);

	if (!g) {
		g = tip_alloc(sizeof(*g));
		g->key = key;
		LIST_INIT(&g->conns);
		tip_map_putu(map, key, g);
	}
	g->count++;
	return g;
}

static void group_drop(struct tip_map *map, uint64_t key)
{
	struct tip_workload_group *g = tip_map_getu(map, key);

	if (!g || --g->count)
		return;
	tip_map_delu(map, key);
	free(g);
}

struct tip_workload *tip_workload_new(struct event_base *base,
				      const struct tip_workload_config *config,
				      const struct tip_workload_ops *ops)
{
	struct tip_workload *w = tip_alloc(sizeof(*w));

	w->base = base;
	w->config = *config;
	w->trust_domain = tip_strdup(config->trust_domain);
	w->config.trust_domain = w->trust_domain;
	w->ops = *ops;
	w->by_id = tip_map_new();
	w->by_exec = tip_map_new();
	w->by_uid = tip_map_new();
	w->rpc = tip_workload_rpc(w);
	if (!w->rpc) {
		tip_workload_free(w);
		return NULL;
	}
	return w;
}

void tip_workload_free(struct tip_workload *w)
{
	if (!w)
		return;
	tip_rpc_server_free(w->rpc);
	tip_map_free(w->by_id, NULL);
	tip_map_free(w->by_exec, free);
	tip_map_free(w->by_uid, free);
	free(w->trust_domain);
	free(w);
}

/* ---- connections ---- */

/*
 * The socket is shared with whoever inherited or received it; what it says counts only as long as
 * the one who connected says it. The kernel gives the writer of every chunk.
 */
static bool writer_ok(void *ctx, struct tip_rpc_conn *rpc, const struct ucred *cred)
{
	struct tip_workload_conn *c = ctx;
	struct tip_workload *w = c->workload;

	(void)rpc;
	if (cred->pid > 0 && (uint32_t)cred->pid == c->peer.pid)
		return true;
	w->stats.foreign_writers++;
	/* The alert is the record; a line a connection would be a workload's way to fill our log.
	 */
	tip_debug("workload-api",
		  "pid %d wrote on the connection of pid %u (exec %" PRIu64 "): closed",
		  (int)cred->pid, c->peer.pid, c->peer.exec_id);
	w->ops.refused(w->ops.ctx, c->peer.exec_id, c->peer.pid, "foreign writer");
	return false;
}

static void on_conn_closed(void *ctx, struct tip_rpc_conn *rpc)
{
	struct tip_workload_conn *c = ctx;
	struct tip_workload *w = c->workload;

	(void)rpc;
	if (!c->closing) {
		LIST_REMOVE(c, link);
		group_drop(w->by_exec, c->peer.exec_id);
	}
	group_drop(w->by_uid, c->peer.uid);
	tip_map_delu(w->by_id, c->peer.id);
	w->stats.connections--;
	w->ops.closed(w->ops.ctx, c->peer.id);
	free(c);
}

void tip_workload_conn(struct tip_workload *w, int fd, const struct tip_workload_peer *peer)
{
	static const struct tip_rpc_conn_ops ops = {
		.writer_ok = writer_ok,
		.closed = on_conn_closed,
	};
	const struct tip_workload_group *of_uid = tip_map_getu(w->by_uid, peer->uid);
	struct tip_workload_group *of_exec;
	struct tip_workload_conn *c = NULL;

	if (tip_map_getu(w->by_id, peer->id)) {
		/* The number is in use: telling of its end would end the other one. */
		tip_err("workload-api", "connection %" PRIu64 " exists already", peer->id);
		w->stats.errors++;
		close(fd);
		return;
	}
	if (w->stats.connections >= w->config.max_connections ||
	    (of_uid && of_uid->count >= w->config.max_connections_per_uid)) {
		tip_debug("workload-api", "pid %u, uid %u: too many connections", peer->pid,
			  peer->uid);
		close(fd);
		goto refuse;
	}
	c = tip_alloc(sizeof(*c));
	c->workload = w;
	c->peer = *peer;
	LIST_INIT(&c->streams);
	c->rpc = tip_rpc_conn_add(w->rpc, fd, &ops, c);
	if (!c->rpc)
		goto refuse;
	tip_map_putu(w->by_id, peer->id, c);
	group_add(w->by_uid, peer->uid);
	of_exec = group_add(w->by_exec, peer->exec_id);
	LIST_INSERT_HEAD(&of_exec->conns, c, link);
	w->stats.connections++;
	return;
refuse:
	free(c);
	w->stats.errors++;
	w->ops.closed(w->ops.ctx, peer->id);
}

void tip_workload_conn_shut(struct tip_workload_conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	LIST_REMOVE(c, link);
	group_drop(c->workload->by_exec, c->peer.exec_id);
	tip_rpc_conn_close(c->rpc);
}

/* ---- the keeper's word ---- */

/*
 * One question at a time and connection. Streams that became dirty after it was put wait for the
 * next one, so a message leaves only on an answer that was given after the reason for it.
 */
void tip_workload_ask(struct tip_workload_conn *c)
{
	struct tip_workload *w = c->workload;
	struct tip_workload_stream *s;
	bool any = false;

	if (c->ask || c->closing)
		return;
	for (s = LIST_FIRST(&c->streams); s; s = LIST_NEXT(s, link))
		any = any || s->dirty;
	if (!any)
		return;
	w->last_ask += w->last_ask == UINT32_MAX ? 2 : 1; /* never 0 */
	c->ask = w->last_ask;
	for (s = LIST_FIRST(&c->streams); s; s = LIST_NEXT(s, link)) {
		if (s->dirty) {
			s->dirty = false;
			s->ask = c->ask;
		}
	}
	w->ops.check(w->ops.ctx, c->peer.id, c->ask);
}

void tip_workload_checked(struct tip_workload *w, uint64_t id, uint32_t ask, int ok)
{
	struct tip_workload_conn *c = tip_map_getu(w->by_id, id);
	struct tip_workload_stream *s, *next;

	if (!c || c->closing || !c->ask || c->ask != ask)
		return;
	c->ask = 0;
	if (!ok) {
		tip_debug("workload-api",
			  "pid %u is no longer what connected (exec %" PRIu64 "): closed",
			  c->peer.pid, c->peer.exec_id);
		w->ops.refused(w->ops.ctx, c->peer.exec_id, c->peer.pid, "exec");
		tip_workload_conn_shut(c);
		return;
	}
	for (s = LIST_FIRST(&c->streams); s; s = next) {
		next = LIST_NEXT(s, link);
		if (s->ask == ask) {
			s->ask = 0;
			tip_workload_stream_serve(s);
		}
	}
	tip_workload_ask(c);
}

static void conn_dirty(struct tip_workload_conn *c)
{
	struct tip_workload_stream *s;

	for (s = LIST_FIRST(&c->streams); s; s = LIST_NEXT(s, link))
		s->dirty = !s->over;
	tip_workload_ask(c);
}

void tip_workload_changed(struct tip_workload *w, uint64_t exec_id)
{
	struct tip_workload_group *g = tip_map_getu(w->by_exec, exec_id);
	struct tip_workload_conn *c, *next;

	if (!g)
		return;
	for (c = LIST_FIRST(&g->conns); c; c = next) {
		next = LIST_NEXT(c, link);
		conn_dirty(c);
	}
}

void tip_workload_bundle_changed(struct tip_workload *w)
{
	struct tip_workload_conn *c;
	size_t it = 0;

	while ((c = tip_map_next(w->by_id, &it)))
		conn_dirty(c);
}

void tip_workload_exec_gone(struct tip_workload *w, uint64_t exec_id)
{
	struct tip_workload_group *g;

	/* The group goes with its last connection. */
	while ((g = tip_map_getu(w->by_exec, exec_id)))
		tip_workload_conn_shut(LIST_FIRST(&g->conns));
}

void tip_workload_stats(const struct tip_workload *w, struct tip_workload_stats *out)
{
	struct tip_rpc_stats rpc;

	tip_rpc_server_stats(w->rpc, &rpc);
	*out = w->stats;
	out->errors += rpc.protocol_errors;
}
