/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/*
 * The way of an event, after the sensor decoded it: process table, rules, alerts. One direction.
 *
 * When some rule reads spiffe.* and the event's process is still pending, the event waits up to
 * HOLD_NS for the answer, in arrival order, in a bounded queue. All wait equally long, so the
 * queue's head is always the next to time out.
 */
#define HOLD_NS  (50ULL * 1000000)
#define HOLD_MAX 8192

#define OWN_A_SECOND 50 /* alerts of one of our own rules */

struct tip_held {
	struct tip_held *next;
	uint64_t exec_id;
	uint64_t until_ns; /* boottime */
	size_t len;
	_Alignas(8) char record[];
};

struct hit {
	struct tip_keeper *k;
	const struct tip_rule *killer; /* the rule that the kernel killed by, NULL: none */
	bool reported;                 /* that rule has had its alert */
	bool refused;                  /* the act failed with EPERM */
};

/* The rule by which the kernel acted, NULL if it did not or the rules have changed since. */
static const struct tip_rule *enforced_of(const struct tip_keeper *k, const struct tip_event *ev)
{
	uint32_t index, rule;

	switch (ev->hdr->type) {
	case TIP_EV_OPEN: rule = ev->open.data->rule; break;
	case TIP_EV_EXEC:
	case TIP_EV_DENIED_EXEC: rule = ev->exec.data->rule; break;
	case TIP_EV_CONNECT:
	case TIP_EV_BIND: rule = ev->sock.data->policy; break;
	default: return NULL;
	}
	if (!(ev->hdr->flags & (TIP_EVF_KILLED | TIP_EVF_DENIED)) ||
	    !tip_guard_rule_index(k->guard, rule, &index) ||
	    index >= tip_rules_count(k->rules.active))
		return NULL;
	return tip_rules_get(k->rules.active, index);
}

static void on_hit(void *ctx, const struct tip_rule *rule, const struct tip_match_input *in)
{
	struct hit *h = ctx;
	bool killed = rule == h->killer;

	/* The kernel tells itself of what it refuses by a rule, as often as it is good for anybody.
	 */
	if (h->refused && tip_guard_does(h->k->guard, rule) != TIP_ACTION_NONE)
		return;
	h->reported = h->reported || killed;
	tip_alert_rule(h->k->alerts, rule, h->k->matcher, in, killed ? "killed" : NULL);
}

static void evaluate(struct tip_keeper *k, const struct tip_event *ev, struct tip_process *p)
{
	struct tip_match_input in = {
		.ev = ev,
		.proc = p,
		.table = k->table,
		.evt_num = ++k->evt_num,
		.time_ns = tip_clock_boot_to_real(ev->hdr->time_ns),
		.hostname = k->hostname,
	};
	struct hit h = {
		.k = k,
		.killer = enforced_of(k, ev),
		.refused = ev->hdr->ret == -EPERM,
	};

	/* Refused before it was done: that is for the rule that refused it, and for the others
	 * there is the event of the system call that failed. */
	if (ev->hdr->flags & TIP_EVF_DENIED) {
		if (h.killer)
			tip_alert_rule(k->alerts, h.killer, k->matcher, &in,
				       ev->hdr->flags & TIP_EVF_KILLED ? "killed" : "denied");
		return;
	}
	tip_rules_match(k->rules.active, k->matcher, &in, k->config->match_all, on_hit, &h);
	/*
	 * A kill is always told: also when an earlier rule took the event, and when the kernel
	 * acted on a call that the condition does not name (creat) or on an identity that userspace
	 * has not seen yet.
	 */
	if (h.killer && !h.reported)
		tip_alert_rule(k->alerts, h.killer, k->matcher, &in, "killed");
}

/*
 * Some of our alerts a workload can cause as often as it likes. So many of one rule go out in a
 * second; the next one says how many did not.
 */
static bool may_tell(struct tip_keeper *k, const char *rule, uint64_t *untold)
{
	uint64_t second = tip_clock_monotonic() / TIP_NSEC_PER_SEC;
	struct tip_keeper_told *t = NULL;

	*untold = 0;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(k->told) && !t; i++)
		if (!k->told[i].rule || strcmp(k->told[i].rule, rule) == 0)
			t = &k->told[i];
	if (!t)
		return true;
	if (!t->rule || t->second != second) {
		t->rule = rule;
		t->second = second;
		t->count = 0;
	}
	if (++t->count > OWN_A_SECOND) {
		t->untold++;
		return false;
	}
	*untold = t->untold;
	t->untold = 0;
	return true;
}

/* Who started it, who started that one, as Falco's fields name them. How many. */
static size_t add_ancestors(struct tip_keeper *k, const struct tip_process *p,
			    struct tip_alert_field *out)
{
	static const char *const names[] = {"proc.pname", "proc.aname[2]", "proc.aname[3]",
					    "proc.aname[4]"};
	size_t n = 0;

	while (n < TIP_ARRAY_SIZE(names) && (p = tip_process_parent(k->table, p))) {
		out[n] = (struct tip_alert_field){names[n], p->comm};
		n++;
	}
	return n;
}

void tip_keeper_alert(struct tip_keeper *k, const char *rule, enum tip_priority prio,
		      const struct tip_process *p, const struct tip_alert_field *extra,
		      size_t nextra, const char *text)
{
	struct tip_alert_field f[32];
	char pid[16], uid[16], more[24];
	uint64_t untold;
	size_t n = 0;

	if (!may_tell(k, rule, &untold))
		return;
	if (untold) {
		snprintf(more, sizeof(more), "%llu", (unsigned long long)untold);
		f[n++] = (struct tip_alert_field){"tipstaff.untold", more};
	}
	if (p) {
		snprintf(pid, sizeof(pid), "%u", p->key.tgid);
		snprintf(uid, sizeof(uid), "%u", p->uid);
		f[n++] = (struct tip_alert_field){"proc.pid", pid};
		f[n++] = (struct tip_alert_field){"proc.name", p->comm};
		f[n++] = (struct tip_alert_field){"proc.exepath", p->exe_path};
		f[n++] = (struct tip_alert_field){"user.uid", uid};
		f[n++] = (struct tip_alert_field){"spiffe.id", p->spiffe_id};
		f[n++] = (struct tip_alert_field){"spiffe.origin.id",
						  p->origin_id ? p->origin_id : p->spiffe_id};
		n += add_ancestors(k, p, f + n);
	}
	for (size_t i = 0; i < nextra && n < TIP_ARRAY_SIZE(f); i++)
		f[n++] = extra[i];
	tip_alert_own(k->alerts, rule, prio, f, n, "%s", text);
}

static void tell_quarantined(struct tip_keeper *k, const struct tip_event *ev,
			     const struct tip_process *p)
{
	const struct tip_ev_sock *s = ev->sock.data;
	char addr[INET6_ADDRSTRLEN] = "", text[256];
	struct tip_alert_field extra[] = {{"fd.rip", addr}, {"fd.rport", NULL}};
	char port[8];

	/* Of a socket that it may not even make there is no address. */
	if (!inet_ntop(s->family, s->raddr, addr, sizeof(addr)))
		addr[0] = '\0';
	snprintf(port, sizeof(port), "%u", s->rport);
	extra[1].value = port;
	snprintf(text, sizeof(text),
		 "A quarantined workload's connection was refused | to=%s port=%s by=%s", addr,
		 port, p ? p->comm : "<NA>");
	tip_keeper_alert(k, "Quarantined workload refused", TIP_PRIO_WARNING, p, extra,
			 TIP_ARRAY_SIZE(extra), text);
}

static void tell_quarantined_exec(struct tip_keeper *k, const struct tip_event *ev,
				  const struct tip_process *p)
{
	const struct tip_alert_field extra[] = {{"evt.arg.filename", ev->exec.exe_path}};
	char *text = tip_sprintf("A quarantined workload's exec was refused | file=%s by=%s",
				 ev->exec.exe_path, p ? p->comm : "<NA>");

	tip_keeper_alert(k, "Quarantined workload refused", TIP_PRIO_WARNING, p, extra,
			 TIP_ARRAY_SIZE(extra), text);
	free(text);
}

static bool quarantined(const struct tip_keeper *k, const char *spiffe_id)
{
	return spiffe_id && tip_guard_quarantined(k->guard, spiffe_id);
}

/* The exit of a connect() that the hook refused and reported: rules are to see it once. */
static bool told_by_hook(const struct tip_keeper *k, const struct tip_event *ev,
			 const struct tip_process *p)
{
	if (ev->hdr->type != TIP_EV_CONNECT || ev->hdr->ret != -EPERM || !p ||
	    !k->config->enforcement)
		return false;
	if (ev->sock.data->family != AF_INET && ev->sock.data->family != AF_INET6)
		return false;
	return quarantined(k, p->spiffe_id) || quarantined(k, p->origin_id);
}

/* ---- waiting for an identity ------------------------------------------------------- */

static void release(struct tip_keeper *k, struct tip_held *h)
{
	struct tip_event ev;

	if (tip_event_decode(h->record, h->len, &ev) == 0)
		evaluate(k, &ev, tip_process_by_exec_id(k->table, h->exec_id));
	k->held.count--;
	free(h);
}

static void arm(struct tip_keeper *k)
{
	uint64_t now = tip_clock_boot();
	struct timeval tv = {0};
	uint64_t left;

	if (!k->held.head)
		return;
	left = k->held.head->until_ns > now ? k->held.head->until_ns - now : 0;
	tv.tv_usec = (suseconds_t)(left / 1000 + 1);
	event_add(k->held.timer, &tv);
}

static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_keeper *k = ctx;
	uint64_t now = tip_clock_boot();
	struct tip_held *h;

	while ((h = k->held.head) && h->until_ns <= now) {
		k->held.head = h->next;
		if (!k->held.head)
			k->held.tail = &k->held.head;
		release(k, h);
	}
	arm(k);
}

static bool hold(struct tip_keeper *k, const struct tip_event *ev, uint64_t exec_id)
{
	struct tip_held *h;

	if (k->held.count >= HOLD_MAX) {
		k->held.overflow++;
		return false;
	}
	h = tip_alloc(sizeof(*h) + ev->hdr->len);
	h->exec_id = exec_id;
	h->until_ns = tip_clock_boot() + HOLD_NS;
	h->len = ev->hdr->len;
	memcpy(h->record, ev->hdr, h->len);
	*k->held.tail = h;
	k->held.tail = &h->next;
	if (k->held.count++ == 0)
		arm(k);
	return true;
}

void tip_pipeline_resolved(struct tip_keeper *k, uint64_t exec_id)
{
	struct tip_held **at = &k->held.head, *h;

	while ((h = *at)) {
		if (h->exec_id != exec_id) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		release(k, h);
	}
	k->held.tail = at;
}

/* ---- the way in ------------------------------------------------------------------------ */

void tip_pipeline_event(void *keeper, const struct tip_event *ev)
{
	struct tip_keeper *k = keeper;
	struct tip_process *p = tip_process_event(k->table, ev);
	uint64_t bit = 1ULL << ev->hdr->type;

	tip_relays_event(k, ev, p);
	if (ev->hdr->flags & TIP_EVF_SNAPSHOT)
		return; /* it ran before we looked: not an act */
	if (ev->hdr->type == TIP_EV_DENIED_CONNECT &&
	    ev->sock.data->reason != TIP_DENY_QUARANTINE) {
		/* Rules see the exit of that connect(). */
		tip_relays_denied(k, ev, p);
		return;
	}
	if (ev->hdr->type == TIP_EV_DENIED_CONNECT)
		tell_quarantined(k, ev, p);
	else if (told_by_hook(k, ev, p))
		return;
	if (ev->hdr->type == TIP_EV_DENIED_EXEC && !(ev->hdr->flags & TIP_EVF_DENIED)) {
		tell_quarantined_exec(k, ev, p);
		return;
	}
	if (!(tip_rules_event_mask(k->rules.active) & bit) && !(ev->hdr->flags & TIP_EVF_DENIED))
		return;
	if (k->rules.uses_spiffe && p && p->current == TIP_ID_PENDING && k->front.ready &&
	    hold(k, ev, p->exec_id))
		return;
	evaluate(k, ev, p);
}

void tip_pipeline_init(struct tip_keeper *k)
{
	k->held.tail = &k->held.head;
	k->held.timer = event_new(k->base, -1, 0, on_timeout, k);
	if (!k->held.timer)
		abort();
}

void tip_pipeline_free(struct tip_keeper *k)
{
	struct tip_held *h;

	/* Nothing that was seen goes unsaid: evaluate without the identity. */
	while ((h = k->held.head)) {
		k->held.head = h->next;
		release(k, h);
	}
	k->held.tail = &k->held.head;
	event_free(k->held.timer);
}
