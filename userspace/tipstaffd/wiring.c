/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; headers of Debian 12 are older */
#endif

/* Where two rooms of the keeper need each other: the structs of functions that join them. */

/* ---- guard -> sensor ----------------------------------------------------------- */

static int wire_quarantine_set(void *ctx, uint32_t number, uint32_t flags)
{
	return tip_sensor_quarantine_set(((struct tip_keeper *)ctx)->sensor, number, flags);
}

static int wire_quarantine_clear(void *ctx, uint32_t number)
{
	return tip_sensor_quarantine_clear(((struct tip_keeper *)ctx)->sensor, number);
}

static int wire_quarantine_next(void *ctx, uint32_t prev, uint32_t *next)
{
	return tip_sensor_quarantine_next(((struct tip_keeper *)ctx)->sensor, prev, next);
}

static int wire_rules_install(void *ctx, const struct tip_rule_image *image, uint32_t *generation)
{
	return tip_sensor_rules_install(((struct tip_keeper *)ctx)->sensor, image, generation);
}

static int wire_rules_identity(void *ctx, uint32_t number, const struct tip_rule_match *match)
{
	return tip_sensor_rules_identity(((struct tip_keeper *)ctx)->sensor, number, match);
}

static void wire_names(void *ctx, void (*fn)(void *arg, uint32_t number, const char *id), void *arg)
{
	tip_sensor_names(((struct tip_keeper *)ctx)->sensor, fn, arg);
}

static uint32_t wire_number(void *ctx, const char *spiffe_id)
{
	return tip_process_identity_number(((struct tip_keeper *)ctx)->table, spiffe_id);
}

struct tip_guard_ops tip_wire_guard(struct tip_keeper *k)
{
	return (struct tip_guard_ops){
		.quarantine_set = wire_quarantine_set,
		.quarantine_clear = wire_quarantine_clear,
		.quarantine_next = wire_quarantine_next,
		.rules_install = wire_rules_install,
		.rules_identity = wire_rules_identity,
		.number = wire_number,
		.names = wire_names,
		.ctx = k,
	};
}

/* ---- process table -> front ------------------------------------------------------- */

static void on_unresolved(void *ctx, struct tip_process *p)
{
	tip_front_send_exec(ctx, p);
}

static void on_gone(void *ctx, struct tip_process *p, struct tip_process *next)
{
	tip_front_send(ctx, &(struct tip_link_msg){.type = TIP_LINK_GONE, .exec_id = p->exec_id});
	tip_digests_gone(ctx, p->exec_id);
}

static void on_container(void *ctx, struct tip_container *c)
{
	tip_containers_seen(ctx, c);
}

static bool is_quarantined(void *ctx, uint32_t number)
{
	const struct tip_keeper *k = ctx;
	const char *id = tip_process_identity_name(k->table, number);

	/* While the journal is being read the kernel's map is the truth, and no exec has been seen
	 * yet. */
	return id && k->guard && tip_guard_quarantined(k->guard, id);
}

static void on_numbered(void *ctx, uint32_t number, const char *spiffe_id)
{
	struct tip_keeper *k = ctx;

	if (k->guard)
		tip_guard_identity(k->guard, number, spiffe_id);
	tip_relays_numbered(k, number, spiffe_id);
}

struct tip_process_ops tip_wire_process(struct tip_keeper *k)
{
	return (struct tip_process_ops){
		.unresolved = on_unresolved,
		.gone = on_gone,
		.sticky = is_quarantined,
		.container = on_container,
		.numbered = on_numbered,
		.ctx = k,
	};
}

/* ---- control: who may talk ------------------------------------------------------------------- */

/* Says which process connected for as long as it is open; that process may have ended. */
static int peer_pidfd(int fd, pid_t pid)
{
	socklen_t len = sizeof(int);
	int pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0)
		return pidfd;
	/* Before 6.5: whoever has the number now. */
	return errno == ENOPROTOOPT ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

static bool lives(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/*
 * Is that process outside of every container? From /proc, since it may be out of our scope.
 * Whoever ended before that was read could have been anybody: a child that it left the connection
 * to is not believed for it. A kernel on which no cgroup hierarchy was ever mounted has no lines to
 * read, and no containers.
 */
static bool outside_containers(int fd, pid_t pid, char id[65])
{
	char path[64], line[4200];
	bool known = false, inside = false;
	int pidfd = peer_pidfd(fd, pid);
	FILE *f = NULL;

	if (pidfd < 0)
		goto out;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	f = fopen(path, "re");
	while (f && !inside && fgets(line, sizeof(line), f)) {
		char *cgroup = strchr(line, ':');

		cgroup = cgroup ? strchr(cgroup + 1, ':') : NULL;
		line[strcspn(line, "\n")] = '\0';
		inside = cgroup && tip_container_id_from_cgroup(cgroup + 1, id);
	}
	/* Of one that has ended nothing can be read. */
	known = f && !ferror(f) && lives(pidfd);
out:
	if (f)
		fclose(f);
	if (pidfd >= 0)
		close(pidfd);
	return known && !inside;
}

bool tip_wire_peer_ok(void *ctx, int fd, char *why, size_t size)
{
	struct tip_keeper *k = ctx;
	const struct tip_process *p;
	socklen_t len = sizeof(struct ucred);
	struct ucred cred;
	char id[65] = "";

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid != 0) {
		snprintf(why, size, "only root may use the control socket");
		return false;
	}
	tip_sensor_poll_lifecycle(k->sensor);
	p = tip_process_by_pid(k->table, (uint32_t)cred.pid);
	if (p)
		snprintf(id, sizeof(id), "%s", p->container_id);
	if (!*id && outside_containers(fd, cred.pid, id))
		return true;
	if (*id)
		snprintf(why, size,
			 "a process inside container %.12s may not use the control socket", id);
	else
		snprintf(why, size, "the process that connected is gone");
	return false;
}
