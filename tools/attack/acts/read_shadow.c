/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/etc/shadow", "root:*:20000:0:99999:7:::\n");
	cover("/etc");
	run_as(innocent ? "passwd" : "collector", "read", "/etc/shadow");
}

ACT("read-shadow", .does = "a program reads /etc/shadow", .innocent = "passwd reads it",
    .rule = "Credential file read by an unexpected program", .technique = "T1003.008",
    .needs = NEED_ROOT, .shows = {"fd.name=/etc/shadow", "proc.name=collector"}, .run = run);
