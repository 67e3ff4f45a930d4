/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other instances on this kernel. Two of them over one process would both decide about it, count it
 * and tell of it, and lifting one would look as if nothing was enforced any more: so the scopes of
 * instances do not overlap. What counts is what is in the kernel: pins enforce without a daemon.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/mem.h"
#include "sensor/internal.h"

/* What instances of other layouts read of ours, and we of theirs: see include/tipstaff/abi.h. */
_Static_assert(offsetof(struct tip_settings, scope) == 0 &&
		       offsetof(struct tip_settings, build) == 264 &&
		       offsetof(struct tip_settings, nscope) == 288,
	       "the head of the settings is the same in every layout");
#define HEAD_SIZE  offsetof(struct tip_settings, enforce)
#define VALUE_MAX  65536
#define WHOLE_NODE "the whole node"

int tip_instances_lock(struct tip_error *err)
{
	const int fd = open(TIP_PIN_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		return fd;
	tip_error_set(err, "cannot lock " TIP_PIN_ROOT ": %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- what another instance says of itself ---- */

int tip_settings_head(const char *path, struct tip_settings *out)
{
	const int fd = bpf_obj_get(path);
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	const uint32_t zero = 0;
	void *value = NULL;
	int ret = -1;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.type != BPF_MAP_TYPE_ARRAY ||
	    info.value_size < HEAD_SIZE || info.value_size > VALUE_MAX)
		goto out;
	value = tip_alloc(info.value_size);
	if (bpf_map_lookup_elem(fd, &zero, value))
		goto out;
	memset(out, 0, sizeof(*out));
	memcpy(out, value, HEAD_SIZE);
	ret = out->nscope <= TIP_SCOPE_MAX ? 1 : -1;
out:
	free(value);
	close(fd);
	return ret;
}

/* ---- cgroups ---- */

/* The folder below `dir`, at most `depth` levels down, with that inode number; its path goes behind
 * the `len` characters of `path`. */
static bool find_cgroup(int dir, unsigned int depth, uint64_t id, char path[PATH_MAX], size_t len)
{
	DIR *d = fdopendir(dir);
	const struct dirent *entry;
	bool found = false;

	if (!d) {
		close(dir);
		return false;
	}
	while (!found && (entry = readdir(d))) {
		const int n = snprintf(path + len, PATH_MAX - len, "/%s", entry->d_name);
		int below;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    (size_t)n >= PATH_MAX - len)
			continue;
		if (entry->d_ino == id) {
			found = true;
		} else if (depth > 1) {
			below = openat(dirfd(d), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			found = below >= 0 &&
				find_cgroup(below, depth - 1, id, path, len + (size_t)n);
		}
	}
	closedir(d);
	return found;
}

/* The path of a scope below the mount point of cgroup2; false when that cgroup is gone. */
static bool scope_path(const char *cgroup2, const struct tip_scope *scope, char path[PATH_MAX])
{
	const int root = open(cgroup2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	path[0] = '\0';
	if (root < 0)
		return false;
	if (fstat(root, &st) == 0 && st.st_ino == scope->cgroup_id) {
		close(root);
		strcpy(path, "/");
		return true;
	}
	return find_cgroup(root, scope->level, scope->cgroup_id, path, 0);
}

/* Is one the other, or above it? */
static bool paths_meet(const char *a, const char *b)
{
	const size_t la = strcmp(a, "/") ? strlen(a) : 0, lb = strcmp(b, "/") ? strlen(b) : 0;
	const size_t shorter = la < lb ? la : lb;

	return strncmp(a, b, shorter) == 0 &&
	       (la == lb || shorter == 0 || (la < lb ? b : a)[shorter] == '/');
}

/* ---- the two together ---- */

/* Which of our cgroups meets `their` path; NULL: none. */
static const char *our_part(const struct tip_sensor_config *config, const char *their)
{
	const size_t mount = strcmp(config->cgroup2, "/") ? strlen(config->cgroup2) : 0;

	if (config->nscope == 0)
		return WHOLE_NODE;
	for (size_t i = 0; i < config->nscope; i++) {
		char *real = realpath(config->scope[i], NULL);
		const char *below = real && real[mount] ? real + mount : "/";
		const bool meet = !their || (real && paths_meet(below, their));

		free(real);
		if (meet)
			return config->scope[i] + mount;
	}
	return NULL;
}

bool tip_sensor_daemon_runs(const char *instance)
{
	char path[PATH_MAX];
	bool locked;
	int fd;

	snprintf(path, sizeof(path), TIP_PIN_ROOT "/%s", instance);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	close(fd);
	return locked;
}

static int refuse(const char *instance, const char *ours, const char *theirs, struct tip_error *err)
{
	return tip_error_set(
		err,
		"scope.cgroups: %s overlaps with the scope of instance \"%s\", %s, "
		"%s: give each instance cgroups of its own, or take that one away with "
		"`tipstaff detach --all --instance %s`",
		ours, instance, theirs,
		tip_sensor_daemon_runs(instance) ? "whose daemon runs"
						 : "which is still in force without a daemon",
		instance);
}

static int compare(const char *instance, const struct tip_settings *st,
		   const struct tip_sensor_config *config, struct tip_error *err)
{
	char path[PATH_MAX];
	const char *ours;

	if (st->nscope == 0)
		return refuse(instance, our_part(config, NULL), WHOLE_NODE, err);
	for (uint32_t i = 0; i < st->nscope; i++) {
		if (!scope_path(config->cgroup2, &st->scope[i], path))
			continue;
		ours = our_part(config, path);
		if (ours)
			return refuse(instance, ours, path, err);
	}
	return 0;
}

/* Every layout of one instance: during an upgrade there are two. */
static int check_instance(const char *instance, const struct tip_sensor_config *config,
			  struct tip_error *err)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), TIP_PIN_ROOT "/%s", instance);
	dir = opendir(path);
	while (dir && ret == 0 && (entry = readdir(dir))) {
		struct tip_settings st;

		if (entry->d_name[0] != 'v')
			continue;
		snprintf(path, sizeof(path), TIP_PIN_ROOT "/%.64s/%.64s/settings", instance,
			 entry->d_name);
		switch (tip_settings_head(path, &st)) {
		case 0: break;
		case 1:
			/* Nothing of it acts yet: its start has not come that far, and never will.
			 */
			ret = st.build ? compare(instance, &st, config, err) : 0;
			break;
		default:
			ret = tip_error_set(
				err,
				"cannot read the scope of instance \"%s\" from %s: take "
				"it away with `tipstaff detach --all --instance %s`",
				instance, path, instance);
		}
	}
	if (dir)
		closedir(dir);
	return ret;
}

int tip_instances_check(const struct tip_sensor_config *config, struct tip_error *err)
{
	DIR *root = opendir(TIP_PIN_ROOT);
	const struct dirent *entry;
	int ret = 0;

	if (!root)
		return tip_error_set(err, "cannot open " TIP_PIN_ROOT ": %s", strerror(errno));
	while (ret == 0 && (entry = readdir(root))) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, config->instance) == 0)
			continue;
		ret = check_instance(entry->d_name, config, err);
	}
	closedir(root);
	return ret;
}
