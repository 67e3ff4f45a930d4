/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>

#include "fake.h"

#define A "spiffe://example.org/a"
#define B "spiffe://example.org/b"

static char dir[64], journal[96];

static int fresh(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	snprintf(dir, sizeof(dir), "/tmp/tip-unit-guard-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(journal, sizeof(journal), "%s/quarantine", dir);
	return 0;
}

static int done(void **state)
{
	char tmp[128];

	snprintf(tmp, sizeof(tmp), "%s.tmp", journal);
	unlink(tmp);
	rmdir(tmp);
	unlink(journal);
	rmdir(dir);
	return 0;
}

static void write_journal(const char *text)
{
	FILE *f = fopen(journal, "w");

	if (!f)
		fail_msg("%s cannot be written", journal);
	fputs(text, f);
	fclose(f);
}

static void read_journal(char *buf, size_t size)
{
	FILE *f = fopen(journal, "r");
	size_t n;

	if (!f)
		fail_msg("%s cannot be read", journal);
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	fclose(f);
}

static struct tip_guard *start(void)
{
	struct tip_error err = {0};
	struct tip_guard *g = tip_guard_new(journal, TIP_GUARD_LSM, &ops, &err);

	if (!g)
		fail_msg("%s:%d %s", err.file, err.line, err.text);
	return g;
}

static void quarantine_and_release(void **state)
{
	struct tip_guard *g = start();
	const struct tip_quarantine *q;
	struct tip_error err;
	char text[1024], want[1024];
	struct stat st;

	assert_int_equal(tip_guard_quarantine(g, A, "it \"acted\"\n", "cli uid=0 pid=1", &err), 0);
	assert_int_equal(tip_guard_quarantine(g, A, "again", "cli", &err), 1);
	assert_int_equal(kernel.nquarantine, 1);
	assert_int_equal(kernel.quarantine[0], k_number(NULL, A));
	q = tip_guard_quarantined(g, A);
	assert_non_null(q);
	assert_string_equal(q->by, "cli uid=0 pid=1");
	assert_null(tip_guard_quarantined(g, B));
	read_journal(text, sizeof(text));
	snprintf(want, sizeof(want),
		 "{\"by\":\"cli uid=0 pid=1\",\"reason\":\"it \\\"acted\\\"\\n\","
		 "\"since_ns\":%llu,\"spiffe_id\":\"" A "\"}\n",
		 (unsigned long long)q->since_ns);
	assert_string_equal(text, want);
	assert_int_equal(stat(journal, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);

	assert_int_equal(tip_guard_release(g, A, &err), 0);
	assert_int_equal(kernel.nquarantine, 0);
	read_journal(text, sizeof(text));
	assert_string_equal(text, "");
	assert_int_equal(tip_guard_release(g, A, &err), -1);
	assert_non_null(strstr(err.text, "is not quarantined"));
	tip_guard_free(g);
}

static void survives_a_restart(void **state)
{
	struct tip_guard *g = start();
	struct tip_error err;

	assert_int_equal(tip_guard_quarantine(g, A, "r", "rule X", &err), 0);
	assert_int_equal(tip_guard_quarantine(g, B, "", "", &err), 0);
	tip_guard_free(g);
	assert_int_equal(kernel.nquarantine, 2); /* nothing is lifted by leaving */
	kernel.nquarantine = 0;                  /* and a reboot is made good for */
	kernel.quarantine[kernel.nquarantine++] = 4711;
	g = start();
	assert_int_equal(tip_guard_quarantine_count(g), 2);
	assert_string_equal(tip_guard_quarantine_get(g, 0)->spiffe_id, A);
	assert_string_equal(tip_guard_quarantine_get(g, 0)->by, "rule X");
	assert_int_equal(tip_guard_quarantine_get(g, 1)->number, k_number(NULL, B));
	assert_null(tip_guard_quarantine_get(g, 2));
	assert_int_equal(kernel.nquarantine, 2); /* 4711 is in no journal */
	assert_int_equal(k_quarantine_clear(NULL, 4711), -ENOENT);
	tip_guard_free(g);
}

static void damaged_journal_stops_the_start(void **state)
{
	static const struct {
		const char *text;
		int line;
		const char *says;
	} bad[] = {
		{"{", 1, "cut off"},
		{"{\n", 1, "not a JSON object"},
		{"\n", 1, "not a JSON object"},
		{"[]\n", 1, "not a quarantine entry"},
		{"{\"by\":\"\",\"reason\":\"\",\"since_ns\":1}\n", 1, "spiffe_id"},
		{"{\"by\":\"\",\"reason\":\"\",\"since_ns\":1,\"spiffe_id\":\"" A "\",\"x\":1}\n",
		 1, "not a quarantine entry"},
		{"{\"by\":\"\",\"reason\":\"\",\"since_ns\":-1,\"spiffe_id\":\"" A "\"}\n", 1,
		 "negative"},
		{"{\"by\":\"\",\"reason\":\"\",\"since_ns\":1,\"spiffe_id\":\"http://x\"}\n", 1,
		 "spiffe://"},
		{"{\"by\":\"\",\"reason\":\"\",\"since_ns\":1,\"spiffe_id\":\"" A "\"}\n"
		 "{\"by\":\"\",\"reason\":\"\",\"since_ns\":2,\"spiffe_id\":\"" A "\"}\n",
		 2, "listed twice"},
		{"{\"by\":\"\",\"by\":\"\",\"reason\":\"\",\"since_ns\":1,\"spiffe_id\":\"" A
		 "\"}\n",
		 1, "duplicate"},
	};
	struct tip_error err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		write_journal(bad[i].text);
		memset(&err, 0, sizeof(err));
		assert_null(tip_guard_new(journal, TIP_GUARD_LSM, &ops, &err));
		assert_string_equal(err.file, journal);
		assert_int_equal(err.line, bad[i].line);
		if (!strstr(err.text, bad[i].says))
			fail_msg("case %zu: %s", i, err.text);
		assert_non_null(strstr(err.text, "start again"));
		assert_int_equal(kernel.nquarantine, 0);
	}
}

static void unwritable_journal_changes_nothing(void **state)
{
	struct tip_guard *g = start();
	struct tip_error err;
	char tmp[128];

	assert_int_equal(tip_guard_quarantine(g, B, "", "", &err), 0);
	snprintf(tmp, sizeof(tmp), "%s.tmp", journal); /* in the way of the atomic rewrite */
	assert_int_equal(mkdir(tmp, 0700), 0);
	assert_int_equal(tip_guard_quarantine(g, A, "r", "cli", &err), -1);
	assert_int_equal(kernel.nquarantine, 1);
	assert_null(tip_guard_quarantined(g, A));
	assert_int_equal(tip_guard_release(g, B, &err), -1);
	assert_int_equal(kernel.nquarantine, 1);
	assert_non_null(tip_guard_quarantined(g, B));
	tip_guard_free(g);
}

static void kernel_that_refuses(void **state)
{
	struct tip_guard *g = start();
	struct tip_error err;
	char text[1024];

	assert_int_equal(tip_guard_quarantine(g, B, "", "", &err), 0);
	kernel.quarantine_error = -E2BIG;
	assert_int_equal(tip_guard_quarantine(g, A, "r", "cli", &err), -1);
	assert_null(tip_guard_quarantined(g, A));
	assert_int_equal(tip_guard_release(g, B, &err), -1);
	assert_non_null(tip_guard_quarantined(g, B));
	read_journal(text, sizeof(text));
	assert_non_null(strstr(text, B));
	assert_null(strstr(text, A));
	tip_guard_free(g);
	assert_null(tip_guard_new(journal, TIP_GUARD_LSM, &ops,
				  &err)); /* better no start than a silent release */
}

static void bad_arguments(void **state)
{
	static const char *const ids[] = {"",
					  "example.org/a",
					  "spiffe://",
					  "spiffe:///a",
					  "spiffe://example.org/a b",
					  "spiffe://example.org/\x01",
					  "spiffe://example.org/\xc3\xa9"};
	struct tip_guard *g = start();
	char long_text[2000];
	struct tip_error err;

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		assert_int_equal(tip_guard_quarantine(g, ids[i], "", "", &err), -1);
	assert_int_equal(tip_guard_quarantine(g, A, "\xff", "", &err), -1);
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(tip_guard_quarantine(g, A, long_text, "", &err), -1);
	assert_int_equal(tip_guard_quarantine(g, A, "", long_text, &err), -1);
	kernel.names_max = 1;
	k_number(NULL, B);
	assert_int_equal(tip_guard_quarantine(g, A, "", "", &err), -1);
	assert_int_equal(tip_guard_quarantine_count(g), 0);
	assert_int_equal(kernel.nquarantine, 0);
	tip_guard_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(quarantine_and_release, fresh, done),
		cmocka_unit_test_setup_teardown(survives_a_restart, fresh, done),
		cmocka_unit_test_setup_teardown(damaged_journal_stops_the_start, fresh, done),
		cmocka_unit_test_setup_teardown(unwritable_journal_changes_nothing, fresh, done),
		cmocka_unit_test_setup_teardown(kernel_that_refuses, fresh, done),
		cmocka_unit_test_setup_teardown(bad_arguments, fresh, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
