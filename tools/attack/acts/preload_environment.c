/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <stdlib.h>

static void step(const char *arg)
{
	/* Neither is there: the dynamic linker says so, and goes on without. */
	setenv("LD_PRELOAD", *arg ? "/usr/lib/no-such-library.so" : "/tmp/no-such-library.so", 1);
	run_as("payd", "nothing", "");
}

static void run(bool innocent)
{
	run_as("starter", "preload-environment", innocent ? "innocent" : "");
}

ACT("preload-environment", .does = "a program starts with LD_PRELOAD naming a file in /tmp",
    .innocent = "it names a file of a folder that is root's",
    .rule = "Library preloaded from a folder of everybody's", .technique = "T1574.006",
    .needs = NEED_ROOT, .shows = {"proc.env[LD_PRELOAD]=/tmp/no-such-library.so", "proc.name=payd"},
    .run = run, .step = step);
