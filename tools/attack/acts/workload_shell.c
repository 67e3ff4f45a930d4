/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void step(const char *arg)
{
	await_identity();
	run_as(arg, "nothing", "");
}

static void run(bool innocent)
{
	run_as("workload", "workload-shell", innocent ? "reporter" : "bash");
}

ACT("workload-shell", .does = "a workload with an SVID starts a shell",
    .innocent = "it starts a program that is no shell", .rule = "Shell spawned from a workload",
    .technique = "T1059.004", .needs = NEED_ROOT | NEED_IDENTITY,
    .shows = {"proc.name=bash", "proc.pname=workload"}, .run = run, .step = step);
