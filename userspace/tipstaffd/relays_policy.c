/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/relays.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

/* A set of traffic policies comes into force: in the kernel, in the front, in every namespace. */

/* ---- guard -> sensor ---- */

static int op_install(void *ctx, const struct tip_traffic_image *image)
{
	return tip_sensor_traffic_install(((struct tip_keeper *)ctx)->sensor, image);
}

static int op_allow(void *ctx, uint32_t policy, uint32_t number)
{
	return tip_sensor_client_allow(((struct tip_keeper *)ctx)->sensor, policy, number);
}

static int op_add(void *ctx, const struct tip_traffic_prefix *prefix)
{
	return tip_sensor_traffic_add(((struct tip_keeper *)ctx)->sensor, prefix);
}

static int op_prune(void *ctx, uint32_t first)
{
	return tip_sensor_client_prune(((struct tip_keeper *)ctx)->sensor, first);
}

static void op_names(void *ctx, void (*fn)(void *arg, uint32_t number, const char *id), void *arg)
{
	tip_sensor_names(((struct tip_keeper *)ctx)->sensor, fn, arg);
}

static uint32_t op_last(void *ctx)
{
	return tip_sensor_policy_last(((struct tip_keeper *)ctx)->sensor);
}

int tip_relays_policy_open(struct tip_keeper *k)
{
	const struct tip_guard_traffic_ops ops = {
		.install = op_install,
		.allow = op_allow,
		.add = op_add,
		.prune = op_prune,
		.names = op_names,
		.last = op_last,
		.ctx = k,
	};

	k->relays.guard = tip_guard_traffic_new(&ops);
	return k->relays.guard ? 0 : -1;
}

void tip_relays_policy_close(struct tip_keeper *k)
{
	tip_guard_traffic_free(k->relays.guard);
	k->relays.guard = NULL;
}

void tip_relays_numbered(struct tip_keeper *k, uint32_t number, const char *spiffe_id)
{
	if (k->relays.guard)
		tip_guard_traffic_identity(k->relays.guard, number, spiffe_id);
}

/* ---- into force ---- */

static bool is_strict(const struct tip_traffic_policies *all)
{
	for (size_t i = 0; i < tip_traffic_policies_count(all); i++)
		if (tip_traffic_policies_get(all, i)->mode == TIP_TRAFFIC_STRICT)
			return true;
	return false;
}

static void send_policies(struct tip_keeper *k, const struct tip_traffic_policies *all,
			  uint64_t generation)
{
	struct tip_buf b = {0};

	tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_TRAFFIC, .id = generation});
	for (size_t i = 0; i < tip_traffic_policies_count(all); i++) {
		tip_buf_reset(&b);
		tip_traffic_write(tip_traffic_policies_get(all, i), &b);
		tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_POLICY,
							 .data = b.data,
							 .data_len = b.len});
	}
	tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_TRAFFIC_END});
	tip_buf_free(&b);
}

int tip_traffic_in_force(struct tip_keeper *k, const struct tip_traffic_policies *policies,
			 struct tip_error *err)
{
	if (!k->relays.intercept)
		return tip_error_set(err,
				     "traffic is not intercepted: give traffic.files in the "
				     "configuration (an empty list will do) and restart tipstaffd");
	if (tip_guard_traffic_apply(k->relays.guard, policies, err) < 0)
		return -1;
	send_policies(k, policies, k->traffic.generation);
	tip_intercept_enable(k->relays.intercept, is_strict(policies));
	k->relays.recheck_plain = true;
	return 0;
}

const struct tip_traffic_policy *tip_relays_policy_of(const struct tip_keeper *k,
						      const struct tip_flow *f)
{
	const struct tip_end *end = f->inbound ? &f->local : &f->remote;
	const struct tip_traffic_policy *p = NULL;
	const struct tip_traffic_to *to;
	struct tip_ip ip;

	if (!f->inbound)
		p = tip_guard_traffic_policy(k->relays.guard, f->policy);
	if (p || !k->traffic.set)
		return p;
	/* The set that the hook read is no longer in force: the destination decides again. */
	ip = tip_ip4(&end->addr);
	to = tip_traffic_lookup(k->traffic.set, &ip, end->port);
	return to ? to->policy : NULL;
}

static bool is_covered(void *ctx, uint32_t addr, uint16_t port)
{
	const struct tip_ip ip = tip_ip4(&addr);
	const struct tip_traffic_to *to = tip_traffic_lookup(ctx, &ip, port);

	return to && to->policy->mode == TIP_TRAFFIC_STRICT;
}

/*
 * Connections in the clear that a new set covers are dead already: their packets are dropped. This
 * makes their ends know it.
 */
void tip_relays_end_plain(struct tip_keeper *k)
{
	size_t n;

	if (!k->relays.recheck_plain)
		return;
	k->relays.recheck_plain = false;
	n = tip_intercept_end_plain(k->relays.intercept, is_covered, k->traffic.set);
	if (n)
		tip_info("traffic",
			 "%zu connections in the clear were ended: a policy covers them now", n);
}

void tip_relays_policy_feed(struct tip_keeper *k)
{
	if (k->traffic.set)
		send_policies(k, tip_traffic_set_policies(k->traffic.set), k->traffic.generation);
}
