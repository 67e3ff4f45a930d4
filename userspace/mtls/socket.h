/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_SOCKET_H
#define TIP_MTLS_SOCKET_H

#include <stdbool.h>

/*
 * Either leg from its first moment: non-blocking, no Nagle, and SO_LINGER {1,0}, so that whatever
 * ends this process ends the connection with a reset: half an answer must not look whole.
 * 0, or -1 with errno.
 */
int tip_leg_prepare(int fd);

/* The leg on the network besides: keepalive, and a limit on unacknowledged data. */
void tip_leg_watch_peer(int fd);

/* Closes: with a reset, or, if `clean`, after the kernel has delivered what was written. */
void tip_leg_close(int fd, bool clean);

/* The error that the socket holds (ECONNRESET after a reset), or 0; clears it. */
int tip_leg_error(int fd);

#endif
