/* SPDX-License-Identifier: Apache-2.0 */
/* From files and sets to the policies in force, with a kernel that only counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "tipstaffd/keeper.h"

static struct {
	size_t switches;
	size_t policies; /* of the last set */
	bool fails;
	const char *set_file; /* of the set that is to come into force ... */
	bool named;           /* ... was it there when the kernel was asked ... */
	bool staged;          /* ... and what was to become it? */
} force;

int tip_traffic_in_force(struct tip_keeper *k, const struct tip_traffic_policies *policies,
			 struct tip_error *err)
{
	/* Whoever is told finds the new set already. */
	assert_ptr_equal(tip_traffic_set_policies(k->traffic.set), policies);
	if (force.set_file) {
		char *tmp = tip_sprintf("%s.tmp", force.set_file);

		force.named = access(force.set_file, F_OK) == 0;
		force.staged = access(tmp, F_OK) == 0;
		free(tmp);
	}
	if (force.fails)
		return tip_error_set(err, "the kernel is against it");
	force.switches++;
	force.policies = tip_traffic_policies_count(policies);
	return 0;
}

#define REST                                                                                       \
	"  server: [spiffe://example.org/s]\n"                                                     \
	"  clients: [spiffe://example.org/c]\n"

static const char a[] = "- name: a\n  to: {cidr: 10.0.0.0/8, port: 80}\n" REST;
static const char b[] = "- name: b\n  to: {cidr: 10.0.0.0/8, port: 81}\n" REST
			"- name: b2\n  to: {cidr: 10.0.0.0/8, port: 82}\n" REST;
static const char wrong[] = "- name: c\n  to: {cidr: 10.0.0.1/8, port: 80}\n" REST;

struct world {
	char dir[64];
	char *file, *set_file;
	const char *files[1];
	struct tip_config config;
	struct tip_keeper k;
	struct tip_error err;
};

static void write_text(const char *path, const char *text)
{
	struct tip_error err;

	assert_int_equal(tip_file_write(path, text, strlen(text), 0600, &err), 0);
}

static int begin(void **state)
{
	struct world *w = tip_alloc(sizeof(*w));

	memset(&force, 0, sizeof(force));
	strcpy(w->dir, "/tmp/tip-traffic-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->file = tip_sprintf("%s/policies.yaml", w->dir);
	w->set_file = tip_sprintf("%s/traffic.d/mine.yaml", w->dir);
	w->files[0] = w->file;
	w->config.trust_domain = "example.org";
	w->config.state_dir = w->dir;
	w->config.traffic = true;
	w->config.traffic_files = w->files;
	w->config.ntraffic_files = 1;
	w->k.config = &w->config;
	w->k.sensor = (struct tip_sensor *)w; /* there is one; nobody looks into it */
	w->k.traffic.on = true;
	write_text(w->file, a);
	assert_int_equal(tip_traffic_restore_sets(&w->k, &w->err), 0);
	assert_int_equal(tip_traffic_reload(&w->k, &w->err), 0);
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;
	char *folder = tip_sprintf("%s/traffic.d", w->dir);

	tip_traffic_files_free(&w->k);
	unlink(w->set_file);
	unlink(w->file);
	rmdir(folder);
	assert_int_equal(rmdir(w->dir), 0);
	free(folder);
	free(w->file);
	free(w->set_file);
	free(w);
	return 0;
}

static int add(struct world *w, const char *text, bool ephemeral)
{
	struct tip_set set = {(char *)"mine", (char *)text, ephemeral};

	return tip_traffic_load(&w->k, &set, NULL, &w->err);
}

/* "a b b2": what holds, in order. */
static const char *holds(const struct world *w)
{
	const struct tip_traffic_policies *all = tip_traffic_set_policies(w->k.traffic.set);
	static char said[200];

	said[0] = '\0';
	for (size_t i = 0; i < tip_traffic_policies_count(all); i++)
		snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s%s", i ? " " : "",
			 tip_traffic_policies_get(all, i)->name);
	return said;
}

static void sets_come_after_files_and_go(void **state)
{
	struct world *w = *state;
	uint64_t generation = tip_traffic_set_generation(w->k.traffic.set);

	assert_string_equal(holds(w), "a");
	assert_int_equal(w->k.traffic.nfiles, 1);
	assert_int_equal(add(w, b, false), 0);
	assert_string_equal(holds(w), "a b b2");
	assert_int_equal(force.policies, 3);
	assert_true(tip_traffic_set_generation(w->k.traffic.set) > generation);
	assert_int_equal(access(w->set_file, F_OK), 0);
	/* Its namesake takes its place. */
	assert_int_equal(add(w, "- name: d\n  to: {cidr: 10.0.0.0/8, port: 83}\n" REST, false), 0);
	assert_string_equal(holds(w), "a d");
	assert_int_equal(tip_traffic_load(&w->k, NULL, "mine", &w->err), 0);
	assert_string_equal(holds(w), "a");
	assert_int_not_equal(access(w->set_file, F_OK), 0);
}

static void sets_survive_unless_ephemeral(void **state)
{
	struct world *w = *state;

	assert_int_equal(add(w, b, false), 0);
	tip_traffic_files_free(&w->k);
	assert_int_equal(tip_traffic_restore_sets(&w->k, &w->err), 0);
	assert_int_equal(tip_traffic_reload(&w->k, &w->err), 0);
	assert_string_equal(holds(w), "a b b2");
	assert_int_equal(add(w, b, true), 0);
	tip_traffic_files_free(&w->k);
	assert_int_equal(tip_traffic_restore_sets(&w->k, &w->err), 0);
	assert_int_equal(tip_traffic_reload(&w->k, &w->err), 0);
	assert_string_equal(holds(w), "a");
}

static void what_is_wrong_changes_nothing(void **state)
{
	struct world *w = *state;
	size_t switches;

	assert_int_equal(add(w, b, false), 0);
	switches = force.switches;
	assert_int_equal(add(w, wrong, false), -1);
	assert_string_equal(w->err.file, "set mine");
	assert_int_equal(w->err.line, 2);
	/* It contradicts a file. */
	assert_int_equal(
		add(w, "- name: e\n  to: {cidr: 10.0.0.0/8, port: 80}\n  mode: disable\n", false),
		-1);
	assert_non_null(strstr(w->err.text, "policies.yaml:"));
	write_text(w->file, wrong);
	assert_int_equal(tip_traffic_reload(&w->k, &w->err), -1);
	assert_string_equal(w->err.file, w->file);
	assert_int_equal(unlink(w->file), 0);
	assert_int_equal(tip_traffic_reload(&w->k, &w->err), -1);
	assert_string_equal(holds(w), "a b b2");
	assert_int_equal(force.switches, switches);
	write_text(w->file, a);
	assert_int_equal(tip_traffic_reload(&w->k, &w->err), 0);
}

static void what_the_kernel_refuses_leaves_the_disk_as_it_was(void **state)
{
	struct world *w = *state;
	struct tip_buf text = {0};

	force.fails = true;
	assert_int_equal(add(w, b, false), -1);
	assert_string_equal(w->err.text, "the kernel is against it");
	assert_int_not_equal(access(w->set_file, F_OK), 0);
	assert_string_equal(holds(w), "a");
	force.fails = false;
	assert_int_equal(add(w, b, false), 0);
	force.fails = true;
	assert_int_equal(tip_traffic_load(&w->k, NULL, "mine", &w->err), -1);
	assert_int_equal(add(w, "[]", true), -1);
	assert_int_equal(tip_file_read(w->set_file, 4096, &text, &w->err), 0);
	assert_string_equal(text.data, b);
	assert_string_equal(holds(w), "a b b2");
	tip_buf_free(&text);
}

/* Whoever dies while the kernel is asked leaves nothing that the next one would take up. */
static void a_crash_leaves_no_set_that_was_not_in_force(void **state)
{
	struct world *w = *state;
	char *folder = tip_sprintf("%s/traffic.d", w->dir),
	     *tmp = tip_sprintf("%s.tmp", w->set_file);

	force.set_file = w->set_file;
	assert_int_equal(add(w, b, false), 0);
	assert_true(force.staged && !force.named);
	assert_int_equal(access(w->set_file, F_OK), 0);
	assert_int_not_equal(access(tmp, F_OK), 0);
	force.fails = true;
	assert_int_equal(add(w, "[]", false), -1);
	assert_true(force.staged && force.named);
	assert_int_not_equal(access(tmp, F_OK), 0);
	/* What was removed is there until the kernel has taken it. */
	assert_int_equal(tip_traffic_load(&w->k, NULL, "mine", &w->err), -1);
	assert_true(force.named);

	write_text(tmp, wrong); /* as a crash leaves it */
	tip_traffic_files_free(&w->k);
	tip_traffic_clean(&w->k);
	assert_int_not_equal(access(tmp, F_OK), 0);
	force.fails = false;
	assert_int_equal(tip_traffic_restore_sets(&w->k, &w->err), 0);
	assert_int_equal(tip_traffic_reload(&w->k, &w->err), 0);
	assert_string_equal(holds(w), "a b b2");
	free(folder);
	free(tmp);
}

static void what_the_disk_refuses_is_not_in_force(void **state)
{
	struct world *w = *state;
	char *folder = tip_sprintf("%s/traffic.d", w->dir);

	/* No folder can be made where a file is. */
	write_text(folder, "");
	assert_int_equal(add(w, b, false), -1);
	assert_string_equal(holds(w), "a");
	assert_int_equal(force.switches, 1);
	assert_int_equal(unlink(folder), 0);
	assert_int_equal(add(w, b, true), 0);
	assert_string_equal(holds(w), "a b b2");
	free(folder);
}

static void more_than_the_kernel_holds_is_refused(void **state)
{
	struct world *w = *state;
	struct tip_buf text = {0};

	for (unsigned int i = 0; i < 1024; i++) {
		tip_buf_addf(&text, "- name: p%u\n  to:\n", i);
		for (unsigned int j = 0; j < 32; j++)
			tip_buf_addf(&text, "  - {cidr: 10.%u.0.0/16, port: %u}\n", i / 32,
				     1 + 2 * (i % 32 * 32 + j));
		tip_buf_adds(&text, REST);
	}
	assert_int_equal(add(w, text.data, false), -1);
	assert_non_null(strstr(w->err.text, "port ranges"));
	assert_int_not_equal(access(w->set_file, F_OK), 0);
	/* Nor would a start take it. */
	w->k.sensor = NULL;
	assert_int_equal(add(w, text.data, false), -1);
	tip_buf_free(&text);
}

static void without_interception_there_may_be_no_policy(void **state)
{
	struct world *w = *state;

	tip_traffic_files_free(&w->k);
	w->config.traffic = false;
	w->k.traffic.on = false;
	w->config.ntraffic_files = 0;
	force.fails = true;
	assert_int_equal(tip_traffic_reload(&w->k, &w->err), 0);
	assert_int_equal(add(w, b, false), -1);
	assert_string_equal(holds(w), "");
}

static void a_kernel_that_cannot_intercept_keeps_the_policies(void **state)
{
	struct world *w = *state;

	w->k.traffic.on = false;
	force.fails = true;
	assert_int_equal(tip_traffic_reload(&w->k, &w->err), 0);
	assert_int_equal(add(w, b, false), 0);
	assert_string_equal(holds(w), "a b b2");
}

static void what_will_not_be_had_is_said(void **state)
{
	struct world *w = *state;
	struct tip_buf text = {0};

	assert_int_equal(
		add(w,
		    "- name: six\n  to: {cidr: \"fd00::/8\", port: 80}\n" REST
		    "- name: far\n  to: {cidr: 10.0.0.0/8, port: 90}\n"
		    "  server: [spiffe://example.org/s]\n"
		    "  clients: [\"spiffe://partner.org/**\"]\n"
		    "- name: off\n  to: {cidr: \"fd01::/16\", port: 80}\n  mode: disable\n",
		    true),
		0);
	tip_traffic_remarks(&w->k, NULL, &text);
	assert_non_null(strstr(text.data, "policy six: connections over IPv6"));
	assert_non_null(strstr(text.data, "policy far: spiffe://partner.org/**"));
	assert_null(strstr(text.data, "policy off"));
	assert_null(strstr(text.data, "policy a"));
	tip_buf_reset(&text);
	tip_traffic_remarks(&w->k, "another", &text);
	assert_int_equal(text.len, 0);
	tip_buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sets_come_after_files_and_go, begin, end),
		cmocka_unit_test_setup_teardown(sets_survive_unless_ephemeral, begin, end),
		cmocka_unit_test_setup_teardown(what_is_wrong_changes_nothing, begin, end),
		cmocka_unit_test_setup_teardown(what_the_kernel_refuses_leaves_the_disk_as_it_was,
						begin, end),
		cmocka_unit_test_setup_teardown(a_crash_leaves_no_set_that_was_not_in_force, begin,
						end),
		cmocka_unit_test_setup_teardown(what_the_disk_refuses_is_not_in_force, begin, end),
		cmocka_unit_test_setup_teardown(more_than_the_kernel_holds_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(without_interception_there_may_be_no_policy, begin,
						end),
		cmocka_unit_test_setup_teardown(a_kernel_that_cannot_intercept_keeps_the_policies,
						begin, end),
		cmocka_unit_test_setup_teardown(what_will_not_be_had_is_said, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
