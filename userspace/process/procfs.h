/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_PROCESS_PROCFS_H
#define TIP_PROCESS_PROCFS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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

/* ---- pieces of it ---- */

/* A descriptor of that folder, or -1. The caller closes it. */
int tip_procfs_open(uint32_t pid, uint64_t start_ns);
/* At most `size` - 1 bytes of a file below `dir`, NUL-terminated. Bytes read, or -1. */
ssize_t tip_procfs_file(int dir, const char *name, char *buf, size_t size);
/* The number behind "NAME:" in the text of /proc/PID/status, 0: there is none. */
uint64_t tip_procfs_number(const char *status, const char *name, int base);
/* "NSpid: 1234 7": the last number is the one inside. */
uint32_t tip_procfs_innermost(const char *status, const char *name);

#endif
