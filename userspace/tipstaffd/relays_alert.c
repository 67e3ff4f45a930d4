/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/relays.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/*
 * Who is told what. A connection that ended as connections do (closed, reset, refused by the
 * application, unreachable) is nobody's news; what was refused or cut for somebody's identity is an
 * alert with both IDs.
 */
#define REFUSED "mTLS connection refused"
#define CUT     "mTLS connection cut"
#define DENIED  "mTLS connection denied"

/* Addresses and ports as text, for fields and sentences. */
struct ends {
	char lip[INET6_ADDRSTRLEN], rip[INET6_ADDRSTRLEN];
	char lport[8], rport[8];
};

static void ends_of(struct ends *e, const struct tip_end *local, const struct tip_end *remote)
{
	inet_ntop(AF_INET, &local->addr, e->lip, sizeof(e->lip));
	inet_ntop(AF_INET, &remote->addr, e->rip, sizeof(e->rip));
	snprintf(e->lport, sizeof(e->lport), "%u", local->port);
	snprintf(e->rport, sizeof(e->rport), "%u", remote->port);
}

static const char *or_none(const char *id)
{
	return id && *id ? id : "<NA>";
}

static bool is_news(const struct tip_flow *f, enum tip_mtls_cause cause, const char *peer_id)
{
	switch (cause) {
	case TIP_MTLS_NONE:
	case TIP_MTLS_CLEAN:
	case TIP_MTLS_APP_RESET:
	case TIP_MTLS_ABORTED:
	case TIP_MTLS_TRUNCATED:
	case TIP_MTLS_REFUSED:
	case TIP_MTLS_UNREACHABLE: return false;
	/* Of what an inbound connection is that said nothing, every port scan makes many. */
	case TIP_MTLS_CLOSED:
	case TIP_MTLS_RESET:
	case TIP_MTLS_TIMEOUT: return !f->inbound && f->state != TIP_FLOW_JOINED && *peer_id;
	/* Nobody listens there: a closed port, as far as the client is told. */
	case TIP_MTLS_NO_IDENTITY: return !f->inbound || f->exec_id;
	default: return true;
	}
}

/* The policy's servers as one text: whom a refused client would have met. */
static void expected_of(const struct tip_traffic_policy *p, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; p && i < p->nserver && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i ? " " : "",
					p->server[i].id);
}

void tip_relays_tell(struct tip_keeper *k, const struct tip_flow *f, enum tip_mtls_cause cause,
		     const char *own_id, const char *peer_id, const char *text)
{
	const struct tip_traffic_policy *policy = tip_relays_policy_of(k, f);
	const bool open = f->state == TIP_FLOW_JOINED;
	char expected[512], programs[256] = "", sentence[1600];
	struct ends e;
	struct tip_alert_field extra[] = {
		{"tipstaff.cause", tip_mtls_cause_name(cause)},
		{"tipstaff.direction", f->inbound ? "inbound" : "outbound"},
		{"tipstaff.own.id", or_none(own_id)},
		{"tipstaff.peer.id", or_none(peer_id)},
		{"tipstaff.expected.id", expected},
		{"tipstaff.policy", policy ? policy->name : "<NA>"},
		{"fd.lip", e.lip},
		{"fd.lport", e.lport},
		{"fd.rip", e.rip},
		{"fd.rport", e.rport},
		{"tipstaff.programs", programs},
	};
	size_t nextra = sizeof(extra) / sizeof(extra[0]);

	if (!is_news(f, cause, peer_id))
		return;
	/* Whose it was is not to be seen, but there are not many. */
	if (cause == TIP_MTLS_SOCKMAP)
		tip_sensor_sockmap_programs(programs, sizeof(programs));
	else
		nextra--;
	expected_of(policy, expected, sizeof(expected));
	ends_of(&e, &f->local, &f->remote);
	snprintf(sentence, sizeof(sentence),
		 "%s mTLS connection was %s: %s | own=%s peer=%s from=%s:%s to=%s:%s",
		 f->inbound ? "An inbound" : "An outbound", open ? "cut" : "refused", text,
		 or_none(own_id), or_none(peer_id), f->inbound ? e.rip : e.lip,
		 f->inbound ? e.rport : e.lport, f->inbound ? e.lip : e.rip,
		 f->inbound ? e.lport : e.rport);
	tip_keeper_alert(k, open ? CUT : REFUSED, TIP_PRIO_WARNING,
			 tip_process_by_exec_id(k->table, f->exec_id), extra, nextra, sentence);
}

void tip_relays_tell_refused(struct tip_keeper *k, const struct tip_flow *f, int err,
			     const char *why)
{
	const struct tip_traffic_policy *policy = tip_relays_policy_of(k, f);
	char expected[512], sentence[1600];
	struct ends e;
	struct tip_alert_field extra[] = {
		{"tipstaff.cause", why},
		{"tipstaff.direction", "outbound"},
		{"tipstaff.expected.id", expected},
		{"tipstaff.policy", policy ? policy->name : "<NA>"},
		{"fd.lip", e.lip},
		{"fd.lport", e.lport},
		{"fd.rip", e.rip},
		{"fd.rport", e.rport},
	};

	expected_of(policy, expected, sizeof(expected));
	ends_of(&e, &f->local, &f->remote);
	snprintf(sentence, sizeof(sentence),
		 "An outbound mTLS connection was refused: %s | errno=%s to=%s:%s", why,
		 strerrorname_np(err), e.rip, e.rport);
	tip_keeper_alert(k, REFUSED, TIP_PRIO_WARNING, tip_process_by_exec_id(k->table, f->exec_id),
			 extra, sizeof(extra) / sizeof(extra[0]), sentence);
}

static const char *denial(uint32_t reason)
{
	switch (reason) {
	case TIP_DENY_NO_IDENTITY: return "no-identity";
	case TIP_DENY_CLIENT: return "client-unlisted";
	case TIP_DENY_PROTOCOL: return "protocol";
	case TIP_DENY_LOCAL: return "local-unlisted";
	case TIP_DENY_SOCKET: return "foreign-socket";
	default: return "unknown";
	}
}

static const char *denial_text(uint32_t reason)
{
	switch (reason) {
	case TIP_DENY_NO_IDENTITY: return "a process without an identity was refused";
	case TIP_DENY_CLIENT: return "a client that the policy does not list was refused";
	case TIP_DENY_LOCAL:
		return "a client that the server's policies do not list was refused inside its "
		       "network namespace";
	case TIP_DENY_SOCKET:
		return "a socket that was made outside of the scope cannot be protected";
	case TIP_DENY_PROTOCOL:
		return "only TCP over IPv4 can be protected, anything else to that port is refused";
	default: return "refused";
	}
}

void tip_relays_denied(struct tip_keeper *k, const struct tip_event *ev,
		       const struct tip_process *p)
{
	const struct tip_ev_sock *s = ev->sock.data;
	const struct tip_traffic_policy *policy =
		k->relays.guard ? tip_guard_traffic_policy(k->relays.guard, s->policy) : NULL;
	char expected[512], rip[INET6_ADDRSTRLEN] = "", rport[8], sentence[1600];
	const char *own = p && p->spiffe_id ? p->spiffe_id : NULL;
	struct tip_alert_field extra[] = {
		{"tipstaff.cause", denial(s->reason)},
		{"tipstaff.direction", "outbound"},
		{"tipstaff.own.id", or_none(own)},
		{"tipstaff.expected.id", expected},
		{"tipstaff.policy", policy ? policy->name : "<NA>"},
		{"fd.rip", rip},
		{"fd.rport", rport},
	};

	if (s->reason == TIP_DENY_SHARE) {
		tip_quota_reached(k, TIP_QUOTA_REDIRECTS, own, s->netns_cookie);
		return;
	}
	expected_of(policy, expected, sizeof(expected));
	inet_ntop(s->family, s->raddr, rip, sizeof(rip));
	snprintf(rport, sizeof(rport), "%u", s->rport);
	snprintf(sentence, sizeof(sentence),
		 "A connection was denied: %s | own=%s expected=%s to=%s:%s by=%s",
		 denial_text(s->reason), or_none(own), or_none(expected), rip, rport,
		 p ? p->comm : "<NA>");
	tip_keeper_alert(k, DENIED, TIP_PRIO_WARNING, p, extra, sizeof(extra) / sizeof(extra[0]),
			 sentence);
}
