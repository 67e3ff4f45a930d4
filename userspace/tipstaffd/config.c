/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/file.h"
#include "process/container.h"
#include "tipstaffd/config_read.h"
#include "tipstaffd/switches.h"

#define CONFIG_MAX   (1u << 20)
#define PATTERNS_MAX 64
#define SOCKETS_MAX  5

enum kind {
	K_STRING,   /* const char * */
	K_PATH,     /* const char *, absolute */
	K_BOOL,     /* bool */
	K_PATHS,    /* the same, absolute */
	K_CGROUPS,  /* the same, "/..." below the cgroup2 mount */
	K_PATTERNS, /* the same, patterns of file names */
	K_SOCKETS,  /* the same, absolute, a few */
	K_SECONDS,  /* uint32_t, from a duration */
	K_NUMBER,   /* uint32_t */
	K_KIB,      /* uint32_t of bytes, given in KiB, a power of two */
	K_LEVEL,    /* enum tip_log_level */
	K_FORMAT,   /* bool: json */
	K_MATCHING, /* bool: all */
	K_SENSING,  /* enum tip_sensing_choice */
	K_RECORDS,  /* enum tip_records_choice */
	K_DIGEST,   /* enum tip_digest_choice */
	K_REQUIRE,  /* capabilities */
	K_SEAL,     /* enum tip_seal_mode */
	K_MS,       /* uint32_t of milliseconds, from a duration */
	K_PRIORITY, /* enum tip_priority */
	K_SWITCHES, /* rules on and off */
	K_APPEND,   /* these of config_alerts.c */
	K_FIELDS,
	K_COMMAND,
	K_FACILITY,
	K_SHARE, /* double, 0 to 1 */
	K_RATE,  /* double */
	K_ACTIONS,
	K_SPOOLED,
};

/* Every key there is. docs/man/tipstaff.yaml.5 tells the same. */
static const struct key {
	const char *path;
	enum kind kind;
	size_t offset;
	size_t count_offset; /* lists */
	uint32_t min, max;   /* numbers and durations */
	bool falco;          /* Falco's name for what has one of ours */
} keys[] = {
#define AT(member)      offsetof(struct tip_config, member)
#define LIST(member, n) offsetof(struct tip_config, member), offsetof(struct tip_config, n)
	{"trust_domain", K_STRING, AT(trust_domain)},
	{"instance", K_STRING, AT(instance)},
	{"run_dir", K_PATH, AT(run_dir)},
	{"state_dir", K_PATH, AT(state_dir)},
	{"enforcement", K_BOOL, AT(enforcement)},
	{"sensing", K_SENSING, AT(sensing)},
	{"digest", K_DIGEST, AT(digest)},
	{"log.level", K_LEVEL, AT(log_level)},
	{"front.user", K_STRING, AT(front_user)},
	{"scope.cgroups", K_CGROUPS, LIST(scope, nscope)},
	{"rules.files", K_PATHS, LIST(rules_files, nrules_files)},
	{"rules.select", K_SWITCHES, AT(switches)},
	{"rules.matching", K_MATCHING, AT(match_all)},
	{"rules.rate_limit.per_second", K_RATE, AT(rate_limit.per_second)},
	{"rules.rate_limit.max_burst", K_NUMBER, AT(rate_limit.max_burst), 0, 1, TIP_RATE_MAX},
	{"rules.watch", K_BOOL, AT(rules_watch)},
	{"rules.priority", K_PRIORITY, AT(min_priority)},
	{"rules.prefilter", K_BOOL, AT(prefilter)},
	{"alerts.stdout", K_BOOL, AT(alerts_stdout)},
	{"alerts.file", K_PATH, AT(alerts_file)},
	{"alerts.format", K_FORMAT, AT(alerts_json)},
	{"alerts.syslog.enabled", K_BOOL, AT(syslog)},
	{"alerts.syslog.facility", K_FACILITY, AT(syslog_facility)},
	{"alerts.syslog.socket", K_PATH, AT(syslog_socket)},
	{"alerts.program.command", K_COMMAND, AT(program)},
	{"alerts.program.user", K_STRING, AT(program_user)},
	{"alerts.program.keep_alive", K_BOOL, AT(program_keep_alive)},
	{"alerts.http.enabled", K_BOOL, AT(http)},
	{"alerts.http.url", K_STRING, AT(http_url)},
	{"alerts.http.user_agent", K_STRING, AT(http_user_agent)},
	{"alerts.http.ca_cert", K_PATH, AT(http_ca_cert)},
	{"alerts.http.server_id", K_STRING, AT(http_server_id)},
	{"alerts.http.svid", K_STRING, AT(http_svid)},
	{"alerts.http.client_cert", K_PATH, AT(http_client_cert)},
	{"alerts.http.client_key", K_PATH, AT(http_client_key)},
	{"alerts.http.compress_uploads", K_BOOL, AT(http_gzip)},
	{"alerts.http.keep_alive", K_BOOL, AT(http_keep_alive)},
	{"alerts.http.timeout", K_MS, AT(http_timeout), 0, 100, 60000},
	{"alerts.http.max_consecutive_timeouts", K_NUMBER, AT(http_max_timeouts), 0, 0, 255},
	{"alerts.http.echo", K_BOOL, AT(http_echo)},
	{"alerts.include.output", K_BOOL, AT(include_output)},
	{"alerts.include.message", K_BOOL, AT(include_message)},
	{"alerts.include.output_fields", K_BOOL, AT(include_fields)},
	{"alerts.include.tags", K_BOOL, AT(include_tags)},
	{"alerts.time_iso8601", K_BOOL, AT(time_iso8601)},
	{"alerts.append", K_APPEND, AT(append)},
	{"alerts.fields", K_FIELDS, AT(alert_fields)},
	{"alerts.bytes_base64", K_BOOL, AT(base64)},
	{"alerts.buffered", K_BOOL, AT(buffered)},
	{"alerts.queue", K_NUMBER, AT(alert_queue), 0, 16, 1048576},
	{"alerts.timeout", K_MS, AT(alert_timeout), 0, 100, 600000},
	{"alerts.spool.sinks", K_SPOOLED, AT(spooled)},
	{"alerts.spool.max_mib", K_NUMBER, AT(spool_mib), 0, 1, 65536},
	{"drops.threshold", K_SHARE, AT(drops_threshold)},
	{"drops.actions", K_ACTIONS, AT(drops_actions)},
	{"drops.rate", K_RATE, AT(drops_rate)},
	{"drops.max_burst", K_RATE, AT(drops_burst)},
	{"metrics.enabled", K_BOOL, AT(metrics)},
	{"metrics.interval", K_SECONDS, AT(metrics_interval), 0, 1, 31536000},
	{"metrics.rules_counters_enabled", K_BOOL, AT(metrics_rules)},
	{"metrics.resource_utilization_enabled", K_BOOL, AT(metrics_resources)},
	{"metrics.state_counters_enabled", K_BOOL, AT(metrics_state)},
	{"metrics.kernel_event_counters_enabled", K_BOOL, AT(metrics_kernel)},
	{"metrics.convert_memory_to_mb", K_BOOL, AT(metrics_mb)},
	{"metrics.include_empty_values", K_BOOL, AT(metrics_empty)},
	{"syscall_event_drops.threshold", K_SHARE, AT(drops_threshold), .falco = true},
	{"syscall_event_drops.actions", K_ACTIONS, AT(drops_actions), .falco = true},
	{"syscall_event_drops.rate", K_RATE, AT(drops_rate), .falco = true},
	{"syscall_event_drops.max_burst", K_RATE, AT(drops_burst), .falco = true},
	{"json_output", K_BOOL, AT(alerts_json), .falco = true},
	{"json_include_output_property", K_BOOL, AT(include_output), .falco = true},
	{"json_include_message_property", K_BOOL, AT(include_message), .falco = true},
	{"json_include_output_fields_property", K_BOOL, AT(include_fields), .falco = true},
	{"json_include_tags_property", K_BOOL, AT(include_tags), .falco = true},
	{"time_format_iso_8601", K_BOOL, AT(time_iso8601), .falco = true},
	{"append_output", K_APPEND, AT(append), .falco = true},
	{"static_fields", K_FIELDS, AT(alert_fields), .falco = true},
	{"buffer_format_base64", K_BOOL, AT(base64), .falco = true},
	{"buffered_outputs", K_BOOL, AT(buffered), .falco = true},
	{"outputs_queue.capacity", K_NUMBER, AT(alert_queue), 0, 16, 1048576, .falco = true},
	{"output_timeout", K_NUMBER, AT(alert_timeout), 0, 100, 600000, .falco = true},
	{"stdout_output.enabled", K_BOOL, AT(alerts_stdout), .falco = true},
	{"syslog_output.enabled", K_BOOL, AT(syslog), .falco = true},
	{"http_output.enabled", K_BOOL, AT(http), .falco = true},
	{"http_output.url", K_STRING, AT(http_url), .falco = true},
	{"http_output.user_agent", K_STRING, AT(http_user_agent), .falco = true},
	{"http_output.ca_cert", K_PATH, AT(http_ca_cert), .falco = true},
	{"http_output.ca_bundle", K_PATH, AT(http_ca_cert), .falco = true},
	{"http_output.mtls", K_BOOL, AT(http_mtls), .falco = true},
	{"http_output.client_cert", K_PATH, AT(http_client_cert), .falco = true},
	{"http_output.client_key", K_PATH, AT(http_client_key), .falco = true},
	{"http_output.echo", K_BOOL, AT(http_echo), .falco = true},
	{"http_output.max_consecutive_timeouts", K_NUMBER, AT(http_max_timeouts), 0, 0, 255,
	 .falco = true},
	{"http_output.compress_uploads", K_BOOL, AT(http_gzip), .falco = true},
	{"http_output.keep_alive", K_BOOL, AT(http_keep_alive), .falco = true},
	{"file_output.enabled", K_BOOL, AT(file_output), .falco = true},
	{"file_output.filename", K_PATH, AT(alerts_file), .falco = true},
	{"priority", K_PRIORITY, AT(min_priority), .falco = true},
	{"rule_matching", K_MATCHING, AT(match_all), .falco = true},
	{"identity.authority.x509_ttl", K_SECONDS, AT(x509_ttl), 0, 10, 31536000},
	{"identity.authority.jwt_ttl", K_SECONDS, AT(jwt_ttl), 0, 10, 86400},
	{"identity.authority.ca_ttl", K_SECONDS, AT(ca_ttl), 0, 60, 315360000},
	{"identity.entries", K_PATHS, LIST(entries, nentries)},
	{"cache.seal", K_SEAL, AT(seal)},
	{"cache.tpm", K_STRING, AT(seal_tcti)},
	{"traffic.files", K_PATHS, LIST(traffic_files, ntraffic_files)},
	{"traffic.port", K_NUMBER, AT(traffic_port), 0, 1, 65535},
	{"traffic.host_network", K_BOOL, AT(traffic_host)},
	{"traffic.veth_stop", K_BOOL, AT(traffic_veth_stop)},
	{"traffic.namespaces", K_PATTERNS, LIST(traffic_namespaces, ntraffic_namespaces)},
	{"traffic.records", K_RECORDS, AT(records)},
	{"containers.docker", K_SOCKETS, LIST(docker, ndocker)},
	{"containers.podman", K_SOCKETS, LIST(podman, npodman)},
	{"containers.cri", K_SOCKETS, LIST(cri, ncri)},
	{"containers.kubelet.url", K_STRING, AT(kubelet_url)},
	{"containers.kubelet.ca_cert", K_PATH, AT(kubelet_ca)},
	{"containers.kubelet.token_file", K_PATH, AT(kubelet_token)},
	{"containers.kubelet.server_name", K_STRING, AT(kubelet_name)},
	{"containers.events", K_BOOL, AT(container_events)},
	{"containers.hold_ms", K_NUMBER, AT(container_hold_ms), 0, 0, 10000},
	{"require", K_REQUIRE, AT(require)},
	{"limits.processes", K_NUMBER, AT(max_processes), 0, 1024, 4194304},
	{"limits.lifecycle_ring_kib", K_KIB, AT(lifecycle_ring), 0, 64, 65536},
	{"limits.activity_ring_kib", K_KIB, AT(activity_ring), 0, 64, 65536},
	{"limits.connections", K_NUMBER, AT(max_connections), 0, 1, 16384},
	{"limits.connections_per_uid", K_NUMBER, AT(max_connections_per_uid), 0, 1, 16384},
	{"limits.connections_per_identity", K_NUMBER, AT(max_connections_per_identity), 0, 1,
	 16384},
	{"limits.held_connects", K_NUMBER, AT(max_held_connects), 0, 1, 16384},
	{"limits.held_connects_per_identity", K_NUMBER, AT(max_held_per_identity), 0, 1, 16384},
	{"limits.handshakes", K_NUMBER, AT(max_handshakes), 0, 1, 16384},
	{"limits.handshakes_per_identity", K_NUMBER, AT(max_handshakes_per_identity), 0, 1, 16384},
	{"limits.relays", K_NUMBER, AT(max_relays), 0, 1, 65536},
	{"limits.relays_per_identity", K_NUMBER, AT(max_relays_per_identity), 0, 1, 65536},
	{"limits.redirects_per_identity", K_NUMBER, AT(max_redirects_per_identity), 0, 1, 32768},
	{"limits.redirects_per_namespace", K_NUMBER, AT(max_redirects_per_namespace), 0, 1, 32768},
	{"limits.listeners_per_namespace", K_NUMBER, AT(max_listeners_per_namespace), 0, 1, 16384},
	{"limits.containers", K_NUMBER, AT(max_containers), 0, 1, 65536},
	{"limits.relay_buffers_mib", K_NUMBER, AT(relay_buffers_mib), 0, 1, 4096},
	{"limits.digest_mib", K_NUMBER, AT(digest_mib), 0, 1, 65536},
#undef AT
#undef LIST
};

typedef struct tip_config_reading reading;

int tip_config_bad(const reading *r, const struct tip_yaml *n, const char *key, const char *what)
{
	return tip_error_at(r->err, r->c->file, n->line, n->column, "%s: %s", key, what);
}

int tip_config_want_scalar(const reading *r, const struct tip_yaml *n, const char *key)
{
	if (n->kind != TIP_YAML_SCALAR || tip_yaml_is_null(n))
		return tip_config_bad(r, n, key, "a single value is wanted here");
	return 0;
}

static int check_path(const reading *r, const struct tip_yaml *n, const char *key)
{
	if (n->text[0] != '/')
		return tip_config_bad(r, n, key, "must be an absolute path");
	if (strlen(n->text) > 4000)
		return tip_config_bad(r, n, key, "is longer than 4000 bytes");
	return 0;
}

/* Does the path have ".." for a component? */
static bool climbs(const char *path)
{
	for (const char *at = path; (at = strstr(at, "/..")); at += 3)
		if (at[3] == '/' || at[3] == '\0')
			return true;
	return false;
}

/* One name of a folder's entry, maybe with the signs of fnmatch(3). */
static int check_pattern(const reading *r, const struct tip_yaml *n, const char *key)
{
	if (!n->text[0] || strlen(n->text) > NAME_MAX || strchr(n->text, '/'))
		return tip_config_bad(r, n, key,
				      "must be 1 to 255 bytes without a slash: \"pod-*\"");
	return 0;
}

static int check_item(const reading *r, const struct key *k, const struct tip_yaml *n)
{
	if (tip_config_want_scalar(r, n, k->path) < 0)
		return -1;
	if (k->kind == K_PATTERNS)
		return check_pattern(r, n, k->path);
	if (check_path(r, n, k->path) < 0)
		return -1;
	if (k->kind == K_CGROUPS && climbs(n->text))
		return tip_config_bad(r, n, k->path, "must not contain /../ nor end in /..");
	return 0;
}

static int read_list(reading *r, const struct key *k, const struct tip_yaml *n)
{
	const char **list;

	if (n->kind == TIP_YAML_SCALAR && !tip_yaml_is_null(n))
		return tip_config_bad(r, n, k->path, "a list is wanted here: [a, b]");
	if (n->kind == TIP_YAML_MAPPING)
		return tip_config_bad(r, n, k->path, "a list is wanted here, not a mapping");
	list = tip_arena_alloc(r->c->arena, (n->count + 1) * sizeof(*list));
	for (size_t i = 0; i < n->count; i++) {
		if (check_item(r, k, n->items[i]) < 0)
			return -1;
		list[i] = n->items[i]->text;
	}
	if (k->kind == K_CGROUPS && n->count > TIP_SCOPE_MAX)
		return tip_config_bad(r, n, k->path, "at most 16 cgroups");
	if (k->kind == K_PATTERNS && n->count > PATTERNS_MAX)
		return tip_config_bad(r, n, k->path, "at most 64 patterns");
	if (k->kind == K_SOCKETS && n->count > SOCKETS_MAX)
		return tip_config_bad(r, n, k->path, "at most 5 sockets");
	*(const char ***)((char *)r->c + k->offset) = list;
	*(size_t *)((char *)r->c + k->count_offset) = n->count;
	return 0;
}

static int read_number(reading *r, const struct key *k, const struct tip_yaml *n)
{
	uint32_t *out = (uint32_t *)((char *)r->c + k->offset);
	int64_t v;

	if (tip_yaml_int(n, &v) < 0)
		return tip_config_bad(r, n, k->path, "a whole number is wanted here");
	if (v < k->min || v > k->max)
		return tip_error_at(r->err, r->c->file, n->line, n->column,
				    "%s: must be between %u and %u", k->path, k->min, k->max);
	if (k->kind == K_KIB && (v & (v - 1)))
		return tip_config_bad(r, n, k->path, "must be a power of two");
	*out = k->kind == K_KIB ? (uint32_t)v * 1024 : (uint32_t)v;
	return 0;
}

static int read_ms(reading *r, const struct key *k, const struct tip_yaml *n)
{
	uint64_t ns;

	if (tip_duration_parse(n->text, &ns) < 0)
		return tip_config_bad(r, n, k->path, "a duration is wanted here: 500ms, 2s, 1m");
	if (ns / 1000000 < k->min || ns / 1000000 > k->max)
		return tip_error_at(r->err, r->c->file, n->line, n->column,
				    "%s: must be between %u and %u milliseconds", k->path, k->min,
				    k->max);
	*(uint32_t *)((char *)r->c + k->offset) = (uint32_t)(ns / 1000000);
	return 0;
}

static int read_seconds(reading *r, const struct key *k, const struct tip_yaml *n)
{
	uint64_t ns;

	if (tip_duration_parse(n->text, &ns) < 0)
		return tip_config_bad(r, n, k->path, "a duration is wanted here: 1h, 10m, 90s");
	if (ns / TIP_NSEC_PER_SEC < k->min || ns / TIP_NSEC_PER_SEC > k->max)
		return tip_error_at(r->err, r->c->file, n->line, n->column,
				    "%s: must be between %u and %u seconds", k->path, k->min,
				    k->max);
	*(uint32_t *)((char *)r->c + k->offset) = (uint32_t)(ns / TIP_NSEC_PER_SEC);
	return 0;
}

static int read_choice(reading *r, const struct key *k, const struct tip_yaml *n, const char *no,
		       const char *yes)
{
	if (strcmp(n->text, yes) != 0 && strcmp(n->text, no) != 0)
		return tip_error_at(r->err, r->c->file, n->line, n->column,
				    "%s: must be \"%s\" or \"%s\"", k->path, no, yes);
	*(bool *)((char *)r->c + k->offset) = strcmp(n->text, yes) == 0;
	return 0;
}

/* One of the names of an enum, in its order; `wanted` lists them for people. */
static int read_name(const reading *r, const struct key *k, const struct tip_yaml *n,
		     const char *const names[], size_t count, const char *wanted)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(n->text, names[i]) == 0) {
			*(unsigned int *)((char *)r->c + k->offset) = (unsigned int)i;
			return 0;
		}
	}
	return tip_error_at(r->err, r->c->file, n->line, n->column, "%s: must be %s", k->path,
			    wanted);
}

_Static_assert(TIP_ARRAY_SIZE(keys) <= 4 * 64, "struct tip_config_reading counts them in bits");

static const char *const seal_names[] = {
	[TIP_SEAL_AUTO] = "auto",
	[TIP_SEAL_CREDENTIAL] = "credential",
	[TIP_SEAL_TPM] = "tpm",
	[TIP_SEAL_NONE] = "none",
};
static const char *const sensing_names[] = {
	[TIP_SENSING_AUTO] = "auto",
	[TIP_SENSING_ONLY_SYSCALLS] = "syscalls",
	[TIP_SENSING_ONLY_KERNEL] = "kernel",
};
static const char *const records_names[] = {
	[TIP_RECORDS_AUTO] = "auto",
	[TIP_RECORDS_KERNEL] = "kernel",
	[TIP_RECORDS_USER] = "user",
};
static const char *const digest_names[] = {
	[TIP_DIGEST_AUTO] = "auto",
	[TIP_DIGEST_USER] = "user",
};
_Static_assert(sizeof(enum tip_seal_mode) == sizeof(unsigned int) &&
		       sizeof(enum tip_digest_choice) == sizeof(unsigned int) &&
		       sizeof(enum tip_sensing_choice) == sizeof(unsigned int) &&
		       sizeof(enum tip_records_choice) == sizeof(unsigned int),
	       "read_name() writes them as numbers");

static int read_value(reading *r, const struct key *k, const struct tip_yaml *n)
{
	void *at = (char *)r->c + k->offset;

	if (k->kind == K_PATHS || k->kind == K_CGROUPS || k->kind == K_PATTERNS ||
	    k->kind == K_SOCKETS)
		return read_list(r, k, n);
	switch (k->kind) {
	case K_REQUIRE: return tip_config_read_require(r, n);
	case K_APPEND: return tip_config_read_append(r, n, k->path);
	case K_SWITCHES:
		return tip_switches_read(r->c->arena, r->c->file, n, &r->c->switches,
					 &r->c->nswitches, r->err);
	case K_FIELDS: return tip_config_read_fields(r, n, k->path);
	case K_COMMAND: return tip_config_read_command(r, n, k->path);
	case K_SPOOLED: return tip_config_read_spooled(r, n, k->path);
	case K_ACTIONS: return tip_config_read_actions(r, n, k->path);
	case K_SHARE: return tip_config_read_fraction(r, n, k->path, 0, 1, at);
	case K_RATE: return tip_config_read_fraction(r, n, k->path, 0, 1000, at);
	case K_FACILITY: return tip_config_read_facility(r, n, k->path);
	default: break;
	}
	if (tip_config_want_scalar(r, n, k->path) < 0)
		return -1;
	switch (k->kind) {
	case K_PATH:
		if (check_path(r, n, k->path) < 0)
			return -1;
		*(const char **)at = n->text;
		return 0;
	case K_STRING: *(const char **)at = n->text; return 0;
	case K_BOOL:
		return tip_yaml_bool(n, (bool *)at) < 0
			       ? tip_config_bad(r, n, k->path, "must be true or false")
			       : 0;
	case K_SECONDS: return read_seconds(r, k, n);
	case K_MS: return read_ms(r, k, n);
	case K_PRIORITY:
		return tip_priority_parse(n->text, (enum tip_priority *)at) < 0
			       ? tip_config_bad(r, n, k->path,
						"must be one of emergency, alert, critical, error, "
						"warning, notice, informational, debug")
			       : 0;
	case K_NUMBER:
	case K_KIB: return read_number(r, k, n);
	case K_LEVEL:
		return tip_log_level_parse(n->text, (enum tip_log_level *)at) < 0
			       ? tip_config_bad(r, n, k->path, "must be error, warn, info or debug")
			       : 0;
	case K_SEAL:
		return read_name(r, k, n, seal_names, TIP_ARRAY_SIZE(seal_names),
				 "auto, credential, tpm or none");
	case K_SENSING:
		return read_name(r, k, n, sensing_names, TIP_ARRAY_SIZE(sensing_names),
				 "auto, syscalls or kernel");
	case K_RECORDS:
		return read_name(r, k, n, records_names, TIP_ARRAY_SIZE(records_names),
				 "auto, kernel or user");
	case K_DIGEST:
		return read_name(r, k, n, digest_names, TIP_ARRAY_SIZE(digest_names),
				 "auto or user");
	case K_FORMAT: return read_choice(r, k, n, "text", "json");
	case K_MATCHING: return read_choice(r, k, n, "first", "all");
	default: return tip_config_bad(r, n, k->path, "cannot be read");
	}
}

/* The keys that exist below `prefix`, for the error about an unknown one. */
static const char *siblings(struct tip_arena *arena, const char *prefix)
{
	size_t n = strlen(prefix);
	const char *list = "", *last = "";
	size_t last_len = 0;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(keys); i++) {
		const char *rest = keys[i].path + n;
		size_t len;

		if ((keys[i].falco && !n) || strncmp(keys[i].path, prefix, n) != 0)
			continue;
		len = strcspn(rest, ".");
		if (len == last_len && strncmp(rest, last, len) == 0)
			continue;
		list = tip_arena_sprintf(arena, "%s%s%.*s", list, *list ? ", " : "", (int)len,
					 rest);
		last = rest;
		last_len = len;
	}
	return list;
}

static bool is_empty(const struct tip_yaml *n)
{
	return n->kind == TIP_YAML_SCALAR && !*n->text;
}

/* One thing under our name and under Falco's: which of the two is meant? */
static int twice(reading *r, size_t k, const struct tip_yaml *at)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(keys); i++)
		if (keys[i].offset == keys[k].offset && (r->seen[i / 64] & 1ULL << i % 64))
			return tip_error_at(r->err, r->c->file, at->line, at->column,
					    "%s: is the same as %s; give one of them", keys[k].path,
					    keys[i].path);
	r->seen[k / 64] |= 1ULL << k % 64;
	return 0;
}

static int read_map(reading *r, const struct tip_yaml *map, const char *prefix)
{
	struct tip_config *c = r->c;

	if (map->kind != TIP_YAML_MAPPING)
		return tip_error_at(r->err, c->file, map->line, map->column,
				    "%.*s%skeys and values are wanted here",
				    *prefix ? (int)strlen(prefix) - 1 : 0, prefix,
				    *prefix ? ": " : "");
	for (size_t i = 0; i < map->count; i++) {
		const char *path = tip_arena_sprintf(c->arena, "%s%s", prefix, map->keys[i]->text);
		size_t len = strlen(path), k;

		for (k = 0; k < TIP_ARRAY_SIZE(keys); k++)
			if (strncmp(keys[k].path, path, len) == 0 &&
			    (keys[k].path[len] == '\0' || keys[k].path[len] == '.'))
				break;
		if (k == TIP_ARRAY_SIZE(keys)) {
			const int falco =
				tip_config_falco_key(r, path, map->keys[i], map->items[i]);

			if (falco < 0)
				return -1;
			if (falco == 0)
				continue;
		}
		if (k == TIP_ARRAY_SIZE(keys) || map->keys[i]->kind != TIP_YAML_SCALAR)
			return tip_error_at(r->err, c->file, map->keys[i]->line,
					    map->keys[i]->column,
					    "unknown key \"%s\"; there are: %s", path,
					    siblings(c->arena, prefix));
		/* Falco's own place for them */
		if (strcmp(path, "rules") == 0 && map->items[i]->kind == TIP_YAML_SEQUENCE) {
			if (tip_switches_read(c->arena, c->file, map->items[i], &c->switches,
					      &c->nswitches, r->err) < 0)
				return -1;
			continue;
		}
		if (keys[k].path[len] == '.') {
			if (read_map(r, map->items[i], tip_arena_sprintf(c->arena, "%s.", path)) <
			    0)
				return -1;
			continue;
		}
		/* Falco's own file has its paths, empty where there is none. */
		if (keys[k].falco && keys[k].kind == K_PATH && is_empty(map->items[i]))
			continue;
		if (twice(r, k, map->keys[i]) < 0 || read_value(r, &keys[k], map->items[i]) < 0)
			return -1;
	}
	return 0;
}

struct tip_config *tip_config_parse(const char *name, const char *text, size_t len,
				    struct tip_error *err)
{
	struct tip_config *c = tip_alloc(sizeof(*c));
	reading r = {.c = c, .err = err};
	struct tip_yaml **docs;
	size_t ndocs;

	c->arena = tip_arena_new();
	c->file = tip_arena_strdup(c->arena, name);
	tip_config_defaults(c);

	if (tip_yaml_parse(c->arena, name, text, len, &docs, &ndocs, err) < 0)
		goto fail;
	if (ndocs != 1) {
		tip_error_at(err, name, 1, 1, "one YAML document is wanted, there are %zu", ndocs);
		goto fail;
	}
	if (read_map(&r, docs[0], "") < 0)
		goto fail;
	tip_config_complete(c, docs[0]);
	if (tip_config_check(&r, docs[0]) < 0)
		goto fail;
	return c;
fail:
	tip_config_free(c);
	return NULL;
}

void tip_sha256_hex(const void *data, size_t len, char out[65])
{
	unsigned char digest[32];

	out[0] = '\0';
	if (EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) != 1)
		return;
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

struct tip_config *tip_config_load(const char *path, struct tip_error *err)
{
	struct tip_config *c = NULL;
	struct tip_buf b = {0};

	if (tip_file_read(path, CONFIG_MAX, &b, err) == 0)
		c = tip_config_parse(path, b.data ? b.data : "", b.len, err);
	if (c)
		tip_sha256_hex(b.data, b.len, c->sha256);
	tip_buf_free(&b);
	return c;
}

void tip_config_free(struct tip_config *c)
{
	if (!c)
		return;
	tip_arena_free(c->arena);
	free(c);
}
