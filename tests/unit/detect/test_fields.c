/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

static void process_fields(void **state)
{
	static const struct row rows[] = {
		{"proc.name", "cat", "\"cat\""},
		{"proc.exe", "/bin/cat", "\"/bin/cat\""},
		{"proc.exepath", "/usr/bin/cat", "\"/usr/bin/cat\""},
		{"proc.args", "-n /etc/shadow", "\"-n /etc/shadow\""},
		{"proc.cmdline", "cat -n /etc/shadow", "\"cat -n /etc/shadow\""},
		{"proc.exeline", "/bin/cat -n /etc/shadow", "\"/bin/cat -n /etc/shadow\""},
		{"proc.cmdnargs", "2", "2"},
		{"proc.cmdlenargs", "13", "13"},
		{"proc.cwd", "/srv/app/", "\"/srv/app/\""},
		{"proc.pid", "104", "104"},
		{"proc.ppid", "103", "103"},
		{"proc.tty", "34816", "34816"},
		{"proc.pname", "bash", "\"bash\""},
		{"proc.pexe", "-bash", "\"-bash\""},
		{"proc.pcmdline", "bash", "\"bash\""},
		{"proc.aname[2]", "sshd", "\"sshd\""},
		{"proc.aname[7]", "<NA>", "null"},
		{"proc.aname", "(bash,sshd,init)", "[\"bash\",\"sshd\",\"init\"]"},
		{"proc.duration", "10000000000", "10000000000"},
		{"proc.pid.ts", "1767225590123456789", "1767225590123456789"},
		{"proc.is_exe_from_memfd", "true", "true"},
		{"proc.is_sid_leader", "false", "false"},
		{"proc.exec_id", "1004", "1004"},
		{"thread.tid", "104", "104"},
		{"thread.ismain", "true", "true"},
		{"thread.cap_effective", "CAP_CHOWN CAP_DAC_OVERRIDE",
		 "\"CAP_CHOWN CAP_DAC_OVERRIDE\""},
		{"evt.type", "execve", "\"execve\""},
		{"evt.num", "7", "7"},
		{"evt.res", "SUCCESS", "\"SUCCESS\""},
		{"evt.arg.filename", "/bin/cat", "\"/bin/cat\""},
		{"evt.arg.flags", "EXE_FROM_MEMFD", "\"EXE_FROM_MEMFD\""},
		{"evt.arg[res]", "0", "\"0\""},
		{"evt.time.iso8601", "2026-01-01T00:00:00.123456789+0000",
		 "\"2026-01-01T00:00:00.123456789+0000\""},
		{"evt.hostname", "n1", "\"n1\""},
		{"container.id", "0123456789ab", "\"0123456789ab\""},
		{"container.full_id", WORLD_CONTAINER, "\"" WORLD_CONTAINER "\""},
		{"user.uid", "0", "0"},
		{"user.name", "root", "\"root\""},
		{"user.loginuid", "-1", "-1"},
		{"user.loginname", "<NA>", "\"<NA>\""},
		{"group.gid", "0", "0"},
		{"group.name", "root", "\"root\""},
		{"spiffe.id", "<NA>", "null"},
		{"spiffe.origin.id", "spiffe://td/web", "\"spiffe://td/web\""},
		{"spiffe.trust_domain", "<NA>", "null"},
		{"fd.name", "<NA>", "null"},
		{"k8s.ns.name", "<NA>", "null"},
	};
	static const struct row bound[] = {
		{"spiffe.id", "spiffe://td/a", "\"spiffe://td/a\""},
		{"spiffe.origin.id", "spiffe://td/a", "\"spiffe://td/a\""},
		{"spiffe.trust_domain", "td", "\"td\""},
		{"container.id", "host", "\"host\""},
		{"container.full_id", "host", "\"host\""},
		{"container.name", "host", "\"host\""},
		{"container.image.repository", "", "\"\""},
		{"container.mounts", "", "\"\""},
		{"container.privileged", "false", "false"},
		{"container.start_ts", "1767225515123456789", "1767225515123456789"},
	};
	/* rules compare with the text, so it is one */
	static const struct row stranger[] = {
		{"user.uid", "4000000", "4000000"},     {"user.name", "<NA>", "\"<NA>\""},
		{"user.homedir", "<NA>", "\"<NA>\""},   {"user.shell", "<NA>", "\"<NA>\""},
		{"user.loginname", "<NA>", "\"<NA>\""}, {"group.name", "<NA>", "\"<NA>\""},
	};
	static const struct row memfd[] = {
		{"proc.exepath", "memfd:ghost", "\"memfd:ghost\""},
		{"evt.arg.trusted_exepath", "memfd:ghost", "\"memfd:ghost\""},
	};
	static const struct row file[] = {{"proc.exepath", "/memfd:ghost", "\"/memfd:ghost\""}};
	struct world w;

	world_init(&w);
	world_exec(&w, TIP_PROC_EXE_MEMFD);
	w.in.proc->cap_effective = 3;
	w.in.proc->container_id = WORLD_CONTAINER;
	w.in.proc->origin_id = "spiffe://td/web";
	RUN(rows, &w);
	w.in.proc->container_id = "";
	w.in.proc->origin_id = NULL;
	w.in.proc->spiffe_id = "spiffe://td/a";
	w.in.proc->pidns_init_ns = w.hdr.time_ns - 85000000000ull;
	RUN(bound, &w);
	w.in.proc->loginuid = w.hdr.uid = w.hdr.gid = 4000000;
	RUN(stranger, &w);
	w.in.proc->exe_path = w.ev.exec.exe_path = "/memfd:ghost";
	RUN(memfd, &w);
	w.in.proc->flags = 0;
	RUN(file, &w);
}

static void paths(void **state)
{
	static const struct {
		const char *base, *name, *full, *directory, *file;
	} rows[] = {
		{"", "/etc/shadow", "/etc/shadow", "/etc", "shadow"},
		{"/srv/app", "x", "/srv/app/x", "/srv/app", "x"},
		{"/srv/app", "../x", "/srv/x", "/srv", "x"},
		{"/srv/app", "./a/./b", "/srv/app/a/b", "/srv/app/a", "b"},
		{"/", "x", "/x", "/", "x"},
		{"/srv", "../../../etc/passwd", "/etc/passwd", "/etc", "passwd"},
		{"", "/a//b///c", "/a/b/c", "/a/b", "c"},
		{"", "/a/b/..", "/a", "/", "a"},
		{"", "/..", "/", "/", ""},
		{"", "/a/...", "/a/...", "/a", "..."},
		{"/srv", ".", "/srv", "/", "srv"},
		{"/x", "/etc/../etc/shadow", "/etc/shadow", "/etc", "shadow"},
	};
	struct world w;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_matcher *m = tip_matcher_new();
		struct tip_buf text = {0}, json = {0}, want = {0};
		struct tip_load_result res;
		struct tip_rules *r =
			load_rule("", "evt.type = openat",
				  "'%fd.name %fd.nameraw %fd.directory %fd.filename'", &res);

		assert_non_null(r);
		world_init(&w);
		world_open(&w, TIP_OPEN_OPENAT, rows[i].base, rows[i].name, O_RDONLY, 3);
		tip_rule_render(tip_rules_get(r, 0), m, &w.in, &text, &json);
		tip_buf_addf(&want, "%s %s %s %s", rows[i].full, rows[i].name, rows[i].directory,
			     rows[i].file);
		assert_string_equal(text.data, want.data);
		tip_buf_free(&text);
		tip_buf_free(&json);
		tip_buf_free(&want);
		tip_load_result_free(&res);
		tip_rules_free(r);
		tip_matcher_free(m);
	}
}

static void open_fields(void **state)
{
	static const struct row failed[] = {
		{"fd.name", "/etc/shadow", "\"/etc/shadow\""},
		{"fd.num", "-1", "-1"},
		{"fd.typechar", "f", "\"f\""},
		{"fd.type", "file", "\"file\""},
		{"fd.ino", "<NA>", "null"},
		{"fd.path.real", "<NA>", "null"},
		{"evt.res", "EACCES", "\"EACCES\""},
		{"evt.rawres", "-13", "-13"},
		{"evt.failed", "true", "true"},
		{"evt.type", "openat2", "\"openat2\""},
	};
	static const struct row made[] = {
		{"fd.num", "3", "3"},
		{"fd.path.real", "/real/path", "\"/real/path\""},
		{"fd.ino", "42", "42"},
		{"fd.dev.major", "8", "8"},
		{"fd.dev.minor", "1", "1"},
		{"evt.arg.flags", "O_EXCL|O_CREAT|O_WRONLY|O_CLOEXEC|O_F_CREATED",
		 "\"O_EXCL|O_CREAT|O_WRONLY|O_CLOEXEC|O_F_CREATED\""},
		{"evt.arg.mode", "0755", "\"0755\""},
		{"evt.arg.name", "/srv/x", "\"/srv/x\""},
		{"evt.rawarg.name", "x", "\"x\""},
		{"evt.arg[1]", "AT_FDCWD", "\"AT_FDCWD\""},
		{"evt.rawarg.fd", "3", "\"3\""},
		{"evt.arg.dev", "800001", "\"800001\""},
		{"evt.arg.dirfd", "AT_FDCWD", "\"AT_FDCWD\""},
		{"evt.arg.fd", "<f>/srv/x", "\"<f>/srv/x\""},
		{"evt.is_open_write", "true", "true"},
		{"evt.is_open_read", "false", "false"},
		{"evt.is_open_create", "true", "true"},
		{"evt.is_open_exec", "true", "true"},
		{"fd.sip", "<NA>", "null"},
	};
	static const struct row unknown[] = {
		{"proc.name", "cat", "\"cat\""},  {"proc.pid", "104", "104"},
		{"proc.exepath", "<NA>", "null"}, {"spiffe.id", "<NA>", "null"},
		{"container.id", "<NA>", "null"}, {"proc.aname[1]", "<NA>", "null"},
	};
	/* a folder that was not asked for as one is opened as a file */
	static const struct row folder[] = {{"fd.typechar", "f", "\"f\""}};
	static const struct row asked[] = {
		{"fd.typechar", "d", "\"d\""},
		{"fd.type", "directory", "\"directory\""},
		{"evt.arg.flags", "O_DIRECTORY|O_RDONLY|FD_LOWER_LAYER",
		 "\"O_DIRECTORY|O_RDONLY|FD_LOWER_LAYER\""},
	};
	static const struct row unnamed[] = {{"fd.typechar", "f", "\"f\""}};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT2, "", "/etc/shadow", O_RDONLY, -EACCES);
	RUN(failed, &w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/srv", O_RDONLY, 3);
	w.open.file_mode = S_IFDIR | 0755;
	RUN(folder, &w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/srv", O_RDONLY | O_DIRECTORY, 3);
	w.open.file_flags = TIP_FILE_LOWER;
	RUN(asked, &w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/srv", O_RDWR | __O_TMPFILE, 3);
	RUN(unnamed, &w);
	world_open(&w, TIP_OPEN_OPENAT, "/srv", "x", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 3);
	RUN(made, &w);
	w.in.proc = NULL;
	RUN(unknown, &w);
}

static void socket_fields(void **state)
{
	static const struct row accepted[] = {
		{"fd.name", "10.0.0.2:4000->10.0.0.1:80", "\"10.0.0.2:4000->10.0.0.1:80\""},
		{"fd.cip", "10.0.0.2", "\"10.0.0.2\""},
		{"fd.sip", "10.0.0.1", "\"10.0.0.1\""},
		{"fd.lip", "10.0.0.1", "\"10.0.0.1\""},
		{"fd.rport", "4000", "4000"},
		{"fd.sport", "80", "80"},
		{"fd.is_server", "true", "true"},
		{"fd.num", "5", "5"},
	};
	static const struct row unix_connect[] = {
		{"fd.name", "/run/x.sock", "\"/run/x.sock\""},
		{"fd.type", "unix", "\"unix\""},
		{"fd.sockfamily", "unix", "\"unix\""},
		{"fd.sip", "<NA>", "null"},
		{"fd.l4proto", "<NA>", "null"},
	};
	static const struct row six[] = {
		{"fd.name", "::1:1->2001:db8::1:443", "\"::1:1->2001:db8::1:443\""},
		{"fd.rip", "2001:db8::1", "\"2001:db8::1\""},
		{"fd.type", "ipv6", "\"ipv6\""},
	};
	struct world w;

	world_init(&w);
	world_sock(&w, TIP_EV_ACCEPT, AF_INET, "10.0.0.1", 80, "10.0.0.2", 4000, 6);
	RUN(accepted, &w);
	world_sock(&w, TIP_EV_CONNECT, AF_UNIX, "", 0, "/run/x.sock", 0, 0);
	RUN(unix_connect, &w);
	world_sock(&w, TIP_EV_CONNECT, AF_INET6, "::1", 1, "2001:db8::1", 443, 0);
	RUN(six, &w);
}

static void call_fields(void **state)
{
	static const struct row kill_row[] = {
		{"evt.type", "kill", "\"kill\""},
		{"evt.category", "signal", "\"signal\""},
		{"evt.arg.pid", "-1", "\"-1\""},
		{"evt.arg.sig", "SIGKILL", "\"SIGKILL\""},
		{"evt.rawarg.sig", "9", "\"9\""},
		{"evt.arg.res", "EPERM", "\"EPERM\""},
		{"evt.args", "res=-1(EPERM) pid=-1 sig=9(SIGKILL)",
		 "\"res=-1(EPERM) pid=-1 sig=9(SIGKILL)\""},
		{"fd.num", "<NA>", "null"},
		{"fd.name", "<NA>", "null"},
	};
	static const struct row ptrace_row[] = {
		{"evt.arg.request", "PTRACE_ATTACH", "\"PTRACE_ATTACH\""},
		{"evt.rawarg.request", "16", "\"16\""},
		{"evt.arg.pid", "77", "\"77\""},
		{"evt.arg.addr", "FF00", "\"FF00\""},
	};
	static const struct row mount_row[] = {
		{"evt.arg.flags", "NOSUID|BIND|REC", "\"NOSUID|BIND|REC\""},
		{"evt.rawarg.flags", "20482", "\"20482\""},
		{"evt.arg.dev", "/dev/sda1", "\"/dev/sda1\""},
		{"evt.category", "file", "\"file\""},
	};
	static const struct row old_mount_row[] = {
		/* an old program's magic number is no flag */
		{"evt.arg.flags", "RDONLY", "\"RDONLY\""},
	};
	static const struct row mmap_row[] = {
		{"evt.arg.prot", "PROT_READ|PROT_EXEC", "\"PROT_READ|PROT_EXEC\""},
		{"evt.arg.flags", "MAP_PRIVATE|MAP_FIXED", "\"MAP_PRIVATE|MAP_FIXED\""},
		{"evt.arg.fd", "<f>/usr/lib/x.so", "\"<f>/usr/lib/x.so\""},
		{"fd.num", "3", "3"},
		{"fd.name", "/usr/lib/x.so", "\"/usr/lib/x.so\""},
		{"fd.directory", "/usr/lib", "\"/usr/lib\""},
		{"fd.filename", "x.so", "\"x.so\""},
		{"fd.typechar", "f", "\"f\""},
		{"fd.ino", "42", "42"},
		{"fd.dev.major", "8", "8"},
	};
	static const struct row memfd_row[] = {
		{"evt.arg.fd", "<m>/memfd:code", "\"<m>/memfd:code\""},
		{"fd.type", "memfd", "\"memfd\""},
		{"fd.typechar", "m", "\"m\""},
	};
	static const struct row anonymous_row[] = {
		{"evt.arg.fd", "-1", "\"-1\""},
		{"fd.name", "<NA>", "null"},
		{"fd.type", "<NA>", "null"},
		{"fd.ino", "<NA>", "null"},
	};
	static const struct row module_row[] = {
		{"evt.type", "finit_module", "\"finit_module\""},
		{"evt.arg.uargs", "a=1", "\"a=1\""},
		{"evt.arg.flags", "MODULE_INIT_IGNORE_VERMAGIC", "\"MODULE_INIT_IGNORE_VERMAGIC\""},
		{"fd.name", "/tmp/x.ko", "\"/tmp/x.ko\""},
	};
	static const struct row handle_row[] = {
		{"evt.type", "open_by_handle_at", "\"open_by_handle_at\""},
		{"fd.name", "/srv/opened", "\"/srv/opened\""},
		{"fd.nameraw", "<NA>", "null"},
		{"fd.filename", "opened", "\"opened\""},
		{"evt.arg.path", "/srv/opened", "\"/srv/opened\""},
	};
	static const uint64_t killing[6] = {0xffffffff, 9}, tracing[6] = {16, 77, 0xff00},
			      mounting[6] = {1, 2, 3, 0x5002}, old[6] = {1, 2, 3, 0xc0ed0001},
			      mapping[6] = {0, 4096, 5, 0x12, 3},
			      none[6] = {0, 4096, 4, 0x22, ~0ull}, loading[6] = {3, 1, 2};
	struct world w;

	world_init(&w);
	world_call(&w, TIP_EV_SIGNAL, TIP_CALL_KILL, killing, "", NULL, -EPERM);
	RUN(kill_row, &w);
	world_call(&w, TIP_EV_PTRACE, TIP_CALL_PTRACE, tracing, "", NULL, 0);
	RUN(ptrace_row, &w);
	world_call(&w, TIP_EV_MOUNT, TIP_CALL_MOUNT, mounting, "/dev/sda1", NULL, 0);
	RUN(mount_row, &w);
	world_call(&w, TIP_EV_MOUNT, TIP_CALL_MOUNT, old, "none", NULL, 0);
	RUN(old_mount_row, &w);
	world_call(&w, TIP_EV_MMAP, TIP_CALL_MMAP, mapping, "", "/usr/lib/x.so", 0x7f0000000000);
	RUN(mmap_row, &w);
	world_call(&w, TIP_EV_MMAP, TIP_CALL_MMAP, mapping, "", "/memfd:code", 0x7f0000000000);
	w.call.file_kind = TIP_KIND_MEMFD;
	RUN(memfd_row, &w);
	world_call(&w, TIP_EV_MMAP, TIP_CALL_MMAP, none, "", NULL, 0x7f0000000000);
	RUN(anonymous_row, &w);
	world_call(&w, TIP_EV_MODULE, TIP_CALL_FINIT_MODULE, loading, "a=1", "/tmp/x.ko", 0);
	RUN(module_row, &w);
	world_open(&w, TIP_OPEN_BY_HANDLE, "", "", O_RDONLY, 5);
	w.ev.open.real = "/srv/opened";
	RUN(handle_row, &w);
	w.hdr.flags = TIP_EVF_DIRECT; /* io_uring's own table: no number, but it succeeded */
	w.hdr.ret = 0;
	{
		static const struct row direct_row[] = {{"fd.num", "0", "0"}};

		RUN(direct_row, &w);
	}
}

static void output_fields_are_sorted(void **state)
{
	struct tip_matcher *m = tip_matcher_new();
	struct tip_buf text = {0}, json = {0};
	struct tip_load_result res;
	struct tip_rules *r =
		load_rule("", "evt.type = openat",
			  "'*%proc.name. %fd.name %evt.time x %proc.name %proc.aname[2]'", &res);
	struct world w;

	assert_non_null(r);
	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/a\"b\x01\xff", O_RDONLY, 3);
	tip_rule_render(tip_rules_get(r, 0), m, &w.in, &text, &json);
	assert_string_equal(json.data, "\"fd.name\":\"/a\\\"b\\u0001\xef\xbf\xbd\","
				       "\"proc.aname[2]\":\"sshd\",\"proc.name\":\"cat\"");
	assert_memory_equal(text.data, "cat. /a\"b", 9);
	tip_buf_free(&text);
	tip_buf_free(&json);
	tip_load_result_free(&res);
	tip_rules_free(r);
	tip_matcher_free(m);
}

static void catalogue(void **state)
{
	size_t count;
	const struct tip_field_info *f = tip_fields(&count);

	assert_true(count > 200);
	for (size_t i = 0; i < count; i++) {
		assert_true(f[i].name[0] && f[i].type[0] && f[i].desc[0]);
		/* sorted, and no field in two tables */
		if (i)
			assert_true(strcmp(f[i - 1].name, f[i].name) < 0);
	}
}

static void users_follow_the_file(void **state)
{
	char path[] = "/tmp/tip-passwd-XXXXXX";
	int fd = mkstemp(path);
	struct tip_users *u = tip_users_new(path, "/nonexistent");
	static const char one[] = "root:x:0:0::/root:/bin/sh\nbad line\n:x:1:\nx:x:99999999999:1:\n"
				  "first:x:7:7:g:/h:/s\nsecond:x:7:7::/:/\n";
	static const char two[] = "admin:x:0:0::/root:/bin/sh\n";

	assert_true(fd >= 0);
	assert_int_equal(write(fd, one, sizeof(one) - 1), sizeof(one) - 1);
	assert_string_equal(tip_user_by_uid(u, 0, WORLD_TIME)->name, "root");
	assert_string_equal(tip_user_by_uid(u, 7, WORLD_TIME)->name, "first");
	assert_string_equal(tip_user_by_uid(u, 7, WORLD_TIME)->shell, "/s");
	assert_null(tip_user_by_uid(u, 1, WORLD_TIME));
	assert_null(tip_group_by_gid(u, 0, WORLD_TIME));
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, two, sizeof(two) - 1, 0), sizeof(two) - 1);
	/* within the second nothing is looked at */
	assert_string_equal(tip_user_by_uid(u, 0, WORLD_TIME + 1)->name, "root");
	assert_string_equal(tip_user_by_uid(u, 0, WORLD_TIME + 2000000000ull)->name, "admin");
	/* a file that is gone keeps the names that are known */
	unlink(path);
	assert_string_equal(tip_user_by_uid(u, 0, WORLD_TIME + 4000000000ull)->name, "admin");
	close(fd);
	tip_users_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(process_fields), cmocka_unit_test(paths),
		cmocka_unit_test(open_fields),    cmocka_unit_test(socket_fields),
		cmocka_unit_test(call_fields),    cmocka_unit_test(output_fields_are_sorted),
		cmocka_unit_test(catalogue),      cmocka_unit_test(users_follow_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
