/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/root/.aws/credentials", "[default]\n");
	cover("/root");
	run_as(innocent ? "aws" : "collector", "read", "/root/.aws/credentials");
}

ACT("read-cloud-credentials", .does = "a program reads root's .aws/credentials",
    .innocent = "aws reads them", .rule = "Credentials of a cloud or cluster read",
    .technique = "T1552.001", .needs = NEED_ROOT,
    .shows = {"fd.name=/root/.aws/credentials", "proc.name=collector"}, .run = run);
