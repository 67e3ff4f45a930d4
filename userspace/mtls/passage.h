/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_PASSAGE_H
#define TIP_MTLS_PASSAGE_H

#include <sys/queue.h>

#include <event2/event_struct.h>

#include "mtls/session.h"
#include "mtls/worker.h"

/*
 * One connection on its way through the worker. Either way it ends in tip_passage_end(), once, and
 * is gone.
 *
 *   outbound  DIALLING -> SHAKING -> WANTED -> OPEN
 *   inbound               SHAKING -> WANTED -> LEG -> SHAKING (the verdict goes out) -> OPEN
 */
struct tip_passage {
	LIST_ENTRY(tip_passage) link;
	TAILQ_ENTRY(tip_passage) timed; /* in the worker's queue until it is open */
	struct tip_worker *worker;
	struct tip_worker_flow flow; /* own_id is the one below */
	struct tip_relay relay;
	enum {
		PASSAGE_DIALLING, /* the wire is connecting */
		PASSAGE_SHAKING,  /* the session is stepped */
		PASSAGE_WANTED,   /* the peer is good: tip_worker_join() is awaited */
		PASSAGE_LEG,      /* the application's leg is connecting */
		PASSAGE_OPEN,
	} state;
	bool inbound, is_timed;
	struct event wire_ev,
		leg_ev;              /* edge-triggered, both ways, until the pump has the sockets */
	int wire;                    /* until the session has it, then -1 */
	int leg;                     /* from PASSAGE_LEG until the pump has it, else -1 */
	struct tip_tls_svid *svid;   /* until the session has it */
	struct tip_session *session; /* until it is open */
	struct tip_pump *pump;
	char *peer_id;             /* once it is believed */
	enum tip_mtls_cause cause; /* why it ends, while the peer is being told */
	int error;                 /* errno of a dial that failed */
	uint64_t asked;            /* the state of policy when the IDs to expect were asked for */
	uint64_t deadline; /* CLOCK_MONOTONIC, ns: of each step up to WANTED, of the whole then */
	uint64_t sent, received; /* at the end */
	bool is_told;            /* tip_worker_moved() has told of it ... */
	uint64_t told;           /* ... and of so many bytes, both ways together */
	char own_id[];
};
LIST_HEAD(tip_passage_list, tip_passage);
TAILQ_HEAD(tip_passage_queue, tip_passage);

struct tip_worker {
	struct event_base *base;
	struct tip_bundles *bundles;
	struct tip_worker_ops ops;
	struct tip_records records;
	struct tip_pump_group *pumps;
	struct tip_relay_table *relays;
	struct tip_map *by_id; /* by the caller's IDs */
	struct tip_passage_list passages;
	struct tip_passage_queue timed; /* all have the same time, so it is in order of deadlines */
	struct event tick;              /* runs while there are any */
	uint64_t kernel;                /* opened with that backend */
	uint64_t policy;                /* counts changes of what ops.expected() may say */
	bool is_closing;
};

/* Takes `fd`. The passage may have ended when they return. */
void tip_passage_outbound(struct tip_worker *w, const struct tip_worker_flow *f, int fd);
void tip_passage_inbound(struct tip_worker *w, const struct tip_worker_flow *f, int fd);
/* Takes the application's leg; one that is not wanted is reset. */
void tip_passage_join(struct tip_passage *p, int fd);
/* Ends it, or has it end once the peer was told why. */
void tip_passage_cut(struct tip_passage *p, enum tip_mtls_cause cause);
/* Ends it at once; `text` may be NULL, or inside what `p` owns. */
void tip_passage_end(struct tip_passage *p, enum tip_mtls_cause cause, const char *text);
/* Its deadline has come. */
void tip_passage_late(struct tip_passage *p);

/* The ID that the peer has shown, believed or not; NULL: none. */
const char *tip_passage_peer(const struct tip_passage *p);
/* Asks policy again. TIP_MTLS_NONE, also while the peer is not known yet, or why it must end. */
enum tip_mtls_cause tip_passage_ask(const struct tip_passage *p);

#endif
