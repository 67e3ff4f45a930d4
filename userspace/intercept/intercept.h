/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_INTERCEPT_INTERCEPT_H
#define TIP_INTERCEPT_INTERCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/types.h>

#include <event2/event.h>

#include "base/error.h"
#include "tipstaff/abi.h"

/*
 * The keeper's half of transparent mTLS. It serves network namespaces (a listener, a queue, rules,
 * an sk_lookup program in each), holds the SYN of every redirected connect() until the peer is
 * known, and makes every socket that the front works on. It reads packets of its own queues and no
 * byte of any connection; who may talk to whom is asked through the ops.
 *
 *   outbound  SYN held -> ops.held() says go -> a socket dials in that namespace -> ops.outbound()
 *             -> tip_intercept_wanted(): SYN released -> accepted -> ops.joined()
 *             -> or tip_intercept_ended(): SYN refused with an errno
 *   inbound   accepted on an enforced port -> ops.inbound() -> tip_intercept_wanted(): the
 *             application is dialled -> ops.joined()
 */
struct tip_intercept;

/* Answers in network order addresses, host order ports. IPv4. */
struct tip_end {
	uint32_t addr;
	uint16_t port;
};

enum tip_flow_state {
	TIP_FLOW_HELD,    /* outbound: its SYN waits for an identity, or for a front */
	TIP_FLOW_SHAKING, /* the front is at it */
	TIP_FLOW_JOINING, /* outbound: SYN released, not accepted yet */
	TIP_FLOW_JOINED,  /* both legs are with the front */
};

struct tip_flow {
	uint64_t id;
	bool inbound;
	enum tip_flow_state state;
	uint64_t netns;   /* cookie */
	uint64_t exec_id; /* who called connect(), or listen(); 0: nobody is known */
	struct tip_proc_key proc;
	uint32_t epoch;
	uint32_t current; /* outbound: identity number at the hook, maybe TIP_ID_PENDING */
	uint32_t policy;  /* outbound: number of the traffic policy */
	/* As the application sees them. Outbound: remote is what was dialled; inbound: local is. */
	struct tip_end local, remote;
	uint16_t from;  /* outbound: port of the socket that called connect(); `local` is ours */
	uint64_t begun; /* CLOCK_MONOTONIC, ns */
};

enum tip_held_answer {
	TIP_HELD_GO,
	TIP_HELD_WAIT, /* ask again at tip_intercept_retry() */
	TIP_HELD_NO,   /* EHOSTUNREACH */
};

/* What of a namespace outlives a daemon, if somebody keeps it. */
enum tip_kept {
	TIP_KEPT_WORKER, /* the worker's listener */
	TIP_KEPT_QUEUE,  /* the netlink socket of the queue */
	TIP_KEPT_KINDS
};

/* What there was no place for. */
enum tip_limit {
	TIP_LIMIT_HELD,          /* connects that are held, all of them */
	TIP_LIMIT_HELD_IDENTITY, /* of that identity; while it is not known, of the namespace */
	TIP_LIMIT_FLOWS,
};

struct tip_intercept_ops {
	/* May this held connect() go on? It is asked before anything is dialled. */
	enum tip_held_answer (*held)(void *ctx, const struct tip_flow *f);
	/* A socket that is connecting to f->remote, or one that was accepted. The callee's copy is
	 * its own to close: it must duplicate or send it before it returns. */
	void (*outbound)(void *ctx, const struct tip_flow *f, int fd);
	/* False: nobody is there to take it. */
	bool (*inbound)(void *ctx, const struct tip_flow *f, int fd);
	/* The application's leg: outbound connected, inbound connecting. As above. */
	void (*joined)(void *ctx, const struct tip_flow *f, int fd);
	/*
	 * The flow is over for reasons on this side, and the front should let go of it; it is no
	 * longer in the table. ECONNABORTED: the application gave up; ETIMEDOUT: it never came
	 * after its release; ENETDOWN: the namespace is let go; else a leg could not be made
	 * (EMFILE, ENOSPC and the like are limits).
	 */
	void (*cut)(void *ctx, const struct tip_flow *f, int err);
	/* A held connect() was refused before the front heard of it; `err` is what connect() says.
	 */
	void (*refused)(void *ctx, const struct tip_flow *f, int err, const char *why);
	/* There was no place for this one, which has no ID: EHOSTUNREACH, or a reset. */
	void (*limited)(void *ctx, const struct tip_flow *f, enum tip_limit limit);
	/* The kernel side: see sensor/intercept.h, whose functions fill these. */
	int (*attach)(void *ctx, int netns_fd, uint64_t cookie);
	int (*detach)(void *ctx, uint64_t cookie);
	int (*veth_attach)(void *ctx, uint32_t ifindex, int32_t nsid, uint64_t cookie);
	void (*veth_detach)(void *ctx, uint32_t ifindex);
	int (*worker_set)(void *ctx, uint64_t cookie, int listener_fd);
	int (*worker_clear)(void *ctx, uint64_t cookie);
	int (*ours)(void *ctx, int fd, uint32_t kind);
	int (*redirect)(void *ctx, const struct tip_flow_key *k, struct tip_redirect *out);
	int (*redirect_show)(void *ctx, const struct tip_flow_key *k, uint32_t addr, uint16_t port);
	int (*leg_set)(void *ctx, const struct tip_flow_key *k, const struct tip_leg *leg);
	int (*leg)(void *ctx, const struct tip_flow_key *k, struct tip_leg *out);
	int (*leg_clear)(void *ctx, const struct tip_flow_key *k);
	int (*listener)(void *ctx, uint64_t cookie, uint32_t addr, uint16_t port,
			struct tip_listener *out); /* -ENOENT: unknown, also after a scan */
	/* Have this descriptor kept for a successor; -1: no longer. */
	void (*keep)(void *ctx, enum tip_kept what, uint64_t cookie, int fd);
	void *ctx;
};

struct tip_intercept_config {
	const char *instance;     /* names chains and queues */
	const char *run_dir;      /* for the lock file of iptables */
	uint16_t port;            /* of the listeners, 127.0.0.1 */
	bool host;                /* serve the initial network namespace too */
	bool veth_stop;           /* a plaintext stop on veths that lead to served namespaces */
	const char *const *names; /* of namespaces below /run/netns to serve before any process;
				     fnmatch patterns */
	size_t nnames;
	size_t max_held; /* outbound flows that are not released, in all namespaces */
	size_t max_held_per_identity;
	size_t max_flows;          /* flows in any state */
	size_t max_legs_per_netns; /* also those that the application has not closed yet */
};

/*
 * Has the kernel load the modules that serving needs, by serving a namespace that goes away again:
 * for a process that gives up the right to do so before tip_intercept_new(), which tells whether it
 * helped. There must be no other thread yet.
 */
void tip_intercept_prepare(const char *instance, const char *run_dir, uint16_t port);

/* NULL with `err` if this machine cannot do it at all (no iptables, no NFQUEUE). */
struct tip_intercept *tip_intercept_new(struct event_base *base,
					const struct tip_intercept_config *config,
					const struct tip_intercept_ops *ops, struct tip_error *err);
/*
 * Takes over what an earlier daemon has left: the namespace is served with it once it is enabled,
 * and who connected meanwhile waits in it. Takes `fd` in any case; false: there is no use for it.
 */
bool tip_intercept_inherit(struct tip_intercept *ic, enum tip_kept what, int fd);
/* The front is ready for the first time: what waits may come in. Also after START_TICKS ticks. */
void tip_intercept_open_doors(struct tip_intercept *ic);

/* Closes everything of this process: listeners, queues, flows. Rules and pins stay. */
void tip_intercept_free(struct tip_intercept *ic);

/*
 * Nothing is served until the first policy is in force; then every namespace that is known, one at
 * each turn of the loop. Switched off, nothing new is served; what is served stays so.
 */
void tip_intercept_enable(struct tip_intercept *ic, bool on);

/*
 * A process in scope acts in the network namespace with this inode number. If it is not yet served,
 * the next turn of the loop serves it: through /proc/PID/ns/net, checked against the number. Cheap
 * when it is known.
 */
void tip_intercept_process(struct tip_intercept *ic, pid_t pid, uint32_t netns);
/* A process in scope that was in it ended: maybe it was the last one. */
void tip_intercept_left(struct tip_intercept *ic, uint32_t netns);
/* Each second: names, namespaces to let go, flows whose application gave up, deadlines. */
void tip_intercept_tick(struct tip_intercept *ic);

/* Asks ops.held() again for held flows of that exec; 0: for all. */
void tip_intercept_retry(struct tip_intercept *ic, uint64_t exec_id);

/* The front: the peer is good. */
void tip_intercept_wanted(struct tip_intercept *ic, uint64_t id);
/*
 * The front: it is over. While the SYN is held, `err` is what connect() says: ECONNREFUSED,
 * ENETUNREACH, EHOSTUNREACH; ETIMEDOUT lets the application time out by itself.
 */
void tip_intercept_ended(struct tip_intercept *ic, uint64_t id, int err);
/* The front died: what it held is gone; connects that are still held wait for the next one. */
void tip_intercept_front_gone(struct tip_intercept *ic);

const struct tip_flow *tip_intercept_flow(const struct tip_intercept *ic, uint64_t id);
/* The outbound flow of the connection that leaves from there to the worker, NULL: there is none. */
const struct tip_flow *tip_intercept_redirected(const struct tip_intercept *ic, uint64_t netns,
						uint32_t saddr, uint16_t sport);
/* The flow after the one with this ID, in order of age; 0 begins, NULL ends. */
const struct tip_flow *tip_intercept_next(const struct tip_intercept *ic, uint64_t after);

/*
 * Ends TCP connections in the served namespaces that a strict policy covers and that are not ours:
 * they were there before it. `covered` says of an address and port. How many.
 */
size_t tip_intercept_end_plain(struct tip_intercept *ic,
			       bool (*covered)(void *ctx, uint32_t addr, uint16_t port), void *ctx);

struct tip_intercept_stats {
	size_t namespaces, veths, held, flows;
	uint64_t released, refused, accepted,
		orphans; /* orphans: on our port, without a flow: reset */
	uint64_t limit_held, limit_flows, limit_legs, queue_drops;
};
void tip_intercept_stats(const struct tip_intercept *ic, struct tip_intercept_stats *out);

/* Removes the instance's rules from every namespace that can be found: `detach`. How many. */
int tip_intercept_remove_rules(const char *instance);

#endif
