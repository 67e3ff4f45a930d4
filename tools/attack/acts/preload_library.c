/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/etc", NULL);
	cover("/etc");
	run_as("dropper", "create", innocent ? "/etc/ld.so.conf" : "/etc/ld.so.preload");
}

ACT("preload-library", .does = "a program writes /etc/ld.so.preload",
    .innocent = "it writes /etc/ld.so.conf", .rule = "Library preloaded into every program",
    .technique = "T1574.006", .needs = NEED_ROOT,
    .shows = {"fd.name=/etc/ld.so.preload", "proc.name=dropper"}, .run = run);
