/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sk_lookup program: loaded once for each network namespace with that one's cookie, over the
 * maps of all. Links are pinned beside the state maps as "lookup_<cookie>": they outlive
 * generations of the other programs, and a new daemon puts its own program into a link that is
 * there.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "base/mem.h"
#include "sensor/intercept.h"
#include "sensor/internal.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "lookup.skel.h"
#pragma GCC diagnostic pop

#define PIN_PREFIX "lookup_"

/* ---- the program ---- */

/* A descriptor of the program for that namespace, or -errno. */
static int load_program(struct tip_sensor *s, uint64_t cookie)
{
	struct lookup_bpf *skel = lookup_bpf__open();
	int ret;

	if (!skel)
		return -errno;
	skel->rodata->tip_netns = cookie;
	ret = tip_share_maps(s, skel->obj);
	if (!ret)
		ret = bpf_object__load(skel->obj);
	if (!ret) {
		ret = tip_fd_keep(bpf_program__fd(skel->progs.tip_lookup));
		if (ret < 0)
			ret = -errno;
	}
	lookup_bpf__destroy(skel);
	return ret;
}

/* ---- links ---- */

static void pin_path(const struct tip_sensor *s, uint64_t cookie, char *buf, size_t size)
{
	snprintf(buf, size, "%s/" PIN_PREFIX "%" PRIu64, s->dir, cookie);
}

/* Inode number of the namespace that a link is attached to; 0 once that is gone, or no such link.
 */
static uint32_t link_netns(int link)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(link, &info, &len) || info.type != BPF_LINK_TYPE_NETNS)
		return 0;
	return info.netns.netns_ino;
}

static struct tip_looked_up *find_unpinned(struct tip_sensor *s, uint64_t cookie)
{
	for (size_t i = 0; i < s->nlooked_up; i++)
		if (s->looked_up[i].cookie == cookie)
			return &s->looked_up[i];
	return NULL;
}

/* A link that is attached already, to be closed by the caller; -1: none. */
static int existing_link(struct tip_sensor *s, int netns_fd, uint64_t cookie)
{
	const struct tip_looked_up *held;
	char path[PATH_MAX];
	struct stat st;
	int link;

	if (!s->pinned) {
		held = find_unpinned(s, cookie);
		return held ? tip_fd_keep(held->link) : -1;
	}
	pin_path(s, cookie, path, sizeof(path));
	link = bpf_obj_get(path);
	if (link < 0)
		return -1;
	if (fstat(netns_fd, &st) == 0 && link_netns(link) == st.st_ino)
		return link;
	close(link);
	unlink(path);
	return -1;
}

/* Makes the link outlive this call: by a pin, else by keeping a descriptor. */
static int hold_link(struct tip_sensor *s, int link, uint64_t cookie)
{
	struct tip_looked_up *held;
	char path[PATH_MAX];
	int copy;

	if (s->pinned) {
		pin_path(s, cookie, path, sizeof(path));
		return bpf_obj_pin(link, path) ? -errno : 0;
	}
	copy = tip_fd_keep(link);
	if (copy < 0)
		return -errno;
	s->looked_up = tip_realloc(s->looked_up, s->nlooked_up + 1, sizeof(*s->looked_up));
	held = &s->looked_up[s->nlooked_up++];
	held->cookie = cookie;
	held->link = copy;
	return 0;
}

int tip_sensor_netns_attach(struct tip_sensor *s, int netns_fd, uint64_t cookie)
{
	const int prog = load_program(s, cookie);
	int link, ret;

	if (prog < 0)
		return prog;
	link = existing_link(s, netns_fd, cookie);
	if (link >= 0) {
		ret = bpf_link_update(link, prog, NULL) ? -errno : 0;
	} else {
		link = bpf_link_create(prog, netns_fd, BPF_SK_LOOKUP, NULL);
		ret = link < 0 ? -errno : hold_link(s, link, cookie);
	}
	if (link >= 0)
		close(link);
	close(prog);
	return ret;
}

int tip_sensor_netns_detach(struct tip_sensor *s, uint64_t cookie)
{
	struct tip_looked_up *held;
	char path[PATH_MAX];

	if (s->pinned) {
		pin_path(s, cookie, path, sizeof(path));
		return unlink(path) ? -errno : 0;
	}
	held = find_unpinned(s, cookie);
	if (!held)
		return -ENOENT;
	close(held->link);
	*held = s->looked_up[--s->nlooked_up];
	return 0;
}

/* ---- all of them ---- */

static bool pin_is_dead(const char *path)
{
	const int link = bpf_obj_get(path);
	bool dead;

	if (link < 0)
		return false;
	dead = link_netns(link) == 0;
	close(link);
	return dead;
}

/* Removes the pins of namespaces that are gone, or `all`; how many are left, or -errno. */
static int remove_pins(struct tip_sensor *s, bool all)
{
	DIR *dir = opendir(s->dir);
	const struct dirent *entry;
	int left = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		char path[PATH_MAX];

		if (strncmp(entry->d_name, PIN_PREFIX, sizeof(PIN_PREFIX) - 1) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", s->dir, entry->d_name);
		if (!all && !pin_is_dead(path)) {
			left++;
		} else if (unlink(path)) {
			left++;
			tip_warn("sensor", "cannot remove %s: %s", path, strerror(errno));
		} else {
			/* bpffs moves the reading position when entries go: begin again. */
			rewinddir(dir);
			left = 0;
		}
	}
	closedir(dir);
	return left;
}

int tip_sensor_netns_prune(struct tip_sensor *s)
{
	if (s->pinned)
		return remove_pins(s, false);
	for (size_t i = 0; i < s->nlooked_up;) {
		if (link_netns(s->looked_up[i].link)) {
			i++;
			continue;
		}
		close(s->looked_up[i].link);
		s->looked_up[i] = s->looked_up[--s->nlooked_up];
	}
	return (int)s->nlooked_up;
}

void tip_lookup_remove(struct tip_sensor *s)
{
	remove_pins(s, true);
}

void tip_lookup_close(struct tip_sensor *s)
{
	for (size_t i = 0; i < s->nlooked_up; i++)
		close(s->looked_up[i].link);
	free(s->looked_up);
}
