/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/etc/systemd/system", NULL);
	cover("/etc");
	run_as("dropper", "create",
	       innocent ? "/etc/systemd/update.conf" : "/etc/systemd/system/update.service");
}

ACT("plant-service", .does = "a program writes a unit of systemd",
    .innocent = "it writes a file beside the units", .rule = "Service definition planted",
    .technique = "T1543.002", .needs = NEED_ROOT,
    .shows = {"fd.name=/etc/systemd/system/update.service", "proc.name=dropper"}, .run = run);
