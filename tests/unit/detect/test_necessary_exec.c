/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "filtered.h"
#include "random.h"

/*
 * What the kernel can decide of execs: test_necessary.c has the same for opens. What it sees of one
 * is written down here once more, from the event.
 */

/* ---- the kernel's decision ---- */

static bool name_is(const struct world *w, const struct tip_filter_name *n)
{
	const bool comm = n->how == TIP_FILTER_COMM_WHOLE || n->how == TIP_FILTER_COMM_PREFIX;
	const char *text = comm ? w->hdr.comm : w->ev.exec.exe_path;
	const size_t len = strlen(text);

	if (n->how == TIP_FILTER_WHOLE || n->how == TIP_FILTER_COMM_WHOLE)
		return len == n->len && memcmp(text, n->text, len) == 0;
	assert_int_not_equal(n->how, TIP_FILTER_END);
	return len >= n->len && memcmp(text, n->text, n->len) == 0;
}

static bool slot_is_met(const struct world *w, const struct tip_filter_slot *slot)
{
	bool any = false;

	for (size_t i = 0; i < slot->count; i++) {
		/* a long path is not looked at */
		if (slot->names[i].how < TIP_FILTER_COMM_WHOLE &&
		    strlen(w->ev.exec.exe_path) >= TIP_FILTER_TEXT)
			return true;
		any = any || name_is(w, &slot->names[i]);
	}
	return any != slot->negated;
}

static bool passes(const struct tip_prefilter *f, const struct world *w)
{
	const uint32_t flags = w->exec.proc_flags;
	uint32_t digits[TIP_FILTER_DIGITS] = {
		(w->exec.syscall ? TIP_FILTER_EXEC_AT : 0) |
			(w->exec.tty ? TIP_FILTER_EXEC_TTY : 0) |
			(flags & TIP_PROC_EXE_MEMFD ? TIP_FILTER_EXEC_MEMFD : 0) |
			(flags & TIP_PROC_EXE_WRITABLE ? TIP_FILTER_EXEC_WRITE : 0) |
			(flags & TIP_PROC_EXE_UPPER ? TIP_FILTER_EXEC_UPPER : 0) |
			(flags & TIP_PROC_EXE_LOWER ? TIP_FILTER_EXEC_LOWER : 0),
	};

	see_uid(digits, w->hdr.uid);
	for (size_t i = 0; i < f->groups[TIP_FILTER_EXEC].count; i++) {
		const struct tip_filter_clause *c = &f->groups[TIP_FILTER_EXEC].clauses[i];
		bool met = true;

		for (size_t d = 0; d < TIP_FILTER_DIGITS; d++)
			met = met && (c->digits[d] >> digits[d] & 1);
		for (size_t k = 0; k < c->nslots; k++)
			met = met && slot_is_met(w, &c->slots[k]);
		if (met)
			return true;
	}
	return false;
}

/* ---- by hand ---- */

/* The last process of the world is what was executed. */
static void become(struct world *w, const char *path, uint32_t flags, uint32_t uid, uint32_t tty)
{
	const char *slash = strrchr(path, '/');
	struct tip_process *p;

	world_init(w);
	world_exec(w, flags);
	p = w->in.proc;
	memset(w->hdr.comm, 0, sizeof(w->hdr.comm));
	memcpy(w->hdr.comm, slash + 1, strnlen(slash + 1, sizeof(w->hdr.comm) - 1));
	w->hdr.uid = uid;
	w->exec.tty = p->tty = tty;
	p->comm = w->hdr.comm;
	w->ev.exec.exe_path = p->exe_path = path;
}

static bool told(const char *condition, const struct world *w)
{
	return condition_told(condition, w, passes);
}

#define EXEC "evt.type in (execve, execveat) and "

static void what_no_rule_is_about(void **state)
{
	static const struct {
		const char *condition;
		bool told;
	} rows[] = {
		{"evt.type in (execve, execveat)", true},
		{"evt.type = execve", true},
		{"evt.type = execveat", false},
		{"evt.type != execve", false},
		{"evt.type = open and proc.name = curl", false},
		{EXEC "proc.name = curl", true},
		{EXEC "proc.name != curl", false},
		{EXEC "proc.name in (bash, sh)", false},
		{EXEC "not proc.name in (bash, curl)", false},
		{EXEC "proc.name startswith cu", true},
		{EXEC "proc.name startswith wg", false},
		{EXEC "not proc.name startswith cu", false},
		{EXEC "proc.name startswith longer-than-any-comm", false},
		{EXEC "proc.name = longer-than-any-comm", false},
		{EXEC "proc.name glob 'w*'", false},
		{EXEC "proc.name glob 'cu*x'", true},
		{EXEC "not proc.name glob 'cu*'", true},
		{EXEC "proc.name endswith x", true},
		{EXEC "proc.name contains x", true},
		{EXEC "proc.name regex 'b.*'", true},
		{EXEC "toupper(proc.name) = CURL", true},
		{EXEC "proc.name exists", true},
		{EXEC "proc.name = val(proc.pname)", true},
		{EXEC "proc.exepath = /usr/bin/curl", true},
		{EXEC "proc.exepath = /usr/bin/wget", false},
		{EXEC "proc.exepath startswith /tmp/", false},
		{EXEC "proc.exepath pmatch (/tmp, /usr/bin)", true},
		{EXEC "proc.exepath pmatch (/tmp, /usr/bi)", false},
		{EXEC "not proc.exepath startswith /usr/", false},
		{EXEC "proc.exepath endswith wget", true},
		{EXEC "proc.exepath = memfd:ghost", true},
		{EXEC "proc.exepath in (/usr/bin/nc, /usr/bin/wget) and proc.name = curl", false},
		{EXEC "proc.name = curl and proc.exepath startswith /usr/", true},
		{EXEC "proc.name = nc and proc.exepath startswith /usr/", false},
		{EXEC "(proc.name = nc or proc.exepath = /usr/bin/curl)", true},
		{EXEC "proc.is_exe_from_memfd = true", false},
		{EXEC "proc.is_exe_from_memfd = false", true},
		{EXEC "not proc.is_exe_upper_layer = true", false},
		{EXEC "proc.is_exe_upper_layer = true", true},
		{EXEC "proc.is_exe_lower_layer = true", false},
		{EXEC "proc.is_exe_writable = true", false},
		{EXEC "proc.tty != 0", false},
		{EXEC "proc.tty = 0", true},
		{EXEC "proc.tty > 100", false},
		{EXEC "user.uid = 1000", true},
		{EXEC "user.uid = 0", false},
		{EXEC "user.uid != 1000", false},
		{EXEC "user.uid != 0", true},
		{EXEC "not user.uid in (0, 1000)", false},
		{EXEC "user.uid < 1000", true}, /* each of its digits some such uid has */
		{EXEC "user.uid < 40", false},
		{EXEC "user.uid >= 100000", false},
		{EXEC "user.uid in (1, 2, 33, 65534)", false},
		{EXEC "evt.failed = true", false},
		{EXEC "evt.rawres < 0", false},
		{EXEC "evt.res != SUCCESS", false},
		{EXEC "evt.res = SUCCESS", true},
		{EXEC "evt.num = 0", false},
		{EXEC "fd.name = /etc/shadow", false},
		/* of ancestors, arguments and users' names it knows nothing */
		{EXEC "proc.pname = nobody", true},
		{EXEC "proc.aname in (nobody)", true},
		{EXEC "proc.args contains nothing", true},
		{EXEC "proc.exe = nothing", true},
		{EXEC "user.name = nobody", true},
		{EXEC "container.id != host", true},
		{EXEC "proc.name = nc and proc.pname = nobody", false},
	};
	struct world w;

	become(&w, "/usr/bin/curl", TIP_PROC_EXE_UPPER, 1000, 0);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++)
		if (told(rows[i].condition, &w) != rows[i].told)
			fail_msg("%s: %s", rows[i].told ? "not told" : "told", rows[i].condition);
}

/* comm has fifteen bytes of the name. */
static void names_that_are_cut(void **state)
{
	struct world w;

	become(&w, "/opt/a-name-of-more-than-fifteen", 0, 0, 34816);
	assert_true(told(EXEC "proc.name = a-name-of-more-", &w));
	assert_false(told(EXEC "proc.name = a-name-of-more", &w));
	assert_false(told(EXEC "proc.name = a-name-of-more-than-fifteen", &w));
	assert_true(told(EXEC "proc.name != a-name-of-more-than-fifteen", &w));
	assert_true(told(EXEC "proc.name startswith a-name-of-more", &w));
	assert_true(told(EXEC "proc.exepath = /opt/a-name-of-more-than-fifteen", &w));
	assert_string_equal(w.hdr.comm, "a-name-of-more-");
}

/* ---- at random ---- */

static const char *const paths[] = {
	"/usr/bin/curl", "/usr/bin/cu", "/tmp/curl", "/bin/sh", "/usr/bin/a-name-of-more-than-15",
	"/tmp/.x",       "/a",
};
static const char *const names[] = {
	"curl", "cu", "sh", "a-name-of-more-than-15", "a-name-of-more-", ".x", "a", "nothing"};
static const char *const uids[] = {"0",    "1",     "63",     "64",     "1000",      "4095",
				   "4096", "65534", "258047", "258048", "4294967295"};

static void random_check(struct tip_buf *b)
{
	static const char *const orders[] = {"=", "!=", "<", "<=", ">", ">="};
	static const char *const ops[] = {"=",        "!=",   "startswith", "endswith",
					  "contains", "glob", "icontains"};
	static const char *const bools[] = {"proc.is_exe_from_memfd", "proc.is_exe_writable",
					    "proc.is_exe_upper_layer", "proc.is_exe_lower_layer",
					    "evt.failed"};
	static const char *const others[] = {"evt.type = execve",
					     "evt.type = execveat",
					     "evt.type != execve",
					     "evt.type in (execveat, unlink)",
					     "evt.res = SUCCESS",
					     "evt.rawres = 0",
					     "evt.rawres != 0",
					     "proc.tty = 0",
					     "proc.tty != 0",
					     "proc.tty >= 1",
					     "proc.tty in (0, 34816)",
					     "proc.pname = bash",
					     "proc.pname = nothing",
					     "proc.args contains -n",
					     "fd.name = /x",
					     "proc.name exists",
					     "evt.num = 0",
					     "user.name = root",
					     "proc.aname in (sshd, nothing)"};

	switch (pick(8)) {
	case 0: tip_buf_adds(b, PICK(others)); return;
	case 1:
		tip_buf_addf(b, "%s %s %s", PICK(bools),
			     pick(2) ? "=" : "!=", pick(2) ? "true" : "false");
		return;
	case 2: tip_buf_addf(b, "user.uid %s %s", PICK(orders), PICK(uids)); return;
	case 3:
		tip_buf_addf(b, "user.uid in (%s, %s, %s)", PICK(uids), PICK(uids), PICK(uids));
		return;
	case 4:
		tip_buf_addf(b, "proc.exepath %s '%s%s'", PICK(ops), PICK(paths),
			     pick(4) ? "" : "*");
		return;
	case 5:
		tip_buf_addf(b, "proc.exepath %s (%s, %s)", pick(2) ? "in" : "pmatch", PICK(paths),
			     PICK(paths));
		return;
	case 6:
		tip_buf_addf(b, "proc.name %s '%s%s'", PICK(ops), PICK(names), pick(4) ? "" : "*");
		return;
	default:
		tip_buf_addf(b, "proc.name in (%s, %s, %s)", PICK(names), PICK(names), PICK(names));
	}
}

static void random_exec(struct world *w)
{
	static const uint32_t flags[] = {TIP_PROC_EXE_MEMFD, TIP_PROC_EXE_WRITABLE,
					 TIP_PROC_EXE_UPPER, TIP_PROC_EXE_LOWER};
	uint32_t on = 0;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(flags); i++)
		on |= pick(3) ? 0 : flags[i];
	become(w, PICK(paths), on, (uint32_t)strtoul(PICK(uids), NULL, 10), pick(2) ? 34816 : 0);
	w->exec.syscall = pick(4) == 0;
}

static void name(const struct world *w, struct tip_buf *out)
{
	tip_buf_addf(out, "exec of %s, flags %#x, uid %u, terminal %u", w->ev.exec.exe_path,
		     w->exec.proc_flags, w->hdr.uid, w->exec.tty);
}

static void nothing_that_matches_is_filtered(void **state)
{
	static const struct random_acts of = {EXEC, random_check, random_exec, passes, name};

	random_rounds(&of);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_no_rule_is_about),
		cmocka_unit_test(names_that_are_cut),
		cmocka_unit_test(nothing_that_matches_is_filtered),
	};

	random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
