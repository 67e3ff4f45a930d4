/* SPDX-License-Identifier: Apache-2.0 */
#include "container/inspector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "container/created.h"
#include "container/facts.h"
#include "container/question.h"

/* Questions at once: each has one descriptor and one answer in memory. */
#define RUNNING_MAX 16
#define KNOWN_MAX   1024 /* questions in all: running, waiting, to be repeated */
#define AHEAD_MAX   512  /* with more than that, nothing is asked ahead */
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
/*
 * The kubelet looks at its containers each second, and lists a pod's status when that was there and
 * back from the API server. How long is waited for the list in which one is that was not in the
 * last.
 */
static const unsigned int absent_ms[] = {1000, 3000};

static void fill(struct tip_inspector *x);

static void move(struct tip_question *q, enum tip_place to)
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
	struct tip_question *q = p;

	tip_exchange_cancel(q);
	if (q->pause)
		event_free(q->pause);
	tip_buf_free(&q->facts);
	free(q);
}

static void drop(struct tip_question *q)
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
	struct tip_question *q = ctx;

	if (q->lost) {
		tip_question_give_up(q);
		return;
	}
	q->tried = 0;
	tip_buf_reset(&q->facts);
	move(q, TIP_WAITING);
	fill(q->inspector);
}

static void pause_question(struct tip_question *q, unsigned int ms)
{
	const struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	if (!q->pause)
		q->pause = event_new(q->inspector->base, -1, 0, on_pause_over, q);
	if (!q->pause)
		abort();
	event_add(q->pause, &tv);
	move(q, TIP_PAUSING);
}

/* It is answered, but will have an address a little later. */
static void ask_once_more(struct tip_question *q)
{
	q->repeated = true;
	pause_question(q, AGAIN_MS);
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

void tip_question_answered(struct tip_question *q)
{
	struct tip_inspector *x = q->inspector;

	if (q->wanted)
		tell(x, q->id, q->facts.len ? q->facts.data : "", q->facts.len);
	else
		tip_created_put(x->created, q->id, &q->facts, true, tip_clock_boot());
	if (q->wanted && !q->settled && !q->repeated)
		ask_once_more(q);
	else
		drop(q);
	fill(x);
}

/* Will the event of one that is unknown come? */
static bool is_listened_to(const struct tip_question *q)
{
	const struct tip_inspector *x = q->inspector;

	for (int i = 0; i < TIP_RUNTIMES_MAX; i++)
		if (x->runtimes[i].stream && tip_stream_is_open(x->runtimes[i].stream) &&
		    (q->hint == TIP_RUNTIME_ANY || q->hint == x->runtimes[i].kind))
			return true;
	return false;
}

/* No runtime knows it, any more or yet. */
void tip_question_give_up(struct tip_question *q)
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
		ask_once_more(q);
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

static struct tip_question *find_dial(const struct tip_inspector *x, uint64_t dial_no)
{
	struct tip_question *q;

	TAILQ_FOREACH(q, &x->places[TIP_RUNNING], link)
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
	struct tip_question *q = find_dial(x, dial_no);

	if (!q) {
		/* of the kubelet this way only that it was not reached */
		if (!is_streams(x, dial_no, fd, error) &&
		    !(fd < 0 && x->kubelet && tip_kubelet_dialled(x->kubelet, dial_no, -1, "")) &&
		    fd >= 0)
			close(fd);
		return;
	}
	tip_exchange_dialled(q, fd);
}

/* ---- whom to ask, and when ------------------------------------------------------------------ */

/* The next one that was not asked: first those that the cgroup's name speaks of. -1: none. */
static int choose(const struct tip_question *q)
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

/* False: the kubelet is not asked, or not about this one. */
static bool await_list(struct tip_question *q)
{
	struct tip_inspector *x = q->inspector;

	if (!x->kubelet || !q->wanted || q->hint == TIP_RUNTIME_PODMAN)
		return false;
	q->list = tip_kubelet_want(x->kubelet);
	if (!q->list)
		return false;
	move(q, TIP_LISTED);
	fill(x);
	return true;
}

void tip_question_next(struct tip_question *q)
{
	int number = choose(q);

	if (number < 0) {
		if (!await_list(q))
			tip_question_give_up(q);
		return;
	}
	q->number = (uint32_t)number;
	q->tried |= 1u << number;
	tip_exchange_begin(q);
}

static void fill(struct tip_inspector *x)
{
	struct tip_question *q;

	if (x->filling) /* one of those below has ended at once */
		return;
	x->filling = true;
	while (x->counts[TIP_RUNNING] < RUNNING_MAX && (q = TAILQ_FIRST(&x->places[TIP_WAITING]))) {
		move(q, TIP_RUNNING);
		tip_question_next(q);
	}
	x->filling = false;
}

/* ---- the kubelet's lists -------------------------------------------------------------------- */

static uint64_t on_kubelet_dial(void *ctx)
{
	struct tip_inspector *x = ctx;

	x->ops.dial(x->ops.ctx, ++x->next_dial, 0, TIP_ASK_PODS, "");
	return x->next_dial;
}

static bool is_awaited(void *ctx, const char *id)
{
	const struct tip_question *q = tip_map_gets(((struct tip_inspector *)ctx)->by_id, id);

	return q && q->place == TIP_LISTED;
}

static void on_listed(void *ctx, const char *id, const struct tip_buf *facts, bool settled)
{
	struct tip_inspector *x = ctx;
	struct tip_question *q = tip_map_gets(x->by_id, id);

	tip_buf_reset(&q->facts);
	tip_buf_add(&q->facts, facts->data, facts->len);
	q->settled = settled;
	x->stats.by_kubelet++;
	tip_question_answered(q);
}

/* It was in no list so far. One that an event has told of is answered with that. */
static void absent(struct tip_question *q)
{
	struct tip_created_box box;

	if (q->absences < sizeof(absent_ms) / sizeof(absent_ms[0]) && !q->repeated &&
	    !tip_created_get(q->inspector->created, q->id, tip_clock_boot(), &box))
		pause_question(q, absent_ms[q->absences++]);
	else
		tip_question_give_up(q);
}

static void on_list_ended(void *ctx, uint64_t number, bool whole)
{
	struct tip_inspector *x = ctx;
	struct tip_question *next;

	for (struct tip_question *q = TAILQ_FIRST(&x->places[TIP_LISTED]); q; q = next) {
		next = TAILQ_NEXT(q, link);
		if (!whole)
			tip_question_give_up(q);
		else if (q->list <= number)
			absent(q);
	}
}

void tip_inspector_kubelet(struct tip_inspector *x, const char *authority, const char *name)
{
	const struct tip_kubelet_ops ops = {
		.dial = on_kubelet_dial,
		.ended = on_list_ended,
		.pods = {is_awaited, on_listed, x},
		.ctx = x,
	};

	if (!x->kubelet)
		x->kubelet = tip_kubelet_new(x->base, authority, name, &ops);
}

void tip_inspector_kubelet_authorities(struct tip_inspector *x, const char *pem, size_t len,
				       bool first)
{
	if (x->kubelet)
		tip_kubelet_authorities(x->kubelet, pem, len, first);
}

void tip_inspector_kubelet_dialled(struct tip_inspector *x, uint64_t dial, int fd,
				   const char *token)
{
	if (!x->kubelet || !tip_kubelet_dialled(x->kubelet, dial, fd, token))
		close(fd);
}

/* ---- questions ------------------------------------------------------------------------------ */

static struct tip_question *question_new(struct tip_inspector *x, const char *id,
					 enum tip_runtime hint, bool wanted)
{
	struct tip_question *q = tip_alloc(sizeof(*q));

	q->inspector = x;
	snprintf(q->id, sizeof(q->id), "%s", id);
	q->hint = hint;
	q->wanted = wanted;
	q->place = TIP_WAITING;
	TAILQ_INSERT_TAIL(&x->places[TIP_WAITING], q, link);
	x->counts[TIP_WAITING]++;
	tip_map_puts(x->by_id, q->id, q);
	return q;
}

void tip_inspector_ask(struct tip_inspector *x, const char *id, uint32_t hint)
{
	struct tip_question *q = tip_map_gets(x->by_id, id);
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
		ask_once_more(q); /* it was asked about before it was started */
		return;
	}
	tell_part(x, id);
	fill(x);
}

/* A container is made, or started. */
static void on_created(void *ctx, uint32_t number, const char *id, struct tip_buf *facts)
{
	struct tip_inspector *x = ctx;
	struct tip_question *q = tip_map_gets(x->by_id, id);
	struct tip_created_box box;

	tip_facts_add(facts, TIP_FACT_TYPE, x->runtimes[number].type);
	tip_created_put(x->created, id, facts, false, tip_clock_boot());
	if (q && q->lost) {
		tip_question_give_up(q);
	} else if (q) {
		if (q->wanted && q->place != TIP_PAUSING)
			tell_part(x, id);
	} else if (tip_map_count(x->by_id) < AHEAD_MAX &&
		   tip_created_get(x->created, id, tip_clock_boot(), &box) && !box.whole) {
		question_new(x, id, x->runtimes[number].kind, false);
		fill(x);
	}
}

static void on_named(void *ctx, uint32_t number, const char *name)
{
	tip_exchange_named(ctx, number, name);
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
	for (int i = 0; i < TIP_PLACES; i++)
		TAILQ_INIT(&x->places[i]);
	return x;
}

void tip_inspector_free(struct tip_inspector *x)
{
	if (!x)
		return;
	for (int i = 0; i < TIP_RUNTIMES_MAX; i++)
		tip_stream_free(x->runtimes[i].stream);
	tip_kubelet_free(x->kubelet);
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
	out->running = x->counts[TIP_RUNNING];
	out->waiting = x->counts[TIP_WAITING] + x->counts[TIP_LISTED];
	tip_kubelet_stats(x->kubelet, &out->kubelet);
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
