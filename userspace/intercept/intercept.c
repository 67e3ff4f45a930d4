/* SPDX-License-Identifier: Apache-2.0 */
#include "intercept/intercept.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "intercept/internal.h"

#define START_MS       20000 /* for iptables, while modules are loaded */
#define REMOVE_MS      3000
#define START_TICKS    10 /* until then, what waits waits for the first front */
#define LOOKS          3  /* an exiting process is in its namespace for a moment longer */
#define EMPTIES        2  /* the look through /proc is no snapshot: one may have missed somebody */
#define LOOK_ALL_TICKS 60 /* who leaves by setns() tells nobody */

/* ---- birth and death ------------------------------------------------------------------- */

static int try_queue(struct tip_intercept *ic, struct tip_error *err)
{
	struct tip_netns trial = {.ic = ic, .fd = -1, .listener = -1, .inherited = {-1, -1}};
	const int ret = tip_queue_open(&trial);

	if (ret < 0)
		tip_error_set(err, "NFQUEUE: %s", strerror(-ret));
	tip_queue_close(&trial);
	return ret;
}

/* Does all of it once, in a namespace that goes away with this: which tool works here? */
static int try_out(struct tip_intercept *ic, struct tip_error *err)
{
	struct tip_netfilter *nf = &ic->netfilter;
	int ret = -1;

	if (unshare(CLONE_NEWNET) < 0)
		return tip_error_set(err, "no network namespace for a trial: %s", strerror(errno));
	tip_error_set(err, "iptables-legacy-restore and iptables-nft-restore are both missing: "
			   "install iptables");
	nf->patience_ms = START_MS;
	for (unsigned int i = 0; ret < 0 && (nf->tool = tip_netfilter_tool(i)); i++)
		ret = tip_netfilter_apply(nf, err);
	nf->patience_ms = 0;
	if (ret == 0)
		ret = try_queue(ic, err);
	tip_netns_leave(ic->home);
	return ret < 0 ? -1 : 0;
}

/*
 * iptables-legacy loads its first modules by itself, which needs CAP_SYS_MODULE; the kernel loads
 * those of matches and targets for whoever asks.
 */
void tip_intercept_prepare(const char *instance, const char *run_dir, uint16_t port)
{
	struct tip_intercept ic = {
		.netfilter = {.port = port, .queue = port, .patience_ms = START_MS},
		.home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC),
	};
	struct tip_netfilter *nf = &ic.netfilter;
	struct tip_error err;

	if (ic.home < 0 || unshare(CLONE_NEWNET) < 0)
		goto out;
	tip_netfilter_chain(instance, nf->chain);
	nf->lock = tip_sprintf("%s/xtables.lock", run_dir);
	for (unsigned int i = 0; (nf->tool = tip_netfilter_tool(i)); i++) {
		if (tip_netfilter_apply(nf, &err) < 0)
			tip_debug("intercept", "%s", err.text);
	}
	if (try_queue(&ic, &err) < 0)
		tip_debug("intercept", "%s", err.text);
	tip_netns_leave(ic.home);
	free(nf->lock);
out:
	if (ic.home >= 0)
		close(ic.home);
}

struct tip_intercept *tip_intercept_new(struct event_base *base,
					const struct tip_intercept_config *config,
					const struct tip_intercept_ops *ops, struct tip_error *err)
{
	struct tip_intercept *ic = tip_alloc(sizeof(*ic));
	int ret;

	ic->base = base;
	ic->ops = *ops;
	ic->port = config->port;
	ic->host = config->host;
	ic->max_held = config->max_held;
	ic->max_held_per_identity = config->max_held_per_identity;
	ic->max_flows = config->max_flows;
	ic->max_legs_per_netns = config->max_legs_per_netns;
	ic->nnames = config->nnames;
	ic->names = tip_calloc(config->nnames + 1, sizeof(*ic->names));
	for (size_t i = 0; i < config->nnames; i++)
		ic->names[i] = tip_strdup(config->names[i]);
	tip_netfilter_chain(config->instance, ic->netfilter.chain);
	ic->netfilter.lock = tip_sprintf("%s/xtables.lock", config->run_dir);
	/* One per port: two workers in one namespace have two ports. */
	ic->netfilter.port = ic->netfilter.queue = config->port;
	ic->spaces = tip_map_new();
	tip_flows_init(ic);
	ic->serve_more = event_new(base, -1, 0, tip_intercept_on_serve_more, ic);
	ic->hold_ends = event_new(base, -1, 0, tip_outbound_on_hold_end, ic);
	if (!ic->serve_more || !ic->hold_ends)
		abort();
	ic->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ic->home < 0 || tip_netns_identify(TIP_NETNS_INITIAL, &ic->nsfs, &ic->initial) < 0) {
		tip_error_set(err, "cannot see the own network namespace: %s", strerror(errno));
		goto fail;
	}
	ret = config->veth_stop ? tip_veths_open(ic) : 0;
	if (ret < 0) {
		tip_error_set(err, "cannot watch network interfaces: %s", strerror(-ret));
		goto fail;
	}
	if (try_out(ic, err) == 0)
		return ic;
fail:
	tip_intercept_free(ic);
	return NULL;
}

void tip_intercept_free(struct tip_intercept *ic)
{
	struct tip_netns *ns;
	size_t it = 0;

	if (!ic)
		return;
	tip_flows_free(ic);
	tip_veths_close(ic);
	while ((ns = tip_map_next(ic->spaces, &it)))
		tip_netns_free(ns);
	tip_map_free(ic->spaces, NULL);
	event_free(ic->serve_more);
	event_free(ic->hold_ends);
	if (ic->home >= 0)
		close(ic->home);
	for (size_t i = 0; i < ic->nnames; i++)
		free(ic->names[i]);
	free(ic->names);
	free(ic->netfilter.lock);
	free(ic);
}

/* ---- which namespaces ------------------------------------------------------------------- */

void tip_intercept_on_serve_more(evutil_socket_t fd, short what, void *ctx)
{
	tip_netns_serve_due(ctx);
}

/* Those in which somebody is become known with a process that is alive. */
static void on_process(void *ctx, pid_t pid, uint32_t inode)
{
	const struct tip_intercept *ic = ctx;
	struct tip_netns *ns = tip_map_getu(ic->spaces, inode);

	if (!ns)
		return;
	ns->witness = pid;
	ns->found = true;
}

void tip_intercept_enable(struct tip_intercept *ic, bool on)
{
	if (on && !ic->enabled) {
		if (ic->host && !tip_map_getu(ic->spaces, ic->initial))
			tip_netns_add(ic, ic->initial, 0);
		tip_netns_each_process(on_process, ic);
		tip_netns_schedule(ic);
	}
	ic->enabled = on;
}

static uid_t owner_of(pid_t pid, uint32_t netns)
{
	const int fd = tip_netns_of(pid, netns);
	const uid_t owner = fd < 0 ? 0 : tip_netns_owner(fd);

	if (fd >= 0)
		close(fd);
	return owner;
}

void tip_intercept_process(struct tip_intercept *ic, pid_t pid, uint32_t netns)
{
	struct tip_netns *ns = tip_map_getu(ic->spaces, netns);

	/* 0: the event could not tell. */
	if (!netns || (netns == ic->initial && !ic->host))
		return;
	if (!ns && !(ns = tip_netns_add(ic, netns, owner_of(pid, netns))))
		return;
	/* It was not served for lack of anybody in it: now there is somebody. */
	if (!ns->witness)
		ns->retry_at = 0;
	ns->witness = pid;
	ns->empties = 0;
	if (ic->enabled && ns->fd < 0 && ns->retry_at <= tip_clock_monotonic())
		tip_netns_schedule(ic);
}

void tip_intercept_left(struct tip_intercept *ic, uint32_t netns)
{
	struct tip_netns *ns = tip_map_getu(ic->spaces, netns);

	if (ns)
		ns->looks = LOOKS;
}

static bool wanted_name(const struct tip_intercept *ic, const char *name)
{
	for (size_t i = 0; i < ic->nnames; i++) {
		if (fnmatch(ic->names[i], name, 0) == 0)
			return true;
	}
	return false;
}

static void on_name(void *ctx, const char *name, uint32_t inode)
{
	struct tip_intercept *ic = ctx;
	struct tip_netns *ns = tip_map_getu(ic->spaces, inode);

	/* A name can be given to a namespace of another kind: that shows when it is opened. */
	if (!ns && wanted_name(ic, name) && (inode != ic->initial || ic->host))
		ns = tip_netns_add(ic, inode, 0);
	if (!ns)
		return;
	ns->found = true;
	if (ns->name && !strcmp(ns->name, name))
		return;
	free(ns->name);
	ns->name = tip_strdup(name);
}

static void forget_found(struct tip_intercept *ic)
{
	struct tip_netns *ns;
	size_t it = 0;

	while ((ns = tip_map_next(ic->spaces, &it)))
		ns->found = false;
}

static void look_for_names(struct tip_intercept *ic)
{
	struct tip_netns *ns;
	size_t it = 0;

	forget_found(ic);
	tip_netns_each_name(ic->nsfs, on_name, ic);
	while ((ns = tip_map_next(ic->spaces, &it))) {
		if (!ns->name || ns->found)
			continue;
		free(ns->name);
		ns->name = NULL;
		ns->looks = LOOKS;
	}
}

/* Whether the process that was seen in it last still is. */
static bool witnessed(const struct tip_netns *ns)
{
	const int fd = ns->witness ? tip_netns_of(ns->witness, ns->inode) : -1;

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Namespaces to let go. /proc is gone through only if one of them may be empty. */
static void look_for_empty(struct tip_intercept *ic)
{
	struct tip_netns *ns;
	bool doubt = false;
	size_t it = 0;

	while ((ns = tip_map_next(ic->spaces, &it))) {
		if (ic->ticks % LOOK_ALL_TICKS == 0 && !ns->looks)
			ns->looks = 1;
		if (!ns->looks)
			continue;
		ns->looks--;
		doubt = doubt || (!ns->name && !witnessed(ns));
	}
	if (!doubt)
		return;
	forget_found(ic);
	tip_netns_each_process(on_process, ic);
	it = 0;
	while ((ns = tip_map_next(ic->spaces, &it))) {
		if (ns->found || ns->name) {
			ns->empties = 0;
		} else if (++ns->empties >= EMPTIES) {
			tip_netns_release(ic, ns);
		} else if (!ns->looks) {
			ns->looks = 1;
		}
	}
}

void tip_intercept_open_doors(struct tip_intercept *ic)
{
	struct tip_netns *ns;
	size_t it = 0;

	if (ic->doors_open)
		return;
	ic->doors_open = true;
	while ((ns = tip_map_next(ic->spaces, &it))) {
		if (ns->readable)
			event_add(ns->readable, NULL);
		if (ns->queued)
			event_add(ns->queued, NULL);
	}
}

void tip_intercept_tick(struct tip_intercept *ic)
{
	struct tip_flow_entry *f;

	if (++ic->ticks >= START_TICKS)
		tip_intercept_open_doors(ic);
	look_for_names(ic);
	look_for_empty(ic);
	tip_netns_schedule(ic);
	for (uint64_t id = 0; (f = tip_flow_after(ic, id));) {
		id = f->pub.id;
		if (!f->pub.inbound)
			tip_outbound_check(ic, f);
	}
	tip_legs_check(ic);
}

/* ---- flows ------------------------------------------------------------------------------- */

void tip_intercept_wanted(struct tip_intercept *ic, uint64_t id)
{
	struct tip_flow_entry *f = tip_flow_find(ic, id);

	if (!f)
		return;
	if (f->pub.inbound)
		tip_inbound_wanted(ic, f);
	else
		tip_outbound_wanted(ic, f);
}

void tip_intercept_ended(struct tip_intercept *ic, uint64_t id, int err)
{
	struct tip_flow_entry *f = tip_flow_find(ic, id);

	if (!f)
		return;
	if (f->pub.inbound)
		tip_flow_end(ic, f);
	else
		tip_outbound_ended(ic, f, err);
}

void tip_intercept_front_gone(struct tip_intercept *ic)
{
	struct tip_flow_entry *f;

	for (uint64_t id = 0; (f = tip_flow_after(ic, id));) {
		id = f->pub.id;
		if (!tip_flow_is_held(&f->pub))
			tip_flow_end(ic, f);
		else if (f->pub.state == TIP_FLOW_SHAKING)
			tip_outbound_hold(ic, f);
	}
}

const struct tip_flow *tip_intercept_flow(const struct tip_intercept *ic, uint64_t id)
{
	const struct tip_flow_entry *f = tip_flow_find(ic, id);

	return f ? &f->pub : NULL;
}

const struct tip_flow *tip_intercept_redirected(const struct tip_intercept *ic, uint64_t netns,
						uint32_t saddr, uint16_t sport)
{
	const struct tip_flow_key key = {
		.netns = netns,
		.saddr = saddr,
		.daddr = htonl(INADDR_LOOPBACK),
		.sport = sport,
		.dport = ic->port,
	};
	const struct tip_flow_entry *f, *newest = NULL;

	/* The index has only those that are not accepted yet. Of two, the older one has closed. */
	TAILQ_FOREACH(f, &ic->flows, link)
	{
		if (!f->pub.inbound && memcmp(&f->key, &key, sizeof(key)) == 0)
			newest = f;
	}
	return newest ? &newest->pub : NULL;
}

const struct tip_flow *tip_intercept_next(const struct tip_intercept *ic, uint64_t after)
{
	const struct tip_flow_entry *f = tip_flow_after(ic, after);

	return f ? &f->pub : NULL;
}

void tip_intercept_stats(const struct tip_intercept *ic, struct tip_intercept_stats *out)
{
	*out = ic->stats;
}

/* ---- detach -------------------------------------------------------------------------------- */

struct removal {
	struct tip_netfilter netfilter;
	struct tip_map *seen; /* inode numbers */
	int home, removed;
};

/* Once for each namespace. */
static void remove_in(struct removal *r, int fd, uint32_t inode)
{
	if (fd < 0)
		return;
	tip_map_putu(r->seen, inode, r);
	if (tip_netns_enter(fd) == 0) {
		r->removed += tip_netfilter_remove(&r->netfilter) > 0;
		tip_netns_leave(r->home);
	}
	close(fd);
}

static void remove_of(void *ctx, pid_t pid, uint32_t inode)
{
	struct removal *r = ctx;

	if (!tip_map_getu(r->seen, inode))
		remove_in(r, tip_netns_of(pid, inode), inode);
}

static void remove_named(void *ctx, const char *name, uint32_t inode)
{
	struct removal *r = ctx;

	if (!tip_map_getu(r->seen, inode))
		remove_in(r, tip_netns_named(name, inode), inode);
}

int tip_intercept_remove_rules(const char *instance)
{
	struct removal r = {.home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
	uint64_t nsfs;
	uint32_t initial;

	if (r.home < 0)
		return -errno;
	tip_netfilter_chain(instance, r.netfilter.chain);
	r.netfilter.patience_ms = REMOVE_MS;
	r.seen = tip_map_new();
	tip_netns_each_process(remove_of, &r);
	if (tip_netns_identify(TIP_NETNS_INITIAL, &nsfs, &initial) == 0)
		tip_netns_each_name(nsfs, remove_named, &r);
	tip_map_free(r.seen, NULL);
	close(r.home);
	return r.removed;
}
