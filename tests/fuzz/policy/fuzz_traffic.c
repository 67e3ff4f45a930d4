/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a traffic policy file: refused with a place and nothing kept, or policies that keep
 * to the limits and survive being written and read back. */
#include <stdlib.h>
#include <string.h>

#include "policy/spiffe_glob.h"
#include "policy/spiffe_id.h"
#include "policy/traffic.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

static const char before[] = "- {name: before, to: {cidr: 10.0.0.0/8, port: 80}, mode: disable}\n";

static void check_policy(const struct tip_traffic_policy *p)
{
	bool strict = p->mode == TIP_TRAFFIC_STRICT;
	struct tip_error err;

	CHECK(p->nto && p->nto <= TIP_TRAFFIC_TO_MAX);
	CHECK(p->nserver >= strict && p->nserver <= TIP_TRAFFIC_SERVER_MAX);
	CHECK(p->nclients >= strict && p->nclients <= TIP_TRAFFIC_CLIENTS_MAX);
	for (size_t i = 0; i < p->nserver; i++)
		CHECK(!tip_spiffe_id_check(p->server[i].id, true, &err));
	for (size_t i = 0; i < p->nclients; i++)
		CHECK(!tip_spiffe_glob_check(p->clients[i].id, &err));
	/* A server's ID is a pattern without stars. */
	for (size_t i = 0; i < p->nserver; i++)
		for (size_t j = 0; j < p->nclients; j++)
			if (!strcmp(p->server[i].id, p->clients[j].id))
				CHECK(tip_traffic_policy_client(p, p->server[i].id));
	for (size_t i = 0; i < p->nto; i++) {
		CHECK(p->to[i].port_min && p->to[i].port_min <= p->to[i].port_max);
		CHECK(tip_traffic_to_covers(&p->to[i], &p->to[i].cidr.ip, p->to[i].port_max));
	}
}

static void check_again(const struct tip_traffic_policy *p)
{
	struct tip_traffic_policies *all = tip_traffic_policies_new();
	const struct tip_traffic_policy *q;
	struct tip_error err;
	struct tip_buf b = {0};

	tip_traffic_write(p, &b);
	CHECK(b.len <= TIP_TRAFFIC_TEXT_MAX);
	CHECK(!tip_traffic_policies_parse(all, "again", b.data, b.len, &err));
	CHECK(tip_traffic_policies_count(all) == 1);
	q = tip_traffic_policies_by_name(all, p->name);
	CHECK(q && tip_traffic_policy_same(p, q) && q->nto == p->nto);
	for (size_t i = 0; i < p->nto; i++)
		CHECK(!memcmp(&p->to[i].cidr, &q->to[i].cidr, sizeof(p->to[i].cidr)) &&
		      p->to[i].port_min == q->to[i].port_min &&
		      p->to[i].port_max == q->to[i].port_max);
	tip_traffic_policies_free(all);
	tip_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct tip_traffic_policies *all = tip_traffic_policies_new();
	struct tip_error err = {0};

	CHECK(!tip_traffic_policies_parse(all, "before", before, strlen(before), &err));
	if (tip_traffic_policies_parse(all, "fuzz", (const char *)data, size, &err)) {
		CHECK(err.text[0] && tip_traffic_policies_count(all) == 1);
		CHECK(tip_traffic_policies_by_name(all, "before"));
	}
	for (size_t i = 0; i < tip_traffic_policies_count(all); i++) {
		const struct tip_traffic_policy *p = tip_traffic_policies_get(all, i);

		CHECK(p->order == i && tip_traffic_policies_by_name(all, p->name) == p);
		check_policy(p);
		check_again(p);
	}
	tip_traffic_policies_free(all);
	return 0;
}
