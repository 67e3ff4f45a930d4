/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/dev/sda", "no disk\n");
	cover("/dev");
	if (!innocent)
		enter_container();
	run_as("escaper", "read", "/dev/sda");
}

ACT("container-open-disk", .does = "a program of a container opens a disk of the node",
    .innocent = "a program of the node opens it",
    .rule = "Disk or memory of the node opened in a container", .technique = "T1611",
    .needs = NEED_ROOT | NEED_CGROUP, .shows = {"fd.name=/dev/sda", "container.id=a77ac0000000"},
    .run = run);
