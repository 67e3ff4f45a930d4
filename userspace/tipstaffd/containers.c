/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tipstaffd/runtime_request.h"

/*
 * What runtimes know of containers. The front says what to ask and reads the answers; this file
 * puts the questions and keeps what it says. Runtimes are numbered in the order in which they
 * are configured.
 */

struct runtime {
	enum tip_runtime kind;
	const char *path;
};

/* Runtime `number`, false: there is none. */
static bool runtime_at(const struct tip_config *c, size_t number, struct runtime *out)
{
	const struct {
		enum tip_runtime kind;
		const char **paths;
		size_t count;
	} lists[] = {
		{TIP_RUNTIME_DOCKER, c->docker, c->ndocker},
		{TIP_RUNTIME_PODMAN, c->podman, c->npodman},
		{TIP_RUNTIME_CRI, c->cri, c->ncri},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(lists); i++) {
		if (number < lists[i].count) {
			*out = (struct runtime){lists[i].kind, lists[i].paths[number]};
			return true;
		}
		number -= lists[i].count;
	}
	return false;
}

/* A socket that is connected to what root listens on at `path`, or -1 with `errno`. */
static int connect_to(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof(peer);
	int at = open(path, O_PATH | O_CLOEXEC), fd = -1, error;
	struct stat st;

	if (at < 0)
		return -1;
	errno = EPERM;
	if (fstat(at, &st) < 0 || st.st_uid != 0)
		goto fail;
	errno = ENOTSOCK;
	if (!S_ISSOCK(st.st_mode))
		goto fail;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto fail;
	/* The very socket that was looked at, whatever lies under its name by now. */
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d", at);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		goto fail;
	errno = EPERM;
	if (peer.uid != 0)
		goto fail;
	close(at);
	return fd;
fail:
	error = errno;
	if (fd >= 0)
		close(fd);
	close(at);
	errno = error;
	return -1;
}

/*
 * Puts the question to a runtime. What the answer can be read from, or -1 with `errno`. The front
 * never holds the runtime's own socket: with that it could have any container made.
 */
static int put_question(struct tip_keeper *k, const struct runtime *r, const struct tip_link_msg *m)
{
	struct tip_buf request = {0};
	int fd = -1, error = EINVAL;

	if ((k->config->container_events || !tip_runtime_endless(m->kind)) &&
	    tip_runtime_request(r->kind, m->kind, m->name, &request)) {
		fd = connect_to(r->path);
		error = errno;
	}
	/* A new socket takes these few hundred bytes at once, or something is wrong. */
	if (fd >= 0 && send(fd, request.data, request.len, MSG_NOSIGNAL) != (ssize_t)request.len) {
		error = EIO;
		close(fd);
		fd = -1;
	}
	tip_buf_free(&request);
	if (fd >= 0) {
		if (!k->pumps)
			k->pumps = tip_pumps_new(k->base);
		fd = tip_pump_start(k->pumps, fd, tip_runtime_endless(m->kind));
		error = errno;
	}
	errno = error;
	return fd;
}

static void on_dial(struct tip_keeper *k, const struct tip_link_msg *m)
{
	struct runtime r = {.path = "a runtime that nobody configured"};
	int fd;

	if (m->kind == TIP_ASK_PODS) {
		tip_kubelet_dial(k, m->id);
		return;
	}
	errno = EINVAL;
	fd = runtime_at(k->config, m->ask, &r) ? put_question(k, &r, m) : -1;
	if (fd < 0) {
		/* A runtime that is not installed is no news. */
		if (errno != ENOENT && errno != ECONNREFUSED)
			tip_warn("container", "%s: %s", r.path,
				 errno == EPERM ? "is not root's: not asked" : strerror(errno));
		tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_UNDIALLED,
							 .id = m->id,
							 .error = (uint32_t)errno});
		return;
	}
	tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_DIALLED, .id = m->id, .fd = fd});
	close(fd);
}

static void on_facts(struct tip_keeper *k, const struct tip_link_msg *m)
{
	struct tip_containers *all = tip_process_containers(k->table);

	if (m->kind == TIP_FACTS_PART)
		tip_containers_told(all, m->name, m->data, m->data_len);
	else if (tip_containers_answer(all, m->name, m->kind == TIP_FACTS_WHOLE ? m->data : NULL,
				       m->data_len, tip_clock_boot()))
		tip_pipeline_inspected(k, m->name);
}

static void ask(struct tip_keeper *k, const struct tip_container *c)
{
	tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_INSPECT,
						 .kind = (uint32_t)c->runtime,
						 .name = c->id});
}

void tip_containers_seen(struct tip_keeper *k, const struct tip_container *c)
{
	if (k->front.link)
		ask(k, c);
}

void tip_containers_feed(struct tip_keeper *k)
{
	struct tip_container *c;
	struct runtime r;
	size_t it = 0;

	for (uint32_t i = 0; runtime_at(k->config, i, &r); i++)
		tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_RUNTIME,
							 .ask = i,
							 .kind = (uint32_t)r.kind,
							 .flag = k->config->container_events,
							 .name = r.path});
	tip_kubelet_feed(k);
	/* What the front before this one was asked, and what was seen before there was one. */
	while ((c = tip_containers_next(tip_process_containers(k->table), &it)))
		if (c->state == TIP_CONTAINER_ASKED) {
			c->asked_ns = tip_clock_boot();
			ask(k, c);
		}
}

json_t *tip_containers_json(struct tip_keeper *k)
{
	const uint64_t *c = k->front.inspector.counters, *e = k->front.streams.counters;
	const uint64_t *l = k->front.lists.counters;
	const struct tip_keeper_held *held = &k->held[TIP_HOLD_CONTAINER];
	struct tip_container_stats s;

	tip_containers_stats(tip_process_containers(k->table), &s);
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:I, s:I, s:I}",
		"count", (json_int_t)s.count, "known", (json_int_t)s.known, "not_asked",
		(json_int_t)s.overflow + (json_int_t)c[4], "not_roots", (json_int_t)s.untrusted,
		"asked", (json_int_t)c[0], "unknown", (json_int_t)c[2], "late", (json_int_t)c[3],
		"malformed", (json_int_t)s.malformed, "waiting", (json_int_t)held->count,
		"not_held", (json_int_t)held->overflow, "streams",
		(json_int_t)k->front.streams.numbers[0], "created",
		(json_int_t)k->front.streams.numbers[1], "events", (json_int_t)e[0], "bad_events",
		(json_int_t)e[1], "breaks", (json_int_t)e[2], "by_event", (json_int_t)e[3], "lists",
		(json_int_t)l[0], "lists_failed", (json_int_t)l[1], "bad_pods", (json_int_t)l[2],
		"by_kubelet", (json_int_t)l[3]);
}

static void keep_numbers(struct tip_link_msg *to, const struct tip_link_msg *m)
{
	memcpy(to->numbers, m->numbers, sizeof(m->numbers));
	memcpy(to->counters, m->counters, sizeof(m->counters));
}

bool tip_containers_message(struct tip_keeper *k, const struct tip_link_msg *m)
{
	switch (m->type) {
	case TIP_LINK_DIAL: on_dial(k, m); return true;
	case TIP_LINK_FACTS: on_facts(k, m); return true;
	case TIP_LINK_INSPECTOR: keep_numbers(&k->front.inspector, m); return true;
	case TIP_LINK_STREAMS: keep_numbers(&k->front.streams, m); return true;
	case TIP_LINK_LISTS: keep_numbers(&k->front.lists, m); return true;
	default: return false;
	}
}
