/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_INTERCEPT_INTERNAL_H
#define TIP_INTERCEPT_INTERNAL_H

#include <sys/queue.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/map.h"
#include "intercept/intercept.h"
#include "intercept/netfilter.h"
#include "intercept/syn.h"

struct mnl_socket;

/* Namespaces that are remembered, served or not. What is beyond is not served: refused. */
#define TIP_NETNS_MAX 4096
/* Of these, how many somebody may own who is not root: each unshare() makes one. */
#define TIP_NETNS_OWNED_MAX 256

/* One network namespace. Its descriptors keep it alive: see tip_netns_release(). */
struct tip_netns {
	struct tip_intercept *ic;
	uint32_t inode;
	uint64_t cookie;
	uid_t owner; /* who made its user namespace; 0: root, or nobody knows yet */
	int fd;      /* of the namespace; -1: not served */
	int listener;
	struct event *readable;
	struct event *resume; /* after a time without descriptors */
	struct mnl_socket *queue;
	struct event *queued;
	uint32_t last_packet; /* number of the queue's last packet: gaps are drops */
	uint32_t stale;       /* up to this one, an earlier daemon was told of them */
	bool taken_over;      /* the queue was an earlier daemon's, and has nothing new yet */
	int inherited[TIP_KEPT_KINDS]; /* of an earlier daemon, not looked at yet; -1: none */
	uint64_t inherited_at;         /* CLOCK_MONOTONIC, 0: the listener is one of ours */
	pid_t witness;                 /* a process that was seen in it */
	char *name;                    /* below /run/netns, NULL: none */
	bool found;                    /* by the look through /proc that is going on */
	bool bypassed;                 /* a connection came past the queue: the rules are gone */
	unsigned int looks;            /* ticks that still have to look whether it is empty */
	unsigned int empties;          /* looks in a row that found nobody */
	unsigned int failures;
	size_t legs;
	int32_t nsid;      /* its number in our own namespace, -1: none is known */
	uint64_t retry_at; /* CLOCK_MONOTONIC: not to be served again before, nor its rules */
	struct {
		uint16_t low, high;
	} leg_ports; /* that the kernel has chosen */
};

struct tip_flow_entry {
	struct tip_flow pub;
	TAILQ_ENTRY(tip_flow_entry) link;
	struct tip_netns *ns;
	/* Outbound: application to worker; inbound: the leg, when there is one. */
	struct tip_flow_key key;
	struct tip_leg_entry *leg;
	uint64_t app;    /* SO_COOKIE of the application's socket that is held */
	uint32_t packet; /* in the queue, while it is held */
	uint32_t seq;
	uint64_t deadline;  /* HELD: 0 or the end of waiting; JOINING: of being accepted */
	uint64_t cookie[2]; /* SO_COOKIE of the sockets made for it, 0: none */
};
TAILQ_HEAD(tip_flow_list, tip_flow_entry);

/*
 * A leg outlives its flow: the front has closed it, and what it wrote is still on its way to the
 * application.
 */
struct tip_leg_entry {
	struct tip_flow_key key;
	struct tip_netns *ns;
	TAILQ_ENTRY(tip_leg_entry) link;
	bool closing;
	unsigned int since; /* closing: the tick */
};
TAILQ_HEAD(tip_leg_list, tip_leg_entry);

struct tip_intercept {
	struct event_base *base;
	struct tip_intercept_ops ops;
	uint16_t port;
	bool host;
	char **names;
	size_t nnames;
	size_t max_held, max_held_per_identity, max_flows, max_legs_per_netns;
	struct tip_netfilter netfilter;

	bool enabled;
	bool doors_open;  /* namespaces may be heard: there was a front */
	int home;         /* our own network namespace */
	uint64_t nsfs;    /* st_dev of namespaces */
	uint32_t initial; /* inode of the initial network namespace */
	struct tip_map *spaces;
	struct event *serve_more;
	struct mnl_socket
		*links; /* tells when interfaces change; NULL: no plaintext stop on veths */
	struct event *link_changed, *look_at_links;
	struct tip_map *veths; /* interface index -> what veth.c knows of it */
	bool full_told;        /* that there are too many of them */
	bool owned_told;       /* likewise, of somebody's */
	unsigned int ticks;

	struct tip_flow_list flows; /* by ID */
	struct tip_map *by_id;
	struct tip_map *by_key;  /* outbound ones that are not joined */
	struct tip_map *holders; /* see tip_flow_held_of() */
	uint64_t last_id;
	struct event *hold_ends;
	struct tip_leg_list legs;

	struct tip_intercept_stats stats;
};

/* ---- intercept.c ---- */

void tip_intercept_on_serve_more(evutil_socket_t fd, short what, void *ctx);

/* ---- netns.c: served namespaces ---- */

/*
 * Puts this thread into the namespace, until tip_netns_leave(). 0 or -errno. Nothing between the
 * two may return to the event loop, or enter another one.
 */
int tip_netns_enter(int fd);
/* Back to `home`. A thread that cannot get back must not go on: it ends the process. */
void tip_netns_leave(int home);

/* Begins to remember a namespace; NULL when there are too many. `owner`: 0 if that is not known. */
struct tip_netns *tip_netns_add(struct tip_intercept *ic, uint32_t inode, uid_t owner);
/* Has the loop serve what is due. */
void tip_netns_schedule(struct tip_intercept *ic);
/*
 * Serves a namespace that is remembered, due and not served yet, or puts rules back that somebody
 * removed. One: iptables takes some milliseconds, and the next one waits for another turn of the
 * loop.
 */
void tip_netns_serve_due(struct tip_intercept *ic);
/*
 * Lets go of it: its flows are cut, the kernel is told, everything of ours that keeps it alive is
 * closed.
 */
void tip_netns_release(struct tip_intercept *ic, struct tip_netns *ns);
/* Closes what this process holds of it and forgets it. */
void tip_netns_free(struct tip_netns *ns);

/* ---- inherit.c: what an earlier daemon has left ---- */

/* A descriptor of the namespace that they belong to, -1: there are none. */
int tip_inherited_namespace(const struct tip_netns *ns);
/* The one that was inherited, if it is what it should be: else -1, or NULL. In the namespace. */
int tip_inherited_listener(struct tip_netns *ns);
/* `*last`: the number of the last packet that its former owner was told of. */
struct mnl_socket *tip_inherited_queue(struct tip_netns *ns, uint32_t *last);
void tip_inherited_close(struct tip_netns *ns);

/* ---- find.c: which namespaces there are ---- */

/*
 * kthreadd, which never leaves the initial namespaces; init may live in others, or be somebody whom
 * CAP_SYS_PTRACE does not open.
 */
#define TIP_NETNS_INITIAL "/proc/2/ns/net"
#define TIP_NETNS_NAMES   "/run/netns"

/* The network namespace of a process, if it is the one with this inode number. -1: it is not. */
int tip_netns_of(pid_t pid, uint32_t inode);
/* The one with that name below /run/netns, likewise. */
int tip_netns_named(const char *name, uint32_t inode);
/*
 * The user of the initial user namespace whom this network namespace is to be blamed on: who made
 * the outermost user namespace around it. 0: root, or it cannot be told.
 */
uid_t tip_netns_owner(int fd);
/* st_dev and inode number of the namespace file `path`. 0 or -errno. */
int tip_netns_identify(const char *path, uint64_t *dev, uint32_t *inode);
/* Calls back for each process but our own with the network namespace that it is in. */
void tip_netns_each_process(void (*seen)(void *ctx, pid_t pid, uint32_t inode), void *ctx);
/* Calls back for each name below /run/netns that is a namespace on device `nsfs`. */
void tip_netns_each_name(uint64_t nsfs, void (*seen)(void *ctx, const char *name, uint32_t inode),
			 void *ctx);

/* ---- queue.c: held packets ---- */

/* Binds the queue of a namespace; in it. 0 or -errno. */
int tip_queue_open(struct tip_netns *ns);
void tip_queue_listen(struct tip_netns *ns);
void tip_queue_close(struct tip_netns *ns);
/* Lets the packet go on with that mark: TIP_MARK_*. */
void tip_queue_pass(struct tip_netns *ns, uint32_t packet, uint32_t mark);
void tip_queue_drop(struct tip_netns *ns, uint32_t packet);

/* ---- veth.c: the host's ends of veths ---- */

/* Begins to watch the interfaces of our own namespace. 0 or -errno. */
int tip_veths_open(struct tip_intercept *ic);
void tip_veths_close(struct tip_intercept *ic);
/* Something has changed: has the loop look at all of them. */
void tip_veths_schedule(struct tip_intercept *ic);
/* The namespace is let go. */
void tip_veths_drop(struct tip_intercept *ic, const struct tip_netns *ns);

/* ---- flow.c: the table ---- */

void tip_flows_init(struct tip_intercept *ic);
void tip_flows_free(struct tip_intercept *ic);
bool tip_flow_is_held(const struct tip_flow *f);
/* `number`: outbound, the identity at the hook. */
struct tip_flow_entry *tip_flow_begin(struct tip_intercept *ic, struct tip_netns *ns, bool inbound,
				      uint32_t number);
/* How many connects of that identity are held, or of the namespace while it is not known. */
size_t tip_flow_held_of(const struct tip_intercept *ic, uint64_t netns, uint32_t number);
struct tip_flow_entry *tip_flow_find(const struct tip_intercept *ic, uint64_t id);
struct tip_flow_entry *tip_flow_after(const struct tip_intercept *ic, uint64_t after);
/* Makes an outbound flow known by its `key`. */
void tip_flow_index(struct tip_intercept *ic, struct tip_flow_entry *f);
struct tip_flow_entry *tip_flow_by_key(const struct tip_intercept *ic,
				       const struct tip_flow_key *k);
void tip_flow_move(struct tip_intercept *ic, struct tip_flow_entry *f, enum tip_flow_state state);
/* Takes it out of the table; its leg is no longer let through. The caller frees it. */
void tip_flow_unlink(struct tip_intercept *ic, struct tip_flow_entry *f);
void tip_flow_end(struct tip_intercept *ic, struct tip_flow_entry *f);
/* Ends it and tells the front; a SYN that is still held is dropped. */
void tip_flow_cut(struct tip_intercept *ic, struct tip_flow_entry *f, int err);

/* ---- legs.c: connections to applications, from the dial to the last byte ---- */

/* Lets the leg `key` through. NULL with -errno in `*err`. */
struct tip_leg_entry *tip_legs_open(struct tip_intercept *ic, struct tip_netns *ns,
				    const struct tip_flow_key *key, const struct tip_leg *leg,
				    int *err);
/* No longer lets it through. */
void tip_legs_forget(struct tip_intercept *ic, struct tip_leg_entry *l);
/* The flow is over: the leg goes when the application's end has closed. */
void tip_legs_close(struct tip_intercept *ic, struct tip_leg_entry *l);
/* Each tick: forgets those that are gone. */
void tip_legs_check(struct tip_intercept *ic);
/* The namespace is let go. */
void tip_legs_drop(struct tip_intercept *ic, const struct tip_netns *ns);

/* ---- diag.c ---- */

/* Is there a socket with that 4-tuple? Also true when that cannot be found out. */
bool tip_diag_exists(const struct tip_intercept *ic, const struct tip_netns *ns,
		     const struct tip_flow_key *key);

/* ---- outbound.c ---- */

void tip_outbound_syn(struct tip_intercept *ic, struct tip_netns *ns, const struct tip_syn *syn,
		      uint32_t packet);
void tip_outbound_wanted(struct tip_intercept *ic, struct tip_flow_entry *f);
void tip_outbound_ended(struct tip_intercept *ic, struct tip_flow_entry *f, int err);
/* The front that was at it is gone: it waits for the next one. */
void tip_outbound_hold(struct tip_intercept *ic, struct tip_flow_entry *f);
void tip_outbound_check(struct tip_intercept *ic, struct tip_flow_entry *f);
void tip_outbound_on_hold_end(evutil_socket_t fd, short what, void *ctx);

/* ---- accept.c ---- */

/* The worker's listener of a namespace; in it. 0 or -errno. */
int tip_listener_open(struct tip_netns *ns);
void tip_listener_listen(struct tip_netns *ns);
void tip_listener_close(struct tip_netns *ns);
void tip_inbound_wanted(struct tip_intercept *ic, struct tip_flow_entry *f);

/* ---- dial.c: sockets towards peer and application; -errno ---- */

/* Begins to connect to f->pub.remote and fills in f->pub.local. */
int tip_dial_wire(struct tip_intercept *ic, struct tip_flow_entry *f);
/* Begins to connect to the application at f->pub.local, with a registered leg. */
int tip_dial_leg(struct tip_intercept *ic, struct tip_flow_entry *f);
uint64_t tip_socket_cookie(int fd);
/* For a socket that is closed with a reset, unless somebody takes that back. */
void tip_socket_linger(int fd);

#endif
