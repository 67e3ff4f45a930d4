/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens where: what the hooks entered, and a walk over all descriptors for what they missed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/map.h"
#include "base/mem.h"
#include "sensor/intercept.h"
#include "sensor/internal.h"

/* At most so many sockets are taken from a walk, and as many again of the port that is asked for:
 * processes can have any number, and must not hide those of others. */
#define FOUND_MAX 65536

#define TRIES  3   /* walks, when the kernel was short of something */
#define ROUNDS 2   /* an entry that turns out wrong is closed first, and made anew in the next */
#define BATCH  256 /* records in one read */

/* Where it listens, and which socket it is. */
struct socket_id {
	struct tip_listener_key key;
	uint64_t sk_cookie;
};

/* All sockets of one key. */
struct served {
	struct tip_listener_key key;
	struct tip_listener by; /* exec_id 0: they are not of one identity */
	uint32_t sockets, group;
};

/* What one walk found. */
struct found {
	const struct tip_listener_key *wanted; /* NULL: nothing special */
	struct tip_map *sockets;               /* struct socket_id -> struct served, borrowed */
	struct tip_map *served;                /* key -> struct served */
	bool cut[2];            /* some were left out: of others, of the wanted one */
	struct tip_map *shares; /* network namespace -> struct share: entries in the table */
};

struct share {
	uint64_t netns;
	int64_t count;
};

static struct found *found_new(const struct tip_listener_key *wanted)
{
	struct found *f = tip_calloc(1, sizeof(*f));

	f->wanted = wanted;
	f->sockets = tip_map_new();
	f->served = tip_map_new();
	f->shares = tip_map_new();
	return f;
}

static void found_free(struct found *f)
{
	if (!f)
		return;
	tip_map_free(f->sockets, NULL);
	tip_map_free(f->served, free);
	tip_map_free(f->shares, free);
	free(f);
}

static bool is_wanted(const struct found *f, const struct tip_listener_key *k)
{
	return f->wanted && k->netns == f->wanted->netns && k->port == f->wanted->port &&
	       (k->addr == f->wanted->addr || k->addr == 0);
}

static bool exec_lives(struct tip_sensor *s, uint64_t exec_id)
{
	struct tip_binding b;

	return exec_id && tip_sensor_binding(s, exec_id, &b) == 0;
}

/* As same_server() of sockops.bpf.c. */
static bool same_identity(struct tip_sensor *s, uint64_t a, uint64_t b)
{
	struct tip_binding x, y;

	if (!a || !b)
		return false;
	return a == b || (tip_sensor_binding(s, a, &x) == 0 && tip_sensor_binding(s, b, &y) == 0 &&
			  x.current >= TIP_ID_FIRST && x.current == y.current);
}

/* ---- the walk ---- */

/* Of one socket that many hold, the first counts. */
static void take(struct tip_sensor *s, struct found *f, const struct tip_listener_rec *rec)
{
	const struct socket_id id = {rec->key, rec->by.sk_cookie};
	const bool wanted = is_wanted(f, &rec->key);
	struct served *at;

	if (tip_map_get(f->sockets, &id, sizeof(id)))
		return;
	if (tip_map_count(f->sockets) >= (wanted ? 2 : 1) * FOUND_MAX) {
		f->cut[wanted] = true;
		return;
	}
	at = tip_map_get(f->served, &rec->key, sizeof(rec->key));
	if (!at) {
		at = tip_calloc(1, sizeof(*at));
		at->key = rec->key;
		at->by = rec->by;
		tip_map_put(f->served, &rec->key, sizeof(rec->key), at);
	} else if (!same_identity(s, at->by.exec_id, rec->by.exec_id)) {
		at->by.exec_id = 0;
	}
	at->sockets++;
	if (rec->group > at->group)
		at->group = rec->group;
	tip_map_put(f->sockets, &id, sizeof(id), at);
}

static int read_all(struct tip_sensor *s, int iter, struct found *f)
{
	struct tip_listener_rec *recs = tip_calloc(BATCH, sizeof(*recs));
	size_t have = 0, n;
	ssize_t got;
	int ret;

	for (;;) {
		got = read(iter, (char *)recs + have, BATCH * sizeof(*recs) - have);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		ret = got < 0 ? -errno : 0;
		if (got <= 0)
			break;
		have += (size_t)got;
		n = have / sizeof(*recs);
		for (size_t i = 0; i < n; i++)
			take(s, f, &recs[i]);
		have -= n * sizeof(*recs);
		memmove(recs, recs + n, have);
	}
	free(recs);
	return ret;
}

static int walk(struct tip_sensor *s, struct found *f)
{
	const int link = bpf_link_create(s->progs[TIP_PROG_LISTENERS], 0, BPF_TRACE_ITER, NULL);
	int iter, ret;

	if (link < 0)
		return -errno;
	iter = bpf_iter_create(link);
	ret = iter < 0 ? -errno : read_all(s, iter, f);
	if (iter >= 0)
		close(iter);
	close(link);
	return ret;
}

/* ---- the table ---- */

/* Whose exec is over, and what was shared when the last socket came: the walk says what is. */
static bool is_stale(struct tip_sensor *s, const void *key, uint64_t arg)
{
	struct tip_listener by;

	return tip_map_lookup(s, TIP_MAP_LISTENERS, key, &by) == 0 && !exec_lives(s, by.exec_id);
}

static struct share *share_of(struct found *f, uint64_t netns)
{
	struct share *share = tip_map_getu(f->shares, netns);

	if (share)
		return share;
	share = tip_calloc(1, sizeof(*share));
	share->netns = netns;
	tip_map_putu(f->shares, netns, share);
	return share;
}

static void count_shares(struct tip_sensor *s, struct found *f)
{
	struct tip_listener_key key;

	for (int more = bpf_map_get_next_key(s->maps[TIP_MAP_LISTENERS], NULL, &key); !more;
	     more = bpf_map_get_next_key(s->maps[TIP_MAP_LISTENERS], &key, &key))
		share_of(f, key.netns)->count++;
}

/* The hook counts too, and misses what is purged here: each walk puts that right. */
static void write_shares(struct tip_sensor *s, struct found *f)
{
	const struct share *share;
	struct tip_share_key key;
	const int64_t none = 0;
	size_t it = 0;

	for (int more = bpf_map_get_next_key(s->maps[TIP_MAP_SHARES], NULL, &key); !more;
	     more = bpf_map_get_next_key(s->maps[TIP_MAP_SHARES], &key, &key))
		if (key.table == TIP_SHARE_LISTENERS && !tip_map_getu(f->shares, key.netns))
			tip_map_update(s, TIP_MAP_SHARES, &key, &none, BPF_EXIST);
	while ((share = tip_map_next(f->shares, &it))) {
		key = (struct tip_share_key){.netns = share->netns, .table = TIP_SHARE_LISTENERS};
		tip_map_update(s, TIP_MAP_SHARES, &key, &share->count, BPF_ANY);
	}
}

/*
 * Somebody may have begun to listen since the walk was there, and the hook knows. So an identity is
 * entered only where there is nothing, and what is there is at most closed. `*again`: it was.
 */
static int enter(struct tip_sensor *s, struct found *f, const struct served *at, bool *again)
{
	struct socket_id id = {.key = at->key};
	struct tip_listener by = at->by, there;
	int err;

	/* Some are in nobody's descriptors: on their way from one process to another. */
	if (at->sockets < at->group)
		by.exec_id = 0;
	err = -EEXIST;
	if (tip_map_lookup(s, TIP_MAP_LISTENERS, &at->key, &there)) {
		if (share_of(f, at->key.netns)->count >= s->settings.listeners_per_netns)
			return 0;
		err = tip_map_update(s, TIP_MAP_LISTENERS, &at->key, &by, BPF_NOEXIST);
		share_of(f, at->key.netns)->count += !err;
	}
	if (err != -EEXIST)
		return err ? err : by.exec_id != 0;
	err = tip_map_lookup(s, TIP_MAP_LISTENERS, &at->key, &there);
	if (err || !there.exec_id)
		return 0;
	id.sk_cookie = there.sk_cookie;
	if (tip_map_get(f->sockets, &id, sizeof(id)) == NULL)
		*again = true; /* closed where no hook saw it, or newer than the walk */
	else if (by.exec_id)
		return 0;
	there.exec_id = 0;
	return tip_map_update(s, TIP_MAP_LISTENERS, &at->key, &there, BPF_ANY);
}

/* How many were entered, or -errno. */
static int scan_once(struct tip_sensor *s, struct found *f, bool *again)
{
	int ret = tip_map_purge(s, TIP_MAP_LISTENERS, is_stale, 0), entered = 0;
	const struct served *at;
	size_t it = 0;

	if (ret == 0)
		ret = walk(s, f);
	count_shares(s, f);
	while (ret == 0 && (at = tip_map_next(f->served, &it))) {
		/* Who knows only some of its sockets does not know whose it is. */
		if (f->cut[is_wanted(f, &at->key)])
			continue;
		ret = enter(s, f, at, again);
		if (ret > 0)
			entered++;
		/* The table is full: others may be in it already. */
		if (ret > 0 || ret == -E2BIG)
			ret = 0;
	}
	write_shares(s, f);
	return ret ? ret : entered;
}

static bool is_passing(int err)
{
	return err == -EAGAIN || err == -EINTR || err == -EBUSY || err == -ENOMEM;
}

/* Leaves in `*found` what the last walk found. */
static int scan(struct tip_sensor *s, const struct tip_listener_key *wanted, struct found **found)
{
	int ret = 0, entered = 0, tries = 0, rounds = 0;
	bool again = true;

	*found = NULL;
	while (again && ret >= 0 && rounds++ < ROUNDS) {
		do {
			again = false;
			found_free(*found);
			*found = found_new(wanted);
			ret = scan_once(s, *found, &again);
		} while (is_passing(ret) && ++tries < TRIES);
		entered += ret > 0 ? ret : 0;
	}
	return ret < 0 ? ret : entered;
}

int tip_sensor_listeners_scan(struct tip_sensor *s)
{
	struct found *found;
	const int ret = scan(s, NULL, &found);

	found_free(found);
	return ret;
}

/* ---- who is it ---- */

static int by_key(struct tip_sensor *s, const struct found *f, const struct tip_listener_key *key,
		  struct tip_listener *out)
{
	const struct served *at;
	const int err = tip_map_lookup(s, TIP_MAP_LISTENERS, key, out);

	if (err != -ENOENT || !f || f->cut[true])
		return err;
	at = tip_map_get(f->served, key, sizeof(*key));
	if (!at)
		return -ENOENT;
	*out = at->by;
	if (at->sockets < at->group)
		out->exec_id = 0;
	return 0;
}

static int find(struct tip_sensor *s, const struct found *f, struct tip_listener_key key,
		struct tip_listener *out)
{
	int err = by_key(s, f, &key, out);

	if (err == -ENOENT && key.addr) {
		key.addr = 0;
		err = by_key(s, f, &key, out);
	}
	return err == 0 && !out->exec_id ? -ENOENT : err;
}

int tip_sensor_listener(struct tip_sensor *s, uint64_t cookie, uint32_t addr, uint16_t port,
			struct tip_listener *out)
{
	return find(s, NULL, (struct tip_listener_key){cookie, addr, port, 0}, out);
}

int tip_sensor_listener_search(struct tip_sensor *s, uint64_t cookie, uint32_t addr, uint16_t port,
			       struct tip_listener *out)
{
	const struct tip_listener_key key = {cookie, addr, port, 0};
	struct found *found;
	int ret = scan(s, &key, &found);

	if (ret >= 0)
		ret = find(s, found, key, out);
	found_free(found);
	return ret;
}
