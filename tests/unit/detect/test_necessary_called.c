/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>

#include "filtered.h"
#include "random.h"

/*
 * What the kernel can decide of kill, ptrace, mounts, modules and executable memory:
 * test_necessary.c has the same for opens. What it sees of one is written down here once more, from
 * the event.
 */

/* ---- the kernel's decision ---- */

static uint32_t small(uint64_t arg)
{
	return (uint32_t)arg < 63 ? (uint32_t)arg : 63;
}

static uint32_t mount_flags(uint64_t arg)
{
	const uint32_t flags = (uint32_t)arg;

	return (flags & 0xffff0000) == 0xc0ed0000 ? flags & 0xffff : flags;
}

static uint32_t number_of(const struct tip_ev_call *c)
{
	const uint32_t request = (uint32_t)c->args[0], prot = (uint32_t)c->args[2];

	switch (c->call) {
	case TIP_CALL_KILL:
	case TIP_CALL_TKILL:
	case TIP_CALL_UMOUNT2: return small(c->args[1]);
	case TIP_CALL_TGKILL:
	case TIP_CALL_FINIT_MODULE: return small(c->args[2]);
	case TIP_CALL_PTRACE:
		return request < 48                            ? request
		       : request >= 0x4200 && request < 0x420f ? 48 + request - 0x4200
							       : 63;
	case TIP_CALL_MOUNT: return mount_flags(c->args[3]) >> 18 & 63;
	default: return (prot & 15) | (prot >> 24 & 3) << 4;
	}
}

static bool passes(const struct tip_prefilter *f, const struct world *w)
{
	const struct tip_ev_call *c = &w->call;
	const uint32_t flags =
		c->call == TIP_CALL_MOUNT ? mount_flags(c->args[3]) : (uint32_t)c->args[3];
	uint32_t digits[TIP_FILTER_DIGITS] = {
		[TIP_FILTER_NR] = c->call,
		[TIP_FILTER_RESULT] = w->hdr.ret == -EINPROGRESS ? TIP_FILTER_PENDING
				      : w->hdr.ret < 0           ? TIP_FILTER_FAILED
				      : w->hdr.ret > 60          ? TIP_FILTER_MORE
								 : (uint32_t)w->hdr.ret,
		[TIP_FILTER_NUMBER] = number_of(c),
		[TIP_FILTER_KIND] = !c->ino                 ? TIP_FILTER_IS_NOTHING
				    : S_ISDIR(c->file_mode) ? TIP_FILTER_IS_FOLDER
							    : TIP_FILTER_OF_KIND(c->file_kind),
		[TIP_FILTER_FLAGS] = flags & 63,
		[TIP_FILTER_FLAGS + 1] = flags >> 6 & 63,
		[TIP_FILTER_FLAGS + 2] = flags >> 12 & 63,
	};

	see_uid(digits, w->hdr.uid);
	return clauses_pass(f, TIP_FILTER_CALLED, digits, 0x7fd, "", "");
}

/* ---- acts ---- */

static void act(struct world *w, uint16_t call, const uint64_t args[6], const char *file,
		int64_t ret)
{
	static const uint16_t types[] = {
		[TIP_CALL_KILL] = TIP_EV_SIGNAL,        [TIP_CALL_TKILL] = TIP_EV_SIGNAL,
		[TIP_CALL_TGKILL] = TIP_EV_SIGNAL,      [TIP_CALL_PTRACE] = TIP_EV_PTRACE,
		[TIP_CALL_MOUNT] = TIP_EV_MOUNT,        [TIP_CALL_UMOUNT] = TIP_EV_MOUNT,
		[TIP_CALL_UMOUNT2] = TIP_EV_MOUNT,      [TIP_CALL_MOVE_MOUNT] = TIP_EV_MOUNT,
		[TIP_CALL_INIT_MODULE] = TIP_EV_MODULE, [TIP_CALL_FINIT_MODULE] = TIP_EV_MODULE,
		[TIP_CALL_MMAP] = TIP_EV_MMAP,          [TIP_CALL_MPROTECT] = TIP_EV_MMAP,
		[TIP_CALL_PKEY_MPROTECT] = TIP_EV_MMAP,
	};

	world_init(w);
	world_call(w, types[call], call, args, "/dev/sda1", file, ret);
}

#define ACT(w, call, file, ret, ...)                                                               \
	act(w, TIP_CALL_##call, (const uint64_t[6]){__VA_ARGS__}, file, ret)

/* ---- by hand ---- */

static bool told(const char *condition, const struct world *w)
{
	return condition_told(condition, w, passes);
}

struct row {
	const char *condition;
	bool told;
};

static void run(const struct row *rows, size_t count, const struct world *w)
{
	for (size_t i = 0; i < count; i++)
		if (told(rows[i].condition, w) != rows[i].told)
			fail_msg("%s: %s", rows[i].told ? "not told" : "told", rows[i].condition);
}

static void signals(void **state)
{
	static const struct row rows[] = {
		{"evt.type = kill", true},
		{"evt.type in (tkill, tgkill, ptrace)", false},
		{"evt.type != kill", false},
		{"evt.type = kill and evt.arg.sig = SIGKILL", true},
		{"evt.type = kill and evt.arg.sig != SIGKILL", false},
		{"evt.type = kill and evt.arg.sig in (SIGTERM, SIGSTOP)", false},
		{"evt.type = kill and not evt.arg.sig in (SIGTERM, SIGSTOP)", true},
		{"evt.type = kill and evt.arg.sig contains KILL", true},
		{"evt.type = kill and evt.arg.sig startswith SIGRT", false},
		{"evt.type = kill and evt.arg.sig regex 'SIG(TERM|INT)'", false},
		{"evt.type = kill and evt.rawarg.sig = 9", true},
		{"evt.type = kill and evt.rawarg.sig = 15", false},
		{"evt.type = kill and evt.arg.pid = 1", true}, /* of processes nothing */
		{"evt.type = kill and evt.arg.tid exists", false},
		{"evt.type = kill and evt.arg.path = /x", false},
		{"evt.type = kill and evt.arg[1] = 1", true},
		{"evt.type = kill and evt.failed = true", false},
		{"evt.type = kill and evt.res = ESRCH", false},
		{"evt.type = kill and evt.rawres >= 0", true},
		{"evt.type = kill and fd.type = file", false},
		{"evt.type in (kill, mmap) and not fd.type = file", true},
		{"evt.type = kill and evt.num = 0", false},
		{"evt.type = kill and user.uid = 0", true},
		{"evt.type = kill and user.uid in (1, 33)", false},
		{"evt.type = kill and proc.name = dog", true},
		{"evt.type = open", false},
	};
	struct world w;

	ACT(&w, KILL, NULL, 0, 1, SIGKILL);
	run(rows, TIP_ARRAY_SIZE(rows), &w);
	ACT(&w, TGKILL, NULL, 0, 1, 1, 64);
	assert_true(told("evt.type = tgkill and evt.arg.sig = 64", &w));
	assert_true(told("evt.type = tgkill and evt.arg.sig = 99", &w)); /* 63 or more */
	ACT(&w, KILL, NULL, -ESRCH, 1, 0);
	assert_true(told("evt.type = kill and evt.arg.sig = 0", &w));
	assert_false(told("evt.type = kill and evt.arg.sig != 0", &w));
	assert_false(told("evt.type = kill and evt.failed = false", &w));
}

static void requests(void **state)
{
	static const struct row rows[] = {
		{"evt.type = ptrace and (evt.arg.request contains PTRACE_POKETEXT or "
		 "evt.arg.request contains PTRACE_ATTACH or evt.arg.request contains PTRACE_SEIZE "
		 "or evt.arg.request contains PTRACE_SETREGS)",
		 false},
		{"evt.type = ptrace and evt.arg.request contains PTRACE_TRACEME", false},
		{"evt.type = ptrace and evt.arg.request = PTRACE_GETREGSET", true},
		{"evt.type = ptrace and evt.arg.request startswith PTRACE_GET", true},
		{"evt.type = ptrace and evt.rawarg.request = 16900", true},
		{"evt.type = ptrace and evt.rawarg.request = 16901", false},
	};
	struct world w;

	ACT(&w, PTRACE, NULL, 0, PTRACE_GETREGSET, 7);
	run(rows, TIP_ARRAY_SIZE(rows), &w);
	ACT(&w, PTRACE, NULL, -EIO, 0x4200 - 1, 7);
	assert_true(told("evt.type = ptrace and evt.arg.request = 16895", &w));
	ACT(&w, PTRACE, NULL, -EIO, 47, 7);
	assert_false(told("evt.type = ptrace and evt.arg.request = PTRACE_SETOPTIONS", &w));
}

static void mounts(void **state)
{
	static const struct row rows[] = {
		{"evt.type = mount and evt.arg.flags contains BIND", true},
		{"evt.type = mount and evt.arg.flags contains REMOUNT", false},
		{"evt.type = mount and evt.arg.flags contains SHARED", true},
		{"evt.type = mount and evt.arg.flags contains SLAVE", false},
		{"evt.type = mount and not evt.arg.flags contains SHARED", false},
		{"evt.type = mount and evt.arg.flags contains LAZYTIME", true}, /* too high */
		{"evt.type = mount and not evt.arg.flags contains LAZYTIME", true},
		{"evt.type = mount and evt.arg.flags contains 'BIND|REC'", true},
		{"evt.type = mount and evt.arg.flags contains 1", true},
		{"evt.type in (mount, umount2) and evt.arg.flags contains DETACH", true},
		{"evt.type in (umount, umount2, move_mount)", false},
		{"evt.type = mount and evt.arg.dev = /dev/sdb", true},
		{"evt.type = mount and evt.arg.request = PTRACE_CONT", false},
	};
	struct world w;

	ACT(&w, MOUNT, NULL, 0, 1, 1, 1, MS_BIND | MS_SHARED);
	run(rows, TIP_ARRAY_SIZE(rows), &w);
	ACT(&w, MOUNT, NULL, 0, 1, 1, 1, 0xc0ed0000 | MS_RDONLY);
	assert_false(told("evt.type = mount and evt.arg.flags contains SHARED", &w));
	assert_true(told("evt.type = mount and evt.arg.flags contains RDONLY", &w));
	ACT(&w, UMOUNT2, NULL, 0, 1, MNT_DETACH);
	assert_true(told("evt.type = umount2 and evt.arg.flags = DETACH", &w));
	assert_false(told("evt.type = umount2 and evt.arg.flags = FORCE", &w));
	assert_false(told("evt.type = umount", &w));
}

static void memory(void **state)
{
	static const struct row rows[] = {
		{"evt.type = mmap and evt.arg.prot contains PROT_EXEC", true},
		{"evt.type = mmap and evt.arg.prot contains PROT_WRITE", false},
		{"evt.type in (mmap, mprotect) and evt.arg.prot contains PROT_WRITE", false},
		{"evt.type in (mmap, mprotect) and not evt.arg.prot contains PROT_WRITE", true},
		{"evt.type = mmap and evt.arg.prot = 'PROT_READ|PROT_EXEC'", true},
		{"evt.type = mmap and evt.arg.prot = 'PROT_READ|PROT_WRITE|PROT_EXEC'", false},
		{"evt.type = mmap and evt.rawarg.prot = 7", true}, /* bits that have no name */
		{"evt.type = mmap and evt.arg.flags contains MAP_ANON", false},
		{"evt.type = mmap and evt.arg.flags contains MAP_PRIVATE", true},
		{"evt.type = mmap and not evt.arg.flags contains MAP_FIXED", true},
		{"evt.type = mmap and fd.type = file", true},
		{"evt.type = mmap and fd.type != file", false},
		{"evt.type = mmap and fd.typechar = d", false},
		{"evt.type = mmap and fd.name startswith /tmp/", true},
		{"evt.type = mmap and evt.rawres < 0", false},
		{"evt.type in (mprotect, pkey_mprotect)", false},
	};
	struct world w;

	ACT(&w, MMAP, "/usr/lib/x.so", 0x7f0000000000, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE,
	    3);
	run(rows, TIP_ARRAY_SIZE(rows), &w);
	ACT(&w, MMAP, NULL, 0x7f0000000000, 0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	assert_false(told("evt.type = mmap and fd.type = file", &w));
	assert_true(told("evt.type = mmap and not fd.type = file", &w));
	ACT(&w, FINIT_MODULE, "/tmp/x.ko", -EPERM, 3, 1, 2);
	assert_true(told("evt.type in (init_module, finit_module)", &w));
	assert_true(told("evt.type = finit_module and evt.arg.flags contains VERMAGIC", &w));
	assert_false(told("evt.type = finit_module and evt.arg.flags contains COMPRESSED", &w));
	assert_false(told("evt.type in (init_module, finit_module) and evt.rawres >= 0", &w));
}

/* ---- at random ---- */

static const uint64_t numbers[] = {0,  1,      2,      9,      15,     16,         47,
				   48, 62,     63,     64,     0x4200, 0x4206,     0x420e,
				   7,  0x420f, 0x41ff, 0x1005, 4,      0x01000004, UINT64_MAX};
static const uint64_t flags[] = {0,       1,       2,          0x22,   0x1000,     1 << 18,
				 1 << 20, 1 << 25, 0xc0ed0021, 0x8022, 0x10000002, 8};

static void random_check(struct tip_buf *b)
{
	static const char *const args[] = {"sig", "request", "prot",   "flags",
					   "pid", "dev",     "newpath"};
	static const char *const ops[] = {"=",        "!=",        "contains", "startswith",
					  "endswith", "icontains", "glob"};
	static const char *const words[] = {"SIGKILL",
					    "SIGTERM",
					    "SIG",
					    "9",
					    "0",
					    "63",
					    "64",
					    "-1",
					    "PTRACE_",
					    "PTRACE_ATTACH",
					    "PTRACE_SEIZE",
					    "PROT_EXEC",
					    "PROT_WRITE",
					    "PROT_READ|PROT_WRITE|PROT_EXEC",
					    "PROT_NONE",
					    "PROT_GROWSDOWN",
					    "MAP_PRIVATE",
					    "MAP_ANONYMOUS",
					    "MAP_",
					    "32",
					    "BIND",
					    "SHARED",
					    "RDONLY",
					    "LAZYTIME",
					    "DETACH",
					    "FORCE",
					    "VERMAGIC",
					    "/dev/sda1",
					    "E"};
	static const char *const others[] = {
		"evt.failed = true",
		"evt.failed != true",
		"evt.res = SUCCESS",
		"evt.res in (EPERM, ESRCH)",
		"evt.rawres >= 0",
		"evt.rawres < 0",
		"evt.rawres > 60",
		"fd.type = file",
		"fd.type != file",
		"fd.typechar in (d, p)",
		"fd.type in (memfd, bpf)",
		"fd.l4proto = tcp",
		"fd.sport = 80",
		"fd.name startswith /usr",
		"evt.num = 0",
		"user.uid = 0",
		"user.uid >= 1000",
		"not user.uid in (0, 1000)",
		"evt.arg.sig exists",
		"evt.arg.prot exists",
		"evt.arg[1] = 9",
		"proc.name = cat",
		"proc.name = dog",
		"evt.type in (kill, mmap, mount)",
		"evt.type = mprotect",
		"evt.type != ptrace",
		"evt.type in (umount, umount2, unlink)",
		"evt.type in (init_module, finit_module)",
	};

	switch (pick(4)) {
	case 0: tip_buf_adds(b, PICK(others)); return;
	case 1:
		tip_buf_addf(b, "evt.%sarg.%s in ('%s', '%s', '%s')", pick(4) ? "" : "raw",
			     PICK(args), PICK(words), PICK(words), PICK(words));
		return;
	default:
		tip_buf_addf(b, "evt.%sarg.%s %s '%s%s'", pick(4) ? "" : "raw", PICK(args),
			     PICK(ops), PICK(words), pick(8) ? "" : "*");
	}
}

static void random_act(struct world *w)
{
	static const int64_t rets[] = {0, 0x7f0000000000, -EPERM, -ESRCH, 3, -EINPROGRESS};
	static const uint32_t modes[] = {S_IFREG, S_IFREG, S_IFDIR, S_IFCHR};
	static const uint32_t uids[] = {0, 1, 1000, 65534};
	const uint64_t args[6] = {PICK(numbers), PICK(numbers), PICK(numbers), PICK(flags), 3, 0};
	const uint16_t call = (uint16_t)pick(TIP_CALL_SYSCALL);
	const bool file = call == TIP_CALL_MMAP || call == TIP_CALL_FINIT_MODULE;

	act(w, call, args, file && pick(2) ? "/usr/lib/x.so" : NULL, PICK(rets));
	w->hdr.uid = PICK(uids);
	if (!w->call.ino)
		return;
	w->call.file_mode = PICK(modes);
	w->call.file_kind = pick(TIP_KIND_MAX);
}

static void name(const struct world *w, struct tip_buf *out)
{
	tip_buf_addf(out, "call %u (%#llx, %#llx, %#llx, %#llx)", w->call.call,
		     (unsigned long long)w->call.args[0], (unsigned long long)w->call.args[1],
		     (unsigned long long)w->call.args[2], (unsigned long long)w->call.args[3]);
}

#define CALLED                                                                                     \
	"evt.type in (kill, tkill, tgkill, ptrace, mount, umount, umount2, move_mount, "           \
	"init_module, finit_module, mmap, mprotect, pkey_mprotect) and "

static void nothing_that_matches_is_dropped(void **state)
{
	static const struct random_acts of = {CALLED, random_check, random_act, passes, name};

	random_rounds(&of);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals),
		cmocka_unit_test(requests),
		cmocka_unit_test(mounts),
		cmocka_unit_test(memory),
		cmocka_unit_test(nothing_that_matches_is_dropped),
	};

	random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
