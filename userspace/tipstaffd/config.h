/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_CONFIG_H
#define TIP_TIPSTAFFD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alert/alert.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "seal/keys.h"
#include "sensor/sensor.h"
#include "tipstaffd/url.h"

/* Who makes the records of mTLS connections. */
enum tip_records_choice {
	TIP_RECORDS_AUTO, /* the kernel where it can */
	TIP_RECORDS_KERNEL,
	TIP_RECORDS_USER,
};

enum tip_sensing_choice {
	TIP_SENSING_AUTO, /* in the kernel's own functions where that works, else at system calls */
	TIP_SENSING_ONLY_SYSCALLS,
	TIP_SENSING_ONLY_KERNEL,
};

/* Who hashes executables. */
enum tip_digest_choice {
	TIP_DIGEST_AUTO, /* the kernel (IMA) where it can */
	TIP_DIGEST_USER,
};

/* What is done about events that were lost: bits. */
#define TIP_DROPS_LOG   (1u << 0)
#define TIP_DROPS_ALERT (1u << 1)
#define TIP_DROPS_EXIT  (1u << 2)

/* The daemon's configuration: one YAML file. All strings live in `arena`. */
struct tip_config {
	struct tip_arena *arena;
	const char *file;
	char sha256[65]; /* of the file, in hex; of no file: "" */
	const char *trust_domain;
	const char *instance;
	const char *run_dir;
	const char *state_dir;
	const char *front_user; /* "" : tipstaff if it exists, else nobody */
	enum tip_log_level log_level;
	bool enforcement;
	enum tip_sensing_choice sensing;
	enum tip_digest_choice digest;
	const char **scope; /* below the cgroup2 mount, "/..." */
	size_t nscope;
	const char **rules_files; /* files or folders */
	size_t nrules_files;
	bool match_all;
	bool rules_watch;                 /* rule files are read again when they change */
	struct tip_rate_limit rate_limit; /* of rules that have none of their own; 0: no limit */
	bool prefilter;
	bool alerts_stdout;
	bool alerts_json;        /* false: Falco's text form */
	const char *alerts_file; /* "": none */
	bool file_output;        /* Falco's switch for it under Falco's name */
	bool syslog;
	const char *syslog_socket;
	int syslog_facility;      /* LOG_DAEMON ... */
	const char **program;     /* argv, NULL-terminated; NULL: none */
	size_t nprogram;          /* words */
	const char *program_user; /* who it runs as; "": not given */
	bool program_keep_alive;  /* one for all alerts */
	bool http;                /* alerts are posted */
	const char *http_url, *http_user_agent;
	const char *http_ca_cert;   /* "": none */
	const char *http_server_id; /* the SPIFFE ID that the server has to have, "": none */
	const char *http_svid;      /* the daemon's own identity, shown to it; "": none */
	const char *http_client_cert, *http_client_key; /* shown instead; both or "" */
	bool http_mtls; /* Falco's switch for these two under Falco's names */
	bool http_gzip, http_keep_alive;
	bool http_echo;             /* what it answers goes to the log */
	uint32_t http_timeout;      /* ms */
	uint32_t http_max_timeouts; /* in a row, for one alert; UINT32_MAX: any number */
	struct tip_url http_at;     /* http_url, read */
	int http_line, http_column; /* where alerts.http stands */
	bool include_output, include_message, include_fields, include_tags; /* in JSON */
	bool time_iso8601;
	bool buffered;
	bool base64;                            /* bytes in outputs */
	uint32_t alert_timeout;                 /* ms */
	uint32_t alert_queue;                   /* alerts that may wait for one sink */
	const struct tip_rule_switch *switches; /* rules on and off, in order */
	size_t nswitches;
	const struct tip_rule_append *append;
	size_t nappend;
	const struct tip_alert_field *alert_fields; /* of every alert */
	size_t nalert_fields;
	const char **spooled; /* names of sinks with a spool */
	size_t nspooled;
	uint32_t spool_mib;
	double drops_threshold; /* share of the events, 0: any */
	uint32_t drops_actions; /* TIP_DROPS_* */
	double drops_rate;      /* alerts a second ... */
	double drops_burst;     /* ... and at once */
	bool metrics;
	uint32_t metrics_interval; /* seconds */
	/* Which figures: of rules, of CPU and memory, of tables, of the kernel's side. */
	bool metrics_rules, metrics_resources, metrics_state, metrics_kernel;
	bool metrics_mb;                    /* memory in MB, not in KB */
	bool metrics_empty;                 /* figures that are 0 too */
	enum tip_priority min_priority;     /* rules of lesser ones are not loaded */
	uint32_t x509_ttl, jwt_ttl, ca_ttl; /* seconds */
	const char **entries;               /* files or folders */
	size_t nentries;
	enum tip_seal_mode seal;
	const char *seal_tcti; /* "": the kernel's resource manager */
	bool traffic;          /* traffic.files is given, be it empty: interception is set up */
	const char **traffic_files; /* files or folders */
	size_t ntraffic_files;
	enum tip_records_choice records; /* who makes them */
	uint32_t traffic_port;           /* of the worker's listeners, on 127.0.0.1 */
	bool traffic_veth_stop;          /* the plaintext stop, on host's ends of veths too */
	bool traffic_host;               /* the initial network namespace is served too */
	const char **traffic_namespaces; /* patterns for names below /run/netns */
	size_t ntraffic_namespaces;
	const char **docker, **podman, **cri; /* sockets of container runtimes */
	size_t ndocker, npodman, ncri;
	const char *kubelet_url;                               /* "": it is not asked */
	const char *kubelet_ca, *kubelet_token, *kubelet_name; /* "": none */
	struct tip_url kubelet_at;                             /* kubelet_url, read */
	bool container_events;                                 /* runtimes are listened to */
	uint32_t container_hold_ms; /* how long an alert waits for what a runtime says */
	uint32_t max_containers;
	enum tip_capability require[TIP_CAP_MAX];
	size_t nrequire;
	uint32_t max_processes;
	uint32_t lifecycle_ring, activity_ring; /* bytes */
	uint32_t max_connections, max_connections_per_uid, max_connections_per_identity;
	/* Relayed connections: connect()s that are held, handshakes, all of them. */
	uint32_t max_held_connects, max_handshakes, max_relays;
	uint32_t max_held_per_identity, max_handshakes_per_identity, max_relays_per_identity;
	/* Entries of the kernel's tables. */
	uint32_t max_redirects_per_identity, max_redirects_per_namespace;
	uint32_t max_listeners_per_namespace;
	uint32_t relay_buffers_mib;
	uint32_t digest_mib; /* larger executables have no digest */
};

/* Reads and checks a file. NULL with `err` (file:line:column). */
struct tip_config *tip_config_load(const char *path, struct tip_error *err);
struct tip_config *tip_config_parse(const char *name, const char *text, size_t len,
				    struct tip_error *err);
void tip_config_free(struct tip_config *c);

/* The digest of a text, in lower-case hex; "" if there is none to be had. */
void tip_sha256_hex(const void *data, size_t len, char out[65]);

#endif
