/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "base/file.h"

/* Whole rule files: the shipped one, and those of others where they are at hand. */

static struct tip_rules *load_files(const char *dir, const char *const *names, size_t count,
				    struct tip_load_result *res)
{
	struct tip_rule_source sources[8] = {0};
	struct tip_buf text[8] = {0};
	struct tip_error err;
	struct tip_rules *r;
	char path[8][512];

	for (size_t i = 0; i < count; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/%s", dir, names[i]);
		if (tip_file_read(path[i], 16u << 20, &text[i], &err) < 0)
			fail_msg("%s: %s", path[i], err.text);
		sources[i] = (struct tip_rule_source){path[i], text[i].data, text[i].len};
	}
	r = tip_rules_load(sources, count, res);
	for (size_t i = 0; i < count; i++)
		tip_buf_free(&text[i]);
	return r;
}

static void first_name(void *ctx, const struct tip_rule *rule, const struct tip_match_input *in)
{
	*(const char **)ctx = tip_rule_info(rule)->name;
}

static void expect(struct tip_rules *r, const struct world *w, const char *rule)
{
	struct tip_matcher *m = tip_matcher_new();
	const char *name = NULL;

	tip_rules_match(r, m, &w->in, false, first_name, &name);
	if (rule)
		assert_string_equal(name ? name : "(none)", rule);
	else
		assert_null(name);
	tip_matcher_free(m);
}

/* `comm` runs below sshd with that argument vector. */
static void run_as(struct world *w, const char *comm, const char *exe, const char *args, size_t len)
{
	w->in.proc->comm = comm;
	w->in.proc->exe_path = exe;
	w->in.proc->args = args;
	w->in.proc->args_len = (uint16_t)len;
	w->in.proc->container_id = "";
	w->in.proc->spiffe_id = NULL;
	w->in.proc->origin_id = NULL;
}

static void starter_rules(void **state)
{
	static const char *const names[] = {"tipstaff_rules.yaml"};
	struct tip_load_result res;
	struct tip_rules *r = load_files("rules", names, 1, &res);
	struct world w;

	if (!r || res.count) {
		print_messages(&res);
		fail();
	}
	for (size_t i = 0; i < tip_rules_count(r); i++) {
		const struct tip_rule_info *info = tip_rule_info(tip_rules_get(r, i));
		bool mitre = false;

		for (size_t t = 0; t < info->ntags; t++)
			mitre |= strncmp(info->tags[t], "mitre_", 6) == 0;
		assert_true(mitre);
		assert_int_equal(info->action, TIP_ACTION_NONE);
	}

	world_init(&w);
	world_exec(&w, 0);
	expect(r, &w, NULL);
	run_as(&w, "sh", "/bin/dash", "sh\0-c\0id", 9);
	expect(r, &w, NULL);
	w.in.proc->origin_id = "spiffe://td/web";
	expect(r, &w, "Shell spawned from a workload");
	w.in.proc->spiffe_id = "spiffe://td/shell";
	expect(r, &w, NULL);
	run_as(&w, "bash", "/bin/bash", "bash", 5);
	w.in.proc->container_id = WORLD_CONTAINER;
	expect(r, &w, "Terminal shell in a container");
	w.in.proc->tty = 0;
	expect(r, &w, NULL);
	run_as(&w, "nc", "/bin/nc", "nc", 3);
	w.in.proc->origin_id = "spiffe://td/web";
	expect(r, &w, "Network tool started from a workload");
	run_as(&w, "x", "/dev/shm/x", "./x", 4);
	expect(r, &w, "Program started from shared memory");
	world_exec(&w, TIP_PROC_EXE_MEMFD);
	run_as(&w, "x", "/memfd:x", "x", 2);
	expect(r, &w, "Program started from an anonymous file");

	run_as(&w, "cat", "/bin/cat", "cat", 4);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/shadow", O_RDONLY, 3);
	expect(r, &w, "Credential file read by an unexpected program");
	world_open(&w, TIP_OPEN_OPENAT, "/tmp", "../etc/shadow", O_RDONLY, -EACCES);
	expect(r, &w, "Credential file read by an unexpected program");
	run_as(&w, "sudo", "/usr/bin/sudo", "sudo", 5);
	expect(r, &w, NULL);
	run_as(&w, "cat", "/bin/cat", "cat", 4);
	world_open(&w, TIP_OPEN_OPENAT, "", "/etc/hostname", O_RDONLY, 3);
	expect(r, &w, NULL);
	world_open(&w, TIP_OPEN_OPENAT, "", "/usr/bin/ls", O_RDONLY, 3);
	expect(r, &w, NULL);
	world_open(&w, TIP_OPEN_OPENAT, "", "/usr/bin/ls", O_WRONLY | O_CREAT, 3);
	expect(r, &w, "Program folder written to");
	world_open(&w, TIP_OPEN_OPENAT, "", "/usr/bin/ls", O_WRONLY, -EACCES);
	expect(r, &w, NULL);
	run_as(&w, "dpkg", "/usr/bin/dpkg", "dpkg", 5);
	world_open(&w, TIP_OPEN_OPENAT, "", "/usr/bin/ls", O_WRONLY | O_CREAT, 3);
	expect(r, &w, NULL);
	run_as(&w, "cat", "/bin/cat", "cat", 4);
	world_open(&w, TIP_OPEN_OPENAT, "", "/run/spire/x/key.pem", O_RDONLY, 3);
	expect(r, &w, "Workload key material opened by another process");

	world_sock(&w, TIP_EV_CONNECT, AF_INET, "10.0.0.1", 40000, "93.184.216.34", 443, 0);
	expect(r, &w, NULL);
	run_as(&w, "bash", "/bin/bash", "bash", 5);
	expect(r, &w, "Shell or interpreter connects to the outside");
	run_as(&w, "python3", "/usr/bin/python3", "python3\0/app/main.py", 21);
	expect(r, &w, NULL);
	run_as(&w, "python3", "/usr/bin/python3", "python3\0-c\0import x", 20);
	expect(r, &w, "Shell or interpreter connects to the outside");
	world_sock(&w, TIP_EV_CONNECT, AF_INET, "10.0.0.1", 40000, "192.168.3.4", 443, 0);
	expect(r, &w, NULL);
	world_sock(&w, TIP_EV_DENIED_CONNECT, AF_INET, "0.0.0.0", 0, "192.168.3.4", 443, -EPERM);
	expect(r, &w, NULL);
	w.in.proc->origin_id = "spiffe://td/web";
	expect(r, &w, "Quarantined workload tried to connect");
	tip_load_result_free(&res);
	tip_rules_free(r);
}

/*
 * The rule files of the Falco project load unchanged. They are not part of this repository:
 * TIPSTAFF_UPSTREAM_RULES names the folder that they are in.
 */
static void upstream_rules(void **state)
{
	static const struct {
		const char *name;
		size_t rules;
	} files[] = {{"falco_rules.yaml", 25},
		     {"falco-incubating_rules.yaml", 31},
		     {"falco-sandbox_rules.yaml", 37}};
	const char *dir = getenv("TIPSTAFF_UPSTREAM_RULES");
	const char *all[TIP_ARRAY_SIZE(files)];
	struct tip_load_result res;
	struct tip_rules *r;

	if (!dir)
		dir = "../shared/data/falco-rules-5.1.0";
	if (access(dir, R_OK) < 0)
		skip();
	for (size_t i = 0; i < TIP_ARRAY_SIZE(files); i++) {
		all[i] = files[i].name;
		r = load_files(dir, &files[i].name, 1, &res);
		if (!r)
			print_messages(&res);
		assert_non_null(r);
		assert_int_equal(tip_rules_count(r), files[i].rules);
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
	r = load_files(dir, all, TIP_ARRAY_SIZE(all), &res);
	assert_non_null(r);
	assert_int_equal(tip_rules_count(r), 93);
	tip_load_result_free(&res);
	tip_rules_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starter_rules),
		cmocka_unit_test(upstream_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
