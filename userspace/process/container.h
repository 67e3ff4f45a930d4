/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_PROCESS_CONTAINER_H
#define TIP_PROCESS_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tipstaff/facts.h"

/*
 * Containers, as cgroups show them: one record for each cgroup whose name holds a container's id,
 * and what a runtime has said about it. A record lives as long as a cgroup in it is remembered.
 */
enum tip_container_state {
	TIP_CONTAINER_NEW,     /* nobody was asked */
	TIP_CONTAINER_ASKED,   /* the answer is awaited */
	TIP_CONTAINER_KNOWN,   /* there are facts */
	TIP_CONTAINER_UNKNOWN, /* no runtime knows it, or none is to be asked */
};

struct tip_container {
	const char *path; /* of its cgroup, "/..."; one record for each */
	char id[65];      /* 64 hex digits, or what the older forms have for an id */
	uint32_t refs;
	enum tip_container_state state;
	enum tip_runtime runtime; /* by the name of the cgroup */
	const char *type;         /* by that name, NULL: it does not tell */
	/*
	 * The cgroup was made by root. What another user made may be called anything: its id is
	 * told, and nobody is asked about it.
	 */
	bool trusted;
	uint64_t asked_ns; /* boottime: the last question */
	uint64_t retry_ns; /* UNKNOWN: when a new process is worth another one */
	char *facts;       /* as they came, NULL: none */
	size_t facts_len;
	const char *fact[TIP_FACT_SINGLE];
};

/* One of the single facts, NULL: not known. */
const char *tip_container_fact(const struct tip_container *c, enum tip_fact which);
/* The next of the repeated facts after `at` (NULL: the first), NULL: no more. */
const char *tip_container_fact_next(const struct tip_container *c, enum tip_fact which,
				    const char *at);

/*
 * The container that a cgroup's path names: the outermost component that holds an id, since what
 * lies below a container's own cgroup was named by the container.
 */
struct tip_container_name {
	char id[65];
	size_t end; /* bytes of the path up to and including that component */
	enum tip_runtime runtime;
	const char *type;
};
bool tip_container_name_parse(const char *path, struct tip_container_name *out);

/* ---- the table of them; used by the files of this room ----------------------------------- */

/* How many containers have facts at a time, unless the configuration says otherwise. */
#define TIP_CONTAINERS_MAX 1024

struct tip_containers;
struct tip_containers *tip_containers_new(size_t max_known);
void tip_containers_free(struct tip_containers *c);
/* At most so many have facts; beyond it nobody is asked. */
void tip_containers_limit(struct tip_containers *c, size_t max_known);
/*
 * A reference to the record of the container that `path` lies in, NULL: in none. `trusted` is
 * asked once, with the path of the container's cgroup; NULL: it is.
 */
struct tip_container *tip_containers_get(struct tip_containers *c, const char *path,
					 bool (*trusted)(void *ctx, const char *path), void *ctx);
/* One more reference to it, NULL is fine. */
struct tip_container *tip_container_ref(struct tip_container *k);
void tip_containers_put(struct tip_containers *c, struct tip_container *k);
/* True when somebody is to be asked about it now: the state is ASKED then. */
bool tip_containers_want(struct tip_containers *c, struct tip_container *k, uint64_t now_ns);
/*
 * Takes an answer for each record of that id that waits for one, or has one already. `facts` NULL:
 * no runtime knows it. False when `facts` do not have the form, or nobody waits.
 */
bool tip_containers_answer(struct tip_containers *c, const char *id, const void *facts, size_t len,
			   uint64_t now_ns);
/*
 * The same for facts that came ahead of the answer: they are there, and who waits goes on waiting.
 */
void tip_containers_told(struct tip_containers *c, const char *id, const void *facts, size_t len);
struct tip_container *tip_containers_next(const struct tip_containers *c, size_t *it);
struct tip_container_stats {
	size_t count, known;
	uint64_t answers;
	uint64_t overflow;  /* not asked about, since so many are known already */
	uint64_t untrusted; /* whose cgroup was not made by root */
	uint64_t malformed; /* answers that were no list of facts */
};
void tip_containers_stats(const struct tip_containers *c, struct tip_container_stats *out);

#endif
