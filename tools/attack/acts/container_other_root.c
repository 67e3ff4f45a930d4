/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <limits.h>
#include <stdio.h>

static void run(bool innocent)
{
	char path[PATH_MAX];

	enter_container();
	if (innocent)
		snprintf(path, sizeof(path), "/proc/self/root" STAGE);
	else
		snprintf(path, sizeof(path), "/proc/%d/root" STAGE, victim());
	run_as("escaper", "read", path);
}

ACT("container-other-root",
    .does = "a program of a container opens a file through the root of another process",
    .innocent = "it opens one through its own root",
    .rule = "File opened through the root of another process", .technique = "T1611",
    .needs = NEED_ROOT | NEED_CGROUP, .shows = {"fd.name=/root" STAGE, "container.id=a77ac0000000"},
    .run = run);
