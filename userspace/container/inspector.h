/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_INSPECTOR_H
#define TIP_CONTAINER_INSPECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "container/kubelet.h"
#include "tipstaff/facts.h"

/*
 * Asks container runtimes what a container is. It opens no socket and, but for the kubelet's,
 * writes to none: somebody else puts each question, and gives it what the answer can be read from.
 * Bounded: questions at once and waiting, bytes of an answer, time.
 *
 * It listens to their events too, and asks about each container as soon as that is made, before its
 * first process: of one that is gone when the question comes, what its event said is the answer.
 */
#define TIP_RUNTIMES_MAX 16

struct tip_inspector_ops {
	/*
	 * Ask runtime `number` that question about `name`, and call tip_inspector_dialled() with
	 * what its answer can be read from, not from within.
	 */
	void (*dial)(void *ctx, uint64_t dial, uint32_t number, enum tip_runtime_question question,
		     const char *name);
	/*
	 * What was found about `id`, which somebody has asked about. It may be called again, with
	 * more.
	 */
	void (*answer)(void *ctx, const char *id, enum tip_facts_kind kind, const void *facts,
		       size_t len);
	void *ctx;
};

struct tip_inspector;
struct tip_inspector *tip_inspector_new(struct event_base *base,
					const struct tip_inspector_ops *ops);
void tip_inspector_free(struct tip_inspector *x);
/*
 * One more runtime, under its number (less than TIP_RUNTIMES_MAX). `events`: listen to it. False:
 * no such kind or number, or that one is there.
 */
bool tip_inspector_runtime(struct tip_inspector *x, uint32_t number, uint32_t kind, bool events);
/*
 * Asks the kubelet too, about what no runtime knows. What it is asked is TIP_ASK_PODS, of number 0,
 * and tip_inspector_kubelet_dialled() brings its connection. The rest is as in container/kubelet.h.
 */
void tip_inspector_kubelet(struct tip_inspector *x, const char *authority, const char *name);
void tip_inspector_kubelet_authorities(struct tip_inspector *x, const char *pem, size_t len,
				       bool first);
void tip_inspector_kubelet_dialled(struct tip_inspector *x, uint64_t dial, int fd,
				   const char *token);
/* What is container `id` (64 hex digits)? `hint`: whose it is by the name of its cgroup. */
void tip_inspector_ask(struct tip_inspector *x, const char *id, uint32_t hint);
/* The answer to `dial`: a socket (taken), or -1 and an errno. */
void tip_inspector_dialled(struct tip_inspector *x, uint64_t dial, int fd, int error);

struct tip_inspector_stats {
	size_t running, waiting;
	uint64_t asked, known, unknown;
	uint64_t late;    /* exchanges that had no answer in time */
	uint64_t refused; /* questions there was no room for */
	size_t streams;   /* runtimes that are listened to */
	size_t created;   /* containers that runtimes told of and nobody has asked about */
	uint64_t events, bad_events, breaks;
	uint64_t by_event;   /* answers that are what an event said, since no runtime knew more */
	uint64_t by_kubelet; /* answers from the kubelet's lists */
	struct tip_kubelet_stats kubelet;
};
void tip_inspector_stats(const struct tip_inspector *x, struct tip_inspector_stats *out);

#endif
