/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_PROCESS_PROCFS_H
#define TIP_PROCESS_PROCFS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/types.h>

#include "tipstaff/abi.h"

/* What /proc says about a process that was there before us. */
struct tip_procfs {
	char comm[16];
	char exe[PATH_MAX];
	char cwd[PATH_MAX];
	char args[TIP_ARGS_MAX + 1]; /* NUL between, and at the end */
	uint16_t args_len;
	uint32_t ppid, pgid, sid, tty, loginuid, vpid, vpgid;
	uint64_t cap_permitted, cap_effective, cap_inheritable;
};

/*
 * Reads /proc/PID, but only if the process there started at `start_ns` (boottime; /proc rounds to
 * 10 ms): everything is read through one descriptor of that folder, so a number that is used again
 * is not mistaken. False: not that process, or gone.
 */
bool tip_procfs_read(uint32_t pid, uint64_t start_ns, struct tip_procfs *out);

#endif
