/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ALERT_DIAL_H
#define TIP_ALERT_DIAL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Opens connections to one host and port. Names are resolved by a process without rights, which is
 * waited for: it belongs to a thread that may wait.
 */
struct tip_dialler;

/*
 * `host`: a name, or an address of IPv4 or IPv6 without brackets. `resolver`: a program that is
 * started as "RESOLVER --resolve HOST" and answers with a line "HOST ADDRESS ADDRESS ...".
 */
struct tip_dialler *tip_dialler_new(const char *host, uint16_t port, const char *resolver);
void tip_dialler_free(struct tip_dialler *d);

/*
 * A non-blocking socket that is connecting, to the next of the host's addresses; the caller's. -1:
 * there is none, which is in the log. Waits for the resolver, five seconds at most, or until
 * `late`.
 */
int tip_dialler_connect(struct tip_dialler *d, bool (*late)(void *ctx), void *ctx);
/* What was connected last came to nothing: another address is tried next, or the name again. */
void tip_dialler_failed(struct tip_dialler *d);

#endif
