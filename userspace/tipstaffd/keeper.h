/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_KEEPER_H
#define TIP_TIPSTAFFD_KEEPER_H

#include <sys/types.h>

#include <event2/event.h>
#include <jansson.h>

#include "alert/alert.h"
#include "base/map.h"
#include "control/control.h"
#include "detect/detect.h"
#include "digest/digest.h"
#include "guard/guard.h"
#include "guard/traffic.h"
#include "intercept/intercept.h"
#include "link/link.h"
#include "policy/entry.h"
#include "process/process.h"
#include "seal/vault.h"
#include "sensor/sensor.h"
#include "tipstaffd/config.h"
#include "tipstaffd/fdstore.h"
#include "tipstaffd/runtime_pump.h"
#include "tipstaffd/sets.h"
#include "tipstaffd/switches.h"
#include "traffic/decide.h"

/*
 * The keeper: the process that is root. This header is internal to the wiring; each
 * file below owns one part of the struct.
 */

/* rule_files.c */
struct tip_keeper_rules {
	struct tip_rules *active;
	struct tip_rate *rates; /* of them, by tip_rule_info.index */
	struct tip_sets sets;
	struct tip_switches switches; /* of the CLI */
	size_t nfiles;                /* configured files of the active set */
	char **files;                 /* their names ... */
	char (*sha256)[65];           /* ... and digests, in hex */
	bool uses_spiffe;             /* some rule reads spiffe.*: events of a pending exec wait */
	bool uses_container; /* some rule reads what only a runtime knows: events wait for it */
	struct tip_rules_watch *watch; /* NULL: files are not watched */
	struct tip_load_result last;   /* warnings of the last successful load */
	uint64_t loaded_ns;            /* when that was, since the epoch */
	uint64_t hurried; /* events that did not wait to the end, for too many former sets */
};

/* hosts.c: who resolves the names that rules compare addresses with */
struct tip_keeper_hosts {
	struct event *again;    /* NULL: no rules were loaded yet */
	struct event *readable; /* its answer, NULL: nobody is at it */
	pid_t pid;              /* 0: nobody */
	struct tip_buf answer;
};

/* traffic_files.c */
struct tip_keeper_traffic {
	bool on; /* configured, and this kernel can: connections are intercepted */
	struct tip_traffic_set *set; /* in force; NULL before the first load */
	uint64_t generation;         /* of the last set that was made */
	struct tip_sets sets;
	size_t nfiles; /* configured files of the set in force */
};

/* entry_files.c: all entries in force, from files, then CLI, then ephemeral ones. */
struct tip_keeper_entries {
	struct tip_arena *arena;
	struct tip_entry *list;
	size_t count;
	size_t nfile, ncli; /* the first nfile came from files, the next ncli by CLI */
};

/* digests.c: what executables hash to, while some entry asks */
struct tip_keeper_digests {
	struct tip_digester *digester;
	struct tip_map *known; /* exec id -> what is known */
	bool wanted;           /* some entry selects by digest */
	bool by_rules;         /* some rule reads proc.exe.sha256 */
	uint64_t by_kernel;    /* how many answers came from there */
};

struct tip_conn {
	struct tip_proc_key proc;
	uint64_t id, exec_id;
	uint32_t number; /* of the identity it is counted for; below TIP_ID_FIRST: of none */
};

/* front_process.c */
struct tip_keeper_front {
	pid_t pid; /* 0: none runs */
	uid_t uid;
	gid_t gid;
	char user[64];
	struct tip_link *link;
	bool ready;
	uint32_t restarts;
	uint32_t backoff_ms;
	uint32_t silent_s;   /* rounds of the watch since it last said anything */
	uint64_t started_ns; /* monotonic */
	struct event *respawn;
	struct tip_link_msg stats;     /* the last TIP_LINK_STATS */
	struct tip_link_msg inspector; /* the last TIP_LINK_INSPECTOR */
	struct tip_link_msg streams;   /* the last TIP_LINK_STREAMS */
	struct tip_link_msg lists;     /* the last TIP_LINK_LISTS */
};

/* kubelet.c */
struct tip_keeper_kubelet {
	struct tip_buf ca; /* that the front has */
	char said[512];    /* the last complaint, "" when all is well */
	uint64_t dialled_ns;
};

/* workload_accept.c */
struct tip_keeper_workload {
	int fd;
	struct event *readable, *retry;
	struct tip_map *conns; /* id -> struct tip_conn */
	struct tip_map *of;    /* identity number -> how many, as a struct of workload_accept.c */
	uint64_t next_id;
	struct tip_waiting *waiting; /* accepted, but the client has not left connect() yet */
	size_t nwaiting;
	uint64_t no_record;
};

/* pipeline.c: events that wait for one kind of answer, oldest first; all wait equally long */
struct tip_keeper_held {
	struct tip_keeper *keeper;
	struct tip_held *head, **tail;
	size_t count;
	struct event *timer;
	uint64_t hold_ns;
	uint64_t overflow;
};
enum tip_hold { TIP_HOLD_IDENTITY, TIP_HOLD_CONTAINER, TIP_HOLD_KINDS };

/* pipeline.c: how often one of our own alerts was told lately */
struct tip_keeper_told {
	const char *rule;
	uint64_t second; /* monotonic */
	uint32_t count;
	uint64_t untold; /* since the last one that was told */
};

/* relays.c */
struct tip_keeper_relays {
	struct tip_intercept *intercept; /* NULL: `traffic` is not configured */
	struct tip_guard_traffic *guard;
	struct tip_map *relays;        /* id -> struct tip_relay_of_front */
	struct tip_peers *peers;       /* who has spoken with whom */
	struct tip_relay_ended *ended; /* relays_peer.c: the last ones that went out */
	size_t next_ended;
	bool recheck_plain;        /* a new set: connections in the clear are to be looked at */
	uint64_t scanned_ns;       /* monotonic: the last look for listeners */
	bool scan_wanted;          /* a connect() waits for the next one */
	struct tip_link_msg stats; /* the last TIP_LINK_RELAYS */
};

/* accounts.c: what was lost, and the figures that are told now and then */
struct tip_keeper_accounts {
	uint64_t drops_told; /* dropped events that an alert has named */
	uint64_t lifecycle_drops_seen;
	uint64_t drops_seen, events_seen; /* at the last look, a second ago */
	bool to_tell;                     /* losses above the threshold wait to be told */
	double tokens;                    /* alerts about drops that may be told now */
	uint32_t drops_noticed, drops_acted;
	uint64_t metrics_at; /* monotonic: the last snapshot */
	/* as they were then: */
	uint64_t metrics_evt_num, metrics_events, metrics_drops, metrics_cpu_ns;
	uint64_t metrics_host_busy, metrics_host_ticks;
};

struct tip_keeper {
	struct event_base *base;
	const struct tip_config *config;
	char cgroup2[256]; /* mount point, "": there is none */
	char hostname[256];
	uid_t program_uid; /* alerts.program */
	gid_t program_gid;
	const char **scope_dirs; /* absolute */
	uint64_t started_ns;
	int lock_fd;
	struct tip_fdstore *fds;
	char *handover; /* where to give the descriptors to, once the answer is out */
	bool replace;   /* take over from the daemon that runs */
	bool listening; /* the start has come to its end */
	bool detached;  /* `detach` has removed the pins: stop */
	int exit_code;

	struct tip_capability_result caps[TIP_CAP_MAX];
	char sensing_refused[768]; /* why the better tier of sensing was not taken, "" */
	struct tip_sensor *sensor;
	struct tip_process_table *table;
	struct tip_alerts *alerts;
	struct tip_guard *guard;
	struct tip_control *control;
	struct tip_vault *vault; /* NULL: `--check` */
	struct tip_matcher *matcher;
	struct tip_map *quotas; /* quota.c */
	uint64_t evt_num;
	struct tip_keeper_accounts accounts;
	uint32_t catching_up; /* rounds until events are read although no front is ready; 0: they
				 are */
	uint32_t ticks;

	struct tip_keeper_rules rules;
	struct tip_keeper_traffic traffic;
	struct tip_keeper_entries entries;
	struct tip_keeper_digests digests;
	struct tip_keeper_hosts hosts;
	struct tip_keeper_front front;
	struct tip_keeper_workload workload;
	struct tip_keeper_held held[TIP_HOLD_KINDS];
	bool holds_nothing; /* whatever waits is to go with what is known */
	struct tip_keeper_told told[16];
	struct tip_keeper_relays relays;
	struct tip_keeper_kubelet kubelet;
	struct tip_pumps *pumps; /* containers.c: answers of runtimes, on their way to the front */

	struct event *sensor_readable, *catch_up, *tick;
	struct event *sigterm, *sigint, *sighup, *sigusr1, *sigchld;
};

enum tip_keeper_run {
	TIP_RUN,
	TIP_RUN_CHECK,   /* only checks configuration, rules and entries */
	TIP_RUN_REPLACE, /* takes over from the daemon that runs, if one does */
};

/* Runs until a signal. Exit status of the process. */
int tip_keeper_run(const struct tip_config *config, enum tip_keeper_run how);

/* wiring.c */
struct tip_guard_ops tip_wire_guard(struct tip_keeper *k);
struct tip_process_ops tip_wire_process(struct tip_keeper *k);
bool tip_wire_peer_ok(void *keeper, int fd, char *why, size_t size); /* tip_control_ops.peer_ok */

/* hosts.c */
void tip_hosts_ask(struct tip_keeper *k); /* other rules are active */
void tip_hosts_close(struct tip_keeper *k);

/* handover.c */
/* How long a start may take, in which connects wait. Without descriptors that are kept they are
 * refused all the same. */
#define TIP_HANDOVER_MS 20000
/* The listener that an earlier daemon left under `name`, if it listens at `path` with that mode, or
 * -1. */
int tip_handover_listener(struct tip_keeper *k, const char *name, const char *path, mode_t mode);
/* Each second: a former layout acts until everybody is identified, where that is needed. */
void tip_handover_tick(struct tip_keeper *k);
/* Has the daemon that holds k->lock_fd's file hand over and end, and takes the lock. */
int tip_handover_replace(struct tip_keeper *k, struct tip_error *err);

/* pipeline.c */
void tip_pipeline_init(struct tip_keeper *k);
void tip_pipeline_free(struct tip_keeper *k);
void tip_pipeline_event(void *keeper, const struct tip_event *ev); /* tip_sensor_ops.event */
/* The identity of `exec_id` is known: events that waited for it are evaluated. */
void tip_pipeline_resolved(struct tip_keeper *k, uint64_t exec_id);
/* A runtime has answered about that container: the same. */
void tip_pipeline_inspected(struct tip_keeper *k, const char *container_id);
/* Other rules are active. Events that wait are still for those under which they came. */
void tip_pipeline_rules_changed(struct tip_keeper *k);
size_t tip_pipeline_waiting(const struct tip_keeper *k); /* events that wait for an answer */
/* Events that found too many waiting already, and went with what was known. */
uint64_t tip_pipeline_not_held(const struct tip_keeper *k);
/* Our own alert about a process; `extra` fields beside those of the process. */
void tip_keeper_alert(struct tip_keeper *k, const char *rule, enum tip_priority prio,
		      const struct tip_process *p, const struct tip_alert_field *extra,
		      size_t nextra, const char *text);

/* stream.c: the alert room as the configuration wants it */
/* Are the files of alerts.http there, and what they should be? 0, or -1 with `err`. */
int tip_stream_check(const struct tip_config *config, struct tip_error *err);
/* The same, and who alerts.program runs as. After tip_front_find_user(). */
int tip_stream_prepare(struct tip_keeper *k, struct tip_error *err);
int tip_stream_open(struct tip_keeper *k, struct tip_error *err);
/* A new front: where alerts are posted, and a channel for them. */
void tip_stream_feed(struct tip_keeper *k);
/* The files of alerts.http are read again. */
void tip_stream_send_files(struct tip_keeper *k);
/* What a rule's output gets from the configuration. */
struct tip_rules_options tip_stream_rules_options(const struct tip_keeper *k);

/* accounts.c */
/* Counters are pinned: what an earlier daemon has told is not this one's news. */
void tip_accounts_begin(struct tip_keeper *k);
/* Each second: looks for losses, and tells figures when it is time to. */
void tip_accounts_tick(struct tip_keeper *k);
/* At the end: how many events there were, by severity and by rule. */
void tip_accounts_end(struct tip_keeper *k);
json_t *tip_accounts_json(struct tip_keeper *k); /* for `status` */

/* rule_files.c */
/*
 * Loads every configured file and every set, with `set` (may be NULL) added or put in place of its
 * namesake and `without` (may be NULL) left out; on success the new rules are in force and the sets
 * are as asked. `notes` (may be NULL) receives lines about enforcement. 0, or -1 with `err` and
 * everything as it was.
 */
int tip_rules_install(struct tip_keeper *k, const struct tip_set *set, const char *without,
		      struct tip_buf *notes, struct tip_error *err);
/* Takes away what of a change is on disk that was not in force yet. At the start. */
void tip_rules_clean(const struct tip_keeper *k);
/* The sets of state_dir/rules.d, and what was switched on and off. Before the first load. */
int tip_rules_restore_sets(struct tip_keeper *k, struct tip_error *err);
/* Turns rules on or off; as tip_rules_install(). */
int tip_rules_switch(struct tip_keeper *k, const struct tip_rule_switch *is, bool ephemeral,
		     struct tip_buf *notes, struct tip_error *err);
void tip_rules_files_free(struct tip_keeper *k);
/* The alert that rules were added, reloaded, ...; `set` may be NULL. */
void tip_rules_say_reloaded(struct tip_keeper *k, const char *by, const char *what,
			    const char *set);
/* What a room has to say about what it was given, a line each; cuts `notes` up. */
void tip_log_notes(const char *room, struct tip_buf *notes);
/* Reads configured files and sets again, and says so; `by`: who asked. */
int tip_rules_reload(struct tip_keeper *k, const char *by, struct tip_error *err);

/* rule_watch.c */
int tip_rules_watch_begin(struct tip_keeper *k, struct tip_error *err); /* with rules.watch */
void tip_rules_watch_end(struct tip_keeper *k);

/* traffic_files.c */
void tip_traffic_clean(const struct tip_keeper *k); /* as tip_rules_clean() */
/* The sets of state_dir/traffic.d. Before the first load. */
int tip_traffic_restore_sets(struct tip_keeper *k, struct tip_error *err);
/*
 * Loads every configured file and every set, with `set` (may be NULL) added or put in place of its
 * namesake and `without` (may be NULL) left out; on success the new policies are in force and the
 * sets are as asked. 0, or -1 with `err` and everything as it was. Without a sensor (`--check`)
 * nothing comes into force, and what a start would refuse is refused.
 */
int tip_traffic_load(struct tip_keeper *k, const struct tip_set *set, const char *without,
		     struct tip_error *err);
/* The same files and sets again. */
int tip_traffic_reload(struct tip_keeper *k, struct tip_error *err);
/*
 * Lines about what these policies ask for and will not get: destinations over IPv6, IDs of trust
 * domains without a bundle. `set`: only of policies that came with it; NULL: of all.
 */
void tip_traffic_remarks(const struct tip_keeper *k, const char *set, struct tip_buf *out);
void tip_traffic_files_free(struct tip_keeper *k);
/* relays_policy.c: k->traffic.set, whose policies these are, comes into force. 0, or -1 with `err`
 * and the former ones in force. */
int tip_traffic_in_force(struct tip_keeper *k, const struct tip_traffic_policies *policies,
			 struct tip_error *err);

/* entry_files.c */
int tip_entries_reload(struct tip_keeper *k, struct tip_error *err);
int tip_entries_add(struct tip_keeper *k, const struct tip_entry *e, bool ephemeral,
		    struct tip_error *err);
/* `id`: an entry id or a SPIFFE ID. Number removed, or -1 with `err`. */
int tip_entries_remove(struct tip_keeper *k, const char *id, struct tip_error *err);
void tip_entries_free(struct tip_keeper *k);

/* cache_files.c: the front's records, on disk */
/* Finds the keys and looks at every record. Before the sandbox. */
int tip_cache_open(struct tip_keeper *k, struct tip_error *err);
void tip_cache_keep(struct tip_keeper *k, const struct tip_link_msg *m); /* TIP_LINK_SAVE */
void tip_cache_drop(struct tip_keeper *k, const struct tip_link_msg *m); /* TIP_LINK_FORGET */
void tip_cache_send(struct tip_keeper *k);                               /* to a new front */
json_t *tip_cache_status(const struct tip_keeper *k);

/* digests.c */
int tip_digests_open(struct tip_keeper *k, struct tip_error *err);
void tip_digests_close(struct tip_keeper *k);
void tip_digests_entries(struct tip_keeper *k); /* other entries are in force */
/* Bytes of the largest executable that is hashed, 0: nobody asks. */
uint64_t tip_digests_limit(const struct tip_keeper *k);
void tip_digests_gone(struct tip_keeper *k, uint64_t exec_id);
/* For `status`: the tier, and how many digests came from where. New references. */
json_t *tip_digests_tier(const struct tip_keeper *k);
json_t *tip_digests_counts(struct tip_keeper *k);
/*
 * The SHA-256 of what `p` executes, valid until its exec is over; "" if no entry asks for it or it
 * has none. NULL: not yet; then tip_front_send_exec() is called again by itself.
 */
const char *tip_digests_of(struct tip_keeper *k, const struct tip_process *p);
void tip_digests_rules(struct tip_keeper *k); /* other rules are active */
/* The same for rules that read it; NULL: it has none, or none yet. */
const char *tip_digests_for_rule(struct tip_keeper *k, const struct tip_process *p);

/* front_process.c */
int tip_front_find_user(struct tip_keeper *k, struct tip_error *err);
/* A user of the system; `everywhere`: asks the name services too. Valid until the next call. */
struct passwd *tip_find_user(const char *name, bool everywhere);
int tip_front_start(struct tip_keeper *k, struct tip_error *err);
/* Its link is closed; it posts the alerts that it is still given, and ends. */
void tip_front_release(struct tip_keeper *k);
void tip_front_stop(struct tip_keeper *k);
void tip_front_watch(struct tip_keeper *k); /* each second: ends a front that hangs */
void tip_front_reaped(struct tip_keeper *k, pid_t pid, int status);
void tip_front_send(struct tip_keeper *k,
		    const struct tip_link_msg *msg); /* dropped when no front runs */
/*
 * How many of `wanted` things with `fds` descriptors each, beside `others`, the front has room for:
 * one for which it has no descriptor left would break the link. At least `least`; fewer than wanted
 * is said, of the configuration's key.
 */
uint32_t tip_front_fit(const char *key, uint32_t wanted, uint32_t fds, uint32_t others,
		       uint32_t least);
/* Certificates in PEM, in messages of that type with "first" and bytes. */
void tip_front_send_authorities(struct tip_keeper *k, enum tip_link_type type,
				const struct tip_buf *pem);
void tip_front_send_entries(struct tip_keeper *k);
/* Facts of an exec; once its digest is known, if that is wanted. */
void tip_front_send_exec(struct tip_keeper *k, struct tip_process *p);

/* relays.c: connections that are relayed through the front, and the policies they are held to */
int tip_relays_open(struct tip_keeper *k, struct tip_error *err);
void tip_relays_close(struct tip_keeper *k);
void tip_relays_tick(struct tip_keeper *k);
/* What an event means for the namespaces that are served. */
void tip_relays_event(struct tip_keeper *k, const struct tip_event *ev,
		      const struct tip_process *p);
/* Who is at the other end of a connect() or accept() that is relayed. False: not known. */
bool tip_relays_peer(struct tip_keeper *k, const struct tip_event *ev, const struct tip_process *p,
		     struct tip_match_peer *out);
void tip_relays_denied(struct tip_keeper *k, const struct tip_event *ev,
		       const struct tip_process *p);
void tip_relays_resolved(struct tip_keeper *k, uint64_t exec_id);
void tip_relays_numbered(struct tip_keeper *k, uint32_t number, const char *spiffe_id);
void tip_relays_feed(struct tip_keeper *k);    /* a new front: limits and policies */
void tip_relays_serving(struct tip_keeper *k); /* it is ready */
void tip_relays_front_gone(struct tip_keeper *k);
/* True when the message was for here. */
bool tip_relays_message(struct tip_keeper *k, const struct tip_link_msg *m);

/* containers.c: what runtimes say about containers */
/* One is seen for the first time. */
void tip_containers_seen(struct tip_keeper *k, const struct tip_container *c);
json_t *tip_containers_json(struct tip_keeper *k);
void tip_containers_feed(
	struct tip_keeper *k); /* a new front: runtimes, and what is not answered */
/* True when the message was for here. */
bool tip_containers_message(struct tip_keeper *k, const struct tip_link_msg *m);

/* kubelet.c: connections to the kubelet, and what it knows us by */
void tip_kubelet_feed(struct tip_keeper *k); /* a new front */
/* The front wants one; it gets it, or is told that there is none, which is in the log. */
void tip_kubelet_dial(struct tip_keeper *k, uint64_t dial);
void tip_kubelet_close(struct tip_keeper *k);

/* workload_accept.c */
int tip_workload_listen(struct tip_keeper *k, struct tip_error *err);
void tip_workload_accepting(struct tip_keeper *k, bool on);
void tip_workload_check(struct tip_keeper *k, uint64_t id, uint32_t ask);
void tip_workload_gone(struct tip_keeper *k, uint64_t id);
void tip_workload_forget_all(struct tip_keeper *k); /* the front died */
void tip_workload_close(struct tip_keeper *k);

/* How acts are stopped: what the configuration wants and this kernel can. */
enum tip_guard_tier tip_keeper_tier(const struct tip_keeper *k);

/* methods.c and its parts: what the control socket can ask for. docs/cli.md shows them from the
 * outside. */
const struct tip_control_method *tip_methods(size_t *count);

/* The lines of `text`, which is cut up, as an array. */
json_t *tip_json_lines(struct tip_buf *text);

#define TIP_METHOD(name)                                                                           \
	json_t *name(void *ctx, struct tip_control_client *client, json_t *params,                 \
		     struct tip_error *err, const char **hint)
TIP_METHOD(tip_method_handover); /* handover.c */
TIP_METHOD(tip_method_status);   /* methods_status.c */
TIP_METHOD(tip_method_processes);
TIP_METHOD(tip_method_connections); /* methods_connections.c */
TIP_METHOD(tip_method_rules_list);  /* methods_rules.c */
TIP_METHOD(tip_method_rules_explain);
TIP_METHOD(tip_method_rules_switch);
TIP_METHOD(tip_method_rules_add);
TIP_METHOD(tip_method_rules_remove);
TIP_METHOD(tip_method_rules_reload);
TIP_METHOD(tip_method_policy_list); /* methods_policy.c */
TIP_METHOD(tip_method_policy_apply);
TIP_METHOD(tip_method_policy_remove);
TIP_METHOD(tip_method_policy_explain);
TIP_METHOD(tip_method_identity_list); /* methods_identity.c */
TIP_METHOD(tip_method_identity_add);
TIP_METHOD(tip_method_identity_remove);
TIP_METHOD(tip_method_quarantine_add);
TIP_METHOD(tip_method_quarantine_list);
TIP_METHOD(tip_method_quarantine_release);

#endif
