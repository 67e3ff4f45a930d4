/* SPDX-License-Identifier: Apache-2.0 */
#include "container/stream.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "container/cri.h"
#include "container/docker.h"
#include "container/http.h"
#include "rpc/client.h"

#define HEAD_MS   10000       /* until the runtime begins to answer */
#define JSON_MAX  (64u << 10) /* of docker and podman */
#define EVENT_MAX (1u << 20)  /* of the CRI: with what it knows of all containers of a pod */
#define AGAIN_MAX 16          /* seconds */
#define REFUSED_S 300

struct tip_stream {
	struct event_base *base;
	struct tip_stream_ops ops;
	uint32_t number;
	enum tip_runtime kind;
	uint64_t dial; /* the one that is awaited, 0: none */
	enum tip_runtime_question question;
	struct tip_http *http;
	struct tip_rpc_ask *rpc;
	struct event *timer;
	unsigned int wait_s; /* the last pause */
	bool heard;          /* on this connection, an event */
	bool told;           /* that this runtime has none */
	struct tip_buf facts;
	struct tip_stream_stats stats;
};

static void dial(struct tip_stream *s, enum tip_runtime_question question)
{
	s->question = question;
	s->dial = s->ops.dial(s->ops.ctx, s->number, question);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_stream *s = ctx;

	/* Of the CRI it depends on the runtime's version, which may be another one by now. */
	dial(s, s->kind == TIP_RUNTIME_CRI ? TIP_ASK_CRI_VERSION : TIP_ASK_EVENTS);
}

static void again_in(struct tip_stream *s, unsigned int seconds)
{
	const struct timeval tv = {seconds, 0};

	s->wait_s = seconds;
	event_add(s->timer, &tv);
}

/* It is not there, or not any more. */
static void again(struct tip_stream *s)
{
	unsigned int wait = s->heard || !s->wait_s ? 1 : 2 * s->wait_s;

	s->heard = false;
	again_in(s, wait < AGAIN_MAX ? wait : AGAIN_MAX);
}

/* It is there, and tells nothing: it may after an update. */
static void refused(struct tip_stream *s, const char *why)
{
	if (!s->told)
		tip_info("container",
			 "runtime %u has no events for us (%s): its containers are asked about at "
			 "their first process",
			 s->number, why);
	s->told = true;
	again_in(s, REFUSED_S);
}

/* ---- what comes ----------------------------------------------------------------------------- */

static void take(struct tip_stream *s, int ret, const char *id, const struct tip_error *err)
{
	if (ret < 0) {
		s->stats.bad++;
		tip_debug("container", "runtime %u: an event: %s", s->number, err->text);
	} else if (ret) {
		s->stats.events++;
		s->heard = true;
		s->told = false;
		s->ops.created(s->ops.ctx, s->number, id, &s->facts);
	}
	tip_buf_reset(&s->facts);
}

static void on_line(void *ctx, const char *line, size_t len)
{
	struct tip_stream *s = ctx;
	struct tip_error err;
	char id[65];

	if (!line)
		s->stats.bad++;
	else if (len) /* an empty one keeps the connection alive */
		take(s, tip_docker_event(line, len, id, &s->facts, &err), id, &err);
}

static void on_message(void *ctx, const uint8_t *msg, size_t len)
{
	struct tip_stream *s = ctx;
	struct tip_error err;
	char id[65];

	if (!msg)
		s->stats.bad++;
	else
		take(s, tip_cri_event(msg, len, id, &s->facts, &err), id, &err);
}

static void on_http_end(void *ctx, int status, const char *body, size_t len, const char *why)
{
	struct tip_stream *s = ctx;

	s->http = NULL;
	s->stats.breaks++;
	if (!why && status != 200)
		refused(s, "it does not know the question");
	else
		again(s);
}

static void on_rpc_end(void *ctx, int result, const uint8_t *msg, size_t len,
		       const struct tip_error *err)
{
	struct tip_stream *s = ctx;

	s->rpc = NULL;
	s->stats.breaks++;
	/* cri-o ends at once and well where it was not told to have events. */
	if (!s->heard && result >= 0 && result != TIP_GRPC_UNAVAILABLE)
		refused(s, result ? err->text : "they are switched off");
	else
		again(s);
}

static void on_version(void *ctx, int result, const uint8_t *msg, size_t len,
		       const struct tip_error *err)
{
	struct tip_cri_runtime runtime = {0};
	struct tip_stream *s = ctx;
	struct tip_error ignored;

	s->rpc = NULL;
	if (result || tip_cri_version(msg, len, &runtime, &ignored) < 0) {
		again(s);
		return;
	}
	s->ops.named(s->ops.ctx, s->number, runtime.name);
	if (runtime.shares_events)
		dial(s, TIP_ASK_CRI_EVENTS);
	else
		refused(s, "the kubelet would miss those that are told to us");
}

/* ---- connections ---------------------------------------------------------------------------- */

static void read_from(struct tip_stream *s, int fd)
{
	struct tip_error err;

	switch (s->question) {
	case TIP_ASK_EVENTS:
		s->http = tip_http_follow(s->base, fd, HEAD_MS, JSON_MAX, on_line, on_http_end, s);
		return;
	case TIP_ASK_CRI_EVENTS:
		s->rpc = tip_rpc_follow(s->base, fd, EVENT_MAX, on_message, on_rpc_end, s, &err);
		break;
	default: s->rpc = tip_rpc_read(s->base, fd, HEAD_MS, EVENT_MAX, on_version, s, &err);
	}
	if (!s->rpc)
		again(s);
}

bool tip_stream_dialled(struct tip_stream *s, uint64_t dial_no, int fd, int error)
{
	if (!s->dial || s->dial != dial_no)
		return false;
	s->dial = 0;
	if (fd >= 0)
		read_from(s, fd);
	else if (error == ENOENT || error == ECONNREFUSED || error == EAGAIN)
		again(s);
	else
		refused(s, "it cannot be asked");
	return true;
}

bool tip_stream_is_open(const struct tip_stream *s)
{
	return s->http || (s->rpc && s->question == TIP_ASK_CRI_EVENTS);
}

struct tip_stream *tip_stream_new(struct event_base *base, uint32_t number, enum tip_runtime kind,
				  const struct tip_stream_ops *ops)
{
	struct tip_stream *s = tip_alloc(sizeof(*s));

	s->base = base;
	s->ops = *ops;
	s->number = number;
	s->kind = kind;
	s->timer = event_new(base, -1, 0, on_timer, s);
	if (!s->timer)
		abort();
	event_active(s->timer, EV_TIMEOUT, 0);
	return s;
}

void tip_stream_free(struct tip_stream *s)
{
	if (!s)
		return;
	tip_http_cancel(s->http);
	tip_rpc_ask_cancel(s->rpc);
	event_free(s->timer);
	tip_buf_free(&s->facts);
	free(s);
}

void tip_stream_stats(const struct tip_stream *s, struct tip_stream_stats *sum)
{
	sum->events += s->stats.events;
	sum->bad += s->stats.bad;
	sum->breaks += s->stats.breaks;
}
