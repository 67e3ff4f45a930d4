/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/quota.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tipstaffd/keeper.h"

#define ENTRIES_MAX 1024 /* the rest is counted together */
#define SHOWN_MAX   32
#define QUIET_NS    (60 * TIP_NSEC_PER_SEC)

/* The keys of the configuration. */
static const char *const names[TIP_QUOTAS] = {
	[TIP_QUOTA_HELD] = "held_connects",
	[TIP_QUOTA_HELD_IDENTITY] = "held_connects_per_identity",
	[TIP_QUOTA_HANDSHAKES] = "handshakes_per_identity",
	[TIP_QUOTA_RELAYS] = "relays",
	[TIP_QUOTA_RELAYS_IDENTITY] = "relays_per_identity",
	[TIP_QUOTA_REDIRECTS] = "redirects_per_identity",
	[TIP_QUOTA_CONNECTIONS] = "connections_per_identity",
};

struct reached {
	enum tip_quota quota;
	char *spiffe_id; /* "": none is known */
	uint64_t netns;  /* then, 0: unknown */
	uint64_t refused;
	uint64_t told_ns; /* monotonic, 0: never */
};

static void free_reached(void *reached)
{
	struct reached *r = reached;

	free(r->spiffe_id);
	free(r);
}

static struct reached *entry_of(struct tip_keeper *k, enum tip_quota quota, const char *spiffe_id,
				uint64_t netns)
{
	char *key;
	struct reached *r;

	if (!k->quotas)
		k->quotas = tip_map_new();
	key = tip_sprintf("%d %llu %s", (int)quota, (unsigned long long)netns, spiffe_id);
	r = tip_map_gets(k->quotas, key);
	if (!r && tip_map_count(k->quotas) >= ENTRIES_MAX) {
		free(key);
		key = tip_sprintf("%d", (int)quota);
		spiffe_id = "";
		netns = 0;
		r = tip_map_gets(k->quotas, key);
	}
	if (!r) {
		r = tip_alloc(sizeof(*r));
		r->quota = quota;
		r->spiffe_id = tip_strdup(spiffe_id);
		r->netns = netns;
		tip_map_puts(k->quotas, key, r);
	}
	free(key);
	return r;
}

void tip_quota_reached(struct tip_keeper *k, enum tip_quota quota, const char *spiffe_id,
		       uint64_t netns)
{
	const uint64_t now = tip_clock_monotonic();
	char cookie[24], refused[24], limit[64], text[2400];
	struct tip_alert_field extra[] = {
		{"tipstaff.limit", limit},
		{"tipstaff.own.id", NULL},
		{"tipstaff.netns", cookie},
		{"tipstaff.refused", refused},
	};
	struct reached *r;

	if (!spiffe_id)
		spiffe_id = "";
	r = entry_of(k, quota, spiffe_id, *spiffe_id ? 0 : netns);
	r->refused++;
	if (r->told_ns && now - r->told_ns < QUIET_NS)
		return;
	r->told_ns = now;
	extra[1].value = *spiffe_id ? spiffe_id : "<NA>";
	snprintf(cookie, sizeof(cookie), "%llu", (unsigned long long)netns);
	snprintf(refused, sizeof(refused), "%llu", (unsigned long long)r->refused);
	snprintf(limit, sizeof(limit), "limits.%s", names[quota]);
	snprintf(text, sizeof(text),
		 "A limit was reached, and others go on | limit=%s own=%s netns=%s refused=%s",
		 limit, extra[1].value, cookie, refused);
	tip_keeper_alert(k, "Limit reached", TIP_PRIO_WARNING, NULL, extra, TIP_ARRAY_SIZE(extra),
			 text);
}

static int by_refused(const void *a, const void *b)
{
	const struct reached *x = *(const struct reached *const *)a;
	const struct reached *y = *(const struct reached *const *)b;

	return (x->refused < y->refused) - (x->refused > y->refused);
}

json_t *tip_quota_json(const struct tip_keeper *k)
{
	const size_t count = k->quotas ? tip_map_count(k->quotas) : 0;
	const struct reached **all = tip_calloc(count + 1, sizeof(const struct reached *));
	json_t *list = json_array();
	size_t n = 0, it = 0;

	while (n < count && (all[n] = tip_map_next(k->quotas, &it)))
		n++;
	qsort(all, n, sizeof(const struct reached *), by_refused);
	for (size_t i = 0; i < n && i < SHOWN_MAX; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "limit",
						      names[all[i]->quota], "spiffe_id",
						      all[i]->spiffe_id, "netns",
						      (json_int_t)all[i]->netns, "refused",
						      (json_int_t)all[i]->refused));
	free(all);
	return list;
}

void tip_quota_free(struct tip_keeper *k)
{
	if (k->quotas)
		tip_map_free(k->quotas, free_reached);
	k->quotas = NULL;
}
