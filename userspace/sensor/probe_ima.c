/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does IMA hash a file for a BPF program, and by SHA-256? In a child, whose ioctl() on a file of
 * known content is what the program waits for: that hook may sleep, and has the file for its first
 * argument.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/hash_info.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/mem.h"
#include "sensor/internal.h"
#include "sensor/probe.h"

#define CONTENT "abc"

/* Of CONTENT: FIPS 180-4. */
static const uint8_t expected[TIP_SHA256] = {
	0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
	0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
	0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
};

/* What the program leaves in its map. */
struct answer {
	uint8_t sha256[TIP_SHA256];
	int64_t algorithm; /* enum hash_algo, or -errno */
	uint64_t asked;
};

/* A program that hashes the first argument of its hook, if process `self` calls. */
static int load(int map, int self, int hook)
{
	/* clang-format off */
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
		{.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_0, .imm = 32},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_0, .off = 9, .imm = self},
		{.code = BPF_LD | BPF_DW /* BPF_IMM is 0 */, .dst_reg = BPF_REG_7, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = map},
		{0},
		{.code = BPF_LDX | BPF_DW | BPF_MEM, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_6},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_7},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = TIP_SHA256},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ima_file_hash},
		{.code = BPF_STX | BPF_DW | BPF_MEM, .dst_reg = BPF_REG_7, .src_reg = BPF_REG_0,
		 .off = offsetof(struct answer, algorithm)},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 1},
		{.code = BPF_STX | BPF_DW | BPF_MEM, .dst_reg = BPF_REG_7, .src_reg = BPF_REG_1,
		 .off = offsetof(struct answer, asked)},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	/* clang-format on */
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC,
		    .prog_flags = BPF_F_SLEEPABLE, .attach_btf_id = (__u32)hook);

	return bpf_prog_load(BPF_PROG_TYPE_LSM, "tip_probe", "Dual BSD/GPL", insns,
			     TIP_ARRAY_SIZE(insns), &opts);
}

static void judge(struct tip_capability_result *r, const struct answer *a)
{
	if (!a->asked)
		tip_probe_fails(r, 0,
				"a LSM program attaches but is not asked: is \"bpf\" in "
				"/sys/kernel/security/lsm?");
	else if (a->algorithm < 0)
		tip_probe_fails(r, (int)-a->algorithm, "IMA hashes no file for a program");
	else if (a->algorithm != HASH_ALGO_SHA256)
		tip_probe_fails(r, 0,
				"IMA hashes by algorithm %d and not by SHA-256: see ima_hash= on "
				"the kernel's command line",
				(int)a->algorithm);
	else if (memcmp(a->sha256, expected, sizeof(expected)) != 0)
		tip_probe_fails(r, 0, "IMA gave another digest than the file has");
	else
		tip_probe_works(r, "a program had IMA hash a file of the trial process");
}

/* With a file of the content, while the program is attached. */
static void ask(struct tip_capability_result *r, int map)
{
	const int file = memfd_create("tip_probe", MFD_CLOEXEC);
	const uint32_t zero = 0;
	struct answer a = {0};
	int left = 0;

	if (file < 0 || write(file, CONTENT, sizeof(CONTENT) - 1) != sizeof(CONTENT) - 1) {
		tip_probe_fails(r, errno, "cannot make a file to hash");
	} else {
		/* Whether it can is not the question. */
		(void)ioctl(file, FIONREAD, &left);
		if (bpf_map_lookup_elem(map, &zero, &a))
			tip_probe_fails(r, errno, "cannot read the program's map");
		else
			judge(r, &a);
	}
	if (file >= 0)
		close(file);
}

void tip_probe_ima(struct tip_capability_result *r)
{
	const int hook = libbpf_find_vmlinux_btf_id("file_ioctl", BPF_LSM_MAC);
	int map, prog = -1, link = -1;

	if (hook < 0) {
		tip_probe_fails(r, -hook, "the kernel has no BPF LSM hooks");
		return;
	}
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "tip_probe", sizeof(uint32_t),
			     sizeof(struct answer), 1, NULL);
	if (map < 0) {
		tip_probe_fails(r, errno, "cannot make a map");
		return;
	}
	prog = load(map, (int)tip_own_tgid(), hook);
	if (prog < 0) {
		tip_probe_fails(r, errno, "a LSM program that may sleep does not load");
		goto out;
	}
	link = bpf_link_create(prog, 0, BPF_LSM_MAC, NULL);
	if (link < 0)
		tip_probe_fails(r, errno, "a LSM program loads but does not attach");
	else
		ask(r, map);
out:
	if (link >= 0)
		close(link);
	if (prog >= 0)
		close(prog);
	close(map);
}
