/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void step(const char *arg)
{
	if (unlink("/var/log/wtmp"))
		fail("unlink: %s", strerror(errno));
}

static void run(bool innocent)
{
	put("/var/log/wtmp", "");
	cover("/var/log");
	run_as(innocent ? "logrotate" : "wiper", "delete-log", "");
}

ACT("delete-log", .does = "a program deletes the log of logins", .innocent = "logrotate does",
    .rule = "Log deleted", .technique = "T1070.002", .needs = NEED_ROOT,
    .shows = {"evt.args=/var/log/wtmp", "proc.name=wiper"}, .run = run, .step = step);
