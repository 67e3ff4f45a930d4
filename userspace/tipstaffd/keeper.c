/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "sensor/intercept.h"
#include "tipstaffd/lacks.h"
#include "tipstaffd/sandbox.h"
#include "tipstaffd/quota.h"

#define CATCH_UP_USEC      20000
#define CATCH_UP_ROUNDS    150
#define BACKLOG_USEC       2000
#define BACKLOG_TICKS      10
#define PROCESS_GRACE_TICK 1 /* seconds between housekeeping rounds */

/* ---- events of the loop ---------------------------------------------------------------------- */

/*
 * What happened while no daemon ran is in the rings. Lives and deaths are taken in at once; acts
 * wait for a front, for rules ask who acted, but not for long.
 */
static void on_catch_up(evutil_socket_t fd, short what, void *ctx)
{
	const struct timeval again = {.tv_usec = CATCH_UP_USEC};
	struct tip_keeper *k = ctx;

	if (k->catching_up > 0 && !k->front.ready && --k->catching_up > 0) {
		tip_sensor_poll_lifecycle(k->sensor);
		event_add(k->catch_up, &again);
		return;
	}
	k->catching_up = 0;
	event_add(k->sensor_readable, NULL);
}

static void on_sensor(evutil_socket_t fd, short what, void *ctx)
{
	const struct timeval soon = {.tv_usec = BACKLOG_USEC};
	struct tip_keeper *k = ctx;

	/* A backlog comes faster than its alerts are written. A sink that is stuck stalls it no
	 * longer than this. */
	if (k->ticks < BACKLOG_TICKS && tip_alerts_waiting(k->alerts) > 0) {
		event_del(k->sensor_readable);
		event_add(k->catch_up, &soon);
		return;
	}
	tip_sensor_poll(k->sensor);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_keeper *k = ctx;

	tip_fdstore_alive(k->fds);
	/* Who died while no daemon ran is needed until what it did has been read. */
	if (!k->catching_up && ++k->ticks > 2)
		tip_process_expire(k->table, tip_clock_boot());
	tip_handover_tick(k);
	tip_front_watch(k);
	tip_relays_tick(k);
	tip_vault_flush(k->vault);
	tip_accounts_tick(k);
}

static void on_stop(evutil_socket_t sig, short what, void *ctx)
{
	struct tip_keeper *k = ctx;

	tip_info("keeper", "%s: stopping; what is pinned keeps enforcing",
		 sig == SIGTERM ? "SIGTERM" : "SIGINT");
	event_base_loopbreak(k->base);
}

/* What a room has to say about what it was given: a line each. */
void tip_log_notes(const char *room, struct tip_buf *notes)
{
	char *save = NULL;

	if (!notes->len)
		return;
	for (char *l = strtok_r(notes->data, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		tip_warn(room, "%s", l);
}

/* What log rotation asks for. */
static void reopen(struct tip_keeper *k)
{
	struct tip_error err;
	char text[1200];

	if (tip_alerts_reopen(k->alerts, &err) < 0)
		tip_err("alert", "%s", tip_error_str(&err, text, sizeof(text)));
}

static void on_reload(evutil_socket_t sig, short what, void *ctx)
{
	struct tip_alert_field extra[] = {{"tipstaff.by", "SIGHUP"}, {"tipstaff.set", NULL}};
	struct tip_keeper *k = ctx;
	struct tip_error err;
	char text[1200];

	tip_info("keeper", "SIGHUP: reloading rules and entries, reopening the alert file");
	if (tip_rules_reload(k, "SIGHUP", &err) < 0)
		tip_err("detect", "the old rules stay: %s",
			tip_error_str(&err, text, sizeof(text)));
	if (tip_entries_reload(k, &err) < 0)
		tip_err("identity", "the old entries stay: %s",
			tip_error_str(&err, text, sizeof(text)));
	if (tip_traffic_reload(k, &err) < 0) {
		tip_err("traffic", "the old policies stay: %s",
			tip_error_str(&err, text, sizeof(text)));
	} else if (k->traffic.on) {
		snprintf(text, sizeof(text),
			 "Traffic policies reloaded | set=<NA> by=SIGHUP policies=%zu",
			 tip_traffic_policies_count(tip_traffic_set_policies(k->traffic.set)));
		tip_keeper_alert(k, "Traffic policies changed", TIP_PRIO_NOTICE, NULL, extra, 2,
				 text);
	}
	reopen(k);
	tip_stream_send_files(k);
}

/* Only the front: whoever else starts a process waits for it himself. */
static void on_child(evutil_socket_t sig, short what, void *ctx)
{
	struct tip_keeper *k = ctx;
	int status;

	if (k->front.pid && waitpid(k->front.pid, &status, WNOHANG) == k->front.pid)
		tip_front_reaped(k, k->front.pid, status);
}

static void on_rotate(evutil_socket_t sig, short what, void *ctx)
{
	tip_info("keeper", "SIGUSR1: reopening the alert file");
	reopen(ctx);
}

static struct event *listen_signal(struct tip_keeper *k, int sig, event_callback_fn fn)
{
	struct event *ev = evsignal_new(k->base, sig, fn, k);

	if (!ev || event_add(ev, NULL) < 0)
		abort();
	return ev;
}

static void listen_all(struct tip_keeper *k)
{
	struct timeval second = {PROCESS_GRACE_TICK, 0}, at_once = {0};

	k->sigterm = listen_signal(k, SIGTERM, on_stop);
	k->sigint = listen_signal(k, SIGINT, on_stop);
	k->sighup = listen_signal(k, SIGHUP, on_reload);
	k->sigusr1 = listen_signal(k, SIGUSR1, on_rotate);
	k->sigchld = listen_signal(k, SIGCHLD, on_child);
	k->tick = event_new(k->base, -1, EV_PERSIST, on_tick, k);
	k->sensor_readable =
		event_new(k->base, tip_sensor_fd(k->sensor), EV_READ | EV_PERSIST, on_sensor, k);
	k->catch_up = event_new(k->base, -1, 0, on_catch_up, k);
	if (!k->tick || !k->sensor_readable || !k->catch_up)
		abort();
	event_add(k->tick, &second);
	k->catching_up = CATCH_UP_ROUNDS;
	event_add(k->catch_up, &at_once);
}

/* ---- start
 * --------------------------------------------------------------------------------------- */

static void raise_limits(void)
{
	struct rlimit nofile, unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0) {
		nofile.rlim_cur = nofile.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &nofile) < 0)
			tip_warn("keeper", "RLIMIT_NOFILE cannot be raised: %s", strerror(errno));
	}
	/* Only kernels before 5.11 account BPF memory here; without CAP_SYS_RESOURCE it fails. */
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0)
		tip_debug("keeper", "RLIMIT_MEMLOCK stays: %s", strerror(errno));
}

/* A folder in which others may write is a folder whose sockets, keys and journal are theirs. */
static int own_folder(const char *path, mode_t mode, struct tip_error *err)
{
	struct stat st;

	if (tip_mkdir_p(path, mode, err) < 0)
		return -1;
	if (stat(path, &st) < 0)
		return tip_error_at(err, path, 0, 0, "%s", strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return tip_error_at(err, path, 0, 0,
				    "must be a folder that root owns and nobody else may write "
				    "to; chown and chmod it, or choose another");
	return 0;
}

static int make_folders(struct tip_keeper *k, struct tip_error *err)
{
	char *lock = tip_sprintf("%s/lock", k->config->run_dir);
	int ret = -1;

	/* 0755: workloads have to reach workload.sock; control.sock guards itself. */
	if (own_folder(k->config->run_dir, 0755, err) < 0 ||
	    own_folder(k->config->state_dir, 0700, err) < 0)
		goto out;
	k->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (k->lock_fd < 0)
		tip_error_at(err, lock, 0, 0, "%s", strerror(errno));
	else if (flock(k->lock_fd, LOCK_EX | LOCK_NB) == 0)
		ret = 0;
	else if (k->replace)
		ret = tip_handover_replace(k, err);
	else
		tip_error_at(err, lock, 0, 0,
			     "another tipstaffd runs with this run_dir; stop it, start this one "
			     "with --replace, or give it its own run_dir, state_dir and instance");
out:
	free(lock);
	return ret;
}

static int find_scope(struct tip_keeper *k, struct tip_error *err)
{
	const struct tip_config *c = k->config;
	struct stat st;

	k->traffic.on = c->traffic;
	if (tip_cgroup2_mount(k->cgroup2, sizeof(k->cgroup2)) < 0) {
		k->cgroup2[0] = '\0';
		k->traffic.on = false;
		if (c->nscope)
			return tip_error_at(err, c->file, 0, 0,
					    "scope.cgroups: no cgroup2 file system is mounted, so "
					    "there is no cgroup %s; mount one, for example at "
					    "/sys/fs/cgroup/unified",
					    c->scope[0]);
	}
	k->scope_dirs = tip_calloc(c->nscope + 1, sizeof(*k->scope_dirs));
	for (size_t i = 0; i < c->nscope; i++) {
		k->scope_dirs[i] = tip_sprintf("%s%s", k->cgroup2, c->scope[i]);
		if (stat(k->scope_dirs[i], &st) < 0 || !S_ISDIR(st.st_mode))
			return tip_error_at(err, c->file, 0, 0,
					    "scope.cgroups: there is no cgroup %s below %s",
					    c->scope[i], k->cgroup2);
	}
	return 0;
}

static int probe(struct tip_keeper *k, struct tip_error *err)
{
	tip_probe(k->cgroup2, k->caps);
	for (int i = 0; i < TIP_CAP_MAX; i++)
		tip_info("sensor", "kernel: %-14s %-3s %s",
			 tip_capability_name((enum tip_capability)i),
			 k->caps[i].works ? "yes" : "no", k->caps[i].detail);
	for (size_t i = 0; i < k->config->nrequire; i++) {
		enum tip_capability cap = k->config->require[i];

		if (!k->caps[cap].works)
			return tip_error_at(err, k->config->file, 0, 0,
					    "require: %s does not work on this kernel: %s",
					    tip_capability_name(cap), k->caps[cap].detail);
	}
	if (k->config->traffic && k->config->records == TIP_RECORDS_KERNEL &&
	    !k->caps[TIP_CAP_KTLS].works)
		return tip_error_at(err, k->config->file, 0, 0,
				    "traffic.records: ktls does not work on this kernel: %s; "
				    "\"auto\" or \"user\" would do without",
				    k->caps[TIP_CAP_KTLS].detail);
	tip_lacks_log(k);
	return 0;
}

enum tip_guard_tier tip_keeper_tier(const struct tip_keeper *k)
{
	if (!k->config->enforcement)
		return TIP_GUARD_OFF;
	return k->caps[TIP_CAP_LSM].works ? TIP_GUARD_LSM : TIP_GUARD_KILL;
}

/*
 * Opens the sensor on the tier that the configuration asks for; `auto` takes the better one that
 * this kernel accepts as a whole.
 */
static int open_tier(struct tip_keeper *k, struct tip_sensor_config *sc, struct tip_error *err)
{
	const struct tip_capability_result *fentry = &k->caps[TIP_CAP_FENTRY];
	const struct tip_sensor_ops ops = {tip_pipeline_event, k};
	const enum tip_sensing_choice choice = k->config->sensing;
	const char *refused = NULL;
	struct tip_error second = {0};

	if (choice == TIP_SENSING_ONLY_KERNEL && !fentry->works)
		return tip_error_at(err, k->config->file, 0, 0,
				    "sensing: kernel needs fentry, which does not work on this "
				    "kernel: %s; say auto or syscalls",
				    fentry->detail);
	if (choice != TIP_SENSING_ONLY_SYSCALLS && fentry->works) {
		sc->sensing = TIP_SENSING_KERNEL;
		k->sensor = tip_sensor_open(sc, &ops, err);
		if (k->sensor || choice == TIP_SENSING_ONLY_KERNEL)
			return k->sensor ? 0 : -1;
		refused = err->text;
	}
	sc->sensing = TIP_SENSING_SYSCALLS;
	k->sensor = tip_sensor_open(sc, &ops, &second);
	if (!k->sensor) {
		*err = second;
		return -1;
	}
	/* Only now it is known that it was for the tier and not for something else. */
	if (refused) {
		tip_warn("sensor", "sensing at the exit of system calls: %s", refused);
		snprintf(k->sensing_refused, sizeof(k->sensing_refused), "%s", refused);
	}
	return 0;
}

static int open_sensor(struct tip_keeper *k, struct tip_error *err)
{
	const struct tip_config *c = k->config;
	struct tip_sensor_config sc = {
		.instance = c->instance,
		.cgroup2 = k->cgroup2,
		.scope = k->scope_dirs,
		.nscope = c->nscope,
		.max_processes = c->max_processes,
		.redirects_per_netns = c->max_redirects_per_namespace,
		.redirects_per_identity = c->max_redirects_per_identity,
		.listeners_per_netns = c->max_listeners_per_namespace,
		.lifecycle_ring = c->lifecycle_ring,
		.activity_ring = c->activity_ring,
		.lsm = tip_keeper_tier(k) == TIP_GUARD_LSM,
		.digests = c->digest != TIP_DIGEST_USER && k->caps[TIP_CAP_IMA].works,
		.enforce = c->enforcement,
		.traffic = k->traffic.on,
		.veth_stop = c->traffic_veth_stop,
		.pin = true,
	};
	struct tip_process_ops pops = tip_wire_process(k);

	if (tip_digests_open(k, err) || open_tier(k, &sc, err))
		return -1;
	k->table = tip_process_table_new(c->max_processes, k->cgroup2, k->sensor, &pops);
	tip_containers_limit(tip_process_containers(k->table), c->max_containers);
	tip_info("sensor", "%s the programs of instance %s",
		 tip_sensor_adopted(k->sensor) ? "adopted" : "loaded", c->instance);
	return 0;
}

static int open_guard(struct tip_keeper *k, struct tip_error *err)
{
	struct tip_guard_ops ops = tip_wire_guard(k);
	char *journal = tip_sprintf("%s/quarantine.journal", k->config->state_dir);

	k->guard = tip_guard_new(journal, tip_keeper_tier(k), &ops, err);
	free(journal);
	return k->guard ? 0 : -1;
}

static int open_control(struct tip_keeper *k, struct tip_error *err)
{
	struct tip_control_ops ops = {tip_wire_peer_ok, k};
	char *path = tip_sprintf("%s/control.sock", k->config->run_dir);
	const int listener = tip_handover_listener(k, TIP_FD_CONTROL, path, 0600);
	size_t count;
	const struct tip_control_method *methods = tip_methods(&count);

	k->control = tip_control_new(k->base, path, listener, methods, count, &ops, err);
	if (k->control)
		tip_fdstore_keep(k->fds, TIP_FD_CONTROL, tip_control_listener(k->control));
	free(path);
	return k->control ? 0 : -1;
}

static int load_policy(struct tip_keeper *k, struct tip_error *err)
{
	struct tip_buf notes = {0};
	int ret = -1;

	tip_rules_clean(k);
	tip_traffic_clean(k);
	if (tip_entries_reload(k, err) < 0 || tip_rules_restore_sets(k, err) < 0 ||
	    tip_rules_install(k, NULL, NULL, &notes, err) < 0 ||
	    tip_traffic_restore_sets(k, err) < 0 || tip_traffic_load(k, NULL, NULL, err) < 0)
		goto out;
	tip_log_notes("guard", &notes);
	tip_buf_reset(&notes);
	tip_traffic_remarks(k, NULL, &notes);
	tip_log_notes("traffic", &notes);
	tip_info("detect", "%zu rules from %zu files and %zu sets",
		 tip_rules_count(k->rules.active), k->rules.nfiles, k->rules.sets.count);
	tip_info("identity", "%zu registration entries", k->entries.count);
	if (k->relays.intercept)
		tip_info("traffic", "%zu policies from %zu files and %zu sets",
			 tip_traffic_policies_count(tip_traffic_set_policies(k->traffic.set)),
			 k->traffic.nfiles, k->traffic.sets.count);
	ret = 0;
out:
	tip_buf_free(&notes);
	return ret;
}

static void said_started(struct tip_keeper *k)
{
	struct tip_alert_field extra[] = {
		{"tipstaff.version", TIP_VERSION},
		{"tipstaff.instance", k->config->instance},
		{"tipstaff.adopted", tip_sensor_adopted(k->sensor) ? "true" : "false"},
	};

	tip_keeper_alert(k, "Tipstaff daemon started", TIP_PRIO_NOTICE, NULL, extra, 3,
			 "tipstaffd " TIP_VERSION " started");
}

/*
 * The order matters: what needs more rights than the sandbox leaves (the probe, which makes
 * throw-away cgroups and namespaces, the keys of the cache, and the loading of modules) before the
 * sandbox;
 * the sandbox before the first thread; kernel policy before the first rule may need it; the
 * snapshot before the front, so that it is told of everybody; sockets last, so that nobody is
 * served by half a daemon.
 */
static int start(struct tip_keeper *k, struct tip_error *err)
{
	raise_limits();
	/* What connects meanwhile is not to be refused because the worker does not say a word. */
	if (tip_fdstore_inherited(k->fds))
		tip_sensor_heartbeat_early(k->config->instance, TIP_HANDOVER_MS);
	if (find_scope(k, err) < 0 || tip_front_find_user(k, err) < 0 ||
	    tip_stream_prepare(k, err) < 0 || probe(k, err) < 0 || make_folders(k, err) < 0 ||
	    tip_cache_open(k, err) < 0)
		return -1;
	if (k->traffic.on)
		tip_intercept_prepare(k->config->instance, k->config->run_dir,
				      (uint16_t)k->config->traffic_port);
	if (tip_sandbox_keeper(err) < 0 || tip_stream_open(k, err) < 0)
		return -1;
	tip_pipeline_init(k);
	if (open_sensor(k, err) < 0 || open_guard(k, err) < 0 || tip_relays_open(k, err) < 0 ||
	    load_policy(k, err) < 0 || tip_sensor_commit(k->sensor, err) < 0 ||
	    tip_sensor_snapshot(k->sensor, err) < 0 || tip_workload_listen(k, err) < 0 ||
	    tip_front_start(k, err) < 0 || open_control(k, err) < 0)
		return -1;
	listen_all(k);
	if (tip_rules_watch_begin(k, err) < 0)
		return -1;
	k->listening = true;
	tip_accounts_begin(k);
	said_started(k);
	tip_lacks_alert(k);
	tip_fdstore_settle(k->fds);
	tip_fdstore_notify(k->fds, "READY=1");
	/* Probing, loading programs and compiling rules took megabytes that are free by now. */
	tip_mem_give_back();
	tip_info("keeper",
		 "tipstaffd " TIP_VERSION ", instance %s, trust domain %s, enforcement %s",
		 k->config->instance, k->config->trust_domain,
		 k->config->enforcement ? "on" : "off");
	return 0;
}

static void event_drop(struct event **ev)
{
	if (*ev)
		event_free(*ev);
	*ev = NULL;
}

/*
 * After a detach the kernel frees every program while this process ends, and waits for a grace
 * period for nearly each. A manager that lost patience would start us again.
 */
#define LEAVING "STOPPING=1\nEXTEND_TIMEOUT_USEC=120000000"

static void stop(struct tip_keeper *k)
{
	if (k->listening)
		tip_fdstore_notify(k->fds, k->detached ? LEAVING : "STOPPING=1");
	/* Nobody comes for them, or not soon: who waits is to be refused rather. */
	if (!k->listening || k->detached)
		tip_fdstore_forget_all(k->fds);
	tip_control_free(k->control, !k->detached && tip_fdstore_kept(k->fds));
	tip_rules_watch_end(k);
	event_drop(&k->sensor_readable);
	event_drop(&k->catch_up);
	event_drop(&k->tick);
	event_drop(&k->sigterm);
	event_drop(&k->sigint);
	event_drop(&k->sighup);
	event_drop(&k->sigusr1);
	event_drop(&k->sigchld);
	tip_workload_close(k);
	if (k->config->http)
		tip_front_release(k);
	else
		tip_front_stop(k);
	tip_pumps_free(k->pumps);
	tip_kubelet_close(k);
	tip_relays_close(k);
	if (k->held[0].timer)
		tip_pipeline_free(k);
	if (k->alerts && k->sensor)
		tip_keeper_alert(k, "Tipstaff daemon stopped", TIP_PRIO_NOTICE, NULL, NULL, 0,
				 k->detached
					 ? "tipstaffd stopped; nothing of it is left in the kernel"
					 : "tipstaffd stopped; what is pinned keeps enforcing");
	if (k->listening)
		tip_accounts_end(k);
	tip_guard_free(k->guard);
	tip_process_table_free(k->table);
	tip_digests_close(k);
	if (k->sensor)
		tip_sensor_close(k->sensor);
	tip_alerts_free(k->alerts);
	tip_front_stop(k); /* it has posted the last of them */
	tip_hosts_close(k);
	tip_traffic_files_free(k);
	tip_rules_files_free(k);
	tip_entries_free(k);
	tip_vault_free(k->vault);
	tip_matcher_free(k->matcher);
	tip_quota_free(k);
	for (size_t i = 0; k->scope_dirs && k->scope_dirs[i]; i++)
		free((void *)k->scope_dirs[i]);
	free(k->scope_dirs);
	tip_fdstore_free(k->fds);
	free(k->handover);
	if (k->lock_fd >= 0)
		close(k->lock_fd);
	event_base_free(k->base);
}

/* `tipstaffd --check`: everything that a start would refuse before it touches the kernel. */
static int check(struct tip_keeper *k)
{
	struct tip_error err;
	char text[1200];
	int ret = 1;

	if (tip_stream_check(k->config, &err) == 0 && tip_entries_reload(k, &err) == 0 &&
	    tip_rules_restore_sets(k, &err) == 0 &&
	    tip_rules_install(k, NULL, NULL, NULL, &err) == 0 &&
	    tip_guard_check_rules(k->rules.active, &err) == 0 &&
	    tip_traffic_restore_sets(k, &err) == 0 && tip_traffic_reload(k, &err) == 0) {
		for (size_t i = 0; i < k->rules.last.count; i++)
			fprintf(stderr, "warning: %s: %s\n", k->rules.last.messages[i].code,
				tip_error_str(&k->rules.last.messages[i].at, text, sizeof(text)));
		printf("%s: Ok (%zu rules, %zu entries, %zu traffic policies)\n", k->config->file,
		       tip_rules_count(k->rules.active), k->entries.count,
		       tip_traffic_policies_count(tip_traffic_set_policies(k->traffic.set)));
		ret = 0;
	} else {
		fprintf(stderr, "tipstaffd: %s\n", tip_error_str(&err, text, sizeof(text)));
	}
	tip_traffic_files_free(k);
	tip_rules_files_free(k);
	tip_entries_free(k);
	tip_matcher_free(k->matcher);
	return ret;
}

int tip_keeper_run(const struct tip_config *config, enum tip_keeper_run how)
{
	struct tip_keeper *k = tip_alloc(sizeof(*k));
	struct tip_error err;
	char text[1200];
	int ret = 1;

	k->config = config;
	k->lock_fd = -1;
	k->workload.fd = -1;
	k->started_ns = tip_clock_monotonic();
	k->matcher = tip_matcher_new();
	if (gethostname(k->hostname, sizeof(k->hostname) - 1) < 0)
		snprintf(k->hostname, sizeof(k->hostname), "localhost");
	if (how == TIP_RUN_CHECK) {
		ret = check(k);
		free(k);
		return ret;
	}
	k->replace = how == TIP_RUN_REPLACE;
	k->fds = tip_fdstore_new();
	signal(SIGPIPE, SIG_IGN);
	k->base = event_base_new();
	if (!k->base)
		abort();
	if (start(k, &err) < 0) {
		tip_err("keeper", "cannot start: %s", tip_error_str(&err, text, sizeof(text)));
	} else {
		event_base_dispatch(k->base);
		ret = k->exit_code;
	}
	stop(k);
	free(k);
	return ret;
}
