/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_call PID: makes the process PID, whose filter is to be tried out, call
 * sendto(-1, NULL, 0, MSG_FASTOPEN, NULL, 0), as somebody would who has taken it over. That is a
 * connect() without its name. Prints {"killed": true} if the filter ended it, else what the call
 * returned.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "attack.h"

#define SYSCALL_LEN 2 /* of the instruction in which the process waits */

static void next_stop(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, __WALL) != pid)
		die("waitpid: %s", strerror(errno));
	if (WIFSTOPPED(status))
		return;
	printf("{\"killed\":%s}\n",
	       WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? "true" : "false");
	exit(0);
}

int main(int argc, char **argv)
{
	const pid_t pid = argc == 2 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
	struct user_regs_struct own, regs;

	if (pid <= 0)
		die("usage: front_call PID");
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		die("ptrace: %s", strerror(errno));
	next_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &own))
		die("PTRACE_GETREGS: %s", strerror(errno));
	if ((long)own.orig_rax < 0)
		die("it does not wait in a system call");
	regs = own;
	regs.rip -= SYSCALL_LEN;
	regs.orig_rax = (unsigned long)-1; /* what it waits for is not begun again now */
	regs.rax = SYS_sendto;
	regs.rdi = (unsigned long)-1;
	regs.rsi = regs.rdx = regs.r8 = regs.r9 = 0;
	regs.r10 = MSG_FASTOPEN;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) || ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL))
		die("it cannot be made to call: %s", strerror(errno));
	next_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		die("PTRACE_GETREGS: %s", strerror(errno));
	printf("{\"killed\":false,\"returned\":%ld}\n", (long)regs.rax);
	own.rax = (unsigned long)-EINTR;
	own.orig_rax = (unsigned long)-1;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &own) || ptrace(PTRACE_DETACH, pid, NULL, NULL))
		die("it cannot be let go: %s", strerror(errno));
	return 0;
}
