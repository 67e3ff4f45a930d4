/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of a host, out of a /proc that this test makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "tipstaffd/usage.h"

static char dir[64];

static const char *const names[] = {"self/status", "self/smaps_rollup", "meminfo", "stat",
				    "sys/fs/file-nr"};

static int begin(void **state)
{
	static const char *const folders[] = {"self", "sys/fs"};
	struct tip_error err;

	strcpy(dir, "/tmp/tip-usage-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(folders); i++) {
		char *path = tip_sprintf("%s/%s", dir, folders[i]);

		assert_int_equal(tip_mkdir_p(path, 0700, &err), 0);
		free(path);
	}
	return 0;
}

static int end(void **state)
{
	static const char *const folders[] = {"self", "sys/fs", "sys", "."};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(names); i++) {
		char *path = tip_sprintf("%s/%s", dir, names[i]);

		unlink(path);
		free(path);
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(folders) - 1; i++) {
		char *path = tip_sprintf("%s/%s", dir, folders[i]);

		assert_int_equal(rmdir(path), 0);
		free(path);
	}
	return rmdir(dir);
}

static void put(const char *name, const char *text)
{
	char *path = tip_sprintf("%s/%s", dir, name);
	struct tip_error err;

	assert_int_equal(tip_file_write(path, text, strlen(text), 0600, &err), 0);
	free(path);
}

static void what_is_there_is_read(void **state)
{
	struct tip_usage u;

	put("self/status", "Name:\tx\nVmPeak:\t 9 kB\nVmSize:\t  2000 kB\nVmRSS:\t  300 kB\n");
	put("self/smaps_rollup",
	    "0-1 ---p 0 0 0 [rollup]\nRss: 300 kB\nPss:  250 kB\nPss_Anon: 1 kB\n");
	put("meminfo", "MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable: 7 kB\n"
		       "Buffers:  20 kB\nCached:  30 kB\nSwapCached:  5 kB\n");
	put("stat", "cpu  1 2 3 40 5 6 7 800 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5 5\n"
		    "procs_running 3\nprocs_blocked 1\n");
	put("sys/fs/file-nr", "1234\t0\t99999\n");
	tip_usage_read(dir, &u);
	assert_int_equal(u.rss_kb, 300);
	assert_int_equal(u.vsz_kb, 2000);
	assert_int_equal(u.pss_kb, 250);
	assert_int_equal(u.host_memory_used_kb, 850);
	assert_int_equal(u.host_busy, 24);
	assert_int_equal(u.host_ticks, 64);
	assert_int_equal(u.host_procs_running, 3);
	assert_int_equal(u.host_open_fds, 1234);
}

static void what_is_not_there_is_0(void **state)
{
	static const struct tip_usage nothing;
	struct tip_usage u;

	tip_usage_read(dir, &u);
	assert_memory_equal(&u, &nothing, sizeof(u));
	put("meminfo", "MemFree:  100 kB\nMemTotal:\n");
	put("stat", "cpu");
	put("sys/fs/file-nr", "");
	tip_usage_read(dir, &u);
	assert_memory_equal(&u, &nothing, sizeof(u));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_there_is_read, begin, end),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_0, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
