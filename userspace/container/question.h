/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_QUESTION_H
#define TIP_CONTAINER_QUESTION_H

#include <sys/queue.h>

#include "base/buf.h"
#include "container/cri.h"
#include "container/docker.h"
#include "container/http.h"
#include "container/inspector.h"
#include "container/kubelet.h"
#include "container/stream.h"
#include "rpc/client.h"

/*
 * Internal to the room: a question about a container on its way. inspector.c decides whose turn it
 * is and what becomes of it, exchange.c asks one runtime.
 */

enum tip_place {
	TIP_WAITING,
	TIP_RUNNING,
	TIP_PAUSING,
	TIP_LISTED, /* the kubelet's next list may tell */
	TIP_PLACES
};

struct tip_question {
	TAILQ_ENTRY(tip_question) link;
	struct tip_inspector *inspector;
	char id[65];
	enum tip_runtime hint;
	enum tip_place place;
	enum tip_runtime_question step;
	uint32_t tried;        /* 1 << number of each runtime that was asked */
	uint32_t number;       /* of the runtime that is asked */
	uint64_t dial;         /* the connection that is awaited, 0: none is */
	uint64_t list;         /* LISTED: the first that will tell */
	unsigned int absences; /* lists of the kubelet's that it was not in */
	bool wanted;           /* somebody has asked; else it is asked ahead */
	bool repeated;         /* it was answered, and is asked about once more */
	bool settled;          /* it has been started */
	bool lost;             /* no runtime knows it: its event is awaited */
	struct tip_http *http;
	struct tip_rpc_ask *rpc;
	struct event *pause;
	struct tip_buf facts;
	struct tip_docker_seen docker;
	struct tip_cri_seen cri;
};
TAILQ_HEAD(tip_questions, tip_question);

struct tip_inspector {
	struct event_base *base;
	struct tip_inspector_ops ops;
	struct {
		enum tip_runtime kind; /* TIP_RUNTIME_ANY: there is none */
		char type[32];         /* what it calls itself, "": not asked yet */
		struct tip_stream *stream;
	} runtimes[TIP_RUNTIMES_MAX];
	struct tip_kubelet *kubelet; /* NULL: it is not asked */
	struct tip_map *by_id;
	struct tip_created *created;
	struct tip_questions places[TIP_PLACES];
	size_t counts[TIP_PLACES];
	uint64_t next_dial;
	bool filling;
	struct tip_inspector_stats stats;
};

/* exchange.c: q->number is asked what a runtime of its kind is asked first. */
void tip_exchange_begin(struct tip_question *q);
/* What its answer can be read from (taken), or -1: there is none. */
void tip_exchange_dialled(struct tip_question *q, int fd);
void tip_exchange_cancel(struct tip_question *q);
/* What a runtime of the CRI calls itself. */
void tip_exchange_named(struct tip_inspector *x, uint32_t number, const char *name);

/* inspector.c: an exchange is over, and the question may be gone behind these. q->facts answer it,
 * this runtime does not know, nobody does. */
void tip_question_answered(struct tip_question *q);
void tip_question_next(struct tip_question *q);
void tip_question_give_up(struct tip_question *q);

#endif
