/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DIGEST_DIGEST_H
#define TIP_DIGEST_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

/*
 * SHA-256 of executables, on a thread of its own, remembered by file. It reads a file that somebody
 * else has opened and knows nothing of processes.
 *
 * Not hashed, since what is read need not be what is executed: files of FUSE and of network file
 * systems, which may answer each reader differently; special files; files beyond the limit. Not
 * remembered: a file that was changed less than TIP_DIGEST_SETTLED_NS ago, for another change in
 * the same tick of the clock (4 ms before Linux 6.13) would leave its ctime as it was; and files of
 * tmpfs, whose ctime does not change with what is written through a shared mapping. A file with
 * fs-verity is remembered by that digest instead: no time says as much.
 */
struct tip_digester;

#define TIP_DIGEST_TEXT       65 /* 64 hexadecimal digits and a NUL */
#define TIP_DIGEST_SETTLED_NS (20ULL * 1000 * 1000)
#define TIP_DIGEST_QUEUE      1024 /* files that wait */
#define TIP_DIGEST_CACHE      4096 /* files that are remembered */

struct tip_digest_ops {
	/*
	 * The answer to tip_digester_ask(), on the event loop: 64 lower-case hexadecimal digits; or
	 * "" and why there is none. May ask again.
	 */
	void (*done)(void *ctx, uint64_t tag, const char *sha256, const char *why);
	void *ctx;
};

/* `max_bytes`: larger files have no digest. NULL when there is no thread to be had (errno). */
struct tip_digester *tip_digester_new(struct event_base *base, uint64_t max_bytes,
				      const struct tip_digest_ops *ops);
/* Waits for the file that is being read; what waits behind it is not answered any more. */
void tip_digester_free(struct tip_digester *d);

/*
 * Asks for the digest of the regular file `fd` (which stays the caller's). True when it is
 * remembered: then it is in `out`, and done() is not called. Otherwise done() is called later,
 * once, with `tag`; also when too many wait, or the file is none that is hashed.
 */
bool tip_digester_ask(struct tip_digester *d, int fd, uint64_t tag, char out[TIP_DIGEST_TEXT]);

struct tip_digest_stats {
	uint64_t hashed, remembered, refused; /* files; answers from memory; no digest */
	uint64_t bytes;
	size_t waiting;
};
void tip_digester_stats(struct tip_digester *d, struct tip_digest_stats *out);

#endif
