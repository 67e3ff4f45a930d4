/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_PROCESS_TABLE_H
#define TIP_PROCESS_TABLE_H

/* The inside of the process table: shared by the files of this room only. */

#include "base/map.h"
#include "process/cgroup.h"
#include "process/cgroup_v1.h"
#include "process/process.h"
#include "process/procfs.h"

#define TIP_PROCESS_GRACE_NS (2ULL * 1000 * 1000 * 1000)
#define TIP_PROCESS_MIN      16

/* The strings of an image in one allocation; forks share them. */
struct proc_strings {
	uint32_t refs;
	uint16_t args_len, env_len;
	uint32_t filename, cwd, args, env; /* offsets into data; exe_path is at 0 */
	char data[];
};

/*
 * How an image came from the one before it, and so what it inherits when that one's identity
 * becomes known late:
 *  LINK_EXEC   the last identity that the older one held becomes this one's origin;
 *  LINK_AWAIT  forked while the older one waited for an answer: that answer was true for this one
 * too; LINK_FORK   forked with an answer: only repairs of the older one's own origin reach it.
 */
enum proc_link { LINK_NONE, LINK_EXEC, LINK_AWAIT, LINK_FORK };

struct proc_entry {
	struct tip_process p; /* first */
	char comm[16];
	struct proc_strings *strings;
	struct tip_cgroup *cgroup;
	struct tip_container *v1; /* where only cgroup v1 tells: a reference */
	uint64_t state_ns; /* when epoch, credentials and cgroup were taken: older events do not
			      change them */
	uint64_t parent_exec_id;

	struct proc_entry *exec_next; /* chain in by_exec */
	struct proc_entry *pid_next;  /* chain in by_pid: living ones only */
	struct proc_entry *prev,
		*next; /* in `living` (least recently seen first) or `ended` (oldest first) */

	struct proc_entry *from;    /* the image that this one came from, while it is kept */
	struct proc_entry *derived; /* images that came from this one */
	struct proc_entry *sibling, **sibling_link;
	enum proc_link link;
	uint32_t from_epoch; /* epoch of `from` that the link is about */

	/*
	 * p.current is the answer. `held` is the last identity that this image was given,
	 * `held_before` the one before that, `base` the origin it was born with; p.origin follows
	 * from them.
	 */
	uint32_t held, held_before, base;
	uint64_t left_ns; /* start of the process in which the lineage left `base` behind */
	uint32_t holding; /* as which it counts in `holders` of the table, 0: none */
	uint32_t waiting; /* events of it that are not evaluated yet */
};

struct proc_list {
	struct proc_entry *first, *last;
	size_t count;
};

/* Of one identity. */
struct proc_holders {
	size_t count;       /* processes that hold it */
	uint64_t oldest_ns; /* start of the oldest one, if that is known */
	bool known;
};

struct tip_process_table {
	size_t max;
	struct tip_sensor *sensor;
	struct tip_process_ops ops;
	struct tip_cgroups *cgroups;
	struct tip_cgroup_v1 *v1; /* NULL: there is cgroup2 only */

	struct proc_entry **by_exec, **by_pid; /* nbuckets each, a power of two */
	size_t nbuckets;
	size_t sweep_bucket; /* where the next round of comparing goes on */
	struct proc_list living, ended;
	size_t freed; /* entries since memory was given back to the system */
	uint64_t evictions, unknown;

	struct tip_map *numbers; /* SPIFFE ID -> number */
	char **names;            /* [number - TIP_ID_FIRST] */
	size_t nnames;
	struct proc_holders *holders; /* likewise, nholders of them */
	size_t nholders;

	struct tip_procfs scratch;
};

/* ---- table.c: memory, indexes, lists */

struct proc_entry *tip_proc_find(const struct tip_process_table *t, uint64_t exec_id);
struct proc_entry *tip_proc_find_pid(const struct tip_process_table *t, uint32_t tgid);
/* Evicts until `n` more entries fit. */
void tip_proc_room(struct tip_process_table *t, size_t n, uint64_t now_ns);
/* A new entry for `exec_id`, living and newest; the caller made room and fills it in. */
struct proc_entry *tip_proc_add(struct tip_process_table *t, const struct tip_proc_key *key,
				uint64_t exec_id, uint64_t now_ns);
void tip_proc_touch(struct tip_process_table *t, struct proc_entry *e);
/* The image is over: nothing if it was already. Calls ops.gone. */
void tip_proc_end(struct tip_process_table *t, struct proc_entry *e, uint64_t time_ns,
		  struct proc_entry *next);
struct proc_texts {
	const char *exe_path, *filename, *cwd;
	const char *args, *env; /* NUL between */
	uint16_t args_len, env_len;
};
/* Copies them. None may be NULL but those of length 0. */
void tip_proc_set_strings(struct proc_entry *e, const struct proc_texts *t);
void tip_proc_share_strings(struct proc_entry *e, const struct proc_entry *with);
void tip_proc_set_comm(struct proc_entry *e, const char *comm, size_t size);
/*
 * Looks for the container in cgroup v1, if cgroup2 tells of none; of a process that is gone already
 * it is the container of `from` (may be NULL), the image before it or its parent.
 */
void tip_proc_set_v1(struct tip_process_table *t, struct proc_entry *e,
		     const struct proc_entry *from, bool look);
void tip_proc_set_cgroup(struct tip_process_table *t, struct proc_entry *e, uint64_t id);

/* ---- fill.c: what the kernel and /proc know */

/* Makes the entry of a process that was missed; NULL if it is gone, or in another image than
 * `exec_id` (0: any). */
struct proc_entry *tip_proc_fill(struct tip_process_table *t, const struct tip_proc_key *key,
				 uint64_t exec_id);
/* Completes what an event did not carry from /proc, as far as it is missing. */
void tip_proc_fill_strings(struct tip_process_table *t, struct proc_entry *e);
/* Compares a living entry with the kernel: ends it, or takes over newer credentials. */
void tip_proc_compare(struct tip_process_table *t, struct proc_entry *e, uint64_t now_ns);

/* ---- lineage.c: current, origin, and who asks for them */

void tip_proc_link(struct proc_entry *e, struct proc_entry *from, enum proc_link link);
/* The entry leaves the table: those behind it are linked to the one before it. */
void tip_proc_unlink(struct proc_entry *e);
/* The last identity that a lineage held up to and including this image. */
uint32_t tip_proc_last(const struct tip_process_table *t, const struct proc_entry *e);
/* Computes p.current's and p.origin's names anew. */
void tip_proc_publish(struct tip_process_table *t, struct proc_entry *e);
/* Writes the kernel's binding. */
void tip_proc_bind(struct tip_process_table *t, const struct proc_entry *e);
/* New credentials or cgroup: pending again, until the new answer. False when that is known, or was
 * once. */
bool tip_proc_new_epoch(struct tip_process_table *t, struct proc_entry *e, uint32_t epoch,
			uint64_t time_ns);
/* Calls ops.unresolved, once an epoch. */
void tip_proc_ask(struct tip_process_table *t, struct proc_entry *e);

/* ---- holders.c */

/* What `left_ns` becomes in an image that comes from `from`. */
uint64_t tip_proc_left(const struct proc_entry *from, const struct proc_entry *e);

/* The entry's identity is another, or it ended: counts it as what it is now. */
void tip_proc_hold(struct tip_process_table *t, struct proc_entry *e);

/* ---- names.c */

void tip_proc_names_load(struct tip_process_table *t);
void tip_proc_names_free(struct tip_process_table *t);

#endif
