/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SPIFFE_WORKLOAD_H
#define TIP_SPIFFE_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "identity/store.h"
#include "rpc/server.h"

/*
 * The SPIFFE Workload API (service SpiffeWorkloadAPI). It never knows where an SVID came from:
 * that is behind struct tip_workload_ops.
 */
struct tip_workload;

struct tip_workload_ops {
	/* As tip_store_fetch() and tip_store_bundle(). */
	enum tip_fetch (*fetch)(void *ctx, uint64_t exec_id, struct tip_svid *out, size_t max,
				size_t *count);
	const uint8_t *(*bundle)(void *ctx, size_t *len);
	/* As tip_store_standing(), tip_store_fetch_jwt(), _jwks() and _validate_jwt(). */
	enum tip_standing (*standing)(void *ctx, uint64_t exec_id);
	enum tip_fetch (*fetch_jwt)(void *ctx, uint64_t exec_id, const struct tip_jwt_query *query,
				    struct tip_jwt_svid *out, size_t max, size_t *count);
	const char *(*jwks)(void *ctx, size_t *len);
	int (*validate_jwt)(void *ctx, const char *audience, const char *token, struct tip_jwt *out,
			    struct tip_error *err);
	/*
	 * Asks whether connection `id` still belongs to its {process, exec, epoch}. The answer
	 * comes through tip_workload_checked() with the same `ask`. No key material is written
	 * before it.
	 */
	void (*check)(void *ctx, uint64_t id, uint32_t ask);
	/* A connection was closed for cause ("foreign writer", "exec", ...): for an alert. */
	void (*refused)(void *ctx, uint64_t exec_id, uint32_t pid, const char *cause);
	/* The connection is gone. */
	void (*closed)(void *ctx, uint64_t id);
	void *ctx;
};

struct tip_workload_config {
	const char *trust_domain;
	size_t max_connections; /* in all */
	size_t max_connections_per_uid;
	uint32_t pending_ms; /* how long a call waits for an exec that is not resolved: then
				PermissionDenied */
};

struct tip_workload *tip_workload_new(struct event_base *base,
				      const struct tip_workload_config *config,
				      const struct tip_workload_ops *ops);
void tip_workload_free(struct tip_workload *w);

/* A connection accepted by the keeper. `fd` is owned from now on. `id` is the keeper's. */
struct tip_workload_peer {
	uint64_t id;
	uint64_t exec_id;
	uint32_t epoch;
	uint32_t pid; /* thread-group id in our pid namespace, as SCM_CREDENTIALS shows it */
	uint32_t uid, gid;
};
void tip_workload_conn(struct tip_workload *w, int fd, const struct tip_workload_peer *peer);

/*
 * The keeper's answer to ops.check; one that was not asked for is ignored. Not ok: the connection
 * is closed and ops.refused told ("exec"). May be called from within ops.check.
 */
void tip_workload_checked(struct tip_workload *w, uint64_t id, uint32_t ask, int ok);

/* What `exec_id` may have changed: its streams send again, or end with PermissionDenied. */
void tip_workload_changed(struct tip_workload *w, uint64_t exec_id);
void tip_workload_bundle_changed(struct tip_workload *w);
/* The exec is over: its connections are closed at once. */
void tip_workload_exec_gone(struct tip_workload *w, uint64_t exec_id);

struct tip_workload_stats {
	size_t connections, streams;
	uint64_t calls, denied, foreign_writers, errors;
};
void tip_workload_stats(const struct tip_workload *w, struct tip_workload_stats *out);

#endif
