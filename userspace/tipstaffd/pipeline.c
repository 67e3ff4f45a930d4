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
 * IDENTITY_NS for the answer; when one reads what only a container runtime knows, and that has not
 * answered yet, up to containers.hold_ms. A runtime that is silent for longer delays nothing more.
 * Each has a bounded queue, in arrival order. All in one wait equally long, so its head is always
 * the next to time out.
 *
 * An event belongs to the rules that were active when it came: rules that are loaded while it waits
 * are not for it.
 */
#define IDENTITY_NS (50ULL * 1000000)
#define HOLD_MAX    8192
#define HELD_SETS   16 /* former sets that events may still wait for */

#define OWN_A_SECOND 50 /* alerts of one of our own rules */

struct tip_held {
	struct tip_held *next;
	uint64_t exec_id;
	uint64_t until_ns;       /* boottime */
	struct tip_rules *rules; /* those that it is for; held */
	const struct tip_rule *killer;
	bool uses_container; /* some of them reads what only a runtime knows */
	size_t len;
	_Alignas(8) char record[];
};

struct hit {
	struct tip_keeper *k;
	const struct tip_rules *rules;
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

/* How often the rule was told. One that is not active any more has the state of its namesake. */
static struct tip_rate *rate_of(struct tip_keeper *k, const struct tip_rules *rules,
				const struct tip_rule_info *info)
{
	if (rules == k->rules.active)
		return &k->rules.rates[info->index];
	for (size_t i = 0; i < tip_rules_count(k->rules.active); i++)
		if (strcmp(tip_rule_info(tip_rules_get(k->rules.active, i))->name, info->name) == 0)
			return &k->rules.rates[i];
	return NULL;
}

/* What enforcement did is always told. */
static void tell(struct tip_keeper *k, const struct tip_rules *rules, const struct tip_rule *rule,
		 const struct tip_match_input *in, const char *action_done)
{
	static const struct tip_rate_limit none;
	const struct tip_rule_info *info = tip_rule_info(rule);
	const struct tip_rate_limit *limit = &info->rate_limit;
	struct tip_rate *rate = rate_of(k, rules, info);
	struct tip_rate fresh = {0};
	uint64_t untold;

	if (action_done)
		limit = &none;
	else if (limit->per_second <= 0)
		limit = &k->config->rate_limit;
	if (tip_rate_take(rate ? rate : &fresh, limit, in->ev->hdr->time_ns, &untold))
		tip_alert_rule(k->alerts, rule, k->matcher, in, action_done, untold);
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
	tell(h->k, h->rules, rule, in, killed ? "killed" : NULL);
}

static const char *digest_of(void *ctx, const struct tip_process *p)
{
	return tip_digests_for_rule(ctx, p);
}

static bool peer_of(void *ctx, const struct tip_event *ev, const struct tip_process *p,
		    struct tip_match_peer *out)
{
	return tip_relays_peer(ctx, ev, p, out);
}

static void evaluate(struct tip_keeper *k, const struct tip_event *ev, struct tip_process *p,
		     const struct tip_rules *rules, const struct tip_rule *killer)
{
	const struct tip_match_ops ops = {digest_of, peer_of, k};
	struct tip_match_input in = {
		.ev = ev,
		.proc = p,
		.table = k->table,
		.evt_num = ++k->evt_num,
		.time_ns = tip_clock_boot_to_real(ev->hdr->time_ns),
		.hostname = k->hostname,
		.ops = &ops,
	};
	struct hit h = {
		.k = k,
		.rules = rules,
		.killer = killer,
		.refused = ev->hdr->ret == -EPERM,
	};

	/* Refused before it was done: that is for the rule that refused it, and for the others
	 * there is the event of the system call that failed. */
	if (ev->hdr->flags & TIP_EVF_DENIED) {
		if (h.killer)
			tell(k, rules, h.killer, &in,
			     ev->hdr->flags & TIP_EVF_KILLED ? "killed" : "denied");
		return;
	}
	tip_rules_match(rules, k->matcher, &in, k->config->match_all, on_hit, &h);
	/*
	 * A kill is always told: also when an earlier rule took the event, and when the kernel
	 * acted on a call that the condition does not name (creat) or on an identity that userspace
	 * has not seen yet.
	 */
	if (h.killer && !h.reported)
		tell(k, rules, h.killer, &in, "killed");
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

/* ---- waiting for answers ----------------------------------------------------------- */

/*
 * What the event has to wait for, from kind `first` on; TIP_HOLD_KINDS: nothing. The identity comes
 * first: rules that are not active any more can only ask for a container. That there is no front
 * right now is no reason: the next one is asked the same.
 */
static enum tip_hold missing(const struct tip_keeper *k, const struct tip_process *p,
			     enum tip_hold first, bool uses_container)
{
	if (!p || k->holds_nothing)
		return TIP_HOLD_KINDS;
	if (first <= TIP_HOLD_IDENTITY && k->rules.uses_spiffe && p->current == TIP_ID_PENDING)
		return TIP_HOLD_IDENTITY;
	if (first <= TIP_HOLD_CONTAINER && uses_container && p->container &&
	    p->container->state == TIP_CONTAINER_ASKED &&
	    tip_clock_boot() < p->container->asked_ns + k->held[TIP_HOLD_CONTAINER].hold_ns)
		return TIP_HOLD_CONTAINER;
	return TIP_HOLD_KINDS;
}

static void arm(struct tip_keeper_held *q)
{
	uint64_t now = tip_clock_boot(), left;
	struct timeval tv;

	if (!q->head)
		return;
	left = q->head->until_ns > now ? q->head->until_ns - now : 0;
	tv.tv_sec = (time_t)(left / TIP_NSEC_PER_SEC);
	tv.tv_usec = (suseconds_t)(left % TIP_NSEC_PER_SEC / 1000 + 1);
	event_add(q->timer, &tv);
}

/* Puts `h` at the end of a queue. False, and nothing done, when that is full. */
static bool enqueue(struct tip_keeper_held *q, struct tip_held *h)
{
	if (q->count >= HOLD_MAX) {
		q->overflow++;
		return false;
	}
	h->next = NULL;
	h->until_ns = tip_clock_boot() + q->hold_ns;
	*q->tail = h;
	q->tail = &h->next;
	if (q->count++ == 0)
		arm(q);
	return true;
}

/* Holds `h`, which is in no queue, against its rules; it is gone afterwards. */
static void settle(struct tip_keeper *k, struct tip_held *h, struct tip_process *p)
{
	struct tip_event ev;

	if (tip_event_decode(h->record, h->len, &ev) == 0)
		evaluate(k, &ev, p, h->rules, h->killer);
	tip_rules_free(h->rules);
	free(h);
}

/* `h` has left queue `from`: what it waited for is there, or will not come. */
static void release(struct tip_keeper *k, struct tip_held *h, enum tip_hold from)
{
	struct tip_process *p = tip_process_by_exec_id(k->table, h->exec_id);
	enum tip_hold next = missing(k, p, from + 1, h->uses_container);

	k->held[from].count--;
	if (p)
		tip_process_waiting(p, false);
	if (next < TIP_HOLD_KINDS && enqueue(&k->held[next], h)) {
		tip_process_waiting(p, true);
		return;
	}
	settle(k, h, p);
}

static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_keeper_held *q = ctx;
	uint64_t now = tip_clock_boot();
	struct tip_held *h;

	while ((h = q->head) && h->until_ns <= now) {
		q->head = h->next;
		if (!q->head)
			q->tail = &q->head;
		release(q->keeper, h, (enum tip_hold)(q - q->keeper->held));
	}
	arm(q);
}

static bool hold(struct tip_keeper *k, const struct tip_event *ev, struct tip_process *p)
{
	enum tip_hold what = missing(k, p, TIP_HOLD_IDENTITY, k->rules.uses_container);
	struct tip_held *h;

	if (what == TIP_HOLD_KINDS)
		return false;
	h = tip_alloc(sizeof(*h) + ev->hdr->len);
	h->exec_id = p->exec_id;
	h->killer = enforced_of(k, ev);
	h->uses_container = k->rules.uses_container;
	h->len = ev->hdr->len;
	memcpy(h->record, ev->hdr, h->len);
	if (enqueue(&k->held[what], h)) {
		h->rules = tip_rules_hold(k->rules.active);
		tip_process_waiting(p, true);
		return true;
	}
	free(h);
	return false;
}

/* Releases what waits in a queue and is `ready`. */
static void release_ready(struct tip_keeper *k, enum tip_hold what,
			  bool (*ready)(struct tip_keeper *k, const struct tip_held *h,
					const void *arg),
			  const void *arg)
{
	struct tip_held **at = &k->held[what].head, *h;

	while ((h = *at)) {
		if (!ready(k, h, arg)) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		if (!h->next)
			k->held[what].tail = at;
		release(k, h, what);
	}
}

static bool is_of_exec(struct tip_keeper *k, const struct tip_held *h, const void *exec_id)
{
	return h->exec_id == *(const uint64_t *)exec_id;
}

void tip_pipeline_resolved(struct tip_keeper *k, uint64_t exec_id)
{
	release_ready(k, TIP_HOLD_IDENTITY, is_of_exec, &exec_id);
}

/* Adds to the former sets that events in `q` wait for. More than there is room for: HELD_SETS + 1.
 */
static size_t former_sets(const struct tip_keeper *k, const struct tip_keeper_held *q,
			  const struct tip_rules **sets, size_t count)
{
	for (const struct tip_held *h = q->head; h && count <= HELD_SETS; h = h->next) {
		size_t i = 0;

		while (i < count && sets[i] != h->rules)
			i++;
		if (i == count && h->rules != k->rules.active)
			sets[count++] = h->rules;
	}
	return count;
}

size_t tip_pipeline_waiting(const struct tip_keeper *k)
{
	size_t n = 0;

	for (int i = 0; i < TIP_HOLD_KINDS; i++)
		n += k->held[i].count;
	return n;
}

uint64_t tip_pipeline_not_held(const struct tip_keeper *k)
{
	uint64_t n = 0;

	for (int i = 0; i < TIP_HOLD_KINDS; i++)
		n += k->held[i].overflow;
	return n;
}

static bool is_of_rules(struct tip_keeper *k, const struct tip_held *h, const void *rules)
{
	return h->rules == rules;
}

void tip_pipeline_rules_changed(struct tip_keeper *k)
{
	const struct tip_rules *sets[HELD_SETS + 1];
	size_t count = 0, waiting = tip_pipeline_waiting(k);

	/* Who waits for a container waits for longer: the oldest set is there, if anything is. */
	for (int i = TIP_HOLD_KINDS - 1; i >= 0; i--)
		count = former_sets(k, &k->held[i], sets, count);
	if (count <= HELD_SETS)
		return;
	/* Nothing more to wait for: the events of the oldest set do with what is known. */
	k->holds_nothing = true;
	for (int i = 0; i < TIP_HOLD_KINDS; i++)
		release_ready(k, (enum tip_hold)i, is_of_rules, sets[0]);
	k->holds_nothing = false;
	waiting -= tip_pipeline_waiting(k);
	k->rules.hurried += waiting;
	tip_warn("detect",
		 "%zu events did not wait any longer for what was asked about who acted: rules "
		 "have changed more than %d times meanwhile",
		 waiting, HELD_SETS);
}

static bool is_in_container(struct tip_keeper *k, const struct tip_held *h, const void *id)
{
	const struct tip_process *p = tip_process_by_exec_id(k->table, h->exec_id);

	return !p || strcmp(p->container_id, id) == 0;
}

void tip_pipeline_inspected(struct tip_keeper *k, const char *container_id)
{
	release_ready(k, TIP_HOLD_CONTAINER, is_in_container, container_id);
}

/* ---- the way in ------------------------------------------------------------------------ */

void tip_pipeline_event(void *keeper, const struct tip_event *ev)
{
	struct tip_keeper *k = keeper;
	uint64_t bit = 1ULL << ev->hdr->type;
	struct tip_process *p;

	/*
	 * Younger than the last look into the other ring: its birth, or its exec, lies there by
	 * now. What /proc says instead can be gone, and knows no lineage.
	 */
	if (ev->hdr->type >= TIP_EV_OPEN && !tip_process_by_exec_id(k->table, ev->hdr->exec_id))
		tip_sensor_poll_lifecycle(k->sensor);
	p = tip_process_event(k->table, ev);
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
	if (ev->unmatched)
		return;
	if (!(tip_rules_event_mask(k->rules.active) & bit) && !(ev->hdr->flags & TIP_EVF_DENIED))
		return;
	if (hold(k, ev, p))
		return;
	evaluate(k, ev, p, k->rules.active, enforced_of(k, ev));
}

void tip_pipeline_init(struct tip_keeper *k)
{
	k->held[TIP_HOLD_IDENTITY].hold_ns = IDENTITY_NS;
	k->held[TIP_HOLD_CONTAINER].hold_ns = k->config->container_hold_ms * 1000000ULL;
	for (int i = 0; i < TIP_HOLD_KINDS; i++) {
		struct tip_keeper_held *q = &k->held[i];

		q->keeper = k;
		q->tail = &q->head;
		q->timer = event_new(k->base, -1, 0, on_timeout, q);
		if (!q->timer)
			abort();
	}
}

void tip_pipeline_free(struct tip_keeper *k)
{
	struct tip_held *h;

	/* Nothing that was seen goes unsaid: evaluate without the answers. */
	k->holds_nothing = true;
	for (int i = 0; i < TIP_HOLD_KINDS; i++) {
		while ((h = k->held[i].head)) {
			k->held[i].head = h->next;
			release(k, h, (enum tip_hold)i);
		}
		k->held[i].tail = &k->held[i].head;
		event_free(k->held[i].timer);
	}
}
