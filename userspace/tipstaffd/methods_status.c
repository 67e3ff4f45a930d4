/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/relays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/version.h"
#include "tipstaffd/capabilities.h"
#include "tipstaffd/lacks.h"

static json_int_t rss_kib(pid_t pid)
{
	char path[64];
	unsigned long total, resident = 0;
	FILE *f;

	if (pid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lu %lu", &total, &resident) != 2)
		resident = 0;
	fclose(f);
	return (json_int_t)(resident * (unsigned long)sysconf(_SC_PAGESIZE) / 1024);
}

static void add_tier(json_t *list, const char *concern, const char *tier, const char *detail)
{
	json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "concern", concern, "tier", tier,
					      "detail", detail));
}

static void add_records(json_t *list, const struct tip_keeper *k)
{
	const struct tip_capability_result *ktls = &k->caps[TIP_CAP_KTLS];
	char detail[240];

	if (tip_relays_ktls(k)) {
		add_tier(list, "mtls records", "kernel", ktls->detail);
		return;
	}
	if (k->config->records == TIP_RECORDS_USER)
		snprintf(detail, sizeof(detail),
			 "by OpenSSL in the front: records: user in the configuration");
	else
		snprintf(detail, sizeof(detail), "by OpenSSL in the front; kTLS: %s", ktls->detail);
	add_tier(list, "mtls records", "user", detail);
}

/* What was chosen for each concern, and what a better kernel or a later version would add. */
static json_t *tiers(const struct tip_keeper *k)
{
	json_t *list = json_array();

	if (tip_sensor_sensing(k->sensor) == TIP_SENSING_KERNEL)
		add_tier(list, "sensing", "fexit",
			 "fentry and fexit in the kernel's own functions: io_uring is seen, names "
			 "are those that the kernel used");
	else if (k->sensing_refused[0])
		add_tier(list, "sensing", "sys_exit", k->sensing_refused);
	else
		add_tier(list, "sensing", "sys_exit",
			 "system calls at their exit: of io_uring what it is asked for");
	if (!k->config->enforcement)
		add_tier(list, "enforcement", "off", "enforcement: off in the configuration");
	else if (tip_keeper_tier(k) == TIP_GUARD_LSM)
		add_tier(list, "enforcement", "lsm",
			 "deny before the act: EPERM by BPF LSM, and by cgroup hooks for connect");
	else
		add_tier(list, "enforcement", "kill",
			 "SIGKILL when an open ends, EPERM for connect; BPF LSM, which denies "
			 "before the act, does not work here");
	if (k->relays.intercept) {
		add_tier(list, "mtls", "relay",
			 "TLS 1.3 over IPv4; connect() is held until the peer is known");
		add_records(list, k);
	} else {
		add_tier(list, "mtls", "off",
			 k->config->traffic ? "cgroup2 is mounted nowhere"
					    : "traffic.files is not in the configuration");
	}
	json_array_append_new(list, tip_digests_tier(k));
	return list;
}

static json_t *counters(const struct tip_sensor_stats *s)
{
	static const char *const names[TIP_CTR_MAX] = {
		[TIP_CTR_LIFECYCLE_SENT] = "lifecycle_sent",
		[TIP_CTR_LIFECYCLE_DROPPED] = "lifecycle_dropped",
		[TIP_CTR_ACTIVITY_SENT] = "activity_sent",
		[TIP_CTR_ACTIVITY_DROPPED] = "activity_dropped",
		[TIP_CTR_FILTERED] = "filtered",
		[TIP_CTR_PROCS_FULL] = "procs_full",
		[TIP_CTR_KILLS] = "kills",
		[TIP_CTR_DENIED] = "denied",
		[TIP_CTR_JUDGES_BUSY] = "judges_busy",
		[TIP_CTR_CONNECT_DENIED] = "connect_denied",
		[TIP_CTR_PEERS_FULL] = "peers_full",
		[TIP_CTR_REDIRECTED] = "redirected",
		[TIP_CTR_REDIRECTS_FULL] = "redirects_full",
		[TIP_CTR_NO_WORKER] = "no_worker",
		[TIP_CTR_LISTENERS_FULL] = "listeners_full",
		[TIP_CTR_LOCAL_UNKNOWN] = "local_unknown",
		[TIP_CTR_STEERED] = "steered",
		[TIP_CTR_STEER_REFUSED] = "steer_refused",
		[TIP_CTR_PLAIN_STOPPED] = "plain_stopped",
		[TIP_CTR_VETH_STOPPED] = "veth_stopped",
		[TIP_CTR_EXEC_CACHED] = "exec_cached",
		[TIP_CTR_DIGEST_HASHED] = "digest_hashed",
		[TIP_CTR_DIGEST_REMEMBERED] = "digest_remembered",
		[TIP_CTR_PREFILTERED] = "prefiltered",
	};
	json_t *o = json_object();

	for (int i = 0; i < TIP_CTR_DROPS_TOLD; i++)
		json_object_set_new(o, names[i], json_integer((json_int_t)s->counters[i]));
	return o;
}

static json_t *alert_counts(struct tip_keeper *k)
{
	struct tip_alerts_stats s;
	json_t *by = json_object(), *sinks = json_array();

	tip_alerts_stats(k->alerts, &s);
	for (int i = TIP_PRIO_EMERGENCY; i <= TIP_PRIO_DEBUG; i++)
		json_object_set_new(by, tip_priority_name((enum tip_priority)i),
				    json_integer((json_int_t)s.by_priority[i]));
	for (size_t i = 0; i < s.nsinks; i++)
		json_array_append_new(
			sinks,
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
				  s.sinks[i].name, "written", (json_int_t)s.sinks[i].stats.written,
				  "dropped", (json_int_t)s.sinks[i].stats.dropped, "refused",
				  (json_int_t)s.sinks[i].stats.refused, "timeouts",
				  (json_int_t)s.sinks[i].stats.timeouts, "waiting",
				  (json_int_t)s.sinks[i].stats.waiting, "spooled",
				  (json_int_t)s.sinks[i].stats.spooled, "spool_bytes",
				  (json_int_t)s.sinks[i].stats.spool_bytes, "spool_damaged",
				  (json_int_t)s.sinks[i].stats.spool_damaged));
	return json_pack("{s:I, s:o, s:o}", "total", (json_int_t)s.total, "by_priority", by,
			 "sinks", sinks);
}

static json_t *rule_counts(const struct tip_keeper *k)
{
	size_t count = tip_rules_count(k->rules.active), enabled = 0;
	uint64_t suppressed = 0;
	char loaded[40];

	tip_clock_iso8601(k->rules.loaded_ns, loaded, sizeof(loaded));
	for (size_t i = 0; i < count; i++) {
		enabled += tip_rule_info(tip_rules_get(k->rules.active, i))->enabled;
		suppressed += k->rules.rates[i].suppressed;
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "suppressed",
			 (json_int_t)suppressed, "files", (json_int_t)k->rules.nfiles, "sets",
			 (json_int_t)k->rules.sets.count, "count", (json_int_t)count, "enabled",
			 (json_int_t)enabled, "waiting", (json_int_t)tip_pipeline_waiting(k),
			 "not_held", (json_int_t)tip_pipeline_not_held(k), "hurried",
			 (json_int_t)k->rules.hurried, "loaded", loaded);
}

static json_t *identity_counts(const struct tip_keeper *k)
{
	const uint32_t *n = k->front.stats.numbers;
	const uint64_t *c = k->front.stats.counters;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "entries",
			 (json_int_t)k->entries.count, "execs", (json_int_t)n[1], "svids",
			 (json_int_t)n[2], "connections", (json_int_t)n[3], "streams",
			 (json_int_t)n[4], "bad_records", (json_int_t)n[5], "issued",
			 (json_int_t)c[0], "renewed", (json_int_t)c[1], "calls", (json_int_t)c[2],
			 "denied", (json_int_t)c[3], "foreign_writers", (json_int_t)c[4],
			 "no_record", (json_int_t)k->workload.no_record);
}

static json_t *process_counts(const struct tip_keeper *k)
{
	struct tip_process_stats s;

	tip_process_stats(k->table, &s);
	return json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)s.count, "living",
			 (json_int_t)s.living, "evictions", (json_int_t)s.evictions, "unknown",
			 (json_int_t)s.unknown);
}

TIP_METHOD(tip_method_status)
{
	struct tip_keeper *k = ctx;
	const struct tip_config *c = k->config;
	struct tip_sensor_stats s;
	json_t *o = json_object(), *scope = json_array();
	char pins[128];

	tip_sensor_stats(k->sensor, &s);
	for (size_t i = 0; i < c->nscope; i++)
		json_array_append_new(scope, json_string(c->scope[i]));
	snprintf(pins, sizeof(pins), TIP_PIN_ROOT "/%s/v%d", c->instance, TIP_ABI_VERSION);
	json_object_set_new(o, "version", json_string(TIP_VERSION));
	json_object_set_new(o, "instance", json_string(c->instance));
	json_object_set_new(o, "trust_domain", json_string(c->trust_domain));
	json_object_set_new(o, "uptime_s",
			    json_integer((json_int_t)((tip_clock_monotonic() - k->started_ns) /
						      TIP_NSEC_PER_SEC)));
	json_object_set_new(o, "adopted", json_boolean(tip_sensor_adopted(k->sensor)));
	json_object_set_new(o, "enforcement", json_boolean(c->enforcement));
	json_object_set_new(o, "scope", scope);
	json_object_set_new(o, "pins", json_string(pins));
	json_object_set_new(o, "cache", tip_cache_status(k));
	json_object_set_new(
		o, "keeper",
		json_pack("{s:i, s:I}", "pid", (int)getpid(), "rss_kb", rss_kib(getpid())));
	json_object_set_new(o, "front",
			    json_pack("{s:i, s:s, s:I, s:b, s:I, s:I}", "pid", (int)k->front.pid,
				      "user", k->front.user, "uid", (json_int_t)k->front.uid,
				      "running", (int)k->front.ready, "restarts",
				      (json_int_t)k->front.restarts, "rss_kb",
				      rss_kib(k->front.pid)));
	json_object_set_new(o, "capabilities", tip_capabilities_json(k->caps));
	json_object_set_new(o, "tiers", tiers(k));
	json_object_set_new(o, "lacks", tip_lacks_json(k));
	json_object_set_new(o, "rules", rule_counts(k));
	json_object_set_new(o, "alerts", alert_counts(k));
	json_object_set_new(o, "events", counters(&s));
	json_object_set_new(o, "accounts", tip_accounts_json(k));
	json_object_set_new(o, "processes", process_counts(k));
	json_object_set_new(o, "identity", identity_counts(k));
	json_object_set_new(o, "containers", tip_containers_json(k));
	json_object_set_new(o, "digests", tip_digests_counts(k));
	json_object_set_new(o, "relays", tip_relays_stats(k));
	json_object_set_new(o, "limits", tip_quota_json(k));
	json_object_set_new(o, "quarantined",
			    json_integer((json_int_t)tip_guard_quarantine_count(k->guard)));
	json_object_set_new(o, "bpf",
			    json_pack("{s:I, s:I, s:I, s:I}", "programs", (json_int_t)s.programs,
				      "map_bytes", (json_int_t)s.map_bytes, "recursion_misses",
				      (json_int_t)s.recursion_misses, "malformed",
				      (json_int_t)s.malformed));
	return o;
}

/* ---- processes --------------------------------------------------------------------------- */

/* Bytes that are no UTF-8 become U+FFFD, as in alerts. */
static json_t *json_text(const char *s, size_t len)
{
	struct tip_buf b = {0};
	json_t *v;

	tip_buf_add_json_string(&b, s, len);
	v = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	tip_buf_free(&b);
	return v ? v : json_string("");
}

static json_t *command_line(const struct tip_process *p)
{
	struct tip_buf b = {0};
	json_t *v;

	for (size_t i = 0; i < p->args_len; i++)
		tip_buf_addc(&b, p->args[i] ? p->args[i] : ' ');
	while (b.len && b.data[b.len - 1] == ' ')
		b.data[--b.len] = '\0';
	v = json_text(b.data ? b.data : "", b.len);
	tip_buf_free(&b);
	return v;
}

static void add_process(void *ctx, struct tip_process *p)
{
	const char *state = p->current == TIP_ID_PENDING ? "pending"
			    : p->current == TIP_ID_NONE  ? "none"
							 : "bound";
	char start[40];

	tip_clock_iso8601(tip_clock_boot_to_real(p->key.start_ns), start, sizeof(start));
	json_array_append_new(
		ctx,
		json_pack(
			"{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:s, s:s, s:s?, s:s?, s:s}",
			"pid", (json_int_t)p->key.tgid, "ppid", (json_int_t)p->ppid, "exec_id",
			(json_int_t)p->exec_id, "uid", (json_int_t)p->uid, "gid",
			(json_int_t)p->gid, "name", json_text(p->comm, strlen(p->comm)), "exepath",
			json_text(p->exe_path, strlen(p->exe_path)), "cmdline", command_line(p),
			"cgroup", json_text(p->cgroup, strlen(p->cgroup)), "container_id",
			p->container_id, "state", state, "spiffe_id", p->spiffe_id, "origin_id",
			p->origin_id ? p->origin_id : p->spiffe_id, "start", start));
}

TIP_METHOD(tip_method_processes)
{
	struct tip_keeper *k = ctx;
	json_t *list = json_array();

	tip_sensor_poll_lifecycle(k->sensor);
	tip_process_each(k->table, add_process, list);
	return json_pack("{s:o}", "processes", list);
}
