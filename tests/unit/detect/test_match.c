/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Conditions against events: what each operator and each part of the language means. */

static void boolean_logic(void **state)
{
	static const struct verdict rows[] = {
		{"proc.name=cat", true},
		{"proc.name = cat and proc.pid = 104", true},
		{"proc.name = cat and proc.pid = 1", false},
		{"proc.name = dog or proc.pid = 104", true},
		{"not proc.name = dog", true},
		{"not not proc.name = cat", true},
		{"not not not proc.name = cat", false},
		{"not(proc.name=dog or proc.pid=104)", false},
		{"(proc.name=cat)and(proc.pid=104)", true},
		/* and binds tighter than or */
		{"proc.name = cat or proc.name = dog and proc.pid = 1", true},
		{"(proc.name = cat or proc.name = dog) and proc.pid = 1", false},
		{"proc.pid = 1 and proc.name = dog or proc.name = cat", true},
		{"not proc.name = dog and not proc.pid = 1", true},
		{"not (proc.name = cat and (proc.pid = 104 or proc.pid = 1))", false},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	VERDICTS(rows, &w);
}

static void string_operators(void **state)
{
	static const struct verdict rows[] = {
		{"fd.name == /etc/shadow", true},
		{"fd.name != /etc/shadow", false},
		{"fd.name != /etc/passwd", true},
		{"fd.name contains shad", true},
		{"fd.name contains SHAD", false},
		{"fd.name icontains SHAD", true},
		{"fd.name startswith /etc/", true},
		{"fd.name startswith etc", false},
		{"fd.name endswith adow", true},
		{"fd.name endswith /etc/shadow/x", false},
		{"fd.name glob /e*w", true},
		{"fd.name glob '/*'", true}, /* '*' crosses '/' */
		{"fd.name glob /ETC/*", false},
		{"fd.name iglob /ETC/*", true},
		{"fd.name glob '/etc/sha??w'", true},
		{"fd.name glob '/etc/[a-r]*'", false},
		{"fd.name regex '/etc/.*'", true},
		{"fd.name regex '/etc'", false}, /* both ends anchored */
		{"fd.name regex 'etc/shadow'", false},
		{"fd.name regex '/etc/(passwd|shadow)'", true},
		{"fd.name regex '/etc\\\\.shadow'", false},
		{"fd.name in (/etc/passwd, /etc/shadow)", true},
		{"fd.name in (/etc/passwd, /etc/group)", false},
		{"fd.name in (a, b, c, d, e, f, g, /etc/shadow)", true},
		{"fd.name in (a, b, c, d, e, f, g, /etc/shadov)", false},
		{"fd.name in ()", false},
		{"not fd.name in ()", true},
		{"fd.name in shadow", false},
		{"fd.name intersects (/etc/passwd, /etc/shadow)", true},
		{"fd.name pmatch (/etc)", true},
		{"fd.name pmatch (/et, /etcx, /etc/sha)", false},
		{"fd.name pmatch (/etc/shadow)", true},
		{"fd.name pmatch (/etc/)", true},
		{"fd.name pmatch (/)", true},
		{"fd.name pmatch (/e*)", true},
		{"fd.name pmatch (/*/passwd)", false},
		{"fd.name pmatch (/*/shad*)", true},
		{"fd.name startswith oneof (/etc, /usr)", true},
		{"fd.name startswith oneof (/etc, /e)", false}, /* exactly one */
		{"fd.name startswith anyof (/etc, /e)", true},
		{"fd.name startswith allof (/etc, /e)", true},
		{"fd.name contains allof (etc, passwd)", false},
		{"fd.name = oneof", false}, /* a word, here a value */
		{"fd.name exists", true},
		{"fd.name = \"/etc/shadow\"", true},
		{"proc.args = '-n /etc/shadow'", true},
		{"proc.args contains \"n /e\"", true},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	VERDICTS(rows, &w);
}

static void numbers(void **state)
{
	static const struct verdict rows[] = {
		{"fd.num = 3", true},
		{"fd.num != 3", false},
		{"fd.num < 4", true},
		{"fd.num<=3", true},
		{"fd.num>3", false},
		{"fd.num >= 3", true},
		{"fd.num > -1", true},
		{"fd.num in (1, 2, 3)", true},
		{"fd.num in (1, 2)", false},
		{"user.uid >= 0", true},
		{"user.uid > -1", true},
		{"user.uid = -1", false},
		{"user.loginuid = -1", true},
		{"evt.num = 7", true},
		{"evt.num=0", false},
		{"proc.duration = 10000000000", true},
		{"proc.duration < 10000000000", false},
		{"evt.is_open_read = true", true},
		{"evt.is_open_write = true", false},
		{"evt.is_open_write != true", true},
		{"evt.failed = false", true},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	VERDICTS(rows, &w);
}

static void unset_is_false(void **state)
{
	static const struct verdict rows[] = {
		{"spiffe.id = spiffe://x/a", false},
		{"spiffe.id != spiffe://x/a", false},
		{"not spiffe.id = spiffe://x/a", true},
		{"spiffe.id exists", false},
		{"not spiffe.id exists", true},
		{"spiffe.id contains x", false},
		{"not spiffe.id contains x", true},
		{"spiffe.id in (a, b)", false},
		{"fd.sip = 1.2.3.4", false},
		{"fd.sip != 1.2.3.4", false},
		{"fd.sport != 80", false},
		{"k8s.ns.name = x", false},
		{"k8s.ns.name != x", false},
		{"not k8s.ns.name = x", true},
		{"evt.buffer bcontains cafe", false},
		{"proc.aname[3] exists", true},
		{"proc.aname[4] exists", false},
		{"proc.aname[4] != init", false},
		{"evt.arg.request contains x", false},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	VERDICTS(rows, &w);
}

static void event_types(void **state)
{
	static const struct verdict open_rows[] = {
		{"evt.type = openat", true},
		{"evt.type = open", false},
		{"evt.type != open", true},
		{"evt.type != openat", false},
		{"evt.type in (open, openat, openat2)", true},
		{"evt.type in (execve, connect)", false},
		{"not evt.type in (execve, connect)", true},
		{"evt.type exists", true},
		{"syscall.type = openat", true},
		{"evt.type startswith open", true},
		{"evt.type = ptrace", false},
		{"not evt.type = ptrace", true},
		{"evt.dir = <", true},
		{"evt.dir = >", false},
	};
	static const struct verdict accept_rows[] = {
		/* one event, two names: which call it was is not told */
		{"evt.type = accept", true},
		{"evt.type = accept4", true},
		{"evt.type != accept4", false},
		{"evt.type = connect", false},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	VERDICTS(open_rows, &w);
	world_sock(&w, TIP_EV_ACCEPT, AF_INET, "10.0.0.1", 80, "10.0.0.2", 4000, 6);
	VERDICTS(accept_rows, &w);
}

static void ancestors(void **state)
{
	static const struct verdict rows[] = {
		{"proc.aname = sshd", true},
		{"proc.aname = cat", false}, /* any ancestor, not itself */
		{"proc.aname in (x, init)", true},
		{"proc.aname contains ssh", true},
		{"proc.aname[0] = cat", true},
		{"proc.aname[1] = bash", true},
		{"proc.aname[2] = sshd", true},
		{"proc.aname[2] = bash", false},
		{"proc.pname = bash", true},
		{"proc.pcmdline = bash", true},
		{"proc.aexepath[2] = /usr/sbin/sshd", true},
		{"proc.apid = 101", true},
		{"proc.sname = init", true},
		{"proc.vpgid.name = sshd", true},
	};
	struct world w;

	world_init(&w);
	world_exec(&w, 0);
	VERDICTS(rows, &w);
}

static void addresses(void **state)
{
	static const struct verdict rows[] = {
		{"fd.sip = 93.184.216.34", true},
		{"fd.sip = 10.0.0.1", false},
		{"fd.cip = 10.0.0.1", true},
		{"fd.ip = 10.0.0.1", true},
		{"fd.ip = 93.184.216.34", true},
		{"fd.ip != 10.0.0.1", false}, /* must differ at both ends */
		{"fd.ip != 10.0.0.2", true},
		{"fd.snet in (93.184.0.0/16)", true},
		{"fd.snet = 93.185.0.0/16", false},
		{"fd.snet = 0.0.0.0/0", true},
		{"fd.snet = 93.184.216.32/29", true},
		{"fd.snet = 93.184.216.40/29", false},
		{"fd.snet = ::/0", false},
		{"fd.net != 127.0.0.0/8", true},
		{"fd.net != 10.0.0.0/8", false},
		{"fd.sport = 443", true},
		{"fd.sport in (80, https)", true},
		{"fd.lport = 40000", true},
		{"fd.port = 443", true},
		{"fd.port != 443", false},
		{"fd.l4proto = tcp", true},
		{"fd.type = ipv4", true},
		{"fd.typechar = 4", true},
		{"fd.name = '10.0.0.1:40000->93.184.216.34:443'", true},
		{"fd.connected = true", true},
		{"fd.is_server = false", true},
		{"fd.directory exists", false},
		{"evt.res = EINPROGRESS", true},
		{"evt.rawres < 0", true},
	};
	static const struct verdict denied[] = {
		{"evt.type = connect and evt.res = EPERM", true},
		{"fd.connected = true", false},
		{"fd.rip = 2001:db8::1", true},
		{"fd.rnet = 2001:db8::/32", true},
		{"fd.rnet = 2001:db9::/32", false},
	};
	static const struct verdict listening[] = {
		{"fd.sport = 80", true},   {"fd.cport exists", false},     {"fd.rip exists", false},
		{"fd.ip = 0.0.0.0", true}, {"fd.name = 0.0.0.0:80", true},
	};
	struct world w;

	world_init(&w);
	world_sock(&w, TIP_EV_CONNECT, AF_INET, "10.0.0.1", 40000, "93.184.216.34", 443,
		   -EINPROGRESS);
	VERDICTS(rows, &w);
	world_sock(&w, TIP_EV_DENIED_CONNECT, AF_INET6, "::", 0, "2001:db8::1", 443, -EPERM);
	VERDICTS(denied, &w);
	world_sock(&w, TIP_EV_BIND, AF_INET, "0.0.0.0", 80, "0.0.0.0", 0, 0);
	VERDICTS(listening, &w);
}

static void regex_is_not_blinded(void **state)
{
	static const struct verdict newline[] = {{"fd.name regex '/tmp/.*'", true},
						 {"fd.name regex '/tmp/a.b'", true}};
	static const struct verdict invalid[] = {{"fd.name regex '/tmp/.*'", true},
						 {"fd.name regex '/tmp/.b'", true}};
	static const struct verdict evil[] = {{"fd.name regex '/(a+)+b'", false},
					      {"fd.name regex '/(a|aa)+[bc]'", false}};
	static char bomb[3000];
	struct tip_load_result res;
	struct tip_matcher *m = tip_matcher_new();
	struct tip_rules *r;
	struct world w;
	int hits = 0;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/tmp/a\nb", O_RDONLY, 3);
	VERDICTS(newline, &w);
	world_open(&w, TIP_OPEN_OPENAT, "",
		   "/tmp/\xff"
		   "b",
		   O_RDONLY, 3);
	VERDICTS(invalid, &w);
	memset(bomb, 'a', sizeof(bomb) - 1);
	bomb[0] = '/';
	world_open(&w, TIP_OPEN_OPENAT, "", bomb, O_RDONLY, 3);
	VERDICTS(evil, &w);
	/* what was given up is counted */
	r = load_rule("", evil[1].condition, "x", &res);
	assert_non_null(r);
	tip_rules_match(r, m, &w.in, true, count_hit, &hits);
	assert_int_equal(tip_matcher_regex_limits(m), 1);
	tip_load_result_free(&res);
	tip_rules_free(r);
	tip_matcher_free(m);
}

static void order_and_all(void **state)
{
	static const char text[] = "- rule: one\n  desc: d\n  condition: evt.type=openat\n"
				   "  output: x\n  priority: INFO\n"
				   "- rule: off\n  desc: d\n  condition: evt.type=openat\n"
				   "  output: x\n  priority: INFO\n  enabled: false\n"
				   "- rule: two\n  desc: d\n  condition: evt.type=openat\n"
				   "  output: x\n  priority: INFO\n";
	struct tip_matcher *m = tip_matcher_new();
	struct tip_load_result res;
	struct tip_rules *r = load_text(text, &res);
	struct world w;
	int hits = 0;

	assert_non_null(r);
	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	assert_int_equal(tip_rules_match(r, m, &w.in, false, count_hit, &hits), 1);
	assert_int_equal(tip_rules_match(r, m, &w.in, true, count_hit, &hits), 2);
	assert_int_equal(hits, 3);
	/* told by the iterator: nothing happened now */
	world_exec(&w, 0);
	w.hdr.flags = TIP_EVF_SNAPSHOT;
	assert_int_equal(tip_rules_match(r, m, &w.in, true, count_hit, &hits), 0);
	tip_load_result_free(&res);
	tip_rules_free(r);
	tip_matcher_free(m);
}

static void event_masks(void **state)
{
#define EV(x) (1ull << TIP_EV_##x)
	static const struct {
		const char *condition;
		uint64_t mask;
	} rows[] = {
		{"evt.type = open", EV(OPEN)},
		{"evt.type in (execve, open)", EV(OPEN) | EV(EXEC)},
		{"evt.type = connect", EV(CONNECT) | EV(DENIED_CONNECT)},
		{"evt.type = open and evt.type = connect", 0},
		{"evt.type = open or evt.type = connect",
		 EV(OPEN) | EV(CONNECT) | EV(DENIED_CONNECT)},
		{"not evt.type in (open, openat, openat2, creat, open_by_handle_at) and fd.name "
		 "exists",
		 EV(CONNECT) | EV(DENIED_CONNECT) | EV(ACCEPT) | EV(BIND) | EV(LISTEN) |
			 EV(MODULE) | EV(MMAP)},
		{"not (not evt.type = execve)", EV(EXEC)},
		{"not (evt.type = open or proc.name = x) and evt.type in (open, bind)", EV(BIND)},
		{"evt.type = clone", EV(FORK)},
		{"evt.type = procexit", EV(EXIT)},
		{"evt.type = setresuid", EV(CALL)},
		{"evt.type = uid_change", EV(CRED)},
		{"evt.type = switch", 0},
		{"evt.type = brk", EV(CALL)},
		{"evt.type in (open, unlink)", EV(OPEN) | EV(CALL)},
		{"evt.type in (open, unlink) and evt.type != unlink", EV(OPEN)},
		{"evt.type != unlink and fd.sport = 80 and evt.type = sendto", EV(CALL)},
		{"evt.type = ptrace", EV(PTRACE)},
		{"evt.arg.sig = SIGKILL and evt.type in (kill, tgkill)", EV(SIGNAL)},
		{"evt.type = umount2", EV(MOUNT)},
		{"evt.type in (init_module, finit_module)", EV(MODULE)},
		{"evt.type = mprotect", EV(MMAP)},
		{"fd.sport = 80",
		 EV(CONNECT) | EV(DENIED_CONNECT) | EV(ACCEPT) | EV(BIND) | EV(LISTEN)},
		{"evt.type = open and k8s.svc.name = x", 0},
		{"evt.type = open and not k8s.svc.name = x", EV(OPEN)},
		{"proc.name = x", EV(EXEC) | EV(FORK) | EV(EXIT) | EV(CRED) | EV(CGROUP) |
					  EV(OPEN) | EV(CONNECT) | EV(ACCEPT) | EV(BIND) |
					  EV(LISTEN) | EV(DENIED_CONNECT) | EV(SIGNAL) |
					  EV(PTRACE) | EV(MOUNT) | EV(MODULE) | EV(MMAP)},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_rule("", rows[i].condition, "x", &res);

		assert_non_null(r);
		if (tip_rules_event_mask(r) != rows[i].mask)
			fail_msg("%s: mask %#llx", rows[i].condition,
				 (unsigned long long)tip_rules_event_mask(r));
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
}

/* Only what a condition names: without evt.type it would be every system call of the node. */
static void calls_that_are_named(void **state)
{
	static const struct {
		const char *condition;
		int nr[4]; /* 0 ends them */
	} rows[] = {
		{"evt.type = unlink", {87}},
		{"evt.type in (unlink, getpid, open)", {87, 39}},
		{"evt.type in (unlink, getpid) and not evt.type = getpid", {87}},
		{"not evt.type != getpid", {39}},
		{"evt.type startswith pread", {17, 295, 327}},
		{"evt.type = pread64", {17}},
		{"proc.name = x", {0}},
		{"evt.type != open", {0}},
		{"not evt.type in (open, openat)", {0}},
		{"evt.type = chmod or proc.name = x", {90}},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		uint64_t calls[TIP_SYSCALLS / 64] = {0};
		struct tip_load_result res;
		struct tip_rules *r = load_rule("", rows[i].condition, "x", &res);

		assert_non_null(r);
		for (const int *nr = rows[i].nr; *nr; nr++)
			calls[*nr / 64] |= 1ull << (*nr % 64);
		if (memcmp(calls, tip_rules_wanted(r)->calls, sizeof(calls)) != 0)
			fail_msg("%s: other calls", rows[i].condition);
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
}

/* Calls that share a code are told apart by their number. */
static void calls_without_a_code(void **state)
{
	static const struct {
		const char *condition;
		uint16_t nr;
		bool matches;
	} rows[] = {
		{"evt.type = getpid", 39, true},
		{"evt.type = getpid", 110, false},
		{"evt.type in (getpid, getppid)", 110, true},
		{"evt.type in (getpid, getppid) and evt.type != getppid", 110, false},
		{"evt.type in (getpid, getppid) and not evt.type = getppid", 39, true},
		{"evt.type in (getpid, unlink) and evt.type startswith getpid", 39, true},
		{"evt.type = getpid and evt.type.is[getpid] = 1", 39, true},
		{"evt.type = getpid and evt.arg.ID = getpid", 39, true},
		{"evt.type = getpid or evt.type = unlink", 87, true},
		{"evt.type = getpid or evt.type = unlink", 110, false},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_rule("", rows[i].condition, "x", &res);
		struct world w;

		if (!r) {
			print_messages(&res);
			fail_msg("does not load: %s", rows[i].condition);
		}
		world_init(&w);
		world_syscall(&w, rows[i].nr, (uint64_t[6]){0}, 0);
		if (matches(r, &w.in) != rows[i].matches)
			fail_msg("%s on %u", rows[i].condition, rows[i].nr);
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boolean_logic),
		cmocka_unit_test(string_operators),
		cmocka_unit_test(numbers),
		cmocka_unit_test(unset_is_false),
		cmocka_unit_test(event_types),
		cmocka_unit_test(ancestors),
		cmocka_unit_test(addresses),
		cmocka_unit_test(regex_is_not_blinded),
		cmocka_unit_test(order_and_all),
		cmocka_unit_test(event_masks),
		cmocka_unit_test(calls_that_are_named),
		cmocka_unit_test(calls_without_a_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
