/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_KUBELET_H
#define TIP_CONTAINER_KUBELET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "container/pod.h"

/*
 * The kubelet of this node, asked for its list of pods (GET /pods): over TLS with a bearer token,
 * or over its read-only port. One list tells of all containers that somebody waits for, and there
 * is one at a time: a second after the last one, ten when that was not to be had. Connections and
 * tokens come from somebody else. Bounded in bytes and time; one pod is in memory at a time.
 */
struct tip_kubelet_ops {
	/* Open a connection, and call tip_kubelet_dialled(), not from within. Its number. */
	uint64_t (*dial)(void *ctx);
	/* List `number` is over. False: it was not to be had, and nobody shall wait for another. */
	void (*ended)(void *ctx, uint64_t number, bool whole);
	struct tip_pod_ops pods;
	void *ctx;
};

struct tip_kubelet;
/* `authority`: what Host says. `name`: whom its certificate has to be for, NULL: no TLS. */
struct tip_kubelet *tip_kubelet_new(struct event_base *base, const char *authority,
				    const char *name, const struct tip_kubelet_ops *ops);
void tip_kubelet_free(struct tip_kubelet *k); /* NULL is fine */
/* Who may vouch for it: PEM, a part of it; `first`: it replaces what was given before. */
void tip_kubelet_authorities(struct tip_kubelet *k, const char *pem, size_t len, bool first);
/*
 * Somebody wants a list that is asked for from now on. Its number; 0: there is none for now, since
 * the last one was not to be had.
 */
uint64_t tip_kubelet_want(struct tip_kubelet *k);
/* False: that dial is not this one's. `fd` (taken, connecting) -1: it cannot be reached. `token`:
 * what it knows us by, "": nothing. */
bool tip_kubelet_dialled(struct tip_kubelet *k, uint64_t dial, int fd, const char *token);

struct tip_kubelet_stats {
	uint64_t lists;  /* that were asked for ... */
	uint64_t failed; /* ... and not to be had */
	uint64_t bad;    /* pods that could not be read */
};
/* `k` may be NULL. */
void tip_kubelet_stats(const struct tip_kubelet *k, struct tip_kubelet_stats *out);

#endif
