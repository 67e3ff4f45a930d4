/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/front_containers.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "container/inspector.h"

struct tip_front_containers {
	struct tip_inspector *inspector;
	struct tip_link *link;
};

static void on_dial(void *ctx, uint64_t dial, uint32_t number, enum tip_runtime_question question,
		    const char *name)
{
	tip_link_send(((struct tip_front_containers *)ctx)->link,
		      &(struct tip_link_msg){.type = TIP_LINK_DIAL,
					     .id = dial,
					     .ask = number,
					     .kind = (uint32_t)question,
					     .name = name});
}

static void on_answer(void *ctx, const char *id, enum tip_facts_kind kind, const void *facts,
		      size_t len)
{
	tip_link_send(((struct tip_front_containers *)ctx)->link,
		      &(struct tip_link_msg){.type = TIP_LINK_FACTS,
					     .kind = (uint32_t)kind,
					     .name = id,
					     .data = facts,
					     .data_len = len});
}

struct tip_front_containers *tip_front_containers_new(struct event_base *base,
						      struct tip_link *link)
{
	struct tip_front_containers *c = tip_alloc(sizeof(*c));

	c->link = link;
	c->inspector = tip_inspector_new(
		base, &(struct tip_inspector_ops){.dial = on_dial, .answer = on_answer, .ctx = c});
	return c;
}

void tip_front_containers_free(struct tip_front_containers *c)
{
	if (!c)
		return;
	tip_inspector_free(c->inspector);
	free(c);
}

bool tip_front_containers_message(struct tip_front_containers *c, const struct tip_link_msg *m)
{
	switch (m->type) {
	case TIP_LINK_RUNTIME:
		if (!tip_inspector_runtime(c->inspector, m->ask, m->kind, m->flag))
			tip_warn("container", "%s: one runtime too many", m->name);
		return true;
	case TIP_LINK_INSPECT: tip_inspector_ask(c->inspector, m->name, m->kind); return true;
	case TIP_LINK_DIALLED: tip_inspector_dialled(c->inspector, m->id, m->fd, 0); return true;
	case TIP_LINK_UNDIALLED:
		tip_inspector_dialled(c->inspector, m->id, -1, (int)m->error);
		return true;
	case TIP_LINK_KUBELET:
		tip_inspector_kubelet(c->inspector, m->name, *m->text ? m->text : NULL);
		return true;
	case TIP_LINK_KUBELET_CA:
		tip_inspector_kubelet_authorities(c->inspector, m->data, m->data_len, m->flag);
		return true;
	case TIP_LINK_KUBELET_DIALLED:
		tip_inspector_kubelet_dialled(c->inspector, m->id, m->fd, m->data);
		return true;
	default: return false;
	}
}

void tip_front_containers_report(struct tip_front_containers *c)
{
	struct tip_inspector_stats s;

	tip_inspector_stats(c->inspector, &s);
	tip_link_send(c->link, &(struct tip_link_msg){
				       .type = TIP_LINK_INSPECTOR,
				       .numbers = {(uint32_t)s.running, (uint32_t)s.waiting},
				       .counters = {s.asked, s.known, s.unknown, s.late, s.refused},
			       });
	tip_link_send(c->link, &(struct tip_link_msg){
				       .type = TIP_LINK_STREAMS,
				       .numbers = {(uint32_t)s.streams, (uint32_t)s.created},
				       .counters = {s.events, s.bad_events, s.breaks, s.by_event},
			       });
	tip_link_send(c->link, &(struct tip_link_msg){
				       .type = TIP_LINK_LISTS,
				       .counters = {s.kubelet.lists, s.kubelet.failed,
						    s.kubelet.bad, s.by_kubelet},
			       });
}
