/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

static void step(const char *arg)
{
	const int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);

	/* Where it is already: nothing changes. */
	if (fd < 0 || setns(fd, CLONE_NEWUTS))
		fail("setns: %s", strerror(errno));
}

static void run(bool innocent)
{
	enter_container();
	run_as(innocent ? "runc" : "escaper", "container-setns", "");
}

ACT("container-setns", .does = "a program of a container enters another namespace",
    .innocent = "the runtime does", .rule = "Namespace entered from a container",
    .technique = "T1611", .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"proc.name=escaper", "container.id=a77ac0000000"}, .run = run, .step = step);
