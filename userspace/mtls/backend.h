/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_BACKEND_H
#define TIP_MTLS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#include "mtls/cause.h"
#include "mtls/keys.h"

/*
 * Who makes and reads the records of an open connection: OpenSSL in this process ("user"), or the
 * kernel ("kernel"). Session and pump know only this. Calls never block. The process ignores
 * SIGPIPE: OpenSSL writes without MSG_NOSIGNAL.
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
	/*
	 * Is the peer still there? Takes nothing away. A FIN behind data is not looked for: data
	 * may well be all that it had to say. 0, or TIP_IO_FAILED.
	 */
	int (*look)(struct tip_backend *b);
	/* Records written since the current key: the AES-GCM budget is counted from it. */
	uint64_t (*rec_seq)(const struct tip_backend *b);
	/*
	 * The budget of a key that cannot be changed is nearly used up: end the connection as soon
	 * as nobody is in the middle of anything, before it ends by itself. NULL: never.
	 */
	bool (*worn)(const struct tip_backend *b);
	/* Frees the state. The socket stays the caller's, and nothing is said on it. */
	void (*close)(struct tip_backend *b);
};

#define TIP_BACKEND_TEXT 64

struct tip_backend {
	const struct tip_backend_ops *ops;
	int fd;
	enum tip_mtls_cause cause;
	char text[TIP_BACKEND_TEXT]; /* what OpenSSL or the kernel said about it */
};

/* How the records of connections are made. */
struct tip_records {
	unsigned int kernel; /* TIP_KTLS_*: what the kernel can do; 0: all by OpenSSL */
	uint64_t rekey;      /* records after which a new key is taken, where that can be done */
	uint64_t budget;     /* and where it cannot: of one AES-GCM key, then the connection ends */
};

/* Records under one key, RFC 8446 section 5.5 (2^24.5 for AES-GCM), with margins. */
#define TIP_RECORDS_REKEY  (1u << 22)
#define TIP_RECORDS_BUDGET (1u << 24)

/* What is used where nobody says otherwise: OpenSSL alone. */
extern const struct tip_records tip_records_user;

/* The user backend over a finished handshake; owns `ssl`. */
struct tip_backend *tip_backend_user(SSL *ssl, const struct tip_records *records);

/*
 * The connected socket may be given keys later. To be called before anything is exchanged: the
 * kernel takes it in ESTABLISHED only. False: not this one.
 */
bool tip_backend_kernel_prepare(int fd);
/*
 * The kernel backend over a finished handshake in which nothing was sent or read under the traffic
 * keys yet. `ssl` and its socket stay the caller's; after success `ssl` is of no use, and no byte
 * must pass through it. NULL: with `*cause` TIP_MTLS_NONE use the user backend; else the connection
 * is lost, and `text` (TIP_BACKEND_TEXT bytes) says how.
 */
struct tip_backend *tip_backend_kernel(SSL *ssl, struct tip_keys *keys,
				       const struct tip_records *records,
				       enum tip_mtls_cause *cause, char *text);

#endif
