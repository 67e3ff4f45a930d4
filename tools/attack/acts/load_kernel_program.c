/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void step(const char *arg)
{
	/* No instructions and no licence: the verifier refuses it before it looks. */
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_KPROBE};

	if (syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)) >= 0)
		fail("the kernel took it");
}

static void run(bool innocent)
{
	run_as(innocent ? "bpftool" : "rootkit", "load-kernel-program", "");
}

ACT("load-kernel-program", .does = "a program gives the kernel a BPF program, which is none",
    .innocent = "bpftool gives it the same", .rule = "BPF program loaded by an unexpected program",
    .technique = "T1014", .needs = NEED_ROOT,
    .shows = {"evt.arg.cmd=BPF_PROG_LOAD", "proc.name=rootkit"}, .run = run, .step = step);
