/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-syscall COUNT: calls getppid(), which does next to nothing, COUNT times. Prints ns per
 * call, by the clock and of CPU time, one a line. bench-syscall --empty: hangs a BPF program that
 * only returns on the exit of every system call and says "ready"; it goes when stdin ends. What any
 * sensor at that hook costs at the least (root).
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* Both descriptors live as long as the process. */
static int hang_empty(void)
{
	static const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(program[0]);
	attr.license = (uintptr_t)"Dual BSD/GPL";
	fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		return -1;
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (uintptr_t)"sys_exit";
	attr.raw_tracepoint.prog_fd = (uint32_t)fd;
	return bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
}

static int empty(void)
{
	char byte;

	if (hang_empty() < 0) {
		fprintf(stderr, "an empty program on sys_exit: %s\n", strerror(errno));
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	const long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	int64_t start, cpu;

	if (argc == 2 && strcmp(argv[1], "--empty") == 0)
		return empty();
	if (count <= 0) {
		fprintf(stderr, "usage: bench-syscall COUNT | --empty\n");
		return 2;
	}
	start = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	for (long i = 0; i < count; i++)
		syscall(SYS_getppid);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%.2f\n%.2f\n", (double)(now(CLOCK_MONOTONIC) - start) / (double)count,
	       (double)cpu / (double)count);
	return 0;
}
