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
#include "base/map.h"
#include "base/mem.h"
#include "base/version.h"
#include "tipstaffd/usage.h"

/*
 * What became of every act, in one place: `status` and the two alerts that Falco raises about
 * itself have their figures from here.
 */
#define RULE_DROPS   "Falco internal: syscall event drop"
#define RULE_METRICS "Falco internal: metrics snapshot"

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
	struct tip_usage u;
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
	if (!k->config->metrics || !k->config->metrics_resources)
		return;
	tip_usage_read("/proc", &u);
	a->metrics_host_busy = u.host_busy;
	a->metrics_host_ticks = u.host_ticks;
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
	struct tip_alert_member *list;
	size_t count;
	bool with_empty; /* figures that are 0 too */
};

/* Adds a member; takes the value. */
static void add(struct snapshot *s, const char *key, json_t *value)
{
	struct tip_buf name = {0};
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));

	json_decref(value);
	if (!text)
		return;
	tip_buf_add_json_string(&name, key, strlen(key));
	s->list = tip_realloc(s->list, s->count + 1, sizeof(*s->list));
	s->list[s->count++] = (struct tip_alert_member){name.data, text};
}

static void add_number(struct snapshot *s, const char *key, uint64_t value)
{
	add(s, key, json_integer((json_int_t)value));
}

/* One that is left out when it is 0, as Falco does it. */
static void add_figure(struct snapshot *s, const char *key, uint64_t value)
{
	if (value || s->with_empty)
		add_number(s, key, value);
}

/* "falco.memory_rss" of so many KiB. */
static void add_memory(struct snapshot *s, const struct tip_keeper *k, const char *what,
		       uint64_t kb)
{
	const bool mb = k->config->metrics_mb;
	char key[64];

	if (!kb && !s->with_empty)
		return;
	snprintf(key, sizeof(key), "falco.%s_%s", what, mb ? "mb" : "kb");
	add(s, key, mb ? json_real((double)kb / 1024) : json_integer((json_int_t)kb));
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

/* A rule's or a file's name as Falco has it in those of figures: letters, digits, _ and : */
static void plain_name(char *name)
{
	char *to = name;

	for (const char *c = name; *c; c++) {
		const bool keep = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
				  (*c >= '0' && *c <= '9') || *c == ':';

		if (keep || to == name || to[-1] != '_')
			*to++ = *c;
		if (!keep)
			to[-1] = '_';
	}
	if (to > name && to[-1] == '_')
		to--;
	*to = '\0';
}

/* "falco.sha256_KIND_file.falco_rules_yaml" */
static void add_file(struct snapshot *s, const char *kind, const char *path, const char *sha256)
{
	const char *slash = strrchr(path, '/');
	char *name = tip_strdup(slash ? slash + 1 : path), *key;

	plain_name(name);
	key = tip_sprintf("falco.sha256_%s_file.%s", kind, name);
	add(s, key, json_string(sha256));
	free(key);
	free(name);
}

/* How often each rule matched. Of two whose names become the same the first is there. */
static void add_each_rule(struct snapshot *s, const struct tip_keeper *k)
{
	struct tip_map *seen = tip_map_new();

	for (size_t i = 0; i < tip_rules_count(k->rules.active); i++) {
		const struct tip_rule_info *r = tip_rule_info(tip_rules_get(k->rules.active, i));
		char *key = tip_sprintf("falco.rules.%s", r->name);

		plain_name(key + strlen("falco.rules."));
		if (!tip_map_gets(seen, key)) {
			tip_map_puts(seen, key, seen);
			add_figure(s, key, k->rules.rates[r->index].matched);
		}
		free(key);
	}
	tip_map_free(seen, NULL);
}

static void add_rules(struct snapshot *s, struct tip_keeper *k)
{
	struct tip_alerts_stats st;
	uint64_t lost = 0;

	tip_alerts_stats(k->alerts, &st);
	for (size_t i = 0; i < st.nsinks; i++)
		lost += st.sinks[i].stats.dropped;
	add_number(s, "falco.outputs_queue_num_drops", lost);
	if (k->config->metrics_rules) {
		add_number(s, "falco.rules.matches_total", st.rules);
		add_each_rule(s, k);
	}
	add_file(s, "config", k->config->file, k->config->sha256);
	for (size_t i = 0; i < k->rules.nfiles; i++)
		add_file(s, "rules", k->rules.files[i], k->rules.sha256[i]);
}

/* Of the keeper, and of the host. Shares of CPU time are those since the last snapshot. */
static void add_resources(struct snapshot *s, struct tip_keeper *k, double seconds)
{
	struct tip_keeper_accounts *a = &k->accounts;
	struct timespec cpu = {0};
	struct tip_usage u;
	uint64_t cpu_ns, ticks;

	tip_usage_read("/proc", &u);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	cpu_ns = (uint64_t)cpu.tv_sec * TIP_NSEC_PER_SEC + (uint64_t)cpu.tv_nsec;
	ticks = u.host_ticks - a->metrics_host_ticks;
	add(s, "falco.cpu_usage_perc",
	    json_real((double)(cpu_ns - a->metrics_cpu_ns) / TIP_NSEC_PER_SEC / seconds * 100));
	add(s, "falco.host_cpu_usage_perc",
	    json_real(ticks ? (double)(u.host_busy - a->metrics_host_busy) / (double)ticks * 100
			    : 0));
	add_memory(s, k, "memory_rss", u.rss_kb);
	add_memory(s, k, "memory_pss", u.pss_kb);
	add_memory(s, k, "memory_vsz", u.vsz_kb);
	add_memory(s, k, "host_memory_used", u.host_memory_used_kb);
	add_figure(s, "falco.host_procs_running", u.host_procs_running);
	add_figure(s, "falco.host_open_fds", u.host_open_fds);
	a->metrics_cpu_ns = cpu_ns;
	a->metrics_host_busy = u.host_busy;
	a->metrics_host_ticks = u.host_ticks;
}

static void add_self(struct snapshot *s, struct tip_keeper *k)
{
	struct utsname uts = {0};

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
	add_number(s, "falco.reload_ts", k->rules.loaded_ns);
}

/* The table of processes, and that of containers. */
static void add_state(struct snapshot *s, struct tip_keeper *k)
{
	struct tip_container_stats c;
	struct tip_process_stats p;

	tip_process_stats(k->table, &p);
	tip_containers_stats(tip_process_containers(k->table), &c);
	add_number(s, "falco.n_threads", p.living);
	add_figure(s, "falco.n_drops_full_threadtable", p.evictions);
	add_figure(s, "plugins.container.n_containers", c.count);
}

static void add_kernel(struct snapshot *s, const struct tip_keeper *k, const struct totals *t,
		       double seconds)
{
	const struct tip_keeper_accounts *a = &k->accounts;
	const uint64_t events = t->events - a->metrics_events, drops = t->drops - a->metrics_drops;

	add(s, "scap.engine_name", json_string("modern_bpf"));
	add_number(s, "scap.n_evts", t->events);
	add_number(s, "scap.n_evts_prev", a->metrics_events);
	add_number(s, "scap.n_drops", t->drops);
	add_number(s, "scap.n_drops_prev", a->metrics_drops);
	add_figure(s, "scap.n_drops_buffer_total", t->drops);
	add_figure(s, "scap.n_drops_bug", 0);
	add(s, "scap.n_drops_perc", json_real(events ? (double)drops / (double)events * 100 : 0));
	add(s, "scap.evts_rate_sec", json_real((double)events / seconds));
	add(s, "scap.evts_drop_rate_sec", json_real((double)drops / seconds));
}

static void add_events(struct snapshot *s, struct tip_keeper *k, const struct totals *t,
		       double seconds)
{
	struct tip_keeper_accounts *a = &k->accounts;

	add_number(s, "falco.num_evts", k->evt_num);
	add_number(s, "falco.num_evts_prev", a->metrics_evt_num);
	add(s, "falco.evts_rate_sec",
	    json_real((double)(k->evt_num - a->metrics_evt_num) / seconds));
	if (k->config->metrics_kernel)
		add_kernel(s, k, t, seconds);
	add_account(s, "lifecycle", &t->rings[TIP_ACCOUNT_LIFECYCLE]);
	add_account(s, "activity", &t->rings[TIP_ACCOUNT_ACTIVITY]);
	add(s, "tipstaff.activity.tier", json_string(activity_tier(k)));
	a->metrics_evt_num = k->evt_num;
	a->metrics_events = t->events;
	a->metrics_drops = t->drops;
}

static void tell_metrics(struct tip_keeper *k, const struct totals *t)
{
	struct tip_keeper_accounts *a = &k->accounts;
	const uint64_t now = tip_clock_monotonic();
	const double seconds = (double)(now - a->metrics_at) / TIP_NSEC_PER_SEC;
	struct snapshot s = {.with_empty = k->config->metrics_empty};

	a->metrics_at = now;
	add_self(&s, k);
	if (k->config->metrics_resources)
		add_resources(&s, k, seconds);
	if (k->config->metrics_state)
		add_state(&s, k);
	add_events(&s, k, t, seconds);
	add_rules(&s, k);
	tip_alert_internal(k->alerts, RULE_METRICS, TIP_PRIO_INFORMATIONAL, s.list, s.count,
			   RULE_METRICS);
	for (size_t i = 0; i < s.count; i++) {
		free((char *)s.list[i].key);
		free((char *)s.list[i].value);
	}
	free(s.list);
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
