/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/root", NULL);
	cover("/root");
	own_session(innocent);
	run_as("dropper", "create", "/root/.bashrc");
}

ACT("change-bashrc", .does = "a program without a terminal writes root's .bashrc",
    .innocent = "somebody at a terminal writes it",
    .rule = "Start file of a shell changed behind the scenes", .technique = "T1546.004",
    .needs = NEED_ROOT, .shows = {"fd.name=/root/.bashrc", "proc.name=dropper"}, .run = run);
