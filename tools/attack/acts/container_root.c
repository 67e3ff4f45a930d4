/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void step(const char *arg)
{
	/* As a program with the setuid bit starts: another user, and root to go back to. */
	if (setresuid(65534, 65534, *arg ? 65534 : 0))
		fail("setresuid: %s", strerror(errno));
	if (!*arg && setresuid(0, 0, 0))
		fail("setresuid: %s", strerror(errno));
}

static void run(bool innocent)
{
	enter_container();
	run_as("renderer", "container-root", innocent ? "innocent" : "");
}

ACT("container-root", .does = "a program of a container becomes root",
    .innocent = "it gives root up", .rule = "Program became root in a container",
    .technique = "T1548", .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"proc.name=renderer", "user.uid=0"}, .run = run, .step = step);
