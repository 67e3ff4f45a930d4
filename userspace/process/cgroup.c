/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "process/cgroup.h"
#include "process/process.h"

/* linux/exportfs.h: a 64-bit kernfs node id, which is what the kernel calls the cgroup id
 * (since 5.5). */
#define FILEID_KERNFS 0xfe

struct tip_cgroups {
	char *mount;
	size_t mount_len;
	int fd; /* of the mount, -1: no paths */
	struct tip_map *by_id;
	struct tip_containers *containers;
	struct tip_cgroup *oldest, *newest; /* idle ones */
	size_t idle;
};

struct tip_cgroups *tip_cgroups_new(const char *mount)
{
	struct tip_cgroups *c = tip_alloc(sizeof(*c));

	c->mount = tip_strdup(mount);
	c->mount_len = strlen(mount);
	c->fd = *mount ? open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	c->by_id = tip_map_new();
	c->containers = tip_containers_new(TIP_CONTAINERS_MAX);
	return c;
}

void tip_cgroups_free(struct tip_cgroups *c)
{
	if (!c)
		return;
	tip_map_free(c->by_id, free);
	tip_containers_free(c->containers);
	if (c->fd >= 0)
		close(c->fd);
	free(c->mount);
	free(c);
}

struct tip_containers *tip_cgroups_containers(struct tip_cgroups *c)
{
	return c->containers;
}

bool tip_cgroup_by_root(int fd, const char *path)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX];
	struct stat st;

	snprintf(above, sizeof(above), ".%.*s", slash ? (int)(slash - path) : 0, path);
	return fstatat(fd, above, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == 0 &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static bool made_by_root(void *ctx, const char *path)
{
	return tip_cgroup_by_root(((const struct tip_cgroups *)ctx)->fd, path);
}

/* The kernel marks the name of a folder that is gone; one that is merely called so still exists. */
static void strip_deleted(char *path, size_t len)
{
	static const char mark[] = " (deleted)";
	size_t n = sizeof(mark) - 1;

	if (len > n && memcmp(path + len - n, mark, n) == 0 && access(path, F_OK) != 0)
		path[len - n] = '\0';
}

/*
 * The path of cgroup `id` below the mount into `buf`. 0, or -1; errno is ENOENT when the
 * folder is gone for good (ids are never used twice) and something else when it is worth another
 * try.
 */
static int find_path(const struct tip_cgroups *c, uint64_t id, char *buf, size_t size)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + sizeof(uint64_t)];
	} handle = {.h = {.handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS}};
	char link[64], full[PATH_MAX];
	ssize_t n;
	int fd;

	if (c->fd < 0 || id == 0) {
		errno = ENOENT;
		return -1;
	}
	memcpy(handle.h.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(c->fd, &handle.h, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		if (errno == ESTALE)
			errno = ENOENT;
		return -1;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, full, sizeof(full) - 1);
	close(fd);
	if (n < 0)
		return -1;
	full[n] = '\0';
	strip_deleted(full, (size_t)n);
	if (strncmp(full, c->mount, c->mount_len) != 0 ||
	    (full[c->mount_len] != '/' && full[c->mount_len] != '\0')) {
		errno = EXDEV;
		return -1;
	}
	snprintf(buf, size, "%s", full[c->mount_len] ? full + c->mount_len : "/");
	return 0;
}

static void idle_remove(struct tip_cgroups *c, struct tip_cgroup *g)
{
	*(g->prev ? &g->prev->next : &c->oldest) = g->next;
	*(g->next ? &g->next->prev : &c->newest) = g->prev;
	g->prev = g->next = NULL;
	c->idle--;
}

static void idle_add(struct tip_cgroups *c, struct tip_cgroup *g)
{
	g->prev = c->newest;
	g->next = NULL;
	*(c->newest ? &c->newest->next : &c->oldest) = g;
	c->newest = g;
	c->idle++;
}

struct tip_cgroup *tip_cgroup_get(struct tip_cgroups *c, uint64_t id)
{
	struct tip_cgroup *g = tip_map_getu(c->by_id, id);
	char path[PATH_MAX];
	bool keep = true;

	if (g) {
		if (g->refs++ == 0)
			idle_remove(c, g);
		return g;
	}
	if (find_path(c, id, path, sizeof(path)) != 0) {
		path[0] = '\0';
		keep = errno == ENOENT;
	}
	g = tip_alloc(sizeof(*g) + strlen(path) + 1);
	g->refs = 1;
	strcpy(g->path, path);
	g->container = tip_containers_get(c->containers, path, made_by_root, c);
	g->id = id;
	g->kept = keep;
	if (keep)
		tip_map_putu(c->by_id, id, g);
	return g;
}

void tip_cgroup_put(struct tip_cgroups *c, struct tip_cgroup *g)
{
	if (!g || --g->refs)
		return;
	if (!g->kept) {
		tip_containers_put(c->containers, g->container);
		free(g);
		return;
	}
	idle_add(c, g);
	if (c->idle > TIP_CGROUPS_IDLE) {
		g = c->oldest;
		idle_remove(c, g);
		tip_map_delu(c->by_id, g->id);
		tip_containers_put(c->containers, g->container);
		free(g);
	}
}
