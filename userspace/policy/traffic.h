/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_POLICY_TRAFFIC_H
#define TIP_POLICY_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "policy/cidr.h"

enum tip_traffic_mode {
	TIP_TRAFFIC_STRICT,  /* mutual TLS between the named IDs, or nothing */
	TIP_TRAFFIC_DISABLE, /* left alone, as if no policy covered it */
};

struct tip_traffic_policy;

/* One destination of a policy. */
struct tip_traffic_to {
	const struct tip_traffic_policy *policy;
	struct tip_cidr cidr;
	uint16_t port_min, port_max; /* the same: one port */
	int line, column;
};

/* One line of `server` (an ID) or of `clients` (a pattern, see spiffe_glob.h). */
struct tip_traffic_peer {
	const char *id;
	int line, column;
};

struct tip_traffic_policy {
	const char *name;
	enum tip_traffic_mode mode;
	struct tip_traffic_to *to;
	size_t nto; /* at least one */
	struct tip_traffic_peer *server;
	size_t nserver; /* strict: at least one */
	struct tip_traffic_peer *clients;
	size_t nclients; /* strict: at least one */
	size_t order;    /* position over all files */
	const char *file;
	int line, column;                         /* of the policy */
	int server_line, clients_line, mode_line; /* of the values; the policy's where not given */
};

/* Limits: what exceeds them is refused with its place. */
#define TIP_TRAFFIC_POLICIES_MAX     16384
#define TIP_TRAFFIC_DESTINATIONS_MAX 65536 /* of all policies */
#define TIP_TRAFFIC_NAME_MAX         64
#define TIP_TRAFFIC_TO_MAX           64
#define TIP_TRAFFIC_SERVER_MAX       32
#define TIP_TRAFFIC_CLIENTS_MAX      256
#define TIP_TRAFFIC_TEXT_MAX         32768 /* bytes of tip_traffic_write(), for one link message */

/* The policies of one or more files, in order. */
struct tip_traffic_policies;

struct tip_traffic_policies *tip_traffic_policies_new(void);
void tip_traffic_policies_free(struct tip_traffic_policies *all); /* NULL is fine */
size_t tip_traffic_policies_count(const struct tip_traffic_policies *all);
/* `i` < count. Valid as long as `all`. */
const struct tip_traffic_policy *tip_traffic_policies_get(const struct tip_traffic_policies *all,
							  size_t i);
/* NULL if there is none of that name. */
const struct tip_traffic_policy *tip_traffic_policies_by_name(
	const struct tip_traffic_policies *all, const char *name);

/*
 * Adds the policies of one file: a YAML list of {name, to, server, clients, mode}, see
 * docs/traffic.md. Names are unique over all files; two policies that say different things of the
 * same destination are refused with both places. 0, or -1 with `err` and `all` as it was before
 * (the memory that a refused file took is freed with `all`).
 */
int tip_traffic_policies_parse(struct tip_traffic_policies *all, const char *file, const char *text,
			       size_t len, struct tip_error *err);

/* The same decisions for everybody: mode and, where it is strict, the same IDs in any order. */
bool tip_traffic_policy_same(const struct tip_traffic_policy *a,
			     const struct tip_traffic_policy *b);

/* The first line of `clients` that the checked `id` matches, or NULL. */
const struct tip_traffic_peer *tip_traffic_policy_client(const struct tip_traffic_policy *p,
							 const char *id);
/* The line of `server` that is `id`, or NULL. */
const struct tip_traffic_peer *tip_traffic_policy_server(const struct tip_traffic_policy *p,
							 const char *id);

bool tip_traffic_to_covers(const struct tip_traffic_to *to, const struct tip_ip *ip, uint16_t port);
/* "10.0.0.0/8 port 80" or "... ports 80-90" appended to `out`. */
void tip_traffic_to_write(const struct tip_traffic_to *to, struct tip_buf *out);

/* Appends the policy as one YAML list item that tip_traffic_policies_parse() reads back. */
void tip_traffic_write(const struct tip_traffic_policy *p, struct tip_buf *out);

#endif
