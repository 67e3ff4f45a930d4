/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <limits.h>
#include <stdio.h>

static void run(bool innocent)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/mem", victim());
	run_as("collector", "read", innocent ? "/proc/self/mem" : path);
}

ACT("read-memory", .does = "a program opens the memory of another process",
    .innocent = "it opens its own", .rule = "Memory of another process opened",
    .technique = "T1003.007", .needs = NEED_ROOT, .shows = {"fd.name=/mem", "proc.name=collector"},
    .run = run);
