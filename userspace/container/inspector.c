/* SPDX-License-Identifier: Apache-2.0 */
#include "container/inspector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "container/created.h"
#include "container/cri.h"
#include "container/docker.h"
#include "container/facts.h"
#include "container/http.h"
#include "container/stream.h"
#include "rpc/client.h"

/* Questions at once: each has one descriptor and one answer in memory. */
#define RUNNING_MAX 16
#define KNOWN_MAX   1024 /* questions in all: running, waiting, to be repeated */
#define AHEAD_MAX   512  /* with more than that, nothing is asked ahead */
#define ANSWER_MAX  (256u << 10)
#define TIMEOUT_MS  10000
/*
 * A container is asked about while it is being made: then it has no address yet, and podman's
 * answer waits for it to have started. It is asked about once more.
 */
#define AGAIN_MS 1000
/*
 * A container may be gone before its event is here: podman reads the file of its events four times
 * a second. Alerts wait for as long as they are configured to, whatever this is.
 */
#define EVENT_MS 5000

enum place { WAITING, RUNNING, PAUSING };

struct question {
	TAILQ_ENTRY(question) link;
	struct tip_inspector *inspector;
	char id[65];
	enum tip_runtime hint;
	enum place place;
	enum tip_runtime_question step;
	uint32_t tried;  /* 1 << number of each runtime that was asked */
	uint32_t number; /* of the runtime that is asked */
	uint64_t dial;   /* the connection that is awaited, 0: none is */
	bool wanted;     /* somebody has asked; else it is asked ahead */
	bool repeated;
	bool settled; /* it has been started */
	bool lost;    /* no runtime knows it: its event is awaited */
	struct tip_http *http;
	struct tip_rpc_ask *rpc;
	struct event *pause;
	struct tip_buf facts;
	struct tip_docker_seen docker;
	struct tip_cri_seen cri;
};
TAILQ_HEAD(questions, question);

struct tip_inspector {
	struct event_base *base;
	struct tip_inspector_ops ops;
	struct {
		enum tip_runtime kind; /* TIP_RUNTIME_ANY: there is none */
		char type[32];         /* what it calls itself, "": not asked yet */
		struct tip_stream *stream;
	} runtimes[TIP_RUNTIMES_MAX];
	struct tip_map *by_id;
	struct tip_created *created;
	struct questions places[3];
	size_t counts[3];
	uint64_t next_dial;
	bool filling;
	struct tip_inspector_stats stats;
};

static void next_runtime(struct question *q);
static void fill(struct tip_inspector *x);
static void give_up(struct question *q);

static void move(struct question *q, enum place to)
{
	struct tip_inspector *x = q->inspector;

	TAILQ_REMOVE(&x->places[q->place], q, link);
	x->counts[q->place]--;
	TAILQ_INSERT_TAIL(&x->places[to], q, link);
	x->counts[to]++;
	q->place = to;
}

static void question_free(void *p)
{
	struct question *q = p;

	tip_http_cancel(q->http);
	tip_rpc_ask_cancel(q->rpc);
	if (q->pause)
		event_free(q->pause);
	tip_buf_free(&q->facts);
	free(q);
}

static void drop(struct question *q)
{
	struct tip_inspector *x = q->inspector;

	TAILQ_REMOVE(&x->places[q->place], q, link);
	x->counts[q->place]--;
	tip_map_dels(x->by_id, q->id);
	question_free(q);
}

/* ---- the end of a question ------------------------------------------------------------------ */

static void on_pause_over(evutil_socket_t fd, short what, void *ctx)
{
	struct question *q = ctx;

	if (q->lost) {
		give_up(q);
		return;
	}
	q->tried = 0;
	q->repeated = true;
	tip_buf_reset(&q->facts);
	move(q, WAITING);
	fill(q->inspector);
}

static void pause_question(struct question *q, unsigned int ms)
{
	const struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	if (!q->pause)
		q->pause = event_new(q->inspector->base, -1, 0, on_pause_over, q);
	if (!q->pause)
		abort();
	event_add(q->pause, &tv);
	move(q, PAUSING);
}

/* To who has asked. What was known ahead has done its work then. */
static void tell(struct tip_inspector *x, const char *id, const void *facts, size_t len)
{
	x->stats.known++;
	x->ops.answer(x->ops.ctx, id, TIP_FACTS_WHOLE, facts, len);
	tip_created_del(x->created, id);
}

/* The answer is still awaited: what its event said is there for alerts that cannot wait. */
static void tell_part(struct tip_inspector *x, const char *id)
{
	struct tip_created_box box;

	if (tip_created_get(x->created, id, tip_clock_boot(), &box))
		x->ops.answer(x->ops.ctx, id, TIP_FACTS_PART, box.facts, box.len);
}

static void answer(struct question *q)
{
	struct tip_inspector *x = q->inspector;

	if (q->wanted)
		tell(x, q->id, q->facts.len ? q->facts.data : "", q->facts.len);
	else
		tip_created_put(x->created, q->id, &q->facts, true, tip_clock_boot());
	if (q->wanted && !q->settled && !q->repeated)
		pause_question(q, AGAIN_MS); /* once more, when it will have an address */
	else
		drop(q);
	fill(x);
}

/* Will the event of one that is unknown come? */
static bool is_listened_to(const struct question *q)
{
	const struct tip_inspector *x = q->inspector;

	for (int i = 0; i < TIP_RUNTIMES_MAX; i++)
		if (x->runtimes[i].stream && tip_stream_is_open(x->runtimes[i].stream) &&
		    (q->hint == TIP_RUNTIME_ANY || q->hint == x->runtimes[i].kind))
			return true;
	return false;
}

/* No runtime knows it, any more or yet. */
static void give_up(struct question *q)
{
	struct tip_inspector *x = q->inspector;
	struct tip_created_box box;

	/* Of one that was known a second ago the first answer stays. */
	if (!q->wanted || q->repeated) {
		drop(q);
	} else if (tip_created_get(x->created, q->id, tip_clock_boot(), &box)) {
		x->stats.by_event++;
		tell(x, q->id, box.facts, box.len);
		q->lost = false;
		pause_question(q, AGAIN_MS);
	} else if (!q->lost && is_listened_to(q)) {
		q->lost = true;
		pause_question(q, EVENT_MS);
	} else {
		x->stats.unknown++;
		x->ops.answer(x->ops.ctx, q->id, TIP_FACTS_NONE, NULL, 0);
		drop(q);
	}
	fill(x);
}

/* ---- exchanges ------------------------------------------------------------------------------ */

/* What the question is about. */
static const char *subject(const struct question *q)
{
	switch (q->step) {
	case TIP_ASK_IMAGE: return q->docker.image;
	case TIP_ASK_CRI_SANDBOX: return q->cri.sandbox[0] ? q->cri.sandbox : q->id;
	case TIP_ASK_CRI_VERSION: return "";
	default: return q->id;
	}
}

static void dial(struct question *q, enum tip_runtime_question step)
{
	struct tip_inspector *x = q->inspector;

	q->step = step;
	q->dial = ++x->next_dial;
	x->ops.dial(x->ops.ctx, q->dial, q->number, step, subject(q));
}

static void warn(const struct question *q, const char *why)
{
	tip_warn("container", "runtime %u, container %.12s: %s", q->number, q->id, why);
}

static void on_docker_container(struct question *q, int status, const char *body, size_t len)
{
	struct tip_error err;

	if (status != 200) {
		next_runtime(q);
		return;
	}
	if (tip_docker_container(body, len, q->id, &q->facts, &q->docker, &err) < 0) {
		warn(q, err.text);
		next_runtime(q);
		return;
	}
	q->settled = q->docker.settled;
	tip_facts_add(&q->facts, TIP_FACT_TYPE, q->inspector->runtimes[q->number].type);
	if (q->docker.image[0])
		dial(q, TIP_ASK_IMAGE);
	else
		answer(q);
}

static void on_http(void *ctx, int status, const char *body, size_t len, const char *why)
{
	struct question *q = ctx;
	struct tip_error err;

	q->http = NULL;
	if (why) {
		q->inspector->stats.late++;
		warn(q, why);
	}
	if (q->step == TIP_ASK_CONTAINER) {
		on_docker_container(q, status, body, len);
		return;
	}
	if (status == 200 && tip_docker_image(body, len, &q->facts, &err) < 0)
		warn(q, err.text);
	answer(q);
}

static void on_named(void *ctx, uint32_t number, const char *name)
{
	struct tip_inspector *x = ctx;

	snprintf(x->runtimes[number].type, sizeof(x->runtimes[number].type), "%s", name);
}

/* All is said but the runtime's own name, which is asked for once. */
static void finish_cri(struct question *q)
{
	const char *type = q->inspector->runtimes[q->number].type;

	if (!*type && q->step != TIP_ASK_CRI_VERSION) {
		dial(q, TIP_ASK_CRI_VERSION);
		return;
	}
	tip_facts_add(&q->facts, TIP_FACT_TYPE, type);
	answer(q);
}

static void on_cri(struct question *q, const uint8_t *msg, size_t len)
{
	struct tip_inspector *x = q->inspector;
	struct tip_cri_runtime runtime;
	bool own = !q->cri.sandbox[0];
	struct tip_error err;
	int ret;

	switch (q->step) {
	case TIP_ASK_CRI_LIST:
		ret = tip_cri_list(msg, len, q->id, &q->cri, &err);
		if (ret == 0) {
			/* Not in the list: it may be a sandbox's own. */
			dial(q, q->cri.sandbox[0] ? TIP_ASK_CRI_STATUS : TIP_ASK_CRI_SANDBOX);
			return;
		}
		break;
	case TIP_ASK_CRI_STATUS:
		ret = tip_cri_status(msg, len, q->id, &q->facts, &q->cri, &err);
		if (ret == 0) {
			dial(q, TIP_ASK_CRI_SANDBOX);
			return;
		}
		break;
	case TIP_ASK_CRI_SANDBOX:
		ret = tip_cri_sandbox(msg, len, own ? q->id : q->cri.sandbox, own, &q->facts,
				      &q->cri, &err);
		q->settled = q->cri.settled;
		break;
	default:
		ret = tip_cri_version(msg, len, &runtime, &err);
		if (ret == 0)
			on_named(x, q->number, runtime.name);
	}
	if (ret < 0)
		warn(q, err.text);
	if (ret < 0 && !q->facts.len)
		next_runtime(q);
	else
		finish_cri(q);
}

static void on_rpc(void *ctx, int result, const uint8_t *msg, size_t len,
		   const struct tip_error *err)
{
	struct question *q = ctx;

	q->rpc = NULL;
	if (result == 0) {
		on_cri(q, msg, len);
		return;
	}
	/* That it does not know the container is no news. */
	if (result != TIP_GRPC_NOT_FOUND) {
		q->inspector->stats.late += result == TIP_GRPC_DEADLINE_EXCEEDED;
		warn(q, err->text);
	}
	if (q->facts.len)
		finish_cri(q);
	else
		next_runtime(q);
}

static void read_answer(struct question *q, int fd)
{
	struct event_base *base = q->inspector->base;
	struct tip_error err = {0};

	if (q->step <= TIP_ASK_IMAGE) {
		q->http = tip_http_read(base, fd, TIMEOUT_MS, ANSWER_MAX, on_http, q);
		return;
	}
	q->rpc = tip_rpc_read(base, fd, TIMEOUT_MS, ANSWER_MAX, on_rpc, q, &err);
	if (!q->rpc) {
		warn(q, err.text);
		give_up(q);
	}
}

static struct question *find_dial(const struct tip_inspector *x, uint64_t dial_no)
{
	struct question *q;

	TAILQ_FOREACH(q, &x->places[RUNNING], link)
	if (q->dial == dial_no)
		return q;
	return NULL;
}

/* False: no stream waits for that dial. */
static bool is_streams(struct tip_inspector *x, uint64_t dial_no, int fd, int error)
{
	for (int i = 0; i < TIP_RUNTIMES_MAX; i++)
		if (x->runtimes[i].stream &&
		    tip_stream_dialled(x->runtimes[i].stream, dial_no, fd, error))
			return true;
	return false;
}

void tip_inspector_dialled(struct tip_inspector *x, uint64_t dial_no, int fd, int error)
{
	struct question *q = find_dial(x, dial_no);

	if (!q) {
		if (!is_streams(x, dial_no, fd, error) && fd >= 0)
			close(fd);
		return;
	}
	q->dial = 0;
	if (fd >= 0)
		read_answer(q, fd);
	else if (!q->facts.len)
		next_runtime(q);
	else /* a part is missing, the rest is there */
		answer(q);
}

/* ---- whom to ask, and when ------------------------------------------------------------------ */

/* The next one that was not asked: first those that the cgroup's name speaks of. -1: none. */
static int choose(const struct question *q)
{
	const struct tip_inspector *x = q->inspector;
	int other = -1;

	for (int i = 0; i < TIP_RUNTIMES_MAX; i++) {
		if (x->runtimes[i].kind == TIP_RUNTIME_ANY || (q->tried & 1u << i))
			continue;
		if (x->runtimes[i].kind == q->hint)
			return i;
		if (other < 0)
			other = i;
	}
	return other;
}

static void next_runtime(struct question *q)
{
	int number = choose(q);

	if (number < 0) {
		give_up(q);
		return;
	}
	q->number = (uint32_t)number;
	q->tried |= 1u << number;
	tip_buf_reset(&q->facts);
	dial(q, q->inspector->runtimes[number].kind == TIP_RUNTIME_CRI ? TIP_ASK_CRI_LIST
								       : TIP_ASK_CONTAINER);
}

static void fill(struct tip_inspector *x)
{
	struct question *q;

	if (x->filling) /* one of those below has ended at once */
		return;
	x->filling = true;
	while (x->counts[RUNNING] < RUNNING_MAX && (q = TAILQ_FIRST(&x->places[WAITING]))) {
		move(q, RUNNING);
		next_runtime(q);
	}
	x->filling = false;
}

static struct question *question_new(struct tip_inspector *x, const char *id, enum tip_runtime hint,
				     bool wanted)
{
	struct question *q = tip_alloc(sizeof(*q));

	q->inspector = x;
	snprintf(q->id, sizeof(q->id), "%s", id);
	q->hint = hint;
	q->wanted = wanted;
	q->place = WAITING;
	TAILQ_INSERT_TAIL(&x->places[WAITING], q, link);
	x->counts[WAITING]++;
	tip_map_puts(x->by_id, q->id, q);
	return q;
}

void tip_inspector_ask(struct tip_inspector *x, const char *id, uint32_t hint)
{
	struct question *q = tip_map_gets(x->by_id, id);
	struct tip_created_box box = {0};

	if (q && q->wanted)
		return; /* its answer is on its way */
	x->stats.asked++;
	if (q) { /* so is this one's */
		q->wanted = true;
		tell_part(x, id);
		return;
	}
	/* It becomes part of a path. */
	if (!tip_facts_is_id(id) || tip_map_count(x->by_id) >= KNOWN_MAX) {
		x->stats.refused++;
		x->ops.answer(x->ops.ctx, id, TIP_FACTS_NONE, NULL, 0);
		return;
	}
	q = question_new(x, id, hint < TIP_RUNTIME_KINDS ? hint : TIP_RUNTIME_ANY, true);
	if (tip_created_get(x->created, id, tip_clock_boot(), &box) && box.whole) {
		tell(x, id, box.facts, box.len);
		pause_question(q, AGAIN_MS); /* it was asked about before it was started */
		return;
	}
	tell_part(x, id);
	fill(x);
}

/* A container is made, or started. */
static void on_created(void *ctx, uint32_t number, const char *id, struct tip_buf *facts)
{
	struct tip_inspector *x = ctx;
	struct question *q = tip_map_gets(x->by_id, id);
	struct tip_created_box box;

	tip_facts_add(facts, TIP_FACT_TYPE, x->runtimes[number].type);
	tip_created_put(x->created, id, facts, false, tip_clock_boot());
	if (q && q->lost) {
		give_up(q);
	} else if (q) {
		if (q->wanted && q->place != PAUSING)
			tell_part(x, id);
	} else if (tip_map_count(x->by_id) < AHEAD_MAX &&
		   tip_created_get(x->created, id, tip_clock_boot(), &box) && !box.whole) {
		question_new(x, id, x->runtimes[number].kind, false);
		fill(x);
	}
}

static uint64_t on_stream_dial(void *ctx, uint32_t number, enum tip_runtime_question question)
{
	struct tip_inspector *x = ctx;

	x->ops.dial(x->ops.ctx, ++x->next_dial, number, question, "");
	return x->next_dial;
}

/* ---- life ----------------------------------------------------------------------------------- */

struct tip_inspector *tip_inspector_new(struct event_base *base,
					const struct tip_inspector_ops *ops)
{
	struct tip_inspector *x = tip_alloc(sizeof(*x));

	x->base = base;
	x->ops = *ops;
	x->by_id = tip_map_new();
	x->created = tip_created_new();
	for (int i = 0; i < 3; i++)
		TAILQ_INIT(&x->places[i]);
	return x;
}

void tip_inspector_free(struct tip_inspector *x)
{
	if (!x)
		return;
	for (int i = 0; i < TIP_RUNTIMES_MAX; i++)
		tip_stream_free(x->runtimes[i].stream);
	tip_map_free(x->by_id, question_free);
	tip_created_free(x->created);
	free(x);
}

bool tip_inspector_runtime(struct tip_inspector *x, uint32_t number, uint32_t kind, bool events)
{
	const struct tip_stream_ops ops = {on_stream_dial, on_created, on_named, x};

	if (number >= TIP_RUNTIMES_MAX || kind == TIP_RUNTIME_ANY || kind >= TIP_RUNTIME_KINDS ||
	    x->runtimes[number].kind != TIP_RUNTIME_ANY)
		return false;
	x->runtimes[number].kind = (enum tip_runtime)kind;
	/* One of the CRI says so itself. */
	if (kind != TIP_RUNTIME_CRI)
		snprintf(x->runtimes[number].type, sizeof(x->runtimes[number].type), "%s",
			 kind == TIP_RUNTIME_PODMAN ? "podman" : "docker");
	if (events)
		x->runtimes[number].stream =
			tip_stream_new(x->base, number, (enum tip_runtime)kind, &ops);
	return true;
}

void tip_inspector_stats(const struct tip_inspector *x, struct tip_inspector_stats *out)
{
	struct tip_stream_stats sum = {0};

	*out = x->stats;
	out->running = x->counts[RUNNING];
	out->waiting = x->counts[WAITING];
	out->created = tip_created_count(x->created);
	for (int i = 0; i < TIP_RUNTIMES_MAX; i++) {
		if (!x->runtimes[i].stream)
			continue;
		out->streams += tip_stream_is_open(x->runtimes[i].stream);
		tip_stream_stats(x->runtimes[i].stream, &sum);
	}
	out->events = sum.events;
	out->bad_events = sum.bad;
	out->breaks = sum.breaks;
}
