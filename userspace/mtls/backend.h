/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_BACKEND_H
#define TIP_MTLS_BACKEND_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#include "mtls/cause.h"

/*
 * Who makes and reads the records of an open connection: OpenSSL in this process ("user"), and
 * later the kernel. The pump knows only this. Calls never block. The process ignores SIGPIPE:
 * OpenSSL writes without MSG_NOSIGNAL.
 */
struct tip_backend;

/* Negative results of read, write and shutdown_write. */
enum tip_io {
	TIP_IO_WANT_READ = -1,  /* again when the socket is readable */
	TIP_IO_WANT_WRITE = -2, /* again when it is writable */
	TIP_IO_FAILED = -3,     /* never again; `cause` says why */
};

struct tip_backend_ops {
	const char *name;
	/* Bytes of plaintext; 0: the peer has said close_notify. */
	ssize_t (*read)(struct tip_backend *b, void *buf, size_t len);
	/*
	 * Bytes taken, at least 1. After a negative result the next call has the same bytes, and
	 * perhaps more after them, at any address.
	 */
	ssize_t (*write)(struct tip_backend *b, const void *buf, size_t len);
	/* Says close_notify, then FIN. Reading goes on. 0, or an enum tip_io. */
	int (*shutdown_write)(struct tip_backend *b);
	/* Records written since the current key: the AES-GCM budget is counted from it. */
	uint64_t (*rec_seq)(const struct tip_backend *b);
	/* Frees the state. The socket stays the caller's, and nothing is said on it. */
	void (*close)(struct tip_backend *b);
};

struct tip_backend {
	const struct tip_backend_ops *ops;
	int fd;
	enum tip_mtls_cause cause;
};

/* Records under one key, RFC 8446 section 5.5 (2^24.5 for AES-GCM) with a margin. */
#define TIP_BACKEND_REKEY (1u << 22)

/*
 * The user backend over a finished handshake; owns `ssl`. A new key is taken after `rekey` records.
 */
struct tip_backend *tip_backend_user(SSL *ssl, uint64_t rekey);

#endif
