/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_DETECT_WORLD_H
#define TIP_TEST_DETECT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "detect/detect.h"
#include "detect/program.h"

/*
 * A small world for the rules: a chain of processes and one event of each kind. The process table
 * here answers the questions that the room asks of the real one.
 */
#define WORLD_PROCS 8
struct tip_process_table {
	struct tip_process procs[WORLD_PROCS]; /* each the parent of the next */
	size_t count;
	int replaced; /* see tip_process_origin_replaced() */
};

struct tip_process *tip_process_parent(struct tip_process_table *t, const struct tip_process *p)
{
	for (size_t i = 1; i < t->count; i++)
		if (&t->procs[i] == p)
			return &t->procs[i - 1];
	return NULL;
}

struct tip_process *tip_process_by_pid(struct tip_process_table *t, uint32_t tgid)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->procs[i].key.tgid == tgid)
			return &t->procs[i];
	return NULL;
}

int tip_process_origin_replaced(struct tip_process_table *t, const struct tip_process *p)
{
	return t->replaced;
}

struct world {
	struct tip_process_table table;
	struct tip_hdr hdr;
	struct tip_ev_exec exec;
	struct tip_ev_fork fork;
	struct tip_ev_exit exit;
	struct tip_ev_cred cred;
	struct tip_ev_cgroup cgroup;
	struct tip_ev_open open;
	struct tip_ev_sock sock;
	struct tip_ev_call call;
	struct tip_event ev;
	struct tip_match_input in;
};

#define WORLD_CONTAINER "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define WORLD_BOOT      100000000000ull
#define WORLD_TIME      1767225600123456789ull

static struct tip_process *world_process(struct world *w, const char *comm, const char *exe,
					 const char *args, size_t args_len)
{
	struct tip_process *p = &w->table.procs[w->table.count++];

	*p = (struct tip_process){
		.key = {.start_ns = WORLD_BOOT - 10000000000ull,
			.tgid = (uint32_t)(100 + w->table.count)},
		.exec_id = 1000 + w->table.count,
		.cgroup = "/",
		.container_id = "",
		.loginuid = UINT32_MAX,
		.sid = 101,
		.pgid = 102,
		.vpid = (uint32_t)(100 + w->table.count),
		.vpgid = 102,
		.ppid = (uint32_t)(99 + w->table.count),
		.comm = comm,
		.exe_path = exe,
		.filename = exe,
		.cwd = "/srv/app",
		.env = "",
		.args = args,
		.args_len = (uint16_t)args_len,
	};
	w->in.proc = p;
	return p;
}

/* init -> sshd -> bash -> cat, the last one in focus. */
static inline void world_init(struct world *w)
{
	*w = (struct world){0};
	world_process(w, "init", "/sbin/init", "/sbin/init", 11);
	world_process(w, "sshd", "/usr/sbin/sshd", "sshd: root\0-D", 14);
	world_process(w, "bash", "/usr/bin/bash", "-bash", 6);
	world_process(w, "cat", "/usr/bin/cat", "/bin/cat\0-n\0/etc/shadow", 24);
	w->hdr = (struct tip_hdr){.time_ns = WORLD_BOOT,
				  .proc = {.start_ns = WORLD_BOOT - 10000000000ull, .tgid = 104},
				  .tid = 104,
				  .comm = "cat"};
	w->ev.hdr = &w->hdr;
	w->in.ev = &w->ev;
	w->in.table = &w->table;
	w->in.evt_num = 7;
	w->in.time_ns = WORLD_TIME;
	w->in.hostname = "n1";
}

/* One of the calls that are told by their arguments; a file only where `path` is given. */
static inline void world_call(struct world *w, uint16_t type, uint16_t call, const uint64_t args[6],
			      const char *text, const char *path, int64_t ret)
{
	w->hdr.type = type;
	w->hdr.ret = ret;
	w->call = (struct tip_ev_call){.call = call,
				       .ino = path ? 42 : 0,
				       .dev = path ? 8u << 20 | 1 : 0,
				       .file_mode = path ? S_IFREG | 0644 : 0};
	memcpy(w->call.args, args, sizeof(w->call.args));
	w->ev.call.data = &w->call;
	for (int i = 0; i < TIP_CALL_TEXTS; i++)
		w->ev.call.text[i] = "";
	w->ev.call.text[0] = text;
	w->ev.call.text[1] = path ? path : "";
}

/* A system call of TIP_EV_CALL, without strings. */
static inline void world_syscall(struct world *w, uint16_t nr, const uint64_t args[6], int64_t ret)
{
	w->hdr.type = TIP_EV_CALL;
	w->hdr.ret = ret;
	w->call = (struct tip_ev_call){.call = TIP_CALL_SYSCALL, .nr = nr, .fd = -1};
	memcpy(w->call.args, args, sizeof(w->call.args));
	w->ev.call.data = &w->call;
	for (int i = 0; i < TIP_CALL_TEXTS; i++)
		w->ev.call.text[i] = "";
}

static inline void world_open(struct world *w, int how, const char *base, const char *name,
			      uint32_t flags, int64_t ret)
{
	w->hdr.type = TIP_EV_OPEN;
	w->hdr.ret = ret;
	w->open = (struct tip_ev_open){
		.syscall = (uint16_t)how,
		.oflags = flags,
		.dirfd = AT_FDCWD,
		.mode = flags & O_CREAT ? 0755 : 0,
		.ino = 42,
		.dev = 8u << 20 | 1,
		.file_mode = ret < 0 ? 0 : S_IFREG | 0644,
		.file_flags = ret >= 0 && (flags & O_CREAT) ? TIP_FILE_CREATED : 0};
	w->ev.open.data = &w->open;
	w->ev.open.name = name;
	w->ev.open.base = base;
	w->ev.open.real = ret < 0 ? "" : "/real/path";
	w->ev.open.host = ret < 0 ? "" : "/host/path";
}

static inline void world_exec(struct world *w, uint32_t flags)
{
	w->hdr.type = TIP_EV_EXEC;
	w->hdr.ret = 0;
	w->exec = (struct tip_ev_exec){.proc_flags = flags, .tty = 34816};
	w->in.proc->flags = flags;
	w->in.proc->tty = 34816;
	w->ev.exec.data = &w->exec;
	w->ev.exec.filename = "/bin/cat";
	w->ev.exec.exe_path = "/usr/bin/cat";
	w->ev.exec.cwd = "/srv/app";
	w->ev.exec.args = w->in.proc->args;
	w->ev.exec.env = "";
}

static inline void world_sock(struct world *w, uint16_t type, int family, const char *local,
			      uint16_t lport, const char *remote, uint16_t rport, int64_t ret)
{
	w->hdr.type = type;
	w->hdr.ret = ret;
	w->sock = (struct tip_ev_sock){.family = (uint16_t)family,
				       .sock_type = SOCK_STREAM,
				       .protocol = IPPROTO_TCP,
				       .fd = 5,
				       .lport = lport,
				       .rport = rport};
	if (family == AF_INET || family == AF_INET6) {
		assert_int_equal(inet_pton(family, local, w->sock.laddr), 1);
		assert_int_equal(inet_pton(family, remote, w->sock.raddr), 1);
	}
	w->ev.sock.data = &w->sock;
	w->ev.sock.path = family == AF_UNIX ? remote : "";
}

/* ---- rules from text ------------------------------------------------------------------------ */

static inline struct tip_rules *load_text(const char *text, struct tip_load_result *res)
{
	struct tip_rule_source s = {"t.yaml", text, strlen(text)};

	return tip_rules_load(&s, 1, res);
}

/* One rule with that condition and output; `extra` are more lines of the file before it. */
static inline struct tip_rules *load_rule(const char *extra, const char *condition,
					  const char *output, struct tip_load_result *res)
{
	struct tip_buf b = {0};
	struct tip_rules *r;

	tip_buf_addf(
		&b, "%s- rule: r\n  desc: d\n  priority: INFO\n  output: %s\n  condition: |-\n    ",
		extra, output);
	for (; *condition; condition++) {
		tip_buf_addc(&b, *condition);
		if (*condition == '\n')
			tip_buf_adds(&b, "    ");
	}
	tip_buf_addc(&b, '\n');
	r = load_text(b.data, res);
	tip_buf_free(&b);
	return r;
}

static inline const struct tip_load_message *first_error(const struct tip_load_result *res)
{
	for (size_t i = 0; i < res->count; i++)
		if (res->messages[i].is_error)
			return &res->messages[i];
	return NULL;
}

static inline const struct tip_load_message *find_message(const struct tip_load_result *res,
							  const char *code)
{
	for (size_t i = 0; i < res->count; i++)
		if (strcmp(res->messages[i].code, code) == 0)
			return &res->messages[i];
	return NULL;
}

static inline void print_messages(const struct tip_load_result *res)
{
	char line[1200];

	for (size_t i = 0; i < res->count; i++)
		print_error("%s %s\n", res->messages[i].code,
			    tip_error_str(&res->messages[i].at, line, sizeof(line)));
}

static inline void count_hit(void *ctx, const struct tip_rule *rule,
			     const struct tip_match_input *in)
{
	(*(int *)ctx)++;
}

static inline bool matches(const struct tip_rules *r, const struct tip_match_input *in)
{
	struct tip_matcher *m = tip_matcher_new();
	int hits = 0, n = tip_rules_match(r, m, in, true, count_hit, &hits);

	assert_int_equal(n, hits);
	tip_matcher_free(m);
	return n > 0;
}

/* What a condition makes of the world's event. */
struct verdict {
	const char *condition;
	bool expected;
};

static inline void run_verdicts(const struct verdict *rows, size_t count, const struct world *w)
{
	for (size_t i = 0; i < count; i++) {
		struct tip_load_result res;
		struct tip_rules *r = load_rule("", rows[i].condition, "x", &res);

		if (!r) {
			print_messages(&res);
			fail_msg("does not load: %s", rows[i].condition);
		}
		if (matches(r, &w->in) != rows[i].expected)
			fail_msg("expected %s: %s", rows[i].expected ? "a match" : "no match",
				 rows[i].condition);
		tip_load_result_free(&res);
		tip_rules_free(r);
	}
}

#define VERDICTS(rows, w) run_verdicts(rows, TIP_ARRAY_SIZE(rows), w)

#endif
