/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/unistd_64.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "rows.h"

/* Fields of processes beyond their names: the executable, the environment, what /proc says. */

static void executables(void **state)
{
	static const struct row rows[] = {
		{"proc.is_exe_writable", "true", "true"},
		{"proc.is_exe_upper_layer", "true", "true"},
		{"proc.is_exe_lower_layer", "false", "false"},
		{"proc.is_exe_from_memfd", "false", "false"},
		{"evt.arg.flags", "EXE_WRITABLE|EXE_UPPER_LAYER",
		 "\"EXE_WRITABLE|EXE_UPPER_LAYER\""},
		{"proc.pidns_init_start_ts", "1767225540123456789", "1767225540123456789"},
		{"proc.exe_ino.ctime_duration_pidns_start", "20000000000", "20000000000"},
		{"proc.exe_ino.ctime_duration_proc_start", "30000000000", "30000000000"},
		{"proc.vmsize", "1000", "1000"},
		{"proc.fdlimit", "1024", "1024"},
		{"thread.pfmajor", "5", "5"},
		{"thread.pfminor", "70", "70"},
		{"thread.vmsize", "1000", "1000"},
		{"thread.vtid", "104", "104"},
		{"evt.cpu", "3", "3"},
	};
	static const struct row lower[] = {
		{"proc.is_exe_lower_layer", "true", "true"},
		{"evt.arg.flags", "EXE_LOWER_LAYER", "\"EXE_LOWER_LAYER\""},
		{"proc.pidns_init_start_ts", "<NA>", "null"},
		/* the namespace is younger than the file */
		{"proc.exe_ino.ctime_duration_pidns_start", "<NA>", "null"},
	};
	struct world w;

	world_init(&w);
	world_exec(&w, TIP_PROC_EXE_WRITABLE | TIP_PROC_EXE_UPPER);
	w.hdr.cpu = 3;
	w.in.proc->pidns_init_ns = WORLD_BOOT - 60000000000ull;
	w.in.proc->exe_ctime_ns = WORLD_TIME - 40000000000ull;
	w.exec.vm_size = 1000;
	w.exec.fdlimit = 1024;
	w.exec.pgft_maj = 5;
	w.exec.pgft_min = 70;
	RUN(rows, &w);
	world_exec(&w, TIP_PROC_EXE_LOWER);
	w.in.proc->pidns_init_ns = 0;
	RUN(lower, &w);
}

static void shells(void **state)
{
	static const struct row shell[] = {{"proc.loginshellid", "103", "103"}};
	static const struct row none[] = {{"proc.loginshellid", "<NA>", "null"}};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/x", O_RDONLY, 3);
	RUN(shell, &w);
	w.in.proc = &w.table.procs[1];
	RUN(none, &w);
}

static void environment(void **state)
{
	static const char env[] = "PATH=/bin\0LD_PRELOAD=/tmp/x.so\0EMPTY=\0NOT";
	static const char up[] = "HOME=/root\0PATH=/sbin";
	static const struct row rows[] = {
		{"proc.env", "PATH=/bin LD_PRELOAD=/tmp/x.so EMPTY= NOT",
		 "\"PATH=/bin LD_PRELOAD=/tmp/x.so EMPTY= NOT\""},
		{"proc.env[LD_PRELOAD]", "/tmp/x.so", "\"/tmp/x.so\""},
		{"proc.env[EMPTY]", "", "\"\""},
		{"proc.env[LD]", "<NA>", "null"},
		{"proc.env[NOT]", "<NA>", "null"},
		{"proc.aenv[HOME]", "/root", "\"/root\""},
		{"proc.aenv[2]", "HOME=/root PATH=/sbin", "\"HOME=/root PATH=/sbin\""},
		{"proc.aenv[1]", "<NA>", "null"},
		{"proc.aenv[9]", "<NA>", "null"},
		{"proc.aenv[NONE]", "<NA>", "null"},
		{"proc.aenv", "(HOME=/root PATH=/sbin)", "[\"HOME=/root PATH=/sbin\"]"},
	};
	static const struct row nothing[] = {
		{"proc.env", "<NA>", "null"},
		{"proc.env[PATH]", "<NA>", "null"},
	};
	struct world w;

	world_init(&w);
	world_exec(&w, 0);
	w.in.proc->env = env;
	w.in.proc->env_len = sizeof(env) - 1;
	w.table.procs[1].env = up;
	w.table.procs[1].env_len = sizeof(up) - 1;
	RUN(rows, &w);
	w.in.proc->env = "";
	w.in.proc->env_len = 0;
	RUN(nothing, &w);
}

/* ---- what /proc says: of this process ---------------------------------------------------------
 */

static uint64_t own_start(void)
{
	char buf[1024] = "";
	int fd = open("/proc/self/stat", O_RDONLY);
	unsigned long long ticks = 0;
	const char *p;

	assert_true(read(fd, buf, sizeof(buf) - 1) > 0);
	close(fd);
	p = strrchr(buf, ')') + 2;
	for (int i = 0; i < 19; i++)
		p = strchr(p, ' ') + 1;
	ticks = strtoull(p, NULL, 10);
	return ticks * (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK));
}

static void world_self(struct world *w)
{
	world_init(w);
	world_open(w, TIP_OPEN_OPENAT, "", "/x", O_RDONLY, 3);
	w->hdr.proc.tgid = (uint32_t)getpid();
	w->hdr.proc.start_ns = own_start();
	w->hdr.tid = (uint32_t)getpid();
}

/* What a rule with that condition says. */
static bool holds(const struct world *w, const char *condition)
{
	struct tip_load_result res;
	struct tip_rules *r = load_rule("", condition, "o", &res);
	bool yes;

	if (!r)
		print_messages(&res);
	assert_non_null(r);
	yes = matches(r, &w->in);
	tip_load_result_free(&res);
	tip_rules_free(r);
	return yes;
}

static void living_process(void **state)
{
	static const uint64_t none[6] = {0};
	char condition[160];
	struct rlimit limit;
	struct world w;

	world_self(&w);
	assert_true(holds(&w, "proc.vmsize > 100 and proc.vmrss > 100 and proc.vmswap >= 0"));
	assert_true(holds(&w, "proc.nthreads = 1 and proc.nchilds = 0"));
	assert_true(holds(&w, "thread.pfminor > 0 and thread.pfmajor >= 0"));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	snprintf(condition, sizeof(condition), "proc.fdlimit = %llu",
		 (unsigned long long)limit.rlim_cur);
	assert_true(holds(&w, condition));
	assert_true(holds(&w, "proc.fdopencount > 2 and proc.fdusage > 0 and proc.fdusage < 100"));
	assert_true(holds(&w, "thread.cgroups exists and thread.cgroup[cpu] startswith /"));
	/* as arguments of events, but not in evt.args */
	world_syscall(&w, __NR_munmap, none, 0);
	assert_true(holds(
		&w, "evt.type = munmap and evt.arg.vm_size exists and evt.arg.vm_rss exists"));
	assert_true(holds(
		&w,
		"evt.type = munmap and evt.arg[3] exists and evt.args = 'res=0 addr=0 length=0'"));
	w.hdr.type = TIP_EV_FORK;
	w.ev.fork = &w.fork;
	snprintf(condition, sizeof(condition), "evt.arg.fdlimit = %llu",
		 (unsigned long long)limit.rlim_cur);
	assert_true(holds(&w, condition));
	assert_true(holds(&w, "evt.arg.pgft_min exists and evt.arg.cgroups contains '='"));
	assert_false(holds(&w, "evt.args contains vm_rss"));
	/* another process under that number */
	w.hdr.proc.start_ns += 3000000000ull;
	assert_false(holds(&w, "evt.arg.vm_rss exists or evt.arg.cgroups exists"));
	assert_false(holds(&w, "proc.vmsize exists or proc.nthreads exists or proc.fdlimit exists "
			       "or proc.fdopencount exists or proc.stdin.type exists or fd.types "
			       "exists or thread.cgroups exists"));
	/* a thread that is not the main one has no memory of its own, and another number */
	world_self(&w);
	w.hdr.tid++;
	assert_true(holds(&w, "thread.vmsize = 0 and thread.vmrss = 0"));
	assert_false(holds(&w, "thread.vtid exists"));
}

static void living_threads(void **state)
{
	char condition[64];
	struct world w;

	world_self(&w);
	w.in.proc = NULL; /* then the number comes from /proc */
	snprintf(condition, sizeof(condition), "thread.vtid = %d", (int)syscall(SYS_gettid));
	assert_true(holds(&w, condition));
}

static void living_descriptors(void **state)
{
	static const struct {
		int domain, type;
		const char *name;
	} sockets[] = {{AF_INET, SOCK_STREAM, "ipv4"},
		       {AF_INET6, SOCK_DGRAM, "ipv6"},
		       {AF_UNIX, SOCK_STREAM, "unix"},
		       {AF_NETLINK, SOCK_RAW, "netlink"}};
	char condition[160];
	struct world w;
	int in = dup(STDIN_FILENO), pipes[2], dir;

	world_self(&w);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(sockets); i++) {
		int s = socket(sockets[i].domain, sockets[i].type, 0);

		assert_true(s >= 0);
		dup2(s, STDIN_FILENO);
		snprintf(condition, sizeof(condition),
			 "proc.stdin.type = %s and proc.stdin.name startswith socket: and "
			 "fd.types[0] in (%s) and fd.types intersects (%s)",
			 sockets[i].name, sockets[i].name, sockets[i].name);
		assert_true(holds(&w, condition));
		close(s);
	}
	assert_int_equal(pipe(pipes), 0);
	dup2(pipes[0], STDIN_FILENO);
	assert_true(holds(&w, "proc.stdin.type = pipe and proc.stdin.name startswith pipe:"));
	dir = open("/etc", O_RDONLY | O_DIRECTORY);
	dup2(dir, STDIN_FILENO);
	assert_true(holds(&w, "proc.stdin.type = directory and proc.stdin.name = /etc"));
	close(dir);
	dir = open("/dev/null", O_RDONLY);
	dup2(dir, STDIN_FILENO);
	assert_true(holds(&w, "proc.stdin.type = file and proc.stdin.name = /dev/null"));
	assert_true(holds(&w, "fd.types intersects (pipe, nothing)"));
	assert_false(holds(&w, "fd.types[0] in (pipe)"));
	assert_false(holds(&w, "fd.types[4000] exists"));
	dup2(in, STDIN_FILENO);
	close(in);
	close(dir);
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(executables),    cmocka_unit_test(shells),
		cmocka_unit_test(environment),    cmocka_unit_test(living_process),
		cmocka_unit_test(living_threads), cmocka_unit_test(living_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
