/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockmap CGROUP: what a CNI's sockops program does. Every TCP connection that comes up in that
 * cgroup gets into a sockmap, until standard input ends. Prints {"attached": true}.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int make_map(void)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_SOCKHASH,
			       .key_size = 4,
			       .value_size = 8,
			       .max_entries = 4096};
	int map = (int)bpf(BPF_MAP_CREATE, &attr);

	if (map < 0)
		die("no sockhash: %m");
	return map;
}

#define OP(code_, dst, src, off_, imm_)                                                            \
	{.code = (code_), .dst_reg = (dst), .src_reg = (src), .off = (off_), .imm = (imm_)}

/* if (op is one of the two ESTABLISHED) bpf_sock_hash_update(ctx, &map, &local_port, BPF_ANY) */
static int make_program(int map)
{
	const struct bpf_insn insns[] = {
		OP(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct bpf_sock_ops, op), 0),
		OP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1, BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB),
		OP(BPF_JMP | BPF_JNE | BPF_K, 2, 0, 10, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB),
		OP(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(struct bpf_sock_ops, local_port), 0),
		OP(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct bpf_sock_ops, remote_port), 0),
		OP(BPF_ALU64 | BPF_XOR | BPF_X, 3, 2, 0, 0),
		OP(BPF_STX | BPF_MEM | BPF_W, 10, 3, -4, 0),
		OP(BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_MAP_FD, 0, map),
		OP(0, 0, 0, 0, 0),
		OP(BPF_ALU64 | BPF_MOV | BPF_X, 3, 10, 0, 0),
		OP(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -4),
		OP(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, BPF_ANY),
		OP(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sock_hash_update),
		OP(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1),
		OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	static char log[65536];
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCK_OPS,
			       .insns = (unsigned long)insns,
			       .insn_cnt = sizeof(insns) / sizeof(insns[0]),
			       .license = (unsigned long)"GPL",
			       .log_buf = (unsigned long)log,
			       .log_size = sizeof(log),
			       .log_level = 1,
			       .prog_name = "cni"};
	int prog = (int)bpf(BPF_PROG_LOAD, &attr);

	if (prog < 0)
		die("the program does not load: %m\n%s", log);
	return prog;
}

int main(int argc, char **argv)
{
	union bpf_attr attr = {.link_create = {.attach_type = BPF_CGROUP_SOCK_OPS}};
	int cgroup = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;
	char c;

	if (cgroup < 0)
		die("usage: sockmap CGROUP");
	attr.link_create.prog_fd = (unsigned int)make_program(make_map());
	attr.link_create.target_fd = (unsigned int)cgroup;
	if (bpf(BPF_LINK_CREATE, &attr) < 0)
		die("cannot attach: %m");
	puts("{\"attached\": true}");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
