/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void step(const char *arg)
{
	if (symlink(*arg ? "/etc/hostname" : "/etc/shadow", STAGE "/notes"))
		fail("symlink: %s", strerror(errno));
}

static void run(bool innocent)
{
	run_as("collector", "link-credentials", innocent ? "innocent" : "");
}

ACT("link-credentials", .does = "a program makes a link that leads to /etc/shadow",
    .innocent = "the link leads elsewhere", .rule = "Credential file given another name",
    .technique = "T1003.008", .needs = NEED_ROOT,
    .shows = {"evt.arg.target=/etc/shadow", "proc.name=collector"}, .run = run, .step = step);
