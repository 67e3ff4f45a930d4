/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "detect/detect.h"

/*
 * A condition, and behind a NUL byte a path and a command line: parsed, compiled, and run against
 * an open and an exec with them.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tip_process parent = {.container_id = "",
				    .cgroup = "/",
				    .comm = "parent",
				    .exe_path = "/bin/parent",
				    .filename = "",
				    .cwd = "/",
				    .args = ""};

struct tip_process *tip_process_parent(struct tip_process_table *t, const struct tip_process *p)
{
	return p == &parent ? NULL : &parent;
}

struct tip_process *tip_process_by_pid(struct tip_process_table *t, uint32_t tgid)
{
	return &parent;
}

static void hit(void *ctx, const struct tip_rule *rule, const struct tip_match_input *in)
{
	struct tip_buf text = {0}, fields = {0};

	tip_rule_render(rule, ctx, in, &text, &fields);
	tip_buf_free(&text);
	tip_buf_free(&fields);
}

static void run(const struct tip_rules *r, const char *rest, size_t len)
{
	char *copy = strndup(rest, len > 4096 ? 4096 : len);
	struct tip_process p = parent;
	struct tip_hdr hdr = {.type = TIP_EV_OPEN, .comm = "fuzz", .ret = 3};
	struct tip_ev_open open = {.syscall = TIP_OPEN_OPENAT, .oflags = O_RDWR};
	struct tip_ev_exec exec = {0};
	struct tip_event ev = {.hdr = &hdr};
	/* only its address is looked at */
	struct tip_match_input in = {.ev = &ev,
				     .proc = &p,
				     .table = (struct tip_process_table *)&parent,
				     .hostname = "h"};
	struct tip_matcher *m = tip_matcher_new();

	p.comm = p.args = p.exe_path = copy;
	p.args_len = (uint16_t)strlen(copy);
	ev.open.data = &open;
	ev.open.name = copy;
	ev.open.base = "/base";
	ev.open.real = copy;
	ev.open.host = copy;
	tip_rules_match(r, m, &in, true, hit, m);
	hdr.type = TIP_EV_EXEC;
	ev.exec.data = &exec;
	ev.exec.filename = ev.exec.exe_path = ev.exec.cwd = ev.exec.args = copy;
	tip_rules_match(r, m, &in, true, hit, m);
	tip_matcher_free(m);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = strnlen((const char *)data, size);
	struct tip_rule_source source = {.name = "f.yaml"};
	struct tip_load_result res;
	struct tip_buf b = {0};
	struct tip_rules *r;

	tip_buf_adds(&b, "- list: l\n  items: [a, /etc, 'x y']\n"
			 "- macro: m\n  condition: proc.name in (l)\n"
			 "- rule: r\n  desc: d\n  priority: INFO\n"
			 "  output: '%fd.name %proc.cmdline %proc.aname %evt.args %fd.ip "
			 "%join(\"-\", (proc.name, b64(proc.cmdline)))'\n"
			 "  condition: ");
	tip_buf_add_json_string(&b, (const char *)data, len);
	tip_buf_adds(&b, "\n");
	source.text = b.data;
	source.len = b.len;
	r = tip_rules_load(&source, 1, &res);
	if (r)
		run(r, (const char *)data + len, size - len ? size - len - 1 : 0);
	tip_rules_free(r);
	tip_load_result_free(&res);
	tip_buf_free(&b);
	return 0;
}
