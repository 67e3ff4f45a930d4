/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-empty HOOK...: hangs a BPF program that only returns at each hook and says "ready" and how
 * many; they go when stdin ends (root). A hook is the name of a tracepoint, or the path of a pinned
 * link: where that one hangs. What any sensor there costs at the least: the kernel's part.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct hook {
	char tracepoint[64]; /* "": it is a function */
	uint32_t prog_type, attach_type, btf_id;
};

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* Where a pinned link hangs. -1 with errno. */
static int hook_of(const char *path, struct hook *h)
{
	struct bpf_link_info info = {.raw_tracepoint.tp_name = (uintptr_t)h->tracepoint,
				     .raw_tracepoint.tp_name_len = sizeof(h->tracepoint)};
	union bpf_attr attr = {.pathname = (uintptr_t)path};
	const int fd = bpf(BPF_OBJ_GET, &attr);
	int err;

	if (fd < 0)
		return -1;
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	err = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	/* Other links do not take the name's place for what it is. */
	if (!err && info.type != BPF_LINK_TYPE_RAW_TRACEPOINT) {
		memset(&info, 0, sizeof(info));
		h->tracepoint[0] = '\0';
		err = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	}
	close(fd);
	if (err)
		return -1;
	h->prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
	if (info.type == BPF_LINK_TYPE_TRACING) {
		h->prog_type = info.tracing.attach_type == BPF_LSM_MAC ? BPF_PROG_TYPE_LSM
								       : BPF_PROG_TYPE_TRACING;
		h->attach_type = info.tracing.attach_type;
		h->btf_id = info.tracing.target_btf_id;
	} else if (info.type != BPF_LINK_TYPE_RAW_TRACEPOINT) {
		errno = ENOTSUP;
		return -1;
	}
	return 0;
}

/* Both descriptors live as long as the process. */
static int hang(const struct hook *h)
{
	static const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {.prog_type = h->prog_type};
	int fd;

	attr.insns = (uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(program[0]);
	attr.license = (uintptr_t)"Dual BSD/GPL";
	attr.expected_attach_type = h->attach_type;
	attr.attach_btf_id = h->btf_id;
	fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		return -1;
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = *h->tracepoint ? (uintptr_t)h->tracepoint : 0;
	attr.raw_tracepoint.prog_fd = (uint32_t)fd;
	return bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
}

int main(int argc, char **argv)
{
	char byte;

	if (argc < 2) {
		fprintf(stderr, "usage: bench-empty TRACEPOINT | LINK ...\n");
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		struct hook h = {.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT};

		if (!strchr(argv[i], '/'))
			snprintf(h.tracepoint, sizeof(h.tracepoint), "%s", argv[i]);
		else if (hook_of(argv[i], &h)) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
			return 1;
		}
		if (hang(&h) < 0) {
			fprintf(stderr, "an empty program at %s: %s\n", argv[i], strerror(errno));
			return 1;
		}
	}
	printf("ready %d\n", argc - 1);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
