/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
	cover("/etc");
	run_as(innocent ? "useradd" : "dropper", "write", "/etc/passwd");
}

ACT("write-passwd", .does = "a program opens /etc/passwd for writing", .innocent = "useradd does",
    .rule = "Account file written", .technique = "T1136.001", .needs = NEED_ROOT,
    .shows = {"fd.name=/etc/passwd", "proc.name=dropper"}, .run = run);
