/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_RPC_FRAME_H
#define TIP_RPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What both ends of gRPC share: the 5-byte message prefix (one flag byte, a big-endian length) and
 * the text forms of grpc-timeout and grpc-message ("gRPC over HTTP2" in grpc/doc).
 */
#define TIP_GRPC_PREFIX  5
#define TIP_GRPC_MESSAGE 1024 /* longest grpc-message text, in plain bytes */

/* Wipes, then frees: every buffer that may have held a key goes this way. NULL is fine. */
void tip_rpc_wipe_free(void *p, size_t len);

/* Collects one message at a time from a stream of bytes. Zero-initialise it and set `max`. */
struct tip_grpc_reader {
	size_t max; /* longest message that is taken */
	uint8_t prefix[TIP_GRPC_PREFIX];
	size_t have;  /* bytes of the prefix so far */
	uint8_t *msg; /* allocated once the prefix is whole */
	size_t len, got;
};

enum tip_grpc_read {
	TIP_GRPC_READ_MORE,       /* all input taken, no whole message yet */
	TIP_GRPC_READ_MESSAGE,    /* `msg`, `len`: a message; then call tip_grpc_reader_next() */
	TIP_GRPC_READ_COMPRESSED, /* the flag asks for decompression, which is not offered */
	TIP_GRPC_READ_BAD_FLAG,   /* a flag byte that does not exist */
	TIP_GRPC_READ_TOO_LONG, /* longer than `max`: `len` says how long; nothing was allocated */
};

/* Takes bytes from `*data` (advanced, as `*len` shrinks) up to the end of one message. */
enum tip_grpc_read tip_grpc_reader_feed(struct tip_grpc_reader *r, const uint8_t **data,
					size_t *len);
/* Forgets the message (wiped) and waits for the next one. */
void tip_grpc_reader_next(struct tip_grpc_reader *r);
/* True between messages: an end of stream is clean here. */
bool tip_grpc_reader_clean(const struct tip_grpc_reader *r);

/* The prefix of an uncompressed message of `len` bytes. */
void tip_grpc_prefix(uint8_t out[TIP_GRPC_PREFIX], size_t len);

/* "500m" (H, M, S, m, u, n; at most 8 digits) to ns. 0, or -1. */
int tip_grpc_timeout_parse(const char *s, uint64_t *ns);

/*
 * grpc-message: printable ASCII as it is, everything else and '%' as %XX. `out` has room for 3 *
 * TIP_GRPC_MESSAGE + 1 bytes; a longer text is cut. Returns the length.
 */
size_t tip_grpc_message_encode(const char *text, char *out);
/* The reverse, lenient: a broken escape stands for itself. Terminated, cut to `size`. */
void tip_grpc_message_decode(const char *s, size_t len, char *out, size_t size);

#endif
