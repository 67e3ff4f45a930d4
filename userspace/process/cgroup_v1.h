/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_PROCESS_CGROUP_V1_H
#define TIP_PROCESS_CGROUP_V1_H

#include <stdbool.h>
#include <stdint.h>

#include "process/container.h"

/*
 * Where cgroup v1 hierarchies are mounted beside cgroup2 (hybrid), runtimes without systemd put
 * containers into those only: all of them are in one cgroup2 then. One hierarchy of v1 is looked
 * at, that of a controller which systemd does not give to users.
 */
struct tip_cgroup_v1;

/* `mountinfo`: "/proc/self/mountinfo". NULL: there is no such hierarchy. */
struct tip_cgroup_v1 *tip_cgroup_v1_open(const char *mountinfo);
void tip_cgroup_v1_close(struct tip_cgroup_v1 *v);
/*
 * The container that process `tgid` is in: a reference, NULL: none. `*gone`: its /proc cannot be
 * read any more.
 */
struct tip_container *tip_cgroup_v1_get(const struct tip_cgroup_v1 *v, struct tip_containers *all,
					uint32_t tgid, bool *gone);
/* The path in that hierarchy from the text of a /proc/PID/cgroup, which is cut up; NULL: none. */
char *tip_cgroup_v1_path(const struct tip_cgroup_v1 *v, char *text);

#endif
