/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tipstaffd/quota.h"

/*
 * The Workload API's listener lives in the keeper: it survives the front, and only the keeper can
 * ask the kernel who really called connect(). Each accepted socket goes to the front together with
 * that answer; a byte of it is never read here.
 */
#define WAIT_NS      (50ULL * 1000000) /* a client that is still inside connect() */
#define WAIT_MAX     256
#define WAIT_UID_MAX 64
#define RETRY_USEC   1000
#define SPIN_NS      (60ULL * 1000) /* most clients are a few microseconds from the end of connect() */
#define ACCEPT_MAX   32             /* connections taken before the loop gets its turn again */

struct tip_waiting {
	struct tip_waiting *next;
	int fd;
	uid_t uid;
	uint64_t until_ns;
};

static void peer_of(int fd, struct ucred *cred)
{
	socklen_t len = sizeof(*cred);

	*cred = (struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1};
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &len);
}

static void refuse(struct tip_keeper *k, int fd, const char *cause)
{
	struct tip_alert_field extra[] = {{"tipstaff.cause", cause}, {"proc.pid", NULL}};
	struct ucred cred;
	char pid[16], text[256];

	peer_of(fd, &cred);
	snprintf(pid, sizeof(pid), "%d", (int)cred.pid);
	extra[1].value = pid;
	snprintf(text, sizeof(text), "A Workload API connection was refused | cause=%s pid=%s",
		 cause, pid);
	tip_keeper_alert(k, "Workload API connection refused", TIP_PRIO_WARNING, NULL, extra, 2,
			 text);
	close(fd);
}

/* Connections of one identity. */
struct tip_conns_of {
	uint32_t count;
};

/* One more of that identity. False: it has its share. Who is not known has that of its user. */
static bool count_in(struct tip_keeper *k, uint32_t number)
{
	struct tip_conns_of *of = tip_map_getu(k->workload.of, number);

	if (number < TIP_ID_FIRST)
		return true;
	if (!of) {
		of = tip_alloc(sizeof(*of));
		tip_map_putu(k->workload.of, number, of);
	}
	if (of->count >= k->config->max_connections_per_identity)
		return false;
	of->count++;
	return true;
}

static void count_out(struct tip_keeper *k, uint32_t number)
{
	struct tip_conns_of *of = tip_map_getu(k->workload.of, number);

	if (number >= TIP_ID_FIRST && of && --of->count == 0)
		free(tip_map_delu(k->workload.of, number));
}

static void hand_over(struct tip_keeper *k, int fd, const struct tip_unix_peer *peer)
{
	struct tip_process *p;
	struct tip_conn *c;

	/* What the kernel knew at connect() must be known to the front before the connection is. */
	tip_sensor_poll_lifecycle(k->sensor);
	p = tip_process_by_exec_id(k->table, peer->exec_id);
	if (p && !p->reported) {
		/* A fork that inherited its identity in the kernel: the front has not heard of it.
		 */
		p->reported = true;
		tip_front_send_exec(k, p);
	}
	if (!count_in(k, p ? p->current : TIP_ID_PENDING)) {
		tip_quota_reached(k, TIP_QUOTA_CONNECTIONS, p->spiffe_id, 0);
		close(fd);
		return;
	}
	c = tip_alloc(sizeof(*c));
	c->number = p ? p->current : TIP_ID_PENDING;
	c->id = ++k->workload.next_id;
	c->proc = peer->proc;
	c->exec_id = peer->exec_id;
	tip_map_putu(k->workload.conns, c->id, c);
	tip_front_send(k, &(struct tip_link_msg){
				  .type = TIP_LINK_CONN,
				  .id = c->id,
				  .exec_id = peer->exec_id,
				  .epoch = peer->epoch,
				  .pid = peer->proc.tgid,
				  .uid = peer->uid,
				  .gid = peer->gid,
				  .fd = fd,
			  });
	close(fd);
}

/* True when the connection is settled either way: handed over, or after `until_ns` refused. */
static bool settle(struct tip_keeper *k, int fd, uint64_t spin_ns, uint64_t until_ns)
{
	uint64_t start = tip_clock_monotonic(), now;
	struct tip_unix_peer peer;

	do {
		if (tip_sensor_peer(k->sensor, fd, &peer) == 0) {
			hand_over(k, fd, &peer);
			return true;
		}
		now = tip_clock_monotonic();
	} while (now - start < spin_ns);
	if (now < until_ns)
		return false;
	k->workload.no_record++;
	refuse(k, fd, "no kernel record of its connect()");
	return true;
}

static void arm_retry(struct tip_keeper *k)
{
	struct timeval tv = {0, RETRY_USEC};

	if (k->workload.waiting && !event_pending(k->workload.retry, EV_TIMEOUT, NULL))
		event_add(k->workload.retry, &tv);
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_keeper *k = ctx;
	struct tip_waiting **at = &k->workload.waiting, *w;

	while ((w = *at)) {
		if (!settle(k, w->fd, 0, w->until_ns)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		k->workload.nwaiting--;
		free(w);
	}
	arm_retry(k);
}

/*
 * Connections without a record (io_uring makes as many as you like) must not keep those out whose
 * record is on its way: each uid has its share of the places.
 */
static bool may_wait(const struct tip_keeper *k, uid_t uid)
{
	size_t mine = 0;

	for (const struct tip_waiting *w = k->workload.waiting; w; w = w->next)
		mine += w->uid == uid;
	return k->workload.nwaiting < WAIT_MAX && mine < WAIT_UID_MAX;
}

static void on_connection(evutil_socket_t listener, short what, void *ctx)
{
	struct tip_keeper *k = ctx;
	struct tip_waiting *w;
	struct ucred cred;
	uint64_t until;
	int fd;

	for (int i = 0; i < ACCEPT_MAX; i++) {
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			/* EMFILE: leave it in the backlog, look again when something has been
			 * closed */
			if (errno == EMFILE || errno == ENFILE)
				usleep(1000);
			return;
		}
		until = tip_clock_monotonic() + WAIT_NS;
		/* No spinning when waiting has become the rule: that is no client's usual haste. */
		if (settle(k, fd, k->workload.nwaiting < WAIT_UID_MAX / 2 ? SPIN_NS : 0, until))
			continue;
		peer_of(fd, &cred);
		if (!may_wait(k, cred.uid)) {
			refuse(k, fd, "too many connections without a kernel record");
			continue;
		}
		w = tip_alloc(sizeof(*w));
		w->fd = fd;
		w->uid = cred.uid;
		w->until_ns = until;
		w->next = k->workload.waiting;
		k->workload.waiting = w;
		k->workload.nwaiting++;
		arm_retry(k);
	}
}

/*
 * Connects to ourselves and asks the kernel who that was. Without a record every workload would be
 * refused, so better no start: it happens where stat() and the kernel disagree about the device of
 * run_dir (btrfs).
 */
static int self_test(struct tip_keeper *k, const struct sockaddr_un *sa, struct tip_error *err)
{
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct tip_unix_peer peer = {0};
	int server = -1, ret = -1;

	if (client < 0 || connect(client, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
		goto out;
	server = accept4(k->workload.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (server >= 0 && tip_sensor_peer(k->sensor, server, &peer) == 0 &&
	    peer.proc.tgid == (uint32_t)getpid())
		ret = 0;
out:
	if (ret < 0)
		tip_error_at(
			err, sa->sun_path, 0, 0,
			"the kernel has no record of our own connect() to it, so every workload "
			"would be refused; put run_dir on a tmpfs, such as /run");
	if (client >= 0)
		close(client);
	if (server >= 0)
		close(server);
	return ret;
}

/* The kernel is to record who connects to the file at `path`. */
static int tell_kernel(struct tip_keeper *k, const char *path, struct tip_error *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return tip_error_at(err, path, 0, 0, "%s", strerror(errno));
	if (tip_sensor_set_workload_socket(k->sensor, st.st_dev, st.st_ino) < 0)
		return tip_error_at(err, path, 0, 0,
				    "the kernel side cannot be told of the socket");
	return 0;
}

/*
 * A listener under another name: it gets its own once it has been tried, in one step. So nobody
 * else can be in it meanwhile, and where an earlier one was there is always a socket.
 */
static int make_listener(struct tip_keeper *k, const char *path, struct tip_error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int one = 1, fd;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/workload.sock.new", k->config->run_dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return tip_error_at(err, sa.sun_path, 0, 0, "%s", strerror(errno));
	/* We hold the lock of run_dir, so whatever lies here is left over. */
	unlink(sa.sun_path);
	/* Inherited by accepted sockets: also bytes sent before accept() carry their writer. */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 1024) < 0) {
		tip_error_at(err, sa.sun_path, 0, 0, "%s", strerror(errno));
		goto fail;
	}
	k->workload.fd = fd;
	if (tell_kernel(k, sa.sun_path, err) < 0 || self_test(k, &sa, err) < 0)
		goto fail;
	if (chmod(sa.sun_path, 0777) == 0 && rename(sa.sun_path, path) == 0)
		return fd;
	tip_error_at(err, path, 0, 0, "%s", strerror(errno));
fail:
	close(fd);
	return -1;
}

int tip_workload_listen(struct tip_keeper *k, struct tip_error *err)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int fd;

	snprintf(path, sizeof(path), "%s/workload.sock", k->config->run_dir);
	fd = tip_handover_listener(k, TIP_FD_WORKLOAD, path, 0777);
	if (fd >= 0 && tell_kernel(k, path, err) < 0) {
		close(fd);
		return -1;
	}
	if (fd < 0)
		fd = make_listener(k, path, err);
	if (fd < 0)
		return -1;
	k->workload.fd = fd;
	tip_fdstore_keep(k->fds, TIP_FD_WORKLOAD, fd);
	k->workload.conns = tip_map_new();
	k->workload.of = tip_map_new();
	k->workload.readable = event_new(k->base, fd, EV_READ | EV_PERSIST, on_connection, k);
	k->workload.retry = event_new(k->base, -1, 0, on_retry, k);
	if (!k->workload.readable || !k->workload.retry)
		abort();
	return 0;
}

void tip_workload_accepting(struct tip_keeper *k, bool on)
{
	/* Without a front, clients wait in the backlog instead of being turned away. */
	if (on)
		event_add(k->workload.readable, NULL);
	else
		event_del(k->workload.readable);
}

void tip_workload_check(struct tip_keeper *k, uint64_t id, uint32_t ask)
{
	const struct tip_conn *c = tip_map_getu(k->workload.conns, id);
	struct tip_link_msg answer = {.type = TIP_LINK_CHECKED, .id = id, .ask = ask};
	struct tip_proc now;

	/*
	 * Facts that changed (credentials, cgroup) reach the front before the answer does, also
	 * when the ring had no room for the event.
	 */
	tip_sensor_poll_lifecycle(k->sensor);
	answer.flag = c && tip_process_refresh(k->table, c->exec_id) &&
		      tip_sensor_proc(k->sensor, &c->proc, &now) == 0 && now.exec_id == c->exec_id;
	tip_front_send(k, &answer);
}

void tip_workload_gone(struct tip_keeper *k, uint64_t id)
{
	struct tip_conn *c = tip_map_delu(k->workload.conns, id);

	if (c)
		count_out(k, c->number);
	free(c);
}

void tip_workload_forget_all(struct tip_keeper *k)
{
	tip_map_free(k->workload.conns, free);
	tip_map_free(k->workload.of, free);
	k->workload.conns = tip_map_new();
	k->workload.of = tip_map_new();
}

void tip_workload_close(struct tip_keeper *k)
{
	struct tip_waiting *w;

	if (!k->workload.conns)
		return;
	while ((w = k->workload.waiting)) {
		k->workload.waiting = w->next;
		close(w->fd);
		free(w);
	}
	event_free(k->workload.readable);
	event_free(k->workload.retry);
	close(k->workload.fd);
	tip_map_free(k->workload.conns, free);
	tip_map_free(k->workload.of, free);
}
