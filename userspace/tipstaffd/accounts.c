/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"

/*
 * What became of every act, in one place: `status` and the two alerts that Falco raises about
 * itself have their figures from here.
 */
#define RULE_DROPS   "Falco internal: syscall event drop"
#define RULE_METRICS "Falco internal: metrics snapshot"
#define MEMBERS_MAX  (96 + 64) /* of a snapshot: figures, and files of rules */

struct totals {
	struct tip_sensor_account rings[TIP_ACCOUNTS];
	uint64_t events; /* all that was generated and not filtered, as Falco counts its events */
	uint64_t drops;
};

static void look(struct tip_keeper *k, struct totals *t)
{
	tip_sensor_accounts(k->sensor, t->rings);
	t->events = t->drops = 0;
	for (int i = 0; i < TIP_ACCOUNTS; i++) {
		t->drops += t->rings[i].dropped;
		t->events += t->rings[i].generated - t->rings[i].filtered - t->rings[i].missed;
	}
}

static json_t *account_json(const struct tip_sensor_account *a, const char *tier)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "tier", tier, "generated",
			 (json_int_t)a->generated, "delivered", (json_int_t)a->delivered, "waiting",
			 (json_int_t)a->waiting, "filtered", (json_int_t)a->filtered, "dropped",
			 (json_int_t)a->dropped, "missed", (json_int_t)a->missed);
}

static const char *activity_tier(const struct tip_keeper *k)
{
	return tip_sensor_sensing(k->sensor) == TIP_SENSING_KERNEL ? "fexit" : "sys_exit";
}

json_t *tip_accounts_json(struct tip_keeper *k)
{
	struct tip_sensor_account a[TIP_ACCOUNTS];

	tip_sensor_accounts(k->sensor, a);
	return json_pack("{s:o, s:o}", "lifecycle",
			 account_json(&a[TIP_ACCOUNT_LIFECYCLE], "tp_btf"), "activity",
			 account_json(&a[TIP_ACCOUNT_ACTIVITY], activity_tier(k)));
}

void tip_accounts_begin(struct tip_keeper *k)
{
	struct tip_keeper_accounts *a = &k->accounts;
	uint64_t c[TIP_CTR_MAX];
	struct totals t;

	tip_sensor_counters(k->sensor, c);
	look(k, &t);
	a->lifecycle_drops_seen = c[TIP_CTR_LIFECYCLE_DROPPED];
	a->drops_told = c[TIP_CTR_DROPS_TOLD];
	a->drops_seen = a->metrics_drops = t.drops;
	a->to_tell = t.drops > a->drops_told;
	a->events_seen = a->metrics_events = t.events;
	a->tokens = k->config->drops_burst;
	a->metrics_at = tip_clock_monotonic();
}

/* ---- events that were lost ---------------------------------------------------------------------
 */

static void tell_drops(struct tip_keeper *k, const struct totals *t)
{
	const struct tip_sensor_account *life = &t->rings[TIP_ACCOUNT_LIFECYCLE];
	const struct tip_sensor_account *acts = &t->rings[TIP_ACCOUNT_ACTIVITY];
	struct {
		const char *key;
		uint64_t value;
		char text[24];
	} fields[] = {
		{"\"ebpf_enabled\"", 1},
		{"\"n_evts\"", t->events},
		{"\"n_drops\"", t->drops},
		{"\"n_drops_bug\"", 0},
		{"\"n_drops_page_faults\"", 0},
		{"\"n_drops_scratch_map\"", 0},
		{"\"n_drops_buffer_total\"", t->drops},
		/* Of our rings one has lives and deaths, the other all else. */
		{"\"n_drops_buffer_clone_fork_exit\"", 0},
		{"\"n_drops_buffer_execve_exit\"", 0},
		{"\"n_drops_buffer_connect_exit\"", 0},
		{"\"n_drops_buffer_open_exit\"", 0},
		{"\"n_drops_buffer_dir_file_exit\"", 0},
		{"\"n_drops_buffer_other_interest_exit\"", acts->dropped},
		{"\"n_drops_buffer_close_exit\"", 0},
		{"\"n_drops_buffer_proc_exit\"", life->dropped},
		{"\"tipstaff.lost\"", t->drops - k->accounts.drops_told},
	};
	struct tip_alert_member members[TIP_ARRAY_SIZE(fields)];

	for (size_t i = 0; i < TIP_ARRAY_SIZE(fields); i++) {
		snprintf(fields[i].text, sizeof(fields[i].text), "\"%" PRIu64 "\"",
			 fields[i].value);
		members[i] = (struct tip_alert_member){fields[i].key, fields[i].text};
	}
	tip_alert_internal(k->alerts, RULE_DROPS, TIP_PRIO_DEBUG, members, TIP_ARRAY_SIZE(members),
			   RULE_DROPS ". %" PRIu64 " system calls dropped since the last one.",
			   t->drops - k->accounts.drops_told);
}

/* What is not told now for being too much at once is in the figures of the next one. */
static void on_drops(struct tip_keeper *k, const struct totals *t)
{
	const struct tip_config *c = k->config;
	struct tip_keeper_accounts *a = &k->accounts;
	uint64_t lost = t->drops - a->drops_told;
	uint64_t dropped = t->drops - a->drops_seen, events = t->events - a->events_seen;

	a->tokens += c->drops_rate;
	if (a->tokens > c->drops_burst)
		a->tokens = c->drops_burst;
	a->drops_seen = t->drops;
	a->events_seen = t->events;
	if (dropped) {
		a->drops_noticed++;
		a->to_tell |= (double)dropped >= c->drops_threshold * (double)events;
	}
	if (!a->to_tell || a->tokens < 1)
		return;
	a->to_tell = false;
	a->tokens -= 1;
	a->drops_acted++;
	if (c->drops_actions & TIP_DROPS_LOG)
		tip_warn("sensor",
			 "%" PRIu64 " events were lost: a ring was full (%" PRIu64 " of %" PRIu64
			 " since the pins were made)",
			 lost, t->drops, t->events);
	if (c->drops_actions & TIP_DROPS_ALERT)
		tell_drops(k, t);
	a->drops_told = t->drops;
	tip_sensor_drops_told(k->sensor, t->drops);
	if (c->drops_actions & TIP_DROPS_EXIT) {
		tip_err("sensor", "events were lost, and drops.actions says exit");
		k->exit_code = 1;
		event_base_loopbreak(k->base);
	}
}

/* ---- the snapshot
 * --------------------------------------------------------------------------------
 */

struct snapshot {
	struct tip_alert_member list[MEMBERS_MAX];
	size_t count;
};

/* Adds a member; takes the value. */
static void add(struct snapshot *s, const char *key, json_t *value)
{
	struct tip_buf name = {0};
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));

	json_decref(value);
	if (!text || s->count == MEMBERS_MAX) {
		free(text);
		return;
	}
	tip_buf_add_json_string(&name, key, strlen(key));
	s->list[s->count++] = (struct tip_alert_member){name.data, text};
}

static void add_number(struct snapshot *s, const char *key, uint64_t value)
{
	add(s, key, json_integer((json_int_t)value));
}

/* "VmRSS:   123 kB" of our own status, in MB. */
static double memory_mb(const char *what)
{
	char line[128];
	unsigned long kb = 0;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, what, strlen(what)) == 0 &&
		    sscanf(line + strlen(what), ": %lu", &kb))
			break;
	if (f)
		fclose(f);
	return (double)kb / 1024;
}

static void add_account(struct snapshot *s, const char *ring, const struct tip_sensor_account *a)
{
	const struct {
		const char *name;
		uint64_t value;
	} figures[] = {
		{"generated", a->generated}, {"delivered", a->delivered}, {"waiting", a->waiting},
		{"filtered", a->filtered},   {"dropped", a->dropped},     {"missed", a->missed},
	};
	char key[64];

	for (size_t i = 0; i < TIP_ARRAY_SIZE(figures); i++) {
		snprintf(key, sizeof(key), "tipstaff.%s.%s", ring, figures[i].name);
		add_number(s, key, figures[i].value);
	}
}

static void add_rules(struct snapshot *s, struct tip_keeper *k)
{
	struct tip_alerts_stats st;
	uint64_t lost = 0;

	tip_alerts_stats(k->alerts, &st);
	for (size_t i = 0; i < st.nsinks; i++)
		lost += st.sinks[i].stats.dropped;
	add_number(s, "falco.outputs_queue_num_drops", lost);
	add_number(s, "falco.rules.matches_total", st.rules);
	for (size_t i = 0; i < k->rules.nfiles; i++) {
		const char *slash = strrchr(k->rules.files[i], '/');
		char *name = tip_strdup(slash ? slash + 1 : k->rules.files[i]);
		char *key;

		/* As Falco names it: falco_rules.yaml is falco_rules. */
		name[strcspn(name, ".")] = '\0';
		key = tip_sprintf("falco.sha256_rules_file.%s", name);
		add(s, key, json_string(k->rules.sha256[i]));
		free(key);
		free(name);
	}
}

static void add_self(struct snapshot *s, struct tip_keeper *k, double seconds)
{
	struct tip_keeper_accounts *a = &k->accounts;
	struct timespec cpu = {0};
	struct utsname uts = {0};
	uint64_t cpu_ns;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	cpu_ns = (uint64_t)cpu.tv_sec * TIP_NSEC_PER_SEC + (uint64_t)cpu.tv_nsec;
	uname(&uts);
	add(s, "evt.hostname", json_string(k->hostname));
	add(s, "evt.source", json_string("syscall"));
	add(s, "falco.version", json_string(TIP_VERSION));
	add(s, "falco.kernel_release", json_string(uts.release));
	add_number(s, "falco.host_boot_ts", tip_clock_boot_to_real(0));
	add_number(s, "falco.host_num_cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	add_number(s, "falco.duration_sec",
		   (tip_clock_monotonic() - k->started_ns) / TIP_NSEC_PER_SEC);
	add_number(s, "falco.start_ts", tip_clock_real() - (tip_clock_monotonic() - k->started_ns));
	add(s, "falco.cpu_usage_perc",
	    json_real((double)(cpu_ns - a->metrics_cpu_ns) / TIP_NSEC_PER_SEC / seconds * 100));
	add(s, "falco.memory_rss_mb", json_real(memory_mb("VmRSS")));
	add(s, "falco.memory_vsz_mb", json_real(memory_mb("VmSize")));
	a->metrics_cpu_ns = cpu_ns;
}

static void add_events(struct snapshot *s, struct tip_keeper *k, const struct totals *t,
		       double seconds)
{
	struct tip_keeper_accounts *a = &k->accounts;
	const uint64_t events = t->events - a->metrics_events, drops = t->drops - a->metrics_drops;
	struct tip_process_stats p;

	tip_process_stats(k->table, &p);
	add_number(s, "falco.num_evts", k->evt_num);
	add_number(s, "falco.n_threads", p.living);
	add(s, "falco.evts_rate_sec", json_real((double)events / seconds));
	add(s, "scap.engine_name", json_string("modern_bpf"));
	add_number(s, "scap.n_evts", t->events);
	add_number(s, "scap.n_evts_prev", a->metrics_events);
	add_number(s, "scap.n_drops", t->drops);
	add_number(s, "scap.n_drops_prev", a->metrics_drops);
	add_number(s, "scap.n_drops_buffer_total", t->drops);
	add_number(s, "scap.n_drops_bug", 0);
	add(s, "scap.n_drops_perc", json_real(events ? (double)drops / (double)events * 100 : 0));
	add(s, "scap.evts_rate_sec", json_real((double)events / seconds));
	add(s, "scap.evts_drop_rate_sec", json_real((double)drops / seconds));
	add_account(s, "lifecycle", &t->rings[TIP_ACCOUNT_LIFECYCLE]);
	add_account(s, "activity", &t->rings[TIP_ACCOUNT_ACTIVITY]);
	add(s, "tipstaff.activity.tier", json_string(activity_tier(k)));
	a->metrics_events = t->events;
	a->metrics_drops = t->drops;
}

static void tell_metrics(struct tip_keeper *k, const struct totals *t)
{
	struct tip_keeper_accounts *a = &k->accounts;
	const uint64_t now = tip_clock_monotonic();
	const double seconds = (double)(now - a->metrics_at) / TIP_NSEC_PER_SEC;
	struct snapshot *s = tip_alloc(sizeof(*s));

	a->metrics_at = now;
	add_self(s, k, seconds);
	add_events(s, k, t, seconds);
	add_rules(s, k);
	tip_alert_internal(k->alerts, RULE_METRICS, TIP_PRIO_INFORMATIONAL, s->list, s->count,
			   RULE_METRICS);
	for (size_t i = 0; i < s->count; i++) {
		free((char *)s->list[i].key);
		free((char *)s->list[i].value);
	}
	free(s);
}

/* ---- each second, and the end -------------------------------------------------------------------
 */

void tip_accounts_tick(struct tip_keeper *k)
{
	const struct tip_config *c = k->config;
	struct tip_keeper_accounts *a = &k->accounts;
	struct tip_error err;
	struct totals t;

	look(k, &t);
	if (t.rings[TIP_ACCOUNT_LIFECYCLE].dropped != a->lifecycle_drops_seen) {
		/* Births and deaths were missed: ask the kernel who lives. */
		a->lifecycle_drops_seen = t.rings[TIP_ACCOUNT_LIFECYCLE].dropped;
		if (tip_sensor_snapshot(k->sensor, &err) < 0)
			tip_err("sensor", "%s", err.text);
		tip_process_sweep(k->table);
	}
	on_drops(k, &t);
	if (c->metrics &&
	    tip_clock_monotonic() - a->metrics_at >= c->metrics_interval * TIP_NSEC_PER_SEC)
		tell_metrics(k, &t);
	tip_sensor_note_taken(k->sensor);
}

static void log_rule(void *ctx, const char *rule, uint64_t alerts)
{
	tip_info("alert", "rule %s: %" PRIu64, rule, alerts);
}

void tip_accounts_end(struct tip_keeper *k)
{
	struct tip_alerts_stats st;
	struct totals t;

	tip_alerts_stats(k->alerts, &st);
	look(k, &t);
	tip_info("alert", "events detected: %" PRIu64 ", by rules %" PRIu64, st.total, st.rules);
	for (int p = TIP_PRIO_EMERGENCY; p <= TIP_PRIO_DEBUG; p++)
		if (st.by_priority[p])
			tip_info("alert", "severity %s: %" PRIu64,
				 tip_priority_name((enum tip_priority)p), st.by_priority[p]);
	tip_alerts_each_rule(k->alerts, log_rule, NULL);
	tip_info("sensor",
		 "events lost since the pins were made: %" PRIu64
		 ", noticed %u times, acted on %u times",
		 t.drops, k->accounts.drops_noticed, k->accounts.drops_acted);
}
