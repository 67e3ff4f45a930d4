/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/rotation.h"

#include <string.h>

#include "base/log.h"

void tip_generation_clear(struct tip_generation *g)
{
	X509_free(g->cert);
	tip_jwk_clear(&g->jwk);
	EVP_PKEY_free(g->key); /* wipes the private half */
	*g = (struct tip_generation){0};
}

static void remove_at(struct tip_rotation *r, size_t i)
{
	tip_generation_clear(&r->list[i]);
	r->count--;
	memmove(&r->list[i], &r->list[i + 1], (r->count - i) * sizeof(r->list[0]));
	r->list[r->count] = (struct tip_generation){0};
}

void tip_rotation_clear(struct tip_rotation *r)
{
	while (r->count)
		remove_at(r, r->count - 1);
}

static uint64_t made_at(const struct tip_generation *g)
{
	return g->not_before + TIP_BACKDATE;
}

bool tip_generation_lives(const struct tip_generation *g)
{
	return made_at(g) < g->not_after;
}

static uint64_t lifetime(const struct tip_generation *g)
{
	return g->not_after - made_at(g);
}

/* From here on it may sign: it has been published for a sixth of its life. */
static uint64_t known_at(const struct tip_generation *g)
{
	return made_at(g) + lifetime(g) / 6;
}

static bool can_sign(const struct tip_generation *g, uint64_t now)
{
	return g->key && g->not_before <= now && now < g->not_after;
}

/* Too little is left of it for what it signs to have a decent life. */
static bool is_ending(const struct tip_generation *g, uint64_t now)
{
	return g->not_after - now < lifetime(g) / 6;
}

struct tip_generation *tip_rotation_signer(struct tip_rotation *r, uint64_t now)
{
	struct tip_generation *choice = NULL;

	for (size_t i = r->count; i-- > 0;) {
		struct tip_generation *g = &r->list[i];

		if (!can_sign(g, now))
			continue;
		if (choice && is_ending(g, now))
			break;
		choice = g;
		if (known_at(g) <= now)
			break;
	}
	return choice;
}

static int add(struct tip_rotation *r, uint64_t now, struct tip_error *err)
{
	struct tip_generation g = {0};

	if (r->make(r->ctx, now, &g, err) < 0) {
		tip_generation_clear(&g);
		return -1;
	}
	if (r->count == TIP_GENERATIONS_MAX) {
		tip_warn("identity",
			 "more than %d authorities at once: the clock went back and "
			 "forth. The oldest is dropped",
			 TIP_GENERATIONS_MAX);
		remove_at(r, 0);
	}
	r->list[r->count++] = g;
	return 0;
}

static bool drop_expired(struct tip_rotation *r, uint64_t now)
{
	bool dropped = false;

	for (size_t i = r->count; i-- > 0;) {
		if (now < r->list[i].not_after)
			continue;
		remove_at(r, i);
		dropped = true;
	}
	return dropped;
}

/* The keys of those before the one that signs will not be needed again, unless a clock that is
 * behind chose it. */
static bool retire(struct tip_rotation *r, const struct tip_generation *current, uint64_t now)
{
	bool retired = false;

	for (struct tip_generation *g = r->list; g < current; g++) {
		if (!g->key || g->not_before > now)
			continue;
		EVP_PKEY_free(g->key);
		g->key = NULL;
		retired = true;
	}
	return retired;
}

/* The next point in time at which there is something to do. */
static uint64_t next_event(const struct tip_rotation *r, uint64_t now)
{
	const struct tip_generation *newest = &r->list[r->count - 1];
	uint64_t next = made_at(newest) + lifetime(newest) / 2;

	if (known_at(newest) > now && known_at(newest) < next)
		next = known_at(newest);
	for (size_t i = 0; i < r->count; i++)
		if (r->list[i].not_after < next)
			next = r->list[i].not_after;
	return next;
}

int tip_rotation_tick(struct tip_rotation *r, uint64_t now, unsigned int *changes, uint64_t *next,
		      struct tip_error *err)
{
	const struct tip_generation *newest;
	bool due;

	if (drop_expired(r, now))
		*changes |= TIP_ROTATION_PUBLISHED | TIP_ROTATION_KEPT;
	newest = r->count ? &r->list[r->count - 1] : NULL;
	due = newest && newest->key && now >= made_at(newest) + lifetime(newest) / 2;
	/* A clock that runs before all of them needs one of its own day. */
	if (due || !tip_rotation_signer(r, now)) {
		if (add(r, now, err) < 0)
			return -1;
		*changes |= TIP_ROTATION_PUBLISHED | TIP_ROTATION_KEPT;
	}
	if (retire(r, tip_rotation_signer(r, now), now))
		*changes |= TIP_ROTATION_KEPT;
	*next = next_event(r, now);
	return 0;
}
