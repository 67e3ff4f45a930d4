/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <asm/unistd_64.h>
#include <poll.h>
#include <sys/resource.h>

/* Arguments of the system calls that have no code of their own. */

struct call {
	uint16_t nr;
	uint64_t args[6];
	int64_t ret;
	const char *path, *shown; /* evt.args */
};

static void other_calls(void **state)
{
	static const struct call calls[] = {
		{__NR_lseek,
		 {4, 100, SEEK_END},
		 7,
		 "",
		 "res=7 fd=4(<f>/srv/file) offset=100 whence=2(SEEK_END)"},
		{__NR_stat, {0}, -ENOENT, "x/../y", "res=-2(ENOENT) path=x/../y(/srv/y)"},
		{__NR_access, {0, R_OK | W_OK}, 0, "/a", "res=0 name=/a mode=6(R_OK|W_OK)"},
		{__NR_access, {0, F_OK}, 0, "/a", "res=0 name=/a mode=0(F_OK)"},
		{__NR_newfstatat,
		 {(uint32_t)AT_FDCWD, 0, 0, AT_SYMLINK_NOFOLLOW},
		 0,
		 "a",
		 "res=0 dirfd=-100(AT_FDCWD) path=a(/srv/a) flags=256(AT_SYMLINK_NOFOLLOW)"},
		{__NR_eventfd2,
		 {3, O_CLOEXEC},
		 4,
		 "",
		 "res=4(<f>/srv/file) flags=524288(O_CLOEXEC) initval=3"},
		{__NR_getcwd, {0}, 5, "/srv", "res=5 path=/srv"},
		{__NR_getcwd, {0}, -ERANGE, "left", "res=-34(ERANGE)"},
		{__NR_futex,
		 {0xabc, 128, 2},
		 -EAGAIN,
		 "",
		 "res=-11(EAGAIN) addr=ABC op=128(FUTEX_PRIVATE_FLAG|FUTEX_WAIT) val=2"},
		{__NR_setsockopt,
		 {4, SOL_SOCKET, SO_REUSEADDR, 0, 4},
		 0,
		 "",
		 "res=0 fd=4(<f>/srv/file) level=1(SOL_SOCKET) optname=2(SO_REUSEADDR) optlen=4"},
		{__NR_setsockopt,
		 {4, IPPROTO_TCP, 2, 0, 4},
		 0,
		 "",
		 "res=0 fd=4(<f>/srv/file) level=6(SOL_TCP) optname=2 optlen=4"},
		{__NR_brk, {0x1000}, 0x2000, "", "res=2000 addr=1000"},
		{__NR_getuid, {0}, 0, "", "uid=0(root)"},
		{__NR_prlimit64,
		 {0, RLIMIT_NOFILE},
		 0,
		 "",
		 "res=0 pid=0 resource=7(RLIMIT_NOFILE)"},
		{__NR_keyctl,
		 {3, (uint32_t)-4, 1},
		 0,
		 "",
		 "res=0 operation=3(KEYCTL_REVOKE) arg2=-4 arg3=1 arg4=0 arg5=0"},
		{__NR_fsconfig,
		 {4, 1, 0, 0, 0},
		 0,
		 "source",
		 "res=0 fd=4(<f>/srv/file) cmd=1(FSCONFIG_SET_STRING) key=source "
		 "value_charbuf=second aux=0"},
		/* the language has no arguments for it */
		{__NR_getpriority, {1, 2}, 0, "", "ID=140(getpriority) nativeID=140"},
	};
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(calls); i++) {
		char json[256];

		world_syscall(&w, calls[i].nr, calls[i].args, calls[i].ret);
		w.call.fd = 4;
		w.call.ino = 42;
		w.call.file_mode = S_IFREG;
		w.ev.call.text[TIP_TEXT_PATH] = calls[i].path;
		w.ev.call.text[TIP_TEXT_BASE] = "/srv";
		w.ev.call.text[TIP_TEXT_PATH2] = "second";
		w.ev.call.text[TIP_TEXT_FILE] = "/srv/file";
		snprintf(json, sizeof(json), "\"%s\"", calls[i].shown);
		check(&w, &(struct row){"evt.args", calls[i].shown, json});
	}
}

/* What the call points at, as the kernel tells it in the event's data. */
static void in_memory(void **state)
{
	static const int fds[] = {5, 6};
	static const uint64_t limits[] = {1024, (uint64_t)-1};
	static const uint64_t moment[] = {1, 500000000};
	static const uint32_t caps[] = {1, 2, 3, 4, 5, 6}, ring[] = {8, 16, 2, 0, 0, 1};
	static const struct pollfd polled[] = {{3, POLLIN, POLLIN}, {-1, POLLIN, 0}};
	static const struct {
		uint16_t nr;
		uint64_t args[6];
		const void *data;
		uint16_t len;
		const char *shown, *narrow; /* the same of a 32-bit program; NULL: equal */
	} calls[] = {
		{__NR_pipe2,
		 {0, O_CLOEXEC},
		 fds,
		 sizeof(fds),
		 "res=0 fd1=5(<p>) fd2=6(<p>) ino=42 flags=524288(O_CLOEXEC)",
		 NULL},
		{__NR_socketpair,
		 {AF_UNIX, SOCK_STREAM},
		 fds,
		 sizeof(fds),
		 "res=0 fd1=5(<u>) fd2=6(<u>) domain=1(AF_UNIX) type=1 proto=0",
		 NULL},
		{__NR_setrlimit,
		 {RLIMIT_NOFILE},
		 limits,
		 sizeof(limits),
		 "res=0 cur=1024 max=-1 resource=7(RLIMIT_NOFILE)",
		 "res=0 resource=7(RLIMIT_NOFILE)"},
		{__NR_setrlimit,
		 {RLIMIT_NOFILE},
		 limits,
		 0,
		 "res=0 resource=7(RLIMIT_NOFILE)",
		 NULL},
		{__NR_nanosleep,
		 {0},
		 moment,
		 sizeof(moment),
		 "res=0 interval=1500000000(1.5s)",
		 "res=0"},
		{__NR_capset,
		 {0},
		 caps,
		 sizeof(caps),
		 "res=0 cap_inheritable=600000003 cap_permitted=500000002 cap_effective=400000001",
		 NULL},
		{__NR_io_uring_setup,
		 {8},
		 ring,
		 sizeof(ring),
		 "res=0 entries=8 sq_entries=8 cq_entries=16 flags=2(IORING_SETUP_SQPOLL) "
		 "sq_thread_cpu=0 "
		 "sq_thread_idle=0 features=1(IORING_FEAT_SINGLE_MMAP)",
		 NULL},
		{__NR_setsockopt,
		 {4, SOL_SOCKET, SO_MARK, 0, 4},
		 fds,
		 4,
		 "res=0 fd=4 level=1(SOL_SOCKET) optname=36(SO_MARK) val=5 optlen=4",
		 NULL},
		{__NR_setsockopt,
		 {4, SOL_SOCKET, SO_BINDTODEVICE, 0, 5},
		 "eth0",
		 5,
		 "res=0 fd=4 level=1(SOL_SOCKET) optname=25(SO_BINDTODEVICE) val=eth0. optlen=5",
		 NULL},
		{__NR_poll,
		 {0, 2, 10},
		 polled,
		 sizeof(polled),
		 "res=0 fds=3:?1 -1:?0 timeout=10",
		 NULL},
	};
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < 2 * TIP_ARRAY_SIZE(calls); i++) {
		const bool narrow = i % 2 && calls[i / 2].narrow;
		const char *shown = narrow ? calls[i / 2].narrow : calls[i / 2].shown;
		char json[256];

		world_syscall(&w, calls[i / 2].nr, calls[i / 2].args, 0);
		w.hdr.flags = i % 2 ? TIP_EVF_COMPAT : 0;
		w.call.fd = 4;
		w.call.ino = calls[i / 2].nr == __NR_pipe2 ? 42 : 0;
		w.call.text_len[TIP_TEXT_DATA] = calls[i / 2].len;
		w.ev.call.text[TIP_TEXT_DATA] = calls[i / 2].data;
		snprintf(json, sizeof(json), "\"%s\"", shown);
		check(&w, &(struct row){"evt.args", shown, json});
	}
}

static void descriptors_polled(void **state)
{
	static const uint64_t args[6] = {0};
	static const struct pollfd polled[] = {{1000000, POLLIN, POLLIN}, {-1, POLLIN, 0}};
	static const struct row rows[] = {
		{"fdlist.nums", "1000000,-1", "\"1000000,-1\""},
		{"fdlist.cips", "<NA>", "null"},
	};
	static const struct row none[] = {
		{"fdlist.nums", "<NA>", "null"},
		{"fdlist.names", "<NA>", "null"},
	};
	struct world w;

	world_init(&w);
	world_syscall(&w, __NR_ppoll, args, 1);
	w.call.text_len[TIP_TEXT_DATA] = sizeof(polled);
	w.ev.call.text[TIP_TEXT_DATA] = (const char *)polled;
	RUN(rows, &w);
	w.call.nr = __NR_nanosleep;
	RUN(none, &w);
	world_syscall(&w, __NR_poll, args, 0);
	RUN(none, &w);
}

/* They are gathered only where a rule reads them. */
static void gathered(void **state)
{
	static const struct {
		const char *condition;
		bool wanted;
	} rows[] = {
		{"evt.type = setrlimit and evt.arg.max > 5", true},
		{"evt.type = poll and evt.rawarg.fds contains 5", true},
		{"evt.type = read and evt.rawarg.data contains x", true},
		{"evt.type = lseek and evt.arg[1] = 5", true},
		{"evt.type = poll and fdlist.nums = 5", true},
		{"evt.type = setrlimit and evt.arg.resource = RLIMIT_CORE", false},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_rule("", rows[i].condition, "x", &res);

		assert_non_null(r);
		assert_int_equal(!!(r->wanted.wants & TIP_WANT_DATA), rows[i].wanted);
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
}

/* evt.arg[N] is the language's N-th argument; without any, a register. */
static void by_number(void **state)
{
	static const uint64_t args[6] = {4, 100, SEEK_SET, 8, 9, 10};
	static const struct row seek_rows[] = {
		{"evt.arg[0]", "7", "\"7\""},    {"evt.arg[1]", "<f>/srv/file", "\"<f>/srv/file\""},
		{"evt.rawarg[1]", "4", "\"4\""}, {"evt.arg[3]", "SEEK_SET", "\"SEEK_SET\""},
		{"evt.arg[4]", "<NA>", "null"},  {"evt.arg.whence", "SEEK_SET", "\"SEEK_SET\""},
		{"evt.arg.ID", "<NA>", "null"},
	};
	static const struct row plain_rows[] = {
		{"evt.arg[0]", "4", "\"4\""},
		{"evt.arg[5]", "10", "\"10\""},
		{"evt.arg.whence", "<NA>", "null"},
		{"evt.arg.ID", "getpriority", "\"getpriority\""},
	};
	struct world w;

	world_init(&w);
	world_syscall(&w, __NR_lseek, args, 7);
	w.call.fd = 4;
	w.call.ino = 42;
	w.call.file_mode = S_IFREG;
	w.ev.call.text[TIP_TEXT_FILE] = "/srv/file";
	RUN(seek_rows, &w);
	world_syscall(&w, __NR_getpriority, args, 0);
	RUN(plain_rows, &w);
}

/* What is no path stands in no field of paths. */
static void texts(void **state)
{
	static const uint64_t args[6] = {0};
	static const struct row rows[] = {
		{"fs.path.name", "<NA>", "null"},
		{"evt.abspath", "<NA>", "null"},
	};
	struct world w;

	world_init(&w);
	world_syscall(&w, __NR_fsconfig, args, 0);
	w.ev.call.text[TIP_TEXT_PATH] = "source";
	RUN(rows, &w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_calls),        cmocka_unit_test(in_memory),
		cmocka_unit_test(descriptors_polled), cmocka_unit_test(gathered),
		cmocka_unit_test(by_number),          cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
