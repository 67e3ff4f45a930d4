/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <sys/syscall.h>
#include <unistd.h>

/* No kernel takes this for a module. */
static const char image[] = "this is no module";

static void step(const char *arg)
{
	if (syscall(SYS_init_module, image, sizeof(image), "from=attack") == 0)
		fail("the kernel took it");
}

static void run(bool innocent)
{
	run_as(innocent ? "modprobe" : "loader", "load-module", "");
}

ACT("load-module", .does = "a program gives the kernel a module, which is none",
    .innocent = "modprobe gives it the same",
    .rule = "Kernel module loaded by an unexpected program", .technique = "T1547.006",
    .needs = NEED_ROOT, .shows = {"evt.arg.uargs=from=attack", "proc.name=loader"}, .run = run,
    .step = step);
