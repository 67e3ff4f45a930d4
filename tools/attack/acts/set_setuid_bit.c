/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static void step(const char *arg)
{
	if (chmod(STAGE "/payd", *arg ? 0755 : 04755))
		fail("chmod: %s", strerror(errno));
}

static void run(bool innocent)
{
	/* On a file system that only the act sees: nobody can start it. */
	run_as("payd", "set-setuid-bit", innocent ? "innocent" : "");
}

ACT("set-setuid-bit", .does = "a program sets the setuid bit of a file",
    .innocent = "it sets the other bits", .rule = "Setuid bit set by an unexpected program",
    .technique = "T1548.001", .needs = NEED_ROOT,
    .shows = {"evt.arg.filename=" STAGE "/payd", "proc.name=payd"}, .run = run, .step = step);
