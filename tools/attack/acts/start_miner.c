/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	run_as(innocent ? "worker -o tcp://192.0.2.1:3333"
			: "worker -o stratum+tcp://192.0.2.1:3333",
	       "nothing", "");
}

ACT("start-miner", .does = "a program is told to speak to a mining pool",
    .innocent = "it is told to speak to something else",
    .rule = "Miner's protocol on a command line", .technique = "T1496", .needs = NEED_ROOT,
    .shows = {"proc.cmdline=worker -o stratum+tcp://192.0.2.1:3333"}, .run = run);
