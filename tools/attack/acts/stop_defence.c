/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	run_as(innocent ? "systemctl status auditd" : "systemctl stop auditd", "nothing", "");
}

ACT("stop-defence", .does = "systemctl is told to stop auditd",
    .innocent = "it is asked how auditd is", .rule = "Defence switched off",
    .technique = "T1562.001", .needs = NEED_ROOT, .shows = {"proc.cmdline=systemctl stop auditd"},
    .run = run);
