/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/config_read.h"

#include <string.h>

/* Falco's keys that there are not here, for whoever comes with a falco.yaml. */

/* With which value a key may stay, since it says then what is so anyway. */
enum stays {
	NEVER,
	IF_TRUE,
	IF_FALSE,
	IF_EMPTY,
	IF_OFF, /* a mapping with `enabled: false` */
};

/* docs/alerts.md tells the same. */
static const struct {
	const char *path; /* what is below is told with it */
	enum stays stays;
	const char *instead;
} others[] = {
	{"config_files", NEVER, "the configuration is one file"},
	{"watch_config_files", IF_FALSE,
	 "rules.watch has rule files read again; for the other files send SIGHUP"},
	{"rules_files", NEVER, "write rules.files"},
	{"rules_file", NEVER, "write rules.files"},
	{"rule_files", NEVER, "write rules.files"},
	{"engine", NEVER,
	 "there is one engine; limits.activity_ring_kib and lifecycle_ring_kib are its buffers"},
	{"base_syscalls", NEVER, "what is sensed follows from the rules"},
	{"falco_libs", NEVER, "limits.processes bounds the table of processes"},
	{"load_plugins", IF_EMPTY, "there are no plugins; what containers are is built in"},
	{"plugins", NEVER, "there are no plugins; what containers are is built in (containers)"},
	{"plugins_hostinfo", NEVER, "there are no plugins"},
	{"capture", IF_OFF, "nothing is captured to files"},
	{"webserver", IF_OFF,
	 "there is no web server; `tipstaff status --json` and the metrics snapshot have figures"},
	{"log_stderr", IF_TRUE, "the log goes to stderr, where the service manager takes it"},
	{"log_syslog", IF_FALSE, "the log goes to stderr, where the service manager takes it"},
	{"log_level", NEVER, "write log.level: error, warn, info or debug"},
	{"libs_logger", IF_OFF, "write log.level: error, warn, info or debug"},
	{"syscall_event_timeouts", NEVER,
	 "nothing is polled for events here, so there are no such timeouts; leave it out"},
	{"syscall_event_drops.simulate_drops", IF_FALSE, "drops cannot be pretended"},
	{"file_output.keep_alive", IF_TRUE,
	 "the file is kept open; send SIGUSR1 after it was rotated"},
	{"program_output", IF_OFF,
	 "write alerts.program: {command: [/bin/sh, -c, \"...\"], user: NAME}"},
	{"http_output.insecure", IF_FALSE, "who the server is is always checked"},
	{"http_output.ca_path", IF_EMPTY,
	 "write ca_cert, a file with all of them: /etc/ssl/certs/ca-certificates.crt"},
	{"metrics.output_rule", IF_TRUE, "the snapshot is an alert, or metrics.enabled is false"},
	{"metrics.output_file", IF_EMPTY,
	 "the snapshot is an alert; alerts.file has it with the others"},
	{"metrics.kernel_event_counters_per_cpu_enabled", IF_FALSE,
	 "there are no figures of single CPUs"},
	{"metrics.libbpf_stats_enabled", IF_FALSE,
	 "`bpftool prog` has these figures, with kernel.bpf_stats_enabled"},
	{"metrics.plugins_metrics_enabled", IF_FALSE, "there are no plugins"},
	{"metrics.kernel_iter_event_counters_enabled", IF_FALSE, "there are no such events"},
	{"metrics.jemalloc_stats_enabled", IF_FALSE, "the daemon has no such allocator"},
};

static bool may_stay(enum stays stays, const struct tip_yaml *n)
{
	const struct tip_yaml *enabled;
	bool is;

	switch (stays) {
	case IF_TRUE: return tip_yaml_bool(n, &is) == 0 && is;
	case IF_FALSE: return tip_yaml_bool(n, &is) == 0 && !is;
	case IF_EMPTY: return n->kind == TIP_YAML_SCALAR ? !*n->text : !n->count;
	case IF_OFF:
		enabled = n->kind == TIP_YAML_MAPPING ? tip_yaml_get(n, "enabled") : NULL;
		return enabled && tip_yaml_bool(enabled, &is) == 0 && !is;
	default: return false;
	}
}

int tip_config_falco_key(const struct tip_config_reading *r, const char *path,
			 const struct tip_yaml *key, const struct tip_yaml *value)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(others); i++) {
		if (strcmp(others[i].path, path) != 0)
			continue;
		if (may_stay(others[i].stays, value))
			return 0;
		return tip_error_at(r->err, r->c->file, key->line, key->column,
				    "%s: is Falco's, and not here: %s", path, others[i].instead);
	}
	return 1;
}
