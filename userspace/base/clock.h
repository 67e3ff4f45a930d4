/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_CLOCK_H
#define TIP_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define TIP_NSEC_PER_SEC 1000000000ULL

uint64_t tip_clock_boot(void);      /* CLOCK_BOOTTIME, ns: the clock of kernel events */
uint64_t tip_clock_real(void);      /* CLOCK_REALTIME, ns since the epoch */
uint64_t tip_clock_monotonic(void); /* CLOCK_MONOTONIC, ns */

/* Turns a CLOCK_BOOTTIME stamp into wall-clock ns since the epoch (offset re-read each call). */
uint64_t tip_clock_boot_to_real(uint64_t boot_ns);

/* "2026-01-01T00:00:00.123456789Z" into `buf` (>= 31 bytes). Returns `buf`. */
char *tip_clock_iso8601(uint64_t real_ns, char *buf, size_t size);

/* Parses "90s", "10m", "1h", "2h30m", "250ms" or a bare number of seconds to ns. 0, or -1. */
int tip_duration_parse(const char *s, uint64_t *ns);

#endif
