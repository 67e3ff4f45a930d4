/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_PROCESS_CGROUP_H
#define TIP_PROCESS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "process/container.h"

/*
 * Paths of cgroups by their id. A path outlives its folder for as long as a process entry refers to
 * it, and then until TIP_CGROUPS_IDLE others have been let go after it.
 */
#define TIP_CGROUPS_IDLE 256

struct tip_cgroup {
	uint64_t id;
	uint32_t refs;
	bool kept; /* in the table: not so when a look-up failed for a reason that may pass */
	struct tip_cgroup *prev, *next;  /* in the list of idle ones */
	struct tip_container *container; /* that it lies in, NULL: in none; a reference */
	char path[]; /* below the mount, "/..."; "" when it could not be found */
};

struct tip_cgroups;

struct tip_cgroups *tip_cgroups_new(const char *mount);
void tip_cgroups_free(struct tip_cgroups *c);
struct tip_containers *tip_cgroups_containers(struct tip_cgroups *c);

/*
 * Did root make the cgroup `path` of the hierarchy that is open as `fd`? Only who may write to the
 * folder above can. A user's own part of the tree (user@1000.service, and whatever a runtime has
 * given away) is his, and so are the names in it.
 */
bool tip_cgroup_by_root(int fd, const char *path);

/* A reference to the cgroup, never NULL; give it back with tip_cgroup_put(). */
struct tip_cgroup *tip_cgroup_get(struct tip_cgroups *c, uint64_t id);
void tip_cgroup_put(struct tip_cgroups *c, struct tip_cgroup *g);

#endif
