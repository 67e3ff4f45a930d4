/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	enter_container();
	own_session(!innocent);
	run_as("bash -i", "nothing", "");
}

ACT("container-terminal", .does = "a shell with a terminal starts in a container",
    .innocent = "a shell without a terminal starts there", .rule = "Terminal shell in a container",
    .technique = "T1059.004", .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"proc.name=bash", "container.id=a77ac0000000"}, .run = run);
