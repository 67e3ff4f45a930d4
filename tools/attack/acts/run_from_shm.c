/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	if (innocent) {
		run_as("miner", "nothing", "");
		return;
	}
	put("/dev/shm", NULL);
	cover("/dev/shm");
	copy_to("/dev/shm/miner");
	run_at("/dev/shm/miner", "nothing", "");
}

ACT("run-from-shm", .does = "a program starts from /dev/shm",
    .innocent = "the same program starts from an ordinary folder",
    .rule = "Program started from shared memory", .technique = "T1620", .needs = NEED_ROOT,
    .shows = {"proc.exepath=/dev/shm/miner", "proc.name=miner"}, .run = run);
