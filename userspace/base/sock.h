/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_SOCK_H
#define TIP_BASE_SOCK_H

#include <stddef.h>
#include <sys/uio.h>

/*
 * Sends a message over a Unix socket, with a descriptor beside it (SCM_RIGHTS) unless `fd` is -1;
 * it stays the caller's. `flags`: MSG_NOSIGNAL is added. Signals do not end it. 0, or errno.
 */
int tip_send_fd(int to, const struct iovec *iov, size_t n, int fd, int flags);

#endif
