/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "detect/necessary.h"
#include "filtered.h"
#include "random.h"

/*
 * What the kernel can decide of conditions: that it drops what it can, and above all that it never
 * drops what a rule matches. The kernel's part is spelt out here by the letter, slowly.
 */

/* ---- the kernel's decision ---- */

static bool passes(const struct tip_prefilter *f, const struct world *w)
{
	const struct tip_ev_open *o = &w->open;
	const uint32_t flags = o->oflags >> TIP_FILTER_FLAGS_FIRST;
	uint32_t digits[TIP_FILTER_DIGITS] = {
		o->syscall | (w->hdr.ret < 0 ? TIP_FILTER_OPEN_FAILED : 0) |
			(o->oflags & O_ACCMODE) << TIP_FILTER_OPEN_ACCESS,
		flags & 63,
		flags >> 6 & 63,
		(flags >> 12 & 31) | (o->mode & 0111 ? TIP_FILTER_EXEC_MODE : 0),
	};

	if (w->hdr.flags & TIP_EVF_DIRECT)
		return true;
	see_uid(digits, w->hdr.uid);
	return clauses_pass(f, TIP_FILTER_OPEN, digits, 0x70f, w->ev.open.name, "");
}

static bool told(struct tip_rules *const *sets, size_t count, const struct world *w)
{
	struct tip_arena *arena = tip_arena_new();
	struct tip_prefilter f;
	bool ret;

	tip_rules_prefilter((const struct tip_rules *const *)sets, count, arena, &f);
	ret = passes(&f, w);
	tip_arena_free(arena);
	return ret;
}

/* ---- by hand ---- */

struct open_row {
	const char *condition;
	const char *name;
	uint32_t flags;
	int64_t ret;
	bool told;
};

static void run_opens(const struct open_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_rule("", rows[i].condition, "x", &res);
		struct world w;

		if (!r) {
			print_messages(&res);
			fail_msg("does not load: %s", rows[i].condition);
		}
		world_init(&w);
		world_open(&w, TIP_OPEN_OPENAT, "/srv/app", rows[i].name, rows[i].flags,
			   rows[i].ret);
		if (told(&r, 1, &w) != rows[i].told)
			fail_msg("%s is %s: %s", rows[i].name, rows[i].told ? "not told" : "told",
				 rows[i].condition);
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
}

#define READ "evt.type in (open, openat, openat2) and evt.is_open_read=true and fd.num>=0 and "

static void what_is_dropped(void **state)
{
	static const struct open_row rows[] = {
		/* how it was opened */
		{"evt.type = openat and evt.is_open_write=true", "/a", O_RDONLY, 3, false},
		{"evt.type = openat and evt.is_open_write=true", "/a", O_WRONLY, 3, true},
		{"evt.type = openat and not evt.is_open_write=true", "/a", O_RDWR, 3, false},
		{"evt.type = open", "/a", O_RDONLY, 3, false},
		{"evt.type = openat and evt.failed = true", "/a", O_RDONLY, 3, false},
		{"evt.type = openat and evt.res = ENOENT", "/a", O_RDONLY, 3, false},
		{"evt.type = openat and evt.res = ENOENT", "/a", O_RDONLY, -2, true},
		{"evt.type = openat and evt.res startswith E", "/a", O_RDONLY, 3, false},
		{"evt.type = openat and fd.num = -1", "/a", O_RDONLY, 3, false},
		{"evt.type = openat and evt.rawres < 0", "/a", O_RDONLY, 3, false},
		{"evt.type = openat and not fd.num >= 0", "/a", O_RDONLY, 3, false},
		{"evt.type = openat and evt.arg.flags contains O_TRUNC", "/a", O_WRONLY, 3, false},
		{"evt.type = openat and evt.arg.flags contains O_TRUNC", "/a", O_WRONLY | O_TRUNC,
		 3, true},
		{"evt.type = openat and not evt.arg.flags contains O_CREAT", "/a",
		 O_WRONLY | O_CREAT, 3, false},
		{"evt.type = openat and evt.arg.flags contains O_DIRECT", "/a",
		 O_RDONLY | O_DIRECTORY, 3, true},
		{"evt.type = openat and evt.arg.flags contains O_TMPFILE", "/a",
		 O_RDONLY | O_DIRECTORY, 3, false},
		{"evt.type = openat and evt.arg.flags contains O_F_CREATED", "/a", O_RDONLY, 3,
		 true},
		{"evt.type = openat and evt.arg.flags contains LAYER", "/a", O_RDONLY, 3, true},
		{"evt.type = openat and evt.is_open_exec=true", "/a", O_RDONLY, 3, false},
		{"evt.type = openat and evt.is_open_exec=true", "/a", O_WRONLY | O_CREAT, 3, true},
		/* names */
		{READ "fd.name = /etc/shadow", "/etc/passwd", O_RDONLY, 3, false},
		{READ "fd.name = /etc/shadow", "/etc/shadow", O_RDONLY, 3, true},
		{READ "fd.name = /etc/shadow", "shadow", O_RDONLY, 3, true},
		{READ "fd.name = /etc/shadow", "passwd", O_RDONLY, 3, false},
		{READ "fd.name = /etc/shadow", "/etc//passwd", O_RDONLY, 3, true},
		{READ "fd.name startswith /etc/", "/usr/etc/x", O_RDONLY, 3, false},
		{READ "fd.name startswith /etc/", "etc/x", O_RDONLY, 3, true},
		{READ "fd.name endswith .pem", "/etc/x.key", O_RDONLY, 3, false},
		{READ "fd.name endswith .pem", "x.key", O_RDONLY, 3, false},
		{READ "fd.name endswith .pem", "x.pem", O_RDONLY, 3, true},
		{READ "fd.name endswith ssh/id_rsa", "id_rsa", O_RDONLY, 3, true},
		{READ "fd.name endswith ssh/id_rsa", "id_dsa", O_RDONLY, 3, false},
		{READ "fd.directory = /etc/pam.d", "/etc/pam.conf", O_RDONLY, 3, false},
		{READ "fd.directory in (/etc/pam.d, /etc/sudoers.d)", "/etc/sudoers.d/a", O_RDONLY,
		 3, true},
		{READ "fd.filename in (id_rsa, id_dsa)", "/a/id_ecdsa", O_RDONLY, 3, false},
		{READ "fd.filename in (id_rsa, id_dsa)", "/a/id_dsa", O_RDONLY, 3, true},
		{READ "fd.name pmatch (/etc/ssl, /srv)", "/etc/sslx", O_RDONLY, 3, false},
		{READ "fd.name pmatch (/etc/ssl, /srv)", "/etc/ssl/x", O_RDONLY, 3, true},
		{READ "fd.name glob '/home/*/.ssh/*'", "/root/.ssh/id", O_RDONLY, 3, false},
		{READ "fd.name glob '*.key'", "/a.pem", O_RDONLY, 3, false},
		{READ "not fd.name startswith /dev/", "/dev/null", O_RDONLY, 3, false},
		{READ "not fd.name in (/dev/null, /dev/tty)", "/dev/null", O_RDONLY, 3, false},
		{READ "fd.name != /dev/null", "/dev/null", O_RDONLY, 3, false},
		{READ "fd.name != anyof (/dev/null, /dev/tty)", "/dev/null", O_RDONLY, 3, true},
		{READ "fd.name = val(proc.exepath)", "/dev/null", O_RDONLY, 3, true},
		{READ "tolower(fd.name) = /a", "/A", O_RDONLY, 3, true},
		{READ "fd.nameraw contains '../'", "/etc/passwd", O_RDONLY, 3, false},
		{READ "fd.nameraw contains '../'", "/srv/../etc/passwd", O_RDONLY, 3, true},
		{READ "fd.nameraw glob *../*../*", "a/b", O_RDONLY, 3, false},
		/* both, and combinations */
		{READ "fd.name startswith /etc and fd.name endswith .key", "/etc/x.pem", O_RDONLY,
		 3, false},
		{READ "fd.name startswith /etc and fd.name endswith .key", "/srv/x.key", O_RDONLY,
		 3, false},
		{READ "fd.name startswith /etc and fd.name endswith .key", "/etc/x.key", O_RDONLY,
		 3, true},
		{READ "(fd.name = /a or fd.name = /b or fd.name endswith c)", "/d", O_RDONLY, 3,
		 false},
		{READ "(fd.name = /a or proc.name = cat)", "/d", O_RDONLY, 3, true},
		{READ "fd.name = /a and proc.name = cat", "/d", O_RDONLY, 3, false},
		{READ "not (fd.name = /a or proc.name = cat)", "/a", O_RDONLY, 3, false},
		/* another kind of event, and rules that are never to match */
		{"evt.type = connect and fd.sport = 80", "/a", O_RDONLY, 3, false},
		{"evt.type = openat and evt.num = 0", "/a", O_RDONLY, 3, false},
		{READ "fd.sport = 80", "/a", O_RDONLY, 3, false},
		{READ "not fd.sport = 80", "/a", O_RDONLY, 3, true},
	};

	run_opens(rows, TIP_ARRAY_SIZE(rows));
}

/* ---- at random ---- */

static const char *const texts[] = {
	"/etc/shadow",
	"/etc/",
	"/etc",
	"/",
	"shadow",
	"/shadow",
	"etc/shadow",
	".pem",
	"/srv/app",
	"/srv/app/x.pem",
	"x.pem",
	"..",
	"../",
	"a..b",
	"/tmp/a..b",
	"//",
	"/srv",
	"app/x",
	"/srv/a",
	"",
	"/etc/ssl/certs/ca.pem",
	"d",
	"/./",
};
static const char *const names[] = {
	"/etc/shadow",
	"/etc/shadow-",
	"/etc",
	"/",
	"shadow",
	"etc/shadow",
	"./shadow",
	"x.pem",
	"/srv/app/x.pem",
	"../app/x.pem",
	"/srv/app/../app/x.pem",
	"a..b",
	"/tmp/a..b/x.pem",
	"/etc//shadow",
	"/etc/./shadow",
	"/etc/shadow/",
	"/etc/shadow/.",
	"",
	".",
	"app/x",
	"/srv/app",
	"/etc/ssl/certs/ca.pem",
	"ca.pem",
	"d",
	"/d",
};

static void random_check(struct tip_buf *b)
{
	static const char *const fields[] = {"fd.name", "fd.nameraw", "fd.directory",
					     "fd.filename"};
	static const char *const ops[] = {"=",        "!=",   "startswith", "endswith",
					  "contains", "glob", "icontains",  "iglob"};
	static const char *const sets[] = {"in", "pmatch", "intersects"};
	static const char *const others[] = {
		"evt.is_open_read = true",
		"evt.is_open_write = true",
		"evt.is_open_write = false",
		"evt.is_open_write != true",
		"evt.is_open_create = true",
		"evt.is_open_create != true",
		"evt.is_open_exec = true",
		"evt.is_open_exec = false",
		"evt.failed = true",
		"evt.failed != true",
		"evt.res = SUCCESS",
		"evt.res != SUCCESS",
		"evt.res = ENOENT",
		"evt.res in (ENOENT, EPERM)",
		"evt.res startswith E",
		"evt.res contains S",
		"evt.rawres < 0",
		"evt.rawres >= 3",
		"evt.rawres in (-2, 3)",
		"evt.rawres != 3",
		"fd.num = -1",
		"fd.num >= 0",
		"fd.num != 3",
		"fd.num < 4",
		"fd.num exists",
		"evt.arg.flags contains O_TRUNC",
		"evt.arg.flags contains O_CREAT",
		"evt.arg.flags contains O_DIR",
		"evt.arg.flags contains O_RD",
		"evt.arg.flags contains O_SYNC",
		"evt.arg.flags contains 'O_CREAT|O_RDWR'",
		"evt.arg.flags = O_RDONLY",
		"evt.arg.flags endswith O_CLOEXEC",
		"evt.type = openat",
		"evt.type in (open, openat)",
		"evt.type != openat",
		"evt.num > 1",
		"evt.num = 0",
		"proc.name = cat",
		"proc.name = dog",
		"fd.name exists",
		"fd.sport = 80",
		"user.uid = 0",
		"user.uid != 0",
		"user.uid in (33, 1000)",
		"fd.typechar = f",
	};

	if (pick(2)) {
		tip_buf_adds(b, PICK(others));
		return;
	}
	if (pick(3)) {
		const char *op = PICK(ops), *text = PICK(texts);
		const bool pattern = strstr(op, "glob") != NULL;

		tip_buf_addf(b, "%s %s '%s%s%s'", PICK(fields), op, pattern && pick(2) ? "*" : "",
			     text, pattern && pick(2) ? "*" : "");
		return;
	}
	tip_buf_addf(b, "%s %s (", PICK(fields), PICK(sets));
	for (uint32_t i = 0, n = 1 + pick(6); i < n; i++)
		tip_buf_addf(b, "%s'%s'", i ? ", " : "", PICK(texts));
	tip_buf_adds(b, ")");
}

static void random_open(struct world *w)
{
	static const uint32_t flags[] = {O_CREAT, O_TRUNC,     O_EXCL,    O_DIRECTORY,
					 O_SYNC,  __O_TMPFILE, O_CLOEXEC, O_DIRECT};
	static const char *const bases[] = {"/srv/app", "/etc", "/", "/tmp/a..b", ""};
	static const int64_t rets[] = {3, 0, 7, -ENOENT, -EPERM};
	uint32_t f = pick(3);

	for (uint32_t i = pick(4); i; i--)
		f |= PICK(flags);
	world_init(w);
	world_open(w, (int)pick(5), PICK(bases), PICK(names), f, PICK(rets));
	if (pick(2))
		w->open.mode = 0755;
	if (w->open.syscall == TIP_OPEN_BY_HANDLE)
		w->ev.open.name = "";
	if (w->ev.open.name[0] == '/')
		w->ev.open.base = "";
	w->hdr.uid = pick(3) * 500;
	if (pick(16) == 0)
		w->hdr.flags |= TIP_EVF_DIRECT;
}

static void name(const struct world *w, struct tip_buf *out)
{
	tip_buf_addf(out, "open of %s (base %s, flags %o, call %u)", w->ev.open.name,
		     w->ev.open.base, w->open.oflags, w->open.syscall);
}

static void nothing_that_matches_is_dropped(void **state)
{
	static const struct random_acts of = {"", random_check, random_open, passes, name};

	random_rounds(&of);
}

/* What either of two sets needs is told while one follows the other. */
static void two_sets(void **state)
{
	struct tip_load_result res[2];
	struct tip_rules *sets[3] = {
		load_rule("", READ "fd.name = /a", "x", &res[0]),
		load_rule("", READ "fd.name = /b", "x", &res[1]),
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/a", O_RDONLY, 3);
	assert_true(told(sets, 2, &w));
	assert_true(told(sets, 3, &w));
	assert_false(told(sets + 1, 1, &w));
	w.ev.open.name = "/b";
	assert_true(told(sets, 2, &w));
	assert_false(told(sets, 1, &w));
	w.ev.open.name = "/c";
	assert_false(told(sets, 2, &w));
	for (int i = 0; i < 2; i++) {
		tip_rules_free(sets[i]);
		tip_load_result_free(&res[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_dropped),
		cmocka_unit_test(nothing_that_matches_is_dropped),
		cmocka_unit_test(two_sets),
	};

	random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
