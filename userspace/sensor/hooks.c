/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/log.h"
#include "base/mem.h"
#include "sensor/internal.h"

static const enum bpf_attach_type attach_types[TIP_CGROUP_HOOKS] = {
	BPF_CGROUP_INET4_CONNECT,     BPF_CGROUP_INET6_CONNECT,     BPF_CGROUP_UDP4_SENDMSG,
	BPF_CGROUP_UDP6_SENDMSG,      BPF_CGROUP_INET4_BIND,        BPF_CGROUP_INET6_BIND,
	BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME, BPF_CGROUP_INET4_GETSOCKNAME,
	BPF_CGROUP_INET6_GETSOCKNAME, BPF_CGROUP_SOCK_OPS,          BPF_CGROUP_INET_EGRESS,
	BPF_CGROUP_INET_INGRESS,
};

/* In cgroup2 the inode number of a folder is the cgroup's id. */
static int open_cgroup(const char *path, uint64_t *id, struct tip_error *err)
{
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return tip_error_set(err, "cgroup %s: %s (create it, or correct scope.cgroups)",
				     path, strerror(errno));
	if (fstat(fd, &st)) {
		tip_error_set(err, "cgroup %s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	*id = st.st_ino;
	return fd;
}

/* How many folders below the mount point; -1 if it is not below it. */
static int depth_below(const char *mount, const char *path)
{
	size_t len = strlen(mount);
	int depth = 0;

	while (len > 1 && mount[len - 1] == '/')
		len--;
	if (strncmp(path, mount, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return -1;
	for (path += len; *path;) {
		while (*path == '/')
			path++;
		if (*path)
			depth++;
		while (*path && *path != '/')
			path++;
	}
	return depth;
}

int tip_scope_resolve(const struct tip_sensor_config *config, struct tip_settings *settings,
		      struct tip_error *err)
{
	memset(settings->scope, 0, sizeof(settings->scope));
	settings->nscope = 0;
	if (config->nscope > TIP_SCOPE_MAX)
		return tip_error_set(err, "scope.cgroups has %zu entries, at most %d are possible",
				     config->nscope, TIP_SCOPE_MAX);
	for (size_t i = 0; i < config->nscope; i++) {
		struct tip_scope *scope = &settings->scope[i];
		char *real = realpath(config->scope[i], NULL);
		uint64_t id = 0;
		int fd, depth;

		if (!real)
			return tip_error_set(err,
					     "cgroup %s: %s (create it, or correct "
					     "scope.cgroups)",
					     config->scope[i], strerror(errno));
		depth = depth_below(config->cgroup2, real);
		fd = open_cgroup(real, &id, err);
		free(real);
		if (fd < 0)
			return -1;
		close(fd);
		if (depth < 0)
			return tip_error_set(err, "cgroup %s is not below %s", config->scope[i],
					     config->cgroup2);
		scope->cgroup_id = id;
		scope->level = (uint32_t)depth;
		settings->nscope++;
	}
	return 0;
}

/* The pinned link, if it is still attached to that cgroup and not to one that was removed. */
static int adopt_link(const struct tip_sensor *s, enum tip_sensor_prog prog, uint64_t cgroup)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);
	char path[PATH_MAX];
	int fd;

	if (!s->pinned)
		return -1;
	tip_pin_hook_path(s, prog, cgroup, path, sizeof(path));
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -1;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.cgroup.cgroup_id == cgroup)
		return fd;
	close(fd);
	unlink(path);
	return -1;
}

/* Attaches the first `count` hooks. */
static int hook_cgroup(struct tip_sensor *s, const char *path, int count, struct tip_error *err)
{
	struct tip_hooked *h;
	int fd;

	s->hooked = tip_realloc(s->hooked, s->nhooked + 1, sizeof(*s->hooked));
	h = &s->hooked[s->nhooked++];
	for (int i = 0; i < TIP_CGROUP_HOOKS; i++)
		h->links[i] = -1;
	fd = open_cgroup(path, &h->cgroup_id, err);
	if (fd < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		const enum tip_sensor_prog prog = TIP_PROG_CONNECT4 + i;
		char pin[PATH_MAX];

		h->links[i] = adopt_link(s, prog, h->cgroup_id);
		if (h->links[i] >= 0)
			continue;
		h->links[i] = bpf_link_create(s->progs[prog], fd, attach_types[i], NULL);
		if (h->links[i] < 0) {
			tip_error_set(err, "cannot attach %s to %s: %s", tip_prog_names[prog], path,
				      strerror(errno));
			break;
		}
		if (!s->pinned)
			continue;
		tip_pin_hook_path(s, prog, h->cgroup_id, pin, sizeof(pin));
		if (bpf_obj_pin(h->links[i], pin)) {
			tip_error_set(err, "cannot pin %s: %s", pin, strerror(errno));
			close(h->links[i]);
			h->links[i] = -1;
			break;
		}
	}
	close(fd);
	return h->links[count - 1] >= 0 ? 0 : -1;
}

int tip_hooks_attach(struct tip_sensor *s, const struct tip_sensor_config *config,
		     struct tip_error *err)
{
	const int count =
		config->traffic ? TIP_CGROUP_HOOKS : TIP_PROG_TRAFFIC_BEGIN - TIP_PROG_CONNECT4;

	if (!config->enforce && !config->traffic)
		return 0;
	if (!*config->cgroup2) {
		if (config->traffic)
			return tip_error_set(err, "traffic needs cgroup2: it is mounted nowhere");
		return 0;
	}
	if (config->nscope == 0)
		return hook_cgroup(s, config->cgroup2, count, err);
	for (size_t i = 0; i < config->nscope; i++)
		if (hook_cgroup(s, config->scope[i], count, err))
			return -1;
	return 0;
}

static bool hook_wanted(const struct tip_sensor *s, const char *name)
{
	for (size_t h = 0; h < s->nhooked; h++) {
		for (int i = 0; i < TIP_CGROUP_HOOKS; i++) {
			char want[64];

			if (s->hooked[h].links[i] < 0)
				continue;
			snprintf(want, sizeof(want), "link_%s_%" PRIu64,
				 tip_prog_names[TIP_PROG_CONNECT4 + i], s->hooked[h].cgroup_id);
			if (strcmp(want, name) == 0)
				return true;
		}
	}
	return false;
}

/* Does a link of this name belong to a cgroup hook? Those have a cgroup's id at the end. */
static bool is_hook(const char *name)
{
	for (int i = TIP_PROG_CONNECT4; i < TIP_PROG_CGROUP_END; i++) {
		const size_t len = strlen(tip_prog_names[i]);

		if (strncmp(name, "link_", 5) == 0 &&
		    strncmp(name + 5, tip_prog_names[i], len) == 0 && name[5 + len] == '_')
			return true;
	}
	return false;
}

void tip_hooks_prune(struct tip_sensor *s)
{
	DIR *dir = s->pinned ? opendir(s->gen_dir) : NULL;
	const struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (is_hook(name) && !hook_wanted(s, name) && unlinkat(dirfd(dir), name, 0) == 0)
			tip_info("sensor", "removed the hook %s: it is not wanted now", name);
	}
	closedir(dir);
}
