/* SPDX-License-Identifier: Apache-2.0 */
#include "container/kubelet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "container/items.h"
#include "rpc/http1.h"
#include "tls/tcp.h"

#define TIMEOUT_S   10
#define READ_SIZE   16384
#define READS_MAX   16          /* in a row; others are served in between */
#define LIST_MAX    (32u << 20) /* 250 pods are some megabytes */
#define POD_MAX     (1u << 20)
#define CA_MAX      (1u << 20)
#define PAUSE_NS    TIP_NSEC_PER_SEC
#define TROUBLED_NS (10 * TIP_NSEC_PER_SEC)

enum state {
	IDLE, /* also while a list is due, and not yet */
	DIALLING,
	BEGINNING, /* the connection comes up */
	WRITING,
	READING,
};

struct tip_kubelet {
	struct event_base *base;
	struct tip_kubelet_ops ops;
	char *authority;
	struct tip_tls_client *tls; /* NULL: in the clear */
	struct tip_buf ca;          /* until it has been read */

	enum state state;
	uint64_t wanted, begun; /* numbers of lists: the last that somebody wants, the last one */
	uint64_t not_before_ns;
	bool troubled; /* the last one was not to be had */
	uint64_t dial; /* the connection that is awaited, 0: none */
	struct event *timer;

	struct tip_tcp stream;
	struct event *readable, *writable;
	struct tip_buf request;
	size_t written;
	struct tip_http_reader answer;
	struct tip_items items;
	size_t total;

	char said[256]; /* the last complaint, "" when all is well */
	struct tip_kubelet_stats stats;
};

/* ---- one list after another ----------------------------------------------------------------- */

static void schedule(struct tip_kubelet *k)
{
	const uint64_t now = tip_clock_monotonic();
	const uint64_t ns = k->not_before_ns > now ? k->not_before_ns - now : 0;
	const struct timeval tv = {(time_t)(ns / TIP_NSEC_PER_SEC),
				   (suseconds_t)(ns % TIP_NSEC_PER_SEC / 1000)};

	if (k->state == IDLE && k->wanted > k->begun)
		event_add(k->timer, &tv);
}

static void forget_request(struct tip_kubelet *k)
{
	if (k->request.data)
		explicit_bzero(k->request.data, k->request.cap);
	tip_buf_free(&k->request);
}

static void drop_connection(struct tip_kubelet *k)
{
	if (k->readable)
		event_free(k->readable);
	if (k->writable)
		event_free(k->writable);
	k->readable = k->writable = NULL;
	tip_tcp_close(&k->stream);
	forget_request(k);
	tip_http_reader_free(&k->answer);
	tip_items_free(&k->items);
}

static void end(struct tip_kubelet *k, bool whole)
{
	drop_connection(k);
	event_del(k->timer);
	k->state = IDLE;
	k->dial = 0;
	k->troubled = !whole;
	k->not_before_ns = tip_clock_monotonic() + (whole ? PAUSE_NS : TROUBLED_NS);
	if (!whole)
		k->wanted = k->begun;
	k->ops.ended(k->ops.ctx, k->begun, whole);
	schedule(k);
}

/* `why` is what stands in the log until it changes. */
static void fail(struct tip_kubelet *k, const char *why)
{
	k->stats.failed++;
	if (strcmp(k->said, why) != 0)
		tip_warn("container", "the kubelet's pods are not to be had: %s", why);
	snprintf(k->said, sizeof(k->said), "%s", why);
	end(k, false);
}

static void succeed(struct tip_kubelet *k)
{
	if (k->said[0])
		tip_info("container", "the kubelet tells of its pods");
	k->said[0] = '\0';
	end(k, true);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	const struct timeval tv = {TIMEOUT_S, 0};
	struct tip_kubelet *k = ctx;

	if (k->state != IDLE) {
		fail(k, k->state < WRITING ? "no connection in time" : "no answer in time");
		return;
	}
	k->begun++;
	k->stats.lists++;
	k->state = DIALLING;
	event_add(k->timer, &tv);
	k->dial = k->ops.dial(k->ops.ctx);
}

uint64_t tip_kubelet_want(struct tip_kubelet *k)
{
	if (k->troubled && k->state == IDLE && tip_clock_monotonic() < k->not_before_ns)
		return 0;
	k->wanted = k->begun + 1;
	schedule(k);
	return k->wanted;
}

/* ---- the answer ----------------------------------------------------------------------------- */

static void on_item(void *ctx, const char *item, size_t len)
{
	struct tip_kubelet *k = ctx;
	struct tip_error err;

	if (item && tip_pod_read(item, len, &k->ops.pods, &err) == 0)
		return;
	k->stats.bad++;
	tip_debug("container", "a pod of the kubelet's: %s", item ? err.text : "it is too long");
}

static void refuse(struct tip_kubelet *k, int status)
{
	char why[256];
	const char *next = "is containers.kubelet.url a kubelet's?";

	if (status == 401)
		next = "it does not take the token in containers.kubelet.token_file";
	else if (status == 403)
		next = "the token's account may not list pods; give it get on nodes/pods, which "
		       "Kubernetes has since 1.33 (docs/containers.md)";
	else if (status >= 500)
		next = "its own log says why";
	snprintf(why, sizeof(why), "it says %d: %s", status, next);
	fail(k, why);
}

/* Bytes of the answer. True: there is more to come. */
static bool take(struct tip_kubelet *k, const char *data, size_t len)
{
	struct tip_http_reader *r = &k->answer;
	const enum tip_http_state state = tip_http_feed(r, data, len);
	enum tip_items_state items = TIP_ITEMS_MORE;

	if (r->headed && r->status != 200) {
		refuse(k, r->status);
		return false;
	}
	k->total += len;
	if (r->body.len)
		items = tip_items_feed(&k->items, r->body.data, r->body.len, on_item, k);
	tip_http_taken(r);
	if (items == TIP_ITEMS_DONE)
		succeed(k);
	else if (items == TIP_ITEMS_BAD || state == TIP_HTTP_DONE)
		fail(k, "the answer is no list of pods");
	else if (state != TIP_HTTP_MORE)
		fail(k, "the answer is not HTTP");
	else if (k->total > LIST_MAX)
		fail(k, "the answer is longer than 32 MiB");
	else
		return true;
	return false;
}

/* ---- the connection ------------------------------------------------------------------------- */

static void await(struct tip_kubelet *k, enum tip_tcp_wants wants)
{
	event_del(k->readable);
	event_del(k->writable);
	event_add(wants == TIP_TCP_READ ? k->readable : k->writable, NULL);
}

/* What was tried is not done yet, or will not be. */
static void not_done(struct tip_kubelet *k, enum tip_tcp_wants wants, const struct tip_error *err)
{
	if (wants == TIP_TCP_READ || wants == TIP_TCP_WRITE)
		await(k, wants);
	else
		fail(k, wants == TIP_TCP_ENDED ? "it hung up" : err->text);
}

/* Why there is no connection, and what can be done about it. */
static void not_up(struct tip_kubelet *k, enum tip_tcp_wants wants, struct tip_error *err)
{
	char why[256];

	if (wants == TIP_TCP_FAILED && k->stream.connected) {
		snprintf(why, sizeof(why),
			 "%.150s (see containers.kubelet.ca_cert and server_name)", err->text);
		tip_error_set(err, "%s", why);
	}
	not_done(k, wants, err);
}

static void step(struct tip_kubelet *k)
{
	enum tip_tcp_wants wants;
	struct tip_error err;
	char buf[READ_SIZE];
	size_t n;

	if (k->state == BEGINNING) {
		wants = tip_tcp_begin(&k->stream, &err);
		if (wants != TIP_TCP_DONE) {
			not_up(k, wants, &err);
			return;
		}
		k->state = WRITING;
	}
	while (k->state == WRITING) {
		wants = tip_tcp_write(&k->stream, k->request.data + k->written,
				      k->request.len - k->written, &n, &err);
		k->written += n;
		if (wants != TIP_TCP_DONE) {
			not_done(k, wants, &err);
			return;
		}
		if (k->written == k->request.len) {
			forget_request(k);
			k->state = READING;
		}
	}
	for (int i = 0; i < READS_MAX; i++) {
		wants = tip_tcp_read(&k->stream, buf, sizeof(buf), &n, &err);
		if (wants != TIP_TCP_DONE) {
			not_done(k, wants, &err);
			return;
		}
		if (!take(k, buf, n))
			return;
	}
	event_active(k->readable, EV_READ, 0);
}

static void on_stream(evutil_socket_t fd, short what, void *ctx)
{
	step(ctx);
}

static void read_authorities(struct tip_kubelet *k)
{
	struct tip_error err;

	/* Without any, the connection will say what is wrong. */
	if (k->tls && k->ca.len &&
	    tip_tls_client_authorities(k->tls, k->ca.data, k->ca.len, &err) < 0)
		tip_err("container", "containers.kubelet.ca_cert: %s", err.text);
	tip_buf_free(&k->ca);
}

static void write_request(struct tip_kubelet *k, const char *token)
{
	struct tip_buf *r = &k->request;

	/* At once, so that growing leaves no copy of the token behind. */
	tip_buf_reserve(r, strlen(k->authority) + strlen(token) + 256);
	tip_buf_addf(r,
		     "GET /pods HTTP/1.1\r\nHost: %s\r\nUser-Agent: tipstaff\r\n"
		     "Accept: application/json\r\nConnection: close\r\n",
		     k->authority);
	if (*token) {
		tip_buf_adds(r, "Authorization: Bearer ");
		tip_buf_adds(r, token);
		tip_buf_adds(r, "\r\n");
	}
	tip_buf_adds(r, "\r\n");
	k->written = 0;
}

bool tip_kubelet_dialled(struct tip_kubelet *k, uint64_t dial, int fd, const char *token)
{
	struct tip_error err;

	if (!k->dial || k->dial != dial)
		return false;
	k->dial = 0;
	if (fd < 0) { /* who has tried has said why */
		k->stats.failed++;
		end(k, false);
		return true;
	}
	read_authorities(k);
	if (tip_tcp_open(&k->stream, fd, k->tls, &err) < 0) {
		fail(k, err.text);
		return true;
	}
	k->readable = event_new(k->base, fd, EV_READ, on_stream, k);
	k->writable = event_new(k->base, fd, EV_WRITE, on_stream, k);
	if (!k->readable || !k->writable)
		abort();
	write_request(k, token);
	k->answer = (struct tip_http_reader){.body_max = SIZE_MAX};
	k->items = (struct tip_items){.max = POD_MAX};
	k->total = 0;
	k->state = BEGINNING;
	step(k);
	return true;
}

/* ---- life ----------------------------------------------------------------------------------- */

void tip_kubelet_authorities(struct tip_kubelet *k, const char *pem, size_t len, bool first)
{
	if (first)
		tip_buf_reset(&k->ca);
	if (k->ca.len + len <= CA_MAX)
		tip_buf_add(&k->ca, pem, len);
}

struct tip_kubelet *tip_kubelet_new(struct event_base *base, const char *authority,
				    const char *name, const struct tip_kubelet_ops *ops)
{
	struct tip_kubelet *k = tip_alloc(sizeof(*k));

	k->base = base;
	k->ops = *ops;
	k->authority = tip_strdup(authority);
	k->tls = name ? tip_tls_client_new(name, "") : NULL;
	k->stream.fd = -1;
	k->timer = event_new(base, -1, 0, on_timer, k);
	if (!k->timer)
		abort();
	return k;
}

void tip_kubelet_free(struct tip_kubelet *k)
{
	if (!k)
		return;
	drop_connection(k);
	event_free(k->timer);
	tip_tls_client_free(k->tls);
	tip_buf_free(&k->ca);
	free(k->authority);
	free(k);
}

void tip_kubelet_stats(const struct tip_kubelet *k, struct tip_kubelet_stats *out)
{
	*out = k ? k->stats : (struct tip_kubelet_stats){0};
}
