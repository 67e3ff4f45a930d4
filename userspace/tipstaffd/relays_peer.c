/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/relays.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"

/* Who is at the other end of a connection, for the rules that ask. */

/*
 * A connection may be over before its event is read, and a short one is as good as a long one to
 * who tries whom he can reach: what became of the last ones is kept until it is overwritten.
 */
#define ENDED_MAX 256

struct tip_relay_ended {
	uint64_t netns, exec_id;
	uint64_t begun_ns, ended_ns; /* boottime */
	uint16_t port;               /* of the socket that called connect() */
	char *peer_id;               /* NULL: nothing is here */
	struct tip_peers_met met;
};

void tip_relays_peer_open(struct tip_keeper *k)
{
	char *path = tip_sprintf("%s/peers", k->config->state_dir);

	k->relays.peers = tip_peers_new(path, TIP_PEERS_MAX);
	k->relays.ended = tip_calloc(ENDED_MAX, sizeof(*k->relays.ended));
	free(path);
}

void tip_relays_peer_close(struct tip_keeper *k)
{
	tip_peers_free(k->relays.peers);
	k->relays.peers = NULL;
	for (size_t i = 0; k->relays.ended && i < ENDED_MAX; i++)
		free(k->relays.ended[i].peer_id);
	free(k->relays.ended);
	k->relays.ended = NULL;
}

void tip_relays_peer_ended(struct tip_keeper *k, const struct tip_flow *f,
			   const struct tip_relay_of_front *r)
{
	struct tip_relay_ended *e = &k->relays.ended[k->relays.next_ended];
	uint64_t now = tip_clock_boot();

	if (f->inbound || !*r->peer_id)
		return;
	k->relays.next_ended = (k->relays.next_ended + 1) % ENDED_MAX;
	free(e->peer_id);
	*e = (struct tip_relay_ended){.netns = f->netns,
				      .exec_id = f->exec_id,
				      .begun_ns = now - (tip_clock_monotonic() - f->begun),
				      .ended_ns = now,
				      .port = f->from,
				      .peer_id = tip_strdup(r->peer_id),
				      .met = r->met};
}

static const struct tip_relay_ended *ended(const struct tip_keeper *k, const struct tip_event *ev,
					   const struct tip_process *p)
{
	const struct tip_ev_sock *s = ev->sock.data;

	for (size_t i = 0; i < ENDED_MAX; i++) {
		const struct tip_relay_ended *e = &k->relays.ended[i];

		if (e->peer_id && e->netns == s->netns_cookie && e->port == s->lport &&
		    e->exec_id == p->exec_id && e->begun_ns <= ev->hdr->time_ns &&
		    ev->hdr->time_ns <= e->ended_ns)
			return e;
	}
	return NULL;
}

/* The peers of those who were accepted on that port; NULL where they are not all the same. */
static const char *accepted(const struct tip_keeper *k, const struct tip_process *p, uint16_t port)
{
	const struct tip_relay_of_front *r;
	const struct tip_flow *f = NULL;
	const char *peer = NULL;

	while ((f = tip_intercept_next(k->relays.intercept, f ? f->id : 0))) {
		r = f->inbound && f->exec_id == p->exec_id && f->local.port == port
			    ? tip_map_getu(k->relays.relays, f->id)
			    : NULL;
		if (!r || !*r->peer_id)
			continue;
		if (peer && strcmp(peer, r->peer_id) != 0)
			return NULL;
		peer = r->peer_id;
	}
	return peer;
}

static void dialled(struct tip_match_peer *out, const char *id, const struct tip_peers_met *met)
{
	*out = (struct tip_match_peer){
		.id = id, .dialled = true, .first = met->first, .since_ns = met->since_ns};
}

bool tip_relays_peer(struct tip_keeper *k, const struct tip_event *ev, const struct tip_process *p,
		     struct tip_match_peer *out)
{
	const struct tip_ev_sock *s = ev->sock.data;
	const struct tip_relay_of_front *r;
	const struct tip_relay_ended *e;
	const struct tip_flow *f;
	uint32_t saddr;

	*out = (struct tip_match_peer){0};
	if (!k->relays.intercept || s->family != AF_INET)
		return false;
	/* to the kernel the other end of what accept() returns is a socket of ours */
	if (ev->hdr->type == TIP_EV_ACCEPT) {
		out->id = accepted(k, p, s->lport);
		return out->id;
	}
	memcpy(&saddr, s->laddr, sizeof(saddr));
	f = tip_intercept_redirected(k->relays.intercept, s->netns_cookie, saddr, s->lport);
	r = f && f->exec_id == p->exec_id ? tip_map_getu(k->relays.relays, f->id) : NULL;
	if (r && *r->peer_id) {
		dialled(out, r->peer_id, &r->met);
		return true;
	}
	e = ended(k, ev, p);
	if (e)
		dialled(out, e->peer_id, &e->met);
	return e;
}
