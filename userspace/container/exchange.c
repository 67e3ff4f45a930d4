/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/log.h"
#include "container/facts.h"
#include "container/question.h"

/* What one runtime is asked about one container, step by step. */

#define ANSWER_MAX (256u << 10)
#define TIMEOUT_MS 10000

/* What the question is about. */
static const char *subject(const struct tip_question *q)
{
	switch (q->step) {
	case TIP_ASK_IMAGE: return q->docker.image;
	case TIP_ASK_CRI_SANDBOX: return q->cri.sandbox[0] ? q->cri.sandbox : q->id;
	case TIP_ASK_CRI_VERSION: return "";
	default: return q->id;
	}
}

static void dial(struct tip_question *q, enum tip_runtime_question step)
{
	struct tip_inspector *x = q->inspector;

	q->step = step;
	q->dial = ++x->next_dial;
	x->ops.dial(x->ops.ctx, q->dial, q->number, step, subject(q));
}

static void warn(const struct tip_question *q, const char *why)
{
	tip_warn("container", "runtime %u, container %.12s: %s", q->number, q->id, why);
}

static void on_docker_container(struct tip_question *q, int status, const char *body, size_t len)
{
	struct tip_error err;

	if (status != 200) {
		tip_question_next(q);
		return;
	}
	if (tip_docker_container(body, len, q->id, &q->facts, &q->docker, &err) < 0) {
		warn(q, err.text);
		tip_question_next(q);
		return;
	}
	q->settled = q->docker.settled;
	tip_facts_add(&q->facts, TIP_FACT_TYPE, q->inspector->runtimes[q->number].type);
	if (q->docker.image[0])
		dial(q, TIP_ASK_IMAGE);
	else
		tip_question_answered(q);
}

static void on_http(void *ctx, int status, const char *body, size_t len, const char *why)
{
	struct tip_question *q = ctx;
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
	tip_question_answered(q);
}

void tip_exchange_named(struct tip_inspector *x, uint32_t number, const char *name)
{
	snprintf(x->runtimes[number].type, sizeof(x->runtimes[number].type), "%s", name);
}

/* All is said but the runtime's own name, which is asked for once. */
static void finish_cri(struct tip_question *q)
{
	const char *type = q->inspector->runtimes[q->number].type;

	if (!*type && q->step != TIP_ASK_CRI_VERSION) {
		dial(q, TIP_ASK_CRI_VERSION);
		return;
	}
	tip_facts_add(&q->facts, TIP_FACT_TYPE, type);
	tip_question_answered(q);
}

static void on_cri(struct tip_question *q, const uint8_t *msg, size_t len)
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
			tip_exchange_named(x, q->number, runtime.name);
	}
	if (ret < 0)
		warn(q, err.text);
	if (ret < 0 && !q->facts.len)
		tip_question_next(q);
	else
		finish_cri(q);
}

static void on_rpc(void *ctx, int result, const uint8_t *msg, size_t len,
		   const struct tip_error *err)
{
	struct tip_question *q = ctx;

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
		tip_question_next(q);
}

static void read_answer(struct tip_question *q, int fd)
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
		tip_question_give_up(q);
	}
}

void tip_exchange_begin(struct tip_question *q)
{
	tip_buf_reset(&q->facts);
	dial(q, q->inspector->runtimes[q->number].kind == TIP_RUNTIME_CRI ? TIP_ASK_CRI_LIST
									  : TIP_ASK_CONTAINER);
}

void tip_exchange_dialled(struct tip_question *q, int fd)
{
	q->dial = 0;
	if (fd >= 0)
		read_answer(q, fd);
	else if (!q->facts.len)
		tip_question_next(q);
	else /* a part is missing, the rest is there */
		tip_question_answered(q);
}

void tip_exchange_cancel(struct tip_question *q)
{
	tip_http_cancel(q->http);
	tip_rpc_ask_cancel(q->rpc);
}
