/* SPDX-License-Identifier: Apache-2.0 */
/* From daemon to daemon: what the next one gets, and how `tipstaffd --replace` asks for it. */
#include <errno.h>
#include <linux/un.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/control.h"
#include "tipstaffd/keeper.h"

#define RETIRE_TICKS 15 /* of the loop: then a former layout goes in any case */
#define LEAVE_NS     (20 * TIP_NSEC_PER_SEC) /* for the old one to write its last alerts and end */

/* ---- listeners of UNIX sockets ---- */

static int option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

/* Does it listen, and at the file that is at `path` now? */
static bool listens_at(int fd, const char *path, mode_t mode)
{
	struct stat bound = {0}, there = {0};
	int file;
	bool ok;

	if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != SOCK_STREAM ||
	    option(fd, SO_ACCEPTCONN) != 1)
		return false;
	/* The address is a name; this is the very file that the socket made. */
	file = ioctl(fd, SIOCUNIXFILE);
	if (file < 0)
		return false;
	ok = fstat(file, &bound) == 0 && lstat(path, &there) == 0 && bound.st_dev == there.st_dev &&
	     bound.st_ino == there.st_ino && there.st_uid == 0 && (there.st_mode & 0777) == mode;
	close(file);
	return ok;
}

int tip_handover_listener(struct tip_keeper *k, const char *name, const char *path, mode_t mode)
{
	const int fd = tip_fdstore_take(k->fds, name);

	if (fd < 0 || listens_at(fd, path, mode))
		return fd;
	tip_warn("keeper", "closed a descriptor that was passed as %s: it does not listen at %s",
		 name, path);
	close(fd);
	tip_fdstore_forget(k->fds, name);
	return -1;
}

/* ---- a former layout ---- */

static void count_pending(void *ctx, struct tip_process *p)
{
	*(size_t *)ctx += p->current == TIP_ID_PENDING;
}

void tip_handover_tick(struct tip_keeper *k)
{
	size_t pending = 0;

	if (!tip_sensor_retiring(k->sensor))
		return;
	tip_process_each(k->table, count_pending, &pending);
	if (k->ticks < RETIRE_TICKS && (!k->front.ready || pending > 0))
		return;
	tip_info("keeper", "what an earlier version had attached goes; %zu processes are pending",
		 pending);
	tip_sensor_retire(k->sensor);
}

/* ---- the new one ---- */

static int ask(struct tip_keeper *k, const char *control, const char *inbox, struct tip_error *err)
{
	json_t *params = json_pack("{s:s, s:s}", "socket", inbox, "instance", k->config->instance);
	char *hint = NULL;
	json_t *answer = tip_control_call(control, TIP_CONTROL_HANDOVER, params, err, &hint);

	json_decref(params);
	json_decref(answer);
	if (hint)
		tip_info("keeper", "hint: %s", hint);
	free(hint);
	return answer ? 0 : -1;
}

/* Its lock is free once nothing of it acts any more. */
static int wait_for_its_end(struct tip_keeper *k, struct tip_error *err)
{
	const uint64_t end = tip_clock_monotonic() + LEAVE_NS;

	while (flock(k->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (tip_clock_monotonic() > end)
			return tip_error_set(err,
					     "the daemon that was to be replaced does not end");
		usleep(5000);
	}
	return 0;
}

int tip_handover_replace(struct tip_keeper *k, struct tip_error *err)
{
	char *control = tip_sprintf("%s/control.sock", k->config->run_dir);
	char *path = tip_sprintf("%s/handover.sock", k->config->run_dir);
	const int inbox = tip_fdstore_inbox(path, err);
	int ret = -1;

	if (inbox < 0)
		goto out;
	if (ask(k, control, path, err) == 0 && tip_fdstore_receive(k->fds, inbox, err) == 0)
		ret = wait_for_its_end(k, err);
	close(inbox);
	unlink(path);
out:
	free(control);
	free(path);
	return ret;
}

/* ---- the old one ---- */

static void on_give(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_keeper *k = ctx;
	char *path = k->handover;
	struct tip_error err;
	char text[1200];

	k->handover = NULL;
	if (tip_fdstore_give(k->fds, path, &err) < 0) {
		tip_err("keeper", "not replaced: %s", tip_error_str(&err, text, sizeof(text)));
	} else {
		tip_info("keeper", "another daemon takes over: stopping");
		event_base_loopbreak(k->base);
	}
	free(path);
}

TIP_METHOD(tip_method_handover)
{
	const struct timeval soon = {0};
	struct tip_keeper *k = ctx;
	const char *instance = json_string_value(json_object_get(params, "instance"));
	const char *path = json_string_value(json_object_get(params, "socket"));

	if (!instance || !path || strcmp(instance, k->config->instance) != 0) {
		tip_error_set(err, "this is instance %s", k->config->instance);
		return NULL;
	}
	if (tip_fdstore_managed(k->fds)) {
		*hint = "restart it there: `systemctl restart tipstaffd` hands everything over";
		tip_error_set(err, "a service manager runs this daemon");
		return NULL;
	}
	if (k->handover) {
		tip_error_set(err, "somebody else is about to replace it");
		return NULL;
	}
	/* After the answer: the other end reads the descriptors only then. */
	k->handover = tip_strdup(path);
	event_base_once(k->base, -1, EV_TIMEOUT, on_give, k, &soon);
	return json_pack("{s:s}", "instance", k->config->instance);
}
