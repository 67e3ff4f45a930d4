/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/hosts.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

struct host {
	const char *name;
	const struct tip_host_addr *addrs;
	size_t count;
};

/* Hosts that share an address. */
struct sharing {
	const struct host *host;
	struct sharing *next;
};

struct tip_hosts {
	struct tip_arena *arena;
	struct tip_map *by_name; /* -> struct host */
	struct tip_map *by_addr; /* address of 16 bytes -> struct sharing */
};

struct tip_hosts *tip_hosts_new(void)
{
	struct tip_hosts *h = tip_alloc(sizeof(*h));

	h->arena = tip_arena_new();
	h->by_name = tip_map_new();
	h->by_addr = tip_map_new();
	return h;
}

void tip_hosts_free(struct tip_hosts *h)
{
	if (!h)
		return;
	tip_map_free(h->by_name, NULL);
	tip_map_free(h->by_addr, NULL);
	tip_arena_free(h->arena);
	free(h);
}

void tip_host_addr_set(struct tip_host_addr *out, int family, const void *addr)
{
	memset(out->bytes, 0, 10);
	out->bytes[10] = out->bytes[11] = 0xff;
	memcpy(family == AF_INET6 ? out->bytes : out->bytes + 12, addr,
	       family == AF_INET6 ? 16 : 4);
}

bool tip_host_addr_parse(const char *text, struct tip_host_addr *out)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	uint8_t addr[16];

	if (inet_pton(family, text, addr) != 1)
		return false;
	tip_host_addr_set(out, family, addr);
	return true;
}

void tip_hosts_add(struct tip_hosts *h, const char *name, const struct tip_host_addr *addrs,
		   size_t count)
{
	struct tip_host_addr *copy;
	struct host *host;

	if (tip_map_gets(h->by_name, name))
		return;
	host = tip_arena_alloc(h->arena, sizeof(*host));
	copy = tip_arena_alloc(h->arena, (count + 1) * sizeof(*copy));
	if (count)
		memcpy(copy, addrs, count * sizeof(*copy));
	*host = (struct host){tip_arena_strdup(h->arena, name), copy, count};
	tip_map_puts(h->by_name, name, host);
	for (size_t i = 0; i < count; i++) {
		struct sharing *s = tip_arena_alloc(h->arena, sizeof(*s));
		*s = (struct sharing){host, tip_map_get(h->by_addr, &copy[i], sizeof(*copy))};
		tip_map_put(h->by_addr, &copy[i], sizeof(*copy), s);
	}
}

void tip_hosts_keep(struct tip_hosts *h, const struct tip_hosts *old, const char *name)
{
	const struct host *host = old ? tip_map_gets(old->by_name, name) : NULL;

	if (host)
		tip_hosts_add(h, name, host->addrs, host->count);
}

size_t tip_hosts_of(const struct tip_hosts *h, const struct tip_host_addr *addr, const char **names,
		    size_t max)
{
	const struct sharing *s;
	size_t n = 0;

	for (s = tip_map_get(h->by_addr, addr, sizeof(*addr)); s && n < max; s = s->next)
		names[n++] = s->host->name;
	return n;
}
