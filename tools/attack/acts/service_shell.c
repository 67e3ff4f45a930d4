/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void step(const char *arg)
{
	run_as("sh -c id", "nothing", "");
}

static void run(bool innocent)
{
	run_as(innocent ? "cron" : "nginx", "service-shell", "");
}

ACT("service-shell", .does = "a web server starts a shell", .innocent = "cron starts one",
    .rule = "Shell started by a network service", .technique = "T1505.003", .needs = NEED_ROOT,
    .shows = {"proc.cmdline=sh -c id", "proc.pname=nginx"}, .run = run, .step = step);
