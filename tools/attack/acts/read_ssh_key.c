/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/root/.ssh/id_ed25519", "no key\n");
	put("/root/.ssh/id_ed25519.pub", "no key\n");
	cover("/root");
	run_as("collector", "read",
	       innocent ? "/root/.ssh/id_ed25519.pub" : "/root/.ssh/id_ed25519");
}

ACT("read-ssh-key", .does = "a program reads a private key of SSH",
    .innocent = "it reads the public half", .rule = "Private key of SSH read",
    .technique = "T1552.004", .needs = NEED_ROOT,
    .shows = {"fd.name=/root/.ssh/id_ed25519", "proc.name=collector"}, .run = run);
