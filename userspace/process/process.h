/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_PROCESS_PROCESS_H
#define TIP_PROCESS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/container.h"
#include "sensor/sensor.h"

/*
 * The process table: what the keeper knows about each process, kept from
 * lifecycle events alone; /proc is read only for the arguments and comm of processes that were
 * there before us. Bounded: when it is full, the process that ended longest ago goes first, then
 * the one least recently seen; evictions are counted.
 */

/*
 * One image of one process (an exec, or a fork that has not exec'ed). Strings are never NULL. After
 * the process ended the entry stays for a grace period, so that late events and children find it.
 */
struct tip_process {
	struct tip_proc_key key;
	uint64_t exec_id;
	uint32_t epoch;
	uint32_t flags; /* TIP_PROC_* */
	uint64_t cgroup_id;
	const char *cgroup;              /* path below the cgroup2 mount, "/..." */
	const char *container_id;        /* 64 hex digits from the cgroup path, "" outside */
	struct tip_container *container; /* NULL outside */
	uint32_t uid, gid, euid, egid, loginuid;
	uint32_t tty, sid, pgid, vpid, vpgid, mntns, pidns;
	uint32_t netns; /* inode number, as exec, fork or a snapshot told it; 0: unknown */
	uint32_t ppid;  /* tgid of the parent when it was made */
	uint64_t exe_ino, exe_ctime_ns, exe_mtime_ns;
	uint64_t cap_permitted, cap_effective, cap_inheritable;
	uint64_t
		pidns_init_ns; /* when the first process of its pid namespace started; 0: unknown */
	uint32_t exe_dev, exe_mode;
	const char *comm;
	const char *exe_path; /* proc.exepath: as the kernel walked it */
	const char *filename; /* what was passed to exec */
	const char *cwd;      /* at exec */
	const char *args;     /* argv, NUL between, args_len bytes and a final NUL */
	const char *env;      /* likewise the environment at exec, as far as it was gathered */
	uint16_t args_len, env_len;
	uint16_t syscall;      /* 0 execve, 1 execveat */
	uint64_t exec_time_ns; /* boottime */
	uint64_t exit_time_ns; /* when this image ended, by exit or by the next exec; 0: it lives */

	/* identity, as answered; numbers of struct tip_binding */
	uint32_t current, origin;
	const char *spiffe_id; /* of current, NULL: none or pending */
	const char *origin_id; /* of origin, NULL: none */
	bool reported;         /* the identity side has been told about this epoch */
};

struct tip_process_table;

struct tip_process_ops {
	/*
	 * A process needs its identity (new exec, new credentials or cgroup). Called once per
	 * {exec id, epoch}; the answer comes later through tip_process_resolve().
	 */
	void (*unresolved)(void *ctx, struct tip_process *p);
	/* An exec id is over: its process ended or exec'ed something else (`next`, NULL on exit).
	 */
	void (*gone)(void *ctx, struct tip_process *p, struct tip_process *next);
	/*
	 * True when that identity, once it is an origin, stays one: it is quarantined, and two
	 * execs must not wash it off (the kernel does the same). NULL: none is.
	 */
	bool (*sticky)(void *ctx, uint32_t number);
	/* A container was seen whose facts nobody has asked for. NULL: nobody is asked. */
	void (*container)(void *ctx, struct tip_container *c);
	/* An identity got its number; no process has it yet. NULL: nobody wants to know. */
	void (*numbered)(void *ctx, uint32_t number, const char *spiffe_id);
	void *ctx;
};

/*
 * `max` bounds the entries, ended ones included (at least 16). `cgroup2` is the mount point.
 * `sensor` may be NULL: then nothing is asked of the kernel or told to it.
 */
struct tip_process_table *tip_process_table_new(size_t max, const char *cgroup2,
						struct tip_sensor *sensor,
						const struct tip_process_ops *ops);
void tip_process_table_free(struct tip_process_table *t);

/*
 * Applies a lifecycle event (does nothing for others) and returns the process that the
 * event is about (for exec: the new image; for fork: the parent), or NULL when it is unknown even
 * to the kernel. Unknown processes are filled in from `procs` and marked TIP_PROC_PREEXISTING.
 */
struct tip_process *tip_process_event(struct tip_process_table *t, const struct tip_event *ev);

struct tip_process *tip_process_by_exec_id(struct tip_process_table *t, uint64_t exec_id);
/* The process that lives under this number. */
struct tip_process *tip_process_by_pid(struct tip_process_table *t, uint32_t tgid);
/*
 * The parent image as it was when `p` was forked; when that is no longer kept, the same process in
 * its present image; NULL if neither is known.
 */
struct tip_process *tip_process_parent(struct tip_process_table *t, const struct tip_process *p);

/*
 * The identity side answered: `spiffe_id` NULL or "" means none. Stale epochs are ignored. Writes
 * the kernel's binding, and hands the origin on to descendants that left this image before the
 * answer came. Returns the process, or NULL if it is gone or the answer is a stale one.
 */
struct tip_process *tip_process_resolve(struct tip_process_table *t, uint64_t exec_id,
					uint32_t epoch, const char *spiffe_id);

/* Marks every process as unresolved (entries changed): ops.unresolved is called for each that
 * lives. */
void tip_process_reresolve(struct tip_process_table *t);

/* Calls `fn` for every process that lives, in order of start. */
void tip_process_each(struct tip_process_table *t, void (*fn)(void *ctx, struct tip_process *p),
		      void *ctx);

/*
 * Drops entries that ended longer than the grace period (2 s) ago, and compares a few living ones
 * with the kernel. Call about once a second.
 */
void tip_process_expire(struct tip_process_table *t, uint64_t now_boot_ns);

/*
 * An event of that process waits to be evaluated, or does no longer: until then it is not dropped
 * for having ended long ago.
 */
void tip_process_waiting(struct tip_process *p, bool waits);

/*
 * Compares one process with the kernel, in case an event about it was lost. NULL: that exec is
 * over, or unknown. When its credentials or cgroup are others by now, ops.unresolved was called.
 */
struct tip_process *tip_process_refresh(struct tip_process_table *t, uint64_t exec_id);

/* Ends every entry that the kernel no longer knows: after a lifecycle drop, behind
 * tip_sensor_snapshot(). */
void tip_process_sweep(struct tip_process_table *t);

/* The containers that processes of the table are in. */
struct tip_containers *tip_process_containers(struct tip_process_table *t);

struct tip_process_stats {
	size_t count, living;
	uint64_t evictions; /* entries that had to go although they lived or were within grace */
	uint64_t unknown;   /* events whose process was in neither table */
};
void tip_process_stats(const struct tip_process_table *t, struct tip_process_stats *out);

/* Identity numbers: SPIFFE ID <-> number, stored beside the pins. Strings live as long as the
 * table. */
const char *tip_process_identity_name(struct tip_process_table *t, uint32_t number);
/* The number of `spiffe_id`, assigned on first use. 0 when the numbers are used up. */
uint32_t tip_process_identity_number(struct tip_process_table *t, const char *spiffe_id);

/*
 * Whether what `p` comes from was started anew since: 1 when processes with its origin's SPIFFE ID
 * live, and all of them started after the process in which `p`'s lineage left it; 0 when one of
 * them is as old; -1 when none lives, or `p` has no origin. Where several instances of a workload
 * are on the node, each counts. Of a process that an earlier daemon saw start, only its own start
 * is known.
 */
int tip_process_origin_replaced(struct tip_process_table *t, const struct tip_process *p);

/*
 * The container id inside a cgroup path (the 64 hex digits), into `out`[65]; false if none. The
 * outermost one: what lies below a container's own cgroup was named by the container.
 */
bool tip_container_id_from_cgroup(const char *path, char out[65]);

#endif
