/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/usr/local/bin", NULL);
	cover("/usr/local/bin");
	run_as(innocent ? "dpkg" : "dropper", "create", "/usr/local/bin/updater");
}

ACT("write-program-folder", .does = "a program writes into /usr/local/bin",
    .innocent = "a package manager does", .rule = "Program folder written to", .technique = "T1554",
    .needs = NEED_ROOT, .shows = {"fd.name=/usr/local/bin/updater", "proc.name=dropper"},
    .run = run);
