/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-match [--events N] [--top N] FILE...: what it costs to hold an event against the rules of
 * these files (a folder stands for its *.yaml and *.yml), on a made-up node: ordinary programs,
 * hosts' and containers', that do what such programs do. Nothing of the kernel's is in it: only the
 * room that matches.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "detect/detect.h"
#include "detect/events.h"

#include "bench-match.h"

#define BOOT      (86400 * TIP_NSEC_PER_SEC)
#define FILES     64
#define CONTAINER "4f6b1c0de2a7983b5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4"

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "bench-match: %s: %s\n", what, why);
	exit(1);
}

/* One event with the memory that it points into. */
struct event {
	struct tip_hdr hdr;
	union {
		struct tip_ev_exec exec;
		struct tip_ev_fork fork;
		struct tip_ev_exit exit;
		struct tip_ev_cred cred;
		struct tip_ev_open open;
		struct tip_ev_sock sock;
		struct tip_ev_call call;
	} data;
	struct tip_event ev;
	struct tip_process *proc;
	enum tip_code code;
};

struct node {
	struct tip_process_table *table;
	struct tip_process *procs[NPROGRAMS];
	char *args[NPROGRAMS];
	size_t args_len[NPROGRAMS];
};

static void header(struct event *e, int who, uint16_t type, int64_t ret)
{
	e->hdr = (struct tip_hdr){
		.type = type,
		.len = sizeof(e->hdr),
		.time_ns = BOOT + (uint64_t)who * TIP_NSEC_PER_SEC,
		.proc = {.start_ns = BOOT + (uint64_t)who, .tgid = 1000 + (uint32_t)who},
		.exec_id = 1 + (uint64_t)who,
		.cgroup_id = 1,
		.tid = 1000 + (uint32_t)who,
		.uid = programs[who].uid,
		.gid = programs[who].uid,
		.ret = ret,
	};
	snprintf(e->hdr.comm, sizeof(e->hdr.comm), "%s", programs[who].comm);
	e->ev = (struct tip_event){.hdr = &e->hdr};
}

static void exec_of(const struct node *n, struct event *e, int who, const char *filename)
{
	int parent = programs[who].parent;

	header(e, who, TIP_EV_EXEC, 0);
	e->data.exec = (struct tip_ev_exec){
		.parent_exec_id = parent < 0 ? 0 : 1 + (uint64_t)parent,
		.exe_ino = 4000 + (uint64_t)who,
		.exe_ctime_ns = TIP_NSEC_PER_SEC,
		.euid = programs[who].uid,
		.egid = programs[who].uid,
		.loginuid = programs[who].tty ? programs[who].uid : UINT32_MAX,
		.tty = programs[who].tty,
		.sid = 1000,
		.pgid = 1000 + (uint32_t)who,
		.vpid = 1000 + (uint32_t)who,
		.vpgid = 1000 + (uint32_t)who,
		.args_len = (uint16_t)n->args_len[who],
	};
	if (parent >= 0)
		e->data.exec.parent = (struct tip_proc_key){.start_ns = BOOT + (uint64_t)parent,
							    .tgid = 1000 + (uint32_t)parent};
	e->ev.exec.data = &e->data.exec;
	e->ev.exec.filename = filename;
	e->ev.exec.exe_path = programs[who].exe;
	e->ev.exec.cwd = programs[who].cwd;
	e->ev.exec.args = n->args[who];
}

static void populate(struct node *n)
{
	static const struct tip_process_ops ops;
	struct event e;

	n->table = tip_process_table_new(256, "", NULL, &ops);
	for (size_t i = 0; i < NPROGRAMS; i++) {
		n->args[i] = tip_strdup(programs[i].args);
		n->args_len[i] = strlen(n->args[i]) + 1;
		for (char *p = n->args[i]; (p = strchr(p, '|'));)
			*p = '\0';
		exec_of(n, &e, (int)i, programs[i].exe);
		n->procs[i] = tip_process_event(n->table, &e.ev);
		/* what a cgroup below that container would have told */
		if (programs[i].contained)
			n->procs[i]->container_id = CONTAINER;
	}
}

static void fill_sock(struct event *e, const struct act *a)
{
	bool alone = a->type == TIP_EV_BIND || a->type == TIP_EV_LISTEN,
	     server = alone || a->type == TIP_EV_ACCEPT;

	e->data.sock = (struct tip_ev_sock){
		.sock_ino = 77,
		.fd = 9,
		.family = a->call,
		.sock_type = a->arg == 53 ? SOCK_DGRAM : SOCK_STREAM,
		.protocol = a->arg == 53 ? IPPROTO_UDP : IPPROTO_TCP,
		.lport = (uint16_t)(server ? a->arg : 41234),
		.rport = (uint16_t)(alone    ? 0
				    : server ? 50123
					     : a->arg),
	};
	inet_pton(AF_INET, alone ? a->text : "10.1.2.3", e->data.sock.laddr);
	inet_pton(AF_INET, alone ? "0.0.0.0" : a->text, e->data.sock.raddr);
	e->ev.sock.data = &e->data.sock;
	e->ev.sock.path = "";
}

static void fill(const struct node *n, struct event *e, const struct act *a)
{
	*e = (struct event){0};
	e->proc = n->procs[a->who];
	header(e, a->who, a->type, a->ret);
	switch (a->type) {
	case TIP_EV_OPEN:
		e->data.open = (struct tip_ev_open){.ino = 42,
						    .dev = 8u << 20 | 1,
						    .oflags = (uint32_t)a->arg,
						    .mode = a->arg & O_CREAT ? 0644 : 0,
						    .dirfd = AT_FDCWD,
						    .syscall = a->call,
						    .file_mode = a->ret < 0 ? 0 : S_IFREG | 0644};
		e->ev.open.data = &e->data.open;
		e->ev.open.name = a->text;
		e->ev.open.base = a->text[0] == '/' ? "" : programs[a->who].cwd;
		e->ev.open.real = "";
		break;
	case TIP_EV_EXEC: exec_of(n, e, a->who, a->text); break;
	case TIP_EV_FORK:
		e->data.fork = (struct tip_ev_fork){.child = {.start_ns = 2 * BOOT, .tgid = 5000},
						    .child_exec_id = 5000};
		e->ev.fork = &e->data.fork;
		break;
	case TIP_EV_EXIT: e->ev.exit = &e->data.exit; break;
	case TIP_EV_CRED:
		e->hdr.uid = e->hdr.gid = (uint32_t)a->arg;
		e->ev.cred = &e->data.cred;
		break;
	case TIP_EV_CONNECT:
	case TIP_EV_ACCEPT:
	case TIP_EV_BIND:
	case TIP_EV_LISTEN: fill_sock(e, a); break;
	default:
		e->data.call = (struct tip_ev_call){
			.args = {a->arg, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE},
			.call = a->call};
		e->ev.call.data = &e->data.call;
		for (int i = 0; i < TIP_CALL_TEXTS; i++)
			e->ev.call.text[i] = i == 0 && a->text ? a->text : "";
	}
	e->code = tip_event_code(&e->ev);
}

/* ---- measuring --------------------------------------------------------------------------------
 */

struct sample {
	enum tip_code code;
	uint32_t ns;
};

struct run {
	struct tip_rules *rules;
	struct tip_matcher *matcher;
	struct node node;
	struct event *events; /* one for each act */
	uint16_t *order;      /* which act comes when */
	size_t count;
	uint32_t clock_ns; /* what two looks at the clock take by themselves */
};

static int cmp_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int cmp_sample(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	if (x->code != y->code)
		return x->code < y->code ? -1 : 1;
	return (x->ns > y->ns) - (x->ns < y->ns);
}

/* By the share of each, shuffled; the same on every run. */
static void shuffle(struct run *r, size_t count)
{
	uint64_t seed = 0x9e3779b97f4a7c15u;
	unsigned int total = 0;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(acts); i++)
		total += (unsigned int)acts[i].often;
	r->order = tip_calloc(count, sizeof(*r->order));
	r->count = count;
	for (size_t i = 0; i < count; i++) {
		unsigned int pick, at = 0;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		pick = (unsigned int)(seed >> 33) % total;
		while (pick >= (unsigned int)acts[at].often)
			pick -= (unsigned int)acts[at++].often;
		r->order[i] = (uint16_t)at;
	}
}

static void hit(void *ctx, const struct tip_rule *rule, const struct tip_match_input *in)
{
	++*(size_t *)ctx;
}

static uint32_t play_one(const struct run *r, const struct tip_rules *rules, size_t i, size_t *hits)
{
	const struct event *e = &r->events[r->order[i]];
	struct tip_match_input in = {.ev = &e->ev,
				     .proc = e->proc,
				     .table = r->node.table,
				     .evt_num = i + 1,
				     .time_ns = 1767225600u * TIP_NSEC_PER_SEC + i,
				     .hostname = "node-7"};
	uint64_t start = tip_clock_monotonic();

	tip_rules_match(rules, r->matcher, &in, false, hit, hits);
	return (uint32_t)(tip_clock_monotonic() - start);
}

static uint32_t clock_cost(void)
{
	uint32_t took[1001];

	for (size_t i = 0; i < TIP_ARRAY_SIZE(took); i++) {
		uint64_t start = tip_clock_monotonic();

		took[i] = (uint32_t)(tip_clock_monotonic() - start);
	}
	qsort(took, TIP_ARRAY_SIZE(took), sizeof(took[0]), cmp_u32);
	return took[TIP_ARRAY_SIZE(took) / 2];
}

static uint32_t less_clock(const struct run *r, uint32_t ns)
{
	return ns > r->clock_ns ? ns - r->clock_ns : 0;
}

static bool wanted(const struct tip_rules *rules, const struct event *e)
{
	return tip_rules_event_mask(rules) >> e->hdr.type & 1;
}

static void say(const char *type, const struct run *r, const struct sample *s, size_t n)
{
	if (n)
		printf("events\t%s\t%zu\t%u\t%u\t%u\n", type, n, less_clock(r, s[n / 2].ns),
		       less_clock(r, s[n * 9 / 10].ns), less_clock(r, s[n * 99 / 100].ns));
}

/* Events whose record no rule wants are not counted: the kernel does not send them. */
static void all_rules(struct run *r)
{
	struct sample *s = tip_calloc(r->count, sizeof(*s));
	size_t n = 0, hits = 0;

	for (size_t i = 0; i < r->count; i++)
		play_one(r, r->rules, i, &hits);
	hits = 0;
	for (size_t i = 0; i < r->count; i++) {
		const struct event *e = &r->events[r->order[i]];

		if (wanted(r->rules, e))
			s[n++] = (struct sample){e->code, play_one(r, r->rules, i, &hits)};
	}
	printf("matched\t%zu\n", hits);
	qsort(s, n, sizeof(*s), cmp_sample);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i; end < n && s[end].code == s[i].code; end++)
			;
		say(tip_code_name(s[i].code), r, s + i, end - i);
	}
	for (size_t i = 0; i < n; i++)
		s[i].code = 0;
	qsort(s, n, sizeof(*s), cmp_sample);
	say("all", r, s, n);
	free(s);
}

/* ---- rules ------------------------------------------------------------------------------------
 */

struct files {
	struct tip_rule_source sources[FILES + 1];
	struct tip_buf texts[FILES];
	size_t count;
};

static void read_path(struct files *f, const char *path)
{
	static const char *const endings[] = {".yaml", ".yml", NULL};
	struct tip_error err;
	char **list;
	int n = tip_file_list(path, endings, &list, &err);

	if (n < 0)
		die(path, err.text);
	for (int i = 0; i < n; i++) {
		struct tip_buf *text = &f->texts[f->count];

		if (f->count == FILES)
			die(path, "too many files");
		if (tip_file_read(list[i], 16u << 20, text, &err) < 0)
			die(list[i], err.text);
		f->sources[f->count++] =
			(struct tip_rule_source){tip_strdup(list[i]), text->data, text->len};
	}
	tip_strings_free(list, (size_t)n);
}

static struct tip_rules *load(const struct files *f, size_t count)
{
	struct tip_load_result res;
	struct tip_rules *rules = tip_rules_load(f->sources, count, &res);
	char line[1200];

	for (size_t i = 0; !rules && i < res.count; i++)
		if (res.messages[i].is_error)
			fprintf(stderr, "%s\n",
				tip_error_str(&res.messages[i].at, line, sizeof(line)));
	tip_load_result_free(&res);
	if (!rules)
		die(f->sources[0].name, "does not load");
	return rules;
}

#define LOADS 11
static void load_times(const struct files *f)
{
	const size_t middle = LOADS / 2;
	uint32_t took[LOADS];

	for (size_t i = 0; i < LOADS; i++) {
		uint64_t start = tip_clock_monotonic();

		tip_rules_free(load(f, f->count));
		took[i] = (uint32_t)(tip_clock_monotonic() - start);
	}
	qsort(took, LOADS, sizeof(took[0]), cmp_u32);
	printf("load\t%.1f\t%.1f\t%.1f\n", took[0] / 1e6, took[middle] / 1e6,
	       took[LOADS - 1] / 1e6);
}

struct cost {
	const char *name;
	uint64_t ns; /* of the whole mix */
	size_t events, hits;
};

static int cmp_cost(const void *a, const void *b)
{
	const struct cost *x = a, *y = b;

	return (x->ns < y->ns) - (x->ns > y->ns);
}

/* What a rule costs where it is the only one that is enabled, fields and all. */
static struct cost cost_of(struct run *r, struct files *f, const struct tip_rule *only)
{
	struct cost c = {.name = tip_rule_info(only)->name};
	struct tip_buf off = {0};
	struct tip_rules *rules;

	for (size_t i = 0; i < tip_rules_count(r->rules); i++) {
		const struct tip_rule_info *info = tip_rule_info(tip_rules_get(r->rules, i));

		if (info->index == tip_rule_info(only)->index)
			continue;
		tip_buf_adds(&off, "- rule: ");
		tip_buf_add_json_string(&off, info->name, strlen(info->name));
		tip_buf_adds(&off, "\n  enabled: false\n  override: {enabled: replace}\n");
	}
	f->sources[f->count] =
		(struct tip_rule_source){"others", off.data ? off.data : "", off.len};
	rules = load(f, f->count + 1);
	for (size_t i = 0; i < r->count; i++) {
		if (!wanted(rules, &r->events[r->order[i]]))
			continue;
		c.ns += less_clock(r, play_one(r, rules, i, &c.hits));
		c.events++;
	}
	tip_rules_free(rules);
	tip_buf_free(&off);
	return c;
}

static void each_rule(struct run *r, struct files *f, size_t top)
{
	struct cost *costs = tip_calloc(tip_rules_count(r->rules), sizeof(*costs));
	size_t n = 0;

	for (size_t i = 0; i < tip_rules_count(r->rules); i++)
		if (tip_rule_info(tip_rules_get(r->rules, i))->enabled)
			costs[n++] = cost_of(r, f, tip_rules_get(r->rules, i));
	qsort(costs, n, sizeof(*costs), cmp_cost);
	for (size_t i = 0; i < n && i < top; i++)
		if (costs[i].events)
			printf("rule\t%s\t%zu\t%.0f\t%zu\n", costs[i].name, costs[i].events,
			       (double)costs[i].ns / (double)costs[i].events, costs[i].hits);
	free(costs);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"events", required_argument, NULL, 'e'},
						{"top", required_argument, NULL, 't'},
						{0}};
	static struct files files;
	size_t events = 200000, top = 10;
	struct run r = {0};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'e')
			events = strtoul(optarg, NULL, 10);
		else if (c == 't')
			top = strtoul(optarg, NULL, 10);
		else
			die("usage", "bench-match [--events N] [--top N] FILE...");
	}
	for (int i = optind; i < argc; i++)
		read_path(&files, argv[i]);
	if (!files.count || !events)
		die("usage", "bench-match [--events N] [--top N] FILE...");
	r.rules = load(&files, files.count);
	r.matcher = tip_matcher_new();
	r.clock_ns = clock_cost();
	populate(&r.node);
	r.events = tip_calloc(TIP_ARRAY_SIZE(acts), sizeof(*r.events));
	for (size_t i = 0; i < TIP_ARRAY_SIZE(acts); i++)
		fill(&r.node, &r.events[i], &acts[i]);
	shuffle(&r, events);
	printf("rules\t%zu\n", tip_rules_count(r.rules));
	load_times(&files);
	all_rules(&r);
	if (top)
		each_rule(&r, &files, top);
	tip_matcher_free(r.matcher);
	tip_rules_free(r.rules);
	return 0;
}
