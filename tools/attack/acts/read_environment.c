/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <limits.h>
#include <stdio.h>

static void run(bool innocent)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/environ", victim());
	enter_container();
	run_as("collector", "read", innocent ? "/proc/self/environ" : path);
}

ACT("read-environment", .does = "a program of a container opens the environment of another process",
    .innocent = "it opens its own", .rule = "Environment of another process read",
    .technique = "T1552.001", .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"fd.name=/environ", "proc.name=collector"}, .run = run);
