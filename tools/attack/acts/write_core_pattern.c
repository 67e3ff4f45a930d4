/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/proc/sys/kernel/core_pattern", "core\n");
	put("/proc/sys/kernel/panic", "0\n");
	cover("/proc/sys/kernel");
	run_as("escaper", "write",
	       innocent ? "/proc/sys/kernel/panic" : "/proc/sys/kernel/core_pattern");
}

ACT("write-core-pattern", .does = "a program opens the kernel's core_pattern for writing",
    .innocent = "it opens a setting that starts nothing",
    .rule = "Kernel setting written that starts programs", .technique = "T1611", .needs = NEED_ROOT,
    .shows = {"fd.name=/proc/sys/kernel/core_pattern", "proc.name=escaper"}, .run = run);
