/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

/* ---- SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF") ---------- */

static uint64_t hash_key[2];

__attribute__((constructor)) static void hash_seed(void)
{
	if (getrandom(hash_key, sizeof(hash_key), 0) != sizeof(hash_key))
		abort();
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t tip_hash(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t v[4] = {0x736f6d6570736575ULL ^ hash_key[0], 0x646f72616e646f6dULL ^ hash_key[1],
			 0x6c7967656e657261ULL ^ hash_key[0], 0x7465646279746573ULL ^ hash_key[1]};
	uint64_t last = (uint64_t)len << 56, word;
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&word, p, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- open addressing with linear probing; deletion by shifting back ------------------ */

struct slot {
	uint64_t hash;
	void *value; /* NULL: free */
	size_t len;
	char *key; /* keys of up to eight bytes live in `inline_key` */
	char inline_key[8];
};

struct tip_map {
	struct slot *slots;
	size_t cap; /* a power of two, 0 before the first entry */
	size_t count;
};

static const char *slot_key(const struct slot *s)
{
	return s->len <= sizeof(s->inline_key) ? s->inline_key : s->key;
}

static void slot_clear(struct slot *s)
{
	if (s->len > sizeof(s->inline_key))
		free(s->key);
	*s = (struct slot){0};
}

struct tip_map *tip_map_new(void)
{
	return tip_alloc(sizeof(struct tip_map));
}

void tip_map_free(struct tip_map *m, void (*free_value)(void *))
{
	if (!m)
		return;
	for (size_t i = 0; i < m->cap; i++) {
		if (!m->slots[i].value)
			continue;
		if (free_value)
			free_value(m->slots[i].value);
		slot_clear(&m->slots[i]);
	}
	free(m->slots);
	free(m);
}

size_t tip_map_count(const struct tip_map *m)
{
	return m->count;
}

/* The slot of the key, or the free slot where it would go. Needs cap > 0. */
static struct slot *find(const struct tip_map *m, uint64_t hash, const void *key, size_t len)
{
	size_t i = hash & (m->cap - 1);

	for (;; i = (i + 1) & (m->cap - 1)) {
		struct slot *s = &m->slots[i];

		if (!s->value)
			return s;
		if (s->hash == hash && s->len == len && memcmp(slot_key(s), key, len) == 0)
			return s;
	}
}

static void grow(struct tip_map *m)
{
	struct slot *old = m->slots;
	size_t old_cap = m->cap;

	m->cap = old_cap ? old_cap * 2 : 16;
	m->slots = tip_calloc(m->cap, sizeof(*m->slots));
	for (size_t i = 0; i < old_cap; i++)
		if (old[i].value)
			*find(m, old[i].hash, slot_key(&old[i]), old[i].len) = old[i];
	free(old);
}

void *tip_map_get(const struct tip_map *m, const void *key, size_t len)
{
	return m->cap ? find(m, tip_hash(key, len), key, len)->value : NULL;
}

void *tip_map_put(struct tip_map *m, const void *key, size_t len, void *value)
{
	uint64_t hash = tip_hash(key, len);
	struct slot *s;
	void *old;

	if ((m->count + 1) * 4 > m->cap * 3)
		grow(m);
	s = find(m, hash, key, len);
	old = s->value;
	if (!old) {
		s->hash = hash;
		s->len = len;
		if (len <= sizeof(s->inline_key)) {
			memcpy(s->inline_key, key, len);
		} else {
			s->key = tip_alloc(len);
			memcpy(s->key, key, len);
		}
		m->count++;
	}
	s->value = value;
	return old;
}

void *tip_map_del(struct tip_map *m, const void *key, size_t len)
{
	struct slot *s;
	size_t i, hole;
	void *old;

	if (!m->cap)
		return NULL;
	s = find(m, tip_hash(key, len), key, len);
	old = s->value;
	if (!old)
		return NULL;
	slot_clear(s);
	m->count--;
	/* Close the gap: whoever probed past it moves into it. */
	hole = (size_t)(s - m->slots);
	for (i = (hole + 1) & (m->cap - 1); m->slots[i].value; i = (i + 1) & (m->cap - 1)) {
		size_t home = m->slots[i].hash & (m->cap - 1);

		if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
			m->slots[hole] = m->slots[i];
			m->slots[i] = (struct slot){0};
			hole = i;
		}
	}
	return old;
}

void *tip_map_gets(const struct tip_map *m, const char *key)
{
	return tip_map_get(m, key, strlen(key));
}

void *tip_map_puts(struct tip_map *m, const char *key, void *value)
{
	return tip_map_put(m, key, strlen(key), value);
}

void *tip_map_dels(struct tip_map *m, const char *key)
{
	return tip_map_del(m, key, strlen(key));
}

void *tip_map_getu(const struct tip_map *m, uint64_t key)
{
	return tip_map_get(m, &key, sizeof(key));
}

void *tip_map_putu(struct tip_map *m, uint64_t key, void *value)
{
	return tip_map_put(m, &key, sizeof(key), value);
}

void *tip_map_delu(struct tip_map *m, uint64_t key)
{
	return tip_map_del(m, &key, sizeof(key));
}

void *tip_map_next(const struct tip_map *m, size_t *it)
{
	size_t start, steps;
	void *v;

	/*
	 * Walk downwards from a free slot, once around. A deletion pulls entries of its cluster
	 * down into the gap; no cluster spans the start, so only entries that were returned already
	 * move. `it` holds start + 1 in its upper half (0: not begun) and the steps taken in its
	 * lower half.
	 */
	if (!m->cap)
		return NULL;
	if (!*it) {
		for (start = 0; m->slots[start].value; start++)
			;
		*it = (start + 1) << 32;
	}
	start = (*it >> 32) - 1;
	while ((steps = *it & UINT32_MAX) < m->cap) {
		++*it;
		v = m->slots[(start - steps) & (m->cap - 1)].value;
		if (v)
			return v;
	}
	return NULL;
}
