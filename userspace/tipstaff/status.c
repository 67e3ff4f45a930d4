/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

#define WIDTH 13

static uint64_t get_count(json_t *obj, const char *key)
{
	long long n = get_int(obj, key);

	return n > 0 ? (uint64_t)n : 0;
}

static const char *plural(long long n)
{
	return n == 1 ? "" : "s";
}

static void put_head(json_t *s)
{
	char up[32];

	out_print("%stipstaffd ", out_on(stdout, OUT_BOLD));
	out_puts_safe(get_string(s, "version", "?"));
	out_print("%s, instance ", out_off(stdout));
	out_puts_safe(get_string(s, "instance", "?"));
	out_print(", trust domain ");
	out_puts_safe(get_string(s, "trust_domain", "?"));
	out_print("\nup %s%s\n\n", out_duration(get_count(s, "uptime_s"), up, sizeof(up)),
		  get_bool(s, "adopted") ? "; took over the pins of the daemon before it" : "");
}

static void put_processes(json_t *s)
{
	json_t *keeper = json_object_get(s, "keeper"), *front = json_object_get(s, "front");
	char rss[32];

	out_field(WIDTH, "keeper", "pid %lld, %s", get_int(keeper, "pid"),
		  out_bytes(get_count(keeper, "rss_kb") * 1024, rss, sizeof(rss)));
	if (get_bool(front, "running"))
		out_field(WIDTH, "front", "pid %lld as %s (uid %lld), %s, %lld restart%s",
			  get_int(front, "pid"), get_string(front, "user", "?"),
			  get_int(front, "uid"),
			  out_bytes(get_count(front, "rss_kb") * 1024, rss, sizeof(rss)),
			  get_int(front, "restarts"), plural(get_int(front, "restarts")));
	else
		out_field(WIDTH, "front", "not running (%lld restarts): no SVID is served now",
			  get_int(front, "restarts"));
}

static void put_scope(json_t *s)
{
	json_t *scope = json_object_get(s, "scope"), *path;
	size_t i;

	if (json_array_size(scope) == 0)
		out_field(WIDTH, "scope", "the whole node");
	json_array_foreach (scope, i, path)
		out_field(WIDTH, i ? "" : "scope", "%s", json_string_value(path));
}

static void put_enforcement(json_t *s)
{
	json_t *e = json_object_get(s, "enforcement");

	if (json_is_string(e))
		out_field(WIDTH, "enforcement", "%s", json_string_value(e));
	else
		out_field(WIDTH, "enforcement", "%s",
			  json_is_true(e) ? "on"
					  : "off: rules with an action and quarantine do nothing");
}

static void put_config(json_t *s)
{
	put_scope(s);
	put_enforcement(s);
	out_field(WIDTH, "pins", "%s", get_string(s, "pins", "none"));
}

static void put_cache(json_t *s)
{
	json_t *cache = json_object_get(s, "cache");
	const char *seal = get_string(cache, "seal", "none");
	long long records = get_int(cache, "records");
	long long bad = get_int(cache, "bad_records") +
			get_int(json_object_get(s, "identity"), "bad_records");
	long long lost = get_int(cache, "refused") + get_int(cache, "failed");
	char a[32];

	if (strcmp(seal, "none") == 0)
		out_field(WIDTH, "cache", "not sealed: %s", get_string(cache, "why", "no reason"));
	else
		out_field(WIDTH, "cache", "sealed by %s",
			  strcmp(seal, "tpm") == 0 ? "the TPM" : "a systemd credential");
	out_field(WIDTH, "", "%lld record%s, %s, %lld bad", records, plural(records),
		  out_bytes(get_count(cache, "bytes"), a, sizeof(a)), bad);
	if (lost)
		out_field(WIDTH, "", "%lld not kept: beyond a limit, or not written", lost);
}

/* A line for each sink, and what is lost or waits there. */
static void put_sinks(json_t *alerts)
{
	char a[32], b[32], c[32];
	json_t *sink;
	size_t i;

	out_field(WIDTH, "alerts", "%s", out_count(get_count(alerts, "total"), a, sizeof(a)));
	json_array_foreach (json_object_get(alerts, "sinks"), i, sink) {
		uint64_t lost = get_count(sink, "dropped"),
			 waiting = get_count(sink, "waiting") + get_count(sink, "spooled");

		out_field(WIDTH, "", "%s: %s taken%s%s%s%s%s", get_string(sink, "name", ""),
			  out_count(get_count(sink, "written"), a, sizeof(a)), waiting ? ", " : "",
			  waiting ? out_count(waiting, b, sizeof(b)) : "",
			  waiting ? " waiting" : "", lost ? ", LOST " : "",
			  lost ? out_count(lost, c, sizeof(c)) : "");
	}
}

static void put_work(json_t *s)
{
	json_t *rules = json_object_get(s, "rules"), *alerts = json_object_get(s, "alerts");
	json_t *procs = json_object_get(s, "processes"), *id = json_object_get(s, "identity");
	char a[32], b[32], c[32];

	out_field(WIDTH, "rules", "%lld (%lld enabled) from %lld file%s and %lld set%s",
		  get_int(rules, "count"), get_int(rules, "enabled"), get_int(rules, "files"),
		  plural(get_int(rules, "files")), get_int(rules, "sets"),
		  plural(get_int(rules, "sets")));
	put_sinks(alerts);
	out_field(WIDTH, "processes", "%s alive, %s known, %s evicted, %s unknown",
		  out_count(get_count(procs, "living"), a, sizeof(a)),
		  out_count(get_count(procs, "count"), b, sizeof(b)),
		  out_count(get_count(procs, "evictions"), c, sizeof(c)),
		  out_count(get_count(procs, "unknown"), (char[32]){0}, 32));
	out_field(WIDTH, "identities",
		  "%lld entr%s, %lld SVID%s, %lld process%s known to the front",
		  get_int(id, "entries"), get_int(id, "entries") == 1 ? "y" : "ies",
		  get_int(id, "svids"), plural(get_int(id, "svids")), get_int(id, "execs"),
		  get_int(id, "execs") == 1 ? "" : "es");
	out_field(WIDTH, "Workload API", "%lld open, %lld streaming, %s calls, %s denied",
		  get_int(id, "connections"), get_int(id, "streams"),
		  out_count(get_count(id, "calls"), a, sizeof(a)),
		  out_count(get_count(id, "denied"), b, sizeof(b)));
	if (get_int(id, "foreign_writers") > 0)
		out_field(WIDTH, "", "%lld closed because another process wrote to the connection",
			  get_int(id, "foreign_writers"));
	out_field(WIDTH, "quarantined", "%lld", get_int(s, "quarantined"));
}

/* Nothing at all while no entry selects by digest. */
static void put_digests(json_t *s)
{
	json_t *d = json_object_get(s, "digests");
	uint64_t kernel = get_count(d, "kernel"), read = get_count(d, "read"),
		 remembered = get_count(d, "remembered"), refused = get_count(d, "refused");
	char a[32], b[32], c[32];

	if (kernel + read + remembered + refused == 0)
		return;
	out_field(WIDTH, "digests", "%s by the kernel, %s read, %s remembered, %s refused",
		  out_count(kernel, a, sizeof(a)), out_count(read, b, sizeof(b)),
		  out_count(remembered, c, sizeof(c)), out_count(refused, (char[32]){0}, 32));
}

static void put_containers(json_t *s)
{
	json_t *c = json_object_get(s, "containers");
	uint64_t count = get_count(c, "count");
	char a[32], b[32], d[32], e[32], f[32];

	if (count == 0)
		return;
	out_field(WIDTH, "containers",
		  "%s, %s with what a runtime knows, %s unknown, %s late, %s runtimes listened to",
		  out_count(count, a, sizeof(a)), out_count(get_count(c, "known"), b, sizeof(b)),
		  out_count(get_count(c, "unknown"), d, sizeof(d)),
		  out_count(get_count(c, "late"), e, sizeof(e)),
		  out_count(get_count(c, "streams"), f, sizeof(f)));
	if (get_count(c, "lists"))
		out_field(WIDTH, "kubelet",
			  "%s lists of pods, %s failed, %s containers known by them",
			  out_count(get_count(c, "lists"), a, sizeof(a)),
			  out_count(get_count(c, "lists_failed"), b, sizeof(b)),
			  out_count(get_count(c, "by_kubelet"), d, sizeof(d)));
}

/* Who was turned away by which limit, those with the most first. */
static void put_limits(json_t *s)
{
	struct out_table *t = out_table_new("  LIMIT,OF,REFUSED");
	json_t *limit;
	char n[32];
	size_t i;

	json_array_foreach (json_object_get(s, "limits"), i, limit) {
		const char *id = get_string(limit, "spiffe_id", "");

		out_cell(t, OUT_PLAIN, "  %s", get_string(limit, "limit", "?"));
		if (*id)
			out_cell(t, OUT_PLAIN, "%s", id);
		else if (get_int(limit, "netns"))
			out_cell(t, OUT_PLAIN, "network namespace %lld", get_int(limit, "netns"));
		else
			out_cell(t, OUT_PLAIN, "others");
		out_cell(t, OUT_PLAIN, "%s", out_count(get_count(limit, "refused"), n, sizeof(n)));
	}
	out_table_end(t, "  nobody");
}

static void put_kernel(json_t *s)
{
	json_t *bpf = json_object_get(s, "bpf");
	char a[32], b[32], c[32];

	out_field(WIDTH, "programs", "%lld attached, %s of maps", get_int(bpf, "programs"),
		  out_bytes(get_count(bpf, "map_bytes"), a, sizeof(a)));
	out_field(WIDTH, "trouble", "%s recursion misses, %s malformed records",
		  out_count(get_count(bpf, "recursion_misses"), b, sizeof(b)),
		  out_count(get_count(bpf, "malformed"), c, sizeof(c)));
}

static void put_events(json_t *s)
{
	json_t *value;
	const char *key;
	char n[32];
	int width = 0;

	json_object_foreach (json_object_get(s, "events"), key, value)
		width = (int)strlen(key) > width ? (int)strlen(key) : width;
	json_object_foreach (json_object_get(s, "events"), key, value) {
		uint64_t count = (uint64_t)json_integer_value(value);

		out_print("  %s%-*s%s  %12s\n", out_on(stdout, OUT_DIM), width, key,
			  out_off(stdout), out_count(count, n, sizeof(n)));
	}
}

static void put_tiers(json_t *s)
{
	struct out_table *t = out_table_new("  CONCERN,TIER,HOW");
	json_t *tier;
	size_t i;

	json_array_foreach (json_object_get(s, "tiers"), i, tier) {
		out_cell(t, OUT_PLAIN, "  %s", get_string(tier, "concern", "?"));
		out_cell(t, OUT_BOLD, "%s", get_string(tier, "tier", "?"));
		out_cell(t, OUT_PLAIN, "%s", get_string(tier, "detail", ""));
	}
	out_table_end(t, "  none");
}

/* Nothing at all where nothing is missing. */
static void put_lacks(json_t *s)
{
	json_t *lack;
	size_t i;

	if (json_array_size(json_object_get(s, "lacks")) == 0)
		return;
	out_heading("What is missing here");
	json_array_foreach (json_object_get(s, "lacks"), i, lack)
		out_print("  %s%s%s: %s\n",
			  out_on(stdout, get_bool(lack, "unprotected") ? OUT_RED : OUT_BOLD),
			  get_string(lack, "capability", "?"), out_off(stdout),
			  get_string(lack, "follows", "?"));
}

static void put_capabilities(json_t *s)
{
	struct out_table *t = out_table_new("  CAPABILITY,WORKS,TRIED");
	json_t *cap;
	size_t i;

	json_array_foreach (json_object_get(s, "capabilities"), i, cap) {
		bool works = get_bool(cap, "works");

		out_cell(t, OUT_PLAIN, "  %s", get_string(cap, "name", "?"));
		out_cell(t, works ? OUT_GREEN : OUT_DIM, "%s", out_sign(works ? OUT_YES : OUT_NO));
		out_cell(t, OUT_PLAIN, "%s", get_string(cap, "detail", ""));
	}
	out_table_end(t, "  none");
}

static int do_status(const struct cli_args *args)
{
	json_t *s = cli_call("status", NULL);

	if (!s)
		return CLI_FAIL;
	if (cli.json) {
		out_json(s);
		goto out;
	}
	put_head(s);
	put_processes(s);
	put_config(s);
	put_cache(s);
	out_heading("Work");
	put_work(s);
	put_digests(s);
	put_containers(s);
	out_heading("Turned away by limits");
	put_limits(s);
	out_heading("Kernel side");
	put_kernel(s);
	put_events(s);
	out_heading("Tiers");
	put_tiers(s);
	put_lacks(s);
	out_heading("What this kernel gives");
	put_capabilities(s);
out:
	json_decref(s);
	return CLI_OK;
}

const struct cli_command cmd_status = {
	.name = "status",
	.help = "what the daemon runs, sees and serves, and what this kernel gives",
	.run = do_status,
};
