/* SPDX-License-Identifier: Apache-2.0 */
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

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "seal/vault.h"

/* A state_dir of its own for each test, and what a test does to it. */
struct place {
	char dir[64];
	struct tip_seal_keys keys;
	struct tip_vault *v;
	struct tip_error err;
};

static void add_key(struct place *p, char fill)
{
	char secret[32];

	memset(secret, fill, sizeof(secret));
	assert_int_equal(tip_box_key(&p->keys.keys[p->keys.count++], secret, 32, &p->err), 0);
	p->keys.by = TIP_SEAL_BY_CREDENTIAL;
}

static void only_key(struct place *p, char fill)
{
	p->keys = (struct tip_seal_keys){0};
	if (fill)
		add_key(p, fill);
}

static int set_up(void **state)
{
	struct place *p = tip_alloc(sizeof(*p));

	tip_log_init("test", TIP_LOG_ERROR);
	snprintf(p->dir, sizeof(p->dir), "/tmp/tip-vault-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	only_key(p, 'a');
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	char command[96];

	tip_vault_free(p->v);
	snprintf(command, sizeof(command), "rm -rf '%s'", p->dir);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): its own folder */
	free(p);
	return 0;
}

static bool start_as(struct place *p, const char *instance)
{
	tip_vault_free(p->v);
	p->v = tip_vault_open(p->dir, instance, &p->keys, &p->err);
	return p->v != NULL;
}

/* The next daemon. */
static void start(struct place *p)
{
	if (!start_as(p, "default"))
		fail_msg("%s: %s", p->err.file, p->err.text);
}

static void refused(struct place *p, const char *why)
{
	assert_false(start_as(p, "default"));
	assert_non_null(strstr(p->err.text, why));
}

static char *path_of(const struct place *p, const char *name)
{
	return tip_sprintf("%s/%s", p->dir, name);
}

static void read_into(const struct place *p, const char *name, struct tip_buf *b)
{
	char *path = path_of(p, name);
	struct tip_error err;

	assert_int_equal(tip_file_read(path, 4u << 20, b, &err), 0);
	free(path);
}

static struct tip_buf bytes_of(const struct place *p, const char *name)
{
	struct tip_buf b = {0};

	read_into(p, name, &b);
	return b;
}

static void put(const struct place *p, const char *name, const void *data, size_t len)
{
	char *path = path_of(p, name);
	struct tip_error err;

	assert_int_equal(tip_file_write(path, data, len, 0600, &err), 0);
	free(path);
}

static void put_back(const struct place *p, const char *name, struct tip_buf *b)
{
	put(p, name, b->data ? b->data : "", b->len);
	tip_buf_free(b);
}

static bool there(const struct place *p, const char *name)
{
	char *path = path_of(p, name);
	bool yes = access(path, F_OK) == 0;

	free(path);
	return yes;
}

static void take_away(const struct place *p, const char *name)
{
	char *path = path_of(p, name);

	assert_int_equal(unlink(path), 0);
	free(path);
}

static void save(struct place *p, const char *name, const char *text)
{
	assert_int_equal(tip_vault_save(p->v, name, text, strlen(text), &p->err), 0);
}

struct search {
	const char *name;
	char found[64];
	size_t count;
};

static void look(void *ctx, const char *name, const void *data, size_t len)
{
	struct search *s = ctx;

	s->count++;
	if (strcmp(name, s->name) != 0)
		return;
	assert_true(len < sizeof(s->found));
	memcpy(s->found, data, len);
	s->found[len] = '\0';
}

/* The record as a new front gets it; "" when it gets none of that name. */
static const char *given(struct place *p, const char *name)
{
	static struct search s;

	s = (struct search){.name = name};
	tip_vault_each(p->v, look, &s);
	return s.found;
}

static size_t count(struct place *p)
{
	struct search s = {.name = ""};

	tip_vault_each(p->v, look, &s);
	return s.count;
}

static uint64_t bad(const struct place *p)
{
	struct tip_vault_stats s;

	tip_vault_stats(p->v, &s);
	return s.bad;
}

static void records_come_back_and_none_is_readable(void **state)
{
	struct place *p = *state;
	struct tip_buf b;

	start(p);
	save(p, "authority", "the key of all");
	save(p, "svid-1", "one");
	save(p, "svid-1", "one more");
	save(p, "svid-2", "two");
	assert_int_equal(tip_vault_forget(p->v, "svid-2", &p->err), 0);
	assert_string_equal(given(p, "authority"), "the key of all");
	start(p);
	assert_string_equal(given(p, "authority"), "the key of all");
	assert_string_equal(given(p, "svid-1"), "one more");
	assert_int_equal(count(p), 2);
	assert_int_equal(bad(p), 0);
	b = bytes_of(p, "cache/authority");
	assert_null(memmem(b.data, b.len, "key of all", 10));
	tip_buf_free(&b);
}

static void every_byte_of_a_record_counts(void **state)
{
	struct place *p = *state;
	struct tip_buf good;

	start(p);
	save(p, "svid-1", "one");
	tip_vault_flush(p->v);
	good = bytes_of(p, "cache/svid-1");
	for (size_t i = 0; i < good.len; i++) {
		good.data[i] ^= 1;
		put(p, "cache/svid-1", good.data, good.len);
		good.data[i] ^= 1;
		start(p);
		assert_int_equal(bad(p), 1);
		assert_int_equal(count(p), 0);
		assert_false(there(p, "cache/svid-1"));
		/* And a record of before that is well again. */
		save(p, "svid-1", "one");
		tip_vault_flush(p->v);
		tip_buf_free(&good);
		good = bytes_of(p, "cache/svid-1");
	}
	put(p, "cache/svid-1", good.data, good.len - 1);
	start(p);
	assert_int_equal(count(p), 0);
	tip_buf_free(&good);
}

static void what_cannot_be_made_anew_is_set_aside(void **state)
{
	struct place *p = *state;
	struct tip_buf b;

	start(p);
	save(p, "authority", "the key of all");
	tip_vault_flush(p->v);
	b = bytes_of(p, "cache/authority");
	b.data[b.len - 1] ^= 1;
	put_back(p, "cache/authority", &b);
	start(p);
	assert_int_equal(bad(p), 1);
	assert_false(there(p, "cache/authority"));
	assert_true(there(p, "cache/authority.bad"));
	start(p);
	assert_int_equal(bad(p), 0);
}

static void swapped_records_do_not_open(void **state)
{
	struct place *p = *state;
	struct tip_buf one, two;

	start(p);
	save(p, "svid-1", "one");
	save(p, "svid-2", "two");
	tip_vault_flush(p->v);
	one = bytes_of(p, "cache/svid-1");
	two = bytes_of(p, "cache/svid-2");
	put_back(p, "cache/svid-1", &two);
	put_back(p, "cache/svid-2", &one);
	start(p);
	assert_int_equal(bad(p), 2);
	assert_int_equal(count(p), 0);
}

static void an_older_record_does_not_come_back(void **state)
{
	struct place *p = *state;
	struct tip_buf old;

	start(p);
	save(p, "svid-1", "old");
	old = bytes_of(p, "cache/svid-1");
	save(p, "svid-1", "new");
	put(p, "cache/svid-1", old.data, old.len);
	/* While the daemon lives, and when it starts. */
	assert_int_equal(count(p), 0);
	assert_int_equal(bad(p), 1);
	save(p, "svid-1", "new");
	put(p, "cache/svid-1", old.data, old.len);
	start(p);
	assert_int_equal(bad(p), 1);
	assert_int_equal(count(p), 0);
	tip_buf_free(&old);
}

static void a_deleted_record_does_not_come_back(void **state)
{
	struct place *p = *state;
	struct tip_buf old;

	start(p);
	save(p, "svid-1", "old");
	old = bytes_of(p, "cache/svid-1");
	assert_int_equal(tip_vault_forget(p->v, "svid-1", &p->err), 0);
	tip_vault_flush(p->v);
	put_back(p, "cache/svid-1", &old);
	start(p);
	assert_int_equal(bad(p), 1);
	assert_int_equal(count(p), 0);
}

static void a_crash_before_the_flush_loses_nothing(void **state)
{
	struct place *p = *state;
	struct tip_buf manifest;

	start(p);
	save(p, "svid-1", "one");
	save(p, "svid-2", "two");
	tip_vault_flush(p->v);
	manifest = bytes_of(p, "cache.manifest");
	save(p, "svid-1", "one more");
	save(p, "svid-3", "three");
	assert_int_equal(tip_vault_forget(p->v, "svid-2", &p->err), 0);
	tip_vault_free(p->v);
	p->v = NULL;
	put_back(p, "cache.manifest", &manifest);
	start(p);
	assert_int_equal(bad(p), 0);
	assert_string_equal(given(p, "svid-1"), "one more");
	assert_string_equal(given(p, "svid-3"), "three");
	assert_int_equal(count(p), 2);
}

static void another_instances_records_do_not_open(void **state)
{
	struct place *p = *state;

	start(p);
	save(p, "authority", "the key of all");
	assert_false(start_as(p, "other"));
	assert_non_null(strstr(p->err.text, "instance"));
	start(p);
	assert_string_equal(given(p, "authority"), "the key of all");
}

static void without_its_key_nothing_starts_and_nothing_is_touched(void **state)
{
	struct place *p = *state;

	start(p);
	save(p, "authority", "the key of all");
	only_key(p, 'b');
	refused(p, "not at hand");
	only_key(p, 0);
	refused(p, "not at hand");
	/* Nor when the manifest is away. */
	take_away(p, "cache.manifest");
	refused(p, "not at hand");
	only_key(p, 'a');
	start(p);
	assert_string_equal(given(p, "authority"), "the key of all");
}

static void a_new_key_takes_over_from_the_old_one(void **state)
{
	struct place *p = *state;

	start(p);
	save(p, "authority", "the key of all");
	save(p, "svid-1", "one");
	only_key(p, 'b');
	add_key(p, 'a');
	start(p);
	assert_string_equal(given(p, "svid-1"), "one");
	only_key(p, 'b');
	start(p);
	assert_string_equal(given(p, "authority"), "the key of all");
	only_key(p, 'a');
	refused(p, "not at hand");
}

static void what_was_in_clear_is_sealed(void **state)
{
	struct place *p = *state;
	struct tip_buf b;

	only_key(p, 0);
	start(p);
	save(p, "authority", "the key of all");
	save(p, "svid-1", "one");
	assert_false(there(p, "cache.manifest"));
	b = bytes_of(p, "cache/authority");
	assert_string_equal(b.data, "the key of all");
	tip_buf_free(&b);
	only_key(p, 'a');
	start(p);
	b = bytes_of(p, "cache/authority");
	assert_null(memmem(b.data, b.len, "key of all", 10));
	tip_buf_free(&b);
	assert_string_equal(given(p, "authority"), "the key of all");
	assert_string_equal(given(p, "svid-1"), "one");
	assert_int_equal(bad(p), 0);
}

static void sealing_goes_on_after_a_crash(void **state)
{
	struct place *p = *state;
	char *in_the_way = path_of(p, "cache/svid-1.tmp");

	only_key(p, 0);
	start(p);
	save(p, "authority", "the key of all");
	save(p, "svid-1", "one");
	only_key(p, 'a');
	/* The first record is sealed, the second cannot be written. */
	assert_int_equal(mkdir(in_the_way, 0700), 0);
	refused(p, "directory");
	assert_int_equal(rmdir(in_the_way), 0);
	free(in_the_way);
	start(p);
	assert_int_equal(bad(p), 0);
	assert_string_equal(given(p, "authority"), "the key of all");
	assert_string_equal(given(p, "svid-1"), "one");
}

static void clear_records_are_not_taken_beside_sealed_ones(void **state)
{
	struct place *p = *state;

	start(p);
	save(p, "svid-1", "one");
	tip_vault_flush(p->v);
	put(p, "cache/authority", "planted", 7);
	start(p);
	assert_int_equal(bad(p), 1);
	assert_string_equal(given(p, "authority"), "");
	/* Nor without the manifest. */
	tip_vault_free(p->v);
	p->v = NULL;
	take_away(p, "cache.manifest");
	put(p, "cache/authority", "planted", 7);
	start(p);
	assert_string_equal(given(p, "authority"), "");
}

static void without_a_manifest_only_what_cannot_be_made_anew_is_taken(void **state)
{
	struct place *p = *state;

	start(p);
	save(p, "authority", "the key of all");
	save(p, "svid-1", "one");
	tip_vault_free(p->v);
	p->v = NULL;
	take_away(p, "cache.manifest");
	start(p);
	assert_string_equal(given(p, "authority"), "the key of all");
	assert_int_equal(count(p), 1);
	assert_int_equal(bad(p), 1);
}

static void a_damaged_manifest_stops_the_start(void **state)
{
	struct place *p = *state;
	struct tip_buf good;

	start(p);
	save(p, "authority", "the key of all");
	tip_vault_free(p->v);
	p->v = NULL;
	good = bytes_of(p, "cache.manifest");
	for (size_t i = 0; i < good.len; i++) {
		good.data[i] ^= 1;
		put(p, "cache.manifest", good.data, good.len);
		assert_false(start_as(p, "default"));
		good.data[i] ^= 1;
	}
	put_back(p, "cache.manifest", &good);
	start(p);
	assert_string_equal(given(p, "authority"), "the key of all");
}

static void the_seal_can_be_given_up(void **state)
{
	struct place *p = *state;
	struct tip_buf b;

	start(p);
	save(p, "authority", "the key of all");
	p->keys.by = TIP_SEAL_BY_NONE; /* cache.seal: none, and the key is still there */
	start(p);
	assert_false(there(p, "cache.manifest"));
	b = bytes_of(p, "cache/authority");
	assert_string_equal(b.data, "the key of all");
	tip_buf_free(&b);
	only_key(p, 0);
	start(p);
	assert_string_equal(given(p, "authority"), "the key of all");
}

static void a_front_that_is_taken_over_meets_limits(void **state)
{
	static char large[TIP_VAULT_RECORD_MAX + 1];
	static const char *const names[] = {"",  "..",  "a/b", "../x",
					    "A", "a.b", "a_b", ".manifest"};
	struct place *p = *state;
	struct tip_vault_stats s;
	char long_name[66];

	only_key(p, 0);
	start(p);
	memset(long_name, 'a', 65);
	long_name[65] = '\0';
	for (size_t i = 0; i < TIP_ARRAY_SIZE(names); i++)
		assert_int_equal(tip_vault_save(p->v, names[i], "x", 1, &p->err), -1);
	assert_int_equal(tip_vault_save(p->v, long_name, "x", 1, &p->err), -1);
	assert_int_equal(tip_vault_save(p->v, "a", large, sizeof(large), &p->err), -1);
	assert_int_equal(tip_vault_forget(p->v, "../cache.manifest", &p->err), -1);
	/* Something that the next start would hold for sealed. */
	assert_int_equal(tip_vault_save(p->v, "a", "TIPSEAL1whatever", 16, &p->err), -1);
	tip_vault_stats(p->v, &s);
	assert_int_equal(s.refused, TIP_ARRAY_SIZE(names) + 3);
	assert_int_equal(s.records, 0);
}

static void all_records_together_have_a_limit(void **state)
{
	static char large[TIP_VAULT_RECORD_MAX];
	struct place *p = *state;
	struct tip_vault_stats s;
	size_t fit = TIP_VAULT_BYTES_MAX / sizeof(large);
	char name[16];

	start(p);
	for (size_t i = 0; i < fit; i++) {
		snprintf(name, sizeof(name), "r-%zu", i);
		assert_int_equal(tip_vault_save(p->v, name, large, sizeof(large), &p->err), 0);
	}
	assert_int_equal(tip_vault_save(p->v, "more", large, sizeof(large), &p->err), -1);
	/* In the place of another it fits. */
	assert_int_equal(tip_vault_save(p->v, "r-0", large, sizeof(large), &p->err), 0);
	assert_int_equal(tip_vault_forget(p->v, "r-1", &p->err), 0);
	assert_int_equal(tip_vault_save(p->v, "more", large, sizeof(large), &p->err), 0);
	start(p);
	tip_vault_stats(p->v, &s);
	assert_int_equal(s.records, fit);
	assert_int_equal(s.bytes, fit * sizeof(large));
	assert_int_equal(tip_vault_save(p->v, "again", large, sizeof(large), &p->err), -1);
}

static void a_file_is_what_was_written(void **state)
{
	struct place *p = *state;
	struct tip_buf manifest, b;
	char *path = path_of(p, "entries.yaml");

	start(p);
	/* The first time it may hold anything; from then on not. */
	assert_int_equal(tip_vault_check_file(p->v, "entries", "", 0, &p->err), 0);
	start(p);
	assert_int_equal(tip_vault_check_file(p->v, "entries", "planted", 7, &p->err), -1);
	assert_int_equal(tip_vault_check_file(p->v, "entries", "", 0, &p->err), 0);
	assert_int_equal(tip_vault_write_file(p->v, "entries", path, "one", 3, &p->err), 0);
	b = bytes_of(p, "entries.yaml");
	assert_string_equal(b.data, "one");
	tip_buf_free(&b);
	/* A crash now: the file on disk is the old or the new one. */
	manifest = bytes_of(p, "cache.manifest");
	tip_vault_free(p->v);
	p->v = NULL;
	put_back(p, "cache.manifest", &manifest);
	start(p);
	assert_int_equal(tip_vault_check_file(p->v, "entries", "", 0, &p->err), 0);
	assert_int_equal(tip_vault_check_file(p->v, "entries", "one", 3, &p->err), 0);
	assert_int_equal(tip_vault_check_file(p->v, "entries", "two", 3, &p->err), -1);
	assert_int_equal(tip_vault_write_file(p->v, "entries", path, "two", 3, &p->err), 0);
	start(p);
	assert_int_equal(tip_vault_check_file(p->v, "entries", "one", 3, &p->err), -1);
	assert_int_equal(tip_vault_check_file(p->v, "entries", "two", 3, &p->err), 0);
	/* A file that cannot be written stays what it was. */
	assert_int_equal(
		tip_vault_write_file(p->v, "entries", "/nowhere/at/all", "three", 5, &p->err), -1);
	start(p);
	assert_int_equal(tip_vault_check_file(p->v, "entries", "two", 3, &p->err), 0);
	assert_int_equal(tip_vault_check_file(p->v, "entries", "three", 5, &p->err), -1);
	free(path);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(records_come_back_and_none_is_readable),
		TEST(every_byte_of_a_record_counts),
		TEST(what_cannot_be_made_anew_is_set_aside),
		TEST(swapped_records_do_not_open),
		TEST(an_older_record_does_not_come_back),
		TEST(a_deleted_record_does_not_come_back),
		TEST(a_crash_before_the_flush_loses_nothing),
		TEST(another_instances_records_do_not_open),
		TEST(without_its_key_nothing_starts_and_nothing_is_touched),
		TEST(a_new_key_takes_over_from_the_old_one),
		TEST(what_was_in_clear_is_sealed),
		TEST(sealing_goes_on_after_a_crash),
		TEST(clear_records_are_not_taken_beside_sealed_ones),
		TEST(without_a_manifest_only_what_cannot_be_made_anew_is_taken),
		TEST(a_damaged_manifest_stops_the_start),
		TEST(the_seal_can_be_given_up),
		TEST(a_front_that_is_taken_over_meets_limits),
		TEST(all_records_together_have_a_limit),
		TEST(a_file_is_what_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
