/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/unistd_64.h>

#include "rows.h"

/* Time between events, errors by kind, and the paths that a call names. */

static void note(void *ctx, const struct tip_rule *rule, const struct tip_match_input *in)
{
	struct tip_buf *said = ((void **)ctx)[0], fields = {0};

	tip_rule_render(rule, ((void **)ctx)[1], in, said, &fields);
	tip_buf_addc(said, '|');
	tip_buf_free(&fields);
}

static void time_between_events(void **state)
{
	struct tip_matcher *m = tip_matcher_new();
	struct tip_buf said = {0};
	void *ctx[] = {&said, m};
	struct tip_load_result res;
	struct tip_rules *r = load_rule("", "evt.num >= 0",
					"'%evt.reltime %evt.reltime.s %evt.reltime.ns "
					"%evt.deltatime %evt.deltatime.s %evt.deltatime.ns'",
					&res);
	static const uint64_t at[] = {0, 1500000000, 1500000700, 4600000000};
	struct world w;

	assert_non_null(r);
	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/x", O_RDONLY, 3);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(at); i++) {
		w.in.time_ns = WORLD_TIME + at[i];
		assert_int_equal(tip_rules_match(r, m, &w.in, true, note, ctx), 1);
	}
	assert_string_equal(said.data, "0 0 0 0 0 0|"
				       "1500000000 1 500000000 1500000000 1 500000000|"
				       "1500000700 1 500000700 700 0 700|"
				       "4600000000 4 600000000 3099999300 3 99999300|");
	tip_buf_free(&said);
	tip_load_result_free(&res);
	tip_rules_free(r);
	tip_matcher_free(m);
}

static void errors_by_kind(void **state)
{
	static const struct row file[] = {
		{"evt.count.error", "1", "1"},
		{"evt.count.error.file", "1", "1"},
		{"evt.count.error.net", "<NA>", "null"},
		{"evt.count.error.other", "<NA>", "null"},
		{"evt.count.exit", "1", "1"},
	};
	static const struct row net[] = {
		{"evt.count.error.net", "1", "1"},
		{"evt.count.error.file", "<NA>", "null"},
	};
	static const struct row good[] = {
		{"evt.count.error", "0", "0"},
		{"evt.count.error.file", "0", "0"},
		{"evt.count.error.net", "<NA>", "null"},
	};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/x", O_RDONLY, -ENOENT);
	RUN(file, &w);
	world_sock(&w, TIP_EV_CONNECT, AF_INET, "10.0.0.1", 1, "10.0.0.2", 2, -ECONNREFUSED);
	RUN(net, &w);
	world_open(&w, TIP_OPEN_OPENAT, "", "/x", O_RDONLY, 3);
	RUN(good, &w);
}

static void named_paths(void **state)
{
	static const struct row open[] = {
		{"fs.path.name", "/srv/x", "\"/srv/x\""},
		{"fs.path.nameraw", "./a/../x", "\"./a/../x\""},
		{"fs.path.source", "<NA>", "null"},
		{"evt.abspath", "/srv/x", "\"/srv/x\""},
	};
	static const struct row mount[] = {
		{"fs.path.source", "/dev/sda1", "\"/dev/sda1\""},
		{"fs.path.sourceraw", "/dev//sda1", "\"/dev//sda1\""},
		{"fs.path.target", "/mnt", "\"/mnt\""},
		{"fs.path.targetraw", "/mnt/.", "\"/mnt/.\""},
		{"fs.path.name", "<NA>", "null"},
	};
	static const struct row umount[] = {
		{"fs.path.name", "/mnt", "\"/mnt\""},
		{"fs.path.nameraw", "/x/../mnt", "\"/x/../mnt\""},
	};
	static const struct row layers[] = {
		{"fd.is_upper_layer", "true", "true"},
		{"fd.is_lower_layer", "false", "false"},
		{"fd.uid", "1043", "\"1043\""},
		{"fd.containername", "0123456789ab:/srv/x", "\"0123456789ab:/srv/x\""},
		{"fd.containerdirectory", "0123456789ab:/srv", "\"0123456789ab:/srv\""},
	};
	static const uint64_t none[6] = {0};
	struct world w;

	world_init(&w);
	world_open(&w, TIP_OPEN_OPENAT, "/srv", "./a/../x", O_RDONLY, 3);
	RUN(open, &w);
	w.open.file_flags = TIP_FILE_UPPER;
	w.in.proc->container_id = WORLD_CONTAINER;
	RUN(layers, &w);
	world_call(&w, TIP_EV_MOUNT, TIP_CALL_MOUNT, none, "/dev//sda1", NULL, 0);
	w.ev.call.text[1] = "/mnt/.";
	RUN(mount, &w);
	world_call(&w, TIP_EV_MOUNT, TIP_CALL_UMOUNT2, none, "/x/../mnt", NULL, 0);
	RUN(umount, &w);
}

/* A call that is told where a rule names it, with its paths and their folders. */
static void world_paths(struct world *w, uint16_t nr, int64_t ret, const char *base,
			const char *name, const char *base2, const char *name2)
{
	static const uint64_t none[6] = {0};

	world_syscall(w, nr, none, ret);
	w->ev.call.text[TIP_TEXT_BASE] = base;
	w->ev.call.text[TIP_TEXT_PATH] = name;
	w->ev.call.text[TIP_TEXT_BASE2] = base2;
	w->ev.call.text[TIP_TEXT_PATH2] = name2;
}

static void paths_of_calls(void **state)
{
	static const struct row unlinkat[] = {
		{"fs.path.name", "/srv/x", "\"/srv/x\""},
		{"fs.path.nameraw", "../x", "\"../x\""},
		{"fs.path.source", "<NA>", "null"},
		{"evt.abspath", "/srv/x", "\"/srv/x\""},
		{"evt.abspath.dst", "/srv/x", "\"/srv/x\""},
		{"evt.type.is.unlinkat", "1", "1"},
		{"evt.type.is.unlink", "0", "0"},
	};
	static const struct row failed[] = {
		{"fs.path.name", "<NA>", "null"},
		{"fs.path.nameraw", "<NA>", "null"},
		{"evt.abspath", "/a", "\"/a\""},
	};
	static const struct row rename[] = {
		{"fs.path.name", "<NA>", "null"},        {"fs.path.source", "/a/b", "\"/a/b\""},
		{"fs.path.sourceraw", "b", "\"b\""},     {"fs.path.target", "/c/d", "\"/c/d\""},
		{"fs.path.targetraw", "./d", "\"./d\""}, {"evt.abspath", "/a/b", "\"/a/b\""},
		{"evt.abspath.src", "/a/b", "\"/a/b\""}, {"evt.abspath.dst", "/c/d", "\"/c/d\""},
	};
	static const struct row link[] = {
		{"fs.path.source", "/c/d", "\"/c/d\""},
		{"fs.path.target", "/a/b", "\"/a/b\""},
		{"fs.path.targetraw", "b", "\"b\""},
		{"evt.abspath.src", "/a/b", "\"/a/b\""},
	};
	static const struct row symlink[] = {
		{"fs.path.source", "/c/e/d", "\"/c/e/d\""},
		{"fs.path.target", "/c/b", "\"/c/b\""},
		{"fs.path.targetraw", "../b", "\"../b\""},
		{"evt.abspath", "/c/e/d", "\"/c/e/d\""},
	};
	static const struct row fchmod[] = {
		{"fs.path.name", "/etc/x", "\"/etc/x\""},
		{"fs.path.nameraw", "/etc/x", "\"/etc/x\""},
	};
	static const struct row stat[] = {{"fs.path.name", "/a", "\"/a\""}};
	struct world w;

	world_init(&w);
	world_paths(&w, __NR_unlinkat, 0, "/srv/y", "../x", "", "");
	RUN(unlinkat, &w);
	world_paths(&w, __NR_unlink, -ENOENT, "", "/a", "", "");
	RUN(failed, &w);
	world_paths(&w, __NR_renameat2, 0, "/a", "b", "/c", "./d");
	RUN(rename, &w);
	world_paths(&w, __NR_link, 0, "/a", "b", "/c", "d");
	RUN(link, &w);
	world_paths(&w, __NR_symlinkat, 0, "", "../b", "/c", "e/d");
	RUN(symlink, &w);
	world_paths(&w, __NR_fchmod, 0, "", "", "", "");
	w.ev.call.text[TIP_TEXT_FILE] = "/etc/x";
	RUN(fchmod, &w);
	world_paths(&w, __NR_stat, 0, "", "/a", "", "");
	RUN(stat, &w);
}

/* What a call is about, where the descriptor says so. */
static void categories(void **state)
{
	static const struct {
		uint16_t nr;
		mode_t mode;
		const char *file, *category, *syslog, *file_error;
		enum tip_file_kind kind;
	} rows[] = {
		{__NR_chmod, 0, "", "file", "false", "<NA>", TIP_KIND_FILE},
		{__NR_mknod, 0, "", "other", "false", "<NA>", TIP_KIND_FILE},
		{__NR_socketpair, 0, "", "IPC", "false", "<NA>", TIP_KIND_FILE},
		{__NR_shutdown, 0, "", "net", "false", "<NA>", TIP_KIND_FILE},
		{__NR_setns, 0, "", "process", "false", "<NA>", TIP_KIND_FILE},
		{__NR_memfd_create, 0, "", "memory", "false", "<NA>", TIP_KIND_FILE},
		{__NR_getpid, 0, "", "other", "false", "<NA>", TIP_KIND_FILE},
		{__NR_write, S_IFREG, "/tmp/x", "file", "false", "1", TIP_KIND_FILE},
		{__NR_write, S_IFREG, "/dev/log", "file", "true", "1", TIP_KIND_FILE},
		{__NR_read, S_IFREG, "/dev/log", "file", "false", "1", TIP_KIND_FILE},
		{__NR_read, S_IFIFO, "pipe:[1]", "ipc", "false", "<NA>", TIP_KIND_PIPE},
		{__NR_read, S_IFREG, "[eventfd]", "ipc", "false", "<NA>", TIP_KIND_EVENTFD},
		{__NR_read, S_IFREG, "[timerfd]", "unknown", "false", "<NA>", TIP_KIND_TIMERFD},
		{__NR_read, 0, "", "unknown", "false", "<NA>", TIP_KIND_FILE},
	};
	static const uint64_t none[6] = {0};
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		struct row row = {"evt.category", rows[i].category, ""};
		char json[64];

		world_syscall(&w, rows[i].nr, none, -EBADF);
		w.call.file_mode = rows[i].mode;
		w.call.file_kind = rows[i].kind;
		w.call.ino = rows[i].mode ? 42 : 0;
		w.ev.call.text[TIP_TEXT_FILE] = rows[i].file;
		snprintf(json, sizeof(json), "\"%s\"", rows[i].category);
		row.json = json;
		check(&w, &row);
		row = (struct row){"evt.is_syslog", rows[i].syslog, rows[i].syslog};
		check(&w, &row);
		row = (struct row){"evt.count.error.file", rows[i].file_error,
				   *rows[i].file_error == '<' ? "null" : rows[i].file_error};
		check(&w, &row);
	}
	world_syscall(&w, __NR_poll, none, 0);
	check(&w, &(struct row){"evt.is_wait", "true", "true"});
	world_syscall(&w, __NR_pause, none, 0);
	check(&w, &(struct row){"evt.is_wait", "false", "false"});
}

static const char *some_digest(void *ctx, const struct tip_process *p)
{
	return p->key.tgid == 104 ? ctx : NULL;
}

static bool some_peer(void *ctx, const struct tip_event *ev, const struct tip_process *p,
		      struct tip_match_peer *out)
{
	*out = (struct tip_match_peer){.id = "spiffe://td/peer",
				       .dialled = ev->hdr->type == TIP_EV_CONNECT,
				       .first = true,
				       .since_ns = 77};
	return p->key.tgid == 104;
}

static void what_other_rooms_know(void **state)
{
	static const struct row connected[] = {
		{"fd.peer.spiffe.id", "spiffe://td/peer", "\"spiffe://td/peer\""},
		{"proc.exe.sha256", "abc", "\"abc\""},
		{"spiffe.origin.replaced", "true", "true"},
		{"fd.peer.spiffe.first", "true", "true"},
		{"fd.peer.spiffe.since", "77", "77"},
	};
	static const struct row nothing[] = {
		{"fd.peer.spiffe.id", "<NA>", "null"},
		{"proc.exe.sha256", "<NA>", "null"},
		{"spiffe.origin.replaced", "<NA>", "null"},
		{"fd.peer.spiffe.first", "<NA>", "null"},
		{"fd.peer.spiffe.since", "<NA>", "null"},
	};
	static const struct row accepted[] = {
		{"fd.peer.spiffe.id", "spiffe://td/peer", "\"spiffe://td/peer\""},
		{"fd.peer.spiffe.first", "<NA>", "null"},
		{"fd.peer.spiffe.since", "<NA>", "null"},
	};
	char digest[] = "abc";
	const struct tip_match_ops ops = {some_digest, some_peer, digest};
	struct world w;

	world_init(&w);
	world_sock(&w, TIP_EV_CONNECT, AF_INET, "10.0.0.1", 1, "10.0.0.2", 2, 0);
	w.table.replaced = -1;
	RUN(nothing, &w);
	w.in.ops = &ops;
	w.table.replaced = 1;
	RUN(connected, &w);
	w.table.replaced = -1;
	world_sock(&w, TIP_EV_ACCEPT, AF_INET, "10.0.0.1", 1, "10.0.0.2", 2, 5);
	RUN(accepted, &w);
	w.in.proc = &w.table.procs[0];
	world_sock(&w, TIP_EV_ACCEPT, AF_INET, "10.0.0.1", 1, "10.0.0.2", 2, 5);
	RUN(nothing, &w);
}

/* Each field says which events have it, or why none does. */
static void catalogue(void **state)
{
	const struct tip_field_info *f;
	size_t count, described = 0;

	f = tip_fields(&count);
	for (size_t i = 0; i < count; i++) {
		assert_true(!f[i].everywhere || !f[i].events[0]);
		assert_true(f[i].served == (f[i].everywhere || f[i].events[0]));
		assert_true(f[i].argument || !f[i].needs_argument);
		assert_true(strlen(f[i].desc) > 3);
		if (strcmp(f[i].name, "fd.is_upper_layer") == 0) {
			assert_string_equal(f[i].events[0], "open");
			described++;
		} else if (strcmp(f[i].name, "evt.arg") == 0) {
			assert_string_equal(f[i].argument, "[ARGUMENT]");
			described++;
		} else if (strcmp(f[i].name, "evt.pluginname") == 0) {
			assert_false(f[i].served);
			described++;
		}
	}
	assert_int_equal(described, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_between_events), cmocka_unit_test(errors_by_kind),
		cmocka_unit_test(named_paths),         cmocka_unit_test(paths_of_calls),
		cmocka_unit_test(categories),          cmocka_unit_test(what_other_rooms_know),
		cmocka_unit_test(catalogue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
