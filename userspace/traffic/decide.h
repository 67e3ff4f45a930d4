/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TRAFFIC_DECIDE_H
#define TIP_TRAFFIC_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "traffic/cache.h"
#include "traffic/set.h"

/* Who speaks to whom. */
struct tip_traffic_flow {
	const char *client; /* its SPIFFE ID; NULL: it has none */
	const char *server; /* NULL: not known yet */
	struct tip_ip addr; /* what was dialled */
	uint16_t port;
};

enum tip_traffic_verdict {
	TIP_TRAFFIC_PLAIN, /* not ours: the connection is left alone */
	TIP_TRAFFIC_MTLS,  /* allowed, over mutual TLS with one of `server` */
	TIP_TRAFFIC_DENY,
};

enum tip_traffic_cause {
	TIP_TRAFFIC_UNCOVERED,       /* PLAIN: no policy covers the destination */
	TIP_TRAFFIC_DISABLED,        /* PLAIN: the policy says `mode: disable` */
	TIP_TRAFFIC_ALLOWED,         /* MTLS */
	TIP_TRAFFIC_NO_IDENTITY,     /* DENY: the client has no SPIFFE ID */
	TIP_TRAFFIC_BAD_IDENTITY,    /* DENY: what it has is not a SPIFFE ID */
	TIP_TRAFFIC_CLIENT_UNLISTED, /* DENY: no line of `clients` matches it */
	TIP_TRAFFIC_WRONG_SERVER,    /* DENY: the server is none of `server` */
};

struct tip_traffic_decision {
	enum tip_traffic_verdict verdict;
	enum tip_traffic_cause cause;
	uint64_t generation;
	const struct tip_traffic_to *to;         /* the destination that decided; NULL: none */
	const struct tip_traffic_policy *policy; /* its policy (mode, server, clients); or NULL */
	const struct tip_traffic_peer *client;   /* ALLOWED: the line that let it in */
	int line; /* the line of policy->file that decided, 0: none */
};

/*
 * Decides one flow. `cache` may be NULL. The client's worker asks before it dials, with `server`
 * NULL, and again with the ID that answered; the server's worker asks with both. Identities need
 * not have been checked.
 */
void tip_traffic_decide(const struct tip_traffic_set *s, struct tip_traffic_cache *cache,
			const struct tip_traffic_flow *flow, struct tip_traffic_decision *out);

/* "strict", "plain", "no-identity": stable words for logs, alerts and JSON. */
const char *tip_traffic_mode_str(enum tip_traffic_mode mode);
const char *tip_traffic_verdict_str(enum tip_traffic_verdict verdict);
const char *tip_traffic_cause_str(enum tip_traffic_cause cause);

/* A decision with what it was chosen from. Points into the set and the flow. */
#define TIP_TRAFFIC_CANDIDATES_MAX 16
struct tip_traffic_explanation {
	struct tip_traffic_flow flow;
	struct tip_traffic_decision decision;
	/* The destinations that cover the flow, in the order in which they go before each other:
	 * the first one decided. */
	const struct tip_traffic_to *candidates[TIP_TRAFFIC_CANDIDATES_MAX];
	size_t ncandidates; /* that there are; more than the array holds, maybe */
};

/*
 * Parses FROM (a SPIFFE ID, or "none") and TO:PORT ("10.0.0.1:443", "[fd00::1]:443"). `flow` points
 * into `from`. 0, or -1 with `err`.
 */
int tip_traffic_flow_parse(const char *from, const char *to, struct tip_traffic_flow *flow,
			   struct tip_error *err);
/* Walks all policies: for people, not for connections. */
void tip_traffic_explain(const struct tip_traffic_set *s, const struct tip_traffic_flow *flow,
			 struct tip_traffic_explanation *out);
/* Appends it as a few lines of text. */
void tip_traffic_explain_write(const struct tip_traffic_explanation *e, struct tip_buf *out);

#endif
