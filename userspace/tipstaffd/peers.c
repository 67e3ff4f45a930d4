/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/peers.h"

#include <inttypes.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "tipstaff/abi.h"

#define HEAD     "tipstaff peers 1\n"
#define FILE_MAX ((size_t)TIP_PEERS_MAX * 2 * (TIP_SPIFFE_ID_MAX + 16))
#define WRITE_NS (10ull * 1000 * 1000 * 1000)

/* An identity of this node. */
struct own {
	uint64_t first_ns; /* wall clock: it had its first peer */
	size_t pairs;
	char id[];
};

struct pair {
	uint64_t met; /* the number of its last meeting */
	struct own *own;
	char key[]; /* "OWN PEER" */
};

struct tip_peers {
	char *path;
	size_t max;
	struct tip_map *owns, *pairs;
	uint64_t meetings;
	uint64_t forgotten, written_ns; /* monotonic */
	bool dirty;
};

/* ---- the book ------------------------------------------------------------------------------ */

static void forget(struct tip_peers *p, struct pair *e)
{
	tip_map_dels(p->pairs, e->key);
	if (--e->own->pairs == 0) {
		tip_map_dels(p->owns, e->own->id);
		free(e->own);
	}
	free(e);
}

static void forget_all(struct tip_peers *p)
{
	struct pair *e;
	size_t it = 0;

	while ((e = tip_map_next(p->pairs, &it)))
		forget(p, e);
}

/* Only where the book is full, and one more is met: a look at all is cheap enough. */
static struct pair *longest_ago(const struct tip_peers *p)
{
	struct pair *e, *found = NULL;
	size_t it = 0;

	while ((e = tip_map_next(p->pairs, &it)))
		if (!found || e->met < found->met)
			found = e;
	return found;
}

static struct own *own_of(struct tip_peers *p, const char *id, uint64_t first_ns)
{
	struct own *own = tip_map_gets(p->owns, id);
	size_t len = strlen(id) + 1;

	if (own)
		return own;
	own = tip_alloc(sizeof(*own) + len);
	own->first_ns = first_ns;
	memcpy(own->id, id, len);
	tip_map_puts(p->owns, id, own);
	return own;
}

/* True when the pair is new. It counts as the one that was met last. */
static bool meet(struct tip_peers *p, struct own *own, const char *peer)
{
	char *key = tip_sprintf("%s %s", own->id, peer);
	struct pair *e = tip_map_gets(p->pairs, key);
	bool is_new = !e;
	size_t len = strlen(key) + 1;

	if (!e) {
		if (tip_map_count(p->pairs) >= p->max) {
			/* the new one's identity may have no other pair */
			own->pairs++;
			forget(p, longest_ago(p));
			own->pairs--;
			p->forgotten++;
		}
		e = tip_alloc(sizeof(*e) + len);
		e->own = own;
		memcpy(e->key, key, len);
		own->pairs++;
		tip_map_puts(p->pairs, key, e);
	}
	e->met = ++p->meetings;
	free(key);
	return is_new;
}

struct tip_peers_met tip_peers_meet(struct tip_peers *p, const char *own_id, const char *peer,
				    uint64_t now_ns)
{
	struct own *own = own_of(p, own_id, now_ns);
	struct tip_peers_met met = {.since_ns =
					    now_ns > own->first_ns ? now_ns - own->first_ns : 0};

	met.first = meet(p, own, peer);
	p->dirty = p->dirty || met.first;
	return met;
}

struct tip_peers_stats tip_peers_stats(const struct tip_peers *p)
{
	return (struct tip_peers_stats){tip_map_count(p->pairs), p->forgotten};
}

/* ---- the file: "FIRST_NS OWN PEER" a line, the pair that was met longest ago first --------- */

static int by_meeting(const void *a, const void *b)
{
	const struct pair *const *x = a, *const *y = b;

	return ((*x)->met > (*y)->met) - ((*x)->met < (*y)->met);
}

static void keep(struct tip_peers *p)
{
	const size_t count = tip_map_count(p->pairs);
	const struct pair **all = tip_calloc(count + 1, sizeof(*all));
	struct tip_buf b = {0};
	struct tip_error err;
	size_t n = 0, it = 0;

	while ((all[n] = tip_map_next(p->pairs, &it)))
		n++;
	qsort(all, n, sizeof(*all), by_meeting);
	tip_buf_adds(&b, HEAD);
	for (size_t i = 0; i < n; i++)
		tip_buf_addf(&b, "%" PRIu64 " %s\n", all[i]->own->first_ns, all[i]->key);
	if (tip_file_write(p->path, b.data, b.len, 0600, &err) < 0)
		tip_warn("traffic", "who spoke with whom is not kept: %s", err.text);
	else
		p->dirty = false;
	p->written_ns = tip_clock_monotonic();
	tip_buf_free(&b);
	free(all);
}

/* "spiffe://..." without blanks and control characters, which would be read as something else. */
static bool is_id(const char *s)
{
	size_t len = strlen(s);

	if (strncmp(s, "spiffe://", 9) != 0 || len > TIP_SPIFFE_ID_MAX)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static bool read_line(struct tip_peers *p, char *line)
{
	char *own, *peer;
	uint64_t first_ns = strtoull(line, &own, 10);

	if (own == line || *own++ != ' ')
		return false;
	peer = strchr(own, ' ');
	if (!peer)
		return false;
	*peer++ = '\0';
	if (!is_id(own) || !is_id(peer))
		return false;
	meet(p, own_of(p, own, first_ns), peer);
	return true;
}

static bool restore(struct tip_peers *p, char *text)
{
	char *line, *rest = text + strlen(HEAD);

	if (strncmp(text, HEAD, strlen(HEAD)) != 0)
		return false;
	while ((line = strsep(&rest, "\n")))
		if (*line && !read_line(p, line))
			return false;
	return true;
}

struct tip_peers *tip_peers_new(const char *path, size_t max)
{
	struct tip_peers *p = tip_alloc(sizeof(*p));
	struct tip_buf text = {0};
	struct tip_error err;

	p->path = tip_strdup(path);
	p->max = max;
	p->owns = tip_map_new();
	p->pairs = tip_map_new();
	if (access(path, F_OK) == 0) {
		bool ok = tip_file_read(path, FILE_MAX, &text, &err) == 0;

		if (!ok)
			tip_warn("traffic", "%s: %s", path, err.text);
		else if (!text.data || !restore(p, text.data))
			ok = false;
		if (!ok) {
			forget_all(p);
			tip_warn("traffic", "%s is not as it was written: every peer is a new one",
				 path);
		}
		p->forgotten = 0;
	}
	tip_buf_free(&text);
	return p;
}

void tip_peers_tick(struct tip_peers *p)
{
	if (p->dirty && tip_clock_monotonic() > p->written_ns + WRITE_NS)
		keep(p);
}

void tip_peers_free(struct tip_peers *p)
{
	if (!p)
		return;
	if (p->dirty)
		keep(p);
	forget_all(p);
	tip_map_free(p->owns, NULL);
	tip_map_free(p->pairs, NULL);
	free(p->path);
	free(p);
}
