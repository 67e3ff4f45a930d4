/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one layout of the pins to another. Maps whose layout is the same are shared: the new
 * programs and the old ones then know the same processes, bindings and connections. If that is so
 * for the settings too, one store of them changes over, as between two builds of one layout.
 * Otherwise the new programs are attached, but do nothing, until the keeper has written its policy
 * into the maps that are new; then they begin, the old ones stop, and their pins go.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/log.h"
#include "base/mem.h"
#include "sensor/internal.h"

#define LOOKUPS "lookup_"

/* In which layout each group of maps last changed: see include/tipstaff/abi.h. */
static unsigned int since(enum tip_sensor_map map)
{
	switch (map) {
	case TIP_MAP_PROCS:
	case TIP_MAP_BINDINGS:
	case TIP_MAP_DIGESTS:
	case TIP_MAP_SEQUENCE:
	case TIP_MAP_QUARANTINE:
	case TIP_MAP_IDENTITY_NAMES: return TIP_ABI_PROCESSES;
	case TIP_MAP_UNIX_PEERS:
	case TIP_MAP_ACCEPTED:
	case TIP_MAP_REDIRECTS:
	case TIP_MAP_SHARES:
	case TIP_MAP_LEGS:
	case TIP_MAP_LISTENERS:
	case TIP_MAP_WORKERS:
	case TIP_MAP_OURS:
	case TIP_MAP_REDIRECTED:
	case TIP_MAP_HEARTBEAT: return TIP_ABI_SOCKETS;
	case TIP_MAP_COUNTERS:
	case TIP_MAP_PACED:
	case TIP_MAP_LIFECYCLE:
	case TIP_MAP_ACTIVITY: return TIP_ABI_EVENTS;
	/* Settings, and what policies are compiled to: all of them or none. */
	default: return TIP_ABI_POLICY;
	}
}

/* ---- which one is at work ---- */

static void layout_path(const char *instance, unsigned int version, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, TIP_PIN_ROOT "/%s/v%u", instance, version);
}

/* The generation of programs that acts by the settings in this folder; 0: none. */
static uint64_t acting(const char *dir)
{
	struct tip_settings settings;
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%.256s/%s", dir, tip_map_names[TIP_MAP_SETTINGS]);
	if (tip_settings_head(path, &settings) != 1 || !settings.build)
		return 0;
	snprintf(path, sizeof(path), "%.256s/%016" PRIx64, dir, (uint64_t)settings.build);
	return stat(path, &st) == 0 ? settings.build : 0;
}

void tip_upgrade_find(struct tip_sensor *s, const char *instance)
{
	const struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir;

	layout_path(instance, TIP_ABI_VERSION, path);
	if (acting(path))
		return;
	snprintf(path, sizeof(path), TIP_PIN_ROOT "/%s", instance);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		unsigned int version;
		uint64_t build;

		if (sscanf(entry->d_name, "v%u", &version) != 1 || version == TIP_ABI_VERSION ||
		    version < s->former.version)
			continue;
		layout_path(instance, version, path);
		build = acting(path);
		if (!build)
			continue;
		s->former.version = version;
		s->former.build = build;
		snprintf(s->former.dir, sizeof(s->former.dir), "%.127s", path);
	}
	if (dir)
		closedir(dir);
}

/* ---- sharing ---- */

int tip_upgrade_open(const struct tip_sensor *s, enum tip_sensor_map map)
{
	const bool generation = map >= TIP_MAP_STATE_END;
	char path[PATH_MAX];

	/* What a newer version has changed this one cannot know. */
	if (!s->former.version || s->former.version > TIP_ABI_VERSION ||
	    s->former.version < since(map))
		return -1;
	if (generation)
		snprintf(path, sizeof(path), "%s/%016" PRIx64 "/%s", s->former.dir, s->former.build,
			 tip_map_names[map]);
	else
		snprintf(path, sizeof(path), "%s/%s", s->former.dir, tip_map_names[map]);
	return bpf_obj_get(path);
}

bool tip_upgrade_shares(const struct tip_sensor *s, enum tip_sensor_map map)
{
	const int fd = tip_upgrade_open(s, map);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* ---- the change ---- */

/*
 * The sk_lookup programs go on: they belong to no generation, and decide by the maps that they were
 * loaded with. A namespace gets the new one when it is served, in the same link.
 */
static void move_lookups(const struct tip_sensor *s)
{
	DIR *dir = opendir(s->former.dir);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char from[PATH_MAX], to[PATH_MAX];
		int link;

		if (strncmp(entry->d_name, LOOKUPS, sizeof(LOOKUPS) - 1) != 0)
			continue;
		snprintf(from, sizeof(from), "%s/%s", s->former.dir, entry->d_name);
		snprintf(to, sizeof(to), "%s/%s", s->dir, entry->d_name);
		link = bpf_obj_get(from);
		if (link >= 0 && bpf_obj_pin(link, to) && errno != EEXIST)
			tip_warn("sensor", "cannot keep %s: %s", from, strerror(errno));
		if (link >= 0)
			close(link);
	}
	if (dir)
		closedir(dir);
}

/* No program of the former layout acts any more: its settings name none. */
static void silence(const struct tip_sensor *s)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	const uint32_t zero = 0;
	unsigned char *value = NULL;
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", s->former.dir, tip_map_names[TIP_MAP_SETTINGS]);
	fd = bpf_obj_get(path);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0) {
		value = tip_alloc(info.value_size);
		if (bpf_map_lookup_elem(fd, &zero, value) == 0) {
			memset(value + offsetof(struct tip_settings, build), 0, sizeof(__u64));
			bpf_map_update_elem(fd, &zero, value, BPF_ANY);
		}
	}
	free(value);
	if (fd >= 0)
		close(fd);
}

int tip_sensor_commit(struct tip_sensor *s, struct tip_error *err)
{
	if (s->standby) {
		s->standby = false;
		s->settings.build = s->generation;
		if (tip_settings_write(s))
			return tip_error_set(err, "cannot write the settings: %s", strerror(errno));
		tip_info("sensor", "the programs of layout %d act, beside those of layout %u",
			 TIP_ABI_VERSION, s->former.version);
	}
	if (!s->pinned)
		return 0;
	/* Identities that are not carried over have to be found again first. */
	if (s->former.version && !tip_upgrade_shares(s, TIP_MAP_BINDINGS))
		s->retiring = true;
	else
		tip_sensor_retire(s);
	return 0;
}

bool tip_sensor_retiring(const struct tip_sensor *s)
{
	return s->retiring;
}

void tip_sensor_retire(struct tip_sensor *s)
{
	s->retiring = false;
	if (s->former.version) {
		if (!tip_upgrade_shares(s, TIP_MAP_SETTINGS))
			silence(s);
		move_lookups(s);
		s->former.version = 0;
	}
	tip_pin_remove_others(s);
	/* Without cgroup2 what an earlier daemon has attached is better than nothing. */
	if (s->prune_hooks)
		tip_hooks_prune(s);
	if (s->no_lookups)
		tip_lookup_remove(s);
	if (s->no_veths)
		tip_veth_remove(s->instance, s->maps[TIP_MAP_VETHS]);
}
