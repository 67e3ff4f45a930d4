/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/root/.bash_history", "ls\n");
	cover("/root");
	run_as("wiper", innocent ? "write" : "empty", "/root/.bash_history");
}

ACT("empty-history", .does = "a program empties root's .bash_history",
    .innocent = "it opens the file and keeps what is in it", .rule = "Shell history emptied",
    .technique = "T1070.003", .needs = NEED_ROOT,
    .shows = {"fd.name=/root/.bash_history", "proc.name=wiper"}, .run = run);
