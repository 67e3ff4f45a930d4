/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_KEYS_H
#define TIP_MTLS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

/*
 * The traffic secrets of one TLS 1.3 connection (RFC 8446 section 7), from OpenSSL's hands into the
 * kernel's.
 */
#define TIP_SECRET_MAX 48

struct tip_keys {
	const char *digest;       /* of the suite, as OpenSSL names it */
	unsigned int cipher;      /* TLS_CIPHER_* of linux/tls.h; 0: none that the kernel knows */
	size_t len;               /* of a secret */
	size_t own_len, peer_len; /* as far as they are known */
	uint8_t own[TIP_SECRET_MAX], peer[TIP_SECRET_MAX];
};

/*
 * Takes a line of OpenSSL's key log if it is one of the two first application traffic secrets;
 * `server`: we are one.
 */
void tip_keys_log(struct tip_keys *k, bool server, const char *line);

/* The suite is agreed upon. False: not all is known that the kernel must be told. */
bool tip_keys_complete(struct tip_keys *k, const SSL *ssl);

/*
 * Gives the kernel the key that follows from our secret, for writing (`tx`), or from the peer's,
 * for reading, with sequence number 0. 0, or -1 with errno.
 */
int tip_keys_install(const struct tip_keys *k, int fd, bool tx);

/* How many records were written under the current key, as the kernel has it. 0, or -1 with errno.
 */
int tip_keys_seq(unsigned int cipher, int fd, uint64_t *seq);

/* The secret of that direction becomes the next one: a KeyUpdate. 0, or -1: OpenSSL fails. */
int tip_keys_next(struct tip_keys *k, bool tx);

void tip_keys_wipe(struct tip_keys *k);

#endif
