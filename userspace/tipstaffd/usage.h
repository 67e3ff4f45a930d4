/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_USAGE_H
#define TIP_TIPSTAFFD_USAGE_H

#include <stdint.h>

/* What the kernel says of this process and of the host; what cannot be read is 0. */
struct tip_usage {
	uint64_t rss_kb, pss_kb, vsz_kb; /* of this process */
	uint64_t host_memory_used_kb;    /* neither free nor a cache of files */
	uint64_t host_procs_running;     /* threads, in fact: on a CPU or waiting for one */
	uint64_t host_open_fds;          /* open files of all processes */
	uint64_t host_busy, host_ticks;  /* time of all CPUs since the boot: not idle, and all */
};

/* `proc`: "/proc". */
void tip_usage_read(const char *proc, struct tip_usage *out);

#endif
