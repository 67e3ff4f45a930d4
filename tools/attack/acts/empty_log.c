/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/var/log/wtmp", "");
	cover("/var/log");
	run_as(innocent ? "logrotate" : "wiper", "empty", "/var/log/wtmp");
}

ACT("empty-log", .does = "a program empties the log of logins", .innocent = "logrotate does",
    .rule = "Log emptied", .technique = "T1070.002", .needs = NEED_ROOT,
    .shows = {"fd.name=/var/log/wtmp", "proc.name=wiper"}, .run = run);
