/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void step(const char *arg)
{
	await_identity();
	run_as("whoami", "nothing", "");
}

static void run(bool innocent)
{
	if (innocent)
		run_as("whoami", "nothing", "");
	else
		run_as("workload", "workload-whoami", "");
}

ACT("workload-whoami", .does = "whoami starts in the lineage of a workload",
    .innocent = "whoami is started by somebody else", .rule = "Reconnaissance from a workload",
    .technique = "T1033", .needs = NEED_ROOT | NEED_IDENTITY,
    .shows = {"proc.name=whoami", "proc.pname=workload"}, .run = run, .step = step);
