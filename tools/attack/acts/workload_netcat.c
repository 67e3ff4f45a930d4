/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void step(const char *arg)
{
	await_identity();
	run_as("nc -lvp 4444", "nothing", "");
}

static void run(bool innocent)
{
	if (innocent)
		run_as("nc -lvp 4444", "nothing", "");
	else
		run_as("workload", "workload-netcat", "");
}

ACT("workload-netcat", .does = "a workload with an SVID starts netcat",
    .innocent = "netcat is started by somebody else",
    .rule = "Network tool started from a workload", .technique = "T1095",
    .needs = NEED_ROOT | NEED_IDENTITY, .shows = {"proc.name=nc", "proc.cmdline=nc -lvp 4444"},
    .run = run, .step = step);
