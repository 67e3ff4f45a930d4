/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static void step(const char *arg)
{
	const pid_t pid = victim();

	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL))
		skip("ptrace: %s", strerror(errno));
	if (waitpid(pid, NULL, 0) != pid || ptrace(PTRACE_DETACH, pid, NULL, NULL))
		fail("ptrace: %s", strerror(errno));
}

static void run(bool innocent)
{
	run_as(innocent ? "strace" : "injector", "attach-debugger", "");
}

ACT("attach-debugger", .does = "a program attaches to another as a debugger does",
    .innocent = "a debugger does", .rule = "Debugger attached to a process",
    .technique = "T1055.008", .needs = NEED_ROOT,
    .shows = {"evt.arg.request=PTRACE_ATTACH", "proc.name=injector"}, .run = run, .step = step);
