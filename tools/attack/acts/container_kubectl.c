/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	if (!innocent)
		enter_container();
	run_as("kubectl get secrets", "nothing", "");
}

ACT("container-kubectl", .does = "kubectl starts in a container",
    .innocent = "kubectl starts on the node", .rule = "Cluster client started in a container",
    .technique = "T1609", .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"proc.cmdline=kubectl get secrets", "container.id=a77ac0000000"}, .run = run);
