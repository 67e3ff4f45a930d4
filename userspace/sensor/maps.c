/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing the maps that keeper and kernel share. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/internal.h"

int tip_map_update(struct tip_sensor *s, enum tip_sensor_map map, const void *key,
		   const void *value, uint64_t flags)
{
	return bpf_map_update_elem(s->maps[map], key, value, flags) ? -errno : 0;
}

int tip_map_lookup(struct tip_sensor *s, enum tip_sensor_map map, const void *key, void *value)
{
	return bpf_map_lookup_elem(s->maps[map], key, value) ? -errno : 0;
}

int tip_map_delete(struct tip_sensor *s, enum tip_sensor_map map, const void *key)
{
	return bpf_map_delete_elem(s->maps[map], key) ? -errno : 0;
}

static int next_key(struct tip_sensor *s, enum tip_sensor_map map, const void *prev, void *next)
{
	return bpf_map_get_next_key(s->maps[map], prev, next) ? -1 : 0;
}

/* ---- settings ---- */

int tip_settings_write(struct tip_sensor *s)
{
	const uint32_t zero = 0;

	tip_handlers_choose(s);
	return tip_map_update(s, TIP_MAP_SETTINGS, &zero, &s->settings, BPF_ANY);
}

int tip_sensor_want(struct tip_sensor *s, const struct tip_wanted *wanted, struct tip_error *err)
{
	return tip_attach(s, wanted->events, err);
}

int tip_sensor_set_wanted(struct tip_sensor *s, const struct tip_wanted *wanted,
			  const struct tip_prefilter *filter)
{
	const struct tip_settings old = s->settings;
	uint32_t generation;
	int err = tip_prefilter_write(s, filter, &generation);

	if (err)
		return err;
	s->settings.event_mask = wanted->events;
	memcpy(s->settings.calls, wanted->calls, sizeof(s->settings.calls));
	s->settings.wants = wanted->wants;
	s->settings.filter_generation = generation;
	err = tip_settings_write(s);
	if (err) {
		s->settings = old;
		return err;
	}
	if (!generation || !s->first_filter)
		s->first_filter = generation;
	tip_prefilter_forget(s);
	tip_detach_unwanted(s);
	return 0;
}

int tip_sensor_set_workload_socket(struct tip_sensor *s, uint64_t dev, uint64_t ino)
{
	/* The kernel's encoding of a device number is not that of stat(). */
	s->settings.workload_dev = (major(dev) << 20) | minor(dev);
	s->settings.workload_ino = ino;
	return tip_settings_write(s);
}

/* ---- Workload API connections ---- */

int tip_sensor_peer(struct tip_sensor *s, int fd, struct tip_unix_peer *peer)
{
	const uint32_t key = (uint32_t)fd;
	struct tip_accepted got;

	/* Written before our accept() returned, and anew by each accept() that returns this number.
	 */
	if (tip_map_lookup(s, TIP_MAP_ACCEPTED, &key, &got) || !got.client_sk || !got.client_ino)
		return -1;
	if (tip_map_lookup(s, TIP_MAP_UNIX_PEERS, &got.server_sk, peer) ||
	    peer->client_sk != got.client_sk || peer->client_ino != got.client_ino)
		return -1;
	tip_map_delete(s, TIP_MAP_UNIX_PEERS, &got.server_sk);
	tip_map_delete(s, TIP_MAP_ACCEPTED, &key);
	return 0;
}

/* ---- processes and bindings ---- */

int tip_sensor_proc(struct tip_sensor *s, const struct tip_proc_key *key, struct tip_proc *out)
{
	return tip_map_lookup(s, TIP_MAP_PROCS, key, out) ? -1 : 0;
}

int tip_sensor_bind(struct tip_sensor *s, uint64_t exec_id, const struct tip_binding *b)
{
	struct tip_exec_cache_key key;
	const int err = tip_map_update(s, TIP_MAP_BINDINGS, &exec_id, b, BPF_EXIST);

	/*
	 * The answer to an exec that looks as it did then is the answer to the next one like it. An
	 * answer to other credentials or another cgroup (a later epoch) is none to this key.
	 */
	if (!err && b->current != TIP_ID_PENDING &&
	    tip_map_lookup(s, TIP_MAP_EXEC_KEYS, &exec_id, &key) == 0) {
		if (b->epoch == 0)
			tip_map_update(s, TIP_MAP_EXEC_CACHE, &key, &b->current, BPF_ANY);
		tip_map_delete(s, TIP_MAP_EXEC_KEYS, &exec_id);
	}
	return err;
}

int tip_sensor_entries_changed(struct tip_sensor *s, bool remember, uint64_t digest_max)
{
	/* It lives in the pins, as what was remembered under earlier numbers does. */
	s->settings.entries++;
	s->settings.remember_execs = remember;
	s->settings.digest_max = digest_max;
	return tip_settings_write(s);
}

bool tip_sensor_hashes(const struct tip_sensor *s)
{
	return s->groups & TIP_GROUP_DIGEST;
}

int tip_sensor_digest(struct tip_sensor *s, uint64_t exec_id, uint8_t sha256[TIP_SHA256])
{
	struct tip_digest d;

	if (tip_map_lookup(s, TIP_MAP_DIGESTS, &exec_id, &d) || !d.known)
		return -1;
	memcpy(sha256, d.sha256, sizeof(d.sha256));
	return 0;
}

int tip_sensor_binding(struct tip_sensor *s, uint64_t exec_id, struct tip_binding *b)
{
	return tip_map_lookup(s, TIP_MAP_BINDINGS, &exec_id, b);
}

/* ---- policy ---- */

int tip_sensor_quarantine_set(struct tip_sensor *s, uint32_t number, uint32_t flags)
{
	return tip_map_update(s, TIP_MAP_QUARANTINE, &number, &flags, BPF_ANY);
}

int tip_sensor_quarantine_clear(struct tip_sensor *s, uint32_t number)
{
	return tip_map_delete(s, TIP_MAP_QUARANTINE, &number);
}

int tip_sensor_quarantine_next(struct tip_sensor *s, uint32_t prev, uint32_t *next)
{
	/* 0 is no identity, so it can mean the start. */
	return next_key(s, TIP_MAP_QUARANTINE, prev ? &prev : NULL, next);
}

/* ---- names ---- */

int tip_sensor_name_set(struct tip_sensor *s, uint32_t number, const char *spiffe_id)
{
	struct tip_identity_name name = {.len = (uint32_t)strlen(spiffe_id)};

	if (name.len > TIP_SPIFFE_ID_MAX)
		return -ENAMETOOLONG;
	memcpy(name.name, spiffe_id, name.len);
	return tip_map_update(s, TIP_MAP_IDENTITY_NAMES, &number, &name, BPF_ANY);
}

void tip_sensor_names(struct tip_sensor *s, void (*fn)(void *ctx, uint32_t number, const char *id),
		      void *ctx)
{
	uint32_t key, next;

	for (int r = next_key(s, TIP_MAP_IDENTITY_NAMES, NULL, &next); r == 0;
	     r = next_key(s, TIP_MAP_IDENTITY_NAMES, &key, &next)) {
		struct tip_identity_name name;
		char text[TIP_SPIFFE_ID_MAX + 1];

		key = next;
		if (tip_map_lookup(s, TIP_MAP_IDENTITY_NAMES, &key, &name) ||
		    name.len > TIP_SPIFFE_ID_MAX)
			continue;
		memcpy(text, name.name, name.len);
		text[name.len] = '\0';
		fn(ctx, key, text);
	}
}

int tip_share_maps(struct tip_sensor *s, struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		const char *name = bpf_map__name(map);
		int i = 0;

		if (bpf_map__is_internal(map))
			continue;
		while (i < TIP_MAP_END && strcmp(tip_map_names[i], name) != 0)
			i++;
		if (i == TIP_MAP_END)
			return -ENOENT;
		if (bpf_map__reuse_fd(map, s->maps[i]))
			return -errno;
	}
	return 0;
}
