/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can this kernel do? Configuration options and version numbers lie in both directions
 * (lockdown, backports, a LSM that is built in but not active), so each thing is done once.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "base/mem.h"
#include "sensor/internal.h"
#include "sensor/probe.h"

/* ---- results ---- */

void tip_probe_works(struct tip_capability_result *r, const char *fmt, ...)
{
	va_list ap;

	r->works = true;
	va_start(ap, fmt);
	vsnprintf(r->detail, sizeof(r->detail), fmt, ap);
	va_end(ap);
}

void tip_probe_fails(struct tip_capability_result *r, int err, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	r->works = false;
	va_start(ap, fmt);
	vsnprintf(r->detail, sizeof(r->detail), fmt, ap);
	va_end(ap);
	len = strlen(r->detail);
	if (err)
		snprintf(r->detail + len, sizeof(r->detail) - len, ": %s", strerror(err));
}

bool tip_probe_in_child(struct tip_capability_result *r, int expected,
			void (*fn)(struct tip_capability_result *r))
{
	struct tip_capability_result got = {.name = r->name};
	int fds[2], status = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		tip_probe_fails(r, errno, "cannot make a pipe");
		return false;
	}
	pid = fork();
	if (pid < 0) {
		tip_probe_fails(r, errno, "cannot fork");
		close(fds[0]);
		close(fds[1]);
		return false;
	}
	if (pid == 0) {
		fn(&got);
		n = write(fds[1], &got, sizeof(got));
		_exit(n == (ssize_t)sizeof(got) ? 0 : 1);
	}
	close(fds[1]);
	n = read(fds[0], &got, sizeof(got));
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n == (ssize_t)sizeof(got)) {
		r->works = got.works;
		r->bits = got.bits;
		memcpy(r->detail, got.detail, sizeof(r->detail));
		return false;
	}
	if (expected && WIFSIGNALED(status) && WTERMSIG(status) == expected)
		return true;
	tip_probe_fails(r, 0, "the trial process ended with status 0x%x", status);
	return false;
}

/* ---- programs ---- */

/* r0 = value; exit */
static int load_returning(enum bpf_prog_type type, enum bpf_attach_type attach, const char *target,
			  int value)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = value},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);

	if (target) {
		const int id = libbpf_find_vmlinux_btf_id(target, attach);

		if (id < 0) {
			errno = -id;
			return -1;
		}
		opts.attach_btf_id = (__u32)id;
	}
	return bpf_prog_load(type, "tip_probe", "Dual BSD/GPL", insns, TIP_ARRAY_SIZE(insns),
			     &opts);
}

static void probe_btf(struct tip_capability_result *r)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf) {
		tip_probe_fails(r, errno, "cannot read the kernel's BTF");
		return;
	}
	tip_probe_works(r, "%u types in /sys/kernel/btf/vmlinux", btf__type_cnt(btf));
	btf__free(btf);
}

/* Loads a tracing program that does nothing, attaches it and lets go. */
static void probe_tracing(struct tip_capability_result *r, enum bpf_attach_type attach,
			  const char *target)
{
	const int prog = load_returning(BPF_PROG_TYPE_TRACING, attach, target, 0);
	int link;

	if (prog < 0) {
		tip_probe_fails(r, errno, "a program for %s does not load", target);
		return;
	}
	link = bpf_link_create(prog, 0, attach, NULL);
	if (link < 0) {
		tip_probe_fails(r, errno, "a program loads but does not attach to %s", target);
	} else {
		tip_probe_works(r, "attached a program to %s", target);
		close(link);
	}
	close(prog);
}

static void probe_ringbuf(struct tip_capability_result *r)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "tip_probe", 0, 0, (__u32)page, NULL);
	void *p;

	if (fd < 0) {
		tip_probe_fails(r, errno, "cannot make a ring buffer");
		return;
	}
	p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		tip_probe_fails(r, errno, "cannot map a ring buffer");
	} else {
		tip_probe_works(r, "made and mapped one");
		munmap(p, page);
	}
	close(fd);
}

static void probe_iter(struct tip_capability_result *r)
{
	const int prog = load_returning(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "task", 0);
	int link = -1, iter = -1;
	char byte;

	if (prog < 0) {
		tip_probe_fails(r, errno, "an iterator program does not load");
		return;
	}
	link = bpf_link_create(prog, 0, BPF_TRACE_ITER, NULL);
	if (link >= 0)
		iter = bpf_iter_create(link);
	if (iter < 0 || read(iter, &byte, 1) != 0)
		tip_probe_fails(r, errno, "cannot run a task iterator");
	else
		tip_probe_works(r, "ran one over all tasks");
	if (iter >= 0)
		close(iter);
	if (link >= 0)
		close(link);
	close(prog);
}

/* Runs in a child: a program kills the process that it runs in. */
static void send_signal(struct tip_capability_result *r)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = SIGKILL},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_send_signal},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_test_run_opts, run);
	const int prog = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "tip_probe", "Dual BSD/GPL",
				       insns, TIP_ARRAY_SIZE(insns), NULL);

	if (prog < 0) {
		tip_probe_fails(r, errno, "a program that sends a signal does not load");
		return;
	}
	if (bpf_prog_test_run_opts(prog, &run))
		tip_probe_fails(r, errno, "cannot run a program that sends a signal");
	else
		tip_probe_fails(r, 0, "the process outlived its signal (bpf_send_signal: %d)",
				(int)run.retval);
}

static void probe_send_signal(struct tip_capability_result *r)
{
	if (tip_probe_in_child(r, SIGKILL, send_signal))
		tip_probe_works(r, "a program ended the process it ran in");
}

/* ---- control groups ---- */

/*
 * Makes an empty cgroup for a trial and puts its path into `path`: below our own, which is ours
 * also where nobody without CAP_DAC_OVERRIDE may make one at the top (under systemd); at the top
 * where our own cannot be named, in a cgroup namespace that is not the mount's. 0, or -1 with
 * errno.
 */
static int make_cgroup(const char *cgroup2, char *path, size_t size)
{
	char line[PATH_MAX] = "";
	FILE *f = fopen("/proc/self/cgroup", "re");

	/* cgroups(7): version 2 is hierarchy 0 and names no controller. */
	while (f && fgets(line, sizeof(line), f) && strncmp(line, "0::/", 4) != 0)
		line[0] = '\0';
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = '\0';
	if (line[0]) {
		snprintf(path, size, "%s%s/tipstaff-probe-%d", cgroup2, line + 3, (int)getpid());
		if (mkdir(path, 0755) == 0)
			return 0;
	}
	snprintf(path, size, "%s/tipstaff-probe-%d", cgroup2, (int)getpid());
	return mkdir(path, 0755);
}

/* Attaches a program that lets everything pass to an empty cgroup made for this. */
static void probe_cgroup_hook(struct tip_capability_result *r, const char *cgroup2,
			      enum bpf_prog_type type, enum bpf_attach_type attach)
{
	int prog, dir = -1, link = -1;
	char path[2 * PATH_MAX];

	if (!*cgroup2) {
		tip_probe_fails(r, 0, "cgroup2 is mounted nowhere");
		return;
	}
	prog = load_returning(type, attach, NULL, 1);
	if (prog < 0) {
		tip_probe_fails(r, errno, "the program does not load");
		return;
	}
	if (make_cgroup(cgroup2, path, sizeof(path))) {
		tip_probe_fails(r, errno, "cannot make a cgroup in %s", cgroup2);
		close(prog);
		return;
	}
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		link = bpf_link_create(prog, dir, attach, NULL);
	if (link < 0) {
		tip_probe_fails(r, errno, "cannot attach to a cgroup");
	} else {
		tip_probe_works(r, "attached to a cgroup of its own");
		close(link);
	}
	if (dir >= 0)
		close(dir);
	close(prog);
	rmdir(path);
}

static void probe_cgroup2(struct tip_capability_result *r, const char *cgroup2)
{
	char path[2 * PATH_MAX];

	if (!*cgroup2) {
		tip_probe_fails(r, 0, "mounted nowhere");
		return;
	}
	if (make_cgroup(cgroup2, path, sizeof(path))) {
		tip_probe_fails(r, errno, "cannot make a cgroup in %s", cgroup2);
		return;
	}
	rmdir(path);
	tip_probe_works(r, "%.120s, made a cgroup there", cgroup2);
}

/* ---- tiers that are better than ours ---- */

static void probe_kprobe(struct tip_capability_result *r)
{
	static const char target[] = "bpf_fentry_test1";
	struct perf_event_attr attr = {.size = sizeof(attr)};
	FILE *f = fopen("/sys/bus/event_source/devices/kprobe/type", "re");
	unsigned int type = 0;
	int prog, fd, link;

	if (!f || fscanf(f, "%u", &type) != 1) {
		tip_probe_fails(r, f ? 0 : errno, "the kernel has no kprobe events");
		if (f)
			fclose(f);
		return;
	}
	fclose(f);
	attr.type = type;
	attr.config1 = (__u64)(unsigned long)target;
	prog = load_returning(BPF_PROG_TYPE_KPROBE, 0, NULL, 0);
	if (prog < 0) {
		tip_probe_fails(r, errno, "a kprobe program does not load");
		return;
	}
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	link = fd >= 0 ? bpf_link_create(prog, fd, BPF_PERF_EVENT, NULL) : -1;
	if (link < 0) {
		tip_probe_fails(r, errno, "a program loads but does not attach");
	} else {
		tip_probe_works(r, "attached a program to %s", target);
		close(link);
	}
	if (fd >= 0)
		close(fd);
	close(prog);
}

/*
 * In a child, since it denies something: getsid() of exactly this process. Being loaded is not
 * enough, a kernel whose list of active LSMs lacks bpf loads programs too and never asks them.
 */
static void lsm(struct tip_capability_result *r)
{
	const int self = (int)tip_own_tgid();
	const struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
		{.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_0, .imm = 32},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_1, .off = 1, .imm = self},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -EPERM},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC);
	const int id = libbpf_find_vmlinux_btf_id("task_getsid", BPF_LSM_MAC);
	int prog, link;

	if (id < 0) {
		tip_probe_fails(r, -id, "the kernel has no BPF LSM hooks");
		return;
	}
	opts.attach_btf_id = (__u32)id;
	prog = bpf_prog_load(BPF_PROG_TYPE_LSM, "tip_probe", "Dual BSD/GPL", insns,
			     TIP_ARRAY_SIZE(insns), &opts);
	if (prog < 0) {
		tip_probe_fails(r, errno, "a LSM program does not load");
		return;
	}
	link = bpf_link_create(prog, 0, BPF_LSM_MAC, NULL);
	if (link < 0)
		tip_probe_fails(r, errno, "a LSM program loads but does not attach");
	else if (getsid(getpid()) == -1 && errno == EPERM)
		tip_probe_works(r, "a program refused a system call of the trial process");
	else
		tip_probe_fails(r, 0,
				"a LSM program attaches but is not asked: is \"bpf\" in "
				"/sys/kernel/security/lsm?");
	if (link >= 0)
		close(link);
	close(prog);
}

/* ---- bpffs ---- */

/* In a child, so that a bpffs that has to be mounted for this disappears with it. */
static void bpffs(struct tip_capability_result *r)
{
	const char *how = "pinned a map in /sys/fs/bpf";
	struct statfs fs;
	char path[64];
	int map;

	if (statfs("/sys/fs/bpf", &fs) || fs.f_type != BPF_FS_MAGIC) {
		if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL)) {
			tip_probe_fails(r, errno, "cannot mount one at /sys/fs/bpf");
			return;
		}
		how = "not mounted yet; mounted one privately and pinned a map";
	}
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "tip_probe", 4, 4, 1, NULL);
	if (map < 0) {
		tip_probe_fails(r, errno, "cannot make a map");
		return;
	}
	snprintf(path, sizeof(path), "/sys/fs/bpf/tipstaff_probe_%d", (int)getpid());
	if (bpf_obj_pin(map, path)) {
		tip_probe_fails(r, errno, "cannot pin a map at %s", path);
	} else {
		unlink(path);
		tip_probe_works(r, "%s", how);
	}
	close(map);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

void tip_probe(const char *cgroup2, struct tip_capability_result out[TIP_CAP_MAX])
{
	const libbpf_print_fn_t before = libbpf_set_print(quiet);

	for (int i = 0; i < TIP_CAP_MAX; i++)
		out[i] = (struct tip_capability_result){.name = tip_capability_name(i)};
	probe_btf(&out[TIP_CAP_BTF]);
	probe_tracing(&out[TIP_CAP_TP_BTF], BPF_TRACE_RAW_TP, "sched_process_exec");
	probe_ringbuf(&out[TIP_CAP_RINGBUF]);
	probe_iter(&out[TIP_CAP_ITER_TASK]);
	probe_send_signal(&out[TIP_CAP_SEND_SIGNAL]);
	probe_cgroup_hook(&out[TIP_CAP_CGROUP_CONNECT], cgroup2, BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
			  BPF_CGROUP_INET4_CONNECT);
	probe_cgroup_hook(&out[TIP_CAP_SOCKOPS], cgroup2, BPF_PROG_TYPE_SOCK_OPS,
			  BPF_CGROUP_SOCK_OPS);
	tip_probe_in_child(&out[TIP_CAP_SK_LOOKUP], 0, tip_probe_sk_lookup);
	probe_tracing(&out[TIP_CAP_FENTRY], BPF_TRACE_FENTRY, "bpf_fentry_test1");
	probe_kprobe(&out[TIP_CAP_KPROBE]);
	tip_probe_in_child(&out[TIP_CAP_LSM], 0, lsm);
	tip_probe_in_child(&out[TIP_CAP_IMA], 0, tip_probe_ima);
	tip_probe_in_child(&out[TIP_CAP_KTLS], 0, tip_probe_ktls);
	tip_probe_in_child(&out[TIP_CAP_NFQUEUE], 0, tip_probe_nfqueue);
	probe_cgroup2(&out[TIP_CAP_CGROUP2], cgroup2);
	tip_probe_in_child(&out[TIP_CAP_BPFFS], 0, bpffs);
	libbpf_set_print(before);
}
