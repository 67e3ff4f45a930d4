/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_WORKER_H
#define TIP_MTLS_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "mtls/cause.h"
#include "mtls/pump.h"
#include "mtls/svid.h"
#include "mtls/table.h"
#include "mtls/trust.h"
#include "mtls/wire.h"

/*
 * Runs relayed connections on a libevent loop, from a socket that somebody else made to their end:
 * waits for dials, steps sessions, joins the two legs, pumps. Knows neither the link nor the store:
 * what it must know it asks through the ops.
 *
 *   outbound  dialling socket -> session -> ops.wanted() -> tip_worker_join(application) -> pump
 *   inbound   accepted socket -> session, judged -> ops.wanted() -> tip_worker_join(dialling
 *             application) -> verdict -> pump
 * Either way exactly one ops.ended() is the last that is heard of it. Dial and handshake have ten
 * seconds each. What is not a clean end is a reset.
 */
struct tip_worker;

struct tip_worker_flow {
	uint64_t id; /* the caller's */
	uint64_t exec_id;
	const char *own_id;               /* SPIFFE ID of the workload here; "": it has none */
	uint32_t local, remote;           /* IPv4, network order; as the application sees them */
	uint16_t local_port, remote_port; /* host order */
};

struct tip_worker_end {
	uint64_t id;
	enum tip_mtls_cause cause;
	int error;                    /* errno of a dial that failed, to the peer or here */
	const char *own_id, *peer_id; /* "": none was shown */
	const char *text;             /* a sentence; like the IDs, valid during the call */
	bool inbound, opened;         /* opened: bytes could flow */
	uint64_t sent, received;
};

/*
 * The first four are questions, and do not call the worker. The others may, but for
 * tip_worker_free().
 */
struct tip_worker_ops {
	/* A reference to the SVID of that exec under that ID, or NULL with `*why`. */
	struct tip_tls_svid *(*svid)(void *ctx, uint64_t exec_id, const char *own_id,
				     enum tip_mtls_cause *why);
	/*
	 * Outbound: the IDs that may answer at f->remote, if f->own_id may ask there at all. How
	 * many (at most `max`, pointers valid until the next call into the ops' owner); 0: denied.
	 */
	size_t (*expected)(void *ctx, const struct tip_worker_flow *f, const char **out,
			   size_t max);
	/* Inbound: may `peer_id` talk to f->own_id at f->local? */
	enum tip_verdict (*authorise)(void *ctx, const struct tip_worker_flow *f,
				      const char *peer_id, uint16_t *reason);
	/*
	 * Policy has changed since `peer_id` was let in, or expected: TIP_MTLS_NONE, also where
	 * mutual TLS is no longer asked for, or why it must end.
	 */
	enum tip_mtls_cause (*keeps)(void *ctx, const struct tip_worker_flow *f,
				     const char *peer_id, bool inbound);
	void (*wanted)(void *ctx, uint64_t id, const char *peer_id);
	void (*ended)(void *ctx, const struct tip_worker_end *end);
	void *ctx;
};

struct tip_worker_limits {
	struct tip_relay_limits relays;
	size_t buffers; /* bytes, all pumps together */
	struct tip_records records;
};

/* `bundles` outlives it. */
struct tip_worker *tip_worker_new(struct event_base *base, struct tip_bundles *bundles,
				  const struct tip_worker_limits *limits,
				  const struct tip_worker_ops *ops);
/* Resets everything; ops.ended() is not called any more. */
void tip_worker_free(struct tip_worker *w);

/*
 * Takes `fd`, non-blocking. ops.ended() may be called before these return. Beyond a limit an
 * outbound flow ends at once, and an inbound one is reset if it is that of handshakes; beyond the
 * others its client is authenticated and told (unreachable, TIP_REASON_LIMIT).
 */
void tip_worker_outbound(struct tip_worker *w, const struct tip_worker_flow *f, int fd);
void tip_worker_inbound(struct tip_worker *w, const struct tip_worker_flow *f, int fd);
/* The application's leg of a flow that wanted it. Takes `fd`; an unknown id closes it. */
void tip_worker_join(struct tip_worker *w, uint64_t id, int fd);
/*
 * Ends a flow. The client of an inbound one that waits for its application is told:
 * TIP_MTLS_REFUSED, TIP_MTLS_UNREACHABLE, TIP_MTLS_DENIED, TIP_MTLS_QUARANTINED and the limits
 * become the verdict. Unknown ids are ignored.
 */
void tip_worker_cut(struct tip_worker *w, uint64_t id, enum tip_mtls_cause cause);

/*
 * Cuts what has that ID at either end (TIP_MTLS_QUARANTINED), in whatever state. How many. The
 * questions are to know of it already.
 */
size_t tip_worker_quarantine(struct tip_worker *w, const char *spiffe_id);
/*
 * Policy has changed: asks keeps() about every flow whose peer is known, and cuts what it denies.
 * How many. A handshake asks for itself when it is done.
 */
size_t tip_worker_recheck(struct tip_worker *w);

/*
 * Calls `fn` for flows that were opened, or carried bytes, since the last call.
 */
void tip_worker_moved(struct tip_worker *w,
		      void (*fn)(void *ctx, uint64_t id, const char *backend, uint64_t sent,
				 uint64_t received),
		      void *ctx);

struct tip_worker_stats {
	struct tip_relay_stats relays;
	struct tip_pump_group_stats pumps;
	uint64_t kernel; /* of those that opened: with records by the kernel */
};
void tip_worker_stats(const struct tip_worker *w, struct tip_worker_stats *out);

#endif
