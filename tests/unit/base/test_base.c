/* SPDX-License-Identifier: Apache-2.0 */
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

static void error_shows_its_place(void **state)
{
	struct tip_error err;
	char buf[512];

	assert_int_equal(tip_error_at(&err, "a.yaml", 3, 7, "bad %s", "key"), -1);
	assert_string_equal(tip_error_str(&err, buf, sizeof(buf)), "a.yaml:3:7: bad key");
	tip_error_at(&err, "a.yaml", 3, 0, "x");
	assert_string_equal(tip_error_str(&err, buf, sizeof(buf)), "a.yaml:3: x");
	tip_error_at(&err, "a.yaml", 0, 0, "x");
	assert_string_equal(tip_error_str(&err, buf, sizeof(buf)), "a.yaml: x");
	tip_error_set(&err, "x");
	assert_string_equal(tip_error_str(&err, buf, sizeof(buf)), "x");
}

static void json_strings(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} cases[] = {
		{"", 0, "\"\""},
		{"plain", 5, "\"plain\""},
		{"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
		{"\n\r\t\b\f", 5, "\"\\n\\r\\t\\b\\f\""},
		{"\x01\x7f\x1b[0m", 6, "\"\\u0001\\u007f\\u001b[0m\""},
		{"a\0b", 3, "\"a\\u0000b\""},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9,
		 "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
		{"\xff", 1, "\"\xef\xbf\xbd\""},
		{"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""}, /* overlong slash */
		{"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
		{"\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* cut short */
		{"\xf4\x90\x80\x80", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct tip_buf b = {0};

		tip_buf_add_json_string(&b, cases[i].in, cases[i].len);
		assert_string_equal(b.data, cases[i].out);
		tip_buf_free(&b);
	}
}

static void buffers_grow_and_shrink(void **state)
{
	struct tip_buf b = {0};

	for (int i = 0; i < 1000; i++)
		tip_buf_addf(&b, "%d,", i);
	assert_int_equal(b.len, strlen(b.data));
	tip_buf_consume(&b, 4);
	assert_memory_equal(b.data, "2,3,", 4);
	tip_buf_consume(&b, b.len + 100);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	tip_buf_free(&b);
}

/* A map against the plainest model there is: an array of what should be in it. */
static void map_agrees_with_a_model(void **state)
{
	enum { KEYS = 512, STEPS = 60000 };
	static char present[KEYS];
	static int values[KEYS];
	struct tip_map *m = tip_map_new();
	unsigned int seed = 7;
	size_t count = 0;

	for (int step = 0; step < STEPS; step++) {
		unsigned int k = (unsigned int)rand_r(&seed) % KEYS;
		char key[32];
		/* keys on both sides of the inline limit */
		size_t len = (size_t)snprintf(key, sizeof(key), k % 2 ? "k%u" : "a-long-key-%u", k);

		if (rand_r(&seed) % 2) {
			assert_ptr_equal(tip_map_put(m, key, len, &values[k]),
					 present[k] ? &values[k] : NULL);
			count += !present[k];
			present[k] = 1;
		} else {
			assert_ptr_equal(tip_map_del(m, key, len), present[k] ? &values[k] : NULL);
			count -= (size_t)present[k];
			present[k] = 0;
		}
		assert_int_equal(tip_map_count(m), count);
		assert_ptr_equal(tip_map_get(m, key, len), present[k] ? &values[k] : NULL);
	}
	tip_map_free(m, NULL);
}

static void map_may_lose_entries_while_walked(void **state)
{
	for (uint64_t n = 1; n < 400; n += 7) {
		struct tip_map *m = tip_map_new();
		uint64_t *v, seen = 0;
		size_t it = 0;

		for (uint64_t k = 1; k <= n; k++) {
			v = tip_alloc(sizeof(*v));
			*v = k;
			assert_null(tip_map_putu(m, k, v));
		}
		while ((v = tip_map_next(m, &it))) {
			seen++;
			if (*v % 3) {
				assert_ptr_equal(tip_map_delu(m, *v), v);
				free(v);
			}
		}
		assert_int_equal(seen, n);
		assert_int_equal(tip_map_count(m), n / 3);
		tip_map_free(m, free);
	}
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		int ret;
		uint64_t ns;
	} cases[] = {
		{"90s", 0, 90000000000ULL},
		{"1h", 0, 3600000000000ULL},
		{"2h30m", 0, 9000000000000ULL},
		{"250ms", 0, 250000000ULL},
		{"7", 0, 7000000000ULL},
		{"", -1, 0},
		{"s", -1, 0},
		{"5x", -1, 0},
		{"1h5", -1, 0},
		{"-1s", -1, 0},
		{"1.5h", -1, 0},
		{"99999999999999999999s", -1, 0},
		{"1000000000d", -1, 0},
		{"5mss", -1, 0},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		uint64_t ns = 0;

		assert_int_equal(tip_duration_parse(cases[i].text, &ns), cases[i].ret);
		assert_int_equal(ns, cases[i].ns);
	}
}

static void time_stamps(void **state)
{
	char buf[40];

	assert_string_equal(tip_clock_iso8601(1767225600123456789ULL, buf, sizeof(buf)),
			    "2026-01-01T00:00:00.123456789Z");
}

static void files_are_replaced_whole(void **state)
{
	char dir[] = "/tmp/tip-unit-XXXXXX";
	struct tip_buf b = {0};
	struct tip_error err;
	struct stat st;
	char **list;
	char *path;

	assert_non_null(mkdtemp(dir));
	path = tip_sprintf("%s/a/b/f.yaml", dir);
	*strrchr(path, '/') = '\0';
	assert_int_equal(tip_mkdir_p(path, 0700, &err), 0);
	assert_int_equal(tip_mkdir_p(path, 0700, &err), 0);
	path[strlen(path)] = '/';
	assert_int_equal(tip_file_write(path, "one", 3, 0600, &err), 0);
	assert_int_equal(tip_file_write(path, "two!", 4, 0600, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(tip_file_read(path, 100, &b, &err), 0);
	assert_string_equal(b.data, "two!");
	/* too large: an error with the path, and the buffer as it was */
	assert_int_equal(tip_file_read(path, 3, &b, &err), -1);
	assert_non_null(strstr(err.file, "f.yaml"));
	assert_string_equal(b.data, "two!");
	tip_buf_free(&b);

	assert_int_equal(tip_file_list(path, NULL, &list, &err), 1);
	tip_strings_free(list, 1);
	*strrchr(path, '/') = '\0';
	assert_int_equal(tip_file_list(path, (const char *const[]){".yaml", NULL}, &list, &err), 1);
	assert_non_null(strstr(list[0], "/f.yaml"));
	unlink(list[0]);
	tip_strings_free(list, 1);
	assert_int_equal(tip_file_list(path, (const char *const[]){".yaml", NULL}, &list, &err), 0);
	free(list);
	rmdir(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(dir);
	free(path);
	/* a FIFO in a file's place neither hangs nor is read */
	assert_int_equal(tip_file_read("/dev/null", 10, &b, &err), -1);
	tip_buf_free(&b);
}

static void arenas(void **state)
{
	struct tip_arena *a = tip_arena_new();
	char *first = tip_arena_sprintf(a, "%s-%d", "x", 7);

	for (int i = 0; i < 10000; i++)
		assert_int_equal((uintptr_t)tip_arena_alloc(a, (size_t)i % 50) % 16, 0);
	assert_non_null(tip_arena_alloc(a, 5u << 20));
	assert_string_equal(first, "x-7");
	assert_string_equal(tip_arena_strndup(a, "abcdef", 3), "abc");
	tip_arena_free(a);
}

static long resident_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long size, resident;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
	fclose(f);
	return resident;
}

/* Reads a byte of every page that came from a file and cannot have changed: also where a sanitizer
 * has put something between two variables. */
__attribute__((no_sanitize("address"))) static int touch(struct dl_phdr_info *info, size_t size,
							 void *sum)
{
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type != PT_LOAD || (ph->p_flags & PF_W))
			continue;
		for (size_t at = 0; at < ph->p_memsz; at += 4096)
			*(unsigned long *)sum +=
				*(const unsigned char *)(info->dlpi_addr + ph->p_vaddr + at);
	}
	return 0;
}

static void what_came_from_files_is_given_back(void **state)
{
	unsigned long before = 0, after = 0;
	long resident;

	dl_iterate_phdr(touch, &before);
	resident = resident_pages();
	tip_mem_give_back();
	assert_true(resident - resident_pages() > 256);
	dl_iterate_phdr(touch, &after);
	assert_int_equal(before, after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_shows_its_place),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(buffers_grow_and_shrink),
		cmocka_unit_test(map_agrees_with_a_model),
		cmocka_unit_test(map_may_lose_entries_while_walked),
		cmocka_unit_test(durations),
		cmocka_unit_test(time_stamps),
		cmocka_unit_test(files_are_replaced_whole),
		cmocka_unit_test(arenas),
		cmocka_unit_test(what_came_from_files_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
