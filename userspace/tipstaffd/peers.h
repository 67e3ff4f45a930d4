/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_PEERS_H
#define TIP_TIPSTAFFD_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * With whom each identity of this node has spoken over mTLS: so that a rule can tell of a peer that
 * a workload never had. Kept in a file, since a restart must not make every peer a new one.
 * Bounded: the pair that was met longest ago goes first, and would be new again.
 */
#define TIP_PEERS_MAX 4096

struct tip_peers;

/*
 * Reads what `path` has; a file that is not as it was written is told in the log, and all begins
 * anew. `max` bounds the pairs.
 */
struct tip_peers *tip_peers_new(const char *path, size_t max);
/* Writes what is not written yet. */
void tip_peers_free(struct tip_peers *p);

struct tip_peers_met {
	bool first;        /* `own` has not spoken with `peer` before */
	uint64_t since_ns; /* from its first peer ever to now */
};

/* `own` speaks with `peer` now (wall clock, ns since the epoch). */
struct tip_peers_met tip_peers_meet(struct tip_peers *p, const char *own, const char *peer,
				    uint64_t now_ns);
/* Writes the file, if a pair is new and the last time was 10 s ago. Call about once a second. */
void tip_peers_tick(struct tip_peers *p);

struct tip_peers_stats {
	size_t pairs;
	uint64_t forgotten; /* pairs that had to go */
};
struct tip_peers_stats tip_peers_stats(const struct tip_peers *p);

#endif
