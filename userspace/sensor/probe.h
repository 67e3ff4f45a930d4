/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SENSOR_PROBE_H
#define TIP_SENSOR_PROBE_H

/* Shared by the probes only. */

#include "sensor/sensor.h"

/* Says that it works, and how it was tried. */
void tip_probe_works(struct tip_capability_result *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Says at which step it failed; `err` is an errno, 0 to leave it out. */
void tip_probe_fails(struct tip_capability_result *r, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Runs `fn` in a child, which may leave its namespaces or be killed, and copies its result back. A
 * child that ends by `signal` (0: none) without a result leaves `r` as it was: the caller set it.
 * Returns true if that happened.
 */
bool tip_probe_in_child(struct tip_capability_result *r, int signal,
			void (*fn)(struct tip_capability_result *r));

/* In such a child: a network namespace of its own, with a loopback. 0, or -1 (said in `r`). */
int tip_probe_own_netns(struct tip_capability_result *r);
/* 0, or -1 with errno. */
int tip_probe_loopback_up(void);

/* kTLS: `r->bits` gets what the kernel can do (probe_ktls.c). */
void tip_probe_ktls(struct tip_capability_result *r);
/*
 * Has that kernel (uname -r, -v) the corrections without which kTLS loses data or lets plaintext
 * out? `exclusive`: it keeps sockets out of sockmaps.
 */
bool tip_ktls_has_fixes(const char *release, const char *version, bool exclusive);

/* IMA, asked by a program (probe_ima.c). */
void tip_probe_ima(struct tip_capability_result *r);

/* What needs no BPF program of a special kind: sockets and netlink (probe_net.c). */
void tip_probe_nfqueue(struct tip_capability_result *r);
void tip_probe_sk_lookup(struct tip_capability_result *r);

#endif
