/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/spawn.h"

/*
 * The front as the keeper sees it: started, fed, judged by what it says over the
 * link, and started again when it dies.
 */
#define LINK_FD 3
#define BACKOFF_MS                                                                                 \
	50 /* before a front that died young is tried again; doubles up to two seconds             \
	    */
#define BACKOFF_LIMIT 2000
#define YOUNG_NS      (5 * TIP_NSEC_PER_SEC)
#define LINK_BUFFER   (1 << 20)
#define CA_CHUNK      32768 /* of certificates, in one message */
/* Seconds without a word from a front that serves, or that still loads: it tells figures each. */
#define SILENT_MAX  15
#define LOADING_MAX 120
/* Descriptors of the front that are no connections. */
#define FRONT_FDS 64

/*
 * /etc/passwd before the name services: those load a megabyte of libraries into a process that
 * keeps root. Only a configured user is worth that.
 */
struct passwd *tip_find_user(const char *name, bool everywhere)
{
	struct passwd *pw = NULL;
	FILE *f = fopen("/etc/passwd", "re");

	while (f && (pw = fgetpwent(f)) && strcmp(pw->pw_name, name) != 0)
		;
	if (f)
		fclose(f);
	return pw || !everywhere ? pw : getpwnam(name);
}

int tip_front_find_user(struct tip_keeper *k, struct tip_error *err)
{
	const char *want = k->config->front_user;
	struct passwd *pw;

	if (*want) {
		pw = tip_find_user(want, true);
		if (!pw)
			return tip_error_at(err, k->config->file, 0, 0,
					    "front.user: there is no user \"%s\"", want);
	} else {
		pw = tip_find_user("tipstaff", false);
		if (!pw) {
			pw = tip_find_user("nobody", false);
			if (!pw)
				return tip_error_set(err,
						     "neither user tipstaff nor nobody exists; "
						     "make one, or set front.user");
			tip_warn("front", "there is no user tipstaff: the front runs as nobody");
		}
	}
	if (pw->pw_uid == 0 || pw->pw_gid == 0)
		return tip_error_at(err, k->config->file, 0, 0,
				    "front.user: \"%s\" has uid or gid 0; the front must be "
				    "unprivileged",
				    pw->pw_name);
	k->front.uid = pw->pw_uid;
	k->front.gid = pw->pw_gid;
	snprintf(k->front.user, sizeof(k->front.user), "%s", pw->pw_name);
	return 0;
}

/* ---- feeding it ------------------------------------------------------------------------ */

void tip_front_send(struct tip_keeper *k, const struct tip_link_msg *msg)
{
	if (k->front.link)
		tip_link_send(k->front.link, msg);
}

void tip_front_send_authorities(struct tip_keeper *k, enum tip_link_type type,
				const struct tip_buf *pem)
{
	for (size_t at = 0; at == 0 || at < pem->len; at += CA_CHUNK)
		tip_front_send(
			k, &(struct tip_link_msg){
				   .type = type,
				   .flag = at == 0,
				   .data = pem->data + at,
				   .data_len = pem->len - at < CA_CHUNK ? pem->len - at : CA_CHUNK,
			   });
}

void tip_front_send_entries(struct tip_keeper *k)
{
	struct tip_buf b = {0};

	tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_ENTRIES});
	for (size_t i = 0; i < k->entries.count; i++) {
		tip_buf_reset(&b);
		tip_entry_write(&k->entries.list[i], &b);
		tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_ENTRY,
							 .data = b.data,
							 .data_len = b.len});
	}
	tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_ENTRIES_END});
	tip_buf_free(&b);
}

/* True when some entry selects by this very path. */
static bool path_is_selected(const struct tip_keeper *k, const char *path)
{
	for (size_t i = 0; i < k->entries.count; i++) {
		const struct tip_entry *e = &k->entries.list[i];

		for (size_t j = 0; j < e->nselectors; j++)
			if (e->selectors[j].kind == TIP_SEL_UNIX_PATH &&
			    strcmp(e->selectors[j].path, path) == 0)
				return true;
	}
	return false;
}

/*
 * The path by which selectors may know this executable, "" if none. A path is a claim: in a mount
 * namespace that an unprivileged user owns, any file can be mounted over any name. There it counts
 * only if our own namespace has the very same inode under that name (which is looked up for
 * selected paths only: nobody else may make us walk file systems of his choice).
 */
static const char *attested_path(const struct tip_keeper *k, const struct tip_process *p)
{
	struct stat st;

	if (p->flags & (TIP_PROC_EXE_MEMFD | TIP_PROC_EXE_DELETED))
		return "";
	if (p->flags & TIP_PROC_EXE_INIT_MNT)
		return p->exe_path;
	if (!path_is_selected(k, p->exe_path) || stat(p->exe_path, &st) < 0)
		return "";
	/* the kernel's encoding is major << 20 | minor, userspace's is another */
	if (st.st_ino != p->exe_ino ||
	    ((uint32_t)(major(st.st_dev) << 20) | minor(st.st_dev)) != p->exe_dev)
		return "";
	return p->exe_path;
}

void tip_front_send_exec(struct tip_keeper *k, struct tip_process *p)
{
	const char *sha256 = tip_digests_of(k, p);

	if (!sha256)
		return;
	tip_front_send(k, &(struct tip_link_msg){
				  .type = TIP_LINK_EXEC,
				  .exec_id = p->exec_id,
				  .epoch = p->epoch,
				  .pid = p->key.tgid,
				  .uid = p->euid,
				  .gid = p->egid,
				  .flag = p->origin_id &&
					  tip_guard_quarantined(k->guard, p->origin_id) != NULL,
				  .name = attested_path(k, p),
				  .text = p->cgroup,
				  .data = sha256,
				  .data_len = strlen(sha256),
			  });
}

uint32_t tip_front_fit(const char *key, uint32_t wanted, uint32_t fds, uint32_t others,
		       uint32_t least)
{
	struct rlimit l;
	uint64_t fit;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= (uint64_t)fds * wanted + others)
		return wanted;
	fit = l.rlim_cur > others ? (l.rlim_cur - others) / fds : 0;
	if (fit < least)
		fit = least;
	tip_warn("front",
		 "%s is %u, but only %llu files may be open (RLIMIT_NOFILE): %llu are possible; "
		 "raise that, in the service file LimitNOFILE",
		 key, wanted, (unsigned long long)l.rlim_cur, (unsigned long long)fit);
	return (uint32_t)fit;
}

static void feed(struct tip_keeper *k)
{
	const struct tip_config *c = k->config;

	tip_front_send(
		k,
		&(struct tip_link_msg){
			.type = TIP_LINK_CONFIG,
			.name = c->trust_domain,
			.numbers = {c->x509_ttl, c->ca_ttl, c->max_processes,
				    tip_front_fit("limits.connections", c->max_connections, 1,
						  FRONT_FDS, FRONT_FDS),
				    c->max_connections_per_uid, (uint32_t)c->log_level, c->jwt_ttl},
		});
	tip_cache_send(k);
	tip_front_send_entries(k);
	for (size_t i = 0; i < tip_guard_quarantine_count(k->guard); i++)
		tip_front_send(k, &(struct tip_link_msg){
					  .type = TIP_LINK_QUARANTINE,
					  .flag = 1,
					  .name = tip_guard_quarantine_get(k->guard, i)->spiffe_id,
				  });
	tip_relays_feed(k);
	tip_containers_feed(k);
	tip_stream_feed(k);
	tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_START});
	tip_process_reresolve(k->table);
}

/* ---- what it says ------------------------------------------------------------------------ */

static void on_refused(struct tip_keeper *k, const struct tip_link_msg *m)
{
	struct tip_process *p = tip_process_by_exec_id(k->table, m->exec_id);
	struct tip_alert_field extra[] = {{"tipstaff.cause", m->name}, {"proc.pid", NULL}};
	char pid[16], text[320];

	snprintf(pid, sizeof(pid), "%u", m->pid);
	extra[1].value = pid;
	snprintf(text, sizeof(text), "A Workload API connection was cut | cause=%s pid=%u", m->name,
		 m->pid);
	/* Of a process that is known the alert has the pid, and more, anyhow. */
	tip_keeper_alert(k, "Workload API connection refused", TIP_PRIO_WARNING, p, extra,
			 p ? 1 : 2, text);
}

static void on_message(void *ctx, const struct tip_link_msg *m)
{
	struct tip_keeper *k = ctx;

	k->front.silent_s = 0;
	switch (m->type) {
	case TIP_LINK_READY:
		k->front.ready = true;
		tip_info("front", "serves the Workload API as %s (uid %u), pid %d", k->front.user,
			 (unsigned int)k->front.uid, (int)k->front.pid);
		tip_workload_accepting(k, true);
		tip_relays_serving(k);
		break;
	case TIP_LINK_RESOLVED:
		if (tip_process_resolve(k->table, m->exec_id, m->epoch, m->name))
			tip_pipeline_resolved(k, m->exec_id);
		tip_relays_resolved(k, m->exec_id);
		break;
	case TIP_LINK_SAVE: tip_cache_keep(k, m); break;
	case TIP_LINK_FORGET: tip_cache_drop(k, m); break;
	case TIP_LINK_CHECK: tip_workload_check(k, m->id, m->ask); break;
	case TIP_LINK_CLOSED: tip_workload_gone(k, m->id); break;
	case TIP_LINK_REFUSED: on_refused(k, m); break;
	case TIP_LINK_STATS:
		memcpy(k->front.stats.numbers, m->numbers, sizeof(m->numbers));
		memcpy(k->front.stats.counters, m->counters, sizeof(m->counters));
		break;
	default:
		if (!tip_containers_message(k, m))
			tip_relays_message(k, m);
		break;
	}
}

/* ---- its life ------------------------------------------------------------------------------ */

/* Whatever ended it, the process has to go: SIGCHLD does the rest. */
static void on_ended(void *ctx, const char *why)
{
	struct tip_keeper *k = ctx;

	tip_warn("front", "the link ended: %s", why);
	tip_link_free(k->front.link);
	k->front.link = NULL;
	k->front.ready = false;
	tip_workload_accepting(k, false);
	tip_workload_forget_all(k);
	tip_relays_front_gone(k);
	if (k->front.pid)
		kill(k->front.pid, SIGKILL);
}

void tip_front_watch(struct tip_keeper *k)
{
	/*
	 * Counted in rounds of our own loop, so that time in which we were stopped does not count.
	 * A front that hangs, or that somebody of its uid stopped, answers for nobody's identity.
	 */
	if (!k->front.link || ++k->front.silent_s <= (k->front.ready ? SILENT_MAX : LOADING_MAX))
		return;
	k->front.silent_s = 0;
	on_ended(k, "the front does not answer");
}

static void on_respawn(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_keeper *k = ctx;
	struct tip_error err;

	if (tip_front_start(k, &err) < 0) {
		struct timeval tv = {1, 0};

		tip_err("front", "cannot be started: %s", err.text);
		event_add(k->front.respawn, &tv);
	}
}

void tip_front_reaped(struct tip_keeper *k, pid_t pid, int status)
{
	uint64_t lived = tip_clock_monotonic() - k->front.started_ns;
	struct timeval tv = {0};
	char text[160];

	if (pid != k->front.pid)
		return;
	k->front.pid = 0;
	if (k->front.link)
		on_ended(k, "the front died");
	k->front.restarts++;
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "The front died of signal %d; starting another",
			 WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "The front exited with %d; starting another",
			 WEXITSTATUS(status));
	tip_keeper_alert(k, "Front restarted", TIP_PRIO_WARNING, NULL, NULL, 0, text);
	if (lived > YOUNG_NS)
		k->front.backoff_ms = 0;
	else
		k->front.backoff_ms = k->front.backoff_ms ? k->front.backoff_ms * 2 : BACKOFF_MS;
	if (k->front.backoff_ms > BACKOFF_LIMIT)
		k->front.backoff_ms = BACKOFF_LIMIT;
	tv.tv_sec = k->front.backoff_ms / 1000;
	tv.tv_usec = (suseconds_t)(k->front.backoff_ms % 1000) * 1000;
	event_add(k->front.respawn, &tv);
}

/* Starts this very binary again: the new process shares neither memory layout nor descriptors. */
static int spawn(struct tip_keeper *k, int link_fd, struct tip_error *err)
{
	char uid[16], gid[16];
	const char *const argv[] = {"tipstaffd", "--front", uid, gid, k->config->run_dir, NULL};
	/* Its time zone needs no file. */
	const char *const env[] = {"TZ=UTC0", NULL};
	const struct tip_spawn child = {
		.path = "/proc/self/exe",
		.argv = argv,
		.env = env,
		.fds = {TIP_SPAWN_NULL, TIP_SPAWN_NULL, TIP_SPAWN_SAME, [LINK_FD] = link_fd},
	};
	int ret;

	snprintf(uid, sizeof(uid), "%u", (unsigned int)k->front.uid);
	snprintf(gid, sizeof(gid), "%u", (unsigned int)k->front.gid);
	ret = tip_spawn(&child, &k->front.pid);
	if (ret)
		return tip_error_set(err, "posix_spawn: %s", strerror(ret));
	k->front.started_ns = tip_clock_monotonic();
	return 0;
}

int tip_front_start(struct tip_keeper *k, struct tip_error *err)
{
	struct tip_link_ops ops = {on_message, on_ended, k};
	int sv[2], size = LINK_BUFFER;

	if (!k->front.respawn) {
		k->front.respawn = event_new(k->base, -1, 0, on_respawn, k);
		if (!k->front.respawn)
			abort();
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) < 0)
		return tip_error_set(err, "socketpair: %s", strerror(errno));
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(sv[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (spawn(k, sv[1], err) < 0) {
		close(sv[0]);
		close(sv[1]);
		return -1;
	}
	close(sv[1]);
	k->front.link = tip_link_new(k->base, sv[0], TIP_LINK_KEEPER, &ops);
	k->front.silent_s = 0;
	feed(k);
	return 0;
}

void tip_front_release(struct tip_keeper *k)
{
	if (k->front.respawn) {
		event_free(k->front.respawn);
		k->front.respawn = NULL;
	}
	tip_link_free(k->front.link);
	k->front.link = NULL;
}

void tip_front_stop(struct tip_keeper *k)
{
	pid_t pid = k->front.pid;

	/* Closing the link is the order to exit; a front that does not obey is killed. */
	tip_front_release(k);
	k->front.pid = 0;
	if (!pid)
		return;
	for (int i = 0; i < 100; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
