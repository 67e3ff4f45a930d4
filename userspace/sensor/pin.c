/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives the process. State maps are pinned before anything that uses them is attached, and
 * a generation counts only once settings.build names it; so a crash at any point leaves either the
 * old generation at work or nothing attached, and the next start finds out which.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include <bpf/bpf.h>

#include "base/log.h"
#include "base/mem.h"
#include "sensor/internal.h"

#define BPFFS "/sys/fs/bpf"

/* ---- folders ---- */

/* bpffs refuses dots in names, and a name must not climb out of its folder. */
static bool instance_name_ok(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	const size_t len = strlen(name);

	return len > 0 && len <= 64 && strspn(name, allowed) == len;
}

static int bpffs_mount(struct tip_error *err)
{
	struct statfs fs;

	if (statfs(BPFFS, &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return tip_error_set(err, "cannot mount bpffs at " BPFFS ": %s", strerror(errno));
	tip_info("sensor", "mounted bpffs at " BPFFS);
	return 0;
}

static int make_dir(const char *path, struct tip_error *err)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return tip_error_set(err, "cannot make %s: %s", path, strerror(errno));
	return 0;
}

int tip_pin_open(struct tip_sensor *s, const char *instance, struct tip_error *err)
{
	char path[sizeof(s->dir)];

	if (!instance_name_ok(instance))
		return tip_error_set(
			err, "instance \"%s\": use 1 to 64 letters, digits, '_' and '-'", instance);
	if (bpffs_mount(err) || make_dir(TIP_PIN_ROOT, err))
		return -1;
	snprintf(path, sizeof(path), TIP_PIN_ROOT "/%s", instance);
	if (make_dir(path, err))
		return -1;
	s->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock < 0)
		return tip_error_set(err, "cannot open %s: %s", path, strerror(errno));
	if (flock(s->lock, LOCK_EX | LOCK_NB))
		return tip_error_set(err, "%s: %s", path,
				     errno == EWOULDBLOCK
					     ? "another tipstaffd of this instance is running"
					     : strerror(errno));
	snprintf(s->dir, sizeof(s->dir), TIP_PIN_ROOT "/%s/v%d", instance, TIP_ABI_VERSION);
	return make_dir(s->dir, err);
}

/* Removes a folder of pins with what is in it, three levels deep at most. Pins removed, or -1. */
static int remove_tree(int parent, const char *name, int depth)
{
	const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	const struct dirent *entry;
	bool failed = false;
	int removed = 0;
	DIR *dir;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -1;
	}
	while ((entry = readdir(dir))) {
		int n = 1;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, entry->d_name, 0)) {
			n = -1;
			if ((errno == EISDIR || errno == EPERM) && depth > 0)
				n = remove_tree(fd, entry->d_name, depth - 1);
		}
		if (n < 0)
			failed = true;
		else
			removed += n;
		/* bpffs moves the reading position when entries go: begin again. */
		rewinddir(dir);
		if (failed)
			break;
	}
	closedir(dir);
	if (failed || (unlinkat(parent, name, AT_REMOVEDIR) && errno != ENOENT))
		return -1;
	return removed;
}

/* ---- maps ---- */

static int open_map(const char *dir, enum tip_sensor_map map)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, tip_map_names[map]);
	return bpf_obj_get(path);
}

static int pin_fd(int fd, const char *dir, const char *prefix, const char *name,
		  struct tip_error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s%s", dir, prefix, name);
	if (bpf_obj_pin(fd, path))
		return tip_error_set(err, "cannot pin %s: %s", path, strerror(errno));
	return 0;
}

static int map_info(int fd, struct bpf_map_info *info)
{
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &len);
}

/* The layouts that this program was compiled with. */
static const struct {
	__u32 key, value;
} layouts[TIP_MAP_STATE_END] = {
	[TIP_MAP_PROCS] = {sizeof(struct tip_proc_key), sizeof(struct tip_proc)},
	[TIP_MAP_BINDINGS] = {sizeof(__u64), sizeof(struct tip_binding)},
	[TIP_MAP_EXEC_CACHE] = {sizeof(struct tip_exec_cache_key), sizeof(__u32)},
	[TIP_MAP_EXEC_KEYS] = {sizeof(__u64), sizeof(struct tip_exec_cache_key)},
	[TIP_MAP_DIGESTS] = {sizeof(__u64), sizeof(struct tip_digest)},
	[TIP_MAP_SEQUENCE] = {sizeof(__u32), sizeof(__u64)},
	[TIP_MAP_SETTINGS] = {sizeof(__u32), sizeof(struct tip_settings)},
	[TIP_MAP_COUNTERS] = {sizeof(__u32), sizeof(__u64)},
	[TIP_MAP_QUARANTINE] = {sizeof(__u32), sizeof(__u32)},
	[TIP_MAP_RULE_SETS] = {sizeof(__u32), sizeof(struct tip_rule_set)},
	[TIP_MAP_RULE_VALUES] = {sizeof(struct tip_rule_value_key), sizeof(struct tip_rule_match)},
	[TIP_MAP_RULE_TEXTS] = {sizeof(struct tip_rule_text_key), sizeof(struct tip_rule_match)},
	[TIP_MAP_RULE_NETS] = {sizeof(struct tip_rule_net_key), sizeof(struct tip_rule_match)},
	[TIP_MAP_FILTERS] = {sizeof(__u32), sizeof(struct tip_filter)},
	[TIP_MAP_FILTER_NAMES] = {sizeof(struct tip_filter_key), sizeof(struct tip_filter_match)},
	[TIP_MAP_IDENTITY_NAMES] = {sizeof(__u32), sizeof(struct tip_identity_name)},
	[TIP_MAP_UNIX_PEERS] = {sizeof(__u64), sizeof(struct tip_unix_peer)},
	[TIP_MAP_ACCEPTED] = {sizeof(__u32), sizeof(struct tip_accepted)},
	[TIP_MAP_TRAFFIC] = {sizeof(struct tip_traffic_key), sizeof(struct tip_traffic_slice)},
	[TIP_MAP_TRAFFIC_PORTS] = {sizeof(__u32), sizeof(struct tip_traffic_ports)},
	[TIP_MAP_TRAFFIC_CLIENTS] = {sizeof(struct tip_traffic_client), sizeof(__u32)},
	[TIP_MAP_REDIRECTS] = {sizeof(struct tip_flow_key), sizeof(struct tip_redirect)},
	[TIP_MAP_SHARES] = {sizeof(struct tip_share_key), sizeof(__s64)},
	[TIP_MAP_LEGS] = {sizeof(struct tip_flow_key), sizeof(struct tip_leg)},
	[TIP_MAP_LISTENERS] = {sizeof(struct tip_listener_key), sizeof(struct tip_listener)},
	[TIP_MAP_WORKERS] = {sizeof(__u64), sizeof(__u64)},
	[TIP_MAP_OURS] = {sizeof(int), sizeof(__u32)},
	[TIP_MAP_VETHS] = {sizeof(__u32), sizeof(struct tip_veth)},
	[TIP_MAP_REDIRECTED] = {sizeof(int), sizeof(struct tip_redirect)},
	[TIP_MAP_HEARTBEAT] = {sizeof(__u32), sizeof(__u64)},
	[TIP_MAP_PACED] = {sizeof(__u32), sizeof(__u32)},
};

int tip_pin_state(struct tip_sensor *s, struct tip_error *err)
{
	for (int i = 0; i < TIP_MAP_STATE_END; i++) {
		struct bpf_map_info info;

		s->maps[i] = open_map(s->dir, i);
		if (s->maps[i] < 0 && errno != ENOENT)
			return tip_error_set(err, "cannot open %s/%s: %s", s->dir, tip_map_names[i],
					     strerror(errno));
		if (s->maps[i] < 0)
			s->maps[i] = tip_upgrade_open(s, i);
		if (s->maps[i] < 0)
			continue;
		if (map_info(s->maps[i], &info) || info.key_size != layouts[i].key ||
		    info.value_size != layouts[i].value)
			return tip_error_set(
				err,
				"%s/%s has another layout than this version: remove it "
				"with `tipstaff detach --all` of the version that made it",
				s->dir, tip_map_names[i]);
	}
	return 0;
}

int tip_pin_save_state(struct tip_sensor *s, struct tip_error *err)
{
	for (int i = 0; i < TIP_MAP_STATE_END; i++) {
		const int there = open_map(s->dir, i);

		if (there >= 0) {
			close(there);
			continue;
		}
		if (pin_fd(s->maps[i], s->dir, "", tip_map_names[i], err))
			return -1;
	}
	return 0;
}

/* ---- generations ---- */

static void generation_dir(const struct tip_sensor *s, uint64_t build, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%016" PRIx64, s->dir, build);
}

void tip_pin_hook_path(const struct tip_sensor *s, enum tip_sensor_prog prog, uint64_t cgroup,
		       char *buf, size_t size)
{
	snprintf(buf, size, "%s/link_%s_%" PRIu64, s->gen_dir, tip_prog_names[prog], cgroup);
}

static int open_pin(const char *dir, const char *prefix, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s%s", dir, prefix, name);
	return bpf_obj_get(path);
}

static size_t ring_size(const struct tip_sensor_config *config, enum tip_sensor_map map)
{
	return map == TIP_MAP_LIFECYCLE ? config->lifecycle_ring : config->activity_ring;
}

static bool ring_fits(int fd, size_t want)
{
	struct bpf_map_info info;

	return fd >= 0 && map_info(fd, &info) == 0 && info.max_entries == want;
}

bool tip_pin_adopt(struct tip_sensor *s, const struct tip_sensor_config *config)
{
	bool whole = true;

	generation_dir(s, s->generation, s->gen_dir, sizeof(s->gen_dir));
	for (int i = 0; i < TIP_MAP_STATE_END; i++)
		whole = whole && s->maps[i] >= 0;
	for (int i = TIP_MAP_STATE_END; i < TIP_MAP_END && whole; i++) {
		s->maps[i] = open_map(s->gen_dir, i);
		whole = s->maps[i] >= 0;
	}
	whole = whole && ring_fits(s->maps[TIP_MAP_LIFECYCLE], config->lifecycle_ring) &&
		ring_fits(s->maps[TIP_MAP_ACTIVITY], config->activity_ring);
	for (int i = 0; i < TIP_PROG_END && whole; i++) {
		if (!(tip_prog_group(i) & s->groups))
			continue;
		s->progs[i] = open_pin(s->gen_dir, "prog_", tip_prog_names[i]);
		whole = s->progs[i] >= 0 || tip_prog_dispensable(i);
	}
	for (int i = 0; i < TIP_PROG_TRACING_END && whole; i++) {
		if (s->progs[i] < 0)
			continue;
		s->links[i] = open_pin(s->gen_dir, "link_", tip_prog_names[i]);
		whole = s->links[i] >= 0 || tip_prog_on_demand(i);
	}
	if (whole) {
		s->saved = true;
		return true;
	}
	for (int i = TIP_MAP_STATE_END; i < TIP_MAP_END; i++) {
		if (s->maps[i] >= 0)
			close(s->maps[i]);
		s->maps[i] = -1;
	}
	for (int i = 0; i < TIP_PROG_END; i++) {
		if (s->progs[i] >= 0)
			close(s->progs[i]);
		s->progs[i] = -1;
	}
	for (int i = 0; i < TIP_PROG_TRACING_END; i++) {
		if (s->links[i] >= 0)
			close(s->links[i]);
		s->links[i] = -1;
	}
	return false;
}

void tip_pin_reuse_rings(struct tip_sensor *s, uint64_t build,
			 const struct tip_sensor_config *config)
{
	char dir[sizeof(s->gen_dir)];

	generation_dir(s, build, dir, sizeof(dir));
	for (int i = TIP_MAP_LIFECYCLE; i <= TIP_MAP_ACTIVITY; i++) {
		s->maps[i] = open_map(dir, i);
		if (s->maps[i] < 0)
			s->maps[i] = tip_upgrade_open(s, i);
		if (ring_fits(s->maps[i], ring_size(config, i)))
			continue;
		if (s->maps[i] >= 0)
			close(s->maps[i]);
		s->maps[i] = -1;
	}
}

int tip_pin_save_generation(struct tip_sensor *s, struct tip_error *err)
{
	char name[32];

	/* What a crash left under our name was never active: the caller chose a name that is not.
	 */
	snprintf(name, sizeof(name), "%016" PRIx64, s->generation);
	generation_dir(s, s->generation, s->gen_dir, sizeof(s->gen_dir));
	tip_pin_remove_own(s);
	if (make_dir(s->gen_dir, err))
		return -1;
	for (int i = TIP_MAP_STATE_END; i < TIP_MAP_END; i++)
		if (pin_fd(s->maps[i], s->gen_dir, "", tip_map_names[i], err))
			return -1;
	for (int i = 0; i < TIP_PROG_END; i++)
		if (s->progs[i] >= 0 &&
		    pin_fd(s->progs[i], s->gen_dir, "prog_", tip_prog_names[i], err))
			return -1;
	for (int i = 0; i < TIP_PROG_TRACING_END; i++)
		if (s->links[i] >= 0 &&
		    pin_fd(s->links[i], s->gen_dir, "link_", tip_prog_names[i], err))
			return -1;
	s->saved = true;
	return 0;
}

int tip_pin_save_link(struct tip_sensor *s, enum tip_sensor_prog prog, struct tip_error *err)
{
	return pin_fd(s->links[prog], s->gen_dir, "link_", tip_prog_names[prog], err);
}

void tip_pin_remove_link(struct tip_sensor *s, enum tip_sensor_prog prog)
{
	char path[PATH_MAX];

	if (!s->saved)
		return;
	snprintf(path, sizeof(path), "%s/link_%s", s->gen_dir, tip_prog_names[prog]);
	unlink(path);
}

static void remove_path(const char *dir, const char *name)
{
	const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (remove_tree(fd, name, 2) < 0)
		tip_warn("sensor", "cannot remove %s/%s: %s", dir, name, strerror(errno));
	close(fd);
}

void tip_pin_remove_own(struct tip_sensor *s)
{
	char name[32];

	snprintf(name, sizeof(name), "%016" PRIx64, s->generation);
	remove_path(s->dir, name);
}

int tip_pin_anew(struct tip_sensor *s, struct tip_error *err)
{
	char instance[sizeof(s->dir)];

	memcpy(instance, s->dir, sizeof(instance));
	*strrchr(instance, '/') = '\0';
	remove_path(instance, strrchr(s->dir, '/') + 1);
	return make_dir(s->dir, err);
}

void tip_pin_abandon(struct tip_sensor *s)
{
	struct tip_settings settings;
	char instance[sizeof(s->dir)], path[PATH_MAX];

	/* Settings that are shared name a generation of the former layout. */
	snprintf(path, sizeof(path), "%s/%s", s->dir, tip_map_names[TIP_MAP_SETTINGS]);
	if (!s->former.version && tip_settings_head(path, &settings) == 1 && settings.build) {
		if (s->generation && s->generation != settings.build)
			tip_pin_remove_own(s);
		return;
	}
	memcpy(instance, s->dir, sizeof(instance));
	*strrchr(instance, '/') = '\0';
	remove_path(instance, strrchr(s->dir, '/') + 1);
	/* Fails where another layout is at work. */
	rmdir(instance);
}

/* Removes all folders in `dir` but `keep`. */
static void remove_folders_but(const char *dir, const char *keep)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;

	if (!d)
		return;
	while ((entry = readdir(d))) {
		struct stat st;

		if (entry->d_name[0] == '.' || strcmp(entry->d_name, keep) == 0)
			continue;
		if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISDIR(st.st_mode))
			continue;
		if (remove_tree(dirfd(d), entry->d_name, 2) < 0) {
			tip_warn("sensor", "cannot remove %s/%s: %s", dir, entry->d_name,
				 strerror(errno));
			continue;
		}
		tip_info("sensor", "removed %s/%s, which an earlier build left", dir,
			 entry->d_name);
		rewinddir(d);
	}
	closedir(d);
}

void tip_pin_remove_others(struct tip_sensor *s)
{
	char instance[sizeof(s->dir)];
	char name[32];

	snprintf(name, sizeof(name), "%016" PRIx64, s->generation);
	remove_folders_but(s->dir, name);
	memcpy(instance, s->dir, sizeof(instance));
	*strrchr(instance, '/') = '\0';
	remove_folders_but(instance, strrchr(s->dir, '/') + 1);
}

/*
 * Filters of veths are in no folder. Those that are found here go; what lies in another network
 * namespace sees no policy any more.
 */
static void veths_off(const char *instance)
{
	struct tip_settings settings;
	const uint32_t zero = 0;
	char path[PATH_MAX];
	int map;

	snprintf(path, sizeof(path), TIP_PIN_ROOT "/%s/v%d/settings", instance, TIP_ABI_VERSION);
	map = bpf_obj_get(path);
	if (map >= 0 && bpf_map_lookup_elem(map, &zero, &settings) == 0) {
		settings.traffic_generation = 0;
		bpf_map_update_elem(map, &zero, &settings, BPF_ANY);
	}
	if (map >= 0)
		close(map);
	snprintf(path, sizeof(path), TIP_PIN_ROOT "/%s/v%d/veths", instance, TIP_ABI_VERSION);
	map = bpf_obj_get(path);
	if (map < 0)
		return;
	tip_veth_remove(instance, map);
	close(map);
}

int tip_sensor_detach(const char *instance, struct tip_error *err)
{
	int root, removed;

	if (!instance_name_ok(instance))
		return tip_error_set(
			err, "instance \"%s\": use 1 to 64 letters, digits, '_' and '-'", instance);
	root = open(TIP_PIN_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return errno == ENOENT ? 0
				       : tip_error_set(err, "cannot open " TIP_PIN_ROOT ": %s",
						       strerror(errno));
	veths_off(instance);
	removed = remove_tree(root, instance, 3);
	if (removed < 0)
		tip_error_set(err, "cannot remove everything below " TIP_PIN_ROOT "/%s: %s",
			      instance, strerror(errno));
	close(root);
	return removed;
}
