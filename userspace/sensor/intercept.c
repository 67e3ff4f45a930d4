/* SPDX-License-Identifier: Apache-2.0 */
/* The maps of interception, written and read. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/membarrier.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sensor/intercept.h"
#include "sensor/internal.h"

#define KEY_MAX     256
#define PORTS_BATCH 4096 /* elements of `traffic_ports` in one call */

int tip_map_purge(struct tip_sensor *s, enum tip_sensor_map map,
		  bool (*drop)(struct tip_sensor *s, const void *key, uint64_t arg), uint64_t arg)
{
	unsigned char key[KEY_MAX], next[KEY_MAX];
	bool more = bpf_map_get_next_key(s->maps[map], NULL, next) == 0;
	int ret = 0;

	while (more) {
		memcpy(key, next, sizeof(key));
		/* Asked for before it goes: after a key that is gone the walk would begin anew. */
		more = bpf_map_get_next_key(s->maps[map], key, next) == 0;
		if (drop(s, key, arg)) {
			const int err = tip_map_delete(s, map, key);

			if (err && err != -ENOENT && !ret)
				ret = err;
		}
	}
	return ret;
}

/* ---- policy ---- */

int tip_programs_wait(void)
{
	/* The global barrier waits for an RCU grace period; nohz_full kernels refuse it. */
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) ? -errno : 0;
}

static bool of_other_generation(struct tip_sensor *s, const void *key, uint64_t generation)
{
	return ((const struct tip_traffic_key *)key)->generation != generation;
}

static bool of_generation(struct tip_sensor *s, const void *key, uint64_t generation)
{
	return ((const struct tip_traffic_key *)key)->generation == generation;
}

/* Where the ports of a generation begin. */
static uint32_t base_of(uint32_t generation)
{
	return generation & 1 ? TIP_TRAFFIC_PORTS_MAX / 2 : 0;
}

static int write_prefix(struct tip_sensor *s, const struct tip_traffic_prefix *p,
			uint32_t generation)
{
	struct tip_traffic_slice slice = p->slice;
	struct tip_traffic_key key = {
		.prefixlen = 64 + p->bits,
		.generation = generation,
		.table = p->table,
	};
	const uint32_t half = TIP_TRAFFIC_PORTS_MAX / 2;

	if (p->bits > 128 || slice.first > half || slice.count > half - slice.first)
		return -EINVAL;
	memcpy(key.addr, p->addr, sizeof(key.addr));
	slice.first += base_of(generation);
	return tip_map_update(s, TIP_MAP_TRAFFIC, &key, &slice, BPF_ANY);
}

static int write_image(struct tip_sensor *s, const struct tip_traffic_image *image,
		       uint32_t generation)
{
	const uint32_t base = base_of(generation);
	int err;

	if (image->nports > TIP_TRAFFIC_PORTS_MAX / 2)
		return -ENOSPC;
	for (size_t i = 0; i < image->nports; i++) {
		const uint32_t at = base + (uint32_t)i;

		err = tip_map_update(s, TIP_MAP_TRAFFIC_PORTS, &at, &image->ports[i], BPF_ANY);
		if (err)
			return err;
	}
	for (size_t i = 0; i < image->nprefixes; i++) {
		const struct tip_traffic_slice *slice = &image->prefixes[i].slice;

		if (slice->first > image->nports || slice->count > image->nports - slice->first)
			return -EINVAL;
		err = write_prefix(s, &image->prefixes[i], generation);
		if (err)
			return err;
	}
	return 0;
}

int tip_sensor_traffic_add(struct tip_sensor *s, const struct tip_traffic_prefix *prefix)
{
	return s->settings.traffic_generation
		       ? write_prefix(s, prefix, s->settings.traffic_generation)
		       : 0;
}

int tip_sensor_traffic_install(struct tip_sensor *s, const struct tip_traffic_image *image)
{
	const struct timespec long_enough = {.tv_nsec = 20000000};
	const uint32_t old = s->settings.traffic_generation;
	uint32_t next =
		old + 1 ? old + 1 : 2; /* 0 means none, and after an odd one comes an even */
	int err;

	/* What a daemon that died in here left would be found once its number comes. */
	err = tip_map_purge(s, TIP_MAP_TRAFFIC, of_other_generation, old);
	if (err)
		return err;
	if (image->nprefixes == 0)
		next = 0;
	err = write_image(s, image, next);
	if (err) {
		tip_map_purge(s, TIP_MAP_TRAFFIC, of_generation, next);
		return err;
	}
	s->settings.traffic_generation = next;
	err = tip_settings_write(s);
	if (err) {
		s->settings.traffic_generation = old;
		tip_map_purge(s, TIP_MAP_TRAFFIC, of_generation, next);
		return err;
	}
	if (tip_programs_wait())
		nanosleep(&long_enough, NULL);
	/* Listeners are entered where a policy covers them: those that it did not before are not.
	 */
	if (next && tip_sensor_listeners_scan(s) < 0)
		tip_warn("sensor", "cannot look for the listeners that the policies cover");
	/* It is in force; entries that stay are in nobody's way and go next time. */
	if (tip_map_purge(s, TIP_MAP_TRAFFIC, of_other_generation, next))
		tip_warn("sensor", "cannot delete all entries of the former traffic policies");
	return 0;
}

int tip_sensor_client_allow(struct tip_sensor *s, uint32_t policy, uint32_t number)
{
	const struct tip_traffic_client key = {policy, number};
	const uint32_t one = 1;

	return tip_map_update(s, TIP_MAP_TRAFFIC_CLIENTS, &key, &one, BPF_ANY);
}

static bool of_policy_below(struct tip_sensor *s, const void *key, uint64_t first)
{
	return ((const struct tip_traffic_client *)key)->policy < first;
}

int tip_sensor_client_prune(struct tip_sensor *s, uint32_t first)
{
	return tip_map_purge(s, TIP_MAP_TRAFFIC_CLIENTS, of_policy_below, first);
}

/*
 * The highest number in `traffic_ports`, in few calls: at a restart connect() waits for this. All
 * of them, if they cannot be read: a number that is used twice would let strangers in.
 */
static uint32_t last_of_ports(struct tip_sensor *s)
{
	struct tip_traffic_ports *ports = tip_calloc(PORTS_BATCH, sizeof(*ports));
	uint32_t *keys = tip_calloc(PORTS_BATCH, sizeof(*keys)), at, count, last = 0;
	bool more = true;

	for (void *from = NULL; more; from = &at) {
		count = PORTS_BATCH;
		more = bpf_map_lookup_batch(s->maps[TIP_MAP_TRAFFIC_PORTS], from, &at, keys, ports,
					    &count, NULL) == 0;
		if (!more && errno != ENOENT) {
			last = UINT32_MAX;
			break;
		}
		for (uint32_t i = 0; i < count; i++)
			if (ports[i].policy > last)
				last = ports[i].policy;
	}
	free(ports);
	free(keys);
	return last;
}

uint32_t tip_sensor_policy_last(struct tip_sensor *s)
{
	const int clients = s->maps[TIP_MAP_TRAFFIC_CLIENTS];
	struct tip_traffic_client key;
	uint32_t last = s->settings.traffic_generation ? last_of_ports(s) : 0;

	/* Ports have every policy, and pairs those of sets that are no longer in force. */
	for (int more = bpf_map_get_next_key(clients, NULL, &key); !more;
	     more = bpf_map_get_next_key(clients, &key, &key))
		if (key.policy > last)
			last = key.policy;
	return last;
}

int tip_sensor_set_worker_port(struct tip_sensor *s, uint16_t port)
{
	s->settings.worker_port = port;
	return tip_settings_write(s);
}

int tip_sensor_heartbeat(struct tip_sensor *s, uint64_t ahead_ms)
{
	const uint64_t beat = tip_clock_boot() + ahead_ms * 1000000;
	const uint32_t zero = 0;

	return tip_map_update(s, TIP_MAP_HEARTBEAT, &zero, &beat, BPF_ANY);
}

void tip_sensor_heartbeat_early(const char *instance, uint64_t ahead_ms)
{
	const uint64_t beat = tip_clock_boot() + ahead_ms * 1000000;
	const uint32_t zero = 0;
	const struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir;

	snprintf(path, sizeof(path), TIP_PIN_ROOT "/%s", instance);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		int map;

		snprintf(path, sizeof(path), TIP_PIN_ROOT "/%.64s/%.64s/%s", instance,
			 entry->d_name, tip_map_names[TIP_MAP_HEARTBEAT]);
		map = entry->d_name[0] == 'v' ? bpf_obj_get(path) : -1;
		if (map < 0)
			continue;
		bpf_map_update_elem(map, &zero, &beat, BPF_ANY);
		close(map);
	}
	if (dir)
		closedir(dir);
}

/* ---- sockets ---- */

int tip_sensor_worker_set(struct tip_sensor *s, uint64_t cookie, int listener_fd)
{
	const uint64_t fd = (uint64_t)listener_fd;

	return listener_fd < 0 ? -EBADF : tip_map_update(s, TIP_MAP_WORKERS, &cookie, &fd, BPF_ANY);
}

int tip_sensor_worker_clear(struct tip_sensor *s, uint64_t cookie)
{
	return tip_map_delete(s, TIP_MAP_WORKERS, &cookie);
}

int tip_sensor_ours(struct tip_sensor *s, int fd, uint32_t kind)
{
	return tip_map_update(s, TIP_MAP_OURS, &fd, &kind, BPF_ANY);
}

/* ---- connections ---- */

int tip_sensor_redirect(struct tip_sensor *s, const struct tip_flow_key *k,
			struct tip_redirect *out)
{
	return tip_map_lookup(s, TIP_MAP_REDIRECTS, k, out);
}

int tip_sensor_redirect_show(struct tip_sensor *s, const struct tip_flow_key *k, uint32_t addr,
			     uint16_t port)
{
	struct tip_redirect r;
	const int err = tip_map_lookup(s, TIP_MAP_REDIRECTS, k, &r);

	if (err)
		return err;
	r.shown_addr = addr;
	r.shown_port = port;
	return tip_map_update(s, TIP_MAP_REDIRECTS, k, &r, BPF_EXIST);
}

int tip_sensor_leg_set(struct tip_sensor *s, const struct tip_flow_key *k,
		       const struct tip_leg *leg)
{
	return tip_map_update(s, TIP_MAP_LEGS, k, leg, BPF_ANY);
}

int tip_sensor_leg(struct tip_sensor *s, const struct tip_flow_key *k, struct tip_leg *out)
{
	return tip_map_lookup(s, TIP_MAP_LEGS, k, out);
}

int tip_sensor_leg_clear(struct tip_sensor *s, const struct tip_flow_key *k)
{
	return tip_map_delete(s, TIP_MAP_LEGS, k);
}

static bool any(struct tip_sensor *s, const void *key, uint64_t arg)
{
	return true;
}

int tip_sensor_legs_wipe(struct tip_sensor *s)
{
	return tip_map_purge(s, TIP_MAP_LEGS, any, 0);
}
