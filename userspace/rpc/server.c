/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define SWEEP_S 5

static void schedule_sweep(struct tip_rpc_server *s)
{
	uint32_t every = SWEEP_S;
	struct timeval tv;

	if (s->config.idle_timeout_s && s->config.idle_timeout_s < every)
		every = s->config.idle_timeout_s;
	tv = (struct timeval){.tv_sec = every};
	event_add(s->sweep, &tv);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct tip_rpc_server *s = arg;
	uint64_t now = tip_clock_monotonic();
	struct tip_rpc_conn *c, *next;

	(void)fd;
	(void)what;
	/* A sweep ends its own connection at most, never the next one. */
	for (c = LIST_FIRST(&s->conns); c; c = next) {
		next = LIST_NEXT(c, link);
		tip_rpc_conn_sweep(c, now);
	}
	schedule_sweep(s);
}

struct tip_rpc_server *tip_rpc_server_new(struct event_base *base,
					  const struct tip_rpc_server_config *config,
					  const struct tip_rpc_method *methods, size_t count)
{
	struct tip_rpc_server *s = tip_alloc(sizeof(*s));

	s->base = base;
	s->config = *config;
	s->methods = tip_calloc(count ? count : 1, sizeof(*methods));
	if (count)
		memcpy(s->methods, methods, count * sizeof(*methods));
	s->nmethods = count;
	LIST_INIT(&s->conns);
	s->callbacks = tip_rpc_session_callbacks();
	s->option = tip_rpc_session_option();
	s->sweep = evtimer_new(base, on_sweep, s);
	if (!s->callbacks || !s->option || !s->sweep) {
		tip_rpc_server_free(s);
		return NULL;
	}
	schedule_sweep(s);
	return s;
}

void tip_rpc_server_free(struct tip_rpc_server *s)
{
	struct tip_rpc_conn *c;

	if (!s)
		return;
	while ((c = LIST_FIRST(&s->conns)))
		tip_rpc_conn_close(c);
	if (s->sweep)
		event_free(s->sweep);
	nghttp2_session_callbacks_del(s->callbacks);
	nghttp2_option_del(s->option);
	free(s->methods);
	free(s);
}

void tip_rpc_server_stats(const struct tip_rpc_server *s, struct tip_rpc_stats *out)
{
	*out = s->stats;
}
