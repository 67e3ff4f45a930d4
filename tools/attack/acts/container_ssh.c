/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	if (!innocent)
		enter_container();
	run_as("ssh root@192.0.2.1", "nothing", "");
}

ACT("container-ssh", .does = "ssh starts in a container", .innocent = "ssh starts on the node",
    .rule = "Remote login from a container", .technique = "T1021.004",
    .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"proc.cmdline=ssh root@192.0.2.1", "container.id=a77ac0000000"}, .run = run);
