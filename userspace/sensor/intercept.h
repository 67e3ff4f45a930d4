/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SENSOR_INTERCEPT_H
#define TIP_SENSOR_INTERCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "sensor/sensor.h"

/*
 * The kernel side of transparent mTLS: its policy maps, its tables of connections, and the
 * sk_lookup program that each served network namespace has. Who serves what, and which socket is
 * whose, is the intercept room's business. Functions return 0 or -errno unless they say otherwise.
 */

/* ---- policy ---- */

/* One prefix, with the index of its slice in `ports`. */
struct tip_traffic_prefix {
	uint32_t table; /* TIP_TRAFFIC_* */
	uint32_t bits;  /* of `addr`, which is ::ffff:a.b.c.d for IPv4: 0..128 */
	uint8_t addr[16];
	struct tip_traffic_slice slice; /* `first` counts from 0 */
};

/* A compiled set, as guard/traffic.h makes it. */
struct tip_traffic_image {
	const struct tip_traffic_prefix *prefixes;
	size_t nprefixes;
	const struct tip_traffic_ports *ports;
	size_t nports; /* at most TIP_TRAFFIC_PORTS_MAX / 2 */
};

/*
 * Installs a set: written beside the one in force, then switched in one piece, then the old one is
 * deleted. An empty image switches interception off. -ENOSPC or another error: the old set stays.
 */
int tip_sensor_traffic_install(struct tip_sensor *s, const struct tip_traffic_image *image);

/* Adds one prefix to the set that is in force; its slice lies in that set's ports. */
int tip_sensor_traffic_add(struct tip_sensor *s, const struct tip_traffic_prefix *prefix);

/* That identity may dial what that policy covers. -E2BIG: no place; then it may not. */
int tip_sensor_client_allow(struct tip_sensor *s, uint32_t policy, uint32_t number);
/* Deletes what belongs to policies below `first`: those of older generations. */
int tip_sensor_client_prune(struct tip_sensor *s, uint32_t first);
/* The highest policy number that is in the maps, 0: none. Walks them: once, at start. */
uint32_t tip_sensor_policy_last(struct tip_sensor *s);

/* The port of the worker's listeners; once, before anything is served. */
int tip_sensor_set_worker_port(struct tip_sensor *s, uint16_t port);
/*
 * The worker lives. About once a second. `ahead_ms`: it will not say so for that time, since a
 * successor is taking over; what connects meanwhile waits.
 */
int tip_sensor_heartbeat(struct tip_sensor *s, uint64_t ahead_ms);
/* The same before there is a sensor, for whatever layout is at work. */
void tip_sensor_heartbeat_early(const char *instance, uint64_t ahead_ms);

/* ---- namespaces ---- */

/*
 * Attaches the sk_lookup program to the network namespace `netns_fd` whose cookie is `cookie`.
 * Where an earlier daemon's is still attached, its program is replaced in place: there is no moment
 * without one. Its pin lies beside the maps, since it belongs to no generation.
 */
int tip_sensor_netns_attach(struct tip_sensor *s, int netns_fd, uint64_t cookie);
/* Removes it. */
int tip_sensor_netns_detach(struct tip_sensor *s, uint64_t cookie);
/* Removes the pins whose namespaces are gone. How many are left. */
int tip_sensor_netns_prune(struct tip_sensor *s);

/*
 * The worker's listener of a namespace: a listening IPv4 TCP socket. It leaves the map by itself
 * when it is closed.
 */
int tip_sensor_worker_set(struct tip_sensor *s, uint64_t cookie, int listener_fd);
int tip_sensor_worker_clear(struct tip_sensor *s, uint64_t cookie);

/* ---- veths ---- */

/*
 * Puts the plaintext stop on the host's end `ifindex` of a veth, in the network namespace that this
 * thread is in; behind it lies the namespace of that number and cookie. Filters of an earlier
 * daemon are replaced in place.
 */
int tip_sensor_veth_attach(struct tip_sensor *s, uint32_t ifindex, int32_t nsid, uint64_t cookie);
/* Takes it off again; what it was never put on is left alone. */
void tip_sensor_veth_detach(struct tip_sensor *s, uint32_t ifindex);
/* Forgets those whose interface is gone: at start. */
void tip_sensor_veth_prune(struct tip_sensor *s);

/* ---- connections ---- */

/* Marks a socket of this process as ours: TIP_OURS_*. */
int tip_sensor_ours(struct tip_sensor *s, int fd, uint32_t kind);

int tip_sensor_redirect(struct tip_sensor *s, const struct tip_flow_key *k,
			struct tip_redirect *out);
/* What getsockname() shows to the application: address in network, port in host order. */
int tip_sensor_redirect_show(struct tip_sensor *s, const struct tip_flow_key *k, uint32_t addr,
			     uint16_t port);

int tip_sensor_leg_set(struct tip_sensor *s, const struct tip_flow_key *k,
		       const struct tip_leg *leg);
/* -ENOENT: the application's end has closed. */
int tip_sensor_leg(struct tip_sensor *s, const struct tip_flow_key *k, struct tip_leg *out);
int tip_sensor_leg_clear(struct tip_sensor *s, const struct tip_flow_key *k);
/* Deletes all: none of an earlier daemon's is worth anything. */
int tip_sensor_legs_wipe(struct tip_sensor *s);

/*
 * Who listens at exactly that address, else at 0.0.0.0. Known are listeners that a policy in force
 * could cover. -ENOENT: nobody that is known, or sockets of several identities share the port.
 */
int tip_sensor_listener(struct tip_sensor *s, uint64_t cookie, uint32_t addr, uint16_t port,
			struct tip_listener *out);
/*
 * Looks through the descriptors of all processes for listeners: those that were there before the
 * hooks or the policy, or that another process than the one that called listen() has by now. Walks
 * everything: at start, and at most once a second. How many were entered, or -errno.
 */
int tip_sensor_listeners_scan(struct tip_sensor *s);
/* The same, then answers as tip_sensor_listener(), also where the table has no place for it. */
int tip_sensor_listener_search(struct tip_sensor *s, uint64_t cookie, uint32_t addr, uint16_t port,
			       struct tip_listener *out);

#endif
