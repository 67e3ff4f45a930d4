/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/etc/cron.d", NULL);
	cover("/etc");
	run_as(innocent ? "crontab" : "dropper", "create", "/etc/cron.d/update");
}

ACT("plant-cron-job", .does = "a program writes into /etc/cron.d", .innocent = "crontab does",
    .rule = "Scheduled job planted", .technique = "T1053.003", .needs = NEED_ROOT,
    .shows = {"fd.name=/etc/cron.d/update", "proc.name=dropper"}, .run = run);
