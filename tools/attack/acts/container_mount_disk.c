/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void step(const char *arg)
{
	if (mkdir(STAGE "/disk", 0755))
		fail("mkdir: %s", strerror(errno));
	if (*arg) {
		if (mount("scratch", STAGE "/disk", "tmpfs", MS_NODEV, NULL))
			fail("mount: %s", strerror(errno));
	} else if (mount("/dev/no-such-disk", STAGE "/disk", "ext4", MS_RDONLY, NULL) == 0) {
		fail("there is a /dev/no-such-disk");
	}
}

static void run(bool innocent)
{
	enter_container();
	run_as("escaper", "container-mount-disk", innocent ? "innocent" : "");
}

ACT("container-mount-disk", .does = "a program of a container tries to mount a disk of the node",
    .innocent = "it mounts memory", .rule = "File system of the node mounted in a container",
    .technique = "T1611", .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"evt.arg.dev=/dev/no-such-disk", "container.id=a77ac0000000"}, .run = run,
    .step = step);
