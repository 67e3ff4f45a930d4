/* SPDX-License-Identifier: Apache-2.0 */
#include "process/cgroup_v1.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "process/cgroup.h"

/* In the order in which they are taken; not "name=systemd", in which users have parts. */
static const char *const controllers[] = {"pids", "memory", "devices", "cpu"};

#define TEXT_MAX 8192

struct tip_cgroup_v1 {
	const char *controller;
	int fd; /* of the mount */
};

/* Is `word` in a list with commas between? */
static bool listed(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (; *list; list += strcspn(list, ","), list += *list == ',')
		if (strcspn(list, ",") == len && memcmp(list, word, len) == 0)
			return true;
	return false;
}

/*
 * "36 35 0:30 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids" (proc(5)): the mount
 * point, if the whole of that controller's hierarchy is there.
 */
static bool is_mount_of(const char *line, const char *controller, char point[PATH_MAX])
{
	const char *rest = strstr(line, " - cgroup ");
	char root[PATH_MAX], options[1024];

	return rest && sscanf(line, "%*d %*d %*s %4095s %4095s", root, point) == 2 &&
	       strcmp(root, "/") == 0 && sscanf(rest, " - cgroup %*s %1023s", options) == 1 &&
	       listed(options, controller);
}

struct tip_cgroup_v1 *tip_cgroup_v1_open(const char *mountinfo)
{
	struct tip_cgroup_v1 *v = NULL;
	char *line = NULL, point[PATH_MAX];
	size_t size = 0, best = TIP_ARRAY_SIZE(controllers);
	FILE *f = fopen(mountinfo, "re");
	int fd;

	while (f && getline(&line, &size, f) > 0) {
		for (size_t i = 0; i < best; i++) {
			if (!is_mount_of(line, controllers[i], point))
				continue;
			fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (fd < 0)
				continue;
			if (v)
				close(v->fd);
			else
				v = tip_alloc(sizeof(*v));
			v->controller = controllers[i];
			v->fd = fd;
			best = i;
		}
	}
	free(line);
	if (f)
		fclose(f);
	return v;
}

void tip_cgroup_v1_close(struct tip_cgroup_v1 *v)
{
	if (!v)
		return;
	close(v->fd);
	free(v);
}

char *tip_cgroup_v1_path(const struct tip_cgroup_v1 *v, char *text)
{
	char *save = NULL;

	/* "8:pids:/docker/ID" */
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *list = strchr(l, ':'), *path = list ? strchr(list + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		if (listed(list + 1, v->controller))
			return path;
	}
	return NULL;
}

static bool made_by_root(void *ctx, const char *path)
{
	return tip_cgroup_by_root(((const struct tip_cgroup_v1 *)ctx)->fd, path);
}

struct tip_container *tip_cgroup_v1_get(const struct tip_cgroup_v1 *v, struct tip_containers *all,
					uint32_t tgid, bool *gone)
{
	char name[64], text[TEXT_MAX], *path;
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "/proc/%u/cgroup", tgid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		close(fd);
	*gone = n <= 0;
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	path = tip_cgroup_v1_path(v, text);
	return path ? tip_containers_get(all, path, made_by_root, (void *)v) : NULL;
}
