/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#define PEER "10.9.8.7"

static void step(const char *arg)
{
	await_identity();
	if (*arg) {
		if (dial_tcp(PEER ":443"))
			fail(PEER ":443 does not answer");
		return;
	}
	run_as("helper", "connect", PEER ":443");
}

static void run(bool innocent)
{
	own_network(PEER);
	listen_tcp(PEER ":443");
	run_as("workload", "lineage-connects", innocent ? "innocent" : "");
}

ACT("lineage-connects", .does = "a program that a workload started connects to another host",
    .innocent = "the workload itself connects",
    .rule = "Program without an identity connects from a workload", .technique = "T1071",
    .needs = NEED_ROOT | NEED_IDENTITY, .shows = {"fd.name=10.9.8.7:443", "proc.name=helper"},
    .run = run, .step = step);
