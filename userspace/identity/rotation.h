/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_IDENTITY_ROTATION_H
#define TIP_IDENTITY_ROTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "base/clock.h"
#include "base/error.h"
#include "identity/jwk.h"

/*
 * The signing keys of an authority, of one purpose, over time. A successor is made and published at
 * half of a key's life, and signs from two thirds on, when everybody has had the time to learn of
 * it; the old one stays published until it expires.
 */

/* Enough for an old, a current and a next one, and one that a clock set wrong has left. */
#define TIP_GENERATIONS_MAX 4

/* Keys hold from a little earlier on, for peers whose clocks are behind. */
#define TIP_BACKDATE (10 * TIP_NSEC_PER_SEC)

struct tip_generation {
	X509 *cert;         /* what is published of an X.509 authority */
	struct tip_jwk jwk; /* what is published of a JWT key */
	EVP_PKEY *key;      /* NULL: retired, only what is published is still needed */
	uint64_t not_before, not_after;
};

struct tip_rotation {
	struct tip_generation list[TIP_GENERATIONS_MAX]; /* oldest first */
	size_t count;
	/* Makes a generation that begins TIP_BACKDATE before `now`. 0, or -1 with `err`. */
	int (*make)(void *ctx, uint64_t now, struct tip_generation *out, struct tip_error *err);
	void *ctx;
};

#define TIP_ROTATION_PUBLISHED (1u << 0) /* what is published changed */
#define TIP_ROTATION_KEPT      (1u << 1) /* what has to be kept changed */

/*
 * Does what is due at `now`: adds TIP_ROTATION_* to `*changes` and sets the time to call again. -1
 * with `err` when no key holds and none can be made, or a new one cannot.
 */
int tip_rotation_tick(struct tip_rotation *r, uint64_t now, unsigned int *changes, uint64_t *next,
		      struct tip_error *err);

/*
 * The newest that has been published long enough; where there is none, the oldest that holds,
 * unless that is about to end (the daemon was away when it should have made a successor). NULL:
 * none holds at `now`.
 */
struct tip_generation *tip_rotation_signer(struct tip_rotation *r, uint64_t now);

/* It has a life, as what is read from a record should. */
bool tip_generation_lives(const struct tip_generation *g);

void tip_generation_clear(struct tip_generation *g);
void tip_rotation_clear(struct tip_rotation *r);

#endif
