/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	run_as(innocent ? "ping 192.0.2.1" : "nmap -sS 192.0.2.0/24", "nothing", "");
}

ACT("start-scanner", .does = "a program starts under the name of a port scanner",
    .innocent = "ping starts", .rule = "Scanner or tunnel started", .technique = "T1046",
    .needs = NEED_ROOT, .shows = {"proc.cmdline=nmap -sS 192.0.2.0/24"}, .run = run);
