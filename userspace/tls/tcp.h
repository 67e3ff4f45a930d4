/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TLS_TCP_H
#define TIP_TLS_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "tls/client.h"

/* A connection of a client, with TLS or without. Nothing here blocks. */
struct tip_tcp {
	int fd; /* -1: none */
	SSL *ssl;
	bool up;        /* connected, and TLS agreed upon */
	bool connected; /* the first of it */
};

enum tip_tcp_wants {
	TIP_TCP_DONE,   /* what was asked for is done */
	TIP_TCP_READ,   /* call again when the socket can be read from */
	TIP_TCP_WRITE,  /* ... written to */
	TIP_TCP_ENDED,  /* the other side has closed */
	TIP_TCP_FAILED, /* `err` says why */
};

/* Takes `fd`, non-blocking, which is connecting. `tls` NULL: none. -1 with `err`. */
int tip_tcp_open(struct tip_tcp *s, int fd, struct tip_tls_client *tls, struct tip_error *err);
/* Goes on until it is up. */
enum tip_tcp_wants tip_tcp_begin(struct tip_tcp *s, struct tip_error *err);
/* `*n` bytes were read, or written: fewer than `len` is no error. */
enum tip_tcp_wants tip_tcp_read(struct tip_tcp *s, void *buf, size_t len, size_t *n,
				struct tip_error *err);
enum tip_tcp_wants tip_tcp_write(struct tip_tcp *s, const void *buf, size_t len, size_t *n,
				 struct tip_error *err);
void tip_tcp_close(struct tip_tcp *s); /* also one that is closed, not one of zeros */

#endif
