/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "policy/spiffe_id.h"
#include "traffic/decide.h"

static int parse_port(const char *s, uint16_t *port)
{
	size_t len = strlen(s);
	unsigned int n = 0;

	if (!len || len > 5 || s[0] == '0' || strspn(s, "0123456789") != len)
		return -1;
	for (; *s; s++)
		n = n * 10 + (unsigned int)(*s - '0');
	if (n > UINT16_MAX)
		return -1;
	*port = (uint16_t)n;
	return 0;
}

int tip_traffic_flow_parse(const char *from, const char *to, struct tip_traffic_flow *flow,
			   struct tip_error *err)
{
	const char *colon = strrchr(to, ':');
	size_t len = colon ? (size_t)(colon - to) : 0;
	bool six = len > 2 && to[0] == '[' && to[len - 1] == ']';
	char addr[TIP_IP_TEXT];

	*flow = (struct tip_traffic_flow){.client = strcmp(from, "none") != 0 ? from : NULL};
	if (flow->client && tip_spiffe_id_check(from, true, err) < 0)
		return -1;
	if (six) {
		to++;
		len -= 2;
	}
	if (!len || len >= sizeof(addr))
		goto bad;
	memcpy(addr, to, len);
	addr[len] = '\0';
	/* Brackets around IPv6 and only there: fd00::1:443 could be read in two ways. */
	if (six != !!strchr(addr, ':') || tip_ip_parse(addr, &flow->addr) < 0 ||
	    parse_port(colon + 1, &flow->port) < 0)
		goto bad;
	return 0;
bad:
	return tip_error_set(err,
			     "\"%.80s\" is no destination: write 10.0.0.1:443 or [fd00::1]:443",
			     six ? to - 1 : to);
}

static bool names_port(const struct tip_traffic_to *to)
{
	return to->port_min == to->port_max;
}

/* Whether `a` goes before `b`, both of which cover the flow. */
static bool goes_before(const struct tip_traffic_to *a, const struct tip_traffic_to *b)
{
	if (a->cidr.bits != b->cidr.bits)
		return a->cidr.bits > b->cidr.bits;
	if (names_port(a) != names_port(b))
		return names_port(a);
	if (a->policy != b->policy)
		return a->policy->order < b->policy->order;
	return a < b; /* in one list */
}

static void add_candidate(struct tip_traffic_explanation *e, const struct tip_traffic_to *to)
{
	size_t kept = e->ncandidates++;
	size_t i;

	if (kept >= TIP_TRAFFIC_CANDIDATES_MAX) {
		kept = TIP_TRAFFIC_CANDIDATES_MAX - 1;
		if (!goes_before(to, e->candidates[kept]))
			return;
	}
	for (i = kept; i > 0 && goes_before(to, e->candidates[i - 1]); i--)
		e->candidates[i] = e->candidates[i - 1];
	e->candidates[i] = to;
}

void tip_traffic_explain(const struct tip_traffic_set *s, const struct tip_traffic_flow *flow,
			 struct tip_traffic_explanation *out)
{
	const struct tip_traffic_policies *all = tip_traffic_set_policies(s);

	*out = (struct tip_traffic_explanation){.flow = *flow};
	tip_traffic_decide(s, NULL, flow, &out->decision);
	for (size_t i = 0; i < tip_traffic_policies_count(all); i++) {
		const struct tip_traffic_policy *p = tip_traffic_policies_get(all, i);

		for (size_t j = 0; j < p->nto; j++)
			if (tip_traffic_to_covers(&p->to[j], &flow->addr, flow->port))
				add_candidate(out, &p->to[j]);
	}
}

/* Nobody has checked these IDs: quoted, so that they cannot forge a line. */
static void write_peer(const char *id, struct tip_buf *out)
{
	if (id)
		tip_buf_add_json_string(out, id, strlen(id));
	else
		tip_buf_adds(out, "no identity");
}

static void write_reason(const struct tip_traffic_explanation *e, struct tip_buf *out)
{
	const struct tip_traffic_decision *d = &e->decision;

	switch (d->cause) {
	case TIP_TRAFFIC_UNCOVERED:
		tip_buf_adds(out, "plain: no policy covers this destination");
		break;
	case TIP_TRAFFIC_DISABLED: tip_buf_adds(out, "plain: the policy's mode is disable"); break;
	case TIP_TRAFFIC_ALLOWED:
		tip_buf_addf(out, "allowed over mutual TLS: the client matches %s", d->client->id);
		break;
	case TIP_TRAFFIC_NO_IDENTITY:
		tip_buf_adds(out, "denied: the client has no identity, and the mode is strict");
		break;
	case TIP_TRAFFIC_BAD_IDENTITY:
		tip_buf_adds(out, "denied: what the client shows is not a SPIFFE ID");
		break;
	case TIP_TRAFFIC_CLIENT_UNLISTED:
		tip_buf_adds(out, "denied: the client matches no line of clients");
		break;
	case TIP_TRAFFIC_WRONG_SERVER:
		tip_buf_adds(out, "denied: ");
		write_peer(e->flow.server, out);
		tip_buf_adds(out, " is none of the policy's server IDs");
		break;
	}
	if (d->line)
		tip_buf_addf(out, " (%s:%d)", d->policy->file, d->line);
	tip_buf_addc(out, '\n');
}

static void write_candidate(const struct tip_traffic_to *to, struct tip_buf *out)
{
	tip_buf_adds(out, to->policy->name);
	tip_buf_adds(out, ": ");
	tip_traffic_to_write(to, out);
	tip_buf_addf(out, ", mode %s (%s:%d)\n", tip_traffic_mode_str(to->policy->mode),
		     to->policy->file, to->line);
}

void tip_traffic_explain_write(const struct tip_traffic_explanation *e, struct tip_buf *out)
{
	const struct tip_traffic_policy *p = e->decision.policy;
	size_t shown = e->ncandidates < TIP_TRAFFIC_CANDIDATES_MAX ? e->ncandidates
								   : TIP_TRAFFIC_CANDIDATES_MAX;
	char ip[TIP_IP_TEXT];

	write_peer(e->flow.client, out);
	tip_buf_addf(out, e->flow.addr.family == 6 ? " to [%s]:%u: " : " to %s:%u: ",
		     tip_ip_str(&e->flow.addr, ip), e->flow.port);
	write_reason(e, out);
	for (size_t i = 0; i < shown; i++) {
		tip_buf_adds(out, i ? "  goes before " : "  decided by  ");
		write_candidate(e->candidates[i], out);
	}
	if (shown < e->ncandidates)
		tip_buf_addf(out, "  and %zu more\n", e->ncandidates - shown);
	if (e->decision.verdict != TIP_TRAFFIC_MTLS)
		return;
	for (size_t i = 0; i < p->nserver; i++)
		tip_buf_addf(out, "%s %s", i ? " or" : "  the server is", p->server[i].id);
	tip_buf_addc(out, '\n');
}
