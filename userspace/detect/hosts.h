/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_HOSTS_H
#define TIP_DETECT_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The hosts that rules name (`fd.sip.name = api.example.org`), with the addresses that they had
 * when they were last asked for. Who asks is somebody else: nothing here waits.
 */
struct tip_hosts;

/* IPv4 as ::ffff:a.b.c.d: a socket for both shows it so. */
struct tip_host_addr {
	uint8_t bytes[16];
};
/* False: `text` is no address. */
bool tip_host_addr_parse(const char *text, struct tip_host_addr *out);
/* `addr` has 4 or 16 bytes in network order, as its family (AF_*) has them. */
void tip_host_addr_set(struct tip_host_addr *out, int family, const void *addr);

struct tip_hosts *tip_hosts_new(void);
void tip_hosts_free(struct tip_hosts *h);

/* One more name; both are copied. A name that is there already is left alone. */
void tip_hosts_add(struct tip_hosts *h, const char *name, const struct tip_host_addr *addrs,
		   size_t count);
/* The same with what `old` (may be NULL) knew of it. */
void tip_hosts_keep(struct tip_hosts *h, const struct tip_hosts *old, const char *name);

/* The names with that address, at most `max`; valid as long as `h`. How many. */
size_t tip_hosts_of(const struct tip_hosts *h, const struct tip_host_addr *addr, const char **names,
		    size_t max);

#endif
