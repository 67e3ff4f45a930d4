/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/root/.ssh", NULL);
	cover("/root");
	run_as("dropper", "create",
	       innocent ? "/root/.ssh/known_hosts" : "/root/.ssh/authorized_keys");
}

ACT("plant-login-key", .does = "a program writes root's authorized_keys",
    .innocent = "it writes root's known_hosts", .rule = "Login key planted",
    .technique = "T1098.004", .needs = NEED_ROOT,
    .shows = {"fd.name=/root/.ssh/authorized_keys", "proc.name=dropper"}, .run = run);
