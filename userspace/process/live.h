/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_PROCESS_LIVE_H
#define TIP_PROCESS_LIVE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/types.h>

#include "tipstaff/abi.h"

/*
 * What /proc says of a process at this moment, for fields that no event carries. Each of them costs
 * a few system calls; a process that has ended has none. Nothing here waits for anybody: neither
 * memory of the process is read nor a file system asked, since both may be made to answer never.
 */

/*
 * A descriptor of /proc/PID, of that very process: a number that is used again is not mistaken. -1:
 * it is gone. The caller closes it.
 */
int tip_live_open(const struct tip_proc_key *key);

struct tip_live_sizes {
	uint64_t vm_size, vm_rss, vm_swap; /* KiB */
	uint32_t threads;
};
bool tip_live_sizes(int proc, struct tip_live_sizes *out);

/* Soft limit of descriptors, -1: unknown. */
int64_t tip_live_fdlimit(int proc);

/* Calls `fn` with the number of each open descriptor until it says false. False: not readable. */
bool tip_live_fds(int proc, bool (*fn)(void *ctx, uint32_t fd), void *ctx);

/* What stands behind a descriptor. */
struct tip_live_fd {
	const char *type; /* as fd.type has it */
	char name[PATH_MAX];
};
bool tip_live_fd(int proc, uint32_t fd, struct tip_live_fd *out);

/* The text of /proc/PID/cgroup, NUL-terminated, cut at `size` - 1. -1: not readable. */
ssize_t tip_live_cgroups(int proc, char *buf, size_t size);

struct tip_live_thread {
	uint32_t vtid; /* in its own pid namespace */
	uint64_t faults_major, faults_minor;
};
bool tip_live_thread(int proc, uint32_t tid, struct tip_live_thread *out);

#endif
